//! The product against a real API server: kubectl in, real stations, status out; and what is left when parts fail.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use stationkeeper_simulator::{FaultKind, Pace, Station, StationHandle, StationSettings, Stats};
use stationkeeper_tests::{
    ApiServer, LIMIT, Launch, Operator, PythonStation, TIMEOUT, eventually, seconds, steady,
    throughout,
};

/// No slow machine and no absence of the API server takes the operator's Lease away.
const LONG_LEASE: [&str; 2] = ["--lease-duration=600s", "--renew-deadline=500s"];

/// A namespace of a server with the CRDs in it, and an operator that watches only that.
struct Cluster<'a> {
    server: &'a ApiServer,
    namespace: String,
}

impl<'a> Cluster<'a> {
    async fn on(server: &'a ApiServer, name: &str) -> Result<Self> {
        let namespace = server.namespace(name).await?;
        server.install_crds().await?;
        Ok(Self { server, namespace })
    }

    fn launch(&self) -> Result<Launch> {
        Ok(Launch::new()?
            .kubeconfig(self.server.kubeconfig())
            .arguments(self.arguments()))
    }

    fn arguments(&self) -> [&str; 4] {
        let namespace = &self.namespace;
        ["--namespace", namespace, "--own-namespace", namespace]
    }

    async fn operator(&self) -> Result<Operator> {
        let mut operator = self.launch()?.arguments(LONG_LEASE).start()?;
        operator.wait_until_ready(LIMIT).await?;
        Ok(operator)
    }

    /// Kills the operator and starts it again, at a time when its Lease is over: that a successor waits for that is shown by
    /// the tests of leaders.
    async fn replace(&self, operator: &mut Operator) -> Result<()> {
        operator.kill()?;
        self.kubectl(&["delete", "lease/stationkeeper"]).await?;
        operator.restart()
    }

    async fn apply(&self, manifests: &str) -> Result<String> {
        let apply = [
            "apply",
            "--server-side",
            "--namespace",
            &self.namespace,
            "--filename",
            "-",
        ];
        self.server.kubectl_with(&apply, manifests).await?.success()
    }

    async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["--namespace", self.namespace.as_str()];
        all.extend(arguments);
        self.server.kubectl(&all).await?.success()
    }

    async fn wait(&self, condition: &str, object: &str) -> Result<String> {
        let condition = format!("--for=condition={condition}");
        self.kubectl(&["wait", &condition, object, TIMEOUT]).await
    }

    /// Writes of status that reached the server, of objects of this namespace.
    fn status_writes(&self) -> Result<usize> {
        let ours = |write: &stationkeeper_tests::Write| {
            write.namespace == self.namespace && write.subresource == "status"
        };
        Ok(self
            .server
            .writes()?
            .iter()
            .filter(|write| ours(write))
            .count())
    }
}

fn station(name: &str, identity: &str) -> String {
    format!(
        "{{apiVersion: stationkeeper.dev/v1alpha1, kind: ChargeStation, metadata: {{name: {name}, labels: {{site: harbour}}}}, \
         spec: {{identity: {identity}, authentication: {{none: true}}}}}}\n---\n"
    )
}

fn config(name: &str, settings: &[(&str, &str)]) -> String {
    let settings: Vec<Value> = settings
        .iter()
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect();
    let object = json!({
        "apiVersion": "stationkeeper.dev/v1alpha1", "kind": "ChargeStationConfig", "metadata": {"name": name},
        "spec": {"stations": {"selector": {"matchLabels": {"site": "harbour"}}}, "mode": "Enforce", "settings": settings}
    });
    format!("{object}\n---\n")
}

fn simulated(operator: &Operator, identity: &str) -> StationHandle {
    simulated_at(&format!("ws://{}/ocpp", operator.gateway()), identity)
}

fn simulated_at(url: &str, identity: &str) -> StationHandle {
    let mut settings = StationSettings::new(url, identity);
    settings.pace = Pace::QUICK;
    Station::start(settings)
}

