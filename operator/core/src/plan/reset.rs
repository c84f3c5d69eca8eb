//! What a Reset would serve. Whether and when one is sent is decided elsewhere.

use jiff::Timestamp;

use super::PendingReset;
use super::case::Case;
use super::table::Ruling;
use crate::fnv::Fnv;
use crate::memory::{Memory, RememberedValue};
use crate::state::{Reason, State};
use crate::words::{Device, Key};

/// The keys that wait for a boot, if any do. A key of which nobody knows whether it needs one goes along, and is never
/// the sole ground (row 17).
pub(super) fn pending(
    cases: &[Case<'_>],
    rulings: &[Ruling],
    memory: &Memory,
) -> Option<PendingReset> {
    let waiting: Vec<(&Case<'_>, Reason)> = cases
        .iter()
        .zip(rulings)
        .filter(|(_, ruling)| {
            ruling.state == State::ResetPending && ruling.reason != Reason::Superseding
        })
        .map(|(case, ruling)| (case, ruling.reason))
        .collect();
    let grounds = || {
        waiting
            .iter()
            .filter(|(_, reason)| *reason != Reason::MayNeedReset)
    };
    let since = grounds().filter_map(|(case, _)| written_at(case)).min()?;
    let mut id = Fnv::new();
    let Device {
        vendor,
        model,
        serial,
        box_serial,
    } = &memory.device;
    for fact in [vendor, model, serial, box_serial] {
        id.field(fact.as_deref().unwrap_or_default());
    }
    id.number(memory.boot);
    for (case, _) in grounds() {
        id.field(case.setting.key().as_str());
        match case.desired_value() {
            RememberedValue::Plain(value) => id.field(&value),
            RememberedValue::Secret(version) => id.field(&version.0),
        };
    }
    let keys: Vec<Key> = waiting
        .iter()
        .map(|(case, _)| case.setting.key().clone())
        .collect();
    let reconnect_suffices = grounds().all(|(_, reason)| *reason == Reason::AwaitingReconnect);
    Some(PendingReset {
        id: format!("{:08x}", id.folded()),
        keys,
        since,
        reconnect_suffices,
    })
}

fn written_at(case: &Case<'_>) -> Option<Timestamp> {
    case.owed()
        .map(|owed| owed.at)
        .or_else(|| case.write.map(|write| write.at))
}
