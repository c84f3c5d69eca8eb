//! What is told of one config, over all its stations.

use super::{
    Class, Condition, ConfigStatus, Example, MAX_EXAMPLES, StationCounts, StationSummary, class,
    condition, counted, is_settled, named, stall,
};
use crate::plan::KeyVerdict;
use crate::state::{Reason, State};

/// Tells of a config. `mistake`: the object itself is invalid (Stalled). `suspended`: nothing is done by it, so nothing
/// that may be done is undone.
pub fn config_status(
    stations: &[StationSummary],
    mistake: Option<&str>,
    suspended: bool,
) -> ConfigStatus {
    let mut stations: Vec<&StationSummary> = stations.iter().collect();
    stations.sort_by(|a, b| a.station.cmp(&b.station));
    let counts = counts(&stations);
    ConfigStatus {
        stations: counts,
        examples: examples(&stations),
        conditions: conditions(&stations, counts, mistake, suspended),
    }
}

/// What a station is to a config's summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Offline,
    Failed,
    Progressing,
    Drifted,
    ResetPending,
    InSync,
}

/// The one class that a station counts in: not connected, whatever else; then the worst that applies.
fn standing(station: &StationSummary) -> Standing {
    if !station.connected {
        return Standing::Offline;
    }
    let worst = station
        .keys
        .iter()
        .filter(|verdict| !is_settled(verdict))
        .map(|verdict| class(verdict.state))
        .min();
    match worst {
        _ if station.stalled.is_some() => Standing::Failed,
        Some(Class::Failed) => Standing::Failed,
        // A drift that is being mended is progress.
        _ if !station.current || is_at_work(station) => Standing::Progressing,
        Some(Class::Drifted) => Standing::Drifted,
        Some(Class::Pending | Class::Unverifiable) => Standing::Progressing,
        Some(Class::ResetPending) => Standing::ResetPending,
        Some(Class::InSync | Class::NotApplicable) | None => Standing::InSync,
    }
}

fn is_at_work(station: &StationSummary) -> bool {
    station.keys.iter().any(|verdict| verdict.actionable)
}

fn counts(stations: &[&StationSummary]) -> StationCounts {
    let mut counts = StationCounts::default();
    for station in stations {
        counts.total += 1;
        let count = match standing(station) {
            Standing::Offline => &mut counts.offline,
            Standing::Failed => &mut counts.failed,
            Standing::Progressing => &mut counts.progressing,
            Standing::Drifted => &mut counts.drifted,
            Standing::ResetPending => &mut counts.reset_pending,
            Standing::InSync => &mut counts.in_sync,
        };
        *count += 1;
    }
    counts
}

/// The worst first, spread over stations: the worst key of each station before the second worst of any.
fn examples(stations: &[&StationSummary]) -> Vec<Example> {
    let mut ranked: Vec<(usize, Class, &str, &KeyVerdict)> = Vec::new();
    for station in stations {
        let mut deviating: Vec<&KeyVerdict> = station
            .keys
            .iter()
            .filter(|verdict| !is_settled(verdict))
            .collect();
        deviating.sort_by(|a, b| {
            class(a.state)
                .cmp(&class(b.state))
                .then_with(|| a.key.cmp(&b.key))
        });
        let of_station = deviating.into_iter().take(MAX_EXAMPLES).enumerate();
        ranked.extend(of_station.map(|(place, verdict)| {
            (
                place,
                class(verdict.state),
                station.station.as_str(),
                verdict,
            )
        }));
    }
    ranked.sort_by(|a, b| {
        (a.0, a.1, a.2)
            .cmp(&(b.0, b.1, b.2))
            .then_with(|| a.3.key.cmp(&b.3.key))
    });
    ranked.truncate(MAX_EXAMPLES);
    ranked.sort_by(|a, b| {
        (a.1, a.0, a.2)
            .cmp(&(b.1, b.0, b.2))
            .then_with(|| a.3.key.cmp(&b.3.key))
    });
    let example = |station: &str, verdict: &KeyVerdict| Example {
        station: station.to_owned(),
        key: verdict.key.clone(),
        state: verdict.state,
        reason: verdict.reason,
    };
    ranked
        .into_iter()
        .map(|(_, _, station, verdict)| example(station, verdict))
        .collect()
}

