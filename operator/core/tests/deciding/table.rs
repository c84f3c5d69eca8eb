//! The table of section 6 of the design, row by row: given one key, what it shows and what is remembered, then the
//! state, the reason, and whether it is written.

use jiff::SignedDuration;
use stationkeeper_core::layer::{HeldLayer, Mode, SettingValue, Standing};
use stationkeeper_core::memory::{
    Answer, Contest, Declared, DriftMemory, Falls, KeyMemory, Lost, Until,
};
use stationkeeper_core::observed::Reading;
use stationkeeper_core::state::{Reason, State};
use stationkeeper_core::station::Role;
use stationkeeper_core::words::Key;

use crate::given::*;

/// One line of the table: the key, what it is to be, what it shows, memory; then state, reason, written?
fn check(name: &str, scene: Scene, key: &str, state: State, reason: Reason, is_written: bool) {
    let plan = scene.plan();
    let verdict = verdict(&plan, key);
    assert_eq!(
        (verdict.state, verdict.reason),
        (state, reason),
        "{name}: {}",
        verdict.message
    );
    assert_eq!(
        written(&plan).contains(&key),
        is_written,
        "{name}: {:?}",
        plan.changes
    );
    assert!(
        state == State::InSync || !verdict.message.is_empty(),
        "{name}: nothing is told"
    );
    let again = Scene {
        memory: plan.memory.clone(),
        ..scene
    }
    .plan();
    assert_eq!(again, plan, "{name}: planning twice changes nothing");
}

/// `Plain` is to be 2, and the station shows this.
fn shows(value: &str) -> Scene {
    scene(&[base(&[("Plain", "2")])]).shows(&[("Plain", value)])
}

fn of(key: &str, shown: &str) -> Scene {
    scene(&[base(&[(key, "2")])]).shows(&[(key, shown)])
}

fn hidden(key: &str) -> Scene {
    let mut layer = base(&[]);
    layer.settings.push(secret(key, "v1"));
    scene(&[layer])
}

fn write_of(answer: Answer) -> impl FnOnce(&mut KeyMemory) {
    move |key| key.write = Some(wrote(plain_value("2"), answer))
}

fn hidden_write(answer: Answer) -> impl FnOnce(&mut KeyMemory) {
    move |key| {
        let secret = stationkeeper_core::memory::RememberedValue::Secret(version("v1"));
        key.write = Some(wrote(secret, answer));
    }
}

fn drifted(reason: Reason) -> impl FnOnce(&mut KeyMemory) {
    move |key| {
        key.drift = Some(DriftMemory {
            reason,
            since: 10,
            at: noon(),
            value: plain_value("2"),
            by: vec![Key::from("Other")],
            declared: declared(),
        });
    }
}

fn declared() -> Declared {
    Declared {
        config: config("base"),
        generation: 1,
    }
}

fn day() -> SignedDuration {
    SignedDuration::from_hours(24)
}

#[test]
fn row_1_a_key_that_is_not_for_the_station_is_not_applicable() {
    let slave = of("OnMaster", "1").with(|scene| scene.station.role = Role::Slave);
    check(
        "slave",
        slave,
        "OnMaster",
        State::NotApplicable,
        Reason::Scope,
        false,
    );
    check(
        "alone",
        of("OnMaster", "1"),
        "OnMaster",
        State::Pending,
        Reason::ToWrite,
        true,
    );
    let core =
        of("Reserved", "1").with(|scene| scene.station.profiles = Some(vec!["core".to_owned()]));
    check(
        "no such profile",
        core,
        "Reserved",
        State::NotApplicable,
        Reason::Profile,
        false,
    );
    let from_reading = of("Reserved", "1")
        .with(|scene| scene.station.profiles = None)
        .shows(&[("SupportedFeatureProfiles", "Core, RemoteTrigger")]);
    check(
        "profiles as read",
        from_reading,
        "Reserved",
        State::NotApplicable,
        Reason::Profile,
        false,
    );
}

