//! The one service behind the layers that only edit a response's head.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Extensions, HeaderMap, Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

/// An edit of a response's head.
pub trait Edit: Clone {
    /// Edits it.
    fn edit(&self, headers: &mut HeaderMap, extensions: &mut Extensions);
}

/// A service whose responses are edited on their way out. Made by `never_cache`, `cache_control` and `vary_on`.
#[derive(Clone)]
pub struct HeaderService<S, E> {
    inner: S,
    edit: E,
}

impl<S, E> HeaderService<S, E> {
    pub(crate) fn new(inner: S, edit: E) -> Self {
        Self { inner, edit }
    }
}

impl<S, E> fmt::Debug for HeaderService<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderService").finish_non_exhaustive()
    }
}

impl<S, E, B, R> Service<Request<B>> for HeaderService<S, E>
where
    S: Service<Request<B>, Response = Response<R>>,
    E: Edit,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = HeaderFuture<S::Future, E>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        HeaderFuture { inner: self.inner.call(request), edit: self.edit.clone() }
    }
}

pin_project! {
    /// The answer of a [`HeaderService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct HeaderFuture<F, E> {
        #[pin]
        inner: F,
        edit: E,
    }
}

impl<F, E> fmt::Debug for HeaderFuture<F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderFuture").finish_non_exhaustive()
    }
}

impl<F, E, R, Err> Future for HeaderFuture<F, E>
where
    F: Future<Output = Result<Response<R>, Err>>,
    E: Edit,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        let mut headers = std::mem::take(response.headers_mut());
        this.edit.edit(&mut headers, response.extensions_mut());
        *response.headers_mut() = headers;
        Poll::Ready(Ok(response))
    }
}
