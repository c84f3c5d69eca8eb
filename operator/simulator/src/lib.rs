//! Charge stations with a key table, a vendor's habits and faults on demand; any number in one process.
//!
//! In come settings: an address, a kind of station as data ([`StationProfile`]), habits and faults ([`Fault`]), a seed.
//! Out come real OCPP-J 1.6 connections to whatever CSMS listens there, and, for those who watch, what each station saw
//! ([`Stats`]). The same seed and identity make the same station. Of the product that it tests it knows the catalogue's
//! data, from which the stations of known vendors are made, and nothing else: a station judges values and its peer by
//! itself, by the rules of OCPP alone.
//!
//! `device.rs` decides, without sockets and timers; `station.rs` owns both. `fault.rs` is the list of everything that can
//! be wrong with a station.

mod agenda;
mod answers;
mod connector;
mod device;
mod fault;
mod fleet;
mod handle;
mod keys;
mod link;
mod listing;
mod pace;
mod profile;
mod settings;
mod station;
mod stats;
mod value;

pub use device::BootReason;
pub use fault::{Fault, FaultKind, ParseFault, Shape, usage as fault_usage};
pub use fleet::{Fleet, FleetSettings, Totals};
pub use handle::StationHandle;
pub use keys::KeyState;
pub use link::{Connect, check_url};
pub use pace::Pace;
pub use profile::{
    Access, Booleans, BootAnswer, Choice, Choices, Effect, KeyDefinition, Kind, LoadProfile, Shown,
    StationProfile, built_in_names,
};
pub use settings::{LoadRoots, Password, StationSettings, Trust};
pub use station::Station;
pub use stats::{Happening, Registration, Stats, Violation, Write, WriteStatus};
