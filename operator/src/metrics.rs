//! Metrics: controller-runtime's names where they exist, our own for the fleet. Labels come from enum names and constants,
//! never from messages or stations.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use stationkeeper_core::state::State;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    controller: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabels {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: String,
}

/// The counters of the controllers.
pub struct Metrics {
    reconciles: Family<ReconcileLabels, Counter>,
    reconcile_time: Family<ControllerLabels, Histogram, fn() -> Histogram>,
    status_writes: Family<KindLabels, Counter>,
    transitions: Family<StateLabels, Counter>,
    keys: Family<StateLabels, Gauge>,
    leader: Gauge,
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 4.0, 10))
}

impl Metrics {
    /// Makes the counters and registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            reconciles: Family::default(),
            reconcile_time: Family::new_with_constructor(seconds),
            status_writes: Family::default(),
            transitions: Family::default(),
            keys: Family::default(),
            leader: Gauge::default(),
        };
        registry.register(
            "controller_runtime_reconcile",
            "Reconciles by controller and result",
            metrics.reconciles.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_time_seconds",
            "How long reconciles took, calls to stations included",
            metrics.reconcile_time.clone(),
        );
        registry.register(
            "stationkeeper_status_writes",
            "Writes of status, by kind of object; a fleet at rest causes none",
            metrics.status_writes.clone(),
        );
        registry.register(
            "stationkeeper_key_transitions",
            "Managed keys that came into a state",
            metrics.transitions.clone(),
        );
        registry.register(
            "stationkeeper_keys",
            "Managed keys by state",
            metrics.keys.clone(),
        );
        registry.register(
            "leader_election_master_status",
            "1 while this process leads",
            metrics.leader.clone(),
        );
        metrics
    }

    /// Counts a reconcile.
    pub fn reconciled(&self, controller: &'static str, fine: bool, took: Duration) {
        let result = if fine { "success" } else { "error" };
        self.reconciles
            .get_or_create(&ReconcileLabels { controller, result })
            .inc();
        self.reconcile_time
            .get_or_create(&ControllerLabels { controller })
            .observe(took.as_secs_f64());
    }

    /// Counts a status write.
    pub fn status_write(&self, kind: &'static str) {
        self.status_writes.get_or_create(&KindLabels { kind }).inc();
    }

    /// Counts a key that came into a state.
    pub fn transition(&self, to: State) {
        self.transitions
            .get_or_create(&StateLabels {
                state: format!("{to:?}"),
            })
            .inc();
    }

    /// Sets how many managed keys are in each state.
    pub fn keys_by_state(&self, counts: impl IntoIterator<Item = (State, i64)>) {
        for (state, count) in counts {
            self.keys
                .get_or_create(&StateLabels {
                    state: format!("{state:?}"),
                })
                .set(count);
        }
    }

    /// Tells whether this process leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }
}
