//! Events: what happens to a station, folded into memory; above all, what proves a boot (section 7 of the design).

use crate::memory::Memory;
use crate::words::{Device, Finding};

/// What happened to a station, as its connector saw it, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new connection was opened.
    Connected {
        /// Why the one before it ended; `None`: none is known (our process is new).
        former_end: Option<End>,
        /// Admitted by the bootstrap credential: a new device.
        bootstrap: bool,
    },
    /// A BootNotification on the current connection.
    Boot {
        /// What the station says it is.
        device: Device,
        /// `firmwareVersion`.
        firmware: Option<String>,
        /// It was asked for (TriggerMessage), or it repeats one that was answered Pending or Rejected or not at all.
        provoked: bool,
        /// It is the first BootNotification of this connection.
        first_on_connection: bool,
    },
    /// The connection ended.
    Disconnected {
        /// Why.
        end: End,
    },
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The station closed it, it broke, or it went silent.
    Station,
    /// A newer connection of the same station took its place.
    Superseded,
    /// We closed it (shutdown, limits, errors): the reconnect that follows proves no boot.
    Us,
}

/// What an event meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// A boot was proven.
    pub boot_proven: bool,
    /// It is another device than before: all memory is void.
    pub new_device: bool,
    /// The firmware changed.
    pub firmware_changed: bool,
    /// For people.
    pub findings: Vec<Finding>,
}

/// Folds one event into memory.
pub fn observe(memory: Memory, context: &mut Connection, event: &Event) -> (Memory, Meaning) {
    let _ = (context, event);
    (memory, Meaning::default())
}

/// What has been seen on the current connection, as far as the proof of a boot needs it. Kept beside the session, not
/// in status: after a restart of ours the next reconnect is one that we caused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// Why the connection before this one ended; `None`: not known, which counts as caused by us.
    pub former_end: Option<End>,
    /// A boot has been proven on this connection.
    pub proven: bool,
}
