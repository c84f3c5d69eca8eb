//! What holds a write, and which goes first.

use stationkeeper_core::layer::{Consent, Layer};
use stationkeeper_core::memory::Answer;
use stationkeeper_core::state::{Reason, State};
use stationkeeper_core::station::{Activity, Brake, Link, Suspended};
use stationkeeper_core::words::Key;

use crate::given::*;

/// What is different about a scene.
type Happening = fn(&mut Scene);

/// Everything differs: each key shows 1.
fn differing(layer: Layer) -> Scene {
    let keys: Vec<Key> = layer
        .settings
        .iter()
        .map(|setting| setting.key.clone())
        .collect();
    let shown: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "1")).collect();
    scene(std::slice::from_ref(&layer)).shows(&shown)
}

fn daring(settings: &[(&str, &str)]) -> Layer {
    consenting(
        base(settings),
        &[
            Consent::ConnectionCritical,
            Consent::NoFallback,
            Consent::Unknown,
        ],
    )
}

fn check_held(scene: &Scene, key: &str, reason: Reason) {
    let plan = scene.plan();
    assert!(!written(&plan).contains(&key), "{:?}", plan.changes);
    let verdict = verdict(&plan, key);
    assert_eq!(
        (verdict.state, verdict.reason),
        (State::Pending, reason),
        "{}",
        verdict.message
    );
    assert!(!verdict.actionable, "waiting does not hold Ready");
}

#[test]
fn what_holds_the_station_holds_every_write() {
    let holds: [(Reason, Happening); 7] = [
        (Reason::Suspended, |scene| {
            scene.policy.suspended = Some(Suspended::Suspend)
        }),
        (Reason::Paused, |scene| {
            scene.policy.suspended = Some(Suspended::Paused)
        }),
        (Reason::Braked, |scene| scene.policy.brake = Brake::Report),
        (Reason::Offline, |scene| scene.station.link = Link::Offline),
        (Reason::NotRegistered, |scene| {
            scene.station.link = Link::Unregistered
        }),
        (Reason::FirmwareUpdate, |scene| {
            scene.station.busy_with_firmware = true
        }),
        (Reason::ConnectorLimits, |scene| {
            scene.station.capabilities.write = false
        }),
    ];
    for (reason, change) in holds {
        check_held(
            &differing(base(&[("Plain", "2")])).with(change),
            "Plain",
            reason,
        );
    }
}

#[test]
fn keys_that_act_on_a_charge_wait_for_the_driver_to_leave() {
    let layer = daring(&[
        ("Session", "2"),
        ("Mystery", "2"),
        ("Url", "2"),
        ("Plain", "2"),
    ]);
    for activity in [Activity::Busy, Activity::Unknown] {
        let scene = differing(layer.clone()).with(|scene| scene.station.activity = activity);
        for key in ["Session", "Mystery", "Url"] {
            check_held(&scene, key, Reason::Busy);
        }
        assert_eq!(written(&scene.plan()), ["Plain"]);
    }
    let boots_on_write = differing(base(&[("Plain", "2")])).with(|scene| {
        scene.catalogue = catalogue_with_quirks("{bootsOnWrite: true}");
        scene.station.activity = Activity::Busy;
    });
    check_held(&boots_on_write, "Plain", Reason::Busy);
}

#[test]
fn secrets_and_keys_that_can_cut_the_link_need_an_authenticated_connection() {
    let mut layer = daring(&[("Url", "2")]);
    layer.settings.push(secret("Password", "v1"));
    let scene = differing(layer).with(|scene| scene.station.authenticated = false);
    check_held(&scene, "Url", Reason::Unauthenticated);
    check_held(&scene, "Password", Reason::Unauthenticated);
}

#[test]
fn a_key_that_can_cut_the_link_and_needs_a_boot_waits_for_resets_of_ours() {
    check_held(
        &differing(daring(&[("BootUrl", "2")])),
        "BootUrl",
        Reason::NoResetMayFollow,
    );
}

#[test]
fn keys_that_can_cut_the_link_go_last_and_alone() {
    let both = differing(daring(&[("Url", "2"), ("Plain", "2"), ("Other", "2")]));
    let plan = both.plan();
    assert_eq!(written(&plan), ["Other", "Plain"]);
    let url = verdict(&plan, "Url");
    assert_eq!(url.reason, Reason::AfterAnotherKey);
    assert!(url.actionable, "it goes on by itself");
    let alone = both.shows(&[("Plain", "2"), ("Other", "2")]).plan();
    assert_eq!(written(&alone), ["Url"]);
    assert!(alone.changes[0].expect_disconnect);
}

