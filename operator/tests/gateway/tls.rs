//! TLS from files.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use stationkeeper::gateway::{Gateway, GatewayError, GatewaySettings, TlsFiles};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::stage::{Client, Declared, Stage, settings, within};

fn write_pair(folder: &Path) -> CertificateDer<'static> {
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("key"), pair.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("certificate"), pair.cert.pem()).unwrap();
    pair.cert.der().clone()
}

fn secured(folder: &Path) -> GatewaySettings {
    let tls = TlsFiles {
        certificate: folder.join("certificate"),
        key: folder.join("key"),
    };
    GatewaySettings {
        tls: Some(tls),
        ..settings()
    }
}

async fn connect(
    stage: &Stage,
    trusted: &CertificateDer<'static>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    let stream = TcpStream::connect(stage.address).await?;
    TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from("localhost").unwrap(), stream)
        .await
}

async fn start_error(settings: GatewaySettings) -> GatewayError {
    let mut registry = prometheus_client::registry::Registry::default();
    Gateway::start(settings, Arc::new(Declared::default()), &mut registry)
        .await
        .err()
        .unwrap()
}

#[tokio::test]
async fn stations_connect_over_tls_and_changed_files_are_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let first = write_pair(folder.path());
    let stage = Stage::new(secured(folder.path())).await;
    let stream = connect(&stage, &first).await.unwrap();
    let mut client = Client::over(stream, "wss", stage.address, "cp", &["ocpp1.6"], None)
        .await
        .unwrap();
    assert_eq!(client.boot().await[1]["status"], "Pending");

    let second = write_pair(folder.path());
    within(async {
        while connect(&stage, &second).await.is_err() {
            tokio::task::yield_now().await
        }
    })
    .await;
    assert!(connect(&stage, &first).await.is_err());
    assert_eq!(
        client.ask("Heartbeat", "{}").await[0],
        3,
        "connections that are there stay"
    );

    // A pair that does not fit is not taken over.
    let stranger = tempfile::tempdir().unwrap();
    write_pair(stranger.path());
    std::fs::copy(stranger.path().join("key"), folder.path().join("key")).unwrap();
    let several_looks = std::time::Instant::now() + secured(folder.path()).reload * 5;
    while std::time::Instant::now() < several_looks {
        connect(&stage, &second).await.unwrap();
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_stop_the_start_and_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = start_error(secured(folder.path())).await;
    assert!(
        matches!(&error, GatewayError::Tls(stationkeeper::gateway::tls::TlsError::Certificate { path, .. }) if path.ends_with("certificate"))
    );

    write_pair(folder.path());
    let stranger = tempfile::tempdir().unwrap();
    write_pair(stranger.path());
    std::fs::copy(stranger.path().join("key"), folder.path().join("key")).unwrap();
    let error = start_error(secured(folder.path())).await;
    assert!(
        matches!(
            error,
            GatewayError::Tls(stationkeeper::gateway::tls::TlsError::Unfit { .. })
        ),
        "{error:?}"
    );

    std::fs::write(folder.path().join("certificate"), "no pem").unwrap();
    let error = start_error(secured(folder.path())).await;
    assert!(matches!(
        error,
        GatewayError::Tls(stationkeeper::gateway::tls::TlsError::NoCertificate { .. })
    ));
}

#[tokio::test]
async fn plain_text_at_a_tls_port_harms_nobody() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let folder = tempfile::tempdir().unwrap();
    let trusted = write_pair(folder.path());
    let stage = Stage::new(secured(folder.path())).await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(b"GET /cp HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = within(stream.read_to_end(&mut answer)).await;
    connect(&stage, &trusted).await.unwrap();
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let stage = Stage::new(settings()).await;
    let error = start_error(GatewaySettings {
        listen: stage.address,
        ..settings()
    })
    .await;
    assert!(
        error.to_string().contains(&stage.address.to_string()),
        "{error}"
    );
}
