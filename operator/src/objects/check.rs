//! Check: an object → what an API server with our CustomResourceDefinitions would refuse in it.
//!
//! For what has no API server: the folder source and `lint`. The structure is checked against the very schema that is
//! installed, the rest by the Rust form of the same rules, with the same messages. What needs the catalogue is checked
//! elsewhere.

mod walk;

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde_json::{Map, Value, json};
use stationkeeper_core::catalogue::Pattern;

use self::walk::Walk;
use super::rules::{self, Holds};
use super::schema::Kind;
use super::{API_VERSION, ChargeStation, ChargeStationConfig, KeyCatalogue, KeyCatalogueSpec};

/// Something that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Where, as Kubernetes writes it: `spec.settings[0].value`.
    pub path: String,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Checks a config. Empty: an API server would take it.
pub fn check_config(config: &ChargeStationConfig) -> Vec<Mistake> {
    check_typed(Kind::ChargeStationConfig, &config.metadata, &config.spec)
}

/// Checks a station, alike.
pub fn check_station(station: &ChargeStation) -> Vec<Mistake> {
    check_typed(Kind::ChargeStation, &station.metadata, &station.spec)
}

/// Checks a catalogue, alike; what it says of keys against itself, not against other catalogues.
pub fn check_catalogue(catalogue: &KeyCatalogue) -> Vec<Mistake> {
    check_typed(Kind::KeyCatalogue, &catalogue.metadata, &catalogue.spec)
}

/// Checks what a station that is there already may be changed to. The new one has passed [`check_station`].
pub fn check_station_change(old: &ChargeStation, new: &ChargeStation) -> Vec<Mistake> {
    let (old, new) = (
        json!({"spec": plain(&old.spec)}),
        json!({"spec": plain(&new.spec)}),
    );
    let mut mistakes = Vec::new();
    for rule in Kind::ChargeStation.rules() {
        let Holds::OfChange(holds) = rule.holds else {
            continue;
        };
        if let (Some(old), Some(new)) = (field_at(&old, rule.at), field_at(&new, rule.at))
            && !holds(old, new)
        {
            mistakes.push(Mistake {
                path: rule.at.to_owned(),
                message: rule.message.to_owned(),
            });
        }
    }
    mistakes
}

/// Checks a manifest as it was read, before it is given a type: fields that are unknown or of the wrong type are
/// mistakes here. Only for kinds of ours.
pub fn check_manifest(kind: Kind, manifest: &Value) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let Some(manifest) = manifest.as_object() else {
        return vec![Mistake {
            path: String::new(),
            message: "an object is a map with apiVersion, kind, metadata and spec".to_owned(),
        }];
    };
    check_envelope(kind, manifest, &mut mistakes);
    let mut walk = Walk {
        rules: kind.rules(),
        mistakes,
    };
    for (name, schema) in kind.schema()["properties"]
        .as_object()
        .into_iter()
        .flatten()
    {
        match manifest.get(name) {
            Some(value) if !value.is_null() => walk.node(schema, value, name, name),
            Some(_) | None if name == "spec" => {
                walk.mistake("spec", "spec is missing: it says what is wanted");
            }
            Some(_) | None => {}
        }
    }
    if kind == Kind::KeyCatalogue
        && walk.mistakes.is_empty()
        && let Some(spec) = manifest.get("spec")
    {
        walk.mistakes = document_mistakes(spec);
    }
    walk.mistakes.sort();
    walk.mistakes
}

/// What is wrong with a catalogue whose structure is right.
fn document_mistakes(spec: &Value) -> Vec<Mistake> {
    let keys = spec.get("keys").and_then(Value::as_array);
    let patterns = keys.into_iter().flatten().enumerate();
    let mut mistakes: Vec<Mistake> = patterns
        .filter_map(|(index, key)| {
            let error = Pattern::new(key.get("pattern")?.as_str()?).err()?;
            Some(Mistake {
                path: format!("spec.keys[{index}].pattern"),
                message: format!("this pattern cannot be read: {error}"),
            })
        })
        .collect();
    if !mistakes.is_empty() {
        return mistakes;
    }
    match KeyCatalogueSpec(spec.clone()).document() {
        Ok(document) => {
            mistakes.extend(document.mistakes().into_iter().map(|mistake| {
                Mistake {
                    path: mistake
                        .entry
                        .map_or_else(|| "spec".to_owned(), |entry| format!("spec.keys[{entry}]")),
                    message: mistake.message,
                }
            }));
        }
        Err(error) => mistakes.push(Mistake {
            path: "spec".to_owned(),
            message: format!("cannot be read: {error}"),
        }),
    }
    mistakes
}

/// Checks plain data against a schema alone; no object of ours, and no rules.
pub(crate) fn check_structure(schema: &Value, value: &Value, path: &str) -> Vec<Mistake> {
    let mut walk = Walk {
        rules: &[],
        mistakes: Vec::new(),
    };
    walk.node(schema, value, path, path);
    walk.mistakes
}

/// Only what a user writes: a status may be large, and is ours.
fn check_typed(kind: Kind, metadata: &ObjectMeta, spec: &impl Serialize) -> Vec<Mistake> {
    let manifest = json!({
        "apiVersion": API_VERSION,
        "kind": kind.name(),
        "metadata": {"name": metadata.name, "namespace": metadata.namespace, "labels": metadata.labels},
        "spec": plain(spec),
    });
    check_manifest(kind, &manifest)
}

