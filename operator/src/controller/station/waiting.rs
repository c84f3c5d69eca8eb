//! When to look at a station again without being called.

use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::controller::Action;
use stationkeeper_core::plan::Plan;

use super::Site;
use super::concluding::Concluded;
use super::due::resync_period;
use super::writing::Written;
use crate::connector::Presence;
use crate::controller::live::Live;

/// When to read again a station that could not be read to the end and said nothing that would tell when.
const READ_AGAIN: Duration = Duration::from_secs(30);

/// When to look again for a Secret that was missing: somebody is probably about to make it, and nothing tells of it.
const SECRET_AGAIN: Duration = Duration::from_secs(30);

/// When to look again without being called.
pub(super) fn next(
    site: &Site<'_>,
    live: &Live,
    planned: &Plan,
    written: &Written,
    concluded: &Concluded,
) -> Action {
    let Site {
        context,
        station,
        identity,
        ..
    } = site;
    let now = concluded.at;
    let until =
        |at: Timestamp| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO);
    let jittered = |wait: Duration| wait.mul_f64(rand::random_range(0.8..1.2));
    let registered = |presence: Presence| presence.registered;
    let unread =
        !planned.read.is_empty() && context.connector.presence(identity).is_some_and(registered);
    let waits = [
        written.again,
        unread.then(|| jittered(READ_AGAIN)),
        concluded.secret_missing.then(|| jittered(SECRET_AGAIN)),
        concluded.grace.map(|grace| {
            Duration::try_from(grace).unwrap_or(Duration::ZERO) + Duration::from_millis(50)
        }),
        planned.check_again.map(until),
        // What is overdue waits for the station to come back, of which we hear.
        live.watched
            .due(&live.memory)
            .filter(|due| *due > now)
            .map(until),
        // One that is overdue could not be read now; what can change that wakes us, or is waited for above.
        live.read_at
            .map(|at| at + resync_period(context, station))
            .filter(|due| *due > now)
            .map(until),
    ];
    match waits.into_iter().flatten().min() {
        Some(wait) => Action::requeue(wait.max(Duration::from_millis(20))),
        None => Action::await_change(),
    }
}
