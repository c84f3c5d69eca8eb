//! `lint` on a folder of wrong manifests, one for each kind of mistake, and on good ones; then as a person or a script
//! runs it.
//!
//! Each manifest says in its head what it claims and with which arguments it is checked (`# run:`), and at its end what
//! is found in it, each as `# finds: LINE:COLUMN SEVERITY RULE: words of the message`. Nothing else may be found.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;
use stationkeeper::lint::report::Severity;
use stationkeeper::lint::{Task, lint};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/lint")
        .join(name)
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "yaml"));
    files.sort();
    assert!(!files.is_empty(), "no manifests in {}", folder.display());
    files
}

/// What a manifest says of itself under a name.
fn said<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let head = format!("# {name}: ");
    let lines = text.lines();
    lines
        .filter_map(|line| Some(line.strip_prefix(&head)?.trim_end()))
        .collect()
}

/// The task of a manifest.
fn task(file: &Path, text: &str) -> Task {
    let mut task = Task {
        paths: vec![file.to_owned()],
        namespace: "default".to_owned(),
        ..Task::default()
    };
    let run = said(text, "run").concat();
    let words: Vec<&str> = run.split_whitespace().collect();
    for pair in words.chunks(2) {
        match pair {
            ["--vendor", vendor] => task.hardware.vendor = Some((*vendor).to_owned()),
            ["--stations", file] => task.stations = Some(folder("stations").join(file)),
            other => unreachable!("{}: {other:?} is not known here", file.display()),
        }
    }
    task
}

/// Each finding as manifests write it: place, severity and rule, and the message.
fn found(task: &Task) -> Vec<(String, String)> {
    let report = lint(task).unwrap();
    let word = |severity| match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let findings = report.findings.iter();
    findings
        .map(|(finding, _)| {
            let place = finding.place.as_ref();
            let (line, column) = place.map_or((0, 0), |place| (place.line, place.column));
            let head = format!(
                "{line}:{column} {} {}",
                word(finding.severity),
                finding.rule
            );
            (head, finding.message.clone())
        })
        .collect()
}

#[test]
fn each_wrong_manifest_is_told_with_place_rule_and_mend_and_nothing_else() {
    let mut wrong = String::new();
    for file in yaml_files(&folder("wrong")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let expected = said(&text, "finds");
        let claims = said(&text, "claim").len();
        let found = found(&task(&file, &text));
        let agrees = |expected: &str, (head, message): &(String, String)| {
            let (place, words) = expected.split_once(": ").unwrap_or((expected, ""));
            place == head && !words.is_empty() && message.contains(words)
        };
        let all = claims == 1
            && !expected.is_empty()
            && expected.len() == found.len()
            && (expected.iter().zip(&found)).all(|(expected, found)| agrees(expected, found));
        if !all {
            let _ = writeln!(wrong, "{}:\n  {expected:#?}\n  {found:#?}", file.display());
        }
    }
    assert_eq!(wrong, "");
}

#[test]
fn nothing_is_to_be_mended_in_good_manifests() {
    for file in yaml_files(&folder("good")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut found = found(&task(&file, &text));
        found.retain(|(head, _)| !head.contains(" note "));
        assert_eq!(found, [], "{}", file.display());
    }
}

#[test]
fn examples_are_clean_but_for_the_key_that_the_demo_leaves_without_consent() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(examples)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        // Policies of the API server, and fixtures of every state: none of them is a fleet.
        .filter(|path| !path.ends_with("admission") && !path.ends_with("gitops"))
        .collect();
    folders.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/gitops/fleet"));
    folders.sort();
    assert!(folders.len() >= 2, "{folders:?}");
    for folder in folders {
        let task = Task {
            paths: vec![folder.clone()],
            namespace: "default".to_owned(),
            ..Task::default()
        };
        let mut found = found(&task);
        found.retain(|(head, _)| !head.contains(" note "));
        // `house-rules` waits for consent on purpose, and says so.
        if folder.ends_with("demo") {
            found.retain(|(head, _)| !head.ends_with(" error unknown-key"));
        }
        assert_eq!(found, [], "{}", folder.display());
    }
}

#[test]
fn no_message_shows_a_secret() {
    for name in ["secret-in-plain.yaml", "unquoted-secret.yaml"] {
        let file = folder("wrong").join(name);
        let (printed, _) = run(&[file.to_str().unwrap(), "--vendor", "Bender"], "");
        assert!(
            !printed.contains("hunter2") && !printed.contains("12345678"),
            "{printed}"
        );
    }
}

const SOUND: &str = "apiVersion: stationkeeper.dev/v1alpha1\nkind: ChargeStationConfig\nmetadata: {name: a}\nspec:\n  \
                     stations: {selector: {}}\n  settings: [{key: HeartbeatInterval, value: \"300\"}]\n";

