//! Validate: resolved settings + catalogue + station facts → desired settings, each with what may be done about it.
//!
//! These are rows 1 and 2 of the table in [`crate::plan`], and the rules between keys. What is observed bears on it only
//! where a rule compares with the station (companions of lists, profiles, its own `readonly` flag); whether a value
//! differs is not asked here. Messages name no secret.

mod barrier;
mod hash;
mod vetted;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalogue::{Access, Definition, StationCatalogue};
use crate::layer::{Consent, Layer, Mode, SettingValue, WhenRemoved};
use crate::observed::{Observed, Reading};
use crate::resolve::Resolved;
use crate::rules::{Declared, check_declared};
use crate::state::{Reason, State};
use crate::station::{Link, StationFacts};
use crate::value;
use crate::words::{ConfigRef, Finding, Key, Severity, Text};
use vetted::VettedSetting;

pub use barrier::is_credential;
pub(crate) use barrier::is_read_only;
pub use vetted::{Vetted, vet};

/// What the station should have, and what may be done about each key.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// By canonical name.
    pub settings: BTreeMap<Key, DesiredSetting>,
    /// What a person should know (cross-key rules, disagreements between catalogue and station, and between catalogues
    /// about a managed key).
    pub findings: Vec<Finding>,
    /// Stands for keys, values, configs and generations: equal hashes, equal desires. Hex, 16 digits. Status shows it
    /// as `resolvedHash`, so that a config can tell whether a station knows its present generation.
    pub hash: String,
    /// What is known of other keys: those that are to be restored, and companions.
    pub catalogue: StationCatalogue,
}

/// One setting, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredSetting {
    vetted: Arc<VettedSetting>,
    /// Rows 1 and 2 of the table, or a held layer: nothing is written, whatever is observed.
    pub barrier: Option<Arc<Barrier>>,
    /// A string from the other vocabulary (label for code), to be tried once when the first is Rejected.
    pub alternative: Option<String>,
}

impl DesiredSetting {
    /// The canonical name.
    pub fn key(&self) -> &Key {
        &self.vetted.key
    }

    /// The value: canonical on the wire if its type is known.
    pub fn value(&self) -> &SettingValue {
        &self.vetted.value
    }

    /// All that is known of the key for this station.
    pub fn definition(&self) -> &Arc<Definition> {
        &self.vetted.definition
    }

    /// The mode, after the setting's narrowing.
    pub fn mode(&self) -> Mode {
        self.vetted.mode
    }

    /// The layer whose setting it is, without its settings.
    pub fn layer(&self) -> &Layer {
        &self.vetted.layer
    }

    /// What memory keeps of it when it is in sync; `None` for secrets.
    pub(crate) fn digest(&self) -> Option<u32> {
        self.vetted.digest
    }

    /// Whose setting it is.
    pub fn config(&self) -> &ConfigRef {
        &self.layer().config
    }

    /// The other configs that fight over the key, if it is in conflict: the verdict on it is theirs as well.
    pub fn rivals(&self) -> &[ConfigRef] {
        &self.vetted.rivals
    }

    /// The generation of that config.
    pub fn generation(&self) -> i64 {
        self.layer().generation
    }

    /// What its config consents to.
    pub fn consent(&self) -> &BTreeSet<Consent> {
        &self.layer().consent
    }

    /// What is to be done when it is removed.
    pub fn when_removed(&self) -> WhenRemoved {
        self.layer().when_removed
    }

    /// Must its value never be shown? So for every value that came from a Secret, and for keys that hold secrets.
    pub fn is_secret(&self) -> bool {
        self.definition().is_secret() || !matches!(self.value(), SettingValue::Plain(_))
    }

    /// Does a read say nothing about it? (Rows 5 to 8: write-only or Secret.)
    pub fn is_hidden(&self) -> bool {
        self.is_secret() || !self.definition().is_readable()
    }

    /// The desired value as a person may see it.
    pub fn shown_value(&self) -> Option<&Text> {
        match self.value() {
            SettingValue::Plain(value) if !self.definition().is_secret() => Some(value),
            SettingValue::Plain(_)
            | SettingValue::Secret { .. }
            | SettingValue::SecretMissing { .. } => None,
        }
    }
}

/// Why a key is not written whatever is observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Barrier {
    /// What stands in the way, in CamelCase, for machines; of a rule between keys its name.
    pub rule: Cow<'static, str>,
    /// The state it gives. `Pending` for held layers (with the reason), `NotApplicable`, `Invalid`, `Conflict`,
    /// `NeedsConsent`, `SecretMissing`.
    pub state: State,
    /// The reason.
    pub reason: Reason,
    /// For people: what is wrong, and what to do.
    pub message: String,
}

impl Barrier {
    /// What a finding, an error, puts in the way of the key that it is about.
    fn of_finding(finding: &Finding, state: State) -> Self {
        Self {
            rule: Cow::Owned(finding.rule.clone()),
            state,
            reason: Reason::SeeMessage,
            message: finding.message.clone(),
        }
    }
}

/// Validates for one station. `observed` is used only for what rules compare with on the station (MaxLength companions, profiles) and
/// for its own word about access.
///
/// Stations that share their layers and their catalogue can share the first half of it: see [`vet`].
pub fn validate(
    resolved: &Resolved,
    catalogue: &StationCatalogue,
    station: &StationFacts,
    observed: &Observed,
) -> Desired {
    vet(resolved, catalogue).for_station(station, observed)
}

