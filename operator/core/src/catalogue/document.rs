//! A catalogue document: YAML in, checked data out. Built-in files and `KeyCatalogue` objects have this one schema.
//! It does not merge and does not know any station.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_yaml::{Location, Spanned};

use super::definition::{FACT_NAMES, KeyEntry};
use super::facts::{BooleanVocabulary, Hazard};
use super::matching::{FirmwareOrder, StationMatch};

/// What is known of the keys of a vendor's stations, or (without a vendor) of OCPP itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CatalogueDocument {
    /// The vendor, as people call it; absent: the document speaks of the standard, or of whatever `match` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The stations that are meant: any of these; none given: every station.
    #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<StationMatch>,
    /// How the vendor's firmware versions are ordered, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware_order: Option<FirmwareOrder>,
    /// The documents that facts come from, by a short id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, SourceDocument>,
    /// Where facts come from that do not say it: the id of a source, a space, and the section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Where single facts of all entries come from, if from elsewhere: by the name of the fact.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fact_sources: BTreeMap<String, String>,
    /// Habits of the stations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quirks: Option<Quirks>,
    /// The keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyEntry>,
}

/// A document that facts come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceDocument {
    /// Who published it.
    pub publisher: String,
    /// Its title.
    pub title: String,
}

/// Habits of the stations of a vendor, model or firmware. An absent one is unknown, and treated as the standard has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quirks {
    /// Where the habits are told: the id of a source, a space, and the section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Asked for all keys at once, the station does not answer or falls over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub never_ask_all_keys: Option<bool>,
    /// The most keys that one GetConfiguration may ask for, whatever `GetConfigurationMaxKeys` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_keys_per_request: Option<i32>,
    /// Accepted means stored; every value takes effect with the next boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_means_stored_until_reset: Option<bool>,
    /// The spelling in which the station takes booleans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boolean_vocabulary: Option<BooleanVocabulary>,
    /// The station sends a BootNotification at every reconnect, so that one alone proves no boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boots_on_reconnect: Option<bool>,
    /// The station boots by itself after a write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boots_on_write: Option<bool>,
    /// The longest value that the station takes, if other than the 500 characters of OCPP 1.6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_value_length: Option<i32>,
}

impl Quirks {
    /// Lays other habits over these, one by one.
    pub(super) fn lay(&mut self, above: &Self) {
        let Self {
            source,
            never_ask_all_keys,
            max_keys_per_request,
            accepted_means_stored_until_reset,
            boolean_vocabulary,
            boots_on_reconnect,
            boots_on_write,
            max_value_length,
        } = above.clone();
        self.source = source.or_else(|| self.source.take());
        self.never_ask_all_keys = never_ask_all_keys.or(self.never_ask_all_keys);
        self.max_keys_per_request = max_keys_per_request.or(self.max_keys_per_request);
        self.accepted_means_stored_until_reset =
            accepted_means_stored_until_reset.or(self.accepted_means_stored_until_reset);
        self.boolean_vocabulary = boolean_vocabulary.or(self.boolean_vocabulary);
        self.boots_on_reconnect = boots_on_reconnect.or(self.boots_on_reconnect);
        self.boots_on_write = boots_on_write.or(self.boots_on_write);
        self.max_value_length = max_value_length.or(self.max_value_length);
    }
}

/// Why a catalogue document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is not YAML, or not in the schema; the cause names line and column.
    #[error("failed to read catalogue {file:?}")]
    Parse {
        /// The file, or the object.
        file: String,
        /// What the parser says, with line and column.
        #[source]
        source: Box<serde_yaml::Error>,
    },
    /// It is in the schema, and wrong.
    #[error("failed to check catalogue {file:?}: line {line}, column {column}: {message}")]
    Check {
        /// The file, or the object.
        file: String,
        /// The line of the entry that is wrong; 0 if it cannot be told.
        line: u64,
        /// The column.
        column: u64,
        /// What is wrong and what to do.
        message: String,
    },
}

/// A mistake that the schema cannot see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentMistake {
    /// Which entry of `keys` it is in, counted from 0; `None`: the head of the document.
    pub entry: Option<usize>,
    /// What is wrong and what to do.
    pub message: String,
}

impl CatalogueDocument {
    /// Reads a document from YAML and checks it; `file` is named in errors.
    pub fn from_yaml(file: &str, text: &str) -> Result<Self, DocumentError> {
        let document: Self = serde_yaml::from_str(text).map_err(|source| DocumentError::Parse {
            file: file.to_owned(),
            source: Box::new(source),
        })?;
        match document.mistakes().into_iter().next() {
            None => Ok(document),
            Some(DocumentMistake { entry, message }) => {
                let (line, column) = entry
                    .and_then(|entry| place_of_entry(text, entry))
                    .unwrap_or((1, 1));
                Err(DocumentError::Check {
                    file: file.to_owned(),
                    line,
                    column,
                    message,
                })
            }
        }
    }

