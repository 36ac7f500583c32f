//! PostgreSQL.

use std::sync::Arc;

use bytes::Bytes;
use larder_core::Error;
use sqlx::pool::PoolOptions;
use sqlx::postgres::{
    PgArguments, PgConnectOptions, PgConnection as Connection, PgPool, PgQueryResult, PgRow as DriverRow,
};
use sqlx::query::Query;
use sqlx::{Connection as _, Error as Driver, Postgres as Db, Row as _};

use crate::answers::answers;
use crate::codes::Codes;
use crate::engine::{Answer, Ask, Failure, Listed, Row};
use crate::outbox;
use crate::pooled::{Connections, caught};
use crate::statements::{self, Statements, usual};

pub(crate) const CODES: Codes = Codes {
    database: "PostgreSQL",
    code: |error| Some(error.as_database_error()?.code()?.into_owned()),
    no_table: &["42P01"],
    // Deadlock, what a stricter isolation than the usual one gives, and a lock that was waited for too long.
    conflict: &["40P01", "40001", "55P03"],
    denied: &["42501", "28000", "28P01"],
    read_only: &["25006"],
    away: &["57P01", "57P02", "57P03", "53300", "08003", "08006"],
    too_large: &["54000"],
    full: &["53100"],
};
/// Two who made the table at once: it is there.
const THERE: [&str; 3] = ["23505", "42P07", "42710"];

#[derive(Debug)]
pub(crate) struct Server {
    connections: Connections<Db>,
    statements: Statements,
    create: String,
}

impl Server {
    pub(crate) fn new(options: PgConnectOptions, most: u32, table: &str, unlogged: bool) -> Self {
        Self::over(Connections::own(&CODES, options, PoolOptions::new(), most), table, unlogged)
    }

    pub(crate) fn with_pool(pool: PgPool, table: &str, unlogged: bool) -> Self {
        Self::over(Connections::given(&CODES, pool), table, unlogged)
    }

    fn over(connections: Connections<Db>, table: &str, unlogged: bool) -> Self {
        let statements = Statements::new::<Dialect>(table);
        Self { connections, statements, create: create(table, unlogged) }
    }

    pub(crate) async fn ask(&self, ask: &Ask) -> Result<Answer, Failure> {
        let mut lent = self.connections.lend().await?;
        let answered = match lent.connection() {
            Ok(connection) => caught(answer(connection, &self.statements, ask)).await,
            Err(error) => Err(error),
        };
        lent.done(answered, Some(ask))
    }

    /// On the connection of somebody's transaction.
    pub(crate) async fn ask_on(&self, connection: &mut Connection, ask: &Ask) -> Result<Answer, Failure> {
        let answered = answer(connection, &self.statements, ask).await;
        answered.map_err(|error| CODES.failure(error, None))
    }

    pub(crate) async fn create(&self) -> Result<(), Failure> {
        let mut lent = self.connections.lend().await?;
        let created = match lent.connection() {
            Ok(connection) => {
                caught(sqlx::raw_sql(sqlx::AssertSqlSafe(self.create.clone())).execute(connection)).await
            }
            Err(error) => Err(error),
        };
        let created = match created {
            Err(error) if (CODES.code)(&error).is_some_and(|code| THERE.contains(&code.as_str())) => Ok(()),
            created => created.map(|_| ()),
        };
        lent.done(created, None)
    }

    pub(crate) async fn close(&self) {
        self.connections.close().await;
    }
}

answers!();

#[derive(Debug)]
struct Dialect;

impl statements::Dialect for Dialect {
    fn parameter(i: usize) -> String {
        format!("${i}")
    }

    fn quoted(name: &str) -> String {
        usual::quoted(name)
    }

    fn one_of(_: usize) -> String {
        // One array of any length.
        "= ANY($1)".to_owned()
    }

    fn or_nothing(insert: &str) -> String {
        usual::or_nothing(insert)
    }

    fn or_replace(insert: &str) -> String {
        usual::or_replace(insert)
    }

    fn delete_some(table: &str, which: &str) -> String {
        // Locked, so that what is written anew meanwhile is not taken for what it was; and nobody waits for anybody.
        format!(
            "DELETE FROM {table} WHERE name IN (SELECT name FROM {table} WHERE {which} FOR UPDATE SKIP LOCKED)"
        )
    }
}

/// One statement, so that there is no table without its indexes. EXTERNAL: values are not compressed, which would take longer than
/// reading them.
fn create(table: &str, unlogged: bool) -> String {
    let quoted = usual::quoted(table);
    format!(
        "DO $larder$ BEGIN IF to_regclass('{quoted}') IS NULL THEN \
         CREATE {} TABLE {quoted} (name text COLLATE \"C\" PRIMARY KEY, value bytea NOT NULL, expires bigint, written bigint, whole bytea); \
         ALTER TABLE {quoted} ALTER COLUMN value SET STORAGE EXTERNAL; \
         {}; {}; END IF; END $larder$",
        if unlogged { "UNLOGGED" } else { "" },
        usual::index(table, "expires"),
        usual::index(table, "written"),
    )
}

/// The connection that a URL without options of ours tells of.
pub(crate) fn options(url: &str) -> Result<PgConnectOptions, Error> {
    url.parse().map_err(|error: Driver| {
        Error::config("this is no PostgreSQL URL; write postgres://user:password@host:5432/database")
            .with_source(error)
    })
}

fn key(name: &str) -> &str {
    name
}

fn bind_names<'q>(query: Query<'q, Db, PgArguments>, names: &[String]) -> Query<'q, Db, PgArguments> {
    query.bind(names)
}

fn read_with_outbox(statements: &Statements, count: usize) -> Arc<str> {
    statements.read_with::<Dialect>(count, 1, outbox::MOST + 1)
}

async fn insert_many(
    connection: &mut Connection,
    statements: &Statements,
    rows: &[Row],
) -> Result<PgQueryResult, Driver> {
    let insert = format!(
        "INSERT INTO {} (name, value, expires, written, whole) \
         SELECT * FROM UNNEST($1::text[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bytea[])",
        statements.table()
    );
    let insert = usual::or_replace(&insert);
    sqlx::query(sqlx::AssertSqlSafe(insert))
        .bind(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| &row.value[..]).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.expires).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.written).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.whole.as_deref().map(str::as_bytes)).collect::<Vec<_>>())
        .execute(connection)
        .await
}

async fn take(
    connection: &mut Connection,
    statements: &Statements,
    names: &[String],
) -> Result<Vec<(String, Bytes)>, Driver> {
    let text = statements.delete_many::<Dialect>(names.len()) + " RETURNING name, value";
    rows(connection, text.into(), names).await
}

fn name_of(row: &DriverRow, column: usize) -> Result<String, Driver> {
    row.try_get(column)
}

fn whole_of(row: &DriverRow, column: usize) -> Result<Option<String>, Driver> {
    let whole: Option<Vec<u8>> = row.try_get(column)?;
    Ok(whole.map(|whole| String::from_utf8_lossy(&whole).into_owned()))
}
