//! A cache over a store that fails: what it costs, what it tells, and how it ends. The store's clock is moved by hand, and the timers of
//! deadlines run on paused time: nothing here waits.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod breaker;
mod deadlines;
mod faulty;
mod ignoring;
mod logging;
mod panics;

use std::sync::Arc;

use larder_core::{Cache, CacheBuilder, Event, ManualClock};
use parking_lot::Mutex;

use faulty::Store;

/// A store that fails as it is told, the hand of the clock, and what was told.
struct Stage {
    store: Store,
    hand: ManualClock,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Stage {
    fn new() -> Self {
        Self { store: Store::new(), hand: ManualClock::new(1_700_000_000_000), events: Arc::default() }
    }

    fn builder(&self) -> CacheBuilder {
        let events = Arc::clone(&self.events);
        Cache::builder(self.store.backend.clone())
            .clock(self.hand.clock())
            .on_event(move |event| events.lock().push(*event))
    }

    fn cache(&self) -> Cache {
        self.builder().build().unwrap()
    }

    /// What was told since the last time, by name; of equal ones in a row, one.
    fn told(&self) -> Vec<&'static str> {
        let mut told: Vec<_> =
            std::mem::take(&mut *self.events.lock()).into_iter().map(Event::as_str).collect();
        told.dedup();
        told
    }
}
