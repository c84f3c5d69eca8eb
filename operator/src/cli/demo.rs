//! `demo`: a fleet of simulated stations, the manifests of `examples/demo`, and the product itself between them, over real
//! sockets. What is told is what the product found out; the demo only lets things happen to stations.

mod stage;
mod table;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use kube::ResourceExt;
use stationkeeper_core::plan::KeyVerdict;
use stationkeeper_core::state::{Reason, State};
use stationkeeper_core::status::transitions;

use crate::clock;
use crate::controller::{self, Moment, Settings, VerdictSink};
use crate::document::{Document, Transition};
use crate::folder::FolderOptions;
use crate::gateway::GatewaySettings;
use crate::objects::ChargeStation;
use crate::product::{self, ProductSettings, Running, SourceSettings};

/// How long all scenes may take together: a machine that is slow at one has time for it, and the demo ends within a minute.
const SCENES: Duration = Duration::from_secs(48);

/// What counts at most of the time from one look at a scene to the next: while the machine stands still, nothing can happen.
const COUNTED: Duration = Duration::from_secs(1);

/// How long a demo that goes on may take: what comes after the scenes is the product's end, which is within ten seconds.
const _: () = assert!(SCENES.as_secs() + 10 < 60);

/// The flags of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// How to tell: for people, or one JSON document on stdout.
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: DemoOutput,
    /// What the stations' random numbers come from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// How the demo tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DemoOutput {
    /// A live table on a terminal, plain lines in a pipe.
    Text,
    /// One JSON document.
    Json,
}

/// Every transition, in order, as the controllers told it.
#[derive(Default)]
struct History {
    transitions: Mutex<Vec<(Transition, String)>>,
}

impl VerdictSink for History {
    fn told(
        &self,
        station: &ChargeStation,
        before: &[KeyVerdict],
        after: &controller::Told,
        _: Moment,
    ) {
        let Ok(mut all) = self.transitions.lock() else {
            return;
        };
        for change in transitions(before, &after.verdicts) {
            let message = change.message;
            let transition = Transition {
                time: clock::now(),
                station: station.name_any(),
                key: change.key,
                from: change.from,
                to: Some(change.to),
                reason: Some(change.reason),
            };
            all.push((transition, message));
        }
    }
}

impl History {
    fn since(&self, start: usize) -> Vec<(Transition, String)> {
        self.transitions
            .lock()
            .map(|all| all.iter().skip(start).cloned().collect())
            .unwrap_or_default()
    }

    fn saw(&self, station: &str, key: &str, state: State, reason: Option<Reason>) -> bool {
        self.since(0).iter().any(|(seen, _)| {
            seen.station == station
                && seen.key.as_str() == key
                && seen.to == Some(state)
                && (reason.is_none() || seen.reason == reason)
        })
    }
}

