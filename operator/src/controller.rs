//! The controllers: one reconciles stations, a small one sums stations up into the status of configs,
//! another tells of catalogues.
//!
//! `station.rs` reads like the picture in section 4 of the design; the other files are its steps.

mod catalogue_status;
mod catalogues;
mod config;
mod context;
mod gather;
mod live;
mod publish;
mod queue;
mod removal;
mod station;
mod vetting;

pub use catalogue_status::tell_catalogues;
pub use catalogues::{Catalogues, UnreadableCatalogue};
pub use config::summarise_configs;
pub use context::{Context, Moment, Settings, VerdictSink};
pub use gather::{ConfigGeneration, Configs, PAUSED, REGISTERED, Unreadable};
pub use live::{Live, Lives, Told};
pub use queue::run_stations;
pub use station::reconcile;
pub use vetting::Kinds;
