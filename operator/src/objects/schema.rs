//! Schema: the derived CustomResourceDefinitions → those that are installed.
//!
//! kube's derive gives the shape; here come bounds (`bounds`), CEL rules (`rules`) and the manners
//! that a derive cannot know: no `nullable`, no unsigned formats, every list with a type, a status default that kstatus
//! understands, descriptions without line breaks. Nothing here reads or writes files.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use super::bounds::{self, Bound, ListType, Row};
use super::columns::{self, Column};
use super::rules::{self, Rule};
use super::{ChargeStation, ChargeStationConfig, KeyCatalogue};

/// One of our kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `ChargeStationConfig`.
    ChargeStationConfig,
    /// `ChargeStation`.
    ChargeStation,
    /// `KeyCatalogue`.
    KeyCatalogue,
}

impl Kind {
    /// All kinds, in the order in which they are printed.
    pub const ALL: [Self; 3] = [
        Self::ChargeStationConfig,
        Self::ChargeStation,
        Self::KeyCatalogue,
    ];

    /// The kind with this name, if it is one of ours.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What stands under `kind:`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChargeStationConfig => "ChargeStationConfig",
            Self::ChargeStation => "ChargeStation",
            Self::KeyCatalogue => "KeyCatalogue",
        }
    }

    /// The schema of an object of this kind as it is installed, from its root (`spec`, `status`).
    pub fn schema(self) -> &'static Value {
        static CONFIG: LazyLock<Value> = LazyLock::new(|| root_schema(Kind::ChargeStationConfig));
        static STATION: LazyLock<Value> = LazyLock::new(|| root_schema(Kind::ChargeStation));
        static CATALOGUE: LazyLock<Value> = LazyLock::new(|| root_schema(Kind::KeyCatalogue));
        match self {
            Self::ChargeStationConfig => &CONFIG,
            Self::ChargeStation => &STATION,
            Self::KeyCatalogue => &CATALOGUE,
        }
    }

    /// The rules that the schema cannot say.
    pub(super) fn rules(self) -> &'static [Rule] {
        match self {
            Self::ChargeStationConfig => rules::CONFIG,
            Self::ChargeStation => rules::STATION,
            Self::KeyCatalogue => rules::CATALOGUE,
        }
    }

    fn bounds(self) -> &'static [Row] {
        match self {
            Self::ChargeStationConfig => bounds::CONFIG,
            Self::ChargeStation => bounds::STATION,
            Self::KeyCatalogue => bounds::CATALOGUE,
        }
    }

    fn columns(self) -> &'static [Column] {
        match self {
            Self::ChargeStationConfig => columns::CONFIG,
            Self::ChargeStation => columns::STATION,
            Self::KeyCatalogue => columns::CATALOGUE,
        }
    }

    fn derived(self) -> CustomResourceDefinition {
        match self {
            Self::ChargeStationConfig => ChargeStationConfig::crd(),
            Self::ChargeStation => ChargeStation::crd(),
            Self::KeyCatalogue => KeyCatalogue::crd(),
        }
    }
}

/// All CustomResourceDefinitions, as they are to be installed.
pub fn crds() -> Vec<CustomResourceDefinition> {
    Kind::ALL.into_iter().map(crd).collect()
}

/// The CustomResourceDefinition of a kind, as it is to be installed.
pub fn crd(kind: Kind) -> CustomResourceDefinition {
    serde_json::from_value(definition(kind))
        .expect("a definition stays one when its schema is refined")
}

/// As [`crd`], in the form in which it is printed: maps sorted, so that the same definition is the same text.
pub fn definition(kind: Kind) -> Value {
    let mut definition = serde_json::to_value(kind.derived()).expect("a definition is plain data");
    let version = &mut definition["spec"]["versions"][0];
    version["additionalPrinterColumns"] = kind.columns().iter().map(Column::definition).collect();
    version["schema"]["openAPIV3Schema"] = kind.schema().clone();
    definition
}

