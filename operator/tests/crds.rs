//! The files in `crds/` are what the program prints.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use stationkeeper::objects::schema::{Kind, definition, yaml};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds")
}

fn file(kind: Kind) -> PathBuf {
    let name = definition(kind)["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    folder().join(format!("{name}.yaml"))
}

#[test]
fn generated_crds_are_up_to_date() {
    for kind in Kind::ALL {
        let (file, fresh) = (file(kind), yaml(kind));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&file, &fresh).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            kept == fresh,
            "crds/{} is stale: run `UPDATE=1 cargo test -p stationkeeper --test crds` and commit the change",
            file.file_name().unwrap().display()
        );
    }
}

#[test]
fn there_is_one_file_a_kind_and_no_other() {
    let mut expected: Vec<PathBuf> = Kind::ALL.into_iter().map(file).collect();
    expected.sort();
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn the_printed_yaml_says_what_the_definition_says() {
    for kind in Kind::ALL {
        let read: serde_json::Value = serde_yaml::from_str(&yaml(kind)).unwrap();
        assert_eq!(read, definition(kind));
    }
}
