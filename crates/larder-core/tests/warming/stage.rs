//! A cache whose clock stands still, and what a warmer on it tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_core::{Cache, ManualClock, WarmEvent, Warmer};
use larder_memory::Memory;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub(crate) struct Stage {
    pub(crate) cache: Cache,
    pub(crate) hand: ManualClock,
    pub(crate) runs: Runs,
    told: UnboundedSender<String>,
    events: UnboundedReceiver<String>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let hand = ManualClock::new(1_700_000_000_000);
        let cache = Cache::builder(Memory::new()).clock(hand.clock()).build().unwrap();
        Self::on(cache, hand)
    }

    pub(crate) fn on(cache: Cache, hand: ManualClock) -> Self {
        let (told, events) = unbounded_channel();
        Self { cache, hand, runs: Runs::default(), told, events }
    }

    /// A warmer every minute, to the millisecond, that tells this stage.
    pub(crate) fn warmer(&self) -> Warmer {
        let told = self.told.clone();
        Warmer::new(&self.cache).every(Duration::from_secs(60)).jitter(Duration::ZERO).on_event(
            move |event| {
                let line = match event {
                    WarmEvent::Leads => "leads".to_owned(),
                    WarmEvent::Follows => "follows".to_owned(),
                    WarmEvent::Refreshed { job } => format!("{job} refreshed"),
                    WarmEvent::Overtaken { job } => format!("{job} overtaken"),
                    WarmEvent::NotStored { job, why } => format!("{job} not stored: {why}"),
                    WarmEvent::Failed { job, error, failures } => format!("{job} failed {failures}: {error}"),
                    WarmEvent::GivenUp { job, failures } => format!("{job} given up {failures}"),
                    other => format!("{other:?}"),
                };
                _ = told.send(line);
            },
        )
    }

    /// What is told next.
    pub(crate) async fn next(&mut self) -> String {
        let next = tokio::time::timeout(Duration::from_secs(20), self.events.recv()).await;
        next.expect("something happens").unwrap()
    }

    /// Asserts what is told next.
    pub(crate) async fn expect(&mut self, line: &str) {
        let next = tokio::time::timeout(Duration::from_secs(20), self.events.recv()).await;
        assert_eq!(next.unwrap_or_else(|_| panic!("{line:?} was never told")).as_deref(), Some(line));
    }

    /// Asserts that nothing happens though everything that can run has run.
    pub(crate) async fn quiet(&mut self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(self.events.try_recv().ok(), None);
    }

    /// Moves the clock.
    pub(crate) fn pass(&self, seconds: u64) {
        self.hand.advance(Duration::from_secs(seconds));
    }

    pub(crate) async fn value(&self, key: &str) -> Option<u64> {
        self.cache.get(key).await.unwrap()
    }
}

/// Counts runs; each makes its own number.
#[derive(Clone, Default)]
pub(crate) struct Runs(Arc<AtomicU64>);

impl Runs {
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}
