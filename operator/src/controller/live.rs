//! What this process knows of each station: the memory in its newest form, the last observation, what was last told.
//!
//! Status is the copy that survives us; this is the original while we lead. What is deliberately absent: anything that
//! a successor would need and cannot find in status or by asking the station.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use stationkeeper_core::event::Connection;
use stationkeeper_core::memory::Memory;
use stationkeeper_core::observed::Observed;
use stationkeeper_core::plan::KeyVerdict;
use stationkeeper_core::reboot::Watched;
use stationkeeper_core::station::StationFacts;
use stationkeeper_core::words::{ConfigRef, Key};

use super::gather::ConfigGeneration;
use crate::objects::ChargeStation;

/// What a reconcile of one station keeps from pass to pass. One reconcile at a time holds it.
#[derive(Default)]
pub struct Live {
    /// The uid of the object that this is about; empty: not loaded yet.
    pub uid: String,
    /// The newest memory; status has the last published copy.
    pub memory: Memory,
    /// What was seen on the present connection, for the proof of boots.
    pub connection: Connection,
    /// Writes after which the station may still boot by itself.
    pub watched: Watched,
    /// What the station reported last. Kept while it is offline, and stale then.
    pub observed: Observed,
    /// How many keys the station takes in one call, as it said or as was found out.
    pub piece: Option<usize>,
    /// The station's own spelling of keys, where it is not the catalogue's.
    pub spellings: BTreeMap<Key, Key>,
    /// The connection on which it was asked for its connectors' states.
    pub activity_asked: Option<u64>,
    /// The connection on which it was reported.
    pub observed_session: Option<u64>,
    /// When all managed keys were last read.
    pub read_at: Option<Timestamp>,
    /// When a boot was last proven.
    pub last_boot: Option<Timestamp>,
    /// Since when it is not connected, if it was connected in our time.
    pub disconnected_at: Option<Timestamp>,
    /// Since when it is connected, unless it has sent a BootNotification since.
    pub came_back_at: Option<Timestamp>,
    /// The station's own `requestedAt` that was last acted upon.
    pub handled_request: Option<String>,
    /// The object as our last write was answered.
    pub published: Option<Arc<ChargeStation>>,
    /// Failures in a row, for the back-off.
    pub failures: u32,
    /// A closing read showed that there is more to do: pass again at once, but not for ever.
    pub passes_in_a_row: u32,
}

/// A station that has booted says so once it has a connection: a round trip takes up to a second in the field.
const INTRODUCTION: Duration = Duration::from_secs(2);

impl Told {
    /// The verdicts that a config is told of: on the keys that it won, and on those that it fights over.
    pub fn of_config<'a>(
        &'a self,
        config: &'a ConfigRef,
    ) -> impl Iterator<Item = &'a KeyVerdict> + 'a {
        self.verdicts.iter().filter(move |verdict| {
            let rivals = || self.rivals.iter();
            verdict.config == *config
                || rivals().any(|(key, rival)| rival == config && *key == verdict.key)
        })
    }
}

impl Live {
    /// A station that has just come back, and needs no BootNotification since its registration is remembered, may be about
    /// to send one all the same. What a difference means depends on it (section 6 of the design, row 19), so for a moment
    /// nothing is asked: how long still.
    pub fn introduction(&self, now: Timestamp) -> Option<Duration> {
        let left = (self.came_back_at? + INTRODUCTION).duration_since(now);
        let left = Duration::try_from(left).ok()?;
        // A clock that was set back makes nobody wait for longer.
        (!left.is_zero()).then(|| left.min(INTRODUCTION))
    }
}

/// What was last told of a station, for summaries and documents. Only what has been published gets here.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Every managed key.
    pub verdicts: Arc<[KeyVerdict]>,
    /// The keys over which configs fight, with the configs that the verdicts do not name.
    pub rivals: Arc<[(Key, ConfigRef)]>,
    /// The configs that apply, with the generation that the verdicts speak of.
    pub layers: Arc<[ConfigGeneration]>,
    /// What was known of the station besides its keys.
    pub facts: Option<Arc<StationFacts>>,
    /// Connected?
    pub connected: bool,
    /// It has been away for less than the time after which that is written.
    pub in_grace: bool,
    /// Was it ever seen?
    pub seen: bool,
    /// Refused or held as a whole, and why.
    pub stalled: Option<String>,
    /// What was observed is from before it went offline.
    pub stale: bool,
    /// Being read or written, or about to be.
    pub progressing: bool,
}

/// One station's cell.
#[derive(Default)]
pub struct Cell {
    /// Held by the one reconcile of the station.
    pub live: tokio::sync::Mutex<Live>,
    told: Mutex<Option<Told>>,
    reread: std::sync::atomic::AtomicBool,
}

impl Cell {
    /// What was last told; `None`: this process has not finished a reconcile of it.
    pub fn told(&self) -> Option<Told> {
        self.told.lock().ok()?.clone()
    }

    /// Tells.
    pub fn tell(&self, told: Told) {
        if let Ok(mut slot) = self.told.lock() {
            *slot = Some(told);
        }
    }

    /// Forgets what was told: it was of another object.
    pub fn untell(&self) {
        if let Ok(mut slot) = self.told.lock() {
            *slot = None;
        }
    }

    /// Asks the next reconcile to read all managed keys whatever it knows.
    pub fn ask_reread(&self) {
        self.reread
            .store(true, std::sync::atomic::Ordering::Release);
    }

    /// Takes that request.
    pub fn take_reread(&self) -> bool {
        self.reread.swap(false, std::sync::atomic::Ordering::AcqRel)
    }
}

/// All stations' cells.
#[derive(Default)]
pub struct Lives {
    cells: Mutex<HashMap<ObjectRef<ChargeStation>, Arc<Cell>>>,
}

impl Lives {
    /// The cell of a station, made when first asked for.
    pub fn cell(&self, station: &ObjectRef<ChargeStation>) -> Arc<Cell> {
        match self.cells.lock() {
            Ok(mut cells) => Arc::clone(cells.entry(station.clone()).or_default()),
            Err(_) => Arc::default(),
        }
    }

    /// The cell of a station, if there is one.
    pub fn peek(&self, station: &ObjectRef<ChargeStation>) -> Option<Arc<Cell>> {
        self.cells.lock().ok()?.get(station).cloned()
    }

    /// Forgets a station whose object is gone.
    pub fn forget(&self, station: &ObjectRef<ChargeStation>) {
        if let Ok(mut cells) = self.cells.lock() {
            cells.remove(station);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_station_that_has_just_come_back_and_said_nothing_is_given_a_moment() {
        let now = Timestamp::from_second(1_800_000_000).expect("a moment of this century");
        let mut live = Live::default();
        assert_eq!(live.introduction(now), None);
        live.came_back_at = Some(now);
        assert_eq!(live.introduction(now), Some(INTRODUCTION));
        let later = now + Duration::from_millis(1500);
        assert_eq!(live.introduction(later), Some(Duration::from_millis(500)));
        assert_eq!(live.introduction(now + INTRODUCTION), None);
        // A clock that was set back must not make it wait for long.
        let before = now - Duration::from_secs(3600);
        assert_eq!(live.introduction(before), Some(INTRODUCTION));
    }
}