impl Vetted {
    /// The half of [`validate`] that looks at the station.
    pub fn for_station(&self, station: &StationFacts, observed: &Observed) -> Desired {
        let profiles = profiles(station, observed);
        let readings = observed.along(self.settings.iter().map(|setting| &setting.key));
        let mut findings = self.findings.clone();
        let mut settings: Vec<DesiredSetting> = Vec::with_capacity(self.settings.len());
        for (vetted, reading) in self.settings.iter().zip(readings) {
            findings.extend(reading.and_then(|reading| disagreement(vetted, reading)));
            settings.push(desired_setting(
                vetted,
                station,
                &self.catalogue,
                profiles.as_deref(),
                reading,
            ));
        }
        let broken = broken_rules(&settings, &self.catalogue, station, observed);
        for finding in &broken {
            bar(&mut settings, finding);
        }
        findings.extend(broken);
        findings.sort();
        let settings = settings
            .into_iter()
            .map(|setting| (setting.key().clone(), setting));
        Desired {
            settings: settings.collect(),
            findings,
            hash: self.hash.clone(),
            catalogue: self.catalogue.clone(),
        }
    }
}

fn desired_setting(
    vetted: &Arc<VettedSetting>,
    station: &StationFacts,
    catalogue: &StationCatalogue,
    profiles: Option<&[String]>,
    reading: Option<&Reading>,
) -> DesiredSetting {
    let VettedSetting {
        key,
        value,
        definition,
        barrier,
        consent,
        contradiction,
        ..
    } = vetted.as_ref();
    let may_be_written = || !is_read_only(definition, reading);
    let decided = || definition.known || !is_yet_to_be_known(key, station, catalogue);
    let barrier = barrier::on_this_station(key, definition, station.role, profiles)
        .map(Arc::new)
        .or_else(|| barrier.clone())
        .or_else(|| consent.clone().filter(|_| may_be_written() && decided()))
        .or_else(|| contradiction.clone());
    let alternative = match (value, reading.and_then(Reading::value)) {
        (SettingValue::Plain(value), Some(shown)) if value != shown => {
            value::in_vocabulary_of(definition, value, shown)
        }
        _ => None,
    };
    DesiredSetting {
        vetted: Arc::clone(vetted),
        barrier,
        alternative,
    }
}

/// Will a catalogue speak of the key once the station has said what it is? It may not be called before, and neither config
/// nor station waits for a person.
fn is_yet_to_be_known(key: &Key, station: &StationFacts, catalogue: &StationCatalogue) -> bool {
    station.device.vendor.is_none()
        && station.link != Link::Ready
        && catalogue.is_known_anywhere(key)
}

/// The profiles that the station supports, in lower case. An empty list tells nothing: every station has Core.
fn profiles<'a>(station: &'a StationFacts, observed: &Observed) -> Option<Cow<'a, [String]>> {
    let told = match &station.profiles {
        Some(profiles) => Cow::Borrowed(profiles.as_slice()),
        None => {
            let value = observed
                .readings
                .get(&Key::from(PROFILES))
                .and_then(Reading::value)?;
            value
                .split(',')
                .map(|profile| profile.trim().to_ascii_lowercase())
                .collect()
        }
    };
    told.iter()
        .any(|profile| !profile.is_empty())
        .then_some(told)
}

/// The key that lists the profiles (OCPP 1.6 edition 2, section 9.1.28).
pub(crate) const PROFILES: &str = "SupportedFeatureProfiles";

/// Holds a key because of an error about it, unless something else holds it already.
fn bar(settings: &mut [DesiredSetting], finding: &Finding) {
    let Some(key) = finding
        .key
        .as_ref()
        .filter(|_| finding.severity == Severity::Error)
    else {
        return;
    };
    if let Ok(at) = settings.binary_search_by(|setting| setting.key().cmp(key))
        && settings[at].barrier.is_none()
    {
        settings[at].barrier = Some(Arc::new(Barrier::of_finding(finding, State::Invalid)));
    }
}

/// The rules between keys, over the values that would be written.
fn broken_rules(
    settings: &[DesiredSetting],
    catalogue: &StationCatalogue,
    station: &StationFacts,
    observed: &Observed,
) -> Vec<Finding> {
    let identity = Some(station.identity.as_str()).filter(|identity| !identity.is_empty());
    let declared = settings
        .iter()
        .filter(|setting| setting.barrier.is_none())
        .filter_map(|setting| {
            Some(Declared {
                key: setting.key(),
                value: setting.shown_value()?,
                definition: setting.definition(),
            })
        });
    check_declared(
        declared.collect(),
        &|key| observed.readings.get(key).and_then(Reading::value),
        catalogue,
        identity,
    )
}

/// Where the station's own word about access differs from the catalogue's; the station's counts.
fn disagreement(setting: &VettedSetting, reading: &Reading) -> Option<Finding> {
    let key = &setting.key;
    let Reading::Known {
        readonly: Some(readonly),
        ..
    } = reading
    else {
        return None;
    };
    let (catalogue, station) = match (setting.definition.access()?, readonly) {
        (Access::ReadWrite | Access::WriteOnly, true) => ("writable", "read-only"),
        (Access::ReadOnly, false) => ("read-only", "writable"),
        (Access::ReadWrite | Access::WriteOnly, false)
        | (Access::ReadOnly, true)
        | (Access::ImplementationDefined, true | false) => return None,
    };
    Some(Finding {
        severity: Severity::Warning,
        rule: "AccessDisagrees".to_owned(),
        key: Some(key.clone()),
        message: format!(
            "the catalogue says that {key} is {catalogue}, the station says {station}; the station's word counts"
        ),
    })
}
