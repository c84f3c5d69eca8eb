//! How a station reaches its CSMS: address, HTTP Basic, TLS, subprotocol, and buffers small enough for thousands.
//!
//! In come the settings and a password; out comes an open WebSocket, or why there is none. What is said over it is
//! decided elsewhere.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::http::{HeaderValue, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, tungstenite};

use crate::settings::{Password, StationSettings, Trust};

/// An open connection.
pub(crate) type Line = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The subprotocol of OCPP 1.6 over JSON (OCPP-J section 3.1.2).
const SUBPROTOCOL: &str = "ocpp1.6";

/// A short read buffer, since most connections are idle. Not smaller: every read would be a system call for a few bytes.
const READ_BUFFER: usize = 1024;

/// What a connection may hold unsent. The largest thing that a station sends is a huge frame, by habit.
const MAX_WRITE_BUFFER: usize = 300 << 20;

/// The characters of an identity that stand in a URL as they are (RFC 3986 section 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A connection that did not come about.
#[derive(Debug, thiserror::Error)]
pub enum Connect {
    /// The address is not one of a CSMS.
    #[error("{url:?} is no address of a CSMS: give ws://host:port/path or wss://host:port/path")]
    Address {
        /// The address.
        url: String,
    },
    /// The host does not answer.
    #[error("failed to reach {host:?}")]
    Reach {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The CSMS answered the handshake with an HTTP status.
    #[error("the CSMS refused the connection with HTTP status {status}")]
    Refused {
        /// The status.
        status: u16,
    },
    /// The handshake failed otherwise.
    #[error("failed to open a WebSocket")]
    Handshake {
        /// Why.
        #[source]
        source: Box<tungstenite::Error>,
    },
    /// It took too long.
    #[error("no connection within {limit:?}")]
    TooSlow {
        /// The limit.
        limit: Duration,
    },
}

/// The host and port of an address, if it is one of a CSMS.
pub(crate) fn host_and_port(url: &str) -> Result<(String, u16), Connect> {
    let bad = || Connect::Address {
        url: url.to_owned(),
    };
    let uri: Uri = url.parse().map_err(|_| bad())?;
    let usual = match uri.scheme_str() {
        Some("ws") => 80,
        Some("wss") => 443,
        Some(_) | None => return Err(bad()),
    };
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(bad)?;
    Ok((
        host.trim_matches(['[', ']']).to_owned(),
        uri.port_u16().unwrap_or(usual),
    ))
}

/// Is a text the address of a CSMS?
pub fn check_url(url: &str) -> Result<(), Connect> {
    host_and_port(url).map(|_| ())
}

fn request(settings: &StationSettings, password: Option<&Password>) -> Result<Request, Connect> {
    let bad = || Connect::Address {
        url: settings.url.clone(),
    };
    let identity = utf8_percent_encode(&settings.identity, ESCAPED);
    let url = format!("{}/{identity}", settings.url.trim_end_matches('/'));
    let mut request = url.into_client_request().map_err(|_| bad())?;
    let headers = request.headers_mut();
    headers.insert(
        SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static(SUBPROTOCOL),
    );
    if let Some(password) = password {
        let pair = [settings.identity.as_bytes(), b":", password.bytes()].concat();
        let value = format!("Basic {}", STANDARD.encode(pair));
        headers.insert(
            AUTHORIZATION,
            HeaderValue::try_from(value).map_err(|_| bad())?,
        );
    }
    Ok(request)
}

/// Opens a connection.
pub(crate) async fn connect(
    settings: &StationSettings,
    password: Option<&Password>,
) -> Result<Line, Connect> {
    let limit = settings.pace.patience;
    let opened = tokio::time::timeout(limit, open(settings, password)).await;
    opened.unwrap_or(Err(Connect::TooSlow { limit }))
}

async fn open(settings: &StationSettings, password: Option<&Password>) -> Result<Line, Connect> {
    let request = request(settings, password)?;
    let socket = reach(settings).await?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WRITE_BUFFER);
    let tls = match &settings.trust {
        Trust::Public => None,
        Trust::Given(config) => Some(Connector::Rustls(config.clone())),
    };
    match tokio_tungstenite::client_async_tls_with_config(request, socket, Some(config), tls).await
    {
        Ok((line, _)) => Ok(line),
        Err(tungstenite::Error::Http(response)) => Err(Connect::Refused {
            status: response.status().as_u16(),
        }),
        Err(source) => Err(Connect::Handshake {
            source: Box::new(source),
        }),
    }
}

async fn reach(settings: &StationSettings) -> Result<TcpStream, Connect> {
    let (host, port) = host_and_port(&settings.url)?;
    let failed = |source| Connect::Reach {
        host: host.clone(),
        source,
    };
    let socket = TcpStream::connect((host.as_str(), port))
        .await
        .map_err(failed)?;
    socket.set_nodelay(true).map_err(failed)?;
    Ok(socket)
}

/// Begins a handshake and does not end it: the socket has to be kept for as long as the peer should wait.
pub(crate) async fn half_handshake(settings: &StationSettings) -> Option<TcpStream> {
    let mut socket = tokio::time::timeout(settings.pace.patience, reach(settings))
        .await
        .ok()?
        .ok()?;
    socket
        .write_all(b"GET /half HTTP/1.1\r\nHost: half\r\nUpgrade: webso")
        .await
        .ok()?;
    Some(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_percent_encoded_and_sent_with_the_password() {
        let settings = StationSettings::new("ws://127.0.0.1:1/ocpp/", "A/B %ø");
        let request = request(&settings, Some(&Password::from("secret"))).unwrap();
        assert_eq!(request.uri().path(), "/ocpp/A%2FB%20%25%C3%B8");
        let basic = request.headers()[AUTHORIZATION].to_str().unwrap();
        assert_eq!(
            STANDARD
                .decode(basic.strip_prefix("Basic ").unwrap())
                .unwrap(),
            "A/B %ø:secret".as_bytes()
        );
    }

    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        assert_eq!(
            host_and_port("wss://[::1]/x").unwrap(),
            ("::1".to_owned(), 443)
        );
        assert_eq!(
            host_and_port("ws://a:9000").unwrap(),
            ("a".to_owned(), 9000)
        );
        for bad in ["http://a", "a:9000", "ws://", ""] {
            assert!(host_and_port(bad).is_err(), "{bad}");
        }
    }
}
