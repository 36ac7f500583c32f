//! Settings.

#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::sync::Arc;

use larder_core::Error;

use crate::SqlCache;
use crate::cull::Culling;
use crate::engine::Engine;
use crate::name::check_table;
use crate::raw::Raw;

const DEFAULT_TABLE: &str = "larder_cache";
const DEFAULT_MAX_ENTRIES: u64 = 100_000;
const DEFAULT_MAX_CONNECTIONS: u32 = 10;

/// Where the table is.
#[derive(Clone)]
pub(crate) enum Place {
    #[cfg(feature = "sqlite")]
    Sqlite(PathBuf),
    #[cfg(feature = "postgres")]
    Postgres(Box<sqlx::postgres::PgConnectOptions>),
    #[cfg(feature = "postgres")]
    PostgresPool(sqlx::PgPool),
    #[cfg(feature = "mysql")]
    MySql(Box<sqlx::mysql::MySqlConnectOptions>),
    #[cfg(feature = "mysql")]
    MySqlPool(sqlx::MySqlPool),
}

/// An application's own pool of connections: an [`sqlx::PgPool`] or an [`sqlx::MySqlPool`] becomes one by `into()`.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub struct AppPool(pub(crate) Place);

#[cfg(feature = "postgres")]
impl From<sqlx::PgPool> for AppPool {
    fn from(pool: sqlx::PgPool) -> Self {
        Self(Place::PostgresPool(pool))
    }
}

#[cfg(feature = "mysql")]
impl From<sqlx::MySqlPool> for AppPool {
    fn from(pool: sqlx::MySqlPool) -> Self {
        Self(Place::MySqlPool(pool))
    }
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
impl std::fmt::Debug for AppPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppPool").finish_non_exhaustive()
    }
}

/// Settings of a [`SqlCache`].
#[derive(Clone)]
#[must_use = "call build()"]
pub struct SqlCacheBuilder {
    place: Place,
    table: String,
    max_entries: u64,
    max_connections: u32,
    #[cfg(feature = "postgres")]
    unlogged: bool,
}

impl SqlCacheBuilder {
    #[cfg(all(test, feature = "postgres"))]
    pub(crate) fn into_place(self) -> Place {
        self.place
    }

    pub(crate) fn new(place: Place) -> Self {
        Self {
            place,
            table: DEFAULT_TABLE.into(),
            max_entries: DEFAULT_MAX_ENTRIES,
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

    /// How many connections to a database server there may be; 10 unless said otherwise. Nothing to SQLite, and nothing to an application's
    /// own pool.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub fn max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections;
        self
    }

    /// Whether PostgreSQL makes the table `UNLOGGED`, as it does unless said otherwise: a crash of the server empties it, and a write takes
    /// less. It is also not replicated. Nothing to the others.
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
        if self.max_connections == 0 {
            return Err(Error::config("0 connections let no request through; leave max_connections out"));
        }
        let culling = Arc::new(Culling::new(self.max_entries));
        let engine = Arc::new(self.engine()?);
        let raw = Raw { engine, culling, folding: Arc::default(), table: Arc::default() };
        Ok(SqlCache { raw, remembered: Arc::default(), recall: Arc::default() })
    }

    fn engine(self) -> Result<Engine, Error> {
        let table = &self.table;
        Ok(match self.place {
            #[cfg(feature = "sqlite")]
            Place::Sqlite(path) => {
                if !path.is_absolute() {
                    return Err(Error::config(format!(
                        "the path {:?} of an SQLite cache is relative, so where it is depends on where the program is started; write an absolute one, sqlite:///var/cache/shop.db, say",
                        path.display()
                    )));
                }
                Engine::Sqlite(crate::sqlite::Sqlite::new(path, table))
            }
            #[cfg(feature = "postgres")]
            Place::Postgres(options) => Engine::Postgres(Box::new(crate::postgres::Server::new(
                *options,
                self.max_connections,
                table,
                self.unlogged,
            ))),
            #[cfg(feature = "postgres")]
            Place::PostgresPool(pool) => {
                Engine::Postgres(Box::new(crate::postgres::Server::with_pool(pool, table, self.unlogged)))
            }
            #[cfg(feature = "mysql")]
            Place::MySql(options) => {
                Engine::MySql(Box::new(crate::mysql::Server::new(*options, self.max_connections, table)))
            }
            #[cfg(feature = "mysql")]
            Place::MySqlPool(pool) => Engine::MySql(Box::new(crate::mysql::Server::with_pool(pool, table))),
        })
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
