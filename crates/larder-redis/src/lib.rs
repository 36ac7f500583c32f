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
//! Before its tags, an entry has ` =` and a mark: the incarnation of the server that took it and a number of this write. A record has the incarnation after
//! its nonce.
//!
//! # What is promised
//! - A hit is one command: entry, namespace and the tags it had the last time. Other tags than these cost one more.
//! - What was answered last is remembered, with what it meant, up to 16 MiB: an answer that comes again byte for byte is not decoded again. It is asked for
//!   each time all the same.
//! - What must not be torn apart is a script: `add` over what is invalid, `incr`, `touch`, compare and set, keeping a tag's record. Everything else is in an
//!   order in which it may be torn apart anywhere.
//! - `clear` removes the entries of its own prefix, of all versions: it looks for them with `SCAN` and never empties a database. Everything else in
//!   there stays, other programs' keys under the same prefix included, unless they are called as entries are. Listing is `SCAN` as well.
//! - Entries and records count only while the incarnation answers that took them, so what was stored before a restart or a failover is a miss: a
//!   snapshot, or a replica that was behind, may have brought back what was deleted or invalidated since. The incarnation is the server's replication id, which is new
//!   with each restart and each promotion; it is read along with other commands, once a second. It needs a user who may read `INFO replication`. Bare
//!   integers carry no such mark, and are what the server says.
//! - What can't be read is a miss, and removed; what is not a string is a miss.
//! - Reads have no time limit of their own: the cache's deadline bounds them. Every other command has 30 s where the cache gives it none.
//!
//! # The connection
//! One for each runtime and server, shared by all who ask, made when it is first needed. While a server is away, commands fail at once, but for the one that
//! tries to connect again, after pauses of at most two seconds. A server that goes silent is given up after
//! [`max_silence`](RedisBuilder::max_silence). Nothing is sent twice. How long a caller waits in all is the deadline of
//! the [`Cache`](larder_core::Cache).
//!
//! With Sentinel, each connection begins by asking who the primary is. Until a failover is through there is none to be had; a primary that was cut off from
//! its replicas may serve what the others have invalidated, until Sentinel tells it that it is none any more.
//!
//! # Redis Cluster
//! With the feature `cluster`, `Redis::cluster` or `redis+cluster://h1:7000,h2:7000`. Each key is on the primary that has its slot; all primaries concerned are asked
//! at the same time, with one request each, pipelined. Replicas are there to take over, and are not read.
//!
//! - Names are the same, but for pages: what belongs to one page is called `prefix:1:page.{…}…`, with the same text in braces, and so is in one slot. The braces of
//!   a value's key count as everywhere: `cart:{7}:items` is beside `cart:{7}:total`. With a prefix in braces, such as `{shop}`, the whole namespace is in
//!   one slot: on one node, one command a hit.
//! - No script or transaction is about two keys. A tag that a fill learns only at its end costs one step more than on one server, and so does `invalidate`: the fence
//!   is renewed before the tags are.
//! - Integers are stored as all other entries are, since no command could check the namespace's record beside them; `incr` is two steps. What others
//!   store as bare digits is read and counted on.
//! - `MOVED` and `ASK` are followed. What is asked of a node that can't be reached fails, while the others go on to serve what is on them; when its replica has taken
//!   over, it is found by itself.
//! - Each node's incarnation vouches for what it took, entries, tags, fence and namespace. So a replica that takes over with less than its primary had acknowledged
//!   makes things cold, and never brings anything back; a slot that moves is cold as well, and with the slot of `prefix:space:` the whole namespace. No write has to
//!   wait for replicas (`WAIT`), since none is lost without being noticed.
//! - Not covered: a primary that was cut off or stopped, and was replaced, may answer those who were already connected to it until it hears of that, the
//!   node timeout at most; a slot that moved to a node, was lost by a failover there, and then moved back to the first; a user who may not read `INFO`.
//!
//! # Read replicas
//! [`RedisBuilder::replicas`], or `redis://h1:6379/0?replicas=h2:6379,h3:6379`. In one step, a replica is asked for the entry, and the primary for the entry's first 512 bytes
//! and for namespace and tags. What the replica gives counts only if it has the mark of the very write that stands at the primary. So replicas carry the weight
//! of large entries and nothing is ever older than at the primary: whoever stored or removed something sees it at once, in every process. One that is behind costs a
//! step more, and so does one that does not answer within 20 ms, which is left alone for a while then. Everything is written to the primary, and without it there is
//! nothing.
//!
//! # Valkey
//! It speaks what Redis speaks here, and is expected to work wherever Redis does. It is not tested.

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
mod read;
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
