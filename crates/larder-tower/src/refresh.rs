//! Making a page again though there is one: what keeps pages warm.
//!
//! A request that carries a [`Refresh`] is not answered from the cache: the page is made, and replaces the stored one once it is there. The
//! mark is an extension, so nobody can send one. [`RefreshLayer`] puts it on requests that know a secret, for programs outside.

use std::fmt;
use std::task::{Context, Poll};

use http::header::HeaderName;
use http::{Extensions, HeaderMap, Request};
use larder_core::Error;
use tower_layer::Layer;
use tower_service::Service;

/// On a request: the caching layers that it passes make their page anew and store it, instead of answering with the stored one.
///
/// Until the new page is there, and if it can't be made or stored, everybody else is served the old one. For requests that an application
/// makes itself; [`Pages`](crate::Pages) does for those that it keeps warm.
///
/// ```
/// # use axum::{Router, body::Body, routing::get};
/// # use http::Request;
/// # use tower::ServiceExt as _;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let app: Router = Router::new().route("/courses", get(|| async { "courses" }));
/// let mut request = Request::get("/courses").header("host", "shop.example").body(Body::empty()).unwrap();
/// request.extensions_mut().insert(larder_tower::Refresh);
/// let response = app.oneshot(request).await.unwrap();
/// # assert!(response.status().is_success());
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refresh;

impl Refresh {
    pub(crate) fn is_asked(extensions: &Extensions) -> bool {
        extensions.get::<Self>().is_some()
    }
}

/// The field in which a program outside sends the secret.
pub(crate) const FIELD: HeaderName = HeaderName::from_static("larder-refresh");
/// Shorter than this, a secret is soon guessed.
const SHORTEST: usize = 16;

/// Lets a program that knows a secret have pages made anew, over HTTP: a request whose field `Larder-Refresh` is the secret gets a
/// [`Refresh`]. Any other value is as good as none, and the field never comes further than here.
///
/// Mount it outside the caching layers; `larder warm` sends the field.
///
/// ```
/// use axum::{Router, routing::get};
/// use larder_tower::RefreshLayer;
///
/// # fn main() -> Result<(), larder_core::Error> {
/// # let secret = "0123456789abcdef0123456789abcdef".to_owned();
/// // let secret = std::env::var("REFRESH_SECRET")?;
/// let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(RefreshLayer::new(&secret)?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "a layer does nothing until it is mounted"]
pub struct RefreshLayer {
    secret: blake3::Hash,
}

impl RefreshLayer {
    /// This secret. Make a random one, of 16 bytes at least.
    ///
    /// # Errors
    /// [`Config`](larder_core::ErrorKind::Config) if it is shorter.
    pub fn new(secret: &str) -> Result<Self, Error> {
        if secret.len() < SHORTEST {
            return Err(Error::config(format!(
                "a secret of {} bytes is soon guessed; take {SHORTEST} random ones or more",
                secret.len()
            )));
        }
        Ok(Self { secret: blake3::hash(secret.as_bytes()) })
    }
}

impl fmt::Debug for RefreshLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshLayer").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RefreshLayer {
    type Service = RefreshService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RefreshService { inner, secret: self.secret }
    }
}

/// The service of a [`RefreshLayer`].
#[derive(Clone)]
pub struct RefreshService<S> {
    inner: S,
    secret: blake3::Hash,
}

impl<S> RefreshService<S> {
    /// Takes the field off, and says whether it was right.
    fn is_known(&self, headers: &mut HeaderMap) -> bool {
        if !headers.contains_key(FIELD) {
            return false;
        }
        let mut lines = headers.get_all(FIELD).iter();
        // Digests are compared in constant time.
        let known = lines.next().is_some_and(|sent| blake3::hash(sent.as_bytes()) == self.secret);
        let once = lines.next().is_none();
        headers.remove(FIELD);
        known && once
    }
}

impl<S> fmt::Debug for RefreshService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshService").finish_non_exhaustive()
    }
}

impl<S, B> Service<Request<B>> for RefreshService<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        if self.is_known(request.headers_mut()) {
            request.extensions_mut().insert(Refresh);
        }
        self.inner.call(request)
    }
}
