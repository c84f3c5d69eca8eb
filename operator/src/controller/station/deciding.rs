//! Deciding: what the configs and the catalogue want of a station, and the plan that follows from it. Only the Secrets
//! that were never read need the network; everything else is `core`.

use std::sync::Arc;

use jiff::Timestamp;
use stationkeeper_core::plan::{self, Plan};
use stationkeeper_core::validate::Desired;

use super::Site;
use super::facts::Known;
use crate::controller::gather::{ConfigGeneration, Selected};
use crate::controller::live::Live;
use crate::controller::removal;
use crate::controller::vetting::Wanted;

/// What is declared for a station; it stays the same for a whole pass.
pub(super) struct Declared {
    wanted: Arc<Wanted>,
    /// The state of the namespace's catalogues that it was vetted by.
    pub(super) catalogue_version: u64,
}

/// What is desired, and what is to be done for it.
pub(super) struct Decided {
    pub(super) desired: Desired,
    pub(super) planned: Plan,
}

/// Gathers the layers, resolves and vets them. (Network: Secrets that were never read.)
pub(super) async fn declare(site: &Site<'_>, known: &Known) -> Declared {
    let Site {
        context, station, ..
    } = site;
    let facts = &known.facts;
    let catalogue_version = context.catalogues.version(&facts.namespace);
    let catalogue =
        context
            .catalogues
            .for_station(&facts.namespace, &facts.device, facts.firmware.as_deref());
    let selected = Selected::by(&context.configs, station, facts);
    let wanted = context
        .kinds
        .wanted(&selected, &catalogue, &context.secrets, station);
    Declared {
        wanted: wanted.await,
        catalogue_version,
    }
}

/// Validates and plans for the first time in a pass; keys that left every layer are marked in between.
pub(super) fn decide(
    site: &Site<'_>,
    declared: &Declared,
    known: &Known,
    live: &mut Live,
    now: Timestamp,
) -> Decided {
    let desired = declared.desired(known, live);
    live.memory = removal::mark(
        std::mem::take(&mut live.memory),
        &desired,
        &site.context.configs,
        &known.facts,
        now,
    );
    Decided {
        planned: plan_for(&desired, known, live, now),
        desired,
    }
}

impl Declared {
    /// The configs that apply, with their generations.
    pub(super) fn configs(&self) -> &Arc<[ConfigGeneration]> {
        &self.wanted.configs
    }

    /// What the station should have, by what is known of it now.
    fn desired(&self, known: &Known, live: &Live) -> Desired {
        let Wanted { vetted, .. } = self.wanted.as_ref();
        vetted.for_station(&known.facts, &live.observed)
    }

    /// Decides again: something was read or written meanwhile.
    pub(super) fn decide_again(&self, known: &Known, live: &Live, now: Timestamp) -> Decided {
        let desired = self.desired(known, live);
        Decided {
            planned: plan_for(&desired, known, live, now),
            desired,
        }
    }
}

/// The plan for what is desired, by what is known now.
pub(super) fn plan_for(desired: &Desired, known: &Known, live: &Live, now: Timestamp) -> Plan {
    let Known { facts, policy, .. } = known;
    plan::plan(desired, &live.observed, &live.memory, facts, policy, now)
}
