//! The plan: desired + observed + memory → what is to be done, and for everything else the reason why not.
//!
//! See section 6 of the design for the table; the rows stand in `plan/table.rs`, first match wins.

use jiff::Timestamp;

use crate::layer::Mode;
use crate::memory::{Memory, RememberedValue};
use crate::observed::Observed;
use crate::state::{Reason, State};
use crate::station::{Policy, StationFacts};
use crate::validate::Desired;
use crate::words::{ConfigRef, Finding, Key};

/// What is to be done for one station now, and why the rest is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The keys to be read before anything else can be decided (canonical names). When not empty, `changes` is empty.
    pub read: Vec<Key>,
    /// The writes, in the order in which they are to be sent: one, read back, next.
    pub changes: Vec<Change>,
    /// Every managed key with its state, sorted by key.
    pub keys: Vec<KeyVerdict>,
    /// What a Reset would serve, if anything waits for one.
    pub pending_reset: Option<PendingReset>,
    /// What a person should know besides.
    pub findings: Vec<Finding>,
    /// When to look again without being called (back-off, a restore, a window), if at all.
    pub check_again: Option<Timestamp>,
    /// Memory after planning (reverts seen, contests called, keys forgotten, in-sync digests). The caller keeps it.
    pub memory: Memory,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The canonical name.
    pub key: Key,
    /// The spelling that the station uses.
    pub spelling: Key,
    /// What is to be written, as it goes on the wire; a secret is looked up by its version by whoever executes.
    pub value: RememberedValue,
    /// Another vocabulary of the same value to be tried once if the first is Rejected (booleans, codes and labels).
    pub alternative: Option<String>,
    /// What the station showed before.
    pub before: Option<String>,
    /// Why it is written.
    pub why: Why,
    /// Whose setting it is.
    pub config: ConfigRef,
    /// The generation of that config.
    pub generation: i64,
    /// The connection is expected to end (connection-critical keys).
    pub expect_disconnect: bool,
    /// Can the station show the key (false: write-only or secret, no read-back)?
    pub readable: bool,
}

/// Why a change is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It differs, or was never written.
    Differs,
    /// An owed value would supersede it at the next boot (row 14).
    Superseding,
    /// A person removed the key, and the config says Restore.
    Restore,
}

/// The state of one managed key, and all that a person wants to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyVerdict {
    /// The key in its canonical spelling.
    pub key: Key,
    /// The state.
    pub state: State,
    /// The reason.
    pub reason: Reason,
    /// For people: names both values (never of secrets), and the next step where there is one.
    pub message: String,
    /// The desired value; `None` for secrets.
    pub desired: Option<String>,
    /// The observed value; `None` for secrets, and if the station gave none.
    pub observed: Option<String>,
    /// The config whose setting won; for conflicts one of them.
    pub config: ConfigRef,
    /// The mode that applies after narrowing.
    pub mode: Mode,
    /// Something may be written for this key now or by itself later (it holds Ready back or not: see `status`).
    pub actionable: bool,
}

/// What a Reset would serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingReset {
    /// A short stable id of what is pending (device, boot event, keys and values): what a person approves.
    pub id: String,
    /// The keys that wait.
    pub keys: Vec<Key>,
    /// The oldest write that waits.
    pub since: Timestamp,
    /// Ends with any new connection rather than with a boot.
    pub reconnect_suffices: bool,
}

/// Decides.
///
/// Total and deterministic. Planning again with the returned memory and the same inputs gives the same plan.
pub fn plan(
    desired: &Desired,
    observed: &Observed,
    memory: &Memory,
    station: &StationFacts,
    policy: &Policy,
    now: Timestamp,
) -> Plan {
    let _ = (desired, observed, memory, station, policy, now);
    todo!("written by the core's author")
}
