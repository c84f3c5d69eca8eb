//! Named values: a code and a label that mean the same.

use std::borrow::Cow;

use super::boolean;
use crate::catalogue::{Definition, NamedValue};

/// The named values of a definition.
pub(super) fn values(definition: &Definition) -> &[NamedValue] {
    definition.values.as_ref().map_or(&[], |fact| &fact.value)
}

/// The named value that is meant: exactly, then by code or label in any case, then, for switches (`(0)Off (1)On`), by
/// any word for true or false, so that one setting fits stations of several vendors.
pub(super) fn find<'a>(values: &'a [NamedValue], value: &str) -> Option<&'a NamedValue> {
    let trimmed = value.trim();
    let label_is =
        |named: &NamedValue, is: &dyn Fn(&str) -> bool| named.label.as_deref().is_some_and(is);
    values
        .iter()
        .find(|named| named.code == value)
        .or_else(|| values.iter().find(|named| named.code == trimmed))
        .or_else(|| {
            values
                .iter()
                .find(|named| label_is(named, &|label| label == trimmed))
        })
        .or_else(|| {
            values
                .iter()
                .find(|named| named.code.eq_ignore_ascii_case(trimmed))
        })
        .or_else(|| {
            values
                .iter()
                .find(|named| label_is(named, &|label| label.eq_ignore_ascii_case(trimmed)))
        })
        .or_else(|| {
            let meant = boolean::truth(trimmed)?;
            let mut switches = values
                .iter()
                .filter(|named| label_is(named, &|label| boolean::truth(label) == Some(meant)));
            switches.next()
        })
}

/// A value's label where a label is shown; `None` where a code is shown.
pub(super) fn in_style_of(values: &[NamedValue], value: &str, shown: &str) -> Option<String> {
    let named = find(values, value)?;
    let shown = shown.trim();
    if values
        .iter()
        .any(|other| other.code.eq_ignore_ascii_case(shown))
    {
        return None;
    }
    let shows_label = |other: &NamedValue| {
        other
            .label
            .as_deref()
            .is_some_and(|label| label.eq_ignore_ascii_case(shown))
    };
    if values.iter().any(shows_label) {
        return named.label.clone();
    }
    // Neither code nor label, but a word for true or false: the station speaks its own boolean words.
    let truth = named.label.as_deref().and_then(boolean::truth)?;
    boolean::in_style_of(truth, shown)
}

/// The canonical text, borrowed if the value is it already.
pub(super) fn same_or_owned<'a>(value: &'a str, canonical: &str) -> Cow<'a, str> {
    if value == canonical {
        Cow::Borrowed(value)
    } else {
        Cow::Owned(canonical.to_owned())
    }
}

/// The values as a person may write them.
pub(super) fn listed(values: &[NamedValue]) -> String {
    let names: Vec<String> = values
        .iter()
        .map(|NamedValue { code, label }| match label {
            Some(label) => format!("{code:?} ({label})"),
            None => format!("{code:?}"),
        })
        .collect();
    names.join(", ")
}
