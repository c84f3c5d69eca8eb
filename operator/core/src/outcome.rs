//! Outcomes: what became of the changes, folded into memory.
//!
//! ```text
//!  intend    before the first frame leaves: this may have been sent
//!  record    after an answer, or none: what it says of the value, and what it owes
//!  withdraw  certainly not sent: as if it had never been intended
//! ```
//!
//! A write is *owed* a boot (or connection) if it was answered RebootRequired, whatever the catalogue says; or if it was
//! Accepted or not answered, where the catalogue says that the key takes effect so. Accepted never disproves that: it is
//! what many stations say of everything.

use jiff::Timestamp;

use crate::memory::{
    Answer, Falls, KeyMemory, Memory, Original, Owed, RememberedValue, Until, WriteMemory,
};
use crate::observed::Reading;
use crate::plan::Change;
use crate::value;
use crate::words::Key;

/// How much of what a station says besides its answer is remembered, in characters.
const MAX_DETAIL: usize = 120;

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
pub fn intend(mut memory: Memory, changes: &[Change], now: Timestamp) -> Memory {
    let cut_short = cut_short(&memory, changes);
    for change in changes {
        memory.event = memory.event.saturating_add(1);
        let (event, firmware) = (memory.event, memory.firmware.clone());
        let came = match change.owes {
            Some(Until::Reconnect) => memory.connection.max(memory.boot),
            Some(Until::Boot) | None => memory.boot,
        };
        let key = memory.keys.entry(change.key.clone()).or_default();
        if let Some(consent) = &change.restore
            && key.original.is_none()
        {
            key.original = Some(Original {
                value: change.before.clone(),
                config: change.config.clone(),
                restore: true,
                consent: consent.iter().copied().collect(),
            });
        }
        let former = key.write.take().filter(|write| write.value == change.value);
        let in_vain = former.as_ref().is_some_and(|write| {
            matches!(write.answer, Answer::Accepted | Answer::RebootRequired) && came > write.since
        });
        let (attempts, cycles) = former.map_or((0, 0), |write| {
            let unsent = is_intended(&write, change) && Some(write.since) != cut_short;
            // Where nothing is shown, nothing speaks against a write that was sent.
            let uncounted = u32::from(unsent && change.before.is_some());
            (write.attempts.saturating_sub(uncounted), write.cycles)
        });
        key.drift = None;
        key.write = Some(WriteMemory {
            value: change.value.clone(),
            before: change.before.clone(),
            since: event,
            at: now,
            answer: Answer::Intended,
            detail: None,
            attempts: attempts.saturating_add(1),
            cycles: cycles.saturating_add(u32::from(in_vain)),
            shown: false,
            busy: change.busy,
            unmet: change.unmet.clone(),
            firmware,
            known: change.definition.digest(),
            config: change.config.clone(),
            generation: change.generation,
        });
    }
    memory
}

/// The write, by its event, that a process which ended in the middle of a pass may have sent without living to record
/// the answer. Writes go out one after another in the order of their events, so that of those which have not come it is
/// the first; what stood behind it is no attempt, or a process that is killed a few times would use up the attempts of
/// keys that it never got to.
fn cut_short(memory: &Memory, changes: &[Change]) -> Option<u64> {
    let writes = changes.iter().filter_map(|change| {
        let write = memory.keys.get(&change.key)?.write.as_ref()?;
        is_intended(write, change).then_some(write.since)
    });
    writes.min()
}

/// Is this the same write, of which nobody knows whether it was sent?
fn is_intended(write: &WriteMemory, change: &Change) -> bool {
    write.answer == Answer::Intended && write.value == change.value
}

