//! Fuzzing for a short while: the parsers of what stations and files say meet bytes that nobody thought of.
//!
//! In: the targets in `tests/fuzz` and their seeds. Out: one line for each target, or the input that it fell over, kept
//! in cargo's target folder beside what was learnt in earlier runs. The coverage that libFuzzer is led by comes from the
//! pinned stable compiler: LLVM's pass is asked for by name.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::Failure;
use crate::cargo::{cargo, target_folder, workspace};

/// The targets, each a program in `tests/fuzz/targets` with seeds in `tests/fuzz/seeds`.
const TARGETS: [&str; 3] = ["frame", "catalogue", "manifest"];

/// How long each target runs, in seconds.
const SECONDS: u32 = 20;

/// The longest input: the parsers are fed longer ones by tests, and short ones find more in the same time.
const LONGEST: u32 = 4096;

/// What an input may take, of time and memory.
const LIMITS: [&str; 2] = ["-timeout=10", "-rss_limit_mb=2048"];

/// How libFuzzer ends when an input took too long.
const TOO_LONG: i32 = 70;

/// How often a target is run again after inputs that took too long only because the machine stood still.
const AGAIN: usize = 2;

/// What makes LLVM count edges and comparisons, as libFuzzer wants them.
const COVERAGE: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Builds the targets and runs each for a while.
pub fn fuzz() -> Result<(), Failure> {
    let host = host()?;
    let folder = target_folder().join("fuzz");
    let manifest = workspace().join("tests/fuzz/Cargo.toml");
    let mut build = cargo(["build", "--quiet", "--locked", "--bins"]);
    // With a target named, the flags are for it alone, and build scripts and macros stay as they are.
    build
        .arg("--target")
        .arg(&host)
        .arg("--manifest-path")
        .arg(manifest);
    build
        .arg("--target-dir")
        .arg(&folder)
        .env("RUSTFLAGS", COVERAGE.join(" "));
    let built = build
        .status()
        .map_err(|error| format!("failed to start cargo: {error}"))?;
    if !built.success() {
        return Err(format!(
            "the fuzz targets cannot be built ({built}); libFuzzer is C++ and needs a compiler for it (g++ or clang++)"
        ));
    }
    for name in TARGETS {
        run(name, &folder.join(&host).join("debug").join(name), &folder)?;
    }
    Ok(())
}

fn run(name: &str, program: &Path, folder: &Path) -> Result<(), Failure> {
    let (learnt, found) = (folder.join("corpus").join(name), folder.join("found"));
    for needed in [&learnt, &found] {
        std::fs::create_dir_all(needed)
            .map_err(|error| format!("failed to make {}: {error}", needed.display()))?;
    }
    let mut output = fuzzed(name, program, &learnt, &found)?;
    for _ in 0..AGAIN {
        if output.status.code() != Some(TOO_LONG) || takes_too_long_again(program, &output)? {
            break;
        }
        output = fuzzed(name, program, &learnt, &found)?;
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let last: Vec<&str> = said.lines().rev().take(60).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        return Err(format!(
            "the fuzz target {name} fell over an input, which is kept in {}:\n{}",
            found.display(),
            last.join("\n")
        ));
    }
    let runs = said
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let covered = said
        .lines()
        .rev()
        .find_map(|line| line.split("cov: ").nth(1)?.split(' ').next());
    // Without edges it would have fed random bytes to a wall.
    let covered =
        covered.ok_or_else(|| format!("the fuzz target {name} counted no coverage:\n{said}"))?;
    println!(
        "    {name}: {} inputs, {covered} edges",
        runs.unwrap_or("?").trim()
    );
    Ok(())
}

/// Runs a target for a while.
fn fuzzed(name: &str, program: &Path, learnt: &Path, found: &Path) -> Result<Output, Failure> {
    Command::new(program)
        .arg(format!("-max_total_time={SECONDS}"))
        .arg(format!("-max_len={LONGEST}"))
        .args(LIMITS)
        .args(["-print_final_stats=1", "-verbosity=1"])
        .arg(format!("-artifact_prefix={}/{name}-", found.display()))
        .arg(learnt)
        .arg(workspace().join("tests/fuzz/seeds").join(name))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("failed to start the fuzz target {name}: {error}"))
}

/// Does the input that took too long do so once more, alone? libFuzzer goes by the clock on the wall, which also goes on while the
/// machine stands still. One that does not is not kept.
fn takes_too_long_again(program: &Path, output: &Output) -> Result<bool, Failure> {
    let said = String::from_utf8_lossy(&output.stderr);
    let written = said
        .lines()
        .find_map(|line| line.split_once("Test unit written to "));
    let Some((_, input)) = written else {
        return Ok(true);
    };
    let input = Path::new(input.trim());
    let again = Command::new(program)
        .args(LIMITS)
        .arg(input)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("failed to start {}: {error}", program.display()))?;
    if again.status.success() {
        std::fs::remove_file(input)
            .map_err(|error| format!("failed to remove {}: {error}", input.display()))?;
    }
    Ok(!again.status.success())
}

/// The platform that this runs on, as the compiler calls it.
fn host() -> Result<String, Failure> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .current_dir(workspace())
        .arg("-vV")
        .output()
        .map_err(|error| format!("failed to ask rustc for the platform: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| "rustc -vV names no host".to_owned())
}
