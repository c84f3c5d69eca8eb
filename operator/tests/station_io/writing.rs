//! Writing: one change at a time, read back, guarded, audited.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use stationkeeper::audit::{Audit, Destination};
use stationkeeper::connector::{CallResult, Identity};
use stationkeeper::execute::{Act, Executed, Halted, Stop, Target, Wire, execute};
use stationkeeper::pace::Pace;
use stationkeeper::wire::Guard;
use stationkeeper_core::catalogue::Catalogue;
use stationkeeper_core::memory::{Answer, RememberedValue};
use stationkeeper_core::observed::Reading;
use stationkeeper_core::plan::{Change, Why};
use stationkeeper_core::words::{ConfigRef, Device, Key, SecretVersion};

use crate::scripted::{Scripted, Table, answer, error, known, names, sendable, status};

fn change(key: &str, value: &str) -> Change {
    Change {
        key: Key::from(key),
        spelling: Key::from(key),
        value: RememberedValue::Plain(value.to_owned()),
        alternative: None,
        before: Some("before".to_owned()),
        why: Why::Differs,
        config: ConfigRef {
            namespace: "north".into(),
            name: "baseline".into(),
        },
        generation: 3,
        expect_disconnect: false,
        readable: true,
        definition: Arc::default(),
        owes: None,
        busy: false,
        unmet: Vec::new(),
        restore: None,
    }
}

fn secret(key: &str) -> Change {
    Change {
        value: RememberedValue::Secret(SecretVersion("v1".to_owned())),
        readable: false,
        before: None,
        ..change(key, "")
    }
}

fn no_secrets(_: &SecretVersion) -> Option<SecretString> {
    None
}

async fn run(wire: &Wire, changes: &[Change], guard: &Guard<'_>) -> Executed {
    let identity = Identity::new("CP1");
    let target = Target {
        namespace: "north",
        station: "cp-0001",
        identity: &identity,
    };
    let mut told = Vec::new();
    let mut tell = |outcome: &_| told.push(Clone::clone(outcome));
    let executed = sendable(execute(
        wire,
        target,
        changes,
        &no_secrets,
        guard,
        &mut tell,
    ))
    .await;
    assert_eq!(
        told, executed.outcomes,
        "each outcome is told when it is known"
    );
    assert_eq!(
        executed.outcomes.len() + executed.unsent.len(),
        changes.len(),
        "each change is accounted for"
    );
    executed
}

async fn write(station: &Arc<Scripted>, changes: &[Change]) -> Executed {
    let executed = run(&Wire::new(station.clone()), changes, &|_| Ok(())).await;
    assert_eq!(
        executed.calls as usize,
        station.calls().len(),
        "every call is counted"
    );
    executed
}

#[tokio::test]
async fn each_change_is_one_write_and_one_read_back_before_the_next() {
    let mut table = Table::of(&[("A", "1"), ("b", "2")]);
    let station = Scripted::new(move |action, payload| table.call(action, payload));
    let spelled = Change {
        spelling: Key::from("b"),
        ..change("B", "20")
    };
    let executed = write(&station, &[change("A", "10"), spelled]).await;
    assert_eq!(station.story(), ["A=10", "A", "b=20", "b"]);
    assert_eq!((executed.calls, executed.halted), (4, None));
    for (outcome, value) in executed.outcomes.iter().zip(["10", "20"]) {
        assert_eq!(
            (
                outcome.answer,
                outcome.detail.as_deref(),
                outcome.disconnected
            ),
            (Answer::Accepted, None, false)
        );
        assert_eq!(
            outcome.read_back.as_ref().and_then(Reading::value),
            Some(value)
        );
    }
}

/// One change, answered so; then the read-back shows the old value.
async fn written(fate: CallResult) -> Executed {
    let mut fate = Some(fate);
    let table = Table::of(&[("A", "1")]);
    let station = Scripted::new(move |action, payload| match action {
        "ChangeConfiguration" => fate.take().expect("written once"),
        _ => table.get(&names(payload)),
    });
    write(&station, &[change("A", "10")]).await
}

