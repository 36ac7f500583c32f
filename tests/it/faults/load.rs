//! Requests that go on whatever happens to the store, and what has to be true of each of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Path;
use axum::routing::get as route;
use larder::prelude::*;
use larder_core::{Event, Operation};
use tokio::task::JoinHandle;

use crate::support::{ask, get};

/// So many ask at the same time.
pub(crate) const WORKERS: usize = 6;
const PAGES: usize = 24;
/// What is to happen happens on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(120);

/// What each page is at the moment, and what it was when it was last invalidated with success: nobody who asks later may see an
/// older one.
#[derive(Debug, Default)]
struct Truth {
    now: [AtomicU64; PAGES],
    floor: [AtomicU64; PAGES],
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicUsize,
    slowest: AtomicU64,
    /// Steps that were tried and were outages, but for those that are always tried.
    outages: AtomicUsize,
    failed: AtomicUsize,
    opened: AtomicUsize,
    probes: AtomicUsize,
    closed: AtomicUsize,
}

impl Counts {
    fn note(&self, event: &Event) {
        match event {
            Event::StepFailed { operation, kind } => {
                self.failed.fetch_add(1, Ordering::SeqCst);
                let always = matches!(operation, Operation::Invalidate | Operation::Ping | Operation::Clear);
                if kind.is_outage() && !always {
                    self.outages.fetch_add(1, Ordering::SeqCst);
                }
            }
            Event::BreakerOpened { .. } => drop(self.opened.fetch_add(1, Ordering::SeqCst)),
            Event::BreakerHalfOpen => drop(self.probes.fetch_add(1, Ordering::SeqCst)),
            Event::BreakerClosed { .. } => drop(self.closed.fetch_add(1, Ordering::SeqCst)),
            _ => {}
        }
    }
}

/// Requests under way, until [`end`](Self::end).
pub(crate) struct Load {
    pub(crate) cache: Cache,
    apps: [Router; 2],
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

/// What a store cost, in attempts and in time.
#[derive(Debug)]
pub(crate) struct Cost {
    pub(crate) outages: usize,
    pub(crate) failed: usize,
    pub(crate) probes: usize,
    slowest: Duration,
}

impl Cost {
    /// Until the breaker opens, five in a row and whoever was under way with them; then the probes. A worker has one step of its request
    /// under way, and perhaps one that stores a page beside it.
    pub(crate) fn is_bounded(&self, what: &str) {
        let bound = 5 + 3 * WORKERS + self.probes;
        assert!(self.outages <= bound, "{what}: {self:?}, and no more than {bound} attempts were to be");
        assert!(self.outages > 0, "{what}: nothing happened");
        self.report(what);
    }

    /// For who reads along.
    pub(crate) fn report(&self, what: &str) {
        let Self { outages, failed, probes, slowest } = self;
        println!(
            "{what}: {outages} outages, {failed} failures, {probes} probes, the slowest request took {slowest:?}"
        );
    }
}

impl Load {
    /// Begins to ask; the cache has the deadline that it has by itself.
    pub(crate) fn on(url: &str) -> Self {
        let counts = Arc::new(Counts::default());
        let note = Arc::clone(&counts);
        let builder = larder::schemes().builder(url).expect("a cache's URL");
        let cache = builder.on_event(move |event| note.note(event)).build().expect("a cache");
        let truth = Arc::new(Truth::default());
        let apps = [
            pages(&truth).layer(cache_page(600).cache(&cache)),
            larder::site(pages(&truth)).cache(&cache).key_prefix("site").into_router(),
        ];
        let stop = Arc::new(AtomicBool::new(false));
        let mut load = Self { cache, apps, counts, stop, tasks: Vec::new() };
        for worker in 0..WORKERS {
            load.tasks.push(tokio::spawn(load.worker(worker, Arc::clone(&truth))));
        }
        load.tasks.push(tokio::spawn(load.values()));
        load.tasks.push(tokio::spawn(load.writer(truth)));
        load
    }

