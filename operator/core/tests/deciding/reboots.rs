//! Stations that boot by themselves after a write.

use jiff::SignedDuration;
use stationkeeper_core::event::{Connection, End, Event, observe};
use stationkeeper_core::layer::Consent;
use stationkeeper_core::memory::{Answer, Memory, Reboots};
use stationkeeper_core::outcome::Outcome;
use stationkeeper_core::reboot::{MAX_KEYS, Watched};
use stationkeeper_core::state::{Reason, State};
use stationkeeper_core::station::Activity;
use stationkeeper_core::words::{Device, Key};

use crate::given::*;

const LOST: Event = Event::Disconnected { end: End::Station };
const CLOSED: Event = Event::Disconnected { end: End::Us };
const BACK: Event = Event::Connected {
    former_end: Some(End::Station),
    bootstrap: false,
};
const AFTER_US: Event = Event::Connected {
    former_end: Some(End::Us),
    bootstrap: false,
};
const TO_A_NEW_PROCESS: Event = Event::Connected {
    former_end: None,
    bootstrap: false,
};

fn boot(serial: &str, firmware: &str) -> Event {
    Event::Boot {
        device: Device {
            vendor: Some("Maker".to_owned()),
            serial: Some(serial.to_owned()),
            ..Device::default()
        },
        firmware: Some(firmware.to_owned()),
        provoked: false,
        first_on_connection: true,
    }
}

/// Keys after whose writes the station booted, how often, and how soon.
type Seen<'a> = Vec<(&'a str, u32, u32)>;

/// Keys, and how often the station booted after a write of each.
type Boots = &'static [(&'static str, u32)];

/// A station, who watches it, and how many seconds after noon it is.
struct Tale {
    memory: Memory,
    connection: Connection,
    watched: Watched,
    waited_for: bool,
    seconds: i64,
}

fn tale() -> Tale {
    let mut memory = scene(&[]).memory;
    memory.device.serial = Some("1".to_owned());
    Tale {
        memory,
        connection: Connection::default(),
        watched: Watched::default(),
        waited_for: false,
        seconds: 0,
    }
}

impl Tale {
    fn answered(mut self, key: &str, answer: Answer) -> Self {
        let layer = consenting(base(&[(key, "2")]), &[Consent::Unknown]);
        let plan = scene(&[layer]).shows(&[(key, "1")]).plan();
        self.watched.wrote(&Outcome {
            change: plan.changes[0].clone(),
            answer,
            detail: None,
            read_back: None,
            disconnected: false,
            at: noon() + SignedDuration::from_secs(self.seconds),
        });
        self
    }

    fn wrote(self, key: &str) -> Self {
        self.answered(key, Answer::Accepted)
    }

    fn after(mut self, seconds: i64) -> Self {
        self.seconds += seconds;
        self
    }

    /// As the controllers take it in.
    fn then(mut self, events: &[Event]) -> Self {
        let now = noon() + SignedDuration::from_secs(self.seconds);
        for event in events {
            let (memory, meaning) = observe(self.memory, &mut self.connection, event);
            self.memory = memory;
            self.watched.follow(event, now);
            if meaning.new_device || meaning.firmware_changed {
                self.watched = Watched::default();
            } else if meaning.boot_proven {
                self.memory = self.watched.booted(self.memory, self.waited_for, now);
            }
        }
        self.memory = self.watched.passed(self.memory, now);
        self
    }

    fn boots(self) -> Self {
        self.then(&[LOST, BACK, boot("1", "1.0")])
    }

    fn seen(&self) -> Seen<'_> {
        let seen = self.memory.reboots_on_write.iter();
        seen.map(|(key, reboots)| (key.as_str(), reboots.boots, reboots.seconds))
            .collect()
    }
}

