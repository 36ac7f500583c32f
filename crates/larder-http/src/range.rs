//! Byte ranges ([RFC 9110 §14](https://www.rfc-editor.org/rfc/rfc9110#section-14)).
//!
//! ```text
//! Range         = bytes=0-99, 200-, -50
//! Content-Range = bytes 0-99/1234
//! ```
//!
//! ```
//! use http::{HeaderMap, header};
//! use larder_http::range::{Ranges, requested, ByteRange};
//!
//! let headers = HeaderMap::from_iter([(header::RANGE, "bytes=0-1,-2".parse()?)]);
//! let Some(specs) = requested(&headers) else { panic!() };
//! assert_eq!(specs.resolve(10), Ranges::Satisfiable(vec![ByteRange { first: 0, last: 1 }, ByteRange { first: 8, last: 9 }]));
//! assert_eq!(specs.resolve(0), Ranges::Unsatisfiable);
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

use crate::date::{UnixMillis, parse_date};
use crate::etag::EntityTag;
use crate::lifetime::single_date;
use crate::validator::Validators;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};

/// More ranges than this in one request are refused: the whole is sent instead, as section 14.2 advises against
/// requests that ask for many small or overlapping parts.
const MOST: usize = 16;

/// Bytes of a representation, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// The first byte's place, from 0.
    pub first: u64,
    /// The last byte's place; not below `first`.
    pub last: u64,
}

impl ByteRange {
    /// How many bytes; never 0.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a range always has a byte")]
    pub fn len(&self) -> u64 {
        self.last - self.first + 1
    }

    /// `bytes 0-99/1234`; `*` for a length that isn't known.
    #[must_use]
    pub fn content_range(&self, complete: Option<u64>) -> HeaderValue {
        let complete = complete.map_or_else(|| "*".to_owned(), |n| n.to_string());
        value(format!("bytes {}-{}/{complete}", self.first, self.last))
    }
}

/// What a Range field asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeSpecs(Vec<Spec>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spec {
    From(u64, Option<u64>),
    Suffix(u64),
}

/// What it comes to for a representation of some length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ranges {
    /// These parts, in the order in which they were asked for.
    Satisfiable(Vec<ByteRange>),
    /// None: 416.
    Unsatisfiable,
    /// Too many, or overlapping more than once: send the whole.
    Refused,
}

/// Reads the Range field. `None` where it has to be ignored: not there, there twice, another unit, malformed.
#[must_use]
pub fn requested(request: &HeaderMap) -> Option<RangeSpecs> {
    let mut lines = request.get_all(header::RANGE).iter();
    let only = lines.next().filter(|_| lines.next().is_none())?;
    let text = only.to_str().ok()?;
    let (unit, set) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut specs = Vec::new();
    for spec in set.split(',').map(str::trim).filter(|spec| !spec.is_empty()) {
        let (first, last) = spec.split_once('-')?;
        specs.push(match (first.trim(), last.trim()) {
            ("", length) => Spec::Suffix(number(length)?),
            (first, "") => Spec::From(number(first)?, None),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Spec::From(first, Some(last)))?
            }
        });
    }
    (!specs.is_empty()).then_some(RangeSpecs(specs))
}

/// Digits; what is larger than any length counts as the largest.
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

impl RangeSpecs {
    /// The parts of a representation of `length` bytes.
    #[must_use]
    pub fn resolve(&self, length: u64) -> Ranges {
        let parts: Vec<ByteRange> = self.0.iter().filter_map(|spec| spec.within(length)).collect();
        if parts.is_empty() {
            return Ranges::Unsatisfiable;
        }
        let total = parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.len()));
        if parts.len() > MOST || (parts.len() > 1 && total > length) {
            return Ranges::Refused;
        }
        Ranges::Satisfiable(parts)
    }

    /// The one part it asks for, if that needs no knowledge of the length or `complete` tells it.
    #[must_use]
    pub fn single(&self, complete: Option<u64>) -> Option<ByteRange> {
        match (&self.0[..], complete) {
            ([spec], Some(length)) => spec.within(length),
            ([Spec::From(first, Some(last))], None) => Some(ByteRange { first: *first, last: *last }),
            _ => None,
        }
    }
}

impl Spec {
    fn within(self, length: u64) -> Option<ByteRange> {
        let end = length.checked_sub(1)?;
        let (first, last) = match self {
            Spec::From(first, last) => (first, last.unwrap_or(end).min(end)),
            Spec::Suffix(0) => return None,
            Spec::Suffix(count) => (length.saturating_sub(count), end),
        };
        (first <= last).then_some(ByteRange { first, last })
    }
}

