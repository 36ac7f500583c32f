//! L2, as one that checks stamps itself: where it does not, it is asked once more.

use larder_core::{Backend, DynBackend, Entry, Error, ErrorKind, Key, Remembered, UnixMillis, When};

/// How often an entry that others keep changing is tried again.
const TRIES: usize = 100;

#[derive(Debug)]
pub(crate) struct Far {
    l2: DynBackend,
    /// Of one that checks nothing.
    remembered: Option<Remembered>,
}

impl Far {
    pub(crate) fn new(l2: DynBackend) -> Self {
        let verifies = l2.capabilities().verifies;
        Self { l2, remembered: (!verifies).then(Remembered::default) }
    }

    /// For everything to which stamps do not matter.
    pub(crate) fn l2(&self) -> &DynBackend {
        &self.l2
    }

    /// The valid entries under keys of one namespace.
    pub(crate) async fn read(&self, keys: &[Key], now: UnixMillis) -> Result<Vec<Option<Entry>>, Error> {
        match &self.remembered {
            None => self.l2.get_many(keys, now).await,
            Some(remembered) => remembered.look(&self.l2, keys, now).await,
        }
    }

    pub(crate) async fn set(
        &self,
        key: &Key,
        entry: Entry,
        when: When,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        if let Some(remembered) = &self.remembered {
            remembered.note(key, &entry);
        }
        let conditional = self.remembered.is_some() && when != When::Always;
        if conditional && when == When::Present && !self.has(key, now).await? {
            return Ok(false);
        }
        let stored = self.l2.set(key, entry.clone(), when, now).await?;
        if stored || !conditional || when == When::Present || self.has(key, now).await? {
            return Ok(stored);
        }
        self.replace_invalid(key, entry, now).await
    }

    /// Adds where what stands is invalid and must not win. Only that very value is replaced: of several who add at once, nobody takes away what
    /// another has just stored.
    async fn replace_invalid(&self, key: &Key, entry: Entry, now: UnixMillis) -> Result<bool, Error> {
        for _ in 0..TRIES {
            let Some(there) = self.l2.get(key, now).await? else {
                if self.l2.set(key, entry.clone(), When::Absent, now).await? {
                    return Ok(true);
                }
                continue;
            };
            if self.has(key, now).await? {
                return Ok(false);
            }
            let old = there.value().to_bytes()?;
            match self.l2.compare_and_set(key, &old, Some(entry.clone()), now).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    self.l2.remove(key, now).await?;
                    return self.l2.set(key, entry, When::Absent, now).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    pub(crate) async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        let counts = self.counts(key, now).await?;
        Ok(self.l2.remove(key, now).await? && counts)
    }

    pub(crate) async fn remove_many(&self, keys: &[Key], now: UnixMillis) -> Result<usize, Error> {
        if self.remembered.is_none() {
            return self.l2.remove_many(keys, now).await;
        }
        let there = self.read(keys, now).await?.iter().flatten().count();
        Ok(self.l2.remove_many(keys, now).await?.min(there))
    }

    pub(crate) async fn touch(
        &self,
        key: &Key,
        expires: Option<UnixMillis>,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        Ok(self.counts(key, now).await? && self.l2.touch(key, expires, now).await?)
    }

    pub(crate) async fn incr(&self, key: &Key, delta: i64, now: UnixMillis) -> Result<Option<i64>, Error> {
        match self.counts(key, now).await? {
            true => self.l2.incr(key, delta, now).await,
            false => Ok(None),
        }
    }

    pub(crate) async fn compare_and_set(
        &self,
        key: &Key,
        expected: &[u8],
        with: Option<Entry>,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        Ok(self.counts(key, now).await? && self.l2.compare_and_set(key, expected, with, now).await?)
    }

    /// Whether what L2 does to an entry is done to a valid one, as far as L2 can't tell itself.
    async fn counts(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        Ok(self.remembered.is_none() || self.has(key, now).await?)
    }

    async fn has(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        Ok(self.read(std::slice::from_ref(key), now).await?.iter().any(Option::is_some))
    }
}
