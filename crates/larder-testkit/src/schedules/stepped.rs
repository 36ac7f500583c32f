//! A backend between whose steps others come, one at a time, in an order that a schedule says.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;

use larder_core::{
    Backend, Capabilities, DynBackend, Entry, Error, Key, Scanned, Space, UnixMillis, When, renew_space,
};

thread_local! {
    /// Set by what has stopped so that others may go on. Read by who polled it, on the same thread and at once.
    static STOPPED: Cell<bool> = const { Cell::new(false) };
}

/// Lets others come between, where a [`Checker`](super::Checker) drives: for backends of tests, between two steps of theirs.
pub async fn gate() {
    let mut first = true;
    poll_fn(|context| {
        if !std::mem::take(&mut first) {
            return Poll::Ready(());
        }
        STOPPED.set(true);
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Waits for something that others do, and lets them.
pub(super) async fn beside<T>(waits: impl Future<Output = T>) -> T {
    let mut waits = std::pin::pin!(waits);
    poll_fn(|context| {
        let answer = waits.as_mut().poll(context);
        if answer.is_pending() {
            STOPPED.set(true);
        }
        answer
    })
    .await
}

/// Whether what was just polled has stopped for others; asked before it is polled, it forgets what was.
///
/// For tests that drive futures themselves: one that is pending and has not stopped waits for another.
pub fn has_stopped() -> bool {
    STOPPED.replace(false)
}

/// A backend whose records are entries, as `larder_core`'s own protocol keeps them, and each of whose steps begins when a schedule
/// says so. It overrides nothing that the protocol is made of.
#[derive(Clone, Debug)]
pub struct Stepped(DynBackend);

impl Stepped {
    /// One over `backend`, of which only single steps are used.
    pub fn new(backend: impl Backend) -> Self {
        Self(DynBackend::new(backend))
    }
}

impl Backend for Stepped {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        gate().await;
        self.0.get(key, now).await
    }

    async fn get_many(&self, keys: &[Key], now: UnixMillis) -> Result<Vec<Option<Entry>>, Error> {
        gate().await;
        self.0.get_many(keys, now).await
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        gate().await;
        self.0.set(key, entry, when, now).await
    }

    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        gate().await;
        self.0.remove(key, now).await
    }

    async fn clear(&self, space: &Space, now: UnixMillis) -> Result<(), Error> {
        renew_space(self, space, now).await?;
        gate().await;
        self.0.clear(space, now).await
    }

    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        gate().await;
        self.0.touch(key, expires, now).await
    }

    async fn incr(&self, key: &Key, delta: i64, now: UnixMillis) -> Result<Option<i64>, Error> {
        gate().await;
        self.0.incr(key, delta, now).await
    }

    async fn compare_and_set(
        &self,
        key: &Key,
        expected: &[u8],
        with: Option<Entry>,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        gate().await;
        self.0.compare_and_set(key, expected, with, now).await
    }

    async fn scan(
        &self,
        space: &Space,
        front: &str,
        after: Option<&str>,
        limit: usize,
        now: UnixMillis,
    ) -> Result<Scanned, Error> {
        gate().await;
        self.0.scan(space, front, after, limit, now).await
    }
}
