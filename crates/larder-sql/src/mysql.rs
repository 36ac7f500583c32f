//! MySQL and MariaDB.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use larder_core::{Error, ErrorKind};
use sqlx::mysql::{
    MySqlArguments, MySqlConnectOptions, MySqlConnection as Connection, MySqlDatabaseError, MySqlPool,
    MySqlQueryResult, MySqlRow as DriverRow,
};
use sqlx::pool::PoolOptions;
use sqlx::query::Query;
use sqlx::{Connection as _, Error as Driver, Executor as _, MySql as Db, Row as _};

use crate::answers::answers;
use crate::codes::Codes;
use crate::engine::{Answer, Ask, Failure, Listed, Row};
use crate::outbox;
use crate::pooled::{Connections, caught};
use crate::statements::{self, Statements, fill_up, list};

pub(crate) const CODES: Codes = Codes {
    database: "MySQL",
    // The SQL states are too general: a lock that was waited for has the same as most.
    code: |error| {
        Some(error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?.number().to_string())
    },
    no_table: &["1146"],
    // Deadlock, a lock that was waited for too long, and a row that changed since a stricter isolation looked at it.
    conflict: &["1213", "1205", "1020"],
    denied: &["1044", "1045", "1142", "1143", "1227"],
    read_only: &["1290", "1792", "1836"],
    // Too many connections, shutting down, killed.
    away: &["1040", "1203", "1226", "1053", "1927", "3169"],
    // Larger than a packet, and than a tenth of the redo log.
    too_large: &["1153", "1118"],
    full: &["1021", "1114"],
};
/// What else stands in a packet with a value: names and numbers of a row, and the statement.
const AROUND: u64 = 2048;
/// How many bytes one statement stores that stores several rows: the smallest packet that was ever usual is twice that.
pub(crate) const TOGETHER: usize = 512 << 10;

#[derive(Debug)]
pub(crate) struct Server {
    connections: Connections<Db>,
    statements: Statements,
    create: String,
    /// `max_allowed_packet`; 0 until it is known.
    largest: AtomicU64,
}

impl Server {
    pub(crate) fn new(options: MySqlConnectOptions, most: u32, table: &str) -> Self {
        let pool = PoolOptions::new().after_connect(|connection: &mut Connection, _| {
            Box::pin(async move {
                // The default is 50 s, which nobody waits for.
                connection.execute("SET SESSION innodb_lock_wait_timeout = 2").await.map(|_| ())
            })
        });
        Self::over(Connections::own(&CODES, options, pool, most), table)
    }

    pub(crate) fn with_pool(pool: MySqlPool, table: &str) -> Self {
        Self::over(Connections::given(&CODES, pool), table)
    }

    fn over(connections: Connections<Db>, table: &str) -> Self {
        let statements = Statements::new::<Dialect>(table);
        Self { connections, create: create(&statements), statements, largest: AtomicU64::new(0) }
    }

    pub(crate) async fn ask(&self, ask: &Ask) -> Result<Answer, Failure> {
        let mut lent = self.connections.lend().await?;
        let answered = match lent.connection() {
            Ok(connection) => caught(self.answer(connection, ask)).await,
            Err(error) => Err(error),
        };
        if answered.is_err() {
            // Another server may take other packets.
            self.largest.store(0, Relaxed);
        }
        lent.done(answered, Some(ask))?
    }

    /// On the connection of somebody's transaction.
    pub(crate) async fn ask_on(&self, connection: &mut Connection, ask: &Ask) -> Result<Answer, Failure> {
        self.answer(connection, ask).await.map_err(|error| CODES.failure(error, None))?
    }

    async fn answer(
        &self,
        connection: &mut Connection,
        ask: &Ask,
    ) -> Result<Result<Answer, Failure>, Driver> {
        let size = match ask {
            Ask::Insert(row) | Ask::Upsert(row) => row.value.len(),
            Ask::Swap(row, old) => row.value.len() + old.len(),
            Ask::DeleteIf(_, old) => old.len(),
            Ask::UpsertMany(rows) => rows.iter().map(|row| row.value.len()).sum(),
            _ => 0,
        } as u64;
        if size > 0
            && let Err(failure) = self.check(connection, size).await?
        {
            return Ok(Err(failure));
        }
        answer(connection, &self.statements, ask).await.map(Ok)
    }

    /// The server does not answer to what is too large, but hangs up.
    async fn check(&self, connection: &mut Connection, size: u64) -> Result<Result<(), Failure>, Driver> {
        let mut largest = self.largest.load(Relaxed);
        if largest == 0 {
            largest = sqlx::query_scalar("SELECT CAST(@@max_allowed_packet AS UNSIGNED)")
                .fetch_one(connection)
                .await?;
            self.largest.store(largest, Relaxed);
        }
        if size + AROUND <= largest {
            return Ok(Ok(()));
        }
        Ok(Err(Failure::Other(Error::new(
            ErrorKind::TooLarge,
            format!("the entry has {size} bytes; the server's max_allowed_packet of {largest} takes less"),
        ))))
    }

