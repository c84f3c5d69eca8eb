//! Tables for people: objects in the columns that `kubectl get` shows, and the keys that are not in sync.
//!
//! The columns are those of the CRD, so that there is one list of them; the few forms of JSONPath that it uses are
//! followed here.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value as Json;
use stationkeeper_core::state::State;

use super::{Document, KeyDocument, StationDocument, needs_a_person};
use crate::objects::schema::{self, Kind};

/// Objects of one kind, as `kubectl get` (with `wide`: `-o wide`) shows them.
pub fn objects_table<K: Serialize>(
    kind: Kind,
    objects: &[K],
    wide: bool,
    now: Timestamp,
) -> String {
    let crd = serde_json::to_value(schema::crd(kind)).unwrap_or_default();
    let declared = crd
        .pointer("/spec/versions/0/additionalPrinterColumns")
        .and_then(Json::as_array)
        .cloned()
        .unwrap_or_default();
    let columns: Vec<&Json> = declared
        .iter()
        .filter(|column| wide || column["priority"].as_i64().unwrap_or(0) == 0)
        .collect();
    let mut header = vec!["NAMESPACE".to_owned(), "NAME".to_owned()];
    header.extend(
        columns
            .iter()
            .map(|column| column["name"].as_str().unwrap_or_default().to_uppercase()),
    );
    let mut rows: Vec<Vec<String>> = objects
        .iter()
        .map(|object| {
            let object = serde_json::to_value(object).unwrap_or_default();
            let mut row = vec![
                shown(&object["metadata"]["namespace"]),
                shown(&object["metadata"]["name"]),
            ];
            row.extend(columns.iter().map(|column| {
                let found = find(&object, column["jsonPath"].as_str().unwrap_or_default());
                match (found, column["type"].as_str()) {
                    (Some(Json::String(time)), Some("date")) => time
                        .parse()
                        .map_or_else(|_| time.clone(), |time: Timestamp| age(now, time)),
                    (Some(value), _) => shown(value),
                    (None, _) => String::new(),
                }
            }));
            row
        })
        .collect();
    rows.sort();
    aligned(header, rows)
}

/// How many keys the table names: a whole fleet that is offline would bury what matters.
const MAX_KEYS: usize = 50;

/// The keys that are not in sync, with state and reason, those that need a person first. Empty if all are.
pub fn keys_table(document: &Document) -> String {
    let header = [
        "NAMESPACE",
        "STATION",
        "KEY",
        "STATE",
        "REASON",
        "DESIRED",
        "OBSERVED",
        "CONFIG",
    ];
    let all = document
        .stations
        .iter()
        .flat_map(|station| station.keys.iter().map(move |key| (station, key)));
    let mut keys: Vec<_> = all.filter(|(_, key)| key.state != State::InSync).collect();
    if keys.is_empty() {
        return String::new();
    }
    keys.sort_by_key(|(_, key)| !needs_a_person(key.state));
    let value = |value: &Option<String>| {
        value
            .as_deref()
            .map(|value| cut(&format!("{value:?}")))
            .unwrap_or_default()
    };
    let row = |(station, key): &(&StationDocument, &KeyDocument)| {
        vec![
            station.namespace.clone(),
            station.name.clone(),
            key.key.to_string(),
            format!("{:?}{}", key.state, if key.stale { " (stale)" } else { "" }),
            format!("{:?}", key.reason),
            value(&key.desired),
            value(&key.observed),
            key.config.clone(),
        ]
    };
    let mut text = aligned(
        header.map(str::to_owned).to_vec(),
        keys.iter().take(MAX_KEYS).map(row).collect(),
    );
    if let Some(further) = keys
        .len()
        .checked_sub(MAX_KEYS)
        .filter(|further| *further > 0)
    {
        text.push_str(&format!(
            "… and {further} more keys; -o json has them all\n"
        ));
    }
    text
}

fn cut(text: &str) -> String {
    const MOST: usize = 32;
    if text.chars().count() <= MOST {
        text.to_owned()
    } else {
        text.chars().take(MOST - 1).chain(['…']).collect()
    }
}

/// Columns three spaces apart, as kubectl prints them.
pub(crate) fn aligned(header: Vec<String>, rows: Vec<Vec<String>>) -> String {
    let lines: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
    let width = |column: usize| {
        lines
            .iter()
            .filter_map(|line| line.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("   ").trim_end());
        text.push('\n');
    }
    text
}

fn shown(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(","),
        Json::Bool(_) | Json::Number(_) | Json::Object(_) => value.to_string(),
    }
}

