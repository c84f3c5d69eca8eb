//! Reconcile one station: gather, resolve, validate, observe, plan, execute, tell (section 4 of the design).
//!
//! kube never runs two reconciles of one object at once, so a station has one writer. Each step either needs the network
//! (said at the step) or is a pure function of `core`.

mod facts;
mod guard;
mod reading;
mod refusal;
mod telling;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use stationkeeper_core::event::{self, Meaning};
use stationkeeper_core::observed::Observed;
use stationkeeper_core::outcome;
use stationkeeper_core::plan::{self};
use stationkeeper_core::recall;
use stationkeeper_core::resolve::resolve;
use stationkeeper_core::station::{Brake, Link};
use stationkeeper_core::status::station_status;
use stationkeeper_core::validate::validate;
use stationkeeper_core::words::{ConfigRef, Device};

pub(super) use self::facts::recorded_facts;
use self::facts::{facts, policy};
use self::guard::{as_planned, still_allowed};
use self::reading::{ask_for_activity, read, request, request_pending, resync_due};
use self::refusal::{refusal, refuse};
use self::telling::{tell, told_of};
use self::waiting::{disconnect_grace, next};
use super::context::{Context, Moment};
use super::gather::gather;
use super::live::{Cell, Live, Told};
use super::publish::{Report, compose, newest, publish};
use super::removal;
use crate::clock;
use crate::connector::Identity;
use crate::execute::{Act, Stop, Target, execute};
use crate::metrics::{Controller, Reconciled};
use crate::objects::ChargeStation;
use crate::source::PublishError;

/// The annotation by which Flux, Argo CD and people ask for a reconcile now.
pub(super) const REQUESTED_AT: &str = "reconcile.fluxcd.io/requestedAt";

/// The annotation by which a person lets the operator try again what it gave up.
pub(super) const RESUME: &str = "stationkeeper.dev/resume";

/// How many passes follow one another when each closing read shows that there is more to do.
const PASSES_IN_A_ROW: u32 = 4;

/// How often a plan may ask for further reads before it is taken as it is: companions of lists are asked once known.
const READS_PER_PASS: u32 = 3;

/// Why a reconcile could not be finished. It is tried again with a growing pause.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Status could not be written; without it nothing may be sent.
    #[error("failed to publish the status of station {station:?}")]
    Publish {
        /// Which station.
        station: String,
        /// Why.
        #[source]
        source: PublishError,
    },
}

/// Brings one station closer to what Git declares, and tells the truth about it.
pub async fn reconcile(
    station: Arc<ChargeStation>,
    context: Arc<Context>,
) -> Result<Action, ReconcileError> {
    if !context.configs.is_synced() || !context.catalogues.is_synced() {
        // Everybody is looked at once they are.
        return Ok(Action::await_change());
    }
    let running = context.metrics.reconcile(Controller::Station);
    let target = ObjectRef::from_obj(station.as_ref());
    let cell = context.lives.cell(&target);
    let mut live = cell.live.lock().await;
    let station = newest(station, live.published.as_ref());
    let identity = Identity::new(&station.spec.identity);
    load(&context, &station, &identity, &mut live);

    let result = match refusal(&context, &station) {
        Some((reason, message)) => {
            refuse(
                &context, &station, &identity, &cell, &mut live, reason, message,
            )
            .await
        }
        None => pass(&context, &station, &identity, &cell, &mut live).await,
    };
    running.ended(match &result {
        Ok(_) => Reconciled::Fine,
        Err(PublishError::Conflict | PublishError::Gone) => Reconciled::Again,
        Err(PublishError::Unavailable { .. }) => Reconciled::Failed,
    });
    match result {
        Ok(action) => {
            live.failures = 0;
            Ok(action)
        }
        // The watch brings the newer object, and with it the next reconcile; this one only has to come back.
        Err(PublishError::Conflict) => {
            live.failures = live.failures.saturating_add(1);
            Ok(Action::requeue(
                Duration::from_millis(200) * 2_u32.pow(live.failures.min(7)),
            ))
        }
        Err(PublishError::Gone) => Ok(Action::await_change()),
        Err(source) => {
            live.failures = live.failures.saturating_add(1);
            Err(ReconcileError::Publish {
                station: target.to_string(),
                source,
            })
        }
    }
}

