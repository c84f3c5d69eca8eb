//! The folder as a source: what counts when, what is held and never deleted, and what survives a restart.

use std::fs;
use std::io;

use futures::{FutureExt, StreamExt};
use secrecy::ExposeSecret;
use stationkeeper_core::memory::Memory;

use super::commit::{Disk, RealDisk};
use super::table::Kept;
use super::*;
use crate::objects::ChargeStationStatus;
use crate::source::{PublishError, Publisher, Secrets};

/// A folder of manifests, a state directory, and what was told.
struct World {
    manifests: tempfile::TempDir,
    state: tempfile::TempDir,
}

struct Running {
    source: Arc<FolderSource>,
    stations: std::pin::Pin<Box<dyn Stream<Item = watcher::Event<ChargeStation>> + Send>>,
    configs: std::pin::Pin<Box<dyn Stream<Item = watcher::Event<ChargeStationConfig>> + Send>>,
}

fn at_once() -> FolderOptions {
    FolderOptions {
        settle: Duration::ZERO,
        ..FolderOptions::default()
    }
}

impl World {
    fn new() -> Self {
        Self {
            manifests: tempfile::tempdir().unwrap(),
            state: tempfile::tempdir().unwrap(),
        }
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.manifests.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // By way of a new file, as git and editors do: the stamp differs however coarse the clock is.
        let partial = path.with_extension("tmp");
        fs::write(&partial, text).unwrap();
        fs::rename(partial, path).unwrap();
    }

    fn remove(&self, file: &str) {
        fs::remove_file(self.manifests.path().join(file)).unwrap();
    }

    fn start(&self) -> Running {
        self.start_with(at_once(), Arc::new(RealDisk))
    }

    fn start_with(&self, options: FolderOptions, disk: Arc<dyn Disk>) -> Running {
        let state = Arc::new(StateDir::open_on(self.state.path(), disk).unwrap());
        let (source, streams) = FolderSource::open(self.manifests.path(), state, options).unwrap();
        let (stations, configs, _) = streams.split();
        Running {
            source,
            stations: Box::pin(stations),
            configs: Box::pin(configs),
        }
    }
}

impl Running {
    /// Looks, and gives what was told of stations and configs.
    async fn look(&mut self) -> Vec<String> {
        self.source.look().await;
        self.told()
    }

    fn told(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(Some(event)) = self.stations.next().now_or_never() {
            told.push(words("station", &event));
        }
        while let Some(Some(event)) = self.configs.next().now_or_never() {
            told.push(words("config", &event));
        }
        told
    }

    fn station(&self, name: &str) -> ChargeStation {
        self.source
            .lock()
            .stations
            .object(&id(Kind::Station, name))
            .unwrap()
    }

    fn config(&self, name: &str) -> ChargeStationConfig {
        self.source
            .lock()
            .configs
            .object(&id(Kind::Config, name))
            .unwrap()
    }

    fn held(&self, name: &str) -> Option<String> {
        self.source
            .unreadable(&ObjectRef::new(name).within("default"))
    }

    async fn publish(
        &self,
        name: &str,
        status: &ChargeStationStatus,
    ) -> Result<Arc<ChargeStation>, PublishError> {
        let station = self.station(name);
        let version = station.metadata.resource_version.clone().unwrap();
        Publisher::station(
            self.source.as_ref(),
            &ObjectRef::from_obj(&station),
            &version,
            status.clone(),
        )
        .await
    }
}

fn id(kind: Kind, name: &str) -> ObjectId {
    ObjectId {
        kind,
        namespace: "default".to_owned(),
        name: name.to_owned(),
    }
}

