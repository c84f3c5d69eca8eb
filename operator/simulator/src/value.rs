//! Values as stations take and show them: what a key accepts, what it stores, how it spells what it stored.
//!
//! In come a key's definition, a text and the faults that are on; out comes what is stored, or a refusal, or what is
//! shown. No key table and no protocol here.

use std::borrow::Cow;

use crate::fault::{FaultKind, FaultSet};
use crate::profile::{Booleans, Choice, Choices, KeyDefinition, Kind, StationProfile};

/// The longest value of OCPP 1.6 (CiString500Type, edition 2, section 6.7 ChangeConfiguration.req).
pub(crate) const LONGEST: usize = 500;

/// What a station makes of a value that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It stores this.
    Stored(String),
    /// It says that it took it, and stores nothing.
    Ignored,
    /// It does not take it.
    Refused,
}

/// Does a value fit its definition, for a station without faults?
pub(crate) fn fits(profile: &StationProfile, definition: &KeyDefinition, raw: &str) -> bool {
    matches!(
        take(profile, definition, raw, &FaultSet::default()),
        Taken::Stored(_)
    )
}

/// Are two values the same by the key's type? What the station would call an equal write.
pub(crate) fn same(
    profile: &StationProfile,
    definition: &KeyDefinition,
    left: &str,
    right: &str,
) -> bool {
    let canonical = |raw: &str| match take(profile, definition, raw, &FaultSet::default()) {
        Taken::Stored(stored) if definition.kind == Kind::List && !definition.ordered => {
            let mut items: Vec<&str> = items(&stored).collect();
            items.sort_unstable();
            items.join(",")
        }
        Taken::Stored(stored) => stored,
        Taken::Ignored | Taken::Refused => raw.to_owned(),
    };
    left == right || canonical(left) == canonical(right)
}

/// What the station stores when a value is written.
pub(crate) fn take(
    profile: &StationProfile,
    definition: &KeyDefinition,
    raw: &str,
    faults: &FaultSet,
) -> Taken {
    let length = raw.chars().count();
    if length > LONGEST && faults.has(FaultKind::IgnoresLongValues) {
        return Taken::Ignored;
    }
    let good_length = length <= definition.max_length.unwrap_or(LONGEST).min(LONGEST)
        && length >= definition.min_length.unwrap_or(0);
    let good_text = (!definition.no_whitespace || !raw.contains(char::is_whitespace))
        && (definition.allowed.is_empty()
            || definition.allowed.iter().any(|allowed| allowed == raw))
        && definition
            .pattern
            .as_ref()
            .is_none_or(|pattern| pattern.matches(raw))
        && !definition.rejects.iter().any(|rejected| rejected == raw);
    let taken = if good_length && good_text {
        match definition.kind {
            Kind::String | Kind::Secret => Taken::Stored(raw.to_owned()),
            Kind::Boolean => take_boolean(profile, definition, raw, faults),
            Kind::Integer => take_integer(definition, raw, faults),
            Kind::Decimal => take_decimal(definition, raw, faults),
            Kind::Enum => take_choice(definition, raw),
            Kind::List => take_list(profile, definition, raw, faults),
        }
    } else {
        Taken::Refused
    };
    match taken {
        Taken::Refused if faults.has(FaultKind::AcceptsGarbage) => Taken::Stored(raw.to_owned()),
        Taken::Refused if faults.has(FaultKind::GarbageBecomesZero) => {
            Taken::Stored("0".to_owned())
        }
        taken => taken,
    }
}

fn take_boolean(
    profile: &StationProfile,
    definition: &KeyDefinition,
    raw: &str,
    faults: &FaultSet,
) -> Taken {
    let own = booleans(profile, definition, faults);
    let value = [true, false].into_iter().find(|&value| {
        let also = profile
            .takes_booleans
            .is_some_and(|also| also.spell(value) == raw);
        own.spell(value) == raw
            || (!faults.has(FaultKind::StrictBooleans)
                && (also || Booleans::Lower.spell(value).eq_ignore_ascii_case(raw)))
    });
    value.map_or(Taken::Refused, |value| Taken::Stored(value.to_string()))
}

