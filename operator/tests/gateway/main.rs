//! The gateway over real loopback sockets, with raw WebSocket clients.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod answers;
mod calls;
mod events;
mod handshake;
mod hostile;
mod shutdown;
mod stage;
mod tls;
