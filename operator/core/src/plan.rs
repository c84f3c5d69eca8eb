//! The plan: desired + observed + memory → what is to be done, and for everything else the reason why not.
//!
//! ```text
//!  evidence   what the readings mean for memory: in sync again, drifted, contested, owed values ended
//!  case       all that the table looks at, for one key
//!  table      rows 1 to 22 of section 6 of the design; the first that matches counts
//!  holds      why a write that the table wants cannot be sent now
//!  restore    keys that a person removed, to be written back
//!  order      which write goes before which; connection-critical ones last and alone
//!  told       the same in words, for people
//! ```
//!
//! What is deliberately absent: sending anything, and recording what was sent (see [`crate::outcome`]). Planning again
//! with the returned memory and the same inputs gives the same plan.

mod case;
mod evidence;
mod ground;
mod holds;
mod in_sync;
mod order;
mod reading;
mod reset;
mod restore;
mod table;
mod told;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::catalogue::Definition;
use crate::layer::{Consent, Mode, WhenRemoved};
use crate::memory::{Answer, FORMAT_VERSION, MAX_KEYS, Memory, RememberedValue, Until};
use crate::observed::Observed;
use crate::reboot;
use crate::state::{Reason, State};
use crate::station::{Policy, StationFacts};
use crate::validate::{Desired, DesiredSetting};
use crate::words::{ConfigRef, Finding, Key, Severity, Text};
use case::Case;
use ground::Ground;
use holds::Hold;
use order::Candidate;
use table::{Next, Ruling};

pub(crate) use in_sync::digest_of;
pub use in_sync::was_in_sync;
pub use told::in_sync_message;

/// What is to be done for one station now, and why the rest is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The keys to be read before anything else can be decided (canonical names). When not empty, `changes` is empty.
    /// Empty as well while the station cannot be asked.
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
    /// All that is known of the key, to compare the read-back by type.
    pub definition: Arc<Definition>,
    /// What ends the debt that an Accepted or unanswered write makes; `None`: it makes none.
    pub owes: Option<Until>,
    /// A driver may be using the station.
    pub busy: bool,
    /// Keys to be written before this one that are not in sync yet.
    pub unmet: Vec<Key>,
    /// What stands before the write is to be restored when the setting is removed, with this consent.
    pub restore: Option<BTreeSet<Consent>>,
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
    /// For people: names both values (never of secrets), and the next step where there is one. Empty for keys in sync,
    /// of which nothing has to be told; [`in_sync_message`] has words for it.
    pub message: String,
    /// The desired value; `None` for secrets.
    pub desired: Option<Text>,
    /// The observed value; `None` for secrets, and if the station gave none.
    pub observed: Option<Text>,
    /// The config whose setting won; for conflicts one of them.
    pub config: ConfigRef,
    /// The mode that applies after narrowing.
    pub mode: Mode,
    /// Something may be read or written for this key now, or by itself after a pause between attempts: it holds Ready
    /// back. Waiting for a boot, a driver, a connection or a person does not.
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
///
/// Readings count only if they are newer than the last connection, proven boot, firmware change and write of ours
/// ([`Observed::at_event`]); older ones are asked for again, which is what a closing read is.
pub fn plan(
    desired: &Desired,
    observed: &Observed,
    memory: &Memory,
    station: &StationFacts,
    policy: &Policy,
    now: Timestamp,
) -> Plan {
    if memory.format_version > FORMAT_VERSION {
        return newer_memory(desired, memory);
    }
    let ground = Ground::new(desired, observed, memory, station, policy, now);
    let after = evidence::weigh(&ground, desired);
    let cases: Vec<Case<'_>> = desired
        .settings
        .values()
        .zip(ground.last_readings())
        .map(|(setting, reading)| {
            Case::new(
                setting,
                reading,
                after.keys.get(setting.key()),
                &after,
                &ground,
            )
        })
        .collect();
    let rulings: Vec<Ruling> = cases.iter().map(table::judge).collect();
    let mut read = reading::missing(&ground, desired, &cases);

    let mut held: Vec<Option<Hold>> = Vec::with_capacity(cases.len());
    let mut candidates = Vec::new();
    for (case, ruling) in cases.iter().zip(&rulings) {
        let hold = match ruling.next {
            Next::Write(_) => holds::hold(case, &ground),
            Next::Read | Next::Nothing => None,
        };
        if let (Next::Write(why), None) = (ruling.next, &hold) {
            candidates.push(candidate(case, why, &ground, &cases, &rulings));
        }
        held.push(hold);
    }

    let mut forgotten = after.clone();
    let restored = restore::restore(&ground, desired, &mut forgotten);
    candidates.extend(restored.candidates);
    let unfinished = held.iter().flatten().any(Hold::ends_by_itself);
    let room = MAX_KEYS.saturating_sub(forgotten.keys.len());
    let ordered = order::order(
        candidates,
        unfinished,
        |key| forgotten.keys.contains_key(key),
        room,
    );
    for (key, hold) in ordered.waiting {
        if let Ok(at) = cases.binary_search_by(|case| case.setting.key().cmp(&key)) {
            held[at] = Some(hold);
        }
    }

    let mut keys = Vec::with_capacity(cases.len());
    for ((case, ruling), hold) in cases.iter().zip(&rulings).zip(&held) {
        keys.push(told::verdict(case, ruling, hold.as_ref(), &ground));
    }
    let pending_reset = reset::pending(&cases, &rulings, &after);
    let mut findings = desired.findings.clone();
    findings.extend(restored.findings);
    findings.extend(cases.iter().filter_map(needs_boot_after_all));
    findings.extend(reboot::findings(&after));
    read.now.extend(restored.read);
    let changes = if read.now.is_empty() {
        ordered.changes
    } else {
        Vec::new()
    };
    let waits = held.iter().flatten().filter_map(|hold| hold.until);
    let check_again = waits
        .chain(read.later)
        .chain(restored.later)
        .chain(ground.resync_due())
        .min();
    Plan {
        read: read.now,
        changes,
        keys,
        pending_reset,
        findings,
        check_again,
        memory: forgotten,
    }
}

