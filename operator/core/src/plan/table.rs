//! The table of section 6 of the design: one state and one reason for one key. The first row that matches counts.
//!
//! ```text
//!  row  when                                                     state · reason                  next
//!   1   not for this station                                     NotApplicable                   -
//!   2   wrong, fought over, without consent or Secret, held      Invalid, Conflict, …            -
//!   3   the station keeps falling over calls about it            Quarantined                     -
//!   4   bounded attempts are used up                             Failed                          -
//!   5   hidden: not written on this device in this version       Pending · NotWritten            write
//!   6   hidden: Accepted                                         Unverifiable · WriteOnly        -
//!   7   hidden: RebootRequired, or owed                          ResetPending, then as row 6     -
//!   8   hidden: not answered                                     Unverifiable · Unconfirmed      one rewrite
//!   9   read-only, and differs                                   ReadOnlyMismatch                -
//!  10   unknown to the station, or NotSupported; not reported    NotSupported; Unreported        -
//!  11   this value was Rejected                                  Rejected                        once, when the ground changed
//!  12   equal, nothing owed                                      InSync                          -
//!  13   equal, the desired value is owed                         ResetPending                    wait
//!  14   equal, another value is owed                             ResetPending · Superseding      write
//!  15   differs, the desired value is owed, as before            ResetPending                    wait
//!  16   differs, written, answered, booted                       Drifted · NotAppliedAfterReset  one write
//!  17   differs, Accepted, effect unknown                        ResetPending · MayNeedReset;
//!                                                                booted: Drifted · NotApplied    wait; one write
//!  18   differs, Accepted, effective at once                     Drifted · AcceptedNotApplied    write, bounded
//!  19   differs, was in sync                                     Drifted · …; Contested          write; -
//!  20   differs, sent, no answer                                 Pending · Unconfirmed           write (it was read again)
//!  21   differs                                                  Pending                         write
//!  22   never read                                               Unknown                         read
//! ```
//!
//! *Hidden* is write-only or secret. A reading that is older than a write of ours is no reading here, so that nothing is
//! ever written twice without a read in between. Where a row says "write", the mode, the holds and the pace still have
//! their word.

use super::Why;
use super::case::{Case, Owing, Sight};
use crate::memory::{Answer, Until};
use crate::state::{Reason, State};

/// What a row says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ruling {
    /// The row of the table.
    pub(super) row: u8,
    pub(super) state: State,
    pub(super) reason: Reason,
    pub(super) next: Next,
}

/// What is to happen with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing of ours.
    Nothing,
    /// It is to be read.
    Read,
    /// It is to be written, if the mode and the holds let it.
    Write(Why),
}

const DIFFERS: Next = Next::Write(Why::Differs);

