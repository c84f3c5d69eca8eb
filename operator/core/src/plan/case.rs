//! A case: all that the table looks at, for one key. Facts only; what follows from them stands in the table.

use super::evidence::{has_come, remembered, same_text, same_value};
use super::ground::Ground;
use crate::catalogue::TakesEffect;
use crate::layer::SettingValue;
use crate::memory::{
    Answer, Contest, DriftMemory, Falls, KeyMemory, Memory, Owed, RememberedValue, Until,
    WriteMemory,
};
use crate::observed::Reading;
use crate::state::State;
use crate::validate::{DesiredSetting, is_read_only};
use crate::words::{Key, Text};

/// All that the table looks at, for one key.
pub(super) struct Case<'a> {
    pub(super) setting: &'a DesiredSetting,
    /// Write-only or secret: reads decide nothing.
    pub(super) hidden: bool,
    pub(super) reading: Option<&'a Reading>,
    pub(super) sight: Sight,
    pub(super) memory: Option<&'a KeyMemory>,
    /// Our last write of this very value, if it counts.
    pub(super) write: Option<&'a WriteMemory>,
    pub(super) owing: Owing,
    /// What ends the debt that an Accepted or unanswered write makes.
    pub(super) owes: Option<Until>,
    /// What the last write waits for has come since it.
    pub(super) boot_since: bool,
    /// A write of the key boots the station.
    pub(super) boots: bool,
    /// The value is known to take effect at once.
    pub(super) immediate: bool,
    /// The bounds on attempts.
    pub(super) max_attempts: u32,
    /// Disconnects on one call before the key is left alone.
    pub(super) quarantine_after: u32,
    /// Something that a rejection may have come from is gone since.
    pub(super) retry_rejected: bool,
}

/// What the station shows of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// Nothing that could decide: never read, or not since something may have changed it.
    Unread,
    /// The read failed.
    Failed,
    /// In `unknownKey`.
    Unknown,
    /// In neither list.
    Unreported,
    /// Several spellings.
    Ambiguous,
    /// The desired value.
    Equal,
    /// Another value, or none.
    Differs {
        /// The station says read-only.
        read_only: bool,
    },
}

/// What a boot (or connection) is owed to bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owing {
    /// Nothing.
    Nothing,
    /// The desired value.
    Desired {
        /// What ends it.
        until: Until,
        /// The station shows what it showed before the write.
        as_before: bool,
    },
    /// Another value.
    Other,
}

impl<'a> Case<'a> {
    pub(super) fn new(
        setting: &'a DesiredSetting,
        reading: Option<&'a Reading>,
        key: Option<&'a KeyMemory>,
        memory: &'a Memory,
        ground: &Ground<'a>,
    ) -> Self {
        let hidden = setting.is_hidden();
        let last_write = key.and_then(|key| key.write.as_ref());
        // What was read before a write says nothing of what came of it, not even of a station that cannot be asked.
        let at = ground.observed.at_event;
        let reading =
            reading.filter(|_| ground.fresh || last_write.is_none_or(|write| write.since <= at));
        let write = last_write.filter(|write| same_value(setting, &write.value));
        let owes = ground.owes(setting.definition());
        let until = match write.map(|write| write.answer) {
            Some(Answer::RebootRequired) => Until::Boot,
            Some(_) | None => owes.unwrap_or(Until::Boot),
        };
        let boot_since = write.is_some_and(|write| has_come(memory, until, write.since));
        let retry_rejected = boot_since
            || write.is_some_and(|write| {
                let met = !write.unmet.is_empty()
                    && write.unmet.iter().all(|key| ground.is_in_sync(memory, key));
                met || (write.busy && ground.is_idle())
            });
        Self {
            setting,
            hidden,
            reading,
            sight: sight(setting, reading),
            memory: key,
            write,
            owing: owing(setting, key, write, owes.filter(|_| !boot_since), reading),
            owes,
            boot_since,
            boots: ground.boots_with(setting.key()),
            immediate: setting.definition().takes_effect() == TakesEffect::Immediately,
            max_attempts: ground.policy.max_attempts,
            quarantine_after: ground.policy.quarantine_after,
            retry_rejected,
        }
    }

    /// The answer to our last write of this value.
    pub(super) fn answer(&self) -> Option<Answer> {
        self.write.map(|write| write.answer)
    }

    pub(super) fn attempts(&self) -> u32 {
        self.write.map_or(0, |write| write.attempts)
    }

