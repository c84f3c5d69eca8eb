//! A folder of YAML files as the source of objects, and a state directory as the place for their status.
//!
//! In come files; out go `watcher::Event`s for the local stores, just as the API server would send them: uid,
//! generation, resourceVersion and creation time are kept here. A set of files counts once it has been unchanged for
//! some seconds, so that a `git pull` in progress is not a deletion. What can no longer be read is held as it was last
//! known ([`FolderSource::unreadable`]), never taken for deleted. What does not happen here: any decision about stations.

mod commit;
mod listing;
mod merge;
mod past;
mod publish;
mod state_dir;
mod status;
mod table;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::Stream;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::UnboundedReceiverStream;

pub use self::past::Damaged;
pub use self::state_dir::{StateDir, StateDirError};
pub use self::status::{LastKnown, last_known};

use self::listing::{Listing, Stamp};
use self::merge::{Merged, Now, Sources, is_bad, merge};
use self::table::{Changes, Table};
use crate::clock;
use crate::manifest::{self, Body, Kind, Manifests, ObjectId, Problem};
use crate::objects::{ChargeStation, ChargeStationConfig, KeyCatalogue};
use crate::source::SecretData;

/// How a folder is read.
#[derive(Clone, Debug)]
pub struct FolderOptions {
    /// How long a set of files must have been unchanged before it counts.
    pub settle: Duration,
    /// How often the folder is looked at.
    pub poll: Duration,
    /// The namespace of objects that name none.
    pub default_namespace: String,
}

impl Default for FolderOptions {
    fn default() -> Self {
        Self {
            settle: Duration::from_secs(3),
            poll: Duration::from_secs(1),
            default_namespace: "default".to_owned(),
        }
    }
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It is not there, and nothing is known of what was in it.
    #[error("failed to read the manifests in {path:?}")]
    ReadFolder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What came of a look at the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// As it was.
    Unchanged,
    /// Changed, and not for long enough.
    Unsettled,
    /// Changed, and taken in.
    Loaded,
}

/// A folder as the source of objects.
pub struct FolderSource {
    folder: PathBuf,
    state: Arc<StateDir>,
    options: FolderOptions,
    inner: Mutex<Inner>,
    /// Held by whoever writes down what is declared: else what was collected first could be written last.
    writing_down: tokio::sync::Mutex<()>,
    secrets_changed: watch::Sender<u64>,
}

/// The streams that fill the local stores.
pub struct FolderStreams {
    stations: mpsc::UnboundedReceiver<watcher::Event<ChargeStation>>,
    configs: mpsc::UnboundedReceiver<watcher::Event<ChargeStationConfig>>,
    catalogues: mpsc::UnboundedReceiver<watcher::Event<KeyCatalogue>>,
}

impl FolderStreams {
    /// All streams.
    pub fn split(
        self,
    ) -> (
        impl Stream<Item = watcher::Event<ChargeStation>> + Send + 'static,
        impl Stream<Item = watcher::Event<ChargeStationConfig>> + Send + 'static,
        impl Stream<Item = watcher::Event<KeyCatalogue>> + Send + 'static,
    ) {
        (
            UnboundedReceiverStream::new(self.stations),
            UnboundedReceiverStream::new(self.configs),
            UnboundedReceiverStream::new(self.catalogues),
        )
    }
}

/// What changes.
struct Inner {
    stations: Table<ChargeStation>,
    configs: Table<ChargeStationConfig>,
    catalogues: Table<KeyCatalogue>,
    secrets: BTreeMap<ObjectId, (SecretData, Arc<Path>)>,
    /// Secrets whose declaration is bad, and why.
    bad_secrets: BTreeMap<ObjectId, String>,
    parsed: BTreeMap<Arc<Path>, (Stamp, Arc<Manifests>)>,
    bad_files: BTreeSet<Arc<Path>>,
    problems: Vec<Problem>,
    notes: BTreeSet<Problem>,
    /// The listing that was last taken in.
    loaded: Option<Listing>,
    /// The last listing seen, and since when it is so.
    seen: Option<(Listing, Instant)>,
    /// The last resourceVersion given.
    version: u64,
    /// Counts stations registered by ourselves, which a listing made before does not know.
    registrations: u64,
    /// What is declared has not been written down yet.
    unremembered: bool,
}

