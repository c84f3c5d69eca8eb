//! The doing: controllers, gateway, connectors, sources of objects, admin server, command line.

pub mod admin;
pub mod admission;
pub mod audit;
pub mod brake;
pub mod cli;
pub mod clock;
pub mod connector;
pub mod controller;
pub mod document;
pub mod execute;
pub mod folder;
pub mod gateway;
pub mod kubernetes;
pub mod leader;
pub mod logs;
pub mod manifest;
pub mod metrics;
pub mod objects;
pub mod observe;
pub mod pace;
pub mod product;
pub mod secret_cache;
pub mod source;
pub mod stores;
pub mod trace;
pub mod wire;
