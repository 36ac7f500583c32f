//! Which caches serve the layers inside, and the last word on what they store.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use larder_core::Caches;
use pin_project_lite::pin_project;
use tower::ServiceExt as _;
use tower_layer::Layer;
use tower_service::Service;

use crate::again::{Again, Wants, head_of};
use crate::cacheable::Cacheable;
use crate::marks::mark;
use crate::outer::{Judge, Outer};

/// Puts [`Caches`] on every request, for the caching layers inside, and stands outside of whatever middleware may make a response private after
/// a route's layer has seen it: a page made inside is stored only when its final head has passed here without a `Set-Cookie`.
///
/// Mount it outside the session layer:
///
/// ```
/// use axum::{Router, routing::get};
/// use larder_core::{Cache, Caches, Dummy};
/// use larder_tower::CachesLayer;
///
/// let app: Router = Router::new()
///     .route("/", get(|| async { "hello" }))
///     // .layer(session_layer)
///     .layer(CachesLayer::new(Caches::new(Cache::new(Dummy))));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is mounted"]
pub struct CachesLayer {
    caches: Option<Caches>,
    wants: Wants,
}

impl CachesLayer {
    /// These caches for the layers inside. A single [`Cache`](larder_core::Cache) will do; it is called `default`.
    pub fn new(caches: impl Into<Caches>) -> Self {
        Self { caches: Some(caches.into()), wants: Wants::default() }
    }

    /// No caches of its own: only the last word on what the layers inside store.
    pub fn outermost() -> Self {
        Self { caches: None, wants: Wants::default() }
    }
}

impl<S> Layer<S> for CachesLayer {
    type Service = CachesService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CachesService { inner, caches: self.caches.clone(), wants: self.wants.clone() }
    }
}

/// The service of a [`CachesLayer`].
#[derive(Clone)]
pub struct CachesService<S> {
    inner: S,
    caches: Option<Caches>,
    wants: Wants,
}

impl<S> fmt::Debug for CachesService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachesService").field("caches", &self.caches).finish_non_exhaustive()
    }
}

impl<S, B> Service<Request<B>> for CachesService<S>
where
    S: Cacheable<B>,
    B: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = CachesFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if let Some(caches) = &self.caches {
            request.extensions_mut().insert(caches.clone());
        }
        let judge = match request.extensions().get::<Outer>() {
            Some(_) => None,
            None => {
                let again = self.wants.is_wanted().then(|| {
                    let service = self.clone();
                    Again::new(head_of(&request), move |request| service.oneshot(request))
                });
                let judge = Judge::new(&self.wants, again.flatten());
                mark(request.extensions_mut(), judge.ear());
                Some(judge)
            }
        };
        CachesFuture { inner: self.inner.call(request), judge }
    }
}

pin_project! {
    /// The answer of a [`CachesService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct CachesFuture<F> {
        #[pin]
        inner: F,
        judge: Option<Judge>,
    }
}

impl<F> fmt::Debug for CachesFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachesFuture").finish_non_exhaustive()
    }
}

impl<F, R, E> Future for CachesFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        if let Some(judge) = this.judge.take() {
            judge.judge(&mut response);
        }
        Poll::Ready(Ok(response))
    }
}
