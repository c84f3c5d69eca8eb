//! `simulate`: stations for any CSMS.
//!
//! In come a URL, a number, a kind of station, faults and a seed; out come stations that connect, and a line on stdout
//! whenever something about them changed. It runs until it is told to stop. What a station does is the simulator's
//! matter, not this file's.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use stationkeeper_simulator::{
    Fault, FaultKind, Fleet, FleetSettings, Pace, Password, StationProfile, StationSettings,
    Totals, Trust, built_in_names, check_url, fault_usage,
};
use tokio::signal::unix::{SignalKind, signal};

/// Runs simulated charge stations against any CSMS, until Ctrl-C or SIGTERM.
#[derive(Clone, Debug, clap::Args)]
pub struct SimulateArgs {
    /// The CSMS's address without the identity: ws://host:port/path or wss://host:port/path.
    #[arg(long, value_name = "URL", required_unless_present = "list", value_parser = url)]
    pub url: Option<String>,
    /// How many stations.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub count: u32,
    /// What kind of station: `standard`, `amina`, `bender`, `ensto`, or a YAML file (--list tells more).
    #[arg(long, value_name = "NAME|FILE", default_value = "standard", value_parser = profile)]
    pub vendor: Arc<StationProfile>,
    /// A habit or fault that all of them show, such as `max-keys:4`; may be given more than once (--list names them).
    #[arg(long, value_name = "FAULT", value_parser = fault)]
    pub fault: Vec<Fault>,
    /// What serial numbers, jitter and chance come from: the same seed makes the same stations.
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub seed: u64,
    /// What identities begin with; the station's number follows: cp-0001, cp-0002, …
    #[arg(long, value_name = "PREFIX", default_value = "cp-")]
    pub identity_prefix: String,
    /// The password that all of them send (HTTP Basic). Others on this machine can see it; see --password-file.
    #[arg(long, value_name = "PASSWORD", conflicts_with = "password_file")]
    pub password: Option<String>,
    /// A file that holds the password; a line end at its end does not count.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// A PEM file with the root certificates to trust with wss://; without it, those that browsers trust.
    #[arg(long, value_name = "FILE")]
    pub root: Option<PathBuf>,
    /// How many connect in a second at first, as `50` or `50/s`; without it, all at once.
    #[arg(long, value_name = "N/s", value_parser = rate)]
    pub connect_rate: Option<f64>,
    /// Boots, reconnects and faults take milliseconds rather than seconds.
    #[arg(long)]
    pub quick: bool,
    /// Leaves out heartbeats, pings and time limits, so that thousands of stations fit.
    #[arg(long)]
    pub lean: bool,
    /// Lists the kinds of stations and the faults, and ends.
    #[arg(long)]
    pub list: bool,
}

/// How often is looked whether there is something to tell.
const PROGRESS: Duration = Duration::from_secs(2);

/// Runs the stations until Ctrl-C or SIGTERM.
pub async fn simulate(args: SimulateArgs) -> anyhow::Result<ExitCode> {
    if args.list {
        tell(&list());
        return Ok(ExitCode::SUCCESS);
    }
    let settings = fleet_settings(args)?;
    // Both before the first station, so that a signal finds somebody who listens.
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let profile = &settings.station.profile;
    tell(&format!(
        "starting {} stations ({} {}, seed {}) for {}\n",
        settings.count, profile.vendor, profile.model, settings.station.seed, settings.station.url
    ));
    let fleet = Fleet::start(&settings);
    let mut told = None;
    let mut progress = tokio::time::interval(PROGRESS);
    loop {
        // All arms are cancel-safe.
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = progress.tick() => {}
        }
        let totals = fleet.totals();
        let news = worth_telling(&totals);
        if told.as_ref() != Some(&news) {
            tell(&progress_line(&totals));
            told = Some(news);
        }
    }
    let last = progress_line(&fleet.totals());
    fleet.stop().await;
    tell(&format!("stopped: {last}"));
    Ok(ExitCode::SUCCESS)
}

fn fleet_settings(args: SimulateArgs) -> anyhow::Result<FleetSettings> {
    let password = match (&args.password, &args.password_file) {
        (Some(password), _) => Some(Password::from(password.as_str())),
        (None, Some(file)) => {
            let mut bytes = std::fs::read(file)
                .with_context(|| format!("failed to read the password file {file:?}"))?;
            while bytes
                .last()
                .is_some_and(|last| matches!(last, b'\n' | b'\r'))
            {
                bytes.pop();
            }
            Some(Password::new(bytes))
        }
        (None, None) => None,
    };
    let trust = args
        .root
        .as_deref()
        .map(Trust::file)
        .transpose()?
        .unwrap_or_default();
    let station = StationSettings {
        password,
        profile: args.vendor,
        faults: args.fault,
        seed: args.seed,
        pace: if args.quick { Pace::QUICK } else { Pace::FIELD },
        trust,
        lean: args.lean,
        ..StationSettings::new(args.url.unwrap_or_default(), args.identity_prefix)
    };
    Ok(FleetSettings {
        station,
        count: args.count as usize,
        connect_rate: args.connect_rate,
    })
}

/// What a line is printed for: anything but one more failed attempt for the same reason.
fn worth_telling(totals: &Totals) -> Totals {
    Totals {
        refused: totals.refused.min(1),
        ..totals.clone()
    }
}

