//! What a station may ask of a Central System in OCPP 1.6: all profiles, and the extensions of the security whitepaper.
//!
//! In comes an action with its payload, out comes a [`StationCall`], or the [`Mistake`] with the CALLERROR that is due.
//! Lengths are not checked: stations exceed them, and nothing here depends on them. Messages about transactions are
//! read leniently, because a refused one is lost for good (OCPP 1.6 edition 2, section 3.7.1).

use serde_json::value::RawValue;

use crate::error::{CallErrorCode, Mistake};
use crate::fields::{Fields, Manner};
use crate::text::shortened;

/// The name of a call that a station may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Section 4.1.
    Authorize,
    /// Section 4.2.
    BootNotification,
    /// Section 4.3.
    DataTransfer,
    /// Section 4.4.
    DiagnosticsStatusNotification,
    /// Section 4.5.
    FirmwareStatusNotification,
    /// Section 4.6.
    Heartbeat,
    /// Security whitepaper.
    LogStatusNotification,
    /// Section 4.7.
    MeterValues,
    /// Security whitepaper.
    SecurityEventNotification,
    /// Security whitepaper.
    SignCertificate,
    /// Security whitepaper.
    SignedFirmwareStatusNotification,
    /// Section 4.8.
    StartTransaction,
    /// Section 4.9.
    StatusNotification,
    /// Section 4.10.
    StopTransaction,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Authorize,
        Self::BootNotification,
        Self::DataTransfer,
        Self::DiagnosticsStatusNotification,
        Self::FirmwareStatusNotification,
        Self::Heartbeat,
        Self::LogStatusNotification,
        Self::MeterValues,
        Self::SecurityEventNotification,
        Self::SignCertificate,
        Self::SignedFirmwareStatusNotification,
        Self::StartTransaction,
        Self::StatusNotification,
        Self::StopTransaction,
    ];

    /// The name as it goes on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authorize => "Authorize",
            Self::BootNotification => "BootNotification",
            Self::DataTransfer => "DataTransfer",
            Self::DiagnosticsStatusNotification => "DiagnosticsStatusNotification",
            Self::FirmwareStatusNotification => "FirmwareStatusNotification",
            Self::Heartbeat => "Heartbeat",
            Self::LogStatusNotification => "LogStatusNotification",
            Self::MeterValues => "MeterValues",
            Self::SecurityEventNotification => "SecurityEventNotification",
            Self::SignCertificate => "SignCertificate",
            Self::SignedFirmwareStatusNotification => "SignedFirmwareStatusNotification",
            Self::StartTransaction => "StartTransaction",
            Self::StatusNotification => "StatusNotification",
            Self::StopTransaction => "StopTransaction",
        }
    }

    /// Reads a name, which is case-sensitive (OCPP-J 1.6, section 4.2.1).
    pub fn read(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == name)
    }

    /// Must the message not be lost? (OCPP 1.6 edition 2, section 3.7: transaction-related messages.)
    pub fn is_transaction_related(self) -> bool {
        matches!(
            self,
            Self::StartTransaction | Self::StopTransaction | Self::MeterValues
        )
    }

    fn manner(self) -> Manner {
        if self.is_transaction_related() {
            Manner::Lenient
        } else {
            Manner::Exact
        }
    }
}

/// A call of a station, with the fields that a Central System acts upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StationCall {
    /// May this id tag charge?
    Authorize {
        /// The id tag.
        id_tag: String,
    },
    /// The station is up.
    BootNotification(Box<BootNotification>),
    /// Something of a vendor.
    DataTransfer {
        /// Whose.
        vendor_id: String,
    },
    /// An upload of diagnostics.
    DiagnosticsStatusNotification {
        /// How far it is.
        status: UploadStatus,
    },
    /// A firmware update.
    FirmwareStatusNotification {
        /// How far it is.
        status: FirmwareStatus,
    },
    /// The station lives and wants to know the time.
    Heartbeat,
    /// An upload of a log (security whitepaper).
    LogStatusNotification {
        /// How far it is.
        status: UploadStatus,
    },
    /// Values of a meter.
    MeterValues(MeterValues),
    /// Something that matters to security (security whitepaper).
    SecurityEventNotification {
        /// What happened.
        kind: String,
        /// When, as it came.
        timestamp: String,
        /// More about it.
        tech_info: Option<String>,
    },
    /// A certificate is to be signed (security whitepaper).
    SignCertificate,
    /// An update of signed firmware (security whitepaper).
    SignedFirmwareStatusNotification {
        /// How far it is.
        status: FirmwareStatus,
    },
    /// A transaction has started.
    StartTransaction(StartTransaction),
    /// What a connector does.
    StatusNotification(StatusNotification),
    /// A transaction has ended.
    StopTransaction(StopTransaction),
}

