//! A second tier that a test watches: it counts steps, fails when told to, and holds answers back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use larder_core::{
    Backend, Capabilities, DynBackend, Entry, Error, ErrorKind, Fetched, Fill, Key, Space, Stamp, Tag,
    UnixMillis, When,
};
use larder_testkit::Plain;
use tokio::sync::Semaphore;

/// [`Plain`], watched, and checking what it reads in the same step. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    store: DynBackend,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    down: AtomicBool,
    reads: AtomicUsize,
    checks: AtomicUsize,
    reading: Gate,
    writing: Gate,
}

#[derive(Debug)]
struct Gate {
    holds: AtomicBool,
    /// One permit for each answer that may go out, while answers are held.
    permits: Semaphore,
}

impl Gate {
    fn new() -> Self {
        Self { holds: AtomicBool::new(false), permits: Semaphore::new(0) }
    }

    async fn held<T>(&self, answer: T) -> T {
        if self.holds.load(Ordering::SeqCst) {
            self.permits.acquire().await.unwrap().forget();
        }
        answer
    }
}

impl Watched {
    pub(crate) fn new() -> Self {
        let state = State {
            down: AtomicBool::new(false),
            reads: AtomicUsize::new(0),
            checks: AtomicUsize::new(0),
            reading: Gate::new(),
            writing: Gate::new(),
        };
        Self { store: DynBackend::new(Plain::default()), state: Arc::new(state) }
    }

    /// The store itself, for whoever does not go through the tiers.
    pub(crate) fn store(&self) -> &DynBackend {
        &self.store
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.state.down.store(down, Ordering::SeqCst);
    }

    /// How often values were read since this was last asked.
    pub(crate) fn reads(&self) -> usize {
        self.state.reads.swap(0, Ordering::SeqCst)
    }

    /// How often stamps were checked since this was last asked.
    pub(crate) fn checks(&self) -> usize {
        self.state.checks.swap(0, Ordering::SeqCst)
    }

    /// From now on the answers to reads are held back: what was read is as old as the question.
    pub(crate) fn hold_reads(&self, holds: bool) {
        self.state.reading.holds.store(holds, Ordering::SeqCst);
    }

    /// The same for the answers to writes.
    pub(crate) fn hold_writes(&self, holds: bool) {
        self.state.writing.holds.store(holds, Ordering::SeqCst);
    }

    /// Lets one read's answer go.
    pub(crate) fn let_read_go(&self) {
        self.state.reading.permits.add_permits(1);
    }

    /// Lets one write's answer go.
    pub(crate) fn let_write_go(&self) {
        self.state.writing.permits.add_permits(1);
    }

    fn up(&self) -> Result<(), Error> {
        match self.state.down.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Unavailable, "the test took it down")),
            false => Ok(()),
        }
    }
}

impl Backend for Watched {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("watched").verifying()
    }

    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        self.up()?;
        self.store.get(key, now).await
    }

    async fn get_many(&self, keys: &[Key], now: UnixMillis) -> Result<Vec<Option<Entry>>, Error> {
        self.up()?;
        self.state.reads.fetch_add(1, Ordering::SeqCst);
        let mut entries = self.store.get_many(keys, now).await?;
        for (key, found) in keys.iter().zip(&mut entries) {
            let space = Space::new(key.name().split(':').next().unwrap()).unwrap();
            if let Some(entry) = found
                && !self.store.is_current(&space, entry.stamp(), now).await?
            {
                *found = None;
            }
        }
        Ok(self.state.reading.held(entries).await)
    }

    async fn fetch(
        &self,
        space: &Space,
        keys: &[Key],
        tags: &[Tag],
        now: UnixMillis,
    ) -> Result<Fetched, Error> {
        self.up()?;
        self.store.fetch(space, keys, tags, now).await
    }

    async fn is_current(&self, space: &Space, stamp: &Stamp, now: UnixMillis) -> Result<bool, Error> {
        self.up()?;
        self.state.checks.fetch_add(1, Ordering::SeqCst);
        self.store.is_current(space, stamp, now).await
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        self.up()?;
        let stored = self.store.set(key, entry, when, now).await;
        self.state.writing.held(stored).await
    }

    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        self.up()?;
        let removed = self.store.remove(key, now).await;
        self.state.writing.held(removed).await
    }

    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        self.up()?;
        self.store.touch(key, expires, now).await
    }

    async fn incr(&self, key: &Key, delta: i64, now: UnixMillis) -> Result<Option<i64>, Error> {
        self.up()?;
        self.store.incr(key, delta, now).await
    }

    async fn clear(&self, space: &Space, now: UnixMillis) -> Result<(), Error> {
        self.up()?;
        self.store.clear(space, now).await
    }

    async fn begin(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<Fill, Error> {
        self.up()?;
        self.store.begin(space, tags, now).await
    }

    async fn seal(
        &self,
        space: &Space,
        fill: &Fill,
        late: &[Tag],
        until: Option<UnixMillis>,
        now: UnixMillis,
    ) -> Result<Option<Stamp>, Error> {
        self.up()?;
        self.store.seal(space, fill, late, until, now).await
    }

    async fn invalidate(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<(), Error> {
        self.up()?;
        let done = self.store.invalidate(space, tags, now).await;
        self.state.writing.held(done).await
    }
}

/// The same with nothing but what a backend has to have: an invalidation takes several steps.
#[derive(Debug)]
pub(crate) struct Stepwise(pub(crate) Watched);

impl Backend for Stepwise {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        self.0.get(key, now).await
    }
    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        self.0.set(key, entry, when, now).await
    }
    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        self.0.remove(key, now).await
    }
    async fn clear(&self, space: &Space, now: UnixMillis) -> Result<(), Error> {
        self.0.clear(space, now).await
    }
    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        self.0.touch(key, expires, now).await
    }
}
