//! Documents of users above the built-in ones: read, checked, laid fact by fact, and kept from lowering a guard.

use std::error::Error;
use std::sync::Arc;

use stationkeeper_core::catalogue::{
    Access, Catalogue, CatalogueDocument, Definition, Hazard, Nature, StationCatalogue,
    TakesEffect, ValueType, WriteRule,
};
use stationkeeper_core::layer::Consent;
use stationkeeper_core::value;
use stationkeeper_core::words::{Device, Finding, Key, Severity};

fn document(text: &str) -> CatalogueDocument {
    CatalogueDocument::from_yaml("test", text).expect("the test's document is a good one")
}

fn with(documents: &[(&str, &str)]) -> StationCatalogue {
    let device = Device {
        vendor: Some("Amina".into()),
        model: Some("S".into()),
        ..Device::default()
    };
    let documents = documents
        .iter()
        .map(|&(name, text)| (name.to_owned(), document(text)));
    Catalogue::built_in()
        .with_documents(documents)
        .for_station(&device, Some("1.4.2"))
}

fn get(catalogue: &StationCatalogue, key: &str) -> Arc<Definition> {
    catalogue.definition(&Key::from(key))
}

fn check_refused(text: &str, told: &[&str]) {
    let error = CatalogueDocument::from_yaml("north/mine", text).expect_err(text);
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    let message = format!("{error}: {cause}");
    for words in told.iter().chain(&["north/mine"]) {
        assert!(message.contains(words), "{message:?} lacks {words:?}");
    }
}

#[test]
fn a_broken_document_is_refused_with_its_place() {
    check_refused(
        "keys:\n- key: A\n  hazzard: [None]\n",
        &["line 3", "hazzard"],
    );
    check_refused("keys:\n- key: A\n  type: Bool\n", &["line 3", "Bool"]);
    check_refused("keys:\n- key: A\n- key: A\n", &["line 3", "stands twice"]);
    check_refused(
        "keys:\n- key: A\n- key: B\n  range: {min: 5, max: 1}\n",
        &["line 3", "begins at 5"],
    );
    check_refused(
        "keys:\n- key: A\n  source: page 3\n",
        &["line 2", "\"page\""],
    );
    let page = "sources: {page: {publisher: P, title: T}}\n";
    check_refused(
        &format!("{page}keys:\n- key: A\n  sources: {{colour: page}}\n"),
        &["line 3", "colour", "no fact"],
    );
    check_refused("keys:\n- key: A\n  pattern: \"(\"\n", &["pattern"]);
    check_refused("keys:\n- key: A\n  hazard: []\n", &["[None]"]);
    check_refused("keys:\n- key: \" A\"\n", &["no key"]);
    check_refused(&format!("keys:\n- key: {}\n", "A".repeat(51)), &["1 to 50"]);
    check_refused(
        "match: [{vendor: A, firmwareFrom: \"1\"}]\n",
        &["firmwareOrder"],
    );
    check_refused(
        "keys: [{key: A, hazard: [None, Safety]}]",
        &["says None and something else"],
    );
    check_refused(
        "keys: [{key: A, length: {min: 5, max: 4}}]",
        &["such a length"],
    );
    check_refused("quirks: {maxKeysPerRequest: 0}", &["1 or more"]);
    check_refused("match: [{}]\n", &["every station"]);
    check_refused("keys: [{key: A, key: B}]\n", &["duplicate"]);
    check_refused("keys:\n\t- key: A\n", &["line 2"]);
}

#[test]
fn a_users_document_lies_above_the_built_in_ones_fact_by_fact() {
    let catalogue = with(&[(
        "mine",
        "keys: [{key: heartbeatinterval, range: {min: 60, max: 3600}}]",
    )]);
    let definition = get(&catalogue, "HeartbeatInterval");
    assert!(value::check(&definition, "30").is_err());
    assert!(value::check(&definition, "60").is_ok());
    assert_eq!(
        definition.default.as_ref().map(|fact| fact.value.as_str()),
        Some("86400"),
        "Amina's stays"
    );
    assert_eq!(definition.range.as_ref().unwrap().source.title, "mine");
    assert_eq!(
        catalogue.canonical(&Key::from("heartbeatinterval")),
        Key::from("HeartbeatInterval")
    );
}

