//! What is told of one station.

use super::{
    Class, Condition, Deviation, KeyCounts, MAX_DEVIATIONS, MAX_FINDINGS, StationStatus, as_count,
    class, condition, counted, is_answered, is_settled, named, stall,
};
use crate::plan::{KeyVerdict, Plan};
use crate::state::State;
use crate::station::{Link, StationFacts};
use crate::words::Finding;

/// Tells of a station after a pass. `passing`: a pass is under way or due now (Reconciling).
pub fn station_status(plan: &Plan, station: &StationFacts, passing: bool) -> StationStatus {
    let deviating: Vec<&KeyVerdict> = plan
        .keys
        .iter()
        .filter(|verdict| deviates(verdict))
        .collect();
    let deviation_count = as_count(deviating.len());
    StationStatus {
        counts: counts(&plan.keys),
        conditions: conditions(plan, station, passing, deviating.len()),
        deviations: deviations(deviating),
        deviation_count,
        findings: findings(plan),
    }
}

/// The findings that no verdict tells already, errors first; each once.
fn findings(plan: &Plan) -> Vec<Finding> {
    let is_told = |finding: &Finding| {
        let about = |verdict: &&KeyVerdict| Some(&verdict.key) == finding.key.as_ref();
        let verdict = plan.keys.iter().find(about);
        verdict.is_some_and(|verdict| verdict.message == finding.message)
    };
    let mut findings: Vec<Finding> = plan
        .findings
        .iter()
        .filter(|finding| !is_told(finding))
        .cloned()
        .collect();
    findings.sort();
    findings.dedup();
    findings.truncate(MAX_FINDINGS);
    findings
}

/// Everything that a reader of status wants to see by name.
fn deviates(verdict: &KeyVerdict) -> bool {
    verdict.state != State::InSync && verdict.state != State::NotApplicable
}

fn counts(keys: &[KeyVerdict]) -> KeyCounts {
    let mut counts = KeyCounts::default();
    for verdict in keys {
        counts.total += 1;
        match class(verdict.state) {
            Class::InSync => counts.in_sync += 1,
            Class::Unverifiable if is_answered(verdict) => counts.unverifiable += 1,
            Class::Unverifiable | Class::Pending => counts.pending += 1,
            Class::ResetPending => counts.reset_pending += 1,
            Class::Drifted => counts.drifted += 1,
            Class::Failed => counts.failed += 1,
            Class::NotApplicable => counts.total -= 1,
        }
    }
    counts
}

fn deviations(mut deviating: Vec<&KeyVerdict>) -> Vec<Deviation> {
    deviating.sort_by(|a, b| {
        class(a.state)
            .cmp(&class(b.state))
            .then_with(|| a.key.cmp(&b.key))
    });
    deviating.truncate(MAX_DEVIATIONS);
    deviating.into_iter().map(deviation).collect()
}

fn deviation(verdict: &KeyVerdict) -> Deviation {
    Deviation {
        key: verdict.key.clone(),
        state: verdict.state,
        reason: verdict.reason,
        message: verdict.message.clone(),
        desired: verdict.desired.as_ref().map(String::from),
        observed: verdict.observed.as_ref().map(String::from),
        config: verdict.config.to_string(),
    }
}

fn conditions(
    plan: &Plan,
    station: &StationFacts,
    passing: bool,
    deviating: usize,
) -> Vec<Condition> {
    let mut conditions = vec![
        ready(plan, passing),
        in_sync(plan, deviating),
        connected(station.link),
    ];
    let stalled = first_stall(&plan.keys);
    if let Some((reason, message)) = stalled {
        conditions.push(condition("Stalled", true, reason, message));
    } else if is_progressing(plan, passing) {
        conditions.push(condition(
            "Reconciling",
            true,
            "Progressing",
            progress(plan),
        ));
    }
    let drifted: Vec<&KeyVerdict> = plan
        .keys
        .iter()
        .filter(|verdict| verdict.state.is_drift())
        .collect();
    if let Some(worst) = drifted
        .iter()
        .min_by_key(|verdict| (class(verdict.state), &verdict.key))
    {
        let message = with_others(
            &named(&worst.key, &worst.message),
            drifted.len(),
            "drifted key",
        );
        conditions.push(condition(
            "Drifted",
            true,
            &format!("{:?}", worst.state),
            message,
        ));
    }
    if let Some(pending) = &plan.pending_reset {
        let keys: Vec<&str> = pending
            .keys
            .iter()
            .take(10)
            .map(crate::words::Key::as_str)
            .collect();
        let by = if pending.reconnect_suffices {
            "its next connection"
        } else {
            "its next boot"
        };
        let message = format!(
            "{} {} effect with {by}: {}",
            counted(pending.keys.len(), "key"),
            if pending.keys.len() == 1 {
                "takes"
            } else {
                "take"
            },
            keys.join(", ")
        );
        conditions.push(condition("ResetRequired", true, "AwaitingBoot", message));
    }
    conditions
}

