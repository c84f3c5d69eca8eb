//! Status: a plan after the pass → what is told of the station; and all stations → what is told of a config.
//!
//! Conditions follow kstatus: Ready is True when nothing that we may do now is undone; waiting for a boot, a driver, a
//! connection or a person's word about a single key does not hold it. Reconciling and Stalled are there only while True,
//! and never both. Transition times are the publisher's part. Everything is bounded, whatever the fleet's size.

mod config;
mod station;
mod transition;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layer::Mode;
use crate::plan::KeyVerdict;
use crate::state::{Reason, State};
use crate::words::{Finding, Key};

pub use config::config_status;
pub use station::station_status;
pub use transition::{Transition, transitions};

/// How many deviations a status names; beyond that only the count.
pub const MAX_DEVIATIONS: usize = 50;

/// How many findings a status names.
pub const MAX_FINDINGS: usize = 10;

/// How many examples a config's status names.
pub const MAX_EXAMPLES: usize = 20;

/// A key that is not in sync, as status tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deviation {
    /// The key.
    pub key: Key,
    /// Its state.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// For people.
    pub message: String,
    /// The desired value; absent for secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired: Option<String>,
    /// What the station shows; absent for secrets and if it shows none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,
    /// `namespace/name` of the config that declares it.
    pub config: String,
}

/// Counts of a station's managed keys by what matters to a reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KeyCounts {
    /// Managed keys (NotApplicable left out).
    pub total: i32,
    /// InSync.
    pub in_sync: i32,
    /// Unverifiable, answered.
    pub unverifiable: i32,
    /// Pending, Unreported, Unknown.
    pub pending: i32,
    /// ResetPending.
    pub reset_pending: i32,
    /// Drifted, ReadOnlyMismatch, Contested, Rejected, NotSupported.
    pub drifted: i32,
    /// Failed, Quarantined, Invalid, Conflict, NeedsConsent, SecretMissing.
    pub failed: i32,
}

/// A condition in Kubernetes' sense, without its transition time (the publisher keeps that).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`, `InSync`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// `True` or `False` or `Unknown`.
    pub status: String,
    /// CamelCase.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// What is told of a station.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StationStatus {
    /// Counts over all managed keys.
    pub counts: KeyCounts,
    /// The worst first, at most [`MAX_DEVIATIONS`].
    pub deviations: Vec<Deviation>,
    /// How many there are in all.
    pub deviation_count: i32,
    /// What a person should know besides, at most [`MAX_FINDINGS`]; what a deviation says already is left out.
    pub findings: Vec<Finding>,
    /// Ready and InSync always; Reconciling, Stalled, Drifted, ResetRequired only while True; Connected always.
    pub conditions: Vec<Condition>,
}

/// One station as a config's summary sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StationSummary {
    /// Name of the `ChargeStation`.
    pub station: String,
    /// Connected?
    pub connected: bool,
    /// Was it ever seen?
    pub seen: bool,
    /// Its status speaks of the generation that the config has now (`resolvedHash` matches).
    pub current: bool,
    /// Suspended, paused or refused as a whole.
    pub stalled: Option<String>,
    /// The keys that this config declares for it.
    pub keys: Vec<KeyVerdict>,
}

/// Counts of stations, one class each: the worst that applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StationCounts {
    /// Selected stations.
    pub total: i32,
    /// All keys of this config in sync (or unverifiable, answered).
    pub in_sync: i32,
    /// Being read or written, or about to be.
    pub progressing: i32,
    /// Waiting for a Reset, and nothing worse.
    pub reset_pending: i32,
    /// At least one key drifted.
    pub drifted: i32,
    /// At least one key failed or is held until a person acts.
    pub failed: i32,
    /// Not connected (counted here whatever else).
    pub offline: i32,
}

/// An example of a deviation in a config's status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Example {
    /// The station.
    pub station: String,
    /// The key.
    pub key: Key,
    /// Its state.
    pub state: State,
    /// Why.
    pub reason: Reason,
}