/// The rows in order. Rows of one subject share a function.
const ROWS: &[fn(&Case<'_>) -> Option<Ruling>] = &[
    barred,
    quarantined,
    used_up,
    hidden,
    read_only,
    not_supported,
    rejected,
    equal,
    waiting_for_boot,
    not_applied_after_reset,
    accepted_effect_unknown,
    accepted_not_applied,
    was_in_sync,
    unconfirmed,
    differs,
];

/// Judges one key: the first row that matches.
pub(super) fn judge(case: &Case<'_>) -> Ruling {
    ROWS.iter()
        .find_map(|row| row(case))
        .unwrap_or_else(|| unread(case))
}

fn ruling(row: u8, state: State, reason: Reason, next: Next) -> Option<Ruling> {
    Some(Ruling {
        row,
        state,
        reason,
        next,
    })
}

/// Rows 1 and 2, and held layers.
fn barred(case: &Case<'_>) -> Option<Ruling> {
    let barrier = case.setting.barrier.as_ref()?;
    let row = if barrier.state == State::NotApplicable {
        1
    } else {
        2
    };
    ruling(row, barrier.state, barrier.reason, Next::Nothing)
}

fn quarantined(case: &Case<'_>) -> Option<Ruling> {
    let falls = case.falls()?;
    if falls.count < case.quarantine_after {
        return None;
    }
    ruling(3, State::Quarantined, Reason::SeeMessage, Next::Nothing)
}

/// Row 4 speaks where a later row would write the same value once more.
fn used_up(case: &Case<'_>) -> Option<Ruling> {
    let answer = case.answer()?;
    let would_write_again = match answer {
        _ if case.owing == Owing::Other && case.sight == Sight::Equal => true,
        Answer::Rejected | Answer::NotSupported => false,
        Answer::Error => case.hidden || case.differs(),
        Answer::Intended | Answer::NoAnswer => !case.hidden && case.differs() && !is_waiting(case),
        Answer::Accepted if case.owes.is_none() && !case.immediate => {
            case.differs() && case.boot_since
        }
        Answer::Accepted | Answer::RebootRequired => {
            !case.hidden && case.differs() && !is_waiting(case)
        }
    };
    // Row 16: one more write and boot, and no third; alike where each write boots the station by itself.
    let in_vain = case.boot_since
        && (case.write_owes() || case.boots)
        && case.write.is_some_and(|write| write.cycles >= 1);
    if !would_write_again || !(in_vain || case.attempts() >= case.max_attempts) {
        return None;
    }
    ruling(4, State::Failed, Reason::SeeMessage, Next::Nothing)
}

fn is_waiting(case: &Case<'_>) -> bool {
    matches!(
        case.owing,
        Owing::Desired {
            as_before: true,
            ..
        }
    )
}

/// Rows 5 to 8: reads decide nothing.
fn hidden(case: &Case<'_>) -> Option<Ruling> {
    if !case.hidden {
        return None;
    }
    let pending = ruling(5, State::Pending, Reason::NotWritten, DIFFERS);
    match (case.answer(), case.owing) {
        (None | Some(Answer::Error), Owing::Nothing | Owing::Other | Owing::Desired { .. }) => {
            pending
        }
        (Some(Answer::Accepted | Answer::RebootRequired), Owing::Other) => {
            // An older version is owed, and would come back with the boot.
            ruling(
                7,
                State::ResetPending,
                Reason::Superseding,
                Next::Write(Why::Superseding),
            )
        }
        (Some(Answer::Accepted | Answer::RebootRequired), Owing::Desired { until, .. }) => {
            ruling(7, State::ResetPending, awaiting(until), Next::Nothing)
        }
        (Some(Answer::Accepted), Owing::Nothing) => {
            ruling(6, State::Unverifiable, Reason::WriteOnly, Next::Nothing)
        }
        (Some(Answer::RebootRequired), Owing::Nothing) => {
            ruling(7, State::Unverifiable, Reason::WriteOnly, Next::Nothing)
        }
        (
            Some(Answer::Intended | Answer::NoAnswer),
            Owing::Nothing | Owing::Other | Owing::Desired { .. },
        ) => {
            let next = if case.attempts() < 2 {
                DIFFERS
            } else {
                Next::Nothing
            };
            ruling(8, State::Unverifiable, Reason::Unconfirmed, next)
        }
        (Some(Answer::Rejected), Owing::Nothing | Owing::Other | Owing::Desired { .. }) => {
            if case.retry_rejected {
                pending
            } else {
                rejected(case)
            }
        }
        (Some(Answer::NotSupported), Owing::Nothing | Owing::Other | Owing::Desired { .. }) => {
            not_supported(case)
        }
    }
}

fn awaiting(until: Until) -> Reason {
    match until {
        Until::Boot => Reason::AwaitingBoot,
        Until::Reconnect => Reason::AwaitingReconnect,
    }
}

fn read_only(case: &Case<'_>) -> Option<Ruling> {
    match case.sight {
        Sight::Differs { read_only: true } => {
            ruling(9, State::ReadOnlyMismatch, Reason::ReadOnly, Next::Nothing)
        }
        Sight::Differs { read_only: false }
        | Sight::Equal
        | Sight::Unread
        | Sight::Failed
        | Sight::Unknown
        | Sight::Unreported
        | Sight::Ambiguous => None,
    }
}

fn not_supported(case: &Case<'_>) -> Option<Ruling> {
    let had_it = case.memory.is_some_and(|key| key.was_known);
    let answered = case.answer() == Some(Answer::NotSupported);
    match case.sight {
        Sight::Unknown if had_it => ruling(
            10,
            State::NotSupported,
            Reason::GoneWithFirmware,
            Next::Nothing,
        ),
        Sight::Unknown => ruling(10, State::NotSupported, Reason::UnknownKey, Next::Nothing),
        Sight::Unreported => ruling(10, State::Unreported, Reason::NotInAnswer, Next::Nothing),
        Sight::Unread | Sight::Failed | Sight::Ambiguous | Sight::Equal | Sight::Differs { .. }
            if answered =>
        {
            ruling(10, State::NotSupported, Reason::UnknownKey, Next::Nothing)
        }
        Sight::Unread | Sight::Failed | Sight::Ambiguous | Sight::Equal | Sight::Differs { .. } => {
            None
        }
    }
}

fn rejected(case: &Case<'_>) -> Option<Ruling> {
    if case.answer() != Some(Answer::Rejected) || case.retry_rejected {
        return None;
    }
    ruling(11, State::Rejected, Reason::SeeMessage, Next::Nothing)
}

/// Rows 12 to 14.
fn equal(case: &Case<'_>) -> Option<Ruling> {
    if case.sight != Sight::Equal {
        return None;
    }
    match case.owing {
        Owing::Nothing => ruling(12, State::InSync, Reason::Equal, Next::Nothing),
        Owing::Desired { until, .. } => {
            ruling(13, State::ResetPending, awaiting(until), Next::Nothing)
        }
        Owing::Other => ruling(
            14,
            State::ResetPending,
            Reason::Superseding,
            Next::Write(Why::Superseding),
        ),
    }
}

/// Row 15; and a debt that is known of while the reading is still to come.
fn waiting_for_boot(case: &Case<'_>) -> Option<Ruling> {
    let (until, as_before) = match case.owing {
        Owing::Desired { until, as_before } => (until, as_before),
        Owing::Other | Owing::Nothing => return None,
    };
    match case.sight {
        Sight::Differs { .. } if as_before => {
            ruling(15, State::ResetPending, awaiting(until), Next::Nothing)
        }
        Sight::Unread => ruling(15, State::ResetPending, awaiting(until), Next::Read),
        Sight::Differs { .. }
        | Sight::Equal
        | Sight::Failed
        | Sight::Unknown
        | Sight::Unreported
        | Sight::Ambiguous => None,
    }
}

fn not_applied_after_reset(case: &Case<'_>) -> Option<Ruling> {
    if !(case.differs() && case.write_owes() && case.boot_since) {
        return None;
    }
    ruling(16, State::Drifted, Reason::NotAppliedAfterReset, DIFFERS)
}

fn accepted_effect_unknown(case: &Case<'_>) -> Option<Ruling> {
    if !(case.differs()
        && case.answer() == Some(Answer::Accepted)
        && case.owes.is_none()
        && !case.immediate)
    {
        return None;
    }
    if case.boot_since {
        ruling(17, State::Drifted, Reason::NotApplied, DIFFERS)
    } else {
        ruling(17, State::ResetPending, Reason::MayNeedReset, Next::Nothing)
    }
}

fn accepted_not_applied(case: &Case<'_>) -> Option<Ruling> {
    if !(case.differs() && case.answer() == Some(Answer::Accepted) && case.immediate) {
        return None;
    }
    ruling(18, State::Drifted, Reason::AcceptedNotApplied, DIFFERS)
}

fn was_in_sync(case: &Case<'_>) -> Option<Ruling> {
    if !case.differs() {
        return None;
    }
    if case.contest().is_some() {
        return ruling(19, State::Contested, Reason::TwoWriters, Next::Nothing);
    }
    let reason = case.drift()?.reason;
    let next = match reason {
        Reason::SideEffect => Next::Nothing,
        // After two boots that it did not survive, a third write would be lost as well.
        Reason::NotPersistent if case.losses() >= 2 => Next::Nothing,
        _ => DIFFERS,
    };
    ruling(19, State::Drifted, reason, next)
}

fn unconfirmed(case: &Case<'_>) -> Option<Ruling> {
    match case.answer() {
        Some(Answer::Intended | Answer::NoAnswer) if case.differs() => {
            ruling(20, State::Pending, Reason::Unconfirmed, DIFFERS)
        }
        Some(_) | None => None,
    }
}

fn differs(case: &Case<'_>) -> Option<Ruling> {
    match case.sight {
        Sight::Differs { .. } => ruling(21, State::Pending, Reason::ToWrite, DIFFERS),
        Sight::Ambiguous => ruling(21, State::Pending, Reason::AmbiguousName, Next::Nothing),
        Sight::Unread | Sight::Failed | Sight::Unknown | Sight::Unreported | Sight::Equal => None,
    }
}

fn unread(case: &Case<'_>) -> Ruling {
    let unconfirmed = matches!(case.answer(), Some(Answer::Intended | Answer::NoAnswer));
    let (row, state, reason) = match case.sight {
        Sight::Failed => (22, State::Unknown, Reason::BackingOff),
        // Row 20 before it is read again.
        _ if unconfirmed => (20, State::Pending, Reason::Unconfirmed),
        _ => (22, State::Unknown, Reason::NotRead),
    };
    Ruling {
        row,
        state,
        reason,
        next: Next::Read,
    }
}
