//! The table of entries: what an entry weighs, how many fit, and what happens under one key at a time.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use foldhash::quality::RandomState;
use larder_core::{Entry, Error, ErrorKind, Fate, Key, UnixMillis, Value};
use parking_lot::{Mutex, MutexGuard};
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use crate::records::Records;
use crate::stats::{Counter, Stats};

/// What the table keeps beside key and entry, with the allocator's rounding; measured.
const OVERHEAD: u64 = 96;
const SMALLEST_LIMIT: u64 = 64 << 10;
const LARGEST_LIMIT: u64 = 15 << 20;
/// Below this many, shards fill unevenly enough to matter.
const ENTRIES_PER_SHARD: u64 = 256;
const STRIPES: usize = 64;
const SWEEP_MILLIS: u64 = 30_000;

pub(crate) struct Store {
    table: Cache<Bytes, Slot, BySize, RandomState, Evictions>,
    hasher: RandomState,
    /// Whoever changes what is under a key holds its stripe, so that reading, deciding and writing are one step.
    stripes: Box<[Mutex<()>]>,
    pub(crate) records: Records,
    max_bytes: u64,
    max_entries: u64,
    /// An entry's least weight: what makes a bound on bytes one on entries too.
    least: u64,
    limit: u64,
    /// No entry expires before this.
    earliest: AtomicU64,
    swept: AtomicU64,
    hits: Counter,
    misses: Counter,
    evicted: Arc<AtomicU64>,
}

/// Everything here stays as it was inserted: the table counts on a weight that does not change.
#[derive(Clone)]
struct Slot {
    entry: Entry,
    weight: u64,
    expires: UnixMillis,
}

#[derive(Clone)]
struct BySize;

impl Weighter<Bytes, Slot> for BySize {
    fn weight(&self, _: &Bytes, slot: &Slot) -> u64 {
        slot.weight
    }
}

/// Counts evictions, and keeps what is evicted until the shard's lock is gone: dropping a value may take long.
#[derive(Clone)]
struct Evictions(Arc<AtomicU64>);

impl Lifecycle<Bytes, Slot> for Evictions {
    type RequestState = Vec<Slot>;

    fn before_evict(&self, _: &mut Vec<Slot>, _: &Bytes, _: &mut Slot) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn on_evict(&self, gone: &mut Vec<Slot>, _: Bytes, slot: Slot) {
        gone.push(slot);
    }
}

impl Store {
    pub(crate) fn new(max_bytes: u64, max_entries: u64, max_tag_records: usize) -> Self {
        let least = (max_bytes / max_entries).max(1);
        // Rounded down to whole entries, so that not one more than `max_entries` fits.
        let capacity = if max_entries < max_bytes { least * max_entries } else { max_bytes };
        let limit = (max_bytes / 8).clamp(SMALLEST_LIMIT, LARGEST_LIMIT);
        let cores = std::thread::available_parallelism().map_or(4, usize::from) as u64;
        let mut shards = (cores * 4).next_power_of_two().min(64);
        while shards > 1
            && (hot(capacity / shards) < limit || max_entries.min(capacity) / shards < ENTRIES_PER_SHARD)
        {
            shards /= 2;
        }
        // Where few fit, the share of the hot is all: otherwise the only entry of a store of one would be refused.
        let few = shards == 1 && hot(capacity) < least.max(limit);
        let limit = limit.min(capacity);
        // How many were evicted is remembered for this many, outside the bound: 2 KiB an entry is a fair guess.
        let estimate = max_entries.min(max_bytes / 2048).max(32 * shards);
        let options = OptionsBuilder::new()
            .shards(shards as usize)
            .estimated_items_capacity(usize::try_from(estimate).unwrap_or(usize::MAX))
            .weight_capacity(capacity / shards * shards)
            .hot_allocation(if few { 1.0 } else { 0.97 })
            .build()
            .expect("both capacities are given");
        let evicted = Arc::default();
        let hasher = RandomState::default();
        Self {
            table: Cache::with_options(options, BySize, hasher.clone(), Evictions(Arc::clone(&evicted))),
            hasher,
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            records: Records::new(max_tag_records),
            max_bytes,
            max_entries,
            least,
            limit,
            earliest: AtomicU64::new(u64::MAX),
            swept: AtomicU64::new(0),
            hits: Counter::default(),
            misses: Counter::default(),
            evicted,
        }
    }

    pub(crate) fn bounds(&self) -> (u64, u64) {
        (self.max_bytes, self.max_entries)
    }

