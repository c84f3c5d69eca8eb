//! Patterns: regular expressions that a whole value must match. Matching is linear in time, whatever the expression.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A regular expression that a whole value must match, compiled once.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    compiled: Arc<regex_lite::Regex>,
}

impl Pattern {
    /// Compiles an expression; the whole value has to match it.
    pub fn new(text: impl Into<String>) -> Result<Self, regex_lite::Error> {
        let text = text.into();
        // The bound keeps an expression from a KeyCatalogue from taking more memory than a key is worth.
        let compiled = regex_lite::RegexBuilder::new(&format!("^(?:{text})$"))
            .size_limit(1 << 18)
            .build()?;
        Ok(Self {
            text,
            compiled: compiled.into(),
        })
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Does the whole value match?
    pub fn matches(&self, value: &str) -> bool {
        self.compiled.is_match(value)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl JsonSchema for Pattern {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

impl Serialize for Pattern {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(text).map_err(|error| {
            serde::de::Error::custom(format!("this pattern cannot be read: {error}"))
        })
    }
}
