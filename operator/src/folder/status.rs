//! What a state directory knows, for `status`: read while the operator runs, without its lock, and touching nothing.

use std::collections::HashMap;
use std::path::Path;

use super::past::{read_past, read_problems, read_verdicts};
use super::state_dir::is_held;
use super::table::object_of;
use crate::document::{ConfigDocument, Document, StationDocument};
use crate::manifest::Kind;
use crate::objects::{ChargeStation, ChargeStationConfig};

/// What was last known.
#[derive(Clone, Debug)]
pub struct LastKnown {
    /// Every station, with its status.
    pub stations: Vec<ChargeStation>,
    /// Every config, with its status.
    pub configs: Vec<ChargeStationConfig>,
    /// Every managed key.
    pub document: Document,
    /// What is wrong in the manifests, and which state files are damaged.
    pub problems: Vec<String>,
    /// Does an operator run on this directory? If not, no station is connected, and all is as it was last known.
    pub running: bool,
}

/// Reads a state directory.
pub fn last_known(state: &Path) -> LastKnown {
    let past = read_past(state);
    let running = is_held(state);
    let mut stations = Vec::new();
    let mut configs = Vec::new();
    for (id, remembered) in past
        .objects
        .iter()
        .filter(|(id, _)| id.kind == Kind::Station)
    {
        if let Some(station) = object_of::<ChargeStation>(remembered) {
            let status = past.stations.get(id).map(|found| found.status.clone());
            stations.push(ChargeStation { status, ..station });
        }
    }
    for (id, remembered) in past
        .objects
        .iter()
        .filter(|(id, _)| id.kind == Kind::Config)
    {
        if let Some(config) = object_of::<ChargeStationConfig>(remembered) {
            let status = past.configs.get(id).map(|found| found.status.clone());
            configs.push(ChargeStationConfig { status, ..config });
        }
    }
    let verdicts = read_verdicts(state).into_iter();
    let mut verdicts: HashMap<(String, String), StationDocument> = verdicts
        .map(|known| ((known.namespace.clone(), known.name.clone()), known))
        .collect();
    let documents = stations.iter().map(|station| {
        let fresh = StationDocument::new(station, &[], false, true);
        match verdicts.remove(&(fresh.namespace.clone(), fresh.name.clone())) {
            Some(known) if running => known,
            Some(known) => known.without_operator(),
            None => fresh,
        }
    });
    let document = Document::new(
        documents.collect(),
        configs.iter().map(ConfigDocument::new).collect(),
    );
    let mut problems = read_problems(state);
    problems.extend(
        past.damaged
            .iter()
            .map(|damaged| format!("{}: damaged: {}", damaged.path.display(), damaged.reason)),
    );
    LastKnown {
        stations,
        configs,
        document,
        problems,
        running,
    }
}