/// What is told of a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigStatus {
    /// Counts.
    pub stations: StationCounts,
    /// At most [`MAX_EXAMPLES`], the worst first, spread over stations.
    pub examples: Vec<Example>,
    /// Ready, InSync always; Reconciling, Stalled, Drifted, ResetRequired only while True.
    pub conditions: Vec<Condition>,
}

fn condition(kind: &str, status: bool, reason: &str, message: impl Into<String>) -> Condition {
    let status = if status { "True" } else { "False" };
    Condition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.into(),
    }
}

/// What a state is to a reader, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// Failed, or held until a person acts.
    Failed,
    /// Differs, and not because we are still at it.
    Drifted,
    /// Never read, to be written, held.
    Pending,
    /// Waits for a boot.
    ResetPending,
    /// Written, and never shown.
    Unverifiable,
    /// As desired.
    InSync,
    /// Not for this station.
    NotApplicable,
}

fn class(state: State) -> Class {
    match state {
        State::Failed
        | State::Quarantined
        | State::Invalid
        | State::Conflict
        | State::NeedsConsent
        | State::SecretMissing => Class::Failed,
        State::Drifted
        | State::ReadOnlyMismatch
        | State::Contested
        | State::Rejected
        | State::NotSupported => Class::Drifted,
        State::Pending | State::Unreported | State::Unknown => Class::Pending,
        State::ResetPending => Class::ResetPending,
        State::Unverifiable => Class::Unverifiable,
        State::InSync => Class::InSync,
        State::NotApplicable => Class::NotApplicable,
    }
}

/// Written, and an answer came: as much in sync as a key can be that is never shown.
fn is_answered(verdict: &KeyVerdict) -> bool {
    verdict.reason != Reason::Unconfirmed
}

/// As good as it gets: in sync, or written and answered where the station never shows it.
fn is_settled(verdict: &KeyVerdict) -> bool {
    match class(verdict.state) {
        Class::InSync | Class::NotApplicable => true,
        Class::Unverifiable => is_answered(verdict),
        Class::Failed | Class::Drifted | Class::Pending | Class::ResetPending => false,
    }
}

/// Why a key cannot go on by itself, if so: a person has to mend the manifest, consent, make the Secret, or run the
/// version that wrote the memory.
fn stall(verdict: &KeyVerdict) -> Option<&'static str> {
    match (verdict.state, verdict.reason) {
        (State::Invalid, _) => Some("Invalid"),
        (State::Conflict, _) => Some("Conflict"),
        (State::NeedsConsent, _) if verdict.mode == Mode::Enforce => Some("NeedsConsent"),
        (State::SecretMissing, _) => Some("SecretMissing"),
        (_, Reason::ConfigInvalid) => Some("Invalid"),
        (_, Reason::ConfigUnreadable) => Some("Unreadable"),
        (_, Reason::NewerMemory) => Some("NewerMemory"),
        _ => None,
    }
}

/// The same conditions for a station that cannot go on by itself for a reason that no key has: Ready is False, Stalled
/// is True, and nothing is Reconciling. The reason comes before any that a key gave, since no key can be mended before.
pub fn stalled(conditions: Vec<Condition>, reason: &str, message: &str) -> Vec<Condition> {
    let mut told: Vec<Condition> = conditions
        .into_iter()
        .filter(|told| told.kind != "Reconciling" && told.kind != "Stalled")
        .map(|told| match (told.kind.as_str(), told.status.as_str()) {
            ("Ready", _) => condition("Ready", false, reason, message),
            ("InSync", "False") => {
                let message = format!("{message}; {}", told.message);
                condition("InSync", false, &told.reason, message)
            }
            _ => told,
        })
        .collect();
    told.push(condition("Stalled", true, reason, message));
    told
}

/// What is said of a key, with its name: for where it is read alone.
pub fn named<'a>(key: &Key, message: &'a str) -> Cow<'a, str> {
    if message.contains(key.as_str()) {
        Cow::Borrowed(message)
    } else {
        Cow::Owned(format!("{key}: {message}"))
    }
}

fn as_count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

/// `1 key`, `2 keys`.
fn counted(count: usize, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}
