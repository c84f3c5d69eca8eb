//! What is checked right before each frame leaves: everything may have changed since the plan was made.

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use stationkeeper_core::catalogue::StationCatalogue;
use stationkeeper_core::memory::Memory;
use stationkeeper_core::plan::{Change, Plan, Why};
use stationkeeper_core::reboot::{self, Needs};
use stationkeeper_core::station::Brake;

use super::Site;
use crate::connector::Presence;
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

/// Is it still this connection? One that has come back may be about to say that it has booted, and is left alone until
/// the next pass.
pub(super) fn on_connection(site: &Site<'_>, session: Option<u64>) -> Result<Presence, Stop> {
    let presence = site.context.connector.presence(site.identity);
    presence
        .filter(|presence| presence.session == session)
        .ok_or_else(|| Stop("the station has reconnected".to_owned()))
}

/// What a pass was planned for; gathered once, since it is asked for before each frame.
pub(super) struct Expected<'a> {
    session: Option<u64>,
    needs: Needs,
    /// The configs whose settings are written.
    configs: Vec<&'a ConfigGeneration>,
}

impl<'a> Expected<'a> {
    /// By a plan, the configs, the catalogue and the memory that it was made from, and the connection that it was made on.
    pub(super) fn of(
        planned: &Plan,
        configs: &'a [ConfigGeneration],
        (catalogue, memory): (&StationCatalogue, &Memory),
        session: Option<u64>,
    ) -> Self {
        let needs = |change: &Change| {
            reboot::needs(
                catalogue,
                &memory.reboots_on_write,
                &change.key,
                &change.definition,
            )
        };
        let is_written = |config: &&ConfigGeneration| {
            let mut changes = planned.changes.iter();
            changes.any(|change| change.why != Why::Restore && change.config == config.config)
        };
        Self {
            session,
            configs: configs.iter().filter(is_written).collect(),
            needs: planned
                .changes
                .iter()
                .map(needs)
                .max()
                .unwrap_or(Needs::Nothing),
        }
    }
}

/// Checked right before each frame of a pass: is it still the connection, the idle station and the configs that the plan
/// was made for?
pub(super) fn as_planned(site: &Site<'_>, expected: &Expected<'_>, act: Act) -> Result<(), Stop> {
    let context = site.context;
    let stop = |why: &str| Err(Stop(why.to_owned()));
    let presence = on_connection(site, expected.session)?;
    if act == Act::Read {
        return Ok(());
    }
    if presence.busy_with_firmware {
        return stop("a firmware update or an upload of diagnostics is under way");
    }
    if !expected.needs.are_met(presence.activity) {
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
