//! `ChargeStationConfig`: what the keys should be, for whom, and how careful to be.

use kube::CustomResource;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stationkeeper_core::layer::{Consent, Mode, WhenRemoved};
use stationkeeper_core::status::{Example, StationCounts};

/// What the keys of a group of charge stations should be, and how careful to be about it.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "stationkeeper.dev",
    version = "v1alpha1",
    kind = "ChargeStationConfig",
    plural = "chargestationconfigs",
    shortname = "csc",
    category = "stationkeeper",
    namespaced,
    status = "ChargeStationConfigStatus"
)]
#[serde(rename_all = "camelCase")]
pub struct ChargeStationConfigSpec {
    /// Which stations of this namespace. All given conditions must hold.
    pub stations: StationSelection,
    /// Higher wins, per key.
    #[serde(default)]
    pub priority: i32,
    /// Report tells differences; Enforce writes them.
    #[serde(default)]
    pub mode: Mode,
    /// The keys and their values.
    pub settings: Vec<SettingSpec>,
    /// The hazards that this config may write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consent: Vec<Consent>,
    /// How Resets are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<ResetSpec>,
    /// How fast, and when to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutSpec>,
    /// What is done with a key that is removed.
    #[serde(default)]
    pub when_removed: WhenRemoved,
    /// Holds everything that this config declares.
    #[serde(default)]
    pub suspend: bool,
}

/// Which stations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StationSelection {
    /// By labels of the ChargeStation. `{}` selects all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// By names of ChargeStation objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// By hardware as the station reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<HardwareSelection>,
}

/// Hardware patterns: exact, or globs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HardwareSelection {
    /// As reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// As reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// As reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingSpec {
    /// The configuration key.
    pub key: String,
    /// The value, always a string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The value, from a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueSource>,
    /// Narrows the mode of this config for this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

/// Where a secret value comes from; exactly one is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValueSource {
    /// In the Secret that each station names in its `spec.authentication.secretRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station_secret: Option<StationSecretKey>,
    /// One Secret for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
}

/// A key of the station's own Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StationSecretKey {
    /// The key in the Secret's data.
    pub key: String,
}

/// A key of a Secret of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The Secret.
    pub name: String,
    /// The key in the Secret's data.
    pub key: String,
}

/// How Resets are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResetSpec {
    /// Wait: never sent by the operator.
    #[serde(default)]
    pub policy: ResetPolicy,
}

/// When a Reset may be sent.
// WhenIdle, `type`, `approval` and `windows` join with the issue about resets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ResetPolicy {
    /// Never sent by the operator: it waits until the station boots for another reason.
    #[default]
    Wait,
}

/// How fast.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutSpec {
    /// Stations being written at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<i32>,
}

/// What is known of the stations that this config selects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ChargeStationConfigStatus {
    /// The generation that this status speaks of.
    pub observed_generation: i64,
    /// Ready, Reconciling, Stalled, InSync, Drifted, ResetRequired.
    pub conditions: Vec<Condition>,
    /// Selected stations by their state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stations: Option<StationCounts>,
    /// At most 20 deviations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Example>,
    /// The last value of `reconcile.fluxcd.io/requestedAt` that the stations were told of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}