#[tokio::test(start_paused = true)]
async fn every_answer_is_told_as_what_it_says_of_the_value() {
    for (fate, expect, detail, calls) in [
        (status("Accepted"), Answer::Accepted, None, 2),
        (status("accepted"), Answer::Accepted, None, 2),
        (status("RebootRequired"), Answer::RebootRequired, None, 2),
        (status("Rejected"), Answer::Rejected, None, 1),
        (status("NotSupported"), Answer::NotSupported, None, 1),
        (
            status("Scheduled"),
            Answer::Error,
            Some("unknown status \"Scheduled\""),
            2,
        ),
        (
            answer(json!({})),
            Answer::Error,
            Some("status is missing"),
            2,
        ),
        (
            error("PropertyConstraintViolation"),
            Answer::Rejected,
            Some("PropertyConstraintViolation: it is so"),
            1,
        ),
        (
            error("TypeConstraintViolation"),
            Answer::Rejected,
            Some("it is so"),
            1,
        ),
        (
            error("OccurenceConstraintViolation"),
            Answer::Rejected,
            Some("it is so"),
            1,
        ),
        (
            error("OccurrenceConstraintViolation"),
            Answer::Rejected,
            Some("it is so"),
            1,
        ),
        (
            error("FormationViolation"),
            Answer::Rejected,
            Some("it is so"),
            1,
        ),
        (
            error("NotSupported"),
            Answer::NotSupported,
            Some("it is so"),
            1,
        ),
        (
            error("NotImplemented"),
            Answer::NotSupported,
            Some("it is so"),
            1,
        ),
        (
            error("InternalError"),
            Answer::Error,
            Some("InternalError: it is so"),
            2,
        ),
        (error("GenericError"), Answer::Error, Some("it is so"), 2),
        (
            error("SomethingElse"),
            Answer::Error,
            Some("SomethingElse"),
            2,
        ),
        (
            CallResult::Garbled("eof".to_owned()),
            Answer::Error,
            Some("eof"),
            2,
        ),
        (CallResult::TimedOut, Answer::NoAnswer, Some("30 s"), 1),
        (CallResult::Disconnected, Answer::NoAnswer, Some("ended"), 1),
    ] {
        let said = format!("{fate:?}");
        let executed = written(fate).await;
        let outcome = &executed.outcomes[0];
        assert_eq!((outcome.answer, executed.calls), (expect, calls), "{said}");
        match (detail, &outcome.detail) {
            (None, None) => {}
            (Some(part), Some(detail)) => assert!(detail.contains(part), "{said}: {detail}"),
            (expect, detail) => panic!("{said}: {detail:?} instead of {expect:?}"),
        }
    }
}

#[tokio::test]
async fn accepted_and_not_stored_is_seen_by_the_read_back() {
    let executed = written(status("Accepted")).await;
    assert_eq!(
        executed.outcomes[0].read_back,
        Some(known("A", Some("1"), Some(false)))
    );
}

#[tokio::test]
async fn a_rejected_boolean_is_tried_once_in_the_stations_own_vocabulary() {
    let mut table = Table::of(&[("A", "0")]);
    let station = Scripted::new(move |action, payload| match payload["value"].as_str() {
        Some("0" | "1") | None => table.call(action, payload),
        Some(_) => status("Rejected"),
    });
    let boolean = Change {
        alternative: Some("1".to_owned()),
        ..change("A", "true")
    };
    let executed = write(&station, &[boolean]).await;
    assert_eq!(station.story(), ["A=true", "A", "A=1", "A"]);
    assert_eq!(executed.outcomes[0].answer, Answer::Accepted);
    assert_eq!(
        executed.outcomes[0]
            .read_back
            .as_ref()
            .and_then(Reading::value),
        Some("1")
    );
}

