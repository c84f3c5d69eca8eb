//! `ChargeStationConfig`: what the keys should be, for whom, and how careful to be.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stationkeeper_core::layer::{Consent, Mode, WhenRemoved};
use stationkeeper_core::status::{Example, StationCounts};

/// What is wanted: which stations, which keys with which values, and how careful to be.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "stationkeeper.dev",
    version = "v1alpha1",
    kind = "ChargeStationConfig",
    plural = "chargestationconfigs",
    shortname = "csc",
    category = "stationkeeper",
    namespaced,
    status = "ChargeStationConfigStatus",
    doc = "A ChargeStationConfig declares what OCPP configuration keys of a group of charge stations should be. It selects ChargeStations of its own namespace. Where several configs select a station, the one with the highest priority wins, key by key."
)]
#[serde(rename_all = "camelCase")]
pub struct ChargeStationConfigSpec {
    /// Which ChargeStations of this namespace the config is for. Give at least one of `selector`, `names` and
    /// `hardware`; a station must meet all that are given.
    pub stations: StationSelection,
    /// Where several configs set a key of the same station, the config with the higher number wins that key. With
    /// equal numbers and unequal values neither is written, and both configs say so. Any whole number; 0 if absent.
    #[serde(default)]
    pub priority: i32,
    /// What is done about a key that differs. `Report`, the default, tells it and writes nothing; `Enforce` writes the
    /// declared value to the station. Start with Report, look at the status, then change to Enforce.
    #[serde(default)]
    pub mode: Mode,
    /// The configuration keys and the values they should have, each key once.
    pub settings: Vec<SettingSpec>,
    /// The hazards that this config may write. Keys of these classes are held (NeedsConsent) until the class is listed
    /// here: `ConnectionCritical` can cut a station off the network, `Irreversible` cannot be undone, `WriteOnce` can
    /// be set once, `Safety` is about protection or calibration law, `OwnedElsewhere` is written by another system,
    /// `Unknown` is in no catalogue. `NoFallback` lets a connection-critical key be written although the station has
    /// no known way back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consent: Vec<Consent>,
    /// Whether stations are reset for keys that take effect only when the station boots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<ResetSpec>,
    /// How many stations are changed at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutSpec>,
    /// What happens to a key that you delete from this config, or with it. `Retain`, the default, leaves the station
    /// as it is; `Restore` writes back the value that the station had before the operator first wrote it.
    #[serde(default)]
    pub when_removed: WhenRemoved,
    /// True holds every key of this config as it is: nothing is written, and no config of lower priority takes over
    /// its keys. False if absent.
    #[serde(default)]
    pub suspend: bool,
}

/// Which stations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StationSelection {
    /// By labels of the ChargeStation, for example `{matchLabels: {site: harbour}}`. `{}` selects every ChargeStation
    /// of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// By names of ChargeStation objects (`metadata.name`, not the OCPP identity).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// By what the station says it is. A station that has not said it yet is not written until it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<HardwareSelection>,
}

/// Hardware patterns: exact, or globs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HardwareSelection {
    /// The vendor as the station reports it in its BootNotification. `*` stands for any characters, `?` for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The model as the station reports it, for example `CC612*`. `*` stands for any characters, `?` for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The firmware version as the station reports it, for example `5.30*`. `*` stands for any characters, `?` for
    /// one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
}

/// A key and the value that it should have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingSpec {
    /// The name of the configuration key, for example `MeterValueSampleInterval`. At most 50 characters. Stations that
    /// spell it in another case are understood.
    pub key: String,
    /// The value that the key should have, always in quotes: `"900"`, `"true"`, `"Energy.Active.Import.Register"`. For
    /// a key that is read-only on the station, a difference is told and never written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Takes the value from a Secret instead; it then shows up neither in status nor in logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueSource>,
    /// Narrows the mode of the config for this key.
    // The derive loses the description of an optional enum: what users read stands in `bounds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

/// Where a secret value comes from; exactly one is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValueSource {
    /// From the Secret that each station names in its own `spec.authentication.secretRef`, so that every station gets
    /// a value of its own. The only source allowed for `AuthorizationKey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station_secret: Option<StationSecretKey>,
    /// From one Secret of this namespace, the same value for all selected stations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
}

/// A key of the station's own Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StationSecretKey {
    /// The key in the Secret's data, for example `password`.
    pub key: String,
}

/// A key of a Secret of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The name of the Secret, in the namespace of this config.
    pub name: String,
    /// The key in the Secret's data, for example `password`.
    pub key: String,
}

/// Whether and when Resets are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResetSpec {
    /// `Wait`, the default and the only policy of this version: the operator never sends a Reset. A key that needs a
    /// boot stays ResetPending until the station boots for another reason.
    #[serde(default)]
    pub policy: ResetPolicy,
}

/// When a Reset may be sent.
// WhenIdle, `type`, `approval` and `windows` join when the operator can send Resets: a field that does nothing must
// be refused rather than accepted in silence.
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
    /// The most stations of this config that are being written at the same time, 1 to 100000. Without it only the
    /// limits of the operator itself apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<i32>,
}

/// What has become of the config: written by the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ChargeStationConfigStatus {
    /// The `metadata.generation` that this status speaks of; -1 until the operator has seen the object. If it is lower
    /// than the generation, the status is about an older spec.
    pub observed_generation: i64,
    /// `Ready` (all that may be done now is done) and `InSync` (every selected station has every key) are always
    /// there; `Reconciling`, `Stalled`, `Drifted` and `ResetRequired` only while they are True.
    pub conditions: Vec<Condition>,
    /// The selected stations, counted by the worst that applies to each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stations: Option<StationCounts>,
    /// Keys that are not in sync, at most 20 of them, the worst first. Each station's status has its own list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Example>,
    /// The value of the annotation `reconcile.fluxcd.io/requestedAt` that the stations were last told of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}
