//! The objects that users write: group `stationkeeper.dev`, version `v1alpha1`.
//!
//! Types and their [`schema`] (as installed in a cluster), the [`check`]s that hold without one, the conversion into
//! the words of `core` ([`convert`]), and [`fit`], which cuts a status to what its schema admits. No I/O here.
//!
//! What stands in doc comments of fields is read by users in `kubectl explain`; notes to developers stand in `//`
//! comments.

mod bounds;
mod charge_station;
mod charge_station_config;
pub mod check;
mod columns;
pub mod convert;
pub mod fit;
mod fits;
mod key_catalogue;
mod rules;
pub mod schema;

pub use charge_station::*;
pub use charge_station_config::*;
pub use key_catalogue::*;

/// The API group.
pub const GROUP: &str = "stationkeeper.dev";

/// The version of the API.
pub const VERSION: &str = "v1alpha1";

/// What stands under `apiVersion:`.
pub const API_VERSION: &str = "stationkeeper.dev/v1alpha1";
