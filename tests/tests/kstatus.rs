//! What waits for us: Helm 4's `--wait`, `kubectl wait`, and whoever uses kstatus as Flux and Argo CD do, against a real API
//! server. They wait while stations are being written, are done when it is done, and fail once a person has to act.
//!
//! kstatus' algorithm for custom resources is repeated here, to ask at any moment what it would say; that Helm, which has the
//! real one, ends alike shows that it is repeated rightly.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams, WatchEvent, WatchParams};
use serde_json::{Value, json};
use stationkeeper::objects::ChargeStationConfig;
use stationkeeper_simulator::{Pace, Station, StationHandle, StationSettings};
use stationkeeper_tests::{
    ApiServer, LIMIT, Launch, Operator, Ran, Signal, TIMEOUT, eventually, seconds,
};

/// Slow enough to be seen at work: a pass takes some seconds.
const SLOW: &str = "slow:400";

/// What kstatus calls an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Called {
    Current,
    InProgress,
    Failed,
}

/// kstatus on an object: the observed generation, then the conditions Reconciling and Stalled, then Ready.
fn kstatus(object: &Value) -> Called {
    let status = &object["status"];
    let observed = status["observedGeneration"].as_i64();
    if observed.is_some_and(|observed| Some(observed) != object["metadata"]["generation"].as_i64())
    {
        return Called::InProgress;
    }
    let holds = |kind: &str| {
        let mut conditions = status["conditions"].as_array().into_iter().flatten();
        conditions
            .find(|condition| condition["type"] == kind)
            .and_then(|condition| condition["status"].as_str())
    };
    match (holds("Reconciling"), holds("Stalled"), holds("Ready")) {
        (Some("True"), _, _) => Called::InProgress,
        (_, Some("True"), _) => Called::Failed,
        (_, _, Some("True") | None) => Called::Current,
        (_, _, Some(_)) => Called::InProgress,
    }
}

/// A namespace with the CRDs, and an operator that watches only that.
struct Cluster {
    server: &'static ApiServer,
    namespace: String,
}

impl Cluster {
    async fn new(name: &str) -> Result<Self> {
        let server = ApiServer::shared().await?;
        let namespace = server.namespace(name).await?;
        server.install_crds().await?;
        Ok(Self { server, namespace })
    }

    async fn operator(&self) -> Result<Operator> {
        let place =
            ["--namespace", "--own-namespace"].map(|flag| format!("{flag}={}", self.namespace));
        // Nobody follows it: neither a slow machine nor a pause takes its Lease away.
        let lease = ["--lease-duration=600s", "--renew-deadline=500s"];
        let mut operator = Launch::new()?
            .kubeconfig(self.server.kubeconfig())
            .arguments(place)
            .arguments(lease)
            .start()?;
        operator.wait_until_ready(LIMIT).await?;
        Ok(operator)
    }

    async fn kubectl(&self, arguments: &[&str]) -> Result<Ran> {
        let place = ["--namespace", self.namespace.as_str()];
        self.server.kubectl(&[&place[..], arguments].concat()).await
    }

    async fn helm(&self, arguments: &[&str]) -> Result<Ran> {
        let place = ["--namespace", self.namespace.as_str()];
        self.server.helm(&[arguments, &place].concat()).await
    }

    async fn apply(&self, object: &Value) -> Result<()> {
        let apply = [
            "apply",
            "--server-side",
            "--namespace",
            &self.namespace,
            "--filename=-",
        ];
        self.server
            .kubectl_with(&apply, &object.to_string())
            .await?
            .success()?;
        Ok(())
    }

    async fn get(&self, object: &str) -> Result<Value> {
        let text = self
            .kubectl(&["get", object, "--output=json"])
            .await?
            .success()?;
        serde_json::from_str(&text).context("kubectl printed no JSON")
    }

    /// Waits until kstatus calls an object so.
    async fn until(&self, object: &str, called: Called) -> Result<Value> {
        eventually(LIMIT, async || {
            let seen = self.get(object).await?;
            ensure!(
                kstatus(&seen) == called,
                "{:?}: {}",
                kstatus(&seen),
                seen["status"]
            );
            Ok(seen)
        })
        .await
        .with_context(|| format!("{object} should be {called:?}"))
    }

