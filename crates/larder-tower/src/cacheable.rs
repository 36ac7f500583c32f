//! What a caching layer can go around, said once, so that a wrong mount is told in one sentence.

use std::error::Error as StdError;

use bytes::Bytes;
use http::{Request, Response};
use tower_service::Service;

/// A service of HTTP requests that a caching layer can go around. Implemented for every service that has what it takes; there is nothing to
/// implement by hand.
///
/// A wrong mount is an error that says what is wanted:
///
/// ```compile_fail
/// use larder_tower::Cacheable;
/// fn around<S: Cacheable<axum::body::Body>>(_: S) {}
/// around(tower::service_fn(|n: u8| async move { Ok::<u8, std::convert::Infallible>(n) }));
/// ```
#[diagnostic::on_unimplemented(
    message = "a caching layer can't go around `{Self}`",
    label = "not a service of HTTP requests that can be cached",
    note = "what is wanted is a `Service<http::Request<_>>` that is `Clone + Send + 'static`, whose future is `Send + 'static`, and whose \
            response is an `http::Response<B>` with `B: http_body::Body<Data = Bytes> + Send + 'static`",
    note = "in Axum: `get(handler).layer(cache_page(900))`, or `Router::layer`; around a service of another error type, put \
            `HandleErrorLayer` outside"
)]
pub trait Cacheable<B>:
    Service<Request<B>, Response = Response<Self::Body>, Future: Send + 'static, Error: 'static>
    + Clone
    + Send
    + 'static
{
    /// The body of its responses.
    type Body: http_body::Body<Data = Bytes, Error: Into<Box<dyn StdError + Send + Sync>>> + Send + 'static;
}

impl<S, B, R> Cacheable<B> for S
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Body = R;
}