#[tokio::test]
async fn a_vocabulary_is_tried_once_and_not_when_the_value_is_there() {
    for (shown, expect) in [
        ("0", vec!["A=true", "A", "A=1"]),
        ("1", vec!["A=true", "A"]),
        ("true", vec!["A=true", "A"]),
    ] {
        let table = Table::of(&[("A", shown)]);
        let station = Scripted::new(move |action, payload| match action {
            "ChangeConfiguration" => status("Rejected"),
            _ => table.get(&names(payload)),
        });
        let boolean = Change {
            alternative: Some("1".to_owned()),
            ..change("A", "true")
        };
        let executed = write(&station, &[boolean]).await;
        assert_eq!(station.story(), expect, "it shows {shown}");
        assert_eq!(executed.outcomes[0].answer, Answer::Rejected);
        assert_eq!(
            executed.outcomes[0]
                .read_back
                .as_ref()
                .and_then(Reading::value),
            Some(shown)
        );
    }
}

#[tokio::test]
async fn an_equal_value_is_not_written_however_the_station_spells_it() {
    let table = Table::of(&[("AuthorizeRemoteTxRequests", "TRUE")]);
    let station = Scripted::new(move |action, payload| match action {
        "ChangeConfiguration" => status("Rejected"),
        _ => table.get(&names(payload)),
    });
    let key = Key::from("AuthorizeRemoteTxRequests");
    let catalogue = Catalogue::built_in().for_station(&Device::default(), None);
    let boolean = Change {
        alternative: Some("1".to_owned()),
        definition: catalogue.definition(&key),
        ..change(key.as_str(), "true")
    };
    write(&station, &[boolean]).await;
    assert_eq!(
        station.story(),
        [
            "AuthorizeRemoteTxRequests=true",
            "AuthorizeRemoteTxRequests"
        ]
    );
}

#[tokio::test]
async fn what_the_station_cannot_show_is_not_read_back() {
    let station = Scripted::new(|_, _| status("Accepted"));
    let hidden = Change {
        readable: false,
        ..change("A", "1")
    };
    let executed = write(&station, &[hidden, change("B", "2")]).await;
    assert_eq!(station.story(), ["A=1", "B=2", "B"]);
    assert_eq!(executed.outcomes[0].read_back, None);
}

#[tokio::test(start_paused = true)]
async fn no_answer_ends_the_pass_since_the_station_has_to_be_read_first() {
    let station = Scripted::new(|_, _| CallResult::TimedOut);
    let executed = write(
        &station,
        &[change("A", "1"), change("B", "2"), change("C", "3")],
    )
    .await;
    assert_eq!(station.story(), ["A=1"]);
    assert_eq!(
        (
            executed.outcomes[0].answer,
            executed.outcomes[0].disconnected
        ),
        (Answer::NoAnswer, false)
    );
    assert_eq!(executed.unsent, [change("B", "2"), change("C", "3")]);
    assert_eq!(executed.halted, Some(Halted::NoAnswer));
}

#[tokio::test]
async fn a_disconnect_during_a_write_or_its_read_back_ends_the_pass_and_is_told() {
    for (falls_on, answer, calls) in [
        ("ChangeConfiguration", Answer::NoAnswer, 1),
        ("GetConfiguration", Answer::Accepted, 2),
    ] {
        let station = Scripted::new(move |action, _| {
            if action == falls_on {
                CallResult::Disconnected
            } else {
                status("Accepted")
            }
        });
        let executed = write(&station, &[change("A", "1"), change("B", "2")]).await;
        let outcome = &executed.outcomes[0];
        assert_eq!(
            (outcome.answer, outcome.disconnected, executed.calls),
            (answer, true, calls),
            "{falls_on}"
        );
        assert_eq!(
            (executed.unsent.len(), executed.halted),
            (1, Some(Halted::Disconnected))
        );
    }
}

#[tokio::test]
async fn a_read_back_that_fails_is_told_and_the_pass_goes_on() {
    let station = Scripted::new(|action, _| match action {
        "ChangeConfiguration" => status("Accepted"),
        _ => error("InternalError"),
    });
    let executed = write(&station, &[change("A", "1"), change("B", "2")]).await;
    assert_eq!(executed.outcomes.len(), 2);
    assert!(matches!(
        executed.outcomes[0].read_back,
        Some(Reading::Failed {
            disconnected: false,
            ..
        })
    ));
}

