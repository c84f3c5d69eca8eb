//! What a kind of station is, as data: who made it, and its table of keys with access, range and what a write does.
//!
//! In comes YAML, built in or from a file; out goes a [`StationProfile`], shared by all stations of the kind. A file says
//! what a vendor's reference leaves open; the keys of a vendor that the catalogue knows are made from it, by
//! `profile/from_catalogue.rs`. The values that stations hold at run time live in the key table of each station, not here.

mod from_catalogue;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use stationkeeper_core::catalogue::Pattern;

use crate::value;

/// A profile that comes with the simulator: its name, its text, and what was made of it, once for all stations.
type BuiltIn = (&'static str, &'static str, OnceLock<Arc<StationProfile>>);

static BUILT_IN: [BuiltIn; 4] = [
    (
        "standard",
        include_str!("../profiles/standard.yaml"),
        OnceLock::new(),
    ),
    (
        "amina",
        include_str!("../profiles/amina.yaml"),
        OnceLock::new(),
    ),
    (
        "bender",
        include_str!("../profiles/bender.yaml"),
        OnceLock::new(),
    ),
    (
        "ensto",
        include_str!("../profiles/ensto.yaml"),
        OnceLock::new(),
    ),
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
    /// Another way in which it takes booleans besides its own and `true` and `false`.
    #[serde(default)]
    pub takes_booleans: Option<Booleans>,
    /// The boolean key that makes it show booleans as `1` and `0` while it is on.
    #[serde(default)]
    pub boolean_digits_key: Option<String>,
    /// How it shows values that have a code and a label. It takes both.
    #[serde(default)]
    pub choices: Choices,
    /// The vendor whose keys it has, as the built-in catalogue tells them; `Standard`: those of OCPP.
    #[serde(default)]
    catalogue: Option<String>,
    /// It lists keys that its vendor does not support, and answers NotSupported to a write of them; else it has no such
    /// keys.
    #[serde(default)]
    lists_unsupported: bool,
    /// Keys of the catalogue that it does not have.
    #[serde(default)]
    without: Vec<String>,
    /// Keys of OCPP that it has besides, although its vendor's part of the catalogue does not tell them.
    #[serde(default)]
    also_standard: Vec<String>,
    /// Values as delivered of keys for which the catalogue tells none.
    #[serde(default)]
    values: BTreeMap<String, String>,
    /// The numbers that keys take for which the catalogue tells no range.
    #[serde(default)]
    ranges: BTreeMap<String, Bounds>,
    /// Lists of items that keys refer to with `itemsOf`.
    #[serde(default)]
    lists: BTreeMap<String, Vec<String>>,
    /// Keys in full: those of a station without a catalogue, and what it has instead of or besides the catalogue's.
    #[serde(default)]
    keys: Vec<KeyDefinition>,
    /// Where each name is found. Built when first asked, since every call asks.
    #[serde(skip)]
    index: OnceLock<Index>,
}

fn one() -> u16 {
    1
}

/// The least and the greatest number.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    min: Option<i64>,
    max: Option<i64>,
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
    /// Numbers that it takes although they are out of range.
    pub also: Vec<i64>,
    /// A key whose number this one must not exceed, as far as the station has stored it.
    pub at_most_key: Option<String>,
    /// The only values that it takes; empty: any of the type.
    pub allowed: Vec<String>,
    /// The values of an Enum; empty: any.
    pub choices: Vec<Choice>,
    /// What the whole value must look like.
    pub pattern: Option<Pattern>,
    /// Values that it rejects all the same.
    pub rejects: Vec<String>,
    /// The list in `lists` whose items it takes; absent: any.
    pub items_of: Option<String>,
    /// The items of a list begin with the number of a connector and a dot, as in `1.RST`.
    pub numbered_items: bool,
    /// The order of a list's items matters.
    pub ordered: bool,
    /// The most items of a list.
    pub max_items: Option<usize>,
    /// The fewest characters.
    pub min_length: Option<usize>,
    /// The most characters.
    pub max_length: Option<usize>,
    /// The value may not hold blanks.
    pub no_whitespace: bool,
    /// It can be written only while it is empty.
    pub once: bool,
    /// A boot brings the value as delivered back, after it has brought a written one into effect.
    pub clears_itself: bool,
    /// How it shows booleans, if not as the station usually does.
    pub booleans: Option<Booleans>,
    /// It is the second one of two keys that differ only in case, and there only while that fault is on.
    #[serde(skip)]
    pub(crate) twin: bool,
}

/// A value that has a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Choice {
    /// The code.
    pub code: String,
    /// The name; absent: the code.
    #[serde(default)]
    pub label: Option<String>,
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
    /// One of a few named values.
    Enum,
    /// Items between commas.
    List,
    /// A password.
    Secret,
}

/// How values are shown that have a code and a label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Choices {
    /// By code.
    #[default]
    Code,
    /// By label.
    Label,
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
    /// The built-in catalogue has no such vendor.
    #[error("the built-in catalogue knows no vendor {catalogue:?}; it knows {}", known.join(", "))]
    UnknownCatalogue {
        /// The name as given.
        catalogue: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The station reports a vendor whom the catalogue does not know by the name in `catalogue`.
    #[error(
        "a station whose vendor is {vendor:?} has not the keys of {catalogue:?}: give the vendor as its stations report it"
    )]
    OtherVendor {
        /// The name in `catalogue`.
        catalogue: String,
        /// The vendor that the station reports.
        vendor: String,
    },
    /// The profile speaks of a key that the catalogue does not have.
    #[error(
        "`{section}` of the station profile names the key {key:?}, which the catalogue does not have"
    )]
    NotInCatalogue {
        /// The section of the profile.
        section: &'static str,
        /// The key.
        key: String,
    },
    /// The profile tells a fact that the catalogue tells as well.
    #[error(
        "`{section}` of the station profile says something of the key {key:?} that the catalogue says already: leave it out"
    )]
    SaidByCatalogue {
        /// The section of the profile.
        section: &'static str,
        /// The key.
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
    BUILT_IN.iter().map(|(name, _, _)| *name).collect()
}

