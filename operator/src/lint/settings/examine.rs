//! Examine: what is wrong with settings on one station, each by itself and between each other.

use std::collections::BTreeMap;

use stationkeeper_core::catalogue::StationCatalogue;
use stationkeeper_core::layer::{Consent, Layer, Mode};
use stationkeeper_core::observed::{Observed, Reading};
use stationkeeper_core::resolve::{Resolved, ResolvedSetting, resolve};
use stationkeeper_core::rules::{RULES, companions};
use stationkeeper_core::state::State;
use stationkeeper_core::validate::{Barrier, Desired, DesiredSetting, validate};
use stationkeeper_core::words::{ConfigRef, Finding as Told, Key, Severity as Bad};

use super::{Fleet, Prepared};
use crate::lint::kebab;
use crate::lint::report::{Finding, Severity};
use crate::lint::stations::Station;

impl Fleet<'_> {
    /// What is wrong with the settings on a station, by all that is known of it.
    pub(super) fn examine(&self, station: &Station, configs: &[&Prepared<'_>]) -> Vec<Examined> {
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
            let wanted = desired.settings.get(key);
            let barrier = wanted.and_then(|wanted| wanted.barrier.as_deref());
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
                if wanted.is_some_and(waits_for_a_reset) {
                    let message = format!(
                        "where a station has another value, it is told and not written: {key} can cut the link and takes \
                         effect with a boot, and this version sends no Reset; set it by the station's own means"
                    );
                    tell(
                        Severity::Note,
                        "no-reset-may-follow",
                        format!("{field}.key"),
                        message,
                    );
                }
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
}

/// Is it held for a Reset that this version does not send? What is only told, or read-only, waits for nothing.
fn waits_for_a_reset(wanted: &DesiredSetting) -> bool {
    let definition = wanted.definition();
    wanted.mode() == Mode::Enforce && definition.needs_reset_at_once() && !definition.is_read_only()
}

/// A finding, and what it hangs on.
pub(super) struct Examined {
    pub(super) finding: Finding,
    pub(super) key: Key,
    /// Does it hang on several configs?
    pub(super) combined: bool,
}

impl Examined {
    pub(super) fn new(finding: Finding, key: &Key) -> Self {
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
