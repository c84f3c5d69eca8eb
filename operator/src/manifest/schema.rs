//! A tree → the JSON that the schema of its kind asks for, and where the two differ.
//!
//! This is the part of checking that needs the text: what kubectl takes an unquoted scalar for, and where a field
//! stands. Types and field names come from the schema of the CRD, so there is no second list of them. Scalars are
//! turned into the strings that the schema asks for and unknown fields are left out: where there are mistakes, the
//! result is what can be saved of the object. Bounds and rules are [`crate::objects::check`]'s.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::node::{Entry, Mistake, Node, Position, Scalar, ScalarKind, Value, shorten};
use super::rule;

/// A mistake in a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldMistake {
    /// One of [`rule`].
    pub(super) rule: &'static str,
    /// `spec.settings[2].value`.
    pub(super) field: String,
    pub(super) at: Position,
    pub(super) message: String,
}

impl FieldMistake {
    pub(super) fn of_text(mistake: Mistake) -> Self {
        let Mistake { rule, at, message } = mistake;
        Self {
            rule,
            field: String::new(),
            at,
            message,
        }
    }
}

/// Walks `node` along `schema`; gives what it is as JSON.
pub(super) fn check(
    node: &Node,
    schema: &Json,
    field: &str,
    mistakes: &mut Vec<FieldMistake>,
) -> Option<Json> {
    Walk {
        mistakes,
        discreet: false,
    }
    .value(node, schema, field)
}

/// The words of a name list that are nearest to a misspelt one, if one is near.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (distance(&folded, &candidate.to_lowercase()), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .map(|(_, candidate)| candidate)
}

struct Walk<'a> {
    mistakes: &'a mut Vec<FieldMistake>,
    /// What is written here may be a secret: it is not quoted.
    discreet: bool,
}

impl Walk<'_> {
    fn tell(&mut self, rule: &'static str, field: &str, at: Position, message: String) {
        self.mistakes.push(FieldMistake {
            rule,
            field: field.to_owned(),
            at,
            message,
        });
    }

    /// `None`: nothing that the schema could take.
    fn value(&mut self, node: &Node, schema: &Json, field: &str) -> Option<Json> {
        match (schema["type"].as_str(), &node.value) {
            (Some("object"), Value::Map(entries)) => {
                Some(self.object(node, entries, schema, field))
            }
            (Some("array"), Value::List(nodes)) => Some(self.list(nodes, schema, field)),
            (Some("string"), Value::Scalar(scalar)) => Some(self.string(node, scalar, field)),
            (
                Some("boolean"),
                Value::Scalar(Scalar {
                    kind: ScalarKind::Boolean(value),
                    ..
                }),
            ) => Some(Json::Bool(*value)),
            (
                Some("integer"),
                Value::Scalar(Scalar {
                    text,
                    kind: ScalarKind::Integer(number),
                }),
            ) => {
                self.integer(node, text, number, field);
                Some(Json::Number(number.clone()))
            }
            (None, _) => Some(to_json(node)),
            (Some(wanted), _) => {
                let message = self.wrong_type(node, wanted);
                self.tell(rule::SCHEMA, field, node.at, message);
                // An empty stand-in keeps the rules of the parent from complaining that there is nothing here.
                (wanted == "string").then(|| Json::String(String::new()))
            }
        }
    }

    fn object(&mut self, node: &Node, entries: &[Entry], schema: &Json, field: &str) -> Json {
        let outer = self.discreet;
        self.discreet = outer
            || node
                .get("key")
                .and_then(|key| key.string())
                .is_some_and(names_a_secret);
        let none = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&none);
        let further = schema
            .get("additionalProperties")
            .filter(|further| further.is_object());
        let mut object = Map::new();
        for entry in entries {
            let inner = join(field, &entry.key);
            if let Some(schema) = properties.get(&entry.key).or(further) {
                if let Some(value) = self.value(&entry.value, schema, &inner) {
                    object.insert(entry.key.clone(), value);
                }
            } else {
                let hint = match nearest(&entry.key, properties.keys().map(String::as_str)) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => format!(
                        "known are {}",
                        list_of(properties.keys().map(String::as_str))
                    ),
                };
                self.tell(
                    rule::UNKNOWN_FIELD,
                    &inner,
                    entry.at,
                    format!("there is no such field here: {hint}"),
                );
            }
        }
        self.discreet = outer;
        Json::Object(object)
    }

    fn list(&mut self, nodes: &[Arc<Node>], schema: &Json, field: &str) -> Json {
        let one = |(index, node): (usize, &Arc<Node>)| {
            self.value(node, &schema["items"], &format!("{field}[{index}]"))
        };
        Json::Array(nodes.iter().enumerate().filter_map(one).collect())
    }

    fn string(&mut self, node: &Node, scalar: &Scalar, field: &str) -> Json {
        match scalar.kind {
            ScalarKind::String => {}
            // A date is a string to kubectl; as a setting's value it is refused, since other readers differ.
            ScalarKind::Date if !field.ends_with(".value") => {}
            ScalarKind::Null
            | ScalarKind::Boolean(_)
            | ScalarKind::Integer(_)
            | ScalarKind::Float(_)
            | ScalarKind::Date => {
                let message = self.wrong_type(node, "string");
                self.tell(rule::QUOTE_VALUE, field, node.at, message);
            }
        }
        Json::String(if scalar.kind == ScalarKind::Null {
            String::new()
        } else {
            scalar.text.clone()
        })
    }

    fn integer(&mut self, node: &Node, text: &str, number: &serde_json::Number, field: &str) {
        let digits = text.trim_start_matches(['+', '-']);
        if digits.len() > 1 && digits.starts_with('0') {
            let plain = digits.trim_start_matches('0');
            let message = format!(
                "`{text}` is {number} to kubectl: write {number}, or {plain} if that is meant"
            );
            self.tell(rule::SCHEMA, field, node.at, message);
        }
    }

    fn wrong_type(&self, node: &Node, wanted: &str) -> String {
        let Value::Scalar(Scalar { text, kind }) = &node.value else {
            let found = if matches!(node.value, Value::List(_)) {
                "list"
            } else {
                "map"
            };
            return format!("must be {}, and is {}", article(wanted), article(found));
        };
        let shown = if self.discreet {
            "the value".to_owned()
        } else {
            format!("`{}`", shorten(text))
        };
        match (wanted, kind) {
            ("string", ScalarKind::Null) => {
                "is null to kubectl: write the value in quotes, \"\" for an empty one, or delete the line".to_owned()
            }
            ("string", _) if self.discreet => {
                format!("must be a string, and without quotes it is {} to kubectl: quote it", kind.class())
            }
            ("string", _) => format!(
                "must be a string, and {shown} without quotes is {} to kubectl: quote it, as in \"{}\"",
                kind.words(),
                shorten(text)
            ),
            (_, ScalarKind::Null) => format!("is null: must be {}, or delete the line", article(wanted)),
            ("boolean" | "integer" | "number", ScalarKind::String) => {
                format!("must be {}, and is a string: write it without quotes", article(wanted))
            }
            (_, _) if self.discreet => format!("must be {}, and is {}", article(wanted), kind.class()),
            (_, _) => format!("must be {}, and is {}", article(wanted), kind.words()),
        }
    }
}

