//! Metrics, alerts and dashboard: what is documented is what is exposed, alerts fire when they should and only then,
//! and every panel shows something; with promtool, with Prometheus, and with a fleet that is really there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use stationkeeper_simulator::{Pace, Station, StationHandle, StationSettings};
use stationkeeper_tests::{
    Launch, Operator, Process, Ran, ReservedPort, eventually, http, seconds,
};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use xtask::cargo::workspace;
use xtask::tools::Tools;

const LIMIT: Duration = seconds(60);

const ALERTS: &str = "charts/stationkeeper/files/alerts.yaml";
const ALERT_CASES: &str = "tests/alerts/alerts_test.yaml";
const DASHBOARD: &str = "charts/stationkeeper/files/dashboard.json";

/// An operator over a folder of manifests; the folder goes with it.
struct Fleet {
    folder: TempDir,
    operator: Operator,
}

impl Fleet {
    async fn of(stations: usize) -> Result<Self> {
        Self::with(stations, &[]).await
    }

    async fn with(stations: usize, arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let manifests = folder.path().join("manifests");
        fs::create_dir(&manifests)?;
        let launch = Launch::new()?
            .folders(&manifests, folder.path().join("state"))
            .arguments(["--settle", "200ms"])
            .arguments(arguments.iter().copied());
        let operator = launch.start()?;
        let mut fleet = Self { folder, operator };
        fleet.declare(stations)?;
        fleet.operator.wait_until_ready(LIMIT).await?;
        Ok(fleet)
    }