fn is_progressing(plan: &Plan, passing: bool) -> bool {
    passing || !plan.read.is_empty() || plan.keys.iter().any(|verdict| verdict.actionable)
}

/// The first key, by name, that only a person can move.
fn first_stall(keys: &[KeyVerdict]) -> Option<(&'static str, String)> {
    let mut stalled = keys
        .iter()
        .filter_map(|verdict| Some((stall(verdict)?, verdict)));
    let (reason, first) = stalled.next()?;
    Some((
        reason,
        with_others(
            &named(&first.key, &first.message),
            stalled.count() + 1,
            "stalled key",
        ),
    ))
}

fn with_others(message: &str, count: usize, what: &str) -> String {
    if count > 1 {
        format!("{message} ({} in all)", counted(count, what))
    } else {
        message.to_owned()
    }
}

fn progress(plan: &Plan) -> String {
    let actionable = plan.keys.iter().filter(|verdict| verdict.actionable);
    let (unread, unwritten): (Vec<&KeyVerdict>, Vec<&KeyVerdict>) =
        actionable.partition(|verdict| matches!(verdict.state, State::Unknown | State::Unreported));
    let to_read = plan.read.len().max(unread.len());
    match (to_read, unwritten.len()) {
        (0, 0) => "a pass over the station is under way".to_owned(),
        (0, count) => format!("{} to be written", counted(count, "key")),
        (count, _) => format!("{} to be read", counted(count, "key")),
    }
}

fn ready(plan: &Plan, passing: bool) -> Condition {
    if let Some((reason, message)) = first_stall(&plan.keys) {
        return condition("Ready", false, reason, message);
    }
    if is_progressing(plan, passing) {
        return condition("Ready", false, "Progressing", progress(plan));
    }
    condition(
        "Ready",
        true,
        "Reconciled",
        "all that may be done now is done",
    )
}

fn in_sync(plan: &Plan, deviating: usize) -> Condition {
    let unsettled: Vec<&KeyVerdict> = plan
        .keys
        .iter()
        .filter(|verdict| !is_settled(verdict))
        .collect();
    let Some(worst) = unsettled
        .iter()
        .min_by_key(|verdict| (class(verdict.state), &verdict.key))
    else {
        let message = match deviating {
            0 => "every managed key was read back as desired".to_owned(),
            hidden => format!(
                "every managed key is as desired; of these {} never shown by the station",
                if hidden == 1 {
                    "1 is".to_owned()
                } else {
                    format!("{hidden} are")
                }
            ),
        };
        return condition("InSync", true, "InSync", message);
    };
    let message = format!(
        "{} not in sync; {}",
        counted(unsettled.len(), "key"),
        named(&worst.key, &worst.message)
    );
    condition("InSync", false, &format!("{:?}", worst.state), message)
}

fn connected(link: Link) -> Condition {
    match link {
        Link::Offline => condition(
            "Connected",
            false,
            "Offline",
            "the station is not connected; what is told of it is stale",
        ),
        Link::Unregistered => condition(
            "Connected",
            true,
            "NotRegistered",
            "connected; it has sent no BootNotification yet that could be answered, and is not called before",
        ),
        Link::Ready => condition(
            "Connected",
            true,
            "Connected",
            "connected, and may be called",
        ),
    }
}
