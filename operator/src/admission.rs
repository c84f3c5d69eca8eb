//! Admission: who may connect, answered from the objects and the Secrets that they name.
//!
//! The gateway asks during a handshake and waits for nobody; so the Secrets of declared stations are read beforehand,
//! and a station whose Secret has not been read yet is asked to come back (503), never turned away.

use std::sync::Arc;
use std::time::Instant;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use secrecy::{ExposeSecret, SecretSlice};
use tokio::sync::mpsc;

use crate::connector::{Admission, Credential, Directory, Identity};
use crate::objects::{Authentication, ChargeStation, PasswordEncoding, SecretRef};
use crate::secret_cache::SecretCache;
use crate::source::SecretData;
use crate::stores::{Claim, Stores};

/// Asks for a `ChargeStation` for a station that nobody declared.
pub type Registrations = mpsc::Sender<Identity>;

/// The desired HeartbeatInterval of a station, in seconds.
pub type Heartbeat = dyn Fn(&ObjectRef<ChargeStation>) -> Option<u32> + Send + Sync;

/// Answers from the stores.
pub struct ObjectDirectory {
    stores: Stores,
    secrets: Arc<SecretCache>,
    /// Only the process that reconciles admits stations: a standby answers 503.
    open: Box<dyn Fn() -> bool + Send + Sync>,
    heartbeat: Box<Heartbeat>,
    registrations: Option<Registrations>,
    wanted: mpsc::UnboundedSender<Wanted>,
}

/// A Secret that a handshake lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What was read of it before then does not count.
    pub since: Instant,
}

impl ObjectDirectory {
    /// `open`: may stations be admitted at all; `heartbeat`: the desired HeartbeatInterval of a station; `wanted`:
    /// where Secrets that are missing from the cache are asked for.
    pub fn new(
        stores: Stores,
        secrets: Arc<SecretCache>,
        open: impl Fn() -> bool + Send + Sync + 'static,
        heartbeat: impl Fn(&ObjectRef<ChargeStation>) -> Option<u32> + Send + Sync + 'static,
        registrations: Option<Registrations>,
        wanted: mpsc::UnboundedSender<Wanted>,
    ) -> Self {
        Self {
            stores,
            secrets,
            open: Box::new(open),
            heartbeat: Box::new(heartbeat),
            registrations,
            wanted,
        }
    }

    /// `since`: what was read of a Secret before the station's object was known may be of another one of its name.
    fn credentials(
        &self,
        station: &ChargeStation,
        authentication: &Authentication,
        since: Instant,
    ) -> Admission {
        let read = |namespace: &str, name: &str| self.secrets.peek_since(namespace, name, since);
        let known = credentials(read, station, authentication);
        if known.as_ref().is_none_or(Vec::is_empty) {
            for (namespace, name) in secrets_of(station) {
                // A closed channel means that the process is ending; the station comes back to the next one.
                let _ = self.wanted.send(Wanted {
                    namespace,
                    name,
                    since,
                });
            }
        }
        match known {
            None => Admission::NotReady,
            Some(credentials) if credentials.is_empty() => {
                Admission::Refused(missing_credentials(station, authentication))
            }
            Some(credentials) => Admission::Password(credentials),
        }
    }
}

/// The passwords that open for a station, by the Secrets that were read. `None`: one of them was not.
fn credentials(
    read: impl Fn(&str, &str) -> Option<Option<Arc<SecretData>>>,
    station: &ChargeStation,
    authentication: &Authentication,
) -> Option<Vec<Credential>> {
    let namespace = station.namespace().unwrap_or_default();
    let mut credentials = Vec::new();
    let refs = [
        (&authentication.secret_ref, false),
        (&authentication.bootstrap_secret_ref, true),
    ];
    for (secret, bootstrap) in refs {
        let Some(secret) = secret else { continue };
        let data = read(&namespace, &secret.name)?;
        let password = data.as_ref().and_then(|data| data.get(&secret.key));
        let encoded = password
            .map(|password| encodings(password.expose_secret(), authentication.encoding))
            .unwrap_or_default();
        credentials.extend(encoded.into_iter().map(|password| Credential {
            password: SecretSlice::from(password),
            bootstrap,
        }));
    }
    Some(credentials)
}

