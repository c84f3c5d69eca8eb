//! What should a station have, and what must change?
//!
//! In come the layers that select a station, the catalogue, what the station reported and what is remembered of it;
//! out go plans, memory and status as values. Everything here is a synchronous, total, deterministic function of its
//! arguments (`now` included). What is deliberately absent: I/O, clocks, randomness, async, logs, metrics, secrets in
//! the clear, and any Kubernetes client.
//!
//! The story, in order of reading:
//! [`select`] → [`resolve`] → [`validate`] → [`plan`] → (the caller executes) → [`outcome`] → [`status`].

pub mod catalogue;
pub mod event;
mod fnv;
pub mod layer;
pub mod memory;
pub mod observed;
pub mod outcome;
pub mod plan;
pub mod reboot;
pub mod recall;
pub mod resolve;
pub mod rules;
pub mod select;
pub mod state;
pub mod station;
pub mod status;
pub mod validate;
pub mod value;
pub mod words;
