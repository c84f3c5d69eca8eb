//! The whole product: manifests in a folder, stations on loopback, and everything between them as `run` starts it.
//!
//! The stations connect first, to a product that has nothing to ask of them. Then the config appears, and the time runs
//! until every managed key of every station is in sync and published. Last, the fleet is watched at rest.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use kube::runtime::reflector::ObjectRef;
use serde_json::json;
use stationkeeper::controller::{Settings, Told};
use stationkeeper::folder::FolderOptions;
use stationkeeper::product::{self, ProductSettings, Running, SourceSettings};
use stationkeeper_core::state::State;
use stationkeeper_tests::http;

use super::process::Used;
use super::stations::{Seen, Stations, identity, managed};
use super::{Measured, Options, gateway, rounded};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How long nothing must have been written until what converging causes counts as over.
const QUIET: Duration = CONFIG_STATUS_EVERY.saturating_add(Duration::from_millis(500));

/// How often that is looked at. Looks are counted and not time: while this process stands still, so does the product in it.
const QUIET_LOOK: Duration = Duration::from_millis(200);

/// How often the status of a config is summed up at most. Shorter than the product has it, so that the end need not be
/// waited for that long.
const CONFIG_STATUS_EVERY: Duration = Duration::from_secs(2);

/// Keys that a first read asks for besides the managed ones: how many keys the station takes at once.
const LEARNT: usize = 1;

/// How many keys the product asks for at once of a station that has not said how many it takes.
const PIECE_WHEN_UNKNOWN: usize = stationkeeper::observe::PIECE_WHEN_UNKNOWN;

/// Measures the whole product.
pub(crate) async fn measure(options: &Options) -> Result<Measured> {
    let folder = options.temporary_folder()?;
    let (manifests, state) = (folder.path().join("manifests"), folder.path().join("state"));
    std::fs::create_dir(&manifests).context("failed to make the folder of manifests")?;
    std::fs::write(manifests.join("stations.yaml"), declared_stations(options)?)
        .context("failed to write the stations")?;
    let running = product::start(settings(options, folder.path(), &manifests, &state)?).await?;
    let admin = running.admin.context("an admin port")?;
    ready(admin, options).await?;

    let alone = Used::here()?.resident;
    let mut stations = Stations::start(&gateway::url(options, running.gateway), folder.path())?;
    let connected = stations.all_registered(options).await?;
    wait(options, "the stations to be known", || {
        all_known(&running, options)
    })
    .await?;
    quiet(admin, &mut stations, options).await?;
    let known: Seen = stations.seen().await?;
    let writes_known = status_writes(admin).await?;
    let with_stations = Used::here()?.resident;

    let (server, load) = (Used::here()?, stations.used()?);
    let begun = Instant::now();
    replace(&manifests.join("config.yaml"), &declared_config(options)?)?;
    let mut checked = options.silent_stations();
    wait(options, "the fleet to converge", || {
        while checked < options.stations && in_sync(&running, checked, options.keys) {
            checked += 1;
        }
        checked == options.stations
    })
    .await?;
    let took = begun.elapsed();
    let (server_after, load_after) = (Used::here()?, stations.used()?);
    let converged = stations.seen().await?;
    let calls = converged.calls() - known.calls();

    let mut wrong = Vec::new();
    let mut rest = serde_json::Value::Null;
    if options.without_faults() {
        quiet(admin, &mut stations, options).await?;
        let (settled, writes) = (stations.seen().await?, status_writes(admin).await?);
        let files = newest(&state)?;
        let idle = Used::here()?.processor();
        tokio::time::sleep(options.rest).await;
        let calls = stations.seen().await?.calls() - settled.calls();
        let written: u64 =
            status_writes(admin).await?.values().sum::<u64>() - writes.values().sum::<u64>();
        let touched = newest(&state)? != files;
        rest = json!({
            "seconds": options.rest.as_secs_f64(),
            "calls": calls,
            "statusWrites": written,
            "filesTouched": touched,
            "serverProcessorMillis": rounded((Used::here()?.processor() - idle).as_secs_f64() * 1e3),
        });
        if calls > 0 || written > 0 || touched {
            wrong.push(format!("a fleet at rest caused {calls} calls and {written} status writes; files were written: {touched}"));
        }
    }
    let writes = status_writes(admin).await?;
    let written = |kind: &str, since: Option<&BTreeMap<String, u64>>| {
        writes.get(kind).copied().unwrap_or(0)
            - since
                .and_then(|since| since.get(kind))
                .copied()
                .unwrap_or(0)
    };
    let resident = Used::here()?.resident;
    let last = stations.seen().await?;
    running.stop();
    running.wait().await?;

    let least = least(options);
    let count = options.stations as f64;
    let each = |number: u64| rounded(number as f64 / count);
    if options.without_faults() {
        let actions = [
            ("GetConfiguration", last.reads - known.reads, least.reads),
            (
                "ChangeConfiguration",
                last.writes - known.writes,
                least.writes,
            ),
            ("other actions", last.others - known.others, 0),
            ("any action before there was a config", known.calls(), 0),
        ];
        for (action, were, least) in actions {
            let least = least * options.stations as u64;
            if were != least {
                wrong.push(format!("{were} calls of {action}, where {least} do"));
            }
        }
        if last.violations > 0 {
            wrong.push(format!(
                "{} breaches of the rules by the product, the last: {:?}",
                last.violations, last.last_violation
            ));
        }
    }
    let processor =
        |after: Used, before: Used| (after.processor() - before.processor()).as_secs_f64();
    let document = json!({
        "callsPerStation": {
            "GetConfiguration": each(last.reads - known.reads),
            "ChangeConfiguration": each(last.writes - known.writes),
            "others": each(last.others - known.others),
        },
        "leastCallsPerStation": {"GetConfiguration": least.reads, "ChangeConfiguration": least.writes, "others": 0},
        "keysAskedPerStation": each(last.keys_asked - known.keys_asked),
        "statusWritesPerStation": {
            "connecting": each(writes_known.get("ChargeStation").copied().unwrap_or(0)),
            "converging": each(written("ChargeStation", Some(&writes_known))),
        },
        "statusWritesOfConfigs": written("ChargeStationConfig", None),
        "secondsToConverge": rounded(took.as_secs_f64()),
        "calls": calls,
        "callsPerSecond": (calls as f64 / took.as_secs_f64()).round(),
        "serverProcessorSeconds": {
            "user": rounded((server_after.user - server.user).as_secs_f64()),
            "kernel": rounded((server_after.kernel - server.kernel).as_secs_f64()),
        },
        "serverProcessorMicrosPerCall": rounded(processor(server_after, server) * 1e6 / calls.max(1) as f64),
        "stationProcessorMicrosPerCall": rounded(processor(load_after, load) * 1e6 / calls.max(1) as f64),
        "memoryPerStationKiB": {
            "declared": rounded(alone / count),
            "connecting": rounded((with_stations - alone) / count),
            "converging": rounded((resident - with_stations) / count),
        },
        "connected": connected.connected,
        "rest": rest,
    });
    Ok(Measured { document, wrong })
}

