//! The connections of an application's transactions.

use larder_core::Error;
use sqlx::Transaction;
#[cfg(feature = "mysql")]
use sqlx::{MySql, MySqlConnection};
#[cfg(feature = "postgres")]
use sqlx::{PgConnection, Postgres};

use crate::engine::{Answer, Ask, Engine};
use crate::raw::Raw;

/// A transaction of [sqlx](crate::sqlx)'s, or the connection that it is on. Nothing else can be one.
pub trait AppTransaction: Send + sealed::Connection {}

#[cfg(feature = "postgres")]
impl AppTransaction for PgConnection {}
#[cfg(feature = "postgres")]
impl AppTransaction for Transaction<'_, Postgres> {}
#[cfg(feature = "mysql")]
impl AppTransaction for MySqlConnection {}
#[cfg(feature = "mysql")]
impl AppTransaction for Transaction<'_, MySql> {}

/// Which of the two it is.
pub(crate) use sealed::On;

pub(crate) mod sealed {
    /// A connection.
    #[derive(Debug)]
    pub enum On<'a> {
        #[cfg(feature = "postgres")]
        Postgres(&'a mut sqlx::PgConnection),
        #[cfg(feature = "mysql")]
        MySql(&'a mut sqlx::MySqlConnection),
    }

    /// What has one.
    pub trait Connection {
        /// It.
        fn on(&mut self) -> On<'_>;
    }
}

#[cfg(feature = "postgres")]
impl sealed::Connection for PgConnection {
    fn on(&mut self) -> On<'_> {
        On::Postgres(self)
    }
}

#[cfg(feature = "postgres")]
impl sealed::Connection for Transaction<'_, Postgres> {
    fn on(&mut self) -> On<'_> {
        On::Postgres(self)
    }
}

#[cfg(feature = "mysql")]
impl sealed::Connection for MySqlConnection {
    fn on(&mut self) -> On<'_> {
        On::MySql(self)
    }
}

#[cfg(feature = "mysql")]
impl sealed::Connection for Transaction<'_, MySql> {
    fn on(&mut self) -> On<'_> {
        On::MySql(self)
    }
}

impl Raw {
    /// Asks on such a connection, once: what becomes of a transaction whose statement failed is not ours to say.
    pub(crate) async fn ask_on(&self, on: On<'_>, ask: &Ask) -> Result<Answer, Error> {
        let answered = match (&*self.engine, on) {
            #[cfg(feature = "postgres")]
            (Engine::Postgres(server), On::Postgres(connection)) => server.ask_on(connection, ask).await,
            #[cfg(feature = "mysql")]
            (Engine::MySql(server), On::MySql(connection)) => server.ask_on(connection, ask).await,
            #[cfg(any(feature = "sqlite", all(feature = "postgres", feature = "mysql")))]
            (engine, _) => {
                return Err(Error::config(format!(
                    "the transaction is of another kind of database than the {} cache; what has to be committed together has to be in one database",
                    engine.name()
                )));
            }
        };
        answered.map_err(Error::from)
    }

    pub(crate) async fn number_on(&self, on: On<'_>, ask: &Ask) -> Result<u64, Error> {
        self.ask_on(on, ask).await?.number()
    }
}
