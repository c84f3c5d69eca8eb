//! Manifests: the bytes of a YAML or JSON file → the objects in it, as kubectl would read them.
//!
//! In come the bytes of one file; out go its ChargeStationConfigs, ChargeStations, KeyCatalogues and Secrets, each with its place, and
//! every problem with file, line, column, reason and mend. One bad document does not stop the others. Objects of other
//! groups are noted and left alone. What does not happen here: reading the disk, watching, and any decision about what a
//! bad object means for the stations (that is [`crate::folder`]'s).

pub mod catalogue;
mod fields;
mod node;
mod salvage;
mod schema;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use secrecy::SecretSlice;
use serde::de::DeserializeOwned;
use serde_json::json;

pub use self::fields::Fields;
use self::node::{Document, Node, Position, Value, shorten};
use self::salvage::salvage;
use self::schema::{FieldMistake, nearest};
use crate::objects::schema::Kind as SchemaKind;
use crate::objects::{
    API_VERSION, ChargeStation, ChargeStationConfig, GROUP, KeyCatalogue, VERSION, check,
};
use crate::source::SecretData;

/// The largest file that is read: some 20,000 stations. A larger one is a mistake more often than a fleet.
pub const MAX_FILE_BYTES: usize = 8 * 1024 * 1024;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: Arc<Path>,
    /// From 1; 0: the file as a whole.
    pub line: usize,
    /// From 1; 0: the file as a whole.
    pub column: usize,
}

impl Place {
    /// A file as a whole.
    pub fn whole(file: &Arc<Path>) -> Self {
        Self {
            file: Arc::clone(file),
            line: 0,
            column: 0,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file.display()),
            line => write!(f, "{}:{line}:{}", self.file.display(), self.column),
        }
    }
}

/// The names by which problems of reading can be searched for; they do not change.
pub mod rule {
    /// The bytes are no text, or the text is no YAML or JSON, or too large.
    pub const YAML: &str = "yaml";
    /// A key stands twice in one map.
    pub const DUPLICATE_KEY: &str = "duplicate-key";
    /// A key of a map that kubectl takes for something else than a string.
    pub const QUOTE_KEY: &str = "quote-key";
    /// A value that should be a string, and without quotes is none to kubectl.
    pub const QUOTE_VALUE: &str = "quote-value";
    /// A field that no schema has.
    pub const UNKNOWN_FIELD: &str = "unknown-field";
    /// Types, bounds and rules of the CustomResourceDefinitions: what an API server would refuse.
    pub const SCHEMA: &str = "schema";
    /// An object of another kind, left alone.
    pub const OTHER_KIND: &str = "other-kind";
}

/// What is wrong in a file, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Which rule is broken: one of [`rule`].
    pub rule: &'static str,
    /// Where.
    pub place: Place,
    /// The field, as `spec.settings[2].value`; empty where it is not about one.
    pub field: String,
    /// The reason and the mend. Never a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => write!(f, "{}: {}", self.place, self.message),
            field => write!(f, "{}: {field}: {}", self.place, self.message),
        }
    }
}

/// The kinds that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `ChargeStationConfig`.
    Config,
    /// `ChargeStation`.
    Station,
    /// `KeyCatalogue`.
    Catalogue,
    /// `Secret`.
    Secret,
}

impl Kind {
    /// The kinds of ours: those with a spec and a status.
    pub const OURS: [Self; 3] = [Self::Config, Self::Station, Self::Catalogue];

    /// As manifests spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config => "ChargeStationConfig",
            Self::Station => "ChargeStation",
            Self::Catalogue => "KeyCatalogue",
            Self::Secret => "Secret",
        }
    }
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

/// An object that a file declares.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Which.
    pub id: ObjectId,
    /// Where its document starts.
    pub place: Place,
    /// What it is; with problems: what could be saved of it.
    pub body: Option<Body>,
    /// Empty: the object is good.
    pub problems: Vec<Problem>,
}

