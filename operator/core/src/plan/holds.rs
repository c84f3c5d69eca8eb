//! Holds: why a write that the table wants cannot be sent now.
//!
//! The first that holds is told: the mode; what holds the whole station; the pause between attempts; the connection is
//! not safe enough for this key; a driver may be using the station; no Reset may follow. Whether another key has to go
//! first is for [`super::order`].

use jiff::Timestamp;

use super::case::Case;
use super::evidence::same_text;
use super::ground::Ground;
use super::table::Ruling;
use crate::catalogue::{After, Definition, Direction};
use crate::layer::{Mode, SettingValue};
use crate::memory::{Answer, Falls, Until, WriteMemory};
use crate::state::{Reason, State};
use crate::value::whole_number;
use crate::words::Key;

/// Why a write cannot be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) reason: Reason,
    /// It ends by itself at this time.
    pub(super) until: Option<Timestamp>,
    /// It ends with this pass.
    pub(super) next_pass: bool,
    /// The key that it waits for (AfterAnotherKey).
    pub(super) other: Option<Key>,
}

impl Hold {
    pub(super) fn because(reason: Reason) -> Self {
        Self {
            reason,
            until: None,
            next_pass: false,
            other: None,
        }
    }

    pub(super) fn until(at: Timestamp) -> Self {
        Self {
            until: Some(at),
            ..Self::because(Reason::BackingOff)
        }
    }

    /// Does it end without a person, a boot, a driver or a connection?
    pub(super) fn ends_by_itself(&self) -> bool {
        self.until.is_some() || self.next_pass
    }
}

/// Why the write of a desired key cannot be sent now.
pub(super) fn hold(case: &Case<'_>, ground: &Ground<'_>) -> Option<Hold> {
    if case.setting.mode() == Mode::Report {
        return Some(Hold::because(Reason::Reported));
    }
    of_write(
        case.setting.key(),
        case.setting.definition(),
        case.setting.is_secret(),
        case.write,
        case.falls(),
        ground,
    )
}

/// Why a write cannot be sent now, whoever wants it.
pub(super) fn of_write(
    key: &Key,
    definition: &Definition,
    secret: bool,
    write: Option<&WriteMemory>,
    falls: Option<&Falls>,
    ground: &Ground<'_>,
) -> Option<Hold> {
    let critical = definition.is_connection_critical();
    if let Some(reason) = ground.hold {
        Some(Hold::because(reason))
    } else if let Some(at) = pause(write, falls, ground) {
        Some(Hold::until(at))
    } else if (secret || critical) && !ground.station.authenticated {
        Some(Hold::because(Reason::Unauthenticated))
    } else if ground.waits_for_driver(key, definition) {
        Some(Hold::because(Reason::Busy))
    } else if critical && ground.owes(definition) == Some(Until::Boot) {
        Some(Hold::because(Reason::NoResetMayFollow))
    } else {
        None
    }
}

fn pause(
    write: Option<&WriteMemory>,
    falls: Option<&Falls>,
    ground: &Ground<'_>,
) -> Option<Timestamp> {
    let after_write = write
        .filter(|write| write.attempts > 0)
        // The process that meant to write ended, perhaps before it did. That is no failure of the station's, and it has
        // been read since: a successor goes on at once, once.
        .filter(|write| write.answer != Answer::Intended || write.attempts > 1)
        .map(|write| ground.next_attempt(write.at, write.attempts));
    let after_fall = falls.map(|falls| ground.next_attempt(falls.at, falls.count));
    after_write.max(after_fall).filter(|&at| at > ground.now)
}

/// The keys that are to be written before this one, going the way that it goes.
pub(super) fn first_ones(case: &Case<'_>) -> Vec<Key> {
    let Some(after) = &case.setting.definition().after else {
        return Vec::new();
    };
    after
        .value
        .iter()
        .filter(|after| goes_that_way(case, after))
        .map(|after| after.key.clone())
        .collect()
}

fn goes_that_way(case: &Case<'_>, after: &After) -> bool {
    let (SettingValue::Plain(desired), Some(shown)) = (case.setting.value(), case.observed())
    else {
        return after.when == Direction::Any;
    };
    match (after.when, whole_number(desired), whole_number(shown)) {
        (Direction::Any, _, _) => !same_text(case.setting.definition(), desired, shown),
        (Direction::Raising, Some(desired), Some(shown)) => desired > shown,
        (Direction::Lowering, Some(desired), Some(shown)) => desired < shown,
        (Direction::Raising | Direction::Lowering, _, _) => false,
    }
}

/// Those of the first ones that are not in sync yet: a rejection may come from that.
pub(super) fn unmet(first: &[Key], cases: &[Case<'_>], rulings: &[Ruling]) -> Vec<Key> {
    managed(first, cases, rulings, |state| state == State::InSync)
}

/// Those of the first ones that are still to be written, or read, or to be given up.
pub(super) fn unsettled(first: &[Key], cases: &[Case<'_>], rulings: &[Ruling]) -> Vec<Key> {
    managed(first, cases, rulings, Case::is_settled)
}

/// The managed ones whose state is not good enough.
fn managed(
    first: &[Key],
    cases: &[Case<'_>],
    rulings: &[Ruling],
    good: impl Fn(State) -> bool,
) -> Vec<Key> {
    let state = |key: &Key| {
        let at = cases
            .iter()
            .position(|case| case.setting.key().matches(key))?;
        Some(rulings[at].state)
    };
    first
        .iter()
        .filter(|key| state(key).is_some_and(|state| !good(state)))
        .cloned()
        .collect()
}
