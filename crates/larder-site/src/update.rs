//! The outer end.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use http::{Request, Response};
use larder_core::Timeout;
use larder_tower::{Cacheable, Engine, Level, PageFuture, Settings};
use tower_layer::Layer;
use tower_service::Service;

use crate::meeting;

/// The outer end of the pair: stores what leaves. Cache and key settings travel from here to [`FetchFromCacheLayer`](crate::FetchFromCacheLayer).
///
/// It also is the last word on what `cache_page` layers inside store: a response that becomes private on its way out is not
/// stored there either.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is mounted"]
pub struct UpdateCacheLayer {
    settings: Arc<Settings>,
}

impl UpdateCacheLayer {
    /// Stores pages for `timeout` (a number of seconds or a `Duration`), unless their own `max-age` says otherwise; with zero, only those that
    /// have one. Django: `CACHE_MIDDLEWARE_SECONDS`.
    pub fn new(timeout: impl Into<Timeout>) -> Self {
        Self { settings: Arc::new(Settings::new(Level::Site, timeout.into())) }
    }

    /// Another timeout than the one given first.
    pub fn timeout(mut self, timeout: impl Into<Timeout>) -> Self {
        Settings::edit(&mut self.settings).set_timeout(timeout.into());
        self
    }

    larder_tower::layer_setters!();

    pub(crate) fn engine(&self) -> Engine {
        Engine::new(&self.settings)
    }
}

impl<S> Layer<S> for UpdateCacheLayer {
    type Service = UpdateCacheService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        UpdateCacheService { inner, engine: self.engine(), meets: false }
    }
}

/// The service of an [`UpdateCacheLayer`]. Its error is the inner service's.
#[derive(Clone)]
pub struct UpdateCacheService<S> {
    inner: S,
    engine: Engine,
    /// What lies inside is the inner end itself.
    meets: bool,
}

impl<S> fmt::Debug for UpdateCacheService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpdateCacheService").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl<S, B> Service<Request<B>> for UpdateCacheService<S>
where
    S: Cacheable<B>,
    B: http_body::Body + Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = PageFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let ready;
        (ready, self.meets) = meeting::with::<S, _>(|| self.inner.poll_ready(cx));
        ready
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.engine.outer_end(&mut self.inner, request, self.meets)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::task::Waker;

    use tower::util::MapResponse;

    use super::*;
    use crate::FetchFromCacheLayer;

    fn meets<S: Cacheable<Body>>(inner: S) -> bool {
        let mut outer = UpdateCacheLayer::new(60).layer(inner);
        let ready = Service::<Request<Body>>::poll_ready(&mut outer, &mut Context::from_waker(Waker::noop()));
        assert!(ready.is_ready());
        outer.meets
    }

    #[test]
    fn the_outer_end_meets_the_inner_one_and_not_what_lies_between() {
        let app =
            tower::service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty())));
        let inner_end = FetchFromCacheLayer::new().layer(app);
        assert!(meets(inner_end.clone()));
        assert!(!meets(MapResponse::new(inner_end.clone(), |response: Response<Body>| response)));
        assert!(!meets(UpdateCacheLayer::new(60).layer(inner_end)), "a pair, whose outer end lies between");
        assert!(!meets(app));
    }
}
