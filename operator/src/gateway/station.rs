//! One station as the gateway knows it: its connection, the calls that wait for it, what it said of itself, and the
//! events that the controllers have not taken yet.
//!
//! Everything here is bookkeeping behind one short lock; sockets belong to [`super::session`]. Each connection has a
//! number, and whoever speaks for a connection that is not the current one is not heard: that is how late events of a
//! replaced connection are kept out.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use stationkeeper_core::event::{End, Event};
use stationkeeper_core::words::Device;
use stationkeeper_ocpp::answer::Registration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::activity::Connectors;
use super::pace::Pace;
use crate::connector::{CallResult, Credential, Identity, Presence, StationEvent};

/// Events that are kept for controllers that do not take them. The oldest go first: what is lost is the proof of a boot,
/// which leaves a Reset owed for longer, and never one forgotten.
const MAX_EVENTS: usize = 64;

/// A firmware update or an upload that never ends is believed for a day (design, section 7).
const BUSY_FOR: Duration = Duration::from_hours(24);

/// A BootNotification right after connecting is a boot; one that comes later, while the station waits to be accepted, is
/// its retry.
const BOOT_AFTER_CONNECT: Duration = Duration::from_secs(20);

/// One station, for as long as the process lives.
pub(super) struct Station {
    pub(super) identity: Identity,
    state: Mutex<State>,
}

struct State {
    /// The current connection.
    link: Option<Box<Link>>,
    /// Why the connection before it ended; `None`: none was seen.
    former_end: Option<End>,
    ended_at: Option<Instant>,
    registration: Option<Registration>,
    device: Option<Arc<Device>>,
    firmware: Option<Arc<str>>,
    connectors: Connectors,
    updating_until: Option<Instant>,
    uploading_until: Option<Instant>,
    /// The credential that was last seen working.
    working: Option<Box<Credential>>,
    connects: Option<Pace>,
    events: Vec<StationEvent>,
    /// The station stands in the queue of those with something to tell.
    queued: bool,
}

/// One connection.
struct Link {
    session: u64,
    opened: Instant,
    authenticated: bool,
    bootstrap: bool,
    calls: VecDeque<Box<Outgoing>>,
    in_flight: Option<InFlight>,
    /// The last call that was given up, so that its late answer is known as such.
    given_up: Option<Uuid>,
    boots: u32,
    boot_triggered: bool,
    closing: Option<Closing>,
    waker: Option<Waker>,
}

/// A call that waits to be sent.
pub(super) struct Outgoing {
    pub(super) id: Uuid,
    pub(super) text: String,
    pub(super) timeout: Duration,
    /// It provokes a BootNotification; and it needs no registration.
    pub(super) asks_for_boot: bool,
    pub(super) reply: oneshot::Sender<CallResult>,
}

struct InFlight {
    id: Uuid,
    deadline: Instant,
    reply: oneshot::Sender<CallResult>,
}

/// Why a connection is to be closed by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// A newer connection took its place.
    Superseded,
    /// The process ends.
    Shutdown,
    /// The station's object is gone or refused, or its credentials changed.
    Refused,
}

/// What the owner of the socket is to do next.
pub(super) enum Order {
    /// Send this text; it is in flight from now on.
    Send {
        id: Uuid,
        text: String,
        timeout: Duration,
    },
    /// Close the connection.
    Close(Closing),
}

/// Whose answer it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Of the call in flight.
    Matched,
    /// Of the call that was given up last.
    Late,
    /// Of no call of ours on this connection.
    Foreign,
}

/// A BootNotification, as the gateway tells of it.
pub(super) struct Booted {
    pub(super) device: Device,
    pub(super) firmware: Option<String>,
    /// What it was answered; `None`: the answer could not be sent.
    pub(super) answered: Option<Registration>,
}

