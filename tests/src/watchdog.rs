//! One shell for each test process that outlives it by a moment, to end what it started.
//!
//! In: the process ids and folders that the harness has in use, over a pipe. Out, once the pipe is
//! closed because the test process ended, in whatever way: those processes are killed and those folders
//! removed. What a test ends itself is taken off the list, so that no other process with that id is hit.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};

/// Reads `start ID`, `end ID` and `folder PATH`, one a line. A folder is removed again until it stays
/// away: a process that is just dying may still write to it.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
ids=' '
set --
while read -r word value; do
  case $word in
    start) ids="$ids$value " ;;
    end) case $ids in *" $value "*) ids="${ids%% $value *} ${ids#* $value }" ;; esac ;;
    folder) set -- "$@" "$value" ;;
  esac
done
for id in $ids; do kill -9 "$id" 2>/dev/null; done
for folder in "$@"; do
  tries=20
  while [ -e "$folder" ] && [ $tries -gt 0 ]; do
    rm -rf -- "$folder" 2>/dev/null
    tries=$((tries - 1))
    sleep 0.1
  done
done
"#;

/// The pipe to the shell, opened by the first who has something to tell.
static PIPE: Mutex<Option<ChildStdin>> = Mutex::new(None);

/// Has a process killed when the test process ends.
pub fn started(id: u32) -> Result<()> {
    tell(&format!("start {id}\n"))
}

/// Takes a process that has ended, and was waited for, off the list.
pub fn ended(id: u32) -> Result<()> {
    tell(&format!("end {id}\n"))
}

/// Has a folder removed when the test process ends.
pub fn folder(path: &Path) -> Result<()> {
    tell(&format!("folder {}\n", path.display()))
}

fn tell(line: &str) -> Result<()> {
    let mut pipe = PIPE.lock().unwrap_or_else(PoisonError::into_inner);
    if pipe.is_none() {
        *pipe = Some(open()?);
    }
    let pipe = pipe.as_mut().context("the watchdog was just started")?;
    pipe.write_all(line.as_bytes())
        .context("failed to tell the watchdog")
}

/// Starts the shell, in a process group of its own: Ctrl-C is for the tests, not for it.
fn open() -> Result<ChildStdin> {
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT]).process_group(0);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut shell = command.spawn().context("failed to start the watchdog")?;
    shell
        .stdin
        .take()
        .context("the watchdog's standard input was asked for")
}
