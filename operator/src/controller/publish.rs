//! Publish: a station's status, complete, compared first and skipped when equal, built on the last answer.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use stationkeeper_core::memory::Memory;
use stationkeeper_core::plan::PendingReset;
use stationkeeper_core::status::{Condition as Told, StationStatus};

use super::context::Context;
use super::live::Live;
use crate::connector::Presence;
use crate::objects::{
    ChargeStation, ChargeStationStatus, PendingResetStatus, ReportedHardware, fit,
};
use crate::source::PublishError;

/// What a pass has to tell, besides memory.
pub(super) struct Report<'a> {
    /// Counts, deviations, conditions.
    pub status: StationStatus,
    /// Stands for the settings that it speaks of.
    pub resolved_hash: Option<String>,
    /// What waits for a Reset.
    pub pending_reset: Option<&'a PendingReset>,
    /// What the connector knows.
    pub presence: Option<&'a Presence>,
}

/// The complete status. Transition times stay unless a condition's status changed.
pub(super) fn compose(
    station: &ChargeStation,
    live: &Live,
    memory: &Memory,
    report: Report<'_>,
    now: Timestamp,
) -> ChargeStationStatus {
    let former = station.status.as_ref();
    let reported = ReportedHardware {
        vendor: memory.device.vendor.clone(),
        model: memory.device.model.clone(),
        serial_number: memory
            .device
            .serial
            .clone()
            .or_else(|| memory.device.box_serial.clone()),
        firmware: memory.firmware.clone(),
        protocol: report
            .presence
            .and_then(|presence| presence.protocol)
            .map(str::to_owned)
            .or_else(|| former?.hardware.as_ref()?.protocol.clone()),
    };
    let generation = station.metadata.generation.unwrap_or_default();
    ChargeStationStatus {
        observed_generation: generation,
        conditions: conditions(
            former.map_or(&[][..], |former| &former.conditions),
            &report.status.conditions,
            generation,
            now,
        ),
        hardware: Some(reported).filter(|hardware| *hardware != ReportedHardware::default()),
        registration: report
            .presence
            .and_then(|presence| presence.registration)
            .map(str::to_owned)
            .or_else(|| former?.registration.clone()),
        last_boot: live
            .last_boot
            .map(Time)
            .or_else(|| former?.last_boot.clone()),
        keys: Some(report.status.counts),
        resolved_hash: report.resolved_hash,
        deviations: report.status.deviations,
        deviation_count: Some(report.status.deviation_count).filter(|&count| count > 0),
        findings: report.status.findings,
        pending_reset: report.pending_reset.map(|pending| PendingResetStatus {
            id: pending.id.clone(),
            keys: pending.keys.iter().map(ToString::to_string).collect(),
            since: Time(pending.since),
            waiting_for: vec![
                if pending.reconnect_suffices {
                    "a new connection of the station"
                } else {
                    "a boot of the station; the operator sends no Reset (reset.policy: Wait)"
                }
                .to_owned(),
            ],
        }),
        last_handled_reconcile_at: live.handled_request.clone(),
        memory: Some(memory.clone()).filter(|memory| *memory != Memory::default()),
    }
}

/// Conditions with their transition times: the former one, unless the status changed.
pub(super) fn conditions(
    former: &[Condition],
    told: &[Told],
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    told.iter()
        .map(|told| {
            let since = former
                .iter()
                .find(|condition| condition.type_ == told.kind && condition.status == told.status)
                .map_or_else(
                    || Time(to_seconds(now)),
                    |condition| condition.last_transition_time.clone(),
                );
            Condition {
                type_: told.kind.clone(),
                status: told.status.clone(),
                reason: told.reason.clone(),
                message: told.message.clone(),
                observed_generation: Some(generation),
                last_transition_time: since,
            }
        })
        .collect()
}

/// Kubernetes keeps times to the second.
fn to_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Publishes if it differs, and keeps the answer to build the next one on.
pub(super) async fn publish(
    context: &Context,
    station: &Arc<ChargeStation>,
    live: &mut Live,
    status: ChargeStationStatus,
) -> Result<Arc<ChargeStation>, PublishError> {
    let told = |status: &ChargeStationStatus| {
        station
            .status
            .as_ref()
            .is_some_and(|former| same(former, status))
    };
    if told(&status) {
        return Ok(Arc::clone(station));
    }
    let status = match fit::station(&status) {
        None => status,
        Some(fitted) if told(&fitted) => return Ok(Arc::clone(station)),
        Some(fitted) => fitted,
    };
    let target = ObjectRef::from_obj(station.as_ref());
    let version = station.resource_version().unwrap_or_default();
    match context.publisher.station(&target, &version, status).await {
        Ok(answer) => {
            context.metrics.status_write("ChargeStation");
            live.published = Some(Arc::clone(&answer));
            Ok(answer)
        }
        Err(error) => {
            if matches!(error, PublishError::Conflict) {
                // What we hold is older than the API server: the watch brings the newer one.
                live.published = None;
            }
            Err(error)
        }
    }
}

/// Equal for a reader and for a successor. The counters of events order what memory holds of single keys; while it holds
/// nothing of any, they mean nothing, and a station that flaps must not cause writes.
fn same(former: &ChargeStationStatus, status: &ChargeStationStatus) -> bool {
    if former == status {
        return true;
    }
    match (&former.memory, &status.memory) {
        (Some(a), Some(b)) if a.keys.is_empty() && b.keys.is_empty() => {
            let a = Memory {
                event: b.event,
                boot: b.boot,
                connection: b.connection,
                seen: b.seen,
                ..a.clone()
            };
            a == *b
                && ChargeStationStatus {
                    memory: None,
                    ..former.clone()
                } == ChargeStationStatus {
                    memory: None,
                    ..status.clone()
                }
        }
        _ => false,
    }
}

/// The newer of the store's object and the answer to our last write. A resourceVersion is a number that grows, which the
/// API promises since Kubernetes 1.35 and every etcd-backed server has kept before.
pub(super) fn newest<K: ResourceExt>(store: Arc<K>, answered: Option<&Arc<K>>) -> Arc<K> {
    let version = |object: &K| {
        object
            .resource_version()
            .and_then(|version| version.parse::<u64>().ok())
    };
    match answered {
        Some(answer) if answer.uid() == store.uid() && version(answer) > version(&store) => {
            Arc::clone(answer)
        }
        Some(_) | None => store,
    }
}
