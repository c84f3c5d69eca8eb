//! What a station says unasked: BootNotification until it is accepted, then the state of its connectors, heartbeats and
//! transactions.
//!
//! In come answers and ticks; out go calls, one at a time. Which of them may go out depends on the registration.

use std::time::Duration;

use stationkeeper_ocpp::frame::call_text;
use tokio::time::Instant;

use super::{Deed, Deeds, Device, Tick};
use crate::fault::FaultKind;
use crate::stats::{Happening, Registration, Violation};

/// A call that the station makes.
#[derive(Clone, Debug)]
pub(crate) struct OwnCall {
    pub(crate) action: &'static str,
    pub(crate) about: About,
    /// It was asked for with TriggerMessage, so it may go out while Pending (OCPP 1.6 section 4.2).
    pub(crate) triggered: bool,
}

/// What a call of the station is about; its payload is written when it goes out.
#[derive(Clone, Debug)]
pub(crate) enum About {
    Boot,
    Heartbeat,
    Status { connector: u16, error: &'static str },
    Start { session: u64 },
    Stop { session: u64 },
    Payload(String),
}

impl About {
    /// Transaction messages are kept until they are answered (OCPP 1.6 section 3.7.1).
    fn is_transaction(&self) -> bool {
        match self {
            Self::Start { .. } | Self::Stop { .. } => true,
            Self::Boot | Self::Heartbeat | Self::Status { .. } | Self::Payload(_) => false,
        }
    }
}

/// A call that was sent and is not answered yet.
#[derive(Debug)]
pub(super) struct Waiting {
    id: String,
    number: u64,
    call: OwnCall,
}

impl Device {
    /// An answer to a call of ours; `None`: a CALLERROR.
    pub(super) fn replied(&mut self, id: &str, payload: Option<&str>, now: Instant) -> Deeds {
        let Some(waiting) = self.waiting.take_if(|waiting| waiting.id == id) else {
            self.stats.violated(Violation::ReplyToNothing);
            return Vec::new();
        };
        self.stats.answered(waiting.call.action);
        match waiting.call.about {
            About::Boot => self.registered(payload, now),
            About::Start { session } => self.started(session, payload, now),
            About::Heartbeat | About::Status { .. } | About::Stop { .. } | About::Payload(_) => {
                Vec::new()
            }
        }
    }

    /// BootNotification is answered (OCPP 1.6 section 4.2).
    fn registered(&mut self, payload: Option<&str>, now: Instant) -> Deeds {
        let answer = payload.and_then(|payload| serde_json::from_str::<BootAnswer>(payload).ok());
        let Some(answer) = answer else {
            return self.retry(self.pace.patience);
        };
        if let Ok(time) = answer.current_time.parse() {
            self.clock = (time, now);
        }
        let interval = Duration::from_secs(answer.interval);
        let registration = match answer.status.as_str() {
            "Accepted" => Registration::Accepted,
            "Pending" => Registration::Pending,
            _ => Registration::Rejected,
        };
        self.stats.registration = registration;
        self.stats.happened(|| Happening::Registered(registration));
        if registration != Registration::Rejected {
            self.remembered = registration;
        }
        if registration != Registration::Accepted {
            // An interval of 0 leaves the wait to the station.
            self.retry_after = if interval.is_zero() {
                self.pace.patience
            } else {
                interval
            };
            return self.retry(self.retry_after);
        }
        self.heartbeat = Some(interval).filter(|interval| !interval.is_zero());
        if self.faults.has(FaultKind::HeartbeatFromBoot) && answer.interval > 0 {
            self.keys
                .put("HeartbeatInterval", &answer.interval.to_string());
        }
        self.at_work()
    }

    /// Asks for its registration again after a while; not later than its pace says.
    fn retry(&self, after: Duration) -> Deeds {
        vec![(
            after.min(self.pace.boot_retry_longest),
            Deed::Tick(Tick::BootRetry),
        )]
    }

    /// Accepted, and connected: tells the state of its connectors, and keeps the connection alive.
    pub(super) fn at_work(&mut self) -> Deeds {
        for connector in 0..=self.connectors.count() {
            self.enqueue(
                "StatusNotification",
                About::Status {
                    connector,
                    error: "NoError",
                },
                false,
            );
        }
        if self.lean {
            return Vec::new();
        }
        let heartbeat = self
            .heartbeat
            .map(|after| (after, Deed::Tick(Tick::Heartbeat)));
        heartbeat
            .into_iter()
            .chain(
                self.ping_interval()
                    .map(|after| (after, Deed::Tick(Tick::Ping))),
            )
            .collect()
    }

    fn ping_interval(&self) -> Option<Duration> {
        let seconds = self
            .keys
            .effective_named("WebSocketPingInterval")?
            .parse()
            .ok()?;
        Some(Duration::from_secs(seconds)).filter(|interval| !interval.is_zero())
    }

