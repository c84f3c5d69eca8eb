//! Merge: what the files say now + what was known → what each object is now. Pure.
//!
//! | the object is | and | then it |
//! | --- | --- | --- |
//! | declared once, well | | counts |
//! | declared once, badly | was known | is held as it was last known |
//! | declared once, badly | was never known | does not count, as an API server would have refused it |
//! | declared twice | | likewise; both places are named |
//! | declared, and registered by ourselves | | counts as declared |
//! | not declared | its file, or a folder above it, cannot be read | is held as it was last known |
//! | not declared | another file went bad at the same time | is held: it may have moved there |
//! | not declared | there is no manifest at all any more | is held: a mount that went away looks just like that |
//! | not declared | otherwise | is gone |

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::listing::Listing;
use crate::manifest::{Body, Declared, Manifests, ObjectId, Place, Problem, rule};

/// What an object is now.
#[derive(Clone, Debug)]
pub(super) enum Now {
    /// Well declared.
    Good(Body),
    /// Held as it was last known, for this reason; if it was never known, it does not count.
    Held { reason: String },
}

/// What all objects are now.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// With the file that decides about each.
    pub(super) objects: BTreeMap<ObjectId, (Now, Arc<Path>)>,
    /// Known before, and deleted.
    pub(super) gone: Vec<ObjectId>,
    /// All that is wrong, in order of place.
    pub(super) problems: Vec<Problem>,
}

/// What the merge looks at.
pub(super) struct Sources<'a> {
    pub(super) files: &'a BTreeMap<Arc<Path>, Arc<Manifests>>,
    pub(super) listing: &'a Listing,
    /// The folder of stations that were registered by ourselves.
    pub(super) registered: &'a Path,
    /// Files that were bad before.
    pub(super) formerly_bad: &'a BTreeSet<Arc<Path>>,
}

/// Does it have a document of which it is not known what it declares?
pub(super) fn is_bad(manifests: &Manifests) -> bool {
    !manifests.problems.is_empty()
}

pub(super) fn merge(sources: &Sources<'_>, known: &BTreeMap<ObjectId, Arc<Path>>) -> Merged {
    let mut merged = Merged::default();
    let unreadable = sources
        .listing
        .unreadable
        .iter()
        .map(|(path, reason)| Problem {
            rule: rule::SCHEMA,
            place: Place::whole(&Arc::from(path.as_path())),
            field: String::new(),
            message: format!("cannot be read: {reason}"),
        });
    merged.problems.extend(unreadable);
    merged.problems.extend(
        sources
            .files
            .values()
            .flat_map(|manifests| manifests.all_problems().cloned()),
    );

    let mut declared: BTreeMap<&ObjectId, Vec<&Declared>> = BTreeMap::new();
    for object in sources
        .files
        .values()
        .flat_map(|manifests| &manifests.objects)
    {
        declared.entry(&object.id).or_default().push(object);
    }
    for (id, mut places) in declared {
        if places
            .iter()
            .any(|object| !object.place.file.starts_with(sources.registered))
        {
            places.retain(|object| !object.place.file.starts_with(sources.registered));
        }
        let Some(first) = places.first() else {
            continue;
        };
        let now = if places.len() > 1 {
            let twice = duplicates(id, &places);
            let reason = twice.first().map(ToString::to_string).unwrap_or_default();
            merged.problems.extend(twice);
            Now::Held { reason }
        } else {
            match (first.problems.first(), &first.body) {
                (None, Some(body)) => Now::Good(body.clone()),
                (problem, _) => Now::Held {
                    reason: problem.map(ToString::to_string).unwrap_or_default(),
                },
            }
        };
        merged
            .objects
            .insert(id.clone(), (now, Arc::clone(&first.place.file)));
    }

    let empty = sources
        .listing
        .files
        .keys()
        .all(|file| file.starts_with(sources.registered));
    for (id, file) in known
        .iter()
        .filter(|(id, _)| !declared_in(&merged, id))
        .collect::<Vec<_>>()
    {
        match reason_to_hold(sources, file, empty) {
            Some((reason, file)) => {
                merged
                    .objects
                    .insert(id.clone(), (Now::Held { reason }, file));
            }
            None => merged.gone.push(id.clone()),
        }
    }
    merged.problems.sort();
    merged.problems.dedup();
    merged
}

fn declared_in(merged: &Merged, id: &ObjectId) -> bool {
    merged.objects.contains_key(id)
}

/// Why an object that nothing declares any more may not be taken for deleted, and the file that this hangs on.
fn reason_to_hold(
    sources: &Sources<'_>,
    file: &Arc<Path>,
    empty: bool,
) -> Option<(String, Arc<Path>)> {
    let bad = |file: &Arc<Path>| {
        sources
            .files
            .get(file)
            .filter(|manifests| is_bad(manifests))
            .map(|manifests| &manifests.problems[0])
    };
    if let Some((at, reason)) = sources.listing.unreadable_at(file) {
        return Some((
            format!("{} cannot be read: {reason}", at.display()),
            Arc::clone(file),
        ));
    }
    if let Some(problem) = bad(file) {
        return Some((problem.to_string(), Arc::clone(file)));
    }
    if empty && !file.starts_with(sources.registered) {
        let reason = "the folder of manifests is empty, as if its mount were gone; to delete every object, leave one YAML file in it (an empty one will do)";
        return Some((reason.to_owned(), Arc::clone(file)));
    }
    let suspect = sources
        .files
        .iter()
        .find(|(file, manifests)| is_bad(manifests) && !sources.formerly_bad.contains(*file));
    suspect.map(|(suspect, manifests)| {
        let reason = format!(
            "it may have moved to a file that cannot be read: {}",
            manifests.problems[0]
        );
        (reason, Arc::clone(suspect))
    })
}

/// One problem for each place, naming the others.
fn duplicates(id: &ObjectId, places: &[&Declared]) -> Vec<Problem> {
    places
        .iter()
        .enumerate()
        .map(|(index, object)| {
            let others = places
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != index);
            let others: Vec<String> = others.map(|(_, other)| other.place.to_string()).collect();
            Problem {
                rule: rule::SCHEMA,
                place: object.place.clone(),
                field: String::new(),
                message: format!(
                    "{id} is declared here and in {}: neither counts; delete all but one",
                    others.join(", ")
                ),
            }
        })
        .collect()
}
