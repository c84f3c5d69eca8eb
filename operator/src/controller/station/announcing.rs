//! Announcing: a station that takes long to be read is told of as connected meanwhile. One that answers every call after
//! half a minute, or none in time, would else be called offline for minutes, by whoever it is connected to.

use std::time::Duration;

use stationkeeper_core::plan::Plan;
use stationkeeper_core::recall;
use stationkeeper_core::status::station_status;

use super::Site;
use super::deciding::{Decided, Declared};
use super::facts::Known;
use super::telling::{deviations, tell, told_of};
use crate::clock;
use crate::controller::context::Moment;
use crate::controller::live::{Live, Told};
use crate::controller::publish::{Report, compose, publish};

/// How long a read may take before the station is announced. Nearly all are read within it, and cost no status write.
pub(super) const ANNOUNCED_AFTER: Duration = Duration::from_secs(5);

/// Publishes that the station is connected and being read, if status says otherwise; its keys are told as they were told
/// last. A failure changes nothing: the end of the pass is told all the same. (Network: the publisher.)
pub(super) async fn announce(
    site: &Site<'_>,
    declared: &Declared,
    known: &Known,
    decided: &Decided,
    live: &mut Live,
) {
    let Site {
        context, station, ..
    } = site;
    if is_told_ready(site) {
        return;
    }
    let Decided { desired, planned } = decided;
    let planned = Plan {
        keys: recall::remembered(
            desired,
            &live.memory,
            deviations(station),
            planned.keys.clone(),
        ),
        ..planned.clone()
    };
    let report = Report {
        status: station_status(&planned, &known.facts, true),
        resolved_hash: Some(desired.hash.clone()),
        pending_reset: planned.pending_reset.as_ref(),
        presence: known.presence.as_ref(),
    };
    let status = compose(station, live, &live.memory, report, clock::now());
    match publish(context, station, live, status).await {
        Ok(current) => {
            let told = Told {
                progressing: true,
                stale: true,
                ..told_of(
                    planned.keys,
                    desired,
                    declared.configs(),
                    &known.facts,
                    &current,
                    true,
                )
            };
            tell(site, &current, told, Moment::WhileReading).await;
        }
        Err(error) => tracing::debug!(
            error = &error as &dyn std::error::Error,
            "a station that is being read was not announced"
        ),
    }
}

/// Does status say that the station is connected and may be called?
fn is_told_ready(site: &Site<'_>) -> bool {
    let status = site.station.status.as_ref();
    status.is_some_and(|status| {
        status.conditions.iter().any(|condition| {
            condition.type_ == "Connected"
                && condition.status == "True"
                && condition.reason == "Connected"
        })
    })
}
