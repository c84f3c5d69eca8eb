//! The connector contract (section 8 of the design): how controllers reach stations, whoever holds the sockets.
//!
//! The gateway is the first connector; relays, gateways in other processes and HTTP APIs of CSMSs join behind the same
//! traits without a change to the controllers or to `core`. A connector carries raw OCPP calls; it knows nothing of
//! keys, plans or configs.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use stationkeeper_core::event::Event;
use stationkeeper_core::station::{Activity, Capabilities};
use stationkeeper_core::words::Device;
use uuid::Uuid;

/// The string with which a station connects (percent-decoded).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(Arc<str>);

impl Identity {
    /// Takes a decoded identity.
    pub fn new(identity: &str) -> Self {
        Self(Arc::from(identity))
    }

    /// The decoded identity.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What became of a call.
#[derive(Clone, Debug)]
pub enum CallResult {
    /// A CALLRESULT with its payload, as the text that it came as.
    Answer(Box<RawValue>),
    /// A CALLERROR.
    CallError {
        /// The code as it was sent.
        code: String,
        /// The description, shortened.
        description: String,
    },
    /// Sent, and no answer within the limit: nobody knows what the station did.
    TimedOut,
    /// Sent, and the connection ended before the answer: nobody knows what the station did.
    Disconnected,
    /// Sent, and the answer could not be understood (broken JSON, not an object).
    Garbled(String),
    /// Not sent, certainly: the station is not connected.
    Offline,
    /// Not sent, certainly, for another reason (registration, epoch, shutdown, brake).
    NotDelivered(String),
}

/// A raw OCPP call.
#[derive(Clone, Debug)]
pub struct Call {
    /// The message id that the frame carries, unique over all connections of a station; the audit and the log name the
    /// call by it.
    pub id: Uuid,
    /// `GetConfiguration`, `ChangeConfiguration`, `TriggerMessage`, …
    pub action: &'static str,
    /// The payload: a JSON object, as text.
    pub payload: Box<RawValue>,
    /// The limit for the answer, counted from when the frame was sent.
    pub timeout: Duration,
    /// The caller's leadership (the Lease's transitions); a connector obeys the highest that it has seen.
    pub epoch: u64,
}

impl Call {
    /// A call with a new id.
    pub fn new(
        action: &'static str,
        payload: Box<RawValue>,
        timeout: Duration,
        epoch: u64,
    ) -> Self {
        Self {
            id: uuid::Uuid::new_v4(),
            action,
            payload,
            timeout,
            epoch,
        }
    }
}

/// What is known of a station right now, without asking it. It is looked at before each frame, so its texts are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Counts connections, so that an observation can be tied to one. `None`: not connected.
    pub session: Option<u64>,
    /// The station may be called: its BootNotification is answered, or its registration is remembered.
    pub registered: bool,
    /// What it said it is, in this process's memory.
    pub device: Option<Arc<Device>>,
    /// Its firmware, alike.
    pub firmware: Option<Arc<str>>,
    /// Is a driver using it?
    pub activity: Activity,
    /// A firmware update or an upload of diagnostics is in progress.
    pub busy_with_firmware: bool,
    /// A password was seen working on this connection.
    pub authenticated: bool,
    /// The subprotocol, `ocpp1.6`.
    pub protocol: Option<&'static str>,
    /// The registration that the station was last answered: `Accepted`, `Pending`, `Rejected`.
    pub registration: Option<&'static str>,
}

/// An event of one station, in the order in which it happened.
#[derive(Clone, Debug)]
pub struct StationEvent {
    /// Whose.
    pub identity: Identity,
    /// The connection it happened on.
    pub session: u64,
    /// What.
    pub event: Event,
}

/// A future that a connector's method returns.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The way to reach stations.
pub trait Connector: Send + Sync + 'static {
    /// What the connector can do for a station.
    fn capabilities(&self, identity: &Identity) -> Capabilities;

    /// What is known of a station right now; `None`: never seen by this process.
    fn presence(&self, identity: &Identity) -> Option<Presence>;

    /// Sends one call and waits for what becomes of it. Calls of one station are serialised: one in flight.
    fn call<'a>(&'a self, identity: &'a Identity, call: Call) -> Pending<'a, CallResult>;

    /// Takes over what status remembers of a station, so that a reconnect without BootNotification (which OCPP-J allows)
    /// inherits it. Does nothing for a station that this process has seen.
    fn remember(
        &self,
        identity: &Identity,
        device: &Device,
        firmware: Option<&str>,
        registration: Option<&str>,
    );

    /// Tells how many connectors the station has, once that was read, so that it counts as idle only if each of them was
    /// heard of. A connector that knows nothing of connectors ignores it.
    fn announce_connectors(&self, identity: &Identity, count: u32);

    /// Closes the station's connection, if there is one: its object is gone or refused, or its credentials changed.
    fn disconnect(&self, identity: &Identity);

    /// Forgets a station whose object is gone, and closes its connection: what it was, its registration, and the password
    /// that was last seen working. An object of the same identity that is made later starts from nothing.
    fn forget(&self, identity: &Identity);

    /// The events of a station since they were last taken, in order. The controllers take them when `wake` names the
    /// station; an event is given once.
    fn take_events(&self, identity: &Identity) -> Vec<StationEvent>;

    /// Resolves to a station that has new events, or that has come to rest since (idle, or done with a firmware update):
    /// then there is no event, and `presence` tells. Cancel-safe.
    fn wake(&self) -> Pending<'_, Identity>;
}

/// What the connector asks of the objects: who may connect, and how.
pub trait Directory: Send + Sync + 'static {
    /// Looks a station up. Synchronous and from local stores: it stands in the way of a handshake.
    fn admit(&self, identity: &Identity) -> Admission;

    /// A station that nobody declared connects. `true`: an object is being made for it (`--register-unknown`), so that it may
    /// be admitted in a moment.
    fn register(&self, identity: &Identity) -> bool;

    /// The desired `HeartbeatInterval` in seconds, for the answer to an accepted BootNotification.
    fn heartbeat_interval(&self, identity: &Identity) -> Option<u32>;
}

/// May a station connect, and how does it prove who it is?
#[derive(Clone, Debug)]
pub enum Admission {
    /// The stores were never filled: 503.
    NotReady,
    /// Nobody declared it: 404 (or registered, with `--register-unknown`).
    Unknown,
    /// Declared, but refused (duplicate identity, no `authentication`): 403 with the reason.
    Refused(String),
    /// Declared with `authentication: {none: true}`.
    Open,
    /// Declared with a password.
    Password(Vec<Credential>),
}

/// One credential that opens the door; compared in constant time. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Credential {
    /// The password's bytes as they must arrive in HTTP Basic (all accepted encodings are listed as further ones).
    pub password: secrecy::SecretSlice<u8>,
    /// It is the bootstrap credential: admitted as Pending, a new device.
    pub bootstrap: bool,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("bootstrap", &self.bootstrap)
            .finish_non_exhaustive()
    }
}
