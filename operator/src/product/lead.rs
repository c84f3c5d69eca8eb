//! Leading: from waiting for the Lease to giving it up, and the controllers in between.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use kube::runtime::reflector::ObjectRef;
use stationkeeper_core::layer::Mode;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::brakes::follow_config_map;
use super::secrets::read_secrets;
use super::told::sinks;
use super::{
    LateDirectory, ProductError, Register, Source, SourceKind, ended_unless, flat, registration,
};
use crate::admission::ObjectDirectory;
use crate::brake::BrakeLever;
use crate::connector::Connector;
use crate::controller::{
    self, Catalogues, Configs, Context, Kinds, Lives, UnreadableCatalogue, VerdictSink,
    run_stations, summarise_configs, tell_catalogues,
};
use crate::folder::FolderSource;
use crate::gateway::Gateway;
use crate::leader::label::{self, LabelledPod};
use crate::leader::{self, Leadership};
use crate::metrics::Metrics;
use crate::objects::{ChargeStation, ChargeStationConfig, KeyCatalogue};
use crate::stores::Stores;
use crate::wire::Wire;

/// How long running reconciles may take once leadership is lost: nothing that they could send leaves any more.
pub(super) const STEP_DOWN: Duration = Duration::from_secs(1);

/// How long running reconciles may take after a shutdown was asked for; those that wait for longer are dropped, which is
/// safe since what they meant to do is recorded.
pub(super) const LAST_PASSES: Duration = Duration::from_secs(5);

/// What was not listed after this time is told.
const LISTED_BY_NOW: Duration = Duration::from_secs(15);

/// What is needed to lead.
pub(super) struct Parts {
    pub(super) source: Source,
    pub(super) gateway: Arc<Gateway>,
    pub(super) directory: Arc<LateDirectory>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) lever: Arc<BrakeLever>,
    pub(super) of_map: Arc<BrakeLever>,
    pub(super) _of_file: Arc<BrakeLever>,
    pub(super) led: Arc<OnceLock<Arc<Context>>>,
    pub(super) synced: Arc<AtomicBool>,
    pub(super) wire: Wire,
    pub(super) controller: controller::Settings,
    pub(super) register: Option<Register>,
    pub(super) sink: Option<Arc<dyn VerdictSink>>,
    pub(super) cancel: CancellationToken,
}

/// Waits to lead, leads, and gives the lead up.
pub(super) async fn work(mut parts: Parts) -> Result<(), ProductError> {
    let cancel = parts.cancel.clone();
    let election = match &parts.source.kind {
        SourceKind::Folder { .. } => None,
        SourceKind::Cluster { settings, .. } => settings.election.clone().map(|election| {
            (
                Api::<Lease>::namespaced(settings.client.clone(), &election.namespace),
                election,
            )
        }),
    };
    // An earlier life of this container may have left it, and stations would meet a standby.
    if let Some((client, pod)) = leader_label(&parts.source) {
        label::remove(client, &pod).await;
    }
    let Some((api, election)) = election else {
        parts.metrics.leads(true);
        return lead(&mut parts, Leadership::sole(), cancel).await;
    };
    tracing::info!(lease = %election.name, holder = %election.holder, "waiting to lead");
    let acquired = {
        let warm = keep_warm(&parts);
        tokio::select! {
            acquired = leader::acquire(&api, &election, &cancel) => acquired.map_err(ProductError::Election)?,
            never = warm => match never {},
        }
    };
    let Some(leadership) = acquired else {
        return Ok(());
    };
    parts.wire.epoch = leadership.epoch();
    let metrics = Arc::clone(&parts.metrics);
    metrics.leads(true);
    tracing::info!(epoch = leadership.epoch(), "leading");
    // Renewing goes on while the controllers end, so that nothing of ours acts without the Lease.
    let (led_out, renew_until) = (cancel.child_token(), CancellationToken::new());
    let held = leader::hold(&api, &election, &leadership, &renew_until);
    let leading = async {
        let result = lead(&mut parts, leadership.clone(), led_out.clone()).await;
        renew_until.cancel();
        result
    };
    let (mut held, mut leading) = (std::pin::pin!(held), std::pin::pin!(leading));
    let result = tokio::select! {
        lost = &mut held => {
            led_out.cancel();
            // What still runs may not act any more; it gets a moment, and is dropped then, so that sockets are let go.
            let _ = tokio::time::timeout(STEP_DOWN, &mut leading).await;
            Err(lost.err().map_or(ProductError::Ended("the election"), ProductError::Election))
        }
        result = &mut leading => match held.await {
            Ok(()) => {
                leader::release(&api, &election).await;
                result
            }
            Err(error) => Err(ProductError::Election(error)),
        },
    };
    metrics.leads(false);
    result
}

