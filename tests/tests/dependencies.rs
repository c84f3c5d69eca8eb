//! Dependencies keep the rules of `deny.toml`: licences, banned crates, sources.
//!
//! The file is in the format of `cargo deny`; these three rules need no program of their own.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use spdx::{Expression, LicenseReq, ParseMode};
use xtask::cargo::{cargo, workspace};

#[derive(Deserialize)]
struct Rules {
    licenses: Licences,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licences {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Clone, Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

/// Every way in which a package breaks the rules, in words.
fn faults(rules: &Rules, package: &Package) -> Vec<String> {
    let named = |fault: String| format!("{} {}: {fault}", package.name, package.version);
    let licence = licence_fault(&rules.licenses, package.license.as_deref());
    let ban = rules
        .bans
        .deny
        .iter()
        .find(|ban| ban.name == package.name)
        .map(|ban| format!("banned: {}", ban.reason));
    let source = match package.source.as_deref() {
        None => None,
        Some(source) => {
            let known = |registry: &String| source.strip_prefix("registry+") == Some(registry);
            (!rules.sources.allow_registry.iter().any(known))
                .then(|| format!("comes from {source}"))
        }
    };
    [licence, ban, source]
        .into_iter()
        .flatten()
        .map(named)
        .collect()
}

fn licence_fault(licences: &Licences, expression: Option<&str>) -> Option<String> {
    let Some(expression) = expression else {
        return Some("tells no licence".to_owned());
    };
    // Old manifests write `MIT/Apache-2.0`.
    let parsed = match Expression::parse_mode(expression, ParseMode::LAX) {
        Ok(parsed) => parsed,
        Err(error) => {
            return Some(format!(
                "licence {expression:?} is no SPDX expression: {}",
                error.reason
            ));
        }
    };
    let allowed =
        parsed.evaluate(|licence: &LicenseReq| licences.allow.contains(&licence.to_string()));
    (!allowed).then(|| format!("licence {expression:?} is not in the list of deny.toml"))
}

fn rules() -> Result<Rules> {
    let text =
        fs::read_to_string(workspace().join("deny.toml")).context("failed to read deny.toml")?;
    toml::from_str(&text).context("failed to parse deny.toml")
}

fn packages() -> Result<Vec<Package>> {
    let output = cargo(["metadata", "--format-version", "1"])
        .output()
        .context("failed to start cargo")?;
    ensure!(
        output.status.success(),
        "cargo metadata failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("failed to parse cargo metadata")?;
    Ok(metadata.packages)
}

#[test]
fn every_dependency_keeps_the_rules() -> Result<()> {
    let (rules, packages) = (rules()?, packages()?);
    ensure!(
        packages.iter().any(|package| package.name == "kube"),
        "cargo metadata tells of our dependencies"
    );
    let faults: Vec<String> = packages
        .iter()
        .flat_map(|package| faults(&rules, package))
        .collect();
    ensure!(
        faults.is_empty(),
        "dependencies against the rules of deny.toml:\n{}",
        faults.join("\n")
    );
    Ok(())
}

#[test]
fn each_kind_of_breach_is_found() -> Result<()> {
    let rules = rules()?;
    let good = Package {
        name: "good".to_owned(),
        version: "1.0.0".to_owned(),
        license: Some("GPL-3.0-only OR (MIT AND Apache-2.0 WITH LLVM-exception)".to_owned()),
        source: Some(format!("registry+{}", rules.sources.allow_registry[0])),
    };
    assert_eq!(faults(&rules, &good), Vec::<String>::new());

    let breaches = [
        Package {
            license: Some("MIT AND GPL-3.0-only".to_owned()),
            ..good.clone()
        },
        Package {
            license: None,
            ..good.clone()
        },
        Package {
            name: "chrono".to_owned(),
            ..good.clone()
        },
        Package {
            source: Some("git+https://example.com/crate".to_owned()),
            ..good.clone()
        },
    ];
    for breach in breaches {
        assert_eq!(
            faults(&rules, &breach).len(),
            1,
            "{} {:?} {:?}",
            breach.name,
            breach.license,
            breach.source
        );
    }
    Ok(())
}
