//! The Dockerfile: linted, pinned, and made of layers that stay.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, ensure};
use stationkeeper_image::dockerfile::{FILE, Step, parse, read};
use stationkeeper_image::stage::keys;
use stationkeeper_tests::Ran;
use xtask::cargo::workspace;
use xtask::tools::Tools;

/// What hadolint says of a Dockerfile.
async fn lint(text: &str) -> Result<Ran> {
    let tools = Tools::require().map_err(|failure| anyhow!(failure))?;
    let mut command = Command::new(tools.hadolint);
    command.args(["--no-color", "--failure-threshold", "style", "-"]);
    Ran::run(command, text).await
}

fn text() -> Result<String> {
    fs::read_to_string(workspace().join(FILE)).context("failed to read the Dockerfile")
}

#[tokio::test]
async fn the_linter_has_nothing_to_say() -> Result<()> {
    lint(&text()?).await?.success()?;
    let worse = text()?.replace("USER 65532:65532", "USER root");
    let said = lint(&worse).await?;
    ensure!(
        said.stdout.contains("DL3002"),
        "an image that runs as root is found: {said:?}"
    );
    Ok(())
}

#[test]
fn every_base_is_pinned_by_its_content() -> Result<()> {
    for stage in read(&workspace())? {
        let digest = stage.base.split_once("@sha256:").map(|(_, digest)| digest);
        let digest = digest.with_context(|| format!("{} has no digest", stage.base))?;
        ensure!(
            digest.len() == 64 && digest.chars().all(|digit| digit.is_ascii_hexdigit()),
            "{digest} is no SHA-256"
        );
    }
    Ok(())
}

#[test]
fn the_image_is_built_with_the_pinned_rust_on_the_debian_of_its_base() -> Result<()> {
    let stages = read(&workspace())?;
    let pinned = fs::read_to_string(workspace().join("rust-toolchain.toml"))?;
    let pinned: toml::Table =
        toml::from_str(&pinned).context("failed to read rust-toolchain.toml")?;
    let channel = pinned["toolchain"]["channel"]
        .as_str()
        .context("no channel")?;
    let builder = format!("rust:{channel}-bookworm@");
    ensure!(
        stages[0].base.starts_with(&builder),
        "the builder is {}, and rust-toolchain.toml says {channel}",
        stages[0].base
    );
    ensure!(
        stages[1].base.contains("-debian12:"),
        "bookworm is Debian 12: {}",
        stages[1].base
    );
    Ok(())
}

#[test]
fn the_build_context_is_what_the_dockerfile_copies() -> Result<()> {
    let ignored = fs::read_to_string(workspace().join(format!("{FILE}.dockerignore")))?;
    let lines: Vec<&str> = ignored
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    ensure!(lines[0] == "*", "everything is left out that is not named");
    let named: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    let stages = read(&workspace())?;
    let copied = stages[0].steps.iter().filter_map(|step| match step {
        Step::Copy(copy) => Some(&copy.sources),
        _ => None,
    });
    let copied: Vec<&String> = copied.flatten().collect();
    let lies_in = |path: &str, folder: &str| {
        path == folder
            || path
                .strip_prefix(folder)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    for path in &copied {
        ensure!(
            named.iter().any(|folder| lies_in(path, folder)),
            "{path} is left out of the build context"
        );
    }
    for name in named {
        ensure!(
            copied.iter().any(|path| *path == name),
            "{name} is sent to the builder, and not copied"
        );
    }
    Ok(())
}

#[test]
fn a_change_in_our_sources_leaves_the_layer_of_dependencies_alone() -> Result<()> {
    let stages = read(&workspace())?;
    let steps = &stages[0].steps;
    let context = tempfile::tempdir()?;
    for path in [
        "Cargo.toml",
        "Cargo.lock",
        "LICENSE",
        "operator",
        "examples",
        "tests/Cargo.toml",
        "tests/image",
        "tests/xtask",
    ] {
        let to = context.path().join(path);
        fs::create_dir_all(to.parent().context("a path lies in a folder")?)?;
        let copied = Command::new("cp")
            .arg("-r")
            .arg(workspace().join(path))
            .arg(&to)
            .status()?;
        ensure!(copied.success(), "failed to copy {path}");
    }
    let before = keys(&stages[0], context.path())?;
    fs::write(context.path().join("operator/src/main.rs"), "fn main() {}")?;
    let after = keys(&stages[0], context.path())?;
    let run = steps.iter().position(|step| matches!(step, Step::Run(_)));
    let run = run.context("nothing is run")?;
    assert_eq!(
        before[..=run],
        after[..=run],
        "the first RUN builds what others wrote"
    );
    ensure!(before.last() != after.last(), "the program is another");
    fs::write(context.path().join("Cargo.lock"), "")?;
    ensure!(
        keys(&stages[0], context.path())?[run] != before[run],
        "other dependencies make another layer"
    );
    Ok(())
}

#[test]
fn the_entrypoint_starts_without_a_shell() -> Result<()> {
    let shell = text()?.replace(
        "ENTRYPOINT [\"/usr/bin/stationkeeper\"]",
        "ENTRYPOINT /usr/bin/stationkeeper",
    );
    ensure!(
        parse(&text()?).is_ok() && parse(&shell).is_err(),
        "only the exec form is taken"
    );
    Ok(())
}
