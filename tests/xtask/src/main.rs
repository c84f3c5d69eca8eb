//! `cargo xtask`: the tasks of this repository.

use std::process::ExitCode;

use xtask::check::{Extent, check, image};
use xtask::fuzz::fuzz;
use xtask::setup::setup;

/// What is printed where no task is named.
const USAGE: &str = "usage: cargo xtask TASK

  check         everything that CI checks: format, lints, each crate alone, set-up, tests,
                fuzzing for a minute, documentation, the container image
  check --fast  the same without what needs an API server or Python
  fuzz          builds the fuzz targets and runs each for a short while
  image         runs the Dockerfile's steps without a container engine, and prints the folder with the
                image's file system
  setup         builds and fetches the tools of the tests into a cache outside of the work tree";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["check"] => check(Extent::All),
        ["check", "--fast"] => check(Extent::Fast),
        ["fuzz"] => fuzz(),
        ["image"] => image(),
        ["setup"] => setup(),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
