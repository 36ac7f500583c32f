//! The outbox in a server behind sqlx.

use larder_core::{Error, ErrorKind};

use super::outbox::Outbox;
use super::pending::Statement;
use crate::codes::Codes;
use crate::engine::Failure;
use crate::transaction::On;

/// What the driver's error means to the outbox.
fn error(codes: &'static Codes, table: &str, error: sqlx::Error) -> Error {
    match codes.failure(error, None) {
        Failure::NoTable(error) => Error::new(
            ErrorKind::Backend,
            format!("a table is not there; is the outbox {table} made, with Outbox::create_table or by a migration?"),
        )
        .with_source(error),
        failure => failure.into(),
    }
}

/// Within somebody's transaction.
pub(super) async fn execute_on(outbox: &Outbox, on: On<'_>, statement: &Statement) -> Result<(), Error> {
    use super::Dialect;

    match (outbox.dialect(), on) {
        #[cfg(feature = "postgres")]
        (Dialect::Postgres, On::Postgres(connection)) => {
            postgres::execute(connection, &outbox.inner.table, statement).await
        }
        #[cfg(feature = "mysql")]
        (Dialect::MySql, On::MySql(connection)) => {
            mysql::execute(connection, &outbox.inner.table, statement).await
        }
        #[cfg(any(feature = "sqlite", all(feature = "postgres", feature = "mysql")))]
        (dialect, _) => Err(Error::config(format!(
            "the transaction is of another kind of database than the outbox, which is in {dialect:?}; what has to be committed together has to be in one database"
        ))),
    }
}

macro_rules! served {
    ($module:ident, $dialect:expr, $database:ty, $codes:expr, before: $before:expr, within: $within:expr) => {
        pub(super) mod $module {
            use larder_core::{Cache, Error, Tag};
            use sqlx::{AssertSqlSafe, Connection as _, Database, Error as Driver, Pool, Row as _};

            use super::super::pending::Statement;
            use super::super::{Dialect, invalidate, texts};

            type Connection = <$database as Database>::Connection;

            const DIALECT: Dialect = $dialect;

            fn error(table: &str, error: Driver) -> Error {
                super::error(&$codes, table, error)
            }

            pub(in super::super) async fn execute(
                connection: &mut Connection,
                table: &str,
                statement: &Statement,
            ) -> Result<(), Error> {
                let mut query = sqlx::query(AssertSqlSafe(statement.sql.clone()));
                for parameter in &statement.parameters {
                    query = query.bind(parameter);
                }
                query.execute(connection).await.map(|_| ()).map_err(|e| error(table, e))
            }

            pub(in super::super) async fn run_all(
                pool: &Pool<$database>,
                table: &str,
                statements: &[String],
            ) -> Result<(), Error> {
                let run = async {
                    // Where a definition can be taken back, all of them are there or none.
                    let mut transaction = pool.begin().await?;
                    for statement in statements {
                        sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut *transaction).await?;
                    }
                    transaction.commit().await
                };
                run.await.map_err(|e| error(table, e))
            }

            pub(in super::super) async fn names(
                pool: &Pool<$database>,
                table: &str,
                statement: &Statement,
            ) -> Result<Vec<String>, Error> {
                let mut query = sqlx::query(AssertSqlSafe(statement.sql.clone()));
                for parameter in &statement.parameters {
                    query = query.bind(parameter);
                }
                let rows = query.fetch_all(pool).await.map_err(|e| error(table, e))?;
                rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(|e| error(table, e))
            }

            pub(in super::super) async fn rows(
                pool: &Pool<$database>,
                table: &str,
                text: String,
            ) -> Result<Vec<(i64, Tag)>, Error> {
                let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(pool).await;
                rows.and_then(read).map_err(|e| error(table, e))
            }

            fn read(rows: Vec<<$database as Database>::Row>) -> Result<Vec<(i64, Tag)>, Driver> {
                rows.iter()
                    .map(|row| Ok((row.try_get(0)?, Tag::from(row.try_get::<String, _>(1)?))))
                    .collect()
            }

            /// Holds rows that are due, invalidates their tags, and removes them; how many.
            pub(in super::super) async fn relay(
                pool: &Pool<$database>,
                table: &str,
                caches: &[Cache],
            ) -> Result<usize, Error> {
                let error = |e| error(table, e);
                let mut connection = pool.acquire().await.map_err(error)?;
                for text in $before {
                    sqlx::raw_sql(text).execute(&mut *connection).await.map_err(error)?;
                }
                let mut transaction = connection.begin().await.map_err(error)?;
                for text in $within {
                    sqlx::raw_sql(text).execute(&mut *transaction).await.map_err(error)?;
                }
                let held =
                    sqlx::query(AssertSqlSafe(texts::hold(DIALECT, table))).fetch_all(&mut *transaction);
                let (ids, tags): (Vec<i64>, Vec<Tag>) =
                    held.await.and_then(read).map_err(error)?.into_iter().unzip();
                if ids.is_empty() {
                    transaction.rollback().await.map_err(error)?;
                    return Ok(0);
                }
                invalidate(caches, &super::super::relay::distinct_tags(tags)).await?;
                let remove = sqlx::raw_sql(AssertSqlSafe(texts::remove(DIALECT, table, &ids)));
                remove.execute(&mut *transaction).await.map_err(error)?;
                transaction.commit().await.map_err(error)?;
                Ok(ids.len())
            }
        }
    };
}

// At the usual isolation of MySQL a lock on the last row would keep everybody from adding one behind it.
#[cfg(feature = "postgres")]
served! {
    postgres, Dialect::Postgres, sqlx::Postgres, crate::postgres::CODES,
    before: [""; 0], within: ["SET TRANSACTION ISOLATION LEVEL READ COMMITTED"]
}
#[cfg(feature = "mysql")]
served! {
    mysql, Dialect::MySql, sqlx::MySql, crate::mysql::CODES,
    before: ["SET TRANSACTION ISOLATION LEVEL READ COMMITTED"], within: [""; 0]
}
