//! Settings: what the catalogue and the rules between keys say of each setting, on the stations that it is for.
//!
//! Layers are resolved and validated as the operator does it, by the same functions of `core`, once for all stations
//! that are alike. Besides, each config is validated alone, so that a value that another config overrides today is not
//! left unchecked. A config that surely selects none of the known stations is checked on a station like those that it
//! asks for; what no vendor is known of is checked against the standard, and its other keys on the vendors that know them.

mod alike;
mod examine;
mod layer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stationkeeper_core::catalogue::Catalogue;
use stationkeeper_core::select::Selection;
use stationkeeper_core::words::{ConfigRef, Key};

use self::alike::{Alike, Selects, selects};
use self::examine::Examined;
use super::declared::{Declarations, Object, unrendered};
use super::report::{Findings, Severity, Whom};
use super::stations::{Hardware, Station};
use super::vendors::Vendors;
use crate::objects::{ChargeStationConfig, SettingSpec, convert};
use crate::source::SecretData;

/// Checks the settings of all configs.
pub(super) fn check(
    declarations: &Declarations,
    stations: &[Station],
    stand_in: &Hardware,
    findings: &mut Findings,
) {
    let mut by_namespace: BTreeMap<&str, Vec<Prepared<'_>>> = BTreeMap::new();
    for config in &declarations.configs {
        let prepared = prepare(config, findings);
        by_namespace
            .entry(&config.id.namespace)
            .or_default()
            .push(prepared);
    }
    for (namespace, configs) in by_namespace {
        let catalogue = match declarations.catalogues.get(namespace) {
            Some(documents) => Catalogue::built_in().with_documents(documents.iter().cloned()),
            None => Catalogue::built_in(),
        };
        let vendors = Vendors::of(&catalogue);
        let here = stations.iter().filter_map(|station| {
            let mut station = station.clone();
            if station.anywhere {
                namespace.clone_into(&mut station.facts.namespace);
            }
            (station.facts.namespace == namespace).then_some(station)
        });
        let fleet = Fleet {
            namespace,
            configs,
            catalogue,
            vendors,
            secrets: &declarations.secrets,
            stations: here.collect(),
        };
        selections(&fleet, stations, findings);
        fleet.check(stand_in, findings);
    }
}

/// A config, ready to be laid upon stations.
struct Prepared<'a> {
    object: &'a Object<ChargeStationConfig>,
    /// `None`: it cannot be said which stations are meant.
    selection: Option<Selection>,
    /// With their index in the object; without those of which something was said already.
    settings: Vec<(usize, &'a SettingSpec)>,
}

impl Prepared<'_> {
    fn config(&self) -> ConfigRef {
        let id = &self.object.id;
        ConfigRef::new(id.namespace.as_str(), id.name.as_str())
    }

    /// The index of a setting, by the key as the object spells it.
    fn index(&self, key: &Key) -> Option<usize> {
        let mut settings = self.settings.iter();
        let (index, _) = settings.find(|(_, setting)| setting.key == key.as_str())?;
        Some(*index)
    }
}

fn prepare<'a>(object: &'a Object<ChargeStationConfig>, findings: &mut Findings) -> Prepared<'a> {
    let mut settings = Vec::new();
    for (index, setting) in object.body.spec.settings.iter().enumerate() {
        let field = format!("spec.settings[{index}]");
        let value = setting.value.as_deref().unwrap_or_default();
        if object.is_wrong(&field) {
            continue;
        }
        if value.contains("{{") && value.contains("}}") {
            findings.add(unrendered(object, &format!("{field}.value")));
            continue;
        }
        settings.push((index, setting));
    }
    Prepared {
        object,
        selection: (!object.is_wrong("spec.stations")).then(|| convert::selection(&object.body)),
        settings,
    }
}

/// Selections that find no station among those that are known.
fn selections(fleet: &Fleet<'_>, everywhere: &[Station], findings: &mut Findings) {
    if everywhere.is_empty() {
        return;
    }
    for config in &fleet.configs {
        let Some(selection) = &config.selection else {
            continue;
        };
        let object = config.object;
        let is_known = |name: &String| {
            (fleet.stations.iter()).any(|station| station.is_named && station.facts.name == *name)
        };
        let unnamed = fleet.stations.iter().any(|station| !station.is_named);
        let mut missed = false;
        for (index, name) in selection.names.iter().flatten().enumerate() {
            if !is_known(name) && !unnamed {
                missed = true;
                let field = format!("spec.stations.names[{index}]");
                let message = format!(
                    "there is no ChargeStation {name:?} in namespace {} among the stations given: write the metadata.name of \
                     one, or give the file that has it",
                    fleet.namespace
                );
                findings.add(object.finding(Severity::Warning, "no-such-station", &field, message));
            }
        }
        let finds = fleet
            .stations
            .iter()
            .any(|station| selects(selection, station) != Selects::No);
        if !finds && !missed {
            let elsewhere: BTreeSet<&str> = everywhere
                .iter()
                .map(|station| station.facts.namespace.as_str())
                .filter(|namespace| *namespace != fleet.namespace)
                .collect();
            let message = match (fleet.stations.len(), elsewhere.first()) {
                (0, Some(other)) => format!(
                    "selects none of the stations given: it selects in its own namespace {}, and they are in {other}; set \
                     metadata.namespace, or --namespace for objects that name none",
                    fleet.namespace
                ),
                _ => format!(
                    "selects none of the stations given in namespace {} ({} of them): compare selector, names and hardware \
                     with their labels, names and what they are",
                    fleet.namespace,
                    fleet.stations.len()
                ),
            };
            findings.add(object.finding(
                Severity::Warning,
                "selects-no-station",
                "spec.stations",
                message,
            ));
        }
    }
}

