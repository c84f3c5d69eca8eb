//! Leader election by client-go's rules: one Lease, changed only by compare-and-swap on its resourceVersion; expiry is
//! judged by the observer's own monotonic clock, never by comparing a remote time with ours (section 14 of the design).
//!
//! In comes a client and who we are; out goes a [`Leadership`] that every frame to a station is checked against. What is
//! deliberately absent: any decision about stations, and any retry after leadership was lost: the process ends then, as
//! Kubernetes controllers do, and its successor starts from what is recorded.

pub mod label;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::kubernetes::{Refusals, is_refusal};

/// How long giving the Lease up may take.
const RELEASE: Duration = Duration::from_secs(2);

/// How the election is held. The defaults are client-go's.
#[derive(Clone, Debug)]
pub struct Election {
    /// The Lease's name.
    pub name: String,
    /// The Lease's namespace.
    pub namespace: String,
    /// Who we are; unique per process.
    pub holder: String,
    /// How long a Lease counts without being renewed.
    pub lease_duration: Duration,
    /// How long renewing may fail before we step down; shorter than `lease_duration`.
    pub renew_deadline: Duration,
    /// The pause between two looks at the Lease.
    pub retry_period: Duration,
}

/// Why the election ended.
#[derive(Debug, thiserror::Error)]
pub enum ElectionError {
    /// Somebody else holds the Lease, or it could not be renewed in time.
    #[error("leadership was lost: {0}")]
    Lost(String),
    /// The API server refuses for good.
    #[error(
        "failed to use Lease {namespace:?}/{name:?}; grant get, create and update on leases in that namespace"
    )]
    Refused {
        /// The Lease's namespace.
        namespace: String,
        /// The Lease's name.
        name: String,
        /// What the API server said.
        #[source]
        source: Box<kube::Error>,
    },
}

/// The right to act on stations, as long as it lasts.
///
/// Without a cluster there is nobody to compete with, and it lasts for ever ([`Leadership::sole`]).
#[derive(Clone, Debug)]
pub struct Leadership {
    epoch: u64,
    /// Milliseconds since `origin` until which the last renewal holds.
    valid_until: Arc<AtomicU64>,
    origin: Instant,
    /// The former leader may still believe in its Lease until then.
    may_write_from: Instant,
}

impl Leadership {
    /// The leadership of a process that has no rivals (a folder source, whose state directory is locked).
    pub fn sole() -> Self {
        let origin = Instant::now();
        Self {
            epoch: 0,
            valid_until: Arc::new(AtomicU64::new(u64::MAX)),
            origin,
            may_write_from: origin,
        }
    }

    /// The Lease's transitions: rises with every change of leader.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Does the last renewal still hold, by our own monotonic clock? Asked right before each frame, so that a process
    /// that was paused finds out before it sends anything.
    pub fn holds(&self) -> bool {
        let now = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        now < self.valid_until.load(Ordering::Acquire)
    }

    /// May stations be written yet? A new leader waits one lease duration, in which the former one must notice.
    pub fn may_write(&self) -> bool {
        self.holds() && Instant::now() >= self.may_write_from
    }

    /// How long until stations may be written.
    pub fn write_pause(&self) -> Duration {
        self.may_write_from
            .saturating_duration_since(Instant::now())
    }

    /// Ends it at once: somebody else leads, or nobody can tell.
    fn end(&self) {
        self.valid_until.store(0, Ordering::Release);
    }

    fn renewed(&self, asked_at: Instant, lease_duration: Duration) {
        let until = asked_at.saturating_duration_since(self.origin) + lease_duration;
        self.valid_until.store(
            u64::try_from(until.as_millis()).unwrap_or(u64::MAX),
            Ordering::Release,
        );
    }
}

/// What was last seen of the Lease, and when by our clock its content last changed.
struct Seen {
    resource_version: Option<String>,
    changed_at: Instant,
}

