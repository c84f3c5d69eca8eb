//! A scripted station behind the connector's contract, and short words for reading it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::value::RawValue;
use serde_json::{Value, json};
use stationkeeper::connector::{
    Call, CallResult, Connector, Identity, Pending, Presence, StationEvent,
};
use stationkeeper::execute::Wire;
use stationkeeper::observe::{Ask, Observation, Pieces, observe};
use stationkeeper_core::observed::Reading;
use stationkeeper_core::station::Capabilities;
use stationkeeper_core::words::{Device, Key};

/// What a station does about a call.
type Habit = dyn FnMut(&str, &Value) -> CallResult + Send;

/// A station that is a function, and a record of what it was asked.
pub(crate) struct Scripted {
    habit: Mutex<Box<Habit>>,
    calls: Mutex<Vec<(&'static str, Value)>>,
    ids: Mutex<Vec<String>>,
    in_flight: AtomicU32,
}

impl Scripted {
    pub(crate) fn new(habit: impl FnMut(&str, &Value) -> CallResult + Send + 'static) -> Arc<Self> {
        Arc::new(Self {
            habit: Mutex::new(Box::new(habit)),
            calls: Mutex::default(),
            ids: Mutex::default(),
            in_flight: AtomicU32::new(0),
        })
    }

    pub(crate) fn calls(&self) -> Vec<(&'static str, Value)> {
        self.calls.lock().unwrap().clone()
    }

    /// The message ids of the calls with this action.
    pub(crate) fn ids_of(&self, action: &str) -> Vec<String> {
        let (calls, ids) = (self.calls(), self.ids.lock().unwrap());
        let of_action = calls.iter().zip(ids.iter());
        of_action
            .filter(|((of, _), _)| *of == action)
            .map(|(_, id)| id.clone())
            .collect()
    }

    /// The names that each GetConfiguration asked for.
    pub(crate) fn asked(&self) -> Vec<Vec<String>> {
        let names = |(action, payload): (&str, Value)| {
            (action == "GetConfiguration").then(|| names(&payload))
        };
        self.calls().into_iter().filter_map(names).collect()
    }

    /// How many names each GetConfiguration asked for.
    pub(crate) fn pieces(&self) -> Vec<usize> {
        self.asked().iter().map(Vec::len).collect()
    }

    /// Every write, as `key=value`, and every read-back, as the key.
    pub(crate) fn story(&self) -> Vec<String> {
        let tell = |(action, payload): (&str, Value)| match action {
            "ChangeConfiguration" => format!(
                "{}={}",
                payload["key"].as_str().unwrap(),
                payload["value"].as_str().unwrap()
            ),
            _ => names(&payload).join(","),
        };
        self.calls().into_iter().map(tell).collect()
    }
}

impl Connector for Scripted {
    fn capabilities(&self, _: &Identity) -> Capabilities {
        Capabilities {
            read: true,
            write: true,
            reset: false,
            boot_events: true,
            transaction_state: true,
        }
    }

    fn presence(&self, _: &Identity) -> Option<Presence> {
        None
    }

    fn call<'a>(&'a self, _: &'a Identity, call: Call) -> Pending<'a, CallResult> {
        Box::pin(async move {
            assert_eq!(
                self.in_flight.fetch_add(1, Ordering::SeqCst),
                0,
                "two calls in flight"
            );
            tokio::task::yield_now().await;
            let payload: Value = serde_json::from_str(call.payload.get()).unwrap();
            self.calls
                .lock()
                .unwrap()
                .push((call.action, payload.clone()));
            self.ids.lock().unwrap().push(call.id.to_string());
            let result = self.habit.lock().unwrap()(call.action, &payload);
            if matches!(result, CallResult::TimedOut) {
                tokio::time::sleep(call.timeout).await;
            }
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            result
        })
    }

    fn remember(&self, _: &Identity, _: &Device, _: Option<&str>, _: Option<&str>) {}

    fn forget(&self, _: &Identity) {}

    fn announce_connectors(&self, _: &Identity, _: u32) {}

    fn disconnect(&self, _: &Identity) {}

