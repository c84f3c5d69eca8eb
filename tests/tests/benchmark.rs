//! The benchmark runs, and what it asserts holds on a small fleet: the least calls, and nothing at rest. No times: those
//! are for `cargo run --release -p stationkeeper-tests --bin fleet-benchmark`.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

const QUICK: [&str; 7] = [
    "--stations=40",
    "--keys=24",
    "--max-keys=22",
    "--planning-rounds=5",
    "--gateway-round=100ms",
    "--rest=2s",
    "--limit=300s",
];

/// Runs the benchmark; its document, if it found nothing wrong.
async fn measured(options: &[&str]) -> Result<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet-benchmark"));
    let output = command
        .args(QUICK)
        .args(options)
        .kill_on_drop(true)
        .output()
        .await
        .context("failed to run the benchmark")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "the benchmark found something wrong ({}): {said}{errors}",
        output.status
    );
    serde_json::from_str(&said).with_context(|| format!("not JSON: {said}"))
}

/// A number of the document by its JSON pointer.
fn number(document: &Value, pointer: &str) -> Result<f64> {
    let found = document.pointer(pointer).and_then(Value::as_f64);
    found.with_context(|| format!("no number at {pointer} in {document:#}"))
}

#[tokio::test]
async fn calls_are_the_least_that_do_the_job_and_a_fleet_at_rest_is_left_alone() -> Result<()> {
    let document = measured(&["--differing=6"]).await?;
    let calls = "/reconcile/callsPerStation";
    assert_eq!(
        number(&document, &format!("{calls}/ChangeConfiguration"))?,
        6.0
    );
    // Two pieces to open, one read-back for each write, two pieces to close.
    assert_eq!(
        number(&document, &format!("{calls}/GetConfiguration"))?,
        10.0
    );
    assert_eq!(number(&document, &format!("{calls}/others"))?, 0.0);
    assert_eq!(number(&document, "/reconcile/rest/calls")?, 0.0);
    assert_eq!(number(&document, "/reconcile/rest/statusWrites")?, 0.0);
    ensure!(
        number(&document, "/reconcile/statusWritesPerStation/converging")? <= 2.0,
        "at most the intent and the result are written: {document:#}"
    );
    for measured in [
        "/planning/microsPerStation",
        "/gateway/callsPerSecond",
        "/gateway/serverProcessorMicrosPerCall",
        "/gateway/memoryPerStationKiB/afterFullListing",
        "/reconcile/callsPerSecond",
        "/reconcile/secondsToConverge",
    ] {
        number(&document, measured)?;
    }
    Ok(())
}

#[tokio::test]
async fn slow_stations_that_connect_with_tls_cost_no_call_more() -> Result<()> {
    let document = measured(&["--differing=2", "--tls", "--round-trip=20ms"]).await?;
    assert_eq!(
        number(&document, "/reconcile/callsPerStation/GetConfiguration")?,
        6.0
    );
    Ok(())
}

#[tokio::test]
async fn silent_stations_do_not_hold_up_the_others() -> Result<()> {
    let document = measured(&["--differing=2", "--silent=0.25"]).await?;
    ensure!(
        number(&document, "/reconcile/calls")? >= 30.0 * 8.0,
        "{document:#}"
    );
    Ok(())
}
