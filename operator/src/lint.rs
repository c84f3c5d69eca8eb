//! Lint: manifests → what is wrong with them, where, and what to do, before any cluster or station sees them.
//!
//! ```text
//!  paths ──input──► bytes ──declared──► objects with the places of their fields   yaml, schema, CEL rules
//!                                          │
//!                                          ├─objects───► findings                 names, identities, Secrets
//!                            stations ─────┴─settings──► findings                 catalogue, conflicts, rules between keys
//!                                                           └──report──► text or document
//! ```
//!
//! There is no rule of its own where one exists: the reader is the folder source's, the schema's rules are
//! [`crate::objects::check`]'s, and settings are resolved and validated by `core`, as the operator does it. What does not
//! happen here: asking a cluster or a station.

mod declared;
pub mod input;
mod objects;
pub mod report;
mod settings;
pub mod stations;
mod vendors;

use std::path::PathBuf;

use stationkeeper_core::catalogue::Catalogue;

use self::declared::Declarations;
use self::input::InputError;
use self::report::{Finding, Findings, Report, Severity};
use self::stations::{Hardware, StationsError};
use self::vendors::Vendors;

/// Why nothing could be checked.
#[derive(Debug, thiserror::Error)]
pub enum LintError {
    /// A file cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The file of stations cannot be used.
    #[error(transparent)]
    Stations(#[from] StationsError),
}

/// What to check, and for whom.
#[derive(Clone, Debug, Default)]
pub struct Task {
    /// Files, folders, `-` for stdin.
    pub paths: Vec<PathBuf>,
    /// A file of stations.
    pub stations: Option<PathBuf>,
    /// What stations are that do not say it themselves.
    pub hardware: Hardware,
    /// The namespace of objects that name none.
    pub namespace: String,
}

/// Checks manifests.
pub fn lint(task: &Task) -> Result<Report, LintError> {
    let Task {
        paths,
        stations: file,
        hardware,
        namespace,
    } = task;
    let inputs = input::read(paths)?;
    let files = inputs.len();
    let mut findings = Findings::default();
    let declarations = declared::declared(inputs, namespace, &mut findings);
    let stations = stations::stations(
        &declarations,
        file.as_deref(),
        hardware,
        namespace,
        &mut findings,
    )?;
    objects::check(&declarations, &mut findings);
    settings::check(&declarations, &stations, hardware, &mut findings);
    unknown_vendor(hardware, &declarations, &mut findings);
    let report = Report {
        findings,
        files,
        objects: declarations.places.len(),
    };
    Ok(told_if_empty(report))
}

/// A pipe that brings nothing looks like one that brings nothing wrong.
fn told_if_empty(mut report: Report) -> Report {
    if report.objects == 0 && report.errors() == 0 {
        report.findings.add(about_no_file(
            Severity::Warning,
            "nothing-to-check",
            "there is no ChargeStationConfig, ChargeStation, KeyCatalogue or Secret in what was given".to_owned(),
        ));
    }
    report
}

fn about_no_file(severity: Severity, rule: &str, message: String) -> Finding {
    Finding {
        place: None,
        severity,
        rule: rule.to_owned(),
        object: None,
        field: String::new(),
        key: None,
        message,
    }
}

fn unknown_vendor(hardware: &Hardware, declarations: &Declarations, findings: &mut Findings) {
    let documents = declarations.catalogues.values().flatten().cloned();
    let vendors = Vendors::of(&Catalogue::built_in().with_documents(documents));
    if let Some(vendor) = &hardware.vendor
        && !vendors.speak_of(vendor)
    {
        findings.add(about_no_file(
            Severity::Note,
            "unknown-vendor",
            format!(
                "no catalogue speaks of vendor {vendor:?}: settings were checked against OCPP 1.6 alone; known are {}",
                vendors.all()
            ),
        ));
    }
}

/// The names of rules are in CamelCase in `core`, and in kebab-case on the command line.
fn kebab(name: &str) -> String {
    let mut kebab = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}
