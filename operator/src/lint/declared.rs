//! Declared: the bytes of files → the objects in them with the places of their fields, and what the reader and the rules
//! of the schema say of each. What objects and settings mean together is told by the other modules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use stationkeeper_core::catalogue::{Catalogue, CatalogueDocument, review};
use stationkeeper_core::words::Severity as Remarked;

use super::input::Input;
use super::kebab;
use super::report::{Finding, Findings, Named, Severity};
use crate::manifest::catalogue::{self, CatalogueFile};
use crate::manifest::{
    self, Body, Declared, Fields, Kind, Manifests, ObjectId, Place, Problem, rule,
};
use crate::objects::{ChargeStation, ChargeStationConfig};
use crate::source::SecretData;

/// The rule of files that are no YAML yet.
const TEMPLATE: &str = "unrendered-template";

/// An object that could be read, at least in part.
#[derive(Debug)]
pub(super) struct Object<T> {
    pub(super) id: ObjectId,
    pub(super) fields: Fields,
    pub(super) body: T,
    /// The fields about which something was said already.
    wrong: Vec<String>,
}

impl<T> Object<T> {
    /// Was anything said already about this field, about what is in it, or about what it is in?
    pub(super) fn is_wrong(&self, field: &str) -> bool {
        let within = |inner: &str, outer: &str| {
            inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.wrong
            .iter()
            .any(|wrong| within(wrong, field) || (wrong != "spec" && within(field, wrong)))
    }

    /// A finding about a field of the object.
    pub(super) fn finding(
        &self,
        severity: Severity,
        rule: &str,
        field: &str,
        message: String,
    ) -> Finding {
        Finding {
            place: Some(self.fields.place(field)),
            severity,
            rule: rule.to_owned(),
            object: Some(Named::from(&self.id)),
            field: field.to_owned(),
            key: None,
            message,
        }
    }
}

/// What the files declare.
#[derive(Debug, Default)]
pub(super) struct Declarations {
    pub(super) configs: Vec<Object<ChargeStationConfig>>,
    pub(super) stations: Vec<Object<ChargeStation>>,
    pub(super) secrets: BTreeMap<(String, String), SecretData>,
    /// KeyCatalogue documents by namespace, with their names.
    pub(super) catalogues: BTreeMap<String, Vec<(String, CatalogueDocument)>>,
    /// Every object, in order, bad ones included.
    pub(super) places: Vec<(ObjectId, Place)>,
}

/// Reads the files. Objects without a namespace get `namespace`.
pub(super) fn declared(
    inputs: Vec<Input>,
    namespace: &str,
    findings: &mut Findings,
) -> Declarations {
    let mut declarations = Declarations::default();
    for Input { file, content } in inputs {
        match content {
            Ok(bytes) => read(&mut declarations, &file, &bytes, namespace, findings),
            Err(problem) => findings.add(Finding::of_problem(problem, Severity::Error, None)),
        }
    }
    declarations
}

fn read(
    declarations: &mut Declarations,
    file: &Arc<Path>,
    bytes: &[u8],
    namespace: &str,
    findings: &mut Findings,
) {
    let (manifests, fields) = manifest::read_with_fields(file, bytes, namespace);
    if let Some(template) = template(file, bytes, &manifests) {
        return findings.add(template);
    }
    let Manifests {
        objects,
        problems,
        notes,
    } = manifests;
    for problem in problems {
        findings.add(Finding::of_problem(problem, Severity::Error, None));
    }
    for note in notes {
        findings.add(Finding::of_problem(note, Severity::Note, None));
    }
    // Sound ones, of which there is more to say: the other reader knows the place of each fact.
    let catalogues: BTreeSet<ObjectId> = objects
        .iter()
        .filter(|object| object.id.kind == Kind::Catalogue && object.problems.is_empty())
        .map(|object| object.id.clone())
        .collect();
    for (object, fields) in objects.into_iter().zip(fields) {
        take(declarations, object, fields, findings);
    }
    if catalogues.is_empty() {
        return;
    }
    for read in catalogue::read(file, bytes) {
        let id = ObjectId {
            kind: Kind::Catalogue,
            namespace: read.namespace().unwrap_or(namespace).to_owned(),
            name: read.name.clone(),
        };
        if read.is_object() && catalogues.contains(&id) {
            take_catalogue(declarations, &read, &id, findings);
        }
    }
}

fn take(
    declarations: &mut Declarations,
    object: Declared,
    fields: Fields,
    findings: &mut Findings,
) {
    let Declared {
        id,
        place,
        body,
        problems,
    } = object;
    let wrong = problems
        .iter()
        .map(|problem| problem.field.clone())
        .collect();
    for problem in problems {
        let key = body.as_ref().and_then(|body| key_of(body, &problem.field));
        findings.add(Finding {
            key,
            ..Finding::of_problem(problem, Severity::Error, Some(&id))
        });
    }
    declarations.places.push((id.clone(), place));
    match body {
        Some(Body::Config(config)) => declarations.configs.push(Object {
            id,
            fields,
            body: *config,
            wrong,
        }),
        Some(Body::Station(station)) => declarations.stations.push(Object {
            id,
            fields,
            body: *station,
            wrong,
        }),
        Some(Body::Secret(data)) => {
            declarations.secrets.insert((id.namespace, id.name), data);
        }
        // Its document is read with the places of its facts.
        Some(Body::Catalogue(_)) | None => {}
    }
}

/// The configuration key of the setting that a field such as `spec.settings[2].value` belongs to.
fn key_of(body: &Body, field: &str) -> Option<String> {
    let Body::Config(config) = body else {
        return None;
    };
    let (index, field) = field.strip_prefix("spec.settings[")?.split_once(']')?;
    let key = &config.spec.settings.get(index.parse::<usize>().ok()?)?.key;
    (field != ".key" && !key.is_empty()).then(|| key.clone())
}

/// A KeyCatalogue object, told as `catalogue check` tells it.
fn take_catalogue(
    declarations: &mut Declarations,
    read: &CatalogueFile,
    id: &ObjectId,
    findings: &mut Findings,
) {
    let finding = |problem, severity| Finding::of_problem(problem, severity, Some(id));
    for problem in &read.problems {
        findings.add(finding(problem.clone(), Severity::Error));
    }
    let Some(document) = read.document.as_ref().filter(|_| read.problems.is_empty()) else {
        return;
    };
    for remark in review(&Catalogue::built_in(), &read.name, document) {
        let severity = match remark.severity {
            Remarked::Error => Severity::Error,
            Remarked::Warning => Severity::Warning,
        };
        let key = remark.entry.and_then(|entry| document.keys.get(entry));
        let problem = read.problem(remark.entry, remark.fact, remark.message);
        findings.add(Finding {
            rule: kebab(&remark.rule),
            key: key.map(|entry| entry.key.to_string()),
            ..finding(problem, severity)
        });
    }
    let named = (read.name.clone(), document.clone());
    declarations
        .catalogues
        .entry(id.namespace.clone())
        .or_default()
        .push(named);
}

/// A template's `{{ … }}` breaks the text in many ways, and all of them have one mend.
fn template(file: &Arc<Path>, bytes: &[u8], manifests: &Manifests) -> Option<Finding> {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    let is_template = |line: usize| {
        let line = line.checked_sub(1).and_then(|index| lines.get(index));
        line.is_some_and(|line| !line.trim_start().starts_with('#') && line.contains("{{"))
    };
    let near = |problem: &&Problem| {
        let line = problem.place.line;
        is_template(line) || (problem.rule == rule::YAML && is_template(line.saturating_sub(1)))
    };
    let _ = manifests.all_problems().find(near)?;
    let (index, line) = (lines.iter().enumerate())
        .find(|(index, line)| is_template(index + 1) && line.contains("{{"))?;
    let before = line.find("{{")?;
    Some(Finding {
        place: Some(Place {
            file: Arc::clone(file),
            line: index + 1,
            column: line[..before].chars().count() + 1,
        }),
        severity: Severity::Error,
        rule: TEMPLATE.to_owned(),
        object: None,
        field: String::new(),
        key: None,
        message: template_mend().to_owned(),
    })
}

/// What to do about a template.
fn template_mend() -> &'static str {
    "this is a template that was not rendered: check what Helm makes of it, with \
     `helm template CHART | stationkeeper lint -`"
}

/// The finding of a value that a template was to fill in.
pub(super) fn unrendered(object: &Object<ChargeStationConfig>, field: &str) -> Finding {
    object.finding(Severity::Error, TEMPLATE, field, template_mend().to_owned())
}
