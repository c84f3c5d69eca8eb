//! Facts in words: the value of a fact, as data → what people read in `explain` and on the reference pages; and the
//! numbers under which its sources are listed.

use serde_json::Value as Json;
use stationkeeper_core::catalogue::{
    After, Direction, Length, NamedValue, Range, Recommendation, Source,
};

/// The value of a fact in words.
pub(crate) fn words(fact: &str, value: &Json) -> String {
    match fact {
        "range" => typed(value, |range: Range| range.to_string()),
        "length" => typed(value, length),
        "values" => typed(value, |values: Vec<NamedValue>| listed(&values, named)),
        "after" => typed(value, |after: Vec<After>| listed(&after, predecessor)),
        "recommended" => typed(value, |all: Vec<Recommendation>| {
            listed(&all, recommendation)
        }),
        _ => plain(value),
    }
}

fn typed<T: serde::de::DeserializeOwned>(value: &Json, say: impl Fn(T) -> String) -> String {
    serde_json::from_value(value.clone()).map_or_else(|_| value.to_string(), say)
}

fn listed<T>(all: &[T], say: impl Fn(&T) -> String) -> String {
    all.iter().map(say).collect::<Vec<_>>().join(", ")
}

fn length(length: Length) -> String {
    match (length.min, length.max) {
        (Some(min), Some(max)) => format!("{min} to {max} characters"),
        (Some(min), None) => format!("{min} characters or more"),
        (None, Some(max)) => format!("at most {max} characters"),
        (None, None) => "any".to_owned(),
    }
}

fn named(value: &NamedValue) -> String {
    match &value.label {
        Some(label) if *label != value.code => format!("{} ({label})", value.code),
        Some(_) | None => value.code.clone(),
    }
}

fn predecessor(after: &After) -> String {
    let when = match after.when {
        Direction::Any => "",
        Direction::Raising => " when it is raised",
        Direction::Lowering => " when it is lowered",
    };
    format!("{}{when}", after.key)
}

fn recommendation(told: &Recommendation) -> String {
    let Recommendation {
        value,
        by,
        when,
        range,
        spelt,
        note,
    } = told;
    let mut remarks = vec![by.clone()];
    remarks.extend(when.iter().map(|when| format!("for {when}")));
    remarks.extend(range.iter().map(|range| format!("any of {range} will do")));
    remarks.extend(spelt.iter().map(|spelt| format!("spelt {spelt} there")));
    remarks.extend(
        note.iter()
            .map(|note| note.trim_end_matches('.').to_owned()),
    );
    format!("{value} ({})", remarks.join("; "))
}

fn plain(value: &Json) -> String {
    match value {
        Json::Bool(true) => "yes".to_owned(),
        Json::Bool(false) => "no".to_owned(),
        Json::String(text) if text.is_empty() => "\"\" (empty)".to_owned(),
        Json::String(text) => text.clone(),
        Json::Array(items) => listed(items, plain),
        Json::Null | Json::Number(_) | Json::Object(_) => value.to_string(),
    }
}

/// The sources of what is told, each with its number.
#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<Source>);

impl Sources {
    /// The number under which the source is listed.
    pub(crate) fn number(&mut self, source: &Source) -> usize {
        if let Some(index) = self.0.iter().position(|known| known == source) {
            return index + 1;
        }
        self.0.push(source.clone());
        self.0.len()
    }

    /// The sources in the order of their numbers, from 1.
    pub(crate) fn listed(&self) -> impl Iterator<Item = (usize, &Source)> {
        self.0
            .iter()
            .enumerate()
            .map(|(index, source)| (index + 1, source))
    }
}
