//! One kind's objects as they are served: what an API server would keep of them.
//!
//! Declarations and status come in; objects with uid, generation and resourceVersion, and the events that tell of them,
//! go out. Nothing is read or written here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::runtime::watcher;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::UnboundedSender;

use super::Inner;
use super::past::{Found, Past, Remembered};
use crate::manifest::{Kind, ObjectId};
use crate::objects::check::{Mistake, check_station_change};
use crate::objects::{
    ChargeStation, ChargeStationConfig, ChargeStationConfigStatus, ChargeStationStatus,
    KeyCatalogue, KeyCatalogueStatus,
};
use crate::source::PublishError;

/// A kind that is served.
pub(super) trait Kept:
    kube::Resource + Clone + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Its status.
    type Status: Serialize + Send + Sync;
    /// Which kind.
    const KIND: Kind;
    /// Where its objects are.
    fn table(inner: &mut Inner) -> &mut Table<Self>;
    /// Its status.
    fn status_mut(&mut self) -> &mut Option<Self::Status>;
    /// The same object without its status.
    fn without_status(&self) -> Self;
}

impl Kept for ChargeStation {
    type Status = ChargeStationStatus;
    const KIND: Kind = Kind::Station;

    fn table(inner: &mut Inner) -> &mut Table<Self> {
        &mut inner.stations
    }

    fn status_mut(&mut self) -> &mut Option<Self::Status> {
        &mut self.status
    }

    fn without_status(&self) -> Self {
        Self {
            metadata: self.metadata.clone(),
            spec: self.spec.clone(),
            status: None,
        }
    }
}

impl Kept for ChargeStationConfig {
    type Status = ChargeStationConfigStatus;
    const KIND: Kind = Kind::Config;

    fn table(inner: &mut Inner) -> &mut Table<Self> {
        &mut inner.configs
    }

    fn status_mut(&mut self) -> &mut Option<Self::Status> {
        &mut self.status
    }

    fn without_status(&self) -> Self {
        Self {
            metadata: self.metadata.clone(),
            spec: self.spec.clone(),
            status: None,
        }
    }
}

impl Kept for KeyCatalogue {
    type Status = KeyCatalogueStatus;
    const KIND: Kind = Kind::Catalogue;

    fn table(inner: &mut Inner) -> &mut Table<Self> {
        &mut inner.catalogues
    }

    fn status_mut(&mut self) -> &mut Option<Self::Status> {
        &mut self.status
    }

    fn without_status(&self) -> Self {
        Self {
            metadata: self.metadata.clone(),
            spec: self.spec.clone(),
            status: None,
        }
    }
}

/// One object.
struct Served<K: Kept> {
    object: Arc<K>,
    /// The file that decides about it.
    file: Arc<Path>,
    /// Why it is held as it was last known.
    unreadable: Option<String>,
    /// A status is being written.
    publishing: bool,
}

/// What is to be told of one object.
pub(super) enum Change<K> {
    Applied(ObjectId),
    Deleted(Arc<K>),
}

/// What is to be told.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) stations: Vec<Change<ChargeStation>>,
    pub(super) configs: Vec<Change<ChargeStationConfig>>,
    pub(super) catalogues: Vec<Change<KeyCatalogue>>,
    pub(super) secrets: bool,
}

impl Changes {
    /// The objects that were deleted.
    pub(super) fn gone(&self) -> Vec<ObjectId> {
        fn deleted<K: Kept>(changes: &[Change<K>]) -> impl Iterator<Item = ObjectId> {
            changes.iter().filter_map(|change| match change {
                Change::Deleted(object) => Some(id_of(object.as_ref())),
                Change::Applied(_) => None,
            })
        }
        deleted(&self.stations)
            .chain(deleted(&self.configs))
            .chain(deleted(&self.catalogues))
            .collect()
    }
}

/// All objects of one kind.
pub(super) struct Table<K: Kept> {
    served: BTreeMap<ObjectId, Served<K>>,
    /// Status of objects that were not declared yet since the start.
    found: BTreeMap<ObjectId, Found<K::Status>>,
    events: UnboundedSender<watcher::Event<K>>,
}

impl<K: Kept> Table<K> {
    pub(super) fn new(
        events: UnboundedSender<watcher::Event<K>>,
        found: BTreeMap<ObjectId, Found<K::Status>>,
    ) -> Self {
        Self {
            served: BTreeMap::new(),
            found,
            events,
        }
    }

    pub(super) fn contains(&self, id: &ObjectId) -> bool {
        self.served.contains_key(id)
    }

    #[cfg(test)]
    pub(super) fn object(&self, id: &ObjectId) -> Option<K> {
        self.served
            .get(id)
            .map(|served| served.object.as_ref().clone())
    }

