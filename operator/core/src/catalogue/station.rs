//! The definitions and quirks that hold for one station, and how a name finds its definition.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use super::definition::Definition;
use super::document::Quirks;
use crate::fnv::NameHasher;
use crate::words::{Finding, Key};

/// The definitions and quirks that hold for one station. Cloning copies a pointer.
#[derive(Clone, Debug, Default)]
pub struct StationCatalogue {
    contents: Arc<Contents>,
}

#[derive(Debug, Default)]
struct Contents {
    /// In the order of the documents.
    definitions: Vec<Arc<Definition>>,
    /// Every name, aliases included, with its definition's index; sorted by the name ignoring case, then exactly.
    names: Vec<(Key, usize)>,
    /// The same by exact name: nearly every question is spelled right. Only asked, never listed, so that its order
    /// cannot be seen.
    exact: HashMap<Box<str>, usize, BuildHasherDefault<NameHasher>>,
    quirks: Quirks,
    findings: Vec<Finding>,
    /// The documents that each finding is about.
    about: Vec<Vec<String>>,
    /// The names, folded, in all documents, whatever stations they are for.
    anywhere: Arc<BTreeSet<String>>,
}

/// One and the same, not only equal: made once for a kind of device, and shared since.
impl PartialEq for StationCatalogue {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.contents, &other.contents)
    }
}

impl Eq for StationCatalogue {}

impl Hash for StationCatalogue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.contents).hash(state);
    }
}

impl StationCatalogue {
    pub(super) fn new(
        definitions: Vec<Definition>,
        quirks: Quirks,
        findings: Vec<(Finding, Vec<String>)>,
        anywhere: Arc<BTreeSet<String>>,
    ) -> Self {
        let (findings, about) = findings.into_iter().unzip();
        let mut names = Vec::new();
        for (index, definition) in definitions.iter().enumerate() {
            let aliases = definition.aliases.iter().flat_map(|fact| &fact.value);
            names.extend(
                definition
                    .key
                    .iter()
                    .chain(aliases)
                    .map(|name| (name.clone(), index)),
            );
        }
        let mut exact =
            HashMap::with_capacity_and_hasher(names.len(), BuildHasherDefault::default());
        for (name, index) in &names {
            exact.entry(Box::from(name.as_str())).or_insert(*index);
        }
        names.sort_by(|(a, _), (b, _)| folded_order(a.as_str(), b.as_str()).then_with(|| a.cmp(b)));
        let definitions = definitions.into_iter().map(Arc::new).collect();
        Self {
            contents: Arc::new(Contents {
                definitions,
                names,
                exact,
                quirks,
                findings,
                about,
                anywhere,
            }),
        }
    }

    /// The canonical spelling of a key: exact match first, then the only match ignoring case, else as given.
    pub fn canonical(&self, key: &Key) -> Key {
        match self.find(key) {
            Some(Definition {
                key: Some(canonical),
                ..
            }) => canonical.clone(),
            Some(Definition { key: None, .. }) | None => key.clone(),
        }
    }

    /// What is known of a key; for one that nobody knows a definition with `known: false`.
    pub fn definition(&self, key: &Key) -> Arc<Definition> {
        match self.index_of(key) {
            Some(index) => self.contents.definitions[index].clone(),
            None => Arc::new(Definition::unknown(key.clone())),
        }
    }

    /// What is known of a key, if anything is.
    pub fn find(&self, key: &Key) -> Option<&Definition> {
        self.index_of(key)
            .map(|index| self.contents.definitions[index].as_ref())
    }

    /// Does any catalogue know a key, be it one for other stations? Then nothing can be said of the key for a station that
    /// has not said what it is.
    pub fn is_known_anywhere(&self, key: &Key) -> bool {
        self.contents.anywhere.contains(&key.folded())
    }

    /// All definitions, in the order of the documents.
    pub fn definitions(&self) -> impl Iterator<Item = &Arc<Definition>> {
        self.contents.definitions.iter()
    }

    /// The station's habits.
    pub fn quirks(&self) -> &Quirks {
        &self.contents.quirks
    }

    /// Documents that contradict each other about this station: an error about a key holds it.
    pub fn findings(&self) -> &[Finding] {
        &self.contents.findings
    }

    /// The findings that one document, by its name, has to do with.
    pub fn findings_about(&self, document: &str) -> impl Iterator<Item = &Finding> {
        let about = self.contents.about.iter();
        self.contents
            .findings
            .iter()
            .zip(about)
            .filter(move |(_, about)| about.iter().any(|name| name == document))
            .map(|(finding, _)| finding)
    }

    /// Canonical names near a misspelt one, the nearest first, at most three.
    pub fn suggestions(&self, name: &str) -> Vec<Key> {
        let names = self.contents.definitions.iter();
        let names = names.filter_map(|definition| definition.key.as_ref());
        near(name, names).into_iter().take(3).cloned().collect()
    }

    /// The canonical spelling of a name, if a catalogue knows it: as [`Self::canonical`], without a copy.
    pub fn known_name(&self, name: &str) -> Option<&Key> {
        let index = self.contents.exact.get(name).copied();
        let index = index.or_else(|| self.index_of(&Key::from(name)))?;
        self.contents.definitions[index].key.as_ref()
    }

    fn index_of(&self, key: &Key) -> Option<usize> {
        if let Some(&index) = self.contents.exact.get(key.as_str()) {
            return Some(index);
        }
        let names = &self.contents.names;
        let start =
            names.partition_point(|(name, _)| folded_order(name.as_str(), key.as_str()).is_lt());
        let alike = &names[start..];
        let alike = &alike[..alike
            .iter()
            .take_while(|(name, _)| name.matches(key))
            .count()];
        match alike {
            [] => None,
            [(_, only)] => Some(*only),
            several => several
                .iter()
                .find(|(name, _)| name == key)
                .map(|&(_, index)| index)
                .or_else(|| {
                    let first = several[0].1;
                    several
                        .iter()
                        .all(|&(_, index)| index == first)
                        .then_some(first)
                }),
        }
    }
}

/// The names that differ from a misspelt one by few letters, the nearest first.
pub(super) fn near<'a>(name: &str, among: impl Iterator<Item = &'a Key>) -> Vec<&'a Key> {
    let folded = name.trim().to_ascii_lowercase();
    let mut near: Vec<(usize, &Key)> = among
        .map(|key| (crate::value::distance(&folded, &key.folded()), key))
        .filter(|&(distance, key)| distance <= 3.min(key.as_str().len() / 3))
        .collect();
    near.sort();
    near.into_iter().map(|(_, key)| key).collect()
}

/// Orders names ignoring ASCII case, without a copy.
fn folded_order(a: &str, b: &str) -> Ordering {
    a.bytes()
        .map(|byte| byte.to_ascii_lowercase())
        .cmp(b.bytes().map(|byte| byte.to_ascii_lowercase()))
}
