//! Status: a plan after the pass → what is told of the station; and all stations → what is told of a config.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::{KeyVerdict, Plan};
use crate::state::{Reason, State};
use crate::station::StationFacts;
use crate::words::Key;

/// How many deviations a status names; beyond that only the count.
pub const MAX_DEVIATIONS: usize = 50;

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
    /// Ready and InSync always; Reconciling, Stalled, Drifted, ResetRequired only while True; Connected always.
    pub conditions: Vec<Condition>,
}

/// Tells of a station after a pass. `passing`: a pass is under way or due now (Reconciling).
pub fn station_status(plan: &Plan, station: &StationFacts, passing: bool) -> StationStatus {
    let _ = (plan, station, passing);
    todo!("written by the core's author")
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

/// Tells of a config. `mistake`: the object itself is invalid (Stalled). `suspended` likewise holds it.
pub fn config_status(stations: &[StationSummary], mistake: Option<&str>, suspended: bool) -> ConfigStatus {
    let _ = (stations, mistake, suspended, BTreeMap::<(), ()>::new());
    todo!("written by the core's author")
}
