//! Habits and faults: what a station does that it should not, each under a stable name, each tied to the rows of the
//! project's list of observed quirks that it shows.
//!
//! In comes a text such as `drops-on-key:HeartbeatInterval`; out goes a [`Fault`]. What a fault *does* is written where
//! the station does it; this module only knows names, arguments and descriptions.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What stands behind the colon of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Nothing.
    Plain,
    /// A key, which must be given.
    Key,
    /// A key; without one, all keys.
    AnyKey,
    /// A number of what the text says, with the number that is taken when none is given.
    Number(&'static str, u64),
    /// Milliseconds; without them, the station's [`crate::Pace`] says how long.
    Millis,
    /// `KEY=VALUE`.
    Setting,
    /// An item of a list; without one, every item that the key's built-in value does not hold.
    Item,
}

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $kind:ident = $name:literal, $shape:expr, $rows:expr;)+) => {
        /// Every habit and fault that a station can show.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FaultKind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl FaultKind {
            /// All of them, in the order of the rows.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// The stable name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)+ }
            }

            /// What stands behind the colon.
            pub fn shape(self) -> Shape {
                match self { $(Self::$kind => $shape,)+ }
            }

            /// The rows of the list of quirks that it shows; none: a bad peer rather than a quirk.
            pub fn rows(self) -> &'static [u8] {
                match self { $(Self::$kind => &$rows,)+ }
            }

            /// What the station does, in a sentence.
            pub fn description(self) -> &'static str {
                match self { $(Self::$kind => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

faults! {
    /// Spells keys with a small first letter: reads ignore case, writes need its own spelling.
    OwnKeyCase = "own-key-case", Shape::Plain, [1];
    /// Compares key names exactly, in reads and writes.
    ExactKeyCase = "exact-key-case", Shape::Plain, [1];
    /// Has a second key whose name differs only in case.
    CaseTwin = "case-twin", Shape::Key, [2];
    /// Lists the first key of every answer twice.
    DuplicateKeys = "duplicate-keys", Shape::Plain, [3];
    /// Adds keys that were not asked for.
    UnaskedKeys = "unasked-keys", Shape::Plain, [3];
    /// Names a key neither as known nor as unknown, although asked.
    LeavesOut = "leaves-out", Shape::Key, [3];
    /// Shows booleans as `TRUE` and `FALSE`.
    BooleanCase = "boolean-case", Shape::Plain, [4];
    /// Shows booleans as `True` and `False`.
    BooleanTitle = "boolean-title", Shape::Plain, [4];
    /// Shows booleans as `1` and `0`.
    BooleanDigits = "boolean-digits", Shape::Plain, [4];
    /// Shows booleans as `On` and `Off`.
    BooleanOnOff = "boolean-on-off", Shape::Plain, [4];
    /// Rejects booleans that are not spelled as it shows them.
    StrictBooleans = "strict-booleans", Shape::Plain, [4];
    /// Shows named values by their codes, where the vendor shows labels.
    ChoiceCodes = "choice-codes", Shape::Plain, [4];
    /// Shows numbers with leading zeros, blanks or a decimal point.
    NumberFormats = "number-formats", Shape::Plain, [5];
    /// Stores numbers as they were written, blanks, zeros and point included.
    KeepsNumbersAsWritten = "keeps-numbers-as-written", Shape::Plain, [5];
    /// Accepts a number that is not canonical, and stores nothing.
    IgnoresOddNumbers = "ignores-odd-numbers", Shape::Plain, [5];
    /// Accepts values of the wrong type or out of range, and stores them.
    AcceptsGarbage = "accepts-garbage", Shape::Plain, [6];
    /// Accepts values of the wrong type or out of range, and stores 0.
    GarbageBecomesZero = "garbage-becomes-zero", Shape::Plain, [6];
    /// Shows lists in another order than they were written.
    ListReordering = "list-reordering", Shape::Plain, [7];
    /// Shows lists with a blank after each comma.
    ListSpacing = "list-spacing", Shape::Plain, [7];
    /// Shows lists in quotation marks.
    ListQuotes = "list-quotes", Shape::Plain, [7];
    /// Shows a voltage measurand once for each phase.
    PhaseSuffixes = "phase-suffixes", Shape::Plain, [7];
    /// Rejects a whole list for one item that it does not know.
    RejectsWholeList = "rejects-whole-list", Shape::Item, [7];
    /// Accepts a list, and drops the items that it does not know.
    DropsListItems = "drops-list-items", Shape::Item, [7];
    /// Rejects lists of more items.
    MaxListItems = "max-list-items", Shape::Number("items", 2), [7];
    /// Shows a value of more than 500 characters for a key.
    LongValue = "long-value", Shape::Key, [8];
    /// Accepts a value of more than 500 characters, and stores nothing.
    IgnoresLongValues = "ignores-long-values", Shape::Plain, [8];
    /// Leaves the value out of its answers.
    OmitsValue = "omits-value", Shape::AnyKey, [9];
    /// Shows write-only secrets in clear.
    ShowsSecrets = "shows-secrets", Shape::Plain, [10];
    /// Names write-only secrets nowhere, neither as known nor as unknown.
    OmitsSecrets = "omits-secrets", Shape::Plain, [10];
    /// Sends `readonly` as a string.
    ReadonlyAsString = "readonly-as-string", Shape::Plain, [11];
    /// Sends `readonly` as 0 or 1.
    ReadonlyAsNumber = "readonly-as-number", Shape::Plain, [11];
    /// Sends numbers and booleans as such, not as strings.
    TypedValues = "typed-values", Shape::Plain, [11];
    /// Sends null for absent values, for `readonly` and for an empty list of unknown keys.
    NullValues = "null-values", Shape::Plain, [11];
    /// Sends broken JSON for every listing of more keys than this.
    BrokenJsonListing = "broken-json-listing", Shape::Number("keys", 8), [12];
    /// Never answers a request for all keys.
    NeverAnswersFullListing = "never-answers-full-listing", Shape::Plain, [13];
    /// Answers an empty list of keys with an empty object.
    EmptyAnswerToEmptyList = "empty-answer-to-empty-list", Shape::Plain, [13];
    /// Takes this many keys at most in one request, and answers a CALLERROR to more.
    MaxKeys = "max-keys", Shape::Number("keys", 4), [13, 14];
    /// Answers only the first keys of a request, and says nothing of the others.
    TruncatesListing = "truncates-listing", Shape::Number("keys", 4), [13];
    /// Fails with InternalError when its answer would be longer than this.
    TooBig = "too-big", Shape::Number("characters", 600), [13];
    /// Reports no GetConfigurationMaxKeys.
    NoMaxKeys = "no-max-keys", Shape::Plain, [14];
    /// Takes only half as many keys as its GetConfigurationMaxKeys says.
    BreaksMaxKeys = "breaks-max-keys", Shape::Plain, [14];
    /// Leaves a key out of the full listing that it answers by name; without a key, every second one.
    HidesKeys = "hides-keys", Shape::AnyKey, [15];
    /// Leaves this share of the calls unanswered; of those it carries out one half.
    SilentSometimes = "silent-sometimes", Shape::Number("percent", 90), [16];
    /// Hangs at every read or write, and then drops the line.
    HangsThenDrops = "hangs-then-drops", Shape::Millis, [16];
    /// Drops the line when asked for the key.
    DropsOnKey = "drops-on-key", Shape::Key, [16, 17];
    /// Crashes and boots when asked for the key.
    CrashesOnRead = "crashes-on-read", Shape::Key, [17];
    /// Crashes and boots when the key is written; the value is lost.
    CrashesOnWrite = "crashes-on-write", Shape::Key, [17];
    /// Accepts a write of the key, stores the value, and boots by itself soon after.
    BootsAfterWrite = "boots-after-write", Shape::Key, [17];
    /// Boots again and again.
    BootLoop = "boot-loop", Shape::Millis, [17];
    /// Shows the new value of a key before the boot that makes it effective.
    ShowsNewValueBeforeReset = "shows-new-value-before-reset", Shape::Plain, [18];
    /// Shows the old value of a key until the boot that makes the new one effective.
    ShowsOldValueBeforeReset = "shows-old-value-before-reset", Shape::Plain, [18];
    /// Needs a boot before a write of the key is effective.
    NeedsReset = "needs-reset", Shape::Key, [18];
    /// Answers Accepted where a boot is needed.
    HidesRebootRequired = "hides-reboot-required", Shape::Plain, [18];
    /// Answers RebootRequired to a write of the value that it has.
    RebootRequiredForEqual = "reboot-required-for-equal", Shape::Plain, [19];
    /// Accepts a write of the key, and has the built-in value again after a boot.
    RevertsAfterBoot = "reverts-after-boot", Shape::Key, [20];
    /// Takes HeartbeatInterval from the answer to its BootNotification, whatever was written.
    HeartbeatFromBoot = "heartbeat-from-boot", Shape::Plain, [21];
    /// Accepts a write of the key, and does nothing.
    AcceptsAndIgnores = "accepts-and-ignores", Shape::Key, [22];
    /// Answers Rejected to a write of a key that it does not know.
    WrongUnknownKey = "wrong-unknown-key", Shape::Plain, [23];
    /// Answers NotSupported to a value that it does not take.
    NotSupportedForRejected = "not-supported-for-rejected", Shape::Plain, [23];
    /// Answers writes with a status that OCPP does not know; the write is carried out.
    UnknownStatus = "unknown-status", Shape::Plain, [23];
    /// Accepts a Reset, and never boots.
    ResetIgnored = "reset-ignored", Shape::Plain, [24];
    /// Accepts a Reset, and waits before it boots.
    ResetLate = "reset-late", Shape::Millis, [24];
    /// Accepts a Reset, fails at it, and reports the error ResetFailure.
    ResetFails = "reset-fails", Shape::Plain, [24];
    /// Rejects every Reset.
    ResetRejected = "reset-rejected", Shape::Plain, [24, 26];
    /// Boots at a Reset without answering it.
    ResetDropsLine = "reset-drops-line", Shape::Plain, [25];
    /// Cuts off a charging customer at a Soft reset, without StopTransaction.
    SoftResetEndsSession = "soft-reset-ends-session", Shape::Plain, [26];
    /// Accepts a Soft reset, and boots when nobody charges any more.
    SoftResetPostponed = "soft-reset-postponed", Shape::Plain, [26];
    /// Rejects a Soft reset.
    SoftResetRejected = "soft-reset-rejected", Shape::Plain, [26];
    /// Comes back, even from a boot, without BootNotification once it has been accepted.
    NoBootNotificationOnReconnect = "no-boot-notification-on-reconnect", Shape::Plain, [27];
    /// Sends a BootNotification at every reconnect.
    BootNotificationOnEveryReconnect = "boot-notification-on-every-reconnect", Shape::Plain, [27];
    /// Keeps its connection while it boots: a modem of its own holds it.
    KeepsLineAtBoot = "keeps-line-at-boot", Shape::Plain, [27];
    /// Opens a second connection before the first is gone, and closes the first late.
    SecondConnection = "second-connection", Shape::Millis, [28];
    /// Holds one call only, and takes its time for it: of two in flight it answers the last.
    OneCallOnly = "one-call-only", Shape::Millis, [29];
    /// Leaves soon after a change of its password, security profile or URL, and comes back without BootNotification.
    LeavesAfterCredentialChange = "leaves-after-credential-change", Shape::Plain, [30];
    /// Knows no TriggerMessage.
    NoTriggerMessage = "no-trigger-message", Shape::Plain, [31];
    /// Forgets everything that was written when power is lost.
    ForgetsAtPowerLoss = "forgets-at-power-loss", Shape::Plain, [32];
    /// Forgets everything that was written when its firmware is updated.
    ForgetsAtFirmwareUpdate = "forgets-at-firmware-update", Shape::Plain, [32];
    /// Starts its message ids at 1 on every connection.
    MessageIdsRestart = "message-ids-restart", Shape::Plain, [33];
    /// Another writer puts the key back soon after any write.
    Contested = "contested", Shape::Setting, [34];
    /// Another writer sets the key at every connect.
    WrittenAtConnect = "written-at-connect", Shape::Setting, [34];
    /// Another writer sets the key at every boot.
    WrittenAtBoot = "written-at-boot", Shape::Setting, [34];
    /// Answers every call this much later.
    Slow = "slow", Shape::Millis, [16];
    /// Leaves `readonly` out.
    OmitsReadonly = "omits-readonly", Shape::Plain, [11];
    /// Answers with values of the wrong JSON type everywhere.
    WrongTypes = "wrong-types", Shape::Plain, [11];
    /// Sends a binary frame after connecting.
    BinaryFrames = "binary-frames", Shape::Plain, [];
    /// Sends a text that is no OCPP frame after connecting.
    BrokenFrames = "broken-frames", Shape::Plain, [12];
    /// Sends a frame of this size after connecting.
    HugeFrame = "huge-frame", Shape::Number("MiB", 64), [];
    /// Sends a call with deeply nested JSON after connecting.
    DeepJson = "deep-json", Shape::Number("levels", 20_000), [];
    /// Sends replies to calls that nobody made after connecting.
    RepliesToNothing = "replies-to-nothing", Shape::Plain, [33];
    /// Sends half a WebSocket handshake before each proper one, and leaves it hanging.
    HalfHandshake = "half-handshake", Shape::Plain, [];
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a fault is about, besides its kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Argument {
    None,
    Text(String),
    Number(u64),
    Setting { key: String, value: String },
}

/// A habit or fault with its argument, written `name` or `name:ARGUMENT`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    kind: FaultKind,
    argument: Argument,
}

/// A text that names no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseFault {
    /// There is no fault of this name.
    #[error("there is no fault {name:?}{}; the faults are: {}", did_you_mean(.name), names())]
    Unknown {
        /// The name as given.
        name: String,
    },
    /// The part behind the colon is missing or not of its kind.
    #[error("the fault {kind} is written {}, not {given:?}", usage(*.kind))]
    Argument {
        /// Which fault.
        kind: FaultKind,
        /// The text as given.
        given: String,
    },
}

/// How a fault is written, for help texts: `max-keys[:KEYS]`.
pub fn usage(kind: FaultKind) -> String {
    let name = kind.name();
    match kind.shape() {
        Shape::Plain => name.to_owned(),
        Shape::Key => format!("{name}:KEY"),
        Shape::AnyKey => format!("{name}[:KEY]"),
        Shape::Number(what, _) => format!("{name}[:{}]", what.to_uppercase()),
        Shape::Millis => format!("{name}[:MILLIS]"),
        Shape::Setting => format!("{name}:KEY=VALUE"),
        Shape::Item => format!("{name}[:ITEM]"),
    }
}

fn names() -> String {
    FaultKind::ALL
        .iter()
        .map(|&kind| usage(kind))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The fault that begins most like a misspelt name, or has a word of it.
fn did_you_mean(name: &str) -> String {
    let likeness = |kind: &FaultKind| {
        let alike = kind
            .name()
            .bytes()
            .zip(name.bytes())
            .take_while(|(own, given)| own == given)
            .count();
        let words = name
            .split('-')
            .filter(|word| word.len() > 3 && kind.name().split('-').any(|own| own == *word));
        alike + words.map(str::len).sum::<usize>()
    };
    FaultKind::ALL
        .iter()
        .max_by_key(|kind| likeness(kind))
        .filter(|kind| likeness(kind) > 3)
        .map_or_else(String::new, |kind| {
            format!(" (did you mean {}?)", usage(*kind))
        })
}

impl FromStr for Fault {
    type Err = ParseFault;

    fn from_str(text: &str) -> Result<Self, ParseFault> {
        let (name, given) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let Some(kind) = FaultKind::ALL
            .iter()
            .copied()
            .find(|kind| kind.name() == name)
        else {
            return with_trailing_number(text).ok_or_else(|| ParseFault::Unknown {
                name: name.to_owned(),
            });
        };
        let argument = read_argument(kind.shape(), given);
        argument
            .map(|argument| Self { kind, argument })
            .ok_or_else(|| ParseFault::Argument {
                kind,
                given: text.to_owned(),
            })
    }
}

fn read_argument(shape: Shape, given: Option<&str>) -> Option<Argument> {
    let given = given.filter(|given| !given.is_empty());
    match (shape, given) {
        (Shape::Plain | Shape::AnyKey | Shape::Millis | Shape::Item, None) => Some(Argument::None),
        (Shape::Number(_, without), None) => Some(Argument::Number(without)),
        (Shape::Key | Shape::Setting, None) | (Shape::Plain, Some(_)) => None,
        (Shape::Key | Shape::AnyKey | Shape::Item, Some(text)) => {
            Some(Argument::Text(text.to_owned()))
        }
        (Shape::Number(..) | Shape::Millis, Some(text)) => text.parse().ok().map(Argument::Number),
        (Shape::Setting, Some(text)) => text
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .map(|(key, value)| Argument::Setting {
                key: key.to_owned(),
                value: value.to_owned(),
            }),
    }
}

/// `max-keys-4` is read as `max-keys:4`.
fn with_trailing_number(text: &str) -> Option<Fault> {
    let (name, number) = text.rsplit_once('-')?;
    let number = number.parse().ok()?;
    let kind = FaultKind::ALL
        .iter()
        .copied()
        .find(|kind| kind.name() == name)?;
    matches!(kind.shape(), Shape::Number(..) | Shape::Millis).then_some(Fault {
        kind,
        argument: Argument::Number(number),
    })
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.argument {
            Argument::None => write!(f, "{}", self.kind),
            Argument::Text(text) => write!(f, "{}:{text}", self.kind),
            Argument::Number(number) => write!(f, "{}:{number}", self.kind),
            Argument::Setting { key, value } => write!(f, "{}:{key}={value}", self.kind),
        }
    }
}

impl Fault {
    /// Its kind.
    pub fn kind(&self) -> FaultKind {
        self.kind
    }

    /// The key that it is about, if it names one.
    pub fn key(&self) -> Option<&str> {
        match (&self.argument, self.kind.shape()) {
            (Argument::Text(key), Shape::Key | Shape::AnyKey)
            | (Argument::Setting { key, .. }, _) => Some(key),
            (Argument::None | Argument::Text(_) | Argument::Number(_), _) => None,
        }
    }

    /// Key and value, if it names both.
    pub fn setting(&self) -> Option<(&str, &str)> {
        match &self.argument {
            Argument::Setting { key, value } => Some((key, value)),
            Argument::None | Argument::Text(_) | Argument::Number(_) => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match &self.argument {
            Argument::Text(text) => Some(text),
            Argument::None | Argument::Number(_) | Argument::Setting { .. } => None,
        }
    }

    fn number(&self) -> Option<u64> {
        match &self.argument {
            Argument::Number(number) => Some(*number),
            Argument::None | Argument::Text(_) | Argument::Setting { .. } => None,
        }
    }
}

/// The faults that one station shows now.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultSet {
    /// One bit for each kind that is present: most stations have none, and every call asks.
    present: u128,
    faults: Vec<Fault>,
}

// A `u128` holds the presence of every kind.
const _: () = assert!(FaultKind::ALL.len() <= 128);

impl FaultSet {
    #[cfg(test)]
    pub(crate) fn new(faults: &[Fault]) -> Self {
        let mut set = Self::default();
        faults.iter().for_each(|fault| set.insert(fault.clone()));
        set
    }

    pub(crate) fn insert(&mut self, fault: Fault) {
        // A fault with another number replaces the old one; faults of several keys stand side by side.
        self.faults.retain(|old| {
            old.kind != fault.kind || (old.key().is_some() && old.key() != fault.key())
        });
        self.faults.push(fault);
        self.recount();
    }

    pub(crate) fn remove(&mut self, kind: FaultKind) {
        self.faults.retain(|fault| fault.kind != kind);
        self.recount();
    }

    fn recount(&mut self) {
        self.present = self
            .faults
            .iter()
            .fold(0, |present, fault| present | (1 << fault.kind as u32));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.present == 0
    }

    /// Is a fault of this kind switched on, for whatever key?
    pub(crate) fn has(&self, kind: FaultKind) -> bool {
        self.present & (1 << kind as u32) != 0
    }

    fn of(&self, kind: FaultKind) -> impl Iterator<Item = &Fault> {
        let present = self.has(kind);
        self.faults
            .iter()
            .filter(move |fault| present && fault.kind == kind)
    }

    /// Is a fault of this kind switched on for this key (names ignore case), or for all keys?
    pub(crate) fn on_key(&self, kind: FaultKind, key: &str) -> bool {
        self.of(kind)
            .any(|fault| fault.key().is_none_or(|own| own.eq_ignore_ascii_case(key)))
    }

    pub(crate) fn number(&self, kind: FaultKind) -> Option<u64> {
        self.of(kind).find_map(Fault::number)
    }

    /// The fault's duration; `usual` when it names none; `None` when it is off.
    pub(crate) fn millis(&self, kind: FaultKind, usual: Duration) -> Option<Duration> {
        self.of(kind)
            .next()
            .map(|fault| fault.number().map_or(usual, Duration::from_millis))
    }

    /// The items that the fault names.
    pub(crate) fn items(&self, kind: FaultKind) -> Vec<&str> {
        self.of(kind).filter_map(Fault::text).collect()
    }

    pub(crate) fn settings(&self, kind: FaultKind) -> impl Iterator<Item = (&str, &str)> {
        self.of(kind).filter_map(Fault::setting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the list of quirks: a station can show each of them.
    const ROWS: std::ops::RangeInclusive<u8> = 1..=34;

    #[test]
    fn every_row_of_the_quirks_has_a_fault() {
        for row in ROWS {
            assert!(
                FaultKind::ALL.iter().any(|kind| kind.rows().contains(&row)),
                "no fault shows row {row}"
            );
        }
    }

    #[test]
    fn names_are_unique_kebab_case_and_described() {
        let mut names: Vec<_> = FaultKind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for kind in FaultKind::ALL {
            assert!(
                kind.name()
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c == '-'),
                "{kind}"
            );
            assert!(
                kind.description().ends_with('.'),
                "{kind}: {}",
                kind.description()
            );
            assert!(kind.rows().iter().all(|row| ROWS.contains(row)), "{kind}");
        }
    }

    #[test]
    fn every_fault_reads_back_as_it_is_written() {
        for &kind in FaultKind::ALL {
            let text = match kind.shape() {
                Shape::Key => format!("{kind}:HeartbeatInterval"),
                Shape::Setting => format!("{kind}:HeartbeatInterval=a=b:c"),
                Shape::Plain | Shape::AnyKey | Shape::Number(..) | Shape::Millis | Shape::Item => {
                    kind.to_string()
                }
            };
            let fault: Fault = text.parse().unwrap();
            assert_eq!(fault.kind(), kind);
            assert_eq!(fault.to_string().parse::<Fault>().unwrap(), fault);
        }
    }

    #[test]
    fn a_number_may_follow_a_hyphen() {
        assert_eq!(
            "max-keys-7".parse::<Fault>().unwrap(),
            "max-keys:7".parse().unwrap()
        );
    }

    #[test]
    fn bad_faults_are_told_with_the_mend() {
        let check = |text: &str, part: &str| {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        };
        check("boolean-cases", "did you mean boolean-case?");
        check("nothing", "boolean-case, boolean-title");
        check("drops-on-key", "is written drops-on-key:KEY");
        check(
            "contested:HeartbeatInterval",
            "is written contested:KEY=VALUE",
        );
        check("slow:soon", "is written slow[:MILLIS]");
        check("reset-ignored:yes", "is written reset-ignored, not");
    }

    #[test]
    fn a_fault_with_another_number_replaces_the_old_one() {
        let mut set = FaultSet::default();
        for text in [
            "max-keys:4",
            "max-keys:9",
            "drops-on-key:A",
            "drops-on-key:B",
        ] {
            set.insert(text.parse().unwrap());
        }
        assert_eq!(set.number(FaultKind::MaxKeys), Some(9));
        assert!(set.on_key(FaultKind::DropsOnKey, "a") && set.on_key(FaultKind::DropsOnKey, "B"));
        assert!(!set.on_key(FaultKind::DropsOnKey, "C"));
        set.remove(FaultKind::DropsOnKey);
        assert!(!set.has(FaultKind::DropsOnKey) && set.has(FaultKind::MaxKeys));
    }
}
