//! That core stays pure: no I/O, clock, randomness, threads, async or Kubernetes client, in source and in manifest.

use std::path::{Path, PathBuf};

/// What must not be named in core, and what to do instead.
const FORBIDDEN: &[(&str, &str)] = &[
    (
        "std::fs",
        "read and write files in the operator; core takes text",
    ),
    ("std::net", "sockets belong to the gateway"),
    ("std::io", "core takes and gives values"),
    ("std::env", "settings come in as arguments"),
    ("std::process", "core starts and ends nothing"),
    ("std::thread", "core is synchronous; run it where you are"),
    ("SystemTime", "take `now` as an argument"),
    ("Instant", "take `now` as an argument"),
    ("Timestamp::now", "take `now` as an argument"),
    ("Zoned::now", "take `now` as an argument"),
    ("rand::", "take random numbers as arguments"),
    (
        "RandomState",
        "use BTreeMap: what is seen must not depend on chance",
    ),
    ("tokio", "async is at the rim, in the operator"),
    ("async fn", "async is at the rim, in the operator"),
    ("kube::", "objects are converted in the operator"),
    ("k8s_openapi", "objects are converted in the operator"),
    ("tracing::", "return what is to be told"),
    ("println!", "return what is to be told"),
];

/// The crates that core may depend on; none of them does I/O by itself.
const ALLOWED: &[&str] = &[
    "jiff",
    "regex-lite",
    "schemars",
    "serde",
    "serde_json",
    "serde_yaml",
    "thiserror",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Product code without comments and without test modules, which stand last in a file.
fn product_code(text: &str) -> String {
    let product = text.split("#[cfg(test)]").next().unwrap_or_default();
    let code = product
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

#[test]
fn core_has_no_io_clock_randomness_or_kubernetes_client() {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    assert!(
        files.len() > 20,
        "only {} files were looked at",
        files.len()
    );
    let mut mistakes = Vec::new();
    for file in files {
        let code = product_code(&std::fs::read_to_string(&file).expect("a source is text"));
        for (word, instead) in FORBIDDEN.iter().filter(|(word, _)| code.contains(word)) {
            mistakes.push(format!("{} names {word}: {instead}", file.display()));
        }
    }
    assert!(
        mistakes.is_empty(),
        "core must stay pure:\n{}",
        mistakes.join("\n")
    );
}

#[test]
fn core_depends_on_crates_that_do_no_io_only() {
    let manifest = include_str!("../../Cargo.toml");
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
    let dependencies = dependencies.split("\n[").next().unwrap_or_default();
    let names: Vec<&str> = dependencies
        .lines()
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect();
    assert!(
        names.contains(&"jiff"),
        "the manifest could not be read: {names:?}"
    );
    for name in names {
        assert!(
            ALLOWED.contains(&name),
            "core must stay pure: {name} is not among {ALLOWED:?}; if it does no I/O, add it there"
        );
    }
}

#[test]
fn the_scan_sees_what_it_looks_for() {
    assert!(product_code("use std::fs;\n").contains("std::fs"));
    assert!(!product_code("// std::fs is for others\n").contains("std::fs"));
    assert!(
        !product_code("fn a() {}\n#[cfg(test)]\nmod tests { use std::fs; }").contains("std::fs")
    );
}
