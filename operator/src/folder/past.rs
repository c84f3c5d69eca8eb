//! Past: what is found in a state directory, by the process that takes it over and by whoever only looks. Nothing is changed
//! here; what cannot be understood is named, and the rest goes on.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use stationkeeper_core::memory::{FORMAT_VERSION, Memory};

use crate::document::StationDocument;
use crate::manifest::{Kind, ObjectId};
use crate::objects::{ChargeStationConfigStatus, ChargeStationStatus, KeyCatalogueStatus};

/// A file that was moved aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Where it was.
    pub path: PathBuf,
    /// Where it is now.
    pub moved_to: Option<PathBuf>,
    /// What is wrong with it.
    pub reason: String,
}

/// What is remembered of a declared object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) generation: i64,
    pub(super) created: jiff::Timestamp,
    pub(super) file: PathBuf,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) spec: serde_json::Value,
}

/// A status file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusFile<S> {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) metadata: ObjectMeta,
    pub(super) status: S,
}

/// An object's status as it was found, with the metadata beside it.
#[derive(Clone, Debug)]
pub(super) struct Found<S> {
    pub(super) metadata: ObjectMeta,
    pub(super) status: S,
}

/// Everything that was found at the start.
#[derive(Debug, Default)]
pub(super) struct Past {
    pub(super) stations: BTreeMap<ObjectId, Found<ChargeStationStatus>>,
    pub(super) configs: BTreeMap<ObjectId, Found<ChargeStationConfigStatus>>,
    pub(super) catalogues: BTreeMap<ObjectId, Found<KeyCatalogueStatus>>,
    pub(super) objects: BTreeMap<ObjectId, Remembered>,
    pub(super) damaged: Vec<Damaged>,
}

/// Reads a state directory without touching it; what is damaged is only named.
pub(super) fn read_past(path: &Path) -> Past {
    let mut past = Past::default();
    for (kind, file) in files_of(&path.join("status")) {
        let result = match kind {
            Kind::Station => take(&file, kind, &mut past.stations),
            Kind::Config => take(&file, kind, &mut past.configs),
            Kind::Catalogue => take(&file, kind, &mut past.catalogues),
            Kind::Secret => Ok(()),
        };
        if let Err(reason) = result {
            past.damaged.push(Damaged {
                path: file,
                moved_to: None,
                reason,
            });
        }
    }
    read_objects(&path.join("meta/objects.jsonl"), &mut past);
    past
}

/// Reads the keys of every station.
pub(super) fn read_verdicts(path: &Path) -> Vec<StationDocument> {
    let namespaces = fs::read_dir(path.join("keys"))
        .into_iter()
        .flatten()
        .flatten();
    let files = namespaces.flat_map(|namespace| {
        fs::read_dir(namespace.path())
            .into_iter()
            .flatten()
            .flatten()
    });
    // These are not synced: after a power cut one may be empty, and the first pass makes it again.
    files
        .filter_map(|file| serde_json::from_slice(&fs::read(file.path()).ok()?).ok())
        .collect()
}

/// Reads what is wrong in the manifests.
pub(super) fn read_problems(path: &Path) -> Vec<String> {
    fs::read(path.join("problems.json"))
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

/// `status/NAMESPACE/KIND/NAME.yaml`
fn files_of(status: &Path) -> Vec<(Kind, PathBuf)> {
    let mut files = Vec::new();
    for namespace in fs::read_dir(status).into_iter().flatten().flatten() {
        for kind in Kind::OURS {
            let folder = namespace.path().join(kind.as_str());
            for file in fs::read_dir(folder).into_iter().flatten().flatten() {
                if file
                    .path()
                    .extension()
                    .is_some_and(|extension| extension == "yaml")
                {
                    files.push((kind, file.path()));
                }
            }
        }
    }
    files.sort();
    files
}

fn take<S: DeserializeOwned + FromTheFuture>(
    path: &Path,
    kind: Kind,
    all: &mut BTreeMap<ObjectId, Found<S>>,
) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let file: StatusFile<S> = match serde_yaml::from_str(&text) {
        Ok(file) => file,
        Err(error) => from_the_future(&text).ok_or_else(|| {
            error
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned()
        })?,
    };
    let StatusFile {
        api_version: _,
        kind: said,
        metadata,
        status,
    } = file;
    let (Some(name), Some(namespace)) = (metadata.name.clone(), metadata.namespace.clone()) else {
        return Err("it names no object".to_owned());
    };
    if said != kind.as_str() {
        return Err(format!(
            "it says {said:?} where {:?} files are",
            kind.as_str()
        ));
    }
    all.insert(
        ObjectId {
            kind,
            namespace,
            name,
        },
        Found { metadata, status },
    );
    Ok(())
}

/// A status whose memory a newer version of ours wrote: nothing of it is known but that, and `core` then makes no calls.
fn from_the_future<S: DeserializeOwned + FromTheFuture>(text: &str) -> Option<StatusFile<S>> {
    let file: StatusFile<serde_json::Value> = serde_yaml::from_str(text).ok()?;
    let version = u32::try_from(file.status.pointer("/memory/formatVersion")?.as_u64()?).ok()?;
    let status = (version > FORMAT_VERSION).then(|| S::of_version(version))?;
    Some(StatusFile {
        api_version: file.api_version,
        kind: file.kind,
        metadata: file.metadata,
        status,
    })
}

trait FromTheFuture {
    fn of_version(version: u32) -> Self;
}

impl FromTheFuture for ChargeStationStatus {
    fn of_version(version: u32) -> Self {
        Self {
            memory: Some(Memory {
                format_version: version,
                ..Memory::default()
            }),
            ..Self::default()
        }
    }
}

impl FromTheFuture for KeyCatalogueStatus {
    fn of_version(_: u32) -> Self {
        Self::default()
    }
}

impl FromTheFuture for ChargeStationConfigStatus {
    fn of_version(_: u32) -> Self {
        Self::default()
    }
}

fn read_objects(path: &Path, past: &mut Past) {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => {
            past.damaged.push(Damaged {
                path: path.to_owned(),
                moved_to: None,
                reason: error.to_string(),
            });
            return;
        }
    };
    let mut broken = 0_usize;
    for line in text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        match serde_json::from_slice::<Remembered>(line)
            .ok()
            .and_then(|object| Some((object.id()?, object)))
        {
            Some((id, object)) => {
                past.objects.insert(id, object);
            }
            None => broken += 1,
        }
    }
    if broken > 0 {
        let reason = format!("{broken} of its lines cannot be read: those objects count as new");
        past.damaged.push(Damaged {
            path: path.to_owned(),
            moved_to: None,
            reason,
        });
    }
}

impl Remembered {
    pub(super) fn id(&self) -> Option<ObjectId> {
        let kind = Kind::OURS
            .into_iter()
            .find(|kind| kind.as_str() == self.kind)?;
        Some(ObjectId {
            kind,
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        })
    }

    pub(super) fn metadata(&self) -> ObjectMeta {
        ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            uid: Some(self.uid.clone()),
            generation: Some(self.generation),
            creation_timestamp: Some(Time(self.created)),
            labels: Some(self.labels.clone()).filter(|labels| !labels.is_empty()),
            annotations: Some(self.annotations.clone())
                .filter(|annotations| !annotations.is_empty()),
            ..ObjectMeta::default()
        }
    }
}
