//! The catalogue: what is known of keys. Data from `operator/core/catalogue/*.yaml` (embedded) and from `KeyCatalogue`
//! objects, in one schema (section 5 of the design).
//!
//! ```text
//!  KeyCatalogue objects     the more specific the higher; they may raise a hazard or narrow an access, never lower one
//!  built-in vendors         amina.yaml, …
//!  built-in standard        standard.yaml
//!  ──────────────────────── laid upon each other fact by fact, for what a station reported ──► StationCatalogue
//! ```
//!
//! In come documents and what a station reported; out go definitions, quirks, and findings about documents that
//! contradict each other. What the station itself says (its `readonly` flag, its answers) outranks all of it, and is
//! weighed by [`crate::plan`], not here.

pub mod definition;
pub mod document;
pub mod facts;
pub mod matching;
mod merge;
pub mod pattern;
mod review;
mod station;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

pub use definition::{Definition, FACT_NAMES, Fact, KeyEntry, MAX_VALUE_LENGTH, Source};
pub use document::{CatalogueDocument, DocumentError, DocumentMistake, Quirks, SourceDocument};
pub use facts::{
    Access, After, BooleanVocabulary, Direction, Excluded, Hazard, ItemPrefix, Length, NamedValue,
    Nature, Profile, Range, Recommendation, Scope, Supported, TakesEffect, ValueType, WriteRule,
};
pub use matching::{Case, FirmwareOrder, StationMatch, glob_matches};
pub use pattern::Pattern;
pub use review::{Remark, review, review_among};
pub use station::StationCatalogue;

use crate::words::{Device, Key};
use merge::{Layered, Tier};

/// The embedded files, by name. A new vendor is a new file and a new line here.
const BUILT_IN: &[(&str, &str)] = &[
    ("standard.yaml", include_str!("../catalogue/standard.yaml")),
    ("amina.yaml", include_str!("../catalogue/amina.yaml")),
    ("bender.yaml", include_str!("../catalogue/bender.yaml")),
    ("ensto.yaml", include_str!("../catalogue/ensto.yaml")),
];

/// The built-in catalogue and the user's, loaded once and matched per station.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    documents: Vec<Arc<Layered>>,
    /// Every name of a key in any document, aliases included, folded: whatever stations the document is for.
    names: Arc<BTreeSet<String>>,
    /// What was merged already, by the documents that match and how specifically: a fleet has far fewer of these than
    /// stations. It changes no answer, only the time that one takes.
    merged: Arc<Mutex<BTreeMap<Matching, StationCatalogue>>>,
}

/// What one document alone says of one key.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The name of the document: a built-in file, or a user's document.
    pub document: &'a str,
    /// The vendor, as the document calls it; none: it speaks of the standard, or of whatever stations it matches.
    pub vendor: Option<&'a str>,
    /// The facts, each with its source.
    pub definition: Definition,
    /// Where the row stands, for facts that name no other place.
    pub source: Arc<Source>,
}

/// How many names are suggested for a misspelt one.
const MOST_SUGGESTIONS: usize = 5;

/// The documents that match a station, by index, with their rank; the lowest first.
type Matching = Vec<(usize, u16)>;

/// How many mergings are kept. A fleet has a few; what stations report must not make it many.
const MOST_MERGED: usize = 256;

/// A user's document as it takes part.
#[derive(Clone, Debug)]
pub struct UserDocument {
    /// What it is called: the name of the `KeyCatalogue`.
    pub name: String,
    /// What it says.
    pub document: Arc<CatalogueDocument>,
    /// Why its keys are held, if they are: the object cannot be used and speaks of them all the same. What the document
    /// says besides the names of keys should then be nothing.
    pub held: Option<String>,
}

impl Catalogue {
    /// The embedded data, parsed once. Panics never: a test proves that it loads.
    pub fn built_in() -> Arc<Self> {
        static BUILT_IN_CATALOGUE: OnceLock<Arc<Catalogue>> = OnceLock::new();
        BUILT_IN_CATALOGUE
            .get_or_init(|| {
                let documents = Self::built_in_documents()
                    .expect("a test proves that the embedded catalogue loads");
                Arc::new(Self::of(documents))
            })
            .clone()
    }

