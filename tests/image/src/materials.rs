//! The bill of materials, as CycloneDX 1.6 in JSON, and the folder that it and the licences are written to.
//!
//! In: the graph of crates. Out: a document that is the same for the same sources: without a number of its own, and with
//! the time of `SOURCE_DATE_EPOCH` or none. What the base image holds is not in it; a scanner reads that from the base.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use crate::graph::{Graph, Id, Package};
use crate::licences;

/// The file with the licences.
pub const LICENCES: &str = "THIRD-PARTY-LICENSES.txt";

/// The file with the bill of materials.
pub const BILL: &str = "stationkeeper.cdx.json";

/// Writes both files into a folder.
pub fn write(graph: &Graph, folder: &Path) -> Result<()> {
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok();
    let bill = serde_json::to_string_pretty(&bill(graph, epoch.as_deref())?)
        .context("failed to write the bill of materials")?;
    fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    for (name, text) in [(LICENCES, licences::collect(graph)?), (BILL, bill + "\n")] {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| format!("failed to write {}", file.display()))?;
    }
    Ok(())
}

/// The bill of materials.
pub fn bill(graph: &Graph, epoch: Option<&str>) -> Result<Value> {
    let mut metadata = Map::new();
    if let Some(epoch) = epoch.filter(|epoch| !epoch.is_empty()) {
        let seconds = epoch
            .parse()
            .with_context(|| format!("SOURCE_DATE_EPOCH={epoch} is no number of seconds"))?;
        let time = jiff::Timestamp::from_second(seconds)
            .with_context(|| format!("SOURCE_DATE_EPOCH={epoch} is out of range"))?;
        metadata.insert("timestamp".to_owned(), json!(time.to_string()));
    }
    let this = json!({"type": "application", "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION")});
    metadata.insert("lifecycles".to_owned(), json!([{"phase": "build"}]));
    metadata.insert("tools".to_owned(), json!({"components": [this]}));
    let root = graph.packages.get(&graph.root);
    let root = root.context("the program is not in its own graph")?;
    metadata.insert(
        "component".to_owned(),
        component(graph, &graph.root, root, "application"),
    );
    let components: Vec<Value> = graph
        .packages
        .iter()
        .filter(|(id, _)| **id != graph.root)
        .map(|(id, package)| component(graph, id, package, "library"))
        .collect();
    let dependencies: Vec<Value> = graph
        .needs
        .iter()
        .map(|(id, needs)| {
            json!({"ref": id.purl(), "dependsOn": needs.iter().map(Id::purl).collect::<Vec<_>>()})
        })
        .collect();
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata,
        "components": components,
        "dependencies": dependencies,
    }))
}

fn component(graph: &Graph, id: &Id, package: &Package, kind: &str) -> Value {
    // Code that only ran during the build is not in the product.
    let scope = match graph.shipped.contains(id) {
        true => "required",
        false => "excluded",
    };
    let mut fields = json!({
        "type": kind, "bom-ref": id.purl(), "name": id.name, "version": id.version, "purl": id.purl(), "scope": scope,
    });
    if let Some(text) = &package.description {
        fields["description"] = json!(text.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    if let Some(licence) = &package.license {
        // Old manifests write `MIT/Apache-2.0`, which is no SPDX.
        fields["licenses"] =
            json!([{"expression": licence.replace(" / ", "/").replace('/', " OR ")}]);
    }
    if let Some(checksum) = graph.checksums.get(id) {
        fields["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    if let Some(home) = &package.repository {
        fields["externalReferences"] = json!([{"type": "vcs", "url": home}]);
    }
    fields
}
