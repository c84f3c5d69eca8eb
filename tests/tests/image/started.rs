//! The image, started as nobody on a root that cannot be written: it does its job, and touches nothing but its volume.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use stationkeeper_image::root::Image;
use stationkeeper_tests::{
    Container, LIMIT, Process, Ran, ReservedPort, Signal, container, eventually, http,
};
use xtask::cargo::workspace;

use crate::image;

/// The name and age of all files of the image.
fn listing(image: &Image) -> Result<BTreeMap<String, (u64, i64)>> {
    let (mut folders, mut found) = (vec![image.root.clone()], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let metadata = fs::symlink_metadata(&path)?;
            if metadata.is_dir() {
                folders.push(path);
            } else {
                found.insert(
                    path.display().to_string(),
                    (metadata.len(), metadata.mtime()),
                );
            }
        }
    }
    Ok(found)
}

#[tokio::test]
async fn the_program_starts_with_nothing_but_the_image() -> Result<()> {
    let image = image()?;
    let said = Ran::run(
        Container::new(&image).arguments(["--version"]).command()?,
        "",
    )
    .await?;
    let said = said.success()?;
    assert_eq!(
        said.trim(),
        format!("stationkeeper {}", env!("CARGO_PKG_VERSION"))
    );
    let said = Ran::run(
        Container::new(&image)
            .arguments(&image.arguments)
            .command()?,
        "",
    );
    ensure!(
        said.await?.success()?.contains("Usage"),
        "without arguments it says how to use it"
    );
    Ok(())
}

#[tokio::test]
async fn a_failure_is_told_by_the_exit_code() -> Result<()> {
    let image = image()?;
    let closed = ReservedPort::reserve()?;
    let url = format!("http://{}/readyz", closed.address());
    let said = Ran::run(
        Container::new(&image)
            .arguments(["probe", &url])
            .command()?,
        "",
    )
    .await?;
    assert_eq!(said.code, Some(1), "{said:?}");
    // The default place of the state is on the root, which cannot be written.
    let folder = workspace().join("examples/quickstart");
    let run = Container::new(&image)
        .read_only(&folder, "/manifests")
        .arguments(["run", "--manifests=/manifests"]);
    let said = Ran::run(run.command()?, "").await?.refusal()?;
    ensure!(
        said.contains("stationkeeper-state"),
        "it names the folder: {said}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn as_nobody_on_a_read_only_root_it_holds_a_station_on_its_configuration() -> Result<()> {
    let image = image()?;
    let state = tempfile::tempdir()?;
    let (gateway, admin) = (ReservedPort::reserve()?, ReservedPort::reserve()?);
    let operator = Container::new(&image)
        .read_only(&workspace().join("examples/quickstart"), "/manifests")
        .volume(state.path(), "/var/lib/stationkeeper")
        .arguments([
            "run",
            "--manifests=/manifests",
            "--state-dir=/var/lib/stationkeeper",
        ])
        .arguments([format!("--gateway-listen={}", gateway.address())])
        .arguments([format!("--admin-listen={}", admin.address())]);
    let command = operator.command()?;
    let before = listing(&image)?;
    let mut operator = Process::start("the image", command)?;

    let ready = format!("http://{}/readyz", admin.address());
    let door = format!("tcp://{}", gateway.address());
    let probe = Container::new(&image).arguments(["probe", "--within=120s", &ready, &door]);
    Ran::run(probe.command()?, "").await?.success()?;
    container::is_confined(operator.id(), &image)?;

    let url = format!("ws://{}/ocpp", gateway.address());
    let station = Container::new(&image).arguments([
        "simulate",
        "--quick",
        "--identity-prefix=CP",
        "--url",
        &url,
    ]);
    let mut station = Process::start("a station", station.command()?)?;
    eventually(LIMIT, async || {
        let status = http::get(admin.address(), "/status").await?;
        let status: serde_json::Value = serde_json::from_str(&status.body)?;
        let keys = status["stations"][0]["keys"]
            .as_array()
            .context("no keys")?;
        let in_sync = keys.iter().filter(|key| key["state"] == "InSync").count();
        ensure!(keys.len() == 3 && in_sync == 3, "{status}");
        Ok(())
    })
    .await?;
    station.kill()?;
    operator.signal(Signal::Terminate)?;
    let ended = operator.exit(LIMIT).await?;
    ensure!(ended.success(), "{ended}");

    assert_eq!(listing(&image)?, before, "the image has changed");
    belongs_to(state.path(), image.user.0)?;
    Ok(())
}

/// That there are files in a folder, and that a user has made them.
fn belongs_to(folder: &Path, user: u32) -> Result<()> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        assert_eq!(entry.metadata()?.uid(), user, "{}", entry.path().display());
        count += 1;
    }
    ensure!(count > 0, "nothing was written to {}", folder.display());
    Ok(())
}
