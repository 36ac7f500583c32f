//! The service.

use std::fmt;
use std::task::{Context, Poll};

use axum::body::Body;
use http::{Request, Response};
use larder_tower::{Cacheable, Engine, PageFuture};
use tower_service::Service;

/// The service of a [`CachePage`](crate::CachePage) layer. Its error is the inner service's: the cache itself never fails a
/// request.
#[derive(Clone)]
pub struct CachePageService<S> {
    inner: S,
    engine: Engine,
}

impl<S> CachePageService<S> {
    pub(crate) fn new(inner: S, engine: Engine) -> Self {
        Self { inner, engine }
    }
}

impl<S> fmt::Debug for CachePageService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachePageService").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl<S, B> Service<Request<B>> for CachePageService<S>
where
    S: Cacheable<B>,
    B: http_body::Body + Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = PageFuture<S, B>;

    /// Always ready: a page in the cache does not wait for a busy application. What is not there waits in the call.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.engine.page(&mut self.inner, request)
    }
}