fn plain(spec: &impl Serialize) -> Value {
    serde_json::to_value(spec).expect("a spec is plain data with strings as map keys")
}

/// What every object has, whatever its kind; the API server has these rules built in.
fn check_envelope(kind: Kind, manifest: &Map<String, Value>, mistakes: &mut Vec<Mistake>) {
    let mut tell = |path: &str, message: String| {
        mistakes.push(Mistake {
            path: path.to_owned(),
            message,
        })
    };
    for field in manifest.keys() {
        if !["apiVersion", "kind", "metadata", "spec", "status"].contains(&field.as_str()) {
            tell(
                field,
                format!(
                    "unknown field {field:?}: an object has apiVersion, kind, metadata and spec"
                ),
            );
        }
    }
    if manifest.get("apiVersion").and_then(Value::as_str) != Some(API_VERSION) {
        tell("apiVersion", format!("write apiVersion: {API_VERSION}"));
    }
    if manifest.get("kind").and_then(Value::as_str) != Some(kind.name()) {
        tell("kind", format!("write kind: {}", kind.name()));
    }
    let metadata = manifest.get("metadata").and_then(Value::as_object);
    let part = |field: &str| metadata.and_then(|metadata| metadata.get(field));
    match part("name").and_then(Value::as_str) {
        None => tell(
            "metadata.name",
            "the name is missing: write it as a string".to_owned(),
        ),
        Some(name) if name.len() > 253 || !rules::is_dns_subdomain(name) => tell(
            "metadata.name",
            format!(
                "{name:?} cannot be a name: write lower-case letters, digits, '-' and '.', at most 253, beginning and ending with a letter or digit"
            ),
        ),
        Some(_) => {}
    }
    match part("namespace") {
        None | Some(Value::Null) => {}
        Some(Value::String(name)) if name.len() <= 63 && rules::is_dns_label(name) => {}
        Some(name) => tell(
            "metadata.namespace",
            format!(
                "{name} cannot be a namespace: write lower-case letters, digits and '-', at most 63"
            ),
        ),
    }
    for (label, value) in part("labels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let path = format!("metadata.labels[{label}]");
        if label.len() > 317 || !rules::label_key_is_well_formed(label) {
            tell(&path, format!("{label:?} cannot be the name of a label"));
        }
        match value.as_str() {
            Some(text) if text.len() <= 63 && rules::label_value_is_well_formed(text) => {}
            Some(text) => tell(
                &path,
                format!(
                    "{text:?} cannot be the value of a label: write letters, digits, '-', '_' and '.', at most 63"
                ),
            ),
            None => tell(
                &path,
                format!("the value of a label is a string: write \"{value}\" in quotes"),
            ),
        }
    }
}

/// What of a status its schema refuses.
#[cfg(test)]
pub(super) fn breaks_schema(kind: Kind, status: &impl Serialize) -> Vec<Mistake> {
    let mut walk = Walk {
        rules: &[],
        mistakes: Vec::new(),
    };
    walk.node(
        &kind.schema()["properties"]["status"],
        &plain(status),
        "status",
        "status",
    );
    walk.mistakes
}

/// The value at a path of properties, without lists.
fn field_at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .try_fold(object, |value, field| value.get(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(spec: Value) -> Value {
        json!({
            "apiVersion": API_VERSION,
            "kind": "ChargeStationConfig",
            "metadata": {"name": "baseline", "namespace": "north"},
            "spec": spec,
        })
    }

    fn first(spec: Value) -> String {
        check_manifest(Kind::ChargeStationConfig, &config(spec))
            .first()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    #[test]
    fn a_sound_config_has_no_mistakes() {
        let sound = json!({"stations": {"selector": {}}, "settings": [{"key": "HeartbeatInterval", "value": "300"}]});
        assert_eq!(
            check_manifest(Kind::ChargeStationConfig, &config(sound)),
            []
        );
    }

    #[test]
    fn a_mistake_names_the_field_and_the_mend() {
        let unquoted = json!({"stations": {"selector": {}}, "settings": [{"key": "HeartbeatInterval", "value": 300}]});
        let found = first(unquoted);
        assert!(
            found.starts_with("spec.settings[0].value: ")
                && found.contains("write it in quotes, such as \"300\""),
            "{found}"
        );
        let misspelt =
            json!({"stations": {"selector": {}}, "settings": [], "whenremoved": "Retain"});
        assert_eq!(
            first(misspelt),
            "spec.whenremoved: unknown field \"whenremoved\": write whenRemoved"
        );
    }

    #[test]
    fn rules_are_tried_only_where_the_structure_is_right() {
        let broken = json!({"stations": {"hardware": {"vendor": 5}}, "settings": []});
        let mistakes = check_manifest(Kind::ChargeStationConfig, &config(broken));
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    }

    #[test]
    fn typed_objects_are_checked_by_the_same_rules() {
        let object = config(json!({"stations": {}, "settings": []}));
        let typed: ChargeStationConfig = serde_json::from_value(object).unwrap();
        let mistakes = check_config(&typed);
        assert_eq!(mistakes[0].path, "spec.stations");
    }

    #[test]
    fn what_is_no_map_is_no_object() {
        for value in [json!(null), json!("a"), json!([1]), json!({"spec": 5})] {
            assert_ne!(check_manifest(Kind::ChargeStation, &value), []);
        }
    }
}
