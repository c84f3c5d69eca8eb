//! Stations: for which stations settings are checked. ChargeStations among the files, and a file of stations; what each
//! is comes from its object (`spec.hardware`, or `status.hardware` as `kubectl get` shows it), from the list, or from what
//! the command line says of those that do not say it themselves.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value as Json;
use stationkeeper_core::station::{Activity, Capabilities, Link, Role, StationFacts};
use stationkeeper_core::words::Device;

use super::declared::{Declarations, Object, declared};
use super::input::{self, InputError};
use super::report::Findings;
use crate::objects::ChargeStation;

/// Why a file of stations cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StationsError {
    /// It cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Its list is not as it should be.
    #[error(
        "failed to read the list of stations in {path:?}, whose facts are strings: versions want quotes, as in \"1.6\""
    )]
    List {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// There are no stations in it.
    #[error(
        "there are no stations in {path:?}: give ChargeStation manifests, what `status -o json` prints, or a list such as \
         [{{vendor: Amina, model: \"amina S\", firmware: \"1.6.2\"}}]"
    )]
    None {
        /// Which file.
        path: PathBuf,
    },
}

/// What a station is, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hardware {
    /// The vendor.
    pub vendor: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The firmware version.
    pub firmware: Option<String>,
}

impl Hardware {
    /// Is anything known?
    pub(super) fn is_known(&self) -> bool {
        *self != Self::default()
    }
}

/// A station for which settings are checked.
#[derive(Clone, Debug)]
pub(super) struct Station {
    pub(super) facts: StationFacts,
    /// Without a name it stands for any station of its hardware.
    pub(super) is_named: bool,
    /// A list may leave the namespace out: then it stands in each.
    pub(super) anywhere: bool,
    /// Where labels are not known, selectors cannot be decided.
    pub(super) labels_known: bool,
    /// The Secret with its password, if it names one.
    pub(super) secret: Option<String>,
}

/// An entry of a list of stations, or of the document of `status -o json`.
#[derive(Debug, Deserialize)]
struct Listed {
    name: Option<String>,
    namespace: Option<String>,
    identity: Option<String>,
    vendor: Option<String>,
    model: Option<String>,
    firmware: Option<String>,
    labels: Option<std::collections::BTreeMap<String, String>>,
    #[serde(default)]
    role: Role,
}

/// What is known of a station that nobody has seen: it may be called, and nothing is in the way.
pub(super) fn facts(namespace: &str, hardware: Hardware) -> StationFacts {
    let Hardware {
        vendor,
        model,
        firmware,
    } = hardware;
    StationFacts {
        namespace: namespace.to_owned(),
        name: String::new(),
        identity: String::new(),
        labels: Default::default(),
        device: Device {
            vendor,
            model,
            ..Device::default()
        },
        firmware,
        role: Role::Standalone,
        profiles: None,
        link: Link::Ready,
        authenticated: true,
        activity: Activity::Idle,
        busy_with_firmware: false,
        capabilities: Capabilities {
            read: true,
            write: true,
            reset: true,
            boot_events: true,
            transaction_state: true,
        },
    }
}

/// The stations: those of the linted files, and those of `file`. `stand_in` is what those are that do not say it.
pub(super) fn stations(
    declarations: &Declarations,
    file: Option<&Path>,
    stand_in: &Hardware,
    namespace: &str,
    findings: &mut Findings,
) -> Result<Vec<Station>, StationsError> {
    let mut stations: Vec<Station> = declarations.stations.iter().map(of_object).collect();
    if let Some(file) = file {
        for station in of_file(file, namespace, findings)? {
            join(&mut stations, station);
        }
    }
    for station in &mut stations {
        let StationFacts {
            device, firmware, ..
        } = &mut station.facts;
        let says_nothing = device.vendor.is_none() && device.model.is_none() && firmware.is_none();
        let same_vendor = match (&device.vendor, &stand_in.vendor) {
            (Some(own), Some(other)) => own.eq_ignore_ascii_case(other),
            (Some(_), None) | (None, _) => true,
        };
        if says_nothing || same_vendor {
            let fill = |own: &mut Option<String>, other: &Option<String>| {
                if own.is_none() {
                    own.clone_from(other);
                }
            };
            fill(&mut device.vendor, &stand_in.vendor);
            fill(&mut device.model, &stand_in.model);
            fill(firmware, &stand_in.firmware);
        }
    }
    Ok(stations)
}