#[test]
fn a_users_document_makes_a_new_key_known() {
    let catalogue = with(&[(
        "mine",
        "keys: [{key: Cst_New, type: Boolean, access: ReadWrite, hazard: [None]}]",
    )]);
    let definition = get(&catalogue, "Cst_New");
    assert!(definition.known);
    assert_eq!(definition.write_rule(), WriteRule::Free);
}

#[test]
fn a_key_whose_hazard_nobody_tells_is_treated_as_unknown() {
    let catalogue = with(&[("mine", "keys: [{key: Cst_New, type: Boolean}]")]);
    assert_eq!(
        get(&catalogue, "Cst_New").write_rule(),
        WriteRule::With(Consent::Unknown)
    );
}

#[test]
fn the_more_specific_document_wins_whatever_its_name() {
    let vague = ("z-vague", "keys: [{key: ResetRetries, default: \"1\"}]");
    let vendor = (
        "m-vendor",
        "match: [{vendor: \"Am*\"}]\nkeys: [{key: ResetRetries, default: \"2\"}]",
    );
    let model = (
        "a-model",
        "match: [{vendor: Amina, model: S}]\nkeys: [{key: ResetRetries, default: \"3\"}]",
    );
    let other = (
        "b-other",
        "match: [{vendor: Amina, model: X}]\nkeys: [{key: ResetRetries, default: \"4\"}]",
    );
    let default = |documents: &[_]| {
        get(&with(documents), "ResetRetries")
            .default
            .clone()
            .unwrap()
            .value
    };
    assert_eq!(default(&[vague, vendor, model, other]), "3");
    assert_eq!(default(&[model, vendor, vague]), "3");
    assert_eq!(default(&[vague, vendor]), "2");
    assert_eq!(default(&[vague]), "1");
}

#[test]
fn firmware_ranges_follow_the_vendors_order() {
    let range = |from, before| {
        format!(
            "match: [{{vendor: Amina, firmwareFrom: \"{from}\", firmwareBefore: \"{before}\"}}]\n\
             firmwareOrder: Numeric\nkeys: [{{key: ResetRetries, default: \"9\"}}]"
        )
    };
    let default = |text: String| {
        get(&with(&[("mine", text.as_str())]), "ResetRetries")
            .default
            .clone()
            .unwrap()
            .value
    };
    assert_eq!(default(range("1.4", "1.10")), "9", "the station has 1.4.2");
    assert_eq!(default(range("1.5", "1.10")), "2");
    assert_eq!(default(range("1.0", "1.4.2")), "2");
}

#[test]
fn equally_specific_documents_that_differ_hold_the_key() {
    let one = ("one", "keys: [{key: ResetRetries, default: \"1\"}]");
    let same = ("same", "keys: [{key: ResetRetries, default: \"1\"}]");
    let other = ("other", "keys: [{key: ResetRetries, default: \"7\"}]");
    assert_eq!(with(&[one, same]).findings(), []);
    let catalogue = with(&[one, other]);
    let [
        Finding {
            severity,
            rule,
            key,
            message,
        },
    ] = catalogue.findings()
    else {
        panic!("one finding")
    };
    assert_eq!(
        (*severity, rule.as_str()),
        (Severity::Error, "CatalogueConflict")
    );
    assert_eq!(key.as_ref(), Some(&Key::from("ResetRetries")));
    assert!(
        message.contains("\"default\"") && message.contains("\"other\""),
        "{message}"
    );
}

