//! The outbox in an SQLite file.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{Error, ErrorKind, Tag};
use parking_lot::Mutex;
use rusqlite::{Connection, Error as Driver, ErrorCode, OpenFlags};
use tokio::runtime::Handle;

/// How long a statement waits for another's.
const BUSY: Duration = Duration::from_secs(2);

/// One connection, made by its first use.
#[derive(Clone)]
pub(super) struct Lite {
    path: Arc<PathBuf>,
    connection: Arc<Mutex<Option<Connection>>>,
}

impl Lite {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path: Arc::new(path), connection: Arc::default() }
    }

    pub(super) async fn run_all(&self, statements: Vec<String>) -> Result<(), Error> {
        self.run(move |connection| {
            let transaction = connection.transaction()?;
            statements.iter().try_for_each(|statement| transaction.execute_batch(statement))?;
            transaction.commit()
        })
        .await
    }

    pub(super) async fn rows(&self, text: String) -> Result<Vec<(i64, Tag)>, Error> {
        self.run(move |connection| {
            let mut statement = connection.prepare_cached(&text)?;
            let rows =
                statement.query_map([], |row| Ok((row.get(0)?, Tag::from(row.get::<_, String>(1)?))))?;
            rows.collect()
        })
        .await
    }

    /// By a query with one parameter.
    pub(super) async fn names(&self, text: String, parameter: String) -> Result<Vec<String>, Error> {
        self.run(move |connection| {
            let mut statement = connection.prepare(&text)?;
            statement.query_map([parameter], |row| row.get(0))?.collect()
        })
        .await
    }

    /// On a blocking thread, or right here where there is no runtime.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Driver> + Send + 'static,
    ) -> Result<T, Error> {
        let lite = self.clone();
        let work = move || {
            let mut slot = lite.connection.lock();
            let connection = match &mut *slot {
                Some(connection) => connection,
                empty => empty.insert(lite.connect().map_err(|error| lite.error(error))?),
            };
            work(connection).map_err(|error| lite.error(error))
        };
        let Ok(runtime) = Handle::try_current() else { return work() };
        runtime.spawn_blocking(work).await.unwrap_or_else(|cut| {
            Err(Error::new(ErrorKind::Unavailable, "the work of the SQLite outbox was cut off")
                .with_source(cut))
        })
    }

    fn connect(&self) -> Result<Connection, Driver> {
        // A file that is made by a look into it is not the application's.
        let connection = Connection::open_with_flags(&*self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(BUSY)?;
        Ok(connection)
    }

    fn error(&self, error: Driver) -> Error {
        let path = self.path.display();
        let (kind, text) = match error.sqlite_error_code() {
            Some(ErrorCode::CannotOpen) => (
                ErrorKind::Unavailable,
                format!(
                    "there is no SQLite file {path} that can be opened; the application has to make it first"
                ),
            ),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                (ErrorKind::Unavailable, format!("another program keeps the SQLite file {path} locked"))
            }
            _ if error.to_string().contains("no such table") => (
                ErrorKind::Backend,
                format!(
                    "a table is not there in the SQLite file {path}; is the outbox made, with Outbox::create_table?"
                ),
            ),
            _ => (ErrorKind::Backend, "SQLite refused a statement of the outbox".to_owned()),
        };
        Error::new(kind, text).with_source(error)
    }
}

impl fmt::Debug for Lite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lite").field("path", &self.path).finish_non_exhaustive()
    }
}
