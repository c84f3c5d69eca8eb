//! Restore: keys that a person removed from every layer are written back as they were before our first write.
//!
//! Only with `whenRemoved: Restore`, on the same device (memory of another one is void), after a while, at the usual
//! pace and with the same consent; never with a Reset. Once written, or where it cannot be, the key is forgotten: it is
//! no longer ours to hold. Whether a removal was deliberate is for the caller to say.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::evidence::{has_come, same_text};
use super::ground::Ground;
use super::holds;
use super::order::Candidate;
use super::reading::ToRead;
use super::{Change, Why};
use crate::catalogue::{Definition, WriteRule};
use crate::layer::Consent;
use crate::memory::{Answer, KeyMemory, Memory, Original, RememberedValue, WriteMemory};
use crate::observed::Reading;
use crate::validate::{Desired, is_read_only};
use crate::words::{Finding, Key, Severity};

/// What is to be done about removed keys.
pub(super) struct Restored {
    pub(super) candidates: Vec<Candidate>,
    pub(super) read: Vec<Key>,
    pub(super) findings: Vec<Finding>,
    pub(super) later: Option<Timestamp>,
}

/// Looks at every remembered key that no layer declares any more, and forgets what need not be remembered.
pub(super) fn restore(ground: &Ground<'_>, desired: &Desired, memory: &mut Memory) -> Restored {
    let mut restored = Restored {
        candidates: Vec::new(),
        read: Vec::new(),
        findings: Vec::new(),
        later: None,
    };
    let undeclared: Vec<Key> = memory
        .keys
        .keys()
        .filter(|key| !desired.settings.contains_key(key))
        .cloned()
        .collect();
    for key in undeclared {
        let Some(mut of_key) = memory.keys.remove(&key) else {
            continue;
        };
        of_key
            .owed
            .take_if(|owed| has_come(ground.memory, owed.until, owed.since));
        if !restored.consider(ground, &key, &of_key) {
            // What it owes is kept: the key may be declared again before the boot.
            of_key = KeyMemory {
                owed: of_key.owed,
                ..KeyMemory::default()
            };
        }
        if of_key != KeyMemory::default() {
            memory.keys.insert(key, of_key);
        }
    }
    restored
}

/// What becomes of one removed key.
enum Fate {
    /// There is nothing (more) to do.
    Forget,
    /// It cannot be restored, and a person should know.
    Tell(String),
    /// Later.
    Wait(Option<Timestamp>),
    /// It has to be read first.
    Read,
    /// It is to be written.
    Write(Box<Change>),
}

impl Restored {
    /// `false`: there is nothing to remember but debts.
    fn consider(&mut self, ground: &Ground<'_>, key: &Key, of_key: &KeyMemory) -> bool {
        match fate(ground, key, of_key) {
            Fate::Forget => return false,
            Fate::Tell(message) => {
                let rule = "NotRestored".to_owned();
                self.findings.push(Finding {
                    severity: Severity::Warning,
                    rule,
                    key: Some(key.clone()),
                    message,
                });
                return false;
            }
            Fate::Wait(at) => self.later = self.later.into_iter().chain(at).min(),
            Fate::Read => {
                let mut wanted = ToRead {
                    now: Vec::new(),
                    later: None,
                };
                wanted.want(ground, key, ground.fresh_reading(key), None);
                self.read.extend(wanted.now);
                self.later = self.later.into_iter().chain(wanted.later).min();
            }
            Fate::Write(change) => {
                self.candidates.push(Candidate {
                    change: *change,
                    after: Vec::new(),
                    unsettled: Vec::new(),
                });
            }
        }
        true
    }
}

