//! The tutorial as it stands in its page: each command run in order in a real shell with the real kubectl and Helm against a
//! real API server, and what it prints compared with what the page shows.
//!
//! There are no nodes here. What a cluster does between the API server and the processes, [`node::Node`] stands in for: it
//! makes the Pods of Deployments, runs the `stationkeeper` of each Pod as a process with the Pod's own arguments, environment and
//! ServiceAccount token, writes the Pods' and Deployments' status, and leads connections for a Service to the Pod that the
//! Service selects. Each Pod has loopback ports in place of a network of its own. No image is pulled: the program is the one
//! built here, with a Lease that a machine which stands still takes from nobody. The page needs no `kubectl port-forward`,
//! `exec` or `logs`, which only a kubelet could answer: the simulated station is a Pod beside the gateway.

mod door;
mod node;
mod page;

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use stationkeeper_tests::{ApiServer, LIMIT};
use tokio::time::{Instant, sleep};

use crate::node::Node;
use crate::page::{Step, difference, steps};

const PAGE: &str = "docs/tutorial.md";

/// How long a person looks again at what a command shows that only reads: an Event or a count comes a moment after the condition
/// that was waited for.
const LOOK_AGAIN: Duration = LIMIT;

/// How long such a person waits between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// Runs one step, again for a while if it only reads; says how what it printed last differs from what the page shows.
async fn take(server: &ApiServer, step: &Step) -> Result<Option<String>> {
    let until = Instant::now() + LOOK_AGAIN;
    loop {
        let difference = take_once(server, step).await?;
        if difference.is_none() || !step.only_reads() || Instant::now() > until {
            return Ok(difference);
        }
        sleep(BETWEEN_LOOKS).await;
    }
}

/// Runs one step; says how what it printed differs from what the page shows.
async fn take_once(server: &ApiServer, step: &Step) -> Result<Option<String>> {
    // A person sees both outputs in one window.
    let ran = server
        .shell(&format!("exec 2>&1\n{}", step.command))
        .await?;
    let at = format!("{PAGE}:{}: $ {}", step.line, step.command);
    ensure!(
        ran.succeeded() != step.refused,
        "{at}\nended with {:?}:\n{}",
        ran.code,
        ran.stdout
    );
    Ok(difference(&step.shown, &ran.stdout)
        .map(|difference| format!("{at}\n{difference}\nIt printed:\n{}", ran.stdout)))
}

/// Runs the steps, and notes what they print otherwise than the page shows, so that one run tells all of it.
async fn follow(server: &ApiServer, steps: &[Step], differences: &mut Vec<String>) -> Result<()> {
    for step in steps {
        differences.extend(take(server, step).await?);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorial_does_what_its_page_shows() -> Result<()> {
    let page = fs::read_to_string(xtask::cargo::workspace().join(PAGE))
        .with_context(|| format!("failed to read {PAGE}"))?;
    let steps = steps(&page);
    ensure!(steps.len() > 15, "only {} commands were found", steps.len());
    let server = ApiServer::own().await?;
    let mut node = Node::new(&server).await?;
    let mut differences = Vec::new();
    let followed = tokio::select! {
        followed = follow(&server, &steps, &mut differences) => followed,
        failed = node.run() => failed.context("the node has failed"),
    };
    // What went otherwise before a failure often says why.
    let differences = differences.join("\n\n");
    followed.with_context(|| format!("{differences}\n{}", node.logs()))?;
    ensure!(differences.is_empty(), "{differences}");
    Ok(())
}
