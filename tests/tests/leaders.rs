//! Two real processes and one Lease: whatever happens to the leader, the other takes over, stations come back, and
//! nothing is written twice or by both.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use stationkeeper_simulator::{Pace, Station, StationHandle, StationSettings};
use stationkeeper_tests::link::Passage;
use stationkeeper_tests::{
    ApiServer, LIMIT, Launch, Operator, Signal, TIMEOUT, eventually, seconds, steady,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Each takeover from a leader that does not give its Lease up waits for it twice; so long as it is, a leader on a machine that
/// stands still meanwhile keeps it.
const EXPIRES: [&str; 3] = [
    "--lease-duration=25s",
    "--renew-deadline=22s",
    "--retry-period=500ms",
];

/// Never expires while a test runs: who takes over was let.
const LASTS: [&str; 3] = [
    "--lease-duration=900s",
    "--renew-deadline=800s",
    "--retry-period=500ms",
];

/// Stands in for the Service that follows the leader: one address for stations, led wherever the test says.
struct Service {
    address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
    _tasks: JoinSet<()>,
}

impl Service {
    async fn to(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let target = Arc::new(Mutex::new(target));
        let leads = Arc::clone(&target);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut station, _)) = listener.accept().await {
                let Ok(to) = leads.lock().map(|to| *to) else {
                    return;
                };
                connections.spawn(async move {
                    if let Ok(mut gateway) = TcpStream::connect(to).await {
                        // Either side may go at any time; the other one sees it.
                        let _ = tokio::io::copy_bidirectional(&mut station, &mut gateway).await;
                    }
                });
            }
        });
        Ok(Self {
            address,
            target,
            _tasks: tasks,
        })
    }

    fn lead_to(&self, target: SocketAddr) {
        if let Ok(mut leads) = self.target.lock() {
            *leads = target;
        }
    }
}

/// A leader, a standby, a station, and all of it at rest.
struct Scene {
    server: &'static ApiServer,
    namespace: String,
    leader: Operator,
    standby: Operator,
    service: Service,
    station: StationHandle,
}

impl Scene {
    async fn set(name: &str, lease: [&str; 3]) -> Result<Self> {
        Self::set_over(name, lease, None).await
    }

    async fn set_over(
        name: &str,
        lease: [&str; 3],
        kubeconfig_of_leader: Option<std::path::PathBuf>,
    ) -> Result<Self> {
        let server = ApiServer::shared().await?;
        let namespace = server.namespace(name).await?;
        server.install_crds().await?;
        let launch = |kubeconfig, pod| -> Result<Operator> {
            Launch::new()?
                .kubeconfig(kubeconfig)
                .arguments(["--namespace", &namespace, "--own-namespace", &namespace])
                .arguments(["--leader-label", "--pod-name", pod])
                .arguments(lease)
                .start()
        };
        for pod in ["first", "second"] {
            let run = ["run", "--namespace", &namespace, pod, "--image=none"];
            server.kubectl(&run).await?.success()?;
        }
        let mut leader = launch(
            kubeconfig_of_leader.unwrap_or_else(|| server.kubeconfig()),
            "first",
        )?;
        leader.wait_until_ready(LIMIT).await?;
        leader.wait_for_log("leading", LIMIT).await?;
        let mut standby = launch(server.kubeconfig(), "second")?;
        standby.wait_until_ready(LIMIT).await?;
        let service = Service::to(leader.gateway()).await?;
        let mut settings =
            StationSettings::new(format!("ws://{}/ocpp", service.address), "CP-LEAD");
        settings.pace = Pace {
            reconnect_longest: Duration::from_millis(500),
            ..Pace::QUICK
        };
        let station = Station::start(settings);
        let scene = Self {
            server,
            namespace,
            leader,
            standby,
            service,
            station,
        };
        let object = json!({
            "apiVersion": "stationkeeper.dev/v1alpha1", "kind": "ChargeStation", "metadata": {"name": "cp-lead"},
            "spec": {"identity": "CP-LEAD", "authentication": {"none": true}}
        });
        scene.apply(&object.to_string()).await?;
        scene.declare("600").await?;
        ensure!(
            scene
                .station
                .wait_until_key(LIMIT, "HeartbeatInterval", "600")
                .await,
            "{:?}",
            scene.leader.logs()
        );
        let wait = [
            "wait",
            "--namespace",
            &scene.namespace,
            "--for=condition=InSync",
            "chst/cp-lead",
            TIMEOUT,
        ];
        scene.server.kubectl(&wait).await?.success()?;
        scene.labelled("first").await?;
        Ok(scene)
    }

