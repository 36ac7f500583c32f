//! The low-level cache: Django's `django.core.cache.cache`, typed.
//!
//! ```
//! # use larder_core::{Cache, Dummy};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), larder_core::Error> {
//! let cache = Cache::new(Dummy);
//! cache.set("httpbin_result", &vec![1, 2, 3]).timeout(600).await?;
//! let found: Option<Vec<u8>> = cache.get("httpbin_result").await?;
//! assert_eq!(found, None, "the dummy backend keeps nothing");
//! # Ok(()) }
//! ```

mod fill;
mod glob;
mod keys;
mod lock;
mod lookup;
mod many;
mod naming;
mod ops;
mod shared;
mod ttl;
mod versions;

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::backend::{Backend, Capabilities, When};
use crate::clock::{Clock, UnixMillis};
use crate::codec::Codec;
use crate::entry::Entry;
use crate::erased::DynBackend;
use crate::error::{Error, ErrorKind};
use crate::flight::Flights;
use crate::key::{Key, KeyBuilder, Space};
use crate::remembered::Remembered;
use crate::tag::{Fill, Stamp, Tag};
use crate::timeout::Timeout;

pub use fill::{GetOrSet, TryGetOrSet};
pub use keys::{IterKeys, Keys, RemovePattern};
pub use lock::{Lock, LockRequest};
pub use many::{GetMany, RemoveMany, SetMany};
pub use ops::{Add, Get, Has, Incr, Remove, Set};
pub use ttl::{At, ExpireAt, GetTtl, Touch, Ttl};
pub use versions::MoveVersion;

use naming::Naming;

/// What Django uses where nothing is said: 300 s.
const DEFAULT_TIMEOUT: Timeout = Timeout::secs(300);
const DEFAULT_DEADLINE: Duration = Duration::from_secs(1);
/// How many may wait for one value in this process before newcomers go alone.
const WAITERS: usize = 100_000;

/// A handle on one cache: a backend, and the settings that Django keeps in `CACHES[alias]`. Clones share everything.
///
/// Every method that takes a key returns a builder: add what is optional, then `.await` it.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

struct Inner {
    name: Box<str>,
    backend: DynBackend,
    capabilities: Capabilities,
    clock: Clock,
    space: Space,
    version: u64,
    timeout: Timeout,
    deadline: Duration,
    codec: Codec,
    naming: Naming,
    /// Set once the backend has shown that it can do locks.
    locks: OnceLock<()>,
    flights: Flights<Option<Bytes>>,
    remembered: Remembered,
    attached: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

impl Cache {
    /// A cache over `backend` with Django's defaults: no prefix, version 1, 300 s.
    pub fn new(backend: impl Backend) -> Self {
        Self::builder(backend).finish(Space::default())
    }

    /// A cache over `backend` with settings.
    pub fn builder(backend: impl Backend) -> CacheBuilder {
        CacheBuilder::new(DynBackend::new(backend))
    }

    /// Its alias, `default` unless it was given another.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// What its backend is and can do.
    pub fn capabilities(&self) -> Capabilities {
        self.inner.capabilities
    }

    /// Its clock.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Its namespace.
    pub fn space(&self) -> &Space {
        &self.inner.space
    }

    /// The version of keys for which none is given.
    pub fn version(&self) -> u64 {
        self.inner.version
    }

    /// The timeout of entries for which none is given.
    pub fn default_timeout(&self) -> Timeout {
        self.inner.timeout
    }

    /// Whether both handles are the same cache.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Begins the key of a page or another thing with a long identity, in this cache's namespace and version.
    pub fn key_builder(&self, kind: &'static str) -> KeyBuilder {
        Key::builder(&self.inner.space, self.inner.version, kind)
    }

    /// What a layer above keeps once for this cache: its flights, say, which all layers on one cache share. Made with
    /// `Default` when first asked for.
    pub fn attached<T: Default + Any + Send + Sync>(&self) -> Arc<T> {
        let mut attached = self.inner.attached.lock();
        let one = attached.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        // The map is keyed by the type, so this is always one.
        Arc::clone(one).downcast().unwrap_or_default()
    }

    /// Begins a fill: everything that is made after this and stored with it can be invalidated from now on.
    ///
    /// # Errors
    /// What the backend gives, and [`Deadline`](ErrorKind::Deadline).
    pub async fn begin(&self, tags: &[Tag]) -> Result<Fill, Error> {
        let inner = &*self.inner;
        match inner.backend.begin_now(&inner.space, tags) {
            Some(fill) => Ok(fill),
            None => self.within(inner.backend.begin(&inner.space, tags, inner.clock.now())).await,
        }
    }

    /// Begins a fill without waiting, if the backend can.
    pub fn begin_now(&self, tags: &[Tag]) -> Option<Fill> {
        self.inner.backend.begin_now(&self.inner.space, tags)
    }

    /// Ends a fill; `None`: an invalidation came between, store nothing.
    ///
    /// # Errors
    /// What the backend gives, and [`Deadline`](ErrorKind::Deadline).
    pub async fn seal(
        &self,
        fill: &Fill,
        late: &[Tag],
        until: Option<UnixMillis>,
    ) -> Result<Option<Stamp>, Error> {
        let inner = &*self.inner;
        self.within(inner.backend.seal(&inner.space, fill, late, until, inner.clock.now())).await
    }

    /// Stores a finished entry.
    ///
    /// # Errors
    /// What the backend gives, and [`Deadline`](ErrorKind::Deadline).
    pub async fn put(&self, key: &Key, entry: Entry, when: When) -> Result<bool, Error> {
        self.note(key, &entry);
        self.within(self.inner.backend.set(key, entry, when, self.inner.clock.now())).await
    }

