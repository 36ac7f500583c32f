//! Django's `ConditionalGetMiddleware` and `condition` decorator.

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use larder_core::{Clock, UnixMillis};
use larder_http::{
    CacheControl, Precondition, Validators, evaluate_conditional, format_date, not_modified_headers,
    parse_date, quote_etag,
};
use tower_layer::Layer;
use tower_service::Service;

use crate::body::Resumed;
use crate::respond::unchanged;

type EtagFn = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;
type ModifiedFn = Arc<dyn Fn(&Parts) -> Option<SystemTime> + Send + Sync>;

/// Bodies above this get no `ETag`: they would have to be collected for it.
const MAX_BODY: u64 = 1 << 20;

/// Answers conditional requests.
///
/// As it is, it is Django's `ConditionalGetMiddleware`: a GET's 200 without an `ETag` gets one made of its body (if that is not empty, has a
/// known length of at most 1 MiB and is not `no-store`), and a request whose `If-None-Match` or `If-Modified-Since` still holds is answered
/// with 304.
///
/// With [`etag`](ConditionalGetLayer::etag) or [`last_modified`](ConditionalGetLayer::last_modified) it is Django's `condition` decorator: they are asked
/// *before* the handler, for every method; a condition that holds is answered with 304 or 412 without running it.
///
/// ```
/// use axum::{Router, routing::get};
/// use larder_tower::conditional_get;
///
/// let app: Router = Router::new()
///     .route("/", get(|| async { "hello" }).layer(conditional_get()))
///     .route("/versioned", get(|| async { "hello" }).layer(conditional_get().etag(|_parts| Some("v7".to_owned()))));
/// ```
pub fn conditional_get() -> ConditionalGetLayer {
    ConditionalGetLayer { etag: None, modified: None, clock: Clock::system() }
}

/// See [`conditional_get`].
#[derive(Clone)]
#[must_use = "a layer does nothing until it is mounted"]
pub struct ConditionalGetLayer {
    etag: Option<EtagFn>,
    modified: Option<ModifiedFn>,
    clock: Clock,
}

impl ConditionalGetLayer {
    /// The entity tag of what a request is about, if it has one; quoted if it is not. Django: `etag_func`.
    pub fn etag(mut self, etag: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.etag = Some(Arc::new(etag));
        self
    }

    /// When what a request is about changed last. Django: `last_modified_func`.
    pub fn last_modified(
        mut self,
        modified: impl Fn(&Parts) -> Option<SystemTime> + Send + Sync + 'static,
    ) -> Self {
        self.modified = Some(Arc::new(modified));
        self
    }

    /// Where the time comes from by which two-digit years are read.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}

impl fmt::Debug for ConditionalGetLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConditionalGetLayer").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for ConditionalGetLayer {
    type Service = ConditionalGetService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ConditionalGetService { inner, layer: self.clone() }
    }
}

/// The service of a [`ConditionalGetLayer`].
#[derive(Clone)]
pub struct ConditionalGetService<S> {
    inner: S,
    layer: ConditionalGetLayer,
}

impl<S> fmt::Debug for ConditionalGetService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConditionalGetService").finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for ConditionalGetService<S>
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
            let known = layer.known(&parts);
            let (method, headers, now) = (parts.method.clone(), parts.headers.clone(), layer.clock.now());
            if let Some(known) = &known
                && let Some(answer) = known.decide(&method, &headers, now)
            {
                return Ok(answer);
            }
            let response = service.call(Request::from_parts(parts, body)).await?.map(Body::new);
            Ok(match known {
                Some(known) => known.label(&method, response),
                None => after(&method, &headers, response, now).await,
            })
        })
    }
}

/// Validators that are known before the handler runs.
struct Known {
    etag: Option<HeaderValue>,
    modified: Option<UnixMillis>,
}

