//! Conditions on writes: nobody overwrites what they have not seen (RFC 9110, section 13; RFC 6585, section 3).

use std::error::Error as StdError;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use larder_core::{Clock, UnixMillis};
use larder_http::{Precondition, Validators, evaluate_conditional, format_date, quote_etag};
use parking_lot::Mutex;
use tower::ServiceExt as _;
use tower_layer::Layer;
use tower_service::Service;

use super::conditional_get::{after, without_content};
use crate::refresh::Refresh;

type Later = Pin<Box<dyn Future<Output = Option<String>> + Send>>;
type ModifiedFn = Arc<dyn Fn(&Parts) -> Option<SystemTime> + Send + Sync>;

type EtagFn = Arc<dyn Fn(Parts) -> Later + Send + Sync>;

/// Evaluates the conditions of requests on the entity tag that `etag` gives, before the handler runs: drf-extensions' `APIETAGProcessor`, Django's
/// `condition`. A GET whose `If-None-Match` still holds is answered with 304; any other request whose conditions fail with 412; both carry the
/// current `ETag`. With [`require`](PreconditionsLayer::require), a write without a condition is answered with 428.
///
/// ```
/// use axum::{Router, routing::get};
/// use http::StatusCode;
/// use larder_tower::preconditions;
///
/// # async fn show() {}
/// # async fn save() -> StatusCode { StatusCode::NO_CONTENT }
/// # async fn version_of(_path: String) -> Option<u64> { Some(7) }
/// let course = get(show).put(save).layer(
///     preconditions(|parts| {
///         let path = parts.uri.path().to_owned();
///         async move { Some(format!("v{}", version_of(path).await?)) }
///     })
///     .require(),
/// );
/// let app: Router = Router::new().route("/courses/{id}", course);
/// ```
///
/// `None` says that there is nothing yet: `If-Match` fails, `If-None-Match: *` holds.
///
/// **Two writes at once** may carry the same `If-Match` and both pass: between the question here and the handler's write lies time. A handler
/// that has to be certain compares in the write itself (`UPDATE … SET version = 8 WHERE id = 7 AND version = 7`) and answers 412 if nothing was changed.
pub fn preconditions<F>(etag: impl Fn(Parts) -> F + Send + Sync + 'static) -> PreconditionsLayer
where
    F: Future<Output = Option<String>> + Send + 'static,
{
    let etag: EtagFn = Arc::new(move |parts| Box::pin(etag(parts)));
    PreconditionsLayer::of(etag, false)
}

/// As [`preconditions`], with the entity tag that `get` answers with to a GET of the same URL, or one made of its body as
/// [`conditional_get`](crate::conditional_get) makes it: `get` is what answers such a GET, and a write with conditions costs one besides. Caching layers in it make
/// their page anew. What does not answer with success has no entity tag.
///
/// ```
/// use axum::{Router, routing::get};
/// use larder_tower::preconditions_of;
///
/// # async fn show() -> &'static str { "" }
/// # async fn save() {}
/// let course = get(show).put(save).layer(preconditions_of(get(show)).require());
/// let app: Router = Router::new().route("/courses/{id}", course);
/// ```
///
/// `get` is named, since a layer on a route of Axum's is around each method alone.
pub fn preconditions_of<G, R>(get: G) -> PreconditionsLayer
where
    G: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    G::Future: Send,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let get = Mutex::new(get);
    let etag: EtagFn = Arc::new(move |parts| {
        let get = get.lock().clone();
        Box::pin(async move {
            // What fails has no tag, and a condition on it fails.
            let response = get.oneshot(asking(&parts)).await.ok()?.map(Body::new);
            let response = after(&Method::GET, &HeaderMap::new(), response, Clock::system().now()).await;
            let tag = response.headers().get(header::ETAG).filter(|_| response.status().is_success())?;
            tag.to_str().ok().map(str::to_owned)
        })
    });
    PreconditionsLayer::of(etag, true)
}

/// See [`preconditions`] and [`preconditions_of`].
#[derive(Clone)]
#[must_use = "a layer does nothing until it is mounted"]
pub struct PreconditionsLayer {
    etag: EtagFn,
    /// The answers to reads say it themselves.
    reads_say: bool,
    modified: Option<ModifiedFn>,
    required: Arc<[Method]>,
    clock: Clock,
}

impl PreconditionsLayer {
    fn of(etag: EtagFn, reads_say: bool) -> Self {
        Self { etag, reads_say, modified: None, required: Arc::new([]), clock: Clock::system() }
    }

    /// When what a request is about changed last, for `If-Modified-Since` and `If-Unmodified-Since`.
    pub fn last_modified(
        mut self,
        modified: impl Fn(&Parts) -> Option<SystemTime> + Send + Sync + 'static,
    ) -> Self {
        self.modified = Some(Arc::new(modified));
        self
    }

