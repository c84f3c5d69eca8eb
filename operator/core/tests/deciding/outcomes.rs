//! What became of writes, as memory keeps it.

use jiff::SignedDuration;
use stationkeeper_core::layer::WhenRemoved;
use stationkeeper_core::memory::{Answer, KeyMemory, Memory, Until};
use stationkeeper_core::observed::Reading;
use stationkeeper_core::outcome::{Outcome, intend, record, record_read_fall, withdraw};
use stationkeeper_core::plan::{Change, Plan};
use stationkeeper_core::words::Key;

use crate::given::*;

fn change_of(scene: &Scene) -> (Memory, Change) {
    let plan = scene.plan();
    (
        plan.memory,
        plan.changes
            .into_iter()
            .next()
            .expect("something is written"),
    )
}

fn differing(key: &str) -> Scene {
    scene(&[base(&[(key, "2")])]).shows(&[(key, "1")])
}

fn outcome(change: &Change, answer: Answer) -> Outcome {
    Outcome {
        change: change.clone(),
        answer,
        detail: None,
        read_back: None,
        disconnected: false,
        at: noon(),
    }
}

/// Memory of the key after one write with this answer.
fn after(scene: &Scene, answer: Answer) -> KeyMemory {
    let (memory, change) = change_of(scene);
    let memory = record(
        intend(memory, std::slice::from_ref(&change), noon()),
        &outcome(&change, answer),
    );
    memory.keys[&change.key].clone()
}

#[test]
fn an_intent_is_on_record_before_the_frame_leaves() {
    let (before, change) = change_of(&differing("Plain"));
    let memory = intend(before.clone(), std::slice::from_ref(&change), noon());
    let write = memory.keys[&change.key].write.clone().expect("intended");
    assert_eq!(write.answer, Answer::Intended);
    assert_eq!((write.attempts, write.before.as_deref()), (1, Some("1")));
    assert_eq!(write.since, before.event + 1);
}

/// A process makes its plan, records the intent, and ends; the next one reads the station again.
fn ends_within_a_pass(scene: &mut Scene) -> Vec<Change> {
    let Plan {
        memory, changes, ..
    } = scene.plan();
    scene.memory = intend(memory, &changes, noon());
    scene.observed.at_event = scene.memory.event;
    changes
}

fn attempts(scene: &Scene, key: &Key) -> u32 {
    let write = scene.memory.keys[key].write.as_ref();
    write.expect("intended").attempts
}

#[test]
fn a_process_that_ends_within_a_pass_uses_up_an_attempt_of_the_write_under_way_alone() {
    let names = ["Other", "Plain", "Whenever"];
    let mut scene =
        scene(&[base(&names.map(|key| (key, "2")))]).shows(&names.map(|key| (key, "1")));
    let first = ends_within_a_pass(&mut scene)[0].key.clone();
    let again = ends_within_a_pass(&mut scene);
    assert_eq!(again.len(), names.len(), "once more, and at once");
    for Change { key, .. } in &again {
        let counted = if *key == first { 2 } else { 1 };
        assert_eq!(attempts(&scene, key), counted, "{key}");
    }
    let held = scene.plan().changes;
    assert!(held.iter().all(|change| change.key != first), "it waits");
    assert_eq!(held.len(), names.len() - 1, "the others do not");
}

#[test]
fn a_write_that_cannot_be_read_back_counts_whether_or_not_it_was_sent() {
    let mut layer = base(&[("Plain", "2")]);
    layer.settings.push(secret("Password", "v1"));
    let hidden = Reading::Known {
        spelling: Key::from("Password"),
        value: None,
        readonly: None,
    };
    let mut scene = scene(&[layer])
        .shows(&[("Plain", "1")])
        .reads("Password", hidden);
    for _ in 0..2 {
        assert_eq!(ends_within_a_pass(&mut scene).len(), 2);
    }
    assert_eq!(attempts(&scene, &Key::from("Password")), 2);
}

#[test]
fn what_was_certainly_not_sent_is_withdrawn_and_the_counter_never_goes_back() {
    let (before, change) = change_of(&differing("Plain"));
    let intended = intend(before.clone(), std::slice::from_ref(&change), noon());
    let memory = withdraw(intended.clone(), &before, &[change]);
    assert_eq!(memory.keys, before.keys);
    assert_eq!(memory.event, intended.event);
}

#[test]
fn reboot_required_owes_a_boot_whatever_the_catalogue_says() {
    for key in ["Plain", "Boot", "Reconnect", "Whenever"] {
        let owed = after(&differing(key), Answer::RebootRequired)
            .owed
            .expect("owed");
        assert_eq!(
            (owed.until, owed.value, owed.before.as_deref()),
            (Until::Boot, plain_value("2"), Some("1"))
        );
    }
}

#[test]
fn accepted_or_unanswered_owes_what_the_catalogue_says() {
    for answer in [Answer::Accepted, Answer::NoAnswer] {
        let until = |key| after(&differing(key), answer).owed.map(|owed| owed.until);
        assert_eq!(until("Boot"), Some(Until::Boot));
        assert_eq!(until("Reconnect"), Some(Until::Reconnect));
        assert_eq!(until("Plain"), None);
        assert_eq!(until("Whenever"), None);
    }
}

#[test]
fn a_refusal_owes_nothing() {
    for answer in [Answer::Rejected, Answer::NotSupported, Answer::Error] {
        assert_eq!(after(&differing("Boot"), answer).owed, None);
    }
}

