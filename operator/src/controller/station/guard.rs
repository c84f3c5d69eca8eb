//! What is checked right before each frame leaves: everything may have changed since the plan was made.

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use stationkeeper_core::catalogue::StationCatalogue;
use stationkeeper_core::plan::{Change, Plan, Why};
use stationkeeper_core::station::{Activity, Brake};

use super::Site;
use crate::controller::context::Context;
use crate::controller::gather::PAUSED;
use crate::execute::{Act, Stop};
use crate::objects::ChargeStation;

/// Checked right before each frame: leadership, brake, suspension as the stores know it now.
pub(super) fn still_allowed(
    context: &Context,
    station: &ChargeStation,
    act: Act,
) -> Result<(), Stop> {
    let (leads, braked) = match (act, *context.brake.borrow()) {
        (Act::Read, brake) => (context.leadership.holds(), brake == Brake::NoCalls),
        (Act::Write, brake) => (context.leadership.may_write(), brake != Brake::Off),
    };
    if act == Act::Write && context.ending.is_cancelled() {
        return Err(Stop("the process is ending".to_owned()));
    }
    if !leads {
        return Err(Stop("leadership was lost".to_owned()));
    }
    if braked {
        return Err(Stop("the brake is on".to_owned()));
    }
    match context.stores.stations.get(&ObjectRef::from_obj(station)) {
        None => Err(Stop("the ChargeStation was deleted".to_owned())),
        Some(now) if now.spec.suspend || now.annotations().contains_key(PAUSED) => {
            Err(Stop("the ChargeStation was suspended".to_owned()))
        }
        Some(_) => Ok(()),
    }
}

/// Checked right before each frame of a pass: is it still the connection, the idle station and the configs that the plan
/// was made for?
pub(super) fn as_planned(
    site: &Site<'_>,
    session: Option<u64>,
    act: Act,
    planned: &Plan,
    catalogue: &StationCatalogue,
) -> Result<(), Stop> {
    let Site {
        context, identity, ..
    } = site;
    let stop = |why: &str| Err(Stop(why.to_owned()));
    let Some(presence) = context
        .connector
        .presence(identity)
        .filter(|presence| presence.session == session)
    else {
        return stop("the station has reconnected");
    };
    if act == Act::Read {
        return Ok(());
    }
    if presence.busy_with_firmware {
        return stop("a firmware update or an upload of diagnostics is under way");
    }
    let any_write_boots = catalogue.quirks().boots_on_write == Some(true);
    let needs_idle = any_write_boots
        || planned
            .changes
            .iter()
            .any(|change| change.definition.needs_idle());
    if needs_idle && presence.activity != Activity::Idle {
        return stop("the station is in use");
    }
    let is_current = |change: &Change| {
        change.why == Why::Restore
            || context
                .configs
                .get(&change.config)
                .is_some_and(|config| !config.suspended && config.generation == change.generation)
    };
    if !planned.changes.iter().all(is_current) {
        return stop("a config has changed since the plan was made");
    }
    Ok(())
}
