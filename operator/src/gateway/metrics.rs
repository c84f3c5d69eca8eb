//! What the gateway counts. Labels come from fixed names only.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use stationkeeper_ocpp::station_call::Action;

use super::session::Ending;
use crate::connector::CallResult;
use crate::metrics::{call_action, call_labels, call_result};

/// What comes of handshakes.
const HANDSHAKES: [&str; 13] = [
    "accepted",
    "bad_request",
    "not_websocket",
    "not_ready",
    "unknown",
    "refused",
    "unauthorized",
    "too_often",
    "too_many",
    "no_subprotocol",
    "tls",
    "timed_out",
    "gone",
];

/// What the gateway counts.
#[derive(Clone)]
pub(super) struct Metrics {
    pub(super) connections: Gauge,
    pub(super) handshakes: Family<HandshakeLabels, Counter>,
    pub(super) ended: Family<EndLabels, Counter>,
    pub(super) replies_late: Counter,
    pub(super) replies_foreign: Counter,
    pub(super) frames_bad: Counter,
    pub(super) frames_binary: Counter,
    pub(super) unanswered: Counter,
    pub(super) throttled: Counter,
    pub(super) certificate_not_after: Gauge,
    calls: Family<CallLabels, Counter>,
    station_calls: Box<[[Counter; 2]]>,
    unknown_calls: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct HandshakeLabels {
    pub(super) result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct EndLabels {
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    action: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StationCallLabels {
    action: ActionLabel,
    result: &'static str,
}

/// An action that we know, or `other`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ActionLabel(Option<Action>);

impl EncodeLabelValue for ActionLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> std::fmt::Result {
        self.0.map_or("other", Action::as_str).encode(encoder)
    }
}

impl Metrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let station_calls = Family::<StationCallLabels, Counter>::default();
        let counter = |action, result| {
            station_calls
                .get_or_create(&StationCallLabels {
                    action: ActionLabel(action),
                    result,
                })
                .clone()
        };
        let metrics = Self {
            connections: Gauge::default(),
            handshakes: Family::default(),
            ended: Family::default(),
            replies_late: Counter::default(),
            replies_foreign: Counter::default(),
            frames_bad: Counter::default(),
            frames_binary: Counter::default(),
            unanswered: Counter::default(),
            throttled: Counter::default(),
            certificate_not_after: Gauge::default(),
            calls: Family::default(),
            station_calls: Action::ALL
                .iter()
                .map(|action| {
                    [
                        counter(Some(*action), "answered"),
                        counter(Some(*action), "refused"),
                    ]
                })
                .collect(),
            unknown_calls: counter(None, "refused"),
        };
        let mut gateway = registry.sub_registry_with_prefix("stationkeeper_gateway");
        let registry = &mut gateway;
        registry.register(
            "connections",
            "Stations that are connected",
            metrics.connections.clone(),
        );
        registry.register(
            "handshakes",
            "Handshakes by what came of them",
            metrics.handshakes.clone(),
        );
        registry.register(
            "connections_ended",
            "Connections that ended, by why",
            metrics.ended.clone(),
        );
        registry.register(
            "calls",
            "Calls to stations, by action and result",
            metrics.calls.clone(),
        );
        registry.register(
            "station_calls",
            "Calls of stations, by action and result",
            station_calls,
        );
        registry.register(
            "replies_late",
            "Answers that came after their call was given up",
            metrics.replies_late.clone(),
        );
        registry.register(
            "replies_foreign",
            "Answers to no call of ours",
            metrics.replies_foreign.clone(),
        );
        registry.register(
            "frames_bad",
            "Messages that are no OCPP-J frames",
            metrics.frames_bad.clone(),
        );
        registry.register(
            "frames_binary",
            "Binary messages that were not text either",
            metrics.frames_binary.clone(),
        );
        registry.register(
            "transaction_messages_unanswered",
            "Messages about transactions that were left to the station, since they could not be stored",
            metrics.unanswered.clone(),
        );
        registry.register(
            "throttled",
            "Times that a station was read late, because it sent too much",
            metrics.throttled.clone(),
        );
        registry.register(
            "certificate_not_after_timestamp_seconds",
            "When the certificate that stations are shown ends; 0 without TLS",
            metrics.certificate_not_after.clone(),
        );
        metrics.start_from_nothing();
        metrics
    }

    /// Makes every series that there can be, so that a first refusal is a rise.
    fn start_from_nothing(&self) {
        for result in HANDSHAKES {
            drop(self.handshakes.get_or_create(&HandshakeLabels { result }));
        }
        for ending in Ending::ALL {
            let reason = ending.label();
            drop(self.ended.get_or_create(&EndLabels { reason }));
        }
        for (action, result) in call_labels() {
            drop(self.calls.get_or_create(&CallLabels { action, result }));
        }
    }

    pub(super) fn called(&self, action: &'static str, result: &CallResult) {
        let (action, result) = (call_action(action), call_result(result));
        self.calls
            .get_or_create(&CallLabels { action, result })
            .inc();
    }

    pub(super) fn station_called(&self, action: Option<Action>, refused: bool) {
        match action.and_then(|action| Action::ALL.iter().position(|one| *one == action)) {
            Some(at) => self.station_calls[at][usize::from(refused)].inc(),
            None => self.unknown_calls.inc(),
        };
    }

    pub(super) fn handshake(&self, result: &'static str) {
        debug_assert!(
            HANDSHAKES.contains(&result),
            "{result} is not told beforehand"
        );
        self.handshakes
            .get_or_create(&HandshakeLabels { result })
            .inc();
    }

    pub(super) fn ended(&self, reason: &'static str) {
        self.ended.get_or_create(&EndLabels { reason }).inc();
    }
}
