//! Bounds: how long each string, list and map of the objects may be, which lists have keys, and what is written as a
//! whole.
//!
//! One table per kind, by path: `.name` is a property, `[]` the items of a list, `{}` the values of a map. The API
//! server needs bounds to estimate what a CEL rule costs; etcd needs them because a station decides what it reports.
//! The table also holds the sentences of `kubectl explain` for fields whose types are shared with `core`, where doc
//! comments speak to developers.

/// What is laid over the derived schema at one path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bound {
    /// A string of at least and at most so many characters.
    Text(u32, u32),
    /// A whole number in this range.
    Number(i64, i64),
    /// A list of at least and at most so many items.
    List(ListType, u32, u32),
    /// A map of at most so many entries.
    Entries(u32),
    /// Written as a whole by one field manager (`x-kubernetes-map-type: atomic`).
    Whole,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// What `kubectl explain` says.
    Says(&'static str),
}

/// How a list is merged by server-side apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListType {
    /// Replaced as a whole.
    Atomic,
    /// Items are unique and belong to whoever applied them.
    Set,
    /// Items are told apart by one of their fields.
    MapBy(&'static str),
}

use Bound::{Entries, List, Number, OneOf, Says, Text, Whole};
use ListType::{Atomic, MapBy, Set};

/// OCPP 1.6 allows 50 characters for a key (CiString50Type, OCPP 1.6 edition 2, section 7.28).
const KEY: Bound = Text(1, 50);

/// OCPP 1.6 allows 500 characters for a value (CiString500Type, section 7.28); some stations take more, and OCPP 2.0.1
/// allows up to 2500. Whether a station's firmware takes more than 500 is for the catalogue to say.
const VALUE: Bound = Text(0, 2500);

/// What is shown of a value, not compared or written back.
const SHOWN_VALUE: Bound = Text(0, 500);

/// Names of objects (DNS subdomains).
const NAME: Bound = Text(1, 253);

/// Names of namespaces (DNS labels).
const NAMESPACE: Bound = Text(1, 63);

/// Keys in a Secret's data.
const SECRET_KEY: Bound = Text(1, 253);

/// OCPP 1.6 allows 20 to 50 characters for what a station says it is; some say more.
const HARDWARE: Bound = Text(0, 128);

/// A pattern or override for the above.
const HARDWARE_GIVEN: Bound = Text(1, 128);

/// Label keys: an optional prefix of 253 characters, a slash, and 63.
const LABEL_KEY: Bound = Text(1, 317);

/// Label values.
const LABEL_VALUE: Bound = Text(0, 63);

/// For people.
const MESSAGE: Bound = Text(0, 1024);

/// Points in time as RFC 3339 writes them, fractions included.
pub(super) const TIME_LENGTH: u32 = 40;

/// What a string or list inside `status.memory` may be at most where the table does not say: nothing there is for
/// people, and no rule reads it.
pub(super) const MEMORY_TEXT: u32 = 2500;
/// See [`MEMORY_TEXT`].
pub(super) const MEMORY_LIST: u32 = 64;

/// A path and what is laid over it.
pub(super) type Row = (&'static str, &'static [Bound]);

/// The conditions, which every kind has in its status.
pub(super) const CONDITIONS: &[Row] = &[
    ("status.conditions", &[List(MapBy("type"), 0, 16)]),
    (
        "status.conditions[].lastTransitionTime",
        &[Says("When `status` last changed.")],
    ),
    (
        "status.conditions[].message",
        &[
            MESSAGE,
            Says("What the condition means here and what to do, in words."),
        ],
    ),
    (
        "status.conditions[].observedGeneration",
        &[Says(
            "The `metadata.generation` that the condition speaks of.",
        )],
    ),
    (
        "status.conditions[].reason",
        &[Text(1, 128), Says("Why, in one word for machines.")],
    ),
    (
        "status.conditions[].status",
        &[OneOf(&["True", "False", "Unknown"])],
    ),
    (
        "status.conditions[].type",
        &[
            Text(1, 128),
            Says("Which condition it is, for example `Ready`."),
        ],
    ),
];

