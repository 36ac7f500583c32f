//! Operations on one key. Each is a builder that runs when it is awaited.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Cache;
use super::fill::Made;
use crate::attachment::unattached;
use crate::backend::When;
use crate::entry::{Entry, Value};
use crate::error::{Error, ErrorKind};
use crate::events::Operation;
use crate::flight::Landing;
use crate::key::Key;
use crate::pack;
use crate::tag::Tag;
use crate::timeout::Timeout;

/// How often a count is begun that others begin and remove at the same time.
const CREATIONS: usize = 100;

pub(super) type Running<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Cache {
    /// Reads a value. A stored null is a hit: `get::<Option<T>>` gives `Some(None)`. Bytes of another type are a miss and are
    /// removed.
    ///
    /// # Errors
    /// When awaited: what the backend gives, and [`Deadline`](ErrorKind::Deadline).
    pub fn get<'a, T>(&'a self, key: &'a str) -> Get<'a, T> {
        Get { cache: self, key, version: None, attach: true, value: PhantomData }
    }

    /// Stores a value; a timeout of zero removes what was there.
    ///
    /// # Errors
    /// When awaited: [`Encode`](ErrorKind::Encode) if it can't be serialised (nothing is stored), what the backend
    /// gives, and [`Deadline`](ErrorKind::Deadline).
    pub fn set<'a, T: Serialize>(&'a self, key: &'a str, value: T) -> Set<'a> {
        self.set_bytes(key, self.inner.codec.encode(&value))
    }

    pub(super) fn set_bytes<'a>(&'a self, key: &'a str, value: Result<Bytes, Error>) -> Set<'a> {
        self.set_value(key, value.map(Value::Bytes))
    }

    pub(super) fn set_value<'a>(&'a self, key: &'a str, value: Result<Value, Error>) -> Set<'a> {
        Set { cache: self, key, version: None, timeout: Timeout::DEFAULT, tags: Vec::new(), value }
    }

    /// Stores a value if there is none under this key; true if it did.
    ///
    /// # Errors
    /// When awaited: as [`set`](Self::set).
    pub fn add<'a, T: Serialize>(&'a self, key: &'a str, value: T) -> Add<'a> {
        Add(self.set(key, value))
    }

    /// Removes a value; true if there was one. What [`get_or_set`](Self::get_or_set) is making under this key was begun before, and does not come
    /// back: in this process it is never stored once this returned, and of others that share the store, what was being stored in that very
    /// moment is removed again at once.
    ///
    /// Others are told by their [lease](crate::CacheBuilder::lease). So the last is not so for what is made without one: where leases are off, in
    /// the second after a closure failed, when it takes longer than a lease is renewed (a minute), or slept longer than a lease lives.
    /// [`invalidate`](Self::invalidate) has no such exceptions: tag what must not come back.
    ///
    /// # Errors
    /// When awaited: what the backend gives, and [`Deadline`](ErrorKind::Deadline).
    pub fn delete<'a>(&'a self, key: &'a str) -> Remove<'a> {
        Remove { cache: self, key, version: None }
    }

    /// Whether there is a value; true for a stored null.
    ///
    /// # Errors
    /// When awaited: what the backend gives, and [`Deadline`](ErrorKind::Deadline).
    pub fn has_key<'a>(&'a self, key: &'a str) -> Has<'a> {
        Has { cache: self, key, version: None }
    }

    /// Adds to a stored integer and gives the sum; its expiry stays, and so do the windows of
    /// [`get_or_set`](Self::get_or_set). One that is past its timeout is missing, as for [`get`](Self::get).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), larder_core::Error> {
    /// # let cache = larder_core::Cache::new(larder_testkit::Plain::default());
    /// cache.set("seats", 41).await?;
    /// assert_eq!(cache.incr("seats", 1).await?, 42);
    /// assert_eq!(cache.incr("visits", 1).ignore_key_check(true).await?, 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When awaited: [`NotFound`](ErrorKind::NotFound) if there is none (nothing is created, unless
    /// [`ignore_key_check`](Incr::ignore_key_check) is said), [`Value`](ErrorKind::Value) if it is not
    /// an integer or would overflow, [`Unsupported`](ErrorKind::Unsupported) if the backend can't count or, for one that is kept beyond
    /// its timeout, compare and set, what the backend gives, and [`Deadline`](ErrorKind::Deadline).
    pub fn incr<'a>(&'a self, key: &'a str, delta: i64) -> Incr<'a> {
        Incr { cache: self, key, version: None, delta: Some(delta), creates: false }
    }

    /// Subtracts from a stored integer; as [`incr`](Self::incr).
    ///
    /// # Errors
    /// When awaited: as [`incr`](Self::incr).
    pub fn decr<'a>(&'a self, key: &'a str, delta: i64) -> Incr<'a> {
        Incr { delta: delta.checked_neg(), ..self.incr(key, 0) }
    }

    /// The value under `key`.
    pub(super) async fn read<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, Error> {
        match self.lookup_one(key).await? {
            Some(entry) => {
                self.note_read(entry.stamp());
                self.decode(key, &entry).await
            }
            None => Ok(None),
        }
    }

    /// Whoever makes values under these keys in this process began before what the caller is about to do, and does not store them: if one is being
    /// stored already, waits for that.
    pub(super) async fn overtake(&self, operation: Operation, keys: &[Key]) -> Result<(), Error> {
        let flights = &self.inner.flights;
        self.landed(operation, keys.iter().filter_map(|key| flights.forget(key)).collect()).await
    }

    /// Waits until what was being stored is.
    pub(super) async fn landed(
        &self,
        operation: Operation,
        landings: Vec<Landing<Option<Made>>>,
    ) -> Result<(), Error> {
        if landings.is_empty() {
            return Ok(());
        }
        let all = async move {
            for mut landing in landings {
                landing.over().await;
            }
            Ok(())
        };
        self.within(operation, all).await
    }

    /// Removes a value, and with it whatever is being made in its place.
    pub(super) async fn discard(&self, key: &Key) -> Result<bool, Error> {
        let keys = std::slice::from_ref(key);
        self.overtake(Operation::Remove, keys).await?;
        self.take_out(keys).await.map(|removed| removed > 0)
    }

    /// Decodes a found entry; what can't be decoded is removed and counts as a miss.
    pub(super) async fn decode<T: DeserializeOwned>(
        &self,
        key: &Key,
        entry: &Entry,
    ) -> Result<Option<T>, Error> {
        let decoded = pack::bytes(entry.value()).and_then(|bytes| self.inner.codec.decode(&bytes));
        match decoded {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                self.note_garbage(&error);
                self.evict(key).await?;
                Ok(None)
            }
        }
    }

    /// Stores encoded bytes under a stamp that was begun now.
    async fn store(
        &self,
        key: &Key,
        value: Value,
        timeout: Timeout,
        tags: &[Tag],
        when: When,
    ) -> Result<bool, Error> {
        // Whoever sets a value while a page is made, made the page of the same.
        self.note_written(tags);
        let timeout = timeout.or(self.inner.timeout);
        if timeout.is_zero() {
            // Nothing to store; `add` says whether it would have stored.
            return match when {
                When::Absent => Ok(self.lookup_one(key).await?.is_none()),
                _ => self.discard(key).await.map(|_| true),
            };
        }
        let fill = self.begin(tags).await?;
        let expires = timeout.expires(self.inner.clock.now());
        let Some(stamp) = self.seal(&fill, &[], expires).await? else {
            // Invalidated between the two: as if it had been stored and invalidated.
            return match when {
                When::Absent => Ok(self.lookup_one(key).await?.is_none()),
                _ => self.evict(key).await.map(|_| true),
            };
        };
        let entry = Entry::new(value, expires, stamp);
        if self.put(key, entry.clone(), when).await? {
            return Ok(true);
        }
        if when != When::Absent || self.lookup_one(key).await?.is_some() {
            return Ok(false);
        }
        // What stands there is invalid, or kept beyond its freshness: it must not win against an `add`. Not before the first try, or of two who add
        // at once the second would remove what the first just stored.
        self.evict(key).await?;
        self.put(key, entry, when).await
    }
}

