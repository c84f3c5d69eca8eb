//! Memory: what a restart needs of a station, kept in its status. It holds exceptions only, so that a station at rest
//! is small.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::state::Reason;
use crate::words::{ConfigRef, Device, Key, SecretVersion};

/// The format that this version writes. A newer one is not acted upon: no calls.
pub const FORMAT_VERSION: u32 = 1;

/// How many keys memory is kept for, besides those that are in sync.
pub const MAX_KEYS: usize = 512;

/// What a restart needs of a station.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// The format of this memory.
    pub format_version: u32,
    /// Counts what happened to the station, so that events are ordered without clocks.
    pub event: u64,
    /// The event of the last proven boot; 0: none proven.
    pub boot: u64,
    /// The event of the last new connection; 0: none.
    pub connection: u64,
    /// The device that all of this is about.
    pub device: Device,
    /// The firmware that the answers below are about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// The firmware before it, if it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub former_firmware: Option<String>,
    /// The event of the last firmware change; 0: none.
    pub firmware_event: u64,
    /// The event at which all managed keys had last been read: what happened later is news to the next reading.
    pub seen: u64,
    /// The station sends BootNotification on reconnects that we caused: it then proves less.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub boots_on_reconnect: bool,
    /// The keys after whose writes the station booted by itself, under its present firmware.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub reboots_on_write: BTreeMap<Key, Reboots>,
    /// The keys that were in sync, with the value they were in sync with: sorted 32-bit digests of key and canonical
    /// value, in base64. Tells whether a key *was* in sync with this very desired value.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub in_sync: String,
    /// The last `resume` that was honoured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed: Option<String>,
    /// What is remembered of single keys, by the canonical name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<Key, KeyMemory>,
}

/// Boots of a station soon after writes of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reboots {
    /// How many.
    pub boots: u32,
    /// How long after the write the last one came.
    pub seconds: u32,
}

/// What is remembered of one key. Every field is an exception; when all are absent the key is forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KeyMemory {
    /// A write that takes effect with a boot or connection that has not been proven yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owed: Option<Owed>,
    /// Our last write of the key and what became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write: Option<WriteMemory>,
    /// When the value was found changed by others, the newest last, at most 4.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reverts: Vec<Timestamp>,
    /// How it drifted after it was in sync; ends when it is in sync again, or written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftMemory>,
    /// Boots in a row that it did not survive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
    /// The two values of a contest: what it was changed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contested: Option<Contest>,
    /// Disconnects while a call about this key was in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub falls: Option<Falls>,
    /// The key was known once and is gone since this event's firmware.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub was_known: bool,
    /// What the station held before we first wrote (never of secrets); for Restore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original: Option<Original>,
    /// A removal from every layer that Restore waits to act upon, or has acted upon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<RemovedMemory>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A value as memory may hold it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RememberedValue {
    /// Not a secret.
    Plain(String),
    /// A secret, by its version only.
    Secret(SecretVersion),
}

/// A value that the next boot (or connection) brings into effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Owed {
    /// The value that was written.
    pub value: RememberedValue,
    /// What the station showed before (absent: no value, or write-only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The event of the write.
    pub since: u64,
    /// When, for people.
    pub at: Timestamp,
    /// What ends it.
    pub until: Until,
}

/// What brings an owed value into effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Until {
    /// A proven boot.
    Boot,
    /// Any new connection.
    Reconnect,
}

/// Our last write of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WriteMemory {
    /// What was written.
    pub value: RememberedValue,
    /// What the station showed before (absent: no value, or write-only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The event of the write.
    pub since: u64,
    /// When, for people and for back-off.
    pub at: Timestamp,
    /// What the station answered; `Intended`: about to be sent, nobody knows.
    pub answer: Answer,
    /// What it said besides, if anything (a CALLERROR's code and description), shortened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How often this value was written in a row without coming into sync.
    pub attempts: u32,
    /// How many of these writes were answered, and a proven boot came, and the value did not.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cycles: u32,
    /// It was read back equal right after the write.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shown: bool,
    /// A driver may have been using the station: a rejection may have come from that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub busy: bool,
    /// Keys to be written before this one that were not in sync: a rejection may have come from that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<Key>,
    /// The firmware that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// Stands for what the catalogue said of the key when it was written; 0: that was not remembered. A rejection is
    /// no longer about the same write when the catalogue says something else.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub known: u32,
    /// Which config wanted it, at which generation.
    pub config: ConfigRef,
    /// See `config`.
    pub generation: i64,
}

/// What became of a write.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Answer {
    /// Recorded before the frame was sent; if it is still so, nobody knows whether it was.
    Intended,
    /// `Accepted`.
    Accepted,
    /// `RebootRequired`.
    RebootRequired,
    /// `Rejected`, or a CALLERROR about its content.
    Rejected,
    /// `NotSupported`.
    NotSupported,
    /// No answer within the limit, or the connection ended.
    NoAnswer,
    /// An answer that says nothing about the value (InternalError, GenericError, an unknown status).
    Error,
}

/// Two writers of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Contest {
    /// The desired value for which the contest was called.
    pub ours: RememberedValue,
    /// The value that came back.
    pub theirs: String,
    /// When it was called.
    pub at: Timestamp,
    /// The config that declared our value, and its generation: another one ends the contest.
    pub declared: Declared,
}

/// Which config wanted a value, at which generation: another one is a change of spec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Declared {
    /// The config.
    pub config: ConfigRef,
    /// Its generation.
    pub generation: i64,
}

/// How a key drifted after it was in sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftMemory {
    /// ChangedOutside, NotPersistent, LostWithFirmware or SideEffect.
    pub reason: Reason,
    /// The event at which it was seen.
    pub since: u64,
    /// When, for people.
    pub at: Timestamp,
    /// The desired value that it had been in sync with.
    pub value: RememberedValue,
    /// Our own writes that may have moved it (SideEffect).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub by: Vec<Key>,
    /// Who desired it.
    pub declared: Declared,
}

/// Boots in a row that a value did not survive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lost {
    /// How many.
    pub count: u32,
    /// The event of the last such boot.
    pub boot: u64,
    /// The value.
    pub value: RememberedValue,
    /// Who desired it.
    pub declared: Declared,
}

/// Disconnects on calls about one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Falls {
    /// The call: `GetConfiguration` or `ChangeConfiguration`.
    pub call: String,
    /// How many in a row.
    pub count: u32,
    /// The last one.
    pub at: Timestamp,
    /// The firmware that fell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
}

/// What the station held before we first wrote a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Original {
    /// The value; absent: the station gave none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The config that wrote first: its `whenRemoved` and consent at the last pass decide about Restore.
    pub config: ConfigRef,
    /// Does the config that declares the key now say Restore?
    #[serde(default)]
    pub restore: bool,
    /// The consent it has given, for the same hazards at the write back.
    #[serde(default)]
    pub consent: Vec<crate::layer::Consent>,
}

/// A key that left every layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemovedMemory {
    /// When its removal was seen first.
    pub since: Timestamp,
    /// A person deleted the setting or the config (and no label or fact of the station changed).
    pub deliberate: bool,
}
