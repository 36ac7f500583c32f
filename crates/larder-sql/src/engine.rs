//! What all databases are asked: single statements, so that each happens whole or not at all.

use bytes::Bytes;
use larder_core::{Error, UnixMillis};

/// How many rows one statement removes, and asks for, at most: nobody waits long for it.
pub(crate) const BATCH: usize = 1000;

/// A row to store.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) value: Bytes,
    /// In milliseconds; `None`: never.
    pub(crate) expires: Option<i64>,
    /// When it was written, which says what is culled first; `None` for records, which are never culled.
    pub(crate) stored: Option<i64>,
}

/// One statement.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    /// The rows under these names.
    Read(Vec<String>),
    /// Stores where nothing is.
    Insert(Row),
    Upsert(Row),
    /// Stores in place of this value and no other.
    Swap(Row, Bytes),
    Delete(String),
    /// Removes this value and no other.
    DeleteIf(String, Bytes),
    /// Some rows of a namespace other than its nonce and fence.
    Sweep(String),
    /// Some rows that expired by then.
    Expired(i64),
    /// The oldest, this many.
    Oldest(i64),
    /// How many there are that may be culled.
    Count,
}

/// What came back.
#[derive(Debug)]
pub(crate) enum Answer {
    Rows(Vec<(String, Bytes)>),
    /// How many rows it changed, or counted.
    Number(u64),
}

/// Why it failed, for who may try again.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is no such table yet.
    NoTable(Error),
    /// Two statements were in each other's way and this one was to give in, or a read can simply be repeated.
    Conflict(Error),
    Other(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let (Failure::NoTable(error) | Failure::Conflict(error) | Failure::Other(error)) = failure;
        error
    }
}

/// The database.
#[derive(Debug)]
pub(crate) enum Engine {
    #[cfg(feature = "sqlite")]
    Sqlite(crate::sqlite::Sqlite),
    #[cfg(feature = "postgres")]
    Postgres(Box<crate::postgres::Postgres>),
}

impl Engine {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "sqlite",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "postgres",
        }
    }

    pub(crate) async fn ask(&self, ask: &Ask) -> Result<Answer, Failure> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(engine) => engine.ask(ask).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(engine) => engine.ask(ask).await,
        }
    }

    pub(crate) async fn create(&self) -> Result<(), Failure> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(engine) => engine.create().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(engine) => engine.create().await,
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(engine) => engine.close(),
            #[cfg(feature = "postgres")]
            Self::Postgres(engine) => engine.close().await,
        }
    }
}

/// Milliseconds as the column has them. What lies beyond is beyond anybody's clock.
pub(crate) fn millis(at: UnixMillis) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}
