//! Transitions: what changed between two tellings of one station, for Events and histories.

use std::collections::BTreeMap;

use crate::plan::{KeyVerdict, in_sync_message};
use crate::state::{Reason, State};
use crate::words::Key;

/// A key's change of state or reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The key.
    pub key: Key,
    /// Its state before; `None`: it was not managed.
    pub from: Option<State>,
    /// Its state now.
    pub to: State,
    /// Why.
    pub reason: Reason,
    /// For people; no secrets.
    pub message: String,
}

/// What changed, sorted by key. Keys that are no longer managed have nothing to tell.
pub fn transitions(before: &[KeyVerdict], after: &[KeyVerdict]) -> Vec<Transition> {
    let before: BTreeMap<&Key, &KeyVerdict> = before
        .iter()
        .map(|verdict| (&verdict.key, verdict))
        .collect();
    let mut changed: Vec<Transition> = after
        .iter()
        .filter_map(|verdict| {
            let former = before.get(&verdict.key);
            let same = former.is_some_and(|former| {
                (former.state, former.reason) == (verdict.state, verdict.reason)
            });
            (!same).then(|| transition(former.map(|former| former.state), verdict))
        })
        .collect();
    changed.sort_by(|a, b| a.key.cmp(&b.key));
    changed
}

fn transition(from: Option<State>, verdict: &KeyVerdict) -> Transition {
    let message = if verdict.state == State::InSync {
        in_sync_message(verdict)
    } else {
        verdict.message.clone()
    };
    Transition {
        key: verdict.key.clone(),
        from,
        to: verdict.state,
        reason: verdict.reason,
        message,
    }
}
