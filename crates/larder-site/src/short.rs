//! The pair with nothing between.

use std::convert::Infallible;
use std::fmt;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use larder_core::Timeout;
use larder_tower::{Engine, PageFuture};
use tower_service::Service;

use crate::UpdateCacheLayer;

/// Caches a whole Axum application: the pair around its router, so that a hit skips routing. 600 s unless said otherwise, Django's
/// `CACHE_MIDDLEWARE_SECONDS`.
///
/// ```
/// use axum::{Router, routing::get};
///
/// let app: Router = Router::new().route("/", get(|| async { "hello" }));
/// let app: Router = larder_site::site(app).timeout(900).key_prefix("site").into_router();
/// ```
pub fn site(app: Router) -> Site {
    Site { app, update: UpdateCacheLayer::new(600) }
}

/// See [`site`].
#[derive(Clone, Debug)]
#[must_use = "call into_router()"]
pub struct Site {
    app: Router,
    update: UpdateCacheLayer,
}

impl Site {
    /// How long pages are kept that don't say so themselves.
    pub fn timeout(mut self, timeout: impl Into<Timeout>) -> Self {
        self.update = self.update.timeout(timeout);
        self
    }

    /// Which cache serves the site: a [`Cache`](larder_core::Cache) or an alias.
    pub fn cache(mut self, cache: impl Into<larder_tower::CacheChoice>) -> Self {
        self.update = self.update.cache(cache);
        self
    }

    /// Keeps these pages apart from those of other layers on the same cache. Django: `CACHE_MIDDLEWARE_KEY_PREFIX`.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.update = self.update.key_prefix(prefix);
        self
    }

    /// Anything else that [`UpdateCacheLayer`] can be told.
    pub fn with(mut self, settings: impl FnOnce(UpdateCacheLayer) -> UpdateCacheLayer) -> Self {
        self.update = settings(self.update);
        self
    }

    /// Lets `Purge::route` reach the pages: see [`name_routes`](larder_tower::name_routes).
    pub fn name_routes(mut self) -> Self {
        self.app = self.app.layer(larder_tower::name_routes());
        self
    }

    /// The cached application.
    pub fn into_router(self) -> Router {
        Router::new().fallback_service(self.into_service())
    }

    /// The cached application as a service: where nothing is to be mounted around it, one router less to go through, which costs more than the
    /// cache does.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    ///
    /// let app: Router = Router::new().route("/", get(|| async { "hello" }));
    /// let site = larder_site::site(app).timeout(900).into_service();
    /// // axum::serve(listener, axum::ServiceExt::<Request>::into_make_service(site)).await
    /// # drop(site);
    /// ```
    pub fn into_service(self) -> SiteService {
        SiteService { app: self.app, engine: self.update.engine() }
    }
}

/// The service of a [`Site`]: the pair, with nothing between its two ends.
#[derive(Clone)]
pub struct SiteService {
    app: Router,
    engine: Engine,
}

impl fmt::Debug for SiteService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteService").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl<B> Service<Request<B>> for SiteService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = PageFuture<Router, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.engine.site(&mut self.app, request)
    }
}