    fn take_events(&self, _: &Identity) -> Vec<StationEvent> {
        Vec::new()
    }

    fn wake(&self) -> Pending<'_, Identity> {
        Box::pin(std::future::pending())
    }
}

pub(crate) fn names(payload: &Value) -> Vec<String> {
    payload["key"]
        .as_array()
        .expect("keys are asked for by name")
        .iter()
        .map(|key| key.as_str().unwrap().to_owned())
        .collect()
}

pub(crate) fn answer(payload: Value) -> CallResult {
    CallResult::Answer(RawValue::from_string(payload.to_string()).unwrap())
}

pub(crate) fn error(code: &str) -> CallResult {
    CallResult::CallError {
        code: code.to_owned(),
        description: "it is so".to_owned(),
    }
}

pub(crate) fn status(status: &str) -> CallResult {
    answer(json!({ "status": status }))
}

/// An honest station's key table.
#[derive(Clone)]
pub(crate) struct Table(pub(crate) BTreeMap<String, String>);

impl Table {
    pub(crate) fn of(keys: &[(&str, &str)]) -> Self {
        Self(
            keys.iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    /// `K0` … with a value each.
    pub(crate) fn large(count: usize) -> Self {
        Self(
            (0..count)
                .map(|n| (format!("K{n}"), n.to_string()))
                .collect(),
        )
    }

    pub(crate) fn get(&self, names: &[String]) -> CallResult {
        let known = |name: &String| {
            let entry = self
                .0
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name));
            entry
                .map(|(key, value)| json!({"key": key, "value": value, "readonly": false}))
                .ok_or_else(|| name.clone())
        };
        let (keys, unknown): (Vec<_>, Vec<_>) = names.iter().map(known).partition(Result::is_ok);
        let keys: Vec<Value> = keys.into_iter().flatten().collect();
        let unknown: Vec<String> = unknown.into_iter().filter_map(Result::err).collect();
        answer(json!({"configurationKey": keys, "unknownKey": unknown}))
    }

    /// Reads ignoring case, and writes only what is spelled exactly, as most firmware does.
    pub(crate) fn call(&mut self, action: &str, payload: &Value) -> CallResult {
        if action == "GetConfiguration" {
            return self.get(&names(payload));
        }
        match self.0.get_mut(payload["key"].as_str().unwrap()) {
            None => status("NotSupported"),
            Some(value) => {
                payload["value"].as_str().unwrap().clone_into(value);
                status("Accepted")
            }
        }
    }
}

/// Reconciles are spawned: what they call has to be able to move between threads.
pub(crate) fn sendable<F: Future + Send>(future: F) -> F {
    future
}

pub(crate) fn asks(count: usize) -> Vec<Ask> {
    (0..count)
        .map(|n| Ask::new(Key::new(format!("K{n}"))))
        .collect()
}

pub(crate) fn ask(keys: &[&str]) -> Vec<Ask> {
    keys.iter().map(|key| Ask::new(Key::from(*key))).collect()
}

pub(crate) fn of_size(station: usize) -> Pieces {
    Pieces {
        station: Some(station),
        catalogue: None,
        ..Pieces::default()
    }
}

pub(crate) async fn read(station: &Arc<Scripted>, asks: &[Ask], pieces: Pieces) -> Observation {
    let wire = Wire::new(station.clone());
    let seen = sendable(observe(&wire, &Identity::new("CP1"), asks, pieces, &|_| {
        Ok(())
    }))
    .await;
    assert_eq!(
        seen.calls as usize,
        station.calls().len(),
        "every call is counted"
    );
    seen
}

pub(crate) fn reading<'a>(seen: &'a Observation, key: &str) -> &'a Reading {
    seen.observed.readings.get(&Key::from(key)).expect(key)
}

pub(crate) fn known(spelling: &str, value: Option<&str>, readonly: Option<bool>) -> Reading {
    Reading::Known {
        spelling: Key::from(spelling),
        value: value.map(Into::into),
        readonly,
    }
}

pub(crate) fn values(seen: &Observation) -> usize {
    seen.observed
        .readings
        .values()
        .filter(|reading| reading.value().is_some())
        .count()
}
