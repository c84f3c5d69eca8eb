//! Claims about reading and writing one station: each is a habit of live stations, and what we do about it.
//!
//! The station is a function from a call to its fate; real sockets are the gateway's tests.

#![expect(
    clippy::unwrap_used,
    reason = "clippy allows it in test functions, and not in what they share"
)]

mod answers;
mod pieces;
mod scripted;
mod writing;
