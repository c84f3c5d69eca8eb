//! The queue: which stations are to be reconciled, and when. kube's applier does the rest: one reconcile of a station at
//! a time, requests for a waiting one folded into one.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::ResourceExt;
use kube::runtime::controller::{Action, Config, applier};
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::context::Context;
use super::station::{ReconcileError, reconcile};
use crate::admission::secrets_of;
use crate::connector::Connector;
use crate::objects::{ChargeStation, KeyCatalogue};
use crate::stores::{Changed, Claim};
use crate::trace;

/// Secrets that are read at once for the handshakes of a fleet that was just listed.
const SECRETS_AT_ONCE: usize = 16;

/// How many of kube's runners share the stations. A runner polls every reconcile that it runs whenever one of them wakes,
/// so with one runner a fleet's work would grow with the square of its size.
const RUNNERS: u64 = 64;

/// Reconciles stations until the stream of changes ends (the source stopped) or `cancel` fires; then lets the running
/// reconciles finish.
pub async fn run_stations(
    context: Arc<Context>,
    changes: mpsc::UnboundedReceiver<Changed>,
    asked: mpsc::UnboundedReceiver<ObjectRef<ChargeStation>>,
    cancel: tokio_util::sync::CancellationToken,
) {
    let queue = futures::stream::select_all([
        from_changes(Arc::clone(&context), changes).boxed(),
        from_stations(Arc::clone(&context)).boxed(),
        from_all(Arc::clone(&context)).boxed(),
        tokio_stream::wrappers::UnboundedReceiverStream::new(asked).boxed(),
    ])
    .take_until(cancel.clone().cancelled_owned());
    let (runners, queues): (Vec<_>, Vec<_>) =
        (0..RUNNERS).map(|_| mpsc::unbounded_channel()).unzip();
    // A station has one runner for ever, and a runner reconciles it once at a time. With the queue the runners' queues end.
    let deal = queue.for_each(move |station| {
        if let Some(runner) = runners.get(runner_of(&station)) {
            // A runner ends after its queue only.
            let _ = runner.send(station);
        }
        std::future::ready(())
    });
    let run = async {
        // kube's store wakes only one of those who wait until it is filled; whoever asks later is answered at once.
        let filled = context.stores.stations.wait_until_ready();
        if cancel.run_until_cancelled(filled).await.is_none() {
            return;
        }
        let each = queues.into_iter().map(|queue| run(&context, queue));
        futures::future::join_all(each).await;
    };
    futures::future::join(deal, run).await;
}

/// The number of a station's runner.
fn runner_of(station: &ObjectRef<ChargeStation>) -> usize {
    let mut hasher = DefaultHasher::new();
    station.hash(&mut hasher);
    usize::try_from(hasher.finish() % RUNNERS).unwrap_or_default()
}

/// Reconciles the stations of one queue until it ends; then lets the running reconciles finish.
async fn run(context: &Arc<Context>, queue: mpsc::UnboundedReceiver<ObjectRef<ChargeStation>>) {
    let queue = tokio_stream::wrappers::UnboundedReceiverStream::new(queue);
    applier(
        |station, context| Box::pin(in_a_task(station, context)),
        |station, error, context| back_off(&station, error, &context),
        Arc::clone(context),
        context.stores.stations.clone(),
        queue.map(Ok::<_, std::convert::Infallible>),
        Config::default(),
    )
    .for_each(|result| async move {
        match result {
            Ok(_) => {}
            // Deleted between the request and its turn: nothing to do.
            Err(kube::runtime::controller::Error::ObjectNotFound(_)) => {}
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to reconcile a station; trying again"
            ),
        }
    })
    .await;
}

/// Reconciles in a task of its own. kube's runner polls all its futures whenever one of them wakes, in one task: a poll of
/// every reconcile for each answer of a station, and one core for the whole fleet.
/// It waits for the task, so that nothing else changes: one reconcile of a station at a time, a shutdown that lets
/// them finish, and a panic that ends the process.
async fn in_a_task(
    station: Arc<ChargeStation>,
    context: Arc<Context>,
) -> Result<Action, ReconcileError> {
    let traced = async move {
        let (namespace, name) = (station.namespace().unwrap_or_default(), station.name_any());
        trace::reconcile(&namespace, &name, reconcile(station, context)).await
    };
    match AbortOnDropHandle::new(tokio::spawn(traced)).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Nobody aborts it but this handle; the runtime does, when it ends, and nothing is waited for then.
            Err(_) => Ok(Action::await_change()),
        },
    }
}

