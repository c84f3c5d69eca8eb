//! A command that was run to its end.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

/// `helm --wait` and `kubectl wait` have limits of their own; this one is for a program that hangs.
const LIMIT: Duration = Duration::from_secs(900);

/// What a command printed and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The command, for messages.
    pub command: String,
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Ran {
    /// Runs a command to its end, with the given text as its input.
    pub async fn run(command: std::process::Command, input: &str) -> Result<Self> {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let shown = words
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ");
        let mut command = Command::from(command);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .with_context(|| format!("failed to start `{shown}`"))?;
        let pipe = child.stdin.take();
        let feed = async {
            if let Some(mut pipe) = pipe {
                // A program that does not read its input closes it, which is its right.
                let _ = pipe.write_all(input.as_bytes()).await;
            }
        };
        let done = timeout(LIMIT, async {
            tokio::join!(feed, child.wait_with_output()).1
        })
        .await;
        let output = done
            .with_context(|| format!("`{shown}` did not end within {LIMIT:?}"))?
            .with_context(|| format!("failed to wait for `{shown}`"))?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Self {
            command: shown,
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        })
    }

    /// Did it end with 0?
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// Its standard output, or an error with all that it printed if it did not end with 0.
    pub fn success(self) -> Result<String> {
        ensure!(
            self.succeeded(),
            "`{}` ended with {:?}\n{}{}",
            self.command,
            self.code,
            self.stdout,
            self.stderr
        );
        Ok(self.stdout)
    }

    /// Its standard error, or an error if it ended with 0: for what must be refused.
    pub fn refusal(self) -> Result<String> {
        ensure!(
            !self.succeeded(),
            "`{}` should have failed, and printed\n{}{}",
            self.command,
            self.stdout,
            self.stderr
        );
        Ok(self.stderr)
    }
}
