//! Catalogues: the KeyCatalogue objects → what is known of keys, namespace by namespace.
//!
//! ```text
//!  the object is                     and its former generation       then in force is
//!  valid                                                             its document
//!  invalid, or can no longer be read was valid, in this process      that document, and its status says so
//!  invalid                           is not known                    nothing; the keys that it names are held
//!  deleted, seen by a synced cache                                   nothing
//! ```
//!
//! An object that a person broke must not stop to guard in silence: a key that it called read-only would be written.
//! What does not happen here: watching, and any status (that is [`super::catalogue_status`]).

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use stationkeeper_core::catalogue::{Catalogue, CatalogueDocument, StationCatalogue, UserDocument};
use stationkeeper_core::words::Device;

use crate::objects::{KeyCatalogue, check};

/// How many kinds of device are kept ready in a namespace. A fleet has fewer; what stations report may be anything.
const MOST_DEVICES: usize = 512;

/// Tells of objects whose file went bad: they stay as they were last known.
pub type UnreadableCatalogue = dyn Fn(&ObjectRef<KeyCatalogue>) -> Option<String> + Send + Sync;

/// What is known of keys, namespace by namespace.
pub struct Catalogues {
    built_in: Namespace,
    namespaces: RwLock<HashMap<String, Arc<Namespace>>>,
    unreadable: Option<Arc<UnreadableCatalogue>>,
    /// The last version given to a namespace.
    versions: AtomicU64,
    synced: AtomicBool,
}

/// One namespace's catalogue.
struct Namespace {
    objects: BTreeMap<String, Arc<Prepared>>,
    laid: Arc<Catalogue>,
    /// Another one for each change; 0: the built-in catalogue alone.
    version: u64,
    /// By device and firmware, so that a fleet of one model shares one without another look at all documents.
    by_device: Mutex<HashMap<(Device, Option<String>), StationCatalogue>>,
}

/// One KeyCatalogue, as it takes part.
#[derive(Clone, Debug)]
pub struct Prepared {
    uid: String,
    /// Its generation.
    pub generation: i64,
    /// What is wrong with this generation, if anything.
    pub mistake: Option<String>,
    /// Why it is as it was last known, if its file can no longer be read.
    pub unreadable: Option<String>,
    /// The generation whose document is in force, if one is.
    pub in_force: Option<i64>,
    /// What lies above the built-in catalogue.
    pub user: UserDocument,
}

impl Catalogues {
    /// The built-in catalogue alone; `unreadable` tells of objects that a source can no longer read.
    pub fn new(unreadable: Option<Arc<UnreadableCatalogue>>) -> Self {
        Self {
            built_in: Namespace::new(BTreeMap::new(), Catalogue::built_in(), 0),
            namespaces: RwLock::default(),
            unreadable,
            versions: AtomicU64::new(0),
            synced: AtomicBool::new(false),
        }
    }

    /// Takes an object in, or anew. `true`: what it says of keys is another than before.
    pub fn put(&self, object: &KeyCatalogue) -> bool {
        let namespace = object.namespace().unwrap_or_default();
        let mut objects = self.objects_of(&namespace);
        let former = objects.get(&object.name_any());
        let prepared = self.prepare(object, former.map(AsRef::as_ref));
        let changes = former.is_none_or(|former| !says_the_same(&former.user, &prepared.user));
        objects.insert(object.name_any(), Arc::new(prepared));
        self.set(namespace, objects, changes);
        changes
    }

    /// Takes an object out: it was deleted. `true`: it was there.
    pub fn remove(&self, object: &ObjectRef<KeyCatalogue>) -> bool {
        let namespace = object.namespace.clone().unwrap_or_default();
        let mut objects = self.objects_of(&namespace);
        let was_there = objects.remove(&object.name).is_some();
        if was_there {
            self.set(namespace, objects, true);
        }
        was_there
    }

    /// Replaces everything by what was listed.
    pub fn replace(&self, objects: &[Arc<KeyCatalogue>]) {
        let mut all: HashMap<String, BTreeMap<String, Arc<Prepared>>> = HashMap::new();
        for object in objects {
            let namespace = object.namespace().unwrap_or_default();
            let former = self.objects_of(&namespace).remove(&object.name_any());
            let prepared = Arc::new(self.prepare(object, former.as_deref()));
            all.entry(namespace)
                .or_default()
                .insert(object.name_any(), prepared);
        }
        let gone: Vec<String> = match self.namespaces.read() {
            Ok(namespaces) => namespaces
                .keys()
                .filter(|namespace| !all.contains_key(*namespace))
                .cloned()
                .collect(),
            Err(_) => Vec::new(),
        };
        for (namespace, objects) in all {
            self.set(namespace, objects, true);
        }
        for namespace in gone {
            self.set(namespace, BTreeMap::new(), true);
        }
        self.synced.store(true, Ordering::Release);
    }