#[test]
fn row_2_a_setting_that_is_wrong_or_fought_over_or_without_consent_or_secret_is_held() {
    let wrong = scene(&[base(&[("Plain", "abc")])]).shows(&[("Plain", "1")]);
    check(
        "wrong",
        wrong,
        "Plain",
        State::Invalid,
        Reason::SeeMessage,
        false,
    );
    let fought = scene(&[
        layer("a", 5, &[("Plain", "2")]),
        layer("b", 5, &[("Plain", "3")]),
    ])
    .shows(&[("Plain", "1")]);
    check(
        "fought over",
        fought,
        "Plain",
        State::Conflict,
        Reason::SeeMessage,
        false,
    );
    check(
        "no consent",
        of("Safety", "1"),
        "Safety",
        State::NeedsConsent,
        Reason::SeeMessage,
        false,
    );
    let mut layer = base(&[]);
    layer.settings.push(secret("Password", "v1"));
    layer.settings[0].value = SettingValue::SecretMissing {
        message: "Secret site-wifi is missing".to_owned(),
    };
    check(
        "no Secret",
        scene(&[layer]),
        "Password",
        State::SecretMissing,
        Reason::SeeMessage,
        false,
    );
}

#[test]
fn row_2_comes_before_row_12() {
    check(
        "equal, without consent",
        of("Safety", "2"),
        "Safety",
        State::NeedsConsent,
        Reason::SeeMessage,
        false,
    );
}

#[test]
fn a_held_layer_holds_its_keys_and_says_why() {
    let reasons = [
        (HeldLayer::Suspended, Reason::Suspended),
        (HeldLayer::Paused, Reason::Paused),
        (HeldLayer::Invalid, Reason::ConfigInvalid),
        (HeldLayer::Unreadable, Reason::ConfigUnreadable),
        (HeldLayer::Undecidable, Reason::ConfigUndecidable),
    ];
    for (held, reason) in reasons {
        let mut layer = base(&[("Plain", "2")]);
        layer.standing = Standing::Held {
            reason: held,
            message: "held".to_owned(),
        };
        check(
            "held",
            scene(&[layer]).shows(&[("Plain", "1")]),
            "Plain",
            State::Pending,
            reason,
            false,
        );
    }
}

#[test]
fn row_3_a_key_over_which_the_station_falls_is_quarantined() {
    let falls = |count: u32, firmware: &str| {
        let falls = Falls {
            call: "ChangeConfiguration".to_owned(),
            count,
            at: noon() - day(),
            firmware: Some(firmware.to_owned()),
        };
        shows("1").remembers("Plain", |key| key.falls = Some(falls))
    };
    check(
        "three falls",
        falls(3, "1.0"),
        "Plain",
        State::Quarantined,
        Reason::SeeMessage,
        false,
    );
    check(
        "two falls",
        falls(2, "1.0"),
        "Plain",
        State::Pending,
        Reason::ToWrite,
        true,
    );
    check(
        "other firmware",
        falls(3, "0.9"),
        "Plain",
        State::Pending,
        Reason::ToWrite,
        true,
    );
    let resumed = falls(3, "1.0").with(|scene| scene.policy.resumed = Some("again".to_owned()));
    check(
        "resumed",
        resumed,
        "Plain",
        State::Pending,
        Reason::ToWrite,
        true,
    );
}

