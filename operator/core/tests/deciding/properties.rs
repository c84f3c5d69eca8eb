//! The properties of section 12 of the design, over random layers, stations, faults and deaths.

use proptest::prelude::*;
use stationkeeper_core::layer::{Consent, Layer, Mode};
use stationkeeper_core::memory::Memory;
use stationkeeper_core::plan::KeyVerdict;
use stationkeeper_core::state::{Reason, State};

use crate::fake_station::{FakeStation, Fault, Habit, World};
use crate::given::*;

/// Boots after which every habit has shown itself.
const BOOTS: usize = 6;

/// Keys of every sort, with the habits that they may have.
fn habits(key: &'static str) -> BoxedStrategy<Habit> {
    let plain = || {
        prop_oneof![
            6 => Just(Habit::Stores),
            2 => Just(Habit::NeedsBoot { shows_early: true }),
            2 => Just(Habit::NeedsBoot { shows_early: false }),
            1 => Just(Habit::ForgetsAtBoot),
            2 => Just(Habit::Ignores),
            2 => Just(Habit::Rejects),
            1 => Just(Habit::Unsupported),
            1 => Just(Habit::ReadOnly),
            1 => Just(Habit::Absent),
            1 => Just(Habit::Volatile),
        ]
    };
    match key {
        "Password" => Just(Habit::Hidden).boxed(),
        "Limit" => prop_oneof![
            Just(Habit::Stores),
            Just(Habit::Moves("OperatorLimit", "4"))
        ]
        .boxed(),
        "Boot" => prop_oneof![plain(), Just(Habit::QuietlyNeedsBoot)].boxed(),
        _ => plain().boxed(),
    }
}

const KEYS: &[&str] = &[
    "Plain",
    "Other",
    "Boot",
    "Whenever",
    "Limit",
    "OperatorLimit",
    "Session",
    "Url",
    "Mystery",
    "Password",
    "Fixed",
];

fn stations() -> impl Strategy<Value = FakeStation> {
    let keys: Vec<_> = KEYS.iter().map(|&key| (0..4_u8, habits(key))).collect();
    keys.prop_map(|keys| {
        KEYS.iter()
            .zip(keys)
            .fold(FakeStation::default(), |station, (key, (value, habit))| {
                station.with(key, &value.to_string(), habit)
            })
    })
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let fault = prop_oneof![
        Just(Fault::AnswerLost),
        Just(Fault::CallLost),
        Just(Fault::Error)
    ];
    prop::collection::vec(fault, 0..2)
}

fn layers() -> impl Strategy<Value = Vec<Layer>> {
    let settings = prop::collection::btree_map(0..KEYS.len(), 0..4_u8, 1..KEYS.len());
    let one = (0..3_i32, settings, prop::bool::weighted(0.8));
    prop::collection::vec(one, 1..4).prop_map(|layers| {
        let made = layers
            .into_iter()
            .enumerate()
            .map(|(number, (priority, settings, enforce))| {
                let all = [
                    Consent::ConnectionCritical,
                    Consent::NoFallback,
                    Consent::Unknown,
                ];
                let mut layer = consenting(layer(&format!("layer-{number}"), priority, &[]), &all);
                layer.mode = if enforce { Mode::Enforce } else { Mode::Report };
                layer.settings = settings
                    .into_iter()
                    .map(|(key, value)| match KEYS[key] {
                        "Password" => secret("Password", &format!("v{value}")),
                        name => plain(name, &value.to_string()),
                    })
                    .collect();
                layer
            });
        made.collect()
    })
}

/// What the station holds.
type Values = Vec<(String, String)>;

/// What is told of its keys.
type States = Vec<(String, State, Reason)>;

/// What must not depend on how often the process died: attempts and times may.
fn place(world: &World) -> (Values, States) {
    let values = world
        .values()
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let states = world
        .verdicts()
        .into_iter()
        .map(|v| (v.key.to_string(), v.state, v.reason))
        .collect();
    (values, states)
}

fn world(layers: &[Layer], station: FakeStation) -> World {
    World::new(scene(layers), station)
}

fn unharmed(world: &World) -> Result<(), TestCaseError> {
    prop_assert!(world.station.harm.is_empty(), "{:?}", world.station.harm);
    Ok(())
}

