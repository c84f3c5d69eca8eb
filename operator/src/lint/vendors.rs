//! Vendors: who knows a key, for settings of stations of which it is not said what they are.

use std::collections::BTreeMap;

use stationkeeper_core::catalogue::{Catalogue, CatalogueDocument};
use stationkeeper_core::words::Key;

use super::stations::Hardware;

/// A station that a document speaks of: the first of its matches, with the wildcards left out.
fn a_station_of(document: &CatalogueDocument) -> Hardware {
    let first = document.matches.first().cloned().unwrap_or_default();
    Hardware {
        vendor: without_wildcards(first.vendor.as_deref()).or_else(|| document.vendor.clone()),
        model: without_wildcards(first.model.as_deref()),
        firmware: without_wildcards(first.firmware.as_deref()).or(first.firmware_from),
    }
}

/// A text that a glob matches; `None`: any will do.
pub(super) fn without_wildcards(glob: Option<&str>) -> Option<String> {
    let text = glob?.replace('*', "").replace('?', "x");
    Some(text).filter(|text| !text.is_empty())
}

/// The vendors of a catalogue, and the keys that each knows.
pub(super) struct Vendors {
    /// What each is called, and a station of it.
    stations: Vec<(String, Hardware)>,
    /// By the key's name, ignoring case.
    knowing: BTreeMap<String, Vec<usize>>,
}

impl Vendors {
    pub(super) fn of(catalogue: &Catalogue) -> Self {
        let mut stations: Vec<(String, Hardware)> = Vec::new();
        let mut knowing: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (document_name, document) in catalogue.documents() {
            let hardware = a_station_of(document);
            // What speaks of every station is part of what is known of any.
            let Some(vendor) = &hardware.vendor else {
                continue;
            };
            let name = document.vendor.as_ref().unwrap_or(vendor).clone();
            stations.push((name, hardware));
            let rows = catalogue.rows().filter(|row| row.document == document_name);
            for row in rows {
                let aliases = row.definition.aliases.iter().flat_map(|fact| &fact.value);
                for key in row.definition.key.iter().chain(aliases) {
                    let vendors = knowing.entry(key.folded()).or_default();
                    let this = stations.len() - 1;
                    if vendors.last() != Some(&this) {
                        vendors.push(this);
                    }
                }
            }
        }
        Self { stations, knowing }
    }

    /// The vendors that know a key.
    pub(super) fn knowing(&self, key: &Key) -> &[usize] {
        self.knowing.get(&key.folded()).map_or(&[], Vec::as_slice)
    }

    /// What a vendor is called, and a station of it.
    pub(super) fn station(&self, vendor: usize) -> (&str, &Hardware) {
        let (name, hardware) = &self.stations[vendor];
        (name, hardware)
    }

    /// `Amina and Ensto`.
    pub(super) fn names(&self, vendors: &[usize]) -> String {
        let mut names: Vec<&str> = vendors
            .iter()
            .map(|&vendor| self.station(vendor).0)
            .collect();
        names.dedup();
        match names.split_last() {
            None => String::new(),
            Some((only, [])) => (*only).to_owned(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
        }
    }

    /// All vendors.
    pub(super) fn all(&self) -> String {
        let all: Vec<usize> = (0..self.stations.len()).collect();
        self.names(&all)
    }

    /// Does any catalogue speak of this vendor?
    pub(super) fn speak_of(&self, vendor: &str) -> bool {
        let folded = vendor.to_ascii_lowercase();
        self.stations.iter().any(|(name, hardware)| {
            let known = hardware.vendor.as_deref().unwrap_or(name);
            folded.starts_with(&known.to_ascii_lowercase())
                || folded.starts_with(&name.to_ascii_lowercase())
        })
    }
}
