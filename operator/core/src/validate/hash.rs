//! A short, stable stand-in for what is desired. Not for security: FNV-1a is the same on every machine and version,
//! which the standard library's hashers do not promise.

use std::sync::Arc;

use super::vetted::VettedSetting;
use crate::fnv::Fnv;
use crate::layer::{Mode, SettingValue};

/// Stands for keys, values, modes, configs and generations, never for what is observed, nor for what the catalogue says
/// besides the value on the wire: the hash tells whether a station was given the present generation of its configs, and
/// a catalogue that changes is no other generation of them. What it changes for a key, its state tells.
pub(super) fn of(settings: &[Arc<VettedSetting>]) -> String {
    let mut hash = Fnv::new();
    for setting in settings {
        hash.field(setting.key.as_str());
        match &setting.value {
            SettingValue::Plain(value) => hash.field("plain").field(value),
            SettingValue::Secret { version, length: _ } => hash.field("secret").field(&version.0),
            SettingValue::SecretMissing { message: _ } => hash.field("missing"),
        };
        hash.field(match setting.mode {
            Mode::Report => "report",
            Mode::Enforce => "enforce",
        });
        let config = &setting.layer.config;
        hash.field(&config.namespace)
            .field(&config.name)
            .number(setting.layer.generation.unsigned_abs());
    }
    format!("{:016x}", hash.finish())
}
