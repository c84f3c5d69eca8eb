//! The process itself: its start, its end at any moment, its one state directory, and what it shows.

use std::net::TcpListener;

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use serde_json::Value;
use stationkeeper_simulator::{FaultKind, Station, Trust};
use stationkeeper_tests::{eventually, seconds, throughout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::site::{
    LIMIT, Site, config, config_with, holds, settings, simulated, station, text, well_treated,
    written,
};

/// Ten keys whose values differ from those of a standard station.
const TEN: [(&str, &str); 10] = [
    ("BlinkRepeat", "7"),
    ("ClockAlignedDataInterval", "1800"),
    ("ConnectionTimeOut", "77"),
    ("HeartbeatInterval", "3600"),
    ("LightIntensity", "33"),
    ("LocalPreAuthorize", "true"),
    ("MeterValueSampleInterval", "900"),
    ("ResetRetries", "4"),
    ("TransactionMessageAttempts", "4"),
    ("TransactionMessageRetryInterval", "120"),
];

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_it_loses_nothing_and_writes_nothing_twice() -> Result<()> {
    let site = Site::with(&[(
        "all.yaml",
        &(station("cp-1", "CP1") + &config("ten", 0, &TEN)),
    )])?;
    let mut operator = site.operator().await?;
    let mut slow = settings(&operator, "CP1");
    // So slow that it is killed in the middle even where this test stands still for some seconds.
    slow.faults = vec!["slow:1000".parse()?];
    let live = Station::start(slow);
    let begun = live
        .wait_until(LIMIT, |stats| stats.writes.len() >= 2)
        .await;
    ensure!(begun, "{:?}", live.stats().writes);
    operator.restart()?;
    live.clear_fault(FaultKind::Slow);
    ensure!(
        live.with_stats(|stats| stats.writes.len()) < TEN.len(),
        "it was not killed in the middle"
    );
    operator.wait_until_ready(LIMIT).await?;
    for (key, value) in TEN {
        operator.wait_for_state("CP1", key, "InSync", LIMIT).await?;
        ensure!(
            written(&live, key) == [value],
            "{key}: {:?}",
            written(&live, key)
        );
    }
    // Killed at rest, it finds everything as it was.
    operator.restart()?;
    operator.wait_until_ready(LIMIT).await?;
    eventually(LIMIT, async || {
        let row = operator.key("CP1", "BlinkRepeat").await?;
        ensure!(row["state"] == "InSync" && row["stale"] == false, "{row}");
        Ok(())
    })
    .await?;
    ensure!(
        live.with_stats(|stats| stats.writes.len()) == TEN.len(),
        "{:?}",
        live.stats().writes
    );
    well_treated(&live)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_write_and_again_while_it_reads_what_came_of_it_nothing_is_written_twice()
-> Result<()> {
    let four = &TEN[..4];
    let site = Site::with(&[(
        "all.yaml",
        &(station("cp-1", "CP1") + &config("four", 0, four)),
    )])?;
    let mut operator = site.operator().await?;
    let mut slow = settings(&operator, "CP1");
    slow.faults = vec!["slow:1000".parse()?];
    let live = Station::start(slow);
    for count in 1..=four.len() {
        // The station has the value, and has not answered.
        let written = live
            .wait_until(LIMIT, |stats| stats.writes.len() >= count)
            .await;
        ensure!(written, "write {count}: {:?}", live.stats());
        operator.restart()?;
        let reads = live.with_stats(|stats| stats.calls_of("GetConfiguration"));
        let reading = live
            .wait_until(LIMIT, |stats| stats.calls_of("GetConfiguration") > reads)
            .await;
        ensure!(reading, "after write {count}: {:?}", live.stats());
        operator.restart()?;
    }
    live.clear_fault(FaultKind::Slow);
    for (key, value) in four {
        operator.wait_for_state("CP1", key, "InSync", LIMIT).await?;
        ensure!(
            written(&live, key) == [*value],
            "{key}: {:?}",
            written(&live, key)
        );
    }
    well_treated(&live)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_state_is_refused_and_the_first_goes_on() -> Result<()> {
    let site = Site::with(&[(
        "all.yaml",
        &(station("cp-1", "CP1") + &config("one", 0, &[("HeartbeatInterval", "3600")])),
    )])?;
    let operator = site.operator().await?;
    let ran = site
        .run_to_its_end(&site.state(), "127.0.0.1:0", &[])
        .await?;
    ensure!(ran.code == Some(1), "{ran:?}");
    let told = ran.stderr.contains("error: ")
        && ran.stderr.contains("in use by process")
        && ran.stderr.contains(text(&site.state())?);
    ensure!(told, "{}", ran.stderr);
    let live = simulated(&operator, "CP1");
    holds(&live, "HeartbeatInterval", "3600").await
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_what_the_operator_knows_while_it_runs() -> Result<()> {
    let site = Site::with(&[(
        "all.yaml",
        &(station("cp-1", "CP1") + &config("one", 0, &[("HeartbeatInterval", "3600")])),
    )])?;
    let mut operator = site.operator().await?;
    let live = simulated(&operator, "CP1");
    operator
        .wait_for_state("CP1", "HeartbeatInterval", "InSync", LIMIT)
        .await?;
    let document: Value = eventually(LIMIT, async || {
        let ran = site.status(&["-o", "json"]).await?;
        ensure!(ran.code == Some(0), "{ran:?}");
        let document: Value = serde_json::from_str(&ran.stdout)?;
        ensure!(document == operator.status().await?, "{document}");
        ensure!(
            document["configs"][0]["stations"]["inSync"] == 1,
            "{document}"
        );
        Ok(document)
    })
    .await?;
    ensure!(
        document["stations"][0]["keys"][0]["state"] == "InSync",
        "{document}"
    );
    eventually(LIMIT, async || {
        let table = site.status(&[]).await?;
        let told = ["NAME", "cp-1", "one", "CP1"]
            .iter()
            .all(|word| table.stdout.contains(word));
        ensure!(
            table.code == Some(0) && told && !table.stdout.contains('\x1b'),
            "{table:?}"
        );
        Ok(())
    })
    .await?;

    // A read-only key that differs is for a person: exit code 2, and the table names it.
    site.write(
        "more.yaml",
        &config("more", 1, &[("NumberOfConnectors", "77")]),
    )?;
    operator
        .wait_for_state("CP1", "NumberOfConnectors", "ReadOnlyMismatch", LIMIT)
        .await?;
    eventually(LIMIT, async || {
        let table = site.status(&[]).await?;
        ensure!(
            table.code == Some(2) && table.stdout.contains("ReadOnlyMismatch"),
            "{table:?}"
        );
        Ok(())
    })
    .await?;
    ensure!(written(&live, "NumberOfConnectors").is_empty());

    // Without an operator it says so, and calls nothing connected or fresh.
    operator.kill()?;
    let ran = site.status(&["-o", "json"]).await?;
    let document: Value = serde_json::from_str(&ran.stdout)?;
    ensure!(ran.stderr.contains("no operator runs"), "{ran:?}");
    let station = &document["stations"][0];
    ensure!(
        station["connected"] == false && station["keys"][0]["stale"] == true,
        "{document}"
    );
    let nowhere = stationkeeper_tests::operator::stationkeeper(&[
        "status",
        "--state-dir",
        text(&site.path("nowhere"))?,
    ])
    .await?;
    ensure!(
        nowhere.code == Some(1) && nowhere.stderr.contains("nowhere"),
        "{nowhere:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brake_file_holds_every_write_until_it_is_released() -> Result<()> {
    let site = Site::with(&[(
        "all.yaml",
        &(station("cp-1", "CP1") + &config("one", 0, &[("HeartbeatInterval", "3600")])),
    )])?;
    let brake = site.path("brake");
    // At once: an empty file on the way would pull the brake too.
    let pull = |position: &str| -> Result<()> {
        let partial = site.path("partial-brake");
        std::fs::write(&partial, position)?;
        Ok(std::fs::rename(partial, &brake)?)
    };
    pull("Report\n")?;
    let operator = site.operator_with(&["--brake-file", text(&brake)?]).await?;
    let live = simulated(&operator, "CP1");
    eventually(LIMIT, async || {
        let row = operator.key("CP1", "HeartbeatInterval").await?;
        ensure!(
            row["state"] == "Pending" && row["reason"] == "Braked",
            "{row}"
        );
        Ok(())
    })
    .await?;
    throughout(seconds(2), async || {
        ensure!(
            written(&live, "HeartbeatInterval").is_empty(),
            "written in spite of the brake"
        );
        Ok(())
    })
    .await?;
    pull("Off\n")?;
    operator
        .wait_for_state("CP1", "HeartbeatInterval", "InSync", LIMIT)
        .await?;

    // Nothing at all is sent with NoCalls; a config that changes meanwhile is carried out after it.
    pull("NoCalls\n")?;
    operator.wait_for_log("NoCalls", LIMIT).await?;
    let calls = live.with_stats(|stats| stats.calls_in_all());
    site.write(
        "more.yaml",
        &config("more", 1, &[("MeterValueSampleInterval", "900")]),
    )?;
    eventually(LIMIT, async || {
        operator.key("CP1", "MeterValueSampleInterval").await
    })
    .await?;
    throughout(seconds(2), async || {
        ensure!(
            live.with_stats(|stats| stats.calls_in_all()) == calls,
            "called in spite of the brake"
        );
        Ok(())
    })
    .await?;
    pull("Off\n")?;
    operator
        .wait_for_state("CP1", "MeterValueSampleInterval", "InSync", LIMIT)
        .await?;
    well_treated(&live)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named_and_ends_the_start() -> Result<()> {
    let site = Site::with(&[])?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let ran = site.run_to_its_end(&site.state(), &address, &[]).await?;
    let told = ran.stderr.contains(&address) && ran.stderr.contains("--gateway-listen");
    ensure!(ran.code == Some(1) && told, "{ran:?}");
    Ok(())
}

/// A certificate for this host, and its key, as files.
fn certificate(site: &Site, name: &str) -> Result<(String, String)> {
    let made =
        rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let (certificate, key) = (
        site.path(&format!("{name}.crt")),
        site.path(&format!("{name}.key")),
    );
    std::fs::write(&certificate, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    Ok((text(&certificate)?.to_owned(), text(&key)?.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_does_not_fit_its_key_is_named_and_ends_the_start() -> Result<()> {
    let site = Site::with(&[])?;
    let ((certificate, _), (_, key)) = (certificate(&site, "one")?, certificate(&site, "other")?);
    let tls = [
        "--gateway-tls-cert",
        &certificate,
        "--gateway-tls-key",
        &key,
    ];
    let ran = site
        .run_to_its_end(&site.state(), "127.0.0.1:0", &tls)
        .await?;
    let told = ran.stderr.contains("one.crt") && ran.stderr.contains("other.key");
    ensure!(ran.code == Some(1) && told, "{ran:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_converges_over_tls() -> Result<()> {
    let site = Site::with(&[(
        "all.yaml",
        &(station("cp-1", "CP1") + &config("one", 0, &[("HeartbeatInterval", "3600")])),
    )])?;
    let (certificate, key) = certificate(&site, "gateway")?;
    let operator = site
        .operator_with(&[
            "--gateway-tls-cert",
            &certificate,
            "--gateway-tls-key",
            &key,
        ])
        .await?;
    let plain = simulated(&operator, "CP1");
    let refused = plain.wait_until(LIMIT, |stats| stats.refused > 0).await;
    ensure!(
        refused && plain.stats().connects == 0,
        "a plain connection to a TLS port came about"
    );
    plain.stop().await;

    let mut secure = settings(&operator, "CP1");
    secure.url = format!("wss://{}/ocpp", operator.gateway());
    secure.trust = Trust::file(certificate.as_ref())?;
    let live = Station::start(secure);
    operator
        .wait_for_state("CP1", "HeartbeatInterval", "InSync", LIMIT)
        .await?;
    well_treated(&live)
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_end_it_closes_its_sockets_and_ends_within_ten_seconds() -> Result<()> {
    let site = Site::with(&[(
        "all.yaml",
        &(station("cp-1", "CP1") + &station("cp-2", "CP2")),
    )])?;
    let mut operator = site.operator().await?;
    let live = simulated(&operator, "CP1");
    ensure!(
        live.wait_until(LIMIT, |stats| stats.connected).await,
        "CP1 did not connect"
    );
    // A bare client that sends nothing, to see the closing frame.
    let mut request = operator.station_url("CP2").into_client_request()?;
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", "ocpp1.6".parse()?);
    let (mut socket, _) = tokio_tungstenite::connect_async(request)
        .await
        .context("CP2 could not connect")?;
    let closed = tokio::spawn(async move {
        while let Some(message) = socket.next().await {
            if let Message::Close(frame) = message? {
                return Ok(frame);
            }
        }
        anyhow::bail!("the socket went away without a closing frame")
    });
    let status = operator.terminate(seconds(10)).await?;
    ensure!(status.success(), "{status}: {:?}", operator.logs().last());
    let frame = tokio::time::timeout(LIMIT, closed).await???;
    ensure!(frame.is_some(), "closed without a reason");
    let left = live.wait_until(LIMIT, |stats| stats.disconnects > 0).await;
    ensure!(left, "CP1 is still connected");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_that_nobody_declared_is_registered_and_held_in_report() -> Result<()> {
    let key = "MeterValueSampleInterval";
    let site = Site::with(&[(
        "config.yaml",
        &config_with(
            "all",
            &serde_json::json!({"settings": [{"key": key, "value": "900"}]}),
        ),
    )])?;
    let mut operator = site.operator_with(&["--register-unknown", "north"]).await?;
    let live = simulated(&operator, "Stranger 7/ä");
    let row = operator
        .wait_for_state("Stranger 7/ä", key, "Drifted", LIMIT)
        .await?;
    ensure!(row["desired"] == "900" && row["observed"] != "900", "{row}");
    // It is remembered, and nothing is written after a restart either.
    operator.restart()?;
    operator.wait_until_ready(LIMIT).await?;
    eventually(LIMIT, async || {
        let row = operator.key("Stranger 7/ä", key).await?;
        ensure!(row["state"] == "Drifted" && row["stale"] == false, "{row}");
        Ok(())
    })
    .await?;
    let status = operator.status().await?;
    ensure!(
        status["stations"]
            .as_array()
            .is_some_and(|stations| stations.len() == 1),
        "{status}"
    );
    ensure!(written(&live, key).is_empty(), "{:?}", written(&live, key));
    well_treated(&live)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_stations_that_come_all_at_once_no_more_are_registered_than_the_limit() -> Result<()> {
    let site = Site::with(&[])?;
    let limit = ["--register-unknown", "north", "--register-limit", "2"];
    let operator = site.operator_with(&limit).await?;
    let strangers: Vec<String> = (0..8).map(|number| format!("STRANGER-{number}")).collect();
    let live: Vec<_> = strangers
        .iter()
        .map(|identity| simulated(&operator, identity))
        .collect();
    // Each of them has come in, or is told of as one too many.
    eventually(LIMIT, async || {
        let logs = operator.logs();
        for (identity, station) in strangers.iter().zip(&live) {
            let is_told = |line: &String| {
                line.contains(&format!("identity={identity} "))
                    && line.contains("the limit is reached")
            };
            ensure!(
                station.stats().connected || logs.iter().any(is_told),
                "{identity}: {:?}",
                station.stats().last_refusal
            );
        }
        Ok(())
    })
    .await?;
    let status = operator.status().await?;
    let registered = status["stations"].as_array().map(Vec::len);
    ensure!(registered == Some(2), "{status}");
    Ok(())
}
