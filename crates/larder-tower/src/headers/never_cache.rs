//! Django's `never_cache`.

use http::{Extensions, HeaderMap};
use larder_core::Clock;
use larder_http::add_never_cache_headers;
use tower_layer::Layer;

use super::service::{Edit, HeaderService};
use crate::outer::NeverCached;

/// Tells everybody not to keep the response: `Cache-Control: max-age=0, no-cache, no-store, must-revalidate, private`, and an `Expires` of now.
///
/// Inside a caching layer the page is not stored; outside `cache_page`, it is stored and served while clients are told not to keep it, as in
/// Django.
///
/// ```
/// use axum::{Router, routing::get};
/// use larder_tower::never_cache;
///
/// let app: Router = Router::new().route("/me", get(|| async { "you" }).layer(never_cache()));
/// ```
pub fn never_cache() -> NeverCacheLayer {
    NeverCacheLayer { clock: Clock::system() }
}

/// See [`never_cache`].
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is mounted"]
pub struct NeverCacheLayer {
    clock: Clock,
}

impl NeverCacheLayer {
    /// Where the time for `Expires` comes from.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}

impl<S> Layer<S> for NeverCacheLayer {
    type Service = HeaderService<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        HeaderService::new(inner, self.clone())
    }
}

impl Edit for NeverCacheLayer {
    fn edit(&self, headers: &mut HeaderMap, extensions: &mut Extensions) {
        add_never_cache_headers(headers, self.clock.now());
        extensions.insert(NeverCached);
    }
}
