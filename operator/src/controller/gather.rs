//! Gather: the configs and Secrets that concern a station → its layers. Local stores only, but for Secrets that were
//! not read yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use stationkeeper_core::layer::{HeldLayer, Layer, Mode, Setting, SettingValue, Standing};
use stationkeeper_core::select::{self, Applies, Selection};
use stationkeeper_core::station::StationFacts;
use stationkeeper_core::words::{ConfigRef, Key, Text};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::objects::{ChargeStation, ChargeStationConfig, SettingSpec, check, convert};
use crate::secret_cache::SecretCache;

/// Holds everything that a config declares, or that concerns a station.
pub const PAUSED: &str = "stationkeeper.dev/paused";

/// Marks a station that nobody declared: held in Report until a person removes the annotation.
pub const REGISTERED: &str = "stationkeeper.dev/registered";

/// All configs by namespace, converted once per change instead of once per station.
#[derive(Clone, Default)]
pub struct Configs {
    prepared: Arc<RwLock<ByNamespace>>,
    unreadable: Option<Arc<Unreadable>>,
    writing: Arc<Mutex<HashMap<ConfigRef, Writing>>>,
    synced: Arc<AtomicBool>,
}

/// Configs by namespace and name.
type ByNamespace = HashMap<Text, BTreeMap<Text, Arc<Prepared>>>;

/// How many stations a config may write at once, and who does.
struct Writing {
    limit: usize,
    permits: Arc<Semaphore>,
}

/// Tells of objects whose file went bad: they are held as they were last known.
pub type Unreadable = dyn Fn(&ObjectRef<ChargeStationConfig>) -> Option<String> + Send + Sync;

/// A config in one of its generations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigGeneration {
    /// The object's name.
    pub config: ConfigRef,
    /// Its uid: one that was deleted and made again is another, and begins with the same generation.
    pub uid: Text,
    /// Its `metadata.generation`.
    pub generation: i64,
}

/// One config, converted.
pub struct Prepared {
    /// Which object, and which generation of it.
    present: ConfigGeneration,
    /// What is wrong with it as a whole, if anything.
    pub mistake: Option<String>,
    /// Suspended or paused.
    pub suspended: bool,
    /// Stations that it may write at once.
    pub max_concurrent: Option<usize>,
    selection: Selection,
    layer: Layer,
    settings: Vec<SettingSpec>,
    secret: bool,
}

impl Configs {
    /// `unreadable` tells of objects that a source can no longer read.
    pub fn new(unreadable: Option<Arc<Unreadable>>) -> Self {
        Self {
            prepared: Arc::default(),
            unreadable,
            writing: Arc::default(),
            synced: Arc::default(),
        }
    }

    /// Takes a config in, or anew. One of which nothing changed that bears on stations stays the very one that it was.
    pub fn put(&self, config: &ChargeStationConfig) {
        let prepared = prepare(config, self.unreadable.as_deref());
        if let Ok(mut all) = self.prepared.write() {
            let configs = all
                .entry(prepared.present.config.namespace.clone())
                .or_default();
            let former = configs.get(&prepared.present.config.name);
            if former.is_none_or(|former| !former.is_still(&prepared)) {
                configs.insert(prepared.present.config.name.clone(), Arc::new(prepared));
            }
        }
    }

    /// Takes a config out: it was deleted.
    pub fn remove(&self, config: &ObjectRef<ChargeStationConfig>) {
        if let Ok(mut all) = self.prepared.write()
            && let Some(configs) = all.get_mut(config.namespace.as_deref().unwrap_or_default())
        {
            configs.remove(config.name.as_str());
        }
    }

    /// Replaces everything by what was listed.
    pub fn replace(&self, configs: &[Arc<ChargeStationConfig>]) {
        let mut all = ByNamespace::new();
        for config in configs {
            let prepared = Arc::new(prepare(config, self.unreadable.as_deref()));
            all.entry(prepared.present.config.namespace.clone())
                .or_default()
                .insert(prepared.present.config.name.clone(), prepared);
        }
        if let Ok(mut slot) = self.prepared.write() {
            *slot = all;
            self.synced.store(true, Ordering::Release);
        }
    }

