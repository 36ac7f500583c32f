//! What the suites over the layers share: requests, answers, and how often a handler ran.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use larder::{Cache, ManualClock};
use larder_memory::Memory;
use tower::{Service, ServiceExt};

/// When the clocks of these suites begin.
pub(crate) const BEGIN: u64 = 1_700_000_000_000;

/// A cache in memory, and the hand that moves its clock.
pub(crate) fn clocked() -> (Cache, ManualClock) {
    let hand = ManualClock::new(BEGIN);
    (Cache::builder(Memory::new()).clock(hand.clock()).build().expect("a cache"), hand)
}

/// A cache in memory.
pub(crate) fn memory() -> Cache {
    Cache::new(Memory::new())
}

/// A cache by its URL, with a deadline that a busy machine keeps.
pub(crate) fn patient(url: &str) -> Cache {
    larder::open(&with_patience(url)).expect("a cache")
}

/// The URL with the patience that a store on a busy machine needs: no connection is given up because nobody had a turn.
pub(crate) fn with_patience(url: &str) -> String {
    let more = if url.contains('?') { '&' } else { '?' };
    let connected = ["redis", "memcached"].iter().any(|scheme| url.starts_with(scheme));
    let connections = if connected { "&connect_timeout=60s&max_silence=60s" } else { "" };
    format!("{url}{more}deadline=60s{connections}")
}

/// A GET without any field.
pub(crate) fn get(uri: &str) -> Request<Body> {
    request(Method::GET, uri, &[])
}

/// A GET with fields.
pub(crate) fn get_with(uri: &str, fields: &[(&str, &str)]) -> Request<Body> {
    request(Method::GET, uri, fields)
}

/// Any request without a body.
pub(crate) fn request(method: Method, uri: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).expect("a request")
}

/// A response with its body read to the end.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.expect("the body is whole");
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// All lines of a field, joined; empty if it is not there.
    pub(crate) fn field(&self, name: &str) -> String {
        let lines: Vec<_> = self.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        String::from_utf8_lossy(&lines.join(&b", "[..])).into_owned()
    }

    /// What the outermost layer said in `Cache-Status`.
    pub(crate) fn cache_status(&self) -> String {
        self.field("cache-status")
    }

    pub(crate) fn is_hit(&self) -> bool {
        self.cache_status().starts_with("larder; hit")
    }

    pub(crate) fn is_stored(&self) -> bool {
        self.cache_status().contains("; stored")
    }
}

/// Asks a service that does not fail.
pub(crate) async fn ask<S>(app: &S, request: Request<Body>) -> Answer
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone,
    S::Error: std::fmt::Debug,
{
    Answer::of(app.clone().oneshot(request).await.expect("the service answers")).await
}

/// Counts runs. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Runs(Arc<AtomicUsize>);

impl Runs {
    /// One more; gives its number, from 1.
    pub(crate) fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// An application that answers every path and method by `answer`, which gets the number of the run and the request's head.
pub(crate) fn origin<R: IntoResponse>(
    answer: impl Fn(usize, Parts) -> R + Clone + Send + Sync + 'static,
) -> (Router, Runs) {
    let runs = Runs::default();
    let seen = runs.clone();
    let handler = move |request: Request<Body>| {
        let response = answer(seen.next(), request.into_parts().0).into_response();
        async move { response }
    };
    (Router::new().fallback(handler), runs)
}

/// An application that answers everything with these fields and `run 1`, `run 2`, …
pub(crate) fn saying(fields: &[(&'static str, &str)]) -> (Router, Runs) {
    let fields: Vec<(&str, String)> =
        fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    origin(move |run, _| {
        let mut response = format!("run {run}").into_response();
        for (name, value) in &fields {
            response.headers_mut().append(*name, HeaderValue::from_str(value).expect("a field value"));
        }
        response
    })
}
