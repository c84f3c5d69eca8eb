//! The local stores: what the sources fill and the controllers read.
//!
//! `watcher::Event`s come in, from the API server or from a folder; reflector stores, an index of identities and a
//! stream of changes go out.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, RwLock};

use futures::{Stream, StreamExt};
use kube::ResourceExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher;
use tokio::sync::{mpsc, watch};

use crate::objects::{ChargeStation, ChargeStationConfig, KeyCatalogue};

/// What changed in the stores.
#[derive(Clone, Debug)]
pub enum Changed {
    /// A station's object.
    Station(ObjectRef<ChargeStation>),
    /// A config's object; every station of its namespace may be concerned.
    Config(ObjectRef<ChargeStationConfig>),
    /// A catalogue's object; every station of its namespace may be concerned.
    Catalogue(ObjectRef<KeyCatalogue>),
    /// All stations were listed (afresh).
    Stations,
    /// All configs were listed (afresh).
    Configs,
    /// All catalogues were listed (afresh).
    Catalogues,
}

/// The local stores.
#[derive(Clone)]
pub struct Stores {
    /// Every station.
    pub stations: Store<ChargeStation>,
    /// Every config.
    pub configs: Store<ChargeStationConfig>,
    /// Every catalogue.
    pub catalogues: Store<KeyCatalogue>,
    identities: Arc<RwLock<Identities>>,
    filled: watch::Receiver<Filled>,
}

/// Which kinds have been listed at least once.
#[derive(Clone, Copy, Default)]
struct Filled {
    stations: bool,
    configs: bool,
    catalogues: bool,
}

impl Filled {
    /// The kinds that were never listed.
    fn missing(self) -> Vec<&'static str> {
        let Self {
            stations,
            configs,
            catalogues,
        } = self;
        let kinds = [
            (stations, "ChargeStations"),
            (configs, "ChargeStationConfigs"),
            (catalogues, "KeyCatalogues"),
        ];
        kinds
            .into_iter()
            .filter(|(listed, _)| !listed)
            .map(|(_, kind)| kind)
            .collect()
    }
}

/// Which objects claim which identity.
#[derive(Default)]
struct Identities {
    claims: HashMap<String, BTreeSet<(String, String)>>,
    claimed_by: HashMap<(String, String), String>,
    synced: bool,
}

/// Who a connecting station is, by the objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The stores were never filled.
    NotSynced,
    /// No object names the identity.
    Nobody,
    /// One does.
    One(ObjectRef<ChargeStation>),
    /// Several do: none is served.
    Several(Vec<ObjectRef<ChargeStation>>),
}

impl Stores {
    /// Makes the stores and the tasks that fill them from three streams of events. The tasks end when their stream ends;
    /// the caller joins them.
    pub fn fill<S, C, K>(
        stations: S,
        configs: C,
        catalogues: K,
        changes: mpsc::UnboundedSender<Changed>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static)
    where
        S: Stream<Item = watcher::Event<ChargeStation>> + Send + 'static,
        C: Stream<Item = watcher::Event<ChargeStationConfig>> + Send + 'static,
        K: Stream<Item = watcher::Event<KeyCatalogue>> + Send + 'static,
    {
        let (station_store, mut station_writer) = reflector::store();
        let (config_store, config_writer) = reflector::store();
        let (catalogue_store, catalogue_writer) = reflector::store();
        let identities = Arc::new(RwLock::new(Identities::default()));
        let (fills, filled) = watch::channel(Filled::default());
        let stores = Self {
            stations: station_store,
            configs: config_store,
            catalogues: catalogue_store,
            identities: Arc::clone(&identities),
            filled,
        };
        let (config_fills, catalogue_fills) = (fills.clone(), fills.clone());
        let (station_changes, config_changes) = (changes.clone(), changes.clone());
        let stations = async move {
            let mut stations = std::pin::pin!(stations);
            let mut listing = Vec::new();
            while let Some(event) = stations.next().await {
                station_writer.apply_watcher_event(&event);
                let told = match event {
                    watcher::Event::Apply(station) => {
                        if let Ok(mut identities) = identities.write() {
                            identities.claim(&station);
                        }
                        Changed::Station(ObjectRef::from_obj(&station))
                    }
                    watcher::Event::Delete(station) => {
                        if let Ok(mut identities) = identities.write() {
                            identities.forget(&place(&station));
                        }
                        Changed::Station(ObjectRef::from_obj(&station))
                    }
                    watcher::Event::Init => {
                        listing.clear();
                        continue;
                    }
                    watcher::Event::InitApply(station) => {
                        listing.push(station);
                        continue;
                    }
                    watcher::Event::InitDone => {
                        if let Ok(mut identities) = identities.write() {
                            *identities = Identities::default();
                            listing.iter().for_each(|station| identities.claim(station));
                            identities.synced = true;
                        }
                        listing = Vec::new();
                        fills.send_modify(|filled| filled.stations = true);
                        Changed::Stations
                    }
                };
                if station_changes.send(told).is_err() {
                    return;
                }
            }
        };
        let configs = follow(
            configs,
            config_writer,
            config_changes,
            move |change| match change {
                One(config) => Changed::Config(config),
                All => {
                    config_fills.send_modify(|filled| filled.configs = true);
                    Changed::Configs
                }
            },
        );
        let catalogues = follow(
            catalogues,
            catalogue_writer,
            changes,
            move |change| match change {
                One(catalogue) => Changed::Catalogue(catalogue),
                All => {
                    catalogue_fills.send_modify(|filled| filled.catalogues = true);
                    Changed::Catalogues
                }
            },
        );
        (stores, async move {
            futures::future::join3(stations, configs, catalogues).await;
        })
    }