    /// Have all objects been listed? Before, the absence of one says nothing.
    pub fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// One object, and the catalogue that it is a part of.
    pub fn get(&self, object: &ObjectRef<KeyCatalogue>) -> Option<(Arc<Prepared>, Arc<Catalogue>)> {
        let namespaces = self.namespaces.read().ok()?;
        let namespace = namespaces.get(object.namespace.as_deref().unwrap_or_default())?;
        let prepared = namespace.objects.get(&object.name)?;
        Some((Arc::clone(prepared), Arc::clone(&namespace.laid)))
    }

    /// Another number for each change of a namespace's catalogue.
    pub fn version(&self, namespace: &str) -> u64 {
        self.of(namespace).map_or(0, |namespace| namespace.version)
    }

    /// What is known of keys for a device and firmware, to stations of a namespace.
    pub fn for_station(
        &self,
        namespace: &str,
        device: &Device,
        firmware: Option<&str>,
    ) -> StationCatalogue {
        match self.of(namespace) {
            Some(namespace) => namespace.for_station(device, firmware),
            None => self.built_in.for_station(device, firmware),
        }
    }

    fn of(&self, namespace: &str) -> Option<Arc<Namespace>> {
        self.namespaces.read().ok()?.get(namespace).cloned()
    }

    fn objects_of(&self, namespace: &str) -> BTreeMap<String, Arc<Prepared>> {
        self.of(namespace)
            .map(|namespace| namespace.objects.clone())
            .unwrap_or_default()
    }

    /// Puts the objects of a namespace in force; `changes`: they say something else of keys than before.
    fn set(&self, namespace: String, objects: BTreeMap<String, Arc<Prepared>>, changes: bool) {
        let former = self.of(&namespace);
        let (laid, version) = match former.filter(|_| !changes) {
            Some(former) => (Arc::clone(&former.laid), former.version),
            None => {
                let users = objects.values().map(|prepared| prepared.user.clone());
                let version = self.versions.fetch_add(1, Ordering::Relaxed) + 1;
                (Catalogue::built_in().with_users(users), version)
            }
        };
        if let Ok(mut namespaces) = self.namespaces.write() {
            if objects.is_empty() {
                namespaces.remove(&namespace);
            } else {
                let made = Namespace::new(objects, laid, version);
                namespaces.insert(namespace, Arc::new(made));
            }
        }
    }

    fn prepare(&self, object: &KeyCatalogue, former: Option<&Prepared>) -> Prepared {
        let (name, uid) = (object.name_any(), object.uid().unwrap_or_default());
        let generation = object.metadata.generation.unwrap_or_default();
        let reference = ObjectRef::from_obj(object);
        let unreadable = self
            .unreadable
            .as_ref()
            .and_then(|unreadable| unreadable(&reference));
        let (mistake, in_force, user) = match document_of(object) {
            Ok(document) => (None, Some(generation), in_use(name, document)),
            Err(mistake) => {
                // One that was deleted and made again is another object.
                let kept = former.filter(|former| former.uid == uid);
                match kept.and_then(|kept| Some((kept.in_force?, kept.user.clone()))) {
                    Some((in_force, user)) => (Some(mistake), Some(in_force), user),
                    None => {
                        let user = UserDocument {
                            name,
                            document: Arc::new(object.spec.remains()),
                            held: Some(format!(
                                "is invalid, so that the key is held until it is mended: {mistake}"
                            )),
                        };
                        (Some(mistake), None, user)
                    }
                }
            }
        };
        Prepared {
            uid,
            generation,
            mistake,
            unreadable,
            in_force,
            user,
        }
    }
}

impl Namespace {
    fn new(objects: BTreeMap<String, Arc<Prepared>>, laid: Arc<Catalogue>, version: u64) -> Self {
        Self {
            objects,
            laid,
            version,
            by_device: Mutex::default(),
        }
    }

    fn for_station(&self, device: &Device, firmware: Option<&str>) -> StationCatalogue {
        // Serial numbers tell devices apart, not what their keys mean.
        let kind = Device {
            serial: None,
            box_serial: None,
            ..device.clone()
        };
        let at = (kind, firmware.map(str::to_owned));
        let mut by_device = self
            .by_device
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = by_device.get(&at) {
            return known.clone();
        }
        let made = self.laid.for_station(device, firmware);
        if by_device.len() >= MOST_DEVICES {
            by_device.clear();
        }
        by_device.insert(at, made.clone());
        made
    }
}

fn in_use(name: String, document: CatalogueDocument) -> UserDocument {
    UserDocument {
        name,
        document: Arc::new(document),
        held: None,
    }
}

/// The document, checked as an API server would and beyond what it can; else the first mistake.
fn document_of(object: &KeyCatalogue) -> Result<CatalogueDocument, String> {
    if let Some(mistake) = check::check_catalogue(object).first() {
        return Err(format!("{}: {}", mistake.path, mistake.message));
    }
    object
        .spec
        .document()
        .map_err(|error| format!("spec: cannot be read: {error}"))
}

