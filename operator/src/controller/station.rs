//! Reconcile one station: gather, resolve, validate, observe, plan, execute, tell (section 4 of the design).
//!
//! kube never runs two reconciles of one object at once, so a station has one writer. Each step either needs the network
//! (said at the step) or is a pure function of `core`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use stationkeeper_core::catalogue::StationCatalogue;
use stationkeeper_core::event::{self, Meaning};
use stationkeeper_core::layer::SettingValue;
use stationkeeper_core::observed::{Observed, Reading};
use stationkeeper_core::outcome;
use stationkeeper_core::plan::{self, Change, KeyVerdict, Plan, Why};
use stationkeeper_core::recall;
use stationkeeper_core::resolve::resolve;
use stationkeeper_core::state::{Reason, State};
use stationkeeper_core::station::{Activity, Brake, Link, Policy, StationFacts, Suspended};
use stationkeeper_core::status::{self, station_status};
use stationkeeper_core::validate::{Desired, validate};
use stationkeeper_core::words::{ConfigRef, Device, Key};

use stationkeeper_ocpp::request::{Trigger, trigger_message};

use super::context::{Context, Moment};
use super::gather::{PAUSED, gather};
use super::live::{Cell, Live, Told};
use super::publish::{Report, compose, newest, publish};
use super::removal;
use crate::clock;
use crate::connector::{Identity, Presence};
use crate::execute::{Act, Request, Stop, Target, execute};
use crate::metrics::{Controller, Reconciled};
use crate::objects::ChargeStation;
use crate::observe::{Ask, MAX_KEYS, Pieces, observe};
use crate::source::{About, PublishError, TellEvent};
use crate::stores::Claim;

/// The annotation by which Flux, Argo CD and people ask for a reconcile now.
pub(super) const REQUESTED_AT: &str = "reconcile.fluxcd.io/requestedAt";

/// The annotation by which a person lets the operator try again what it gave up.
pub(super) const RESUME: &str = "stationkeeper.dev/resume";

/// How many passes follow one another when each closing read shows that there is more to do.
const PASSES_IN_A_ROW: u32 = 4;

