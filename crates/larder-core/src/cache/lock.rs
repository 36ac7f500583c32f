//! Locks that processes share: held by a token, gone by themselves.

use std::fmt;
use std::future::IntoFuture;
use std::time::Duration;

use bytes::Bytes;

use super::Cache;
use super::ops::Running;
use crate::backend::{Backend, When};
use crate::clock::millis;
use crate::entry::{Entry, Value};
use crate::error::{Error, ErrorKind};
use crate::events::Operation;
use crate::key::Key;
use crate::tag::Nonce;
use crate::timeout::Timeout;

/// How long a lock lives for which nothing is said.
const LOCK_TIMEOUT: Timeout = Timeout::secs(60);
/// How long somebody waits for a lock for which nothing is said.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// Between one try and the next.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

impl Cache {
    /// A lock that everybody shares who shares the store. Awaiting it waits until it is held;
    /// [`try_acquire`](LockRequest::try_acquire) does not wait.
    ///
    /// ```
    /// # use larder_core::{Cache, Dummy};
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), larder_core::Error> {
    /// # let cache = Cache::new(Dummy);
    /// let lock = cache.lock("nightly-report").timeout(120).blocking(Duration::from_secs(5)).await?;
    /// // … longer than thought: two minutes from now on
    /// lock.extend(120).await?;
    /// lock.release().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// It ends with [`release`](Lock::release) or when its timeout is over (60 s unless said otherwise), whichever comes first; a holder that
    /// stops to think for longer has lost it and is told so by `release` and [`extend`](Lock::extend). Dropping a [`Lock`]
    /// releases nothing, since that would need a step to the store: it expires.
    ///
    /// Locks are in a namespace of their own beside the cache's (`shop~locks:1:nightly-report`). So neither
    /// [`invalidate`](Self::invalidate) nor [`clear`](Self::clear) takes one from its holder, and no value has its key. A store that loses
    /// what it holds (it was emptied, or evicts under pressure) loses locks as well: use them to save work, not to guard what must
    /// not happen twice.
    ///
    /// On a backend that stores nothing everybody holds every lock.
    pub fn lock<'a>(&'a self, key: &'a str) -> LockRequest<'a> {
        LockRequest { cache: self, key, version: None, timeout: LOCK_TIMEOUT, max_wait: MAX_WAIT }
    }
}

/// A lock to be acquired; see [`Cache::lock`].
#[must_use = "nothing is locked until it is awaited"]
pub struct LockRequest<'a> {
    cache: &'a Cache,
    key: &'a str,
    version: Option<u64>,
    timeout: Timeout,
    max_wait: Duration,
}

