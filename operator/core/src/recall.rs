//! Recall: what still holds of a station that this process has never seen, from what status keeps.
//!
//! An offline station keeps its last states, marked stale; that must hold across a restart of ours, although what it
//! reported is not kept (section 6 of the design). What follows from the configs alone is not recalled: it is decided anew
//! without asking the station, and a person may have mended it meanwhile.

use std::collections::BTreeMap;

use crate::memory::Memory;
use crate::plan::KeyVerdict;
use crate::state::{Reason, State};
use crate::status::{Condition, Deviation};
use crate::validate::Desired;
use crate::words::{Key, Text};

/// The verdicts of an offline station that was never read by this process: in sync where memory says so, else as status
/// told last if it told of this very desired value, else as planned without an observation.
pub fn remembered(
    desired: &Desired,
    memory: &Memory,
    deviations: &[Deviation],
    planned: Vec<KeyVerdict>,
) -> Vec<KeyVerdict> {
    let told = by_key(deviations);
    planned
        .into_iter()
        .map(|verdict| {
            let nothing_decided = matches!(
                verdict.state,
                State::Unknown | State::Pending | State::Drifted
            );
            let setting = desired.settings.get(&verdict.key);
            let Some(setting) =
                setting.filter(|setting| nothing_decided && setting.barrier.is_none())
            else {
                return verdict;
            };
            if crate::plan::was_in_sync(memory, setting) {
                let observed = verdict.desired.clone();
                let message = format!("{} was in sync when the station was last read", verdict.key);
                return KeyVerdict {
                    state: State::InSync,
                    reason: Reason::Equal,
                    message,
                    observed,
                    ..verdict
                };
            }
            match told.get(&verdict.key) {
                // A key that was never read has nothing to remember, and why it was not may have changed since.
                Some(told)
                    if told.desired.as_deref() == verdict.desired.as_deref()
                        && told.state != State::Unknown
                        && !is_by_config(told) =>
                {
                    as_told(told, verdict)
                }
                Some(_) | None => verdict,
            }
        })
        .collect()
}

/// The verdicts of a station whose line has just gone and may be back in a moment: what was told last is told on, so that
/// a short loss of the line is neither told nor written.
pub fn unbroken(deviations: &[Deviation], planned: Vec<KeyVerdict>) -> Vec<KeyVerdict> {
    let told = by_key(deviations);
    planned
        .into_iter()
        .map(|verdict| match told.get(&verdict.key) {
            Some(told) if holds_on(told, &verdict) => as_told(told, verdict),
            Some(_) | None => verdict,
        })
        .collect()
}

fn by_key(deviations: &[Deviation]) -> BTreeMap<&Key, &Deviation> {
    deviations
        .iter()
        .map(|deviation| (&deviation.key, deviation))
        .collect()
}

/// Does a verdict differ from what was told only by the line?
fn holds_on(told: &Deviation, verdict: &KeyVerdict) -> bool {
    let by_the_line = (verdict.reason == Reason::Offline && !is_by_config(told))
        || (told.state, told.reason) == (verdict.state, verdict.reason);
    by_the_line
        && told.desired.as_deref() == verdict.desired.as_deref()
        && told.observed.as_deref() == verdict.observed.as_deref()
}

/// Did what was told follow from the configs, whatever the station showed? (Rows 1 and 2 of the table.)
fn is_by_config(told: &Deviation) -> bool {
    matches!(
        told.state,
        State::NotApplicable
            | State::Invalid
            | State::Conflict
            | State::NeedsConsent
            | State::SecretMissing
    ) || matches!(
        told.reason,
        Reason::Suspended
            | Reason::Paused
            | Reason::ConfigInvalid
            | Reason::ConfigUnreadable
            | Reason::ConfigUndecidable
    )
}

fn as_told(told: &Deviation, verdict: KeyVerdict) -> KeyVerdict {
    KeyVerdict {
        state: told.state,
        reason: told.reason,
        message: told.message.clone(),
        observed: told.observed.as_deref().map(Text::from),
        ..verdict
    }
}

/// The conditions of a station that is not served at all: a person has to act.
pub fn refused(reason: &str, message: &str) -> Vec<Condition> {
    let condition = |kind: &str, status: &str| Condition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
    };
    vec![
        condition("Ready", "False"),
        condition("InSync", "Unknown"),
        condition("Connected", "False"),
        condition("Stalled", "True"),
    ]
}