/// `ChargeStationConfig`.
pub(super) const CONFIG: &[Row] = &[
    ("spec.consent", &[List(Set, 0, 7)]),
    ("spec.rollout.maxConcurrent", &[Number(1, 100_000)]),
    ("spec.settings", &[List(MapBy("key"), 0, 512)]),
    ("spec.settings[].key", &[KEY]),
    (
        "spec.settings[].mode",
        &[Says(
            "`Report` holds this one key back from being written in a config whose mode is `Enforce`. A setting can narrow the mode of its config, never widen it; if absent, it has the mode of its config.",
        )],
    ),
    ("spec.settings[].value", &[VALUE]),
    ("spec.settings[].valueFrom", &[Whole]),
    ("spec.settings[].valueFrom.secretKeyRef", &[Whole]),
    ("spec.settings[].valueFrom.secretKeyRef.key", &[SECRET_KEY]),
    ("spec.settings[].valueFrom.secretKeyRef.name", &[NAME]),
    ("spec.settings[].valueFrom.stationSecret", &[Whole]),
    ("spec.settings[].valueFrom.stationSecret.key", &[SECRET_KEY]),
    ("spec.stations.hardware.firmware", &[HARDWARE_GIVEN]),
    ("spec.stations.hardware.model", &[HARDWARE_GIVEN]),
    ("spec.stations.hardware.vendor", &[HARDWARE_GIVEN]),
    ("spec.stations.names", &[List(Set, 1, 1024)]),
    ("spec.stations.names[]", &[NAME]),
    ("spec.stations.selector", &[Whole]),
    (
        "spec.stations.selector.matchExpressions",
        &[
            List(Atomic, 0, 32),
            Says(
                "Requirements on labels, all of which must be met, for example `{key: site, operator: In, values: [harbour, depot]}`.",
            ),
        ],
    ),
    (
        "spec.stations.selector.matchExpressions[].key",
        &[LABEL_KEY, Says("The name of the label.")],
    ),
    (
        "spec.stations.selector.matchExpressions[].operator",
        &[
            OneOf(&["In", "NotIn", "Exists", "DoesNotExist"]),
            Says(
                "`In`: the label has one of the values; `NotIn`: it has none of them, or is absent; `Exists`: the label is there; `DoesNotExist`: it is absent.",
            ),
        ],
    ),
    (
        "spec.stations.selector.matchExpressions[].values",
        &[
            List(Atomic, 0, 128),
            Says("The values, for `In` and `NotIn` only."),
        ],
    ),
    (
        "spec.stations.selector.matchExpressions[].values[]",
        &[LABEL_VALUE],
    ),
    (
        "spec.stations.selector.matchLabels",
        &[
            Entries(32),
            Says("Labels with their values, all of which the ChargeStation must have."),
        ],
    ),
    ("spec.stations.selector.matchLabels{}", &[LABEL_VALUE]),
    ("status.examples", &[List(Atomic, 0, 20)]),
    (
        "status.examples[].key",
        &[KEY, Says("The configuration key.")],
    ),
    (
        "status.examples[].reason",
        &[Says("Why the key is in that state.")],
    ),
    (
        "status.examples[].state",
        &[Says("The state of the key on that station.")],
    ),
    (
        "status.examples[].station",
        &[
            NAME,
            Says("The name of the ChargeStation. Its status says more."),
        ],
    ),
    ("status.lastHandledReconcileAt", &[Text(0, 256)]),
    ("status.stations", &[Whole]),
    (
        "status.stations.drifted",
        &[Says(
            "Stations on which at least one key is not as declared, and not because it is being worked on.",
        )],
    ),
    (
        "status.stations.failed",
        &[Says(
            "Stations on which at least one key waits for a person: failed, invalid, or without consent or Secret.",
        )],
    ),
    (
        "status.stations.inSync",
        &[Says(
            "Stations that have every key of this config as declared.",
        )],
    ),
    (
        "status.stations.offline",
        &[Says(
            "Stations that are not connected, whatever else is known of them.",
        )],
    ),
    (
        "status.stations.progressing",
        &[Says(
            "Stations that are being read or written, or are about to be.",
        )],
    ),
    (
        "status.stations.resetPending",
        &[Says(
            "Stations on which a key takes effect only when the station boots, and nothing is worse.",
        )],
    ),
    ("status.stations.total", &[Says("All selected stations.")]),
];

