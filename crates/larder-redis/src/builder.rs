//! Settings, in code.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use larder_core::Error;
use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo};

use crate::Redis;
use crate::connector::Connector;
use crate::remembered::Remembered;

/// Where Redis listens unless said otherwise.
const PORT: u16 = 6379;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_SILENCE: Duration = Duration::from_secs(1);

/// Settings of a [`Redis`] backend.
#[derive(Clone)]
#[must_use = "call build()"]
pub struct RedisBuilder {
    place: Place,
    tls: bool,
    ca: Option<PathBuf>,
    database: u32,
    username: Option<String>,
    password: Option<String>,
    connect_timeout: Duration,
    max_silence: Duration,
}

#[derive(Clone)]
enum Place {
    Host(String, u16),
    Socket(PathBuf),
}

impl RedisBuilder {
    pub(crate) fn new(host: String) -> Self {
        Self {
            place: Place::Host(host, PORT),
            tls: false,
            ca: None,
            database: 0,
            username: None,
            password: None,
            connect_timeout: CONNECT_TIMEOUT,
            max_silence: MAX_SILENCE,
        }
    }

    pub(crate) fn at_socket(path: PathBuf) -> Self {
        Self { place: Place::Socket(path), ..Self::new(String::new()) }
    }

    /// The port; 6379 unless said otherwise. A Unix socket has none.
    pub fn port(mut self, port: u16) -> Self {
        if let Place::Host(_, there) = &mut self.place {
            *there = port;
        }
        self
    }

    /// The number of the database; 0 unless said otherwise.
    pub fn database(mut self, database: u32) -> Self {
        self.database = database;
        self
    }

    /// The user of an access list; without one, `default`.
    pub fn username(mut self, name: impl Into<String>) -> Self {
        self.username = Some(name.into());
        self
    }

    /// The password.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// How long connecting may take; 1 s unless said otherwise.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// After what time without any answer, though something was asked, a connection is given up and another one tried; 1 s unless said otherwise.
    pub fn max_silence(mut self, silence: Duration) -> Self {
        self.max_silence = silence;
        self
    }

    /// Whether to talk TLS. It needs the feature `tls`.
    pub fn tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }

    /// A file with the certificates, in PEM, that are trusted instead of the public ones. It is read by [`build`](Self::build).
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca = Some(path.into());
        self
    }

    /// The backend. Nothing is connected yet.
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config) if a setting can't be right: TLS over a Unix socket, a certificate that can't be read, a time of zero;
    /// [`Unsupported`](larder_core::ErrorKind::Unsupported) for TLS without the feature `tls`.
    pub fn build(self) -> Result<Redis, Error> {
        if self.connect_timeout.is_zero() || self.max_silence.is_zero() {
            return Err(Error::config(
                "connect_timeout and max_silence must be more than 0; leave them out for 1 s",
            ));
        }
        if matches!(&self.place, Place::Host(host, _) if host.is_empty()) {
            return Err(Error::config("a Redis cache needs a host; write redis://127.0.0.1:6379/0, say"));
        }
        if self.ca.is_some() && !self.tls {
            return Err(Error::config(
                "a file of trusted certificates says nothing without TLS; write rediss://",
            ));
        }
        let shown = self.shown();
        let client = self.client()?;
        let connector = Connector::new(client, self.connect_timeout, self.max_silence);
        Ok(Redis {
            shown: shown.into(),
            connector: Arc::new(connector),
            remembered: Arc::new(Remembered::default()),
        })
    }

    /// Where it is, for people: no user, no password.
    fn shown(&self) -> String {
        match &self.place {
            Place::Host(host, port) => {
                let scheme = if self.tls { "rediss" } else { "redis" };
                format!("{scheme}://{host}:{port}/{}", self.database)
            }
            Place::Socket(path) => format!("redis+unix://{}?db={}", path.display(), self.database),
        }
    }

    fn client(&self) -> Result<Client, Error> {
        let address = match &self.place {
            Place::Socket(_) if self.tls => {
                return Err(Error::config("there is no TLS over a Unix socket; leave one of them out"));
            }
            Place::Socket(path) => ConnectionAddr::Unix(path.clone()),
            Place::Host(host, port) if self.tls => {
                ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
            }
            Place::Host(host, port) => ConnectionAddr::Tcp(host.clone(), *port),
        };
        if !address.is_supported() {
            return Err(Error::unsupported(if self.tls {
                "TLS to Redis is not compiled in; enable the feature \"redis-tls\" of the crate `larder`"
            } else {
                "there are no Unix sockets on this system"
            }));
        }
        // RESP3 tells when the server closes a connection, so that no command has to find it out.
        let mut settings = RedisConnectionInfo::default()
            .set_db(i64::from(self.database))
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name("larder", env!("CARGO_PKG_VERSION"));
        if let Some(name) = &self.username {
            settings = settings.set_username(name);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        let wrong = |error: redis::RedisError| {
            Error::config("the settings of the connection to Redis can't be right").with_source(error)
        };
        let info = address.into_connection_info().map_err(wrong)?;
        let info =
            info.set_redis_settings(settings).set_tcp_settings(TcpSettings::default().set_nodelay(true));
        #[cfg(feature = "tls")]
        if self.tls {
            return crate::tls::client(info, self.ca.as_deref());
        }
        Client::open(info).map_err(wrong)
    }
}

impl fmt::Debug for RedisBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBuilder")
            .field("url", &self.shown())
            .field("connect_timeout", &self.connect_timeout)
            .field("max_silence", &self.max_silence)
            .finish_non_exhaustive()
    }
}