/// Why no password opens for a station, if none does; reads its Secrets if they are not held, or were absent a while
/// ago. (Network: the source of Secrets.)
pub async fn without_credentials(secrets: &SecretCache, station: &ChargeStation) -> Option<String> {
    let authentication = station.spec.authentication.as_ref();
    let authentication = authentication.filter(|authentication| !authentication.none)?;
    let read = |namespace: &str, name: &str| secrets.peek(namespace, name);
    let none = || credentials(read, station, authentication).map(|known| known.is_empty());
    if none() != Some(false) {
        for (namespace, name) in secrets_of(station) {
            // What is wrong with it is told by what is held afterwards.
            let _ = secrets.get(&namespace, &name).await;
        }
    }
    none()?.then(|| missing_credentials(station, authentication))
}

fn missing_credentials(station: &ChargeStation, authentication: &Authentication) -> String {
    let namespace = station.namespace().unwrap_or_default();
    let refs = [
        &authentication.secret_ref,
        &authentication.bootstrap_secret_ref,
    ];
    let named: Vec<String> = refs
        .into_iter()
        .flatten()
        .map(|secret| format!("{namespace}/{} (key {:?})", secret.name, secret.key))
        .collect();
    format!(
        "no password opens for ChargeStation {}: Secret {} is missing, empty, without its key, or not in the form that \
         encoding says; create or fill it",
        station.name_any(),
        named.join(" and ")
    )
}

impl Directory for ObjectDirectory {
    fn admit(&self, identity: &Identity) -> Admission {
        if !(self.open)() {
            return Admission::NotReady;
        }
        let target = match self.stores.claim(identity.as_str()) {
            Claim::NotSynced => return Admission::NotReady,
            Claim::Nobody => return Admission::Unknown,
            Claim::Several(all) => {
                let names: Vec<String> = all.iter().map(ToString::to_string).collect();
                return Admission::Refused(format!(
                    "several ChargeStations name this identity: {}",
                    names.join(", ")
                ));
            }
            Claim::One(target) => target,
        };
        let (Some(station), Some(since)) = (
            self.stores.stations.get(&target),
            self.stores.known_since(&target),
        ) else {
            return Admission::NotReady;
        };
        match &station.spec.authentication {
            None => Admission::Refused(format!(
                "ChargeStation {} says nothing of spec.authentication; name a secretRef, or say none: true",
                station.name_any()
            )),
            Some(authentication) if authentication.none => Admission::Open,
            Some(authentication) => self.credentials(&station, authentication, since),
        }
    }

    fn register(&self, identity: &Identity) -> bool {
        // Full or closed: the station comes back, and is asked for again.
        let registrations = self.registrations.as_ref();
        registrations.is_some_and(|registrations| registrations.try_send(identity.clone()).is_ok())
    }

    fn heartbeat_interval(&self, identity: &Identity) -> Option<u32> {
        match self.stores.claim(identity.as_str()) {
            Claim::One(station) => (self.heartbeat)(&station),
            Claim::NotSynced | Claim::Nobody | Claim::Several(_) => None,
        }
    }
}

/// The Secrets that a station's admission needs, by name.
pub fn secrets_of(station: &ChargeStation) -> impl Iterator<Item = (String, String)> + '_ {
    let namespace = station.namespace().unwrap_or_default();
    let authentication = station.spec.authentication.as_ref();
    let refs: [Option<&SecretRef>; 2] = [
        authentication.and_then(|authentication| authentication.secret_ref.as_ref()),
        authentication.and_then(|authentication| authentication.bootstrap_secret_ref.as_ref()),
    ];
    refs.into_iter()
        .flatten()
        .map(move |secret| (namespace.clone(), secret.name.clone()))
}

