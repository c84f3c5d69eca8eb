//! A station without its socket: texts and ticks come in, deeds go out.
//!
//! Everything that a station decides is decided here, from its keys, its faults and its own random numbers; the clock is
//! an argument. What it does not do: sockets, timers, waiting. See `station.rs` for those; `answers.rs` and `listing.rs` for
//! what it answers, `own_calls.rs` for what it says unasked.

mod own_calls;

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use stationkeeper_ocpp::frame::{FrameRef, call_text, error_text, result_text};
use tokio::time::Instant;

pub(crate) use self::own_calls::About;
use self::own_calls::{OwnCall, Waiting};
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
    /// What it was last told of its registration, also before its last boot.
    remembered: Registration,
    /// How long it was told to wait before it asks for its registration again.
    retry_after: Duration,
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
            remembered: Registration::Unknown,
            retry_after: Duration::ZERO,
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
        // Power on is the first boot.
        device.written_by_others(FaultKind::WrittenAtBoot);
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
        // OCPP-J lets a station that has not booted come back without BootNotification; one that was told to wait
        // before it asks again goes on waiting.
        if self.faults.has(FaultKind::NoBootNotificationOnReconnect)
            && self.stats.registration == Registration::Unknown
        {
            self.stats.registration = self.remembered;
        }
        let again = self.faults.has(FaultKind::BootNotificationOnEveryReconnect);
        match self.stats.registration {
            Registration::Unknown => self.announce(false),
            Registration::Accepted | Registration::Pending | Registration::Rejected if again => {
                self.announce(false);
            }
            Registration::Accepted => deeds.extend(self.at_work()),
            Registration::Pending | Registration::Rejected => {
                deeds.push((self.retry_after, Deed::Tick(Tick::BootRetry)));
            }
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

    /// The station's own time.
    pub(crate) fn time(&self, now: Instant) -> Timestamp {
        let (said, at) = self.clock;
        said.checked_add(now.saturating_duration_since(at))
            .unwrap_or(said)
    }
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
