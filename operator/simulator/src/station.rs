//! One station: the task that owns its socket and its timers, and the handle with which others reach it.
//!
//! The task carries out the deeds that `device.rs` decides on, and tells it of what arrives, what is due and what
//! becomes of the connection. It decides nothing but when to connect again.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use rand::Rng;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::agenda::Agenda;
use crate::device::{BootReason, Deed, Deeds, Device};
use crate::fault::FaultKind;
use crate::handle::{Command, StationHandle};
use crate::link::{self, Line};
use crate::settings::StationSettings;
use crate::stats::Violation;

/// The most doublings of the pause between two attempts to connect, so that the number stays small.
const MOST_DOUBLINGS: u32 = 16;

/// How long a closing handshake may take.
const CLOSING: Duration = Duration::from_secs(1);

/// A station of the simulator.
pub struct Station;

impl Station {
    /// Starts a station: it connects, boots and answers until it is stopped or its handle is dropped. Has to be called
    /// within a tokio runtime.
    pub fn start(settings: StationSettings) -> StationHandle {
        let settings = Arc::new(settings);
        let shared = Arc::new(Shared {
            device: Mutex::new(Device::new(&settings, Instant::now())),
            commands: Mutex::default(),
            woken: Notify::new(),
            changed: Notify::new(),
        });
        let identity = settings.identity.clone();
        let task = Task {
            settings,
            shared: shared.clone(),
            agenda: Agenda::default(),
            lingering: Vec::new(),
        };
        StationHandle::new(identity, shared, tokio::spawn(task.run()))
    }
}

/// What the task and the handle share.
#[derive(Debug)]
pub(crate) struct Shared {
    device: Mutex<Device>,
    commands: Mutex<VecDeque<Command>>,
    /// There are commands.
    woken: Notify,
    /// Something happened that an observer may wait for.
    changed: Notify,
}

impl Shared {
    pub(crate) fn device(&self) -> MutexGuard<'_, Device> {
        // A panic elsewhere leaves nothing half done that matters to a simulated station.
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn command(&self, command: Command) {
        self.commands
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(command);
        self.woken.notify_one();
    }

    fn next_command(&self) -> Option<Command> {
        self.commands
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    fn told_to_stop(&self) -> bool {
        self.commands
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&Command::Stop)
    }

    pub(crate) fn changed(&self) -> &Notify {
        &self.changed
    }
}

/// What a station does once it has no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Connects after a while.
    Connect(Duration),
    /// Stays away until it is told otherwise.
    StayAway,
    /// Ends.
    Stop,
}

/// A command that is about the connection or a boot.
enum Order {
    Go(Next),
    Boot(BootReason),
}

/// A connection that the station has given up and not closed yet.
enum Lingering {
    Line(Box<Line>),
    HalfOpen(TcpStream),
}

struct Task {
    settings: Arc<StationSettings>,
    shared: Arc<Shared>,
    agenda: Agenda,
    /// Closed when their time has come.
    lingering: Vec<(Instant, Lingering)>,
}

impl Task {
    async fn run(mut self) {
        let mut next = Next::Connect(self.settings.start_after);
        let mut failures = 0;
        loop {
            next = match next {
                Next::Stop => break,
                Next::StayAway => self.wait(None).await,
                Next::Connect(after) => match self.wait(Some(Instant::now() + after)).await {
                    Next::Connect(after) if after.is_zero() => {
                        self.connect_and_serve(&mut failures).await
                    }
                    other => other,
                },
            };
        }
        for (_, lingering) in self.lingering.drain(..) {
            close_lingering(lingering).await;
        }
    }

