//! Catalogue files: the bytes of a YAML file → the catalogue documents in it, each fact with its place.
//!
//! A file holds a document as the built-in ones are, or `KeyCatalogue` objects with one under `spec`. It is read as
//! kubectl would read it, so that an unquoted `on` or `300` is told before it becomes something else. What does not
//! happen here: any notion of what other catalogues say (that is `stationkeeper_core::catalogue::review`).

use std::path::Path;
use std::sync::{Arc, LazyLock};

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json, json};
use stationkeeper_core::catalogue::{CatalogueDocument, Pattern};

use super::node::{self, Document, Node, Value};
use super::schema::{self, FieldMistake};
use super::{Place, Problem, rule, text};
use crate::objects::schema::Kind;
use crate::objects::{API_VERSION, check};

/// A catalogue document of a file.
#[derive(Debug)]
pub struct CatalogueFile {
    /// What it is called: the name of the object, or of the file.
    pub name: String,
    /// The document, if it could be read.
    pub document: Option<CatalogueDocument>,
    /// What is wrong with it, whatever other documents say.
    pub problems: Vec<Problem>,
    file: Arc<Path>,
    root: Option<Arc<Node>>,
    /// Where the document stands in the object: empty, or `spec`.
    within: &'static str,
}

impl CatalogueFile {
    /// Is it an object of kind `KeyCatalogue`, and not a bare document?
    pub fn is_object(&self) -> bool {
        !self.within.is_empty()
    }

    /// The namespace that the object names.
    pub fn namespace(&self) -> Option<&str> {
        self.root
            .as_ref()?
            .get("metadata")?
            .get("namespace")?
            .string()
    }

    /// A problem with an entry of `keys` (none: the head of the document), and with one fact of it if one is named.
    pub fn problem(&self, entry: Option<usize>, fact: Option<&str>, message: String) -> Problem {
        let field = match (entry, fact) {
            (Some(entry), Some(fact)) => format!("keys[{entry}].{fact}"),
            (Some(entry), None) => format!("keys[{entry}]"),
            (None, _) => String::new(),
        };
        let field = match (self.within, field.as_str()) {
            ("", _) => field,
            (within, "") => within.to_owned(),
            (within, _) => format!("{within}.{field}"),
        };
        let at = self
            .root
            .as_ref()
            .map(|root| root.nearest(&field).at)
            .unwrap_or_default();
        self.located(FieldMistake {
            rule: rule::SCHEMA,
            field,
            at,
            message,
        })
    }

    fn located(&self, mistake: FieldMistake) -> Problem {
        let FieldMistake {
            rule,
            field,
            at,
            message,
        } = mistake;
        Problem {
            rule,
            place: Place {
                file: Arc::clone(&self.file),
                line: at.line,
                column: at.column,
            },
            field,
            message,
        }
    }
}

/// Reads the catalogue documents of a file. Empty: there is nothing in it, or objects of other kinds only.
pub fn read(file: &Arc<Path>, bytes: &[u8]) -> Vec<CatalogueFile> {
    match text(bytes) {
        Ok(text) => {
            let documents = node::documents(text).into_iter();
            documents
                .filter_map(|document| catalogue(file, document))
                .collect()
        }
        Err((at, message)) => {
            let mut broken = unread(file, None, "");
            let mistake = FieldMistake {
                rule: rule::YAML,
                field: String::new(),
                at,
                message,
            };
            broken.problems.push(broken.located(mistake));
            vec![broken]
        }
    }
}

fn unread(file: &Arc<Path>, root: Option<Arc<Node>>, within: &'static str) -> CatalogueFile {
    let object = root
        .as_ref()
        .and_then(|root| root.get("metadata"))
        .and_then(|metadata| metadata.get("name"))
        .and_then(|name| name.string());
    let stem = || file.file_stem().unwrap_or_default().to_string_lossy();
    CatalogueFile {
        name: object.map_or_else(|| stem().into_owned(), str::to_owned),
        document: None,
        problems: Vec::new(),
        file: Arc::clone(file),
        root,
        within,
    }
}

/// One document of the file; `None`: an object of another kind.
fn catalogue(file: &Arc<Path>, document: Document) -> Option<CatalogueFile> {
    let Document { root, mistakes } = document;
    let root = match root {
        Ok(root) => root,
        Err(mistake) => {
            let mut broken = unread(file, None, "");
            let problem = broken.located(FieldMistake::of_text(mistake));
            broken.problems.push(problem);
            return Some(broken);
        }
    };
    let kind = root.get("kind").and_then(|kind| kind.string());
    let within = match kind {
        Some("KeyCatalogue") => "spec",
        Some(_) => return None,
        None => "",
    };
    let mut mistakes: Vec<FieldMistake> = mistakes.into_iter().map(FieldMistake::of_text).collect();
    let mut read = unread(file, Some(Arc::clone(&root)), within);
    let body = match within {
        "" => Some(&root),
        _ => object(&root, &mut mistakes),
    };
    if let Some(body) = body {
        read.document = typed(body, within, &root, &mut mistakes);
    }
    mistakes.sort_by_key(|mistake| mistake.at);
    let problems: Vec<Problem> = mistakes
        .into_iter()
        .map(|mistake| read.located(mistake))
        .collect();
    read.problems.extend(problems);
    let deeper = read.document.iter().flat_map(CatalogueDocument::mistakes);
    let deeper: Vec<Problem> = deeper
        .map(|mistake| read.problem(mistake.entry, None, mistake.message))
        .collect();
    read.problems.extend(deeper);
    Some(read)
}

