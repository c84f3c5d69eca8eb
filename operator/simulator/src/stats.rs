//! What a station has seen, for those who watch it: counts, writes in their order, and every breach of the rules by its
//! peer. Tests assert on this rather than on what the peer says of itself.
//!
//! No times: what happened is ordered by a sequence number that counts everything the station saw.

use std::collections::{BTreeMap, VecDeque};

/// The most entries that are kept of a list; older ones go. A station may run for days.
const MOST_ENTRIES: usize = 10_000;

/// The most different names of actions that are counted apart; a hostile peer invents names.
const MOST_ACTIONS: usize = 64;

/// What a station was last told of its registration (OCPP 1.6 section 4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Registration {
    /// Its BootNotification is not answered yet.
    #[default]
    Unknown,
    /// Accepted.
    Accepted,
    /// Pending: it may be called, and sends nothing but BootNotification.
    Pending,
    /// Rejected: it neither sends nor answers.
    Rejected,
}

/// What the station answered to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WriteStatus {
    /// Accepted.
    Accepted,
    /// RebootRequired.
    RebootRequired,
    /// Rejected.
    Rejected,
    /// NotSupported.
    NotSupported,
}

impl WriteStatus {
    /// As it goes on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::RebootRequired => "RebootRequired",
            Self::Rejected => "Rejected",
            Self::NotSupported => "NotSupported",
        }
    }
}

/// One ChangeConfiguration that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Its place among everything that the station saw.
    pub sequence: u64,
    /// The key as it was spelled.
    pub key: String,
    /// The value as it came.
    pub value: String,
    /// What the station answers; `None`: it does not carry the write out.
    pub status: Option<WriteStatus>,
}

/// Something that a well-behaved CSMS does not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A call while an earlier one was still to be answered.
    TwoCallsInFlight {
        /// The later call.
        action: String,
    },
    /// A call before the answer to BootNotification, or after Rejected.
    CallBeforeRegistration {
        /// The call.
        action: String,
    },
    /// A write of the value that the key has, or will have after the boot that it waits for.
    EqualWrite {
        /// The key.
        key: String,
    },
    /// A write to a read-only key.
    WriteToReadOnly {
        /// The key.
        key: String,
    },
    /// A write to a key that the station does not know, as the writer spelled it.
    WriteToUnknown {
        /// The key.
        key: String,
    },
    /// More keys in one GetConfiguration than GetConfigurationMaxKeys allows.
    TooManyKeys {
        /// How many.
        asked: usize,
    },
    /// A message id that was used before on the same connection.
    ReusedMessageId {
        /// The id.
        id: String,
    },
    /// A BootNotification was asked for although the station is accepted.
    ProvokedBootNotification,
    /// A Reset while a customer was charging.
    ResetWhileCharging,
    /// A reply to no call of ours.
    ReplyToNothing,
    /// A text that is no frame, or a binary frame.
    BadFrame {
        /// What is wrong with it.
        what: String,
    },
}

/// One thing that the station saw or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A connection came about.
    Connected,
    /// It went away.
    Disconnected,
    /// The station booted.
    Booted,
    /// BootNotification was answered.
    Registered(Registration),
    /// GetConfiguration with these keys; empty: all.
    Read(Vec<String>),
    /// ChangeConfiguration.
    Wrote {
        /// The key as it was spelled.
        key: String,
        /// The value as it came.
        value: String,
    },
    /// Any other call.
    Called(String),
}

/// What a station has seen.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Is it connected now?
    pub connected: bool,
    /// What it was last told of its registration; unknown again after a boot.
    pub registration: Registration,
    /// Connections that came about.
    pub connects: u64,
    /// Attempts to connect that failed.
    pub refused: u64,
    /// Why the last attempt failed.
    pub last_refusal: Option<String>,
    /// Connections that ended.
    pub disconnects: u64,
    /// Boots, the first power-on included.
    pub boots: u64,
    /// BootNotifications that it sent.
    pub boot_notifications: u64,
    /// Calls that it received, by action.
    pub calls: BTreeMap<String, u64>,
    /// Calls of its own that were answered, by action.
    pub answered: BTreeMap<String, u64>,
    /// Keys that were asked for by name, in all.
    pub keys_asked: u64,
    /// The most keys that were asked for at once.
    pub most_keys_asked: usize,
    /// GetConfigurations without keys.
    pub full_listings: u64,
    /// Writes in their order.
    pub writes: VecDeque<Write>,
    /// Breaches of the rules by the peer.
    pub violations: VecDeque<(u64, Violation)>,
    /// Everything in its order; empty on lean stations.
    pub journal: VecDeque<(u64, Happening)>,
    /// The number of the last thing that happened.
    pub sequence: u64,
    pub(crate) lean: bool,
}

impl Stats {
    /// How many calls of an action it received.
    pub fn calls_of(&self, action: &str) -> u64 {
        self.calls.get(action).copied().unwrap_or(0)
    }

    /// All calls that it received.
    pub fn calls_in_all(&self) -> u64 {
        self.calls.values().sum()
    }

    /// The values that were written to a key, in their order; names ignore case.
    pub fn written(&self, key: &str) -> Vec<&str> {
        self.writes
            .iter()
            .filter(|write| write.key.eq_ignore_ascii_case(key))
            .map(|write| write.value.as_str())
            .collect()
    }

    pub(crate) fn happened(&mut self, happening: impl FnOnce() -> Happening) {
        self.sequence += 1;
        if !self.lean {
            push(&mut self.journal, (self.sequence, happening()));
        }
    }

    pub(crate) fn violated(&mut self, violation: Violation) {
        self.sequence += 1;
        push(&mut self.violations, (self.sequence, violation));
    }

    pub(crate) fn wrote(&mut self, key: &str, value: &str, status: Option<WriteStatus>) {
        self.happened(|| Happening::Wrote {
            key: key.to_owned(),
            value: value.to_owned(),
        });
        let write = Write {
            sequence: self.sequence,
            key: key.to_owned(),
            value: value.to_owned(),
            status,
        };
        push(&mut self.writes, write);
    }

    pub(crate) fn called(&mut self, action: &str) {
        count(&mut self.calls, action);
    }

    pub(crate) fn answered(&mut self, action: &str) {
        count(&mut self.answered, action);
    }
}

fn push<T>(list: &mut VecDeque<T>, entry: T) {
    if list.len() == MOST_ENTRIES {
        list.pop_front();
    }
    list.push_back(entry);
}

fn count(counts: &mut BTreeMap<String, u64>, action: &str) {
    if let Some(number) = counts.get_mut(action) {
        *number += 1;
    } else {
        let name = if counts.len() < MOST_ACTIONS {
            action
        } else {
            "(others)"
        };
        *counts.entry(name.to_owned()).or_default() += 1;
    }
}
