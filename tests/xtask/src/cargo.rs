//! Cargo started from a program that cargo started.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What cargo tells the programs that it runs. A build script that asks for one of these would take
/// the inner build for another one than the outer, and compile everything again, each time.
const TOLD_TO_PROGRAMS: [&str; 6] = [
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_BIN_",
    "CARGO_CRATE_NAME",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_TARGET_TMPDIR",
];

/// The root of the work tree.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("this crate lies two folders below the root")
        .to_path_buf()
}

/// Where cargo puts what it builds.
pub fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// A cargo command in the root of the work tree, in the environment that a person's shell has.
pub fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = clean_environment(program);
    command.current_dir(workspace()).args(arguments);
    command
}

/// A command of any program in the environment that a person's shell has.
pub fn clean_environment(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if TOLD_TO_PROGRAMS
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    command
}