fn take_integer(definition: &KeyDefinition, raw: &str, faults: &FaultSet) -> Taken {
    let tolerant =
        faults.has(FaultKind::KeepsNumbersAsWritten) || faults.has(FaultKind::IgnoresOddNumbers);
    let whole = match raw.trim().split_once('.') {
        Some((whole, zeros)) if tolerant && zeros.bytes().all(|digit| digit == b'0') => whole,
        Some(_) | None => raw.trim(),
    };
    match whole.parse::<i64>() {
        Ok(number) if in_range(definition, number as f64) => {
            store_number(raw, number.to_string(), faults)
        }
        Ok(_) | Err(_) => Taken::Refused,
    }
}

fn take_decimal(definition: &KeyDefinition, raw: &str, faults: &FaultSet) -> Taken {
    match raw.trim().parse::<f64>() {
        Ok(number) if number.is_finite() && in_range(definition, number) => {
            store_number(raw, raw.trim().to_owned(), faults)
        }
        Ok(_) | Err(_) => Taken::Refused,
    }
}

fn in_range(definition: &KeyDefinition, number: f64) -> bool {
    let within = definition.min.is_none_or(|min| number >= min as f64)
        && definition.max.is_none_or(|max| number <= max as f64);
    within || definition.also.iter().any(|&also| number == also as f64)
}

/// A choice is taken by its code or its label, and stored by its code.
fn take_choice(definition: &KeyDefinition, raw: &str) -> Taken {
    if definition.choices.is_empty() {
        return Taken::Stored(raw.to_owned());
    }
    let named = |choice: &&Choice| choice.code == raw || choice.label.as_deref() == Some(raw);
    definition
        .choices
        .iter()
        .find(named)
        .map_or(Taken::Refused, |choice| Taken::Stored(choice.code.clone()))
}

fn store_number(raw: &str, canonical: String, faults: &FaultSet) -> Taken {
    if faults.has(FaultKind::KeepsNumbersAsWritten) {
        Taken::Stored(raw.to_owned())
    } else if faults.has(FaultKind::IgnoresOddNumbers) && raw != canonical {
        Taken::Ignored
    } else {
        Taken::Stored(canonical)
    }
}

fn items(raw: &str) -> impl Iterator<Item = &str> {
    raw.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

fn take_list(
    profile: &StationProfile,
    definition: &KeyDefinition,
    raw: &str,
    faults: &FaultSet,
) -> Taken {
    let known = |item: &str| {
        let item = match item.split_once('.') {
            Some((number, rest)) if definition.numbered_items && number.parse::<u8>().is_ok() => {
                rest
            }
            Some(_) | None => item,
        };
        profile.items(definition).is_none_or(|known| {
            // A measurand may carry a phase, as in `Voltage.L1-N` (OCPP 1.6 edition 2, section 9.1.17).
            known.iter().any(|own| {
                item.strip_prefix(own.as_str())
                    .is_some_and(|rest| rest.is_empty() || is_phase(rest))
            })
        })
    };
    // Which items the station does not know while one of the two list faults is on.
    let missing = |kind: FaultKind, item: &str| {
        let named = faults.items(kind);
        let built_in = definition.value.as_deref().unwrap_or_default();
        faults.has(kind)
            && if named.is_empty() {
                !items(built_in).any(|own| own == item)
            } else {
                named.contains(&item)
            }
    };
    let dropped = |item: &str| missing(FaultKind::DropsListItems, item);
    if items(raw)
        .any(|item| missing(FaultKind::RejectsWholeList, item) || !(known(item) || dropped(item)))
    {
        return Taken::Refused;
    }
    let kept: Vec<&str> = items(raw).filter(|item| !dropped(item)).collect();
    let most = faults
        .number(FaultKind::MaxListItems)
        .map_or(definition.max_items, |most| usize::try_from(most).ok());
    if most.is_some_and(|most| kept.len() > most) {
        Taken::Refused
    } else {
        Taken::Stored(kept.join(","))
    }
}

fn is_phase(rest: &str) -> bool {
    matches!(
        rest,
        ".L1" | ".L2" | ".L3" | ".N" | ".L1-N" | ".L2-N" | ".L3-N" | ".L1-L2" | ".L2-L3" | ".L3-L1"
    )
}

fn booleans(profile: &StationProfile, definition: &KeyDefinition, faults: &FaultSet) -> Booleans {
    [
        (FaultKind::BooleanCase, Booleans::Upper),
        (FaultKind::BooleanTitle, Booleans::Title),
        (FaultKind::BooleanDigits, Booleans::Digits),
        (FaultKind::BooleanOnOff, Booleans::OnOff),
    ]
    .into_iter()
    .find(|(kind, _)| faults.has(*kind))
    .map_or_else(
        || definition.booleans.unwrap_or(profile.booleans),
        |(_, booleans)| booleans,
    )
}

/// How the station shows what it stored.
pub(crate) fn show<'a>(
    profile: &StationProfile,
    definition: &'a KeyDefinition,
    stored: &'a str,
    faults: &FaultSet,
) -> Cow<'a, str> {
    if faults.on_key(FaultKind::LongValue, &definition.key) {
        return Cow::Owned(format!("{stored}{}", "x".repeat(LONGEST)));
    }
    match definition.kind {
        Kind::String | Kind::Secret => Cow::Borrowed(stored),
        Kind::Boolean => match stored {
            "true" => Cow::Borrowed(booleans(profile, definition, faults).spell(true)),
            "false" => Cow::Borrowed(booleans(profile, definition, faults).spell(false)),
            _ => Cow::Borrowed(stored),
        },
        Kind::Integer | Kind::Decimal if faults.has(FaultKind::NumberFormats) => {
            Cow::Owned(odd_number(&definition.key, stored))
        }
        Kind::Integer | Kind::Decimal => Cow::Borrowed(stored),
        Kind::Enum => Cow::Borrowed(show_choice(profile, definition, stored, faults)),
        Kind::List => show_list(stored, faults),
    }
}