/// The least that does the job, per station.
struct Least {
    reads: u64,
    writes: u64,
}

/// | reads | |
/// |---|---|
/// | opening | a first piece of the size that every station takes, and the rest in pieces of the size that the station says |
/// | read-backs | one for each write |
/// | closing | all managed keys, if anything was written |
fn least(options: &Options) -> Least {
    let asked = options.keys + LEARNT;
    let rest = asked.saturating_sub(PIECE_WHEN_UNKNOWN);
    let opening = 1 + rest.div_ceil(options.max_keys);
    let closing = if options.differing == 0 {
        0
    } else {
        options.keys.div_ceil(options.max_keys)
    };
    Least {
        reads: (opening + options.differing + closing) as u64,
        writes: options.differing as u64,
    }
}

fn settings(
    options: &Options,
    folder: &Path,
    manifests: &Path,
    state: &Path,
) -> Result<ProductSettings> {
    let patience = if options.without_faults() {
        Duration::from_secs(30)
    } else {
        Duration::from_secs(2)
    };
    Ok(ProductSettings {
        source: SourceSettings::Folder {
            manifests: manifests.to_owned(),
            state_dir: state.to_owned(),
            options: FolderOptions {
                settle: Duration::ZERO,
                poll: Duration::from_millis(50),
                ..FolderOptions::default()
            },
        },
        gateway: gateway::settings(options, folder)?,
        controller: Settings {
            config_status_every: CONFIG_STATUS_EVERY,
            ..Settings::default()
        },
        admin: Some(([127, 0, 0, 1], 0).into()),
        status_anywhere: false,
        calls_per_second: 0,
        call_timeout: options.round_trip + patience,
        audit: None,
        brake_file: None,
        register: None,
        drain: Duration::ZERO,
        sink: None,
    })
}

