//! The handle of a running station: what a person at the station could do, and what an observer could see.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::device::BootReason;
use crate::fault::{Fault, FaultKind};
use crate::keys::KeyState;
use crate::station::Shared;
use crate::stats::Stats;

/// What a station is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Stop,
    Disconnect,
    Connect,
    ConnectAgain,
    Boot(BootReason),
    UpdateFirmware {
        version: String,
        resets: Vec<String>,
    },
    SetConnector(u16, &'static str),
    BeginTransaction {
        connector: u16,
        id_tag: String,
    },
    EndTransaction {
        connector: u16,
    },
    Say(String),
    /// Nothing, but look at the agenda again.
    Look,
}

/// A running station. Dropped, the station ends without a word; see [`StationHandle::stop`].
#[derive(Debug)]
pub struct StationHandle {
    identity: String,
    shared: Arc<Shared>,
    task: Option<JoinHandle<()>>,
}

impl StationHandle {
    pub(crate) fn new(identity: String, shared: Arc<Shared>, task: JoinHandle<()>) -> Self {
        Self {
            identity,
            shared,
            task: Some(task),
        }
    }

    /// The station's identity.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// All its keys in its own spelling: what is in effect, and what waits for a boot.
    pub fn keys(&self) -> BTreeMap<String, KeyState> {
        let device = self.shared.device();
        device.keys.snapshot(&device.faults)
    }

    /// The value that is in effect for a key; names ignore case.
    pub fn value(&self, key: &str) -> Option<String> {
        self.shared
            .device()
            .keys
            .effective_named(key)
            .map(str::to_owned)
    }

    /// Someone at the station, or another system, sets a key: in effect at once, without any check. `false`: no such
    /// key.
    pub fn set_key(&self, key: &str, value: &str) -> bool {
        let done = self.shared.device().keys.put(key, value);
        self.shared.changed().notify_waiters();
        done
    }

    /// What the station has seen so far.
    pub fn stats(&self) -> Stats {
        self.shared.device().stats.clone()
    }

    /// Looks at what the station has seen without a copy.
    pub fn with_stats<T>(&self, look: impl FnOnce(&Stats) -> T) -> T {
        look(&self.shared.device().stats)
    }

    /// Waits until what the station has seen fulfils a condition; `false` if it does not within the limit.
    pub async fn wait_until(&self, limit: Duration, condition: impl Fn(&Stats) -> bool) -> bool {
        tokio::time::timeout(limit, self.wait_for(|handle| handle.with_stats(&condition)))
            .await
            .is_ok()
    }

    /// Waits until a key has a value in effect; `false` if it has not within the limit.
    pub async fn wait_until_key(&self, limit: Duration, key: &str, value: &str) -> bool {
        let has = |handle: &Self| handle.value(key).as_deref() == Some(value);
        tokio::time::timeout(limit, self.wait_for(has))
            .await
            .is_ok()
    }

    async fn wait_for(&self, condition: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.shared.changed().notified();
            tokio::pin!(changed);
            // Listen first, look then: a change in between is not missed.
            changed.as_mut().enable();
            if condition(self) {
                return;
            }
            changed.await;
        }
    }

    /// Switches a fault on.
    pub fn set_fault(&self, fault: Fault) {
        let second = fault.kind() == FaultKind::SecondConnection;
        let boots = fault.kind() == FaultKind::BootLoop;
        self.shared.device().set_fault(fault);
        if second {
            self.open_second_connection();
        } else if boots {
            self.shared.command(Command::Boot(BootReason::Loop));
        } else {
            self.shared.command(Command::Look);
        }
    }

    /// Switches faults of a kind off.
    pub fn clear_fault(&self, kind: FaultKind) {
        self.shared.device().faults.remove(kind);
        self.shared.command(Command::Look);
    }

    /// The faults that are on.
    pub fn faults(&self) -> Vec<Fault> {
        self.shared.device().faults.iter().cloned().collect()
    }

    /// Power goes and comes back: the line is dropped without a word, and the station boots.
    pub fn power_cycle(&self) {
        self.shared.command(Command::Boot(BootReason::PowerLoss));
    }

    /// The station boots.
    pub fn reboot(&self, reason: BootReason) {
        self.shared.command(Command::Boot(reason));
    }

    /// The station closes its connection and stays away.
    pub fn disconnect(&self) {
        self.shared.command(Command::Disconnect);
    }

    /// A station that stays away connects; it has not booted. One that is connected stays so.
    pub fn reconnect(&self) {
        self.shared.command(Command::Connect);
    }

    /// The line drops without a word and comes back soon; the station has not booted.
    pub fn drop_line(&self) {
        self.shared.command(Command::ConnectAgain);
    }

    /// Opens a second connection before the first is gone; the first is closed late. Switches the fault
    /// `second-connection` on, if it is not.
    pub fn open_second_connection(&self) {
        {
            let mut device = self.shared.device();
            if !device.faults.has(FaultKind::SecondConnection)
                && let Ok(fault) = FaultKind::SecondConnection.name().parse()
            {
                device.set_fault(fault);
            }
        }
        self.shared.command(Command::ConnectAgain);
    }

    /// The station gets other firmware, which brings these keys back to their values as delivered, and boots.
    pub fn update_firmware(&self, version: &str, key_resets: &[&str]) {
        let resets = key_resets.iter().map(|key| (*key).to_owned()).collect();
        self.shared.command(Command::UpdateFirmware {
            version: version.to_owned(),
            resets,
        });
    }

    /// A driver plugs in.
    pub fn plug_in(&self, connector: u16) {
        self.shared
            .command(Command::SetConnector(connector, "Preparing"));
    }

    /// A driver unplugs without having charged.
    pub fn unplug(&self, connector: u16) {
        self.shared
            .command(Command::SetConnector(connector, "Available"));
    }

    /// A driver begins to charge.
    pub fn begin_transaction(&self, connector: u16, id_tag: &str) {
        self.shared.command(Command::BeginTransaction {
            connector,
            id_tag: id_tag.to_owned(),
        });
    }

    /// The driver stops charging and leaves.
    pub fn end_transaction(&self, connector: u16) {
        self.shared.command(Command::EndTransaction { connector });
    }

    /// Sends a text as it is.
    pub fn say(&self, text: impl Into<String>) {
        self.shared.command(Command::Say(text.into()));
    }

    /// Closes the connection properly and ends the station.
    pub async fn stop(mut self) {
        self.shared.command(Command::Stop);
        if let Some(task) = self.task.take() {
            // A task that panicked has ended too.
            task.await.ok();
        }
    }

    pub(crate) fn tell_to_stop(&self) {
        self.shared.command(Command::Stop);
    }
}

impl Drop for StationHandle {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}