    /// Have all configs been listed? Before, the absence of a config says nothing: only a deletion, seen by a synced
    /// cache, removes a layer (section 3 of the design).
    pub fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// A config, if there is one.
    pub fn get(&self, config: &ConfigRef) -> Option<Arc<Prepared>> {
        self.prepared
            .read()
            .ok()?
            .get(&config.namespace)?
            .get(&config.name)
            .cloned()
    }

    /// What of a config bears on stations: when it is unchanged, no station needs to be looked at.
    pub fn version(
        &self,
        config: &ObjectRef<ChargeStationConfig>,
    ) -> Option<(Text, i64, Standing)> {
        let namespace = config.namespace.clone().unwrap_or_default();
        let prepared = self.get(&ConfigRef::new(namespace, config.name.as_str()))?;
        Some((
            prepared.present.uid.clone(),
            prepared.present.generation,
            prepared.layer.standing.clone(),
        ))
    }

    /// The right to write one more station, of each of the configs that are about to (`rollout.maxConcurrent`).
    /// `None`: one of them writes as many as it may.
    pub fn permits<'a>(
        &self,
        configs: impl Iterator<Item = &'a ConfigRef>,
    ) -> Option<Vec<OwnedSemaphorePermit>> {
        let configs: BTreeSet<&ConfigRef> = configs.collect();
        let mut permits = Vec::new();
        for config in configs {
            let Some(limit) = self.get(config).and_then(|config| config.max_concurrent) else {
                continue;
            };
            let semaphore = match self.writing.lock() {
                Ok(mut writing) => {
                    let fresh = || Writing {
                        limit,
                        permits: Arc::new(Semaphore::new(limit)),
                    };
                    let entry = writing.entry(config.clone()).or_insert_with(fresh);
                    if entry.limit != limit {
                        *entry = fresh();
                    }
                    Arc::clone(&entry.permits)
                }
                Err(_) => continue,
            };
            permits.push(semaphore.try_acquire_owned().ok()?);
        }
        Some(permits)
    }

    /// The configs that select a station, by name, with how surely.
    pub fn selecting(&self, station: &StationFacts) -> Vec<(Arc<Prepared>, Applies)> {
        let Ok(all) = self.prepared.read() else {
            return Vec::new();
        };
        let Some(configs) = all.get(station.namespace.as_str()) else {
            return Vec::new();
        };
        configs
            .values()
            .filter_map(|config| match config.applies(station) {
                Applies::No => None,
                applies @ (Applies::Yes | Applies::Undecidable) => {
                    Some((Arc::clone(config), applies))
                }
            })
            .collect()
    }
}

impl Prepared {
    /// Which generation of which object it is.
    pub(super) fn present(&self) -> &ConfigGeneration {
        &self.present
    }

    /// Is the other one the same object in the same generation, with the same standing?
    fn is_still(&self, other: &Self) -> bool {
        self.present == other.present
            && self.suspended == other.suspended
            && self.layer.standing == other.layer.standing
    }

    /// Does it select the station?
    pub fn applies(&self, station: &StationFacts) -> Applies {
        select::applies(&self.selection, &self.present.config.namespace, station)
    }

    /// Does it declare the key?
    pub fn declares(&self, key: &Key) -> bool {
        self.settings
            .iter()
            .any(|setting| setting.key.eq_ignore_ascii_case(key.as_str()))
    }
}

