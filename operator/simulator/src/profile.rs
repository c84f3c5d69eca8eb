//! What a kind of station is, as data: who made it, and its table of keys with access, range and what a write does.
//!
//! In comes YAML, built in or from a file; out goes a [`StationProfile`], shared by all stations of the kind. The values
//! that stations hold at run time live in the key table of each station, not here.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::value;

/// The profiles that come with the simulator: name and text.
const BUILT_IN: &[(&str, &str)] = &[
    ("standard", include_str!("../profiles/standard.yaml")),
    ("amina", include_str!("../profiles/amina.yaml")),
];

/// A kind of station.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StationProfile {
    /// `chargePointVendor`.
    pub vendor: String,
    /// `chargePointModel`.
    pub model: String,
    /// `firmwareVersion` as delivered.
    pub firmware: String,
    /// `chargePointSerialNumber`: each `#` becomes a digit drawn from the station's seed.
    #[serde(default)]
    pub serial: Option<String>,
    /// `chargeBoxSerialNumber`, alike.
    #[serde(default)]
    pub box_serial: Option<String>,
    /// How many connectors it has.
    #[serde(default = "one")]
    pub connectors: u16,
    /// How it shows booleans, where the key does not say otherwise.
    #[serde(default)]
    pub booleans: Booleans,
    /// Lists of items that keys refer to with `itemsOf`.
    #[serde(default)]
    lists: BTreeMap<String, Vec<String>>,
    keys: Vec<KeyDefinition>,
    /// Where each name is found. Built when first asked, since every call asks.
    #[serde(skip)]
    index: OnceLock<Index>,
}

fn one() -> u16 {
    1
}

#[derive(Clone, Debug, Default)]
struct Index {
    exact: HashMap<String, usize>,
    folded: HashMap<String, Vec<usize>>,
}

/// One key of a kind of station.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct KeyDefinition {
    /// The name in the station's own spelling.
    pub key: String,
    /// The value as delivered; absent: the station has none.
    pub value: Option<String>,
    /// May it be read and written?
    pub access: Access,
    /// Answered by name, but not in the full listing.
    pub hidden: bool,
    /// What a write does.
    pub effect: Effect,
    /// What the station answers to a write that needs a boot.
    pub boot_answer: BootAnswer,
    /// What the station shows between a write and the boot that makes it effective.
    pub before_boot: Shown,
    /// The kind of value.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The least number.
    pub min: Option<i64>,
    /// The greatest number.
    pub max: Option<i64>,
    /// The only values that it takes; empty: any of the type.
    pub allowed: Vec<String>,
    /// Values that it rejects all the same.
    pub rejects: Vec<String>,
    /// The list in `lists` whose items it takes; absent: any.
    pub items_of: Option<String>,
    /// The most items of a list.
    pub max_items: Option<usize>,
    /// The fewest characters.
    pub min_length: Option<usize>,
    /// The most characters.
    pub max_length: Option<usize>,
    /// The value may not hold blanks.
    pub no_whitespace: bool,
    /// How it shows booleans, if not as the station usually does.
    pub booleans: Option<Booleans>,
    /// It is the second one of two keys that differ only in case, and there only while that fault is on.
    #[serde(skip)]
    pub(crate) twin: bool,
}

/// May a key be read and written?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Both.
    #[default]
    ReadWrite,
    /// Read only.
    ReadOnly,
    /// Listed without a value, and written.
    WriteOnly,
}

/// What a write does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// It takes effect, and stays.
    #[default]
    Immediately,
    /// It takes effect at the next boot.
    AfterReset,
    /// It takes effect, and is lost at the next boot.
    Volatile,
    /// It is accepted and ignored.
    Fixed,
    /// It is rejected, whatever the value.
    RejectAlways,
    /// The key is shown, but a write is answered NotSupported.
    NotSupported,
}

/// What a station answers to a write that needs a boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BootAnswer {
    /// RebootRequired, as OCPP 1.6 (section 5.3) wants it.
    #[default]
    RebootRequired,
    /// Accepted, as if nothing were owed.
    Accepted,
}

/// Which value is shown between a write and the boot that makes it effective.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shown {
    /// The written one.
    #[default]
    New,
    /// The one that is in effect.
    Old,
}

