//! A stored page as an answer: `Age`, `Cache-Status`, 304, HEAD.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use larder_core::UnixMillis;
use larder_http::range::{self, RangeSpecs, Ranges};
use larder_http::{
    CACHE_STATUS, CacheStatus, Forward, Precondition, StoredResponse, evaluate_cached, not_modified_headers,
};

use crate::admit::Facts;
use crate::body::Resumed;
use crate::coded;
use crate::outer::Added;
use crate::usual;
use crate::words;

/// Answers from a stored page.
pub(crate) fn from_stored(
    page: &StoredResponse,
    facts: Facts,
    request: &HeaderMap,
    now: UnixMillis,
) -> Response<Body> {
    let ttl = page.meta.timing.ttl_secs(now);
    let said = match page.meta.flags.credentialed {
        false => words::hit(ttl),
        true => CacheStatus::hit(ttl).detail(facts.keyed()).to_value(),
    };
    answer(page, said, facts, request, now)
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
    answer(page, status.to_value(), facts, request, now)
}

fn answer(
    page: &StoredResponse,
    status: HeaderValue,
    facts: Facts,
    request: &HeaderMap,
    now: UnixMillis,
) -> Response<Body> {
    let timing = &page.meta.timing;
    let (mut code, mut headers) = conditioned(page.status, &page.headers, facts, request, now);
    describe(&mut headers, words::seconds(timing.age_ms(now) / 1000), status);
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

/// Stands in stored pages and nowhere else: a field that no response has (RFC 9110, section 10.1.4). A copy of the fields has room for as many as
/// there are, so taking it out leaves some for the length that a server adds.
const ROOM: HeaderName = header::TE;

/// A stored page's fields with room for what every hit has more: the two that a hit sets stand first, where they are found without a search.
pub(crate) fn seeded(headers: &HeaderMap) -> HeaderMap {
    let mut seeded = HeaderMap::with_capacity(headers.keys_len() + 3);
    seeded.insert(header::AGE, HeaderValue::from_static("0"));
    seeded.insert(CACHE_STATUS, HeaderValue::from_static("larder; hit"));
    let [date, expires] = dates(headers);
    for (name, value) in headers {
        let value = match *name {
            header::AGE | CACHE_STATUS => continue,
            header::DATE => date.as_ref().unwrap_or(value),
            header::EXPIRES => expires.as_ref().unwrap_or(value),
            _ => value,
        };
        // These are what a layer writes anew for each page, and mostly the same.
        let usual = match *name {
            header::CACHE_CONTROL | header::VARY => usual::value(name, value),
            _ => None,
        };
        seeded.append(name.clone(), usual.unwrap_or_else(|| value.clone()));
    }
    seeded.insert(ROOM, HeaderValue::from_static("room"));
    seeded
}

/// `Date` and `Expires`, which are other texts on each page, in one piece of memory: a hit counts who holds them there, and where pages are many no
/// processor has that at hand.
fn dates(headers: &HeaderMap) -> [Option<HeaderValue>; 2] {
    let only = |name| {
        let mut lines = headers.get_all(name).iter();
        lines.next().filter(|_| lines.next().is_none())
    };
    let Some((date, expires)) = only(header::DATE).zip(only(header::EXPIRES)) else { return [None, None] };
    let mut both = Bytes::from([date.as_bytes(), expires.as_bytes()].concat());
    let date = both.split_to(date.len());
    [date, both].map(|text| HeaderValue::from_maybe_shared(text).ok())
}

/// Sets the two fields that every hit has.
fn describe(headers: &mut HeaderMap, age: HeaderValue, status: HeaderValue) {
    let mut fields = headers.iter_mut();
    match (fields.next(), fields.next()) {
        (Some((first, old_age)), Some((second, old_status)))
            if *first == header::AGE && *second == CACHE_STATUS =>
        {
            (*old_age, *old_status) = (age, status);
        }
        _ => {
            headers.insert(header::AGE, age);
            headers.insert(CACHE_STATUS, status);
        }
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
    let mut headers = headers.clone();
    headers.remove(ROOM);
    (status, headers)
}

/// The same of fields that nobody else needs.
pub(crate) fn conditioned_own(
    status: StatusCode,
    mut headers: HeaderMap,
    facts: Facts,
    request: &HeaderMap,
    now: UnixMillis,
) -> (StatusCode, HeaderMap) {
    if facts.conditional {
        return conditioned(status, &headers, facts, request, now);
    }
    headers.remove(ROOM);
    (status, headers)
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
