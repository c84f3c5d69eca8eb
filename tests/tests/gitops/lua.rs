//! Argo CD's part: its ConfigMap's scripts, run under a real Lua.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;
use stationkeeper_tests::Ran;
use xtask::cargo::workspace;
use xtask::tools::Tools;

const CONFIG_MAP: &str = "examples/gitops/argocd/argocd-cm.yaml";
const SANDBOX: &str = include_str!("sandbox.lua");

/// What Argo CD would show.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) status: String,
    pub(crate) message: String,
}

/// The scripts of the ConfigMap, as Argo CD finds them.
pub(crate) struct Scripts(Value);

impl Scripts {
    pub(crate) fn read() -> Result<Self> {
        let text = fs::read_to_string(workspace().join(CONFIG_MAP))?;
        let map: Value = serde_yaml::from_str(&text)?;
        Ok(Self(map["data"].clone()))
    }

    pub(crate) fn health_script(&self, kind: &str) -> Result<&str> {
        let key = format!("resource.customizations.health.stationkeeper.dev_{kind}");
        self.0[&key]
            .as_str()
            .with_context(|| format!("no {key} in {CONFIG_MAP}"))
    }

    pub(crate) async fn health(&self, object: &Value) -> Result<Health> {
        let said = run(self.health_script(kind(object)?)?, object).await?;
        let text = |field: &str| said[field].as_str().unwrap_or_default().to_owned();
        Ok(Health {
            status: text("status"),
            message: text("message"),
        })
    }

    fn actions(&self, object: &Value) -> Result<Value> {
        let key = format!(
            "resource.customizations.actions.stationkeeper.dev_{}",
            kind(object)?
        );
        let text = self.0[&key]
            .as_str()
            .with_context(|| format!("no {key} in {CONFIG_MAP}"))?;
        serde_yaml::from_str(text).context("the actions are not YAML")
    }

    /// The actions that are offered, and whether they can be chosen.
    pub(crate) async fn offered(&self, object: &Value) -> Result<BTreeMap<String, bool>> {
        let actions = self.actions(object)?;
        let script = actions["discovery.lua"].as_str().context("no discovery")?;
        let found = run(script, object).await?;
        let found = found.as_object().context("discovery returns no table")?;
        Ok(found
            .iter()
            .map(|(name, action)| (name.clone(), action["disabled"] != true))
            .collect())
    }

    /// The object as the action leaves it.
    pub(crate) async fn act(&self, action: &str, object: &Value) -> Result<Value> {
        let actions = self.actions(object)?;
        let script = actions["definitions"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|definition| definition["name"] == action)
            .and_then(|definition| definition["action.lua"].as_str())
            .with_context(|| format!("no action {action:?}"))?;
        run(script, object).await
    }
}

fn kind(object: &Value) -> Result<&str> {
    object["kind"].as_str().context("an object has no kind")
}

/// Runs a script over an object.
async fn run(script: &str, object: &Value) -> Result<Value> {
    let tools = Tools::require().map_err(anyhow::Error::msg)?;
    let mut program = String::from("SCRIPT = ");
    literal(&Value::from(script), &mut program);
    program.push_str("\nOBJECT = ");
    literal(object, &mut program);
    let program = format!("{program}\n{SANDBOX}");
    let mut command = Command::new(tools.lua);
    command.arg("-").env_remove("LUA_INIT");
    let said = Ran::run(command, &program).await?.success()?;
    serde_json::from_str(&said).with_context(|| format!("not JSON: {said}"))
}

/// The value as Lua writes it.
fn literal(value: &Value, text: &mut String) {
    // Writing to a String cannot fail.
    let _ = match value {
        Value::Null => write!(text, "nil"),
        Value::Bool(value) => write!(text, "{value}"),
        Value::Number(value) => write!(text, "{value}"),
        Value::String(value) => {
            text.push('"');
            for byte in value.bytes() {
                let _ = write!(text, "\\{byte:03}");
            }
            write!(text, "\"")
        }
        Value::Array(items) => {
            text.push('{');
            for item in items {
                literal(item, text);
                text.push(',');
            }
            write!(text, "}}")
        }
        Value::Object(fields) => {
            text.push('{');
            for (name, value) in fields {
                text.push('[');
                literal(&Value::from(name.as_str()), text);
                text.push_str("]=");
                literal(value, text);
                text.push(',');
            }
            write!(text, "}}")
        }
    };
}