impl FolderSource {
    /// Opens a folder. Nothing is read before [`FolderSource::run`] (or [`FolderSource::look`]).
    pub fn open(
        folder: &Path,
        state: Arc<StateDir>,
        options: FolderOptions,
    ) -> Result<(Arc<Self>, FolderStreams), FolderError> {
        let past = state.read();
        for damaged in &past.damaged {
            let kept = damaged.moved_to.as_deref().unwrap_or(&damaged.path);
            tracing::error!(
                file = %damaged.path.display(),
                kept = %kept.display(),
                reason = damaged.reason,
                "a state file is damaged: it was kept aside, and its object starts without it"
            );
        }
        if past.objects.is_empty()
            && let Err(source) = std::fs::read_dir(folder)
        {
            return Err(FolderError::ReadFolder {
                path: folder.to_owned(),
                source,
            });
        }
        let (station_events, stations) = mpsc::unbounded_channel();
        let (config_events, configs) = mpsc::unbounded_channel();
        let (catalogue_events, catalogues) = mpsc::unbounded_channel();
        let version = past.newest_version();
        let mut inner = Inner {
            stations: Table::new(station_events, past.stations),
            configs: Table::new(config_events, past.configs),
            catalogues: Table::new(catalogue_events, past.catalogues),
            secrets: BTreeMap::new(),
            bad_secrets: BTreeMap::new(),
            parsed: BTreeMap::new(),
            bad_files: BTreeSet::new(),
            problems: Vec::new(),
            notes: BTreeSet::new(),
            loaded: None,
            seen: None,
            version,
            registrations: 0,
            unremembered: false,
        };
        for (id, object) in past.objects {
            match id.kind {
                Kind::Station => inner.stations.recall(id, object, &mut inner.version),
                Kind::Config => inner.configs.recall(id, object, &mut inner.version),
                Kind::Catalogue => inner.catalogues.recall(id, object, &mut inner.version),
                Kind::Secret => {}
            }
        }
        let source = Self {
            folder: folder.to_owned(),
            state,
            options,
            inner: Mutex::new(inner),
            writing_down: tokio::sync::Mutex::default(),
            secrets_changed: watch::Sender::new(0),
        };
        let streams = FolderStreams {
            stations,
            configs,
            catalogues,
        };
        Ok((Arc::new(source), streams))
    }

    /// Looks at the folder again and again. Ends never; the caller drops it at shutdown, at any moment.
    pub async fn run(self: Arc<Self>) {
        loop {
            self.look().await;
            tokio::time::sleep(self.options.poll).await;
        }
    }

    /// Looks at the folder once, and takes in what has settled.
    pub async fn look(&self) -> Looked {
        let registrations = self.lock().registrations;
        let listing = self.list().await;
        if !self.has_settled(&listing) {
            return Looked::Unsettled;
        }
        if self.lock().loaded.as_ref() == Some(&listing) {
            if self.lock().unremembered {
                self.remember().await;
            }
            return Looked::Unchanged;
        }
        let files = self.parse(&listing).await;
        // What changed while it was read was perhaps read half.
        let again = self.list().await;
        if again != listing {
            self.has_settled(&again);
            return Looked::Unsettled;
        }
        self.take_in(listing, files, registrations).await
    }

    /// Why an object is held as it was last known, if it is.
    pub fn unreadable(&self, config: &ObjectRef<ChargeStationConfig>) -> Option<String> {
        self.lock().configs.unreadable(&id_of(Kind::Config, config))
    }

    /// Alike for a station.
    pub fn unreadable_station(&self, station: &ObjectRef<ChargeStation>) -> Option<String> {
        self.lock()
            .stations
            .unreadable(&id_of(Kind::Station, station))
    }

