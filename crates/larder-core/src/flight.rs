//! Coalescing in one process: many ask for the same thing, one makes it.
//!
//! The first to [`join`](Flights::join) a key leads; the rest wait. A leader [publishes](Leader::publish) what it
//! made; a leader that is dropped before (panic, cancellation, error) releases its waiters as
//! [abandoned](Outcome::Abandoned), and they join again, so nobody hangs on a leader that is gone. A request joins a
//! flight only if the fence it read is the flight's: what was invalidated since the flight began is never handed to
//! somebody who asked later.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fmt;
use std::hash::BuildHasher;

use foldhash::quality::RandomState;

use crate::key::Key;
use crate::settled::{Settled, Waiting};
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering};
use crate::tag::Nonce;

const SHARDS: usize = 16;

/// The flights of one kind, by key.
pub struct Flights<V> {
    shared: Arc<Shared<V>>,
}

type Shard<V> = Mutex<HashMap<Key, Arc<Flight<V>>, RandomState>>;

struct Shared<V> {
    shards: [Shard<V>; SHARDS],
    hasher: RandomState,
}

struct Flight<V> {
    fence: Nonce,
    /// What came of it, once that is known; `None`: nothing.
    outcome: Arc<Settled<Option<V>>>,
    waiters: AtomicUsize,
    /// 1 once its leader is about to store. Changed under the lock of the shard alone.
    landing: AtomicUsize,
    /// One that this overtook while its leader was storing.
    overtaken: Option<Arc<Flight<V>>>,
}

/// What [`Flights::join`] makes of a caller.
#[derive(Debug)]
pub enum Joined<V> {
    /// Nobody else is at it: make the value and publish it.
    Lead(Leader<V>),
    /// Somebody is at it: wait.
    Wait(Waiter<V>),
    /// More than the limit wait already: go alone, and store nothing.
    Full,
}

/// What a waiter got.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<V> {
    /// What the leader published.
    Value(V),
    /// The leader is gone; join again.
    Abandoned,
}

impl<V: Clone + Send + Sync + 'static> Flights<V> {
    /// No flights.
    pub fn new() -> Self {
        let shards = std::array::from_fn(|_| Mutex::new(HashMap::default()));
        Self { shared: Arc::new(Shared { shards, hasher: RandomState::default() }) }
    }

    /// Leads or waits. `limit` is how many may wait on one flight.
    pub fn join(&self, key: &Key, fence: Nonce, limit: usize) -> Joined<V> {
        let mut shard = self.shared.shard(key).lock();
        match shard.entry(key.clone()) {
            Slot::Occupied(mut slot) => {
                let flight = slot.get();
                if flight.fence == fence {
                    return wait(flight, limit);
                }
                // Begun before an invalidation that this caller knows of. It lands for those who joined it before; newcomers
                // get a new one.
                let overtaken = match flight.lands() {
                    true => Some(Arc::clone(flight)),
                    false => flight.overtaken.clone(),
                };
                let flight = Arc::new(Flight::new(fence, overtaken));
                slot.insert(Arc::clone(&flight));
                Joined::Lead(self.leader(key, flight))
            }
            Slot::Vacant(slot) => {
                let flight = Arc::new(Flight::new(fence, None));
                slot.insert(Arc::clone(&flight));
                Joined::Lead(self.leader(key, flight))
            }
        }
    }

    /// Waits on a flight if there is one; never leads.
    pub fn follow(&self, key: &Key, fence: Nonce, limit: usize) -> Option<Joined<V>> {
        let shard = self.shared.shard(key).lock();
        shard.get(key).filter(|flight| flight.fence == fence).map(|flight| wait(flight, limit))
    }

    /// Takes a flight out of the way: its leader will find that it is no longer [open](Leader::is_open), and may not [land](Leader::land). If
    /// it does so already, what it stores may come after whatever the caller does now: gives what says when that is over.
    #[must_use = "what lands already is stored after this"]
    pub fn forget(&self, key: &Key) -> Option<Landing<V>> {
        self.shared.shard(key).lock().remove(key).and_then(|flight| flight.landing())
    }

    /// The same for all flights whose keys are meant.
    #[must_use = "what lands already is stored after this"]
    pub fn forget_all(&self, meant: impl Fn(&Key) -> bool) -> Vec<Landing<V>> {
        let mut landings = Vec::new();
        for shard in &self.shared.shards {
            shard.lock().retain(|key, flight| {
                let goes = meant(key);
                landings.extend(goes.then(|| flight.landing()).flatten());
                !goes
            });
        }
        landings
    }

    /// How many flights are under way.
    pub fn len(&self) -> usize {
        self.shared.shards.iter().map(|s| s.lock().len()).sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn leader(&self, key: &Key, flight: Arc<Flight<V>>) -> Leader<V> {
        Leader { shared: Arc::clone(&self.shared), key: key.clone(), flight }
    }
}

