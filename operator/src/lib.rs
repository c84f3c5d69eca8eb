//! The doing: controllers, gateway, connectors, sources of objects, admin server, command line.

pub mod connector;
pub mod objects;
pub mod source;