/// When to read again a station that could not be read to the end and said nothing that would tell when.
const READ_AGAIN: Duration = Duration::from_secs(30);

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
        facts = self::facts(
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
        facts = self::facts(context, station, live, presence.as_ref());
        policy = self::policy(context, station, live);
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

/// Why a station is not served at all, if it is not.
fn refusal(context: &Context, station: &ChargeStation) -> Option<(&'static str, String)> {
    if let Claim::Several(all) = context.stores.claim(&station.spec.identity) {
        let names: Vec<String> = all
            .iter()
            .map(|other| {
                format!(
                    "{}/{}",
                    other.namespace.as_deref().unwrap_or_default(),
                    other.name
                )
            })
            .collect();
        return Some((
            "DuplicateIdentity",
            format!(
                "several ChargeStations name the identity {:?}: {}; none is served until only one does",
                station.spec.identity,
                names.join(", ")
            ),
        ));
    }
    if station.spec.authentication.is_none() {
        return Some((
            "NoAuthentication",
            "spec.authentication is missing, so the station is refused; name a secretRef, or say none: true".to_owned(),
        ));
    }
    if let Some(mistake) = crate::objects::check::check_station(station).first() {
        return Some(("Invalid", format!("{}: {}", mistake.path, mistake.message)));
    }
    if let Some(memory) = station
        .status
        .as_ref()
        .and_then(|status| status.memory.as_ref())
        && memory.format_version > stationkeeper_core::memory::FORMAT_VERSION
    {
        return Some((
            "NewerMemory",
            format!(
                "status.memory has format {}, and this version knows {}; run the newer version, or remove status.memory",
                memory.format_version,
                stationkeeper_core::memory::FORMAT_VERSION
            ),
        ));
    }
    None
}

async fn refuse(
    context: &Context,
    station: &Arc<ChargeStation>,
    identity: &Identity,
    cell: &Cell,
    live: &mut Live,
    reason: &'static str,
    message: String,
) -> Result<Action, PublishError> {
    context.connector.disconnect(identity);
    let mut status = station.status.clone().unwrap_or_default();
    let told = recall::refused(reason, &message);
    let generation = station.metadata.generation.unwrap_or_default();
    status.conditions =
        super::publish::conditions(&status.conditions, &told, generation, clock::now());
    status.observed_generation = generation;
    let current = publish(context, station, live, status).await?;
    cell.tell(Told {
        stalled: Some(message.clone()),
        seen: current.status.is_some(),
        ..Told::default()
    });
    touch_all(context, &current);
    Ok(Action::await_change())
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

fn facts(
    context: &Context,
    station: &ChargeStation,
    live: &Live,
    presence: Option<&Presence>,
) -> StationFacts {
    let reported = &live.memory.device;
    let over = station.spec.hardware.clone().unwrap_or_default();
    let link = match presence {
        Some(presence) if presence.session.is_some() && presence.registered => Link::Ready,
        Some(presence) if presence.session.is_some() => Link::Unregistered,
        Some(_) | None => Link::Offline,
    };
    let identity = Identity::new(&station.spec.identity);
    StationFacts {
        namespace: station.namespace().unwrap_or_default(),
        name: station.name_any(),
        identity: station.spec.identity.clone(),
        labels: station.labels().clone(),
        device: Device {
            vendor: over.vendor.or_else(|| reported.vendor.clone()),
            model: over.model.or_else(|| reported.model.clone()),
            serial: reported.serial.clone(),
            box_serial: reported.box_serial.clone(),
        },
        firmware: over.firmware.or_else(|| live.memory.firmware.clone()),
        role: station.spec.role,
        profiles: profiles(&live.observed),
        link,
        authenticated: presence.is_some_and(|presence| presence.authenticated),
        activity: presence.map_or(Activity::Unknown, |presence| presence.activity),
        busy_with_firmware: presence.is_some_and(|presence| presence.busy_with_firmware),
        capabilities: context.connector.capabilities(&identity),
    }
}

/// What status remembers of a station that was not reconciled yet, as far as selection needs it.
pub(super) fn recorded_facts(context: &Context, station: &ChargeStation) -> StationFacts {
    let memory = station
        .status
        .as_ref()
        .and_then(|status| status.memory.clone())
        .unwrap_or_default();
    facts(
        context,
        station,
        &Live {
            memory,
            ..Live::default()
        },
        None,
    )
}

fn profiles(observed: &Observed) -> Option<Vec<String>> {
    let (_, reading) = observed.readings.iter().find(|(key, _)| {
        key.as_str()
            .eq_ignore_ascii_case("SupportedFeatureProfiles")
    })?;
    let value = reading.value()?;
    Some(
        value
            .split(',')
            .map(|profile| profile.trim().to_ascii_lowercase())
            .filter(|profile| !profile.is_empty())
            .collect(),
    )
}

fn policy(context: &Context, station: &ChargeStation, live: &Live) -> Policy {
    let suspended = if station.spec.suspend {
        Some(Suspended::Suspend)
    } else if station.annotations().contains_key(PAUSED) {
        Some(Suspended::Paused)
    } else {
        None
    };
    Policy {
        brake: *context.brake.borrow(),
        suspended,
        resumed: station.annotations().get(RESUME).cloned(),
        resync_due: live.read_at.map(|at| at + resync_period(context, station)),
        ..Policy::default()
    }
}

/// Asks a station for its connectors' states, once per connection, if a key waits for it to be idle and nobody knows
/// whether it is: after a restart of ours unknown is busy until the station tells. It may know no TriggerMessage; then
/// its next StatusNotification tells. (Network: the station.)
async fn ask_for_activity(
    context: &Context,
    station: &ChargeStation,
    live: &mut Live,
    planned: &Plan,
    facts: &StationFacts,
    session: Option<u64>,
) {
    let waits = planned
        .keys
        .iter()
        .any(|verdict| verdict.reason == Reason::Busy);
    if !waits
        || facts.activity != Activity::Unknown
        || facts.link != Link::Ready
        || live.activity_asked == session
    {
        return;
    }
    live.activity_asked = session;
    let identity = Identity::new(&station.spec.identity);
    let payload = trigger_message(Trigger::StatusNotification, None);
    let request = Request::read("TriggerMessage", payload);
    let guard = |act| still_allowed(context, station, act);
    if let Err(stop) = context.wire.call(&identity, request, &guard).await {
        tracing::debug!(station = %station.name_any(), why = %stop, "the station was not asked for its connectors");
    }
}

/// Checked right before each frame: leadership, brake, suspension as the stores know it now.
fn still_allowed(context: &Context, station: &ChargeStation, act: Act) -> Result<(), Stop> {
    let (leads, braked) = match (act, *context.brake.borrow()) {
        (Act::Read, brake) => (context.leadership.holds(), brake == Brake::NoCalls),
        (Act::Write, brake) => (context.leadership.may_write(), brake != Brake::Off),
    };
    if act == Act::Write && context.ending.is_cancelled() {
        return Err(Stop("the process is ending".to_owned()));
    }
    if !leads {
        return Err(Stop("leadership was lost".to_owned()));
    }
    if braked {
        return Err(Stop("the brake is on".to_owned()));
    }
    match context.stores.stations.get(&ObjectRef::from_obj(station)) {
        None => Err(Stop("the ChargeStation was deleted".to_owned())),
        Some(now) if now.spec.suspend || now.annotations().contains_key(PAUSED) => {
            Err(Stop("the ChargeStation was suspended".to_owned()))
        }
        Some(_) => Ok(()),
    }
}

/// Checked right before each frame of a pass: is it still the connection, the idle station and the configs that the plan
/// was made for?
fn as_planned(
    context: &Context,
    identity: &Identity,
    session: Option<u64>,
    act: Act,
    planned: &Plan,
    catalogue: &StationCatalogue,
) -> Result<(), Stop> {
    let stop = |why: &str| Err(Stop(why.to_owned()));
    let Some(presence) = context
        .connector
        .presence(identity)
        .filter(|presence| presence.session == session)
    else {
        return stop("the station has reconnected");
    };
    if act == Act::Read {
        return Ok(());
    }
    if presence.busy_with_firmware {
        return stop("a firmware update or an upload of diagnostics is under way");
    }
    let any_write_boots = catalogue.quirks().boots_on_write == Some(true);
    let needs_idle = any_write_boots
        || planned
            .changes
            .iter()
            .any(|change| change.definition.needs_idle());
    if needs_idle && presence.activity != Activity::Idle {
        return stop("the station is in use");
    }
    let is_current = |change: &Change| {
        change.why == Why::Restore
            || context
                .configs
                .get(&change.config)
                .is_some_and(|config| !config.suspended && config.generation == change.generation)
    };
    if !planned.changes.iter().all(is_current) {
        return stop("a config has changed since the plan was made");
    }
    Ok(())
}

/// Reads what the plan asks for. `false`: the station fell over or went away.
async fn read(
    context: &Context,
    station: &ChargeStation,
    desired: &Desired,
    planned: &Plan,
    live: &mut Live,
    session: Option<u64>,
) -> bool {
    let identity = Identity::new(&station.spec.identity);
    let catalogue = &desired.catalogue;
    let asks: Vec<Ask> = planned
        .read
        .iter()
        .map(|key| Ask {
            key: key.clone(),
            spelling: live.spellings.get(key).cloned(),
            secret: match desired.settings.get(key) {
                Some(setting) => {
                    setting.definition.is_secret()
                        || matches!(setting.value, SettingValue::Secret { .. })
                }
                None => catalogue.definition(key).is_secret(),
            },
            alone: live
                .memory
                .keys
                .get(key)
                .is_some_and(|memory| memory.falls.is_some())
                || matches!(
                    live.observed.readings.get(key),
                    Some(Reading::Failed { .. })
                ),
        })
        .collect();
    let pieces = Pieces {
        station: live.piece,
        catalogue: catalogue
            .quirks()
            .max_keys_per_request
            .and_then(|keys| usize::try_from(keys).ok()),
        delivered: catalogue
            .find(&Key::from(MAX_KEYS))
            .and_then(|definition| definition.default.as_ref()?.value.parse().ok()),
    };
    let whole = live.observed.readings.is_empty();
    let seen = observe(&context.wire, &identity, &asks, pieces, &|act| {
        still_allowed(context, station, act)
    })
    .await;
    if !seen.falls.is_empty() {
        live.memory =
            outcome::record_read_fall(std::mem::take(&mut live.memory), &seen.falls, clock::now());
    }
    if let Some(aborted) = &seen.aborted {
        tracing::info!(station = %station.name_any(), why = %aborted, "a read ended early");
    }
    live.piece = seen.piece.or(live.piece);
    for (key, reading) in &seen.observed.readings {
        if let Reading::Known { spelling, .. } = reading
            && spelling != key
        {
            live.spellings.insert(key.clone(), spelling.clone());
        }
    }
    let connectors = seen
        .observed
        .readings
        .iter()
        .find(|(key, _)| key.matches(&Key::from("NumberOfConnectors")));
    if let Some(count) = connectors.and_then(|(_, reading)| reading.value()?.trim().parse().ok()) {
        context.connector.announce_connectors(&identity, count);
    }
    live.observed.readings.extend(seen.observed.readings);
    live.observed.at_event = live.memory.event;
    live.observed_session = session;
    if whole && seen.aborted.is_none() {
        live.read_at = Some(clock::now());
    }
    seen.aborted.is_none()
}

/// Is a full read due, for drift that nobody announced? Jittered per station, so that a fleet does not ask at once.
fn resync_due(context: &Context, station: &ChargeStation, live: &Live, now: Timestamp) -> bool {
    live.read_at
        .is_some_and(|at| now >= at + resync_period(context, station))
}

/// The resync period of one station: nine to eleven tenths of the setting, by its uid.
fn resync_period(context: &Context, station: &ChargeStation) -> SignedDuration {
    let spread = station
        .uid()
        .unwrap_or_default()
        .bytes()
        .fold(0_u32, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u32::from(byte))
        });
    context
        .settings
        .resync
        .mul_f64(0.9 + f64::from(spread % 1000) / 5000.0)
}