/// The kind of value that a key holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Any text.
    #[default]
    String,
    /// A boolean.
    Boolean,
    /// A whole number.
    Integer,
    /// A number.
    Decimal,
    /// Items between commas.
    List,
    /// A password.
    Secret,
}

/// How booleans are spelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Booleans {
    /// `true` and `false`.
    #[default]
    Lower,
    /// `TRUE` and `FALSE`.
    Upper,
    /// `True` and `False`.
    Title,
    /// `1` and `0`.
    Digits,
    /// `On` and `Off`.
    OnOff,
}

impl Booleans {
    /// How it spells one.
    pub fn spell(self, value: bool) -> &'static str {
        match (self, value) {
            (Self::Lower, true) => "true",
            (Self::Lower, false) => "false",
            (Self::Upper, true) => "TRUE",
            (Self::Upper, false) => "FALSE",
            (Self::Title, true) => "True",
            (Self::Title, false) => "False",
            (Self::Digits, true) => "1",
            (Self::Digits, false) => "0",
            (Self::OnOff, true) => "On",
            (Self::OnOff, false) => "Off",
        }
    }
}

/// A profile that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadProfile {
    /// Neither a built-in profile nor a file.
    #[error("there is no station profile {name:?}: give one of {}, or a YAML file", built_in_names().join(", "))]
    Unknown {
        /// The name as given.
        name: String,
    },
    /// The file cannot be read.
    #[error("failed to read the station profile {path:?}")]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not YAML of the schema.
    #[error("failed to parse a station profile")]
    Parse {
        /// Where and why.
        #[source]
        source: Box<serde_yaml::Error>,
    },
    /// Two keys have one name.
    #[error("the station profile lists the key {key:?} twice")]
    DuplicateKey {
        /// The name.
        key: String,
    },
    /// A key refers to a list that is not there.
    #[error(
        "the key {key:?} of the station profile takes items of the list {list:?}, which `lists` does not hold"
    )]
    UnknownList {
        /// The key.
        key: String,
        /// The list.
        list: String,
    },
    /// A value as delivered does not fit its own definition.
    #[error(
        "the value {value:?} of the key {key:?} does not fit its own definition in the station profile"
    )]
    BadValue {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
}

/// The names of the profiles that come with the simulator.
pub fn built_in_names() -> Vec<&'static str> {
    BUILT_IN.iter().map(|(name, _)| *name).collect()
}

