//! `cache_page`: the per-route layer. Django: the `cache_page` decorator.
//!
//! ```
//! use axum::{Router, routing::get};
//! use larder_page::cache_page;
//!
//! let app: Router = Router::new()
//!     .route("/playground/hello/", get(|| async { "hello" }).layer(cache_page(900)));
//! ```
//!
//! 1. Only GET and HEAD are looked up and stored; everything else passes by. A write that succeeds drops the pages of its own URL.
//! 2. Only a 200 is stored, and not if it sets a cookie, says `private`, `no-store` or `no-cache`, varies on `*`, or has a body that is larger than
//!    [`max_body`](CachePage::max_body) or of unknown length.
//! 3. A page that was made for a request with credentials (cookies, `Authorization`, API keys) only comes back to the same
//!    credentials, unless the response says `public`.
//! 4. Requests that miss the same page at the same time share one run of the handler.
//! 5. Every response says in `Cache-Status` what happened and why.

mod layer;
mod service;

pub use layer::{CachePage, cache_page};
pub use service::CachePageService;
