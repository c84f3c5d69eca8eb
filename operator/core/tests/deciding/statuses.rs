//! What is told of stations and configs.

use stationkeeper_core::layer::{Consent, Layer, SettingValue};
use stationkeeper_core::memory::Answer;
use stationkeeper_core::plan::{KeyVerdict, Plan};
use stationkeeper_core::state::{Reason, State};
use stationkeeper_core::station::{Activity, Link};
use stationkeeper_core::status::{
    Condition, ConfigStatus, MAX_DEVIATIONS, MAX_EXAMPLES, StationSummary, config_status, stalled,
    station_status, transitions,
};
use stationkeeper_core::words::Key;

use crate::given::*;

fn told(conditions: &[Condition]) -> Vec<String> {
    conditions
        .iter()
        .map(|c| format!("{}={} {}", c.kind, c.status, c.reason))
        .collect()
}

/// The conditions of a station, each as `Kind=Status Reason`.
fn check(name: &str, scene: &Scene, expect: &[&str]) {
    let status = station_status(&scene.plan(), &scene.station, false);
    assert_eq!(
        told(&status.conditions),
        expect,
        "{name}: {:#?}",
        status.conditions
    );
    assert!(
        status
            .conditions
            .iter()
            .all(|condition| !condition.message.is_empty()),
        "{name}"
    );
}

fn plain_scene(shown: &str) -> Scene {
    scene(&[base(&[("Plain", "2")])]).shows(&[("Plain", shown)])
}

const READY: &str = "Ready=True Reconciled";
const CONNECTED: &str = "Connected=True Connected";

#[test]
fn a_station_in_sync_is_ready_and_nothing_else_is_told() {
    check(
        "in sync",
        &plain_scene("2"),
        &[READY, "InSync=True InSync", CONNECTED],
    );
    check(
        "no keys",
        &scene(&[]),
        &[READY, "InSync=True InSync", CONNECTED],
    );
}

#[test]
fn what_may_be_done_now_holds_ready() {
    let progressing = [
        "Ready=False Progressing",
        "InSync=False Pending",
        CONNECTED,
        "Reconciling=True Progressing",
    ];
    check("to write", &plain_scene("1"), &progressing);
    let unread = scene(&[base(&[("Plain", "2")])]);
    check(
        "to read",
        &unread,
        &[
            "Ready=False Progressing",
            "InSync=False Unknown",
            CONNECTED,
            "Reconciling=True Progressing",
        ],
    );
    let backing_off = plain_scene("1").remembers("Plain", |key| {
        let mut write = wrote(plain_value("2"), Answer::Error);
        write.at = noon();
        key.write = Some(write);
    });
    check("backing off", &backing_off, &progressing);
    let status = station_status(&plain_scene("2").plan(), &station(), true);
    assert!(
        told(&status.conditions).contains(&"Reconciling=True Progressing".to_owned()),
        "a pass is under way"
    );
}

#[test]
fn waiting_does_not_hold_ready() {
    let waits = |key: &str| scene(&[base(&[(key, "2")])]).shows(&[(key, "1")]);
    let busy = waits("Session").with(|scene| scene.station.activity = Activity::Busy);
    check(
        "for the driver",
        &busy,
        &[READY, "InSync=False Pending", CONNECTED],
    );
    for (activity, why) in [
        (Activity::Busy, "a driver uses it now, or is about to"),
        (
            Activity::Unknown,
            "it has not told yet what each of its connectors does",
        ),
    ] {
        let waiting = waits("Session").with(|scene| scene.station.activity = activity);
        let message = waiting.verdict("Session").message;
        assert!(message.ends_with(why), "{message}");
    }
    let offline = plain_scene("1").with(|scene| scene.station.link = Link::Offline);
    check(
        "for the station",
        &offline,
        &[READY, "InSync=False Pending", "Connected=False Offline"],
    );
    let unregistered = plain_scene("1").with(|scene| scene.station.link = Link::Unregistered);
    check(
        "for its registration",
        &unregistered,
        &[
            READY,
            "InSync=False Pending",
            "Connected=True NotRegistered",
        ],
    );
    let boot = waits("Boot").remembers("Boot", |key| {
        key.write = Some(wrote(plain_value("2"), Answer::RebootRequired));
        key.owed = Some(owes(
            plain_value("2"),
            stationkeeper_core::memory::Until::Boot,
        ));
    });
    check(
        "for a boot",
        &boot,
        &[
            READY,
            "InSync=False ResetPending",
            CONNECTED,
            "ResetRequired=True AwaitingBoot",
        ],
    );
}

