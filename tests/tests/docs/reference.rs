//! `docs/reference/api.md` is what the CRDs in `crds/` say: every field, bound, rule and column.
//!
//! In come CustomResourceDefinitions as data; out goes one page. A keyword that the page would not tell of is an error, so
//! that nothing of a schema gets lost on the way.

mod schema;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use xtask::cargo::workspace;

use self::schema::{Field, Fields};

/// How to renew the page.
const RENEW: &str = "UPDATE=1 cargo test -p stationkeeper-tests --test docs reference";

fn file() -> PathBuf {
    workspace().join("docs/reference/api.md")
}

/// The CustomResourceDefinitions, by the names of their kinds.
fn definitions() -> Result<Vec<Value>> {
    let folder = workspace().join("crds");
    let mut definitions = Vec::new();
    for entry in fs::read_dir(&folder).context("failed to list crds/")? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        let definition: Value = serde_yaml::from_str(&text)
            .with_context(|| format!("failed to parse {}", path.display()))?;
        definitions.push(definition);
    }
    definitions.sort_by_key(|definition| text(definition, "/spec/names/kind").to_owned());
    Ok(definitions)
}

/// The whole page.
fn reference(definitions: &[Value]) -> Result<String> {
    let mut page = String::from(
        "# API reference\n\n\
         Every field of every kind, for whoever writes manifests or tools. `kubectl explain csc.spec --recursive` tells the same\n\
         from a cluster. What the words of a status mean is in [States, reasons, conditions and Events](../conditions.md).\n\n",
    );
    page.push_str(&format!("<!-- Written by `{RENEW}` from crds/. -->\n\n"));
    for definition in definitions {
        let kind = text(definition, "/spec/names/kind");
        page.push_str(&format!("- [{kind}](#{})\n", kind.to_lowercase()));
    }
    for definition in definitions {
        let kind = text(definition, "/spec/names/kind");
        let versions = definition["spec"]["versions"].as_array();
        for version in versions.into_iter().flatten() {
            kind_section(&mut page, definition, version)
                .with_context(|| format!("failed to describe {kind}"))?;
        }
    }
    Ok(page)
}

fn kind_section(page: &mut String, definition: &Value, version: &Value) -> Result<()> {
    let kind = text(definition, "/spec/names/kind");
    let schema = &version["schema"]["openAPIV3Schema"];
    let described = schema["description"].as_str().unwrap_or_default();
    page.push_str(&format!("\n## {kind}\n\n{}\n\n", prose(described)));
    facts(page, definition, version);
    columns(page, kind, version);
    for part in ["spec", "status"] {
        let Some(schema) = schema["properties"].get(part) else {
            continue;
        };
        let Fields { fields, rules } = schema::fields(part, schema)?;
        page.push_str(&format!("\n### {kind}: {part}\n\n"));
        let described = schema["description"].as_str().unwrap_or_default();
        page.push_str(&format!("{}\n\n", prose(described)));
        page.push_str(
            "| field | type | required | default | bounds | meaning |\n|---|---|---|---|---|---|\n",
        );
        for Field {
            path,
            kind,
            required,
            default,
            bounds,
            description,
        } in fields
        {
            let required = if required { "yes" } else { "" };
            let default = default.map(|value| code(&value)).unwrap_or_default();
            let description = prose(&description);
            row(
                page,
                &[
                    &code(&path),
                    &kind,
                    required,
                    &default,
                    &bounds,
                    &description,
                ],
            );
        }
        if rules.is_empty() {
            continue;
        }
        page.push_str(&format!(
            "\n### {kind}: rules of {part}\n\nWhat the API server refuses, beside the bounds above, and what it says then.\n\n\
             | field | message | rule (CEL) |\n|---|---|---|\n"
        ));
        for rule in rules {
            row(
                page,
                &[&code(&rule.path), &prose(&rule.message), &code(&rule.rule)],
            );
        }
    }
    Ok(())
}