/// A growing pause, jittered: an API server that comes back must not meet the whole fleet at once.
fn back_off(
    station: &Arc<ChargeStation>,
    _error: &ReconcileError,
    context: &Arc<Context>,
) -> Action {
    let failures = context
        .lives
        .peek(&ObjectRef::from_obj(station.as_ref()))
        .and_then(|cell| cell.live.try_lock().ok().map(|live| live.failures))
        .unwrap_or(1);
    let base = Duration::from_millis(500) * 2_u32.pow(failures.min(7));
    Action::requeue(base.mul_f64(rand::random_range(0.5..1.5)))
}

/// Stations that changes of objects concern.
fn from_changes(
    context: Arc<Context>,
    mut changes: mpsc::UnboundedReceiver<Changed>,
) -> impl Stream<Item = ObjectRef<ChargeStation>> + Send {
    let (concerned, out) = mpsc::unbounded_channel();
    let translate = async move {
        let mut synced = (false, false, false);
        let mut known = std::collections::HashMap::new();
        while let Some(change) = changes.recv().await {
            match change {
                Changed::Stations => synced.0 = true,
                Changed::Configs => {
                    synced.1 = true;
                    context.configs.replace(&context.stores.configs.state());
                    context.kinds.forget();
                    // One that selects no station is told of too.
                    for config in context.stores.configs.state() {
                        let _ = context.touched.send(ObjectRef::from_obj(config.as_ref()));
                    }
                }
                Changed::Config(ref config) => {
                    let before = context.configs.version(config);
                    match context.stores.configs.get(config) {
                        Some(object) => context.configs.put(&object),
                        None => context.configs.remove(config),
                    }
                    let _ = context.touched.send(config.clone());
                    if context.configs.version(config) == before {
                        // Our own status write, or an annotation that means nothing to stations.
                        continue;
                    }
                    context.kinds.forget();
                }
                Changed::Catalogues => {
                    synced.2 = true;
                    let listed = context.stores.catalogues.state();
                    context.catalogues.replace(&listed);
                    context.kinds.forget();
                    touch_catalogues(&context, listed.iter());
                }
                Changed::Catalogue(ref catalogue) => {
                    let changes = match context.stores.catalogues.get(catalogue) {
                        Some(object) => context.catalogues.put(&object),
                        None => context.catalogues.remove(catalogue),
                    };
                    if !changes {
                        // Our own status write, or a mistake that leaves what was in force: for its author only.
                        let _ = context.touched_catalogues.send(catalogue.clone());
                        continue;
                    }
                    context.kinds.forget();
                    // A conflict with another of the namespace may have begun or ended.
                    let of_namespace = context
                        .stores
                        .catalogues
                        .state_filter(|other| other.namespace() == catalogue.namespace);
                    touch_catalogues(&context, of_namespace.iter());
                }
                Changed::Station(_) => {}
            }
            if synced != (true, true, true) {
                continue;
            }
            let stations: Vec<ObjectRef<ChargeStation>> = match change {
                Changed::Stations | Changed::Configs | Changed::Catalogues => {
                    all_stations(&context, &mut known)
                }
                Changed::Config(config) => stations_of(&context, config.namespace.as_deref()),
                Changed::Catalogue(catalogue) => {
                    stations_of(&context, catalogue.namespace.as_deref())
                }
                Changed::Station(station) => {
                    // Before it is reconciled: a new object, perhaps made anew, may come with another password.
                    prefetch(&context, &station).await;
                    with_rivals(&context, station, &mut known)
                }
            };
            // The Secrets are for handshakes; a reconcile reads what it needs itself, and does not wait for them.
            for station in &stations {
                if concerned.send(station.clone()).is_err() {
                    return;
                }
            }
            futures::stream::iter(stations)
                .for_each_concurrent(SECRETS_AT_ONCE, |station| {
                    let context = Arc::clone(&context);
                    async move { prefetch(&context, &station).await }
                })
                .await;
        }
    };
    // The translation runs as part of the stream: it is polled with it, and ends with it.
    let translate = futures::stream::once(translate).filter_map(|()| async { None });
    futures::stream::select(
        tokio_stream::wrappers::UnboundedReceiverStream::new(out),
        translate,
    )
}

/// Every station of a namespace.
fn stations_of(context: &Context, namespace: Option<&str>) -> Vec<ObjectRef<ChargeStation>> {
    context
        .stores
        .stations
        .state_filter(|station| station.namespace().as_deref() == namespace)
        .iter()
        .map(|station| ObjectRef::from_obj(station.as_ref()))
        .collect()
}