fn wait<V>(flight: &Arc<Flight<V>>, limit: usize) -> Joined<V> {
    if flight.waiters.fetch_add(1, Ordering::Relaxed) >= limit {
        flight.waiters.fetch_sub(1, Ordering::Relaxed);
        return Joined::Full;
    }
    Joined::Wait(Waiter { outcome: Settled::waiting(&flight.outcome), flight: Arc::clone(flight) })
}

impl<V> Shared<V> {
    fn shard(&self, key: &Key) -> &Shard<V> {
        let hash = self.hasher.hash_one(key);
        &self.shards[hash as usize % SHARDS]
    }
}

impl<V> Flight<V> {
    fn new(fence: Nonce, overtaken: Option<Arc<Self>>) -> Self {
        let outcome = Arc::new(Settled::new());
        Self { fence, outcome, waiters: AtomicUsize::new(0), landing: AtomicUsize::new(0), overtaken }
    }

    fn lands(&self) -> bool {
        self.landing.load(Ordering::Relaxed) > 0
    }

    fn landing(&self) -> Option<Landing<V>> {
        let mut landing = Vec::new();
        let mut flight = Some(self);
        while let Some(one) = flight {
            landing.extend(one.lands().then(|| Settled::waiting(&one.outcome)));
            flight = one.overtaken.as_deref();
        }
        (!landing.is_empty()).then_some(Landing(landing))
    }
}

impl<V: Clone + Send + Sync + 'static> Default for Flights<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> Clone for Flights<V> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<V> fmt::Debug for Flights<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

/// The one who makes the value. The flight is open to newcomers until this is dropped.
pub struct Leader<V> {
    shared: Arc<Shared<V>>,
    key: Key,
    flight: Arc<Flight<V>>,
}

impl<V> Leader<V> {
    /// Hands the value to all who wait and to all who join while the flight is open.
    pub fn publish(&self, value: V) {
        self.flight.outcome.settle(Some(value));
    }

    /// How many have joined to wait and not gone again.
    pub fn waiters(&self) -> usize {
        self.flight.waiters.load(Ordering::Relaxed)
    }

    /// Whether newcomers still join; not if the flight was [forgotten](Flights::forget) or overtaken, and then what it
    /// makes must not be stored.
    pub fn is_open(&self) -> bool {
        self.shared.shard(&self.key).lock().get(&self.key).is_some_and(|f| Arc::ptr_eq(f, &self.flight))
    }

    /// Asks whether what it makes may be stored, as [`is_open`](Self::is_open) does, and says that it is being stored until it is published, or
    /// the leader gone: whoever [forgets](Flights::forget) the flight from now on can wait for that.
    pub fn land(&self) -> bool {
        let shard = self.shared.shard(&self.key).lock();
        let open = shard.get(&self.key).is_some_and(|f| Arc::ptr_eq(f, &self.flight));
        if open {
            self.flight.landing.store(1, Ordering::Relaxed);
        }
        open
    }

    /// Closes the flight to newcomers, who lead a new one. Those who wait go on waiting.
    pub fn close(&self) {
        let mut shard = self.shared.shard(&self.key).lock();
        if shard.get(&self.key).is_some_and(|f| Arc::ptr_eq(f, &self.flight)) {
            shard.remove(&self.key);
        }
    }
}

impl<V> Drop for Leader<V> {
    fn drop(&mut self) {
        self.close();
        self.flight.outcome.settle_if_open(None);
    }
}

impl<V> fmt::Debug for Leader<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leader").field("key", &self.key).finish_non_exhaustive()
    }
}

/// A leader who was storing already when its flight was forgotten.
pub struct Landing<V>(Vec<Waiting<Option<V>>>);

impl<V: Clone> Landing<V> {
    /// Ends when it has stored, or won't any more.
    ///
    /// # Cancel safety
    /// May be dropped at any point, and called again.
    pub async fn over(&mut self) {
        for one in &mut self.0 {
            one.settled().await;
        }
    }
}

impl<V> fmt::Debug for Landing<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Landing").finish_non_exhaustive()
    }
}

/// Somebody who waits for the leader.
pub struct Waiter<V> {
    outcome: Waiting<Option<V>>,
    flight: Arc<Flight<V>>,
}

impl<V: Clone> Waiter<V> {
    /// What the leader made.
    ///
    /// # Cancel safety
    /// May be dropped at any point, and called again.
    pub async fn wait(&mut self) -> Outcome<V> {
        match self.outcome.settled().await {
            Some(value) => Outcome::Value(value),
            None => Outcome::Abandoned,
        }
    }
}

impl<V> Drop for Waiter<V> {
    fn drop(&mut self) {
        self.flight.waiters.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<V> fmt::Debug for Waiter<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter").finish_non_exhaustive()
    }
}
