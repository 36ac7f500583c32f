//! SQLite: one connection that writes, a few that read, on blocking threads.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use larder_core::{Error, ErrorKind};
use parking_lot::Mutex;
use rusqlite::types::ToSqlOutput;
use rusqlite::{
    Connection, Error as Driver, ErrorCode, ToSql, Transaction, TransactionBehavior, params, params_from_iter,
};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::engine::{Answer, Ask, Failure, Listed, Row};
use crate::statements::{self, Statements, fill_up, list, usual};
use crate::sweep_range;

/// How many read at the same time.
const READERS: usize = 4;
/// How long a statement waits for another process's.
const BUSY: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Sqlite {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    statements: Statements,
    create: [String; 3],
    writer: Lane,
    readers: Lane,
}

/// Connections, and how many may be in use. Who waits does so without holding a thread.
#[derive(Debug)]
struct Lane {
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Lane {
    fn new(connections: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(connections)), idle: Mutex::default() }
    }
}

impl Sqlite {
    pub(crate) fn new(path: PathBuf, table: &str) -> Self {
        let statements = Statements::new::<Dialect>(table);
        let (writer, readers) = (Lane::new(1), Lane::new(READERS));
        Self { inner: Arc::new(Inner { path, statements, create: create(table), writer, readers }) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.inner.path
    }

    pub(crate) async fn ask(&self, ask: &Ask) -> Result<Answer, Failure> {
        let reads = ask.reads();
        let ask = ask.clone();
        self.run(reads, move |connection, inner| answer(connection, &inner.statements, &ask)).await
    }

    pub(crate) async fn create(&self) -> Result<(), Failure> {
        let create = |connection: &Connection, inner: &Inner| {
            inner.create.iter().try_for_each(|statement| connection.execute_batch(statement))
        };
        self.run(false, create).await
    }

    pub(crate) fn close(&self) {
        self.inner.readers.idle.lock().clear();
        // The last one to go puts the write-ahead log back into the file.
        self.inner.writer.idle.lock().clear();
    }

    /// Runs on a blocking thread, or right here where there is no runtime. What was begun is finished even if nobody waits.
    async fn run<T: Send + 'static>(
        &self,
        reads: bool,
        work: impl FnOnce(&Connection, &Inner) -> Result<T, Driver> + Send + 'static,
    ) -> Result<T, Failure> {
        let inner = Arc::clone(&self.inner);
        let lane = if reads { &inner.readers } else { &inner.writer };
        let turn = Arc::clone(&lane.turns).acquire_owned().await;
        let turn = turn.map_err(|error| cut_off(Box::new(error)))?;
        let work = move || {
            let _turn = turn;
            let lane = if reads { &inner.readers } else { &inner.writer };
            let idle = lane.idle.lock().pop();
            let connection = idle.map_or_else(|| connect(&inner.path), Ok);
            let connection = connection.map_err(|error| failure(error, &inner.path))?;
            let done = work(&connection, &inner).map_err(|error| failure(error, &inner.path));
            lane.idle.lock().push(connection);
            done
        };
        let Ok(runtime) = Handle::try_current() else { return work() };
        runtime.spawn_blocking(work).await.unwrap_or_else(|error| Err(cut_off(Box::new(error))))
    }
}

