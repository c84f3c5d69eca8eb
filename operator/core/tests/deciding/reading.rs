//! What is asked, and when.

use jiff::SignedDuration;
use stationkeeper_core::layer::{Consent, HeldLayer, Layer, Setting, SettingValue, Standing};
use stationkeeper_core::memory::{FORMAT_VERSION, Falls, Memory};
use stationkeeper_core::observed::Reading;
use stationkeeper_core::outcome::intend;
use stationkeeper_core::recall;
use stationkeeper_core::state::{Reason, State};
use stationkeeper_core::station::{Brake, Link, Suspended};
use stationkeeper_core::status::station_status;
use stationkeeper_core::words::Key;

use crate::given::*;

fn check(scene: &Scene, expect: &[&str]) {
    let read = scene.plan().read;
    assert_eq!(
        read,
        expect.iter().map(|&key| Key::from(key)).collect::<Vec<_>>()
    );
}

fn two() -> Scene {
    scene(&[base(&[("Plain", "2"), ("Other", "2")])])
}

#[test]
fn managed_keys_are_asked_by_name_once() {
    check(&two(), &["Other", "Plain"]);
    check(&two().shows(&[("Plain", "1"), ("Other", "2")]), &[]);
}

#[test]
fn companions_are_asked_only_where_a_managed_key_needs_them() {
    check(&scene(&[base(&[("Items", "a")])]), &["Items"]);
    check(
        &scene(&[base(&[("Items", "a,b")])]),
        &["Items", "ItemsMaxLength"],
    );
    check(&scene(&[base(&[("Reserved", "1")])]), &["Reserved"]);
    let unread = scene(&[base(&[("Reserved", "1")])]).with(|scene| scene.station.profiles = None);
    check(&unread, &["Reserved", "SupportedFeatureProfiles"]);
}

#[test]
fn hidden_and_inapplicable_keys_are_not_asked() {
    let mut layer = base(&[("Reserved", "1"), ("Plain", "2")]);
    layer.settings.push(secret("Password", "v1"));
    let scene =
        scene(&[layer]).with(|scene| scene.station.profiles = Some(vec!["core".to_owned()]));
    check(&scene, &["Plain"]);
}

#[test]
fn what_came_before_a_connection_or_boot_is_asked_again() {
    let read = two().shows(&[("Plain", "2"), ("Other", "2")]);
    check(&read, &[]);
    check(&read.clone().reconnects(), &["Other", "Plain"]);
    check(&read.clone().boots(), &["Other", "Plain"]);
    let firmware = read.with(|scene| {
        scene.memory.event += 1;
        scene.memory.firmware_event = scene.memory.event;
    });
    check(&firmware, &["Other", "Plain"]);
}

#[test]
fn a_pass_with_writes_asks_for_a_closing_read_of_everything() {
    let scene = two().shows(&[("Plain", "1"), ("Other", "2")]);
    let plan = scene.plan();
    let memory = intend(plan.memory.clone(), &plan.changes, scene.now);
    check(
        &scene.with(|scene| scene.memory = memory),
        &["Other", "Plain"],
    );
}

#[test]
fn a_failed_read_is_tried_again_after_a_pause_and_holds_nothing_else() {
    let failed = Reading::Failed {
        what: "timed out".to_owned(),
        disconnected: false,
        at: noon(),
    };
    let scene = two().shows(&[("Other", "1")]).reads("Plain", failed);
    let plan = scene.plan();
    assert!(plan.read.is_empty());
    assert_eq!(plan.check_again, Some(noon() + scene.policy.backoff));
    assert_eq!(written(&plan), ["Other"]);
    let told = verdict(&plan, "Plain");
    assert_eq!(
        (told.state, told.reason),
        (State::Unknown, Reason::BackingOff)
    );
    assert!(told.message.contains("timed out"));
    check(&scene.later(SignedDuration::from_secs(30)), &["Plain"]);
}

#[test]
fn a_key_over_which_the_station_falls_is_no_longer_asked() {
    let falls = |count| Falls {
        call: "GetConfiguration".to_owned(),
        count,
        at: noon(),
        firmware: Some("1.0".to_owned()),
    };
    let scene = |count| {
        two()
            .shows(&[("Other", "2")])
            .remembers("Plain", |key| key.falls = Some(falls(count)))
    };
    let once = scene(1).plan();
    assert!(once.read.is_empty(), "not at once");
    assert_eq!(
        once.check_again,
        Some(noon() + SignedDuration::from_secs(30))
    );
    check(&scene(1).later(SignedDuration::from_mins(1)), &["Plain"]);
    check(&scene(3).later(SignedDuration::from_hours(1000)), &[]);
    assert_eq!(scene(3).verdict("Plain").state, State::Quarantined);
}

#[test]
fn nothing_is_asked_of_a_station_that_must_not_be_called() {
    let never: [fn(&mut Scene); 5] = [
        |scene| scene.station.link = Link::Offline,
        |scene| scene.station.link = Link::Unregistered,
        |scene| scene.policy.brake = Brake::NoCalls,
        |scene| scene.policy.suspended = Some(Suspended::Suspend),
        |scene| scene.station.capabilities.read = false,
    ];
    for change in never {
        let scene = two().with(change);
        check(&scene, &[]);
        assert!(!scene.verdict("Plain").actionable);
    }
    check(
        &two().with(|scene| scene.policy.brake = Brake::Report),
        &["Other", "Plain"],
    );
}