    pub(crate) fn max_entry_bytes(&self) -> u64 {
        self.limit
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            entries: self.table.len() as u64,
            bytes: self.table.weight(),
            hits: self.hits.sum(),
            misses: self.misses.sum(),
            evictions: self.evicted.load(Ordering::Relaxed),
            tag_records: self.records.tags() as u64,
        }
    }

    /// The valid entry under `key`. Counted.
    pub(crate) fn read(&self, key: &Key, now: UnixMillis) -> Option<Entry> {
        let found = self.standing(key.identity(), now);
        if found.is_some() { &self.hits } else { &self.misses }.add_one();
        found
    }

    /// The valid entry under `key`.
    fn valid(&self, key: &[u8], now: UnixMillis) -> Option<Entry> {
        self.standing(key, now).filter(|entry| entry.stale_since().is_none())
    }

    /// The entry under `key` that is valid or marked as stale; one that is neither is removed.
    fn standing(&self, key: &[u8], now: UnixMillis) -> Option<Entry> {
        let slot = self.table.get(key)?;
        if slot.expires > now {
            match self.records.standing(prefix(key), &slot.entry) {
                Fate::Same => return Some(slot.entry),
                Fate::Marked(since) => return Some(slot.entry.marked_stale(since)),
                Fate::Gone => {}
            }
        }
        self.table.remove_if(key, |there| there.entry.is_same(&slot.entry));
        None
    }

    /// Takes hold of a key: until it is let go, nobody else changes what is under it, except by eviction.
    pub(crate) fn hold<'a>(&'a self, key: &'a Key) -> Held<'a> {
        use std::hash::BuildHasher;
        let stripe = self.hasher.hash_one(key.identity()) as usize % STRIPES;
        Held { _stripe: self.stripes[stripe].lock(), store: self, key: key.identity() }
    }

    /// Removes what is under keys that begin with `prefix:` and began before its `clear`.
    pub(crate) fn sweep_space(&self, space: &[u8]) {
        let gone = |entry: &Entry| self.records.standing(space, entry) == Fate::Gone;
        self.table.retain(|key, slot| prefix(key) != space || !gone(&slot.entry));
    }

    /// Identities and entries that are valid, in no order. Nothing is locked between one and the next.
    pub(crate) fn iter(&self, now: UnixMillis) -> impl Iterator<Item = (Bytes, Entry)> {
        self.table
            .iter()
            .filter(move |(key, slot)| slot.expires > now && self.records.is_valid(prefix(key), &slot.entry))
            .map(|(key, slot)| (key, slot.entry))
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Removes what has expired, if it is time for that and there is anything.
    fn sweep(&self, now: UnixMillis) {
        let swept = self.swept.load(Ordering::Relaxed);
        let due = now.abs_diff(swept) >= SWEEP_MILLIS && self.earliest.load(Ordering::Relaxed) <= now;
        let mine =
            due && self.swept.compare_exchange(swept, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if !mine {
            return;
        }
        // Taken before the look, so that an entry which arrives meanwhile is seen or notes itself again.
        self.earliest.store(u64::MAX, Ordering::SeqCst);
        let earliest = Cell::new(u64::MAX);
        self.table.retain(|_, slot| {
            let keep = slot.expires > now;
            if keep {
                earliest.set(earliest.get().min(slot.expires));
            }
            keep
        });
        self.earliest.fetch_min(earliest.get(), Ordering::SeqCst);
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// One key, held.
pub(crate) struct Held<'a> {
    store: &'a Store,
    key: &'a [u8],
    _stripe: MutexGuard<'a, ()>,
}

impl Held<'_> {
    /// The valid entry there.
    pub(crate) fn entry(&self, now: UnixMillis) -> Option<Entry> {
        self.store.valid(self.key, now)
    }

    /// Puts an entry there. What was there goes in any case.
    ///
    /// # Errors
    /// [`TooLarge`](ErrorKind::TooLarge).
    pub(crate) fn put(self, entry: Entry, now: UnixMillis) -> Result<(), Error> {
        let store = self.store;
        if entry.is_expired(now) {
            self.remove();
            return Ok(());
        }
        let bytes = (entry.weight() as u64).saturating_add(self.key.len() as u64).saturating_add(OVERHEAD);
        if bytes > store.limit {
            self.remove();
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "the entry takes {bytes} bytes, and the memory cache takes {} at most for one; give it more max_bytes, or store less",
                    store.limit
                ),
            ));
        }
        let expires = entry.expires().unwrap_or(u64::MAX);
        let mut gone = Vec::new();
        let key = identity(&entry, self.key);
        let slot = Slot { entry, weight: bytes.max(store.least), expires };
        store.table.insert_with_lifecycle(key, slot, &mut gone);
        store.earliest.fetch_min(expires, Ordering::SeqCst);
        drop(self);
        store.sweep(now);
        Ok(())
    }

    /// Removes what is there, valid or not.
    pub(crate) fn remove(self) {
        self.store.table.remove(self.key);
    }
}

/// The key to keep an entry under: the bytes that its value has as well, if it has them.
fn identity(entry: &Entry, key: &[u8]) -> Bytes {
    let its_own = match entry.value() {
        Value::Shared(value) => value.identity().filter(|identity| **identity == *key),
        Value::Bytes(_) => None,
    };
    its_own.cloned().unwrap_or_else(|| Bytes::copy_from_slice(key))
}

/// What is left for the hot in a shard, and so the largest that it takes.
fn hot(shard: u64) -> u64 {
    shard - shard.div_ceil(32)
}

/// The namespace of an identity: what stands before its first colon.
pub(crate) fn prefix(identity: &[u8]) -> &[u8] {
    identity.split(|byte| *byte == b':').next().unwrap_or_default()
}
