//! Columns: what `kubectl get` shows of each kind, and with `-o wide`.

use serde_json::{Value, json};

/// One column.
pub(super) struct Column {
    name: &'static str,
    /// `string`, `integer`, `boolean` or `date`.
    kind: &'static str,
    path: &'static str,
    /// What it means, in one sentence.
    says: &'static str,
    show: Show,
}

/// When a column is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Show {
    Always,
    /// With `-o wide` only.
    Wide,
}

use Show::{Always, Wide};

impl Column {
    /// As a CustomResourceDefinition has it.
    pub(super) fn definition(&self) -> Value {
        let Self {
            name,
            kind,
            path,
            says,
            show,
        } = self;
        let mut definition =
            json!({"name": name, "type": kind, "jsonPath": path, "description": says});
        if *show == Wide {
            definition["priority"] = json!(1);
        }
        definition
    }
}

/// `ChargeStationConfig`.
pub(super) const CONFIG: &[Column] = &[
    Column {
        name: "Priority",
        kind: "integer",
        path: ".spec.priority",
        says: "Where several configs set a key of a station, the highest priority wins.",
        show: Always,
    },
    Column {
        name: "Mode",
        kind: "string",
        path: ".spec.mode",
        says: "Report tells differences; Enforce writes them to the stations.",
        show: Always,
    },
    Column {
        name: "Stations",
        kind: "integer",
        path: ".status.stations.total",
        says: "Selected stations.",
        show: Always,
    },
    Column {
        name: "In Sync",
        kind: "integer",
        path: ".status.stations.inSync",
        says: "Stations that have every key of this config as declared.",
        show: Always,
    },
    Column {
        name: "Drifted",
        kind: "integer",
        path: ".status.stations.drifted",
        says: "Stations that differ in at least one key of this config.",
        show: Always,
    },
    Column {
        name: "Reset Pending",
        kind: "integer",
        path: ".status.stations.resetPending",
        says: "Stations that bring at least one key into effect only when they boot.",
        show: Always,
    },
    Column {
        name: "Offline",
        kind: "integer",
        path: ".status.stations.offline",
        says: "Stations that are not connected.",
        show: Always,
    },
    Column {
        name: "Ready",
        kind: "string",
        path: r#".status.conditions[?(@.type=="Ready")].status"#,
        says: "True: everything that may be done now has been done.",
        show: Always,
    },
    Column {
        name: "Age",
        kind: "date",
        path: ".metadata.creationTimestamp",
        says: "How long ago the object was created.",
        show: Always,
    },
    Column {
        name: "Failed",
        kind: "integer",
        path: ".status.stations.failed",
        says: "Stations with a key that waits for a person.",
        show: Wide,
    },
    Column {
        name: "Progressing",
        kind: "integer",
        path: ".status.stations.progressing",
        says: "Stations that are being read or written.",
        show: Wide,
    },
    Column {
        name: "Suspended",
        kind: "boolean",
        path: ".spec.suspend",
        says: "True: the keys of this config are held as they are.",
        show: Wide,
    },
    Column {
        name: "Message",
        kind: "string",
        path: r#".status.conditions[?(@.type=="Ready")].message"#,
        says: "What Ready says in words.",
        show: Wide,
    },
];

/// `ChargeStation`.
pub(super) const STATION: &[Column] = &[
    Column {
        name: "Identity",
        kind: "string",
        path: ".spec.identity",
        says: "The string with which the station connects.",
        show: Always,
    },
    Column {
        name: "Connected",
        kind: "string",
        path: r#".status.conditions[?(@.type=="Connected")].status"#,
        says: "Is the station connected now?",
        show: Always,
    },
    Column {
        name: "Vendor",
        kind: "string",
        path: ".status.hardware.vendor",
        says: "The vendor as the station reports it.",
        show: Always,
    },
    Column {
        name: "Model",
        kind: "string",
        path: ".status.hardware.model",
        says: "The model as the station reports it.",
        show: Always,
    },
    Column {
        name: "Firmware",
        kind: "string",
        path: ".status.hardware.firmware",
        says: "The firmware version as the station reports it.",
        show: Always,
    },
    Column {
        name: "Keys",
        kind: "integer",
        path: ".status.keys.total",
        says: "Keys that configs declare for the station.",
        show: Always,
    },
    Column {
        name: "In Sync",
        kind: "string",
        path: r#".status.conditions[?(@.type=="InSync")].status"#,
        says: "True: every declared key was read back as declared and is in effect.",
        show: Always,
    },
    Column {
        name: "Ready",
        kind: "string",
        path: r#".status.conditions[?(@.type=="Ready")].status"#,
        says: "True: everything that may be done now has been done.",
        show: Always,
    },
    Column {
        name: "Age",
        kind: "date",
        path: ".metadata.creationTimestamp",
        says: "How long ago the object was created.",
        show: Always,
    },
    Column {
        name: "Deviations",
        kind: "integer",
        path: ".status.deviationCount",
        says: "Keys that are not in sync.",
        show: Wide,
    },
    Column {
        name: "Reset Pending",
        kind: "integer",
        path: ".status.keys.resetPending",
        says: "Keys that take effect only when the station boots.",
        show: Wide,
    },
    Column {
        name: "Last Boot",
        kind: "date",
        path: ".status.lastBoot",
        says: "When a boot of the station was last proven.",
        show: Wide,
    },
    Column {
        name: "Message",
        kind: "string",
        path: r#".status.conditions[?(@.type=="InSync")].message"#,
        says: "What InSync says in words.",
        show: Wide,
    },
];

/// `KeyCatalogue`.
pub(super) const CATALOGUE: &[Column] = &[
    Column {
        name: "Vendor",
        kind: "string",
        path: ".spec.vendor",
        says: "The vendor of whose stations it speaks, as people call it.",
        show: Always,
    },
    Column {
        name: "Keys",
        kind: "integer",
        path: ".status.keys.total",
        says: "Keys of which it speaks.",
        show: Always,
    },
    Column {
        name: "Ready",
        kind: "string",
        path: r#".status.conditions[?(@.type=="Ready")].status"#,
        says: "True: it is in force as it is written.",
        show: Always,
    },
    Column {
        name: "Age",
        kind: "date",
        path: ".metadata.creationTimestamp",
        says: "How long ago the object was created.",
        show: Always,
    },
    Column {
        name: "Added",
        kind: "integer",
        path: ".status.keys.added",
        says: "Keys that the built-in catalogue does not know.",
        show: Wide,
    },
    Column {
        name: "Findings",
        kind: "integer",
        path: ".status.findingCount",
        says: "What the author should know, counted.",
        show: Wide,
    },
    Column {
        name: "Message",
        kind: "string",
        path: r#".status.conditions[?(@.type=="Ready")].message"#,
        says: "What Ready says in words.",
        show: Wide,
    },
];
