//! A stored page as an answer: `Age`, `Cache-Status`, 304, HEAD.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use larder_core::UnixMillis;
use larder_http::range::{self, RangeSpecs, Ranges};
use larder_http::{
    CACHE_STATUS, CacheStatus, Forward, Precondition, StoredResponse, evaluate_cached, not_modified_headers,
};

use crate::admit::Facts;
use crate::body::Resumed;
use crate::coded;
use crate::outer::Added;

/// Answers from a stored page.
pub(crate) fn from_stored(
    page: &StoredResponse,
    facts: Facts,
    request: &HeaderMap,
    now: UnixMillis,
) -> Response<Body> {
    let mut status = CacheStatus::hit(page.meta.timing.ttl_secs(now));
    status.detail = page.meta.flags.credentialed.then(|| facts.keyed());
    with_status(page, status, facts, request, now)
}

/// Answers from a page that the request waited for in place of a stale one.
pub(crate) fn renewed(
    page: &StoredResponse,
    facts: Facts,
    request: &HeaderMap,
    now: UnixMillis,
) -> Response<Body> {
    let status = CacheStatus::forward(Forward::Stale).collapsed(true).ttl(page.meta.timing.ttl_secs(now));
    with_status(page, status, facts, request, now)
}

/// Answers from a stored page, with this word about how that came.
pub(crate) fn with_status(
    page: &StoredResponse,
    status: CacheStatus,
    facts: Facts,
    request: &HeaderMap,
    now: UnixMillis,
) -> Response<Body> {
    let timing = &page.meta.timing;
    let (mut code, mut headers) = conditioned(page.status, &page.headers, facts, request, now);
    headers.insert(header::AGE, age_value(timing.age_ms(now) / 1000));
    headers.insert(CACHE_STATUS, status.to_value());
    let mut body = if code == StatusCode::NOT_MODIFIED { Bytes::new() } else { page.body.clone() };
    if facts.solo
        && !facts.head
        && code == StatusCode::OK
        && let Some(specs) = range::requested(request)
        && range::if_range_holds(request, &page.headers, now)
    {
        (code, body) = ranged(&mut headers, body, &specs);
    } else if matches!(code, StatusCode::OK | StatusCode::NOT_MODIFIED)
        && let Some(form) = coded::chosen(page, request)
    {
        if code == StatusCode::OK {
            coded::describe(&mut headers, form);
            body = form.body.clone();
        } else {
            coded::weaken(&mut headers);
        }
    }
    let mut response = finish(code, headers, body, facts, page.meta.flags.head_only);
    if facts.nested {
        response.extensions_mut().insert(Added { inner_hit: true, ..Added::default() });
    }
    response
}

/// The answer to a request that was not worth running: nobody reads it.
pub(crate) fn idle() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    CacheStatus::forward(Forward::Stale).collapsed(true).append_to(response.headers_mut());
    response.extensions_mut().insert(Added { inner_hit: true, ..Added::default() });
    response
}

/// A stored page's fields with room for the two that every hit sets: replaced in a copy, they do not make it grow.
pub(crate) fn seeded(mut headers: HeaderMap) -> HeaderMap {
    headers.insert(header::AGE, HeaderValue::from_static("0"));
    headers.insert(CACHE_STATUS, HeaderValue::from_static("larder; hit"));
    headers
}

/// An age in seconds; the usual ones allocate nothing.
fn age_value(seconds: u64) -> HeaderValue {
    const SMALL: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    match usize::try_from(seconds).ok().and_then(|s| SMALL.get(s)) {
        Some(small) => HeaderValue::from_static(small),
        None => HeaderValue::from(seconds),
    }
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
    // Conditions are for what would be a success (RFC 9110, section 13.2.1).
    if facts.conditional
        && status.is_success()
        && evaluate_cached(&method, request, headers, now) == Precondition::NotModified
    {
        return (StatusCode::NOT_MODIFIED, not_modified_headers(headers));
    }
    (status, headers.clone())
}

/// The status and body for a range of a whole body; its fields are set.
pub(crate) fn ranged(headers: &mut HeaderMap, body: Bytes, specs: &RangeSpecs) -> (StatusCode, Bytes) {
    let parts = match specs.resolve(body.len() as u64) {
        Ranges::Refused => return (StatusCode::OK, body),
        Ranges::Unsatisfiable => {
            headers.insert(header::CONTENT_RANGE, range::unsatisfied(body.len() as u64));
            for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::CONTENT_ENCODING] {
                headers.remove(name);
            }
            partial_only(headers);
            return (StatusCode::RANGE_NOT_SATISFIABLE, Bytes::new());
        }
        Ranges::Satisfiable(parts) => parts,
    };
    headers.remove(header::CONTENT_LENGTH);
    partial_only(headers);
    let content = match &parts[..] {
        [only] => {
            headers.insert(header::CONTENT_RANGE, only.content_range(Some(body.len() as u64)));
            range::slice(&body, *only)
        }
        several => {
            let (kind, content) = range::multipart(&body, several, headers.get(header::CONTENT_TYPE));
            headers.insert(header::CONTENT_TYPE, kind);
            content
        }
    };
    (StatusCode::PARTIAL_CONTENT, content)
}

/// Takes away what speaks of the content that was stored and not of the part that is sent (RFC 9530, section 2).
pub(crate) fn partial_only(headers: &mut HeaderMap) {
    headers.remove("content-digest");
    headers.remove("content-md5");
}

/// The body of an answer to HEAD, and of a 304. Where no length is said it must not look like one of length zero, which a server would announce.
pub(crate) fn bare(headers: &HeaderMap) -> Body {
    match headers.contains_key(header::CONTENT_LENGTH) {
        true => Body::empty(),
        false => Body::new(Resumed::default()),
    }
}

/// A response with a whole body, or for HEAD with its length only.
pub(crate) fn finish(
    status: StatusCode,
    mut headers: HeaderMap,
    body: Bytes,
    facts: Facts,
    head_only: bool,
) -> Response<Body> {
    let body = if status == StatusCode::NOT_MODIFIED {
        bare(&headers)
    } else if facts.head {
        if !head_only && status != StatusCode::NO_CONTENT && !headers.contains_key(header::CONTENT_LENGTH) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        bare(&headers)
    } else {
        Body::from(body)
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