/// What an object is.
#[derive(Clone, Debug)]
pub enum Body {
    /// A config.
    Config(Box<ChargeStationConfig>),
    /// A station.
    Station(Box<ChargeStation>),
    /// A catalogue.
    Catalogue(Box<KeyCatalogue>),
    /// A Secret's data.
    Secret(SecretData),
}

/// What a file holds.
#[derive(Clone, Debug, Default)]
pub struct Manifests {
    /// The objects, bad ones included as far as it is known which they are.
    pub objects: Vec<Declared>,
    /// What is wrong besides: documents of which it is not even known what they declare. While there is one, an object
    /// that the file declared before cannot be said to be gone.
    pub problems: Vec<Problem>,
    /// What was left alone.
    pub notes: Vec<Problem>,
}

impl Manifests {
    /// All that is wrong with the file.
    pub fn all_problems(&self) -> impl Iterator<Item = &Problem> {
        self.problems
            .iter()
            .chain(self.objects.iter().flat_map(|object| &object.problems))
    }
}

/// Reads a file. Objects without a namespace get `default_namespace`.
pub fn read(file: &Arc<Path>, bytes: &[u8], default_namespace: &str) -> Manifests {
    Reader::read(file, bytes, default_namespace, None).0
}

/// The same, with the fields of each object, in the order of the objects.
pub fn read_with_fields(
    file: &Arc<Path>,
    bytes: &[u8],
    default_namespace: &str,
) -> (Manifests, Vec<Fields>) {
    Reader::read(file, bytes, default_namespace, Some(Vec::new()))
}

/// The problem of a file that is too large to be read at all.
pub fn too_large(file: &Arc<Path>, bytes: u64) -> Problem {
    Problem {
        rule: rule::YAML,
        place: Place::whole(file),
        field: String::new(),
        message: format!(
            "the file has {bytes} bytes: at most {MAX_FILE_BYTES} are read; split it into several files"
        ),
    }
}

