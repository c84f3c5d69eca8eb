//! The rounds on which Secrets are read again: when a handshake asks, when a file changed, and every ten minutes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::ResourceExt;
use tokio::sync::{mpsc, watch};

use crate::admission::{Wanted, secrets_of};
use crate::controller::Context;
use crate::secret_cache::Place;

/// How often Secrets in use are read again (section 9 of the design).
pub(super) const SECRETS_EVERY: Duration = Duration::from_secs(600);

/// Secrets that are read at once: gentle to the API server, quick enough for a fleet.
const READS_AT_ONCE: usize = 16;

/// Reads the Secrets that handshakes ask for, and all in use every ten minutes; those of files also when a file changes.
pub(super) async fn read_secrets(
    context: Arc<Context>,
    mut wants: mpsc::UnboundedReceiver<Wanted>,
    mut changed: Option<watch::Receiver<u64>>,
) {
    let mut round = tokio::time::interval(SECRETS_EVERY);
    round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    round.reset();
    loop {
        // All three are cancel-safe.
        tokio::select! {
            want = wants.recv() => {
                let Some(Wanted { namespace, name, since }) = want else { return };
                let before = context.secrets.peek(&namespace, &name).flatten();
                // What is wrong with it is told where it is needed; one that was absent is not asked for at each try.
                let now = context.secrets.get_since(&namespace, &name, since).await;
                if before.is_some() != now.is_ok() {
                    context.look_again();
                }
            }
            _ = round.tick() => read_all_secrets(&context).await,
            () = next_change(&mut changed) => read_all_secrets(&context).await,
        }
    }
}

/// Waits for a change; for ever where changes are not told, as by a cluster.
pub(super) async fn next_change(changed: &mut Option<watch::Receiver<u64>>) {
    if let Some(receiver) = changed
        && receiver.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Reads all Secrets in use again, has the stations looked at if one changed, and forgets those that nothing names.
pub(super) async fn read_all_secrets(context: &Context) {
    let in_use = secrets_in_use(context);
    context.secrets.retain(&in_use);
    let refreshed = futures::stream::iter(in_use)
        .map(|(namespace, name)| async move { context.secrets.refresh(&namespace, &name).await })
        .buffer_unordered(READS_AT_ONCE);
    if refreshed
        .fold(false, async |changed, this| changed | this)
        .await
    {
        context.look_again();
    }
}

/// The Secrets that stations and configs name.
fn secrets_in_use(context: &Context) -> BTreeSet<Place> {
    let stations = context.stores.stations.state();
    let configs = context.stores.configs.state();
    let of_stations = stations.iter().flat_map(|station| secrets_of(station));
    let of_configs = configs.iter().flat_map(|config| {
        let namespace = config.namespace().unwrap_or_default();
        let sources = config.spec.settings.iter();
        sources
            .filter_map(|setting| setting.value_from.as_ref()?.secret_key_ref.as_ref())
            .map(move |secret| (namespace.clone(), secret.name.clone()))
    });
    of_stations.chain(of_configs).collect()
}
