//! How often something may happen: a bucket that fills with time.

use std::time::Duration;

use tokio::time::Instant;

/// A bucket of tokens. Small, because every station has some.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// When the bucket would be full: the later, the emptier it is.
    full_at: Instant,
}

impl Pace {
    /// A full bucket.
    pub(super) fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes one token of `burst`, which come back one by one `every` so often. `Err`: how long until there is one.
    pub(super) fn take(
        &mut self,
        burst: u32,
        every: Duration,
        now: Instant,
    ) -> Result<(), Duration> {
        let empty = every * burst;
        let full_at = self.full_at.max(now) + every;
        let over = full_at.saturating_duration_since(now + empty);
        if over.is_zero() {
            self.full_at = full_at;
            return Ok(());
        }
        Err(over)
    }

    /// Is at least half of the bucket there?
    pub(super) fn has_rested(&self, burst: u32, every: Duration, now: Instant) -> bool {
        self.full_at <= now + every * (burst / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_one_by_one() {
        let start = Instant::now();
        let every = Duration::from_secs(1);
        let mut pace = Pace::full(start);
        for _ in 0..3 {
            assert_eq!(pace.take(3, every, start), Ok(()));
        }
        assert_eq!(pace.take(3, every, start), Err(every));
        assert!(!pace.has_rested(3, every, start));
        assert_eq!(pace.take(3, every, start + every), Ok(()));
        assert!(pace.has_rested(3, every, start + 4 * every));
    }
}
