//! The simulated stations, in a process of their own so that nothing of them counts as the server's.
//!
//! The server's process holds a [`Stations`], which asks over a pipe for what the stations have seen, one JSON document
//! a line.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use stationkeeper_simulator::{
    Fault, Fleet, KeyDefinition, Kind, Pace, Station, StationProfile, StationSettings, Trust,
};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::Options;
use super::process::{Used, part};

/// How many stations begin to connect in a second: a herd is another question.
const CONNECTS_PER_SECOND: f64 = 2000.0;

/// Keys that every kind of station has, with a value to declare and another one that is fine as well.
const STANDARD: [(&str, &str, &str); 12] = [
    ("AllowOfflineTxForUnknownId", "false", "true"),
    ("AuthorizeRemoteTxRequests", "true", "false"),
    ("BlinkRepeat", "3", "5"),
    ("ClockAlignedDataInterval", "900", "0"),
    ("ConnectionTimeOut", "120", "60"),
    ("HeartbeatInterval", "300", "600"),
    ("LightIntensity", "80", "40"),
    ("MeterValueSampleInterval", "60", "30"),
    ("MinimumStatusDuration", "0", "10"),
    ("ResetRetries", "2", "3"),
    ("StopTransactionOnInvalidId", "true", "false"),
    ("WebSocketPingInterval", "60", "30"),
];

/// A key that the benchmark manages.
pub(crate) struct Managed {
    /// Its name.
    pub(crate) key: String,
    /// What is declared.
    pub(crate) declared: String,
    /// What a station has at first.
    first: String,
}

/// The managed keys: standard ones, then as many of the maker's own as are asked for. Those that differ lie spread
/// among the others.
pub(crate) fn managed(options: &Options) -> Vec<Managed> {
    let differs = |at: usize| {
        (at + 1) * options.differing / options.keys > at * options.differing / options.keys
    };
    let own = |at: usize| {
        (
            format!("BenchmarkSetting{at:03}"),
            format!("declared-{at}"),
            format!("other-{at}"),
        )
    };
    let of = |at: usize| {
        let named = STANDARD.get(at).map(|(key, declared, other)| {
            (
                (*key).to_owned(),
                (*declared).to_owned(),
                (*other).to_owned(),
            )
        });
        let (key, declared, other) = named.unwrap_or_else(|| own(at));
        let first = if differs(at) { other } else { declared.clone() };
        Managed {
            key,
            declared,
            first,
        }
    };
    (0..options.keys).map(of).collect()
}

/// The identity of a station by its number.
pub(crate) fn identity(number: usize) -> String {
    format!("BENCH-{number:05}")
}

/// What the stations have seen, summed up.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) connected: usize,
    pub(crate) registered: usize,
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) others: u64,
    pub(crate) keys_asked: u64,
    pub(crate) violations: u64,
    pub(crate) last_refusal: Option<String>,
    pub(crate) last_violation: Option<String>,
}

impl Seen {
    /// All calls.
    pub(crate) fn calls(&self) -> u64 {
        self.reads + self.writes + self.others
    }
}

/// Runs the stations until the pipe is closed.
pub(crate) async fn serve(options: &Options) -> Result<()> {
    let fleet = start(options)?;
    let mut asked = BufReader::new(tokio::io::stdin()).lines();
    let mut out = tokio::io::stdout();
    while asked
        .next_line()
        .await
        .context("failed to read what is asked")?
        .is_some()
    {
        let mut line = serde_json::to_string(&seen(&fleet))?;
        line.push('\n');
        out.write_all(line.as_bytes())
            .await
            .context("failed to tell")?;
        out.flush().await.context("failed to tell")?;
    }
    Ok(())
}

