//! What the demo shows: a line for each transition, a table of stations, a summary.

use std::collections::BTreeMap;
use std::fmt::Write;

use stationkeeper_core::state::State;

use crate::document::{Document, StationDocument, Transition};

/// Is a transition worth a line? The first look at a key that has nothing to do is not.
pub(super) fn is_news(transition: &Transition) -> bool {
    let first_look = matches!(transition.from, None | Some(State::Unknown));
    !(first_look
        && matches!(
            transition.to,
            Some(State::InSync | State::Unknown | State::Pending) | None
        ))
}

/// One transition.
pub(super) fn line(transition: &Transition, message: &str, colour: bool) -> String {
    let to = transition.to.map_or_else(
        || "no longer managed".to_owned(),
        |state| paint(state, &format!("{state:?}"), colour),
    );
    format!(
        "{:<11} {:<35} {to}: {message}",
        transition.station,
        transition.key.as_str()
    )
}

/// The table of stations: keys in sync, and the worst that is not.
pub(super) fn stations(document: &Document, colour: bool) -> String {
    let mut text = format!(
        "{:<12} {:<14} {:<10} {:>7}  {}\n",
        "STATION", "VENDOR", "CONNECTED", "IN SYNC", "NOT IN SYNC"
    );
    for station in &document.stations {
        let in_sync = station
            .keys
            .iter()
            .filter(|key| key.state == State::InSync)
            .count();
        let _ = writeln!(
            text,
            "{:<12} {:<14} {:<10} {:>7}  {}",
            station.name,
            station.vendor.as_deref().unwrap_or("-"),
            if station.connected { "yes" } else { "no" },
            format!("{in_sync}/{}", station.keys.len()),
            deviations(station, colour)
        );
    }
    text.pop();
    text
}

fn deviations(station: &StationDocument, colour: bool) -> String {
    let mut told: Vec<String> = station
        .keys
        .iter()
        .filter(|key| key.state != State::InSync)
        .map(|key| {
            format!(
                "{} {}",
                key.key,
                paint(key.state, &format!("{:?}", key.state), colour)
            )
        })
        .collect();
    let more = told.len().saturating_sub(3);
    told.truncate(3);
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    if !station.connected {
        told.insert(0, "(stale)".to_owned());
    }
    told.join(", ")
}

/// What was seen, and what to try next.
pub(super) fn summary(document: &Document, missed: &[String], colour: bool) -> String {
    let mut counts: BTreeMap<State, usize> = BTreeMap::new();
    for key in document.stations.iter().flat_map(|station| &station.keys) {
        *counts.entry(key.state).or_default() += 1;
    }
    let keys: usize = counts.values().sum();
    let mut text = String::from("\n== How it stands\n");
    text.push_str(&stations(document, colour));
    let _ = write!(
        text,
        "\n\n{} stations, {keys} managed keys:",
        document.stations.len()
    );
    for (state, count) in &counts {
        let _ = write!(text, " {count} {state:?},");
    }
    text.pop();
    text.push('\n');
    for key in document
        .stations
        .iter()
        .flat_map(|station| station.keys.iter().map(move |key| (station, key)))
        .filter(|(_, key)| key.state != State::InSync)
    {
        let (station, key) = key;
        let _ = writeln!(
            text,
            "  {:<11} {:<35} {:<17} {:?}",
            station.name,
            key.key.as_str(),
            format!("{:?}", key.state),
            key.reason
        );
    }
    if !missed.is_empty() {
        text.push_str("\nNot seen in time, which should have been:\n");
        for missed in missed {
            let _ = writeln!(text, "  {missed}");
        }
    }
    text.push_str(
        "\nTry next:\n\
         \x20 stationkeeper run --manifests examples/quickstart --gateway-listen 127.0.0.1:9220   the operator on a folder of YAML\n\
         \x20 stationkeeper simulate --url ws://127.0.0.1:9220/ocpp --count 1 --identity-prefix CP   a station for it\n\
         \x20 stationkeeper status                                                       what it found\n\
         \x20 stationkeeper crds | kubectl apply --server-side -f -                      the same in a cluster: see README.md",
    );
    text
}

fn paint(state: State, text: &str, colour: bool) -> String {
    if !colour {
        return text.to_owned();
    }
    let code = match state {
        State::InSync | State::Unverifiable => 32,
        State::Pending
        | State::ResetPending
        | State::Unknown
        | State::Unreported
        | State::NotApplicable => 33,
        State::Invalid
        | State::Conflict
        | State::NeedsConsent
        | State::SecretMissing
        | State::Quarantined
        | State::Failed
        | State::ReadOnlyMismatch
        | State::NotSupported
        | State::Rejected
        | State::Drifted
        | State::Contested => 31,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}
