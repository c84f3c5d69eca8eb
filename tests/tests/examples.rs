//! The manifests of `examples/`, run as they stand: the operator over a folder of them, and the simulated stations that they
//! are about. And the claim behind it: there is no example that no test runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use stationkeeper_simulator::{
    Pace, Password, Station, StationHandle, StationProfile, StationSettings,
};
use stationkeeper_tests::{LIMIT, Launch, Operator, eventually};
use tempfile::TempDir;
use xtask::cargo::workspace;

/// The folders whose files are run here.
const FOLDERS: [&str; 3] = ["greenflux", "quickstart", "vendors"];

/// An operator over some of the examples, in folders that go with it.
struct Stage {
    operator: Operator,
    objects: Vec<Value>,
    _folder: TempDir,
}

impl Stage {
    async fn with(files: &[PathBuf]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let manifests = folder.path().join("manifests");
        fs::create_dir(&manifests)?;
        let mut objects = Vec::new();
        for file in files {
            let name = file.file_name().context("an example has no name")?;
            let text = fs::read_to_string(file).with_context(|| format!("{file:?}"))?;
            fs::write(manifests.join(name), &text)?;
            for document in text.split("\n---\n") {
                objects.push(serde_yaml::from_str(document).with_context(|| format!("{file:?}"))?);
            }
        }
        let mut operator = Launch::new()?
            .folders(&manifests, folder.path().join("state"))
            .arguments(["--settle", "200ms"])
            .start()?;
        operator.wait_until_ready(LIMIT).await?;
        Ok(Self {
            operator,
            objects,
            _folder: folder,
        })
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        let kind = kind.to_owned();
        self.objects
            .iter()
            .filter(move |object| object["kind"] == kind.as_str())
    }

    /// The identity and the password of the station of this name.
    fn declared(&self, name: &str) -> Result<(String, Option<Password>)> {
        let mut stations = self.of_kind("ChargeStation");
        let station = stations
            .find(|object| object["metadata"]["name"] == name)
            .with_context(|| format!("there is no station {name}"))?;
        let identity = text(&station["spec"]["identity"])?;
        let secret = &station["spec"]["authentication"]["secretRef"]["name"];
        let password = match secret.as_str() {
            Some(secret) => Some(self.password(secret)?),
            None => None,
        };
        Ok((identity, password))
    }

    fn password(&self, secret: &str) -> Result<Password> {
        let mut secrets = self.of_kind("Secret");
        let secret = secrets
            .find(|object| object["metadata"]["name"] == secret)
            .with_context(|| format!("there is no Secret {secret}"))?;
        let digits = text(&secret["stringData"]["password"])?;
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16);
        let bytes: Result<Vec<u8>, _> = (0..digits.len()).step_by(2).map(byte).collect();
        Ok(Password::new(bytes?))
    }

    /// Starts the simulated station that the station of this name is about.
    fn simulated(&self, name: &str, kind: &str) -> Result<StationHandle> {
        let (identity, password) = self.declared(name)?;
        let url = format!("ws://{}/ocpp", self.operator.gateway());
        let mut settings = StationSettings::new(url, identity);
        settings.profile = StationProfile::built_in(kind).context("no such kind of station")?;
        settings.password = password;
        settings.pace = Pace::QUICK;
        Ok(Station::start(settings))
    }

    /// Waits until every managed key of a station is in one of these states, and returns their rows.
    async fn settles(&self, station: &StationHandle, states: &[&str]) -> Result<Vec<Value>> {
        eventually(LIMIT, async || {
            let status = self.operator.status().await?;
            let stations = status["stations"].as_array().context("no stations")?;
            let told = stations
                .iter()
                .find(|told| told["identity"] == station.identity())
                .context("the station is not told")?;
            let rows = told["keys"].as_array().context("no keys")?;
            let wrong: Vec<&Value> = rows
                .iter()
                .filter(|row| !states.iter().any(|state| row["state"] == *state))
                .collect();
            ensure!(!rows.is_empty() && wrong.is_empty(), "{wrong:#?}");
            Ok(rows.clone())
        })
        .await
        .with_context(|| format!("{} should settle as {states:?}", station.identity()))
    }

    /// Waits until a station is as declared: what needs a boot waits for one, which then comes, and secrets are written.
    /// Told is which keys waited.
    async fn converges(&self, station: &StationHandle) -> Result<BTreeSet<String>> {
        let settled = ["InSync", "Unverifiable"];
        let rows = self
            .settles(station, &["InSync", "Unverifiable", "ResetPending"])
            .await?;
        let waited: BTreeSet<String> = rows
            .iter()
            .filter(|row| row["state"] == "ResetPending")
            .map(|row| text(&row["key"]))
            .collect::<Result<_>>()?;
        if !waited.is_empty() {
            station.power_cycle();
        }
        for row in self.settles(station, &settled).await? {
            let hidden = row["desired"].is_null();
            ensure!(hidden == (row["state"] == "Unverifiable"), "{row}");
        }
        let violations = station.with_stats(|stats| stats.violations.clone());
        ensure!(violations.is_empty(), "{violations:?}");
        ensure!(
            station.with_stats(|stats| !stats.writes.is_empty()),
            "nothing was written: the example shows nothing"
        );
        Ok(waited)
    }
}

