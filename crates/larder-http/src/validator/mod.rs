//! Conditional requests ([RFC 9110 §13](https://www.rfc-editor.org/rfc/rfc9110#section-13),
//! [RFC 9111 §4.3.2](https://www.rfc-editor.org/rfc/rfc9111#section-4.3.2)).
//!
//! The order of [RFC 9110 §13.2.2](https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2), which is also that of
//! Django's `get_conditional_response`:
//!
//! 1. If-Match (strong comparison), else If-Unmodified-Since: false is 412.
//! 2. If-None-Match (weak comparison), else If-Modified-Since: a match is 304 for GET and HEAD; for other methods
//!    If-None-Match gives 412, and If-Modified-Since is ignored.
//!
//! The origin evaluates all four ([`evaluate_conditional`]); a cache only the second pair
//! ([`evaluate_cached`]). A field that is there always silences the other one of its pair, also if it is invalid.
//! Conditions are evaluated only where the answer without them would be 2xx, which the caller knows.
//!
//! ```
//! use http::{HeaderMap, Method, header};
//! use larder_http::{Precondition, Validators, evaluate_conditional};
//!
//! let request = HeaderMap::from_iter([(header::IF_NONE_MATCH, "W/\"1\", \"2\"".parse()?)]);
//! let current = Validators { etag: Some(b"\"2\""), ..Validators::default() };
//! assert_eq!(evaluate_conditional(&Method::GET, &request, &current, 0), Precondition::NotModified);
//! assert_eq!(evaluate_conditional(&Method::PUT, &request, &current, 0), Precondition::Failed);
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

use crate::{
    date::UnixMillis,
    etag::{EntityTag, TagList},
    lifetime::single_date,
};
use http::{HeaderMap, HeaderName, Method, header};

/// What the conditions of a request come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precondition {
    /// Answer as if there were none.
    Proceed,
    /// 304: the client has it already.
    NotModified,
    /// 412: the client's picture of the resource is outdated.
    Failed,
}

/// What identifies the current representation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Validators<'a> {
    /// The ETag, with its quotes.
    pub etag: Option<&'a [u8]>,
    /// Last-Modified. Fractions of a second don't count, as they can't be sent.
    pub last_modified: Option<UnixMillis>,
    /// Date, which stands in for Last-Modified in [`evaluate_cached_by_date`].
    pub date: Option<UnixMillis>,
}

impl<'a> Validators<'a> {
    /// The validators in the header of a response. One that is repeated, or a date that is none, is left out; an ETag
    /// that isn't one matches nothing.
    #[must_use]
    pub fn from_headers(headers: &'a HeaderMap, now: UnixMillis) -> Validators<'a> {
        let mut etags = headers.get_all(header::ETAG).iter();
        let etag = etags.next().filter(|_| etags.next().is_none()).map(|value| value.as_bytes());
        Validators {
            etag,
            last_modified: single_date(headers, &header::LAST_MODIFIED, now),
            date: single_date(headers, &header::DATE, now),
        }
    }

    fn tag(&self) -> Option<EntityTag<'a>> {
        self.etag.and_then(EntityTag::parse)
    }

    fn matches_weakly(&self, list: &TagList<'_>) -> bool {
        match (self.tag(), list) {
            (Some(_), TagList::Any) => true,
            (Some(tag), TagList::Tags(tags)) => tags.iter().any(|wanted| wanted.weak_eq(&tag)),
            _ => false,
        }
    }

    fn matches_strongly(&self, list: &TagList<'_>) -> bool {
        match (self.tag(), list) {
            (Some(_), TagList::Any) => true,
            (Some(tag), TagList::Tags(tags)) => tags.iter().any(|wanted| wanted.strong_eq(&tag)),
            _ => false,
        }
    }
}

/// The conditions of a request at the origin: Django's `get_conditional_response`. `*` matches a resource that has
/// an ETag.
///
/// Stricter than Django where an If-Match is there but holds no valid tag: that is 412, not ignored, since
/// ignoring it would let a write through that was meant to be guarded.
#[must_use]
pub fn evaluate_conditional(
    method: &Method,
    request: &HeaderMap,
    v: &Validators<'_>,
    now: UnixMillis,
) -> Precondition {
    let if_match = TagList::read(request.get_all(header::IF_MATCH).iter());
    let guarded = match &if_match {
        TagList::Absent => date_condition(request, &header::IF_UNMODIFIED_SINCE, now)
            .is_none_or(|since| v.last_modified.is_some_and(|modified| seconds(modified) <= seconds(since))),
        list => v.matches_strongly(list),
    };
    if guarded { not_modified(method, request, v, v.last_modified, now) } else { Precondition::Failed }
}

