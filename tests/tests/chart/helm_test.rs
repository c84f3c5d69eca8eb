//! `helm test`: the hook's Pod asks the operator, and Helm tells what came of it.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use stationkeeper_tests::operator::stationkeeper;
use stationkeeper_tests::{ApiServer, Operator, TIMEOUT, eventually};

use crate::helm::{Helm, NAMESPACE};
use crate::installed::{LIMIT, Release};

/// The Pod of the hook.
const POD: &str = "stationkeeper-test";

/// Stands in for the kubelet and the Services: runs what the hook's Pod would run, against an operator that answers or does not.
async fn run_the_pod(release: &Release<'_>, operator: &Operator, answers: bool) -> Result<()> {
    // Who answers is given time; for who does not, none need be lost.
    let within = if answers {
        "--within=120s"
    } else {
        "--within=1s"
    };
    let pod = eventually(LIMIT, async || {
        let pod = release
            .get(NAMESPACE, &["pod", POD, "--output=json"])
            .await?;
        Ok(serde_json::from_str::<Value>(&pod)?)
    })
    .await?;
    let container = &pod["spec"]["containers"][0];
    ensure!(
        container["command"].is_null(),
        "it runs something else: {container}"
    );
    let arguments = container["args"].as_array().context("no arguments")?;
    let (admin, gateway) = (operator.admin().to_string(), operator.gateway().to_string());
    let arguments: Vec<String> = arguments
        .iter()
        .filter_map(Value::as_str)
        .map(|argument| {
            argument
                .replace("stationkeeper-admin:9221", &admin)
                .replace("stationkeeper-gateway:9220", &gateway)
                .replace("--within=60s", within)
        })
        .collect();
    ensure!(
        arguments.iter().any(|argument| argument.contains(&admin))
            && arguments.iter().any(|argument| argument.contains(&gateway)),
        "the Services are not asked: {arguments:?}"
    );
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let phase = match stationkeeper(&arguments).await?.succeeded() {
        true => "Succeeded",
        false => "Failed",
    };
    let status = json!({"status": {"phase": phase}}).to_string();
    let patch = [
        "patch",
        "pod",
        POD,
        "--namespace",
        NAMESPACE,
        "--subresource=status",
        "--type=merge",
    ];
    release
        .server
        .kubectl(&[&patch[..], &["--patch", &status]].concat())
        .await?
        .success()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_test_succeeds_while_the_operator_answers_and_fails_once_it_does_not() -> Result<()> {
    let server = ApiServer::own().await?;
    let release = Release::install(&server, &[]).await?;
    let mut operator = release.operator("keeper-a").await?;
    let test = ["test", "stationkeeper", "--namespace", NAMESPACE, TIMEOUT];
    for helm in Helm::ALL {
        let (tested, ran) = tokio::join!(
            helm.at(&server, &test),
            run_the_pod(&release, &operator, true)
        );
        ran?;
        tested?.success()?;
    }
    operator.terminate(LIMIT).await?;
    let (tested, ran) = tokio::join!(
        Helm::Four.at(&server, &test),
        run_the_pod(&release, &operator, false)
    );
    ran?;
    tested?.refusal()?;
    Ok(())
}