fn words<K: Kept>(kind: &str, event: &watcher::Event<K>) -> String {
    let named = |object: &K| {
        let metadata = object.meta();
        format!(
            "{} {}",
            metadata.name.as_deref().unwrap(),
            metadata.generation.unwrap()
        )
    };
    match event {
        watcher::Event::Init => format!("{kind}: init"),
        watcher::Event::InitApply(object) => format!("{kind}: listed {}", named(object)),
        watcher::Event::InitDone => format!("{kind}: listed all"),
        watcher::Event::Apply(object) => format!("{kind}: applied {}", named(object)),
        watcher::Event::Delete(object) => format!("{kind}: deleted {}", named(object)),
    }
}

fn config(name: &str, value: &str) -> String {
    format!(
        "apiVersion: stationkeeper.dev/v1alpha1
kind: ChargeStationConfig
metadata: {{name: {name}}}
spec:
  stations: {{selector: {{}}}}
  settings: [{{key: HeartbeatInterval, value: {value}}}]
"
    )
}

fn station(name: &str) -> String {
    format!(
        "apiVersion: stationkeeper.dev/v1alpha1
kind: ChargeStation
metadata: {{name: {name}}}
spec: {{identity: {name}, authentication: {{none: true}}}}
"
    )
}

fn status(generation: i64) -> ChargeStationStatus {
    ChargeStationStatus {
        observed_generation: generation,
        memory: Some(Memory {
            format_version: 1,
            event: 7,
            ..Memory::default()
        }),
        ..ChargeStationStatus::default()
    }
}

#[tokio::test]
async fn objects_are_listed_changed_and_deleted_as_an_api_server_would_tell() {
    let world = World::new();
    world.write("fleet/stations.yaml", &station("cp-1"));
    world.write("base.yaml", &config("base", "\"300\""));
    let mut running = world.start();
    assert_eq!(
        running.look().await,
        [
            "station: init",
            "station: listed cp-1 1",
            "station: listed all",
            "config: init",
            "config: listed base 1",
            "config: listed all"
        ]
    );
    let before = running.config("base").metadata;
    assert!(running.look().await.is_empty());
    world.write("base.yaml", &config("base", "\"600\""));
    assert_eq!(running.look().await, ["config: applied base 2"]);
    let after = running.config("base").metadata;
    assert_eq!(
        (&before.uid, &before.creation_timestamp),
        (&after.uid, &after.creation_timestamp)
    );
    assert_ne!(before.resource_version, after.resource_version);
    world.remove("base.yaml");
    assert_eq!(running.look().await, ["config: deleted base 2"]);
    world.write("base.yaml", &config("base", "\"600\""));
    assert_eq!(running.look().await, ["config: applied base 1"]);
    assert_ne!(running.config("base").metadata.uid, before.uid);
}

#[tokio::test]
async fn labels_do_not_bump_the_generation() {
    let world = World::new();
    world.write("a.yaml", &station("cp-1"));
    let mut running = world.start();
    running.look().await;
    world.write(
        "a.yaml",
        &station("cp-1").replace("{name: cp-1}", "{name: cp-1, labels: {site: harbour}}"),
    );
    assert_eq!(running.look().await, ["station: applied cp-1 1"]);
}

#[tokio::test]
async fn a_config_that_goes_bad_is_held_as_it_was_and_the_others_go_on() {
    let world = World::new();
    world.write("a.yaml", &config("a", "\"1\""));
    world.write("b.yaml", &config("b", "\"1\""));
    let mut running = world.start();
    running.look().await;
    world.write("a.yaml", &config("a", "on"));
    world.write("b.yaml", &config("b", "\"2\""));
    assert_eq!(
        running.look().await,
        ["config: applied a 1", "config: applied b 2"]
    );
    let reason = running.held("a").unwrap();
    assert!(
        reason.contains("a.yaml:6:") && reason.contains("quote it"),
        "{reason}"
    );
    assert_eq!(
        running.config("a").spec.settings[0].value.as_deref(),
        Some("1")
    );
    world.write("a.yaml", &config("a", "\"1\""));
    assert_eq!(running.look().await, ["config: applied a 1"]);
    assert_eq!(running.held("a"), None);
    assert!(running.source.problems().is_empty());
}

