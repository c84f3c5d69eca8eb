//! Who wrote what to the API server, from its own audit log.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Has every write logged, without its content; reads are not.
pub(crate) const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: None
  verbs: [get, list, watch]
- level: Metadata
";

/// One write that reached the API server, successful or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// The resource, in plural: `chargestations`.
    pub resource: String,
    /// `status`, for example; empty if none.
    pub subresource: String,
    /// The namespace; empty if none.
    pub namespace: String,
    /// The object's name; empty for a create that leaves it to the server.
    pub name: String,
    /// Who wrote: the user's name.
    pub user: String,
    /// With which program.
    pub agent: String,
    /// The status code of the answer.
    pub code: u16,
}

/// Reads an audit log.
pub(crate) fn read(log: &Path) -> Result<Vec<Write>> {
    let text = std::fs::read_to_string(log).context("failed to read the audit log")?;
    // The last line may be half written.
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete
        .lines()
        .map(|line| {
            serde_json::from_str(line)
                .map(|event| write(&event))
                .context("failed to parse the audit log")
        })
        .collect()
}

fn write(event: &Value) -> Write {
    let text = |pointer: &str| {
        event
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let code = event
        .pointer("/responseStatus/code")
        .and_then(Value::as_u64);
    Write {
        verb: text("/verb"),
        resource: text("/objectRef/resource"),
        subresource: text("/objectRef/subresource"),
        namespace: text("/objectRef/namespace"),
        name: text("/objectRef/name"),
        user: text("/user/username"),
        agent: text("/userAgent"),
        code: code
            .and_then(|code| u16::try_from(code).ok())
            .unwrap_or_default(),
    }
}
