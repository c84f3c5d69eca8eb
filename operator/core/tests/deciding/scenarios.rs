//! Whole stories of one station, told as the operator tells them. Refresh the goldens with `INSTA_UPDATE=always`.

use std::fmt::Write;

use jiff::SignedDuration;
use stationkeeper_core::layer::{Consent, Layer};
use stationkeeper_core::observed::Observed;
use stationkeeper_core::plan::KeyVerdict;
use stationkeeper_core::station::Activity;
use stationkeeper_core::status::transitions;

use crate::fake_station::{FakeStation, Habit, World};
use crate::given::*;

/// A story: what happens, and what is told of it.
struct Story {
    world: World,
    told: Vec<KeyVerdict>,
    text: String,
}

impl Story {
    fn of(layers: &[Layer], station: FakeStation) -> Self {
        Self {
            world: World::new(scene(layers), station),
            told: Vec::new(),
            text: String::new(),
        }
    }

    /// Something happens; then the operator works until it has nothing to do, and what changed is told.
    fn then(mut self, what: &str, happens: impl FnOnce(&mut World)) -> Self {
        let writes = self.world.station.writes;
        happens(&mut self.world);
        self.world.run();
        let verdicts = self.world.verdicts();
        writeln!(
            self.text,
            "{what} ({} writes)",
            self.world.station.writes - writes
        )
        .expect("text takes it");
        for change in transitions(&self.told, &verdicts) {
            let from = change
                .from
                .map_or_else(|| "-".to_owned(), |from| format!("{from:?}"));
            writeln!(
                self.text,
                "  {}: {from} -> {:?} · {:?}",
                change.key, change.to, change.reason
            )
            .and_then(|()| writeln!(self.text, "      {}", change.message))
            .expect("text takes it");
        }
        self.told = verdicts;
        self
    }

    fn end(self) -> String {
        assert!(
            self.world.station.harm.is_empty(),
            "{:?}",
            self.world.station.harm
        );
        self.text
    }
}

fn changes_outside(key: &'static str, value: &'static str) -> impl FnOnce(&mut World) {
    move |world| {
        world.scene.now += SignedDuration::from_mins(5);
        world.station.set(key, value);
        world.scene.observed = Observed::default();
    }
}

#[test]
fn a_fleet_of_habits_converges_or_says_why() {
    let settings = [
        ("Plain", "2"),
        ("Other", "2"),
        ("Boot", "2"),
        ("Whenever", "2"),
        ("Fixed", "2"),
        ("Flag", "true"),
        ("Session", "2"),
        ("Limit", "2"),
        ("Safety", "2"),
    ];
    let mut layer = base(&settings);
    layer.settings.push(secret("Password", "v1"));
    let station = FakeStation::default()
        .with("Plain", "1", Habit::Stores)
        .with("Other", "1", Habit::Rejects)
        .with("Boot", "1", Habit::NeedsBoot { shows_early: true })
        .with("Whenever", "1", Habit::Ignores)
        .with("Fixed", "1", Habit::ReadOnly)
        .with("Flag", "1", Habit::Stores)
        .with("Session", "1", Habit::Absent)
        .with("Limit", "1", Habit::Ignores)
        .with("Safety", "1", Habit::Stores)
        .with("Password", "", Habit::Hidden);
    let text = Story::of(&[layer], station)
        .then("the station connects", |_| {})
        .then("it boots", World::boot)
        .then("it boots again", World::boot)
        .then("the operator is restarted", World::restart)
        .end();
    insta::assert_snapshot!(text);
}

#[test]
fn two_writers_are_noticed_and_we_stop() {
    let station = FakeStation::default().with("Plain", "1", Habit::Stores);
    let text = Story::of(&[base(&[("Plain", "2")])], station)
        .then("the station connects", |_| {})
        .then("somebody writes 7", changes_outside("Plain", "7"))
        .then("somebody writes 7 again", changes_outside("Plain", "7"))
        .then("and again", changes_outside("Plain", "7"))
        .then("and gives up", changes_outside("Plain", "2"))
        .then("but not for long", changes_outside("Plain", "7"))
        .then("the config changes", |world| {
            world.scene.layers[0].generation = 2
        })
        .end();
    insta::assert_snapshot!(text);
}

#[test]
fn a_value_that_does_not_survive_boots_is_given_up() {
    let station = FakeStation::default()
        .with("Plain", "1", Habit::Volatile)
        .with("Boot", "1", Habit::ForgetsAtBoot);
    let text = Story::of(&[base(&[("Plain", "2"), ("Boot", "2")])], station)
        .then("the station connects", |_| {})
        .then("it boots", World::boot)
        .then("it boots again", World::boot)
        .then("and again", World::boot)
        .then("a person resumes", |world| {
            world.scene.policy.resumed = Some("try again".to_owned())
        })
        .end();
    insta::assert_snapshot!(text);
}

#[test]
fn a_write_of_ours_that_moves_another_key_is_named() {
    let station = FakeStation::default()
        .with("Limit", "1", Habit::Moves("Plain", "9"))
        .with("Plain", "2", Habit::Stores)
        .with("OperatorLimit", "1", Habit::Stores);
    let layers = [base(&[
        ("Limit", "1"),
        ("Plain", "2"),
        ("OperatorLimit", "1"),
    ])];
    let text = Story::of(&layers, station)
        .then("the station connects", |_| {})
        .then("the limit is raised", |world| {
            world.scene.layers = vec![base(&[
                ("Limit", "3"),
                ("Plain", "2"),
                ("OperatorLimit", "3"),
            ])];
        })
        .then("it boots", World::boot)
        .end();
    insta::assert_snapshot!(text);
}

#[test]
fn keys_that_can_cut_the_link_are_written_one_by_one_at_the_end() {
    let consent = [Consent::ConnectionCritical, Consent::NoFallback];
    let layer = consenting(
        base(&[("Url", "b"), ("Plain", "2"), ("BootUrl", "b")]),
        &consent,
    );
    let station = FakeStation::default()
        .with("Url", "a", Habit::Stores)
        .with("BootUrl", "a", Habit::Stores)
        .with("Plain", "1", Habit::Stores);
    let text = Story::of(&[layer], station)
        .then("the station connects", |_| {})
        .end();
    insta::assert_snapshot!(text);
}

#[test]
fn a_station_that_reboots_on_write_is_put_in_no_loop_and_cuts_nobody_off() {
    let station = FakeStation::default()
        .with("Plain", "1", Habit::Reboots { keeps: true })
        .with("Other", "1", Habit::Reboots { keeps: false })
        .with("Limit", "1", Habit::Stores);
    let settings = |plain| base(&[("Plain", plain), ("Other", "2"), ("Limit", plain)]);
    let text = Story::of(&[settings("2")], station)
        .then("the station connects", |_| {})
        .then("the config changes while a driver charges", |world| {
            world.scene.now += SignedDuration::from_mins(5);
            world.scene.layers = vec![settings("3")];
            world.scene.station.activity = Activity::Busy;
        })
        .then("the driver leaves", |world| {
            world.scene.station.activity = Activity::Idle;
        })
        .then(
            "nobody knows who is there, and the config changes",
            |world| {
                world.scene.now += SignedDuration::from_mins(5);
                world.scene.layers = vec![settings("4")];
                world.scene.station.activity = Activity::Unknown;
            },
        )
        .end();
    insta::assert_snapshot!(text);
}
