//! The fleet in numbers, as it stands when somebody scrapes: told by the process that leads.
//!
//! In: the objects in the local stores, and the verdicts that were last told. Out: gauges. A station is counted by what
//! its status says, so that a number here and `kubectl get` never disagree.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::reflector::ObjectRef;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use stationkeeper_core::state::State;
use stationkeeper_core::station::Brake;

use super::{StateLabels, state_labels};
use crate::controller::Context;
use crate::objects::ChargeStation;

/// The conditions that are counted, of stations and of configs.
const CONDITIONS: [&str; 7] = [
    "Connected",
    "Ready",
    "Reconciling",
    "Stalled",
    "InSync",
    "Drifted",
    "ResetRequired",
];

const BRAKES: [Brake; 3] = [Brake::Off, Brake::Report, Brake::NoCalls];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabels {
    condition: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PositionLabels {
    position: String,
}

/// Of a gauge that is alone, and not there before it is set.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NoLabels {}

/// How many stations or configs say True of each condition.
type Conditions = BTreeMap<&'static str, i64>;

/// The fleet, counted.
#[derive(Clone, Debug, Default)]
pub struct FleetCounts {
    stations: BTreeMap<Standing, i64>,
    station_conditions: Conditions,
    configs: i64,
    config_conditions: Conditions,
    keys: BTreeMap<State, i64>,
    resets_pending: i64,
    /// In seconds since 1970.
    oldest_reset: Option<i64>,
    brake: Brake,
    audit_is_behind: bool,
}

/// The one class that a station counts in: the first that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Offline,
    Stalled,
    Reconciling,
    Drifted,
    ResetPending,
    InSync,
    /// Connected and at rest, with keys that are neither drifted nor waiting for a boot: held, or without consent.
    Held,
}

impl Standing {
    const ALL: [Self; 7] = [
        Self::Offline,
        Self::Stalled,
        Self::Reconciling,
        Self::Drifted,
        Self::ResetPending,
        Self::InSync,
        Self::Held,
    ];

    fn of(conditions: &[Condition]) -> Self {
        let says = |kind: &str| is_true(conditions, kind);
        if !says("Connected") {
            Self::Offline
        } else if says("Stalled") {
            Self::Stalled
        } else if says("Reconciling") {
            Self::Reconciling
        } else if says("Drifted") {
            Self::Drifted
        } else if says("ResetRequired") {
            Self::ResetPending
        } else if says("InSync") {
            Self::InSync
        } else {
            Self::Held
        }
    }
}

fn is_true(conditions: &[Condition], kind: &str) -> bool {
    conditions
        .iter()
        .any(|condition| condition.type_ == kind && condition.status == "True")
}

fn count(into: &mut Conditions, conditions: &[Condition]) {
    for kind in CONDITIONS {
        *into.entry(kind).or_default() += i64::from(is_true(conditions, kind));
    }
}

impl FleetCounts {
    /// Counts.
    pub fn of(context: &Context) -> Self {
        let mut counts = Self {
            brake: *context.brake.borrow(),
            audit_is_behind: context.wire.audit.is_behind(),
            ..Self::default()
        };
        for station in context.stores.stations.state() {
            counts.add_station(&station);
            let told = context
                .lives
                .peek(&ObjectRef::from_obj(station.as_ref()))
                .and_then(|cell| cell.told());
            for verdict in told.iter().flat_map(|told| told.verdicts.iter()) {
                *counts.keys.entry(verdict.state).or_default() += 1;
            }
        }
        for config in context.stores.configs.state() {
            counts.configs += 1;
            let conditions = config.status.as_ref().map(|status| &status.conditions);
            let conditions = conditions.map(Vec::as_slice).unwrap_or_default();
            count(&mut counts.config_conditions, conditions);
        }
        counts
    }

    fn add_station(&mut self, station: &ChargeStation) {
        let status = station.status.as_ref();
        let conditions = status.map(|status| status.conditions.as_slice());
        let conditions = conditions.unwrap_or_default();
        *self.stations.entry(Standing::of(conditions)).or_default() += 1;
        count(&mut self.station_conditions, conditions);
        if let Some(pending) = status.and_then(|status| status.pending_reset.as_ref()) {
            let since = pending.since.0.as_second();
            self.resets_pending += 1;
            self.oldest_reset = Some(self.oldest_reset.map_or(since, |oldest| oldest.min(since)));
        }
    }
}