/// The document of a `KeyCatalogue` object.
fn object<'a>(root: &'a Node, mistakes: &mut Vec<FieldMistake>) -> Option<&'a Arc<Node>> {
    const KNOWN: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
    let mut tell = |field: &str, at, message: String| {
        mistakes.push(FieldMistake {
            rule: rule::SCHEMA,
            field: field.to_owned(),
            at,
            message,
        });
    };
    let version = root.get("apiVersion");
    if version.and_then(|version| version.string()) != Some(API_VERSION) {
        let at = version.map_or(root.at, |version| version.at);
        tell("apiVersion", at, format!("write apiVersion: {API_VERSION}"));
    }
    let name = root
        .get("metadata")
        .and_then(|metadata| metadata.get("name"));
    if name.and_then(|name| name.string()).is_none() {
        let at = root.get("metadata").map_or(root.at, |metadata| metadata.at);
        let message = "is missing: give the object a name".to_owned();
        tell("metadata.name", at, message);
    }
    for entry in root.entries() {
        if !KNOWN.contains(&entry.key.as_str()) {
            let message = "there is no such field here: the facts stand under spec".to_owned();
            tell(&entry.key, entry.at, message);
        }
    }
    let spec = root.get("spec");
    if spec.is_none() {
        let message = "is missing: the facts stand here".to_owned();
        tell("spec", root.at, message);
    }
    spec
}

/// The document, if nothing in it goes against the schema.
fn typed(
    body: &Node,
    within: &str,
    root: &Node,
    mistakes: &mut Vec<FieldMistake>,
) -> Option<CatalogueDocument> {
    if !matches!(body.value, Value::Map(_)) {
        mistakes.push(FieldMistake {
            rule: rule::SCHEMA,
            field: within.to_owned(),
            at: body.at,
            message: "a catalogue is a map with vendor, match, sources and keys".to_owned(),
        });
        return None;
    }
    let before = mistakes.len();
    // An object has the bounds of the one that is installed.
    let schema = match within {
        "" => &SCHEMA,
        _ => &Kind::KeyCatalogue.schema()["properties"]["spec"],
    };
    let json = schema::check(body, schema, within, mistakes)?;
    for mistake in check::check_structure(schema, &json, within) {
        let path = mistake.path.trim_start_matches('.').to_owned();
        // What was said of a field with its place is not said again.
        let said = |said: &FieldMistake| !said.field.is_empty() && path.starts_with(&said.field);
        if !mistakes.iter().any(said) {
            mistakes.push(FieldMistake {
                rule: rule::SCHEMA,
                at: root.nearest(&path).at,
                field: path,
                message: mistake.message,
            });
        }
    }
    if let Some(Json::Array(keys)) = json.get("keys") {
        for (index, key) in keys.iter().enumerate() {
            let Some(Err(error)) = key.get("pattern").and_then(Json::as_str).map(Pattern::new)
            else {
                continue;
            };
            let field = schema::join(within, &format!("keys[{index}].pattern"));
            mistakes.push(FieldMistake {
                rule: rule::SCHEMA,
                at: root.nearest(&field).at,
                message: format!("this pattern cannot be read: {error}"),
                field,
            });
        }
    }
    if mistakes.len() > before {
        return None;
    }
    match serde_json::from_value(json) {
        Ok(document) => Some(document),
        Err(error) => {
            mistakes.push(FieldMistake {
                rule: rule::SCHEMA,
                field: within.to_owned(),
                at: body.at,
                message: format!("cannot be read: {error}"),
            });
            None
        }
    }
}

/// The schema of a catalogue document, in the plain form that the walks understand.
static SCHEMA: LazyLock<Json> = LazyLock::new(|| {
    let settings = SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true);
    let derived = settings
        .into_generator()
        .into_root_schema_for::<CatalogueDocument>();
    plain(derived.as_value())
});

/// A derived schema without what only generators need: optional words and documented words become plain ones.
fn plain(schema: &Json) -> Json {
    if let Some(Json::Array(either)) = schema.get("anyOf") {
        let of_value = either.iter().find(|one| one["nullable"] != true);
        return of_value.map_or_else(|| json!({}), plain);
    }
    if let Some(Json::Array(words)) = schema.get("oneOf") {
        let words: Vec<&Json> = words
            .iter()
            .filter_map(|word| word["enum"].as_array())
            .flatten()
            .collect();
        return json!({"type": "string", "enum": words});
    }
    let mut kept = Map::new();
    for field in ["type", "format", "enum", "required"] {
        if let Some(value) = schema.get(field) {
            kept.insert(field.to_owned(), value.clone());
        }
    }
    for field in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(field).filter(|inner| inner.is_object()) {
            kept.insert(field.to_owned(), plain(inner));
        }
    }
    if let Some(Json::Object(properties)) = schema.get("properties") {
        let properties: Map<String, Json> = properties
            .iter()
            .map(|(name, inner)| (name.clone(), plain(inner)))
            .collect();
        kept.insert("properties".to_owned(), Json::Object(properties));
    }
    Json::Object(kept)
}
