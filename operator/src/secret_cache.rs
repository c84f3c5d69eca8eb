//! Secrets as the operator holds them: read by name when needed and every ten minutes, never watched, never listed
//! (section 9 of the design), and recognised by a keyed digest from which the value can be neither recovered nor
//! guessed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;
use stationkeeper_core::layer::SettingValue;
use stationkeeper_core::words::SecretVersion;

use crate::source::{SecretData, Secrets};

/// How long a Secret that was read counts as fresh.
const FRESH: Duration = Duration::from_secs(600);

/// How long the absence of a Secret counts: short, since somebody is probably about to create it.
const ABSENT_FRESH: Duration = Duration::from_secs(15);

/// The values are kept by their digest, so that execution can find what a plan only names.
pub struct SecretCache {
    source: Arc<dyn Secrets>,
    digest_key: SecretSlice<u8>,
    read: Mutex<HashMap<Place, Entry>>,
    by_version: Mutex<BTreeMap<SecretVersion, Known>>,
}

/// Namespace and name of a Secret.
pub type Place = (String, String);

/// A value, and the Secrets that hold it.
struct Known {
    value: SecretString,
    places: BTreeSet<Place>,
}

#[derive(Clone)]
struct Entry {
    data: Option<Arc<SecretData>>,
    /// When it was asked for: it says nothing of what came after.
    asked_at: Instant,
}

/// One Secret's data, or why there is none.
pub type Found = Result<Arc<SecretData>, String>;

impl SecretCache {
    /// A cache over a source; `digest_key` keys the digests.
    pub fn new(source: Arc<dyn Secrets>, digest_key: SecretSlice<u8>) -> Self {
        Self {
            source,
            digest_key,
            read: Mutex::default(),
            by_version: Mutex::default(),
        }
    }

    /// The Secret, read again if what is held is old. Unreachable is not absent: what was held stays in use.
    pub async fn get(&self, namespace: &str, name: &str) -> Found {
        self.get_unless(namespace, name, Entry::is_fresh).await
    }

    /// The same, and read again as well if it was last asked for before a moment.
    pub async fn get_since(&self, namespace: &str, name: &str, since: Instant) -> Found {
        let serves = |entry: &Entry| entry.is_fresh() && entry.asked_at >= since;
        self.get_unless(namespace, name, serves).await
    }

    /// Asks, unless what is held serves.
    async fn get_unless(
        &self,
        namespace: &str,
        name: &str,
        serves: impl FnOnce(&Entry) -> bool,
    ) -> Found {
        let place = (namespace.to_owned(), name.to_owned());
        let held = match self.held(&place) {
            Some(entry) if serves(&entry) => return found(entry.data, namespace, name),
            held => held,
        };
        let asked_at = Instant::now();
        match self.source.get(namespace, name).await {
            Ok(data) => {
                let data = self.keep(&place, data.map(Arc::new), asked_at);
                found(data, namespace, name)
            }
            Err(error) => {
                tracing::warn!(
                    namespace,
                    name,
                    error = &error as &dyn std::error::Error,
                    "failed to read a Secret"
                );
                match held.and_then(|entry| entry.data) {
                    Some(data) => Ok(data),
                    None => Err(format!(
                        "Secret {namespace}/{name} cannot be read now; it is tried again"
                    )),
                }
            }
        }
    }

    /// What is held, without asking: for handshakes, which wait for nobody. `None`: never read.
    pub fn peek(&self, namespace: &str, name: &str) -> Option<Option<Arc<SecretData>>> {
        self.held(&(namespace.to_owned(), name.to_owned()))
            .map(|entry| entry.data)
    }

    /// What is held, if it was asked for since a moment.
    pub fn peek_since(
        &self,
        namespace: &str,
        name: &str,
        since: Instant,
    ) -> Option<Option<Arc<SecretData>>> {
        self.held(&(namespace.to_owned(), name.to_owned()))
            .filter(|entry| entry.asked_at >= since)
            .map(|entry| entry.data)
    }

    /// Reads the Secret again whatever is held.
    /// `true`: it is not what was held.
    pub async fn refresh(&self, namespace: &str, name: &str) -> bool {
        let asked_at = Instant::now();
        let Ok(data) = self.source.get(namespace, name).await else {
            // What was held stays in use, and is read again with the next round.
            return false;
        };
        let place = (namespace.to_owned(), name.to_owned());
        let held = self.held(&place).and_then(|entry| entry.data);
        let changed = !same(held.as_deref(), data.as_ref());
        self.keep(&place, data.map(Arc::new), asked_at);
        changed
    }