fn of_object(object: &Object<ChargeStation>) -> Station {
    let spec = &object.body.spec;
    let over = spec.hardware.clone().unwrap_or_default();
    let reported = |fact: &str| {
        let text = object.fields.text(&["status", "hardware", fact]);
        text.map(str::to_owned)
    };
    let hardware = Hardware {
        vendor: over.vendor.or_else(|| reported("vendor")),
        model: over.model.or_else(|| reported("model")),
        firmware: over.firmware.or_else(|| reported("firmware")),
    };
    let secret = spec
        .authentication
        .as_ref()
        .and_then(|authentication| authentication.secret_ref.as_ref())
        .map(|secret| secret.name.clone());
    Station {
        facts: StationFacts {
            name: object.id.name.clone(),
            identity: spec.identity.clone(),
            labels: object.body.metadata.labels.clone().unwrap_or_default(),
            role: spec.role,
            ..facts(&object.id.namespace, hardware)
        },
        is_named: true,
        anywhere: false,
        labels_known: true,
        secret,
    }
}

fn of_file(
    file: &Path,
    namespace: &str,
    findings: &mut Findings,
) -> Result<Vec<Station>, StationsError> {
    let inputs = input::read(&[file.to_owned()])?;
    let path = || file.to_owned();
    if let [
        input::Input {
            content: Ok(bytes), ..
        },
    ] = inputs.as_slice()
        && let Some(list) = list(bytes)
    {
        let listed: Vec<Listed> =
            serde_json::from_value(list).map_err(|source| StationsError::List {
                path: path(),
                source,
            })?;
        if listed.is_empty() {
            return Err(StationsError::None { path: path() });
        }
        return Ok(listed
            .into_iter()
            .map(|listed| of_listed(listed, namespace))
            .collect());
    }
    let declarations = declared(inputs, namespace, findings);
    if declarations.stations.is_empty() {
        return Err(StationsError::None { path: path() });
    }
    Ok(declarations.stations.iter().map(of_object).collect())
}

/// A list, alone or under `stations`; `None`: it is something else, such as manifests.
fn list(bytes: &[u8]) -> Option<Json> {
    let text = std::str::from_utf8(bytes).ok()?;
    match serde_yaml::from_str(text).ok()? {
        list @ Json::Array(_) => Some(list),
        Json::Object(mut document) if !document.contains_key("kind") => {
            document.remove("stations").filter(Json::is_array)
        }
        Json::Object(_) | Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
    }
}

fn of_listed(listed: Listed, default_namespace: &str) -> Station {
    let Listed {
        name,
        namespace,
        identity,
        vendor,
        model,
        firmware,
        labels,
        role,
    } = listed;
    let hardware = Hardware {
        vendor,
        model,
        firmware,
    };
    Station {
        is_named: name.is_some(),
        anywhere: namespace.is_none(),
        labels_known: labels.is_some(),
        secret: None,
        facts: StationFacts {
            name: name.unwrap_or_default(),
            identity: identity.unwrap_or_default(),
            labels: labels.unwrap_or_default(),
            role,
            ..facts(namespace.as_deref().unwrap_or(default_namespace), hardware)
        },
    }
}

/// What a list says of a station that is declared is laid under what its object says.
fn join(stations: &mut Vec<Station>, other: Station) {
    let same = |station: &&mut Station| {
        other.is_named
            && station.facts.name == other.facts.name
            && (other.anywhere || station.facts.namespace == other.facts.namespace)
    };
    let Some(known) = stations.iter_mut().find(same) else {
        return stations.push(other);
    };
    let StationFacts {
        device, firmware, ..
    } = other.facts;
    let facts = &mut known.facts;
    facts.device.vendor = facts.device.vendor.take().or(device.vendor);
    facts.device.model = facts.device.model.take().or(device.model);
    facts.firmware = facts.firmware.take().or(firmware);
}

/// What a station without a name is called in messages.
pub(super) fn like(station: &Station) -> Option<String> {
    let vendor = station.facts.device.vendor.as_deref()?;
    let further = [&station.facts.device.model, &station.facts.firmware];
    let further: Vec<&str> = further.into_iter().flatten().map(String::as_str).collect();
    Some(match further.as_slice() {
        [] => format!("stations of {vendor}"),
        further => format!("stations of {vendor} ({})", further.join(", ")),
    })
}
