//! TLS by rustls.

use std::path::Path;

use larder_core::Error;
use redis::{Client, ConnectionInfo, TlsCertificates};
use rustls::crypto::{CryptoProvider, ring};

/// A client that talks TLS, and trusts the certificates in `ca` or else the public ones.
pub(crate) fn client(info: ConnectionInfo, ca: Option<&Path>) -> Result<Client, Error> {
    // The application's choice stands; without one, the driver could not connect.
    if CryptoProvider::get_default().is_none() {
        // Somebody else was quicker: as good.
        _ = ring::default_provider().install_default();
    }
    let root_cert = match ca {
        None => None,
        Some(path) => Some(std::fs::read(path).map_err(|error| {
            Error::config(format!("the certificates in {} can't be read", path.display())).with_source(error)
        })?),
    };
    let certificates = TlsCertificates { client_tls: None, root_cert };
    Client::build_with_tls(info, certificates).map_err(|error| {
        Error::config("the certificates to be trusted can't be understood; they must be PEM")
            .with_source(error)
    })
}