    /// A PUT, PATCH or DELETE needs a condition (`If-Match`, `If-Unmodified-Since`, or `If-None-Match: *` to create): without one it is answered with 428.
    pub fn require(self) -> Self {
        self.require_for([Method::PUT, Method::PATCH, Method::DELETE])
    }

    /// The same for these methods.
    pub fn require_for(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.required = methods.into_iter().collect();
        self
    }

    /// Where the time comes from by which two-digit years are read.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}

impl fmt::Debug for PreconditionsLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreconditionsLayer").field("required", &self.required).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for PreconditionsLayer {
    type Service = PreconditionsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        PreconditionsService { inner, layer: self.clone() }
    }
}

/// The service of a [`PreconditionsLayer`].
#[derive(Clone)]
pub struct PreconditionsService<S> {
    inner: S,
    layer: PreconditionsLayer,
}

impl<S> fmt::Debug for PreconditionsService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreconditionsService").finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for PreconditionsService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let clone = self.inner.clone();
        let mut service = mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let (method, now) = (parts.method.clone(), layer.clock.now());
            if layer.required.contains(&method) && !guards_a_write(&parts.headers, now) {
                return Ok(required());
            }
            let reads = matches!(method, Method::GET | Method::HEAD);
            let headers = parts.headers.clone();
            if !reads && !is_conditional(&headers) {
                return Ok(service.call(Request::from_parts(parts, body)).await?.map(Body::new));
            }
            if reads && layer.reads_say {
                let response = service.call(Request::from_parts(parts, body)).await?.map(Body::new);
                return Ok(after(&method, &headers, response, now).await);
            }
            let etag = (layer.etag)(parts.clone()).await.and_then(|tag| quoted(&tag));
            let modified = layer.modified.as_ref().and_then(|modified| modified(&parts)).map(whole_seconds);
            let known = Known { etag, modified };
            if let Some(answer) = known.decide(&method, &headers, now) {
                return Ok(answer);
            }
            let mut response = service.call(Request::from_parts(parts, body)).await?.map(Body::new);
            if reads {
                known.label(response.headers_mut());
            }
            Ok(response)
        })
    }
}

/// What a request is about, as far as it is known before the handler runs.
struct Known {
    etag: Option<HeaderValue>,
    modified: Option<UnixMillis>,
}

impl Known {
    fn decide(&self, method: &Method, request: &HeaderMap, now: UnixMillis) -> Option<Response<Body>> {
        let etag = self.etag.as_ref().map(HeaderValue::as_bytes);
        let validators = Validators { etag, last_modified: self.modified, date: None };
        let mut response = without_content(evaluate_conditional(method, request, &validators, now), request)?;
        self.label(response.headers_mut());
        Some(response)
    }

    fn label(&self, headers: &mut HeaderMap) {
        if let Some(etag) = &self.etag {
            headers.entry(header::ETAG).or_insert_with(|| etag.clone());
        }
        if let Some(at) = self.modified {
            headers.entry(header::LAST_MODIFIED).or_insert_with(|| format_date(at));
        }
    }
}

fn quoted(tag: &str) -> Option<HeaderValue> {
    let quoted = quote_etag(tag);
    if quoted.is_none() {
        tracing::warn!(target: "larder::decision", "an etag function gave what can't stand in a header; it is ignored");
    }
    quoted
}

/// That is all a header says.
fn whole_seconds(at: SystemTime) -> UnixMillis {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs().saturating_mul(1000)
}

const CONDITIONS: [header::HeaderName; 5] = [
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
];

fn is_conditional(headers: &HeaderMap) -> bool {
    CONDITIONS.iter().any(|name| headers.contains_key(name))
}

/// Whether a write says what it expects to find. That there be something else than a certain version is no such thing.
fn guards_a_write(headers: &HeaderMap, now: UnixMillis) -> bool {
    let creates =
        headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes().trim_ascii() == b"*");
    // Of what is not there, nothing holds. A field that is empty, or no date, is no condition and would let anything pass.
    let nothing = Validators { etag: None, last_modified: None, date: None };
    creates || evaluate_conditional(&Method::PUT, headers, &nothing, now) == Precondition::Failed
}

/// A GET of the same URL, by the same user, without a body and without conditions.
fn asking(parts: &Parts) -> Request<Body> {
    let mut parts = parts.clone();
    parts.method = Method::GET;
    let of_the_body =
        [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::CONTENT_ENCODING, header::TRANSFER_ENCODING];
    for name in CONDITIONS.iter().chain(&of_the_body).chain(&[header::RANGE, header::EXPECT]) {
        parts.headers.remove(name);
    }
    // A page from the cache may be older than the last write.
    parts.extensions.insert(Refresh);
    Request::from_parts(parts, Body::empty())
}

fn required() -> Response<Body> {
    let text = "This request has to be conditional: send If-Match with the ETag of what it changes.\n";
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::PRECONDITION_REQUIRED;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // RFC 6585: such an answer must not be stored.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
