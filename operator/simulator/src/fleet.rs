//! Many stations of one kind.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::handle::StationHandle;
use crate::settings::StationSettings;
use crate::station::Station;
use crate::stats::Registration;

/// Many stations of one kind: what they have in common, and how many.
#[derive(Clone, Debug)]
pub struct FleetSettings {
    /// What each of them is started with. The identity is a prefix: the station's number follows it, from 1, with as many
    /// zeros before it as make all identities equally long.
    pub station: StationSettings,
    /// How many.
    pub count: usize,
    /// How many of them connect in a second at first; `None`: all at once.
    pub connect_rate: Option<f64>,
}

/// Many running stations.
#[derive(Debug)]
pub struct Fleet {
    stations: Vec<StationHandle>,
}

/// What a fleet has seen, summed up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Stations.
    pub stations: usize,
    /// Stations that are connected now.
    pub connected: usize,
    /// Stations that are accepted now.
    pub accepted: usize,
    /// Stations that are held Pending now.
    pub pending: usize,
    /// Attempts to connect that failed.
    pub refused: u64,
    /// Why one of the last attempts failed.
    pub last_refusal: Option<String>,
    /// Boots.
    pub boots: u64,
    /// Calls received, by action.
    pub calls: BTreeMap<String, u64>,
    /// Writes received.
    pub writes: u64,
    /// Breaches of the rules by the peer.
    pub violations: u64,
}

impl Fleet {
    /// Starts the stations. Has to be called within a tokio runtime.
    pub fn start(settings: &FleetSettings) -> Self {
        let digits = settings.count.to_string().len().max(4);
        let start = |number: usize| {
            let mut station = settings.station.clone();
            station.identity = format!("{}{:0digits$}", settings.station.identity, number + 1);
            if let Some(rate) = settings.connect_rate.filter(|rate| *rate > 0.0) {
                station.start_after += Duration::from_secs_f64(number as f64 / rate);
            }
            Station::start(station)
        };
        Self {
            stations: (0..settings.count).map(start).collect(),
        }
    }

    /// Takes stations that run already.
    pub fn of(stations: Vec<StationHandle>) -> Self {
        Self { stations }
    }

    /// The stations, in the order of their numbers.
    pub fn stations(&self) -> &[StationHandle] {
        &self.stations
    }

    /// A station by its identity.
    pub fn station(&self, identity: &str) -> Option<&StationHandle> {
        self.stations
            .iter()
            .find(|station| station.identity() == identity)
    }

    /// What all of them have seen so far.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals {
            stations: self.stations.len(),
            ..Totals::default()
        };
        for station in &self.stations {
            station.with_stats(|stats| {
                totals.connected += usize::from(stats.connected);
                match stats.registration {
                    Registration::Accepted => totals.accepted += usize::from(stats.connected),
                    Registration::Pending => totals.pending += usize::from(stats.connected),
                    Registration::Unknown | Registration::Rejected => {}
                }
                totals.refused += stats.refused;
                totals.last_refusal = stats
                    .last_refusal
                    .clone()
                    .or_else(|| totals.last_refusal.take());
                totals.boots += stats.boots;
                totals.writes += stats.calls_of("ChangeConfiguration");
                totals.violations += stats.violations.len() as u64;
                for (action, count) in &stats.calls {
                    *totals.calls.entry(action.clone()).or_default() += count;
                }
            });
        }
        totals
    }

    /// Closes all connections properly and ends the stations.
    pub async fn stop(self) {
        // All are told before the first is waited for.
        self.stations.iter().for_each(StationHandle::tell_to_stop);
        for station in self.stations {
            station.stop().await;
        }
    }
}