    /// Removes an entry by its key.
    ///
    /// # Errors
    /// What the backend gives, and [`Deadline`](ErrorKind::Deadline).
    pub async fn evict(&self, key: &Key) -> Result<bool, Error> {
        self.within(self.inner.backend.remove(key, self.inner.clock.now())).await
    }

    /// Invalidates tags: once this returned `Ok`, nothing that carries one of them and whose fill began before the call is
    /// served any more.
    ///
    /// # Errors
    /// After an error the outcome is unknown, and the call may be repeated.
    pub async fn invalidate<T: Into<Tag>>(&self, tags: impl IntoIterator<Item = T>) -> Result<(), Error> {
        let tags: Vec<Tag> = tags.into_iter().map(Into::into).collect();
        let inner = &*self.inner;
        self.within(inner.backend.invalidate(&inner.space, &tags, inner.clock.now())).await
    }

    /// Removes every entry of this cache's namespace (its key prefix), of all versions, and nothing else. Django:
    /// `cache.clear()`, except that other namespaces on the same server stay.
    ///
    /// # Errors
    /// What the backend gives. A large namespace may take long: this is not bounded by the deadline.
    pub async fn clear(&self) -> Result<(), Error> {
        self.inner.backend.clear(&self.inner.space, self.inner.clock.now()).await
    }

    /// Whether the store answers, for those who want to fail at start-up.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) or [`Deadline`](ErrorKind::Deadline) if it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        self.within(self.inner.backend.ping()).await
    }

    /// Lets go of connections; the cache may be used again. Django: `cache.close()`.
    ///
    /// # Errors
    /// What the backend gives.
    pub async fn close(&self) -> Result<(), Error> {
        self.inner.backend.close().await
    }

    /// Bounds a step to the store by the deadline. A backend in this process needs no timer.
    async fn within<T>(&self, step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        // Outside a runtime there is no timer, and the backend has to do without one as well.
        if !self.inner.capabilities.shared || tokio::runtime::Handle::try_current().is_err() {
            return step.await;
        }
        match tokio::time::timeout(self.inner.deadline, step).await {
            Ok(done) => done,
            Err(_) => Err(Error::new(
                ErrorKind::Deadline,
                format!(
                    "the {} backend did not answer within {:?}",
                    self.inner.capabilities.name, self.inner.deadline
                ),
            )),
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("name", &self.inner.name)
            .field("backend", &self.inner.capabilities.name)
            .field("prefix", &self.inner.space.prefix())
            .field("version", &self.inner.version)
            .finish_non_exhaustive()
    }
}

/// Settings of a [`Cache`].
#[derive(Debug)]
#[must_use = "call build()"]
pub struct CacheBuilder {
    name: String,
    backend: DynBackend,
    clock: Clock,
    prefix: String,
    version: u64,
    timeout: Timeout,
    deadline: Duration,
    codec: Codec,
    naming: Naming,
}

impl CacheBuilder {
    pub(crate) fn new(backend: DynBackend) -> Self {
        Self {
            name: "default".into(),
            backend,
            clock: Clock::system(),
            prefix: String::new(),
            version: 1,
            timeout: DEFAULT_TIMEOUT,
            deadline: DEFAULT_DEADLINE,
            codec: Codec::default(),
            naming: Naming::default(),
        }
    }

    /// Its alias, in logs and errors.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Where the time comes from; tests give a [`ManualClock`](crate::ManualClock)'s.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Django's `KEY_PREFIX`: the namespace.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Django's `VERSION`: 1 unless said otherwise.
    pub fn version(mut self, version: u64) -> Self {
        self.version = version;
        self
    }

    /// Django's `TIMEOUT`: how long entries live for which nothing else is said. 300 s unless said otherwise.
    pub fn timeout(mut self, timeout: impl Into<Timeout>) -> Self {
        self.timeout = timeout.into().or(DEFAULT_TIMEOUT);
        self
    }

    /// Entries for which nothing else is said live for ever (Django: `TIMEOUT: None`).
    pub fn no_timeout(mut self) -> Self {
        self.timeout = Timeout::FOREVER;
        self
    }

    /// How long one step to the store may take; 1 s unless said otherwise. In-process backends have none.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How values become bytes.
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// The cache. Nothing is connected.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) if the prefix can't be one (see [`Space::new`]) or the deadline is zero.
    pub fn build(self) -> Result<Cache, Error> {
        if self.deadline.is_zero() {
            return Err(Error::config(
                "a deadline of 0 lets no step finish; leave it out or give it some milliseconds",
            ));
        }
        let space = Space::new(&self.prefix)?;
        if space.is_of_locks() {
            return Err(Error::config(format!(
                "the key prefix {:?} is that of the locks of another cache; let it end otherwise",
                self.prefix
            )));
        }
        Ok(self.finish(space))
    }

    fn finish(self, space: Space) -> Cache {
        let capabilities = self.backend.capabilities();
        Cache {
            inner: Arc::new(Inner {
                name: self.name.into(),
                backend: self.backend,
                capabilities,
                clock: self.clock,
                space,
                version: self.version,
                timeout: self.timeout,
                deadline: self.deadline,
                codec: self.codec,
                naming: self.naming,
                locks: OnceLock::new(),
                flights: Flights::new(),
                remembered: Remembered::default(),
                attached: Mutex::default(),
            }),
        }
    }
}