#[test]
fn row_4_used_up_attempts_end_in_failed() {
    let four = |answer: Answer| {
        shows("1").remembers("Plain", |key| {
            write_of(answer)(key);
            if let Some(write) = &mut key.write {
                write.attempts = 4;
            }
        })
    };
    check(
        "accepted, not applied",
        four(Answer::Accepted),
        "Plain",
        State::Failed,
        Reason::SeeMessage,
        false,
    );
    check(
        "no answer",
        four(Answer::NoAnswer),
        "Plain",
        State::Failed,
        Reason::SeeMessage,
        false,
    );
    check(
        "errors",
        four(Answer::Error),
        "Plain",
        State::Failed,
        Reason::SeeMessage,
        false,
    );
    check(
        "rejected is row 11",
        four(Answer::Rejected),
        "Plain",
        State::Rejected,
        Reason::SeeMessage,
        false,
    );
    let generation = four(Answer::Accepted).with(|scene| scene.layers[0].generation = 2);
    check(
        "spec changed",
        generation,
        "Plain",
        State::Drifted,
        Reason::AcceptedNotApplied,
        true,
    );
    let firmware =
        four(Answer::Accepted).with(|scene| scene.memory.firmware = Some("2.0".to_owned()));
    check(
        "firmware changed",
        firmware,
        "Plain",
        State::Drifted,
        Reason::AcceptedNotApplied,
        true,
    );
    let resumed =
        four(Answer::Accepted).with(|scene| scene.policy.resumed = Some("again".to_owned()));
    check(
        "resumed",
        resumed,
        "Plain",
        State::Drifted,
        Reason::AcceptedNotApplied,
        true,
    );
    let mended = four(Answer::Accepted).shows(&[("Plain", "2")]);
    check(
        "mended by somebody",
        mended,
        "Plain",
        State::InSync,
        Reason::Equal,
        false,
    );
}

#[test]
fn row_5_a_hidden_key_is_written_once_in_each_version() {
    check(
        "never written",
        hidden("Password"),
        "Password",
        State::Pending,
        Reason::NotWritten,
        true,
    );
    let other = hidden("Password").remembers("Password", |key| {
        hidden_write(Answer::Accepted)(key);
        if let Some(write) = &mut key.write {
            write.value = stationkeeper_core::memory::RememberedValue::Secret(version("v0"));
        }
    });
    check(
        "an older version",
        other,
        "Password",
        State::Pending,
        Reason::NotWritten,
        true,
    );
    let shown = hidden("Password").reads("Password", known("Password", "whatever"));
    check(
        "what is read decides nothing",
        shown,
        "Password",
        State::Pending,
        Reason::NotWritten,
        true,
    );
}

#[test]
fn rows_6_to_8_a_hidden_key_is_as_it_was_answered() {
    let accepted = hidden("Password").remembers("Password", hidden_write(Answer::Accepted));
    check(
        "accepted",
        accepted.clone(),
        "Password",
        State::Unverifiable,
        Reason::WriteOnly,
        false,
    );
    let boot = hidden("Password").remembers("Password", |key| {
        hidden_write(Answer::RebootRequired)(key);
        key.owed = Some(owes(
            stationkeeper_core::memory::RememberedValue::Secret(version("v1")),
            Until::Boot,
        ));
    });
    check(
        "reboot required",
        boot.clone(),
        "Password",
        State::ResetPending,
        Reason::AwaitingBoot,
        false,
    );
    check(
        "then booted",
        boot.boots(),
        "Password",
        State::Unverifiable,
        Reason::WriteOnly,
        false,
    );
    let unanswered = hidden("Password").remembers("Password", hidden_write(Answer::NoAnswer));
    check(
        "not answered",
        unanswered.clone(),
        "Password",
        State::Unverifiable,
        Reason::Unconfirmed,
        true,
    );
    let twice = unanswered.remembers("Password", |key| {
        if let Some(write) = &mut key.write {
            write.attempts = 2;
        }
    });
    check(
        "not answered twice",
        twice,
        "Password",
        State::Unverifiable,
        Reason::Unconfirmed,
        false,
    );
    let generation = accepted.with(|scene| scene.layers[0].generation = 2);
    check(
        "another generation of the same version",
        generation,
        "Password",
        State::Unverifiable,
        Reason::WriteOnly,
        false,
    );
    let rejected = hidden("Password").remembers("Password", hidden_write(Answer::Rejected));
    check(
        "rejected",
        rejected,
        "Password",
        State::Rejected,
        Reason::SeeMessage,
        false,
    );
    let unsupported = hidden("Password").remembers("Password", hidden_write(Answer::NotSupported));
    check(
        "not supported",
        unsupported,
        "Password",
        State::NotSupported,
        Reason::UnknownKey,
        false,
    );
}

