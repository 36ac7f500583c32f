//! Settings, and the URLs.

#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::sync::Arc;

use larder_core::{CacheUrl, Error};

use crate::SqlCache;
use crate::cull::Culling;
use crate::engine::Engine;
use crate::name::check_table;
use crate::raw::Raw;

const DEFAULT_TABLE: &str = "larder_cache";
const DEFAULT_MAX_ENTRIES: u64 = 100_000;
#[cfg(feature = "postgres")]
const DEFAULT_MAX_CONNECTIONS: u32 = 10;

/// Where the table is.
#[derive(Clone)]
pub(crate) enum Place {
    #[cfg(feature = "sqlite")]
    Sqlite(PathBuf),
    #[cfg(feature = "postgres")]
    Postgres(Box<sqlx::postgres::PgConnectOptions>),
}

/// Settings of a [`SqlCache`].
#[derive(Clone)]
#[must_use = "call build()"]
pub struct SqlCacheBuilder {
    place: Place,
    table: String,
    max_entries: u64,
    #[cfg(feature = "postgres")]
    max_connections: u32,
    #[cfg(feature = "postgres")]
    unlogged: bool,
}

impl SqlCacheBuilder {
    pub(crate) fn new(place: Place) -> Self {
        Self {
            place,
            table: DEFAULT_TABLE.into(),
            max_entries: DEFAULT_MAX_ENTRIES,
            #[cfg(feature = "postgres")]
            max_connections: DEFAULT_MAX_CONNECTIONS,
            #[cfg(feature = "postgres")]
            unlogged: true,
        }
    }

    /// What the table is called; `larder_cache` unless said otherwise. Django: `LOCATION`.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// About how many entries the table may have; 100,000 unless said otherwise, 0 for any number. Django: `MAX_ENTRIES`.
    pub fn max_entries(mut self, entries: u64) -> Self {
        self.max_entries = entries;
        self
    }

    /// How many connections to a database server there may be; 10 unless said otherwise. Nothing to SQLite.
    #[cfg(feature = "postgres")]
    pub fn max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections;
        self
    }

    /// Whether PostgreSQL makes the table `UNLOGGED`, as it does unless said otherwise: a crash of the server empties it, and a write takes
    /// less. It is also not replicated.
    #[cfg(feature = "postgres")]
    pub fn unlogged(mut self, unlogged: bool) -> Self {
        self.unlogged = unlogged;
        self
    }

    /// The backend. Nothing is connected.
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config) if the table can't be called so, or the place can't be right.
    pub fn build(self) -> Result<SqlCache, Error> {
        check_table(&self.table)?;
        #[cfg(feature = "postgres")]
        if self.max_connections == 0 {
            return Err(Error::config("0 connections let no request through; leave max_connections out"));
        }
        let engine = match self.place {
            #[cfg(feature = "sqlite")]
            Place::Sqlite(path) => {
                if !path.is_absolute() {
                    return Err(Error::config(format!(
                        "the path {:?} of an SQLite cache is relative, so where it is depends on where the program is started; write an absolute one, sqlite:///var/cache/shop.db, say",
                        path.display()
                    )));
                }
                Engine::Sqlite(crate::sqlite::Sqlite::new(path, &self.table))
            }
            #[cfg(feature = "postgres")]
            Place::Postgres(options) => Engine::Postgres(Box::new(crate::postgres::Postgres::new(
                *options,
                self.max_connections,
                &self.table,
                self.unlogged,
            ))),
        };
        let culling = Arc::new(Culling::new(self.max_entries));
        Ok(SqlCache { raw: Raw { engine: Arc::new(engine), culling }, remembered: Arc::default() })
    }
}

impl std::fmt::Debug for SqlCacheBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The place may hold a password.
        f.debug_struct("SqlCacheBuilder")
            .field("table", &self.table)
            .field("max_entries", &self.max_entries)
            .finish_non_exhaustive()
    }
}

