//! How long does it take to plan a station? Prints one line of JSON.
//!
//! `cargo run --release -p stationkeeper-core --example plan_time [ROUNDS]`
//!
//! A station of 40 keys and 3 layers, with the built-in catalogue: all in sync, and with every fourth key differing.
//! Measured is validate + plan, as a reconcile makes them for every station, and resolve + vet, which it makes once for all
//! stations that share their layers and their catalogue; then each step alone.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use jiff::Timestamp;
use stationkeeper_core::catalogue::{Catalogue, StationCatalogue};
use stationkeeper_core::layer::{
    Consent, Layer, Mode, Setting, SettingValue, Standing, WhenRemoved,
};
use stationkeeper_core::memory::Memory;
use stationkeeper_core::observed::{Observed, Reading};
use stationkeeper_core::plan::plan;
use stationkeeper_core::resolve::resolve;
use stationkeeper_core::station::{Activity, Capabilities, Link, Policy, Role, StationFacts};
use stationkeeper_core::validate::{validate, vet};
use stationkeeper_core::words::{ConfigRef, Device, Key};

const KEYS: usize = 40;

/// A vendor whose catalogue has that many keys of plain types.
const VENDOR: &str = "Amina";

/// Rounds that are measured together: short enough to fall between two interruptions.
const BATCH: u32 = 50;

fn main() {
    let rounds: u32 = std::env::args()
        .nth(1)
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(20_000);
    let mut out = std::io::stdout().lock();
    // A reader that went away has had what it wanted.
    let _ = std::io::Write::write_all(&mut out, format!("{}\n", document(rounds)).as_bytes());
}

/// What was measured.
pub(crate) fn document(rounds: u32) -> serde_json::Value {
    let device = Device {
        vendor: Some(VENDOR.to_owned()),
        ..Device::default()
    };
    let catalogue = Catalogue::built_in().for_station(&device, None);
    let station = station(device);
    let keys = keys(&catalogue, &station);
    let layers = [
        layer("baseline", 0, keys.iter().take(KEYS)),
        layer("site", 10, keys.iter().take(KEYS).skip(20).take(10)),
        layer("exception", 20, keys.iter().take(3)),
    ];
    let rest = observed(&keys, usize::MAX);
    let drifted = observed(&keys, 4);

    let whole = measure(rounds, &layers, &catalogue, &station, &rest);
    let changing = measure(rounds, &layers, &catalogue, &station, &drifted);
    serde_json::json!({
        "keys": keys.len(),
        "layers": layers.len(),
        "rounds": rounds,
        "microsPerStation": whole.station,
        "microsPerSharedLayers": whole.layers,
        "resolveMicros": whole.resolve,
        "vetMicros": whole.vet,
        "validateMicros": whole.validate,
        "planMicros": whole.plan,
        "changes": changing.changes,
        "microsPerStationWithChanges": changing.station,
    })
}

struct Measured {
    station: f64,
    layers: f64,
    resolve: f64,
    vet: f64,
    validate: f64,
    plan: f64,
    changes: usize,
}

fn measure(
    rounds: u32,
    layers: &[Layer],
    catalogue: &StationCatalogue,
    station: &StationFacts,
    observed: &Observed,
) -> Measured {
    let policy = Policy::default();
    let resolved = resolve(layers, catalogue);
    let vetted = vet(&resolved, catalogue);
    let desired = vetted.for_station(station, observed);
    let memory = plan(
        &desired,
        observed,
        &Memory::default(),
        station,
        &policy,
        Timestamp::UNIX_EPOCH,
    )
    .memory;
    let planned = plan(
        &desired,
        observed,
        &memory,
        station,
        &policy,
        Timestamp::UNIX_EPOCH,
    );
    assert_eq!(planned.keys.len(), KEYS, "every key is planned");
    let of_station = || {
        let desired = vetted.for_station(station, observed);
        black_box(plan(
            &desired,
            observed,
            &memory,
            station,
            &policy,
            Timestamp::UNIX_EPOCH,
        ));
    };
    let of_layers = || drop(black_box(vet(&resolve(layers, catalogue), catalogue)));
    Measured {
        station: micros(rounds, of_station),
        layers: micros(rounds, of_layers),
        resolve: micros(rounds, || drop(black_box(resolve(layers, catalogue)))),
        vet: micros(rounds, || drop(black_box(vet(&resolved, catalogue)))),
        validate: micros(rounds, || {
            drop(black_box(vetted.for_station(station, observed)))
        }),
        plan: micros(rounds, || {
            drop(black_box(plan(
                &desired,
                observed,
                &memory,
                station,
                &policy,
                Timestamp::UNIX_EPOCH,
            )));
        }),
        changes: planned.changes.len(),
    }
}

