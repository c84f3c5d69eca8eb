//! Rules about staying connected.

use super::{Rule, Situation};
use crate::catalogue::Excluded;
use crate::value;
use crate::words::{Finding, Severity};

const HEARTBEAT: &str = "HeartbeatInterval";
const PING: &str = "WebSocketPingInterval";
const SECURITY_PROFILE: &str = "SecurityProfile";

/// The seconds of a day.
const DAY: i64 = 86_400;

pub(super) const HEARTBEAT_AT_LEAST_DAILY: Rule = Rule {
    name: "HeartbeatAtLeastDaily",
    asks: "a station sends a heartbeat at least once a day, since its clock is set by the answer",
    source: "Open Charge Alliance: Open Charge Point Protocol 1.6 edition 2, section 4.6; OCPP-J 1.6 specification, section 5.3",
    severity: Severity::Warning,
    check: heartbeat_at_least_daily,
};

fn heartbeat_at_least_daily(rule: &Rule, situation: &Situation<'_, '_>) -> Vec<Finding> {
    let message = match situation.desired_number(HEARTBEAT) {
        Some(0) => "0 may stop the heartbeats, by which the station sets its clock; write 1 to 86400 seconds".to_owned(),
        Some(seconds) if seconds > DAY => {
            format!("{seconds} s is more than a day, and the station sets its clock by heartbeats; write at most {DAY}")
        }
        Some(_) | None => return Vec::new(),
    };
    vec![rule.about(situation, HEARTBEAT, message)]
}

pub(super) const NO_PINGS: Rule = Rule {
    name: "NoPings",
    asks: "a station sends pings, so that a dead connection is noticed",
    source: "Open Charge Alliance: OCPP-J 1.6 specification, section 7; OCPP-J 1.6 errata sheet, section 3.11",
    severity: Severity::Warning,
    check: no_pings,
};

fn no_pings(rule: &Rule, situation: &Situation<'_, '_>) -> Vec<Finding> {
    match situation.desired_number(PING) {
        Some(0) => vec![rule.about(
            situation,
            PING,
            "0 means no pings: the station notices a dead connection only when it has something to send".to_owned(),
        )],
        Some(_) | None => Vec::new(),
    }
}

pub(super) const PINGS_SLOWER_THAN_RETRIES: Rule = Rule {
    name: "PingsSlowerThanRetries",
    asks: "pings come more often than the retries of a transaction message last, so that none is lost on a dead connection",
    source: "Open Charge Alliance: OCPP-J 1.6 errata sheet, section 3.11",
    severity: Severity::Warning,
    check: pings_slower_than_retries,
};

fn pings_slower_than_retries(rule: &Rule, situation: &Situation<'_, '_>) -> Vec<Finding> {
    const ATTEMPTS: &str = "TransactionMessageAttempts";
    const INTERVAL: &str = "TransactionMessageRetryInterval";
    let numbers = (
        situation.desired_number(PING),
        situation.expected_number(ATTEMPTS),
        situation.expected_number(INTERVAL),
    );
    let (Some(ping @ 1..), Some(attempts @ 1..), Some(interval @ 1..)) = numbers else {
        return Vec::new();
    };
    let retries = attempts.saturating_mul(interval);
    if ping < retries {
        return Vec::new();
    }
    let message = format!(
        "a ping every {ping} s is not less than {ATTEMPTS} × {INTERVAL} ({attempts} × {interval} = {retries} s): \
         transaction messages may be given up on a dead connection; write less than {retries}"
    );
    vec![rule.about(situation, PING, message)]
}

pub(super) const NETWORK_PROFILE_VALUE: Rule = Rule {
    name: "NetworkProfileValue",
    asks: "the address of a CSMS does not end with the station's identity, which the station adds by itself",
    source: "Amina Charging: OCPP 1.6j Configuration Settings, NetworkConnectionProfile1",
    severity: Severity::Error,
    check: network_profile_value,
};

fn network_profile_value(rule: &Rule, situation: &Situation<'_, '_>) -> Vec<Finding> {
    let Some(identity) = situation.identity.filter(|identity| !identity.is_empty()) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for (key, desired, definition) in situation.declared() {
        let excluded = definition
            .excludes
            .as_ref()
            .is_some_and(|fact| fact.value.contains(&Excluded::Identity));
        let path = desired
            .split(['?', '#'])
            .next()
            .unwrap_or(desired)
            .trim_end_matches('/');
        let has_identity = path
            .rsplit('/')
            .next()
            .is_some_and(|segment| segment == identity);
        if excluded && has_identity {
            findings.push(rule.finding(
                key,
                format!("the station adds its identity {identity:?} to this address by itself; leave it out of the value"),
            ));
        }
    }
    findings
}

pub(super) const SECURITY_PROFILE_ONLY_RISES: Rule = Rule {
    name: "SecurityProfileOnlyRises",
    asks: "a security profile is only ever raised",
    source: "Open Charge Alliance: Improved security for OCPP 1.6-J edition 3, section A05, A05.FR.01",
    severity: Severity::Error,
    check: security_profile_only_rises,
};

fn security_profile_only_rises(rule: &Rule, situation: &Situation<'_, '_>) -> Vec<Finding> {
    let observed = situation
        .observed(SECURITY_PROFILE)
        .and_then(value::whole_number);
    match (situation.desired_number(SECURITY_PROFILE), observed) {
        (Some(desired), Some(observed)) if desired < observed => vec![rule.about(
            situation,
            SECURITY_PROFILE,
            format!("the station has profile {observed}, which it never lowers over OCPP; write {observed} or more"),
        )],
        (Some(_) | None, Some(_) | None) => Vec::new(),
    }
}