    /// Asks for page after page.
    fn worker(&self, worker: usize, truth: Arc<Truth>) -> impl Future<Output = ()> + use<> {
        let (app, counts) = (self.apps[worker % 2].clone(), Arc::clone(&self.counts));
        let stop = Arc::clone(&self.stop);
        async move {
            let mut n = worker;
            while !stop.load(Ordering::SeqCst) {
                n = (n * 5 + 7 + worker) % PAGES;
                let floor = truth.floor[n].load(Ordering::SeqCst);
                let began = Instant::now();
                let answer = ask(&app, get(&format!("/{n}"))).await;
                let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                counts.slowest.fetch_max(took, Ordering::SeqCst);
                assert_eq!(answer.status, 200, "{answer:?}");
                let version = read(answer.text(), n);
                assert!(
                    version >= floor,
                    "page {n} is of {version}, and was invalidated at {floor}: {answer:?}"
                );
                counts.requests.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    /// Makes values by the low-level cache.
    fn values(&self) -> impl Future<Output = ()> + use<> {
        let (cache, stop) = (self.cache.clone(), Arc::clone(&self.stop));
        async move {
            let mut n = 0;
            while !stop.load(Ordering::SeqCst) {
                n = (n + 1) % 10;
                // Of values, unlike pages, nobody takes a checksum: one whose bytes were damaged on their way shows it by its two halves.
                let whole = [format!("made {n}"), format!("made {n}")];
                let made = cache.get_or_set(&format!("value{n}"), || async { whole.clone() }).await;
                let made = made.expect("a value is made whatever happens");
                assert!(made == whole || made[0] != made[1], "{made:?} is another's");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// Changes pages and invalidates them.
    fn writer(&self, truth: Arc<Truth>) -> impl Future<Output = ()> + use<> {
        let (cache, stop) = (self.cache.clone(), Arc::clone(&self.stop));
        async move {
            let mut n = 0;
            while !stop.load(Ordering::SeqCst) {
                n = (n + 11) % PAGES;
                let version = truth.now[n].fetch_add(1, Ordering::SeqCst) + 1;
                if cache.invalidate([format!("page:{n}")]).await.is_ok() {
                    truth.floor[n].fetch_max(version, Ordering::SeqCst);
                }
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        }
    }

    /// Until so many more requests were answered.
    pub(crate) async fn go_on(&self, requests: usize) {
        let (until, late) = (self.requests() + requests, Instant::now() + PATIENCE);
        while self.requests() < until {
            self.still_runs(late, "requests are answered");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Until pages come out of the cache again, in both ways to mount, and the breaker is closed.
    pub(crate) async fn hits(&self) {
        let late = Instant::now() + PATIENCE;
        for app in &self.apps {
            let mut n = 0;
            while !ask(app, get(&format!("/{n}"))).await.is_hit() {
                n = (n + 1) % 3;
                self.still_runs(late, "pages are hits again");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        let closed = || self.counts.closed.load(Ordering::SeqCst) > 0;
        while self.counts.opened.load(Ordering::SeqCst) > 0 && !closed() {
            self.still_runs(late, "the breaker is closed again");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What it cost since the last time.
    pub(crate) fn cost(&self) -> Cost {
        let counts = &self.counts;
        counts.opened.store(0, Ordering::SeqCst);
        counts.closed.store(0, Ordering::SeqCst);
        Cost {
            outages: counts.outages.swap(0, Ordering::SeqCst),
            failed: counts.failed.swap(0, Ordering::SeqCst),
            probes: counts.probes.swap(0, Ordering::SeqCst),
            slowest: Duration::from_millis(counts.slowest.swap(0, Ordering::SeqCst)),
        }
    }

    /// Stops; a request that failed, or was answered with what was not right, fails the test.
    pub(crate) async fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            if let Err(error) = task.await {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }

    fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::SeqCst)
    }

    fn still_runs(&self, late: Instant, what: &str) {
        assert!(!self.tasks.iter().any(JoinHandle::is_finished), "a request was not answered rightly");
        assert!(Instant::now() < late, "it is long ago, and not yet: {what}");
    }
}

fn pages(truth: &Arc<Truth>) -> Router {
    let truth = Arc::clone(truth);
    let page = move |Path(n): Path<usize>| async move {
        let version = truth.now[n].load(Ordering::SeqCst);
        (PageTags::new([format!("page:{n}")]), write(n, version))
    };
    Router::new().route("/{n}", route(page))
}

/// A page that shows if a part of it is another's.
fn write(n: usize, version: u64) -> String {
    format!("{n} {version};").repeat(200)
}

fn read(text: &str, n: usize) -> u64 {
    let version = text.split_once(' ').and_then(|(_, rest)| rest.split(';').next()?.parse().ok());
    let version = version.unwrap_or_else(|| panic!("this is no page: {text:.200}"));
    assert_eq!(text, write(n, version), "page {n}");
    version
}
