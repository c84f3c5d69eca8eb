//! The life of a release in a real API server: install, upgrade, roll back, uninstall, install again.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use stationkeeper_tests::{ApiServer, LIMIT, TIMEOUT, eventually};

use crate::helm::{CHART, Helm, NAMESPACE};
use crate::rollout;

/// One Helm, one server, one release.
struct Life<'a> {
    helm: Helm,
    server: &'a ApiServer,
}

impl Life<'_> {
    async fn helm(&self, arguments: &[&str]) -> Result<String> {
        let place = ["--namespace", NAMESPACE];
        self.helm
            .at(self.server, &[arguments, &place].concat())
            .await?
            .success()
    }

    async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.server.kubectl(arguments).await?.success()
    }

    /// A field of an object of the release, or nothing if the object is not there.
    async fn field(&self, object: &str, path: &str) -> Result<String> {
        let output = format!("--output=jsonpath={path}");
        self.kubectl(&[
            "get",
            object,
            "--namespace",
            NAMESPACE,
            "--ignore-not-found",
            &output,
        ])
        .await
    }

    /// Waits for the Deployment as Helm's `--wait` does, while something has it run.
    async fn waiting(&self, arguments: &[&str], replicas: u64) -> Result<String> {
        let wait = ["--wait", TIMEOUT];
        let arguments = [arguments, &wait].concat();
        let (said, pretended) = tokio::join!(
            self.helm(&arguments),
            rollout::pretend(self.server, NAMESPACE, "stationkeeper", replicas),
        );
        pretended?;
        said
    }
}

/// A copy of the chart as an older version would be: one description in a CRD reads otherwise.
fn older_chart(folder: &Path) -> Result<String> {
    let chart = folder.join("stationkeeper");
    copy(&xtask::cargo::workspace().join(CHART), &chart)?;
    let crd = chart.join("templates/crds/chargestations.stationkeeper.dev.yaml");
    let text = fs::read_to_string(&crd)?;
    let older = text.replacen(
        "The string with which the station connects.",
        "An older text.",
        1,
    );
    ensure!(older != text, "the CRD no longer has that description");
    fs::write(&crd, older)?;
    Ok(chart.to_str().context("a path is not text")?.to_owned())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => fs::copy(entry.path(), target).map(drop)?,
        }
    }
    Ok(())
}

async fn lives(helm: Helm) -> Result<()> {
    let server = ApiServer::own().await?;
    let life = Life {
        helm,
        server: &server,
    };
    let folder = tempfile::tempdir()?;
    let older = older_chart(folder.path())?;
    let column = "{.spec.versions[0].additionalPrinterColumns[0].description}";
    let stations = "crd/chargestations.stationkeeper.dev";

    // Installed: it waits for the Deployment, and says what to do next.
    let said = life
        .waiting(
            &["install", "stationkeeper", &older, "--create-namespace"],
            1,
        )
        .await?;
    ensure!(
        said.contains("STATUS: deployed") && said.contains("Declare a station"),
        "{said}"
    );
    ensure!(
        life.field(stations, column).await? == "An older text.",
        "the older CRD is not there"
    );
    // The notes are to be followed as they stand.
    let declared = said
        .split_once("<<'END'\n")
        .and_then(|(_, rest)| rest.split_once("\nEND\n"))
        .context("the notes declare nothing")?;
    life.server
        .kubectl_with(
            &["apply", "--namespace=default", "--filename", "-"],
            declared.0,
        )
        .await?
        .success()?;

    // Upgraded: the CRDs too, which Helm would leave alone in a folder `crds`.
    let upgrade = [
        "upgrade",
        "stationkeeper",
        CHART,
        "--values",
        "charts/stationkeeper/ci/ha.yaml",
    ];
    life.waiting(&upgrade, 2).await?;
    let text = life.field(stations, column).await?;
    ensure!(
        text == "The string with which the station connects.",
        "{text:?}"
    );
    ensure!(
        life.field("pdb/stationkeeper", "{.spec.maxUnavailable}")
            .await?
            == "1",
        "no budget"
    );

    // Rolled back: as it was, and what was declared is still there.
    life.waiting(&["rollback", "stationkeeper", "1"], 1).await?;
    ensure!(
        life.field("pdb/stationkeeper", "{.metadata.name}")
            .await?
            .is_empty(),
        "a budget is left"
    );
    ensure!(
        life.field(stations, column).await? == "An older text.",
        "the CRD was not rolled back"
    );
    life.kubectl(&[
        "get",
        "chst/cp-0001",
        "csc/first-steps",
        "--namespace=default",
    ])
    .await?;

    // Uninstalled: all is gone but the CRDs and what people declared.
    life.helm(&["uninstall", "stationkeeper"]).await?;
    for object in [
        "deployment/stationkeeper",
        "clusterrole/stationkeeper-stationkeeper-system",
        "role/stationkeeper",
    ] {
        eventually(LIMIT, async || {
            ensure!(
                life.field(object, "{.metadata.name}").await?.is_empty(),
                "{object} is left"
            );
            Ok(())
        })
        .await?;
    }
    life.kubectl(&[
        "get",
        "chst/cp-0001",
        "csc/first-steps",
        "--namespace=default",
    ])
    .await?;

    // Installed again, it takes its CRDs back; told not to keep them, it takes them along.
    life.helm(&["install", "stationkeeper", CHART]).await?;
    life.helm(&["upgrade", "stationkeeper", CHART, "--set=crds.keep=false"])
        .await?;
    life.helm(&["uninstall", "stationkeeper"]).await?;
    eventually(LIMIT, async || {
        let left = life.kubectl(&["get", "crd", "--output=name"]).await?;
        ensure!(!left.contains("stationkeeper.dev"), "{left}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_3_installs_upgrades_rolls_back_and_uninstalls() -> Result<()> {
    lives(Helm::Three).await
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_4_installs_upgrades_rolls_back_and_uninstalls() -> Result<()> {
    lives(Helm::Four).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_releases_live_beside_each_other_in_namespaces_of_their_own() -> Result<()> {
    let server = ApiServer::own().await?;
    for namespace in ["north", "south", "keeper-north", "keeper-south"] {
        server
            .kubectl(&["create", "namespace", namespace])
            .await?
            .success()?;
    }
    for (place, watched, crds) in [
        ("keeper-north", "north", "true"),
        ("keeper-south", "south", "false"),
    ] {
        let install = ["install", "stationkeeper", CHART, "--namespace", place];
        let values = [
            format!("--set=watchNamespaces={{{watched}}}"),
            format!("--set=crds.install={crds}"),
        ];
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        Helm::Four
            .at(&server, &[&install[..], &values].concat())
            .await?
            .success()?;
    }
    Ok(())
}
