//! Stands in for the deployment controller and the kubelet, which are not here: says of a Deployment that it runs.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use stationkeeper_tests::{ApiServer, LIMIT, eventually};

/// Waits for the Deployment, and writes the status that its controller would once all Pods are ready. Helm 3 also looks
/// for the ReplicaSet.
pub(crate) async fn pretend(
    server: &ApiServer,
    namespace: &str,
    name: &str,
    replicas: u64,
) -> Result<()> {
    let deployment = eventually(LIMIT, async || {
        let get = [
            "get",
            "deployment",
            name,
            "--namespace",
            namespace,
            "--output=json",
        ];
        let text = server.kubectl(&get).await?.success()?;
        let deployment: Value = serde_json::from_str(&text)?;
        anyhow::ensure!(
            deployment["spec"]["replicas"] == replicas,
            "{}",
            deployment["spec"]["replicas"]
        );
        Ok(deployment)
    })
    .await?;
    let metadata = &deployment["metadata"];
    let mut template = deployment["spec"]["template"].clone();
    let hash = format!("g{}", metadata["generation"]);
    let labels = template["metadata"]["labels"]
        .as_object_mut()
        .context("a template without labels")?;
    labels.insert("pod-template-hash".to_owned(), json!(hash));
    let labels = labels.clone();
    let set = format!("{name}-{hash}");
    let replica_set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": set, "namespace": namespace, "labels": labels,
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": metadata["uid"], "controller": true,
            }],
        },
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    });
    let apply = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--filename",
        "-",
    ];
    server
        .kubectl_with(&apply, &replica_set.to_string())
        .await?
        .success()?;
    let of_set = json!({"status": {"replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas, "observedGeneration": 1}});
    let of_deployment = json!({"status": {
        "observedGeneration": metadata["generation"], "replicas": replicas, "updatedReplicas": replicas,
        "readyReplicas": replicas, "availableReplicas": replicas,
        "conditions": [
            {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
            {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
        ],
    }});
    for (object, status) in [
        (format!("replicaset/{set}"), of_set),
        (format!("deployment/{name}"), of_deployment),
    ] {
        let patch = status.to_string();
        let patch = [
            "patch",
            &object,
            "--namespace",
            namespace,
            "--subresource=status",
            "--type=merge",
            "--patch",
            &patch,
        ];
        server.kubectl(&patch).await?.success()?;
    }
    Ok(())
}