    /// The kinds that were never listed; empty: the stores are filled.
    pub fn missing(&self) -> Vec<&'static str> {
        self.filled.borrow().missing()
    }

    /// Resolves when every kind has been listed; never, if their streams ended before.
    ///
    /// kube's own `wait_until_ready` wakes one waiter only, and its applier is one.
    pub async fn filled(&self) {
        let mut filled = self.filled.clone();
        if filled
            .wait_for(|filled| filled.missing().is_empty())
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// Who claims an identity.
    pub fn claim(&self, identity: &str) -> Claim {
        let Ok(identities) = self.identities.read() else {
            return Claim::NotSynced;
        };
        if !identities.synced {
            return Claim::NotSynced;
        }
        let Some(claims) = identities.claims.get(identity) else {
            return Claim::Nobody;
        };
        let mut refs = claims
            .iter()
            .map(|(namespace, name)| ObjectRef::new(name).within(namespace));
        match (refs.next(), claims.len()) {
            (None, _) => Claim::Nobody,
            (Some(one), 1) => Claim::One(one),
            (Some(first), _) => Claim::Several(std::iter::once(first).chain(refs).collect()),
        }
    }
}

/// What changed of one kind.
enum Change<T: reflector::Lookup<DynamicType = ()>> {
    /// One object.
    One(ObjectRef<T>),
    /// All were listed.
    All,
}

use Change::{All, One};

/// Fills a store and tells of each change, until the stream ends or nobody listens.
async fn follow<T>(
    events: impl Stream<Item = watcher::Event<T>>,
    mut writer: Writer<T>,
    changes: mpsc::UnboundedSender<Changed>,
    told: impl Fn(Change<T>) -> Changed,
) where
    T: reflector::Lookup<DynamicType = ()> + Clone,
{
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        writer.apply_watcher_event(&event);
        let change = match event {
            watcher::Event::Apply(object) | watcher::Event::Delete(object) => {
                One(ObjectRef::from_obj(&object))
            }
            watcher::Event::Init | watcher::Event::InitApply(_) => continue,
            watcher::Event::InitDone => All,
        };
        if changes.send(told(change)).is_err() {
            return;
        }
    }
}

fn place(station: &ChargeStation) -> (String, String) {
    (station.namespace().unwrap_or_default(), station.name_any())
}

impl Identities {
    fn claim(&mut self, station: &ChargeStation) {
        let place = place(station);
        if self.claimed_by.get(&place) == Some(&station.spec.identity) {
            return;
        }
        self.forget(&place);
        self.claims
            .entry(station.spec.identity.clone())
            .or_default()
            .insert(place.clone());
        self.claimed_by.insert(place, station.spec.identity.clone());
    }

    fn forget(&mut self, place: &(String, String)) {
        if let Some(identity) = self.claimed_by.remove(place)
            && let Some(claims) = self.claims.get_mut(&identity)
        {
            claims.remove(place);
            if claims.is_empty() {
                self.claims.remove(&identity);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::ChargeStationSpec;

    fn station(name: &str, identity: &str) -> ChargeStation {
        let spec: ChargeStationSpec =
            serde_json::from_value(serde_json::json!({"identity": identity})).unwrap();
        let mut station = ChargeStation::new(name, spec);
        station.metadata.namespace = Some("north".to_owned());
        station
    }

    #[tokio::test]
    async fn an_identity_claimed_twice_is_served_by_neither_until_one_goes() {
        let events = vec![
            watcher::Event::Init,
            watcher::Event::InitApply(station("a", "cp-1")),
            watcher::Event::InitApply(station("b", "cp-1")),
            watcher::Event::InitDone,
        ];
        let (changes, _kept) = mpsc::unbounded_channel();
        let (stores, fill) = Stores::fill(
            futures::stream::iter(events),
            futures::stream::empty(),
            futures::stream::empty(),
            changes,
        );
        assert_eq!(stores.claim("cp-1"), Claim::NotSynced);
        fill.await;
        assert!(matches!(stores.claim("cp-1"), Claim::Several(both) if both.len() == 2));
        assert_eq!(stores.claim("cp-2"), Claim::Nobody);
    }

    #[tokio::test]
    async fn a_changed_identity_releases_the_former_one() {
        let events = vec![
            watcher::Event::Init,
            watcher::Event::InitApply(station("a", "cp-1")),
            watcher::Event::InitDone,
            watcher::Event::Apply(station("a", "cp-2")),
        ];
        let (changes, _kept) = mpsc::unbounded_channel();
        let (stores, fill) = Stores::fill(
            futures::stream::iter(events),
            futures::stream::empty(),
            futures::stream::empty(),
            changes,
        );
        fill.await;
        assert_eq!(stores.claim("cp-1"), Claim::Nobody);
        assert!(matches!(stores.claim("cp-2"), Claim::One(one) if one.name == "a"));
    }
}
