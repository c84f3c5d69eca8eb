//! What a station's calls are answered, as the Central System that we are.
//!
//! | call | without `--authorize` | with it |
//! | --- | --- | --- |
//! | BootNotification | Pending | Accepted (Pending with the bootstrap credential) |
//! | Authorize | SecurityError (OCPP-J errata sheet 2025-04, section 3.10) | from the policy |
//! | StartTransaction, StopTransaction, MeterValues of one | left unanswered, so that the station keeps it | CALLRESULT once it is stored, else the socket is closed |
//! | any other notification | taken note of | taken note of |
//!
//! A held station must not send messages about transactions (OCPP 1.6 edition 2, section 4.2). One that does so all the
//! same has them in its queue: a CALLERROR would make it drop them in the end (section 3.7.1), and closing the socket
//! would keep us from configuring it; without an answer it keeps them for the Central System that accepts it.
//! All other calls are answered whatever the registration, since a station may reconnect without a BootNotification
//! (OCPP-J 1.6, section 5.4) and may have been accepted before this process began.

use serde_json::value::RawValue;
use stationkeeper_core::words::Device;
use stationkeeper_ocpp::answer::{self, IdTagInfo, Registration};
use stationkeeper_ocpp::error::{CallErrorCode, Mistake};
use stationkeeper_ocpp::frame;
use stationkeeper_ocpp::station_call::{
    Action, BootNotification, FirmwareStatus, StationCall, StatusNotification, StopTransaction,
    UploadStatus,
};
use tokio::time::Instant;

use super::Shared;
use super::journal::{Entry, Journal};
use super::station::{Booted, Station};
use crate::clock;

/// What is to be done about a call.
pub(super) enum Answer {
    /// Send this.
    Text(String),
    /// Send this, then note the boot.
    Boot(String, Box<Booted>),
    /// Say nothing.
    Silence,
    /// Close the connection: a transaction could not be stored.
    Close,
}

/// Longer names of a device than this are cut: they go into objects.
const MAX_NAME: usize = 255;

/// Answers one call of a station.
pub(super) async fn answer(
    shared: &Shared,
    station: &Station,
    session: u64,
    id: &str,
    action: &str,
    payload: &RawValue,
) -> Answer {
    let known = Action::read(action);
    let call = match StationCall::parse(action, payload) {
        Ok(call) => call,
        Err(mistake) => {
            return refuse(
                shared,
                station,
                session,
                Call { id, known, payload },
                mistake,
            )
            .await;
        }
    };
    shared.metrics.station_called(known, false);
    let Some(known) = known else {
        return Answer::Silence;
    };
    let at_rest = Instant::now() + shared.settings.limits.settle;
    let result = match call {
        StationCall::Authorize { id_tag } => match &shared.policy {
            None => {
                return held(
                    id,
                    "this Central System does not authorize: the station is held Pending",
                );
            }
            Some(policy) => answer::authorize(&policy.of(&id_tag, clock::now())),
        },
        StationCall::BootNotification(boot) => return booted(shared, station, session, id, *boot),
        StationCall::DataTransfer { vendor_id: _ } => answer::UNKNOWN_VENDOR.to_owned(),
        StationCall::DiagnosticsStatusNotification { status }
        | StationCall::LogStatusNotification { status } => {
            let told =
                station.uploading(session, status == UploadStatus::Uploading, Instant::now());
            shared.tell(station, told);
            answer::EMPTY.to_owned()
        }
        StationCall::FirmwareStatusNotification { status }
        | StationCall::SignedFirmwareStatusNotification { status } => {
            let told =
                station.updating(session, status == FirmwareStatus::UnderWay, Instant::now());
            shared.tell(station, told);
            answer::EMPTY.to_owned()
        }
        StationCall::Heartbeat => answer::heartbeat(clock::now()),
        StationCall::SecurityEventNotification {
            kind,
            timestamp,
            tech_info,
        } => {
            let info = tech_info.unwrap_or_default();
            tracing::warn!(identity = %station.identity, event = kind, timestamp, info, "the station reports a security event");
            answer::EMPTY.to_owned()
        }
        StationCall::SignCertificate => answer::CERTIFICATE_REJECTED.to_owned(),
        StationCall::StatusNotification(StatusNotification { connector, status }) => {
            station.learn(session, |connectors| {
                connectors.status(connector, status, at_rest)
            });
            answer::EMPTY.to_owned()
        }
        StationCall::MeterValues(values) => {
            if let Some(transaction) = values.transaction.filter(|id| *id > 0) {
                station.learn(session, |connectors| {
                    connectors.opened(transaction, at_rest)
                });
            }
            if shared.journal.is_none() && values.transaction.is_none() {
                answer::EMPTY.to_owned()
            } else {
                let entry = entry(station, id, known, payload);
                match store(shared, station, entry).await {
                    Ok(_) => answer::EMPTY.to_owned(),
                    Err(instead) => return instead,
                }
            }
        }
        StationCall::StartTransaction(start) => {
            let info = charging(shared, &start.id_tag);
            let entry = Entry {
                id_tag_status: Some(info.status.as_str()),
                start: Some(start),
                ..entry(station, id, known, payload)
            };
            match store(shared, station, entry).await {
                Ok(transaction) => {
                    let transaction = transaction.unwrap_or(-1);
                    station.learn(session, |connectors| {
                        connectors.opened(transaction, at_rest)
                    });
                    answer::start_transaction(transaction, &info)
                }
                Err(instead) => {
                    station.learn(session, super::activity::Connectors::unclear);
                    return instead;
                }
            }
        }
        StationCall::StopTransaction(StopTransaction {
            transaction,
            id_tag,
            meter_stop: _,
            timestamp: _,
        }) => {
            station.learn(session, |connectors| {
                connectors.stopped(transaction, at_rest)
            });
            match store(shared, station, entry(station, id, known, payload)).await {
                Ok(_) => answer::stop_transaction(
                    id_tag.map(|id_tag| charging(shared, &id_tag)).as_ref(),
                ),
                Err(instead) => return instead,
            }
        }
    };
    Answer::Text(frame::result_text(id, &result))
}

