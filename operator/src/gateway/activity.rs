//! Is a driver using the station? From StatusNotification and transactions alone (section 7 of the design).
//!
//! | known | then |
//! | --- | --- |
//! | a transaction is open, or a connector is in use | Busy |
//! | every connector 1…n was told of, n the highest of them or what was announced, and all rest long enough | Idle |
//! | held Pending since its own boot, and nothing to the contrary | Idle |
//! | anything else | Unknown, which counts as busy |

use std::time::Duration;

use stationkeeper_core::station::Activity;
use stationkeeper_ocpp::station_call::ConnectorStatus;
use tokio::time::Instant;

/// After this long without a connection nothing is known any more of what the connectors do.
const KEPT_FOR: Duration = Duration::from_mins(5);

/// How many connectors and transactions are kept of one station; one that tells of more is Unknown.
const MAX_CONNECTORS: usize = 256;

/// What is known of a station's connectors and transactions.
#[derive(Default)]
pub(super) struct Connectors {
    /// By number, from 1.
    statuses: Vec<(u32, ConnectorStatus)>,
    /// The ids of open transactions.
    open: Vec<i64>,
    /// How many connectors there are, if that was announced.
    count: Option<u32>,
    /// The station told something that cannot be understood, or too much: nothing is known until it boots.
    unclear: bool,
    /// Held Pending since its own boot.
    held: bool,
    /// When the last change has settled; `None`: nothing to wait for.
    rests_at: Option<Instant>,
    /// Coming to rest has been told of.
    told: bool,
}

impl Connectors {
    /// A connector does something now. Connector 0 says nothing of the others.
    pub(super) fn status(&mut self, connector: i64, status: ConnectorStatus, rests_at: Instant) {
        let connector = match u32::try_from(connector) {
            Ok(0) => return,
            Ok(connector) => connector,
            Err(_) => return self.unclear(),
        };
        match self
            .statuses
            .binary_search_by_key(&connector, |(number, _)| *number)
        {
            Ok(at) if self.statuses[at].1 == status => return,
            Ok(at) => self.statuses[at].1 = status,
            Err(_) if self.statuses.len() >= MAX_CONNECTORS => return self.unclear(),
            Err(at) => self.statuses.insert(at, (connector, status)),
        }
        self.changed(rests_at);
    }

    /// A transaction is open.
    pub(super) fn opened(&mut self, transaction: i64, rests_at: Instant) {
        if self.open.contains(&transaction) {
            return;
        }
        if self.open.len() >= MAX_CONNECTORS {
            return self.unclear();
        }
        self.open.push(transaction);
        self.changed(rests_at);
    }

    /// A transaction has ended.
    pub(super) fn stopped(&mut self, transaction: i64, rests_at: Instant) {
        self.open.retain(|open| *open != transaction);
        self.changed(rests_at);
    }

    /// Somebody may be charging, and nobody can tell.
    pub(super) fn unclear(&mut self) {
        self.unclear = true;
    }

    /// How many connectors there are (NumberOfConnectors).
    pub(super) fn announce(&mut self, count: u32) {
        self.count = Some(count);
    }

    /// The station has come up: what its connectors did before is past.
    pub(super) fn booted(&mut self, held: bool, now: Instant) {
        // A held station is told of as idle by its boot itself.
        *self = Self {
            count: self.count,
            held,
            rests_at: Some(now),
            told: held,
            ..Self::default()
        };
    }

    /// A new connection: what was known holds for a while, and only once the station had time to contradict it.
    pub(super) fn reconnected(&mut self, ended_at: Option<Instant>, now: Instant) {
        let long_gone = ended_at.is_none_or(|ended_at| now.duration_since(ended_at) > KEPT_FOR);
        if long_gone {
            self.statuses = Vec::new();
            self.held = false;
        }
        self.told = false;
    }

    /// Nothing is believed before this moment.
    pub(super) fn not_before(&mut self, rests_at: Instant) {
        self.rests_at = Some(
            self.rests_at
                .map_or(rests_at, |before| before.max(rests_at)),
        );
    }

    fn changed(&mut self, rests_at: Instant) {
        self.rests_at = Some(
            self.rests_at
                .map_or(rests_at, |before| before.max(rests_at)),
        );
        self.told = false;
    }