fn touch_catalogues<'a>(
    context: &Context,
    catalogues: impl Iterator<Item = &'a Arc<KeyCatalogue>>,
) {
    for catalogue in catalogues {
        // A closed channel means that the process is ending.
        let _ = context
            .touched_catalogues
            .send(ObjectRef::from_obj(catalogue.as_ref()));
    }
}

/// Every station of a list, and those that an earlier list had and this one has not: a watch that lost its history tells
/// of no deletion.
fn all_stations(
    context: &Context,
    known: &mut std::collections::HashMap<ObjectRef<ChargeStation>, String>,
) -> Vec<ObjectRef<ChargeStation>> {
    let gone: Vec<_> = known
        .keys()
        .filter(|station| context.stores.stations.get(station).is_none())
        .cloned()
        .collect();
    let mut stations: Vec<_> = gone
        .into_iter()
        .flat_map(|station| with_rivals(context, station, known))
        .collect();
    for station in context.stores.stations.state() {
        let target = ObjectRef::from_obj(station.as_ref());
        known.insert(target.clone(), station.spec.identity.clone());
        stations.push(target);
    }
    stations
}

/// A station, and all others that name the identity it has or had: they may be free now, or in conflict.
fn with_rivals(
    context: &Context,
    station: ObjectRef<ChargeStation>,
    known: &mut std::collections::HashMap<ObjectRef<ChargeStation>, String>,
) -> Vec<ObjectRef<ChargeStation>> {
    let identity = context
        .stores
        .stations
        .get(&station)
        .map(|object| object.spec.identity.clone());
    let former = match &identity {
        Some(identity) => known.insert(station.clone(), identity.clone()),
        None => {
            let former = known.remove(&station);
            // Its object is gone: nobody may stay connected under it, and nothing is left to remember.
            context.lives.forget(&station);
            for config in context
                .stores
                .configs
                .state_filter(|config| config.namespace() == station.namespace)
            {
                let _ = context.touched.send(ObjectRef::from_obj(config.as_ref()));
            }
            if let Some(former) = &former
                && context.stores.claim(former) == Claim::Nobody
            {
                context
                    .connector
                    .forget(&crate::connector::Identity::new(former));
            }
            former
        }
    };
    let mut all = vec![station];
    for identity in [
        identity.clone(),
        former.filter(|former| Some(former) != identity.as_ref()),
    ]
    .into_iter()
    .flatten()
    {
        match context.stores.claim(&identity) {
            Claim::Several(rivals) => all.extend(
                rivals
                    .into_iter()
                    .filter(|rival| !all.contains(rival))
                    .collect::<Vec<_>>(),
            ),
            Claim::One(rival) if !all.contains(&rival) => all.push(rival),
            Claim::One(_) | Claim::Nobody | Claim::NotSynced => {}
        }
    }
    all
}

/// Reads the Secrets that the station's handshake will need, if they were not read since its object is known: what was read
/// for another one, perhaps of its name, may be old.
async fn prefetch(context: &Context, station: &ObjectRef<ChargeStation>) {
    let stores = &context.stores;
    let (Some(object), Some(since)) = (stores.stations.get(station), stores.known_since(station))
    else {
        return;
    };
    for (namespace, name) in secrets_of(&object) {
        let held = context.secrets.peek_since(&namespace, &name, since);
        if held.is_none() {
            // What is wrong with it is told by admission and by the settings that need it.
            let _ = context.secrets.get_since(&namespace, &name, since).await;
        }
    }
}

/// All stations, when Secrets were read again or the brake moved.
fn from_all(context: Arc<Context>) -> impl Stream<Item = ObjectRef<ChargeStation>> + Send {
    let brake = context.brake.clone();
    let wakes = futures::stream::unfold((context, brake), |(context, mut brake)| async move {
        let moved = tokio::select! {
            () = context.again.notified() => true,
            moved = brake.changed() => moved.is_ok(),
        };
        if !moved {
            // The lever is gone: the process is ending.
            std::future::pending::<()>().await;
        }
        let stations: Vec<_> = context
            .stores
            .stations
            .state()
            .iter()
            .map(|station| ObjectRef::from_obj(station.as_ref()))
            .collect();
        Some((futures::stream::iter(stations), (context, brake)))
    });
    wakes.flatten()
}

/// Stations that said something: connected, booted, disconnected.
fn from_stations(context: Arc<Context>) -> impl Stream<Item = ObjectRef<ChargeStation>> + Send {
    futures::stream::unfold(context, |context| async move {
        loop {
            let identity = Connector::wake(context.connector.as_ref()).await;
            if let Claim::One(station) = context.stores.claim(identity.as_str()) {
                return Some((station, context));
            }
        }
    })
}
