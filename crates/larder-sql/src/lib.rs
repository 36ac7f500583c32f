//! Larder's SQL backend: one table. Django: `DatabaseCache`.
//!
//! ```
//! use std::time::Duration;
//!
//! use larder_core::Cache;
//! use larder_sql::SqlCache;
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("cache.db");
//! let table = SqlCache::sqlite(path).build()?;
//! let cache = Cache::builder(table).deadline(Duration::from_secs(10)).build()?;
//! cache.set("answer", 42).timeout(60).await?;
//! assert_eq!(cache.get("answer").await?, Some(42));
//! # Ok(()) }
//! ```
//!
//! # The table
//! `larder_cache`, or what `table` says; made by its first use, or by [`SqlCache::create_table`] (Django: `createcachetable`).
//!
//! | column | what |
//! |---|---|
//! | `name` | `prefix:version:key`, the primary key; names over 512 bytes are `prefix:b3:` and a BLAKE3 hash |
//! | `value` | what [`larder_core::wire`] writes: a line with expiry and tags, then the bytes |
//! | `expires` | milliseconds since the epoch; null: never |
//! | `written` | when it was written; null for the records of namespace, fence and tags, which are never culled |
//! | `whole` | the whole name, where `name` is a hash |
//!
//! Several caches can share a table, each with its `prefix`; several processes as well.
//!
//! # What is promised
//! - Each operation is made of single statements; there is no transaction that others would wait for. `add`, `incr` and `touch`
//!   compare what they found with what they replace. Several values are stored and removed in one statement, too.
//! - A read is one statement, also of many keys (up to 1000). The tags that keys had last are asked for along; for entries with others
//!   it is one more.
//! - `clear` makes everything in the namespace invalid at once, then removes its rows, 1000 at a time. Other rows stay.
//! - Culling is done behind the requests, each time a tenth of `max_entries` was written: first what expired, then the oldest.
//!
//! # With the application's transactions
//! [`SqlCache::from_pool`] uses the application's own connections, and [`SqlCache::in_transaction`] takes part in a transaction of its own (PostgreSQL,
//! MySQL and MariaDB): tags are invalidated by the very commit that changes what they stand for, with no moment between the two, and values can be
//! set along.
//!
//! Where the cache is elsewhere, the application's data can still invalidate it: see [`changes`].
//!
//! # Databases
//! | feature | opened by | driver |
//! |---|---|---|
//! | `sqlite` | `sqlite:///absolute/file.db` | `rusqlite` 0.39, SQLite built along; WAL, `synchronous=NORMAL` |
//! | `postgres` | `postgres://user:password@host/database` | `sqlx` 0.9; an `UNLOGGED` table unless `unlogged=false` |
//! | `mysql` | `mysql://user:password@host/database`, `mariadb://…` | `sqlx` 0.9; InnoDB; tested with MariaDB |
//!
//! With `postgres-tls` and `mysql-tls` (rustls, ring) the URLs take `sslmode`: `disable`, `prefer` (which it is), `require`, `verify-ca`, `verify-full`; and
//! `sslrootcert` for a file of other authorities than the public ones, `sslcert` and `sslkey`. MySQL 8's usual passwords need TLS or a `socket`.
//!
//! A program can hold one `libsqlite3-sys` only; ours is 0.37. `sqlx` 0.9 with its `sqlite` feature fits beside it, `rusqlite` 0.40
//! and newer do not.
#![cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]

#[cfg(any(feature = "postgres", feature = "mysql"))]
mod answers;
mod backend;
mod behind;
mod builder;
pub mod changes;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod codes;
mod cull;
mod engine;
mod many;
#[cfg(feature = "mysql")]
mod mysql;
mod name;
mod outbox;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod pooled;
#[cfg(feature = "postgres")]
mod postgres;
mod raw;
mod read;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statements;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod transaction;
mod url;
mod valid;

use std::fmt;
#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::sync::Arc;

use larder_core::{Error, Recall, Remembered};

#[cfg(any(feature = "postgres", feature = "mysql"))]
pub use builder::AppPool;
pub use builder::SqlCacheBuilder;
/// The driver of PostgreSQL and MySQL, for its pools and transactions.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub use sqlx;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub use transaction::{AppTransaction, InTransaction, SetInTransaction};
pub use url::open;

use engine::Engine;
use raw::Raw;
use valid::Question;

/// The SQL backend. Clones share their connections.
#[derive(Clone)]
pub struct SqlCache {
    raw: Raw,
    remembered: Arc<Remembered>,
    recall: Arc<Recall<Question>>,
}

impl SqlCache {
    /// Settings of a cache in an SQLite file, which needs not exist; its directory has to.
    #[cfg(feature = "sqlite")]
    pub fn sqlite(path: impl Into<PathBuf>) -> SqlCacheBuilder {
        SqlCacheBuilder::new(builder::Place::Sqlite(path.into()))
    }

    /// Settings of a cache in a PostgreSQL database: `postgres://user:password@host:5432/database`.
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config) if the URL can't be right.
    #[cfg(feature = "postgres")]
    pub fn postgres(url: &str) -> Result<SqlCacheBuilder, Error> {
        Ok(SqlCacheBuilder::new(builder::Place::Postgres(Box::new(postgres::options(url)?))))
    }

    /// Settings of a cache in a MySQL or MariaDB database: `mysql://user:password@host:3306/database`.
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config) if the URL can't be right.
    #[cfg(feature = "mysql")]
    pub fn mysql(url: &str) -> Result<SqlCacheBuilder, Error> {
        Ok(SqlCacheBuilder::new(builder::Place::MySql(Box::new(mysql::options(url)?))))
    }

    /// Settings of a cache that uses an application's own pool: an `sqlx::PgPool` or `sqlx::MySqlPool` of the [`sqlx`] that is re-exported here. It is never
    /// closed by the cache. A connection on which somebody stopped waiting for an answer is taken out of it and closed.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub fn from_pool(pool: impl Into<AppPool>) -> SqlCacheBuilder {
        SqlCacheBuilder::new(pool.into().0)
    }

    /// Makes the table, if it is not there: once, as a user who may. Django: `createcachetable`.
    ///
    /// # Errors
    /// [`Unavailable`](larder_core::ErrorKind::Unavailable) if the database can't be reached, [`Backend`](larder_core::ErrorKind::Backend) if this user
    /// may not create it.
    ///
    /// # Cancel safety
    /// The table is there or it is not; the call may be repeated.
    pub async fn create_table(&self) -> Result<(), Error> {
        self.raw.create_table().await
    }
}

impl fmt::Debug for SqlCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SqlCache");
        match &*self.raw.engine {
            #[cfg(feature = "sqlite")]
            Engine::Sqlite(engine) => shown.field("sqlite", &engine.path()),
            // What a server's address holds is a password, too.
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => shown.field("database", &"postgres"),
            #[cfg(feature = "mysql")]
            Engine::MySql(_) => shown.field("database", &"mysql"),
        };
        shown.field("max_entries", &self.raw.culling.max_entries).finish_non_exhaustive()
    }
}

/// What a sweep of a namespace is about: the first name, the one behind the last, the two records that stay, and the range of its outbox,
/// which stays too.
fn sweep_range(prefix: &str) -> [String; 6] {
    // `;` comes right behind `:`.
    let [outbox, behind] = outbox::range(prefix);
    [
        format!("{prefix}:"),
        format!("{prefix};"),
        format!("{prefix}:space:"),
        format!("{prefix}:fence:"),
        outbox,
        behind,
    ]
}
