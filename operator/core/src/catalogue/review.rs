//! Review: a user's document → what a reader of it should be told, given what the built-in catalogue says already.
//!
//! It looks at what no schema sees: defaults that the key does not take, facts that say nothing about a type, names that
//! no catalogue knows, guards that stay whatever the document says. [`CatalogueDocument::mistakes`] comes first, and its
//! mistakes are not told again.

use super::definition::{Definition, KeyEntry};
use super::document::CatalogueDocument;
use super::facts::ValueType;
use super::matching::StationMatch;
use super::station::StationCatalogue;
use super::{Catalogue, Quirks};
use crate::value;
use crate::words::{Device, Key, Severity};

/// Something that a reader of a document should be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Which entry of `keys` it is about, counted from 0; `None`: the head of the document.
    pub entry: Option<usize>,
    /// Which fact of the entry, as files spell it.
    pub fact: Option<&'static str>,
    /// How bad it is.
    pub severity: Severity,
    /// The name of the check, in CamelCase, for machines.
    pub rule: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// Reviews a document as it would lie above `catalogue`, for the stations that it matches.
pub fn review(catalogue: &Catalogue, name: &str, document: &CatalogueDocument) -> Vec<Remark> {
    let (device, firmware) = a_station_of(document);
    let laid = catalogue.with_documents([(name.to_owned(), document.clone())]);
    let of_station = laid.for_station(&device, firmware.as_deref());
    let mut remarks = of_head(document);
    for (index, entry) in document.keys.iter().enumerate() {
        let own = of_entry(entry, &of_station, &laid);
        remarks.extend(own.into_iter().map(|remark| Remark {
            entry: Some(index),
            ..remark
        }));
    }
    remarks
}

fn of_head(document: &CatalogueDocument) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let CatalogueDocument {
        vendor,
        matches,
        firmware_order: _,
        sources: _,
        source,
        fact_sources: _,
        quirks,
        keys,
    } = document;
    if vendor.is_some() && matches.is_empty() {
        let message = "a vendor is named and `match` is not there, so that it speaks of every station; \
                       write `match: [{vendor: …}]` with what the stations report";
        remarks.push(told("SpeaksOfEveryStation", message.to_owned()));
    }
    let unsourced = keys
        .iter()
        .filter(|entry| source.is_none() && entry.source.is_none() && entry.sources.is_empty())
        .count();
    if unsourced > 0 {
        let message = format!(
            "{unsourced} of {} keys say nowhere where their facts come from; name the document under `sources` and \
             its section in `source`",
            keys.len()
        );
        remarks.push(told("NoSource", message));
    }
    if keys.is_empty()
        && quirks
            .as_ref()
            .is_none_or(|quirks| *quirks == Quirks::default())
    {
        let message = "there is no key and no quirk in it".to_owned();
        remarks.push(told("SaysNothing", message));
    }
    remarks
}

fn of_entry(entry: &KeyEntry, of_station: &StationCatalogue, laid: &Catalogue) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let definition = of_station.definition(&entry.key);
    remarks.extend(wrong_values(entry, &definition));
    remarks.extend(pointless_facts(entry, &definition));
    for (fact, key) in companions(entry) {
        if of_station.find(key).is_none() {
            let near = laid.suggestions(key.as_str());
            let hint = near.first().map_or_else(
                || "add it, or mend its name".to_owned(),
                |near| format!("did you mean {near}?"),
            );
            remarks.push(Remark {
                fact: Some(fact),
                ..told(
                    "UnknownCompanion",
                    format!("{key} is a key that no catalogue knows; {hint}"),
                )
            });
        }
    }
    let is_written = !definition.is_read_only() && !definition.is_telemetry();
    if is_written && definition.is_hazard_unknown() {
        let message = "nobody says what writing it endangers, so that it needs the consent Unknown and an idle station; \
                       say `hazard`, which may be [None]";
        remarks.push(told("HazardUnknown", message.to_owned()));
    }
    let findings = of_station.findings().iter();
    let own = findings.filter(|finding| finding.key.as_ref() == definition.key.as_ref());
    remarks.extend(own.map(|finding| Remark {
        severity: finding.severity,
        ..told(&finding.rule, finding.message.clone())
    }));
    remarks
}

