//! Reading: which keys have to be read before anything can be decided.
//!
//! The managed keys by name, and what their rules compare with. Not: keys whose reads decide nothing, keys that are not
//! for this station, and keys over which the station fell.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::case::Case;
use super::ground::Ground;
use crate::catalogue::{Profile, ValueType};
use crate::observed::Reading;
use crate::state::State;
use crate::validate::{Desired, DesiredSetting, PROFILES};
use crate::words::Key;

/// What is to be read.
pub(super) struct ToRead {
    /// Now, by name.
    pub(super) now: Vec<Key>,
    /// More at this time.
    pub(super) later: Option<Timestamp>,
}

/// What is missing, as far as the station may be asked.
pub(super) fn missing(ground: &Ground<'_>, desired: &Desired, cases: &[Case<'_>]) -> ToRead {
    let mut wanted = ToRead {
        now: Vec::new(),
        later: None,
    };
    if !ground.askable {
        return wanted;
    }
    for case in cases.iter().filter(|case| is_wanted(case)) {
        let fallen = case
            .falls()
            .map(|falls| ground.next_attempt(falls.at, falls.count));
        let reading = case.reading.filter(|_| ground.fresh);
        wanted.want(ground, case.setting.key(), reading, fallen);
    }
    for companion in companions(ground, desired) {
        wanted.want(ground, &companion, ground.fresh_reading(&companion), None);
    }
    wanted.now.sort();
    wanted.now.dedup();
    wanted
}

impl ToRead {
    /// Asks for a key, unless a reading of it is at hand, or the last try is too recent.
    pub(super) fn want(
        &mut self,
        ground: &Ground<'_>,
        key: &Key,
        reading: Option<&Reading>,
        not_before: Option<Timestamp>,
    ) {
        let failed = match reading {
            Some(Reading::Failed { at, .. }) => Some(ground.next_attempt(*at, 1)),
            Some(
                Reading::Known { .. }
                | Reading::Unknown
                | Reading::Unreported
                | Reading::Ambiguous { .. },
            ) => return,
            None => None,
        };
        match failed.max(not_before).filter(|&at| at > ground.now) {
            Some(at) => self.later = self.later.into_iter().chain([at]).min(),
            None => self.now.push(key.clone()),
        }
    }
}

fn is_wanted(case: &Case<'_>) -> bool {
    let not_for_it = case
        .setting
        .barrier
        .as_ref()
        .is_some_and(|barrier| barrier.state == State::NotApplicable);
    let quarantined = case.falls().is_some_and(|falls| {
        falls.count >= case.quarantine_after && falls.call == "GetConfiguration"
    });
    !case.hidden && !not_for_it && !quarantined
}

/// Keys that are not managed, and that a rule about a managed one compares with.
fn companions(ground: &Ground<'_>, desired: &Desired) -> BTreeSet<Key> {
    let mut companions = BTreeSet::new();
    for setting in desired.settings.values() {
        let of_value = [list_bound(setting), number_bound(setting)];
        companions.extend(
            of_value
                .into_iter()
                .flatten()
                .map(|key| desired.catalogue.canonical(key)),
        );
        let profile = setting.definition().profile();
        if ground.station.profiles.is_none()
            && profile.is_some_and(|profile| profile != Profile::Core)
        {
            companions.insert(Key::from(PROFILES));
        }
    }
    companions.retain(|key| !desired.settings.contains_key(key));
    companions
}

/// A list of one item is safe whatever the station's bound.
fn list_bound(setting: &DesiredSetting) -> Option<&Key> {
    let is_list = setting.definition().value_type() == Some(ValueType::List);
    let several = setting
        .shown_value()
        .is_some_and(|value| value.contains(','));
    setting
        .definition()
        .max_items_key
        .as_ref()
        .filter(|_| is_list && several)
        .map(|fact| &fact.value)
}

fn number_bound(setting: &DesiredSetting) -> Option<&Key> {
    setting
        .definition()
        .at_most_key
        .as_ref()
        .map(|fact| &fact.value)
}
