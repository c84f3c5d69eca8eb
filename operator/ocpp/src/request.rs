//! What we ask of a station: payloads of GetConfiguration, ChangeConfiguration, Reset and TriggerMessage, written
//! exactly, and their answers, read tolerantly.
//!
//! Stations leave values out, send numbers and booleans for strings, strings and numbers for booleans, single entries
//! where a list belongs, and keys twice; all of this is taken as it is meant. What a key means is not decided here.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::text::{quote, shortened};

/// `GetConfiguration.req` for these keys (section 5.8). No keys asks for all, which some stations never answer.
pub fn get_configuration<'a>(keys: impl IntoIterator<Item = &'a str>) -> Box<RawValue> {
    let mut text = String::new();
    for key in keys {
        text.push(if text.is_empty() { '[' } else { ',' });
        quote(key, &mut text);
    }
    raw(if text.is_empty() {
        "{}".to_owned()
    } else {
        format!(r#"{{"key":{text}]}}"#)
    })
}

/// `ChangeConfiguration.req` (section 5.3).
pub fn change_configuration(key: &str, value: &str) -> Box<RawValue> {
    let mut text = String::from(r#"{"key":"#);
    quote(key, &mut text);
    text.push_str(r#","value":"#);
    quote(value, &mut text);
    text.push('}');
    raw(text)
}

/// `Reset.req` (section 5.14).
pub fn reset(kind: ResetKind) -> Box<RawValue> {
    raw(match kind {
        ResetKind::Soft => r#"{"type":"Soft"}"#.to_owned(),
        ResetKind::Hard => r#"{"type":"Hard"}"#.to_owned(),
    })
}

/// How a station is to reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetKind {
    /// Ends transactions orderly.
    Soft,
    /// At once.
    Hard,
}

/// `TriggerMessage.req` (section 5.17).
pub fn trigger_message(requested: Trigger, connector: Option<u32>) -> Box<RawValue> {
    let requested = requested.as_str();
    raw(match connector {
        Some(connector) => {
            format!(r#"{{"requestedMessage":"{requested}","connectorId":{connector}}}"#)
        }
        None => format!(r#"{{"requestedMessage":"{requested}"}}"#),
    })
}

/// What a station can be asked to send (section 7.32, MessageTrigger).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the standard's own")]
pub enum Trigger {
    BootNotification,
    DiagnosticsStatusNotification,
    FirmwareStatusNotification,
    Heartbeat,
    MeterValues,
    StatusNotification,
}

impl Trigger {
    /// The name as it goes on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BootNotification => "BootNotification",
            Self::DiagnosticsStatusNotification => "DiagnosticsStatusNotification",
            Self::FirmwareStatusNotification => "FirmwareStatusNotification",
            Self::Heartbeat => "Heartbeat",
            Self::MeterValues => "MeterValues",
            Self::StatusNotification => "StatusNotification",
        }
    }
}

/// An answer that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer cannot be understood: {what}")]
pub struct BadAnswer {
    /// What is wrong, shortened.
    pub what: String,
}

/// `GetConfiguration.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// `configurationKey`: each key once, in the order of the answer.
    pub keys: Vec<ConfigurationKey>,
    /// `unknownKey`: each key once.
    pub unknown: Vec<String>,
}

/// One entry of `configurationKey`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationKey {
    /// The key, as the station spells it.
    pub key: String,
    /// Its value; absent is not empty.
    pub value: Option<String>,
    /// May it be written? `None`: the station did not say it in a way that can be understood.
    pub readonly: Option<bool>,
}

/// The fields of an object by their names in lower case, since some stations write `readOnly`. The first of two counts.
type Object<'a> = BTreeMap<String, &'a RawValue>;

impl Configuration {
    /// Reads the payload of an answer.
    pub fn read(payload: &RawValue) -> Result<Self, BadAnswer> {
        let object = object(payload)?;
        let mut keys: Vec<ConfigurationKey> = Vec::new();
        for entry in list(object.get("configurationkey").copied())? {
            let Some(entry) = configuration_key(entry) else {
                continue;
            };
            match keys.iter_mut().find(|known| known.key == entry.key) {
                None => keys.push(entry),
                Some(known) => {
                    known.value = known.value.take().or(entry.value);
                    known.readonly = known.readonly.or(entry.readonly);
                }
            }
        }
        let mut unknown: Vec<String> = Vec::new();
        for entry in list(object.get("unknownkey").copied())? {
            let Some(key) = text(entry) else { continue };
            if !unknown.contains(&key) {
                unknown.push(key);
            }
        }
        Ok(Self { keys, unknown })
    }
}

/// One entry; without a name it says nothing.
fn configuration_key(entry: &RawValue) -> Option<ConfigurationKey> {
    let object = object(entry).ok()?;
    Some(ConfigurationKey {
        key: text(object.get("key")?)?,
        value: object.get("value").and_then(|value| text(value)),
        readonly: object
            .get("readonly")
            .and_then(|readonly| boolean(readonly)),
    })
}

