//! Stations over real sockets: connecting, booting, reconnecting, charging.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod csms;

use std::sync::Arc;

use base64::Engine as _;
use csms::{ACCEPTED, Boots, Csms, LIMIT};
use serde_json::json;
use stationkeeper_simulator::{
    BootReason, Fleet, FleetSettings, Registration, Station, StationProfile, StationSettings,
    Trust, Violation,
};

#[tokio::test]
async fn a_station_connects_boots_and_tells_its_connectors() {
    let mut csms = Csms::start().await;
    let settings = StationSettings {
        password: Some("secret".into()),
        ..csms.settings(&[])
    };
    let station = Station::start(settings);
    let connection = csms.connection().await;
    assert_eq!(connection.path, "/ocpp/cp-1");
    let basic = connection.authorization.clone().unwrap();
    let pair = base64::engine::general_purpose::STANDARD
        .decode(basic.strip_prefix("Basic ").unwrap())
        .unwrap();
    assert_eq!(pair, b"cp-1:secret");
    let boot = connection.heard("BootNotification").await;
    assert_eq!(boot["chargePointModel"], "Standard");
    for connector in 0..=2 {
        let status = connection.heard("StatusNotification").await;
        assert_eq!(
            (&status["connectorId"], &status["status"]),
            (&json!(connector), &json!("Available"))
        );
        assert!(
            status["timestamp"]
                .as_str()
                .unwrap()
                .starts_with("2026-02-03T04:"),
            "the CSMS's time: {status}"
        );
    }
    station.stop().await;
    assert!(connection.ended().await, "closed properly");
}

#[tokio::test]
async fn the_same_seed_makes_the_same_station() {
    let mut csms = Csms::start().await;
    let mut serials = Vec::new();
    for (seed, identity) in [(1, "a"), (1, "a"), (2, "a"), (1, "b")] {
        let settings = StationSettings {
            seed,
            identity: identity.to_owned(),
            ..csms.settings(&[])
        };
        let station = Station::start(settings);
        let connection = csms.connection().await;
        serials.push(connection.heard("BootNotification").await["chargePointSerialNumber"].clone());
        station.stop().await;
    }
    assert_eq!(serials[0], serials[1]);
    assert_ne!(serials[0], serials[2]);
    assert_ne!(serials[0], serials[3]);
}

#[tokio::test]
async fn a_pending_station_is_called_and_boots_again_until_accepted() {
    let mut csms = Csms::start().await;
    *csms.boots.lock().unwrap() = Boots {
        status: "Pending",
        interval: 3600,
    };
    let mut settings = csms.settings(&[]);
    settings.pace.boot_retry_longest = std::time::Duration::from_millis(200);
    let station = Station::start(settings);
    let connection = csms.connection().await;
    connection.heard("BootNotification").await;
    assert!(
        station
            .wait_until(LIMIT, |stats| stats.registration == Registration::Pending)
            .await
    );
    assert_eq!(
        connection.write("HeartbeatInterval", "900").await,
        "Accepted"
    );
    let others = connection
        .pending_calls()
        .into_iter()
        .find(|action| action != "BootNotification");
    assert_eq!(others, None, "nothing but BootNotification while Pending");
    *csms.boots.lock().unwrap() = ACCEPTED;
    connection.heard("StatusNotification").await;
    assert!(
        station.stats().violations.is_empty(),
        "{:?}",
        station.stats().violations
    );
    assert_eq!(
        station.stats().boots,
        1,
        "a repeated BootNotification is no boot"
    );
}

#[tokio::test]
async fn a_pending_station_that_has_not_booted_comes_back_quietly() {
    let mut csms = Csms::start().await;
    *csms.boots.lock().unwrap() = Boots {
        status: "Pending",
        interval: 3600,
    };
    let (station, _first) = csms.station(&[]).await;
    let pending =
        |stats: &stationkeeper_simulator::Stats| stats.registration == Registration::Pending;
    assert!(station.wait_until(LIMIT, pending).await);
    station.drop_line();
    let second = csms.connection().await;
    assert_eq!(second.value("HeartbeatInterval").await, "300");
    assert_eq!(
        (
            station.stats().boot_notifications,
            station.stats().violations.len()
        ),
        (1, 0)
    );
    station.power_cycle();
    csms.connection().await.heard("BootNotification").await;
    station.set_fault("no-boot-notification-on-reconnect".parse().unwrap());
    assert!(station.wait_until(LIMIT, pending).await);
    station.power_cycle();
    let fourth = csms.connection().await;
    assert_eq!(fourth.value("HeartbeatInterval").await, "300");
    assert_eq!(
        (station.stats().boot_notifications, station.stats().boots),
        (2, 3)
    );
}

