//! The deciding core, tried from outside: select, resolve, validate, plan, outcome, event, status.
#![allow(clippy::panic, reason = "helpers of tests fail the test")]

mod events;
mod fake_station;
mod given;
mod kstatus;
mod ordering;
mod outcomes;
mod properties;
mod purity;
mod reading;
mod reboots;
mod removed;
mod resolving;
mod scenarios;
mod selecting;
mod statuses;
mod table;
mod validating;
