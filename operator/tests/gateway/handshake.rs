//! Who may connect.

use std::time::Duration;

use stationkeeper::connector::{Admission, Identity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::stage::{Client, Declared, NEVER, Stage, bootstrap, password, settings, within};

#[tokio::test]
async fn each_admission_has_its_status() {
    let stage = Stage::new(settings()).await;
    stage.directory.declare("early", Admission::NotReady);
    stage
        .directory
        .declare("twin", Admission::Refused("two objects name it".to_owned()));
    stage.directory.declare(
        "shy",
        Admission::Password(vec![password("secret-password-1")]),
    );
    for (path, basic, status) in [
        ("early", None, 503),
        ("nobody", None, 404),
        ("twin", None, 403),
        ("shy", None, 401),
        ("shy", Some(("shy", &b"wrong"[..])), 401),
        ("shy", Some(("cp", &b"secret-password-1"[..])), 401),
        ("a%zz", None, 400),
        ("", None, 400),
        ("a%00", None, 400),
    ] {
        let refused = Client::connect(stage.address, path, &["ocpp1.6"], basic)
            .await
            .err()
            .unwrap();
        assert_eq!(refused.status, status, "{path}: {refused:?}");
        assert!(!refused.body.is_empty());
        match status {
            503 => assert!(refused.headers["retry-after"].parse::<u32>().unwrap() > 0),
            401 => assert!(refused.headers["www-authenticate"].starts_with("Basic realm=")),
            403 => assert!(refused.body.contains("two objects name it")),
            _ => {}
        }
    }
    let admitted = Client::connect(
        stage.address,
        "shy",
        &["ocpp1.6"],
        Some(("shy", b"secret-password-1")),
    )
    .await;
    assert!(admitted.is_ok());
    assert!(stage.presence_of("shy").authenticated);
}

#[tokio::test]
async fn identities_of_every_kind_are_decoded() {
    let stage = Stage::new(settings()).await;
    let long = "長".repeat(255);
    for identity in ["a/b", "100%", "RDAM 123", "充電-1", "Ω#?&=+", long.as_str()] {
        stage.directory.declare(identity, Admission::Open);
        let encoded =
            percent_encoding::utf8_percent_encode(identity, percent_encoding::NON_ALPHANUMERIC)
                .to_string();
        let mut client = stage.connect_as(&format!("deep/prefix/{encoded}")).await;
        client.boot().await;
        assert!(stage.presence_of(identity).session.is_some(), "{identity}");
    }
}

#[tokio::test]
async fn subprotocols_are_negotiated() {
    let stage = Stage::new(settings()).await;
    for (offered, agreed) in [
        (&["ocpp1.6"][..], Some("ocpp1.6")),
        (&["ocpp2.0.1", "ocpp1.6", "ocpp1.5"], Some("ocpp1.6")),
        (&["OCPP1.6"], Some("OCPP1.6")),
    ] {
        let client = Client::connect(stage.address, "cp", offered, None)
            .await
            .unwrap();
        assert_eq!(client.subprotocol.as_deref(), agreed);
    }
    for offered in [&[][..], &["ocpp2.0.1"], &["ocpp1.60"]] {
        let mut client = Client::connect(stage.address, "cp", offered, None)
            .await
            .unwrap();
        assert_eq!(client.subprotocol, None);
        assert_eq!(client.closed().await.unwrap().0, 1002, "{offered:?}");
    }
}

#[tokio::test]
async fn what_is_no_websocket_is_told_so() {
    let stage = Stage::new(settings()).await;
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "426"),
        (
            "POST /cp HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            "426",
        ),
        ("\0\x01\x02\r\n\r\n", "400"),
        (
            "GET /cp HTTP/1.1\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 8\r\n\r\n",
            "426",
        ),
        (
            "GET /cp HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n",
            "400",
        ),
    ] {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within(stream.read_to_string(&mut answer)).await.unwrap();
        assert_eq!(
            answer.split(' ').nth(1),
            Some(status),
            "{request:?}: {answer}"
        );
    }
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream
        .write_all(format!("GET /{} HTTP/1.1\r\n", "x".repeat(17_000)).as_bytes())
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = within(stream.read_to_end(&mut answer)).await;
    assert!(answer.starts_with(b"HTTP/1.1 431"));
}

#[tokio::test]
async fn a_mistaken_request_is_told_its_mend() {
    let stage = Stage::new(settings()).await;
    let upgrade = |path: &str, more: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ocpp1.6\r\n{more}\r\n"
        )
    };
    let many: String = (0..100).map(|n| format!("X-{n}: 1\r\n")).collect();
    for (request, status, mend) in [
        (upgrade("/ocpp/cp 1", ""), "400", "%20"),
        (upgrade("/ocpp/cp/", ""), "400", "ends with a slash"),
        (upgrade("/", ""), "400", "the identity is missing"),
        (upgrade("/ocpp/cp", &many), "431", "too many headers"),
        ("\x16\x03\x01\x02\0\x01".to_owned(), "400", "ws://"),
        (
            "GET /ocpp/cp HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            "426",
            "Connection: Upgrade, close",
        ),
    ] {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // What was sent and not read may reset the connection behind the answer.
        let _ = within(stream.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(
            answer.split(' ').nth(1),
            Some(status),
            "{request:?}: {answer}"
        );
        assert!(answer.contains(mend), "{request:?}: {answer}");
    }
}

