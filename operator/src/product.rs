//! The product: source, gateway, controllers and admin port put together, for `run`, the demo, tests and benchmarks.
//!
//! In come settings; out comes a [`Running`] product. Every task is joined; one that ends unexpectedly ends the whole.

mod brakes;
mod clock_watch;
mod lead;
mod registration;
mod secrets;
mod settings;
mod told;

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::registry::Registry;
use secrecy::SecretSlice;
use stationkeeper_core::station::Brake;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::brakes::both_brakes;
use self::clock_watch::watch_clock;
use self::lead::{Parts, work};
pub use self::settings::{
    ClusterSettings, ProductError, ProductSettings, Register, SourceSettings,
};
use self::told::{admin_of, document};
use crate::admin;
use crate::admission::ObjectDirectory;
use crate::audit::Audit;
use crate::brake::{BrakeLever, safer};
use crate::connector::{Admission, Connector, Directory, Identity};
use crate::controller::Context;
use crate::document::Document;
use crate::folder::{FolderSource, StateDir};
use crate::gateway::{Gateway, GatewayError};
use crate::kubernetes::{Kubernetes, digest_key};
use crate::metrics::{CountedSecrets, Metrics};
use crate::pace::Pace;
use crate::secret_cache::SecretCache;
use crate::source::{Publisher, Secrets};
use crate::wire::Wire;

/// How long running reconciles may take to end after a shutdown was asked for, before sockets are closed under them.
const CONTROLLERS_END: Duration = Duration::from_secs(2);

/// How long everything may take to end after that; the whole stays within ten seconds.
const ALL_END: Duration = Duration::from_secs(7);

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

    fn register(&self, identity: &Identity) -> bool {
        let directory = self.0.get();
        directory.is_some_and(|directory| directory.register(identity))
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
    let source = open(settings.source, &metrics).await?;
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
    let (counted, watched) = (Arc::clone(&metrics), cancel.clone());
    tasks.spawn(async move {
        watch_clock(counted).await;
        ended_unless(&watched, "the watch on the clock")
    });
    tasks.spawn(both_brakes(
        of_file.subscribe(),
        of_map.subscribe(),
        Arc::clone(&lever),
    ));
    let parts = Parts {
        source,
        gateway: Arc::clone(&started.gateway),
        directory,
        metrics: Arc::clone(&metrics),
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
            meter: Some(metrics.meter()),
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

async fn open(settings: SourceSettings, metrics: &Metrics) -> Result<Source, ProductError> {
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
                secrets: secrets(Arc::clone(&source) as Arc<dyn Secrets>, key, metrics),
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
                settings.watch_namespaces.clone(),
                settings.instance.clone(),
            ));
            Ok(Source {
                publisher: Arc::clone(&kubernetes) as Arc<dyn Publisher>,
                secrets: secrets(Arc::clone(&kubernetes) as Arc<dyn Secrets>, key, metrics),
                kind: SourceKind::Cluster {
                    kubernetes,
                    settings,
                },
            })
        }
    }
}

fn secrets(source: Arc<dyn Secrets>, key: SecretSlice<u8>, metrics: &Metrics) -> Arc<SecretCache> {
    let counted = CountedSecrets {
        source,
        reads: metrics.secrets.clone(),
    };
    Arc::new(SecretCache::new(Arc::new(counted), key))
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
    let (mut work_ended, mut gateway_ended) = (false, false);
    let mut result = tokio::select! {
        () = cancel.cancelled() => Ok(()),
        ended = &mut work => {
            work_ended = true;
            ended.and_then(|()| ended_unless(&cancel, "the controllers"))
        }
        ended = &mut closing.task => {
            gateway_ended = true;
            let ended = flat(ended.map(|ended| ended.map_err(ProductError::Gateway)));
            ended.and_then(|()| Err(ProductError::Ended("the gateway")))
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
        // However the controllers end: stations are told goodbye.
        let worked = if work_ended { Ok(()) } else { work.await };
        let closed = if gateway_ended {
            Ok(())
        } else {
            let ended = closing.task.await;
            flat(ended.map(|ended| ended.map_err(ProductError::Gateway)))
        };
        worked.and(closed)
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
