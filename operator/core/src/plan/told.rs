//! Told: what the table and the holds say, in words for people. A message names the key, both values (never of
//! secrets), the reason, and the next step where there is one.

use super::KeyVerdict;
use super::case::Case;
use super::ground::Ground;
use super::holds::Hold;
use super::table::{Next, Ruling};
use crate::memory::{Answer, DriftMemory, WriteMemory};
use crate::observed::Reading;
use crate::state::{Reason, State};
use crate::station::Activity;
use crate::words::Key;

/// How much of a value fits into a line on a screen.
const SHOWN: usize = 60;

/// The verdict on one key.
pub(super) fn verdict(
    case: &Case<'_>,
    ruling: &Ruling,
    hold: Option<&Hold>,
    ground: &Ground<'_>,
) -> KeyVerdict {
    let setting = case.setting;
    let (state, reason) = match (hold, ruling.state, ruling.reason) {
        (Some(hold), State::Pending, Reason::ToWrite) if hold.reason == Reason::Reported => {
            (State::Drifted, Reason::Reported)
        }
        (Some(hold), State::Pending, Reason::ToWrite) => (State::Pending, hold.reason),
        (Some(hold), State::Pending, Reason::NotWritten) if hold.reason != Reason::Reported => {
            (State::Pending, hold.reason)
        }
        (_, state, reason) => (state, reason),
    };
    let actionable = match ruling.next {
        Next::Nothing => false,
        Next::Read => ground.askable,
        Next::Write(_) => hold.is_none_or(Hold::ends_by_itself),
    };
    KeyVerdict {
        key: setting.key().clone(),
        state,
        reason,
        message: message(case, ruling, hold, ground),
        desired: setting.shown_value().cloned(),
        observed: case.observed().cloned(),
        config: setting.config().clone(),
        mode: setting.mode(),
        actionable,
    }
}

/// Words for a key in sync, of which a plan says nothing.
pub fn in_sync_message(verdict: &KeyVerdict) -> String {
    match &verdict.observed {
        Some(observed) => format!(
            "{} is {}, as config {} declares",
            verdict.key,
            quoted(observed),
            verdict.config
        ),
        None => format!("{} is as config {} declares", verdict.key, verdict.config),
    }
}

fn message(case: &Case<'_>, ruling: &Ruling, hold: Option<&Hold>, ground: &Ground<'_>) -> String {
    if ruling.state == State::InSync {
        return String::new();
    }
    let mut message = what(case, ruling, ground);
    if let Some(hold) = hold {
        message.push_str("; ");
        message.push_str(&held(hold, case, ground));
    }
    message
}

/// What is the matter, without what holds a write.
fn what(case: &Case<'_>, ruling: &Ruling, ground: &Ground<'_>) -> String {
    let key = case.setting.key();
    let config = case.setting.config();
    if let Some(barrier) = case.setting.barrier.as_ref().filter(|_| ruling.row <= 2) {
        return barrier.message.clone();
    }
    match ruling.state {
        State::Quarantined => quarantined(case),
        State::Failed => failed(case),
        State::Unverifiable if ruling.reason == Reason::Unconfirmed => {
            format!(
                "{key} was written, and no answer came; the station does not show it, so nobody knows whether it took"
            )
        }
        State::Unverifiable => {
            format!(
                "{key} was written {} and accepted; the station does not show it",
                since(case)
            )
        }
        State::ResetPending => reset_pending(case, ruling.reason),
        State::ReadOnlyMismatch => format!(
            "{}; the station says that it is read-only, so nothing is written: correct the setting in config {config}, or \
             the station by its own means",
            differing(case)
        ),
        State::NotSupported if ruling.reason == Reason::GoneWithFirmware => format!(
            "the station no longer knows {key} since its firmware is {}; nothing is written until the firmware changes",
            ground.memory.firmware.as_deref().unwrap_or("another")
        ),
        State::NotSupported => {
            format!(
                "the station does not know {key}; nothing is written until its firmware changes{}",
                detail(case)
            )
        }
        State::Unreported => {
            format!(
                "the station left {key} out of its answer although it was asked for it by name; it is asked again with the next read"
            )
        }
        State::Rejected => rejected(case),
        State::Drifted => drifted(case, ruling.reason, ground),
        State::Contested => contested(case),
        State::Unknown => unknown(case, ruling.reason, ground),
        State::Pending => pending(case, ruling.reason),
        State::NotApplicable
        | State::Invalid
        | State::Conflict
        | State::NeedsConsent
        | State::SecretMissing
        | State::InSync => differing(case),
    }
}

/// `HeartbeatInterval is "300", and config north/base wants "900"`.
fn differing(case: &Case<'_>) -> String {
    let setting = case.setting;
    match setting.shown_value() {
        Some(desired) => format!(
            "{} {}, and config {} wants {}",
            setting.key(),
            shown(case),
            setting.config(),
            quoted(desired)
        ),
        None => format!(
            "{} is to be the secret that config {} names",
            setting.key(),
            setting.config()
        ),
    }
}

