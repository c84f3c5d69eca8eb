//! Frames of OCPP-J 1.6 (section 4): CALL, CALLRESULT, CALLERROR.
//!
//! In comes the text of one WebSocket message, out comes a [`Frame`] (or, without copying, a [`FrameRef`]); and back.
//! Reading is tolerant: white space, a byte-order mark, ids that are numbers, a null payload, missing descriptions and
//! details, and elements too many are taken as they are meant. Writing is exact. What a payload means is not decided
//! here: it stays the text that it is, and however deep it is nested, reading it needs no recursion.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::text::{empty_object, object_or_empty, quote, shortened};

/// The longest id that is read, in bytes. OCPP-J allows 36 characters (section 4.1.4); stations that send more are
/// answered all the same, up to this bound, since an echo costs nothing and a refusal costs a message.
pub const MAX_ID_BYTES: usize = 255;

/// The longest text of a peer's mistake that is kept, in bytes.
const MAX_WHAT_BYTES: usize = 200;

/// One frame.
#[derive(Clone, Debug)]
pub enum Frame {
    /// `[2, id, action, payload]`
    Call {
        /// The message id, unique per connection and direction.
        id: String,
        /// The action's name, as it came.
        action: String,
        /// The payload: always a JSON object.
        payload: Box<RawValue>,
    },
    /// `[3, id, payload]`
    CallResult {
        /// The id of the call that it answers.
        id: String,
        /// The payload.
        payload: Box<RawValue>,
    },
    /// `[4, id, code, description, details]`
    CallError {
        /// The id of the call that it answers.
        id: String,
        /// The code as it came.
        code: String,
        /// The description; may be empty.
        description: String,
        /// The details; an object, may be empty.
        details: Box<RawValue>,
    },
}

/// One frame that borrows from the text that it was read from: what a server that reads many frames wants.
#[derive(Clone, Debug)]
pub enum FrameRef<'a> {
    /// `[2, id, action, payload]`
    Call {
        /// The message id.
        id: Cow<'a, str>,
        /// The action's name, as it came.
        action: Cow<'a, str>,
        /// The payload: always a JSON object.
        payload: &'a RawValue,
    },
    /// `[3, id, payload]`
    CallResult {
        /// The id of the call that it answers.
        id: Cow<'a, str>,
        /// The payload: always a JSON object.
        payload: &'a RawValue,
    },
    /// `[4, id, code, description, details]`
    CallError {
        /// The id of the call that it answers.
        id: Cow<'a, str>,
        /// The code as it came.
        code: Cow<'a, str>,
        /// The description; may be empty.
        description: Cow<'a, str>,
        /// The details; an object, may be empty.
        details: &'a RawValue,
    },
}

/// A text that is no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an OCPP-J frame: {what}")]
pub struct BadFrame {
    /// What is wrong, shortened.
    pub what: String,
    /// The message id if one could be made out, so that a CALLERROR can be sent.
    pub id: Option<String>,
    /// It was meant as a call (message type 2): a CALLERROR is due.
    pub call: bool,
}

impl Frame {
    /// Reads one text message.
    pub fn parse(text: &str) -> Result<Self, BadFrame> {
        FrameRef::parse(text).map(FrameRef::into_owned)
    }

    /// Writes the frame as it goes on the wire.
    pub fn to_text(&self) -> String {
        match self {
            Self::Call {
                id,
                action,
                payload,
            } => call_text(id, action, payload.get()),
            Self::CallResult { id, payload } => result_text(id, payload.get()),
            Self::CallError {
                id,
                code,
                description,
                details,
            } => error_text(id, code, description, details.get()),
        }
    }
}

/// `[2, id, action, payload]` as it goes on the wire. `payload` is the text of a JSON object.
pub fn call_text(id: &str, action: &str, payload: &str) -> String {
    let mut text = String::with_capacity(id.len() + action.len() + payload.len() + 16);
    text.push_str("[2,");
    quote(id, &mut text);
    text.push(',');
    quote(action, &mut text);
    text.push(',');
    text.push_str(payload);
    text.push(']');
    text
}

/// `[3, id, payload]` as it goes on the wire. `payload` is the text of a JSON object.
pub fn result_text(id: &str, payload: &str) -> String {
    let mut text = String::with_capacity(id.len() + payload.len() + 12);
    text.push_str("[3,");
    quote(id, &mut text);
    text.push(',');
    text.push_str(payload);
    text.push(']');
    text
}

/// `[4, id, code, description, details]` as it goes on the wire. `details` is the text of a JSON object.
pub fn error_text(id: &str, code: &str, description: &str, details: &str) -> String {
    let mut text =
        String::with_capacity(id.len() + code.len() + description.len() + details.len() + 20);
    text.push_str("[4,");
    for part in [id, code, description] {
        quote(part, &mut text);
        text.push(',');
    }
    text.push_str(details);
    text.push(']');
    text
}

