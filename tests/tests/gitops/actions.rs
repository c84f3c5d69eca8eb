//! Argo CD's resource actions: each changes what it says and nothing else, and the operator does what was asked.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use stationkeeper_simulator::FaultKind;
use stationkeeper_tests::eventually;

use crate::cluster::{Cluster, LIMIT, station};
use crate::lua::Scripts;

fn objects() -> [Value; 2] {
    let head = |kind: &str| json!({"apiVersion": "stationkeeper.dev/v1alpha1", "kind": kind, "metadata": {"name": "one"}});
    let mut station = head("ChargeStation");
    station["spec"] = json!({"identity": "ONE", "authentication": {"none": true}});
    let mut config = head("ChargeStationConfig");
    config["spec"] = json!({
        "stations": {"names": ["one"]}, "mode": "Enforce",
        "settings": [{"key": "MeterValueSampleInterval", "value": "900"}],
    });
    [station, config]
}

/// Chooses an action, as a person does in Argo CD's page.
async fn choose(cluster: &Cluster, scripts: &Scripts, action: &str, object: &str) -> Result<()> {
    eventually(LIMIT, async || {
        let before = cluster.get(object).await?;
        let offered = scripts.offered(&before).await?;
        ensure!(
            offered.get(action) == Some(&true),
            "{action} of {object} cannot be chosen: {offered:?}"
        );
        let after = scripts.act(action, &before).await?;
        let replaced = cluster
            .kubectl_with(&["replace", "--filename", "-"], &after.to_string())
            .await;
        // Somebody else may have written in between, the operator above all: then it is chosen again.
        replaced.map(drop)
    })
    .await
}

