//! Larder's in-process backend: bounded by bytes and by entries, sharded, scan resistant. It owns no task and no
//! thread, and every answer is there without waiting.
//!
//! ```
//! use larder_core::Cache;
//! use larder_memory::Memory;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), larder_core::Error> {
//! let cache = Cache::new(Memory::builder().max_bytes(64 << 20).max_entries(100_000).build()?);
//! cache.set("answer", 42).timeout(60).tags(["facts"]).await?;
//! assert_eq!(cache.get("answer").await?, Some(42));
//! cache.invalidate(["facts"]).await?;
//! assert_eq!(cache.get::<i32>("answer").await?, None);
//! # Ok(()) }
//! ```
//!
//! # What is bounded
//! - **Bytes and entries**: whatever is reached first. An entry weighs its value, key, tags and what surrounds them, and at
//!   least `max_bytes / max_entries`, so one weight serves both bounds. What is evicted is chosen by
//!   `quick_cache`'s S3-FIFO: one pass over many keys does not push out those that are asked for again.
//! - **One entry**: see [`Memory::max_entry_bytes`]. A larger one is refused, and removes what was there before.
//! - **Expired entries** are removed when read, and by a sweep that a write does every 30 seconds if there is
//!   anything to sweep. A value that nobody reads again does not stay for ever.
//! - **Tag records**: the numbers of the last 100,000 invalidations; see below.
//!
//! # Invalidation
//! Records are not random nonces here but numbers of one sequence, the *fence*, which can't get lost without the entries
//! getting lost too:
//!
//! 1. A fill begins by reading the fence. That number is the nonce of its namespace and of all its tags, early and late.
//! 2. `invalidate` takes the next number, notes it for each tag, and makes it the fence, all under one lock, before it returns.
//! 3. An entry is valid while none of its numbers is below the one noted for that tag or, for its namespace, for
//!    the last `clear`.
//!
//! Whatever the interleaving, a fill that began before the call has a smaller number than the call notes, so it fails 3
//! as soon as the call has returned; one that begins afterwards reads that number or a larger one and passes. A fill that
//! begins during the call may get either, and both are right: it reads its data after the call began. A late
//! tag needs no second look at the fence, since it gets the number of the fill's beginning, not of its end.
//!
//! When the records are too many, the oldest are dropped and the *floor* rises to the largest number dropped: what is older
//! than the floor and has a tag without record is invalid. That loses hits, and is never wrong.
//!
//! An entry remembers the fence at which it was last found valid, so as long as nothing was invalidated a hit looks up no
//! tag. That note, and the numbers, mean something in one store only: an entry that was sealed by one `Memory` is
//! never to be put into another.

mod backend;
mod builder;
mod records;
mod scan;
mod stats;
mod store;

use std::fmt;
use std::sync::Arc;

pub use builder::{MemoryBuilder, open};
pub use stats::Stats;

use store::Store;

/// The in-process backend. Clones share one store.
#[derive(Clone)]
pub struct Memory {
    store: Arc<Store>,
}

impl Memory {
    /// A store of its own with the defaults: 256 MiB, 1,000,000 entries.
    pub fn new() -> Self {
        Self::builder().build_unnamed()
    }

    /// A store with other bounds.
    pub fn builder() -> MemoryBuilder {
        MemoryBuilder::default()
    }

    /// The largest entry that is taken, with its key and all that surrounds it: an eighth of the bound, but at least
    /// 64 KiB where that fits, and at most 15 MiB.
    pub fn max_entry_bytes(&self) -> u64 {
        self.store.max_entry_bytes()
    }

    /// How full it is, and what happened since it was made.
    pub fn stats(&self) -> Stats {
        self.store.stats()
    }

    /// Whether both handles are the same store.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.store, &other.store)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("stats", &self.stats()).finish()
    }
}
