//! What a 304, a HEAD and another part change in what is stored (RFC 9111 §3.2, §3.4, §4.3.4, §4.3.5).

use super::Rules;
use crate::date::UnixMillis;
use crate::etag::EntityTag;
use crate::lifetime::single_date;
use crate::range::{ByteRange, content_range, has_no_validator, same_strong_validator};
use crate::stored::StoredResponse;
use crate::validator::Validators;
use bytes::BytesMut;
use http::{HeaderMap, HeaderName, StatusCode, header};

/// To which stored response a 304 belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// To the one at this place, and to all with the same strong validator.
    Stored(usize),
    /// To none: nothing may be updated, and the request has to be repeated without conditions.
    None,
}

/// Finds the stored response that a 304 selects; the first of `stored` is the one that would be served.
#[must_use]
pub fn answers(not_modified: &HeaderMap, stored: &[&HeaderMap], now: UnixMillis) -> Answered {
    let new = Validators::from_headers(not_modified, now);
    let tag = new.etag.and_then(EntityTag::parse);
    let tag_of = |headers: &HeaderMap| -> Option<(bool, Vec<u8>)> {
        let v = Validators::from_headers(headers, now);
        v.etag.and_then(EntityTag::parse).map(|tag| (tag.is_weak(), tag.opaque().to_vec()))
    };
    let found = match tag {
        Some(tag) => stored.iter().position(|headers| {
            tag_of(headers).is_some_and(|(weak, opaque)| opaque == tag.opaque() && (tag.is_weak() || !weak))
        }),
        None => match new.last_modified {
            Some(modified) => stored
                .iter()
                .position(|headers| single_date(headers, &header::LAST_MODIFIED, now) == Some(modified))
                .or((stored.len() == 1).then_some(0)),
            // Without a validator it speaks of the only one that was asked about.
            None => (stored.len() == 1).then_some(0),
        },
    };
    found.map_or(Answered::None, Answered::Stored)
}

/// Whether two responses are one representation by a strong validator, so that a 304 for one is one for the other.
#[must_use]
pub fn same_representation(a: &HeaderMap, b: &HeaderMap, now: UnixMillis) -> bool {
    same_strong_validator(a, b, now)
}

/// Fields that describe the stored form of the content, and those that a cache counts itself.
static KEPT: [HeaderName; 6] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::AGE,
    HeaderName::from_static("cache-status"),
];

/// The fields of a stored response after a 304 (or a HEAD) with these: each field of the new one replaces all lines of
/// that name; what it does not name stays. `without`: names that must not be stored. An Age that the new one has not is
/// gone.
#[must_use]
pub fn freshen(stored: &HeaderMap, new: &HeaderMap, without: &[HeaderName]) -> HeaderMap {
    let mut headers = stored.clone();
    let mut new = new.clone();
    crate::strip_hop_by_hop(&mut new);
    headers.remove(header::AGE);
    for name in new.keys().filter(|name| !KEPT.contains(name)) {
        headers.remove(name);
        if without.contains(name) {
            continue;
        }
        for line in new.get_all(name) {
            headers.append(name.clone(), line.clone());
        }
    }
    if let Some(age) = new.get(header::AGE) {
        headers.insert(header::AGE, age.clone());
    }
    headers
}