#[test]
fn row_9_a_read_only_key_is_told_and_never_written() {
    let flag = |value: &str, readonly: bool| {
        scene(&[base(&[("Plain", "2")])]).reads("Plain", known_readonly("Plain", value, readonly))
    };
    check(
        "the station says so",
        flag("1", true),
        "Plain",
        State::ReadOnlyMismatch,
        Reason::ReadOnly,
        false,
    );
    check(
        "equal is row 12",
        flag("2", true),
        "Plain",
        State::InSync,
        Reason::Equal,
        false,
    );
    check(
        "the catalogue says so",
        of("Fixed", "1"),
        "Fixed",
        State::ReadOnlyMismatch,
        Reason::ReadOnly,
        false,
    );
    let evidence =
        scene(&[base(&[("Fixed", "2")])]).reads("Fixed", known_readonly("Fixed", "1", false));
    check(
        "the station outranks the catalogue",
        evidence,
        "Fixed",
        State::Pending,
        Reason::ToWrite,
        true,
    );
}

#[test]
fn row_10_a_key_that_the_station_does_not_know_is_not_supported() {
    let unknown = scene(&[base(&[("Plain", "2")])]).reads("Plain", Reading::Unknown);
    check(
        "unknown",
        unknown.clone(),
        "Plain",
        State::NotSupported,
        Reason::UnknownKey,
        false,
    );
    let gone = shows("2")
        .settled()
        .reads("Plain", Reading::Unknown)
        .with(|scene| {
            scene.memory.event += 1;
            scene.memory.firmware_event = scene.memory.event;
            scene.observed.at_event = scene.memory.event;
        });
    check(
        "gone with firmware",
        gone,
        "Plain",
        State::NotSupported,
        Reason::GoneWithFirmware,
        false,
    );
    let unreported = scene(&[base(&[("Plain", "2")])]).reads("Plain", Reading::Unreported);
    check(
        "unreported",
        unreported,
        "Plain",
        State::Unreported,
        Reason::NotInAnswer,
        false,
    );
    let answered = shows("1").remembers("Plain", write_of(Answer::NotSupported));
    check(
        "answered so",
        answered.clone(),
        "Plain",
        State::NotSupported,
        Reason::UnknownKey,
        false,
    );
    let firmware = answered.with(|scene| scene.memory.firmware = Some("2.0".to_owned()));
    check(
        "answered so by other firmware",
        firmware,
        "Plain",
        State::Pending,
        Reason::ToWrite,
        true,
    );
}

#[test]
fn row_11_a_rejected_value_is_tried_again_once_the_ground_has_changed() {
    let rejected = || shows("1").remembers("Plain", write_of(Answer::Rejected));
    check(
        "rejected",
        rejected(),
        "Plain",
        State::Rejected,
        Reason::SeeMessage,
        false,
    );
    let boot = rejected()
        .boots()
        .with(|scene| scene.observed.at_event = scene.memory.event);
    check(
        "after a boot",
        boot,
        "Plain",
        State::Pending,
        Reason::ToWrite,
        true,
    );
    let firmware = rejected().with(|scene| scene.memory.firmware = Some("2.0".to_owned()));
    check(
        "other firmware",
        firmware,
        "Plain",
        State::Pending,
        Reason::ToWrite,
        true,
    );
    let catalogue = rejected().remembers("Plain", |key| {
        if let Some(write) = &mut key.write {
            write.known = 1;
        }
    });
    check(
        "the catalogue said something else of the key then",
        catalogue,
        "Plain",
        State::Pending,
        Reason::ToWrite,
        true,
    );
    let spec = rejected().with(|scene| scene.layers[0].generation = 2);
    check(
        "spec changed",
        spec,
        "Plain",
        State::Pending,
        Reason::ToWrite,
        true,
    );
    let busy = |idle: bool| {
        let activity = if idle {
            stationkeeper_core::station::Activity::Idle
        } else {
            stationkeeper_core::station::Activity::Busy
        };
        rejected()
            .remembers("Plain", |key| {
                key.write.iter_mut().for_each(|write| write.busy = true)
            })
            .with(|scene| scene.station.activity = activity)
    };
    check(
        "still busy",
        busy(false),
        "Plain",
        State::Rejected,
        Reason::SeeMessage,
        false,
    );
    check(
        "idle now",
        busy(true),
        "Plain",
        State::Pending,
        Reason::ToWrite,
        true,
    );
    let met = |other: &str| {
        let layers = [base(&[("Plain", "2"), ("Other", "7")])];
        scene(&layers)
            .shows(&[("Plain", "1"), ("Other", other)])
            .remembers("Plain", write_of(Answer::Rejected))
            .remembers("Plain", |key| {
                key.write
                    .iter_mut()
                    .for_each(|write| write.unmet = vec![Key::from("Other")])
            })
    };
    check(
        "its key is not applied",
        met("6"),
        "Plain",
        State::Rejected,
        Reason::SeeMessage,
        false,
    );
    check(
        "its key was applied",
        met("7"),
        "Plain",
        State::Pending,
        Reason::ToWrite,
        true,
    );
    let value = scene(&[base(&[("Plain", "3")])])
        .shows(&[("Plain", "1")])
        .remembers("Plain", write_of(Answer::Rejected));
    check(
        "another value",
        value,
        "Plain",
        State::Pending,
        Reason::ToWrite,
        true,
    );
}