/// Runs `lint` with something on stdin: what it prints, and its exit code.
fn run(arguments: &[&str], stdin: &str) -> (String, i32) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_stationkeeper"))
        .arg("lint")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever has nothing to read from it closes it.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    (printed + &complaint, output.status.code().unwrap())
}

#[test]
fn the_exit_code_tells_fine_from_wrong_and_from_failed() {
    let daily = SOUND.replace("\"300\"", "\"100000\"");
    let unquoted = SOUND.replace("\"300\"", "300");
    let empty = tempfile::tempdir().unwrap();
    for (arguments, stdin, code, words) in [
        (&["-"][..], SOUND, 0, "0 errors"),
        (&["-"], &daily, 0, "1 warning"),
        (&["-", "--strict"], &daily, 2, "1 warning"),
        (&["-"], "", 0, "nothing-to-check"),
        (&["-"], &unquoted, 2, "<stdin>:6:46: error: "),
        (
            &["no-such-file.yaml"],
            "",
            1,
            "failed to read \"no-such-file.yaml\"",
        ),
        (
            &[empty.path().to_str().unwrap()],
            "",
            1,
            "there is no *.yaml",
        ),
        (&["-", "--no-such-flag"], "", 1, "unexpected argument"),
        (&[], "", 1, "required"),
        (
            &["-", "--stations", "no-such-file.yaml"],
            SOUND,
            1,
            "failed to read",
        ),
    ] {
        let (printed, exit) = run(arguments, stdin);
        assert_eq!(exit, code, "{arguments:?}: {printed}");
        assert!(printed.contains(words), "{arguments:?}: {printed}");
    }
}

#[test]
fn json_and_byte_order_marks_and_folders_are_read() {
    let json = r#"{"apiVersion": "stationkeeper.dev/v1alpha1", "kind": "ChargeStationConfig", "metadata": {"name": "a"},
  "spec": {"stations": {"selector": {}}, "settings": [{"key": "HeartbeatInterval", "value": 300}]}}"#;
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("north/harbour");
    std::fs::create_dir_all(&below).unwrap();
    std::fs::write(below.join("a.json"), json).unwrap();
    std::fs::write(
        below.join("b.yml"),
        format!("\u{feff}{}", SOUND.replace("name: a", "name: b")),
    )
    .unwrap();
    std::fs::write(below.join("values.txt"), "a: [").unwrap();
    let (printed, code) = run(&[folder.path().to_str().unwrap()], "");
    assert_eq!(code, 2, "{printed}");
    assert!(
        printed.contains("a.json:2:93: error: spec.settings[0].value (HeartbeatInterval)"),
        "{printed}"
    );
    assert!(
        printed.ends_with("2 objects in 2 files: 1 error, 0 warnings, 0 notes\n"),
        "{printed}"
    );
}

#[test]
fn a_file_that_is_too_large_is_told_and_not_read() {
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    file.as_file().set_len(10 * 1024 * 1024).unwrap();
    let (printed, code) = run(&[file.path().to_str().unwrap()], "");
    assert_eq!(code, 2, "{printed}");
    assert!(printed.contains("split it into several files"), "{printed}");
}

#[test]
fn the_document_for_machines_has_every_fact_or_null() {
    const FIELDS: [&str; 12] = [
        "file",
        "line",
        "column",
        "severity",
        "rule",
        "kind",
        "namespace",
        "name",
        "field",
        "key",
        "station",
        "message",
    ];
    let file = folder("wrong").join("identity-in-address.yaml");
    let file = file.to_str().unwrap();
    let (printed, code) = run(&[file, "-o", "json"], "");
    let document: Json = serde_json::from_str(&printed).expect(&printed);
    assert_eq!(code, 2);
    let finding = &document["findings"][0];
    assert_eq!(finding.as_object().unwrap().len(), FIELDS.len());
    for field in FIELDS {
        assert!(!finding[field].is_null(), "{field}: {printed}");
    }
    assert_eq!(finding["rule"], "network-profile-value");
    assert_eq!(finding["severity"], "error");
    assert_eq!(finding["station"], "one");
    let summary =
        serde_json::json!({"files": 1, "objects": 2, "errors": 1, "warnings": 0, "notes": 0});
    assert_eq!(document["summary"], summary);

    let (yaml, _) = run(&[file, "-o", "yaml"], "");
    let same: Json = serde_yaml::from_str(&yaml).unwrap();
    assert_eq!(same, document);

    let (clean, code) = run(&["-", "-o", "json"], SOUND);
    let clean: Json = serde_json::from_str(&clean).unwrap();
    assert_eq!((clean["findings"].as_array().unwrap().len(), code), (0, 0));
}
