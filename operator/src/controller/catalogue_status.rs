//! The small controller of catalogues: tells the author of a KeyCatalogue what has become of it.
//!
//! A change of one catalogue may make or end a conflict with another, so all of a namespace are told of together. What
//! is deliberately absent: any effect on stations (that is [`super::catalogues`]').

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use stationkeeper_core::catalogue::{Catalogue, CatalogueDocument, Remark, review_among};
use stationkeeper_core::status::Condition;
use stationkeeper_core::words::Finding;
use tokio::sync::mpsc;

use super::catalogues::Prepared;
use super::context::Context;
use super::publish::{conditions, newest};
use crate::clock;
use crate::objects::{CatalogueKeyCounts, KeyCatalogue, KeyCatalogueStatus, fit};
use crate::source::PublishError;

/// Changes that come within this time are told of together.
const TOGETHER: Duration = Duration::from_millis(250);

/// When to try again what could not be published.
const AGAIN: Duration = Duration::from_secs(5);

/// How many findings a status names.
const MAX_FINDINGS: usize = 20;

/// Catalogues by their place.
type Touched = BTreeSet<(String, String)>;

/// Tells of catalogues until `cancel` fires or nobody can touch one any more.
pub async fn tell_catalogues(
    context: Arc<Context>,
    mut touched: mpsc::UnboundedReceiver<ObjectRef<KeyCatalogue>>,
    cancel: tokio_util::sync::CancellationToken,
) {
    let mut due = Touched::new();
    let mut told: HashMap<(String, String), Arc<KeyCatalogue>> = HashMap::new();
    let mut failed = false;
    loop {
        let pause = match (due.is_empty(), failed) {
            (true, _) => None,
            (false, false) => Some(TOGETHER),
            (false, true) => Some(AGAIN),
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            catalogue = touched.recv() => {
                let Some(catalogue) = catalogue else { return };
                due.insert((catalogue.namespace.unwrap_or_default(), catalogue.name));
                continue;
            }
            () = sleep(pause) => {}
        }
        failed = false;
        for place in std::mem::take(&mut due) {
            match tell(&context, &place, told.get(&place)).await {
                Ok(Some(answer)) => {
                    told.insert(place, answer);
                }
                Ok(None) => {
                    told.remove(&place);
                }
                Err(error) => {
                    if !matches!(error, PublishError::Conflict) {
                        tracing::warn!(
                            namespace = place.0,
                            name = place.1,
                            error = &error as &dyn std::error::Error,
                            "failed to publish the status of a catalogue; trying again"
                        );
                    }
                    told.remove(&place);
                    failed = true;
                    due.insert(place);
                }
            }
        }
    }
}

async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

/// Publishes what changed of one catalogue. `None`: it is gone.
async fn tell(
    context: &Context,
    (namespace, name): &(String, String),
    former: Option<&Arc<KeyCatalogue>>,
) -> Result<Option<Arc<KeyCatalogue>>, PublishError> {
    let reference = ObjectRef::new(name).within(namespace);
    let Some(object) = context.stores.catalogues.get(&reference) else {
        return Ok(None);
    };
    let Some((prepared, laid)) = context.catalogues.get(&reference) else {
        return Ok(None);
    };
    let object = newest(object, former);
    let generation = object.metadata.generation.unwrap_or_default();
    if prepared.generation != generation {
        // The store is ahead of what takes part; its change is about to be told.
        return Ok(Some(object));
    }
    let former = object.status.clone().unwrap_or_default();
    let name = name.clone();
    // A large catalogue of many models takes a while to weigh.
    let weighed = tokio::task::spawn_blocking(move || weigh(&name, &prepared, &laid)).await;
    let Ok(weighed) = weighed else {
        // The runtime is ending.
        return Ok(Some(object));
    };
    let status = KeyCatalogueStatus {
        observed_generation: generation,
        conditions: conditions(
            &former.conditions,
            &weighed.conditions,
            generation,
            clock::now(),
        ),
        keys: Some(weighed.keys),
        generation_in_force: weighed.in_force.filter(|in_force| *in_force != generation),
        finding_count: i32::try_from(weighed.findings.len())
            .ok()
            .filter(|count| *count > 0),
        findings: weighed.findings.into_iter().take(MAX_FINDINGS).collect(),
    };
    let status = fit::catalogue(&status).unwrap_or(status);
    if status == former {
        return Ok(Some(object));
    }
    let version = object.resource_version().unwrap_or_default();
    let answer = context
        .publisher
        .catalogue(&reference, &version, status)
        .await?;
    context.metrics.status_write("KeyCatalogue");
    Ok(Some(answer))
}