#[test]
fn row_12_equal_by_type_is_in_sync() {
    check(
        "equal",
        shows("2"),
        "Plain",
        State::InSync,
        Reason::Equal,
        false,
    );
    check(
        "zeros in front",
        shows(" 002"),
        "Plain",
        State::InSync,
        Reason::Equal,
        false,
    );
    let flag = scene(&[base(&[("Flag", "true")])]).shows(&[("Flag", "1")]);
    check(
        "booleans",
        flag,
        "Flag",
        State::InSync,
        Reason::Equal,
        false,
    );
    let absent = scene(&[base(&[("Plain", "2")])]).reads(
        "Plain",
        Reading::Known {
            spelling: Key::from("Plain"),
            value: None,
            readonly: None,
        },
    );
    check(
        "absent is not equal",
        absent,
        "Plain",
        State::Pending,
        Reason::ToWrite,
        true,
    );
}

#[test]
fn rows_13_to_15_an_owed_value_waits_for_its_boot() {
    let owed = |desired: &str, shown: &str| {
        scene(&[base(&[("Whenever", desired)])])
            .shows(&[("Whenever", shown)])
            .remembers("Whenever", |key| {
                key.write = Some(wrote(plain_value("2"), Answer::RebootRequired));
                key.owed = Some(owes(plain_value("2"), Until::Boot));
            })
    };
    check(
        "row 13",
        owed("2", "2"),
        "Whenever",
        State::ResetPending,
        Reason::AwaitingBoot,
        false,
    );
    check(
        "row 14",
        owed("1", "1"),
        "Whenever",
        State::ResetPending,
        Reason::Superseding,
        true,
    );
    check(
        "row 15",
        owed("2", "1"),
        "Whenever",
        State::ResetPending,
        Reason::AwaitingBoot,
        false,
    );
    check(
        "differs, and another is owed",
        owed("3", "1"),
        "Whenever",
        State::Pending,
        Reason::ToWrite,
        true,
    );
    check(
        "neither as before nor as written",
        owed("2", "7"),
        "Whenever",
        State::Pending,
        Reason::ToWrite,
        true,
    );
    let reconnect = scene(&[base(&[("Reconnect", "2")])])
        .shows(&[("Reconnect", "1")])
        .remembers("Reconnect", |key| {
            key.write = Some(wrote(plain_value("2"), Answer::Accepted));
            key.owed = Some(owes(plain_value("2"), Until::Reconnect));
        });
    check(
        "with a connection",
        reconnect,
        "Reconnect",
        State::ResetPending,
        Reason::AwaitingReconnect,
        false,
    );
}

#[test]
fn a_change_of_desired_does_not_end_a_debt() {
    let scene = scene(&[base(&[("Boot", "3")])])
        .shows(&[("Boot", "1")])
        .remembers("Boot", |key| {
            key.owed = Some(owes(plain_value("2"), Until::Boot))
        });
    let plan = scene.plan();
    assert_eq!(
        plan.memory.keys[&Key::from("Boot")].owed,
        Some(owes(plain_value("2"), Until::Boot))
    );
    let back = scene.with(|scene| scene.layers = vec![base(&[("Boot", "1")])]);
    check(
        "back to what it was",
        back,
        "Boot",
        State::ResetPending,
        Reason::Superseding,
        true,
    );
}

