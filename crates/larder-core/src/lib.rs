//! The heart of Larder: what a backend is, and what every layer, fragment and session stands on.
//!
//! Nothing here knows HTTP. An application depends on the `larder` facade; a backend author depends on this crate and
//! implements [`Backend`].
//!
//! | room | what lives there |
//! |---|---|
//! | [`Cache`] | the low-level API: Django's `cache.get`, `set`, `add`, `get_or_set`, … |
//! | [`Caches`], [`Schemes`] | aliases, and which URL opens which backend |
//! | [`Backend`], [`DynBackend`], [`Dummy`] | what backends implement, erased once, and the one that keeps nothing |
//! | [`Key`], [`Entry`], [`Timeout`] | identity, value with expiry, how long |
//! | [`Tag`], [`Stamp`], [`Fill`] | invalidation that can't lose against a fill in flight |
//! | [`Changes`] | which tags a change of the application's data makes out of date |
//! | [`Attachment`], [`attached`] | what is made of cached values is forgotten with them |
//! | [`Breaker`], [`Event`] | what keeps a store that fails from holding anybody up, and tells of it |
//! | [`flight`] | coalescing in one process |
//! | [`Warmer`] | values and pages made again on a schedule |
//! | [`Clock`], [`ManualClock`] | the time |
//! | [`backplane`] | how copies in several processes follow what changes |
//! | [`wire`] | an entry as bytes, for stores outside the process |

mod attachment;
mod backend;
pub mod backplane;
mod breaker;
mod cache;
mod caches;
mod changes;
mod clock;
mod codec;
mod dummy;
mod entry;
mod erased;
mod error;
mod events;
pub mod flight;
#[cfg(test)]
mod flight_tests;
mod key;
mod pack;
mod protocol;
mod recall;
mod remembered;
mod schemes;
mod settled;
mod sync;
mod tag;
mod tag_pattern;
mod text;
mod timeout;
mod url;
pub mod warm;
pub mod wire;

pub use attachment::{Attachment, Unattachable, attached, unattached};
pub use backend::{Backend, Capabilities, Fetched, Scanned, When};
pub use breaker::Breaker;
pub use cache::{
    Add, At, Cache, CacheBuilder, ExpireAt, Get, GetMany, GetOrSet, GetShared, GetTtl, Has, Incr, IterKeys,
    Keys, Lease, LeaseRequest, Lock, LockRequest, MoveVersion, Remove, RemoveMany, RemovePattern, Set,
    SetMany, Standing, Touch, TryGetOrSet, Ttl, Turn,
};
pub use caches::Caches;
pub use changes::{Change, Changes, Changing};
pub use clock::{Clock, ManualClock, UnixMillis};
pub use codec::Codec;
pub use dummy::Dummy;
pub use entry::{Entry, SharedValue, Value};
pub use erased::DynBackend;
pub use error::{Error, ErrorKind, FillError};
pub use events::{Event, Operation};
pub use key::{Key, KeyBuilder, Space};
pub use pack::Compression;
pub use protocol::renew_space;
pub use recall::{Asked, Recall};
pub use remembered::Remembered;
pub use schemes::Schemes;
pub use tag::{Fate, Fill, Nonce, Stamp, Tag};
pub use tag_pattern::{TagPattern, TagPiece};
pub use timeout::Timeout;
pub use url::{CacheUrl, suggest};
pub use warm::{Warm, WarmCounts, WarmEvent, WarmJob, WarmKey, Warmed, Warmer, Warming};
