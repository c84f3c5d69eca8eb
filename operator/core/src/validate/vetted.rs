//! Vetting: what can be said of resolved settings without looking at a station, once for all stations that share their
//! layers and their catalogue.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Barrier, barrier, hash};
use crate::catalogue::{Definition, StationCatalogue};
use crate::layer::{Layer, Mode, SettingValue};
use crate::plan::digest_of;
use crate::resolve::{Resolved, ResolvedSetting};
use crate::state::State;
use crate::value;
use crate::words::{ConfigRef, Finding, Key, Severity};

/// Settings that were vetted: [`Vetted::for_station`] says the rest.
#[derive(Clone, Debug, Default)]
pub struct Vetted {
    /// Sorted by key.
    pub(super) settings: Vec<Arc<VettedSetting>>,
    /// What documents of the catalogue contradict each other about, of these keys.
    pub(super) findings: Vec<Finding>,
    pub(super) hash: String,
    pub(super) catalogue: StationCatalogue,
}

/// One setting, as far as it is the same for every station.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct VettedSetting {
    pub(super) key: Key,
    pub(super) value: SettingValue,
    pub(super) definition: Arc<Definition>,
    pub(super) mode: Mode,
    pub(super) layer: Arc<Layer>,
    /// What stands in the way on every station.
    pub(super) barrier: Option<Arc<Barrier>>,
    /// What stands in the way where the key could be written.
    pub(super) consent: Option<Arc<Barrier>>,
    /// What stands in the way if nothing else does: documents of the catalogue contradict each other.
    pub(super) contradiction: Option<Arc<Barrier>>,
    /// What memory keeps of it when it is in sync; `None` for secrets.
    pub(super) digest: Option<u32>,
    /// The other configs that fight over the key at the same priority.
    pub(super) rivals: Vec<ConfigRef>,
}

/// Vets settings by the catalogue that they were resolved with.
pub fn vet(resolved: &Resolved, catalogue: &StationCatalogue) -> Vetted {
    let mut contradictions: BTreeMap<&Key, Vec<&Finding>> = BTreeMap::new();
    for finding in catalogue.findings() {
        if let Some(key) = finding
            .key
            .as_ref()
            .filter(|key| resolved.settings.contains_key(key))
        {
            contradictions.entry(key).or_default().push(finding);
        }
    }
    let settings: Vec<Arc<VettedSetting>> = resolved
        .settings
        .iter()
        .map(|(key, setting)| {
            let findings = contradictions.get(key).map(Vec::as_slice);
            Arc::new(vet_one(key, setting, findings.unwrap_or_default()))
        })
        .collect();
    let about = catalogue.findings().iter().filter(|finding| {
        let key = finding.key.as_ref();
        key.is_some_and(|key| contradictions.contains_key(key))
    });
    Vetted {
        hash: hash::of(&settings),
        findings: about.cloned().collect(),
        settings,
        catalogue: catalogue.clone(),
    }
}

fn vet_one(key: &Key, resolved: &ResolvedSetting, findings: &[&Finding]) -> VettedSetting {
    let ResolvedSetting {
        setting,
        layer,
        definition,
        conflict,
    } = resolved;
    let value = match &setting.value {
        SettingValue::Plain(value) => SettingValue::Plain(value::to_wire(definition, value).into()),
        other @ (SettingValue::Secret { .. } | SettingValue::SecretMissing { .. }) => other.clone(),
    };
    let contradiction = findings
        .iter()
        .find(|finding| finding.severity == Severity::Error);
    VettedSetting {
        digest: digest_of(key, definition, &value),
        key: key.clone(),
        value,
        definition: Arc::clone(definition),
        mode: setting.mode.map_or(layer.mode, |mode| mode.min(layer.mode)),
        layer: Arc::clone(layer),
        barrier: barrier::on_every_station(key, resolved).map(Arc::new),
        consent: barrier::consent(key, resolved).map(Arc::new),
        contradiction: contradiction
            .map(|finding| Arc::new(Barrier::of_finding(finding, State::Conflict))),
        rivals: conflict.iter().map(|(config, _)| config.clone()).collect(),
    }
}
