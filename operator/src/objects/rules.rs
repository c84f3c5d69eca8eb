//! Rules: what a schema cannot say of an object, once as CEL for the API server and once as Rust for files.
//!
//! Each rule stands at a path of the schema and sees the value there. Both forms of a rule say the same; the tests try
//! both on the same manifests. Messages say what to write instead. What needs the catalogue is no rule here: it is a
//! finding in status and in `lint`.

use serde_json::Value;

/// One rule.
pub(super) struct Rule {
    /// Where it stands, in the notation of [`super::bounds`].
    pub(super) at: &'static str,
    /// The rule in CEL; `self` is the value at the path. `None`: the API server cannot afford it, or has it built in.
    pub(super) cel: Option<&'static str>,
    /// What a person reads who broke it.
    pub(super) message: &'static str,
    /// The rule in Rust.
    pub(super) holds: Holds,
}

/// A rule in Rust. It sees values that fit the schema, defaults filled in.
pub(super) enum Holds {
    /// Of the value itself.
    Of(fn(&Value) -> bool),
    /// Of a change: the old value, then the new one.
    OfChange(fn(&Value, &Value) -> bool),
    /// Of a catalogue: its document says it itself, with the entry (`CatalogueDocument::mistakes`).
    InDocument,
}

use Holds::{InDocument, Of, OfChange};

/// No control characters, no space at either end. In CEL `matches` takes RE2, in which `.` is no line break.
const TIDY: &str =
    r"self.matches('^[^\\x00-\\x20\\x7f]([^\\x00-\\x1f\\x7f]*[^\\x00-\\x20\\x7f])?$')";
const NAME: &str =
    r"self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')";
const SECRET_KEY: &str = r"self.matches('^[-._a-zA-Z0-9]+$')";
const LABEL_KEY: &str = r"self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$')";
const LABEL_VALUE: &str =
    r"self == '' || self.matches('^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')";

const SECRET_NAME_MESSAGE: &str = "write the name of a Secret of this namespace: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit";
const SECRET_KEY_MESSAGE: &str =
    "write the name of a key in the Secret's data: letters, digits, '-', '_' and '.' only";
const LABEL_KEY_MESSAGE: &str = "write the name of a label, such as site or example.com/site: letters, digits, '-', '_' and '.', at most 63 characters after an optional prefix";
const LABEL_VALUE_MESSAGE: &str = "write the value of a label: letters, digits, '-', '_' and '.', beginning and ending with a letter or digit";
const HARDWARE_MESSAGE: &str =
    "write what the station reports, without a space at either end and without line breaks";

