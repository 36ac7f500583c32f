//! The relay: from the outbox to the caches.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{Cache, Caches, Error, Tag};
use tokio::sync::Notify;

use super::outbox::{Outbox, Place};
use super::pending::Pending;
use super::{PAUSES, invalidate, round, texts};

const EVERY: Duration = Duration::from_secs(1);

/// Brings what is in an [`Outbox`] to caches that all processes share, or to those of the only one. Any number of processes may run one: each row is
/// taken by one of them, and by another if that one dies. Clones are the same.
///
/// Where each of several processes has a cache of its own (`memory:`), one relay would reach one of them only: use tiers with a backplane, or a
/// [`Listener`](super::Listener) in each process.
#[derive(Clone)]
#[must_use = "nothing is invalidated until it runs: tokio::spawn(relay.run())"]
pub struct Relay {
    outbox: Outbox,
    caches: Arc<[Cache]>,
    every: Duration,
}

impl Relay {
    /// From this outbox to these caches: one, or all aliases of [`Caches`].
    pub fn new(outbox: &Outbox, caches: impl Into<Caches>) -> Self {
        Self { outbox: outbox.clone(), caches: caches.into().distinct().into(), every: EVERY }
    }

    /// How often [`Relay::run`] looks; each second unless said otherwise. What PostgreSQL tells of is looked for at once.
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// Looks into the outbox again and again, and never ends: spawn it, and abort the task to stop it. What fails is logged and tried again, from
    /// a tenth of a second to five seconds later.
    ///
    /// # Cancel safety
    /// May be dropped at any point: what was taken and not yet removed is still there for the next.
    pub async fn run(self) {
        let due = Notify::new();
        let look = async {
            let [mut pause, longest] = PAUSES;
            loop {
                match self.look().await {
                    Ok(texts::TOGETHER..) => pause = PAUSES[0],
                    Ok(_) => {
                        pause = PAUSES[0];
                        // Whoever tells meanwhile is not missed.
                        _ = tokio::time::timeout(self.every, due.notified()).await;
                    }
                    Err(error) => {
                        tracing::error!(target: "larder::purge", outbox = self.outbox.inner.table, %error, ?pause, "what changed could not be brought to the caches; it is tried again");
                        tokio::time::sleep(pause).await;
                        pause = longest.min(pause * 2);
                    }
                }
            }
        };
        match &self.outbox.inner.place {
            #[cfg(feature = "postgres")]
            Place::Postgres(pool) if self.outbox.inner.broadcast => {
                let mut hearing = super::hearing::Hearing::new(pool, &self.outbox.inner.table);
                let hear = async {
                    loop {
                        _ = hearing.next().await;
                        due.notify_one();
                    }
                };
                tokio::join!(look, hear);
            }
            _ => look.await,
        }
    }

    /// One look: the rows that are due, a thousand at most; how many there were.
    async fn look(&self) -> Result<usize, Error> {
        let table = &self.outbox.inner.table;
        round(async {
            match &self.outbox.inner.place {
                #[cfg(feature = "postgres")]
                Place::Postgres(pool) => super::served::postgres::relay(pool, table, &self.caches).await,
                #[cfg(feature = "mysql")]
                Place::MySql(pool) => super::served::mysql::relay(pool, table, &self.caches).await,
                // Nothing can be held in a file without keeping all others from writing: two relays may do the same twice.
                #[cfg(feature = "sqlite")]
                Place::Sqlite(_) => {
                    let rows = self.rows(texts::due(self.outbox.dialect(), table)).await?;
                    self.bring(rows).await.map(|(count, _)| count)
                }
            }
        })
        .await
    }

    /// Invalidates everything that was committed to the outbox before the call, whoever wrote it and whoever else is about to; how many rows it was.
    ///
    /// # Errors
    /// [`Unavailable`](larder_core::ErrorKind::Unavailable), [`Deadline`](larder_core::ErrorKind::Deadline) and
    /// [`Backend`](larder_core::ErrorKind::Backend) as database and caches say. What was not done is still in the outbox.
    ///
    /// # Cancel safety
    /// What was not done is still in the outbox.
    pub async fn flush(&self) -> Result<usize, Error> {
        let (mut count, mut behind) = (0, i64::MIN);
        loop {
            let text = texts::all(self.outbox.dialect(), &self.outbox.inner.table, behind);
            let (done, last) = round(async { self.bring(self.rows(text).await?).await }).await?;
            count += done;
            match last {
                Some(last) if done == texts::TOGETHER => behind = last,
                _ => return Ok(count),
            }
        }
    }

    /// Invalidates what a transaction wrote that was committed, at once. After a rollback it would cost others a miss: drop what is pending then.
    ///
    /// # Errors
    /// What the caches give. A relay's next look tries again.
    ///
    /// # Cancel safety
    /// What was not done is still in the outbox.
    pub async fn deliver(&self, pending: Pending) -> Result<(), Error> {
        if pending.tags.is_empty() {
            return Ok(());
        }
        invalidate(&self.caches, &pending.tags).await?;
        let text = texts::remove_batch(self.outbox.dialect(), &self.outbox.inner.table, &pending.batch);
        if let Err(error) = self.outbox.run_all(vec![text]).await {
            // They are invalidated once more then.
            tracing::debug!(target: "larder::purge", %error, "what was invalidated stays in the outbox for now");
        }
        Ok(())
    }

    async fn rows(&self, text: String) -> Result<Vec<(i64, Tag)>, Error> {
        match &self.outbox.inner.place {
            #[cfg(feature = "postgres")]
            Place::Postgres(pool) => {
                super::served::postgres::rows(pool, &self.outbox.inner.table, text).await
            }
            #[cfg(feature = "mysql")]
            Place::MySql(pool) => super::served::mysql::rows(pool, &self.outbox.inner.table, text).await,
            #[cfg(feature = "sqlite")]
            Place::Sqlite(lite) => lite.rows(text).await,
        }
    }

    /// Invalidates, then removes; how many, and the last one's number.
    async fn bring(&self, rows: Vec<(i64, Tag)>) -> Result<(usize, Option<i64>), Error> {
        let (ids, tags): (Vec<i64>, Vec<Tag>) = rows.into_iter().unzip();
        if ids.is_empty() {
            return Ok((0, None));
        }
        invalidate(&self.caches, &distinct_tags(tags)).await?;
        let remove = texts::remove(self.outbox.dialect(), &self.outbox.inner.table, &ids);
        self.outbox.run_all(vec![remove]).await?;
        Ok((ids.len(), ids.last().copied()))
    }
}

pub(super) fn distinct_tags(mut tags: Vec<Tag>) -> Vec<Tag> {
    tags.retain(|tag| !tag.as_str().is_empty());
    tags.sort_unstable();
    tags.dedup();
    tags
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("outbox", &self.outbox)
            .field("caches", &self.caches)
            .field("every", &self.every)
            .finish()
    }
}
