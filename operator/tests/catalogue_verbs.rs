//! `explain`, `catalogue export` and `catalogue check`, as a person or a script runs them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;

/// What the program prints on stdout, and its exit code.
fn run(arguments: &[&str]) -> (String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_stationkeeper"))
        .args(arguments)
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    (printed + &complaint, output.status.code().unwrap())
}

fn json(arguments: &[&str]) -> Json {
    let (printed, _) = run(arguments);
    serde_json::from_str(&printed).expect(&printed)
}

fn exported() -> Vec<Json> {
    let rows = json(&["catalogue", "export", "-o", "json"]);
    rows.as_array().expect("an array is printed").clone()
}

fn row(rows: &[Json], vendor: Option<&str>, key: &str) -> Json {
    rows.iter()
        .find(|row| row["vendor"].as_str() == vendor && row["key"] == key)
        .expect(key)
        .clone()
}

fn checked(text: &str, told: &[&str], code: i32) {
    let mut file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let (printed, exit) = run(&["catalogue", "check", file.path().to_str().unwrap()]);
    for words in told {
        assert!(printed.contains(words), "{printed} lacks {words:?}");
    }
    assert_eq!(exit, code, "{printed}");
}

#[test]
fn the_export_has_every_row_of_every_reference() {
    let rows = exported();
    let count = |vendor: Option<&str>| {
        let of_vendor = |row: &&Json| row["vendor"].as_str() == vendor;
        rows.iter().filter(of_vendor).count()
    };
    assert!(count(None) >= 52, "43 and 9 of the other papers");
    assert!(count(Some("Amina")) >= 56);
    assert!(count(Some("Ensto")) >= 60);
    assert!(count(Some("Bender")) >= 369);
}

#[test]
fn every_row_of_the_export_has_every_field() {
    const FIELDS: &[&str] = &[
        "vendor",
        "key",
        "type",
        "unit",
        "access",
        "takesEffect",
        "scope",
        "hazard",
        "nature",
        "range",
        "values",
        "default",
        "recommended",
        "required",
        "profile",
        "standard",
        "after",
        "affects",
        "source",
    ];
    for row in exported() {
        for field in FIELDS {
            assert!(row.get(field).is_some(), "{field} is missing in {row}");
        }
        assert!(row["source"].is_string() && row["key"].is_string());
    }
}

#[test]
fn a_vendors_row_says_nothing_that_only_the_standard_says() {
    let rows = exported();
    let amina = row(&rows, Some("Amina"), "MeterValueSampleInterval");
    assert_eq!(amina["default"], "60");
    for unsaid in [
        "type",
        "unit",
        "required",
        "profile",
        "hazard",
        "recommended",
    ] {
        assert_eq!(amina[unsaid], Json::Null, "{unsaid}");
    }
    let standard = row(&rows, None, "MeterValueSampleInterval");
    assert_eq!(standard["unit"], "seconds");
    assert_eq!(standard["default"], Json::Null);
}

#[test]
fn the_export_writes_ranges_values_hazards_and_recommendations_as_asked() {
    let rows = exported();
    let mode = row(&rows, Some("Ensto"), "FreeCharging");
    let switch = serde_json::json!([{"code": "0", "label": "Off"}, {"code": "1", "label": "On"}]);
    assert_eq!(mode["values"], switch);
    let offset = row(&rows, Some("Ensto"), "DlmInput1CurrOffsetPhase3");
    assert_eq!(offset["range"], serde_json::json!([-1000, 0]));
    let ping = row(&rows, None, "WebSocketPingInterval");
    assert_eq!(ping["range"], serde_json::json!([0, null]));
    let profile = row(&rows, None, "SecurityProfile");
    assert_eq!(profile["hazard"], "ConnectionCritical");
    assert_eq!(
        profile["hazards"],
        serde_json::json!(["ConnectionCritical", "Irreversible"])
    );
    let interval = row(&rows, None, "MeterValueSampleInterval");
    assert_eq!(interval["recommended"], "300");
    assert_eq!(
        interval["recommendations"][1],
        serde_json::json!({"value": "900", "by": "GreenFlux", "when": "AC"})
    );
    let profiles = row(&rows, None, "SupportedFeatureProfiles");
    assert_eq!(
        profiles["values"][0],
        serde_json::json!({"code": "Core", "label": null})
    );
}

#[test]
fn a_recommendation_for_some_stations_is_not_exported_as_one_for_all() {
    let rows = exported();
    let strictness = row(&rows, Some("Bender"), "SSLModeClient");
    assert_eq!(strictness["recommended"], Json::Null);
    assert_eq!(strictness["recommendations"][0]["value"], "Skip host check");
    let ciphers = row(&rows, Some("Bender"), "OcppConStrictTls");
    assert_eq!(ciphers["recommended"], "Only secure ciphers");
}

