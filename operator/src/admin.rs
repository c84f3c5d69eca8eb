//! The admin port: `/livez`, `/readyz`, `/metrics`, `/status`, `/log-filter`.
//!
//! Ready means that the local stores are filled, not that this process leads nor that the stations are fine. `/status`
//! holds no secrets, but it tells much of a fleet: it is answered to loopback only, unless told otherwise. `/log-filter`
//! changes something, and is for loopback always.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::logs::{self, LogError};
use crate::metrics::{CLASSIC, OPEN_METRICS, classic, takes_open_metrics};

/// What the admin port answers from.
pub struct Admin {
    /// The metrics.
    pub registry: Mutex<Registry>,
    /// Why this process is not ready, if it is not.
    pub not_ready: Box<dyn Fn() -> Option<String> + Send + Sync>,
    /// The document of `/status`, as JSON.
    pub document: Box<dyn Fn() -> Result<String, serde_json::Error> + Send + Sync>,
    /// Brings gauges up to date before they are read.
    pub refresh: Box<dyn Fn() + Send + Sync>,
    /// Answer `/status` to any address.
    pub status_anywhere: bool,
}

/// Serves until cancelled.
pub async fn serve(
    listener: TcpListener,
    admin: Arc<Admin>,
    cancel: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/log-filter", get(log_filter).put(set_log_filter))
        .with_state(admin)
        .into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, router)
        .with_graceful_shutdown(cancel.cancelled_owned())
        .await
}

async fn readyz(State(admin): State<Arc<Admin>>) -> Response {
    match (admin.not_ready)() {
        None => "ok".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
    }
}

async fn metrics(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Response {
    (admin.refresh)();
    let mut text = String::new();
    let encoded = match admin.registry.lock() {
        Ok(registry) => prometheus_client::encoding::text::encode(&mut text, &registry).is_ok(),
        Err(_) => false,
    };
    if !encoded {
        return (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics could not be written",
        )
            .into_response();
    }
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    match takes_open_metrics(accept.unwrap_or_default()) {
        true => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        false => ([(header::CONTENT_TYPE, CLASSIC)], classic(&text)).into_response(),
    }
}

async fn status(
    State(admin): State<Arc<Admin>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
) -> Response {
    if !admin.status_anywhere && !peer.ip().to_canonical().is_loopback() {
        let told =
            "/status is answered to loopback only; start with --status-anywhere to change that";
        return (StatusCode::FORBIDDEN, told).into_response();
    }
    match (admin.document)() {
        Ok(document) => ([(header::CONTENT_TYPE, "application/json")], document).into_response(),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the document could not be written: {error}"),
        )
            .into_response(),
    }
}

/// The filter of logs that is in force.
async fn log_filter(ConnectInfo(peer): ConnectInfo<SocketAddr>) -> Response {
    match for_loopback(peer).and_then(|()| logs::filter().map_err(refused)) {
        Ok(filter) => format!("{filter}\n").into_response(),
        Err(response) => *response,
    }
}

/// Puts the filter in the body in force, until the next one or a restart.
async fn set_log_filter(ConnectInfo(peer): ConnectInfo<SocketAddr>, body: String) -> Response {
    let set = for_loopback(peer)
        .and_then(|()| logs::set_filter(body.trim()).map_err(refused))
        .and_then(|()| logs::filter().map_err(refused));
    match set {
        Ok(filter) => format!("{filter}\n").into_response(),
        Err(response) => *response,
    }
}

fn for_loopback(peer: SocketAddr) -> Result<(), Box<Response>> {
    if peer.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let told = "/log-filter is answered to loopback only; use kubectl port-forward";
    Err(Box::new((StatusCode::FORBIDDEN, told).into_response()))
}

fn refused(error: LogError) -> Box<Response> {
    let status = match error {
        LogError::Filter { .. } => StatusCode::BAD_REQUEST,
        LogError::NotOurs => StatusCode::SERVICE_UNAVAILABLE,
    };
    Box::new((status, format!("{error}\n")).into_response())
}
