//! Select: does a config apply to a station?

use std::collections::BTreeMap;

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
pub fn applies(selection: &Selection, namespace: &str, station: &StationFacts) -> Applies {
    let _ = (selection, namespace, station);
    Applies::No
}
