//! The harness itself: its parts are real, are there, and are gone afterwards.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt as _};
use stationkeeper_tests::{ApiServer, LIMIT, Process, eventually, link, seconds};

const CONFIG_MAP: &str =
    "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {colour: green}}";

#[tokio::test]
async fn kubectl_applies_a_manifest_to_the_real_server() -> Result<()> {
    let server = ApiServer::shared().await?;
    let namespace = server.namespace("apply").await?;
    let version = server.kubectl(&["version"]).await?.success()?;
    ensure!(version.contains("Server Version: v1.36"), "{version}");

    let apply = ["apply", "--namespace", &namespace, "--filename", "-"];
    let said = server.kubectl_with(&apply, CONFIG_MAP).await?.success()?;
    ensure!(said.trim() == "configmap/settings created", "{said}");

    let maps: Api<ConfigMap> = Api::namespaced(server.client().await?, &namespace);
    let data = maps.get("settings").await?.data.context("it has data")?;
    ensure!(data["colour"] == "green", "{data:?}");
    Ok(())
}

#[tokio::test]
async fn a_write_is_counted_and_a_read_is_not() -> Result<()> {
    let server = ApiServer::shared().await?;
    let namespace = server.namespace("count").await?;
    let apply = [
        "apply",
        "--server-side",
        "--namespace",
        &namespace,
        "--filename",
        "-",
    ];
    server.kubectl_with(&apply, CONFIG_MAP).await?.success()?;
    server
        .kubectl(&["get", "configmaps", "--namespace", &namespace])
        .await?
        .success()?;

    let writes = eventually(LIMIT, async || {
        let mut writes = server.writes()?;
        writes.retain(|write| write.namespace == namespace);
        ensure!(!writes.is_empty(), "no write yet");
        Ok(writes)
    })
    .await?;
    let [write] = writes.as_slice() else {
        anyhow::bail!("one write, not {writes:?}")
    };
    assert_eq!(
        (write.verb.as_str(), write.resource.as_str()),
        ("patch", "configmaps")
    );
    assert_eq!(
        (write.name.as_str(), write.user.as_str()),
        ("settings", "administrator")
    );
    Ok(())
}

#[tokio::test]
async fn rbac_refuses_what_no_role_allows() -> Result<()> {
    let server = ApiServer::shared().await?;
    let namespace = server.namespace("rbac").await?;
    server
        .kubectl(&[
            "create",
            "serviceaccount",
            "nobody",
            "--namespace",
            &namespace,
        ])
        .await?
        .success()?;
    let token = server
        .kubectl(&["create", "token", "nobody", "--namespace", &namespace])
        .await?
        .success()?;
    let kubeconfig = server.kubeconfig_with_token(token.trim())?;
    let client = stationkeeper_tests::api_server::client_from(&kubeconfig).await?;
    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let refusal = maps
        .list(&ListParams::default())
        .await
        .map(|list| list.items.len());
    ensure!(
        matches!(&refusal, Err(kube::Error::Api(status)) if status.code == 403),
        "{refusal:?}"
    );
    Ok(())
}

#[tokio::test]
async fn both_helms_run() -> Result<()> {
    let server = ApiServer::shared().await?;
    let newest = server
        .helm(&["list", "--all-namespaces"])
        .await?
        .success()?;
    ensure!(newest.contains("NAMESPACE"), "{newest}");
    let version = server.helm3(&["version", "--short"]).await?.success()?;
    ensure!(version.starts_with("v3."), "{version}");
    Ok(())
}

#[tokio::test]
async fn a_restarted_server_keeps_its_data_and_its_address_and_may_have_lost_its_history()
-> Result<()> {
    let mut server = ApiServer::own().await?;
    let namespace = server.namespace("restart").await?;
    let maps: Api<ConfigMap> = Api::namespaced(server.client().await?, &namespace);
    let map: ConfigMap =
        serde_json::from_value(serde_json::json!({"metadata": {"name": "settings"}}))?;
    let old = maps
        .create(&PostParams::default(), &map)
        .await?
        .resource_version()
        .context("it has a version")?;

    server.stop()?;
    ensure!(maps.get("settings").await.is_err(), "the server is down");
    server.start().await?;
    maps.get("settings")
        .await
        .context("the same client, after the restart")?;

    server.lose_history().await?;
    let mut watch = maps.watch(&WatchParams::default(), &old).await?.boxed();
    let event = tokio::time::timeout(LIMIT, watch.try_next()).await?;
    match event {
        Ok(Some(WatchEvent::Error(status))) => assert_eq!(status.code, 410),
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 410),
        other => anyhow::bail!("a watch from {old} should be gone: {other:?}"),
    }
    Ok(())
}

#[tokio::test]
async fn a_closed_link_cuts_a_client_off_and_an_open_one_lets_it_back() -> Result<()> {
    let server = ApiServer::shared().await?;
    let (link, kubeconfig) = server.link().await?;
    let client = stationkeeper_tests::api_server::client_from(&kubeconfig).await?;
    client
        .apiserver_version()
        .await
        .context("through the open link")?;
    link.set(link::Passage::Closed).await;
    ensure!(
        client.apiserver_version().await.is_err(),
        "the link is closed"
    );
    link.set(link::Passage::Open).await;
    eventually(LIMIT, async || Ok(client.apiserver_version().await?)).await?;
    Ok(())
}

/// Set for the copy of this test program that is killed in the next test.
const VICTIM: &str = "STATIONKEEPER_TESTS_VICTIM";

#[tokio::test]
async fn what_was_started_ends_with_a_killed_test_process() -> Result<()> {
    if std::env::var_os(VICTIM).is_some() {
        let mut sleeper = Command::new("sleep");
        sleeper.arg("1000");
        let mut sleeper = Process::start("sleep", sleeper)?;
        // Straight to the pipe: libtest holds back what is printed the usual way.
        std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("started {}\n", sleeper.id()).as_bytes(),
        )?;
        sleeper.exit(seconds(1000)).await?;
        return Ok(());
    }
    let mut victim = Command::new(std::env::current_exe()?);
    victim
        .args([
            "--exact",
            "what_was_started_ends_with_a_killed_test_process",
            "--nocapture",
        ])
        .env(VICTIM, "1");
    let mut victim = Process::start("victim", victim)?;
    let line = victim.wait_for_log("started ", LIMIT).await?;
    let id = line.trim_start_matches("started ").to_owned();
    // Whoever takes over what the victim left may be slow to bury it.
    let alive = || {
        std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    };
    ensure!(alive(), "{line}");
    victim.kill()?;
    eventually(LIMIT, async || {
        ensure!(!alive(), "process {id} is still there");
        Ok(())
    })
    .await
}
