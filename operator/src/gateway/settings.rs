//! What a gateway is told at its start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What a gateway is told at its start.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// Where stations connect to.
    pub listen: SocketAddr,
    /// Speak TLS with these files. `None`: in the clear, for networks that are safe in themselves.
    pub tls: Option<TlsFiles>,
    /// Who may charge. `None`: that is not ours to say, and stations are held Pending.
    pub authorize: Option<Authorize>,
    /// Where transactions are stored before they are answered; required with `authorize`.
    pub journal: Option<PathBuf>,
    /// The wait that a station is told together with Pending, in seconds.
    pub retry_wait: u32,
    /// The heartbeat interval that an accepted station is told if no config says one, in seconds.
    pub heartbeat: u32,
    /// How often files (certificate, key, id tags) are looked at for changes.
    pub reload: Duration,
    /// What is allowed to stations.
    pub limits: Limits,
}

impl GatewaySettings {
    /// The defaults, with stations held Pending.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            tls: None,
            authorize: None,
            journal: None,
            // A station that is held asks again this often, each time waking a reconcile.
            retry_wait: 300,
            heartbeat: 300,
            reload: Duration::from_secs(10),
            limits: Limits::default(),
        }
    }
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate, followed by its chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Who may charge.
#[derive(Clone, Debug)]
pub enum Authorize {
    /// Whoever asks.
    Any,
    /// The id tags in a file; see [`super::authorize`] for its format.
    File(PathBuf),
}

/// What is allowed to stations. Every wait for a peer ends by one of these.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest frame and message, in bytes. A full listing of 370 keys takes some 50 KiB.
    pub message: usize,
    /// Connections in all, handshakes included.
    pub connections: usize,
    /// Handshakes at once; a herd that returns after an outage comes in thousands.
    pub handshakes: usize,
    /// From the first byte to the end of the handshake, TLS included.
    pub handshake: Duration,
    /// How long one message may take to be written: a station that does not read is let go.
    pub write: Duration,
    /// A ping is sent after this much silence.
    pub ping: Duration,
    /// The connection counts as dead after this much silence after a ping.
    pub pong: Duration,
    /// Messages that a station may send at once.
    pub message_burst: u32,
    /// Messages per second that a station may send for long; more are read late.
    pub message_rate: u32,
    /// A station that had to be slowed down for this long, without a rest, is let go.
    pub throttled: Duration,
    /// Connections that one identity may open at once.
    pub connect_burst: u32,
    /// The time after which one identity may open one more.
    pub connect_every: Duration,
    /// How long a journal may take to store a transaction.
    pub journal: Duration,
    /// A connection on which no BootNotification came, of a station that nobody remembers, is asked for one after this.
    pub boot_wait: Duration,
    /// How long all connectors must have been idle until the station counts as idle.
    pub settle: Duration,
    /// The same after a reconnect, on which a station tells of connectors only if something changed.
    pub reconnect_settle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 1024 * 1024,
            connections: 60_000,
            handshakes: 8192,
            handshake: Duration::from_secs(15),
            write: Duration::from_secs(20),
            ping: Duration::from_secs(60),
            pong: Duration::from_secs(30),
            message_burst: 500,
            message_rate: 50,
            throttled: Duration::from_secs(300),
            connect_burst: 30,
            connect_every: Duration::from_secs(1),
            journal: Duration::from_secs(10),
            boot_wait: Duration::from_secs(30),
            settle: Duration::from_secs(2),
            reconnect_settle: Duration::from_secs(30),
        }
    }
}
