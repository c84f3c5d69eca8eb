//! Stations that are not served at all: two objects with one identity, no authentication, an invalid object, memory of a
//! newer version. They are told so, and their connection is closed.

use std::sync::Arc;

use kube::runtime::controller::Action;
use stationkeeper_core::recall;

use super::telling::touch_all;
use crate::clock;
use crate::connector::Identity;
use crate::controller::context::Context;
use crate::controller::live::{Cell, Live, Told};
use crate::controller::publish::publish;
use crate::objects::ChargeStation;
use crate::source::PublishError;
use crate::stores::Claim;

/// Why a station is not served at all, if it is not.
pub(super) fn refusal(
    context: &Context,
    station: &ChargeStation,
) -> Option<(&'static str, String)> {
    if let Claim::Several(all) = context.stores.claim(&station.spec.identity) {
        let names: Vec<String> = all
            .iter()
            .map(|other| {
                format!(
                    "{}/{}",
                    other.namespace.as_deref().unwrap_or_default(),
                    other.name
                )
            })
            .collect();
        return Some((
            "DuplicateIdentity",
            format!(
                "several ChargeStations name the identity {:?}: {}; none is served until only one does",
                station.spec.identity,
                names.join(", ")
            ),
        ));
    }
    if station.spec.authentication.is_none() {
        return Some((
            "NoAuthentication",
            "spec.authentication is missing, so the station is refused; name a secretRef, or say none: true".to_owned(),
        ));
    }
    if let Some(mistake) = crate::objects::check::check_station(station).first() {
        return Some(("Invalid", format!("{}: {}", mistake.path, mistake.message)));
    }
    if let Some(memory) = station
        .status
        .as_ref()
        .and_then(|status| status.memory.as_ref())
        && memory.format_version > stationkeeper_core::memory::FORMAT_VERSION
    {
        return Some((
            "NewerMemory",
            format!(
                "status.memory has format {}, and this version knows {}; run the newer version, or remove status.memory",
                memory.format_version,
                stationkeeper_core::memory::FORMAT_VERSION
            ),
        ));
    }
    None
}

pub(super) async fn refuse(
    context: &Context,
    station: &Arc<ChargeStation>,
    identity: &Identity,
    cell: &Cell,
    live: &mut Live,
    reason: &'static str,
    message: String,
) -> Result<Action, PublishError> {
    context.connector.disconnect(identity);
    let mut status = station.status.clone().unwrap_or_default();
    let told = recall::refused(reason, &message);
    let generation = station.metadata.generation.unwrap_or_default();
    status.conditions =
        crate::controller::publish::conditions(&status.conditions, &told, generation, clock::now());
    status.observed_generation = generation;
    let current = publish(context, station, live, status).await?;
    cell.tell(Told {
        stalled: Some(message.clone()),
        seen: current.status.is_some(),
        ..Told::default()
    });
    touch_all(context, &current);
    Ok(Action::await_change())
}