#[tokio::test]
async fn a_broken_file_deletes_nothing_that_was_in_it() {
    let world = World::new();
    let both = config("a", "\"1\"") + "---\n" + &config("b", "\"1\"");
    world.write("both.yaml", &both);
    let mut running = world.start();
    running.look().await;
    world.write("both.yaml", "kind: [\n");
    assert_eq!(
        running.look().await,
        ["config: applied a 1", "config: applied b 1"]
    );
    assert!(running.held("a").is_some() && running.held("b").is_some());
    world.write("both.yaml", &config("b", "\"1\""));
    let mut told = running.look().await;
    told.sort();
    assert_eq!(told, ["config: applied b 1", "config: deleted a 1"]);
}

#[tokio::test]
async fn an_object_that_may_have_moved_to_a_broken_file_is_held() {
    let world = World::new();
    world.write("old.yaml", &config("a", "\"1\""));
    world.write("rest.yaml", &station("cp-1"));
    let mut running = world.start();
    running.look().await;
    world.remove("old.yaml");
    world.write("new.yaml", &(config("a", "\"2\"") + "\tbroken"));
    running.look().await;
    assert!(running.held("a").unwrap().contains("new.yaml"));
    world.write("other.yaml", &station("cp-2"));
    running.look().await;
    assert!(running.held("a").is_some());
    world.write("new.yaml", &config("a", "\"2\""));
    assert_eq!(running.look().await, ["config: applied a 2"]);
}

#[tokio::test]
async fn a_file_that_was_bad_all_along_does_not_stop_deletions() {
    let world = World::new();
    world.write("template.yaml", "{{ not yaml }}\n:");
    world.write("a.yaml", &config("a", "\"1\""));
    let mut running = world.start();
    running.look().await;
    world.remove("a.yaml");
    assert_eq!(running.look().await, ["config: deleted a 1"]);
}

#[tokio::test]
async fn a_folder_that_went_empty_or_away_deletes_nothing() {
    let world = World::new();
    world.write("a.yaml", &config("a", "\"1\""));
    let mut running = world.start();
    running.look().await;
    world.remove("a.yaml");
    assert_eq!(running.look().await, ["config: applied a 1"]);
    assert!(running.held("a").unwrap().contains("leave one YAML file"));
    let away = world.manifests.path().with_extension("away");
    fs::rename(world.manifests.path(), &away).unwrap();
    running.look().await;
    assert!(running.held("a").unwrap().contains("cannot be read"));
    fs::rename(&away, world.manifests.path()).unwrap();
    world.write("empty.yaml", "# nothing is declared\n");
    assert_eq!(running.look().await, ["config: deleted a 1"]);
}

#[tokio::test]
async fn an_object_declared_twice_counts_in_neither_form() {
    let world = World::new();
    world.write("a.yaml", &config("a", "\"1\""));
    let mut running = world.start();
    running.look().await;
    world.write("b.yaml", &config("a", "\"2\""));
    running.look().await;
    let reason = running.held("a").unwrap();
    assert!(
        reason.contains("a.yaml:1:1") && reason.contains("b.yaml:1:1"),
        "{reason}"
    );
    assert_eq!(
        running.config("a").spec.settings[0].value.as_deref(),
        Some("1")
    );
    assert_eq!(running.source.problems().len(), 2);
}

#[tokio::test]
async fn a_config_that_was_never_good_does_not_count_and_the_others_go_on() {
    let world = World::new();
    world.write("a.yaml", &config("a", "on"));
    world.write("b.yaml", &config("b", "\"300\""));
    let mut running = world.start();
    let told = running.look().await;
    assert!(
        told.contains(&"config: listed b 1".to_owned())
            && !told.contains(&"config: listed a 1".to_owned())
    );
    assert_eq!(running.source.problems().len(), 1);
    world.write("a.yaml", &config("a", "\"on\""));
    assert_eq!(running.look().await, ["config: applied a 1"]);
}

