//! The rounds on which Secrets are read again: when a handshake asks, when a file changed, and every ten minutes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::admission::secrets_of;
use crate::controller::Context;

/// How often Secrets in use are read again (section 9 of the design).
pub(super) const SECRETS_EVERY: Duration = Duration::from_secs(600);

/// Reads the Secrets that handshakes ask for, and all in use every ten minutes; those of files also when a file changes.
pub(super) async fn read_secrets(
    context: Arc<Context>,
    mut wants: mpsc::UnboundedReceiver<(String, String)>,
    mut changed: Option<watch::Receiver<u64>>,
) {
    let mut round = tokio::time::interval(SECRETS_EVERY);
    round.reset();
    loop {
        // All three are cancel-safe.
        tokio::select! {
            want = wants.recv() => {
                let Some((namespace, name)) = want else { return };
                if context.secrets.peek(&namespace, &name).is_none() {
                    // What is wrong with it is told where it is needed.
                    let _ = context.secrets.get(&namespace, &name).await;
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

pub(super) async fn read_all_secrets(context: &Context) {
    let mut names = context.secrets.names();
    names.extend(
        context
            .stores
            .stations
            .state()
            .iter()
            .flat_map(|station| secrets_of(station).collect::<Vec<_>>()),
    );
    names.sort();
    names.dedup();
    for (namespace, name) in names {
        context.secrets.refresh(&namespace, &name).await;
    }
    context.look_again();
}
