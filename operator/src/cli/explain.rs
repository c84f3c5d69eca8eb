//! `explain`: what is known of a key, per reference, where they differ, what follows for writing it, with sources.
//!
//! A name that no reference has is answered with those that are near. Exit codes: 0 the key is known, 2 it is not: its
//! name is to be mended.

mod text;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use serde::Serialize;
use serde_json::Value as Json;
use stationkeeper_core::catalogue::{
    Access, Catalogue, Definition, Hazard, Recommendation, Row, Source, Supported, TakesEffect,
    WriteRule,
};
use stationkeeper_core::validate::is_credential;
use stationkeeper_core::words::{Device, Key};

/// The name is to be mended.
const TO_MEND: u8 = 2;

/// Tells what is known of a configuration key.
#[derive(Clone, Debug, clap::Args)]
pub struct ExplainArgs {
    /// The key, in any case.
    #[arg(value_name = "KEY")]
    pub key: String,
    /// Only what holds for this vendor's stations.
    #[arg(long, value_name = "VENDOR")]
    pub vendor: Option<String>,
    /// How to tell it.
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,
}

/// How to tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// A JSON document.
    Json,
    /// The same, as YAML.
    Yaml,
}

/// What is known under a name.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Explanation {
    /// The name that was asked for.
    name: String,
    known: bool,
    /// Names that may have been meant.
    suggestions: Vec<Suggestion>,
    /// The key; several where stations tell spellings apart that differ only by case.
    keys: Vec<Explained>,
}

/// A name that may have been meant.
#[derive(Debug, Serialize)]
struct Suggestion {
    key: Key,
    /// The document that writes the name as it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
}

/// What is known of one key.
#[derive(Debug, Serialize)]
struct Explained {
    key: Key,
    references: Vec<Reference>,
    differences: Vec<Difference>,
    writing: Vec<Writing>,
}

/// What one reference says.
#[derive(Debug, Serialize)]
struct Reference {
    /// None: the standard.
    vendor: Option<String>,
    /// As this reference spells it.
    key: Key,
    facts: Vec<Told>,
}

/// A fact.
#[derive(Debug, Serialize)]
struct Told {
    fact: &'static str,
    value: Json,
    source: Source,
}

/// A fact on which references differ.
#[derive(Debug, Serialize)]
struct Difference {
    fact: &'static str,
    values: Vec<Differing>,
}

/// What one reference says of a fact on which they differ.
#[derive(Debug, Serialize)]
struct Differing {
    vendor: Option<String>,
    value: Json,
}

/// What follows for writing the key on the stations of a vendor.
#[derive(Debug, Serialize)]
struct Writing {
    /// None: stations of vendors that no reference speaks of.
    vendor: Option<String>,
    says: String,
}

