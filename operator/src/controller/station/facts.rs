//! What is known of a station without asking it: its object, what it said, what the connector sees; and what may be done
//! with it now (suspension, brake, a person's word).

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use stationkeeper_core::event::{self, Meaning};
use stationkeeper_core::observed::Observed;
use stationkeeper_core::reboot::Watched;
use stationkeeper_core::station::{Activity, Brake, Link, Policy, StationFacts, Suspended};
use stationkeeper_core::words::Device;

use super::due::{request_pending, resync_due, resync_period};
use super::{RESUME, Site};
use crate::connector::{Identity, Presence};
use crate::controller::context::Context;
use crate::controller::gather::PAUSED;
use crate::controller::live::Live;
use crate::objects::ChargeStation;

/// What is known of a station without asking it.
pub(super) struct Known {
    pub(super) facts: StationFacts,
    pub(super) policy: Policy,
    /// What the connector sees.
    pub(super) presence: Option<Presence>,
    /// The connection at the beginning of the pass.
    pub(super) session: Option<u64>,
    /// All managed keys are to be read again, whatever is known of them.
    pub(super) reread: bool,
    /// May the station be asked anything?
    pub(super) may_ask: bool,
    /// For how long it may still be about to say that it has booted; until then it is left alone.
    pub(super) introduction: Option<Duration>,
}

/// Takes in what happened since the last pass, and forgets the readings that it made worthless.
pub(super) fn know(site: &Site<'_>, live: &mut Live, now: Timestamp) -> Known {
    let Site {
        context,
        station,
        identity,
        cell,
        ..
    } = site;
    let meaning = take_events(site, live, now);
    let presence = context.connector.presence(identity);
    let facts = facts(context, station, live, presence.as_ref());
    let policy = policy(context, station, live);
    let introduction = live
        .introduction(now)
        .filter(|_| facts.link == Link::Ready && meaning == Meaning::default());
    if facts.link == Link::Ready && introduction.is_none() {
        let memory = std::mem::take(&mut live.memory);
        live.memory = live.watched.passed(memory, now);
    }
    let session = presence.as_ref().and_then(|presence| presence.session);
    let asked = cell.take_reread();
    let told_to = asked | meaning.boot_proven | meaning.new_device;
    let reread = told_to | request_pending(station, live);
    // What may not be read again is kept: a brake or a suspension makes nothing unknown.
    let may_ask = facts.link == Link::Ready
        && policy.suspended.is_none()
        && policy.brake != Brake::NoCalls
        && introduction.is_none()
        && context.leadership.holds();
    if may_ask
        && (reread || live.observed_session != session || resync_due(context, station, live, now))
    {
        live.observed = Observed::default();
    }
    if told_to && !may_ask {
        cell.ask_reread();
    }
    Known {
        facts,
        policy,
        presence,
        session,
        reread,
        may_ask,
        introduction,
    }
}

impl Known {
    /// The same facts after a read: the station may have told more of itself, or gone.
    pub(super) fn look_at_facts(&mut self, site: &Site<'_>, live: &Live) {
        let presence = site.context.connector.presence(site.identity);
        self.facts = facts(site.context, site.station, live, presence.as_ref());
    }

    /// All of it anew, after frames were sent.
    pub(super) fn look_again(&mut self, site: &Site<'_>, live: &Live) {
        self.presence = site.context.connector.presence(site.identity);
        self.facts = facts(site.context, site.station, live, self.presence.as_ref());
        self.policy = policy(site.context, site.station, live);
    }

    /// The connection that the connector saw last.
    pub(super) fn presence_session(&self) -> Option<u64> {
        self.presence.as_ref().and_then(|presence| presence.session)
    }
}