fn prepare(config: &ChargeStationConfig, unreadable: Option<&Unreadable>) -> Prepared {
    let spec = &config.spec;
    let mistakes = check::check_config(config);
    let mistake = mistakes
        .first()
        .map(|mistake| format!("{}: {}", mistake.path, mistake.message));
    let paused = config.annotations().contains_key(PAUSED);
    let config_ref = ConfigRef::new(config.namespace().unwrap_or_default(), config.name_any());
    let held = |reason, message: String| Standing::Held { reason, message };
    let name = &config_ref.name;
    let standing = if let Some(why) =
        unreadable.and_then(|unreadable| unreadable(&ObjectRef::from_obj(config)))
    {
        held(
            HeldLayer::Unreadable,
            format!("config {name} cannot be read: {why}"),
        )
    } else if let Some(mistake) = &mistake {
        held(
            HeldLayer::Invalid,
            format!("config {name} is invalid: {mistake}"),
        )
    } else if spec.suspend {
        held(
            HeldLayer::Suspended,
            format!("config {name} is suspended (spec.suspend)"),
        )
    } else if paused {
        held(
            HeldLayer::Paused,
            format!("config {name} is paused (annotation {PAUSED})"),
        )
    } else {
        Standing::Active
    };
    let suspended = spec.suspend || paused;
    let secret = spec
        .settings
        .iter()
        .any(|setting| setting.value_from.is_some());
    let mut layer = Layer {
        config: config_ref.clone(),
        generation: config.metadata.generation.unwrap_or_default(),
        priority: spec.priority,
        standing,
        mode: spec.mode,
        settings: Vec::new(),
        consent: spec.consent.iter().copied().collect(),
        when_removed: spec.when_removed,
    };
    if !secret {
        layer.settings = spec.settings.iter().map(plain).collect();
    }
    Prepared {
        present: ConfigGeneration {
            config: config_ref,
            uid: config.uid().unwrap_or_default().into(),
            generation: layer.generation,
        },
        mistake,
        suspended,
        max_concurrent: spec
            .rollout
            .as_ref()
            .and_then(|rollout| rollout.max_concurrent)
            .and_then(|limit| usize::try_from(limit).ok())
            .filter(|&limit| limit > 0),
        selection: convert::selection(config),
        layer,
        settings: spec.settings.clone(),
        secret,
    }
}

fn plain(setting: &SettingSpec) -> Setting {
    Setting {
        key: Key::new(setting.key.as_str()),
        value: SettingValue::Plain(setting.value.as_deref().unwrap_or_default().into()),
        mode: setting.mode,
    }
}

/// The configs that select a station, or may.
pub(super) struct Selected {
    /// By name, with how surely.
    pub(super) configs: Vec<(Arc<Prepared>, Applies)>,
    /// Nobody declared the station.
    pub(super) registered: bool,
}

impl Selected {
    /// Which configs select the station?
    pub(super) fn by(configs: &Configs, station: &ChargeStation, facts: &StationFacts) -> Self {
        Self {
            configs: configs.selecting(facts),
            registered: station.annotations().contains_key(REGISTERED),
        }
    }

    /// Does one of them take a value from a Secret?
    pub(super) fn names_secrets(&self) -> bool {
        self.configs.iter().any(|(config, _)| config.secret)
    }

    /// The layers that they are for the station. (Network: Secrets that were never read.)
    pub(super) async fn layers(
        &self,
        secrets: &SecretCache,
        station: &ChargeStation,
    ) -> Vec<Layer> {
        let mut layers = Vec::with_capacity(self.configs.len());
        for (config, applies) in &self.configs {
            let mut layer = config.layer.clone();
            if config.secret {
                layer.settings = Vec::with_capacity(config.settings.len());
                for setting in &config.settings {
                    layer
                        .settings
                        .push(with_secret(setting, secrets, station).await);
                }
            }
            if self.registered {
                layer.mode = Mode::Report;
            }
            if *applies == Applies::Undecidable && layer.standing == Standing::Active {
                layer.standing = Standing::Held {
                    reason: HeldLayer::Undecidable,
                    message: format!(
                        "whether config {} selects this station is not known until the station has said what it is",
                        config.present.config.name
                    ),
                };
            }
            layers.push(layer);
        }
        layers
    }
}

async fn with_secret(
    setting: &SettingSpec,
    secrets: &SecretCache,
    station: &ChargeStation,
) -> Setting {
    let Some(from) = &setting.value_from else {
        return plain(setting);
    };
    let namespace = station.namespace().unwrap_or_default();
    let value = if let Some(one) = &from.secret_key_ref {
        secrets.setting_value(&namespace, &one.name, &one.key).await
    } else if let Some(own) = &from.station_secret {
        match station
            .spec
            .authentication
            .as_ref()
            .and_then(|authentication| authentication.secret_ref.as_ref())
        {
            Some(secret) => {
                secrets
                    .setting_value(&namespace, &secret.name, &own.key)
                    .await
            }
            None => SettingValue::SecretMissing {
                message: format!(
                    "ChargeStation {} names no Secret; set spec.authentication.secretRef",
                    station.name_any()
                ),
            },
        }
    } else {
        SettingValue::SecretMissing {
            message: "valueFrom names neither stationSecret nor secretKeyRef".to_owned(),
        }
    };
    Setting {
        key: Key::new(setting.key.as_str()),
        value,
        mode: setting.mode,
    }
}
