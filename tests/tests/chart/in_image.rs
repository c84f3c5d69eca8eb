//! The chart's Pod, out of the image's file system: the arguments, user and mounts that the chart renders, the program that
//! the Dockerfile builds, and the way into the cluster that a Pod has.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use stationkeeper_tests::{
    ApiServer, Container, Process, Ran, ReservedPort, Signal, container, eventually,
};

use crate::helm::{Helm, NAMESPACE, objects, the};
use crate::installed::{LIMIT, Release};

/// Where a Pod finds its token.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

#[tokio::test(flavor = "multi_thread")]
async fn the_charts_pod_starts_from_the_image_and_finds_its_cluster() -> Result<()> {
    let server = ApiServer::own().await?;
    let (gateway, admin) = (ReservedPort::reserve()?, ReservedPort::reserve()?);
    let ports = [
        "--set=listenAddress=127.0.0.1".to_owned(),
        format!("--set=gateway.port={}", gateway.number()),
        format!("--set=admin.port={}", admin.number()),
    ];
    let release = Release::install(&server, &ports.each_ref().map(String::as_str)).await?;
    let manifest = ["get", "manifest", "stationkeeper", "--namespace", NAMESPACE];
    let rendered = objects(&Helm::Four.at(&server, &manifest).await?.success()?)?;
    let pod = the(&rendered, "Deployment", "stationkeeper")?["spec"]["template"]["spec"].clone();
    let arguments = pod["containers"][0]["args"]
        .as_array()
        .context("no arguments")?;
    let arguments = arguments.iter().filter_map(Value::as_str);
    let object = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "keeper-a", "namespace": NAMESPACE},
        "spec": {"serviceAccountName": "stationkeeper", "containers": [{"name": "stationkeeper", "image": "none"}]},
    });
    release.apply(NAMESPACE, &object.to_string()).await?;

    let image = stationkeeper_image::build()?;
    assert_eq!(pod["securityContext"]["runAsUser"], image.user.0);
    let account = tempfile::tempdir()?;
    fs::set_permissions(account.path(), Permissions::from_mode(0o755))?;
    let way: Value =
        serde_yaml::from_str(&fs::read_to_string(release.kubeconfig("keeper-a").await?)?)?;
    let authority = way["clusters"][0]["cluster"]["certificate-authority"].as_str();
    let token = way["users"][0]["user"]["token"]
        .as_str()
        .context("no token")?;
    fs::write(account.path().join("token"), token)?;
    fs::write(account.path().join("namespace"), NAMESPACE)?;
    fs::copy(
        authority.context("no authority")?,
        account.path().join("ca.crt"),
    )?;
    let (host, port) = server
        .url()
        .strip_prefix("https://")
        .and_then(|address| {
            let (host, port) = address.split_once(':')?;
            Some((host.to_owned(), port.to_owned()))
        })
        .context("the server's URL has no port")?;
    let operator = Container::new(&image)
        .read_only(account.path(), ACCOUNT)
        .environment("KUBERNETES_SERVICE_HOST", &host)
        .environment("KUBERNETES_SERVICE_PORT", &port)
        .environment("POD_NAME", "keeper-a")
        .environment("POD_NAMESPACE", NAMESPACE)
        .arguments(arguments);
    let mut operator = Process::start("the chart's Pod", operator.command()?)?;

    // As `helm test` asks, from the image too.
    let urls = [
        format!("http://{}/readyz", admin.address()),
        format!("tcp://{}", gateway.address()),
    ];
    let probe = Container::new(&image)
        .arguments(["probe", "--within=120s"])
        .arguments(&urls);
    Ran::run(probe.command()?, "").await?.success()?;
    container::is_confined(operator.id(), &image)?;
    // It is ready before it leads.
    let holder = [
        "lease/stationkeeper",
        "--output=jsonpath={.spec.holderIdentity}",
    ];
    eventually(LIMIT, async || {
        let lease = release.get(NAMESPACE, &holder).await?;
        ensure!(lease.starts_with("keeper-a_"), "{lease}");
        Ok(())
    })
    .await?;
    operator.signal(Signal::Terminate)?;
    let ended = operator.exit(LIMIT).await?;
    ensure!(ended.success(), "{ended}");
    Ok(())
}
