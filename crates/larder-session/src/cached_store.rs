//! Sessions in a durable store, with copies in a cache.
//!
//! Whoever changes a session puts a mark in its copy's place first, changes the original, and then puts the new copy in place of the mark,
//! if it is still there. Whoever finds no copy puts a mark there too before reading the original. So a copy that was read before a change, or
//! a deletion, never takes the place of what came of it; and of two who change a session at once, none leaves a copy that differs from
//! the original.

use std::fmt;
use std::sync::Arc;

use larder_core::{Cache, Error};

use crate::plain::Plain;
use crate::shelf::{Mark, Read, Shelf};
use crate::unreached::Unreached;

/// Sessions in a durable store, read from a cache: Django's `django.contrib.sessions.backends.cached_db`. What is saved goes to both; what
/// the cache has lost is read from the store and put back.
///
/// The durable store is any [`SessionStore`](tower_sessions_core::SessionStore): `tower-sessions-sqlx-store`'s `PostgresStore`, say.
///
/// ```
/// # use larder_core::Cache;
/// # use larder_memory::Memory;
/// use larder_session::CachedStore;
/// use tower_sessions::{MemoryStore, SessionManagerLayer};
///
/// # let cache = Cache::new(Memory::new());
/// # let postgres = MemoryStore::default();
/// let sessions = SessionManagerLayer::new(CachedStore::new(&cache, postgres));
/// ```
///
/// While the cache can't be reached, sessions are read from the store and written to it. The copies that could not be taken away are
/// distrusted in this process until they are; another process that does reach the cache may still read one. A *deletion* is
/// therefore an error if the cache could not be told of it: the session is gone from the store, and deleting it may be repeated.
pub struct CachedStore<Db> {
    pub(crate) copies: Copies,
    pub(crate) db: Arc<Db>,
}

impl<Db> CachedStore<Db> {
    /// Sessions in `db`, with copies in `cache`.
    pub fn new(cache: impl Into<Cache>, db: Db) -> Self {
        Self {
            copies: Copies { shelf: Shelf::new(cache.into()), unreached: Arc::default() },
            db: Arc::new(db),
        }
    }

    /// Keeps the copies apart from those of stores with another prefix in the same cache: an id of one is nothing to the other.
    #[must_use]
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.copies.shelf = self.copies.shelf.prefixed(prefix.into());
        self
    }

    /// The durable store.
    pub fn durable(&self) -> &Db {
        &self.db
    }
}

impl<Db> Clone for CachedStore<Db> {
    fn clone(&self) -> Self {
        Self { copies: self.copies.clone(), db: Arc::clone(&self.db) }
    }
}

impl<Db> fmt::Debug for CachedStore<Db> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A store in memory would show all its sessions.
        f.debug_struct("CachedStore").field("copies", &self.copies.shelf).finish_non_exhaustive()
    }
}

/// The copies, and those of them that are not to be trusted.
#[derive(Clone)]
pub(crate) struct Copies {
    pub(crate) shelf: Shelf,
    unreached: Arc<Unreached>,
}

/// What is known of a session before its original is read.
pub(crate) enum Copy {
    Found(Plain),
    /// The original has to be read, and is to be put in place of the mark if there is one.
    Missing(Option<Box<Mark>>),
}

impl Copies {
    /// A new session is in the durable store.
    pub(crate) async fn created(&self, plain: &Plain) {
        if let Err(error) = self.shelf.copy(plain).await {
            told(&error, "a new session could not be copied into the cache");
        }
    }

    /// What the cache knows, or the right to tell it.
    pub(crate) async fn read(&self, id: i128) -> Result<Copy, Error> {
        self.shelf.check()?;
        if !self.unreached.trusts(&self.shelf, id).await {
            return Ok(Copy::Missing(None));
        }
        let read = match self.shelf.read(id).await {
            Ok(Read::Missing) => self.shelf.claim(id).await.map(Copy::Missing),
            Ok(Read::Found(plain)) => Ok(Copy::Found(plain)),
            Ok(Read::Marked) => Ok(Copy::Missing(None)),
            Err(error) => Err(error),
        };
        Ok(read.unwrap_or_else(|error| {
            told(&error, "a session is read from the durable store alone");
            Copy::Missing(None)
        }))
    }

    /// The original was read.
    pub(crate) async fn was_read(&self, mark: &Mark, plain: Option<&Plain>) {
        if let Err(error) = self.shelf.settle(mark, plain).await {
            told(&error, "a session could not be copied into the cache");
        }
    }

    /// The original is about to change. `None`: the cache could not be told, and its copy is distrusted.
    pub(crate) async fn will_change(&self, id: i128) -> Result<Option<Mark>, Error> {
        self.shelf.check()?;
        match self.shelf.mark(id).await {
            Ok(mark) => {
                self.unreached.forget(id);
                Ok(Some(mark))
            }
            Err(error) => {
                told(&error, "a session is written to the durable store alone");
                self.unreached.note(id)?;
                Ok(None)
            }
        }
    }

    /// It changed.
    pub(crate) async fn has_changed(&self, mark: &Mark, plain: &Plain) {
        let settled = match self.shelf.settle(mark, Some(plain)).await {
            // Somebody else changed it at the same time: nobody knows who was the later.
            Ok(false) => self.shelf.remove(mark).await,
            settled => settled.map(|_| ()),
        };
        if let Err(error) = settled {
            // The mark stands there still, or whatever took its place.
            told(&error, "a session could not be copied into the cache");
            _ = self.unreached.note(plain.id);
        }
    }
}

fn told(error: &Error, what: &str) {
    tracing::warn!(target: "larder::session", kind = error.kind().as_str(), %error, "{what}");
}
