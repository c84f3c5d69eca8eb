//! Rules about meter values and lists.

use super::{Rule, Situation};
use crate::catalogue::ValueType;
use crate::value;
use crate::words::{Finding, Severity};

pub(super) const LIST_TOO_LONG: Rule = Rule {
    name: "ListTooLong",
    asks: "a list has no more items than its MaxLength key says; where that is not known, one item is safe",
    source: "Open Charge Alliance: Open Charge Point Protocol 1.6 edition 2, section 9, CSL keys",
    severity: Severity::Error,
    check: list_too_long,
};

fn list_too_long(rule: &Rule, situation: &Situation<'_, '_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (key, desired, definition) in situation.declared() {
        let Some(companion) = definition
            .max_items_key
            .as_ref()
            .map(|fact| fact.value.as_str())
        else {
            continue;
        };
        // What is never written cannot be rejected for its length.
        if definition.value_type() != Some(ValueType::List) || definition.is_read_only() {
            continue;
        }
        let count = value::items(definition, desired).len();
        match situation.expected_number(companion).and_then(|most| usize::try_from(most).ok()) {
            Some(most) if count > most => findings.push(rule.finding(
                key,
                format!("it lists {count} items, and the station takes {most} ({companion}); leave out {}", count - most),
            )),
            None if count > 1 => findings.push(rule.finding_as(
                Severity::Warning,
                key,
                format!("it lists {count} items, and how many the station takes is not known ({companion}); 1 is safe"),
            )),
            Some(_) | None => {}
        }
    }
    findings
}

pub(super) const SAMPLE_INTERVAL_TOO_SHORT: Rule = Rule {
    name: "SampleIntervalTooShort",
    asks: "sample intervals are 0 (off) or at least 10 seconds",
    source: "Bender: OCPP In-Depth Guide, List of all configuration keys, MeterValueSampleInterval",
    severity: Severity::Warning,
    check: sample_interval_too_short,
};

fn sample_interval_too_short(rule: &Rule, situation: &Situation<'_, '_>) -> Vec<Finding> {
    const KEY: &str = "MeterValueSampleInterval";
    match situation.desired_number(KEY) {
        Some(seconds @ 1..=9) => vec![rule.about(
            situation,
            KEY,
            format!("a sample every {seconds} s is more than many stations take; write 0 (off) or 10 and more"),
        )],
        Some(_) | None => Vec::new(),
    }
}
