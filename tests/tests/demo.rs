//! `demo` as a person and as a program run it: what it shows has come about over real sockets, and can be told by a reader
//! of its output alone.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use stationkeeper_tests::operator::stationkeeper;

/// Every object of the document has exactly these fields.
fn has_exactly(object: &Value, fields: &[&str]) -> Result<()> {
    let has: BTreeSet<&str> = object
        .as_object()
        .with_context(|| format!("no object: {object}"))?
        .keys()
        .map(String::as_str)
        .collect();
    ensure!(
        has == fields.iter().copied().collect(),
        "{has:?} should be {fields:?}"
    );
    Ok(())
}

fn list<'a>(object: &'a Value, field: &str) -> Result<&'a Vec<Value>> {
    object[field]
        .as_array()
        .with_context(|| format!("{field} is no list in {object}"))
}

fn check_shape(document: &Value) -> Result<()> {
    has_exactly(document, &["stations", "configs", "history"])?;
    for station in list(document, "stations")? {
        has_exactly(
            station,
            &[
                "name",
                "namespace",
                "identity",
                "vendor",
                "model",
                "firmware",
                "connected",
                "keys",
            ],
        )?;
        for key in list(station, "keys")? {
            has_exactly(
                key,
                &[
                    "key", "desired", "observed", "state", "reason", "stale", "config",
                ],
            )?;
        }
    }
    for config in list(document, "configs")? {
        has_exactly(config, &["name", "namespace", "conditions", "stations"])?;
    }
    for transition in list(document, "history")? {
        has_exactly(
            transition,
            &["time", "station", "key", "from", "to", "reason"],
        )?;
        let time = transition["time"].as_str().context("a time is no text")?;
        time.parse::<jiff::Timestamp>()
            .with_context(|| format!("{time:?} is no time"))?;
    }
    Ok(())
}

/// Is there such a transition, and then, of the same key, such another one?
fn followed(
    history: &[Value],
    first: impl Fn(&Value) -> bool,
    then: impl Fn(&Value) -> bool,
) -> bool {
    history
        .iter()
        .enumerate()
        .filter(|(_, transition)| first(transition))
        .any(|(place, transition)| {
            let same = |later: &&Value| {
                later["station"] == transition["station"] && later["key"] == transition["key"]
            };
            history[place + 1..].iter().filter(same).any(&then)
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_shows_every_state_within_its_limit_of_less_than_a_minute() -> Result<()> {
    // What it did not show in time it says, and fails.
    let ran = stationkeeper(&["demo", "-o", "json"]).await?;
    ensure!(
        ran.code == Some(0),
        "{:?}: {}{}",
        ran.code,
        ran.stdout,
        ran.stderr
    );
    let document: Value =
        serde_json::from_str(&ran.stdout).context("stdout is not one JSON document")?;
    check_shape(&document)?;
    let (stations, history) = (list(&document, "stations")?, list(&document, "history")?);
    ensure!(stations.len() >= 8, "{} stations", stations.len());
    ensure!(!list(&document, "configs")?.is_empty(), "no configs");

    let vendors: BTreeSet<&str> = stations
        .iter()
        .filter_map(|station| station["vendor"].as_str())
        .collect();
    ensure!(
        vendors == BTreeSet::from(["Amina", "Bender", "Ensto", "Stationkeeper"]),
        "{vendors:?}"
    );

    // Each of these came about, at the end or on the way.
    let keys: Vec<&Value> = stations
        .iter()
        .filter_map(|station| station["keys"].as_array())
        .flatten()
        .collect();
    let seen = |state: &str| {
        keys.iter().any(|key| key["state"] == state)
            || history.iter().any(|change| change["to"] == state)
    };
    for state in [
        "InSync",
        "ResetPending",
        "Rejected",
        "NotSupported",
        "ReadOnlyMismatch",
        "Unverifiable",
        "Contested",
        "NeedsConsent",
    ] {
        ensure!(seen(state), "{state} is not shown");
    }
    let because = |reason: &str| {
        keys.iter()
            .any(|key| key["state"] == "Drifted" && key["reason"] == reason)
            || history
                .iter()
                .any(|change| change["to"] == "Drifted" && change["reason"] == reason)
    };
    ensure!(
        because("ChangedOutside") && because("AcceptedNotApplied"),
        "{history:?}"
    );
    // A rejection has its reason wherever it is told.
    let rejected = history.iter().filter(|change| change["to"] == "Rejected");
    let mut with_key = keys
        .iter()
        .copied()
        .filter(|key| key["state"] == "Rejected")
        .chain(rejected);
    ensure!(
        with_key.all(|told| told["reason"]
            .as_str()
            .is_some_and(|reason| !reason.is_empty())),
        "{document}"
    );

    // The wait for a Reset ended with a boot, and what somebody changed was repaired.
    ensure!(
        followed(
            history,
            |is| is["to"] == "ResetPending",
            |is| is["to"] == "InSync"
        ),
        "{history:?}"
    );
    ensure!(
        followed(
            history,
            |is| is["reason"] == "ChangedOutside",
            |is| is["to"] == "InSync"
        ),
        "{history:?}"
    );

    // One station is offline: what is told of it is old, and nothing else is.
    let stale = |station: &Value, is: bool| {
        station["keys"]
            .as_array()
            .is_some_and(|keys| !keys.is_empty() && keys.iter().all(|key| key["stale"] == is))
    };
    let (online, offline): (Vec<_>, Vec<_>) = stations
        .iter()
        .partition(|station| station["connected"] == true);
    ensure!(
        !offline.is_empty() && offline.iter().all(|station| stale(station, true)),
        "{offline:?}"
    );
    ensure!(
        online.iter().all(|station| stale(station, false)),
        "{online:?}"
    );
    // A secret is never told.
    let secrets: Vec<_> = keys
        .iter()
        .filter(|key| key["key"] == "WLANPassword")
        .collect();
    ensure!(
        !secrets.is_empty()
            && secrets
                .iter()
                .all(|key| key["desired"].is_null() && key["observed"].is_null())
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_pipe_the_demo_prints_plain_lines_and_what_to_try_next() -> Result<()> {
    let ran = stationkeeper(&["demo"]).await?;
    ensure!(ran.code == Some(0), "{:?}: {}", ran.code, ran.stderr);
    ensure!(
        !ran.stdout.contains('\x1b'),
        "there are control sequences in a pipe"
    );
    ensure!(
        !ran.stdout.contains('\r'),
        "there are carriage returns in a pipe"
    );
    for word in [
        "InSync",
        "ResetPending",
        "somebody else changed it",
        "Contested",
        "harbour-1",
        "stationkeeper run",
    ] {
        ensure!(
            ran.stdout.contains(word),
            "{word} is not told:\n{}",
            ran.stdout
        );
    }
    Ok(())
}