#[tokio::test]
async fn a_change_that_cuts_the_link_stands_alone_and_is_not_read_back() {
    let critical = Change {
        expect_disconnect: true,
        ..change("A", "1")
    };
    for (fate, story, halted) in [
        (
            status("Accepted"),
            vec!["A=1"],
            Some(Halted::ExpectsDisconnect),
        ),
        (
            CallResult::Disconnected,
            vec!["A=1"],
            Some(Halted::Disconnected),
        ),
        (status("Rejected"), vec!["A=1", "B=2"], None),
    ] {
        let station = Scripted::new(move |_, payload| {
            if payload["key"] == "A" {
                fate.clone()
            } else {
                status("Rejected")
            }
        });
        let executed = write(&station, &[critical.clone(), change("B", "2")]).await;
        assert_eq!(
            (station.story(), executed.halted),
            (story.iter().map(ToString::to_string).collect(), halted)
        );
    }
}

#[tokio::test]
async fn what_was_certainly_not_sent_is_unsent() {
    for (fate, halted) in [
        (CallResult::Offline, Halted::Offline),
        (
            CallResult::NotDelivered("shutdown".to_owned()),
            Halted::NotDelivered("shutdown".to_owned()),
        ),
    ] {
        let station = Scripted::new(move |_, _| fate.clone());
        let executed = run(
            &Wire::new(station),
            &[change("A", "1"), change("B", "2")],
            &|_| Ok(()),
        )
        .await;
        assert_eq!(
            (
                executed.outcomes.len(),
                executed.unsent.len(),
                executed.calls
            ),
            (0, 2, 0)
        );
        assert_eq!(executed.halted, Some(halted));
    }
}

#[tokio::test]
async fn the_guard_is_asked_right_before_each_frame_and_its_no_is_final() {
    let pulled = Arc::new(AtomicBool::new(false));
    let mut table = Table::of(&[("A", "1"), ("B", "2"), ("C", "3")]);
    let brake = pulled.clone();
    let station = Scripted::new(move |action, payload| {
        // Pulled while the second write is in flight: it is still read back, and the third is not sent.
        if payload["key"] == "B" {
            brake.store(true, Ordering::SeqCst);
        }
        table.call(action, payload)
    });
    let guard = |act: Act| match act {
        Act::Write if pulled.load(Ordering::SeqCst) => {
            Err(Stop("the brake is at Report".to_owned()))
        }
        Act::Write | Act::Read => Ok(()),
    };
    let executed = run(
        &Wire::new(station.clone()),
        &[change("A", "10"), change("B", "20"), change("C", "30")],
        &guard,
    )
    .await;
    assert_eq!(station.story(), ["A=10", "A", "B=20", "B"]);
    assert_eq!(executed.unsent, [change("C", "30")]);
    assert_eq!(
        executed.halted,
        Some(Halted::Stopped(Stop("the brake is at Report".to_owned())))
    );
}

#[tokio::test]
async fn a_secret_is_written_from_its_version_and_shown_nowhere() {
    let station = Scripted::new(|_, _| CallResult::CallError {
        code: "PropertyConstraintViolation".to_owned(),
        description: "hunter2 is too short".to_owned(),
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit");
    let wire = Wire {
        audit: Audit::to(Destination::File(path.clone())).unwrap(),
        ..Wire::new(station.clone())
    };
    let lookup =
        |version: &SecretVersion| (version.0 == "v1").then(|| SecretString::from("hunter2"));
    let identity = Identity::new("CP1");
    let target = Target {
        namespace: "north",
        station: "cp-0001",
        identity: &identity,
    };
    let executed = execute(
        &wire,
        target,
        &[secret("WLANPassword")],
        &lookup,
        &|_| Ok(()),
        &mut |_| (),
    )
    .await;
    assert_eq!(
        station.story(),
        ["WLANPassword=hunter2"],
        "written once, and not read back"
    );
    assert_eq!(executed.outcomes[0].answer, Answer::Rejected);
    assert_eq!(
        executed.outcomes[0].detail.as_deref(),
        Some("PropertyConstraintViolation")
    );
    assert!(!format!("{executed:?}").contains("hunter2"));
    let line = std::fs::read_to_string(path).unwrap();
    assert!(!line.contains("hunter2"));
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&line["old"], &line["new"], &line["key"]),
        (&Value::Null, &Value::Null, &json!("WLANPassword"))
    );
}