/// What a station says of itself (section 6.1 of OCPP 1.6 edition 2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootNotification {
    /// `chargePointVendor`.
    pub vendor: String,
    /// `chargePointModel`.
    pub model: String,
    /// `chargePointSerialNumber`.
    pub serial: Option<String>,
    /// `chargeBoxSerialNumber`.
    pub box_serial: Option<String>,
    /// `firmwareVersion`.
    pub firmware: Option<String>,
}

/// `MeterValues.req`, without the values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterValues {
    /// The connector; 0 is the main meter.
    pub connector: i64,
    /// The transaction that the values belong to.
    pub transaction: Option<i64>,
}

/// `StartTransaction.req`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartTransaction {
    /// The connector.
    pub connector: i64,
    /// The id tag.
    pub id_tag: String,
    /// The meter at the start, in Wh.
    pub meter_start: i64,
    /// When, as it came.
    pub timestamp: String,
}

/// `StopTransaction.req`, without `transactionData`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopTransaction {
    /// The transaction; -1 where the station never learnt its id.
    pub transaction: i64,
    /// The id tag that stopped it.
    pub id_tag: Option<String>,
    /// The meter at the end, in Wh.
    pub meter_stop: i64,
    /// When, as it came.
    pub timestamp: String,
}

/// `StatusNotification.req`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusNotification {
    /// The connector; 0 is the station as a whole.
    pub connector: i64,
    /// What it does.
    pub status: ConnectorStatus,
}

/// What a connector does (section 7.7, ChargePointStatus).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the standard's own")]
pub enum ConnectorStatus {
    Available,
    Preparing,
    Charging,
    SuspendedEvse,
    SuspendedEv,
    Finishing,
    Reserved,
    Unavailable,
    Faulted,
}

impl ConnectorStatus {
    fn read(status: &str) -> Option<Self> {
        Some(match status {
            "Available" => Self::Available,
            "Preparing" => Self::Preparing,
            "Charging" => Self::Charging,
            "SuspendedEVSE" => Self::SuspendedEvse,
            "SuspendedEV" => Self::SuspendedEv,
            "Finishing" => Self::Finishing,
            "Reserved" => Self::Reserved,
            "Unavailable" => Self::Unavailable,
            "Faulted" => Self::Faulted,
            _ => return None,
        })
    }

    /// Is nobody using the connector, and nobody about to?
    pub fn is_idle(self) -> bool {
        match self {
            Self::Available | Self::Unavailable | Self::Faulted => true,
            Self::Preparing
            | Self::Charging
            | Self::SuspendedEvse
            | Self::SuspendedEv
            | Self::Finishing
            | Self::Reserved => false,
        }
    }
}

/// How far an upload of diagnostics or of a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadStatus {
    /// `Uploading`.
    Uploading,
    /// Any other: nothing is under way.
    AtRest,
}

/// How far a firmware update is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirmwareStatus {
    /// From downloading until installed.
    UnderWay,
    /// Nothing is under way: idle, installed, or failed.
    AtRest,
}

impl StationCall {
    /// Reads a call by the name of its action. An unknown name is [`CallErrorCode::NotImplemented`].
    pub fn parse(action: &str, payload: &RawValue) -> Result<Self, Mistake> {
        match Action::read(action) {
            Some(action) => Self::read(action, payload),
            None => Err(Mistake::new(
                CallErrorCode::NotImplemented,
                format!(
                    "{} is not an action that a station may call",
                    shortened(action, 50)
                ),
            )),
        }
    }

