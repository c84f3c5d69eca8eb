//! An operator over a folder of manifests, and its stations; and the project's files.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use stationkeeper_simulator::{Pace, Station, StationHandle, StationSettings};
pub(crate) use stationkeeper_tests::LIMIT;
use stationkeeper_tests::{Launch, Operator};
use tempfile::TempDir;
use xtask::cargo::workspace;

/// An operator over a folder of manifests; the folder goes with it.
pub(crate) struct Fleet {
    folder: TempDir,
    pub(crate) operator: Operator,
}

impl Fleet {
    pub(crate) async fn of(stations: usize) -> Result<Self> {
        Self::with(stations, &[]).await
    }

    pub(crate) async fn with(stations: usize, arguments: &[&str]) -> Result<Self> {
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
    pub(crate) fn declare(&self, stations: usize) -> Result<()> {
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

    pub(crate) fn station(&self, number: usize) -> StationHandle {
        let url = format!("ws://{}/ocpp", self.operator.gateway());
        let mut settings = StationSettings::new(url, format!("CP-{number}"));
        settings.pace = Pace::QUICK;
        Station::start(settings)
    }

    pub(crate) async fn in_sync(&self, number: usize) -> Result<()> {
        let identity = format!("CP-{number}");
        for key in ["MeterValueSampleInterval", "HeartbeatInterval"] {
            self.operator
                .wait_for_state(&identity, key, "InSync", LIMIT)
                .await?;
        }
        Ok(())
    }

    pub(crate) async fn metrics(&self) -> Result<String> {
        Ok(self.operator.get("/metrics").await?.body)
    }
}

pub(crate) fn read(path: &str) -> Result<String> {
    fs::read_to_string(workspace().join(path)).with_context(|| format!("failed to read {path}"))
}

pub(crate) fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
