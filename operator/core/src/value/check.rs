//! Checking a desired value: the first thing that is wrong, in words that a person can act on.

use super::{Mistake, boolean, choice, list, number, to_wire};
use crate::catalogue::{Definition, Excluded, Range, ValueType};

/// The largest whole number that stations can be expected to hold where no document gives a range: implementations keep
/// OCPP's integers in 32 bits with a sign.
const LARGEST_INTEGER: i64 = i32::MAX as i64;

/// Units that count or last: none of them can be negative, unless a document gives a range that says so.
const UNITS_WITHOUT_NEGATIVES: &[&str] = &[
    "seconds", "minutes", "hours", "days", "times", "Wh", "%", "items",
];

pub(super) fn check(definition: &Definition, value: &str) -> Result<(), Mistake> {
    let shown = Shown { definition, value };
    match definition.value_type() {
        Some(ValueType::Boolean) => check_boolean(&shown)?,
        Some(ValueType::Integer) => check_integer(&shown)?,
        Some(ValueType::Decimal) => check_decimal(&shown)?,
        Some(ValueType::Enum) => check_enum(&shown)?,
        Some(ValueType::List) => check_list(&shown)?,
        Some(ValueType::Url) => check_url(&shown)?,
        Some(ValueType::String | ValueType::Secret) | None => {}
    }
    check_characters(&shown)?;
    let wire = to_wire(definition, value);
    check_length(definition, wire.chars().count())?;
    check_pattern(&shown, &wire)
}

/// A value as messages may show it: a secret never.
struct Shown<'a> {
    definition: &'a Definition,
    value: &'a str,
}

impl Shown<'_> {
    fn quoted(&self) -> String {
        if self.definition.is_secret() {
            return "the secret".to_owned();
        }
        // A message is for a line on a screen; a value of 500 characters is not.
        match self.value.char_indices().nth(60) {
            Some((end, _)) => format!("{:?}…", &self.value[..end]),
            None => format!("{:?}", self.value),
        }
    }

    fn unit(&self) -> &str {
        self.definition.unit.as_ref().map_or("", |fact| &fact.value)
    }

    /// `the seconds` or `it`.
    fn quantity(&self) -> String {
        match self.unit() {
            "" => "it".to_owned(),
            unit => format!("the {unit}"),
        }
    }
}

fn wrong<T>(message: String) -> Result<T, Mistake> {
    Err(Mistake(message))
}

fn check_boolean(shown: &Shown<'_>) -> Result<(), Mistake> {
    match boolean::truth(shown.value) {
        Some(_) => Ok(()),
        None => wrong(format!(
            "{} is neither true nor false; write \"true\" or \"false\"",
            shown.quoted()
        )),
    }
}

fn check_integer(shown: &Shown<'_>) -> Result<(), Mistake> {
    let Some(digits) = number::integer(shown.value) else {
        let example = shown
            .definition
            .default
            .as_ref()
            .and_then(|fact| number::integer(&fact.value));
        return wrong(format!(
            "{} is not a whole number; write {} as digits, like {:?}",
            shown.quoted(),
            shown.quantity(),
            example.as_deref().unwrap_or("300"),
        ));
    };
    let range = shown.definition.range.as_ref().map(|fact| &fact.value);
    let Ok(number) = digits.parse::<i64>() else {
        return wrong(format!(
            "{} is too large a number for any station",
            shown.quoted()
        ));
    };
    match range {
        Some(range) => check_range(shown, range, number),
        None if number < 0 && UNITS_WITHOUT_NEGATIVES.contains(&shown.unit()) => wrong(format!(
            "{} is negative, which {} cannot be; write 0 or more",
            shown.quoted(),
            shown.quantity()
        )),
        None if number > 100 && shown.unit() == "%" => wrong(format!(
            "{} is more than 100 %; write 0 to 100",
            shown.quoted()
        )),
        None if number.abs() > LARGEST_INTEGER => wrong(format!(
            "{} is more than {LARGEST_INTEGER}, the largest number that stations can be expected to hold; write less",
            shown.quoted()
        )),
        None => Ok(()),
    }
}

fn check_range(shown: &Shown<'_>, range: &Range, number: i64) -> Result<(), Mistake> {
    if range.also.contains(&number) {
        return Ok(());
    }
    let problem = if range.min.is_some_and(|min| number < min) {
        "less than the station takes"
    } else if range.max.is_some_and(|max| number > max) {
        "more than the station takes"
    } else {
        return Ok(());
    };
    let unit = shown.unit();
    let space = if unit.is_empty() { "" } else { " " };
    wrong(format!(
        "{} is {problem}; write {range}{space}{unit}",
        shown.quoted()
    ))
}

fn check_decimal(shown: &Shown<'_>) -> Result<(), Mistake> {
    let Some(canonical) = number::decimal(shown.value) else {
        return wrong(format!(
            "{} is not a number; write {} with digits and a point, like \"1.5\"",
            shown.quoted(),
            shown.quantity()
        ));
    };
    let Some(range) = shown.definition.range.as_ref().map(|fact| &fact.value) else {
        return Ok(());
    };
    // Bounds are whole: rounding away from zero tells on which side of them the number lies.
    let (whole, fraction) = canonical.split_once('.').unwrap_or((&canonical, ""));
    let Ok(truncated) = whole.parse::<i64>() else {
        return wrong(format!(
            "{} is too large a number for any station",
            shown.quoted()
        ));
    };
    let away = match (fraction.is_empty(), canonical.starts_with('-')) {
        (true, _) => truncated,
        (false, false) => truncated.saturating_add(1),
        (false, true) => truncated.saturating_sub(1),
    };
    let (lower, upper) = (truncated.min(away), truncated.max(away));
    if range.min.is_some_and(|min| lower < min) {
        return check_range(shown, range, lower);
    }
    check_range(shown, range, upper)
}

