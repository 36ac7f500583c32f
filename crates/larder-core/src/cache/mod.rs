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

mod attached;
mod beyond;
mod builder;
mod count;
mod fill;
mod glob;
mod guarded;
mod keys;
mod lease;
mod lock;
mod lookup;
mod many;
mod naming;
mod ops;
mod own_leases;
mod packing;
mod parts;
mod replace;
mod shared;
mod swap;
mod taken;
mod ttl;
mod versions;
mod windows;

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::backend::{Backend, Capabilities, When};
use crate::breaker::Circuit;
use crate::clock::{Clock, UnixMillis};
use crate::codec::Codec;
use crate::entry::Entry;
use crate::erased::DynBackend;
use crate::error::Error;
use crate::events::{Operation, Reporter};
use crate::flight::Flights;
use crate::key::{Key, KeyBuilder, Space};
use crate::pack::Compressor;
use crate::remembered::Remembered;
use crate::tag::{Fill, Stamp, Tag};
use crate::timeout::Timeout;

use attached::Attached;
pub use builder::CacheBuilder;
use fill::Made;
use guarded::Allowance;

pub use fill::{GetOrSet, TryGetOrSet};
pub use keys::{IterKeys, Keys, RemovePattern};
pub use lease::{Lease, LeaseRequest, Standing, Turn};
pub use lock::{Lock, LockRequest};
pub use many::{GetMany, RemoveMany, SetMany};
pub use ops::{Add, Get, Has, Incr, Remove, Set};
pub use shared::GetShared;
pub use ttl::{At, ExpireAt, GetTtl, Touch, Ttl};
pub use versions::MoveVersion;

use naming::Naming;

/// How many may wait for one value in this process before newcomers go alone.
const WAITERS: usize = 100_000;

