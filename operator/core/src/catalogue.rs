//! The catalogue: what is known of keys. Data from `operator/core/catalogue/*.yaml` (embedded) and from `KeyCatalogue`
//! objects, in one schema (section 5 of the design).

use std::sync::Arc;

use crate::layer::Consent;
use crate::words::{Device, Key};

/// All that is known of one key, merged for one station. A fact that is absent is unknown, never a guess.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definition {
    /// The canonical name.
    pub key: Option<Key>,
    /// Does any catalogue say anything about the key? `false`: hazard Unknown.
    pub known: bool,
    // The author of this module adds the facts of section 5, each with its source.
}

/// How a hazard bears on writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteRule {
    /// Written freely.
    Free,
    /// Written only with this consent.
    With(Consent),
    /// Never written: it is not configuration (Action, SelfClearing, Identity, Telemetry).
    Never,
}

/// The built-in catalogue and the user's, loaded once and matched per station.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {}

impl Catalogue {
    /// The embedded data. Panics never: a test proves that it loads.
    pub fn built_in() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// What holds for one station, by what it reported. Cheap to clone; made once per device and firmware.
    pub fn for_station(self: &Arc<Self>, device: &Device, firmware: Option<&str>) -> StationCatalogue {
        let _ = (device, firmware);
        StationCatalogue::default()
    }
}

/// The definitions and quirks that hold for one station.
#[derive(Clone, Debug, Default)]
pub struct StationCatalogue {}

impl StationCatalogue {
    /// The canonical spelling of a key: exact match first, then the only match ignoring case, else as given.
    pub fn canonical(&self, key: &Key) -> Key {
        key.clone()
    }

    /// What is known of a key; for one that nobody knows a definition with `known: false`.
    pub fn definition(&self, key: &Key) -> Arc<Definition> {
        let _ = key;
        Arc::new(Definition::default())
    }
}
