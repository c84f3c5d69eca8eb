//! A namespace of a real API server, an operator over it, and its stations.

use anyhow::{Context as _, Result};
use serde_json::Value;
use stationkeeper_simulator::{Fault, Pace, Station, StationHandle, StationSettings};
pub(crate) use stationkeeper_tests::LIMIT;
use stationkeeper_tests::{ApiServer, Launch, Operator, seconds};

/// A namespace of a server with the definitions in it.
pub(crate) struct Cluster {
    pub(crate) server: &'static ApiServer,
    pub(crate) namespace: String,
}

impl Cluster {
    /// With a namespace whose name begins like this.
    pub(crate) async fn new(prefix: &str) -> Result<Self> {
        let server = ApiServer::shared().await?;
        let namespace = server.namespace(prefix).await?;
        Self::in_namespace(server, namespace).await
    }

    pub(crate) async fn in_namespace(
        server: &'static ApiServer,
        namespace: String,
    ) -> Result<Self> {
        server.install_crds().await?;
        Ok(Self { server, namespace })
    }

    pub(crate) fn launch(&self) -> Result<Launch> {
        Ok(Launch::new()?
            .kubeconfig(self.server.kubeconfig())
            .arguments(["--namespace", &self.namespace])
            .arguments(["--own-namespace", &self.namespace])
            .arguments(["--no-leader-election", "--call-timeout=4s"]))
    }

    pub(crate) async fn operator(&self) -> Result<Operator> {
        let mut operator = self.launch()?.start()?;
        operator.wait_until_ready(LIMIT).await?;
        Ok(operator)
    }

    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl_with(arguments, "").await
    }

    pub(crate) async fn kubectl_with(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut all = vec!["--namespace", self.namespace.as_str()];
        all.extend(arguments);
        self.server.kubectl_with(&all, input).await?.success()
    }

    pub(crate) async fn apply(&self, objects: &[Value]) -> Result<()> {
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
        let apply = ["apply", "--server-side", "--filename", "-"];
        self.kubectl_with(&apply, &list.to_string()).await.map(drop)
    }

    pub(crate) async fn get(&self, object: &str) -> Result<Value> {
        let get = ["get", object, "--output", "json", "--show-managed-fields"];
        serde_json::from_str(&self.kubectl(&get).await?).context("kubectl printed no JSON")
    }
}

pub(crate) fn station(operator: &Operator, identity: &str, faults: &[Fault]) -> StationHandle {
    let url = format!("ws://{}/ocpp", operator.gateway());
    let mut settings = StationSettings::new(url, identity);
    settings.pace = Pace {
        // Slower than a read-back on a busy machine: else the value would seem to have been accepted and ignored.
        contest: seconds(1),
        ..Pace::QUICK
    };
    settings.faults = faults.to_vec();
    Station::start(settings)
}
