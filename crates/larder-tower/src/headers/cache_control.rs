//! Django's `cache_control`.

use http::{Extensions, HeaderMap};
use larder_http::CacheControlPatch;
use tower_layer::Layer;

use super::service::{Edit, HeaderService};

/// Merges directives into the response's `Cache-Control`, as Django's `patch_cache_control` does: the smaller `max-age` wins, `public` and `private`
/// replace each other, what else is there stays.
///
/// ```
/// use axum::{Router, routing::get};
/// use larder_tower::cache_control;
///
/// let app: Router = Router::new()
///     .route("/", get(|| async { "hello" }).layer(cache_control().public().max_age(60)));
/// ```
pub fn cache_control() -> CacheControlLayer {
    CacheControlLayer::default()
}

/// See [`cache_control`].
#[derive(Clone, Debug, Default)]
#[must_use = "a layer does nothing until it is mounted"]
pub struct CacheControlLayer {
    patch: CacheControlPatch,
}

macro_rules! directives {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty)?);)*) => {
        impl CacheControlLayer {
            $($(#[$doc])*
            pub fn $name(mut self $(, $arg: $type)?) -> Self {
                self.patch = self.patch.$name($($arg)?);
                self
            })*
        }
    };
}

directives! {
    /// Everybody may keep it; Larder's layers then show it to all, whatever credentials they send.
    public();
    /// Only the visitor's own browser may keep it.
    private();
    /// Whoever keeps it asks again each time.
    no_cache();
    /// Nobody keeps it.
    no_store();
    /// Never shown when stale.
    must_revalidate();
    /// Shared caches never show it when stale.
    proxy_revalidate();
    /// Nobody on the way changes it.
    no_transform();
    /// It does not change while it is fresh (RFC 8246).
    immutable();
    /// Fresh for so many seconds.
    max_age(seconds: u64);
    /// Fresh in shared caches for so many seconds.
    s_maxage(seconds: u64);
    /// Shown stale for so many seconds more while it is refreshed (RFC 5861).
    stale_while_revalidate(seconds: u64);
    /// Shown stale for so many seconds more if refreshing fails (RFC 5861).
    stale_if_error(seconds: u64);
}

impl CacheControlLayer {
    /// Any other directive, or one that these take an argument of their own with: `directive("no-cache", Some("Set-Cookie"))`. Underscores
    /// become hyphens. Qualified `no-cache` and `private` add up; a name that is no token is left out.
    pub fn directive(mut self, name: &str, argument: Option<&str>) -> Self {
        self.patch = self.patch.directive(name, argument);
        self
    }
}

impl<S> Layer<S> for CacheControlLayer {
    type Service = HeaderService<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        HeaderService::new(inner, self.clone())
    }
}

impl Edit for CacheControlLayer {
    fn edit(&self, headers: &mut HeaderMap, _: &mut Extensions) {
        self.patch.apply(headers);
    }
}