    /// The Pods by which the Service leads.
    async fn pods_with_the_label(&self) -> Result<String> {
        let selector = "--selector=stationkeeper.dev/leader=true";
        let get = ["get", "pods", "--namespace", &self.namespace, selector];
        let get = [&get[..], &["--output=name"]].concat();
        self.server.kubectl(&get).await?.success()
    }

    /// The Pod, and no other, carries the label by which the Service selects.
    async fn labelled(&self, pod: &str) -> Result<()> {
        eventually(LIMIT, async || {
            let found = self.pods_with_the_label().await?;
            ensure!(found.trim() == format!("pod/{pod}"), "{found:?}");
            Ok(())
        })
        .await
    }

    async fn apply(&self, manifest: &str) -> Result<()> {
        let apply = [
            "apply",
            "--server-side",
            "--namespace",
            &self.namespace,
            "--filename",
            "-",
        ];
        self.server
            .kubectl_with(&apply, manifest)
            .await?
            .success()?;
        Ok(())
    }

    async fn declare(&self, heartbeat: &str) -> Result<()> {
        let object = json!({
            "apiVersion": "stationkeeper.dev/v1alpha1", "kind": "ChargeStationConfig", "metadata": {"name": "baseline"},
            "spec": {
                "stations": {"names": ["cp-lead"]}, "mode": "Enforce",
                "settings": [{"key": "HeartbeatInterval", "value": heartbeat}]
            }
        });
        self.apply(&object.to_string()).await
    }