fn text(bytes: &[u8]) -> Result<&str, (Position, String)> {
    if bytes.len() > MAX_FILE_BYTES {
        let message = format!(
            "the file has {} bytes: at most {MAX_FILE_BYTES} are read; split it into several files",
            bytes.len()
        );
        return Err((Position::default(), message));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err((
            Position { line: 1, column: 1 },
            "the file is UTF-16: save it as UTF-8".to_owned(),
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |newline| newline + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        (
            Position { line, column },
            "not text: this byte is not UTF-8; save the file as UTF-8".to_owned(),
        )
    })?;
    // Windows editors put a byte-order mark in front.
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

struct Reader<'a> {
    /// The tree of each object, if somebody asked for it.
    fields: Option<Vec<Fields>>,
    file: &'a Arc<Path>,
    default_namespace: &'a str,
    manifests: Manifests,
}

/// What kind a document says it is.
enum Said {
    Ours(Kind),
    List,
    Foreign(String),
    Wrong(FieldMistake),
}

impl<'a> Reader<'a> {
    fn read(
        file: &'a Arc<Path>,
        bytes: &[u8],
        default_namespace: &'a str,
        fields: Option<Vec<Fields>>,
    ) -> (Manifests, Vec<Fields>) {
        let mut reader = Self {
            fields,
            file,
            default_namespace,
            manifests: Manifests::default(),
        };
        match text(bytes) {
            Ok(text) => node::documents(text)
                .into_iter()
                .for_each(|document| reader.document(document)),
            Err((at, message)) => reader.problem(FieldMistake {
                rule: rule::YAML,
                field: String::new(),
                at,
                message,
            }),
        }
        (reader.manifests, reader.fields.unwrap_or_default())
    }

    fn located(&self, mistake: FieldMistake) -> Problem {
        let place = Place {
            file: Arc::clone(self.file),
            line: mistake.at.line,
            column: mistake.at.column,
        };
        Problem {
            rule: mistake.rule,
            place,
            field: mistake.field,
            message: mistake.message,
        }
    }

    fn problem(&mut self, mistake: FieldMistake) {
        let problem = self.located(mistake);
        self.manifests.problems.push(problem);
    }

    fn document(&mut self, document: Document) {
        let Document { root, mistakes } = document;
        match root {
            Ok(root) => self.object(
                &root,
                mistakes.into_iter().map(FieldMistake::of_text).collect(),
            ),
            Err(mistake) => self.problem(FieldMistake::of_text(mistake)),
        }
    }

    fn object(&mut self, root: &Arc<Node>, mistakes: Vec<FieldMistake>) {
        match said(root) {
            Said::Foreign(what) => {
                let message = format!("{what} is not read here, and was left alone");
                let note = self.located(FieldMistake {
                    rule: rule::OTHER_KIND,
                    field: String::new(),
                    at: root.at,
                    message,
                });
                self.manifests.notes.push(note);
            }
            Said::Wrong(mistake) => {
                self.problem(mistake);
                mistakes
                    .into_iter()
                    .for_each(|mistake| self.problem(mistake));
            }
            Said::List => self.list(root, mistakes),
            Said::Ours(kind) => self.declare(kind, root, mistakes),
        }
    }

    fn list(&mut self, root: &Arc<Node>, mistakes: Vec<FieldMistake>) {
        // A mistake of the text may stand in any of the objects: it holds those that start before it and end after it.
        let Some(Value::List(objects)) = root.get("items").map(|items| &items.value) else {
            mistakes
                .into_iter()
                .for_each(|mistake| self.problem(mistake));
            let message = "is missing: a List has its objects there".to_owned();
            return self.problem(FieldMistake {
                rule: rule::SCHEMA,
                field: "items".to_owned(),
                at: root.at,
                message,
            });
        };
        let mut mistakes = mistakes;
        for (index, object) in objects.iter().enumerate() {
            let end = objects.get(index + 1).map(|next| next.at);
            let (here, rest) = mistakes.into_iter().partition(|mistake| {
                mistake.at >= object.at && end.is_none_or(|end| mistake.at < end)
            });
            mistakes = rest;
            self.object(object, here);
        }
        mistakes
            .into_iter()
            .for_each(|mistake| self.problem(mistake));
    }

    fn nameless(&self, kind: Kind, root: &Node, mistakes: &mut Vec<FieldMistake>) {
        let metadata = ObjectMeta {
            name: Some("nameless".to_owned()),
            ..ObjectMeta::default()
        };
        match kind {
            Kind::Config => {
                let kind = SchemaKind::ChargeStationConfig;
                let _ = object::<ChargeStationConfig>(kind, root, metadata, mistakes);
            }
            Kind::Station => {
                let kind = SchemaKind::ChargeStation;
                let _ = object::<ChargeStation>(kind, root, metadata, mistakes);
            }
            Kind::Catalogue => {
                let kind = SchemaKind::KeyCatalogue;
                let _ = object::<KeyCatalogue>(kind, root, metadata, mistakes);
            }
            Kind::Secret => {
                let _ = secret(root, mistakes);
            }
        }
    }

    fn declare(&mut self, kind: Kind, root: &Arc<Node>, mut mistakes: Vec<FieldMistake>) {
        let known: &[&str] = match kind {
            Kind::Config | Kind::Station | Kind::Catalogue => {
                &["apiVersion", "kind", "metadata", "spec", "status"]
            }
            Kind::Secret => &[
                "apiVersion",
                "kind",
                "metadata",
                "data",
                "stringData",
                "type",
                "immutable",
            ],
        };
        for entry in root
            .entries()
            .iter()
            .filter(|entry| !known.contains(&entry.key.as_str()))
        {
            let hint = nearest(&entry.key, known.iter().copied())
                .map(|near| format!(": did you mean {near:?}?"));
            mistakes.push(FieldMistake {
                rule: rule::UNKNOWN_FIELD,
                field: entry.key.clone(),
                at: entry.at,
                message: format!("there is no such field here{}", hint.unwrap_or_default()),
            });
        }
        let metadata = match metadata(root, self.default_namespace, &mut mistakes) {
            Some(metadata) => metadata,
            // Without a name it is not known which object this is; what else is wrong with it is told all the same.
            None => {
                self.nameless(kind, root, &mut mistakes);
                return mistakes
                    .into_iter()
                    .for_each(|mistake| self.problem(mistake));
            }
        };
        let id = ObjectId {
            kind,
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        };
        let body = match kind {
            Kind::Config => object(
                SchemaKind::ChargeStationConfig,
                root,
                metadata,
                &mut mistakes,
            )
            .map(|config: ChargeStationConfig| Body::Config(Box::new(config))),
            Kind::Station => object(SchemaKind::ChargeStation, root, metadata, &mut mistakes)
                .map(|station: ChargeStation| Body::Station(Box::new(station))),
            Kind::Catalogue => object(SchemaKind::KeyCatalogue, root, metadata, &mut mistakes)
                .map(|catalogue: KeyCatalogue| Body::Catalogue(Box::new(catalogue))),
            Kind::Secret => Some(Body::Secret(secret(root, &mut mistakes))),
        };
        let place = Place {
            file: Arc::clone(self.file),
            line: root.at.line,
            column: root.at.column,
        };
        let problems = mistakes
            .into_iter()
            .map(|mistake| self.located(mistake))
            .collect();
        if let Some(fields) = &mut self.fields {
            fields.push(Fields::new(self.file, root));
        }
        self.manifests.objects.push(Declared {
            id,
            place,
            body,
            problems,
        });
    }
}

fn said(root: &Node) -> Said {
    let wrong = |field: &str, at: Position, message: String| {
        Said::Wrong(FieldMistake {
            rule: rule::SCHEMA,
            field: field.to_owned(),
            at,
            message,
        })
    };
    if !matches!(root.value, Value::Map(_)) {
        return wrong(
            "",
            root.at,
            "an object is a map with apiVersion, kind, metadata and spec".to_owned(),
        );
    }
    let text = |field: &str| root.get(field).and_then(|node| node.string());
    let (api, kind) = match (text("apiVersion"), text("kind")) {
        (Some(api), Some(kind)) => (api, kind),
        (None, _) => {
            let at = root.get("apiVersion").map_or(root.at, |node| node.at);
            return wrong(
                "apiVersion",
                at,
                format!("is missing: an object of ours has `apiVersion: {GROUP}/{VERSION}`"),
            );
        }
        (Some(_), None) => {
            let at = root.get("kind").map_or(root.at, |node| node.at);
            return wrong(
                "kind",
                at,
                "is missing: say `kind: ChargeStationConfig`, `kind: ChargeStation` or `kind: KeyCatalogue`".to_owned(),
            );
        }
    };
    let place = |field: &str| root.get(field).map_or(root.at, |node| node.at);
    let group = api.split_once('/').map_or("", |(group, _)| group);
    let ours = Kind::OURS;
    let list_of = |kind: Kind| format!("{}List", kind.as_str());
    match (api, kind) {
        ("v1", "List" | "SecretList") => Said::List,
        ("v1", "Secret") => Said::Ours(Kind::Secret),
        (_, _) if group == GROUP => {
            let Some(ours) = ours
                .into_iter()
                .find(|ours| ours.as_str() == kind || list_of(*ours) == kind)
            else {
                let near = nearest(kind, ours.map(Kind::as_str))
                    .map(|near| format!("; did you mean {near:?}?"));
                let message = format!(
                    "{:?} is no kind of {GROUP}: it has ChargeStationConfig, ChargeStation and KeyCatalogue{}",
                    shorten(kind),
                    near.unwrap_or_default()
                );
                return wrong("kind", place("kind"), message);
            };
            if api != API_VERSION {
                let message = format!(
                    "{:?} is not a version that is read here: write {GROUP}/{VERSION}",
                    shorten(api)
                );
                return wrong("apiVersion", place("apiVersion"), message);
            }
            if ours.as_str() == kind {
                Said::Ours(ours)
            } else {
                Said::List
            }
        }
        (api, kind) => {
            let near_group = nearest(group, [GROUP]).is_some();
            let our_kind = ours
                .into_iter()
                .find(|ours| nearest(kind, [ours.as_str()]).is_some());
            match our_kind {
                Some(ours) if ours.as_str() == kind || near_group || group.is_empty() => wrong(
                    "apiVersion",
                    place("apiVersion"),
                    format!(
                        "{:?} has no {}: write {GROUP}/{VERSION}",
                        shorten(api),
                        ours.as_str()
                    ),
                ),
                _ if kind == "Secret" => wrong(
                    "apiVersion",
                    place("apiVersion"),
                    format!("{:?} has no Secret: write v1", shorten(api)),
                ),
                _ => Said::Foreign(format!("{} ({})", shorten(kind), shorten(api))),
            }
        }
    }
}

/// What metadata an object of a manifest has: names, labels, annotations. What the API server would fill is left out,
/// so that the output of `kubectl get -o yaml` can be used as it is.
fn metadata(
    root: &Node,
    default_namespace: &str,
    mistakes: &mut Vec<FieldMistake>,
) -> Option<ObjectMeta> {
    const WRITTEN: [&str; 4] = ["name", "namespace", "labels", "annotations"];
    const FILLED: [&str; 11] = [
        "generateName",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    ];
    let mut tell = |field: String, at: Position, message: String| {
        mistakes.push(FieldMistake {
            rule: rule::SCHEMA,
            field,
            at,
            message,
        })
    };
    let Some(metadata) = root
        .get("metadata")
        .filter(|metadata| matches!(metadata.value, Value::Map(_)))
    else {
        tell(
            "metadata".to_owned(),
            root.at,
            "is missing: add `metadata: {name: …}`".to_owned(),
        );
        return None;
    };
    for entry in metadata.entries() {
        if !WRITTEN.contains(&entry.key.as_str()) && !FILLED.contains(&entry.key.as_str()) {
            let hint = nearest(&entry.key, WRITTEN)
                .map(|near| format!(": did you mean {near:?}?"))
                .unwrap_or_default();
            tell(
                format!("metadata.{}", entry.key),
                entry.at,
                format!("there is no such field here{hint}"),
            );
        }
    }
    let name = match metadata.get("name") {
        None => {
            tell(
                "metadata.name".to_owned(),
                metadata.at,
                "is missing: give the object a name".to_owned(),
            );
            return None;
        }
        Some(node) => match node.string() {
            Some(name) => (name, node.at),
            None => {
                let message = "must be a string: quote it".to_owned();
                tell("metadata.name".to_owned(), node.at, message);
                return None;
            }
        },
    };
    if let Err(reason) = subdomain(name.0) {
        tell(
            "metadata.name".to_owned(),
            name.1,
            format!("{:?} is no good name: {reason}", shorten(name.0)),
        );
        return None;
    }
    let namespace = match metadata.get("namespace").filter(|node| !node.is_null()) {
        None => default_namespace.to_owned(),
        Some(node) => match node
            .string()
            .map(|namespace| (namespace, label_name(namespace)))
        {
            Some((namespace, Ok(()))) => namespace.to_owned(),
            Some((namespace, Err(reason))) => {
                let message = format!("{:?} is no good namespace: {reason}", shorten(namespace));
                tell("metadata.namespace".to_owned(), node.at, message);
                return None;
            }
            None => {
                tell(
                    "metadata.namespace".to_owned(),
                    node.at,
                    "must be a string: quote it".to_owned(),
                );
                return None;
            }
        },
    };
    let mut map = |field: &str| -> Option<BTreeMap<String, String>> {
        let node = metadata.get(field).filter(|node| !node.is_null())?;
        let strings = json!({"type": "object", "additionalProperties": {"type": "string"}});
        let json = schema::check(node, &strings, &format!("metadata.{field}"), mistakes)?;
        serde_json::from_value(json).ok()
    };
    let (labels, annotations) = (map("labels"), map("annotations"));
    Some(ObjectMeta {
        name: Some(name.0.to_owned()),
        namespace: Some(namespace),
        labels,
        annotations,
        ..ObjectMeta::default()
    })
}

/// An object of ours, checked as the API server would; with mistakes what can be saved of it, if anything.
fn object<K: DeserializeOwned>(
    kind: SchemaKind,
    root: &Node,
    metadata: ObjectMeta,
    mistakes: &mut Vec<FieldMistake>,
) -> Option<K> {
    let schema = &kind.schema()["properties"]["spec"];
    let mut object = json!({"apiVersion": API_VERSION, "kind": kind.name(), "metadata": metadata});
    if let Some(spec) = root
        .get("spec")
        .and_then(|node| schema::check(node, schema, "spec", mistakes))
    {
        object["spec"] = spec;
    }
    for mistake in check::check_manifest(kind, &object) {
        // What was said of a field with its place is not said again.
        if !mistakes
            .iter()
            .any(|said| !said.field.is_empty() && mistake.path.starts_with(&said.field))
        {
            let at = root.nearest(&mistake.path).at;
            mistakes.push(FieldMistake {
                rule: rule::SCHEMA,
                field: mistake.path,
                at,
                message: mistake.message,
            });
        }
    }
    if !mistakes.is_empty() {
        return serde_json::from_value(salvage(kind, object, mistakes)).ok();
    }
    match serde_json::from_value(object) {
        Ok(object) => Some(object),
        Err(error) => {
            let at = root.nearest("spec").at;
            mistakes.push(FieldMistake {
                rule: rule::SCHEMA,
                field: "spec".to_owned(),
                at,
                message: format!("cannot be read: {error}"),
            });
            None
        }
    }
}

/// A Secret's data. No message quotes a value.
fn secret(root: &Node, mistakes: &mut Vec<FieldMistake>) -> SecretData {
    let mut data = SecretData::new();
    let mut tell = |field: &str, key: &str, at: Position, message: &str| {
        mistakes.push(FieldMistake {
            rule: rule::SCHEMA,
            field: format!("{field}.{key}"),
            at,
            message: message.to_owned(),
        });
    };
    for field in ["data", "stringData"] {
        let Some(node) = root.get(field).filter(|node| !node.is_null()) else {
            continue;
        };
        if !matches!(node.value, Value::Map(_)) {
            tell(field, "", node.at, "must be a map of strings");
        }
        for entry in node.entries() {
            let Some(text) = entry.value.string() else {
                tell(
                    field,
                    &entry.key,
                    entry.value.at,
                    "must be a string, and without quotes it is none to kubectl: quote it",
                );
                continue;
            };
            let value = if field == "data" {
                let packed: String = text.split_ascii_whitespace().collect();
                match STANDARD.decode(packed) {
                    Ok(bytes) => bytes,
                    Err(_) => {
                        tell(
                            field,
                            &entry.key,
                            entry.value.at,
                            "is not base64: encode it, or put it under stringData as it is",
                        );
                        continue;
                    }
                }
            } else {
                text.as_bytes().to_vec()
            };
            // As on the API server, stringData wins.
            data.insert(entry.key.clone(), SecretSlice::from(value));
        }
    }
    data
}

/// RFC 1123 subdomain, as Kubernetes asks of object names.
fn subdomain(name: &str) -> Result<(), &'static str> {
    const RULE: &str = "lower-case letters, digits, `-` and `.`, at most 253, starting and ending with a letter or digit";
    let part = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    if name.len() <= 253 && name.split('.').all(part) {
        Ok(())
    } else {
        Err(RULE)
    }
}

/// RFC 1123 label, as Kubernetes asks of namespaces.
fn label_name(name: &str) -> Result<(), &'static str> {
    const RULE: &str = "lower-case letters, digits and `-`, at most 63, starting and ending with a letter or digit";
    if name.len() <= 63 && !name.contains('.') && subdomain(name).is_ok() {
        Ok(())
    } else {
        Err(RULE)
    }
}

#[cfg(test)]
mod tests;
