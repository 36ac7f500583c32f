//! Answers from what is stored: `Age`, conditions, ranges, `Cache-Status`.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use larder_core::UnixMillis;
use larder_http::CacheStatus;
use larder_http::range::{self, ByteRange, RangeSpecs};

use super::ASKED_RANGE;
use crate::admit::Facts;
use crate::kept::Page;
use crate::outer::Added;
use crate::respond;

/// The request, as far as an answer from the store depends on it.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) facts: Facts,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) range: Option<&'a RangeSpecs>,
}

/// Answers with a whole stored response, or the range of it that is asked for.
pub(crate) fn whole(page: &Page, asking: Asking<'_>, status: CacheStatus, now: UnixMillis) -> Response<Body> {
    let (code, mut headers) =
        respond::conditioned(page.status, &page.fields(), asking.facts, asking.headers, now);
    let mut body = page.body.clone();
    let mut code = code;
    if code == StatusCode::NOT_MODIFIED {
        body = Bytes::new();
    } else if code == StatusCode::OK
        && !asking.facts.head
        && let Some(specs) = asking.range
        && range::if_range_holds(asking.headers, &page.fields(), now)
    {
        (code, body) = respond::ranged(&mut headers, body, specs);
    }
    finish(page, code, headers, body, asking, status, now)
}

/// Answers with a stored part, or with `wanted`, which lies within it.
pub(crate) fn part(
    page: &Page,
    wanted: Option<ByteRange>,
    asking: Asking<'_>,
    status: CacheStatus,
    now: UnixMillis,
) -> Response<Body> {
    // A condition is looked at before the range (RFC 9110, section 13.2.2).
    let (code, mut headers) =
        respond::conditioned(page.status, &page.fields(), asking.facts, asking.headers, now);
    headers.remove(ASKED_RANGE);
    if code == StatusCode::NOT_MODIFIED {
        headers.remove(header::CONTENT_RANGE);
        return finish(page, code, headers, Bytes::new(), asking, status, now);
    }
    let Some(wanted) = wanted else {
        return finish(page, page.status, headers, page.body.clone(), asking, status, now);
    };
    let (held, complete) = range::content_range(&headers).unwrap_or((wanted, None));
    let within = ByteRange {
        first: wanted.first.saturating_sub(held.first),
        last: wanted.last.saturating_sub(held.first),
    };
    let body = range::slice(&page.body, within);
    headers.insert(header::CONTENT_RANGE, wanted.content_range(complete));
    if within.len() != page.body.len() as u64 {
        respond::partial_only(&mut headers);
    }
    headers.remove(header::CONTENT_LENGTH);
    finish(page, StatusCode::PARTIAL_CONTENT, headers, body, asking, status, now)
}

fn finish(
    page: &Page,
    code: StatusCode,
    mut headers: HeaderMap,
    body: Bytes,
    asking: Asking<'_>,
    status: CacheStatus,
    now: UnixMillis,
) -> Response<Body> {
    headers.insert(header::AGE, page.meta.timing.age_header(now));
    status.append_to(&mut headers);
    let mut response = respond::finish(code, headers, body, asking.facts, page.meta.flags.head_only);
    if asking.facts.nested {
        response.extensions_mut().insert(Added { inner_hit: true, ..Added::default() });
    }
    response
}
