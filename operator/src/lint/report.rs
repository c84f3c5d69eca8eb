//! Report: findings → what people read, and the document that machines read.
//!
//! One line a finding, as compilers write them; the document is `{"findings": […], "summary": {…}}` with absent facts
//! as null. What a finding says is decided elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use crate::manifest::{ObjectId, Place, Problem};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It is refused, or the key is held, until it is mended.
    Error,
    /// It is done all the same, and may not be what is meant.
    Warning,
    /// To be known; nothing is wrong.
    Note,
}

/// An object as findings name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl From<&ObjectId> for Named {
    fn from(id: &ObjectId) -> Self {
        Self {
            kind: id.kind.as_str(),
            namespace: id.namespace.clone(),
            name: id.name.clone(),
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Where; `None`: it is about no file.
    pub place: Option<Place>,
    /// How bad it is.
    pub severity: Severity,
    /// The name of the rule, by which it can be searched for.
    pub rule: String,
    /// The object that it is about, if one.
    pub object: Option<Named>,
    /// The field, as `spec.settings[2].value`; empty where it is not about one.
    pub field: String,
    /// The configuration key, if it is about one.
    pub key: Option<String>,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Finding {
    /// A problem that the reader tells.
    pub(super) fn of_problem(
        problem: Problem,
        severity: Severity,
        object: Option<&ObjectId>,
    ) -> Self {
        let Problem {
            rule,
            place,
            field,
            message,
        } = problem;
        Self {
            place: Some(place),
            severity,
            rule: rule.to_owned(),
            object: object.map(Named::from),
            field,
            key: None,
            message,
        }
    }
}

/// All that was found, each thing once.
#[derive(Debug, Default)]
pub struct Findings {
    /// With the stations on which it was found.
    found: BTreeMap<Finding, Whom>,
}

/// On which stations something was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whom {
    /// Names of stations.
    pub stations: BTreeSet<String>,
    /// What stations without a name are.
    pub like: BTreeSet<String>,
    /// Does the finding hang on which station it is, so that the text has to say?
    pub told: bool,
}

impl Findings {
    /// Takes a finding in.
    pub(super) fn add(&mut self, finding: Finding) {
        self.found.entry(finding).or_default();
    }

    /// Takes in what was found on stations.
    pub(super) fn add_on(&mut self, finding: Finding, found_on: &Whom) {
        let Whom {
            stations,
            like,
            told,
        } = found_on;
        let whom = self.found.entry(finding).or_default();
        whom.stations.extend(stations.iter().cloned());
        whom.like.extend(like.iter().cloned());
        whom.told |= told;
    }

    /// All of it, in order of place.
    pub fn iter(&self) -> impl Iterator<Item = (&Finding, &Whom)> {
        self.found.iter()
    }

    fn count(&self, severity: Severity) -> usize {
        let of_it = |finding: &&Finding| finding.severity == severity;
        self.found.keys().filter(of_it).count()
    }
}

/// What a run found.
#[derive(Debug, Default)]
pub struct Report {
    /// What was found.
    pub findings: Findings,
    /// How many files were read.
    pub files: usize,
    /// How many objects of ours, and Secrets, are in them.
    pub objects: usize,
}

impl Report {
    /// Is there something to be mended?
    pub fn errors(&self) -> usize {
        self.findings.count(Severity::Error)
    }

    /// Is there something to be looked at?
    pub fn warnings(&self) -> usize {
        self.findings.count(Severity::Warning)
    }

    /// The document for machines.
    pub fn document(&self) -> Document {
        Document {
            findings: self.findings.iter().map(told).collect(),
            summary: Summary {
                files: self.files,
                objects: self.objects,
                errors: self.errors(),
                warnings: self.warnings(),
                notes: self.findings.count(Severity::Note),
            },
        }
    }

    /// The lines for people.
    pub fn text(&self, colour: bool) -> String {
        let mut text = String::new();
        for (finding, whom) in self.findings.iter() {
            line(&mut text, finding, whom, colour);
        }
        let Summary {
            files,
            objects,
            errors,
            warnings,
            notes,
        } = self.document().summary;
        let _ = writeln!(
            text,
            "{} in {}: {}, {}, {}",
            counted(objects, "object"),
            counted(files, "file"),
            counted(errors, "error"),
            counted(warnings, "warning"),
            counted(notes, "note"),
        );
        text
    }
}

/// The document for machines.
#[derive(Debug, Serialize)]
pub struct Document {
    findings: Vec<Told>,
    summary: Summary,
}

#[derive(Debug, Serialize)]
struct Told {
    file: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
    severity: Severity,
    rule: String,
    kind: Option<&'static str>,
    namespace: Option<String>,
    name: Option<String>,
    field: Option<String>,
    key: Option<String>,
    station: Option<String>,
    message: String,
}

#[derive(Debug, Serialize)]
struct Summary {
    files: usize,
    objects: usize,
    errors: usize,
    warnings: usize,
    notes: usize,
}

fn told((finding, whom): (&Finding, &Whom)) -> Told {
    let Finding {
        place,
        severity,
        rule,
        object,
        field,
        key,
        message,
    } = finding;
    let line = place.as_ref().filter(|place| place.line > 0);
    Told {
        file: place.as_ref().map(|place| place.file.display().to_string()),
        line: line.map(|place| place.line),
        column: line.map(|place| place.column),
        severity: *severity,
        rule: rule.clone(),
        kind: object.as_ref().map(|object| object.kind),
        namespace: object.as_ref().map(|object| object.namespace.clone()),
        name: object.as_ref().map(|object| object.name.clone()),
        field: Some(field.clone()).filter(|field| !field.is_empty()),
        key: key.clone(),
        station: whom.stations.first().cloned(),
        message: message.clone(),
    }
}

fn line(text: &mut String, finding: &Finding, whom: &Whom, colour: bool) {
    let Finding {
        place,
        severity,
        rule,
        object: _,
        field,
        key,
        message,
    } = finding;
    if let Some(place) = place {
        let _ = write!(text, "{place}: ");
    }
    let (word, code) = match severity {
        Severity::Error => ("error", "1;31"),
        Severity::Warning => ("warning", "1;33"),
        Severity::Note => ("note", "1;36"),
    };
    if colour {
        let _ = write!(text, "\x1b[{code}m{word}\x1b[0m: ");
    } else {
        let _ = write!(text, "{word}: ");
    }
    match (field.as_str(), key) {
        ("", None) => {}
        ("", Some(key)) => {
            let _ = write!(text, "{key}: ");
        }
        (field, None) => {
            let _ = write!(text, "{field}: ");
        }
        (field, Some(key)) => {
            let _ = write!(text, "{field} ({key}): ");
        }
    }
    text.push_str(message);
    let mut on = whom.stations.iter().chain(&whom.like);
    if let Some(first) = on.next().filter(|_| whom.told) {
        let _ = match on.count() {
            0 => write!(text, " (on {first})"),
            more => write!(text, " (on {first} and {more} more)"),
        };
    }
    let _ = writeln!(text, " [{rule}]");
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}
