//! The product: source, gateway, controllers and admin port put together, for `run`, the demo, tests and benchmarks.
//!
//! In come settings; out comes a [`Running`] product. Every task is joined; one that ends unexpectedly ends the whole.

mod registration;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use kube::runtime::reflector::ObjectRef;
use prometheus_client::registry::Registry;
use secrecy::SecretSlice;
use stationkeeper_core::catalogue::Catalogue;
use stationkeeper_core::layer::Mode;
use stationkeeper_core::station::Brake;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::admin::{self, Admin};
use crate::admission::{ObjectDirectory, secrets_of};
use crate::audit::{Audit, AuditError, Destination};
use crate::brake::{BrakeLever, safer};
use crate::connector::{Admission, Connector, Directory, Identity};
use crate::controller::{
    self, Configs, Context, Lives, VerdictSink, run_stations, summarise_configs,
};
use crate::document::{ConfigDocument, Document, StationDocument};
use crate::folder::{FolderError, FolderOptions, FolderSource, StateDir, StateDirError};
use crate::gateway::{Gateway, GatewayError, GatewaySettings};
use crate::kubernetes::{DigestKeyError, Kubernetes, digest_key};
use crate::leader::{self, Election, ElectionError, Leadership};
use crate::metrics::Metrics;
use crate::objects::{ChargeStation, ChargeStationConfig};
use crate::pace::Pace;
use crate::secret_cache::SecretCache;
use crate::source::{Publisher, Secrets};
use crate::stores::Stores;
use crate::wire::Wire;

/// How often Secrets in use are read again (section 9 of the design).
const SECRETS_EVERY: Duration = Duration::from_secs(600);

/// How long running reconciles may take to end after a shutdown was asked for, before sockets are closed under them.
const CONTROLLERS_END: Duration = Duration::from_secs(2);

/// How long everything may take to end after that; the whole stays within ten seconds.
const ALL_END: Duration = Duration::from_secs(7);

/// How long running reconciles may take once leadership is lost: nothing that they could send leaves any more.
const STEP_DOWN: Duration = Duration::from_secs(1);

/// How long running reconciles may take after a shutdown was asked for; those that wait for longer are dropped, which is
/// safe since what they meant to do is recorded.
const LAST_PASSES: Duration = Duration::from_secs(5);

/// What the product is told at its start.
pub struct ProductSettings {
    /// Where objects come from.
    pub source: SourceSettings,
    /// The gateway.
    pub gateway: GatewaySettings,
    /// The controllers.
    pub controller: controller::Settings,
    /// The admin port; `None`: none.
    pub admin: Option<SocketAddr>,
    /// Answer `/status` to any address.
    pub status_anywhere: bool,
    /// OCPP calls per second over the whole fleet; 0: no limit.
    pub calls_per_second: u32,
    /// How long a station may take to answer a call.
    pub call_timeout: Duration,
    /// Where the audit goes; `None`: nowhere.
    pub audit: Option<Destination>,
    /// A file with the brake's position.
    pub brake_file: Option<PathBuf>,
    /// Make ChargeStations for stations that nobody declared.
    pub register: Option<Register>,
    /// Spread the closing of sockets at shutdown over this time.
    pub drain: Duration,
    /// Who else wants every verdict.
    pub sink: Option<Arc<dyn VerdictSink>>,
}

/// Where objects come from.
pub enum SourceSettings {
    /// A folder of YAML files.
    Folder {
        /// The folder.
        manifests: PathBuf,
        /// Where state is kept.
        state_dir: PathBuf,
        /// How the folder is read.
        options: FolderOptions,
    },
    /// A Kubernetes API server.
    Cluster(Box<ClusterSettings>),
}

/// How a cluster is used.
pub struct ClusterSettings {
    /// The client.
    pub client: kube::Client,
    /// Watch this namespace only.
    pub watch_namespace: Option<String>,
    /// The operator's own namespace: Lease, digest key, brake.
    pub own_namespace: String,
    /// The election; `None`: this is the only process, as somebody else has made sure.
    pub election: Option<Election>,
    /// The ConfigMap that holds the brake, in the own namespace.
    pub brake_config_map: String,
    /// The Secret that holds the key of digests, in the own namespace.
    pub digest_secret: String,
    /// Names this process in Events.
    pub instance: String,
}