#[tokio::test]
async fn a_rejected_station_answers_nothing() {
    let mut csms = Csms::start().await;
    *csms.boots.lock().unwrap() = Boots {
        status: "Rejected",
        interval: 0,
    };
    let (station, connection) = csms.station(&[]).await;
    assert!(
        station
            .wait_until(LIMIT, |stats| stats.registration == Registration::Rejected)
            .await
    );
    connection.say("[2,\"1\",\"GetConfiguration\",{}]");
    let breach = Violation::CallBeforeRegistration {
        action: "GetConfiguration".to_owned(),
    };
    assert!(
        station
            .wait_until(LIMIT, |stats| stats
                .violations
                .iter()
                .any(|(_, own)| *own == breach))
            .await
    );
}

#[tokio::test]
async fn a_dropped_line_comes_back_without_a_boot_and_a_power_cycle_with_one() {
    let mut csms = Csms::start().await;
    let (station, first) = csms.station(&[]).await;
    first.heard("StatusNotification").await;
    station.drop_line();
    assert!(!first.ended().await, "dropped, not closed");
    let second = csms.connection().await;
    second.heard("StatusNotification").await;
    assert_eq!(station.stats().boot_notifications, 1);
    station.power_cycle();
    assert!(!second.ended().await);
    csms.connection().await.heard("BootNotification").await;
    let stats = station.stats();
    assert_eq!(
        (stats.boots, stats.boot_notifications, stats.connects),
        (2, 2, 3)
    );
}

#[tokio::test]
async fn a_station_that_is_told_to_stays_away() {
    let mut csms = Csms::start().await;
    let (station, first) = csms.station(&[]).await;
    station.disconnect();
    assert!(first.ended().await, "closed properly");
    station.set_key("HeartbeatInterval", "7");
    station.reconnect();
    let second = csms.connection().await;
    assert_eq!(second.value("HeartbeatInterval").await, "7");
}

#[tokio::test]
async fn a_refused_station_tries_again() {
    // Taken, so that nobody else gets it, and nobody listens.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let csms = Csms::start().await;
    let station = Station::start(StationSettings {
        url: format!("ws://{address}"),
        ..csms.settings(&[])
    });
    assert!(station.wait_until(LIMIT, |stats| stats.refused >= 3).await);
    let stats = station.stats();
    assert!(
        stats
            .last_refusal
            .unwrap()
            .contains("failed to reach \"127.0.0.1\"")
    );
    station.stop().await;
}

#[tokio::test]
async fn a_transaction_is_told_and_a_reset_in_it_is_noticed() {
    let mut csms = Csms::start().await;
    let (station, connection) = csms.station(&[]).await;
    station.plug_in(1);
    station.begin_transaction(1, "TAG");
    assert_eq!(connection.heard("StartTransaction").await["idTag"], "TAG");
    assert_eq!(
        connection.heard("StatusNotification").await["status"],
        "Charging"
    );
    assert_eq!(
        connection.call("Reset", json!({"type": "Soft"})).await["status"],
        "Accepted"
    );
    let stop = connection.heard("StopTransaction").await;
    assert_eq!(
        (&stop["reason"], &stop["transactionId"]),
        (&json!("SoftReset"), &json!(77))
    );
    connection.ended().await;
    csms.connection().await.heard("BootNotification").await;
    assert!(
        station
            .stats()
            .violations
            .iter()
            .any(|(_, own)| *own == Violation::ResetWhileCharging)
    );
}