fn text(value: &Value) -> Result<String> {
    let text = value
        .as_str()
        .with_context(|| format!("{value} is no text"))?;
    Ok(text.to_owned())
}

fn examples() -> PathBuf {
    workspace().join("examples")
}

/// The files below a folder, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("{folder:?}"))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Runs the example of a vendor against its simulated station.
async fn vendor(kind: &str, station: &str, waiting_for_a_boot: &[&str]) -> Result<()> {
    let stage = Stage::with(&[examples().join("vendors").join(format!("{kind}.yaml"))]).await?;
    let live = stage.simulated(station, kind)?;
    let waited = stage.converges(&live).await?;
    ensure!(
        waited.iter().eq(waiting_for_a_boot),
        "{waited:?} waited for a boot"
    );
    live.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_a_plain_station_converges() -> Result<()> {
    vendor("standard", "plaza-1", &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_amina_converges() -> Result<()> {
    vendor("amina", "garage-1", &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_ensto_converges() -> Result<()> {
    vendor("ensto", "street-1", &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_bender_converges_with_a_boot() -> Result<()> {
    let waiting = [
        "AuthorizeRemoteTxRequests",
        "ClockAlignedDataInterval",
        "ConnectionTimeOut",
        "DlmPhase1Limit",
        "LocalScheduledReboots",
        "TransactionMessageAttempts",
        "TransactionMessageRetryInterval",
    ];
    vendor("bender", "depot-1", &waiting).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_config_with_greenflux_recommendations_converges_on_every_vendor() -> Result<()> {
    let stage = Stage::with(&files(&examples().join("greenflux"))?).await?;
    for (kind, measurands) in [("amina", 5), ("bender", 5), ("ensto", 3), ("standard", 5)] {
        let station = stage.simulated(&format!("greenflux-{kind}"), kind)?;
        stage.converges(&station).await?;
        let list = station.value("MeterValuesSampledData").unwrap_or_default();
        ensure!(list.split(',').count() == measurands, "{kind}: {list}");
        ensure!(station.value("HeartbeatInterval").as_deref() == Some("900"));
        station.stop().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_for_the_first_steps_converges() -> Result<()> {
    let stage = Stage::with(&files(&examples().join("quickstart"))?).await?;
    let station = stage.simulated("cp-0001", "standard")?;
    let waited = stage.converges(&station).await?;
    ensure!(waited.is_empty(), "{waited:?} waited for a boot");
    station.stop().await;
    Ok(())
}

/// A file is run if its folder is run here whole, if its vendor has a test here, or if another test or the demo, which has
/// a test of its own, names it or its folder.
#[test]
fn every_example_is_run_by_a_test() -> Result<()> {
    let root = workspace();
    let mut sources = String::new();
    for folder in ["tests/tests", "operator/tests", "operator/src/cli/demo"] {
        for file in files(&root.join(folder))? {
            let this = file.ends_with("examples.rs");
            if !this && file.extension().is_some_and(|extension| extension == "rs") {
                sources.push_str(&fs::read_to_string(&file)?);
            }
        }
    }
    let here = include_str!("examples.rs");
    let top = Path::new("");
    let mut idle = Vec::new();
    for file in files(&examples())? {
        let inside = file.strip_prefix(examples())?;
        let folder = inside.parent().unwrap_or(top);
        let name = inside.file_stem().unwrap_or_default();
        let run_here = match folder.to_str() {
            Some("vendors") => here.contains(&format!("vendor(\"{}\"", name.display())),
            Some(folder) => FOLDERS.contains(&folder),
            None => false,
        };
        let named = sources.contains(&format!("examples/{}", inside.display()))
            || (folder != top
                && (sources.contains(&format!("\"examples/{}\"", folder.display()))
                    // Each file of the folder by its name.
                    || sources.contains(&format!("\"examples/{}/{{", folder.display()))))
            || is_named_below(&sources, inside);
        if !run_here && !named {
            idle.push(inside.to_owned());
        }
    }
    ensure!(
        idle.is_empty(),
        "no test runs {idle:?} of examples/: run it in tests/tests/examples.rs, or name its path in the test that does"
    );
    Ok(())
}

/// Does a test name a folder above the file, and the rest of the path?
fn is_named_below(sources: &str, file: &Path) -> bool {
    let above = file
        .ancestors()
        .skip(1)
        .filter(|folder| *folder != Path::new(""));
    above.into_iter().any(|folder| {
        let Ok(rest) = file.strip_prefix(folder) else {
            return false;
        };
        sources.contains(&format!("\"examples/{}\"", folder.display()))
            && sources.contains(&format!("\"{}\"", rest.display()))
    })
}
