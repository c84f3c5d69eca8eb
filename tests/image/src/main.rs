//! `stationkeeper-image`: what is in the container image.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use stationkeeper_image::graph::Graph;
use stationkeeper_image::{build, materials};

/// What is said where no task is named.
const USAGE: &str = "usage: stationkeeper-image assemble          runs the Dockerfile's steps; prints the folder with the file system
       stationkeeper-image materials FOLDER  writes licences and bill of materials";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(said) => {
            #[expect(clippy::print_stdout, reason = "the answer of a program for people")]
            {
                println!("{said}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the answer of a program for people")]
            {
                eprintln!("{error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<String> {
    match words {
        ["assemble"] => Ok(build()?.root.display().to_string()),
        ["materials", folder] => {
            let graph = Graph::resolve()?;
            materials::write(&graph, Path::new(folder))?;
            Ok(format!(
                "{} crates, {} of them in the program",
                graph.packages.len(),
                graph.shipped.len()
            ))
        }
        _ => None.context(USAGE),
    }
}
