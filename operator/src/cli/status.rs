//! `status`: the stations and configs of a state directory, also while the operator runs on it.
//!
//! On stdout goes what was asked for, on stderr what is wrong in the manifests. Exit codes: 0 fine, 1 error, 2 there is
//! something to change or mend.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::clock;
use crate::document::{Document, keys_table, objects_table};
use crate::folder::{LastKnown, last_known};
use crate::objects::schema::Kind;

/// Something is to be changed or mended.
const TO_MEND: u8 = 2;

/// Shows the stations and configs of a state directory.
#[derive(Clone, Debug, clap::Args)]
pub struct StatusArgs {
    /// The state directory of `run --manifests`.
    #[arg(long, value_name = "DIR")]
    pub state_dir: PathBuf,
    /// How to show it.
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Output,
}

/// How to show the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// In the columns that `kubectl get` shows, and below them the keys that are not in sync.
    Table,
    /// The same, with the columns that `kubectl get -o wide` adds.
    Wide,
    /// Every managed key, as one JSON document.
    Json,
    /// The same, as YAML.
    Yaml,
}

/// Shows the status on stdout.
pub async fn status(args: StatusArgs) -> anyhow::Result<ExitCode> {
    let StatusArgs { state_dir, output } = args;
    if !state_dir.join("lock").is_file() {
        bail!(
            "{state_dir:?} is no state directory: give the one that `run --manifests DIR --state-dir DIR` was started with"
        );
    }
    let known = tokio::task::spawn_blocking(move || last_known(&state_dir))
        .await
        .context("failed to read the state")?;
    let text = match output {
        Output::Table => tables(&known, false),
        Output::Wide => tables(&known, true),
        Output::Json => as_json(&known.document)?,
        Output::Yaml => {
            serde_yaml::to_string(&known.document).context("failed to write the status as YAML")?
        }
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("failed to print the status")?;
    std::io::stderr()
        .write_all(remarks(&known).as_bytes())
        .context("failed to print what is wrong")?;
    let to_mend = known.document.needs_a_person() || !known.problems.is_empty();
    Ok(if to_mend {
        ExitCode::from(TO_MEND)
    } else {
        ExitCode::SUCCESS
    })
}

fn as_json(document: &Document) -> anyhow::Result<String> {
    let mut text =
        serde_json::to_string_pretty(document).context("failed to write the status as JSON")?;
    text.push('\n');
    Ok(text)
}

fn tables(known: &LastKnown, wide: bool) -> String {
    let now = clock::now();
    let parts = [
        objects_table(Kind::ChargeStation, &known.stations, wide, now),
        objects_table(Kind::ChargeStationConfig, &known.configs, wide, now),
        keys_table(&known.document),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}

fn remarks(known: &LastKnown) -> String {
    let mut text = String::new();
    if !known.running {
        text.push_str("no operator runs on this state directory: this is what was last known\n");
    }
    for problem in &known.problems {
        text.push_str(problem);
        text.push('\n');
    }
    text
}