    /// Reads a call of a known action.
    pub fn read(action: Action, payload: &RawValue) -> Result<Self, Mistake> {
        let fields = Fields::of(payload, action.manner())?;
        Ok(match action {
            Action::Authorize => Self::Authorize {
                id_tag: fields.string("idTag")?,
            },
            Action::BootNotification => Self::BootNotification(Box::new(BootNotification {
                vendor: fields.string("chargePointVendor")?,
                model: fields.string("chargePointModel")?,
                serial: fields.optional_string("chargePointSerialNumber")?,
                box_serial: fields.optional_string("chargeBoxSerialNumber")?,
                firmware: fields.optional_string("firmwareVersion")?,
            })),
            Action::DataTransfer => Self::DataTransfer {
                vendor_id: fields.string("vendorId")?,
            },
            Action::DiagnosticsStatusNotification => Self::DiagnosticsStatusNotification {
                status: one_of(
                    &fields,
                    &["Idle", "Uploaded", "UploadFailed"],
                    &["Uploading"],
                )?
                .map_or(UploadStatus::AtRest, |()| UploadStatus::Uploading),
            },
            Action::FirmwareStatusNotification => {
                let at_rest = ["Idle", "Installed", "DownloadFailed", "InstallationFailed"];
                Self::FirmwareStatusNotification {
                    status: one_of(
                        &fields,
                        &at_rest,
                        &["Downloading", "Downloaded", "Installing"],
                    )?
                    .map_or(FirmwareStatus::AtRest, |()| FirmwareStatus::UnderWay),
                }
            }
            Action::Heartbeat => Self::Heartbeat,
            Action::LogStatusNotification => {
                fields.optional_integer("requestId")?;
                let at_rest = [
                    "BadMessage",
                    "Idle",
                    "NotSupportedOperation",
                    "PermissionDenied",
                    "Uploaded",
                    "UploadFailure",
                    "AcceptedCanceled",
                ];
                Self::LogStatusNotification {
                    status: one_of(&fields, &at_rest, &["Uploading"])?
                        .map_or(UploadStatus::AtRest, |()| UploadStatus::Uploading),
                }
            }
            Action::MeterValues => {
                fields.array("meterValue")?;
                Self::MeterValues(MeterValues {
                    connector: fields.integer("connectorId")?,
                    transaction: fields.optional_integer("transactionId")?,
                })
            }
            Action::SecurityEventNotification => Self::SecurityEventNotification {
                kind: fields.string("type")?,
                timestamp: fields.string("timestamp")?,
                tech_info: fields.optional_string("techInfo")?,
            },
            Action::SignCertificate => {
                fields.string("csr")?;
                Self::SignCertificate
            }
            Action::SignedFirmwareStatusNotification => {
                fields.optional_integer("requestId")?;
                let at_rest = [
                    "Idle",
                    "Installed",
                    "DownloadFailed",
                    "InstallationFailed",
                    "InstallVerificationFailed",
                    "InvalidSignature",
                    "CertificateVerificationFailed",
                    "AcceptedCanceled",
                ];
                let under_way = [
                    "Downloaded",
                    "Downloading",
                    "DownloadScheduled",
                    "DownloadPaused",
                    "Installing",
                    "InstallRebooting",
                    "InstallScheduled",
                    "SignatureVerified",
                ];
                Self::SignedFirmwareStatusNotification {
                    status: one_of(&fields, &at_rest, &under_way)?
                        .map_or(FirmwareStatus::AtRest, |()| FirmwareStatus::UnderWay),
                }
            }
            Action::StartTransaction => Self::StartTransaction(StartTransaction {
                connector: fields.integer("connectorId")?,
                id_tag: fields.string("idTag")?,
                meter_start: fields.integer("meterStart")?,
                timestamp: fields.string("timestamp")?,
            }),
            Action::StatusNotification => {
                fields.string("errorCode")?;
                let connector = fields.integer("connectorId")?;
                let status = fields.string("status")?;
                let status =
                    ConnectorStatus::read(&status).ok_or_else(|| not_allowed("status", &status))?;
                Self::StatusNotification(StatusNotification { connector, status })
            }
            Action::StopTransaction => Self::StopTransaction(StopTransaction {
                transaction: fields.integer("transactionId")?,
                id_tag: fields.optional_string("idTag")?,
                meter_stop: fields.integer("meterStop")?,
                timestamp: fields.string("timestamp")?,
            }),
        })
    }
}

/// `status` as one of two groups: `Some` for the second.
fn one_of(
    fields: &Fields<'_>,
    at_rest: &[&str],
    under_way: &[&str],
) -> Result<Option<()>, Mistake> {
    let status = fields.string("status")?;
    match status.as_str() {
        status if under_way.contains(&status) => Ok(Some(())),
        status if at_rest.contains(&status) => Ok(None),
        status => Err(not_allowed("status", status)),
    }
}

