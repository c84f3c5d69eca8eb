//! What the tests share: a gateway on a free port, a directory that can be changed, and raw clients.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use prometheus_client::registry::Registry;
use serde_json::Value;
use serde_json::value::RawValue;
use stationkeeper::connector::{
    Admission, Call, CallResult, Connector, Credential, Directory, Identity, Presence, StationEvent,
};
use stationkeeper::gateway::{Gateway, GatewayError, GatewaySettings, Started};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// No wait of a test is longer. Machines that run tests are slow at times; waiting costs nothing while things go well.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// Longer than any test: what is due after that time does not happen unasked.
pub(crate) const NEVER: Duration = Duration::from_secs(3600);

/// A directory that tests write into.
#[derive(Default)]
pub(crate) struct Declared {
    pub(crate) stations: Mutex<HashMap<String, Admission>>,
    pub(crate) registered: Mutex<Vec<String>>,
    /// Declares what is registered.
    pub(crate) adopts: bool,
    /// Says that it will be declared; the test does it.
    pub(crate) adopts_later: bool,
    /// Whoever was admitted is gone right after.
    pub(crate) forgets: bool,
    pub(crate) heartbeat: Option<u32>,
}

impl Declared {
    pub(crate) fn declare(&self, identity: &str, admission: Admission) {
        self.stations
            .lock()
            .unwrap()
            .insert(identity.to_owned(), admission);
    }
}

impl Directory for Declared {
    fn admit(&self, identity: &Identity) -> Admission {
        let mut stations = self.stations.lock().unwrap();
        let admission = match self.forgets {
            true => stations.remove(identity.as_str()),
            false => stations.get(identity.as_str()).cloned(),
        };
        admission.unwrap_or(Admission::Unknown)
    }

    fn register(&self, identity: &Identity) -> bool {
        self.registered
            .lock()
            .unwrap()
            .push(identity.as_str().to_owned());
        if self.adopts {
            self.declare(identity.as_str(), Admission::Open);
        }
        self.adopts || self.adopts_later
    }

    fn heartbeat_interval(&self, _identity: &Identity) -> Option<u32> {
        self.heartbeat
    }
}

pub(crate) fn password(text: &str) -> Credential {
    Credential {
        password: text.as_bytes().to_vec().into(),
        bootstrap: false,
    }
}

pub(crate) fn bootstrap(text: &str) -> Credential {
    Credential {
        bootstrap: true,
        ..password(text)
    }
}

/// A gateway with its directory.
pub(crate) struct Stage {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) directory: Arc<Declared>,
    pub(crate) address: SocketAddr,
    pub(crate) registry: Registry,
    pub(crate) task: JoinHandle<Result<(), GatewayError>>,
}

pub(crate) fn settings() -> GatewaySettings {
    let mut settings = GatewaySettings::new("127.0.0.1:0".parse().unwrap());
    settings.limits.settle = Duration::from_millis(20);
    settings.limits.reconnect_settle = Duration::from_millis(50);
    // Tests that are slow are neither asked for a BootNotification nor given up.
    settings.limits.boot_wait = NEVER;
    settings.limits.handshake = LIMIT;
    settings.limits.write = LIMIT;
    settings.limits.journal = LIMIT;
    settings.reload = Duration::from_millis(20);
    settings
}

impl Stage {
    /// A gateway at which the station `cp` may connect without a password.
    pub(crate) async fn new(settings: GatewaySettings) -> Self {
        Self::with(settings, Declared::default()).await
    }

    pub(crate) async fn with(settings: GatewaySettings, directory: Declared) -> Self {
        directory.declare("cp", Admission::Open);
        let directory = Arc::new(directory);
        let mut registry = Registry::default();
        let Started {
            gateway,
            address,
            task,
        } = Gateway::start(settings, directory.clone(), &mut registry)
            .await
            .unwrap();
        Self {
            gateway,
            directory,
            address,
            registry,
            task,
        }
    }

    /// Connects the station `cp`.
    pub(crate) async fn connect(&self) -> Client {
        self.connect_as("cp").await
    }

    pub(crate) async fn connect_as(&self, path: &str) -> Client {
        Client::connect(self.address, path, &["ocpp1.6"], None)
            .await
            .unwrap()
    }

    /// Connects the station `cp` and lets it boot.
    pub(crate) async fn boot(&self) -> Client {
        let mut client = self.connect().await;
        client.boot().await;
        self.until(|presence| presence.registered).await;
        client
    }

    pub(crate) async fn call(&self, action: &'static str, payload: &str) -> CallResult {
        self.call_within(action, payload, LIMIT).await
    }

    pub(crate) async fn call_within(
        &self,
        action: &'static str,
        payload: &str,
        timeout: Duration,
    ) -> CallResult {
        let payload = RawValue::from_string(payload.to_owned()).unwrap();
        self.gateway
            .call(&Identity::new("cp"), Call::new(action, payload, timeout, 1))
            .await
    }

    pub(crate) fn presence(&self) -> Presence {
        self.gateway.presence(&Identity::new("cp")).unwrap()
    }