    pub(crate) async fn create(&self) -> Result<(), Failure> {
        let mut lent = self.connections.lend().await?;
        let created = match lent.connection() {
            Ok(connection) => {
                caught(sqlx::raw_sql(sqlx::AssertSqlSafe(self.create.clone())).execute(connection)).await
            }
            Err(error) => Err(error),
        };
        lent.done(created.map(|_| ()), None)
    }

    pub(crate) async fn close(&self) {
        self.connections.close().await;
    }
}

answers!();

#[derive(Debug)]
struct Dialect;

impl statements::Dialect for Dialect {
    fn parameter(_: usize) -> String {
        "?".to_owned()
    }

    fn quoted(name: &str) -> String {
        format!("`{name}`")
    }

    fn one_of(count: usize) -> String {
        list(count.next_power_of_two(), Self::parameter)
    }

    /// Not `ON DUPLICATE KEY UPDATE`: the driver asks for the rows that were found, and so a row that stayed as it was would count as stored.
    fn or_nothing(insert: &str) -> String {
        insert.replacen("INSERT", "INSERT IGNORE", 1)
    }

    /// `VALUES()`, since MariaDB does not know MySQL's newer word for it.
    fn or_replace(insert: &str) -> String {
        format!(
            "{insert} ON DUPLICATE KEY UPDATE value = VALUES(value), expires = VALUES(expires), written = VALUES(written)"
        )
    }

    fn delete_some(table: &str, which: &str) -> String {
        format!("DELETE FROM {table} WHERE {which}")
    }
}

/// Names are bytes: they have no collation, and trailing spaces count.
fn create(statements: &Statements) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (name VARBINARY(512) NOT NULL PRIMARY KEY, value LONGBLOB NOT NULL, \
         expires BIGINT NULL, written BIGINT NULL, whole LONGBLOB NULL, KEY expires (expires), KEY written (written)) \
         ENGINE=InnoDB ROW_FORMAT=DYNAMIC",
        statements.table()
    )
}

/// The connection that a URL without options of ours tells of.
pub(crate) fn options(url: &str) -> Result<MySqlConnectOptions, Error> {
    url.parse().map_err(|error: Driver| {
        Error::config("this is no MySQL URL; write mysql://user:password@host:3306/database")
            .with_source(error)
    })
}

fn key(name: &str) -> &[u8] {
    name.as_bytes()
}

fn bind_names<'q>(
    mut query: Query<'q, Db, MySqlArguments>,
    names: &[String],
) -> Query<'q, Db, MySqlArguments> {
    for name in fill_up(names) {
        query = query.bind(key(name));
    }
    query
}

fn read_with_outbox(statements: &Statements, count: usize) -> Arc<str> {
    statements.read_with::<Dialect>(count, count, outbox::MOST + 1)
}

async fn insert_many(
    connection: &mut Connection,
    statements: &Statements,
    rows: &[Row],
) -> Result<MySqlQueryResult, Driver> {
    let mut insert = format!(
        "INSERT INTO {} (name, value, expires, written, whole) VALUES (?, ?, ?, ?, ?)",
        statements.table()
    );
    for _ in 1..rows.len() {
        insert += ", (?, ?, ?, ?, ?)";
    }
    let insert = <Dialect as statements::Dialect>::or_replace(&insert);
    // Any number of rows may come: not one of these is worth being kept.
    let mut query = sqlx::query(sqlx::AssertSqlSafe(insert)).persistent(false);
    for row in rows {
        let whole = row.whole.as_deref().map(str::as_bytes);
        query =
            query.bind(key(&row.name)).bind(&row.value[..]).bind(row.expires).bind(row.written).bind(whole);
    }
    query.execute(connection).await
}

/// In a transaction, since of the two only MariaDB can return what it deletes.
async fn take(
    connection: &mut Connection,
    statements: &Statements,
    names: &[String],
) -> Result<Vec<(String, Bytes)>, Driver> {
    let mut transaction = connection.begin().await?;
    let taken = rows(&mut transaction, statements.lock::<Dialect>(names.len()), names).await?;
    if !taken.is_empty() {
        let text = statements.delete_many::<Dialect>(names.len());
        bind_names(sqlx::query(sqlx::AssertSqlSafe(text)), names).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(taken)
}

fn name_of(row: &DriverRow, column: usize) -> Result<String, Driver> {
    let name: Vec<u8> = row.try_get(column)?;
    Ok(String::from_utf8_lossy(&name).into_owned())
}

fn whole_of(row: &DriverRow, column: usize) -> Result<Option<String>, Driver> {
    let whole: Option<Vec<u8>> = row.try_get(column)?;
    Ok(whole.map(|whole| String::from_utf8_lossy(&whole).into_owned()))
}
