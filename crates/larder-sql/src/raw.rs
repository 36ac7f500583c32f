//! Entries as they are in the table, valid or not: what core's record protocol runs on. What depends on what is there is
//! a compare-and-swap of the stored bytes, which hold expiry and stamp too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use larder_core::{
    Backend, Capabilities, Entry, Error, ErrorKind, Key, Space, UnixMillis, When, renew_space, wire,
};

use crate::behind::Once;
use crate::cull::Culling;
use crate::engine::{Answer, Ask, BATCH, Engine, Failure, Row, millis};
use crate::name;

/// How often an entry that others keep changing is tried again. Each time somebody else succeeded.
const TRIES: usize = 1000;
/// How often a statement that was in another's way is run again.
const CONFLICTS: usize = 20;

/// The table, without a look at stamps.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) engine: Arc<Engine>,
    pub(crate) culling: Arc<Culling>,
    pub(crate) folding: Arc<Once>,
    /// Whether the table was seen.
    pub(crate) table: Arc<AtomicBool>,
}

/// Whether only valid entries count as being there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    All,
    Valid,
}

impl Raw {
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Answer, Error> {
        let (mut created, mut conflicts) = (false, 0);
        loop {
            tracing::trace!(target: "larder::statements", database = self.engine.name(), "a statement is run");
            match self.engine.ask(&ask).await {
                Ok(answer) => {
                    self.table.store(true, Relaxed);
                    return Ok(answer);
                }
                Err(Failure::NoTable(_)) if !created => {
                    created = true;
                    self.create_table().await?;
                }
                Err(Failure::Conflict(_)) if conflicts < CONFLICTS => conflicts += 1,
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    pub(crate) async fn number(&self, ask: Ask) -> Result<u64, Error> {
        self.ask(ask).await?.number()
    }

    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) fn has_table(&self) -> bool {
        self.table.load(Relaxed)
    }

    pub(crate) async fn create_table(&self) -> Result<(), Error> {
        self.engine.create().await.map_err(|failure| {
            let error = Error::from(failure);
            let text = format!(
                "the cache table can't be created ({error}); create it once as a user who may, with SqlCache::create_table"
            );
            Error::new(error.kind(), text).with_source(error)
        })
    }

    pub(crate) async fn rows(&self, ask: Ask) -> Result<Vec<(String, Bytes)>, Error> {
        self.ask(ask).await?.rows()
    }

    /// The row as it is, which is what a swap has to know.
    async fn row(&self, key: &Key) -> Result<Option<Bytes>, Error> {
        Ok(self.rows(Ask::Read([name::of(key)].into(), None)).await?.pop().map(|(_, value)| value))
    }

    /// Stores where `old` stands, or nothing if that is none; false if that is not so any more.
    async fn put(
        &self,
        key: &Key,
        entry: &Entry,
        old: Option<Bytes>,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        let ask = match (entry.is_expired(now), old) {
            (true, None) => return Ok(true),
            (true, Some(old)) => Ask::DeleteIf(name::of(key), old),
            (false, None) => Ask::Insert(row(key, entry, now)?),
            (false, Some(old)) => Ask::Swap(row(key, entry, now)?, old),
        };
        Ok(self.number(ask).await? > 0)
    }

    /// Changes what stands under a key in one step: `change` is given the entry there, if there is one, and gives the one to
    /// store (which removes what is there if it is expired), or nothing to leave it. Tried again when somebody else was faster. The stored
    /// entry, if any.
    pub(crate) async fn change(
        &self,
        key: &Key,
        counts: Counts,
        now: UnixMillis,
        change: impl Fn(Option<&Entry>) -> Result<Option<Entry>, Error> + Send,
    ) -> Result<Option<Entry>, Error> {
        for _ in 0..TRIES {
            let old = self.row(key).await?;
            let mut there = old
                .as_ref()
                .and_then(|bytes| wire::decode(bytes).ok())
                .filter(|entry| !entry.is_expired(now));
            if let Some(entry) = &there
                && counts == Counts::Valid
                && !self.is_valid(key, entry, now).await?
            {
                there = None;
            }
            let Some(new) = change(there.as_ref())? else { return Ok(None) };
            if self.put(key, &new, old, now).await? {
                return Ok(Some(new));
            }
        }
        Err(Error::new(
            ErrorKind::Backend,
            "a row of the cache was changed by others whenever it was to be changed",
        ))
    }

    pub(crate) async fn store(
        &self,
        key: &Key,
        entry: Entry,
        when: When,
        counts: Counts,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        match when {
            When::Always if entry.is_expired(now) => {
                return self.number(Ask::Delete(name::of(key))).await.map(|_| true);
            }
            When::Always => return self.number(Ask::Upsert(row(key, &entry, now)?)).await.map(|_| true),
            // In one step where nothing is, as mostly.
            When::Absent if !entry.is_expired(now) && self.put(key, &entry, None, now).await? => {
                return Ok(true);
            }
            When::Absent | When::Present => {}
        }
        let wanted = when == When::Present;
        let stored =
            self.change(key, counts, now, |there| Ok((there.is_some() == wanted).then(|| entry.clone())));
        Ok(stored.await?.is_some())
    }

    pub(crate) async fn prolong(
        &self,
        key: &Key,
        expires: Option<UnixMillis>,
        counts: Counts,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        let touched =
            self.change(key, counts, now, |there| Ok(there.map(|entry| entry.with_expiry(expires))));
        Ok(touched.await?.is_some())
    }

    /// Removes the rows of a namespace but its nonce, its fence, and invalidations that are still to be folded into them.
    pub(crate) async fn sweep(&self, space: &Space) -> Result<(), Error> {
        while self.number(Ask::Sweep(space.prefix().to_owned())).await? >= BATCH as u64 {}
        Ok(())
    }

    pub(crate) async fn is_valid(&self, key: &Key, entry: &Entry, now: UnixMillis) -> Result<bool, Error> {
        self.is_current(&key.space(), entry.stamp(), now).await
    }
}

pub(crate) fn row(key: &Key, entry: &Entry, now: UnixMillis) -> Result<Row, Error> {
    let (name, whole) = name::of_both(key);
    Ok(Row {
        name,
        value: wire::encode(entry)?,
        expires: entry.expires().map(millis),
        written: (!name::is_record(key)).then(|| millis(now)),
        whole,
    })
}

impl Raw {
    pub(crate) async fn swap(
        &self,
        key: &Key,
        expected: &[u8],
        with: Option<Entry>,
        counts: Counts,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        let change = |there: Option<&Entry>| {
            let Some(there) = there else { return Ok(None) };
            if there.value().to_bytes()? != expected {
                return Ok(None);
            }
            // What is expired removes.
            Ok(Some(with.clone().unwrap_or_else(|| there.with_expiry(Some(now)))))
        };
        Ok(self.change(key, counts, now, change).await?.is_some())
    }
}

impl Backend for Raw {
    async fn compare_and_set(
        &self,
        key: &Key,
        expected: &[u8],
        with: Option<Entry>,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        self.swap(key, expected, with, Counts::All, now).await
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(self.engine.name())
    }

    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        Ok(self.get_many(std::slice::from_ref(key), now).await?.pop().flatten())
    }

    async fn get_many(&self, keys: &[Key], now: UnixMillis) -> Result<Vec<Option<Entry>>, Error> {
        self.read(keys, now).await
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        let entry = match when {
            When::Absent if name::is_record(key) => self.unmasked(key, entry, now).await?,
            _ => entry,
        };
        self.store(key, entry, when, Counts::All, now).await
    }

    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        Ok(self.take(std::slice::from_ref(key), Counts::All, now).await? > 0)
    }

    async fn clear(&self, space: &Space, now: UnixMillis) -> Result<(), Error> {
        // From here on nothing older is valid. The sweep leaves these two records where they are, so once is enough.
        renew_space(self, space, now).await?;
        self.sweep(space).await
    }

    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        self.prolong(key, expires, Counts::All, now).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.row(&Key::value(&Space::default(), 1, "ping")).await.map(|_| ())
    }

    async fn close(&self) -> Result<(), Error> {
        self.engine.close().await;
        Ok(())
    }
}
