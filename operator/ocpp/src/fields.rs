//! The fields of one payload, read one by one, so that the first mistake can be named with its field.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{CallErrorCode, Mistake};
use crate::text::shortened;

/// How a field's type is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As the schema says.
    Exact,
    /// A number may come as a string and a string as a number: for messages that must not be lost.
    Lenient,
}

/// The fields of one JSON object, still as text.
pub(crate) struct Fields<'a> {
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
    manner: Manner,
}

impl<'a> Fields<'a> {
    /// Takes the object apart, one level deep.
    pub(crate) fn of(payload: &'a RawValue, manner: Manner) -> Result<Self, Mistake> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry::<FieldName<'de>, &'de RawValue>()? {
                    fields.push((field.0.0, field.1));
                }
                Ok(fields)
            }
        }
        let fields = serde_json::Deserializer::from_str(payload.get())
            .deserialize_map(Object)
            .map_err(|error| {
                Mistake::new(
                    CallErrorCode::FormationViolation,
                    format!("the payload cannot be read: {error}"),
                )
            })?;
        Ok(Self { fields, manner })
    }

    /// The field, unless it is absent or null.
    pub(crate) fn get(&self, name: &str) -> Result<Option<&'a RawValue>, Mistake> {
        let mut found = self
            .fields
            .iter()
            .filter(|(field, _)| field == name)
            .map(|(_, value)| *value);
        let first = found.next();
        if found.next().is_some() && self.manner == Manner::Exact {
            return Err(Mistake::new(
                CallErrorCode::OccurenceConstraintViolation,
                format!("{name} stands more than once"),
            ));
        }
        Ok(first.filter(|value| value.get() != "null"))
    }

    /// A string that may be absent.
    pub(crate) fn optional_string(&self, name: &str) -> Result<Option<String>, Mistake> {
        let Some(raw) = self.get(name)? else {
            return Ok(None);
        };
        match serde_json::from_str::<String>(raw.get()) {
            Ok(text) => Ok(Some(text)),
            Err(_) if self.manner == Manner::Lenient && is_number(raw) => {
                Ok(Some(raw.get().to_owned()))
            }
            Err(_) => Err(wrong_type(name, "a string", raw)),
        }
    }

    /// A string that must be there.
    pub(crate) fn string(&self, name: &str) -> Result<String, Mistake> {
        self.optional_string(name)?.ok_or_else(|| missing(name))
    }

    /// An integer that may be absent; `1.0` is one.
    pub(crate) fn optional_integer(&self, name: &str) -> Result<Option<i64>, Mistake> {
        let Some(raw) = self.get(name)? else {
            return Ok(None);
        };
        let text = match self.manner {
            Manner::Exact => raw.get(),
            Manner::Lenient => raw.get().trim_matches('"').trim(),
        };
        integer(text)
            .map(Some)
            .ok_or_else(|| wrong_type(name, "an integer", raw))
    }

    /// An integer that must be there.
    pub(crate) fn integer(&self, name: &str) -> Result<i64, Mistake> {
        self.optional_integer(name)?.ok_or_else(|| missing(name))
    }

    /// An array that must be there; what stands in it is not looked at.
    pub(crate) fn array(&self, name: &str) -> Result<&'a RawValue, Mistake> {
        let raw = self.get(name)?.ok_or_else(|| missing(name))?;
        if raw.get().starts_with('[') {
            Ok(raw)
        } else {
            Err(wrong_type(name, "an array", raw))
        }
    }
}

/// A name that is copied only if it holds escapes.
struct FieldName<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for FieldName<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl<'de> Visitor<'de> for Name {
            type Value = FieldName<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }

            fn visit_borrowed_str<E: serde::de::Error>(
                self,
                name: &'de str,
            ) -> Result<Self::Value, E> {
                Ok(FieldName(Cow::Borrowed(name)))
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
                Ok(FieldName(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Name)
    }
}

fn is_number(raw: &RawValue) -> bool {
    raw.get()
        .starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

fn integer(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let number: f64 = text.parse().ok()?;
    // Beyond 2^53 a float no longer says which integer is meant.
    let whole = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and within 2^53, as tested"
    )]
    whole.then_some(number as i64)
}

fn missing(name: &str) -> Mistake {
    Mistake::new(CallErrorCode::ProtocolError, format!("{name} is missing"))
}

fn wrong_type(name: &str, expected: &str, raw: &RawValue) -> Mistake {
    Mistake::new(
        CallErrorCode::TypeConstraintViolation,
        format!("{name} is not {expected}: {}", shortened(raw.get(), 40)),
    )
}