#[tokio::test]
async fn a_stations_identity_cannot_be_changed() {
    let world = World::new();
    world.write("a.yaml", &station("cp-1"));
    let mut running = world.start();
    running.look().await;
    world.write(
        "a.yaml",
        &station("cp-1").replace("identity: cp-1", "identity: cp-9"),
    );
    running.look().await;
    assert_eq!(running.station("cp-1").spec.identity, "cp-1");
    assert!(
        running
            .source
            .unreadable_station(&ObjectRef::new("cp-1").within("default"))
            .is_some()
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_counts_once_it_has_been_still_for_the_settle_time() {
    let world = World::new();
    world.write("a.yaml", &config("a", "\"1\""));
    // A time in the future says nothing, however long this machine stands still before the first look.
    let far_off = std::time::SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 200);
    let file = fs::File::options()
        .write(true)
        .open(world.manifests.path().join("a.yaml"));
    file.and_then(|file| file.set_modified(far_off)).unwrap();
    let options = FolderOptions {
        settle: Duration::from_secs(3),
        ..FolderOptions::default()
    };
    let mut running = world.start_with(options, Arc::new(RealDisk));
    assert!(running.look().await.is_empty());
    tokio::time::advance(Duration::from_secs(3)).await;
    assert!(
        running
            .look()
            .await
            .contains(&"config: listed a 1".to_owned())
    );
    world.write("a.yaml", &config("a", "\"2\""));
    assert!(running.look().await.is_empty());
    tokio::time::advance(Duration::from_secs(2)).await;
    world.write("a.yaml", &config("a", "\"3\""));
    assert!(running.look().await.is_empty());
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(running.look().await.is_empty());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(running.look().await, ["config: applied a 2"]);
    assert_eq!(
        running.config("a").spec.settings[0].value.as_deref(),
        Some("3")
    );
}

#[tokio::test]
async fn a_published_status_is_in_the_object_the_stream_and_the_file() {
    let world = World::new();
    world.write("a.yaml", &station("cp-1"));
    let mut running = world.start();
    running.look().await;
    let published = running.publish("cp-1", &status(1)).await.unwrap();
    assert_eq!(published.status, Some(status(1)));
    assert_eq!(running.told(), ["station: applied cp-1 1"]);
    assert_eq!(
        running.station("cp-1").metadata.resource_version,
        published.metadata.resource_version
    );
    let text = fs::read_to_string(
        world
            .state
            .path()
            .join("status/default/ChargeStation/cp-1.yaml"),
    )
    .unwrap();
    assert!(text.contains("observedGeneration: 1"), "{text}");
    let stale = Publisher::station(
        running.source.as_ref(),
        &ObjectRef::from_obj(published.as_ref()),
        "0",
        status(1),
    )
    .await;
    assert!(matches!(stale, Err(PublishError::Conflict)));
    let gone = Publisher::station(
        running.source.as_ref(),
        &ObjectRef::new("x").within("default"),
        "0",
        status(1),
    )
    .await;
    assert!(matches!(gone, Err(PublishError::Gone)));
}

#[tokio::test]
async fn a_restart_finds_everything_as_it_was() {
    let world = World::new();
    world.write(
        "a.yaml",
        &(station("cp-1") + "---\n" + &config("a", "\"1\"")),
    );
    let mut running = world.start();
    running.look().await;
    world.write(
        "a.yaml",
        &(station("cp-1") + "---\n" + &config("a", "\"2\"")),
    );
    running.look().await;
    running.publish("cp-1", &status(1)).await.unwrap();
    let (before, config_before) = (running.station("cp-1"), running.config("a"));
    drop(running);
    let mut running = world.start();
    let told = running.look().await;
    assert!(told.contains(&"config: listed a 2".to_owned()), "{told:?}");
    let after = running.station("cp-1");
    assert_eq!(
        (after.status, after.metadata.uid),
        (before.status, before.metadata.uid)
    );
    assert_eq!(
        running.config("a").metadata.creation_timestamp,
        config_before.metadata.creation_timestamp
    );
}

#[tokio::test]
async fn a_file_that_broke_while_we_were_away_is_held_after_the_start() {
    let world = World::new();
    world.write("a.yaml", &config("a", "\"1\""));
    world.write("b.yaml", &config("b", "\"1\""));
    let mut running = world.start();
    running.look().await;
    drop(running);
    world.write("a.yaml", "\tbroken: [");
    world.remove("b.yaml");
    world.write("c.yaml", "# keeps the folder from being empty\n");
    let mut running = world.start();
    let told = running.look().await;
    assert!(told.contains(&"config: listed a 1".to_owned()), "{told:?}");
    assert!(running.held("a").is_some());
    // The broken file is new to this process: what is missing may be in it.
    assert!(running.held("b").is_some());
    world.write("a.yaml", &config("a", "\"1\""));
    assert!(
        running
            .look()
            .await
            .contains(&"config: deleted b 1".to_owned())
    );
}

#[tokio::test]
async fn a_torn_status_file_is_kept_aside_and_the_others_go_on() {
    let world = World::new();
    world.write("a.yaml", &(station("cp-1") + "---\n" + &station("cp-2")));
    let mut running = world.start();
    running.look().await;
    running.publish("cp-1", &status(1)).await.unwrap();
    running.publish("cp-2", &status(1)).await.unwrap();
    drop(running);
    let torn = world
        .state
        .path()
        .join("status/default/ChargeStation/cp-1.yaml");
    fs::write(&torn, "apiVersion: stationkeeper.dev/v1alpha1\nmeta").unwrap();
    let mut running = world.start();
    running.look().await;
    assert_eq!(running.station("cp-1").status, None);
    assert_eq!(running.station("cp-2").status, Some(status(1)));
    assert!(!torn.exists());
    assert_eq!(
        fs::read_dir(world.state.path().join("damaged"))
            .unwrap()
            .count(),
        1
    );
    running.publish("cp-1", &status(1)).await.unwrap();
}

#[tokio::test]
async fn a_status_of_a_newer_version_is_known_to_be_newer() {
    let world = World::new();
    world.write("a.yaml", &station("cp-1"));
    let mut running = world.start();
    running.look().await;
    running.publish("cp-1", &status(1)).await.unwrap();
    drop(running);
    let path = world
        .state
        .path()
        .join("status/default/ChargeStation/cp-1.yaml");
    let newer = fs::read_to_string(&path).unwrap().replace(
        "formatVersion: 1",
        "formatVersion: 9\n    keys: all of them",
    );
    fs::write(&path, newer).unwrap();
    let mut running = world.start();
    running.look().await;
    assert_eq!(
        running
            .station("cp-1")
            .status
            .unwrap()
            .memory
            .unwrap()
            .format_version,
        9
    );
}

#[tokio::test]
async fn what_was_declared_got_lost_and_the_status_still_names_the_object() {
    let world = World::new();
    world.write("a.yaml", &station("cp-1"));
    let mut running = world.start();
    running.look().await;
    let before = running.publish("cp-1", &status(1)).await.unwrap();
    drop(running);
    fs::write(world.state.path().join("meta/objects.jsonl"), "{\"torn").unwrap();
    let mut running = world.start();
    running.look().await;
    let after = running.station("cp-1");
    assert_eq!(after.metadata.uid, before.metadata.uid);
    assert_eq!(after.metadata.generation, Some(2));
    assert!(after.status.is_some());
}

#[tokio::test]
async fn a_full_disk_is_told_and_the_former_status_stays() {
    #[derive(Default)]
    struct Filling(std::sync::atomic::AtomicBool);
    impl Disk for Filling {
        fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
            match self.0.load(std::sync::atomic::Ordering::Relaxed) {
                true => Err(io::ErrorKind::StorageFull.into()),
                false => RealDisk.write(path, bytes),
            }
        }
    }
    let world = World::new();
    world.write("a.yaml", &station("cp-1"));
    let disk = Arc::new(Filling::default());
    let mut running = world.start_with(at_once(), disk.clone());
    running.look().await;
    running.publish("cp-1", &status(1)).await.unwrap();
    disk.0.store(true, std::sync::atomic::Ordering::Relaxed);
    let full = running.publish("cp-1", &status(2)).await;
    assert!(matches!(full, Err(PublishError::Unavailable { .. })));
    assert_eq!(running.station("cp-1").status, Some(status(1)));
    // Reading goes on, and what could not be written down is written once there is space.
    world.write("b.yaml", &station("cp-2"));
    assert!(
        running
            .look()
            .await
            .contains(&"station: applied cp-2 1".to_owned())
    );
    disk.0.store(false, std::sync::atomic::Ordering::Relaxed);
    running.look().await;
    assert!(
        fs::read_to_string(world.state.path().join("meta/objects.jsonl"))
            .unwrap()
            .contains("cp-2")
    );
    running.publish("cp-1", &status(2)).await.unwrap();
}

