//! Vetting: the layers of a station → its settings, resolved and vetted. Most stations of a fleet share theirs, so what
//! was made for one is kept for the others.
//!
//! What is kept follows from the very configs and catalogue that it was made from, and from nothing that a station has or
//! says: a config that changes is another one, and what was made from the former is not found again.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use stationkeeper_core::catalogue::StationCatalogue;
use stationkeeper_core::resolve::resolve;
use stationkeeper_core::select::Applies;
use stationkeeper_core::validate::{Vetted, vet};

use super::gather::{ConfigGeneration, Prepared, Selected};
use crate::objects::ChargeStation;
use crate::secret_cache::SecretCache;

/// How many kinds of station are kept. A fleet has fewer, and one kind more only takes its time.
const MOST_KINDS: usize = 512;

/// What the configs that select a station want of it.
#[derive(Debug)]
pub(super) struct Wanted {
    /// The configs, with their generations.
    pub(super) configs: Arc<[ConfigGeneration]>,
    /// What they want, vetted by the station's catalogue.
    pub(super) vetted: Vetted,
}

/// What was wanted of other stations.
#[derive(Default)]
pub struct Kinds {
    kept: Mutex<HashMap<Kind, Arc<Wanted>>>,
}

/// All that settings without secrets follow from. It holds what it compares by address, so that no address is used again.
#[derive(PartialEq, Eq, Hash)]
struct Kind {
    configs: Vec<(Same<Prepared>, bool)>,
    registered: bool,
    catalogue: StationCatalogue,
}

/// One and the same, not only equal.
struct Same<T>(Arc<T>);

impl<T> PartialEq for Same<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Eq for Same<T> {}

impl<T> Hash for Same<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl Kinds {
    /// What is wanted of a station. (Network: Secrets that were never read.)
    pub(super) async fn wanted(
        &self,
        selected: &Selected,
        catalogue: &StationCatalogue,
        secrets: &SecretCache,
        station: &ChargeStation,
    ) -> Arc<Wanted> {
        if selected.names_secrets() {
            return Arc::new(make(selected, catalogue, secrets, station).await);
        }
        let kind = Kind {
            configs: selected
                .configs
                .iter()
                .map(|(config, applies)| (Same(Arc::clone(config)), *applies == Applies::Yes))
                .collect(),
            registered: selected.registered,
            catalogue: catalogue.clone(),
        };
        if let Some(wanted) = self.lock().get(&kind) {
            return Arc::clone(wanted);
        }
        let wanted = Arc::new(make(selected, catalogue, secrets, station).await);
        let mut kept = self.lock();
        if kept.len() >= MOST_KINDS {
            kept.clear();
        }
        kept.insert(kind, Arc::clone(&wanted));
        wanted
    }

    /// Forgets everything: a config or a catalogue has changed, and what follows from the former is of no more use.
    pub fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Kind, Arc<Wanted>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn make(
    selected: &Selected,
    catalogue: &StationCatalogue,
    secrets: &SecretCache,
    station: &ChargeStation,
) -> Wanted {
    let layers = selected.layers(secrets, station).await;
    Wanted {
        configs: selected
            .configs
            .iter()
            .map(|(config, _)| config.present().clone())
            .collect(),
        vetted: vet(&resolve(&layers, catalogue), catalogue),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use secrecy::SecretSlice;
    use serde_json::{Value, json};
    use stationkeeper_core::catalogue::Catalogue;
    use stationkeeper_core::station::{Activity, Capabilities, Link, Role, StationFacts};
    use stationkeeper_core::words::Device;

    use super::*;
    use crate::connector::Pending;
    use crate::controller::gather::Configs;
    use crate::objects::ChargeStationConfig;
    use crate::source::{SecretData, Secrets, SecretsError};

    struct NoSecrets;

    impl Secrets for NoSecrets {
        fn get<'a>(
            &'a self,
            _: &'a str,
            _: &'a str,
        ) -> Pending<'a, Result<Option<SecretData>, SecretsError>> {
            Box::pin(async { Ok(None) })
        }
    }

    fn config(generation: i64, selects: Value, setting: Value) -> ChargeStationConfig {
        serde_json::from_value(json!({
            "apiVersion": "stationkeeper.dev/v1alpha1", "kind": "ChargeStationConfig",
            "metadata": {"name": "base", "namespace": "north", "uid": "1", "generation": generation},
            "spec": {"stations": selects, "mode": "Enforce", "settings": [setting]},
        }))
        .unwrap()
    }

    fn heartbeat(seconds: &str) -> Value {
        json!({"key": "HeartbeatInterval", "value": seconds})
    }

    fn everyone() -> Value {
        json!({"selector": {}})
    }

    /// What is wanted of a station, by its name and vendor.
    struct Fleet {
        configs: Configs,
        kinds: Kinds,
        catalogue: StationCatalogue,
        secrets: SecretCache,
    }

