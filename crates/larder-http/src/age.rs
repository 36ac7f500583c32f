//! How old a response already was when it arrived
//! ([RFC 9111 §4.2.3](https://www.rfc-editor.org/rfc/rfc9111#section-4.2.3)).
//!
//! ```text
//! apparent_age        = max(0, response_time - date_value)
//! corrected_age_value = age_value + (response_time - request_time)
//! initial age         = max(apparent_age, corrected_age_value)
//! ```
//!
//! `age_value` is the Age field, which other caches on the way have set. All sums saturate, and a clock that was set
//! back between request and response counts as no delay.
//!
//! ```
//! use http::{HeaderMap, header};
//!
//! let headers = HeaderMap::from_iter([(header::AGE, "5".parse()?)]);
//! assert_eq!(larder_http::initial_age_ms(&headers, 1_000, 3_500), 7_500);
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

use crate::{
    date::{UnixMillis, parse_date},
    delta::Delta,
};
use http::{HeaderMap, header};

/// The age of a response at `response_time`, in milliseconds.
///
/// `request_time` is when the request *started*. A Date that isn't one, or lies ahead, counts as no age.
#[must_use]
pub fn initial_age_ms(headers: &HeaderMap, request_time: UnixMillis, response_time: UnixMillis) -> u64 {
    let date = headers.get(header::DATE).and_then(|value| parse_date(value.as_bytes(), response_time));
    let apparent = date.map_or(0, |date| response_time.saturating_sub(date));
    // A Date has whole seconds: what lies within the second it names is no age yet.
    let apparent = if apparent < 1000 { 0 } else { apparent };
    let delay = response_time.saturating_sub(request_time);
    let corrected = age_value_ms(headers).saturating_add(delay);
    apparent.max(corrected)
}

/// The Age field: the first member of a list ([RFC 9111 §5.1](https://www.rfc-editor.org/rfc/rfc9111#section-5.1)),
/// nothing if it isn't a number.
fn age_value_ms(headers: &HeaderMap) -> u64 {
    let first_line = headers.get(header::AGE).map(|value| value.as_bytes()).unwrap_or_default();
    let first = first_line.split(|&b| b == b',').next().unwrap_or_default().trim_ascii();
    Delta::parse(first).seconds().unwrap_or(0) * 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::date::format_date;
    use http::HeaderName;

    const NOW: UnixMillis = 1_000_000_000_000;

    fn age(fields: &[(&str, &str)], request_time: UnixMillis) -> u64 {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        initial_age_ms(&headers, request_time, NOW)
    }

    #[test]
    fn the_larger_of_apparent_and_corrected_age_counts() {
        let ten_ago = format_date(NOW - 10_000);
        let date = ten_ago.to_str().unwrap();
        assert_eq!(age(&[("date", date)], NOW), 10_000);
        assert_eq!(age(&[("date", date), ("age", "4")], NOW - 2_000), 10_000);
        assert_eq!(age(&[("date", date), ("age", "9")], NOW - 2_000), 11_000);
        assert_eq!(age(&[], NOW - 250), 250, "the delay alone");
    }

    #[test]
    fn a_date_that_lies_ahead_or_is_none_counts_as_no_age() {
        let ahead = format_date(NOW + 60_000);
        assert_eq!(age(&[("date", ahead.to_str().unwrap())], NOW), 0);
        assert_eq!(age(&[("date", "yesterday")], NOW), 0);
    }

    #[test]
    fn the_second_that_a_date_names_is_no_age() {
        let mut headers = HeaderMap::new();
        headers.insert(header::DATE, format_date(NOW + 999));
        assert_eq!(initial_age_ms(&headers, NOW + 999, NOW + 999), 0);
        assert_eq!(initial_age_ms(&headers, NOW + 1000, NOW + 1000), 1000);
    }

    #[test]
    fn of_an_age_list_the_first_member_counts_and_an_invalid_one_is_ignored() {
        assert_eq!(age(&[("age", "7, 90")], NOW), 7_000);
        assert_eq!(age(&[("age", "7"), ("age", "90")], NOW), 7_000);
        for invalid in ["abc", "-5", "1.5", "", ", 7"] {
            assert_eq!(age(&[("age", invalid)], NOW), 0, "{invalid:?}");
        }
    }

    #[test]
    fn nothing_overflows() {
        assert_eq!(age(&[("age", "99999999999999999999")], NOW), 2_147_483_648_000);
        assert_eq!(age(&[], NOW + 5_000), 0, "the clock was set back");
        let headers = HeaderMap::from_iter([(header::AGE, "99999999999".parse().unwrap())]);
        assert_eq!(initial_age_ms(&headers, 0, u64::MAX), u64::MAX);
    }
}