    pub(super) fn differs(&self) -> bool {
        matches!(self.sight, Sight::Differs { .. })
    }

    pub(super) fn drift(&self) -> Option<&'a DriftMemory> {
        self.memory.and_then(|key| key.drift.as_ref())
    }

    pub(super) fn contest(&self) -> Option<&'a Contest> {
        self.memory.and_then(|key| key.contested.as_ref())
    }

    pub(super) fn falls(&self) -> Option<&'a Falls> {
        self.memory.and_then(|key| key.falls.as_ref())
    }

    pub(super) fn owed(&self) -> Option<&'a Owed> {
        self.memory.and_then(|key| key.owed.as_ref())
    }

    /// Boots in a row that the value did not survive.
    pub(super) fn losses(&self) -> u32 {
        self.memory
            .and_then(|key| key.lost.as_ref())
            .map_or(0, |lost| lost.count)
    }

    /// The last write takes effect with a boot or connection, as the station or the catalogue says.
    pub(super) fn write_owes(&self) -> bool {
        match self.answer() {
            Some(Answer::RebootRequired) => true,
            Some(Answer::Accepted) => self.owes.is_some(),
            Some(
                Answer::Intended
                | Answer::NoAnswer
                | Answer::Rejected
                | Answer::NotSupported
                | Answer::Error,
            )
            | None => false,
        }
    }

    /// What the station shows, unless it is a secret.
    pub(super) fn observed(&self) -> Option<&'a Text> {
        self.reading
            .and_then(Reading::text)
            .filter(|_| !self.hidden)
    }

    /// The station's own spelling of the key; writes use it.
    pub(super) fn spelling(&self) -> &'a Key {
        match self.reading {
            Some(Reading::Known { spelling, .. }) => spelling,
            Some(
                Reading::Unknown
                | Reading::Unreported
                | Reading::Ambiguous { .. }
                | Reading::Failed { .. },
            )
            | None => self.setting.key(),
        }
    }

    pub(super) fn desired_value(&self) -> RememberedValue {
        remembered(self.setting.value())
    }

    /// Did a write that somebody waits for reach the station, as far as other keys have to wait for it?
    pub(super) fn is_settled(state: State) -> bool {
        match state {
            State::InSync
            | State::ResetPending
            | State::Unverifiable
            | State::NotApplicable
            | State::NotSupported
            | State::ReadOnlyMismatch => true,
            State::Invalid
            | State::Conflict
            | State::NeedsConsent
            | State::SecretMissing
            | State::Quarantined
            | State::Failed
            | State::Pending
            | State::Unreported
            | State::Rejected
            | State::Drifted
            | State::Contested
            | State::Unknown => false,
        }
    }
}

fn sight(setting: &DesiredSetting, reading: Option<&Reading>) -> Sight {
    match reading {
        None => Sight::Unread,
        Some(Reading::Failed { .. }) => Sight::Failed,
        Some(Reading::Unknown) => Sight::Unknown,
        Some(Reading::Unreported) => Sight::Unreported,
        Some(Reading::Ambiguous { .. }) => Sight::Ambiguous,
        Some(Reading::Known { value, .. }) => match (setting.value(), value) {
            (SettingValue::Plain(desired), Some(shown))
                if same_text(setting.definition(), desired, shown) =>
            {
                Sight::Equal
            }
            (
                SettingValue::Plain(_)
                | SettingValue::Secret { .. }
                | SettingValue::SecretMissing { .. },
                _,
            ) => Sight::Differs {
                read_only: is_read_only(setting.definition(), reading),
            },
        },
    }
}

fn owing(
    setting: &DesiredSetting,
    key: Option<&KeyMemory>,
    write: Option<&WriteMemory>,
    may_owe: Option<Until>,
    reading: Option<&Reading>,
) -> Owing {
    let equal = sight(setting, reading) == Sight::Equal;
    let shown = reading.and_then(Reading::value);
    // Recorded before it was sent, and nobody knows whether it was. If the station shows the value, it was, and nobody
    // knows the answer; if not, row 20 asks once more.
    if let (Some(write), Some(until), true) = (write, may_owe, equal)
        && write.answer == Answer::Intended
    {
        return Owing::Desired {
            until,
            as_before: false,
        };
    }
    match key.and_then(|key| key.owed.as_ref()) {
        None => Owing::Nothing,
        Some(owed) if same_value(setting, &owed.value) => Owing::Desired {
            until: owed.until,
            as_before: owed.before.as_deref() == shown,
        },
        Some(_) => Owing::Other,
    }
}
