//! Outcomes: what became of the changes, folded into memory.

use jiff::Timestamp;

use crate::memory::{Answer, Memory};
use crate::observed::Reading;
use crate::plan::Change;
use crate::words::Key;

/// What became of one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The change.
    pub change: Change,
    /// The answer to the (last) write.
    pub answer: Answer,
    /// A CALLERROR's code and description, an unknown status, what broke; shortened, no secrets.
    pub detail: Option<String>,
    /// The read-back, if one was made.
    pub read_back: Option<Reading>,
    /// The connection ended while the call was in flight.
    pub disconnected: bool,
    /// When.
    pub at: Timestamp,
}

/// Memory with the changes of a pass recorded as intended, to be published before the first frame leaves.
pub fn intend(memory: Memory, changes: &[Change], now: Timestamp) -> Memory {
    let _ = (changes, now);
    memory
}

/// Memory after one outcome: answers, owed values, attempts, falls. An intended change that was not sent after all
/// (the pass ended early) is withdrawn with [`withdraw`].
pub fn record(memory: Memory, outcome: &Outcome) -> Memory {
    let _ = outcome;
    memory
}

/// Memory without the intent of changes that were certainly not sent.
pub fn withdraw(memory: Memory, before: &Memory, unsent: &[Change]) -> Memory {
    let _ = (before, unsent);
    memory
}

/// Memory after a read that made the station fall over (the connection ended during it).
pub fn record_read_fall(memory: Memory, keys: &[Key], now: Timestamp) -> Memory {
    let _ = (keys, now);
    memory
}
