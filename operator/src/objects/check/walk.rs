//! A walk along schema and value at once: types, unknown and missing fields, bounds; then the rules of each value whose
//! structure is right.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Mistake;
use crate::objects::rules::{Holds, Rule};

/// A walk along schema and value at once.
pub(super) struct Walk<'a> {
    pub(super) rules: &'a [Rule],
    pub(super) mistakes: Vec<Mistake>,
}

impl Walk<'_> {
    pub(super) fn mistake(&mut self, path: &str, message: impl Into<String>) {
        self.mistakes.push(Mistake {
            path: path.to_owned(),
            message: message.into(),
        });
    }

    /// Checks one value. `at` is the path in the schema, `path` the one in the object. As an API server does, it tries
    /// the rules of a value only if its structure is right.
    pub(super) fn node(&mut self, schema: &Value, value: &Value, at: &str, path: &str) {
        let before = self.mistakes.len();
        match (schema["type"].as_str(), value) {
            (Some("object"), Value::Object(fields)) => self.object(schema, fields, at, path),
            (Some("array"), Value::Array(items)) => self.list(schema, items, at, path),
            (Some("string"), Value::String(text)) => self.text(schema, text, path),
            (Some("integer"), Value::Number(number)) => self.number(schema, number, path),
            (Some("boolean"), Value::Bool(_)) => {}
            (wanted, _) => self.mistake(path, wrong_type(wanted.unwrap_or_default(), value)),
        }
        if self.mistakes.len() > before {
            return;
        }
        let rules = self.rules;
        let value = with_defaults(schema, value);
        for rule in rules.iter().filter(|rule| rule.at == at) {
            let Holds::Of(holds) = rule.holds else {
                continue;
            };
            if !holds(&value) {
                self.mistake(path, rule.message);
            }
        }
    }

    fn object(&mut self, schema: &Value, fields: &Map<String, Value>, at: &str, path: &str) {
        if let Some(values) = schema.get("additionalProperties") {
            self.at_most(schema, "maxProperties", fields.len(), "entries", path);
            for (name, value) in fields {
                self.node(
                    values,
                    value,
                    &format!("{at}{{}}"),
                    &format!("{path}.{name}"),
                );
            }
            return;
        }
        let known = schema["properties"].as_object();
        for name in schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !fields.contains_key(name) {
                self.mistake(&format!("{path}.{name}"), "it is required: write it");
            }
        }
        for (name, value) in fields {
            let inner = format!("{path}.{name}");
            match known.and_then(|known| known.get(name)) {
                // Nothing is nullable: a client-side apply drops the null, a server-side apply is refused.
                Some(_) if value.is_null() => {
                    self.mistake(&inner, "it is null: write a value, or delete the line")
                }
                Some(schema) => self.node(schema, value, &format!("{at}.{name}"), &inner),
                None => self.mistake(&inner, unknown_field(name, known)),
            }
        }
    }

    fn list(&mut self, schema: &Value, items: &[Value], at: &str, path: &str) {
        self.at_most(schema, "maxItems", items.len(), "items", path);
        self.at_least(schema, "minItems", items.len(), "items", path);
        let keys = schema
            .get("x-kubernetes-list-map-keys")
            .and_then(|keys| keys[0].as_str());
        let unique = keys.is_some() || schema["x-kubernetes-list-type"] == "set";
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let inner = format!("{path}[{index}]");
            let told_apart_by = keys.map_or(item, |key| &item[key]);
            if unique && !seen.insert(told_apart_by.to_string()) {
                self.mistake(
                    &inner,
                    format!("{told_apart_by} stands here twice: remove one"),
                );
            }
            self.node(&schema["items"], item, &format!("{at}[]"), &inner);
        }
    }

    fn text(&mut self, schema: &Value, text: &str, path: &str) {
        let length = text.chars().count();
        if let Some(values) = schema.get("enum").and_then(Value::as_array)
            && !values.iter().any(|value| value == text)
        {
            let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
            self.mistake(
                path,
                format!(
                    "{text:?} is not known here: write one of {}",
                    values.join(", ")
                ),
            );
        }
        self.at_most(schema, "maxLength", length, "characters", path);
        self.at_least(schema, "minLength", length, "characters", path);
    }

    fn number(&mut self, schema: &Value, number: &serde_json::Number, path: &str) {
        let Some(number) = number.as_i64() else {
            return self.mistake(path, format!("{number} is no whole number that fits here"));
        };
        let (lowest, highest) = match schema["format"].as_str() {
            Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
            Some(_) | None => (i64::MIN, i64::MAX),
        };
        let least = schema["minimum"].as_f64().map_or(lowest, whole);
        let most = schema["maximum"].as_f64().map_or(highest, whole);
        if !(least..=most).contains(&number) {
            self.mistake(
                path,
                format!("{number} is out of range: write a whole number from {least} to {most}"),
            );
        }
    }

    fn at_most(&mut self, schema: &Value, field: &str, found: usize, what: &str, path: &str) {
        if let Some(most) = schema[field].as_u64()
            && found as u64 > most
        {
            self.mistake(path, format!("{found} {what} are too many: at most {most}"));
        }
    }

    fn at_least(&mut self, schema: &Value, field: &str, found: usize, what: &str, path: &str) {
        if let Some(least) = schema[field].as_u64()
            && (found as u64) < least
        {
            self.mistake(
                path,
                format!("{found} {what} are too few: at least {least}"),
            );
        }
    }
}

/// Bounds pass through the definition's floating-point fields; all of ours are whole and small.
#[allow(clippy::cast_possible_truncation)]
fn whole(bound: f64) -> i64 {
    bound as i64
}

/// The object as its rules see it: nulls gone, defaults of its own fields filled in.
fn with_defaults(schema: &Value, value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut filled: Map<String, Value> = fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                if let Some(default) = property.get("default") {
                    filled.entry(name).or_insert_with(|| default.clone());
                }
            }
            Value::Object(filled)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            value.clone()
        }
    }
}

fn wrong_type(wanted: &str, value: &Value) -> String {
    match (wanted, value) {
        ("string", Value::Bool(_) | Value::Number(_)) => {
            format!(
                "it must be a string: write it in quotes, such as \"{value}\" (YAML reads unquoted on, off, yes, no and numbers as something else)"
            )
        }
        ("string", _) => "it must be a string: write it in quotes".to_owned(),
        ("integer", Value::String(text)) => {
            format!("it must be a whole number: write {text:?} without quotes if it is one")
        }
        ("integer", _) => "it must be a whole number".to_owned(),
        ("boolean", _) => "it must be true or false, without quotes".to_owned(),
        ("array", _) => "it must be a list: begin each item with '- '".to_owned(),
        (_, _) => "it must be a map: write its fields below, indented".to_owned(),
    }
}

fn unknown_field(name: &str, known: Option<&Map<String, Value>>) -> String {
    let known: Vec<&str> = known
        .into_iter()
        .flat_map(Map::keys)
        .map(String::as_str)
        .collect();
    match known.iter().find(|field| field.eq_ignore_ascii_case(name)) {
        Some(field) => format!("unknown field {name:?}: write {field}"),
        None => format!(
            "unknown field {name:?}: the fields here are {}",
            known.join(", ")
        ),
    }
}