/// The conditions that a cache answers itself from what it has stored: If-None-Match and If-Modified-Since of GET and
/// HEAD. Never [`Failed`](Precondition::Failed).
///
/// If-Match and If-Unmodified-Since are for the origin; a cache ignores them
/// ([RFC 9110 §13.1.1](https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1)).
/// Without Last-Modified, If-Modified-Since is not evaluated, as Django has it.
#[must_use]
pub fn evaluate_cached(
    method: &Method,
    request: &HeaderMap,
    stored: &HeaderMap,
    now: UnixMillis,
) -> Precondition {
    cached(method, request, stored, now, |v| v.last_modified)
}

/// As [`evaluate_cached`], but where the stored response has no Last-Modified its Date is taken, to the letter of
/// [RFC 9111 §4.3.2](https://www.rfc-editor.org/rfc/rfc9111#section-4.3.2). For a cache that follows it; two responses made
/// within one second look the same this way.
#[must_use]
pub fn evaluate_cached_by_date(
    method: &Method,
    request: &HeaderMap,
    stored: &HeaderMap,
    now: UnixMillis,
) -> Precondition {
    cached(method, request, stored, now, |v| v.last_modified.or(v.date))
}

fn cached(
    method: &Method,
    request: &HeaderMap,
    stored: &HeaderMap,
    now: UnixMillis,
    modified: impl FnOnce(&Validators<'_>) -> Option<UnixMillis>,
) -> Precondition {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Precondition::Proceed;
    }
    // Most requests have no condition; for those nothing of the stored response is parsed.
    if !request.contains_key(header::IF_NONE_MATCH) && !request.contains_key(header::IF_MODIFIED_SINCE) {
        return Precondition::Proceed;
    }
    let validators = Validators::from_headers(stored, now);
    not_modified(method, request, &validators, modified(&validators), now)
}

fn not_modified(
    method: &Method,
    request: &HeaderMap,
    v: &Validators<'_>,
    last_modified: Option<UnixMillis>,
    now: UnixMillis,
) -> Precondition {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if request.contains_key(header::IF_NONE_MATCH) {
        let list = TagList::read(request.get_all(header::IF_NONE_MATCH).iter());
        return match (v.matches_weakly(&list), reads) {
            (false, _) => Precondition::Proceed,
            (true, true) => Precondition::NotModified,
            (true, false) => Precondition::Failed,
        };
    }
    let since = date_condition(request, &header::IF_MODIFIED_SINCE, now);
    match (reads, last_modified, since) {
        (true, Some(modified), Some(since)) if seconds(modified) <= seconds(since) => {
            Precondition::NotModified
        }
        _ => Precondition::Proceed,
    }
}

/// A date that is invalid or given twice is ignored (RFC 9110 §13.1.3, §13.1.4).
fn date_condition(request: &HeaderMap, name: &HeaderName, now: UnixMillis) -> Option<UnixMillis> {
    single_date(request, name, now)
}

fn seconds(at: UnixMillis) -> u64 {
    at / 1000
}

/// The header of the 304 for a response: what a client needs to update its copy
/// ([RFC 9110 §15.4.5](https://www.rfc-editor.org/rfc/rfc9110#section-15.4.5)) and the cookies, as Django's
/// `_not_modified`. Age and Cache-Status are the cache's own to add.
#[must_use]
pub fn not_modified_headers(full: &HeaderMap) -> HeaderMap {
    static KEPT: [HeaderName; 8] = [
        header::CACHE_CONTROL,
        header::CONTENT_LOCATION,
        header::DATE,
        header::ETAG,
        header::EXPIRES,
        header::LAST_MODIFIED,
        header::SET_COOKIE,
        header::VARY,
    ];
    let kept = full.iter().filter(|(name, _)| KEPT.contains(name));
    let mut headers = HeaderMap::with_capacity(KEPT.len());
    for (name, value) in kept {
        headers.append(name.clone(), value.clone());
    }
    headers
}

#[cfg(test)]
mod tests;