/// Waits until the Lease is ours. Returns `None` when cancelled first.
pub async fn acquire(
    api: &Api<Lease>,
    election: &Election,
    cancel: &CancellationToken,
) -> Result<Option<Leadership>, ElectionError> {
    let mut seen = Seen {
        resource_version: None,
        changed_at: Instant::now(),
    };
    let mut refusals = Refusals::default();
    loop {
        // An API server that never answers must hold neither a successor nor the end of the process.
        let attempt = tokio::time::timeout(
            election.renew_deadline,
            try_acquire(api, election, &mut seen),
        );
        let attempt = tokio::select! {
            () = cancel.cancelled() => break,
            attempt = attempt => attempt,
        };
        match attempt {
            Ok(Ok(Some(leadership))) => return Ok(Some(leadership)),
            Ok(Ok(None)) => refusals.over(),
            Ok(Err(error)) if !is_refusal(&error) => tell(&error),
            Ok(Err(error)) if refusals.may_pass(&error, Instant::now()) => tell(&error),
            Ok(Err(error)) => return Err(refused(election, error)),
            Err(_) => {
                tracing::warn!("the API server does not answer about the Lease; trying again")
            }
        }
        tokio::select! {
            () = cancel.cancelled() => break,
            () = tokio::time::sleep(election.retry_period) => {}
        }
    }
    // An attempt that was given up without an answer may have won, and nobody would renew it.
    release(api, election).await;
    Ok(None)
}

/// Renews until cancelled or until leadership is lost. Either way nothing may be sent afterwards: what is still about to
/// end must not act beside a successor that finds the Lease released.
pub async fn hold(
    api: &Api<Lease>,
    election: &Election,
    leadership: &Leadership,
    cancel: &CancellationToken,
) -> Result<(), ElectionError> {
    let held = keep(api, election, leadership, cancel).await;
    leadership.end();
    held
}

async fn keep(
    api: &Api<Lease>,
    election: &Election,
    leadership: &Leadership,
    cancel: &CancellationToken,
) -> Result<(), ElectionError> {
    let mut renewed_at = Instant::now();
    let mut refusal = None;
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            () = tokio::time::sleep(election.retry_period) => {}
        }
        let asked_at = Instant::now();
        let limit = election.renew_deadline.saturating_sub(renewed_at.elapsed());
        match tokio::time::timeout(limit, renew(api, election)).await {
            Ok(Ok(true)) => {
                leadership.renewed(asked_at, election.lease_duration);
                renewed_at = asked_at;
            }
            Ok(Ok(false)) => {
                return Err(ElectionError::Lost(
                    "another process holds the Lease".to_owned(),
                ));
            }
            Ok(Err(error)) => {
                tell(&error);
                refusal = is_refusal(&error).then_some(error);
            }
            Err(_) => {}
        }
        if renewed_at.elapsed() >= election.renew_deadline {
            return Err(match refusal {
                Some(error) => refused(election, error),
                None => ElectionError::Lost(format!(
                    "the Lease could not be renewed for {} s",
                    election.renew_deadline.as_secs()
                )),
            });
        }
    }
    Ok(())
}

/// Gives the Lease up, so that a successor need not wait for it to expire. Call it when nothing of ours can act any
/// more. Best effort: a Lease that is not released expires.
pub async fn release(api: &Api<Lease>, election: &Election) {
    // What does not answer now will see the Lease expire.
    let _ = tokio::time::timeout(RELEASE, give_up(api, election)).await;
}

async fn give_up(api: &Api<Lease>, election: &Election) {
    let Ok(Some(mut lease)) = api.get_opt(&election.name).await else {
        return;
    };
    let Some(spec) = lease.spec.as_mut() else {
        return;
    };
    if spec.holder_identity.as_deref() != Some(&election.holder) {
        return;
    }
    spec.holder_identity = Some(String::new());
    spec.lease_duration_seconds = Some(1);
    if let Err(error) = api
        .replace(&election.name, &PostParams::default(), &lease)
        .await
    {
        tracing::info!(
            error = &error as &dyn std::error::Error,
            "the Lease was not released; it will expire"
        );
    }
}

/// A fault that may pass is logged.
fn tell(error: &kube::Error) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "failed to reach the Lease; trying again"
    );
}

