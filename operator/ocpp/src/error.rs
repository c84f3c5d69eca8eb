//! CALLERROR codes of OCPP-J 1.6 (section 4.2.3, table 7, with the errata sheet) and the mistakes that call for them.

use std::fmt;

/// The codes of OCPP-J 1.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallErrorCode {
    /// The action is not known.
    NotImplemented,
    /// The action is known and not supported.
    NotSupported,
    /// The receiver failed.
    InternalError,
    /// The payload is incomplete.
    ProtocolError,
    /// Not allowed, or not before the station is accepted (errata sheet 2025-04, section 3.10).
    SecurityError,
    /// The payload is not well formed. Later versions spell it FormatViolation; the errata sheet (section 5.2) keeps
    /// this name for 1.6.
    FormationViolation,
    /// A field has a value that is not allowed.
    PropertyConstraintViolation,
    /// A field occurs too often or too rarely. The original tables spell it with one `r`, and the errata sheet
    /// (section 5.1) leaves it so for 1.6, because stations compare strings.
    OccurenceConstraintViolation,
    /// A field is of the wrong type.
    TypeConstraintViolation,
    /// Anything else.
    GenericError,
}

impl CallErrorCode {
    /// The code as it goes on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotImplemented => "NotImplemented",
            Self::NotSupported => "NotSupported",
            Self::InternalError => "InternalError",
            Self::ProtocolError => "ProtocolError",
            Self::SecurityError => "SecurityError",
            Self::FormationViolation => "FormationViolation",
            Self::PropertyConstraintViolation => "PropertyConstraintViolation",
            Self::OccurenceConstraintViolation => "OccurenceConstraintViolation",
            Self::TypeConstraintViolation => "TypeConstraintViolation",
            Self::GenericError => "GenericError",
        }
    }

    /// Reads a code, in either spelling where there are two. `None`: a code that OCPP-J 1.6 does not know.
    pub fn read(code: &str) -> Option<Self> {
        Some(match code {
            "NotImplemented" => Self::NotImplemented,
            "NotSupported" => Self::NotSupported,
            "InternalError" => Self::InternalError,
            "ProtocolError" => Self::ProtocolError,
            "SecurityError" => Self::SecurityError,
            "FormationViolation" | "FormatViolation" => Self::FormationViolation,
            "PropertyConstraintViolation" => Self::PropertyConstraintViolation,
            "OccurenceConstraintViolation" | "OccurrenceConstraintViolation" => {
                Self::OccurenceConstraintViolation
            }
            "TypeConstraintViolation" => Self::TypeConstraintViolation,
            "GenericError" => Self::GenericError,
            _ => return None,
        })
    }

    /// Is it about the content of the call, so that the same call would fail again? Unknown codes are not.
    pub fn is_about_content(self) -> bool {
        match self {
            Self::FormationViolation
            | Self::PropertyConstraintViolation
            | Self::OccurenceConstraintViolation
            | Self::TypeConstraintViolation
            | Self::ProtocolError => true,
            Self::NotImplemented
            | Self::NotSupported
            | Self::InternalError
            | Self::SecurityError
            | Self::GenericError => false,
        }
    }
}

impl fmt::Display for CallErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is wrong with a station's call, and the CALLERROR that says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {description}")]
pub struct Mistake {
    /// The code.
    pub code: CallErrorCode,
    /// What is wrong, for people; names the field.
    pub description: String,
}

impl Mistake {
    pub(crate) fn new(code: CallErrorCode, description: String) -> Self {
        Self { code, description }
    }
}
