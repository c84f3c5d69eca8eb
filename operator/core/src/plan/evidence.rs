//! Evidence: what the readings, and what happened since, mean for memory.
//!
//! In comes memory as it was kept; out goes memory as it must be for the table to be read: debts that a boot has paid
//! are gone, keys in sync are forgotten but for their digest, a key that was in sync and is not has its drift on
//! record. Only fresh readings count. Nothing is decided here.

use jiff::SignedDuration;

use super::ground::Ground;
use super::in_sync;
use crate::catalogue::Definition;
use crate::layer::{Mode, SettingValue, WhenRemoved};
use crate::memory::{
    Answer, Contest, Declared, DriftMemory, FORMAT_VERSION, KeyMemory, Lost, Memory,
    RememberedValue, Until, WriteMemory,
};
use crate::observed::Reading;
use crate::state::Reason;
use crate::validate::{Desired, DesiredSetting};
use crate::value;
use crate::words::Key;

/// So many changes back within so long are a fight of two writers (section 6, row 19).
const CONTESTS: [(usize, SignedDuration); 2] = [(3, SignedDuration::from_hours(1)), (4, FORTNIGHT)];

/// Changes back that are older tell nothing any more.
const FORTNIGHT: SignedDuration = SignedDuration::from_hours(14 * 24);

/// As many changes back as the slower of the two rules needs.
const MAX_REVERTS: usize = 4;

/// Memory as the readings leave it.
pub(super) fn weigh(ground: &Ground<'_>, desired: &Desired) -> Memory {
    let mut memory = ground.memory.clone();
    memory.format_version = FORMAT_VERSION;
    memory.boots_on_reconnect |= desired.catalogue.quirks().boots_on_reconnect == Some(true);
    if ground.resumed {
        memory.resumed.clone_from(&ground.policy.resumed);
        memory.reboots_on_write.clear();
    }
    let before = in_sync::decode(&memory.in_sync);
    let writes = recent_writes(ground.memory);
    let mut all_read = ground.fresh;
    let mut digests = Vec::with_capacity(desired.settings.len());
    for (setting, reading) in desired.settings.values().zip(ground.fresh_readings()) {
        let digest = setting.digest();
        let was_in_sync = digest.is_some_and(|digest| before.binary_search(&digest).is_ok());
        let mut key = memory.keys.remove(setting.key()).unwrap_or_default();
        all_read &= reading.is_some() || setting.is_hidden() || setting.barrier.is_some();
        let witness = Witness {
            ground,
            setting,
            reading,
            was_in_sync,
            writes: &writes,
        };
        let still = witness.weigh(&mut key);
        digests.extend(digest.filter(|_| still));
        if key != KeyMemory::default() {
            memory.keys.insert(setting.key().clone(), key);
        }
    }
    digests.sort_unstable();
    digests.dedup();
    if digests != before {
        memory.in_sync = in_sync::encode(&digests);
    }
    if all_read {
        memory.seen = ground.observed.at_event;
    }
    memory
}

/// A write of ours, as far as it may have moved other keys.
struct RecentWrite<'a> {
    key: &'a Key,
    since: u64,
}

/// Our writes since all keys were last read that the station may have acted upon.
fn recent_writes(memory: &Memory) -> Vec<RecentWrite<'_>> {
    let writes = memory.keys.iter().filter_map(|(key, of_key)| {
        let write = of_key
            .write
            .as_ref()
            .filter(|write| write.since > memory.seen)?;
        let acted_upon = !matches!(write.answer, Answer::Rejected | Answer::NotSupported);
        acted_upon.then_some(RecentWrite {
            key,
            since: write.since,
        })
    });
    writes.collect()
}

/// Does a remembered value say the same as the desired one?
pub(super) fn same_value(setting: &DesiredSetting, remembered: &RememberedValue) -> bool {
    match (setting.value(), remembered) {
        (SettingValue::Plain(desired), RememberedValue::Plain(written)) => {
            same_text(setting.definition(), desired, written)
        }
        (SettingValue::Secret { version, length: _ }, RememberedValue::Secret(written)) => {
            version == written
        }
        (SettingValue::Plain(_), RememberedValue::Secret(_))
        | (SettingValue::Secret { .. }, RememberedValue::Plain(_))
        | (
            SettingValue::SecretMissing { .. },
            RememberedValue::Plain(_) | RememberedValue::Secret(_),
        ) => false,
    }
}

pub(super) fn same_text(definition: &Definition, a: &str, b: &str) -> bool {
    a == b || value::equal(definition, a, b)
}

pub(super) fn remembered(value: &SettingValue) -> RememberedValue {
    match value {
        SettingValue::Plain(value) => RememberedValue::Plain(value.into()),
        SettingValue::Secret { version, length: _ } => RememberedValue::Secret(version.clone()),
        // Barred by row 2, and never remembered: an empty text is no one's value.
        SettingValue::SecretMissing { message: _ } => RememberedValue::Plain(String::new()),
    }
}

fn declared(setting: &DesiredSetting) -> Declared {
    Declared {
        config: setting.config().clone(),
        generation: setting.generation(),
    }
}

