//! Which keys there are.

use std::collections::VecDeque;
use std::fmt;
use std::future::IntoFuture;

use super::Cache;
use super::glob::Glob;
use super::lease::is_lease;
use super::ops::{Running, operation};
use crate::backend::Backend;
use crate::error::Error;
use crate::events::Operation;
use crate::key::Key;

/// How many keys are asked for at once. Django-redis asks for 10, which is many steps.
const BATCH: usize = 500;

impl Cache {
    /// The keys that match a pattern, sorted: the caller's own, without prefix and version. In a pattern `*` stands for any characters,
    /// `?` for one, `[a-z]` for one of these, `[^a]` for one that is none of these, and `\x` for that very character.
    ///
    /// Pages are there too, called `page.` and a hash. What expired is not there; what was invalidated may be, until the store
    /// removes it. All are gathered in memory: for many, walk with [`iter_keys`](Self::iter_keys).
    ///
    /// # Errors
    /// When awaited: [`Unsupported`](crate::ErrorKind::Unsupported) where the backend can't list (Memcached), or if there is a key
    /// function and no way back from it; what the backend gives, and [`Deadline`](crate::ErrorKind::Deadline).
    pub fn keys(&self, pattern: &str) -> Keys<'_> {
        Keys { cache: self, version: None, pattern: Glob::new(pattern) }
    }

    /// Walks over the keys that match a pattern, as [`keys`](Self::keys), a batch at a time and without holding up others. What is
    /// there during the whole walk comes; what comes or goes meanwhile may. Some stores (Redis) may name one twice.
    ///
    /// ```
    /// # use larder_core::{Cache, Dummy};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), larder_core::Error> {
    /// # let cache = Cache::new(Dummy);
    /// let mut walk = cache.iter_keys("course:*");
    /// while let Some(key) = walk.next().await? {
    ///     println!("{key}");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn iter_keys(&self, pattern: &str) -> IterKeys {
        let cursor = Cursor::Start;
        IterKeys {
            cache: self.clone(),
            version: None,
            pattern: Glob::new(pattern),
            batch: BATCH,
            cursor,
            ready: VecDeque::new(),
        }
    }

    /// Removes what matches a pattern, a batch at a time; how many there were. Patterns are those of [`keys`](Self::keys). What is stored
    /// meanwhile may stay, but for what was begun before in this process, as with [`delete`](Self::delete).
    ///
    /// # Errors
    /// When awaited: as [`keys`](Self::keys); some may be removed by then.
    pub fn delete_pattern(&self, pattern: &str) -> RemovePattern<'_> {
        RemovePattern { cache: self, version: None, pattern: Glob::new(pattern) }
    }
}

/// See [`Cache::keys`].
#[must_use = "nothing is read until it is awaited"]
pub struct Keys<'a> {
    cache: &'a Cache,
    version: Option<u64>,
    pattern: Glob,
}

operation!(Keys, Vec<String>, Scan, |this| async move {
    let mut walk = IterKeys { version: this.version, pattern: this.pattern, ..this.cache.iter_keys("") };
    let mut found = Vec::new();
    while let Some(batch) = walk.next_batch().await? {
        found.extend(batch.into_iter().map(|(_, name)| name));
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
});

/// See [`Cache::delete_pattern`].
#[must_use = "nothing is removed until it is awaited"]
pub struct RemovePattern<'a> {
    cache: &'a Cache,
    version: Option<u64>,
    pattern: Glob,
}

operation!(RemovePattern, usize, Remove, |this| async move {
    let mut walk = IterKeys { version: this.version, pattern: this.pattern, ..this.cache.iter_keys("") };
    // What is being made is not there to be listed.
    walk.overtake().await?;
    let mut removed = 0;
    while let Some(batch) = walk.next_batch().await? {
        let keys: Vec<Key> = batch.into_iter().map(|(key, _)| key).collect();
        removed += this.cache.evict_many(&keys).await?;
    }
    Ok(removed)
});

/// A walk over keys; see [`Cache::iter_keys`]. It holds the cache, and may go to another task.
#[must_use = "nothing is read until next() is awaited"]
pub struct IterKeys {
    cache: Cache,
    version: Option<u64>,
    pattern: Glob,
    batch: usize,
    cursor: Cursor,
    ready: VecDeque<String>,
}

enum Cursor {
    Start,
    After(String),
    End,
}

impl IterKeys {
    /// Another version than the cache's own.
    pub fn version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    /// About how many keys to ask the store for at once; 500 unless said otherwise.
    pub fn batch(mut self, keys: usize) -> Self {
        self.batch = keys.max(1);
        self
    }

    /// The next key; `None` at the end.
    ///
    /// # Errors
    /// As [`Cache::keys`]. Nothing is lost by one: the next call asks the same again.
    ///
    /// # Cancel safety
    /// May be dropped at any point; no key is lost.
    pub async fn next(&mut self) -> Result<Option<String>, Error> {
        while self.ready.is_empty() {
            let batch = self.next_batch().await;
            let Some(batch) = self.cache.forgive(Operation::Scan, batch)? else {
                // Also where an error is ignored: then this is the end.
                self.cursor = Cursor::End;
                return Ok(None);
            };
            self.ready.extend(batch.into_iter().map(|(_, name)| name));
        }
        Ok(self.ready.pop_front())
    }

    /// What is being made under such a key in this process is not stored.
    async fn overtake(&self) -> Result<(), Error> {
        let inner = &*self.cache.inner;
        let front = self.front();
        let meant = |key: &Key| {
            let name = key.name();
            let name = name.strip_prefix(&front).and_then(|stored| inner.naming.back(stored).ok());
            name.is_some_and(|name| self.pattern.matches(&name))
        };
        self.cache.landed(Operation::Remove, inner.flights.forget_all(meant)).await
    }

    /// How the keys begin of what is walked over.
    fn front(&self) -> String {
        let inner = &*self.cache.inner;
        format!("{}:{}:", inner.space.prefix(), self.version.unwrap_or(inner.version))
    }

    /// What matches in the next part, which may be nothing; `None` at the end.
    async fn next_batch(&mut self) -> Result<Option<Vec<(Key, String)>>, Error> {
        let after = match &self.cursor {
            Cursor::End => return Ok(None),
            Cursor::Start => None,
            Cursor::After(after) => Some(after.as_str()),
        };
        let inner = &*self.cache.inner;
        let front = self.front();
        // What a key function makes of the pattern's beginning need not be the beginning of what it makes of a key.
        let narrow = match inner.naming.is_plain() {
            true => format!("{front}{}", self.pattern.front()),
            false => front.clone(),
        };
        let scan = inner.backend.scan(&inner.space, &narrow, after, self.batch, inner.clock.now());
        let found = self.cache.within(Operation::Scan, scan).await?;
        let mut batch = Vec::with_capacity(found.keys.len());
        for key in found.keys {
            let name = key.name();
            let Some(stored) = name.strip_prefix(&front) else { continue };
            if is_lease(stored) {
                continue;
            }
            let name = inner.naming.back(stored)?;
            if self.pattern.matches(&name) {
                batch.push((key, name));
            }
        }
        self.cursor = found.next.map_or(Cursor::End, Cursor::After);
        Ok(Some(batch))
    }
}

impl fmt::Debug for IterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IterKeys").finish_non_exhaustive()
    }
}
