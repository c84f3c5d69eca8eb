//! Rows 1 and 2 of the table: why a key is not written, whatever the station shows.
//!
//! The first that holds is told:
//!
//! | when | state · reason |
//! | --- | --- |
//! | the key belongs to the master of a pair, and the station is the slave | NotApplicable · Scope |
//! | the station does not list the key's profile | NotApplicable · Profile |
//! | layers of equal priority want different values | Conflict |
//! | the layer is held | Pending · Suspended, Paused, Config… |
//! | the key is a command, a reading or the like; credentials (for now) | Invalid |
//! | a secret stands in the manifest; the value breaks its type | Invalid |
//! | the Secret is missing | SecretMissing |
//! | a hazard without consent, unless the key is read-only and never written | NeedsConsent |

use std::borrow::Cow;

use super::Barrier;
use crate::catalogue::{Definition, Hazard, Profile, Scope, WriteRule};
use crate::layer::{Consent, HeldLayer, SettingValue, Standing};
use crate::observed::Reading;
use crate::resolve::ResolvedSetting;
use crate::state::{Reason, State};
use crate::station::Role;
use crate::value;
use crate::words::{ConfigRef, Key};

/// Keys whose change has to be carried through by both sides at once, or the station is locked out (security
/// whitepaper of the Open Charge Alliance, use case A01). Rotation does not exist yet.
const CREDENTIALS: &[&str] = &["AuthorizationKey", "SecurityProfile"];

/// What stands in the way of one key on a station that is like this one.
pub(super) fn on_this_station(
    key: &Key,
    definition: &Definition,
    role: Role,
    profiles: Option<&[String]>,
) -> Option<Barrier> {
    scope(key, definition, role).or_else(|| profile(key, definition, profiles))
}

/// What stands in the way of one key on every station, but for [`consent`].
pub(super) fn on_every_station(key: &Key, resolved: &ResolvedSetting) -> Option<Barrier> {
    let ResolvedSetting {
        setting,
        layer,
        definition,
        conflict,
    } = resolved;
    conflicting(key, resolved, conflict)
        .or_else(|| held(&layer.standing))
        .or_else(|| not_configuration(key, definition))
        .or_else(|| credential(key))
        .or_else(|| mistaken(key, definition, &setting.value))
        .or_else(|| missing(&setting.value))
}

fn because(rule: &'static str, state: State, reason: Reason, message: String) -> Option<Barrier> {
    Some(Barrier {
        rule: Cow::Borrowed(rule),
        state,
        reason,
        message,
    })
}

fn invalid(rule: &'static str, message: String) -> Option<Barrier> {
    because(rule, State::Invalid, Reason::SeeMessage, message)
}

fn scope(key: &Key, definition: &Definition, role: Role) -> Option<Barrier> {
    match (definition.scope()?, role) {
        (Scope::Master, Role::Slave) => because(
            "Scope",
            State::NotApplicable,
            Reason::Scope,
            format!("{key} is set on the master of the pair, and this station is the slave"),
        ),
        (Scope::Master, Role::Master | Role::Standalone)
        | (
            Scope::Individual | Scope::Both | Scope::NotRelevant,
            Role::Master | Role::Slave | Role::Standalone,
        ) => None,
    }
}

fn profile(key: &Key, definition: &Definition, profiles: Option<&[String]>) -> Option<Barrier> {
    let profile = definition
        .profile()
        .filter(|&profile| profile != Profile::Core)?;
    let listed = profiles?
        .iter()
        .any(|listed| listed.eq_ignore_ascii_case(profile.as_str()));
    if listed {
        return None;
    }
    because(
        "Profile",
        State::NotApplicable,
        Reason::Profile,
        format!(
            "{key} belongs to the profile {}, which the station does not list among its own",
            profile.as_str()
        ),
    )
}

fn conflicting(
    key: &Key,
    resolved: &ResolvedSetting,
    conflict: &[(ConfigRef, crate::layer::Setting)],
) -> Option<Barrier> {
    if conflict.is_empty() {
        return None;
    }
    let want = |config: &ConfigRef, value: &SettingValue| {
        format!("{config} wants {}", name_value(resolved, value))
    };
    let mut wants = vec![want(&resolved.layer.config, &resolved.setting.value)];
    wants.extend(
        conflict
            .iter()
            .map(|(config, setting)| want(config, &setting.value)),
    );
    because(
        "Conflict",
        State::Conflict,
        Reason::SeeMessage,
        format!(
            "configs of equal priority ({}) fight over {key}: {}; give one of them another priority, or remove the \
             setting from one",
            resolved.layer.priority,
            wants.join(", ")
        ),
    )
}

fn name_value(resolved: &ResolvedSetting, value: &SettingValue) -> String {
    match value {
        SettingValue::Plain(value) if !resolved.definition.is_secret() => format!("{value:?}"),
        SettingValue::Plain(_) => "a value written in the object".to_owned(),
        SettingValue::Secret {
            version: _,
            length: _,
        } => "the value of a Secret".to_owned(),
        SettingValue::SecretMissing { message: _ } => {
            "the value of a Secret that is missing".to_owned()
        }
    }
}