impl ConditionalGetLayer {
    fn known(&self, parts: &Parts) -> Option<Known> {
        if self.etag.is_none() && self.modified.is_none() {
            return None;
        }
        let etag = self.etag.as_ref().and_then(|f| f(parts)).and_then(|tag| {
            let quoted = quote_etag(&tag);
            if quoted.is_none() {
                tracing::warn!(target: "larder::decision", "an etag function gave what can't stand in a header; it is ignored");
            }
            quoted
        });
        let modified = self.modified.as_ref().and_then(|f| f(parts)).map(|at| {
            let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            // Whole seconds: that is all a header says.
            since.as_secs().saturating_mul(1000)
        });
        Some(Known { etag, modified })
    }
}

impl Known {
    fn decide(&self, method: &Method, request: &HeaderMap, now: UnixMillis) -> Option<Response<Body>> {
        let etag = self.etag.as_ref().map(HeaderValue::as_bytes);
        let validators = Validators { etag, last_modified: self.modified, date: None };
        let response = without_content(evaluate_conditional(method, request, &validators, now), request)?;
        Some(self.label(method, response))
    }

    fn label(&self, method: &Method, mut response: Response<Body>) -> Response<Body> {
        if matches!(*method, Method::GET | Method::HEAD) {
            let headers = response.headers_mut();
            if let Some(etag) = &self.etag {
                headers.entry(header::ETAG).or_insert_with(|| etag.clone());
            }
            if let Some(at) = self.modified {
                headers.entry(header::LAST_MODIFIED).or_insert_with(|| format_date(at));
            }
        }
        response
    }
}

/// The answer to a condition that does not let a request through.
pub(super) fn without_content(found: Precondition, request: &HeaderMap) -> Option<Response<Body>> {
    let (status, body) = match found {
        Precondition::Proceed => return None,
        Precondition::NotModified => {
            (StatusCode::NOT_MODIFIED, unchanged(request.contains_key(header::ACCEPT_ENCODING)))
        }
        Precondition::Failed => (StatusCode::PRECONDITION_FAILED, Body::empty()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    Some(response)
}

/// `ConditionalGetMiddleware.process_response`: GET only.
pub(super) async fn after(
    method: &Method,
    request: &HeaderMap,
    response: Response<Body>,
    now: UnixMillis,
) -> Response<Body> {
    if *method != Method::GET || !response.status().is_success() {
        return response;
    }
    let (mut parts, mut body) = response.into_parts();
    // Of other successes the body need not be the whole page (206), or the page at all.
    let wants = parts.status == StatusCode::OK
        && !parts.headers.contains_key(header::ETAG)
        && !CacheControl::from_headers(&parts.headers).no_store;
    // An empty one says nothing that could be compared.
    if wants && body.size_hint().exact().is_some_and(|length| (1..=MAX_BODY).contains(&length)) {
        match body.collect().await {
            Ok(whole) if whole.trailers().is_none() => {
                let bytes = whole.to_bytes();
                if let Ok(etag) =
                    HeaderValue::from_str(&format!("\"{}\"", &blake3::hash(&bytes).to_hex()[..32]))
                {
                    parts.headers.insert(header::ETAG, etag);
                }
                body = Body::from(bytes);
            }
            Ok(whole) => {
                return Response::from_parts(parts, Body::new(whole.map_err(|never| match never {})));
            }
            // What broke goes on as broken.
            Err(error) => {
                let broken =
                    Resumed { begun: VecDeque::new(), trailer: None, error: Some(error), rest: None };
                return Response::from_parts(parts, Body::new(broken));
            }
        }
    }
    let validators = Validators {
        etag: parts.headers.get(header::ETAG).map(HeaderValue::as_bytes),
        last_modified: parts.headers.get(header::LAST_MODIFIED).and_then(|v| parse_date(v.as_bytes(), now)),
        date: None,
    };
    match evaluate_conditional(method, request, &validators, now) {
        Precondition::Proceed => {}
        Precondition::NotModified => {
            parts.status = StatusCode::NOT_MODIFIED;
            parts.headers = not_modified_headers(&parts.headers);
            body = unchanged(request.contains_key(header::ACCEPT_ENCODING));
        }
        Precondition::Failed => {
            parts.status = StatusCode::PRECONDITION_FAILED;
            parts.headers.remove(header::CONTENT_LENGTH);
            body = Body::empty();
        }
    }
    Response::from_parts(parts, body)
}