/// As [`crd`], as a YAML document without a separator.
pub fn yaml(kind: Kind) -> String {
    serde_yaml::to_string(&definition(kind))
        .expect("a definition is plain data with strings as map keys")
}

fn root_schema(kind: Kind) -> Value {
    let derived = serde_json::to_value(kind.derived()).expect("a definition is plain data");
    let mut root = derived["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
    if let Some(root) = root.as_object_mut() {
        root.remove("title");
    }
    at_every_node(&mut root, &mut String::new(), &mut |path, node| {
        mannerly(path, node)
    });
    lay_over(&mut root, bounds::CONDITIONS);
    lay_over(&mut root, kind.bounds());
    add_rules(&mut root, kind.rules());
    root["properties"]["status"]["default"] = json!({"observedGeneration": -1});
    root
}

/// Calls `visit` with each node of a schema and its path, parents first.
fn at_every_node(
    node: &mut Value,
    path: &mut String,
    visit: &mut dyn FnMut(&str, &mut Map<String, Value>),
) {
    let Some(object) = node.as_object_mut() else {
        return;
    };
    visit(path, object);
    let length = path.len();
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, property) in properties {
            if length > 0 {
                path.push('.');
            }
            path.push_str(name);
            at_every_node(property, path, visit);
            path.truncate(length);
        }
    }
    for (field, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(inner) = object.get_mut(field) {
            path.push_str(mark);
            at_every_node(inner, path, visit);
            path.truncate(length);
        }
    }
}

/// What holds for every node, whatever it is.
fn mannerly(path: &str, node: &mut Map<String, Value>) {
    node.remove("nullable");
    if path.starts_with("status") {
        // A default inside of status would be owned by nobody and come back after every apply.
        node.remove("default");
    }
    if let Some(Value::Array(values)) = node.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if path.ends_with("[]") || path.ends_with("{}") {
        // `kubectl explain` would print it below what is said of the list or map.
        node.remove("description");
    }
    if let Some(Value::String(description)) = node.get_mut("description") {
        *description = flowing(description);
    }
    match node.get("format").and_then(Value::as_str) {
        Some("uint8" | "uint16" | "uint32" | "uint64" | "uint") => {
            node.insert("format".to_owned(), json!("int64"));
            node.insert("minimum".to_owned(), json!(0));
        }
        Some("date-time") => {
            node.insert("maxLength".to_owned(), json!(bounds::TIME_LENGTH));
        }
        Some(_) | None => {}
    }
    let unlisted = path.starts_with("status.memory");
    match node.get("type").and_then(Value::as_str) {
        Some("array") => {
            node.insert("x-kubernetes-list-type".to_owned(), json!("atomic"));
            if unlisted {
                node.insert("maxItems".to_owned(), json!(bounds::MEMORY_LIST));
            }
        }
        Some("string")
            if unlisted && !node.contains_key("enum") && !node.contains_key("maxLength") =>
        {
            node.insert("maxLength".to_owned(), json!(bounds::MEMORY_TEXT));
        }
        Some(_) | None => {}
    }
}

/// Line breaks of the source become spaces; paragraphs stay.
fn flowing(text: &str) -> String {
    let paragraphs: Vec<String> = text
        .split("\n\n")
        .map(|paragraph| paragraph.replace('\n', " "))
        .collect();
    paragraphs.join("\n\n")
}

fn lay_over(root: &mut Value, rows: &[Row]) {
    at_every_node(root, &mut String::new(), &mut |path, node| {
        for (_, bounds) in rows.iter().filter(|(at, _)| *at == path) {
            for bound in *bounds {
                bind(node, *bound);
            }
        }
    });
}