impl Station {
    pub(super) fn new(identity: Identity) -> Self {
        let state = State {
            link: None,
            former_end: None,
            ended_at: None,
            registration: None,
            device: None,
            firmware: None,
            connectors: Connectors::default(),
            updating_until: None,
            uploading_until: None,
            working: None,
            connects: None,
            events: Vec::new(),
            queued: false,
        };
        Self {
            identity,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves at worst one fact unset; refusing the station for ever would be worse.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what status remembers, unless the station has been seen.
    pub(super) fn remember(
        &self,
        device: &Device,
        firmware: Option<&str>,
        registration: Option<Registration>,
    ) {
        let mut state = self.state();
        if state.device.is_none() && *device != Device::default() {
            state.device = Some(Arc::new(device.clone()));
            state.firmware = firmware.map(Arc::from);
        }
        if state.registration.is_none() {
            state.registration = registration;
        }
    }

    /// The credential that was last seen working.
    pub(super) fn working_credential(&self) -> Option<Credential> {
        self.state().working.as_deref().cloned()
    }

    /// May it connect once more now? `Err`: after how long.
    pub(super) fn pace_connect(
        &self,
        burst: u32,
        every: Duration,
        now: Instant,
    ) -> Result<(), Duration> {
        self.state()
            .connects
            .get_or_insert_with(|| Pace::full(now))
            .take(burst, every, now)
    }

    /// A connection is open; one that was before it is closed.
    pub(super) fn open(
        &self,
        session: u64,
        credential: Option<&Credential>,
        now: Instant,
        reconnect_settle: Duration,
    ) -> Told {
        let mut state = self.state();
        let state = &mut *state;
        if state
            .link
            .as_ref()
            .is_some_and(|link| link.session > session)
        {
            // A newer handshake overtook this one: its owner finds that it is not the current one, and ends.
            return Told::No;
        }
        let superseded = state.end(&self.identity, End::Superseded, now);
        let bootstrap = credential.is_some_and(|credential| credential.bootstrap);
        if let Some(credential) = credential
            && !credential.bootstrap
        {
            state.working = Some(Box::new(credential.clone()));
        }
        if bootstrap {
            state.registration = None;
        }
        state.connectors.reconnected(state.ended_at, now);
        state.connectors.not_before(now + reconnect_settle);
        state.link = Some(Box::new(Link {
            session,
            opened: now,
            authenticated: credential.is_some(),
            bootstrap,
            calls: VecDeque::new(),
            in_flight: None,
            given_up: None,
            boots: 0,
            boot_triggered: false,
            closing: None,
            waker: None,
        }));
        let event = Event::Connected {
            former_end: state.former_end,
            bootstrap,
        };
        superseded.or(state.tell(&self.identity, session, event))
    }

    /// The connection has ended.
    pub(super) fn close(&self, session: u64, end: End, now: Instant) -> Told {
        let mut state = self.state();
        if state.current(session).is_none() {
            return Told::No;
        }
        state.end(&self.identity, end, now)
    }

    /// Asks the owner of the connection, if there is one, to close it.
    pub(super) fn ask_to_close(&self, closing: Closing) {
        let mut state = self.state();
        if let Some(link) = &mut state.link {
            link.closing = Some(closing);
            link.wake();
        }
    }

    /// Takes a call for the current connection. `Err`: gives back what it is answered.
    pub(super) fn submit(&self, call: Box<Outgoing>) -> Result<(), (CallResult, Box<Outgoing>)> {
        let mut state = self.state();
        let registration = state.registration;
        let Some(link) = &mut state.link else {
            return Err((CallResult::Offline, call));
        };
        let why = match (link.closing, registration) {
            (Some(Closing::Superseded | Closing::Refused), _) => "the connection is being closed",
            (Some(Closing::Shutdown), _) => "the gateway is shutting down",
            (None, Some(Registration::Accepted | Registration::Pending)) => "",
            (None, Some(Registration::Rejected)) => "the station's BootNotification was rejected",
            // It may be asked to introduce itself (OCPP 1.6 edition 2, section 5.17).
            (None, None) if call.asks_for_boot => "",
            (None, None) => "the station has not sent a BootNotification yet",
        };
        if !why.is_empty() {
            return Err((CallResult::NotDelivered(why.to_owned()), call));
        }
        link.calls.push_back(call);
        link.wake();
        Ok(())
    }

    /// What the owner of the connection is to do next. `Close(Superseded)` if the connection is not the current one.
    pub(super) fn poll_order(&self, session: u64, cx: &mut Context<'_>) -> Poll<Order> {
        let mut state = self.state();
        let Some(link) = state.current(session) else {
            return Poll::Ready(Order::Close(Closing::Superseded));
        };
        if let Some(closing) = link.closing {
            return Poll::Ready(Order::Close(closing));
        }
        if link.in_flight.is_none() {
            while let Some(call) = link.calls.pop_front() {
                let Outgoing {
                    id,
                    text,
                    timeout,
                    asks_for_boot,
                    reply,
                } = *call;
                if reply.is_closed() && !asks_for_boot {
                    continue;
                }
                link.boot_triggered |= asks_for_boot;
                link.in_flight = Some(InFlight {
                    id,
                    deadline: Instant::now() + timeout,
                    reply,
                });
                return Poll::Ready(Order::Send { id, text, timeout });
            }
        }
        link.listen(cx);
        Poll::Pending
    }

    /// Must the owner of the connection stop what it is doing?
    pub(super) fn poll_closing(&self, session: u64, cx: &mut Context<'_>) -> Poll<Closing> {
        let mut state = self.state();
        let Some(link) = state.current(session) else {
            return Poll::Ready(Closing::Superseded);
        };
        match link.closing {
            Some(closing) => Poll::Ready(closing),
            None => {
                link.listen(cx);
                Poll::Pending
            }
        }
    }

    /// The call has left: its limit counts from now.
    pub(super) fn sent(&self, session: u64, id: Uuid, deadline: Instant) {
        let mut state = self.state();
        if let Some(in_flight) = state
            .current(session)
            .and_then(|link| link.in_flight.as_mut())
            && in_flight.id == id
        {
            in_flight.deadline = deadline;
        }
    }

    /// Hands an answer to whoever made the call.
    pub(super) fn reply(&self, session: u64, id: &str, result: CallResult) -> Reply {
        let Ok(id) = Uuid::try_parse(id) else {
            return Reply::Foreign;
        };
        let mut state = self.state();
        let Some(link) = state.current(session) else {
            return Reply::Foreign;
        };
        match link.in_flight.take_if(|in_flight| in_flight.id == id) {
            Some(in_flight) => {
                drop(state);
                // Whoever asked may have gone; the answer then is of no use.
                let _ = in_flight.reply.send(result);
                Reply::Matched
            }
            None if link.given_up == Some(id) => Reply::Late,
            None => Reply::Foreign,
        }
    }

    /// Gives up the call in flight if its time is over; gives the deadline of one whose time is not.
    pub(super) fn expire(&self, session: u64, now: Instant) -> Option<Instant> {
        let mut state = self.state();
        let link = state.current(session)?;
        let in_flight = link
            .in_flight
            .take_if(|in_flight| in_flight.deadline <= now);
        if let Some(InFlight { id, reply, .. }) = in_flight {
            link.given_up = Some(id);
            let _ = reply.send(CallResult::TimedOut);
        }
        link.in_flight.as_ref().map(|in_flight| in_flight.deadline)
    }

    /// Is the connection one of a station that nobody has registered yet?
    pub(super) fn waits_for_boot(&self, session: u64) -> bool {
        let mut state = self.state();
        state.registration.is_none()
            && state
                .current(session)
                .is_some_and(|link| !link.boot_triggered)
    }

    /// Was the connection opened with the bootstrap credential?
    pub(super) fn is_bootstrap(&self, session: u64) -> bool {
        self.state()
            .current(session)
            .is_some_and(|link| link.bootstrap)
    }

    /// A BootNotification came and was answered.
    pub(super) fn booted(&self, session: u64, boot: Booted, now: Instant) -> Told {
        let mut state = self.state();
        let former = state.registration;
        let Some(link) = state.current(session) else {
            return Told::No;
        };
        let first_on_connection = link.boots == 0;
        let triggered = std::mem::take(&mut link.boot_triggered);
        let repeats = match former {
            Some(Registration::Accepted) => false,
            Some(Registration::Pending | Registration::Rejected) => {
                !first_on_connection || now.duration_since(link.opened) > BOOT_AFTER_CONNECT
            }
            None => !first_on_connection,
        };
        let provoked = triggered || repeats;
        link.boots = link.boots.saturating_add(1);
        let Booted {
            device,
            firmware,
            answered,
        } = boot;
        if answered.is_some() {
            state.registration = answered;
        }
        if !provoked {
            state
                .connectors
                .booted(answered == Some(Registration::Pending), now);
            state.uploading_until = None;
        }
        if state.firmware.as_deref() != firmware.as_deref() {
            state.updating_until = None;
        }
        state.device = Some(Arc::new(device.clone()));
        state.firmware = firmware.as_deref().map(Arc::from);
        state.tell(
            &self.identity,
            session,
            Event::Boot {
                device,
                firmware,
                provoked,
                first_on_connection,
            },
        )
    }

    /// A firmware update is under way, or is not.
    pub(super) fn updating(&self, session: u64, under_way: bool, now: Instant) -> Told {
        self.now_busy(session, |state| {
            state.updating_until = under_way.then_some(now + BUSY_FOR)
        })
    }

    /// An upload is under way, or is not.
    pub(super) fn uploading(&self, session: u64, under_way: bool, now: Instant) -> Told {
        self.now_busy(session, |state| {
            state.uploading_until = under_way.then_some(now + BUSY_FOR)
        })
    }

    fn now_busy(&self, session: u64, change: impl FnOnce(&mut State)) -> Told {
        let mut state = self.state();
        if state.current(session).is_none() {
            return Told::No;
        }
        let before = state.busy_with_firmware();
        change(&mut state);
        if before && !state.busy_with_firmware() {
            state.queue()
        } else {
            Told::No
        }
    }

    /// Something was learnt about connectors or transactions.
    pub(super) fn learn(&self, session: u64, learn: impl FnOnce(&mut Connectors)) {
        let mut state = self.state();
        if state.current(session).is_some() {
            learn(&mut state.connectors);
        }
    }

    /// Tells once when the station has come to rest; `Err`: when to ask again.
    pub(super) fn settled(&self, session: u64, now: Instant) -> Result<Told, Instant> {
        let mut state = self.state();
        if state.current(session).is_none() {
            return Ok(Told::No);
        }
        let pending = state.registration == Some(Registration::Pending);
        match state.connectors.settle(pending, now) {
            Ok(true) => Ok(state.queue()),
            Ok(false) => Ok(Told::No),
            Err(at) => Err(at),
        }
    }

    /// What is known of the station.
    pub(super) fn presence(&self, now: Instant) -> Presence {
        let state = self.state();
        Presence {
            session: state.link.as_ref().map(|link| link.session),
            registered: matches!(
                state.registration,
                Some(Registration::Accepted | Registration::Pending)
            ),
            device: state.device.clone(),
            firmware: state.firmware.clone(),
            activity: state
                .connectors
                .activity(state.registration == Some(Registration::Pending), now),
            busy_with_firmware: state.busy_with_firmware(),
            authenticated: state.link.as_ref().is_some_and(|link| link.authenticated),
            protocol: state.link.as_ref().map(|_| super::SUBPROTOCOL),
            registration: state.registration.map(Registration::as_str),
        }
    }

    /// How many connectors the station has.
    pub(super) fn announce_connectors(&self, count: u32) {
        self.state().connectors.announce(count);
    }

    /// The events since they were last taken.
    pub(super) fn take_events(&self) -> Vec<StationEvent> {
        std::mem::take(&mut self.state().events)
    }

    /// The station has left the queue of those with something to tell.
    pub(super) fn unqueued(&self) {
        self.state().queued = false;
    }

    pub(super) fn is_connected(&self) -> bool {
        self.state().link.is_some()
    }
}

/// Has the station something new to tell, and is it not queued for that yet? Then whoever made it so has to queue it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Told {
    Queue,
    No,
}

impl Told {
    fn or(self, other: Self) -> Self {
        if self == Self::Queue { self } else { other }
    }
}

impl State {
    fn current(&mut self, session: u64) -> Option<&mut Link> {
        self.link
            .as_deref_mut()
            .filter(|link| link.session == session)
    }

