//! The licences and the bill of materials are whole, valid, and about what is in the program.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;
use stationkeeper_image::graph::Graph;
use stationkeeper_image::licences;
use stationkeeper_image::materials::{BILL, LICENCES, bill};
use stationkeeper_image::root::in_root;
use stationkeeper_tests::Ran;
use xtask::cargo::workspace;
use xtask::tools::Tools;

use crate::image;

/// Checks a document against the schema of CycloneDX.
async fn validate(bill: &Value) -> Result<Ran> {
    let tools = Tools::require().map_err(|failure| anyhow!(failure))?;
    let mut command = Command::new(tools.python);
    command
        .arg(workspace().join("tests/tools/check_bill.py"))
        .arg(tools.cyclonedx)
        .env("PYTHONPATH", tools.stations);
    Ran::run(command, &bill.to_string()).await
}

#[tokio::test]
async fn the_bill_of_materials_is_cyclonedx() -> Result<()> {
    let graph = Graph::resolve()?;
    let mut document = bill(&graph, Some("1700000000"))?;
    assert_eq!(document["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
    validate(&document).await?.success()?;
    document["components"][0]["licenses"] = serde_json::json!([{"licence": "MIT"}]);
    let said = validate(&document).await?;
    ensure!(said.code == Some(1), "a fault is found: {said:?}");
    Ok(())
}

#[test]
fn the_same_sources_make_the_same_bill() -> Result<()> {
    let graph = Graph::resolve()?;
    assert_eq!(bill(&graph, None)?, bill(&Graph::resolve()?, None)?);
    Ok(())
}

#[test]
fn the_bill_names_what_is_in_the_program_and_what_only_built_it() -> Result<()> {
    let document = bill(&Graph::resolve()?, None)?;
    let components = document["components"].as_array().context("no components")?;
    let find = |name: &str| {
        components
            .iter()
            .find(|component| component["name"] == name)
    };
    let scope = |name: &str| {
        Ok::<_, anyhow::Error>(
            find(name).with_context(|| format!("{name} is not in the bill"))?["scope"].clone(),
        )
    };
    assert_eq!(scope("rustls")?, "required");
    assert_eq!(
        scope("serde_derive")?,
        "excluded",
        "it runs during the build"
    );
    assert_eq!(scope("stationkeeper-core")?, "required");
    for absent in [
        "proptest",
        "rcgen",
        "insta",
        "windows-sys",
        "stationkeeper-tests",
    ] {
        ensure!(find(absent).is_none(), "{absent} is not in the program");
    }
    for component in components {
        let ours = component["name"]
            .as_str()
            .is_some_and(|name| name.starts_with("stationkeeper"));
        ensure!(
            ours || component["hashes"][0]["content"]
                .as_str()
                .is_some_and(|hash| hash.len() == 64),
            "without a hash: {component}"
        );
    }
    Ok(())
}

#[test]
fn every_crate_has_its_licence_in_full() -> Result<()> {
    let graph = Graph::resolve()?;
    let text = licences::collect(&graph)?;
    for (id, package) in &graph.packages {
        let shown = format!("{} {}", id.name, id.version);
        let texts = text
            .lines()
            .filter(|line| !line.starts_with("  ") && line.split(", ").any(|user| user == shown))
            .count();
        ensure!(package.source.is_none() || texts > 0, "{shown} has no text");
    }
    Ok(())
}

#[test]
fn a_crate_without_a_licence_file_has_to_be_looked_at() -> Result<()> {
    let mut graph = Graph::resolve()?;
    let folder = tempfile::tempdir()?;
    let package = graph
        .packages
        .values_mut()
        .find(|package| package.source.is_some());
    let package = package.context("there are crates of others")?;
    package.manifest_path = folder.path().join("Cargo.toml");
    let said = licences::collect(&graph)
        .err()
        .context("no text, and no error")?;
    ensure!(said.to_string().contains("WITHOUT_FILE"), "{said}");
    Ok(())
}

#[test]
fn the_image_carries_both() -> Result<()> {
    let image = image()?;
    let graph = Graph::resolve()?;
    let read = |name: &str| {
        let path = image
            .copied
            .iter()
            .find(|path| path.ends_with(&format!("/{name}")));
        let path = path.with_context(|| format!("{name} is not in the image"))?;
        fs::read_to_string(in_root(&image.root, path))
            .with_context(|| format!("failed to read {path}"))
    };
    ensure!(
        read(LICENCES)? == licences::collect(&graph)?,
        "the licences are of another state"
    );
    let carried: Value = serde_json::from_str(&read(BILL)?)?;
    assert_eq!(carried["components"], bill(&graph, None)?["components"]);
    ensure!(
        read("LICENSE")? == fs::read_to_string(workspace().join("LICENSE"))?,
        "our own licence"
    );
    Ok(())
}