fn bind(node: &mut Map<String, Value>, bound: Bound) {
    let mut put = |field: &str, value: Value| {
        node.insert(field.to_owned(), value);
    };
    match bound {
        Bound::Text(least, most) => {
            if least > 0 {
                put("minLength", json!(least));
            }
            put("maxLength", json!(most));
        }
        Bound::Number(least, most) => {
            put("minimum", json!(least));
            put("maximum", json!(most));
        }
        Bound::List(list, least, most) => {
            if least > 0 {
                put("minItems", json!(least));
            }
            put("maxItems", json!(most));
            match list {
                ListType::Atomic => put("x-kubernetes-list-type", json!("atomic")),
                ListType::Set => put("x-kubernetes-list-type", json!("set")),
                ListType::MapBy(key) => {
                    put("x-kubernetes-list-type", json!("map"));
                    put("x-kubernetes-list-map-keys", json!([key]));
                }
            }
        }
        Bound::Entries(most) => put("maxProperties", json!(most)),
        Bound::Whole => put("x-kubernetes-map-type", json!("atomic")),
        Bound::OneOf(values) => put("enum", json!(values)),
        Bound::Says(sentence) => put("description", json!(sentence)),
    }
}

fn add_rules(root: &mut Value, rules: &[Rule]) {
    at_every_node(root, &mut String::new(), &mut |path, node| {
        let here: Vec<Value> = rules
            .iter()
            .filter(|rule| rule.at == path)
            .filter_map(|rule| {
                rule.cel
                    .map(|cel| json!({"rule": cel, "message": rule.message}))
            })
            .collect();
        if !here.is_empty() {
            node.insert("x-kubernetes-validations".to_owned(), Value::Array(here));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(kind: Kind) -> Vec<(String, Map<String, Value>)> {
        let mut nodes = Vec::new();
        let mut root = kind.schema().clone();
        at_every_node(&mut root, &mut String::new(), &mut |path, node| {
            nodes.push((path.to_owned(), node.clone()))
        });
        nodes
    }

    #[test]
    fn every_string_list_map_is_bounded() {
        for kind in Kind::ALL {
            for (path, node) in nodes(kind) {
                let bounded = match node.get("type").and_then(Value::as_str) {
                    Some("string") => node.contains_key("maxLength") || node.contains_key("enum"),
                    Some("array") => {
                        node.contains_key("maxItems") && node.contains_key("x-kubernetes-list-type")
                    }
                    Some("object") => {
                        !node.contains_key("additionalProperties")
                            || node.contains_key("maxProperties")
                    }
                    Some("integer" | "boolean") => true,
                    other => panic!("{}: {path} has the type {other:?}", kind.name()),
                };
                assert!(
                    bounded,
                    "{}: {path} is unbounded: give it a row in objects/bounds.rs",
                    kind.name()
                );
            }
        }
    }

    #[test]
    fn no_node_is_nullable_or_unsigned_or_undescribed() {
        for kind in Kind::ALL {
            for (path, node) in nodes(kind) {
                assert!(!node.contains_key("nullable"), "{path}");
                let format = node.get("format").and_then(Value::as_str);
                assert!(
                    matches!(format, None | Some("int32" | "int64" | "date-time")),
                    "{path}: {format:?}"
                );
                let is_item = path.ends_with(']') || path.ends_with('}');
                assert!(
                    is_item || node.contains_key("description"),
                    "{path} is not described"
                );
            }
        }
    }

    #[test]
    fn every_row_and_rule_meets_a_field() {
        for kind in Kind::ALL {
            let paths: Vec<String> = nodes(kind).into_iter().map(|(path, _)| path).collect();
            let rows = bounds::CONDITIONS.iter().chain(kind.bounds());
            let rows = rows.map(|(at, _)| *at);
            for at in rows.chain(kind.rules().iter().map(|rule| rule.at)) {
                assert!(
                    paths.iter().any(|path| path == at),
                    "{} has no field {at}",
                    kind.name()
                );
            }
        }
    }

    #[test]
    fn status_starts_as_not_observed() {
        for kind in Kind::ALL {
            assert_eq!(
                kind.schema()["properties"]["status"]["default"],
                json!({"observedGeneration": -1})
            );
        }
    }
}