#[test]
fn row_16_a_value_that_no_boot_brings_is_written_once_more_and_then_failed() {
    let booted = |cycles: u32| {
        of("Boot", "1")
            .remembers("Boot", |key| {
                let mut write = wrote(plain_value("2"), Answer::RebootRequired);
                write.cycles = cycles;
                key.write = Some(write);
            })
            .boots()
            .with(|scene| scene.observed.at_event = scene.memory.event)
    };
    check(
        "once",
        booted(0),
        "Boot",
        State::Drifted,
        Reason::NotAppliedAfterReset,
        true,
    );
    check(
        "twice",
        booted(1),
        "Boot",
        State::Failed,
        Reason::SeeMessage,
        false,
    );
}

#[test]
fn row_17_an_accepted_value_of_unknown_effect_waits_and_asks_for_no_reset() {
    let accepted = of("Whenever", "1").remembers("Whenever", write_of(Answer::Accepted));
    check(
        "no boot yet",
        accepted.clone(),
        "Whenever",
        State::ResetPending,
        Reason::MayNeedReset,
        false,
    );
    assert_eq!(
        accepted.plan().pending_reset,
        None,
        "never the sole ground for a Reset"
    );
    let booted = accepted
        .boots()
        .with(|scene| scene.observed.at_event = scene.memory.event);
    check(
        "after a boot",
        booted,
        "Whenever",
        State::Drifted,
        Reason::NotApplied,
        true,
    );
}

#[test]
fn row_18_an_accepted_value_that_should_have_taken_effect_is_written_again_within_bounds() {
    let accepted = shows("1").remembers("Plain", write_of(Answer::Accepted));
    check(
        "accepted",
        accepted.clone(),
        "Plain",
        State::Drifted,
        Reason::AcceptedNotApplied,
        true,
    );
    let soon = accepted.remembers("Plain", |key| {
        key.write.iter_mut().for_each(|write| write.at = noon())
    });
    check(
        "a moment ago",
        soon.clone(),
        "Plain",
        State::Drifted,
        Reason::AcceptedNotApplied,
        false,
    );
    let plan = soon.plan();
    assert_eq!(plan.check_again, Some(noon() + soon.policy.backoff));
    assert!(verdict(&plan, "Plain").actionable, "it goes on by itself");
}

#[test]
fn row_19_a_value_that_was_in_sync_and_is_not_tells_why() {
    let was_in_sync = || shows("2").settled();
    check(
        "changed",
        was_in_sync().shows(&[("Plain", "1")]),
        "Plain",
        State::Drifted,
        Reason::ChangedOutside,
        true,
    );
    let boot = was_in_sync().boots().shows(&[("Plain", "1")]);
    check(
        "lost at a boot",
        boot,
        "Plain",
        State::Drifted,
        Reason::NotPersistent,
        true,
    );
    let firmware = was_in_sync()
        .boots()
        .with(|scene| scene.memory.firmware_event = scene.memory.event)
        .shows(&[("Plain", "1")]);
    check(
        "lost with firmware",
        firmware,
        "Plain",
        State::Drifted,
        Reason::LostWithFirmware,
        true,
    );
    let other_value = was_in_sync().with(|scene| scene.layers = vec![base(&[("Plain", "3")])]);
    check(
        "in sync with another value",
        other_value,
        "Plain",
        State::Pending,
        Reason::ToWrite,
        true,
    );
    let side = shows("1").remembers("Plain", drifted(Reason::SideEffect));
    check(
        "moved by ourselves",
        side,
        "Plain",
        State::Drifted,
        Reason::SideEffect,
        false,
    );
    let lost = |count| {
        shows("1")
            .remembers("Plain", drifted(Reason::NotPersistent))
            .remembers("Plain", |key| {
                key.lost = Some(Lost {
                    count,
                    boot: 10,
                    value: plain_value("2"),
                    declared: declared(),
                });
            })
    };
    check(
        "lost once",
        lost(1),
        "Plain",
        State::Drifted,
        Reason::NotPersistent,
        true,
    );
    check(
        "lost twice",
        lost(2),
        "Plain",
        State::Drifted,
        Reason::NotPersistent,
        false,
    );
}

