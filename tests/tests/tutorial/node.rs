//! Stands in for what is not here: the deployment controller, the scheduler, the kubelet and the cluster's network.
//!
//! In: the Deployments, Pods and Services of an API server. Out: the Pods that Deployments want, rolled as
//! `maxSurge: 1, maxUnavailable: 0` says; a process for each Pod, with the Pod's arguments, environment and token; the status
//! of both; and a door for each port of a Service, which leads to a ready Pod that the Service selects. Only the product's own
//! program is run, and only what its chart and its page need is understood: one container, no volumes, HTTP readiness.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, Pod, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use stationkeeper_tests::operator::program;
use stationkeeper_tests::{ApiServer, LIMIT, Process, ReservedPort, Signal, http};

use crate::door::Door;

/// Between two looks at the cluster.
const PERIOD: Duration = Duration::from_millis(100);

/// How long a process may take to end; the chart's drain is within it.
const ENDING: Duration = LIMIT;

/// How many lines of a Pod are shown when a test fails.
const LINES: usize = 30;

/// The name of this node.
const NODE: &str = "node";

/// A namespace and a name.
type Place = (String, String);

/// A Pod that runs.
#[derive(Debug)]
struct Running {
    process: Process,
    ports: BTreeMap<i32, ReservedPort>,
    told: Value,
    asked_to_end: bool,
}

/// The one node of the cluster.
pub(crate) struct Node<'a> {
    server: &'a ApiServer,
    client: Client,
    pods: BTreeMap<Place, Running>,
    doors: BTreeMap<(Place, i32), Door>,
}

impl<'a> Node<'a> {
    /// A node of a cluster.
    pub(crate) async fn new(server: &'a ApiServer) -> Result<Self> {
        Ok(Self {
            server,
            client: server.client().await?,
            pods: BTreeMap::new(),
            doors: BTreeMap::new(),
        })
    }

    /// Does its work until something fails.
    pub(crate) async fn run(&mut self) -> Result<()> {
        let mut period = tokio::time::interval(PERIOD);
        loop {
            period.tick().await;
            self.roll_out().await?;
            self.find_doors().await?;
            self.run_pods().await?;
            self.lead().await?;
        }
    }

    /// What the Pods printed last, for a message.
    pub(crate) fn logs(&self) -> String {
        let pods = self.pods.iter().map(|((_, name), running)| {
            let printed = [running.process.output(), running.process.logs()].concat();
            let last = printed[printed.len().saturating_sub(LINES)..].join("\n");
            format!("{name} printed last:\n{last}")
        });
        pods.collect::<Vec<_>>().join("\n")
    }

    // The deployment controller.

    async fn roll_out(&self) -> Result<()> {
        let pods = self.list_pods().await?;
        let all: Api<Deployment> = Api::all(self.client.clone());
        let deployments = all.list(&ListParams::default()).await?.items;
        for deployment in &deployments {
            self.roll_out_one(deployment, &pods).await?;
        }
        // The garbage collector: Pods whose Deployment is gone.
        for pod in &pods {
            let orphaned = pod.owner_references().iter().any(|owner| {
                !deployments
                    .iter()
                    .any(|one| one.uid().as_ref() == Some(&owner.uid))
            });
            if orphaned {
                self.delete(pod).await?;
            }
        }
        Ok(())
    }