/// How stations that nobody declared are registered.
#[derive(Clone, Debug)]
pub struct Register {
    /// Where.
    pub namespace: String,
    /// At most so many.
    pub limit: usize,
}

/// Why the product could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ProductError {
    /// The gateway.
    #[error("the gateway failed")]
    Gateway(#[source] GatewayError),
    /// The folder of manifests.
    #[error("the folder of manifests failed")]
    Folder(#[source] FolderError),
    /// The state directory.
    #[error("the state directory failed")]
    StateDir(#[source] StateDirError),
    /// The admin port.
    #[error("failed to listen on {address} for the admin port; choose another with --admin-listen")]
    AdminListen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The admin server.
    #[error("the admin server failed")]
    Admin(#[source] std::io::Error),
    /// The audit.
    #[error("failed to set up the audit")]
    Audit(#[source] AuditError),
    /// The key of digests.
    #[error("failed to get the key for the digests of secrets")]
    DigestKey(#[source] DigestKeyError),
    /// The election.
    #[error("the leader election ended")]
    Election(#[source] ElectionError),
    /// A task ended that should run for ever.
    #[error("a part of the process ended unexpectedly: {0}")]
    Ended(&'static str),
    /// A task panicked.
    #[error("a part of the process failed")]
    Join(#[source] tokio::task::JoinError),
    /// It took too long to end.
    #[error("not everything ended in time after the shutdown was asked for")]
    Slow,
}

/// A product that runs.
pub struct Running {
    /// Where stations connect to.
    pub gateway: SocketAddr,
    /// Where the admin port is.
    pub admin: Option<SocketAddr>,
    /// The controllers' context, once this process leads.
    pub led: Arc<OnceLock<Arc<Context>>>,
    cancel: CancellationToken,
    end: oneshot::Receiver<Result<(), ProductError>>,
}

impl Running {
    /// Asks for an orderly end.
    pub fn stop(&self) {
        self.cancel.cancel();
    }

    /// A token that asks for an orderly end.
    pub fn cancel(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Waits for the end: orderly, or with what went wrong.
    pub async fn wait(self) -> Result<(), ProductError> {
        self.end
            .await
            .unwrap_or(Err(ProductError::Ended("the product")))
    }

    /// The document of section 11 of the design, as it stands now.
    pub fn document(&self) -> Document {
        document(self.led.get().map(AsRef::as_ref))
    }
}

/// Answers 503 until there is a directory to ask: before the stores are filled, and for as long as another process
/// leads.
#[derive(Default)]
struct LateDirectory(OnceLock<ObjectDirectory>);

impl Directory for LateDirectory {
    fn admit(&self, identity: &Identity) -> Admission {
        self.0
            .get()
            .map_or(Admission::NotReady, |directory| directory.admit(identity))
    }

    fn register(&self, identity: &Identity) {
        if let Some(directory) = self.0.get() {
            directory.register(identity);
        }
    }

    fn heartbeat_interval(&self, identity: &Identity) -> Option<u32> {
        self.0.get()?.heartbeat_interval(identity)
    }
}

/// The parts that both sources give.
struct Source {
    publisher: Arc<dyn Publisher>,
    secrets: Arc<SecretCache>,
    kind: SourceKind,
}

enum SourceKind {
    Folder {
        source: Arc<FolderSource>,
        streams: Option<crate::folder::FolderStreams>,
        state: Arc<StateDir>,
    },
    Cluster {
        kubernetes: Arc<Kubernetes>,
        settings: Box<ClusterSettings>,
    },
}

/// Opens everything that can fail at once, then runs in tasks until stopped.
pub async fn start(settings: ProductSettings) -> Result<Running, ProductError> {
    let mut registry = Registry::default();
    let metrics = Arc::new(Metrics::new(&mut registry));
    let source = open(settings.source).await?;
    let audit = match settings.audit {
        Some(destination) => Audit::to(destination).map_err(ProductError::Audit)?,
        None => Audit::off(),
    };
    let directory = Arc::new(LateDirectory::default());
    let started = Gateway::start(
        settings.gateway,
        Arc::clone(&directory) as Arc<dyn Directory>,
        &mut registry,
    )
    .await
    .map_err(ProductError::Gateway)?;
    let cancel = CancellationToken::new();
    let led: Arc<OnceLock<Arc<Context>>> = Arc::default();
    let synced = Arc::new(AtomicBool::new(false));
    let mut tasks: JoinSet<Result<(), ProductError>> = JoinSet::new();
    let admin = match settings.admin {
        None => None,
        Some(address) => {
            let failed = |source| ProductError::AdminListen { address, source };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            let admin = admin_of(registry, settings.status_anywhere, &led, &synced, &metrics);
            // It answers to the very end: it ends when everything else has.
            let end = CancellationToken::new();
            tasks.spawn(async move {
                admin::serve(listener, Arc::new(admin), end)
                    .await
                    .map_err(ProductError::Admin)
            });
            Some(address)
        }
    };
    // A cluster's brake holds until it was looked at: one that was pulled before we started must not be missed.
    let unread = match &source.kind {
        SourceKind::Folder { .. } => Brake::Off,
        SourceKind::Cluster { .. } => Brake::NoCalls,
    };
    let (of_file, of_map) = (
        Arc::new(BrakeLever::new(Brake::Off)),
        Arc::new(BrakeLever::new(unread)),
    );
    if let Some(path) = settings.brake_file {
        of_file.read_file(&path).await;
        let (lever, cancel) = (Arc::clone(&of_file), cancel.clone());
        tasks.spawn(async move {
            lever.follow_file(&path, &cancel).await;
            ended_unless(&cancel, "the brake file")
        });
    }
    let lever = Arc::new(BrakeLever::new(safer(
        of_file.position(),
        of_map.position(),
    )));
    tasks.spawn(both_brakes(
        of_file.subscribe(),
        of_map.subscribe(),
        Arc::clone(&lever),
    ));
    let parts = Parts {
        source,
        gateway: Arc::clone(&started.gateway),
        directory,
        metrics,
        lever,
        of_map,
        // The file's lever must live as long as whoever follows it.
        _of_file: of_file,
        led: Arc::clone(&led),
        synced,
        wire: Wire {
            connector: Arc::clone(&started.gateway) as Arc<dyn Connector>,
            pace: if settings.calls_per_second == 0 {
                Pace::unlimited()
            } else {
                Pace::per_second(settings.calls_per_second)
            },
            audit,
            epoch: 0,
            timeout: settings.call_timeout,
            meter: None,
        },
        controller: settings.controller,
        register: settings.register,
        sink: settings.sink,
        cancel: cancel.clone(),
    };
    let (told, end) = oneshot::channel();
    let gateway = started.address;
    let drain = settings.drain;
    let closing = Closing {
        gateway: started.gateway,
        task: started.task,
        drain,
    };
    let stop = cancel.clone();
    // Joined by whoever waits for `end`.
    tokio::spawn(async move {
        let result = supervise(tasks, parts, closing, stop).await;
        // Nobody waiting is fine: the product was dropped.
        let _ = told.send(result);
    });
    Ok(Running {
        gateway,
        admin,
        led,
        cancel,
        end,
    })
}

async fn open(settings: SourceSettings) -> Result<Source, ProductError> {
    match settings {
        SourceSettings::Folder {
            manifests,
            state_dir,
            options,
        } => {
            let state = Arc::new(StateDir::open(&state_dir).map_err(ProductError::StateDir)?);
            let key = state.hmac_key().map_err(ProductError::StateDir)?;
            let (source, streams) = FolderSource::open(&manifests, Arc::clone(&state), options)
                .map_err(ProductError::Folder)?;
            Ok(Source {
                publisher: Arc::clone(&source) as Arc<dyn Publisher>,
                secrets: secrets(Arc::clone(&source) as Arc<dyn Secrets>, key),
                kind: SourceKind::Folder {
                    source,
                    streams: Some(streams),
                    state,
                },
            })
        }
        SourceSettings::Cluster(settings) => {
            let key = digest_key(
                settings.client.clone(),
                &settings.own_namespace,
                &settings.digest_secret,
            )
            .await
            .map_err(ProductError::DigestKey)?;
            let kubernetes = Arc::new(Kubernetes::new(
                settings.client.clone(),
                settings.watch_namespace.clone(),
                settings.instance.clone(),
            ));
            Ok(Source {
                publisher: Arc::clone(&kubernetes) as Arc<dyn Publisher>,
                secrets: secrets(Arc::clone(&kubernetes) as Arc<dyn Secrets>, key),
                kind: SourceKind::Cluster {
                    kubernetes,
                    settings,
                },
            })
        }
    }
}

fn secrets(source: Arc<dyn Secrets>, key: SecretSlice<u8>) -> Arc<SecretCache> {
    Arc::new(SecretCache::new(source, key))
}

/// What is needed to lead.
struct Parts {
    source: Source,
    gateway: Arc<Gateway>,
    directory: Arc<LateDirectory>,
    metrics: Arc<Metrics>,
    lever: Arc<BrakeLever>,
    of_map: Arc<BrakeLever>,
    _of_file: Arc<BrakeLever>,
    led: Arc<OnceLock<Arc<Context>>>,
    synced: Arc<AtomicBool>,
    wire: Wire,
    controller: controller::Settings,
    register: Option<Register>,
    sink: Option<Arc<dyn VerdictSink>>,
    cancel: CancellationToken,
}

/// What is closed last.
struct Closing {
    gateway: Arc<Gateway>,
    task: tokio::task::JoinHandle<Result<(), GatewayError>>,
    drain: Duration,
}

/// Runs everything; the first part that ends ends all the others, in order: controllers, sockets, the rest.
async fn supervise(
    mut tasks: JoinSet<Result<(), ProductError>>,
    parts: Parts,
    mut closing: Closing,
    cancel: CancellationToken,
) -> Result<(), ProductError> {
    let mut work = Box::pin(work(parts));
    let mut work_ended = false;
    let mut result = tokio::select! {
        () = cancel.cancelled() => Ok(()),
        ended = &mut work => {
            work_ended = true;
            ended.and_then(|()| ended_unless(&cancel, "the controllers"))
        }
        ended = &mut closing.task => {
            let ended = flat(ended.map(|ended| ended.map_err(ProductError::Gateway)));
            cancel.cancel();
            // Without sockets there is nothing left that could act.
            return ended.and_then(|()| Err(ProductError::Ended("the gateway")));
        }
        Some(ended) = tasks.join_next() => flat(ended).and_then(|()| ended_unless(&cancel, "a task")),
    };
    cancel.cancel();
    // Reconciles that run may finish; those that wait for a station do not keep us.
    if !work_ended && let Ok(ended) = tokio::time::timeout(CONTROLLERS_END, &mut work).await {
        work_ended = true;
        result = result.and(ended);
    }
    closing.gateway.shutdown(closing.drain);
    let rest = async {
        if !work_ended {
            work.await?;
        }
        flat(
            closing
                .task
                .await
                .map(|ended| ended.map_err(ProductError::Gateway)),
        )
    };
    let rest = tokio::time::timeout(ALL_END + closing.drain, rest)
        .await
        .unwrap_or(Err(ProductError::Slow));
    tasks.shutdown().await;
    result.and(rest)
}

fn flat(
    ended: Result<Result<(), ProductError>, tokio::task::JoinError>,
) -> Result<(), ProductError> {
    ended.map_err(ProductError::Join)?
}

/// A part that ended is fine only when it was asked to.
fn ended_unless(cancel: &CancellationToken, what: &'static str) -> Result<(), ProductError> {
    if cancel.is_cancelled() {
        Ok(())
    } else {
        Err(ProductError::Ended(what))
    }
}

/// Waits to lead, leads, and gives the lead up.
async fn work(mut parts: Parts) -> Result<(), ProductError> {
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
    let Some((api, election)) = election else {
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
async fn keep_warm(parts: &Parts) -> std::convert::Infallible {
    if let SourceKind::Cluster { kubernetes, .. } = &parts.source.kind {
        let (changes, mut changed) = mpsc::unbounded_channel();
        let (stores, fill) = Stores::fill(
            kubernetes.watch::<ChargeStation>(),
            kubernetes.watch::<ChargeStationConfig>(),
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
async fn lead(
    parts: &mut Parts,
    leadership: Leadership,
    cancel: CancellationToken,
) -> Result<(), ProductError> {
    let (changes, changed) = mpsc::unbounded_channel();
    let mut tasks: JoinSet<Result<(), ProductError>> = JoinSet::new();
    let mut unreadable = None;
    let mut secrets_changed = None;
    let stores = match &mut parts.source.kind {
        SourceKind::Folder {
            source, streams, ..
        } => {
            let Some(streams) = streams.take() else {
                return Err(ProductError::Ended("the folder source"));
            };
            let (stations, configs) = streams.split();
            let (stores, fill) = Stores::fill(stations, configs, changes);
            let looking = Arc::clone(source);
            unreadable = Some(unreadable_of(source));
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
        publisher: Arc::clone(&parts.source.publisher),
        connector: Arc::clone(&parts.gateway) as Arc<dyn Connector>,
        wire: Arc::new(wire),
        secrets: Arc::clone(&parts.source.secrets),
        catalogue: Catalogue::built_in(),
        leadership: leadership.clone(),
        brake: parts.lever.subscribe(),
        lives: Lives::default(),
        metrics: Arc::clone(&parts.metrics),
        settings: parts.controller.clone(),
        touched,
        sink: sinks(parts),
        ending: cancel.clone(),
        again: tokio::sync::Notify::new(),
        catalogues: Mutex::default(),
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
    let synced = Arc::clone(&parts.synced);
    spawn_until(&mut tasks, &cancel, "readiness", async move {
        stores.filled().await;
        synced.store(true, Ordering::Release);
        std::future::pending::<()>().await;
    });
    let mut stations = AbortOnDropHandle::new(tokio::spawn(run_stations(
        context,
        changed,
        asks,
        cancel.clone(),
    )));
    let result = tokio::select! {
        ended = &mut stations => {
            tasks.shutdown().await;
            return ended.map_err(ProductError::Join).and_then(|()| ended_unless(&cancel, "the station controller"));
        }
        Some(ended) = tasks.join_next() => flat(ended).and_then(|()| ended_unless(&cancel, "a part of the controllers")),
        () = cancel.cancelled() => Ok(()),
    };
    cancel.cancel();
    // Reconciles that run need the stores no more; they finish, and then everything else goes.
    let ended = match tokio::time::timeout(LAST_PASSES, &mut stations).await {
        Ok(ended) => ended.map_err(ProductError::Join),
        Err(_) => Ok(()),
    };
    tasks.shutdown().await;
    result.and(ended)
}

/// Spawns a part that runs until cancelled, or else must not end.
fn spawn_until(
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

fn unreadable_of(source: &Arc<FolderSource>) -> Arc<crate::controller::Unreadable> {
    let source = Arc::clone(source);
    Arc::new(move |config: &ObjectRef<ChargeStationConfig>| source.unreadable(config))
}

/// The safer of the two brakes counts.
async fn both_brakes(
    mut of_file: watch::Receiver<Brake>,
    mut of_map: watch::Receiver<Brake>,
    lever: Arc<BrakeLever>,
) -> Result<(), ProductError> {
    loop {
        let position = safer(*of_file.borrow_and_update(), *of_map.borrow_and_update());
        lever.set(position);
        let moved = tokio::select! {
            moved = of_file.changed() => moved,
            moved = of_map.changed() => moved,
        };
        if moved.is_err() {
            // Who held the levers is ending.
            std::future::pending::<()>().await;
        }
    }
}

async fn follow_config_map(
    maps: impl futures::Stream<Item = Option<k8s_openapi::api::core::v1::ConfigMap>>,
    lever: Arc<BrakeLever>,
) {
    use futures::StreamExt;
    let mut maps = std::pin::pin!(maps);
    while let Some(map) = maps.next().await {
        match map {
            // No ConfigMap, no brake: it is pulled by making one.
            None => lever.set(Brake::Off),
            Some(map) => match map.data.as_ref().and_then(|data| data.get("brake")) {
                Some(text) => lever.set_from(text),
                None => lever.set_from(""),
            },
        }
    }
}

/// Reads the Secrets that handshakes ask for, and all in use every ten minutes; those of files also when a file changes.
async fn read_secrets(
    context: Arc<Context>,
    mut wants: mpsc::UnboundedReceiver<(String, String)>,
    mut changed: Option<watch::Receiver<u64>>,
) {
    let mut round = tokio::time::interval(SECRETS_EVERY);
    round.reset();
    loop {
        // All three are cancel-safe.
        tokio::select! {
            want = wants.recv() => {
                let Some((namespace, name)) = want else { return };
                if context.secrets.peek(&namespace, &name).is_none() {
                    // What is wrong with it is told where it is needed.
                    let _ = context.secrets.get(&namespace, &name).await;
                }
            }
            _ = round.tick() => read_all_secrets(&context).await,
            () = next_change(&mut changed) => read_all_secrets(&context).await,
        }
    }
}

/// Waits for a change; for ever where changes are not told, as by a cluster.
async fn next_change(changed: &mut Option<watch::Receiver<u64>>) {
    if let Some(receiver) = changed
        && receiver.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

async fn read_all_secrets(context: &Context) {
    let mut names = context.secrets.names();
    names.extend(
        context
            .stores
            .stations
            .state()
            .iter()
            .flat_map(|station| secrets_of(station).collect::<Vec<_>>()),
    );
    names.sort();
    names.dedup();
    for (namespace, name) in names {
        context.secrets.refresh(&namespace, &name).await;
    }
    context.look_again();
}

/// The desired HeartbeatInterval of a station, for the answer to its BootNotification.
fn heartbeat_of(
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

fn admin_of(
    registry: Registry,
    status_anywhere: bool,
    led: &Arc<OnceLock<Arc<Context>>>,
    synced: &Arc<AtomicBool>,
    metrics: &Arc<Metrics>,
) -> Admin {
    let (document_of, gauges_of) = (Arc::clone(led), Arc::clone(led));
    let (synced, metrics) = (Arc::clone(synced), Arc::clone(metrics));
    Admin {
        registry: Mutex::new(registry),
        not_ready: Box::new(move || {
            (!synced.load(Ordering::Acquire))
                .then(|| "the local stores are not filled yet".to_owned())
        }),
        document: Box::new(move || {
            serde_json::to_string(&document(document_of.get().map(AsRef::as_ref)))
        }),
        refresh: Box::new(move || {
            if let Some(context) = gauges_of.get() {
                metrics.keys_by_state(keys_by_state(context));
            }
        }),
        status_anywhere,
    }
}

fn keys_by_state(
    context: &Context,
) -> std::collections::BTreeMap<stationkeeper_core::state::State, i64> {
    // States that no key is in any more must be told as 0.
    let mut counts: std::collections::BTreeMap<_, i64> = stationkeeper_core::state::State::ALL
        .iter()
        .map(|state| (*state, 0))
        .collect();
    for station in context.stores.stations.state() {
        let told = context
            .lives
            .peek(&ObjectRef::from_obj(station.as_ref()))
            .and_then(|cell| cell.told());
        for verdict in told.iter().flat_map(|told| told.verdicts.iter()) {
            *counts.entry(verdict.state).or_default() += 1;
        }
    }
    counts
}

/// The document of section 11 of the design; empty until this process leads.
fn document(context: Option<&Context>) -> Document {
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
fn sinks(parts: &Parts) -> Option<Arc<dyn VerdictSink>> {
    let state = match &parts.source.kind {
        SourceKind::Folder { state, .. } => Some(Arc::clone(state)),
        SourceKind::Cluster { .. } => None,
    };
    match (state, parts.sink.clone()) {
        (None, sink) => sink,
        (Some(state), sink) => Some(Arc::new(ToStateDir { state, sink })),
    }
}

struct ToStateDir {
    state: Arc<StateDir>,
    sink: Option<Arc<dyn VerdictSink>>,
}

impl VerdictSink for ToStateDir {
    fn told(
        &self,
        station: &ChargeStation,
        before: &[stationkeeper_core::plan::KeyVerdict],
        after: &[stationkeeper_core::plan::KeyVerdict],
        connected: bool,
        stale: bool,
    ) {
        // A copy for readers: the truth stands in the status files, whose failure stops writes to stations.
        if let Err(error) = self
            .state
            .write_verdicts(&StationDocument::new(station, after, connected, stale))
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to write the verdicts of a station"
            );
        }
        if let Some(sink) = &self.sink {
            sink.told(station, before, after, connected, stale);
        }
    }
}
