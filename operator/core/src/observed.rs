//! Observed: what the station reported, as it reported it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::words::{Key, Text};

/// What the station reported, by the key as *asked* (canonical spelling).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// One reading for each key that was asked.
    pub readings: BTreeMap<Key, Reading>,
    /// The station's event counter ([`crate::memory::Memory::event`]) when the *oldest* of the readings was made.
    pub at_event: u64,
    /// Why the last read ended before it came to the keys that have no reading, for people; `None`: it did not.
    pub ended: Option<String>,
}

/// What came of asking for one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// In `configurationKey`.
    Known {
        /// The station's own spelling of the key; writes use it.
        spelling: Key,
        /// `value`; absent is not empty. Never a secret in the clear: the reader replaces the value of a key of type
        /// Secret by `None`.
        value: Option<Text>,
        /// `readonly`, if the station said it in a way that can be understood.
        readonly: Option<bool>,
    },
    /// In `unknownKey`.
    Unknown,
    /// In neither list.
    Unreported,
    /// Several keys of the answer differ from the asked one only by case, and none is exact.
    Ambiguous {
        /// The spellings that were found.
        spellings: Vec<Key>,
    },
    /// The call failed for this key alone, after halving; read again later.
    Failed {
        /// What was seen, for people.
        what: String,
        /// Did the connection end on this call?
        disconnected: bool,
        /// When: the next try comes after a pause.
        at: Timestamp,
    },
}

impl Reading {
    /// The value, if the station gave one.
    pub fn value(&self) -> Option<&str> {
        self.text().map(Text::as_str)
    }

    /// The same, to be shared.
    pub(crate) fn text(&self) -> Option<&Text> {
        match self {
            Self::Known { value, .. } => value.as_ref(),
            Self::Unknown | Self::Unreported | Self::Ambiguous { .. } | Self::Failed { .. } => None,
        }
    }
}

impl Observed {
    /// The readings of these keys, one for each. The keys are sorted, as the readings are, so that both are walked
    /// along once instead of searched many times.
    pub(crate) fn along<'a, 'k>(
        &'a self,
        keys: impl Iterator<Item = &'k Key>,
    ) -> Vec<Option<&'a Reading>> {
        let mut readings = self.readings.iter().peekable();
        keys.map(|key| {
            while readings.next_if(|(read, _)| *read < key).is_some() {}
            readings
                .next_if(|(read, _)| *read == key)
                .map(|(_, reading)| reading)
        })
        .collect()
    }
}