/// `ChargeStationConfig`.
pub(super) const CONFIG: &[Rule] = &[
    Rule {
        at: "spec",
        cel: Some(
            "self.mode == 'Enforce' || self.settings.all(setting, !has(setting.mode) || setting.mode == 'Report')",
        ),
        message: "a setting can only narrow the mode of its config: write mode: Enforce in spec, and mode: Report in the settings that must not be written",
        holds: Of(|spec| {
            text(spec, "mode") == Some("Enforce")
                || list(spec, "settings")
                    .iter()
                    .all(|setting| text(setting, "mode") != Some("Enforce"))
        }),
    },
    Rule {
        at: "spec.stations",
        cel: Some("has(self.selector) || has(self.names) || has(self.hardware)"),
        message: "say which stations: give at least one of selector, names and hardware; selector: {} selects every ChargeStation of the namespace",
        holds: Of(|stations| {
            ["selector", "names", "hardware"]
                .iter()
                .any(|condition| has(stations, condition))
        }),
    },
    Rule {
        at: "spec.stations.hardware",
        cel: Some("has(self.vendor) || has(self.model) || has(self.firmware)"),
        message: "give at least one of vendor, model and firmware, or leave hardware out",
        holds: Of(|hardware| {
            ["vendor", "model", "firmware"]
                .iter()
                .any(|fact| has(hardware, fact))
        }),
    },
    Rule {
        at: "spec.stations.hardware.vendor",
        cel: Some(TIDY),
        message: HARDWARE_MESSAGE,
        holds: Of(is_tidy),
    },
    Rule {
        at: "spec.stations.hardware.model",
        cel: Some(TIDY),
        message: HARDWARE_MESSAGE,
        holds: Of(is_tidy),
    },
    Rule {
        at: "spec.stations.hardware.firmware",
        cel: Some(TIDY),
        message: HARDWARE_MESSAGE,
        holds: Of(is_tidy),
    },
    Rule {
        at: "spec.stations.names[]",
        cel: Some(NAME),
        message: "write the metadata.name of a ChargeStation (lower-case letters, digits, '-' and '.'), not its OCPP identity",
        holds: Of(is_name),
    },
    Rule {
        at: "spec.stations.selector.matchExpressions[]",
        cel: Some(
            "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 : !has(self.values) || size(self.values) == 0",
        ),
        message: "In and NotIn need at least one item in values; with Exists and DoesNotExist leave values out",
        holds: Of(|requirement| {
            let needed = matches!(text(requirement, "operator"), Some("In" | "NotIn"));
            needed != list(requirement, "values").is_empty()
        }),
    },
    Rule {
        at: "spec.stations.selector.matchExpressions[].key",
        cel: Some(LABEL_KEY),
        message: LABEL_KEY_MESSAGE,
        holds: Of(is_label_key),
    },
    Rule {
        at: "spec.stations.selector.matchExpressions[].values[]",
        cel: Some(LABEL_VALUE),
        message: LABEL_VALUE_MESSAGE,
        holds: Of(is_label_value),
    },
    Rule {
        at: "spec.stations.selector.matchLabels{}",
        cel: Some(LABEL_VALUE),
        message: LABEL_VALUE_MESSAGE,
        holds: Of(is_label_value),
    },
    Rule {
        at: "spec.stations.selector.matchLabels",
        cel: Some(
            r"self.all(label, label.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
        ),
        message: LABEL_KEY_MESSAGE,
        holds: Of(|labels| {
            labels
                .as_object()
                .is_none_or(|labels| labels.keys().all(|label| label_key_is_well_formed(label)))
        }),
    },
    Rule {
        at: "spec.settings[]",
        cel: Some("has(self.value) != has(self.valueFrom)"),
        message: "give either value (a string in quotes) or valueFrom (a Secret), not both and not neither",
        holds: Of(|setting| has(setting, "value") != has(setting, "valueFrom")),
    },
    // Names that differ only by case are two settings: some stations have two such keys, and which of them a station
    // has is known only with its catalogue.
    Rule {
        at: "spec.settings[]",
        cel: Some(
            "self.key.lowerAscii() != 'authorizationkey' || (!has(self.value) && (!has(self.valueFrom) || !has(self.valueFrom.secretKeyRef)))",
        ),
        message: "AuthorizationKey is each station's own password: write valueFrom: {stationSecret: {key: password}}, which takes it from the Secret that the station names in spec.authentication.secretRef",
        holds: Of(|setting| {
            let own = text(setting, "key")
                .is_some_and(|key| key.eq_ignore_ascii_case("AuthorizationKey"));
            let shared = setting
                .get("valueFrom")
                .is_some_and(|source| has(source, "secretKeyRef"));
            !own || (!has(setting, "value") && !shared)
        }),
    },
    Rule {
        at: "spec.settings[].key",
        cel: Some(TIDY),
        message: "write the key as the station names it, without a space at either end and without line breaks",
        holds: Of(is_tidy),
    },
    Rule {
        at: "spec.settings[].value",
        cel: Some(r"!self.endsWith('\n')"),
        message: "the value ends with a line break: write it in quotes on one line, or use >- or |- instead of > or |",
        holds: Of(|value| value.as_str().is_none_or(|value| !value.ends_with('\n'))),
    },
    Rule {
        at: "spec.settings[].valueFrom",
        cel: Some("has(self.stationSecret) != has(self.secretKeyRef)"),
        message: "give exactly one source: stationSecret (in the Secret that each station names) or secretKeyRef (one Secret for all stations)",
        holds: Of(|source| has(source, "stationSecret") != has(source, "secretKeyRef")),
    },
    Rule {
        at: "spec.settings[].valueFrom.stationSecret.key",
        cel: Some(SECRET_KEY),
        message: SECRET_KEY_MESSAGE,
        holds: Of(is_secret_key),
    },
    Rule {
        at: "spec.settings[].valueFrom.secretKeyRef.key",
        cel: Some(SECRET_KEY),
        message: SECRET_KEY_MESSAGE,
        holds: Of(is_secret_key),
    },
    Rule {
        at: "spec.settings[].valueFrom.secretKeyRef.name",
        cel: Some(NAME),
        message: SECRET_NAME_MESSAGE,
        holds: Of(is_name),
    },
];

