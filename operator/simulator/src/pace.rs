//! How fast a station goes about things: what takes seconds or minutes in the field, and milliseconds in a test.

use std::time::Duration;

/// How fast a station goes about things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The pause before the first reconnect; doubled at each failure, with jitter of a half either way.
    pub reconnect_first: Duration,
    /// The longest pause between two attempts to connect.
    pub reconnect_longest: Duration,
    /// How long a boot takes.
    pub boot: Duration,
    /// From the answer to a Reset to the boot.
    pub reset: Duration,
    /// Caps the wait between two BootNotifications that an answer of Pending or Rejected asks for.
    pub boot_retry_longest: Duration,
    /// How long it waits for an answer to a call of its own, and for a connection to come about.
    pub patience: Duration,
    /// How soon another writer puts a key back.
    pub contest: Duration,
    /// How long it hangs before it drops the line.
    pub hang: Duration,
    /// How late it boots by the habit of booting late.
    pub late_reset: Duration,
    /// How long after a connection the next boot of a boot loop comes.
    pub boot_loop: Duration,
    /// How much later a slow station answers.
    pub slow: Duration,
    /// How long an abandoned connection lingers.
    pub linger: Duration,
    /// How soon it leaves after a change of its credentials, or boots by itself after a write.
    pub leave: Duration,
    /// How long a station that holds one call only takes for it.
    pub one_call: Duration,
}

impl Pace {
    /// As in the field.
    pub const FIELD: Self = Self {
        reconnect_first: Duration::from_secs(1),
        reconnect_longest: Duration::from_secs(60),
        boot: Duration::from_secs(5),
        reset: Duration::from_secs(1),
        boot_retry_longest: Duration::from_secs(3600),
        patience: Duration::from_secs(30),
        contest: Duration::from_secs(3),
        hang: Duration::from_secs(30),
        late_reset: Duration::from_secs(10),
        boot_loop: Duration::from_secs(1),
        slow: Duration::from_millis(700),
        linger: Duration::from_secs(2),
        leave: Duration::from_millis(500),
        one_call: Duration::from_millis(50),
    };

    /// For tests and demonstrations: the same order of events, much faster.
    pub const QUICK: Self = Self {
        reconnect_first: Duration::from_millis(20),
        reconnect_longest: Duration::from_millis(500),
        boot: Duration::from_millis(30),
        reset: Duration::from_millis(20),
        boot_retry_longest: Duration::from_secs(5),
        patience: Duration::from_secs(5),
        contest: Duration::from_millis(100),
        hang: Duration::from_millis(300),
        late_reset: Duration::from_millis(300),
        boot_loop: Duration::from_millis(100),
        slow: Duration::from_millis(50),
        linger: Duration::from_millis(200),
        leave: Duration::from_millis(20),
        one_call: Duration::from_millis(20),
    };
}

impl Default for Pace {
    fn default() -> Self {
        Self::FIELD
    }
}
