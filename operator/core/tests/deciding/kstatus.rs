//! What Helm, Flux and Argo CD make of our status: kstatus' algorithm as an oracle over every verdict there can be.
//!
//! The algorithm is that of `sigs.k8s.io/cli-utils/pkg/kstatus/status` for custom resources: a deletion, then the
//! observed generation, then the conditions Reconciling and Stalled, then Ready.

use std::collections::BTreeSet;

use proptest::prelude::*;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stationkeeper_core::layer::Mode;
use stationkeeper_core::plan::{KeyVerdict, PendingReset, Plan};
use stationkeeper_core::recall;
use stationkeeper_core::state::{Reason, State};
use stationkeeper_core::station::Link;
use stationkeeper_core::status::{Condition, StationSummary, config_status, station_status};
use stationkeeper_core::words::Key;

use crate::given::{config, noon, station};

/// What kstatus calls an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Called {
    Current,
    InProgress,
    Failed,
}

/// kstatus on an object of ours.
fn kstatus(generation: i64, status: Option<&Value>) -> Called {
    let Some(status) = status else {
        return Called::Current;
    };
    if let Some(observed) = status["observedGeneration"].as_i64()
        && observed != generation
    {
        return Called::InProgress;
    }
    let holds = |kind: &str| {
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let mut of_kind = conditions.filter(|condition| condition["type"] == kind);
        of_kind.next().map(|condition| condition["status"].clone())
    };
    if holds("Reconciling") == Some(json!("True")) {
        return Called::InProgress;
    }
    if holds("Stalled") == Some(json!("True")) {
        return Called::Failed;
    }
    match holds("Ready") {
        Some(ready) if ready != "True" => Called::InProgress,
        Some(_) | None => Called::Current,
    }
}

fn called(conditions: &[Condition]) -> Called {
    kstatus(
        3,
        Some(&json!({"observedGeneration": 3, "conditions": conditions})),
    )
}

/// Every value of a plain enum, by its schema.
fn all<T: JsonSchema + DeserializeOwned>() -> Vec<T> {
    let schema = schemars::schema_for!(T).to_value();
    let alternatives = schema["oneOf"].as_array().into_iter().flatten();
    let words = alternatives.flat_map(|one| {
        let several = one["enum"].as_array().cloned().unwrap_or_default();
        one.get("const").cloned().into_iter().chain(several)
    });
    let plain = schema["enum"].as_array().cloned().unwrap_or_default();
    words
        .chain(plain)
        .map(|word| serde_json::from_value(word).expect("the schema's words are the type's"))
        .collect()
}

fn verdicts() -> impl Strategy<Value = Vec<KeyVerdict>> {
    let one = (
        prop::sample::select(all::<State>()),
        prop::sample::select(all::<Reason>()),
        any::<bool>(),
        any::<bool>(),
    );
    let verdicts = prop::collection::vec(one, 0..6);
    verdicts.prop_map(|verdicts| {
        let numbered = verdicts.into_iter().enumerate();
        numbered
            .map(
                |(number, (state, reason, enforce, actionable))| KeyVerdict {
                    key: Key::new(format!("Key{number}")),
                    state,
                    reason,
                    message: "for people".to_owned(),
                    desired: Some("1".into()),
                    observed: Some("2".into()),
                    config: config("base"),
                    mode: if enforce { Mode::Enforce } else { Mode::Report },
                    actionable,
                },
            )
            .collect()
    })
}

/// Can only a person move the key? Section 10 of the design: invalid, conflict, consent or Secret missing; and memory
/// that a newer version wrote.
fn needs_a_person(verdict: &KeyVerdict) -> bool {
    let by_state = match verdict.state {
        State::Invalid | State::Conflict | State::SecretMissing => true,
        State::NeedsConsent => verdict.mode == Mode::Enforce,
        _ => false,
    };
    by_state
        || matches!(
            verdict.reason,
            Reason::ConfigInvalid | Reason::ConfigUnreadable | Reason::NewerMemory
        )
}

