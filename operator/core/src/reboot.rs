//! Reboots on write: stations that boot by themselves after a write, and what such a write has to wait for
//! (section 7 of the design).
//!
//! In come accepted writes, events and moments; out goes memory with the keys after whose writes the station booted. A
//! boot counts if the line went within two minutes of the write, and its proof came with the next connection. One that
//! was waited for (a value is owed) does not: somebody reset the station for it. Nor does one that brought other firmware.
//!
//! | boots after writes of a key | a write of it waits until | other writes wait until |
//! | --- | --- | --- |
//! | none | what the catalogue says | what the catalogue says |
//! | one: a power cut, perhaps | nobody is seen to use the station | nobody is seen to use the station |
//! | two or more | the station is idle: unknown is busy | nobody is seen to use the station |
//!
//! So one power cut at the wrong moment leaves no station unconfigurable of which nobody can tell whether it is idle. A
//! key is cleared by an accepted write of it that no boot follows, by other firmware, by another device, and by a
//! person's `resume`. What is not kept: the writes themselves. After a restart of ours no boot is proven by the next
//! connection, and nothing is concluded from it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::catalogue::{Definition, StationCatalogue};
use crate::event::{End, Event};
use crate::memory::{Answer, Memory, Reboots};
use crate::outcome::Outcome;
use crate::station::Activity;
use crate::words::{Finding, Key, Severity};

/// A boot that comes later has nothing to do with the write.
const SOON: SignedDuration = SignedDuration::from_mins(2);

/// How many keys are watched, and remembered, of a station. What was written last is the likeliest cause; a station that
/// reboots on more keys is well enough known by these.
pub const MAX_KEYS: usize = 8;

/// So many boots after writes of one key are no chance.
const CERTAIN: u32 = 2;

/// The writes after which a boot may still come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// In the order in which they were accepted.
    writes: Vec<(Key, Timestamp)>,
    /// When the line went, after the last of them.
    gone_at: Option<Timestamp>,
}

impl Watched {
    /// What became of a write: one that was accepted is watched. One that was answered RebootRequired is not: the
    /// station says itself that somebody has to reset it.
    pub fn wrote(&mut self, outcome: &Outcome) {
        if outcome.answer != Answer::Accepted {
            return;
        }
        if self.gone_at.take().is_some() {
            // The others have had their next connection, and no boot came with it.
            self.writes.clear();
        }
        let key = &outcome.change.key;
        self.writes.retain(|(watched, _)| watched != key);
        if self.writes.len() >= MAX_KEYS {
            self.writes.remove(0);
        }
        self.writes.push((key.clone(), outcome.at));
    }

    /// Something happened. Whether it proved a boot is told by [`Self::booted`].
    pub fn follow(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::Disconnected { end: End::Us }
            | Event::Connected {
                former_end: None | Some(End::Us),
                ..
            } => *self = Self::default(),
            Event::Disconnected { .. } => {
                if self.gone_at.replace(at).is_some() {
                    self.writes.clear();
                }
            }
            Event::Connected { .. } => {
                self.gone_at.get_or_insert(at);
            }
            Event::Boot { .. } => {}
        }
    }

    /// A boot was proven, of the same device with the same firmware. `waited_for`: a value was owed.
    pub fn booted(&mut self, mut memory: Memory, waited_for: bool, at: Timestamp) -> Memory {
        let gone_at = self.gone_at.take().unwrap_or(at);
        for (key, written) in std::mem::take(&mut self.writes) {
            let after = gone_at.duration_since(written);
            if waited_for || after > SOON {
                continue;
            }
            let reboots = memory.reboots_on_write.entry(key).or_default();
            reboots.boots = reboots.boots.saturating_add(1);
            // A clock that was set back makes no time before the write.
            reboots.seconds = u32::try_from(after.as_secs()).unwrap_or(0);
        }
        while memory.reboots_on_write.len() > MAX_KEYS {
            let least = memory
                .reboots_on_write
                .iter()
                .min_by_key(|(_, reboots)| reboots.boots)
                .map(|(key, _)| key.clone());
            least.map(|key| memory.reboots_on_write.remove(&key));
        }
        memory
    }

    /// The station is connected, and has had the time to say that it has booted: what was written two minutes ago boots
    /// nothing.
    pub fn passed(&mut self, mut memory: Memory, now: Timestamp) -> Memory {
        let line_held = self.gone_at.is_none();
        self.writes.retain(|(key, written)| {
            let passed = now.duration_since(*written) >= SOON;
            if passed && line_held {
                memory.reboots_on_write.remove(key);
            }
            !passed
        });
        memory
    }

    /// When a key will be cleared, if none boots the station before.
    pub fn due(&self, memory: &Memory) -> Option<Timestamp> {
        self.writes
            .iter()
            .filter(|(key, _)| memory.reboots_on_write.contains_key(key))
            .map(|(_, written)| written.saturating_add(SOON).unwrap_or(Timestamp::MAX))
            .min()
    }
}

/// What a station has to be doing for a key to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// Whatever it likes.
    Nothing,
    /// Nothing that we know of.
    NoDriver,
    /// Certainly nothing.
    Idle,
}

impl Needs {
    /// Is it so?
    pub fn are_met(self, activity: Activity) -> bool {
        match activity {
            Activity::Idle => true,
            Activity::Unknown => self < Self::Idle,
            Activity::Busy => self == Self::Nothing,
        }
    }
}

/// What a station has to be doing for a key to be written, by what the catalogue says of both and by what was seen.
pub fn needs(
    catalogue: &StationCatalogue,
    seen: &BTreeMap<Key, Reboots>,
    key: &Key,
    definition: &Definition,
) -> Needs {
    if definition.needs_idle() || boots_with(catalogue, seen, key) {
        Needs::Idle
    } else if seen.is_empty() {
        Needs::Nothing
    } else {
        Needs::NoDriver
    }
}

/// Does a write of this key boot the station, as far as anybody can say?
pub fn boots_with(catalogue: &StationCatalogue, seen: &BTreeMap<Key, Reboots>, key: &Key) -> bool {
    catalogue.quirks().boots_on_write == Some(true)
        || seen
            .get(key)
            .is_some_and(|reboots| reboots.boots >= CERTAIN)
}

/// The same for people.
pub(crate) fn findings(memory: &Memory) -> impl Iterator<Item = Finding> {
    let told: &BTreeMap<Key, Reboots> = &memory.reboots_on_write;
    told.iter().map(|(key, Reboots { boots, seconds })| {
        let message = if *boots >= CERTAIN {
            format!(
                "the station reboots on this write: {boots} times it booted by itself soon after a write of {key} that it \
                 had accepted, last after {seconds} s; {key} is therefore written only while the station is idle, until a \
                 write of it brings no boot, the firmware changes, or the annotation stationkeeper.dev/resume is set"
            )
        } else {
            format!(
                "the station booted by itself {seconds} s after it had accepted a write of {key}; that may be chance, or it \
                 reboots on this write: no key is written while a driver is seen to use it, until a write of {key} brings \
                 no boot, the firmware changes, or the annotation stationkeeper.dev/resume is set"
            )
        };
        Finding {
            severity: Severity::Warning,
            rule: "RebootsOnWrite".to_owned(),
            key: Some(key.clone()),
            message,
        }
    })
}
