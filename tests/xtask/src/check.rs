//! The one command: what CI runs, and what tells before a push that CI will pass.
//!
//! In: the work tree. Out: one line for each step with its duration, and the first failure. All steps
//! share cargo's target folder and build with the same features, so that little is compiled twice.

use std::io::Write;
use std::process::Command;
use std::time::Instant;

use crate::Failure;
use crate::cargo::{cargo, target_folder};
use crate::fuzz::fuzz;
use crate::setup::setup;

/// The crates of the product. Each is checked on its own too: a build of the whole workspace unites
/// features, and so hides a dependency that a crate's own manifest does not allow.
const CRATES: [&str; 4] = [
    "stationkeeper-core",
    "stationkeeper-ocpp",
    "stationkeeper-simulator",
    "stationkeeper",
];

/// How much is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    All,
    /// What needs neither an API server nor Python: for the loop of edit and try.
    Fast,
}

/// Runs the steps in order, until one fails.
pub fn check(extent: Extent) -> Result<(), Failure> {
    let started = Instant::now();
    step("format", || run(cargo(["fmt", "--all", "--check"])))?;
    step("lint", || {
        run(cargo([
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    })?;
    for name in CRATES {
        step(&format!("{name} on its own"), || {
            run(cargo(["check", "--package", name]))
        })?;
    }
    match extent {
        Extent::All => {
            step("set-up", setup)?;
            step("build", || run(cargo(["test", "--workspace", "--no-run"])))?;
            step("image", image)?;
            step("test", test)?;
            step("fuzz", fuzz)?;
            step("documentation", document)?;
        }
        Extent::Fast => step("test", || {
            run(cargo([
                "test",
                "--workspace",
                "--exclude",
                "stationkeeper-tests",
            ]))
        })?,
    }
    println!("==> all steps passed in {} s", started.elapsed().as_secs());
    Ok(())
}

/// Runs all tests, on the program that was built with them: building it once more without the features that tests need
/// would compile most of the tree twice.
fn test() -> Result<(), Failure> {
    let mut command = cargo(["test", "--workspace"]);
    command.env(
        "STATIONKEEPER_PROGRAM",
        target_folder().join("debug/stationkeeper"),
    );
    run(command)
}

/// Runs the Dockerfile's steps, with its release build: the tests start what came out of them.
pub fn image() -> Result<(), Failure> {
    run(cargo([
        "run",
        "--quiet",
        "--package",
        "stationkeeper-image",
        "--",
        "assemble",
    ]))
}

/// Builds the documentation; a broken link is an error.
fn document() -> Result<(), Failure> {
    let mut command = cargo(["doc", "--workspace", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    run(command)
}

/// Announces a step, does it, and says how long it took.
fn step(name: &str, work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    println!("==> {name}");
    // What the steps themselves print goes past our buffer, and must come after this line.
    std::io::stdout()
        .flush()
        .map_err(|error| format!("failed to print: {error}"))?;
    let started = Instant::now();
    work().map_err(|failure| format!("{name}: {failure}"))?;
    println!("    {name}: {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Runs a command that prints for itself.
fn run(mut command: Command) -> Result<(), Failure> {
    let shown = std::iter::once(command.get_program()).chain(command.get_args());
    let shown = shown
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` failed ({status})")),
        Err(error) => Err(format!("failed to start `{shown}`: {error}")),
    }
}