    /// Forgets the Secrets that nothing names any more, and their values.
    pub fn retain(&self, in_use: &BTreeSet<Place>) {
        let gone: Vec<Place> = match self.read.lock() {
            Ok(mut read) => {
                let gone = read.keys().filter(|place| !in_use.contains(*place));
                let gone = gone.cloned().collect();
                read.retain(|place, _| in_use.contains(place));
                gone
            }
            Err(_) => return,
        };
        for place in gone {
            self.forget_values(&place);
        }
    }

    /// A key of a Secret as a setting's value: its version and length, never the value.
    pub async fn setting_value(&self, namespace: &str, name: &str, key: &str) -> SettingValue {
        let missing = |message: String| SettingValue::SecretMissing { message };
        let data = match self.get(namespace, name).await {
            Ok(data) => data,
            Err(message) => return missing(message),
        };
        let Some(bytes) = data.get(key) else {
            return missing(format!(
                "Secret {namespace}/{name} has no key {key:?}; add it"
            ));
        };
        let Ok(text) = std::str::from_utf8(bytes.expose_secret()) else {
            return missing(format!(
                "key {key:?} of Secret {namespace}/{name} is not text; OCPP values are text"
            ));
        };
        // A newline at the end is an editor's, never a secret's.
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return missing(format!(
                "key {key:?} of Secret {namespace}/{name} is empty; fill it"
            ));
        }
        let version = self.version(text);
        if let Ok(mut by_version) = self.by_version.lock() {
            by_version
                .entry(version.clone())
                .or_insert_with(|| Known {
                    value: SecretString::from(text),
                    places: BTreeSet::new(),
                })
                .places
                .insert((namespace.to_owned(), name.to_owned()));
        }
        SettingValue::Secret {
            version,
            length: text.len(),
        }
    }

    /// The value that a version stands for, if this process has read it.
    pub fn value(&self, version: &SecretVersion) -> Option<SecretString> {
        let by_version = self.by_version.lock().ok()?;
        Some(by_version.get(version)?.value.clone())
    }

    /// A Secret has other values now, or is gone: those that only it held are of no use.
    fn forget_values(&self, place: &Place) {
        if let Ok(mut by_version) = self.by_version.lock() {
            by_version.retain(|_, known| {
                known.places.remove(place);
                !known.places.is_empty()
            });
        }
    }

    fn version(&self, text: &str) -> SecretVersion {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.digest_key.expose_secret())
            .expect("HMAC takes keys of any length (RFC 2104, section 2)");
        mac.update(text.as_bytes());
        let digest = mac.finalize().into_bytes();
        SecretVersion(
            digest
                .iter()
                .take(16)
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        )
    }

    fn held(&self, place: &Place) -> Option<Entry> {
        self.read.lock().ok()?.get(place).cloned()
    }

    /// Keeps what was read, unless something is held that was asked for later; gives what is held then.
    fn keep(
        &self,
        place: &Place,
        data: Option<Arc<SecretData>>,
        asked_at: Instant,
    ) -> Option<Arc<SecretData>> {
        let former = match self.read.lock() {
            Ok(mut read) => match read.get(place) {
                Some(later) if later.asked_at > asked_at => return later.data.clone(),
                Some(_) | None => {
                    let data = data.clone();
                    read.insert(place.clone(), Entry { data, asked_at })
                }
            },
            Err(_) => return data,
        };
        if former.is_some_and(|former| !same(former.data.as_deref(), data.as_deref())) {
            self.forget_values(place);
        }
        data
    }
}

impl Entry {
    fn is_fresh(&self) -> bool {
        let fresh = match self.data {
            Some(_) => FRESH,
            None => ABSENT_FRESH,
        };
        self.asked_at.elapsed() < fresh
    }
}

