//! The end: sockets are closed properly, in time, and nothing stays behind.

use std::time::{Duration, Instant};

use stationkeeper::connector::{Admission, CallResult};
use tokio::net::TcpStream;

use super::stage::{LIMIT, Stage, settings, within};

#[tokio::test]
async fn shutdown_says_goodbye_to_all_and_frees_the_port() {
    let stage = Stage::new(settings()).await;
    let mut clients = Vec::new();
    for number in 0..20 {
        stage
            .directory
            .declare(&number.to_string(), Admission::Open);
        clients.push(stage.connect_as(&number.to_string()).await);
    }
    within(async {
        while stage.gateway.connections() < 20 {
            tokio::task::yield_now().await
        }
    })
    .await;
    stage.gateway.shutdown(Duration::from_millis(100));
    for client in &mut clients {
        assert_eq!(client.closed().await.unwrap().0, 1001);
    }
    within(stage.task).await.unwrap().unwrap();
    assert_eq!(stage.gateway.connections(), 0);
    assert!(TcpStream::connect(stage.address).await.is_err());
}

#[tokio::test]
async fn shutdown_does_not_wait_for_stations_that_do_not_listen() {
    let stage = Stage::new(settings()).await;
    let _deaf = stage.boot().await;
    let _half = TcpStream::connect(stage.address).await.unwrap();
    let started = Instant::now();
    stage.gateway.shutdown(Duration::ZERO);
    within(stage.task).await.unwrap().unwrap();
    // Half a handshake may last as long as the limit.
    assert!(started.elapsed() < LIMIT / 2);
}

#[tokio::test]
async fn calls_of_a_gateway_that_stops_are_told_so() {
    let stage = Stage::new(settings()).await;
    let mut client = stage.boot().await;
    let end = async {
        client.receive().await;
        stage.gateway.shutdown(Duration::ZERO);
        client.closed().await
    };
    let (result, _) = tokio::join!(stage.call("GetConfiguration", "{}"), end);
    assert!(matches!(result, CallResult::Disconnected));
    assert!(matches!(
        stage.call("GetConfiguration", "{}").await,
        CallResult::NotDelivered(_)
    ));
}
