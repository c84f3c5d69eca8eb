//! Stations that we did not write, against the product without a cluster.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use stationkeeper_tests::{LIMIT, Launch, Operator, PythonStation, eventually, seconds, steady};
use tempfile::TempDir;

const MANIFESTS: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: credentials, namespace: north}
stringData: {password: not-a-real-password}
---
apiVersion: stationkeeper.dev/v1alpha1
kind: ChargeStation
metadata: {name: guarded, namespace: north}
spec:
  identity: "Guarded 1"
  authentication: {secretRef: {name: credentials}}
---
apiVersion: stationkeeper.dev/v1alpha1
kind: ChargeStation
metadata: {name: open, namespace: north}
spec:
  identity: OPEN1
  authentication: {none: true}
---
apiVersion: stationkeeper.dev/v1alpha1
kind: ChargeStationConfig
metadata: {name: baseline, namespace: north}
spec:
  stations: {selector: {}}
  mode: Enforce
  settings:
    - {key: MeterValueSampleInterval, value: "900"}
    - {key: ClockAlignedDataInterval, value: "60"}
    - {key: NumberOfConnectors, value: "2"}
    - {key: ConnectionTimeOut, value: "90"}
"#;

/// The operator over a folder with the manifests above.
struct Site {
    operator: Operator,
    folder: TempDir,
}

impl Site {
    async fn open() -> Result<Self> {
        Self::open_with(&[]).await
    }

    async fn open_with(arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let manifests = folder.path().join("manifests");
        fs::create_dir(&manifests)?;
        fs::write(manifests.join("site.yaml"), MANIFESTS)?;
        let launch = Launch::new()?.folders(&manifests, folder.path().join("state"));
        let launch = launch.arguments(["--settle", "200ms"]);
        let mut operator = launch.arguments(arguments.iter().copied()).start()?;
        operator.wait_until_ready(LIMIT).await?;
        Ok(Self { operator, folder })
    }
}

/// The gateway said no. (A handshake that takes too long has no status.)
fn refused_with_a_status(event: &Value) -> bool {
    event["event"] == "refused" && event["status"].is_number()
}

/// A station with one key of each kind.
fn description() -> Value {
    json!({"vendor": "Somebody", "model": "Else", "keys": {
        "MeterValueSampleInterval": {"value": "60"},
        "ClockAlignedDataInterval": {"value": "0", "reboot": true},
        "NumberOfConnectors": {"value": "1", "readonly": true},
        "ConnectionTimeOut": {"value": "30", "reject": true},
        "HeartbeatInterval": {"value": "300"},
    }})
}

#[tokio::test]
async fn each_key_of_a_foreign_station_ends_in_its_own_state() -> Result<()> {
    let site = Site::open().await?;
    let mut station = PythonStation::start(&site.operator.station_url("OPEN1"), &description())?;
    let booted = station.wait_until_booted(LIMIT).await?;
    assert_eq!(
        booted["status"], "Pending",
        "nobody has said who may charge"
    );
    for (key, state) in [
        ("MeterValueSampleInterval", "InSync"),
        ("ClockAlignedDataInterval", "ResetPending"),
        ("NumberOfConnectors", "ReadOnlyMismatch"),
        ("ConnectionTimeOut", "Rejected"),
    ] {
        site.operator
            .wait_for_state("OPEN1", key, state, LIMIT)
            .await?;
    }
    station.boot()?;
    site.operator
        .wait_for_state("OPEN1", "ClockAlignedDataInterval", "InSync", LIMIT)
        .await?;

    // What it tells is read some moments later.
    let written = steady(LIMIT, seconds(1), async || {
        station.calls("ChangeConfiguration")
    })
    .await?;
    let times = |key: &str| {
        written
            .iter()
            .filter(|call| call["payload"]["key"] == key)
            .count()
    };
    assert_eq!(times("MeterValueSampleInterval"), 1, "{written:?}");
    assert_eq!(times("ClockAlignedDataInterval"), 1, "{written:?}");
    assert_eq!(times("NumberOfConnectors"), 0, "{written:?}");
    assert!(station.calls("Reset")?.is_empty(), "the policy is Wait");
    Ok(())
}