/// The best batch: what the code takes when nothing else takes the processor.
fn micros(rounds: u32, mut step: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..rounds.div_ceil(BATCH) {
        let started = Instant::now();
        for _ in 0..BATCH {
            step();
        }
        best = best.min(started.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH));
    }
    (best * 100.0).round() / 100.0
}

/// Values to be tried on a key, until one is right for it.
const VALUES: [&str; 8] = [
    "true",
    "30",
    "900",
    "0",
    "text",
    "Energy.Active.Import.Register",
    "0.RST",
    "wss://csms",
];

/// Readable keys of the catalogue, with a value that suits them and breaks no rule.
fn keys(catalogue: &StationCatalogue, station: &StationFacts) -> BTreeMap<Key, &'static str> {
    let suits = |key: &Key, value: &'static str| {
        let layers = [layer("one", 0, [(key, &value)].into_iter())];
        let desired = validate(
            &resolve(&layers, catalogue),
            catalogue,
            station,
            &Observed::default(),
        );
        desired.findings.is_empty()
            && desired
                .settings
                .values()
                .all(|setting| setting.barrier.is_none())
    };
    catalogue
        .definitions()
        .filter(|definition| definition.is_readable())
        .filter_map(|definition| definition.key.clone())
        .filter_map(|key| {
            VALUES
                .into_iter()
                .find(|value| suits(&key, value))
                .map(|value| (key, value))
        })
        .take(KEYS)
        .collect()
}

fn layer<'a>(
    name: &str,
    priority: i32,
    keys: impl Iterator<Item = (&'a Key, &'a &'static str)>,
) -> Layer {
    Layer {
        config: ConfigRef::new("north", name),
        generation: 3,
        priority,
        standing: Standing::Active,
        mode: Mode::Enforce,
        settings: keys
            .map(|(key, value)| Setting {
                key: key.clone(),
                value: SettingValue::Plain((*value).into()),
                mode: None,
            })
            .collect(),
        consent: [Consent::Unknown, Consent::OwnedElsewhere].into(),
        when_removed: WhenRemoved::Retain,
    }
}

/// Every so many keys differ.
fn observed(keys: &BTreeMap<Key, &'static str>, every: usize) -> Observed {
    let readings = keys.iter().enumerate().map(|(number, (key, value))| {
        let shown = match *value {
            value if (number + 1) % every != 0 => value,
            "true" => "false",
            "text" => "other",
            _ => "31",
        };
        (
            key.clone(),
            Reading::Known {
                spelling: key.clone(),
                value: Some(shown.into()),
                readonly: None,
            },
        )
    });
    Observed {
        readings: readings.collect(),
        at_event: 0,
        ended: None,
    }
}

fn station(device: Device) -> StationFacts {
    let profiles = [
        "core",
        "firmwaremanagement",
        "localauthlistmanagement",
        "reservation",
        "smartcharging",
        "remotetrigger",
    ];
    StationFacts {
        namespace: "north".to_owned(),
        name: "cp-1".to_owned(),
        identity: "CP-1".to_owned(),
        labels: BTreeMap::new(),
        device,
        firmware: None,
        role: Role::Standalone,
        profiles: Some(profiles.map(str::to_owned).to_vec()),
        link: Link::Ready,
        authenticated: true,
        activity: Activity::Idle,
        busy_with_firmware: false,
        capabilities: Capabilities {
            read: true,
            write: true,
            reset: false,
            boot_events: true,
            transaction_state: true,
        },
    }
}