    impl Fleet {
        fn of(config: &ChargeStationConfig) -> Self {
            let secrets = SecretCache::new(Arc::new(NoSecrets), SecretSlice::from(vec![7; 32]));
            let fleet = Self {
                configs: Configs::new(None),
                kinds: Kinds::default(),
                catalogue: Catalogue::built_in().for_station(&Device::default(), None),
                secrets,
            };
            fleet.configs.put(config);
            fleet
        }

        async fn wanted(&self, name: &str, vendor: Option<&str>) -> Arc<Wanted> {
            let station: ChargeStation = serde_json::from_value(json!({
                "apiVersion": "stationkeeper.dev/v1alpha1", "kind": "ChargeStation",
                "metadata": {"name": name, "namespace": "north"}, "spec": {"identity": name},
            }))
            .unwrap();
            let facts = StationFacts {
                namespace: "north".to_owned(),
                name: name.to_owned(),
                identity: name.to_owned(),
                labels: BTreeMap::new(),
                device: Device {
                    vendor: vendor.map(str::to_owned),
                    ..Device::default()
                },
                firmware: None,
                role: Role::Standalone,
                profiles: None,
                link: Link::Ready,
                authenticated: true,
                activity: Activity::Idle,
                busy_with_firmware: false,
                capabilities: Capabilities {
                    read: true,
                    write: true,
                    reset: false,
                    boot_events: true,
                    transaction_state: true,
                },
            };
            let selected = Selected::by(&self.configs, &station, &facts);
            self.kinds
                .wanted(&selected, &self.catalogue, &self.secrets, &station)
                .await
        }
    }

    #[tokio::test]
    async fn stations_with_the_same_layers_share_what_was_made_of_them() {
        let fleet = Fleet::of(&config(1, everyone(), heartbeat("300")));
        let one = fleet.wanted("cp-1", Some("Volta")).await;
        assert!(Arc::ptr_eq(
            &one,
            &fleet.wanted("cp-2", Some("Volta")).await
        ));
        assert_eq!(one.configs.len(), 1);
        // A status write of ours leaves the config as it was.
        fleet.configs.put(&config(1, everyone(), heartbeat("300")));
        assert!(Arc::ptr_eq(
            &one,
            &fleet.wanted("cp-1", Some("Volta")).await
        ));
    }

    #[tokio::test]
    async fn a_config_that_changes_is_never_answered_with_what_was_made_of_the_former() {
        let fleet = Fleet::of(&config(1, everyone(), heartbeat("300")));
        let former = fleet.wanted("cp-1", None).await;
        fleet.configs.put(&config(2, everyone(), heartbeat("600")));
        // Nobody has to forget anything for that.
        let changed = fleet.wanted("cp-1", None).await;
        assert_eq!(former.configs[0].generation, 1);
        assert_eq!(changed.configs[0].generation, 2);
        fleet.kinds.forget();
        assert!(!Arc::ptr_eq(&changed, &fleet.wanted("cp-1", None).await));
    }

    #[tokio::test]
    async fn a_config_that_is_made_anew_is_another_one_though_its_generation_is_the_same() {
        let fleet = Fleet::of(&config(1, everyone(), heartbeat("300")));
        let former = fleet.wanted("cp-1", None).await;
        let mut anew = config(1, everyone(), heartbeat("600"));
        anew.metadata.uid = Some("2".to_owned());
        fleet.configs.put(&anew);
        let present = fleet.wanted("cp-1", None).await;
        assert_eq!(former.configs[0].generation, present.configs[0].generation);
        // This is what the guard of a frame and the summary of the config compare.
        assert_ne!(former.configs[0], present.configs[0]);
        let now = fleet.configs.get(&present.configs[0].config);
        assert_eq!(now.unwrap().present(), &present.configs[0]);
    }

    #[tokio::test]
    async fn a_station_that_may_be_selected_does_not_share_with_one_that_is() {
        let of_volta = json!({"hardware": {"vendor": "Volta"}});
        let fleet = Fleet::of(&config(1, of_volta, heartbeat("300")));
        let selected = fleet.wanted("cp-1", Some("Volta")).await;
        let perhaps = fleet.wanted("cp-2", None).await;
        assert_eq!((selected.configs.len(), perhaps.configs.len()), (1, 1));
        assert!(!Arc::ptr_eq(&selected, &perhaps));
        assert_eq!(fleet.wanted("cp-3", Some("Other")).await.configs.len(), 0);
    }

    #[tokio::test]
    async fn what_takes_a_value_from_a_secret_is_made_for_each_station() {
        let from_secret =
            json!({"key": "HeartbeatInterval", "valueFrom": {"stationSecret": {"key": "a"}}});
        let fleet = Fleet::of(&config(1, everyone(), from_secret));
        let one = fleet.wanted("cp-1", None).await;
        assert!(!Arc::ptr_eq(&one, &fleet.wanted("cp-1", None).await));
    }
}