impl<'a> FrameRef<'a> {
    /// Reads one text message without copying it.
    pub fn parse(text: &'a str) -> Result<Self, BadFrame> {
        // Embedded stations have been seen to send the terminating zero of a C string, and Windows tools a BOM.
        let text = text.trim_start_matches('\u{feff}').trim_end_matches('\0');
        let mut elements = Elements::default();
        let mut json = serde_json::Deserializer::from_str(text);
        let read = elements.deserialize(&mut json).and_then(|()| json.end());
        match read {
            Ok(()) => elements.into_frame(),
            Err(error) => Err(elements.bad(shortened(&error.to_string(), MAX_WHAT_BYTES))),
        }
    }

    /// Copies what is borrowed.
    pub fn into_owned(self) -> Frame {
        match self {
            Self::Call {
                id,
                action,
                payload,
            } => Frame::Call {
                id: id.into_owned(),
                action: action.into_owned(),
                payload: payload.to_owned(),
            },
            Self::CallResult { id, payload } => Frame::CallResult {
                id: id.into_owned(),
                payload: payload.to_owned(),
            },
            Self::CallError {
                id,
                code,
                description,
                details,
            } => Frame::CallError {
                id: id.into_owned(),
                code: code.into_owned(),
                description: description.into_owned(),
                details: details.to_owned(),
            },
        }
    }
}

/// The elements of the array as far as they could be read: what stands before a mistake is still of use.
#[derive(Default)]
struct Elements<'a> {
    at: [Option<&'a RawValue>; 5],
}

impl<'a> Elements<'a> {
    fn into_frame(self) -> Result<FrameRef<'a>, BadFrame> {
        let Some(kind) = self.kind() else {
            return Err(self.bad("the first element is not a message type".to_owned()));
        };
        let Some(id) = self.id() else {
            return Err(self.bad("the second element is not a message id".to_owned()));
        };
        match kind {
            2 => {
                let Some(action) = self.at[2].and_then(string) else {
                    return Err(
                        self.bad("the third element is not the name of an action".to_owned())
                    );
                };
                match self.at[3].map(object_or_empty) {
                    Some(Some(payload)) => Ok(FrameRef::Call {
                        id,
                        action,
                        payload,
                    }),
                    Some(None) => Err(self.bad("the payload is not an object".to_owned())),
                    None => Err(self.bad("the payload is missing".to_owned())),
                }
            }
            3 => match self.at[2].map(object_or_empty) {
                Some(Some(payload)) => Ok(FrameRef::CallResult { id, payload }),
                Some(None) => Err(self.bad("the payload is not an object".to_owned())),
                None => Err(self.bad("the payload is missing".to_owned())),
            },
            4 => Ok(FrameRef::CallError {
                id,
                code: self.at[2]
                    .map(string_or_text)
                    .filter(|code| !code.is_empty())
                    .unwrap_or(Cow::Borrowed("GenericError")),
                description: self.at[3].map_or(Cow::Borrowed(""), string_or_text),
                details: self.at[4]
                    .and_then(object_or_empty)
                    .unwrap_or_else(empty_object),
            }),
            // OCPP-J 1.6, section 4.1.3: a message of another type is ignored.
            other => Err(self.bad(format!("message type {other} is not 2, 3 or 4"))),
        }
    }

    fn bad(&self, what: String) -> BadFrame {
        BadFrame {
            what,
            id: self.id().map(Cow::into_owned),
            call: self.kind() == Some(2),
        }
    }

    /// The message type; `"2"` counts as 2.
    fn kind(&self) -> Option<u32> {
        self.at[0].and_then(|raw| raw.get().trim_matches('"').parse().ok())
    }

    /// The message id; a number counts as its digits.
    fn id(&self) -> Option<Cow<'a, str>> {
        let raw = self.at[1]?;
        let id = match raw.get().as_bytes().first()? {
            b'"' => string(raw)?,
            b'-' | b'0'..=b'9' => Cow::Borrowed(raw.get()),
            _ => return None,
        };
        (id.len() <= MAX_ID_BYTES).then_some(id)
    }
}

impl<'a> DeserializeSeed<'a> for &mut Elements<'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for &mut Elements<'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        for slot in &mut self.at {
            *slot = seq.next_element::<&'a RawValue>()?;
            if slot.is_none() {
                return Ok(());
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// A JSON string, copied only if it holds escapes.
fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    struct Text;
    impl<'de> Visitor<'de> for Text {
        type Value = Cow<'de, str>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok(Cow::Borrowed(text))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Cow::Owned(text.to_owned()))
        }
    }
    serde_json::Deserializer::from_str(raw.get())
        .deserialize_str(Text)
        .ok()
}

