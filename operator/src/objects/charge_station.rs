//! `ChargeStation`: one live station; the object that is reconciled.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stationkeeper_core::memory::Memory;
use stationkeeper_core::station::Role;
use stationkeeper_core::status::{Deviation, KeyCounts};
use stationkeeper_core::words::Finding;

/// What is declared of the station: its identity, how it proves it, and what it is.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "stationkeeper.dev",
    version = "v1alpha1",
    kind = "ChargeStation",
    plural = "chargestations",
    shortname = "chst",
    category = "stationkeeper",
    namespaced,
    status = "ChargeStationStatus",
    doc = "A ChargeStation is one EV charge station that connects to the operator over OCPP-J. Its status tells what the station says it is, whether it is connected, and every key that is not as the ChargeStationConfigs of the namespace declare it.",
    selectable = ".spec.identity"
)]
#[serde(rename_all = "camelCase")]
pub struct ChargeStationSpec {
    /// The string with which the station connects: the last part of its connection URL, percent-decoded, exactly as
    /// configured in the station. 1 to 255 characters; upper and lower case differ. It must be unique in the
    /// installation and cannot be changed later.
    pub identity: String,
    /// `Standalone`, the default, or what the station is in a pair of which only the `Master` holds the connection.
    /// Keys that are not meant for a `Slave` or `Master` are left alone.
    #[serde(default)]
    pub role: Role,
    /// How the station proves who it is: give `secretRef` or `bootstrapSecretRef` or both, or `none: true`. If absent,
    /// the station is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// What the station is, for stations that report it wrongly or not at all. What is given here counts instead of
    /// what the station reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<HardwareOverride>,
    /// True holds the station as it is: it may stay connected, and the operator sends it no calls. False if absent.
    #[serde(default)]
    pub suspend: bool,
}

/// How the station proves who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authentication {
    /// The Secret that holds the station's own password (HTTP Basic; the user name is the identity).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// The Secret with the password of a factory-new or replaced unit. A station that comes with it is admitted as
    /// Pending and counts as a new device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_secret_ref: Option<SecretRef>,
    /// How the password stands in the Secrets. `Hex`: 32 to 40 hexadecimal digits that stand for the 16 to 20 bytes
    /// which the station sends; `Text`: the station sends it as it stands; `Auto`, the default: either is accepted.
    #[serde(default)]
    pub encoding: PasswordEncoding,
    /// True admits anybody who knows the identity, without a password. Secrets and connection-critical keys are then
    /// never written. Cannot be combined with the Secrets. False if absent.
    #[serde(default)]
    pub none: bool,
}

/// A Secret of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// The name of the Secret, in the namespace of the ChargeStation.
    pub name: String,
    /// The key in the Secret's data; `password` if absent.
    #[serde(default = "password_key")]
    pub key: String,
}

fn password_key() -> String {
    "password".to_owned()
}

/// How a password stands in its Secret, and how the station sends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PasswordEncoding {
    /// 32 to 40 hexadecimal digits; the station sends the bytes.
    Hex,
    /// The station sends the text.
    Text,
    /// Either.
    #[default]
    Auto,
}

/// Laid over what the station reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HardwareOverride {
    /// The vendor that counts instead of the reported `chargePointVendor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The model that counts instead of the reported `chargePointModel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The firmware version that counts instead of the reported `firmwareVersion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
}

/// What is known of the station: written by the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ChargeStationStatus {
    /// The `metadata.generation` that this status speaks of; -1 until the operator has seen the object.
    pub observed_generation: i64,
    /// `Ready` (all that may be done now is done), `InSync` (every declared key was read back and is in effect) and
    /// `Connected` are always there; `Reconciling`, `Stalled`, `Drifted` and `ResetRequired` only while they are True.
    pub conditions: Vec<Condition>,
    /// What the station reported of itself when it booted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<ReportedHardware>,
    /// What the station's last BootNotification was answered: Accepted, Pending or Rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Option<String>,
    /// When a boot of the station was last proven. Absent: no boot has been proven yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_boot: Option<Time>,
    /// The declared keys, counted by their state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeyCounts>,
    /// Stands for the settings that this status speaks of and the generations of their configs: two stations with the
    /// same hash were given the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_hash: Option<String>,
    /// The keys that are not in sync, at most 50 of them, the worst first; `deviationCount` counts all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deviations: Vec<Deviation>,
    /// How many keys are not in sync.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deviation_count: Option<i32>,
    /// What a person should know besides, at most 10 findings: where the station contradicts the catalogue (its word
    /// counts), where catalogues contradict each other about a declared key, and rules between keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// The keys that take effect only when the station boots, and what that waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_reset: Option<PendingResetStatus>,
    /// The value of the annotation `reconcile.fluxcd.io/requestedAt` that was last acted upon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// What the operator needs to know after a restart. It is not meant for reading, and its form may change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
}

/// What a station reported of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReportedHardware {
    /// The vendor (`chargePointVendor`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The model (`chargePointModel`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The serial number (`chargePointSerialNumber`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// The firmware version (`firmwareVersion`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// The OCPP-J subprotocol of its connection, for example `ocpp1.6`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// What waits for a Reset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingResetStatus {
    /// Names this very wait; it changes when other keys or values wait.
    pub id: String,
    /// The keys that wait.
    pub keys: Vec<String>,
    /// When the oldest of the writes that wait was made.
    pub since: Time,
    /// What the boot waits for, in words.
    pub waiting_for: Vec<String>,
}
