//! Every panel of the dashboard shows something, by a Prometheus that scrapes a fleet which is really there.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use stationkeeper_simulator::StationHandle;
use stationkeeper_tests::{Operator, Process, ReservedPort, eventually, http};
use tempfile::TempDir;
use xtask::cargo::workspace;
use xtask::tools::Tools;

use crate::alerts::ALERTS;
use crate::fleet::{Fleet, LIMIT, read, rows};

const DASHBOARD: &str = "charts/stationkeeper/files/dashboard.json";

/// A Prometheus that scrapes an operator and evaluates our alerts.
struct Prometheus {
    _folder: TempDir,
    _process: Process,
    address: std::net::SocketAddr,
}

impl Prometheus {
    fn over(operator: &Operator) -> Result<Self> {
        let tools = Tools::require().map_err(anyhow::Error::msg)?;
        let folder = tempfile::tempdir()?;
        let port = ReservedPort::reserve()?;
        let configuration = json!({
            "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
            "rule_files": [workspace().join(ALERTS)],
            "scrape_configs": [{
                "job_name": "stationkeeper",
                "static_configs": [{
                    "targets": [operator.admin().to_string()], "labels": {"namespace": "system", "pod": "pod-1"},
                }],
            }],
        });
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, configuration.to_string())?;
        let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let mut command = Command::new(&tools.prometheus);
        command
            .arg(flag("config.file", &file))
            .arg(flag("storage.tsdb.path", &folder.path().join("data")))
            .arg(format!("--web.listen-address={}", port.address()))
            .arg("--log.level=warn");
        Ok(Self {
            _process: Process::start("prometheus", command)?,
            _folder: folder,
            address: port.address(),
        })
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let answer = http::get(self.address, path).await?;
        ensure!(answer.status == 200, "{path}: {}", answer.body);
        Ok(serde_json::from_str::<Value>(&answer.body)?["data"].clone())
    }

    /// The values that a query gives now.
    async fn query(&self, query: &str) -> Result<Vec<String>> {
        let encoded = query.bytes().fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
            text
        });
        let data = self.get(&format!("/api/v1/query?query={encoded}")).await?;
        Ok(rows(&data["result"])
            .filter_map(|row| Some(row["value"][1].as_str()?.to_owned()))
            .collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_of_the_dashboard_shows_the_metrics_of_a_real_fleet() -> Result<()> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)?)?;
    let panels: Vec<&Value> = rows(&dashboard["panels"]).collect();
    let ids: BTreeSet<u64> = panels
        .iter()
        .filter_map(|panel| panel["id"].as_u64())
        .collect();
    ensure!(ids.len() == panels.len(), "two panels have one id");

    let fleet = Fleet::of(3).await?;
    let prometheus = Prometheus::over(&fleet.operator)?;
    // Rises are seen only between two scrapes: it looks before the stations come.
    eventually(LIMIT, async || {
        let up = prometheus
            .query("count_over_time(stationkeeper_build_info[1m]) > 1")
            .await?;
        ensure!(!up.is_empty(), "nothing has been scraped yet");
        Ok(())
    })
    .await?;
    let _live: Vec<StationHandle> = (1..=3).map(|number| fleet.station(number)).collect();
    for number in 1..=3 {
        fleet.in_sync(number).await?;
    }

    let mut looked_at = 0;
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().context("a panel has no title")?;
        ensure!(
            panel["description"].is_string(),
            "{title:?} does not say what it shows"
        );
        for target in rows(&panel["targets"]) {
            let query = target["expr"].as_str().context("a target has no query")?;
            let query = query
                .replace("$namespace", ".*")
                .replace("$__rate_interval", "5m");
            eventually(LIMIT, async || {
                let values = prometheus.query(&query).await?;
                ensure!(
                    values.iter().any(|value| value != "NaN"),
                    "the panel {title:?} shows nothing: {query} gives {values:?}"
                );
                Ok(())
            })
            .await?;
            looked_at += 1;
        }
    }
    ensure!(looked_at > 30, "only {looked_at} queries");

    // Numbers that only a real fleet gives.
    for (query, expected) in [
        ("sum(stationkeeper_stations)", "3"),
        ("sum(stationkeeper_gateway_connections)", "3"),
        (r#"stationkeeper_keys{state="InSync"}"#, "6"),
    ] {
        eventually(LIMIT, async || {
            let values = prometheus.query(query).await?;
            ensure!(values == [expected], "{query} gives {values:?}");
            Ok(())
        })
        .await?;
    }
    // The alerts are evaluated on the same metrics without an error.
    let rules = prometheus.get("/api/v1/rules").await?;
    let rules: Vec<&Value> = rows(&rules["groups"])
        .flat_map(|group| rows(&group["rules"]))
        .collect();
    ensure!(!rules.is_empty(), "Prometheus has no rules");
    for rule in rules {
        ensure!(rule["health"] == "ok", "{rule}");
        // The clock of this machine is not ours: if it jumped, that is told truly.
        let is_of_the_clock = rule["name"] == "StationkeeperClockJumped";
        ensure!(
            rule["state"] != "firing" || is_of_the_clock,
            "a healthy fleet fires {rule}"
        );
    }
    Ok(())
}

#[test]
fn dashboard_and_alerts_ask_for_metrics_that_are_documented() -> Result<()> {
    let page = read("docs/metrics.md")?;
    let documented: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    ensure!(!documented.is_empty(), "docs/metrics.md has no table");
    let prefixes = [
        "stationkeeper_",
        "controller_runtime_",
        "leader_election_",
        "process_",
    ];
    for file in [DASHBOARD, ALERTS] {
        let text = read(file)?;
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let asked: BTreeSet<&str> = words
            .filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix)))
            .collect();
        ensure!(asked.len() > 10, "{file} asks for {asked:?} only");
        for name in asked {
            let family = name.strip_suffix("_bucket").unwrap_or(name);
            ensure!(
                documented.contains(family),
                "{file} asks for {name}, which docs/metrics.md does not have"
            );
        }
    }
    Ok(())
}
