//! Settings, in code.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use larder_core::Error;

use crate::Redis;
use crate::connector::Connector;
use crate::dial::{Dial, settings, wrong};
use crate::remembered::Remembered;
#[cfg(feature = "cluster")]
use crate::store::Cluster;
use crate::store::{Replicated, Store};
use crate::target::{Target, Watched};

/// Where Redis listens unless said otherwise.
const PORT: u16 = 6379;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_SILENCE: Duration = Duration::from_secs(1);

/// Settings of a [`Redis`] backend.
#[derive(Clone)]
#[must_use = "call build()"]
pub struct RedisBuilder {
    place: Place,
    replicas: Vec<(String, u16)>,
    tls: bool,
    ca: Option<PathBuf>,
    database: u32,
    username: Option<String>,
    password: Option<String>,
    sentinel_password: Option<String>,
    connect_timeout: Duration,
    max_silence: Duration,
}

#[derive(Clone)]
enum Place {
    Host(String, u16),
    Socket(PathBuf),
    Watched(Vec<(String, u16)>, String),
    #[cfg(feature = "cluster")]
    Nodes(Vec<(String, u16)>),
}

impl RedisBuilder {
    pub(crate) fn new(host: String) -> Self {
        Self {
            place: Place::Host(host, PORT),
            replicas: Vec::new(),
            tls: false,
            ca: None,
            database: 0,
            username: None,
            password: None,
            sentinel_password: None,
            connect_timeout: CONNECT_TIMEOUT,
            max_silence: MAX_SILENCE,
        }
    }

    pub(crate) fn at_socket(path: PathBuf) -> Self {
        Self { place: Place::Socket(path), ..Self::new(String::new()) }
    }