#[test]
fn a_known_key_is_explained_per_reference_with_sources() {
    let (printed, code) = run(&["explain", "localauthlistenabled"]);
    assert_eq!(code, 0, "{printed}");
    for words in [
        "LocalAuthListEnabled",
        "OCPP standard",
        "Amina",
        "Ensto",
        "Where they differ",
        "ReadWrite (OCPP standard)",
        "ReadOnly (Ensto)",
        "Open Charge Point Protocol 1.6 edition 2, section 9.2.1",
    ] {
        assert!(printed.contains(words), "{printed} lacks {words:?}");
    }
}

#[test]
fn explain_tells_what_it_takes_to_write_a_key() {
    for (key, vendor, expected) in [
        (
            "NetworkConnectionProfile1",
            "Amina",
            "written with the consents ConnectionCritical and NoFallback, while the station is idle, over a connection \
             with a password; takes effect at once",
        ),
        (
            "WLANPassword",
            "Bender",
            "written with the consents ConnectionCritical and NoFallback, from a Secret, while the station is idle, over \
             a connection with a password; takes effect at once",
        ),
        (
            "RCMBIEC62955Mode",
            "Bender",
            "written with the consents Irreversible and Safety; takes effect with the next boot",
        ),
        // Never written in this version, whoever consents.
        (
            "NetworkConfigurationPriority",
            "Amina",
            "held in this version",
        ),
        (
            "OCPPBackendJSONURL",
            "Bender",
            "no Reset of ours may follow",
        ),
        ("AuthorizationKey", "Amina", "refused in this version"),
        ("SecurityProfile", "Ensto", "refused in this version"),
    ] {
        let told = json(&["explain", key, "--vendor", vendor, "-o", "json"]);
        let writing = told["keys"][0]["writing"]
            .as_array()
            .unwrap()
            .last()
            .unwrap();
        let says = writing["says"].as_str().unwrap();
        assert!(says.contains(expected), "{key}: {says}");
    }
    let told = json(&["explain", "DlmState", "--vendor", "ensto", "-o", "json"]);
    let says = told["keys"][0]["writing"][0]["says"].as_str().unwrap();
    assert!(says.contains("never drift"), "{says}");
    assert_eq!(told["keys"][0]["references"].as_array().unwrap().len(), 1);
    let (printed, _) = run(&["explain", "StopTxnSampledData"]);
    assert!(
        printed.contains("Bender            not supported, says the vendor"),
        "{printed}"
    );
}

#[test]
fn a_misspelt_key_is_answered_with_the_real_one() {
    for (spelt, real) in [
        ("MeterValueSampledData", "MeterValuesSampledData"),
        ("AllowOfflineTxForUnkownId", "AllowOfflineTxForUnknownId"),
    ] {
        let (printed, code) = run(&["explain", spelt]);
        assert!(
            printed.contains(&format!("Did you mean {real}")),
            "{printed}"
        );
        assert!(printed.contains("GreenFlux"), "{printed}");
        assert_eq!(code, 2);
        let told = json(&["explain", spelt, "-o", "json"]);
        assert_eq!(told["known"], false);
        assert_eq!(told["suggestions"][0]["key"], real);
    }
    let (printed, code) = run(&["explain", "zzz"]);
    assert!(printed.contains("No catalogue knows"), "{printed}");
    assert_eq!(code, 2);
}

#[test]
fn keys_that_differ_only_by_case_are_explained_apart() {
    let told = json(&["explain", "HeartBeatInterval", "-o", "json"]);
    let keys: Vec<&str> = told["keys"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|key| key["key"].as_str())
        .collect();
    assert_eq!(keys, ["HeartBeatInterval", "HeartbeatInterval"]);
}

#[test]
fn an_unknown_vendor_is_an_error_that_names_the_known_ones() {
    let (printed, code) = run(&["explain", "HeartbeatInterval", "--vendor", "Volta"]);
    assert_eq!(code, 1);
    assert!(printed.contains("Ensto"), "{printed}");
}

