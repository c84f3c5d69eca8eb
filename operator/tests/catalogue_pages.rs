//! The reference pages in `docs/keys` are what the program writes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use stationkeeper::cli::catalogue::page::pages;
use stationkeeper_core::catalogue::Catalogue;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/keys")
}

#[test]
fn reference_pages_are_up_to_date() {
    for page in pages(&Catalogue::built_in()) {
        let kept = std::fs::read_to_string(folder().join(&page.file)).unwrap_or_default();
        assert!(
            kept == page.text,
            "docs/keys/{} is stale: run `cargo run -p stationkeeper -- catalogue pages docs/keys` and commit the change",
            page.file
        );
    }
}

#[test]
fn there_is_one_page_a_reference_and_no_other() {
    let mut expected: Vec<String> = pages(&Catalogue::built_in())
        .into_iter()
        .map(|page| page.file)
        .collect();
    expected.sort();
    let mut found: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn every_fact_of_every_key_stands_on_its_page_with_a_source() {
    let catalogue = Catalogue::built_in();
    let pages = pages(&catalogue);
    for row in catalogue.rows() {
        let file = row.document.replace(".yaml", ".md");
        let page = pages.iter().find(|page| page.file == file).unwrap();
        let name = row.definition.key.as_ref().unwrap().as_str();
        let heading = format!("### {}\n", name.replace('_', "\\_"));
        let (_, rest) = page.text.split_once(&heading).expect(name);
        let section = rest.split("\n#").next().unwrap();
        let lines = section.lines().filter(|line| !line.is_empty()).count();
        assert_eq!(lines, row.definition.facts().len(), "{name}: {section}");
        let sourced = section.lines().filter(|line| line.ends_with(']')).count();
        assert_eq!(sourced, lines, "{name}: {section}");
    }
}

#[test]
fn every_anchor_of_the_overview_is_used_once() {
    for page in pages(&Catalogue::built_in()) {
        let mut anchors: Vec<&str> = page
            .text
            .lines()
            .filter(|line| line.starts_with("| ["))
            .filter_map(|line| line.split_once("(#")?.1.split(')').next())
            .collect();
        let rows = anchors.len();
        anchors.sort_unstable();
        anchors.dedup();
        assert_eq!(anchors.len(), rows, "{}", page.file);
    }
}
