//! The opening handshake: bytes in, a station that may speak or an HTTP answer that says why not out.
//!
//! | the client… | is answered |
//! | --- | --- |
//! | does not ask for a WebSocket | 426 |
//! | has no identity in its path, or one that cannot be decoded | 400 |
//! | comes before the objects were ever read, or when there are too many | 503 with Retry-After |
//! | is not declared | 404 (OCPP-J 1.6, section 3.2), unless an object is made for it within some seconds |
//! | is declared and refused | 403 with the reason |
//! | does not prove who it is | 401 |
//! | reconnects too often | 429 with Retry-After |
//! | speaks none of our subprotocols | 101 without a subprotocol, then a close (OCPP-J 1.6, section 3.2) |
//!
//! The request is read here and not by the WebSocket library, which would answer half of these by closing the socket.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::SUBPROTOCOL;
use super::Shared;
use super::tls::Socket;
use crate::connector::{Admission, Credential, Identity};

/// The longest request head. A path of 255 characters takes at most 3 KiB when every byte of it is encoded.
const MAX_HEAD: usize = 16 * 1024;

/// How long a station waits for the object that is being made for it, within the time for a handshake. The way over the
/// API server takes some tenths of a second.
const REGISTERED_WITHIN: Duration = Duration::from_secs(3);

/// The most headers of a request.
const MAX_HEADERS: usize = 96;

/// How a TLS handshake begins, whatever its version (RFC 8446, section 5.1).
const TLS_RECORD: [u8; 2] = [22, 3];

/// The longest identity, in characters.
const MAX_IDENTITY: usize = 255;

/// A client that may go on.
pub(super) struct Greeted {
    pub(super) identity: Identity,
    /// What proved who it is.
    pub(super) credential: Option<Credential>,
    /// It speaks one of our subprotocols; else it is to be closed at once.
    pub(super) agreed: bool,
    /// What it sent after its request.
    pub(super) rest: Vec<u8>,
}

/// A client that may not.
struct Refusal {
    status: &'static str,
    /// For metrics.
    label: &'static str,
    why: String,
    header: Option<String>,
}

impl Refusal {
    fn new(status: &'static str, label: &'static str, why: impl Into<String>) -> Self {
        Self {
            status,
            label,
            why: why.into(),
            header: None,
        }
    }

    fn later(
        status: &'static str,
        label: &'static str,
        why: impl Into<String>,
        wait: Duration,
    ) -> Self {
        let header = Some(format!("Retry-After: {}", wait.as_secs().max(1)));
        Self {
            header,
            ..Self::new(status, label, why)
        }
    }
}

/// What the request says, as far as it matters.
struct Request {
    identity: Identity,
    key: String,
    /// The subprotocol of ours that the client offered, as it spelled it.
    subprotocol: Option<String>,
    authorization: Option<Vec<u8>>,
}

/// Shakes hands. `None`: the client was refused and told why, or has gone.
pub(super) async fn greet(shared: &Shared, socket: &mut Socket) -> Option<Greeted> {
    let (head, rest) = match read_head(socket).await {
        Ok(read) => read,
        Err(Head::Gone) => {
            shared.metrics.handshake("gone");
            return None;
        }
        Err(Head::TooLong) => {
            let refusal = too_large("the request is too long");
            return refuse(shared, socket, None, refusal).await;
        }
        Err(Head::Tls) => {
            let why = "the client begins with TLS, and this port speaks none: connect with ws://, or give the gateway a certificate";
            let refusal = Refusal::new("400 Bad Request", "tls", why);
            return refuse(shared, socket, None, refusal).await;
        }
    };
    let request = match read_request(&head) {
        Ok(request) => request,
        Err(refusal) => return refuse(shared, socket, None, refusal).await,
    };
    let admission = match shared.directory.admit(&request.identity) {
        Admission::Unknown => registered(shared, &request.identity).await,
        admission => admission,
    };
    let credential = match admit(shared, &request, admission) {
        Ok(credential) => credential,
        Err(refusal) => return refuse(shared, socket, Some(&request.identity), refusal).await,
    };
    let Request {
        identity,
        key,
        subprotocol,
        authorization: _,
    } = request;
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n",
        derive_accept_key(key.as_bytes())
    );
    if let Some(subprotocol) = &subprotocol {
        // Writing to a String cannot fail.
        let _ = write!(answer, "Sec-WebSocket-Protocol: {subprotocol}\r\n");
    }
    answer.push_str("\r\n");
    if write(socket, answer.as_bytes()).await.is_err() {
        shared.metrics.handshake("gone");
        return None;
    }
    let agreed = subprotocol.is_some();
    shared
        .metrics
        .handshake(if agreed { "accepted" } else { "no_subprotocol" });
    if !agreed {
        tracing::warn!(%identity, offers = SUBPROTOCOL, "the station offers no subprotocol of ours; it is closed");
    }
    Some(Greeted {
        identity,
        credential,
        agreed,
        rest,
    })
}