/// Follows `.a.b`, `.a[0]` and `.a[?(@.b=="c")].d`.
fn find<'a>(object: &'a Json, path: &str) -> Option<&'a Json> {
    let mut value = object;
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(filter) = rest.strip_prefix("[?(@.") {
            let (filter, after) = filter.split_once(")]")?;
            let (field, wanted) = filter.split_once("==")?;
            let wanted = wanted.trim().trim_matches(['"', '\'']);
            value = value
                .as_array()?
                .iter()
                .find(|entry| entry[field.trim()] == wanted)?;
            rest = after;
        } else if let Some(index) = rest.strip_prefix('[') {
            let (index, after) = index.split_once(']')?;
            value = value.get(index.parse::<usize>().ok()?)?;
            rest = after;
        } else {
            let field = rest.strip_prefix('.')?;
            let end = field.find(['.', '[']).unwrap_or(field.len());
            value = value.get(&field[..end])?;
            rest = &field[end..];
        }
    }
    Some(value)
}

/// How long ago, in kubectl's words: `45s`, `3m20s`, `5h`, `2d`.
fn age(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |whole: i64, unit: &str, part: i64, small: &str| match part {
        0 => format!("{whole}{unit}"),
        part => format!("{whole}{unit}{part}{small}"),
    };
    if seconds < 120 {
        format!("{seconds}s")
    } else if minutes < 10 {
        pair(minutes, "m", seconds % 60, "s")
    } else if hours < 3 {
        format!("{minutes}m")
    } else if hours < 8 {
        pair(hours, "h", minutes % 60, "m")
    } else if hours < 48 {
        format!("{hours}h")
    } else if days < 8 {
        pair(days, "d", hours % 24, "h")
    } else if days < 730 {
        format!("{days}d")
    } else {
        pair(days / 365, "y", days % 365, "d")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ages_read_as_kubectl_writes_them() {
        let now: Timestamp = "2026-01-31T00:00:00Z".parse().unwrap();
        let check = |seconds: i64, expect: &str| {
            assert_eq!(
                age(now, now - jiff::SignedDuration::from_secs(seconds)),
                expect
            );
        };
        check(-5, "0s");
        check(119, "119s");
        check(200, "3m20s");
        check(3600, "60m");
        check(5 * 3600, "5h");
        check(30 * 3600, "30h");
        check(3 * 86_400 + 3600, "3d1h");
        check(100 * 86_400, "100d");
    }

    #[test]
    fn the_paths_of_printer_columns_are_followed() {
        let object =
            json!({"status": {"conditions": [{"type": "Ready", "status": "True"}], "list": [1]}});
        assert_eq!(
            find(&object, r#".status.conditions[?(@.type=="Ready")].status"#),
            Some(&json!("True"))
        );
        assert_eq!(find(&object, ".status.list[0]"), Some(&json!(1)));
        assert_eq!(find(&object, ".status.absent"), None);
    }

    #[test]
    fn what_needs_a_person_comes_first_and_the_rest_is_counted() {
        let key = |name: &str, state: &str| {
            json!({"key": name, "desired": null, "observed": null, "state": state,
            "reason": "SeeMessage", "stale": false, "config": "base"})
        };
        let mut keys: Vec<Json> = (0..60)
            .map(|index| key(&format!("K{index}"), "Pending"))
            .collect();
        keys.push(key("Mend", "Conflict"));
        keys.push(key("Fine", "InSync"));
        let station = json!({"name": "cp-1", "namespace": "north", "identity": "x", "vendor": null, "model": null,
            "firmware": null, "connected": true, "keys": keys});
        let document: Document =
            serde_json::from_value(json!({"stations": [station], "configs": []})).unwrap();
        let table = keys_table(&document);
        assert!(table.lines().nth(1).unwrap().contains("Mend"), "{table}");
        assert!(
            table.ends_with("… and 11 more keys; -o json has them all\n")
                && !table.contains("Fine"),
            "{table}"
        );
    }

    #[test]
    fn stations_are_shown_in_the_columns_of_their_crd() {
        let station = json!({
            "metadata": {"namespace": "north", "name": "cp-1", "creationTimestamp": "2026-01-30T23:00:00Z"},
            "spec": {"identity": "CP-1"},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "InSync", "status": "False"}]}
        });
        let table = objects_table(
            Kind::ChargeStation,
            &[station],
            false,
            "2026-01-31T00:00:00Z".parse().unwrap(),
        );
        let mut lines = table.lines();
        assert!(
            lines.next().unwrap().starts_with("NAMESPACE   NAME"),
            "{table}"
        );
        assert!(
            lines.next().unwrap().starts_with("north       cp-1"),
            "{table}"
        );
    }
}