    /// Alike for a catalogue.
    pub fn unreadable_catalogue(&self, catalogue: &ObjectRef<KeyCatalogue>) -> Option<String> {
        self.lock()
            .catalogues
            .unreadable(&id_of(Kind::Catalogue, catalogue))
    }

    /// All that is wrong in the manifests now.
    pub fn problems(&self) -> Vec<Problem> {
        self.lock().problems.clone()
    }

    /// Counts changes of Secrets, for whoever does not want to wait for the next time they are read.
    pub fn secrets_changed(&self) -> watch::Receiver<u64> {
        self.secrets_changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn list(&self) -> Listing {
        let (folder, registered, state) = (
            self.folder.clone(),
            self.state.registered(),
            self.state.path().to_owned(),
        );
        let listed = tokio::task::spawn_blocking(move || {
            let mut listing = Listing::default();
            listing.add(&folder, &state);
            if registered.exists() {
                listing.add(&registered, &state);
            }
            listing
        });
        listed
            .await
            .unwrap_or_else(|error| Listing::failed(&self.folder, &error.to_string()))
    }

    /// Has it been so for long enough? At the start the files' own times tell.
    fn has_settled(&self, listing: &Listing) -> bool {
        let mut inner = self.lock();
        let now = Instant::now();
        let since = match &inner.seen {
            Some((seen, since)) if seen == listing => *since,
            Some(_) | None => {
                inner.seen = Some((listing.clone(), now));
                now
            }
        };
        now.duration_since(since) >= self.options.settle
            || (inner.loaded.is_none() && listing.is_older_than(self.options.settle, clock::now()))
    }

    /// Reads the files that changed.
    async fn parse(&self, listing: &Listing) -> BTreeMap<Arc<Path>, (Stamp, Arc<Manifests>)> {
        let former = self.lock().parsed.clone();
        let files = listing.files.clone();
        let namespace = self.options.default_namespace.clone();
        let parsed = tokio::task::spawn_blocking(move || {
            let parsed = files.into_iter().map(|(path, stamp)| {
                let manifests = match former.get(&path) {
                    Some((former, manifests)) if *former == stamp => Arc::clone(manifests),
                    Some(_) | None => Arc::new(read_file(&path, stamp, &namespace)),
                };
                (path, (stamp, manifests))
            });
            parsed.collect()
        });
        parsed.await.unwrap_or_default()
    }

    async fn take_in(
        &self,
        listing: Listing,
        files: BTreeMap<Arc<Path>, (Stamp, Arc<Manifests>)>,
        registrations: u64,
    ) -> Looked {
        let first;
        let changes = {
            let mut inner = self.lock();
            if inner.registrations != registrations {
                return Looked::Unsettled;
            }
            let manifests: BTreeMap<_, _> = files
                .iter()
                .map(|(path, (_, manifests))| (Arc::clone(path), Arc::clone(manifests)))
                .collect();
            let registered = self.state.registered();
            let sources = Sources {
                files: &manifests,
                listing: &listing,
                registered: &registered,
                formerly_bad: &inner.bad_files,
            };
            let merged = merge(&sources, &inner.known());
            if inner.loaded.is_none()
                && merged.objects.is_empty()
                && listing.unreadable.contains_key(&self.folder)
            {
                // Nothing was ever known: better no answer than "there are no stations".
                inner.tell_problems(merged.problems, &self.state);
                return Looked::Unsettled;
            }
            first = inner.loaded.is_none();
            inner.tell_notes(&manifests);
            inner.bad_files = manifests
                .iter()
                .filter(|(_, manifests)| is_bad(manifests))
                .map(|(path, _)| Arc::clone(path))
                .collect();
            inner.parsed = files;
            inner.loaded = Some(listing);
            let changes = inner.apply(merged, clock::now(), &self.state);
            inner.unremembered = true;
            changes
        };
        // Forgotten before it is written down that they are gone: a crash in between finds them gone once more.
        self.forget(changes.gone()).await;
        self.remember().await;
        let inner = self.lock();
        inner.stations.tell(&changes.stations, first);
        inner.configs.tell(&changes.configs, first);
        inner.catalogues.tell(&changes.catalogues, first);
        if changes.secrets {
            self.secrets_changed.send_modify(|count| *count += 1);
        }
        Looked::Loaded
    }

    async fn forget(&self, gone: Vec<ObjectId>) {
        let state = Arc::clone(&self.state);
        let forgotten = tokio::task::spawn_blocking(move || {
            for id in gone {
                if let Err(error) = state.forget(&id) {
                    tracing::warn!(object = %id, %error, "failed to remove the status of a deleted object");
                }
            }
        });
        // It ends early only if the process does.
        let _ = forgotten.await;
    }

    /// Writes down what is declared. A full disk does not stop the reading; it is tried again at every look.
    async fn remember(&self) {
        let _turn = self.writing_down.lock().await;
        let objects = {
            let inner = self.lock();
            inner
                .stations
                .remembered()
                .chain(inner.configs.remembered())
                .chain(inner.catalogues.remembered())
                .collect::<Vec<_>>()
        };
        match self.state.write_objects(&objects).await {
            Ok(()) => self.lock().unremembered = false,
            Err(error) => {
                self.lock().unremembered = true;
                tracing::error!(%error, "failed to write down which objects are declared")
            }
        }
    }
}

fn read_file(path: &Arc<Path>, stamp: Stamp, namespace: &str) -> Manifests {
    if stamp.size > manifest::MAX_FILE_BYTES as u64 {
        return Manifests {
            problems: vec![manifest::too_large(path, stamp.size)],
            ..Manifests::default()
        };
    }
    match std::fs::read(path) {
        Ok(bytes) => manifest::read(path, &bytes, namespace),
        Err(error) => {
            let problem = Problem {
                rule: manifest::rule::SCHEMA,
                place: manifest::Place::whole(path),
                field: String::new(),
                message: format!("cannot be read: {error}"),
            };
            Manifests {
                problems: vec![problem],
                ..Manifests::default()
            }
        }
    }
}

fn id_of<K>(kind: Kind, object: &ObjectRef<K>) -> ObjectId
where
    K: kube::runtime::reflector::Lookup,
{
    ObjectId {
        kind,
        namespace: object.namespace.clone().unwrap_or_default(),
        name: object.name.clone(),
    }
}

impl Inner {
    /// Every object that is known, with the file that it hangs on.
    fn known(&self) -> BTreeMap<ObjectId, Arc<Path>> {
        let secrets = self
            .secrets
            .iter()
            .map(|(id, (_, file))| (id.clone(), Arc::clone(file)));
        self.stations
            .known()
            .chain(self.configs.known())
            .chain(self.catalogues.known())
            .chain(secrets)
            .collect()
    }

