//! Stations that are not served at all: two objects with one identity, no authentication, an invalid object, memory of a
//! newer version. They are told so, and their connection is closed.

use kube::runtime::controller::Action;
use stationkeeper_core::memory::FORMAT_VERSION;
use stationkeeper_core::recall;

use super::Site;
use super::telling::touch_all;
use crate::clock;
use crate::controller::context::Context;
use crate::controller::live::{Live, Told};
use crate::controller::publish::{conditions, publish};
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
        && memory.format_version > FORMAT_VERSION
    {
        return Some((
            "NewerMemory",
            format!(
                "status.memory has format {}, and this version knows {}; run the newer version, or remove status.memory",
                memory.format_version, FORMAT_VERSION
            ),
        ));
    }
    None
}

/// Tells that a station is not served, and closes its connection. (Network: the publisher.)
pub(super) async fn refuse(
    site: &Site<'_>,
    live: &mut Live,
    reason: &'static str,
    message: String,
) -> Result<Action, PublishError> {
    let Site {
        context,
        station,
        identity,
        cell,
        ..
    } = site;
    context.connector.disconnect(identity);
    let mut status = station.status.clone().unwrap_or_default();
    let told = recall::refused(reason, &message);
    let generation = station.metadata.generation.unwrap_or_default();
    status.conditions = conditions(&status.conditions, &told, generation, clock::now());
    status.observed_generation = generation;
    let current = publish(context, station, live, status).await?;
    if live.memory.format_version > FORMAT_VERSION {
        // It is not ours to keep: once it is gone from status, it is to be gone from here.
        *live = Live::default();
    }
    cell.tell(Told {
        stalled: Some(message),
        seen: current.status.is_some(),
        ..Told::default()
    });
    touch_all(context, &current);
    Ok(Action::await_change())
}
