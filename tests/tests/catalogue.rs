//! KeyCatalogue objects against a real API server and live stations: they take effect without a restart, and what
//! contradicts them is told.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use stationkeeper_simulator::{Pace, Station, StationHandle, StationProfile, StationSettings};
use stationkeeper_tests::{
    ApiServer, LIMIT, Launch, Operator, TIMEOUT, eventually, seconds, steady, throughout,
};

/// The worked example of `docs/adding-a-vendor.md`.
const EXAMPLE: &str = "examples/catalogue/volta.yaml";

/// A Volta station, whose keys no built-in catalogue knows.
const VOLTA: &str = "
vendor: Volta Mobility
model: V2
firmware: \"7.1\"
keys:
  - {key: NumberOfConnectors, value: \"1\", type: Integer, access: ReadOnly}
  - {key: HeartbeatInterval, value: \"600\", type: Integer}
  - {key: VoltaMaxCurrent, value: \"32\", type: Integer, max: 32}
  - {key: VoltaMode, value: \"1\", type: Integer, max: 2}
";

struct Cluster<'a> {
    server: &'a ApiServer,
    namespace: String,
}

impl Cluster<'_> {
    async fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut all = vec!["--namespace", self.namespace.as_str()];
        all.extend(arguments);
        self.server.kubectl_with(&all, input).await?.success()
    }

    async fn apply(&self, object: &Value) -> Result<String> {
        let apply = ["apply", "--server-side", "--filename", "-"];
        self.kubectl(&apply, &object.to_string()).await
    }

    async fn operator(&self) -> Result<Operator> {
        let mut operator = Launch::new()?
            .kubeconfig(self.server.kubeconfig())
            .arguments([
                "--namespace",
                &self.namespace,
                "--own-namespace",
                &self.namespace,
                // Nobody follows it: no slow machine takes its Lease away.
                "--lease-duration=600s",
                "--renew-deadline=500s",
            ])
            .start()?;
        operator.wait_until_ready(LIMIT).await?;
        Ok(operator)
    }

    async fn status(&self, object: &str) -> Result<Value> {
        let text = self.kubectl(&["get", object, "-o", "json"], "").await?;
        Ok(serde_json::from_str::<Value>(&text)?["status"].clone())
    }

    /// Waits until `Ready` of a catalogue has this reason, with these words.
    async fn ready(&self, catalogue: &str, reason: &str, words: &str) -> Result<Value> {
        eventually(LIMIT, async || {
            let status = self.status(&format!("kcat/{catalogue}")).await?;
            let conditions = status["conditions"].as_array().context("no conditions")?;
            let ready = conditions.iter().find(|found| found["type"] == "Ready");
            let ready = ready.context("no Ready")?;
            let stalled = conditions.iter().any(|found| found["type"] == "Stalled");
            let told = ready["message"].as_str().unwrap_or_default();
            ensure!(
                ready["reason"] == reason && told.contains(words),
                "{status:#}"
            );
            ensure!(stalled == (ready["status"] == "False"), "{status:#}");
            Ok(status)
        })
        .await
    }

    fn status_writes(&self) -> Result<usize> {
        let writes = self.server.writes()?;
        let ours = writes
            .iter()
            .filter(|write| write.namespace == self.namespace && write.subresource == "status");
        Ok(ours.count())
    }
}

async fn install(server: &ApiServer, kinds: &[&str]) -> Result<()> {
    for kind in kinds {
        let file = format!("crds/{kind}.stationkeeper.dev.yaml");
        let apply = ["apply", "--server-side", "--filename", &file];
        server.kubectl(&apply).await?.success()?;
        let crd = format!("crd/{kind}.stationkeeper.dev");
        let wait = ["wait", "--for=condition=Established", TIMEOUT, &crd];
        server.kubectl(&wait).await?.success()?;
        // What is established is served some moments later.
        let get = ["get", kind, "--namespace=default"];
        eventually(LIMIT, async || server.kubectl(&get).await?.success()).await?;
    }
    Ok(())
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "stationkeeper.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn station() -> Value {
    let spec = json!({"identity": "VOLTA-1", "authentication": {"none": true}});
    object("ChargeStation", "volta-1", &spec)
}

fn config(current: &str) -> Value {
    let settings = [json!({"key": "VoltaMaxCurrent", "value": current})];
    let spec = json!({"stations": {"selector": {}}, "mode": "Enforce", "settings": settings});
    object("ChargeStationConfig", "current", &spec)
}

fn catalogue(name: &str, facts: Value) -> Value {
    let mut key = facts;
    key["key"] = json!("VoltaMaxCurrent");
    object(
        "KeyCatalogue",
        name,
        &json!({"vendor": "Volta", "match": [{"vendor": "Volta*"}], "keys": [key]}),
    )
}

fn volta(operator: &Operator) -> Result<StationHandle> {
    let url = format!("ws://{}/ocpp", operator.gateway());
    let mut settings = StationSettings::new(url, "VOLTA-1");
    settings.pace = Pace::QUICK;
    settings.profile = Arc::new(StationProfile::from_yaml(VOLTA)?);
    Ok(Station::start(settings))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalogue_makes_an_unknown_key_known_without_a_restart_and_tells_what_contradicts_it()
-> Result<()> {
    let server = ApiServer::shared().await?;
    install(
        server,
        &["chargestations", "chargestationconfigs", "keycatalogues"],
    )
    .await?;
    let cluster = Cluster {
        server,
        namespace: server.namespace("catalogue").await?,
    };
    let operator = cluster.operator().await?;
    cluster.apply(&station()).await?;
    cluster.apply(&config("16")).await?;
    let live = volta(&operator)?;
    operator
        .wait_for_state("VOLTA-1", "VoltaMaxCurrent", "NeedsConsent", LIMIT)
        .await?;

    // Known, with the hazard told: written, without a restart.
    cluster
        .kubectl(&["apply", "--server-side", "--filename", EXAMPLE], "")
        .await?;
    operator
        .wait_for_state("VOLTA-1", "VoltaMaxCurrent", "InSync", LIMIT)
        .await?;
    ensure!(live.value("VoltaMaxCurrent").as_deref() == Some("16"));
    let status = cluster.ready("volta", "InForce", "its 6 keys").await?;
    ensure!(
        status["keys"] == json!({"total": 6, "added": 5}) && status["findings"].is_null(),
        "{status:#}"
    );
    ensure!(
        status["observedGeneration"] == 1 && status["generationInForce"].is_null(),
        "{status:#}"
    );

    // At rest nothing is written. The sums of configs come up to five seconds after the last station.
    let writes = steady(LIMIT, seconds(12), async || cluster.status_writes()).await?;
    throughout(seconds(3), async || {
        ensure!(cluster.status_writes()? == writes, "a status was written");
        Ok(())
    })
    .await?;

    // How it reads to somebody with kubectl.
    let table = cluster.kubectl(&["get", "kcat", "-o", "wide"], "").await?;
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    ensure!(
        rows[0][..5] == ["NAME", "VENDOR", "KEYS", "READY", "AGE"],
        "{table}"
    );
    ensure!(
        rows[1][..4] == ["volta", "Volta", "6", "True"] && table.contains("in force"),
        "{table}"
    );
    let said = cluster
        .kubectl(&["get", "stationkeeper", "-o", "name"], "")
        .await?;
    ensure!(
        said.contains("keycatalogue.stationkeeper.dev/volta"),
        "{said}"
    );

    // A value that the catalogue refuses is not sent.
    cluster.apply(&config("40")).await?;
    operator
        .wait_for_state("VOLTA-1", "VoltaMaxCurrent", "Invalid", LIMIT)
        .await?;
    ensure!(live.value("VoltaMaxCurrent").as_deref() == Some("16"));
    cluster.apply(&config("16")).await?;
    operator
        .wait_for_state("VOLTA-1", "VoltaMaxCurrent", "InSync", LIMIT)
        .await?;

    // Read-only by the catalogue, writable by the station: the station's word counts, and its status says so.
    let read_only =
        json!({"access": "ReadOnly", "type": "Integer", "hazard": ["SessionAffecting"]});
    let mut narrowed = catalogue("volta", read_only);
    narrowed["spec"]["sources"] = json!({"ours": {"publisher": "us", "title": "own judgement"}});
    narrowed["spec"]["source"] = json!("ours");
    cluster.kubectl(&["delete", "kcat/volta"], "").await?;
    operator
        .wait_for_state("VOLTA-1", "VoltaMaxCurrent", "NeedsConsent", LIMIT)
        .await?;
    cluster.apply(&narrowed).await?;
    let findings = eventually(LIMIT, async || {
        let status = cluster.status("chst/volta-1").await?;
        let findings = status["findings"].as_array().context("no findings")?;
        ensure!(findings.len() == 1, "{status:#}");
        Ok(findings[0].clone())
    })
    .await?;
    ensure!(
        findings["rule"] == "AccessDisagrees"
            && findings["severity"] == "Warning"
            && findings["message"]
                .as_str()
                .is_some_and(|told| told.contains("is read-only, the station says writable")),
        "{findings:#}"
    );

    // Another one of equal specificity that differs: the key is held, and both say so.
    cluster
        .apply(&catalogue(
            "rival",
            json!({"type": "Decimal", "hazard": ["SessionAffecting"]}),
        ))
        .await?;
    operator
        .wait_for_state("VOLTA-1", "VoltaMaxCurrent", "Conflict", LIMIT)
        .await?;
    for name in ["volta", "rival"] {
        cluster
            .ready(name, "Conflict", "\"rival\" and \"volta\"")
            .await?;
    }
    cluster.kubectl(&["delete", "kcat/rival"], "").await?;
    cluster.ready("volta", "InForce", "its key is").await?;
    operator
        .wait_for_state("VOLTA-1", "VoltaMaxCurrent", "InSync", LIMIT)
        .await?;

    // A pattern that is none passes the API server; the generation before it stays in force.
    let mut broken = narrowed.clone();
    broken["spec"]["keys"][0]["pattern"] = json!("(");
    cluster.apply(&broken).await?;
    let status = cluster
        .ready(
            "volta",
            "Invalid",
            "spec.keys[0].pattern: this pattern cannot be read",
        )
        .await?;
    ensure!(
        status["observedGeneration"] == 2 && status["generationInForce"] == 1,
        "{status:#}"
    );
    let row = operator.key("VOLTA-1", "VoltaMaxCurrent").await?;
    ensure!(row["state"] == "InSync", "{row}");
    let misdeeds = live.with_stats(|stats| stats.violations.clone());
    ensure!(misdeeds.is_empty(), "{misdeeds:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_definition_of_the_kind_the_fleet_goes_on_and_it_is_told() -> Result<()> {
    let server = ApiServer::own().await?;
    install(&server, &["chargestations", "chargestationconfigs"]).await?;
    let cluster = Cluster {
        server: &server,
        namespace: server.namespace("upgrade").await?,
    };
    let operator = cluster.operator().await?;
    operator
        .wait_for_log("keycatalogues.stationkeeper.dev", LIMIT)
        .await?;
    cluster.apply(&station()).await?;
    cluster.apply(&config("16")).await?;
    let _live = volta(&operator)?;
    operator
        .wait_for_state("VOLTA-1", "VoltaMaxCurrent", "NeedsConsent", LIMIT)
        .await?;
    // Installed later, it is read without a restart: the watch tries again at least once a minute.
    install(&server, &["keycatalogues"]).await?;
    cluster
        .kubectl(&["apply", "--server-side", "--filename", EXAMPLE], "")
        .await?;
    operator
        .wait_for_state("VOLTA-1", "VoltaMaxCurrent", "InSync", LIMIT)
        .await?;
    Ok(())
}
