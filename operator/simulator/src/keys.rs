//! The key table of one station: what it holds, what a write does to it, what a boot does to it.
//!
//! In come keys, values and the faults that are on; out come values and the answers to writes. The definitions are
//! shared by all stations of a kind; a station holds only what differs from them. No protocol here.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::fault::{FaultKind, FaultSet};
use crate::profile::{Access, BootAnswer, Effect, KeyDefinition, Shown, StationProfile};
use crate::stats::WriteStatus;
use crate::value::{self, Taken};

/// The keys of one station.
#[derive(Clone, Debug)]
pub(crate) struct KeyTable {
    profile: Arc<StationProfile>,
    /// What differs from the profile, by position in it.
    changed: BTreeMap<usize, Cell>,
}

/// What a station holds for a key that is not as delivered.
#[derive(Clone, Debug, Default)]
struct Cell {
    /// What is in effect; `None`: as delivered.
    effective: Option<String>,
    /// What a boot will bring into effect.
    owed: Option<String>,
    /// Lost at the next boot.
    volatile: bool,
}

/// A key as a person at the station would see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// The value that is in effect; `None`: none.
    pub effective: Option<String>,
    /// The value that a boot will bring into effect.
    pub owed: Option<String>,
    /// May it be written?
    pub access: Access,
}

impl KeyTable {
    pub(crate) fn new(profile: Arc<StationProfile>) -> Self {
        Self {
            profile,
            changed: BTreeMap::new(),
        }
    }

    pub(crate) fn profile(&self) -> &StationProfile {
        &self.profile
    }

    pub(crate) fn definition(&self, position: usize) -> &KeyDefinition {
        &self.profile.keys()[position]
    }

    /// Gives the station a second key whose name differs only in case.
    pub(crate) fn add_twin(&mut self, key: &str) {
        let Some(&position) = self.profile.folded(key).first() else {
            return;
        };
        let original = self.definition(position);
        let folded = original.key.to_ascii_lowercase();
        let name = if folded == original.key {
            original.key.to_ascii_uppercase()
        } else {
            folded
        };
        if self.profile.exact(&name).is_none() {
            let twin = KeyDefinition {
                key: name,
                twin: true,
                ..original.clone()
            };
            self.profile = Arc::new(self.profile.with_key(twin));
        }
    }

    /// Is the key there, given the faults that are on?
    pub(crate) fn visible(&self, position: usize, faults: &FaultSet) -> bool {
        let definition = self.definition(position);
        (!definition.twin || faults.on_key(FaultKind::CaseTwin, &definition.key))
            && !(faults.has(FaultKind::NoMaxKeys)
                && definition
                    .key
                    .eq_ignore_ascii_case("GetConfigurationMaxKeys"))
    }