/// Keeps stores warm while another process leads, so that readiness tells whether the API server serves us. They are
/// dropped when we lead: a new leader lists afresh.
pub(super) async fn keep_warm(parts: &Parts) -> std::convert::Infallible {
    if let SourceKind::Cluster { kubernetes, .. } = &parts.source.kind {
        let (changes, mut changed) = mpsc::unbounded_channel();
        let (stores, fill) = Stores::fill(
            kubernetes.watch::<ChargeStation>(),
            kubernetes.watch::<ChargeStationConfig>(),
            kubernetes.watch_catalogues(),
            changes,
        );
        let ready = async {
            stores.filled().await;
            parts.synced.store(true, Ordering::Release);
            while changed.recv().await.is_some() {}
        };
        futures::future::join(fill, ready).await;
    }
    std::future::pending().await
}

/// Leads until cancelled.
pub(super) async fn lead(
    parts: &mut Parts,
    leadership: Leadership,
    cancel: CancellationToken,
) -> Result<(), ProductError> {
    let (changes, changed) = mpsc::unbounded_channel();
    let mut tasks: JoinSet<Result<(), ProductError>> = JoinSet::new();
    let mut unreadable = None;
    let mut unreadable_catalogue = None;
    let mut secrets_changed = None;
    let stores = match &mut parts.source.kind {
        SourceKind::Folder {
            source, streams, ..
        } => {
            let Some(streams) = streams.take() else {
                return Err(ProductError::Ended("the folder source"));
            };
            let (stations, configs, catalogues) = streams.split();
            let (stores, fill) = Stores::fill(stations, configs, catalogues, changes);
            let looking = Arc::clone(source);
            unreadable = Some(unreadable_of(source));
            unreadable_catalogue = Some(unreadable_catalogue_of(source));
            secrets_changed = Some(source.secrets_changed());
            spawn_until(&mut tasks, &cancel, "the stores", fill);
            spawn_until(&mut tasks, &cancel, "the folder source", looking.run());
            stores
        }
        SourceKind::Cluster {
            kubernetes,
            settings,
        } => {
            let (stores, fill) = Stores::fill(
                kubernetes.watch::<ChargeStation>(),
                kubernetes.watch::<ChargeStationConfig>(),
                kubernetes.watch_catalogues(),
                changes,
            );
            spawn_until(&mut tasks, &cancel, "the stores", fill);
            let brake =
                kubernetes.watch_config_map(&settings.own_namespace, &settings.brake_config_map);
            spawn_until(
                &mut tasks,
                &cancel,
                "the brake",
                follow_config_map(brake, Arc::clone(&parts.of_map)),
            );
            stores
        }
    };
    let (touched, touches) = mpsc::unbounded_channel();
    let (touched_catalogues, catalogue_touches) = mpsc::unbounded_channel();
    let (wanted, wants) = mpsc::unbounded_channel();
    let (registrations, registering) = mpsc::channel(256);
    let (asked, asks) = mpsc::unbounded_channel();
    let wire = std::mem::replace(
        &mut parts.wire,
        Wire::new(Arc::clone(&parts.gateway) as Arc<dyn Connector>),
    );
    let context = Arc::new(Context {
        stores: stores.clone(),
        configs: Configs::new(unreadable),
        kinds: Kinds::default(),
        publisher: Arc::clone(&parts.source.publisher),
        connector: Arc::clone(&parts.gateway) as Arc<dyn Connector>,
        wire: Arc::new(wire),
        secrets: Arc::clone(&parts.source.secrets),
        catalogues: Catalogues::new(unreadable_catalogue),
        leadership: leadership.clone(),
        brake: parts.lever.subscribe(),
        lives: Lives::default(),
        metrics: Arc::clone(&parts.metrics),
        settings: parts.controller.clone(),
        touched,
        touched_catalogues,
        sink: sinks(parts),
        ending: cancel.clone(),
        again: tokio::sync::Notify::new(),
    });
    // Both are set once: a process leads once, and ends when it no longer does.
    let _ = parts.led.set(Arc::clone(&context));
    let directory = ObjectDirectory::new(
        stores.clone(),
        Arc::clone(&parts.source.secrets),
        move || leadership.holds(),
        heartbeat_of(&context),
        parts.register.as_ref().map(|_| registrations),
        wanted,
    );
    let _ = parts.directory.0.set(directory);
    if let Some(register) = parts.register.clone() {
        let run = registration::run(register, Arc::clone(&context), registering);
        spawn_until(&mut tasks, &cancel, "the registration of stations", run);
    }
    spawn_until(
        &mut tasks,
        &cancel,
        "the reading of Secrets",
        read_secrets(Arc::clone(&context), wants, secrets_changed),
    );
    spawn_until(&mut tasks, &cancel, "the sums of configs", {
        summarise_configs(Arc::clone(&context), touches, asked, cancel.child_token())
    });
    let label = leader_label(&parts.source).map(|(client, pod)| {
        let (stores, leads) = (stores.clone(), cancel.clone());
        let leadership = context.leadership.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            // Not before stations can be answered.
            if leads.run_until_cancelled(stores.filled()).await.is_some() {
                label::carry(client, &pod, &leadership, &leads).await;
            }
        }))
    });
    spawn_until(&mut tasks, &cancel, "the status of catalogues", {
        tell_catalogues(
            Arc::clone(&context),
            catalogue_touches,
            cancel.child_token(),
        )
    });
    let synced = Arc::clone(&parts.synced);
    spawn_until(&mut tasks, &cancel, "readiness", async move {
        while tokio::time::timeout(LISTED_BY_NOW, stores.filled())
            .await
            .is_err()
        {
            tracing::warn!(
                missing = stores.missing().join(", "),
                "no station is served before all objects have been listed; see the warnings about what cannot be watched"
            );
        }
        synced.store(true, Ordering::Release);
        std::future::pending::<()>().await;
    });
    let mut stations = AbortOnDropHandle::new(tokio::spawn(run_stations(
        context,
        changed,
        asks,
        cancel.clone(),
    )));
    // More than one of these may be true at once, so that the rest holds whichever is seen first.
    let (result, stations_ended) = tokio::select! {
        ended = &mut stations => {
            let ended = ended.map_err(ProductError::Join);
            (ended.and_then(|()| ended_unless(&cancel, "the station controller")), true)
        }
        Some(ended) = tasks.join_next() => {
            (flat(ended).and_then(|()| ended_unless(&cancel, "a part of the controllers")), false)
        }
        () = cancel.cancelled() => (Ok(()), false),
    };
    cancel.cancel();
    // Reconciles that run need the stores no more; they finish, and then everything else goes.
    let passes = match stations_ended {
        true => Ok(()),
        false => match tokio::time::timeout(LAST_PASSES, &mut stations).await {
            Ok(ended) => ended.map_err(ProductError::Join),
            Err(_) => Ok(()),
        },
    };
    tasks.shutdown().await;
    let label = match label {
        Some(label) => label.await.map_err(ProductError::Join),
        None => Ok(()),
    };
    result.and(passes).and(label)
}

