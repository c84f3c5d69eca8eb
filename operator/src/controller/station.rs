//! Reconcile one station: gather, resolve, validate, observe, plan, execute, tell (section 4 of the design).
//!
//! kube never runs two reconciles of one object at once, so a station has one writer. Each step either needs the network
//! (said at the step) or is a pure function of `core`.

mod announcing;
mod concluding;
mod deciding;
mod due;
mod facts;
mod guard;
mod reading;
mod refusal;
mod telling;
mod waiting;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use stationkeeper_core::words::Device;

use self::concluding::conclude;
use self::deciding::{decide, declare};
use self::facts::know;
pub(super) use self::facts::recorded_facts;
use self::reading::{ask_for_activity, read_what_is_needed};
use self::refusal::{refusal, refuse};
use self::waiting::next;
use self::writing::write;
use super::context::Context;
use super::live::{Cell, Live};
use super::publish::newest;
use crate::clock;
use crate::connector::Identity;
use crate::metrics::{Controller, Reconciled};
use crate::objects::ChargeStation;
use crate::source::PublishError;

/// The annotation by which Flux, Argo CD and people ask for a reconcile now.
pub(super) const REQUESTED_AT: &str = "reconcile.fluxcd.io/requestedAt";

/// The annotation by which a person lets the operator try again what it gave up.
pub(super) const RESUME: &str = "stationkeeper.dev/resume";

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
    load(&context, &station, &identity, &cell, &mut live);

    let site = Site {
        context: &context,
        station: &station,
        target: &target,
        identity: &identity,
        cell: &cell,
    };
    let result = match refusal(&context, &station) {
        Some((reason, message)) => refuse(&site, &mut live, reason, message).await,
        None => pass(&site, &mut live).await,
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

/// What a reconcile is about.
#[derive(Clone, Copy)]
struct Site<'a> {
    context: &'a Context,
    station: &'a Arc<ChargeStation>,
    /// Its name in the stores.
    target: &'a ObjectRef<ChargeStation>,
    identity: &'a Identity,
    cell: &'a Cell,
}

/// One pass over one station.
async fn pass(site: &Site<'_>, live: &mut Live) -> Result<Action, PublishError> {
    // What happened since the last pass, and what is known without asking.
    let mut known = know(site, live, clock::now());
    if let Some(wait) = known.introduction {
        return Ok(Action::requeue(wait));
    }

    // What should be: layers, resolved, validated. (Secrets that were never read need the network.)
    let declared = declare(site, &known).await;
    let mut decided = decide(site, &declared, &known, live, clock::now());

    // What is: read what the plan needs, until it needs nothing more. (Network: the station.)
    read_what_is_needed(site, &declared, &mut known, &mut decided, live).await;
    let station = newest(Arc::clone(site.station), live.published.as_ref());
    let site = &Site {
        station: &station,
        ..*site
    };
    ask_for_activity(site, live, &decided.planned, &known).await;

    // What is to be done: recorded before the first frame leaves. (Network: the publisher, then the station.)
    let written = write(site, &declared, &mut known, &mut decided, live).await?;

    // What is told. (Network: the publisher.)
    let told = conclude(site, &declared, &known, &mut decided, &written, live).await?;
    Ok(next(site, live, &decided.planned, &written, &told))
}

/// Takes memory over from status, once per process and object.
fn load(
    context: &Context,
    station: &ChargeStation,
    identity: &Identity,
    cell: &Cell,
    live: &mut Live,
) {
    let uid = station.uid().unwrap_or_default();
    if live.uid == uid {
        return;
    }
    if !live.uid.is_empty() {
        // Whoever made the object anew, perhaps to change the password, wants nothing of the former one.
        context.connector.forget(identity);
        cell.untell();
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
        live.memory.device = presence.device.as_deref().cloned().unwrap_or_default();
        live.memory.firmware = presence.firmware.as_deref().map(str::to_owned);
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