impl ScalarKind {
    /// What it is, without its value.
    fn class(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Date => "a date",
            Self::String => "a string",
        }
    }
}

/// Does a configuration key's name say that its value is a secret? Only so that a message does not quote it.
fn names_a_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    [
        "authorizationkey",
        "pass",
        "secret",
        "token",
        "pin",
        "psk",
        "credential",
        "privatekey",
    ]
    .iter()
    .any(|word| key.contains(word))
}

fn article(kind: &str) -> String {
    match kind {
        "object" => "a map".to_owned(),
        "array" => "a list".to_owned(),
        "integer" => "a whole number".to_owned(),
        kind => format!("a {kind}"),
    }
}

pub(super) fn join(field: &str, name: &str) -> String {
    if field.is_empty() {
        name.to_owned()
    } else {
        format!("{field}.{name}")
    }
}

fn list_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// A tree as JSON, as kubectl would send it.
pub(super) fn to_json(node: &Node) -> Json {
    match &node.value {
        Value::List(nodes) => Json::Array(nodes.iter().map(|node| to_json(node)).collect()),
        Value::Map(entries) => Json::Object(
            entries
                .iter()
                .map(|entry| (entry.key.clone(), to_json(&entry.value)))
                .collect(),
        ),
        Value::Scalar(Scalar { text, kind }) => match kind {
            ScalarKind::Null => Json::Null,
            ScalarKind::Boolean(value) => Json::Bool(*value),
            ScalarKind::Integer(number) | ScalarKind::Float(Some(number)) => {
                Json::Number(number.clone())
            }
            ScalarKind::Float(None) | ScalarKind::Date | ScalarKind::String => {
                Json::String(text.clone())
            }
        },
    }
}

/// Levenshtein's distance; neighbours swapped count as one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) =
        (a.chars().take(80).collect(), b.chars().take(80).collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (i, 0) => i,
                (0, j) => j,
                (i, j) => {
                    let change = usize::from(a[i - 1] != b[j - 1]);
                    let mut least = (rows[i - 1][j] + 1)
                        .min(rows[i][j - 1] + 1)
                        .min(rows[i - 1][j - 1] + change);
                    if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                        least = least.min(rows[i - 2][j - 2] + 1);
                    }
                    least
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = ["selector", "names", "hardware"];
        assert_eq!(nearest("selecter", known), Some("selector"));
        assert_eq!(nearest("Hardware", known), Some("hardware"));
        assert_eq!(nearest("priority", known), None);
    }
}
