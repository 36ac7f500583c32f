//! `get_max_age`, `patch_response_headers` and `add_never_cache_headers`.

use super::CacheControlPatch;
use crate::{
    date::{UnixMillis, format_date},
    delta::Delta,
    directives::directives,
};
use http::header::{self, Entry};
use http::{HeaderMap, HeaderValue};

/// The `max-age` of a response in seconds, as Django's `get_max_age`; `None` when there is none to rely on.
///
/// Where a value is odd, the reading is the safe one rather than Django's:
///
/// | Cache-Control | Django | here |
/// |---|---|---|
/// | `max-age=1, max-age=2` | 2, the last | 1, the smaller ([RFC 9111 §4.2.1](https://www.rfc-editor.org/rfc/rfc9111#section-4.2.1)) |
/// | `max-age` | 1 | `None` |
/// | `max-age=-5` | -5 | 0, expired either way |
/// | `max-age=abc`, `max-age="60"` | `None` here, an exception where it is merged | `None`, and treated as absent where it is merged |
/// | more than 2³¹ | as it stands | 2³¹ |
#[must_use]
pub fn get_max_age(headers: &HeaderMap) -> Option<u64> {
    let lines = headers.get_all(header::CACHE_CONTROL).iter();
    let all = lines.flat_map(|line| directives(line.as_bytes()));
    let ages = all.filter(|directive| directive.is("max-age") && !directive.malformed);
    ages.filter_map(|directive| integer(directive.argument?)).min().map(|age| age.min(Delta::LARGEST))
}

/// A decimal integer; below zero it is zero.
pub(super) fn integer(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if digits.len() < text.len() {
        return Some(0);
    }
    Some(digits.iter().fold(0u64, |sum, b| sum.saturating_mul(10).saturating_add(u64::from(b - b'0'))))
}

/// Tells caches to keep a response for `timeout_secs`, as Django's `patch_response_headers`: Expires unless the
/// response has its own, and a `max-age` merged into Cache-Control (the smaller one stays).
///
/// ```
/// # use http::{HeaderMap, header};
/// let mut headers = HeaderMap::new();
/// larder_http::patch_response_headers(&mut headers, 60, 1_000_000_000_000);
/// assert_eq!(headers[header::EXPIRES], "Sun, 09 Sep 2001 01:47:40 GMT");
/// assert_eq!(headers[header::CACHE_CONTROL], "max-age=60");
/// ```
pub fn patch_response_headers(headers: &mut HeaderMap, timeout_secs: u64, now: UnixMillis) {
    if !headers.contains_key(header::EXPIRES) {
        let expires = now.saturating_add(timeout_secs.saturating_mul(1000));
        headers.insert(header::EXPIRES, format_date(expires));
    }
    if let Entry::Vacant(place) = headers.entry(header::CACHE_CONTROL) {
        // There is nothing to be merged with.
        let text = ["max-age=", &timeout_secs.to_string()].concat();
        if let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(text)) {
            place.insert(value);
        }
        return;
    }
    CacheControlPatch::default().max_age(timeout_secs).apply(headers);
}

/// Tells every cache to keep its hands off, as Django's `add_never_cache_headers`.
///
/// ```
/// # use http::{HeaderMap, header};
/// let mut headers = HeaderMap::new();
/// larder_http::add_never_cache_headers(&mut headers, 1_167_616_461_000);
/// assert_eq!(headers[header::EXPIRES], "Mon, 01 Jan 2007 01:54:21 GMT");
/// assert_eq!(headers[header::CACHE_CONTROL], "max-age=0, no-cache, no-store, must-revalidate, private");
/// ```
pub fn add_never_cache_headers(headers: &mut HeaderMap, now: UnixMillis) {
    patch_response_headers(headers, 0, now);
    CacheControlPatch::default().no_cache().no_store().must_revalidate().private().apply(headers);
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH_1E9: UnixMillis = 1_000_000_000_000;

    fn with(line: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::CACHE_CONTROL, http::HeaderValue::from_str(line).unwrap())])
    }

    #[test]
    fn cc_10_get_max_age() {
        let rows = [
            ("max-age=60", Some(60)),
            ("Max-Age=60", Some(60)),
            ("public,max-age=60", Some(60)),
            ("max-age= 60", Some(60)),
            (" max-age=300", Some(300)),
            ("\tmax-age=300", Some(300)),
            ("max-age=0", Some(0)),
            ("", None),
            ("s-maxage=5", None),
            ("max-age=1.5", None),
            ("max-age=abc", None),
            ("max-age=\"60\"", None),
            ("x=\"max-age=5\"", None),
            // the safe readings
            ("max-age=1, max-age=2", Some(1)),
            ("max-age=2, max-age=1", Some(1)),
            ("max-age", None),
            ("max-age=-5", Some(0)),
            ("max-age=-", None),
            ("max-age=60; public", None),
            ("max-age=99999999999999999999", Some(2_147_483_648)),
        ];
        for (line, expected) in rows {
            assert_eq!(get_max_age(&with(line)), expected, "{line:?}");
        }
        assert_eq!(get_max_age(&HeaderMap::new()), None);
    }

    #[test]
    fn get_max_age_reads_all_lines() {
        let mut headers = with("public");
        headers.append(header::CACHE_CONTROL, "max-age=5".parse().unwrap());
        assert_eq!(get_max_age(&headers), Some(5));
    }

    #[test]
    fn cc_11_a_zero_timeout_expires_now() {
        let mut headers = HeaderMap::new();
        patch_response_headers(&mut headers, 0, EPOCH_1E9);
        assert_eq!(headers[header::EXPIRES], "Sun, 09 Sep 2001 01:46:40 GMT");
        assert_eq!(headers[header::CACHE_CONTROL], "max-age=0");
    }

    #[test]
    fn cc_12_an_expires_that_is_there_is_kept_and_max_age_still_merged() {
        let mut headers = with("max-age=100");
        headers.insert(header::EXPIRES, "tomorrow".parse().unwrap());
        patch_response_headers(&mut headers, 60, EPOCH_1E9);
        assert_eq!(headers[header::EXPIRES], "tomorrow");
        assert_eq!(headers[header::CACHE_CONTROL], "max-age=60");
        add_never_cache_headers(&mut headers, EPOCH_1E9);
        assert_eq!(headers[header::EXPIRES], "tomorrow");
    }

    #[test]
    fn cc_13_never_cache_beats_what_a_view_said() {
        let mut headers = with("public, max-age=60");
        add_never_cache_headers(&mut headers, EPOCH_1E9);
        assert_eq!(headers[header::CACHE_CONTROL], "max-age=0, no-cache, no-store, must-revalidate, private");
    }

    #[test]
    fn a_timeout_past_the_end_of_time_does_not_overflow() {
        let mut headers = HeaderMap::new();
        patch_response_headers(&mut headers, u64::MAX, u64::MAX);
        assert_eq!(headers[header::EXPIRES], "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(headers[header::CACHE_CONTROL], "max-age=18446744073709551615");
    }
}