/// The gauges that [`FleetCounts`] sets.
pub(super) struct FleetGauges {
    stations: Family<StateLabels, Gauge>,
    station_conditions: Family<ConditionLabels, Gauge>,
    configs: Family<NoLabels, Gauge>,
    config_conditions: Family<ConditionLabels, Gauge>,
    keys: Family<StateLabels, Gauge>,
    resets_pending: Family<NoLabels, Gauge>,
    oldest_reset: Family<NoLabels, Gauge>,
    brake: Family<PositionLabels, Gauge>,
    audit_is_behind: Family<NoLabels, Gauge>,
}

impl FleetGauges {
    /// Registers them; all are families, so that a process that does not lead shows none rather than a fleet of 0.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let gauges = Self {
            stations: Family::default(),
            station_conditions: Family::default(),
            configs: Family::default(),
            config_conditions: Family::default(),
            keys: Family::default(),
            resets_pending: Family::default(),
            oldest_reset: Family::default(),
            brake: Family::default(),
            audit_is_behind: Family::default(),
        };
        registry.register(
            "stationkeeper_stations",
            "Declared stations, each in the first state of these that applies",
            gauges.stations.clone(),
        );
        registry.register(
            "stationkeeper_station_conditions",
            "Stations whose condition is True",
            gauges.station_conditions.clone(),
        );
        registry.register(
            "stationkeeper_configs",
            "Declared configs",
            gauges.configs.clone(),
        );
        registry.register(
            "stationkeeper_config_conditions",
            "Configs whose condition is True",
            gauges.config_conditions.clone(),
        );
        registry.register(
            "stationkeeper_keys",
            "Managed keys, by state",
            gauges.keys.clone(),
        );
        registry.register(
            "stationkeeper_resets_pending",
            "Stations with values that take effect with the next boot",
            gauges.resets_pending.clone(),
        );
        registry.register(
            "stationkeeper_reset_pending_oldest_timestamp_seconds",
            "Since when the longest wait for a boot lasts; 0 if none is waited for",
            gauges.oldest_reset.clone(),
        );
        registry.register(
            "stationkeeper_brake",
            "1 at the brake's position",
            gauges.brake.clone(),
        );
        registry.register(
            "stationkeeper_audit_behind",
            "1 while lines of the audit could not be written; stations are not changed meanwhile",
            gauges.audit_is_behind.clone(),
        );
        gauges
    }

    pub(super) fn set(&self, counts: &FleetCounts) {
        for standing in Standing::ALL {
            let labels = StateLabels {
                state: format!("{standing:?}"),
            };
            let stations = counts.stations.get(&standing).copied().unwrap_or_default();
            self.stations.get_or_create(&labels).set(stations);
        }
        // States that no key is in any more must be told as 0.
        for state in State::ALL {
            let keys = counts.keys.get(&state).copied().unwrap_or_default();
            self.keys.get_or_create(&state_labels(state)).set(keys);
        }
        for condition in CONDITIONS {
            let labels = ConditionLabels { condition };
            let of = |counts: &Conditions| counts.get(condition).copied().unwrap_or_default();
            self.station_conditions
                .get_or_create(&labels)
                .set(of(&counts.station_conditions));
            if condition != "Connected" {
                self.config_conditions
                    .get_or_create(&labels)
                    .set(of(&counts.config_conditions));
            }
        }
        for brake in BRAKES {
            let labels = PositionLabels {
                position: format!("{brake:?}"),
            };
            self.brake
                .get_or_create(&labels)
                .set(i64::from(brake == counts.brake));
        }
        let set =
            |gauge: &Family<NoLabels, Gauge>, value| gauge.get_or_create(&NoLabels {}).set(value);
        set(&self.configs, counts.configs);
        set(&self.resets_pending, counts.resets_pending);
        set(&self.oldest_reset, counts.oldest_reset.unwrap_or_default());
        set(&self.audit_is_behind, i64::from(counts.audit_is_behind));
    }
}