/// The byte strings that a password from a Secret may have on the wire.
///
/// OCPP-J 1.6, section 6.2: the AuthorizationKey is set as hexadecimal digits and sent as the bytes that they stand
/// for; many stations send the digits as they are.
fn encodings(password: &[u8], encoding: PasswordEncoding) -> Vec<Vec<u8>> {
    let text = password.trim_ascii_end();
    if text.is_empty() {
        return Vec::new();
    }
    let bytes = hexadecimal(text).filter(|bytes| (16..=20).contains(&bytes.len()));
    match (encoding, bytes) {
        (PasswordEncoding::Text, _) => vec![text.to_vec()],
        (PasswordEncoding::Hex, bytes) => bytes.into_iter().collect(),
        (PasswordEncoding::Auto, None) => vec![text.to_vec()],
        (PasswordEncoding::Auto, Some(bytes)) => vec![bytes, text.to_vec()],
    }
}

fn hexadecimal(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    text.chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? * 16 + digit(pair[1])?))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kube::runtime::watcher::Event;
    use serde_json::json;
    use tokio_stream::wrappers::UnboundedReceiverStream;

    use super::*;
    use crate::connector::Pending;
    use crate::source::{Secrets, SecretsError};

    /// One Secret, whatever is asked for.
    struct Door(&'static str);

    impl Secrets for Door {
        fn get<'a>(
            &'a self,
            _: &'a str,
            _: &'a str,
        ) -> Pending<'a, Result<Option<SecretData>, SecretsError>> {
            let password = SecretSlice::from(self.0.as_bytes().to_vec());
            let data = BTreeMap::from([("password".to_owned(), password)]);
            Box::pin(std::future::ready(Ok(Some(data))))
        }
    }

    fn station(uid: &str) -> ChargeStation {
        serde_json::from_value(json!({
            "apiVersion": "stationkeeper.dev/v1alpha1", "kind": "ChargeStation",
            "metadata": {"name": "cp", "namespace": "north", "uid": uid},
            "spec": {"identity": "CP", "authentication": {"secretRef": {"name": "door"}}},
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn a_password_that_was_read_for_a_former_object_opens_nothing_for_the_one_of_its_name() {
        let (changes, _kept) = mpsc::unbounded_channel();
        let (events, stations) = mpsc::unbounded_channel();
        let (stores, fill) = Stores::of_stations(UnboundedReceiverStream::new(stations), changes);
        let secrets = Arc::new(SecretCache::new(
            Arc::new(Door("a-password")),
            SecretSlice::from(vec![7; 32]),
        ));
        let (wanted, mut wants) = mpsc::unbounded_channel();
        let directory = ObjectDirectory::new(
            stores,
            Arc::clone(&secrets),
            || true,
            |_| None,
            None,
            wanted,
        );
        let mut fill = std::pin::pin!(fill);
        let identity = Identity::new("CP");
        let made = [
            vec![Event::Init, Event::InitApply(station("1")), Event::InitDone],
            vec![Event::Apply(station("2"))],
        ];
        for told in made {
            for event in told {
                events.send(event).unwrap();
            }
            assert!(futures::poll!(&mut fill).is_pending());
            let admission = directory.admit(&identity);
            assert!(matches!(admission, Admission::NotReady), "{admission:?}");
            let Wanted {
                namespace,
                name,
                since,
            } = wants.try_recv().unwrap();
            secrets.get_since(&namespace, &name, since).await.unwrap();
            let admission = directory.admit(&identity);
            assert!(
                matches!(&admission, Admission::Password(passwords) if passwords.len() == 1),
                "{admission:?}"
            );
        }
    }

    #[test]
    fn a_password_of_hexadecimal_digits_opens_as_bytes_and_as_text() {
        let digits = b"000102030405060708090a0b0c0d0e0f\n";
        let bytes: Vec<u8> = (0..16).collect();
        assert_eq!(
            encodings(digits, PasswordEncoding::Auto),
            [bytes.clone(), digits[..32].to_vec()]
        );
        assert_eq!(encodings(digits, PasswordEncoding::Hex), [bytes]);
        assert_eq!(
            encodings(digits, PasswordEncoding::Text),
            [digits[..32].to_vec()]
        );
    }

    #[test]
    fn an_empty_or_unfit_password_opens_nothing() {
        assert!(encodings(b"\n", PasswordEncoding::Auto).is_empty());
        assert!(encodings(b"too short for hex", PasswordEncoding::Hex).is_empty());
    }
}