/// Ready and InSync always and once, Reconciling and Stalled only while True and never both, all with words.
fn mannerly(conditions: &[Condition]) -> Result<(), TestCaseError> {
    let kinds: Vec<&str> = conditions.iter().map(|c| c.kind.as_str()).collect();
    let distinct: BTreeSet<&&str> = kinds.iter().collect();
    prop_assert_eq!(distinct.len(), kinds.len(), "{:?}", kinds);
    prop_assert!(kinds.contains(&"Ready") && kinds.contains(&"InSync"));
    prop_assert!(!(kinds.contains(&"Reconciling") && kinds.contains(&"Stalled")));
    for condition in conditions {
        let only_while_true = !["Ready", "InSync", "Connected"].contains(&condition.kind.as_str());
        prop_assert!(
            !only_while_true || condition.status == "True",
            "{condition:?}"
        );
        prop_assert!(!condition.message.is_empty() && !condition.reason.is_empty());
        prop_assert!(
            DOCUMENTED.contains(&format!("`{}`", condition.reason)),
            "docs/conditions.md says nothing of the reason {}",
            condition.reason
        );
    }
    Ok(())
}

/// The page that explains every reason to people.
const DOCUMENTED: &str = include_str!("../../../../docs/conditions.md");

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_station_is_in_progress_while_we_act_failed_if_only_a_person_can_and_current_otherwise(
        keys in verdicts(), passing: bool, reads: bool, connected: bool, pending: bool,
    ) {
        let plan = Plan {
            read: reads.then(|| Key::from("Key0")).into_iter().collect(),
            pending_reset: pending.then(|| PendingReset {
                id: "1".to_owned(), keys: vec![Key::from("Key0")], since: noon(), reconnect_suffices: false,
            }),
            keys,
            ..Plan::default()
        };
        let mut facts = station();
        facts.link = if connected { Link::Ready } else { Link::Offline };
        let status = station_status(&plan, &facts, passing);
        mannerly(&status.conditions)?;
        let expect = if plan.keys.iter().any(needs_a_person) {
            Called::Failed
        } else if passing || reads || plan.keys.iter().any(|verdict| verdict.actionable) {
            Called::InProgress
        } else {
            Called::Current
        };
        prop_assert_eq!(called(&status.conditions), expect, "{:#?}", status.conditions);
    }

    #[test]
    fn a_config_is_in_progress_while_a_station_of_it_is_and_failed_if_only_a_person_can(
        stations in prop::collection::vec((verdicts(), any::<bool>(), any::<bool>(), any::<bool>()), 0..4),
        mistaken: bool, suspended: bool,
    ) {
        let stations: Vec<StationSummary> = stations.into_iter().enumerate()
            .map(|(number, (keys, connected, current, refused))| StationSummary {
                station: format!("cp-{number}"),
                connected,
                seen: connected,
                current,
                stalled: refused.then(|| "refused".to_owned()),
                keys,
            })
            .collect();
        let status = config_status(&stations, mistaken.then_some("spec.settings: wrong"), suspended);
        mannerly(&status.conditions)?;
        let at_work = |station: &StationSummary| station.stalled.is_none()
            && (!station.current || station.keys.iter().any(|verdict| verdict.actionable));
        let expect = if mistaken || stations.iter().flat_map(|station| &station.keys).any(needs_a_person) {
            Called::Failed
        } else if !suspended && stations.iter().any(at_work) {
            Called::InProgress
        } else {
            Called::Current
        };
        prop_assert_eq!(called(&status.conditions), expect, "{:#?}", status.conditions);
    }
}

#[test]
fn an_object_that_was_just_applied_is_in_progress_until_its_generation_was_seen() {
    // The schema's default, set by the API server before anybody of ours has seen the object.
    assert_eq!(
        kstatus(1, Some(&json!({"observedGeneration": -1}))),
        Called::InProgress
    );
    let ready =
        json!({"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]});
    assert_eq!(kstatus(1, Some(&ready)), Called::Current);
    assert_eq!(kstatus(2, Some(&ready)), Called::InProgress);
}

#[test]
fn a_station_that_is_refused_as_a_whole_has_failed() {
    let told = recall::refused("DuplicateIdentity", "two objects have this identity");
    assert_eq!(called(&told), Called::Failed);
}

#[test]
fn every_state_and_reason_is_explained() {
    let missing = |words: Vec<String>| -> Vec<String> {
        let explained = |word: &String| {
            DOCUMENTED
                .lines()
                .any(|line| line.starts_with('|') && line.contains(&format!("`{word}`")))
        };
        words.into_iter().filter(|word| !explained(word)).collect()
    };
    let states = all::<State>().into_iter().map(|state| format!("{state:?}"));
    let reasons = all::<Reason>()
        .into_iter()
        .map(|reason| format!("{reason:?}"));
    let nothing: Vec<String> = Vec::new();
    assert_eq!(
        missing(states.chain(reasons).collect()),
        nothing,
        "docs/conditions.md explains each in a row of a table"
    );
}
