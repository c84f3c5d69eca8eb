//! Order: which write goes before which, and which waits for the next pass.
//!
//! A key that has to follow another is written after it, and not at all while that one is still to be settled.
//! Connection-critical keys go last and alone: only when nothing else is under way, one in a pass. Among equals the
//! names decide, so that the order of layers and settings does not matter.

use std::collections::BTreeSet;

use super::Change;
use super::holds::Hold;
use crate::state::Reason;
use crate::words::Key;

/// A write that nothing holds but, maybe, other writes.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) change: Change,
    /// Keys to be written before it.
    pub(super) after: Vec<Key>,
    /// Of these, the managed ones that are not settled.
    pub(super) unsettled: Vec<Key>,
}

/// The changes of this pass, in order, and the others with the reason why they wait.
pub(super) struct Ordered {
    pub(super) changes: Vec<Change>,
    pub(super) waiting: Vec<(Key, Hold)>,
}

/// Orders. `unfinished`: other keys will be tried again by themselves, after a pause. What is not remembered yet needs
/// room in memory, which is bounded: what finds none waits for the next pass, when other keys are in sync and forgotten.
pub(super) fn order(
    mut candidates: Vec<Candidate>,
    unfinished: bool,
    is_remembered: impl Fn(&Key) -> bool,
    room: usize,
) -> Ordered {
    candidates.sort_by(|a, b| a.change.key.cmp(&b.change.key));
    let mut waiting = Vec::new();
    drop_blocked(&mut candidates, &mut waiting);
    let chosen = choose(candidates, unfinished, &mut waiting);
    let mut room = room;
    let mut changes = Vec::with_capacity(chosen.len());
    for change in sorted(chosen) {
        if is_remembered(&change.key) {
            changes.push(change);
        } else if room > 0 {
            room -= 1;
            changes.push(change);
        } else {
            let hold = Hold {
                next_pass: true,
                ..Hold::because(Reason::Budget)
            };
            waiting.push((change.key, hold));
        }
    }
    Ordered { changes, waiting }
}

/// Takes out what has to follow a key that is neither settled nor written in this pass; and what follows that.
fn drop_blocked(candidates: &mut Vec<Candidate>, waiting: &mut Vec<(Key, Hold)>) {
    loop {
        let going: Vec<Key> = candidates
            .iter()
            .map(|candidate| candidate.change.key.clone())
            .collect();
        let blocker = |candidate: &Candidate| {
            let goes = |key: &Key| going.iter().any(|going| going.matches(key));
            candidate.unsettled.iter().find(|key| !goes(key)).cloned()
        };
        let before = candidates.len();
        candidates.retain(|candidate| match blocker(candidate) {
            Some(other) => {
                let hold = Hold {
                    other: Some(other),
                    ..Hold::because(Reason::AfterAnotherKey)
                };
                waiting.push((candidate.change.key.clone(), hold));
                false
            }
            None => true,
        });
        if candidates.len() == before {
            return;
        }
    }
}

/// All that cannot cut the link; or, when there is nothing of that, the first that can, alone.
fn choose(
    candidates: Vec<Candidate>,
    unfinished: bool,
    waiting: &mut Vec<(Key, Hold)>,
) -> Vec<Candidate> {
    let critical: BTreeSet<Key> = candidates
        .iter()
        .filter(|candidate| candidate.change.expect_disconnect)
        .map(|candidate| candidate.change.key.clone())
        .collect();
    if critical.is_empty() {
        return candidates;
    }
    let mut late = critical;
    loop {
        let more: Vec<Key> = candidates
            .iter()
            .filter(|candidate| !late.contains(&candidate.change.key))
            .filter(|candidate| {
                candidate
                    .after
                    .iter()
                    .any(|key| late.iter().any(|late| late.matches(key)))
            })
            .map(|candidate| candidate.change.key.clone())
            .collect();
        if more.is_empty() {
            break;
        }
        late.extend(more);
    }
    let (late, early): (Vec<_>, Vec<_>) = candidates
        .into_iter()
        .partition(|candidate| late.contains(&candidate.change.key));
    let mut postpone = |candidates: Vec<Candidate>| {
        for candidate in candidates {
            let hold = Hold {
                next_pass: true,
                ..Hold::because(Reason::AfterAnotherKey)
            };
            waiting.push((candidate.change.key, hold));
        }
    };
    if !early.is_empty() || unfinished {
        postpone(late);
        return early;
    }
    let (mut alone, followers): (Vec<_>, Vec<_>) = late
        .into_iter()
        .partition(|candidate| candidate.change.expect_disconnect);
    // Of several, first one that does not have to follow another of them.
    let keys: Vec<Key> = alone
        .iter()
        .map(|candidate| candidate.change.key.clone())
        .collect();
    let free = alone.iter().position(|candidate| {
        !candidate
            .after
            .iter()
            .any(|key| keys.iter().any(|other| other.matches(key)))
    });
    let first = alone.remove(free.unwrap_or(0));
    postpone(alone);
    postpone(followers);
    vec![first]
}

/// By name, but each after those that it has to follow. A circle is broken at the least name.
fn sorted(mut left: Vec<Candidate>) -> Vec<Change> {
    let mut changes = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let keys: Vec<Key> = left
            .iter()
            .map(|candidate| candidate.change.key.clone())
            .collect();
        let is_free = |candidate: &Candidate| {
            let goes_first = |key: &Key| {
                keys.iter()
                    .any(|other| other.matches(key) && *other != candidate.change.key)
            };
            !candidate.after.iter().any(goes_first)
        };
        let next = left.iter().position(is_free).unwrap_or(0);
        changes.push(left.remove(next).change);
    }
    changes
}
