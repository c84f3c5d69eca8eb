//! Execute: the plan's changes, one at a time, each read back before the next → what became of them.
//!
//! In come changes in the order in which they are to be sent; out go an [`Outcome`] for each that left, and the changes
//! that certainly did not. What is deliberately absent: which changes to make, whether to try again, and what an outcome
//! means for memory and status.
//!
//! | the station | so |
//! |---|---|
//! | answers Accepted, RebootRequired, or an error that says nothing of the value | the key is read back |
//! | answers Rejected or NotSupported | nothing is read: it says that it stored nothing, and the pass ends with a closing read |
//! | answers Rejected, and there is another word for the same value | read, and if it does not show the value, the other word is tried once |
//! | does not answer | the pass ends: nobody knows what the station did, so it is read before anything else is written |
//! | drops the line | the pass ends |
//! | is expected to drop the line | no read-back, and nothing after it |

use secrecy::{ExposeSecret, SecretString};
use stationkeeper_core::memory::{Answer, RememberedValue};
use stationkeeper_core::observed::Reading;
use stationkeeper_core::outcome::Outcome;
use stationkeeper_core::plan::Change;
use stationkeeper_core::value::equal;
use stationkeeper_core::words::SecretVersion;
use stationkeeper_ocpp::error::CallErrorCode;
use stationkeeper_ocpp::request::{ChangeStatus, change_configuration, get_configuration};
use uuid::Uuid;

use crate::audit::Entry;
use crate::clock;
use crate::connector::{CallResult, Identity};
use crate::observe;
use crate::secret_cache::SecretCache;
use crate::trace;

pub use crate::wire::{Act, Guard, Request, Stop, Wire};

/// The station that is written, as the audit names it.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Namespace of the `ChargeStation`.
    pub namespace: &'a str,
    /// Name of the `ChargeStation`.
    pub station: &'a str,
    /// The string with which it connects.
    pub identity: &'a Identity,
}

/// Finds the value of a secret that a plan names by its version only.
pub trait SecretLookup: Send + Sync {
    /// The value; `None`: it is not at hand, and the change is not sent.
    fn value(&self, version: &SecretVersion) -> Option<SecretString>;
}

impl<F: Fn(&SecretVersion) -> Option<SecretString> + Send + Sync> SecretLookup for F {
    fn value(&self, version: &SecretVersion) -> Option<SecretString> {
        self(version)
    }
}

impl SecretLookup for SecretCache {
    fn value(&self, version: &SecretVersion) -> Option<SecretString> {
        Self::value(self, version)
    }
}

/// What became of the changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executed {
    /// One for each change that was sent, in order.
    pub outcomes: Vec<Outcome>,
    /// The changes that were certainly not sent, in order.
    pub unsent: Vec<Change>,
    /// Why the pass ended early, if it did.
    pub halted: Option<Halted>,
    /// Calls that were sent, read-backs included.
    pub calls: u32,
}

/// Why the changes after some point were not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halted {
    /// The guard or the audit said no.
    #[error("{0}")]
    Stopped(Stop),
    /// The station is not connected.
    #[error("the station is not connected")]
    Offline,
    /// The call was not sent.
    #[error("the call was not sent: {0}")]
    NotDelivered(String),
    /// A call was not answered.
    #[error("the station did not answer; it is read again before anything else is written")]
    NoAnswer,
    /// The connection ended during a call.
    #[error("the connection ended during a call")]
    Disconnected,
    /// A change that is expected to end the connection was sent; it stands alone.
    #[error("a change was sent that is expected to end the connection")]
    ExpectsDisconnect,
}

/// Sends changes. `on_outcome` is told of each as soon as its fate is known.
pub async fn execute(
    wire: &Wire,
    target: Target<'_>,
    changes: &[Change],
    secrets: &dyn SecretLookup,
    guard: &Guard<'_>,
    on_outcome: &mut (dyn FnMut(&Outcome) + Send),
) -> Executed {
    let mut pass = Pass {
        wire,
        target,
        guard,
        calls: 0,
    };
    let mut executed = Executed::default();
    for change in changes {
        if executed.halted.is_some() {
            executed.unsent.push(change.clone());
            continue;
        }
        let value = match &change.value {
            RememberedValue::Plain(value) => SecretString::from(value.as_str()),
            RememberedValue::Secret(version) => match secrets.value(version) {
                Some(value) => value,
                None => {
                    tracing::info!(station = target.station, key = %change.key, "the Secret has changed since the plan was made");
                    executed.unsent.push(change.clone());
                    continue;
                }
            },
        };
        let (outcome, halted) = pass.change(change, value.expose_secret()).await;
        executed.halted = halted;
        match outcome {
            Some(outcome) => {
                on_outcome(&outcome);
                executed.outcomes.push(outcome);
            }
            None => executed.unsent.push(change.clone()),
        }
    }
    executed.calls = pass.calls;
    executed
}

