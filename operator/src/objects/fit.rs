//! Fit: a status → the same status as its schema admits it.
//!
//! A station decides what it reports, and the API server refuses a status that breaks a bound, as a whole and for
//! ever. So what is too long is cut here, with an ellipsis, before it is published. What must not be cut, because it may
//! be written to a station one day, is left out instead. Of a status that fits nothing is made.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fits::fits;
use super::schema::Kind;
use super::{ChargeStationConfigStatus, ChargeStationStatus, KeyCatalogueStatus};

/// What is published instead of the status of a station; `None`: it fits.
pub fn station(status: &ChargeStationStatus) -> Option<ChargeStationStatus> {
    fit(Kind::ChargeStation, status)
}

/// What is published instead of the status of a config; `None`: it fits.
pub fn config(status: &ChargeStationConfigStatus) -> Option<ChargeStationConfigStatus> {
    fit(Kind::ChargeStationConfig, status)
}

/// What is published instead of the status of a catalogue; `None`: it fits.
pub fn catalogue(status: &KeyCatalogueStatus) -> Option<KeyCatalogueStatus> {
    fit(Kind::KeyCatalogue, status)
}

fn fit<S: Serialize + DeserializeOwned>(kind: Kind, status: &S) -> Option<S> {
    if fits(kind, status) {
        return None;
    }
    let mut value =
        serde_json::to_value(status).expect("a status is plain data with strings as map keys");
    let status_schema = &kind.schema()["properties"]["status"];
    match cut(status_schema, &mut value, &At::of("status")) {
        Fit::AsItWas => None,
        Fit::Cut | Fit::Refused => {
            Some(serde_json::from_value(value).expect("a status with less in it is still one"))
        }
    }
}

/// What came of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    AsItWas,
    Cut,
    /// It does not fit and cannot be cut: whoever holds it leaves it out if it can.
    Refused,
}

/// A value that Restore writes back: cut, it would be another value.
const ORIGINAL: [&str; 5] = ["original", "{}", "keys", "memory", "status"];

/// Where a value stands: its name, and what it stands in. No text is made of it, since nearly every status fits.
struct At<'a> {
    name: &'a str,
    within: Option<&'a Self>,
}

impl<'a> At<'a> {
    fn of(name: &'a str) -> Self {
        Self { name, within: None }
    }

    fn below(&'a self, name: &'a str) -> Self {
        Self {
            name,
            within: Some(self),
        }
    }

    /// Is it the path with these names, the innermost first?
    fn is(&self, names: &[&str]) -> bool {
        let outward = std::iter::successors(Some(self), |at| at.within);
        outward.map(|at| at.name).eq(names.iter().copied())
    }
}

