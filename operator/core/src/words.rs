//! The words that every other module uses: keys, references to configs, firmware, devices.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest key name that OCPP 1.6 allows (CiString50Type, OCPP 1.6 edition 2, section 7.28).
pub const MAX_KEY_LENGTH: usize = 50;

/// A text that is carried along by every stage of a plan: shared, so that a copy costs no memory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Text(
    #[serde(serialize_with = "serialize", deserialize_with = "deserialize")]
    #[schemars(with = "String")]
    Arc<str>,
);

fn serialize<S: serde::Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    String::deserialize(deserializer).map(Arc::from)
}

impl Text {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Arc::from(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Arc::from(text))
    }
}

impl From<&Text> for String {
    fn from(text: &Text) -> Self {
        text.0.as_ref().to_owned()
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A configuration key's name, spelled as whoever wrote it spelled it.
///
/// Names are compared ignoring case by OCPP 1.6 (CiString), except where a catalogue knows two keys that differ only by
/// case. `Ord` and `Eq` are exact; [`Key::matches`] ignores case.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Key(Text);

impl Key {
    /// Takes a name as it is; whether it is a good one is for the schema and [`crate::validate`] to say.
    pub fn new(name: impl Into<Text>) -> Self {
        Self(name.into())
    }

    /// The name as it was spelled.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in the form in which names that differ only by case are equal.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// Is it the same name, ignoring case?
    pub fn matches(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl From<&str> for Key {
    fn from(name: &str) -> Self {
        Self(Text::from(name))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which `ChargeStationConfig` a setting came from.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct ConfigRef {
    /// The namespace of the object.
    pub namespace: Text,
    /// The name of the object.
    pub name: Text,
}

impl ConfigRef {
    /// The config of that name in that namespace.
    pub fn new(namespace: impl Into<Text>, name: impl Into<Text>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ConfigRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Stands for a secret's value where the value itself must not be: a keyed digest, from which the value can be neither
/// recovered nor guessed. Equal digests mean equal secrets, under one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SecretVersion(pub String);

/// What a device says of itself (BootNotification); a change of any of these but the firmware means another device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Device {
    /// `chargePointVendor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// `chargePointModel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `chargePointSerialNumber`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// `chargeBoxSerialNumber` (deprecated by OCPP 1.6, still sent).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub box_serial: Option<String>,
}

/// A mistake or oddity to be told to a person: what it is about, what is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The name of the rule, in CamelCase, for machines.
    pub rule: String,
    /// The key that it is about, if one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// What is wrong and what to do, for people.
    pub message: String,
}

/// How bad a finding is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Severity {
    /// The key is held until it is mended.
    Error,
    /// Told, and done all the same.
    Warning,
}