    pub(super) fn unreadable(&self, id: &ObjectId) -> Option<String> {
        self.served.get(id)?.unreadable.clone()
    }

    pub(super) fn known(&self) -> impl Iterator<Item = (ObjectId, Arc<Path>)> {
        self.served
            .iter()
            .map(|(id, served)| (id.clone(), Arc::clone(&served.file)))
    }

    /// What is to be written down of the objects.
    pub(super) fn remembered(&self) -> impl Iterator<Item = Remembered> {
        self.served.iter().map(|(id, served)| {
            let metadata = served.object.meta();
            Remembered {
                kind: id.kind.as_str().to_owned(),
                namespace: id.namespace.clone(),
                name: id.name.clone(),
                uid: metadata.uid.clone().unwrap_or_default(),
                generation: metadata.generation.unwrap_or_default(),
                created: metadata
                    .creation_timestamp
                    .as_ref()
                    .map(|time| time.0)
                    .unwrap_or_default(),
                file: served.file.to_path_buf(),
                labels: metadata.labels.clone().unwrap_or_default(),
                annotations: metadata.annotations.clone().unwrap_or_default(),
                spec: spec_of(served.object.as_ref()),
            }
        })
    }

    /// Takes in an object as it was written down by an earlier process.
    pub(super) fn recall(&mut self, id: ObjectId, remembered: Remembered, version: &mut u64) {
        let file = Arc::from(remembered.file.as_path());
        let Some(mut object) = object_of::<K>(&remembered) else {
            tracing::warn!(object = %id, "what was written down of an object is of another version: it counts as new");
            return;
        };
        let found = self
            .found
            .remove(&id)
            .filter(|found| found.metadata.uid.as_ref() == Some(&remembered.uid));
        *object.status_mut() = found.map(|found| found.status);
        object.meta_mut().resource_version = Some(next(version));
        self.served.insert(
            id,
            Served {
                object: Arc::new(object),
                file,
                unreadable: None,
                publishing: false,
            },
        );
    }

    /// An object is well declared.
    pub(super) fn put(
        &mut self,
        id: &ObjectId,
        mut object: K,
        file: Arc<Path>,
        now: Timestamp,
        version: &mut u64,
        changed: &mut Vec<Change<K>>,
    ) {
        let former = self.served.get(id);
        let metadata = object.meta_mut();
        let (status, publishing) = match former {
            Some(former) => {
                let was = former.object.meta();
                metadata.uid.clone_from(&was.uid);
                metadata
                    .creation_timestamp
                    .clone_from(&was.creation_timestamp);
                metadata.generation = was.generation;
                (None, former.publishing)
            }
            // What was written down of it got lost, but its status did not. Whether the spec is still the same is not
            // known, so it counts as changed.
            None => match self.found.remove(id) {
                Some(found) => {
                    metadata.uid = found.metadata.uid;
                    metadata.creation_timestamp = found.metadata.creation_timestamp;
                    metadata.generation =
                        found.metadata.generation.map(|generation| generation + 1);
                    (Some(found.status), false)
                }
                None => (None, false),
            },
        };
        metadata
            .uid
            .get_or_insert_with(|| uuid::Uuid::new_v4().to_string());
        // In whole seconds, as Kubernetes writes times: what is read back is then the same.
        metadata
            .creation_timestamp
            .get_or_insert_with(|| Time(Timestamp::from_second(now.as_second()).unwrap_or(now)));
        metadata.generation.get_or_insert(1);
        if let Some(former) = former {
            let same_spec = spec_of(former.object.as_ref()) == spec_of(&object);
            let was = former.object.meta();
            let is = object.meta();
            let same_marks = was.labels == is.labels && was.annotations == is.annotations;
            if same_spec && same_marks && former.unreadable.is_none() {
                if let Some(served) = self.served.get_mut(id) {
                    served.file = file;
                }
                return;
            }
            if !same_spec {
                object.meta_mut().generation = was.generation.map(|generation| generation + 1);
            }
        }
        *object.status_mut() = match self.served.remove(id) {
            Some(former) => Arc::unwrap_or_clone(former.object).status_mut().take(),
            None => status,
        };
        object.meta_mut().resource_version = Some(next(version));
        self.served.insert(
            id.clone(),
            Served {
                object: Arc::new(object),
                file,
                unreadable: None,
                publishing,
            },
        );
        changed.push(Change::Applied(id.clone()));
    }

    /// An object cannot be read: it stays as it was last known.
    pub(super) fn hold(
        &mut self,
        id: &ObjectId,
        file: Arc<Path>,
        reason: String,
        version: &mut u64,
        changed: &mut Vec<Change<K>>,
    ) {
        let Some(served) = self.served.get_mut(id) else {
            return;
        };
        served.file = file;
        if served.unreadable.as_ref() != Some(&reason) {
            served.unreadable = Some(reason);
            Arc::make_mut(&mut served.object)
                .meta_mut()
                .resource_version = Some(next(version));
            changed.push(Change::Applied(id.clone()));
        }
    }

