//! A site without a cluster: a folder of manifests, a state directory, an operator over them, and its stations.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use stationkeeper_simulator::{Pace, Station, StationHandle, StationSettings};
pub(crate) use stationkeeper_tests::LIMIT;
use stationkeeper_tests::operator::stationkeeper;
use stationkeeper_tests::{Launch, Operator, Ran, eventually};
use tempfile::TempDir;

/// The folders of a site; they go with it.
pub(crate) struct Site {
    folder: TempDir,
}

impl Site {
    /// A site with these manifests: file names and texts.
    pub(crate) fn with(files: &[(&str, &str)]) -> Result<Self> {
        let site = Self {
            folder: tempfile::tempdir()?,
        };
        fs::create_dir(site.manifests())?;
        files
            .iter()
            .try_for_each(|(name, text)| site.write(name, text))?;
        Ok(site)
    }

    pub(crate) fn manifests(&self) -> PathBuf {
        self.path("manifests")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Another file beside both folders.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a manifest at once, as git does: beside it, and then renamed.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<()> {
        let partial = self.path("partial");
        fs::write(&partial, text)?;
        fs::rename(partial, self.manifests().join(name))
            .context("failed to put a manifest into the folder")
    }

    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        fs::remove_file(self.manifests().join(name)).context("failed to remove a manifest")
    }

    pub(crate) fn launch(&self) -> Result<Launch> {
        Ok(Launch::new()?
            .folders(self.manifests(), self.state())
            .arguments(["--settle", "200ms"]))
    }

    /// A running operator that is ready.
    pub(crate) async fn operator(&self) -> Result<Operator> {
        self.operator_with(&[]).await
    }

    /// Alike, with more arguments.
    pub(crate) async fn operator_with(&self, arguments: &[&str]) -> Result<Operator> {
        let mut operator = self
            .launch()?
            .arguments(arguments.iter().copied())
            .start()?;
        operator.wait_until_ready(LIMIT).await?;
        Ok(operator)
    }

    /// `status` as its users run it.
    pub(crate) async fn status(&self, arguments: &[&str]) -> Result<Ran> {
        let state = self.state();
        let mut all = vec!["status", "--state-dir", text(&state)?];
        all.extend(arguments);
        stationkeeper(&all).await
    }

    /// `run` that is expected to end by itself, on ports of its own unless others are given.
    pub(crate) async fn run_to_its_end(
        &self,
        state: &Path,
        gateway: &str,
        arguments: &[&str],
    ) -> Result<Ran> {
        let manifests = self.manifests();
        let mut all = vec![
            "run",
            "--manifests",
            text(&manifests)?,
            "--state-dir",
            text(state)?,
        ];
        all.extend(["--gateway-listen", gateway, "--admin-listen", "127.0.0.1:0"]);
        all.extend(arguments);
        stationkeeper(&all).await
    }
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path is not text")
}

/// A station that needs no password.
pub(crate) fn station(name: &str, identity: &str) -> String {
    station_with(
        name,
        &json!({"identity": identity, "authentication": {"none": true}}),
    )
}

/// A station with a spec.
pub(crate) fn station_with(name: &str, spec: &Value) -> String {
    object("ChargeStation", name, spec)
}

/// A config for all stations of its namespace.
pub(crate) fn config(name: &str, priority: u32, settings: &[(&str, &str)]) -> String {
    let settings: Vec<Value> = settings
        .iter()
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect();
    config_with(name, &json!({"priority": priority, "settings": settings}))
}

/// A config for all stations of its namespace, in Enforce, with more of a spec.
pub(crate) fn config_with(name: &str, more: &Value) -> String {
    let mut spec = json!({"stations": {"selector": {}}, "mode": "Enforce"});
    for (field, value) in more.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    object("ChargeStationConfig", name, &spec)
}

/// A Secret with one key, `password`.
pub(crate) fn secret(name: &str, password: &str) -> String {
    let object = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": name, "namespace": "north"}, "stringData": {"password": password},
    });
    format!("{object}\n---\n")
}

fn object(kind: &str, name: &str, spec: &Value) -> String {
    let object = json!({
        "apiVersion": "stationkeeper.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": "north"}, "spec": spec,
    });
    format!("{object}\n---\n")
}

/// What a simulated station is started with: quick, and without faults.
pub(crate) fn settings(operator: &Operator, identity: &str) -> StationSettings {
    let mut settings = StationSettings::new(format!("ws://{}/ocpp", operator.gateway()), identity);
    settings.pace = Pace::QUICK;
    settings
}

/// A plain simulated station.
pub(crate) fn simulated(operator: &Operator, identity: &str) -> StationHandle {
    Station::start(settings(operator, identity))
}

/// Waits until a key has a value at the station.
pub(crate) async fn holds(station: &StationHandle, key: &str, value: &str) -> Result<()> {
    eventually(LIMIT, async || {
        let has = station.value(key);
        ensure!(
            has.as_deref() == Some(value),
            "{key} is {has:?} and should be {value:?}"
        );
        Ok(())
    })
    .await
}

/// No breach of the rules by the operator.
pub(crate) fn well_treated(station: &StationHandle) -> Result<()> {
    let violations = station.with_stats(|stats| stats.violations.clone());
    ensure!(violations.is_empty(), "{violations:?}");
    Ok(())
}

/// The values that were written to a key, in their order.
pub(crate) fn written(station: &StationHandle, key: &str) -> Vec<String> {
    station.with_stats(|stats| stats.written(key).into_iter().map(str::to_owned).collect())
}
