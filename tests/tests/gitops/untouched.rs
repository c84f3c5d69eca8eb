//! What Git owns stays as Git has it, so that no tool sees drift of our making.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use stationkeeper_tests::{ApiServer, TIMEOUT, eventually};

use crate::cluster::{Cluster, LIMIT, station};

const FLEET: &str = "examples/gitops/fleet";
const OBJECTS: [&str; 3] = ["chst/pier-1", "chst/pier-2", "csc/pier"];
const GIT: &str = "--field-manager=gitops";

/// What a GitOps tool compares: the spec, and of the metadata what it or anybody may declare.
fn of_git(object: &Value) -> Value {
    let metadata = &object["metadata"];
    json!({
        "spec": object["spec"], "labels": metadata["labels"], "annotations": metadata["annotations"],
        "generation": metadata["generation"], "finalizers": metadata["finalizers"],
        "ownerReferences": metadata["ownerReferences"],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn reconciling_never_changes_what_git_owns() -> Result<()> {
    let server = ApiServer::shared().await?;
    server
        .kubectl(&["create", "namespace", "pier"])
        .await?
        .success()?;
    let cluster = Cluster::in_namespace(server, "pier".to_owned()).await?;
    let apply = ["apply", "--server-side", GIT, "--kustomize", FLEET];
    cluster.kubectl(&apply).await?;
    let mut before = Vec::new();
    for object in OBJECTS {
        before.push(of_git(&cluster.get(object).await?));
    }

    // Everything that makes the operator write: a first pass, drift that is mended, a boot, a change of the firmware.
    let operator = cluster.operator().await?;
    let live = [
        station(&operator, "PIER-1", &[]),
        station(&operator, "PIER-2", &[]),
    ];
    let in_sync = ["wait", "--for=condition=InSync", "csc/pier", TIMEOUT];
    cluster.kubectl(&in_sync).await?;
    ensure!(live[0].set_key("MeterValueSampleInterval", "60"));
    live[0].reboot(stationkeeper_simulator::BootReason::PowerLoss);
    live[1].update_firmware("9.9", &["LocalPreAuthorize"]);
    for station in &live {
        eventually(LIMIT, async || {
            let holds = |key: &str, value: &str| station.value(key).as_deref() == Some(value);
            ensure!(
                holds("MeterValueSampleInterval", "900") && holds("LocalPreAuthorize", "true"),
                "not mended yet: {:?}",
                station.keys()
            );
            Ok(())
        })
        .await?;
    }
    eventually(LIMIT, async || {
        let status = &cluster.get("chst/pier-2").await?["status"];
        ensure!(status["hardware"]["firmware"] == "9.9", "{status}");
        ensure!(status["keys"]["inSync"] == 2, "{status}");
        Ok(())
    })
    .await?;
    cluster.kubectl(&in_sync).await?;

    for (object, before) in OBJECTS.iter().zip(&before) {
        let after = cluster.get(object).await?;
        ensure!(
            of_git(&after) == *before,
            "{object}: {after:#}\nwas {before:#}"
        );
        let managed = after["metadata"]["managedFields"].as_array();
        let ours: Vec<&Value> = managed
            .into_iter()
            .flatten()
            .filter(|entry| entry["manager"] != "gitops")
            .collect();
        ensure!(
            !ours.is_empty(),
            "{object} has no status of ours: {after:#}"
        );
        for entry in ours {
            ensure!(entry["manager"] == "stationkeeper", "{object}: {entry}");
            ensure!(entry["subresource"] == "status", "{object}: {entry}");
            let fields = entry["fieldsV1"].as_object().context("no fields")?;
            ensure!(
                fields.keys().eq(["f:status"]),
                "{object}: fields other than status are ours: {entry:#}"
            );
        }
    }

    // No tool sees drift, and applying again changes nothing.
    let diff = ["diff", "--server-side", GIT, "--kustomize", FLEET];
    let diff = cluster.server.kubectl(&diff).await?;
    ensure!(diff.code == Some(0), "kubectl diff: {diff:?}");
    let version = async |object: &str| {
        let object = cluster.get(object).await?;
        anyhow::Ok(object["metadata"]["generation"].clone())
    };
    let generation = version("csc/pier").await?;
    cluster.kubectl(&apply).await?;
    ensure!(version("csc/pier").await? == generation);
    for (object, before) in OBJECTS.iter().zip(&before) {
        ensure!(of_git(&cluster.get(object).await?) == *before, "{object}");
    }
    Ok(())
}