#[tokio::test]
async fn a_session_cut_by_a_power_loss_is_told_after_the_boot() {
    let mut csms = Csms::start().await;
    let (station, connection) = csms.station(&[]).await;
    station.begin_transaction(2, "TAG");
    connection.heard("StartTransaction").await;
    assert!(
        station
            .wait_until(LIMIT, |stats| stats
                .answered
                .contains_key("StartTransaction"))
            .await
    );
    station.power_cycle();
    let again = csms.connection().await;
    let stop = again.heard("StopTransaction").await;
    assert_eq!(
        (&stop["reason"], &stop["transactionId"]),
        (&json!("PowerLoss"), &json!(77))
    );
}

#[tokio::test]
async fn the_csms_may_start_and_stop_a_session() {
    let mut csms = Csms::start().await;
    let (station, connection) = csms.station(&[]).await;
    let start = json!({"idTag": "REMOTE", "connectorId": 1});
    assert_eq!(
        connection
            .call("RemoteStartTransaction", start.clone())
            .await["status"],
        "Accepted"
    );
    assert_eq!(
        connection.call("RemoteStartTransaction", start).await["status"],
        "Rejected"
    );
    connection.heard("StartTransaction").await;
    assert!(
        station
            .wait_until(LIMIT, |stats| stats
                .answered
                .contains_key("StartTransaction"))
            .await
    );
    assert_eq!(
        connection
            .call("RemoteStopTransaction", json!({"transactionId": 77}))
            .await["status"],
        "Accepted"
    );
    assert_eq!(
        connection.heard("StopTransaction").await["reason"],
        "Remote"
    );
}

#[tokio::test]
async fn new_firmware_resets_keys_and_boots() {
    let mut csms = Csms::start().await;
    let (station, connection) = csms.station(&[]).await;
    connection.write("HeartbeatInterval", "900").await;
    connection.write("ResetRetries", "5").await;
    station.update_firmware("2.0.0", &["HeartbeatInterval"]);
    let again = csms.connection().await;
    assert_eq!(
        again.heard("BootNotification").await["firmwareVersion"],
        "2.0.0"
    );
    assert_eq!(again.value("HeartbeatInterval").await, "300");
    assert_eq!(again.value("ResetRetries").await, "5");
}

#[tokio::test]
async fn every_call_of_ocpp_is_answered() {
    let mut csms = Csms::start().await;
    let (_station, connection) = csms.station(&[]).await;
    connection.heard("StatusNotification").await;
    let calls = [
        (
            "ChangeAvailability",
            json!({"connectorId": 0, "type": "Operative"}),
            "Accepted",
        ),
        ("ClearCache", json!({}), "Accepted"),
        ("UnlockConnector", json!({"connectorId": 1}), "Unlocked"),
        ("DataTransfer", json!({"vendorId": "x"}), "UnknownVendorId"),
        (
            "SendLocalList",
            json!({"listVersion": 4, "updateType": "Full"}),
            "Accepted",
        ),
        ("ReserveNow", json!({}), "Rejected"),
        ("CancelReservation", json!({"reservationId": 1}), "Rejected"),
        ("SetChargingProfile", json!({}), "Accepted"),
        ("ClearChargingProfile", json!({}), "Unknown"),
        (
            "GetCompositeSchedule",
            json!({"connectorId": 1, "duration": 1}),
            "Rejected",
        ),
        (
            "TriggerMessage",
            json!({"requestedMessage": "Heartbeat"}),
            "Accepted",
        ),
        (
            "ExtendedTriggerMessage",
            json!({"requestedMessage": "LogStatusNotification"}),
            "NotImplemented",
        ),
    ];
    for (action, payload, status) in calls {
        assert_eq!(
            connection.call(action, payload).await["status"],
            status,
            "{action}"
        );
    }
    assert_eq!(
        connection.call("GetLocalListVersion", json!({})).await["listVersion"],
        4
    );
    connection.heard("Heartbeat").await;
    assert_eq!(
        connection.error("FlyToTheMoon", json!({})).await,
        "NotImplemented"
    );
    assert_eq!(
        connection
            .error("ChangeConfiguration", json!({"key": 1}))
            .await,
        "TypeConstraintViolation"
    );
}

