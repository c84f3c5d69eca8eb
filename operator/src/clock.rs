//! The one clock: everything else takes `now` as an argument, or asks here.

/// The present time.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the wall clock"
)]
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
