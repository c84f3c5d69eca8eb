//! The document: all stations with every managed key, and all configs, as `status -o json`, `demo -o json` and the admin
//! port tell them (section 11 of the design).
//!
//! Objects and verdicts go in; data to be serialised goes out. It holds no secrets, because verdicts hold none. Absent
//! facts are `null`, never left out.

mod table;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use stationkeeper_core::plan::KeyVerdict;
use stationkeeper_core::state::{Reason, State};
use stationkeeper_core::status::StationCounts;
use stationkeeper_core::words::Key;

pub(crate) use table::aligned;
pub use table::{keys_table, objects_table};

use crate::objects::{ChargeStation, ChargeStationConfig};

/// The document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Every station, by namespace and name.
    pub stations: Vec<StationDocument>,
    /// Every config, by namespace and name.
    pub configs: Vec<ConfigDocument>,
    /// Every transition of a key, in order; only where somebody watched (the demo).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<Transition>>,
}

/// One station.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StationDocument {
    /// Of the object.
    pub name: String,
    /// Of the object.
    pub namespace: String,
    /// The string with which it connects.
    pub identity: String,
    /// As reported, or as `spec.hardware` says.
    pub vendor: Option<String>,
    /// Alike.
    pub model: Option<String>,
    /// Alike.
    pub firmware: Option<String>,
    /// Is it connected?
    pub connected: bool,
    /// Every managed key, in sync or not.
    pub keys: Vec<KeyDocument>,
}

/// One managed key of a station.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDocument {
    /// In its canonical spelling.
    pub key: Key,
    /// Null for secrets.
    pub desired: Option<String>,
    /// Null for secrets, and where the station gave none.
    pub observed: Option<String>,
    /// One of the closed vocabulary.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// The station is offline: this is what was last known.
    pub stale: bool,
    /// The name of the config that declares it, in the station's namespace.
    pub config: String,
}

/// One config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigDocument {
    /// Of the object.
    pub name: String,
    /// Of the object.
    pub namespace: String,
    /// As in its status.
    pub conditions: Vec<Condition>,
    /// As in its status; null before it was first summed up.
    pub stations: Option<StationCounts>,
}

/// A key's change of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    pub time: jiff::Timestamp,
    /// The station's name.
    pub station: String,
    /// The key.
    pub key: Key,
    /// The former state; null: it was not managed.
    pub from: Option<State>,
    /// The new state; null: it is no longer managed.
    pub to: Option<State>,
    /// Why it is in its new state.
    pub reason: Option<Reason>,
}

impl Document {
    /// Puts stations and configs in order.
    pub fn new(mut stations: Vec<StationDocument>, mut configs: Vec<ConfigDocument>) -> Self {
        stations.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        configs.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Self {
            stations,
            configs,
            history: None,
        }
    }

    /// Is there something that a person has to change or mend? Waiting, and being offline, is not.
    pub fn needs_a_person(&self) -> bool {
        let stalled =
            |condition: &Condition| condition.type_ == "Stalled" && condition.status == "True";
        self.stations
            .iter()
            .flat_map(|station| &station.keys)
            .any(|key| needs_a_person(key.state))
            || self
                .configs
                .iter()
                .flat_map(|config| &config.conditions)
                .any(stalled)
    }
}

/// Is a key in this state for a person to change or mend?
fn needs_a_person(state: State) -> bool {
    match state {
        State::Invalid
        | State::Conflict
        | State::NeedsConsent
        | State::SecretMissing
        | State::Quarantined => true,
        State::Failed
        | State::ReadOnlyMismatch
        | State::NotSupported
        | State::Rejected
        | State::Drifted
        | State::Contested
        | State::NotApplicable
        | State::Pending
        | State::Unverifiable
        | State::ResetPending
        | State::Unreported
        | State::InSync
        | State::Unknown => state.is_drift(),
    }
}