impl StationProfile {
    /// A built-in profile by its name.
    pub fn built_in(name: &str) -> Option<Arc<Self>> {
        let (_, text) = BUILT_IN
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))?;
        Some(Arc::new(
            Self::from_yaml(text).expect("the built-in profiles are read by a test"),
        ))
    }

    /// The profile `standard`: every key of OCPP 1.6, no habits.
    pub fn standard() -> Arc<Self> {
        Self::built_in("standard").expect("`standard` is built in")
    }

    /// A built-in profile by its name, or one from a YAML file by its path.
    pub fn named(name: &str) -> Result<Arc<Self>, LoadProfile> {
        if let Some(profile) = Self::built_in(name) {
            return Ok(profile);
        }
        let path = Path::new(name);
        if !path.exists() && path.extension().is_none() && path.components().count() == 1 {
            return Err(LoadProfile::Unknown {
                name: name.to_owned(),
            });
        }
        let text = std::fs::read_to_string(path).map_err(|source| LoadProfile::ReadFile {
            path: path.to_owned(),
            source,
        })?;
        Self::from_yaml(&text).map(Arc::new)
    }

    /// Reads a profile.
    pub fn from_yaml(text: &str) -> Result<Self, LoadProfile> {
        let profile: Self = serde_yaml::from_str(text).map_err(|source| LoadProfile::Parse {
            source: Box::new(source),
        })?;
        profile.check()?;
        Ok(profile)
    }

    fn check(&self) -> Result<(), LoadProfile> {
        let mut names = std::collections::BTreeSet::new();
        for definition in &self.keys {
            let key = &definition.key;
            if !names.insert(key) {
                return Err(LoadProfile::DuplicateKey { key: key.clone() });
            }
            if let Some(list) = definition
                .items_of
                .as_ref()
                .filter(|list| !self.lists.contains_key(*list))
            {
                return Err(LoadProfile::UnknownList {
                    key: key.clone(),
                    list: list.clone(),
                });
            }
            if let Some(value) = definition
                .value
                .as_ref()
                .filter(|value| !value::fits(self, definition, value))
            {
                return Err(LoadProfile::BadValue {
                    key: key.clone(),
                    value: value.clone(),
                });
            }
        }
        Ok(())
    }

    /// The keys, in the station's order.
    pub fn keys(&self) -> &[KeyDefinition] {
        &self.keys
    }

    /// The same kind of station with a key added, or replaced if it has one of exactly that name.
    #[must_use]
    pub fn with_key(&self, definition: KeyDefinition) -> Self {
        let mut changed = self.clone();
        changed.index = OnceLock::new();
        match changed
            .keys
            .iter_mut()
            .find(|own| own.key == definition.key)
        {
            Some(own) => *own = definition,
            None => changed.keys.push(definition),
        }
        changed
    }

    /// The same kind of station without a key.
    #[must_use]
    pub fn without_key(&self, key: &str) -> Self {
        let mut changed = self.clone();
        changed.index = OnceLock::new();
        changed.keys.retain(|own| own.key != key);
        changed
    }

    /// The items that a list takes; `None`: any.
    pub(crate) fn items(&self, definition: &KeyDefinition) -> Option<&[String]> {
        definition
            .items_of
            .as_ref()
            .and_then(|list| self.lists.get(list))
            .map(Vec::as_slice)
    }

    /// Where the key of exactly this name stands.
    pub(crate) fn exact(&self, key: &str) -> Option<usize> {
        self.index().exact.get(key).copied()
    }

    /// Where the keys of this name stand, ignoring case.
    pub(crate) fn folded(&self, key: &str) -> &[usize] {
        self.index()
            .folded
            .get(&key.to_ascii_lowercase())
            .map_or(&[], Vec::as_slice)
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| {
            let mut index = Index::default();
            for (position, definition) in self.keys.iter().enumerate() {
                index.exact.insert(definition.key.clone(), position);
                index
                    .folded
                    .entry(definition.key.to_ascii_lowercase())
                    .or_default()
                    .push(position);
            }
            index
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_profiles_are_whole() {
        for name in built_in_names() {
            let profile = StationProfile::built_in(name).unwrap();
            assert!(!profile.keys().is_empty(), "{name}");
        }
        assert_eq!(StationProfile::standard().keys().len(), 43);
    }

    #[test]
    fn amina_keeps_what_its_reference_says() {
        let amina = StationProfile::built_in("amina").unwrap();
        let of = |key: &str| &amina.keys()[amina.exact(key).unwrap()];
        assert_eq!(of("AuthorizationKey").access, Access::WriteOnly);
        assert_eq!(
            of("NetworkConfigurationPriority").effect,
            Effect::AfterReset
        );
        assert_eq!(of("LocalAuthListMaxLength").access, Access::ReadWrite);
        assert_eq!(of("HeartbeatInterval").value.as_deref(), Some("86400"));
        assert!(amina.exact("BlinkRepeat").is_none() && amina.exact("LightIntensity").is_none());
    }

    #[test]
    fn bad_profiles_are_refused_with_the_place() {
        let check = |keys: &str, part: &str| {
            let text = format!("vendor: A\nmodel: B\nfirmware: '1'\nkeys:\n{keys}");
            let error = StationProfile::from_yaml(&text).unwrap_err();
            let chain = format!(
                "{error} {:?}",
                std::error::Error::source(&error).map(ToString::to_string)
            );
            assert!(chain.contains(part), "{chain}");
        };
        check("  - {key: A}\n  - {key: A}\n", "lists the key \"A\" twice");
        check(
            "  - {key: A, value: x, type: Integer}\n",
            "does not fit its own definition",
        );
        check(
            "  - {key: A, itemsOf: b, type: List}\n",
            "which `lists` does not hold",
        );
        check("  - {key: A, colour: red}\n", "colour");
    }

    #[test]
    fn unknown_names_are_told_with_the_choices() {
        let error = StationProfile::named("alfen").unwrap_err().to_string();
        assert!(error.contains("standard, amina"), "{error}");
    }
}
