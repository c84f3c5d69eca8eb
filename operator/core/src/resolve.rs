//! Resolve: layers → the winning setting for each key, and the layer it came from.

use std::collections::BTreeMap;

use crate::catalogue::StationCatalogue;
use crate::layer::{Layer, Setting};
use crate::words::Key;

/// The winning setting for each key, by canonical name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// By canonical name.
    pub settings: BTreeMap<Key, ResolvedSetting>,
}

/// One key's winner, or the fight over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedSetting {
    /// The winner; in a conflict the first of the fighting layers (by namespace and name).
    pub setting: Setting,
    /// The winner's layer without its settings (`settings` is empty).
    pub layer: Layer,
    /// The other layers that want another value at the same priority, if any: the key is held.
    pub conflict: Vec<(crate::words::ConfigRef, Setting)>,
}

/// Resolves. Neither the order of the layers nor that of their settings matters. Equal priority and equal (typed)
/// values is no conflict; a held layer takes part like any other.
pub fn resolve(layers: &[Layer], catalogue: &StationCatalogue) -> Resolved {
    let _ = (layers, catalogue);
    Resolved::default()
}