    /// Waits without a connection; `Connect(0)` when the time has come.
    async fn wait(&mut self, until: Option<Instant>) -> Next {
        loop {
            while let Some(command) = self.shared.next_command() {
                match self.obey(command) {
                    Some(Order::Go(next)) => return next,
                    Some(Order::Boot(reason)) => return self.boot(reason),
                    None => {}
                }
            }
            let now = Instant::now();
            self.close_lingering(now).await;
            while let Some(deed) = self.agenda.take_due(now) {
                if let Deed::Boot(reason) = deed {
                    return self.boot(reason);
                }
                if let Deed::Put { key, value } = deed {
                    self.put(&key, &value);
                }
            }
            if until.is_some_and(|until| until <= now) {
                return Next::Connect(Duration::ZERO);
            }
            let wake = [until, self.next_due()].into_iter().flatten().min();
            tokio::select! {
                () = self.shared.woken.notified() => {}
                () = sleep_until(wake) => {}
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.agenda
            .next()
            .into_iter()
            .chain(self.lingering.iter().map(|(at, _)| *at))
            .min()
    }

    async fn connect_and_serve(&mut self, failures: &mut u32) -> Next {
        if self.shared.device().faults.has(FaultKind::HalfHandshake)
            && let Some(socket) = link::half_handshake(&self.settings).await
        {
            let until = Instant::now() + self.settings.pace.linger;
            self.lingering.push((until, Lingering::HalfOpen(socket)));
        }
        let password = self.shared.device().password.clone();
        // The handshake is boxed: its state would otherwise be held for as long as the station lives.
        let connected = {
            let mut connecting = pin!(Box::pin(link::connect(&self.settings, password.as_ref())));
            loop {
                tokio::select! {
                    connected = &mut connecting => break connected,
                    () = self.shared.woken.notified() => if self.shared.told_to_stop() { return Next::Stop },
                }
            }
        };
        match connected {
            Ok(line) => {
                *failures = 0;
                self.serve(Box::new(line)).await
            }
            Err(error) => {
                tracing::debug!(
                    station = self.settings.identity,
                    error = chain(&error),
                    "failed to connect"
                );
                let pause = self.pause_before_reconnect(*failures);
                *failures += 1;
                {
                    let mut device = self.shared.device();
                    device.stats.refused += 1;
                    device.stats.last_refusal = Some(chain(&error));
                }
                self.shared.changed.notify_waiters();
                Next::Connect(pause)
            }
        }
    }

    /// Doubled at each failure, with jitter of a half either way.
    fn pause_before_reconnect(&self, failures: u32) -> Duration {
        let pace = &self.settings.pace;
        let doubled = pace
            .reconnect_first
            .saturating_mul(1 << failures.min(MOST_DOUBLINGS))
            .min(pace.reconnect_longest);
        doubled.mul_f64(self.shared.device().rng.random_range(0.5..1.5))
    }

    /// Lives on one connection until it ends; says what comes next.
    async fn serve(&mut self, mut line: Box<Line>) -> Next {
        let deeds = self.shared.device().connected();
        self.shared.changed.notify_waiters();
        let ending = self.converse(&mut line, deeds).await;
        self.agenda.clear_line();
        self.shared.device().disconnected();
        self.end(line, ending).await
    }

    /// Ends a connection in the manner that belongs to why it ended.
    async fn end(&mut self, mut line: Box<Line>, ending: Ending) -> Next {
        let linger = {
            let device = self.shared.device();
            device
                .faults
                .millis(FaultKind::SecondConnection, device.pace.linger)
        };
        let next = match ending {
            Ending::Lost | Ending::Dropped => Next::Connect(self.pause_before_reconnect(0)),
            Ending::Booting(reason) => self.boot(reason),
            Ending::Told(next) => next,
        };
        match (ending, linger) {
            (Ending::Told(Next::Stop | Next::StayAway), _) => {
                close(&mut line).await;
            }
            (
                Ending::Dropped | Ending::Booting(_) | Ending::Told(Next::Connect(_)),
                Some(linger),
            ) => {
                self.lingering
                    .push((Instant::now() + linger, Lingering::Line(line)));
            }
            (
                Ending::Lost
                | Ending::Dropped
                | Ending::Booting(_)
                | Ending::Told(Next::Connect(_)),
                _,
            ) => drop(line),
        }
        self.shared.changed.notify_waiters();
        next
    }

    /// Does what is to be done and hears what comes, until the connection ends.
    async fn converse(&mut self, line: &mut Line, deeds: Deeds) -> Ending {
        if let Err(ending) = self.perform_all(line, deeds).await {
            return ending;
        }
        loop {
            if let Err(ending) = self.obey_all(line).await {
                return ending;
            }
            if let Err(ending) = self.do_what_is_due(line).await {
                return ending;
            }
            if let Err(ending) = self.make_calls(line).await {
                return ending;
            }
            let wake = self.next_due();
            // All arms are cancel-safe: the stream keeps half-read frames, and commands stay where they are.
            let message = tokio::select! {
                message = line.next() => message,
                () = self.shared.woken.notified() => continue,
                () = sleep_until(wake), if wake.is_some() => continue,
            };
            let deeds = match message {
                Some(Ok(Message::Text(text))) => {
                    self.shared.device().receive(&text, Instant::now())
                }
                Some(Ok(Message::Binary(_))) => {
                    let what = "a binary frame".to_owned();
                    self.shared
                        .device()
                        .stats
                        .violated(Violation::BadFrame { what });
                    Vec::new()
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Vec::new(),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ending::Lost,
            };
            if let Err(ending) = self.perform_all(line, deeds).await {
                return ending;
            }
            self.shared.changed.notify_waiters();
        }
    }

    async fn obey_all(&mut self, line: &mut Line) -> Result<(), Ending> {
        while let Some(command) = self.shared.next_command() {
            match self.obey(command) {
                Some(Order::Go(next)) => return Err(Ending::Told(next)),
                Some(Order::Boot(reason)) => self.perform(line, Deed::Boot(reason)).await?,
                None => {}
            }
        }
        Ok(())
    }

    async fn do_what_is_due(&mut self, line: &mut Line) -> Result<(), Ending> {
        let now = Instant::now();
        if !self.lingering.is_empty() {
            self.close_lingering(now).await;
        }
        while let Some(deed) = self.agenda.take_due(now) {
            self.perform(line, deed).await?;
        }
        Ok(())
    }

    /// Sends the calls of the station's own that may go out now.
    async fn make_calls(&mut self, line: &mut Line) -> Result<(), Ending> {
        let now = Instant::now();
        let Some((text, limit)) = self.shared.device().next_call(now) else {
            return Ok(());
        };
        if let Some((after, deed)) = limit {
            self.agenda.add(now + after, deed);
        }
        say(line, Message::text(text)).await
    }

    /// Does at once what has no delay, and puts the rest on the agenda.
    async fn perform_all(&mut self, line: &mut Line, deeds: Deeds) -> Result<(), Ending> {
        for (after, deed) in deeds {
            if after.is_zero() {
                self.perform(line, deed).await?;
            } else {
                self.agenda.add(Instant::now() + after, deed);
            }
        }
        Ok(())
    }

    async fn perform(&mut self, line: &mut Line, deed: Deed) -> Result<(), Ending> {
        match deed {
            Deed::Answer(text) => {
                self.shared.device().answered();
                say(line, Message::text(text)).await
            }
            Deed::ForgetAnswers => {
                self.agenda.forget_answers();
                Ok(())
            }
            Deed::Say(text) => say(line, Message::text(text)).await,
            Deed::SayBinary(bytes) => say(line, Message::binary(bytes)).await,
            Deed::Ping => say(line, Message::Ping(Default::default())).await,
            Deed::Drop => Err(Ending::Dropped),
            Deed::Boot(reason) if self.shared.device().faults.has(FaultKind::KeepsLineAtBoot) => {
                self.agenda.clear_line();
                let deeds = {
                    let mut device = self.shared.device();
                    device.boot(reason);
                    device.came_back_on_the_line()
                };
                for (after, deed) in deeds {
                    self.agenda.add(Instant::now() + after, deed);
                }
                self.shared.changed.notify_waiters();
                Ok(())
            }
            Deed::Boot(reason) => Err(Ending::Booting(reason)),
            Deed::Put { key, value } => {
                self.put(&key, &value);
                Ok(())
            }
            Deed::Tick(tick) => {
                let deeds = self.shared.device().tick(tick);
                for (after, deed) in deeds {
                    if deed == Deed::Ping {
                        say(line, Message::Ping(Default::default())).await?;
                    } else {
                        self.agenda.add(Instant::now() + after, deed);
                    }
                }
                Ok(())
            }
        }
    }

    fn put(&self, key: &str, value: &str) {
        self.shared.device().keys.put(key, value);
        self.shared.changed.notify_waiters();
    }

    fn boot(&mut self, reason: BootReason) -> Next {
        self.agenda.clear_line();
        self.shared.device().boot(reason);
        self.shared.changed.notify_waiters();
        Next::Connect(self.settings.pace.boot.max(Duration::from_millis(1)))
    }

    /// Carries out a command; `Some` where it is about the connection or a boot.
    fn obey(&mut self, command: Command) -> Option<Order> {
        let now = Instant::now();
        match command {
            Command::Stop => return Some(Order::Go(Next::Stop)),
            Command::Disconnect => return Some(Order::Go(Next::StayAway)),
            Command::Connect => {
                let connected = self.shared.device().stats.connected;
                return (!connected).then_some(Order::Go(Next::Connect(Duration::ZERO)));
            }
            Command::ConnectAgain => {
                return Some(Order::Go(Next::Connect(self.pause_before_reconnect(0))));
            }
            Command::Boot(reason) => return Some(Order::Boot(reason)),
            Command::UpdateFirmware { version, resets } => {
                self.shared.device().update_firmware(version, &resets);
                return Some(Order::Boot(BootReason::FirmwareUpdate));
            }
            Command::SetConnector(connector, state) => {
                self.shared.device().set_connector(connector, state)
            }
            Command::BeginTransaction { connector, id_tag } => {
                self.shared.device().begin_session(connector, &id_tag, now);
            }
            Command::EndTransaction { connector } => {
                let deeds = self.shared.device().end_session(connector, "Local", now);
                deeds
                    .into_iter()
                    .for_each(|(after, deed)| self.agenda.add(now + after, deed));
            }
            Command::Say(text) => self.agenda.add(now, Deed::Say(text)),
            Command::Look => {}
        }
        self.shared.changed.notify_waiters();
        None
    }

    async fn close_lingering(&mut self, now: Instant) {
        let (due, kept) = std::mem::take(&mut self.lingering)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.lingering = kept;
        let due: Vec<(Instant, Lingering)> = due;
        for (_, lingering) in due {
            close_lingering(lingering).await;
        }
    }
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The peer or the network ended it.
    Lost,
    /// The station dropped it without closing.
    Dropped,
    /// The station boots.
    Booting(BootReason),
    /// The station was told what to do next.
    Told(Next),
}

async fn say(line: &mut Line, message: Message) -> Result<(), Ending> {
    line.send(message).await.map_err(|_| Ending::Lost)
}

/// Closes a connection as RFC 6455 (section 7.1.2) says: a Close frame, then the peer's.
async fn close(line: &mut Line) {
    let closing = async {
        if line.close(None).await.is_ok() {
            while let Some(Ok(_)) = line.next().await {}
        }
    };
    tokio::time::timeout(CLOSING, closing).await.ok();
}

async fn close_lingering(lingering: Lingering) {
    match lingering {
        // The close frame goes out; nobody waits for the peer's, since the station lives on another connection.
        Lingering::Line(mut line) => {
            tokio::time::timeout(CLOSING, (*line).close(None))
                .await
                .ok();
        }
        Lingering::HalfOpen(socket) => drop(socket),
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