/// Joins a stored response (whole or a part) with a newer part, if together they are one contiguous part of one
/// representation. The status is 200 if that is all of it. Fields of the newer one update those stored; timing and
/// the rest are the newer one's.
#[must_use]
pub fn combine(
    rules: &Rules,
    stored: &StoredResponse,
    newer: &StoredResponse,
    now: UnixMillis,
) -> Option<StoredResponse> {
    let trusted = rules.combine_without_validator
        && has_no_validator(&stored.headers)
        && has_no_validator(&newer.headers);
    if !trusted && !same_strong_validator(&stored.headers, &newer.headers, now) {
        return None;
    }
    let place = |page: &StoredResponse| match page.status {
        StatusCode::PARTIAL_CONTENT => {
            content_range(&page.headers).filter(|(part, _)| part.len() == page.body.len() as u64)
        }
        _ => {
            let length = page.body.len() as u64;
            Some((ByteRange { first: 0, last: length.checked_sub(1)? }, Some(length)))
        }
    };
    let ((old, old_length), (new, new_length)) = (place(stored)?, place(newer)?);
    let complete = match (old_length, new_length) {
        (Some(a), Some(b)) if a != b => return None,
        (a, b) => a.or(b),
    };
    // Neither a gap between, nor anything left out.
    if new.first > old.last.saturating_add(1) || old.first > new.last.saturating_add(1) {
        return None;
    }
    let whole = ByteRange { first: old.first.min(new.first), last: old.last.max(new.last) };
    let mut body = BytesMut::zeroed(usize::try_from(whole.len()).ok()?);
    for (part, bytes) in [(old, &stored.body), (new, &newer.body)] {
        let at = usize::try_from(part.first - whole.first).ok()?;
        body.get_mut(at..at + bytes.len())?.copy_from_slice(bytes);
    }
    let mut headers = freshen(&stored.headers, &newer.headers, &[]);
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::CONTENT_RANGE);
    let all = complete == Some(whole.len());
    let status = if all { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT };
    if !all {
        headers.insert(header::CONTENT_RANGE, whole.content_range(complete));
    }
    Some(StoredResponse { status, headers, body: body.freeze(), meta: newer.meta.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::StoredMeta;
    use bytes::Bytes;

    const NOW: UnixMillis = 1_000_000_000_000;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn each_field_of_a_304_replaces_all_lines_and_the_form_of_the_content_stays() {
        let stored = map(&[
            ("a", "1"),
            ("b", "1"),
            ("b", "2"),
            ("content-length", "5"),
            ("content-encoding", "gzip"),
            ("age", "50"),
        ]);
        let new = map(&[
            ("b", "3"),
            ("c", "1"),
            ("content-length", "0"),
            ("content-encoding", "br"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("x-user", "me"),
        ]);
        let updated = freshen(&stored, &new, &[HeaderName::from_static("x-user")]);
        assert_eq!(
            updated,
            map(&[("a", "1"), ("b", "3"), ("content-length", "5"), ("content-encoding", "gzip"), ("c", "1")])
        );
        assert_eq!(freshen(&stored, &map(&[("age", "7")]), &[])["age"], "7");
    }

    #[test]
    fn a_304_belongs_to_whom_its_validator_names() {
        let (a, b, weak, none) =
            (map(&[("etag", "\"a\"")]), map(&[("etag", "\"b\"")]), map(&[("etag", "W/\"a\"")]), map(&[]));
        let which = |new: &[(&str, &str)], stored: &[&HeaderMap]| answers(&map(new), stored, NOW);
        assert_eq!(which(&[("etag", "\"b\"")], &[&a, &b]), Answered::Stored(1));
        assert_eq!(which(&[("etag", "\"c\"")], &[&a, &b]), Answered::None);
        assert_eq!(
            which(&[("etag", "\"a\"")], &[&weak]),
            Answered::None,
            "a strong tag needs a strong match"
        );
        assert_eq!(which(&[("etag", "W/\"a\"")], &[&a]), Answered::Stored(0));
        assert_eq!(which(&[], &[&a]), Answered::Stored(0));
        assert_eq!(which(&[], &[&a, &b]), Answered::None);
        assert_eq!(which(&[], &[&none]), Answered::Stored(0));
        let date = "Thu, 01 Jan 1998 00:00:00 GMT";
        assert_eq!(
            which(&[("last-modified", date)], &[&a, &map(&[("last-modified", date)])]),
            Answered::Stored(1)
        );
    }

    fn part(range: Option<&str>, etag: &str, body: &'static str) -> StoredResponse {
        let mut headers = map(&[("x-made", body)]);
        if !etag.is_empty() {
            headers.insert(header::ETAG, etag.parse().unwrap());
        }
        if let Some(range) = range {
            headers.insert(header::CONTENT_RANGE, range.parse().unwrap());
        }
        let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        StoredResponse {
            status,
            headers,
            body: Bytes::from_static(body.as_bytes()),
            meta: StoredMeta::default(),
        }
    }

    #[test]
    fn parts_of_one_representation_become_one_and_at_last_the_whole() {
        let join = |a: &StoredResponse, b: &StoredResponse| combine(&Rules::default(), a, b, NOW);
        let head = part(Some("bytes 0-4/10"), "\"a\"", "01234");
        let tail = part(Some("bytes 5-9/10"), "\"a\"", "56789");
        let whole = join(&head, &tail).unwrap();
        assert_eq!((whole.status, &*whole.body), (StatusCode::OK, &b"0123456789"[..]));
        assert!(!whole.headers.contains_key(header::CONTENT_RANGE));
        assert_eq!(whole.headers["x-made"], "56789", "fields of the newer one update");
        assert_eq!(join(&tail, &head).unwrap().body, "0123456789");
        let overlap = join(&head, &part(Some("bytes 3-6/10"), "\"a\"", "3456")).unwrap();
        assert_eq!((overlap.status, &*overlap.body), (StatusCode::PARTIAL_CONTENT, &b"0123456"[..]));
        assert_eq!(overlap.headers[header::CONTENT_RANGE], "bytes 0-6/10");
        assert_eq!(join(&part(None, "\"a\"", "0123456789"), &head).unwrap().body, "0123456789");
    }

    #[test]
    fn what_does_not_surely_belong_together_is_not_joined() {
        let head = part(Some("bytes 0-4/10"), "\"a\"", "01234");
        let not = [
            part(Some("bytes 6-9/10"), "\"a\"", "6789"),
            part(Some("bytes 5-9/10"), "\"b\"", "56789"),
            part(Some("bytes 5-9/10"), "W/\"a\"", "56789"),
            part(Some("bytes 5-9/10"), "", "56789"),
            part(Some("bytes 5-9/11"), "\"a\"", "56789"),
            part(Some("bytes 5-9/10"), "\"a\"", "567"),
        ];
        for other in not {
            assert!(combine(&Rules::default(), &head, &other, NOW).is_none(), "{:?}", other.headers);
        }
        let (a, b) = (part(Some("bytes 0-4/10"), "", "01234"), part(Some("bytes 5-9/10"), "", "56789"));
        assert!(combine(&Rules::default(), &a, &b, NOW).is_none());
        let trusting = Rules { combine_without_validator: true, ..Rules::default() };
        assert_eq!(combine(&trusting, &a, &b, NOW).unwrap().body, "0123456789");
    }
}
