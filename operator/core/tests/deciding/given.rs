//! Builders: a small catalogue of made-up keys, layers, stations and readings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use jiff::{SignedDuration, Timestamp};
use stationkeeper_core::catalogue::{Catalogue, CatalogueDocument};
use stationkeeper_core::layer::{
    Consent, Layer, Mode, Setting, SettingValue, Standing, WhenRemoved,
};
use stationkeeper_core::memory::{
    Answer, FORMAT_VERSION, KeyMemory, Memory, Owed, RememberedValue, Until, WriteMemory,
};
use stationkeeper_core::observed::{Observed, Reading};
use stationkeeper_core::plan::{KeyVerdict, Plan, plan};
use stationkeeper_core::resolve::resolve;
use stationkeeper_core::station::{Activity, Capabilities, Link, Policy, Role, StationFacts};
use stationkeeper_core::validate::{Desired, validate};
use stationkeeper_core::words::{ConfigRef, Device, Key, SecretVersion};

/// Each key is named after what makes it special; all others are plain.
const KEYS: &str = r#"
sources: {test: {publisher: Tests, title: made-up keys}}
source: test
keys:
- {key: Plain, type: Integer, range: {min: 0, max: 1000}, access: ReadWrite, takesEffect: Immediately, hazard: [None]}
- {key: Other, type: Integer, access: ReadWrite, takesEffect: Immediately, hazard: [None]}
- {key: Flag, type: Boolean, access: ReadWrite, takesEffect: Immediately, hazard: [None]}
- {key: Boot, type: Integer, access: ReadWrite, takesEffect: AfterReset, hazard: [None]}
- {key: Reconnect, type: Integer, access: ReadWrite, takesEffect: AfterReconnect, hazard: [None]}
- {key: Whenever, type: Integer, access: ReadWrite, hazard: [None]}
- {key: Fixed, type: Integer, access: ReadOnly, hazard: [None], nature: Capability}
- {key: Password, type: Secret, access: WriteOnly, takesEffect: Immediately, hazard: [None], length: {min: 4, max: 20}}
- {key: BootPassword, type: Secret, access: WriteOnly, takesEffect: AfterReset, hazard: [None]}
- {key: Url, type: String, access: ReadWrite, takesEffect: Immediately, hazard: [ConnectionCritical]}
- {key: BootUrl, type: String, access: ReadWrite, takesEffect: AfterReset, hazard: [ConnectionCritical]}
- {key: Session, type: Integer, access: ReadWrite, takesEffect: Immediately, hazard: [SessionAffecting]}
- {key: Safety, type: Integer, access: ReadWrite, takesEffect: Immediately, hazard: [Safety]}
- {key: Command, type: Boolean, access: ReadWrite, hazard: [Action]}
- {key: Meter, type: Integer, access: ReadOnly, nature: Telemetry}
- {key: OnMaster, type: Integer, access: ReadWrite, hazard: [None], scope: Master, takesEffect: Immediately}
- {key: Reserved, type: Integer, access: ReadWrite, hazard: [None], profile: Reservation, takesEffect: Immediately}
- {key: Limit, type: Integer, access: ReadWrite, hazard: [None], takesEffect: Immediately, affects: [OperatorLimit]}
- key: OperatorLimit
  type: Integer
  access: ReadWrite
  hazard: [None]
  takesEffect: Immediately
  after: [{key: Limit, when: Raising}]
- {key: Items, type: List, access: ReadWrite, hazard: [None], takesEffect: Immediately, maxItemsKey: ItemsMaxLength}
- {key: ItemsMaxLength, type: Integer, access: ReadOnly, hazard: [None], nature: Capability}
- {key: SupportedFeatureProfiles, type: List, access: ReadOnly, hazard: [None], nature: Capability}
- {key: HeartBeat, type: Integer, access: ReadWrite, hazard: [None], takesEffect: Immediately}
- {key: Heartbeat, type: Integer, access: ReadWrite, hazard: [None], takesEffect: Immediately}
"#;

pub(crate) fn catalogue() -> Arc<Catalogue> {
    static MADE: OnceLock<Arc<Catalogue>> = OnceLock::new();
    MADE.get_or_init(|| catalogue_of(KEYS)).clone()
}

pub(crate) fn catalogue_of(text: &str) -> Arc<Catalogue> {
    let document =
        CatalogueDocument::from_yaml("made-up.yaml", text).expect("the made-up catalogue is right");
    Catalogue::default().with_documents([("made-up".to_owned(), document)])
}

/// With a line of quirks before the keys.
pub(crate) fn catalogue_with_quirks(quirks: &str) -> Arc<Catalogue> {
    catalogue_of(&format!("quirks: {quirks}\n{KEYS}"))
}

pub(crate) fn noon() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().expect("a constant")
}

pub(crate) fn config(name: &str) -> ConfigRef {
    ConfigRef {
        namespace: "north".into(),
        name: name.into(),
    }
}

pub(crate) fn version(name: &str) -> SecretVersion {
    SecretVersion(name.to_owned())
}

/// A layer named `base` of priority 0 that enforces these plain settings.
pub(crate) fn base(settings: &[(&str, &str)]) -> Layer {
    layer("base", 0, settings)
}

pub(crate) fn layer(name: &str, priority: i32, settings: &[(&str, &str)]) -> Layer {
    Layer {
        config: config(name),
        generation: 1,
        priority,
        standing: Standing::Active,
        mode: Mode::Enforce,
        settings: settings
            .iter()
            .map(|&(key, value)| plain(key, value))
            .collect(),
        consent: BTreeSet::new(),
        when_removed: WhenRemoved::Retain,
    }
}

pub(crate) fn plain(key: &str, value: &str) -> Setting {
    Setting {
        key: Key::from(key),
        value: SettingValue::Plain(value.into()),
        mode: None,
    }
}