/// One pass over one station.
async fn pass(
    context: &Context,
    station: &Arc<ChargeStation>,
    identity: &Identity,
    cell: &Cell,
    live: &mut Live,
) -> Result<Action, PublishError> {
    let now = clock::now();

    // What happened since the last pass, and what is known without asking.
    let meaning = take_events(context, identity, live, now);
    let presence = context.connector.presence(identity);
    let mut facts = facts(context, station, live, presence.as_ref());
    let mut policy = policy(context, station, live);
    let session = presence.as_ref().and_then(|presence| presence.session);
    let asked = cell.take_reread();
    let reread = asked | request_pending(station, live) | meaning.boot_proven | meaning.new_device;
    // What may not be read again is kept: a brake or a suspension makes nothing unknown.
    let may_ask = facts.link == Link::Ready
        && policy.suspended.is_none()
        && policy.brake != Brake::NoCalls
        && context.leadership.holds();
    if may_ask
        && (reread || live.observed_session != session || resync_due(context, station, live, now))
    {
        live.observed = Observed::default();
    }
    if asked && !may_ask {
        cell.ask_reread();
    }

    // What should be: layers, resolved, validated. (Secrets that were never read need the network.)
    let layers = gather(&context.configs, &context.secrets, station, &facts).await;
    let applied: Arc<[(ConfigRef, i64)]> = layers
        .iter()
        .map(|layer| (layer.config.clone(), layer.generation))
        .collect();
    let known = context.catalogues.version(&facts.namespace);
    let catalogue =
        context
            .catalogues
            .for_station(&facts.namespace, &facts.device, facts.firmware.as_deref());
    let resolved = resolve(&layers, &catalogue);
    let mut desired = validate(&resolved, &catalogue, &facts, &live.observed);
    live.memory = removal::mark(
        std::mem::take(&mut live.memory),
        &desired,
        &context.configs,
        &facts,
        now,
    );

    // What is: read what the plan needs, until it needs nothing more. (Network: the station.)
    let mut planned = plan::plan(&desired, &live.observed, &live.memory, &facts, &policy, now);
    for _ in 0..READS_PER_PASS {
        if planned.read.is_empty() || facts.link != Link::Ready || !context.leadership.holds() {
            break;
        }
        let finished = read(context, station, &desired, &planned, live, session).await;
        facts = facts::facts(
            context,
            station,
            live,
            context.connector.presence(identity).as_ref(),
        );
        desired = validate(&resolved, &catalogue, &facts, &live.observed);
        planned = plan::plan(
            &desired,
            &live.observed,
            &live.memory,
            &facts,
            &policy,
            clock::now(),
        );
        if !finished {
            break;
        }
    }

    ask_for_activity(context, station, live, &planned, &facts, session).await;

    // What is to be done: recorded before the first frame leaves. (Network: the publisher, then the station.)
    let mut again = None;
    if !planned.changes.is_empty() && !context.leadership.may_write() {
        again = Some(
            context
                .leadership
                .write_pause()
                .max(Duration::from_millis(100)),
        );
        planned.changes.clear();
    }
    let permits = context
        .configs
        .permits(planned.changes.iter().map(|change| &change.config));
    if permits.is_none() {
        // As many stations as `rollout.maxConcurrent` allows are being written: nobody waits here, events go on.
        planned.changes.clear();
        again = Some(Duration::from_secs(1).mul_f64(rand::random_range(0.5..1.5)));
    }
    let mut current = Arc::clone(station);
    if !planned.changes.is_empty() {
        let before = planned.memory.clone();
        let intended = outcome::intend(before.clone(), &planned.changes, clock::now());
        let report = Report {
            status: station_status(&planned, &facts, true),
            resolved_hash: Some(desired.hash.clone()),
            pending_reset: planned.pending_reset.as_ref(),
            presence: presence.as_ref(),
        };
        let status = compose(&current, live, &intended, &report, clock::now());
        current = publish(context, &current, live, status).await?;
        live.memory = intended.clone();
        let before_writing = Told {
            progressing: true,
            ..told_of(&planned, &applied, &facts, &current, true)
        };
        tell(
            context,
            &current,
            cell,
            before_writing,
            Moment::BeforeWriting,
        )
        .await;

        let guard = |act| {
            still_allowed(context, station, act)?;
            if act == Act::Write && context.catalogues.version(&facts.namespace) != known {
                return Err(Stop(
                    "a KeyCatalogue has changed since the plan was made".to_owned(),
                ));
            }
            as_planned(context, identity, session, act, &planned, &catalogue)
        };
        let namespace = station.namespace().unwrap_or_default();
        let name = station.name_any();
        let written = Target {
            namespace: &namespace,
            station: &name,
            identity,
        };
        let executed = execute(
            &context.wire,
            written,
            &planned.changes,
            context.secrets.as_ref(),
            &guard,
            &mut |_| {},
        )
        .await;
        drop(permits);
        let mut memory = outcome::withdraw(intended, &before, &executed.unsent);
        for outcome in &executed.outcomes {
            memory = outcome::record(memory, outcome);
        }
        live.memory = memory;

        // A closing read of all managed keys: keys move other keys. (Network: the station.)
        let late = take_events(context, identity, live, clock::now());
        let presence = context.connector.presence(identity);
        facts = facts::facts(context, station, live, presence.as_ref());
        policy = facts::policy(context, station, live);
        if facts.link == Link::Ready && !late.new_device {
            live.observed = Observed::default();
            let closing = plan::plan(
                &desired,
                &live.observed,
                &live.memory,
                &facts,
                &policy,
                clock::now(),
            );
            let session = presence.as_ref().and_then(|presence| presence.session);
            read(context, station, &desired, &closing, live, session).await;
        }
        desired = validate(&resolved, &catalogue, &facts, &live.observed);
        planned = plan::plan(
            &desired,
            &live.observed,
            &live.memory,
            &facts,
            &policy,
            clock::now(),
        );
        if planned.changes.is_empty() && planned.read.is_empty() {
            live.passes_in_a_row = 0;
        } else {
            live.passes_in_a_row += 1;
            let eager = live.passes_in_a_row < PASSES_IN_A_ROW;
            again = Some(if eager {
                Duration::from_millis(50)
            } else {
                Duration::from_secs(60)
            });
        }
    } else {
        live.passes_in_a_row = 0;
    }

    // What is told.
    let now = clock::now();
    live.memory = planned.memory.clone();
    if !may_ask && live.observed.readings.is_empty() {
        // This process has never read it, and may not now: what was last told still holds.
        let former = station
            .status
            .as_ref()
            .map(|status| status.deviations.as_slice())
            .unwrap_or_default();
        planned.keys = recall::remembered(&desired, &live.memory, former, planned.keys);
    }
    if reread && may_ask && planned.read.is_empty() {
        live.handled_request = request(station);
    }
    let presence = context.connector.presence(identity);
    let connected = presence
        .as_ref()
        .is_some_and(|presence| presence.session.is_some());
    let grace = disconnect_grace(context, live, connected, now);
    let mut shown = facts.clone();
    if grace.is_some() {
        shown.link = Link::Ready;
    }
    let report = Report {
        status: station_status(&planned, &shown, again.is_some()),
        resolved_hash: Some(desired.hash.clone()),
        pending_reset: planned.pending_reset.as_ref(),
        presence: presence.as_ref(),
    };
    let status = compose(&current, live, &live.memory, &report, now);
    let current = publish(context, &current, live, status).await?;
    let told = Told {
        progressing: again.is_some(),
        in_grace: grace.is_some(),
        ..told_of(&planned, &applied, &facts, &current, connected)
    };
    tell(context, &current, cell, told, Moment::AfterPass).await;

    Ok(next(context, station, live, &planned, again, grace, now))
}