/// Runs the demo. Exit code 1 if the product did not come to where it should.
pub async fn demo(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let home = tempfile::tempdir().context("failed to make a folder for the demo")?;
    let manifests = home.path().join("manifests");
    stage::write_manifests(&manifests).context("failed to write the demo's manifests")?;
    let history = Arc::new(History::default());
    let running = product::start(settings(home.path(), &manifests, Arc::clone(&history))).await?;
    let fleet = stage::fleet(&format!("ws://{}/ocpp", running.gateway), args.seed)?;
    let mut told = Told::new(args.output, Arc::clone(&history));
    told.say(&format!(
        "stationkeeper demo: {} stations and the manifests of examples/demo; the gateway listens on {}",
        fleet.stations().len(),
        running.gateway
    ));

    let mut missed = Vec::new();
    let mut left = SCENES;
    for scene in stage::scenes() {
        told.say(&format!("\n== {}", scene.title));
        (scene.happens)(&fleet);
        loop {
            let looked = Instant::now();
            told.show(&running);
            let document = running.document();
            let open: Vec<_> = scene
                .awaits
                .iter()
                .filter(|awaited| !awaited.holds(&document, &history))
                .collect();
            if open.is_empty() {
                break;
            }
            if left.is_zero() {
                missed.extend(open.into_iter().map(ToString::to_string));
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            left = left.saturating_sub(looked.elapsed().min(COUNTED));
        }
        told.show(&running);
    }

    let mut document = running.document();
    document.history = Some(
        history
            .since(0)
            .into_iter()
            .map(|(transition, _)| transition)
            .collect(),
    );
    running.stop();
    let ended = running.wait().await;
    fleet.stop().await;
    told.finish(&document, &missed)?;
    ended?;
    Ok(if missed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// The product as `run --manifests` starts it, with shorter periods: drift that nobody announces is found within
/// seconds instead of hours.
fn settings(
    home: &std::path::Path,
    manifests: &std::path::Path,
    history: Arc<History>,
) -> ProductSettings {
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    ProductSettings {
        source: SourceSettings::Folder {
            manifests: manifests.to_owned(),
            state_dir: home.join("state"),
            options: FolderOptions {
                settle: Duration::ZERO,
                poll: Duration::from_millis(250),
                ..FolderOptions::default()
            },
        },
        gateway: GatewaySettings::new(listen),
        controller: Settings {
            resync: SignedDuration::from_millis(1500),
            disconnect_grace: SignedDuration::from_secs(1),
            config_status_every: Duration::from_millis(500),
        },
        admin: None,
        status_anywhere: false,
        calls_per_second: 0,
        call_timeout: Duration::from_secs(5),
        audit: None,
        brake_file: None,
        register: None,
        drain: Duration::ZERO,
        sink: Some(history),
    }
}

/// What a scene waits for, as the product tells it.
pub(crate) enum Awaited {
    /// A key is in a state (for this reason, if one is given).
    Is(&'static str, &'static str, State, Option<Reason>),
    /// A key has been in a state (for this reason).
    Was(&'static str, &'static str, State, Option<Reason>),
    /// A station is offline, and its keys are stale.
    Stale(&'static str),
}

impl Awaited {
    fn holds(&self, document: &Document, history: &History) -> bool {
        let station = |name: &str| {
            document
                .stations
                .iter()
                .find(|station| station.name == name)
        };
        match self {
            Self::Is(name, key, state, reason) => station(name).is_some_and(|station| {
                station.keys.iter().any(|told| {
                    told.key.as_str() == *key
                        && told.state == *state
                        && reason.is_none_or(|reason| told.reason == reason)
                })
            }),
            Self::Was(name, key, state, reason) => history.saw(name, key, *state, *reason),
            Self::Stale(name) => station(name).is_some_and(|station| {
                !station.connected && station.keys.iter().all(|key| key.stale)
            }),
        }
    }
}

impl std::fmt::Display for Awaited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let because = |reason: &Option<Reason>| {
            reason
                .map(|reason| format!(" · {reason:?}"))
                .unwrap_or_default()
        };
        match self {
            Self::Is(station, key, state, reason) => {
                write!(f, "{station} {key} is {state:?}{}", because(reason))
            }
            Self::Was(station, key, state, reason) => {
                write!(f, "{station} {key} was {state:?}{}", because(reason))
            }
            Self::Stale(station) => write!(f, "{station} is offline and stale"),
        }
    }
}

/// Tells what happens, in the manner of where stdout leads.
struct Told {
    output: DemoOutput,
    live: bool,
    history: Arc<History>,
    lines: usize,
    drawn: usize,
}

impl Told {
    fn new(output: DemoOutput, history: Arc<History>) -> Self {
        let live = output == DemoOutput::Text && std::io::stdout().is_terminal();
        Self {
            output,
            live,
            history,
            lines: 0,
            drawn: 0,
        }
    }

    fn say(&mut self, text: &str) {
        if self.output == DemoOutput::Text {
            self.wipe();
            print(text);
        }
    }

    /// The transitions since the last look, and on a terminal the table below them.
    fn show(&mut self, running: &Running) {
        if self.output == DemoOutput::Json {
            return;
        }
        let new = self.history.since(self.lines);
        self.lines += new.len();
        if !new.is_empty() || self.live {
            self.wipe();
        }
        for (transition, message) in new
            .iter()
            .filter(|(transition, _)| table::is_news(transition))
        {
            print(&table::line(transition, message, self.live));
        }
        if self.live {
            let text = table::stations(&running.document(), true);
            // Rows that are wider than the terminal are cut, not wrapped: as many lines are wiped as were drawn.
            print_raw(&format!("\x1b[?7l{text}\n\x1b[?7h"));
            self.drawn = text.lines().count();
        }
    }

    /// Takes the table off the terminal, to draw it anew below what is said next.
    fn wipe(&mut self) {
        if self.drawn > 0 {
            print_raw(&format!("\x1b[{}A\x1b[J", self.drawn));
            self.drawn = 0;
        }
    }

    fn finish(&mut self, document: &Document, missed: &[String]) -> anyhow::Result<()> {
        match self.output {
            DemoOutput::Json => print(&serde_json::to_string_pretty(document)?),
            DemoOutput::Text => {
                self.wipe();
                print(&table::summary(document, missed, self.live));
            }
        }
        Ok(())
    }
}

/// A closed pipe (`demo | head`) ends what is told, not the demo.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn print_raw(text: &str) {
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}
