//! Where sessions lie in a cache: under which keys, and how a copy is kept from being older than its original.

use bytes::Bytes;
use larder_core::{Cache, Entry, Error, ErrorKind, Fill, Key, UnixMillis, Value, When};

use crate::plain::{Plain, digest};

/// Begins what stands in the place of a session that is being written or read elsewhere.
const MARK: &[u8; 4] = b"LSP1";
/// How long it stands there, if nobody takes it away. Sessions are read from the durable store meanwhile.
const MARK_MS: u64 = 60_000;
/// How often another id is tried for a new session. Of two ids at random, none was ever the same.
const TRIES: usize = 16;

/// The sessions in a cache.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    cache: Cache,
    prefix: String,
}

/// What a cache knows of a session.
pub(crate) enum Read {
    Found(Plain),
    /// It is being changed: only the durable store knows it.
    Marked,
    Missing,
}

/// A mark in a session's place, and what it proves itself with.
pub(crate) struct Mark {
    key: Key,
    bytes: Bytes,
    fill: Fill,
}

impl Shelf {
    pub(crate) fn new(cache: Cache) -> Self {
        Self { cache, prefix: String::new() }
    }

    pub(crate) fn prefixed(mut self, prefix: String) -> Self {
        self.prefix = prefix;
        self
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.cache.clock().now()
    }

    fn key(&self, id: i128) -> Key {
        let mut key = self.cache.key_builder("session");
        key.part(self.prefix.as_bytes()).part(&digest(id));
        key.build()
    }

    /// Whether sessions may lie here at all.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let capabilities = self.cache.capabilities();
        if !capabilities.stores {
            return Err(Error::config(
                "this cache stores nothing, so no session would outlive its request; give the session store another cache",
            ));
        }
        if capabilities.name == "tiered" {
            return Err(Error::config(
                "copies in the first tier may be older than a logout in another process; give the session store a cache of its own, opened with the second tier's URL",
            ));
        }
        Ok(())
    }

    /// Stores a new session, under another id if there is one with its own already.
    pub(crate) async fn create(&self, plain: &mut Plain, fresh: impl Fn() -> i128) -> Result<(), Error> {
        self.check()?;
        for _ in 0..TRIES {
            let (fill, expires) = (self.cache.begin(&[]).await?, plain.expires_ms());
            if expires <= self.now() || self.put(&fill, plain, When::Absent).await? {
                return Ok(());
            }
            plain.id = fresh();
        }
        Err(Error::new(
            ErrorKind::Backend,
            "every id that was tried for a new session is taken; look at the cache",
        ))
    }

    /// Stores a session over the one that is there; false if there is none, so that one deleted meanwhile does not come back.
    pub(crate) async fn replace(&self, plain: &Plain) -> Result<bool, Error> {
        self.check()?;
        let (fill, key) = (self.cache.begin(&[]).await?, self.key(plain.id));
        // What a `clear` left lying in the store is nothing to be replaced.
        if self.look(&key).await?.is_none() {
            return Ok(false);
        }
        match plain.expires_ms() <= self.now() {
            true => self.cache.evict(&key).await,
            false => self.put(&fill, plain, When::Present).await,
        }
    }

    /// Stores a copy of a session that is nowhere else yet.
    pub(crate) async fn copy(&self, plain: &Plain) -> Result<(), Error> {
        let fill = self.cache.begin(&[]).await?;
        if plain.expires_ms() > self.now() {
            self.put(&fill, plain, When::Always).await?;
        }
        Ok(())
    }

    pub(crate) async fn read(&self, id: i128) -> Result<Read, Error> {
        self.check()?;
        let key = self.key(id);
        let Some(entry) = self.look(&key).await? else { return Ok(Read::Missing) };
        let bytes = entry.value().to_bytes()?;
        if bytes.starts_with(MARK) {
            return Ok(Read::Marked);
        }
        match Plain::decode(id, &bytes) {
            Ok(plain) if plain.expires_ms() > self.now() => Ok(Read::Found(plain)),
            Ok(_) => Ok(Read::Missing),
            Err(error) => {
                self.cache.note_garbage(&error);
                self.cache.evict(&key).await?;
                Ok(Read::Missing)
            }
        }
    }

    pub(crate) async fn delete(&self, id: i128) -> Result<(), Error> {
        self.cache.evict(&self.key(id)).await.map(|_| ())
    }

    /// Puts a mark in the place of whatever is there, before its original is changed.
    pub(crate) async fn mark(&self, id: i128) -> Result<Mark, Error> {
        let mark = self.prepare(id).await?;
        self.cache.put(&mark.key, self.marked(&mark), When::Always).await?;
        Ok(mark)
    }

    /// Puts a mark where nothing is, before the original is read; `None` if something is there by now.
    pub(crate) async fn claim(&self, id: i128) -> Result<Option<Box<Mark>>, Error> {
        let mark = self.prepare(id).await?;
        let claimed = self.cache.put(&mark.key, self.marked(&mark), When::Absent).await?;
        Ok(claimed.then(|| Box::new(mark)))
    }

    /// Puts a copy in the place of a mark; false if it is not there any more: somebody else has changed the original, or is about to.
    pub(crate) async fn settle(&self, mark: &Mark, plain: Option<&Plain>) -> Result<bool, Error> {
        let with = match plain.filter(|plain| plain.expires_ms() > self.now()) {
            Some(plain) => Some(entry(&mark.fill, plain)?),
            None => None,
        };
        self.cache.compare_and_set(&mark.key, &mark.bytes, with).await
    }

    /// Removes whatever stands in the place of a mark.
    pub(crate) async fn remove(&self, mark: &Mark) -> Result<(), Error> {
        self.cache.evict(&mark.key).await.map(|_| ())
    }

    async fn prepare(&self, id: i128) -> Result<Mark, Error> {
        self.check()?;
        let mut bytes = [0; 20];
        bytes[..4].copy_from_slice(MARK);
        getrandom::fill(&mut bytes[4..])
            .map_err(|_| Error::new(ErrorKind::Backend, "the system gives no random numbers"))?;
        Ok(Mark {
            key: self.key(id),
            bytes: Bytes::copy_from_slice(&bytes),
            fill: self.cache.begin(&[]).await?,
        })
    }

    fn marked(&self, mark: &Mark) -> Entry {
        let expires = self.now().saturating_add(MARK_MS);
        Entry::new(Value::Bytes(mark.bytes.clone()), Some(expires), mark.fill.stamp([]))
    }

    async fn look(&self, key: &Key) -> Result<Option<Entry>, Error> {
        if let Some(found) = self.cache.lookup_now(key) {
            return Ok(found);
        }
        Ok(self.cache.lookup(std::slice::from_ref(key)).await?.pop().flatten())
    }

    async fn put(&self, fill: &Fill, plain: &Plain, when: When) -> Result<bool, Error> {
        self.cache.put(&self.key(plain.id), entry(fill, plain)?, when).await
    }
}

fn entry(fill: &Fill, plain: &Plain) -> Result<Entry, Error> {
    Ok(Entry::new(Value::Bytes(plain.encode()?), Some(plain.expires_ms()), fill.stamp([])))
}
