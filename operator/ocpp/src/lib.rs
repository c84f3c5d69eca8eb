//! What do OCPP-J frames mean? Text in, frames and messages out, and back. No sockets, no clock; exact when writing,
//! tolerant when reading.
//!
//! [`frame`] reads and writes frames; [`station_call`] says what a station asks and [`answer`] what it is told;
//! [`request`] says what we ask of a station and what it told us; [`error`] names what can be wrong.

pub mod answer;
pub mod error;
mod fields;
pub mod frame;
pub mod request;
pub mod station_call;
mod text;
