//! Merging: documents in the order of their rank → one station's definitions, fact by fact, and findings where the
//! documents contradict each other or overstep what they may do.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::definition::{Definition, Fact, KeyEntry, Source};
use super::document::{CatalogueDocument, Quirks, split_reference};
use super::facts::{Access, Hazard, Nature, TakesEffect, ValueType};
use super::station::StationCatalogue;
use super::{Row, UserDocument};
use crate::words::{Device, Finding, Key, Severity};

/// Whose document it is; a later tier outranks an earlier one, however specific that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tier {
    /// Built in, of OCPP itself.
    Standard,
    /// Built in, of a vendor.
    Vendor,
    /// A `KeyCatalogue` object.
    User,
}

impl Tier {
    /// The least rank of the tier. The most specific match counts 11, so that tiers never mix.
    fn base(self) -> u16 {
        match self {
            Self::Standard => 0,
            Self::Vendor => 100,
            Self::User => 200,
        }
    }
}

/// A document in its tier, with its sources made ready for sharing.
#[derive(Debug)]
pub(super) struct Layered {
    pub(super) name: String,
    pub(super) tier: Tier,
    pub(super) document: Arc<CatalogueDocument>,
    /// Why its keys are held, if they are.
    held: Option<String>,
}

/// A finding, and the documents that it is about.
pub(super) type About = (Finding, Vec<String>);

impl Layered {
    pub(super) fn new(name: String, tier: Tier, document: CatalogueDocument) -> Self {
        Self {
            name,
            tier,
            document: Arc::new(document),
            held: None,
        }
    }

    pub(super) fn of_user(user: UserDocument) -> Self {
        let UserDocument {
            name,
            document,
            held,
        } = user;
        Self {
            name,
            tier: Tier::User,
            document,
            held,
        }
    }

    /// How specifically the document speaks of the station; `None`: it does not.
    pub(super) fn rank_for(&self, device: &Device, firmware: Option<&str>) -> Option<u16> {
        let CatalogueDocument {
            matches,
            firmware_order,
            ..
        } = self.document.as_ref();
        if matches.is_empty() {
            return Some(self.tier.base());
        }
        matches
            .iter()
            .filter(|m| m.matches(device, firmware, *firmware_order))
            .map(|m| self.tier.base() + m.specificity())
            .max()
    }

    /// Does it say this fact of the key?
    fn says(&self, key: &Key, fact: &str) -> bool {
        let mut entries = self.document.keys.iter();
        entries.any(|entry| {
            entry.key.matches(key)
                && serde_json::to_value(entry).is_ok_and(|entry| entry.get(fact).is_some())
        })
    }

    /// The source that a reference names. A reference to nothing (only a user's document, unchecked, could have one)
    /// becomes the document itself.
    fn source(&self, reference: Option<&str>) -> Arc<Source> {
        let named = reference.and_then(|reference| {
            let (id, section) = split_reference(reference);
            let document = self.document.sources.get(id)?;
            Some(Source {
                publisher: document.publisher.clone(),
                title: document.title.clone(),
                section: section.map(str::to_owned),
            })
        });
        let own = || Source {
            publisher: "KeyCatalogue".to_owned(),
            title: self.name.clone(),
            section: None,
        };
        Arc::new(named.unwrap_or_else(own))
    }
}

/// Merges documents, the lowest rank first. `names`: those of all documents, whatever stations they are for.
pub(super) fn merge<'a>(
    documents: impl Iterator<Item = (&'a Layered, u16)>,
    names: Arc<BTreeSet<String>>,
) -> StationCatalogue {
    let mut definitions: Vec<Definition> = Vec::new();
    let mut quirks = Quirks::default();
    let mut quirk_source = None;
    let mut findings: Vec<About> = Vec::new();
    let mut below: Vec<(&Layered, u16)> = Vec::new();
    for (layered, rank) in documents {
        if let Some(above) = &layered.document.quirks {
            quirks.lay(above);
            quirk_source = Some((
                layered.source(
                    above
                        .source
                        .as_deref()
                        .or(layered.document.source.as_deref()),
                ),
                rank,
            ));
        }
        for entry in &layered.document.keys {
            let index = place_for(&mut definitions, entry, &layered.document);
            let conflicts = lay_entry(&mut definitions[index], entry, layered, rank, &mut findings);
            let key = definitions[index].key.as_ref();
            findings.extend(
                conflicts
                    .into_iter()
                    .map(|fact| conflict(key, entry, fact, (layered, rank), &below)),
            );
            findings.extend(held(key, layered));
        }
        below.push((layered, rank));
    }
    for definition in &mut definitions {
        apply_quirks(definition, &quirks, quirk_source.as_ref());
    }
    findings.sort();
    findings.dedup();
    StationCatalogue::new(definitions, quirks, findings, names)
}

