//! What a station has put off: deeds by the time at which they are due.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::device::Deed;

/// Deeds by the time at which they are due, in the order in which they were added where the time is the same.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    deeds: BTreeMap<(Instant, u64), Deed>,
    added: u64,
}

impl Agenda {
    pub(crate) fn add(&mut self, at: Instant, deed: Deed) {
        self.added += 1;
        self.deeds.insert((at, self.added), deed);
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.deeds.keys().next().map(|(at, _)| *at)
    }

    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Deed> {
        let first = self.deeds.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// The connection is gone, and with it what belonged to it.
    pub(crate) fn clear_line(&mut self) {
        self.deeds.retain(|_, deed| !deed.belongs_to_line());
    }

    pub(crate) fn forget_answers(&mut self) {
        self.deeds
            .retain(|_, deed| !matches!(deed, Deed::Answer(_)));
    }
}
