//! What a station answers to each call of OCPP 1.6 and its security extensions.
//!
//! In come the action and the payload; out come the answer and what the station does after it. GetConfiguration has a
//! file of its own. How calls get here, and when their answers leave, is decided in `device.rs`.

use std::time::Duration;

use serde::Deserialize;
use stationkeeper_ocpp::frame::{error_text, result_text};
use tokio::time::Instant;

use crate::device::{About, BootReason, Deed, Deeds, Device};
use crate::fault::FaultKind;
use crate::profile::Access;
use crate::settings::Password;
use crate::stats::{Happening, Registration, Violation};

/// What a call is answered.
pub(crate) enum Reply {
    /// A CALLRESULT with this payload.
    Result(String),
    /// A CALLERROR with this code and description.
    Error(&'static str, String),
    /// A text as it is, whatever it is.
    Raw(String),
    /// Nothing.
    Silence,
}

impl Reply {
    pub(crate) fn status(status: &str) -> Self {
        Self::Result(format!("{{\"status\":\"{status}\"}}"))
    }

    fn text(self, id: &str) -> Option<String> {
        match self {
            Self::Result(payload) => Some(result_text(id, &payload)),
            Self::Error(code, description) => Some(error_text(id, code, &description, "{}")),
            Self::Raw(text) => Some(text),
            Self::Silence => None,
        }
    }
}

/// An answer and what comes after it.
type Answered = (Reply, Deeds);

fn only(reply: Reply) -> Answered {
    (reply, Vec::new())
}

impl Device {
    /// Answers a call: the text to send, if any, and what the station does after it.
    pub(crate) fn answer(
        &mut self,
        id: &str,
        action: &str,
        payload: &str,
        now: Instant,
    ) -> (Option<String>, Deeds) {
        let (reply, deeds) = self.answer_to(id, action, payload, now);
        (reply.text(id), deeds)
    }

    fn answer_to(&mut self, id: &str, action: &str, payload: &str, now: Instant) -> Answered {
        if !matches!(action, "GetConfiguration" | "ChangeConfiguration") {
            self.stats.happened(|| Happening::Called(action.to_owned()));
        }
        match action {
            "GetConfiguration" => self.get_configuration(id, payload),
            "ChangeConfiguration" => read(payload, |request| self.change_configuration(request)),
            "Reset" => read(payload, |request: Reset| {
                self.reset(request.kind == "Hard", now)
            }),
            "TriggerMessage" | "ExtendedTriggerMessage" => {
                read(payload, |request| self.trigger(request, now))
            }
            "ChangeAvailability" => read(payload, |request| self.change_availability(request)),
            "RemoteStartTransaction" => read(payload, |request| self.remote_start(request, now)),
            "RemoteStopTransaction" => read(payload, |request| self.remote_stop(request, now)),
            "SendLocalList" => read(payload, |request: SendLocalList| {
                self.list_version = request.list_version;
                only(Reply::status("Accepted"))
            }),
            "GetLocalListVersion" => only(Reply::Result(format!(
                "{{\"listVersion\":{}}}",
                self.list_version
            ))),
            "UnlockConnector" => only(Reply::status("Unlocked")),
            "ClearCache" | "SetChargingProfile" => only(Reply::status("Accepted")),
            "ClearChargingProfile" => only(Reply::status("Unknown")),
            "DataTransfer" => only(Reply::status("UnknownVendorId")),
            "GetInstalledCertificateIds" | "DeleteCertificate" => only(Reply::status("NotFound")),
            "CancelReservation"
            | "ReserveNow"
            | "GetCompositeSchedule"
            | "CertificateSigned"
            | "InstallCertificate"
            | "GetLog"
            | "SignedUpdateFirmware" => only(Reply::status("Rejected")),
            "GetDiagnostics" | "UpdateFirmware" => only(Reply::Result("{}".to_owned())),
            _ => only(Reply::Error(
                "NotImplemented",
                format!("{action:?} is not known here"),
            )),
        }
    }

