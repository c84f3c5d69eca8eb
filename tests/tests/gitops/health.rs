//! What Argo CD shows for each state that the operator writes. The fixtures are what it wrote: a run against a real API
//! server makes them anew with `UPDATE=1`, and fails where they no longer say what the operator says.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use stationkeeper_simulator::{Fault, StationHandle};
use stationkeeper_tests::{Operator, eventually};
use xtask::cargo::workspace;

use crate::cluster::{Cluster, LIMIT, station};
use crate::lua::Scripts;

const KEY: &str = "MeterValueSampleInterval";

/// A state: the object that is in it, what Argo CD shows, and a word of the message; the fixture is named after it.
struct Case {
    fixture: &'static str,
    object: &'static str,
    health: &'static str,
    says: &'static str,
}

const fn case(
    fixture: &'static str,
    object: &'static str,
    health: &'static str,
    says: &'static str,
) -> Case {
    Case {
        fixture,
        object,
        health,
        says,
    }
}

/// Nobody has looked at them yet.
const NEW: [Case; 3] = [
    case("config-new", "csc/steady", "Progressing", "waiting"),
    case("station-new", "chst/steady", "Progressing", "waiting"),
    case("catalogue-new", "kcat/sound", "Progressing", "waiting"),
];

/// With an operator and stations.
const SETTLED: [Case; 17] = [
    case(
        "config-in-sync",
        "csc/steady",
        "Healthy",
        "all that may be done now is done",
    ),
    case(
        "station-in-sync",
        "chst/steady",
        "Healthy",
        "all that may be done now is done",
    ),
    case("config-offline", "csc/away", "Healthy", "1 offline"),
    case("station-offline", "chst/away", "Healthy", "not in sync"),
    case(
        "config-reset-pending",
        "csc/booting",
        "Healthy",
        "1 waiting for a boot",
    ),
    case(
        "station-reset-pending",
        "chst/booting",
        "Healthy",
        "MeterValueSampleInterval",
    ),
    case("config-drifted", "csc/watched", "Healthy", "1 drifted"),
    case(
        "station-drifted",
        "chst/watched",
        "Healthy",
        "MeterValueSampleInterval",
    ),
    case("config-invalid", "csc/mistaken", "Degraded", "whole number"),
    case(
        "station-invalid",
        "chst/mistaken",
        "Degraded",
        "whole number",
    ),
    case(
        "station-no-authentication",
        "chst/open",
        "Degraded",
        "secretRef",
    ),
    case("config-suspended", "csc/resting", "Suspended", "resumes"),
    case("station-suspended", "chst/resting", "Suspended", "resumes"),
    case("config-reading", "csc/silent", "Progressing", "1 station"),
    case("station-reading", "chst/silent", "Progressing", "1 key"),
    case("catalogue-in-force", "kcat/sound", "Healthy", "in force"),
    case("catalogue-invalid", "kcat/mistaken", "Degraded", "pattern"),
];

/// Changed, and nobody has looked at the change yet.
const CHANGED: [Case; 1] = [case(
    "config-changed",
    "csc/steady",
    "Progressing",
    "change",
)];

fn chargestation(name: &str, more: &Value) -> Value {
    let mut spec = json!({"identity": name.to_uppercase(), "authentication": {"none": true}});
    merge(&mut spec, more);
    object("ChargeStation", name, spec)
}

fn config(name: &str, value: &str, more: &Value) -> Value {
    let mut spec = json!({
        "stations": {"names": [name]}, "mode": "Enforce", "settings": [{"key": KEY, "value": value}],
    });
    merge(&mut spec, more);
    object("ChargeStationConfig", name, spec)
}

/// A catalogue of one key; what is wrong with a pattern only the operator sees.
fn catalogue(name: &str, pattern: &str) -> Value {
    let spec = json!({
        "vendor": "Volta", "match": [{"vendor": "Volta*"}],
        "sources": {"manual": {"publisher": "Volta", "title": "Installer's manual"}}, "source": "manual section 4",
        "keys": [{"key": format!("Volta{name}"), "type": "String", "pattern": pattern}],
    });
    object("KeyCatalogue", name, spec)
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "stationkeeper.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    })
}

fn merge(spec: &mut Value, more: &Value) {
    for (field, value) in more.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
}

fn objects() -> Vec<Value> {
    let plain = json!({});
    let mut objects: Vec<Value> = ["steady", "away", "booting", "silent"]
        .iter()
        .flat_map(|name| [chargestation(name, &plain), config(name, "900", &plain)])
        .collect();
    let mut open = chargestation("open", &plain);
    if let Some(spec) = open["spec"].as_object_mut() {
        spec.remove("authentication");
    }
    objects.extend([
        chargestation("watched", &plain),
        config("watched", "900", &json!({"mode": "Report"})),
        chargestation("mistaken", &plain),
        config("mistaken", "often", &plain),
        chargestation("resting", &json!({"suspend": true})),
        config("resting", "900", &json!({"suspend": true})),
        catalogue("sound", "^[A-Z]+$"),
        catalogue("mistaken", "("),
        open,
    ]);
    objects
}

fn stations(operator: &Operator) -> Result<Vec<StationHandle>> {
    let fault = |text: &str| text.parse::<Fault>().map_err(anyhow::Error::new);
    Ok(vec![
        station(operator, "STEADY", &[]),
        station(
            operator,
            "BOOTING",
            &[fault("needs-reset:MeterValueSampleInterval")?],
        ),
        station(operator, "SILENT", &[fault("silent-sometimes:100")?]),
        station(operator, "WATCHED", &[]),
        station(operator, "MISTAKEN", &[]),
        station(operator, "RESTING", &[]),
    ])
}