fn facts(
    context: &Context,
    station: &ChargeStation,
    live: &Live,
    presence: Option<&Presence>,
) -> StationFacts {
    let reported = &live.memory.device;
    let over = station.spec.hardware.clone().unwrap_or_default();
    let link = match presence {
        Some(presence) if presence.session.is_some() && presence.registered => Link::Ready,
        Some(presence) if presence.session.is_some() => Link::Unregistered,
        Some(_) | None => Link::Offline,
    };
    let identity = Identity::new(&station.spec.identity);
    StationFacts {
        namespace: station.namespace().unwrap_or_default(),
        name: station.name_any(),
        identity: station.spec.identity.clone(),
        labels: station.labels().clone(),
        device: Device {
            vendor: over.vendor.or_else(|| reported.vendor.clone()),
            model: over.model.or_else(|| reported.model.clone()),
            serial: reported.serial.clone(),
            box_serial: reported.box_serial.clone(),
        },
        firmware: over.firmware.or_else(|| live.memory.firmware.clone()),
        role: station.spec.role,
        profiles: profiles(&live.observed),
        link,
        authenticated: presence.is_some_and(|presence| presence.authenticated),
        activity: presence.map_or(Activity::Unknown, |presence| presence.activity),
        busy_with_firmware: presence.is_some_and(|presence| presence.busy_with_firmware),
        capabilities: context.connector.capabilities(&identity),
    }
}

/// What status remembers of a station that was not reconciled yet, as far as selection needs it.
pub(in crate::controller) fn recorded_facts(
    context: &Context,
    station: &ChargeStation,
) -> StationFacts {
    let memory = station
        .status
        .as_ref()
        .and_then(|status| status.memory.clone())
        .unwrap_or_default();
    facts(
        context,
        station,
        &Live {
            memory,
            ..Live::default()
        },
        None,
    )
}

fn profiles(observed: &Observed) -> Option<Vec<String>> {
    let (_, reading) = observed.readings.iter().find(|(key, _)| {
        key.as_str()
            .eq_ignore_ascii_case("SupportedFeatureProfiles")
    })?;
    let value = reading.value()?;
    Some(
        value
            .split(',')
            .map(|profile| profile.trim().to_ascii_lowercase())
            .filter(|profile| !profile.is_empty())
            .collect(),
    )
}

fn policy(context: &Context, station: &ChargeStation, live: &Live) -> Policy {
    let suspended = if station.spec.suspend {
        Some(Suspended::Suspend)
    } else if station.annotations().contains_key(PAUSED) {
        Some(Suspended::Paused)
    } else {
        None
    };
    Policy {
        brake: *context.brake.borrow(),
        suspended,
        resumed: station.annotations().get(RESUME).cloned(),
        resync_due: live.read_at.map(|at| at + resync_period(context, station)),
        ..Policy::default()
    }
}

/// Folds what happened into memory, in order.
pub(super) fn take_events(site: &Site<'_>, live: &mut Live, now: Timestamp) -> Meaning {
    let mut meaning = Meaning::default();
    for happened in site.context.connector.take_events(site.identity) {
        let waited = live.memory.keys.values().any(|key| key.owed.is_some());
        let (memory, meant) = event::observe(
            std::mem::take(&mut live.memory),
            &mut live.connection,
            &happened.event,
        );
        live.memory = memory;
        live.watched.follow(&happened.event, now);
        match happened.event {
            event::Event::Connected { .. } => {
                live.disconnected_at = None;
                live.came_back_at = Some(now);
            }
            event::Event::Disconnected { .. } => live.disconnected_at = Some(now),
            event::Event::Boot { .. } => live.came_back_at = None,
        }
        if meant.boot_proven {
            site.context.metrics.booted(waited);
            live.last_boot = Timestamp::from_second(now.as_second()).ok();
        }
        if meant.new_device || meant.firmware_changed {
            live.watched = Watched::default();
        } else if meant.boot_proven {
            let memory = std::mem::take(&mut live.memory);
            live.memory = live.watched.booted(memory, waited, now);
        }
        if meant.new_device {
            live.observed = Observed::default();
            live.observed_session = None;
        }
        meaning.boot_proven |= meant.boot_proven;
        meaning.new_device |= meant.new_device;
        meaning.firmware_changed |= meant.firmware_changed;
        meaning.findings.extend(meant.findings);
    }
    meaning
}
