//! Hostile and broken stations. The measure is always that the others, and the station itself where it can, go on.

use std::time::Duration;

use futures::SinkExt;
use serde_json::json;
use stationkeeper::connector::CallResult;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

use super::stage::{Stage, settings, within};

#[tokio::test]
async fn nonsense_is_ignored_and_counted() {
    let stage = Stage::new(settings()).await;
    let mut client = stage.boot().await;
    for text in [
        "",
        "hello",
        "{}",
        "[]",
        "null",
        "[9,\"1\",{}]",
        "[3]",
        "[[[[",
        "[3,\"x\",{}]",
        "[4,\"x\"]",
        "\u{0}",
    ] {
        client.send(text).await;
    }
    client
        .socket
        .send(Message::binary(vec![0xff, 0xfe, 0, 1]))
        .await
        .unwrap();
    assert_eq!(client.ask("Heartbeat", "{}").await[0], 3);
    assert!(stage.metric("stationkeeper_gateway_frames_bad_total") >= 8.0);
    assert_eq!(
        stage.metric("stationkeeper_gateway_frames_binary_total"),
        1.0
    );
}

#[tokio::test]
async fn text_that_is_marked_as_binary_is_understood() {
    let stage = Stage::new(settings()).await;
    let mut client = stage.boot().await;
    client
        .socket
        .send(Message::binary(br#"[2,"b","Heartbeat",{}]"#.to_vec()))
        .await
        .unwrap();
    assert_eq!(client.receive().await[1], "b");
}

#[tokio::test]
async fn deep_nesting_is_no_danger() {
    let stage = Stage::new(settings()).await;
    let mut client = stage.boot().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    client
        .send(&format!(
            r#"[2,"d","DataTransfer",{{"vendorId":"V","data":{deep}}}]"#
        ))
        .await;
    assert_eq!(
        client.receive().await,
        json!([3, "d", {"status": "UnknownVendorId"}])
    );
    client
        .send(&format!(
            r#"[2,"d","BootNotification",{{"chargePointVendor":{deep}}}]"#
        ))
        .await;
    assert_eq!(client.receive().await[2], "TypeConstraintViolation");
    client.send(&deep).await;
    client.send(&"[".repeat(500_000)).await;
    assert_eq!(client.ask("Heartbeat", "{}").await[0], 3);
}

#[tokio::test]
async fn a_message_beyond_the_limit_closes_its_own_connection_only() {
    let stage = Stage::new(settings()).await;
    stage
        .directory
        .declare("other", stationkeeper::connector::Admission::Open);
    let mut other = stage.connect_as("other").await;
    let mut client = stage.boot().await;
    // Announces 64 MiB and begins to send them.
    let mut frame = vec![0x81, 0x80 | 127];
    frame.extend((64_u64 << 20).to_be_bytes());
    frame.extend([0, 0, 0, 0]);
    frame.extend(vec![b' '; 4096]);
    client.socket.get_mut().write_all(&frame).await.unwrap();
    assert_eq!(client.closed().await.unwrap().0, 1009);
    assert_eq!(other.ask("Heartbeat", "{}").await[0], 3);
    let mut client = stage.connect().await;
    // In fragments.
    for _ in 0..5 {
        let mut frame = vec![0x01, 0x80 | 127];
        frame.extend((400_u64 << 10).to_be_bytes());
        frame.extend([0, 0, 0, 0]);
        frame.extend(vec![b' '; 400 << 10]);
        if client.socket.get_mut().write_all(&frame).await.is_err() {
            break;
        }
    }
    within(client.closed()).await;
    assert_eq!(other.ask("Heartbeat", "{}").await[0], 3);
}

#[tokio::test]
async fn frames_that_break_rfc_6455_close_with_its_code() {
    for (bytes, code) in [
        (&[0x83, 0x80, 0, 0, 0, 0][..], 1002),
        (&[0x81, 0x01, b'x'], 1002),
        (&[0xf1, 0x80, 0, 0, 0, 0], 1002),
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
    ] {
        let stage = Stage::new(settings()).await;
        let mut client = stage.boot().await;
        client.socket.get_mut().write_all(bytes).await.unwrap();
        assert_eq!(client.closed().await.unwrap().0, code, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_station_that_sends_too_much_is_read_late() {
    let mut settings = settings();
    settings.limits.message_burst = 5;
    settings.limits.message_rate = 100;
    let stage = Stage::new(settings).await;
    let mut client = stage.connect().await;
    for number in 0..30 {
        client
            .send(&format!(r#"[2,"{number}","Heartbeat",{{}}]"#))
            .await;
    }
    for number in 0..30 {
        assert_eq!(
            client.receive().await[1],
            number.to_string(),
            "nothing is lost"
        );
    }
    assert!(stage.metric("stationkeeper_gateway_throttled_total") > 0.0);
}

#[tokio::test]
async fn answers_to_our_calls_are_not_too_much() {
    let mut settings = settings();
    settings.limits.message_burst = 3;
    settings.limits.message_rate = 1;
    let stage = Stage::new(settings).await;
    let mut client = stage.boot().await;
    for _ in 0..30 {
        let answers = async {
            let call = client.receive().await;
            client.send(&format!("[3,{},{{}}]", call[1])).await;
        };
        let (result, ()) = tokio::join!(stage.call("GetConfiguration", "{}"), answers);
        assert!(matches!(result, CallResult::Answer(_)), "{result:?}");
    }
    assert_eq!(stage.metric("stationkeeper_gateway_throttled_total"), 0.0);
}

#[tokio::test]
async fn a_station_that_never_rests_is_let_go() {
    let mut settings = settings();
    settings.limits.message_burst = 2;
    settings.limits.message_rate = 50;
    settings.limits.throttled = Duration::from_millis(200);
    let stage = Stage::new(settings).await;
    let mut client = stage.connect().await;
    let flood = async {
        while client
            .socket
            .send(Message::text(r#"[2,"1","Heartbeat",{}]"#))
            .await
            .is_ok()
        {
            tokio::task::yield_now().await;
        }
    };
    within(flood).await;
    within(async {
        while stage.metric(r#"stationkeeper_gateway_connections_ended_total{reason="flood"}"#) < 1.0
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_station_that_does_not_read_is_let_go() {
    let mut settings = settings();
    settings.limits.write = Duration::from_millis(100);
    settings.limits.message_rate = 100_000;
    settings.limits.message_burst = 1_000_000;
    let stage = Stage::new(settings).await;
    let mut client = stage.connect().await;
    // Each request is answered, and nobody reads the answers: at last the socket is full.
    let request = Message::text(format!(r#"[2,"{}","Heartbeat",{{}}]"#, "i".repeat(250)));
    within(async { while client.socket.send(request.clone()).await.is_ok() {} }).await;
    within(async {
        while stage.metric(r#"stationkeeper_gateway_connections_ended_total{reason="stuck"}"#) < 1.0
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn message_ids_may_be_long_repeated_or_numbers() {
    let stage = Stage::new(settings()).await;
    let mut client = stage.boot().await;
    let long = "x".repeat(200);
    for (id, echoed) in [
        (format!("\"{long}\""), long.clone()),
        (r#""same""#.to_owned(), "same".to_owned()),
        (r#""same""#.to_owned(), "same".to_owned()),
        ("17".to_owned(), "17".to_owned()),
        (r#""a\"b\\""#.to_owned(), "a\"b\\".to_owned()),
    ] {
        client.send(&format!(r#"[2,{id},"Heartbeat",{{}}]"#)).await;
        assert_eq!(client.receive().await[1], echoed);
    }
    client
        .send(&format!(r#"[2,"{}","Heartbeat",{{}}]"#, "x".repeat(2000)))
        .await;
    let refused = client.receive().await;
    assert_eq!(
        (&refused[0], &refused[1], &refused[2]),
        (&json!(4), &json!("-1"), &json!("FormationViolation"))
    );
}

#[tokio::test]
async fn a_boot_every_moment_is_answered_and_its_events_stay_bounded() {
    let stage = Stage::new(settings()).await;
    let mut client = stage.connect().await;
    for _ in 0..200 {
        assert_eq!(client.boot().await[1]["status"], "Pending");
    }
    use stationkeeper::connector::Connector;
    let identity = within(stage.gateway.wake()).await;
    assert!(stage.gateway.take_events(&identity).len() <= 64);
}