    async fn roll_out_one(&self, deployment: &Deployment, pods: &[Pod]) -> Result<()> {
        let (namespace, name) = place(deployment)?;
        let spec = deployment
            .spec
            .as_ref()
            .context("a Deployment without a spec")?;
        let replicas = spec.replicas.unwrap_or(1);
        let mut hasher = DefaultHasher::new();
        serde_json::to_string(&spec.template)?.hash(&mut hasher);
        let hash = format!("{:08x}", hasher.finish() >> 32);
        let wanted: Vec<String> = (0..replicas)
            .map(|index| format!("{name}-{hash}-{index}"))
            .collect();
        let own: Vec<&Pod> = pods
            .iter()
            .filter(|pod| {
                pod.owner_references()
                    .iter()
                    .any(|owner| Some(&owner.uid) == deployment.uid().as_ref())
            })
            .collect();
        for wanted in &wanted {
            if !own.iter().any(|pod| pod.name_any() == *wanted) {
                let mut template = serde_json::to_value(&spec.template)?;
                template["apiVersion"] = json!("v1");
                template["kind"] = json!("Pod");
                template["metadata"]["name"] = json!(wanted);
                template["metadata"]["ownerReferences"] = json!([{
                    "apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": deployment.uid(), "controller": true,
                }]);
                let pod: Pod = serde_json::from_value(template)?;
                self.pods_in(&namespace)
                    .create(&PostParams::default(), &pod)
                    .await?;
            }
        }
        let ready = own
            .iter()
            .filter(|pod| wanted.contains(&pod.name_any()) && is_ready(pod))
            .count();
        if ready < wanted.len() {
            return Ok(());
        }
        for pod in own.iter().filter(|pod| !wanted.contains(&pod.name_any())) {
            self.delete(pod).await?;
        }
        let status = json!({
            "observedGeneration": deployment.metadata.generation, "replicas": replicas, "updatedReplicas": replicas,
            "readyReplicas": replicas, "availableReplicas": replicas,
            "conditions": [
                {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
                {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
            ],
        });
        let before = deployment
            .status
            .as_ref()
            .and_then(|status| status.observed_generation);
        if before != deployment.metadata.generation {
            let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &namespace);
            let patch = Patch::Merge(json!({"status": status}));
            deployments
                .patch_status(&name, &PatchParams::default(), &patch)
                .await?;
        }
        Ok(())
    }

    // The kubelet, and the scheduler.

    async fn run_pods(&mut self) -> Result<()> {
        for pod in self.list_pods().await? {
            let place = place(&pod)?;
            let deleted = pod.metadata.deletion_timestamp.is_some();
            match self.pods.contains_key(&place) {
                true if deleted => self.end(&place).await?,
                true => self.tell(&place, &pod).await?,
                // One that ran to its end.
                false if is_over(&pod) => {}
                false if deleted => self.forget(&place).await?,
                false => self.start(place, &pod).await?,
            }
        }
        Ok(())
    }

    async fn start(&mut self, place: Place, pod: &Pod) -> Result<()> {
        let (namespace, name) = &place;
        let spec = pod.spec.as_ref().context("a Pod without a spec")?;
        if spec.node_name.is_none() {
            let binding = json!({
                "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name, "namespace": namespace},
                "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
            });
            let _: Value = self
                .pods_in(namespace)
                .create_subresource("binding", name, &PostParams::default(), &binding)
                .await?;
        }
        let container = spec
            .containers
            .first()
            .context("a Pod without a container")?;
        let mut ports = BTreeMap::new();
        for port in container.ports.iter().flatten() {
            ports.insert(port.container_port, ReservedPort::reserve()?);
        }
        let mut command = Command::new(program()?);
        command
            .env_remove("KUBECONFIG")
            .env_remove("STATIONKEEPER_LOG");
        if spec.automount_service_account_token != Some(false) {
            let account = spec.service_account_name.as_deref().unwrap_or("default");
            if let Some(token) = self.token(namespace, account, name).await? {
                command.env("KUBECONFIG", self.server.kubeconfig_with_token(&token)?);
            }
        }
        for argument in container.args.iter().flatten() {
            command.arg(patient(&self.locate(argument, namespace, &ports)));
        }
        command.envs(environment(container, &place));
        let process = Process::start(name, command)?;
        let running = Running {
            process,
            ports,
            told: Value::Null,
            asked_to_end: false,
        };
        self.pods.insert(place, running);
        Ok(())
    }

    /// An argument with loopback addresses where the Pod would have its own network and the cluster's names.
    fn locate(
        &self,
        argument: &str,
        namespace: &str,
        ports: &BTreeMap<i32, ReservedPort>,
    ) -> String {
        for (port, own) in ports {
            if let Some(flag) = argument.strip_suffix(&format!("0.0.0.0:{port}")) {
                return format!("{flag}{}", own.address());
            }
        }
        let mut located = argument.to_owned();
        for (((of, service), port), door) in &self.doors {
            let address = door.address().to_string();
            located = located.replace(&format!("{service}.{of}:{port}"), &address);
            if of == namespace {
                located = located.replace(&format!("{service}:{port}"), &address);
            }
        }
        located
    }

    /// The token that the Pod would find mounted; none where no controller has made the ServiceAccount.
    async fn token(&self, namespace: &str, account: &str, pod: &str) -> Result<Option<String>> {
        let found = [
            "get",
            "serviceaccount",
            account,
            "--namespace",
            namespace,
            "--ignore-not-found",
            "--output=name",
        ];
        if self.server.kubectl(&found).await?.success()?.is_empty() {
            return Ok(None);
        }
        let token = [
            "create",
            "token",
            account,
            "--namespace",
            namespace,
            "--bound-object-kind=Pod",
            "--bound-object-name",
            pod,
        ];
        let token = self.server.kubectl(&token).await?.success()?;
        Ok(Some(token.trim().to_owned()))
    }

    /// Tells in the Pod's status what its process does.
    async fn tell(&mut self, place: &Place, pod: &Pod) -> Result<()> {
        let running = self.pods.get_mut(place).context("the Pod runs")?;
        let container = pod.spec.as_ref().and_then(|spec| spec.containers.first());
        let container = container.context("a Pod without a container")?;
        let ended = match running.process.running()? {
            true => None,
            false => Some(running.process.exit(LIMIT).await?),
        };
        let never = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.restart_policy.as_deref())
            == Some("Never");
        let phase = match ended {
            None => "Running",
            Some(_) if !never => bail!("{place:?} has ended: {:#?}", running.process.logs()),
            Some(status) if status.success() => "Succeeded",
            Some(_) => "Failed",
        };
        let ready = ended.is_none() && answers(container, &running.ports).await;
        let told = json!({
            "phase": phase,
            "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
            "containerStatuses": [{
                "name": container.name, "image": container.image, "imageID": "", "ready": ready, "restartCount": 0,
                "state": if ended.is_none() { json!({"running": {}}) } else { json!({"terminated": {"exitCode": 0}}) },
            }],
        });
        if running.told != told {
            let patch = Patch::Merge(json!({"status": told}));
            self.pods_in(&place.0)
                .patch_status(&place.1, &PatchParams::default(), &patch)
                .await?;
            if let Some(running) = self.pods.get_mut(place) {
                running.told = told;
            }
        }
        if ended.is_some() {
            self.pods.remove(place);
        }
        Ok(())
    }