/// What all operations share: the version, running when awaited, and what they give if the store's errors are ignored: what
/// `or` says, else the output's default.
macro_rules! operation {
    ($name:ident $(<$t:ident: $($bound:path),+>)?, $output:ty, $operation:ident, |$this:ident| $run:expr) => {
        operation!($name $(<$t: $($bound),+>)?, $output, $operation, |$this| $run, or || Ok(Default::default()));
    };
    ($name:ident $(<$t:ident: $($bound:path),+>)?, $output:ty, $operation:ident, |$this:ident| $run:expr, or $nothing:expr) => {
        impl$(<$t>)? $name<'_ $(, $t)?> {
            /// Another version than the cache's own.
            pub fn version(mut self, version: u64) -> Self {
                self.version = Some(version);
                self
            }
        }

        impl<'a $(, $t: $($bound +)+ 'a)?> IntoFuture for $name<'a $(, $t)?> {
            type Output = Result<$output, Error>;
            type IntoFuture = Running<'a, Self::Output>;

            fn into_future(self) -> Self::IntoFuture {
                let $this = self;
                Box::pin(async move {
                    let (cache, done) = ($this.cache, $run.await);
                    cache.forgive_or(crate::events::Operation::$operation, done, $nothing)
                })
            }
        }

        impl$(<$t>)? std::fmt::Debug for $name<'_ $(, $t)?> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}
pub(super) use operation;

/// See [`Cache::get`].
#[must_use = "nothing is read until it is awaited"]
pub struct Get<'a, T> {
    cache: &'a Cache,
    key: &'a str,
    version: Option<u64>,
    attach: bool,
    value: PhantomData<fn() -> T>,
}

