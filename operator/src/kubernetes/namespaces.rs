//! Several namespaces watched as one.
//!
//! In come the watches of single namespaces; out goes one stream that a single store can follow: listed once, when every
//! namespace has been listed, and from then on changed object by object. A namespace that is listed afresh later says
//! nothing about the others, so what is gone from it is told as deletions.

use std::collections::BTreeMap;

use futures::{Stream, StreamExt, stream};
use kube::core::object::HasStatus;
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};

/// Joins the watches of several namespaces.
pub(super) fn together<K, S>(watches: Vec<S>) -> impl Stream<Item = Event<K>> + Send + 'static
where
    K: Resource + HasStatus + Clone + Send + 'static,
    S: Stream<Item = Event<K>> + Send + 'static,
{
    let joined = Joined::new(watches.len());
    let numbered = watches
        .into_iter()
        .enumerate()
        .map(|(index, watch)| watch.map(move |event| (index, event)).boxed());
    stream::select_all(numbered)
        .scan(joined, |joined, (index, event)| {
            futures::future::ready(Some(joined.take(index, event)))
        })
        .flat_map(stream::iter)
}

/// What is known of all namespaces.
struct Joined<K> {
    namespaces: Vec<Namespace<K>>,
    /// Every namespace was listed once, and whoever listens was told so.
    told: bool,
}

/// What is known of one namespace.
struct Namespace<K> {
    /// Its objects by name: whole until all namespaces are told, and only their husks afterwards.
    objects: BTreeMap<String, K>,
    /// The listing under way.
    listing: BTreeMap<String, K>,
    listed: bool,
}

impl<K: Resource + HasStatus + Clone> Joined<K> {
    fn new(count: usize) -> Self {
        let namespaces = (0..count).map(|_| Namespace {
            objects: BTreeMap::new(),
            listing: BTreeMap::new(),
            listed: false,
        });
        Self {
            namespaces: namespaces.collect(),
            told: false,
        }
    }

    /// Takes one event of one namespace; gives those of the whole.
    fn take(&mut self, index: usize, event: Event<K>) -> Vec<Event<K>> {
        let told = self.told;
        let namespace = &mut self.namespaces[index];
        match event {
            Event::Apply(object) => {
                let kept = if told { husk(&object) } else { object.clone() };
                namespace.objects.insert(object.name_any(), kept);
                told.then_some(Event::Apply(object)).into_iter().collect()
            }
            Event::Delete(object) => {
                namespace.objects.remove(&object.name_any());
                told.then_some(Event::Delete(object)).into_iter().collect()
            }
            Event::Init => {
                namespace.listing.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                namespace.listing.insert(object.name_any(), object);
                Vec::new()
            }
            Event::InitDone => {
                namespace.listed = true;
                let listing = std::mem::take(&mut namespace.listing);
                if told {
                    return namespace.list_afresh(listing);
                }
                namespace.objects = listing;
                self.tell_all()
            }
        }
    }

    /// The first listing of the whole, once every namespace has had its own.
    fn tell_all(&mut self) -> Vec<Event<K>> {
        if !self.namespaces.iter().all(|namespace| namespace.listed) {
            return Vec::new();
        }
        self.told = true;
        let mut events = vec![Event::Init];
        for object in self
            .namespaces
            .iter_mut()
            .flat_map(|namespace| namespace.objects.values_mut())
        {
            let kept = husk(object);
            events.push(Event::InitApply(std::mem::replace(object, kept)));
        }
        events.push(Event::InitDone);
        events
    }
}

impl<K: Resource + HasStatus + Clone> Namespace<K> {
    /// What a later listing changes: everything in it is told, and so is the end of what is not.
    fn list_afresh(&mut self, listing: BTreeMap<String, K>) -> Vec<Event<K>> {
        let kept = listing
            .iter()
            .map(|(name, object)| (name.clone(), husk(object)))
            .collect();
        let former = std::mem::replace(&mut self.objects, kept);
        let gone = former
            .into_iter()
            .filter(|(name, _)| !listing.contains_key(name))
            .map(|(_, husk)| Event::Delete(husk));
        let mut events: Vec<Event<K>> = gone.collect();
        events.extend(listing.into_values().map(Event::Apply));
        events
    }
}