    pub(crate) fn watched(sentinels: Vec<(String, u16)>, master: String) -> Self {
        Self { place: Place::Watched(sentinels, master), ..Self::new(String::new()) }
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn nodes(nodes: Vec<(String, u16)>) -> Self {
        Self { place: Place::Nodes(nodes), ..Self::new(String::new()) }
    }

    /// The port; 6379 unless said otherwise. A Unix socket has none, and those of sentinels and nodes stand beside their hosts.
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

    /// Replicas of the server, from which entries may be read; see [the crate's page](crate#read-replicas). Database, user and password are those of
    /// the primary.
    pub fn replicas<H: Into<String>>(mut self, replicas: impl IntoIterator<Item = (H, u16)>) -> Self {
        self.replicas = replicas.into_iter().map(|(host, port)| (host.into(), port)).collect();
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

    /// The password of the sentinels, which need not be that of the servers.
    pub fn sentinel_password(mut self, password: impl Into<String>) -> Self {
        self.sentinel_password = Some(password.into());
        self
    }

    /// How long connecting may take, or asking a sentinel for the primary; 1 s unless said otherwise.
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
        self.check()?;
        let shown = self.shown();
        Ok(Redis { shown: shown.into(), store: self.store()?, remembered: Arc::new(Remembered::default()) })
    }

    fn check(&self) -> Result<(), Error> {
        if self.connect_timeout.is_zero() || self.max_silence.is_zero() {
            return Err(Error::config(
                "connect_timeout and max_silence must be more than 0; leave them out for 1 s",
            ));
        }
        let nowhere = |hosts: &[(String, u16)]| hosts.iter().any(|(host, _)| host.is_empty());
        let nowhere = nowhere(&self.replicas)
            || match &self.place {
                Place::Host(host, _) => host.is_empty(),
                Place::Watched(several, _) => several.is_empty() || nowhere(several),
                #[cfg(feature = "cluster")]
                Place::Nodes(several) => several.is_empty() || nowhere(several),
                Place::Socket(_) => false,
            };
        if nowhere {
            return Err(Error::config("a Redis cache needs a host; write redis://127.0.0.1:6379/0, say"));
        }
        self.check_place()
    }

    fn check_place(&self) -> Result<(), Error> {
        #[cfg(feature = "cluster")]
        if matches!(self.place, Place::Nodes(_)) && self.database != 0 {
            return Err(Error::config(format!(
                "a Redis Cluster has database 0 only; leave {} out, and set a key prefix instead",
                self.database
            )));
        }
        if !self.replicas.is_empty() && !matches!(self.place, Place::Host(..)) {
            return Err(Error::config(
                "replicas are named beside a primary: redis://h1:6379/0?replicas=h2:6379,h3:6379; Sentinel and Cluster know theirs",
            ));
        }
        Ok(())
    }

    /// Where it is, for people: no user, no password.
    pub(crate) fn shown(&self) -> String {
        let scheme = if self.tls { "rediss" } else { "redis" };
        match &self.place {
            Place::Host(host, port) => format!("{scheme}://{host}:{port}/{}", self.database),
            Place::Watched(sentinels, master) => {
                format!("{scheme}+sentinel://{}/{master}/{}", list(sentinels), self.database)
            }
            #[cfg(feature = "cluster")]
            Place::Nodes(nodes) => format!("{scheme}+cluster://{}", list(nodes)),
            Place::Socket(path) => format!("redis+unix://{}?db={}", path.display(), self.database),
        }
    }

    fn store(&self) -> Result<Store, Error> {
        let dial = Dial::new(self.tls, self.ca.as_deref())?;
        let server = settings(self.database, self.username.as_deref(), self.password.as_deref());
        let (patience, silence) = (self.connect_timeout, self.max_silence);
        let connector = |target| Connector::new(target, patience, silence);
        let one = |host: &str, port| -> Result<Connector, Error> {
            dial.client(host, port, server.clone())
                .map(|client| connector(Target::One(client)))
                .map_err(wrong)
        };
        Ok(match &self.place {
            Place::Socket(path) => {
                Store::One(Arc::new(connector(Target::One(dial.local(path, server.clone())?))))
            }
            Place::Host(host, port) if self.replicas.is_empty() => Store::One(Arc::new(one(host, *port)?)),
            Place::Host(host, port) => {
                let replicas = self.replicas.iter().map(|(host, port)| one(host, *port));
                let replicas: Vec<Connector> = replicas.collect::<Result<_, _>>()?;
                Store::Replicated(Arc::new(Replicated::new(one(host, *port)?, replicas)))
            }
            Place::Watched(sentinels, master) => {
                Store::One(Arc::new(connector(Target::Watched(self.primary_of(sentinels, master, dial)?))))
            }
            #[cfg(feature = "cluster")]
            Place::Nodes(nodes) => {
                let nodes = nodes.iter().cloned();
                Store::Cluster(Arc::new(Cluster::new(nodes, dial, server, patience, silence)))
            }
        })
    }
}

impl RedisBuilder {
    fn primary_of(&self, sentinels: &[(String, u16)], master: &str, dial: Dial) -> Result<Watched, Error> {
        let who = || settings(0, None, self.sentinel_password.as_deref());
        let sentinels = sentinels.iter().map(|(host, port)| dial.client(host, *port, who()));
        let sentinels = sentinels.collect::<Result<_, _>>().map_err(wrong)?;
        let settings = settings(self.database, self.username.as_deref(), self.password.as_deref());
        Ok(Watched { sentinels, master: master.to_owned(), dial, settings })
    }

    /// For what any one server of those named will do, and how long to wait for it: where to try, one after the other.
    pub(crate) fn targets(&self) -> Result<(Vec<Target>, Duration, Duration), Error> {
        self.check()?;
        let dial = Dial::new(self.tls, self.ca.as_deref())?;
        let server = settings(self.database, self.username.as_deref(), self.password.as_deref());
        let one = |(host, port): &(String, u16)| {
            dial.client(host, *port, server.clone()).map(Target::One).map_err(wrong)
        };
        let targets = match &self.place {
            Place::Socket(path) => vec![Target::One(dial.local(path, server.clone())?)],
            Place::Host(host, port) => vec![one(&(host.clone(), *port))?],
            #[cfg(feature = "cluster")]
            Place::Nodes(nodes) => nodes.iter().map(one).collect::<Result<_, _>>()?,
            Place::Watched(sentinels, master) => {
                vec![Target::Watched(self.primary_of(sentinels, master, dial.clone())?)]
            }
        };
        Ok((targets, self.connect_timeout, self.max_silence))
    }

    /// The number of the database.
    pub(crate) fn number(&self) -> u32 {
        self.database
    }
}

fn list(hosts: &[(String, u16)]) -> String {
    let all: Vec<String> = hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
    all.join(",")
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