/// What is to be told of a catalogue.
struct Weighed {
    conditions: Vec<Condition>,
    keys: CatalogueKeyCounts,
    in_force: Option<i64>,
    /// Errors first, then in the order of the document.
    findings: Vec<Finding>,
}

fn weigh(name: &str, prepared: &Prepared, laid: &Arc<Catalogue>) -> Weighed {
    let document = prepared.user.document.as_ref();
    let mut remarks = match prepared.in_force {
        Some(_) => review_among(laid, name, document),
        None => Vec::new(),
    };
    remarks.sort_by_key(|remark| remark.severity);
    let stall = stall(prepared, &remarks);
    let (ready, reason, message) = match &stall {
        Some((reason, message)) => ("False", *reason, message.clone()),
        None => {
            let keys = match document.keys.len() {
                1 => "its key is".to_owned(),
                count => format!("its {count} keys are"),
            };
            let message =
                format!("{keys} in force for the stations of this namespace that it matches");
            ("True", "InForce", message)
        }
    };
    let condition = |kind: &str, status: &str| Condition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.clone(),
    };
    let mut conditions = vec![condition("Ready", ready)];
    if stall.is_some() {
        conditions.push(condition("Stalled", "True"));
    }
    Weighed {
        conditions,
        keys: counts(document),
        in_force: prepared.in_force,
        findings: remarks
            .into_iter()
            .map(|remark| finding(document, remark))
            .collect(),
    }
}

/// Why it is not in force as it is written, if so: a person has to mend it.
fn stall(prepared: &Prepared, remarks: &[Remark]) -> Option<(&'static str, String)> {
    let what_holds = match prepared.in_force {
        Some(generation) if generation != prepared.generation => {
            format!("; generation {generation} stays in force")
        }
        Some(_) => String::new(),
        None => {
            "; nothing that it says is in force, and the keys that it names are held".to_owned()
        }
    };
    if let Some(mistake) = &prepared.mistake {
        return Some(("Invalid", format!("{mistake}{what_holds}")));
    }
    if let Some(why) = &prepared.unreadable {
        let message =
            format!("its file cannot be read, and what it said last stays in force: {why}");
        return Some(("Unreadable", message));
    }
    let mut conflicts = remarks
        .iter()
        .filter(|remark| remark.rule == "CatalogueConflict");
    let first = conflicts.next()?;
    let more = match conflicts.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let message = format!("{}{more}; a key in conflict is held", first.message);
    Some(("Conflict", message))
}

fn counts(document: &CatalogueDocument) -> CatalogueKeyCounts {
    let built_in = Catalogue::built_in();
    let known = |name: &str| {
        let mut entries = built_in
            .documents()
            .flat_map(|(_, document)| &document.keys);
        entries.any(|entry| entry.key.as_str().eq_ignore_ascii_case(name))
    };
    let keys = document.keys.iter();
    let added = keys.filter(|entry| !known(entry.key.as_str())).count();
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    CatalogueKeyCounts {
        total: number(document.keys.len()),
        added: number(added),
    }
}