fn show_choice<'a>(
    profile: &StationProfile,
    definition: &'a KeyDefinition,
    stored: &'a str,
    faults: &FaultSet,
) -> &'a str {
    let by_label = profile.choices == Choices::Label && !faults.has(FaultKind::ChoiceCodes);
    let choice = definition
        .choices
        .iter()
        .find(|choice| by_label && choice.code == stored);
    choice
        .and_then(|choice| choice.label.as_deref())
        .unwrap_or(stored)
}

/// One of three odd formats, always the same for the same key.
fn odd_number(key: &str, stored: &str) -> String {
    match key.len() % 3 {
        0 => format!("00{stored}"),
        1 => format!(" {stored}"),
        _ if stored.contains('.') => format!("{stored}0"),
        _ => format!("{stored}.0"),
    }
}

fn show_list<'a>(stored: &'a str, faults: &FaultSet) -> Cow<'a, str> {
    let habits = [
        FaultKind::ListReordering,
        FaultKind::ListSpacing,
        FaultKind::ListQuotes,
        FaultKind::PhaseSuffixes,
    ];
    if !habits.into_iter().any(|kind| faults.has(kind)) {
        return Cow::Borrowed(stored);
    }
    let mut shown: Vec<Cow<'_, str>> = Vec::new();
    for item in items(stored) {
        if item == "Voltage" && faults.has(FaultKind::PhaseSuffixes) {
            shown.extend(
                ["L1-N", "L2-N", "L3-N"].map(|phase| Cow::Owned(format!("{item}.{phase}"))),
            );
        } else {
            shown.push(Cow::Borrowed(item));
        }
    }
    if faults.has(FaultKind::ListReordering) {
        shown.reverse();
    }
    let joined = shown.join(if faults.has(FaultKind::ListSpacing) {
        ", "
    } else {
        ","
    });
    Cow::Owned(if faults.has(FaultKind::ListQuotes) {
        format!("\"{joined}\"")
    } else {
        joined
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a value to a key of the standard station with some faults on, and says what it shows afterwards.
    fn check(faults: &[&str], key: &str, raw: &str, expect: Option<&str>) {
        let profile = StationProfile::standard();
        let definition = &profile.keys()[profile.exact(key).unwrap()];
        let faults = FaultSet::new(
            &faults
                .iter()
                .map(|fault| fault.parse().unwrap())
                .collect::<Vec<_>>(),
        );
        let shown = match take(&profile, definition, raw, &faults) {
            Taken::Stored(stored) => {
                Some(show(&profile, definition, &stored, &faults).into_owned())
            }
            Taken::Ignored => Some("(ignored)".to_owned()),
            Taken::Refused => None,
        };
        assert_eq!(shown.as_deref(), expect, "{key} = {raw:?}");
    }

    #[test]
    fn booleans_are_taken_ignoring_case_and_shown_in_the_vocabulary() {
        check(&[], "LocalPreAuthorize", "True", Some("true"));
        check(&[], "LocalPreAuthorize", "1", None);
        check(&["boolean-case"], "LocalPreAuthorize", "true", Some("TRUE"));
        check(&["boolean-digits"], "LocalPreAuthorize", "1", Some("1"));
        check(
            &["boolean-title", "strict-booleans"],
            "LocalPreAuthorize",
            "true",
            None,
        );
        check(
            &["boolean-on-off", "strict-booleans"],
            "LocalPreAuthorize",
            "Off",
            Some("Off"),
        );
    }

    #[test]
    fn numbers_are_taken_in_range_and_shown_in_odd_formats() {
        check(&[], "HeartbeatInterval", "0045", Some("45"));
        check(&[], "HeartbeatInterval", " 45", Some("45"));
        check(&[], "HeartbeatInterval", "45.0", None);
        check(&[], "HeartbeatInterval", "0", None);
        check(&[], "HeartbeatInterval", "1e3", None);
        check(
            &["keeps-numbers-as-written"],
            "HeartbeatInterval",
            "45.0",
            Some("45.0"),
        );
        check(
            &["ignores-odd-numbers"],
            "HeartbeatInterval",
            "0045",
            Some("(ignored)"),
        );
        check(&["number-formats"], "HeartbeatInterval", "45", Some("45.0"));
        check(
            &["number-formats"],
            "TransactionMessageRetryInterval",
            "45",
            Some(" 45"),
        );
        check(&["number-formats"], "ResetRetries", "4", Some("004"));
    }

    #[test]
    fn garbage_is_stored_or_becomes_zero() {
        check(
            &["accepts-garbage"],
            "HeartbeatInterval",
            "soon",
            Some("soon"),
        );
        check(
            &["garbage-becomes-zero"],
            "HeartbeatInterval",
            "soon",
            Some("0"),
        );
    }

    #[test]
    fn lists_are_refused_pruned_and_shown_in_other_ways() {
        let two = "Voltage,SoC";
        check(
            &[],
            "StopTxnSampledData",
            " Voltage , Current.Import.L1",
            Some("Voltage,Current.Import.L1"),
        );
        check(&[], "StopTxnSampledData", "Volts", None);
        check(&["rejects-whole-list:SoC"], "StopTxnSampledData", two, None);
        check(
            &["rejects-whole-list"],
            "MeterValuesSampledData",
            "Energy.Active.Import.Register",
            Some("Energy.Active.Import.Register"),
        );
        check(
            &["drops-list-items:SoC"],
            "StopTxnSampledData",
            two,
            Some("Voltage"),
        );
        check(&["max-list-items:1"], "StopTxnSampledData", two, None);
        check(
            &["list-reordering"],
            "StopTxnSampledData",
            two,
            Some("SoC,Voltage"),
        );
        check(
            &["list-spacing", "list-quotes"],
            "StopTxnSampledData",
            two,
            Some("\"Voltage, SoC\""),
        );
        check(
            &["phase-suffixes"],
            "StopTxnSampledData",
            two,
            Some("Voltage.L1-N,Voltage.L2-N,Voltage.L3-N,SoC"),
        );
    }

    #[test]
    fn long_values_are_refused_or_swallowed() {
        let long = "a,".repeat(300);
        check(&[], "StopTxnSampledData", &long, None);
        check(
            &["ignores-long-values"],
            "StopTxnSampledData",
            &long,
            Some("(ignored)"),
        );
    }
}
