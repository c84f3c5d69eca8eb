//! Every habit and fault over real sockets: what a CSMS sees of it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod csms;

use csms::{Csms, LIMIT};
use serde_json::{Value, json};
use stationkeeper_simulator::{FaultKind, Registration, Station, StationProfile, StationSettings};

const HEARTBEAT: &str = "HeartbeatInterval";
const RETRIES: &str = "ResetRetries";

fn fault(text: &str) -> stationkeeper_simulator::Fault {
    text.parse().unwrap()
}

/// What a station with some faults answers to a GetConfiguration.
async fn listing(faults: &[&str], payload: Value) -> Option<Value> {
    let mut csms = Csms::start().await;
    let (_station, connection) = csms.station(faults).await;
    connection.frame("GetConfiguration", payload).await
}

/// The answer for one key.
async fn shown(faults: &[&str], key: &str) -> Value {
    listing(faults, json!({"key": [key]})).await.unwrap()[2].clone()
}

fn names(answer: &Value) -> Vec<&str> {
    answer["configurationKey"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["key"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn spelling_and_twins() {
    assert_eq!(
        names(&shown(&["own-key-case"], HEARTBEAT).await),
        ["heartbeatInterval"]
    );
    assert_eq!(
        shown(&["exact-key-case"], "heartbeatinterval").await["unknownKey"],
        json!(["heartbeatinterval"])
    );
    let all = listing(&["case-twin:HeartbeatInterval"], json!({}))
        .await
        .unwrap()[2]
        .clone();
    assert!(names(&all).contains(&"heartbeatinterval") && names(&all).contains(&HEARTBEAT));
}

#[tokio::test]
async fn odd_sets_of_keys() {
    assert_eq!(
        names(&shown(&["duplicate-keys"], HEARTBEAT).await),
        [HEARTBEAT, HEARTBEAT]
    );
    assert_eq!(names(&shown(&["unasked-keys"], HEARTBEAT).await).len(), 3);
    let left_out = shown(&["leaves-out:heartbeatinterval"], HEARTBEAT).await;
    assert_eq!(left_out, json!({"configurationKey": []}));
    let listed = listing(&[], json!({})).await.unwrap()[2].clone();
    let all = listing(&["hides-keys:HeartbeatInterval"], json!({}))
        .await
        .unwrap()[2]
        .clone();
    assert_eq!(names(&all).len(), names(&listed).len() - 1);
    assert_eq!(
        names(&shown(&["hides-keys"], "AuthorizationCacheEnabled").await).len(),
        1
    );
    let half = listing(&["hides-keys"], json!({})).await.unwrap()[2].clone();
    assert_eq!(names(&half).len(), names(&listed).len().div_ceil(2));
}

#[tokio::test]
async fn odd_values() {
    let value = |answer: Value| answer["configurationKey"][0]["value"].clone();
    assert_eq!(
        value(shown(&["boolean-case"], "LocalPreAuthorize").await),
        "FALSE"
    );
    assert_eq!(
        value(shown(&["boolean-title"], "LocalPreAuthorize").await),
        "False"
    );
    assert_eq!(
        value(shown(&["boolean-digits"], "LocalPreAuthorize").await),
        "0"
    );
    assert_eq!(
        value(shown(&["boolean-on-off"], "LocalPreAuthorize").await),
        "Off"
    );
    assert_eq!(value(shown(&["number-formats"], HEARTBEAT).await), "300.0");
    assert_eq!(
        value(shown(&["list-reordering"], "ConnectorPhaseRotation").await),
        "2.RST,1.RST,0.RST"
    );
    assert_eq!(
        value(shown(&["list-spacing"], "ConnectorPhaseRotation").await),
        "0.RST, 1.RST, 2.RST"
    );
    assert_eq!(
        value(shown(&["list-quotes"], "ConnectorPhaseRotation").await),
        "\"0.RST,1.RST,2.RST\""
    );
    assert_eq!(value(shown(&["typed-values"], HEARTBEAT).await), 300);
    assert_eq!(
        value(shown(&["typed-values"], "LocalPreAuthorize").await),
        false
    );
    assert_eq!(
        value(shown(&["wrong-types"], HEARTBEAT).await),
        json!(["300"])
    );
    assert!(
        value(shown(&["long-value:HeartbeatInterval"], HEARTBEAT).await)
            .as_str()
            .unwrap()
            .len()
            > 500
    );
    assert_eq!(value(shown(&["omits-value"], HEARTBEAT).await), Value::Null);
    assert_eq!(
        value(shown(&["omits-value:ResetRetries"], HEARTBEAT).await),
        "300"
    );
}

#[tokio::test]
async fn named_values_go_out_by_label_or_by_code_as_the_vendor_does_it() {
    for (faults, delivered, written) in [
        (&[][..], "30 sec", "5 sec"),
        (&["choice-codes"][..], "3", "1"),
    ] {
        let mut csms = Csms::start().await;
        let station = Station::start(StationSettings {
            profile: StationProfile::built_in("ensto").unwrap(),
            ..csms.settings(faults)
        });
        let connection = csms.connection().await;
        connection.heard("BootNotification").await;
        let key = "DlmRecalcInterval";
        assert_eq!(connection.value(key).await, delivered);
        assert_eq!(connection.write(key, "5 sec").await, "Accepted");
        assert_eq!(connection.value(key).await, written);
        assert_eq!(connection.write(key, "60").await, "Rejected");
        station.stop().await;
    }
}

#[tokio::test]
async fn a_boolean_key_of_bender_makes_booleans_go_out_as_digits() {
    let mut csms = Csms::start().await;
    let station = Station::start(StationSettings {
        profile: StationProfile::built_in("bender").unwrap(),
        ..csms.settings(&[])
    });
    let connection = csms.connection().await;
    connection.heard("BootNotification").await;
    assert_eq!(connection.value("LocalPreAuthorize").await, "false");
    let (key, on) = ("OcppGetConfBoolIsInt", "1");
    assert_eq!(connection.write(key, on).await, "Accepted");
    assert_eq!(connection.value("LocalPreAuthorize").await, "0");
    assert_eq!(connection.value(key).await, "1");
    station.stop().await;
}

#[tokio::test]
async fn odd_readonly_flags() {
    let readonly = |answer: Value| answer["configurationKey"][0].get("readonly").cloned();
    assert_eq!(
        readonly(shown(&["readonly-as-string"], "NumberOfConnectors").await),
        Some(json!("true"))
    );
    assert_eq!(
        readonly(shown(&["readonly-as-number"], HEARTBEAT).await),
        Some(json!(0))
    );
    assert_eq!(readonly(shown(&["omits-readonly"], HEARTBEAT).await), None);
    let nulls = shown(&["null-values"], HEARTBEAT).await;
    assert_eq!(readonly(nulls.clone()), Some(Value::Null));
    assert_eq!(nulls.get("unknownKey"), Some(&Value::Null));
}

#[tokio::test]
async fn secrets_are_hidden_shown_or_omitted() {
    let check = async |faults: &[&str]| {
        let mut csms = Csms::start().await;
        let profile = StationProfile::built_in("amina").unwrap();
        let station = Station::start(StationSettings {
            profile,
            ..csms.settings(faults)
        });
        let connection = csms.connection().await;
        connection.heard("BootNotification").await;
        assert_eq!(
            connection
                .write("AuthorizationKey", "sixteen-bytes-ok")
                .await,
            "Accepted"
        );
        let answer = connection.read(&["AuthorizationKey"]).await;
        station.stop().await;
        answer
    };
    assert_eq!(check(&[]).await["configurationKey"][0].get("value"), None);
    assert_eq!(
        check(&["shows-secrets"]).await["configurationKey"][0]["value"],
        "sixteen-bytes-ok"
    );
    assert_eq!(
        check(&["omits-secrets"]).await,
        json!({"configurationKey": []})
    );
}

#[tokio::test]
async fn listings_that_fail() {
    let mut csms = Csms::start().await;
    let (station, connection) = csms.station(&["broken-json-listing:3"]).await;
    connection.say("[2,\"full\",\"GetConfiguration\",{}]");
    let broken = connection.text("[3,\"full\"").await;
    assert!(serde_json::from_str::<Value>(&broken).is_err());
    assert_eq!(connection.value(HEARTBEAT).await, "300");

    station.clear_fault(FaultKind::BrokenJsonListing);
    station.set_fault(fault("max-keys-4"));
    let five = json!({"key": ["A", "B", "C", "D", "E"]});
    assert_eq!(
        connection.error("GetConfiguration", five.clone()).await,
        "OccurenceConstraintViolation"
    );
    assert_eq!(
        connection.error("GetConfiguration", json!({})).await,
        "OccurenceConstraintViolation"
    );
    connection.read(&["A", "B", "C", "D"]).await;

    station.clear_fault(FaultKind::MaxKeys);
    station.set_fault(fault("truncates-listing:1"));
    let two = connection.read(&[HEARTBEAT, RETRIES]).await;
    assert_eq!(names(&two), [HEARTBEAT]);

    station.clear_fault(FaultKind::TruncatesListing);
    station.set_fault(fault("too-big:500"));
    assert_eq!(
        connection.error("GetConfiguration", json!({})).await,
        "InternalError"
    );
    assert_eq!(connection.value(HEARTBEAT).await, "300");

    station.clear_fault(FaultKind::TooBig);
    station.set_fault(fault("breaks-max-keys"));
    let eleven: Vec<String> = (0..11).map(|number| format!("K{number}")).collect();
    assert_eq!(
        connection
            .error("GetConfiguration", json!({"key": eleven}))
            .await,
        "OccurenceConstraintViolation"
    );

    station.clear_fault(FaultKind::BreaksMaxKeys);
    station.set_fault(fault("no-max-keys"));
    let none = connection.read(&["GetConfigurationMaxKeys"]).await;
    assert_eq!(none["unknownKey"], json!(["GetConfigurationMaxKeys"]));
    let many: Vec<String> = (0..60).map(|number| format!("K{number}")).collect();
    connection
        .call("GetConfiguration", json!({"key": many}))
        .await;

    station.set_fault(fault("empty-answer-to-empty-list"));
    assert_eq!(
        connection
            .call("GetConfiguration", json!({"key": []}))
            .await,
        json!({})
    );
    station.set_fault(fault("never-answers-full-listing"));
    connection.say("[2,\"unanswered\",\"GetConfiguration\",{}]");
    assert_eq!(connection.value(HEARTBEAT).await, "300");
}

#[tokio::test]
async fn silence_and_slowness() {
    let mut csms = Csms::start().await;
    let (station, connection) = csms.station(&["silent-sometimes:100"]).await;
    connection.say("[2,\"1\",\"ClearCache\",{}]");
    assert!(
        station
            .wait_until(LIMIT, |stats| stats.calls_of("ClearCache") == 1)
            .await
    );
    station.clear_fault(FaultKind::SilentSometimes);
    station.set_fault(fault("slow:60"));
    let before = std::time::Instant::now();
    connection.call("ClearCache", json!({})).await;
    assert!(before.elapsed().as_millis() >= 60);
    assert!(
        station.stats().violations.is_empty(),
        "an unanswered call is not in flight"
    );
    station.clear_fault(FaultKind::Slow);
    station.set_fault(fault("hangs-then-drops:30"));
    assert_eq!(connection.frame("GetConfiguration", json!({})).await, None);
    assert!(!connection.ended().await);
    csms.connection().await;
}

#[tokio::test]
async fn keys_that_bring_a_station_down() {
    let mut csms = Csms::start().await;
    let (station, first) = csms
        .station(&["drops-on-key:ResetRetries", "crashes-on-read:BlinkRepeat"])
        .await;
    assert_eq!(first.value(HEARTBEAT).await, "300");
    assert_eq!(
        first
            .frame("GetConfiguration", json!({"key": [HEARTBEAT, RETRIES]}))
            .await,
        None
    );
    assert!(!first.ended().await);
    let second = csms.connection().await;
    second.heard("StatusNotification").await;
    assert_eq!(station.stats().boots, 1);
    assert_eq!(
        second
            .frame("GetConfiguration", json!({"key": ["BlinkRepeat"]}))
            .await,
        None
    );
    let third = csms.connection().await;
    third.heard("BootNotification").await;
    station.set_fault(fault("crashes-on-write:HeartbeatInterval"));
    assert_eq!(
        third
            .frame(
                "ChangeConfiguration",
                json!({"key": HEARTBEAT, "value": "60"})
            )
            .await,
        None
    );
    let fourth = csms.connection().await;
    fourth.heard("BootNotification").await;
    assert_eq!(fourth.value(HEARTBEAT).await, "300");
    assert_eq!(station.stats().boots, 3);
}

#[tokio::test]
async fn a_station_boots_by_itself_after_a_write_that_it_accepts() {
    let mut csms = Csms::start().await;
    let (station, first) = csms.station(&["boots-after-write:HeartbeatInterval"]).await;
    let written = first
        .frame(
            "ChangeConfiguration",
            json!({"key": HEARTBEAT, "value": "60"}),
        )
        .await
        .unwrap();
    assert_eq!(written[2], json!({"status": "Accepted"}));
    let second = csms.connection().await;
    second.heard("BootNotification").await;
    assert_eq!(second.value(HEARTBEAT).await, "60");
    assert_eq!(station.stats().boots, 2);
}

#[tokio::test]
async fn a_boot_loop_can_be_ended() {
    let csms = Csms::start().await;
    let station = Station::start(csms.settings(&["boot-loop:20"]));
    assert!(station.wait_until(LIMIT, |stats| stats.boots >= 4).await);
    station.clear_fault(FaultKind::BootLoop);
    assert!(
        station
            .wait_until(LIMIT, |stats| stats.registration == Registration::Accepted)
            .await
    );
}

#[tokio::test]
async fn writes_that_wait_for_a_boot() {
    let mut csms = Csms::start().await;
    let (station, first) = csms.station(&["needs-reset:ResetRetries"]).await;
    assert_eq!(first.write(RETRIES, "5").await, "RebootRequired");
    assert_eq!(
        (
            first.value(RETRIES).await,
            station.value(RETRIES).unwrap().as_str()
        ),
        (json!("5"), "2")
    );
    station.set_fault(fault("shows-old-value-before-reset"));
    assert_eq!(first.value(RETRIES).await, "2");
    station.set_fault(fault("hides-reboot-required"));
    assert_eq!(first.write(RETRIES, "6").await, "Accepted");
    assert_eq!(
        first.call("Reset", json!({"type": "Hard"})).await["status"],
        "Accepted"
    );
    first.ended().await;
    let second = csms.connection().await;
    second.heard("BootNotification").await;
    assert_eq!(
        (
            second.value(RETRIES).await,
            station.value(RETRIES).unwrap().as_str()
        ),
        (json!("6"), "6")
    );
    station.set_fault(fault("reboot-required-for-equal"));
    assert_eq!(second.write(HEARTBEAT, "300").await, "RebootRequired");
}

#[tokio::test]
async fn writes_that_do_not_last() {
    let mut csms = Csms::start().await;
    let (station, first) = csms
        .station(&[
            "reverts-after-boot:ResetRetries",
            "accepts-and-ignores:BlinkRepeat",
        ])
        .await;
    assert_eq!(first.write(RETRIES, "5").await, "Accepted");
    assert_eq!(first.write("BlinkRepeat", "9").await, "Accepted");
    assert_eq!(
        (first.value(RETRIES).await, first.value("BlinkRepeat").await),
        (json!("5"), json!("3"))
    );
    station.power_cycle();
    let second = csms.connection().await;
    second.heard("BootNotification").await;
    assert_eq!(second.value(RETRIES).await, "2");
    second.write(HEARTBEAT, "900").await;
    station.set_fault(fault("forgets-at-power-loss"));
    station.power_cycle();
    let third = csms.connection().await;
    third.heard("BootNotification").await;
    assert_eq!(third.value(HEARTBEAT).await, "300");
    third.write(HEARTBEAT, "900").await;
    station.set_fault(fault("forgets-at-firmware-update"));
    station.update_firmware("2", &[]);
    let fourth = csms.connection().await;
    fourth.heard("BootNotification").await;
    assert_eq!(fourth.value(HEARTBEAT).await, "300");
}

#[tokio::test]
async fn the_heartbeat_comes_with_the_boot() {
    let mut csms = Csms::start().await;
    csms.boots.lock().unwrap().interval = 1234;
    let (station, _connection) = csms.station(&["heartbeat-from-boot"]).await;
    assert!(
        station
            .wait_until(LIMIT, |stats| stats.registration == Registration::Accepted)
            .await
    );
    assert_eq!(station.value(HEARTBEAT).unwrap(), "1234");
}

#[tokio::test]
async fn statuses_that_mislead() {
    let mut csms = Csms::start().await;
    let (station, connection) = csms
        .station(&["wrong-unknown-key", "not-supported-for-rejected"])
        .await;
    assert_eq!(connection.write("Nothing", "1").await, "Rejected");
    assert_eq!(connection.write(HEARTBEAT, "soon").await, "NotSupported");
    station.set_fault(fault("unknown-status"));
    assert_eq!(connection.write(HEARTBEAT, "60").await, "AcceptedInPart");
    assert_eq!(station.value(HEARTBEAT).unwrap(), "60");
}

#[tokio::test]
async fn resets_that_do_not_go_well() {
    let mut csms = Csms::start().await;
    let (station, connection) = csms.station(&["reset-ignored"]).await;
    let reset =
        async |kind: &str| connection.call("Reset", json!({"type": kind})).await["status"].clone();
    connection.heard("StatusNotification").await;
    assert_eq!(reset("Hard").await, "Accepted");
    station.clear_fault(FaultKind::ResetIgnored);
    station.set_fault(fault("reset-rejected"));
    assert_eq!(reset("Hard").await, "Rejected");
    station.clear_fault(FaultKind::ResetRejected);
    station.set_fault(fault("soft-reset-rejected"));
    assert_eq!(reset("Soft").await, "Rejected");
    station.set_fault(fault("reset-fails"));
    assert_eq!(reset("Hard").await, "Accepted");
    loop {
        if connection.heard("StatusNotification").await["errorCode"] == "ResetFailure" {
            break;
        }
    }
    assert_eq!(station.stats().boots, 1);
    station.clear_fault(FaultKind::ResetFails);
    station.set_fault(fault("reset-late:80"));
    let before = std::time::Instant::now();
    assert_eq!(reset("Hard").await, "Accepted");
    connection.ended().await;
    assert!(before.elapsed().as_millis() >= 80);
    let second = csms.connection().await;
    second.heard("BootNotification").await;
    station.set_fault(fault("reset-drops-line"));
    assert_eq!(second.frame("Reset", json!({"type": "Hard"})).await, None);
    csms.connection().await.heard("BootNotification").await;
    assert_eq!(station.stats().boots, 3);
}

#[tokio::test]
async fn a_soft_reset_waits_for_the_customer_or_cuts_him_off() {
    let mut csms = Csms::start().await;
    let (station, first) = csms.station(&["soft-reset-postponed"]).await;
    station.begin_transaction(1, "TAG");
    first.heard("StartTransaction").await;
    assert_eq!(
        first.call("Reset", json!({"type": "Soft"})).await["status"],
        "Accepted"
    );
    station.end_transaction(1);
    assert_eq!(first.heard("StopTransaction").await["reason"], "Local");
    first.ended().await;
    let second = csms.connection().await;
    second.heard("BootNotification").await;
    station.clear_fault(FaultKind::SoftResetPostponed);
    station.set_fault(fault("soft-reset-ends-session"));
    station.begin_transaction(1, "TAG");
    second.heard("StartTransaction").await;
    assert_eq!(
        second.call("Reset", json!({"type": "Soft"})).await["status"],
        "Accepted"
    );
    second.ended().await;
    let third = csms.connection().await;
    third.heard("BootNotification").await;
    for _ in 0..=2 {
        third.heard("StatusNotification").await;
    }
    assert!(
        !second
            .pending_calls()
            .iter()
            .chain(&third.pending_calls())
            .any(|action| action == "StopTransaction")
    );
}

#[tokio::test]
async fn boots_that_are_silent_or_told_without_reason() {
    let mut csms = Csms::start().await;
    let (station, first) = csms.station(&["no-boot-notification-on-reconnect"]).await;
    first.heard("StatusNotification").await;
    station.power_cycle();
    let second = csms.connection().await;
    second.heard("StatusNotification").await;
    assert_eq!(
        (station.stats().boots, station.stats().boot_notifications),
        (2, 1)
    );
    station.clear_fault(FaultKind::NoBootNotificationOnReconnect);
    station.set_fault(fault("boot-notification-on-every-reconnect"));
    station.drop_line();
    let third = csms.connection().await;
    third.heard("BootNotification").await;
    assert_eq!(
        (station.stats().boots, station.stats().boot_notifications),
        (2, 2)
    );
    station.set_fault(fault("keeps-line-at-boot"));
    third.call("Reset", json!({"type": "Hard"})).await;
    third.heard("BootNotification").await;
    assert_eq!((station.stats().boots, station.stats().connects), (3, 3));
}

#[tokio::test]
async fn a_second_connection_opens_before_the_first_is_gone() {
    let mut csms = Csms::start().await;
    let (station, first) = csms.station(&[]).await;
    first.heard("StatusNotification").await;
    station.set_fault(fault("second-connection:150"));
    let second = csms.connection().await;
    second.heard("StatusNotification").await;
    assert_eq!(second.value(HEARTBEAT).await, "300");
    assert!(
        first.ended().await,
        "the first is closed late, and properly"
    );
    assert_eq!(second.value(HEARTBEAT).await, "300");
}

#[tokio::test]
async fn of_two_calls_the_last_is_answered() {
    let mut csms = Csms::start().await;
    // Long enough for both to arrive.
    let (station, connection) = csms.station(&["one-call-only:2000"]).await;
    connection.say("[2,\"lost\",\"ClearCache\",{}]");
    connection
        .frame_with_id("kept", "ClearCache", json!({}))
        .await
        .unwrap();
    station.clear_fault(FaultKind::OneCallOnly);
    assert_eq!(connection.value(HEARTBEAT).await, "300");
    assert!(!connection.texts().iter().any(|text| text.contains("lost")));
}

#[tokio::test]
async fn a_change_of_credentials_makes_it_leave_without_a_boot() {
    let mut csms = Csms::start().await;
    let profile = StationProfile::built_in("amina").unwrap();
    let settings = csms.settings(&["leaves-after-credential-change"]);
    let station = Station::start(StationSettings {
        profile,
        password: Some("old".into()),
        ..settings
    });
    let first = csms.connection().await;
    first.heard("StatusNotification").await;
    assert_eq!(
        first.write("AuthorizationKey", "sixteen-bytes-ok").await,
        "Accepted"
    );
    first.ended().await;
    let second = csms.connection().await;
    assert_ne!(first.authorization, second.authorization);
    second.heard("StatusNotification").await;
    assert_eq!(station.stats().boot_notifications, 1);
}

#[tokio::test]
async fn no_trigger_message_and_old_message_ids() {
    let mut csms = Csms::start().await;
    let (station, first) = csms
        .station(&["no-trigger-message", "message-ids-restart"])
        .await;
    let trigger = json!({"requestedMessage": "Heartbeat"});
    assert_eq!(
        first.error("TriggerMessage", trigger).await,
        "NotImplemented"
    );
    first.text("[2,\"1\",\"BootNotification\"").await;
    station.drop_line();
    csms.connection()
        .await
        .text("[2,\"1\",\"StatusNotification\"")
        .await;
}

#[tokio::test]
async fn other_writers_have_their_way() {
    let mut csms = Csms::start().await;
    let (station, first) = csms.station(&["contested:HeartbeatInterval=60"]).await;
    assert_eq!(first.value(HEARTBEAT).await, "60");
    assert_eq!(first.write(HEARTBEAT, "900").await, "Accepted");
    // It may have been put back before this test looks.
    assert_eq!(station.stats().written(HEARTBEAT), ["900"]);
    assert!(station.wait_until_key(LIMIT, HEARTBEAT, "60").await);
    station.set_fault(fault("written-at-connect:ResetRetries=7"));
    station.set_fault(fault("written-at-boot:BlinkRepeat=8"));
    station.drop_line();
    let second = csms.connection().await;
    assert_eq!(
        (
            second.value(RETRIES).await,
            second.value("BlinkRepeat").await
        ),
        (json!("7"), json!("3"))
    );
    station.power_cycle();
    assert_eq!(csms.connection().await.value("BlinkRepeat").await, "8");
}

#[tokio::test]
async fn power_on_is_the_first_boot_at_which_another_writer_sets_the_key() {
    let mut csms = Csms::start().await;
    let (_station, first) = csms.station(&["written-at-boot:BlinkRepeat=8"]).await;
    assert_eq!(first.value("BlinkRepeat").await, "8");
}

#[tokio::test]
async fn bad_peers_send_what_they_should_not_and_live_on() {
    let mut csms = Csms::start().await;
    let faults = [
        "broken-frames",
        "binary-frames",
        "replies-to-nothing",
        "deep-json:5000",
        "huge-frame:1",
    ];
    let (_station, connection) = csms.station(&faults).await;
    connection.text("(binary)").await;
    connection.text("nobody-asked").await;
    connection.text("[9,\"x\"").await;
    assert!(connection.text("\"deep\"").await.contains("[[[[[["));
    assert!(connection.text("\"huge\"").await.len() > 1 << 20);
    assert_eq!(connection.value(HEARTBEAT).await, "300");
}

#[tokio::test]
async fn half_a_handshake_comes_before_each_proper_one() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let csms = Csms::start().await;
    let _station = Station::start(StationSettings {
        url,
        ..csms.settings(&["half-handshake"])
    });
    let accept = async || {
        tokio::time::timeout(LIMIT, listener.accept())
            .await
            .unwrap()
            .unwrap()
            .0
    };
    let (mut half, _whole) = (accept().await, accept().await);
    let mut text = [0; 64];
    let read = tokio::io::AsyncReadExt::read(&mut half, &mut text)
        .await
        .unwrap();
    assert!(text[..read].starts_with(b"GET ") && !text[..read].ends_with(b"\r\n\r\n"));
}

#[tokio::test]
async fn garbage_is_taken_when_told_so() {
    let mut csms = Csms::start().await;
    let (station, connection) = csms.station(&["accepts-garbage"]).await;
    assert_eq!(connection.write(HEARTBEAT, "soon").await, "Accepted");
    assert_eq!(connection.value(HEARTBEAT).await, "soon");
    station.clear_fault(FaultKind::AcceptsGarbage);
    station.set_fault(fault("garbage-becomes-zero"));
    assert_eq!(connection.write(HEARTBEAT, "later").await, "Accepted");
    assert_eq!(connection.value(HEARTBEAT).await, "0");
    station.clear_fault(FaultKind::GarbageBecomesZero);
    station.set_fault(fault("rejects-whole-list:SoC"));
    assert_eq!(
        connection.write("StopTxnSampledData", "SoC,Voltage").await,
        "Rejected"
    );
    station.clear_fault(FaultKind::RejectsWholeList);
    station.set_fault(fault("drops-list-items:SoC"));
    assert_eq!(
        connection.write("StopTxnSampledData", "SoC,Voltage").await,
        "Accepted"
    );
    assert_eq!(connection.value("StopTxnSampledData").await, "Voltage");
}

#[test]
fn every_fault_is_shown_by_a_test() {
    let tests = [
        include_str!("faults.rs"),
        include_str!("../src/value.rs"),
        include_str!("../src/keys.rs"),
    ]
    .concat();
    let in_a_test = |kind: &FaultKind| {
        let name = kind.name();
        [
            format!("\"{name}\""),
            format!("\"{name}:"),
            format!("\"{name}-4"),
        ]
        .iter()
        .any(|text| tests.contains(text))
    };
    let untested: Vec<_> = FaultKind::ALL
        .iter()
        .filter(|kind| !in_a_test(kind))
        .map(|kind| kind.name())
        .collect();
    assert_eq!(untested, Vec::<&str>::new());
}
