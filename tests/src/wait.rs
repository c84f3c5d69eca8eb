//! Waiting for a condition, with a limit.
//!
//! In: a probe that says what it wants or, as an error, what it saw instead. Out: what it wanted, or
//! an error with the last thing seen. Do not use these under paused time: real processes take real time.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::time::{Instant, sleep, timeout_at};

/// Short enough not to be felt, long enough not to take a core from what is waited for.
const BETWEEN_PROBES: Duration = Duration::from_millis(25);

/// So many seconds.
pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Asks until the probe succeeds, and fails with what it said last once the limit is over.
pub async fn eventually<T>(
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    let mut seen = anyhow!("the first look was still going on");
    loop {
        match timeout_at(deadline, probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(other)) => seen = other,
            Err(_) => return Err(seen.context(format!("not within {limit:?}; last seen"))),
        }
        if Instant::now() >= deadline {
            return Err(seen.context(format!("not within {limit:?}; last seen")));
        }
        sleep(BETWEEN_PROBES).await;
    }
}

/// Asks until the time is over, and fails as soon as the probe does: for claims that something does not happen.
pub async fn throughout(time: Duration, mut probe: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    let end = started + time;
    loop {
        match timeout_at(end + seconds(10), probe()).await {
            Ok(result) => result.with_context(|| {
                format!("no longer so after {:?} of {time:?}", started.elapsed())
            })?,
            Err(_) => bail!("a look took more than 10 s"),
        }
        if Instant::now() >= end {
            return Ok(());
        }
        sleep(BETWEEN_PROBES).await;
    }
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
