//! Rules between keys: what no definition of a single key can say (section 5 of the design).
//!
//! In come the desired values of one station, what it was last seen to hold, and its catalogue; out go findings. An
//! error holds the key that it names; a warning is told, and the key goes on. A key that is not declared counts with
//! what the station holds, since the rules are about what the station will have. Single values are checked by
//! [`crate::value::check`], which comes first: a rule says nothing about a value that does not parse.

mod authorization;
mod connection;
mod metering;
mod station;

use std::collections::BTreeMap;

use crate::catalogue::{Definition, StationCatalogue};
use crate::value;
use crate::words::{Finding, Key, Severity};

/// A rule between keys.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name, as findings carry it.
    pub name: &'static str,
    /// What it asks for, in a sentence.
    pub asks: &'static str,
    /// The document that it comes from.
    pub source: &'static str,
    /// How bad it is to break it; where a rule knows less than it should, its error becomes a warning.
    pub severity: Severity,
    check: fn(&Rule, &Situation<'_, '_>) -> Vec<Finding>,
}

/// Every rule, in the order in which findings are made.
pub const RULES: &[Rule] = &[
    metering::LIST_TOO_LONG,
    metering::SAMPLE_INTERVAL_TOO_SHORT,
    connection::HEARTBEAT_AT_LEAST_DAILY,
    connection::NO_PINGS,
    connection::PINGS_SLOWER_THAN_RETRIES,
    connection::NETWORK_PROFILE_VALUE,
    connection::SECURITY_PROFILE_ONLY_RISES,
    station::LIMIT_EXCEEDED,
    station::EV_SIDE_DISCONNECT_PAIR,
    station::PROFILE_NOT_SUPPORTED,
    station::NOT_SUPPORTED_BY_VENDOR,
    authorization::INVALID_ID_PAIR,
    authorization::LOCAL_AUTHORIZATION_CHAIN,
];

/// Checks every rule: `values` are the desired ones by canonical name (no secrets), `observed` gives what the station
/// was last seen to hold by canonical name, `identity` is the string that the station connects with. Findings come in
/// the order of the rules, then of the keys.
pub fn check_rules<'a>(
    values: &BTreeMap<Key, &str>,
    observed: impl Fn(&Key) -> Option<&'a str>,
    catalogue: &StationCatalogue,
    identity: Option<&str>,
) -> Vec<Finding> {
    let definitions: Vec<_> = values.keys().map(|key| catalogue.definition(key)).collect();
    let declared = values
        .iter()
        .zip(&definitions)
        .map(|((key, value), definition)| Declared {
            key,
            value,
            definition,
        });
    check_declared(declared.collect(), &observed, catalogue, identity)
}

/// As [`check_rules`], for who has looked the definitions up: `declared` is sorted by key.
pub(crate) fn check_declared<'a>(
    declared: Vec<Declared<'_>>,
    observed: &dyn Fn(&Key) -> Option<&'a str>,
    catalogue: &StationCatalogue,
    identity: Option<&str>,
) -> Vec<Finding> {
    let situation = Situation {
        declared,
        observed,
        catalogue,
        identity,
    };
    RULES
        .iter()
        .flat_map(|rule| (rule.check)(rule, &situation))
        .collect()
}

/// A key with its desired value, and what is known of it.
pub(crate) struct Declared<'s> {
    pub(crate) key: &'s Key,
    pub(crate) value: &'s str,
    pub(crate) definition: &'s Definition,
}

/// Keys that the rules read on the station besides those that are declared: whoever plans a read may ask for them as
/// well, so that fewer rules have to guess.
pub fn companions(values: &BTreeMap<Key, &str>, catalogue: &StationCatalogue) -> Vec<Key> {
    let mut keys: Vec<Key> = values
        .keys()
        .filter_map(|key| catalogue.find(key))
        .flat_map(|definition| {
            definition
                .max_items_key
                .iter()
                .chain(&definition.at_most_key)
        })
        .map(|fact| catalogue.canonical(&fact.value))
        .filter(|key| !values.contains_key(key))
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

/// All that a rule may look at.
struct Situation<'s, 'o: 's> {
    /// The declared keys, sorted.
    declared: Vec<Declared<'s>>,
    observed: &'s (dyn Fn(&Key) -> Option<&'o str> + 's),
    catalogue: &'s StationCatalogue,
    identity: Option<&'s str>,
}

impl<'s, 'o: 's> Situation<'s, 'o> {
    /// The desired value, if the key is declared.
    fn desired(&self, name: &str) -> Option<&'s str> {
        let name = self.catalogue.known_name(name).map_or(name, Key::as_str);
        let at = self
            .declared
            .binary_search_by(|declared| declared.key.as_str().cmp(name));
        at.ok().map(|at| self.declared[at].value)
    }

    /// What the station will hold: the desired value, else what it was seen to hold.
    fn expected(&self, name: &str) -> Option<&'s str> {
        self.desired(name).or_else(|| self.observed(name))
    }

    /// What the station was last seen to hold.
    fn observed(&self, name: &str) -> Option<&'s str> {
        match self.catalogue.known_name(name) {
            Some(key) => (self.observed)(key),
            None => (self.observed)(&Key::new(name)),
        }
    }

    fn is_declared(&self, name: &str) -> bool {
        self.desired(name).is_some()
    }

    fn expected_number(&self, name: &str) -> Option<i64> {
        self.expected(name).and_then(value::whole_number)
    }

    fn desired_number(&self, name: &str) -> Option<i64> {
        self.desired(name).and_then(value::whole_number)
    }

    fn expected_truth(&self, name: &str) -> Option<bool> {
        self.expected(name)
            .and_then(|shown| self.truth(name, shown))
    }

    fn desired_truth(&self, name: &str) -> Option<bool> {
        self.desired(name).and_then(|shown| self.truth(name, shown))
    }

    /// True or false by the key's type: a vendor may have made an Enum (`(0)Off (1)On`) of a boolean.
    fn truth(&self, name: &str, shown: &str) -> Option<bool> {
        let definition = self.catalogue.definition(&Key::new(name));
        value::truth(&value::normalise(&definition, shown))
    }

    /// The declared keys that the catalogue knows, with their values.
    fn declared(&self) -> impl Iterator<Item = (&'s Key, &'s str, &'s Definition)> {
        self.declared
            .iter()
            .filter(|declared| declared.definition.known)
            .map(|declared| (declared.key, declared.value, declared.definition))
    }
}

impl Rule {
    fn finding(&self, key: &Key, message: String) -> Finding {
        self.finding_as(self.severity, key, message)
    }

    fn finding_as(&self, severity: Severity, key: &Key, message: String) -> Finding {
        Finding {
            severity,
            rule: self.name.to_owned(),
            key: Some(key.clone()),
            message,
        }
    }

    /// The finding of a rule about keys of fixed names.
    fn about(&self, situation: &Situation<'_, '_>, name: &str, message: String) -> Finding {
        self.finding(&situation.catalogue.canonical(&Key::new(name)), message)
    }
}