/// A handle on one cache: a backend, and the settings that Django keeps in `CACHES[alias]`. Clones share everything.
///
/// Every method that takes a key returns a builder: add what is optional, then `.await` it.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
    /// How long a handle for one request may still wait.
    allowance: Option<Arc<Allowance>>,
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
    compressor: Arc<Compressor>,
    naming: Naming,
    /// Set once the backend has shown that it can do locks.
    locks: OnceLock<()>,
    /// How long a lease lives; zero: there are none.
    lease: Duration,
    /// Whether the backend can do leases, once that is known.
    leases: OnceLock<bool>,
    /// The leases that this process holds, or is about to let go.
    held: own_leases::Own,
    ignore_errors: bool,
    circuit: Option<Circuit>,
    reporter: Reporter,
    flights: Flights<Option<Made>>,
    remembered: Remembered,
    attached: Attached,
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

    /// Whether what is invalidated in one is invalidated in the other: the same backend, and the same namespace.
    pub fn shares_store_with(&self, other: &Self) -> bool {
        self.is_same(other)
            || (self.inner.backend.is_same(&other.inner.backend) && self.inner.space == other.inner.space)
    }

    /// Begins the key of a page or another thing with a long identity, in this cache's namespace and version.
    pub fn key_builder(&self, kind: &'static str) -> KeyBuilder {
        Key::builder(&self.inner.space, self.inner.version, kind)
    }

    /// What a layer above keeps once for this cache: its flights, say, which all layers on one cache share. Made with
    /// `Default` when first asked for.
    pub fn attached<T: Default + Any + Send + Sync>(&self) -> Arc<T> {
        // It stands with its type, so this is always one.
        Arc::clone(self.inner.attached.of::<T>()).downcast().unwrap_or_default()
    }

    /// The same for a look: nobody counts it.
    pub fn attached_ref<T: Default + Any + Send + Sync>(&self) -> &T {
        self.inner.attached.of::<T>().downcast_ref().expect("it stands with its type")
    }

    /// Begins a fill: everything that is made after this and stored with it can be invalidated from now on.
    ///
    /// # Errors
    /// What the backend gives, and [`Deadline`](crate::ErrorKind::Deadline).
    pub async fn begin(&self, tags: &[Tag]) -> Result<Fill, Error> {
        let inner = &*self.inner;
        match inner.backend.begin_now(&inner.space, tags) {
            Some(fill) => Ok(fill),
            None => {
                self.within(Operation::Begin, inner.backend.begin(&inner.space, tags, inner.clock.now()))
                    .await
            }
        }
    }

    /// Begins a fill without waiting, if the backend can.
    pub fn begin_now(&self, tags: &[Tag]) -> Option<Fill> {
        self.inner.backend.begin_now(&self.inner.space, tags)
    }

    /// Ends a fill; `None`: an invalidation came between, store nothing.
    ///
    /// # Errors
    /// What the backend gives, and [`Deadline`](crate::ErrorKind::Deadline).
    pub async fn seal(
        &self,
        fill: &Fill,
        late: &[Tag],
        until: Option<UnixMillis>,
    ) -> Result<Option<Stamp>, Error> {
        let inner = &*self.inner;
        self.within(Operation::Seal, inner.backend.seal(&inner.space, fill, late, until, inner.clock.now()))
            .await
    }

    /// Stores a finished entry.
    ///
    /// # Errors
    /// What the backend gives, and [`Deadline`](crate::ErrorKind::Deadline).
    pub async fn put(&self, key: &Key, entry: Entry, when: When) -> Result<bool, Error> {
        self.note(key, &entry);
        let entry = self.close_entry(entry);
        self.within(Operation::Set, self.inner.backend.set(key, entry, when, self.inner.clock.now())).await
    }

    /// Removes an entry by its key.
    ///
    /// # Errors
    /// What the backend gives, and [`Deadline`](crate::ErrorKind::Deadline).
    pub async fn evict(&self, key: &Key) -> Result<bool, Error> {
        self.within(Operation::Remove, self.inner.backend.remove(key, self.inner.clock.now())).await
    }

    /// Invalidates tags: once this returned `Ok`, nothing that carries one of them and whose fill began before the call is
    /// served any more.
    ///
    /// # Errors
    /// After an error the outcome is unknown, and the call may be repeated.
    pub async fn invalidate<T: Into<Tag>>(&self, tags: impl IntoIterator<Item = T>) -> Result<(), Error> {
        let tags: Vec<Tag> = tags.into_iter().map(Into::into).collect();
        let inner = &*self.inner;
        self.always(Operation::Invalidate, inner.backend.invalidate(&inner.space, &tags, inner.clock.now()))
            .await
    }

    /// Marks tags as stale: once this returned `Ok`, nothing that carries one of them and whose fill began before the call is taken for fresh.
    /// Pages are shown in their windows (`stale_while_revalidate`, `stale_if_error`) and made anew meanwhile; without a window they are misses, and
    /// so are values. It is a [soft purge](https://www.rfc-editor.org/rfc/rfc9111#section-4.2.4): for what may be a little old once more, so that many
    /// who ask do not have to wait for one.
    ///
    /// # Errors
    /// After an error the outcome is unknown, and the call may be repeated.
    pub async fn soft_invalidate<T: Into<Tag>>(
        &self,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<(), Error> {
        let tags: Vec<Tag> = tags.into_iter().map(Into::into).collect();
        let inner = &*self.inner;
        self.always(Operation::Invalidate, inner.backend.soften(&inner.space, &tags, inner.clock.now())).await
    }

    /// Removes every entry of this cache's namespace (its key prefix), of all versions, and nothing else. Django:
    /// `cache.clear()`, except that other namespaces on the same server stay.
    ///
    /// # Errors
    /// What the backend gives. A large namespace may take long: this is not bounded by the deadline.
    pub async fn clear(&self) -> Result<(), Error> {
        let inner = &*self.inner;
        let cleared = inner.backend.clear(&inner.space, inner.clock.now());
        self.forgive(Operation::Clear, self.always_unbounded(Operation::Clear, cleared).await)
    }

    /// Whether the store answers, for those who want to fail at start-up.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) or [`Deadline`](crate::ErrorKind::Deadline) if it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        self.always(Operation::Ping, self.inner.backend.ping()).await
    }

    /// Lets go of connections; the cache may be used again. Django: `cache.close()`.
    ///
    /// # Errors
    /// What the backend gives.
    pub async fn close(&self) -> Result<(), Error> {
        self.inner.backend.close().await
    }
}

/// Another handle on the same cache.
impl From<&Cache> for Cache {
    fn from(cache: &Cache) -> Self {
        cache.clone()
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
