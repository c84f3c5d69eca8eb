//! What is known of a station without asking it: its object, what it said, what the connector sees; and what may be done
//! with it now (suspension, brake, a person's word).

use kube::ResourceExt;
use stationkeeper_core::observed::Observed;
use stationkeeper_core::station::{Activity, Link, Policy, StationFacts, Suspended};
use stationkeeper_core::words::Device;

use super::RESUME;
use super::reading::resync_period;
use crate::connector::{Identity, Presence};
use crate::controller::context::Context;
use crate::controller::gather::PAUSED;
use crate::controller::live::Live;
use crate::objects::ChargeStation;

pub(super) fn facts(
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

pub(super) fn profiles(observed: &Observed) -> Option<Vec<String>> {
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

pub(super) fn policy(context: &Context, station: &ChargeStation, live: &Live) -> Policy {
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
