//! How long a value has left, and giving it another time.

use std::future::IntoFuture;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Cache;
use super::ops::{Running, operation};
use crate::backend::{Backend, When};
use crate::clock::{UnixMillis, millis};
use crate::entry::Entry;
use crate::error::Error;
use crate::events::Operation;
use crate::key::Key;
use crate::timeout::Timeout;

/// How long a value has left; see [`Cache::ttl`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ttl {
    /// There is no value: never stored, expired or invalidated.
    #[default]
    Missing,
    /// It never expires.
    Forever,
    /// So long, to the millisecond, and never zero.
    Left(Duration),
}

impl Ttl {
    /// The time that is left, if it is bounded and the value is there.
    pub const fn left(self) -> Option<Duration> {
        match self {
            Self::Left(left) => Some(left),
            Self::Missing | Self::Forever => None,
        }
    }

    /// Whether there is no value.
    pub const fn is_missing(self) -> bool {
        matches!(self, Self::Missing)
    }
}

/// An instant: a [`SystemTime`], or [`UnixMillis`] (milliseconds, not seconds, since the epoch); see [`Cache::expire_at`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At(UnixMillis);

impl From<UnixMillis> for At {
    fn from(at: UnixMillis) -> Self {
        Self(at)
    }
}

impl From<SystemTime> for At {
    /// What is before 1970 is long past.
    fn from(at: SystemTime) -> Self {
        Self(at.duration_since(UNIX_EPOCH).map_or(0, millis))
    }
}

impl Cache {
    /// How long a value has left.
    ///
    /// # Errors
    /// When awaited: what the backend gives, and [`Deadline`](crate::ErrorKind::Deadline).
    pub fn ttl<'a>(&'a self, key: &'a str) -> GetTtl<'a> {
        GetTtl { cache: self, key, version: None }
    }

    /// Gives a value another timeout, the cache's default if none is said; false if there is no value. Zero removes it (and says
    /// true), [`Timeout::FOREVER`] lets it stay.
    ///
    /// # Errors
    /// When awaited: what the backend gives, and [`Deadline`](crate::ErrorKind::Deadline).
    pub fn touch<'a>(&'a self, key: &'a str) -> Touch<'a> {
        Touch { cache: self, key, version: None, timeout: Timeout::DEFAULT }
    }

    /// Lets a value stay for ever; false if there is none.
    ///
    /// # Errors
    /// When awaited: as [`touch`](Self::touch).
    pub fn persist<'a>(&'a self, key: &'a str) -> Touch<'a> {
        self.touch(key).timeout(Timeout::FOREVER)
    }

    /// Lets a value expire at an instant of the cache's clock; false if there is none. One that is past removes it (and says true).
    ///
    /// ```
    /// # use larder_core::{Cache, Dummy};
    /// # use std::time::{Duration, SystemTime};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), larder_core::Error> {
    /// # let cache = Cache::new(Dummy);
    /// cache.expire_at("report", SystemTime::now() + Duration::from_secs(3600)).await?;
    /// cache.expire_at("report", 1_893_456_000_000).await?; // milliseconds
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When awaited: as [`touch`](Self::touch).
    pub fn expire_at<'a>(&'a self, key: &'a str, at: impl Into<At>) -> ExpireAt<'a> {
        ExpireAt { cache: self, key, version: None, at: at.into() }
    }

    /// When an entry that was just read expires.
    pub(super) async fn expiry(&self, key: &Key, entry: &Entry) -> Result<Option<UnixMillis>, Error> {
        match entry.fresh_until().or(entry.expires()) {
            Some(at) => Ok(Some(at)),
            None => {
                self.within(Operation::Get, self.inner.backend.expiry(key, entry, self.inner.clock.now()))
                    .await
            }
        }
    }

    /// Gives an entry another expiry; false if there is no valid one.
    async fn reschedule(&self, key: &Key, expires: Option<UnixMillis>) -> Result<bool, Error> {
        let inner = &*self.inner;
        // What was invalidated is not there, and a backend need not know that.
        let Some(there) = self.lookup_one(key).await? else { return Ok(false) };
        let now = inner.clock.now();
        if expires.is_some_and(|at| at <= now) {
            return self.evict(key).await;
        }
        // The new expiry is all that counts from now on.
        if there.fresh_until().is_some() {
            return self.put(key, there.with_fresh_until(None).with_expiry(expires), When::Present).await;
        }
        self.within(Operation::Touch, inner.backend.touch(key, expires, now)).await
    }
}

/// See [`Cache::ttl`].
#[must_use = "nothing is read until it is awaited"]
pub struct GetTtl<'a> {
    cache: &'a Cache,
    key: &'a str,
    version: Option<u64>,
}

operation!(GetTtl, Ttl, Get, |this| async move {
    let key = this.cache.value_key(this.key, this.version);
    let Some(entry) = this.cache.lookup_one(&key).await? else { return Ok(Ttl::Missing) };
    let Some(at) = this.cache.expiry(&key, &entry).await? else { return Ok(Ttl::Forever) };
    match at.saturating_sub(this.cache.inner.clock.now()) {
        // It expired while it was read.
        0 => Ok(Ttl::Missing),
        left => Ok(Ttl::Left(Duration::from_millis(left))),
    }
});

/// See [`Cache::touch`].
#[must_use = "nothing happens until it is awaited"]
pub struct Touch<'a> {
    cache: &'a Cache,
    key: &'a str,
    version: Option<u64>,
    timeout: Timeout,
}

operation!(Touch, bool, Touch, |this| async move {
    let key = this.cache.value_key(this.key, this.version);
    let timeout = this.timeout.or(this.cache.inner.timeout);
    this.cache.reschedule(&key, timeout.expires(this.cache.inner.clock.now())).await
});

impl Touch<'_> {
    /// How long it lives from now on.
    pub fn timeout(mut self, timeout: impl Into<Timeout>) -> Self {
        self.timeout = timeout.into();
        self
    }
}

/// See [`Cache::expire_at`].
#[must_use = "nothing happens until it is awaited"]
pub struct ExpireAt<'a> {
    cache: &'a Cache,
    key: &'a str,
    version: Option<u64>,
    at: At,
}

operation!(ExpireAt, bool, Touch, |this| async move {
    let key = this.cache.value_key(this.key, this.version);
    this.cache.reschedule(&key, Some(this.at.0)).await
});
