//! Validate: resolved settings + catalogue + station facts → desired settings, each with what may be done about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalogue::{Definition, StationCatalogue};
use crate::layer::{Consent, Mode, SettingValue, WhenRemoved};
use crate::observed::Observed;
use crate::resolve::Resolved;
use crate::state::{Reason, State};
use crate::station::StationFacts;
use crate::words::{ConfigRef, Finding, Key};

/// What the station should have, and what may be done about each key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// By canonical name.
    pub settings: BTreeMap<Key, DesiredSetting>,
    /// What a person should know (cross-key rules, disagreements between catalogue and station).
    pub findings: Vec<Finding>,
    /// Stands for keys, values, configs and generations: equal hashes, equal desires. Hex, 16 digits. Status shows it
    /// as `resolvedHash`, so that a config can tell whether a station knows its present generation.
    pub hash: String,
}

/// One setting, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredSetting {
    /// The canonical name.
    pub key: Key,
    /// The value: canonical on the wire if its type is known.
    pub value: SettingValue,
    /// All that is known of the key for this station.
    pub definition: Arc<Definition>,
    /// The mode, after the setting's narrowing.
    pub mode: Mode,
    /// Whose setting it is.
    pub config: ConfigRef,
    /// The generation of that config.
    pub generation: i64,
    /// What its config consents to.
    pub consent: BTreeSet<Consent>,
    /// What is to be done when it is removed.
    pub when_removed: WhenRemoved,
    /// Rows 1 and 2 of the table, or a held layer: nothing is written, whatever is observed.
    pub barrier: Option<Barrier>,
    /// A string from the other vocabulary (label for code), to be tried once when the first is Rejected.
    pub alternative: Option<String>,
}

/// Why a key is not written whatever is observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Barrier {
    /// The state it gives. `Pending` for held layers (with the reason), `NotApplicable`, `Invalid`, `Conflict`,
    /// `NeedsConsent`, `SecretMissing`.
    pub state: State,
    /// The reason.
    pub reason: Reason,
    /// For people: what is wrong, and what to do.
    pub message: String,
}

/// Validates. `observed` is used only for what rules compare with on the station (MaxLength companions, profiles).
pub fn validate(
    resolved: &Resolved,
    catalogue: &StationCatalogue,
    station: &StationFacts,
    observed: &Observed,
) -> Desired {
    let _ = (resolved, catalogue, station, observed);
    Desired::default()
}
