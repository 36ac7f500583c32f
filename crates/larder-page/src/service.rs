//! The service.

use std::error::Error as StdError;
use std::fmt;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use larder_tower::{Engine, PageFuture};
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

impl<S, B, R> Service<Request<B>> for CachePageService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body + Send + 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = PageFuture<S::Future, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.engine.page(&mut self.inner, request)
    }
}
