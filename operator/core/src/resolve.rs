//! Resolve: layers → the winning setting for each key, and the layer it came from.
//!
//! In come the layers of one station, in any order; out goes one winner for each key, or the fight over it. Whether a
//! setting is right, and whether its layer may be acted upon, is for [`crate::validate`]: a layer that is held takes
//! part like any other, so that its keys never fall to a lower layer's value.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalogue::{Definition, StationCatalogue};
use crate::layer::{HeldLayer, Layer, Mode, Setting, SettingValue, Standing};
use crate::value;
use crate::words::{ConfigRef, Key};

/// The winning setting for each key, by canonical name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// By canonical name.
    pub settings: BTreeMap<Key, ResolvedSetting>,
}

/// One key's winner, or the fight over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedSetting {
    /// The winner; in a conflict the first of the fighting layers (by namespace and name).
    pub setting: Setting,
    /// The winner's layer without its settings (`settings` is empty).
    pub layer: Arc<Layer>,
    /// All that is known of the key for this station.
    pub definition: Arc<Definition>,
    /// The other layers that want another value at the same priority, if any: the key is held.
    pub conflict: Vec<(ConfigRef, Setting)>,
}

/// Resolves. Neither the order of the layers nor that of their settings matters. Equal priority and equal (typed)
/// values is no conflict; a held layer takes part like any other, but for one that may not be for this station at all: it
/// holds its keys, and no conflict is told before it is known to be there.
///
/// Among layers of equal priority that agree on the value, the most careful one wins: a held one before an active one,
/// Report before Enforce, then by namespace and name. It is up to a person to give one of them the higher priority.
pub fn resolve(layers: &[Layer], catalogue: &StationCatalogue) -> Resolved {
    let heads: Vec<Arc<Layer>> = layers
        .iter()
        .map(|layer| Arc::new(without_settings(layer)))
        .collect();
    let mut claims = claims(layers, &heads, catalogue);
    claims.sort_by(|a, b| a.key.cmp(&b.key).then_with(|| precedence(a, b)));
    let settings = claims
        .chunk_by(|a, b| a.key == b.key)
        .map(|rivals| (rivals[0].key.clone(), winner(rivals)));
    Resolved {
        settings: settings.collect(),
    }
}

/// One layer's word about one key.
struct Claim<'a> {
    key: Key,
    setting: &'a Setting,
    layer: &'a Arc<Layer>,
    definition: Arc<Definition>,
}

fn claims<'a>(
    layers: &'a [Layer],
    heads: &'a [Arc<Layer>],
    catalogue: &StationCatalogue,
) -> Vec<Claim<'a>> {
    let mut claims = Vec::with_capacity(layers.iter().map(|layer| layer.settings.len()).sum());
    let mut strangers = false;
    for (layer, head) in layers.iter().zip(heads) {
        for setting in &layer.settings {
            let definition = catalogue.definition(&setting.key);
            let key = definition
                .key
                .clone()
                .unwrap_or_else(|| setting.key.clone());
            strangers |= !definition.known;
            claims.push(Claim {
                key,
                setting,
                layer: head,
                definition,
            });
        }
    }
    if strangers {
        unite_spellings(&mut claims);
    }
    claims
}

/// Keys that no catalogue knows are one if they differ only by case (OCPP 1.6, CiString); the least spelling counts,
/// so that the order does not matter.
fn unite_spellings(claims: &mut [Claim<'_>]) {
    let mut spellings: BTreeMap<String, Key> = BTreeMap::new();
    for claim in claims.iter().filter(|claim| !claim.definition.known) {
        let least = spellings
            .entry(claim.key.folded())
            .or_insert_with(|| claim.key.clone());
        if claim.key < *least {
            *least = claim.key.clone();
        }
    }
    for claim in claims.iter_mut().filter(|claim| !claim.definition.known) {
        if let Some(least) = spellings.get(&claim.key.folded())
            && *least != claim.key
        {
            claim.key = least.clone();
            claim.definition = Arc::new(Definition::unknown(least.clone()));
        }
    }
}

/// The winner comes first: the highest priority, then the most careful, then by name.
fn precedence(a: &Claim<'_>, b: &Claim<'_>) -> Ordering {
    let care = |claim: &Claim<'_>| {
        let missing = matches!(claim.setting.value, SettingValue::SecretMissing { .. });
        (
            claim.layer.standing == Standing::Active,
            !missing,
            mode(claim),
        )
    };
    (b.layer.priority.cmp(&a.layer.priority))
        .then_with(|| care(a).cmp(&care(b)))
        .then_with(|| a.layer.config.cmp(&b.layer.config))
        .then_with(|| a.setting.key.cmp(&b.setting.key))
        .then_with(|| value_order(&a.setting.value).cmp(&value_order(&b.setting.value)))
}