fn finding(document: &CatalogueDocument, remark: Remark) -> Finding {
    let Remark {
        entry,
        fact,
        severity,
        rule,
        message,
    } = remark;
    let key = entry.and_then(|entry| document.keys.get(entry));
    Finding {
        severity,
        rule,
        key: key.map(|entry| entry.key.clone()),
        message: match fact {
            Some(fact) => format!("{fact}: {message}"),
            None => message,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::catalogues::Catalogues;
    use super::*;

    fn object(name: &str, generation: i64, spec: Value) -> KeyCatalogue {
        serde_json::from_value(json!({
            "apiVersion": "stationkeeper.dev/v1alpha1", "kind": "KeyCatalogue", "spec": spec,
            "metadata": {"name": name, "namespace": "north", "uid": name, "generation": generation},
        }))
        .unwrap()
    }

    fn ranged(max: i64) -> Value {
        json!({
            "match": [{"vendor": "Volta"}], "sources": {"manual": {"publisher": "Volta", "title": "Manual"}}, "source": "manual",
            "keys": [{"key": "VoltaMode", "type": "Integer", "range": {"max": max}, "hazard": ["None"]}],
        })
    }

    fn told(catalogues: &Catalogues, name: &str) -> Weighed {
        let reference = ObjectRef::new(name).within("north");
        let (prepared, laid) = catalogues.get(&reference).unwrap();
        weigh(name, &prepared, &laid)
    }

    fn check_ready(weighed: &Weighed, status: &str, reason: &str, words: &str) {
        let ready = &weighed.conditions[0];
        assert_eq!(
            (ready.kind.as_str(), ready.status.as_str()),
            ("Ready", status)
        );
        assert_eq!(ready.reason, reason);
        assert!(ready.message.contains(words), "{}", ready.message);
        assert_eq!(weighed.conditions.len() == 2, status == "False");
    }

    #[test]
    fn a_sound_catalogue_is_in_force_and_nothing_is_found() {
        let catalogues = Catalogues::new(None);
        catalogues.put(&object("volta", 1, ranged(32)));
        let weighed = told(&catalogues, "volta");
        check_ready(&weighed, "True", "InForce", "its key is in force");
        assert_eq!(weighed.findings, []);
        assert_eq!((weighed.keys.total, weighed.keys.added), (1, 1));
    }

    #[test]
    fn two_that_differ_are_both_stalled_and_name_each_other() {
        let catalogues = Catalogues::new(None);
        for (name, max) in [("first", 32), ("second", 64)] {
            catalogues.put(&object(name, 1, ranged(max)));
        }
        catalogues.put(&object("third", 1, json!({"keys": [{"key": "VoltaMode"}]})));
        for name in ["first", "second"] {
            let weighed = told(&catalogues, name);
            check_ready(&weighed, "False", "Conflict", "\"first\" and \"second\"");
            assert_eq!(weighed.findings[0].rule, "CatalogueConflict");
        }
        let bystander = told(&catalogues, "third");
        assert_eq!(bystander.conditions.len(), 1, "{:?}", bystander.conditions);
    }

    #[test]
    fn a_guard_that_stays_is_told_to_who_would_lower_it() {
        let catalogues = Catalogues::new(None);
        let lowered = json!({"keys": [{"key": "SecurityProfile", "hazard": ["None"]}]});
        catalogues.put(&object("lax", 1, lowered));
        let weighed = told(&catalogues, "lax");
        check_ready(&weighed, "True", "InForce", "");
        let rules: Vec<&str> = weighed
            .findings
            .iter()
            .map(|found| found.rule.as_str())
            .collect();
        assert!(rules.contains(&"HazardNotLowered"), "{rules:?}");
    }

    #[test]
    fn an_invalid_generation_is_stalled_and_says_what_is_in_force() {
        let catalogues = Catalogues::new(None);
        catalogues.put(&object("volta", 1, ranged(32)));
        let broken = json!({"keys": [{"key": "VoltaMode", "range": {"min": 5, "max": 1}}]});
        catalogues.put(&object("volta", 2, broken.clone()));
        check_ready(
            &told(&catalogues, "volta"),
            "False",
            "Invalid",
            "begins at 5 and ends at 1, which is less; generation 1 stays in force",
        );
        catalogues.put(&object("other", 1, broken));
        check_ready(&told(&catalogues, "other"), "False", "Invalid", "are held");
    }
}
