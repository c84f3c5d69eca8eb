//! Both Helms, with a server and without, and what they render.

use std::process::Command;

use anyhow::{Context as _, Result, anyhow};
use serde_json::Value;
use stationkeeper_tests::{ApiServer, Ran};
use xtask::tools::Tools;

/// The chart, from the root of the work tree.
pub(crate) const CHART: &str = "charts/stationkeeper";

/// The release's namespace in these tests.
pub(crate) const NAMESPACE: &str = "stationkeeper-system";

/// One of the two Helms that people have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Helm {
    /// Helm 3.
    Three,
    /// Helm 4.
    Four,
}

impl Helm {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Three, Self::Four];

    /// Runs it against a server.
    pub(crate) async fn at(self, server: &ApiServer, arguments: &[&str]) -> Result<Ran> {
        match self {
            Self::Three => server.helm3(arguments).await,
            Self::Four => server.helm(arguments).await,
        }
    }

    /// Runs it where no server is.
    pub(crate) async fn alone(self, arguments: &[&str]) -> Result<Ran> {
        let tools = Tools::require().map_err(|failure| anyhow!(failure))?;
        let home = tempfile::tempdir().context("failed to make a folder")?;
        let mut command = Command::new(match self {
            Self::Three => &tools.helm3,
            Self::Four => &tools.helm,
        });
        command
            .args(arguments)
            .current_dir(xtask::cargo::workspace());
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(variable, home.path());
        }
        command.env("KUBECONFIG", home.path().join("none"));
        Ran::run(command, "").await
    }

    /// Renders the chart with more arguments, as text.
    pub(crate) async fn template(self, arguments: &[&str]) -> Result<String> {
        let template = ["template", "stationkeeper", CHART, "--namespace", NAMESPACE];
        self.alone(&[&template[..], arguments].concat())
            .await?
            .success()
    }

    /// Renders the chart with more arguments, as objects.
    pub(crate) async fn objects(self, arguments: &[&str]) -> Result<Vec<Value>> {
        objects(&self.template(arguments).await?)
    }
}

/// The documents of a rendered chart.
pub(crate) fn objects(text: &str) -> Result<Vec<Value>> {
    let documents = text.split("\n---\n").map(|text| {
        serde_yaml::from_str::<Value>(text).with_context(|| format!("failed to read {text}"))
    });
    let mut documents: Vec<Value> = documents.collect::<Result<_>>()?;
    documents.retain(|document| !document.is_null());
    Ok(documents)
}

/// The objects of a kind.
pub(crate) fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects
        .iter()
        .filter(|object| object["kind"] == kind)
        .collect()
}

/// The only object of a kind whose name ends so.
pub(crate) fn the<'a>(objects: &'a [Value], kind: &str, ending: &str) -> Result<&'a Value> {
    let name = |object: &Value| object["metadata"]["name"].as_str().map(str::to_owned);
    let mut found = of_kind(objects, kind)
        .into_iter()
        .filter(|object| name(object).is_some_and(|name| name.ends_with(ending)));
    match (found.next(), found.next()) {
        (Some(object), None) => Ok(object),
        (None, _) => Err(anyhow!("no {kind} …{ending}")),
        (Some(_), Some(_)) => Err(anyhow!("more than one {kind} …{ending}")),
    }
}

/// The values files with which the chart is tried: names from the root of the work tree.
pub(crate) fn values_files() -> Result<Vec<String>> {
    let folder = xtask::cargo::workspace().join(CHART).join("ci");
    let entries = std::fs::read_dir(folder).context("failed to list the values files")?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let name = name.to_str().context("a name is not text")?;
        names.push(format!("{CHART}/ci/{name}"));
    }
    names.sort();
    Ok(names)
}