    /// Is a driver using the station?
    pub(super) fn activity(&self, pending: bool, now: Instant) -> Activity {
        if !self.open.is_empty() || self.statuses.iter().any(|(_, status)| !status.is_idle()) {
            return Activity::Busy;
        }
        let settled = self.rests_at.is_none_or(|at| at <= now);
        let held = self.held && pending;
        if !self.unclear && settled && (held || self.is_complete()) {
            Activity::Idle
        } else {
            Activity::Unknown
        }
    }

    /// `Ok(true)`: the station has just come to rest, told once. `Err`: not settled before then.
    pub(super) fn settle(&mut self, pending: bool, now: Instant) -> Result<bool, Instant> {
        if self.told {
            return Ok(false);
        }
        match self.rests_at {
            Some(at) if at > now => Err(at),
            Some(_) | None => {
                self.told = true;
                Ok(self.activity(pending, now) == Activity::Idle)
            }
        }
    }

    /// Has every connector been told of?
    fn is_complete(&self) -> bool {
        let highest = self.statuses.last().map_or(0, |(number, _)| *number);
        let count = self.count.unwrap_or(highest).max(highest);
        count > 0 && u32::try_from(self.statuses.len()).is_ok_and(|known| known == count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ConnectorStatus::{Available, Charging, Finishing, Preparing, Reserved, Unavailable};

    const SECOND: Duration = Duration::from_secs(1);

    fn after(learn: impl FnOnce(&mut Connectors, Instant)) -> Activity {
        let now = Instant::now();
        let mut connectors = Connectors::default();
        learn(&mut connectors, now);
        connectors.activity(true, now + SECOND)
    }

    #[test]
    fn unknown_is_not_idle() {
        assert_eq!(after(|_, _| ()), Activity::Unknown);
        assert_eq!(
            after(|it, now| it.status(0, Available, now)),
            Activity::Unknown
        );
        assert_eq!(
            after(|it, now| it.status(2, Available, now)),
            Activity::Unknown
        );
        assert_eq!(
            after(|it, now| it.status(-1, Available, now)),
            Activity::Unknown
        );
        let announced = after(|it, now| {
            it.announce(2);
            it.status(1, Available, now);
        });
        assert_eq!(announced, Activity::Unknown);
    }

    #[test]
    fn a_connector_in_use_is_busy() {
        for status in [Preparing, Charging, Finishing, Reserved] {
            let two = |it: &mut Connectors, now| {
                it.status(1, Available, now);
                it.status(2, status, now);
            };
            assert_eq!(after(two), Activity::Busy, "{status:?}");
        }
        assert_eq!(after(|it, now| it.opened(7, now)), Activity::Busy);
    }

    #[test]
    fn all_connectors_at_rest_are_idle_once_settled() {
        let now = Instant::now();
        let mut connectors = Connectors::default();
        connectors.status(1, Available, now + SECOND);
        connectors.status(2, Unavailable, now + SECOND);
        assert_eq!(connectors.activity(false, now), Activity::Unknown);
        assert_eq!(connectors.settle(false, now), Err(now + SECOND));
        assert_eq!(connectors.activity(false, now + SECOND), Activity::Idle);
        assert_eq!(connectors.settle(false, now + SECOND), Ok(true));
        assert_eq!(connectors.settle(false, now + SECOND), Ok(false));
    }

    #[test]
    fn a_transaction_that_ended_is_over() {
        let ended = |it: &mut Connectors, now| {
            it.status(1, Available, now);
            it.opened(7, now);
            it.stopped(7, now);
        };
        assert_eq!(after(ended), Activity::Idle);
    }

    #[test]
    fn held_pending_since_its_own_boot_is_idle() {
        assert_eq!(after(|it, now| it.booted(true, now)), Activity::Idle);
        assert_eq!(after(|it, now| it.booted(false, now)), Activity::Unknown);
        let charging = |it: &mut Connectors, now| {
            it.booted(true, now);
            it.status(1, Charging, now);
        };
        assert_eq!(after(charging), Activity::Busy);
    }

    #[test]
    fn a_long_absence_forgets_what_the_connectors_did() {
        let now = Instant::now();
        let mut connectors = Connectors::default();
        connectors.status(1, Available, now);
        connectors.reconnected(Some(now), now + SECOND);
        assert_eq!(connectors.activity(false, now + SECOND), Activity::Idle);
        connectors.reconnected(Some(now), now + KEPT_FOR + SECOND);
        assert_eq!(
            connectors.activity(false, now + KEPT_FOR + SECOND),
            Activity::Unknown
        );
    }
}
