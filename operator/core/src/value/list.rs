//! Comma-separated lists (CSL): items trimmed, unquoted, in the catalogue's own spelling, compared as sets unless the
//! order matters.

use std::borrow::Cow;

use super::choice;
use crate::catalogue::{Definition, ItemPrefix};

/// The canonical form: each item once and sorted; ordered lists keep their order.
pub(super) fn normalise<'a>(definition: &Definition, value: &'a str) -> Cow<'a, str> {
    if is_canonical(definition, value) {
        return Cow::Borrowed(value);
    }
    let mut items = canonical_items(definition, value);
    if !is_ordered(definition) {
        items.sort_unstable();
        items.dedup();
    }
    choice::same_or_owned(value, &items.join(","))
}

/// The items in the given order, as they go on the wire.
pub(super) fn to_wire(definition: &Definition, value: &str) -> String {
    wire_items(definition, value).join(",")
}

/// The items in the given order, repetitions left out (unless the order matters, and with it perhaps the repetition).
pub(super) fn wire_items<'a>(definition: &Definition, value: &'a str) -> Vec<Cow<'a, str>> {
    let items = canonical_items(definition, value);
    if is_ordered(definition) {
        return items;
    }
    let mut once: Vec<Cow<'a, str>> = Vec::with_capacity(items.len());
    for item in items {
        if !once.contains(&item) {
            once.push(item);
        }
    }
    once
}

/// The pieces between the commas, without the quotes and spaces that stations and people put around them.
pub(super) fn pieces(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(',')
        .map(|piece| piece.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\''))
}

/// The item that is meant, in the catalogue's spelling; `None` if the catalogue knows the items and this is none.
pub(super) fn known_item<'a>(definition: &Definition, piece: &'a str) -> Option<Cow<'a, str>> {
    let Some(ItemPrefix::Connector) = definition.item_prefix.as_ref().map(|fact| fact.value) else {
        return known_suffixed(definition, piece);
    };
    let (connector, rest) = piece.split_once('.')?;
    let number = super::number::integer(connector)?;
    let is_plain = !number.starts_with('-') && connector.bytes().all(|byte| byte.is_ascii_digit());
    let item = known_suffixed(definition, rest)?;
    is_plain.then(|| match (number, item) {
        (number, Cow::Borrowed(item)) if *number == *connector && item == rest => {
            Cow::Borrowed(piece)
        }
        (number, item) => Cow::Owned(format!("{number}.{item}")),
    })
}

/// Does the catalogue know which items there are?
pub(super) fn knows_items(definition: &Definition) -> bool {
    definition.item_values.is_some()
        || definition.values.is_some()
        || definition.item_prefix.is_some()
}

fn known_suffixed<'a>(definition: &Definition, piece: &'a str) -> Option<Cow<'a, str>> {
    if let Some(item) = known_plain(definition, piece) {
        return Some(item);
    }
    definition
        .item_suffixes
        .iter()
        .flat_map(|fact| &fact.value)
        .find_map(|suffix| {
            let at = piece.len().checked_sub(suffix.len())?;
            let (head, tail) = (piece.get(..at)?, piece.get(at..)?);
            let measurand = head.strip_suffix('.')?;
            if !tail.eq_ignore_ascii_case(suffix) {
                return None;
            }
            let item = known_plain(definition, measurand)?;
            Some(if *item == *measurand && tail == suffix {
                Cow::Borrowed(piece)
            } else {
                Cow::Owned(format!("{item}.{suffix}"))
            })
        })
}

fn known_plain<'a>(definition: &Definition, piece: &'a str) -> Option<Cow<'a, str>> {
    if let Some(named) = choice::find(choice::values(definition), piece) {
        return Some(choice::same_or_owned(piece, &named.code));
    }
    if definition.item_values.is_none() && definition.values.is_none() {
        return (!piece.is_empty()).then_some(Cow::Borrowed(piece));
    }
    let items = definition
        .item_values
        .as_ref()
        .map_or(&[][..], |fact| &fact.value);
    let meant = items
        .iter()
        .find(|item| *item == piece)
        .or_else(|| items.iter().find(|item| item.eq_ignore_ascii_case(piece)))?;
    Some(choice::same_or_owned(piece, meant))
}

fn canonical_items<'a>(definition: &Definition, value: &'a str) -> Vec<Cow<'a, str>> {
    pieces(value)
        .filter(|piece| !piece.is_empty())
        .map(|piece| known_item(definition, piece).unwrap_or(Cow::Borrowed(piece)))
        .collect()
}

fn is_ordered(definition: &Definition) -> bool {
    definition.ordered.as_ref().is_some_and(|fact| fact.value)
}

/// Is the value its own canonical form? Decided without a copy, since most values are.
fn is_canonical(definition: &Definition, value: &str) -> bool {
    if value.is_empty() {
        return true;
    }
    let ordered = is_ordered(definition);
    let mut before = "";
    value.split(',').zip(pieces(value)).all(|(raw, piece)| {
        let same = match known_item(definition, piece) {
            Some(Cow::Borrowed(item)) => item == raw,
            Some(Cow::Owned(_)) => false,
            None => piece == raw,
        };
        let in_order = ordered || before < piece;
        before = piece;
        same && !piece.is_empty() && in_order
    })
}
