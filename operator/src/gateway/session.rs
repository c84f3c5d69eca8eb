//! One task owns one socket: it reads what the station sends, writes what is due, and keeps the time.
//!
//! Nobody else touches the socket. Calls come to it through [`Station`], and their answers go back the same way. It
//! ends when the station goes, when a newer connection takes its place, or when it is asked to; then nobody waits for
//! an answer any longer.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::{Sink, Stream};
use serde_json::value::RawValue;
use stationkeeper_core::event::End;
use stationkeeper_ocpp::error::CallErrorCode;
use stationkeeper_ocpp::frame::{self, BadFrame, FrameRef};
use stationkeeper_ocpp::request::{self, Trigger};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use uuid::Uuid;

use super::Shared;
use super::answering::{self, Answer};
use super::intake::Intake;
use super::pace::Pace;
use super::station::{Closing, Order, Outgoing, Reply, Station};
use super::tls::Socket;
use crate::connector::CallResult;

/// How long a station has to answer our close before the socket is dropped; shutting down waits for it.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// The socket of one connection.
pub(super) type WebSocket = WebSocketStream<Intake<Socket>>;

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The station closed it.
    Closed,
    /// It broke.
    Broken,
    /// The station went silent.
    Silent,
    /// The station does not read.
    Stuck,
    /// The station broke the rules of WebSocket.
    Protocol,
    /// A message that is said to be text is not UTF-8.
    NotText,
    /// A message was too big.
    TooBig,
    /// The station sent too much for too long.
    Flood,
    /// A transaction could not be stored.
    NotStored,
    /// A newer connection, a refusal or the end of the process.
    Asked(Closing),
}

impl Ending {
    pub(super) const ALL: [Self; 12] = [
        Self::Closed,
        Self::Broken,
        Self::Silent,
        Self::Stuck,
        Self::Protocol,
        Self::NotText,
        Self::TooBig,
        Self::Flood,
        Self::NotStored,
        Self::Asked(Closing::Superseded),
        Self::Asked(Closing::Shutdown),
        Self::Asked(Closing::Refused),
    ];

    fn end(self) -> End {
        match self {
            Self::Closed | Self::Broken | Self::Silent | Self::Stuck => End::Station,
            Self::Protocol | Self::NotText | Self::TooBig | Self::Flood | Self::NotStored => {
                End::Us
            }
            Self::Asked(Closing::Superseded) => End::Superseded,
            Self::Asked(Closing::Shutdown | Closing::Refused) => End::Us,
        }
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Broken => "broken",
            Self::Silent => "silent",
            Self::Stuck => "stuck",
            Self::Protocol => "protocol",
            Self::NotText => "not_text",
            Self::TooBig => "too_big",
            Self::Flood => "flood",
            Self::NotStored => "not_stored",
            Self::Asked(Closing::Superseded) => "superseded",
            Self::Asked(Closing::Shutdown) => "shutdown",
            Self::Asked(Closing::Refused) => "refused",
        }
    }

    /// The close frame that the station is due, if it can still be reached.
    fn close_frame(self) -> Option<(CloseCode, &'static str)> {
        match self {
            Self::Closed | Self::Broken | Self::Stuck => None,
            Self::Silent => Some((CloseCode::Away, "no answer to a ping")),
            Self::Protocol => Some((CloseCode::Protocol, "not WebSocket as in RFC 6455")),
            Self::NotText => Some((CloseCode::Invalid, "the text is not UTF-8")),
            Self::TooBig => Some((CloseCode::Size, "the message is too big")),
            Self::Flood => Some((CloseCode::Policy, "too many messages")),
            Self::NotStored => Some((
                CloseCode::Again,
                "the message cannot be stored now; keep it",
            )),
            Self::Asked(Closing::Superseded) => {
                Some((CloseCode::Normal, "a newer connection took its place"))
            }
            Self::Asked(Closing::Shutdown) => {
                Some((CloseCode::Away, "shutting down; connect again"))
            }
            Self::Asked(Closing::Refused) => {
                Some((CloseCode::Policy, "no longer admitted on this connection"))
            }
        }
    }
}

/// Serves one connection to its end. The session comes in a box, since what an async function is given takes its place in
/// the task twice.
pub(super) async fn serve(mut session: Box<Session>) {
    let ending = session.run().await;
    session.open.ending = Some(ending);
    if let Some((code, reason)) = ending.close_frame() {
        close(&mut session.socket, code, reason).await;
    }
}

