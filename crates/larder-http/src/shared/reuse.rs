//! What may be answered from a stored response (RFC 9111 §4).

use super::Rules;
use super::storing::forbids_stale;
use crate::cache_control::FieldRule;
use crate::cache_status::Forward;
use crate::date::UnixMillis;
use crate::delta::Delta;
use crate::freshness::{Freshness, Timing};
use crate::request_control::{MaxStale, RequestCacheControl};
use http::HeaderMap;

/// What is to be done with a stored response that matches the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// Answer with it.
    Serve,
    /// Answer with it, and refresh it without waiting.
    ServeAndRefresh,
    /// Ask the origin first; why.
    Validate(Forward),
}

/// Decides about a stored response with these fields and this timing.
///
/// A `no-cache` of the request (or Pragma, where there is no Cache-Control) is obeyed, and so are `max-age`, `min-fresh` and
/// `max-stale`.
#[must_use]
pub fn reuse(
    rules: &Rules,
    stored: &HeaderMap,
    timing: &Timing,
    wishes: &RequestCacheControl,
    now: UnixMillis,
) -> Reuse {
    let cc = rules.policy(stored);
    if cc.no_cache == FieldRule::All {
        return Reuse::Validate(Forward::Stale);
    }
    if wishes.no_cache {
        return Reuse::Validate(Forward::Request);
    }
    let age = timing.age_ms(now);
    let seconds = |delta: Option<Delta>| delta.and_then(Delta::seconds).map(|s| s * 1000);
    let freshness = timing.freshness(now);
    let too_old = seconds(wishes.max_age).is_some_and(|most| age > most)
        // An unreadable wish is the strictest.
        || [wishes.max_age, wishes.min_fresh].contains(&Some(Delta::Invalid))
        || seconds(wishes.min_fresh).is_some_and(|least| age.saturating_add(least) > timing.fresh_for_ms);
    if freshness == Freshness::Fresh {
        return if too_old { Reuse::Validate(Forward::Request) } else { Reuse::Serve };
    }
    let back_in_time = now.saturating_add(5_000) < timing.response_time;
    if !forbids_stale(rules, &cc) && !back_in_time && !too_old {
        let over = age.saturating_sub(timing.fresh_for_ms);
        let welcome = match wishes.max_stale {
            Some(MaxStale::Any) => true,
            Some(MaxStale::Seconds(most)) => over <= most.saturating_mul(1000),
            None => false,
        };
        if welcome {
            return Reuse::Serve;
        }
        if freshness == Freshness::StaleWhileRevalidate {
            return Reuse::ServeAndRefresh;
        }
    }
    Reuse::Validate(Forward::Stale)
}

/// How the origin failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaleOnError {
    /// It could not be reached, or did not answer.
    Disconnected,
    /// It answered with 500, 502, 503 or 504.
    Status,
}

