//! `Server-Timing`: what the cache did, and how long it took.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use larder_http::CACHE_STATUS;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Tells browsers' developer tools what the caching layers inside did and how long the answer's head took, in
/// [`Server-Timing`](https://www.w3.org/TR/server-timing/): `cache;desc="hit";dur=0.041`. For the outside of a caching layer: what is stored
/// must not carry it.
///
/// It shows every visitor whether somebody was there before; leave it out where that tells too much.
///
/// ```
/// use axum::{Router, routing::get};
/// use larder_tower::server_timing;
///
/// let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(server_timing());
/// ```
pub fn server_timing() -> ServerTimingLayer {
    ServerTimingLayer { _private: () }
}

/// See [`server_timing`].
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is mounted"]
pub struct ServerTimingLayer {
    _private: (),
}

impl<S> Layer<S> for ServerTimingLayer {
    type Service = ServerTimingService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ServerTimingService { inner }
    }
}

/// The service of a [`ServerTimingLayer`].
#[derive(Clone)]
pub struct ServerTimingService<S> {
    inner: S,
}

impl<S> fmt::Debug for ServerTimingService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTimingService").finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for ServerTimingService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ServerTimingFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ServerTimingFuture { begun: Instant::now(), inner: self.inner.call(request) }
    }
}

pin_project! {
    /// The answer of a [`ServerTimingService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct ServerTimingFuture<F> {
        begun: Instant,
        #[pin]
        inner: F,
    }
}

impl<F> fmt::Debug for ServerTimingFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTimingFuture").finish_non_exhaustive()
    }
}

impl<F, R, E> Future for ServerTimingFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        let millis = this.begun.elapsed().as_secs_f64() * 1000.0;
        let metric = match done(response.headers()) {
            Some(done) => format!("cache;desc=\"{done}\";dur={millis:.3}"),
            None => format!("app;dur={millis:.3}"),
        };
        if let Ok(metric) = HeaderValue::try_from(metric) {
            response.headers_mut().append(SERVER_TIMING, metric);
        }
        Poll::Ready(Ok(response))
    }
}

/// What the outermost caching layer did, by its own member of Cache-Status: `hit`, or why it went on.
fn done(headers: &HeaderMap) -> Option<&str> {
    let last = headers.get_all(CACHE_STATUS).iter().next_back()?.to_str().ok()?;
    let member = last.rsplit(',').next()?.trim();
    let word = member.strip_prefix("larder; ")?.split(';').next()?;
    Some(word.strip_prefix("fwd=").unwrap_or(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_member_that_is_ours_is_told() {
        let told = |value: &'static str| {
            let headers = HeaderMap::from_iter([(CACHE_STATUS, HeaderValue::from_static(value))]);
            done(&headers).map(str::to_owned)
        };
        assert_eq!(told("larder; hit; ttl=5").as_deref(), Some("hit"));
        assert_eq!(told("cdn; fwd=miss, larder; fwd=uri-miss; stored").as_deref(), Some("uri-miss"));
        assert_eq!(told("cdn; hit"), None);
        assert_eq!(done(&HeaderMap::new()), None);
    }
}
