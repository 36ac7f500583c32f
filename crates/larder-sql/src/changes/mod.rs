//! Invalidation by the application's data, wherever the cache is: an outbox that its transactions write to, triggers by which any program does, and who
//! brings what they say to the caches.
//!
//! | I want | use |
//! |---|---|
//! | the cache in the application's own PostgreSQL, MySQL or MariaDB | [`SqlCache::in_transaction`](crate::SqlCache::in_transaction): the commit itself is the invalidation |
//! | the cache elsewhere (memory, Redis, tiers), and no commit without its invalidation | [`Outbox`] and [`Relay`] |
//! | what other programs change to count as well | [`Triggers`], which write to the outbox |
//! | each of several processes to follow with a cache of its own | [`Listener`] (PostgreSQL) |
//!
//! # What is promised
//! - What is in the outbox was committed with the data: a rollback invalidates nothing, a commit is not forgotten, whoever crashes.
//! - A row leaves the outbox once all caches of a relay have invalidated its tag, so each is invalidated at least once. Twice costs a miss.
//! - Invalidation comes after the commit, so no page whose fill began before the commit outlives it, and each that is made afterwards is made from the
//!   new data (read from the primary: a replica may lag behind).
//! - Between the commit and the invalidation the old page is still served: for the time of a round trip with [`Relay::deliver`] and with triggers on
//!   PostgreSQL, else for up to [`Relay::every`]; longer while the cache or the database can't be reached.

#[cfg(feature = "postgres")]
mod hearing;
#[cfg(feature = "postgres")]
mod listener;
#[cfg(feature = "sqlite")]
mod lite;
mod outbox;
mod pending;
mod relay;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod served;
mod texts;
mod triggers;

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use larder_core::{Cache, Error, ErrorKind, Tag};

#[cfg(feature = "postgres")]
pub use listener::Listener;
pub use outbox::Outbox;
pub use pending::{Pending, Statement};
pub use relay::Relay;
pub use triggers::Triggers;

/// How long one round with the database may take. A connection that is silently gone is found out by it.
const ROUND: Duration = Duration::from_secs(30);
/// How long whoever failed waits before the next try: first, and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    #[cfg(feature = "postgres")]
    Postgres,
    #[cfg(feature = "mysql")]
    MySql,
    #[cfg(feature = "sqlite")]
    Sqlite,
}

/// In all of them, though one fails; the first error.
async fn invalidate(caches: &[Cache], tags: &[Tag]) -> Result<(), Error> {
    let mut outcome = Ok(());
    for cache in caches {
        outcome = outcome.and(cache.invalidate(tags.iter().cloned()).await);
    }
    outcome
}

/// A round that ends, whatever the driver does.
async fn round<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let mut work = pin!(work);
    let whole = poll_fn(|cx| {
        // It is not polled again after a panic.
        catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))).unwrap_or_else(|_| {
            let text = "the driver panicked at what the database answered";
            Poll::Ready(Err(Error::new(ErrorKind::Unavailable, text)))
        })
    });
    tokio::time::timeout(ROUND, whole).await.unwrap_or_else(|_| {
        let text = format!("the database of the outbox did not answer within {ROUND:?}");
        Err(Error::new(ErrorKind::Deadline, text))
    })
}