fn shown(case: &Case<'_>) -> String {
    match (case.observed(), case.reading) {
        (Some(observed), _) => format!("is {}", quoted(observed)),
        (None, Some(Reading::Known { .. })) if !case.hidden => "has no value".to_owned(),
        (None, _) => "was not shown".to_owned(),
    }
}

fn quoted(value: &str) -> String {
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &value[..end]),
        None => format!("{value:?}"),
    }
}

fn since(case: &Case<'_>) -> String {
    case.write
        .map_or_else(String::new, |write| format!("at {}", second(write)))
}

/// Times for people are told to the second.
fn second(write: &WriteMemory) -> String {
    write.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn detail(case: &Case<'_>) -> String {
    let detail = case.write.and_then(|write| write.detail.as_deref());
    detail.map_or_else(String::new, |detail| {
        format!(" (it said {})", quoted(detail))
    })
}

fn names(keys: &[Key]) -> String {
    keys.iter().map(Key::as_str).collect::<Vec<_>>().join(", ")
}

fn quarantined(case: &Case<'_>) -> String {
    let Some(falls) = case.falls() else {
        return differing(case);
    };
    format!(
        "the connection ended {} times in a row during {} of {}; the key is left alone until the firmware changes or the \
         station is annotated with stationkeeper.dev/resume",
        falls.count,
        falls.call,
        case.setting.key()
    )
}

fn failed(case: &Case<'_>) -> String {
    let Some(write) = case.write else {
        return differing(case);
    };
    let saw = match write.answer {
        Answer::Accepted => "it was accepted and did not take",
        Answer::RebootRequired => "it was accepted, a boot came, and it did not take",
        Answer::Intended | Answer::NoAnswer => "no answer came",
        Answer::Rejected => "it was rejected",
        Answer::NotSupported => "it is not supported",
        Answer::Error => "the station answered with an error",
    };
    format!(
        "{}; written {} times, last at {}: {saw}{}; it is tried again after a change of the config, the firmware or the \
         device, or the annotation stationkeeper.dev/resume",
        differing(case),
        write.attempts,
        second(write),
        detail(case)
    )
}

fn reset_pending(case: &Case<'_>, reason: Reason) -> String {
    let key = case.setting.key();
    let value = case
        .setting
        .shown_value()
        .map_or_else(|| "a new secret".to_owned(), |value| quoted(value));
    match reason {
        Reason::AwaitingReconnect => {
            format!("{key} was set to {value}, effective with the station's next connection")
        }
        Reason::Superseding => format!(
            "{key} is as desired, but another value was stored before and would come with the next boot; {value} is \
             written once more"
        ),
        Reason::MayNeedReset => format!(
            "{}; the station accepted the write and does not show it: it may take a boot, which nobody knows",
            differing(case)
        ),
        _ => format!("{key} was set to {value}, effective with the station's next boot"),
    }
}

fn rejected(case: &Case<'_>) -> String {
    let allowed = allowed(case).map_or_else(String::new, |allowed| {
        format!("; the catalogue says: {allowed}")
    });
    format!(
        "the station rejected the value: {}{}{allowed}; it is tried again after a boot, or a change of the config or the \
         firmware",
        differing(case),
        detail(case)
    )
}

/// What the catalogue knows of the values that are taken.
fn allowed(case: &Case<'_>) -> Option<String> {
    let definition = case.setting.definition();
    if let Some(range) = &definition.range {
        return Some(format!("{}", range.value));
    }
    if let Some(values) = &definition.values {
        let codes: Vec<&str> = values
            .value
            .iter()
            .map(|named| named.code.as_str())
            .collect();
        return Some(format!("one of {}", codes.join(", ")));
    }
    let items = definition.item_values.as_ref()?;
    Some(format!("items out of {}", items.value.join(", ")))
}

fn drifted(case: &Case<'_>, reason: Reason, ground: &Ground<'_>) -> String {
    let differing = differing(case);
    match reason {
        Reason::NotAppliedAfterReset => {
            format!(
                "{differing}; it was written and a boot came, and the value did not: it is written once more"
            )
        }
        Reason::NotApplied => {
            format!("{differing}; it was accepted, and a boot did not bring it either")
        }
        Reason::AcceptedNotApplied => format!(
            "{differing}; the station accepted it {} times and does not show it",
            case.attempts()
        ),
        Reason::ChangedOutside => {
            format!("{differing}; it was in sync, and somebody else changed it")
        }
        Reason::NotPersistent if case.losses() >= 2 => format!(
            "{differing}; the station lost it in two boots in a row, so it is not written again until the config or the \
             firmware changes, or the annotation stationkeeper.dev/resume is set"
        ),
        Reason::NotPersistent => {
            format!("{differing}; it was in sync, and a boot brought another value")
        }
        Reason::LostWithFirmware => format!(
            "{differing}; it was in sync, and was lost when the firmware changed to {}",
            ground.memory.firmware.as_deref().unwrap_or("another")
        ),
        Reason::SideEffect => side_effect(case.drift(), differing),
        _ => differing,
    }
}

fn side_effect(drift: Option<&DriftMemory>, differing: String) -> String {
    let by = match drift.map(|drift| drift.by.as_slice()) {
        None | Some([]) => "another key".to_owned(),
        Some([one]) => one.to_string(),
        Some(several) => format!("one of {}", names(several)),
    };
    format!(
        "{differing}; it was in sync until our own write of {by} moved it, so it is not written back: the two settings do \
         not go together on this station"
    )
}

fn contested(case: &Case<'_>) -> String {
    let theirs = case.contest().map_or_else(
        || "another value".to_owned(),
        |contest| quoted(&contest.theirs),
    );
    let desired = case
        .setting
        .shown_value()
        .map_or_else(|| "ours".to_owned(), |value| quoted(value));
    format!(
        "another writer keeps setting {} to {theirs} where config {} wants {desired}; nothing is written until the other \
         writer is found and stopped, or the setting removed, and the config changes or stationkeeper.dev/resume is set",
        case.setting.key(),
        case.setting.config()
    )
}

fn pending(case: &Case<'_>, reason: Reason) -> String {
    match (reason, case.reading) {
        (Reason::AmbiguousName, Some(Reading::Ambiguous { spellings })) => format!(
            "the station has several keys that differ from {} only by case ({}); spell the setting exactly as one of them",
            case.setting.key(),
            names(spellings)
        ),
        (Reason::Unconfirmed, _) => format!(
            "{} was written, and no answer came; it is read again before anything else",
            case.setting.key()
        ),
        (Reason::NotWritten, _) => {
            format!(
                "{} is to be written: the station does not show what it has",
                case.setting.key()
            )
        }
        _ => differing(case),
    }
}

fn unknown(case: &Case<'_>, reason: Reason, ground: &Ground<'_>) -> String {
    let key = case.setting.key();
    match case.reading {
        Some(Reading::Failed { what, .. }) if reason == Reason::BackingOff => {
            format!("{key} could not be read: {what}; it is tried again after a pause")
        }
        _ => match (ground.hold, &ground.observed.ended) {
            (Some(hold), _) if !ground.askable => {
                format!("{key} was not read yet; {}", of_station(hold))
            }
            (_, Some(ended)) => format!("{key} was not read yet: {ended}; it is tried again"),
            (_, None) => format!("{key} was not read yet"),
        },
    }
}

fn held(hold: &Hold, case: &Case<'_>, ground: &Ground<'_>) -> String {
    match (&hold.other, hold.until, hold.reason) {
        (Some(other), _, _) => format!("{other} has to be settled first"),
        (None, _, Reason::AfterAnotherKey) => "it can cut the link, and goes last and alone".to_owned(),
        (None, Some(until), _) => format!("the next attempt comes after {}", until.strftime("%Y-%m-%dT%H:%M:%SZ")),
        (None, None, Reason::Reported) => "the mode is Report, so nothing is written".to_owned(),
        (None, None, Reason::Unauthenticated) => format!(
            "the connection is not authenticated, and {} is not written over such a one",
            if case.setting.is_secret() { "a secret" } else { "a key that can cut the link" }
        ),
        (None, None, Reason::Busy) if ground.station.activity == Activity::Busy => {
            "it is written when the station is idle: a driver uses it now, or is about to".to_owned()
        }
        (None, None, Reason::Busy) => {
            "it is written when the station is idle, and it has not told yet what each of its connectors does"
                .to_owned()
        }
        (None, None, Reason::NoResetMayFollow) => {
            "it can cut the link and takes effect with a boot, so it is written only when a Reset of ours may follow at \
             once, and this version sends none"
                .to_owned()
        }
        (None, None, reason) => of_station(reason).to_owned(),
    }
}

fn of_station(reason: Reason) -> &'static str {
    match reason {
        Reason::Offline => "the station is not connected",
        Reason::NotRegistered => {
            "the station has sent no BootNotification yet that could be answered"
        }
        Reason::Suspended => "the station is suspended (spec.suspend)",
        Reason::Paused => "the station is paused (annotation stationkeeper.dev/paused)",
        Reason::Braked => "the brake is on",
        Reason::FirmwareUpdate => {
            "the station told of a firmware update or an upload of diagnostics or a log, and not yet of its end; it is \
             believed for 24 hours"
        }
        Reason::Budget => "as many keys are being written as can be remembered; it follows",
        Reason::ConnectorLimits => "the connector cannot read or write keys of this station",
        _ => "it is held",
    }
}
