//! KeyCatalogues as files: they take effect without a restart, and a file that goes bad takes no guard away.

use std::fs;
use std::sync::Arc;

use anyhow::{Result, ensure};
use stationkeeper_simulator::{Station, StationProfile};
use stationkeeper_tests::eventually;

use crate::site::{LIMIT, Site, config, settings, station, well_treated, written};

/// A station of a vendor that no built-in catalogue knows.
const VOLTA: &str = "
vendor: Volta
model: V2
firmware: \"7.1\"
keys:
  - {key: NumberOfConnectors, value: \"1\", type: Integer, access: ReadOnly}
  - {key: VoltaMaxCurrent, value: \"32\", type: Integer}
";

const CATALOGUE: &str = "\
apiVersion: stationkeeper.dev/v1alpha1
kind: KeyCatalogue
metadata: {name: volta, namespace: north}
spec:
  vendor: Volta
  match: [{vendor: Volta}]
  sources: {manual: {publisher: Volta, title: Manual}}
  source: manual
  keys:
  - key: VoltaMaxCurrent
    type: Integer
    range: {min: 6, max: 32}
    hazard: [SessionAffecting]
";

#[tokio::test(flavor = "multi_thread")]
async fn a_catalogue_file_takes_effect_and_stays_in_force_when_it_goes_bad() -> Result<()> {
    let site = Site::with(&[(
        "all.yaml",
        &(station("cp-1", "CP1") + &config("current", 0, &[("VoltaMaxCurrent", "16")])),
    )])?;
    let mut operator = site.operator().await?;
    let mut volta = settings(&operator, "CP1");
    volta.profile = Arc::new(StationProfile::from_yaml(VOLTA)?);
    let live = Station::start(volta);
    let state = async |operator: &stationkeeper_tests::Operator, state: &str| {
        operator
            .wait_for_state("CP1", "VoltaMaxCurrent", state, LIMIT)
            .await
    };
    let told = async |words: &[&str]| {
        let file = site.state().join("status/north/KeyCatalogue/volta.yaml");
        eventually(LIMIT, async || {
            let text = fs::read_to_string(&file)?;
            ensure!(words.iter().all(|word| text.contains(word)), "{text}");
            Ok(())
        })
        .await
    };
    state(&operator, "NeedsConsent").await?;

    site.write("volta.yaml", CATALOGUE)?;
    state(&operator, "InSync").await?;
    ensure!(written(&live, "VoltaMaxCurrent") == ["16"]);
    told(&["InForce", "total: 1"]).await?;

    // Bad in two places: both are named with line and column, and what the file said last stays in force.
    let bad = CATALOGUE
        .replace("type: Integer", "type: integer")
        .replace("hazard: [", "hazzard: [");
    site.write("volta.yaml", &bad)?;
    for place in [
        "volta.yaml:11:11: spec.keys[0].type: \"integer\" is not known here",
        "volta.yaml:13:5: spec.keys[0].hazzard: there is no such field here: did you mean \"hazard\"?",
    ] {
        operator.wait_for_log(place, LIMIT).await?;
    }
    told(&["Unreadable", "volta.yaml:13:5"]).await?;
    let row = operator.key("CP1", "VoltaMaxCurrent").await?;
    ensure!(row["state"] == "InSync", "{row}");
    // So it does after a restart: what was declared is written down.
    operator.restart()?;
    operator.wait_until_ready(LIMIT).await?;
    state(&operator, "InSync").await?;

    // A mistake that no schema sees is told at the entry.
    site.write("volta.yaml", &CATALOGUE.replace("min: 6", "min: 60"))?;
    let place = "volta.yaml:10:5: spec.keys[0]: key \"VoltaMaxCurrent\": the range begins at 60 and ends at 32";
    operator.wait_for_log(place, LIMIT).await?;

    // Mended, with another range: the value is outside of it now.
    site.write("volta.yaml", &CATALOGUE.replace("min: 6", "min: 20"))?;
    state(&operator, "Invalid").await?;
    told(&["InForce"]).await?;

    site.remove("volta.yaml")?;
    state(&operator, "NeedsConsent").await?;
    eventually(LIMIT, async || {
        let file = site.state().join("status/north/KeyCatalogue/volta.yaml");
        ensure!(!file.exists(), "the status of a deleted catalogue is kept");
        Ok(())
    })
    .await?;
    ensure!(written(&live, "VoltaMaxCurrent") == ["16"]);
    well_treated(&live)
}