/// Opens `sqlite:///absolute/file.db` and `postgres://user:password@host:5432/database`, with the options `table` and `max_entries`; for a
/// server also `max_connections`, `socket` and `sslmode`, for PostgreSQL `unlogged`.
///
/// ```
/// use larder_core::Schemes;
///
/// let schemes = Schemes::new().register("sqlite", larder_sql::open);
/// schemes.open("sqlite:///var/cache/shop.db?table=pages&max_entries=10000&timeout=600")?;
/// let wrong = schemes.open("sqlite::memory:").unwrap_err();
/// assert!(wrong.to_string().contains("memory:"), "{wrong}");
/// # Ok::<(), larder_core::Error>(())
/// ```
///
/// # Errors
/// [`Config`](larder_core::ErrorKind::Config) if the place or an option is wrong, [`Unsupported`](larder_core::ErrorKind::Unsupported) if the database was not compiled in.
pub fn open(url: &mut CacheUrl) -> Result<SqlCache, Error> {
    let mut builder = match url.scheme() {
        #[cfg(feature = "sqlite")]
        "sqlite" => SqlCache::sqlite(file(url)?),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            let mut options = crate::postgres::options(&server("postgres", url)?)?;
            if let Some(socket) = url.take("socket") {
                options = options.socket(socket);
            }
            if let Some(mode) = url.take("sslmode") {
                let wrong =
                    |_| Error::config("sslmode is disable, prefer, require, verify-ca or verify-full");
                options = options.ssl_mode(mode.parse().map_err(wrong)?);
            }
            let builder = SqlCacheBuilder::new(Place::Postgres(Box::new(options)));
            match url.take_bool("unlogged")? {
                Some(unlogged) => builder.unlogged(unlogged),
                None => builder,
            }
        }
        other => {
            return Err(Error::unsupported(format!("{other}: caches were not compiled into larder-sql")));
        }
    };
    if let Some(table) = url.take("table") {
        builder = builder.table(table);
    }
    if let Some(entries) = url.take_u64("max_entries")? {
        builder = builder.max_entries(entries);
    }
    #[cfg(feature = "postgres")]
    if url.scheme() != "sqlite"
        && let Some(connections) = url.take_u64("max_connections")?
    {
        builder = builder.max_connections(u32::try_from(connections).unwrap_or(u32::MAX));
    }
    builder.build()
}

/// The URL for a driver, without the options, which are ours.
#[cfg(feature = "postgres")]
fn server(scheme: &str, url: &CacheUrl) -> Result<String, Error> {
    match url.authority() {
        Some(authority) if url.path().len() > 1 => Ok(format!("{scheme}://{authority}{}", url.path())),
        _ => Err(Error::config(format!(
            "a {scheme}: cache URL names a server and a database; write {scheme}://user:password@host/database"
        ))),
    }
}

#[cfg(feature = "sqlite")]
fn file(url: &CacheUrl) -> Result<PathBuf, Error> {
    if url.path().trim_matches('/') == ":memory:" || url.authority() == Some(":memory:") {
        return Err(Error::config(
            "SQLite in memory would be slower than memory: and no longer lived; write memory: instead",
        ));
    }
    let path = unescape(url.path())?;
    let named = !matches!(path.as_str(), "" | "/") && !path.ends_with('/');
    if !matches!(url.authority(), None | Some("" | "localhost")) || !named {
        return Err(Error::config(
            "an sqlite: cache URL needs the absolute path of a file; write sqlite:///var/cache/shop.db, say",
        ));
    }
    Ok(PathBuf::from(path))
}

/// A path without its percent escapes.
#[cfg(feature = "sqlite")]
fn unescape(path: &str) -> Result<String, Error> {
    let wrong = || Error::config("the path of an sqlite: cache URL has a wrong % escape; write % as %25");
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => out.push((high * 16 + low) as u8),
            _ => return Err(wrong()),
        }
    }
    String::from_utf8(out).ok().filter(|path| !path.contains('\0')).ok_or_else(wrong)
}
