//! The harness of the whole-product tests: real parts, started and always stopped.
//!
//! In: the built operator and the tools that `cargo xtask setup` made. Out: a real API server
//! ([`ApiServer`]), the operator as a process ([`Operator`]), stations that we did not write
//! ([`PythonStation`]), a connection that can be cut ([`Link`]), and waits that have a limit and say
//! what was seen last ([`eventually`], [`throughout`]). Nothing here stands in for a part of the
//! product or of Kubernetes.
//!
//! Whatever is started ends with the test process, also when that is killed.

pub mod api_server;
pub mod audit;
pub mod container;
pub mod http;
pub mod link;
pub mod operator;
pub mod ports;
pub mod process;
pub mod python_station;
pub mod ran;
pub mod wait;
pub mod watchdog;

pub use api_server::ApiServer;
pub use audit::Write;
pub use container::Container;
pub use link::Link;
pub use operator::{Launch, Operator};
pub use ports::ReservedPort;
pub use process::{Process, Signal};
pub use python_station::PythonStation;
pub use ran::Ran;
pub use wait::{LIMIT, TIMEOUT, eventually, seconds, steady, throughout};