/// An object by which its deletion can be told: without the status, the labels and the rest, which only cost memory.
fn husk<K: Resource + HasStatus + Clone>(object: &K) -> K {
    let mut husk = object.clone();
    let meta = husk.meta_mut();
    *meta = kube::core::ObjectMeta {
        name: meta.name.take(),
        namespace: meta.namespace.take(),
        uid: meta.uid.take(),
        ..kube::core::ObjectMeta::default()
    };
    *husk.status_mut() = None;
    husk
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{ChargeStation, ChargeStationSpec};

    fn station(namespace: &str, name: &str) -> ChargeStation {
        let spec: ChargeStationSpec =
            serde_json::from_value(serde_json::json!({"identity": name})).unwrap();
        let mut station = ChargeStation::new(name, spec);
        station.metadata.namespace = Some(namespace.to_owned());
        station
    }

    fn check(events: Vec<(usize, Event<ChargeStation>)>, expect: &[&str]) {
        let mut joined = Joined::new(2);
        let told: Vec<String> = events
            .into_iter()
            .flat_map(|(index, event)| joined.take(index, event))
            .map(|event| match event {
                Event::Apply(station) => format!("apply {}", station.name_any()),
                Event::Delete(station) => format!("delete {}", station.name_any()),
                Event::Init => "init".to_owned(),
                Event::InitApply(station) => format!("listed {}", station.name_any()),
                Event::InitDone => "done".to_owned(),
            })
            .collect();
        assert_eq!(told, expect);
    }

    #[test]
    fn nothing_is_told_before_every_namespace_was_listed() {
        check(
            vec![
                (0, Event::Init),
                (0, Event::InitApply(station("north", "a"))),
                (0, Event::InitDone),
                (0, Event::Apply(station("north", "b"))),
                (0, Event::Delete(station("north", "a"))),
                (1, Event::Init),
                (1, Event::InitApply(station("south", "c"))),
            ],
            &[],
        );
    }

    #[test]
    fn the_first_listing_is_of_all_namespaces_and_up_to_date() {
        check(
            vec![
                (0, Event::Init),
                (0, Event::InitApply(station("north", "a"))),
                (0, Event::InitDone),
                (0, Event::Apply(station("north", "b"))),
                (0, Event::Delete(station("north", "a"))),
                (1, Event::Init),
                (1, Event::InitApply(station("south", "c"))),
                (1, Event::InitDone),
                (1, Event::Apply(station("south", "d"))),
            ],
            &["init", "listed b", "listed c", "done", "apply d"],
        );
    }

    #[test]
    fn a_later_listing_of_one_namespace_deletes_nothing_of_the_others() {
        check(
            vec![
                (0, Event::Init),
                (0, Event::InitApply(station("north", "a"))),
                (0, Event::InitApply(station("north", "b"))),
                (0, Event::InitDone),
                (1, Event::Init),
                (1, Event::InitApply(station("south", "a"))),
                (1, Event::InitDone),
                (0, Event::Init),
                (0, Event::InitApply(station("north", "b"))),
                (0, Event::InitDone),
            ],
            &[
                "init", "listed a", "listed b", "listed a", "done", "delete a", "apply b",
            ],
        );
    }

    #[test]
    fn a_deletion_names_its_own_namespace() {
        let mut joined = Joined::new(1);
        let listing = [
            Event::Init,
            Event::InitApply(station("north", "a")),
            Event::InitDone,
            Event::Init,
        ];
        for event in listing {
            joined.take(0, event);
        }
        let told = joined.take(0, Event::InitDone);
        assert!(
            matches!(&told[..], [Event::Delete(gone)] if gone.namespace().as_deref() == Some("north")),
            "{told:?}"
        );
    }
}