fn start(options: &Options) -> Result<Fleet> {
    let profile = profile(options);
    let mut common = StationSettings::new(options.url.clone(), "");
    common.profile = Arc::new(profile);
    common.seed = options.seed;
    common.lean = true;
    // Nobody accepts the stations here; asking again and again is not what is measured.
    common.pace = Pace {
        boot: Duration::ZERO,
        reconnect_first: Duration::from_millis(100),
        ..Pace::FIELD
    };
    if let Some(folder) = options.certificate_folder.as_ref().filter(|_| options.tls) {
        common.trust = Trust::file(&folder.join("certificate.pem"))?;
    }
    if !options.round_trip.is_zero() {
        common
            .faults
            .push(format!("slow:{}", options.round_trip.as_millis()).parse::<Fault>()?);
    }
    let silent: Fault = "silent-sometimes:100".parse()?;
    let stations = (0..options.stations).map(|number| {
        let mut settings = common.clone();
        settings.identity = identity(number);
        settings.start_after = Duration::from_secs_f64(number as f64 / CONNECTS_PER_SECOND);
        if number < options.silent_stations() {
            settings.faults.push(silent.clone());
        }
        Station::start(settings)
    });
    Ok(Fleet::of(stations.collect()))
}

fn profile(options: &Options) -> StationProfile {
    let mut profile = StationProfile::standard().as_ref().clone();
    let standard = profile.clone();
    let mut set = |key: &str, value: &str| {
        let known = standard
            .keys()
            .iter()
            .find(|definition| definition.key == key)
            .cloned();
        let mut definition = known.unwrap_or_else(|| {
            let mut definition = KeyDefinition::default();
            definition.key = key.to_owned();
            definition.kind = Kind::String;
            definition
        });
        definition.value = Some(value.to_owned());
        profile = profile.with_key(definition);
    };
    for managed in managed(options) {
        set(&managed.key, &managed.first);
    }
    set("GetConfigurationMaxKeys", &options.max_keys.to_string());
    profile
}

fn seen(fleet: &Fleet) -> Seen {
    let totals = fleet.totals();
    let calls = |action: &str| totals.calls.get(action).copied().unwrap_or(0);
    let (reads, writes) = (calls("GetConfiguration"), calls("ChangeConfiguration"));
    let mut seen = Seen {
        connected: totals.connected,
        registered: totals.accepted + totals.pending,
        reads,
        writes,
        others: totals.calls.values().sum::<u64>() - reads - writes,
        violations: totals.violations,
        last_refusal: totals.last_refusal,
        ..Seen::default()
    };
    for station in fleet.stations() {
        station.with_stats(|stats| {
            seen.keys_asked += stats.keys_asked;
            if let Some((_, violation)) = stats.violations.back() {
                seen.last_violation = Some(format!("{violation:?}"));
            }
        });
    }
    seen
}

/// The stations, as the server's process holds them.
pub(crate) struct Stations {
    child: Child,
    asks: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Stations {
    /// Starts them; they connect to `url` by and by.
    pub(crate) fn start(url: &str, folder: &std::path::Path) -> Result<Self> {
        let mut command = part("stations")?;
        command.arg("--url").arg(url);

        command.arg("--certificate-folder").arg(folder);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to start the stations")?;
        let asks = child.stdin.take().context("a pipe to the stations")?;
        let answers =
            BufReader::new(child.stdout.take().context("a pipe from the stations")?).lines();
        Ok(Self {
            child,
            asks,
            answers,
        })
    }

    /// What they have seen so far.
    pub(crate) async fn seen(&mut self) -> Result<Seen> {
        self.asks
            .write_all(b"seen\n")
            .await
            .context("failed to ask the stations")?;
        let line = self
            .answers
            .next_line()
            .await
            .context("failed to hear the stations")?;
        serde_json::from_str(&line.context("the stations have gone")?)
            .context("failed to understand the stations")
    }

    /// What their process has used so far.
    pub(crate) fn used(&self) -> Result<Used> {
        Used::by(self.child.id().context("the stations have gone")?)
    }

    /// Waits until all of them are connected and were told of their registration.
    pub(crate) async fn all_registered(&mut self, options: &Options) -> Result<Seen> {
        let started = Instant::now();
        loop {
            let seen = self.seen().await?;
            if seen.connected == options.stations && seen.registered == options.stations {
                return Ok(seen);
            }
            ensure!(
                started.elapsed() < options.limit,
                "not all stations could connect: {seen:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
