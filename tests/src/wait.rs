//! Waiting for a condition, with a limit.
//!
//! In: a probe that says what it wants or, as an error, what it saw instead. Out: what it wanted, or
//! an error with the last thing seen. Do not use these under paused time: real processes take real time.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::time::{Instant, sleep, timeout};

/// How long anything may take that comes about by itself. Machines that run tests are shared: they are slow for minutes and stand
/// still for seconds, and a long limit costs nothing while things go well. A test whose claim is a time gives its own.
pub const LIMIT: Duration = seconds(120);

/// [`LIMIT`] as `kubectl wait` and `helm --wait` are told it.
pub const TIMEOUT: &str = "--timeout=120s";

/// Short enough not to be felt, long enough not to take a core from what is waited for.
const BETWEEN_PROBES: Duration = Duration::from_millis(25);

/// How long one look may take, also when less is left: it may start a program.
const LOOK: Duration = seconds(30);

/// What counts at most of the time from one look to the next: while the machine stood still, nobody could do anything.
const COUNTED: Duration = seconds(2);

/// How many looks at least it takes to call something steady.
const STEADY_LOOKS: u32 = 8;

/// So many seconds.
pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Asks until the probe succeeds, and fails with what it said last once the limit is over. There is always a look after that, so
/// that a machine which stood still at the wrong moment decides nothing.
pub async fn eventually<T>(
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let mut left = limit;
    let mut seen = anyhow!("the first look was still going on");
    loop {
        let began = Instant::now();
        match timeout(left.max(LOOK), probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(other)) if left.is_zero() => {
                return Err(other.context(format!("not within {limit:?}; last seen")));
            }
            Ok(Err(other)) => seen = other,
            Err(_) => return Err(seen.context(format!("not within {limit:?}; last seen"))),
        }
        sleep(BETWEEN_PROBES).await;
        left = left.saturating_sub(began.elapsed().min(COUNTED));
    }
}

/// Asks until the time is over, and fails as soon as the probe does: for claims that something does not happen.
pub async fn throughout(time: Duration, mut probe: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    loop {
        match timeout(LOOK, probe()).await {
            Ok(result) => result.with_context(|| {
                format!("no longer so after {:?} of {time:?}", started.elapsed())
            })?,
            Err(_) => bail!("a look took more than {LOOK:?}"),
        }
        if started.elapsed() >= time {
            return Ok(());
        }
        sleep(BETWEEN_PROBES).await;
    }
}

/// Waits until what is seen has stayed the same for some time, and returns it: for claims about what is at rest. It takes several
/// looks, so that a machine which stood still is not taken for one at rest.
pub async fn steady<T: PartialEq + std::fmt::Debug>(
    limit: Duration,
    time: Duration,
    mut probe: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let mut last = probe().await?;
    let (mut looked, mut same) = (Instant::now(), Duration::ZERO);
    eventually(limit, async || {
        let now = probe().await?;
        same += looked.elapsed().min(time / STEADY_LOOKS);
        looked = Instant::now();
        if now != last {
            let told = anyhow!("{last:?} became {now:?}");
            (last, same) = (now, Duration::ZERO);
            return Err(told);
        }
        if same < time {
            bail!("{now:?} for {same:?}");
        }
        Ok(now)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_seen_last_is_told_when_the_limit_is_over() {
        let mut looks = 0;
        let result: Result<()> = eventually(seconds(1), async || {
            looks += 1;
            bail!("look {looks}")
        })
        .await;
        let told = format!("{:#}", result.unwrap_err());
        assert_eq!(told, format!("not within 1s; last seen: look {looks}"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_stands_still_uses_no_limit_up() {
        let mut looks = 0;
        let seen = eventually(seconds(3), async || {
            looks += 1;
            if looks == 1 {
                sleep(seconds(20)).await;
            }
            anyhow::ensure!(looks == 3, "look {looks}");
            Ok(looks)
        })
        .await;
        assert_eq!(seen.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_changes_for_ever_is_never_steady() {
        let mut looks = 0;
        let counting = steady(seconds(30), seconds(1), async || {
            looks += 1;
            Ok(looks)
        });
        assert!(counting.await.is_err());
        let mut looks = 0;
        let standing = steady(seconds(30), seconds(1), async || {
            looks += 1;
            sleep(seconds(20)).await;
            Ok(())
        });
        standing.await.unwrap();
        assert!(looks >= STEADY_LOOKS);
        assert_eq!(
            steady(seconds(30), seconds(1), async || Ok(7))
                .await
                .unwrap(),
            7
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_fails_as_soon_as_it_is_untrue() {
        let mut looks = 0;
        let result = throughout(seconds(60), async || {
            looks += 1;
            anyhow::ensure!(looks < 3, "a write");
            Ok(())
        })
        .await;
        assert!(format!("{:#}", result.unwrap_err()).ends_with("a write"));
        assert_eq!(looks, 3);
    }
}