struct Pass<'a> {
    wire: &'a Wire,
    target: Target<'a>,
    guard: &'a Guard<'a>,
    calls: u32,
}

/// What became of one write.
struct Written {
    answer: Answer,
    detail: Option<String>,
    disconnected: bool,
}

impl Written {
    /// Does the pass end here, whatever a read-back would say?
    fn halts(&self, change: &Change) -> Option<Halted> {
        match self.answer {
            Answer::NoAnswer if self.disconnected => Some(Halted::Disconnected),
            Answer::NoAnswer | Answer::Intended => Some(Halted::NoAnswer),
            Answer::Rejected | Answer::NotSupported => None,
            Answer::Accepted | Answer::RebootRequired | Answer::Error => change
                .expect_disconnect
                .then_some(Halted::ExpectsDisconnect),
        }
    }
}

impl Pass<'_> {
    /// One change; no outcome if it was certainly not sent.
    async fn change(&mut self, change: &Change, value: &str) -> (Option<Outcome>, Option<Halted>) {
        let mut written = match self.write(change, value).await {
            Ok(written) => written,
            Err(halted) => return (None, Some(halted)),
        };
        let mut halted = None;
        let mut read_back = None;
        if written.answer == Answer::Rejected
            && change.readable
            && let Some(alternative) = &change.alternative
        {
            (read_back, halted) = self.read_back(change).await;
            let shown = read_back.as_ref().and_then(Reading::value);
            // It may have stored what it rejected; an equal value is never written.
            let is_there = shown.is_some_and(|shown| {
                shown == alternative || equal(&change.definition, shown, value)
            });
            if halted.is_none() && !is_there {
                match self.write(change, alternative).await {
                    Ok(second) => written = second,
                    Err(unsent) => halted = Some(unsent),
                }
            }
        }
        halted = halted.or_else(|| written.halts(change));
        let worth_reading = match written.answer {
            Answer::Accepted | Answer::RebootRequired | Answer::Error => true,
            Answer::Intended | Answer::Rejected | Answer::NotSupported | Answer::NoAnswer => false,
        };
        if worth_reading && change.readable && halted.is_none() {
            (read_back, halted) = self.read_back(change).await;
        }
        let fell = matches!(
            read_back,
            Some(Reading::Failed {
                disconnected: true,
                ..
            })
        );
        let outcome = Outcome {
            change: change.clone(),
            answer: written.answer,
            detail: written.detail,
            disconnected: written.disconnected || fell,
            read_back,
            at: clock::now(),
        };
        (Some(outcome), halted)
    }

    /// One ChangeConfiguration, and its line in the audit. An error: it was certainly not sent.
    async fn write(&mut self, change: &Change, value: &str) -> Result<Written, Halted> {
        let started = clock::now();
        self.wire
            .audit
            .ready()
            .await
            .map_err(|error| Halted::Stopped(Stop(error.to_string())))?;
        let payload = change_configuration(change.spelling.as_str(), value);
        let request = Request::write("ChangeConfiguration", payload);
        let id = request.id;
        let Target { identity, .. } = self.target;
        let called = self.wire.call(identity, request, self.guard).await;
        let secret = matches!(change.value, RememberedValue::Secret(_));
        let written = match called.map_err(Halted::Stopped)? {
            CallResult::Offline => return Err(Halted::Offline),
            CallResult::NotDelivered(why) => return Err(Halted::NotDelivered(why)),
            result => written(self.wire, &result, secret),
        };
        self.calls += 1;
        let failed = !matches!(written.answer, Answer::Accepted | Answer::RebootRequired);
        trace::ended("change", started, failed, || {
            [
                ("stationkeeper.key", change.spelling.to_string()),
                ("stationkeeper.config", change.config.to_string()),
                ("stationkeeper.generation", change.generation.to_string()),
                ("stationkeeper.answer", format!("{:?}", written.answer)),
                ("stationkeeper.call_id", id.to_string()),
            ]
        });
        self.audit(id, change, (!secret).then_some(value), &written)
            .await;
        Ok(written)
    }

    /// An error is told by the audit itself, and holds the next write.
    async fn audit(&self, id: Uuid, change: &Change, value: Option<&str>, written: &Written) {
        let call_id = id.to_string();
        tracing::info!(
            namespace = self.target.namespace,
            station = self.target.station,
            key = %change.spelling,
            config = %change.config,
            answer = ?written.answer,
            call_id,
            "changed a key"
        );
        let entry = Entry {
            time: clock::now(),
            namespace: self.target.namespace,
            station: self.target.station,
            identity: self.target.identity.as_str(),
            action: "ChangeConfiguration",
            key: change.spelling.as_str(),
            old: change.before.as_deref().filter(|_| value.is_some()),
            new: value,
            config: change.config.to_string(),
            generation: change.generation,
            answer: written.answer,
            detail: written.detail.as_deref(),
            call_id,
            trace_id: trace::id(),
        };
        let _ = self.wire.audit.record(&entry).await;
    }

    /// Reads the changed key by name. A reading that could not be made is `Failed`; none: it was not asked for.
    async fn read_back(&mut self, change: &Change) -> (Option<Reading>, Option<Halted>) {
        let secret = matches!(change.value, RememberedValue::Secret(_));
        let name = change.spelling.as_str();
        let Target { identity, .. } = self.target;
        let request = Request::read("GetConfiguration", get_configuration([name]));
        let called = self.wire.call(identity, request, self.guard).await;
        let result = match called {
            Ok(CallResult::Offline) => return (None, Some(Halted::Offline)),
            Ok(CallResult::NotDelivered(why)) => return (None, Some(Halted::NotDelivered(why))),
            Ok(result) => result,
            Err(stop) => return (None, Some(Halted::Stopped(stop))),
        };
        self.calls += 1;
        let (disconnected, halted) = match result {
            CallResult::Disconnected => (true, Some(Halted::Disconnected)),
            CallResult::TimedOut => (false, Some(Halted::NoAnswer)),
            CallResult::Answer(_)
            | CallResult::CallError { .. }
            | CallResult::Garbled(_)
            | CallResult::Offline
            | CallResult::NotDelivered(_) => (false, None),
        };
        let reading = match observe::understood(self.wire, &result, secret) {
            Ok(answer) => observe::reading(name, secret, &[name].into(), &answer)
                .unwrap_or(Reading::Unreported),
            Err(what) => Reading::Failed {
                what,
                disconnected,
                at: clock::now(),
            },
        };
        (Some(reading), halted)
    }
}

