//! What do OCPP-J frames mean? Text in, frames and messages out, and back. No sockets, no clock; exact when writing,
//! tolerant when reading.

pub mod frame;
