//! The keys of a vendor's station, made from what the built-in catalogue knows of them.
//!
//! In comes a profile that names a vendor of the catalogue; its keys come out with the catalogue's spelling, default,
//! access, range, items and reset behaviour. So a fact is written down once, and a mended one is mended here as well.
//! What the catalogue leaves open a station still has to decide:
//!
//! | the catalogue tells no | the station |
//! |---|---|
//! | default | has the profile's `values`, else the plainest value of the type: false, the number nearest to 0, the first choice, nothing |
//! | access | can be written; a secret is never shown |
//! | takesEffect | takes the value at once |
//! | range | has the profile's `ranges`, else takes any number |
//!
//! Of the operator only the catalogue's data is used here: what a station makes of a value is decided in `value.rs`,
//! independently of how the operator reads it.

use std::collections::BTreeSet;

use stationkeeper_core::catalogue::{
    self, Catalogue, Definition, Excluded, Hazard, Supported, TakesEffect, ValueType,
};
use stationkeeper_core::words::{Device, Key};

use super::{Access, Choice, Effect, KeyDefinition, Kind, LoadProfile, StationProfile};
use crate::fault::FaultSet;
use crate::value::{self, Taken};

/// How profiles call the part of the catalogue that is OCPP's own.
const STANDARD: &str = "Standard";

impl StationProfile {
    /// Puts the keys that the catalogue knows before those that the profile lists itself.
    pub(super) fn take_keys_from_catalogue(&mut self) -> Result<(), LoadProfile> {
        let definitions = match self.catalogue.take() {
            Some(vendor) => self.definitions(&vendor)?,
            None => Vec::new(),
        };
        self.check_sections(&definitions)?;
        let own = std::mem::take(&mut self.keys);
        for definition in &definitions {
            let key = self.key_from(definition);
            self.keys.push(key);
        }
        self.limit_lists(&definitions);
        self.keys.extend(own);
        Ok(())
    }

    /// What is known of the keys of a vendor, as it holds for this station, in the order of the vendor's reference.
    fn definitions(&self, vendor: &str) -> Result<Vec<Definition>, LoadProfile> {
        let catalogue = Catalogue::built_in();
        let device = Device {
            vendor: Some(self.vendor.clone()),
            model: Some(self.model.clone()),
            ..Device::default()
        };
        let merged = catalogue.for_station(&device, Some(&self.firmware));
        let rows: Vec<catalogue::Row<'_>> = catalogue
            .rows()
            .filter(|row| row.vendor.unwrap_or(STANDARD) == vendor)
            .collect();
        if rows.is_empty() {
            let known = catalogue.rows();
            let known: BTreeSet<&str> = known.map(|row| row.vendor.unwrap_or(STANDARD)).collect();
            return Err(LoadProfile::UnknownCatalogue {
                catalogue: vendor.to_owned(),
                known: known.into_iter().map(str::to_owned).collect(),
            });
        }
        let listed =
            |row: &catalogue::Row<'_>| self.lists_unsupported || !is_unsupported(&row.definition);
        let names = rows.into_iter().filter(listed);
        let names = names.filter_map(|row| row.definition.key);
        let has = |key: &Key| !self.without.iter().any(|name| name == key.as_str());
        let mut definitions = Vec::new();
        for key in names.filter(has) {
            match merged.find(&key) {
                Some(definition) if definition.vendor.as_deref().unwrap_or(STANDARD) == vendor => {
                    definitions.push(definition.clone());
                }
                Some(_) | None => {
                    return Err(LoadProfile::OtherVendor {
                        catalogue: vendor.to_owned(),
                        vendor: self.vendor.clone(),
                    });
                }
            }
        }
        for key in &self.also_standard {
            let found = merged.find(&Key::from(key.as_str()));
            let standard = found.filter(|definition| definition.vendor.is_none());
            let standard = standard.ok_or_else(|| LoadProfile::NotInCatalogue {
                section: "alsoStandard",
                key: key.clone(),
            })?;
            definitions.push(standard.clone());
        }
        Ok(definitions)
    }

