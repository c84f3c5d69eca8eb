//! The state directory: what outlives the process when there is no API server.
//!
//! ```text
//! lock                                     held by the one process that writes here; its id is inside
//! hmac.key                                 the key of the digests that stand for secrets
//! status/NAMESPACE/KIND/NAME.yaml          one object: metadata and the whole status
//! meta/objects.jsonl                       what was declared: uid, generation and previous spec, an object a line
//! registered/NAMESPACE/NAME.yaml           stations that nobody declared; also read as manifests
//! keys/NAMESPACE/NAME.json                 every managed key of a station; made again when a pass misses it, so not synced
//! problems.json                            what is wrong in the manifests
//! damaged/                                 files that could not be understood, moved here and not deleted
//! ```
//!
//! Status and meta are replaced atomically and synced; a damaged file costs that object's state and no other's.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use rand::TryRngCore;
use secrecy::SecretSlice;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::commit::{Committer, Disk, RealDisk, is_partial, replace_quickly};
use super::past::{Past, Remembered, StatusFile, read_past};
use super::yaml;
use crate::document::StationDocument;
use crate::manifest::{Kind, ObjectId, Problem};
use crate::objects::{API_VERSION, ChargeStation};

/// The bytes of the digests' key.
const KEY_BYTES: usize = 32;

/// How long a name may be as part of a file's name; longer ones are shortened and told apart by a digest.
const NAME_BYTES: usize = 200;

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Another process holds it.
    #[error(
        "the state directory {path:?} is in use by process {holder}, which holds the file lock in {path:?}: stop it, or give this one a directory of its own"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process id that stands in the lock file.
        holder: String,
    },
    /// It cannot be made or read.
    #[error("failed to open the state directory at {path:?}")]
    Open {
        /// What could not be opened.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The key of the digests is damaged.
    #[error(
        "{path:?} has {found} bytes instead of {KEY_BYTES}: restore it from a backup, or delete it, and every secret is written to its stations once more"
    )]
    DamagedKey {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: usize,
    },
}

/// A state directory, locked for this process as long as this value lives.
pub struct StateDir {
    path: PathBuf,
    committer: Committer,
    /// What this process has written below `keys/`: digests of the texts, by digests of the paths.
    verdicts: Mutex<HashMap<u64, u64>>,
    _lock: File,
}

impl StateDir {
    /// Makes the directory where it is absent, and locks it.
    pub fn open(path: &Path) -> Result<Self, StateDirError> {
        Self::open_on(path, Arc::new(RealDisk))
    }

