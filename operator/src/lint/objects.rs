//! Objects: what is wrong between objects, whatever their settings say: two of one name, two of one identity, one password
//! for two stations, Secrets that lack what is asked of them.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;

use super::declared::{Declarations, Object};
use super::report::{Finding, Findings, Named, Severity};
use crate::manifest::Place;
use crate::objects::SecretRef;

/// Checks the objects with each other.
pub(super) fn check(declarations: &Declarations, findings: &mut Findings) {
    names(declarations, findings);
    identities(declarations, findings);
    passwords(declarations, findings);
    setting_secrets(declarations, findings);
}

fn names(declarations: &Declarations, findings: &mut Findings) {
    let mut first: BTreeMap<_, &Place> = BTreeMap::new();
    for (id, place) in &declarations.places {
        match first.get(id) {
            Some(other) => findings.add(Finding {
                place: Some(place.clone()),
                severity: Severity::Error,
                rule: "duplicate-object".to_owned(),
                object: Some(Named::from(id)),
                field: String::new(),
                key: None,
                message: format!(
                    "{id} is declared here a second time (first in {other}): delete one of the two, or give it another name"
                ),
            }),
            None => {
                first.insert(id, place);
            }
        }
    }
}

fn identities(declarations: &Declarations, findings: &mut Findings) {
    const FIELD: &str = "spec.identity";
    let mut first = BTreeMap::new();
    for station in &declarations.stations {
        let identity = station.body.spec.identity.as_str();
        if station.is_wrong(FIELD) {
            continue;
        }
        match first.get(identity) {
            Some(other) if other != &&station.id => {
                let message = format!(
                    "the identity {identity:?} is {other}'s as well: an identity is unique in the installation, and neither \
                     station would be served; give this one its own"
                );
                findings.add(station.finding(
                    Severity::Error,
                    "duplicate-identity",
                    FIELD,
                    message,
                ));
            }
            Some(_) => {}
            None => {
                first.insert(identity, &station.id);
            }
        }
    }
}

/// The passwords of stations: each its own, and there.
fn passwords(declarations: &Declarations, findings: &mut Findings) {
    let mut first = BTreeMap::new();
    for station in &declarations.stations {
        let Some(authentication) = &station.body.spec.authentication else {
            if !station.is_wrong("spec.authentication") {
                let message = "is missing, so that the station is refused: give its password's Secret in secretRef, or write \
                               none: true to admit it without one";
                let found = station.finding(
                    Severity::Warning,
                    "no-authentication",
                    "spec.authentication",
                    message.to_owned(),
                );
                findings.add(found);
            }
            continue;
        };
        if let Some(SecretRef { name, key }) = &authentication.secret_ref {
            const FIELD: &str = "spec.authentication.secretRef";
            look_up(declarations, station, FIELD, name, key, findings);
            match first.get(&(&station.id.namespace, name, key)) {
                Some(other) if other != &&station.id => {
                    let message = format!(
                        "{other} has the same password: whoever reads it from one station can pose as the other; give each a \
                         Secret of its own"
                    );
                    findings.add(station.finding(
                        Severity::Warning,
                        "shared-password",
                        FIELD,
                        message,
                    ));
                }
                Some(_) => {}
                None => {
                    first.insert((&station.id.namespace, name, key), &station.id);
                }
            }
        }
        if let Some(SecretRef { name, key }) = &authentication.bootstrap_secret_ref {
            const FIELD: &str = "spec.authentication.bootstrapSecretRef";
            look_up(declarations, station, FIELD, name, key, findings);
        }
    }
}

fn setting_secrets(declarations: &Declarations, findings: &mut Findings) {
    for config in &declarations.configs {
        for (index, setting) in config.body.spec.settings.iter().enumerate() {
            let Some(one) = setting
                .value_from
                .as_ref()
                .and_then(|from| from.secret_key_ref.as_ref())
            else {
                continue;
            };
            let field = format!("spec.settings[{index}].valueFrom.secretKeyRef");
            look_up(declarations, config, &field, &one.name, &one.key, findings);
        }
    }
}

/// Tells of a Secret that is not there, or lacks the key.
fn look_up<T>(
    declarations: &Declarations,
    object: &Object<T>,
    field: &str,
    name: &str,
    key: &str,
    findings: &mut Findings,
) {
    if object.is_wrong(field) {
        return;
    }
    let namespace = object.id.namespace.clone();
    let shown = format!("Secret {namespace}/{name}");
    let Some(data) = declarations.secrets.get(&(namespace, name.to_owned())) else {
        let message = format!(
            "{shown} is not among these files: see to it that the cluster has it, with the key {key:?}"
        );
        let field = format!("{field}.name");
        return findings.add(object.finding(Severity::Note, "secret-elsewhere", &field, message));
    };
    let keys: Vec<&str> = data.keys().map(String::as_str).collect();
    let message = match data.get(key) {
        Some(value) if !value.expose_secret().trim_ascii().is_empty() => return,
        Some(_) => format!("the key {key:?} of {shown} is empty: fill it"),
        None if keys.is_empty() => {
            format!("{shown} has no key {key:?}, nor any other: add it there")
        }
        None => format!(
            "{shown} has no key {key:?}, but {}: name one of these, or add it there",
            keys.join(", ")
        ),
    };
    let field = format!("{field}.key");
    findings.add(object.finding(Severity::Error, "secret-key-missing", &field, message));
}
