//! A layer: one `ChargeStationConfig` as it applies to one station.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::{ConfigRef, Key, SecretVersion, Text};

/// One `ChargeStationConfig` as it applies to one station.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Which object it is.
    pub config: ConfigRef,
    /// `metadata.generation` of the object.
    pub generation: i64,
    /// Higher wins, per key.
    pub priority: i32,
    /// May it be acted upon? A layer that may not still takes part: its keys are held and never fall through.
    pub standing: Standing,
    /// What may be done about differences.
    pub mode: Mode,
    /// The settings, in the order of the object.
    pub settings: Vec<Setting>,
    /// The hazards that this config may write.
    pub consent: BTreeSet<Consent>,
    /// What is to be done with a key that is removed from every layer.
    pub when_removed: WhenRemoved,
}

/// May a layer be acted upon?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Yes.
    Active,
    /// No: its keys are held for this reason, which `message` tells to a person.
    Held {
        /// Why, for machines.
        reason: HeldLayer,
        /// Why, for people, and what to do.
        message: String,
    },
}

/// Why a layer is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldLayer {
    /// `spec.suspend: true`.
    Suspended,
    /// The annotation `stationkeeper.dev/paused`.
    Paused,
    /// The object breaks its schema or its rules.
    Invalid,
    /// The file that holds the object cannot be read now.
    Unreadable,
    /// Whether it selects the station cannot be said yet (say, the firmware is not known).
    Undecidable,
}

/// What may be done about differences.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum Mode {
    /// Tell them. Nothing is written.
    #[default]
    Report,
    /// Write what differs.
    Enforce,
}

/// A key with its desired value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key as the object spells it.
    pub key: Key,
    /// The desired value.
    pub value: SettingValue,
    /// Narrows the layer's mode for this key (a setting may say Report in a config that enforces, never the reverse).
    pub mode: Option<Mode>,
}

/// A desired value as far as this crate may know it: secrets come as versions only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// Written in the object.
    Plain(Text),
    /// From a Secret that was found.
    Secret {
        /// Stands for the value.
        version: SecretVersion,
        /// The value's length in bytes, for the length rules.
        length: usize,
    },
    /// From a Secret that is missing, empty or without the named key; the message names it and the mend.
    SecretMissing {
        /// Which Secret, which key, what to do.
        message: String,
    },
}

/// What a config may consent to: the hazard classes that are written only with consent, and writing a
/// connection-critical key where no fallback is known.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Consent {
    /// Keys that can cut the link: URL, APN, security, network.
    ConnectionCritical,
    /// Keys whose change cannot be undone.
    Irreversible,
    /// Keys that can be set once.
    WriteOnce,
    /// Protection and calibration law.
    Safety,
    /// Keys that another system writes.
    OwnedElsewhere,
    /// Keys of which no catalogue says anything.
    Unknown,
    /// A connection-critical key may be written although no fallback is known.
    NoFallback,
}

/// What is to be done with a key that a person removed from every layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum WhenRemoved {
    /// Leave it as it is.
    #[default]
    Retain,
    /// Write back the value recorded before the first write.
    Restore,
}