    pub(super) fn remove(&mut self, id: &ObjectId, changed: &mut Vec<Change<K>>) {
        self.found.remove(id);
        if let Some(served) = self.served.remove(id) {
            changed.push(Change::Deleted(served.object));
        }
    }

    /// Tells what changed, as it is by now; the first time everything.
    pub(super) fn tell(&self, changes: &[Change<K>], first: bool) {
        // Nobody listens any more only while the process ends.
        let send = |event| drop(self.events.send(event));
        if first {
            send(watcher::Event::Init);
            self.served
                .values()
                .for_each(|served| send(watcher::Event::InitApply(served.object.as_ref().clone())));
            return send(watcher::Event::InitDone);
        }
        for change in changes {
            match change {
                Change::Applied(id) => {
                    if let Some(served) = self.served.get(id) {
                        send(watcher::Event::Apply(served.object.as_ref().clone()));
                    }
                }
                Change::Deleted(object) => {
                    if !self.served.contains_key(&id_of(object.as_ref())) {
                        send(watcher::Event::Delete(object.as_ref().clone()));
                    }
                }
            }
        }
    }

    /// Begins to publish a status: the metadata to be written beside it.
    pub(super) fn begin(
        &mut self,
        id: &ObjectId,
        version: &str,
        next: u64,
    ) -> Result<ObjectMeta, PublishError> {
        let served = self.served.get_mut(id).ok_or(PublishError::Gone)?;
        let metadata = served.object.meta();
        if served.publishing || metadata.resource_version.as_deref() != Some(version) {
            return Err(PublishError::Conflict);
        }
        let metadata = ObjectMeta {
            resource_version: Some(next.to_string()),
            ..metadata.clone()
        };
        served.publishing = true;
        Ok(metadata)
    }

    pub(super) fn end(&mut self, id: &ObjectId) {
        if let Some(served) = self.served.get_mut(id) {
            served.publishing = false;
        }
    }

    /// The status is on the disk: the object carries it from now on. Its spec may have changed meanwhile.
    pub(super) fn publish(
        &mut self,
        id: &ObjectId,
        uid: Option<&str>,
        status: K::Status,
        next: u64,
    ) -> Result<Arc<K>, PublishError> {
        let served = self
            .served
            .get_mut(id)
            .filter(|served| served.object.meta().uid.as_deref() == uid);
        let served = served.ok_or(PublishError::Gone)?;
        let mut object = served.object.without_status();
        *object.status_mut() = Some(status);
        object.meta_mut().resource_version = Some(next.to_string());
        served.object = Arc::new(object);
        let event = watcher::Event::Apply(served.object.as_ref().clone());
        drop(self.events.send(event));
        Ok(Arc::clone(&served.object))
    }
}

impl Table<ChargeStation> {
    /// What a station that is there already may not be changed to.
    pub(super) fn refused_change(&self, id: &ObjectId, new: &ChargeStation) -> Option<Mistake> {
        let served = self.served.get(id)?;
        check_station_change(&served.object, new).into_iter().next()
    }
}

impl Past {
    /// The newest resourceVersion that an earlier process gave.
    pub(super) fn newest_version(&self) -> u64 {
        let stations = self.stations.values().map(|found| &found.metadata);
        let configs = self.configs.values().map(|found| &found.metadata);
        let catalogues = self.catalogues.values().map(|found| &found.metadata);
        stations
            .chain(configs)
            .chain(catalogues)
            .filter_map(|metadata| metadata.resource_version.as_ref()?.parse().ok())
            .max()
            .unwrap_or(0)
    }
}

/// An object as it was written down; nothing if this version cannot read its spec.
pub(super) fn object_of<K: DeserializeOwned>(remembered: &Remembered) -> Option<K> {
    let object = serde_json::json!({
        "apiVersion": crate::objects::API_VERSION,
        "kind": remembered.kind,
        "metadata": remembered.metadata(),
        "spec": remembered.spec,
    });
    serde_json::from_value(object).ok()
}

fn next(version: &mut u64) -> String {
    *version += 1;
    version.to_string()
}

fn spec_of<K: Serialize>(object: &K) -> serde_json::Value {
    serde_json::to_value(object)
        .ok()
        .and_then(|mut object| Some(object.get_mut("spec")?.take()))
        .unwrap_or_default()
}

fn id_of<K: Kept>(object: &K) -> ObjectId {
    let metadata = object.meta();
    ObjectId {
        kind: K::KIND,
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
    }
}