fn path(fixture: &str) -> PathBuf {
    workspace().join(format!("examples/gitops/argocd/fixtures/{fixture}.yaml"))
}

/// The object without what is of this run only.
fn fixture_of(mut object: Value, namespace: &str) -> Result<Value> {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in [
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "managedFields",
        ] {
            metadata.remove(field);
        }
    }
    let text = object.to_string().replace(namespace, "harbour");
    serde_json::from_str(&text).context("an object is no JSON")
}

/// What a health check looks at.
fn conditions(object: &Value) -> BTreeMap<String, (String, String)> {
    let rows = object["status"]["conditions"].as_array();
    rows.into_iter()
        .flatten()
        .map(|row| {
            let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
            (text("type"), (text("status"), text("reason")))
        })
        .collect()
}

async fn looks(scripts: &Scripts, case: &Case, object: &Value) -> Result<()> {
    let health = scripts.health(object).await?;
    ensure!(
        health.status == case.health && health.message.contains(case.says),
        "{} should be {} and say {:?}, and is {health:?}: {}",
        case.fixture,
        case.health,
        case.says,
        object["status"]
    );
    Ok(())
}

/// Waits until an object is in its state, and holds its fixture to it.
async fn meets(cluster: &Cluster, scripts: &Scripts, case: &Case) -> Result<()> {
    let update = std::env::var_os("UPDATE").is_some();
    let file = path(case.fixture);
    let written: Option<Value> = match fs::read_to_string(&file) {
        Ok(text) if !update => Some(serde_yaml::from_str(&text)?),
        Ok(_) | Err(_) => None,
    };
    let object = eventually(LIMIT, async || {
        let object = fixture_of(cluster.get(case.object).await?, &cluster.namespace)?;
        looks(scripts, case, &object).await?;
        if let Some(written) = &written {
            ensure!(
                conditions(written) == conditions(&object),
                "{} is not what the operator writes; make it anew with UPDATE=1: {}",
                file.display(),
                object["status"]
            );
        }
        Ok(object)
    })
    .await?;
    if update {
        let text = serde_yaml::to_string(&object).context("failed to write YAML")?;
        fs::write(&file, text).context("failed to write a fixture")?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn argo_cd_shows_the_truth_about_what_the_operator_writes() -> Result<()> {
    let scripts = Scripts::read()?;
    let cluster = Cluster::new("health").await?;
    cluster.apply(&objects()).await?;
    for case in &NEW {
        meets(&cluster, &scripts, case).await?;
    }
    let mut operator = cluster.operator().await?;
    let live = stations(&operator)?;
    for case in &SETTLED {
        meets(&cluster, &scripts, case).await?;
    }
    drop(live);
    operator.terminate(LIMIT).await?;
    let changed = config("steady", "300", &json!({}));
    cluster.apply(&[changed]).await?;
    for case in &CHANGED {
        meets(&cluster, &scripts, case).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn argo_cd_shows_each_fixture_as_it_should() -> Result<()> {
    let scripts = Scripts::read()?;
    let mut known = Vec::new();
    for case in NEW.iter().chain(&SETTLED).chain(&CHANGED) {
        let text = fs::read_to_string(path(case.fixture))
            .with_context(|| format!("there is no fixture {:?}", case.fixture))?;
        let object: Value = serde_yaml::from_str(&text)?;
        looks(&scripts, case, &object).await?;
        known.push(path(case.fixture));
    }
    for entry in fs::read_dir(path("any").parent().context("fixtures lie in a folder")?)? {
        let file = entry?.path();
        ensure!(known.contains(&file), "{} is no case", file.display());
    }
    Ok(())
}

#[test]
fn one_script_tells_the_health_of_all_kinds() -> Result<()> {
    let scripts = Scripts::read()?;
    let kinds = ["ChargeStationConfig", "ChargeStation", "KeyCatalogue"];
    let [first, others @ ..] = &kinds;
    for other in others {
        if scripts.health_script(other)? != scripts.health_script(first)? {
            bail!("the scripts of {first} and {other} differ");
        }
    }
    Ok(())
}

/// The tools' own definitions are not here; that our manifests say what the README promises is.
#[test]
fn the_manifests_for_argo_cd_and_flux_wait_for_what_they_say() -> Result<()> {
    let read = |file: &str| -> Result<Vec<Value>> {
        let text = fs::read_to_string(workspace().join("examples/gitops").join(file))?;
        text.split("\n---\n")
            .map(|document| serde_yaml::from_str(document).context(file.to_owned()))
            .collect()
    };
    let fleet = read("flux/fleet.yaml")?;
    let kustomizations: Vec<&Value> = fleet
        .iter()
        .filter(|object| object["kind"] == "Kustomization")
        .collect();
    ensure!(kustomizations.len() == 2);
    for object in &kustomizations {
        ensure!(object["spec"]["wait"] == true, "{object}");
    }
    let first = &kustomizations[0]["metadata"]["name"];
    ensure!(kustomizations[1]["spec"]["dependsOn"][0]["name"] == *first);
    let operator = read("flux/operator.yaml")?;
    ensure!(operator[0]["kind"] == operator[1]["spec"]["chartRef"]["kind"]);
    ensure!(operator[0]["metadata"]["name"] == operator[1]["spec"]["chartRef"]["name"]);

    let wave = |object: &Value| -> Option<i32> {
        let wave = &object["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"];
        wave.as_str()?.parse().ok()
    };
    let applications = read("argocd/applications.yaml")?;
    ensure!(wave(&applications[0]) < wave(&applications[1]));
    let (stations, configs) = (read("fleet/stations.yaml")?, read("fleet/configs.yaml")?);
    ensure!(wave(&stations[0]).is_some() && wave(&stations[1]) < wave(&configs[0]));
    Ok(())
}
