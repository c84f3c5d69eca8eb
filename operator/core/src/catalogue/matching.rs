//! Which stations a document speaks of: globs over what a station reported, and the order of firmware versions.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::Device;

/// Which stations are meant. All given conditions must hold; a condition on a fact that the station has not reported
/// does not hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StationMatch {
    /// The vendor as the station reports it, in any case; `*` and `?` are wildcards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The model as the station reports it, in any case; `*` and `?` are wildcards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The firmware version as the station reports it; `*` and `?` are wildcards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// Firmware from this version on; the document has to say how versions are ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware_from: Option<String>,
    /// Firmware before this version; the document has to say how versions are ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware_before: Option<String>,
}

/// How a vendor's firmware versions are ordered.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum FirmwareOrder {
    /// Numbers between dots, dashes and underscores, compared one by one: 5.9 is before 5.33. Text before the first
    /// digit (`v`, `FW `) does not count.
    Numeric,
}

impl FirmwareOrder {
    /// Which version comes first? `None` if one of them does not read as a version of this order.
    pub fn compare(self, a: &str, b: &str) -> Option<Ordering> {
        match self {
            Self::Numeric => Some(numbers(a)?.cmp(&numbers(b)?)),
        }
    }
}

/// The numbers of a version without trailing zeros, so that 5.30 and 5.30.0 are one.
fn numbers(version: &str) -> Option<Vec<u64>> {
    let digits = version
        .trim()
        .trim_start_matches(|c: char| !c.is_ascii_digit());
    let mut numbers = Vec::new();
    for part in digits.split(['.', '-', '_']) {
        numbers.push(part.parse().ok()?);
    }
    while numbers.last() == Some(&0) {
        numbers.pop();
    }
    Some(numbers)
}

impl StationMatch {
    /// Is it a station that is meant?
    pub fn matches(
        &self,
        device: &Device,
        firmware: Option<&str>,
        order: Option<FirmwareOrder>,
    ) -> bool {
        let Self {
            vendor,
            model,
            firmware: version,
            firmware_from,
            firmware_before,
        } = self;
        glob_holds(vendor.as_deref(), device.vendor.as_deref(), Case::Ignored)
            && glob_holds(model.as_deref(), device.model.as_deref(), Case::Ignored)
            && glob_holds(version.as_deref(), firmware, Case::Exact)
            && bound_holds(firmware_from.as_deref(), firmware, order, |ordering| {
                ordering.is_ge()
            })
            && bound_holds(firmware_before.as_deref(), firmware, order, |ordering| {
                ordering.is_lt()
            })
    }

    /// How narrowly the stations are named: more conditions count more than fewer, exact ones more than wildcards.
    pub fn specificity(&self) -> u16 {
        let Self {
            vendor,
            model,
            firmware,
            firmware_from,
            firmware_before,
        } = self;
        let globs: u16 = [vendor, model, firmware]
            .into_iter()
            .map(|glob| glob_specificity(glob.as_deref()))
            .sum();
        let bounds: u16 = [firmware_from, firmware_before]
            .into_iter()
            .map(|bound| u16::from(bound.is_some()))
            .sum();
        globs + bounds
    }
}

fn glob_specificity(glob: Option<&str>) -> u16 {
    match glob {
        None => 0,
        Some(glob) if glob.contains(['*', '?']) => 2,
        Some(_) => 3,
    }
}

fn glob_holds(glob: Option<&str>, reported: Option<&str>, case: Case) -> bool {
    match (glob, reported) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(glob), Some(reported)) => glob_matches(glob, reported.trim(), case),
    }
}

fn bound_holds(
    bound: Option<&str>,
    firmware: Option<&str>,
    order: Option<FirmwareOrder>,
    holds: impl Fn(Ordering) -> bool,
) -> bool {
    let Some(bound) = bound else { return true };
    let (Some(firmware), Some(order)) = (firmware, order) else {
        return false;
    };
    order.compare(firmware, bound).is_some_and(holds)
}

/// Does case count?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// It does.
    Exact,
    /// `Amina` and `AMINA` are one.
    Ignored,
}

/// Does the whole text match, with `*` for any characters and `?` for one? Linear in memory, at worst glob × text in
/// time, so that no pattern can be made to hang.
pub fn glob_matches(glob: &str, text: &str, case: Case) -> bool {
    let same = |a: char, b: char| match case {
        Case::Exact => a == b,
        Case::Ignored => a == b || a.to_lowercase().eq(b.to_lowercase()),
    };
    let glob: Vec<char> = glob.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut at_glob, mut at_text) = (0, 0);
    // Where the last star stood, and how much of the text it has swallowed so far.
    let mut star: Option<(usize, usize)> = None;
    while at_text < text.len() {
        match glob.get(at_glob) {
            Some('*') => {
                star = Some((at_glob, at_text));
                at_glob += 1;
            }
            Some(&c) if c == '?' || same(c, text[at_text]) => {
                at_glob += 1;
                at_text += 1;
            }
            Some(_) | None => match star {
                Some((star_glob, star_text)) => {
                    star = Some((star_glob, star_text + 1));
                    at_glob = star_glob + 1;
                    at_text = star_text + 1;
                }
                None => return false,
            },
        }
    }
    glob[at_glob..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_glob(glob: &str, text: &str, expect: bool) {
        assert_eq!(
            glob_matches(glob, text, Case::Ignored),
            expect,
            "{glob:?} against {text:?}"
        );
    }

    #[test]
    fn globs_match_whole_texts_ignoring_case() {
        check_glob("Amina", "AMINA", true);
        check_glob("Amina*", "Amina Charging AS", true);
        check_glob("Amina", "Amina Charging AS", false);
        check_glob("CC?12*", "cc612_2A0PR", true);
        check_glob("*a*b*c", "xxaxxbxxbc", true);
        check_glob("*a*b*c", "xxaxxbxx", false);
        check_glob("", "", true);
        check_glob("*", "", true);
        check_glob("?", "", false);
    }

    #[test]
    fn a_hostile_glob_ends_soon() {
        check_glob(&"*a".repeat(200), &"a".repeat(2000), true);
        check_glob(&format!("{}b", "*a".repeat(200)), &"a".repeat(2000), false);
    }

    #[test]
    fn firmware_versions_are_ordered_by_number_not_by_text() {
        let order = |a, b| FirmwareOrder::Numeric.compare(a, b);
        assert_eq!(order("5.9", "5.33"), Some(Ordering::Less));
        assert_eq!(order("v5.33", "5.33.0"), Some(Ordering::Equal));
        assert_eq!(order("5.33.1", "5.33"), Some(Ordering::Greater));
        assert_eq!(
            order("5.33-rc1", "5.33"),
            None,
            "an unreadable version is never guessed at"
        );
    }

    #[test]
    fn a_condition_on_an_unreported_fact_does_not_hold() {
        let by_firmware = StationMatch {
            firmware: Some("*".into()),
            ..StationMatch::default()
        };
        assert!(!by_firmware.matches(&Device::default(), None, None));
        let by_range = StationMatch {
            firmware_from: Some("1".into()),
            ..StationMatch::default()
        };
        assert!(
            !by_range.matches(&Device::default(), Some("2"), None),
            "the order is not known"
        );
        assert!(by_range.matches(&Device::default(), Some("2"), Some(FirmwareOrder::Numeric)));
    }
}
