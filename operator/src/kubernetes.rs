//! The Kubernetes API as the source of objects and the place for status.
//!
//! In come watches, as `watcher::Event`s for the local stores; out go status by server-side apply, Events and
//! registered stations. Secrets are read by name, never listed or watched. What is deliberately absent: any write to
//! `spec`, labels or annotations.

mod namespaces;
mod refusals;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference, Secret};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::core::object::HasStatus;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Resource, ResourceExt};
use secrecy::SecretSlice;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::clock;
use crate::connector::Pending;
use crate::objects::{
    ChargeStation, ChargeStationConfig, ChargeStationConfigStatus, ChargeStationStatus,
    KeyCatalogue, KeyCatalogueStatus,
};
use crate::source::{About, PublishError, Publisher, SecretData, Secrets, SecretsError, TellEvent};
pub(crate) use refusals::{Refusals, is_refusal};

/// The one field manager of everything that we write.
pub const FIELD_MANAGER: &str = "stationkeeper";

/// Status writes per second, for the whole process: gentle to etcd, enough to settle 20,000 stations in minutes.
const STATUS_WRITES_PER_SECOND: u32 = 50;

/// Events per second; what exceeds it is dropped, since Events are a convenience and the status holds the truth.
const EVENTS_PER_SECOND: u32 = 10;

/// How long the API server may take to answer; the client itself waits for ever.
const API_LIMIT: Duration = Duration::from_secs(10);

/// How soon a Secret is asked for again that was refused.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The API server, as source and publisher.
pub struct Kubernetes {
    client: Client,
    /// Watch these namespaces only; none: all.
    namespaces: Vec<String>,
    instance: String,
    status_pace: DefaultDirectRateLimiter,
    event_pace: DefaultDirectRateLimiter,
}

impl Kubernetes {
    /// Uses a client; `instance` is named in Events.
    pub fn new(client: Client, namespaces: Vec<String>, instance: String) -> Self {
        Self {
            client,
            namespaces,
            instance,
            status_pace: RateLimiter::direct(per_second(STATUS_WRITES_PER_SECOND)),
            event_pace: RateLimiter::direct(per_second(EVENTS_PER_SECOND)),
        }
    }

    /// Watches all objects of a kind, with back-off, for ever. Errors of the watch are logged and retried; they never
    /// end the stream.
    pub fn watch<K>(&self) -> impl Stream<Item = watcher::Event<K>> + Send + 'static
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + HasStatus
            + Clone
            + DeserializeOwned
            + std::fmt::Debug
            + Send
            + 'static,
    {
        self.in_namespaces(watch_one)
    }

    /// Watches all catalogues, as [`Self::watch`] does.
    ///
    /// A cluster whose CustomResourceDefinitions are older than the operator does not know the kind. Then there are no
    /// catalogues, which is what is told, and loudly; the fleet is not left alone for that, and when the definition is
    /// there, so are the catalogues. Not so once they have been listed: a definition that goes away for a moment
    /// deletes no guard.
    pub fn watch_catalogues(
        &self,
    ) -> impl Stream<Item = watcher::Event<KeyCatalogue>> + Send + 'static {
        self.in_namespaces(watch_catalogues_of)
    }

    /// The namespaces that are watched, as one stream.
    fn in_namespaces<K, S>(&self, watch: fn(Api<K>) -> S) -> BoxStream<'static, watcher::Event<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + HasStatus
            + Clone
            + Send
            + 'static,
        S: Stream<Item = watcher::Event<K>> + Send + 'static,
    {
        let in_namespace =
            |namespace: &String| watch(Api::namespaced(self.client.clone(), namespace));
        match self.namespaces.as_slice() {
            [] => watch(Api::all(self.client.clone())).boxed(),
            [only] => in_namespace(only).boxed(),
            several => namespaces::together(several.iter().map(in_namespace).collect()).boxed(),
        }
    }

    /// Watches one ConfigMap; `None`: it is not there.
    pub fn watch_config_map(
        &self,
        namespace: &str,
        name: &str,
    ) -> impl Stream<Item = Option<ConfigMap>> + Send + 'static {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        kube::runtime::watcher::watch_object(api, name)
            .default_backoff()
            .filter_map(|event| async move {
                event
                    .map_err(|error| {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "failed to watch the brake"
                        )
                    })
                    .ok()
            })
    }

    async fn apply<K, S>(
        &self,
        target: &ObjectRef<K>,
        resource_version: &str,
        kind: &str,
        status: S,
    ) -> Result<Arc<K>, PublishError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
        S: Serialize + Send + Sync,
    {
        self.status_pace.until_ready().await;
        let namespace = target.namespace.as_deref().unwrap_or_default();
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let body = json!({
            "apiVersion": K::api_version(&()),
            "kind": kind,
            "metadata": {"name": target.name, "namespace": namespace, "resourceVersion": resource_version},
            "status": status,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let what = || format!("the status of {kind} {namespace}/{}", target.name);
        tokio::time::timeout(
            API_LIMIT,
            api.patch_status(&target.name, &params, &Patch::Apply(&body)),
        )
        .await
        .map_err(|elapsed| PublishError::Unavailable {
            what: what(),
            source: Box::new(elapsed),
        })?
        .map(Arc::new)
        .map_err(|error| publish_error(what(), error))
    }
}

/// Watches what one API shows.
fn watch_one<K>(api: Api<K>) -> impl Stream<Item = watcher::Event<K>> + Send + 'static
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    watcher(api, watcher::Config::default())
        .default_backoff()
        .filter_map(|event| async move {
            match event {
                Ok(event) => Some(event),
                Err(error) => {
                    tracing::warn!(
                        kind = %K::kind(&()),
                        error = &error as &dyn std::error::Error,
                        "failed to watch; trying again"
                    );
                    None
                }
            }
        })
}