    /// Takes in what the objects are now; what is to be told of it is told later.
    fn apply(&mut self, merged: Merged, now: jiff::Timestamp, state: &StateDir) -> Changes {
        let Merged {
            objects,
            gone,
            mut problems,
        } = merged;
        let mut changes = Changes::default();
        let former_secrets = std::mem::take(&mut self.secrets);
        self.bad_secrets.clear();
        for (id, (is, file)) in objects {
            match (id.kind, is) {
                (Kind::Config, Now::Good(Body::Config(config))) => {
                    self.configs.put(
                        &id,
                        *config,
                        file,
                        now,
                        &mut self.version,
                        &mut changes.configs,
                    );
                }
                (Kind::Config, Now::Held { reason }) => {
                    self.configs
                        .hold(&id, file, reason, &mut self.version, &mut changes.configs);
                }
                (Kind::Catalogue, Now::Good(Body::Catalogue(catalogue))) => {
                    self.catalogues.put(
                        &id,
                        *catalogue,
                        file,
                        now,
                        &mut self.version,
                        &mut changes.catalogues,
                    );
                }
                (Kind::Catalogue, Now::Held { reason }) => {
                    self.catalogues.hold(
                        &id,
                        file,
                        reason,
                        &mut self.version,
                        &mut changes.catalogues,
                    );
                }
                (Kind::Station, Now::Good(Body::Station(station))) => {
                    match self.stations.refused_change(&id, &station) {
                        None => self.stations.put(
                            &id,
                            *station,
                            file,
                            now,
                            &mut self.version,
                            &mut changes.stations,
                        ),
                        Some(mistake) => {
                            let problem = Problem {
                                rule: manifest::rule::SCHEMA,
                                place: manifest::Place::whole(&file),
                                field: format!("{id}: {}", mistake.path),
                                message: mistake.message,
                            };
                            let reason = problem.to_string();
                            problems.push(problem);
                            self.stations.hold(
                                &id,
                                file,
                                reason,
                                &mut self.version,
                                &mut changes.stations,
                            );
                        }
                    }
                }
                (Kind::Station, Now::Held { reason }) => {
                    self.stations
                        .hold(&id, file, reason, &mut self.version, &mut changes.stations);
                }
                (Kind::Secret, Now::Good(Body::Secret(data))) => {
                    self.secrets.insert(id, (data, file));
                }
                (Kind::Secret, Now::Held { reason }) => match former_secrets.get(&id) {
                    Some((data, _)) => {
                        self.secrets.insert(id, (data.clone(), file));
                    }
                    None => {
                        self.bad_secrets.insert(id, reason);
                    }
                },
                // A body of another kind than its id: the reader makes none.
                (Kind::Config | Kind::Station | Kind::Catalogue | Kind::Secret, Now::Good(_)) => {}
            }
        }
        for id in gone {
            match id.kind {
                Kind::Station => self.stations.remove(&id, &mut changes.stations),
                Kind::Config => self.configs.remove(&id, &mut changes.configs),
                Kind::Catalogue => self.catalogues.remove(&id, &mut changes.catalogues),
                Kind::Secret => {}
            }
        }
        changes.secrets = !same_secrets(&former_secrets, &self.secrets);
        self.tell_problems(problems, state);
        changes
    }

