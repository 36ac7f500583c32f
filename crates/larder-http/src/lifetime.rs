//! How long a response says it is fresh
//! ([RFC 9111 §4.2.1](https://www.rfc-editor.org/rfc/rfc9111#section-4.2.1),
//! [§4.2.2](https://www.rfc-editor.org/rfc/rfc9111#section-4.2.2)).
//!
//! The first of these that is there decides: `s-maxage` (shared caches), `max-age`, Expires minus Date. Only when
//! none is, a cache may guess: a tenth of the time since Last-Modified. One that is there but can't be read means
//! stale, never a guess.
//!
//! The origin policy goes by the operator's timeout and `get_max_age` instead; this is for a cache that
//! follows RFC 9111.
//!
//! ```
//! use http::{HeaderMap, header};
//! use larder_http::{CacheControl, explicit_lifetime};
//!
//! let headers = HeaderMap::from_iter([(header::CACHE_CONTROL, "max-age=60, s-maxage=10".parse()?)]);
//! let cc = CacheControl::from_headers(&headers);
//! assert_eq!(explicit_lifetime(&headers, &cc, true, 0), Some(10_000));
//! assert_eq!(explicit_lifetime(&headers, &cc, false, 0), Some(60_000));
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

use crate::{
    cache_control::CacheControl,
    date::{UnixMillis, parse_date},
};
use http::{HeaderMap, HeaderName, StatusCode, header};

/// The lifetime that the response itself gives, in milliseconds; 0 if what it gives can't be read, `None` if it
/// gives none. `received` stands in for a Date that is missing.
#[must_use]
pub fn explicit_lifetime(
    headers: &HeaderMap,
    cc: &CacheControl,
    shared: bool,
    received: UnixMillis,
) -> Option<u64> {
    let s_maxage = cc.s_maxage.filter(|_| shared);
    if let Some(delta) = s_maxage.or(cc.max_age) {
        return Some(delta.seconds().unwrap_or(0) * 1000);
    }
    if !headers.contains_key(header::EXPIRES) {
        return None;
    }
    // Of several lines the earliest counts; one that is no date is in the past (RFC 9111 §5.3).
    let expires = headers.get_all(header::EXPIRES).iter().map(|line| parse_date(line.as_bytes(), received));
    let earliest = expires.map(Option::unwrap_or_default).min().unwrap_or_default();
    let date = single_date(headers, &header::DATE, received).unwrap_or(received);
    Some(earliest.saturating_sub(date))
}

/// A tenth of the time between Last-Modified and Date, at most a day, in milliseconds.
///
/// `None` where no guess is allowed: an explicit lifetime is there (even an unusable one), the status isn't
/// heuristically cacheable and the response not `public`, or there is no Last-Modified.
#[must_use]
pub fn heuristic_lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    cc: &CacheControl,
    shared: bool,
    received: UnixMillis,
) -> Option<u64> {
    const LONGEST: u64 = 24 * 60 * 60 * 1000;
    if explicit_lifetime(headers, cc, shared, received).is_some() {
        return None;
    }
    if !cc.public && !is_heuristically_cacheable(status) {
        return None;
    }
    let last_modified = single_date(headers, &header::LAST_MODIFIED, received)?;
    let date = single_date(headers, &header::DATE, received).unwrap_or(received);
    Some((date.saturating_sub(last_modified) / 10).min(LONGEST))
}

/// The status codes that [RFC 9110 §15.1](https://www.rfc-editor.org/rfc/rfc9110#section-15.1) allows a guess for.
#[must_use]
pub fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// The date in a field that is there once.
pub(crate) fn single_date(headers: &HeaderMap, name: &HeaderName, now: UnixMillis) -> Option<UnixMillis> {
    let mut lines = headers.get_all(name).iter();
    let only = lines.next().filter(|_| lines.next().is_none())?;
    parse_date(only.as_bytes(), now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::date::format_date;

    const NOW: UnixMillis = 1_000_000_000_000;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn explicit(fields: &[(&str, &str)], shared: bool) -> Option<u64> {
        let headers = headers(fields);
        explicit_lifetime(&headers, &CacheControl::from_headers(&headers), shared, NOW)
    }

    fn heuristic(status: u16, fields: &[(&str, &str)]) -> Option<u64> {
        let headers = headers(fields);
        let cc = CacheControl::from_headers(&headers);
        heuristic_lifetime(StatusCode::from_u16(status).unwrap(), &headers, &cc, true, NOW)
    }

    fn at(time: UnixMillis) -> String {
        format_date(time).to_str().unwrap().to_owned()
    }

    #[test]
    fn s_maxage_beats_max_age_beats_expires() {
        let expires = at(NOW + 30_000);
        let all = [("cache-control", "max-age=20, s-maxage=10"), ("expires", &*expires)];
        assert_eq!(explicit(&all, true), Some(10_000));
        assert_eq!(explicit(&all, false), Some(20_000));
        assert_eq!(explicit(&all[1..], true), Some(30_000));
        assert_eq!(explicit(&[], true), None);
    }

    #[test]
    fn what_cannot_be_read_is_stale_and_falls_through_to_nothing() {
        let expires = at(NOW + 30_000);
        assert_eq!(explicit(&[("cache-control", "max-age=abc"), ("expires", &expires)], true), Some(0));
        assert_eq!(explicit(&[("cache-control", "max-age=20, s-maxage=x")], true), Some(0));
        assert_eq!(explicit(&[("expires", "0")], true), Some(0));
        assert_eq!(explicit(&[("expires", &expires), ("expires", "0")], true), Some(0));
    }

    #[test]
    fn expires_counts_from_date() {
        let (date, expires) = (at(NOW - 60_000), at(NOW - 10_000));
        assert_eq!(explicit(&[("date", &date), ("expires", &expires)], true), Some(50_000));
        assert_eq!(explicit(&[("date", &expires), ("expires", &date)], true), Some(0));
    }

    #[test]
    fn a_guess_is_a_tenth_of_the_time_since_the_last_change_and_at_most_a_day() {
        let (date, changed) = (at(NOW), at(NOW - 100_000));
        assert_eq!(heuristic(200, &[("date", &date), ("last-modified", &changed)]), Some(10_000));
        assert_eq!(heuristic(200, &[("last-modified", &at(NOW - 365 * 86_400_000))]), Some(86_400_000));
        assert_eq!(heuristic(200, &[("last-modified", &at(NOW + 5_000))]), Some(0));
    }

    #[test]
    fn no_guess_where_none_is_allowed() {
        let changed = at(NOW - 100_000);
        let lm = ("last-modified", &*changed);
        assert_eq!(heuristic(200, &[]), None);
        assert_eq!(heuristic(302, &[lm]), None);
        assert_eq!(heuristic(421, &[lm]), None);
        assert_eq!(heuristic(302, &[lm, ("cache-control", "public")]), Some(10_000));
        assert_eq!(heuristic(200, &[lm, ("expires", "0")]), None);
        assert_eq!(heuristic(200, &[lm, ("cache-control", "max-age=abc")]), None);
        assert_eq!(heuristic(200, &[lm, ("cache-control", "s-maxage=0")]), None);
    }
}