#[test]
fn a_key_that_the_station_refuses_does_not_hold_ready() {
    let rejected = plain_scene("1").remembers("Plain", |key| {
        key.write = Some(wrote(plain_value("2"), Answer::Rejected))
    });
    check(
        "rejected",
        &rejected,
        &[
            READY,
            "InSync=False Rejected",
            CONNECTED,
            "Drifted=True Rejected",
        ],
    );
    let read_only = scene(&[base(&[("Fixed", "2")])]).shows(&[("Fixed", "1")]);
    check(
        "read-only",
        &read_only,
        &[
            READY,
            "InSync=False ReadOnlyMismatch",
            CONNECTED,
            "Drifted=True ReadOnlyMismatch",
        ],
    );
}

#[test]
fn only_what_a_person_must_mend_stalls() {
    let mut missing = base(&[]);
    missing.settings.push(secret("Password", "v1"));
    missing.settings[0].value = SettingValue::SecretMissing {
        message: "Secret x is missing".to_owned(),
    };
    let stalled: [(&str, Vec<Layer>, &str, &str); 4] = [
        ("Invalid", vec![base(&[("Plain", "abc")])], "Plain", "1"),
        (
            "Conflict",
            vec![
                layer("a", 1, &[("Plain", "1")]),
                layer("b", 1, &[("Plain", "2")]),
            ],
            "Plain",
            "1",
        ),
        (
            "NeedsConsent",
            vec![base(&[("Safety", "2")])],
            "Safety",
            "1",
        ),
        ("SecretMissing", vec![missing], "Password", "1"),
    ];
    for (reason, layers, key, shown) in stalled {
        let scene = scene(&layers).shows(&[(key, shown)]);
        let (ready, stalled) = (
            format!("Ready=False {reason}"),
            format!("Stalled=True {reason}"),
        );
        let in_sync = format!("InSync=False {reason}");
        check(reason, &scene, &[&ready, &in_sync, CONNECTED, &stalled]);
    }
}

#[test]
fn what_keeps_the_whole_station_away_is_told_before_its_keys() {
    let invalid = scene(&[base(&[("Plain", "abc")])]);
    for scene in [plain_scene("1"), plain_scene("2"), invalid] {
        let status = station_status(&scene.plan(), &scene.station, false);
        let conditions = stalled(status.conditions.clone(), "SecretMissing", "no password");
        let kinds = told(&conditions);
        assert!(
            kinds.contains(&"Ready=False SecretMissing".to_owned()),
            "{kinds:?}"
        );
        assert!(
            kinds.contains(&"Stalled=True SecretMissing".to_owned()),
            "{kinds:?}"
        );
        assert_eq!(
            kinds.iter().filter(|told| told.contains("Stalled")).count(),
            1
        );
        assert!(
            !kinds.iter().any(|told| told.contains("Reconciling")),
            "{kinds:?}"
        );
        let in_sync = |conditions: &[Condition]| {
            let found = conditions
                .iter()
                .find(|condition| condition.kind == "InSync");
            found.cloned().expect("InSync is always there")
        };
        let (before, now) = (in_sync(&status.conditions), in_sync(&conditions));
        assert_eq!((&before.status, &before.reason), (&now.status, &now.reason));
        let said =
            now.message.starts_with("no password; ") && now.message.ends_with(&before.message);
        assert_eq!(said, now.status == "False", "{now:?}");
    }
}

