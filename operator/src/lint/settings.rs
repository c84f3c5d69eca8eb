//! Settings: what the catalogue and the rules between keys say of each setting, on the stations that it is for.
//!
//! Layers are resolved and validated as the operator does it, by the same functions of `core`, once for all stations
//! that are alike. Besides, each config is validated alone, so that a value that another config overrides today is not
//! left unchecked. A config that surely selects none of the known stations is checked on a station like those that it
//! asks for; what no vendor is known of is checked against the standard, and its other keys on the vendors that know them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use secrecy::ExposeSecret;
use stationkeeper_core::catalogue::{Catalogue, StationCatalogue};
use stationkeeper_core::layer::{Consent, Layer, Setting, SettingValue, Standing};
use stationkeeper_core::observed::{Observed, Reading};
use stationkeeper_core::resolve::{Resolved, ResolvedSetting, resolve};
use stationkeeper_core::rules::{RULES, companions};
use stationkeeper_core::select::{self, Applies, LabelSelector, Selection};
use stationkeeper_core::state::State;
use stationkeeper_core::station::StationFacts;
use stationkeeper_core::validate::{Barrier, Desired, validate};
use stationkeeper_core::words::{ConfigRef, Finding as Told, Key, SecretVersion, Severity as Bad};

use super::declared::{Declarations, Object, unrendered};
use super::kebab;
use super::report::{Finding, Findings, Severity, Whom};
use super::stations::{Hardware, Station, facts, like};
use super::vendors::{Vendors, without_wildcards};
use crate::objects::{ChargeStationConfig, SettingSpec, StationSelection, convert};
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

/// Does a config select a station, as far as it is known?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Selects {
    Yes,
    /// It hangs on labels or a name that are not known.
    Perhaps,
    /// It hangs on what the station is, and that is not known.
    Undecidable,
    No,
}