fn name(number: usize) -> String {
    identity(number).to_lowercase()
}

fn declared_stations(options: &Options) -> Result<String> {
    let mut text = String::new();
    for number in 0..options.stations {
        let (name, identity) = (name(number), identity(number));
        writeln!(
            text,
            "---\napiVersion: stationkeeper.dev/v1alpha1\nkind: ChargeStation\nmetadata:\n  name: {name}\n  labels:\n    fleet: benchmark\n\
             spec:\n  identity: {identity}\n  authentication:\n    none: true"
        )?;
    }
    Ok(text)
}

fn declared_config(options: &Options) -> Result<String> {
    let mut text = "apiVersion: stationkeeper.dev/v1alpha1\nkind: ChargeStationConfig\nmetadata:\n  name: benchmark\nspec:\n  stations:\n    \
                    selector:\n      matchLabels:\n        fleet: benchmark\n  mode: Enforce\n  consent: [Unknown]\n  settings:\n"
        .to_owned();
    for managed in managed(options) {
        writeln!(
            text,
            "    - key: {}\n      value: \"{}\"",
            managed.key, managed.declared
        )?;
    }
    Ok(text)
}

fn replace(path: &Path, text: &str) -> Result<()> {
    let partial = path.with_extension("partial");
    std::fs::write(&partial, text)
        .and_then(|()| std::fs::rename(&partial, path))
        .context("failed to write the config")
}

async fn ready(admin: std::net::SocketAddr, options: &Options) -> Result<()> {
    let started = Instant::now();
    while http::get(admin, "/readyz").await?.status != 200 {
        ensure!(
            started.elapsed() < options.limit,
            "the product did not become ready"
        );
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

async fn wait(options: &Options, what: &str, mut condition: impl FnMut() -> bool) -> Result<()> {
    let started = Instant::now();
    while !condition() {
        ensure!(
            started.elapsed() < options.limit,
            "waited too long for {what}"
        );
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

fn told(running: &Running, number: usize) -> Option<Told> {
    running
        .led
        .get()?
        .lives
        .peek(&ObjectRef::new(&name(number)).within("default"))?
        .told()
}

/// Has every station been published as connected?
fn all_known(running: &Running, options: &Options) -> bool {
    (0..options.stations)
        .all(|number| told(running, number).is_some_and(|told| told.connected && told.seen))
}

fn in_sync(running: &Running, number: usize, keys: usize) -> bool {
    told(running, number).is_some_and(|told| {
        !told.progressing
            && told.verdicts.len() == keys
            && told
                .verdicts
                .iter()
                .all(|verdict| verdict.state == State::InSync)
    })
}

/// Waits until nothing has been written and nobody called for a while.
async fn quiet(
    admin: std::net::SocketAddr,
    stations: &mut Stations,
    options: &Options,
) -> Result<()> {
    let started = Instant::now();
    let (mut before, mut alike) = (
        (status_writes(admin).await?, stations.seen().await?.calls()),
        0,
    );
    while QUIET_LOOK * alike < QUIET {
        ensure!(
            started.elapsed() < options.limit,
            "the fleet did not come to rest"
        );
        tokio::time::sleep(QUIET_LOOK).await;
        let now = (status_writes(admin).await?, stations.seen().await?.calls());
        alike = if now == before { alike + 1 } else { 0 };
        before = now;
    }
    Ok(())
}

/// The product's own count of status writes, by kind of object.
async fn status_writes(admin: std::net::SocketAddr) -> Result<BTreeMap<String, u64>> {
    let metrics = http::get(admin, "/metrics").await?.body;
    let lines = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("stationkeeper_status_writes_total{kind=\""));
    lines
        .map(|line| {
            let (kind, count) = line.split_once("\"} ").context("a metric")?;
            Ok((kind.to_owned(), count.parse().context("a count")?))
        })
        .collect()
}

/// How many files there are below a folder, and when the last of them was written: what the product cannot miscount.
fn newest(folder: &Path) -> Result<(usize, Option<SystemTime>)> {
    let mut sum = (0, None);
    for entry in std::fs::read_dir(folder).context("failed to list the state")? {
        let entry = entry.context("failed to list the state")?;
        let about = entry
            .metadata()
            .context("failed to look at a file of the state")?;
        let (count, time) = if about.is_dir() {
            newest(&entry.path())?
        } else {
            (1, Some(about.modified()?))
        };
        sum = (sum.0 + count, sum.1.max(time));
    }
    Ok(sum)
}