fn held(standing: &Standing) -> Option<Barrier> {
    match standing {
        Standing::Active => None,
        Standing::Held { reason, message } => {
            let reason = match reason {
                HeldLayer::Suspended => Reason::Suspended,
                HeldLayer::Paused => Reason::Paused,
                HeldLayer::Invalid => Reason::ConfigInvalid,
                HeldLayer::Unreadable => Reason::ConfigUnreadable,
                HeldLayer::Undecidable => Reason::ConfigUndecidable,
            };
            because("Held", State::Pending, reason, message.clone())
        }
    }
}

fn not_configuration(key: &Key, definition: &Definition) -> Option<Barrier> {
    if definition.write_rule() != WriteRule::Never {
        return None;
    }
    let why = if definition.has_hazard(Hazard::Action) {
        "writing it is a command"
    } else if definition.has_hazard(Hazard::SelfClearing) {
        "the station clears it by itself"
    } else if definition.has_hazard(Hazard::Identity) {
        "it changes who the station is"
    } else {
        "it is a reading"
    };
    invalid(
        "NotConfiguration",
        format!("{key} is not configuration: {why}; remove the setting"),
    )
}

/// Is it a key that is refused until rotation exists, whatever a config consents to?
pub fn is_credential(key: &Key) -> bool {
    CREDENTIALS
        .iter()
        .any(|credential| key.as_str().eq_ignore_ascii_case(credential))
}

fn credential(key: &Key) -> Option<Barrier> {
    if !is_credential(key) {
        return None;
    }
    invalid(
        "Credential",
        format!(
            "{key} is not written yet: credential rotation is not supported in this version, and a half-done change locks \
         the station out; remove the setting and change it by the station's own means"
        ),
    )
}

fn mistaken(key: &Key, definition: &Definition, value: &SettingValue) -> Option<Barrier> {
    match value {
        SettingValue::Plain(_) if definition.is_secret() => invalid(
            "SecretInPlain",
            format!(
                "{key} holds a secret, which must not stand in a manifest; use valueFrom with secretKeyRef or stationSecret, \
             and change the secret, since it has been seen"
            ),
        ),
        SettingValue::Plain(value) => {
            let mistake = value::check(definition, value).err()?;
            invalid("Value", mistake.0)
        }
        SettingValue::Secret { version: _, length } => {
            let mistake = value::check_secret_length(definition, *length).err()?;
            invalid("Value", mistake.0)
        }
        SettingValue::SecretMissing { message: _ } => None,
    }
}

fn missing(value: &SettingValue) -> Option<Barrier> {
    match value {
        SettingValue::SecretMissing { message } => because(
            "SecretMissing",
            State::SecretMissing,
            Reason::SeeMessage,
            message.clone(),
        ),
        SettingValue::Plain(_) | SettingValue::Secret { .. } => None,
    }
}

/// The consent that is missing, if one is; it stands in the way where the key could be written ([`is_read_only`]).
pub(super) fn consent(key: &Key, resolved: &ResolvedSetting) -> Option<Barrier> {
    let ResolvedSetting {
        setting: _,
        layer,
        definition,
        conflict: _,
    } = resolved;
    let missing = definition.missing_consent(&layer.consent)?;
    let message = match missing {
        Consent::Unknown if !definition.known => {
            format!("no catalogue knows {key}, so what writing it endangers is not known")
        }
        Consent::Unknown => format!("no catalogue says what writing {key} endangers"),
        Consent::NoFallback => {
            format!("{key} can cut the link, and no fallback is known that would bring it back")
        }
        Consent::ConnectionCritical => format!("{key} can cut the link to the station"),
        Consent::Irreversible => format!("a change of {key} cannot be undone"),
        Consent::WriteOnce => format!("{key} can be set once only"),
        Consent::Safety => format!("{key} touches protection or calibration law"),
        Consent::OwnedElsewhere => format!("another system writes {key} as well"),
    };
    because(
        "NeedsConsent",
        State::NeedsConsent,
        Reason::SeeMessage,
        format!(
            "{message}; to let it be written, add {missing:?} to spec.consent of config {}",
            layer.config
        ),
    )
}

/// Is the key never written anyway? The station's word outranks the catalogue's.
pub(crate) fn is_read_only(definition: &Definition, reading: Option<&Reading>) -> bool {
    match reading {
        Some(Reading::Known {
            readonly: Some(readonly),
            ..
        }) => *readonly,
        Some(
            Reading::Known { readonly: None, .. }
            | Reading::Unknown
            | Reading::Unreported
            | Reading::Ambiguous { .. }
            | Reading::Failed { .. },
        )
        | None => definition.is_read_only(),
    }
}
