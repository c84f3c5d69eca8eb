//! A station that reboots when it is written to: nobody who charges is cut off by that a second time.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use stationkeeper_simulator::Station;
use stationkeeper_tests::eventually;

use crate::site::{LIMIT, Site, config, holds, settings, station, text, written};

const KEY: &str = "ConnectionTimeOut";

/// The finding of the station's status that names the key.
fn finding(site: &Site) -> Result<String> {
    let file = site.state().join("status/north/ChargeStation/cp-1.yaml");
    let told: Value = serde_yaml::from_str(&std::fs::read_to_string(file)?)?;
    let findings = told["status"]["findings"].as_array();
    let about = |finding: &&Value| finding["rule"] == "RebootsOnWrite" && finding["key"] == KEY;
    let finding = findings
        .and_then(|findings| findings.iter().find(about))
        .with_context(|| format!("{:#}", told["status"]))?;
    Ok(finding["message"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_that_reboots_on_write_is_written_to_when_the_driver_has_left() -> Result<()> {
    let declared = |value: &str| station("cp-1", "CP1") + &config("one", 0, &[(KEY, value)]);
    let site = Site::with(&[("all.yaml", &declared("77"))])?;
    let journal = site.path("journal");
    let accepting = ["--authorize", "any", "--journal", text(&journal)?];
    let operator = site.operator_with(&accepting).await?;
    let mut reboots = settings(&operator, "CP1");
    // After the reads that follow a write: a read that the line does not survive has a pause of its own.
    reboots.pace.leave = Duration::from_secs(5);
    reboots.faults = vec![format!("boots-after-write:{KEY}").parse()?];
    let live = Station::start(reboots);
    holds(&live, KEY, "77").await?;
    eventually(LIMIT, async || {
        let told = finding(&site)?;
        ensure!(told.contains("booted by itself"), "{told}");
        Ok(())
    })
    .await?;
    operator.wait_for_state("CP1", KEY, "InSync", LIMIT).await?;

    live.begin_transaction(1, "TAG");
    let charging = live
        .wait_until(LIMIT, |stats| {
            stats
                .answered
                .get("StartTransaction")
                .is_some_and(|count| *count > 0)
        })
        .await;
    ensure!(charging, "{:?}", live.stats().answered);
    site.write("all.yaml", &declared("78"))?;
    eventually(LIMIT, async || {
        let row = operator.key("CP1", KEY).await?;
        ensure!(
            row["state"] == "Pending" && row["reason"] == "Busy",
            "{row}"
        );
        Ok(())
    })
    .await?;
    ensure!(written(&live, KEY) == ["77"], "{:?}", written(&live, KEY));
    ensure!(
        live.with_stats(|stats| stats.boots) == 2,
        "it booted once more"
    );

    live.end_transaction(1);
    holds(&live, KEY, "78").await?;
    eventually(LIMIT, async || {
        let told = finding(&site)?;
        ensure!(told.contains("reboots on this write: 2 times"), "{told}");
        Ok(())
    })
    .await?;
    operator.wait_for_state("CP1", KEY, "InSync", LIMIT).await?;
    ensure!(
        written(&live, KEY) == ["77", "78"],
        "{:?}",
        written(&live, KEY)
    );
    Ok(())
}
