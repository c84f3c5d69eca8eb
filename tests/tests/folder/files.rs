//! What stands in the files comes true at the stations, and what goes wrong in them is told and harms nothing.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use stationkeeper_tests::{PythonStation, eventually, seconds, steady};

use crate::site::{LIMIT, Site, config, holds, simulated, station, well_treated, written};

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_converges_a_simulated_station_and_a_foreign_one() -> Result<()> {
    let wanted = [
        ("MeterValueSampleInterval", "900"),
        ("HeartbeatInterval", "3600"),
    ];
    let site = Site::with(&[
        (
            "stations.yaml",
            &(station("ours", "Ours 1/ä") + &station("foreign", "FOREIGN1")),
        ),
        ("configs.yaml", &config("baseline", 0, &wanted)),
    ])?;
    let operator = site.operator().await?;
    let ours = simulated(&operator, "Ours 1/ä");
    let keys =
        json!({"MeterValueSampleInterval": {"value": "60"}, "HeartbeatInterval": {"value": "300"}});
    let foreign = PythonStation::start(&operator.station_url("FOREIGN1"), &json!({"keys": keys}))?;
    for (key, value) in wanted {
        for identity in ["Ours 1/ä", "FOREIGN1"] {
            let row = operator
                .wait_for_state(identity, key, "InSync", LIMIT)
                .await?;
            ensure!(
                row["desired"] == value && row["observed"] == value && row["config"] == "baseline",
                "{row}"
            );
        }
        ensure!(written(&ours, key) == [value], "{:?}", written(&ours, key));
    }
    // What it tells is read some moments later.
    let writes = steady(LIMIT, seconds(1), async || {
        foreign.calls("ChangeConfiguration")
    })
    .await?;
    ensure!(writes.len() == wanted.len(), "{writes:?}");
    well_treated(&ours)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_is_named_with_line_and_column_and_the_others_go_on() -> Result<()> {
    let bad = "apiVersion: stationkeeper.dev/v1alpha1\nkind: ChargeStationConfig\nmetadata: {name: bad, namespace: north}\n\
               spec:\n  stations: {selector: {}}\n  settings:\n  - key: LocalPreAuthorize\n    value: on\n";
    let site = Site::with(&[
        ("bad.yaml", bad),
        (
            "good.yaml",
            &(station("cp-1", "CP1") + &config("good", 0, &[("MeterValueSampleInterval", "900")])),
        ),
    ])?;
    let operator = site.operator().await?;
    let live = simulated(&operator, "CP1");
    operator
        .wait_for_state("CP1", "MeterValueSampleInterval", "InSync", LIMIT)
        .await?;
    let line = operator.wait_for_log("bad.yaml:8:12", LIMIT).await?;
    ensure!(
        line.contains("\"on\""),
        "the mend is to quote the value: {line}"
    );
    ensure!(
        written(&live, "LocalPreAuthorize").is_empty(),
        "a bad config was carried out"
    );

    // `status` tells the same, and that there is something to mend; once mended, it no longer does.
    eventually(LIMIT, async || {
        let ran = site.status(&[]).await?;
        ensure!(
            ran.code == Some(2) && ran.stderr.contains("bad.yaml:8:12"),
            "{ran:?}"
        );
        Ok(())
    })
    .await?;
    site.write(
        "bad.yaml",
        &config("bad", 0, &[("LocalPreAuthorize", "true")]),
    )?;
    holds(&live, "LocalPreAuthorize", "true").await?;
    eventually(LIMIT, async || {
        let ran = site.status(&[]).await?;
        ensure!(ran.code == Some(0) && ran.stderr.is_empty(), "{ran:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_edited_on_disk_takes_effect() -> Result<()> {
    let site = Site::with(&[
        ("station.yaml", &station("cp-1", "CP1")),
        (
            "config.yaml",
            &config("baseline", 0, &[("MeterValueSampleInterval", "900")]),
        ),
    ])?;
    let operator = site.operator().await?;
    let live = simulated(&operator, "CP1");
    holds(&live, "MeterValueSampleInterval", "900").await?;
    site.write(
        "config.yaml",
        &config("baseline", 0, &[("MeterValueSampleInterval", "300")]),
    )?;
    holds(&live, "MeterValueSampleInterval", "300").await?;
    operator
        .wait_for_state("CP1", "MeterValueSampleInterval", "InSync", LIMIT)
        .await?;
    ensure!(written(&live, "MeterValueSampleInterval") == ["900", "300"]);
    well_treated(&live)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_that_goes_bad_holds_its_keys_and_a_removed_one_releases_them() -> Result<()> {
    let key = "MeterValueSampleInterval";
    let site = Site::with(&[
        ("station.yaml", &station("cp-1", "CP1")),
        ("lower.yaml", &config("lower", 0, &[(key, "300")])),
        (
            "upper.yaml",
            &config("upper", 100, &[(key, "900"), ("LocalPreAuthorize", "true")]),
        ),
    ])?;
    let operator = site.operator().await?;
    let live = simulated(&operator, "CP1");
    operator.wait_for_state("CP1", key, "InSync", LIMIT).await?;
    operator
        .wait_for_state("CP1", "LocalPreAuthorize", "InSync", LIMIT)
        .await?;

    site.write(
        "upper.yaml",
        "apiVersion: stationkeeper.dev/v1alpha1\nkind: [\n",
    )?;
    operator.wait_for_log("upper.yaml:", LIMIT).await?;
    // A later change of the lower layer is carried out, so the bad one has been looked at too.
    site.write(
        "lower.yaml",
        &config("lower", 0, &[(key, "60"), ("HeartbeatInterval", "3600")]),
    )?;
    holds(&live, "HeartbeatInterval", "3600").await?;
    operator
        .wait_for_state("CP1", "HeartbeatInterval", "InSync", LIMIT)
        .await?;
    let row = operator.key("CP1", key).await?;
    ensure!(row["config"] == "upper", "the key fell through: {row}");
    ensure!(written(&live, key) == ["900"], "{:?}", written(&live, key));

    site.remove("upper.yaml")?;
    holds(&live, key, "60").await?;
    let row = eventually(LIMIT, async || {
        let row = operator.key("CP1", key).await?;
        ensure!(
            row["config"] == "lower" && row["state"] == "InSync",
            "{row}"
        );
        Ok(row)
    })
    .await?;
    ensure!(row["desired"] == "60", "{row}");
    // Nobody declares this one any more: it is left as it is, and no longer told of.
    let status = operator.status().await?;
    let keys = status["stations"][0]["keys"]
        .as_array()
        .context("no keys")?;
    ensure!(
        keys.iter().all(|row| row["key"] != "LocalPreAuthorize"),
        "{status}"
    );
    ensure!(written(&live, "LocalPreAuthorize") == ["true"]);
    well_treated(&live)
}