/// What a Content-Range says: the part, and the complete length if it is known.
///
/// `None` for one that can't be right: another unit, a part behind the end, `bytes */N`
/// ([RFC 9110 §14.4](https://www.rfc-editor.org/rfc/rfc9110#section-14.4)).
#[must_use]
pub fn content_range(headers: &HeaderMap) -> Option<(ByteRange, Option<u64>)> {
    let mut lines = headers.get_all(header::CONTENT_RANGE).iter();
    let only = lines.next().filter(|_| lines.next().is_none())?.to_str().ok()?;
    let (unit, rest) = only.trim().split_once(' ')?;
    let (part, complete) = rest.trim().split_once('/')?;
    let (first, last) = part.split_once('-')?;
    let range = ByteRange { first: number(first)?, last: number(last)? };
    let complete = match complete {
        "*" => None,
        digits => Some(number(digits)?),
    };
    let fits = range.first <= range.last && complete.is_none_or(|length| range.last < length);
    (unit.eq_ignore_ascii_case("bytes") && fits).then_some((range, complete))
}

/// `bytes */1234`, for a 416.
#[must_use]
pub fn unsatisfied(complete: u64) -> HeaderValue {
    value(format!("bytes */{complete}"))
}

/// Whether the condition of If-Range holds, or there is none: only then is Range obeyed
/// ([RFC 9110 §13.1.5](https://www.rfc-editor.org/rfc/rfc9110#section-13.1.5)).
///
/// A tag matches strongly; a date matches exactly, and only one that is a strong validator: a second or more before Date.
#[must_use]
pub fn if_range_holds(request: &HeaderMap, stored: &HeaderMap, now: UnixMillis) -> bool {
    let mut lines = request.get_all(header::IF_RANGE).iter();
    let Some(condition) = lines.next() else { return true };
    if lines.next().is_some() {
        return false;
    }
    let validators = Validators::from_headers(stored, now);
    if let Some(wanted) = EntityTag::parse(condition.as_bytes()) {
        return validators.etag.and_then(EntityTag::parse).is_some_and(|tag| tag.strong_eq(&wanted));
    }
    match (parse_date(condition.as_bytes(), now), strong_date(stored, now)) {
        (Some(wanted), Some(modified)) => wanted == modified,
        _ => false,
    }
}

/// Last-Modified where it is a strong validator ([RFC 9110 §8.8.2.2](https://www.rfc-editor.org/rfc/rfc9110#section-8.8.2.2)).
fn strong_date(headers: &HeaderMap, now: UnixMillis) -> Option<UnixMillis> {
    let modified = single_date(headers, &header::LAST_MODIFIED, now)?;
    let date = single_date(headers, &header::DATE, now)?;
    (date >= modified.saturating_add(1000)).then_some(modified)
}

/// Whether two headers carry the same strong validator, so that parts of both are parts of one representation
/// ([RFC 9111 §3.4](https://www.rfc-editor.org/rfc/rfc9111#section-3.4)).
#[must_use]
pub fn same_strong_validator(a: &HeaderMap, b: &HeaderMap, now: UnixMillis) -> bool {
    let (va, vb) = (Validators::from_headers(a, now), Validators::from_headers(b, now));
    match (va.etag.and_then(EntityTag::parse), vb.etag.and_then(EntityTag::parse)) {
        (Some(x), Some(y)) => x.strong_eq(&y),
        (None, None) => strong_date(a, now).zip(strong_date(b, now)).is_some_and(|(x, y)| x == y),
        _ => false,
    }
}

/// Whether there is neither ETag nor Last-Modified, so that nothing can tell two representations apart.
#[must_use]
pub fn has_no_validator(headers: &HeaderMap) -> bool {
    !headers.contains_key(header::ETAG) && !headers.contains_key(header::LAST_MODIFIED)
}

/// Several parts as a `multipart/byteranges` body, with its Content-Type
/// ([RFC 9110 §14.6](https://www.rfc-editor.org/rfc/rfc9110#section-14.6)). The boundary does not occur in the parts.
#[must_use]
pub fn multipart(
    body: &Bytes,
    parts: &[ByteRange],
    content_type: Option<&HeaderValue>,
) -> (HeaderValue, Bytes) {
    let boundary = boundary(body);
    let mut out = BytesMut::new();
    for part in parts {
        out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        if let Some(kind) = content_type {
            out.extend_from_slice(b"content-type: ");
            out.extend_from_slice(kind.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        let place = part.content_range(Some(body.len() as u64));
        out.extend_from_slice(b"content-range: ");
        out.extend_from_slice(place.as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(&slice(body, *part));
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (value(format!("multipart/byteranges; boundary={boundary}")), out.freeze())
}

/// The bytes of a part, as far as they are there.
#[must_use]
pub fn slice(body: &Bytes, part: ByteRange) -> Bytes {
    let length = body.len() as u64;
    let (first, end) = (part.first.min(length), part.last.saturating_add(1).min(length));
    // Both are at most the length of something in memory.
    body.slice(usize::try_from(first).unwrap_or(0)..usize::try_from(end).unwrap_or(0))
}

/// A boundary made of the body, tried until it does not occur in it.
fn boundary(body: &Bytes) -> String {
    let mut number = crc32fast::hash(body);
    loop {
        let boundary = format!("larder-{number:08x}");
        if !body.windows(boundary.len()).any(|window| window == boundary.as_bytes()) {
            return boundary;
        }
        number = number.wrapping_add(1);
    }
}

fn value(text: String) -> HeaderValue {
    // Digits and the words above are a valid value.
    HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or(HeaderValue::from_static("bytes */*"))
}

#[cfg(test)]
mod tests;
