//! What is checked right before each frame leaves: everything may have changed since the plan was made.

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use stationkeeper_core::catalogue::StationCatalogue;
use stationkeeper_core::plan::{Plan, Why};
use stationkeeper_core::station::{Activity, Brake};

use super::Site;
use crate::controller::context::Context;
use crate::controller::gather::{ConfigGeneration, PAUSED, REGISTERED};
use crate::execute::{Act, Stop};
use crate::objects::ChargeStation;

/// Checked right before each frame: leadership, brake, suspension as the stores know it now.
pub(super) fn still_allowed(site: &Site<'_>, act: Act) -> Result<(), Stop> {
    let Site {
        context,
        station,
        target,
        ..
    } = *site;
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
    match context.stores.stations.get(target) {
        None => Err(Stop("the ChargeStation was deleted".to_owned())),
        Some(now) if now.uid() != station.uid() => {
            Err(Stop("the ChargeStation was made anew".to_owned()))
        }
        Some(now) if now.spec.suspend || now.annotations().contains_key(PAUSED) => {
            Err(Stop("the ChargeStation was suspended".to_owned()))
        }
        Some(now) if act == Act::Write && !declares_the_same(&now, station) => Err(Stop(
            "the ChargeStation has changed since the plan was made".to_owned(),
        )),
        Some(_) => Ok(()),
    }
}

/// Is all of it as it was that selects configs, or bears on what they are to the station?
fn declares_the_same(now: &ChargeStation, planned: &ChargeStation) -> bool {
    now.metadata.generation == planned.metadata.generation
        && now.labels() == planned.labels()
        && now.annotations().contains_key(REGISTERED)
            == planned.annotations().contains_key(REGISTERED)
}

/// What a pass was planned for; gathered once, since it is asked for before each frame.
pub(super) struct Expected<'a> {
    session: Option<u64>,
    needs_idle: bool,
    /// The configs whose settings are written.
    configs: Vec<&'a ConfigGeneration>,
}

impl<'a> Expected<'a> {
    /// By a plan, the configs and the catalogue that it was made from, and the connection that it was made on.
    pub(super) fn of(
        planned: &Plan,
        configs: &'a [ConfigGeneration],
        catalogue: &StationCatalogue,
        session: Option<u64>,
    ) -> Self {
        let any_write_boots = catalogue.quirks().boots_on_write == Some(true);
        let mut changes = planned.changes.iter();
        let is_written = |config: &&ConfigGeneration| {
            let mut changes = planned.changes.iter();
            changes.any(|change| change.why != Why::Restore && change.config == config.config)
        };
        Self {
            session,
            configs: configs.iter().filter(is_written).collect(),
            needs_idle: any_write_boots || changes.any(|change| change.definition.needs_idle()),
        }
    }
}

/// Checked right before each frame of a pass: is it still the connection, the idle station and the configs that the plan
/// was made for?
pub(super) fn as_planned(site: &Site<'_>, expected: &Expected<'_>, act: Act) -> Result<(), Stop> {
    let Site {
        context, identity, ..
    } = site;
    let stop = |why: &str| Err(Stop(why.to_owned()));
    let Some(presence) = context
        .connector
        .presence(identity)
        .filter(|presence| presence.session == expected.session)
    else {
        return stop("the station has reconnected");
    };
    if act == Act::Read {
        return Ok(());
    }
    if presence.busy_with_firmware {
        return stop("a firmware update or an upload of diagnostics is under way");
    }
    if expected.needs_idle && presence.activity != Activity::Idle {
        return stop("the station is in use");
    }
    let is_current = |planned: &&ConfigGeneration| {
        let now = context.configs.get(&planned.config);
        now.is_some_and(|now| !now.suspended && now.present() == *planned)
            && is_stored(context, planned)
    };
    if !expected.configs.iter().all(is_current) {
        return stop("a config has changed since the plan was made");
    }
    Ok(())
}

/// Is a config in the store as it was planned with? The store is ahead of what is prepared, by as long as Secrets are read
/// for handshakes; what a person changes is obeyed at once all the same.
fn is_stored(context: &Context, planned: &ConfigGeneration) -> bool {
    let ConfigGeneration {
        config,
        uid,
        generation,
    } = planned;
    let stored = ObjectRef::new(&config.name).within(&config.namespace);
    context.stores.configs.get(&stored).is_some_and(|stored| {
        stored.metadata.uid.as_deref().unwrap_or_default() == uid.as_str()
            && stored.metadata.generation.unwrap_or_default() == *generation
            && !stored.spec.suspend
            && !stored.annotations().contains_key(PAUSED)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn station(metadata: &Value) -> ChargeStation {
        let mut object = json!({
            "apiVersion": "stationkeeper.dev/v1alpha1", "kind": "ChargeStation",
            "metadata": {"name": "cp", "generation": 1, "labels": {"site": "harbour"}}, "spec": {"identity": "CP"},
        });
        for (field, value) in metadata.as_object().into_iter().flatten() {
            object["metadata"][field] = value.clone();
        }
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_plan_holds_until_something_changes_that_decides_what_is_wanted_of_the_station() {
        let planned = station(&json!({}));
        let check = |metadata: Value, same: bool| {
            let now = station(&metadata);
            assert_eq!(declares_the_same(&now, &planned), same, "{metadata}");
        };
        check(json!({}), true);
        check(json!({"resourceVersion": "7"}), true);
        check(json!({"annotations": {"note": "for people"}}), true);
        check(json!({"generation": 2}), false);
        check(json!({"labels": {"site": "depot"}}), false);
        check(json!({"labels": {}}), false);
        check(json!({"annotations": {REGISTERED: "true"}}), false);
    }
}
