//! `lint`: manifests → what is wrong with them, on stdout.
//!
//! Exit codes: 0 fine (warnings alone are, unless `--strict`), 1 a file cannot be read, 2 there is something to mend.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use crate::lint::report::Report;
use crate::lint::stations::Hardware;
use crate::lint::{self, Task};

/// Something is to be mended.
const TO_MEND: u8 = 2;

/// Checks manifests: YAML, schema, rules, and what the catalogue says of the settings.
#[derive(Clone, Debug, clap::Args)]
pub struct LintArgs {
    /// Files of YAML or JSON, folders (read with all below them), or `-` for stdin.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The stations to check for, besides the ChargeStations in the files: ChargeStation manifests (`kubectl get chst -o
    /// yaml` will do), what `stationkeeper status -o json` prints, or a list of name, namespace, labels, vendor, model and
    /// firmware, of which each may be left out.
    #[arg(long, value_name = "FILE")]
    pub stations: Option<PathBuf>,
    /// The vendor of stations that do not say it themselves, as they report it.
    #[arg(long, value_name = "VENDOR")]
    pub vendor: Option<String>,
    /// Their model.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Their firmware version.
    #[arg(long, value_name = "VERSION")]
    pub firmware: Option<String>,
    /// The namespace of objects that name none.
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default")]
    pub namespace: String,
    /// Warnings are to be mended as well.
    #[arg(long)]
    pub strict: bool,
    /// How to tell what is wrong.
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,
}

/// How to tell what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// One line each, as compilers write them.
    Text,
    /// A JSON document.
    Json,
    /// The same, as YAML.
    Yaml,
}

/// Checks the files and tells on stdout.
pub fn lint(args: LintArgs) -> anyhow::Result<ExitCode> {
    let LintArgs {
        files,
        stations,
        vendor,
        model,
        firmware,
        namespace,
        strict,
        output,
    } = args;
    let report = lint::lint(&Task {
        paths: files,
        stations,
        hardware: Hardware {
            vendor,
            model,
            firmware,
        },
        namespace,
    })?;
    let text = match output {
        Output::Text => report.text(std::io::stdout().is_terminal()),
        Output::Json => {
            let text = serde_json::to_string_pretty(&report.document());
            text.context("failed to write the findings as JSON")? + "\n"
        }
        Output::Yaml => serde_yaml::to_string(&report.document())
            .context("failed to write the findings as YAML")?,
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("failed to print the findings")?;
    Ok(code(&report, strict))
}

fn code(report: &Report, strict: bool) -> ExitCode {
    if report.errors() > 0 || (strict && report.warnings() > 0) {
        ExitCode::from(TO_MEND)
    } else {
        ExitCode::SUCCESS
    }
}