fn not_allowed(field: &str, value: &str) -> Mistake {
    Mistake::new(
        CallErrorCode::PropertyConstraintViolation,
        format!(
            "{field} has a value that is not allowed: {:?}",
            shortened(value, 40)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(action: &str, payload: &str) -> Result<StationCall, CallErrorCode> {
        let payload = RawValue::from_string(payload.to_owned()).unwrap();
        StationCall::parse(action, &payload).map_err(|mistake| mistake.code)
    }

    #[test]
    fn minimal_calls_of_every_action_are_read() {
        for (action, payload) in [
            ("Authorize", r#"{"idTag":"A"}"#),
            (
                "BootNotification",
                r#"{"chargePointVendor":"V","chargePointModel":"M"}"#,
            ),
            ("DataTransfer", r#"{"vendorId":"V"}"#),
            ("DiagnosticsStatusNotification", r#"{"status":"Uploading"}"#),
            ("FirmwareStatusNotification", r#"{"status":"Installed"}"#),
            ("Heartbeat", "{}"),
            (
                "LogStatusNotification",
                r#"{"status":"Uploaded","requestId":1}"#,
            ),
            ("MeterValues", r#"{"connectorId":1,"meterValue":[]}"#),
            (
                "SecurityEventNotification",
                r#"{"type":"T","timestamp":"2026-01-01T00:00:00Z"}"#,
            ),
            ("SignCertificate", r#"{"csr":"-----"}"#),
            (
                "SignedFirmwareStatusNotification",
                r#"{"status":"InstallRebooting"}"#,
            ),
            (
                "StartTransaction",
                r#"{"connectorId":1,"idTag":"A","meterStart":0,"timestamp":"t"}"#,
            ),
            (
                "StatusNotification",
                r#"{"connectorId":1,"errorCode":"NoError","status":"SuspendedEV"}"#,
            ),
            (
                "StopTransaction",
                r#"{"transactionId":-1,"meterStop":5,"timestamp":"t"}"#,
            ),
        ] {
            assert!(parse(action, payload).is_ok(), "{action}");
        }
    }

    #[test]
    fn each_mistake_has_its_code() {
        use CallErrorCode::*;
        for (action, payload, code) in [
            ("Heartbeet", "{}", NotImplemented),
            ("heartbeat", "{}", NotImplemented),
            ("GetConfiguration", "{}", NotImplemented),
            ("BootNotification", "{}", ProtocolError),
            (
                "BootNotification",
                r#"{"chargePointVendor":"V","chargePointModel":null}"#,
                ProtocolError,
            ),
            (
                "BootNotification",
                r#"{"chargePointVendor":"V","chargePointModel":12}"#,
                TypeConstraintViolation,
            ),
            (
                "BootNotification",
                r#"{"chargePointVendor":"V","chargePointVendor":"W","chargePointModel":"M"}"#,
                OccurenceConstraintViolation,
            ),
            (
                "StatusNotification",
                r#"{"connectorId":"1","errorCode":"NoError","status":"Available"}"#,
                TypeConstraintViolation,
            ),
            (
                "StatusNotification",
                r#"{"connectorId":1,"errorCode":"NoError","status":"Sleeping"}"#,
                PropertyConstraintViolation,
            ),
            (
                "FirmwareStatusNotification",
                r#"{"status":"Later"}"#,
                PropertyConstraintViolation,
            ),
            (
                "MeterValues",
                r#"{"connectorId":1,"meterValue":{}}"#,
                TypeConstraintViolation,
            ),
            (
                "StopTransaction",
                r#"{"transactionId":1,"timestamp":"t"}"#,
                ProtocolError,
            ),
            (
                "Authorize",
                r#"{"idTag":"\ud800"}"#,
                TypeConstraintViolation,
            ),
        ] {
            assert_eq!(
                parse(action, payload).err(),
                Some(code),
                "{action} {payload}"
            );
        }
    }

    #[test]
    fn transactions_are_read_leniently() {
        let call = parse(
            "StartTransaction",
            r#"{"connectorId":"1","idTag":12345678,"meterStart":10.0,"timestamp":"t","more":{}}"#,
        );
        let expected = StartTransaction {
            connector: 1,
            id_tag: "12345678".to_owned(),
            meter_start: 10,
            timestamp: "t".to_owned(),
        };
        assert_eq!(call, Ok(StationCall::StartTransaction(expected)));
    }

    proptest! {
        #[test]
        fn any_payload_is_read_without_panic(action in 0..Action::ALL.len(), text in r#"\{[\[\]{}",:0-9a-z\\ -]{0,60}\}"#) {
            if let Ok(payload) = serde_json::from_str::<&RawValue>(&text) {
                let _ = StationCall::read(Action::ALL[action], payload);
            }
        }
    }
}
