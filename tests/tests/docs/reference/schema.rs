//! A schema taken apart: a row for each field, and the rules.

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value};

/// All that a schema says.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// The fields, parents before their children.
    pub fields: Vec<Field>,
    /// The rules, in the same order.
    pub rules: Vec<Rule>,
}

/// One field.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// From `spec` or `status` on; `[]` stands for the items of a list, `.*` for the values of a map.
    pub path: String,
    /// Its type, in words.
    pub kind: String,
    /// Its parent cannot do without it.
    pub required: bool,
    /// What it is if absent, as JSON.
    pub default: Option<String>,
    /// What the API server checks of it.
    pub bounds: String,
    /// What it means.
    pub description: String,
}

/// One rule in CEL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// What `self` is in it.
    pub path: String,
    /// What the API server says if it does not hold.
    pub message: String,
    /// The rule.
    pub rule: String,
}

/// Keywords that are told by other means than as bounds: in columns of their own, or by the rows of children.
const ELSEWHERE: [&str; 11] = [
    "type",
    "format",
    "description",
    "default",
    "required",
    "properties",
    "items",
    "additionalProperties",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
];

/// Everything below a part of an object.
pub(super) fn fields(part: &str, schema: &Value) -> Result<Fields> {
    let mut found = Fields::default();
    children(&mut found, part, schema)?;
    Ok(found)
}

/// The rules of a schema, and the rows of what lies below it.
fn children(found: &mut Fields, path: &str, schema: &Value) -> Result<()> {
    let rules = schema["x-kubernetes-validations"].as_array();
    for rule in rules.into_iter().flatten() {
        let text = |name: &str| rule[name].as_str().map(str::to_owned);
        found.rules.push(Rule {
            path: path.to_owned(),
            message: text("message").with_context(|| format!("a rule of {path} has no message"))?,
            rule: text("rule").with_context(|| format!("a rule of {path} says nothing"))?,
        });
    }
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, child) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{path}.{name}");
        let told = field(&at, child, required.contains(&name.as_str()));
        found
            .fields
            .push(told.with_context(|| format!("failed to describe {at}"))?);
        children(found, &at, child)?;
    }
    if let Some(items) = schema.get("items") {
        children(found, &format!("{path}[]"), items)?;
    }
    if let Some(values) = schema.get("additionalProperties") {
        children(found, &format!("{path}.*"), values)?;
    }
    Ok(())
}

