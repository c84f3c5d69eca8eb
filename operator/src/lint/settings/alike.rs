//! Alike: the stations of a namespace → groups that are alike in all that settings can hang on, each with its configs.

use std::collections::BTreeMap;

use stationkeeper_core::select::{self, Applies, LabelSelector, Selection};
use stationkeeper_core::station::StationFacts;

use super::{Fleet, Prepared};
use crate::lint::report::Whom;
use crate::lint::stations::{Hardware, Station, facts, like};
use crate::lint::vendors::without_wildcards;
use crate::objects::{SettingSpec, StationSelection};

/// Does a config select a station, as far as it is known?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selects {
    Yes,
    /// It hangs on labels or a name that are not known.
    Perhaps,
    /// It hangs on what the station is, and that is not known.
    Undecidable,
    No,
}

pub(super) fn selects(selection: &Selection, station: &Station) -> Selects {
    let mut selection = selection.clone();
    let mut perhaps = false;
    let all = LabelSelector::default();
    if !station.labels_known && selection.selector.as_ref().is_some_and(|s| *s != all) {
        selection.selector = Some(all);
        perhaps = true;
    }
    if !station.is_named && selection.names.take().is_some() {
        selection.selector.get_or_insert_default();
        perhaps = true;
    }
    match select::applies(&selection, &station.facts.namespace, &station.facts) {
        Applies::No => Selects::No,
        Applies::Undecidable => Selects::Undecidable,
        Applies::Yes if perhaps => Selects::Perhaps,
        Applies::Yes => Selects::Yes,
    }
}

/// Stations that are alike in all that settings can hang on.
pub(super) struct Alike {
    pub(super) station: Station,
    /// Indices of configs.
    pub(super) surely: Vec<usize>,
    pub(super) perhaps: Vec<usize>,
    pub(super) whom: Whom,
}

impl Fleet<'_> {
    pub(super) fn alike(&self) -> Vec<Alike> {
        let own_secrets = self.configs.iter().any(|config| {
            let from = |setting: &SettingSpec| setting.value_from.clone();
            config
                .settings
                .iter()
                .any(|(_, setting)| from(setting).is_some_and(|from| from.station_secret.is_some()))
        });
        let mut groups: Vec<Alike> = Vec::new();
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for station in &self.stations {
            let which = |wanted: Selects| -> Vec<usize> {
                let configs = self.configs.iter().enumerate();
                configs
                    .filter(|(_, config)| {
                        let selection = config.selection.as_ref();
                        selection.is_some_and(|selection| selects(selection, station) == wanted)
                    })
                    .map(|(index, _)| index)
                    .collect()
            };
            let (surely, perhaps) = (which(Selects::Yes), which(Selects::Perhaps));
            let StationFacts {
                device,
                firmware,
                role,
                identity,
                ..
            } = &station.facts;
            let secret = station.secret.as_ref().filter(|_| own_secrets);
            // One rule looks for the identity in values.
            let identity = Some(identity).filter(|identity| self.is_in_a_value(identity));
            let key = format!(
                "{device:?} {firmware:?} {role:?} {surely:?} {perhaps:?} {secret:?} {identity:?}"
            );
            let group = *known.entry(key).or_insert_with(|| {
                groups.push(Alike {
                    station: station.clone(),
                    surely,
                    perhaps,
                    whom: Whom::default(),
                });
                groups.len() - 1
            });
            let whom = &mut groups[group].whom;
            match station.is_named {
                true => whom.stations.extend([station.facts.name.clone()]),
                false => whom.like.extend(like(station)),
            }
        }
        groups
    }

    fn is_in_a_value(&self, identity: &str) -> bool {
        !identity.is_empty()
            && self.configs.iter().any(|config| {
                config.settings.iter().any(|(_, setting)| {
                    let value = setting.value.as_deref();
                    value.is_some_and(|value| value.contains(identity))
                })
            })
    }

    /// A station such as the config asks for, with the configs that select every station.
    pub(super) fn imagined(
        &self,
        index: usize,
        config: &Prepared<'_>,
        stand_in: &Hardware,
    ) -> Alike {
        let asked = asked_for(&config.object.body.spec.stations);
        let stands_in = Station {
            facts: facts(self.namespace, stand_in.clone()),
            is_named: false,
            anywhere: false,
            labels_known: false,
            secret: None,
        };
        let fits = config
            .selection
            .as_ref()
            .is_none_or(|selection| selects(selection, &stands_in) != Selects::No);
        let hardware = match stand_in.is_known() && fits {
            true => Hardware {
                vendor: stand_in.vendor.clone().or(asked.vendor),
                model: stand_in.model.clone().or(asked.model),
                firmware: stand_in.firmware.clone().or(asked.firmware),
            },
            false => asked,
        };
        let station = Station {
            facts: facts(self.namespace, hardware),
            ..stands_in
        };
        let every = |(other, config): (usize, &Prepared<'_>)| {
            let selection = config.selection.as_ref()?;
            let selected = other == index || selects(selection, &station) == Selects::Yes;
            selected.then_some(other)
        };
        let mut surely: Vec<usize> = self.configs.iter().enumerate().filter_map(every).collect();
        if !surely.contains(&index) {
            surely.push(index);
        }
        Alike {
            station,
            surely,
            perhaps: Vec::new(),
            whom: Whom::default(),
        }
    }
}

/// The hardware that a config asks for, wildcards left out.
fn asked_for(stations: &StationSelection) -> Hardware {
    stations
        .hardware
        .as_ref()
        .map(|hardware| Hardware {
            vendor: without_wildcards(hardware.vendor.as_deref()),
            model: without_wildcards(hardware.model.as_deref()),
            firmware: without_wildcards(hardware.firmware.as_deref()),
        })
        .unwrap_or_default()
}