#[tokio::test]
async fn a_secret_that_is_not_at_hand_is_not_sent_and_holds_nothing_else() {
    let mut table = Table::of(&[("A", "1")]);
    let station = Scripted::new(move |action, payload| table.call(action, payload));
    let executed = write(&station, &[secret("WLANPassword"), change("A", "10")]).await;
    assert_eq!(station.story(), ["A=10", "A"]);
    assert_eq!(
        (executed.unsent, executed.halted),
        (vec![secret("WLANPassword")], None)
    );
}

#[tokio::test]
async fn each_call_that_changes_a_station_is_one_line_of_the_audit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit");
    let station = Scripted::new(|action, payload| match payload["value"].as_str() {
        _ if action == "GetConfiguration" => Table::of(&[("A", "0")]).get(&names(payload)),
        Some("1") => status("RebootRequired"),
        _ => status("Rejected"),
    });
    let wire = Wire {
        audit: Audit::to(Destination::File(path.clone())).unwrap(),
        ..Wire::new(station.clone())
    };
    run(
        &wire,
        &[Change {
            alternative: Some("1".to_owned()),
            ..change("A", "true")
        }],
        &|_| Ok(()),
    )
    .await;
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "reads are not in it: {text}");
    for (line, value, answer) in [
        (&lines[0], "true", "Rejected"),
        (&lines[1], "1", "RebootRequired"),
    ] {
        assert_eq!(
            (&line["new"], &line["answer"], &line["old"]),
            (&json!(value), &json!(answer), &json!("before"))
        );
        assert_eq!(
            (&line["config"], &line["generation"], &line["identity"]),
            (&json!("north/baseline"), &json!(3), &json!("CP1"))
        );
    }
    let named: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["callId"].as_str())
        .collect();
    assert_eq!(
        named,
        station.ids_of("ChangeConfiguration"),
        "each is named as its frame is"
    );
    assert_ne!(named[0], named[1]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn nothing_is_changed_while_the_audit_cannot_be_written() {
    let mut table = Table::of(&[("A", "1"), ("B", "2")]);
    let station = Scripted::new(move |action, payload| table.call(action, payload));
    let audit = Audit::to(Destination::File("/dev/full".into())).unwrap();
    let wire = Wire {
        audit,
        ..Wire::new(station.clone())
    };
    let executed = run(&wire, &[change("A", "10"), change("B", "20")], &|_| Ok(())).await;
    assert_eq!(
        station.story(),
        ["A=10", "A"],
        "the first finds out, the second is held"
    );
    assert!(
        matches!(executed.halted, Some(Halted::Stopped(Stop(why))) if why.contains("No space left"))
    );
    assert_eq!(
        run(&wire, &[change("B", "20")], &|_| Ok(()))
            .await
            .unsent
            .len(),
        1,
        "so are later passes"
    );
}

#[tokio::test(start_paused = true)]
async fn the_fleets_pace_and_the_meter_see_every_call() {
    let mut table = Table::of(&[("A", "1"), ("B", "2"), ("C", "3")]);
    let station = Scripted::new(move |action, payload| table.call(action, payload));
    let metered = Arc::new(AtomicU32::new(0));
    let meter = metered.clone();
    let wire = Wire {
        pace: Pace::per_second(2),
        meter: Some(Arc::new(move |_, _, _| {
            meter.fetch_add(1, Ordering::SeqCst);
        })),
        ..Wire::new(station)
    };
    let start = tokio::time::Instant::now();
    let executed = run(
        &wire,
        &[change("A", "10"), change("B", "20"), change("C", "30")],
        &|_| Ok(()),
    )
    .await;
    assert_eq!((executed.calls, metered.load(Ordering::SeqCst)), (6, 6));
    assert!(
        start.elapsed() >= Duration::from_secs(2),
        "six calls at two a second: {:?}",
        start.elapsed()
    );
}
