//! What PostgreSQL tells on a channel, by a connection that comes back.

use std::time::Duration;

use larder_core::{Error, ErrorKind};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use sqlx::{Error as Driver, Executor as _};
use tokio::time::timeout;

use super::PAUSES;
use crate::pooled::caught;

/// How long making a connection may take.
const CONNECTING: Duration = Duration::from_secs(10);
/// After so long a silence the server is asked whether it is still there; by TCP alone that might take hours to be known.
const SILENCE: Duration = Duration::from_secs(5);

/// What was heard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The ear is at the door, and was not before: anything may have been said meanwhile. From here on nothing is missed.
    Connected,
    Tag(String),
    /// Too much to be told one by one.
    All,
}

pub(super) struct Hearing {
    /// By these, since a connection that listens would be missing from the application's pool.
    options: PgConnectOptions,
    channel: String,
    listener: Option<PgListener>,
    pause: Duration,
}

impl Hearing {
    pub(super) fn new(pool: &PgPool, channel: &str) -> Self {
        // What it is stands in pg_stat_activity.
        let options = pool.connect_options().as_ref().clone().application_name(&format!("larder {channel}"));
        Self { options, channel: channel.to_owned(), listener: None, pause: PAUSES[0] }
    }

    /// The next that is heard. It never gives up.
    ///
    /// # Cancel safety
    /// Nothing that was heard is lost, but a connection in the making is begun anew.
    pub(super) async fn next(&mut self) -> Heard {
        loop {
            let Some(listener) = &mut self.listener else {
                match caught(self.connect()).await {
                    Ok(()) => return Heard::Connected,
                    Err(error) => self.failed("can't be listened to", error).await,
                }
                continue;
            };
            match timeout(SILENCE, caught(listener.try_recv())).await {
                Ok(Ok(Some(told))) => {
                    self.pause = PAUSES[0];
                    return read(told.payload());
                }
                Ok(Ok(None)) => self.lost(Driver::WorkerCrashed),
                Ok(Err(error)) => self.lost(error),
                Err(_) => {
                    let asked = timeout(SILENCE, caught(listener.execute("SELECT 1"))).await;
                    match asked {
                        Ok(Ok(_)) => self.pause = PAUSES[0],
                        Ok(Err(error)) => self.lost(error),
                        Err(_) => self.lost(Driver::PoolTimedOut),
                    }
                }
            }
        }
    }

    /// What is heard without waiting.
    pub(super) fn now(&mut self) -> Option<Heard> {
        self.listener.as_mut()?.next_buffered().map(|told| read(told.payload()))
    }

    /// Forgets the connection, and waits a moment: the next that is heard is that there is another.
    pub(super) async fn begin_anew(&mut self) {
        self.listener = None;
        self.wait().await;
    }

    async fn connect(&mut self) -> Result<(), Driver> {
        // Another pool each time: the last one's only connection may never come back to it.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(CONNECTING)
            .connect_lazy_with(self.options.clone());
        let connect = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            // A connection that is made behind our back would hide that something was missed.
            listener.eager_reconnect(false);
            listener.listen(&self.channel).await?;
            Ok(listener)
        };
        let listener = timeout(CONNECTING, connect).await.unwrap_or(Err(Driver::PoolTimedOut))?;
        self.listener = Some(listener);
        Ok(())
    }

    fn lost(&mut self, error: Driver) {
        self.listener = None;
        let error = Error::new(ErrorKind::Unavailable, "the connection broke").with_source(error);
        tracing::warn!(target: "larder::purge", channel = self.channel, %error, "PostgreSQL is not listened to at the moment");
    }

    async fn failed(&mut self, what: &str, error: Driver) {
        let error = Error::new(ErrorKind::Unavailable, what.to_owned()).with_source(error);
        tracing::warn!(target: "larder::purge", channel = self.channel, ?error, "PostgreSQL is not listened to at the moment");
        self.wait().await;
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.pause).await;
        self.pause = PAUSES[1].min(self.pause * 2);
    }
}

fn read(payload: &str) -> Heard {
    // What can't be read, by whomever it was written, may be about anything.
    payload.strip_prefix('t').map_or(Heard::All, |tag| Heard::Tag(tag.to_owned()))
}
