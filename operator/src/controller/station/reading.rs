//! Reading a station: what the plan asks for, and its connectors' states.

use std::pin::pin;

use kube::ResourceExt;
use stationkeeper_core::layer::SettingValue;
use stationkeeper_core::observed::Reading;
use stationkeeper_core::outcome;
use stationkeeper_core::plan::Plan;
use stationkeeper_core::state::Reason;
use stationkeeper_core::station::{Activity, Link};
use stationkeeper_core::validate::Desired;
use stationkeeper_core::words::Key;
use stationkeeper_ocpp::request::{Trigger, trigger_message};

use super::Site;
use super::announcing::{ANNOUNCED_AFTER, announce};
use super::deciding::{Decided, Declared};
use super::facts::Known;
use super::guard::{on_connection, still_allowed};
use crate::clock;
use crate::controller::live::Live;
use crate::execute::Request;
use crate::observe::{Aborted, Ask, MAX_KEYS, Observation, Pieces, observe};

/// How often a plan may ask for further reads before it is taken as it is: companions of lists are asked once known.
const READS_PER_PASS: u32 = 3;

/// Asks a station for its connectors' states, once per connection, if a key waits for it to be idle and nobody knows
/// whether it is: after a restart of ours unknown is busy until the station tells. It may know no TriggerMessage; then
/// its next StatusNotification tells. (Network: the station.)
pub(super) async fn ask_for_activity(
    site: &Site<'_>,
    live: &mut Live,
    planned: &Plan,
    known: &Known,
) {
    let Site {
        context,
        station,
        identity,
        ..
    } = *site;
    let waits = planned
        .keys
        .iter()
        .any(|verdict| verdict.reason == Reason::Busy);
    let session = known.session;
    if !waits
        || known.facts.activity != Activity::Unknown
        || known.facts.link != Link::Ready
        || live.activity_asked == session
    {
        return;
    }
    live.activity_asked = session;
    let payload = trigger_message(Trigger::StatusNotification, None);
    let request = Request::read("TriggerMessage", payload);
    let guard = |act| still_allowed(site, act);
    if let Err(stop) = context.wire.call(identity, request, &guard).await {
        tracing::debug!(station = %station.name_any(), why = %stop, "the station was not asked for its connectors");
    }
}

/// Reads what the plan needs, and decides again, until it needs nothing more. (Network: the station.)
pub(super) async fn read_what_is_needed(
    site: &Site<'_>,
    declared: &Declared,
    known: &mut Known,
    decided: &mut Decided,
    live: &mut Live,
) {
    for _ in 0..READS_PER_PASS {
        let askable = known.facts.link == Link::Ready && site.context.leadership.holds();
        if decided.planned.read.is_empty() || !askable {
            break;
        }
        let questions = Questions::of(&decided.desired, &decided.planned, live);
        let mut seen = pin!(ask(site, &questions, known.session));
        let seen = match tokio::time::timeout(ANNOUNCED_AFTER, &mut seen).await {
            Ok(seen) => seen,
            Err(_) => {
                announce(site, declared, known, decided, live).await;
                seen.await
            }
        };
        let finished = take_in(site, seen, live, known.session);
        known.look_at_facts(site, live);
        *decided = declared.decide_again(known, live, clock::now());
        if !finished {
            break;
        }
    }
}

/// Reads what the plan asks for. `false`: the station fell over or went away.
pub(super) async fn read(
    site: &Site<'_>,
    desired: &Desired,
    planned: &Plan,
    live: &mut Live,
    session: Option<u64>,
) -> bool {
    let questions = Questions::of(desired, planned, live);
    let seen = ask(site, &questions, session).await;
    take_in(site, seen, live, session)
}

/// What a station is to be asked.
struct Questions {
    asks: Vec<Ask>,
    pieces: Pieces,
}

impl Questions {
    fn of(desired: &Desired, planned: &Plan, live: &Live) -> Self {
        let catalogue = &desired.catalogue;
        let asks = planned
            .read
            .iter()
            .map(|key| Ask {
                key: key.clone(),
                spelling: live.spellings.get(key).cloned(),
                secret: match desired.settings.get(key) {
                    Some(setting) => {
                        setting.definition().is_secret()
                            || matches!(setting.value(), SettingValue::Secret { .. })
                    }
                    None => catalogue.definition(key).is_secret(),
                },
                alone: live
                    .memory
                    .keys
                    .get(key)
                    .is_some_and(|memory| memory.falls.is_some())
                    || matches!(
                        live.observed.readings.get(key),
                        Some(Reading::Failed { .. })
                    ),
            })
            .collect();
        let pieces = Pieces {
            station: live.piece,
            catalogue: catalogue
                .quirks()
                .max_keys_per_request
                .and_then(|keys| usize::try_from(keys).ok()),
            delivered: catalogue
                .find(&Key::from(MAX_KEYS))
                .and_then(|definition| definition.default.as_ref()?.value.parse().ok()),
        };
        Self { asks, pieces }
    }
}

async fn ask(site: &Site<'_>, questions: &Questions, session: Option<u64>) -> Observation {
    let Site {
        context, identity, ..
    } = *site;
    let Questions { asks, pieces } = questions;
    observe(&context.wire, identity, asks, *pieces, &|act| {
        still_allowed(site, act)?;
        on_connection(site, session).map(|_| ())
    })
    .await
}

/// Takes in what came of asking. `false`: the station fell over or went away.
fn take_in(site: &Site<'_>, seen: Observation, live: &mut Live, session: Option<u64>) -> bool {
    let Site {
        context,
        station,
        identity,
        ..
    } = *site;
    let whole = live.observed.readings.is_empty();
    if !seen.falls.is_empty() {
        live.memory =
            outcome::record_read_fall(std::mem::take(&mut live.memory), &seen.falls, clock::now());
    }
    if let Some(aborted) = &seen.aborted {
        tracing::info!(station = %station.name_any(), why = %aborted, "a read ended early");
    }
    live.piece = seen.piece.or(live.piece);
    for (key, reading) in &seen.observed.readings {
        if let Reading::Known { spelling, .. } = reading
            && spelling != key
        {
            live.spellings.insert(key.clone(), spelling.clone());
        }
    }
    let connectors = seen
        .observed
        .readings
        .iter()
        .find(|(key, _)| key.matches(&Key::from("NumberOfConnectors")));
    if let Some(count) = connectors.and_then(|(_, reading)| reading.value()?.trim().parse().ok()) {
        context.connector.announce_connectors(identity, count);
    }
    live.observed.readings.extend(seen.observed.readings);
    live.observed.at_event = live.memory.event;
    live.observed.ended = seen.aborted.as_ref().and_then(|aborted| match aborted {
        Aborted::Unresponsive(_) => Some(aborted.to_string()),
        // What the link or whoever stopped it does is told of the station itself.
        Aborted::Stopped(_)
        | Aborted::Disconnected
        | Aborted::Offline
        | Aborted::NotDelivered(_) => None,
    });
    live.observed_session = session;
    if whole && seen.aborted.is_none() {
        live.read_at = Some(clock::now());
    }
    seen.aborted.is_none()
}