/// Memory after one outcome: answers, owed values, attempts, falls. An intended change that was not sent after all
/// (the pass ended early) is withdrawn with [`withdraw`].
pub fn record(mut memory: Memory, outcome: &Outcome) -> Memory {
    let Outcome {
        change,
        answer,
        detail,
        read_back,
        disconnected,
        at,
    } = outcome;
    let intended = memory
        .keys
        .get(&change.key)
        .and_then(|key| key.write.as_ref());
    if intended.is_none_or(|write| write.value != change.value) {
        // Told of a write that was never intended: what was sent is remembered all the same.
        memory = intend(memory, std::slice::from_ref(change), *at);
    }
    let (boot, connection, firmware) = (memory.boot, memory.connection, memory.firmware.clone());
    let key = memory.keys.entry(change.key.clone()).or_default();
    let Some(write) = &mut key.write else {
        return memory;
    };
    write.answer = *answer;
    write.at = *at;
    write.detail = detail
        .as_ref()
        .map(|detail| detail.chars().take(MAX_DETAIL).collect());
    write.shown = read_back
        .as_ref()
        .and_then(Reading::value)
        .is_some_and(|shown| shows(change, shown));
    let since = write.since;
    let still_owed = key.owed.take().filter(|owed| match owed.until {
        Until::Boot => boot <= owed.since,
        Until::Reconnect => connection.max(boot) <= owed.since,
    });
    key.owed = owed(change, *answer, since, *at, still_owed);
    let fell = *disconnected && !change.expect_disconnect;
    fall(key, "ChangeConfiguration", fell, *at, firmware);
    memory
}

/// Does the read-back show what was written?
fn shows(change: &Change, shown: &str) -> bool {
    match &change.value {
        RememberedValue::Plain(written) => {
            written == shown || value::equal(&change.definition, written, shown)
        }
        RememberedValue::Secret(_) => false,
    }
}

/// What the next boot (or connection) will bring, after this answer.
fn owed(
    change: &Change,
    answer: Answer,
    since: u64,
    at: Timestamp,
    former: Option<Owed>,
) -> Option<Owed> {
    let debt = |until| {
        Some(Owed {
            value: change.value.clone(),
            before: change.before.clone(),
            since,
            at,
            until,
        })
    };
    match (answer, change.owes, former) {
        (Answer::RebootRequired, _, _) => debt(Until::Boot),
        (Answer::Accepted, Some(until), _) => debt(until),
        // A key that owed a boot a moment ago takes effect with boots, whatever this answer and the catalogue say.
        (Answer::Accepted, None, Some(former)) => debt(former.until),
        (Answer::Accepted, None, None) => None,
        // Nobody knows which of the two values the boot would bring: the former debt stands, so that ours is written
        // once more.
        (Answer::NoAnswer | Answer::Intended, _, Some(former)) => Some(former),
        (Answer::NoAnswer | Answer::Intended, Some(until), None) => debt(until),
        (Answer::NoAnswer | Answer::Intended, None, None) => None,
        (Answer::Rejected | Answer::NotSupported | Answer::Error, _, former) => former,
    }
}

/// Counts a disconnect during a call about a key, or ends the count when the call was answered.
fn fall(key: &mut KeyMemory, call: &str, fell: bool, at: Timestamp, firmware: Option<String>) {
    let former = key.falls.take();
    key.falls = match (fell, former) {
        (true, Some(falls)) if falls.call == call => Some(Falls {
            count: falls.count.saturating_add(1),
            at,
            firmware,
            ..falls
        }),
        (true, Some(_) | None) => Some(Falls {
            call: call.to_owned(),
            count: 1,
            at,
            firmware,
        }),
        (false, former) => former.filter(|falls| falls.call != call),
    };
}

/// Memory without the intent of changes that were certainly not sent. The event counter stays where it is: it never
/// goes back.
pub fn withdraw(mut memory: Memory, before: &Memory, unsent: &[Change]) -> Memory {
    for change in unsent {
        match before.keys.get(&change.key) {
            Some(key) => memory.keys.insert(change.key.clone(), key.clone()),
            None => memory.keys.remove(&change.key),
        };
    }
    memory
}

/// Memory after a read that made the station fall over (the connection ended during it).
pub fn record_read_fall(mut memory: Memory, keys: &[Key], now: Timestamp) -> Memory {
    let firmware = memory.firmware.clone();
    for name in keys {
        let key = memory.keys.entry(name.clone()).or_default();
        fall(key, "GetConfiguration", true, now, firmware.clone());
    }
    memory
}
