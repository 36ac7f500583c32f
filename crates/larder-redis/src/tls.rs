//! TLS by rustls.

use std::path::Path;

use larder_core::Error;
use redis::TlsCertificates;
use rustls::crypto::{CryptoProvider, ring};

/// What is trusted: the certificates in `ca`, or else the public ones.
pub(crate) fn certificates(used: bool, ca: Option<&Path>) -> Result<TlsCertificates, Error> {
    // The application's choice stands; without one, the driver could not connect.
    if used && CryptoProvider::get_default().is_none() {
        // Somebody else was quicker: as good.
        _ = ring::default_provider().install_default();
    }
    let root_cert = match ca {
        None => None,
        Some(path) => Some(std::fs::read(path).map_err(|error| {
            Error::config(format!("the certificates in {} can't be read", path.display())).with_source(error)
        })?),
    };
    Ok(TlsCertificates { client_tls: None, root_cert })
}