/// A refusal that does not pass ends the election: only a person can mend it.
fn refused(election: &Election, error: kube::Error) -> ElectionError {
    ElectionError::Refused {
        namespace: election.namespace.clone(),
        name: election.name.clone(),
        source: Box::new(error),
    }
}

async fn try_acquire(
    api: &Api<Lease>,
    election: &Election,
    seen: &mut Seen,
) -> Result<Option<Leadership>, kube::Error> {
    let asked_at = Instant::now();
    let Some(mut lease) = api.get_opt(&election.name).await? else {
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(election.name.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(our_spec(election, None, 1)),
        };
        // If nobody led before us, nobody has to notice; if the Lease was deleted, its holder has.
        let pause = if seen.resource_version.is_some() {
            election.lease_duration
        } else {
            Duration::ZERO
        };
        return swapped(api.create(&PostParams::default(), &lease).await)
            .map(|won| won.then(|| leadership(1, asked_at, election, pause)));
    };
    if lease.metadata.resource_version != seen.resource_version {
        seen.resource_version
            .clone_from(&lease.metadata.resource_version);
        // Not when it was asked for: it may have been renewed until it was answered.
        seen.changed_at = Instant::now();
    }
    let spec = lease.spec.clone().unwrap_or_default();
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    let released = holder.is_empty();
    let held_for =
        Duration::from_secs(u64::try_from(spec.lease_duration_seconds.unwrap_or(15)).unwrap_or(15));
    if !released && holder != election.holder && seen.changed_at.elapsed() < held_for {
        return Ok(None);
    }
    let transitions = spec.lease_transitions.unwrap_or(0).saturating_add(1);
    lease.spec = Some(our_spec(election, None, transitions));
    let won = swapped(
        api.replace(&election.name, &PostParams::default(), &lease)
            .await,
    )?;
    let pause = if released { Duration::ZERO } else { held_for };
    Ok(won.then(|| {
        leadership(
            u64::try_from(transitions).unwrap_or(0),
            asked_at,
            election,
            pause,
        )
    }))
}

/// `Ok(false)`: somebody else holds it.
async fn renew(api: &Api<Lease>, election: &Election) -> Result<bool, kube::Error> {
    // A Lease that was deleted is lost: whoever makes it anew leads.
    let Some(mut lease) = api.get_opt(&election.name).await? else {
        return Ok(false);
    };
    let spec = lease.spec.clone().unwrap_or_default();
    if spec.holder_identity.as_deref() != Some(&election.holder) {
        return Ok(false);
    }
    lease.spec = Some(our_spec(
        election,
        spec.acquire_time,
        spec.lease_transitions.unwrap_or(1),
    ));
    match api
        .replace(&election.name, &PostParams::default(), &lease)
        .await
    {
        Ok(_) => Ok(true),
        // Changed in between: look again before believing that it is lost.
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let lease = api.get(&election.name).await?;
            Ok(lease.spec.and_then(|spec| spec.holder_identity).as_deref()
                == Some(&election.holder))
        }
        Err(error) => Err(error),
    }
}

/// Losing a compare-and-swap is an answer, not an error.
fn swapped(result: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

fn leadership(epoch: u64, asked_at: Instant, election: &Election, pause: Duration) -> Leadership {
    let leadership = Leadership {
        epoch,
        valid_until: Arc::new(AtomicU64::new(0)),
        origin: asked_at,
        may_write_from: Instant::now() + pause,
    };
    leadership.renewed(asked_at, election.lease_duration);
    leadership
}

fn our_spec(election: &Election, acquired: Option<MicroTime>, transitions: i32) -> LeaseSpec {
    let now = MicroTime(clock::now());
    LeaseSpec {
        holder_identity: Some(election.holder.clone()),
        lease_duration_seconds: Some(
            i32::try_from(election.lease_duration.as_secs()).unwrap_or(15),
        ),
        acquire_time: Some(acquired.unwrap_or_else(|| now.clone())),
        renew_time: Some(now),
        lease_transitions: Some(transitions),
        ..LeaseSpec::default()
    }
}