async fn refuse(
    shared: &Shared,
    socket: &mut Socket,
    identity: Option<&Identity>,
    refusal: Refusal,
) -> Option<Greeted> {
    let Refusal {
        status,
        label,
        why,
        header,
    } = refusal;
    shared.metrics.handshake(label);
    let station = identity.map_or_else(String::new, ToString::to_string);
    tracing::info!(identity = station, status, why, "a connection was refused");
    // Whoever sends Upgrade names it in Connection (RFC 9110, section 7.8).
    let connection = match &header {
        Some(header) if header.starts_with("Upgrade:") => "Upgrade, close",
        Some(_) | None => "close",
    };
    let header = header.map_or_else(String::new, |header| format!("{header}\r\n"));
    let answer = format!(
        "HTTP/1.1 {status}\r\n{header}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n{why}\n",
        why.len() + 1
    );
    // The client may have gone already; there is nobody else to tell.
    if write(socket, answer.as_bytes()).await.is_ok() {
        let _ = socket.shutdown().await;
    }
    None
}

async fn write(socket: &mut Socket, bytes: &[u8]) -> io::Result<()> {
    socket.write_all(bytes).await?;
    socket.flush().await
}

enum Head {
    Gone,
    TooLong,
    /// A TLS record instead of a request.
    Tls,
}

/// Reads up to the empty line; gives what came after it apart.
async fn read_head(socket: &mut Socket) -> Result<(Vec<u8>, Vec<u8>), Head> {
    let mut head = Vec::with_capacity(1024);
    loop {
        let seen = head.len();
        match socket.read_buf(&mut head).await {
            Ok(0) | Err(_) => return Err(Head::Gone),
            Ok(_) => {}
        }
        // Its client would wait for an answer that cannot come.
        if head.starts_with(&TLS_RECORD) {
            return Err(Head::Tls);
        }
        let from = seen.saturating_sub(3);
        if let Some(at) = head[from..].windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = head.split_off(from + at + 4);
            return Ok((head, rest));
        }
        if head.len() > MAX_HEAD {
            return Err(Head::TooLong);
        }
    }
}

