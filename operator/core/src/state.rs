//! The closed vocabulary of section 6 of the design: one state and one reason per managed key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of one managed key.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum State {
    /// The key is not for this station.
    NotApplicable,
    /// The setting is wrong.
    Invalid,
    /// Two configs of equal priority want different values.
    Conflict,
    /// The key's hazard is written only with the config's consent.
    NeedsConsent,
    /// The Secret that holds the value is missing, empty or lacks the key.
    SecretMissing,
    /// The station keeps falling over calls about this key.
    Quarantined,
    /// Bounded attempts are used up.
    Failed,
    /// To be written (or held for the reason given).
    Pending,
    /// Written and accepted, but the station will not show it.
    Unverifiable,
    /// Stored, or to be stored, by the station; effective after its next boot.
    ResetPending,
    /// The station says read-only, and differs.
    ReadOnlyMismatch,
    /// The station does not know the key.
    NotSupported,
    /// The station left the key out of its answer altogether.
    Unreported,
    /// The station rejected this value.
    Rejected,
    /// Equal, read back, nothing owed.
    InSync,
    /// Differs, and not because we are still at it.
    Drifted,
    /// Two writers: the value came back again and again.
    Contested,
    /// Never read.
    Unknown,
}

/// Why a key is in its state.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Reason {
    /// Master/slave scope (NotApplicable).
    Scope,
    /// The station does not have the profile (NotApplicable).
    Profile,
    /// See the message (Invalid, Conflict, NeedsConsent, SecretMissing, Rejected, Quarantined, Failed).
    SeeMessage,
    /// Never an answer to our write (Unverifiable, Pending).
    Unconfirmed,
    /// Accepted; the station will not show it (Unverifiable).
    WriteOnly,
    /// The station had the key under its former firmware (NotSupported).
    GoneWithFirmware,
    /// In neither list of the answer (Unreported).
    NotInAnswer,
    /// The boot would bring another value than the desired one; desired is written again (ResetPending).
    Superseding,
    /// Answered RebootRequired, or known to take effect after a boot (ResetPending).
    AwaitingBoot,
    /// Effective with the next connection (ResetPending).
    AwaitingReconnect,
    /// Accepted, not shown, and nobody knows when it takes effect (ResetPending).
    MayNeedReset,
    /// A proven boot came, and the value did not (Drifted).
    NotAppliedAfterReset,
    /// As `MayNeedReset`, after a boot (Drifted).
    NotApplied,
    /// Accepted, should have taken effect at once, and did not (Drifted).
    AcceptedNotApplied,
    /// Was in sync; somebody else changed it (Drifted).
    ChangedOutside,
    /// Was in sync; a boot brought another value (Drifted).
    NotPersistent,
    /// Was in sync; a firmware update brought another value (Drifted).
    LostWithFirmware,
    /// Was in sync; one of our own writes moved it (Drifted).
    SideEffect,
    /// Differs, and the mode is Report (Drifted).
    Reported,
    /// Not yet written on this device in this version (Pending).
    NotWritten,
    /// Differs; the write is to come (Pending).
    ToWrite,
    /// Held: the station is offline.
    Offline,
    /// Held: the station is charging, or may be.
    Busy,
    /// Held: the rollout's budget is used.
    Budget,
    /// Held: the next attempt comes later.
    BackingOff,
    /// Held: firmware update or diagnostics upload in progress.
    FirmwareUpdate,
    /// Held: the brake is on.
    Braked,
    /// Held: the station's BootNotification is not answered yet.
    NotRegistered,
    /// Held: the station (or its config) is suspended.
    Suspended,
    /// Held: the annotation `stationkeeper.dev/paused`.
    Paused,
    /// Held: the config that declares it breaks its schema or rules.
    ConfigInvalid,
    /// Held: the file that holds the config cannot be read.
    ConfigUnreadable,
    /// Held: it cannot be said yet whether the config selects the station.
    ConfigUndecidable,
    /// Held: the connection is not authenticated well enough for a secret or a connection-critical key.
    Unauthenticated,
    /// Held: a key that must be written first is not in sync.
    AfterAnotherKey,
    /// Held: the connector cannot do what this takes.
    ConnectorLimits,
    /// Held: a connection-critical key that takes effect with a boot is written only when our Reset may follow at once.
    NoResetMayFollow,
    /// Held: several keys of the station differ from this name only by case.
    AmbiguousName,
    /// Held: memory was written by a newer version, which this one does not understand.
    NewerMemory,
    /// The station itself, or failing its word the catalogue, says read-only (ReadOnlyMismatch).
    ReadOnly,
    /// In `unknownKey`, or a write was answered NotSupported (NotSupported).
    UnknownKey,
    /// The value was changed back again and again (Contested).
    TwoWriters,
    /// In sync.
    Equal,
    /// Never read.
    NotRead,
}

impl State {
    /// Every state, in the order of the table.
    pub const ALL: [Self; 18] = [
        Self::NotApplicable,
        Self::Invalid,
        Self::Conflict,
        Self::NeedsConsent,
        Self::SecretMissing,
        Self::Quarantined,
        Self::Failed,
        Self::Pending,
        Self::Unverifiable,
        Self::ResetPending,
        Self::ReadOnlyMismatch,
        Self::NotSupported,
        Self::Unreported,
        Self::Rejected,
        Self::InSync,
        Self::Drifted,
        Self::Contested,
        Self::Unknown,
    ];

    /// Should a person look? Drift, and what only a person can mend: Events about it are warnings.
    pub fn is_trouble(self) -> bool {
        match self {
            Self::Invalid
            | Self::Conflict
            | Self::NeedsConsent
            | Self::SecretMissing
            | Self::Quarantined => true,
            Self::Drifted
            | Self::Contested
            | Self::ReadOnlyMismatch
            | Self::Rejected
            | Self::Failed
            | Self::NotSupported
            | Self::NotApplicable
            | Self::Pending
            | Self::Unverifiable
            | Self::ResetPending
            | Self::Unreported
            | Self::InSync
            | Self::Unknown => self.is_drift(),
        }
    }

    /// May a person call this drift? (Rows 9 to 11 and 16 to 19; never waiting, never held, never offline.)
    pub fn is_drift(self) -> bool {
        match self {
            Self::Drifted
            | Self::Contested
            | Self::ReadOnlyMismatch
            | Self::Rejected
            | Self::Failed
            | Self::NotSupported => true,
            Self::NotApplicable
            | Self::Invalid
            | Self::Conflict
            | Self::NeedsConsent
            | Self::SecretMissing
            | Self::Quarantined
            | Self::Pending
            | Self::Unverifiable
            | Self::ResetPending
            | Self::Unreported
            | Self::InSync
            | Self::Unknown => false,
        }
    }
}
