//! Reading: what is made of an answer.

use std::sync::Arc;

use serde_json::{Value, json};
use stationkeeper::connector::{CallResult, Identity};
use stationkeeper::execute::Wire;
use stationkeeper::observe::{Ask, Observation, observe};
use stationkeeper_core::observed::Reading;
use stationkeeper_core::words::Key;

use crate::scripted::{Scripted, answer, ask, known, names, of_size, read, reading};

/// One call for these keys, answered so.
async fn answered(keys: &[&str], payload: Value) -> Observation {
    let mut once = Some(answer(payload));
    let station = Scripted::new(move |_, _| once.take().unwrap_or_else(|| answer(json!({}))));
    read(&station, &ask(keys), of_size(50)).await
}

#[tokio::test]
async fn the_stations_own_spelling_is_matched_ignoring_case_and_kept() {
    let seen = answered(
        &["MeterValueSampleInterval", "Nope"],
        json!({"configurationKey": [{"key": "meterValueSAMPLEInterval", "readonly": false, "value": "60"}], "unknownKey": ["NOPE"]}),
    )
    .await;
    assert_eq!(
        reading(&seen, "MeterValueSampleInterval"),
        &known("meterValueSAMPLEInterval", Some("60"), Some(false))
    );
    assert_eq!(reading(&seen, "Nope"), &Reading::Unknown);
}

#[tokio::test]
async fn a_spelling_that_is_known_already_is_asked_for() {
    let station = Scripted::new(|_, payload| {
        assert_eq!(names(payload), ["heartbeatinterval"]);
        answer(
            json!({"configurationKey": [{"key": "heartbeatinterval", "readonly": false, "value": "60"}]}),
        )
    });
    let ask = Ask {
        spelling: Some(Key::from("heartbeatinterval")),
        ..Ask::new(Key::from("HeartbeatInterval"))
    };
    let seen = read(&station, &[ask], of_size(5)).await;
    assert_eq!(
        reading(&seen, "HeartbeatInterval"),
        &known("heartbeatinterval", Some("60"), Some(false))
    );
}

#[tokio::test]
async fn of_two_keys_that_differ_by_case_the_exact_one_is_taken() {
    let both = json!({"configurationKey": [{"key": "HeartBeatInterval", "value": "1"}, {"key": "HeartbeatInterval", "value": "2"}]});
    let seen = answered(&["HeartbeatInterval"], both.clone()).await;
    assert_eq!(reading(&seen, "HeartbeatInterval").value(), Some("2"));
    let seen = answered(&["HeartBeatInterval", "HeartbeatInterval"], both).await;
    assert_eq!(reading(&seen, "HeartBeatInterval").value(), Some("1"));
    assert_eq!(reading(&seen, "HeartbeatInterval").value(), Some("2"));
    let one = json!({"configurationKey": [{"key": "HeartbeatInterval", "value": "2"}], "unknownKey": ["HeartBeatInterval"]});
    let seen = answered(&["HeartBeatInterval", "HeartbeatInterval"], one).await;
    assert_eq!(
        reading(&seen, "HeartBeatInterval"),
        &Reading::Unknown,
        "the other key's entry is not its own"
    );
}

#[tokio::test]
async fn only_ambiguous_matches_are_said_to_be_so() {
    let both = json!({"configurationKey": [{"key": "HeartBeatInterval", "value": "1"}, {"key": "HeartbeatInterval", "value": "2"}]});
    let seen = answered(&["HEARTBEATINTERVAL"], both).await;
    let spellings = vec![
        Key::from("HeartBeatInterval"),
        Key::from("HeartbeatInterval"),
    ];
    assert_eq!(
        reading(&seen, "HEARTBEATINTERVAL"),
        &Reading::Ambiguous { spellings }
    );
}

#[tokio::test]
async fn keys_listed_twice_or_unasked_change_nothing() {
    let seen = answered(
        &["A"],
        json!({"configurationKey": [{"key": "A", "value": "1"}, {"key": "A", "value": "1"}, {"key": "B", "value": "2"}], "unknownKey": ["A", "C"]}),
    )
    .await;
    assert_eq!(seen.observed.readings.len(), 1);
    assert_eq!(reading(&seen, "A"), &known("A", Some("1"), None));
}

#[tokio::test]
async fn absent_empty_and_odd_values_are_three_things() {
    let long = "x".repeat(4_000);
    let seen = answered(
        &["Absent", "Empty", "Null", "Number", "Boolean", "Long"],
        json!({"configurationKey": [
            {"key": "Absent", "readonly": "true"},
            {"key": "Empty", "readonly": 0, "value": ""},
            {"key": "Null", "readonly": false, "value": null},
            {"key": "Number", "readonly": "1", "value": 900},
            {"key": "Boolean", "value": true},
            {"key": "Long", "readonly": "perhaps", "value": long},
        ]}),
    )
    .await;
    assert_eq!(reading(&seen, "Absent"), &known("Absent", None, Some(true)));
    assert_eq!(
        reading(&seen, "Empty"),
        &known("Empty", Some(""), Some(false))
    );
    assert_eq!(reading(&seen, "Null"), &known("Null", None, Some(false)));
    assert_eq!(
        reading(&seen, "Number"),
        &known("Number", Some("900"), Some(true))
    );
    assert_eq!(
        reading(&seen, "Boolean"),
        &known("Boolean", Some("true"), None)
    );
    assert_eq!(reading(&seen, "Long"), &known("Long", Some(&long), None));
}

#[tokio::test]
async fn a_secret_that_the_station_shows_is_dropped_wherever_it_shows_up() {
    let secret = |key: &str| Ask {
        secret: true,
        ..Ask::new(Key::from(key))
    };
    let shows = Scripted::new(|_, payload| match names(payload).as_slice() {
        [one] if one == "Garbled" => CallResult::Garbled("invalid token at hunter2".to_owned()),
        [one] if one == "Error" => CallResult::CallError {
            code: "hunter2".to_owned(),
            description: "hunter2".to_owned(),
        },
        [one] if one == "Shape" => answer(json!("hunter2")),
        _ => answer(
            json!({"configurationKey": [{"key": "authorizationkey", "readonly": false, "value": "hunter2"}]}),
        ),
    });
    for key in ["AuthorizationKey", "Garbled", "Error", "Shape"] {
        let seen = read_once(&shows, &[secret(key)]).await;
        assert!(!format!("{seen:?}").contains("hunter2"), "{seen:?}");
    }
    let seen = read_once(&shows, &[secret("AuthorizationKey")]).await;
    assert_eq!(
        reading(&seen, "AuthorizationKey"),
        &known("authorizationkey", None, Some(false))
    );
}

async fn read_once(station: &Arc<Scripted>, asks: &[Ask]) -> Observation {
    observe(
        &Wire::new(station.clone()),
        &Identity::new("CP1"),
        asks,
        of_size(9),
        &|_| Ok(()),
    )
    .await
}