/// The Pod that carries the leader's label, if one does, and the client to change it with.
fn leader_label(source: &Source) -> Option<(kube::Client, LabelledPod)> {
    match &source.kind {
        SourceKind::Folder { .. } => None,
        SourceKind::Cluster { settings, .. } => {
            let pod = settings.leader_label.clone()?;
            Some((settings.client.clone(), pod))
        }
    }
}

/// Spawns a part that runs until cancelled, or else must not end.
pub(super) fn spawn_until(
    tasks: &mut JoinSet<Result<(), ProductError>>,
    cancel: &CancellationToken,
    what: &'static str,
    part: impl Future<Output = ()> + Send + 'static,
) {
    let cancel = cancel.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = cancel.cancelled() => {
                // It is dropped with the set: what must finish is awaited elsewhere.
                std::future::pending().await
            }
            () = part => ended_unless(&cancel, what),
        }
    });
}

/// Alike for catalogues.
fn unreadable_catalogue_of(source: &Arc<FolderSource>) -> Arc<UnreadableCatalogue> {
    let source = Arc::clone(source);
    Arc::new(move |catalogue: &ObjectRef<KeyCatalogue>| source.unreadable_catalogue(catalogue))
}

pub(super) fn unreadable_of(source: &Arc<FolderSource>) -> Arc<crate::controller::Unreadable> {
    let source = Arc::clone(source);
    Arc::new(move |config: &ObjectRef<ChargeStationConfig>| source.unreadable(config))
}

/// The desired HeartbeatInterval of a station, for the answer to its BootNotification.
pub(super) fn heartbeat_of(
    context: &Arc<Context>,
) -> impl Fn(&ObjectRef<ChargeStation>) -> Option<u32> + Send + Sync + 'static {
    let context = Arc::downgrade(context);
    move |station| {
        let told = context.upgrade()?.lives.peek(station)?.told()?;
        let verdict = told.verdicts.iter().find(|verdict| {
            verdict.key.as_str() == "HeartbeatInterval" && verdict.mode == Mode::Enforce
        })?;
        verdict.desired.as_ref()?.parse().ok()
    }
}
