//! The listener: what PostgreSQL tells to every process, for caches that are each process's own.

use std::collections::BTreeSet;
use std::fmt;

use larder_core::{Cache, Caches, Error, Tag};

use super::hearing::{Heard, Hearing};
use super::outbox::{Outbox, Place};
use super::{invalidate, texts};

/// Invalidates in this process's own caches whatever PostgreSQL tells of: what [`Outbox::invalidate`] writes, and what [`Triggers`](super::Triggers)
/// see. Every process that has a cache of its own runs one.
///
/// PostgreSQL tells whoever listens, and no one later. So whenever a connection has come about, the first one too, the caches are emptied, or what
/// [`after_a_gap`](Listener::after_a_gap) says is invalidated: whatever was changed before is not served from then on. While there is no connection, which
/// is found out after ten seconds at most, the caches do not follow. The connection is one of its own, by the options of the outbox's pool, and has
/// to lead to the server itself: PgBouncer passes `LISTEN` on in its session mode only.
///
/// ```no_run
/// # async fn f(pool: larder_sql::sqlx::PgPool, cache: larder_core::Cache) -> Result<(), Box<dyn std::error::Error>> {
/// use larder_sql::changes::{Listener, Outbox, Triggers};
///
/// let channel = Outbox::postgres(&pool);
/// // Once, or by its text in a migration. Nothing takes rows out of the table here, so none are put into it, and it need not be there.
/// Triggers::on_table("course").tag("course:{id}").tag("course_list").notify_only().install(&channel).await?;
/// tokio::spawn(Listener::new(&channel, &cache)?.run());
/// # Ok(()) }
/// ```
#[must_use = "nothing is heard until it runs: tokio::spawn(listener.run())"]
pub struct Listener {
    hearing: Hearing,
    channel: String,
    caches: Vec<Cache>,
    /// What is invalidated after a gap; everything, if nothing is said.
    after_a_gap: Option<Vec<Tag>>,
}

impl Listener {
    /// From the channel of this outbox to these caches: one, or all aliases of [`Caches`]. Nothing is connected. They should not ignore errors: what
    /// such a cache could not empty after a gap nobody hears of.
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config) if it is in another database than PostgreSQL, or doesn't broadcast.
    pub fn new(outbox: &Outbox, caches: impl Into<Caches>) -> Result<Self, Error> {
        let pool = match &outbox.inner.place {
            Place::Postgres(pool) => pool,
            #[cfg(any(feature = "mysql", feature = "sqlite"))]
            _ => {
                return Err(Error::config(
                    "only PostgreSQL tells of changes; with another database use a Relay, and tiers with a backplane where each process has a cache of its own",
                ));
            }
        };
        if !outbox.inner.broadcast {
            return Err(Error::config(
                "this outbox does not broadcast, so there is nothing to be heard; leave broadcast(false) out",
            ));
        }
        let channel = outbox.inner.table.clone();
        let (hearing, caches) = (Hearing::new(pool, &channel), caches.into().distinct());
        Ok(Self { hearing, channel, caches, after_a_gap: None })
    }

    /// After a gap, and at the beginning, only these tags are invalidated instead of everything: enough if every page that a change could make out of
    /// date carries one of them.
    pub fn after_a_gap<G: Into<Tag>>(mut self, tags: impl IntoIterator<Item = G>) -> Self {
        self.after_a_gap = Some(tags.into_iter().map(Into::into).collect());
        self
    }

    /// Listens, and never ends: spawn it, and abort the task to stop it. What could not be invalidated counts as a gap.
    ///
    /// # Cancel safety
    /// May be dropped at any point; the caches don't follow from then on.
    pub async fn run(mut self) {
        loop {
            let heard = self.hearing.next().await;
            if let Err(error) = self.follow(heard).await {
                tracing::error!(target: "larder::purge", channel = self.channel, %error, "the caches could not follow what changed; they are emptied as soon as that is possible");
                // What is told meanwhile need not be kept anywhere: everything will be forgotten.
                self.hearing.begin_anew().await;
            }
        }
    }

    async fn follow(&mut self, heard: Heard) -> Result<(), Error> {
        let mut tags = BTreeSet::new();
        let mut next = Some(heard);
        while let Some(heard) = next {
            match heard {
                Heard::Tag(tag) => _ = tags.insert(Tag::from(tag)),
                Heard::Connected | Heard::All => self.forget().await?,
            }
            next = if tags.len() < texts::TOGETHER { self.hearing.now() } else { None };
        }
        let tags: Vec<Tag> = tags.into_iter().filter(|tag| !tag.as_str().is_empty()).collect();
        if tags.is_empty() { Ok(()) } else { invalidate(&self.caches, &tags).await }
    }

    async fn forget(&self) -> Result<(), Error> {
        if let Some(tags) = &self.after_a_gap {
            return invalidate(&self.caches, tags).await;
        }
        let mut outcome = Ok(());
        for cache in &self.caches {
            outcome = outcome.and(cache.clear().await);
        }
        outcome
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("channel", &self.channel)
            .field("caches", &self.caches)
            .field("after_a_gap", &self.after_a_gap)
            .finish_non_exhaustive()
    }
}
