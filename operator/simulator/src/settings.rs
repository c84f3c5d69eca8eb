//! What a station is started with.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::fault::Fault;
use crate::pace::Pace;
use crate::profile::StationProfile;

/// What a station is started with.
#[derive(Clone, Debug)]
pub struct StationSettings {
    /// The address of the CSMS without the identity: `ws://host:port/path` or `wss://…`.
    pub url: String,
    /// The station's identity; percent-encoded when it is sent.
    pub identity: String,
    /// The password for HTTP Basic; none: it sends none.
    pub password: Option<Password>,
    /// What kind of station it is.
    pub profile: Arc<StationProfile>,
    /// Its habits and faults.
    pub faults: Vec<Fault>,
    /// What its random numbers come from, together with its identity.
    pub seed: u64,
    /// How fast it goes about things.
    pub pace: Pace,
    /// Whom it trusts when the address is `wss://`.
    pub trust: Trust,
    /// Leaves out what only costs: heartbeats, pings, time limits, the journal. For thousands of stations.
    pub lean: bool,
    /// Waits this long before it connects for the first time.
    pub start_after: Duration,
}

impl StationSettings {
    /// A plain standard station.
    pub fn new(url: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            identity: identity.into(),
            password: None,
            profile: StationProfile::standard(),
            faults: Vec::new(),
            seed: 0,
            pace: Pace::default(),
            trust: Trust::default(),
            lean: false,
            start_after: Duration::ZERO,
        }
    }
}

/// A password for HTTP Basic, as the bytes that are sent. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Vec<u8>);

impl Password {
    /// Takes the bytes as they are.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// Reads a value of AuthorizationKey: 32 to 40 hexadecimal digits are bytes (OCPP security whitepaper, A01), anything
    /// else is text.
    pub(crate) fn from_key(value: &str) -> Self {
        let hexadecimal = (32..=40).contains(&value.len()) && value.len().is_multiple_of(2);
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes = value
            .as_bytes()
            .chunks(2)
            .map(byte)
            .collect::<Option<Vec<u8>>>()
            .filter(|_| hexadecimal);
        Self(bytes.unwrap_or_else(|| value.as_bytes().to_vec()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Whom a station trusts when it connects with TLS.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// The certificate authorities that browsers trust.
    #[default]
    Public,
    /// What this configuration says.
    Given(Arc<rustls::ClientConfig>),
}

/// Root certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadRoots {
    /// The file cannot be read, or is no PEM.
    #[error("failed to read the root certificates {path:?}")]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// There is no certificate in the file.
    #[error("the file {path:?} holds no certificate")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A certificate cannot be used.
    #[error("failed to use a root certificate")]
    UseRoot {
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

impl Trust {
    /// Trusts the certificates of a PEM file, and no others.
    pub fn file(path: &Path) -> Result<Self, LoadRoots> {
        let failed = |source| LoadRoots::ReadFile {
            path: path.to_owned(),
            source,
        };
        let roots: Vec<_> = CertificateDer::pem_file_iter(path)
            .map_err(failed)?
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        if roots.is_empty() {
            return Err(LoadRoots::Empty {
                path: path.to_owned(),
            });
        }
        Self::roots(roots)
    }

    /// Trusts these certificates, and no others.
    pub fn roots(
        roots: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> Result<Self, LoadRoots> {
        let failed = |source| LoadRoots::UseRoot { source };
        let mut store = rustls::RootCertStore::empty();
        for root in roots {
            store.add(root).map_err(failed)?;
        }
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_root_certificates(store)
        .with_no_client_auth();
        Ok(Self::Given(Arc::new(config)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authorization_key_is_read_as_hexadecimal_or_as_text() {
        let check = |value: &str, expect: &[u8]| {
            assert_eq!(Password::from_key(value).bytes(), expect, "{value}")
        };
        check(
            "00112233445566778899aabbccddeeff",
            &[
                0, 17, 34, 51, 68, 85, 102, 119, 136, 153, 170, 187, 204, 221, 238, 255,
            ],
        );
        check("sixteen-byte-key", b"sixteen-byte-key");
        check("0011", b"0011");
        check(
            "zz112233445566778899aabbccddeeff",
            b"zz112233445566778899aabbccddeeff",
        );
    }

    #[test]
    fn a_password_is_not_shown() {
        assert!(!format!("{:?}", Password::from("hunter22")).contains("hunter"));
    }
}
