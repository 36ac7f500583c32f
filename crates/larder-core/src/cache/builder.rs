//! Settings of a cache.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::naming::Naming;
use super::{Cache, Inner, packing};
use crate::backend::Backend;
use crate::breaker::{Breaker, Circuit};
use crate::clock::Clock;
use crate::codec::Codec;
use crate::erased::DynBackend;
use crate::error::Error;
use crate::events::{Event, Observer, Reporter};
use crate::flight::Flights;
use crate::key::Space;
use crate::pack::Compression;
use crate::remembered::Remembered;
use crate::timeout::Timeout;

/// What Django uses where nothing is said: 300 s.
const DEFAULT_TIMEOUT: Timeout = Timeout::secs(300);
/// A lease is renewed three times in its life, over a store that may take its time.
const SHORTEST_LEASE: Duration = Duration::from_millis(100);
const DEFAULT_DEADLINE: Duration = Duration::from_millis(100);

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
    lease: Duration,
    codec: Codec,
    pub(super) naming: Naming,
    pub(super) compression: Compression,
    pub(super) compress_above: usize,
    breaker: Option<Breaker>,
    ignore_errors: bool,
    observer: Option<Observer>,
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
            lease: super::lease::LEASE,
            codec: Codec::default(),
            naming: Naming::default(),
            compression: Compression::none(),
            compress_above: crate::pack::ABOVE,
            breaker: Some(Breaker::default()),
            ignore_errors: false,
            observer: None,
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

    /// How long one step to the store may take, and how long one request may wait for its store in all; 100 ms unless said otherwise.
    /// In-process backends have none.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long the other processes that share the store wait at most for one that died while it made a page or a value: the time that its
    /// lease lives without being renewed. 5 s unless said otherwise; zero turns leases off, and each process makes its own. Stores in
    /// this process have none.
    ///
    /// It costs a miss one step, and a hit nothing.
    pub fn lease(mut self, lives: Duration) -> Self {
        self.lease = lives;
        self
    }

    /// How values become bytes.
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// When a store that does not answer is left alone for a while; after 5 outages in a row unless said otherwise. In-process
    /// backends have none.
    pub fn breaker(mut self, breaker: Breaker) -> Self {
        self.breaker = Some(breaker);
        self
    }

    /// Every step is tried, however often the store did not answer.
    pub fn no_breaker(mut self) -> Self {
        self.breaker = None;
        self
    }

    /// Whether the low-level API treats a store that fails as one in which nothing is and nothing happens; not unless said otherwise.
    /// django-redis: `IGNORE_EXCEPTIONS`.
    ///
    /// Reads find nothing, writes and removals do nothing and say so by what they give (`false`, `0`, an empty map), and `incr` finds no
    /// value to count on ([`NotFound`](crate::ErrorKind::NotFound)). Each time there is an [`Event::Ignored`](crate::Event::Ignored). What is wrong with a
    /// call is an error all the same, and so is everything about `invalidate` (its `Ok` is a promise), locks and `ping`.
    pub fn ignore_errors(mut self, ignore: bool) -> Self {
        self.ignore_errors = ignore;
        self
    }

    /// Who is told what happens between the cache and its store. It is called where it happens, so it must be quick.
    ///
    /// ```
    /// use std::sync::{Arc, OnceLock};
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// use larder_core::{Cache, Dummy, Event};
    ///
    /// let failed = Arc::new(AtomicUsize::new(0));
    /// let count = Arc::clone(&failed);
    /// let cache = Cache::builder(Dummy)
    ///     .on_event(move |event| {
    ///         if let Event::StepFailed { .. } = event {
    ///             count.fetch_add(1, Ordering::Relaxed);
    ///         }
    ///     })
    ///     .build()?;
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    pub fn on_event(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Some(Observer::new(observer));
        self
    }

    /// The cache. Nothing is connected.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the prefix can't be one (see [`Space::new`]), the deadline is zero, the lease is too short, the breaker could never
    /// open or close, or the compression has no such level.
    pub fn build(self) -> Result<Cache, Error> {
        if self.deadline.is_zero() {
            return Err(Error::config(
                "a deadline of 0 lets no step finish; leave it out or give it some milliseconds",
            ));
        }
        if !self.lease.is_zero() && self.lease < SHORTEST_LEASE {
            return Err(Error::config(format!(
                "a lease of {:?} would be over before it could be renewed; give it at least {SHORTEST_LEASE:?}, or 0 for none",
                self.lease
            )));
        }
        if let Some(breaker) = &self.breaker {
            breaker.check()?;
        }
        self.compression.check()?;
        let space = Space::new(&self.prefix)?;
        if space.is_of_locks() {
            return Err(Error::config(format!(
                "the key prefix {:?} is that of the locks of another cache; let it end otherwise",
                self.prefix
            )));
        }
        Ok(self.finish(space))
    }

    pub(super) fn finish(self, space: Space) -> Cache {
        let capabilities = self.backend.capabilities();
        Cache {
            allowance: None,
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
                compressor: packing::compressor(self.compression, self.compress_above),
                naming: self.naming,
                locks: OnceLock::new(),
                lease: self.lease,
                leases: OnceLock::new(),
                held: Default::default(),
                ignore_errors: self.ignore_errors,
                circuit: self.breaker.map(Circuit::new),
                reporter: Reporter::new(self.observer),
                flights: Flights::new(),
                remembered: Remembered::default(),
                attached: Default::default(),
            }),
        }
    }
}