#[tokio::test]
async fn a_namespace_folder_that_cannot_be_made_is_told_as_unavailable() {
    let world = World::new();
    world.write("a.yaml", &station("cp-1"));
    let mut running = world.start();
    running.look().await;
    fs::write(world.state.path().join("status"), "not a folder").unwrap();
    let refused = running.publish("cp-1", &status(1)).await;
    assert!(matches!(refused, Err(PublishError::Unavailable { .. })));
}

#[tokio::test]
async fn a_deleted_object_leaves_no_status_behind() {
    let world = World::new();
    world.write("a.yaml", &station("cp-1"));
    world.write("b.yaml", &station("cp-2"));
    let mut running = world.start();
    running.look().await;
    running.publish("cp-1", &status(1)).await.unwrap();
    world.remove("a.yaml");
    running.look().await;
    assert!(
        !world
            .state
            .path()
            .join("status/default/ChargeStation/cp-1.yaml")
            .exists()
    );
}

#[tokio::test]
async fn a_second_process_is_refused_with_the_first_ones_id() {
    let world = World::new();
    let first = StateDir::open(world.state.path()).unwrap();
    let Err(error) = StateDir::open(world.state.path()) else {
        panic!("two processes hold one state directory")
    };
    assert!(
        error
            .to_string()
            .contains(&format!("process {}", std::process::id())),
        "{error}"
    );
    drop(first);
    assert!(StateDir::open(world.state.path()).is_ok());
}

