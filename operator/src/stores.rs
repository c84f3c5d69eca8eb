//! The local stores: what the sources fill and the controllers read.
//!
//! `watcher::Event`s come in, from the API server or from a folder; reflector stores, an index of identities and a
//! stream of changes go out.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, RwLock};
use std::time::Instant;

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
    claimed_by: HashMap<(String, String), Claimed>,
    synced: bool,
}

/// What one object claims.
struct Claimed {
    identity: String,
    /// Since when this very object is known.
    since: Instant,
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
        let known = station_known(stores.stations.clone());
        let (config_fills, catalogue_fills) = (fills.clone(), fills.clone());
        let (station_changes, config_changes) = (changes.clone(), changes.clone());
        let stations = async move {
            let mut stations = std::pin::pin!(stations);
            let mut listing = Vec::new();
            while let Some(event) = stations.next().await {
                // The index first: whoever finds an object in the store can ask since when it is known.
                match &event {
                    watcher::Event::Apply(station) => {
                        if let Ok(mut identities) = identities.write() {
                            identities.claim(station, known(station));
                        }
                    }
                    watcher::Event::Delete(station) => {
                        if let Ok(mut identities) = identities.write() {
                            identities.forget(&place(station));
                        }
                    }
                    watcher::Event::Init => listing.clear(),
                    watcher::Event::InitApply(station) => listing.push(station.clone()),
                    watcher::Event::InitDone => {
                        if let Ok(mut identities) = identities.write() {
                            identities.claim_all(&listing, &known);
                        }
                        listing = Vec::new();
                    }
                }
                station_writer.apply_watcher_event(&event);
                let told = match event {
                    watcher::Event::Apply(station) | watcher::Event::Delete(station) => {
                        Changed::Station(ObjectRef::from_obj(&station))
                    }
                    watcher::Event::Init | watcher::Event::InitApply(_) => continue,
                    watcher::Event::InitDone => {
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

    /// Since when a station's object is known. One that is made anew under its former name is another object.
    pub fn known_since(&self, station: &ObjectRef<ChargeStation>) -> Option<Instant> {
        let place = (
            station.namespace.clone().unwrap_or_default(),
            station.name.clone(),
        );
        let identities = self.identities.read().ok()?;
        Some(identities.claimed_by.get(&place)?.since)
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

/// Is a station in the store, as the very object that it is?
fn station_known(store: Store<ChargeStation>) -> impl Fn(&ChargeStation) -> bool + Send + 'static {
    move |station| {
        let held = store.get(&ObjectRef::from_obj(station));
        held.is_some_and(|held| held.metadata.uid == station.metadata.uid)
    }
}

fn place(station: &ChargeStation) -> (String, String) {
    (station.namespace().unwrap_or_default(), station.name_any())
}

impl Identities {
    /// Takes all claims in anew. What was known stays known.
    fn claim_all(&mut self, stations: &[ChargeStation], known: &impl Fn(&ChargeStation) -> bool) {
        let former = std::mem::take(self);
        for station in stations {
            let place = place(station);
            let since = former.claimed_by.get(&place).map(|claimed| claimed.since);
            let since = since.filter(|_| known(station));
            self.insert(station, place, since.unwrap_or_else(Instant::now));
        }
        self.synced = true;
    }

    /// `known`: it is the very object that was claimed for before.
    fn claim(&mut self, station: &ChargeStation, known: bool) {
        let place = place(station);
        let former = self.claimed_by.get(&place).filter(|_| known);
        if former.is_some_and(|former| former.identity == station.spec.identity) {
            return;
        }
        let since = former.map_or_else(Instant::now, |former| former.since);
        self.forget(&place);
        self.insert(station, place, since);
    }

    fn insert(&mut self, station: &ChargeStation, place: (String, String), since: Instant) {
        let identity = station.spec.identity.clone();
        self.claims
            .entry(identity.clone())
            .or_default()
            .insert(place.clone());
        self.claimed_by.insert(place, Claimed { identity, since });
    }

    fn forget(&mut self, place: &(String, String)) {
        if let Some(Claimed { identity, .. }) = self.claimed_by.remove(place)
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
impl Stores {
    /// Stores without configs and catalogues.
    pub(crate) fn of_stations(
        stations: impl Stream<Item = watcher::Event<ChargeStation>> + Send + 'static,
        changes: mpsc::UnboundedSender<Changed>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (configs, catalogues) = (futures::stream::empty(), futures::stream::empty());
        Self::fill(stations, configs, catalogues, changes)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio_stream::wrappers::UnboundedReceiverStream;

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
        let (stores, fill) = Stores::of_stations(futures::stream::iter(events), changes);
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
        let (stores, fill) = Stores::of_stations(futures::stream::iter(events), changes);
        fill.await;
        assert_eq!(stores.claim("cp-1"), Claim::Nobody);
        assert!(matches!(stores.claim("cp-2"), Claim::One(one) if one.name == "a"));
    }

    #[tokio::test]
    async fn an_object_is_known_since_it_was_first_seen_and_not_since_the_one_of_its_name_was() {
        let made = |uid: &str| {
            let mut station = station("a", "cp-1");
            station.metadata.uid = Some(uid.to_owned());
            station
        };
        let (changes, _kept) = mpsc::unbounded_channel();
        let (events, stations) = mpsc::unbounded_channel();
        let (stores, fill) = Stores::of_stations(UnboundedReceiverStream::new(stations), changes);
        let mut fill = std::pin::pin!(fill);
        let mut since_after = |told: Vec<watcher::Event<ChargeStation>>| {
            for event in told {
                events.send(event).unwrap();
            }
            assert!(fill.as_mut().now_or_never().is_none());
            stores.known_since(&ObjectRef::new("a").within("north"))
        };
        let listed = |uid: &str| {
            vec![
                watcher::Event::Init,
                watcher::Event::InitApply(made(uid)),
                watcher::Event::InitDone,
            ]
        };
        let first = since_after(listed("1"));
        assert!(first.is_some());
        assert_eq!(since_after(vec![watcher::Event::Apply(made("1"))]), first);
        assert_eq!(since_after(listed("1")), first);
        let anew = since_after(vec![watcher::Event::Apply(made("2"))]);
        assert!(anew > first);
        assert!(since_after(listed("3")) > anew);
        assert_eq!(since_after(vec![watcher::Event::Delete(made("3"))]), None);
    }
}
