//! `crds`: prints the CustomResourceDefinitions, as they are to be installed.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;

use crate::objects::schema::{Kind, yaml};

/// Prints the CustomResourceDefinitions as YAML, ready for `kubectl apply --server-side -f -`.
#[derive(Clone, Debug, clap::Args)]
pub struct CrdsArgs {}

/// Prints all CustomResourceDefinitions on stdout, as YAML documents.
pub fn crds(args: CrdsArgs) -> anyhow::Result<ExitCode> {
    let CrdsArgs {} = args;
    let mut text = String::new();
    for kind in Kind::ALL {
        text.push_str("---\n");
        text.push_str(&yaml(kind));
    }
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("failed to print the CustomResourceDefinitions")?;
    Ok(ExitCode::SUCCESS)
}