/// Whether a stored response may stand in for an origin that failed (§4.2.4, RFC 5861 §4).
#[must_use]
pub fn stale_on_error(
    rules: &Rules,
    stored: &HeaderMap,
    timing: &Timing,
    wishes: &RequestCacheControl,
    failure: StaleOnError,
    now: UnixMillis,
) -> bool {
    let cc = rules.policy(stored);
    if forbids_stale(rules, &cc) || now.saturating_add(5_000) < timing.response_time {
        return false;
    }
    if failure == StaleOnError::Disconnected && rules.stale_when_disconnected {
        return true;
    }
    let over = timing.age_ms(now).saturating_sub(timing.fresh_for_ms);
    let asked = wishes.stale_if_error.and_then(Delta::seconds).unwrap_or(0) * 1000;
    // Who asked for a validation gets the error that came of it, unless one of both sides allows what is stored.
    let good = timing.freshness(now) == Freshness::Fresh && !wishes.no_cache;
    over < timing.stale_if_error_ms.max(asked) || good
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRIVED: UnixMillis = 1_000_000_000;

    fn map(cc: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !cc.is_empty() {
            headers.insert(http::header::CACHE_CONTROL, cc.parse().unwrap());
        }
        headers
    }

    /// A response that is fresh for 10 s, then refreshable for 5, good on errors for 20.
    fn decide(stored: &str, wishes: &str, later: u64) -> Reuse {
        let timing = Timing {
            request_time: ARRIVED,
            response_time: ARRIVED,
            initial_age_ms: 0,
            fresh_for_ms: 10_000,
            stale_while_revalidate_ms: 5_000,
            stale_if_error_ms: 20_000,
        };
        let wishes = RequestCacheControl::from_headers(&map(wishes));
        reuse(&Rules::default(), &map(stored), &timing, &wishes, ARRIVED + later)
    }

    #[test]
    fn the_rows_of_section_4() {
        use Reuse::{Serve, ServeAndRefresh, Validate};
        let (stale, request) = (Validate(Forward::Stale), Validate(Forward::Request));
        let rows = [
            ("fresh", "", "", 9_999, Serve),
            ("the end is strict", "", "", 10_000, ServeAndRefresh),
            ("stale", "", "", 15_000, stale),
            ("no-cache", "no-cache", "max-stale", 0, stale),
            ("a field's no-cache", "no-cache=\"x\"", "", 0, Serve),
            ("asked for", "", "no-cache", 0, request),
            ("immutable or not", "immutable", "no-cache", 0, request),
            ("not older than", "", "max-age=5", 5_000, Serve),
            ("older", "", "max-age=5", 5_001, request),
            ("unreadable wish", "", "max-age=x", 0, request),
            ("unreadable wish", "", "min-fresh=-1", 0, request),
            ("fresh for long enough", "", "min-fresh=4", 6_000, Serve),
            ("not fresh for long enough", "", "min-fresh=4", 6_001, request),
            ("stale is welcome", "", "max-stale", 1_000_000, Serve),
            ("so stale is", "", "max-stale=10", 20_000, Serve),
            ("too stale", "", "max-stale=10", 20_001, stale),
            ("must-revalidate", "must-revalidate", "max-stale", 10_000, stale),
            ("proxy-revalidate", "proxy-revalidate", "max-stale", 10_000, stale),
            ("s-maxage", "s-maxage=10", "max-stale", 10_000, stale),
            ("stale and too old for the client", "", "max-stale, max-age=5", 11_000, stale),
        ];
        for (name, stored, wishes, later, expected) in rows {
            assert_eq!(decide(stored, wishes, later), expected, "{name}");
        }
    }

    #[test]
    fn an_origin_that_fails_is_stood_in_for_where_nothing_forbids_it() {
        let decide = |stored: &str, wishes: &str, failure, later: u64| {
            let timing = Timing {
                response_time: ARRIVED,
                fresh_for_ms: 10_000,
                stale_if_error_ms: 20_000,
                ..Timing::default()
            };
            let wishes = RequestCacheControl::from_headers(&map(wishes));
            stale_on_error(&Rules::default(), &map(stored), &timing, &wishes, failure, ARRIVED + later)
        };
        use StaleOnError::{Disconnected, Status};
        assert!(decide("", "", Status, 29_999));
        assert!(decide("", "max-age=1", Status, 5_000), "fresh, though too old for the client");
        let none = Timing { response_time: ARRIVED, fresh_for_ms: 10_000, ..Timing::default() };
        let wishes = RequestCacheControl::from_headers(&map("no-cache"));
        assert!(!stale_on_error(&Rules::default(), &map(""), &none, &wishes, Status, ARRIVED));
        assert!(!decide("", "", Status, 30_000));
        assert!(decide("", "stale-if-error=60", Status, 69_999));
        assert!(decide("", "", Disconnected, 1_000_000));
        for forbids in ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=1"] {
            assert!(!decide(forbids, "stale-if-error=60", Status, 11_000), "{forbids}");
            assert!(!decide(forbids, "", Disconnected, 11_000), "{forbids}");
        }
    }
}