#[test]
fn stalled_and_reconciling_are_never_told_together() {
    let both = scene(&[base(&[("Plain", "abc"), ("Other", "2")])])
        .shows(&[("Plain", "1"), ("Other", "1")]);
    assert_eq!(written(&both.plan()), ["Other"], "the other keys go on");
    let conditions = station_status(&both.plan(), &both.station, true).conditions;
    let kinds: Vec<&str> = conditions
        .iter()
        .map(|condition| condition.kind.as_str())
        .collect();
    assert!(
        kinds.contains(&"Stalled") && !kinds.contains(&"Reconciling"),
        "{kinds:?}"
    );
}

#[test]
fn deviations_are_bounded_and_the_worst_come_first() {
    let names: Vec<String> = (0..80).map(|number| format!("Key{number:02}")).collect();
    let mut settings: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "2")).collect();
    settings.push(("Plain", "abc"));
    let shown: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let scene = scene(&[consenting(base(&settings), &[Consent::Unknown])])
        .shows(&shown)
        .shows(&[("Plain", "1")]);
    let status = station_status(&scene.plan(), &scene.station, false);
    assert_eq!(status.deviations.len(), MAX_DEVIATIONS);
    assert_eq!(status.deviation_count, 81);
    assert_eq!(status.deviations[0].key, Key::from("Plain"));
    assert_eq!(
        (
            status.counts.total,
            status.counts.failed,
            status.counts.pending
        ),
        (81, 1, 80)
    );
    assert_eq!(status.deviations[0].config, "north/base");
}

#[test]
fn keys_that_are_not_for_the_station_are_not_counted() {
    let slave = scene(&[base(&[("OnMaster", "2"), ("Plain", "2")])])
        .shows(&[("Plain", "2")])
        .with(|scene| scene.station.role = stationkeeper_core::station::Role::Slave);
    let status = station_status(&slave.plan(), &slave.station, false);
    assert_eq!(
        (
            status.counts.total,
            status.counts.in_sync,
            status.deviation_count
        ),
        (1, 1, 0)
    );
}

fn summary(name: &str, scene: &Scene) -> StationSummary {
    StationSummary {
        station: name.to_owned(),
        connected: scene.station.link != Link::Offline,
        seen: true,
        current: true,
        stalled: None,
        keys: scene.plan().keys,
    }
}

fn sum(stations: &[StationSummary]) -> ConfigStatus {
    config_status(stations, None, false)
}

fn has(status: &ConfigStatus, expect: &str) {
    assert!(
        told(&status.conditions).contains(&expect.to_owned()),
        "{expect} is not in {:#?}",
        status.conditions
    );
}

#[test]
fn a_config_counts_each_station_once() {
    let offline = plain_scene("2").with(|scene| scene.station.link = Link::Offline);
    let drifted = scene(&[base(&[("Fixed", "2")])]).shows(&[("Fixed", "1")]);
    let failed = scene(&[base(&[("Plain", "abc"), ("Fixed", "2")])])
        .shows(&[("Plain", "1"), ("Fixed", "1")]);
    let boot = scene(&[base(&[("Boot", "2")])])
        .shows(&[("Boot", "1")])
        .remembers("Boot", |key| {
            key.write = Some(wrote(plain_value("2"), Answer::RebootRequired));
            key.owed = Some(owes(
                plain_value("2"),
                stationkeeper_core::memory::Until::Boot,
            ));
        });
    let status = sum(&[
        summary("a", &plain_scene("2")),
        summary("b", &plain_scene("1")),
        summary("c", &offline),
        summary("d", &drifted),
        summary("e", &failed),
        summary("f", &boot),
    ]);
    let counts = status.stations;
    let each = [
        counts.in_sync,
        counts.progressing,
        counts.offline,
        counts.drifted,
        counts.failed,
        counts.reset_pending,
    ];
    assert_eq!(each, [1; 6]);
    assert_eq!(counts.total, 6);
    has(&status, "Ready=False Invalid");
    has(&status, "Stalled=True Invalid");
    has(&status, "Drifted=True ReadOnlyMismatch");
    has(&status, "ResetRequired=True AwaitingBoot");
    has(&status, "InSync=False NotInSync");
}

