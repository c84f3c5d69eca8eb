//! A tiny CSMS on a loopback socket: it accepts stations, answers what they send, and lets a test call them.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use stationkeeper_simulator::{Pace, StationHandle, StationSettings};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// How long anything in a test may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// How it answers BootNotification.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Boots {
    pub(crate) status: &'static str,
    pub(crate) interval: u64,
}

pub(crate) const ACCEPTED: Boots = Boots {
    status: "Accepted",
    interval: 0,
};

pub(crate) struct Csms {
    pub(crate) url: String,
    connections: mpsc::UnboundedReceiver<Connection>,
    pub(crate) boots: Arc<Mutex<Boots>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Csms {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Csms {
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// One that speaks TLS, if it is given how.
    pub(crate) async fn start_with(tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "wss" } else { "ws" };
        let url = format!("{scheme}://{}/ocpp", listener.local_addr().unwrap());
        let boots = Arc::new(Mutex::new(ACCEPTED));
        let (opened, connections) = mpsc::unbounded_channel();
        let answers = boots.clone();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                // Two small frames in a row would otherwise wait for each other.
                socket.set_nodelay(true).unwrap();
                let (tls, opened, answers) = (tls.clone(), opened.clone(), answers.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(socket, opened, answers).await,
                        Some(tls) => {
                            if let Ok(socket) = tls.accept(socket).await {
                                serve(socket, opened, answers).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            url,
            connections,
            boots,
            task,
        }
    }

    /// The next connection that a station opens.
    pub(crate) async fn connection(&mut self) -> Connection {
        tokio::time::timeout(LIMIT, self.connections.recv())
            .await
            .expect("a station connects")
            .unwrap()
    }

    /// Settings of a quick station that connects here.
    pub(crate) fn settings(&self, faults: &[&str]) -> StationSettings {
        StationSettings {
            faults: faults.iter().map(|fault| fault.parse().unwrap()).collect(),
            // It gives no connection up, and asks for nothing again, while a test is slow.
            pace: Pace {
                patience: LIMIT,
                boot_retry_longest: LIMIT,
                ..Pace::QUICK
            },
            ..StationSettings::new(self.url.clone(), "cp-1")
        }
    }

    /// A quick station with some faults, connected and accepted.
    pub(crate) async fn station(&mut self, faults: &[&str]) -> (StationHandle, Connection) {
        let station = stationkeeper_simulator::Station::start(self.settings(faults));
        let connection = self.connection().await;
        connection.heard("BootNotification").await;
        (station, connection)
    }
}

#[derive(Default)]
struct State {
    heard: Mutex<Vec<(String, Value)>>,
    texts: Mutex<Vec<String>>,
    waiting: Mutex<HashMap<String, oneshot::Sender<Value>>>,
    changed: Notify,
    ended: Mutex<Option<bool>>,
}

/// One connection of a station.
pub(crate) struct Connection {
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    state: Arc<State>,
    out: mpsc::UnboundedSender<Message>,
}

pub(crate) async fn serve(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    opened: mpsc::UnboundedSender<Connection>,
    boots: Arc<Mutex<Boots>>,
) {
    let (mut path, mut authorization) = (String::new(), None);
    #[allow(clippy::result_large_err, reason = "the signature is the library's")]
    let handshake = |request: &Request, mut response: Response| {
        path = request.uri().path().to_owned();
        authorization = request
            .headers()
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned());
        response.headers_mut().insert(
            "sec-websocket-protocol",
            HeaderValue::from_static("ocpp1.6"),
        );
        Ok(response)
    };
    let Ok(line) = tokio_tungstenite::accept_hdr_async(socket, handshake).await else {
        return;
    };
    let (mut sink, mut stream) = line.split();
    let (out, mut outgoing) = mpsc::unbounded_channel::<Message>();
    let state = Arc::new(State::default());
    let connection = Connection {
        path,
        authorization,
        state: state.clone(),
        out: out.clone(),
    };
    if opened.send(connection).is_err() {
        return;
    }
    let mut closed = false;
    loop {
        let message = tokio::select! {
            message = stream.next() => message,
            Some(message) = outgoing.recv() => {
                if sink.send(message).await.is_err() { break }
                continue;
            }
        };
        match message {
            Some(Ok(Message::Text(text))) => {
                state.texts.lock().unwrap().push(text.to_string());
                hear(&state, &text, &out, *boots.lock().unwrap());
                state.changed.notify_waiters();
            }
            Some(Ok(Message::Binary(_))) => {
                state.texts.lock().unwrap().push("(binary)".to_owned());
                state.changed.notify_waiters();
            }
            Some(Ok(Message::Close(_))) => closed = true,
            Some(Ok(_)) => {}
            Some(Err(_)) | None => break,
        }
    }
    *state.ended.lock().unwrap() = Some(closed);
    state.waiting.lock().unwrap().clear();
    state.changed.notify_waiters();
}

fn hear(state: &State, text: &str, out: &mpsc::UnboundedSender<Message>, boots: Boots) {
    let Ok(frame) = serde_json::from_str::<Value>(text) else {
        return;
    };
    match frame[0].as_i64() {
        Some(2) => {
            let action = frame[2].as_str().unwrap_or_default().to_owned();
            let answer = match action.as_str() {
                "BootNotification" => json!({
                    "status": boots.status, "interval": boots.interval, "currentTime": "2026-02-03T04:05:06Z",
                }),
                "StartTransaction" => {
                    json!({"transactionId": 77, "idTagInfo": {"status": "Accepted"}})
                }
                _ => json!({}),
            };
            state.heard.lock().unwrap().push((action, frame[3].clone()));
            out.send(Message::text(json!([3, frame[1], answer]).to_string()))
                .ok();
        }
        Some(3 | 4) => {
            let id = frame[1].as_str().unwrap_or_default().to_owned();
            if let Some(waiting) = state.waiting.lock().unwrap().remove(&id) {
                waiting.send(frame).ok();
            }
        }
        _ => {}
    }
}

impl Connection {
    /// Sends a call and returns the whole frame of the answer; `None`: the connection ended without one.
    pub(crate) async fn frame(&self, action: &str, payload: Value) -> Option<Value> {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let id = format!(
            "test-{}",
            NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
        );
        self.frame_with_id(&id, action, payload).await
    }

    pub(crate) async fn frame_with_id(
        &self,
        id: &str,
        action: &str,
        payload: Value,
    ) -> Option<Value> {
        let (answered, answer) = oneshot::channel();
        self.state
            .waiting
            .lock()
            .unwrap()
            .insert(id.to_owned(), answered);
        self.out
            .send(Message::text(json!([2, id, action, payload]).to_string()))
            .ok();
        tokio::time::timeout(LIMIT, answer)
            .await
            .expect("an answer or an end")
            .ok()
    }

    /// Sends a call and returns the payload of its CALLRESULT.
    pub(crate) async fn call(&self, action: &str, payload: Value) -> Value {
        let frame = self.frame(action, payload).await.expect("an answer");
        assert_eq!(frame[0], 3, "{frame}");
        frame[2].clone()
    }

    /// Sends a call and returns the code of its CALLERROR.
    pub(crate) async fn error(&self, action: &str, payload: Value) -> String {
        let frame = self.frame(action, payload).await.expect("an answer");
        assert_eq!(frame[0], 4, "{frame}");
        frame[2].as_str().unwrap().to_owned()
    }

    pub(crate) async fn write(&self, key: &str, value: &str) -> String {
        let answer = self
            .call("ChangeConfiguration", json!({"key": key, "value": value}))
            .await;
        answer["status"].as_str().unwrap().to_owned()
    }

    /// What GetConfiguration says of some keys.
    pub(crate) async fn read(&self, keys: &[&str]) -> Value {
        self.call("GetConfiguration", json!({"key": keys})).await
    }

    /// The value that it shows for a key.
    pub(crate) async fn value(&self, key: &str) -> Value {
        self.read(&[key]).await["configurationKey"][0]["value"].clone()
    }

    pub(crate) fn say(&self, text: &str) {
        self.out.send(Message::text(text.to_owned())).ok();
    }

    async fn until<T>(&self, what: &str, look: impl Fn(&State) -> Option<T>) -> T {
        let waiting = async {
            loop {
                let changed = self.state.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = look(&self.state) {
                    return found;
                }
                changed.await;
            }
        };
        tokio::time::timeout(LIMIT, waiting)
            .await
            .unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }

    /// Waits for a call of the station, and takes it; those before it are dropped.
    pub(crate) async fn heard(&self, action: &str) -> Value {
        self.until(action, |state| {
            let mut heard = state.heard.lock().unwrap();
            let at = heard.iter().position(|(own, _)| own == action)?;
            heard.drain(..=at).next_back().map(|(_, payload)| payload)
        })
        .await
    }

    /// Waits for a text that holds a part.
    pub(crate) async fn text(&self, part: &str) -> String {
        self.until(part, |state| {
            state
                .texts
                .lock()
                .unwrap()
                .iter()
                .find(|text| text.contains(part))
                .cloned()
        })
        .await
    }

    /// Every text that the station sent.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.state.texts.lock().unwrap().clone()
    }

    /// The actions that the station sent and nobody took yet.
    pub(crate) fn pending_calls(&self) -> Vec<String> {
        self.state
            .heard
            .lock()
            .unwrap()
            .iter()
            .map(|(action, _)| action.clone())
            .collect()
    }

    /// Waits for the end of the connection: was it closed properly?
    pub(crate) async fn ended(&self) -> bool {
        self.until("the end", |state| *state.ended.lock().unwrap())
            .await
    }
}