/// Says goodbye, and waits a little for the answer.
pub(super) async fn close(socket: &mut WebSocket, code: CloseCode, reason: &'static str) {
    let farewell = async {
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        // The station may have gone; then there is nobody to say goodbye to.
        let _ = socket.close(Some(frame)).await;
        while let Some(Ok(_)) = poll_fn(|cx| Pin::new(&mut *socket).poll_next(cx)).await {}
    };
    let _ = tokio::time::timeout(CLOSE_WAIT, farewell).await;
}

/// Tells that the connection has ended, however it ended: also when the task is aborted or panics.
struct Open {
    shared: Arc<Shared>,
    station: Arc<Station>,
    number: u64,
    ending: Option<Ending>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.metrics.connections.dec();
        let ending = self.ending.unwrap_or(Ending::Asked(Closing::Shutdown));
        self.shared.metrics.ended(ending.label());
        tracing::debug!(identity = %self.station.identity, session = self.number, why = ending.label(), "the connection ended");
        let told = self
            .station
            .close(self.number, ending.end(), Instant::now());
        self.shared.tell(&self.station, told);
    }
}

pub(super) struct Session {
    open: Open,
    socket: WebSocket,
    timer: Pin<Box<Sleep>>,
    /// When the station was last heard.
    heard: Instant,
    pinged: Option<Instant>,
    /// When the connection was opened.
    opened: Instant,
    pace: Pace,
    /// Nothing is read before then.
    paused: Option<Instant>,
    /// Since when it is slowed down without a rest.
    throttled: Option<Instant>,
    /// The last message, kept until there is no other to read: the WebSocket library takes over memory that nobody else
    /// holds, however much it is.
    held: Option<Message>,
    /// One of the connections that there may be.
    _permit: OwnedSemaphorePermit,
}

/// What happened next.
enum Step {
    Order(Order),
    Message(Message),
    Failed(Error),
    Gone,
    Time,
}

impl Session {
    /// A session that begins now.
    pub(super) fn boxed(
        shared: Arc<Shared>,
        station: Arc<Station>,
        number: u64,
        socket: WebSocket,
        permit: OwnedSemaphorePermit,
    ) -> Box<Self> {
        let now = Instant::now();
        shared.metrics.connections.inc();
        let limits = &shared.settings.limits;
        let timer = Box::pin(tokio::time::sleep(limits.ping.min(limits.settle)));
        let open = Open {
            shared,
            station,
            number,
            ending: None,
        };
        Box::new(Self {
            open,
            socket,
            timer,
            heard: now,
            pinged: None,
            opened: now,
            pace: Pace::full(now),
            paused: None,
            throttled: None,
            held: None,
            _permit: permit,
        })
    }

    /// Does one thing after the other until the connection is to end.
    async fn run(&mut self) -> Ending {
        loop {
            let done = match poll_fn(|cx| self.poll_step(cx)).await {
                Step::Order(Order::Close(closing)) => return Ending::Asked(closing),
                Step::Order(Order::Send { id, text, timeout }) => {
                    self.send(id, text, timeout).await
                }
                Step::Message(message) => self.take(message).await,
                Step::Time => self.keep_time().await,
                Step::Gone => return Ending::Closed,
                Step::Failed(error) => return self.failed(&error),
            };
            if let Err(ending) = done {
                return ending;
            }
        }
    }