    pub(super) fn open_on(path: &Path, disk: Arc<dyn Disk>) -> Result<Self, StateDirError> {
        let failed = |source| StateDirError::Open {
            path: path.to_owned(),
            source,
        };
        // It tells how stations are configured: for its owner only.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed)?;
        let lock = lock(path)?;
        Ok(Self {
            path: path.to_owned(),
            committer: Committer::new(disk),
            verdicts: Mutex::default(),
            _lock: lock,
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where stations that nobody declared are written.
    pub fn registered(&self) -> PathBuf {
        self.path.join("registered")
    }

    /// The key of the digests that stand for secrets; made at the first call, and read ever after.
    pub fn hmac_key(&self) -> Result<SecretSlice<u8>, StateDirError> {
        let path = self.path.join("hmac.key");
        let failed = |source| StateDirError::Open {
            path: path.clone(),
            source,
        };
        match fs::read(&path) {
            Ok(key) if key.len() == KEY_BYTES => Ok(SecretSlice::from(key)),
            Ok(key) => Err(StateDirError::DamagedKey {
                path: path.clone(),
                found: key.len(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut key = vec![0; KEY_BYTES];
                rand::rngs::OsRng
                    .try_fill_bytes(&mut key)
                    .map_err(|error| failed(io::Error::other(error)))?;
                // By way of another name, so that a crash leaves no half of a key.
                let partial = self.path.join(".partial-hmac.key");
                let write = || {
                    let mut file = OpenOptions::new()
                        .write(true)
                        .create(true)
                        .truncate(true)
                        .mode(0o600)
                        .open(&partial)?;
                    file.write_all(&key)?;
                    file.sync_all()?;
                    fs::rename(&partial, &path)?;
                    File::open(&self.path)?.sync_all()
                };
                write().map_err(failed)?;
                Ok(SecretSlice::from(key))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Puts every key of a station where `status` finds it, unless it stands there already. Atomic but not synced: the
    /// next pass, or the next process, makes it again.
    pub fn write_verdicts(&self, station: &StationDocument) -> io::Result<()> {
        let text = serde_json::to_vec(station).map_err(io::Error::other)?;
        let path = verdicts_path(&self.path, &station.namespace, &station.name);
        let (place, told) = (digest(&path), digest(&text));
        if self.written().get(&place) == Some(&told) && path.is_file() {
            return Ok(());
        }
        replace_quickly(&path, &text)?;
        self.written().insert(place, told);
        Ok(())
    }

    fn written(&self) -> MutexGuard<'_, HashMap<u64, u64>> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a status file; answered when it is on the disk.
    pub(super) async fn write_status<S: Serialize>(
        &self,
        id: &ObjectId,
        metadata: &ObjectMeta,
        status: &S,
    ) -> io::Result<()> {
        let metadata = ObjectMeta {
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
            uid: metadata.uid.clone(),
            generation: metadata.generation,
            creation_timestamp: metadata.creation_timestamp.clone(),
            resource_version: metadata.resource_version.clone(),
            ..ObjectMeta::default()
        };
        let file = StatusFile {
            api_version: API_VERSION.to_owned(),
            kind: id.kind.as_str().to_owned(),
            metadata,
            status,
        };
        let text = yaml::to_string(&file).map_err(io::Error::other)?;
        self.committer
            .replace(status_path(&self.path, id), text.into_bytes())
            .await
    }

    /// Writes a station that nobody declared, as a manifest.
    pub(super) async fn write_registered(&self, station: &ChargeStation) -> io::Result<PathBuf> {
        let namespace = station.namespace().unwrap_or_default();
        let path = self
            .registered()
            .join(namespace)
            .join(format!("{}.yaml", file_name(&station.name_any())));
        let mut object = serde_json::to_value(station).map_err(io::Error::other)?;
        if let Some(object) = object.as_object_mut() {
            object.remove("status");
        }
        let text = serde_yaml::to_string(&object).map_err(io::Error::other)?;
        self.committer
            .replace(path.clone(), text.into_bytes())
            .await?;
        Ok(path)
    }

    /// Remembers what is declared.
    pub(super) async fn write_objects(&self, objects: &[Remembered]) -> io::Result<()> {
        let mut text = Vec::new();
        for object in objects {
            serde_json::to_writer(&mut text, object).map_err(io::Error::other)?;
            text.push(b'\n');
        }
        self.committer
            .replace(self.path.join("meta/objects.jsonl"), text)
            .await
    }

    /// Tells `status` what is wrong in the manifests.
    pub(super) fn write_problems(&self, problems: &[Problem]) -> io::Result<()> {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        replace_quickly(
            &self.path.join("problems.json"),
            &serde_json::to_vec_pretty(&told).map_err(io::Error::other)?,
        )
    }

    /// Forgets a deleted object's status and keys.
    pub(super) fn forget(&self, id: &ObjectId) -> io::Result<()> {
        let remove = |path: PathBuf| match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        };
        remove(status_path(&self.path, id))?;
        match id.kind {
            Kind::Station => {
                let path = verdicts_path(&self.path, &id.namespace, &id.name);
                self.written().remove(&digest(&path));
                remove(path)
            }
            Kind::Config | Kind::Catalogue | Kind::Secret => Ok(()),
        }
    }

    /// Reads what is here. What cannot be understood is moved aside, and the rest goes on.
    pub(super) fn read(&self) -> Past {
        sweep(&self.path);
        let mut past = read_past(&self.path);
        for damaged in &mut past.damaged {
            damaged.moved_to = self.move_aside(&damaged.path).ok();
        }
        past
    }

    /// Moves (or, for a file that is still read, copies) a file to where nobody reads it.
    fn move_aside(&self, path: &Path) -> io::Result<PathBuf> {
        let folder = self.path.join("damaged");
        fs::create_dir_all(&folder)?;
        let below = path.strip_prefix(&self.path).unwrap_or(path);
        let name = below.to_string_lossy().replace('/', "-");
        let free = (0..1000)
            .map(|count| folder.join(format!("{name}.{count}")))
            .find(|path| !path.exists());
        let to = free.ok_or_else(|| io::Error::other("too many damaged files"))?;
        if below == Path::new("meta/objects.jsonl") {
            fs::copy(path, &to)?;
        } else {
            fs::rename(path, &to)?;
        }
        Ok(to)
    }
}

/// Does a process hold the lock?
pub(super) fn is_held(path: &Path) -> bool {
    let Ok(lock) = File::open(path.join("lock")) else {
        return false;
    };
    matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
}

fn lock(path: &Path) -> Result<File, StateDirError> {
    let file = path.join("lock");
    let failed = |source| StateDirError::Open {
        path: file.clone(),
        source,
    };
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&file)
        .map_err(failed)?;
    // `status` looks whether the lock is held by taking a share of it for a moment.
    for _ in 0..5 {
        match lock.try_lock() {
            Ok(()) => {
                let write = |lock: &mut File| {
                    lock.set_len(0)?;
                    lock.write_all(std::process::id().to_string().as_bytes())
                };
                write(&mut lock).map_err(failed)?;
                return Ok(lock);
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(50)),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
    let mut holder = String::new();
    let _ = lock
        .rewind()
        .and_then(|()| lock.read_to_string(&mut holder));
    let holder = if holder.is_empty() {
        "(unknown)".to_owned()
    } else {
        holder
    };
    Err(StateDirError::InUse {
        path: path.to_owned(),
        holder,
    })
}

/// Removes what writes that were cut off left behind.
fn sweep(path: &Path) {
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && entry.file_name() != "damaged" {
                folders.push(entry.path());
            } else if entry.file_name().to_str().is_some_and(is_partial) {
                // If it cannot be removed it only takes space.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn status_path(state: &Path, id: &ObjectId) -> PathBuf {
    state
        .join("status")
        .join(&id.namespace)
        .join(id.kind.as_str())
        .join(format!("{}.yaml", file_name(&id.name)))
}

fn verdicts_path(state: &Path, namespace: &str, name: &str) -> PathBuf {
    state
        .join("keys")
        .join(namespace)
        .join(format!("{}.json", file_name(name)))
}

/// Tells texts and paths of one process apart.
fn digest(content: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

/// Object names go up to 253 bytes, file names to 255 with their ending.
fn file_name(name: &str) -> String {
    if name.len() <= NAME_BYTES {
        return name.to_owned();
    }
    let digest = Sha256::digest(name.as_bytes());
    let digest: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let short: String = name.chars().take(NAME_BYTES - 20).collect();
    format!("{short}-{digest}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use proptest::prelude::*;

    use super::*;
    use crate::folder::past::read_verdicts;
    use crate::objects::ChargeStationStatus;

    #[test]
    fn keys_of_a_station_are_written_when_they_change_or_their_file_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        let mut document = StationDocument {
            name: "cp-1".to_owned(),
            namespace: "north".to_owned(),
            identity: "CP1".to_owned(),
            vendor: None,
            model: None,
            firmware: None,
            connected: true,
            keys: Vec::new(),
        };
        let path = verdicts_path(folder.path(), "north", "cp-1");
        let write_is_new = |document: &StationDocument| {
            let _ = fs::hard_link(&path, folder.path().join("before"));
            state.write_verdicts(document).unwrap();
            let before = fs::metadata(folder.path().join("before")).map(|before| before.ino());
            let _ = fs::remove_file(folder.path().join("before"));
            before.ok() != Some(fs::metadata(&path).unwrap().ino())
        };
        assert!(write_is_new(&document));
        assert!(!write_is_new(&document));
        document.connected = false;
        assert!(write_is_new(&document));
        fs::remove_file(&path).unwrap();
        assert!(write_is_new(&document));
        assert_eq!(read_verdicts(folder.path()), [document]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Stations say what they like, and memory keeps it: whatever it is, a restart reads the same.
        #[test]
        fn any_text_of_a_station_survives_a_restart(
            text in prop_oneof![any::<String>(), "on|yes|no|~|null|012|0x1F|1e3|2024-01-31|[ #:\\-\t\n]{1,4}x?", "\\PC{0,600}"]
        ) {
            let status = ChargeStationStatus { registration: Some(text), ..ChargeStationStatus::default() };
            let file = StatusFile {
                api_version: API_VERSION.to_owned(),
                kind: "ChargeStation".to_owned(),
                metadata: ObjectMeta::default(),
                status,
            };
            let written = yaml::to_string(&file).unwrap();
            let read: StatusFile<ChargeStationStatus> = serde_yaml::from_str(&written).unwrap();
            prop_assert_eq!(read.status, file.status);
        }
    }
}
