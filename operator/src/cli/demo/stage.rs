//! The stage: which stations there are, what habits they have, and what happens to them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use stationkeeper_core::state::{Reason, State};
use stationkeeper_simulator::{
    Access, Fault, Fleet, KeyDefinition, Kind, Pace, Password, Station, StationProfile,
    StationSettings,
};

use super::Awaited::{self, Is, Stale, Was};

/// The manifests, so that the demo runs wherever the binary is.
const MANIFESTS: [(&str, &str); 3] = [
    (
        "configs.yaml",
        include_str!("../../../../examples/demo/configs.yaml"),
    ),
    (
        "secrets.yaml",
        include_str!("../../../../examples/demo/secrets.yaml"),
    ),
    (
        "stations.yaml",
        include_str!("../../../../examples/demo/stations.yaml"),
    ),
];

/// Writes the manifests into a folder, as a checkout of a GitOps repository would have them.
pub(super) fn write_manifests(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    MANIFESTS
        .iter()
        .try_for_each(|(name, text)| std::fs::write(folder.join(name), text))
}

/// One station of the cast.
struct Role {
    identity: &'static str,
    password: Option<&'static str>,
    kind: &'static str,
    faults: &'static [&'static str],
    changes: fn(StationProfile) -> StationProfile,
}

fn as_delivered(profile: StationProfile) -> StationProfile {
    profile
}

/// | station | its habit |
/// |---|---|
/// | harbour-1 | none: it does as it is told |
/// | harbour-2 | none; somebody will change a key on site |
/// | harbour-3 | a home energy controller writes its meter interval back |
/// | depot-1 | a new clock-aligned interval takes effect after a boot |
/// | depot-2 | has one connector, where two are declared; knows no WebSocketPingInterval |
/// | depot-3 | rejects meter intervals below 100 s; spells booleans its own way |
/// | amina-1 | Amina's keys |
/// | amina-2 | the same; accepts a connection time-out and ignores it; reorders lists |
/// | workshop-1 | shows no password, as it should |
/// | workshop-2 | will be unplugged |
/// | bender-1 | Bender's keys: a limit waits for a boot, the operator's limit within it does not |
/// | ensto-1 | Ensto's keys: one in a request, shows switches by name, knows three measurands |
const CAST: [Role; 12] = [
    Role {
        identity: "DEMO-HARBOUR-1",
        password: None,
        kind: "standard",
        faults: &[],
        changes: as_delivered,
    },
    Role {
        identity: "DEMO-HARBOUR-2",
        password: None,
        kind: "standard",
        faults: &["number-formats"],
        changes: as_delivered,
    },
    Role {
        identity: "DEMO-HARBOUR-3",
        password: None,
        kind: "standard",
        faults: &["contested:MeterValueSampleInterval=10"],
        changes: as_delivered,
    },
    Role {
        identity: "DEMO-DEPOT-1",
        password: None,
        kind: "standard",
        faults: &[
            "needs-reset:ClockAlignedDataInterval",
            "shows-old-value-before-reset",
        ],
        changes: as_delivered,
    },
    Role {
        identity: "DEMO-DEPOT-2",
        password: None,
        kind: "standard",
        faults: &[],
        changes: |profile| {
            let mut connectors = key("NumberOfConnectors", "1");
            connectors.access = Access::ReadOnly;
            profile
                .without_key("WebSocketPingInterval")
                .with_key(connectors)
        },
    },
    Role {
        identity: "DEMO-DEPOT-3",
        password: None,
        kind: "standard",
        faults: &["boolean-title", "max-keys:4"],
        changes: |profile| {
            let mut interval = key("MeterValueSampleInterval", "600");
            interval.kind = Kind::Integer;
            interval.min = Some(100);
            profile.with_key(interval)
        },
    },
    Role {
        identity: "DEMO-AMINA-1",
        password: Some("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"),
        kind: "amina",
        faults: &[],
        changes: as_delivered,
    },
    Role {
        identity: "DEMO-AMINA-2",
        password: Some("b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"),
        kind: "amina",
        faults: &["list-reordering", "accepts-and-ignores:ConnectionTimeOut"],
        changes: as_delivered,
    },
    Role {
        identity: "DEMO-WORKSHOP-1",
        password: Some("000102030405060708090a0b0c0d0e0f10111213"),
        kind: "standard",
        faults: &[],
        changes: with_wifi,
    },
    Role {
        identity: "DEMO-WORKSHOP-2",
        password: Some("131211100f0e0d0c0b0a09080706050403020100"),
        kind: "standard",
        faults: &[],
        changes: with_wifi,
    },
    Role {
        identity: "DEMO-BENDER-1",
        password: None,
        kind: "bender",
        faults: &[],
        changes: as_delivered,
    },
    Role {
        identity: "DEMO-ENSTO-1",
        password: None,
        kind: "ensto",
        faults: &[],
        changes: as_delivered,
    },
];

fn with_wifi(profile: StationProfile) -> StationProfile {
    let mut password = key("WLANPassword", "");
    password.access = Access::WriteOnly;
    profile.with_key(password)
}

fn key(name: &str, value: &str) -> KeyDefinition {
    let mut key = KeyDefinition::default();
    key.key = name.to_owned();
    key.value = Some(value.to_owned());
    key
}