    /// All mistakes that the schema cannot see, in the order of the document.
    pub fn mistakes(&self) -> Vec<DocumentMistake> {
        let head = self
            .head_mistakes()
            .into_iter()
            .map(|message| DocumentMistake {
                entry: None,
                message,
            });
        let mut seen = BTreeSet::new();
        let keys = self.keys.iter().enumerate().flat_map(|(index, entry)| {
            let mut messages = self.entry_mistakes(entry);
            if !seen.insert(&entry.key) {
                messages.push(format!(
                    "key {:?} stands twice; put its facts into one entry",
                    entry.key.as_str()
                ));
            }
            messages.into_iter().map(move |message| DocumentMistake {
                entry: Some(index),
                message,
            })
        });
        head.chain(keys).collect()
    }

    fn head_mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let of_quirks = self
            .quirks
            .iter()
            .filter_map(|quirks| quirks.source.as_ref());
        for reference in self
            .source
            .iter()
            .chain(self.fact_sources.values())
            .chain(of_quirks)
        {
            mistakes.extend(self.source_mistake(reference));
        }
        for fact in self
            .fact_sources
            .keys()
            .filter(|fact| !FACT_NAMES.contains(&fact.as_str()))
        {
            mistakes.push(format!("`factSources` names {fact:?}, which is no fact"));
        }
        let counts = self
            .quirks
            .iter()
            .flat_map(|quirks| [quirks.max_keys_per_request, quirks.max_value_length]);
        if counts.flatten().any(|count| count < 1) {
            mistakes.push("`maxKeysPerRequest` and `maxValueLength` are 1 or more".to_owned());
        }
        let ranged = self
            .matches
            .iter()
            .any(|m| m.firmware_from.is_some() || m.firmware_before.is_some());
        if ranged && self.firmware_order.is_none() {
            mistakes.push(
                "a firmware range needs `firmwareOrder`, which says how versions are compared"
                    .to_owned(),
            );
        }
        if self.matches.iter().any(|m| *m == StationMatch::default()) {
            mistakes.push(
                "an empty entry of `match` means every station; leave `match` out if so meant"
                    .to_owned(),
            );
        }
        mistakes
    }

    fn entry_mistakes(&self, entry: &KeyEntry) -> Vec<String> {
        let name = entry.key.as_str();
        let mut mistakes = Vec::new();
        if name.is_empty()
            || name.chars().count() > crate::words::MAX_KEY_LENGTH
            || name.trim() != name
        {
            mistakes.push(format!(
                "{name:?} is no key: a name has 1 to 50 characters and no spaces around it"
            ));
        }
        for reference in entry.source.iter().chain(entry.sources.values()) {
            mistakes.extend(self.source_mistake(reference));
        }
        for fact in entry
            .sources
            .keys()
            .filter(|fact| !FACT_NAMES.contains(&fact.as_str()))
        {
            mistakes.push(format!(
                "key {name:?}: `sources` names {fact:?}, which is no fact"
            ));
        }
        if let Some(range) = &entry.range
            && let (Some(min), Some(max)) = (range.min, range.max)
            && min > max
        {
            mistakes.push(format!(
                "key {name:?}: the range begins at {min} and ends at {max}, which is less"
            ));
        }
        if let Some(length) = &entry.length
            && (length.min.is_some_and(|min| min < 0)
                || length.max.is_some_and(|max| max < length.min.unwrap_or(0)))
        {
            mistakes.push(format!("key {name:?}: no value has such a length"));
        }
        if entry
            .hazard
            .as_ref()
            .is_some_and(|hazards| hazards.contains(&Hazard::None) && hazards.len() > 1)
        {
            mistakes.push(format!(
                "key {name:?}: `hazard` says None and something else"
            ));
        }
        if entry.hazard.as_ref().is_some_and(Vec::is_empty) {
            mistakes.push(format!(
                "key {name:?}: an empty `hazard` says nothing; write [None] or leave it out"
            ));
        }
        mistakes
    }

    fn source_mistake(&self, reference: &str) -> Option<String> {
        let (id, _) = split_reference(reference);
        (!self.sources.contains_key(id))
            .then(|| format!("source {id:?} is not among the `sources` of the document"))
    }
}

/// The id of a source and the section in it.
pub(super) fn split_reference(reference: &str) -> (&str, Option<&str>) {
    match reference.split_once(' ') {
        Some((id, section)) => (id, Some(section.trim())),
        None => (reference, None),
    }
}

/// Line and column of an entry of `keys`. The document was read once already; this second reading finds places only.
fn place_of_entry(text: &str, entry: usize) -> Option<(u64, u64)> {
    #[derive(Deserialize)]
    struct Places {
        keys: Vec<Spanned<serde::de::IgnoredAny>>,
    }
    let places: Places = serde_yaml::from_str(text).ok()?;
    let location: Location = places.keys.get(entry)?.referenced;
    Some((location.line(), location.column()))
}