#[test]
fn an_offline_station_keeps_its_last_states() {
    let scene = two()
        .shows(&[("Plain", "2"), ("Other", "1")])
        .with(|scene| scene.station.link = Link::Offline);
    let gone = scene
        .clone()
        .reconnects()
        .with(|scene| scene.station.link = Link::Unregistered);
    for scene in [scene, gone] {
        assert_eq!(scene.verdict("Plain").state, State::InSync);
        assert_eq!(scene.verdict("Other").observed.as_deref(), Some("1"));
    }
}

#[test]
fn why_a_key_was_never_read_is_told_as_it_is_now() {
    let offline = two().with(|scene| scene.station.link = Link::Offline);
    let told = station_status(&offline.plan(), &offline.station, false).deviations;
    assert_eq!(
        told[0].message,
        "Other was not read yet; the station is not connected"
    );
    let unregistered = two().with(|scene| scene.station.link = Link::Unregistered);
    let plan = unregistered.plan();
    let now = recall::remembered(&unregistered.desired(), &plan.memory, &told, plan.keys);
    assert_eq!(
        now[0].message,
        "Other was not read yet; the station has sent no BootNotification yet that could be answered"
    );
    let deaf = two().with(|scene| scene.observed.ended = Some("it answers nothing".to_owned()));
    assert_eq!(
        deaf.verdict("Other").message,
        "Other was not read yet: it answers nothing; it is tried again"
    );
}

#[test]
fn what_a_person_has_mended_is_not_recalled() {
    let offline = |layers: &[Layer]| {
        scene(layers).with(|scene| {
            scene.station.link = Link::Offline;
            scene.memory = Memory {
                format_version: FORMAT_VERSION,
                ..Memory::default()
            };
        })
    };
    let missing = Layer {
        settings: vec![Setting {
            key: Key::from("Password"),
            value: SettingValue::SecretMissing {
                message: "there is no Secret".to_owned(),
            },
            mode: None,
        }],
        ..base(&[])
    };
    let found = Layer {
        settings: vec![secret("Password", "v1")],
        ..base(&[])
    };
    let hazardous = base(&[("Safety", "2")]);
    let mut suspended = base(&[("Plain", "2")]);
    suspended.standing = Standing::Held {
        reason: HeldLayer::Suspended,
        message: "suspended".to_owned(),
    };
    let mended: [(&str, Vec<Layer>, Vec<Layer>); 4] = [
        ("Password", vec![missing], vec![found]),
        (
            "Safety",
            vec![hazardous.clone()],
            vec![consenting(hazardous, &[Consent::Safety])],
        ),
        (
            "Plain",
            vec![
                layer("a", 1, &[("Plain", "2")]),
                layer("b", 1, &[("Plain", "3")]),
            ],
            vec![
                layer("a", 1, &[("Plain", "2")]),
                layer("b", 0, &[("Plain", "3")]),
            ],
        ),
        ("Plain", vec![suspended], vec![base(&[("Plain", "2")])]),
    ];
    for (key, before, after) in mended {
        let before = offline(&before);
        let told = station_status(&before.plan(), &before.station, false).deviations;
        let after = offline(&after);
        let plan = after.plan();
        let now = recall::remembered(&after.desired(), &plan.memory, &told, plan.keys.clone());
        assert_eq!(now, plan.keys, "{key}: {told:#?}");
        assert_eq!(
            recall::unbroken(&told, plan.keys.clone()),
            plan.keys,
            "{key}"
        );
        // And what has come to stand in the way since is told at once.
        let told = station_status(&after.plan(), &after.station, false).deviations;
        let plan = before.plan();
        let now = recall::remembered(&before.desired(), &plan.memory, &told, plan.keys.clone());
        assert_eq!(now, plan.keys, "{key}: {told:#?}");
    }
}

#[test]
fn a_line_that_may_be_back_in_a_moment_changes_nothing_that_is_told() {
    let connected = two().shows(&[("Plain", "1")]);
    let before = connected.plan();
    let told = station_status(&before, &connected.station, false).deviations;
    let gone = connected.with(|scene| scene.station.link = Link::Offline);
    let planned = gone.plan().keys;
    assert_eq!(gone.verdict("Plain").reason, Reason::Offline);
    let held_on = recall::unbroken(&told, planned.clone());
    for (before, now) in before.keys.iter().zip(&held_on) {
        assert_eq!(
            (before.state, before.reason, &before.message),
            (now.state, now.reason, &now.message)
        );
    }
    let another = two()
        .shows(&[("Plain", "0")])
        .with(|scene| scene.station.link = Link::Offline)
        .plan()
        .keys;
    assert_eq!(
        recall::unbroken(&told, another.clone())[1],
        another[1],
        "what was read meanwhile is told"
    );
}

#[test]
fn memory_of_a_newer_version_stops_all_calls() {
    let scene = two()
        .shows(&[("Plain", "1")])
        .with(|scene| scene.memory.format_version = FORMAT_VERSION + 1);
    let plan = scene.plan();
    assert!(plan.read.is_empty() && plan.changes.is_empty());
    assert_eq!(plan.memory, scene.memory, "and nothing of it is touched");
    assert_eq!(verdict(&plan, "Plain").reason, Reason::NewerMemory);
}

#[test]
fn the_period_is_looked_at_again_when_it_is_due() {
    let due = noon() + SignedDuration::from_hours(6);
    let scene = two()
        .shows(&[("Plain", "2"), ("Other", "2")])
        .with(|scene| scene.policy.resync_due = Some(due));
    assert_eq!(scene.plan().check_again, Some(due));
}