fn cut(schema: &Value, value: &mut Value, at: &At<'_>) -> Fit {
    match value {
        Value::String(text) => cut_text(schema, text),
        Value::Array(items) => {
            let mut fit = Fit::AsItWas;
            let most = schema["maxItems"]
                .as_u64()
                .and_then(|most| usize::try_from(most).ok());
            if let Some(most) = most
                && items.len() > most
            {
                items.truncate(most);
                fit = Fit::Cut;
            }
            for item in items {
                if cut(&schema["items"], item, &at.below("[]")) != Fit::AsItWas {
                    fit = Fit::Cut;
                }
            }
            fit
        }
        Value::Object(fields) => {
            let mut fit = Fit::AsItWas;
            let mut left_out = Vec::new();
            for (name, value) in fields.iter_mut() {
                let (schema, at) = match schema.get("additionalProperties") {
                    Some(values) => (values, at.below("{}")),
                    None => (&schema["properties"][name], at.below(name)),
                };
                match cut(schema, value, &at) {
                    Fit::AsItWas => {}
                    Fit::Cut => {
                        fit = Fit::Cut;
                        if at.is(&ORIGINAL) {
                            left_out.push(name.clone());
                        }
                    }
                    Fit::Refused => {
                        fit = Fit::Cut;
                        left_out.push(name.clone());
                    }
                }
            }
            let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
            for name in left_out {
                if required.iter().any(|field| *field == name) {
                    return Fit::Refused;
                }
                fields.remove(&name);
            }
            fit
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Fit::AsItWas,
    }
}

fn cut_text(schema: &Value, text: &mut String) -> Fit {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let known = values.iter().any(|value| value == text.as_str());
        return if known { Fit::AsItWas } else { Fit::Refused };
    }
    let most = schema["maxLength"]
        .as_u64()
        .and_then(|most| usize::try_from(most).ok());
    let Some(most) = most else {
        return Fit::AsItWas;
    };
    // Bytes are at least as many as characters.
    if text.len() <= most || text.chars().count() <= most {
        return Fit::AsItWas;
    }
    *text = text
        .chars()
        .take(most.saturating_sub(1))
        .chain(['…'])
        .collect();
    Fit::Cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::ReportedHardware;
    use crate::objects::check::breaks_schema;
    use stationkeeper_core::memory::{KeyMemory, Memory, Original};
    use stationkeeper_core::state::{Reason, State};
    use stationkeeper_core::status::Deviation;
    use stationkeeper_core::words::{ConfigRef, Key};

    fn deviation(text: &str) -> Deviation {
        Deviation {
            key: Key::from("WebSocketPingInterval"),
            state: State::Drifted,
            reason: Reason::ChangedOutside,
            message: text.to_owned(),
            desired: Some(text.to_owned()),
            observed: Some(text.to_owned()),
            config: "north/baseline".to_owned(),
        }
    }

    fn original(value: &str) -> Memory {
        let original = Original {
            value: Some(value.to_owned()),
            config: ConfigRef {
                namespace: "north".into(),
                name: "baseline".into(),
            },
            restore: true,
            consent: Vec::new(),
        };
        let key = KeyMemory {
            original: Some(original),
            ..KeyMemory::default()
        };
        Memory {
            keys: [(Key::from("LightIntensity"), key)].into(),
            ..Memory::default()
        }
    }

    #[test]
    fn what_a_hostile_station_reports_fits_after_cutting() {
        let long = "ä".repeat(10_000);
        let status = ChargeStationStatus {
            hardware: Some(ReportedHardware {
                vendor: Some(long.clone()),
                ..ReportedHardware::default()
            }),
            registration: Some("Perhaps".to_owned()),
            deviations: vec![deviation(&long); 80],
            memory: Some(original(&long)),
            ..ChargeStationStatus::default()
        };
        assert!(!breaks_schema(Kind::ChargeStation, &status).is_empty());
        let fitted = station(&status).unwrap();
        assert_eq!(breaks_schema(Kind::ChargeStation, &fitted), []);
        assert_eq!(fitted.deviations.len(), 50);
        assert_eq!(fitted.registration, None);
        assert!(fitted.hardware.unwrap().vendor.unwrap().ends_with('…'));
    }

    #[test]
    fn a_value_that_would_be_restored_is_forgotten_rather_than_cut() {
        let status = ChargeStationStatus {
            memory: Some(original(&"a".repeat(3000))),
            ..ChargeStationStatus::default()
        };
        let memory = station(&status).unwrap().memory.unwrap();
        assert_eq!(memory.keys[&Key::from("LightIntensity")].original, None);
    }

    #[test]
    fn of_a_status_that_fits_nothing_is_made() {
        let status = ChargeStationStatus {
            deviations: vec![deviation("60 instead of 30")],
            memory: Some(original("60")),
            ..ChargeStationStatus::default()
        };
        assert_eq!(station(&status), None);
    }

    #[test]
    fn what_is_looked_at_fits_just_when_nothing_would_be_cut() {
        let check = |status: &ChargeStationStatus| {
            let schema = &Kind::ChargeStation.schema()["properties"]["status"];
            let mut value = serde_json::to_value(status).unwrap();
            let kept = cut(schema, &mut value, &At::of("status")) == Fit::AsItWas;
            assert_eq!(fits(Kind::ChargeStation, status), kept, "{status:?}");
            kept
        };
        let mut kept = 0;
        for length in (0..24)
            .map(|power| 1_usize << (power / 2))
            .map(|half| half * 3 / 2)
        {
            for text in ["a".repeat(length), "ä".repeat(length)] {
                let whole = ChargeStationStatus::default();
                let all = [
                    ChargeStationStatus {
                        registration: Some(text.clone()),
                        ..whole.clone()
                    },
                    ChargeStationStatus {
                        deviations: vec![deviation(&text)],
                        ..whole.clone()
                    },
                    ChargeStationStatus {
                        deviations: vec![deviation("60"); length.min(90)],
                        ..whole.clone()
                    },
                    ChargeStationStatus {
                        resolved_hash: Some(text.clone()),
                        ..whole.clone()
                    },
                    ChargeStationStatus {
                        memory: Some(original(&text)),
                        ..whole
                    },
                ];
                kept += all.iter().filter(|status| check(status)).count();
            }
        }
        assert!((20..220).contains(&kept), "both must occur: {kept}");
    }
}