/// Watches the catalogues of one API, as [`Kubernetes::watch_catalogues`] says.
fn watch_catalogues_of(
    api: Api<KeyCatalogue>,
) -> impl Stream<Item = watcher::Event<KeyCatalogue>> + Send + 'static {
    let mut listed = false;
    watcher(api, watcher::Config::default())
        .default_backoff()
        .flat_map(move |event| {
            let events = match event {
                Ok(event) => {
                    listed |= matches!(event, watcher::Event::InitDone);
                    vec![event]
                }
                Err(error) if !listed && is_unknown_kind(&error) => {
                    listed = true;
                    tracing::error!(
                        "the API server does not know the kind KeyCatalogue: no catalogue is read until the \
                         CustomResourceDefinition keycatalogues.stationkeeper.dev is installed \
                         (`stationkeeper crds | kubectl apply --server-side -f -`)"
                    );
                    vec![watcher::Event::Init, watcher::Event::InitDone]
                }
                Err(error) => {
                    tracing::warn!(
                        kind = "KeyCatalogue",
                        error = &error as &dyn std::error::Error,
                        "failed to watch; trying again"
                    );
                    Vec::new()
                }
            };
            futures::stream::iter(events)
        })
}

/// The list of a kind is not found when there is no such kind; an absent namespace has an empty list.
fn is_unknown_kind(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404)
}

fn per_second(count: u32) -> Quota {
    Quota::per_second(NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN))
}

fn publish_error(what: String, error: kube::Error) -> PublishError {
    match &error {
        kube::Error::Api(status) if status.code == 409 => PublishError::Conflict,
        kube::Error::Api(status) if status.code == 404 => PublishError::Gone,
        _ => PublishError::Unavailable {
            what,
            source: Box::new(error),
        },
    }
}

impl Publisher for Kubernetes {
    fn station<'a>(
        &'a self,
        station: &'a ObjectRef<ChargeStation>,
        resource_version: &'a str,
        status: ChargeStationStatus,
    ) -> Pending<'a, Result<Arc<ChargeStation>, PublishError>> {
        Box::pin(self.apply(station, resource_version, "ChargeStation", status))
    }

    fn config<'a>(
        &'a self,
        config: &'a ObjectRef<ChargeStationConfig>,
        resource_version: &'a str,
        status: ChargeStationConfigStatus,
    ) -> Pending<'a, Result<Arc<ChargeStationConfig>, PublishError>> {
        Box::pin(self.apply(config, resource_version, "ChargeStationConfig", status))
    }

    fn catalogue<'a>(
        &'a self,
        catalogue: &'a ObjectRef<KeyCatalogue>,
        resource_version: &'a str,
        status: KeyCatalogueStatus,
    ) -> Pending<'a, Result<Arc<KeyCatalogue>, PublishError>> {
        Box::pin(self.apply(catalogue, resource_version, "KeyCatalogue", status))
    }

    fn event<'a>(&'a self, about: About<'a>, event: TellEvent) -> Pending<'a, ()> {
        Box::pin(async move {
            if self.event_pace.check().is_err() {
                return;
            }
            let regarding: ObjectReference = match about {
                About::Station(station) => station.object_ref(&()),
                About::Config(config) => config.object_ref(&()),
            };
            let namespace = regarding.namespace.clone().unwrap_or_default();
            let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
            // Each Event is an object of its own: an aggregate would repeat its first note for every key.
            let object = Event {
                metadata: ObjectMeta {
                    // It must be a name by itself, but for a dash at its end; the server cuts it to fit.
                    generate_name: Some(format!(
                        "{}-",
                        regarding.name.as_deref().unwrap_or("station")
                    )),
                    namespace: Some(namespace),
                    ..ObjectMeta::default()
                },
                event_time: Some(MicroTime(clock::now())),
                reporting_controller: Some("stationkeeper.dev/stationkeeper".to_owned()),
                reporting_instance: Some(self.instance.clone()),
                action: Some(event.action),
                reason: Some(event.reason),
                note: Some(shortened(event.note, 1024)),
                type_: Some(if event.warning { "Warning" } else { "Normal" }.to_owned()),
                regarding: Some(regarding),
                ..Event::default()
            };
            match tokio::time::timeout(API_LIMIT, api.create(&PostParams::default(), &object)).await
            {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "failed to write an Event"
                ),
                Err(_) => {
                    tracing::debug!("the API server does not answer; an Event was not written")
                }
            }
        })
    }

    fn create<'a>(&'a self, station: &'a ChargeStation) -> Pending<'a, Result<(), PublishError>> {
        Box::pin(async move {
            let namespace = station.namespace().unwrap_or_default();
            let api: Api<ChargeStation> = Api::namespaced(self.client.clone(), &namespace);
            let what = || format!("ChargeStation {namespace}/{}", station.name_any());
            let params = PostParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PostParams::default()
            };
            let created = tokio::time::timeout(API_LIMIT, api.create(&params, station)).await;
            match created.map_err(|elapsed| PublishError::Unavailable {
                what: what(),
                source: Box::new(elapsed),
            })? {
                Ok(_) => Ok(()),
                // Somebody declared it meanwhile: that is what was wanted.
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
                Err(error) => Err(publish_error(what(), error)),
            }
        })
    }
}