    /// Watches the config from now on: what becomes of it is not missed, however slow the one who looks is.
    async fn record(&self) -> Result<Record> {
        let configs: Api<DynamicObject> = Api::namespaced_with(
            self.server.client().await?,
            &self.namespace,
            &ApiResource::erase::<ChargeStationConfig>(&()),
        );
        let list = configs.list(&ListParams::default()).await?;
        let generations = list.items.iter().map(|config| config.metadata.generation);
        let former = generations.max().flatten();
        let version = list
            .metadata
            .resource_version
            .context("a list has a version")?;
        let changes = configs.watch(&WatchParams::default(), &version).await?;
        Ok(Record {
            changes: changes.boxed(),
            former,
        })
    }
}

/// What becomes of the next generation of the only config of a namespace.
struct Record {
    changes: BoxStream<'static, kube::Result<WatchEvent<DynamicObject>>>,
    /// The generation that is there already, of which something may be told still.
    former: Option<i64>,
}

impl Record {
    /// Follows the config until it is called so, and tells what it was called on the way, each change once. When it is called
    /// Current, the claim must hold.
    async fn until(mut self, called: Called, claim: impl Fn() -> bool) -> Result<Vec<Called>> {
        let mut seen = Vec::new();
        let follow = async {
            while let Some(change) = self.changes.try_next().await? {
                let (WatchEvent::Added(object) | WatchEvent::Modified(object)) = change else {
                    bail!("the watch told {change:?}");
                };
                if object.metadata.generation <= self.former {
                    continue;
                }
                let object = serde_json::to_value(object)?;
                let now = kstatus(&object);
                ensure!(
                    now != Called::Current || claim(),
                    "it is called Current, and is not: {seen:?}: {}",
                    object["status"]
                );
                if seen.last() != Some(&now) {
                    seen.push(now);
                }
                if now == called {
                    return Ok(());
                }
            }
            bail!("the watch has ended")
        };
        match tokio::time::timeout(LIMIT, follow).await {
            Ok(followed) => followed?,
            Err(_) => bail!("it should be {called:?}, and was {seen:?}"),
        }
        Ok(seen)
    }
}

fn station() -> Value {
    json!({
        "apiVersion": "stationkeeper.dev/v1alpha1", "kind": "ChargeStation",
        "metadata": {"name": "cp-1", "labels": {"site": "desk"}},
        "spec": {"identity": "CP1", "authentication": {"none": true}},
    })
}

fn config(key: &str, value: &str) -> Value {
    json!({
        "apiVersion": "stationkeeper.dev/v1alpha1", "kind": "ChargeStationConfig", "metadata": {"name": "rules"},
        "spec": {
            "stations": {"selector": {"matchLabels": {"site": "desk"}}}, "mode": "Enforce",
            "settings": [{"key": key, "value": value}],
        },
    })
}

fn slow_station(operator: &Operator) -> Result<StationHandle> {
    let mut settings = StationSettings::new(format!("ws://{}/ocpp", operator.gateway()), "CP1");
    settings.pace = Pace::QUICK;
    settings.faults = vec![SLOW.parse()?];
    Ok(Station::start(settings))
}