    fn change_configuration(&mut self, request: ChangeConfiguration) -> Answered {
        let ChangeConfiguration { key, value } = request;
        self.judge_write(&key, &value);
        if self.faults.on_key(FaultKind::CrashesOnWrite, &key) {
            self.stats.wrote(&key, &value, None);
            return (
                Reply::Silence,
                vec![(Duration::ZERO, Deed::Boot(BootReason::Crash))],
            );
        }
        let status = self.keys.write(&key, &value, &self.faults);
        self.stats.wrote(&key, &value, Some(status));
        let mut deeds = Vec::new();
        if self.faults.on_key(FaultKind::BootsAfterWrite, &key) {
            deeds.push((self.pace.leave, Deed::Boot(BootReason::Crash)));
        }
        for (contested, theirs) in self.faults.settings(FaultKind::Contested) {
            if contested.eq_ignore_ascii_case(&key) {
                let put = Deed::Put {
                    key: contested.to_owned(),
                    value: theirs.to_owned(),
                };
                deeds.push((self.pace.contest, put));
            }
        }
        self.follow(&key, &mut deeds);
        let said = if self.faults.has(FaultKind::UnknownStatus) {
            "AcceptedInPart"
        } else {
            status.as_str()
        };
        (Reply::status(said), deeds)
    }

    fn judge_write(&mut self, key: &str, value: &str) {
        let violation = match self.keys.target(key, &self.faults) {
            None => Some(Violation::WriteToUnknown {
                key: key.to_owned(),
            }),
            Some((_, definition)) if definition.access == Access::ReadOnly => {
                Some(Violation::WriteToReadOnly {
                    key: key.to_owned(),
                })
            }
            // Nobody can know what a write-only key holds.
            Some((at, definition))
                if definition.access != Access::WriteOnly
                    && self.keys.is_equal_write(at, value) =>
            {
                Some(Violation::EqualWrite {
                    key: key.to_owned(),
                })
            }
            Some(_) => None,
        };
        violation
            .into_iter()
            .for_each(|violation| self.stats.violated(violation));
    }

    /// What follows from the new value of a key.
    fn follow(&mut self, key: &str, deeds: &mut Deeds) {
        if key.eq_ignore_ascii_case("HeartbeatInterval") {
            self.heartbeat_changed();
        }
        if key.eq_ignore_ascii_case("AuthorizationKey")
            && let Some(password) = self.keys.effective_named(key)
        {
            self.password = Some(Password::from_key(password));
        }
        if changes_the_way_in(key) && self.faults.has(FaultKind::LeavesAfterCredentialChange) {
            deeds.push((self.pace.leave, Deed::Drop));
        }
    }

    /// Reset (OCPP 1.6 section 5.14).
    fn reset(&mut self, hard: bool, now: Instant) -> Answered {
        if self.connectors.charging() {
            self.stats.violated(Violation::ResetWhileCharging);
        }
        let soft_rejected = !hard && self.faults.has(FaultKind::SoftResetRejected);
        if self.faults.has(FaultKind::ResetRejected) || soft_rejected {
            return only(Reply::status("Rejected"));
        }
        let reason = if hard {
            BootReason::HardReset
        } else {
            BootReason::SoftReset
        };
        if self.faults.has(FaultKind::ResetDropsLine) {
            return (Reply::Silence, vec![(Duration::ZERO, Deed::Boot(reason))]);
        }
        let accepted = Reply::status("Accepted");
        if self.faults.has(FaultKind::ResetIgnored) {
            return only(accepted);
        }
        if self.faults.has(FaultKind::ResetFails) {
            self.enqueue(
                "StatusNotification",
                About::Status {
                    connector: 0,
                    error: "ResetFailure",
                },
                true,
            );
            return only(accepted);
        }
        if !hard && self.connectors.charging() {
            if self.faults.has(FaultKind::SoftResetPostponed) {
                self.reset_when_idle = true;
                return only(accepted);
            }
            // A Soft reset ends sessions properly, before the boot (OCPP 1.6 section 7.34).
            if !self.faults.has(FaultKind::SoftResetEndsSession) {
                (1..=self.connectors.count()).for_each(|connector| {
                    self.end_session(connector, reason.stop_reason(), now);
                });
            }
        }
        let after = self
            .faults
            .millis(FaultKind::ResetLate, self.pace.late_reset)
            .unwrap_or(self.pace.reset);
        (accepted, vec![(after, Deed::Boot(reason))])
    }