/// `ChargeStation`.
pub(super) const STATION: &[Row] = &[
    ("spec.authentication.bootstrapSecretRef", &[Whole]),
    ("spec.authentication.bootstrapSecretRef.key", &[SECRET_KEY]),
    ("spec.authentication.bootstrapSecretRef.name", &[NAME]),
    ("spec.authentication.secretRef", &[Whole]),
    ("spec.authentication.secretRef.key", &[SECRET_KEY]),
    ("spec.authentication.secretRef.name", &[NAME]),
    ("spec.hardware.firmware", &[HARDWARE_GIVEN]),
    ("spec.hardware.model", &[HARDWARE_GIVEN]),
    ("spec.hardware.vendor", &[HARDWARE_GIVEN]),
    ("spec.identity", &[Text(1, 255)]),
    ("status.deviationCount", &[Number(0, i32::MAX as i64)]),
    ("status.deviations", &[List(Atomic, 0, 50)]),
    (
        "status.deviations[].config",
        &[
            Text(1, 317),
            Says("The ChargeStationConfig that declares the key, as `namespace/name`."),
        ],
    ),
    (
        "status.deviations[].desired",
        &[SHOWN_VALUE, Says("The declared value; absent for secrets.")],
    ),
    (
        "status.deviations[].key",
        &[KEY, Says("The configuration key.")],
    ),
    (
        "status.deviations[].message",
        &[
            MESSAGE,
            Says("What is the matter and what to do, in words."),
        ],
    ),
    (
        "status.deviations[].observed",
        &[
            SHOWN_VALUE,
            Says("What the station shows; absent for secrets, and if it shows nothing."),
        ],
    ),
    (
        "status.deviations[].reason",
        &[Says("Why the key is in that state.")],
    ),
    (
        "status.deviations[].state",
        &[Says("The state of the key on this station.")],
    ),
    ("status.findings", &[List(Atomic, 0, 10)]),
    (
        "status.findings[].key",
        &[KEY, Says("The configuration key that it is about.")],
    ),
    (
        "status.findings[].message",
        &[
            MESSAGE,
            Says("What is the matter and what to do, in words."),
        ],
    ),
    (
        "status.findings[].rule",
        &[Text(1, 64), Says("Which check found it, for machines.")],
    ),
    (
        "status.findings[].severity",
        &[Says(
            "`Error`: the key is held until it is mended. `Warning`: told, and done all the same.",
        )],
    ),
    ("status.hardware", &[Whole]),
    ("status.hardware.firmware", &[HARDWARE]),
    ("status.hardware.model", &[HARDWARE]),
    ("status.hardware.protocol", &[Text(0, 32)]),
    ("status.hardware.serialNumber", &[HARDWARE]),
    ("status.hardware.vendor", &[HARDWARE]),
    ("status.keys", &[Whole]),
    (
        "status.keys.drifted",
        &[Says(
            "Keys that are not as declared, and not because they are being worked on.",
        )],
    ),
    (
        "status.keys.failed",
        &[Says(
            "Keys that wait for a person: failed, invalid, or without consent or Secret.",
        )],
    ),
    (
        "status.keys.inSync",
        &[Says(
            "Keys that were read back as declared and are in effect.",
        )],
    ),
    (
        "status.keys.pending",
        &[Says("Keys that are still to be read or written.")],
    ),
    (
        "status.keys.resetPending",
        &[Says("Keys that take effect only when the station boots.")],
    ),
    (
        "status.keys.total",
        &[Says("All keys that configs declare for this station.")],
    ),
    (
        "status.keys.unverifiable",
        &[Says(
            "Keys that the station accepted and never shows, such as passwords.",
        )],
    ),
    ("status.lastHandledReconcileAt", &[Text(0, 256)]),
    ("status.memory", &[Whole]),
    ("status.memory.device.boxSerial", &[HARDWARE]),
    ("status.memory.device.model", &[HARDWARE]),
    ("status.memory.device.serial", &[HARDWARE]),
    ("status.memory.device.vendor", &[HARDWARE]),
    ("status.memory.firmware", &[HARDWARE]),
    ("status.memory.formerFirmware", &[HARDWARE]),
    ("status.memory.inSync", &[Text(0, 8192)]),
    ("status.memory.keys", &[Entries(512)]),
    ("status.memory.keys{}.contested.theirs", &[VALUE]),
    ("status.memory.keys{}.falls.call", &[Text(1, 50)]),
    ("status.memory.keys{}.falls.firmware", &[HARDWARE]),
    ("status.memory.keys{}.original.config.name", &[NAME]),
    (
        "status.memory.keys{}.original.config.namespace",
        &[NAMESPACE],
    ),
    (
        "status.memory.keys{}.original.consent",
        &[List(Atomic, 0, 7)],
    ),
    ("status.memory.keys{}.original.value", &[VALUE]),
    ("status.memory.keys{}.reverts", &[List(Atomic, 0, 4)]),
    ("status.memory.keys{}.write.before", &[VALUE]),
    ("status.memory.keys{}.write.config.name", &[NAME]),
    ("status.memory.keys{}.write.config.namespace", &[NAMESPACE]),
    ("status.memory.keys{}.write.detail", &[SHOWN_VALUE]),
    ("status.memory.keys{}.write.firmware", &[HARDWARE]),
    ("status.memory.rebootsOnWrite", &[Entries(8)]),
    ("status.pendingReset", &[Whole]),
    ("status.pendingReset.id", &[Text(1, 64)]),
    ("status.pendingReset.keys", &[List(Atomic, 0, 512)]),
    ("status.pendingReset.keys[]", &[KEY]),
    ("status.pendingReset.waitingFor", &[List(Atomic, 0, 16)]),
    ("status.pendingReset.waitingFor[]", &[Text(0, 256)]),
    (
        "status.registration",
        &[OneOf(&["Accepted", "Pending", "Rejected"])],
    ),
    ("status.resolvedHash", &[Text(0, 64)]),
];

