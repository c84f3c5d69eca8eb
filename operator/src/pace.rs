//! Pace: how fast the whole fleet is called, and how far apart its stations are when they all want something at once.
//!
//! In comes a wish to call; out goes the permission, after a wait if the fleet is called too fast already. A place in
//! the queue is reserved when it is asked for, so that ten thousand waiting stations wake once each and in order, where
//! a limiter that is asked again and again would wake all of them for each slot. What is deliberately absent: how many
//! stations may be written or reset at once, which each config says for itself.

use std::sync::Mutex;
use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

/// The limit unless another is given: a fleet of 20,000 stations with two calls each is read in about a minute and a
/// half, and a CSMS or a mobile network in between still has room for its own traffic.
pub const DEFAULT_CALLS_PER_SECOND: u32 = 500;

/// A limit on the calls of the whole fleet.
#[derive(Debug)]
pub struct Pace {
    /// The time that one call takes up; `None`: no limit.
    interval: Option<Duration>,
    /// How much may be sent at once after a quiet time.
    burst: Duration,
    /// When the next call that has no reservation yet may leave.
    next: Mutex<Instant>,
}

impl Pace {
    /// At most so many calls a second, with a burst of one second's worth; `0`: no limit.
    pub fn per_second(calls: u32) -> Self {
        let interval = (calls > 0).then(|| Duration::from_secs(1) / calls);
        // The burst ends one interval short of a second, so that no second sees more than `calls` beyond it.
        let burst = interval.map_or(Duration::ZERO, |interval| {
            Duration::from_secs(1).saturating_sub(interval)
        });
        Self {
            interval,
            burst,
            next: Mutex::new(Instant::now()),
        }
    }

    /// No limit.
    pub fn unlimited() -> Self {
        Self::per_second(0)
    }

    /// Waits until one more call may leave. Cancel-safe: a reservation that is given up is lost, which costs the fleet
    /// one interval.
    pub async fn ready(&self) {
        if let Some(wait) = self.reserve() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes the next place; gives the wait until it, if there is one.
    fn reserve(&self) -> Option<Duration> {
        let interval = self.interval?;
        let now = Instant::now();
        // A poisoned lock still holds a usable time: nothing between lock and unlock can leave it half changed.
        let mut next = self
            .next
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let earliest = now.checked_sub(self.burst).unwrap_or(now);
        let place = (*next).max(earliest);
        *next = place + interval;
        (place > now).then(|| place - now)
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::per_second(DEFAULT_CALLS_PER_SECOND)
    }
}

/// A random part of `longest`: spreads stations that would all start in the same moment (a config changed, a gateway
/// came back).
pub fn jitter(longest: Duration) -> Duration {
    longest.mul_f64(rand::rng().random::<f64>())
}

/// `period`, shortened by up to a tenth, so that things that began together drift apart.
pub fn jittered(period: Duration) -> Duration {
    period - jitter(period / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn time_of(pace: &Pace, calls: u32) -> Duration {
        let start = Instant::now();
        for _ in 0..calls {
            pace.ready().await;
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nobody_waits() {
        assert_eq!(time_of(&Pace::per_second(0), 100_000).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fleet_is_held_to_its_calls_per_second() {
        let pace = Pace::per_second(10);
        tokio::time::advance(Duration::from_secs(60)).await;
        let took = time_of(&pace, 10 + 50).await;
        assert!(
            took >= Duration::from_millis(4_900),
            "the burst is one second's worth, however long the quiet: {took:?}"
        );
        assert!(
            took <= Duration::from_millis(5_100),
            "and no call waits longer than it must: {took:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_leave_in_the_order_in_which_they_came() {
        let pace = std::sync::Arc::new(Pace::per_second(2));
        let order = std::sync::Arc::new(Mutex::new(Vec::new()));
        let mut stations = tokio::task::JoinSet::new();
        for station in 0..8 {
            let (pace, order) = (pace.clone(), order.clone());
            stations.spawn(async move {
                pace.ready().await;
                order.lock().unwrap().push(station);
            });
            tokio::task::yield_now().await;
        }
        stations.join_all().await;
        assert_eq!(*order.lock().unwrap(), (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn jitter_stays_within_its_bounds() {
        for _ in 0..1_000 {
            assert!(jitter(Duration::from_secs(1)) <= Duration::from_secs(1));
            let period = jittered(Duration::from_secs(100));
            assert!(period >= Duration::from_secs(90) && period <= Duration::from_secs(100));
        }
    }
}