impl<'a> LockRequest<'a> {
    /// After how long it is gone by itself; 60 s unless said otherwise.
    pub fn timeout(mut self, timeout: impl Into<Timeout>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// How long to wait at most for somebody else to let it go; 30 s unless said otherwise.
    pub fn blocking(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// Another version than the cache's own: another lock.
    pub fn version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    /// Takes the lock if nobody has it, and does not wait.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) where the backend can't compare and set; [`Config`](ErrorKind::Config) for a timeout of zero;
    /// what the backend gives, and [`Deadline`](ErrorKind::Deadline): it may be held by nobody then until it expires.
    ///
    /// # Cancel safety
    /// If dropped, the lock may be held by nobody until it expires.
    pub async fn try_acquire(self) -> Result<Option<Lock>, Error> {
        let lock = self.prepare().await?;
        lock.take(self.timeout).await.map(|taken| taken.then_some(lock))
    }

    async fn wait(self) -> Result<Lock, Error> {
        let lock = self.prepare().await?;
        let clock = &self.cache.inner.clock;
        let until = clock.now().saturating_add(millis(self.max_wait));
        let mut pause = FIRST_PAUSE;
        loop {
            if lock.take(self.timeout).await? {
                return Ok(lock);
            }
            let left = Duration::from_millis(until.saturating_sub(clock.now()));
            if left.is_zero() {
                let text = format!("somebody else held the lock for all of the {:?} waited", self.max_wait);
                return Err(Error::new(ErrorKind::Busy, text));
            }
            clock.sleep(jittered(pause).min(left)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The lock, not held yet.
    async fn prepare(&self) -> Result<Lock, Error> {
        let cache = self.cache;
        check(self.timeout)?;
        let key = cache.value_key_in(&cache.inner.space.locks(), self.key, self.version);
        let lock = Lock { cache: cache.clone(), key, token: token() };
        // Who could not release it must not take it. The first time only: nobody has this token.
        if cache.inner.locks.get().is_none() {
            lock.replace(None).await?;
            _ = cache.inner.locks.set(());
        }
        Ok(lock)
    }
}

impl<'a> IntoFuture for LockRequest<'a> {
    type Output = Result<Lock, Error>;
    type IntoFuture = Running<'a, Self::Output>;

    /// Waits until the lock is held; [`Busy`](ErrorKind::Busy) if that takes longer than [`blocking`](Self::blocking) says. Other errors,
    /// and dropping it, as [`try_acquire`](Self::try_acquire).
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.wait())
    }
}

impl fmt::Debug for LockRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockRequest").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// A lock that was acquired; see [`Cache::lock`]. It says nothing about whether it is still held: [`extend`](Self::extend) does.
#[must_use = "a lock that is not released stays until it expires"]
pub struct Lock {
    cache: Cache,
    key: Key,
    token: Bytes,
}

impl Lock {
    /// Lets it go.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if nobody holds it any more (it expired, or was released already),
    /// [`NotOwned`](ErrorKind::NotOwned) if somebody else does; what the backend gives, and [`Deadline`](ErrorKind::Deadline): the call
    /// may be repeated then.
    pub async fn release(&self) -> Result<(), Error> {
        self.change(None).await
    }

    /// Lets it live for `timeout` from now on.
    ///
    /// # Errors
    /// As [`release`](Self::release); [`Config`](ErrorKind::Config) for a timeout of zero.
    pub async fn extend(&self, timeout: impl Into<Timeout>) -> Result<(), Error> {
        let timeout = timeout.into();
        check(timeout)?;
        let entry = self.entry(timeout).await?;
        self.change(Some(entry)).await
    }

    async fn change(&self, with: Option<Entry>) -> Result<(), Error> {
        let inner = &*self.cache.inner;
        if !inner.capabilities.stores || self.replace(with).await? {
            return Ok(());
        }
        let there =
            self.cache.within(Operation::Get, inner.backend.get(&self.key, inner.clock.now())).await?;
        Err(match there {
            None => Error::new(
                ErrorKind::NotFound,
                "nobody holds this lock any more: it was released or has expired; give it a longer timeout, or extend it in time",
            ),
            Some(_) => Error::new(
                ErrorKind::NotOwned,
                "somebody else holds this lock by now: it had expired; give it a longer timeout, or extend it in time",
            ),
        })
    }

    async fn take(&self, timeout: Timeout) -> Result<bool, Error> {
        self.cache.put(&self.key, self.entry(timeout).await?, When::Absent).await
    }

    /// Replaces what is there, if it is ours.
    async fn replace(&self, with: Option<Entry>) -> Result<bool, Error> {
        let inner = &*self.cache.inner;
        let now = inner.clock.now();
        self.cache
            .within(
                Operation::CompareAndSet,
                inner.backend.compare_and_set(&self.key, &self.token, with, now),
            )
            .await
    }

    async fn entry(&self, timeout: Timeout) -> Result<Entry, Error> {
        let inner = &*self.cache.inner;
        let (space, now) = (inner.space.locks(), inner.clock.now());
        let fill = match inner.backend.begin_now(&space, &[]) {
            Some(fill) => fill,
            None => self.cache.within(Operation::Begin, inner.backend.begin(&space, &[], now)).await?,
        };
        let expires = timeout.or(inner.timeout).expires(inner.clock.now());
        Ok(Entry::new(Value::Bytes(self.token.clone()), expires, fill.stamp([])))
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("cache", &self.cache.inner.name).finish_non_exhaustive()
    }
}

fn check(timeout: Timeout) -> Result<(), Error> {
    if timeout.is_zero() {
        return Err(Error::config("a lock with a timeout of 0 would never be held; give it some seconds"));
    }
    Ok(())
}

/// Who holds it. Digits, so that a look with `redis-cli` shows them.
pub(super) fn token() -> Bytes {
    let mut random = [0; 16];
    match getrandom::fill(&mut random) {
        Ok(()) => format!("{:032x}", u128::from_le_bytes(random)).into(),
        Err(_) => format!("{:032x}", Nonce::fresh().as_u128()).into(),
    }
}

/// Half of a pause, and some of the rest: those who began to wait together don't come back together.
pub(super) fn jittered(pause: Duration) -> Duration {
    let some = getrandom::u32().unwrap_or(u32::MAX / 2);
    pause / 2 + (pause / 2).mul_f64(f64::from(some) / f64::from(u32::MAX))
}
