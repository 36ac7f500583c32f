//! A backend that fails when it is told to.

mod fault;
mod faults;
mod op;

use larder_core::{
    Backend, Capabilities, Clock, DynBackend, Entry, Error, Fetched, Fill, Key, Scanned, Space, Stamp, Tag,
    UnixMillis, When,
};

use fault::Damage;
pub use fault::Fault;
pub use faults::Faults;
use faults::{End, Plan};
pub use op::Op;

/// Any backend with faults on top: errors, hangs, delays, damaged values, by operation, for some time or sometimes. Without a fault
/// everything goes to the backend inside as it came. Clones share everything.
///
/// ```
/// use larder_core::{Cache, ErrorKind};
/// use larder_testkit::{Fault, Faulty, Op, Plain};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), larder_core::Error> {
/// let backend = Faulty::over(Plain::default());
/// let faults = backend.faults();
/// let cache = Cache::new(backend);
/// cache.set("key", 1).await?;
///
/// faults.add(Fault::error(ErrorKind::Unavailable).times(1));
/// assert_eq!(cache.get::<u8>("key").await.unwrap_err().kind(), ErrorKind::Unavailable);
/// assert_eq!(cache.get("key").await?, Some(1));
/// assert_eq!(faults.met(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Faulty {
    inner: DynBackend,
    faults: Faults,
    clock: Clock,
    remote: bool,
}

impl Faulty {
    /// Puts faults on top of a backend; none so far.
    pub fn over(backend: impl Backend) -> Self {
        Self { inner: DynBackend::new(backend), faults: Faults::new(), clock: Clock::system(), remote: false }
    }

    /// The clock that [delays](Fault::delay) are measured on: a [`ManualClock`](crate::ManualClock)'s, or the machine's, which is
    /// Tokio's (it stands still where a test has paused it).
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Looks as if it were outside this process: a cache bounds each step to it by its deadline, and nothing is answered without
    /// waiting.
    #[must_use]
    pub fn remote(mut self) -> Self {
        self.remote = true;
        self
    }

    /// The hand that makes it fail.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// One call, with what happens to it.
    async fn step<T>(&self, op: Op, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.reading(op, call).await.map(|(answer, _)| answer)
    }

    /// The same, for calls that bring entries: with the damage to be done to them.
    async fn reading<T>(
        &self,
        op: Op,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<(T, Option<Damage>), Error> {
        let _under_way = self.faults.enter();
        let Plan { delay, end, damage } = self.faults.plan(op);
        self.faults.count(op);
        if !delay.is_zero() {
            self.clock.sleep(delay).await;
        }
        match end {
            Some(end) if !end.after => Err(end.come(op).await),
            Some(end) => {
                // Whatever came of it, the answer is lost.
                _ = call.await;
                Err(end.come(op).await)
            }
            None => call.await.map(|answer| (answer, damage)),
        }
    }
}

impl End {
    async fn come(self, op: Op) -> Error {
        match self.error {
            Some(kind) => Error::new(kind, format!("a fault that a test asked for, in {op}")),
            None => std::future::pending().await,
        }
    }
}

fn damaged(entries: &mut [Option<Entry>], damage: Option<Damage>) {
    let Some(mut damage) = damage else { return };
    for entry in entries.iter_mut().flatten() {
        *entry = damage.done_to(entry);
    }
}

impl Backend for Faulty {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.inner.capabilities();
        capabilities.shared |= self.remote;
        capabilities
    }

    fn get_now(&self, key: &Key, now: UnixMillis) -> Option<Option<Entry>> {
        if self.remote || self.faults.threaten(Op::Get) {
            return None;
        }
        let found = self.inner.get_now(key, now);
        if found.is_some() {
            self.faults.count(Op::Get);
        }
        found
    }

