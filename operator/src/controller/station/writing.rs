//! Writing: the plan's changes, recorded in status before the first frame leaves, and the closing read after the last.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use stationkeeper_core::memory::Memory;
use stationkeeper_core::observed::Observed;
use stationkeeper_core::outcome;
use stationkeeper_core::station::Link;
use stationkeeper_core::status::station_status;
use tokio::sync::OwnedSemaphorePermit;

use super::Site;
use super::deciding::{Decided, Declared, plan_for};
use super::facts::{Known, take_events};
use super::guard::{Expected, as_planned, still_allowed};
use super::reading::read;
use super::telling::{tell, told_of};
use crate::clock;
use crate::controller::context::Moment;
use crate::controller::live::{Live, Told};
use crate::controller::publish::{Report, compose, publish};
use crate::execute::{Act, Executed, Stop, Target, execute};
use crate::objects::ChargeStation;
use crate::source::PublishError;

/// How many passes follow one another when each closing read shows that there is more to do.
const PASSES_IN_A_ROW: u32 = 4;

/// What became of the writing.
pub(super) struct Written {
    /// The object as it is now: the intent may have been recorded in it.
    pub(super) station: Arc<ChargeStation>,
    /// When to come back for what is left, if anything is.
    pub(super) again: Option<Duration>,
}

/// Sends the plan's changes, if they may be sent now, and decides again by what came of them.
/// (Network: the publisher, then the station.)
pub(super) async fn write(
    site: &Site<'_>,
    declared: &Declared,
    known: &mut Known,
    decided: &mut Decided,
    live: &mut Live,
) -> Result<Written, PublishError> {
    let (permits, again) = hold_back(site, decided);
    let mut written = Written {
        station: Arc::clone(site.station),
        again,
    };
    if decided.planned.changes.is_empty() {
        live.passes_in_a_row = 0;
        return Ok(written);
    }
    let before = std::mem::take(&mut decided.planned.memory);
    let intended = outcome::intend(before.clone(), &decided.planned.changes, clock::now());
    written.station = record_intent(site, declared, known, decided, live, &intended).await?;
    live.memory = intended;

    let executed = send(site, declared, known, decided, &live.memory).await;
    drop(permits);
    live.memory = outcome::withdraw(std::mem::take(&mut live.memory), &before, &executed.unsent);
    for outcome in &executed.outcomes {
        live.memory = outcome::record(std::mem::take(&mut live.memory), outcome);
        live.watched.wrote(outcome);
    }

    // A closing read of all managed keys: keys move other keys. (Network: the station.)
    let late = take_events(site, live, clock::now());
    known.look_again(site, live);
    let session = known.session;
    let stayed = session.is_some() && known.presence_session() == session;
    if known.facts.link == Link::Ready && stayed && !late.new_device {
        live.observed = Observed::default();
        let closing = plan_for(&decided.desired, known, live, clock::now());
        read(site, &decided.desired, &closing, live, session).await;
    }
    *decided = declared.decide_again(known, live, clock::now());
    written.again = more_to_do(decided, live);
    Ok(written)
}

/// Takes changes out of the plan that may not be sent now: the former leader may still act, or as many stations as
/// `rollout.maxConcurrent` allows are being written. Nobody waits here: events go on, and the station comes back.
fn hold_back(
    site: &Site<'_>,
    decided: &mut Decided,
) -> (Option<Vec<OwnedSemaphorePermit>>, Option<Duration>) {
    let context = site.context;
    let changes = &mut decided.planned.changes;
    let mut again = None;
    if !changes.is_empty() && !context.leadership.may_write() {
        let pause = context.leadership.write_pause();
        again = Some(pause.max(Duration::from_millis(100)));
        changes.clear();
    }
    let configs = changes.iter().map(|change| &change.config);
    let permits = context.configs.permits(configs);
    if permits.is_none() {
        changes.clear();
        again = Some(Duration::from_secs(1).mul_f64(rand::random_range(0.5..1.5)));
    }
    (permits, again)
}

/// Intent before act: a successor knows what may have happened. The verdicts go to those who listen: the writing is
/// followed by others. (Network: the publisher.)
async fn record_intent(
    site: &Site<'_>,
    declared: &Declared,
    known: &Known,
    decided: &mut Decided,
    live: &mut Live,
    intended: &Memory,
) -> Result<Arc<ChargeStation>, PublishError> {
    let Decided { desired, planned } = decided;
    let report = Report {
        status: station_status(planned, &known.facts, true),
        resolved_hash: Some(desired.hash.clone()),
        pending_reset: planned.pending_reset.as_ref(),
        presence: known.presence.as_ref(),
    };
    let status = compose(site.station, live, intended, report, clock::now());
    let recorded = publish(site.context, site.station, live, status).await?;
    let told = Told {
        progressing: true,
        ..told_of(
            std::mem::take(&mut planned.keys),
            desired,
            declared.configs(),
            &known.facts,
            &recorded,
            true,
        )
    };
    tell(site, &recorded, told, Moment::BeforeWriting).await;
    Ok(recorded)
}

/// The frames, each checked right before it leaves. (Network: the station.)
async fn send(
    site: &Site<'_>,
    declared: &Declared,
    known: &Known,
    decided: &Decided,
    memory: &Memory,
) -> Executed {
    let Site {
        context, station, ..
    } = site;
    let expected = Expected::of(
        &decided.planned,
        declared.configs(),
        (&decided.desired.catalogue, memory),
        known.session,
    );
    let guard = |act| {
        still_allowed(site, act)?;
        let catalogues = context.catalogues.version(&known.facts.namespace);
        if act == Act::Write && catalogues != declared.catalogue_version {
            let why = "a KeyCatalogue has changed since the plan was made";
            return Err(Stop(why.to_owned()));
        }
        as_planned(site, &expected, act)
    };
    let namespace = station.namespace().unwrap_or_default();
    let name = station.name_any();
    let target = Target {
        namespace: &namespace,
        station: &name,
        identity: site.identity,
    };
    execute(
        &context.wire,
        target,
        &decided.planned.changes,
        context.secrets.as_ref(),
        &guard,
        &mut |_| {},
    )
    .await
}

/// Did the closing read show that there is more to do? Then at once, but not for ever.
fn more_to_do(decided: &Decided, live: &mut Live) -> Option<Duration> {
    let planned = &decided.planned;
    if planned.changes.is_empty() && planned.read.is_empty() {
        live.passes_in_a_row = 0;
        return None;
    }
    live.passes_in_a_row += 1;
    let eager = live.passes_in_a_row < PASSES_IN_A_ROW;
    Some(if eager {
        Duration::from_millis(50)
    } else {
        Duration::from_secs(60)
    })
}
