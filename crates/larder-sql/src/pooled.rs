//! What servers behind sqlx have in common: a pool that comes with the first use, and what the driver's errors mean.

use std::time::Duration;

use larder_core::{Error, ErrorKind};
use parking_lot::Mutex;
use sqlx::pool::PoolOptions;
use sqlx::{ConnectOptions, Connection, Database, Error as Driver, Pool};
use tokio::runtime::Handle;

use crate::engine::{Ask, Failure};

/// How long a request waits for a connection; mostly its cache's deadline comes first.
const PATIENCE: Duration = Duration::from_secs(2);

/// Connections that are made when they are needed.
#[derive(Debug)]
pub(crate) struct Connections<D: Database> {
    options: <D::Connection as Connection>::Options,
    most: u32,
    pool: Mutex<Option<Pool<D>>>,
}

impl<D: Database> Connections<D> {
    pub(crate) fn new(options: <D::Connection as Connection>::Options, most: u32) -> Self {
        // Else each statement of each request would be logged.
        Self { options: options.disable_statement_logging(), most, pool: Mutex::new(None) }
    }

    pub(crate) fn pool(&self) -> Result<Pool<D>, Failure> {
        if Handle::try_current().is_err() {
            let error = "a cache in a database server needs a Tokio runtime; use it from within one";
            return Err(Failure::Other(Error::new(ErrorKind::Unsupported, error)));
        }
        let mut pool = self.pool.lock();
        let make = || {
            PoolOptions::new()
                .max_connections(self.most)
                .acquire_timeout(PATIENCE)
                // It would double the way of each request. A connection that broke costs a read one more try.
                .test_before_acquire(false)
                .connect_lazy_with(self.options.clone())
        };
        Ok(pool.get_or_insert_with(make).clone())
    }

    /// Closes; the next use makes a new pool.
    pub(crate) async fn close(&self) {
        let pool = self.pool.lock().take();
        if let Some(pool) = pool {
            pool.close().await;
        }
    }
}

/// What a database says of its own errors.
pub(crate) struct Codes {
    pub(crate) database: &'static str,
    pub(crate) no_table: &'static [&'static str],
    pub(crate) conflict: &'static [&'static str],
    pub(crate) denied: &'static [&'static str],
    pub(crate) too_large: &'static [&'static str],
}

impl Codes {
    /// What an error means to `ask`, or to making the table.
    pub(crate) fn failure(&self, error: Driver, code: Option<&str>, ask: Option<&Ask>) -> Failure {
        let database = self.database;
        let is = |codes: &[&str]| code.is_some_and(|code| codes.contains(&code));
        let reads = matches!(ask, Some(Ask::Read(_) | Ask::Count));
        let (kind, text) = match &error {
            Driver::PoolTimedOut => {
                (ErrorKind::Unavailable, format!("no connection to {database} came about in time"))
            }
            Driver::Io(_)
            | Driver::Tls(_)
            | Driver::Protocol(_)
            | Driver::PoolClosed
            | Driver::WorkerCrashed => {
                (ErrorKind::Unavailable, format!("the connection to {database} broke"))
            }
            _ if is(self.denied) => (ErrorKind::Backend, format!("this user of {database} may not do that")),
            _ if is(self.no_table) => (ErrorKind::Backend, format!("{database} has no such cache table")),
            _ if is(self.too_large) => {
                (ErrorKind::TooLarge, format!("the entry is larger than {database} takes"))
            }
            _ => (ErrorKind::Backend, format!("{database} refused a statement of the cache")),
        };
        let broke = matches!(error, Driver::Io(_));
        // The driver's text can hold keys: it stays in the source.
        let error = Error::new(kind, text).with_source(error);
        match () {
            () if is(self.no_table) => Failure::NoTable(error),
            // A connection that the server closed while it was idle; a write may have happened, a read may be repeated.
            () if is(self.conflict) || (broke && reads) => Failure::Conflict(error),
            () => Failure::Other(error),
        }
    }
}

/// Runs one statement; `$key` makes a name what the column takes, `$read` answers [`Ask::Read`].
macro_rules! answer {
    ($pool:expr, $statements:expr, $ask:expr, $key:expr, $read:expr) => {{
        let (pool, statements, key) = ($pool, $statements, $key);
        let sql = |text: &String| sqlx::AssertSqlSafe(text.clone());
        let done = match $ask {
            Ask::Read(names) => return $read(pool, names).await,
            Ask::Count => {
                let count: i64 = sqlx::query_scalar(sql(&statements.count)).fetch_one(pool).await?;
                return Ok(Answer::Number(u64::try_from(count).unwrap_or(0)));
            }
            Ask::Insert(row) | Ask::Upsert(row) => {
                let text =
                    if matches!($ask, Ask::Insert(_)) { &statements.insert } else { &statements.upsert };
                sqlx::query(sql(text))
                    .bind(key(&row.name))
                    .bind(&row.value[..])
                    .bind(row.expires)
                    .bind(row.stored)
                    .execute(pool)
                    .await?
            }
            Ask::Swap(row, old) => {
                sqlx::query(sql(&statements.swap))
                    .bind(&row.value[..])
                    .bind(row.expires)
                    .bind(row.stored)
                    .bind(key(&row.name))
                    .bind(&old[..])
                    .execute(pool)
                    .await?
            }
            Ask::Delete(name) => sqlx::query(sql(&statements.delete)).bind(key(name)).execute(pool).await?,
            Ask::DeleteIf(name, old) => {
                sqlx::query(sql(&statements.delete_if)).bind(key(name)).bind(&old[..]).execute(pool).await?
            }
            Ask::Sweep(prefix) => {
                let range = crate::sweep_range(prefix);
                let mut query = sqlx::query(sql(&statements.sweep));
                for name in &range {
                    query = query.bind(key(name));
                }
                query.execute(pool).await?
            }
            Ask::Expired(now) => sqlx::query(sql(&statements.expired)).bind(now).execute(pool).await?,
            Ask::Oldest(most) => sqlx::query(sql(&statements.oldest)).bind(most).execute(pool).await?,
        };
        Ok(Answer::Number(done.rows_affected()))
    }};
}
pub(crate) use answer;