async fn becomes(cluster: &Cluster, scripts: &Scripts, object: &str, health: &str) -> Result<()> {
    eventually(LIMIT, async || {
        let now = scripts.health(&cluster.get(object).await?).await?;
        ensure!(now.status == health, "{object} is {now:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_of_argo_cd_do_what_they_say() -> Result<()> {
    let scripts = Scripts::read()?;
    let cluster = Cluster::new("actions").await?;
    cluster.apply(&objects()).await?;
    // It looks at the station often, so that it sees how its value is put back.
    let mut operator = cluster.launch()?.arguments(["--resync=2s"]).start()?;
    operator.wait_until_ready(LIMIT).await?;
    let live = station(&operator, "ONE", &[]);
    for object in ["csc/one", "chst/one"] {
        becomes(&cluster, &scripts, object, "Healthy").await?;
        choose(&cluster, &scripts, "suspend", object).await?;
        becomes(&cluster, &scripts, object, "Suspended").await?;
        choose(&cluster, &scripts, "resume", object).await?;
        becomes(&cluster, &scripts, object, "Healthy").await?;
        choose(&cluster, &scripts, "reconcile", object).await?;
        eventually(LIMIT, async || {
            let object = cluster.get(object).await?;
            let asked = &object["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"];
            ensure!(asked.is_string(), "it was not asked: {object}");
            ensure!(
                object["status"]["lastHandledReconcileAt"] == *asked,
                "{object}"
            );
            Ok(())
        })
        .await?;
    }

    // Somebody else puts another value back, until the operator gives the key up; then it may be tried again.
    live.set_fault("contested:MeterValueSampleInterval=60".parse()?);
    live.set_key("MeterValueSampleInterval", "60");
    eventually(LIMIT, async || {
        let object = cluster.get("chst/one").await?;
        let state = &object["status"]["deviations"][0]["state"];
        ensure!(state == "Contested", "it is {state}");
        Ok(())
    })
    .await?;
    live.clear_fault(FaultKind::Contested);
    choose(&cluster, &scripts, "try-again", "chst/one").await?;
    eventually(LIMIT, async || {
        let value = live.value("MeterValueSampleInterval");
        ensure!(value.as_deref() == Some("900"), "it is {value:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_changes_one_field_only() -> Result<()> {
    let scripts = Scripts::read()?;
    let [mut station, config] = objects();
    station["status"] = json!({
        "observedGeneration": 1,
        "deviations": [{"key": "WebSocketPingInterval", "state": "Failed"}],
        "pendingReset": {"id": "a1b2", "keys": ["X"], "waitingFor": ["approval"]},
    });
    let at = |path: &str| format!("/metadata/annotations{path}");
    for (object, action, field) in [
        (&config, "suspend", "/spec/suspend".to_owned()),
        (
            &station,
            "reconcile",
            at("/reconcile.fluxcd.io~1requestedAt"),
        ),
        (&station, "try-again", at("/stationkeeper.dev~1resume")),
        (
            &station,
            "approve-reset",
            at("/stationkeeper.dev~1approve-reset"),
        ),
    ] {
        let mut after = scripts.act(action, object).await?;
        let set = after
            .pointer(&field)
            .with_context(|| format!("{action} leaves no {field}"))?
            .clone();
        match action {
            "suspend" => ensure!(set == true, "{set}"),
            "approve-reset" => ensure!(set == "a1b2", "{set}"),
            // A time, in UTC and to the second.
            _ => {
                let time = set.as_str().unwrap_or_default();
                let parsed: jiff::Timestamp = time.parse()?;
                ensure!(parsed.to_string() == time, "{time}");
            }
        }
        // Without it, the object is what it was.
        if let Some(metadata) = after["metadata"].as_object_mut() {
            metadata.remove("annotations");
        }
        if action == "suspend"
            && let Some(spec) = after["spec"].as_object_mut()
        {
            spec.remove("suspend");
        }
        ensure!(after == *object, "{action} changes more: {after:#}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_would_do_nothing_cannot_be_chosen() -> Result<()> {
    let scripts = Scripts::read()?;
    let [mut station, mut config] = objects();
    let offered = |pairs: &[(&str, bool)]| -> BTreeMap<String, bool> {
        pairs
            .iter()
            .map(|(name, can)| ((*name).to_owned(), *can))
            .collect()
    };
    let plain = [("reconcile", true), ("suspend", true), ("resume", false)];
    ensure!(scripts.offered(&config).await? == offered(&plain));
    config["spec"]["suspend"] = true.into();
    let suspended = [("reconcile", true), ("suspend", false), ("resume", true)];
    ensure!(scripts.offered(&config).await? == offered(&suspended));

    // A boot is waited for, and nobody is asked: this version sends no Reset that could be approved.
    station["status"] = json!({
        "deviations": [{"key": "X", "state": "ResetPending"}],
        "pendingReset": {"id": "a1b2", "keys": ["X"], "waitingFor": ["a boot of the station"]},
    });
    let waits = [("try-again", false), ("approve-reset", false)];
    let expected = offered(&[plain.as_slice(), &waits].concat());
    ensure!(scripts.offered(&station).await? == expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_patch_leaves_argo_cds_other_settings_alone() -> Result<()> {
    let cluster = Cluster::new("argocd").await?;
    let create = [
        "create",
        "configmap",
        "argocd-cm",
        "--from-literal=url=https://argocd.example.com",
    ];
    cluster.kubectl(&create).await?;
    let file = "examples/gitops/argocd/argocd-cm.yaml";
    let text = std::fs::read_to_string(xtask::cargo::workspace().join(file))?;
    let patch = text.replace(
        "namespace: argocd\n",
        &format!("namespace: {}\n", cluster.namespace),
    );
    cluster
        .kubectl(&["patch", "configmap", "argocd-cm", "--patch", &patch])
        .await?;
    let map = cluster.get("configmap/argocd-cm").await?;
    let data = map["data"].as_object().context("no data")?;
    ensure!(data["url"] == "https://argocd.example.com");
    ensure!(data.len() == 6, "{:?}", data.keys());
    Ok(())
}
