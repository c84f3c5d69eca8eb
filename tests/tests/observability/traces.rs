//! A collector of traces gets them, and one that is away holds nothing up.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use stationkeeper_tests::{ReservedPort, eventually, seconds};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::fleet::{Fleet, LIMIT, rows};

/// A collector that keeps what it is sent.
async fn collector() -> Result<(SocketAddr, Arc<Mutex<Vec<Value>>>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let kept: Arc<Mutex<Vec<Value>>> = Arc::default();
    let into = Arc::clone(&kept);
    // It ends with the test's runtime.
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Who goes away in the middle has sent nothing.
            let _ = take(stream, &into).await;
        }
    });
    Ok((address, kept))
}

/// Takes the spans of one request; it is answered once they are kept.
async fn take(stream: TcpStream, kept: &Mutex<Vec<Value>>) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    stream.read_line(&mut first).await?;
    ensure!(first.starts_with("POST /v1/traces HTTP/1.1"), "{first}");
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let request: Value = serde_json::from_slice(&body)?;
    let spans = rows(&request["resourceSpans"])
        .flat_map(|resource| rows(&resource["scopeSpans"]))
        .flat_map(|scope| rows(&scope["spans"]));
    kept.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .extend(spans.cloned());
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_the_trace_from_the_config_to_the_frame() -> Result<()> {
    let (address, kept) = collector().await?;
    let endpoint = format!("--otlp-endpoint=http://{address}");
    let mut fleet = Fleet::with(1, &[&endpoint]).await?;
    let _live = fleet.station(1);
    fleet.in_sync(1).await?;
    // Spans are sent some time after they have ended.
    eventually(LIMIT, async || {
        tell_the_whole_story(&kept.lock().unwrap_or_else(PoisonError::into_inner))
    })
    .await?;
    ensure!(fleet.operator.terminate(LIMIT).await?.success());
    Ok(())
}

/// The trace of a change is there from the config to the frame.
fn tell_the_whole_story(spans: &[Value]) -> Result<()> {
    let has = |span: &Value, key: &str, value: &str| {
        rows(&span["attributes"])
            .any(|one| one["key"] == key && one["value"]["stringValue"] == value)
    };
    let change = spans
        .iter()
        .find(|span| {
            span["name"] == "change" && has(span, "stationkeeper.key", "HeartbeatInterval")
        })
        .with_context(|| format!("no span of the change in {spans:#?}"))?;
    ensure!(
        has(change, "stationkeeper.config", "north/config-1"),
        "{change}"
    );
    let of_trace = |name: &str| {
        spans
            .iter()
            .find(|span| span["name"] == name && span["traceId"] == change["traceId"])
            .with_context(|| format!("no span {name:?} beside {change}"))
    };
    let (root, call) = (of_trace("reconcile")?, of_trace("ChangeConfiguration")?);
    ensure!(has(root, "stationkeeper.station", "cp-1"), "{root}");
    for part in [change, call, of_trace("GetConfiguration")?] {
        ensure!(part["parentSpanId"] == root["spanId"], "{part}");
        let nanoseconds = |field: &str| part[field].as_str().and_then(|at| at.parse::<u64>().ok());
        let (started, ended) = (
            nanoseconds("startTimeUnixNano"),
            nanoseconds("endTimeUnixNano"),
        );
        ensure!(started.is_some() && started <= ended, "{part}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_holds_nothing_up() -> Result<()> {
    let nobody = ReservedPort::reserve()?;
    let endpoint = format!("--otlp-endpoint=http://{}", nobody.address());
    let mut fleet = Fleet::with(1, &[&endpoint]).await?;
    let _live = fleet.station(1);
    fleet.in_sync(1).await?;
    fleet
        .operator
        .wait_for_log("traces cannot be delivered", LIMIT)
        .await?;
    ensure!(fleet.operator.terminate(seconds(10)).await?.success());
    Ok(())
}