impl StationDocument {
    /// A station with the verdicts on its keys.
    pub fn new(
        station: &ChargeStation,
        verdicts: &[KeyVerdict],
        connected: bool,
        stale: bool,
    ) -> Self {
        let reported = station
            .status
            .as_ref()
            .and_then(|status| status.hardware.clone())
            .unwrap_or_default();
        let laid_over = station.spec.hardware.clone().unwrap_or_default();
        Self {
            name: station.name_any(),
            namespace: station.namespace().unwrap_or_default(),
            identity: station.spec.identity.clone(),
            vendor: laid_over.vendor.or(reported.vendor),
            model: laid_over.model.or(reported.model),
            firmware: laid_over.firmware.or(reported.firmware),
            connected,
            keys: verdicts
                .iter()
                .map(|verdict| KeyDocument::new(verdict, stale))
                .collect(),
        }
    }

    /// What was known of it when nobody holds its connection any more.
    pub fn without_operator(mut self) -> Self {
        self.connected = false;
        self.keys.iter_mut().for_each(|key| key.stale = true);
        self
    }
}

impl KeyDocument {
    /// A verdict.
    pub fn new(verdict: &KeyVerdict, stale: bool) -> Self {
        Self {
            key: verdict.key.clone(),
            desired: verdict.desired.as_ref().map(String::from),
            observed: verdict.observed.as_ref().map(String::from),
            state: verdict.state,
            reason: verdict.reason,
            stale,
            config: String::from(&verdict.config.name),
        }
    }
}

impl ConfigDocument {
    /// A config by its status.
    pub fn new(config: &ChargeStationConfig) -> Self {
        let status = config.status.clone().unwrap_or_default();
        Self {
            name: config.name_any(),
            namespace: config.namespace().unwrap_or_default(),
            conditions: status.conditions,
            stations: status.stations,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        let station: ChargeStation = serde_json::from_value(serde_json::json!({
            "apiVersion": "stationkeeper.dev/v1alpha1", "kind": "ChargeStation",
            "metadata": {"name": "cp-1", "namespace": "north"}, "spec": {"identity": "CP/1"},
            "status": {"hardware": {"vendor": "Bender", "firmware": "5.30"}}
        }))
        .unwrap();
        let mut document = Document::new(
            vec![StationDocument::new(&station, &[], true, false)],
            Vec::new(),
        );
        document.stations[0].keys = vec![KeyDocument {
            key: Key::from("AuthorizationKey"),
            desired: None,
            observed: None,
            state: State::Unverifiable,
            reason: Reason::WriteOnly,
            stale: false,
            config: "base".to_owned(),
        }];
        document
    }

    #[test]
    fn absent_facts_are_null_and_never_left_out() {
        let golden = serde_json::json!({
            "stations": [{
                "name": "cp-1", "namespace": "north", "identity": "CP/1",
                "vendor": "Bender", "model": null, "firmware": "5.30", "connected": true,
                "keys": [{
                    "key": "AuthorizationKey", "desired": null, "observed": null,
                    "state": "Unverifiable", "reason": "WriteOnly", "stale": false, "config": "base"
                }]
            }],
            "configs": []
        });
        assert_eq!(serde_json::to_value(document()).unwrap(), golden);
    }

    #[test]
    fn without_an_operator_nothing_is_connected_and_all_is_stale() {
        let station = document().stations.remove(0).without_operator();
        assert!(!station.connected && station.keys.iter().all(|key| key.stale));
    }

    #[test]
    fn waiting_needs_no_person_and_drift_does() {
        let check = |state: State, expect: bool| {
            let mut document = document();
            document.stations[0].keys[0].state = state;
            assert_eq!(document.needs_a_person(), expect, "{state:?}");
        };
        check(State::InSync, false);
        check(State::ResetPending, false);
        check(State::Pending, false);
        check(State::Unverifiable, false);
        check(State::Drifted, true);
        check(State::Rejected, true);
        check(State::SecretMissing, true);
        check(State::Quarantined, true);
    }
}
