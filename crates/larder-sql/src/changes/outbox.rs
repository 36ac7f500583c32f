//! The outbox: a table in the application's database.

use std::fmt;
#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::sync::Arc;

use larder_core::{Error, Tag};

use super::pending::Pending;
use super::{Dialect, texts};
use crate::name::check_table;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use crate::transaction::AppTransaction;

const DEFAULT_TABLE: &str = "larder_outbox";

/// A table in the application's database of tags that are to be invalidated. A row is written by the transaction that makes its tag out of date, so it
/// is there if that was committed, and only then. Clones are the same.
///
/// ```no_run
/// use larder_core::Cache;
/// use larder_sql::changes::{Outbox, Relay};
/// use larder_sql::sqlx;
///
/// # async fn rename(cache: Cache, title: &str) -> Result<(), Box<dyn std::error::Error>> {
/// let pool = sqlx::PgPool::connect_lazy("postgres://shop@localhost/shop")?;
/// let outbox = Outbox::postgres(&pool);
/// outbox.create_table().await?; // or its text, `outbox.create_sql()`, in a migration
/// let relay = Relay::new(&outbox, &cache);
/// tokio::spawn(relay.clone().run());
///
/// let mut transaction = pool.begin().await?;
/// sqlx::query("UPDATE course SET title = $1 WHERE id = 7").bind(title).execute(&mut *transaction).await?;
/// let pending = outbox.invalidate(&mut transaction, ["course:7", "course_list"]).await?;
/// transaction.commit().await?;
/// // At once. Where that fails, or never happens, whichever process has a relay running does it.
/// relay.deliver(pending).await?;
/// # Ok(()) }
/// ```
///
/// # The table
/// | column | what |
/// |---|---|
/// | `id` | the primary key, counted by the database |
/// | `tag` | one tag |
/// | `batch` | which transaction wrote it, null for rows of triggers and by hand |
/// | `at` | when it was written |
///
/// Any program that may write to it can invalidate: `INSERT INTO larder_outbox (tag) VALUES ('course:7')`.
#[derive(Clone)]
pub struct Outbox {
    pub(super) inner: Arc<Inner>,
}

#[derive(Clone)]
pub(super) struct Inner {
    pub(super) place: Place,
    pub(super) table: String,
    pub(super) broadcast: bool,
}

/// Where the table is.
#[derive(Clone)]
pub(super) enum Place {
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
    #[cfg(feature = "mysql")]
    MySql(sqlx::MySqlPool),
    #[cfg(feature = "sqlite")]
    Sqlite(super::lite::Lite),
}

impl Outbox {
    /// In the PostgreSQL database of the application's pool.
    #[cfg(feature = "postgres")]
    pub fn postgres(pool: &sqlx::PgPool) -> Self {
        Self::new(Place::Postgres(pool.clone()))
    }

    /// In the MySQL or MariaDB database of the application's pool. Needs `SKIP LOCKED`: MySQL 8.0, MariaDB 10.6.
    #[cfg(feature = "mysql")]
    pub fn mysql(pool: &sqlx::MySqlPool) -> Self {
        Self::new(Place::MySql(pool.clone()))
    }