    /// Asks the process of a Pod to end, and takes the Pod away once it has. Meanwhile the others go on.
    async fn end(&mut self, place: &Place) -> Result<()> {
        let running = self.pods.get_mut(place).context("the Pod runs")?;
        if !running.asked_to_end {
            running.process.signal(Signal::Terminate)?;
            running.asked_to_end = true;
        }
        if running.process.running()? {
            return Ok(());
        }
        running.process.exit(ENDING).await?;
        self.pods.remove(place);
        self.forget(place).await
    }

    /// Takes a Pod away that no longer runs.
    async fn forget(&self, (namespace, name): &Place) -> Result<()> {
        let at_once = DeleteParams::default().grace_period(0);
        self.pods_in(namespace).delete(name, &at_once).await?;
        Ok(())
    }

    async fn delete(&self, pod: &Pod) -> Result<()> {
        if pod.metadata.deletion_timestamp.is_none() {
            let (namespace, name) = place(pod)?;
            self.pods_in(&namespace)
                .delete(&name, &DeleteParams::default())
                .await?;
        }
        Ok(())
    }

    // The network.

    async fn services(&self) -> Result<Vec<Service>> {
        let all: Api<Service> = Api::all(self.client.clone());
        let mut services = all.list(&ListParams::default()).await?.items;
        services.retain(|service| selector(service).is_some());
        Ok(services)
    }

    async fn find_doors(&mut self) -> Result<()> {
        for service in self.services().await? {
            let place = place(&service)?;
            for port in service
                .spec
                .iter()
                .flat_map(|spec| spec.ports.iter().flatten())
            {
                let of = (place.clone(), port.port);
                if let Entry::Vacant(vacant) = self.doors.entry(of) {
                    vacant.insert(Door::new()?);
                }
            }
        }
        Ok(())
    }

