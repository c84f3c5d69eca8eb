//! The gateway: our OCPP-J 1.6 endpoint, stand-alone, and the first [`Connector`].
//!
//! Stations connect to it; controllers reach them through it. It knows frames, registration and who is connected;
//! what keys mean is not its business. The story of one connection, in order of reading: `handshake` →
//! `session` (one task, one socket, read through `intake`) → `answering` for what the station asks, `station` for what is
//! asked of it.
//!
//! Memory is measured in stations: buffers are small and given back, there is no channel per station, and the handshake's
//! task is gone when the lean one that serves begins.

mod activity;
mod answering;
pub mod authorize;
mod certificate;
mod handshake;
mod intake;
pub mod journal;
mod metrics;
mod pace;
mod session;
mod settings;
mod station;
pub mod tls;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::registry::Registry;
use stationkeeper_core::station::Capabilities;
use stationkeeper_core::words::Device;
use stationkeeper_ocpp::answer::Registration;
use stationkeeper_ocpp::frame;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::connector::{
    Admission, Call, CallResult, Connector, Directory, Identity, Pending, Presence, StationEvent,
};
pub use settings::{Authorize, GatewaySettings, Limits, TlsFiles};

/// The subprotocol that we speak.
pub const SUBPROTOCOL: &str = "ocpp1.6";

/// What the WebSocket library takes from [`intake`] at once, and the memory that it begins with. It takes a new piece for
/// each frame, and from a piece that is smaller than 1 KiB no larger one than it needs.
const READ_BUFFER: usize = 256;

/// How long a shutdown waits for connections to close after the drain.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(6);

