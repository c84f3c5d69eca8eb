//! `KeyCatalogue`: what is known of keys, in the schema of the built-in catalogue.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use stationkeeper_core::catalogue::{CatalogueDocument, KeyEntry};
use stationkeeper_core::words::{Finding, Key};

/// What a KeyCatalogue says, as it was written.
// Untyped on purpose: one object that this version cannot read (a pattern that is none, a word of a newer version) must
// not keep the list of all others from being read. Its schema is the document's.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "stationkeeper.dev",
    version = "v1alpha1",
    kind = "KeyCatalogue",
    plural = "keycatalogues",
    shortname = "kcat",
    category = "stationkeeper",
    namespaced,
    status = "KeyCatalogueStatus",
    doc = "A KeyCatalogue says what is known of the configuration keys of a vendor's stations: types, ranges, access, when a value takes effect, what writing it endangers. It speaks of the ChargeStations of its own namespace, and lies above the catalogue that is built into the operator, fact by fact. It may add keys and facts, correct facts, raise a hazard and narrow an access, but never take a hazard away or widen an access. It takes effect at once."
)]
#[serde(transparent)]
pub struct KeyCatalogueSpec(pub serde_json::Value);

impl JsonSchema for KeyCatalogueSpec {
    fn schema_name() -> Cow<'static, str> {
        CatalogueDocument::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        CatalogueDocument::json_schema(generator)
    }
}

impl KeyCatalogueSpec {
    /// The document, if it can be read.
    pub fn document(&self) -> Result<CatalogueDocument, serde_json::Error> {
        CatalogueDocument::deserialize(&self.0)
    }

    /// What is left of a document that cannot be used: which stations it speaks of, and which keys. Where its `match`
    /// cannot be read, it may speak of any station.
    pub fn remains(&self) -> CatalogueDocument {
        let matches = self.0.get("match").cloned().unwrap_or_default();
        let order = self.0.get("firmwareOrder").cloned().unwrap_or_default();
        let names = self.0.get("keys").and_then(serde_json::Value::as_array);
        let names = names.into_iter().flatten();
        let keys = names.filter_map(|entry| entry.get("key")?.as_str());
        let entry = |name: &str| {
            serde_json::from_value::<KeyEntry>(serde_json::json!({"key": Key::from(name)})).ok()
        };
        CatalogueDocument {
            matches: serde_json::from_value(matches).unwrap_or_default(),
            firmware_order: serde_json::from_value(order).unwrap_or_default(),
            keys: keys.filter_map(entry).collect(),
            ..CatalogueDocument::default()
        }
    }
}

/// What has become of the catalogue: written by the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KeyCatalogueStatus {
    /// The `metadata.generation` that this status speaks of; -1 until the operator has seen the object.
    pub observed_generation: i64,
    /// `Ready` (it is in force, as it is written) is always there; `Stalled` only while it is True: the catalogue is
    /// invalid, or contradicts another one of equal specificity, and a person has to mend it.
    pub conditions: Vec<Condition>,
    /// The keys of which the catalogue speaks, counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<CatalogueKeyCounts>,
    /// The generation whose facts are in force while the present one cannot be used. Absent: the present one is in
    /// force, or, if that is invalid, none; its keys are then held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation_in_force: Option<i64>,
    /// What the author should know: facts that contradict another catalogue or would lower a guard of the built-in one,
    /// values that a key does not take, names that no catalogue knows. At most 20; `findingCount` counts all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// How many findings there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding_count: Option<i32>,
}

/// Keys of a catalogue, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CatalogueKeyCounts {
    /// All keys of which it speaks.
    pub total: i32,
    /// Of these, keys that the built-in catalogue does not know.
    pub added: i32,
}