fn connect(path: &Path) -> Result<Connection, Driver> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    // Of several who open a new file at once, one turns the log on; the others are told that it is busy without any wait.
    let began = Instant::now();
    while let Err(error) = connection.pragma_update(None, "journal_mode", "WAL") {
        if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) || began.elapsed() > BUSY {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    // A power cut may take the last entries, and never the file.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn answer(connection: &Connection, statements: &Statements, ask: &Ask) -> Result<Answer, Driver> {
    let run = |sql: &str, params: &[&dyn ToSql]| -> Result<Answer, Driver> {
        connection.prepare_cached(sql)?.execute(params).map(|rows| Answer::Number(rows as u64))
    };
    let rows = |sql: &str, names: &[String]| -> Result<Answer, Driver> {
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map(params_from_iter(fill_up(names)), |row| {
            Ok((row.get(0)?, Bytes::from(row.get::<_, Vec<u8>>(1)?)))
        })?;
        Ok(Answer::Rows(rows.collect::<Result<_, _>>()?))
    };
    let insert = |sql: &str, row: &Row| {
        let whole = row.whole.as_deref().map(str::as_bytes);
        run(sql, params![row.name, Blob(&row.value), row.expires, row.written, whole])
    };
    match ask {
        Ask::Read(names, outbox) => {
            debug_assert!(outbox.is_none(), "nobody's transactions put anything there");
            rows(&statements.read::<Dialect>(names.len()), names)
        }
        Ask::Take(names) => {
            rows(&(statements.delete_many::<Dialect>(names.len()) + " RETURNING name, value"), names)
        }
        Ask::Insert(row) => insert(&statements.insert, row),
        Ask::Upsert(row) => insert(&statements.upsert, row),
        Ask::UpsertMany(rows) => {
            // At once: a transaction that begins to write after it read would be told at once that another writes.
            let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
            rows.iter().try_for_each(|row| insert(&statements.upsert, row).map(|_| ()))?;
            transaction.commit()?;
            Ok(Answer::Number(rows.len() as u64))
        }
        Ask::Scan(scan) => {
            let mut statement = connection.prepare_cached(&statements.scan)?;
            let rows = statement.query_map(params![scan.first, scan.after, scan.end, scan.limit], |row| {
                let whole: Option<Vec<u8>> = row.get(3)?;
                let whole = whole.map(|whole| String::from_utf8_lossy(&whole).into_owned());
                Ok(Listed { name: row.get(0)?, expires: row.get(1)?, written: row.get(2)?, whole })
            })?;
            Ok(Answer::Listed(rows.collect::<Result<_, _>>()?))
        }
        Ask::Fold(notes) => {
            debug_assert!(notes.is_empty(), "nobody's transactions left any");
            Ok(Answer::Number(0))
        }
        Ask::Swap(row, old) => {
            run(&statements.swap, params![Blob(&row.value), row.expires, row.written, row.name, Blob(old)])
        }
        Ask::Delete(name) => run(&statements.delete, params![name]),
        Ask::DeleteIf(name, old) => run(&statements.delete_if, params![name, Blob(old)]),
        Ask::Sweep(prefix) => {
            let [first, end, space, fence, outbox, behind] = sweep_range(prefix);
            run(&statements.sweep, params![first, end, space, fence, outbox, behind])
        }
        Ask::Expired(now) => run(&statements.expired, params![now]),
        Ask::Oldest(most) => run(&statements.oldest, params![most]),
        Ask::Count => {
            let count: i64 = connection.prepare_cached(&statements.count)?.query_row([], |row| row.get(0))?;
            Ok(Answer::Number(u64::try_from(count).unwrap_or(0)))
        }
    }
}

#[derive(Debug)]
struct Dialect;

impl statements::Dialect for Dialect {
    fn parameter(i: usize) -> String {
        format!("?{i}")
    }

    fn quoted(name: &str) -> String {
        usual::quoted(name)
    }

    fn one_of(count: usize) -> String {
        list(count.next_power_of_two(), Self::parameter)
    }

    fn or_nothing(insert: &str) -> String {
        usual::or_nothing(insert)
    }

    fn or_replace(insert: &str) -> String {
        usual::or_replace(insert)
    }

    fn delete_some(table: &str, which: &str) -> String {
        format!("DELETE FROM {table} WHERE name IN (SELECT name FROM {table} WHERE {which})")
    }
}

fn create(table: &str) -> [String; 3] {
    let quoted = usual::quoted(table);
    [
        format!(
            "CREATE TABLE IF NOT EXISTS {quoted} (name TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL, expires INTEGER, written INTEGER, whole BLOB)"
        ),
        usual::index(table, "expires"),
        usual::index(table, "written"),
    ]
}

/// Bytes as a blob; a slice alone would be one too, and `Bytes` is none to the driver.
struct Blob<'a>(&'a Bytes);

impl ToSql for Blob<'_> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>, Driver> {
        Ok(ToSqlOutput::from(&self.0[..]))
    }
}

fn failure(error: Driver, path: &Path) -> Failure {
    let what = error.to_string();
    if what.starts_with("no such table") {
        return Failure::NoTable(
            Error::new(ErrorKind::Backend, "the SQLite file has no cache table").with_source(error),
        );
    }
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen) => ErrorKind::Unavailable,
        Some(ErrorCode::TooBig) => ErrorKind::TooLarge,
        _ => ErrorKind::Backend,
    };
    let text = match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen) if path.is_dir() => {
            format!("{} is a directory; name a file in it, for SQLite to keep the cache in", path.display())
        }
        Some(ErrorCode::CannotOpen) => format!(
            "the SQLite file {} can't be opened; its directory has to be there, and writable for this user",
            path.display()
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            format!("the SQLite file {} can't be written by this user", path.display())
        }
        Some(ErrorCode::NotADatabase) => format!("{} is not an SQLite file", path.display()),
        Some(ErrorCode::DiskFull) => format!("there is no room left for the SQLite file {}", path.display()),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("another program keeps the SQLite file {} locked", path.display())
        }
        _ => "SQLite refused a statement of the cache".to_owned(),
    };
    let gives_in =
        matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseLocked | ErrorCode::SchemaChanged));
    let error = Error::new(kind, text).with_source(error);
    if gives_in { Failure::Conflict(error) } else { Failure::Other(error) }
}

fn cut_off(error: Box<dyn std::error::Error + Send + Sync>) -> Failure {
    Failure::Other(
        Error::new(ErrorKind::Unavailable, "the SQLite cache's work was cut off").with_source(error),
    )
}