fn field(path: &str, schema: &Value, required: bool) -> Result<Field> {
    let default = schema.get("default").map(|value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    Ok(Field {
        path: path.to_owned(),
        kind: kind(schema)?,
        required,
        default,
        bounds: bounds(schema)?.join("; "),
        description: schema["description"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    })
}

fn kind(schema: &Value) -> Result<String> {
    let name = schema["type"].as_str().context("it has no type")?;
    Ok(match (name, schema["format"].as_str()) {
        ("array", _) => {
            let items = kind(&schema["items"])?;
            match schema["x-kubernetes-list-type"].as_str() {
                Some("set") => format!("list of {items}, each once"),
                Some("map") => {
                    let keys = words(&schema["x-kubernetes-list-map-keys"]);
                    format!("list of {items}, one for each {}", keys.join(" and "))
                }
                _ => format!("list of {items}"),
            }
        }
        ("object", _) => match schema.get("additionalProperties") {
            Some(values) => format!("map of {}", kind(values)?),
            None => "object".to_owned(),
        },
        ("string", Some("date-time")) => "time".to_owned(),
        (name, Some(format)) => format!("{name} ({format})"),
        (name, None) => name.to_owned(),
    })
}

/// What the API server checks, each in words; what it checks of items and values that have no row of their own comes
/// with them.
fn bounds(schema: &Value) -> Result<Vec<String>> {
    let schema = schema.as_object().context("it is no schema")?;
    let mut bounds = Vec::new();
    bounds.extend(range(schema, "minLength", "maxLength", "characters"));
    bounds.extend(range(schema, "minimum", "maximum", ""));
    bounds.extend(range(schema, "minItems", "maxItems", "items"));
    bounds.extend(range(schema, "minProperties", "maxProperties", "entries"));
    for (keyword, value) in schema {
        match keyword.as_str() {
            "minLength" | "maxLength" | "minimum" | "maximum" | "minItems" | "maxItems"
            | "minProperties" | "maxProperties" => {}
            "enum" => {
                let values = words(value).into_iter().map(|value| format!("`{value}`"));
                bounds.push(values.collect::<Vec<_>>().join(", "));
            }
            "pattern" => bounds.push(format!("matches {}", super::code(&plain(value)))),
            "x-kubernetes-map-type" if value == "atomic" => {
                bounds.push("applied as a whole".to_owned());
            }
            "oneOf" => bounds.push(one_of(value)?),
            other if ELSEWHERE.contains(&other) => {}
            other => bail!("the API reference does not know the keyword {other:?}; teach it"),
        }
    }
    for inner in [schema.get("items"), schema.get("additionalProperties")] {
        let Some(inner) = inner.filter(|inner| inner.is_object()) else {
            continue;
        };
        let each = self::bounds(inner)?;
        if !each.is_empty() {
            bounds.push(format!("each: {}", each.join(", ")));
        }
    }
    Ok(bounds)
}

fn range(schema: &Map<String, Value>, least: &str, most: &str, unit: &str) -> Option<String> {
    let text = match (schema.get(least), schema.get(most)) {
        (None, None) => return None,
        (Some(least), Some(most)) if least == most => format!("{} {unit}", plain(least)),
        (Some(least), Some(most)) => format!("{} to {} {unit}", plain(least), plain(most)),
        (Some(least), None) => format!("at least {} {unit}", plain(least)),
        (None, Some(most)) => format!("at most {} {unit}", plain(most)),
    };
    Some(text.trim_end().to_owned())
}

/// `oneOf` as we use it: one of several fields is required.
fn one_of(value: &Value) -> Result<String> {
    let mut names = Vec::new();
    for branch in value.as_array().context("oneOf is no list")? {
        let branch = branch
            .as_object()
            .context("a branch of oneOf is no schema")?;
        if branch.keys().any(|keyword| keyword != "required") {
            bail!("the API reference knows oneOf with required only; teach it");
        }
        names.extend(
            words(&branch["required"])
                .into_iter()
                .map(|name| format!("`{name}`")),
        );
    }
    Ok(format!("exactly one of {}", names.join(", ")))
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(plain).collect()
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn a_schema_is_told_in_rows() -> Result<()> {
    let schema = serde_json::json!({"type": "object", "required": ["names"], "properties": {
        "names": {"type": "array", "minItems": 1, "maxItems": 9, "x-kubernetes-list-type": "set", "description": "Who.",
            "items": {"type": "string", "maxLength": 5, "x-kubernetes-validations": [{"rule": "self != ''", "message": "say it"}]}},
        "sizes": {"type": "object", "additionalProperties": {"type": "object", "properties": {
            "size": {"type": "integer", "format": "int32", "minimum": 0, "default": 3}}}},
    }});
    let Fields { fields, rules } = fields("spec", &schema)?;
    let told: Vec<(&str, &str, bool, Option<&str>, &str)> = fields
        .iter()
        .map(|field| {
            let default = field.default.as_deref();
            (
                field.path.as_str(),
                field.kind.as_str(),
                field.required,
                default,
                field.bounds.as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (
                "spec.names",
                "list of string, each once",
                true,
                None,
                "1 to 9 items; each: at most 5 characters"
            ),
            ("spec.sizes", "map of object", false, None, ""),
            (
                "spec.sizes.*.size",
                "integer (int32)",
                false,
                Some("3"),
                "at least 0"
            ),
        ]
    );
    assert_eq!(fields[0].description, "Who.");
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0].path, "spec.names[]");
    Ok(())
}

#[test]
fn a_keyword_that_would_get_lost_is_an_error() {
    let schema = serde_json::json!({"type": "object", "properties": {"a": {"type": "string", "nullable": true}}});
    assert!(fields("spec", &schema).is_err());
}
