//! What is documented is what is exposed, and it does not grow with the fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::json;
use stationkeeper_simulator::StationHandle;
use stationkeeper_tests::{Ran, eventually};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use xtask::cargo::workspace;
use xtask::tools::Tools;

use crate::fleet::{Fleet, LIMIT, read};

/// A family of metrics as `/metrics` tells it.
#[derive(Debug, Default)]
struct Family {
    help: String,
    kind: String,
    labels: BTreeMap<String, BTreeSet<String>>,
}

/// The families by the names that queries use, in the order in which they are told.
fn families(text: &str) -> Result<Vec<(String, Family)>> {
    let mut families: Vec<(String, Family)> = Vec::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').context("a help has no text")?;
            let help = help.trim_end_matches('.').to_owned();
            let family = Family {
                help,
                ..Family::default()
            };
            families.push((name.to_owned(), family));
            continue;
        }
        let (_, family) = families.last_mut().context("a sample has no family")?;
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            family.kind = kind.rsplit(' ').next().unwrap_or_default().to_owned();
            continue;
        }
        let labels = line
            .split_once('{')
            .and_then(|(_, rest)| rest.rsplit_once('}'));
        for label in labels
            .map(|(labels, _)| labels.split(','))
            .into_iter()
            .flatten()
            .filter(|label| !label.is_empty())
        {
            let (label, value) = label.split_once('=').context("a label has no value")?;
            family
                .labels
                .entry(label.to_owned())
                .or_default()
                .insert(value.trim_matches('"').to_owned());
        }
    }
    Ok(families)
}

/// Everything but the values: one line for each series.
fn series(text: &str) -> BTreeSet<&str> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, _)| series)
        .collect()
}

fn table(families: &[(String, Family)]) -> String {
    let mut table = String::from("| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for (name, family) in families {
        let label = |(label, values): (&String, &BTreeSet<String>)| match label.as_str() {
            // Of histograms, and of what changes with each release.
            "le" => None,
            "version" => Some("`version`".to_owned()),
            _ => {
                let values: Vec<&str> = values.iter().map(String::as_str).collect();
                Some(format!("`{label}`: {}", values.join(", ")))
            }
        };
        let labels: Vec<String> = family.labels.iter().filter_map(label).collect();
        let Family { help, kind, .. } = family;
        // Writing to a String cannot fail.
        let _ = writeln!(
            table,
            "| `{name}` | {kind} | {} | {help} |",
            labels.join("; ")
        );
    }
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_page_lists_what_is_exposed() -> Result<()> {
    let fleet = Fleet::of(1).await?;
    let page = read("docs/metrics.md")?;
    let begin = page.find("\n| metric |").map_or(page.len(), |at| at + 1);
    eventually(LIMIT, async || {
        let text = fleet.metrics().await?;
        // The fleet is told of once this process leads.
        ensure!(text.contains("stationkeeper_stations{"), "{text}");
        let table = table(&families(&text)?);
        if std::env::var_os("UPDATE").is_some() {
            let page = format!("{}\n\n{table}", page[..begin].trim_end());
            return fs::write(workspace().join("docs/metrics.md"), page)
                .context("failed to write the page");
        }
        ensure!(
            page[begin..] == table,
            "docs/metrics.md is not what /metrics exposes; write it anew with UPDATE=1 and read the difference:\n{table}"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_has_nothing_to_say_of_the_metrics() -> Result<()> {
    let fleet = Fleet::of(1).await?;
    let tools = Tools::require().map_err(anyhow::Error::msg)?;
    let mut command = Command::new(&tools.promtool);
    command.args(["check", "metrics"]);
    let ran = Ran::run(command, &fleet.metrics().await?).await?;
    ensure!(ran.stdout.is_empty() && ran.stderr.is_empty(), "{ran:?}");
    ran.success()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn series_do_not_grow_with_the_fleet_nor_with_what_stations_send() -> Result<()> {
    let fleet = Fleet::of(2).await?;
    let _live = [fleet.station(1), fleet.station(2)];
    for number in 1..=2 {
        fleet.in_sync(number).await?;
    }
    let before = fleet.metrics().await?;

    fleet.declare(12)?;
    let _more: Vec<StationHandle> = (3..=11).map(|number| fleet.station(number)).collect();
    for number in 3..=11 {
        fleet.in_sync(number).await?;
    }
    // One that sends what nobody thought of, and some that nobody knows.
    let mut request = fleet.operator.station_url("CP-12").into_client_request()?;
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", "ocpp1.6".parse()?);
    let (mut hostile, _) = tokio_tungstenite::connect_async(request).await?;
    for number in 0..20 {
        let call = json!([2, format!("{number}"), format!("Action{number}"), {}]).to_string();
        hostile.send(Message::text(call)).await?;
        hostile.next().await.context("the socket was closed")??;
    }
    for number in 0..5 {
        let url = fleet.operator.station_url(&format!("STRANGER-{number}"));
        let refused = tokio_tungstenite::connect_async(url).await;
        ensure!(refused.is_err(), "a stranger was let in");
    }
    let after = fleet.metrics().await?;
    let (before, grown) = (series(&before), series(&after));
    let new: Vec<_> = grown.difference(&before).collect();
    ensure!(new.is_empty(), "series that came with the fleet: {new:#?}");
    // What was sent is counted all the same; stations also knock before they are declared.
    let counts = [
        (
            r#"stationkeeper_gateway_station_calls_total{action="other",result="refused"}"#,
            20,
        ),
        (
            r#"stationkeeper_gateway_handshakes_total{result="unknown"}"#,
            5,
        ),
        (
            r#"stationkeeper_calls_total{action="GetConfiguration",result="answered"}"#,
            11,
        ),
        (
            r#"stationkeeper_calls_total{action="ChangeConfiguration",result="answered"}"#,
            22,
        ),
    ];
    eventually(LIMIT, async || {
        let told = fleet.metrics().await?;
        for (series, least) in counts {
            let count = told
                .lines()
                .find_map(|line| line.strip_prefix(series)?.trim().parse::<u32>().ok());
            ensure!(
                count.is_some_and(|count| count >= least),
                "{series} is {count:?}"
            );
        }
        let in_sync = r#"stationkeeper_keys{state="InSync"} 22"#;
        ensure!(told.contains(in_sync), "{told}");
        ensure!(told.contains(r#"stationkeeper_brake{position="Off"} 1"#));
        Ok(())
    })
    .await
}
