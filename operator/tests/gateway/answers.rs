//! What stations are answered: held Pending, or content without another CSMS.

use std::path::Path;

use serde_json::{Value, json};
use stationkeeper::gateway::{Authorize, GatewayError, GatewaySettings};

use super::stage::{Client, Declared, Stage, bootstrap, settings, within};

/// Every call that a station may make, with what a held station is answered.
const NOTIFICATIONS: [(&str, &str); 8] = [
    ("DiagnosticsStatusNotification", r#"{"status":"Idle"}"#),
    ("FirmwareStatusNotification", r#"{"status":"Idle"}"#),
    (
        "LogStatusNotification",
        r#"{"status":"Idle","requestId":1}"#,
    ),
    (
        "MeterValues",
        r#"{"connectorId":0,"meterValue":[{"timestamp":"2026-01-01T00:00:00Z","sampledValue":[{"value":"1"}]}]}"#,
    ),
    (
        "SecurityEventNotification",
        r#"{"type":"TamperDetectionActivated","timestamp":"2026-01-01T00:00:00Z"}"#,
    ),
    ("SignedFirmwareStatusNotification", r#"{"status":"Idle"}"#),
    (
        "StatusNotification",
        r#"{"connectorId":0,"errorCode":"NoError","status":"Available"}"#,
    ),
    (
        "StatusNotification",
        r#"{"connectorId":1,"errorCode":"SomethingOfTheVendor","status":"Faulted","info":"x"}"#,
    ),
];

const START: &str =
    r#"{"connectorId":1,"idTag":"A","meterStart":10,"timestamp":"2026-01-01T00:00:00Z"}"#;

fn accepting(folder: &Path, authorize: Authorize) -> GatewaySettings {
    GatewaySettings {
        authorize: Some(authorize),
        journal: Some(folder.join("journal")),
        ..settings()
    }
}

async fn stop(stage: Stage) {
    stage.gateway.shutdown(std::time::Duration::ZERO);
    within(stage.task).await.unwrap().unwrap();
}

fn is_time(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|time| time.parse::<jiff::Timestamp>().is_ok() && time.ends_with('Z'))
}

#[tokio::test]
async fn without_a_policy_stations_are_held_pending_and_lose_nothing() {
    let stage = Stage::with(
        settings(),
        Declared {
            heartbeat: Some(77),
            ..Declared::default()
        },
    )
    .await;
    let mut client = stage.connect().await;
    let boot = client.boot().await;
    assert_eq!(boot[1]["status"], "Pending");
    assert_eq!(
        boot[1]["interval"], 300,
        "the retry wait, not the heartbeat"
    );
    assert!(is_time(&boot[1]["currentTime"]));
    for (action, payload) in NOTIFICATIONS {
        assert_eq!(
            client.ask(action, payload).await,
            json!([3, {}]),
            "{action}"
        );
    }
    assert!(is_time(
        &client.ask("Heartbeat", "{}").await[1]["currentTime"]
    ));
    assert_eq!(
        client.ask("DataTransfer", r#"{"vendorId":"V"}"#).await[1]["status"],
        "UnknownVendorId"
    );
    assert_eq!(
        client.ask("SignCertificate", r#"{"csr":"x"}"#).await[1]["status"],
        "Rejected"
    );
    assert_eq!(
        client.ask("Authorize", r#"{"idTag":"A"}"#).await[1],
        "SecurityError"
    );
    for (action, payload) in [
        ("StartTransaction", START),
        (
            "StopTransaction",
            r#"{"transactionId":5,"meterStop":20,"timestamp":"2026-01-01T00:00:00Z"}"#,
        ),
        (
            "MeterValues",
            r#"{"connectorId":1,"transactionId":5,"meterValue":[]}"#,
        ),
    ] {
        // No answer: the station keeps it. The connection stays, so that it can be configured.
        client
            .send(&format!(r#"[2,"kept","{action}",{payload}]"#))
            .await;
        assert_eq!(client.ask("Heartbeat", "{}").await[0], 3, "{action}");
    }
}

#[tokio::test]
async fn with_a_policy_every_call_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let declared = Declared {
        heartbeat: Some(77),
        ..Declared::default()
    };
    let stage = Stage::with(accepting(folder.path(), Authorize::Any), declared).await;
    let mut client = stage.connect().await;
    // A station that was accepted before we came may begin with anything.
    for (action, payload) in NOTIFICATIONS {
        assert_eq!(
            client.ask(action, payload).await,
            json!([3, {}]),
            "{action}"
        );
    }
    let boot = client.boot().await;
    assert_eq!(
        (&boot[1]["status"], &boot[1]["interval"]),
        (&json!("Accepted"), &json!(77))
    );
    assert_eq!(
        client.ask("Authorize", r#"{"idTag":"A"}"#).await,
        json!([3, {"idTagInfo": {"status": "Accepted"}}])
    );
    let start = client.ask("StartTransaction", START).await;
    assert_eq!(start[1]["idTagInfo"]["status"], "Accepted");
    let id = start[1]["transactionId"].as_i64().unwrap();
    assert!(id > 0 && i32::try_from(id).is_ok());
    let meter = format!(r#"{{"connectorId":1,"transactionId":{id},"meterValue":[]}}"#);
    assert_eq!(client.ask("MeterValues", &meter).await, json!([3, {}]));
    for (transaction, id_tag, expected) in [
        (
            id,
            r#","idTag":"A","reason":"Local""#,
            json!([3, {"idTagInfo": {"status": "Accepted"}}]),
        ),
        (-1, "", json!([3, {}])),
        (424_242, "", json!([3, {}])),
    ] {
        let stop = format!(
            r#"{{"transactionId":{transaction},"meterStop":20,"timestamp":"2026-01-01T01:00:00Z"{id_tag}}}"#
        );
        assert_eq!(client.ask("StopTransaction", &stop).await, expected);
    }
    drop(client);
    stop(stage).await;
    let journal = std::fs::read_to_string(folder.path().join("journal")).unwrap();
    let stored: Vec<String> = journal
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["action"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let expected = [
        "MeterValues",
        "StartTransaction",
        "MeterValues",
        "StopTransaction",
        "StopTransaction",
        "StopTransaction",
    ];
    assert_eq!(stored, expected);
}

#[tokio::test]
async fn a_repeated_start_gets_its_id_again_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let stage = Stage::new(accepting(folder.path(), Authorize::Any)).await;
        let mut client = stage.boot().await;
        for _ in 0..2 {
            ids.push(
                client.ask("StartTransaction", START).await[1]["transactionId"]
                    .as_i64()
                    .unwrap(),
            );
        }
        let other = client
            .ask("StartTransaction", &START.replace("10", "11"))
            .await[1]["transactionId"]
            .as_i64();
        assert!(other.is_some_and(|other| other != ids[0]));
        drop(client);
        stop(stage).await;
    }
    assert_eq!(ids, [ids[0]; 4]);
}

#[tokio::test]
async fn id_tags_come_from_the_file_and_follow_its_changes() {
    let folder = tempfile::tempdir().unwrap();
    let tags = folder.path().join("tags");
    std::fs::write(
        &tags,
        "GOOD\nSTOLEN Blocked\nOLD until=2020-01-01T00:00:00Z\n???bad line with words\n",
    )
    .unwrap();
    let stage = Stage::new(accepting(folder.path(), Authorize::File(tags.clone()))).await;
    let mut client = stage.boot().await;
    let status = async |client: &mut Client, tag: &str| {
        let answer = client
            .ask("Authorize", &format!(r#"{{"idTag":"{tag}"}}"#))
            .await;
        answer[1]["idTagInfo"]["status"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for (tag, expected) in [
        ("good", "Accepted"),
        ("STOLEN", "Blocked"),
        ("OLD", "Expired"),
        ("NEW", "Invalid"),
    ] {
        assert_eq!(status(&mut client, tag).await, expected);
    }
    let start = client
        .ask("StartTransaction", &START.replace("\"A\"", "\"STOLEN\""))
        .await;
    assert_eq!(start[1]["idTagInfo"]["status"], "Blocked");
    assert!(start[1]["transactionId"].is_i64());
    std::fs::write(&tags, "NEW\n").unwrap();
    within(async { while status(&mut client, "NEW").await != "Accepted" {} }).await;
    assert_eq!(status(&mut client, "good").await, "Invalid");
    std::fs::remove_file(&tags).unwrap();
    assert_eq!(status(&mut client, "NEW").await, "Accepted");
    drop(client);
    stop(stage).await;
}

/// Runs the test below in a process whose files cannot grow beyond a few KiB: to it, the disk is full.
#[test]
fn what_cannot_be_stored_is_not_answered_and_the_socket_is_closed() {
    let inner = "answers::a_disk_that_fills_up";
    let script = r#"trap "" XFSZ; ulimit -f 8; exec "$0" --ignored --exact "$1""#;
    let test = std::env::current_exe().unwrap();
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(test)
        .arg(inner)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{output:?}"
    );
}

#[tokio::test]
#[ignore = "needs a limit on the size of files, with which another test runs it"]
async fn a_disk_that_fills_up() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(accepting(folder.path(), Authorize::Any)).await;
    let mut client = stage.boot().await;
    let mut answered = 0;
    let closed = loop {
        let start = START.replace("10", &answered.to_string());
        client
            .send(&format!(r#"[2,"{answered}","StartTransaction",{start}]"#))
            .await;
        match within(client.next()).await {
            Some(tokio_tungstenite::tungstenite::Message::Text(_)) => answered += 1,
            other => break other,
        }
        assert!(answered < 10_000, "the limit does not hold");
    };
    match closed {
        Some(tokio_tungstenite::tungstenite::Message::Close(Some(frame))) => {
            assert_eq!(u16::from(frame.code), 1013)
        }
        other => panic!("{other:?}"),
    }
    drop(client);
    stop(stage).await;
    let journal = std::fs::read_to_string(folder.path().join("journal")).unwrap();
    assert!(answered > 0);
    assert_eq!(
        journal.lines().count(),
        answered,
        "what was answered is stored, and nothing else"
    );
    assert!(journal.ends_with('\n'));
}

#[tokio::test]
async fn a_journal_that_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("journal")).unwrap();
    let mut registry = prometheus_client::registry::Registry::default();
    let directory = std::sync::Arc::new(Declared::default());
    let settings = accepting(folder.path(), Authorize::Any);
    let started = stationkeeper::gateway::Gateway::start(settings, directory, &mut registry).await;
    assert!(matches!(started.err(), Some(GatewayError::Journal(_))));
}

#[tokio::test]
async fn a_device_with_the_bootstrap_credential_is_held_pending_whatever_the_policy() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(accepting(folder.path(), Authorize::Any)).await;
    stage.directory.declare(
        "cp",
        stationkeeper::connector::Admission::Password(vec![bootstrap("factory")]),
    );
    let mut client = Client::connect(stage.address, "cp", &["ocpp1.6"], Some(("cp", b"factory")))
        .await
        .unwrap();
    assert_eq!(client.boot().await[1]["status"], "Pending");
    drop(client);
    stop(stage).await;
}

#[tokio::test]
async fn malformed_calls_get_the_right_error_and_keep_the_connection() {
    let stage = Stage::new(settings()).await;
    let mut client = stage.boot().await;
    for (call, code) in [
        (r#"[2,"x","Heartbeet",{}]"#, "NotImplemented"),
        (r#"[2,"x","GetConfiguration",{}]"#, "NotImplemented"),
        (r#"[2,"x","Heartbeat",[]]"#, "FormationViolation"),
        (r#"[2,"x","Heartbeat"]"#, "FormationViolation"),
        (
            r#"[2,"x","BootNotification",{"chargePointVendor":}]"#,
            "FormationViolation",
        ),
        (
            r#"[2,"x","BootNotification",{"chargePointVendor":"V"}]"#,
            "ProtocolError",
        ),
        (
            r#"[2,"x","BootNotification",{"chargePointVendor":"V","chargePointModel":5}]"#,
            "TypeConstraintViolation",
        ),
        (
            r#"[2,"x","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Asleep"}]"#,
            "PropertyConstraintViolation",
        ),
        (
            r#"[2,"x","Authorize",{"idTag":"A","idTag":"B"}]"#,
            "OccurenceConstraintViolation",
        ),
        (r#"[2,"x"]"#, "FormationViolation"),
    ] {
        client.send(call).await;
        let answer = client.receive().await;
        assert_eq!(
            (&answer[0], &answer[1], &answer[2]),
            (&json!(4), &json!("x"), &json!(code)),
            "{call}"
        );
        assert!(answer[3].is_string() && answer[4].is_object(), "{answer}");
    }
    assert_eq!(client.ask("Heartbeat", "{}").await[0], 3);
}

#[tokio::test]
async fn a_malformed_transaction_is_stored_before_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(accepting(folder.path(), Authorize::Any)).await;
    let mut client = stage.boot().await;
    assert_eq!(
        client
            .ask("StopTransaction", r#"{"transactionId":5}"#)
            .await[1],
        "ProtocolError"
    );
    let lenient = r#"{"transactionId":"5","meterStop":"20","timestamp":"2026-01-01T00:00:00Z"}"#;
    assert_eq!(client.ask("StopTransaction", lenient).await, json!([3, {}]));
    drop(client);
    stop(stage).await;
    let journal = std::fs::read_to_string(folder.path().join("journal")).unwrap();
    let first: Value = serde_json::from_str(journal.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["refused"], &first["payload"]["transactionId"]),
        (&json!("meterStop is missing"), &json!(5))
    );
}

#[tokio::test]
async fn a_policy_needs_a_journal() {
    let settings = GatewaySettings {
        authorize: Some(Authorize::Any),
        ..settings()
    };
    let mut registry = prometheus_client::registry::Registry::default();
    let directory = std::sync::Arc::new(Declared::default());
    let started = stationkeeper::gateway::Gateway::start(settings, directory, &mut registry).await;
    assert!(matches!(started.err(), Some(GatewayError::NoJournal)));
}