    fn begin_now(&self, space: &Space, tags: &[Tag]) -> Option<Fill> {
        if self.remote || self.faults.threaten(Op::Begin) {
            return None;
        }
        let fill = self.inner.begin_now(space, tags);
        if fill.is_some() {
            self.faults.count(Op::Begin);
        }
        fill
    }

    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        let (mut found, damage) = self.reading(Op::Get, self.inner.get(key, now)).await?;
        damaged(std::slice::from_mut(&mut found), damage);
        Ok(found)
    }

    async fn get_many(&self, keys: &[Key], now: UnixMillis) -> Result<Vec<Option<Entry>>, Error> {
        let (mut found, damage) = self.reading(Op::GetMany, self.inner.get_many(keys, now)).await?;
        damaged(&mut found, damage);
        Ok(found)
    }

    async fn fetch(
        &self,
        space: &Space,
        keys: &[Key],
        tags: &[Tag],
        now: UnixMillis,
    ) -> Result<Fetched, Error> {
        let (mut found, damage) = self.reading(Op::Fetch, self.inner.fetch(space, keys, tags, now)).await?;
        damaged(&mut found.entries, damage);
        Ok(found)
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        self.step(Op::Set, self.inner.set(key, entry, when, now)).await
    }

    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        self.step(Op::Remove, self.inner.remove(key, now)).await
    }

    async fn clear(&self, space: &Space, now: UnixMillis) -> Result<(), Error> {
        self.step(Op::Clear, self.inner.clear(space, now)).await
    }

    async fn set_many(
        &self,
        entries: Vec<(Key, Entry)>,
        now: UnixMillis,
    ) -> Result<Vec<(usize, Error)>, Error> {
        self.step(Op::SetMany, self.inner.set_many(entries, now)).await
    }

    async fn remove_many(&self, keys: &[Key], now: UnixMillis) -> Result<usize, Error> {
        self.step(Op::RemoveMany, self.inner.remove_many(keys, now)).await
    }

    async fn compare_and_set(
        &self,
        key: &Key,
        expected: &[u8],
        with: Option<Entry>,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        self.step(Op::CompareAndSet, self.inner.compare_and_set(key, expected, with, now)).await
    }

    async fn scan(
        &self,
        space: &Space,
        front: &str,
        after: Option<&str>,
        limit: usize,
        now: UnixMillis,
    ) -> Result<Scanned, Error> {
        self.step(Op::Scan, self.inner.scan(space, front, after, limit, now)).await
    }

    async fn expiry(&self, key: &Key, entry: &Entry, now: UnixMillis) -> Result<Option<UnixMillis>, Error> {
        self.step(Op::Expiry, self.inner.expiry(key, entry, now)).await
    }

    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        self.step(Op::Touch, self.inner.touch(key, expires, now)).await
    }

    async fn incr(&self, key: &Key, delta: i64, now: UnixMillis) -> Result<Option<i64>, Error> {
        self.step(Op::Incr, self.inner.incr(key, delta, now)).await
    }

    async fn begin(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<Fill, Error> {
        self.step(Op::Begin, self.inner.begin(space, tags, now)).await
    }

    async fn seal(
        &self,
        space: &Space,
        fill: &Fill,
        late: &[Tag],
        until: Option<UnixMillis>,
        now: UnixMillis,
    ) -> Result<Option<Stamp>, Error> {
        self.step(Op::Seal, self.inner.seal(space, fill, late, until, now)).await
    }

    async fn is_current(&self, space: &Space, stamp: &Stamp, now: UnixMillis) -> Result<bool, Error> {
        self.step(Op::IsCurrent, self.inner.is_current(space, stamp, now)).await
    }

    async fn soften(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<(), Error> {
        self.step(Op::Soften, self.inner.soften(space, tags, now)).await
    }

    async fn invalidate(&self, space: &Space, tags: &[Tag], now: UnixMillis) -> Result<(), Error> {
        self.step(Op::Invalidate, self.inner.invalidate(space, tags, now)).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.step(Op::Ping, self.inner.ping()).await
    }

    async fn close(&self) -> Result<(), Error> {
        self.step(Op::Close, self.inner.close()).await
    }
}