fn misdeeds(station: &StationHandle) -> Vec<String> {
    station.with_stats(|stats| {
        stats
            .violations
            .iter()
            .map(|violation| format!("{violation:?}"))
            .collect()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_applied_with_kubectl_brings_a_station_into_sync_and_then_nothing_is_written()
-> Result<()> {
    let cluster = Cluster::on(ApiServer::shared().await?, "sync").await?;
    let operator = cluster.operator().await?;
    let settings = [
        ("MeterValueSampleInterval", "900"),
        ("HeartbeatInterval", "3600"),
        ("LocalPreAuthorize", "true"),
    ];
    cluster
        .apply(&(station("cp-1", "CP 1/ä") + &config("baseline", &settings)))
        .await?;
    let live = simulated(&operator, "CP 1/ä");

    let said = cluster.wait("InSync", "csc/baseline").await?;
    ensure!(said.contains("condition met"), "{said}");
    cluster.wait("Ready", "csc/baseline").await?;
    cluster.wait("InSync", "chst/cp-1").await?;
    for (key, value) in settings {
        ensure!(
            live.value(key).as_deref() == Some(value),
            "{key}: {:?}",
            live.value(key)
        );
    }
    let misdeeds = misdeeds(&live);
    ensure!(misdeeds.is_empty(), "{misdeeds:?}");

    // A fleet at rest: no status write and no call, counted by the server and by the station.
    let summed = eventually(LIMIT, async || {
        let object: Value = serde_json::from_str(
            &cluster
                .kubectl(&["get", "csc/baseline", "-o", "json"])
                .await?,
        )?;
        ensure!(
            object["status"]["stations"]["inSync"] == 1,
            "{}",
            object["status"]
        );
        Ok(object)
    })
    .await?;
    ensure!(summed["status"]["stations"]["total"] == 1, "{summed}");
    // The sums of configs come up to five seconds after the last station.
    let (writes, calls) = steady(LIMIT, seconds(12), async || {
        let calls = live.with_stats(|stats| stats.calls_in_all());
        Ok((cluster.status_writes()?, calls))
    })
    .await?;
    throughout(seconds(8), async || {
        ensure!(
            cluster.status_writes()? == writes,
            "a status was written at rest"
        );
        ensure!(
            live.with_stats(|stats| stats.calls_in_all()) == calls,
            "the station was called at rest"
        );
        Ok(())
    })
    .await?;

    let wide = cluster.kubectl(&["get", "csc,chst", "-o", "wide"]).await?;
    ensure!(
        wide.contains("baseline") && wide.contains("CP 1/ä"),
        "{wide}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_with_forty_keys_at_rest_stays_small() -> Result<()> {
    let cluster = Cluster::on(ApiServer::shared().await?, "small").await?;
    let operator = cluster.operator().await?;
    let live = simulated(&operator, "CP-40");
    cluster.apply(&station("cp-40", "CP-40")).await?;
    ensure!(
        live.wait_until(LIMIT, |stats| stats.connected).await,
        "{:?}",
        live.stats()
    );
    // Whatever the station has is what is declared: forty keys, all in sync, nothing written.
    let keys = live.keys();
    let settings: Vec<(String, String)> = keys
        .iter()
        .filter_map(|(key, state)| Some((key.clone(), state.effective.clone()?)))
        .filter(|(_, value)| !value.is_empty())
        .filter(|(key, _)| !["AuthorizationKey", "SecurityProfile"].contains(&key.as_str()))
        .take(40)
        .collect();
    ensure!(
        settings.len() == 40,
        "the simulated station has {} keys with values",
        settings.len()
    );
    let pairs: Vec<(&str, &str)> = settings
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    cluster.apply(&config("as-it-is", &pairs)).await?;
    let object = eventually(LIMIT, async || {
        let text = cluster
            .kubectl(&["get", "chst/cp-40", "-o", "json", "--show-managed-fields"])
            .await?;
        let object: Value = serde_json::from_str(&text)?;
        ensure!(
            object["status"]["keys"]["inSync"] == 40,
            "{}",
            object["status"]
        );
        // Then it is at rest.
        let conditions = object["status"]["conditions"].to_string();
        ensure!(!conditions.contains("Reconciling"), "{conditions}");
        Ok(object)
    })
    .await?;
    let managed: usize = object["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| entry["subresource"] == "status")
        .map(|entry| entry.to_string().len())
        .sum();
    let size = object["status"].to_string().len() + managed;
    ensure!(
        size <= 2048,
        "status and its managedFields take {size} bytes: {}",
        object["status"]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn stations_by_others_converge_and_are_told_truthfully() -> Result<()> {
    let cluster = Cluster::on(ApiServer::shared().await?, "python").await?;
    let operator = cluster.operator().await?;
    let settings = [
        ("MeterValueSampleInterval", "900"),
        ("ClockAlignedDataInterval", "60"),
        ("NumberOfConnectors", "2"),
        ("BlinkRepeat", "3"),
    ];
    cluster
        .apply(&(station("py-1", "PY1") + &config("baseline", &settings)))
        .await?;
    let mut live = PythonStation::start(
        &operator.station_url("PY1"),
        &json!({"keys": {
            "MeterValueSampleInterval": {"value": "60"},
            "ClockAlignedDataInterval": {"value": "0", "reboot": true},
            "NumberOfConnectors": {"value": "1", "readonly": true},
            "HeartbeatInterval": {"value": "300"},
        }}),
    )?;
    for (key, state) in [
        ("MeterValueSampleInterval", "InSync"),
        ("ClockAlignedDataInterval", "ResetPending"),
        ("NumberOfConnectors", "ReadOnlyMismatch"),
        ("BlinkRepeat", "NotSupported"),
    ] {
        operator.wait_for_state("PY1", key, state, LIMIT).await?;
    }
    let pending = "jsonpath={.status.pendingReset.keys}";
    eventually(LIMIT, async || {
        let pending = cluster
            .kubectl(&["get", "chst/py-1", "-o", pending])
            .await?;
        ensure!(pending.contains("ClockAlignedDataInterval"), "{pending}");
        Ok(())
    })
    .await?;
    live.boot()?;
    operator
        .wait_for_state("PY1", "ClockAlignedDataInterval", "InSync", LIMIT)
        .await?;
    live.change("MeterValueSampleInterval", "61").await?;
    cluster
        .kubectl(&[
            "annotate",
            "chst/py-1",
            "reconcile.fluxcd.io/requestedAt=now",
        ])
        .await?;
    eventually(LIMIT, async || {
        let written = live.calls("ChangeConfiguration")?;
        let again = written
            .iter()
            .filter(|call| call["payload"]["key"] == "MeterValueSampleInterval")
            .count();
        ensure!(again == 2, "{written:?}");
        Ok(())
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_killed_in_the_middle_writes_nothing_twice() -> Result<()> {
    let cluster = Cluster::on(ApiServer::shared().await?, "kill").await?;
    let mut operator = cluster.operator().await?;
    let settings = [
        ("MeterValueSampleInterval", "901"),
        ("ClockAlignedDataInterval", "902"),
        ("ConnectionTimeOut", "93"),
        ("HeartbeatInterval", "904"),
        ("ResetRetries", "5"),
        ("TransactionMessageAttempts", "6"),
    ];
    let live = simulated(&operator, "CP-KILL");
    // So slow that it is killed in the middle even where this test stands still for some seconds.
    live.set_fault("slow:1000".parse()?);
    cluster
        .apply(&(station("cp-kill", "CP-KILL") + &config("baseline", &settings)))
        .await?;
    ensure!(
        live.wait_until(LIMIT, |stats| stats.writes.len() >= 2)
            .await,
        "{:?}",
        live.stats()
    );
    cluster.replace(&mut operator).await?;
    live.clear_fault(FaultKind::Slow);
    ensure!(
        live.with_stats(|stats| stats.writes.len()) < settings.len(),
        "it was not killed in the middle"
    );
    operator.wait_until_ready(LIMIT).await?;
    cluster.wait("InSync", "csc/baseline").await?;
    let misdeeds = misdeeds(&live);
    ensure!(misdeeds.is_empty(), "{misdeeds:?}");
    for (key, value) in settings {
        let written = live.with_stats(|stats| {
            stats
                .written(key)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        });
        ensure!(written == [value], "{key} was written {written:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_restarts_and_forgets_changes_nothing_for_stations() -> Result<()> {
    let mut server = ApiServer::own().await?;
    let namespace = Cluster::on(&server, "history").await?.namespace;
    let mut operator = Cluster {
        server: &server,
        namespace: namespace.clone(),
    }
    .operator()
    .await?;
    let live = simulated(&operator, "CP-HIST");
    {
        let cluster = Cluster {
            server: &server,
            namespace: namespace.clone(),
        };
        cluster
            .apply(
                &(station("cp-hist", "CP-HIST")
                    + &config("baseline", &[("HeartbeatInterval", "600")])),
            )
            .await?;
        cluster.wait("InSync", "csc/baseline").await?;
    }
    let connects = live.with_stats(|stats| stats.connects);
    server.lose_history().await?;
    let cluster = Cluster {
        server: &server,
        namespace,
    };
    cluster
        .apply(&config("baseline", &[("HeartbeatInterval", "601")]))
        .await?;
    operator
        .wait_for_state("CP-HIST", "HeartbeatInterval", "InSync", LIMIT)
        .await?;
    ensure!(
        live.wait_until_key(LIMIT, "HeartbeatInterval", "601").await,
        "{:?}",
        live.value("HeartbeatInterval")
    );
    ensure!(
        live.with_stats(|stats| stats.connects) == connects,
        "the station had to reconnect"
    );
    ensure!(operator.running()?, "the operator ended");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_that_could_not_be_recorded_first() -> Result<()> {
    let server = ApiServer::shared().await?;
    let cluster = Cluster::on(server, "away").await?;
    let (link, kubeconfig): (_, PathBuf) = server.link().await?;
    let mut operator = Launch::new()?
        .kubeconfig(kubeconfig)
        .arguments(cluster.arguments())
        .arguments(LONG_LEASE)
        .arguments(["--resync=1s"])
        .start()?;
    operator.wait_until_ready(LIMIT).await?;
    let live = simulated(&operator, "CP-AWAY");
    cluster
        .apply(
            &(station("cp-away", "CP-AWAY") + &config("baseline", &[("HeartbeatInterval", "600")])),
        )
        .await?;
    cluster.wait("InSync", "csc/baseline").await?;
    let writes = live.with_stats(|stats| stats.writes.len());

    link.set(stationkeeper_tests::link::Passage::Closed).await;
    let reads = live.with_stats(|stats| stats.calls_of("GetConfiguration"));
    live.set_key("HeartbeatInterval", "1");
    // Drift is seen (it is read again), and not mended: the intent cannot be written down.
    ensure!(
        live.wait_until(LIMIT, |stats| stats.calls_of("GetConfiguration")
            > reads + 1)
            .await,
        "it was not read again: {:?}",
        live.stats()
    );
    ensure!(
        live.with_stats(|stats| stats.writes.len()) == writes,
        "a write that was not recorded"
    );

    link.set(stationkeeper_tests::link::Passage::Open).await;
    ensure!(
        live.wait_until_key(LIMIT, "HeartbeatInterval", "600").await,
        "{:?}",
        operator.logs()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_asked_to_end_does_not_wait_for_an_api_server_that_is_silent()
-> Result<()> {
    let server = ApiServer::shared().await?;
    let cluster = Cluster::on(server, "silent").await?;
    let (link, kubeconfig): (_, PathBuf) = server.link().await?;
    link.set(stationkeeper_tests::link::Passage::Silent).await;
    let mut operator = Launch::new()?
        .kubeconfig(kubeconfig)
        .arguments(cluster.arguments())
        .start()?;
    // It listens for SIGTERM, the 15th signal, from early on.
    eventually(LIMIT, async || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", operator.id()))?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap_or_default().trim(), 16)?;
        ensure!(caught & (1 << 14) != 0, "{caught:x}");
        Ok(())
    })
    .await?;
    let ended = operator.terminate(LIMIT).await?;
    ensure!(ended.success(), "{ended:?} {:?}", operator.logs());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_objects_with_one_identity_are_both_refused_until_one_is_gone() -> Result<()> {
    let cluster = Cluster::on(ApiServer::shared().await?, "twins").await?;
    let operator = cluster.operator().await?;
    cluster
        .apply(&(station("twin-a", "TWIN") + &station("twin-b", "TWIN")))
        .await?;
    for name in ["chst/twin-a", "chst/twin-b"] {
        cluster.wait("Stalled", name).await?;
        let reason = [
            "get",
            name,
            "-o",
            "jsonpath={.status.conditions[?(@.type==\"Stalled\")].reason}",
        ];
        ensure!(cluster.kubectl(&reason).await? == "DuplicateIdentity");
    }
    let live = simulated(&operator, "TWIN");
    ensure!(
        live.wait_until(LIMIT, |stats| stats.refused > 0).await,
        "{:?}",
        live.stats()
    );
    cluster.kubectl(&["delete", "chst/twin-b"]).await?;
    ensure!(
        live.wait_until(LIMIT, |stats| stats.connected).await,
        "{:?}",
        live.stats()
    );
    cluster.wait("Ready", "chst/twin-a").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brake_in_a_config_map_stops_writes_at_once_and_lets_them_go_on() -> Result<()> {
    let cluster = Cluster::on(ApiServer::shared().await?, "brake").await?;
    let brake = |position: &str| {
        format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: stationkeeper-brake}}, data: {{brake: {position}}}}}"
        )
    };
    cluster.apply(&brake("Report")).await?;
    let operator = cluster.operator().await?;
    let live = simulated(&operator, "CP-BRAKE");
    cluster
        .apply(
            &(station("cp-brake", "CP-BRAKE")
                + &config("baseline", &[("HeartbeatInterval", "600")])),
        )
        .await?;
    eventually(LIMIT, async || {
        let row = operator.key("CP-BRAKE", "HeartbeatInterval").await?;
        ensure!(
            row["observed"].is_string() && row["state"] != "InSync",
            "{row}"
        );
        Ok(())
    })
    .await?;
    ensure!(
        live.with_stats(|stats| stats.writes.is_empty()),
        "written with the brake on"
    );
    cluster.apply(&brake("\"Off\"")).await?;
    operator
        .wait_for_state("CP-BRAKE", "HeartbeatInterval", "InSync", LIMIT)
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_station_is_let_go_and_its_old_password_opens_nothing() -> Result<()> {
    let cluster = Cluster::on(ApiServer::shared().await?, "revoke").await?;
    let operator = cluster.operator().await?;
    let guarded = |password: &str| {
        format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: cp-door}}, stringData: {{password: {password}}}}}\n---\n\
             {{apiVersion: stationkeeper.dev/v1alpha1, kind: ChargeStation, metadata: {{name: cp-door}}, \
             spec: {{identity: CP-DOOR, authentication: {{secretRef: {{name: cp-door}}, encoding: Text}}}}}}\n"
        )
    };
    cluster.apply(&guarded("first-password-1")).await?;
    let mut settings = StationSettings::new(format!("ws://{}/ocpp", operator.gateway()), "CP-DOOR");
    settings.pace = Pace::QUICK;
    settings.password = Some(stationkeeper_simulator::Password::new("first-password-1"));
    let live = Station::start(settings);
    ensure!(
        live.wait_until(LIMIT, |stats| stats.connected).await,
        "{:?}",
        live.stats()
    );
    cluster
        .kubectl(&["delete", "chst/cp-door", "secret/cp-door"])
        .await?;
    ensure!(
        live.wait_until(LIMIT, |stats| !stats.connected && stats.refused > 0)
            .await,
        "{:?}",
        live.stats()
    );
    cluster.apply(&guarded("second-password-2")).await?;
    let mut settings = StationSettings::new(format!("ws://{}/ocpp", operator.gateway()), "CP-DOOR");
    settings.pace = Pace::QUICK;
    settings.password = Some(stationkeeper_simulator::Password::new("second-password-2"));
    let renewed = Station::start(settings);
    ensure!(
        renewed.wait_until(LIMIT, |stats| stats.connected).await,
        "{:?}",
        renewed.stats()
    );
    // Until the object was there again it was told 404.
    let told_so = |stats: &Stats| {
        let told = stats.last_refusal.as_deref().unwrap_or_default();
        told.contains("401")
    };
    ensure!(
        live.wait_until(LIMIT, told_so).await && !live.stats().connected,
        "{:?}",
        live.stats()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_namespaces_each_is_served_and_no_other() -> Result<()> {
    let server = ApiServer::shared().await?;
    let (north, south) = (
        Cluster::on(server, "north").await?,
        Cluster::on(server, "south").await?,
    );
    let elsewhere = Cluster::on(server, "elsewhere").await?;
    let mut operator = north
        .launch()?
        .arguments(LONG_LEASE)
        .arguments(["--namespace", &south.namespace])
        .start()?;
    operator.wait_until_ready(LIMIT).await?;
    for (cluster, identity) in [
        (&north, "CP-NORTH"),
        (&south, "CP-SOUTH"),
        (&elsewhere, "CP-ELSEWHERE"),
    ] {
        let baseline = config("baseline", &[("HeartbeatInterval", "3600")]);
        cluster
            .apply(&(station("cp", identity) + &baseline))
            .await?;
    }
    let live = ["CP-NORTH", "CP-SOUTH"].map(|identity| simulated(&operator, identity));
    let stranger = simulated(&operator, "CP-ELSEWHERE");
    for cluster in [&north, &south] {
        cluster.wait("InSync", "csc/baseline").await?;
    }
    // Before it led, it told everybody 503.
    let told_so = |stats: &Stats| {
        let told = stats.last_refusal.as_deref().unwrap_or_default();
        told.contains("404")
    };
    ensure!(
        stranger.wait_until(LIMIT, told_so).await && stranger.stats().connects == 0,
        "{:?}",
        stranger.stats()
    );
    ensure!(elsewhere.status_writes()? == 0, "it was written elsewhere");

    // What goes from one namespace is told, and nothing of the other goes with it.
    south.kubectl(&["delete", "chst/cp"]).await?;
    let gone = live[1].wait_until(LIMIT, |stats| stats.disconnects > 0);
    ensure!(gone.await, "the deleted station is still connected");
    ensure!(live[0].with_stats(|stats| stats.disconnects) == 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_whose_secret_is_missing_says_so_and_is_served_once_it_is_made() -> Result<()> {
    let cluster = Cluster::on(ApiServer::shared().await?, "secretless").await?;
    let operator = cluster.operator().await?;
    cluster
        .apply(
            "{apiVersion: stationkeeper.dev/v1alpha1, kind: ChargeStation, metadata: {name: cp-late}, \
             spec: {identity: CP-LATE, authentication: {secretRef: {name: late}, encoding: Text}}}",
        )
        .await?;
    let mut settings = StationSettings::new(format!("ws://{}/ocpp", operator.gateway()), "CP-LATE");
    settings.pace = Pace::QUICK;
    settings.password = Some(stationkeeper_simulator::Password::new("a-late-password-1"));
    let live = Station::start(settings);
    cluster.wait("Stalled", "chst/cp-late").await?;
    let status = cluster
        .kubectl(&["get", "chst/cp-late", "-o", "jsonpath={.status.conditions}"])
        .await?;
    ensure!(
        status.contains("SecretMissing") && status.contains("/late (key \\\"password\\\")"),
        "{status}"
    );
    ensure!(
        live.wait_until(LIMIT, |stats| stats.refused > 0).await,
        "{:?}",
        live.stats()
    );

    cluster
        .apply("{apiVersion: v1, kind: Secret, metadata: {name: late}, stringData: {password: a-late-password-1}}")
        .await?;
    ensure!(
        live.wait_until(LIMIT, |stats| stats.connected).await,
        "{:?}",
        live.stats()
    );
    cluster.wait("Ready", "chst/cp-late").await?;
    let status = cluster
        .kubectl(&["get", "chst/cp-late", "-o", "jsonpath={.status.conditions}"])
        .await?;
    ensure!(!status.contains("Stalled"), "{status}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_a_newer_version_stops_all_calls_until_it_is_removed() -> Result<()> {
    let cluster = Cluster::on(ApiServer::shared().await?, "newer").await?;
    let operator = cluster.operator().await?;
    let baseline = config("baseline", &[("HeartbeatInterval", "3600")]);
    cluster
        .apply(&(station("cp", "CP-NEWER") + &baseline))
        .await?;
    let _live = simulated(&operator, "CP-NEWER");
    cluster.wait("InSync", "csc/baseline").await?;
    let patch = |patch: &'static str| {
        let words = ["patch", "chst/cp", "--subresource=status", "--type=json"];
        let all = [&words[..], &["--patch", patch]].concat();
        let cluster = &cluster;
        async move { cluster.kubectl(&all).await }
    };
    patch(r#"[{"op": "add", "path": "/status/memory/formatVersion", "value": 99}]"#).await?;
    cluster.wait("Stalled", "chst/cp").await?;
    let kept = cluster
        .kubectl(&[
            "get",
            "chst/cp",
            "-o",
            "jsonpath={.status.memory.formatVersion}",
        ])
        .await?;
    ensure!(
        kept == "99",
        "what a newer version wrote is not touched: {kept}"
    );

    patch(r#"[{"op": "remove", "path": "/status/memory"}]"#).await?;
    cluster.wait("Ready", "chst/cp").await?;
    cluster.wait("InSync", "chst/cp").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_person_is_an_event_from_the_first_look_and_not_again_after_a_restart()
-> Result<()> {
    let cluster = Cluster::on(ApiServer::shared().await?, "events").await?;
    let mut operator = cluster.operator().await?;
    let baseline = config("baseline", &[("NobodyKnowsThisKey", "1")]);
    cluster
        .apply(&(station("cp", "CP-EVENT") + &baseline))
        .await?;
    let _live = simulated(&operator, "CP-EVENT");
    cluster.wait("Stalled", "csc/baseline").await?;
    let events = async || -> Result<Vec<Value>> {
        let words = ["get", "events.events.k8s.io", "--output=json"];
        let list: Value = serde_json::from_str(&cluster.kubectl(&words).await?)?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let told = |event: &Value| event["reason"] == "NeedsConsent";
        Ok(items.into_iter().filter(told).collect())
    };
    let first = eventually(LIMIT, async || {
        let told = events().await?;
        ensure!(told.len() == 1, "{told:#?}");
        Ok(told)
    })
    .await?;
    let event = &first[0];
    ensure!(
        event["type"] == "Warning" && event["regarding"]["name"] == "cp",
        "{event}"
    );
    let note = event["note"].as_str().unwrap_or_default();
    ensure!(
        note.contains("NobodyKnowsThisKey") && note.contains("spec.consent"),
        "{note}"
    );

    cluster.replace(&mut operator).await?;
    operator.wait_until_ready(LIMIT).await?;
    operator
        .wait_for_state("CP-EVENT", "NobodyKnowsThisKey", "NeedsConsent", LIMIT)
        .await?;
    ensure!(events().await?.len() == 1, "told again after a restart");
    Ok(())
}
