//! What all databases are asked: single statements mostly, so that each happens whole or not at all.

use std::sync::Arc;

use bytes::Bytes;
use larder_core::{Error, ErrorKind, UnixMillis};

/// How many rows one statement stores, removes, and asks for, at most: nobody waits long for it.
pub(crate) const BATCH: usize = 1000;

/// A row to store.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) value: Bytes,
    /// In milliseconds; `None`: never.
    pub(crate) expires: Option<i64>,
    /// When it was written, which says what is culled first; `None` for records, which are never culled.
    pub(crate) written: Option<i64>,
    /// What it would be called if the column took it, where `name` is a hash.
    pub(crate) whole: Option<String>,
}

/// A row as a walk through the table sees it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) expires: Option<i64>,
    pub(crate) written: Option<i64>,
    pub(crate) whole: Option<String>,
}

/// One statement, or a transaction of a few.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    /// The rows under these names; with a namespace, also what its outbox holds, up to a limit.
    Read(Arc<[String]>, Option<Arc<str>>),
    /// Stores where nothing is.
    Insert(Row),
    Upsert(Row),
    /// No name twice.
    UpsertMany(Vec<Row>),
    /// Stores in place of this value and no other.
    Swap(Row, Bytes),
    Delete(String),
    /// Removes this value and no other.
    DeleteIf(String, Bytes),
    /// Removes rows, and gives them.
    Take(Vec<String>),
    /// Some rows in order of their names.
    Scan(Scan),
    /// Applies what these rows of an outbox say, and removes them, in one step.
    Fold(Vec<String>),
    /// Some rows of a namespace other than its nonce, its fence and its outbox.
    Sweep(String),
    /// Some rows that expired by then.
    Expired(i64),
    /// The oldest, this many.
    Oldest(i64),
    /// How many there are that may be culled.
    Count,
}

impl Ask {
    /// Whether it changes nothing, so that it may be repeated.
    pub(crate) fn reads(&self) -> bool {
        matches!(self, Self::Read(..) | Self::Scan(_) | Self::Count)
    }
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
impl Ask {
    /// Whether it may leave one behind when it fails.
    pub(crate) fn is_a_transaction(&self) -> bool {
        matches!(self, Self::Take(_) | Self::Fold(_))
    }
}

/// Names from `first` on, behind `after`, before `end`.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    pub(crate) first: String,
    pub(crate) after: String,
    pub(crate) end: String,
    pub(crate) limit: i64,
}

/// What came back.
#[derive(Debug)]
pub(crate) enum Answer {
    Rows(Vec<(String, Bytes)>),
    Listed(Vec<Listed>),
    /// How many rows it changed, or counted.
    Number(u64),
}

impl Answer {
    pub(crate) fn rows(self) -> Result<Vec<(String, Bytes)>, Error> {
        match self {
            Self::Rows(rows) => Ok(rows),
            Self::Number(_) | Self::Listed(_) => Err(mistaken()),
        }
    }

    pub(crate) fn number(self) -> Result<u64, Error> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Rows(_) | Self::Listed(_) => Err(mistaken()),
        }
    }
}

fn mistaken() -> Error {
    Error::new(ErrorKind::Backend, "the database answered to something else than it was asked")
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
    Postgres(Box<crate::postgres::Server>),
    #[cfg(feature = "mysql")]
    MySql(Box<crate::mysql::Server>),
}

impl Engine {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "sqlite",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "postgres",
            #[cfg(feature = "mysql")]
            Self::MySql(_) => "mysql",
        }
    }

    /// Whether others' transactions can put invalidations into its table: see `outbox`.
    pub(crate) fn has_outbox(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => false,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => true,
            #[cfg(feature = "mysql")]
            Self::MySql(_) => true,
        }
    }

    /// How many bytes of values one statement stores that stores several.
    pub(crate) fn together(&self) -> usize {
        match self {
            #[cfg(feature = "mysql")]
            Self::MySql(_) => crate::mysql::TOGETHER,
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            _ => 8 << 20,
        }
    }

    pub(crate) async fn ask(&self, ask: &Ask) -> Result<Answer, Failure> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(engine) => engine.ask(ask).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(engine) => engine.ask(ask).await,
            #[cfg(feature = "mysql")]
            Self::MySql(engine) => engine.ask(ask).await,
        }
    }

    pub(crate) async fn create(&self) -> Result<(), Failure> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(engine) => engine.create().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(engine) => engine.create().await,
            #[cfg(feature = "mysql")]
            Self::MySql(engine) => engine.create().await,
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(engine) => engine.close(),
            #[cfg(feature = "postgres")]
            Self::Postgres(engine) => engine.close().await,
            #[cfg(feature = "mysql")]
            Self::MySql(engine) => engine.close().await,
        }
    }
}

/// Milliseconds as the column has them. What lies beyond is beyond anybody's clock.
pub(crate) fn millis(at: UnixMillis) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}