/// What a station answered to ChangeConfiguration (section 7.22, ConfigurationStatus).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeStatus {
    /// Stored.
    Accepted,
    /// Not stored.
    Rejected,
    /// Stored; a boot brings it into effect.
    RebootRequired,
    /// The key is not known.
    NotSupported,
    /// Something that OCPP 1.6 does not know, shortened.
    Other(String),
}

impl ChangeStatus {
    /// Reads the payload of an answer.
    pub fn read(payload: &RawValue) -> Result<Self, BadAnswer> {
        let status = status(payload)?;
        Ok(match letters(&status).as_str() {
            "accepted" => Self::Accepted,
            "rejected" => Self::Rejected,
            "rebootrequired" => Self::RebootRequired,
            "notsupported" => Self::NotSupported,
            _ => Self::Other(status),
        })
    }
}

/// What a station answered to Reset or TriggerMessage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    /// It will.
    Accepted,
    /// It will not.
    Rejected,
    /// It knows no such message to be triggered.
    NotImplemented,
    /// Something that OCPP 1.6 does not know, shortened.
    Other(String),
}

impl Consent {
    /// Reads the payload of an answer.
    pub fn read(payload: &RawValue) -> Result<Self, BadAnswer> {
        let status = status(payload)?;
        Ok(match letters(&status).as_str() {
            "accepted" => Self::Accepted,
            "rejected" => Self::Rejected,
            "notimplemented" => Self::NotImplemented,
            _ => Self::Other(status),
        })
    }
}

fn status(payload: &RawValue) -> Result<String, BadAnswer> {
    object(payload)?
        .get("status")
        .and_then(|status| text(status))
        .map(|status| shortened(status.trim(), 60))
        .ok_or_else(|| BadAnswer {
            what: "status is missing".to_owned(),
        })
}

/// The letters of a status alone, in lower case: `Reboot Required` and `REBOOT_REQUIRED` are meant as `RebootRequired`,
/// and a boot that is owed must not be overlooked.
fn letters(status: &str) -> String {
    status
        .chars()
        .filter(char::is_ascii_alphabetic)
        .map(|letter| letter.to_ascii_lowercase())
        .collect()
}

fn object(payload: &RawValue) -> Result<Object<'_>, BadAnswer> {
    struct Fields;
    impl<'de> serde::de::Visitor<'de> for Fields {
        type Value = Object<'de>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> Result<Self::Value, A::Error> {
            let mut object = Object::new();
            while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                object.entry(name.to_ascii_lowercase()).or_insert(value);
            }
            Ok(object)
        }
    }
    serde::Deserializer::deserialize_map(
        &mut serde_json::Deserializer::from_str(payload.get()),
        Fields,
    )
    .map_err(|error| BadAnswer {
        what: shortened(&error.to_string(), 120),
    })
}

/// A list, a single entry as a list of one, absent and null as the empty one.
fn list(raw: Option<&RawValue>) -> Result<Vec<&RawValue>, BadAnswer> {
    match raw {
        None => Ok(Vec::new()),
        Some(raw) if raw.get() == "null" => Ok(Vec::new()),
        Some(raw) if raw.get().starts_with('[') => {
            <Vec<&RawValue>>::deserialize(raw).map_err(|error| BadAnswer {
                what: shortened(&error.to_string(), 120),
            })
        }
        Some(raw) => Ok(vec![raw]),
    }
}

/// A string; a number, a boolean or anything else as its text; null as absent. A string with half a surrogate, which
/// no Rust string can hold, keeps its escapes.
fn text(raw: &RawValue) -> Option<String> {
    match raw.get() {
        "null" => None,
        json if json.starts_with('"') => {
            Some(serde_json::from_str(json).unwrap_or_else(|_| json[1..json.len() - 1].to_owned()))
        }
        json => Some(json.to_owned()),
    }
}