#[test]
fn accepted_never_disproves_a_debt() {
    let owing = differing("Plain").remembers("Plain", |key| {
        key.owed = Some(owes(plain_value("7"), Until::Boot))
    });
    let owed = |answer| {
        after(&owing, answer)
            .owed
            .map(|owed| (owed.value, owed.until))
    };
    assert_eq!(
        owed(Answer::Accepted),
        Some((plain_value("2"), Until::Boot))
    );
    assert_eq!(
        owed(Answer::NoAnswer),
        Some((plain_value("7"), Until::Boot)),
        "nobody knows: ours is written again"
    );
    assert_eq!(
        owed(Answer::Rejected),
        Some((plain_value("7"), Until::Boot))
    );
}

#[test]
fn attempts_count_writes_of_one_value_in_a_row() {
    let again = |value: &str| {
        let scene = differing("Plain").remembers("Plain", |key| {
            let mut write = wrote(plain_value(value), Answer::Accepted);
            write.attempts = 2;
            key.write = Some(write);
        });
        after(&scene, Answer::Accepted)
            .write
            .expect("written")
            .attempts
    };
    assert_eq!(again("2"), 3);
    assert_eq!(again("9"), 1, "another value starts anew");
}

#[test]
fn a_read_back_is_compared_by_type() {
    let (memory, change) = change_of(&scene(&[base(&[("Flag", "true")])]).shows(&[("Flag", "0")]));
    let shown = |value: &str| {
        let mut outcome = outcome(&change, Answer::Accepted);
        outcome.read_back = Some(known("Flag", value));
        let memory = record(
            intend(memory.clone(), std::slice::from_ref(&change), noon()),
            &outcome,
        );
        memory.keys[&change.key]
            .write
            .as_ref()
            .expect("written")
            .shown
    };
    assert!(shown("TRUE"));
    assert!(!shown("0"));
}

#[test]
fn disconnects_on_a_write_are_counted_and_expected_ones_are_not() {
    let (memory, change) = change_of(&differing("Plain"));
    let fall = |memory: Memory, change: &Change, disconnected: bool| {
        let answer = if disconnected {
            Answer::NoAnswer
        } else {
            Answer::Accepted
        };
        let outcome = Outcome {
            disconnected,
            ..outcome(change, answer)
        };
        record(
            intend(memory, std::slice::from_ref(change), noon()),
            &outcome,
        )
    };
    let count = |memory: &Memory| {
        memory.keys[&change.key]
            .falls
            .as_ref()
            .map(|falls| falls.count)
    };
    let once = fall(memory, &change, true);
    let twice = fall(once, &change, true);
    assert_eq!(count(&twice), Some(2));
    assert_eq!(
        count(&fall(twice.clone(), &change, false)),
        None,
        "an answer ends the row"
    );
    let expected = Change {
        expect_disconnect: true,
        ..change.clone()
    };
    assert_eq!(count(&fall(twice, &expected, true)), None);
}

#[test]
fn disconnects_on_a_read_are_counted_by_key() {
    let keys = [Key::from("Plain"), Key::from("Other")];
    let once = record_read_fall(Memory::default(), &keys, noon());
    let twice = record_read_fall(once, &keys[..1], noon() + SignedDuration::from_mins(1));
    let count = |key: &str| {
        twice.keys[&Key::from(key)]
            .falls
            .as_ref()
            .map(|falls| (falls.call.as_str(), falls.count))
    };
    assert_eq!(count("Plain"), Some(("GetConfiguration", 2)));
    assert_eq!(count("Other"), Some(("GetConfiguration", 1)));
}

#[test]
fn the_original_is_recorded_at_the_first_write_where_it_is_to_be_restored() {
    let restoring =
        |when_removed| differing("Plain").with(|scene| scene.layers[0].when_removed = when_removed);
    assert_eq!(
        after(&restoring(WhenRemoved::Retain), Answer::Accepted).original,
        None
    );
    let original = after(&restoring(WhenRemoved::Restore), Answer::Accepted)
        .original
        .expect("recorded");
    assert_eq!(
        (original.value.as_deref(), original.restore),
        (Some("1"), true)
    );
    let later = restoring(WhenRemoved::Restore)
        .remembers("Plain", |key| key.original = Some(original))
        .shows(&[("Plain", "7")]);
    assert_eq!(
        after(&later, Answer::Accepted)
            .original
            .expect("kept")
            .value
            .as_deref(),
        Some("1")
    );
}

#[test]
fn what_a_station_says_besides_is_kept_short() {
    let (memory, change) = change_of(&differing("Plain"));
    let outcome = Outcome {
        detail: Some("x".repeat(10_000)),
        ..outcome(&change, Answer::Rejected)
    };
    let memory = record(memory, &outcome);
    let detail = memory.keys[&change.key]
        .write
        .as_ref()
        .and_then(|write| write.detail.as_ref())
        .map(String::len);
    assert_eq!(detail, Some(120));
}

#[test]
fn a_change_of_a_secret_carries_its_version_and_no_reading() {
    let mut layer = base(&[]);
    layer.settings.push(secret("Password", "v1"));
    let scene = scene(&[layer]).reads(
        "Password",
        Reading::Known {
            spelling: Key::from("password"),
            value: Some("leaked".into()),
            readonly: None,
        },
    );
    let (_, change) = change_of(&scene);
    assert!(!change.readable);
    assert_eq!(
        (change.before.as_deref(), change.spelling.as_str()),
        (None, "password")
    );
    assert!(!format!("{:?}", scene.plan()).contains("leaked"));
}