/// A JSON string, null as the empty one, and anything else as the text that it is, shortened.
fn string_or_text(raw: &RawValue) -> Cow<'_, str> {
    match string(raw) {
        Some(text) => text,
        None if raw.get() == "null" => Cow::Borrowed(""),
        None => Cow::Owned(shortened(raw.get(), MAX_WHAT_BYTES)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn call(text: &str) -> (String, String, String) {
        match Frame::parse(text) {
            Ok(Frame::Call {
                id,
                action,
                payload,
            }) => (id, action, payload.get().to_owned()),
            other => panic!("{text}: {other:?}"),
        }
    }

    fn bad(text: &str) -> (Option<String>, bool) {
        match Frame::parse(text) {
            Err(bad) => (bad.id, bad.call),
            Ok(frame) => panic!("{text}: {frame:?}"),
        }
    }

    #[test]
    fn calls_are_read_as_they_are_meant() {
        let heartbeat = ("7".to_owned(), "Heartbeat".to_owned(), "{}".to_owned());
        for text in [
            r#"[2,"7","Heartbeat",{}]"#,
            " [ 2 ,\n\"7\"\t, \"Heartbeat\", {} ] \r\n",
            r#"[2,7,"Heartbeat",{}]"#,
            r#"["2","7","Heartbeat",null]"#,
            r#"[2,"7","Heartbeat",{},"more",[1]]"#,
            "\u{feff}[2,\"7\",\"Heartbeat\",{}]\0",
            r#"[2,"\u0037","\u0048eartbeat",{}]"#,
        ] {
            assert_eq!(call(text), heartbeat, "{text}");
        }
    }

    #[test]
    fn id_and_intent_of_a_broken_call_are_made_out() {
        for text in [
            r#"[2,"7","BootNotification",{"a":}]"#,
            r#"[2,"7","BootNotification",{"a":1},]"#,
            r#"[2,"7","BootNotification",[1]]"#,
            r#"[2,"7","BootNotification","x"]"#,
            r#"[2,"7","BootNotification"]"#,
            r#"[2,"7",5,{}]"#,
            r#"[2,"7"]"#,
            "[2,\"7\"",
        ] {
            assert_eq!(bad(text), (Some("7".to_owned()), true), "{text}");
        }
    }

    #[test]
    fn what_is_no_call_asks_for_no_error() {
        for text in [
            "",
            "{}",
            "[]",
            "hello",
            "[2]",
            "null",
            "[9,\"7\",{}]",
            "[3,\"7\"]",
            "[3,\"7\",[1]]",
            "[[[[",
            "[3",
        ] {
            let (id, call) = bad(text);
            assert!(!call || id.is_none(), "{text}");
        }
        assert_eq!(bad("[3,\"7\",[1]]"), (Some("7".to_owned()), false));
    }

    #[test]
    fn errors_may_lack_everything_but_the_id() {
        for (text, expected) in [
            (r#"[4,"7"]"#, ("GenericError", "", "{}")),
            (r#"[4,"7",null,null,null]"#, ("GenericError", "", "{}")),
            (r#"[4,"7","",""]"#, ("GenericError", "", "{}")),
            (r#"[4,"7","InternalError"]"#, ("InternalError", "", "{}")),
            (
                r#"[4,"7","InternalError",null,null]"#,
                ("InternalError", "", "{}"),
            ),
            (r#"[4,"7",12,{"a":1},"x"]"#, ("12", r#"{"a":1}"#, "{}")),
            (
                r#"[4,"7","NotSupported","no",{"a":1}]"#,
                ("NotSupported", "no", r#"{"a":1}"#),
            ),
        ] {
            match Frame::parse(text) {
                Ok(Frame::CallError {
                    id,
                    code,
                    description,
                    details,
                }) => {
                    assert_eq!(id, "7");
                    assert_eq!(
                        (code.as_str(), description.as_str(), details.get()),
                        expected
                    );
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn ids_beyond_the_bound_are_not_echoed() {
        let long = "x".repeat(MAX_ID_BYTES + 1);
        assert_eq!(
            bad(&format!(r#"[2,"{long}","Heartbeat",{{}}]"#)),
            (None, true)
        );
        let tolerated = "x".repeat(MAX_ID_BYTES);
        assert_eq!(
            call(&format!(r#"[2,"{tolerated}","Heartbeat",{{}}]"#)).0,
            tolerated
        );
    }

    #[test]
    fn deep_nesting_is_read_without_recursion() {
        let deep = format!(
            r#"[2,"7","DataTransfer",{{"data":{}{}}}]"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert_eq!(call(&deep).1, "DataTransfer");
        assert_eq!(bad(&"[".repeat(100_000)), (None, false));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            let _ = Frame::parse(&text);
        }

        #[test]
        fn any_json_like_text_is_read_without_panic(text in r#"[\[\]{}",:0-9a-z\\ -]{0,80}"#) {
            let _ = Frame::parse(&text);
        }

        #[test]
        fn what_is_written_is_read_again(id in ".{1,36}", action in ".{0,50}", value in ".*") {
            let payload = serde_json::value::to_raw_value(&serde_json::json!({ "value": value })).unwrap();
            let text = Frame::Call { id: id.clone(), action: action.clone(), payload: payload.clone() }.to_text();
            prop_assert_eq!(call(&text), (id.clone(), action.clone(), payload.get().to_owned()));
            let text = Frame::CallError { id: id.clone(), code: action, description: value, details: payload }.to_text();
            match Frame::parse(&text) {
                Ok(Frame::CallError { id: read, .. }) => prop_assert_eq!(read, id),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