fn read_request(head: &[u8]) -> Result<Request, Refusal> {
    let bad = |why: &str| Refusal::new("400 Bad Request", "bad_request", why);
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => {
            return Err(too_large("the request has too many headers"));
        }
        Ok(httparse::Status::Partial) | Err(_) if has_blanks_in_its_path(head) => {
            return Err(bad(
                "there are blanks in the path: write a blank in the identity as %20",
            ));
        }
        Ok(httparse::Status::Partial) | Err(_) => return Err(bad("this is no HTTP request")),
    }
    let values = |name: &'static str| {
        request
            .headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| String::from_utf8_lossy(header.value))
    };
    let has = |name, token: &str| {
        values(name).any(|value| {
            value
                .split(',')
                .any(|one| one.trim().eq_ignore_ascii_case(token))
        })
    };
    if request.method != Some("GET")
        || !has("Upgrade", "websocket")
        || !has("Connection", "Upgrade")
    {
        return Err(Refusal {
            header: Some("Upgrade: websocket".to_owned()),
            ..Refusal::new(
                "426 Upgrade Required",
                "not_websocket",
                "this is an OCPP-J endpoint: connect with a WebSocket to <this URL>/<identity>",
            )
        });
    }
    if !has("Sec-WebSocket-Version", "13") {
        return Err(Refusal {
            header: Some("Sec-WebSocket-Version: 13".to_owned()),
            ..Refusal::new(
                "426 Upgrade Required",
                "not_websocket",
                "only version 13 of WebSocket is spoken here",
            )
        });
    }
    let key = values("Sec-WebSocket-Key")
        .next()
        .ok_or_else(|| bad("Sec-WebSocket-Key is missing"))?
        .into_owned();
    let identity = identity(request.path.unwrap_or_default()).map_err(|why| bad(&why))?;
    let subprotocol = values("Sec-WebSocket-Protocol")
        .flat_map(|value| {
            value
                .split(',')
                .map(|one| one.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .find(|one| one.eq_ignore_ascii_case(SUBPROTOCOL));
    let authorization = request
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("Authorization"))
        .map(|header| header.value.to_vec());
    Ok(Request {
        identity,
        key,
        subprotocol,
        authorization,
    })
}

fn too_large(why: &str) -> Refusal {
    Refusal::new("431 Request Header Fields Too Large", "bad_request", why)
}

/// `GET /ocpp/RDAM 123 HTTP/1.1`: an identity that was not percent-encoded.
fn has_blanks_in_its_path(head: &[u8]) -> bool {
    let line = head.split(|&byte| byte == b'\r').next();
    let words: Vec<&[u8]> = line
        .unwrap_or_default()
        .split(|&byte| byte == b' ')
        .collect();
    words.len() > 3
        && words.first() == Some(&b"GET".as_slice())
        && words.last().is_some_and(|word| word.starts_with(b"HTTP/"))
}

/// The last segment of the path, percent-decoded (OCPP-J 1.6, section 3.1.1).
fn identity(path: &str) -> Result<Identity, String> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let encoded = path.rsplit('/').next().unwrap_or_default();
    let escapes_are_whole = encoded.split('%').skip(1).all(|escape| {
        escape.len() >= 2 && escape.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit)
    });
    if !escapes_are_whole {
        return Err(
            "the identity is not percent-encoded rightly: write a % itself as %25".to_owned(),
        );
    }
    let decoded = percent_decode_str(encoded)
        .decode_utf8()
        .map_err(|_| "the identity is not UTF-8 after percent-decoding".to_owned())?;
    if decoded.is_empty() {
        let why = match path.trim_matches('/') {
            "" => "the identity is missing",
            _ => "the path ends with a slash, and the identity stands after the last one",
        };
        return Err(format!("{why}: connect to <endpoint>/<identity>"));
    }
    if decoded.chars().count() > MAX_IDENTITY {
        return Err(format!(
            "the identity is longer than {MAX_IDENTITY} characters"
        ));
    }
    if decoded.chars().any(char::is_control) {
        return Err("the identity holds control characters".to_owned());
    }
    Ok(Identity::new(&decoded))
}

/// What a station is admitted as that nobody declared: where an object is made for such, it is waited for a little, so
/// that the station need not come twice.
async fn registered(shared: &Shared, identity: &Identity) -> Admission {
    if !shared.directory.register(identity) {
        return Admission::Unknown;
    }
    let until = Instant::now() + REGISTERED_WITHIN;
    loop {
        let admission = shared.directory.admit(identity);
        if !matches!(admission, Admission::Unknown) || Instant::now() >= until {
            return admission;
        }
        tokio::time::sleep(REGISTERED_WITHIN / 60).await;
    }
}