fn request(station: &ChargeStation) -> Option<String> {
    station.annotations().get(REQUESTED_AT).cloned()
}

fn request_pending(station: &ChargeStation, live: &Live) -> bool {
    request(station).is_some_and(|request| live.handled_request.as_ref() != Some(&request))
}

/// A disconnect is written only when it has lasted: how long until then.
fn disconnect_grace(
    context: &Context,
    live: &Live,
    connected: bool,
    now: Timestamp,
) -> Option<SignedDuration> {
    if connected {
        return None;
    }
    let left = live.disconnected_at? + context.settings.disconnect_grace;
    (left > now).then(|| left.duration_since(now))
}

/// What there is to tell after a plan.
fn told_of(
    planned: &Plan,
    layers: &Arc<[(ConfigRef, i64)]>,
    facts: &StationFacts,
    station: &ChargeStation,
    connected: bool,
) -> Told {
    Told {
        verdicts: planned.keys.as_slice().into(),
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
async fn tell(context: &Context, station: &ChargeStation, cell: &Cell, told: Told, moment: Moment) {
    let former = cell.told();
    let before: &[KeyVerdict] = former
        .as_ref()
        .map(|former| former.verdicts.as_ref())
        .unwrap_or_default();
    if former.is_some() {
        for change in status::transitions(before, &told.verdicts) {
            context.metrics.transition(change.to);
            if !is_news(change.from, change.to) {
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
    }
    if let Some(sink) = &context.sink {
        sink.told(station, before, &told, moment);
    }
    let layers = told
        .layers
        .iter()
        .chain(former.iter().flat_map(|former| former.layers.iter()));
    let configs: BTreeSet<ConfigRef> = layers.map(|(config, _)| config.clone()).collect();
    let first = former.is_none();
    cell.tell(told);
    if first {
        // Who waited for this station to be looked at may be any config of its namespace.
        touch_all(context, station);
    }
    touch(context, configs);
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

fn touch_all(context: &Context, station: &ChargeStation) {
    let namespace = station.namespace().unwrap_or_default();
    let configs = context
        .stores
        .configs
        .state_filter(|config| config.namespace().as_deref() == Some(namespace.as_str()));
    touch(
        context,
        configs.iter().map(|config| ConfigRef {
            namespace: namespace.clone(),
            name: config.name_any(),
        }),
    );
}

/// When to look again without being called.
fn next(
    context: &Context,
    station: &ChargeStation,
    live: &Live,
    planned: &Plan,
    again: Option<Duration>,
    grace: Option<SignedDuration>,
    now: Timestamp,
) -> Action {
    let until =
        |at: Timestamp| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO);
    let unread = !planned.read.is_empty()
        && context
            .connector
            .presence(&Identity::new(&station.spec.identity))
            .is_some_and(|presence| presence.registered);
    let waits = [
        again,
        unread.then(|| READ_AGAIN.mul_f64(rand::random_range(0.8..1.2))),
        grace.map(|grace| {
            Duration::try_from(grace).unwrap_or(Duration::ZERO) + Duration::from_millis(50)
        }),
        planned.check_again.map(until),
        // One that is overdue could not be read now; what can change that wakes us, or is waited for above.
        live.read_at
            .map(|at| at + resync_period(context, station))
            .filter(|due| *due > now)
            .map(until),
    ];
    match waits.into_iter().flatten().min() {
        Some(wait) => Action::requeue(wait.max(Duration::from_millis(20))),
        None => Action::await_change(),
    }
}