/// Defaults and recommendations that the key does not take.
fn wrong_values(entry: &KeyEntry, definition: &Definition) -> Vec<Remark> {
    let default = entry.default.iter().map(|value| ("default", value));
    let recommended = entry.recommended.iter().flatten();
    let recommended = recommended.map(|recommendation| ("recommended", &recommendation.value));
    let mut remarks = Vec::new();
    for (fact, value) in default.chain(recommended) {
        if let Err(mistake) = value::check(definition, value) {
            remarks.push(Remark {
                fact: Some(fact),
                severity: Severity::Error,
                ..told("ValueNotTaken", mistake.to_string())
            });
        }
    }
    remarks
}

/// Facts that mean nothing for a key of the type.
fn pointless_facts(entry: &KeyEntry, definition: &Definition) -> Vec<Remark> {
    let Some(kind) = definition.value_type() else {
        return Vec::new();
    };
    let (is_number, is_list, is_named) = match kind {
        ValueType::Integer | ValueType::Decimal => (true, false, false),
        ValueType::List => (false, true, true),
        ValueType::Enum => (false, false, true),
        ValueType::Boolean | ValueType::String | ValueType::Url | ValueType::Secret => {
            (false, false, false)
        }
    };
    let facts = [
        ("range", entry.range.is_some(), is_number),
        ("atMostKey", entry.at_most_key.is_some(), is_number),
        ("values", entry.values.is_some(), is_named),
        ("itemValues", entry.item_values.is_some(), is_list),
        ("itemSuffixes", entry.item_suffixes.is_some(), is_list),
        ("itemPrefix", entry.item_prefix.is_some(), is_list),
        ("ordered", entry.ordered.is_some(), is_list),
        ("maxItemsKey", entry.max_items_key.is_some(), is_list),
    ];
    facts
        .into_iter()
        .filter(|&(_, is_there, has_meaning)| is_there && !has_meaning)
        .map(|(fact, _, _)| Remark {
            fact: Some(fact),
            ..told(
                "MeansNothingHere",
                format!("`{fact}` means nothing for a key of type {kind:?}; mend the type, or leave it out"),
            )
        })
        .collect()
}

fn companions(entry: &KeyEntry) -> impl Iterator<Item = (&'static str, &Key)> {
    let max_items = entry.max_items_key.iter().map(|key| ("maxItemsKey", key));
    let at_most = entry.at_most_key.iter().map(|key| ("atMostKey", key));
    let after = entry.after.iter().flatten();
    let after = after.map(|after| ("after", &after.key));
    let affects = entry.affects.iter().flatten();
    let affects = affects.map(|key| ("affects", key));
    max_items.chain(at_most).chain(after).chain(affects)
}

fn told(rule: &str, message: String) -> Remark {
    Remark {
        entry: None,
        fact: None,
        severity: Severity::Warning,
        rule: rule.to_owned(),
        message,
    }
}

/// A station as the document means it: the first of its matches, with the wildcards left out.
fn a_station_of(document: &CatalogueDocument) -> (Device, Option<String>) {
    let plain = |glob: &String| glob.replace('*', "").replace('?', "x");
    let first = document.matches.first().cloned().unwrap_or_default();
    let StationMatch {
        vendor,
        model,
        firmware,
        firmware_from,
        firmware_before: _,
    } = first;
    let device = Device {
        vendor: vendor
            .as_ref()
            .map(plain)
            .or_else(|| document.vendor.clone()),
        model: model.as_ref().map(plain),
        ..Device::default()
    };
    (device, firmware.as_ref().map(plain).or(firmware_from))
}
