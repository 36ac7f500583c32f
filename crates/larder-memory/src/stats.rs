//! Counters that cost nothing to speak of where it matters.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What a [`Memory`](crate::Memory) holds and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Entries, those included that have expired and were not swept yet.
    pub entries: u64,
    /// What they weigh. An entry weighs at least `max_bytes / max_entries`.
    pub bytes: u64,
    /// Reads that found a valid entry.
    pub hits: u64,
    /// Reads that found none.
    pub misses: u64,
    /// Entries pushed out by others.
    pub evictions: u64,
    /// Tags whose last invalidation is on record.
    pub tag_records: u64,
}

const CELLS: usize = 16;

/// A counter that threads don't fight over: each adds to a cache line of its own, as long as there are not too many of them.
#[derive(Debug, Default)]
pub(crate) struct Counter([Cell; CELLS]);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Cell(AtomicU64);

thread_local! {
    static CELL: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % CELLS
    };
}

impl Counter {
    pub(crate) fn add_one(&self) {
        let cell = CELL.try_with(|cell| *cell).unwrap_or_default();
        self.0[cell].0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().map(|cell| cell.0.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_threads_than_cells_are_all_counted() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..CELLS + 3 {
                scope.spawn(|| (0..100).for_each(|_| counter.add_one()));
            }
        });
        assert_eq!(counter.sum(), 1_900);
    }
}