impl<T> Get<'_, T> {
    /// Whether the tags of what is found go to a page or value that is being made with it; they do unless said otherwise.
    pub fn attach(mut self, attach: bool) -> Self {
        self.attach = attach;
        self
    }
}

operation!(Get<T: DeserializeOwned, Send>, Option<T>, Get, |this| async move {
    let key = this.cache.value_key(this.key, this.version);
    match this.attach {
        true => this.cache.read(&key).await,
        false => unattached(this.cache.read(&key)).await,
    }
});

/// See [`Cache::set`].
#[must_use = "nothing is stored until it is awaited"]
pub struct Set<'a> {
    cache: &'a Cache,
    key: &'a str,
    version: Option<u64>,
    timeout: Timeout,
    tags: Vec<Tag>,
    value: Result<Value, Error>,
}

operation!(Set, (), Set, |this| async move {
    let value = this.value?;
    let key = this.cache.value_key(this.key, this.version);
    // Whoever is making the same value now began before this one was known.
    this.cache.overtake(Operation::Set, std::slice::from_ref(&key)).await?;
    this.cache.store(&key, value, this.timeout, &this.tags, When::Always).await.map(|_| ())
});

impl Set<'_> {
    /// How long it lives.
    pub fn timeout(mut self, timeout: impl Into<Timeout>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Under which tags it is invalidated.
    pub fn tags<T: Into<Tag>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }
}

/// See [`Cache::add`].
#[must_use = "nothing is stored until it is awaited"]
#[derive(Debug)]
pub struct Add<'a>(Set<'a>);

impl Add<'_> {
    /// How long it lives.
    pub fn timeout(self, timeout: impl Into<Timeout>) -> Self {
        Self(self.0.timeout(timeout))
    }

    /// Under which tags it is invalidated.
    pub fn tags<T: Into<Tag>>(self, tags: impl IntoIterator<Item = T>) -> Self {
        Self(self.0.tags(tags))
    }

    /// Another version than the cache's own.
    pub fn version(self, version: u64) -> Self {
        Self(self.0.version(version))
    }
}

impl<'a> IntoFuture for Add<'a> {
    type Output = Result<bool, Error>;
    type IntoFuture = Running<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let this = self.0;
        Box::pin(async move {
            let value = this.value?;
            let key = this.cache.value_key(this.key, this.version);
            let stored = this.cache.store(&key, value, this.timeout, &this.tags, When::Absent).await;
            this.cache.forgive(Operation::Set, stored)
        })
    }
}

/// See [`Cache::delete`].
#[must_use = "nothing is removed until it is awaited"]
pub struct Remove<'a> {
    cache: &'a Cache,
    key: &'a str,
    version: Option<u64>,
}

operation!(Remove, bool, Remove, |this| async move {
    let key = this.cache.value_key(this.key, this.version);
    this.cache.discard(&key).await
});

/// See [`Cache::has_key`].
#[must_use = "nothing is read until it is awaited"]
pub struct Has<'a> {
    cache: &'a Cache,
    key: &'a str,
    version: Option<u64>,
}

operation!(Has, bool, Get, |this| async move {
    let key = this.cache.value_key(this.key, this.version);
    let found = this.cache.lookup_one(&key).await?;
    if let Some(entry) = &found {
        this.cache.note_read(entry.stamp());
    }
    Ok(found.is_some())
});

/// See [`Cache::incr`].
#[must_use = "nothing is counted until it is awaited"]
pub struct Incr<'a> {
    cache: &'a Cache,
    key: &'a str,
    version: Option<u64>,
    delta: Option<i64>,
    creates: bool,
}

impl Incr<'_> {
    /// Whether a key that is not there counts from 0, without an expiry, instead of being an error. django-redis: `ignore_key_check`.
    pub fn ignore_key_check(mut self, ignore: bool) -> Self {
        self.creates = ignore;
        self
    }
}

operation!(
    Incr,
    i64,
    Incr,
    |this| async move {
        let cache = this.cache;
        let delta = this
            .delta
            .ok_or_else(|| Error::new(ErrorKind::Value, "this many can't be subtracted from an i64"))?;
        let key = cache.value_key(this.key, this.version);
        for _ in 0..CREATIONS {
            if let Some(sum) = cache.count(&key, delta).await? {
                return Ok(sum);
            }
            if !this.creates {
                break;
            }
            let value = Value::Bytes(cache.inner.codec.encode(&delta)?);
            if cache.store(&key, value, Timeout::FOREVER, &[], When::Absent).await? {
                return Ok(delta);
            }
        }
        Err(nothing_to_count_on())
    },
    or || Err(nothing_to_count_on())
);

fn nothing_to_count_on() -> Error {
    Error::new(ErrorKind::NotFound, "there is no value under this key to count on; set it first")
}