fn check_guard(text: &str, rule: &str) -> StationCatalogue {
    let catalogue = with(&[("mine", text)]);
    let rules: Vec<_> = catalogue
        .findings()
        .iter()
        .map(|finding| (finding.severity, finding.rule.as_str()))
        .collect();
    assert_eq!(rules, [(Severity::Warning, rule)], "{text}");
    catalogue
}

#[test]
fn a_users_document_never_lowers_a_hazard() {
    let catalogue = check_guard(
        "keys: [{key: SecurityProfile, hazard: [None]}]",
        "HazardNotLowered",
    );
    let kept = [Hazard::ConnectionCritical, Hazard::Irreversible];
    assert_eq!(get(&catalogue, "SecurityProfile").hazards(), kept);
    let catalogue = with(&[(
        "mine",
        "keys: [{key: ResetRetries, hazard: [OwnedElsewhere]}]",
    )]);
    assert_eq!(
        get(&catalogue, "ResetRetries").write_rule(),
        WriteRule::With(Consent::OwnedElsewhere)
    );
    assert_eq!(catalogue.findings(), []);
}

#[test]
fn a_users_document_never_widens_an_access() {
    let catalogue = check_guard(
        "keys: [{key: NumberOfConnectors, access: ReadWrite}]",
        "AccessNotWidened",
    );
    assert_eq!(
        get(&catalogue, "NumberOfConnectors").access(),
        Some(Access::ReadOnly)
    );
    let catalogue = with(&[("mine", "keys: [{key: ResetRetries, access: ReadOnly}]")]);
    assert!(get(&catalogue, "ResetRetries").is_read_only());
}

#[test]
fn a_users_document_never_makes_a_secret_public() {
    let catalogue = check_guard(
        "keys: [{key: AuthorizationKey, type: String}]",
        "HazardNotLowered",
    );
    assert!(get(&catalogue, "AuthorizationKey").is_secret());
}

#[test]
fn a_reading_stays_a_reading() {
    let builtin = with(&[(
        "mine",
        "keys: [{key: Odometer, type: Integer, nature: Telemetry, hazard: [None]}]",
    )]);
    let odometer = get(&builtin, "Odometer");
    assert_eq!(
        (odometer.nature(), odometer.write_rule()),
        (Some(Nature::Telemetry), WriteRule::Never)
    );
}

#[test]
fn two_keys_that_differ_only_by_case_are_told_apart_exactly() {
    let text = "keys:\n- {key: HeartBeatInterval, default: \"1\"}\n- {key: HeartbeatInterval, default: \"2\"}";
    let catalogue = with(&[("mine", text)]);
    let default = |key| get(&catalogue, key).default.clone().map(|fact| fact.value);
    assert_eq!(default("HeartBeatInterval").as_deref(), Some("1"));
    assert_eq!(default("HeartbeatInterval").as_deref(), Some("2"));
    let neither = Key::from("heartbeatinterval");
    assert_eq!(catalogue.canonical(&neither), neither);
    assert!(
        !catalogue.definition(&neither).known,
        "which of them is meant cannot be told"
    );
}

#[test]
fn aliases_lead_to_the_key() {
    let catalogue = with(&[(
        "mine",
        "keys: [{key: DlmInput1, aliases: [\"Dlm Input1\"], type: Integer}]",
    )]);
    assert_eq!(
        catalogue.canonical(&Key::from("dlm input1")),
        Key::from("DlmInput1")
    );
}

#[test]
fn a_type_that_replaces_another_voids_what_belonged_to_it() {
    let text = "keys: [{key: SecurityProfile, type: Enum, values: [{code: \"1\", label: Basic}, {code: \"2\", label: TLS}]}]";
    let definition = get(&with(&[("mine", text)]), "SecurityProfile");
    assert_eq!(
        (definition.value_type(), &definition.range),
        (Some(ValueType::Enum), &None)
    );
    assert!(value::equal(&definition, "tls", "2"));
}