/// What holds for the kind as a whole.
fn facts(page: &mut String, definition: &Value, version: &Value) {
    page.push_str("| | |\n|---|---|\n");
    let names = &definition["spec"]["names"];
    let list = |value: &Value| -> String {
        let items = value.as_array().into_iter().flatten();
        let items: Vec<String> = items.filter_map(Value::as_str).map(code).collect();
        items.join(", ")
    };
    let (group, name) = (text(definition, "/spec/group"), text(version, "/name"));
    row(page, &["apiVersion", &code(&format!("{group}/{name}"))]);
    row(page, &["scope", text(definition, "/spec/scope")]);
    row(
        page,
        &[
            "names for kubectl",
            &[list(&names["shortNames"]), code(text(names, "/plural"))].join(", "),
        ],
    );
    row(page, &["categories", &list(&names["categories"])]);
    let selectable = version["selectableFields"].as_array().into_iter().flatten();
    let selectable: Vec<String> = selectable
        .map(|field| code(text(field, "/jsonPath").trim_start_matches('.')))
        .collect();
    if !selectable.is_empty() {
        row(
            page,
            &[
                "fields for `kubectl get --field-selector`",
                &selectable.join(", "),
            ],
        );
    }
    let uses = match (version["served"].as_bool(), version["storage"].as_bool()) {
        (Some(true), Some(true)) => "served and stored",
        (Some(true), _) => "served",
        _ => "not served",
    };
    row(page, &["version", uses]);
}

fn columns(page: &mut String, kind: &str, version: &Value) {
    page.push_str(&format!(
        "\n### {kind}: columns of kubectl get\n\n| column | shown | from | meaning |\n|---|---|---|---|\n"
    ));
    let columns = version["additionalPrinterColumns"].as_array();
    for column in columns.into_iter().flatten() {
        let shown = match column["priority"].as_i64() {
            None | Some(0) => "always",
            Some(_) => "with `-o wide`",
        };
        let described = column["description"].as_str().unwrap_or_default();
        let (name, from) = (text(column, "/name"), text(column, "/jsonPath"));
        row(
            page,
            &[&name.to_uppercase(), shown, &code(from), &prose(described)],
        );
    }
}

fn row(page: &mut String, cells: &[&str]) {
    page.push_str(&format!("| {} |\n", cells.join(" | ")));
}

/// A text at a place that a CustomResourceDefinition always has.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A code span, as a cell of a table bears it.
fn code(text: &str) -> String {
    let text = text.replace('\n', " ").replace('|', "\\|");
    if text.contains('`') {
        format!("`` {text} ``")
    } else {
        format!("`{text}`")
    }
}

/// Text for people, as a cell of a table bears it. What stands in code spans stays as it is.
fn prose(text: &str) -> String {
    let text = text.replace('\n', " ").replace('|', "\\|");
    let parts: Vec<String> = text
        .split('`')
        .enumerate()
        .map(|(at, part)| match at % 2 {
            0 => part.replace('<', "&lt;"),
            _ => part.to_owned(),
        })
        .collect();
    parts.join("`")
}

#[test]
fn api_reference_is_up_to_date() -> Result<()> {
    let fresh = reference(&definitions()?)?;
    if std::env::var_os("UPDATE").is_some() {
        fs::write(file(), &fresh).context("failed to write docs/reference/api.md")?;
    }
    let kept = fs::read_to_string(file()).unwrap_or_default();
    ensure!(
        kept == fresh,
        "docs/reference/api.md is stale: run `{RENEW}` and commit the change"
    );
    Ok(())
}

#[test]
fn every_field_rule_and_column_of_every_kind_is_told() -> Result<()> {
    let definitions = definitions()?;
    let page = reference(&definitions)?;
    // Counted in the text of the files, apart from how the page is made.
    let mut wanted = (0, 0);
    for definition in &definitions {
        count(definition, &mut wanted);
    }
    let rows = |after: &str| -> usize {
        page.split("\n### ")
            .filter(|section| {
                section
                    .lines()
                    .next()
                    .is_some_and(|title| title.contains(after))
            })
            .map(|section| {
                section
                    .lines()
                    .filter(|line| line.starts_with("| `"))
                    .count()
            })
            .sum()
    };
    let fields = rows(": spec") + rows(": status");
    assert_eq!((fields, rows(": rules of")), wanted, "fields and rules");
    Ok(())
}

/// Counts the properties below spec and status, and the rules.
fn count(value: &Value, (fields, rules): &mut (usize, usize)) {
    fn below(value: &Value, fields: &mut usize, rules: &mut usize) {
        match value {
            Value::Object(map) => {
                if map.contains_key("type")
                    && let Some(Value::Object(properties)) = map.get("properties")
                {
                    *fields += properties.len();
                }
                if map.get("rule").is_some_and(Value::is_string) {
                    *rules += 1;
                }
                map.values().for_each(|value| below(value, fields, rules));
            }
            Value::Array(items) => items.iter().for_each(|value| below(value, fields, rules)),
            _ => {}
        }
    }
    let versions = value["spec"]["versions"].as_array();
    for version in versions.into_iter().flatten() {
        let properties = &version["schema"]["openAPIV3Schema"]["properties"];
        below(&properties["spec"], fields, rules);
        below(&properties["status"], fields, rules);
    }
}