fn fate(ground: &Ground<'_>, key: &Key, of_key: &KeyMemory) -> Fate {
    let Some(original) = of_key.original.as_ref().filter(|original| original.restore) else {
        return Fate::Forget;
    };
    let Some(removed) = &of_key.removed else {
        // The caller has not said yet how it was removed.
        return Fate::Wait(None);
    };
    if !removed.deliberate {
        return Fate::Forget;
    }
    let due = removed
        .since
        .saturating_add(ground.policy.restore_after)
        .unwrap_or(Timestamp::MAX);
    if due > ground.now {
        return Fate::Wait(Some(due));
    }
    let Some(value) = &original.value else {
        return Fate::Tell(format!(
            "{key} was removed and stays as it is: the station showed no value before our first write"
        ));
    };
    let definition = ground.definition(key);
    let consent: BTreeSet<Consent> = original.consent.iter().copied().collect();
    if definition.write_rule() == WriteRule::Never || definition.is_secret() {
        return Fate::Tell(format!(
            "{key} was removed and stays as it is: it is not written by us"
        ));
    }
    if let Some(missing) = definition.missing_consent(&consent) {
        return Fate::Tell(format!(
            "{key} was removed and stays as it is: config {} had not consented to {missing:?}",
            original.config
        ));
    }
    write_back(ground, key, of_key, original, value, definition)
}

fn write_back(
    ground: &Ground<'_>,
    key: &Key,
    of_key: &KeyMemory,
    original: &Original,
    value: &str,
    definition: Arc<Definition>,
) -> Fate {
    let wanted = RememberedValue::Plain(value.to_owned());
    let write = of_key.write.as_ref().filter(|write| write.value == wanted);
    if write.is_some() && !ground.fresh && ground.askable {
        // The closing read of the pass that wrote it.
        return Fate::Read;
    }
    if let Some(fate) = write.and_then(|write| after_write(ground, key, write)) {
        return fate;
    }
    let spelling = match ground.fresh_reading(key) {
        Some(Reading::Known {
            value: Some(shown), ..
        }) if same_text(&definition, value, shown) => return Fate::Forget,
        Some(reading @ Reading::Known { .. }) if is_read_only(&definition, Some(reading)) => {
            return Fate::Tell(format!(
                "{key} was removed and stays as it is: the station says that it is read-only"
            ));
        }
        Some(Reading::Known { spelling, .. }) => spelling.clone(),
        Some(Reading::Unknown | Reading::Ambiguous { .. } | Reading::Unreported) => {
            return Fate::Tell(format!(
                "{key} was removed and stays as it is: the station does not show it"
            ));
        }
        Some(Reading::Failed { .. }) | None if ground.askable => return Fate::Read,
        Some(Reading::Failed { .. }) | None => return Fate::Wait(None),
    };
    if let Some(hold) = holds::of_write(
        key,
        &definition,
        false,
        write,
        of_key.falls.as_ref(),
        ground,
    ) {
        return Fate::Wait(hold.until);
    }
    Fate::Write(Box::new(Change {
        key: key.clone(),
        spelling,
        value: wanted,
        alternative: None,
        before: ground
            .fresh_reading(key)
            .and_then(Reading::value)
            .map(str::to_owned),
        why: Why::Restore,
        config: original.config.clone(),
        generation: 0,
        expect_disconnect: definition.is_connection_critical(),
        readable: definition.is_readable(),
        owes: ground.owes(&definition),
        definition,
        busy: !ground.is_idle(),
        unmet: Vec::new(),
        restore: None,
    }))
}

/// What an earlier write back settles; `None`: it is to be tried (again).
fn after_write(ground: &Ground<'_>, key: &Key, write: &WriteMemory) -> Option<Fate> {
    match write.answer {
        // Whether it takes effect at once or with some boot: no Reset is ours to ask for here.
        Answer::Accepted | Answer::RebootRequired => Some(Fate::Forget),
        Answer::Rejected | Answer::NotSupported => Some(Fate::Tell(format!(
            "{key} was removed and stays as it is: the station answered {:?} to its former value",
            write.answer
        ))),
        Answer::Intended | Answer::NoAnswer | Answer::Error
            if write.attempts >= ground.policy.max_attempts =>
        {
            Some(Fate::Tell(format!(
                "{key} was removed and stays as it is: {} attempts brought no answer",
                write.attempts
            )))
        }
        Answer::Intended | Answer::NoAnswer | Answer::Error => None,
    }
}