    /// Tells each problem once, and once when it is gone.
    fn tell_problems(&mut self, problems: Vec<Problem>, state: &StateDir) {
        if problems == self.problems {
            return;
        }
        for problem in problems
            .iter()
            .filter(|problem| !self.problems.contains(problem))
        {
            tracing::error!("{problem}");
        }
        if !self.problems.is_empty() && problems.is_empty() {
            tracing::info!("all manifests are readable again");
        }
        self.problems = problems;
        if let Err(error) = state.write_problems(&self.problems) {
            tracing::warn!(%error, "failed to write down what is wrong in the manifests");
        }
    }

    fn tell_notes(&mut self, files: &BTreeMap<Arc<Path>, Arc<Manifests>>) {
        let notes: BTreeSet<Problem> = files
            .values()
            .flat_map(|manifests| manifests.notes.iter().cloned())
            .collect();
        for note in notes.difference(&self.notes) {
            tracing::info!("{note}");
        }
        self.notes = notes;
    }
}

fn same_secrets(
    a: &BTreeMap<ObjectId, (SecretData, Arc<Path>)>,
    b: &BTreeMap<ObjectId, (SecretData, Arc<Path>)>,
) -> bool {
    use secrecy::ExposeSecret;
    let same_data = |a: &SecretData, b: &SecretData| {
        a.len() == b.len()
            && a.iter()
                .zip(b)
                .all(|((a, av), (b, bv))| a == b && av.expose_secret() == bv.expose_secret())
    };
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|((a, (av, _)), (b, (bv, _)))| a == b && same_data(av, bv))
}

/// The manifests in a folder and below it, and what could not be looked at, with the reasons.
pub(crate) fn manifests_below(folder: &Path) -> (Vec<Arc<Path>>, BTreeMap<PathBuf, String>) {
    let mut listing = Listing::default();
    listing.add_all(folder);
    (listing.files.into_keys().collect(), listing.unreadable)
}

#[cfg(test)]
mod tests;
