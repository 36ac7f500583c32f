//! The engine that Larder's caching layers share, and the layers that set caching headers.
//!
//! An application takes `cache_page` and the per-site pair from the `larder` facade; this crate is for authors of further layers, and the place of
//! what both have in common:
//!
//! | room | what lives there |
//! |---|---|
//! | [`Engine`], [`Settings`] | request → key → lookup → decision → fetch → store |
//! | [`KeyParts`], [`KeyText`], [`KeyedHeaders`] | what a page's key has besides the URL |
//! | [`Policy`], [`OriginUnreachable`] | by which rules: Django's, or those of a shared cache |
//! | [`EarlyRefresh`] | when a page is made anew before it expires |
//! | [`CachesLayer`] | which caches serve the layers inside, and the last word on what they store |
//! | [`Purge`], [`PurgePages`] | pages forgotten by URL, route, host or path |
//! | [`PageTags`], [`PageTimeout`] | what a handler puts beside its response |
//! | [`invalidates`], [`Invalidates`] | what a write route makes out of date |
//! | [`Pages`], [`Refresh`], [`RefreshLayer`] | pages kept warm, and made anew on demand |
//! | [`RequestScope`], [`RequestScopeLayer`] | what is made once for each request |
//! | [`never_cache`], [`cache_control`], [`vary_on`], [`conditional_get`] | Django's header decorators |
//! | [`IGNORED_COOKIES`], [`CookieRule`], [`IDENTITY_HEADERS`] | which cookies a page may depend on, and what else names the user |

mod admit;
mod again;
mod attach;
mod back;
mod begin;
mod body;
mod cacheable;
mod caches_layer;
mod coded;
mod cookies;
mod detach;
mod engine;
mod entrance;
mod forget;
mod ground;
mod headers;
mod identity;
mod invalidates;
mod kept;
mod keys;
mod labels;
mod landing;
mod lookup;
mod made;
mod marks;
mod name_routes;
mod names;
mod outer;
mod page;
mod pages;
mod pair;
mod parts;
mod passes;
mod policy;
mod purge;
mod reading;
mod record;
mod refresh;
mod request_scope;
mod respond;
mod seek;
mod session;
mod settings;
mod shared;
mod slots;
mod stale;
mod tag_pattern;
mod turns;
mod usual;
mod varied;
mod which;
mod wording;
mod words;
mod written;

pub use cacheable::Cacheable;
pub use caches_layer::{CachesFuture, CachesLayer, CachesService};
pub use cookies::{CookieRule, IGNORED_COOKIES};
pub use engine::Engine;
pub use headers::{
    CacheControlLayer, ConditionalGetLayer, ConditionalGetService, Edit, HeaderFuture, HeaderService,
    NeverCacheLayer, PreconditionsLayer, PreconditionsService, ServerTimingFuture, ServerTimingLayer,
    ServerTimingService, VaryOnLayer, cache_control, conditional_get, never_cache, preconditions,
    preconditions_of, server_timing, vary_on,
};
pub use invalidates::{Invalidates, InvalidatesFuture, InvalidatesLayer, InvalidatesService, invalidates};
pub use keys::{KeyParts, KeyText, KeyedHeaders};
pub use made::Made;
pub use name_routes::{NameRoutesFuture, NameRoutesLayer, NameRoutesService, name_routes};
pub use names::IDENTITY_HEADERS;
pub use page::PageFuture;
pub use pages::Pages;
pub use pair::Ticket;
pub use parts::{PageTags, PageTimeout};
pub use policy::{OriginUnreachable, Policy};
pub use purge::{Purge, PurgePages};
pub use refresh::{Refresh, RefreshLayer, RefreshService};
pub use request_scope::{RequestScope, RequestScopeLayer, RequestScopeService};
pub use settings::{CacheChoice, Level, Settings};
pub use stale::EarlyRefresh;