    /// Ends the current connection, if there is one. Nobody waits for it any longer.
    fn end(&mut self, identity: &Identity, end: End, now: Instant) -> Told {
        let Some(mut link) = self.link.take() else {
            return Told::No;
        };
        link.wake();
        if let Some(in_flight) = link.in_flight {
            let _ = in_flight.reply.send(CallResult::Disconnected);
        }
        for call in link.calls {
            let _ = call.reply.send(CallResult::Offline);
        }
        self.former_end = Some(end);
        self.ended_at = Some(now);
        self.tell(identity, link.session, Event::Disconnected { end })
    }

    fn tell(&mut self, identity: &Identity, session: u64, event: Event) -> Told {
        if self.events.len() >= MAX_EVENTS {
            self.events.remove(0);
        }
        self.events.push(StationEvent {
            identity: identity.clone(),
            session,
            event,
        });
        self.queue()
    }

    fn queue(&mut self) -> Told {
        if std::mem::replace(&mut self.queued, true) {
            Told::No
        } else {
            Told::Queue
        }
    }

    fn busy_with_firmware(&self) -> bool {
        let now = Instant::now();
        [self.updating_until, self.uploading_until]
            .into_iter()
            .flatten()
            .any(|until| now < until)
    }
}

impl Link {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn listen(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }
}
