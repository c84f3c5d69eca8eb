//! What `cargo xtask` is made of, as a library: the test harness asks it where the tools are.
//!
//! In: the work tree and the environment. Out: paths of tools, and cargo commands that behave the
//! same whoever starts them. Only the standard library is used, so that the one command is built in
//! seconds on a machine that has nothing yet.

pub mod cargo;
pub mod check;
mod debian;
pub mod fuzz;
pub mod setup;
pub mod tools;

/// Why a task of ours did not get done, in words for the person at the terminal.
pub type Failure = String;