fn check_enum(shown: &Shown<'_>) -> Result<(), Mistake> {
    let values = choice::values(shown.definition);
    if values.is_empty() || choice::find(values, shown.value).is_some() {
        return Ok(());
    }
    wrong(format!(
        "{} is none of its values; write one of {}",
        shown.quoted(),
        choice::listed(values)
    ))
}

fn check_list(shown: &Shown<'_>) -> Result<(), Mistake> {
    let definition = shown.definition;
    if shown.value.trim().is_empty() {
        return Ok(());
    }
    for piece in list::pieces(shown.value) {
        if piece.is_empty() {
            return wrong(format!(
                "{} has an empty item; write the items with one comma between them",
                shown.quoted()
            ));
        }
        if list::knows_items(definition) && list::known_item(definition, piece).is_none() {
            return wrong(format!(
                "{piece:?} is none of the items of this list; {}",
                expected_items(definition, piece)
            ));
        }
    }
    Ok(())
}

/// What to write instead of an item: the nearest ones if any is near, else the form that items have.
fn expected_items(definition: &Definition, piece: &str) -> String {
    let names = || {
        let codes = choice::values(definition)
            .iter()
            .map(|named| named.code.as_str());
        codes.chain(
            definition
                .item_values
                .iter()
                .flat_map(|fact| &fact.value)
                .map(String::as_str),
        )
    };
    if definition.item_prefix.is_some() {
        let names: Vec<&str> = names().collect();
        return format!(
            "write the connector's number, a dot and one of {}, like \"1.RST\"",
            names.join(", ")
        );
    }
    let suffixes = definition
        .item_suffixes
        .as_ref()
        .map_or(&[][..], |fact| &fact.value);
    let head = suffixes
        .iter()
        .find_map(|suffix| piece.strip_suffix(suffix)?.strip_suffix('.'))
        .unwrap_or(piece);
    let head = head.to_ascii_lowercase();
    // Distances are quadratic: a name that is longer than any item by far is near to none.
    let nearest = (head.len() <= 100)
        .then(|| {
            names()
                .map(|name| (super::distance(&head, &name.to_ascii_lowercase()), name))
                .min()
        })
        .flatten();
    match nearest {
        Some((distance, name)) if distance <= name.len() / 3 => format!("did you mean {name:?}?"),
        Some(_) | None => {
            let names: Vec<&str> = names().collect();
            let tail = if suffixes.is_empty() {
                ""
            } else {
                ", each with a phase after a dot if needed"
            };
            format!("write any of {}{tail}", names.join(", "))
        }
    }
}

fn check_url(shown: &Shown<'_>) -> Result<(), Mistake> {
    let value = shown.value;
    if value.is_empty() {
        return Ok(());
    }
    if value.contains(char::is_whitespace) {
        return wrong(format!(
            "{} has spaces, tabs or line breaks in it; leave them out",
            shown.quoted()
        ));
    }
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    };
    match value.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) && !rest.is_empty() && !rest.starts_with('/') => {
            Ok(())
        }
        Some(_) | None => wrong(format!(
            "{} is no address; write scheme, host and path, like \"wss://csms.example.com/ocpp\"",
            shown.quoted()
        )),
    }
}

/// OCPP's strings are printable (CiString, OCPP 1.6 edition 2, section 2.2). Letters beyond ASCII pass, since stations
/// with displays take them; where a document gives a pattern, that decides.
fn check_characters(shown: &Shown<'_>) -> Result<(), Mistake> {
    let excludes_whitespace = shown
        .definition
        .excludes
        .as_ref()
        .is_some_and(|fact| fact.value.contains(&Excluded::Whitespace));
    let is_list = shown.definition.value_type() == Some(ValueType::List);
    // Spaces around the items of a list never reach the station.
    if excludes_whitespace && !is_list && shown.value.contains(char::is_whitespace) {
        return wrong(format!(
            "{} has spaces, tabs or line breaks in it; leave them out",
            shown.quoted()
        ));
    }
    let is_free = shown
        .definition
        .value_type()
        .is_none_or(|kind| matches!(kind, ValueType::String | ValueType::Secret));
    if is_free && shown.definition.pattern.is_none() && shown.value.contains(char::is_control) {
        return wrong(format!(
            "{} has a line break, a tab or another control character in it, which OCPP does not allow; leave it out",
            shown.quoted()
        ));
    }
    Ok(())
}

pub(super) fn check_length(definition: &Definition, length: usize) -> Result<(), Mistake> {
    let bound = definition.length.as_ref().map(|fact| &fact.value);
    let at_least = bound
        .and_then(|length| usize::try_from(length.min?).ok())
        .unwrap_or(0);
    let at_most = bound.and_then(|length| usize::try_from(length.max?).ok());
    let allowed = definition.max_value_length();
    match at_most {
        _ if length < at_least => wrong(format!(
            "it has {length} characters, and the station wants at least {at_least}"
        )),
        Some(at_most) if length > at_most => wrong(format!(
            "it has {length} characters, and the station takes at most {at_most}"
        )),
        _ if length > allowed => wrong(format!(
            "it has {length} characters, and OCPP 1.6 lets a value have at most {allowed}; make it shorter"
        )),
        Some(_) | None => Ok(()),
    }
}

fn check_pattern(shown: &Shown<'_>, wire: &str) -> Result<(), Mistake> {
    match &shown.definition.pattern {
        Some(pattern) if !pattern.value.matches(wire) => wrong(format!(
            "{} does not have the form that the station takes: {}",
            shown.quoted(),
            pattern.value.as_str()
        )),
        Some(_) | None => Ok(()),
    }
}
