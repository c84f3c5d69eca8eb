//! What the product tells besides status: the admin port, the document, the verdicts of each pass.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use kube::runtime::reflector::ObjectRef;
use prometheus_client::registry::Registry;
use stationkeeper_core::plan::KeyVerdict;

use super::{Parts, SourceKind};
use crate::admin::Admin;
use crate::controller::{Context, Moment, Told, VerdictSink};
use crate::document::{ConfigDocument, Document, StationDocument};
use crate::folder::StateDir;
use crate::metrics::{FleetCounts, Metrics};
use crate::objects::ChargeStation;

pub(super) fn admin_of(
    registry: Registry,
    status_anywhere: bool,
    led: &Arc<OnceLock<Arc<Context>>>,
    synced: &Arc<AtomicBool>,
    metrics: &Arc<Metrics>,
) -> Admin {
    let (document_of, gauges_of) = (Arc::clone(led), Arc::clone(led));
    let stores_of = Arc::clone(led);
    let (synced, metrics) = (Arc::clone(synced), Arc::clone(metrics));
    Admin {
        registry: Mutex::new(registry),
        not_ready: Box::new(move || {
            (!synced.load(Ordering::Acquire))
                .then(|| not_listed(stores_of.get().map(AsRef::as_ref)))
        }),
        document: Box::new(move || {
            serde_json::to_string(&document(document_of.get().map(AsRef::as_ref)))
        }),
        refresh: Box::new(move || {
            if let Some(context) = gauges_of.get() {
                metrics.fleet(&FleetCounts::of(context));
            }
        }),
        status_anywhere,
    }
}

/// The document of section 11 of the design; empty until this process leads.
pub(super) fn document(context: Option<&Context>) -> Document {
    let Some(context) = context else {
        return Document::new(Vec::new(), Vec::new());
    };
    let objects = context.stores.stations.state();
    let stations = objects.iter().map(|station| {
        let told = context
            .lives
            .peek(&ObjectRef::from_obj(station.as_ref()))
            .and_then(|cell| cell.told())
            .unwrap_or_default();
        StationDocument::new(station, &told.verdicts, told.connected, told.stale)
    });
    let configs = context.stores.configs.state();
    Document::new(
        stations.collect(),
        configs
            .iter()
            .map(|config| ConfigDocument::new(config))
            .collect(),
    )
}

/// The state directory keeps every station's verdicts for `status`; whoever started the product may want them too.
pub(super) fn sinks(parts: &Parts) -> Option<Arc<dyn VerdictSink>> {
    let state = match &parts.source.kind {
        SourceKind::Folder { state, .. } => Some(Arc::clone(state)),
        SourceKind::Cluster { .. } => None,
    };
    match (state, parts.sink.clone()) {
        (None, sink) => sink,
        (Some(state), sink) => Some(Arc::new(ToStateDir { state, sink })),
    }
}

pub(super) struct ToStateDir {
    state: Arc<StateDir>,
    sink: Option<Arc<dyn VerdictSink>>,
}

impl VerdictSink for ToStateDir {
    fn told(&self, station: &ChargeStation, before: &[KeyVerdict], after: &Told, moment: Moment) {
        // A copy for readers, once a pass: the truth stands in the status files, whose failure stops writes to stations.
        if moment == Moment::AfterPass {
            let document =
                StationDocument::new(station, &after.verdicts, after.connected, after.stale);
            if let Err(error) = self.state.write_verdicts(&document) {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "failed to write the verdicts of a station"
                );
            }
        }
        if let Some(sink) = &self.sink {
            sink.told(station, before, after, moment);
        }
    }
}

/// Why this process is not ready: what could not be listed yet.
fn not_listed(context: Option<&Context>) -> String {
    let missing = context.map(|context| context.stores.missing());
    match missing {
        Some(kinds) if !kinds.is_empty() => {
            format!(
                "not listed yet: {}; the log says why, if it lasts",
                kinds.join(", ")
            )
        }
        Some(_) | None => "the objects have not been listed yet".to_owned(),
    }
}