    /// What a profile says of keys has to be needed, so that it cannot contradict the catalogue.
    fn check_sections(&self, definitions: &[Definition]) -> Result<(), LoadProfile> {
        let find = |section: &'static str, key: &String| {
            let named = definitions.iter().find(|one| is_named(one, key));
            named.ok_or_else(|| LoadProfile::NotInCatalogue {
                section,
                key: key.clone(),
            })
        };
        let said = |section: &'static str, key: &String| LoadProfile::SaidByCatalogue {
            section,
            key: key.clone(),
        };
        for key in self.values.keys() {
            if find("values", key)?.default.is_some() {
                return Err(said("values", key));
            }
        }
        for (key, bounds) in &self.ranges {
            let range = find("ranges", key)?.range.as_ref().map(|fact| &fact.value);
            if range.is_some_and(|range| {
                (range.min.is_some() && bounds.min.is_some())
                    || (range.max.is_some() && bounds.max.is_some())
            }) {
                return Err(said("ranges", key));
            }
        }
        Ok(())
    }

    fn key_from(&mut self, definition: &Definition) -> KeyDefinition {
        let key = definition.key.as_ref().map_or("", Key::as_str);
        let range = definition.range.as_ref().map(|fact| &fact.value);
        let bounds = self.ranges.get(key).copied().unwrap_or_default();
        let access = access(definition);
        // What cannot be written is never checked: stations spell their own facts as they like ("Https").
        let items = definition
            .item_values
            .as_ref()
            .filter(|_| access != Access::ReadOnly);
        let mut made = KeyDefinition {
            key: key.to_owned(),
            access,
            effect: effect(definition),
            kind: kind(definition),
            min: range.and_then(|range| range.min).or(bounds.min),
            max: range.and_then(|range| range.max).or(bounds.max),
            also: range.map(|range| range.also.clone()).unwrap_or_default(),
            at_most_key: definition
                .at_most_key
                .as_ref()
                .map(|fact| fact.value.to_string()),
            choices: choices(definition),
            pattern: definition.pattern.as_ref().map(|fact| fact.value.clone()),
            items_of: items.map(|_| key.to_owned()),
            numbered_items: definition.item_prefix.is_some(),
            ordered: definition.ordered.as_ref().is_some_and(|fact| fact.value),
            min_length: length(definition, |length| length.min),
            max_length: length(definition, |length| length.max),
            no_whitespace: definition
                .excludes
                .as_ref()
                .is_some_and(|fact| fact.value.contains(&Excluded::Whitespace)),
            once: definition.has_hazard(Hazard::WriteOnce),
            clears_itself: definition.has_hazard(Hazard::SelfClearing),
            ..KeyDefinition::default()
        };
        if let Some(items) = items {
            self.lists.insert(key.to_owned(), items.value.clone());
        }
        made.value = self.delivered(definition, &made);
        made
    }

    /// The value as delivered, as the station stores it.
    fn delivered(&self, definition: &Definition, made: &KeyDefinition) -> Option<String> {
        let told = definition.default.as_ref().map(|fact| &fact.value);
        let told = told.or_else(|| self.values.get(&made.key)).cloned();
        let raw = match told {
            Some(told) => told,
            None if made.access == Access::WriteOnly => return None,
            None => plainest(made),
        };
        match value::take(self, made, &raw, &FaultSet::default()) {
            Taken::Stored(stored) => Some(stored),
            // The check of the whole profile tells that it does not fit.
            Taken::Ignored | Taken::Refused => Some(raw),
        }
    }

    /// A list takes as many items as the key says that tells so.
    fn limit_lists(&mut self, definitions: &[Definition]) {
        for (position, definition) in definitions.iter().enumerate() {
            let Some(limit) = &definition.max_items_key else {
                continue;
            };
            let named = self.keys.iter().find(|key| key.key == limit.value.as_str());
            self.keys[position].max_items = named.and_then(|key| key.value.as_ref()?.parse().ok());
        }
    }
}

fn is_named(definition: &Definition, name: &str) -> bool {
    definition
        .key
        .as_ref()
        .is_some_and(|key| key.as_str() == name)
}

fn is_unsupported(definition: &Definition) -> bool {
    definition
        .supported
        .as_ref()
        .is_some_and(|fact| fact.value == Supported::NotSupported)
}

fn access(definition: &Definition) -> Access {
    match definition.access() {
        Some(catalogue::Access::ReadOnly) => Access::ReadOnly,
        Some(catalogue::Access::WriteOnly) => Access::WriteOnly,
        None if definition.is_secret() => Access::WriteOnly,
        Some(catalogue::Access::ReadWrite | catalogue::Access::ImplementationDefined) | None => {
            Access::ReadWrite
        }
    }
}

fn effect(definition: &Definition) -> Effect {
    match definition.takes_effect() {
        _ if is_unsupported(definition) => Effect::NotSupported,
        TakesEffect::AfterReset => Effect::AfterReset,
        TakesEffect::Immediately | TakesEffect::AfterReconnect | TakesEffect::Unknown => {
            Effect::Immediately
        }
    }
}

fn kind(definition: &Definition) -> Kind {
    match definition.value_type() {
        Some(ValueType::Boolean) => Kind::Boolean,
        Some(ValueType::Integer) => Kind::Integer,
        Some(ValueType::Decimal) => Kind::Decimal,
        Some(ValueType::Enum) => Kind::Enum,
        Some(ValueType::List) => Kind::List,
        Some(ValueType::Secret) => Kind::Secret,
        Some(ValueType::String | ValueType::Url) | None => Kind::String,
    }
}

fn choices(definition: &Definition) -> Vec<Choice> {
    let values = definition.values.iter().flat_map(|fact| &fact.value);
    let choice = |value: &catalogue::NamedValue| Choice {
        code: value.code.clone(),
        label: value.label.clone(),
    };
    values.map(choice).collect()
}

fn length(
    definition: &Definition,
    of: impl Fn(&catalogue::Length) -> Option<i32>,
) -> Option<usize> {
    let length = definition.length.as_ref()?;
    usize::try_from(of(&length.value)?).ok()
}

/// The plainest value of a key: false, the number nearest to 0, the first choice, nothing.
fn plainest(key: &KeyDefinition) -> String {
    match key.kind {
        Kind::Boolean => "false".to_owned(),
        Kind::Integer | Kind::Decimal => {
            let least = key.min.unwrap_or(i64::MIN);
            let greatest = key.max.unwrap_or(i64::MAX);
            0.clamp(least, greatest.max(least)).to_string()
        }
        Kind::Enum => key
            .choices
            .first()
            .map_or_else(String::new, |choice| choice.code.clone()),
        Kind::String | Kind::List | Kind::Secret => String::new(),
    }
}
