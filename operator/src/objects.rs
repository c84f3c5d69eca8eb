//! The objects that users write: group `stationkeeper.dev`, version `v1alpha1` (section 3 of the design).
//!
//! What stands in doc comments of fields is read by users in `kubectl explain`; notes to developers stand in `//`
//! comments.

mod charge_station;
mod charge_station_config;

pub use charge_station::*;
pub use charge_station_config::*;

/// The API group.
pub const GROUP: &str = "stationkeeper.dev";
