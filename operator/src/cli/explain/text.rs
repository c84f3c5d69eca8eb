//! An explanation as text: facts by reference with numbered sources, differences, what follows for a config.

use std::fmt::Write;

use super::{Difference, Differing, Explained, Explanation, Suggestion, Told, Writing};
use crate::cli::catalogue::telling::{Sources, words};

pub(super) fn text(explanation: &Explanation) -> String {
    let Explanation {
        name,
        known: _,
        suggestions,
        keys,
    } = explanation;
    let mut text = String::new();
    let mut sources = Sources::default();
    for explained in keys {
        key_text(&mut text, explained, &mut sources);
    }
    if keys.is_empty() {
        let _ = writeln!(text, "No catalogue knows the key {name:?}.");
    }
    if let [first, rest @ ..] = &suggestions[..] {
        let say = |Suggestion { key, because }: &Suggestion| match because {
            Some(because) => format!("{key} ({because})"),
            None => key.to_string(),
        };
        let all: Vec<String> = std::iter::once(first).chain(rest).map(say).collect();
        let _ = writeln!(text, "Did you mean {}?", all.join(", "));
    }
    if !keys.is_empty() {
        text.push_str("Sources\n");
        for (number, source) in sources.listed() {
            let _ = writeln!(text, "  [{number}] {source}");
        }
    }
    text
}

fn key_text(text: &mut String, explained: &Explained, sources: &mut Sources) {
    let Explained {
        key,
        references,
        differences,
        writing,
    } = explained;
    let _ = writeln!(text, "{key}\n");
    for reference in references {
        let spelt = match reference.key == *key {
            true => String::new(),
            false => format!(" (spelt {})", reference.key),
        };
        let _ = writeln!(text, "{}{spelt}", by(reference.vendor.as_deref()));
        for Told {
            fact,
            value,
            source,
        } in &reference.facts
        {
            let number = sources.number(source);
            let _ = writeln!(text, "  {fact:<14} {} [{number}]", words(fact, value));
        }
        text.push('\n');
    }
    if !differences.is_empty() {
        text.push_str("Where they differ\n");
        for Difference { fact, values } in differences {
            let say = |Differing { vendor, value }: &Differing| {
                format!("{} ({})", words(fact, value), by(vendor.as_deref()))
            };
            let values: Vec<String> = values.iter().map(say).collect();
            let _ = writeln!(text, "  {fact:<14} {}", values.join(" · "));
        }
        text.push('\n');
    }
    if !writing.is_empty() {
        text.push_str("Declared in a config\n");
        for Writing { vendor, says } in writing {
            let stations = vendor
                .as_deref()
                .map_or("any other station", |vendor| vendor);
            let _ = writeln!(text, "  {stations:<17} {says}");
        }
        text.push('\n');
    }
}

fn by(vendor: Option<&str>) -> &str {
    vendor.unwrap_or("OCPP standard")
}
