//! The plain manifests: rendered from the chart, built by kustomize, taken by a real server.

use std::process::Command;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;
use stationkeeper_tests::{ApiServer, Ran};
use xtask::tools::Tools;

use crate::helm::{CHART, Helm, NAMESPACE, objects, of_kind, the};

/// The plain manifests, from the root of the work tree.
const FOLDER: &str = "charts/plain";

/// Applies them, as their first line says.
const APPLY: [&str; 4] = [
    "apply",
    "--server-side",
    "--filename",
    "charts/plain/install.yaml",
];

/// What stands above the rendered objects.
const HEAD: &str = "\
# Stationkeeper with the default values of its Helm chart: kubectl apply --server-side -f install.yaml
# Generated: `UPDATE=1 cargo test -p stationkeeper-tests --test chart up_to_date`.
apiVersion: v1
kind: Namespace
metadata:
  name: stationkeeper-system
  labels:
    app.kubernetes.io/part-of: stationkeeper
    pod-security.kubernetes.io/enforce: restricted
---
";

/// The chart as plain manifests: without what only Helm reads.
async fn rendered() -> Result<String> {
    let values = ["--set=crds.keep=false,test.enabled=false"];
    let text = Helm::Four.template(&values).await?;
    let of_helm = |line: &&str| {
        let line = line.trim_start();
        line.is_empty()
            || line.starts_with("# Source:")
            || line.starts_with("helm.sh/chart:")
            || line == "app.kubernetes.io/managed-by: Helm"
    };
    let lines: Vec<&str> = text.lines().filter(|line| !of_helm(line)).collect();
    let body = lines.join("\n");
    Ok(format!("{HEAD}{}\n", body.trim_start_matches("---\n")))
}

async fn kustomize(folder: &std::path::Path) -> Result<Vec<Value>> {
    let tools = Tools::require().map_err(|failure| anyhow!(failure))?;
    let mut command = Command::new(tools.kubectl);
    command
        .arg("kustomize")
        .arg(folder)
        .args(["--load-restrictor", "LoadRestrictionsNone"]);
    command.current_dir(xtask::cargo::workspace());
    objects(&Ran::run(command, "").await?.success()?)
}

#[tokio::test]
async fn the_plain_manifests_are_up_to_date() -> Result<()> {
    let file = xtask::cargo::workspace().join(FOLDER).join("install.yaml");
    let fresh = rendered().await?;
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &fresh)?;
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    ensure!(
        kept == fresh,
        "{FOLDER}/install.yaml is stale: run `UPDATE=1 cargo test -p stationkeeper-tests --test chart up_to_date` and commit the change"
    );
    Ok(())
}

#[tokio::test]
async fn the_plain_manifests_hold_what_the_chart_renders() -> Result<()> {
    let mut found = objects(&std::fs::read_to_string(
        xtask::cargo::workspace().join(FOLDER).join("install.yaml"),
    )?)?;
    let mut expected = Helm::Three
        .objects(&["--set=crds.keep=false,test.enabled=false"])
        .await?;
    found.retain(|object| object["kind"] != "Namespace");
    for objects in [&mut found, &mut expected] {
        objects.sort_by_key(|object| format!("{} {}", object["kind"], object["metadata"]["name"]));
    }
    for object in &mut expected {
        if let Some(labels) = object["metadata"]["labels"].as_object_mut() {
            labels.retain(|name, value| name != "helm.sh/chart" && *value != "Helm");
        }
    }
    ensure!(found == expected, "something was lost on the way");
    Ok(())
}

#[tokio::test]
async fn kustomize_builds_the_base_and_an_overlay_of_it() -> Result<()> {
    let base = xtask::cargo::workspace().join(FOLDER);
    let built = kustomize(&base).await?;
    ensure!(the(&built, "Namespace", NAMESPACE).is_ok(), "no namespace");

    let overlay = tempfile::tempdir_in(xtask::cargo::target_folder())?;
    let relative = pathdiff(overlay.path(), &base)?;
    let kustomization = format!(
        "resources: [{relative}]\nnamespace: charging\nreplicas: [{{name: stationkeeper, count: 2}}]\n\
         images: [{{name: ghcr.io/stationkeeper/stationkeeper, newName: registry.example.com/keeper, newTag: edge}}]\n"
    );
    std::fs::write(overlay.path().join("kustomization.yaml"), kustomization)?;
    let built = kustomize(overlay.path()).await?;
    let deployment = the(&built, "Deployment", "stationkeeper")?;
    ensure!(
        deployment["metadata"]["namespace"] == "charging",
        "{deployment}"
    );
    ensure!(deployment["spec"]["replicas"] == 2, "{deployment}");
    let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
    ensure!(image == "registry.example.com/keeper:edge", "{image}");
    for binding in of_kind(&built, "ClusterRoleBinding") {
        ensure!(
            binding["subjects"][0]["namespace"] == "charging",
            "{binding}"
        );
    }
    // What kustomize cannot see must not name the namespace.
    let policy = the(&built, "ValidatingAdmissionPolicy", "-pods")?["spec"].to_string();
    ensure!(!policy.contains(NAMESPACE), "{policy}");
    Ok(())
}

/// The way from a folder to another one.
fn pathdiff(from: &std::path::Path, to: &std::path::Path) -> Result<String> {
    let from = from.canonicalize()?;
    let to = to.canonicalize()?;
    let up = "../".repeat(from.components().count().saturating_sub(1));
    let down = to
        .to_str()
        .context("a path is not text")?
        .trim_start_matches('/');
    Ok(format!("{up}{down}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_takes_the_plain_manifests_and_a_second_time_changes_nothing() -> Result<()> {
    let server = ApiServer::own().await?;
    for _ in 0..2 {
        let ran = server.kubectl(&APPLY).await?;
        ensure!(ran.stderr.is_empty(), "{}", ran.stderr);
        ran.success()?;
    }
    let get = ["get", "deployment/stationkeeper", "--namespace", NAMESPACE];
    let generation = [&get[..], &["--output=jsonpath={.metadata.generation}"]].concat();
    let generation = server.kubectl(&generation).await?.success()?;
    ensure!(generation == "1", "{generation}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_helms_take_over_what_the_plain_manifests_made() -> Result<()> {
    let server = ApiServer::own().await?;
    let place = ["--namespace", NAMESPACE];
    for helm in Helm::ALL {
        server.kubectl(&APPLY).await?.success()?;
        let install = ["install", "stationkeeper", CHART, "--take-ownership"];
        let installed = helm.at(&server, &[&install[..], &place].concat()).await?;
        installed
            .success()
            .with_context(|| format!("{helm:?} does not take over"))?;
        let uninstall = ["uninstall", "stationkeeper", "--wait"];
        helm.at(&server, &[&uninstall[..], &place].concat())
            .await?
            .success()?;
    }
    Ok(())
}
