//! The operator as its users run it: a process.
//!
//! In: arguments, environment, a kubeconfig or a folder of manifests. Out: a running `stationkeeper`
//! with the addresses of its gateway and its admin port, its logs, and its end in whatever way a test
//! wants. The program is built here if it is not up to date, so that no test runs an old one.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use xtask::cargo::cargo;

use crate::http::{self, Answer};
use crate::ports::ReservedPort;
use crate::process::{Process, Signal};
use crate::ran::Ran;
use crate::wait::eventually;

/// The environment variable for a program to test instead of the one in the target folder.
pub const PROGRAM: &str = "STATIONKEEPER_PROGRAM";

/// How to start the operator. What it listens on stays the same from one start to the next.
#[derive(Debug)]
pub struct Launch {
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    gateway: ReservedPort,
    admin: ReservedPort,
}

impl Launch {
    /// `stationkeeper run` with a gateway and an admin port of its own.
    pub fn new() -> Result<Self> {
        let (gateway, admin) = (ReservedPort::reserve()?, ReservedPort::reserve()?);
        let listen = |flag: &str, port: &ReservedPort| {
            [OsString::from(flag), port.address().to_string().into()]
        };
        let mut arguments = vec![OsString::from("run")];
        arguments.extend(listen("--gateway-listen", &gateway));
        arguments.extend(listen("--admin-listen", &admin));
        Ok(Self {
            arguments,
            environment: Vec::new(),
            gateway,
            admin,
        })
    }

    /// With the cluster of a kubeconfig.
    pub fn kubeconfig(self, kubeconfig: impl AsRef<Path>) -> Self {
        self.environment("KUBECONFIG", kubeconfig.as_ref())
    }

    /// Without a cluster: with a folder of manifests and one for the state.
    pub fn folders(self, manifests: impl AsRef<Path>, state: impl AsRef<Path>) -> Self {
        self.arguments([
            OsString::from("--manifests"),
            manifests.as_ref().into(),
            "--state-dir".into(),
            state.as_ref().into(),
        ])
    }

