//! Telling a caching layer around the router which route answered.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::extract::MatchedPath;
use http::{Request, Response};
use larder_core::Tag;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::labels;
use crate::parts::PageTags;

/// Lets [`Purge::route`](crate::Purge::route) reach pages that the per-site pair keeps: the pair stands around the router, so that a hit skips
/// routing, and learns only from this layer which route has answered.
///
/// Mount it on the router, inside the pair; `larder::site(app).name_routes()` does. The route is one more tag that is learned while a
/// page is made, as those that a handler names: if anything is invalidated meanwhile, the page is not stored, since it might have been that.
///
/// ```
/// use axum::{Router, routing::get};
/// use larder_tower::name_routes;
///
/// let app: Router = Router::new().route("/courses/{id}", get(|| async { "Rust" })).layer(name_routes());
/// ```
pub fn name_routes() -> NameRoutesLayer {
    NameRoutesLayer(())
}

/// See [`name_routes`].
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is mounted"]
pub struct NameRoutesLayer(());

impl<S> Layer<S> for NameRoutesLayer {
    type Service = NameRoutesService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        NameRoutesService { inner }
    }
}

/// The service of a [`NameRoutesLayer`].
#[derive(Clone)]
pub struct NameRoutesService<S> {
    inner: S,
}

impl<S> fmt::Debug for NameRoutesService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameRoutesService").finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for NameRoutesService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = NameRoutesFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let route = request.extensions().get::<MatchedPath>().map(|path| labels::route(path.as_str()));
        NameRoutesFuture { inner: self.inner.call(request), route }
    }
}

pin_project! {
    /// The future of a [`NameRoutesService`].
    pub struct NameRoutesFuture<F> {
        #[pin]
        inner: F,
        route: Option<Tag>,
    }
}

impl<F> fmt::Debug for NameRoutesFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameRoutesFuture").finish_non_exhaustive()
    }
}

impl<F, R, E> Future for NameRoutesFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        if let Some(route) = this.route.take() {
            PageTags::new([route]).add_to(response.extensions_mut());
        }
        Poll::Ready(Ok(response))
    }
}
