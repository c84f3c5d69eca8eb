//! Keys that a person removed, with `whenRemoved: Restore`.

use jiff::SignedDuration;
use stationkeeper_core::layer::{Consent, WhenRemoved};
use stationkeeper_core::memory::{Answer, KeyMemory, Memory, Original, RemovedMemory, Until};
use stationkeeper_core::observed::Reading;
use stationkeeper_core::plan::Why;
use stationkeeper_core::station::{Activity, Brake};
use stationkeeper_core::words::Key;

use crate::given::*;

/// `Plain` was 1 before our first write, is 2 now, and left every layer so long ago.
fn removed(key: &str, ago: SignedDuration) -> Scene {
    scene(&[]).shows(&[(key, "2")]).remembers(key, |memory| {
        memory.original = Some(Original {
            value: Some("1".to_owned()),
            config: config("base"),
            restore: true,
            consent: Vec::new(),
        });
        memory.removed = Some(RemovedMemory {
            since: noon() - ago,
            deliberate: true,
        });
    })
}

fn long_ago() -> SignedDuration {
    SignedDuration::from_mins(11)
}

fn memory_of(memory: &Memory, key: &str) -> Option<KeyMemory> {
    memory.keys.get(&Key::from(key)).cloned()
}

#[test]
fn a_removed_key_is_written_back_after_ten_minutes() {
    let early = removed("Plain", SignedDuration::from_mins(9)).plan();
    assert!(early.changes.is_empty());
    assert_eq!(
        early.check_again,
        Some(noon() + SignedDuration::from_mins(1))
    );
    let plan = removed("Plain", long_ago()).plan();
    assert_eq!(plan.changes.len(), 1);
    assert_eq!(
        (plan.changes[0].why, plan.changes[0].value.clone()),
        (Why::Restore, plain_value("1"))
    );
    assert!(plan.keys.is_empty(), "it is no longer managed");
}

#[test]
fn it_is_read_first_and_left_alone_if_equal() {
    let unread = removed("Plain", long_ago()).with(|scene| scene.observed.readings.clear());
    let plan = unread.plan();
    assert_eq!(plan.read, vec![Key::from("Plain")]);
    assert!(plan.changes.is_empty());
    let equal = removed("Plain", long_ago())
        .shows(&[("Plain", "01")])
        .plan();
    assert!(equal.changes.is_empty());
    assert_eq!(
        memory_of(&equal.memory, "Plain"),
        None,
        "done, and forgotten"
    );
}

#[test]
fn it_is_forgotten_once_written_but_for_what_it_owes() {
    let written = removed("Boot", long_ago()).remembers("Boot", |key| {
        key.write = Some(wrote(plain_value("1"), Answer::RebootRequired));
        key.owed = Some(owes(plain_value("1"), Until::Boot));
    });
    let plan = written.plan();
    assert!(plan.changes.is_empty());
    let left = memory_of(&plan.memory, "Boot").expect("the debt");
    assert_eq!(
        left,
        KeyMemory {
            owed: Some(owes(plain_value("1"), Until::Boot)),
            ..KeyMemory::default()
        }
    );
    assert!(plan.pending_reset.is_none(), "never a Reset");
    let booted = Scene {
        memory: plan.memory,
        ..written
    }
    .boots();
    assert_eq!(memory_of(&booted.plan().memory, "Boot"), None);
}

#[test]
fn a_removal_that_nobody_meant_is_left_as_it_is() {
    let moved = removed("Plain", long_ago()).remembers("Plain", |key| {
        if let Some(removed) = &mut key.removed {
            removed.deliberate = false;
        }
    });
    let plan = moved.plan();
    assert!(plan.changes.is_empty());
    assert_eq!(memory_of(&plan.memory, "Plain"), None);
}

#[test]
fn an_unmarked_removal_waits_for_the_caller() {
    let unmarked = removed("Plain", long_ago()).remembers("Plain", |key| key.removed = None);
    let plan = unmarked.plan();
    assert!(plan.changes.is_empty());
    assert_eq!(plan.memory.keys, unmarked.memory.keys);
}

#[test]
fn a_key_that_is_declared_again_is_no_longer_removed() {
    let back = removed("Plain", long_ago()).with(|scene| {
        scene.layers = vec![base(&[("Plain", "2")])];
        scene.layers[0].when_removed = WhenRemoved::Restore;
    });
    let memory = memory_of(&back.plan().memory, "Plain").expect("the original");
    assert_eq!(memory.removed, None);
    assert!(memory.original.is_some_and(|original| original.restore));
    let retained = back.with(|scene| scene.layers[0].when_removed = WhenRemoved::Retain);
    let memory = memory_of(&retained.plan().memory, "Plain").expect("the original");
    assert!(
        memory.original.is_some_and(|original| !original.restore),
        "the present spec counts"
    );
}

#[test]
fn what_holds_a_write_holds_a_restore() {
    let holds: [fn(&mut Scene); 2] = [
        |scene| scene.policy.brake = Brake::Report,
        |scene| scene.station.busy_with_firmware = true,
    ];
    for hold in holds {
        let held = removed("Plain", long_ago()).with(hold);
        assert!(held.plan().changes.is_empty());
        assert_eq!(
            held.plan().memory.keys,
            held.memory.keys,
            "and it is not forgotten"
        );
    }
    let busy = removed("Session", long_ago()).with(|scene| scene.station.activity = Activity::Busy);
    assert!(busy.plan().changes.is_empty());
}

#[test]
fn the_same_consent_is_needed() {
    let told = removed("Safety", long_ago()).plan();
    assert!(told.changes.is_empty());
    assert!(
        told.findings
            .iter()
            .any(|finding| finding.rule == "NotRestored"),
        "{:?}",
        told.findings
    );
    let consented = removed("Safety", long_ago()).remembers("Safety", |key| {
        if let Some(original) = &mut key.original {
            original.consent = vec![Consent::Safety];
        }
    });
    assert_eq!(written(&consented.plan()), ["Safety"]);
}

#[test]
fn what_cannot_be_restored_is_told_and_forgotten() {
    let scenes = [
        removed("Plain", long_ago()).reads("Plain", Reading::Unknown),
        removed("Plain", long_ago()).reads("Plain", known_readonly("Plain", "2", true)),
        removed("Plain", long_ago()).remembers("Plain", |key| {
            key.write = Some(wrote(plain_value("1"), Answer::Rejected));
        }),
        removed("Plain", long_ago()).remembers("Plain", |key| {
            let mut write = wrote(plain_value("1"), Answer::NoAnswer);
            write.attempts = 4;
            key.write = Some(write);
        }),
    ];
    for scene in scenes {
        let plan = scene.plan();
        assert!(plan.changes.is_empty());
        assert_eq!(
            plan.findings
                .iter()
                .map(|finding| finding.rule.as_str())
                .collect::<Vec<_>>(),
            ["NotRestored"]
        );
        assert_eq!(memory_of(&plan.memory, "Plain"), None);
    }
}