    /// TriggerMessage (OCPP 1.6 section 5.17).
    fn trigger(&mut self, request: Trigger, now: Instant) -> Answered {
        if self.faults.has(FaultKind::NoTriggerMessage) {
            return only(Reply::Error(
                "NotImplemented",
                "TriggerMessage is not known here".to_owned(),
            ));
        }
        match request.message.as_str() {
            "BootNotification" => {
                if self.stats.registration == Registration::Accepted {
                    self.stats.violated(Violation::ProvokedBootNotification);
                }
                self.announce(true);
            }
            "Heartbeat" => self.enqueue("Heartbeat", About::Heartbeat, true),
            "StatusNotification" => {
                let all = 0..=self.connectors.count();
                for connector in all.filter(|own| {
                    request
                        .connector
                        .is_none_or(|asked| asked == i64::from(*own))
                }) {
                    self.enqueue(
                        "StatusNotification",
                        About::Status {
                            connector,
                            error: "NoError",
                        },
                        true,
                    );
                }
            }
            "MeterValues" => {
                let payload = serde_json::json!({
                    "connectorId": request.connector.unwrap_or(1),
                    "meterValue": [{"timestamp": self.time(now).to_string(), "sampledValue": [{"value": "0", "context": "Trigger"}]}],
                });
                self.enqueue("MeterValues", About::Payload(payload.to_string()), true);
            }
            "DiagnosticsStatusNotification" | "FirmwareStatusNotification" => {
                let action = if request.message.starts_with('D') {
                    "DiagnosticsStatusNotification"
                } else {
                    "FirmwareStatusNotification"
                };
                self.enqueue(
                    action,
                    About::Payload("{\"status\":\"Idle\"}".to_owned()),
                    true,
                );
            }
            _ => return only(Reply::status("NotImplemented")),
        }
        only(Reply::status("Accepted"))
    }

    fn change_availability(&mut self, request: ChangeAvailability) -> Answered {
        let state = if request.kind == "Inoperative" {
            "Unavailable"
        } else {
            "Available"
        };
        if self.connectors.charging() {
            return only(Reply::status("Scheduled"));
        }
        for connector in (1..=self.connectors.count())
            .filter(|own| [0, i64::from(*own)].contains(&request.connector))
        {
            self.set_connector(connector, state);
        }
        only(Reply::status("Accepted"))
    }

    fn remote_start(&mut self, request: RemoteStart, now: Instant) -> Answered {
        let asked = request
            .connector
            .and_then(|connector| u16::try_from(connector).ok());
        let began = asked
            .or_else(|| self.connectors.free())
            .is_some_and(|connector| self.begin_session(connector, &request.id_tag, now));
        only(Reply::status(if began { "Accepted" } else { "Rejected" }))
    }

    fn remote_stop(&mut self, request: RemoteStop, now: Instant) -> Answered {
        match self.connectors.open_transaction(request.transaction) {
            Some((_, connector)) => (
                Reply::status("Accepted"),
                self.end_session(connector, "Remote", now),
            ),
            None => only(Reply::status("Rejected")),
        }
    }

    /// A connector changes its state, and the station says so.
    pub(crate) fn set_connector(&mut self, connector: u16, state: &'static str) {
        if self.connectors.set(connector, state) {
            self.enqueue(
                "StatusNotification",
                About::Status {
                    connector,
                    error: "NoError",
                },
                false,
            );
        }
    }

