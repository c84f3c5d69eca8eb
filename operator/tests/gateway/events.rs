//! Connections, boots, and what is known of a station.

use std::time::Duration;

use futures::SinkExt;
use stationkeeper::connector::{Admission, CallResult, Connector, Identity};
use stationkeeper_core::event::{End, Event};
use stationkeeper_core::station::Activity;
use tokio_tungstenite::tungstenite::Message;

use super::stage::{NEVER, Stage, settings, within};

fn provoked(event: &Event) -> (bool, bool) {
    match event {
        Event::Boot {
            provoked,
            first_on_connection,
            ..
        } => (*provoked, *first_on_connection),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_newest_connection_wins_and_late_events_of_the_old_are_ignored() {
    let stage = Stage::new(settings()).await;
    let mut old = stage.boot().await;
    let first = stage.presence().session;
    let mut new = stage.connect().await;
    assert_eq!(old.closed().await.unwrap().0, 1000);
    let presence = stage.until(|presence| presence.session != first).await;
    assert!(presence.registered, "the registration is inherited");
    drop(old);
    let (result, _) = tokio::join!(stage.call("GetConfiguration", "{}"), new.answer("{}"));
    assert!(matches!(result, CallResult::Answer(_)));
    let events = stage.events(4).await;
    let kinds: Vec<&Event> = events.iter().map(|event| &event.event).collect();
    assert_eq!(
        kinds[0],
        &Event::Connected {
            former_end: None,
            bootstrap: false
        }
    );
    assert_eq!(provoked(kinds[1]), (false, true));
    assert_eq!(
        kinds[2],
        &Event::Disconnected {
            end: End::Superseded
        }
    );
    assert_eq!(
        kinds[3],
        &Event::Connected {
            former_end: Some(End::Superseded),
            bootstrap: false
        }
    );
    assert!(events[3].session > events[2].session);
    assert_eq!(events.len(), 4);
}

#[tokio::test]
async fn calls_in_flight_on_a_replaced_connection_are_told() {
    let stage = Stage::new(settings()).await;
    let mut old = stage.boot().await;
    let replace = async {
        old.receive().await;
        stage.connect().await
    };
    let (result, _new) = tokio::join!(stage.call("GetConfiguration", "{}"), replace);
    assert!(matches!(result, CallResult::Disconnected));
}

#[tokio::test]
async fn who_ended_a_connection_is_known_to_the_next() {
    let stage = Stage::new(settings()).await;
    let mut client = stage.connect().await;
    client.socket.close(None).await.unwrap();
    let events = stage.events(2).await;
    assert_eq!(events[1].event, Event::Disconnected { end: End::Station });

    let mut client = stage.connect().await;
    stage.until(|presence| presence.session.is_some()).await;
    stage.gateway.disconnect(&Identity::new("cp"));
    assert_eq!(client.closed().await.unwrap().0, 1008);
    let events = stage.events(2).await;
    assert_eq!(
        events[0].event,
        Event::Connected {
            former_end: Some(End::Station),
            bootstrap: false
        }
    );
    assert_eq!(events[1].event, Event::Disconnected { end: End::Us });

    let _client = stage.connect().await;
    let events = stage.events(1).await;
    assert_eq!(
        events[0].event,
        Event::Connected {
            former_end: Some(End::Us),
            bootstrap: false
        }
    );
}

#[tokio::test]
async fn only_an_unprovoked_boot_is_told_as_one() {
    let stage = Stage::new(settings()).await;
    let mut client = stage.boot().await;
    client.boot().await;
    let events = stage.events(3).await;
    assert_eq!(provoked(&events[1].event), (false, true));
    assert_eq!(
        provoked(&events[2].event),
        (true, false),
        "a repeat while Pending"
    );

    drop(client);
    stage.until(|presence| presence.session.is_none()).await;
    let mut client = stage.boot().await;
    let events = stage.events(3).await;
    assert_eq!(
        provoked(&events[2].event),
        (false, true),
        "it came up on a new connection"
    );

    let trigger = r#"{"requestedMessage":"BootNotification"}"#;
    let (_, _) = tokio::join!(
        stage.call("TriggerMessage", trigger),
        client.answer(r#"{"status":"Accepted"}"#)
    );
    client.boot().await;
    assert_eq!(
        provoked(&stage.events(1).await[0].event),
        (true, false),
        "it was asked for"
    );
}

#[tokio::test]
async fn what_the_station_says_of_itself_is_kept() {
    let stage = Stage::new(settings()).await;
    let mut client = stage.connect().await;
    let boot = r#"{"chargePointVendor":"Vendör","chargePointModel":"M","chargePointSerialNumber":"S","chargeBoxSerialNumber":"B","firmwareVersion":"1.2"}"#;
    assert_eq!(
        client.ask("BootNotification", boot).await[1]["status"],
        "Pending"
    );
    let presence = stage.until(|presence| presence.registered).await;
    let device = presence.device.unwrap();
    assert_eq!(device.vendor.as_deref(), Some("Vendör"));
    assert_eq!(device.serial.as_deref(), Some("S"));
    assert_eq!(device.box_serial.as_deref(), Some("B"));
    assert_eq!(presence.firmware.as_deref(), Some("1.2"));
    assert_eq!(presence.protocol, Some("ocpp1.6"));
    assert_eq!(presence.registration, Some("Pending"));
    assert!(!presence.authenticated);
}

#[tokio::test]
async fn activity_follows_connectors_and_wakes_when_it_ends() {
    let mut settings = settings();
    // Nothing else has the gateway look at the station.
    settings.limits.ping = NEVER;
    let stage = Stage::new(settings).await;
    let mut client = stage.connect().await;
    let status = |connector: u32, status: &str| {
        format!(r#"{{"connectorId":{connector},"errorCode":"NoError","status":"{status}"}}"#)
    };
    assert_eq!(
        stage
            .until(|presence| presence.session.is_some())
            .await
            .activity,
        Activity::Unknown
    );
    stage.events(1).await;
    let woken = Identity::new("cp");
    // Time and again, and not only while the connection is new.
    for _ in 0..3 {
        client
            .ask("StatusNotification", &status(1, "Charging"))
            .await;
        assert_eq!(stage.presence().activity, Activity::Busy);
        client
            .ask("StatusNotification", &status(1, "Available"))
            .await;
        assert_eq!(within(stage.gateway.wake()).await, woken);
        assert!(stage.gateway.take_events(&woken).is_empty());
        assert_eq!(stage.presence().activity, Activity::Idle);
    }
    stage.gateway.announce_connectors(&woken, 2);
    assert_eq!(stage.presence().activity, Activity::Unknown);
}

#[tokio::test]
async fn a_station_held_pending_since_its_own_boot_is_idle() {
    let stage = Stage::new(settings()).await;
    let _client = stage.boot().await;
    assert_eq!(stage.presence().activity, Activity::Idle);
}

#[tokio::test]
async fn firmware_updates_and_uploads_are_noticed_until_they_end() {
    let stage = Stage::new(settings()).await;
    let mut client = stage.boot().await;
    for (action, begin, end) in [
        ("FirmwareStatusNotification", "Downloading", "Installed"),
        (
            "SignedFirmwareStatusNotification",
            "InstallScheduled",
            "InvalidSignature",
        ),
        ("DiagnosticsStatusNotification", "Uploading", "UploadFailed"),
        ("LogStatusNotification", "Uploading", "Uploaded"),
    ] {
        client
            .ask(action, &format!(r#"{{"status":"{begin}"}}"#))
            .await;
        assert!(stage.presence().busy_with_firmware, "{action}");
        client
            .ask(action, &format!(r#"{{"status":"{end}"}}"#))
            .await;
        assert!(!stage.presence().busy_with_firmware, "{action}");
    }
    client
        .ask("FirmwareStatusNotification", r#"{"status":"Installing"}"#)
        .await;
    let boot = r#"{"chargePointVendor":"V","chargePointModel":"M","firmwareVersion":"2"}"#;
    client.ask("BootNotification", boot).await;
    stage.until(|presence| !presence.busy_with_firmware).await;
}

#[tokio::test]
async fn silence_ends_the_connection_as_the_stations_doing() {
    let mut settings = settings();
    settings.limits.ping = Duration::from_millis(200);
    // So long that the lively one answers in time also where this test stands still for a moment.
    settings.limits.pong = Duration::from_secs(4);
    let stage = Stage::new(settings).await;
    stage.directory.declare("lively", Admission::Open);
    // It answers no ping, because nobody reads its socket.
    let _silent = stage.connect().await;
    let mut lively = stage.connect_as("lively").await;
    let lives = tokio::spawn(async move { lively.next().await });
    let events = stage.events(3).await;
    let ended = events
        .iter()
        .find(|event| matches!(event.event, Event::Disconnected { .. }))
        .unwrap();
    assert_eq!(ended.identity.as_str(), "cp");
    assert_eq!(ended.event, Event::Disconnected { end: End::Station });
    assert!(!lives.is_finished(), "the one that answers pings stays");
    lives.abort();
}

#[tokio::test]
async fn pings_of_the_station_are_answered() {
    use futures::StreamExt;
    let stage = Stage::new(settings()).await;
    let mut client = stage.connect().await;
    client
        .socket
        .send(Message::Ping(b"hello".to_vec().into()))
        .await
        .unwrap();
    let pong = within(client.socket.next()).await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong(b"hello".to_vec().into()));
}