/// A call that cannot be understood.
#[derive(Clone, Copy)]
struct Call<'a> {
    id: &'a str,
    known: Option<Action>,
    payload: &'a RawValue,
}

/// Refuses a call with the CALLERROR that is due. What belongs to a transaction is stored first: the station gives it
/// up after some refusals, and then the journal is the only place that still has it.
async fn refuse(
    shared: &Shared,
    station: &Station,
    session: u64,
    call: Call<'_>,
    mistake: Mistake,
) -> Answer {
    let Call { id, known, payload } = call;
    let Mistake { code, description } = mistake;
    shared.metrics.station_called(known, true);
    tracing::info!(identity = %station.identity, action = known.map_or("other", Action::as_str), %code, description, "a call of the station was refused");
    match known {
        Some(Action::StatusNotification) => {
            station.learn(session, super::activity::Connectors::unclear)
        }
        Some(action) if action.is_transaction_related() => {
            let entry = Entry {
                refused: Some(description.clone()),
                ..entry(station, id, action, payload)
            };
            if let Err(instead) = store(shared, station, entry).await {
                return instead;
            }
        }
        Some(_) | None => {}
    }
    Answer::Text(frame::error_text(
        id,
        code.as_str(),
        &description,
        answer::EMPTY,
    ))
}

fn booted(
    shared: &Shared,
    station: &Station,
    session: u64,
    id: &str,
    boot: BootNotification,
) -> Answer {
    let accepted = shared.policy.is_some() && !station.is_bootstrap(session);
    let registration = if accepted {
        Registration::Accepted
    } else {
        Registration::Pending
    };
    let interval = if accepted {
        shared
            .directory
            .heartbeat_interval(&station.identity)
            .unwrap_or(shared.settings.heartbeat)
    } else {
        shared.settings.retry_wait
    };
    let BootNotification {
        vendor,
        model,
        serial,
        box_serial,
        firmware,
    } = boot;
    let device = Device {
        vendor: Some(name(vendor)),
        model: Some(name(model)),
        serial: serial.map(name),
        box_serial: box_serial.map(name),
    };
    let booted = Booted {
        device,
        firmware: firmware.map(name),
        answered: Some(registration),
    };
    let result = answer::boot_notification(registration, clock::now(), interval);
    Answer::Boot(frame::result_text(id, &result), Box::new(booted))
}

fn name(name: String) -> String {
    if name.chars().count() <= MAX_NAME {
        name
    } else {
        name.chars().take(MAX_NAME).collect()
    }
}

/// What is told of an id tag; without a policy nobody hears it, since no transaction is answered then.
fn charging(shared: &Shared, id_tag: &str) -> IdTagInfo {
    match &shared.policy {
        Some(policy) => policy.of(id_tag, clock::now()),
        None => IdTagInfo::of(answer::AuthorizationStatus::Invalid),
    }
}

fn held(id: &str, why: &str) -> Answer {
    Answer::Text(frame::error_text(
        id,
        CallErrorCode::SecurityError.as_str(),
        why,
        answer::EMPTY,
    ))
}

fn entry(station: &Station, id: &str, action: Action, payload: &RawValue) -> Entry {
    Entry {
        identity: station.identity.as_str().to_owned(),
        message_id: id.to_owned(),
        action: action.as_str(),
        payload: payload.to_owned(),
        start: None,
        id_tag_status: None,
        refused: None,
    }
}

/// Stores a message about a transaction. `Err`: what to do instead of answering it.
async fn store(shared: &Shared, station: &Station, entry: Entry) -> Result<Option<i64>, Answer> {
    let Some(journal) = &shared.journal else {
        shared.metrics.unanswered.inc();
        tracing::warn!(
            identity = %station.identity,
            action = entry.action,
            "a held station sends messages about transactions; they are left to it, for nobody here may answer them"
        );
        return Err(Answer::Silence);
    };
    let stored = tokio::time::timeout(
        shared.settings.limits.journal,
        Journal::store(journal, entry),
    )
    .await;
    stored.ok().and_then(Result::ok).ok_or_else(|| {
        shared.metrics.unanswered.inc();
        Answer::Close
    })
}
