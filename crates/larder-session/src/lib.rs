//! Sessions in a cache: stores for [`tower-sessions`](https://docs.rs/tower-sessions), as Django's session engines `cache` and `cached_db`.
//!
//! | Django's `SESSION_ENGINE` | here | if the cache loses a session |
//! |---|---|---|
//! | `…sessions.backends.cache` | [`CacheStore`] | its user is logged out |
//! | `…sessions.backends.cached_db` | [`CachedStore`] | it is read from the durable store again |
//!
//! ```
//! use larder_core::Cache;
//! use larder_memory::Memory;
//! use larder_session::CacheStore;
//! use tower_sessions::SessionManagerLayer;
//!
//! let cache = Cache::new(Memory::new());
//! let sessions = SessionManagerLayer::new(CacheStore::new(&cache));
//! // Router::new().route(…).layer(sessions)
//! ```
//!
//! Both are stores for `tower-sessions` 0.15, and for the 0.14 on which `axum-login` stands. What they promise:
//!
//! - **No session of somebody else's.** An id is never reused: a new session is added only where there is none. What is stored carries a seal
//!   that only the id opens, so damaged bytes, and bytes of another session, are no session.
//! - **What was deleted stays deleted.** Saving a session that was deleted meanwhile, on another device say, is an error; it does not come
//!   back. So neither does one whose id a visitor made up.
//! - **No silent loss.** A cache that can't be reached is an error of `load` and `save`, which `tower-sessions` answers with a 500: nobody is logged
//!   out, or believes to be logged in, because of it. With [`CachedStore`] the durable store goes on alone.
//! - **No secrets beside the values.** Keys have a digest of the id, errors and `Debug` neither ids nor data.
//!
//! A cache that stores nothing (`dummy:`) and one of tiers, whose copies in this process may be older than a logout elsewhere, are refused with an
//! error that says so. [`Cache::clear`](larder_core::Cache::clear) forgets sessions too: give them a cache (an alias, a key prefix) of
//! their own if pages are cleared.

mod cache_store;
mod cached_store;
mod plain;
mod releases;
mod shelf;
mod unreached;

pub use cache_store::CacheStore;
pub use cached_store::CachedStore;
