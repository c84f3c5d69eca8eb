//! The ground on which all keys of a station stand alike: how fresh the readings are, whether it may be asked, and why
//! nothing may be written to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::catalogue::{Definition, TakesEffect};
use crate::memory::{Memory, Reboots, Until};
use crate::observed::{Observed, Reading};
use crate::reboot;
use crate::state::Reason;
use crate::station::{Activity, Brake, Link, Policy, StationFacts, Suspended};
use crate::validate::Desired;
use crate::words::Key;

/// What holds for all keys of a station.
pub(super) struct Ground<'a> {
    pub(super) observed: &'a Observed,
    /// Memory as it came in.
    pub(super) memory: &'a Memory,
    pub(super) station: &'a StationFacts,
    pub(super) policy: &'a Policy,
    pub(super) now: Timestamp,
    /// The readings are newer than anything that may have changed what they say.
    pub(super) fresh: bool,
    /// The station may be asked.
    pub(super) askable: bool,
    /// Why nothing may be written to the station, whatever the key.
    pub(super) hold: Option<Reason>,
    /// A person has just said that what was given up is to be tried again.
    pub(super) resumed: bool,
    desired: &'a Desired,
    /// The readings of the desired keys, in their order.
    readings: Vec<Option<&'a Reading>>,
}

impl<'a> Ground<'a> {
    pub(super) fn new(
        desired: &'a Desired,
        observed: &'a Observed,
        memory: &'a Memory,
        station: &'a StationFacts,
        policy: &'a Policy,
        now: Timestamp,
    ) -> Self {
        Self {
            observed,
            memory,
            station,
            policy,
            now,
            fresh: observed.at_event >= oldest_useful_event(memory),
            askable: station.link == Link::Ready
                && station.capabilities.read
                && policy.brake != Brake::NoCalls
                && policy.suspended.is_none(),
            hold: hold(station, policy),
            resumed: policy.resumed != memory.resumed && policy.resumed.is_some(),
            desired,
            readings: observed.along(desired.settings.keys()),
        }
    }

    /// The reading of a key, if it may decide anything.
    pub(super) fn fresh_reading(&self, key: &Key) -> Option<&'a Reading> {
        self.observed.readings.get(key).filter(|_| self.fresh)
    }

    /// The readings of the desired keys that may decide something, in their order.
    pub(super) fn fresh_readings(&self) -> impl Iterator<Item = Option<&'a Reading>> {
        self.readings
            .iter()
            .map(|reading| reading.filter(|_| self.fresh))
    }

    /// The readings of the desired keys as they may be told, in their order: an old one still tells how a station that
    /// cannot be asked was last.
    pub(super) fn last_readings(&self) -> impl Iterator<Item = Option<&'a Reading>> {
        self.readings
            .iter()
            .map(|reading| reading.filter(|_| self.fresh || !self.askable))
    }

    /// What ends the debt that an Accepted write of this key makes, if it makes one.
    pub(super) fn owes(&self, definition: &Definition) -> Option<Until> {
        match definition.takes_effect() {
            _ if self
                .desired
                .catalogue
                .quirks()
                .accepted_means_stored_until_reset
                == Some(true) =>
            {
                Some(Until::Boot)
            }
            TakesEffect::AfterReset => Some(Until::Boot),
            TakesEffect::AfterReconnect => Some(Until::Reconnect),
            TakesEffect::Immediately | TakesEffect::Unknown => None,
        }
    }

    /// Does the catalogue say that a write of one key moves another?
    pub(super) fn affects(&self, one: &Key, another: &Key) -> bool {
        let affected = self
            .desired
            .catalogue
            .find(one)
            .and_then(|definition| definition.affects.as_ref());
        affected.is_some_and(|fact| fact.value.iter().any(|key| key.matches(another)))
    }

    /// Is a managed key in sync, as memory has it after the readings?
    pub(super) fn is_in_sync(&self, memory: &Memory, key: &Key) -> bool {
        self.desired
            .settings
            .get(key)
            .is_some_and(|setting| super::was_in_sync(memory, setting))
    }

    /// What is known of a key.
    pub(super) fn definition(&self, key: &Key) -> Arc<Definition> {
        self.desired.catalogue.definition(key)
    }

    /// Unknown is busy.
    pub(super) fn is_idle(&self) -> bool {
        self.station.activity == Activity::Idle
    }

    /// Might a write of this key do harm to a driver who is using the station, or may be?
    pub(super) fn waits_for_driver(&self, key: &Key, definition: &Definition) -> bool {
        let needs = reboot::needs(&self.desired.catalogue, self.reboots(), key, definition);
        !needs.are_met(self.station.activity)
    }

    /// Does a write of this key boot the station?
    pub(super) fn boots_with(&self, key: &Key) -> bool {
        reboot::boots_with(&self.desired.catalogue, self.reboots(), key)
    }

    fn reboots(&self) -> &'a BTreeMap<Key, Reboots> {
        static NONE: BTreeMap<Key, Reboots> = BTreeMap::new();
        if self.resumed {
            &NONE
        } else {
            &self.memory.reboots_on_write
        }
    }

    /// When a further attempt may follow one that was made at this time: the pause doubles with each.
    pub(super) fn next_attempt(&self, at: Timestamp, attempts: u32) -> Timestamp {
        let doublings = attempts.saturating_sub(1).min(16);
        let pause = self
            .policy
            .backoff
            .saturating_mul(1 << doublings)
            .min(self.policy.backoff_max);
        at.saturating_add(pause.max(SignedDuration::ZERO))
            .unwrap_or(Timestamp::MAX)
    }

    /// When the next full read is due, if it lies ahead.
    pub(super) fn resync_due(&self) -> Option<Timestamp> {
        self.policy.resync_due.filter(|&due| due > self.now)
    }
}

/// What came after a reading may have changed what it says: a connection, a boot, other firmware, a write of ours
/// (keys move other keys).
fn oldest_useful_event(memory: &Memory) -> u64 {
    let writes = memory
        .keys
        .values()
        .filter_map(|key| key.write.as_ref())
        .map(|write| write.since);
    writes
        .chain([memory.connection, memory.boot, memory.firmware_event])
        .max()
        .unwrap_or(0)
}

fn hold(station: &StationFacts, policy: &Policy) -> Option<Reason> {
    match policy.suspended {
        Some(Suspended::Suspend) => return Some(Reason::Suspended),
        Some(Suspended::Paused) => return Some(Reason::Paused),
        None => {}
    }
    match policy.brake {
        Brake::Report | Brake::NoCalls => return Some(Reason::Braked),
        Brake::Off => {}
    }
    match station.link {
        Link::Offline => return Some(Reason::Offline),
        Link::Unregistered => return Some(Reason::NotRegistered),
        Link::Ready => {}
    }
    if !station.capabilities.read || !station.capabilities.write {
        return Some(Reason::ConnectorLimits);
    }
    station.busy_with_firmware.then_some(Reason::FirmwareUpdate)
}
