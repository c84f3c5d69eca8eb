//! A station without its socket: texts and ticks come in, deeds go out.
//!
//! Everything that a station decides is decided here, from its keys, its faults and its own random numbers; the clock is
//! an argument. What it does not do: sockets, timers, waiting. See `station.rs` for those.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use stationkeeper_ocpp::frame::{FrameRef, call_text, error_text, result_text};
use tokio::time::Instant;

use crate::connector::Connectors;
use crate::fault::{Fault, FaultKind, FaultSet};
use crate::keys::KeyTable;
use crate::pace::Pace;
use crate::settings::{Password, StationSettings};
use crate::stats::{Happening, Registration, Stats, Violation};

/// What a station does next, now or after a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Sends the answer to a call.
    Answer(String),
    /// Answers of before that were not sent yet never will be.
    ForgetAnswers,
    /// Sends a text.
    Say(String),
    /// Sends a binary frame.
    SayBinary(Vec<u8>),
    /// Sends a WebSocket ping.
    Ping,
    /// Drops the line without closing it, and comes back.
    Drop,
    /// Boots.
    Boot(BootReason),
    /// Another writer sets a key.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// Looks what is due.
    Tick(Tick),
}

impl Deed {
    /// Does it end with the connection?
    pub(crate) fn belongs_to_line(&self) -> bool {
        match self {
            Self::Answer(_)
            | Self::ForgetAnswers
            | Self::Say(_)
            | Self::SayBinary(_)
            | Self::Ping
            | Self::Drop
            | Self::Tick(_) => true,
            // A boot that was promised comes, whatever becomes of the line.
            Self::Boot(reason) => *reason == BootReason::Loop,
            Self::Put { .. } => false,
        }
    }
}

/// Deeds, each with how much later it comes.
pub(crate) type Deeds = Vec<(Duration, Deed)>;

/// What may be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tick {
    Heartbeat,
    Ping,
    BootRetry,
    /// The call of this number has waited long enough for its answer.
    Patience(u64),
}

/// Why a station boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootReason {
    /// A Soft reset.
    SoftReset,
    /// A Hard reset.
    HardReset,
    /// Power was away.
    PowerLoss,
    /// It was updated.
    FirmwareUpdate,
    /// It crashed.
    Crash,
    /// Someone at the station restarted it.
    Local,
    /// It boots all the time.
    Loop,
}

impl BootReason {
    /// The reason in StopTransaction.req (OCPP 1.6 section 7.36) for a session that the boot ended.
    pub(crate) fn stop_reason(self) -> &'static str {
        match self {
            Self::SoftReset => "SoftReset",
            Self::HardReset => "HardReset",
            Self::PowerLoss => "PowerLoss",
            Self::FirmwareUpdate | Self::Crash | Self::Local | Self::Loop => "Reboot",
        }
    }
}

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
struct Waiting {
    id: String,
    number: u64,
    call: OwnCall,
}

/// A station without its socket.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) keys: KeyTable,
    pub(crate) faults: FaultSet,
    pub(crate) stats: Stats,
    pub(crate) connectors: Connectors,
    pub(crate) pace: Pace,
    /// The password for its next connection.
    pub(crate) password: Option<Password>,
    pub(crate) rng: StdRng,
    pub(crate) list_version: i64,
    /// A Soft reset waits until nobody charges.
    pub(crate) reset_when_idle: bool,
    firmware: String,
    serial: Option<String>,
    box_serial: Option<String>,
    lean: bool,
    /// It has booted and not been accepted or held since.
    boot_due: bool,
    ever_accepted: bool,
    heartbeat: Option<Duration>,
    /// What the CSMS said the time was, and when it said so (OCPP 1.6 section 4.2 recommends to take it over).
    clock: (Timestamp, Instant),
    answers_due: usize,
    recent_ids: VecDeque<String>,
    id_prefix: u32,
    next_id: u64,
    calls_made: u64,
    outbox: VecDeque<OwnCall>,
    waiting: Option<Waiting>,
}

/// The first moment of 2024: what a station without a clock believes until a CSMS tells it the time.
const NO_CLOCK: i64 = 1_704_067_200;

/// How many message ids of a connection are remembered to notice one that is used again.
const RECENT_IDS: usize = 256;

