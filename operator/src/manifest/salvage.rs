//! Salvage: a bad object → what can be read of it all the same, so that whoever looks further at it need not wait until
//! every mistake is mended. Nothing that is saved here ever counts for stations.

use serde_json::{Map, Value as Json, json};

use super::schema::FieldMistake;
use crate::objects::schema::Kind;

/// Takes what is wrong out of a config as JSON, and puts empty values where something is required. Objects of other kinds
/// are left as they are.
pub(super) fn salvage(kind: Kind, mut object: Json, mistakes: &[FieldMistake]) -> Json {
    if kind != Kind::ChargeStationConfig {
        return object;
    }
    for mistake in mistakes {
        let steps: Vec<&str> = mistake
            .field
            .split(['.', '['])
            .map(|step| step.trim_end_matches(']'))
            .collect();
        match steps.as_slice() {
            ["spec", "settings", index, field, ..] => {
                let index = index.parse().unwrap_or(usize::MAX);
                if let Some(setting) = object["spec"]["settings"]
                    .get_mut(index)
                    .and_then(Json::as_object_mut)
                    && *field != "value"
                {
                    setting.remove(*field);
                }
            }
            ["spec", field, ..] if *field != "settings" => {
                if let Some(spec) = object["spec"].as_object_mut() {
                    spec.remove(*field);
                }
            }
            _ => {}
        }
    }
    if let Some(spec) = object["spec"].as_object_mut() {
        required(spec);
    }
    object
}

fn required(spec: &mut Map<String, Json>) {
    spec.entry("stations").or_insert_with(|| json!({}));
    let settings = spec.entry("settings").or_insert_with(|| json!([]));
    for setting in settings.as_array_mut().into_iter().flatten() {
        if let Some(setting) = setting.as_object_mut() {
            setting.entry("key").or_insert_with(|| json!(""));
        }
    }
}