/// `ChargeStation`.
pub(super) const STATION: &[Rule] = &[
    Rule {
        at: "spec.identity",
        cel: Some(TIDY),
        message: "write the identity as the station is configured with it, percent-decoded, without a space at either end and without control characters",
        holds: Of(is_tidy),
    },
    Rule {
        at: "spec.identity",
        cel: Some("self == oldSelf"),
        message: "an identity cannot be changed: delete this ChargeStation and create one with the new identity",
        holds: OfChange(|old, new| old == new),
    },
    Rule {
        at: "spec.authentication",
        cel: Some("self.none || has(self.secretRef) || has(self.bootstrapSecretRef)"),
        message: "say how the station proves who it is: give secretRef or bootstrapSecretRef, or write none: true to admit it without a password",
        holds: Of(|authentication| {
            flag(authentication, "none")
                || has(authentication, "secretRef")
                || has(authentication, "bootstrapSecretRef")
        }),
    },
    Rule {
        at: "spec.authentication",
        cel: Some("!self.none || (!has(self.secretRef) && !has(self.bootstrapSecretRef))"),
        message: "none: true admits the station without a password: leave out secretRef and bootstrapSecretRef, or leave out none",
        holds: Of(|authentication| {
            !flag(authentication, "none")
                || (!has(authentication, "secretRef") && !has(authentication, "bootstrapSecretRef"))
        }),
    },
    Rule {
        at: "spec.authentication.secretRef.name",
        cel: Some(NAME),
        message: SECRET_NAME_MESSAGE,
        holds: Of(is_name),
    },
    Rule {
        at: "spec.authentication.secretRef.key",
        cel: Some(SECRET_KEY),
        message: SECRET_KEY_MESSAGE,
        holds: Of(is_secret_key),
    },
    Rule {
        at: "spec.authentication.bootstrapSecretRef.name",
        cel: Some(NAME),
        message: SECRET_NAME_MESSAGE,
        holds: Of(is_name),
    },
    Rule {
        at: "spec.authentication.bootstrapSecretRef.key",
        cel: Some(SECRET_KEY),
        message: SECRET_KEY_MESSAGE,
        holds: Of(is_secret_key),
    },
    Rule {
        at: "spec.hardware.vendor",
        cel: Some(TIDY),
        message: HARDWARE_MESSAGE,
        holds: Of(is_tidy),
    },
    Rule {
        at: "spec.hardware.model",
        cel: Some(TIDY),
        message: HARDWARE_MESSAGE,
        holds: Of(is_tidy),
    },
    Rule {
        at: "spec.hardware.firmware",
        cel: Some(TIDY),
        message: HARDWARE_MESSAGE,
        holds: Of(is_tidy),
    },
];

const MATCH_MESSAGE: &str = "write what the station reports, with * for any characters and ? for one, without a space at either end and without line breaks";
const REFERENCE_MESSAGE: &str = "begin with the short name of a document that stands under spec.sources, then a space and the section, such as: manual section 4.2";
const NAMED_FACTS_MESSAGE: &str =
    "name facts as the keys have them, such as range, access, takesEffect, hazard or default";

/// `KeyCatalogue`. What several entries have to do with each other is affordable once, over all of them.
pub(super) const CATALOGUE: &[Rule] = &[
    Rule {
        at: "spec",
        cel: Some(
            "has(self.firmwareOrder) || !has(self.match) || self.match.all(m, !has(m.firmwareFrom) && !has(m.firmwareBefore))",
        ),
        message: "a firmware range needs to know how versions are compared: write firmwareOrder: Numeric",
        holds: InDocument,
    },
    Rule {
        at: "spec",
        cel: Some(
            "!has(self.source) || (has(self.sources) && self.source.split(' ')[0] in self.sources)",
        ),
        message: REFERENCE_MESSAGE,
        holds: InDocument,
    },
    Rule {
        at: "spec",
        cel: Some(
            "!has(self.factSources) || self.factSources.all(fact, has(self.sources) && self.factSources[fact].split(' ')[0] in self.sources)",
        ),
        message: REFERENCE_MESSAGE,
        holds: InDocument,
    },
    Rule {
        at: "spec",
        cel: Some(
            "!has(self.keys) || self.keys.all(k, !has(k.source) || (has(self.sources) && k.source.split(' ')[0] in self.sources))",
        ),
        message: REFERENCE_MESSAGE,
        holds: InDocument,
    },
    Rule {
        at: "spec",
        cel: Some(
            "!has(self.quirks) || !has(self.quirks.source) || (has(self.sources) && self.quirks.source.split(' ')[0] in self.sources)",
        ),
        message: REFERENCE_MESSAGE,
        holds: InDocument,
    },
    Rule {
        at: "spec.factSources",
        cel: Some(NAMED_FACTS),
        message: NAMED_FACTS_MESSAGE,
        holds: InDocument,
    },
    Rule {
        at: "spec.keys[].sources",
        cel: Some(NAMED_FACTS),
        message: NAMED_FACTS_MESSAGE,
        holds: InDocument,
    },
    Rule {
        at: "spec.match[]",
        cel: Some(
            "has(self.vendor) || has(self.model) || has(self.firmware) || has(self.firmwareFrom) || has(self.firmwareBefore)",
        ),
        message: "an empty entry of match means every station: name a vendor, model or firmware, or leave match out if every station is meant",
        holds: InDocument,
    },
    Rule {
        at: "spec.match[].vendor",
        cel: Some(TIDY),
        message: MATCH_MESSAGE,
        holds: Of(is_tidy),
    },
    Rule {
        at: "spec.match[].model",
        cel: Some(TIDY),
        message: MATCH_MESSAGE,
        holds: Of(is_tidy),
    },
    Rule {
        at: "spec.match[].firmware",
        cel: Some(TIDY),
        message: MATCH_MESSAGE,
        holds: Of(is_tidy),
    },
    Rule {
        at: "spec.keys[].key",
        cel: Some(TIDY),
        message: "write the key as the station names it, without a space at either end and without line breaks",
        holds: Of(is_tidy),
    },
    Rule {
        at: "spec.keys[].range",
        cel: Some("!has(self.min) || !has(self.max) || self.min <= self.max"),
        message: "the range ends before it begins: write the lower number as min, and the higher one as max",
        holds: InDocument,
    },
    Rule {
        at: "spec.keys[].length",
        cel: Some("!has(self.min) || !has(self.max) || self.min <= self.max"),
        message: "no value has such a length: write the lower number as min, and the higher one as max",
        holds: InDocument,
    },
    Rule {
        at: "spec.keys[].hazard",
        cel: Some("size(self) > 0"),
        message: "an empty hazard says nothing: write [None] if nothing is endangered, or leave hazard out",
        holds: InDocument,
    },
    Rule {
        at: "spec.keys[].hazard",
        cel: Some("size(self) < 2 || !('None' in self)"),
        message: "hazard says None and something else: leave None out, or everything else",
        holds: InDocument,
    },
];

