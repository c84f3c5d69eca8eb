//! A definition: all that is known of one key, merged for one station. A fact that is absent is unknown, never a guess;
//! every fact that is there says where it comes from.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::facts::{
    Access, After, BooleanVocabulary, Excluded, Hazard, ItemPrefix, Length, NamedValue, Nature,
    Profile, Range, Recommendation, Scope, Supported, TakesEffect, ValueType, WriteRule,
};
use super::pattern::Pattern;
use crate::fnv::Fnv;
use crate::layer::Consent;
use crate::words::Key;

/// The longest value that OCPP 1.6 lets a key have (CiString500Type, OCPP 1.6 edition 2, sections 6.9 and 7.29).
pub const MAX_VALUE_LENGTH: usize = 500;

/// A fact and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact<T> {
    /// What is so.
    pub value: T,
    /// Who says so.
    pub source: Arc<Source>,
    /// How specific the document is that says so; facts of equal rank that differ are a conflict.
    pub(super) rank: u16,
}

/// Where a fact comes from, so that a reader can look it up.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Source {
    /// Who published the document.
    pub publisher: String,
    /// The title of the document.
    pub title: String,
    /// The section of the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.publisher, self.title)?;
        match &self.section {
            Some(section) => write!(f, ", {section}"),
            None => Ok(()),
        }
    }
}

