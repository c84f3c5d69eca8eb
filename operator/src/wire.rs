//! The wire: one OCPP call to one station, paced with the fleet and guarded right before it leaves.
//!
//! In comes a payload; out goes what became of the call, or the reason why it was not sent. What is deliberately
//! absent: what keys mean, retries, and the order of calls, which are for [`crate::observe`] and [`crate::execute`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use uuid::Uuid;

use crate::audit::Audit;
use crate::clock;
use crate::connector::{Call, CallResult, Connector, Identity};
use crate::metrics::call_result;
use crate::pace::Pace;
use crate::trace;

/// How long a station may take to answer. In the field one second is usual and some answer after 20; those that hang
/// drop the line after 30.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest text of a station's that is passed on in a detail.
const MAX_DETAIL: usize = 200;

/// What the calls of all stations share.
pub struct Wire {
    /// The way to stations.
    pub connector: Arc<dyn Connector>,
    /// How fast the fleet is called.
    pub pace: Pace,
    /// Where calls that change a station are written down.
    pub audit: Audit,
    /// Our leadership (the Lease's transitions).
    pub epoch: u64,
    /// The limit for each answer.
    pub timeout: Duration,
    /// Is told of each call that was sent: its action, what became of it, and how long that took.
    pub meter: Option<Arc<Meter>>,
}

/// See [`Wire::meter`].
pub type Meter = dyn Fn(&'static str, &CallResult, Duration) + Send + Sync;

/// A call that is to be made.
#[derive(Clone, Debug)]
pub struct Request {
    /// The message id that the frame will carry.
    pub id: Uuid,
    action: &'static str,
    payload: Box<RawValue>,
    act: Act,
}

impl Request {
    /// A call that changes nothing.
    pub fn read(action: &'static str, payload: Box<RawValue>) -> Self {
        Self::new(action, payload, Act::Read)
    }

    /// A call that is meant to change the station.
    pub fn write(action: &'static str, payload: Box<RawValue>) -> Self {
        Self::new(action, payload, Act::Write)
    }

    fn new(action: &'static str, payload: Box<RawValue>, act: Act) -> Self {
        Self {
            // Random, so that ids never repeat over connections and restarts (OCPP-J 1.6, section 4.1.4).
            id: Uuid::new_v4(),
            action,
            payload,
            act,
        }
    }
}

/// What a call is for: the brake and a suspension may hold writes and let reads go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It changes nothing.
    Read,
    /// It is meant to change the station.
    Write,
}

/// Why a call may not be sent now, for people: leadership lost, the brake, a suspension, an audit that cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Stop(pub String);

/// Asked right before each frame leaves: leadership, brake and suspension may have changed since the plan was made.
pub type Guard<'a> = dyn Fn(Act) -> Result<(), Stop> + Send + Sync + 'a;

impl Wire {
    /// A wire without a limit on the pace, without an audit, for the leadership of a process that has no rivals.
    pub fn new(connector: Arc<dyn Connector>) -> Self {
        Self {
            connector,
            pace: Pace::unlimited(),
            audit: Audit::off(),
            epoch: 0,
            timeout: CALL_TIMEOUT,
            meter: None,
        }
    }

    /// Sends one call when the fleet's pace allows it, if the guard still does then.
    pub async fn call(
        &self,
        identity: &Identity,
        request: Request,
        guard: &Guard<'_>,
    ) -> Result<CallResult, Stop> {
        let Request {
            id,
            action,
            payload,
            act,
        } = request;
        self.pace.ready().await;
        guard(act)?;
        let call = Call {
            id,
            action,
            payload,
            timeout: self.timeout,
            epoch: self.epoch,
        };
        let (sent, started) = (Instant::now(), clock::now());
        let result = self.connector.call(identity, call).await;
        let took = sent.elapsed();
        if let Some(meter) = &self.meter {
            meter(action, &result, took);
        }
        let failed = !matches!(result, CallResult::Answer(_));
        trace::ended(action, started, failed, || {
            [
                ("stationkeeper.identity", identity.to_string()),
                ("stationkeeper.call_id", id.to_string()),
                ("stationkeeper.result", call_result(&result).to_owned()),
            ]
        });
        tracing::debug!(
            %identity,
            action,
            call_id = %id,
            result = call_result(&result),
            milliseconds = took.as_secs_f64() * 1000.0,
            "called a station"
        );
        Ok(result)
    }

    /// What went wrong with a call, for people. Where a secret may be in what the station said, only what cannot hold it
    /// is told.
    pub(crate) fn wrong(&self, result: &CallResult, secret: bool) -> Option<String> {
        let what = match result {
            CallResult::Answer(_) => return None,
            CallResult::CallError { code, .. } if secret => {
                stationkeeper_ocpp::error::CallErrorCode::read(code).map_or_else(
                    || "an unknown CALLERROR".to_owned(),
                    |code| code.to_string(),
                )
            }
            CallResult::CallError { code, description } if description.is_empty() => code.clone(),
            CallResult::CallError { code, description } => format!("{code}: {description}"),
            CallResult::TimedOut => format!("no answer within {} s", self.timeout.as_secs_f32()),
            CallResult::Disconnected => "the connection ended before the answer".to_owned(),
            CallResult::Garbled(_) if secret => "an answer that cannot be understood".to_owned(),
            CallResult::Garbled(what) => format!("an answer that cannot be understood: {what}"),
            CallResult::Offline => "not connected".to_owned(),
            CallResult::NotDelivered(why) => format!("not sent: {why}"),
        };
        Some(shortened(&what))
    }
}

/// At most so much of a station's text as a status or a log line can bear.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_DETAIL) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
