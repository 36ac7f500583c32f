//! Comes to the table past the backend: to the stored bytes, for the suite's tests of damage, and to the number of its rows.

use larder_core::Key;

/// As [`larder_testkit::Stage::rewriting`] wants it.
type Change<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

#[cfg(feature = "sqlite")]
pub(crate) fn sqlite(path: &std::path::Path, table: &str, key: &Key, change: Change<'_>) {
    let database = rusqlite::Connection::open(path).unwrap();
    database.busy_timeout(crate::PATIENT).unwrap();
    let (read, write) = statements(table, "?1", "?2");
    let name = key.name();
    let bytes: Vec<u8> = database.query_row(&read, [&name], |row| row.get(0)).unwrap();
    database.execute(&write, rusqlite::params![name, change(&bytes)]).unwrap();
}

#[cfg(feature = "postgres")]
pub(crate) fn postgres(url: &str, table: &str, key: &Key, change: Change<'_>) {
    use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

    let (read, write) = statements(table, "$2", "$1");
    let name = key.name();
    block_on(async {
        let mut database = PgConnection::connect(url).await.unwrap();
        let read = sqlx::query_scalar(AssertSqlSafe(read.replace("$2", "$1"))).bind(&*name);
        let bytes: Vec<u8> = read.fetch_one(&mut database).await.unwrap();
        let write = sqlx::query(AssertSqlSafe(write)).bind(change(&bytes)).bind(&*name);
        write.execute(&mut database).await.unwrap();
    });
}

#[cfg(feature = "mysql")]
pub(crate) fn mysql(url: &str, table: &str, key: &Key, change: Change<'_>) {
    use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection};

    let (read, write) = statements(table, "?", "?");
    let name = key.name();
    block_on(async {
        let mut database = MySqlConnection::connect(url).await.unwrap();
        let read = sqlx::query_scalar(AssertSqlSafe(read)).bind(name.as_bytes());
        let bytes: Vec<u8> = read.fetch_one(&mut database).await.unwrap();
        let write = sqlx::query(AssertSqlSafe(write)).bind(change(&bytes)).bind(name.as_bytes());
        write.execute(&mut database).await.unwrap();
    });
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
fn block_on(work: impl Future<Output = ()>) {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work));
}

fn statements(table: &str, name: &str, value: &str) -> (String, String) {
    (
        format!("SELECT value FROM {table} WHERE name = {name}"),
        format!("UPDATE {table} SET value = {value} WHERE name = {name}"),
    )
}

#[cfg(feature = "sqlite")]
pub(crate) fn sqlite_rows(path: &std::path::Path, table: &str) -> i64 {
    let database = rusqlite::Connection::open(path).unwrap();
    database.busy_timeout(crate::PATIENT).unwrap();
    database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[cfg(feature = "postgres")]
pub(crate) async fn postgres_rows(url: String, table: String) -> i64 {
    use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

    let mut database = PgConnection::connect(&url).await.unwrap();
    let count = sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {table}")));
    count.fetch_one(&mut database).await.unwrap()
}

#[cfg(feature = "mysql")]
pub(crate) async fn mysql_rows(url: String, table: String) -> i64 {
    use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection};

    let mut database = MySqlConnection::connect(&url).await.unwrap();
    let count = sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {table}")));
    count.fetch_one(&mut database).await.unwrap()
}
