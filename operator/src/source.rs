//! Where objects come from and where status goes: the Kubernetes API, or a folder of YAML files.
//!
//! Both sources fill the same local stores (kube's reflector stores, fed with `watcher::Event`s) and stand behind the
//! same two traits; the controllers do not know which one they serve.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::runtime::reflector::ObjectRef;
use secrecy::SecretSlice;

use crate::connector::Pending;
use crate::objects::{
    ChargeStation, ChargeStationConfig, ChargeStationConfigStatus, ChargeStationStatus,
    KeyCatalogue, KeyCatalogueStatus,
};

/// The data of one Secret, by key. `Debug` shows nothing of the values.
pub type SecretData = BTreeMap<String, SecretSlice<u8>>;

/// Reads Secrets by name when they are needed: never watched, never listed.
pub trait Secrets: Send + Sync + 'static {
    /// The Secret's data; `None`: there is no such Secret.
    fn get<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> Pending<'a, Result<Option<SecretData>, SecretsError>>;
}

/// Why a Secret could not be read (its absence is a value, not an error).
#[derive(Debug, thiserror::Error)]
#[error("failed to read Secret {namespace:?}/{name:?}")]
pub struct SecretsError {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Where status, events and registered stations go. Compared first and skipped when equal: that is the caller's part.
pub trait Publisher: Send + Sync + 'static {
    /// Replaces the whole status of a station, if the object is still at `resource_version`; gives the object as it is
    /// now (its new resourceVersion matters).
    fn station<'a>(
        &'a self,
        station: &'a ObjectRef<ChargeStation>,
        resource_version: &'a str,
        status: ChargeStationStatus,
    ) -> Pending<'a, Result<Arc<ChargeStation>, PublishError>>;

    /// Replaces the whole status of a config, alike.
    fn config<'a>(
        &'a self,
        config: &'a ObjectRef<ChargeStationConfig>,
        resource_version: &'a str,
        status: ChargeStationConfigStatus,
    ) -> Pending<'a, Result<Arc<ChargeStationConfig>, PublishError>>;

    /// Replaces the whole status of a catalogue, alike.
    fn catalogue<'a>(
        &'a self,
        catalogue: &'a ObjectRef<KeyCatalogue>,
        resource_version: &'a str,
        status: KeyCatalogueStatus,
    ) -> Pending<'a, Result<Arc<KeyCatalogue>, PublishError>>;

    /// Tells an event (a Kubernetes Event, or a log line). Best effort.
    fn event<'a>(&'a self, about: About<'a>, event: TellEvent) -> Pending<'a, ()>;

    /// Makes a `ChargeStation` for a station that nobody declared.
    fn create<'a>(&'a self, station: &'a ChargeStation) -> Pending<'a, Result<(), PublishError>>;
}

/// What an event is about.
#[derive(Clone, Copy, Debug)]
pub enum About<'a> {
    /// A station.
    Station(&'a ChargeStation),
    /// A config.
    Config(&'a ChargeStationConfig),
}

/// An event, told on a transition only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TellEvent {
    /// `Normal` or `Warning`.
    pub warning: bool,
    /// CamelCase.
    pub reason: String,
    /// What the operator did or saw, CamelCase (`action` of the Event).
    pub action: String,
    /// For people; no secrets.
    pub note: String,
}

/// Why something could not be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Somebody else changed the object in between: read it again.
    #[error("the object has changed since it was read")]
    Conflict,
    /// The object is gone.
    #[error("the object is gone")]
    Gone,
    /// Not now (API server away, disk full): try again later.
    #[error("failed to publish {what}")]
    Unavailable {
        /// What was to be published.
        what: String,
        /// Why it could not be.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
