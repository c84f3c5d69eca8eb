//! The program fits its base, the image holds nothing else, and the chart starts what it has.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;
use stationkeeper_image::root::{in_root, misfits, programs};
use stationkeeper_tests::Ran;
use xtask::cargo::workspace;
use xtask::tools::Tools;

use crate::image;

#[test]
fn the_program_needs_no_library_and_no_version_that_the_base_has_not() -> Result<()> {
    let image = image()?;
    let found = misfits(&in_root(&image.root, &image.entrypoint[0]))?;
    ensure!(found.is_empty(), "{found:?}");
    // A program that needs more is found out.
    let shell = misfits(Path::new("/bin/ls"))?;
    ensure!(
        !shell.is_empty(),
        "ls needs libraries that the base has not"
    );
    Ok(())
}

#[test]
fn the_image_can_run_the_program_and_nothing_else() -> Result<()> {
    let image = image()?;
    let of_the_c_library = |path: &String| path.contains("/ld-linux") || path.contains(".so.");
    let mut found = programs(&image.root)?;
    found.retain(|path| !of_the_c_library(path));
    assert_eq!(found, image.entrypoint);
    for path in &image.copied {
        ensure!(in_root(&image.root, path).is_file(), "{path} is not there");
    }
    Ok(())
}

#[test]
fn nothing_of_the_machine_that_built_it_is_in_the_program() -> Result<()> {
    let image = image()?;
    let program = std::fs::read(in_root(&image.root, &image.entrypoint[0]))
        .context("failed to read the program")?;
    let has = |text: &str| {
        program
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    ensure!(
        has("/cargo/registry/src/"),
        "panics name the file that they come from"
    );
    let home = std::env::var("HOME").context("there is no HOME")?;
    let cargo = std::env::var("CARGO_HOME").unwrap_or_else(|_| format!("{home}/.cargo"));
    let built = stationkeeper_image::folder();
    for path in [
        &cargo,
        &workspace().display().to_string(),
        &built.display().to_string(),
    ] {
        ensure!(!has(path), "the program names {path}");
    }
    Ok(())
}

/// All containers of what the chart renders, with the Pod that they belong to.
async fn containers(values: Option<&str>) -> Result<Vec<(Value, Value)>> {
    let tools = Tools::require().map_err(|failure| anyhow!(failure))?;
    let mut command = Command::new(tools.helm);
    command
        .current_dir(workspace())
        .args(["template", "stationkeeper", "charts/stationkeeper"]);
    command.args(values.iter().flat_map(|file| ["--values", file]));
    let rendered = Ran::run(command, "").await?.success()?;
    let mut found = Vec::new();
    for document in rendered.split("\n---\n") {
        let object: Value = serde_yaml::from_str(document).context("failed to read the chart")?;
        let pod = match object["kind"].as_str() {
            Some("Deployment") => &object["spec"]["template"]["spec"],
            Some("Pod") => &object["spec"],
            _ => continue,
        };
        for container in pod["containers"].as_array().into_iter().flatten() {
            found.push((pod.clone(), container.clone()));
        }
    }
    Ok(found)
}

#[tokio::test]
async fn the_chart_starts_the_image_as_it_is_made_to_be_started() -> Result<()> {
    let stages = stationkeeper_image::dockerfile::read(&workspace())?;
    let last = stages.last().context("no stage")?;
    let image = stationkeeper_image::root::read(last, Path::new("unused"))?;
    let files = std::fs::read_dir(workspace().join("charts/stationkeeper/ci"))
        .context("failed to list the values files")?;
    let mut all = vec![None];
    for file in files {
        all.push(Some(file?.path().display().to_string()));
    }
    let mut ports = BTreeSet::new();
    for values in &all {
        let found = containers(values.as_deref()).await?;
        ensure!(
            !found.is_empty(),
            "{values:?}: the chart renders no container"
        );
        for (pod, container) in found {
            let of = |field: &str| {
                let own = &container["securityContext"][field];
                if own.is_null() {
                    pod["securityContext"][field].clone()
                } else {
                    own.clone()
                }
            };
            let shown = format!("{values:?}: {container}");
            ensure!(
                container["command"].is_null(),
                "the image's entrypoint is what starts: {shown}"
            );
            assert_eq!(of("runAsUser"), image.user.0, "{shown}");
            assert_eq!(of("runAsGroup"), image.user.1, "{shown}");
            assert_eq!(of("runAsNonRoot"), true, "{shown}");
            assert_eq!(of("readOnlyRootFilesystem"), true, "{shown}");
            if values.is_none() {
                let named = container["ports"].as_array().into_iter().flatten();
                ports.extend(named.filter_map(|port| port["containerPort"].as_u64()));
            }
        }
    }
    let exposed: BTreeSet<u64> = image.ports.iter().map(|port| u64::from(*port)).collect();
    assert_eq!(
        ports, exposed,
        "the chart's ports, and those that the Dockerfile names"
    );
    Ok(())
}

#[test]
fn the_chart_is_of_the_programs_version() -> Result<()> {
    let chart = std::fs::read_to_string(workspace().join("charts/stationkeeper/Chart.yaml"))
        .context("failed to read the chart")?;
    let chart: Value = serde_yaml::from_str(&chart)?;
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    Ok(())
}