/// Every name is that of a fact. A test holds the list against the facts that there are.
const NAMED_FACTS: &str = "self.all(fact, fact in ['aliases', 'type', 'unit', 'range', 'length', 'pattern', 'excludes', 'values', 'itemValues', 'itemSuffixes', 'itemPrefix', 'ordered', 'maxItemsKey', 'atMostKey', 'access', 'takesEffect', 'required', 'profile', 'scope', 'hazard', 'after', 'affects', 'nature', 'default', 'recommended', 'supported', 'standard', 'note'])";

fn has(object: &Value, field: &str) -> bool {
    object.get(field).is_some()
}

fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get(field)?.as_str()
}

fn flag(object: &Value, field: &str) -> bool {
    object.get(field).and_then(Value::as_bool).unwrap_or(false)
}

fn list<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object
        .get(field)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Holds for what is not a string: the schema has refused that already.
fn of_text(value: &Value, holds: impl Fn(&str) -> bool) -> bool {
    value.as_str().is_none_or(holds)
}

fn is_tidy(value: &Value) -> bool {
    of_text(value, |text| {
        !text.is_empty()
            && !text.starts_with(' ')
            && !text.ends_with(' ')
            && text.chars().all(|character| !character.is_ascii_control())
    })
}

fn is_name(value: &Value) -> bool {
    of_text(value, is_dns_subdomain)
}

fn is_secret_key(value: &Value) -> bool {
    of_text(value, |key| {
        !key.is_empty()
            && key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    })
}

fn is_label_key(value: &Value) -> bool {
    of_text(value, label_key_is_well_formed)
}

fn is_label_value(value: &Value) -> bool {
    of_text(value, label_value_is_well_formed)
}

/// Dot-separated DNS labels in lower case, as Kubernetes names most objects.
pub(super) fn is_dns_subdomain(name: &str) -> bool {
    name.split('.').all(is_dns_label)
}

/// Lower-case letters, digits and `-`, with a letter or digit at both ends.
pub(super) fn is_dns_label(label: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !label.is_empty()
        && label.chars().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// An optional prefix with a slash, and a name of at most 63 characters.
pub(super) fn label_key_is_well_formed(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let prefix_fits = prefix.is_none_or(|prefix| {
        prefix.chars().all(inner) && prefix.starts_with(ends) && prefix.ends_with(ends)
    });
    prefix_fits && name.chars().count() <= 63 && is_label_name(name)
}

/// Empty, or as [`label_key_is_well_formed`] wants the name. Its length is bounded by the schema.
pub(super) fn label_value_is_well_formed(value: &str) -> bool {
    value.is_empty() || is_label_name(value)
}

fn is_label_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let ends = |c: char| c.is_ascii_alphanumeric();
    name.chars().all(inner) && name.starts_with(ends) && name.ends_with(ends)
}

#[cfg(test)]
mod tests {
    use super::NAMED_FACTS;
    use stationkeeper_core::catalogue::FACT_NAMES;

    #[test]
    fn the_rule_about_facts_names_all_of_them() {
        let quoted: Vec<String> = FACT_NAMES.iter().map(|fact| format!("'{fact}'")).collect();
        let list = format!("fact in [{}]", quoted.join(", "));
        assert!(NAMED_FACTS.contains(&list), "write {list}");
    }
}