#[tokio::test]
async fn triggered_messages_come_also_while_pending() {
    let mut csms = Csms::start().await;
    *csms.boots.lock().unwrap() = Boots {
        status: "Pending",
        interval: 3600,
    };
    let (station, connection) = csms.station(&[]).await;
    assert!(
        station
            .wait_until(LIMIT, |stats| stats.registration == Registration::Pending)
            .await
    );
    let trigger = json!({"requestedMessage": "StatusNotification", "connectorId": 2});
    assert_eq!(
        connection.call("TriggerMessage", trigger).await["status"],
        "Accepted"
    );
    assert_eq!(
        connection.heard("StatusNotification").await["connectorId"],
        2
    );
}

#[tokio::test]
async fn amina_is_listed_as_its_reference_says() {
    let mut csms = Csms::start().await;
    let profile = StationProfile::built_in("amina").unwrap();
    let station = Station::start(StationSettings {
        profile,
        ..csms.settings(&[])
    });
    let connection = csms.connection().await;
    connection.heard("BootNotification").await;
    let listing = connection.call("GetConfiguration", json!({})).await;
    assert_eq!(
        listing["configurationKey"].as_array().unwrap().len(),
        station.keys().len()
    );
    let key = connection.read(&["AuthorizationKey", "BlinkRepeat"]).await;
    assert_eq!(
        key["configurationKey"][0],
        json!({"key": "AuthorizationKey", "readonly": false})
    );
    assert_eq!(key["unknownKey"], json!(["BlinkRepeat"]));
    let swapped = "NetworkConnectionProfile2,NetworkConnectionProfile1";
    assert_eq!(
        connection
            .write("NetworkConfigurationPriority", swapped)
            .await,
        "RebootRequired"
    );
    assert_ne!(
        station.value("NetworkConfigurationPriority").unwrap(),
        swapped
    );
    station.reboot(BootReason::Local);
    csms.connection().await.heard("BootNotification").await;
    assert_eq!(
        station.value("NetworkConfigurationPriority").unwrap(),
        swapped
    );
}

#[tokio::test]
async fn a_new_password_opens_the_next_connection() {
    let mut csms = Csms::start().await;
    let profile = StationProfile::built_in("amina").unwrap();
    let station = Station::start(StationSettings {
        profile,
        password: Some("old".into()),
        ..csms.settings(&[])
    });
    let connection = csms.connection().await;
    connection.heard("BootNotification").await;
    assert_eq!(
        connection
            .write("AuthorizationKey", "a-new-password-16")
            .await,
        "Accepted"
    );
    station.drop_line();
    let again = csms.connection().await.authorization.unwrap();
    let pair = base64::engine::general_purpose::STANDARD
        .decode(again.strip_prefix("Basic ").unwrap())
        .unwrap();
    assert_eq!(pair, b"cp-1:a-new-password-16");
}

#[tokio::test]
async fn breaches_of_the_rules_are_noticed() {
    let mut csms = Csms::start().await;
    // Long enough for two calls to arrive.
    let (station, connection) = csms.station(&["slow:2000"]).await;
    station
        .wait_until(LIMIT, |stats| stats.registration == Registration::Accepted)
        .await;
    let (first, second) = tokio::join!(
        connection.frame_with_id("same", "GetConfiguration", json!({"key": ["ResetRetries"]})),
        connection.frame_with_id("other", "ClearCache", json!({})),
    );
    assert!(first.is_some() && second.is_some());
    station.clear_fault(stationkeeper_simulator::FaultKind::Slow);
    connection
        .frame_with_id("same", "ClearCache", json!({}))
        .await;
    connection.write("HeartbeatInterval", "0300").await;
    connection.write("NumberOfConnectors", "3").await;
    connection.write("Nothing", "3").await;
    let many: Vec<String> = (0..21).map(|number| format!("K{number}")).collect();
    connection
        .error("GetConfiguration", json!({"key": many}))
        .await;
    connection
        .call(
            "TriggerMessage",
            json!({"requestedMessage": "BootNotification"}),
        )
        .await;
    connection.say("[3,\"nothing\",{}]");
    connection.say("{}");
    let expected = [
        Violation::TwoCallsInFlight {
            action: "ClearCache".to_owned(),
        },
        Violation::ReusedMessageId {
            id: "same".to_owned(),
        },
        Violation::EqualWrite {
            key: "HeartbeatInterval".to_owned(),
        },
        Violation::WriteToReadOnly {
            key: "NumberOfConnectors".to_owned(),
        },
        Violation::WriteToUnknown {
            key: "Nothing".to_owned(),
        },
        Violation::TooManyKeys { asked: 21 },
        Violation::ProvokedBootNotification,
        Violation::ReplyToNothing,
    ];
    assert!(
        station
            .wait_until(LIMIT, |stats| stats.violations.len() > expected.len())
            .await
    );
    let stats = station.stats();
    let seen: Vec<&Violation> = stats
        .violations
        .iter()
        .map(|(_, violation)| violation)
        .collect();
    assert_eq!(seen[..expected.len()], expected.iter().collect::<Vec<_>>());
    assert!(matches!(seen[expected.len()], Violation::BadFrame { .. }));
    assert_eq!(stats.written("heartbeatinterval"), ["0300"]);
}

