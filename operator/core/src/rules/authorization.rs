//! Rules about who may charge when.

use super::{Rule, Situation};
use crate::words::{Finding, Severity};

pub(super) const INVALID_ID_PAIR: Rule = Rule {
    name: "InvalidIdPair",
    asks: "a driver whose identifier turns out to be invalid does not charge without end",
    source: "Open Charge Alliance: Open Charge Point Protocol 1.6 edition 2, sections 3.5.4, 9.1.14 and 9.1.24; OCPP 1.6 errata sheet, section 3.17",
    severity: Severity::Warning,
    check: invalid_id_pair,
};

fn invalid_id_pair(rule: &Rule, situation: &Situation<'_, '_>) -> Vec<Finding> {
    const STOP: &str = "StopTransactionOnInvalidId";
    const ENERGY: &str = "MaxEnergyOnInvalidId";
    if situation.desired_truth(STOP) != Some(false) || situation.expected(ENERGY).is_some() {
        return Vec::new();
    }
    vec![rule.about(
        situation,
        STOP,
        format!(
            "false without {ENERGY} leaves the transaction of an invalid identifier open; OCPP has the station stop the \
             energy, and some charge on without end; write true, or set {ENERGY} where the station has it"
        ),
    )]
}

pub(super) const LOCAL_AUTHORIZATION_CHAIN: Rule = Rule {
    name: "LocalAuthorizationChain",
    asks: "local authorization has a list or a cache to look into",
    source: "Open Charge Alliance: Open Charge Point Protocol 1.6 edition 2, section 3.5",
    severity: Severity::Warning,
    check: local_authorization_chain,
};

fn local_authorization_chain(rule: &Rule, situation: &Situation<'_, '_>) -> Vec<Finding> {
    const LIST: &str = "LocalAuthListEnabled";
    const CACHE: &str = "AuthorizationCacheEnabled";
    let list = situation.expected_truth(LIST);
    let cache = situation.expected_truth(CACHE);
    // Nothing known is no proof of nothing there; one that is off and one that is absent is.
    if list == Some(true) || cache == Some(true) || (list.is_none() && cache.is_none()) {
        return Vec::new();
    }
    ["LocalAuthorizeOffline", "LocalPreAuthorize"]
        .into_iter()
        .filter(|name| situation.desired_truth(name) == Some(true))
        .map(|name| {
            rule.about(
                situation,
                name,
                format!("it looks into the local list ({LIST}) and the cache ({CACHE}), and neither is on; turn one on"),
            )
        })
        .collect()
}
