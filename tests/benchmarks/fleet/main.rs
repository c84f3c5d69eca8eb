//! How much does it cost to hold a fleet? Prints one JSON document.
//!
//! `cargo run --release -p stationkeeper-tests --bin fleet-benchmark -- --stations 2000 --differing 20`
//!
//! Three things are measured: the gateway alone (`gateway.rs`), the whole product from manifests to status
//! (`reconcile.rs`), and the planning of one station. The servers run in processes of their own, so that memory and
//! processor time are theirs, and so do the simulated stations (`stations.rs`), on the same cores.
//!
//! Counts are asserted, times are only told: without faults every call is one of the least that do the job, and a fleet
//! at rest causes no call and no write. A count that is wrong stands in `wrong`, and the exit code is 1.

mod gateway;
#[path = "../../../operator/core/examples/plan_time.rs"]
#[allow(dead_code, reason = "it is a program too")]
mod plan_time;
mod process;
mod reconcile;
mod stations;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum};
use serde_json::{Value, json};

/// Measures what it costs to hold a fleet of simulated stations on its configuration, and prints JSON.
#[derive(Clone, Debug, Parser)]
struct Options {
    /// How many stations.
    #[arg(long, default_value_t = 200)]
    stations: usize,
    /// How many keys are managed.
    #[arg(long, default_value_t = 40)]
    keys: usize,
    /// How many of them differ at first.
    #[arg(long, default_value_t = 20)]
    differing: usize,
    /// How many keys a station takes in one request.
    #[arg(long, default_value_t = 50)]
    max_keys: usize,
    /// How long a station takes to answer: 50ms, 1s.
    #[arg(long, default_value = "0ms", value_parser = duration)]
    round_trip: Duration,
    /// The share of stations that never answer a call, from 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    silent: f64,
    /// Stations connect with TLS.
    #[arg(long)]
    tls: bool,
    /// What the stations' random numbers come from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How often a station is planned.
    #[arg(long, default_value_t = 5000)]
    planning_rounds: u32,
    /// How long the gateway alone is called in each of five rounds.
    #[arg(long, default_value = "1s", value_parser = duration)]
    gateway_round: Duration,
    /// How long the converged fleet is watched at rest.
    #[arg(long, default_value = "5s", value_parser = duration)]
    rest: Duration,
    /// How long the fleet may take to converge.
    #[arg(long, default_value = "300s", value_parser = duration)]
    limit: Duration,
    /// Where manifests and state are kept: by default in memory, where there is such a file system.
    #[arg(long)]
    folder: Option<PathBuf>,

    /// Which part of the benchmark this process is.
    #[arg(long, hide = true, value_enum)]
    role: Option<Role>,
    /// Where stations connect to.
    #[arg(long, hide = true, default_value = "")]
    url: String,
    /// Where the certificate is that stations trust.
    #[arg(long, hide = true)]
    certificate_folder: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    Gateway,
    Reconcile,
    Stations,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Reconcile => "reconcile",
            Self::Stations => "stations",
        }
    }
}

impl Options {
    /// Is nothing wrong with any station? Only then is it known how many calls are the least.
    fn without_faults(&self) -> bool {
        self.silent == 0.0
    }

    /// How many stations never answer.
    fn silent_stations(&self) -> usize {
        (self.stations as f64 * self.silent).round() as usize
    }

    /// A folder that is gone afterwards.
    fn temporary_folder(&self) -> Result<tempfile::TempDir> {
        let memory = PathBuf::from("/dev/shm");
        let parent = match &self.folder {
            Some(folder) => folder.clone(),
            None if memory.is_dir() => memory,
            None => std::env::temp_dir(),
        };
        tempfile::Builder::new()
            .prefix("stationkeeper-benchmark-")
            .tempdir_in(&parent)
            .with_context(|| format!("failed to make a folder in {}", parent.display()))
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = text.split_at(text.trim_end_matches(char::is_alphabetic).len());
    let number: f64 = digits
        .parse()
        .map_err(|_| format!("{text:?} is no duration; write 50ms or 2s"))?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "s" => number,
        _ => return Err(format!("{text:?} has no unit; write 50ms or 2s")),
    };
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// What a part has to say: its measurements, and what is wrong.
struct Measured {
    document: Value,
    wrong: Vec<String>,
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    ensure!(
        options.differing <= options.keys,
        "no more keys can differ than there are"
    );
    ensure!(
        (0.0..=1.0).contains(&options.silent),
        "--silent is a share, from 0 to 1"
    );
    let runtime = tokio::runtime::Runtime::new().context("failed to start the runtime")?;
    runtime.block_on(async {
        let measured = match options.role {
            Some(Role::Stations) => {
                stations::serve(&options).await?;
                return Ok(ExitCode::SUCCESS);
            }
            Some(Role::Gateway) => gateway::measure(&options).await?,
            Some(Role::Reconcile) => reconcile::measure(&options).await?,
            None => whole(&options).await?,
        };
        let mut document = measured.document;
        document["wrong"] = json!(measured.wrong);
        let mut out = std::io::stdout().lock();
        writeln!(out, "{document:#}").context("failed to print")?;
        Ok(if measured.wrong.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(1)
        })
    })
}

/// Runs the parts one after the other, each in a process of its own.
async fn whole(options: &Options) -> Result<Measured> {
    let planning = tokio::task::spawn_blocking({
        let rounds = options.planning_rounds;
        move || plan_time::document(rounds)
    })
    .await?;
    let mut wrong = Vec::new();
    let mut part = async |role: Role| -> Result<Value> {
        let mut document = process::run_part(role.name()).await?;
        if let Some(Value::Array(texts)) = document
            .as_object_mut()
            .and_then(|document| document.remove("wrong"))
        {
            wrong.extend(
                texts
                    .iter()
                    .map(|text| format!("{}: {}", role.name(), text.as_str().unwrap_or_default())),
            );
        }
        Ok(document)
    };
    let gateway = part(Role::Gateway).await?;
    let reconcile = part(Role::Reconcile).await?;
    let document = json!({
        "stations": options.stations,
        "keys": options.keys,
        "differing": options.differing,
        "roundTripMillis": options.round_trip.as_secs_f64() * 1000.0,
        "silent": options.silent,
        "tls": options.tls,
        "seed": options.seed,
        "optimised": !cfg!(debug_assertions),
        "planning": planning,
        "gateway": gateway,
        "reconcile": reconcile,
    });
    Ok(Measured { document, wrong })
}

/// Rounded for readers.
fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