/// What one document says by itself, entry by entry. Quirks are left out: they are habits, and no facts about a key.
pub(super) fn rows(layered: &Layered) -> impl Iterator<Item = Row<'_>> {
    layered.document.keys.iter().map(|entry| {
        let mut definition = Definition {
            known: true,
            ..Definition::unknown(entry.key.clone())
        };
        // Laid over nothing, an entry can contradict nothing.
        lay_entry(&mut definition, entry, layered, 0, &mut Vec::new());
        let reference = entry.source.as_ref().or(layered.document.source.as_ref());
        Row {
            document: &layered.name,
            vendor: layered.document.vendor.as_deref(),
            definition,
            source: layered.source(reference.map(String::as_str)),
        }
    })
}

/// Where an entry belongs: to the definition of exactly that name, else to the only one of that name ignoring case,
/// unless the document itself tells the two spellings apart (Ensto's `HeartBeatInterval`); else to a new one.
fn place_for(
    definitions: &mut Vec<Definition>,
    entry: &KeyEntry,
    document: &CatalogueDocument,
) -> usize {
    let exact = definitions
        .iter()
        .position(|definition| definition.key.as_ref() == Some(&entry.key));
    let told_apart = |name: &Key| document.keys.iter().any(|other| other.key == *name);
    let folded = || {
        let mut alike = definitions.iter().enumerate().filter(|(_, definition)| {
            definition
                .key
                .as_ref()
                .is_some_and(|name| name.matches(&entry.key) && !told_apart(name))
        });
        match (alike.next(), alike.next()) {
            (Some((index, _)), None) => Some(index),
            (None, _) | (Some(_), Some(_)) => None,
        }
    };
    exact.or_else(folded).unwrap_or_else(|| {
        definitions.push(Definition {
            known: true,
            ..Definition::unknown(entry.key.clone())
        });
        definitions.len() - 1
    })
}

fn lay_entry(
    definition: &mut Definition,
    entry: &KeyEntry,
    layered: &Layered,
    rank: u16,
    findings: &mut Vec<About>,
) -> Vec<&'static str> {
    let mut entry = Cow::Borrowed(entry);
    if layered.tier == Tier::User {
        let kept = keep_guards(definition, &mut entry, &layered.name);
        findings.extend(
            kept.into_iter()
                .map(|finding| (finding, vec![layered.name.clone()])),
        );
    } else if is_told_closer(definition, &entry) {
        entry.to_mut().value_type = None;
    }
    if entry
        .value_type
        .is_some_and(|new| definition.value_type().is_some_and(|old| old != new))
    {
        forget_facts_of_type(definition);
    }
    let conflicts = definition.lay(&entry, rank, |fact| {
        let CatalogueDocument {
            fact_sources,
            source,
            ..
        } = layered.document.as_ref();
        let nearest = entry
            .sources
            .get(fact)
            .or_else(|| fact_sources.get(fact))
            .or(entry.source.as_ref());
        layered.source(nearest.or(source.as_ref()).map(String::as_str))
    });
    if let Some(vendor) = &layered.document.vendor {
        definition.vendor = Some(vendor.as_str().into());
    }
    conflicts
}

/// Two documents of equal rank that differ about a fact: nobody knows which one is right.
fn conflict(
    key: Option<&Key>,
    entry: &KeyEntry,
    fact: &'static str,
    (layered, rank): (&Layered, u16),
    below: &[(&Layered, u16)],
) -> About {
    let says = |other: &&&(&Layered, u16)| {
        let (other, other_rank) = other;
        *other_rank == rank && other.says(&entry.key, fact)
    };
    let other = below.iter().rev().find(|other| says(&other));
    let other = other.map(|(other, _)| other.name.clone());
    let message = format!(
        "two catalogues of equal specificity differ about {fact:?} of {:?}: {:?} and {:?}; make one more specific, or \
         let them agree",
        entry.key.as_str(),
        other.as_deref().unwrap_or(&layered.name),
        layered.name
    );
    let finding = Finding {
        severity: Severity::Error,
        rule: "CatalogueConflict".to_owned(),
        key: key.cloned(),
        message,
    };
    let about = other.into_iter().chain([layered.name.clone()]);
    (finding, about.collect())
}

