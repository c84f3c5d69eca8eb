//! Secrets from files: they open the gateway and reach the stations, and show up nowhere else.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use stationkeeper_simulator::{
    Access, KeyDefinition, Password, Station, StationHandle, StationProfile,
};
use stationkeeper_tests::{Operator, eventually, seconds, throughout};

use crate::site::{
    LIMIT, Site, config_with, secret, settings, station_with, text, well_treated, written,
};

const DIGITS: &str = "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf";
const WIFI: &str = "wifi-value-that-nobody-may-see";
const NEW_WIFI: &str = "another-value-that-nobody-may-see";

/// A station with a password and a config that sets its WLAN password from a Secret.
fn guarded_site() -> Result<Site> {
    let authentication = json!({"secretRef": {"name": "cp-1"}, "encoding": "Hex"});
    let value_from = json!({"secretKeyRef": {"name": "wifi", "key": "password"}});
    let wifi = json!({
        "consent": ["ConnectionCritical", "Unknown", "NoFallback"],
        "settings": [{"key": "WLANPassword", "valueFrom": value_from}],
    });
    Site::with(&[
        (
            "station.yaml",
            &station_with(
                "cp-1",
                &json!({"identity": "CP1", "authentication": authentication}),
            ),
        ),
        ("config.yaml", &config_with("wifi", &wifi)),
        ("password.yaml", &secret("cp-1", DIGITS)),
        ("wifi.yaml", &secret("wifi", WIFI)),
    ])
}

/// The bytes that the digits stand for.
fn password() -> Password {
    Password::new((0xc0..=0xcf).collect::<Vec<u8>>())
}

fn guarded(operator: &Operator, password: Password) -> StationHandle {
    let mut key = KeyDefinition::default();
    key.key = "WLANPassword".to_owned();
    key.value = Some(String::new());
    key.access = Access::WriteOnly;
    let mut settings = settings(operator, "CP1");
    settings.password = Some(password);
    settings.profile = Arc::new(StationProfile::standard().as_ref().clone().with_key(key));
    Station::start(settings)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_401_and_the_right_one_comes_in() -> Result<()> {
    let site = guarded_site()?;
    let operator = site.operator().await?;
    for wrong in ["wrong", DIGITS] {
        // The digits themselves are wrong too: `encoding: Hex` means the bytes that they stand for.
        let stranger = guarded(&operator, Password::from(wrong));
        let told = |stats: &stationkeeper_simulator::Stats| {
            stats
                .last_refusal
                .as_ref()
                .is_some_and(|refusal| refusal.contains("401"))
        };
        ensure!(
            stranger.wait_until(LIMIT, told).await,
            "{:?}",
            stranger.stats().last_refusal
        );
        ensure!(stranger.stats().connects == 0, "a wrong password came in");
        stranger.stop().await;
    }
    let live = guarded(&operator, password());
    ensure!(
        live.wait_until(LIMIT, |stats| stats.connected).await,
        "{:?}",
        live.stats().last_refusal
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_written_once_and_again_only_when_it_changes() -> Result<()> {
    let site = guarded_site()?;
    let mut operator = site.operator().await?;
    let live = guarded(&operator, password());
    operator
        .wait_for_state("CP1", "WLANPassword", "Unverifiable", LIMIT)
        .await?;
    ensure!(written(&live, "WLANPassword") == [WIFI]);

    // The same Secret in another text is no change; another one is.
    site.write("wifi.yaml", &format!("# moved\n{}", secret("wifi", WIFI)))?;
    throughout(seconds(3), async || {
        ensure!(
            written(&live, "WLANPassword") == [WIFI],
            "{} writes",
            written(&live, "WLANPassword").len()
        );
        Ok(())
    })
    .await?;
    site.write("wifi.yaml", &secret("wifi", NEW_WIFI))?;
    eventually(LIMIT, async || {
        let writes = written(&live, "WLANPassword");
        ensure!(
            writes == [WIFI, NEW_WIFI],
            "{} writes; {}",
            writes.len(),
            operator.key("CP1", "WLANPassword").await?
        );
        Ok(())
    })
    .await?;
    operator
        .wait_for_state("CP1", "WLANPassword", "Unverifiable", LIMIT)
        .await?;

    // A restart is none either: what was written is remembered.
    operator.restart()?;
    operator.wait_until_ready(LIMIT).await?;
    eventually(LIMIT, async || {
        let row = operator.key("CP1", "WLANPassword").await?;
        ensure!(
            row["state"] == "Unverifiable" && row["stale"] == false,
            "{row}"
        );
        Ok(())
    })
    .await?;
    throughout(seconds(2), async || {
        let count = written(&live, "WLANPassword").len();
        ensure!(count == 2, "{count} writes");
        Ok(())
    })
    .await?;

    // The new process does not know whether a driver is using the station; it asks, and then writes.
    site.write("wifi.yaml", &secret("wifi", WIFI))?;
    eventually(LIMIT, async || {
        let writes = written(&live, "WLANPassword");
        ensure!(
            writes == [WIFI, NEW_WIFI, WIFI],
            "{} writes; {}",
            writes.len(),
            operator.key("CP1", "WLANPassword").await?
        );
        Ok(())
    })
    .await?;
    well_treated(&live)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_shows_up_nowhere() -> Result<()> {
    let site = guarded_site()?;
    let audit = site.path("audit.jsonl");
    let arguments = ["--audit", text(&audit)?, "--log", "stationkeeper=trace"];
    let mut operator = site.operator_with(&arguments).await?;
    let live = guarded(&operator, password());
    let row = operator
        .wait_for_state("CP1", "WLANPassword", "Unverifiable", LIMIT)
        .await?;
    ensure!(
        row["desired"] == Value::Null && row["observed"] == Value::Null,
        "{row}"
    );

    // The audit names the write, without its value.
    let lines = fs::read_to_string(&audit)?;
    let entries: Vec<Value> = lines
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let entry = entries.iter().find(|entry| entry["key"] == "WLANPassword");
    ensure!(
        entry.is_some_and(|entry| entry["new"] == Value::Null && entry["answer"] == "Accepted"),
        "{lines}"
    );

    let mut shown = vec![
        lines,
        operator.get("/status").await?.body,
        operator.get("/metrics").await?.body,
    ];
    for output in ["table", "wide", "json", "yaml"] {
        let ran = site.status(&["-o", output]).await?;
        shown.extend([ran.stdout, ran.stderr]);
    }
    operator.terminate(LIMIT).await?;
    shown.extend(operator.logs());
    for text in &shown {
        clean(text.as_bytes(), text)?;
    }
    ensure!(
        every_file_is_clean(&site.state())? > 0,
        "nothing stands in the state directory"
    );
    ensure!(written(&live, "WLANPassword") == [WIFI]);
    Ok(())
}

fn clean(bytes: &[u8], place: &str) -> Result<()> {
    for secret in [WIFI, DIGITS] {
        let shows = bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        ensure!(!shows, "a secret stands in {place}");
    }
    Ok(())
}

/// Looks into every file below a folder, but for the key of the digests, and counts them.
fn every_file_is_clean(folder: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            count += every_file_is_clean(&path)?;
        } else if !path.ends_with("hmac.key") {
            clean(&fs::read(&path)?, &path.display().to_string())?;
            count += 1;
        }
    }
    Ok(count)
}
