//! What a person is told about each kind of bad input, and what goes on all the same.

use super::*;
use secrecy::ExposeSecret;

fn read_text(text: &str) -> Manifests {
    read(
        &Arc::from(Path::new("fleet.yaml")),
        text.as_bytes(),
        "default",
    )
}

/// The only problem of a text.
fn problem(text: &str) -> String {
    let manifests = read_text(text);
    let problems: Vec<String> = manifests.all_problems().map(Problem::to_string).collect();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems.into_iter().next().unwrap()
}

/// A config with one setting, whose value is written as given (line 9, column 12).
fn config(value: &str) -> String {
    format!(
        "apiVersion: stationkeeper.dev/v1alpha1
kind: ChargeStationConfig
metadata:
  name: base
spec:
  stations: {{selector: {{}}}}
  settings:
  - key: HeartbeatInterval
    value: {value}
"
    )
}

fn check(value: &str, expect: &str) {
    assert_eq!(
        problem(&config(value)),
        format!("fleet.yaml:9:12: spec.settings[0].value: {expect}")
    );
}

#[test]
fn a_good_config_is_read() {
    let manifests = read_text(&config("\"300\""));
    assert_eq!(manifests.all_problems().count(), 0);
    let Some(Body::Config(config)) = &manifests.objects[0].body else {
        panic!("no config")
    };
    assert_eq!(config.spec.settings[0].value.as_deref(), Some("300"));
    assert_eq!(config.metadata.namespace.as_deref(), Some("default"));
}

#[test]
fn a_value_without_quotes_is_refused_with_what_kubectl_takes_it_for() {
    let told = |text: &str, words: &str| {
        check(
            text,
            &format!(
                "must be a string, and `{text}` without quotes is {words} to kubectl: quote it, as in \"{text}\""
            ),
        );
    };
    told("on", "the boolean true");
    told("off", "the boolean false");
    told("yes", "the boolean true");
    told("No", "the boolean false");
    told("y", "the boolean true");
    told("true", "the boolean true");
    told("300", "the number 300");
    told("012", "the number 10");
    told("1e3", "the number 1000.0");
    told("0x1F", "the number 31");
    told("1_000", "the number 1000");
    told("2024-01-31", "a date");
    let null =
        "is null to kubectl: write the value in quotes, \"\" for an empty one, or delete the line";
    check("~", null);
    check("null", null);
    check("[a]", "must be a string, and is a list");
    check("{a: b}", "must be a string, and is a map");
}

#[test]
fn quoted_and_plain_strings_are_fine() {
    for value in [
        "\"on\"",
        "'012'",
        "!!str 300",
        "Energy.Active.Import.Register",
        "\"\"",
        "12:30",
        "|-\n      on",
    ] {
        assert_eq!(
            read_text(&config(value)).all_problems().count(),
            0,
            "{value}"
        );
    }
}

#[test]
fn the_value_of_a_secret_looking_key_is_not_quoted() {
    let text = config("1234567890").replace("HeartbeatInterval", "AuthorizationKey");
    let told = format!("{:?}", read_text(&text).all_problems().collect::<Vec<_>>());
    assert!(
        told.contains("quote it") && !told.contains("1234567890"),
        "{told}"
    );
}

#[test]
fn an_unknown_field_is_told_with_the_near_name() {
    let text = config("\"1\"").replace("  settings:", "  priorty: 5\n  settings:");
    assert_eq!(
        problem(&text),
        "fleet.yaml:7:3: spec.priorty: there is no such field here: did you mean \"priority\"?"
    );
}

#[test]
fn a_wrong_word_is_told_with_the_right_ones() {
    let text = config("\"1\"").replace("  settings:", "  mode: enforce\n  settings:");
    let told = problem(&text);
    assert!(
        told.starts_with("fleet.yaml:7:9: spec.mode: ") && told.contains("Report, Enforce"),
        "{told}"
    );
}

#[test]
fn a_wrong_version_kind_or_group_is_told_with_the_right_one() {
    let told = problem(&config("\"1\"").replace("v1alpha1", "v1"));
    assert_eq!(
        told,
        "fleet.yaml:1:13: apiVersion: \"stationkeeper.dev/v1\" is not a version that is read here: write stationkeeper.dev/v1alpha1"
    );
    let told = problem(
        &config("\"1\"").replace("kind: ChargeStationConfig", "kind: ChargeStationsConfig"),
    );
    assert!(
        told.contains("did you mean \"ChargeStationConfig\"?"),
        "{told}"
    );
    let told = problem(&config("\"1\"").replace("stationkeeper.dev/", "stationkeper.dev/"));
    assert!(told.contains("write stationkeeper.dev/v1alpha1"), "{told}");
    let told = problem("kind: ChargeStation\n");
    assert!(
        told.starts_with("fleet.yaml:1:1: apiVersion: is missing"),
        "{told}"
    );
}

#[test]
fn names_that_kubernetes_refuses_are_refused() {
    for name in [
        "North_1",
        "a/b",
        "a%b",
        "\"a b\"",
        "-a",
        "Ü",
        &"a".repeat(254),
        "a..b",
    ] {
        let told = problem(&config("\"1\"").replace("name: base", &format!("name: {name}")));
        assert!(
            told.starts_with("fleet.yaml:4:9: metadata.name") && told.contains("no good name"),
            "{told}"
        );
    }
    let told = problem(&config("\"1\"").replace("name: base", "name: 300"));
    assert_eq!(
        told,
        "fleet.yaml:4:9: metadata.name: must be a string: quote it"
    );
    let told = problem(&config("\"1\"").replace("  name: base", "  labels: {a: b}"));
    assert_eq!(
        told,
        "fleet.yaml:4:3: metadata.name: is missing: give the object a name"
    );
}

