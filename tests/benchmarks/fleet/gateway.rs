//! The gateway alone: a directory that admits everybody, and one call in flight to each station.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use prometheus_client::registry::Registry;
use serde_json::json;
use serde_json::value::RawValue;
use stationkeeper::connector::{Admission, Call, CallResult, Connector, Directory, Identity};
use stationkeeper::gateway::{Gateway, GatewaySettings, TlsFiles};

use super::process::Used;
use super::stations::{Stations, identity};
use super::{Measured, Options, rounded};

/// How often the calls per second are measured; the median is told.
const ROUNDS: usize = 5;

/// Admits everybody.
struct Everybody;

impl Directory for Everybody {
    fn admit(&self, _identity: &Identity) -> Admission {
        Admission::Open
    }

    fn register(&self, _identity: &Identity) -> bool {
        false
    }

    fn heartbeat_interval(&self, _identity: &Identity) -> Option<u32> {
        None
    }
}

/// The settings of a gateway on a free port, with TLS if that is asked for.
pub(crate) fn settings(options: &Options, folder: &Path) -> Result<GatewaySettings> {
    let mut settings = GatewaySettings::new(([127, 0, 0, 1], 0).into());
    if options.tls {
        let pair = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])
            .context("failed to make a certificate")?;
        let files = TlsFiles {
            certificate: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
        };
        std::fs::write(&files.certificate, pair.cert.pem())
            .context("failed to write the certificate")?;
        std::fs::write(&files.key, pair.signing_key.serialize_pem())
            .context("failed to write the key")?;
        settings.tls = Some(files);
    }
    Ok(settings)
}

/// The address for stations.
pub(crate) fn url(options: &Options, address: std::net::SocketAddr) -> String {
    format!(
        "{}://{address}/ocpp",
        if options.tls { "wss" } else { "ws" }
    )
}

/// Measures memory per station and calls per second.
pub(crate) async fn measure(options: &Options) -> Result<Measured> {
    let folder = options.temporary_folder()?;
    let started = Gateway::start(
        settings(options, folder.path())?,
        Arc::new(Everybody),
        &mut Registry::default(),
    )
    .await?;
    let mut stations = Stations::start(&url(options, started.address), folder.path())?;
    let before = Used::here()?.resident;
    stations.all_registered(options).await?;
    let connected = Used::here()?.resident;

    let fleet: Arc<[Identity]> = (options.silent_stations()..options.stations)
        .map(|number| Identity::new(&identity(number)))
        .collect();
    let length = full_listings(&started.gateway, &fleet).await?;
    let listed = Used::here()?.resident;

    let (mut per_second, mut server_micros, mut station_micros) =
        (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (server, load) = (Used::here()?.processor(), stations.used()?.processor());
        let begun = Instant::now();
        let calls = call_for(&started.gateway, &fleet, options.gateway_round).await? as f64;
        per_second.push(calls / begun.elapsed().as_secs_f64());
        server_micros.push((Used::here()?.processor() - server).as_secs_f64() * 1e6 / calls);
        station_micros.push((stations.used()?.processor() - load).as_secs_f64() * 1e6 / calls);
    }
    started.gateway.shutdown(Duration::ZERO);
    started.task.await??;

    let each = |resident: f64| rounded((resident - before) / options.stations as f64);
    let document = json!({
        "callsPerSecond": median(per_second).round(),
        "serverProcessorMicrosPerCall": rounded(median(server_micros)),
        "stationProcessorMicrosPerCall": rounded(median(station_micros)),
        "fullListingBytes": length,
        "memoryPerStationKiB": {"connected": each(connected), "afterFullListing": each(listed)},
    });
    Ok(Measured {
        document,
        wrong: Vec::new(),
    })
}

fn call(payload: &'static str) -> Result<Call> {
    let payload = RawValue::from_string(payload.to_owned()).context("a payload")?;
    let limit = Duration::from_secs(30);
    Ok(Call::new("GetConfiguration", payload, limit, 0))
}

/// Asks every station once for all its keys; the length of one answer.
async fn full_listings(gateway: &Gateway, fleet: &[Identity]) -> Result<usize> {
    let everything = call("{}")?;
    let mut answers = futures::stream::iter(
        fleet
            .iter()
            .map(|station| gateway.call(station, everything.clone())),
    )
    .buffer_unordered(64);
    let mut length = 0;
    while let Some(answer) = answers.next().await {
        match answer {
            CallResult::Answer(payload) => length = payload.get().len(),
            other => anyhow::bail!("no full listing: {other:?}"),
        }
    }
    Ok(length)
}

/// Calls every station again and again for a while; how many calls were answered.
async fn call_for(gateway: &Arc<Gateway>, fleet: &Arc<[Identity]>, time: Duration) -> Result<u64> {
    let answered = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + time;
    let payload = call(r#"{"key":["HeartbeatInterval"]}"#)?;
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..fleet.len() {
        let (gateway, fleet, answered, payload) = (
            Arc::clone(gateway),
            Arc::clone(fleet),
            Arc::clone(&answered),
            payload.clone(),
        );
        callers.spawn(async move {
            while Instant::now() < end {
                match gateway.call(&fleet[number], payload.clone()).await {
                    CallResult::Answer(_) => answered.fetch_add(1, Ordering::Relaxed),
                    other => return Err(format!("{other:?}")),
                };
            }
            Ok(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        let ended = ended?;
        ensure!(ended.is_ok(), "a call failed: {ended:?}");
    }
    Ok(answered.load(Ordering::Relaxed))
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}
