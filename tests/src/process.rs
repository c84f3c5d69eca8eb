//! A program that a test runs beside itself.
//!
//! In: a command. Out: what it prints, line by line, while it runs; signals; its exit. It is killed
//! when it goes out of scope and when the test process ends. When a test fails, the end of what the
//! program printed is shown with the failure.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::wait::eventually;
use crate::watchdog;

/// How many lines of a program are shown when a test fails.
const SHOWN: usize = 80;

/// The signals that tests send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Please end.
    Terminate,
    /// End, without being asked.
    Kill,
    /// Stand still.
    Stop,
    /// Go on.
    Continue,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        }
    }
}

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: Captured,
    errors: Captured,
    readers: Vec<thread::JoinHandle<()>>,
    status: Option<ExitStatus>,
}

/// Lines that a thread of ours adds to.
#[derive(Clone, Debug, Default)]
struct Captured(Arc<Mutex<Vec<String>>>);

impl Captured {
    fn lines(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads to the end, in a thread: the runtime of the test that started a program may be gone before it.
    fn read(&self, source: impl Read + Send + 'static) -> thread::JoinHandle<()> {
        let lines = Arc::clone(&self.0);
        thread::spawn(move || {
            let mut source = BufReader::new(source);
            let mut line = Vec::new();
            // An error on a pipe is its end too.
            while source
                .read_until(b'\n', &mut line)
                .is_ok_and(|count| count > 0)
            {
                let text = String::from_utf8_lossy(&line)
                    .trim_end_matches(['\n', '\r'])
                    .to_owned();
                lines
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(text);
                line.clear();
            }
        })
    }
}

impl Process {
    /// Starts a program; the name is for messages.
    pub fn start(name: &str, mut command: Command) -> Result<Self> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("failed to start {name}"))?;
        watchdog::started(child.id())?;
        let (output, errors) = (Captured::default(), Captured::default());
        let mut readers = Vec::new();
        readers.extend(child.stdout.take().map(|pipe| output.read(pipe)));
        readers.extend(child.stderr.take().map(|pipe| errors.read(pipe)));
        let input = child.stdin.take();
        Ok(Self {
            name: name.to_owned(),
            child,
            input,
            output,
            errors,
            readers,
            status: None,
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The lines on its standard output so far.
    pub fn output(&self) -> Vec<String> {
        self.output.lines()
    }

    /// The lines on its standard error so far: for our programs, their logs.
    pub fn logs(&self) -> Vec<String> {
        self.errors.lines()
    }

    /// Waits for a line on standard error that contains a text, and returns the line.
    pub async fn wait_for_log(&self, text: &str, limit: Duration) -> Result<String> {
        eventually(limit, async || {
            let lines = self.logs();
            let found = lines.iter().find(|line| line.contains(text)).cloned();
            found.with_context(|| {
                format!(
                    "{} lines of {}, none with {text:?}; {}",
                    lines.len(),
                    self.name,
                    last(&lines)
                )
            })
        })
        .await
    }

    /// Writes a line to its standard input.
    pub fn write_line(&mut self, line: &str) -> Result<()> {
        let input = self
            .input
            .as_mut()
            .with_context(|| format!("the input of {} is closed", self.name))?;
        input
            .write_all(format!("{line}\n").as_bytes())
            .and_then(|()| input.flush())
            .with_context(|| format!("failed to write to {}", self.name))
    }

    /// Sends it a signal.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        ensure!(
            self.running()?,
            "{} has ended: {}",
            self.name,
            last(&self.logs())
        );
        let told = Command::new("sh")
            .args(["-c", &format!("kill -{} {}", signal.name(), self.id())])
            .status();
        let status = told.with_context(|| format!("failed to run kill for {}", self.name))?;
        ensure!(
            status.success(),
            "kill -{} failed for {}",
            signal.name(),
            self.name
        );
        Ok(())
    }

    /// Is it still there? (One that stands still is.)
    pub fn running(&mut self) -> Result<bool> {
        Ok(self.exited()?.is_none())
    }

    /// Waits until it has ended by itself, and all that it printed was read.
    pub async fn exit(&mut self, limit: Duration) -> Result<ExitStatus> {
        let status = eventually(limit, async || match self.exited()? {
            Some(status) => Ok(status),
            None => bail!("{} is still running; {}", self.name, last(&self.logs())),
        })
        .await?;
        self.join();
        Ok(status)
    }

    /// Ends it at once, as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        if self.exited()?.is_none() {
            self.child
                .kill()
                .with_context(|| format!("failed to kill {}", self.name))?;
            let status = self
                .child
                .wait()
                .with_context(|| format!("failed to wait for {}", self.name))?;
            self.gone(status)?;
        }
        self.join();
        Ok(())
    }

    fn exited(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            let status = self
                .child
                .try_wait()
                .with_context(|| format!("failed to look after {}", self.name))?;
            if let Some(status) = status {
                self.gone(status)?;
            }
        }
        Ok(self.status)
    }

    fn gone(&mut self, status: ExitStatus) -> Result<()> {
        self.status = Some(status);
        watchdog::ended(self.child.id())
    }

    /// Waits for the end of its output. A reader that panicked has lost lines of a test that fails anyway.
    fn join(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let killed = self.kill();
        if thread::panicking() {
            let shown: Vec<String> = [self.output.lines(), self.errors.lines()]
                .iter()
                .flat_map(|lines| {
                    lines
                        .iter()
                        .skip(lines.len().saturating_sub(SHOWN))
                        .cloned()
                })
                .collect();
            #[expect(clippy::print_stderr, reason = "libtest shows this with the failure")]
            {
                eprintln!(
                    "--- {} printed last ({killed:?}):\n{}",
                    self.name,
                    shown.join("\n")
                );
            }
        }
    }
}

/// The last line, for a message.
fn last(lines: &[String]) -> String {
    lines.last().map_or_else(
        || "it printed nothing".to_owned(),
        |line| format!("the last is {line:?}"),
    )
}