fn at_rest(world: &mut World) -> Result<(), TestCaseError> {
    let before = (world.station.writes, world.published.clone());
    prop_assert!(
        !world.pass().unwrap_or(true),
        "there is something to do at rest"
    );
    prop_assert_eq!(
        before,
        (world.station.writes, world.published.clone()),
        "a pass at rest changes nothing"
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn planning_twice_changes_nothing(layers in layers(), station in stations(), boots in 0..3_usize) {
        let mut world = world(&layers, station);
        for boot in 0..=boots {
            if boot > 0 { world.boot(); }
            world.run();
            let once = world.scene.plan();
            world.scene.memory = once.memory.clone();
            prop_assert_eq!(&world.scene.plan(), &once);
            at_rest(&mut world)?;
        }
        unharmed(&world)?;
    }

    #[test]
    fn cutting_execution_anywhere_ends_in_the_same_place(
        layers in layers(), station in stations(), cut in 0..60_usize,
    ) {
        let mut whole = world(&layers, station.clone());
        whole.run();
        let mut torn = world(&layers, station);
        torn.cut_after = Some(cut);
        torn.run();
        torn.cut_after = None;
        // A RebootRequired that died with the process cannot be known of before the boot; give both time to settle.
        for _ in 0..BOOTS {
            for world in [&mut whole, &mut torn] {
                world.boot();
                world.run();
            }
        }
        unharmed(&torn)?;
        prop_assert_eq!(place(&torn), place(&whole));
    }

    #[test]
    fn faults_of_calls_do_no_harm_and_end_in_the_same_place(
        layers in layers(), station in stations(), faults in faults(),
    ) {
        let mut whole = world(&layers, station.clone());
        whole.run();
        let mut hurt = world(&layers, FakeStation { faults, ..station });
        hurt.run();
        // An unanswered write that may need a boot waits for one, and then for its own.
        for _ in 0..BOOTS {
            for world in [&mut whole, &mut hurt] {
                world.boot();
                world.run();
            }
        }
        unharmed(&hurt)?;
        prop_assert_eq!(hurt.values(), whole.values());
    }

    #[test]
    fn the_order_of_layers_and_settings_does_not_matter(
        layers in layers(), station in stations(), seed in any::<u64>(),
    ) {
        let mut shuffled = layers.clone();
        let turn = usize::try_from(seed % 5).unwrap_or(0);
        let length = shuffled.len();
        shuffled.rotate_left(turn % length);
        for layer in &mut shuffled {
            layer.settings.reverse();
        }
        let mut one = world(&layers, station.clone());
        let mut other = world(&shuffled, station);
        prop_assert_eq!(one.scene.plan(), other.scene.plan());
        one.run();
        other.run();
        prop_assert_eq!(one.scene.plan(), other.scene.plan());
        prop_assert_eq!(one.station.writes, other.station.writes);
        unharmed(&one)?;
    }

    #[test]
    fn others_who_write_are_noticed_and_nothing_panics(
        layers in layers(), station in stations(), meddling in prop::collection::vec((0..KEYS.len(), 0..4_u8, any::<bool>()), 0..12),
    ) {
        let mut world = world(&layers, station);
        world.run();
        for (key, value, boot) in meddling {
            world.station.set(KEYS[key], &value.to_string());
            if boot { world.boot(); } else { world.scene.observed = Default::default(); }
            world.run();
            at_rest(&mut world)?;
        }
        unharmed(&world)?;
    }

    #[test]
    fn memory_survives_its_text(layers in layers(), station in stations()) {
        let mut world = world(&layers, station);
        world.run();
        let text = serde_json::to_string(&world.published).expect("memory is plain data");
        let back: Memory = serde_json::from_str(&text).expect("what was written can be read");
        prop_assert_eq!(back, world.published);
    }
}

#[test]
fn a_station_at_rest_with_forty_keys_is_remembered_in_little() {
    let names: Vec<String> = (0..40).map(|number| format!("Key{number}")).collect();
    let settings: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let layers = [consenting(base(&settings), &[Consent::Unknown])];
    let station = names.iter().fold(FakeStation::default(), |station, name| {
        station.with(name, "0", Habit::Stores)
    });
    let mut world = World::new(scene(&layers), station);
    world.run();
    assert!(
        world
            .verdicts()
            .iter()
            .all(|verdict: &KeyVerdict| verdict.state == State::InSync)
    );
    assert!(
        world.published.keys.is_empty(),
        "{:?}",
        world.published.keys
    );
    let text = serde_json::to_string(&world.published).expect("memory is plain data");
    assert!(text.len() < 600, "{} bytes: {text}", text.len());
}