fn selects(selection: &Selection, station: &Station) -> Selects {
    let mut selection = selection.clone();
    let mut perhaps = false;
    let all = LabelSelector::default();
    if !station.labels_known && selection.selector.as_ref().is_some_and(|s| *s != all) {
        selection.selector = Some(all);
        perhaps = true;
    }
    if !station.is_named && selection.names.take().is_some() {
        selection.selector.get_or_insert_default();
        perhaps = true;
    }
    match select::applies(&selection, &station.facts.namespace, &station.facts) {
        Applies::No => Selects::No,
        Applies::Undecidable => Selects::Undecidable,
        Applies::Yes if perhaps => Selects::Perhaps,
        Applies::Yes => Selects::Yes,
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

/// Stations that are alike in all that settings can hang on.
struct Alike {
    station: Station,
    /// Indices of configs.
    surely: Vec<usize>,
    perhaps: Vec<usize>,
    whom: Whom,
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

    fn alike(&self) -> Vec<Alike> {
        let own_secrets = self.configs.iter().any(|config| {
            let from = |setting: &SettingSpec| setting.value_from.clone();
            config
                .settings
                .iter()
                .any(|(_, setting)| from(setting).is_some_and(|from| from.station_secret.is_some()))
        });
        let mut groups: Vec<Alike> = Vec::new();
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for station in &self.stations {
            let which = |wanted: Selects| -> Vec<usize> {
                let configs = self.configs.iter().enumerate();
                configs
                    .filter(|(_, config)| {
                        let selection = config.selection.as_ref();
                        selection.is_some_and(|selection| selects(selection, station) == wanted)
                    })
                    .map(|(index, _)| index)
                    .collect()
            };
            let (surely, perhaps) = (which(Selects::Yes), which(Selects::Perhaps));
            let StationFacts {
                device,
                firmware,
                role,
                identity,
                ..
            } = &station.facts;
            let secret = station.secret.as_ref().filter(|_| own_secrets);
            // One rule looks for the identity in values.
            let identity = Some(identity).filter(|identity| self.is_in_a_value(identity));
            let key = format!(
                "{device:?} {firmware:?} {role:?} {surely:?} {perhaps:?} {secret:?} {identity:?}"
            );
            let group = *known.entry(key).or_insert_with(|| {
                groups.push(Alike {
                    station: station.clone(),
                    surely,
                    perhaps,
                    whom: Whom::default(),
                });
                groups.len() - 1
            });
            let whom = &mut groups[group].whom;
            match station.is_named {
                true => whom.stations.extend([station.facts.name.clone()]),
                false => whom.like.extend(like(station)),
            }
        }
        groups
    }

    fn is_in_a_value(&self, identity: &str) -> bool {
        !identity.is_empty()
            && self.configs.iter().any(|config| {
                config.settings.iter().any(|(_, setting)| {
                    let value = setting.value.as_deref();
                    value.is_some_and(|value| value.contains(identity))
                })
            })
    }

    /// A station such as the config asks for, with the configs that select every station.
    fn imagined(&self, index: usize, config: &Prepared<'_>, stand_in: &Hardware) -> Alike {
        let asked = asked_for(&config.object.body.spec.stations);
        let stands_in = Station {
            facts: facts(self.namespace, stand_in.clone()),
            is_named: false,
            anywhere: false,
            labels_known: false,
            secret: None,
        };
        let fits = config
            .selection
            .as_ref()
            .is_none_or(|selection| selects(selection, &stands_in) != Selects::No);
        let hardware = match stand_in.is_known() && fits {
            true => Hardware {
                vendor: stand_in.vendor.clone().or(asked.vendor),
                model: stand_in.model.clone().or(asked.model),
                firmware: stand_in.firmware.clone().or(asked.firmware),
            },
            false => asked,
        };
        let station = Station {
            facts: facts(self.namespace, hardware),
            ..stands_in
        };
        let every = |(other, config): (usize, &Prepared<'_>)| {
            let selection = config.selection.as_ref()?;
            let selected = other == index || selects(selection, &station) == Selects::Yes;
            selected.then_some(other)
        };
        let mut surely: Vec<usize> = self.configs.iter().enumerate().filter_map(every).collect();
        if !surely.contains(&index) {
            surely.push(index);
        }
        Alike {
            station,
            surely,
            perhaps: Vec::new(),
            whom: Whom::default(),
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

    /// What is wrong with the settings on a station, by all that is known of it.
    fn examine(&self, station: &Station, configs: &[&Prepared<'_>]) -> Vec<Examined> {
        let facts = &station.facts;
        let catalogue = &self
            .catalogue
            .for_station(&facts.device, facts.firmware.as_deref());
        let layers: Vec<Layer> = configs
            .iter()
            .map(|config| self.layer(config, station, catalogue))
            .collect();
        let weigh = |layers: &[Layer]| {
            let resolved = resolve(layers, catalogue);
            let desired = validate(
                &resolved,
                catalogue,
                facts,
                &documented(&resolved, catalogue),
            );
            (resolved, desired)
        };
        let mut examined = Vec::new();
        for (config, layer) in configs.iter().zip(&layers) {
            let (resolved, desired) = weigh(std::slice::from_ref(layer));
            examined.extend(self.single(config, catalogue, &resolved, &desired));
        }
        let (resolved, desired) = weigh(&layers);
        let mut together = between(configs, catalogue, &resolved, &desired);
        together
            .iter_mut()
            .for_each(|one| one.combined = configs.len() > 1);
        examined.extend(together);
        examined
    }

    /// What is wrong with the settings of one config, each by itself.
    fn single(
        &self,
        config: &Prepared<'_>,
        catalogue: &StationCatalogue,
        resolved: &Resolved,
        desired: &Desired,
    ) -> Vec<Examined> {
        let mut examined = Vec::new();
        for (key, setting) in &resolved.settings {
            let barrier = desired
                .settings
                .get(key)
                .and_then(|desired| desired.barrier.as_deref());
            let Some(index) = config.index(&setting.setting.key) else {
                continue;
            };
            let field = format!("spec.settings[{index}]");
            let mut tell = |severity, rule: &str, field: String, message| {
                let finding = config.object.finding(severity, rule, &field, message);
                examined.push(Examined::new(finding, &setting.setting.key));
            };
            if !setting.definition.known
                && let Some((severity, message)) = self.unknown(key, setting, catalogue)
            {
                tell(severity, "unknown-key", format!("{field}.key"), message);
                continue;
            }
            let Some(Barrier {
                rule,
                state,
                message,
                ..
            }) = barrier
            else {
                continue;
            };
            if rule == "NeedsConsent" && config.object.is_wrong("spec.consent") {
                continue;
            }
            let severity = match state {
                State::NotApplicable => Severity::Note,
                _ => Severity::Error,
            };
            let at = match rule.as_ref() {
                "Value" | "SecretInPlain" => "value",
                "SecretMissing" => "valueFrom",
                "Scope" | "Profile" | "NotConfiguration" | "Credential" | "NeedsConsent" => "key",
                // Rules between keys are told once, of all configs together; one config alone is never held here.
                _ => continue,
            };
            tell(
                severity,
                &kebab(rule),
                format!("{field}.{at}"),
                message.clone(),
            );
        }
        examined
    }

    /// What to say of a key that the station's catalogue does not know.
    fn unknown(
        &self,
        key: &Key,
        setting: &ResolvedSetting,
        catalogue: &StationCatalogue,
    ) -> Option<(Severity, String)> {
        let mut near = catalogue.suggestions(key.as_str());
        if near.is_empty() {
            near = self.catalogue.suggestions(key.as_str());
            // Names of which the given one is a part are no misspellings of it.
            near.retain(|other| !other.folded().contains(&key.folded()));
        }
        let near: Vec<String> = near
            .iter()
            .filter(|other| !other.matches(key))
            .map(|other| format!("{:?}", other.as_str()))
            .collect();
        let elsewhere = self.vendors.knowing(key);
        let consents = setting.layer.consent.contains(&Consent::Unknown);
        let what = match (near.as_slice(), elsewhere) {
            ([], []) if consents => return None,
            ([], []) => "no catalogue knows this key: check how it is spelt".to_owned(),
            (_, [_, ..]) => format!(
                "this key is not known for these stations, but for those of {}: narrow spec.stations to them",
                self.vendors.names(elsewhere)
            ),
            (near, []) => format!(
                "no catalogue knows this key: did you mean {}?",
                near.join(" or ")
            ),
        };
        Some(if consents {
            (
                Severity::Warning,
                format!("{what} (it is written all the same, since spec.consent has Unknown)"),
            )
        } else {
            let then = match what.ends_with('?') {
                true => " If",
                false => "; if",
            };
            (
                Severity::Error,
                format!(
                    "{what}{then} the stations have it all the same, add Unknown to spec.consent, or describe the key in a \
                     KeyCatalogue"
                ),
            )
        })
    }

    fn layer(
        &self,
        config: &Prepared<'_>,
        station: &Station,
        catalogue: &StationCatalogue,
    ) -> Layer {
        let spec = &config.object.body.spec;
        let settings = config.settings.iter().map(|(_, setting)| Setting {
            key: Key::new(setting.key.as_str()),
            value: self.value(setting, station, catalogue),
            mode: setting.mode,
        });
        Layer {
            config: config.config(),
            generation: 0,
            priority: spec.priority,
            // Whether it is suspended today says nothing about whether it is right.
            standing: Standing::Active,
            mode: spec.mode,
            settings: settings.collect(),
            consent: spec.consent.iter().copied().collect(),
            when_removed: spec.when_removed,
        }
    }

    fn value(
        &self,
        setting: &SettingSpec,
        station: &Station,
        catalogue: &StationCatalogue,
    ) -> SettingValue {
        let Some(from) = &setting.value_from else {
            return SettingValue::Plain(setting.value.as_deref().unwrap_or_default().into());
        };
        let (name, key) = match (&from.secret_key_ref, &from.station_secret) {
            (Some(one), _) => (one.name.as_str(), &one.key),
            (None, Some(own)) => {
                match (&station.secret, station.is_named && station.labels_known) {
                    (Some(name), _) => (name.as_str(), &own.key),
                    (None, true) => {
                        return SettingValue::SecretMissing {
                            message: format!(
                                "ChargeStation {} names no Secret: set its spec.authentication.secretRef",
                                station.facts.name
                            ),
                        };
                    }
                    (None, false) => ("", &own.key),
                }
            }
            (None, None) => return SettingValue::Plain("".into()),
        };
        // Secrets that are not here, or lack the key, are told where they are named; here they are taken to fit.
        let fitting = || {
            let definition = catalogue.definition(&Key::new(setting.key.as_str()));
            let bounds = definition.length.as_ref().map(|fact| &fact.value);
            bounds
                .and_then(|length| usize::try_from(length.min?).ok())
                .unwrap_or(1)
        };
        let found = self
            .secrets
            .get(&(self.namespace.to_owned(), name.to_owned()))
            .and_then(|data| data.get(key))
            .map(|bytes| bytes.expose_secret().trim_ascii_end().len())
            .filter(|length| *length > 0);
        SettingValue::Secret {
            version: SecretVersion(format!("{name}/{key}")),
            length: found.unwrap_or_else(fitting),
        }
    }
}

/// A finding, and what it hangs on.
struct Examined {
    finding: Finding,
    key: Key,
    /// Does it hang on several configs?
    combined: bool,
}

impl Examined {
    fn new(finding: Finding, key: &Key) -> Self {
        Self {
            finding: Finding {
                key: Some(key.to_string()),
                ..finding
            },
            key: key.clone(),
            combined: false,
        }
    }
}

/// What is wrong between settings: conflicts, and the rules between keys.
fn between(
    configs: &[&Prepared<'_>],
    catalogue: &StationCatalogue,
    resolved: &Resolved,
    desired: &Desired,
) -> Vec<Examined> {
    let place = |config: &ConfigRef, key: &Key| {
        let config = configs
            .iter()
            .find(|prepared| prepared.config() == *config)?;
        Some((*config, config.index(key)?))
    };
    let mut examined = Vec::new();
    for (key, setting) in &resolved.settings {
        let Some(Barrier { rule, message, .. }) = desired
            .settings
            .get(key)
            .and_then(|desired| desired.barrier.as_deref())
            .filter(|barrier| barrier.rule == "Conflict")
        else {
            continue;
        };
        let Some((config, index)) = place(&setting.layer.config, &setting.setting.key) else {
            continue;
        };
        let others: Vec<String> = setting
            .conflict
            .iter()
            .filter_map(|(config, other)| place(config, &other.key))
            .map(|(config, index)| {
                let field = format!("spec.settings[{index}].value");
                config.object.fields.place(&field).to_string()
            })
            .collect();
        let message = match setting
            .conflict
            .iter()
            .all(|(other, _)| *other == setting.layer.config)
        {
            true => format!(
                "this config sets {key} more than once, with different values (again at {}): delete all but one",
                others.join(", ")
            ),
            false => format!("{message} (the other stands at {})", others.join(", ")),
        };
        let field = format!("spec.settings[{index}].value");
        let finding = config
            .object
            .finding(Severity::Error, &kebab(rule), &field, message);
        examined.push(Examined::new(finding, &setting.setting.key));
    }
    for told in catalogue.findings().iter().chain(&desired.findings) {
        let Some(setting) = told.key.as_ref().and_then(|key| resolved.settings.get(key)) else {
            continue;
        };
        if let Some((config, index)) = place(&setting.layer.config, &setting.setting.key) {
            let field = format!("spec.settings[{index}].value");
            let finding = config.object.finding(
                severity(told),
                &kebab(&told.rule),
                &field,
                told.message.clone(),
            );
            examined.push(Examined::new(finding, &setting.setting.key));
        }
    }
    examined
}

/// What the catalogue says that stations hold in keys which bound others, as far as these are read-only: no station was
/// asked, and nobody can have changed them.
fn documented(resolved: &Resolved, catalogue: &StationCatalogue) -> Observed {
    // Which keys these are hangs on the names alone.
    let values: BTreeMap<Key, &str> = resolved
        .settings
        .keys()
        .map(|key| (key.clone(), ""))
        .collect();
    let mut observed = Observed::default();
    for key in companions(&values, catalogue) {
        let definition = catalogue.definition(&key);
        if let Some(default) = definition
            .default
            .as_ref()
            .filter(|_| definition.is_read_only())
        {
            let reading = Reading::Known {
                spelling: key.clone(),
                value: Some(default.value.as_str().into()),
                readonly: None,
            };
            observed.readings.insert(key, reading);
        }
    }
    observed
}

/// Where a rule knows less than it should, because no station was asked, there is nothing to be mended yet.
fn severity(told: &Told) -> Severity {
    let knows_less = RULES
        .iter()
        .any(|rule| rule.name == told.rule && rule.severity < told.severity);
    match told.severity {
        Bad::Error => Severity::Error,
        Bad::Warning if knows_less => Severity::Note,
        Bad::Warning => Severity::Warning,
    }
}

/// The hardware that a config asks for, wildcards left out.
fn asked_for(stations: &StationSelection) -> Hardware {
    stations
        .hardware
        .as_ref()
        .map(|hardware| Hardware {
            vendor: without_wildcards(hardware.vendor.as_deref()),
            model: without_wildcards(hardware.model.as_deref()),
            firmware: without_wildcards(hardware.firmware.as_deref()),
        })
        .unwrap_or_default()
}