    /// A driver begins to charge.
    pub(crate) fn begin_session(&mut self, connector: u16, id_tag: &str, now: Instant) -> bool {
        let Some(session) = self.connectors.begin(connector, id_tag, self.time(now)) else {
            return false;
        };
        self.enqueue("StartTransaction", About::Start { session }, false);
        self.enqueue(
            "StatusNotification",
            About::Status {
                connector,
                error: "NoError",
            },
            false,
        );
        true
    }

    /// The session on a connector ends; a Reset that waited for it follows.
    pub(crate) fn end_session(
        &mut self,
        connector: u16,
        reason: &'static str,
        now: Instant,
    ) -> Deeds {
        let Some(session) = self.connectors.open_on(connector) else {
            return Vec::new();
        };
        self.connectors.end(session, reason, self.time(now));
        self.enqueue("StopTransaction", About::Stop { session }, false);
        self.enqueue(
            "StatusNotification",
            About::Status {
                connector,
                error: "NoError",
            },
            false,
        );
        self.set_connector(connector, "Available");
        if self.reset_when_idle && !self.connectors.charging() {
            return vec![(self.pace.reset, Deed::Boot(BootReason::SoftReset))];
        }
        Vec::new()
    }

    /// StartTransaction is answered.
    pub(crate) fn started(&mut self, session: u64, payload: Option<&str>, now: Instant) -> Deeds {
        let Some(answer) =
            payload.and_then(|payload| serde_json::from_str::<Started>(payload).ok())
        else {
            return Vec::new();
        };
        let Some(connector) = self.connectors.numbered(session, answer.transaction) else {
            return Vec::new();
        };
        let refused = answer.tag.is_some_and(|tag| tag.status != "Accepted");
        let stops = self.keys.effective_named("StopTransactionOnInvalidId") != Some("false");
        if refused && stops {
            self.end_session(connector, "DeAuthorized", now)
        } else {
            Vec::new()
        }
    }
}

/// Keys after whose change a station has to come back by another way: password, security profile, addresses.
fn changes_the_way_in(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["authorizationkey", "securityprofile"].contains(&key.as_str())
        || [
            "url",
            "networkconnectionprofile",
            "networkconfigurationpriority",
            "apn",
        ]
        .iter()
        .any(|part| key.contains(part))
}

fn read<'a, T: Deserialize<'a>>(payload: &'a str, answer: impl FnOnce(T) -> Answered) -> Answered {
    match serde_json::from_str(payload) {
        Ok(request) => answer(request),
        Err(error) => only(Reply::Error("TypeConstraintViolation", error.to_string())),
    }
}

#[derive(Deserialize)]
struct ChangeConfiguration {
    key: String,
    value: String,
}

#[derive(Deserialize)]
struct Reset {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Trigger {
    #[serde(rename = "requestedMessage")]
    message: String,
    #[serde(rename = "connectorId")]
    connector: Option<i64>,
}

#[derive(Deserialize)]
struct ChangeAvailability {
    #[serde(rename = "connectorId")]
    connector: i64,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct RemoteStart {
    #[serde(rename = "connectorId")]
    connector: Option<i64>,
    #[serde(rename = "idTag")]
    id_tag: String,
}

#[derive(Deserialize)]
struct RemoteStop {
    #[serde(rename = "transactionId")]
    transaction: i64,
}

#[derive(Deserialize)]
struct SendLocalList {
    #[serde(rename = "listVersion")]
    list_version: i64,
}

#[derive(Deserialize)]
struct Started {
    #[serde(rename = "transactionId")]
    transaction: i64,
    #[serde(rename = "idTagInfo")]
    tag: Option<TagInfo>,
}

#[derive(Deserialize)]
struct TagInfo {
    status: String,
}