#[tokio::test]
async fn half_a_handshake_is_ended() {
    let mut settings = settings();
    settings.limits.handshake = Duration::from_millis(50);
    let stage = Stage::new(settings).await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(b"GET /cp HTTP/1.1\r\nUpgr").await.unwrap();
    let mut answer = Vec::new();
    let _ = within(stream.read_to_end(&mut answer)).await;
    assert!(answer.is_empty());
    within(async {
        while stage.metric(r#"stationkeeper_gateway_handshakes_total{result="timed_out"}"#) < 1.0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn frames_sent_with_the_handshake_are_read() {
    let stage = Stage::new(settings()).await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    let mut bytes = b"GET /cp HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
        .to_vec();
    // A masked text frame; the mask is zero.
    let text = br#"[2,"1","Heartbeat",{}]"#;
    bytes.extend([0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0]);
    bytes.extend(text);
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    within(async {
        while !String::from_utf8_lossy(&answer).contains("currentTime") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
        }
    })
    .await;
    assert!(String::from_utf8_lossy(&answer).contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

#[tokio::test]
async fn the_credential_last_seen_working_stays_valid_until_a_new_one_works() {
    let stage = Stage::new(settings()).await;
    let declare = |passwords: &[&str]| {
        stage.directory.declare(
            "cp",
            Admission::Password(passwords.iter().map(|text| password(text)).collect()),
        );
    };
    let status = async |text: &str| match Client::connect(
        stage.address,
        "cp",
        &["ocpp1.6"],
        Some(("cp", text.as_bytes())),
    )
    .await
    {
        Ok(_) => 101,
        Err(refused) => refused.status,
    };
    declare(&["old"]);
    assert_eq!(status("old").await, 101);
    declare(&["new"]);
    assert_eq!(status("other").await, 401);
    assert_eq!(
        status("old").await,
        101,
        "a changed Secret locks no station out"
    );
    assert_eq!(status("new").await, 101);
    assert_eq!(
        status("old").await,
        401,
        "the new one has been seen working"
    );
}

#[tokio::test]
async fn the_bootstrap_credential_admits_a_new_device_and_is_not_remembered() {
    let stage = Stage::new(settings()).await;
    stage.directory.declare(
        "cp",
        Admission::Password(vec![password("own"), bootstrap("factory")]),
    );
    let factory = Some(("cp", &b"factory"[..]));
    let client = Client::connect(stage.address, "cp", &["ocpp1.6"], factory)
        .await
        .unwrap();
    let events = stage.events(1).await;
    assert!(matches!(
        events[0].event,
        stationkeeper_core::event::Event::Connected {
            former_end: None,
            bootstrap: true
        }
    ));
    drop(client);
    stage
        .directory
        .declare("cp", Admission::Password(vec![password("own")]));
    assert_eq!(
        Client::connect(stage.address, "cp", &["ocpp1.6"], factory)
            .await
            .err()
            .unwrap()
            .status,
        401
    );
}

#[tokio::test]
async fn unknown_identities_are_registered_where_that_is_wanted() {
    let stage = Stage::with(
        settings(),
        Declared {
            adopts: true,
            ..Declared::default()
        },
    )
    .await;
    let mut client = stage.connect_as("stranger").await;
    client.boot().await;
    assert_eq!(*stage.directory.registered.lock().unwrap(), ["stranger"]);

    let later = Declared {
        adopts_later: true,
        ..Declared::default()
    };
    let stage = Stage::with(settings(), later).await;
    let made = async {
        while stage.directory.registered.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        stage.directory.declare("stranger", Admission::Open);
    };
    let (mut client, ()) = tokio::join!(stage.connect_as("stranger"), made);
    client.boot().await;

    let stage = Stage::new(settings()).await;
    let refused = Client::connect(stage.address, "stranger", &["ocpp1.6"], None)
        .await
        .err()
        .unwrap();
    assert_eq!(refused.status, 404);
}

#[tokio::test]
async fn connections_are_limited_in_all_and_for_one_identity() {
    let mut settings = settings();
    settings.limits.connections = 2;
    let stage = Stage::new(settings).await;
    stage.directory.declare("b", Admission::Open);
    stage.directory.declare("c", Admission::Open);
    let first = stage.connect_as("cp").await;
    let _second = stage.connect_as("b").await;
    let refused = Client::connect(stage.address, "c", &["ocpp1.6"], None)
        .await
        .err()
        .unwrap();
    assert_eq!(refused.status, 503);
    drop(first);
    stage.until(|presence| presence.session.is_none()).await;
    within(async {
        while Client::connect(stage.address, "c", &["ocpp1.6"], None)
            .await
            .is_err()
        {}
    })
    .await;

    let mut settings = super::stage::settings();
    settings.limits.connect_burst = 3;
    settings.limits.connect_every = NEVER;
    let stage = Stage::new(settings).await;
    stage.directory.declare("b", Admission::Open);
    for _ in 0..3 {
        stage.connect().await;
    }
    let refused = Client::connect(stage.address, "cp", &["ocpp1.6"], None)
        .await
        .err()
        .unwrap();
    assert_eq!(refused.status, 429);
    assert!(refused.headers.contains_key("retry-after"));
    stage.connect_as("b").await;
}

#[tokio::test]
async fn a_station_whose_object_goes_during_its_handshake_is_closed() {
    let directory = Declared {
        forgets: true,
        ..Declared::default()
    };
    let stage = Stage::with(settings(), directory).await;
    let mut client = stage.connect().await;
    assert_eq!(client.closed().await.unwrap().0, 1008);
}

impl Stage {
    fn presence_of(&self, identity: &str) -> stationkeeper::connector::Presence {
        use stationkeeper::connector::Connector;
        self.gateway.presence(&Identity::new(identity)).unwrap()
    }
}