/// What an answer to ChangeConfiguration says of the value. Whether an error is about the value decides between waiting
/// for a change of ours and trying again (OCPP-J 1.6, section 4.2.3).
fn written(wire: &Wire, result: &CallResult, secret: bool) -> Written {
    let detail = wire.wrong(result, secret);
    let (answer, detail) = match result {
        CallResult::Answer(payload) => match ChangeStatus::read(payload) {
            Ok(ChangeStatus::Accepted) => (Answer::Accepted, None),
            Ok(ChangeStatus::RebootRequired) => (Answer::RebootRequired, None),
            Ok(ChangeStatus::Rejected) => (Answer::Rejected, None),
            Ok(ChangeStatus::NotSupported) => (Answer::NotSupported, None),
            Ok(ChangeStatus::Other(_)) | Err(_) if secret => {
                (Answer::Error, Some("an unknown status".to_owned()))
            }
            Ok(ChangeStatus::Other(status)) => {
                (Answer::Error, Some(format!("unknown status {status:?}")))
            }
            Err(bad) => (
                Answer::Error,
                Some(crate::wire::shortened(&bad.to_string())),
            ),
        },
        CallResult::CallError { code, .. } => {
            let answer = match CallErrorCode::read(code) {
                Some(CallErrorCode::NotImplemented | CallErrorCode::NotSupported) => {
                    Answer::NotSupported
                }
                Some(code) if code.is_about_content() => Answer::Rejected,
                Some(_) | None => Answer::Error,
            };
            (answer, detail)
        }
        CallResult::Garbled(_) => (Answer::Error, detail),
        CallResult::TimedOut
        | CallResult::Disconnected
        | CallResult::Offline
        | CallResult::NotDelivered(_) => (Answer::NoAnswer, detail),
    };
    Written {
        answer,
        detail,
        disconnected: matches!(result, CallResult::Disconnected),
    }
}