/// Tells it on stdout.
pub fn explain(args: ExplainArgs) -> anyhow::Result<ExitCode> {
    let ExplainArgs {
        key,
        vendor,
        output,
    } = args;
    let catalogue = Catalogue::built_in();
    if let Some(vendor) = &vendor {
        known_vendor(&catalogue, vendor)?;
    }
    let explanation = explanation(&catalogue, &key, vendor.as_deref());
    let text = match output {
        Output::Text => text::text(&explanation),
        Output::Json => {
            let text = serde_json::to_string_pretty(&explanation);
            text.context("failed to write the explanation as JSON")? + "\n"
        }
        Output::Yaml => serde_yaml::to_string(&explanation)
            .context("failed to write the explanation as YAML")?,
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("failed to print the explanation")?;
    Ok(if explanation.known {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(TO_MEND)
    })
}

fn known_vendor(catalogue: &Catalogue, vendor: &str) -> anyhow::Result<()> {
    let vendors = catalogue
        .documents()
        .filter_map(|(_, document)| document.vendor.as_deref());
    let vendors: Vec<&str> = vendors.collect();
    if vendors
        .iter()
        .any(|known| known.eq_ignore_ascii_case(vendor))
    {
        return Ok(());
    }
    anyhow::bail!(
        "no catalogue speaks of vendor {vendor:?}; known are {}",
        vendors.join(", ")
    )
}

fn explanation(catalogue: &Arc<Catalogue>, name: &str, vendor: Option<&str>) -> Explanation {
    let asked = Key::new(name.trim());
    let is_meant = |row: &Row<'_>| {
        vendor.is_none_or(|vendor| {
            row.vendor
                .is_none_or(|own| own.eq_ignore_ascii_case(vendor))
        })
    };
    let rows: Vec<Row<'_>> = catalogue
        .rows()
        .filter(|row| is_meant(row) && names(row).any(|key| key.matches(&asked)))
        .collect();
    let mut keys: Vec<Explained> = told_apart(&rows)
        .into_iter()
        .map(|(key, rows)| explained(catalogue, key, &rows))
        .collect();
    keys.sort_by_key(|explained| explained.key != asked);
    let mut suggestions = misspelt(catalogue, &asked);
    if keys.is_empty() {
        for key in catalogue.suggestions(name) {
            if !suggestions.iter().any(|known| known.key == key) {
                suggestions.push(Suggestion { key, because: None });
            }
        }
    }
    suggestions.retain(|suggestion| keys.iter().all(|known| known.key != suggestion.key));
    Explanation {
        name: name.to_owned(),
        known: !keys.is_empty(),
        suggestions,
        keys,
    }
}

fn names<'a>(row: &'a Row<'_>) -> impl Iterator<Item = &'a Key> {
    let aliases = row.definition.aliases.iter().flat_map(|fact| &fact.value);
    row.definition.key.iter().chain(aliases)
}

/// Keys whose name some document is known to misspell as it was asked for.
fn misspelt(catalogue: &Catalogue, asked: &Key) -> Vec<Suggestion> {
    let mut found = Vec::new();
    for row in catalogue.rows() {
        let told = row
            .definition
            .recommended
            .iter()
            .flat_map(|fact| &fact.value);
        let is_asked = |told: &&Recommendation| {
            told.spelt
                .as_ref()
                .is_some_and(|spelt| spelt.matches(asked))
        };
        for told in told.filter(is_asked) {
            found.extend(row.definition.key.clone().map(|key| Suggestion {
                because: Some(format!(
                    "{} writes it {}",
                    told.by,
                    told.spelt.as_ref().unwrap_or(asked)
                )),
                key,
            }));
        }
    }
    found
}

/// The rows by key. Spellings are one key, unless a document tells them apart (Ensto's `HeartBeatInterval`).
fn told_apart<'r, 'c>(rows: &'r [Row<'c>]) -> Vec<(Key, Vec<&'r Row<'c>>)> {
    let mut by_document: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        *by_document.entry(row.document).or_default() += 1;
    }
    let apart = by_document.values().any(|count| *count > 1);
    let mut keys: Vec<(Key, Vec<&Row<'_>>)> = Vec::new();
    for row in rows {
        let Some(key) = &row.definition.key else {
            continue;
        };
        match keys.iter_mut().find(|(known, _)| known == key || !apart) {
            Some((_, rows)) => rows.push(row),
            None => keys.push((key.clone(), vec![row])),
        }
    }
    keys
}