#[test]
fn a_config_is_ready_when_every_station_is_at_its_generation() {
    let ready = summary("a", &plain_scene("2"));
    has(&sum(std::slice::from_ref(&ready)), "Ready=True Reconciled");
    let stale = StationSummary {
        current: false,
        ..ready.clone()
    };
    let status = sum(&[ready.clone(), stale]);
    has(&status, "Ready=False Progressing");
    has(&status, "Reconciling=True Progressing");
    let offline = StationSummary {
        connected: false,
        ..ready
    };
    let status = sum(&[offline]);
    has(&status, "Ready=True Reconciled");
    has(&status, "InSync=True InSync");
}

#[test]
fn a_config_that_selects_nothing_says_so() {
    let status = sum(&[]);
    assert_eq!(
        told(&status.conditions),
        ["Ready=True NoStations", "InSync=Unknown NoStations"]
    );
}

#[test]
fn a_mistake_stalls_a_config_and_suspension_does_not() {
    let status = config_status(&[], Some("spec.stations: give one"), false);
    has(&status, "Ready=False Invalid");
    has(&status, "Stalled=True Invalid");
    let suspended = config_status(&[summary("a", &plain_scene("1"))], None, true);
    has(&suspended, "Ready=True Suspended");
    assert!(
        !told(&suspended.conditions)
            .iter()
            .any(|condition| condition.starts_with("Reconciling"))
    );
}

#[test]
fn examples_are_spread_over_stations_and_the_worst_come_first() {
    let many: Vec<(String, String)> = (0..30)
        .map(|number| (format!("Key{number:02}"), "2".to_owned()))
        .collect();
    let settings: Vec<(&str, &str)> = many
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let bad = scene(&[base(&settings)]);
    let one = scene(&[base(&[("Plain", "2")])]).shows(&[("Plain", "1")]);
    let stations = [summary("a", &bad), summary("b", &one), summary("c", &one)];
    let status = sum(&stations);
    assert_eq!(status.examples.len(), MAX_EXAMPLES);
    let of = |station: &str| {
        status
            .examples
            .iter()
            .filter(|example| example.station == station)
            .count()
    };
    assert_eq!((of("a"), of("b"), of("c")), (18, 1, 1));
    assert_eq!(status.examples[0].state, State::NeedsConsent);
    let backwards: Vec<StationSummary> = stations.iter().rev().cloned().collect();
    assert_eq!(
        sum(&backwards),
        status,
        "the order of stations does not matter"
    );
}

#[test]
fn transitions_are_told_once_and_in_words() {
    let before = plain_scene("1").plan().keys;
    let after = plain_scene("2").plan().keys;
    let changed = transitions(&before, &after);
    assert_eq!(changed.len(), 1);
    assert_eq!(
        (changed[0].from, changed[0].to, changed[0].reason),
        (Some(State::Pending), State::InSync, Reason::Equal)
    );
    assert!(
        changed[0].message.contains("Plain is \"2\""),
        "{}",
        changed[0].message
    );
    assert!(transitions(&after, &after).is_empty());
    assert_eq!(transitions(&[], &after)[0].from, None);
    assert!(
        transitions(&after, &[]).is_empty(),
        "of keys that are no longer managed nothing is told"
    );
}

#[test]
fn no_secret_is_told_anywhere() {
    let mut layer = base(&[("Password", "hunter22")]);
    layer.settings.push(secret("BootPassword", "v1"));
    let scene = scene(&[layer]).shows(&[("Password", "hunter33"), ("BootPassword", "hunter44")]);
    let plan: Plan = scene.plan();
    let status = station_status(&plan, &scene.station, false);
    let keys: Vec<KeyVerdict> = plan.keys.clone();
    let text = format!("{plan:?} {status:?} {:?}", transitions(&[], &keys));
    for secret in ["hunter22", "hunter33", "hunter44"] {
        assert!(!text.contains(secret), "{text}");
    }
}