    /// Declares stations, each with a config of its own.
    fn declare(&self, stations: usize) -> Result<()> {
        let objects = (1..=stations).flat_map(|number| {
            let station = json!({
                "apiVersion": "stationkeeper.dev/v1alpha1", "kind": "ChargeStation",
                "metadata": {"name": format!("cp-{number}"), "namespace": "north"},
                "spec": {"identity": format!("CP-{number}"), "authentication": {"none": true}},
            });
            let config = json!({
                "apiVersion": "stationkeeper.dev/v1alpha1", "kind": "ChargeStationConfig",
                "metadata": {"name": format!("config-{number}"), "namespace": "north"},
                "spec": {
                    "stations": {"names": [format!("cp-{number}")]}, "mode": "Enforce", "consent": ["Unknown"],
                    "settings": [
                        {"key": "MeterValueSampleInterval", "value": "900"},
                        {"key": "HeartbeatInterval", "value": "3600"},
                        {"key": format!("KeyOfNobody{number}"), "value": "1"},
                    ],
                },
            });
            [station, config]
        });
        let text = objects.fold(String::new(), |mut text, object| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{object}\n---");
            text
        });
        let partial = self.folder.path().join("partial");
        fs::write(&partial, text)?;
        fs::rename(partial, self.folder.path().join("manifests/fleet.yaml"))
            .context("failed to put the manifests into the folder")
    }

    fn station(&self, number: usize) -> StationHandle {
        let url = format!("ws://{}/ocpp", self.operator.gateway());
        let mut settings = StationSettings::new(url, format!("CP-{number}"));
        settings.pace = Pace::QUICK;
        Station::start(settings)
    }

    async fn in_sync(&self, number: usize) -> Result<()> {
        let identity = format!("CP-{number}");
        for key in ["MeterValueSampleInterval", "HeartbeatInterval"] {
            self.operator
                .wait_for_state(&identity, key, "InSync", LIMIT)
                .await?;
        }
        Ok(())
    }

    async fn metrics(&self) -> Result<String> {
        Ok(self.operator.get("/metrics").await?.body)
    }
}

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
    for line in text.lines().filter(|line| *line != "# EOF") {
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
        let (name, family) = families.last_mut().context("a sample has no family")?;
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            family.kind = kind.rsplit(' ').next().unwrap_or_default().to_owned();
            if family.kind == "counter" {
                name.push_str("_total");
            }
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

fn read(path: &str) -> Result<String> {
    fs::read_to_string(workspace().join(path)).with_context(|| format!("failed to read {path}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_page_lists_what_is_exposed() -> Result<()> {
    let fleet = Fleet::of(1).await?;
    let text = eventually(LIMIT, async || {
        let text = fleet.metrics().await?;
        // The fleet is told of once this process leads.
        ensure!(text.contains("stationkeeper_stations{"), "{text}");
        Ok(text)
    })
    .await?;
    let page = read("docs/metrics.md")?;
    let begin = page.find("\n| metric |").map_or(page.len(), |at| at + 1);
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
    for (series, least) in [
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
    ] {
        let count = after
            .lines()
            .find_map(|line| line.strip_prefix(series)?.trim().parse::<u32>().ok());
        ensure!(
            count.is_some_and(|count| count >= least),
            "{series} is {count:?}"
        );
    }
    let in_sync = r#"stationkeeper_keys{state="InSync"} 22"#;
    ensure!(after.contains(in_sync), "{after}");
    ensure!(after.contains(r#"stationkeeper_brake{position="Off"} 1"#));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_fire_when_they_should_and_only_then() -> Result<()> {
    let tools = Tools::require().map_err(anyhow::Error::msg)?;
    for (verb, file) in [("check", ALERTS), ("test", ALERT_CASES)] {
        let mut command = Command::new(&tools.promtool);
        command.args([verb, "rules"]).arg(workspace().join(file));
        Ran::run(command, "").await?.success()?;
    }
    Ok(())
}

#[test]
fn every_alert_is_tested_both_ways_and_has_a_page() -> Result<()> {
    let rules: Value = serde_yaml::from_str(&read(ALERTS)?)?;
    let cases: Value = serde_yaml::from_str(&read(ALERT_CASES)?)?;
    let names: Vec<&str> = rows(&cases["tests"])
        .filter_map(|case| case["name"].as_str())
        .collect();
    let mut pages = BTreeSet::new();
    for rule in rows(&rules["groups"]).flat_map(|group| rows(&group["rules"])) {
        let name = rule["alert"].as_str().context("a rule is no alert")?;
        for suffix in ["fires", "does not fire: "] {
            let begin = format!("{name} {suffix}");
            ensure!(
                names.iter().any(|case| case.starts_with(&begin)),
                "{ALERT_CASES} has no case {begin:?}"
            );
        }
        for field in ["summary", "description", "runbook_url"] {
            ensure!(
                rule["annotations"][field].is_string(),
                "{name} has no {field}"
            );
        }
        let page = format!("{name}.md");
        let url = rule["annotations"]["runbook_url"].as_str();
        ensure!(
            url.is_some_and(|url| url.ends_with(&format!("/docs/runbooks/{page}"))),
            "{name} does not lead to its page: {url:?}"
        );
        let text = read(&format!("docs/runbooks/{page}"))?;
        let headings: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .collect();
        ensure!(
            headings == ["Meaning", "Impact", "Diagnose", "Mend"],
            "{page}: {headings:?}"
        );
        pages.insert(page);
    }
    for entry in fs::read_dir(workspace().join("docs/runbooks"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        ensure!(
            pages.contains(&name),
            "docs/runbooks/{name} belongs to no alert"
        );
    }
    Ok(())
}

fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

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
        ensure!(rule["state"] != "firing", "a healthy fleet fires {rule}");
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
    let frames: Vec<String> =
        live.with_stats(|stats| stats.writes.iter().map(|write| write.key.clone()).collect());
    ensure!(!frames.is_empty(), "nothing was written");

    let logs = objects(&fleet.operator.logs())?;
    let entries = objects(
        &fs::read_to_string(&audit)?
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>(),
    )?;
    ensure!(entries.len() == frames.len(), "{entries:?}");
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

/// A collector that keeps what it is sent.
async fn collector() -> Result<(std::net::SocketAddr, Arc<Mutex<Vec<Value>>>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let kept: Arc<Mutex<Vec<Value>>> = Arc::default();
    let into = Arc::clone(&kept);
    // It ends with the test's runtime.
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(spans) = received(stream).await {
                into.lock().unwrap().extend(spans);
            }
        }
    });
    Ok((address, kept))
}

/// The spans of one request.
async fn received(stream: TcpStream) -> Result<Vec<Value>> {
    let mut stream = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    stream.read_line(&mut first).await?;
    ensure!(first.starts_with("POST /v1/traces HTTP/1.1"), "{first}");
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        .await?;
    let request: Value = serde_json::from_slice(&body)?;
    Ok(rows(&request["resourceSpans"])
        .flat_map(|resource| rows(&resource["scopeSpans"]))
        .flat_map(|scope| rows(&scope["spans"]))
        .cloned()
        .collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_the_trace_from_the_config_to_the_frame() -> Result<()> {
    let (address, kept) = collector().await?;
    let endpoint = format!("--otlp-endpoint=http://{address}");
    let mut fleet = Fleet::with(1, &[&endpoint]).await?;
    let _live = fleet.station(1);
    fleet.in_sync(1).await?;
    fleet.operator.terminate(LIMIT).await?;

    let spans = kept.lock().unwrap().clone();
    let has = |span: &Value, key: &str, value: &str| {
        rows(&span["attributes"])
            .any(|one| one["key"] == key && one["value"]["stringValue"] == value)
    };
    let change = spans
        .iter()
        .find(|span| {
            span["name"] == "change" && has(span, "stationkeeper.key", "HeartbeatInterval")
        })
        .with_context(|| format!("no span of the change in {spans:#?}"))?;
    ensure!(
        has(change, "stationkeeper.config", "north/config-1"),
        "{change}"
    );
    let of_trace = |name: &str| {
        spans
            .iter()
            .find(|span| span["name"] == name && span["traceId"] == change["traceId"])
            .with_context(|| format!("no span {name:?} beside {change}"))
    };
    let (root, call) = (of_trace("reconcile")?, of_trace("ChangeConfiguration")?);
    ensure!(has(root, "stationkeeper.station", "cp-1"), "{root}");
    for part in [change, call, of_trace("GetConfiguration")?] {
        ensure!(part["parentSpanId"] == root["spanId"], "{part}");
        let nanoseconds = |field: &str| part[field].as_str().and_then(|at| at.parse::<u64>().ok());
        let (started, ended) = (
            nanoseconds("startTimeUnixNano"),
            nanoseconds("endTimeUnixNano"),
        );
        ensure!(started.is_some() && started <= ended, "{part}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_holds_nothing_up() -> Result<()> {
    let nobody = ReservedPort::reserve()?;
    let endpoint = format!("--otlp-endpoint=http://{}", nobody.address());
    let mut fleet = Fleet::with(1, &[&endpoint]).await?;
    let _live = fleet.station(1);
    fleet.in_sync(1).await?;
    fleet
        .operator
        .wait_for_log("traces cannot be delivered", LIMIT)
        .await?;
    ensure!(fleet.operator.terminate(seconds(10)).await?.success());
    Ok(())
}