fn conditions(
    stations: &[&StationSummary],
    counts: StationCounts,
    mistake: Option<&str>,
    suspended: bool,
) -> Vec<Condition> {
    let stall = stall_of(stations, mistake);
    let progressing = stations
        .iter()
        .filter(|station| holds_ready(station))
        .count();
    let mut conditions = Vec::new();
    conditions.push(match &stall {
        Some((reason, message)) => condition("Ready", false, reason, message.as_str()),
        None if suspended => condition(
            "Ready",
            true,
            "Suspended",
            "the config is suspended: its keys are held as they are",
        ),
        None if progressing > 0 => condition("Ready", false, "Progressing", at_work(progressing)),
        None if counts.total == 0 => condition(
            "Ready",
            true,
            "NoStations",
            "the config selects no station; check spec.stations if that is not meant",
        ),
        None => {
            let stations = counted(stations.len(), "station");
            condition(
                "Ready",
                true,
                "Reconciled",
                format!("all that may be done now is done for {stations}"),
            )
        }
    });
    conditions.push(in_sync(stations, counts));
    if let Some((reason, message)) = stall {
        conditions.push(condition("Stalled", true, reason, message));
    } else if !suspended && progressing > 0 {
        conditions.push(condition(
            "Reconciling",
            true,
            "Progressing",
            at_work(progressing),
        ));
    }
    if let Some((state, message)) = drift(stations) {
        conditions.push(condition("Drifted", true, &format!("{state:?}"), message));
    }
    let waiting = stations
        .iter()
        .filter(|station| waits_for_boot(station))
        .count();
    if waiting > 0 {
        let message = format!(
            "{} with keys that take effect with the next boot",
            counted(waiting, "station")
        );
        conditions.push(condition("ResetRequired", true, "AwaitingBoot", message));
    }
    conditions
}

/// Does a station hold Ready back? Its status has to speak of this generation, connected or not; and nothing that may
/// be done now may be undone.
fn holds_ready(station: &StationSummary) -> bool {
    station.stalled.is_none() && (!station.current || is_at_work(station))
}

fn at_work(stations: usize) -> String {
    format!(
        "{} being read or written, or about to be",
        counted(stations, "station")
    )
}

/// Why the config cannot go on by itself, if so.
fn stall_of(stations: &[&StationSummary], mistake: Option<&str>) -> Option<(&'static str, String)> {
    if let Some(mistake) = mistake {
        return Some(("Invalid", mistake.to_owned()));
    }
    let mut first: Option<(&'static str, &str, &KeyVerdict)> = None;
    let mut count = 0;
    for station in stations {
        if let Some((reason, verdict)) = station
            .keys
            .iter()
            .find_map(|verdict| Some((stall(verdict)?, verdict)))
        {
            count += 1;
            first.get_or_insert((reason, station.station.as_str(), verdict));
        }
    }
    let (reason, station, verdict) = first?;
    let others = if count > 1 {
        format!(" ({} in all)", counted(count, "station"))
    } else {
        String::new()
    };
    Some((
        reason,
        format!(
            "station {station}: {}{others}",
            named(&verdict.key, &verdict.message)
        ),
    ))
}

/// An offline station keeps its last states: it is in sync if it was when it was last read.
fn in_sync(stations: &[&StationSummary], counts: StationCounts) -> Condition {
    let total = stations.len();
    if total == 0 {
        let message = "the config selects no station";
        return Condition {
            status: "Unknown".to_owned(),
            ..condition("InSync", false, "NoStations", message)
        };
    }
    let is_in_sync = |station: &&&StationSummary| {
        station.stalled.is_none() && station.current && station.keys.iter().all(is_settled)
    };
    let in_sync = stations.iter().filter(is_in_sync).count();
    let StationCounts {
        total: _,
        in_sync: _,
        progressing,
        reset_pending,
        drifted,
        failed,
        offline,
    } = counts;
    let others = [
        (failed, "failed"),
        (drifted, "drifted"),
        (progressing, "progressing"),
        (reset_pending, "waiting for a boot"),
        (offline, "offline"),
    ];
    let mut message = format!(
        "all keys are in sync on {in_sync} of {}",
        counted(total, "station")
    );
    for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
        message.push_str(&format!(", {count} {what}"));
    }
    let all = in_sync == total;
    condition(
        "InSync",
        all,
        if all { "InSync" } else { "NotInSync" },
        message,
    )
}

fn drift(stations: &[&StationSummary]) -> Option<(State, String)> {
    let drifted: Vec<(&StationSummary, &KeyVerdict)> = stations
        .iter()
        .filter_map(|station| {
            let drifted = station
                .keys
                .iter()
                .filter(|verdict| verdict.state.is_drift());
            Some((
                *station,
                drifted.min_by_key(|verdict| (class(verdict.state), &verdict.key))?,
            ))
        })
        .collect();
    let (station, worst) = drifted
        .iter()
        .min_by_key(|(station, verdict)| (class(verdict.state), &station.station))?;
    let others = if drifted.len() > 1 {
        format!(" ({} in all)", counted(drifted.len(), "station"))
    } else {
        String::new()
    };
    Some((
        worst.state,
        format!(
            "station {}: {}{others}",
            station.station,
            named(&worst.key, &worst.message)
        ),
    ))
}

fn waits_for_boot(station: &StationSummary) -> bool {
    station.keys.iter().any(|verdict| {
        verdict.state == State::ResetPending && verdict.reason != Reason::MayNeedReset
    })
}
