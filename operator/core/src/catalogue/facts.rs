//! The words in which facts about keys are told: types, access, hazards, ranges. Only data, shared by the built-in
//! files, `KeyCatalogue` objects and the merged definitions.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layer::Consent;
use crate::words::Key;

/// What kind of value a key holds.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum ValueType {
    /// True or false, in any of the spellings that stations use.
    Boolean,
    /// A whole number.
    Integer,
    /// A number with decimals.
    Decimal,
    /// Text, compared exactly.
    String,
    /// One of a few named values; code and label are equal.
    Enum,
    /// A comma-separated list, compared as a set unless it is ordered.
    List,
    /// An address, compared exactly.
    Url,
    /// A secret: never compared, never shown.
    Secret,
}

/// Who may read and write a key.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Access {
    /// Can be read only.
    ReadOnly,
    /// Can be read and written.
    ReadWrite,
    /// Can be written only: reads never show it.
    WriteOnly,
    /// Each implementation chooses between read-only and read-write; the station itself says which.
    ImplementationDefined,
}

/// When a written value takes effect.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum TakesEffect {
    /// At once.
    Immediately,
    /// With the next boot.
    AfterReset,
    /// With the next connection.
    AfterReconnect,
    /// Nobody knows.
    Unknown,
}

/// The feature profile of OCPP 1.6 that a key belongs to.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Profile {
    /// The core profile.
    Core,
    /// Firmware and diagnostics.
    FirmwareManagement,
    /// The local authorization list.
    LocalAuthListManagement,
    /// Reservations.
    Reservation,
    /// Charging profiles.
    SmartCharging,
    /// Messages on demand.
    RemoteTrigger,
}

impl Profile {
    /// The identifier that stands in `SupportedFeatureProfiles`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Core => "Core",
            Self::FirmwareManagement => "FirmwareManagement",
            Self::LocalAuthListManagement => "LocalAuthListManagement",
            Self::Reservation => "Reservation",
            Self::SmartCharging => "SmartCharging",
            Self::RemoteTrigger => "RemoteTrigger",
        }
    }
}

/// Where a key counts in a master/slave pair.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Scope {
    /// Set on the master, for both.
    Master,
    /// Set on each by itself.
    Individual,
    /// Set alike on both.
    Both,
    /// The pair does not matter.
    NotRelevant,
}

/// What writing a key endangers.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Hazard {
    /// Nothing beyond what the value says.
    None,
    /// Can cut the link: URL, APN, security, network.
    ConnectionCritical,
    /// Acts on a running charge: limits, free charging, availability.
    SessionAffecting,
    /// Cannot be undone.
    Irreversible,
    /// Can be set once.
    WriteOnce,
    /// Changes who the station is.
    Identity,
    /// Writing it is a command.
    Action,
    /// The station clears it by itself.
    SelfClearing,
    /// Protection and calibration law.
    Safety,
    /// Another system writes it.
    OwnedElsewhere,
}

impl Hazard {
    /// How this hazard alone bears on writing.
    pub fn write_rule(self) -> WriteRule {
        match self {
            Self::None | Self::SessionAffecting => WriteRule::Free,
            Self::ConnectionCritical => WriteRule::With(Consent::ConnectionCritical),
            Self::Irreversible => WriteRule::With(Consent::Irreversible),
            Self::WriteOnce => WriteRule::With(Consent::WriteOnce),
            Self::Safety => WriteRule::With(Consent::Safety),
            Self::OwnedElsewhere => WriteRule::With(Consent::OwnedElsewhere),
            Self::Identity | Self::Action | Self::SelfClearing => WriteRule::Never,
        }
    }
}

/// How a hazard bears on writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteRule {
    /// Written freely.
    Free,
    /// Written only with this consent.
    With(Consent),
    /// Never written: it is not configuration (Action, SelfClearing, Identity, Telemetry).
    Never,
}

/// What sort of thing a key is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Nature {
    /// Configuration.
    Setting,
    /// What the station can do: limits, profiles, hardware.
    Capability,
    /// A reading or a log: never configuration, never drift.
    Telemetry,
}

/// Does the vendor's station provide the key?
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Supported {
    /// It does. (No variant is called Yes or No: YAML as kubectl reads it would make booleans of them.)
    Full,
    /// In part.
    Partial,
    /// It does not.
    NotSupported,
}

/// What a URL or list must leave to the station: things that a value must not contain.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Excluded {
    /// Spaces, tabs and line breaks.
    Whitespace,
    /// The identity of the station, which the station adds by itself.
    Identity,
}

/// The numbers that a key takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Range {
    /// The least number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// The greatest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// Numbers outside of the bounds that are taken as well, such as 0 for "off".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<i64>,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for other in &self.also {
            write!(f, "{other} or ")?;
        }
        match (self.min, self.max) {
            (Some(min), Some(max)) => write!(f, "{min} to {max}"),
            (Some(min), None) => write!(f, "{min} or more"),
            (None, Some(max)) => write!(f, "{max} or less"),
            (None, None) => write!(f, "any number"),
        }
    }
}

/// How many characters a value has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Length {
    /// At least so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i32>,
    /// At most so many; more than 500 says that the station takes more than OCPP 1.6 lets a value have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i32>,
}

/// One of the values of an Enum, or of the items of a List.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamedValue {
    /// What goes on the wire.
    pub code: String,
    /// What documents and some stations call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A key that is to be written before this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct After {
    /// The key to be written first.
    pub key: Key,
    /// Only when this key's number goes that way.
    #[serde(default, skip_serializing_if = "Direction::is_any")]
    pub when: Direction,
}

/// Which way a number goes.
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
pub enum Direction {
    /// Either way.
    #[default]
    Any,
    /// Up.
    Raising,
    /// Down.
    Lowering,
}

impl Direction {
    fn is_any(&self) -> bool {
        *self == Self::Any
    }
}

/// A value that somebody recommends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recommendation {
    /// The value.
    pub value: String,
    /// Who recommends it.
    pub by: String,
    /// For what it is meant, if not for every station ("DC with Smart Charging").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The numbers that are recommended, where the value is one of several that are as good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// How the document spells the key, where it misspells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spelt: Option<Key>,
    /// What a person should know besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What stands before each item of a List.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum ItemPrefix {
    /// The number of a connector and a dot, as in `1.RST`; 0 is the grid connection.
    Connector,
}

/// The spelling in which a station takes booleans.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum BooleanVocabulary {
    /// `true` and `false`.
    Lower,
    /// `True` and `False`.
    Title,
    /// `TRUE` and `FALSE`.
    Upper,
    /// `1` and `0`.
    Digits,
    /// `On` and `Off`.
    OnOff,
    /// `Yes` and `No`.
    YesNo,
}

impl BooleanVocabulary {
    /// The word for a truth value.
    pub fn word(self, truth: bool) -> &'static str {
        let [no, yes] = match self {
            Self::Lower => ["false", "true"],
            Self::Title => ["False", "True"],
            Self::Upper => ["FALSE", "TRUE"],
            Self::Digits => ["0", "1"],
            Self::OnOff => ["Off", "On"],
            Self::YesNo => ["No", "Yes"],
        };
        if truth { yes } else { no }
    }
}
