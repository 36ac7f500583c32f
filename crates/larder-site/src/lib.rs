//! The per-site pair: `UpdateCacheLayer` outside, the site's own middleware between, `FetchFromCacheLayer` inside. Django:
//! `UpdateCacheMiddleware` and `FetchFromCacheMiddleware`.
//!
//! ```
//! use axum::{Router, routing::get};
//! use larder_site::{FetchFromCacheLayer, UpdateCacheLayer};
//! use tower::ServiceBuilder;
//!
//! let app: Router = Router::new().route("/", get(|| async { "hello" }));
//! let site: Router = Router::new().fallback_service(
//!     ServiceBuilder::new()
//!         .layer(UpdateCacheLayer::new(600).key_prefix("site"))
//!         // .layer(CompressionLayer::new())
//!         .layer(FetchFromCacheLayer::new())
//!         .service(app),
//! );
//! ```
//!
//! What is stored is the *final* response, after the middleware between has run on it; a hit skips routing and the application, passes the
//! middleware between, and is then replaced by the stored final response. Cookies that the middleware between sets on the way
//! back are added to it, for this visitor only.
//!
//! The response's own `max-age` beats the layer's timeout; otherwise the rules are those of `cache_page`. Without anything between, [`site`] is
//! the short form.

mod fetch;
mod meeting;
mod short;
mod update;

pub use fetch::{FetchFromCacheLayer, FetchFromCacheService};
pub use short::{Site, SiteService, site};
pub use update::{UpdateCacheLayer, UpdateCacheService};