/// One table of all facts: it makes the entry of a file, the merged definition, the merging and the listing, so that
/// a new fact is one new line.
macro_rules! facts {
    ($( $(#[doc = $doc:literal])+ $name:literal $field:ident: $type:ty, )+) => {
        /// One key of a catalogue document: every fact is optional, and an absent one is unknown.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct KeyEntry {
            /// The name of the key, as the station spells it.
            pub key: Key,
            /// Where the facts of this entry come from: the id of a source of the document, a space, and the section.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub source: Option<String>,
            /// Where single facts come from, if from elsewhere: by the name of the fact.
            #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
            pub sources: BTreeMap<String, String>,
            $(
                $(#[doc = $doc])+
                #[serde(rename = $name, default, skip_serializing_if = "Option::is_none")]
                pub $field: Option<$type>,
            )+
        }

        /// All that is known of one key, merged for one station. A fact that is absent is unknown, never a guess.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Definition {
            /// The canonical name.
            pub key: Option<Key>,
            /// Does any catalogue say anything about the key? `false`: hazard Unknown.
            pub known: bool,
            /// The vendor whose document speaks of the key most specifically; none: only the standard does, or nobody.
            pub vendor: Option<Arc<str>>,
            /// The spelling in which the station takes booleans, by quirk.
            pub boolean_vocabulary: Option<BooleanVocabulary>,
            /// The longest value that the station takes, by quirk.
            pub(super) longest_value: Option<usize>,
            $( $(#[doc = $doc])+ pub $field: Option<Fact<$type>>, )+
        }

        /// The names of all facts, as files spell them.
        pub const FACT_NAMES: &[&str] = &[$($name),+];

        impl Definition {
            /// Lays the facts of an entry over this definition. Told are the facts on which a document of the same rank
            /// says something else; there the earlier one stays.
            pub(super) fn lay(
                &mut self,
                entry: &KeyEntry,
                rank: u16,
                source_of: impl Fn(&str) -> Arc<Source>,
            ) -> Vec<&'static str> {
                let mut conflicts = Vec::new();
                $(
                    if let Some(value) = &entry.$field {
                        match &self.$field {
                            Some(there) if there.rank == rank && there.value != *value => conflicts.push($name),
                            Some(_) | None => {
                                self.$field = Some(Fact { value: value.clone(), source: source_of($name), rank });
                            }
                        }
                    }
                )+
                conflicts
            }

            /// Every fact that is known, in the order of the table: its name, its value as data, and its source.
            pub fn facts(&self) -> Vec<(&'static str, serde_json::Value, &Source)> {
                let mut facts = Vec::new();
                $(
                    if let Some(fact) = &self.$field {
                        let value = serde_json::to_value(&fact.value).expect("facts are plain data with string keys");
                        facts.push(($name, value, fact.source.as_ref()));
                    }
                )+
                facts
            }
        }
    };
}

facts! {
    /// Other names for the same key.
    "aliases" aliases: Vec<Key>,
    /// What kind of value the key holds.
    "type" value_type: ValueType,
    /// The unit of the number: `seconds`, `times`, `Wh`, `%`, `A`, …
    "unit" unit: String,
    /// The numbers that it takes.
    "range" range: Range,
    /// How many characters the value has.
    "length" length: Length,
    /// A regular expression that the whole value, as it goes on the wire, must match.
    "pattern" pattern: Pattern,
    /// What a value must not contain.
    "excludes" excludes: Vec<Excluded>,
    /// The values of an Enum, or of the items of a List where they have labels.
    "values" values: Vec<NamedValue>,
    /// The items that a List takes.
    "itemValues" item_values: Vec<String>,
    /// What may follow an item of a List after a dot, such as the phase of a measurand.
    "itemSuffixes" item_suffixes: Vec<String>,
    /// What stands before each item of a List.
    "itemPrefix" item_prefix: ItemPrefix,
    /// Does the order of a List's items matter?
    "ordered" ordered: bool,
    /// The key that tells how many items the List may have.
    "maxItemsKey" max_items_key: Key,
    /// The key whose number this key's number must not exceed.
    "atMostKey" at_most_key: Key,
    /// Who may read and write it.
    "access" access: Access,
    /// When a written value takes effect.
    "takesEffect" takes_effect: TakesEffect,
    /// Must a station of the profile have it?
    "required" required: bool,
    /// The feature profile that it belongs to.
    "profile" profile: Profile,
    /// Where it counts in a master/slave pair.
    "scope" scope: Scope,
    /// What writing it endangers, the main hazard first; `[None]` says that nothing is.
    "hazard" hazard: Vec<Hazard>,
    /// Keys to be written before this one.
    "after" after: Vec<After>,
    /// Keys that this one moves.
    "affects" affects: Vec<Key>,
    /// What sort of thing it is.
    "nature" nature: Nature,
    /// The value of a new station.
    "default" default: String,
    /// Values that somebody recommends.
    "recommended" recommended: Vec<Recommendation>,
    /// Does the vendor's station provide it?
    "supported" supported: Supported,
    /// Is it a key of an OCPP document?
    "standard" standard: bool,
    /// What a person should know besides.
    "note" note: String,
}

impl Definition {
    /// The definition of a key of which nobody knows anything.
    pub fn unknown(key: Key) -> Self {
        Self {
            key: Some(key),
            ..Self::default()
        }
    }

    /// The type, if known.
    pub fn value_type(&self) -> Option<ValueType> {
        self.value_type.as_ref().map(|fact| fact.value)
    }

    /// The access, if known. What the station itself says (`readonly`) outranks it.
    pub fn access(&self) -> Option<Access> {
        self.access.as_ref().map(|fact| fact.value)
    }

    /// When a written value takes effect; `Unknown` also where no document says anything.
    pub fn takes_effect(&self) -> TakesEffect {
        self.takes_effect
            .as_ref()
            .map_or(TakesEffect::Unknown, |fact| fact.value)
    }

    /// The nature, if known.
    pub fn nature(&self) -> Option<Nature> {
        self.nature.as_ref().map(|fact| fact.value)
    }

    /// The feature profile, if known.
    pub fn profile(&self) -> Option<Profile> {
        self.profile.as_ref().map(|fact| fact.value)
    }

    /// The scope in a master/slave pair, if known.
    pub fn scope(&self) -> Option<Scope> {
        self.scope.as_ref().map(|fact| fact.value)
    }

    /// The hazards, the main one first; empty where they are not known.
    pub fn hazards(&self) -> &[Hazard] {
        self.hazard.as_ref().map_or(&[], |fact| &fact.value)
    }

    /// Does this hazard hold?
    pub fn has_hazard(&self, hazard: Hazard) -> bool {
        self.hazards().contains(&hazard)
    }

    /// Is the value a secret: only from a Secret, never shown, never compared?
    pub fn is_secret(&self) -> bool {
        self.value_type() == Some(ValueType::Secret)
    }

    /// Does a read show the value? False for write-only keys and secrets; true as far as anybody knows otherwise.
    pub fn is_readable(&self) -> bool {
        !self.is_secret() && self.access() != Some(Access::WriteOnly)
    }

    /// Does the catalogue call it read-only? Tell it before the station is asked; the station's word outranks it.
    pub fn is_read_only(&self) -> bool {
        self.access() == Some(Access::ReadOnly)
    }

    /// Is it a reading, which is never configuration and never drift?
    pub fn is_telemetry(&self) -> bool {
        self.nature() == Some(Nature::Telemetry)
    }

    /// Can a write of it end the connection?
    pub fn is_connection_critical(&self) -> bool {
        self.has_hazard(Hazard::ConnectionCritical)
    }

    /// Would a write of it cut the link at some boot, with nobody watching? Then it is written only where a Reset of ours
    /// may follow at once.
    pub fn needs_reset_at_once(&self) -> bool {
        self.is_connection_critical() && self.takes_effect() == TakesEffect::AfterReset
    }

    /// Is it unknown what writing endangers? So for keys that nobody knows and for those whose hazard nobody tells.
    pub fn is_hazard_unknown(&self) -> bool {
        !self.known || self.hazards().is_empty()
    }

    /// Is it written only while no driver uses the station? (SessionAffecting, ConnectionCritical and Unknown.)
    pub fn needs_idle(&self) -> bool {
        self.is_hazard_unknown()
            || self.has_hazard(Hazard::SessionAffecting)
            || self.is_connection_critical()
    }

    /// How the hazards bear on writing. Where several consents are needed it names the first; [`Self::consents`] has
    /// all of them.
    pub fn write_rule(&self) -> WriteRule {
        let never = self.is_telemetry()
            || self
                .hazards()
                .iter()
                .any(|hazard| hazard.write_rule() == WriteRule::Never);
        match (never, self.consents().next()) {
            (true, _) => WriteRule::Never,
            (false, Some(consent)) => WriteRule::With(consent),
            (false, None) => WriteRule::Free,
        }
    }

    /// Every consent that a write needs, the main hazard's first. What can cut the link needs `NoFallback` besides, since
    /// no catalogue tells of a way back to us.
    pub fn consents(&self) -> impl Iterator<Item = Consent> + '_ {
        let unknown = self.is_hazard_unknown().then_some(Consent::Unknown);
        let of_hazards = self
            .hazards()
            .iter()
            .filter_map(|hazard| match hazard.write_rule() {
                WriteRule::With(consent) => Some(consent),
                WriteRule::Free | WriteRule::Never => None,
            });
        let no_way_back = self.is_connection_critical().then_some(Consent::NoFallback);
        unknown.into_iter().chain(of_hazards).chain(no_way_back)
    }

    /// The first consent that a write needs and that was not given.
    pub fn missing_consent(&self, given: &BTreeSet<Consent>) -> Option<Consent> {
        self.consents().find(|consent| !given.contains(consent))
    }

    /// Stands for what is known of writing the key, whoever says it: an answer of a station was given to a write that
    /// was made by that knowledge. Never 0. Recommendations and notes bear on no write.
    pub fn digest(&self) -> u32 {
        let mut hash = Fnv::new();
        for (name, value, _) in self.facts() {
            if !["default", "recommended", "note"].contains(&name) {
                hash.field(name).field(&value.to_string());
            }
        }
        let vocabulary = self.boolean_vocabulary.map_or("", |words| words.word(true));
        hash.field(vocabulary)
            .number(self.longest_value.unwrap_or_default() as u64);
        hash.folded().max(1)
    }

    /// The longest value that may be written, in characters.
    pub fn max_value_length(&self) -> usize {
        let by_length = self
            .length
            .as_ref()
            .and_then(|fact| usize::try_from(fact.value.max?).ok());
        let allowed = self.longest_value.unwrap_or(MAX_VALUE_LENGTH);
        by_length.map_or(
            allowed,
            |max| if max > MAX_VALUE_LENGTH { max } else { allowed },
        )
    }
}
