//! A release that is installed, and the operator started as the chart would have it started.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
pub(crate) use stationkeeper_tests::LIMIT;
use stationkeeper_tests::{ApiServer, Launch, Operator, eventually};

use crate::helm::{CHART, Helm, NAMESPACE, objects, the};

/// The user that the API server takes the operator for.
pub(crate) const ACCOUNT: &str = "system:serviceaccount:stationkeeper-system:stationkeeper";

/// An installed release, and the operator's own way in.
pub(crate) struct Release<'a> {
    /// Where.
    pub(crate) server: &'a ApiServer,
    /// What the chart gives the operator, without `run` and what it listens on.
    arguments: Vec<String>,
}

impl<'a> Release<'a> {
    /// Installs the chart with values, into a server of its own.
    pub(crate) async fn install(server: &'a ApiServer, values: &[&str]) -> Result<Self> {
        let install = [
            "install",
            "stationkeeper",
            CHART,
            "--namespace",
            NAMESPACE,
            "--create-namespace",
        ];
        let more = [
            // Nobody follows this leader: no slow machine takes its Lease away.
            "--set=leaderElection.leaseDuration=600s",
            "--set=leaderElection.renewDeadline=500s",
            "--set=drainSeconds=0",
        ];
        let all = [&install[..], &more, values].concat();
        Helm::Four.at(server, &all).await?.success()?;
        let manifest = ["get", "manifest", "stationkeeper", "--namespace", NAMESPACE];
        let rendered = objects(&Helm::Four.at(server, &manifest).await?.success()?)?;
        let deployment = the(&rendered, "Deployment", "stationkeeper")?;
        let arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
            .as_array()
            .context("the operator has no arguments")?;
        // The harness starts `run` itself, on ports of its own.
        let own = |argument: &str| {
            argument == "run"
                || argument.starts_with("--gateway-listen")
                || argument.starts_with("--admin-listen")
        };
        let arguments = arguments
            .iter()
            .filter_map(Value::as_str)
            .filter(|argument| !own(argument))
            .map(str::to_owned)
            .collect();
        Ok(Self { server, arguments })
    }

    /// Starts the operator as the chart does: with the chart's arguments, and a token of its ServiceAccount that is bound
    /// to a Pod. The Pod is only an object: nothing here runs Pods.
    pub(crate) async fn operator(&self, pod: &str) -> Result<Operator> {
        let object = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod, "namespace": NAMESPACE},
            "spec": {"serviceAccountName": "stationkeeper", "containers": [{"name": "stationkeeper", "image": "none"}]},
        });
        self.apply(NAMESPACE, &object.to_string()).await?;
        self.rights_are_known().await?;
        let mut operator = Launch::new()?
            .kubeconfig(self.kubeconfig(pod).await?)
            .environment("POD_NAME", pod)
            .environment("POD_NAMESPACE", NAMESPACE)
            .arguments(&self.arguments)
            .start()?;
        operator.wait_until_ready(LIMIT).await?;
        Ok(operator)
    }

    /// Waits until the API server's authorizer has learnt of the chart's roles, which it does some moments after they are made:
    /// one right of each role.
    async fn rights_are_known(&self) -> Result<()> {
        let lease = "get leases.coordination.k8s.io/stationkeeper --namespace";
        let mut questions = vec![format!("{lease} {NAMESPACE}")];
        let stations = "list chargestations.stationkeeper.dev";
        let watched = self.arguments.iter();
        let watched = watched.filter_map(|argument| argument.strip_prefix("--namespace="));
        let watched: Vec<String> = watched
            .map(|namespace| format!("{stations} --namespace {namespace}"))
            .collect();
        match watched.is_empty() {
            true => questions.push(format!("{stations} --all-namespaces")),
            false => questions.extend(watched),
        }
        for question in &questions {
            let ask = ["auth", "can-i", "--as", ACCOUNT];
            let words: Vec<&str> = question.split_whitespace().collect();
            let ask = [&ask[..], &words].concat();
            eventually(LIMIT, async || self.server.kubectl(&ask).await?.success()).await?;
        }
        Ok(())
    }

    /// A way in with a token of the ServiceAccount, bound to a Pod as a running Pod's is.
    pub(crate) async fn kubeconfig(&self, pod: &str) -> Result<PathBuf> {
        let token = [
            "create",
            "token",
            "stationkeeper",
            "--bound-object-kind=Pod",
            "--bound-object-name",
            pod,
            "--namespace",
            NAMESPACE,
        ];
        let token = self.server.kubectl(&token).await?.success()?;
        self.server.kubeconfig_with_token(token.trim())
    }

    /// Applies manifests as a user who may do everything.
    pub(crate) async fn apply(&self, namespace: &str, manifests: &str) -> Result<String> {
        let apply = [
            "apply",
            "--server-side",
            "--namespace",
            namespace,
            "--filename",
            "-",
        ];
        self.server.kubectl_with(&apply, manifests).await?.success()
    }

    /// What `kubectl get` prints.
    pub(crate) async fn get(&self, namespace: &str, what: &[&str]) -> Result<String> {
        let get = ["get", "--namespace", namespace];
        self.server
            .kubectl(&[&get[..], what].concat())
            .await?
            .success()
    }
}
