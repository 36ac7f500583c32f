//! Larder's Redis backend, for Redis 6 and newer. Django: `RedisCache`.
//!
//! ```no_run
//! use larder_core::Cache;
//! use larder_redis::Redis;
//!
//! # #[tokio::main] async fn main() -> Result<(), larder_core::Error> {
//! let redis = Redis::builder("127.0.0.1").database(1).build()?;
//! let cache = Cache::builder(redis).key_prefix("shop").build()?;
//! cache.set("answer", 42).timeout(60).await?;
//! assert_eq!(cache.get("answer").await?, Some(42));
//! # Ok(()) }
//! ```
//!
//! # What stands in the store
//! | name | content |
//! |---|---|
//! | `prefix:1:key` | an entry as [`larder_core::wire`] writes it, so `GET` shows expiry, tags and value; or an integer without tags as bare digits, on which other programs can count too |
//! | `prefix:space:`, `prefix:fence:`, `prefix:tag:name` | the namespace's records: random nonces, by which entries are valid or not |
//!
//! Entries carry their expiry, and the server is told it too. Tag records outlive the entries that carry them. A record that is evicted costs hits,
//! and never brings back what was invalidated; so `maxmemory-policy` may be any. Entries that never expire leave only by `clear` or by eviction.
//!
//! # What is promised
//! - A hit is one command: entry, namespace and the tags it had the last time. Other tags than these cost one more.
//! - What must not be torn apart is a script or a transaction: `add` over what is invalid, `incr`, `touch`, ending a fill, invalidating.
//! - `clear` removes the entries of its own prefix, of all versions: it looks for them with `SCAN` and never empties a database. Everything else in
//!   there stays, other programs' keys under the same prefix included, unless they are called as entries are.
//! - The namespace's record names the incarnation of the server, so entries made before a restart or a failover are misses: a snapshot
//!   may have brought back what was invalidated since. It needs a user who may read `INFO server`. Bare integers carry no such mark, and are what the
//!   server says.
//! - What can't be read is a miss, and removed; what is not a string is a miss.
//!
//! # The connection
//! One for each runtime, shared by all who ask, made when it is first needed. While a server is away, commands fail at once, but for the one that tries
//! to connect again, after pauses of at most two seconds. A server that goes silent is given up after
//! [`max_silence`](RedisBuilder::max_silence). Nothing is sent twice. How long a caller waits in all is the deadline of
//! the [`Cache`](larder_core::Cache).
//!
//! With Sentinel, each connection begins by asking who the primary is. Until a failover is through there is none to be had; a primary that was cut off from
//! its replicas may serve what the others have invalidated, unless `min-replicas-to-write` says otherwise.
//!
//! Not there yet: Cluster (the keys of a page would have to be in one slot), read replicas, more than one connection.

mod ask;
mod backend;
mod backplane;
mod builder;
mod change;
mod connector;
mod dial;
mod error;
mod incarnation;
mod link;
mod look;
mod names;
mod records;
mod remembered;
mod scripts;
mod store;
mod sweep;
mod target;
#[cfg(feature = "tls")]
mod tls;
mod url;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

pub use backplane::RedisBackplane;
pub use builder::RedisBuilder;
pub use url::open;

use remembered::Remembered;
use store::Store;

/// The Redis backend. Clones share the connection.
#[derive(Clone)]
pub struct Redis {
    shown: Arc<str>,
    store: Store,
    remembered: Arc<Remembered>,
}

impl Redis {
    /// Settings of a server at a host.
    pub fn builder(host: impl Into<String>) -> RedisBuilder {
        RedisBuilder::new(host.into())
    }

    /// Settings of the primary that Sentinel calls `master`, with the sentinels' hosts and ports (26379 mostly).
    pub fn sentinel<H: Into<String>>(
        sentinels: impl IntoIterator<Item = (H, u16)>,
        master: impl Into<String>,
    ) -> RedisBuilder {
        let sentinels = sentinels.into_iter().map(|(host, port)| (host.into(), port));
        RedisBuilder::watched(sentinels.collect(), master.into())
    }

    /// Settings of a Redis Cluster, with hosts and ports of some of its nodes; the others are learned from them.
    #[cfg(feature = "cluster")]
    pub fn cluster<H: Into<String>>(nodes: impl IntoIterator<Item = (H, u16)>) -> RedisBuilder {
        RedisBuilder::nodes(nodes.into_iter().map(|(host, port)| (host.into(), port)).collect())
    }

    /// Settings of a server at a Unix socket.
    pub fn unix_socket(path: impl Into<PathBuf>) -> RedisBuilder {
        RedisBuilder::at_socket(path.into())
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("url", &self.shown).field("store", &self.store).finish()
    }
}
