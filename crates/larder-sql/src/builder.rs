//! Settings, and the URLs.

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

/// Where the table is.
#[derive(Clone)]
pub(crate) enum Place {
    #[cfg(feature = "sqlite")]
    Sqlite(PathBuf),
}

/// Settings of a [`SqlCache`].
#[derive(Clone)]
#[must_use = "call build()"]
pub struct SqlCacheBuilder {
    place: Place,
    table: String,
    max_entries: u64,
}

impl SqlCacheBuilder {
    pub(crate) fn new(place: Place) -> Self {
        Self { place, table: DEFAULT_TABLE.into(), max_entries: DEFAULT_MAX_ENTRIES }
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

    /// The backend. Nothing is connected.
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config) if the table can't be called so, or the place can't be right.
    pub fn build(self) -> Result<SqlCache, Error> {
        check_table(&self.table)?;
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
        };
        let culling = Arc::new(Culling::new(self.max_entries));
        Ok(SqlCache { raw: Raw { engine: Arc::new(engine), culling } })
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

/// Opens `sqlite:///absolute/file.db`, with the options `table` and `max_entries`.
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
    builder.build()
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
