//! PostgreSQL.

use larder_core::Error;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{Error as Driver, Postgres as Db};

use crate::engine::{Answer, Ask, Failure};
use crate::pooled::{Codes, Connections, answer};
use crate::statements::{Dialect, Statements};

const CODES: Codes = Codes {
    database: "PostgreSQL",
    no_table: &["42P01"],
    // Deadlock, and what a stricter isolation than the usual one gives.
    conflict: &["40P01", "40001"],
    denied: &["42501", "25006"],
    too_large: &["54000"],
};
/// Two who made the table at once: it is there.
const THERE: [&str; 3] = ["23505", "42P07", "42710"];

#[derive(Debug)]
pub(crate) struct Postgres {
    connections: Connections<Db>,
    statements: Statements,
}

impl Postgres {
    pub(crate) fn new(options: PgConnectOptions, most: u32, table: &str, unlogged: bool) -> Self {
        let statements = Statements::new(Dialect::Postgres { unlogged }, table);
        Self { connections: Connections::new(options, most), statements }
    }

    pub(crate) async fn ask(&self, ask: &Ask) -> Result<Answer, Failure> {
        let pool = self.connections.pool()?;
        self.answer(&pool, ask).await.map_err(|error| failure(error, Some(ask)))
    }

    async fn answer(&self, pool: &PgPool, ask: &Ask) -> Result<Answer, Driver> {
        answer!(pool, &self.statements, ask, String::as_str, async |pool, names: &Vec<String>| {
            let text = sqlx::AssertSqlSafe(self.statements.read(1));
            let rows: Vec<(String, Vec<u8>)> = sqlx::query_as(text).bind(names).fetch_all(pool).await?;
            Ok(Answer::Rows(rows.into_iter().map(|(name, value)| (name, value.into())).collect()))
        })
    }

    pub(crate) async fn create(&self) -> Result<(), Failure> {
        let pool = self.connections.pool()?;
        for statement in &self.statements.create {
            match sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone())).execute(&pool).await {
                Ok(_) => {}
                Err(error) if code(&error).is_some_and(|code| THERE.contains(&code.as_str())) => {}
                Err(error) => return Err(failure(error, None)),
            }
        }
        Ok(())
    }

    pub(crate) async fn close(&self) {
        self.connections.close().await;
    }
}

/// The connection that a URL without options of ours tells of.
pub(crate) fn options(url: &str) -> Result<PgConnectOptions, Error> {
    url.parse().map_err(|error: Driver| {
        Error::config("this is no PostgreSQL URL; write postgres://user:password@host:5432/database")
            .with_source(error)
    })
}

fn code(error: &Driver) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

fn failure(error: Driver, ask: Option<&Ask>) -> Failure {
    let code = code(&error);
    CODES.failure(error, code.as_deref(), ask)
}
