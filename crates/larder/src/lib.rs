//! HTTP response caching for Tower and Axum: Django's cache framework, in Rust.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use larder::prelude::*;
//!
//! async fn say_hello() -> String {
//!     tokio::time::sleep(std::time::Duration::from_secs(2)).await; // a slow page
//!     "hello".to_owned()
//! }
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let app: Router = Router::new().route("/", get(say_hello).layer(cache_page(900)));
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
//!     axum::serve(listener, app).await
//! }
//! ```
//!
//! Nothing has to be configured: an in-process cache, bounded, is the default. One URL changes the backend:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), larder::Error> {
//! let cache = larder::open("memory:?timeout=600&prefix=shop")?;
//! cache.set("httpbin_result", "fetched").timeout(60).await?;
//! assert_eq!(cache.get::<String>("httpbin_result").await?.as_deref(), Some("fetched"));
//! # Ok(()) }
//! ```
//!
//! | I want to | use |
//! |---|---|
//! | cache a route | [`cache_page`] |
//! | cache a whole site | [`site()`], or [`UpdateCacheLayer`] and [`FetchFromCacheLayer`] around my middleware |
//! | name my caches in a file or in the environment | [`from_file`], [`from_env`], [`config`] |
//! | keep single values | [`Cache`]: `get`, `set`, `try_get_or_set`, … |
//! | keep what an async function gives | `#[cached]`, feature `macros` |
//! | make something once for each request | [`RequestScope`]; `#[once_per_request]` |
//! | keep a part of a page | [`Fragments`](https://docs.rs/larder/latest/larder/fragment/), features `minijinja`, `askama`, `tera` |
//! | forget pages and values together | tags: [`PageTags`], [`Cache::invalidate`] |
//! | forget pages by where they are | [`Purge`]: by URL, route, host, path, all; hard and soft |
//! | forget them when my data changes | [`Changes`], [`invalidates`], [`Invalidates`] |
//! | keep pages and values warm on a schedule | [`Warmer`], [`Pages`] |
//! | tell browsers and proxies what to do | [`cache_control`], [`never_cache`], [`vary_on`], [`conditional_get`] |
//! | give all layers their caches, and keep sessions safe | [`CachesLayer`], outside the session layer |
//!
//! # Features
//!
//! `config` (default): [`from_file`], [`from_env`] and [`config`]. `memory` (default): [`memory:`](larder_memory). `file`: `file:///dir`. `redis`: `redis://host:6379/1` and
//! `redis+unix:///path`; `redis-tls`: `rediss://` as well; `redis-cluster`: `redis+cluster://a:7000,b:7000`. `memcached`: `memcached://a:11211,b:11211` and `memcached+unix:///path`. `sqlite`: `sqlite:///file.db`. `postgres`: `postgres://host/database`, `mysql`: `mysql://host/database`; `postgres-tls`, `mysql-tls`: the same over TLS. `tiered`: `tiered:?l2=redis://host`. `zstd`, `lz4`: `compression=zstd` and
//! `compression=lz4` in any URL. `session`: [stores](session) for `tower_sessions`, and pages kept apart by its sessions. `minijinja`, `askama`, `tera`: template fragments in that engine. `macros`: [`cached`](macro@cached) and [`once_per_request`](macro@once_per_request). Features add; none changes what another does.

#[cfg(feature = "config")]
pub mod config;
#[cfg(feature = "macros")]
pub mod memo;
mod open;
pub mod prelude;

