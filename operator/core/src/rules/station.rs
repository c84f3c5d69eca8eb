//! Rules about what a station has and how its keys bound each other.

use super::{Rule, Situation};
use crate::catalogue::Supported;
use crate::value;
use crate::words::{Finding, Key, Severity};

pub(super) const LIMIT_EXCEEDED: Rule = Rule {
    name: "LimitExceeded",
    asks: "a limit of the operator is not above the limit that it stays within",
    source: "Ensto: OCPP configuration keys, Dynamic Load Management available settings, DlmOperatorPhase1Limit and following",
    severity: Severity::Error,
    check: limit_exceeded,
};

fn limit_exceeded(rule: &Rule, situation: &Situation<'_, '_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (key, desired, definition) in situation.declared() {
        let Some(bound) = definition
            .at_most_key
            .as_ref()
            .map(|fact| fact.value.as_str())
        else {
            continue;
        };
        let (Some(number), Some(limit)) = (
            value::whole_number(desired),
            situation.expected_number(bound),
        ) else {
            continue;
        };
        if number > limit {
            findings.push(rule.finding(
                key,
                format!("{number} is above {bound}, which is {limit}; write at most {limit}, or raise {bound} as well"),
            ));
        }
    }
    findings
}

pub(super) const EV_SIDE_DISCONNECT_PAIR: Rule = Rule {
    name: "EvSideDisconnectPair",
    asks: "the two keys that say what happens when the cable is unplugged from the vehicle are set together",
    source: "Open Charge Alliance: Open Charge Point Protocol 1.6 edition 2, sections 4.10, 9.1.23 and 9.1.33",
    severity: Severity::Warning,
    check: ev_side_disconnect_pair,
};

fn ev_side_disconnect_pair(rule: &Rule, situation: &Situation<'_, '_>) -> Vec<Finding> {
    const STOP: &str = "StopTransactionOnEVSideDisconnect";
    const UNLOCK: &str = "UnlockConnectorOnEVSideDisconnect";
    let (declared, missing) = match (situation.is_declared(STOP), situation.is_declared(UNLOCK)) {
        (true, false) => (STOP, UNLOCK),
        (false, true) => (UNLOCK, STOP),
        (true, true) => return stop_and_unlock(rule, situation, STOP, UNLOCK),
        (false, false) => return Vec::new(),
    };
    match situation.expected_truth(missing) {
        Some(_) => stop_and_unlock(rule, situation, declared, missing),
        None => vec![rule.about(
            situation,
            declared,
            format!("it works together with {missing}, which is neither declared nor known of the station; set both"),
        )],
    }
}

/// Not stopped and to be unlocked: in OCPP the first wins, and the cable stays locked (section 4.10); stations are seen
/// to unlock it. Either way the transaction goes on without a vehicle, until somebody stops it.
fn stop_and_unlock(
    rule: &Rule,
    situation: &Situation<'_, '_>,
    declared: &str,
    other: &str,
) -> Vec<Finding> {
    let stops = situation.expected_truth("StopTransactionOnEVSideDisconnect");
    let unlocks = situation.expected_truth("UnlockConnectorOnEVSideDisconnect");
    if stops != Some(false) || unlocks != Some(true) {
        return Vec::new();
    }
    vec![rule.about(
        situation,
        declared,
        format!(
            "together with {other} it leaves the transaction open when the cable is unplugged; the cable stays locked, says \
             OCPP, and some stations unlock it; let it stop as well, or make sure that the CSMS stops it"
        ),
    )]
}

pub(super) const PROFILE_NOT_SUPPORTED: Rule = Rule {
    name: "ProfileNotSupported",
    asks: "a key belongs to a feature profile that the station has",
    source: "Open Charge Alliance: Open Charge Point Protocol 1.6 edition 2, sections 3.3 and 9",
    severity: Severity::Warning,
    check: profile_not_supported,
};

fn profile_not_supported(rule: &Rule, situation: &Situation<'_, '_>) -> Vec<Finding> {
    const PROFILES: &str = "SupportedFeatureProfiles";
    // Only the station's own word counts: a desired list of profiles makes none of them.
    let Some(shown) = situation
        .observed(PROFILES)
        .filter(|shown| !shown.trim().is_empty())
    else {
        return Vec::new();
    };
    let definition = situation.catalogue.definition(&Key::from(PROFILES));
    let profiles = value::items(&definition, shown);
    let mut findings = Vec::new();
    for (key, _, definition) in situation.declared() {
        let Some(profile) = definition.profile() else {
            continue;
        };
        if !profiles
            .iter()
            .any(|known| known.eq_ignore_ascii_case(profile.as_str()))
        {
            findings.push(rule.finding(
                key,
                format!(
                    "it belongs to the profile {}, which the station does not have ({PROFILES})",
                    profile.as_str()
                ),
            ));
        }
    }
    findings
}

pub(super) const NOT_SUPPORTED_BY_VENDOR: Rule = Rule {
    name: "NotSupportedByVendor",
    asks: "a key is one that the vendor's stations provide",
    source: "the catalogue's fact `supported`, with its own source",
    severity: Severity::Warning,
    check: not_supported_by_vendor,
};

fn not_supported_by_vendor(rule: &Rule, situation: &Situation<'_, '_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (key, _, definition) in situation.declared() {
        if let Some(fact) = definition
            .supported
            .as_ref()
            .filter(|fact| fact.value == Supported::NotSupported)
        {
            findings.push(rule.finding(
                key,
                format!(
                    "stations like this one do not have it, says {}; leave it out for them",
                    fact.source
                ),
            ));
        }
    }
    findings
}