#[test]
fn a_switch_is_equal_by_code_label_and_truth() {
    let text = "keys: [{key: LocalPreAuthorize, type: Enum, values: [{code: \"0\", label: \"Off\"}, {code: \"1\", label: \"On\"}]}]";
    let definition = get(&with(&[("mine", text)]), "LocalPreAuthorize");
    for spelling in ["1", "On", "on", "true", "TRUE", "yes"] {
        assert_eq!(value::to_wire(&definition, spelling), "1", "{spelling}");
        assert_eq!(value::check(&definition, spelling), Ok(()));
    }
    assert_eq!(
        value::in_vocabulary_of(&definition, "true", "Off").as_deref(),
        Some("On")
    );
    assert_eq!(value::in_vocabulary_of(&definition, "true", "0"), None);
    assert!(value::check(&definition, "2").is_err());
}

#[test]
fn quirks_come_from_the_documents_and_shape_the_definitions() {
    let text = "
match: [{vendor: Amina}]
quirks: {maxKeysPerRequest: 4, booleanVocabulary: Digits, acceptedMeansStoredUntilReset: true, maxValueLength: 800}
";
    let catalogue = with(&[("mine", text)]);
    assert_eq!(catalogue.quirks().max_keys_per_request, Some(4));
    assert_eq!(catalogue.quirks().boots_on_reconnect, None);
    assert_eq!(
        value::to_wire(&get(&catalogue, "LocalPreAuthorize"), "true"),
        "1"
    );
    assert_eq!(
        get(&catalogue, "ConnectorPhaseRotation").takes_effect(),
        TakesEffect::AfterReset
    );
    assert_eq!(
        get(&catalogue, "ResetRetries").takes_effect(),
        TakesEffect::Immediately,
        "the page says so of the key"
    );
    assert!(value::check(&get(&catalogue, "CpoName"), &"a".repeat(800)).is_ok());
    assert!(value::check(&get(&catalogue, "CpoName"), &"a".repeat(801)).is_err());
}

#[test]
fn a_length_over_500_lets_longer_values_pass() {
    let catalogue = with(&[(
        "mine",
        "keys: [{key: Banner, type: String, hazard: [None], length: {max: 1000}}]",
    )]);
    assert!(value::check(&get(&catalogue, "Banner"), &"a".repeat(1000)).is_ok());
    assert!(value::check(&get(&catalogue, "Banner"), &"a".repeat(1001)).is_err());
}

#[test]
fn a_decimal_is_compared_as_a_number_and_kept_in_range() {
    let text = "keys: [{key: Factor, type: Decimal, hazard: [None], range: {min: -1, max: 10, also: [99]}}]";
    let definition = get(&with(&[("mine", text)]), "Factor");
    for (a, b) in [("1.50", "01.5"), (".5", "0.5"), ("2.0", "2"), ("-0.0", "0")] {
        assert!(value::equal(&definition, a, b), "{a} and {b}");
    }
    for good in ["-1", "10", "9.99", "-0.5", "99", "10.0"] {
        assert_eq!(value::check(&definition, good), Ok(()), "{good}");
    }
    for bad in ["10.01", "-1.5", "99.5", "1,5", "ten", ""] {
        assert!(value::check(&definition, bad).is_err(), "{bad}");
    }
}

#[test]
fn a_document_survives_being_written_and_read() {
    let catalogue = Catalogue::built_in();
    for (name, document) in catalogue.documents() {
        let text = serde_yaml::to_string(document).unwrap();
        assert_eq!(
            &CatalogueDocument::from_yaml(name, &text).unwrap(),
            document,
            "{name}"
        );
    }
}

#[test]
fn the_schema_names_every_fact() {
    let schema = schemars::schema_for!(CatalogueDocument)
        .to_value()
        .to_string();
    for fact in stationkeeper_core::catalogue::FACT_NAMES {
        assert!(schema.contains(&format!("{fact:?}")), "{fact}");
    }
}
