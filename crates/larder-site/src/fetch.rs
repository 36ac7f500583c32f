//! The inner end.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use http::{Request, Response};
use larder_tower::{Cacheable, Engine};
use tower_layer::Layer;
use tower_service::Service;

use crate::meeting;

/// The inner end of the pair: answers from the cache, or lets the application make the page. It has no settings of its own; they come with
/// the request from [`UpdateCacheLayer`](crate::UpdateCacheLayer). Without one outside, requests pass by, and
/// `Cache-Status: larder; fwd=bypass; detail=no-update-layer` says so.
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "a layer does nothing until it is mounted"]
pub struct FetchFromCacheLayer {
    _private: (),
}

impl FetchFromCacheLayer {
    /// The inner end.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S> Layer<S> for FetchFromCacheLayer {
    type Service = FetchFromCacheService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        FetchFromCacheService { inner }
    }
}

/// The service of a [`FetchFromCacheLayer`]. Its error is the inner service's.
#[derive(Clone)]
pub struct FetchFromCacheService<S> {
    inner: S,
}

impl<S> fmt::Debug for FetchFromCacheService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchFromCacheService").finish_non_exhaustive()
    }
}

impl<S, B> Service<Request<B>> for FetchFromCacheService<S>
where
    S: Cacheable<B>,
    B: http_body::Body + Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    /// Always ready: a page in the cache does not wait for a busy application. What is not there waits in the call.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        meeting::here::<Self>();
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Engine::fetch(&self.inner, request)
    }
}