    /// The name as the station spells it.
    pub(crate) fn spelling<'a>(
        &self,
        definition: &'a KeyDefinition,
        faults: &FaultSet,
    ) -> std::borrow::Cow<'a, str> {
        let mut letters = definition.key.chars();
        match letters.next() {
            Some(first) if faults.has(FaultKind::OwnKeyCase) => std::borrow::Cow::Owned(format!(
                "{}{}",
                first.to_ascii_lowercase(),
                letters.as_str()
            )),
            Some(_) | None => std::borrow::Cow::Borrowed(&definition.key),
        }
    }

    /// Where a key that is asked for stands.
    pub(crate) fn find(&self, key: &str, faults: &FaultSet) -> Option<usize> {
        if faults.is_empty()
            && let Some(position) = self.profile.exact(key)
            && !self.definition(position).twin
        {
            return Some(position);
        }
        let mut found = self
            .profile
            .folded(key)
            .iter()
            .copied()
            .filter(|&position| self.visible(position, faults));
        if faults.has(FaultKind::ExactKeyCase) {
            return found.find(|&position| self.spelling(self.definition(position), faults) == key);
        }
        // Of two that differ only in case, the exact one; else the first.
        found
            .clone()
            .find(|&position| self.definition(position).key == key)
            .or_else(|| found.next())
    }

    /// Where a key that is written stands: some stations read ignoring case, and write only in their own spelling.
    fn find_to_write(&self, key: &str, faults: &FaultSet) -> Option<usize> {
        self.find(key, faults).filter(|&position| {
            !faults.has(FaultKind::OwnKeyCase)
                || self.spelling(self.definition(position), faults) == key
        })
    }

    /// What is in effect, as it is stored.
    pub(crate) fn effective(&self, position: usize) -> Option<&str> {
        let changed = self
            .changed
            .get(&position)
            .and_then(|cell| cell.effective.as_deref());
        changed.or_else(|| self.definition(position).value.as_deref())
    }

    /// What is in effect for the key of this name: the one of exactly that name, else the first ignoring case.
    pub(crate) fn effective_named(&self, key: &str) -> Option<&str> {
        let position = self
            .profile
            .exact(key)
            .or_else(|| self.profile.folded(key).first().copied());
        self.effective(position?)
    }

    /// What the station answers to a read: what is stored, which need not be in effect yet.
    pub(crate) fn shown(&self, position: usize, faults: &FaultSet) -> Option<&str> {
        let definition = self.definition(position);
        let owed = self
            .changed
            .get(&position)
            .and_then(|cell| cell.owed.as_deref());
        let shown = match definition.before_boot {
            _ if faults.has(FaultKind::ShowsNewValueBeforeReset) => Shown::New,
            _ if faults.has(FaultKind::ShowsOldValueBeforeReset) => Shown::Old,
            shown => shown,
        };
        match shown {
            Shown::New => owed.or_else(|| self.effective(position)),
            Shown::Old => self.effective(position),
        }
    }

    /// What is stored: what a boot will bring into effect, else what is in effect.
    fn stored(&self, position: usize) -> Option<&str> {
        let owed = self
            .changed
            .get(&position)
            .and_then(|cell| cell.owed.as_deref());
        owed.or_else(|| self.effective(position))
    }

    /// Is a number greater than what the key that limits it holds?
    fn exceeds_its_limit(&self, definition: &KeyDefinition, stored: &str) -> bool {
        let limit = definition
            .at_most_key
            .as_ref()
            .and_then(|key| self.profile.exact(key))
            .and_then(|position| self.stored(position)?.parse::<f64>().ok());
        match (limit, stored.parse::<f64>()) {
            (Some(limit), Ok(number)) => number > limit,
            (None, _) | (Some(_), Err(_)) => false,
        }
    }

    /// Do booleans go out as digits, because the key that says so is on?
    pub(crate) fn digits_asked(&self) -> bool {
        let key = self.profile.boolean_digits_key.as_ref();
        key.and_then(|key| self.profile.exact(key))
            .and_then(|position| self.effective(position))
            == Some("true")
    }

    /// All keys that are there, in the station's order.
    pub(crate) fn positions(&self, faults: &FaultSet) -> Vec<usize> {
        (0..self.profile.keys().len())
            .filter(|&position| self.visible(position, faults))
            .collect()
    }

    /// All keys as a person at the station would see them.
    pub(crate) fn snapshot(&self, faults: &FaultSet) -> BTreeMap<String, KeyState> {
        let state = |position: usize| KeyState {
            effective: self.effective(position).map(str::to_owned),
            owed: self
                .changed
                .get(&position)
                .and_then(|cell| cell.owed.clone()),
            access: self.definition(position).access,
        };
        self.positions(faults)
            .into_iter()
            .map(|position| (self.definition(position).key.clone(), state(position)))
            .collect()
    }

    /// Would a write bring a value that the station has, or will have after its boot?
    pub(crate) fn is_equal_write(&self, position: usize, raw: &str) -> bool {
        self.stored(position).is_some_and(|current| {
            value::same(&self.profile, self.definition(position), current, raw)
        })
    }

    /// Where a key that may be written to stands, for those who judge the writer.
    pub(crate) fn target(&self, key: &str, faults: &FaultSet) -> Option<(usize, &KeyDefinition)> {
        self.find_to_write(key, faults)
            .map(|position| (position, self.definition(position)))
    }

    /// Carries out a ChangeConfiguration.
    ///
    /// | the key is | answer | stored |
    /// |---|---|---|
    /// | not there | NotSupported, or Rejected by habit | nothing |
    /// | read-only, or rejects the value | Rejected, or NotSupported by habit | nothing |
    /// | fixed | Accepted | nothing |
    /// | effective after a boot | RebootRequired, or Accepted by habit | owed |
    /// | any other | Accepted | in effect |
    pub(crate) fn write(&mut self, key: &str, raw: &str, faults: &FaultSet) -> WriteStatus {
        let Some(position) = self.find_to_write(key, faults) else {
            return if faults.has(FaultKind::WrongUnknownKey) {
                WriteStatus::Rejected
            } else {
                WriteStatus::NotSupported
            };
        };
        let refused = if faults.has(FaultKind::NotSupportedForRejected) {
            WriteStatus::NotSupported
        } else {
            WriteStatus::Rejected
        };
        let definition = &self.profile.keys()[position];
        match (definition.access, definition.effect) {
            (_, Effect::NotSupported) => return WriteStatus::NotSupported,
            (Access::ReadOnly, _) | (_, Effect::RejectAlways) => return refused,
            _ if definition.once && self.stored(position).is_some_and(|own| !own.is_empty()) => {
                return refused;
            }
            (Access::ReadWrite | Access::WriteOnly, _) => {}
        }
        let stored = match value::take(&self.profile, definition, raw, faults) {
            Taken::Stored(stored) => stored,
            Taken::Ignored => return WriteStatus::Accepted,
            Taken::Refused => return refused,
        };
        if self.exceeds_its_limit(definition, &stored) {
            return refused;
        }
        if definition.effect == Effect::Fixed
            || faults.on_key(FaultKind::AcceptsAndIgnores, &definition.key)
        {
            return WriteStatus::Accepted;
        }
        let equal = self.is_equal_write(position, raw);
        let after_boot = definition.effect == Effect::AfterReset
            || faults.on_key(FaultKind::NeedsReset, &definition.key);
        let volatile = definition.effect == Effect::Volatile
            || faults.on_key(FaultKind::RevertsAfterBoot, &definition.key)
            || definition.clears_itself;
        let boot_answer = match definition.boot_answer {
            BootAnswer::RebootRequired if !faults.has(FaultKind::HidesRebootRequired) => {
                WriteStatus::RebootRequired
            }
            BootAnswer::RebootRequired | BootAnswer::Accepted => WriteStatus::Accepted,
        };
        let no_change_answer = if faults.has(FaultKind::RebootRequiredForEqual) {
            WriteStatus::RebootRequired
        } else {
            WriteStatus::Accepted
        };
        let original = definition.value.as_deref();
        let cell = self.changed.entry(position).or_default();
        cell.volatile |= volatile;
        if after_boot {
            let in_effect = cell.effective.as_deref().or(original) == Some(stored.as_str());
            if in_effect && cell.owed.take().is_none() {
                return no_change_answer;
            }
            if !in_effect {
                cell.owed = Some(stored);
            }
            boot_answer
        } else {
            cell.owed = None;
            cell.effective = Some(stored);
            if equal {
                no_change_answer
            } else {
                WriteStatus::Accepted
            }
        }
    }

    /// Someone at the station, or another system, sets a key: no checks, in effect at once. `false`: no such key.
    pub(crate) fn put(&mut self, key: &str, raw: &str) -> bool {
        let position = self
            .profile
            .exact(key)
            .or_else(|| self.profile.folded(key).first().copied());
        let Some(position) = position else {
            return false;
        };
        self.changed.insert(
            position,
            Cell {
                effective: Some(raw.to_owned()),
                owed: None,
                volatile: false,
            },
        );
        true
    }

    /// A boot: owed values come into effect, volatile ones are lost.
    pub(crate) fn boot(&mut self) {
        self.changed.retain(|_, cell| !cell.volatile);
        for cell in self.changed.values_mut() {
            if let Some(owed) = cell.owed.take() {
                cell.effective = Some(owed);
            }
        }
    }

    /// Everything is as delivered again.
    pub(crate) fn forget(&mut self) {
        self.changed.clear();
    }

    /// One key is as delivered again.
    pub(crate) fn forget_key(&mut self, key: &str) {
        for &position in self.profile.folded(key) {
            self.changed.remove(&position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(texts: &[&str]) -> FaultSet {
        FaultSet::new(
            &texts
                .iter()
                .map(|text| text.parse().unwrap())
                .collect::<Vec<_>>(),
        )
    }

    struct Given {
        table: KeyTable,
        faults: FaultSet,
    }

    fn given(texts: &[&str]) -> Given {
        let mut table = KeyTable::new(StationProfile::standard());
        let faults = faults(texts);
        for fault in faults
            .iter()
            .filter(|fault| fault.kind() == FaultKind::CaseTwin)
        {
            table.add_twin(fault.key().unwrap());
        }
        Given { table, faults }
    }

    impl Given {
        fn write(&mut self, key: &str, value: &str, expect: WriteStatus) -> &mut Self {
            assert_eq!(
                self.table.write(key, value, &self.faults),
                expect,
                "{key}={value}"
            );
            self
        }

        fn shows(&mut self, key: &str, expect: Option<&str>) -> &mut Self {
            let shown = self
                .table
                .find(key, &self.faults)
                .and_then(|at| self.table.shown(at, &self.faults));
            assert_eq!(shown, expect, "{key}");
            self
        }

        fn boot(&mut self) -> &mut Self {
            self.table.boot();
            self
        }
    }

    #[test]
    fn a_write_takes_effect_and_stays() {
        given(&[])
            .write("HeartbeatInterval", "900", WriteStatus::Accepted)
            .shows("heartbeatinterval", Some("900"))
            .boot()
            .shows("HeartbeatInterval", Some("900"));
    }

    #[test]
    fn unknown_read_only_and_bad_values_are_refused() {
        given(&[])
            .write("Nothing", "1", WriteStatus::NotSupported)
            .write("NumberOfConnectors", "1", WriteStatus::Rejected)
            .write("HeartbeatInterval", "x", WriteStatus::Rejected);
        given(&["wrong-unknown-key", "not-supported-for-rejected"])
            .write("Nothing", "1", WriteStatus::Rejected)
            .write("HeartbeatInterval", "x", WriteStatus::NotSupported);
    }

    #[test]
    fn a_key_that_needs_a_boot_shows_the_new_or_the_old_value_before() {
        given(&["needs-reset:ResetRetries"])
            .write("ResetRetries", "5", WriteStatus::RebootRequired)
            .shows("ResetRetries", Some("5"));
        given(&["needs-reset:ResetRetries", "shows-old-value-before-reset"])
            .write("ResetRetries", "5", WriteStatus::RebootRequired)
            .shows("ResetRetries", Some("2"))
            .boot()
            .shows("ResetRetries", Some("5"));
    }

    #[test]
    fn a_fault_outranks_what_the_profile_shows_before_a_boot() {
        let definition = KeyDefinition {
            key: "Slow".to_owned(),
            value: Some("a".to_owned()),
            effect: Effect::AfterReset,
            before_boot: Shown::Old,
            ..KeyDefinition::default()
        };
        let profile = Arc::new(StationProfile::standard().with_key(definition));
        for (fault, shown) in [(None, "a"), (Some("shows-new-value-before-reset"), "b")] {
            let mut station = given(&fault.into_iter().collect::<Vec<_>>());
            station.table = KeyTable::new(profile.clone());
            station
                .write("Slow", "b", WriteStatus::RebootRequired)
                .shows("Slow", Some(shown));
        }
    }

    #[test]
    fn writing_back_what_is_in_effect_ends_the_debt() {
        let mut station = given(&["needs-reset:ResetRetries"]);
        station
            .write("ResetRetries", "5", WriteStatus::RebootRequired)
            .write("ResetRetries", "2", WriteStatus::RebootRequired)
            .boot()
            .shows("ResetRetries", Some("2"));
    }

    #[test]
    fn a_value_may_be_ignored_lost_or_answered_in_another_way() {
        given(&["accepts-and-ignores:ResetRetries"])
            .write("ResetRetries", "5", WriteStatus::Accepted)
            .shows("ResetRetries", Some("2"));
        given(&["reverts-after-boot:ResetRetries"])
            .write("ResetRetries", "5", WriteStatus::Accepted)
            .shows("ResetRetries", Some("5"))
            .boot()
            .shows("ResetRetries", Some("2"));
        given(&["reboot-required-for-equal"])
            .write("ResetRetries", "5", WriteStatus::Accepted)
            .write("ResetRetries", "5", WriteStatus::RebootRequired);
        given(&["needs-reset:ResetRetries", "hides-reboot-required"]).write(
            "ResetRetries",
            "5",
            WriteStatus::Accepted,
        );
    }

    fn station(kind: &str) -> Given {
        Given {
            table: KeyTable::new(StationProfile::built_in(kind).unwrap()),
            faults: faults(&[]),
        }
    }

    #[test]
    fn a_key_that_can_be_set_once_is_refused_the_second_time() {
        station("bender")
            .write("ChargeBoxSerialNumber", "A1", WriteStatus::RebootRequired)
            .write("ChargeBoxSerialNumber", "A2", WriteStatus::Rejected)
            .boot()
            .shows("ChargeBoxSerialNumber", Some("A1"))
            .write("ChargeBoxSerialNumber", "A2", WriteStatus::Rejected);
    }

    #[test]
    fn a_key_that_clears_itself_is_as_delivered_after_the_boot() {
        station("bender")
            .write("ScanNetworkOperators", "true", WriteStatus::RebootRequired)
            .shows("ScanNetworkOperators", Some("true"))
            .boot()
            .shows("ScanNetworkOperators", Some("false"));
    }

    #[test]
    fn an_operator_limit_above_the_limit_is_refused() {
        station("ensto")
            .write("DlmOperatorPhase1Limit", "20", WriteStatus::Rejected)
            .write("DlmPhase1Limit", "20", WriteStatus::Accepted)
            .write("DlmOperatorPhase1Limit", "20", WriteStatus::Accepted);
    }

    #[test]
    fn of_two_keys_that_differ_in_case_the_exact_one_is_meant() {
        let mut ensto = station("ensto");
        ensto
            .write("HeartbeatInterval", "900", WriteStatus::Accepted)
            .shows("HeartBeatInterval", Some("240"))
            .shows("HeartbeatInterval", Some("900"));
        assert_eq!(
            ensto.table.effective_named("HeartbeatInterval"),
            Some("900")
        );
    }

    #[test]
    fn a_boolean_key_makes_booleans_go_out_as_digits() {
        let mut bender = station("bender");
        assert!(!bender.table.digits_asked());
        bender
            .write("LocalPreAuthorize", "1", WriteStatus::Accepted)
            .shows("LocalPreAuthorize", Some("true"))
            .write("OcppGetConfBoolIsInt", "true", WriteStatus::Accepted);
        assert!(bender.table.digits_asked());
    }

    #[test]
    fn names_follow_the_habit_of_the_station() {
        given(&["own-key-case"])
            .shows("HeartbeatInterval", Some("300"))
            .write("HeartbeatInterval", "900", WriteStatus::NotSupported)
            .write("heartbeatInterval", "900", WriteStatus::Accepted);
        given(&["exact-key-case"])
            .shows("heartbeatinterval", None)
            .shows("HeartbeatInterval", Some("300"));
        given(&["case-twin:HeartbeatInterval"])
            .write("heartbeatinterval", "900", WriteStatus::Accepted)
            .shows("HeartbeatInterval", Some("300"))
            .shows("heartbeatinterval", Some("900"));
    }

    #[test]
    fn an_equal_write_is_one_of_the_same_value_by_type() {
        let station = given(&[]);
        let equal = |key: &str, raw: &str| {
            station
                .table
                .is_equal_write(station.table.find(key, &station.faults).unwrap(), raw)
        };
        assert!(equal("HeartbeatInterval", "0300") && equal("LocalPreAuthorize", "FALSE"));
        assert!(equal("ConnectorPhaseRotation", "1.RST, 0.RST,2.RST"));
        assert!(!equal("HeartbeatInterval", "301"));
    }
}