    /// The heartbeat follows a write of HeartbeatInterval at once.
    pub(crate) fn heartbeat_changed(&mut self) {
        let seconds = self
            .keys
            .effective_named("HeartbeatInterval")
            .and_then(|value| value.parse().ok());
        self.heartbeat = seconds
            .map(Duration::from_secs)
            .filter(|interval| !interval.is_zero());
    }

    /// Something is due.
    pub(crate) fn tick(&mut self, tick: Tick) -> Deeds {
        match tick {
            Tick::Heartbeat => {
                self.enqueue("Heartbeat", About::Heartbeat, false);
                self.heartbeat
                    .map(|after| (after, Deed::Tick(tick)))
                    .into_iter()
                    .collect()
            }
            Tick::Ping => {
                let next = self.ping_interval().map(|after| (after, Deed::Tick(tick)));
                std::iter::once((Duration::ZERO, Deed::Ping))
                    .chain(next)
                    .collect()
            }
            Tick::BootRetry => {
                if self.stats.registration != Registration::Accepted {
                    self.announce(false);
                }
                Vec::new()
            }
            Tick::Patience(number) => {
                let Some(waiting) = self.waiting.take_if(|waiting| waiting.number == number) else {
                    return Vec::new();
                };
                if waiting.call.about.is_transaction() {
                    self.outbox.push_front(waiting.call);
                } else if matches!(waiting.call.about, About::Boot) {
                    return vec![(
                        self.pace.boot_retry_longest.min(self.pace.patience),
                        Deed::Tick(Tick::BootRetry),
                    )];
                }
                Vec::new()
            }
        }
    }

    /// Sends BootNotification next, unless it is under way.
    pub(crate) fn announce(&mut self, triggered: bool) {
        let is_boot = |call: &OwnCall| matches!(call.about, About::Boot);
        let under_way = self
            .waiting
            .as_ref()
            .is_some_and(|waiting| is_boot(&waiting.call))
            || self.outbox.iter().any(is_boot);
        if !under_way {
            self.outbox.push_front(OwnCall {
                action: "BootNotification",
                about: About::Boot,
                triggered,
            });
        }
    }

    pub(crate) fn enqueue(&mut self, action: &'static str, about: About, triggered: bool) {
        self.outbox.push_back(OwnCall {
            action,
            about,
            triggered,
        });
    }

    /// The next call of the station's own, if one may go out: one at a time (OCPP-J section 4.1.1), and before it is
    /// accepted nothing but BootNotification and what was asked for (OCPP 1.6 section 4.2).
    pub(crate) fn next_call(&mut self, now: Instant) -> Option<(String, Option<(Duration, Deed)>)> {
        if self.waiting.is_some() || !self.stats.connected {
            return None;
        }
        let accepted = self.stats.registration == Registration::Accepted;
        let position = self
            .outbox
            .iter()
            .position(|call| accepted || call.triggered || matches!(call.about, About::Boot))?;
        let call = self.outbox.remove(position)?;
        self.next_id += 1;
        self.calls_made += 1;
        let id = if self.faults.has(FaultKind::MessageIdsRestart) {
            self.next_id.to_string()
        } else {
            format!("{:08x}-{}", self.id_prefix, self.next_id)
        };
        if matches!(call.about, About::Boot) {
            self.stats.boot_notifications += 1;
        }
        let text = call_text(&id, call.action, &self.payload(&call.about, now));
        let number = self.calls_made;
        self.waiting = Some(Waiting { id, number, call });
        let limit =
            (!self.lean).then_some((self.pace.patience, Deed::Tick(Tick::Patience(number))));
        Some((text, limit))
    }

    fn payload(&self, about: &About, now: Instant) -> String {
        match about {
            About::Boot => self.boot_notification(),
            About::Heartbeat => "{}".to_owned(),
            About::Status { connector, error } => {
                self.connectors.status(*connector, error, self.time(now))
            }
            About::Start { session } => self.connectors.start(*session),
            About::Stop { session } => self.connectors.stop(*session),
            About::Payload(payload) => payload.clone(),
        }
    }

    fn boot_notification(&self) -> String {
        let profile = self.keys.profile();
        let mut payload = serde_json::json!({
            "chargePointVendor": profile.vendor,
            "chargePointModel": profile.model,
            "firmwareVersion": self.firmware,
        });
        if let Some(serial) = &self.serial {
            payload["chargePointSerialNumber"] = serial.as_str().into();
        }
        if let Some(serial) = &self.box_serial {
            payload["chargeBoxSerialNumber"] = serial.as_str().into();
        }
        payload.to_string()
    }

    /// What is not about a transaction is not worth telling later.
    pub(super) fn keep_transaction_messages(&mut self) {
        self.outbox.retain(|call| call.about.is_transaction());
        if let Some(waiting) = self
            .waiting
            .take()
            .filter(|waiting| waiting.call.about.is_transaction())
        {
            self.outbox.push_front(waiting.call);
        }
    }
}

/// What a CSMS answers to BootNotification, read leniently.
#[derive(serde::Deserialize)]
struct BootAnswer {
    #[serde(default)]
    status: String,
    #[serde(default, rename = "currentTime")]
    current_time: String,
    #[serde(default)]
    interval: u64,
}
