//! `ChargeStation`: one live station; the object that is reconciled.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stationkeeper_core::memory::Memory;
use stationkeeper_core::station::Role;
use stationkeeper_core::status::{Deviation, KeyCounts};

/// One charge station.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "stationkeeper.dev",
    version = "v1alpha1",
    kind = "ChargeStation",
    plural = "chargestations",
    shortname = "chst",
    category = "stationkeeper",
    namespaced,
    status = "ChargeStationStatus"
)]
#[serde(rename_all = "camelCase")]
pub struct ChargeStationSpec {
    /// The string with which the station connects.
    pub identity: String,
    /// Alone, or which of a master/slave pair.
    #[serde(default)]
    pub role: Role,
    /// How the station proves who it is. Absent: refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// Laid over what the station reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<HardwareOverride>,
    /// Holds everything for this station: no calls.
    #[serde(default)]
    pub suspend: bool,
}

/// How the station proves who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authentication {
    /// The Secret with its password, under the key `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// The Secret with the password of a factory-new or replaced unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_secret_ref: Option<SecretRef>,
    /// How the password stands in the Secret.
    #[serde(default)]
    pub encoding: PasswordEncoding,
    /// True: anybody who knows the identity may connect.
    #[serde(default)]
    pub none: bool,
}

/// A Secret of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// The Secret.
    pub name: String,
    /// The key in the Secret's data.
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
    /// Vendor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Firmware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
}

/// What is known of a station.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ChargeStationStatus {
    /// The generation that this status speaks of.
    pub observed_generation: i64,
    /// Ready, InSync, Connected; Reconciling, Stalled, Drifted, ResetRequired while True.
    pub conditions: Vec<Condition>,
    /// What the station reported of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<ReportedHardware>,
    /// What the station's BootNotification was last answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Option<String>,
    /// When a boot was last proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_boot: Option<Time>,
    /// Managed keys by their state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeyCounts>,
    /// Stands for the settings that this status speaks of, and the generations of their configs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_hash: Option<String>,
    /// The keys that are not in sync, at most 50.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deviations: Vec<Deviation>,
    /// How many keys are not in sync.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deviation_count: Option<i32>,
    /// What waits for a Reset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_reset: Option<PendingResetStatus>,
    /// The last `reconcile.fluxcd.io/requestedAt` that was acted upon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// What the operator needs after a restart. Not for reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
}

/// What a station reported of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReportedHardware {
    /// `chargePointVendor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// `chargePointModel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `chargePointSerialNumber`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// `firmwareVersion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// The subprotocol of its connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// What waits for a Reset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingResetStatus {
    /// Names this very wait.
    pub id: String,
    /// The keys that wait.
    pub keys: Vec<String>,
    /// Since when.
    pub since: Time,
    /// What it waits for.
    pub waiting_for: Vec<String>,
}