    /// The standby has taken over: it leads, the station is with it, and it alone writes what is declared now, once.
    async fn taken_over(&mut self) -> Result<()> {
        self.standby.wait_for_log("leading", LIMIT).await?;
        self.labelled("second").await?;
        self.service.lead_to(self.standby.gateway());
        // What a Service does with the connections to a Pod that is gone.
        self.station.drop_line();
        self.station.reconnect();
        self.declare("601").await?;
        ensure!(
            self.station
                .wait_until_key(LIMIT, "HeartbeatInterval", "601")
                .await,
            "{:?} {:?}",
            self.station.stats(),
            self.standby.logs()
        );
        self.standby
            .wait_for_state("CP-LEAD", "HeartbeatInterval", "InSync", LIMIT)
            .await?;
        let written: Vec<String> = self.station.with_stats(|stats| {
            stats
                .written("HeartbeatInterval")
                .iter()
                .map(ToString::to_string)
                .collect()
        });
        ensure!(written == ["600", "601"], "{written:?}");
        let misdeeds = self.station.with_stats(|stats| stats.violations.len());
        ensure!(misdeeds == 0, "{:?}", self.station.stats().violations);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_killed_is_replaced() -> Result<()> {
    let mut scene = Scene::set("killed", EXPIRES).await?;
    scene.leader.kill()?;
    scene.taken_over().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stands_still_is_replaced_and_ends_when_it_wakes() -> Result<()> {
    let mut scene = Scene::set("paused", EXPIRES).await?;
    scene.leader.signal(Signal::Stop)?;
    scene.taken_over().await?;
    // The new leader may still be reading it.
    let before = steady(LIMIT, seconds(2), async || {
        Ok(scene.station.with_stats(|stats| stats.calls_in_all()))
    })
    .await?;
    scene.leader.signal(Signal::Continue)?;
    let ended = scene.leader.exit(LIMIT).await?;
    ensure!(!ended.success(), "{ended:?}");
    ensure!(
        scene.station.with_stats(|stats| stats.calls_in_all()) == before,
        "the old leader called the station"
    );
    let labelled = scene.pods_with_the_label().await?;
    ensure!(labelled.trim() == "pod/second", "{labelled:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_steps_down_before_it_is_replaced() -> Result<()> {
    let (link, kubeconfig) = ApiServer::shared().await?.link().await?;
    let mut scene = Scene::set_over("cut", EXPIRES, Some(kubeconfig)).await?;
    link.set(Passage::Silent).await;
    let ended = scene.leader.exit(LIMIT).await?;
    ensure!(!ended.success(), "{ended:?}");
    scene.taken_over().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_asked_to_end_hands_over_without_waiting_for_its_lease() -> Result<()> {
    let mut scene = Scene::set("handover", LASTS).await?;
    // It calls itself slow, and fails, if it takes nine seconds by its own clock.
    let ended = scene.leader.terminate(LIMIT).await?;
    ensure!(ended.success(), "{ended:?} {:?}", scene.leader.logs());
    ensure!(
        scene
            .station
            .wait_until(LIMIT, |stats| stats.disconnects > 0)
            .await,
        "the socket was not closed"
    );
    scene.taken_over().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_ends_in_order_takes_its_label_off() -> Result<()> {
    let mut scene = Scene::set("unlabelled", LASTS).await?;
    scene.standby.terminate(LIMIT).await?;
    scene.labelled("first").await?;
    let ended = scene.leader.terminate(LIMIT).await?;
    ensure!(ended.success(), "{ended:?} {:?}", scene.leader.logs());
    let get = [
        "get",
        "pods",
        "--namespace",
        &scene.namespace,
        "--selector=stationkeeper.dev/leader",
        "--output=name",
    ];
    let left = scene.server.kubectl(&get).await?.success()?;
    ensure!(left.is_empty(), "{left:?} {:?}", scene.leader.logs());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_of_an_earlier_life_is_taken_off_before_the_wait_to_lead() -> Result<()> {
    let mut scene = Scene::set("relabelled", LASTS).await?;
    let label = ["label", "pod", "second", "stationkeeper.dev/leader=true"];
    let label = [&label[..], &["--namespace", &scene.namespace]].concat();
    scene.server.kubectl(&label).await?.success()?;
    scene.standby.restart()?;
    scene.labelled("first").await
}

/// A process whose ServiceAccount may do nothing, and that has seen it.
async fn without_rights(server: &ApiServer, namespace: &str) -> Result<Operator> {
    let account = ["serviceaccount", "keeper", "--namespace", namespace];
    let create = [&["create"][..], &account].concat();
    server.kubectl(&create).await?.success()?;
    let token = ["create", "token", "keeper", "--namespace", namespace];
    let token = server.kubectl(&token).await?.success()?;
    let operator = Launch::new()?
        .kubeconfig(server.kubeconfig_with_token(token.trim())?)
        .arguments(["--namespace", namespace, "--own-namespace", namespace])
        .start()?;
    operator.wait_for_log("refuses", LIMIT).await?;
    Ok(operator)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_waits_for_rights_ends_when_it_is_asked_to() -> Result<()> {
    let server = ApiServer::shared().await?;
    let namespace = server.namespace("impatient").await?;
    let mut operator = without_rights(server, &namespace).await?;
    let ended = operator.terminate(LIMIT).await?;
    ensure!(ended.success(), "{ended:?} {:?}", operator.logs());
    operator
        .wait_for_log("before all is started", LIMIT)
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_come_after_the_process_are_waited_for() -> Result<()> {
    let server = ApiServer::shared().await?;
    let namespace = server.namespace("late").await?;
    server.install_crds().await?;
    let apply = async |objects: &[Value]| {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        let apply = ["apply", "--server-side", "--filename=-"];
        let ran = server.kubectl_with(&apply, &list.to_string()).await?;
        ran.success()
    };
    let group = "rbac.authorization.k8s.io";
    let of_rights = |kind: &str| {
        json!({
            "apiVersion": format!("{group}/v1"), "kind": kind,
            "metadata": {"name": namespace, "namespace": namespace},
        })
    };
    let bound_to = |binding: &str, role: &str, name: &str| {
        let mut binding = of_rights(binding);
        binding["roleRef"] = json!({"apiGroup": group, "kind": role, "name": name});
        binding["subjects"] =
            json!([{"kind": "ServiceAccount", "name": "keeper", "namespace": namespace}]);
        binding
    };
    let operator = without_rights(server, &namespace).await?;

    // First the Secret of the digests' key, and then everything.
    let mut secrets = of_rights("Role");
    secrets["rules"] =
        json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create"]}]);
    apply(&[secrets, bound_to("RoleBinding", "Role", &namespace)]).await?;
    operator
        .wait_for_log("failed to reach the Lease", LIMIT)
        .await?;
    let mut everything = bound_to("ClusterRoleBinding", "ClusterRole", "cluster-admin");
    if let Some(metadata) = everything["metadata"].as_object_mut() {
        metadata.remove("namespace");
    }
    apply(&[everything]).await?;
    operator.wait_for_log("leading", LIMIT).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_ready_and_admits_no_station() -> Result<()> {
    let scene = Scene::set("standby", LASTS).await?;
    ensure!(scene.standby.get("/readyz").await?.status == 200);
    let mut settings =
        StationSettings::new(format!("ws://{}/ocpp", scene.standby.gateway()), "CP-LEAD");
    settings.pace = Pace::QUICK;
    let stranger = Station::start(settings);
    let refused = eventually(LIMIT, async || {
        let stats = stranger.stats();
        stats
            .last_refusal
            .with_context(|| format!("{:?}", stats.connects))
    })
    .await?;
    ensure!(refused.contains("503"), "{refused}");
    Ok(())
}