impl Device {
    /// A station that has just been powered on.
    pub(crate) fn new(settings: &StationSettings, now: Instant) -> Self {
        // Stations of one seed differ by their identity, and are the same in every run.
        let mut rng = StdRng::seed_from_u64(settings.seed ^ fingerprint(&settings.identity));
        let profile = &settings.profile;
        let mut device = Self {
            keys: KeyTable::new(profile.clone()),
            faults: FaultSet::default(),
            stats: Stats {
                lean: settings.lean,
                boots: 1,
                ..Stats::default()
            },
            connectors: Connectors::new(profile.connectors),
            pace: settings.pace,
            password: settings.password.clone(),
            list_version: 0,
            reset_when_idle: false,
            firmware: profile.firmware.clone(),
            serial: profile
                .serial
                .as_ref()
                .map(|template| fill_in(template, &mut rng)),
            box_serial: profile
                .box_serial
                .as_ref()
                .map(|template| fill_in(template, &mut rng)),
            lean: settings.lean,
            boot_due: true,
            ever_accepted: false,
            heartbeat: None,
            clock: (
                Timestamp::from_second(NO_CLOCK).expect("a moment of this century"),
                now,
            ),
            answers_due: 0,
            recent_ids: VecDeque::new(),
            id_prefix: rng.random(),
            next_id: 0,
            calls_made: 0,
            outbox: VecDeque::new(),
            waiting: None,
            rng,
        };
        settings
            .faults
            .iter()
            .for_each(|fault| device.set_fault(fault.clone()));
        device
    }

    /// Switches a fault on.
    pub(crate) fn set_fault(&mut self, fault: Fault) {
        match (fault.kind(), fault.key()) {
            (FaultKind::CaseTwin, Some(key)) => self.keys.add_twin(key),
            // The other writer was here first.
            (FaultKind::Contested, Some(_)) => {
                if let Some((key, value)) = fault.setting() {
                    self.keys.put(key, value);
                }
            }
            (_, _) => {}
        }
        self.faults.insert(fault);
    }

    /// A connection has come about.
    pub(crate) fn connected(&mut self) -> Deeds {
        self.stats.connected = true;
        self.stats.connects += 1;
        self.stats.happened(|| Happening::Connected);
        self.recent_ids.clear();
        if self.faults.has(FaultKind::MessageIdsRestart) {
            self.next_id = 0;
        }
        self.written_by_others(FaultKind::WrittenAtConnect);
        let mut deeds = self.bad_manners();
        if let Some(after) = self.faults.millis(FaultKind::BootLoop, self.pace.boot_loop) {
            deeds.push((after, Deed::Boot(BootReason::Loop)));
        }
        let silent =
            self.faults.has(FaultKind::NoBootNotificationOnReconnect) && self.ever_accepted;
        if silent {
            self.boot_due = false;
            self.stats.registration = Registration::Accepted;
        }
        let again = self.faults.has(FaultKind::BootNotificationOnEveryReconnect);
        if !silent && (self.boot_due || again || self.stats.registration != Registration::Accepted)
        {
            self.announce(false);
        } else {
            deeds.extend(self.at_work());
        }
        deeds
    }

    /// The station has booted while a modem of its own kept the connection.
    pub(crate) fn came_back_on_the_line(&mut self) -> Deeds {
        self.announce(false);
        let again = self.faults.millis(FaultKind::BootLoop, self.pace.boot_loop);
        again
            .map(|after| (after, Deed::Boot(BootReason::Loop)))
            .into_iter()
            .collect()
    }

    /// The connection has gone away.
    pub(crate) fn disconnected(&mut self) {
        self.stats.connected = false;
        self.stats.disconnects += 1;
        self.stats.happened(|| Happening::Disconnected);
        self.answers_due = 0;
        self.keep_transaction_messages();
    }

    fn keep_transaction_messages(&mut self) {
        self.outbox.retain(|call| call.about.is_transaction());
        if let Some(waiting) = self
            .waiting
            .take()
            .filter(|waiting| waiting.call.about.is_transaction())
        {
            self.outbox.push_front(waiting.call);
        }
    }