impl StationProfile {
    /// A built-in profile by its name.
    pub fn built_in(name: &str) -> Option<Arc<Self>> {
        let (_, text, made) = BUILT_IN
            .iter()
            .find(|(own, _, _)| own.eq_ignore_ascii_case(name))?;
        let make =
            || Arc::new(Self::from_yaml(text).expect("the built-in profiles are read by a test"));
        Some(Arc::clone(made.get_or_init(make)))
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
        let mut profile: Self =
            serde_yaml::from_str(text).map_err(|source| LoadProfile::Parse {
                source: Box::new(source),
            })?;
        profile.take_keys_from_catalogue()?;
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
    use crate::fault::FaultSet;
    use crate::value::Taken;

    /// What a built-in station is delivered with.
    fn delivered(name: &str, key: &str) -> KeyDefinition {
        let profile = StationProfile::built_in(name).unwrap();
        profile.keys()[profile.exact(key).expect(key)].clone()
    }

    #[test]
    fn every_built_in_station_has_the_keys_of_its_reference() {
        for (name, keys) in [
            ("standard", 43),
            ("amina", 51),
            ("bender", 369),
            ("ensto", 60 + 2),
        ] {
            let profile = StationProfile::built_in(name).unwrap();
            assert!(profile.keys().len() >= keys, "{name}");
        }
    }

    #[test]
    fn ensto_tells_keys_apart_by_case_and_shows_labels() {
        let (old, new) = (
            delivered("ensto", "HeartBeatInterval"),
            delivered("ensto", "HeartbeatInterval"),
        );
        for key in [&old, &new] {
            assert_eq!((key.min, key.max), (Some(10), Some(3600)));
            assert_eq!(key.value.as_deref(), Some("240"));
        }
        assert_eq!(
            delivered("ensto", "GetConfigurationMaxKeys")
                .value
                .as_deref(),
            Some("1")
        );
        let profile = StationProfile::built_in("ensto").unwrap();
        let recalc = delivered("ensto", "DlmRecalcInterval");
        let shown = |raw: &str| match value::take(&profile, &recalc, raw, &FaultSet::default()) {
            Taken::Stored(stored) => {
                value::show(&profile, &recalc, &stored, &FaultSet::default()).into_owned()
            }
            Taken::Ignored | Taken::Refused => "(refused)".to_owned(),
        };
        assert_eq!(
            ["3", "30 sec", "30", "7"].map(shown),
            ["30 sec", "30 sec", "(refused)", "(refused)"]
        );
        assert_eq!(recalc.value.as_deref(), Some("3"));
        let last = profile.keys().len() - 2;
        let unlisted: Vec<&str> = profile.keys()[last..]
            .iter()
            .map(|key| key.key.as_str())
            .collect();
        assert_eq!(
            unlisted,
            ["MeterValueSampleInterval", "WebSocketPingInterval"]
        );
    }

    #[test]
    fn bender_keeps_what_its_reference_says() {
        let of = |key: &str| delivered("bender", key);
        assert_eq!(of("DlmPhase1Limit").effect, Effect::AfterReset);
        assert_eq!(of("DlmOperatorPhase1Limit").effect, Effect::Immediately);
        assert_eq!(
            of("DlmOperatorPhase1Limit").at_most_key.as_deref(),
            Some("DlmPhase1Limit")
        );
        assert_eq!(of("NumberOfConnectors").access, Access::ReadOnly);
        assert_eq!(of("HTTPBasicAuthPassword").access, Access::WriteOnly);
        assert!(of("ChargeBoxSerialNumber").once);
        assert!(of("ScanNetworkOperators").clears_itself);
        assert_eq!(of("StopTxnSampledData").effect, Effect::NotSupported);
        let attempts = of("TransactionMessageAttempts");
        assert_eq!((attempts.min, attempts.max), (Some(0), Some(5)));
        assert_eq!(attempts.value.as_deref(), Some("5"));
        assert_eq!(of("MeterValueSampleInterval").also, [0]);
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
            let keys = if keys.starts_with(' ') {
                format!("keys:\n{keys}")
            } else {
                keys.to_owned()
            };
            let vendor = if keys.contains("Ensto\n") {
                "Ensto"
            } else {
                "A"
            };
            let text = format!("vendor: {vendor}\nmodel: B\nfirmware: '1'\n{keys}");
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
        check("values: {A: x}\n", "names the key \"A\"");
        check(
            "catalogue: Alfen\n",
            "knows no vendor \"Alfen\"; it knows Amina, Bender, Ensto",
        );
        check("catalogue: Bender\n", "has not the keys of \"Bender\"");
        check(
            "catalogue: Ensto\nvalues: {NoSuchKey: x}\n",
            "the catalogue does not have",
        );
        check(
            "catalogue: Ensto\nranges: {HeartbeatInterval: {min: 1}}\n",
            "the catalogue says already",
        );
        check(
            "catalogue: Ensto\nkeys: [{key: FreeCharging}]\n",
            "lists the key \"FreeCharging\" twice",
        );
    }

    #[test]
    fn unknown_names_are_told_with_the_choices() {
        let error = StationProfile::named("alfen").unwrap_err().to_string();
        assert!(error.contains("standard, amina, bender, ensto"), "{error}");
    }
}
