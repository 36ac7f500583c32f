//! A store that fails as it is told, and counts how often it was asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder_core::{
    Backend, Capabilities, Entry, Error, ErrorKind, Fetched, Fill, Key, Space, Stamp, Tag, UnixMillis, When,
};
use larder_memory::Memory;
use parking_lot::Mutex;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Fine,
    /// It answers after this long.
    Slow(Duration),
    /// It never answers.
    Silent,
    /// It answers with an error.
    Fails(ErrorKind),
}

/// Memory behind a door. Clones share both.
#[derive(Clone, Debug)]
pub(crate) struct Faulty {
    memory: Memory,
    mode: Arc<Mutex<Mode>>,
    asked: Arc<AtomicUsize>,
}

impl Faulty {
    pub(crate) fn new() -> Self {
        Self { memory: Memory::new(), mode: Arc::new(Mutex::new(Mode::Fine)), asked: Arc::default() }
    }

    pub(crate) fn turn(&self, mode: Mode) {
        *self.mode.lock() = mode;
    }

    /// How often it was asked since the last time.
    pub(crate) fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::SeqCst)
    }

    async fn door(&self) -> Result<&Memory, Error> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mode = *self.mode.lock();
        match mode {
            Mode::Fine => {}
            Mode::Slow(time) => tokio::time::sleep(time).await,
            Mode::Silent => std::future::pending().await,
            Mode::Fails(kind) => return Err(Error::new(kind, "the store is broken")),
        }
        Ok(&self.memory)
    }
}

impl Backend for Faulty {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("faulty").verifying()
    }
    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        self.door().await?.get(key, now).await
    }
    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        self.door().await?.set(key, entry, when, now).await
    }
    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        self.door().await?.remove(key, now).await
    }
    async fn clear(&self, space: &Space, now: UnixMillis) -> Result<(), Error> {
        self.door().await?.clear(space, now).await
    }
    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        self.door().await?.touch(key, expires, now).await
    }
    async fn get_many(&self, keys: &[Key], now: UnixMillis) -> Result<Vec<Option<Entry>>, Error> {
        self.door().await?.get_many(keys, now).await
    }
    async fn fetch(
        &self,
        space: &Space,
        keys: &[Key],
        tags: &[Tag],
        now: UnixMillis,
    ) -> Result<Fetched, Error> {
        self.door().await?.fetch(space, keys, tags, now).await
    }
    async fn incr(&self, key: &Key, delta: i64, now: UnixMillis) -> Result<Option<i64>, Error> {
        self.door().await?.incr(key, delta, now).await
    }
    async fn begin(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<Fill, Error> {
        self.door().await?.begin(space, tags, now).await
    }
    async fn seal(
        &self,
        space: &Space,
        fill: &Fill,
        late: &[Tag],
        until: Option<UnixMillis>,
        now: UnixMillis,
    ) -> Result<Option<Stamp>, Error> {
        self.door().await?.seal(space, fill, late, until, now).await
    }
    async fn is_current(&self, space: &Space, stamp: &Stamp, now: UnixMillis) -> Result<bool, Error> {
        self.door().await?.is_current(space, stamp, now).await
    }
    async fn invalidate(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<(), Error> {
        self.door().await?.invalidate(space, tags, now).await
    }
    async fn ping(&self) -> Result<(), Error> {
        self.door().await?.ping().await
    }
}