    /// With these arguments too.
    pub fn arguments(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// With this environment variable too.
    pub fn environment(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Starts it. It may not be ready yet: see [`Operator::wait_until_ready`].
    pub fn start(self) -> Result<Operator> {
        let process = self.process()?;
        Ok(Operator {
            process,
            launch: self,
        })
    }

    fn process(&self) -> Result<Process> {
        let mut command = Command::new(program()?);
        // What a person's shell has set must not decide a test.
        command
            .env_remove("KUBECONFIG")
            .env_remove("STATIONKEEPER_LOG");
        command
            .args(&self.arguments)
            .envs(self.environment.iter().cloned());
        Process::start("stationkeeper", command)
    }
}

/// A running operator; it is killed when this goes out of scope.
#[derive(Debug)]
pub struct Operator {
    process: Process,
    launch: Launch,
}

impl Operator {
    /// The address of its gateway.
    pub fn gateway(&self) -> SocketAddr {
        self.launch.gateway.address()
    }

    /// The URL for a station, whose identity has to be percent-encoded already.
    pub fn station_url(&self, identity: &str) -> String {
        format!("ws://{}/ocpp/{identity}", self.gateway())
    }

    /// The address of its admin port.
    pub fn admin(&self) -> SocketAddr {
        self.launch.admin.address()
    }

    /// Gets a path from its admin port: `/livez`, `/readyz`, `/metrics`, `/status`.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        http::get(self.admin(), path).await
    }

    /// The document that `/status` answers.
    pub async fn status(&self) -> Result<Value> {
        let answer = self.get("/status").await?;
        ensure!(
            answer.status == 200,
            "/status answered {}: {}",
            answer.status,
            answer.body
        );
        serde_json::from_str(&answer.body).context("/status is not JSON")
    }

    /// One key of one station in `/status`: `desired`, `observed`, `state`, `reason`, `stale`, `config`.
    pub async fn key(&self, identity: &str, key: &str) -> Result<Value> {
        let status = self.status().await?;
        let rows = |value: &Value, list: &str| value[list].as_array().cloned().unwrap_or_default();
        let station = rows(&status, "stations")
            .into_iter()
            .find(|station| station["identity"] == identity);
        let station = station.with_context(|| format!("no station {identity:?} in {status}"))?;
        let row = rows(&station, "keys")
            .into_iter()
            .find(|row| row["key"] == key);
        row.with_context(|| format!("no key {key:?} in {station}"))
    }

    /// Waits until a key of a station is in a state, and returns its row of `/status`.
    pub async fn wait_for_state(
        &self,
        identity: &str,
        key: &str,
        state: &str,
        limit: Duration,
    ) -> Result<Value> {
        eventually(limit, async || {
            let row = self.key(identity, key).await?;
            ensure!(row["state"] == state, "{row}");
            Ok(row)
        })
        .await
        .with_context(|| format!("{key} of {identity} should be {state}"))
    }

    /// Waits until `/readyz` answers 200; fails at once if the operator ends.
    pub async fn wait_until_ready(&mut self, limit: Duration) -> Result<()> {
        let mut ended = None;
        let waited = eventually(limit, async || {
            if !self.process.running()? {
                ended = self
                    .process
                    .logs()
                    .last()
                    .cloned()
                    .or_else(|| Some(String::new()));
                return Ok(());
            }
            let answer = self.get("/readyz").await?;
            ensure!(
                answer.status == 200,
                "/readyz answered {}: {}",
                answer.status,
                answer.body
            );
            Ok(())
        })
        .await;
        match ended {
            Some(last) => bail!("the operator has ended; it said {last:?}"),
            None => waited.context("the operator did not become ready"),
        }
    }

    /// What it has logged, line by line, since its last start.
    pub fn logs(&self) -> Vec<String> {
        self.process.logs()
    }

    /// Waits for a line in its log that contains a text, and returns the line.
    pub async fn wait_for_log(&self, text: &str, limit: Duration) -> Result<String> {
        self.process.wait_for_log(text, limit).await
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends it a signal.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Is it still there?
    pub fn running(&mut self) -> Result<bool> {
        self.process.running()
    }

    /// Waits until it has ended.
    pub async fn exit(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.process.exit(limit).await
    }

    /// Asks it to end, as Kubernetes does, and waits until it has.
    pub async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::Terminate)?;
        self.exit(limit).await
    }

    /// Ends it at once, as `kill -9` does.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Starts it again as it was started before, killing it first if it still runs. Its logs start anew.
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process = self.launch.process()?;
        Ok(())
    }

    /// Kills it and hands back how it was started, to start it with more arguments on the same addresses.
    pub fn into_launch(mut self) -> Result<Launch> {
        self.process.kill()?;
        Ok(self.launch)
    }
}

/// Runs a verb of the program to its end, for example `crds` or `status`.
pub async fn stationkeeper(arguments: &[&str]) -> Result<Ran> {
    let mut command = Command::new(program()?);
    command
        .args(arguments)
        .current_dir(xtask::cargo::workspace());
    Ran::run(command, "").await
}

/// The program, built once in this test process with the profile of the tests themselves.
pub fn program() -> Result<PathBuf> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    if let Some(program) = std::env::var_os(PROGRAM) {
        return Ok(program.into());
    }
    let mut built = BUILT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(program) = &*built {
        return Ok(program.clone());
    }
    let program = build()?;
    *built = Some(program.clone());
    Ok(program)
}

fn build() -> Result<PathBuf> {
    // TARGET/PROFILE/deps/TEST
    let test = std::env::current_exe().context("failed to find out where the test lies")?;
    let folder = test
        .ancestors()
        .nth(2)
        .context("the test does not lie in a target folder")?;
    let target = folder
        .parent()
        .context("the test does not lie in a target folder")?;
    let mut command = cargo([
        "build",
        "--quiet",
        "--package",
        "stationkeeper",
        "--bin",
        "stationkeeper",
        "--target-dir",
    ]);
    command.arg(target);
    if folder.ends_with("release") {
        command.arg("--release");
    }
    let output = command.output().context("failed to start cargo")?;
    ensure!(
        output.status.success(),
        "the operator does not build:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(folder.join("stationkeeper"))
}
