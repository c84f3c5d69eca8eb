//! The trace of a reconcile: one id that its log lines and its lines in the audit share, so that a change of a config can
//! be followed to the frames that it caused.
//!
//! In: a future, and what it is about. Out: the same future in a span with `namespace`, `station` and `trace_id`. The id has
//! the form of W3C Trace Context (16 random bytes, in hexadecimal digits), for tools that want it so.

use tracing::Instrument as _;
use uuid::Uuid;

tokio::task_local! {
    static TRACE: String;
}

/// Runs the reconcile of one station under a new trace.
pub async fn reconcile<T>(namespace: &str, station: &str, work: impl Future<Output = T>) -> T {
    let trace_id = Uuid::new_v4().simple().to_string();
    let span = tracing::info_span!("reconcile", namespace, station, trace_id);
    TRACE.scope(trace_id, work.instrument(span)).await
}

/// The trace that this is part of; `None` outside of a reconcile.
pub fn id() -> Option<String> {
    TRACE.try_with(Clone::clone).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_reconcile_has_a_trace_of_its_own() {
        let (first, second) = (
            reconcile("north", "cp-1", async { id() }).await,
            reconcile("north", "cp-1", async { id() }).await,
        );
        assert_ne!(first, second);
        for id in [first, second] {
            let id = id.unwrap_or_default();
            assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
        assert_eq!(id(), None);
    }
}