    /// The station boots.
    pub(crate) fn boot(&mut self, reason: BootReason) {
        let forgets = match reason {
            BootReason::PowerLoss => self.faults.has(FaultKind::ForgetsAtPowerLoss),
            BootReason::FirmwareUpdate => self.faults.has(FaultKind::ForgetsAtFirmwareUpdate),
            BootReason::SoftReset
            | BootReason::HardReset
            | BootReason::Crash
            | BootReason::Local
            | BootReason::Loop => false,
        };
        if forgets {
            self.keys.forget();
        }
        self.keys.boot();
        self.written_by_others(FaultKind::WrittenAtBoot);
        self.stats.boots += 1;
        self.stats.happened(|| Happening::Booted);
        self.stats.registration = Registration::Unknown;
        self.boot_due = true;
        self.reset_when_idle = false;
        self.answers_due = 0;
        self.keep_transaction_messages();
        let lost =
            reason == BootReason::SoftReset && self.faults.has(FaultKind::SoftResetEndsSession);
        for session in self.connectors.end_all(reason.stop_reason()) {
            if !lost {
                self.enqueue("StopTransaction", About::Stop { session }, false);
            }
        }
    }

    /// The station boots with other firmware, which brings some keys back to their values as delivered.
    pub(crate) fn update_firmware(&mut self, version: String, resets: &[String]) {
        self.firmware = version;
        resets.iter().for_each(|key| self.keys.forget_key(key));
    }

    fn written_by_others(&mut self, kind: FaultKind) {
        for (key, value) in self.faults.settings(kind) {
            self.keys.put(key, value);
        }
    }

    /// What a bad peer sends right after connecting.
    fn bad_manners(&mut self) -> Deeds {
        let mut deeds = Vec::new();
        let mut say = |text: String| deeds.push((Duration::ZERO, Deed::Say(text)));
        if self.faults.has(FaultKind::BrokenFrames) {
            [
                "",
                "{}",
                "[2,\"broken\"",
                "[9,\"x\",\"Heartbeat\",{}]",
                "[2]",
                "[2,\"x\",\"Heartbeat\",[]]",
                "null",
            ]
            .iter()
            .for_each(|text| say((*text).to_owned()));
        }
        if self.faults.has(FaultKind::RepliesToNothing) {
            say(result_text("nobody-asked", "{\"status\":\"Accepted\"}"));
            say(error_text("nobody-asked-either", "InternalError", "", "{}"));
        }
        if let Some(levels) = self.faults.number(FaultKind::DeepJson) {
            let levels = usize::try_from(levels)
                .unwrap_or(usize::MAX)
                .min(10_000_000);
            let payload = format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
            say(call_text("deep", "DataTransfer", &payload));
        }
        if let Some(size) = self.faults.number(FaultKind::HugeFrame) {
            let bytes = usize::try_from(size).unwrap_or(usize::MAX).min(256) << 20;
            say(call_text(
                "huge",
                "DataTransfer",
                &format!("{{\"vendorId\":\"{}\"}}", "x".repeat(bytes)),
            ));
        }
        if self.faults.has(FaultKind::BinaryFrames) {
            deeds.push((Duration::ZERO, Deed::SayBinary(vec![0, 159, 146, 150])));
        }
        deeds
    }

    /// A text has arrived.
    pub(crate) fn receive(&mut self, text: &str, now: Instant) -> Deeds {
        match FrameRef::parse(text) {
            Ok(FrameRef::Call {
                id,
                action,
                payload,
            }) => self.called(&id, &action, payload.get(), now),
            Ok(FrameRef::CallResult { id, payload }) => self.replied(&id, Some(payload.get()), now),
            Ok(FrameRef::CallError { id, .. }) => self.replied(&id, None, now),
            Err(bad) => {
                self.stats.violated(Violation::BadFrame {
                    what: bad.what.clone(),
                });
                let answer = bad
                    .id
                    .filter(|_| bad.call)
                    .map(|id| error_text(&id, "FormationViolation", &bad.what, "{}"));
                answer
                    .map(|text| (Duration::ZERO, Deed::Say(text)))
                    .into_iter()
                    .collect()
            }
        }
    }

    fn called(&mut self, id: &str, action: &str, payload: &str, now: Instant) -> Deeds {
        self.stats.called(action);
        self.judge_call(id, action);
        // OCPP 1.6 section 4.2: while Rejected, a station answers nothing.
        if self.stats.registration == Registration::Rejected {
            return Vec::new();
        }
        if self.faults.is_empty() {
            let (answer, after) = self.answer(id, action, payload, now);
            let mut deeds = Vec::with_capacity(1 + after.len());
            if let Some(text) = answer {
                self.answers_due += 1;
                deeds.push((Duration::ZERO, Deed::Answer(text)));
            }
            deeds.extend(after);
            return deeds;
        }
        self.called_with_faults(id, action, payload, now)
    }