/// Why a gateway cannot start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The port.
    #[error(
        "failed to listen for stations on {address}; another process may use the port: choose one with --gateway-listen"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The certificate.
    #[error("failed to set up TLS for stations")]
    Tls(#[source] tls::TlsError),
    /// The policy.
    #[error("failed to set up --authorize")]
    Authorize(#[source] authorize::ReadTags),
    /// The journal.
    #[error("failed to set up --journal")]
    Journal(#[source] journal::JournalError),
    /// A policy without a journal.
    #[error("--authorize needs --journal: transactions are stored before they are answered")]
    NoJournal,
    /// A task of the gateway.
    #[error("a task of the gateway ended unexpectedly")]
    Task(#[source] tokio::task::JoinError),
    /// The writer of the journal.
    #[error("the journal's writer ended unexpectedly")]
    JournalEnded,
}

/// A gateway that has started.
pub struct Started {
    /// The connector.
    pub gateway: Arc<Gateway>,
    /// Where it listens: the port that was given, if 0 was asked for.
    pub address: SocketAddr,
    /// Ends when the gateway was shut down, or with what went wrong.
    pub task: JoinHandle<Result<(), GatewayError>>,
}

/// The gateway as controllers see it.
pub struct Gateway {
    shared: Arc<Shared>,
    stop: CancellationToken,
    drain: Mutex<Duration>,
}

/// What all connections share.
struct Shared {
    settings: GatewaySettings,
    directory: Arc<dyn Directory>,
    policy: Option<authorize::Policy>,
    journal: Option<journal::Journal>,
    metrics: metrics::Metrics,
    stations: RwLock<HashMap<Identity, Arc<station::Station>>>,
    sessions: AtomicU64,
    /// The highest epoch that was seen.
    epoch: AtomicU64,
    /// Stations that have something to tell.
    news: Mutex<VecDeque<Arc<station::Station>>>,
    news_came: Notify,
    /// Set for good when the gateway shuts down.
    stopping: AtomicBool,
    web_socket: WebSocketConfig,
    tasks: TaskTracker,
}

impl Gateway {
    /// Opens everything that can fail, listens, and serves in tasks of its own until [`Gateway::shutdown`].
    pub async fn start(
        settings: GatewaySettings,
        directory: Arc<dyn Directory>,
        registry: &mut Registry,
    ) -> Result<Started, GatewayError> {
        let tls = settings
            .tls
            .clone()
            .map(tls::Tls::load)
            .transpose()
            .map_err(GatewayError::Tls)?;
        let policy = settings
            .authorize
            .as_ref()
            .map(authorize::Policy::load)
            .transpose()
            .map_err(GatewayError::Authorize)?;
        if policy.is_some() && settings.journal.is_none() {
            return Err(GatewayError::NoJournal);
        }
        let listen = |source| GatewayError::Listen {
            address: settings.listen,
            source,
        };
        let listener = TcpListener::bind(settings.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let opened = match (&policy, &settings.journal) {
            (Some(_), Some(path)) => {
                Some(journal::Journal::open(path).map_err(GatewayError::Journal)?)
            }
            (Some(_), None) | (None, _) => None,
        };
        let (journal, writer) = opened.unzip();
        let limits = &settings.limits;
        let web_socket = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(limits.message.max(64 * 1024))
            .max_message_size(Some(limits.message))
            .max_frame_size(Some(limits.message));
        let shared = Arc::new(Shared {
            directory,
            policy,
            journal,
            metrics: metrics::Metrics::new(registry),
            stations: RwLock::default(),
            sessions: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            news: Mutex::default(),
            news_came: Notify::new(),
            stopping: AtomicBool::new(false),
            web_socket,
            tasks: TaskTracker::new(),
            settings,
        });
        shared.tell_certificate(tls.as_ref());
        let gateway = Arc::new(Self {
            shared,
            stop: CancellationToken::new(),
            drain: Mutex::new(Duration::ZERO),
        });
        let task = tokio::spawn(run(
            Arc::clone(&gateway),
            listener,
            tls.map(Arc::new),
            writer,
        ));
        tracing::info!(%address, tls = gateway.shared.settings.tls.is_some(), "listening for stations");
        Ok(Started {
            gateway,
            address,
            task,
        })
    }

    /// Takes no more connections, closes those that are there, spread over `drain` so that no herd comes back at once,
    /// and ends the task of [`Started`]. Await that task to know that all is done: at most 9 seconds after the drain.
    pub fn shutdown(&self, drain: Duration) {
        *self.drain.lock().unwrap_or_else(PoisonError::into_inner) = drain;
        self.stop.cancel();
    }

    /// How many stations are connected.
    pub fn connections(&self) -> usize {
        let stations = self
            .shared
            .stations
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        stations
            .values()
            .filter(|station| station.is_connected())
            .count()
    }
}

impl Shared {
    fn tell_certificate(&self, tls: Option<&tls::Tls>) {
        let end = tls.and_then(tls::Tls::not_after).unwrap_or_default();
        self.metrics.certificate_not_after.set(end);
    }

    fn station(&self, identity: &Identity) -> Option<Arc<station::Station>> {
        self.stations
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(identity)
            .cloned()
    }

    /// Only for identities that the directory knows: entries last as long as the process.
    fn station_or_new(&self, identity: &Identity) -> Arc<station::Station> {
        if let Some(station) = self.station(identity) {
            return station;
        }
        let mut stations = self
            .stations
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(station::Station::new(identity.clone()));
        Arc::clone(stations.entry(identity.clone()).or_insert_with(new))
    }

    /// May a station stay that was admitted when its handshake began? Whoever refused or forgot it meanwhile found no
    /// connection to close.
    fn still_admits(&self, station: &Arc<station::Station>) -> bool {
        let known = self.station(&station.identity);
        known.is_some_and(|known| Arc::ptr_eq(&known, station))
            && match self.directory.admit(&station.identity) {
                Admission::Unknown | Admission::Refused(_) => false,
                Admission::NotReady | Admission::Open | Admission::Password(_) => true,
            }
    }

    /// Queues a station that has something new to tell.
    fn tell(&self, station: &station::Station, told: station::Told) {
        match told {
            station::Told::No => {}
            station::Told::Queue => {
                let Some(station) = self.station(&station.identity) else {
                    return;
                };
                self.news
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_back(station);
                self.news_came.notify_one();
            }
        }
    }

    fn next_news(&self) -> Option<Identity> {
        let station = self
            .news
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()?;
        station.unqueued();
        Some(station.identity.clone())
    }

    async fn call(&self, identity: &Identity, call: Call) -> CallResult {
        let Call {
            id,
            action,
            payload,
            timeout,
            epoch,
        } = call;
        if self.epoch.fetch_max(epoch, Ordering::AcqRel) > epoch {
            return CallResult::NotDelivered("a newer leader has spoken".to_owned());
        }
        if self.stopping.load(Ordering::Acquire) {
            return CallResult::NotDelivered("the gateway is shutting down".to_owned());
        }
        let Some(station) = self.station(identity) else {
            return CallResult::Offline;
        };
        let mut buffer = Uuid::encode_buffer();
        let text = frame::call_text(
            id.hyphenated().encode_lower(&mut buffer),
            action,
            payload.get(),
        );
        let asks_for_boot =
            action == "TriggerMessage" && payload.get().contains("\"BootNotification\"");
        let (reply, answer) = oneshot::channel();
        let outgoing = Box::new(station::Outgoing {
            id,
            text,
            timeout,
            asks_for_boot,
            reply,
        });
        match station.submit(outgoing) {
            // Every connection answers its calls, at the latest when it ends.
            Ok(()) => answer.await.unwrap_or(CallResult::Disconnected),
            Err((result, _)) => result,
        }
    }
}

impl Connector for Gateway {
    fn capabilities(&self, _identity: &Identity) -> Capabilities {
        Capabilities {
            read: true,
            write: true,
            reset: true,
            boot_events: true,
            transaction_state: true,
        }
    }

    fn presence(&self, identity: &Identity) -> Option<Presence> {
        self.shared
            .station(identity)
            .map(|station| station.presence(Instant::now()))
    }

    fn call<'a>(&'a self, identity: &'a Identity, call: Call) -> Pending<'a, CallResult> {
        Box::pin(async move {
            let action = call.action;
            let result = self.shared.call(identity, call).await;
            self.shared.metrics.called(action, &result);
            result
        })
    }

    fn remember(
        &self,
        identity: &Identity,
        device: &Device,
        firmware: Option<&str>,
        registration: Option<&str>,
    ) {
        let registration = registration.and_then(Registration::read);
        self.shared
            .station_or_new(identity)
            .remember(device, firmware, registration);
    }

    fn announce_connectors(&self, identity: &Identity, count: u32) {
        if let Some(station) = self.shared.station(identity) {
            station.announce_connectors(count);
        }
    }

    fn disconnect(&self, identity: &Identity) {
        if let Some(station) = self.shared.station(identity) {
            station.ask_to_close(station::Closing::Refused);
        }
    }

    fn forget(&self, identity: &Identity) {
        let forgotten = self
            .shared
            .stations
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(identity);
        if let Some(station) = forgotten {
            station.ask_to_close(station::Closing::Refused);
        }
    }

    fn take_events(&self, identity: &Identity) -> Vec<StationEvent> {
        self.shared
            .station(identity)
            .map(|station| station.take_events())
            .unwrap_or_default()
    }

    fn wake(&self) -> Pending<'_, Identity> {
        Box::pin(async move {
            loop {
                // Taken before waiting, and `notify_one` keeps one wake-up: none is lost, also when this is dropped.
                if let Some(identity) = self.shared.next_news() {
                    return identity;
                }
                self.shared.news_came.notified().await;
            }
        })
    }
}

/// Accepts until told to stop, then closes everything.
async fn run(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    tls: Option<Arc<tls::Tls>>,
    writer: Option<JoinHandle<()>>,
) -> Result<(), GatewayError> {
    let shared = Arc::clone(&gateway.shared);
    let reload = tokio::spawn(watch_files(
        Arc::clone(&shared),
        tls.clone(),
        gateway.stop.clone(),
    ));
    let mut writer = writer;
    let ended = tokio::select! {
        () = accept(&shared, &listener, tls.as_ref()) => Ok(()),
        () = gateway.stop.cancelled() => Ok(()),
        result = async { match &mut writer { Some(writer) => writer.await, None => std::future::pending().await } } => {
            writer = None;
            result.map_err(GatewayError::Task).and(Err(GatewayError::JournalEnded))
        }
    };
    drop(listener);
    gateway.stop.cancel();
    let drain = *gateway.drain.lock().unwrap_or_else(PoisonError::into_inner);
    close_all(&shared, drain).await;
    reload.await.map_err(GatewayError::Task)?;
    if let (Some(journal), Some(writer)) = (&shared.journal, writer) {
        journal.stop().await;
        writer.await.map_err(GatewayError::Task)?;
    }
    ended
}

/// Accepts connections. Each handshake is a task of its own, so that a slow one holds up nobody.
async fn accept(shared: &Arc<Shared>, listener: &TcpListener, tls: Option<&Arc<tls::Tls>>) {
    let connections = Arc::new(Semaphore::new(shared.settings.limits.connections));
    let handshakes = Arc::new(Semaphore::new(shared.settings.limits.handshakes));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: it passes when others close.
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "failed to accept a connection"
                );
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let permits = (
            Arc::clone(&connections).try_acquire_owned(),
            Arc::clone(&handshakes).try_acquire_owned(),
        );
        let (Ok(connection), Ok(handshake)) = permits else {
            turn_away(shared, &stream, tls.is_some());
            continue;
        };
        let acceptor = tls.map(|tls| tls.acceptor());
        let greeting = greet(Arc::clone(shared), stream, acceptor, connection);
        let limit = shared.settings.limits.handshake;
        let metrics = shared.metrics.clone();
        let greeting = async move {
            if tokio::time::timeout(limit, greeting).await.is_err() {
                metrics.handshake("timed_out");
                tracing::info!("a client did not finish its handshake in time");
            }
            drop(handshake);
        };
        shared
            .tasks
            .spawn(greeting.instrument(tracing::info_span!("handshake", %peer)));
    }
}

/// Too many connections. In the clear the client is told so; with TLS that would take a handshake.
fn turn_away(shared: &Shared, stream: &TcpStream, tls: bool) {
    shared.metrics.handshake("too_many");
    if !tls {
        let answer = format!(
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            come_back().as_secs()
        );
        // What does not fit into the socket's buffer at once is not worth waiting for.
        let _ = stream.try_write(answer.as_bytes());
    }
}

/// When a station that has to wait may come back: spread, so that they do not all come at once.
fn come_back() -> Duration {
    Duration::from_secs(rand::random_range(5..=30))
}

/// TLS, the handshake, and then the task that serves.
async fn greet(
    shared: Arc<Shared>,
    stream: TcpStream,
    acceptor: Option<tokio_rustls::TlsAcceptor>,
    connection: OwnedSemaphorePermit,
) {
    // Small frames in both directions: waiting to fill a segment only costs time. Without it things still work.
    let _ = stream.set_nodelay(true);
    let mut socket = match acceptor {
        None => tls::Socket::Plain(stream),
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => tls::Socket::Tls(Box::new(stream)),
            Err(error) => {
                shared.metrics.handshake("tls");
                tracing::info!(
                    error = &error as &dyn std::error::Error,
                    "a TLS handshake failed"
                );
                return;
            }
        },
    };
    let Some(greeted) = handshake::greet(&shared, &mut socket).await else {
        return;
    };
    let handshake::Greeted {
        identity,
        credential,
        agreed,
        rest,
    } = greeted;
    let intake = intake::Intake::new(socket, rest);
    let mut socket =
        WebSocketStream::from_raw_socket(intake, Role::Server, Some(shared.web_socket)).await;
    if !agreed {
        session::close(
            &mut socket,
            CloseCode::Protocol,
            "no common subprotocol: offer ocpp1.6",
        )
        .await;
        return;
    }
    let station = shared.station_or_new(&identity);
    let number = shared.sessions.fetch_add(1, Ordering::Relaxed) + 1;
    let settle = shared.settings.limits.reconnect_settle;
    let told = station.open(number, credential.as_ref(), Instant::now(), settle);
    shared.tell(&station, told);
    if !shared.still_admits(&station) {
        station.ask_to_close(station::Closing::Refused);
    }
    if shared.stopping.load(Ordering::Acquire) {
        // It came in while the others were being closed.
        station.ask_to_close(station::Closing::Shutdown);
    }
    let tasks = shared.tasks.clone();
    let session = session::Session::boxed(shared, station, number, socket, connection);
    tasks.spawn(session::serve(session));
}

