//! Concluding: what a pass came to, as status, and to everybody who listens.

use jiff::{SignedDuration, Timestamp};
use stationkeeper_core::recall;
use stationkeeper_core::state::State;
use stationkeeper_core::station::Link;
use stationkeeper_core::status::{self, station_status};

use super::Site;
use super::deciding::{Decided, Declared};
use super::due::{disconnect_grace, request};
use super::facts::Known;
use super::telling::{deviations, tell, told_of};
use super::writing::Written;
use crate::admission::without_credentials;
use crate::clock;
use crate::controller::context::Moment;
use crate::controller::live::{Live, Told};
use crate::controller::publish::{Report, compose, publish};
use crate::source::PublishError;

/// What a pass ended with, as far as the next one depends on it.
pub(super) struct Concluded {
    /// When it ended.
    pub(super) at: Timestamp,
    /// How long until a disconnect is written.
    pub(super) grace: Option<SignedDuration>,
    /// A Secret is missing: the one with the station's password, or one that a setting names.
    pub(super) secret_missing: bool,
}

/// Publishes what a pass came to, and tells everybody who listens. (Network: the publisher.)
pub(super) async fn conclude(
    site: &Site<'_>,
    declared: &Declared,
    known: &Known,
    decided: &mut Decided,
    written: &Written,
    live: &mut Live,
) -> Result<Concluded, PublishError> {
    let Site {
        context,
        station,
        identity,
        ..
    } = site;
    let Decided { desired, planned } = decided;
    let at = clock::now();
    live.memory = std::mem::take(&mut planned.memory);
    if !known.may_ask && live.observed.readings.is_empty() {
        // This process has never read it, and may not now: what was last told still holds.
        let keys = std::mem::take(&mut planned.keys);
        planned.keys = recall::remembered(desired, &live.memory, deviations(station), keys);
    }
    if known.reread && known.may_ask && planned.read.is_empty() {
        live.handled_request = request(station);
    }
    let presence = context.connector.presence(identity);
    let connected = presence
        .as_ref()
        .is_some_and(|presence| presence.session.is_some());
    if !connected && known.session.is_some() {
        // It went during this pass, and its word of that is not taken yet: a disconnect like any other.
        live.disconnected_at.get_or_insert(at);
    }
    let grace = disconnect_grace(context, live, connected, at);
    let mut shown = known.facts.clone();
    if grace.is_some() {
        shown.link = Link::Ready;
        let keys = std::mem::take(&mut planned.keys);
        planned.keys = recall::unbroken(deviations(station), keys);
    }
    let mut status = station_status(planned, &shown, written.again.is_some());
    let missing = without_credentials(&context.secrets, station).await;
    if let Some(message) = &missing {
        status.conditions = status::stalled(status.conditions, "SecretMissing", message);
    }
    let secret_missing = missing.is_some()
        || planned
            .keys
            .iter()
            .any(|verdict| verdict.state == State::SecretMissing);
    let report = Report {
        status,
        resolved_hash: Some(desired.hash.clone()),
        pending_reset: planned.pending_reset.as_ref(),
        presence: presence.as_ref(),
    };
    let status = compose(&written.station, live, &live.memory, report, at);
    let current = publish(context, &written.station, live, status).await?;
    let told = Told {
        progressing: written.again.is_some(),
        in_grace: grace.is_some(),
        ..told_of(
            std::mem::take(&mut planned.keys),
            desired,
            declared.configs(),
            &known.facts,
            &current,
            connected,
        )
    };
    tell(site, &current, told, Moment::AfterPass).await;
    Ok(Concluded {
        at,
        grace,
        secret_missing,
    })
}
