//! Larder's Memcached backend. Django: `PyMemcacheCache`, `PyLibMCCache`.
//!
//! ```no_run
//! use larder_core::Cache;
//! use larder_memcached::Memcached;
//!
//! # #[tokio::main] async fn main() -> Result<(), larder_core::Error> {
//! let cache = Cache::new(Memcached::builder(["cache-a:11211", "cache-b:11211"]).build()?);
//! cache.set("answer", 42).timeout(60).await?;
//! assert_eq!(cache.get("answer").await?, Some(42));
//! # Ok(()) }
//! ```
//!
//! Memcached 1.6 or newer is needed, for its meta protocol. The client is Larder's own.
//!
//! # What stands on the servers
//! - An entry is called `prefix:version:key`. Names that Memcached does not take, as they are longer than 250 bytes or have spaces or
//!   control characters, are replaced by `prefix:b3:` and a BLAKE3 hash: any text is a key.
//! - Its value is what [`larder_core::wire`] writes: a line with expiry and tags, then the bytes, of any kind. Integers have that line
//!   too, so that other programs can't `incr` them.
//! - Its expiry is given to the server as well, a few seconds late, for 30 days and more as a date.
//! - Namespace, fence and tags are records `prefix:space:`, `prefix:fence:`, `prefix:tag:…`. If one is evicted, what depends on it is a
//!   miss.
//!
//! # Several servers
//! Names are spread over the servers by the ring of libmemcached's `KETAMA_WEIGHTED` with equal weights; the order of the list makes
//! no difference. A server that can't be reached keeps its names: what stands there is a miss until it is back, and nothing is
//! looked for elsewhere, since the old would be found again later. [`invalidate`](larder_core::Backend::invalidate) and
//! [`clear`](larder_core::Backend::clear) fail if they need such a server.
//!
//! # What is promised
//! - A read is one exchange: one message to each server concerned, at the same time. The tags that keys had last are asked for along;
//!   for entries with others it is one more.
//! - Requests of a whole process share one connection a server. A request that is given up disturbs no other. An answer that does not
//!   belong to its question, or does not come, ends the connection, and everything on it is a miss.
//! - A server that fails is left alone for 50 ms, then for longer, up to 2 s; one request finds out whether it is back and waits
//!   50 ms for that, the others fail at once.
//! - An entry that is too large is refused with [`TooLarge`](larder_core::ErrorKind::TooLarge), and the one that it was to replace is gone.
//! - Several entries are stored or removed in one exchange. Of those stored, the ones that are too large are refused and the others stay.
//! - `add`, `incr`, `touch` and what locks stand on are compare-and-swap: they need a server that was not started with `-C`.
//! - `clear` makes everything in the namespace invalid at once. Memcached can't list names, so there is no walking through the keys, and
//!   the memory comes back by expiry and eviction; `flush_all` is never sent, as it would take what others keep there.

mod address;
mod backend;
mod builder;
mod client;
mod expiry;
mod many;
mod name;
mod raw;
mod read;
mod ring;

use std::fmt;
use std::sync::Arc;

use larder_core::{Recall, Remembered};

pub use builder::{MemcachedBuilder, open};

use raw::Raw;
use read::Question;

/// The Memcached backend. Clones share their connections.
#[derive(Clone)]
pub struct Memcached {
    raw: Raw,
    remembered: Arc<Remembered>,
    recall: Arc<Recall<Question>>,
}

impl Memcached {
    /// Settings of a cache on these servers: `host`, `host:port`, `[::1]:port` or `unix:/path`.
    pub fn builder<S: Into<String>>(servers: impl IntoIterator<Item = S>) -> MemcachedBuilder {
        MemcachedBuilder::new(servers.into_iter().map(Into::into).collect())
    }
}

impl fmt::Debug for Memcached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<String> = self.raw.client.addresses().map(ToString::to_string).collect();
        f.debug_struct("Memcached")
            .field("servers", &servers)
            .field("max_entry", &self.raw.max_entry)
            .finish_non_exhaustive()
    }
}