#[test]
fn labels_without_quotes_are_refused() {
    let text = config("\"1\"").replace("  name: base", "  name: base\n  labels: {site: on}");
    assert!(problem(&text).contains("metadata.labels.site: must be a string"));
}

#[test]
fn a_duplicate_key_is_told_and_holds_the_object() {
    let manifests = read_text(&(config("\"1\"") + "    value: \"2\"\n"));
    assert_eq!(manifests.objects.len(), 1);
    assert_eq!(
        manifests.objects[0].problems[0].to_string(),
        "fleet.yaml:10:5: the key \"value\" stands here a second time (first in line 9): delete one of the two"
    );
}

#[test]
fn other_kinds_are_noted_and_left_alone() {
    let manifests =
        read_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {on: 1, on: 2}\n");
    assert_eq!(manifests.all_problems().count(), 0);
    assert_eq!(manifests.notes.len(), 1);
    assert!(manifests.objects.is_empty());
}

#[test]
fn one_bad_document_does_not_stop_the_others() {
    let good = config("\"1\"");
    let text = format!(
        "---\n{good}---\nkind: [\n---\n# nothing\n---\n{}",
        good.replace("base", "other")
    );
    let manifests = read_text(&text);
    assert_eq!(manifests.objects.len(), 2);
    assert_eq!(manifests.problems.len(), 1);
    assert!(
        manifests
            .objects
            .iter()
            .all(|object| object.problems.is_empty())
    );
}

#[test]
fn lists_are_opened() {
    let text = r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "stationkeeper.dev/v1alpha1", "kind": "ChargeStation", "metadata": {"name": "a"},
         "spec": {"identity": "A/1"}},
        {"apiVersion": "stationkeeper.dev/v1alpha1", "kind": "ChargeStation", "metadata": {"name": "b"},
         "spec": {"identity": 12}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"password": "x"}}
    ]}"#;
    let manifests = read_text(text);
    assert_eq!(manifests.objects.len(), 3);
    assert!(manifests.objects[0].problems.is_empty());
    assert_eq!(manifests.objects[1].problems[0].place.line, 5);
    assert!(manifests.objects[2].problems.is_empty());
}

#[test]
fn windows_files_are_read() {
    let text = format!("\u{feff}{}", config("on").replace('\n', "\r\n"));
    assert!(problem(&text).starts_with("fleet.yaml:9:12: "));
}

#[test]
fn what_is_not_utf_8_is_named_by_its_place() {
    let manifests = read(
        &Arc::from(Path::new("a.yaml")),
        b"a: b\nc: \xffd\n",
        "default",
    );
    assert!(
        manifests.problems[0]
            .to_string()
            .starts_with("a.yaml:2:4: not text"),
        "{}",
        manifests.problems[0]
    );
    let manifests = read(&Arc::from(Path::new("a.yaml")), b"\xff\xfea\0", "default");
    assert!(manifests.problems[0].to_string().contains("UTF-16"));
}

#[test]
fn ten_megabytes_are_refused() {
    let manifests = read(
        &Arc::from(Path::new("a.yaml")),
        &vec![b'#'; 10_000_000],
        "default",
    );
    assert!(manifests.problems[0].to_string().contains("split it"));
}

#[test]
fn a_tab_is_told() {
    let told = problem(&config("\"1\"").replace("    value", "\tvalue"));
    assert!(
        told.starts_with("fleet.yaml:9:1: the line is indented with a tab"),
        "{told}"
    );
}

#[test]
fn secrets_are_read_from_both_fields_and_never_told() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: north}\n\
                data: {a: aGVsbG8=, b: aGVsbG8=}\nstringData: {b: world}\n";
    let manifests = read_text(text);
    let Some(Body::Secret(data)) = &manifests.objects[0].body else {
        panic!("no secret")
    };
    assert_eq!(data["a"].expose_secret(), b"hello");
    assert_eq!(data["b"].expose_secret(), b"world");
    assert!(!format!("{manifests:?}").contains("world"));
    let told = problem(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: 12345678}\n",
    );
    assert!(
        told.starts_with("fleet.yaml:4:24: stringData.password: must be a string"),
        "{told}"
    );
    assert!(!told.contains("12345678"));
    let told =
        problem("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {password: hunter2!}\n");
    assert!(
        told.contains("not base64") && !told.contains("hunter2"),
        "{told}"
    );
}

#[test]
fn what_can_be_saved_of_a_bad_config_keeps_its_keys() {
    let manifests = read_text(&config("on"));
    let Some(Body::Config(config)) = &manifests.objects[0].body else {
        panic!("nothing saved")
    };
    assert_eq!(config.spec.settings[0].key, "HeartbeatInterval");
    assert_eq!(config.spec.settings[0].value.as_deref(), Some("on"));
}

#[test]
fn the_output_of_kubectl_get_is_read() {
    let text = config("\"1\"").replace(
        "  name: base",
        "  name: base\n  creationTimestamp: null\n  uid: x\n  resourceVersion: \"1\"\n  generation: 1\n  managedFields: []",
    ) + "status: {observedGeneration: 1}\n";
    assert_eq!(read_text(&text).all_problems().count(), 0);
}