fn says_the_same(a: &UserDocument, b: &UserDocument) -> bool {
    a.held == b.held && a.document == b.document
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use stationkeeper_core::catalogue::Access;
    use stationkeeper_core::words::Key;

    use super::*;

    fn object(name: &str, uid: &str, generation: i64, spec: Value) -> KeyCatalogue {
        serde_json::from_value(json!({
            "apiVersion": "stationkeeper.dev/v1alpha1", "kind": "KeyCatalogue", "spec": spec,
            "metadata": {"name": name, "namespace": "north", "uid": uid, "generation": generation},
        }))
        .unwrap()
    }

    fn read_only(key: &str) -> Value {
        json!({"keys": [{"key": key, "access": "ReadOnly"}]})
    }

    fn volta(catalogues: &Catalogues, namespace: &str) -> StationCatalogue {
        let device = Device {
            vendor: Some("Volta".to_owned()),
            ..Device::default()
        };
        catalogues.for_station(namespace, &device, None)
    }

    fn access(catalogues: &Catalogues, namespace: &str, key: &str) -> Option<Access> {
        volta(catalogues, namespace)
            .definition(&Key::from(key))
            .access()
    }

    #[test]
    fn a_catalogue_speaks_of_its_own_namespace_only() {
        let catalogues = Catalogues::new(None);
        assert!(catalogues.put(&object("a", "1", 1, read_only("VoltaMode"))));
        assert_eq!(
            access(&catalogues, "north", "VoltaMode"),
            Some(Access::ReadOnly)
        );
        assert_eq!(access(&catalogues, "south", "VoltaMode"), None);
    }

    #[test]
    fn a_status_or_label_that_changes_is_no_change_of_what_is_known() {
        let catalogues = Catalogues::new(None);
        let mut one = object("a", "1", 1, read_only("VoltaMode"));
        assert!(catalogues.put(&one));
        let version = catalogues.version("north");
        one.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
        assert!(!catalogues.put(&one));
        assert_eq!(catalogues.version("north"), version);
        assert!(catalogues.remove(&ObjectRef::from_obj(&one)));
        assert_ne!(catalogues.version("north"), version);
        assert_eq!(access(&catalogues, "north", "VoltaMode"), None);
    }

    #[test]
    fn an_invalid_generation_leaves_the_last_valid_one_in_force() {
        let catalogues = Catalogues::new(None);
        catalogues.put(&object("a", "1", 1, read_only("VoltaMode")));
        let broken = json!({"keys": [{"key": "VoltaMode", "pattern": "("}]});
        assert!(!catalogues.put(&object("a", "1", 2, broken.clone())));
        assert_eq!(
            access(&catalogues, "north", "VoltaMode"),
            Some(Access::ReadOnly)
        );
        // A relist brings nothing else about.
        catalogues.replace(&[Arc::new(object("a", "1", 2, broken.clone()))]);
        assert_eq!(
            access(&catalogues, "north", "VoltaMode"),
            Some(Access::ReadOnly)
        );
        // Made anew it is another object, whose facts nobody ever knew.
        catalogues.put(&object("a", "2", 1, broken));
        assert_eq!(access(&catalogues, "north", "VoltaMode"), None);
    }

    #[test]
    fn an_invalid_catalogue_that_was_never_valid_holds_the_keys_that_it_names() {
        let catalogues = Catalogues::new(None);
        let broken = json!({"match": [{"vendor": "Volta"}], "keys": [{"key": "VoltaMode", "type": "Perhaps"}, {"key": "Other"}]});
        catalogues.put(&object("a", "1", 1, broken));
        let held = volta(&catalogues, "north");
        let [other, mode] = held.findings() else {
            panic!("{:?}", held.findings());
        };
        assert_eq!(mode.key, Some(Key::from("VoltaMode")));
        assert!(
            mode.message.contains("KeyCatalogue \"a\"") && mode.message.contains("\"Perhaps\""),
            "{}",
            mode.message
        );
        assert_eq!(other.key, Some(Key::from("Other")));
        let elsewhere = catalogues.for_station("north", &Device::default(), None);
        assert_eq!(elsewhere.findings(), []);
    }

    #[test]
    fn what_stations_report_does_not_grow_without_end() {
        let catalogues = Catalogues::new(None);
        catalogues.put(&object("a", "1", 1, read_only("VoltaMode")));
        for firmware in 0..2 * MOST_DEVICES {
            let firmware = firmware.to_string();
            catalogues.for_station("north", &Device::default(), Some(&firmware));
        }
        let kept = catalogues.of("north").unwrap();
        assert!(kept.by_device.lock().unwrap().len() <= MOST_DEVICES);
    }
}