    /// Leads the door of each Service to a Pod that is ready and selected, or nowhere.
    async fn lead(&self) -> Result<()> {
        let pods = self.list_pods().await?;
        for service in self.services().await? {
            let place = place(&service)?;
            let chosen = pods.iter().find(|pod| {
                let selected = selector(&service)
                    .into_iter()
                    .flatten()
                    .all(|(label, value)| pod.labels().get(label) == Some(value));
                selected
                    && pod.namespace() == service.namespace()
                    && is_ready(pod)
                    && pod.metadata.deletion_timestamp.is_none()
            });
            for port in service
                .spec
                .iter()
                .flat_map(|spec| spec.ports.iter().flatten())
            {
                let behind = chosen.and_then(|pod| self.port_of(pod, port.target_port.as_ref()));
                if let Some(door) = self.doors.get(&(place.clone(), port.port)) {
                    door.lead(behind);
                }
            }
        }
        Ok(())
    }

    /// Where a port of a Pod is on this machine.
    fn port_of(&self, pod: &Pod, port: Option<&IntOrString>) -> Option<SocketAddr> {
        let container = pod.spec.as_ref()?.containers.first()?;
        let number = match port? {
            IntOrString::Int(number) => *number,
            IntOrString::String(name) => number_of(container, name)?,
        };
        let running = self.pods.get(&place(pod).ok()?)?;
        running.ports.get(&number).map(ReservedPort::address)
    }

    async fn list_pods(&self) -> Result<Vec<Pod>> {
        let all: Api<Pod> = Api::all(self.client.clone());
        Ok(all.list(&ListParams::default()).await?.items)
    }

    fn pods_in(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

fn place<K: kube::Resource>(object: &K) -> Result<Place> {
    let namespace = object
        .namespace()
        .context("an object without a namespace")?;
    Ok((namespace, object.name_any()))
}

fn selector(service: &Service) -> Option<&BTreeMap<String, String>> {
    service.spec.as_ref()?.selector.as_ref()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions
        .into_iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn is_over(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn number_of(container: &Container, name: &str) -> Option<i32> {
    let mut ports = container.ports.iter().flatten();
    ports
        .find(|port| port.name.as_deref() == Some(name))
        .map(|port| port.container_port)
}

/// The container's environment, with what it takes from the Pod itself.
fn environment(container: &Container, (namespace, name): &Place) -> Vec<(String, String)> {
    let own = |field: &str| match field {
        "metadata.name" => name.clone(),
        "metadata.namespace" => namespace.clone(),
        _ => String::new(),
    };
    let variables = container.env.iter().flatten().map(|variable| {
        let field = variable
            .value_from
            .as_ref()
            .and_then(|from| from.field_ref.as_ref());
        let value = match field {
            Some(field) => own(&field.field_path),
            None => variable.value.clone().unwrap_or_default(),
        };
        (variable.name.clone(), value)
    });
    variables.collect()
}

/// An argument with a Lease that lasts: a leader that loses it, because this machine stood still, ends, and the kubelet that would
/// start it again is not here.
fn patient(argument: &str) -> &str {
    match argument.split_once('=') {
        Some(("--lease-duration", _)) => "--lease-duration=900s",
        Some(("--renew-deadline", _)) => "--renew-deadline=800s",
        Some(_) | None => argument,
    }
}

/// What the readiness probe says; without one, whatever runs is ready.
async fn answers(container: &Container, ports: &BTreeMap<i32, ReservedPort>) -> bool {
    let Some(probe) = container
        .readiness_probe
        .as_ref()
        .and_then(|probe| probe.http_get.as_ref())
    else {
        return true;
    };
    let number = match &probe.port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => number_of(container, name),
    };
    let Some(port) = number.and_then(|number| ports.get(&number)) else {
        return false;
    };
    let answer = http::get(port.address(), probe.path.as_deref().unwrap_or("/")).await;
    answer.is_ok_and(|answer| answer.status == 200)
}
