//! Logs and audit tell one story, and the logs' level is changed while the operator runs.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use stationkeeper_tests::{eventually, http};

use crate::fleet::{Fleet, LIMIT};

/// The lines of a log that are JSON objects; every line has to be one.
fn objects(lines: &[String]) -> Result<Vec<Value>> {
    lines
        .iter()
        .map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_can_be_followed_from_the_reconcile_to_the_frame_and_the_audit() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let audit = folder.path().join("audit.json");
    let file = audit.to_str().context("a path is not text")?;
    let arguments = [
        "--log-format=json",
        "--log=stationkeeper=debug",
        "--audit",
        file,
    ];
    let fleet = Fleet::with(1, &arguments).await?;
    let live = fleet.station(1);
    fleet.in_sync(1).await?;
    // What a process prints is read some moments later.
    eventually(LIMIT, async || {
        let frames = live.with_stats(|stats| stats.writes.len());
        ensure!(frames > 0, "nothing was written");
        let audit = fs::read_to_string(&audit)?;
        let entries: Vec<String> = audit.lines().map(str::to_owned).collect();
        ensure!(entries.len() == frames, "{frames} frames: {entries:?}");
        tell_one_story(&objects(&fleet.operator.logs())?, &objects(&entries)?)
    })
    .await
}

/// Each entry of the audit is in the logs too, with what led to it.
fn tell_one_story(logs: &[Value], entries: &[Value]) -> Result<()> {
    for entry in entries {
        let (call, trace) = (&entry["callId"], &entry["traceId"]);
        ensure!(
            trace.as_str().is_some_and(|trace| trace.len() == 32),
            "{entry}"
        );
        let of_call: Vec<&Value> = logs
            .iter()
            .filter(|line| line["call_id"] == *call)
            .collect();
        let said = |what: &str| of_call.iter().find(|line| line["message"] == what);
        let called = said("called a station").context("the call is not in the log")?;
        ensure!(called["action"] == "ChangeConfiguration", "{called}");
        let changed = said("changed a key").context("the change is not in the log")?;
        for (field, expected) in [
            ("namespace", &entry["namespace"]),
            ("station", &entry["station"]),
            ("key", &entry["key"]),
            ("config", &entry["config"]),
            ("trace_id", trace),
        ] {
            ensure!(changed[field] == *expected, "{field}: {changed}");
        }
        // The reads that led to it, and the one that proved it, are of the same trace.
        let reads = logs
            .iter()
            .filter(|line| line["trace_id"] == *trace && line["action"] == "GetConfiguration");
        ensure!(
            reads.count() >= 2,
            "the reads have another trace: {logs:#?}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_level_is_changed_while_it_runs() -> Result<()> {
    let fleet = Fleet::with(1, &["--log=warn"]).await?;
    let put = async |filter: &str| {
        http::request(fleet.operator.admin(), "PUT", "/log-filter", filter).await
    };
    let _live = fleet.station(1);
    fleet.in_sync(1).await?;
    let debug = |lines: &[String]| lines.iter().any(|line| line.contains("called a station"));
    ensure!(!debug(&fleet.operator.logs()), "warn lets too much through");

    let wrong = put("stationkeeper=loud").await?;
    ensure!(wrong.status == 400, "{wrong:?}");
    ensure!(wrong.body.contains("is no filter"), "{wrong:?}");
    ensure!(fleet.operator.get("/log-filter").await?.body.trim() == "warn");

    let set = put("stationkeeper=debug").await?;
    ensure!(set.status == 200, "{set:?}");
    ensure!(set.body.trim() == "stationkeeper=debug", "{set:?}");
    let _other = fleet.station(1);
    fleet
        .operator
        .wait_for_log("called a station", LIMIT)
        .await?;
    // People read these lines: what happened, in which reconcile.
    let line = fleet.operator.wait_for_log("reconcile{", LIMIT).await?;
    ensure!(line.contains("trace_id="), "{line}");
    Ok(())
}
