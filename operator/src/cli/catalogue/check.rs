//! `catalogue check`: a user's catalogue file → what is wrong with it, with lines, and what to do.
//!
//! Exit codes: 0 fine (warnings or none), 1 the file cannot be read, 2 there is something to mend.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use serde::Serialize;
use stationkeeper_core::catalogue::{Catalogue, review};
use stationkeeper_core::words::{Key, Severity};

use crate::manifest::Problem;
use crate::manifest::catalogue::{self, CatalogueFile};

/// Something is to be mended.
const TO_MEND: u8 = 2;

/// Checks a catalogue file, in the schema of the built-in ones, or KeyCatalogue objects with one under `spec`.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// The file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
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

/// What was found in a file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    file: String,
    keys: usize,
    problems: Vec<Told>,
}

/// One problem.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    line: usize,
    column: usize,
    severity: Severity,
    rule: String,
    field: Option<String>,
    /// The key that it is about, where the document could be read as far as that.
    key: Option<Key>,
    message: String,
}

impl Told {
    fn new(problem: Problem, severity: Severity, rule: &str) -> Self {
        let Problem {
            rule: _,
            place,
            field,
            message,
        } = problem;
        Self {
            line: place.line,
            column: place.column,
            severity,
            rule: rule.to_owned(),
            field: Some(field).filter(|field| !field.is_empty()),
            key: None,
            message,
        }
    }
}

/// Checks the file and tells on stdout.
pub fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let CheckArgs { file, output } = args;
    let bytes = std::fs::read(file).with_context(|| format!("failed to read {file:?}"))?;
    let report = report(file, &bytes);
    let text = match output {
        Output::Text => lines(&report),
        Output::Json => {
            let text = serde_json::to_string_pretty(&report);
            text.context("failed to write the report as JSON")? + "\n"
        }
        Output::Yaml => {
            serde_yaml::to_string(&report).context("failed to write the report as YAML")?
        }
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("failed to print what is wrong")?;
    let to_mend = |told: &Told| told.severity == Severity::Error;
    Ok(if report.problems.iter().any(to_mend) {
        ExitCode::from(TO_MEND)
    } else {
        ExitCode::SUCCESS
    })
}

fn report(file: &Path, bytes: &[u8]) -> Report {
    let shared: Arc<Path> = Arc::from(file);
    let documents = catalogue::read(&shared, bytes);
    let mut problems: Vec<Told> = documents.iter().flat_map(of_document).collect();
    if documents.is_empty() {
        problems.push(Told {
            line: 1,
            column: 1,
            severity: Severity::Error,
            rule: "NoCatalogue".to_owned(),
            field: None,
            key: None,
            message: "there is no catalogue in this file: it begins with vendor, match, sources or keys, \
                      or is an object of kind KeyCatalogue"
                .to_owned(),
        });
    }
    problems.sort_by_key(|told| (told.line, told.column));
    let documents = documents.iter().filter_map(|read| read.document.as_ref());
    Report {
        file: file.display().to_string(),
        keys: documents.map(|document| document.keys.len()).sum(),
        problems,
    }
}

fn of_document(read: &CatalogueFile) -> Vec<Told> {
    let problems = read.problems.iter().cloned();
    let mut told: Vec<Told> = problems
        .map(|problem| Told::new(problem, Severity::Error, "Schema"))
        .collect();
    // With mistakes in it, what else it says is not worth weighing.
    if let Some(document) = read.document.as_ref().filter(|_| told.is_empty()) {
        let remarks = review(&Catalogue::built_in(), &read.name, document);
        told.extend(remarks.into_iter().map(|remark| {
            let key = remark.entry.and_then(|entry| document.keys.get(entry));
            let problem = read.problem(remark.entry, remark.fact, remark.message);
            Told {
                key: key.map(|entry| entry.key.clone()),
                ..Told::new(problem, remark.severity, &remark.rule)
            }
        }));
    }
    told
}

fn lines(report: &Report) -> String {
    let Report {
        file,
        keys,
        problems,
    } = report;
    let mut text = String::new();
    for told in problems {
        let severity = match told.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let field = match (&told.field, &told.key) {
            (Some(field), Some(key)) => format!("{field} ({key}): "),
            (Some(field), None) => format!("{field}: "),
            (None, _) => String::new(),
        };
        text.push_str(&format!(
            "{file}:{}:{}: {severity}: {}{}\n",
            told.line, told.column, field, told.message
        ));
    }
    let count = |severity| {
        let of_it = |told: &&Told| told.severity == severity;
        problems.iter().filter(of_it).count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    text.push_str(&format!(
        "{file}: {keys} keys, {errors} errors, {warnings} warnings\n"
    ));
    text
}
