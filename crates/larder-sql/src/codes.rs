//! What the driver's errors mean.

use larder_core::{Error, ErrorKind};
use sqlx::Error as Driver;

use crate::engine::{Ask, Failure};

/// What a database says of its own errors.
#[derive(Debug)]
pub(crate) struct Codes {
    pub(crate) database: &'static str,
    pub(crate) code: fn(&Driver) -> Option<String>,
    pub(crate) no_table: &'static [&'static str],
    pub(crate) conflict: &'static [&'static str],
    pub(crate) denied: &'static [&'static str],
    pub(crate) read_only: &'static [&'static str],
    /// It takes no more connections, or is on its way up or down.
    pub(crate) away: &'static [&'static str],
    pub(crate) too_large: &'static [&'static str],
    pub(crate) full: &'static [&'static str],
}

impl Codes {
    fn is(&self, error: &Driver, codes: &[&str]) -> bool {
        (self.code)(error).is_some_and(|code| codes.contains(&code.as_str()))
    }

    /// Whether the connection, and probably others with it, is of no use any more.
    pub(crate) fn broke(&self, error: &Driver) -> bool {
        let broke = matches!(error, Driver::Io(_) | Driver::Protocol(_) | Driver::WorkerCrashed);
        // Behind the same name there may be a server by now that can be written to.
        broke || self.is(error, self.away) || self.is(error, self.read_only)
    }

    /// What an error means to `ask`, or to something else.
    pub(crate) fn failure(&self, error: Driver, ask: Option<&Ask>) -> Failure {
        let database = self.database;
        let is = |codes: &[&str]| self.is(&error, codes);
        let (kind, text) = match &error {
            Driver::PoolTimedOut => {
                (ErrorKind::Unavailable, format!("no connection to {database} came about in time"))
            }
            Driver::Tls(_) => (
                ErrorKind::Unavailable,
                format!("{database} was not talked to, since sslmode asks for more than it offers"),
            ),
            Driver::Configuration(_) => {
                (ErrorKind::Config, format!("{database} can't be connected to as the URL says"))
            }
            Driver::Io(_) | Driver::Protocol(_) | Driver::PoolClosed | Driver::WorkerCrashed => {
                (ErrorKind::Unavailable, format!("the connection to {database} broke"))
            }
            _ if is(self.away) => {
                (ErrorKind::Unavailable, format!("{database} takes no connections at the moment"))
            }
            _ if is(self.read_only) => (
                ErrorKind::Unavailable,
                format!(
                    "{database} may not be written to (a standby, or a session that only reads); the cache has to be on the primary"
                ),
            ),
            _ if is(self.denied) => (ErrorKind::Backend, format!("this user of {database} may not do that")),
            _ if is(self.no_table) => (ErrorKind::Backend, format!("{database} has no such cache table")),
            _ if is(self.too_large) => {
                (ErrorKind::TooLarge, format!("the entry is larger than {database} takes"))
            }
            _ if is(self.full) => (ErrorKind::Backend, format!("{database} has no room left for the cache")),
            _ => (ErrorKind::Backend, format!("{database} refused a statement of the cache")),
        };
        let (no_table, conflict) = (is(self.no_table), is(self.conflict));
        // A write may have happened, a read may be repeated.
        let again = ask.is_some_and(Ask::reads) && self.broke(&error);
        // The driver's text can hold keys: it stays in the source.
        let error = Error::new(kind, text).with_source(error);
        match () {
            () if no_table => Failure::NoTable(error),
            () if conflict || again => Failure::Conflict(error),
            () => Failure::Other(error),
        }
    }
}
