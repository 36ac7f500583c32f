//! A stored page as an answer: `Age`, `Cache-Status`, 304, HEAD.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use larder_core::UnixMillis;
use larder_http::{CacheStatus, Precondition, StoredResponse, evaluate_cached, not_modified_headers};

use crate::admit::Facts;
use crate::outer::Added;

/// The name of RFC 9211's field.
pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Answers from a stored page.
pub(crate) fn from_stored(
    page: &StoredResponse,
    facts: Facts,
    request: &HeaderMap,
    now: UnixMillis,
) -> Response<Body> {
    let timing = &page.meta.timing;
    let mut status = CacheStatus::hit(timing.ttl_secs(now));
    status.detail = page.meta.flags.credentialed.then(|| facts.keyed());
    let (code, mut headers) = conditioned(page.status, &page.headers, facts, request, now);
    headers.insert(header::AGE, HeaderValue::from(timing.age_ms(now) / 1000));
    status.append_to(&mut headers);
    let body = if code == StatusCode::NOT_MODIFIED { Bytes::new() } else { page.body.clone() };
    let mut response = finish(code, headers, body, facts, page.meta.flags.head_only);
    if facts.nested {
        response.extensions_mut().insert(Added { inner_hit: true, ..Added::default() });
    }
    response
}

/// A 304 where the request's condition allows it, else all fields.
pub(crate) fn conditioned(
    status: StatusCode,
    headers: &HeaderMap,
    facts: Facts,
    request: &HeaderMap,
    now: UnixMillis,
) -> (StatusCode, HeaderMap) {
    let method = if facts.head { Method::HEAD } else { Method::GET };
    if facts.conditional && evaluate_cached(&method, request, headers, now) == Precondition::NotModified {
        return (StatusCode::NOT_MODIFIED, not_modified_headers(headers));
    }
    (status, headers.clone())
}

/// A response with a whole body, or for HEAD with its length only.
pub(crate) fn finish(
    status: StatusCode,
    mut headers: HeaderMap,
    body: Bytes,
    facts: Facts,
    head_only: bool,
) -> Response<Body> {
    let body = if facts.head {
        if !head_only && status != StatusCode::NOT_MODIFIED && !headers.contains_key(header::CONTENT_LENGTH) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        Body::empty()
    } else {
        Body::from(body)
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
