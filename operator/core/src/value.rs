//! Values: parse, normalise and compare by type, and say the first thing that is wrong.

use std::borrow::Cow;

use crate::catalogue::Definition;

/// What is wrong with a value, in words that a person can act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake(pub String);

/// The canonical form: what two values must share to be equal. Never fails: what does not parse is itself, trimmed of
/// nothing. Idempotent.
pub fn normalise<'a>(definition: &Definition, value: &'a str) -> Cow<'a, str> {
    let _ = definition;
    Cow::Borrowed(value)
}

/// Equal by type?
pub fn equal(definition: &Definition, a: &str, b: &str) -> bool {
    normalise(definition, a) == normalise(definition, b)
}

/// The first thing that is wrong with a desired value: type, range, length, pattern, values, items.
pub fn check(definition: &Definition, value: &str) -> Result<(), Mistake> {
    let _ = (definition, value);
    Ok(())
}

/// The value as it goes on the wire: canonical decimals, `true`/`false`, items joined with `,` in the given order, an
/// enum's code.
pub fn to_wire(definition: &Definition, value: &str) -> String {
    let _ = definition;
    value.to_owned()
}

/// The same value in the vocabulary that the station itself shows (`shown`): `1` where it shows `0`, `TRUE` for
/// `FALSE`, an enum's label for a label. `None` if there is no other.
pub fn in_vocabulary_of(definition: &Definition, value: &str, shown: &str) -> Option<String> {
    let _ = (definition, value, shown);
    None
}
