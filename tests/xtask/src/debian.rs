//! Fetches promtool, Prometheus and Lua from Debian's packages.
//!
//! In: `tests/tools/debian.txt`, which pins packages by version and hash. Out: their programs in a folder of the cache.
//! Nothing is installed and nothing of the machine's changes: packages are unpacked beside it, and where the machine has
//! no lists of packages, or older ones, lists of our own are fetched. Debian, since there promtool comes ready-made and
//! signed: building it from Go modules takes minutes and the clients of every cloud.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Failure;
use crate::cargo::workspace;
use crate::setup::run;

/// What to do where there is no apt.
const APT_IS_MISSING: &str = "promtool, Prometheus and Lua are taken from Debian's packages, and `apt-get` or `dpkg` is not on the PATH: \
     install kubectl, Helm (as helm and helm3), Prometheus and Lua 5.1 (as lua5.1) yourself, and set STATIONKEEPER_TOOLS=PATH";

/// A package that is pinned.
#[derive(Debug, PartialEq, Eq)]
struct Package<'a> {
    name: &'a str,
    version: &'a str,
    /// Of the package for amd64. For another architecture Debian's signed lists are trusted alone.
    sha256: &'a str,
    programs: Vec<&'a str>,
}

/// Fetches the programs into a folder.
pub(crate) fn fetch(folder: &Path) -> Result<(), Failure> {
    let list = workspace().join("tests/tools/debian.txt");
    let text = fs::read_to_string(&list)
        .map_err(|error| format!("failed to read {}: {error}", list.display()))?;
    let packages = packages(&text)?;
    let work = folder.join("work");
    let (lists, cache) = (
        work.join("lists/partial"),
        work.join("cache/archives/partial"),
    );
    for made in [&lists, &cache] {
        fs::create_dir_all(made)
            .map_err(|error| format!("failed to make {}: {error}", made.display()))?;
    }
    download(&packages, &work)?;
    for package in &packages {
        take(package, &work, folder)?;
    }
    fs::remove_dir_all(&work)
        .map_err(|error| format!("failed to remove {}: {error}", work.display()))
}

fn packages(text: &str) -> Result<Vec<Package<'_>>, Failure> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| {
            let mut words = line.split_whitespace();
            match (words.next(), words.next(), words.next()) {
                (Some(name), Some(version), Some(sha256)) => Ok(Package {
                    name,
                    version,
                    sha256,
                    programs: words.collect(),
                }),
                _ => Err(format!(
                    "tests/tools/debian.txt: {line:?} is not a package, a version, a hash and programs"
                )),
            }
        })
        .collect()
}

/// Downloads with the lists that the machine has, else with newer ones of our own.
fn download(packages: &[Package<'_>], work: &Path) -> Result<(), Failure> {
    let wanted: Vec<String> = packages
        .iter()
        .map(|package| format!("{}={}", package.name, package.version))
        .collect();
    let apt = |own: bool, words: &[String]| {
        let mut command = Command::new("apt-get");
        command
            .current_dir(work)
            .env("DEBIAN_FRONTEND", "noninteractive");
        // As root, apt would fetch as a user that may not write here.
        command.args(["--quiet", "--option", "APT::Sandbox::User="]);
        if own {
            for (option, folder) in [("Dir::State::lists", "lists"), ("Dir::Cache", "cache")] {
                command
                    .arg("--option")
                    .arg(format!("{option}={}", work.join(folder).display()));
            }
        }
        command.args(words);
        run(command, APT_IS_MISSING)
    };
    let fetch: Vec<String> = std::iter::once("download".to_owned())
        .chain(wanted.iter().cloned())
        .collect();
    if apt(false, &fetch).is_ok() {
        return Ok(());
    }
    apt(true, &["update".to_owned()])?;
    apt(true, &fetch).map_err(|failure| {
        format!(
            "{failure}\nDebian has no {}: if a newer version has replaced it, change tests/tools/debian.txt",
            wanted.join(" or no ")
        )
    })
}

/// Checks a package and takes its programs.
fn take(package: &Package<'_>, work: &Path, folder: &Path) -> Result<(), Failure> {
    let prefix = format!("{}_", package.name);
    let file = fs::read_dir(work)
        .map_err(|error| format!("failed to list {}: {error}", work.display()))?
        .filter_map(|entry| entry.ok())
        .find(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .ok_or_else(|| format!("apt-get said that it fetched {}, and has not", package.name))?;
    if file.file_name().to_string_lossy().ends_with("_amd64.deb") {
        let sums = work.join("sums");
        let line = format!("{}  {}\n", package.sha256, file.path().display());
        fs::write(&sums, line)
            .map_err(|error| format!("failed to write {}: {error}", sums.display()))?;
        let mut check = Command::new("sha256sum");
        check.arg("--check").arg("--quiet").arg(&sums);
        run(check, APT_IS_MISSING)?;
    }
    let unpacked = work.join(package.name);
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("--extract").arg(file.path()).arg(&unpacked);
    run(unpack, APT_IS_MISSING)?;
    for program in &package.programs {
        let target = folder.join(program);
        fs::rename(unpacked.join("usr/bin").join(program), &target)
            .map_err(|error| format!("failed to take {program} out of its package: {error}"))?;
        // It has to start here too: what it is linked with belongs to the machine.
        let mut start = Command::new(&target);
        start.arg(if *program == "lua5.1" {
            "-v"
        } else {
            "--version"
        });
        run(start, APT_IS_MISSING)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_package_has_a_version_a_hash_and_programs() {
        let read = packages("# why\n\nlua 5.1-9 abc lua luac\n");
        let expected = Package {
            name: "lua",
            version: "5.1-9",
            sha256: "abc",
            programs: vec!["lua", "luac"],
        };
        assert_eq!(read, Ok(vec![expected]));
        assert!(packages("lua 5.1-9\n").is_err());
    }
}