    fn built_in_documents() -> Result<Vec<Arc<Layered>>, DocumentError> {
        let mut documents = Vec::new();
        for &(file, text) in BUILT_IN {
            let document = CatalogueDocument::from_yaml(file, text)?;
            let tier = if document.vendor.is_none() {
                Tier::Standard
            } else {
                Tier::Vendor
            };
            documents.push(Arc::new(Layered::new(file.to_owned(), tier, document)));
        }
        Ok(documents)
    }

    /// This catalogue with the user's documents (`KeyCatalogue` objects, by name) above the built-in ones. The user's
    /// documents of an earlier call are replaced.
    pub fn with_documents(
        &self,
        documents: impl IntoIterator<Item = (String, CatalogueDocument)>,
    ) -> Arc<Self> {
        self.with_users(documents.into_iter().map(|(name, document)| UserDocument {
            name,
            document: Arc::new(document),
            held: None,
        }))
    }

    /// As [`Self::with_documents`], with documents that only hold their keys among them.
    pub fn with_users(&self, documents: impl IntoIterator<Item = UserDocument>) -> Arc<Self> {
        let built_in = self
            .documents
            .iter()
            .filter(|layered| layered.tier != Tier::User)
            .cloned();
        let mut users: Vec<_> = documents
            .into_iter()
            .map(|user| Arc::new(Layered::of_user(user)))
            .collect();
        users.sort_by(|a, b| a.name.cmp(&b.name));
        Arc::new(Self::of(built_in.chain(users).collect()))
    }

    fn of(documents: Vec<Arc<Layered>>) -> Self {
        let entries = documents.iter().flat_map(|layered| &layered.document.keys);
        let names = entries.flat_map(|entry| {
            let aliases = entry.aliases.iter().flatten();
            std::iter::once(&entry.key).chain(aliases).map(Key::folded)
        });
        Self {
            names: Arc::new(names.collect()),
            documents,
            merged: Arc::default(),
        }
    }

    /// What holds for one station, by what it reported. Cheap to clone; the merging is done once for all stations that
    /// the same documents speak of.
    pub fn for_station(
        self: &Arc<Self>,
        device: &Device,
        firmware: Option<&str>,
    ) -> StationCatalogue {
        let mut matching: Matching = self
            .documents
            .iter()
            .enumerate()
            .filter_map(|(index, layered)| Some((index, layered.rank_for(device, firmware)?)))
            .collect();
        // The lowest first; of equals the order of the documents, which is that of their names.
        matching.sort_by_key(|&(index, rank)| (rank, index));
        let mut merged = self.merged.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = merged.get(&matching) {
            return known.clone();
        }
        let made = merge::merge(
            matching
                .iter()
                .map(|&(index, rank)| (self.documents[index].as_ref(), rank)),
            Arc::clone(&self.names),
        );
        if merged.len() >= MOST_MERGED {
            merged.clear();
        }
        merged.insert(matching, made.clone());
        made
    }

    /// The documents, the built-in ones first: name and content.
    pub fn documents(&self) -> impl Iterator<Item = (&str, &CatalogueDocument)> {
        self.documents
            .iter()
            .map(|layered| (layered.name.as_str(), layered.document.as_ref()))
    }

    /// What each document says by itself, unmerged, key by key: the built-in ones first, each in its own order.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.documents
            .iter()
            .flat_map(|layered| merge::rows(layered))
    }

    /// Names near a misspelt one in any document, the nearest first, at most five; where none is near, those that the
    /// given one is a part of.
    pub fn suggestions(&self, name: &str) -> Vec<Key> {
        let names = self.documents().flat_map(|(_, document)| &document.keys);
        let names: BTreeSet<&Key> = names.map(|entry| &entry.key).collect();
        let near = station::near(name, names.iter().copied());
        if !near.is_empty() || name.trim().is_empty() {
            return near.into_iter().take(MOST_SUGGESTIONS).cloned().collect();
        }
        let part = name.trim().to_ascii_lowercase();
        let containing = names.into_iter().filter(|key| key.folded().contains(&part));
        containing.take(MOST_SUGGESTIONS).cloned().collect()
    }

    /// How the firmware versions of a vendor are ordered, if any document knows.
    pub fn firmware_order(&self, vendor: &str) -> Option<FirmwareOrder> {
        let speaks_of = |document: &CatalogueDocument| {
            document
                .matches
                .iter()
                .filter_map(|m| m.vendor.as_deref())
                .any(|glob| glob_matches(glob, vendor.trim(), Case::Ignored))
        };
        self.documents()
            .filter(|(_, document)| speaks_of(document))
            .find_map(|(_, document)| document.firmware_order)
    }
}