/// Cuts a text to at most `limit` bytes at a character boundary (the API server refuses longer notes).
fn shortened(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let cut = (0..=limit - '…'.len_utf8())
            .rev()
            .find(|&at| text.is_char_boundary(at))
            .unwrap_or(0);
        text.truncate(cut);
        text.push('…');
    }
    text
}

impl Secrets for Kubernetes {
    fn get<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> Pending<'a, Result<Option<SecretData>, SecretsError>> {
        Box::pin(async move {
            let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
            let failed = |source: Box<dyn std::error::Error + Send + Sync>| SecretsError {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                source,
            };
            let found = tokio::time::timeout(API_LIMIT, api.get_opt(name))
                .await
                .map_err(|elapsed| failed(Box::new(elapsed)))?
                .map_err(|error| failed(Box::new(error)))?;
            Ok(found.map(|secret| {
                secret
                    .data
                    .unwrap_or_default()
                    .into_iter()
                    .map(|(key, value)| (key, SecretSlice::from(value.0)))
                    .collect()
            }))
        })
    }
}

/// The key of the digests by which memory recognises secrets (section 9 of the design).
///
/// Kept in a Secret of the operator's own; made once, with create-only semantics, so that two replicas agree on one.
pub async fn digest_key(
    client: Client,
    namespace: &str,
    name: &str,
) -> Result<SecretSlice<u8>, DigestKeyError> {
    let api: Api<Secret> = Api::namespaced(client, namespace);
    let failed = |source: kube::Error| DigestKeyError::Use {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        source: Box::new(source),
    };
    let mut refusals = Refusals::default();
    loop {
        let found = match api.get_opt(name).await {
            Err(error) if refusals.may_pass(&error, Instant::now()) => {
                refused_for_now(name, &error).await;
                continue;
            }
            found => found.map_err(failed)?,
        };
        if let Some(secret) = found {
            let key = secret
                .data
                .unwrap_or_default()
                .remove("key")
                .map(|value| value.0)
                .unwrap_or_default();
            if key.len() < 16 {
                return Err(DigestKeyError::Short {
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                });
            }
            return Ok(SecretSlice::from(key));
        }
        let mut key = vec![0_u8; 32];
        rand::Rng::fill(&mut rand::rng(), key.as_mut_slice());
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            data: Some([("key".to_owned(), k8s_openapi::ByteString(key))].into()),
            ..Secret::default()
        };
        match api.create(&PostParams::default(), &secret).await {
            Ok(_) => {}
            // Another replica was first: use its key.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) if refusals.may_pass(&error, Instant::now()) => {
                refused_for_now(name, &error).await;
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Tells of a refusal that may pass, and waits a little.
async fn refused_for_now(secret: &str, error: &kube::Error) {
    tracing::warn!(
        secret,
        error = error as &dyn std::error::Error,
        "the API server refuses the Secret of the digests' key; trying again"
    );
    tokio::time::sleep(TRY_AGAIN).await;
}

/// Why there is no key for the digests of secrets.
#[derive(Debug, thiserror::Error)]
pub enum DigestKeyError {
    /// The Secret cannot be read or made.
    #[error(
        "failed to read or create Secret {namespace:?}/{name:?}, which holds the key for the digests of secrets"
    )]
    Use {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// The Secret is there, but its key is too short to protect anything.
    #[error(
        "Secret {namespace:?}/{name:?} must hold at least 16 random bytes under `key`; delete it and it is made anew"
    )]
    Short {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn a_long_note_is_cut_at_a_character_boundary() {
        let text = shortened("ü".repeat(600), 1024);
        assert!(text.len() <= 1024, "{} bytes", text.len());
        assert!(text.ends_with('…'));
        assert_eq!(shortened("short".to_owned(), 1024), "short");
    }
}
