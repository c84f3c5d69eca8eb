//! Removal: which keys left every layer, and did a person mean it?
//!
//! `whenRemoved: Restore` writes an original value back only when a person deleted the setting or the config; a key
//! that left because labels or the station's facts changed stays as it is (section 6 of the design).

use jiff::Timestamp;
use stationkeeper_core::memory::{Memory, RemovedMemory};
use stationkeeper_core::select::Applies;
use stationkeeper_core::station::StationFacts;
use stationkeeper_core::validate::Desired;
use stationkeeper_core::words::Key;

use super::gather::Configs;

/// Marks the removals in memory: deliberate ones wait for Restore, the others lose their original.
pub(super) fn mark(
    mut memory: Memory,
    desired: &Desired,
    configs: &Configs,
    station: &StationFacts,
    now: Timestamp,
) -> Memory {
    let is_declared = |key: &Key| {
        desired.settings.contains_key(key)
            || desired.settings.keys().any(|other| other.matches(key))
    };
    for (key, entry) in &mut memory.keys {
        if is_declared(key) {
            entry.removed = None;
            continue;
        }
        let Some(original) = &entry.original else {
            continue;
        };
        if entry.removed.is_some() {
            continue;
        }
        let deliberate = match configs.get(&original.config) {
            None => true,
            Some(config) => match config.applies(station) {
                Applies::Yes => !config.declares(key),
                Applies::No | Applies::Undecidable => false,
            },
        };
        if deliberate {
            entry.removed = Some(RemovedMemory {
                since: now,
                deliberate: true,
            });
        } else {
            entry.original = None;
        }
    }
    memory
}
