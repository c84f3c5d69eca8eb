//! Everything that the chart renders is taken by a real API server, field by field.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use stationkeeper_tests::{ApiServer, LIMIT, TIMEOUT, eventually};

use crate::helm::{Helm, NAMESPACE, values_files};

/// Kinds of others that the chart makes objects of. Their own schemas are not here: these take any.
const OF_OTHERS: [(&str, &str, &str); 4] = [
    ("monitoring.coreos.com", "ServiceMonitor", "servicemonitors"),
    ("monitoring.coreos.com", "PodMonitor", "podmonitors"),
    ("monitoring.coreos.com", "PrometheusRule", "prometheusrules"),
    ("cert-manager.io", "Certificate", "certificates"),
];

fn definition((group, kind, plural): (&str, &str, &str)) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}"), "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"}},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

#[tokio::test]
async fn a_real_server_takes_all_objects_of_every_values_file() -> Result<()> {
    let server = ApiServer::shared().await?;
    for namespace in [NAMESPACE, "north", "south"] {
        // Pods that are not restricted are refused, and a warning is told for what would make such Pods.
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": namespace, "labels": {
                "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted",
            }},
        });
        let apply = ["apply", "--filename", "-"];
        server
            .kubectl_with(&apply, &namespace.to_string())
            .await?
            .success()?;
    }
    let definitions = OF_OTHERS
        .map(|kind| definition(kind).to_string())
        .join("\n---\n");
    server
        .kubectl_with(&["apply", "--filename", "-"], &definitions)
        .await?
        .success()?;
    for (group, _, plural) in OF_OTHERS {
        let crd = format!("crd/{plural}.{group}");
        server
            .kubectl(&["wait", "--for=condition=Established", TIMEOUT, &crd])
            .await?
            .success()?;
        // What is established is served some moments later.
        let get = ["get", &format!("{plural}.{group}"), "--namespace=default"];
        eventually(LIMIT, async || server.kubectl(&get).await?.success()).await?;
    }
    let dry = [
        "apply",
        "--server-side",
        "--dry-run=server",
        "--validate=strict",
        "--filename",
        "-",
    ];
    for values in values_files()? {
        for helm in Helm::ALL {
            let text = helm.template(&["--values", &values]).await?;
            let ran = server.kubectl_with(&dry, &text).await?;
            // Warnings too.
            ensure!(ran.stderr.is_empty(), "{helm:?} {values}: {}", ran.stderr);
            ran.success()?;
        }
    }
    Ok(())
}