fn is_declared_by(declared: &Declared, setting: &DesiredSetting) -> bool {
    declared.generation == setting.generation() && declared.config == *setting.config()
}

/// Has what an owed value waits for come since?
pub(super) fn has_come(memory: &Memory, until: Until, since: u64) -> bool {
    match until {
        Until::Boot => memory.boot > since,
        Until::Reconnect => memory.connection.max(memory.boot) > since,
    }
}

/// All that bears on the memory of one key.
struct Witness<'a> {
    ground: &'a Ground<'a>,
    setting: &'a DesiredSetting,
    /// The reading, if it is fresh.
    reading: Option<&'a Reading>,
    was_in_sync: bool,
    writes: &'a [RecentWrite<'a>],
}

impl Witness<'_> {
    /// Brings the memory of one key up to date. Told is whether the key counts as in sync with the desired value, by
    /// this reading or, without one that can tell, by the last.
    fn weigh(&self, key: &mut KeyMemory) -> bool {
        self.expire(key);
        if self.setting.barrier.is_some() {
            // What is desired cannot be said, or may not be acted upon; nothing is concluded from a difference.
            return self.was_in_sync;
        }
        self.follow_spec(key);
        if self.setting.is_hidden() {
            return false;
        }
        match self.reading {
            Some(Reading::Known { value, .. }) => {
                key.was_known = false;
                end_falls(key, "GetConfiguration");
                let equal = match (value, self.setting.value()) {
                    (Some(shown), SettingValue::Plain(desired)) => {
                        same_text(self.setting.definition(), desired, shown)
                    }
                    (Some(_), SettingValue::Secret { .. } | SettingValue::SecretMissing { .. })
                    | (None, _) => false,
                };
                if equal {
                    self.equal(key)
                } else {
                    self.differs(key, value.as_deref())
                }
            }
            Some(Reading::Unknown) => {
                end_falls(key, "GetConfiguration");
                key.was_known |=
                    self.had_it(key) && self.ground.memory.firmware_event > self.ground.memory.seen;
                false
            }
            Some(Reading::Unreported | Reading::Ambiguous { .. } | Reading::Failed { .. })
            | None => self.was_in_sync,
        }
    }

    /// Ends what time, boots, firmware and people end.
    fn expire(&self, key: &mut KeyMemory) {
        let memory = self.ground.memory;
        key.owed
            .take_if(|owed| has_come(memory, owed.until, owed.since));
        key.removed = None;
        if self.ground.resumed {
            give_another_chance(key);
            key.contested = None;
            key.reverts.clear();
            key.lost = None;
            key.drift = None;
            key.falls = None;
        }
        key.falls.take_if(|falls| falls.firmware != memory.firmware);
        if key
            .write
            .as_ref()
            .is_some_and(|write| write.firmware != memory.firmware)
        {
            give_another_chance(key);
            self.forget_write(key, |write| is_refusal(write.answer));
            if let Some(write) = &mut key.write {
                write.firmware.clone_from(&memory.firmware);
            }
            key.lost = None;
        }
        let now = self.ground.now;
        key.reverts
            .retain(|at| now.duration_since(*at) <= FORTNIGHT);
        // One side effect is told and left; after a boot it is a difference like any other.
        key.drift
            .take_if(|drift| drift.reason == Reason::SideEffect && memory.boot > drift.since);
        if let Some(original) = &mut key.original {
            original.restore = self.setting.when_removed() == WhenRemoved::Restore;
            original.config = self.setting.config().clone();
            original.consent = self.setting.consent().iter().copied().collect();
        }
    }

    /// A change of spec gives what was given up another chance; another value makes former writes meaningless, but for
    /// what they owe.
    fn follow_spec(&self, key: &mut KeyMemory) {
        let setting = self.setting;
        self.forget_write(key, |write| !same_value(setting, &write.value));
        let write_is_old = key.write.as_ref().is_some_and(|write| {
            write.generation != setting.generation() || write.config != *setting.config()
        });
        if write_is_old {
            give_another_chance(key);
            // NotSupported is not about the value: it stands until the firmware changes.
            self.forget_write(key, |write| write.answer == Answer::Rejected);
            if let Some(write) = &mut key.write {
                write.config = setting.config().clone();
                write.generation = setting.generation();
            }
        }
        // Another catalogue may have made another value of it on the wire, or have known better: row 11, once more.
        if let Some(write) = key.write.as_ref()
            && write.answer == Answer::Rejected
            && write.known != 0
            && write.known != setting.definition().digest()
        {
            self.forget_write(key, |_| true);
        }
        key.contested.take_if(|contest| {
            !is_declared_by(&contest.declared, setting) || !same_value(setting, &contest.ours)
        });
        key.lost.take_if(|lost| {
            !is_declared_by(&lost.declared, setting) || !same_value(setting, &lost.value)
        });
        key.drift.take_if(|drift| {
            !is_declared_by(&drift.declared, setting) || !same_value(setting, &drift.value)
        });
    }

    /// Forgets a write that tells nothing any more; but not before there is a reading that is newer than it, since it
    /// is what shows that older readings are old.
    fn forget_write(&self, key: &mut KeyMemory, means_nothing: impl Fn(&WriteMemory) -> bool) {
        if self.ground.fresh {
            key.write.take_if(|write| means_nothing(write));
        }
    }

    fn equal(&self, key: &mut KeyMemory) -> bool {
        key.drift = None;
        key.falls = None;
        if key.owed.is_some() || self.maybe_owed(key) {
            return false;
        }
        key.write = None;
        let memory = self.ground.memory;
        key.lost.take_if(|lost| memory.boot > lost.boot);
        true
    }

    /// A write of which nobody knows whether it was sent may owe a boot.
    fn maybe_owed(&self, key: &KeyMemory) -> bool {
        let until = self.ground.owes(self.setting.definition());
        key.write.as_ref().zip(until).is_some_and(|(write, until)| {
            write.answer == Answer::Intended && !has_come(self.ground.memory, until, write.since)
        })
    }

    fn differs(&self, key: &mut KeyMemory, shown: Option<&str>) -> bool {
        let own_writes = self.own_writes_after(key);
        // In this very pass: written, read back as written, and then moved by a later write.
        let seen = self.ground.memory.seen;
        let moved_in_pass = !own_writes.is_empty()
            && key.owed.is_none()
            && key.write.as_ref().is_some_and(|write| {
                write.since > seen && write.shown && write.answer == Answer::Accepted
            });
        if !(self.was_in_sync || moved_in_pass) || key.drift.is_some() {
            return false;
        }
        let memory = self.ground.memory;
        let reason = if memory.firmware_event > memory.seen {
            Reason::LostWithFirmware
        } else if memory.boot > memory.seen {
            Reason::NotPersistent
        } else if !own_writes.is_empty() {
            Reason::SideEffect
        } else {
            Reason::ChangedOutside
        };
        key.write = None;
        key.drift = Some(DriftMemory {
            reason,
            since: memory.event,
            at: self.ground.now,
            value: remembered(self.setting.value()),
            by: if reason == Reason::SideEffect {
                own_writes
            } else {
                Vec::new()
            },
            declared: declared(self.setting),
        });
        match reason {
            Reason::NotPersistent => {
                self.count_loss(key);
                self.count_revert(key, shown);
            }
            Reason::ChangedOutside => self.count_revert(key, shown),
            _ => {}
        }
        false
    }

    /// Other keys that we wrote after this one was last known to be right: first those of which the catalogue says that
    /// they move it, and only they if there are any.
    fn own_writes_after(&self, key: &KeyMemory) -> Vec<Key> {
        let own = key.write.as_ref().map_or(0, |write| write.since);
        let others: Vec<&Key> = self
            .writes
            .iter()
            .filter(|write| write.since > own && write.key != self.setting.key())
            .map(|write| write.key)
            .collect();
        let known: Vec<Key> = others
            .iter()
            .filter(|other| self.ground.affects(other, self.setting.key()))
            .map(|key| (*key).clone())
            .collect();
        if known.is_empty() {
            others.into_iter().cloned().collect()
        } else {
            known
        }
    }

    fn count_loss(&self, key: &mut KeyMemory) {
        let boot = self.ground.memory.boot;
        let count = key
            .lost
            .take()
            .map_or(0, |lost| lost.count)
            .saturating_add(1);
        key.lost = Some(Lost {
            count,
            boot,
            value: remembered(self.setting.value()),
            declared: declared(self.setting),
        });
    }

    fn count_revert(&self, key: &mut KeyMemory, shown: Option<&str>) {
        if self.setting.mode() == Mode::Report {
            // Nobody writes it back: there is no fight.
            return;
        }
        let now = self.ground.now;
        key.reverts.push(now);
        if key.reverts.len() > MAX_REVERTS {
            key.reverts.remove(0);
        }
        let fought = CONTESTS.iter().any(|&(count, within)| {
            key.reverts
                .iter()
                .filter(|at| now.duration_since(**at) <= within)
                .count()
                >= count
        });
        if fought {
            key.contested = Some(Contest {
                ours: remembered(self.setting.value()),
                theirs: shown.unwrap_or_default().to_owned(),
                at: now,
                declared: declared(self.setting),
            });
        }
    }

    fn had_it(&self, key: &KeyMemory) -> bool {
        let written = key
            .write
            .as_ref()
            .is_some_and(|write| matches!(write.answer, Answer::Accepted | Answer::RebootRequired));
        self.was_in_sync || key.drift.is_some() || key.original.is_some() || written
    }
}

fn is_refusal(answer: Answer) -> bool {
    matches!(answer, Answer::Rejected | Answer::NotSupported)
}

fn give_another_chance(key: &mut KeyMemory) {
    if let Some(write) = &mut key.write {
        write.attempts = 0;
        write.cycles = 0;
    }
}

fn end_falls(key: &mut KeyMemory, call: &str) {
    key.falls.take_if(|falls| falls.call == call);
}
