//! Metrics: controller-runtime's names where they exist and are true, our own for the fleet.
//!
//! In: what reconciles, calls and reads of Secrets came to, and, at each scrape, the state of the fleet. Out: families in
//! a registry. Labels come from enums and constants only, never from messages, keys or stations, so that the number of
//! series does not grow with the fleet; counters are there with 0 from the start, so that a first failure is a rise.
//! `docs/metrics.md` lists them all, and a test holds it to what is exposed.

mod classic;
mod fleet;
mod process;
mod secrets;

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use stationkeeper_core::state::State;

pub(crate) use self::classic::{CLASSIC, OPEN_METRICS, classic, takes_open_metrics};
pub use self::fleet::FleetCounts;
use self::fleet::FleetGauges;
pub(crate) use self::secrets::CountedSecrets;
use crate::connector::CallResult;
use crate::wire::Meter;

/// The actions that we call stations with.
const ACTIONS: [&str; 4] = [
    "GetConfiguration",
    "ChangeConfiguration",
    "TriggerMessage",
    "Reset",
];

/// Any other action: a connector of the future must not make series that nobody thought of.
const OTHER: &str = "other";

/// Every result that [`call_result`] names.
const CALL_RESULTS: [&str; 7] = [
    "answered",
    "error",
    "timed_out",
    "disconnected",
    "garbled",
    "offline",
    "not_delivered",
];

/// Stations answer in milliseconds on a bench, in a second in the field, and some after 20.
const CALL_SECONDS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// A reconcile lasts as long as the calls in it: from nothing to many slow ones.
const RECONCILE_SECONDS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0,
];

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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BootLabels {
    reset_pending: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabels {
    action: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    action: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LeaseLabels {
    name: &'static str,
}

/// The Lease's name, as in [`crate::leader::Election`].
const LEASE: LeaseLabels = LeaseLabels {
    name: "stationkeeper",
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

/// The controllers that reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// Of stations.
    Station,
    /// Of configs' summaries.
    Config,
}

impl Controller {
    const ALL: [Self; 2] = [Self::Station, Self::Config];

    fn label(self) -> &'static str {
        match self {
            Self::Station => "chargestation",
            Self::Config => "chargestationconfig",
        }
    }
}

/// What came of a reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconciled {
    /// It was finished.
    Fine,
    /// The object had changed meanwhile: it is reconciled again, which is no error.
    Again,
    /// It could not be finished.
    Failed,
}

impl Reconciled {
    const ALL: [Self; 3] = [Self::Fine, Self::Again, Self::Failed];

    fn label(self) -> &'static str {
        match self {
            Self::Fine => "success",
            Self::Again => "requeue",
            Self::Failed => "error",
        }
    }
}

/// What the controllers count.
pub struct Metrics {
    reconciles: Family<ReconcileLabels, Counter>,
    reconcile_errors: Family<ControllerLabels, Counter>,
    reconcile_time: Family<ControllerLabels, Histogram, fn() -> Histogram>,
    active: Family<ControllerLabels, Gauge>,
    status_writes: Family<KindLabels, Counter>,
    transitions: Family<StateLabels, Counter>,
    clock_jumps: Counter,
    boots: Family<BootLabels, Counter>,
    calls: Family<CallLabels, Counter>,
    call_time: Family<ActionLabels, Histogram, fn() -> Histogram>,
    leader: Family<LeaseLabels, Gauge>,
    fleet: FleetGauges,
    pub(crate) secrets: secrets::Reads,
}

/// A reconcile that runs; dropped before its end, it only stops being active.
pub struct Running<'a> {
    metrics: &'a Metrics,
    controller: Controller,
    started: Instant,
}

impl Running<'_> {
    /// It has ended.
    pub fn ended(self, result: Reconciled) {
        let controller = self.controller.label();
        let labels = ReconcileLabels {
            controller,
            result: result.label(),
        };
        self.metrics.reconciles.get_or_create(&labels).inc();
        if result == Reconciled::Failed {
            let labels = ControllerLabels { controller };
            self.metrics.reconcile_errors.get_or_create(&labels).inc();
        }
        self.metrics
            .reconcile_time
            .get_or_create(&ControllerLabels { controller })
            .observe(self.started.elapsed().as_secs_f64());
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let controller = self.controller.label();
        self.metrics
            .active
            .get_or_create(&ControllerLabels { controller })
            .dec();
    }
}