/// Takes memory over from status, once per process and object.
fn load(context: &Context, station: &ChargeStation, identity: &Identity, live: &mut Live) {
    let uid = station.uid().unwrap_or_default();
    if live.uid == uid {
        return;
    }
    if !live.uid.is_empty() {
        // Whoever made the object anew, perhaps to change the password, wants nothing of the former one.
        context.connector.forget(identity);
    }
    let former = station.status.clone().unwrap_or_default();
    // A recreated object (another uid) starts from nothing: a full read comes before any write.
    *live = Live {
        uid,
        memory: former.memory.unwrap_or_default(),
        last_boot: former.last_boot.map(|time| time.0),
        handled_request: former.last_handled_reconcile_at,
        ..Live::default()
    };
    let presence = context.connector.presence(identity);
    let was_connected =
        |condition: &Condition| condition.type_ == "Connected" && condition.status == "True";
    if presence
        .as_ref()
        .is_none_or(|presence| presence.session.is_none())
        && former.conditions.iter().any(was_connected)
    {
        // It was connected to our predecessor: its way to us is a disconnect like any other.
        live.disconnected_at = Some(clock::now());
    }
    if live.memory.device == Device::default()
        && let Some(presence) = presence
    {
        // The object is new and the station is not: it will not say again what it is.
        live.memory.device = presence.device.unwrap_or_default();
        live.memory.firmware = presence.firmware;
    }
    if live.memory.format_version == 0 {
        live.memory.format_version = stationkeeper_core::memory::FORMAT_VERSION;
    }
    let registration = former.registration.as_deref();
    if registration.is_some() {
        context.connector.remember(
            identity,
            &live.memory.device,
            live.memory.firmware.as_deref(),
            registration,
        );
    }
}

/// Folds what happened into memory, in order.
fn take_events(context: &Context, identity: &Identity, live: &mut Live, now: Timestamp) -> Meaning {
    let mut meaning = Meaning::default();
    for happened in context.connector.take_events(identity) {
        let waited = live.memory.keys.values().any(|key| key.owed.is_some());
        let (memory, meant) = event::observe(
            std::mem::take(&mut live.memory),
            &mut live.connection,
            &happened.event,
        );
        live.memory = memory;
        match happened.event {
            event::Event::Connected { .. } => live.disconnected_at = None,
            event::Event::Disconnected { .. } => live.disconnected_at = Some(now),
            event::Event::Boot { .. } => {}
        }
        if meant.boot_proven {
            context.metrics.booted(waited);
            live.last_boot = Timestamp::from_second(now.as_second()).ok();
        }
        if meant.new_device {
            live.observed = Observed::default();
            live.observed_session = None;
        }
        meaning.boot_proven |= meant.boot_proven;
        meaning.new_device |= meant.new_device;
        meaning.firmware_changed |= meant.firmware_changed;
        meaning.findings.extend(meant.findings);
    }
    meaning
}