fn progress_line(totals: &Totals) -> String {
    let mut line = format!(
        "connected {}/{}, accepted {}, pending {}, boots {}",
        totals.connected, totals.stations, totals.accepted, totals.pending, totals.boots
    );
    let calls: Vec<String> = totals
        .calls
        .iter()
        .map(|(action, count)| format!("{action} {count}"))
        .collect();
    if !calls.is_empty() {
        line.push_str(&format!(", calls: {}", calls.join(", ")));
    }
    if totals.violations > 0 {
        line.push_str(&format!(
            ", breaches of OCPP by the CSMS {}",
            totals.violations
        ));
    }
    if let Some(refusal) = totals.last_refusal.as_ref().filter(|_| totals.refused > 0) {
        line.push_str(&format!(
            ", failed attempts to connect {} (last: {refusal})",
            totals.refused
        ));
    }
    line.push('\n');
    line
}

/// Writes to stdout; a reader that went away is no error.
fn tell(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .ok();
}

fn list() -> String {
    let mut text = String::from("Kinds of stations (--vendor):\n");
    for name in built_in_names() {
        if let Some(profile) = StationProfile::built_in(name) {
            text.push_str(&format!(
                "  {name:<40} {} {}, {} keys\n",
                profile.vendor,
                profile.model,
                profile.keys().len()
            ));
        }
    }
    text.push_str("\nHabits and faults (--fault):\n");
    for &kind in FaultKind::ALL {
        text.push_str(&format!(
            "  {:<40} {}\n",
            fault_usage(kind),
            kind.description()
        ));
    }
    text
}

fn profile(name: &str) -> Result<Arc<StationProfile>, String> {
    StationProfile::named(name).map_err(|error| with_causes(&error))
}

fn fault(text: &str) -> Result<Fault, String> {
    text.parse().map_err(|error| with_causes(&error))
}

fn url(text: &str) -> Result<String, String> {
    check_url(text)
        .map(|()| text.to_owned())
        .map_err(|error| with_causes(&error))
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches("/s").parse::<f64>().ok();
    number
        .filter(|rate| rate.is_finite() && *rate > 0.0)
        .ok_or_else(|| "give a number above 0, as 50 or 50/s".to_owned())
}

/// An error with its causes on one line, as clap shows it.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        simulate: SimulateArgs,
    }

    fn parse(args: &[&str]) -> Result<SimulateArgs, String> {
        let line = ["simulate"].iter().chain(args);
        Line::try_parse_from(line)
            .map(|line| line.simulate)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn flags_become_a_fleet() {
        let args = parse(&[
            "--url",
            "ws://127.0.0.1:9000/ocpp",
            "--count",
            "20",
            "--vendor",
            "amina",
            "--fault",
            "max-keys-4",
            "--fault",
            "contested:HeartbeatInterval=60",
            "--seed",
            "7",
            "--connect-rate",
            "50/s",
            "--quick",
        ])
        .unwrap();
        let settings = fleet_settings(args).unwrap();
        assert_eq!((settings.count, settings.connect_rate), (20, Some(50.0)));
        assert_eq!(settings.station.profile.vendor, "Amina");
        assert_eq!(
            (settings.station.faults.len(), settings.station.seed),
            (2, 7)
        );
        assert_eq!(settings.station.identity, "cp-");
    }

    #[test]
    fn bad_flags_name_the_choices() {
        let check = |args: &[&str], part: &str| {
            let error = parse(&[&["--url", "ws://a"], args].concat()).unwrap_err();
            assert!(error.contains(part), "{args:?}: {error}");
        };
        check(&["--vendor", "acme"], "give one of standard, amina");
        check(&["--fault", "boolean-cas"], "did you mean boolean-case?");
        check(&["--fault", "drops-on-key"], "is written drops-on-key:KEY");
        check(&["--count", "0"], "1..=100000");
        check(&["--connect-rate", "fast"], "as 50 or 50/s");
        check(&["--seed", "x"], "--seed");
        assert!(
            parse(&["--url", "http://a"])
                .unwrap_err()
                .contains("ws://host:port/path")
        );
        assert!(parse(&[]).unwrap_err().contains("--url"));
    }

    #[test]
    fn one_more_failed_attempt_is_not_worth_a_line() {
        let failed = |refused, why: &str| Totals {
            refused,
            last_refusal: Some(why.to_owned()),
            ..Totals::default()
        };
        assert_eq!(
            worth_telling(&failed(7, "404")),
            worth_telling(&failed(8, "404"))
        );
        assert_ne!(
            worth_telling(&failed(7, "404")),
            worth_telling(&failed(7, "503"))
        );
        assert_ne!(
            worth_telling(&failed(1, "404")),
            worth_telling(&Totals::default())
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let args = parse(&["--url", "ws://a", "--password-file", "no/such/file"]).unwrap();
        assert!(format!("{:#}", fleet_settings(args).unwrap_err()).contains("no/such/file"));
    }

    #[test]
    fn the_list_names_every_kind_and_fault() {
        let list = list();
        assert!(
            list.contains("amina")
                && FaultKind::ALL
                    .iter()
                    .all(|kind| list.contains(kind.description()))
        );
    }
}