#[tokio::test]
async fn a_lean_fleet_shares_its_profile_and_answers() {
    let mut csms = Csms::start().await;
    let station = StationSettings {
        lean: true,
        identity: "cp-".to_owned(),
        ..csms.settings(&[])
    };
    let profile = station.profile.clone();
    let fleet = Fleet::start(&FleetSettings {
        station,
        count: 50,
        connect_rate: Some(1000.0),
    });
    assert!(Arc::strong_count(&profile) > 50);
    for _ in 0..50 {
        let connection = csms.connection().await;
        connection.heard("BootNotification").await;
        assert_eq!(
            connection.write("HeartbeatInterval", "900").await,
            "Accepted"
        );
    }
    let last = fleet.station("cp-0050").unwrap();
    assert!(
        last.wait_until(LIMIT, |stats| stats.registration == Registration::Accepted)
            .await
    );
    let totals = fleet.totals();
    assert_eq!(
        (totals.connected, totals.writes, totals.violations),
        (50, 50, 0)
    );
    assert!(last.stats().journal.is_empty());
    fleet.stop().await;
}

#[tokio::test]
async fn a_station_trusts_the_root_that_it_is_given_and_no_other() {
    let name = "127.0.0.1".to_owned();
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec![name]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![cert.der().clone()],
            signing_key.serialize_der().try_into().unwrap(),
        )
        .unwrap();
    let mut csms = Csms::start_with(Some(Arc::new(server).into())).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("root.pem");
    std::fs::write(&file, cert.pem()).unwrap();
    let trusting = StationSettings {
        trust: Trust::file(&file).unwrap(),
        ..csms.settings(&[])
    };
    let station = Station::start(trusting);
    csms.connection().await.heard("BootNotification").await;
    station.stop().await;
    let wary = Station::start(csms.settings(&[]));
    assert!(wary.wait_until(LIMIT, |stats| stats.refused > 0).await);
    assert!(
        wary.stats().last_refusal.unwrap().contains("certificate"),
        "{:?}",
        wary.stats().last_refusal
    );
    std::fs::write(&file, "").unwrap();
    assert!(
        Trust::file(&file)
            .unwrap_err()
            .to_string()
            .contains("holds no certificate")
    );
}

#[tokio::test]
async fn a_profile_comes_from_a_file() {
    let mut csms = Csms::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.yaml");
    let text = "vendor: Own\nmodel: One\nfirmware: '1'\nkeys:\n- {key: A, value: on, hidden: true}\n- {key: B, effect: Fixed}\n";
    std::fs::write(&file, text).unwrap();
    let profile = StationProfile::named(file.to_str().unwrap()).unwrap();
    let _station = Station::start(StationSettings {
        profile,
        ..csms.settings(&[])
    });
    let connection = csms.connection().await;
    assert_eq!(
        connection.heard("BootNotification").await["chargePointVendor"],
        "Own"
    );
    let listing = connection.call("GetConfiguration", json!({})).await;
    assert_eq!(
        listing,
        json!({"configurationKey": [{"key": "B", "readonly": false}]})
    );
    assert_eq!(connection.value("A").await, "on");
    assert_eq!(connection.write("B", "x").await, "Accepted");
    assert_eq!(connection.value("B").await, serde_json::Value::Null);
}
