//! Processes: what one has used so far, and the parts of the benchmark as processes of their own.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::process::Command;

/// Ticks per second in `/proc/PID/stat`: 100 on every architecture that Linux runs on today.
const TICKS: f64 = 100.0;

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    /// Processor time in user mode.
    pub(crate) user: Duration,
    /// Processor time in the kernel.
    pub(crate) kernel: Duration,
    /// Resident memory now, in KiB.
    pub(crate) resident: f64,
}

impl Used {
    /// Of this process.
    pub(crate) fn here() -> Result<Self> {
        Self::by(std::process::id())
    }

    /// Of another one.
    pub(crate) fn by(process: u32) -> Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{process}/{file}");
            std::fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))
        };
        // The name of the program stands in parentheses and may hold blanks: what follows it is counted.
        let stat = read("stat")?;
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let time = |at: usize| -> Result<Duration> {
            let ticks: f64 = fields
                .get(at)
                .context("a field of stat")?
                .parse()
                .context("a number in stat")?;
            Ok(Duration::from_secs_f64(ticks / TICKS))
        };
        let status = read("status")?;
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("VmRSS in status")?;
        let resident = resident
            .trim()
            .trim_end_matches("kB")
            .trim()
            .parse()
            .context("a number of KiB")?;
        Ok(Self {
            user: time(11)?,
            kernel: time(12)?,
            resident,
        })
    }

    /// All processor time.
    pub(crate) fn processor(&self) -> Duration {
        self.user + self.kernel
    }
}

/// This program with the same options, as another part.
pub(crate) fn part(role: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("failed to find this program")?);
    command
        .args(
            std::env::args()
                .skip(1)
                .filter(|argument| !argument.starts_with("--role=")),
        )
        .arg(format!("--role={role}"));
    command.kill_on_drop(true);
    Ok(command)
}

/// Runs a part to its end; its document.
pub(crate) async fn run_part(role: &str) -> Result<Value> {
    let output = part(role)?
        .stderr(Stdio::inherit())
        .output()
        .await
        .with_context(|| format!("failed to run the part {role}"))?;
    serde_json::from_slice(&output.stdout).with_context(|| {
        format!(
            "the part {role} ended with {} and no document",
            output.status
        )
    })
}