pub(crate) fn secret(key: &str, version_name: &str) -> Setting {
    let value = SettingValue::Secret {
        version: version(version_name),
        length: 8,
    };
    Setting {
        key: Key::from(key),
        value,
        mode: None,
    }
}

pub(crate) fn consenting(mut layer: Layer, consent: &[Consent]) -> Layer {
    layer.consent = consent.iter().copied().collect();
    layer
}

pub(crate) fn known(key: &str, value: &str) -> Reading {
    Reading::Known {
        spelling: Key::from(key),
        value: Some(value.into()),
        readonly: None,
    }
}

pub(crate) fn known_readonly(key: &str, value: &str, readonly: bool) -> Reading {
    Reading::Known {
        spelling: Key::from(key),
        value: Some(value.into()),
        readonly: Some(readonly),
    }
}

pub(crate) fn plain_value(value: &str) -> RememberedValue {
    RememberedValue::Plain(value.to_owned())
}

/// A scene: all inputs of a decision about one station.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) layers: Vec<Layer>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) station: StationFacts,
    pub(crate) observed: Observed,
    pub(crate) memory: Memory,
    pub(crate) policy: Policy,
    pub(crate) now: Timestamp,
}

/// A station that is connected, authenticated and idle, of which nothing was read.
pub(crate) fn scene(layers: &[Layer]) -> Scene {
    Scene {
        layers: layers.to_vec(),
        catalogue: catalogue(),
        station: station(),
        observed: Observed::default(),
        memory: Memory {
            format_version: FORMAT_VERSION,
            event: 10,
            connection: 1,
            device: Device {
                vendor: Some("Maker".to_owned()),
                ..Device::default()
            },
            firmware: Some("1.0".to_owned()),
            seen: 10,
            ..Memory::default()
        },
        policy: Policy::default(),
        now: noon(),
    }
}

pub(crate) fn station() -> StationFacts {
    StationFacts {
        namespace: "north".to_owned(),
        name: "cp-1".to_owned(),
        identity: "CP-1".to_owned(),
        labels: BTreeMap::new(),
        device: Device {
            vendor: Some("Maker".to_owned()),
            ..Device::default()
        },
        firmware: Some("1.0".to_owned()),
        role: Role::Standalone,
        profiles: Some(vec!["core".to_owned(), "reservation".to_owned()]),
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
    }
}

impl Scene {
    /// The station shows these values, read just now.
    pub(crate) fn shows(mut self, values: &[(&str, &str)]) -> Self {
        for &(key, value) in values {
            self.observed
                .readings
                .insert(Key::from(key), known(key, value));
        }
        self.observed.at_event = self.memory.event;
        self
    }

    pub(crate) fn reads(mut self, key: &str, reading: Reading) -> Self {
        self.observed.readings.insert(Key::from(key), reading);
        self.observed.at_event = self.memory.event;
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Changes what is remembered of a key.
    pub(crate) fn remembers(mut self, key: &str, change: impl FnOnce(&mut KeyMemory)) -> Self {
        change(self.memory.keys.entry(Key::from(key)).or_default());
        self
    }

    /// The station was planned with these readings before: keys that were in sync are known to have been.
    pub(crate) fn settled(mut self) -> Self {
        self.memory = self.plan().memory;
        self
    }

    pub(crate) fn desired(&self) -> Desired {
        let catalogue = self
            .catalogue
            .for_station(&self.station.device, self.station.firmware.as_deref());
        let resolved = resolve(&self.layers, &catalogue);
        validate(&resolved, &catalogue, &self.station, &self.observed)
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(
            &self.desired(),
            &self.observed,
            &self.memory,
            &self.station,
            &self.policy,
            self.now,
        )
    }

    pub(crate) fn verdict(&self, key: &str) -> KeyVerdict {
        verdict(&self.plan(), key)
    }

    pub(crate) fn later(mut self, by: SignedDuration) -> Self {
        self.now += by;
        self
    }

    /// Something happened: the next event.
    pub(crate) fn boots(mut self) -> Self {
        self.memory.event += 2;
        self.memory.connection = self.memory.event - 1;
        self.memory.boot = self.memory.event;
        self
    }

    pub(crate) fn reconnects(mut self) -> Self {
        self.memory.event += 1;
        self.memory.connection = self.memory.event;
        self
    }
}

pub(crate) fn verdict(plan: &Plan, key: &str) -> KeyVerdict {
    let found = plan
        .keys
        .iter()
        .find(|verdict| verdict.key == Key::from(key));
    found
        .unwrap_or_else(|| panic!("no verdict on {key} in {:?}", plan.keys))
        .clone()
}

/// Names of the keys that a plan writes, in order.
pub(crate) fn written(plan: &Plan) -> Vec<&str> {
    plan.changes
        .iter()
        .map(|change| change.key.as_str())
        .collect()
}

/// A write of ours at event 5, a day ago, with this answer.
pub(crate) fn wrote(value: RememberedValue, answer: Answer) -> WriteMemory {
    WriteMemory {
        value,
        before: Some("1".to_owned()),
        since: 5,
        at: noon() - SignedDuration::from_hours(24),
        answer,
        detail: None,
        attempts: 1,
        cycles: 0,
        shown: false,
        busy: false,
        unmet: Vec::new(),
        known: 0,
        firmware: Some("1.0".to_owned()),
        config: config("base"),
        generation: 1,
    }
}

/// A debt from that write.
pub(crate) fn owes(value: RememberedValue, until: Until) -> Owed {
    Owed {
        value,
        before: Some("1".to_owned()),
        since: 5,
        at: noon() - SignedDuration::from_hours(24),
        until,
    }
}
