//! The certificates that a destination names, read from their files.
//!
//! TLS is rustls with ring. Never reads anything for a connection without TLS.

use std::fs;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::config::OtlpDestination;

/// Why there is no TLS to a destination.
#[derive(Debug, Error)]
pub(super) enum TlsError {
    #[error("the file {} cannot be read; it is the {role}", path.display())]
    Unreadable {
        path: PathBuf,
        role: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("a client certificate and a client key are needed together, but only the {0} is set")]
    Halved(&'static str),
}

/// PEM texts for one destination.
#[derive(Default)]
pub(super) struct TlsFiles {
    /// What the receiver's certificate is checked against, in place of the system's.
    pub(super) authorities: Option<Vec<u8>>,
    /// What is shown to the receiver.
    pub(super) identity: Option<ClientIdentity>,
}

/// A certificate chain and its private key.
pub(super) struct ClientIdentity {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
}

impl TlsFiles {
    /// Reads what `destination` names.
    pub(super) fn read(destination: &OtlpDestination) -> Result<Self, TlsError> {
        if !destination.endpoint.is_secure() {
            return Ok(Self::default());
        }
        install_ring();
        let authorities = destination.certificate.as_deref();
        let authorities = authorities
            .map(|path| read(path, "certificate of the receiver"))
            .transpose()?;
        let identity = match (&destination.client_certificate, &destination.client_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(ClientIdentity {
                certificate: read(certificate, "client certificate")?,
                key: read(key, "client key")?,
            }),
            (Some(_), None) => return Err(TlsError::Halved("certificate")),
            (None, Some(_)) => return Err(TlsError::Halved("key")),
        };
        Ok(Self {
            authorities,
            identity,
        })
    }
}

fn read(path: &Path, role: &'static str) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Unreadable {
        path: path.to_owned(),
        role,
        source,
    })
}

/// Makes ring the process's cryptography, unless another is set already.
pub(super) fn install_ring() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // It fails only when somebody else installed one in the meantime, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
}