fn mode(claim: &Claim<'_>) -> Mode {
    claim
        .setting
        .mode
        .map_or(claim.layer.mode, |mode| mode.min(claim.layer.mode))
}

/// Only so that one layer that names a key twice gives the same answer in any order.
fn value_order(value: &SettingValue) -> (u8, &str) {
    match value {
        SettingValue::SecretMissing { message } => (0, message),
        SettingValue::Plain(value) => (1, value),
        SettingValue::Secret { version, length: _ } => (2, &version.0),
    }
}

fn winner(rivals: &[Claim<'_>]) -> ResolvedSetting {
    let best = &rivals[0];
    let fighters: Vec<&Claim<'_>> = rivals
        .iter()
        .take_while(|claim| claim.layer.priority == best.layer.priority)
        .filter(|claim| is_decided(claim))
        .collect();
    let fighting = fighters.first().is_some_and(|first| {
        fighters.iter().any(|claim| {
            fights(
                &first.definition,
                &first.setting.value,
                &claim.setting.value,
            )
        })
    });
    let first = match fighting {
        true => first_by_name(&fighters).unwrap_or(best),
        false => best,
    };
    let conflict = fighters
        .iter()
        .filter(|claim| {
            fighting
                && fights(
                    &first.definition,
                    &first.setting.value,
                    &claim.setting.value,
                )
        })
        .map(|claim| (claim.layer.config.clone(), claim.setting.clone()))
        .collect();
    ResolvedSetting {
        setting: first.setting.clone(),
        layer: Arc::clone(first.layer),
        definition: Arc::clone(&first.definition),
        conflict,
    }
}

/// Is it known that the layer is for this station? One of which it is not holds its keys, and fights nobody: two configs
/// for the hardware of two vendors never meet.
fn is_decided(claim: &Claim<'_>) -> bool {
    match &claim.layer.standing {
        Standing::Active => true,
        Standing::Held { reason, .. } => *reason != HeldLayer::Undecidable,
    }
}

fn first_by_name<'a, 'b>(equals: &[&'b Claim<'a>]) -> Option<&'b Claim<'a>> {
    let name = |claim: &&Claim<'_>| (claim.layer.config.clone(), claim.setting.key.clone());
    equals.iter().copied().min_by_key(name)
}

/// Do two values of equal priority want different things? A Secret that is missing may turn out to be any secret.
fn fights(definition: &Definition, a: &SettingValue, b: &SettingValue) -> bool {
    match (a, b) {
        (SettingValue::Plain(a), SettingValue::Plain(b)) => {
            a != b && !value::equal(definition, a, b)
        }
        (SettingValue::Secret { version: a, .. }, SettingValue::Secret { version: b, .. }) => {
            a != b
        }
        (
            SettingValue::SecretMissing { .. },
            SettingValue::Secret { .. } | SettingValue::SecretMissing { .. },
        )
        | (SettingValue::Secret { .. }, SettingValue::SecretMissing { .. }) => false,
        (
            SettingValue::Plain(_),
            SettingValue::Secret { .. } | SettingValue::SecretMissing { .. },
        )
        | (
            SettingValue::Secret { .. } | SettingValue::SecretMissing { .. },
            SettingValue::Plain(_),
        ) => true,
    }
}

/// A copy of a layer without its settings.
fn without_settings(layer: &Layer) -> Layer {
    let Layer {
        config,
        generation,
        priority,
        standing,
        mode,
        settings: _,
        consent,
        when_removed,
    } = layer;
    Layer {
        config: config.clone(),
        generation: *generation,
        priority: *priority,
        standing: standing.clone(),
        mode: *mode,
        settings: Vec::new(),
        consent: consent.clone(),
        when_removed: *when_removed,
    }
}
