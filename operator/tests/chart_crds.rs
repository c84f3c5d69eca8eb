//! The chart's CRD templates are the program's CRDs, between the switches that install and keep them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

use stationkeeper::objects::schema::{Kind, definition, yaml};

/// The line of a printed CRD after which the template adds its own metadata.
const METADATA: &str = "metadata:\n";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/stationkeeper/templates/crds")
}

fn file(kind: Kind) -> PathBuf {
    let definition = definition(kind);
    let name = definition["metadata"]["name"].as_str().unwrap();
    folder().join(format!("{name}.yaml"))
}

/// The template of a kind: text that Helm leaves as it is, but for the switches.
fn template(kind: Kind) -> String {
    let printed = yaml(kind);
    assert!(
        !printed.contains("{{"),
        "Helm would take a text of {kind:?} for a template"
    );
    let (before, after) = printed.split_once(METADATA).unwrap();
    format!(
        "{{{{- /* Generated: `UPDATE=1 cargo test -p stationkeeper --test chart_crds`. */}}}}\n\
         {{{{- if .Values.crds.install }}}}\n\
         {before}{METADATA}  labels:\n    {{{{- include \"stationkeeper.labels\" . | nindent 4 }}}}\n\
         {{{{- if .Values.crds.keep }}}}\n  annotations:\n    helm.sh/resource-policy: keep\n{{{{- end }}}}\n\
         {after}{{{{- end }}}}\n"
    )
}

/// Writes the templates if that was asked for; each test does, since they run at once.
fn update() {
    if std::env::var_os("UPDATE").is_some() {
        for kind in Kind::ALL {
            fs::write(file(kind), template(kind)).unwrap();
        }
    }
}

#[test]
fn the_charts_crds_are_up_to_date() {
    update();
    for kind in Kind::ALL {
        let (file, fresh) = (file(kind), template(kind));
        let kept = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            kept == fresh,
            "{} is stale: run `UPDATE=1 cargo test -p stationkeeper --test chart_crds` and commit the change",
            file.display()
        );
    }
}

#[test]
fn the_chart_has_every_crd_and_no_other() {
    update();
    let mut expected: Vec<PathBuf> = Kind::ALL.into_iter().map(file).collect();
    expected.sort();
    let entries = fs::read_dir(folder()).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    assert_eq!(found, expected);
}
