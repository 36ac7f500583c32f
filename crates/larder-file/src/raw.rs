//! The files as they are, valid or not: what core's record protocol runs on, without waiting.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use larder_core::{Backend, Capabilities, Entry, Error, ErrorKind, Key, Space, Tag, UnixMillis, When};

use crate::disk::Disk;

/// A backend whose futures are ready at once, since they do their work on the thread that polls them.
#[derive(Clone, Debug)]
pub(crate) struct Raw(pub(crate) Arc<Disk>);

impl Backend for Raw {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("file")
    }

    // Takes no lock, so that it may be asked while one is held.
    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        self.0.peek(key, now)
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        self.0.write(key, &entry, when, now, &|_| Ok(true))
    }

    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        self.0.remove(key, now, &|_| Ok(true))
    }

    // In one step: were it a read and a write, a tag's old nonce could be written over the one that just invalidated it.
    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        self.0.touch(key, expires, now, &|_| Ok(true))
    }

    async fn compare_and_set(
        &self,
        key: &Key,
        expected: &[u8],
        with: Option<Entry>,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        self.0.replace(key, expected, with.as_ref(), now, &|_| Ok(true))
    }

    async fn clear(&self, space: &Space, _: UnixMillis) -> Result<(), Error> {
        self.0.sweep(space.prefix().as_bytes())
    }
}

impl Raw {
    /// Whether an entry found under `key` is neither invalidated nor cleared.
    pub(crate) fn is_valid(&self, key: &Key, entry: &Entry, now: UnixMillis) -> Result<bool, Error> {
        let judged = self.judged(key, entry, now)?;
        Ok(judged.is_some_and(|entry| entry.stale_since().is_none()))
    }

    /// The entry found under `key` if it is neither invalidated nor cleared, marked if it is stale.
    pub(crate) fn judged(&self, key: &Key, entry: &Entry, now: UnixMillis) -> Result<Option<Entry>, Error> {
        let prefix = key.identity().split(|byte| *byte == b':').next().unwrap_or_default();
        let Ok(prefix) = std::str::from_utf8(prefix) else { return Ok(None) };
        let space = Space::new(prefix)?;
        let named = |tag: &&Tag| !tag.is_group();
        let carried = || entry.stamp().tags.iter().map(|(tag, _)| tag);
        let mut tags: Vec<Tag> = carried().filter(named).cloned().collect();
        let mut records = ready(self.fetch(&space, &[], &tags, now))?;
        let Some(deciding) = entry.stamp().deciding(records.space) else { return Ok(None) };
        // Those of groups are looked at only if one of them was invalidated.
        if deciding.count() > tags.len() {
            tags = carried().cloned().collect();
            records = ready(self.fetch(&space, &[], &tags, now))?;
        }
        let stands = |tag: &Tag| records.tags[tags.iter().position(|known| known == tag)?];
        Ok(entry.clone().judged(records.space, stands))
    }
}

/// The entry under a key. What is expired, invalid or unreadable is removed.
pub(crate) fn read(files: &Raw, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
    let judged = std::cell::RefCell::new(None);
    let found = files.0.read(key, now, &|there| {
        let entry = files.judged(key, there, now)?;
        let valid = entry.is_some();
        *judged.borrow_mut() = entry;
        Ok(valid)
    })?;
    Ok(found.and_then(|_| judged.into_inner()))
}

/// The answer of one of [`Raw`]'s futures, or of one made of them.
///
/// # Errors
/// That of the future.
pub(crate) fn ready<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => Err(Error::new(ErrorKind::Backend, "the file cache's records wait for something")),
    }
}