/// May the client speak for the identity?
fn admit(
    shared: &Shared,
    request: &Request,
    admission: Admission,
) -> Result<Option<Credential>, Refusal> {
    let identity = &request.identity;
    let credential = match admission {
        Admission::NotReady => {
            let why = "not ready: the stations' objects or Secrets have not been read yet, or another process leads";
            return Err(Refusal::later(
                "503 Service Unavailable",
                "not_ready",
                why,
                super::come_back(),
            ));
        }
        Admission::Unknown => {
            let why = format!(
                "no ChargeStation declares the identity {:?}",
                identity.as_str()
            );
            return Err(Refusal::new("404 Not Found", "unknown", why));
        }
        Admission::Refused(why) => return Err(Refusal::new("403 Forbidden", "refused", why)),
        Admission::Open => None,
        Admission::Password(accepted) => {
            let last = shared
                .station(identity)
                .and_then(|station| station.working_credential());
            match proven(
                identity,
                request.authorization.as_deref(),
                &accepted,
                last.as_ref(),
            ) {
                Some(credential) => Some(credential),
                None => {
                    let header =
                        Some(r#"WWW-Authenticate: Basic realm="stationkeeper""#.to_owned());
                    let why = match request.authorization {
                        Some(_) => "user name (the identity) or password are wrong",
                        None => {
                            "HTTP Basic authentication is required, with the identity as user name"
                        }
                    };
                    return Err(Refusal {
                        header,
                        ..Refusal::new("401 Unauthorized", "unauthorized", why)
                    });
                }
            }
        }
    };
    // Counted only now, so that nobody without the password can keep a station out.
    let limits = &shared.settings.limits;
    let station = shared.station_or_new(identity);
    station
        .pace_connect(limits.connect_burst, limits.connect_every, Instant::now())
        .map_err(|wait| {
            Refusal::later(
                "429 Too Many Requests",
                "too_often",
                "this identity connects too often",
                wait,
            )
        })?;
    Ok(credential)
}

/// The credential that the header proves, if any. All of them are compared, in constant time, as digests, so that
/// neither their order nor their lengths show.
///
/// The credential last seen working stays valid until another one has been seen working: a changed Secret locks no
/// station out (section 9 of the design).
fn proven(
    identity: &Identity,
    header: Option<&[u8]>,
    accepted: &[Credential],
    last: Option<&Credential>,
) -> Option<Credential> {
    let header = header?.trim_ascii();
    let (scheme, encoded) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim_ascii()).ok()?;
    let password = decoded
        .strip_prefix(identity.as_str().as_bytes())?
        .strip_prefix(b":")?;
    let given = Sha256::digest(password);
    let mut found = None;
    for credential in accepted.iter().chain(last) {
        let equal: Choice = Sha256::digest(credential.password.expose_secret()).ct_eq(&given);
        if bool::from(equal) && found.is_none() {
            found = Some(credential);
        }
    }
    found.cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(password: &str, bootstrap: bool) -> Credential {
        Credential {
            password: password.as_bytes().to_vec().into(),
            bootstrap,
        }
    }

    fn basic(text: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(text)).into_bytes()
    }

    #[test]
    fn identities_are_decoded_from_the_last_segment() {
        for (path, expected) in [
            ("/ocpp/CP001", "CP001"),
            ("/CP001?x=/y", "CP001"),
            ("http://host/ocpp/RDAM%20123", "RDAM 123"),
            ("/a/b/c/north%2F1", "north/1"),
            ("/100%25", "100%"),
            ("/%E5%85%85%E9%9B%BB", "充電"),
            ("/a+b", "a+b"),
        ] {
            assert_eq!(identity(path).unwrap().as_str(), expected, "{path}");
        }
        for path in [
            "", "/", "/ocpp/", "/a%", "/a%2", "/a%zz", "/%ff", "/a%00b", "/a%0Ab", "/a?b/c%",
        ] {
            assert_eq!(identity(path).is_ok(), path == "/a?b/c%", "{path}");
        }
        assert!(identity(&format!("/{}", "%E5%85%85".repeat(255))).is_ok());
        assert!(identity(&format!("/{}", "x".repeat(256))).is_err());
    }

    #[test]
    fn only_the_identity_with_an_accepted_password_is_proven() {
        let identity = Identity::new("a:b");
        let accepted = [credential("new:1", false), credential("boot", true)];
        let last = credential("old", false);
        let check = |header: &[u8]| {
            proven(&identity, Some(header), &accepted, Some(&last))
                .map(|found| String::from_utf8(found.password.expose_secret().to_vec()).unwrap())
        };
        assert_eq!(check(&basic("a:b:new:1")).as_deref(), Some("new:1"));
        assert_eq!(check(&basic("a:b:boot")).as_deref(), Some("boot"));
        assert_eq!(check(&basic("a:b:old")).as_deref(), Some("old"));
        for header in [
            basic("a:b:"),
            basic("a:b:new"),
            basic("c:new:1"),
            basic("a:b"),
            b"Bearer x".to_vec(),
            b"Basic ?".to_vec(),
        ] {
            assert_eq!(check(&header), None);
        }
        assert!(proven(&identity, None, &accepted, Some(&last)).is_none());
    }
}
