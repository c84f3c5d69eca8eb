//! Telling: what there is to say after a plan, to summaries, listeners and Events. Events are for transitions only.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use stationkeeper_core::plan::KeyVerdict;
use stationkeeper_core::state::State;
use stationkeeper_core::station::StationFacts;
use stationkeeper_core::status::{self, Deviation, MAX_DEVIATIONS, Transition};
use stationkeeper_core::validate::Desired;
use stationkeeper_core::words::ConfigRef;

use super::Site;
use crate::controller::context::{Context, Moment};
use crate::controller::gather::ConfigGeneration;
use crate::controller::live::Told;
use crate::objects::ChargeStation;
use crate::source::{About, TellEvent};

/// What status named when the pass began.
pub(super) fn deviations(station: &ChargeStation) -> &[Deviation] {
    let status = station.status.as_ref();
    status
        .map(|status| status.deviations.as_slice())
        .unwrap_or_default()
}

/// What there is to tell after a plan.
pub(super) fn told_of(
    verdicts: Vec<KeyVerdict>,
    desired: &Desired,
    layers: &Arc<[ConfigGeneration]>,
    facts: &StationFacts,
    station: &ChargeStation,
    connected: bool,
) -> Told {
    let fought_over = desired.settings.values().flat_map(|setting| {
        let rivals = setting.rivals().iter();
        rivals.map(|rival| (setting.key().clone(), rival.clone()))
    });
    Told {
        verdicts: verdicts.into(),
        rivals: fought_over.collect(),
        layers: Arc::clone(layers),
        facts: Some(Arc::new(facts.clone())),
        connected,
        seen: station
            .status
            .as_ref()
            .is_some_and(|status| status.hardware.is_some()),
        stalled: None,
        stale: !connected,
        progressing: false,
        in_grace: false,
    }
}

/// Tells everybody who listens: summaries, the sink, Events (on transitions only).
pub(super) async fn tell(site: &Site<'_>, station: &ChargeStation, told: Told, moment: Moment) {
    let Site { context, cell, .. } = site;
    let former = cell.told();
    let before: &[KeyVerdict] = former
        .as_ref()
        .map(|former| former.verdicts.as_ref())
        .unwrap_or_default();
    for change in status::transitions(before, &told.verdicts) {
        let from = match &former {
            Some(_) => {
                context.metrics.transition(change.to);
                change.from
            }
            // The first look of this process: what status named already was told by whoever named it.
            None => named_before(site.station, &change),
        };
        if !is_news(from, change.to) || (former.is_none() && from == Some(change.to)) {
            continue;
        }
        let event = TellEvent {
            warning: change.to.is_trouble(),
            reason: format!("{:?}", change.to),
            action: "Reconcile".to_owned(),
            note: status::named(&change.key, &change.message).into_owned(),
        };
        context
            .publisher
            .event(About::Station(station), event)
            .await;
    }
    if let Some(sink) = &context.sink {
        sink.told(station, before, &told, moment);
    }
    let layers = told
        .layers
        .iter()
        .chain(former.iter().flat_map(|former| former.layers.iter()));
    let configs: BTreeSet<ConfigRef> = layers.map(|layer| layer.config.clone()).collect();
    let first = former.is_none();
    cell.tell(told);
    if first {
        // Who waited for this station to be looked at may be any config of its namespace.
        touch_all(context, station);
    }
    touch(context, configs);
}

/// The state that status named a key in when the pass began. Of more keys than status names, any may have been told.
fn named_before(station: &ChargeStation, change: &Transition) -> Option<State> {
    let named = deviations(station);
    let former = named.iter().find(|deviation| deviation.key == change.key);
    match former {
        Some(former) => Some(former.state),
        None if named.len() >= MAX_DEVIATIONS => Some(change.to),
        None => None,
    }
}

/// Is a transition worth an Event? What goes well at the first look at a station is not, nor is every step of a write.
fn is_news(from: Option<State>, to: State) -> bool {
    let quiet = |state| {
        matches!(
            state,
            State::InSync | State::Pending | State::Unknown | State::NotApplicable
        )
    };
    !(from.is_none_or(quiet) && quiet(to))
}

fn touch(context: &Context, configs: impl IntoIterator<Item = ConfigRef>) {
    for config in configs {
        // A closed channel means that the process is ending.
        let _ = context
            .touched
            .send(ObjectRef::new(&config.name).within(&config.namespace));
    }
}

pub(super) fn touch_all(context: &Context, station: &ChargeStation) {
    let namespace = station.namespace().unwrap_or_default();
    let configs = context
        .stores
        .configs
        .state_filter(|config| config.namespace().as_deref() == Some(namespace.as_str()));
    touch(
        context,
        configs
            .iter()
            .map(|config| ConfigRef::new(namespace.as_str(), config.name_any())),
    );
}