/// Looks at files for changes until told to stop.
async fn watch_files(shared: Arc<Shared>, tls: Option<Arc<tls::Tls>>, stop: CancellationToken) {
    let tags: Option<PathBuf> = match &shared.settings.authorize {
        Some(Authorize::File(path)) => Some(path.clone()),
        Some(Authorize::Any) | None => None,
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(shared.settings.reload) => {}
        }
        if let Some(tls) = &tls {
            tls.reload();
            shared.tell_certificate(Some(tls));
        }
        if let (Some(policy), Some(path)) = (&shared.policy, &tags)
            && let Err(error) = policy.reload(path)
        {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the id tags cannot be read anew; what was read before holds"
            );
        }
    }
}

/// Closes all connections, spread over `drain`, and waits for their tasks.
async fn close_all(shared: &Shared, drain: Duration) {
    shared.stopping.store(true, Ordering::Release);
    let connected: Vec<Arc<station::Station>> = {
        let stations = shared
            .stations
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        stations
            .values()
            .filter(|station| station.is_connected())
            .cloned()
            .collect()
    };
    let started = Instant::now();
    let count = u32::try_from(connected.len()).unwrap_or(u32::MAX).max(1);
    for (index, station) in (0_u32..).zip(connected) {
        tokio::time::sleep_until(started + drain / count * index).await;
        station.ask_to_close(station::Closing::Shutdown);
    }
    shared.tasks.close();
    if tokio::time::timeout(SHUTDOWN_WAIT, shared.tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            connections = shared.tasks.len(),
            "some connections did not close in time and are dropped"
        );
    }
}