#[test]
fn row_19_a_contested_key_is_left_alone_until_the_spec_changes() {
    let contested = |generation: i64| {
        shows("1")
            .with(|scene| scene.layers[0].generation = generation)
            .remembers("Plain", |key| {
                key.contested = Some(Contest {
                    ours: plain_value("2"),
                    theirs: "1".to_owned(),
                    at: noon(),
                    declared: declared(),
                });
            })
    };
    check(
        "contested",
        contested(1),
        "Plain",
        State::Contested,
        Reason::TwoWriters,
        false,
    );
    check(
        "spec changed",
        contested(2),
        "Plain",
        State::Pending,
        Reason::ToWrite,
        true,
    );
    let resumed = contested(1).with(|scene| scene.policy.resumed = Some("x".to_owned()));
    check(
        "resumed",
        resumed,
        "Plain",
        State::Pending,
        Reason::ToWrite,
        true,
    );
    check(
        "gone quiet",
        contested(1).shows(&[("Plain", "2")]),
        "Plain",
        State::InSync,
        Reason::Equal,
        false,
    );
}

#[test]
fn row_20_an_unanswered_write_is_read_again_before_anything_else() {
    for answer in [Answer::Intended, Answer::NoAnswer] {
        let stale = of("Plain", "1").remembers("Plain", |key| {
            let mut write = wrote(plain_value("2"), answer);
            write.since = 11;
            key.write = Some(write);
        });
        let plan = stale.plan();
        assert_eq!(plan.read, vec![Key::from("Plain")]);
        assert!(plan.changes.is_empty());
        assert_eq!(verdict(&plan, "Plain").reason, Reason::Unconfirmed);
        let read = stale.with(|scene| scene.observed.at_event = 11);
        check(
            "read again",
            read.clone(),
            "Plain",
            State::Pending,
            Reason::Unconfirmed,
            true,
        );
        check(
            "it had arrived",
            read.shows(&[("Plain", "2")])
                .with(|scene| scene.observed.at_event = 11),
            "Plain",
            State::InSync,
            Reason::Equal,
            false,
        );
    }
}

#[test]
fn an_unanswered_write_that_needs_a_boot_is_owed() {
    let unanswered = of("Boot", "1").remembers("Boot", |key| {
        write_of(Answer::NoAnswer)(key);
        key.owed = Some(owes(plain_value("2"), Until::Boot));
    });
    check(
        "it may have arrived",
        unanswered.clone(),
        "Boot",
        State::ResetPending,
        Reason::AwaitingBoot,
        false,
    );
    let booted = unanswered
        .boots()
        .with(|scene| scene.observed.at_event = scene.memory.event);
    check(
        "it had not",
        booted,
        "Boot",
        State::Pending,
        Reason::Unconfirmed,
        true,
    );
}

#[test]
fn an_intended_write_that_needs_a_boot_is_owed_if_it_shows_and_sent_again_if_not() {
    let intended = |shown: &str| of("Boot", shown).remembers("Boot", write_of(Answer::Intended));
    check(
        "it was sent",
        intended("2"),
        "Boot",
        State::ResetPending,
        Reason::AwaitingBoot,
        false,
    );
    check(
        "nobody knows",
        intended("1"),
        "Boot",
        State::Pending,
        Reason::Unconfirmed,
        true,
    );
}