fn explained(catalogue: &Arc<Catalogue>, key: Key, rows: &[&Row<'_>]) -> Explained {
    let references: Vec<Reference> = rows
        .iter()
        .map(|row| Reference {
            vendor: row.vendor.map(str::to_owned),
            key: row.definition.key.clone().unwrap_or_else(|| key.clone()),
            facts: row
                .definition
                .facts()
                .into_iter()
                .map(|(fact, value, source)| Told {
                    fact,
                    value,
                    source: source.clone(),
                })
                .collect(),
        })
        .collect();
    let writing = rows
        .iter()
        .filter_map(|row| {
            let device = Device {
                vendor: row.vendor.map(str::to_owned),
                ..Device::default()
            };
            let of_station = catalogue.for_station(&device, None);
            let key = row.definition.key.as_ref()?;
            Some(Writing {
                vendor: row.vendor.map(str::to_owned),
                says: writing(key, of_station.find(key)?),
            })
        })
        .collect();
    Explained {
        differences: differences(&references),
        key,
        references,
        writing,
    }
}

/// The facts on which references differ, words and recommendations aside.
fn differences(references: &[Reference]) -> Vec<Difference> {
    const ASIDE: [&str; 4] = ["note", "aliases", "supported", "recommended"];
    let mut differences: Vec<Difference> = Vec::new();
    for reference in references {
        for told in reference
            .facts
            .iter()
            .filter(|told| !ASIDE.contains(&told.fact))
        {
            let value = Differing {
                vendor: reference.vendor.clone(),
                value: told.value.clone(),
            };
            match differences.iter_mut().find(|known| known.fact == told.fact) {
                Some(known) => known.values.push(value),
                None => differences.push(Difference {
                    fact: told.fact,
                    values: vec![value],
                }),
            }
        }
    }
    let differ = |Difference { values, .. }: &Difference| {
        values.iter().any(|value| value.value != values[0].value)
    };
    differences.retain(differ);
    differences
}

/// What follows for a setting that declares the key.
fn writing(key: &Key, definition: &Definition) -> String {
    if definition.is_telemetry() {
        return "a reading: never written, and never drift".to_owned();
    }
    if definition.is_read_only() {
        return "read-only: it may be declared, and a difference is told, never written".to_owned();
    }
    let never: Vec<String> = definition
        .hazards()
        .iter()
        .filter(|hazard| hazard.write_rule() == WriteRule::Never)
        .map(|hazard: &Hazard| format!("{hazard:?}"))
        .collect();
    if !never.is_empty() {
        return format!(
            "never written: it is no configuration ({})",
            never.join(", ")
        );
    }
    if is_credential(key) {
        return "refused in this version, which changes no credentials; it is set by the station's own means".to_owned();
    }
    if definition.needs_reset_at_once() {
        return "a write is held in this version, whatever the consents: it can cut the link and takes effect with the \
                next boot, and no Reset of ours may follow; it is set by the station's own means"
            .to_owned();
    }
    let choice = match definition.access() {
        Some(Access::ImplementationDefined) => "; whether it can be written, the station says",
        Some(Access::ReadOnly | Access::ReadWrite | Access::WriteOnly) | None => "",
    };
    let consents: Vec<String> = definition
        .consents()
        .map(|consent| format!("{consent:?}"))
        .collect();
    let consent = match &consents[..] {
        [] => "written without a consent".to_owned(),
        [one] => format!("written with the consent {one}"),
        [first @ .., last] => {
            format!("written with the consents {} and {last}", first.join(", "))
        }
    };
    let only = |holds: bool, words: &'static str| if holds { words } else { "" };
    let from = only(definition.is_secret(), ", from a Secret");
    let idle = only(definition.needs_idle(), ", while the station is idle");
    let guarded = definition.is_secret() || definition.is_connection_critical();
    let over = only(guarded, ", over a connection with a password");
    let effect = match definition.takes_effect() {
        TakesEffect::Immediately => "takes effect at once",
        TakesEffect::AfterReset => "takes effect with the next boot",
        TakesEffect::AfterReconnect => "takes effect with the next connection",
        TakesEffect::Unknown => "the station's answer tells when it takes effect",
    };
    let unsupported = definition
        .supported
        .as_ref()
        .is_some_and(|fact| fact.value == Supported::NotSupported);
    let doubt = only(
        unsupported,
        "not supported, says the vendor, and a warning tells so; where a station has it after all, ",
    );
    format!("{doubt}{consent}{from}{idle}{over}; {effect}{choice}")
}