/// How many keys a catalogue may speak of: the largest of the built-in ones has 369.
const CATALOGUE_KEYS: u32 = 512;

/// A reference to a source: its short name, a space, and the section.
const REFERENCE: Bound = Text(1, 256);

/// `KeyCatalogue`. What the longest texts and lists would make together is more than the API server stores in one
/// object (1.5 MiB); it says so, and the catalogue is then written as two.
pub(super) const CATALOGUE: &[Row] = &[
    (
        "spec",
        &[Says(
            "Which stations are meant, which documents the facts come from, and the facts, key by key. A fact that is left out is unknown, or as the catalogues below have it.",
        )],
    ),
    (
        "spec.factSources",
        &[
            Entries(32),
            Says(
                "Where facts of one kind come from, for all keys, if from elsewhere: the name of the fact, and the reference, for example `hazard: ours`.",
            ),
        ],
    ),
    ("spec.factSources{}", &[REFERENCE]),
    (
        "spec.firmwareOrder",
        &[Says(
            "How the vendor's firmware versions are ordered; needed for `firmwareFrom` and `firmwareBefore`. `Numeric`: numbers between dots, dashes and underscores, compared one by one, so that 5.9 is before 5.33.",
        )],
    ),
    ("spec.keys", &[List(MapBy("key"), 0, CATALOGUE_KEYS)]),
    // One owner for all facts of a key: half of two entries is nobody's entry, and managedFields stay small.
    ("spec.keys[]", &[Whole]),
    (
        "spec.keys[].access",
        &[Says(
            "Who may read and write it. With `ImplementationDefined` the station itself says whether it is read-only. It may be narrower than in the built-in catalogue, never wider.",
        )],
    ),
    (
        "spec.keys[].affects",
        &[
            List(Set, 0, 32),
            Says("Keys that this one moves when it is written."),
        ],
    ),
    ("spec.keys[].affects[]", &[KEY]),
    (
        "spec.keys[].after",
        &[
            List(MapBy("key"), 0, 32),
            Says("Keys to be written before this one, when both change."),
        ],
    ),
    ("spec.keys[].after[].key", &[KEY]),
    (
        "spec.keys[].after[].when",
        &[Says(
            "Only when the number of this key goes that way: `Raising` or `Lowering`; `Any` if absent.",
        )],
    ),
    ("spec.keys[].aliases", &[List(Set, 0, 8)]),
    ("spec.keys[].aliases[]", &[KEY]),
    ("spec.keys[].atMostKey", &[KEY]),
    (
        "spec.keys[].default",
        &[
            VALUE,
            Says("The value of a new station, in quotes: `\"600\"`."),
        ],
    ),
    ("spec.keys[].excludes", &[List(Set, 0, 2)]),
    (
        "spec.keys[].hazard",
        &[
            List(Set, 0, 10),
            Says(
                "What writing it endangers, the main hazard first. A key whose hazard nobody tells is written only with the consent `Unknown`; `[None]` says that nothing is endangered. A hazard of the built-in catalogue stays.",
            ),
        ],
    ),
    (
        "spec.keys[].itemPrefix",
        &[Says(
            "What stands before each item of a List. `Connector`: the number of a connector and a dot, as in `1.RST`.",
        )],
    ),
    ("spec.keys[].itemSuffixes", &[List(Set, 0, 64)]),
    ("spec.keys[].itemSuffixes[]", &[Text(1, 50)]),
    ("spec.keys[].itemValues", &[List(Set, 0, 256)]),
    ("spec.keys[].itemValues[]", &[Text(1, 100)]),
    (
        "spec.keys[].key",
        &[
            KEY,
            Says(
                "The name of the key, as the station spells it. Names that differ only by case are two keys.",
            ),
        ],
    ),
    ("spec.keys[].length.max", &[Number(0, MOST_CHARACTERS)]),
    ("spec.keys[].length.min", &[Number(0, MOST_CHARACTERS)]),
    ("spec.keys[].maxItemsKey", &[KEY]),
    (
        "spec.keys[].nature",
        &[Says(
            "What sort of thing it is: a `Setting`; a `Capability`, what the station can do; or `Telemetry`, a reading that is never configuration and never drift.",
        )],
    ),
    ("spec.keys[].note", &[Text(1, 1000)]),
    ("spec.keys[].pattern", &[Text(1, 500)]),
    (
        "spec.keys[].profile",
        &[Says("The feature profile of OCPP 1.6 that it belongs to.")],
    ),
    ("spec.keys[].range.also", &[List(Atomic, 0, 32)]),
    ("spec.keys[].recommended", &[List(Atomic, 0, 16)]),
    ("spec.keys[].recommended[].by", &[Text(1, 256)]),
    ("spec.keys[].recommended[].note", &[Text(1, 1000)]),
    (
        "spec.keys[].recommended[].range.also",
        &[List(Atomic, 0, 32)],
    ),
    ("spec.keys[].recommended[].spelt", &[KEY]),
    ("spec.keys[].recommended[].value", &[VALUE]),
    ("spec.keys[].recommended[].when", &[Text(1, 256)]),
    (
        "spec.keys[].scope",
        &[Says("Where it counts in a master/slave pair.")],
    ),
    ("spec.keys[].source", &[REFERENCE]),
    ("spec.keys[].sources", &[Entries(32)]),
    ("spec.keys[].sources{}", &[REFERENCE]),
    (
        "spec.keys[].supported",
        &[Says("Does the vendor's station provide the key?")],
    ),
    (
        "spec.keys[].takesEffect",
        &[Says(
            "When a written value takes effect: `Immediately`, with the next boot (`AfterReset`), or with the next connection (`AfterReconnect`).",
        )],
    ),
    (
        "spec.keys[].type",
        &[Says(
            "What kind of value the key holds. Values are compared by it: `900` and `0900` are one Integer, `true` and `1` one Boolean.",
        )],
    ),
    ("spec.keys[].unit", &[Text(1, 32)]),
    ("spec.keys[].values", &[List(Atomic, 0, 256)]),
    (
        "spec.keys[].values[].code",
        &[
            Text(0, 500),
            Says("What goes on the wire, in quotes: `\"1\"`."),
        ],
    ),
    ("spec.keys[].values[].label", &[Text(1, 500)]),
    (
        "spec.match",
        &[
            List(Atomic, 0, 32),
            Says(
                "The stations that are meant, by what they report in BootNotification: any of these. Without it, every station of the namespace.",
            ),
        ],
    ),
    ("spec.match[].firmware", &[HARDWARE_GIVEN]),
    ("spec.match[].firmwareBefore", &[HARDWARE_GIVEN]),
    ("spec.match[].firmwareFrom", &[HARDWARE_GIVEN]),
    ("spec.match[].model", &[HARDWARE_GIVEN]),
    ("spec.match[].vendor", &[HARDWARE_GIVEN]),
    (
        "spec.quirks",
        &[Says(
            "Habits of the stations. One that is left out is unknown, and taken to be as the standard has it.",
        )],
    ),
    (
        "spec.quirks.booleanVocabulary",
        &[Says("The spelling in which the station takes booleans.")],
    ),
    ("spec.quirks.maxKeysPerRequest", &[Number(1, 10_000)]),
    ("spec.quirks.maxValueLength", &[Number(1, MOST_CHARACTERS)]),
    ("spec.quirks.source", &[REFERENCE]),
    ("spec.source", &[REFERENCE]),
    (
        "spec.sources",
        &[
            Entries(32),
            Says(
                "The documents that the facts come from, each under a short name without spaces, for example `manual: {publisher: Volta, title: \"Installer's manual, edition 7\"}`.",
            ),
        ],
    ),
    ("spec.sources{}.publisher", &[Text(1, 256)]),
    ("spec.sources{}.title", &[Text(1, 256)]),
    ("spec.vendor", &[HARDWARE_GIVEN]),
    ("status.findings", &[List(Atomic, 0, 20)]),
    (
        "status.findings[].key",
        &[KEY, Says("The configuration key that it is about.")],
    ),
    (
        "status.findings[].message",
        &[
            MESSAGE,
            Says("What is the matter and what to do, in words."),
        ],
    ),
    (
        "status.findings[].rule",
        &[Text(1, 64), Says("Which check found it, for machines.")],
    ),
    (
        "status.findings[].severity",
        &[Says(
            "`Error`: the key is held until it is mended. `Warning`: told, and done all the same.",
        )],
    ),
    ("status.keys", &[Whole]),
];

/// More characters than any value has.
const MOST_CHARACTERS: i64 = 65_535;