/// A chart with a station and a config, either of which may be left out.
fn chart(folder: &Path) -> Result<String> {
    let templates = folder.join("templates");
    fs::create_dir(&templates)?;
    fs::write(
        folder.join("Chart.yaml"),
        "{apiVersion: v2, name: site, version: 0.1.0}",
    )?;
    fs::write(
        folder.join("values.yaml"),
        "{station: true, config: true, key: MeterValueSampleInterval, value: \"900\"}",
    )?;
    fs::write(
        templates.join("station.yaml"),
        format!(
            "{{{{- if .Values.station }}}}\n{}\n{{{{- end }}}}\n",
            serde_yaml::to_string(&station())?
        ),
    )?;
    let config = serde_yaml::to_string(&config("KEY", "VALUE"))?
        .replace("KEY", "{{ .Values.key }}")
        .replace("VALUE", "{{ .Values.value | quote }}");
    fs::write(
        templates.join("config.yaml"),
        format!("{{{{- if .Values.config }}}}\n{config}\n{{{{- end }}}}\n"),
    )?;
    Ok(folder.to_str().context("a path is not text")?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_waits_while_a_station_converges_and_fails_early_once_a_person_has_to_act()
-> Result<()> {
    let cluster = Cluster::new("helm").await?;
    let folder = tempfile::tempdir()?;
    let chart = chart(folder.path())?;
    let operator = cluster.operator().await?;

    // A station that has never connected is no reason to wait: a charger may be built in next month.
    let install = [
        "install",
        "station",
        &chart,
        "--set=config=false",
        "--wait",
        TIMEOUT,
    ];
    cluster.helm(&install).await?.success()?;
    let station = slow_station(&operator)?;
    let connected = ["wait", "--for=condition=Connected", "chst/cp-1", TIMEOUT];
    cluster.kubectl(&connected).await?.success()?;

    // Installed: it waits while the station is written, and is done when it is done.
    let has = |value: &str| station.value("MeterValueSampleInterval").as_deref() == Some(value);
    ensure!(!has("900"), "the station has it already");
    let install = [
        "install",
        "rules",
        &chart,
        "--set=station=false",
        "--wait",
        TIMEOUT,
    ];
    let record = cluster.record().await?;
    let (installed, called) = tokio::join!(
        cluster.helm(&install),
        record.until(Called::Current, || has("900"))
    );
    ensure!(installed?.succeeded() && has("900"), "Helm did not wait");
    ensure!(called? == [Called::InProgress, Called::Current]);

    // Upgraded: alike, although Ready was True before.
    let upgrade = |setting: &'static [&'static str], timeout: &'static str| {
        let upgrade = ["upgrade", "rules", &chart, "--set=station=false", "--wait"];
        [&upgrade[..], &[timeout], setting].concat()
    };
    cluster
        .helm(&upgrade(&["--set-string=value=600"], TIMEOUT))
        .await?
        .success()?;
    ensure!(has("600"), "Helm did not wait");

    // What needs a person fails long before the time-out, and the message says why.
    for (setting, reason) in [
        (&["--set=key=NobodyKnowsThis"][..], "NeedsConsent"),
        (&["--set-string=value=often"][..], "Invalid"),
    ] {
        let began = Instant::now();
        let upgrade = upgrade(setting, "--timeout=600s");
        let said = cluster.helm(&upgrade).await?.refusal()?;
        let took = began.elapsed();
        ensure!(took < seconds(300), "{reason}: only after {took:?}: {said}");
        ensure!(said.contains("rules"), "{reason}: {said}");
        let seen = cluster.until("csc/rules", Called::Failed).await?;
        let conditions = seen["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        ensure!(
            conditions
                .iter()
                .any(|condition| condition["type"] == "Stalled" && condition["reason"] == reason),
            "{conditions:#?}"
        );
    }
    ensure!(has("600"), "something was written");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_wait_returns_once_the_station_is_in_sync() -> Result<()> {
    let cluster = Cluster::new("wait").await?;
    let operator = cluster.operator().await?;
    cluster.apply(&station()).await?;
    let station = slow_station(&operator)?;
    let wait = async |what: &str, object: &str| {
        let wait = ["wait", &format!("--for={what}"), object, TIMEOUT];
        cluster.kubectl(&wait).await?.success()
    };
    wait("condition=Connected", "chst/cp-1").await?;
    for (value, what, object) in [
        ("900", "condition=Ready", "csc/rules"),
        ("800", "condition=InSync", "csc/rules"),
        ("700", "condition=InSync", "chst/cp-1"),
        ("600", "jsonpath={.status.stations.inSync}=1", "csc/rules"),
    ] {
        // What counts stations says nothing of generations: wait for the generation first.
        cluster
            .apply(&config("MeterValueSampleInterval", value))
            .await?;
        if what.starts_with("jsonpath") || object.starts_with("chst") {
            wait("condition=Ready", "csc/rules").await?;
        }
        wait(what, object).await?;
        let has = station.value("MeterValueSampleInterval");
        ensure!(
            has.as_deref() == Some(value),
            "{what} of {object}: the station has {has:?}, not {value}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn kstatus_never_calls_a_config_current_before_its_stations_have_it() -> Result<()> {
    let cluster = Cluster::new("flux").await?;
    let apply = async |value: &str| {
        cluster
            .apply(&config("MeterValueSampleInterval", value))
            .await
    };

    // Nobody has seen it.
    cluster.apply(&station()).await?;
    apply("900").await?;
    for object in ["csc/rules", "chst/cp-1"] {
        let seen = cluster.get(object).await?;
        ensure!(
            seen["status"]["observedGeneration"] == -1,
            "{}",
            seen["status"]
        );
        ensure!(kstatus(&seen) == Called::InProgress, "{}", seen["status"]);
    }

    // Seen; the station has never connected, and nothing can be done.
    let mut operator = cluster.operator().await?;
    cluster.until("csc/rules", Called::Current).await?;
    let station = slow_station(&operator)?;
    let has = |value: &str| station.value("MeterValueSampleInterval").as_deref() == Some(value);
    eventually(LIMIT, async || {
        ensure!(has("900"), "not written yet");
        Ok(())
    })
    .await?;

    // Changed again and again: in progress, and current only once the station has it.
    for value in ["800", "700"] {
        cluster.until("csc/rules", Called::Current).await?;
        let record = cluster.record().await?;
        apply(value).await?;
        let called = record.until(Called::Current, || has(value)).await?;
        ensure!(
            called == [Called::InProgress, Called::Current],
            "{called:?}"
        );
    }

    // Changed while the operator stands still: what it said of the older generation counts for nothing.
    operator.signal(Signal::Stop)?;
    let record = cluster.record().await?;
    apply("600").await?;
    let seen = cluster.get("csc/rules").await?;
    ensure!(kstatus(&seen) == Called::InProgress, "{}", seen["status"]);
    operator.signal(Signal::Continue)?;
    let called = record.until(Called::Current, || has("600")).await?;
    ensure!(
        called == [Called::InProgress, Called::Current],
        "{called:?}"
    );

    // A person has to act; has acted; wants it left alone.
    let record = cluster.record().await?;
    cluster.apply(&config("NobodyKnowsThis", "1")).await?;
    let called = record.until(Called::Failed, || true).await?;
    ensure!(called == [Called::InProgress, Called::Failed], "{called:?}");
    let record = cluster.record().await?;
    apply("500").await?;
    let called = record.until(Called::Current, || has("500")).await?;
    ensure!(
        called == [Called::InProgress, Called::Current],
        "{called:?}"
    );
    let mut suspended = config("MeterValueSampleInterval", "400");
    suspended["spec"]["suspend"] = json!(true);
    let record = cluster.record().await?;
    cluster.apply(&suspended).await?;
    let called = record.until(Called::Current, || has("500")).await?;
    ensure!(
        called == [Called::InProgress, Called::Current],
        "{called:?}"
    );
    ensure!(has("500"), "a suspended config was written");
    Ok(())
}

/// A config for the station under a name of its own.
fn named(name: &str, priority: i32, setting: Value, consent: &[&str]) -> Value {
    let mut config = config("", "");
    config["metadata"]["name"] = json!(name);
    config["spec"]["priority"] = json!(priority);
    config["spec"]["settings"] = json!([setting]);
    config["spec"]["consent"] = json!(consent);
    config
}

/// A fleet may be declared before its stations are built in: what is wrong is told then, and what is mended, too.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_mends_is_told_of_stations_that_have_never_connected() -> Result<()> {
    let cluster = Cluster::new("mended").await?;
    let _operator = cluster.operator().await?;
    cluster.apply(&station()).await?;
    let of = |vendor: &str, value: &str| {
        let setting = json!({"key": "ConnectionTimeOut", "value": value});
        let mut config = named(vendor, 0, setting, &[]);
        config["spec"]["stations"] = json!({"hardware": {"vendor": vendor}});
        config
    };
    let fight = |name: &str, priority: i32, value: &str| {
        let setting = json!({"key": "HeartbeatInterval", "value": value});
        named(name, priority, setting, &[])
    };
    let unknown = json!({"key": "NobodyKnowsThis", "value": "1"});
    let secret = json!({"key": "NobodyKnowsThatEither", "valueFrom": {"secretKeyRef": {"name": "wifi", "key": "password"}}});

    // Nothing is wrong with configs for two vendors, nor with a key that one of them knows.
    cluster.apply(&of("amina", "60")).await?;
    cluster.apply(&of("bender", "90")).await?;
    let of_bender = json!({"key": "DlmPhase1Limit", "value": "16"});
    cluster.apply(&named("limit", 0, of_bender, &[])).await?;
    for config in ["csc/amina", "csc/bender", "csc/limit"] {
        cluster.until(config, Called::Current).await?;
    }

    // Something is wrong; both of those that fight say so.
    cluster.apply(&fight("first", 0, "300")).await?;
    cluster.apply(&fight("second", 0, "600")).await?;
    cluster
        .apply(&named("consent", 0, unknown.clone(), &[]))
        .await?;
    cluster
        .apply(&named("secret", 0, secret, &["Unknown"]))
        .await?;
    let wrong = ["csc/first", "csc/second", "csc/consent", "csc/secret"];
    for config in wrong.into_iter().chain(["chst/cp-1"]) {
        cluster.until(config, Called::Failed).await?;
    }

    // It is mended, and nobody has to wait for the station to connect.
    cluster.apply(&fight("second", 1, "600")).await?;
    cluster
        .apply(&named("consent", 0, unknown, &["Unknown"]))
        .await?;
    let wifi = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wifi"}, "stringData": {"password": "for-the-test"},
    });
    cluster.apply(&wifi).await?;
    for object in wrong.into_iter().chain(["chst/cp-1"]) {
        cluster.until(object, Called::Current).await?;
    }
    Ok(())
}
