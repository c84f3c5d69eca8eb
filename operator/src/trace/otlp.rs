//! Traces for a collector: OTLP over HTTP, as JSON, sent in batches.
//!
//! In: spans that have ended. Out: one POST for each batch, to `ENDPOINT/v1/traces`. A collector that is away or slow holds
//! nothing up: spans wait in a queue with a bound, and what does not fit, or cannot be delivered, is dropped and told of once.
//! Plain HTTP only, for a collector in the cluster or on the host. Written here, since the crates of OpenTelemetry
//! bring a second HTTP client, protobuf and some forty others for this one request.

use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Span;

/// Spans that wait; at twenty thousand calls a second that is a third of a second.
const QUEUE: usize = 8192;

/// Spans in one request.
const BATCH: usize = 512;

/// How long a span waits for others.
const EVERY: Duration = Duration::from_secs(1);

/// How long a request may take: nobody waits for it, and what the queue holds meanwhile is bounded.
const LIMIT: Duration = Duration::from_secs(10);

/// How long a request may take once we are to end, which waits for the last one.
const LAST_LIMIT: Duration = Duration::from_secs(2);

static SPANS: OnceLock<mpsc::Sender<Span>> = OnceLock::new();

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// The endpoint.
    #[error(
        "{0:?} is no endpoint for traces; write http://HOST:PORT of an OTLP collector that takes HTTP, usually on port 4318"
    )]
    Endpoint(String),
    /// There is one already.
    #[error("traces are sent already")]
    Twice,
}

/// Where traces go.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoint {
    /// `host:port`.
    address: String,
    path: String,
}

impl Endpoint {
    fn parse(text: &str) -> Result<Self, OtlpError> {
        let wrong = || OtlpError::Endpoint(text.to_owned());
        let rest = text.strip_prefix("http://").ok_or_else(wrong)?;
        let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
        let port = address
            .rsplit_once(':')
            .map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(_))) || address.contains(['@', ' ']) {
            return Err(wrong());
        }
        let base = path.trim_end_matches('/');
        let slash = if base.is_empty() { "" } else { "/" };
        Ok(Self {
            address: address.to_owned(),
            path: format!("{slash}{base}/v1/traces"),
        })
    }
}

/// Is anybody interested in spans?
pub(super) fn wanted() -> bool {
    SPANS.get().is_some()
}

/// Hands a span over. One that finds no room is lost: no station waits for a collector.
pub(super) fn send(span: Span) {
    if let Some(spans) = SPANS.get() {
        let _ = spans.try_send(span);
    }
}

/// From now on spans are collected; the future sends them until it is cancelled, and then what is left.
pub fn exporter(
    endpoint: &str,
    cancel: CancellationToken,
) -> Result<impl Future<Output = ()> + Send + 'static, OtlpError> {
    let endpoint = Endpoint::parse(endpoint)?;
    let (sender, mut spans) = mpsc::channel(QUEUE);
    SPANS.set(sender).map_err(|_| OtlpError::Twice)?;
    Ok(async move {
        let mut fails = false;
        let mut round = tokio::time::interval(EVERY);
        loop {
            let ending = tokio::select! {
                () = cancel.cancelled() => true,
                _ = round.tick() => false,
            };
            while !spans.is_empty() {
                let mut batch = Vec::with_capacity(BATCH);
                spans.recv_many(&mut batch, BATCH).await;
                let last = async {
                    cancel.cancelled().await;
                    tokio::time::sleep(LAST_LIMIT).await;
                };
                // What a collector has not taken by then is dropped.
                let sent = tokio::select! {
                    sent = post(&endpoint, &batch) => Some(sent),
                    () = tokio::time::sleep(LIMIT) => None,
                    () = last => None,
                };
                let failed = match sent {
                    Some(Ok(200..=299)) => None,
                    Some(Ok(status)) => Some(format!("it answered {status}")),
                    Some(Err(error)) => Some(error.to_string()),
                    None => Some("no answer in time".to_owned()),
                };
                match &failed {
                    Some(why) if !fails => {
                        tracing::warn!(
                            endpoint = endpoint.address,
                            why,
                            "traces cannot be delivered"
                        );
                    }
                    None if fails => tracing::info!("traces are delivered again"),
                    Some(_) | None => {}
                }
                fails = failed.is_some();
                if fails {
                    // The next round tries again, with what has come until then.
                    break;
                }
            }
            if ending {
                return;
            }
        }
    })
}

/// Sends a batch; the status code of the answer.
async fn post(endpoint: &Endpoint, batch: &[Span]) -> std::io::Result<u16> {
    let body = body(batch).to_string();
    let mut stream = TcpStream::connect(&endpoint.address).await?;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        endpoint.path,
        endpoint.address,
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    // `HTTP/1.1 200`: more is not needed.
    let mut status = [0_u8; 12];
    stream.read_exact(&mut status).await?;
    std::str::from_utf8(&status)
        .ok()
        .filter(|line| line.starts_with("HTTP/1."))
        .and_then(|line| line[9..].parse().ok())
        .ok_or_else(|| std::io::Error::other("it does not speak HTTP"))
}

/// `ExportTraceServiceRequest` in the JSON form of OTLP: ids in hexadecimal digits, 64-bit numbers as text.
fn body(batch: &[Span]) -> Value {
    let spans: Vec<Value> = batch.iter().map(span).collect();
    let service = [
        ("service.name", "stationkeeper"),
        ("service.version", env!("CARGO_PKG_VERSION")),
    ];
    let service = service.map(|(key, value)| attribute(key, value));
    json!({"resourceSpans": [{
        "resource": {"attributes": service},
        "scopeSpans": [{"scope": {"name": "stationkeeper"}, "spans": spans}],
    }]})
}

fn span(span: &Span) -> Value {
    let attributes = span.attributes.iter();
    let attributes: Vec<Value> = attributes
        .map(|(key, value)| attribute(key, value))
        .collect();
    json!({
        "traceId": span.trace_id,
        "spanId": span.id,
        "parentSpanId": span.parent,
        "name": span.name,
        // CLIENT for calls to stations, INTERNAL for the rest.
        "kind": if span.parent.is_empty() { 1 } else { 3 },
        "startTimeUnixNano": span.started.as_nanosecond().to_string(),
        "endTimeUnixNano": span.ended.as_nanosecond().to_string(),
        "attributes": attributes,
        "status": if span.failed { json!({"code": 2}) } else { json!({}) },
    })
}

fn attribute(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_plain_http_with_a_port() {
        for (text, address, path) in [
            ("http://collector:4318", "collector:4318", "/v1/traces"),
            ("http://127.0.0.1:4318/", "127.0.0.1:4318", "/v1/traces"),
            ("http://[::1]:4318/otlp/", "[::1]:4318", "/otlp/v1/traces"),
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!(
                (endpoint.address.as_str(), endpoint.path.as_str()),
                (address, path)
            );
        }
        for text in [
            "https://collector:4318",
            "collector:4318",
            "http://collector",
            "http://a@b:1",
        ] {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
    }
}
