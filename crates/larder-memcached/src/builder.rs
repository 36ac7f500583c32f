//! Settings, and the `memcached:` URLs.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{CacheUrl, Error};

use crate::Memcached;
use crate::address::Address;
use crate::client::{Client, Patience};
use crate::raw::Raw;

const DEFAULT_CONNECT: Duration = Duration::from_secs(1);
const DEFAULT_SILENCE: Duration = Duration::from_millis(500);
/// What Memcached takes unless it is started with `-I`.
const DEFAULT_MAX_ENTRY: u64 = 1 << 20;

/// Settings of a [`Memcached`].
#[derive(Clone, Debug)]
#[must_use = "call build()"]
pub struct MemcachedBuilder {
    servers: Vec<String>,
    patience: Patience,
    max_entry: u64,
}

impl MemcachedBuilder {
    pub(crate) fn new(servers: Vec<String>) -> Self {
        let patience = Patience { connect: DEFAULT_CONNECT, silence: DEFAULT_SILENCE };
        Self { servers, patience, max_entry: DEFAULT_MAX_ENTRY }
    }

    /// How long connecting to a server may take; 1 s unless said otherwise. A request waits at most for its cache's deadline.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.patience.connect = timeout;
        self
    }

    /// How long a server may send nothing while something is asked of it, before its connection is given up; 500 ms unless said
    /// otherwise. Until then each request waits for its cache's deadline; afterwards, requests to this server fail at once.
    pub fn max_silence(mut self, silence: Duration) -> Self {
        self.patience.silence = silence;
        self
    }

    /// How many bytes an entry may take, with its stamp; 1 MiB unless said otherwise, as in Memcached. Raise it together with the
    /// servers' `-I`.
    pub fn max_entry(mut self, bytes: u64) -> Self {
        self.max_entry = bytes;
        self
    }

    /// The backend. Nothing is connected.
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config) if there is no server, one stands twice, an address can't be right, or a
    /// deadline is zero.
    pub fn build(self) -> Result<Memcached, Error> {
        if self.patience.connect.is_zero() || self.patience.silence.is_zero() {
            return Err(Error::config("a limit of 0 lets no Memcached server answer; leave it out"));
        }
        let mut addresses: Vec<Address> = Vec::with_capacity(self.servers.len());
        for server in &self.servers {
            let address = Address::parse(server.trim())?;
            if addresses.contains(&address) {
                return Err(Error::config(format!(
                    "the Memcached server {address} stands twice in the list"
                )));
            }
            addresses.push(address);
        }
        if addresses.is_empty() {
            return Err(Error::config(
                "a Memcached cache needs a server; write memcached://127.0.0.1:11211, say",
            ));
        }
        if u16::try_from(addresses.len()).is_err() {
            return Err(Error::config("these are more Memcached servers than a ring has room for"));
        }
        let client = Arc::new(Client::new(addresses, self.patience));
        let max_entry = usize::try_from(self.max_entry).unwrap_or(usize::MAX);
        Ok(Memcached { raw: Raw { client, max_entry }, remembered: Arc::default(), recall: Arc::default() })
    }
}

/// Opens `memcached://host:port,host:port` or `memcached+unix:///path,/path`, with the options `connect_timeout`,
/// `max_silence` and `max_entry`. Servers may be separated by semicolons as well, as in Django's `LOCATION`.
///
/// ```
/// use larder_core::Schemes;
///
/// let schemes = Schemes::new()
///     .register("memcached", larder_memcached::open)
///     .register("memcached+unix", larder_memcached::open);
/// schemes.open("memcached://cache-a:11211,cache-b:11211,[::1]?max_entry=8MiB&timeout=600")?;
/// schemes.open("memcached+unix:///run/memcached.sock")?;
/// let wrong = schemes.open("memcached://cache-a:0").unwrap_err();
/// assert!(wrong.to_string().contains("the port must be 1 to 65535"), "{wrong}");
/// # Ok::<(), larder_core::Error>(())
/// ```
///
/// # Errors
/// [`Config`](larder_core::ErrorKind::Config) if an address or an option is wrong.
pub fn open(url: &mut CacheUrl) -> Result<Memcached, Error> {
    let list = match url.scheme() {
        "memcached+unix" => sockets(url)?,
        _ => hosts(url)?,
    };
    let mut builder = Memcached::builder(list.split([',', ';']).filter(|server| !server.trim().is_empty()));
    if let Some(timeout) = url.take_duration("connect_timeout")? {
        builder = builder.connect_timeout(timeout);
    }
    if let Some(silence) = url.take_duration("max_silence")? {
        builder = builder.max_silence(silence);
    }
    if let Some(bytes) = url.take_bytes("max_entry")? {
        if bytes == 0 {
            return Err(Error::config(
                "max_entry=0 of a memcached: cache would let nothing be stored; write the server's own limit, as in max_entry=1MiB",
            ));
        }
        builder = builder.max_entry(bytes);
    }
    builder.build()
}

fn hosts(url: &CacheUrl) -> Result<String, Error> {
    let hosts = url.authority().unwrap_or_default();
    if hosts.is_empty() || !matches!(url.path(), "" | "/") {
        return Err(Error::config(
            "a memcached: cache URL is a list of servers and nothing behind; write memcached://a:11211,b:11211, or memcached+unix:///run/memcached.sock for a socket",
        ));
    }
    Ok(hosts.to_owned())
}

fn sockets(url: &CacheUrl) -> Result<String, Error> {
    if !matches!(url.authority(), Some("" | "localhost")) || url.path().is_empty() {
        return Err(Error::config(
            "a memcached+unix: cache URL needs an absolute path; write memcached+unix:///run/memcached.sock",
        ));
    }
    Ok(url.path().to_owned())
}