/// The configs and stations of a namespace.
struct Fleet<'a> {
    namespace: &'a str,
    configs: Vec<Prepared<'a>>,
    catalogue: Arc<Catalogue>,
    vendors: Vendors,
    secrets: &'a BTreeMap<(String, String), SecretData>,
    stations: Vec<Station>,
}

impl Fleet<'_> {
    fn check(&self, stand_in: &Hardware, findings: &mut Findings) {
        let mut covered = BTreeSet::new();
        for alike in self.alike() {
            covered.extend(alike.surely.iter().chain(&alike.perhaps).copied());
            self.on_stations(&alike, findings);
        }
        for (index, config) in self.configs.iter().enumerate() {
            if !covered.contains(&index) {
                let imagined = self.imagined(index, config, stand_in);
                self.on_stations(&imagined, findings);
            }
        }
    }

    fn on_stations(&self, alike: &Alike, findings: &mut Findings) {
        let Alike {
            station,
            surely,
            perhaps,
            whom,
        } = alike;
        let sure = || surely.iter().map(|&index| &self.configs[index]);
        let mut runs: Vec<Vec<&Prepared<'_>>> = perhaps
            .iter()
            .map(|&index| sure().chain([&self.configs[index]]).collect())
            .collect();
        if runs.is_empty() && !surely.is_empty() {
            runs.push(sure().collect());
        }
        for configs in runs {
            let examined = match station.facts.device.vendor {
                Some(_) => self.examine(station, &configs),
                None => self.without_vendor(station, &configs),
            };
            for Examined {
                finding, combined, ..
            } in examined
            {
                let told = combined || station.facts.device.vendor.is_some();
                let whom = Whom {
                    told,
                    ..whom.clone()
                };
                findings.add_on(finding, &whom);
            }
        }
    }

    /// Of a station whose vendor is not known: the standard's keys by the standard, others on the vendors that know them.
    fn without_vendor(&self, station: &Station, configs: &[&Prepared<'_>]) -> Vec<Examined> {
        let device = &station.facts.device;
        let of_standard = self
            .catalogue
            .for_station(device, station.facts.firmware.as_deref());
        let mut strangers: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut examined = Vec::new();
        for config in configs {
            for (index, setting) in &config.settings {
                let key = Key::new(setting.key.as_str());
                let vendors = self.vendors.knowing(&key);
                if of_standard.find(&key).is_some() || vendors.is_empty() {
                    continue;
                }
                let message = format!(
                    "it is no key of OCPP 1.6: stations of {} have it; it was checked as they have it, and other stations will \
                     not know it; to check it for yours, say what they are (--vendor, --stations, or spec.hardware of a \
                     ChargeStation)",
                    self.vendors.names(vendors)
                );
                let field = format!("spec.settings[{index}].key");
                let finding = config
                    .object
                    .finding(Severity::Note, "vendor-key", &field, message);
                examined.push(Examined::new(finding, &key));
                strangers.insert(key.folded(), vendors.to_vec());
            }
        }
        let standard = self.examine(station, configs).into_iter();
        examined.extend(standard.filter(|one| !strangers.contains_key(&one.key.folded())));
        let asked: BTreeSet<usize> = strangers.values().flatten().copied().collect();
        let mut refused: BTreeMap<(String, String), usize> = BTreeMap::new();
        let mut on_vendors = Vec::new();
        for vendor in asked {
            let mut like = station.clone();
            let (name, hardware) = self.vendors.station(vendor);
            like.facts.device.vendor.clone_from(&hardware.vendor);
            like.facts.device.model = like.facts.device.model.or_else(|| hardware.model.clone());
            like.facts.firmware = like.facts.firmware.or_else(|| hardware.firmware.clone());
            for mut one in self.examine(&like, configs) {
                let knows = strangers.get(&one.key.folded());
                if !knows.is_some_and(|vendors| vendors.contains(&vendor)) {
                    continue;
                }
                if one.finding.severity == Severity::Error {
                    let counted = (one.finding.field.clone(), one.key.folded());
                    *refused.entry(counted).or_default() += 1;
                }
                one.finding.message = format!("on stations of {name}: {}", one.finding.message);
                on_vendors.push(one);
            }
        }
        // What only some of the vendors refuse may be right for the stations that are meant.
        for one in &mut on_vendors {
            let folded = one.key.folded();
            let vendors = strangers.get(&folded).map_or(0, Vec::len);
            let refusals = refused.get(&(one.finding.field.clone(), folded));
            if one.finding.severity == Severity::Error && refusals.is_none_or(|n| *n < vendors) {
                one.finding.severity = Severity::Warning;
            }
        }
        examined.extend(on_vendors);
        examined
    }
}