    /// In the application's SQLite file, which has to be there. Its journal mode stays what it is.
    #[cfg(feature = "sqlite")]
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self::new(Place::Sqlite(super::lite::Lite::new(path.into())))
    }

    fn new(place: Place) -> Self {
        Self { inner: Arc::new(Inner { place, table: DEFAULT_TABLE.to_owned(), broadcast: true }) }
    }

    /// What the table is called, and the channel on which PostgreSQL tells of it; `larder_outbox` unless said otherwise. Applications that share a
    /// database have one each.
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config) if a table can't be called so.
    pub fn table(mut self, table: impl Into<String>) -> Result<Self, Error> {
        let table = table.into();
        check_table(&table)?;
        Arc::make_mut(&mut self.inner).table = table;
        Ok(self)
    }

    /// Whether PostgreSQL tells of each tag by `NOTIFY`, as it does unless said otherwise: relays then need not wait for their next look, and
    /// [`Listener`](super::Listener)s hear of it at all. Transactions with a `NOTIFY` commit one after another; where a database takes thousands of writes
    /// a second, leave it to the relays' looks. Nothing to the others.
    #[must_use]
    pub fn broadcast(mut self, broadcast: bool) -> Self {
        Arc::make_mut(&mut self.inner).broadcast = broadcast;
        self
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self.inner.place {
            #[cfg(feature = "postgres")]
            Place::Postgres(_) => Dialect::Postgres,
            #[cfg(feature = "mysql")]
            Place::MySql(_) => Dialect::MySql,
            #[cfg(feature = "sqlite")]
            Place::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// The statement that makes the table, if it is not there, for a migration.
    pub fn create_sql(&self) -> String {
        texts::create(self.dialect(), &self.inner.table)
    }

    /// Makes the table, if it is not there.
    ///
    /// # Errors
    /// [`Unavailable`](larder_core::ErrorKind::Unavailable) if the database can't be reached, [`Backend`](larder_core::ErrorKind::Backend) if this user
    /// may not create it.
    ///
    /// # Cancel safety
    /// The table is there or it is not; the call may be repeated.
    pub async fn create_table(&self) -> Result<(), Error> {
        self.run_all(vec![self.create_sql()]).await
    }

    /// Writes tags into the caller's transaction: they are invalidated if it is committed. Give what this returns to
    /// [`Relay::deliver`](super::Relay::deliver) after the commit, or drop it and leave it to the next look of a relay.
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config) if the transaction is of another kind of database;
    /// [`Backend`](larder_core::ErrorKind::Backend) and [`Unavailable`](larder_core::ErrorKind::Unavailable) as the database says. Roll the transaction back
    /// then: what it changes would be served from the cache as it was.
    ///
    /// # Cancel safety
    /// As with every statement of sqlx's: dropping it leaves the transaction good for a rollback only.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub async fn invalidate<G: Into<Tag>>(
        &self,
        transaction: &mut impl AppTransaction,
        tags: impl IntoIterator<Item = G>,
    ) -> Result<Pending, Error> {
        let pending = self.pending(tags)?;
        for statement in pending.statements() {
            super::served::execute_on(self, transaction.on(), &statement).await?;
        }
        Ok(pending)
    }

    /// The same for any driver: run the [statements](Pending::statements) of what this returns within your transaction.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use larder_sql::changes::Outbox;
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("shop.db");
    /// # let mut shop = rusqlite::Connection::open(&path)?;
    /// let outbox = Outbox::sqlite(&path);
    /// # shop.execute_batch(&outbox.create_sql())?;
    ///
    /// let transaction = shop.transaction()?;
    /// // … what changes the course …
    /// let pending = outbox.pending(["course:7", "course_list"])?;
    /// for statement in pending.statements() {
    ///     transaction.execute(statement.sql(), rusqlite::params_from_iter(statement.parameters()))?;
    /// }
    /// transaction.commit()?;
    /// // relay.deliver(pending).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config) for a tag with a NUL, which no database takes.
    pub fn pending<G: Into<Tag>>(&self, tags: impl IntoIterator<Item = G>) -> Result<Pending, Error> {
        Pending::new(self.clone(), tags.into_iter().map(Into::into).collect())
    }

    /// Statements without parameters, outside of any transaction of the application's.
    pub(super) async fn run_all(&self, statements: Vec<String>) -> Result<(), Error> {
        super::round(async {
            match &self.inner.place {
                #[cfg(feature = "postgres")]
                Place::Postgres(pool) => {
                    super::served::postgres::run_all(pool, &self.inner.table, &statements).await
                }
                #[cfg(feature = "mysql")]
                Place::MySql(pool) => {
                    super::served::mysql::run_all(pool, &self.inner.table, &statements).await
                }
                #[cfg(feature = "sqlite")]
                Place::Sqlite(lite) => lite.run_all(statements).await,
            }
        })
        .await
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A pool's options hold a password.
        f.debug_struct("Outbox")
            .field("database", &self.dialect())
            .field("table", &self.inner.table)
            .field("broadcast", &self.inner.broadcast)
            .finish()
    }
}