/// The station said RebootRequired to a write that, by the catalogue, takes effect at once; the station's word counts.
fn needs_boot_after_all(case: &Case<'_>) -> Option<Finding> {
    let disagrees = case.immediate && case.answer() == Some(Answer::RebootRequired);
    disagrees.then(|| Finding {
        severity: Severity::Warning,
        rule: "TakesEffectDisagrees".to_owned(),
        key: Some(case.setting.key().clone()),
        message: format!(
            "the catalogue says that {} takes effect at once, the station says that it needs a boot; the station's word \
             counts",
            case.setting.key()
        ),
    })
}

/// The write of one key, as it stands before ordering.
fn candidate(
    case: &Case<'_>,
    why: Why,
    ground: &Ground<'_>,
    cases: &[Case<'_>],
    rulings: &[Ruling],
) -> Candidate {
    let setting = case.setting;
    let definition = setting.definition();
    let restores =
        setting.when_removed() == WhenRemoved::Restore && !case.hidden && case.observed().is_some();
    let after = holds::first_ones(case);
    let change = Change {
        key: setting.key().clone(),
        spelling: case.spelling().clone(),
        value: case.desired_value(),
        alternative: setting.alternative.clone(),
        before: case.observed().map(String::from),
        why,
        config: setting.config().clone(),
        generation: setting.generation(),
        expect_disconnect: definition.is_connection_critical(),
        readable: !case.hidden,
        definition: Arc::clone(definition),
        owes: ground.owes(definition),
        busy: !ground.is_idle(),
        unmet: holds::unmet(&after, cases, rulings),
        restore: restores.then(|| setting.consent().clone()),
    };
    Candidate {
        change,
        unsettled: holds::unsettled(&after, cases, rulings),
        after,
    }
}

/// Memory that a newer version wrote is not acted upon: no calls, and nothing of it is touched.
fn newer_memory(desired: &Desired, memory: &Memory) -> Plan {
    let message = format!(
        "memory of this station has format {}, and this version knows {FORMAT_VERSION}; run the newer version, or remove \
         status.memory to start from nothing",
        memory.format_version
    );
    let keys = desired
        .settings
        .values()
        .map(|setting| held_whole(setting, &message))
        .collect();
    let finding = Finding {
        severity: Severity::Error,
        rule: "NewerMemory".to_owned(),
        key: None,
        message,
    };
    Plan {
        keys,
        findings: vec![finding],
        memory: memory.clone(),
        ..Plan::default()
    }
}

fn held_whole(setting: &DesiredSetting, message: &str) -> KeyVerdict {
    KeyVerdict {
        key: setting.key().clone(),
        state: State::Unknown,
        reason: Reason::NewerMemory,
        message: message.to_owned(),
        desired: setting.shown_value().cloned(),
        observed: None,
        config: setting.config().clone(),
        mode: setting.mode(),
        actionable: false,
    }
}
