//! Charge stations made with the Python package `ocpp`: a client that we did not write.
//!
//! In: a URL and a table of keys. Out: a station in a process of its own, what it received, and a way to
//! have it change a key behind our back, lose its connection, or boot. See `tests/python/station.py`.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use serde_json::{Value, json};
use xtask::cargo::workspace;
use xtask::tools::Tools;

use crate::process::Process;
use crate::wait::{LIMIT, eventually};

/// A running station; it ends when this goes out of scope.
#[derive(Debug)]
pub struct PythonStation {
    process: Process,
}

impl PythonStation {
    /// Starts a station that connects to the URL, which ends with its identity.
    ///
    /// The description is JSON: `keys` (`{"Name": {"value", "readonly", "writeOnly", "reboot", "reject"}}`), and
    /// optionally `vendor`, `model`, `firmware`, `serial`, `password`, `silent` for actions that it never answers, and
    /// `boot: false` for a station that reconnects without BootNotification.
    pub fn start(url: &str, description: &Value) -> Result<Self> {
        let tools = Tools::require().map_err(|failure| anyhow!(failure))?;
        let mut command = Command::new(&tools.python);
        command
            .arg(workspace().join("tests/python/station.py"))
            .args([url, &description.to_string()])
            .env("PYTHONPATH", &tools.stations)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONUNBUFFERED", "1");
        Ok(Self {
            process: Process::start("station.py", command)?,
        })
    }

    /// What happened so far, oldest first: objects with `event`.
    ///
    /// `connected`, `disconnected`, `refused` (with `status`), `booted` (with `status` and `interval`), `call` (with
    /// `action`, `payload` and the station's `answer`), `sent` (with `action` and `answer`),
    /// `changed` (with `key` and `value`).
    pub fn events(&self) -> Result<Vec<Value>> {
        let parse = |line: &String| {
            serde_json::from_str(line).with_context(|| format!("the station printed {line:?}"))
        };
        self.process.output().iter().map(parse).collect()
    }

    /// The calls of an action that it received, oldest first.
    pub fn calls(&self, action: &str) -> Result<Vec<Value>> {
        let wanted = |event: &Value| event["event"] == "call" && event["action"] == action;
        Ok(self.events()?.into_iter().filter(wanted).collect())
    }

    /// Waits until something happened: an event that the test accepts.
    pub async fn wait_for(
        &self,
        limit: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        eventually(limit, async || {
            let events = self.events()?;
            let found = events.iter().find(|event| wanted(event)).cloned();
            found.with_context(|| {
                format!(
                    "{} events, the last {:?}; {:?}",
                    events.len(),
                    events.last(),
                    self.process.logs().last()
                )
            })
        })
        .await
    }

    /// Waits until it is connected and its BootNotification is answered.
    pub async fn wait_until_booted(&self, limit: Duration) -> Result<Value> {
        self.wait_for(limit, |event| event["event"] == "booted")
            .await
    }

    /// Has a key changed at the station, as by a technician, and waits until it is.
    pub async fn change(&mut self, key: &str, value: &str) -> Result<()> {
        self.tell(&json!({"do": "change", "key": key, "value": value}))?;
        let changed = json!({"event": "changed", "key": key, "value": value});
        self.wait_for(LIMIT, |event| *event == changed).await?;
        Ok(())
    }

    /// Has it boot: values that waited for that take effect, and it connects anew with BootNotification.
    pub fn boot(&mut self) -> Result<()> {
        self.tell(&json!({"do": "boot"}))
    }

    /// Has it lose its connection and connect anew, without a boot.
    pub fn reconnect(&mut self) -> Result<()> {
        self.tell(&json!({"do": "reconnect"}))
    }

    /// Has it send a call: an action of OCPP 1.6 and its payload. The answer comes as an event `sent`.
    pub fn send(&mut self, action: &str, payload: &Value) -> Result<()> {
        self.tell(&json!({"do": "send", "action": action, "payload": payload}))
    }

    /// The process itself.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    fn tell(&mut self, order: &Value) -> Result<()> {
        self.process.write_line(&order.to_string())
    }
}