/// A document that cannot be used holds the keys that it names: what it said of them may have been a guard.
fn held(key: Option<&Key>, layered: &Layered) -> Option<About> {
    let why = layered.held.as_ref()?;
    let finding = Finding {
        severity: Severity::Error,
        rule: "CatalogueInvalid".to_owned(),
        key: key.cloned(),
        message: format!("KeyCatalogue {:?} speaks of it and {why}", layered.name),
    };
    Some((finding, vec![layered.name.clone()]))
}

/// Vendors call lists, addresses and secrets strings, which they are on the wire: a vendor's String says nothing against
/// what is known more closely. A user who writes String means it.
fn is_told_closer(definition: &Definition, entry: &KeyEntry) -> bool {
    let is_text = match definition.value_type() {
        Some(ValueType::List | ValueType::Url | ValueType::Secret) => true,
        Some(
            ValueType::Boolean
            | ValueType::Integer
            | ValueType::Decimal
            | ValueType::String
            | ValueType::Enum,
        )
        | None => false,
    };
    is_text && entry.value_type == Some(ValueType::String)
}

/// A user's document may raise a hazard or narrow an access, never lower one: what it may not say is taken out of the
/// entry, and told.
fn keep_guards(
    definition: &Definition,
    entry: &mut Cow<'_, KeyEntry>,
    document: &str,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut tell = |rule: &str, message: String| {
        findings.push(Finding {
            severity: Severity::Warning,
            rule: rule.to_owned(),
            key: definition.key.clone(),
            message: format!("catalogue {document:?}: {message}"),
        });
    };
    let below: Vec<Hazard> = definition
        .hazards()
        .iter()
        .copied()
        .filter(|&hazard| hazard != Hazard::None)
        .collect();
    if let Some(wanted) = &entry.hazard {
        let lost: Vec<_> = below
            .iter()
            .copied()
            .filter(|hazard| !wanted.contains(hazard))
            .collect();
        if !lost.is_empty() {
            tell(
                "HazardNotLowered",
                format!("a hazard may be added but not taken away; {lost:?} stays"),
            );
            let mut kept: Vec<Hazard> = wanted
                .iter()
                .copied()
                .filter(|&hazard| hazard != Hazard::None)
                .collect();
            kept.extend(lost);
            entry.to_mut().hazard = Some(kept);
        }
    }
    if let (Some(old), Some(new)) = (definition.access(), entry.access)
        && !narrows(old, new)
    {
        tell(
            "AccessNotWidened",
            format!("an access may be narrowed but not widened; {old:?} stays, not {new:?}"),
        );
        entry.to_mut().access = None;
    }
    if definition.is_telemetry()
        && entry
            .nature
            .is_some_and(|nature| nature != Nature::Telemetry)
    {
        tell(
            "HazardNotLowered",
            "the key is a reading (Telemetry) and stays one".to_owned(),
        );
        entry.to_mut().nature = None;
    }
    if definition.is_secret()
        && entry
            .value_type
            .is_some_and(|kind| kind != ValueType::Secret)
    {
        tell(
            "HazardNotLowered",
            "the value is a secret and stays one".to_owned(),
        );
        entry.to_mut().value_type = None;
    }
    findings
}

fn narrows(old: Access, new: Access) -> bool {
    match old {
        Access::ReadWrite | Access::ImplementationDefined => true,
        Access::ReadOnly | Access::WriteOnly => new == old,
    }
}

/// A type that replaces another voids what made sense only for the other.
fn forget_facts_of_type(definition: &mut Definition) {
    definition.range = None;
    definition.values = None;
    definition.item_values = None;
    definition.item_suffixes = None;
    definition.item_prefix = None;
    definition.ordered = None;
}

fn apply_quirks(definition: &mut Definition, quirks: &Quirks, source: Option<&(Arc<Source>, u16)>) {
    definition.boolean_vocabulary = quirks.boolean_vocabulary;
    definition.longest_value = quirks
        .max_value_length
        .and_then(|length| usize::try_from(length).ok());
    if quirks.accepted_means_stored_until_reset == Some(true)
        && definition.takes_effect() == TakesEffect::Unknown
        && let Some((source, rank)) = source
    {
        definition.takes_effect = Some(Fact {
            value: TakesEffect::AfterReset,
            source: source.clone(),
            rank: *rank,
        });
    }
}
