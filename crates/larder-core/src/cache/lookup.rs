//! Reading entries as they are: what the low-level operations and the layers above stand on.

use std::pin::pin;

use super::Cache;
use crate::attachment::Attachment;
use crate::backend::Backend;
use crate::clock::UnixMillis;
use crate::entry::Entry;
use crate::error::Error;
use crate::events::Operation;
use crate::key::Key;
use crate::tag::{Stamp, Tag};

impl Cache {
    /// The valid entries under `keys`, in one step where the backend can. An entry is valid if it is not expired and was not
    /// invalidated.
    ///
    /// # Errors
    /// What the backend gives, and [`Deadline`](crate::ErrorKind::Deadline): one deadline bounds the whole of it.
    pub async fn lookup(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, Error> {
        let mut found = self.within(Operation::Get, self.valid(keys)).await?;
        self.hide(&mut found);
        Ok(found)
    }

    /// As [`lookup`](Self::lookup), for one key, and for who has asked the clock already: `now` is what it said.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    pub async fn lookup_only(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        let inner = &*self.inner;
        if !inner.capabilities.verifies {
            let found = Box::pin(self.lookup(std::slice::from_ref(key))).await?;
            return Ok(found.into_iter().next().flatten());
        }
        // Pinned here: what is handed on from future to future takes its room in each of them.
        let step = pin!(async {
            let Some(entry) = inner.backend.get(key, now).await? else { return Ok(None) };
            match self.open_entry(entry) {
                Ok(entry) => Ok(Some(entry)),
                // It is rare, and would make each look a large one.
                Err(error) => {
                    Box::pin(self.unreadable(key, &error)).await;
                    Ok(None)
                }
            }
        });
        let found = self.within(Operation::Get, step).await?;
        let is_over = |entry: &Entry| entry.fresh_until().is_some_and(|until| until <= inner.clock.now());
        Ok(found.filter(|entry| !is_over(entry)))
    }

    /// As [`lookup`](Self::lookup), and then those under the keys that only what was found can name. If `more` names none, it is one
    /// lookup; in any case one deadline bounds the whole.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    pub async fn lookup_then(
        &self,
        keys: &[Key],
        more: impl FnOnce(&[Option<Entry>]) -> Vec<Key> + Send,
    ) -> Result<(Vec<Option<Entry>>, Vec<Option<Entry>>), Error> {
        let both = async {
            let mut found = self.valid(keys).await?;
            self.hide(&mut found);
            let mut more = self.valid(&more(&found)).await?;
            self.hide(&mut more);
            Ok((found, more))
        };
        self.within(Operation::Get, both).await
    }

    /// The valid entry under `key`, if the backend can tell without waiting; `None` means *ask
    /// [`lookup`](Self::lookup)*.
    pub fn lookup_now(&self, key: &Key) -> Option<Option<Entry>> {
        // A backend that has to be asked needs no time.
        if !self.inner.capabilities.verifies {
            return None;
        }
        self.lookup_now_at(key, self.inner.clock.now())
    }

    /// The same for who has asked the clock already: `now` is what it said.
    pub fn lookup_now_at(&self, key: &Key, now: UnixMillis) -> Option<Option<Entry>> {
        let inner = &*self.inner;
        if !inner.capabilities.verifies {
            return None;
        }
        match inner.backend.get_now(key, now)? {
            None => Some(None),
            // What can't be read is to be removed, which takes waiting.
            Some(entry) => {
                let entry = self.open_now(entry)?;
                let over = entry.is_past_fresh(now);
                Some((!over).then_some(entry))
            }
        }
    }

    /// What is kept beyond its freshness is not there any more, but for who asks for that.
    fn hide(&self, found: &mut [Option<Entry>]) {
        for place in found {
            let fresh_until = place.as_ref().and_then(Entry::fresh_until);
            // The clock is asked for those alone that it matters for.
            if fresh_until.is_some_and(|until| until <= self.inner.clock.now()) {
                *place = None;
            }
        }
    }

    /// Notes for what is being made that a value with this stamp went into it.
    pub(super) fn note_read(&self, stamp: &Stamp) {
        if !stamp.tags.is_empty()
            && let Some(making) = Attachment::current()
        {
            making.note(self, &stamp.tags, &[]);
        }
    }

    /// Notes for what is being made that a value with these tags was made for it, or beside it.
    pub(super) fn note_written(&self, tags: &[Tag]) {
        if !tags.is_empty()
            && let Some(making) = Attachment::current()
        {
            making.note(self, &[], tags);
        }
    }

    /// The valid entry under `key`, also where it is kept beyond its freshness.
    pub(super) async fn lookup_any(&self, key: &Key) -> Result<Option<Entry>, Error> {
        let found = self.within(Operation::Get, self.valid(std::slice::from_ref(key))).await?;
        Ok(found.into_iter().next().flatten())
    }

    pub(super) async fn lookup_one(&self, key: &Key) -> Result<Option<Entry>, Error> {
        let found = match self.lookup_now(key) {
            Some(found) => found,
            None => self.lookup(std::slice::from_ref(key)).await?.pop().flatten(),
        };
        // A value that was purged softly is gone; pages alone are shown stale, by who knows how.
        Ok(found.filter(|entry| entry.stale_since().is_none()))
    }

    /// Stores several finished entries, in one step where the backend can. Those it refuses are returned by their place with the
    /// reason; the others are stored.
    ///
    /// # Errors
    /// If the store can't be reached: some may be stored.
    pub async fn put_many(&self, entries: Vec<(Key, Entry)>) -> Result<Vec<(usize, Error)>, Error> {
        let inner = &*self.inner;
        let close = |(key, entry)| {
            self.note(&key, &entry);
            (key, self.close_entry(entry))
        };
        let entries = entries.into_iter().map(close).collect();
        let refused = self.within(Operation::Set, inner.backend.set_many(entries, inner.clock.now())).await?;
        for (_, error) in &refused {
            self.tell(Operation::Set, error);
        }
        Ok(refused)
    }

    /// Remembers what is about to stand under a key, if it is this cache that checks it.
    pub(super) fn note(&self, key: &Key, entry: &Entry) {
        if !self.inner.capabilities.verifies {
            self.inner.remembered.note(key, entry);
        }
    }

    async fn valid(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, Error> {
        let inner = &*self.inner;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let now = inner.clock.now();
        let mut found = match (keys, inner.capabilities.verifies) {
            (keys, true) => inner.backend.get_many(keys, now).await?,
            (keys, false) => inner.remembered.look(&inner.backend, keys, now).await?,
        };
        self.open_all(keys, &mut found).await;
        Ok(found)
    }
}
