//! Keeping values and pages warm: made again on a schedule, before anybody misses them.
//!
//! What a Celery beat job does for Django's cache. A [`Warmer`] is told what to make and how often; [`spawn`](Warmer::spawn) starts the one
//! task that does it.
//!
//! ```
//! use std::time::Duration;
//! use larder_core::{Cache, Warmer};
//!
//! # use larder_core::Dummy;
//! # async fn fetch() -> Result<String, std::io::Error> { Ok("fetched".to_owned()) }
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), larder_core::Error> {
//! # let cache = Cache::new(Dummy);
//! let warming = Warmer::new(&cache).every(Duration::from_secs(600)).try_key("httpbin_result", fetch).spawn()?;
//! // … and when the application ends:
//! warming.stop().await;
//! # Ok(()) }
//! ```
//!
//! - **What fails keeps its old value.** A value is replaced when the new one is there, never removed before. What failed is tried again
//!   soon, then ever more seldom, up to the interval.
//! - **An invalidation wins.** What was invalidated, deleted or set by somebody else while it was being made is not overwritten.
//! - **One process at a time.** Those that share the store agree by a [lock](crate::Cache::lock) on who does the work; if that process dies,
//!   another takes over within about a minute. A lock saves work, it proves nothing: for a moment there may be two.
//! - **It ends with its runtime,** or with [`stop`](Warming::stop). Dropping the handle ends nothing.

mod job;
mod key;
mod lead;
mod run;
mod told;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cache::Cache;
use crate::error::Error;
use crate::timeout::Timeout;

pub use job::{Warm, WarmJob, Warmed};
pub use key::WarmKey;
pub use told::{WarmCounts, WarmEvent};

use run::Run;
use told::{Observer, Teller};

/// Keeps a list of values and pages warm; see the [module](self).
#[must_use = "nothing is kept warm until it is spawned"]
pub struct Warmer {
    cache: Cache,
    every: Duration,
    jitter: Option<Duration>,
    timeout: Option<Timeout>,
    concurrency: usize,
    max_failures: u32,
    max_run: Duration,
    name: Option<String>,
    observer: Option<Observer>,
    jobs: Vec<WarmJob>,
    /// The first thing that was wrong.
    wrong: Option<Error>,
}

impl Warmer {
    /// Nothing yet, every minute. `cache` is where keys are stored, and where the processes agree on who does the work.
    pub fn new(cache: &Cache) -> Self {
        Self {
            cache: cache.clone(),
            every: Duration::from_secs(60),
            jitter: None,
            timeout: None,
            concurrency: 4,
            max_failures: u32::MAX,
            max_run: Duration::from_secs(60),
            name: None,
            observer: None,
            jobs: Vec::new(),
            wrong: None,
        }
    }

    /// How long after it was made each thing is made again; a minute unless said otherwise.
    pub fn every(mut self, interval: Duration) -> Self {
        self.every = interval;
        self
    }

    /// A random time up to this is added to each interval, so that what began together does not come back together; a tenth of the interval
    /// unless said otherwise.
    pub fn jitter(mut self, most: Duration) -> Self {
        self.jitter = Some(most);
        self
    }

    /// How long the values of [`key`](Self::key) and [`try_key`](Self::try_key) live; three intervals unless said otherwise, so that two
    /// failures in a row leave the old value there. Pages live as long as their layer says.
    pub fn timeout(mut self, timeout: impl Into<Timeout>) -> Self {
        self.timeout = Some(timeout.into());
        self
    }

    /// How many things are made at the same time at most; 4 unless said otherwise.
    pub fn concurrency(mut self, most: usize) -> Self {
        self.concurrency = most;
        self
    }

    /// After how many failures in a row a thing is given up; never unless said otherwise.
    pub fn max_failures(mut self, failures: u32) -> Self {
        self.max_failures = failures;
        self
    }

    /// How long making one thing may take; 60 s unless said otherwise. What takes longer is dropped and has failed.
    pub fn max_run(mut self, limit: Duration) -> Self {
        self.max_run = limit;
        self
    }

    /// By which name the processes that share the store know this warmer, for several with the same list. Unless said otherwise, the list
    /// itself is the name: those that keep the same things warm take turns.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// A value, made by a closure that can't fail. It is stored as [`Cache::set`] stores it.
    pub fn key<T, F, Fut>(self, key: impl Into<String>, make: F) -> Self
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = T> + Send + 'static,
    {
        self.warm(WarmKey::new(key, make))
    }

    /// A value, made by a closure that may fail.
    pub fn try_key<T, E, F, Fut>(self, key: impl Into<String>, make: F) -> Self
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
        E: fmt::Display + Send + 'static,
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.warm(WarmKey::fallible(key, make))
    }

    /// Other things: a [`WarmKey`] with tags or a timeout of its own, pages, or jobs of your own.
    pub fn warm(mut self, things: impl Warm) -> Self {
        match things.jobs() {
            Ok(jobs) => self.jobs.extend(jobs),
            Err(error) => _ = self.wrong.get_or_insert(error),
        }
        self
    }

    /// Is told of everything that happens, in the task that keeps warm: it must not block.
    pub fn on_event(mut self, observer: impl Fn(&WarmEvent<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Starts it, on the runtime of the caller. The first round begins at once.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if there is nothing to do, if a setting is zero, if what was to be kept warm can't be, and outside of a
    /// Tokio runtime.
    pub fn spawn(self) -> Result<Warming, Error> {
        if let Some(error) = self.wrong {
            return Err(error);
        }
        let zero = |what, least| Error::config(format!("a warmer with {what} never does anything; {least}"));
        match () {
            () if self.jobs.is_empty() => {
                return Err(zero("nothing to keep warm", "give it a key() or something to warm()"));
            }
            () if self.every.is_zero() => {
                return Err(Error::config(
                    "a warmer with an interval of 0 would never rest; give every() some seconds",
                ));
            }
            () if self.concurrency == 0 => {
                return Err(zero("a concurrency of 0", "1 is one after the other"));
            }
            () if self.max_failures == 0 => {
                return Err(zero("max_failures of 0", "1 gives up at the first failure"));
            }
            () if self.max_run.is_zero() => return Err(zero("a max_run of 0", "give it some seconds")),
            () => {}
        }
        let runtime = Handle::try_current().map_err(|_| {
            Error::config(
                "a warmer needs a Tokio runtime to run on; call spawn() within one, as in #[tokio::main]",
            )
        })?;
        let (stop, stopped) = watch::channel(false);
        let teller = Arc::new(Teller::new(self.observer));
        let name = self.name.unwrap_or_else(|| listed(&self.jobs));
        let jitter = self.jitter.unwrap_or(self.every / 10);
        let run = Run {
            timeout: self
                .timeout
                .unwrap_or_else(|| self.every.saturating_mul(3).saturating_add(jitter).into()),
            // The store may be slow: nobody waits for this.
            cache: self.cache.beside_requests(),
            every: self.every,
            jitter,
            concurrency: self.concurrency,
            max_failures: self.max_failures,
            max_run: self.max_run,
            name,
            teller: Arc::clone(&teller),
        };
        Ok(Warming { task: runtime.spawn(run.until(self.jobs, stopped)), stop, teller })
    }
}

impl fmt::Debug for Warmer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warmer")
            .field("cache", &self.cache.name())
            .field("every", &self.every)
            .field("jobs", &self.jobs.len())
            .finish_non_exhaustive()
    }
}

/// A name for who has these jobs.
fn listed(jobs: &[WarmJob]) -> String {
    let mut names: Vec<&str> = jobs.iter().map(WarmJob::name).collect();
    names.sort_unstable();
    blake3::hash(names.join("\n").as_bytes()).to_hex().as_str()[..16].to_owned()
}

/// A warmer at work. Dropping this ends nothing; [`stop`](Self::stop) does, and the end of the runtime.
#[derive(Debug)]
pub struct Warming {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
    teller: Arc<Teller>,
}

impl Warming {
    /// Begins nothing more, waits until what is being made is made, and lets another process take over.
    ///
    /// # Cancel safety
    /// If dropped, it ends all the same.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // It ends, or its runtime has ended it.
        _ = self.task.await;
    }

    /// What happened so far, in this process.
    pub fn counts(&self) -> WarmCounts {
        self.teller.counts()
    }

    /// Whether it has ended: everything was given up, or the runtime is gone.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
}
