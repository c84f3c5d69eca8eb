//! Select: does a config apply to a station?

use std::collections::BTreeMap;

use crate::catalogue::{Case, glob_matches};
use crate::station::StationFacts;

/// Which stations a config selects; all given conditions must hold, and at least one must be given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Label selector, if given.
    pub selector: Option<LabelSelector>,
    /// Names of `ChargeStation` objects, if given.
    pub names: Option<Vec<String>>,
    /// Hardware as reported, if given.
    pub hardware: Option<HardwarePattern>,
}

/// A Kubernetes label selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// All must be equal.
    pub match_labels: BTreeMap<String, String>,
    /// All must hold.
    pub match_expressions: Vec<LabelRequirement>,
}

/// One requirement of a label selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRequirement {
    /// The label.
    pub key: String,
    /// In, NotIn, Exists, DoesNotExist.
    pub operator: LabelOperator,
    /// The values, for In and NotIn.
    pub values: Vec<String>,
}

/// The operators of label selectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelOperator {
    /// The label is there with one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

/// Hardware patterns: exact, or globs with `*` and `?`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HardwarePattern {
    /// Vendor as reported.
    pub vendor: Option<String>,
    /// Model as reported.
    pub model: Option<String>,
    /// Firmware as reported.
    pub firmware: Option<String>,
}

/// Does a config apply to a station?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Not known yet: a pattern asks for a fact that the station has not reported. Its keys are held.
    Undecidable,
}

/// Decides whether a config with this selection, in `namespace`, applies to the station. No condition holds before one
/// that certainly fails: a wrong label is `No` even if the hardware is unknown.
///
/// | condition | holds | unknown |
/// | --- | --- | --- |
/// | namespace | the station is in the config's own | never |
/// | selector | as Kubernetes has it; `{}` holds for all | never |
/// | names | one of them is the object's | never |
/// | hardware | each given glob matches what was reported | the station never said |
///
/// Vendor and model are compared ignoring case, as in catalogues: they are names that vendors themselves spell in
/// several ways (`Amina`, `AMINA`). Firmware versions are compared exactly.
pub fn applies(selection: &Selection, namespace: &str, station: &StationFacts) -> Applies {
    let Selection {
        selector,
        names,
        hardware,
    } = selection;
    let anything_given = selector.is_some() || names.is_some() || hardware.is_some();
    let certain = anything_given
        && namespace == station.namespace
        && selector
            .as_ref()
            .is_none_or(|selector| selector_holds(selector, &station.labels))
        && names
            .as_ref()
            .is_none_or(|names| names.contains(&station.name));
    match (certain, hardware) {
        (false, _) => Applies::No,
        (true, None) => Applies::Yes,
        (true, Some(pattern)) => hardware_applies(pattern, station),
    }
}

fn selector_holds(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let LabelSelector {
        match_labels,
        match_expressions,
    } = selector;
    match_labels
        .iter()
        .all(|(label, value)| labels.get(label) == Some(value))
        && match_expressions
            .iter()
            .all(|requirement| requirement_holds(requirement, labels))
}

fn requirement_holds(requirement: &LabelRequirement, labels: &BTreeMap<String, String>) -> bool {
    let there = labels.get(&requirement.key);
    match requirement.operator {
        LabelOperator::In => there.is_some_and(|value| requirement.values.contains(value)),
        LabelOperator::NotIn => there.is_none_or(|value| !requirement.values.contains(value)),
        LabelOperator::Exists => there.is_some(),
        LabelOperator::DoesNotExist => there.is_none(),
    }
}

fn hardware_applies(pattern: &HardwarePattern, station: &StationFacts) -> Applies {
    let HardwarePattern {
        vendor,
        model,
        firmware,
    } = pattern;
    let conditions = [
        condition(
            vendor.as_deref(),
            station.device.vendor.as_deref(),
            Case::Ignored,
        ),
        condition(
            model.as_deref(),
            station.device.model.as_deref(),
            Case::Ignored,
        ),
        condition(
            firmware.as_deref(),
            station.firmware.as_deref(),
            Case::Exact,
        ),
    ];
    if conditions.contains(&Applies::No) {
        Applies::No
    } else if conditions.contains(&Applies::Undecidable) {
        Applies::Undecidable
    } else {
        Applies::Yes
    }
}

fn condition(glob: Option<&str>, reported: Option<&str>, case: Case) -> Applies {
    match (glob, reported) {
        (None, _) => Applies::Yes,
        (Some(_), None) => Applies::Undecidable,
        (Some(glob), Some(reported)) if glob_matches(glob, reported.trim(), case) => Applies::Yes,
        (Some(_), Some(_)) => Applies::No,
    }
}
