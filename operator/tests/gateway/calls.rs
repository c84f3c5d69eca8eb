//! Calls to stations.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use stationkeeper::connector::{Call, CallResult, Connector, Identity};

use super::stage::{LIMIT, Stage, settings, within};

const SHORT: Duration = Duration::from_millis(50);

fn call(epoch: u64) -> Call {
    let payload = RawValue::from_string(r#"{"key":["A"]}"#.to_owned()).unwrap();
    Call::new("GetConfiguration", payload, LIMIT, epoch)
}

#[tokio::test]
async fn answers_reach_the_caller_as_the_text_they_came_as() {
    let stage = Stage::new(settings()).await;
    let mut client = stage.boot().await;
    let answer = r#"{"configurationKey":[{"key":"A","readonly":false,"value":"1" }]}"#;
    let (result, action) = tokio::join!(
        stage.call("GetConfiguration", r#"{"key":["A"]}"#),
        client.answer(answer)
    );
    assert_eq!(action, "GetConfiguration");
    match result {
        CallResult::Answer(payload) => assert_eq!(payload.get(), answer),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_id_of_a_call_stands_in_its_frame() {
    let stage = Stage::new(settings()).await;
    let mut client = stage.boot().await;
    let call = call(1);
    let id = call.id.to_string();
    let identity = Identity::new("cp");
    let (_, frame) = tokio::join!(stage.gateway.call(&identity, call), async {
        let frame = client.receive().await;
        client.send(&format!(r#"[3,{},{{}}]"#, frame[1])).await;
        frame
    });
    assert_eq!(frame[1], id, "{frame}");
}

#[tokio::test]
async fn errors_and_garbled_answers_reach_the_caller() {
    let stage = Stage::new(settings()).await;
    let mut client = stage.boot().await;
    for (form, error) in [
        (
            r#"[4,ID,"InternalError","no memory",{}]"#,
            Some("InternalError"),
        ),
        (r#"[4,ID]"#, Some("GenericError")),
        (r#"[3,ID,{"configurationKey":[{"key":]}]"#, None),
        (r#"[3,ID,[]]"#, None),
        (r#"[3,ID]"#, None),
    ] {
        let reply = async {
            let call = client.receive().await;
            client.send(&form.replace("ID", &call[1].to_string())).await;
        };
        let (result, ()) = tokio::join!(stage.call("GetConfiguration", "{}"), reply);
        match (result, error) {
            (CallResult::CallError { code, .. }, Some(expected)) => assert_eq!(code, expected),
            (CallResult::Garbled(_), None) => {}
            other => panic!("{form}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn one_call_is_in_flight_and_the_others_wait_in_order() {
    let stage = Arc::new(Stage::new(settings()).await);
    let mut client = stage.boot().await;
    let mut calls = Vec::new();
    for key in ["K0", "K1", "K2", "K3"] {
        let mut call = Box::pin({
            let stage = Arc::clone(&stage);
            async move {
                stage
                    .call("GetConfiguration", &format!(r#"{{"key":["{key}"]}}"#))
                    .await
            }
        });
        // Polled once, so that they are queued in this order.
        assert!(futures::poll!(&mut call).is_pending());
        calls.push(tokio::spawn(call));
    }
    for expected in ["K0", "K1", "K2", "K3"] {
        let call = client.receive().await;
        assert_eq!(call[3]["key"][0], expected);
        // A call of the station's own is answered in between, and no second call of ours is.
        assert_eq!(client.ask("Heartbeat", "{}").await[0], 3);
        client.send(&format!("[3,{},{{}}]", call[1])).await;
    }
    for call in calls {
        assert!(matches!(within(call).await.unwrap(), CallResult::Answer(_)));
    }
}

#[tokio::test]
async fn late_and_foreign_answers_are_ignored_and_counted() {
    let stage = Stage::new(settings()).await;
    let mut client = stage.boot().await;
    let timed_out = stage.call_within("GetConfiguration", "{}", SHORT).await;
    assert!(matches!(timed_out, CallResult::TimedOut), "{timed_out:?}");
    let late = client.receive().await;

    let reply = async {
        let call = client.receive().await;
        client
            .send(&format!("[3,{},{{\"late\":true}}]", late[1]))
            .await;
        client
            .send(r#"[3,"0f0f0f0f-0000-4000-8000-000000000000",{"foreign":true}]"#)
            .await;
        client.send(r#"[3,"1",{"foreign":true}]"#).await;
        client.send(r#"[4,"","InternalError","",{}]"#).await;
        client
            .send(&format!("[3,{},{{\"mine\":true}}]", call[1]))
            .await;
        client
            .send(&format!("[3,{},{{\"twice\":true}}]", call[1]))
            .await;
        client.ask("Heartbeat", "{}").await;
    };
    let (result, ()) = tokio::join!(stage.call("GetConfiguration", "{}"), reply);
    assert!(matches!(result, CallResult::Answer(payload) if payload.get().contains("mine")));
    assert!(stage.metric("stationkeeper_gateway_replies_late_total") >= 1.0);
    assert!(stage.metric("stationkeeper_gateway_replies_foreign_total") >= 4.0);
}

#[tokio::test]
async fn a_lost_connection_tells_what_was_sent_from_what_was_not() {
    let stage = Arc::new(Stage::new(settings()).await);
    assert!(matches!(
        stage.call("GetConfiguration", "{}").await,
        CallResult::Offline
    ));
    let mut client = stage.boot().await;
    let call = || {
        let stage = Arc::clone(&stage);
        Box::pin(async move { stage.call("GetConfiguration", "{}").await })
    };
    let (mut sent, mut waiting) = (call(), call());
    assert!(futures::poll!(&mut sent).is_pending());
    assert!(futures::poll!(&mut waiting).is_pending());
    let (sent, waiting) = (tokio::spawn(sent), tokio::spawn(waiting));
    client.receive().await;
    drop(client);
    assert!(matches!(
        within(sent).await.unwrap(),
        CallResult::Disconnected
    ));
    assert!(matches!(
        within(waiting).await.unwrap(),
        CallResult::Offline
    ));
    assert!(matches!(
        stage.call("GetConfiguration", "{}").await,
        CallResult::Offline
    ));
}

#[tokio::test]
async fn nothing_is_sent_before_the_boot_is_answered() {
    let stage = Stage::new(settings()).await;
    let mut client = stage.connect().await;
    stage.until(|presence| presence.session.is_some()).await;
    assert!(!stage.presence().registered);
    assert!(matches!(
        stage.call("GetConfiguration", "{}").await,
        CallResult::NotDelivered(_)
    ));
    let trigger = r#"{"requestedMessage":"BootNotification"}"#;
    let (result, action) = tokio::join!(
        stage.call("TriggerMessage", trigger),
        client.answer(r#"{"status":"Accepted"}"#)
    );
    assert_eq!(action, "TriggerMessage");
    assert!(matches!(result, CallResult::Answer(_)));
}

#[tokio::test]
async fn only_the_highest_epoch_is_obeyed() {
    let stage = Stage::new(settings()).await;
    let mut client = stage.boot().await;
    let cp = Identity::new("cp");
    let (result, _) = tokio::join!(stage.gateway.call(&cp, call(5)), client.answer("{}"));
    assert!(matches!(result, CallResult::Answer(_)));
    assert!(matches!(
        stage.gateway.call(&cp, call(4)).await,
        CallResult::NotDelivered(_)
    ));
    let (result, _) = tokio::join!(stage.gateway.call(&cp, call(5)), client.answer("{}"));
    assert!(matches!(result, CallResult::Answer(_)));
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_no_second_call_in_flight() {
    let stage = Stage::new(settings()).await;
    let mut client = stage.boot().await;
    let cp = Identity::new("cp");
    let mut dropped = stage.gateway.call(&cp, call(1));
    assert!(futures::poll!(&mut dropped).is_pending());
    let first = client.receive().await;
    drop(dropped);
    let mut second = stage.gateway.call(&cp, call(1));
    assert!(futures::poll!(&mut second).is_pending());
    // The station answers something else first: were the second call in flight, it would come in between.
    client.ask("Heartbeat", "{}").await;
    client.send(&format!("[3,{},{{}}]", first[1])).await;
    let (result, _) = tokio::join!(second, client.answer("{}"));
    assert!(matches!(result, CallResult::Answer(_)));
}

#[tokio::test]
async fn remembered_stations_may_be_called_without_a_boot() {
    let stage = Stage::new(settings()).await;
    let device = stationkeeper_core::words::Device {
        vendor: Some("V".to_owned()),
        ..Default::default()
    };
    stage
        .gateway
        .remember(&Identity::new("cp"), &device, Some("7"), Some("Accepted"));
    let mut client = stage.connect().await;
    let presence = stage.until(|presence| presence.session.is_some()).await;
    assert!(presence.registered);
    assert_eq!(presence.device.as_deref(), Some(&device));
    assert_eq!(presence.firmware.as_deref(), Some("7"));
    assert_eq!(presence.registration, Some("Accepted"));
    let (result, _) = tokio::join!(stage.call("GetConfiguration", "{}"), client.answer("{}"));
    assert!(matches!(result, CallResult::Answer(_)));
}

#[tokio::test]
async fn a_stranger_that_does_not_introduce_itself_is_asked_to() {
    let mut settings = settings();
    settings.limits.boot_wait = SHORT;
    let stage = Stage::new(settings).await;
    let mut client = stage.connect().await;
    let call = client.receive().await;
    assert_eq!(
        (&call[2], &call[3]["requestedMessage"]),
        (&"TriggerMessage".into(), &"BootNotification".into())
    );
    client
        .send(&format!(r#"[3,{},{{"status":"Accepted"}}]"#, call[1]))
        .await;
    client.boot().await;
    let events = stage.events(2).await;
    assert!(matches!(
        events[1].event,
        stationkeeper_core::event::Event::Boot { provoked: true, .. }
    ));
}
