//! Values: parse, normalise and compare by type, and say the first thing that is wrong.
//!
//! ```text
//!  type      canonical form             equal are            on the wire
//!  Boolean   true, false                TRUE, 1, On, yes     true (or the station's own word, by quirk)
//!  Integer   no sign, no zeros in front 0045, +45, 45.0      45
//!  Decimal   no zeros at either end     1.50, 01.5           1.5
//!  Enum      the code                   code and label       the code
//!  List      items sorted, once each    in any order, spaced items joined by commas, in the given order
//!  others    as they are                exactly the same     as they are
//! ```
//!
//! In come a definition and strings from manifests or stations; out go strings and mistakes in words. Nothing here fails
//! or panics on any input, and nothing knows other keys: see [`crate::rules`] for those.

mod boolean;
mod check;
mod choice;
mod list;
mod number;

use std::borrow::Cow;
use std::fmt;

use crate::catalogue::{Definition, ValueType};

/// What is wrong with a value, in words that a person can act on. Never quotes a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake(pub String);

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The canonical form: what two values must share to be equal. Never fails: what does not parse is itself, trimmed of
/// nothing. Idempotent; borrows from the value where it can.
pub fn normalise<'a>(definition: &Definition, value: &'a str) -> Cow<'a, str> {
    let parsed = match definition.value_type() {
        Some(ValueType::Boolean) => {
            boolean::truth(value).map(|truth| Cow::Borrowed(boolean::word(truth)))
        }
        Some(ValueType::Integer) => number::integer(value),
        Some(ValueType::Decimal) => number::decimal(value),
        Some(ValueType::Enum) => choice::find(choice::values(definition), value)
            .map(|named| choice::same_or_owned(value, &named.code)),
        Some(ValueType::List) => return list::normalise(definition, value),
        Some(ValueType::String | ValueType::Url | ValueType::Secret) | None => None,
    };
    parsed.unwrap_or(Cow::Borrowed(value))
}

/// Equal by type? Secrets are never compared in the clear, so two of them are never called equal.
pub fn equal(definition: &Definition, a: &str, b: &str) -> bool {
    !definition.is_secret() && (a == b || normalise(definition, a) == normalise(definition, b))
}

/// The first thing that is wrong with a desired value: type, range, length, pattern, values, items.
pub fn check(definition: &Definition, value: &str) -> Result<(), Mistake> {
    check::check(definition, value)
}

/// The first thing that is wrong with the length of a secret, of which nothing else may be known here.
pub fn check_secret_length(definition: &Definition, length: usize) -> Result<(), Mistake> {
    check::check_length(definition, length)
}

/// The value as it goes on the wire: canonical decimals, `true`/`false`, items joined with `,` in the given order, an
/// enum's code. What does not parse goes as it is.
pub fn to_wire(definition: &Definition, value: &str) -> String {
    match definition.value_type() {
        Some(ValueType::Boolean) => match (boolean::truth(value), definition.boolean_vocabulary) {
            (Some(truth), Some(vocabulary)) => vocabulary.word(truth).to_owned(),
            (Some(truth), None) => boolean::word(truth).to_owned(),
            (None, _) => value.to_owned(),
        },
        Some(ValueType::List) => list::to_wire(definition, value),
        Some(
            ValueType::Integer
            | ValueType::Decimal
            | ValueType::Enum
            | ValueType::String
            | ValueType::Url
            | ValueType::Secret,
        )
        | None => normalise(definition, value).into_owned(),
    }
}

/// The same value in the vocabulary that the station itself shows (`shown`): `1` where it shows `0`, `TRUE` for
/// `FALSE`, an enum's label for a label. `None` if there is no other than what [`to_wire`] gives.
pub fn in_vocabulary_of(definition: &Definition, value: &str, shown: &str) -> Option<String> {
    let other = match definition.value_type() {
        Some(ValueType::Boolean) => boolean::in_style_of(boolean::truth(value)?, shown)?,
        Some(ValueType::Enum) => choice::in_style_of(choice::values(definition), value, shown)?,
        Some(
            ValueType::Integer
            | ValueType::Decimal
            | ValueType::String
            | ValueType::List
            | ValueType::Url
            | ValueType::Secret,
        )
        | None => return None,
    };
    (other != to_wire(definition, value)).then_some(other)
}

/// The items of a list as they go on the wire, each once.
pub fn items<'a>(definition: &Definition, value: &'a str) -> Vec<Cow<'a, str>> {
    list::wire_items(definition, value)
}

/// A number, if the value is a whole one that fits.
pub fn whole_number(value: &str) -> Option<i64> {
    number::integer(value)?.parse().ok()
}

/// True or false, in any of the spellings that stations use.
pub fn truth(value: &str) -> Option<bool> {
    boolean::truth(value)
}

/// How many letters two words differ by (Levenshtein), for "did you mean". Quadratic: for names, not for texts.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}