#[test]
fn what_a_catalogue_file_has_wrong_is_told_with_its_line() {
    checked(
        "keys:\n- key: A\n  type: Bool\n  default: on\n  hazzard: [None]\n- type: Integer\n",
        &[
            ":3:9: error: keys[0].type: \"Bool\"",
            ":4:12: error: keys[0].default: must be a string, and `on` without quotes is the boolean",
            ":5:3: error: keys[0].hazzard",
            "did you mean \"hazard\"?",
            ":6:3: error: keys[1].key",
        ],
        2,
    );
    checked(
        "keys:\n- key: A\n- key: A\n",
        &[":3:3: error", "stands twice"],
        2,
    );
    checked(
        "keys:\n- key: A\n  pattern: \"(\"\n",
        &[":3:12: error", "pattern"],
        2,
    );
    checked(
        "keys:\n- key: A\n  source: page 3\n",
        &[":2:3: error", "\"page\""],
        2,
    );
    checked("keys: [\n", &["error: not YAML"], 2);
    checked("keys:\n\t- key: A\n", &[":2:"], 2);
    checked("kind: ConfigMap\n", &["no catalogue in this file"], 2);
    checked("", &["no catalogue in this file"], 2);
}

#[test]
fn a_default_that_the_key_does_not_take_is_an_error() {
    checked(
        "keys:\n- {key: A, type: Integer, range: {min: 6, max: 32}, default: \"40\", hazard: [None]}\n",
        &[":2:", "keys[0].default (A)", "write 6 to 32"],
        2,
    );
}

#[test]
fn what_a_document_may_not_do_or_leaves_open_is_a_warning() {
    checked(
        "vendor: Volta\nkeys:\n- key: AuthorizationKey\n  hazard: [None]\n- key: B\n  type: Boolean\n  affects: [Heartbeatinterva]\n",
        &[
            ":1:1: warning: a vendor is named",
            ":1:1: warning: 2 of 2 keys say nowhere",
            ":3:3: warning: keys[0] (AuthorizationKey)",
            "may be added but not taken away",
            ":5:3: warning: keys[1] (B): nobody says what writing it endangers",
            ":7:12: warning: keys[1].affects (B)",
        ],
        0,
    );
}

#[test]
fn a_key_catalogue_object_is_checked_alike() {
    let object = |facts: &str| {
        format!(
            "apiVersion: stationkeeper.dev/v1alpha1\nkind: KeyCatalogue\nmetadata: {{name: volta}}\nspec:\n  keys:\n  - key: A\n    {facts}\n"
        )
    };
    checked(
        &object("type: Intger"),
        &[":7:11: error: spec.keys[0].type"],
        2,
    );
    checked(&object("hazard: [None]"), &["1 keys, 0 errors"], 0);
}

#[test]
fn a_check_is_read_by_machines_too() {
    let mut file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    file.write_all(b"keys:\n- key: A\n  type: Bool\n").unwrap();
    let told = json(&[
        "catalogue",
        "check",
        "-o",
        "json",
        file.path().to_str().unwrap(),
    ]);
    assert_eq!(told["problems"][0]["line"], 3);
    assert_eq!(told["problems"][0]["severity"], "Error");
    assert_eq!(told["problems"][0]["field"], "keys[0].type");
}

#[test]
fn a_file_that_is_not_there_is_an_error_of_its_own() {
    let (printed, code) = run(&["catalogue", "check", "nowhere.yaml"]);
    assert_eq!(code, 1);
    assert!(printed.contains("nowhere.yaml"), "{printed}");
}

#[test]
fn the_built_in_files_pass_their_own_check() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("core/catalogue");
    for file in std::fs::read_dir(folder).unwrap() {
        let (printed, code) = run(&["catalogue", "check", file.unwrap().path().to_str().unwrap()]);
        assert_eq!(code, 0, "{printed}");
    }
}

#[test]
fn the_example_of_the_page_about_new_vendors_is_a_good_catalogue() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/adding-a-vendor.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("```yaml\n").skip(1);
    let blocks: Vec<&str> = blocks.filter_map(|rest| rest.split("```").next()).collect();
    let whole = blocks
        .iter()
        .find(|block| block.starts_with("apiVersion"))
        .unwrap();
    checked(whole, &["keys, 0 errors, 0 warnings"], 0);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/catalogue/volta.yaml");
    let file = std::fs::read_to_string(file).unwrap();
    assert!(
        file == *whole,
        "the page and examples/catalogue/volta.yaml differ: make them one"
    );
    let wrong = blocks
        .iter()
        .find(|block| block.starts_with("- key: VoltaMaxCurrent"))
        .unwrap();
    let printed = page
        .split("```text\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    let mut file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    file.write_all(format!("keys:\n{wrong}").as_bytes())
        .unwrap();
    let path = file.path().to_str().unwrap();
    let (told, code) = run(&["catalogue", "check", path]);
    for line in printed.lines().filter(|line| line.contains("error:")) {
        let (_, message) = line.split_once("error: ").unwrap();
        assert!(
            told.contains(message),
            "the page shows {message:?}, and the program tells {told}"
        );
    }
    assert_eq!(code, 2, "{told}");
}
