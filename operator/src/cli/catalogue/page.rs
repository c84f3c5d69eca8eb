//! Reference pages: the built-in catalogue → one Markdown page a document, with every fact of every key and its source.
//!
//! A page tells what its reference says, unmerged. It is generated: nobody edits it, and a test fails when it is stale.

use std::collections::BTreeMap;
use std::fmt::Write;

use stationkeeper_core::catalogue::{Catalogue, Row};

use super::telling::{Sources, words};

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The name of its file.
    pub file: String,
    /// What stands in it.
    pub text: String,
}

/// The columns of the overview: what they are called, and the fact in them.
const OVERVIEW: [(&str, &str); 5] = [
    ("Type", "type"),
    ("Access", "access"),
    ("Takes effect", "takesEffect"),
    ("Default", "default"),
    ("Hazard", "hazard"),
];

/// One page for each document of the catalogue.
pub fn pages(catalogue: &Catalogue) -> Vec<Page> {
    let mut documents: Vec<(&str, Vec<Row<'_>>)> = Vec::new();
    for row in catalogue.rows() {
        match documents.last_mut() {
            Some((name, rows)) if *name == row.document => rows.push(row),
            Some(_) | None => documents.push((row.document, vec![row])),
        }
    }
    documents
        .iter()
        .map(|(document, rows)| Page {
            file: document.replace(".yaml", ".md"),
            text: page(document, rows),
        })
        .collect()
}

fn page(document: &str, rows: &[Row<'_>]) -> String {
    let mut text = head(document, rows);
    let anchors = anchors(rows);
    overview(&mut text, rows, &anchors);
    let mut sources = Sources::default();
    for row in rows {
        key(&mut text, row, &mut sources);
    }
    text.push_str("\n## Sources\n\n");
    for (number, source) in sources.listed() {
        let _ = writeln!(text, "{number}. {}", escaped(&source.to_string()));
    }
    text
}

fn head(document: &str, rows: &[Row<'_>]) -> String {
    let vendor = rows.first().and_then(|row| row.vendor);
    let (title, says) = match vendor {
        Some(vendor) => (
            format!("Keys of {vendor}"),
            format!("what {vendor}'s own reference says of {} keys", rows.len()),
        ),
        None => (
            "Keys of OCPP 1.6".to_owned(),
            format!(
                "what OCPP 1.6 and the papers beside it say of {} keys",
                rows.len()
            ),
        ),
    };
    let below = match vendor {
        Some(_) => {
            " What it leaves out of a key of OCPP stands on [the page of the standard](standard.md)."
        }
        None => "",
    };
    format!(
        "# {title}\n\n\
         <!-- Generated from operator/core/catalogue/{document}: run `cargo run -p stationkeeper -- catalogue pages docs/keys`. -->\n\n\
         This is {says}. A fact that is not here is not known.{below} The number behind a fact is that of its\n\
         [source](#sources); hazards, natures and orders are mostly our own judgement, and then the source says so.\n\
         Where references contradict themselves or each other, [contradictions](../contradictions.md) says what we believe.\n\n"
    )
}

fn overview(text: &mut String, rows: &[Row<'_>], anchors: &[String]) {
    let titles = OVERVIEW.map(|(title, _)| title).join(" | ");
    let _ = writeln!(
        text,
        "| Key | {titles} |\n|---|{}",
        "---|".repeat(OVERVIEW.len())
    );
    for (row, anchor) in rows.iter().zip(anchors) {
        let facts = row.definition.facts();
        let cells = OVERVIEW.map(|(_, fact)| {
            let told = facts.iter().find(|(name, _, _)| *name == fact);
            told.map_or_else(String::new, |(name, value, _)| escaped(&words(name, value)))
        });
        let _ = writeln!(
            text,
            "| [{}](#{anchor}) | {} |",
            escaped(&name(row)),
            cells.join(" | ")
        );
    }
}

fn key(text: &mut String, row: &Row<'_>, sources: &mut Sources) {
    let _ = writeln!(text, "\n### {}\n", escaped(&name(row)));
    let facts = row.definition.facts();
    if let Some((_, note, source)) = facts.iter().find(|(name, _, _)| *name == "note") {
        let number = sources.number(source);
        let _ = writeln!(text, "{} [{number}]\n", escaped(&words("note", note)));
    }
    for (fact, value, source) in facts.iter().filter(|(name, _, _)| *name != "note") {
        let number = sources.number(source);
        let _ = writeln!(
            text,
            "- {fact}: {} [{number}]",
            escaped(&words(fact, value))
        );
    }
}

fn name(row: &Row<'_>) -> String {
    row.definition
        .key
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// The anchors that renderers give the headings: in lower case, a repeated one with a number.
fn anchors(rows: &[Row<'_>]) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let anchor = |row: &Row<'_>| {
        let name = name(row).to_ascii_lowercase();
        let slug: String = name
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
            .collect();
        let before = seen.entry(slug.clone()).or_default();
        *before += 1;
        match *before {
            1 => slug,
            again => format!("{slug}-{}", again - 1),
        }
    };
    rows.iter().map(anchor).collect()
}

/// Text in which no letter means something to Markdown.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '|' | '<' | '>' | '*' | '_' | '`' | '[' | ']' | '\\') {
            escaped.push('\\');
        }
        escaped.push(if c == '\n' { ' ' } else { c });
    }
    escaped
}
