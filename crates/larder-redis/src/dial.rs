//! Clients of the driver, with what all connections have in common.

use std::path::Path;

use larder_core::Error;
use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError};

/// How to talk to a server: in the clear or over TLS.
#[derive(Clone)]
pub(crate) struct Dial {
    tls: bool,
    #[cfg(feature = "tls")]
    certificates: redis::TlsCertificates,
}

impl Dial {
    /// Reads the certificates.
    pub(crate) fn new(tls: bool, ca: Option<&Path>) -> Result<Self, Error> {
        if tls && cfg!(not(feature = "tls")) {
            return Err(Error::unsupported(
                "TLS to Redis is not compiled in; enable the feature \"redis-tls\" of the crate `larder`",
            ));
        }
        if ca.is_some() && !tls {
            return Err(Error::config(
                "a file of trusted certificates says nothing without TLS; write rediss://",
            ));
        }
        let dial = Self {
            tls,
            #[cfg(feature = "tls")]
            certificates: crate::tls::certificates(tls, ca)?,
        };
        // Whether the certificates can be understood is only told when a client is made of them.
        dial.client("localhost", 1, RedisConnectionInfo::default()).map_err(|error| {
            Error::config("the certificates to be trusted can't be understood; they must be PEM")
                .with_source(error)
        })?;
        Ok(dial)
    }

    /// A client of a server at a host. Connects to nothing.
    pub(crate) fn client(
        &self,
        host: &str,
        port: u16,
        settings: RedisConnectionInfo,
    ) -> Result<Client, RedisError> {
        if !self.tls {
            return at(ConnectionAddr::Tcp(host.to_owned(), port), settings, Client::open);
        }
        let address =
            ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: false, tls_params: None };
        at(address, settings, |info| {
            #[cfg(feature = "tls")]
            return Client::build_with_tls(info, self.certificates.clone());
            #[cfg(not(feature = "tls"))]
            Client::open(info)
        })
    }

    /// A client of a server at a Unix socket.
    pub(crate) fn local(&self, path: &Path, settings: RedisConnectionInfo) -> Result<Client, Error> {
        if self.tls {
            return Err(Error::config("there is no TLS over a Unix socket; leave one of them out"));
        }
        let address = ConnectionAddr::Unix(path.to_owned());
        if !address.is_supported() {
            return Err(Error::unsupported("there are no Unix sockets on this system"));
        }
        at(address, settings, Client::open).map_err(wrong)
    }
}

/// Who we are to the server.
pub(crate) fn settings(database: u32, username: Option<&str>, password: Option<&str>) -> RedisConnectionInfo {
    // RESP3 tells when the server closes a connection, so that no command has to find it out.
    let mut settings = RedisConnectionInfo::default()
        .set_db(i64::from(database))
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("larder", env!("CARGO_PKG_VERSION"));
    if let Some(name) = username {
        settings = settings.set_username(name);
    }
    if let Some(password) = password {
        settings = settings.set_password(password);
    }
    settings
}

pub(crate) fn wrong(error: RedisError) -> Error {
    Error::config("the settings of the connection to Redis can't be right").with_source(error)
}

fn at(
    address: ConnectionAddr,
    settings: RedisConnectionInfo,
    open: impl FnOnce(redis::ConnectionInfo) -> Result<Client, RedisError>,
) -> Result<Client, RedisError> {
    let info = address.into_connection_info()?;
    open(info.set_redis_settings(settings).set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}
