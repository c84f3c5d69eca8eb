//! What the program is made of: the crates that cargo resolves for it, on both architectures.
//!
//! In: `cargo tree`, which knows the features of a build of this one package, `cargo metadata`, and `Cargo.lock`. Out: the
//! crates and who needs whom. Crates of tests, benchmarks and other platforms are not in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use xtask::cargo::{cargo, workspace};

/// The architectures of the image.
pub const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// A name and a version, which tell one crate from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// The name.
    pub name: String,
    /// The version.
    pub version: String,
}

impl Id {
    /// Its package URL.
    pub fn purl(&self) -> String {
        format!(
            "pkg:cargo/{}@{}",
            self.name,
            self.version.replace('+', "%2B")
        )
    }
}

/// What a crate says of itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Package {
    name: String,
    version: String,
    /// Its licence, as an SPDX expression.
    pub license: Option<String>,
    /// Where its sources live.
    pub repository: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// Who wrote it.
    #[serde(default)]
    pub authors: Vec<String>,
    /// Where its manifest lies here.
    pub manifest_path: PathBuf,
    /// Where it was fetched from; none: it is ours.
    pub source: Option<String>,
}

/// The crates of the program.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The program.
    pub root: Id,
    /// All crates, the program and those that only build it too.
    pub packages: BTreeMap<Id, Package>,
    /// Who needs whom.
    pub needs: BTreeMap<Id, BTreeSet<Id>>,
    /// Those whose code is in the program. The others ran while it was built.
    pub shipped: BTreeSet<Id>,
    /// SHA-256 of what was fetched.
    pub checksums: BTreeMap<Id, String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

impl Graph {
    /// Asks cargo.
    pub fn resolve() -> Result<Self> {
        let (root, needs) = parse_tree(&tree("normal,build")?)?;
        let (_, shipped) = parse_tree(&tree("normal,no-proc-macro")?)?;
        let metadata = said(
            &["metadata", "--format-version", "1", "--locked"],
            "--filter-platform",
        )?;
        let metadata: Metadata =
            serde_json::from_str(&metadata).context("failed to read what cargo metadata says")?;
        let mut all: BTreeMap<Id, Package> = metadata
            .packages
            .into_iter()
            .map(|package| {
                let id = Id {
                    name: package.name.clone(),
                    version: package.version.clone(),
                };
                (id, package)
            })
            .collect();
        let packages = needs
            .keys()
            .map(|id| {
                let package = all.remove(id);
                let package = package.with_context(|| format!("cargo says nothing of {id:?}"))?;
                Ok((id.clone(), package))
            })
            .collect::<Result<_>>()?;
        let lock = workspace().join("Cargo.lock");
        let lock = std::fs::read_to_string(&lock)
            .with_context(|| format!("failed to read {}", lock.display()))?;
        Ok(Self {
            root,
            packages,
            needs,
            shipped: shipped.into_keys().collect(),
            checksums: checksums(&lock),
        })
    }
}

/// What `cargo tree` prints of the program, one crate a line with its depth before it.
fn tree(edges: &str) -> Result<String> {
    said(
        &[
            "tree",
            "--locked",
            "--package",
            "stationkeeper",
            "--edges",
            edges,
            "--prefix",
            "depth",
            "--format",
            " {p}",
        ],
        "--target",
    )
}

/// What cargo says of both architectures.
fn said(words: &[&str], target: &str) -> Result<String> {
    let mut command = cargo([]);
    command.args(words);
    for triple in TARGETS {
        command.args([target, triple]);
    }
    let output = command.output().context("failed to start cargo")?;
    ensure!(
        output.status.success(),
        "cargo {} failed:\n{}",
        words[0],
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).context("cargo does not print UTF-8")
}

/// Reads lines like `2 bytes v1.12.1 (*)`, where a deeper line belongs to the one above it.
fn parse_tree(text: &str) -> Result<(Id, BTreeMap<Id, BTreeSet<Id>>)> {
    let mut needs: BTreeMap<Id, BTreeSet<Id>> = BTreeMap::new();
    let mut above: Vec<Id> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let mut word = || {
            words
                .next()
                .with_context(|| format!("{line:?} is no line of a tree"))
        };
        let depth: usize = word()?.parse().context("a depth is a number")?;
        let id = Id {
            name: word()?.to_owned(),
            version: word()?.trim_start_matches('v').to_owned(),
        };
        needs.entry(id.clone()).or_default();
        above.truncate(depth);
        if let Some(parent) = above.last() {
            needs.entry(parent.clone()).or_default().insert(id.clone());
        }
        above.push(id);
    }
    let root = above.into_iter().next().context("the tree is empty")?;
    Ok((root, needs))
}

/// The checksums of a lock file.
fn checksums(lock: &str) -> BTreeMap<Id, String> {
    let field = |block: &str, name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.strip_prefix(" = \"")?.strip_suffix('"')?.to_owned())
    };
    lock.split("[[package]]")
        .filter_map(|block| {
            let (name, version) = (field(block, "name")?, field(block, "version")?);
            Some((Id { name, version }, field(block, "checksum")?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> Id {
        Id {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
        }
    }

    #[test]
    fn deeper_lines_are_needed_by_the_line_above() -> Result<()> {
        let text =
            "0 a v1.0.0 (/src)\n1 b v1.0.0\n2 c v1.0.0 (proc-macro)\n1 d v1.0.0\n2 b v1.0.0 (*)\n";
        let (root, needs) = parse_tree(text)?;
        assert_eq!(root, id("a"));
        let expected = [
            (id("a"), [id("b"), id("d")].into()),
            (id("b"), [id("c")].into()),
            (id("c"), BTreeSet::new()),
            (id("d"), [id("b")].into()),
        ];
        assert_eq!(needs, expected.into());
        Ok(())
    }

    #[test]
    fn ours_have_no_checksum() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"b\"\n\
                    version = \"1.0.0\"\nsource = \"registry\"\nchecksum = \"12ab\"\n";
        assert_eq!(checksums(lock), [(id("b"), "12ab".to_owned())].into());
    }
}