#[cfg(feature = "config")]
pub use config::{from_env, from_file, from_str};
pub use larder_core::{
    Attachment, Backend, Breaker, Cache, CacheBuilder, CacheUrl, Caches, Capabilities, Change, Changes,
    Clock, Codec, Compression, Dummy, DynBackend, Entry, Error, ErrorKind, Event, FillError, Lock,
    ManualClock, Operation, Schemes, Tag, Timeout, Ttl, Unattachable, Warm, WarmCounts, WarmEvent, WarmJob,
    WarmKey, Warmed, Warmer, Warming, attached, unattached,
};
pub use larder_http as http_rules;
pub use larder_page::{CachePage, CachePageService, cache_page};
pub use larder_site::{
    FetchFromCacheLayer, FetchFromCacheService, Site, SiteService, UpdateCacheLayer, UpdateCacheService, site,
};
pub use larder_tower::{
    CacheChoice, CacheControlLayer, CachesLayer, ConditionalGetLayer, CookieRule, EarlyRefresh,
    IDENTITY_HEADERS, IGNORED_COOKIES, Invalidates, InvalidatesLayer, KeyParts, KeyText, KeyedHeaders, Made,
    NameRoutesLayer, NeverCacheLayer, OriginUnreachable, PageTags, PageTimeout, Pages, Policy,
    PreconditionsLayer, Purge, PurgePages, Refresh, RefreshLayer, RequestScope, RequestScopeLayer,
    ServerTimingLayer, VaryOnLayer, cache_control, conditional_get, invalidates, name_routes, never_cache,
    preconditions, preconditions_of, server_timing, vary_on,
};
pub use open::{open, schemes};

/// What backends are built on, for those who write their own.
pub use larder_core as core;
#[cfg(feature = "file")]
pub use larder_file as file;
/// Template fragments, and a module for each template engine.
#[cfg(any(feature = "minijinja", feature = "askama", feature = "tera"))]
pub use larder_fragment as fragment;
#[cfg(any(feature = "minijinja", feature = "askama", feature = "tera"))]
pub use larder_fragment::{Fragments, fragment_key};
#[cfg(feature = "macros")]
pub use larder_macros::{cached, once_per_request};
#[cfg(feature = "memcached")]
pub use larder_memcached as memcached;
#[cfg(feature = "memory")]
pub use larder_memory as memory;
#[cfg(feature = "redis")]
pub use larder_redis as redis;
#[cfg(feature = "session")]
pub use larder_session as session;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use larder_sql as sql;
#[cfg(feature = "tiered")]
pub use larder_tiered as tiered;

/// The README's examples, compiled.
#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The example of the page of HTTP's rules, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/http-rules.md")]
struct HttpRules;

/// The recipe for a CDN, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/behind-a-cdn.md")]
struct BehindACdn;

/// The examples of the guide for those who come from Django, compiled.
#[cfg(all(
    doctest,
    feature = "config",
    feature = "session",
    feature = "macros",
    feature = "minijinja",
    feature = "askama"
))]
#[doc = include_str!("../../../docs/coming-from-django.md")]
struct ComingFromDjango;

/// The examples of the page about changes of data, compiled.
#[cfg(all(doctest, feature = "postgres"))]
#[doc = include_str!("../../../docs/data-changes.md")]
struct DataChanges;

/// The examples of the page about keys, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/keys.md")]
struct Keys;

/// The examples of the guide to the levels, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/which-level.md")]
struct WhichLevel;

/// The examples of the guide to tests, compiled.
#[cfg(all(doctest, feature = "memory"))]
#[doc = include_str!("../../../docs/testing-your-app.md")]
struct TestingYourApp;

/// The examples of the page about sessions, compiled.
#[cfg(all(doctest, feature = "session"))]
#[doc = include_str!("../../../docs/sessions.md")]
struct Sessions;

/// The examples of the page about configuration, compiled.
#[cfg(all(doctest, feature = "config"))]
#[doc = include_str!("../../../docs/configuration.md")]
struct Configuration;

/// The examples of the page about template fragments, compiled.
#[cfg(all(doctest, feature = "minijinja", feature = "askama", feature = "tera"))]
#[doc = include_str!("../../../docs/fragments.md")]
struct TemplateFragments;

/// The examples of the page about what functions give, compiled.
#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../../../docs/memoised.md")]
struct Memoised;
