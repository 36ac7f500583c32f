//! Sessions in a cache alone.

use larder_core::Cache;

use crate::shelf::Shelf;

/// Sessions in a cache alone: Django's `django.contrib.sessions.backends.cache`. Quick, and as durable as the cache is: a session that is
/// evicted or lost logs its user out.
///
/// ```
/// # use larder_core::Cache;
/// # use larder_memory::Memory;
/// use larder_session::CacheStore;
/// use tower_sessions::{Expiry, SessionManagerLayer};
///
/// # let cache = Cache::new(Memory::new());
/// let sessions = SessionManagerLayer::new(CacheStore::new(&cache).key_prefix("staff")).with_secure(true);
/// ```
///
/// A session lives as long as its record says, not as the cache's timeout. What `tower-sessions` does to one at once, in two requests, goes as it does with
/// every store: the later save wins. See the [crate's page](crate) for what is promised.
#[derive(Clone, Debug)]
#[must_use = "a store does nothing until a session layer has it"]
pub struct CacheStore {
    pub(crate) shelf: Shelf,
}

impl CacheStore {
    /// Sessions in this cache.
    pub fn new(cache: impl Into<Cache>) -> Self {
        Self { shelf: Shelf::new(cache.into()) }
    }

    /// Keeps these sessions apart from those of stores with another prefix in the same cache: an id of one is nothing to the other.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.shelf = self.shelf.prefixed(prefix.into());
        self
    }
}