#[test]
fn row_21_a_difference_is_written_or_reported() {
    check(
        "enforce",
        shows("1"),
        "Plain",
        State::Pending,
        Reason::ToWrite,
        true,
    );
    let report = shows("1").with(|scene| scene.layers[0].mode = Mode::Report);
    check(
        "report",
        report,
        "Plain",
        State::Drifted,
        Reason::Reported,
        false,
    );
    let narrowed = shows("1").with(|scene| scene.layers[0].settings[0].mode = Some(Mode::Report));
    check(
        "narrowed",
        narrowed,
        "Plain",
        State::Drifted,
        Reason::Reported,
        false,
    );
    let widened = shows("1").with(|scene| {
        scene.layers[0].mode = Mode::Report;
        scene.layers[0].settings[0].mode = Some(Mode::Enforce);
    });
    check(
        "a setting never widens",
        widened,
        "Plain",
        State::Drifted,
        Reason::Reported,
        false,
    );
    let ambiguous = scene(&[base(&[("Plain", "2")])]).reads(
        "Plain",
        Reading::Ambiguous {
            spellings: vec![Key::from("PLAIN"), Key::from("plain")],
        },
    );
    check(
        "ambiguous",
        ambiguous,
        "Plain",
        State::Pending,
        Reason::AmbiguousName,
        false,
    );
}

#[test]
fn report_tells_the_same_states_as_enforce() {
    let report = |scene: Scene| scene.with(|scene| scene.layers[0].mode = Mode::Report);
    let changed = report(shows("2").settled().shows(&[("Plain", "1")]));
    check(
        "changed outside",
        changed,
        "Plain",
        State::Drifted,
        Reason::ChangedOutside,
        false,
    );
    check(
        "in sync",
        report(shows("2")),
        "Plain",
        State::InSync,
        Reason::Equal,
        false,
    );
    check(
        "no consent",
        report(of("Safety", "1")),
        "Safety",
        State::NeedsConsent,
        Reason::SeeMessage,
        false,
    );
    check(
        "hidden",
        report(hidden("Password")),
        "Password",
        State::Pending,
        Reason::NotWritten,
        false,
    );
}

#[test]
fn row_22_a_key_that_was_never_read_is_unknown_and_read() {
    let unread = scene(&[base(&[("Plain", "2")])]);
    check(
        "never read",
        unread.clone(),
        "Plain",
        State::Unknown,
        Reason::NotRead,
        false,
    );
    assert_eq!(unread.plan().read, vec![Key::from("Plain")]);
}

#[test]
fn nothing_is_written_before_everything_is_read() {
    let half = scene(&[base(&[("Plain", "2"), ("Other", "2")])]).shows(&[("Plain", "1")]);
    let plan = half.plan();
    assert_eq!(plan.read, vec![Key::from("Other")]);
    assert!(plan.changes.is_empty());
}

#[test]
fn a_reading_from_before_a_write_tells_nothing_of_it() {
    let offline = shows("1").remembers("Plain", |key| {
        let mut write = wrote(plain_value("2"), Answer::Accepted);
        write.since = 11;
        key.write = Some(write);
    });
    let offline =
        offline.with(|scene| scene.station.link = stationkeeper_core::station::Link::Offline);
    check(
        "accepted, and gone",
        offline,
        "Plain",
        State::Unknown,
        Reason::NotRead,
        false,
    );
    let owed = scene(&[base(&[("Boot", "2")])]).remembers("Boot", |key| {
        key.write = Some(wrote(plain_value("2"), Answer::RebootRequired));
        key.owed = Some(owes(plain_value("2"), Until::Boot));
    });
    check(
        "a debt is known without a reading",
        owed.clone(),
        "Boot",
        State::ResetPending,
        Reason::AwaitingBoot,
        false,
    );
    assert_eq!(owed.plan().read, vec![Key::from("Boot")]);
}

#[test]
fn a_change_of_spec_does_not_make_an_old_reading_fresh() {
    let scene = scene(&[base(&[("Plain", "3")])])
        .shows(&[("Plain", "1")])
        .remembers("Plain", |key| {
            let mut write = wrote(plain_value("2"), Answer::NoAnswer);
            write.since = 11;
            key.write = Some(write);
        });
    let plan = scene.plan();
    let again = Scene {
        memory: plan.memory.clone(),
        ..scene
    }
    .plan();
    for plan in [plan, again] {
        assert_eq!(plan.read, vec![Key::from("Plain")]);
        assert!(plan.changes.is_empty());
    }
}