fn same(held: Option<&SecretData>, read: Option<&SecretData>) -> bool {
    match (held, read) {
        (None, None) => true,
        (Some(held), Some(read)) => {
            held.len() == read.len()
                && held.iter().zip(read).all(|((key, value), (other, new))| {
                    key == other && value.expose_secret() == new.expose_secret()
                })
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

fn found(data: Option<Arc<SecretData>>, namespace: &str, name: &str) -> Found {
    data.ok_or_else(|| format!("there is no Secret {namespace}/{name}; create it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Pending;
    use crate::source::SecretsError;

    struct One(Mutex<Option<&'static str>>);

    impl Secrets for One {
        fn get<'a>(
            &'a self,
            _: &'a str,
            name: &'a str,
        ) -> Pending<'a, Result<Option<SecretData>, SecretsError>> {
            let value = *self.0.lock().unwrap();
            Box::pin(async move {
                Ok(value.filter(|_| name == "wifi").map(|value| {
                    SecretData::from([(
                        "password".to_owned(),
                        SecretSlice::from(value.as_bytes().to_vec()),
                    )])
                }))
            })
        }
    }

    fn cache(value: Option<&'static str>) -> SecretCache {
        SecretCache::new(
            Arc::new(One(Mutex::new(value))),
            SecretSlice::from(vec![7; 32]),
        )
    }

    #[tokio::test]
    async fn a_setting_gets_a_version_and_execution_the_value() {
        let cache = cache(Some("hunter2\n"));
        let SettingValue::Secret { version, length } =
            cache.setting_value("north", "wifi", "password").await
        else {
            panic!("expected a secret");
        };
        assert_eq!(length, 7);
        assert!(!version.0.contains("hunter2"));
        assert_eq!(cache.value(&version).unwrap().expose_secret(), "hunter2");
    }

    #[tokio::test]
    async fn what_is_missing_is_named_with_its_mend() {
        for (value, name, key, told) in [
            (
                Some("x"),
                "other",
                "password",
                "there is no Secret north/other",
            ),
            (Some("x"), "wifi", "pass", "has no key \"pass\""),
            (Some(""), "wifi", "password", "is empty"),
        ] {
            match cache(value).setting_value("north", name, key).await {
                SettingValue::SecretMissing { message } => {
                    assert!(message.contains(told), "{message}")
                }
                other => panic!("expected SecretMissing, got {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_secret_that_nothing_names_any_more_is_forgotten_with_its_value() {
        let cache = cache(Some("hunter2"));
        let SettingValue::Secret { version, .. } =
            cache.setting_value("north", "wifi", "password").await
        else {
            panic!("expected a secret");
        };
        let place = ("north".to_owned(), "wifi".to_owned());
        cache.retain(&BTreeSet::from([place.clone()]));
        assert!(cache.value(&version).is_some() && cache.peek("north", "wifi").is_some());
        cache.retain(&BTreeSet::new());
        assert!(cache.value(&version).is_none() && cache.peek("north", "wifi").is_none());
    }

    #[tokio::test]
    async fn a_former_value_is_forgotten_when_the_secret_changes() {
        let source = Arc::new(One(Mutex::new(Some("former"))));
        let cache = SecretCache::new(
            Arc::clone(&source) as Arc<dyn Secrets>,
            SecretSlice::from(vec![7; 32]),
        );
        let SettingValue::Secret { version, .. } =
            cache.setting_value("north", "wifi", "password").await
        else {
            panic!("expected a secret");
        };
        assert!(!cache.refresh("north", "wifi").await, "it did not change");
        assert!(cache.value(&version).is_some());
        *source.0.lock().unwrap() = Some("present");
        assert!(cache.refresh("north", "wifi").await);
        assert!(cache.value(&version).is_none());
    }

    /// Answers each question when its turn is given, in whatever order.
    struct Slow(Mutex<Vec<tokio::sync::oneshot::Receiver<&'static str>>>);

    impl Secrets for Slow {
        fn get<'a>(
            &'a self,
            _: &'a str,
            _: &'a str,
        ) -> Pending<'a, Result<Option<SecretData>, SecretsError>> {
            let answer = self.0.lock().unwrap().remove(0);
            Box::pin(async move {
                let value = SecretSlice::from(answer.await.unwrap().as_bytes().to_vec());
                Ok(Some(SecretData::from([("password".to_owned(), value)])))
            })
        }
    }

    #[tokio::test]
    async fn an_answer_that_comes_late_does_not_take_the_place_of_a_later_question() {
        let (former, first) = tokio::sync::oneshot::channel();
        let (present, second) = tokio::sync::oneshot::channel();
        let source = Slow(Mutex::new(vec![first, second]));
        let cache = SecretCache::new(Arc::new(source), SecretSlice::from(vec![7; 32]));
        let mut early = std::pin::pin!(cache.get("north", "wifi"));
        assert!(futures::poll!(&mut early).is_pending());
        present.send("present").unwrap();
        assert!(cache.refresh("north", "wifi").await);
        former.send("former").unwrap();
        for found in [early.await, cache.get("north", "wifi").await] {
            assert_eq!(found.unwrap()["password"].expose_secret(), b"present");
        }
    }

    #[tokio::test]
    async fn what_was_asked_before_a_moment_does_not_count_since_it() {
        let cache = cache(Some("hunter2"));
        cache.get("north", "wifi").await.unwrap();
        let since = Instant::now();
        let held = |since| cache.peek_since("north", "wifi", since).is_some();
        assert!(cache.peek("north", "wifi").is_some() && !held(since));
        cache.get_since("north", "wifi", since).await.unwrap();
        assert!(held(since));
    }

    #[tokio::test]
    async fn versions_under_another_key_differ() {
        let other = SecretCache::new(
            Arc::new(One(Mutex::new(Some("x")))),
            SecretSlice::from(vec![8; 32]),
        );
        let (a, b) = (
            cache(Some("x"))
                .setting_value("north", "wifi", "password")
                .await,
            other.setting_value("north", "wifi", "password").await,
        );
        assert_ne!(a, b);
    }
}