    /// Nothing is lost when this is polled again: orders, messages and time are each taken only when ready.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if let Poll::Ready(order) = self.open.station.poll_order(self.open.number, cx) {
            return Poll::Ready(Step::Order(order));
        }
        if self.paused.is_none() {
            match Pin::new(&mut self.socket).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => return Poll::Ready(Step::Message(message)),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Step::Failed(error)),
                Poll::Ready(None) => return Poll::Ready(Step::Gone),
                Poll::Pending => self.held = None,
            }
        }
        self.timer.as_mut().poll(cx).map(|()| Step::Time)
    }

    /// Writes one message, unless the connection is to be closed meanwhile or the station does not read.
    async fn write(&mut self, message: Message) -> Result<(), Ending> {
        let mut message = Some(message);
        let written = poll_fn(|cx| {
            let mut socket = Pin::new(&mut self.socket);
            let progress = 'progress: {
                if message.is_some() {
                    match socket.as_mut().poll_ready(cx) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(_)) => return Poll::Ready(Err(Ending::Broken)),
                        Poll::Pending => break 'progress Poll::Pending,
                    }
                    if let Some(message) = message.take()
                        && socket.as_mut().start_send(message).is_err()
                    {
                        return Poll::Ready(Err(Ending::Broken));
                    }
                }
                socket.poll_flush(cx)
            };
            match progress {
                Poll::Ready(result) => Poll::Ready(result.map_err(|_| Ending::Broken)),
                Poll::Pending => {
                    let closing = ready!(self.open.station.poll_closing(self.open.number, cx));
                    Poll::Ready(Err(Ending::Asked(closing)))
                }
            }
        });
        let limit = self.open.shared.settings.limits.write;
        tokio::time::timeout(limit, written)
            .await
            .unwrap_or(Err(Ending::Stuck))
    }

    /// Sends a call of ours.
    async fn send(&mut self, id: Uuid, text: String, timeout: Duration) -> Result<(), Ending> {
        self.write(Message::text(text)).await?;
        let deadline = Instant::now() + timeout;
        self.open.station.sent(self.open.number, id, deadline);
        self.wake_at(deadline);
        Ok(())
    }

    /// Takes one message of the station.
    async fn take(&mut self, message: Message) -> Result<(), Ending> {
        let now = Instant::now();
        self.heard = now;
        self.pinged = None;
        match &message {
            Message::Text(text) => self.read(text, now).await?,
            // OCPP-J is text; a station that marks it as binary is understood all the same.
            Message::Binary(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => self.read(text, now).await?,
                Err(_) => {
                    self.slow_down(now)?;
                    self.open.shared.metrics.frames_binary.inc();
                    tracing::debug!(identity = %self.open.station.identity, "a binary message was ignored");
                }
            },
            // Pings cost as much as messages, and the WebSocket library answers them.
            Message::Ping(_) => self.slow_down(now)?,
            Message::Pong(_) => {}
            Message::Close(_) | Message::Frame(_) => {}
        }
        self.held = Some(message);
        Ok(())
    }

    /// Reads a station that sends too much late, and lets one go that never rests.
    fn slow_down(&mut self, now: Instant) -> Result<(), Ending> {
        let limits = &self.open.shared.settings.limits;
        let (burst, every) = (
            limits.message_burst,
            Duration::from_secs(1) / limits.message_rate.max(1),
        );
        match self.pace.take(burst, every, now) {
            Ok(()) => {
                if self.throttled.is_some() && self.pace.has_rested(burst, every, now) {
                    self.throttled = None;
                }
                Ok(())
            }
            Err(wait) => {
                let since = *self.throttled.get_or_insert(now);
                if now.duration_since(since) > limits.throttled {
                    return Err(Ending::Flood);
                }
                self.open.shared.metrics.throttled.inc();
                self.paused = Some(now + wait);
                self.wake_at(now + wait);
                Ok(())
            }
        }
    }

    /// Reads the text of one message, and answers it if it is a call. The answer to a call of ours does not count against
    /// what the station may send: we asked for it, and have one call in flight.
    async fn read(&mut self, text: &str, now: Instant) -> Result<(), Ending> {
        match FrameRef::parse(text) {
            Ok(FrameRef::Call {
                id,
                action,
                payload,
            }) => {
                self.slow_down(now)?;
                // In a box, so that the task is not as large all the time as the largest answer makes it.
                Box::pin(self.answer(&id, &action, payload)).await
            }
            Ok(FrameRef::CallResult { id, payload }) => {
                self.replied(&id, CallResult::Answer(payload.to_owned()), now)
            }
            Ok(FrameRef::CallError {
                id,
                code,
                description,
                details: _,
            }) => {
                let description = description.chars().take(200).collect();
                let error = CallResult::CallError {
                    code: code.into_owned(),
                    description,
                };
                self.replied(&id, error, now)
            }
            Err(BadFrame {
                what,
                id,
                call: true,
            }) => {
                self.slow_down(now)?;
                self.bad_frame(&what);
                // Where no id can be made out, later versions of OCPP-J answer to `-1`; in 1.6 it meets no call.
                let id = id.as_deref().unwrap_or("-1");
                let code = CallErrorCode::FormationViolation.as_str();
                let refusal = Message::text(frame::error_text(id, code, &what, "{}"));
                Box::pin(self.write(refusal)).await
            }
            Err(BadFrame {
                what,
                id,
                call: false,
            }) => {
                self.bad_frame(&what);
                match id {
                    Some(id) => self.replied(&id, CallResult::Garbled(what), now),
                    None => self.slow_down(now),
                }
            }
        }
    }

    /// Answers one call of the station.
    async fn answer(&mut self, id: &str, action: &str, payload: &RawValue) -> Result<(), Ending> {
        let Open {
            shared,
            station,
            number,
            ..
        } = &self.open;
        let answer = answering::answer(shared, station, *number, id, action, payload).await;
        if let Some(at) = self.look_for_rest(Instant::now()) {
            self.wake_at(at);
        }
        match answer {
            Answer::Text(text) => self.write(Message::text(text)).await,
            Answer::Boot(text, mut boot) => {
                let written = self.write(Message::text(text)).await;
                if written.is_err() {
                    boot.answered = None;
                }
                let told = self
                    .open
                    .station
                    .booted(self.open.number, *boot, Instant::now());
                self.open.shared.tell(&self.open.station, told);
                written
            }
            Answer::Silence => Ok(()),
            Answer::Close => Err(Ending::NotStored),
        }
    }

    /// Tells of a station that has come to rest. What it has told of its connectors may have to settle first: out comes when
    /// to look again.
    fn look_for_rest(&self, now: Instant) -> Option<Instant> {
        let Open {
            shared,
            station,
            number,
            ..
        } = &self.open;
        match station.settled(*number, now) {
            Ok(told) => {
                shared.tell(station, told);
                None
            }
            Err(at) => Some(at),
        }
    }

    fn bad_frame(&self, what: &str) {
        self.open.shared.metrics.frames_bad.inc();
        tracing::info!(identity = %self.open.station.identity, what, "a message of the station is no OCPP-J frame");
    }

    fn replied(&mut self, id: &str, result: CallResult, now: Instant) -> Result<(), Ending> {
        match self.open.station.reply(self.open.number, id, result) {
            Reply::Matched => return Ok(()),
            Reply::Late => {
                self.open.shared.metrics.replies_late.inc();
            }
            Reply::Foreign => {
                self.open.shared.metrics.replies_foreign.inc();
            }
        }
        self.slow_down(now)
    }

    /// Does what is due by now, and finds out when something is due next.
    async fn keep_time(&mut self) -> Result<(), Ending> {
        let now = Instant::now();
        let limits = self.open.shared.settings.limits.clone();
        let Open {
            station, number, ..
        } = &self.open;
        let mut next = now + limits.ping;
        if let Some(deadline) = station.expire(*number, now) {
            next = next.min(deadline);
        }
        if let Some(at) = self.look_for_rest(now) {
            next = next.min(at);
        }
        match self.paused {
            Some(until) if until > now => next = next.min(until),
            Some(_) | None => self.paused = None,
        }
        if self.opened + limits.boot_wait <= now {
            self.ask_for_boot();
        } else {
            next = next.min(self.opened + limits.boot_wait);
        }
        match self.pinged {
            Some(pinged) if pinged + limits.pong <= now => return Err(Ending::Silent),
            Some(pinged) => next = next.min(pinged + limits.pong),
            // While nothing is read, nothing can be heard.
            None if self.paused.is_some() => {}
            None if self.heard + limits.ping <= now => {
                self.pinged = Some(now);
                next = next.min(now + limits.pong);
                self.write(Message::Ping(Bytes::new())).await?;
            }
            None => next = next.min(self.heard + limits.ping),
        }
        self.timer.as_mut().reset(next);
        Ok(())
    }

    /// A station that was accepted by somebody, once, reconnects without a BootNotification; nobody here remembers it,
    /// and it may not be called before it has introduced itself.
    fn ask_for_boot(&self) {
        if !self.open.station.waits_for_boot(self.open.number) {
            return;
        }
        let id = Uuid::new_v4();
        let payload = request::trigger_message(Trigger::BootNotification, None);
        let (reply, _) = oneshot::channel();
        let call = Outgoing {
            id,
            text: frame::call_text(&id.to_string(), "TriggerMessage", payload.get()),
            timeout: Duration::from_secs(30),
            asks_for_boot: true,
            reply,
        };
        // The connection may just be closing; the next one asks again.
        let _ = self.open.station.submit(Box::new(call));
    }

    fn wake_at(&mut self, at: Instant) {
        if at < self.timer.deadline() {
            self.timer.as_mut().reset(at);
        }
    }

    fn failed(&self, error: &Error) -> Ending {
        tracing::debug!(
            identity = %self.open.station.identity,
            error = error as &dyn std::error::Error,
            "the connection failed"
        );
        match error {
            Error::Capacity(_) => Ending::TooBig,
            Error::Protocol(
                tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            ) => Ending::Broken,
            Error::Protocol(_) => Ending::Protocol,
            Error::Utf8(_) => Ending::NotText,
            _ => Ending::Broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How large the future is that a function returns.
    fn size<A, F: Future>(_: impl Fn(A) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_that_rests_holds_no_room_for_answers_and_farewells() {
        let (task, session) = (size(serve), size_of::<Session>());
        assert!(
            task <= 640 && session <= 640,
            "every connected station costs a task of {task} bytes and a session of {session}: put rare futures in boxes"
        );
    }
}
