//! A watch on the host's clock: it sets the stations' billing clocks, since the answer to each Heartbeat and
//! BootNotification carries it (OCPP 1.6 edition 2, sections 4.2 and 4.6). If it jumps, that is told at once.
//!
//! In come the wall clock and the monotonic one; out go a log line and a count. What is deliberately absent: setting any
//! clock, and any judgement about which of the times was right.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::SignedDuration;

use crate::clock;
use crate::metrics::Metrics;

/// How often the two clocks are compared.
const LOOK: Duration = Duration::from_secs(5);

/// What time servers correct little by little stays below this; a jump that a driver could find on a bill does not.
const JUMP: SignedDuration = SignedDuration::from_secs(2);

/// Compares the clocks for ever.
pub(super) async fn watch_clock(metrics: Arc<Metrics>) {
    let (mut wall, mut monotonic) = (clock::now(), Instant::now());
    loop {
        tokio::time::sleep(LOOK).await;
        let (wall_now, monotonic_now) = (clock::now(), Instant::now());
        let passed = monotonic_now.saturating_duration_since(monotonic);
        if let Some(by) = jump(wall_now.duration_since(wall), passed) {
            metrics.clock_jumped();
            tracing::error!(
                seconds = by.as_secs_f64(),
                "the host's clock has jumped; stations take their time, and so the time of transactions, from it: mend the host's time synchronisation"
            );
        }
        (wall, monotonic) = (wall_now, monotonic_now);
    }
}

/// By how much the wall clock went beside the monotonic one, if that is more than correcting explains.
fn jump(wall: SignedDuration, monotonic: Duration) -> Option<SignedDuration> {
    let apart = wall.checked_sub(SignedDuration::try_from(monotonic).ok()?)?;
    (apart.abs() > JUMP).then_some(apart)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wall_millis: i64, monotonic_millis: u64, expect: Option<i64>) {
        let found = jump(
            SignedDuration::from_millis(wall_millis),
            Duration::from_millis(monotonic_millis),
        );
        assert_eq!(found, expect.map(SignedDuration::from_millis));
    }

    #[test]
    fn a_jump_of_the_clock_in_either_direction_is_seen_and_a_correction_is_not() {
        check(5_000, 5_000, None);
        check(5_900, 5_000, None);
        check(3_100, 5_000, None);
        check(3_605_000, 5_000, Some(3_600_000));
        check(-3_595_000, 5_000, Some(-3_600_000));
        // A process that was paused sees both clocks go on.
        check(600_000, 600_000, None);
    }
}