#[test]
fn a_boot_soon_after_an_accepted_write_is_remembered() {
    let written = || tale().wrote("Plain");
    let both = written().after(4).wrote("Other");
    let cases: [(Tale, Seen); 13] = [
        (written().after(14).boots(), vec![("Plain", 1, 14)]),
        (
            both.after(10).boots(),
            vec![("Other", 1, 10), ("Plain", 1, 14)],
        ),
        // The line goes soon; a boot takes its time.
        (
            written()
                .after(14)
                .then(&[LOST])
                .after(200)
                .then(&[BACK, boot("1", "1.0")]),
            vec![("Plain", 1, 14)],
        ),
        (
            tale()
                .answered("Plain", Answer::RebootRequired)
                .after(14)
                .boots(),
            vec![],
        ),
        (
            tale().answered("Plain", Answer::Rejected).after(14).boots(),
            vec![],
        ),
        // What fell over it is for the quarantine.
        (
            tale().answered("Plain", Answer::NoAnswer).after(14).boots(),
            vec![],
        ),
        (written().after(121).boots(), vec![]),
        // A value was owed: somebody reset the station for it.
        (
            Tale {
                waited_for: true,
                ..written().after(14)
            }
            .boots(),
            vec![],
        ),
        // A new line alone is no boot, and the boot that comes with a later one is another story.
        (written().after(14).then(&[LOST, BACK]), vec![]),
        (
            written().after(14).then(&[LOST, BACK]).after(5).boots(),
            vec![],
        ),
        (
            written()
                .after(14)
                .then(&[CLOSED, AFTER_US, boot("1", "1.0")]),
            vec![],
        ),
        (
            written()
                .after(14)
                .then(&[LOST, TO_A_NEW_PROCESS, boot("1", "1.0")]),
            vec![],
        ),
        (
            written().after(14).then(&[LOST, BACK, boot("1", "2.0")]),
            vec![],
        ),
    ];
    for (number, (tale, expect)) in cases.iter().enumerate() {
        assert_eq!(tale.seen(), *expect, "case {number}");
    }
}

#[test]
fn a_write_that_no_boot_follows_clears_its_key() {
    let seen = || tale().wrote("Plain").after(14).boots().after(60);
    assert_eq!(seen().wrote("Plain").after(119).then(&[]).seen().len(), 1);
    assert!(seen().wrote("Plain").after(120).then(&[]).seen().is_empty());
    assert_eq!(seen().wrote("Other").after(120).then(&[]).seen().len(), 1);
    let again = seen().wrote("Plain").after(9).boots();
    assert_eq!(again.seen(), [("Plain", 2, 9)]);
    // A line that went proves neither the one nor the other.
    let flapped = seen().wrote("Plain").after(9).then(&[LOST, BACK]);
    assert_eq!(flapped.after(500).then(&[]).seen(), [("Plain", 1, 14)]);
    // Somebody wants to be told when it is cleared.
    let watching = seen().wrote("Plain").wrote("Other");
    assert_eq!(
        watching.watched.due(&watching.memory),
        Some(noon() + SignedDuration::from_secs(14 + 60 + 120))
    );
    let nothing = tale().wrote("Plain");
    assert_eq!(nothing.watched.due(&nothing.memory), None);
}

#[test]
fn other_firmware_another_device_and_a_person_clear_all() {
    let seen = || tale().wrote("Plain").after(14).boots().after(60);
    for boot in [boot("1", "2.0"), boot("2", "1.0")] {
        assert!(seen().then(&[LOST, BACK, boot]).seen().is_empty());
    }
    let resumed = rebooting(&[("Plain", 2)], Activity::Unknown)
        .with(|scene| scene.policy.resumed = Some("it was a power cut".to_owned()));
    let plan = resumed.plan();
    assert_eq!(written(&plan), ["Other", "Plain"]);
    assert!(plan.memory.reboots_on_write.is_empty() && plan.findings.is_empty());
}