/// `true`, `"True"`, `1`, `"1"` and the like.
fn boolean(raw: &RawValue) -> Option<bool> {
    match text(raw)?.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Some(true),
        "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

/// `text` is JSON, since this module wrote it.
fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).expect("what this module writes is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(payload: &str) -> Configuration {
        Configuration::read(&RawValue::from_string(payload.to_owned()).unwrap()).unwrap()
    }

    fn known(key: &str, value: Option<&str>, readonly: Option<bool>) -> ConfigurationKey {
        ConfigurationKey {
            key: key.to_owned(),
            value: value.map(str::to_owned),
            readonly,
        }
    }

    #[test]
    fn requests_are_written_exactly() {
        assert_eq!(get_configuration([]).get(), "{}");
        assert_eq!(
            get_configuration(["A", "b\"c"]).get(),
            r#"{"key":["A","b\"c"]}"#
        );
        assert_eq!(
            change_configuration("A", "").get(),
            r#"{"key":"A","value":""}"#
        );
        assert_eq!(reset(ResetKind::Hard).get(), r#"{"type":"Hard"}"#);
        let trigger = trigger_message(Trigger::StatusNotification, Some(2));
        assert_eq!(
            trigger.get(),
            r#"{"requestedMessage":"StatusNotification","connectorId":2}"#
        );
    }

    #[test]
    fn values_and_access_are_read_in_every_shape() {
        for (entry, expected) in [
            (
                r#"{"key":"K","readonly":false,"value":"v"}"#,
                known("K", Some("v"), Some(false)),
            ),
            (
                r#"{"key":"K","readonly":true}"#,
                known("K", None, Some(true)),
            ),
            (
                r#"{"key":"K","readonly":"true","value":null}"#,
                known("K", None, Some(true)),
            ),
            (
                r#"{"key":"K","readonly":0,"value":900}"#,
                known("K", Some("900"), Some(false)),
            ),
            (
                r#"{"key":"K","readOnly":1,"value":true}"#,
                known("K", Some("true"), Some(true)),
            ),
            (r#"{"key":"K","value":""}"#, known("K", Some(""), None)),
            (
                r#"{"key":"K","readonly":null,"value":1.50}"#,
                known("K", Some("1.50"), None),
            ),
            (
                r#"{"key":"K","readonly":"perhaps","value":["a"]}"#,
                known("K", Some(r#"["a"]"#), None),
            ),
            (
                r#"{"key":7,"readonly":"1","value":"\ud800"}"#,
                known("7", Some("\\ud800"), Some(true)),
            ),
        ] {
            assert_eq!(
                read(&format!(r#"{{"configurationKey":[{entry}]}}"#)).keys,
                [expected],
                "{entry}"
            );
        }
    }

    #[test]
    fn lists_are_read_in_every_shape() {
        for empty in [
            "{}",
            r#"{"configurationKey":null,"unknownKey":null}"#,
            r#"{"configurationKey":[]}"#,
        ] {
            assert_eq!(read(empty), Configuration::default(), "{empty}");
        }
        let single = read(r#"{"configurationKey":{"key":"K","value":"v"},"unknownKey":"U"}"#);
        assert_eq!(single.keys, [known("K", Some("v"), None)]);
        assert_eq!(single.unknown, ["U"]);
        let odd = read(
            r#"{"configurationKey":[null,5,{"value":"x"},{"key":"K"}],"unknownKey":["U",null,"U",3]}"#,
        );
        assert_eq!(odd.keys, [known("K", None, None)]);
        assert_eq!(odd.unknown, ["U", "3"]);
    }

    #[test]
    fn a_key_listed_twice_counts_once() {
        let twice = read(
            r#"{"configurationKey":[{"key":"K","readonly":true},{"key":"K","value":"v"},{"key":"k"}]}"#,
        );
        assert_eq!(
            twice.keys,
            [known("K", Some("v"), Some(true)), known("k", None, None)]
        );
    }

    #[test]
    fn statuses_are_read_or_kept() {
        for (payload, expected) in [
            (
                r#"{"status":"RebootRequired"}"#,
                Ok(ChangeStatus::RebootRequired),
            ),
            (r#"{"status":"accepted "}"#, Ok(ChangeStatus::Accepted)),
            (
                r#"{"status":"Reboot Required"}"#,
                Ok(ChangeStatus::RebootRequired),
            ),
            (
                r#"{"status":"NOT_SUPPORTED"}"#,
                Ok(ChangeStatus::NotSupported),
            ),
            (
                r#"{"status":"Scheduled"}"#,
                Ok(ChangeStatus::Other("Scheduled".to_owned())),
            ),
            (
                r#"{}"#,
                Err(BadAnswer {
                    what: "status is missing".to_owned(),
                }),
            ),
        ] {
            assert_eq!(
                ChangeStatus::read(&RawValue::from_string(payload.to_owned()).unwrap()),
                expected
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_asked_is_json(key in ".*", value in ".*") {
            let change: serde_json::Value = serde_json::from_str(change_configuration(&key, &value).get()).unwrap();
            prop_assert_eq!(&change["key"], &serde_json::json!(key));
            prop_assert_eq!(&change["value"], &serde_json::json!(value));
            let get: serde_json::Value = serde_json::from_str(get_configuration([key.as_str()]).get()).unwrap();
            prop_assert_eq!(&get["key"][0], &serde_json::json!(key));
        }

        #[test]
        fn any_answer_is_read_without_panic(text in r#"\{"configurationKey":[\[\]{}",:0-9a-z\\ -]{0,60}\}"#) {
            if let Ok(payload) = serde_json::from_str::<&RawValue>(&text) {
                let _ = Configuration::read(payload);
                let _ = ChangeStatus::read(payload);
                let _ = Consent::read(payload);
            }
        }
    }
}
