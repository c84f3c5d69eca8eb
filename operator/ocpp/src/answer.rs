//! What a Central System answers to a station's calls: the payloads of CALLRESULTs, written exactly.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

use crate::text::quote;

/// `{}`: the answer to most notifications.
pub const EMPTY: &str = "{}";

/// The answer to DataTransfer of a vendor that is not known (OCPP 1.6 edition 2, section 4.3).
pub const UNKNOWN_VENDOR: &str = r#"{"status":"UnknownVendorId"}"#;

/// The answer to SignCertificate where nobody signs.
pub const CERTIFICATE_REJECTED: &str = r#"{"status":"Rejected"}"#;

/// Registration of a station (section 7.42, RegistrationStatus).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Registration {
    /// May do everything.
    Accepted,
    /// Held: may be read and written.
    Pending,
    /// Refused: may not be called either.
    Rejected,
}

impl Registration {
    /// The name as it goes on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Pending => "Pending",
            Self::Rejected => "Rejected",
        }
    }

    /// Reads a name.
    pub fn read(name: &str) -> Option<Self> {
        [Self::Accepted, Self::Pending, Self::Rejected]
            .into_iter()
            .find(|one| one.as_str() == name)
    }
}

/// What becomes of an id tag (section 7.2, AuthorizationStatus).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthorizationStatus {
    /// May charge.
    Accepted,
    /// Has been blocked.
    Blocked,
    /// Is too old.
    Expired,
    /// Is not known.
    Invalid,
    /// Charges elsewhere already.
    ConcurrentTx,
}

impl AuthorizationStatus {
    /// The name as it goes on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Blocked => "Blocked",
            Self::Expired => "Expired",
            Self::Invalid => "Invalid",
            Self::ConcurrentTx => "ConcurrentTx",
        }
    }

    /// Reads a name.
    pub fn read(name: &str) -> Option<Self> {
        [
            Self::Accepted,
            Self::Blocked,
            Self::Expired,
            Self::Invalid,
            Self::ConcurrentTx,
        ]
        .into_iter()
        .find(|one| one.as_str() == name)
    }
}

/// What is told of an id tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdTagInfo {
    /// What becomes of it.
    pub status: AuthorizationStatus,
    /// Until when it holds.
    pub expires: Option<Timestamp>,
    /// The group that it belongs to.
    pub parent: Option<String>,
}

impl IdTagInfo {
    /// A status and nothing more.
    pub fn of(status: AuthorizationStatus) -> Self {
        Self {
            status,
            expires: None,
            parent: None,
        }
    }
}

/// `BootNotification.conf`. `interval` is the heartbeat interval with Accepted, else the wait before the next
/// BootNotification, in seconds (section 4.2).
pub fn boot_notification(registration: Registration, now: Timestamp, interval: u32) -> String {
    format!(
        r#"{{"status":"{}","currentTime":"{}","interval":{interval}}}"#,
        registration.as_str(),
        date_time(now)
    )
}

/// `Heartbeat.conf`.
pub fn heartbeat(now: Timestamp) -> String {
    format!(r#"{{"currentTime":"{}"}}"#, date_time(now))
}

/// `Authorize.conf`.
pub fn authorize(info: &IdTagInfo) -> String {
    let mut text = String::from(r#"{"idTagInfo":"#);
    id_tag_info(info, &mut text);
    text.push('}');
    text
}

/// `StartTransaction.conf`.
pub fn start_transaction(transaction: i64, info: &IdTagInfo) -> String {
    let mut text = format!(r#"{{"transactionId":{transaction},"idTagInfo":"#);
    id_tag_info(info, &mut text);
    text.push('}');
    text
}

/// `StopTransaction.conf`; the id tag is told of only if the station named one.
pub fn stop_transaction(info: Option<&IdTagInfo>) -> String {
    info.map_or_else(|| EMPTY.to_owned(), authorize)
}

fn id_tag_info(info: &IdTagInfo, to: &mut String) {
    to.push_str(r#"{"status":""#);
    to.push_str(info.status.as_str());
    to.push('"');
    if let Some(expires) = info.expires {
        to.push_str(r#","expiryDate":""#);
        to.push_str(&date_time(expires));
        to.push('"');
    }
    if let Some(parent) = &info.parent {
        to.push_str(r#","parentIdTag":"#);
        quote(parent, to);
    }
    to.push('}');
}

/// RFC 3339 in UTC, with milliseconds. OCPP 1.6 edition 2, section 3.15 leaves the fraction to the sender; small parsers
/// expect either none or three digits.
fn date_time(time: Timestamp) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    PRINTER.timestamp_to_string(&time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_written_exactly() {
        let now: Timestamp = "2026-03-01T12:00:00.123456Z".parse().unwrap();
        assert_eq!(
            boot_notification(Registration::Pending, now, 60),
            r#"{"status":"Pending","currentTime":"2026-03-01T12:00:00.123Z","interval":60}"#
        );
        assert_eq!(
            heartbeat(now),
            r#"{"currentTime":"2026-03-01T12:00:00.123Z"}"#
        );
        let info = IdTagInfo {
            parent: Some("a\"b".to_owned()),
            expires: Some(now),
            ..IdTagInfo::of(AuthorizationStatus::Blocked)
        };
        assert_eq!(
            start_transaction(7, &info),
            r#"{"transactionId":7,"idTagInfo":{"status":"Blocked","expiryDate":"2026-03-01T12:00:00.123Z","parentIdTag":"a\"b"}}"#
        );
        assert_eq!(stop_transaction(None), "{}");
    }
}