#[test]
fn memory_of_reboots_is_bounded_and_keeps_what_is_most_certain() {
    let mut tale = tale().wrote("Plain").after(5).boots();
    tale = tale.after(60);
    for number in 0..20 {
        tale = tale.wrote(&format!("Key{number:02}"));
    }
    let seen = tale.wrote("Plain").after(5).boots();
    assert_eq!(seen.seen().len(), MAX_KEYS);
    assert!(seen.seen().contains(&("Plain", 2, 5)), "{:?}", seen.seen());
}

/// Two keys differ, and so many boots came after writes of some.
fn rebooting(boots: &[(&str, u32)], activity: Activity) -> Scene {
    let mut scene =
        scene(&[base(&[("Plain", "2"), ("Other", "2")])]).shows(&[("Plain", "1"), ("Other", "1")]);
    scene.station.activity = activity;
    for &(key, boots) in boots {
        let seconds = 14;
        let reboots = Reboots { boots, seconds };
        scene
            .memory
            .reboots_on_write
            .insert(Key::from(key), reboots);
    }
    scene
}

#[test]
fn what_a_write_waits_for_depends_on_how_often_the_station_booted_after_one() {
    use Activity::{Busy, Idle, Unknown};
    let cases: [(Boots, Activity, &[&str]); 9] = [
        (&[], Busy, &["Other", "Plain"]),
        (&[("Plain", 1)], Idle, &["Other", "Plain"]),
        // Once may be chance: it holds nothing for ever, and cuts nobody off.
        (&[("Plain", 1)], Unknown, &["Other", "Plain"]),
        (&[("Plain", 1)], Busy, &[]),
        // Twice is none: as the catalogue's quirk has it, unknown is busy.
        (&[("Plain", 2)], Idle, &["Other", "Plain"]),
        (&[("Plain", 2)], Unknown, &["Other"]),
        (&[("Plain", 2)], Busy, &[]),
        (&[("Plain", 2), ("Other", 3)], Unknown, &[]),
        (&[("Gone", 2)], Unknown, &["Other", "Plain"]),
    ];
    for (boots, activity, expect) in cases {
        let plan = rebooting(boots, activity).plan();
        assert_eq!(written(&plan), expect, "{boots:?} {activity:?}");
        for verdict in &plan.keys {
            let held = !expect.contains(&verdict.key.as_str());
            let reason = if held { Reason::Busy } else { Reason::ToWrite };
            assert_eq!(verdict.reason, reason, "{}", verdict.message);
        }
    }
}

#[test]
fn a_finding_names_the_key_the_time_between_and_the_way_out() {
    for boots in [1, 2] {
        let plan = rebooting(&[("Plain", boots)], Activity::Idle).plan();
        let [finding] = plan.findings.as_slice() else {
            panic!("{:?}", plan.findings);
        };
        assert_eq!(finding.rule, "RebootsOnWrite");
        assert_eq!(finding.key, Some(Key::from("Plain")));
        for part in ["Plain", "14 s", "by itself", "stationkeeper.dev/resume"] {
            assert!(finding.message.contains(part), "{}", finding.message);
        }
    }
}

#[test]
fn a_station_that_reboots_and_keeps_nothing_is_written_to_twice_and_left_alone() {
    let vain = rebooting(&[], Activity::Idle)
        .remembers("Plain", |key| {
            let mut write = wrote(plain_value("2"), Answer::Accepted);
            write.cycles = 1;
            key.write = Some(write);
        })
        .boots()
        .shows(&[("Plain", "1"), ("Other", "2")]);
    assert_eq!(vain.verdict("Plain").reason, Reason::AcceptedNotApplied);
    let known = vain.with(|scene| {
        let (boots, seconds) = (2, 14);
        let reboots = Reboots { boots, seconds };
        scene
            .memory
            .reboots_on_write
            .insert(Key::from("Plain"), reboots);
    });
    assert_eq!(known.verdict("Plain").state, State::Failed);
}
