//! The licences of all that is in the program, in full, as most of them ask for.
//!
//! In: the graph of crates, and the files that each crate comes with. Out: one text. A crate that brings no licence file
//! stands in a list here, with the reason why the standard text of its licence will do; one that does neither is an error.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use xtask::cargo::workspace;

use crate::graph::{Graph, Id, Package};

/// How the names of licence files begin.
const BEGINNINGS: [&str; 6] = [
    "license",
    "licence",
    "copying",
    "notice",
    "unlicense",
    "copyright",
];

/// Crates that are published without the licence file of their repository, where a standard text says the same.
const WITHOUT_FILE: [(&str, Standard); 6] = [
    ("governor", Standard::Mit),
    ("kube", Standard::Apache),
    ("kube-client", Standard::Apache),
    ("kube-core", Standard::Apache),
    ("kube-derive", Standard::Apache),
    ("kube-runtime", Standard::Apache),
];

/// A licence whose text is the same for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standard {
    Mit,
    Apache,
}

impl Standard {
    fn name(self) -> &'static str {
        match self {
            Self::Mit => "MIT",
            Self::Apache => "Apache-2.0",
        }
    }

    fn text(self, authors: &[String]) -> Result<String> {
        match self {
            Self::Mit => Ok(format!("Copyright (c) {}\n\n{MIT}", authors.join(", "))),
            Self::Apache => read(&workspace().join("LICENSE")),
        }
    }
}

/// The MIT licence, after its line of copyright.
const MIT: &str = "\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the \"Software\"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
";

/// The line between two parts.
const RULE: &str =
    "--------------------------------------------------------------------------------";

/// Writes the licences of everything that others wrote.
pub fn collect(graph: &Graph) -> Result<String> {
    let mut list = String::new();
    // Equal texts are given once, with all who use them.
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let rust = ("the Rust standard library", "MIT OR Apache-2.0");
    writeln!(list, "  {}: {}", rust.0, rust.1)?;
    for standard in [Standard::Mit, Standard::Apache] {
        let text = standard.text(&["The Rust Project contributors".to_owned()])?;
        texts.entry(text).or_default().push(rust.0.to_owned());
    }
    for (id, package) in &graph.packages {
        if package.source.is_none() {
            continue;
        }
        let licence = package.license.as_deref();
        let licence = licence.with_context(|| format!("{} names no licence", id.purl()))?;
        let shown = format!("{} {}", id.name, id.version);
        let home = package.repository.as_deref().unwrap_or("-");
        writeln!(list, "  {shown}: {licence} ({home})")?;
        for text in texts_of(id, package)? {
            texts.entry(text).or_default().push(shown.clone());
        }
    }
    let mut all = format!(
        "Stationkeeper is licensed under the Apache License 2.0; see LICENSE beside this file.\n\
         It is made with the following, each under the licence that is named, with its text below.\n\n{list}"
    );
    for (text, users) in &texts {
        write!(
            all,
            "\n{RULE}\n{}\n{RULE}\n\n{}\n",
            users.join(", "),
            text.trim_end()
        )?;
    }
    Ok(all)
}

/// The licence texts of a crate.
fn texts_of(id: &Id, package: &Package) -> Result<Vec<String>> {
    let folder = package.manifest_path.parent();
    let files = files(folder.context("a manifest lies in a folder")?)?;
    let listed = WITHOUT_FILE.iter().find(|(name, _)| *name == id.name);
    match (files.as_slice(), listed) {
        ([], Some((_, standard))) => {
            let told = package.license.as_deref().unwrap_or_default();
            ensure!(
                told == standard.name(),
                "{} is listed with {}, and says that it has {told}: look at it again",
                id.purl(),
                standard.name()
            );
            Ok(vec![standard.text(&package.authors)?])
        }
        ([], None) => bail!(
            "{} comes without a licence file: read its licence in {}, and add it to WITHOUT_FILE in tests/image/src/licences.rs \
             if a standard text says the same",
            id.purl(),
            package.repository.as_deref().unwrap_or("its repository")
        ),
        (_, Some(_)) => bail!(
            "{} has a licence file now: take it off WITHOUT_FILE in tests/image/src/licences.rs",
            id.purl()
        ),
        (files, None) => files.iter().map(|file| read(file)).collect(),
    }
}

/// The licence files of a crate, in its folder or in a folder of licences.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed =
        fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))?;
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry.with_context(|| format!("failed to list {}", folder.display()))?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if !BEGINNINGS.iter().any(|start| name.starts_with(start)) {
            continue;
        }
        match entry.path() {
            path if path.is_dir() => found.extend(
                fs::read_dir(&path)?
                    .map(|entry| Ok(entry?.path()))
                    .collect::<Result<Vec<_>>>()?
                    .into_iter()
                    .filter(|path| path.is_file()),
            ),
            // `license.rs` is a program.
            path if path.extension().is_some_and(|end| end == "rs") => {}
            path => found.push(path),
        }
    }
    found.sort();
    Ok(found)
}

fn read(file: &Path) -> Result<String> {
    let text = fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
    Ok(String::from_utf8_lossy(&text).replace("\r\n", "\n"))
}
