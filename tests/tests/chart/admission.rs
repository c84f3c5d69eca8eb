//! The admission samples, tried with kubectl against a real server: what is allowed, what is denied, and in which words.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use stationkeeper_tests::{ApiServer, LIMIT, Ran, eventually};

/// A server with our CRDs and one of the samples, and two namespaces, one of which is labelled.
async fn with_sample(name: &str) -> Result<ApiServer> {
    let server = ApiServer::own().await?;
    server.install_crds().await?;
    for arguments in [
        &["create", "namespace", "street"][..],
        &["create", "namespace", "workshop"],
        &[
            "label",
            "namespace",
            "workshop",
            "stationkeeper.dev/consent=allowed",
        ],
    ] {
        server.kubectl(arguments).await?.success()?;
    }
    // It was there before the policy, and keeps what it had.
    allowed(&server, "street", &config("older", &[], &["Unknown"])).await?;
    let sample = format!("examples/admission/{name}.yaml");
    let ran = server
        .kubectl(&["apply", "--server-side", "--filename", &sample])
        .await?;
    ensure!(ran.stderr.is_empty(), "{}", ran.stderr);
    ran.success()?;
    Ok(server)
}

fn config(name: &str, settings: &[Value], consent: &[&str]) -> Value {
    json!({
        "apiVersion": "stationkeeper.dev/v1alpha1", "kind": "ChargeStationConfig", "metadata": {"name": name},
        "spec": {"stations": {"selector": {}}, "settings": settings, "consent": consent},
    })
}

fn plain(key: &str) -> Value {
    json!({"key": key, "value": "hunter2"})
}

fn from_secret(key: &str) -> Value {
    json!({"key": key, "valueFrom": {"secretKeyRef": {"name": "wifi", "key": "password"}}})
}

async fn apply(server: &ApiServer, namespace: &str, object: &Value, flags: &[&str]) -> Result<Ran> {
    let apply = [
        "apply",
        "--server-side",
        "--namespace",
        namespace,
        "--filename",
        "-",
    ];
    server
        .kubectl_with(&[&apply[..], flags].concat(), &object.to_string())
        .await
}

/// It is allowed.
async fn allowed(server: &ApiServer, namespace: &str, object: &Value) -> Result<String> {
    apply(server, namespace, object, &[]).await?.success()
}

/// It is denied in these words. Until a new policy is in force nothing is, so nothing is made by asking.
async fn denied(server: &ApiServer, namespace: &str, object: &Value, words: &str) -> Result<()> {
    eventually(LIMIT, async || {
        let ran = apply(server, namespace, object, &["--dry-run=server"]).await?;
        let said = ran.refusal()?;
        ensure!(said.contains(words), "{said}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_a_manifest_is_denied_and_a_reference_is_allowed() -> Result<()> {
    let server = with_sample("secrets-by-reference").await?;
    let words = "write no secret in a manifest: give WLANPassword with valueFrom.secretKeyRef";
    denied(
        &server,
        "street",
        &config("a", &[plain("WLANPassword")], &[]),
        words,
    )
    .await?;
    for key in [
        "apn_password",
        "AdminPassphrase",
        "OAuthToken",
        "WebPrivateKey",
        "WifiPSK",
    ] {
        denied(
            &server,
            "street",
            &config("a", &[plain(key)], &[]),
            &format!("give {key} with"),
        )
        .await?;
    }
    let two = config(
        "a",
        &[
            plain("APNPassword"),
            plain("HeartbeatInterval"),
            plain("WLANPassword"),
        ],
        &[],
    );
    denied(
        &server,
        "street",
        &two,
        "give APNPassword, WLANPassword with",
    )
    .await?;
    let fine = [
        plain("HeartbeatInterval"),
        from_secret("WLANPassword"),
        plain("WLANSSID"),
    ];
    allowed(&server, "street", &config("a", &fine, &[])).await?;
    // An update is looked at too.
    denied(
        &server,
        "street",
        &config("a", &[plain("WLANPassword")], &[]),
        "give WLANPassword",
    )
    .await?;
    allowed(&server, "street", &config("none", &[], &[])).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_is_denied_outside_of_the_namespaces_that_may_give_it() -> Result<()> {
    let server = with_sample("consent-by-namespace").await?;
    let hazards = ["ConnectionCritical", "Unknown"];
    let words = "consent to ConnectionCritical, Unknown may not be given in namespace street: leave it out, or ask for the \
                 label stationkeeper.dev/consent=allowed";
    denied(&server, "street", &config("a", &[], &hazards), words).await?;
    allowed(&server, "street", &config("a", &[], &[])).await?;
    denied(
        &server,
        "street",
        &config("a", &[], &["Irreversible"]),
        "consent to Irreversible may not",
    )
    .await?;
    allowed(&server, "workshop", &config("a", &[], &hazards)).await?;
    // What was there before may stay, and shrink, and not grow.
    let setting = [json!({"key": "HeartbeatInterval", "value": "300"})];
    allowed(&server, "street", &config("older", &setting, &["Unknown"])).await?;
    denied(
        &server,
        "street",
        &config("older", &setting, &hazards),
        "consent to ConnectionCritical may not",
    )
    .await?;
    allowed(&server, "street", &config("older", &setting, &[])).await?;
    denied(
        &server,
        "street",
        &config("older", &setting, &["Unknown"]),
        "consent to Unknown may not",
    )
    .await
}
