//! Frames of OCPP-J 1.6 (section 4): CALL, CALLRESULT, CALLERROR.

use serde_json::value::RawValue;

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
        let _ = text;
        todo!("written by the author of this crate")
    }

    /// Writes the frame as it goes on the wire.
    pub fn to_text(&self) -> String {
        todo!("written by the author of this crate")
    }
}
