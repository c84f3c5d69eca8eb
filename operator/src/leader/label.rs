//! The label by which a Service finds the leader, so that no station meets a standby (section 10 of the design).
//!
//! In come a client and our own Pod's name; out go patches of one label: on our Pod while we lead, off every other Pod
//! that still carries it. A Pod keeps its labels when its container is killed, so a former leader may carry one that it
//! could not take off: whoever leads next does it. What is deliberately absent: any say in who leads.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Leadership;
use crate::kubernetes::FIELD_MANAGER;

/// The label.
pub const LEADER_LABEL: &str = "stationkeeper.dev/leader";

/// Its value.
const LEADS: &str = "true";

/// How often the labels are looked at while we lead: somebody may have changed them, or a Pod may have come back.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// How soon they are looked at again after a failure.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// How long the API server may take to answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Our Pod, as the one that may carry the label.
#[derive(Clone, Debug)]
pub struct LabelledPod {
    /// Its name.
    pub name: String,
    /// The namespace in which it runs.
    pub namespace: String,
}

/// Why the labels are not as they should be.
#[derive(Debug, thiserror::Error)]
enum LabelError {
    #[error("failed to look for Pods with the label {LEADER_LABEL}")]
    Look(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("failed to change the label {LEADER_LABEL} of Pod {pod:?}")]
    Change {
        pod: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Keeps the label on our Pod, and on no other, until `leads` is cancelled, and takes it off then. Only the leader may
/// run it. A patch that is under way is awaited first: it could reach the API server after the one that takes the label
/// off. A process that stood still for longer than its Lease changes nothing: another may lead and carry it by now.
pub async fn carry(
    client: kube::Client,
    pod: &LabelledPod,
    leadership: &Leadership,
    leads: &CancellationToken,
) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace);
    let mut told = false;
    while !leads.is_cancelled() && leadership.holds() {
        let pause = match settle(&pods, &pod.name, leadership).await {
            Ok(()) => {
                told = false;
                LOOK_AGAIN
            }
            Err(error) => {
                // Once is enough for a person; the next success ends it.
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "stations may not find this leader: the Service selects by the label; trying again"
                    );
                }
                TRY_AGAIN
            }
        };
        leads.run_until_cancelled(tokio::time::sleep(pause)).await;
    }
    remove(client, pod).await;
}

/// Takes the label off our Pod: before we wait to lead, since an earlier life of the container may have left it, and
/// when we stop leading. Best effort: the next leader takes it off otherwise.
pub async fn remove(client: kube::Client, pod: &LabelledPod) {
    let pods: Api<Pod> = Api::namespaced(client, &pod.namespace);
    let ours = async {
        let found = pods
            .get_opt(&pod.name)
            .await
            .map_err(|error| LabelError::Look(Box::new(error)))?;
        match found {
            Some(found) if found.labels().contains_key(LEADER_LABEL) => {
                change(&pods, &pod.name, None).await
            }
            Some(_) | None => Ok(()),
        }
    };
    match tokio::time::timeout(LIMIT, ours).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::info!(
            error = &error as &dyn std::error::Error,
            "the leader's label was not taken off this Pod; the next leader does it"
        ),
        Err(_) => tracing::info!(
            "the leader's label was not taken off this Pod: the API server does not answer; the next leader does it"
        ),
    }
}

/// Puts the label on one Pod and takes it off all others. Writes only what differs, and only as long as we lead.
async fn settle(pods: &Api<Pod>, leader: &str, leadership: &Leadership) -> Result<(), LabelError> {
    let labelled = ListParams::default().labels(LEADER_LABEL);
    let found = tokio::time::timeout(LIMIT, pods.list(&labelled))
        .await
        .map_err(|elapsed| LabelError::Look(Box::new(elapsed)))?
        .map_err(|error| LabelError::Look(Box::new(error)))?;
    let (ours, others): (Vec<Pod>, Vec<Pod>) = found
        .items
        .into_iter()
        .partition(|pod| pod.name_any() == leader);
    // The others first: with two, stations could still meet the one that no longer leads.
    for other in others {
        if !leadership.holds() {
            return Ok(());
        }
        change(pods, &other.name_any(), None).await?;
    }
    let labelled = |pod: &Pod| {
        pod.labels()
            .get(LEADER_LABEL)
            .is_some_and(|value| value == LEADS)
    };
    if ours.iter().any(labelled) || !leadership.holds() {
        return Ok(());
    }
    change(pods, leader, Some(LEADS)).await
}

/// Sets the label of a Pod, or takes it off.
async fn change(pods: &Api<Pod>, name: &str, value: Option<&str>) -> Result<(), LabelError> {
    let patch = Patch::Merge(json!({"metadata": {"labels": {LEADER_LABEL: value}}}));
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| LabelError::Change {
        pod: name.to_owned(),
        source,
    };
    match tokio::time::timeout(LIMIT, pods.patch_metadata(name, &params, &patch)).await {
        Ok(Ok(_)) => Ok(()),
        // A Pod that is gone carries no label.
        Ok(Err(kube::Error::Api(status))) if status.code == 404 && value.is_none() => Ok(()),
        Ok(Err(error)) => Err(failed(Box::new(error))),
        Err(elapsed) => Err(failed(Box::new(elapsed))),
    }
}
