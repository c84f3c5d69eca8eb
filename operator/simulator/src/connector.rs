//! The connectors of a station and the charging sessions on them.
//!
//! In come what drivers and the CSMS do; out come the payloads of StatusNotification, StartTransaction and
//! StopTransaction. When they are sent is decided in `device.rs`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

/// The connectors of a station, numbered from 1, and the sessions on them.
#[derive(Clone, Debug)]
pub(crate) struct Connectors {
    states: Vec<&'static str>,
    /// By a number of the station's own, since the CSMS gives its number late, or never.
    sessions: BTreeMap<u64, Session>,
    next: u64,
}

#[derive(Clone, Debug)]
struct Session {
    connector: u16,
    id_tag: String,
    began: Timestamp,
    /// The CSMS's number, once it has told it.
    transaction: Option<i64>,
    ended: Option<(&'static str, Timestamp)>,
}

/// What is told as the meter's reading when a session ends, in Wh: sessions are not simulated further.
const ENERGY_OF_A_SESSION: i64 = 1_500;

/// The transaction of a session whose start was never answered: no CSMS gives this number.
const NO_TRANSACTION: i64 = -1;

impl Connectors {
    pub(crate) fn new(count: u16) -> Self {
        Self {
            states: vec!["Available"; usize::from(count)],
            sessions: BTreeMap::new(),
            next: 1,
        }
    }

    pub(crate) fn count(&self) -> u16 {
        u16::try_from(self.states.len()).unwrap_or(u16::MAX)
    }

    /// Sets the state of a connector; 0 is the station as a whole. `false`: no such connector.
    pub(crate) fn set(&mut self, connector: u16, state: &'static str) -> bool {
        match self.states.get_mut(usize::from(connector).wrapping_sub(1)) {
            Some(own) => *own = state,
            None => return false,
        }
        true
    }

    fn state(&self, connector: u16) -> &'static str {
        self.states
            .get(usize::from(connector).wrapping_sub(1))
            .copied()
            .unwrap_or("Available")
    }

    /// Is somebody charging?
    pub(crate) fn charging(&self) -> bool {
        self.sessions
            .values()
            .any(|session| session.ended.is_none())
    }

    /// A session begins on a connector that has none: its number.
    pub(crate) fn begin(&mut self, connector: u16, id_tag: &str, time: Timestamp) -> Option<u64> {
        if self.open_on(connector).is_some() || !self.set(connector, "Charging") {
            return None;
        }
        let number = self.next;
        self.next += 1;
        let session = Session {
            connector,
            id_tag: id_tag.to_owned(),
            began: time,
            transaction: None,
            ended: None,
        };
        self.sessions.insert(number, session);
        Some(number)
    }

    /// The open session on a connector.
    pub(crate) fn open_on(&self, connector: u16) -> Option<u64> {
        let open = |(_, session): &(&u64, &Session)| {
            session.connector == connector && session.ended.is_none()
        };
        self.sessions.iter().find(open).map(|(number, _)| *number)
    }

    /// The open session to which the CSMS gave a number, and its connector.
    pub(crate) fn open_transaction(&self, transaction: i64) -> Option<(u64, u16)> {
        let open = |(_, session): &(&u64, &Session)| {
            session.transaction == Some(transaction) && session.ended.is_none()
        };
        self.sessions
            .iter()
            .find(open)
            .map(|(number, session)| (*number, session.connector))
    }

    /// The first connector that is free.
    pub(crate) fn free(&self) -> Option<u16> {
        (1..=self.count()).find(|&connector| {
            self.open_on(connector).is_none() && self.state(connector) != "Unavailable"
        })
    }

    /// The CSMS has told its number of a session.
    pub(crate) fn numbered(&mut self, session: u64, transaction: i64) -> Option<u16> {
        let session = self.sessions.get_mut(&session)?;
        session.transaction = Some(transaction);
        Some(session.connector)
    }

    /// A session ends.
    pub(crate) fn end(
        &mut self,
        session: u64,
        reason: &'static str,
        time: Timestamp,
    ) -> Option<u16> {
        let connector = {
            let session = self.sessions.get_mut(&session)?;
            session.ended = Some((reason, time));
            session.connector
        };
        self.set(connector, "Finishing");
        // Sessions that ended long ago have been told.
        while self.sessions.len() > 64 {
            self.sessions.pop_first();
        }
        Some(connector)
    }

    /// All sessions end, and every connector is free: the station boots.
    pub(crate) fn end_all(&mut self, reason: &'static str) -> Vec<u64> {
        for state in self
            .states
            .iter_mut()
            .filter(|state| **state != "Unavailable")
        {
            *state = "Available";
        }
        let open = self
            .sessions
            .iter_mut()
            .filter(|(_, session)| session.ended.is_none());
        open.map(|(number, session)| {
            session.ended = Some((reason, session.began));
            *number
        })
        .collect()
    }

    /// The payload of StatusNotification.
    pub(crate) fn status(&self, connector: u16, error: &str, time: Timestamp) -> String {
        let status = if error == "NoError" {
            self.state(connector)
        } else {
            "Faulted"
        };
        json!({"connectorId": connector, "errorCode": error, "status": status, "timestamp": shown(time)}).to_string()
    }

    /// The payload of StartTransaction.
    pub(crate) fn start(&self, session: u64) -> String {
        let Some(session) = self.sessions.get(&session) else {
            return "{}".to_owned();
        };
        json!({
            "connectorId": session.connector,
            "idTag": session.id_tag,
            "meterStart": 0,
            "timestamp": shown(session.began),
        })
        .to_string()
    }

    /// The payload of StopTransaction.
    pub(crate) fn stop(&self, session: u64) -> String {
        let Some(session) = self.sessions.get(&session) else {
            return "{}".to_owned();
        };
        let (reason, time) = session.ended.unwrap_or(("Other", session.began));
        json!({
            "transactionId": session.transaction.unwrap_or(NO_TRANSACTION),
            "idTag": session.id_tag,
            "meterStop": ENERGY_OF_A_SESSION,
            "timestamp": shown(time),
            "reason": reason,
        })
        .to_string()
    }
}

/// Seconds, in UTC: what every CSMS can read.
fn shown(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second())
        .unwrap_or(time)
        .to_string()
}