    /// Waits for something to be true of `cp`.
    pub(crate) async fn until(&self, holds: impl Fn(&Presence) -> bool) -> Presence {
        within(async {
            loop {
                if let Some(presence) = self
                    .gateway
                    .presence(&Identity::new("cp"))
                    .filter(|presence| holds(presence))
                {
                    return presence;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    /// Waits for a number of events of `cp`.
    pub(crate) async fn events(&self, count: usize) -> Vec<StationEvent> {
        let mut events = Vec::new();
        while events.len() < count {
            let identity = within(self.gateway.wake()).await;
            events.extend(self.gateway.take_events(&identity));
        }
        events
    }

    /// The value of one metric line, by how it begins.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text.lines()
            .find_map(|found| found.strip_prefix(line)?.strip_prefix(' ')?.parse().ok())
            .unwrap_or_default()
    }
}

/// A station of the tests.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) socket: WebSocketStream<S>,
    pub(crate) subprotocol: Option<String>,
    next: u32,
}

/// Why a client was turned away.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Client<TcpStream> {
    pub(crate) async fn connect(
        address: SocketAddr,
        path: &str,
        subprotocols: &[&str],
        basic: Option<(&str, &[u8])>,
    ) -> Result<Self, Refused> {
        let stream = TcpStream::connect(address).await.unwrap();
        Client::over(stream, "ws", address, path, subprotocols, basic).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) async fn over(
        stream: S,
        scheme: &str,
        address: SocketAddr,
        path: &str,
        subprotocols: &[&str],
        basic: Option<(&str, &[u8])>,
    ) -> Result<Self, Refused> {
        let mut request = format!("{scheme}://localhost:{}/ocpp/{path}", address.port())
            .into_client_request()
            .unwrap();
        let headers = request.headers_mut();
        if !subprotocols.is_empty() {
            headers.insert(
                "Sec-WebSocket-Protocol",
                HeaderValue::from_str(&subprotocols.join(", ")).unwrap(),
            );
        }
        if let Some((user, password)) = basic {
            use base64::Engine as _;
            let text = [user.as_bytes(), b":", password].concat();
            let value = format!(
                "Basic {}",
                base64::engine::general_purpose::STANDARD.encode(text)
            );
            headers.insert("Authorization", HeaderValue::from_str(&value).unwrap());
        }
        // The library insists on a subprotocol in the answer, so what the gateway answers is read by hand.
        let mut stream = stream;
        let mut text = format!("GET {} HTTP/1.1\r\n", request.uri().path());
        for (name, value) in request.headers() {
            text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        text.push_str("\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let (head, rest) = within(read_head(&mut stream)).await;
        let mut lines = head.lines();
        let status: u16 = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers: HashMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        if status == 101 {
            let role = tokio_tungstenite::tungstenite::protocol::Role::Client;
            let socket = WebSocketStream::from_partially_read(stream, rest, role, None).await;
            return Ok(Self {
                socket,
                subprotocol: headers.get("sec-websocket-protocol").cloned(),
                next: 0,
            });
        }
        let mut body = rest;
        // A refused connection is closed after the answer.
        let _ = stream.read_to_end(&mut body).await;
        Err(Refused {
            status,
            headers,
            body: String::from_utf8(body).unwrap(),
        })
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.socket
            .send(Message::text(text.to_owned()))
            .await
            .unwrap();
    }

    /// The next text, as JSON; pings are answered on the way.
    pub(crate) async fn receive(&mut self) -> Value {
        match within(self.next()).await {
            Some(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
            other => panic!("no text: {other:?}"),
        }
    }

    /// The next text or close; `None`: the connection is gone.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => return Some(message),
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Waits for the close frame.
    pub(crate) async fn closed(&mut self) -> Option<(u16, String)> {
        loop {
            match within(self.next()).await {
                Some(Message::Close(Some(frame))) => {
                    return Some((frame.code.into(), frame.reason.to_string()));
                }
                Some(_) => {}
                None => return None,
            }
        }
    }

    /// Makes a call and gives what it is answered, without the id.
    pub(crate) async fn ask(&mut self, action: &str, payload: &str) -> Value {
        self.next += 1;
        let id = format!("client-{}", self.next);
        self.send(&format!(r#"[2,"{id}","{action}",{payload}]"#))
            .await;
        let mut answer = self.receive().await;
        assert_eq!(answer[1], id, "{answer}");
        answer.as_array_mut().unwrap().remove(1);
        answer
    }

    pub(crate) async fn boot(&mut self) -> Value {
        self.ask(
            "BootNotification",
            r#"{"chargePointVendor":"V","chargePointModel":"M","firmwareVersion":"1"}"#,
        )
        .await
    }

    /// Answers the next call of the gateway; gives its action.
    pub(crate) async fn answer(&mut self, payload: &str) -> String {
        let call = self.receive().await;
        assert_eq!(call[0], 2, "{call}");
        self.send(&format!("[3,{},{payload}]", call[1])).await;
        call[2].as_str().unwrap().to_owned()
    }
}

async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return (String::from_utf8(bytes).unwrap(), rest);
        }
        assert!(
            stream.read_buf(&mut bytes).await.unwrap() > 0,
            "closed without an answer"
        );
    }
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future)
        .await
        .expect("it takes too long")
}
