//! The trace of a reconcile: one id that its log lines and its lines in the audit share, so that a change of a config can
//! be followed to the frames that it caused.
//!
//! In: a future, and what it is about. Out: the same future in a span with `namespace`, `station` and `trace_id`. The id has
//! the form of W3C Trace Context (16 random bytes, in hexadecimal digits), for tools that want it so. With
//! `--otlp-endpoint` reconciles and the calls in them also go to a collector, as spans.

pub mod otlp;

use jiff::Timestamp;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::clock;

tokio::task_local! {
    static TRACE: Trace;
}

#[derive(Clone)]
struct Trace {
    id: String,
    /// The span of the reconcile.
    root: String,
}

/// Something that took time, and has ended.
#[derive(Clone, Debug)]
struct Span {
    trace_id: String,
    id: String,
    /// Empty for a reconcile.
    parent: String,
    name: &'static str,
    started: Timestamp,
    ended: Timestamp,
    failed: bool,
    attributes: Vec<(&'static str, String)>,
}

/// Runs the reconcile of one station under a new trace.
pub async fn reconcile<T, E>(
    namespace: &str,
    station: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let trace = Trace {
        id: Uuid::new_v4().simple().to_string(),
        root: span_id(),
    };
    let (trace_id, root) = (trace.id.clone(), trace.root.clone());
    let span = tracing::info_span!("reconcile", namespace, station, trace_id);
    let started = clock::now();
    let result = TRACE.scope(trace, work.instrument(span)).await;
    if otlp::wanted() {
        otlp::send(Span {
            trace_id,
            id: root,
            parent: String::new(),
            name: "reconcile",
            started,
            ended: clock::now(),
            failed: result.is_err(),
            attributes: vec![
                ("k8s.namespace.name", namespace.to_owned()),
                ("stationkeeper.station", station.to_owned()),
            ],
        });
    }
    result
}

/// The trace that this is part of; `None` outside of a reconcile.
pub fn id() -> Option<String> {
    TRACE.try_with(|trace| trace.id.clone()).ok()
}

/// Tells that a part of a reconcile has ended. The attributes are asked for only if a collector wants them; no secrets.
pub fn ended<const N: usize>(
    name: &'static str,
    started: Timestamp,
    failed: bool,
    attributes: impl FnOnce() -> [(&'static str, String); N],
) {
    if !otlp::wanted() {
        return;
    }
    // Outside of a reconcile there is nothing that it could be a part of.
    let _ = TRACE.try_with(|trace| {
        otlp::send(Span {
            trace_id: trace.id.clone(),
            id: span_id(),
            parent: trace.root.clone(),
            name,
            started,
            ended: clock::now(),
            failed,
            attributes: attributes().into(),
        });
    });
}

/// 8 random bytes, in hexadecimal digits.
fn span_id() -> String {
    format!("{:016x}", rand::random::<u64>().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_reconcile_has_a_trace_of_its_own() {
        let (first, second) = (
            reconcile("north", "cp-1", async { Ok::<_, ()>(id()) }).await,
            reconcile("north", "cp-1", async { Ok::<_, ()>(id()) }).await,
        );
        assert_ne!(first, second);
        for id in [first, second] {
            let id = id.ok().flatten().unwrap_or_default();
            assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
        assert_eq!(id(), None);
    }
}
