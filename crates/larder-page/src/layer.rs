//! The layer and its settings.

use std::sync::Arc;

use larder_core::Timeout;
use larder_tower::{Engine, Level, Settings};
use tower_layer::Layer;

use crate::service::CachePageService;

/// Caches the responses of a route for `timeout` (a number of seconds or a `Duration`).
///
/// - Zero passes everything by and tells clients not to keep the page either; `Timeout::DEFAULT` takes the response's own `max-age`, else the
///   cache's default; `Timeout::FOREVER` is what it says. A negative number does not compile.
/// - The response gets `Expires` and `Cache-Control: max-age`; a smaller `max-age` of the handler's stays, but does not shorten
///   how long the page is kept here (Django's rule; use [`PageTimeout`](larder_tower::PageTimeout) for that).
///
/// ```
/// use axum::{Router, routing::get};
/// use larder_page::cache_page;
///
/// # async fn list_courses() -> &'static str { "" }
/// let courses = get(list_courses).layer(
///     cache_page(60 * 15)
///         .key_prefix("v2")
///         .vary_on(["accept-language"])
///         .cookies(["sessionid"])
///         .tags(["course_list"]),
/// );
/// let app: Router = Router::new().route("/courses", courses);
/// ```
///
/// ```compile_fail
/// larder_page::cache_page(-1);
/// ```
pub fn cache_page(timeout: impl Into<Timeout>) -> CachePage {
    CachePage { settings: Arc::new(Settings::new(Level::Page, timeout.into())) }
}

/// See [`cache_page`].
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is mounted"]
pub struct CachePage {
    settings: Arc<Settings>,
}

impl CachePage {
    larder_tower::layer_setters!();
}

impl<S> Layer<S> for CachePage {
    type Service = CachePageService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CachePageService::new(inner, Engine::new(&self.settings))
    }
}
