//! `catalogue export`: one row for each key of each reference, with what that reference alone says.
//!
//! Nothing is merged here: a vendor's row has no fact of the standard's. Every row has every field; an absent fact is
//! null.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value as Json, json};
use stationkeeper_core::catalogue::{Catalogue, FACT_NAMES, Row};

use crate::document::aligned;

/// Prints what each reference says of each key.
#[derive(Clone, Debug, clap::Args)]
pub struct ExportArgs {
    /// How to print it.
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Output,
}

/// How to print the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// The main facts, one line a key.
    Table,
    /// Every fact with its source, as a JSON array.
    Json,
    /// The same, as YAML.
    Yaml,
}

/// The fields that stand first, in this order; the other facts follow.
const FIRST: [&str; 18] = [
    "vendor",
    "key",
    "type",
    "unit",
    "access",
    "takesEffect",
    "scope",
    "hazard",
    "nature",
    "range",
    "values",
    "default",
    "recommended",
    "required",
    "profile",
    "standard",
    "after",
    "affects",
];

/// One row: its fields in order.
#[derive(Clone, Debug)]
pub struct ExportRow(Vec<(&'static str, Json)>);

impl Serialize for ExportRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl ExportRow {
    fn of(row: &Row<'_>) -> Self {
        let facts = row.definition.facts();
        let told = |fact: &str| {
            let found = facts.iter().find(|(name, _, _)| *name == fact);
            found.map_or(Json::Null, |(_, value, _)| value.clone())
        };
        let sources: Map<String, Json> = facts
            .iter()
            .map(|(name, _, source)| ((*name).to_owned(), Json::String(source.to_string())))
            .collect();
        let mut fields: Vec<(&'static str, Json)> = FIRST
            .iter()
            .map(|&field| {
                let value = match field {
                    "vendor" => json!(row.vendor),
                    "key" => json!(row.definition.key),
                    "range" => bounds(&told(field)),
                    // One word for who wants one; all of them stand under `hazards`.
                    "hazard" => told(field).get(0).cloned().unwrap_or_default(),
                    "recommended" => recommended(&told(field)),
                    "values" => values(&told(field), &told("itemValues")),
                    fact => told(fact),
                };
                (field, value)
            })
            .collect();
        fields.push(("source", Json::String(row.source.to_string())));
        fields.push(("hazards", told("hazard")));
        fields.push(("recommendations", told("recommended")));
        fields.push((
            "rangeAlso",
            told("range").get("also").cloned().unwrap_or_default(),
        ));
        let others = FACT_NAMES.iter().filter(|fact| !FIRST.contains(fact));
        fields.extend(others.map(|&fact| (fact, told(fact))));
        fields.push(("sources", Json::Object(sources)));
        Self(fields)
    }
}

/// `[min, max]`; a bound that is not told is null.
fn bounds(range: &Json) -> Json {
    match range {
        Json::Null => Json::Null,
        range => json!([range["min"], range["max"]]),
    }
}

/// What is recommended first for all stations; what is only for some of them, and who says so, stands under
/// `recommendations`.
fn recommended(all: &Json) -> Json {
    let for_all = |told: &&Json| told["when"].is_null();
    let mut all = all.as_array().into_iter().flatten();
    all.find(for_all)
        .map_or(Json::Null, |first| first["value"].clone())
}

/// The named values, or else the items that a list takes, which have no labels.
fn values(named: &Json, items: &Json) -> Json {
    let value = |value: &Json| json!({"code": value["code"], "label": value["label"]});
    let item = |item: &Json| json!({"code": item, "label": null});
    match (named.as_array(), items.as_array()) {
        (Some(named), _) => named.iter().map(value).collect(),
        (None, Some(items)) => items.iter().map(item).collect(),
        (None, None) => Json::Null,
    }
}

/// The rows of all documents, the standard's first.
pub fn rows(catalogue: &Catalogue) -> Vec<ExportRow> {
    catalogue.rows().map(|row| ExportRow::of(&row)).collect()
}

/// Prints the rows of the built-in catalogue on stdout.
pub fn export(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let rows = rows(&Catalogue::built_in());
    let text = match args.output {
        Output::Table => table(&rows),
        Output::Json => {
            let text = serde_json::to_string_pretty(&rows);
            text.context("failed to write the catalogue as JSON")? + "\n"
        }
        Output::Yaml => {
            serde_yaml::to_string(&rows).context("failed to write the catalogue as YAML")?
        }
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("failed to print the catalogue")?;
    Ok(ExitCode::SUCCESS)
}

fn table(rows: &[ExportRow]) -> String {
    const COLUMNS: [&str; 7] = [
        "vendor",
        "key",
        "type",
        "access",
        "takesEffect",
        "hazard",
        "default",
    ];
    let header = COLUMNS.map(str::to_uppercase).to_vec();
    let line = |ExportRow(fields): &ExportRow| {
        let cell = |column: &&str| {
            let field = fields.iter().find(|(name, _)| name == column);
            let value = field.and_then(|(_, value)| value.as_str());
            value.unwrap_or_default().to_owned()
        };
        COLUMNS.iter().map(cell).collect()
    };
    aligned(header, rows.iter().map(line).collect())
}