#[test]
fn a_key_that_can_cut_the_link_waits_for_what_is_tried_again() {
    let trying = differing(daring(&[("Url", "2"), ("Plain", "2")])).remembers("Plain", |key| {
        let mut write = wrote(plain_value("2"), Answer::Error);
        write.at = noon();
        key.write = Some(write);
    });
    assert!(trying.plan().changes.is_empty());
    assert_eq!(trying.verdict("Plain").reason, Reason::BackingOff);
}

#[test]
fn a_limit_goes_before_its_operator_limit_when_raising_and_not_when_lowering() {
    let raising = scene(&[base(&[("OperatorLimit", "20"), ("Limit", "20")])])
        .shows(&[("OperatorLimit", "10"), ("Limit", "10")]);
    assert_eq!(written(&raising.plan()), ["Limit", "OperatorLimit"]);
    let stuck = raising.remembers("Limit", |key| {
        key.write = Some(wrote(plain_value("20"), Answer::Rejected))
    });
    assert!(stuck.plan().changes.is_empty());
    let told = stuck.verdict("OperatorLimit");
    assert_eq!(told.reason, Reason::AfterAnotherKey);
    assert!(
        told.message.contains("Limit has to be settled first"),
        "{}",
        told.message
    );
    let lowering = scene(&[base(&[("OperatorLimit", "5"), ("Limit", "5")])])
        .shows(&[("OperatorLimit", "10"), ("Limit", "10")])
        .remembers("Limit", |key| {
            key.write = Some(wrote(plain_value("5"), Answer::Rejected))
        });
    assert_eq!(written(&lowering.plan()), ["OperatorLimit"]);
}

#[test]
fn a_change_carries_the_spelling_of_the_station_and_what_it_owes() {
    let scene = scene(&[base(&[("Boot", "2")])]).reads("Boot", known("BOOT", "1"));
    let change = &scene.plan().changes[0];
    assert_eq!(change.spelling, Key::from("BOOT"));
    assert_eq!(change.before.as_deref(), Some("1"));
    assert!(change.owes.is_some());
    let stored = scene.with(|scene| {
        scene.catalogue = catalogue_with_quirks("{acceptedMeansStoredUntilReset: true}");
        scene.layers = vec![base(&[("Plain", "2")])];
    });
    assert!(
        stored.shows(&[("Plain", "1")]).plan().changes[0]
            .owes
            .is_some(),
        "by quirk"
    );
}

#[test]
fn a_station_that_waits_has_one_coalesced_reset_with_a_stable_id() {
    let waiting = |desired: &str| {
        scene(&[base(&[("Boot", desired), ("Whenever", "2")])])
            .shows(&[("Boot", "1"), ("Whenever", "1")])
            .remembers("Boot", |key| {
                key.write = Some(wrote(plain_value(desired), Answer::RebootRequired));
                key.owed = Some(owes(
                    plain_value(desired),
                    stationkeeper_core::memory::Until::Boot,
                ));
            })
            .remembers("Whenever", |key| {
                key.write = Some(wrote(plain_value("2"), Answer::Accepted))
            })
    };
    let pending = waiting("2").plan().pending_reset.expect("Boot waits");
    assert_eq!(pending.keys, vec![Key::from("Boot"), Key::from("Whenever")]);
    assert!(!pending.reconnect_suffices);
    assert_eq!(
        pending.id,
        waiting("2")
            .later(jiff::SignedDuration::from_hours(9))
            .plan()
            .pending_reset
            .expect("still")
            .id
    );
    assert_ne!(
        pending.id,
        waiting("3").plan().pending_reset.expect("Boot waits").id
    );
}

#[test]
fn memory_is_bounded_and_what_finds_no_room_follows_later() {
    let names: Vec<String> = (0..600).map(|number| format!("Key{number:03}")).collect();
    let settings: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "2")).collect();
    let many = differing(daring(&settings));
    let plan = many.plan();
    assert_eq!(plan.changes.len(), stationkeeper_core::memory::MAX_KEYS);
    let last = verdict(&plan, "Key599");
    assert_eq!(last.reason, Reason::Budget);
    assert!(last.actionable);
}