impl Metrics {
    /// Makes the counters and registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            reconciles: Family::default(),
            reconcile_errors: Family::default(),
            reconcile_time: Family::new_with_constructor(|| Histogram::new(RECONCILE_SECONDS)),
            active: Family::default(),
            status_writes: Family::default(),
            transitions: Family::default(),
            clock_jumps: Counter::default(),
            boots: Family::default(),
            calls: Family::default(),
            call_time: Family::new_with_constructor(|| Histogram::new(CALL_SECONDS)),
            leader: Family::default(),
            fleet: FleetGauges::new(registry),
            secrets: secrets::Reads::new(registry),
        };
        metrics.register(registry);
        metrics.start_from_nothing();
        process::register(registry);
        metrics
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "controller_runtime_reconcile",
            "Reconciles, by controller and result",
            self.reconciles.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_errors",
            "Reconciles that failed, by controller",
            self.reconcile_errors.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_time_seconds",
            "How long reconciles took, calls to stations included, by controller",
            self.reconcile_time.clone(),
        );
        registry.register(
            "controller_runtime_active_workers",
            "Reconciles that run now, by controller",
            self.active.clone(),
        );
        registry.register(
            "leader_election_master_status",
            "1 while this process leads, or runs without an election",
            self.leader.clone(),
        );
        registry.register(
            "stationkeeper_status_writes",
            "Writes of status, by kind of object; a fleet at rest causes none",
            self.status_writes.clone(),
        );
        registry.register(
            "stationkeeper_clock_jumps",
            "Jumps of the host's clock, from which stations take their time",
            self.clock_jumps.clone(),
        );
        registry.register(
            "stationkeeper_key_transitions",
            "Managed keys that came into a state",
            self.transitions.clone(),
        );
        registry.register(
            "stationkeeper_boots_proven",
            "Boots of stations that were proven, by whether one was waited for: a wait that ended is a reset done",
            self.boots.clone(),
        );
        registry.register(
            "stationkeeper_calls",
            "Calls of reconciles to stations, by action and result",
            self.calls.clone(),
        );
        registry.register(
            "stationkeeper_call_duration_seconds",
            "How long stations took to answer, by action; calls without an answer are not in it",
            self.call_time.clone(),
        );
        let build = Family::<BuildLabels, Gauge>::default();
        registry.register(
            "stationkeeper_build_info",
            "Always 1; the version is a label",
            build.clone(),
        );
        let version = env!("CARGO_PKG_VERSION");
        build.get_or_create(&BuildLabels { version }).set(1);
    }

    /// Makes every series that there can be.
    fn start_from_nothing(&self) {
        self.leads(false);
        for controller in Controller::ALL.map(Controller::label) {
            for result in Reconciled::ALL.map(Reconciled::label) {
                let labels = ReconcileLabels { controller, result };
                drop(self.reconciles.get_or_create(&labels));
            }
            let labels = ControllerLabels { controller };
            drop(self.reconcile_errors.get_or_create(&labels));
            drop(self.reconcile_time.get_or_create(&labels));
            drop(self.active.get_or_create(&labels));
        }
        for kind in ["ChargeStation", "ChargeStationConfig"] {
            drop(self.status_writes.get_or_create(&KindLabels { kind }));
        }
        for state in State::ALL {
            drop(self.transitions.get_or_create(&state_labels(state)));
        }
        for reset_pending in ["true", "false"] {
            drop(self.boots.get_or_create(&BootLabels { reset_pending }));
        }
        for (action, result) in call_labels() {
            drop(self.calls.get_or_create(&CallLabels { action, result }));
        }
        for action in ACTIONS {
            drop(self.call_time.get_or_create(&ActionLabels { action }));
        }
    }

    /// A reconcile begins.
    pub fn reconcile(&self, controller: Controller) -> Running<'_> {
        let labels = ControllerLabels {
            controller: controller.label(),
        };
        self.active.get_or_create(&labels).inc();
        Running {
            metrics: self,
            controller,
            started: Instant::now(),
        }
    }

    /// Counts a status write.
    pub fn status_write(&self, kind: &'static str) {
        self.status_writes.get_or_create(&KindLabels { kind }).inc();
    }

    /// Counts a key that came into a state.
    pub fn transition(&self, to: State) {
        self.transitions.get_or_create(&state_labels(to)).inc();
    }

    /// Counts a boot that was proven.
    pub fn booted(&self, reset_was_pending: bool) {
        let reset_pending = if reset_was_pending { "true" } else { "false" };
        self.boots
            .get_or_create(&BootLabels { reset_pending })
            .inc();
    }

    /// What a wire tells of each call.
    pub fn meter(self: &Arc<Self>) -> Arc<Meter> {
        let metrics = Arc::clone(self);
        Arc::new(move |action, result, took| metrics.called(action, result, took))
    }

    /// Counts a call to a station.
    pub fn called(&self, action: &'static str, result: &CallResult, took: Duration) {
        let action = call_action(action);
        let labels = CallLabels {
            action,
            result: call_result(result),
        };
        self.calls.get_or_create(&labels).inc();
        if matches!(
            result,
            CallResult::Answer(_) | CallResult::CallError { .. } | CallResult::Garbled(_)
        ) {
            self.call_time
                .get_or_create(&ActionLabels { action })
                .observe(took.as_secs_f64());
        }
    }

    /// Sets what can be counted over the fleet now.
    pub fn fleet(&self, counts: &FleetCounts) {
        self.fleet.set(counts);
    }

    /// Counts a jump of the host's clock.
    pub fn clock_jumped(&self) {
        self.clock_jumps.inc();
    }

    /// Tells whether this process leads.
    pub fn leads(&self, leads: bool) {
        self.leader.get_or_create(&LEASE).set(i64::from(leads));
    }
}

