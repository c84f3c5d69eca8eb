//! The command line: one verb a file (section 11 of the design). Exit codes: 0 fine, 1 error, 2 there is something to
//! change or mend.

pub mod catalogue;
pub mod crds;
pub mod demo;
pub mod explain;
pub mod lint;
pub mod probe;
pub mod run;
pub mod simulate;
pub mod status;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::logs::LogFormat;

/// Holds EV charge stations on the OCPP configuration that Git declares for them.
#[derive(Debug, Parser)]
#[command(name = "stationkeeper", version, propagate_version = true)]
pub struct Cli {
    /// What to log: a level, or targets with levels (`info,stationkeeper::gateway=debug`). While `run` runs, PUT another
    /// one to /log-filter on the admin port.
    #[arg(
        long,
        global = true,
        env = "STATIONKEEPER_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    pub log: String,
    /// How to log, on stderr; without it json inside a Pod, and human elsewhere.
    #[arg(long, global = true, value_enum, env = "STATIONKEEPER_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Runs the operator: against a cluster, or with --manifests on a folder of YAML files.
    Run(Box<run::RunArgs>),
    /// Shows stations and configs of a state directory, in the columns that `kubectl get` shows.
    Status(status::StatusArgs),
    /// Shows a fleet of simulated stations converge, wait for a Reset and drift: the product itself, over real sockets.
    Demo(demo::DemoArgs),
    /// Runs simulated charge stations against any CSMS.
    Simulate(simulate::SimulateArgs),
    /// Checks manifests: YAML, schema, rules, and what the catalogue says of the settings, with lines and mends.
    Lint(lint::LintArgs),
    /// Tells what is known of a configuration key, per vendor, with sources.
    Explain(explain::ExplainArgs),
    /// Exports the catalogue of keys, checks a file of your own, writes the reference pages.
    Catalogue(catalogue::CatalogueArgs),
    /// Prints the CustomResourceDefinitions.
    Crds(crds::CrdsArgs),
    /// Asks whether something answers at an address; for `helm test`.
    Probe(probe::ProbeArgs),
}

/// Runs the verb.
pub async fn dispatch(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Run(args) => run::run(*args).await,
        Verb::Status(args) => status::status(args).await,
        Verb::Demo(args) => demo::demo(args).await,
        Verb::Simulate(args) => simulate::simulate(args).await,
        Verb::Lint(args) => lint::lint(args),
        Verb::Explain(args) => explain::explain(args),
        Verb::Catalogue(args) => catalogue::catalogue(args),
        Verb::Crds(args) => crds::crds(args),
        Verb::Probe(args) => probe::probe(args).await,
    }
}