#[tokio::test]
async fn the_key_of_digests_is_made_once_and_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let state = StateDir::open(world.state.path()).unwrap();
    let key = state.hmac_key().unwrap();
    assert_eq!(key.expose_secret().len(), 32);
    assert_eq!(
        state.hmac_key().unwrap().expose_secret(),
        key.expose_secret()
    );
    let path = world.state.path().join("hmac.key");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    fs::write(&path, "short").unwrap();
    assert!(matches!(
        state.hmac_key(),
        Err(StateDirError::DamagedKey { found: 5, .. })
    ));
}

#[tokio::test]
async fn secrets_are_read_and_a_bad_file_does_not_make_them_absent() {
    let world = World::new();
    let secret = |password: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: site}}\nstringData: {{password: {password}}}\n"
        )
    };
    world.write("secret.yaml", &secret("one"));
    world.write("a.yaml", &station("cp-1"));
    let mut running = world.start();
    let changed = running.source.secrets_changed();
    assert!(running.source.get("default", "site").await.is_err());
    running.look().await;
    assert!(changed.has_changed().unwrap());
    let read = running
        .source
        .get("default", "site")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(read["password"].expose_secret(), b"one");
    assert!(
        running
            .source
            .get("default", "other")
            .await
            .unwrap()
            .is_none()
    );
    world.write("secret.yaml", &secret("12345"));
    running.look().await;
    let read = running
        .source
        .get("default", "site")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(read["password"].expose_secret(), b"one");
    world.write("secret.yaml", "\tbroken");
    running.look().await;
    assert!(running.source.get("default", "other").await.is_err());
    world.remove("secret.yaml");
    running.look().await;
    assert!(
        running
            .source
            .get("default", "site")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_registered_station_is_served_at_once_and_after_a_restart_until_it_is_declared() {
    let world = World::new();
    world.write("a.yaml", &station("cp-1"));
    let mut running = world.start();
    running.look().await;
    let new: ChargeStation = serde_json::from_value(serde_json::json!({
        "apiVersion": "stationkeeper.dev/v1alpha1", "kind": "ChargeStation",
        "metadata": {"name": "found-1", "namespace": "default"},
        "spec": {"identity": "FOUND 1", "authentication": {"none": true}}
    }))
    .unwrap();
    running.source.create(&new).await.unwrap();
    assert_eq!(running.told(), ["station: applied found-1 1"]);
    assert!(matches!(
        running.source.create(&new).await,
        Err(PublishError::Conflict)
    ));
    assert!(running.look().await.is_empty());
    drop(running);
    let mut running = world.start();
    assert!(
        running
            .look()
            .await
            .contains(&"station: listed found-1 1".to_owned())
    );
    let adopted = station("found-1").replace("identity: found-1", "identity: FOUND 1");
    world.write(
        "b.yaml",
        &adopted.replace("{name: found-1}", "{name: found-1, labels: {site: x}}"),
    );
    assert_eq!(running.look().await, ["station: applied found-1 1"]);
    assert!(running.source.problems().is_empty());
}

#[tokio::test]
async fn status_reads_what_is_known_while_the_operator_runs_and_after() {
    let world = World::new();
    world.write(
        "a.yaml",
        &(station("cp-1") + "---\n" + &config("a", "\"1\"")),
    );
    let mut running = world.start();
    running.look().await;
    let station = running.publish("cp-1", &status(1)).await.unwrap();
    let verdicts = crate::document::StationDocument::new(&station, &[], true, false);
    running.source.state.write_verdicts(&verdicts).unwrap();
    world.write("bad.yaml", "\t");
    running.look().await;
    let known = last_known(world.state.path());
    assert!(known.running && known.document.stations[0].connected);
    assert_eq!(known.stations[0].status, Some(status(1)));
    assert_eq!(known.configs.len(), 1);
    drop(running);
    let known = last_known(world.state.path());
    assert!(!known.running && !known.document.stations[0].connected);
}

#[tokio::test]
async fn long_names_have_files_of_their_own() {
    let world = World::new();
    let (one, two) = ("a".repeat(253), format!("{}b", "a".repeat(252)));
    let declare = |name: &str| {
        station(name).replace(
            &format!("identity: {name}"),
            &format!("identity: {}", &name[245..]),
        )
    };
    world.write("a.yaml", &(declare(&one) + "---\n" + &declare(&two)));
    let mut running = world.start();
    running.look().await;
    running.publish(&one, &status(1)).await.unwrap();
    running.publish(&two, &status(2)).await.unwrap();
    drop(running);
    let mut running = world.start();
    running.look().await;
    assert_eq!(running.station(&one).status, Some(status(1)));
    assert_eq!(running.station(&two).status, Some(status(2)));
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_an_error_at_the_start() {
    let world = World::new();
    let state = Arc::new(StateDir::open(world.state.path()).unwrap());
    let absent = world.manifests.path().join("absent");
    assert!(matches!(
        FolderSource::open(&absent, state, at_once()),
        Err(FolderError::ReadFolder { .. })
    ));
}