fn state_labels(state: State) -> StateLabels {
    StateLabels {
        state: format!("{state:?}"),
    }
}

/// Every pair of names that a call to a station is counted by, but for actions that we do not send yet.
pub(crate) fn call_labels() -> impl Iterator<Item = (&'static str, &'static str)> {
    ACTIONS
        .into_iter()
        .flat_map(|action| CALL_RESULTS.map(|result| (action, result)))
}

/// The action, if it is one of ours.
pub(crate) fn call_action(action: &'static str) -> &'static str {
    if ACTIONS.contains(&action) {
        action
    } else {
        OTHER
    }
}

/// The name of what became of a call.
pub(crate) fn call_result(result: &CallResult) -> &'static str {
    match result {
        CallResult::Answer(_) => "answered",
        CallResult::CallError { .. } => "error",
        CallResult::TimedOut => "timed_out",
        CallResult::Disconnected => "disconnected",
        CallResult::Garbled(_) => "garbled",
        CallResult::Offline => "offline",
        CallResult::NotDelivered(_) => "not_delivered",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_that_a_connector_could_make_falls_into_a_known_series() {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let results = [
            CallResult::TimedOut,
            CallResult::Offline,
            CallResult::Disconnected,
            CallResult::Garbled("x".to_owned()),
            CallResult::NotDelivered("x".to_owned()),
            CallResult::CallError {
                code: "of the station's own".to_owned(),
                description: "whatever it likes".to_owned(),
            },
        ];
        for action in ["GetConfiguration", "ClearCache", "UpdateFirmware"] {
            for result in &results {
                metrics.called(action, result, Duration::from_millis(20));
            }
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let calls: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("stationkeeper_calls_total{"))
            .collect();
        assert_eq!(
            calls.len(),
            ACTIONS.len() * CALL_RESULTS.len() + results.len(),
            "{calls:#?}"
        );
        assert!(
            calls.contains(&r#"stationkeeper_calls_total{action="other",result="error"} 2"#),
            "{calls:#?}"
        );
        assert!(!text.contains("UpdateFirmware") && !text.contains("whatever"));
    }

    #[test]
    fn a_reconcile_that_is_dropped_is_not_active_and_not_counted() {
        let metrics = Metrics::new(&mut Registry::default());
        let labels = ControllerLabels {
            controller: "chargestation",
        };
        let running = metrics.reconcile(Controller::Station);
        assert_eq!(metrics.active.get_or_create(&labels).get(), 1);
        drop(running);
        assert_eq!(metrics.active.get_or_create(&labels).get(), 0);
        let ended = |result| {
            let controller = "chargestation";
            let labels = ReconcileLabels { controller, result };
            metrics.reconciles.get_or_create(&labels).get()
        };
        assert_eq!(ended("success"), 0);
        metrics
            .reconcile(Controller::Station)
            .ended(Reconciled::Again);
        assert_eq!((ended("requeue"), ended("error")), (1, 0));
    }
}