#[tokio::test]
async fn a_foreign_station_comes_in_with_its_password_only() -> Result<()> {
    let site = Site::open().await?;
    let url = site.operator.station_url("Guarded%201");
    let stranger = PythonStation::start(&url, &description())?;
    let refused = stranger.wait_for(LIMIT, refused_with_a_status).await?;
    assert_eq!(refused["status"], 401, "{refused}");
    drop(stranger);

    let mut known = description();
    known["password"] = json!("not-a-real-password");
    let _station = PythonStation::start(&url, &known)?;
    site.operator
        .wait_for_state("Guarded 1", "MeterValueSampleInterval", "InSync", LIMIT)
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_foreign_station_that_nobody_declared_is_told_404() -> Result<()> {
    let site = Site::open().await?;
    let station = PythonStation::start(&site.operator.station_url("NOBODY"), &description())?;
    let refused = station.wait_for(LIMIT, refused_with_a_status).await?;
    assert_eq!(refused["status"], 404, "{refused}");
    Ok(())
}

#[tokio::test]
async fn what_a_foreign_station_was_is_remembered_when_it_reconnects_without_a_boot() -> Result<()>
{
    let site = Site::open().await?;
    let mut station = PythonStation::start(&site.operator.station_url("OPEN1"), &description())?;
    site.operator
        .wait_for_state("OPEN1", "ClockAlignedDataInterval", "ResetPending", LIMIT)
        .await?;
    let read = station.calls("GetConfiguration")?.len();
    station.reconnect()?;
    eventually(LIMIT, async || {
        let events = station.events()?;
        let connected = events
            .iter()
            .filter(|event| event["event"] == "connected")
            .count();
        ensure!(connected == 2, "{connected} connections");
        // Only what was found on the new connection counts.
        let again = station.calls("GetConfiguration")?.len();
        ensure!(again > read, "{again} reads");
        let status = site.operator.status().await?;
        let stations = status["stations"].as_array();
        let open = stations
            .and_then(|stations| stations.iter().find(|one| one["identity"] == "OPEN1"))
            .context("the station")?;
        ensure!(open["connected"] == true, "{open}");
        ensure!(
            open["vendor"] == "Somebody" && open["model"] == "Else",
            "{open}"
        );
        let keys = open["keys"].as_array();
        let row = keys
            .and_then(|keys| {
                keys.iter()
                    .find(|row| row["key"] == "ClockAlignedDataInterval")
            })
            .context("the key")?;
        // A new connection alone is no boot.
        ensure!(
            row["stale"] == false && row["state"] == "ResetPending",
            "{row}"
        );
        Ok(())
    })
    .await
}

/// A station that takes GetConfiguration and never answers it.
fn deaf() -> Value {
    let mut deaf = description();
    deaf["silent"] = json!(["GetConfiguration"]);
    deaf
}

#[tokio::test]
async fn a_foreign_station_is_told_as_connected_while_its_answer_is_waited_for() -> Result<()> {
    let site = Site::open_with(&["--call-timeout", "5m"]).await?;
    let station = PythonStation::start(&site.operator.station_url("OPEN1"), &deaf())?;
    eventually(LIMIT, async || {
        let status = site.operator.status().await?;
        let open = &status["stations"]
            .as_array()
            .and_then(|stations| stations.iter().find(|one| one["identity"] == "OPEN1"))
            .context("the station")?;
        ensure!(open["connected"] == true, "{open}");
        for row in open["keys"].as_array().context("its keys")? {
            ensure!(row["state"] == "Unknown" && row["stale"] == true, "{row}");
        }
        Ok(())
    })
    .await?;
    // What it tells is read some moments later.
    let called = |event: &Value| event["event"] == "call" && event["action"] == "GetConfiguration";
    station.wait_for(LIMIT, called).await?;
    let calls = station.calls("GetConfiguration")?;
    assert_eq!(calls.len(), 1, "the first call is still waited for");
    Ok(())
}

#[tokio::test]
async fn a_foreign_station_that_answers_no_read_is_told_so() -> Result<()> {
    let site = Site::open_with(&["--call-timeout", "500ms"]).await?;
    let _station = PythonStation::start(&site.operator.station_url("OPEN1"), &deaf())?;
    let status = site
        .folder
        .path()
        .join("state/status/north/ChargeStation/open.yaml");
    eventually(LIMIT, async || {
        // Long texts are folded.
        let status = fs::read_to_string(&status)?;
        let words: Vec<&str> = status.split_whitespace().collect();
        let told = words.join(" ");
        ensure!(
            told.contains("the station does not answer GetConfiguration with keys"),
            "{told}"
        );
        ensure!(told.contains("no answer within 0.5 s"), "{told}");
        Ok(())
    })
    .await
}
