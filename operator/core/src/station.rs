//! What is known of a station besides its keys, when a plan is made.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::Device;

/// What is known of a station besides its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StationFacts {
    /// Namespace of the `ChargeStation` object.
    pub namespace: String,
    /// Name of the `ChargeStation` object.
    pub name: String,
    /// The string with which it connects; empty: not known.
    pub identity: String,
    /// Labels of the `ChargeStation` object.
    pub labels: BTreeMap<String, String>,
    /// What it is: as it reported, with `spec.hardware` laid over it. All absent: never seen.
    pub device: Device,
    /// Firmware version, alike.
    pub firmware: Option<String>,
    /// Alone, or which of a master/slave pair.
    pub role: Role,
    /// The feature profiles that the station supports, once read (`SupportedFeatureProfiles`), folded to lower case.
    pub profiles: Option<Vec<String>>,
    /// Is it connected, and may it be called?
    pub link: Link,
    /// Is the connection authenticated (a password seen working), as secrets and connection-critical keys need?
    pub authenticated: bool,
    /// Is a driver using it? Unknown is busy.
    pub activity: Activity,
    /// A firmware update or a diagnostics upload is in progress: no write.
    pub busy_with_firmware: bool,
    /// What the connector can do.
    pub capabilities: Capabilities,
}

/// Alone, or which of a master/slave pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Role {
    /// A station of its own.
    #[default]
    Standalone,
    /// The station of a pair that holds the link.
    Master,
    /// The other one.
    Slave,
}

/// Is the station connected, and may it be called?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// No connection.
    Offline,
    /// Connected, but its BootNotification is not answered yet and no registration is remembered: no calls.
    Unregistered,
    /// May be called.
    Ready,
}

/// Is a driver using the station?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Every connector is idle and no transaction is open.
    Idle,
    /// Charging, preparing, finishing, reserved.
    Busy,
    /// Not known (counts as busy).
    Unknown,
}

/// What a connector can do for a station; the plan degrades honestly without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Reading keys.
    pub read: bool,
    /// Writing keys.
    pub write: bool,
    /// Sending a Reset.
    pub reset: bool,
    /// Telling of boots.
    pub boot_events: bool,
    /// Telling of transactions and connector states.
    pub transaction_state: bool,
}

/// What caps everything: the brake, suspension, and the bounds on attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The brake.
    pub brake: Brake,
    /// `spec.suspend` or the `paused` annotation of the station.
    pub suspended: Option<Suspended>,
    /// How often one value is written before it is Failed.
    pub max_attempts: u32,
    /// The first pause after a failed attempt; doubled for each further one.
    pub backoff: jiff::SignedDuration,
    /// The longest pause between attempts.
    pub backoff_max: jiff::SignedDuration,
    /// Disconnects on the same call before the key is quarantined.
    pub quarantine_after: u32,
    /// How long a removal must have stood before Restore writes.
    pub restore_after: jiff::SignedDuration,
    /// The number of the latest `resume`d failure: changes whenever a person resumes, which voids Failed, Contested
    /// and Quarantined.
    pub resumed: Option<String>,
    /// Reread all managed keys if the last full read is older (the jittered `--resync` period).
    pub resync_due: Option<Timestamp>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            brake: Brake::Off,
            suspended: None,
            max_attempts: 4,
            backoff: jiff::SignedDuration::from_secs(30),
            backoff_max: jiff::SignedDuration::from_secs(3600),
            quarantine_after: 3,
            restore_after: jiff::SignedDuration::from_mins(10),
            resumed: None,
            resync_due: None,
        }
    }
}

/// The brake: caps what may be done, at once and everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Brake {
    /// Not pulled.
    #[default]
    Off,
    /// Everything is capped to Report: reads go on.
    Report,
    /// No calls at all.
    NoCalls,
}

/// Why a station is held as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspended {
    /// `spec.suspend: true`.
    Suspend,
    /// The annotation `stationkeeper.dev/paused`.
    Paused,
}