/// How fast the stations go about things: quick enough to watch, slow enough to see.
const PACE: Pace = Pace {
    // Slower than a read-back on a busy machine: else the value would seem to have been accepted and ignored.
    contest: Duration::from_secs(1),
    boot: Duration::from_millis(800),
    boot_retry_longest: Duration::from_secs(5),
    ..Pace::QUICK
};

/// Starts the stations, one after the other.
pub(super) fn fleet(url: &str, seed: u64) -> anyhow::Result<Fleet> {
    let mut stations = Vec::new();
    for (place, role) in CAST.iter().enumerate() {
        let profile = StationProfile::named(role.kind)?;
        let mut settings = StationSettings::new(url, role.identity);
        settings.password = role.password.map(password).transpose()?;
        settings.profile = Arc::new((role.changes)(profile.as_ref().clone()));
        settings.faults = role
            .faults
            .iter()
            .map(|fault| fault.parse::<Fault>())
            .collect::<Result<_, _>>()
            .context("a fault of the cast")?;
        settings.seed = seed;
        settings.pace = PACE;
        settings.start_after = Duration::from_millis(150) * u32::try_from(place).unwrap_or(0);
        stations.push(Station::start(settings));
    }
    Ok(Fleet::of(stations))
}

/// The bytes that a station sends for a password of hexadecimal digits.
fn password(digits: &str) -> anyhow::Result<Password> {
    let bytes: Result<Vec<u8>, _> = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16))
        .collect();
    Ok(Password::new(bytes.context("a password of the cast")?))
}

/// Something happens to stations, and the product is to find out.
pub(super) struct Scene {
    pub(super) title: &'static str,
    pub(super) happens: fn(&Fleet),
    pub(super) awaits: Vec<Awaited>,
}

/// The scenes, in order.
pub(super) fn scenes() -> Vec<Scene> {
    vec![
        Scene {
            title: "The stations connect; what differs is written, one key at a time, and read back",
            happens: |_| {},
            awaits: vec![
                Is("harbour-1", "MeterValueSampleInterval", State::InSync, None),
                Is("harbour-1", "MeterValuesSampledData", State::InSync, None),
                Is(
                    "harbour-1",
                    "DisplayBrightnessAtNight",
                    State::NeedsConsent,
                    None,
                ),
                Is(
                    "depot-1",
                    "ClockAlignedDataInterval",
                    State::ResetPending,
                    None,
                ),
                Is(
                    "amina-2",
                    "ConnectionTimeOut",
                    State::Drifted,
                    Some(Reason::AcceptedNotApplied),
                ),
                Is(
                    "depot-2",
                    "NumberOfConnectors",
                    State::ReadOnlyMismatch,
                    None,
                ),
                Is(
                    "depot-2",
                    "WebSocketPingInterval",
                    State::NotSupported,
                    None,
                ),
                Is("depot-3", "MeterValueSampleInterval", State::Rejected, None),
                Is("workshop-1", "WLANPassword", State::Unverifiable, None),
                Is("workshop-2", "HeartbeatInterval", State::InSync, None),
                Is("harbour-2", "MeterValueSampleInterval", State::InSync, None),
                Is("bender-1", "DlmPhase1Limit", State::ResetPending, None),
                Is("bender-1", "DlmOperatorPhase1Limit", State::InSync, None),
                Is("ensto-1", "LocalPreAuthorize", State::InSync, None),
                Is("ensto-1", "DlmRecalcInterval", State::InSync, None),
                Is(
                    "amina-1",
                    "NetworkProfileConnectionTimeoutSec",
                    State::InSync,
                    None,
                ),
            ],
        },
        Scene {
            title: "Another writer fights over a key of harbour-3: noticed, named, and left alone",
            happens: |_| {},
            awaits: vec![Is(
                "harbour-3",
                "MeterValueSampleInterval",
                State::Contested,
                None,
            )],
        },
        Scene {
            title: "Somebody changes a key of harbour-2 on site: found and mended",
            happens: |fleet| {
                if let Some(station) = fleet.station("DEMO-HARBOUR-2") {
                    station.set_key("MeterValueSampleInterval", "30");
                }
            },
            awaits: vec![
                Was(
                    "harbour-2",
                    "MeterValueSampleInterval",
                    State::Drifted,
                    Some(Reason::ChangedOutside),
                ),
                Is("harbour-2", "MeterValueSampleInterval", State::InSync, None),
            ],
        },
        Scene {
            title: "Power returns at the depot: depot-1 and bender-1 boot, and what waited for that is in effect",
            happens: |fleet| {
                for identity in ["DEMO-DEPOT-1", "DEMO-BENDER-1"] {
                    if let Some(station) = fleet.station(identity) {
                        station.power_cycle();
                    }
                }
            },
            awaits: vec![
                Is("depot-1", "ClockAlignedDataInterval", State::InSync, None),
                Is("bender-1", "DlmPhase1Limit", State::InSync, None),
            ],
        },
        Scene {
            title: "workshop-2 is unplugged: its keys are stale, and that is no drift",
            happens: |fleet| {
                if let Some(station) = fleet.station("DEMO-WORKSHOP-2") {
                    station.disconnect();
                }
            },
            awaits: vec![Stale("workshop-2")],
        },
    ]
}
