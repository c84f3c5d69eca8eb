//! TLS from certificate files, read anew when they change. A pair that does not fit stops the start, and is refused
//! later with the old pair kept.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate;
use super::settings::TlsFiles;

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate.
    #[error(
        "failed to read the certificate {path:?}; it must hold PEM, the certificate first and its chain after it"
    )]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// There is none.
    #[error(
        "{path:?} holds no certificate; it must hold PEM, the certificate first and its chain after it"
    )]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
    /// The key.
    #[error("failed to read the private key {path:?}; it must hold one unencrypted key in PEM")]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// The two.
    #[error("the certificate {certificate:?} and the private key {key:?} cannot be used together")]
    Unfit {
        /// Which certificate.
        certificate: PathBuf,
        /// Which key.
        key: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// The present pair.
pub(super) struct Tls {
    files: TlsFiles,
    current: RwLock<Current>,
}

struct Current {
    acceptor: TlsAcceptor,
    /// When the certificate ends, in seconds since 1970.
    not_after: Option<i64>,
    /// Of the files' content, so that they are looked at once for each change.
    digest: [u8; 32],
}

impl Tls {
    pub(super) fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let digest = digest(&files);
        let (acceptor, not_after) = acceptor(&files)?;
        Ok(Self {
            files,
            current: RwLock::new(Current {
                acceptor,
                not_after,
                digest,
            }),
        })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .acceptor
            .clone()
    }

    /// When the certificate in use ends, in seconds since 1970.
    pub(super) fn not_after(&self) -> Option<i64> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .not_after
    }

    /// Takes over files that have changed. A pair that cannot be used is told of once, and the old one kept.
    pub(super) fn reload(&self) {
        let digest = digest(&self.files);
        if self
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .digest
            == digest
        {
            return;
        }
        let loaded = acceptor(&self.files);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.digest = digest;
        match loaded {
            Ok((acceptor, not_after)) => {
                current.acceptor = acceptor;
                current.not_after = not_after;
                tracing::info!(certificate = %self.files.certificate.display(), "the certificate was reloaded");
            }
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the changed certificate cannot be used; the one before it stays in use until the files are mended"
            ),
        }
    }
}

/// With when its certificate ends.
fn acceptor(files: &TlsFiles) -> Result<(TlsAcceptor, Option<i64>), TlsError> {
    let chain = chain(&files.certificate)?;
    let not_after = chain
        .first()
        .and_then(|first| certificate::not_after(first))
        .map(|end| end.as_second());
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| TlsError::Key {
        path: files.key.clone(),
        source,
    })?;
    let unfit = |source| TlsError::Unfit {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        source,
    };
    let mut config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unfit)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(unfit)?;
    // Sessions that are resumed by tickets cost no memory here.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(unfit)?;
    config.send_tls13_tickets = 1;
    Ok((TlsAcceptor::from(Arc::new(config)), not_after))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let error = |source| TlsError::Certificate {
        path: path.to_owned(),
        source,
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(error)?
        .collect::<Result<_, _>>()
        .map_err(error)?;
    if chain.is_empty() {
        Err(TlsError::NoCertificate {
            path: path.to_owned(),
        })
    } else {
        Ok(chain)
    }
}

/// Unreadable counts as empty: it is a change, and loading says what is wrong.
fn digest(files: &TlsFiles) -> [u8; 32] {
    let mut digest = Sha256::new();
    for path in [&files.certificate, &files.key] {
        let content = std::fs::read(path).unwrap_or_default();
        digest.update(content.len().to_le_bytes());
        digest.update(content);
    }
    digest.finalize().into()
}

/// A socket, in the clear or not.
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
