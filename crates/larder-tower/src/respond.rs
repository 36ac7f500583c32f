//! A stored page as an answer: `Age`, `Cache-Status`, 304, HEAD.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use larder_core::UnixMillis;
use larder_http::range::{self, RangeSpecs, Ranges};
use larder_http::{CacheStatus, Forward, Precondition, evaluate_cached, not_modified_headers};

use crate::admit::Facts;
use crate::body::Resumed;
use crate::coded;
use crate::kept::{self, Page};
use crate::outer::Added;
use crate::words;

/// Answers from a stored page.
pub(crate) fn from_stored(page: &Page, facts: Facts, request: &HeaderMap, now: UnixMillis) -> Response<Body> {
    let ttl = page.meta.timing.ttl_secs(now);
    let said = match page.meta.flags.credentialed {
        false => words::hit(ttl),
        true => CacheStatus::hit(ttl).detail(facts.keyed()).to_value(),
    };
    answer(page, said, facts, request, now)
}

/// Answers from a page that the request waited for in place of a stale one.
pub(crate) fn renewed(page: &Page, facts: Facts, request: &HeaderMap, now: UnixMillis) -> Response<Body> {
    let status = CacheStatus::forward(Forward::Stale).collapsed(true).ttl(page.meta.timing.ttl_secs(now));
    with_status(page, status, facts, request, now)
}

/// Answers from a stored page, with this word about how that came.
pub(crate) fn with_status(
    page: &Page,
    status: CacheStatus,
    facts: Facts,
    request: &HeaderMap,
    now: UnixMillis,
) -> Response<Body> {
    answer(page, status.to_value(), facts, request, now)
}

fn answer(
    page: &Page,
    status: HeaderValue,
    facts: Facts,
    request: &HeaderMap,
    now: UnixMillis,
) -> Response<Body> {
    let timing = &page.meta.timing;
    let age = words::seconds(timing.age_ms(now) / 1000);
    // Most requests: the page as it is. Each thing that is asked for costs those too who do not.
    if facts.is_plain() && page.meta.forms.is_empty() && page.status != StatusCode::NOT_MODIFIED {
        let mut response = Response::new(Body::from(page.body.clone()));
        *response.status_mut() = page.status;
        page.lay(response.headers_mut(), age, status);
        return response;
    }
    otherwise(page, age, status, facts, request, now)
}

#[inline(never)]
fn otherwise(
    page: &Page,
    age: HeaderValue,
    status: HeaderValue,
    facts: Facts,
    request: &HeaderMap,
    now: UnixMillis,
) -> Response<Body> {
    let unchanged = match facts.conditional {
        true => not_modified(page.status, &page.fields(), facts, request, now),
        false => None,
    };
    let (mut code, mut headers) = match unchanged {
        Some(mut headers) => {
            kept::say(&mut headers, age, status);
            (StatusCode::NOT_MODIFIED, headers)
        }
        None => {
            let mut headers = HeaderMap::new();
            page.lay(&mut headers, age, status);
            (page.status, headers)
        }
    };
    let mut body = if code == StatusCode::NOT_MODIFIED { Bytes::new() } else { page.body.clone() };
    if facts.solo
        && !facts.head
        && code == StatusCode::OK
        && let Some(specs) = range::requested(request)
        && range::if_range_holds(request, &page.fields(), now)
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

/// A 304 where the request's condition allows it, else all fields.
pub(crate) fn conditioned(
    status: StatusCode,
    headers: &HeaderMap,
    facts: Facts,
    request: &HeaderMap,
    now: UnixMillis,
) -> (StatusCode, HeaderMap) {
    if let Some(headers) = not_modified(status, headers, facts, request, now) {
        return (StatusCode::NOT_MODIFIED, headers);
    }
    (status, headers.clone())
}

/// The same of fields that nobody else needs.
pub(crate) fn conditioned_own(
    status: StatusCode,
    headers: HeaderMap,
    facts: Facts,
    request: &HeaderMap,
    now: UnixMillis,
) -> (StatusCode, HeaderMap) {
    if facts.conditional {
        return conditioned(status, &headers, facts, request, now);
    }
    (status, headers)
}

/// The fields of a 304, where the request's condition allows one.
fn not_modified(
    status: StatusCode,
    headers: &HeaderMap,
    facts: Facts,
    request: &HeaderMap,
    now: UnixMillis,
) -> Option<HeaderMap> {
    let method = if facts.head { Method::HEAD } else { Method::GET };
    // Conditions are for what would be a success (RFC 9110, section 13.2.1).
    let unchanged = facts.conditional
        && status.is_success()
        && evaluate_cached(&method, request, headers, now) == Precondition::NotModified;
    unchanged.then(|| not_modified_headers(headers))
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

/// The body of a 304, which has no length to announce. To a middleware that compresses, what has no length is a long one: where the client takes
/// that, it is better announced as empty, as any other server under such a middleware does.
pub(crate) fn unchanged(coded: bool) -> Body {
    if coded { Body::empty() } else { Body::new(Resumed::default()) }
}

/// The body of an answer to HEAD. Where no length is said it must not look like one of length zero, which a server would announce.
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
        unchanged(facts.coded)
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