    fn called_with_faults(&mut self, id: &str, action: &str, payload: &str, now: Instant) -> Deeds {
        let about_keys = matches!(action, "GetConfiguration" | "ChangeConfiguration");
        if let (true, Some(after)) = (
            about_keys,
            self.faults
                .millis(FaultKind::HangsThenDrops, self.pace.hang),
        ) {
            return vec![(after, Deed::Drop)];
        }
        let silence = self.faults.number(FaultKind::SilentSometimes).unwrap_or(0);
        let silent = silence > self.rng.random_range(0..100);
        if silent && self.rng.random() {
            return Vec::new();
        }
        let (answer, deeds) = self.answer(id, action, payload, now);
        let mut delay = self
            .faults
            .millis(FaultKind::Slow, self.pace.slow)
            .unwrap_or_default();
        let mut all = Vec::new();
        if let Some(longer) = self
            .faults
            .millis(FaultKind::OneCallOnly, self.pace.one_call)
        {
            delay += longer;
            all.push((Duration::ZERO, Deed::ForgetAnswers));
            self.answers_due = 0;
        }
        if let Some(text) = answer.filter(|_| !silent) {
            self.answers_due += 1;
            all.push((delay, Deed::Answer(text)));
        }
        all.extend(deeds.into_iter().map(|(after, deed)| (delay + after, deed)));
        all
    }

    /// An answer has gone out.
    pub(crate) fn answered(&mut self) {
        self.answers_due = self.answers_due.saturating_sub(1);
    }

    fn judge_call(&mut self, id: &str, action: &str) {
        if self.answers_due > 0 {
            self.stats.violated(Violation::TwoCallsInFlight {
                action: action.to_owned(),
            });
        }
        match self.stats.registration {
            Registration::Accepted | Registration::Pending => {}
            Registration::Unknown | Registration::Rejected => {
                self.stats.violated(Violation::CallBeforeRegistration {
                    action: action.to_owned(),
                });
            }
        }
        if self.lean {
            return;
        }
        if self.recent_ids.iter().any(|recent| recent == id) {
            self.stats
                .violated(Violation::ReusedMessageId { id: id.to_owned() });
        }
        if self.recent_ids.len() == RECENT_IDS {
            self.recent_ids.pop_front();
        }
        self.recent_ids.push_back(id.to_owned());
    }

    /// An answer to a call of ours; `None`: a CALLERROR.
    fn replied(&mut self, id: &str, payload: Option<&str>, now: Instant) -> Deeds {
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
        let retry = |after: Duration, longest: Duration| {
            vec![(after.min(longest), Deed::Tick(Tick::BootRetry))]
        };
        let longest = self.pace.boot_retry_longest;
        let Some(answer) =
            payload.and_then(|payload| serde_json::from_str::<BootAnswer>(payload).ok())
        else {
            return retry(self.pace.patience, longest);
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
        if registration != Registration::Accepted {
            // An interval of 0 leaves the wait to the station.
            return retry(
                if interval.is_zero() {
                    self.pace.patience
                } else {
                    interval
                },
                longest,
            );
        }
        self.boot_due = false;
        self.ever_accepted = true;
        self.heartbeat = Some(interval).filter(|interval| !interval.is_zero());
        if self.faults.has(FaultKind::HeartbeatFromBoot) && answer.interval > 0 {
            self.keys
                .put("HeartbeatInterval", &answer.interval.to_string());
        }
        self.at_work()
    }

    /// Accepted, and connected: tells the state of its connectors, and keeps the connection alive.
    fn at_work(&mut self) -> Deeds {
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

    /// The station's own time.
    pub(crate) fn time(&self, now: Instant) -> Timestamp {
        let (said, at) = self.clock;
        said.checked_add(now.saturating_duration_since(at))
            .unwrap_or(said)
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

/// FNV-1a: the same number for the same identity in every build, which the standard library's hashers do not promise.
fn fingerprint(identity: &str) -> u64 {
    identity.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn fill_in(template: &str, rng: &mut StdRng) -> String {
    template
        .chars()
        .map(|letter| {
            if letter == '#' {
                char::from(b'0' + rng.random_range(0..10u8))
            } else {
                letter
            }
        })
        .collect()
}
