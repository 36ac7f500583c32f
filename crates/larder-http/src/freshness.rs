//! Fresh, stale but usable, or gone ([RFC 9111 §4.2](https://www.rfc-editor.org/rfc/rfc9111#section-4.2),
//! [RFC 5861](https://www.rfc-editor.org/rfc/rfc5861)).
//!
//! ```text
//! generated           fresh_for                + stale_while_revalidate     + stale_if_error
//!     |------ Fresh ------|-- StaleWhileRevalidate --|------ StaleIfError -------|-- Expired --> age
//! ```
//!
//! Both windows begin where freshness ends, and each ends strictly: at an age of `fresh_for` a response is no longer
//! fresh. Ages are in milliseconds of the clock that is given as `now`.
//!
//! ```
//! use larder_http::{Freshness, Timing};
//!
//! let timing = Timing { response_time: 1_000, fresh_for_ms: 60_000, stale_while_revalidate_ms: 5_000, ..Timing::default() };
//! assert_eq!(timing.freshness(60_999), Freshness::Fresh);
//! assert_eq!(timing.freshness(61_000), Freshness::StaleWhileRevalidate);
//! assert_eq!(timing.freshness(66_000), Freshness::Expired);
//! assert_eq!(timing.ttl_secs(31_000), 30);
//! assert_eq!(timing.usable_until(), 66_000);
//! ```

use crate::date::UnixMillis;
use http::HeaderValue;

/// How far the clock may step back before entries from its future are distrusted.
const TOLERATED_STEP_MS: u64 = 5_000;

/// Everything about a stored response that has to do with time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Timing {
    /// When the request that brought the response was started.
    pub request_time: UnixMillis,
    /// When the response's head arrived.
    pub response_time: UnixMillis,
    /// How old it was then; see [`initial_age_ms`](crate::initial_age_ms).
    pub initial_age_ms: u64,
    /// How long it is fresh, counted from when it was generated: compared with the age.
    pub fresh_for_ms: u64,
    /// How long after that it may be served while it is being refreshed.
    pub stale_while_revalidate_ms: u64,
    /// How long after the end of freshness it may be served when the origin fails.
    pub stale_if_error_ms: u64,
}

/// What may be done with a stored response at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// Serve it.
    Fresh,
    /// Serve it and refresh it.
    StaleWhileRevalidate,
    /// Serve it if the origin fails.
    StaleIfError,
    /// Don't serve it.
    Expired,
}

impl Timing {
    /// The current age in milliseconds. A clock that was set back counts as no time passed.
    #[must_use]
    pub fn age_ms(&self, now: UnixMillis) -> u64 {
        self.initial_age_ms.saturating_add(now.saturating_sub(self.response_time))
    }

    /// The current age as the Age field writes it: whole seconds, rounded down, at most 2³¹.
    #[must_use]
    pub fn age_header(&self, now: UnixMillis) -> HeaderValue {
        HeaderValue::from((self.age_ms(now) / 1000).min(crate::Delta::LARGEST))
    }

    /// What may be done with the response at `now`.
    ///
    /// If the clock stands more than five seconds before the moment the response arrived, nothing it says can be
    /// relied upon: `Expired`, because an entry must not outlive its time by the length of the step.
    #[must_use]
    pub fn freshness(&self, now: UnixMillis) -> Freshness {
        if now.saturating_add(TOLERATED_STEP_MS) < self.response_time {
            return Freshness::Expired;
        }
        let age = self.age_ms(now);
        let within = |window| age < self.fresh_for_ms.saturating_add(window);
        if within(0) {
            Freshness::Fresh
        } else if within(self.stale_while_revalidate_ms) {
            Freshness::StaleWhileRevalidate
        } else if within(self.stale_if_error_ms) {
            Freshness::StaleIfError
        } else {
            Freshness::Expired
        }
    }

    /// The same response where it counts as stale since `since`, though its own time is not over: its windows begin there.
    ///
    /// ```
    /// use larder_http::{Freshness, Timing};
    ///
    /// let timing = Timing { fresh_for_ms: 60_000, stale_while_revalidate_ms: 5_000, ..Timing::default() };
    /// let marked = timing.stale_since(10_000);
    /// assert_eq!(marked.freshness(10_000), Freshness::StaleWhileRevalidate);
    /// assert_eq!(marked.freshness(15_000), Freshness::Expired);
    /// assert_eq!(timing.stale_since(70_000), timing, "stale by itself before that");
    /// ```
    #[must_use]
    pub fn stale_since(self, since: UnixMillis) -> Timing {
        Timing { fresh_for_ms: self.fresh_for_ms.min(self.age_ms(since)), ..self }
    }

    /// Whole seconds of freshness left, rounded down; negative once it is stale.
    #[must_use]
    pub fn ttl_secs(&self, now: UnixMillis) -> i64 {
        let age = self.age_ms(now);
        if let (Ok(whole), Ok(age)) = (i64::try_from(self.fresh_for_ms), i64::try_from(age)) {
            return (whole - age).div_euclid(1000);
        }
        let left = i128::from(self.fresh_for_ms) - i128::from(age);
        // Neither bound is ever left: u64::MAX milliseconds are fewer seconds than i64::MAX.
        i64::try_from(left.div_euclid(1000)).unwrap_or(if left < 0 { i64::MIN } else { i64::MAX })
    }

    /// The first moment at which the response can't be served in any way: when a store may drop it.
    #[must_use]
    pub fn usable_until(&self) -> UnixMillis {
        let window = self.stale_while_revalidate_ms.max(self.stale_if_error_ms);
        let lifetime = self.fresh_for_ms.saturating_add(window);
        self.response_time.saturating_add(lifetime.saturating_sub(self.initial_age_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ARRIVED: UnixMillis = 1_000_000;

    fn timing() -> Timing {
        Timing {
            request_time: ARRIVED - 500,
            response_time: ARRIVED,
            initial_age_ms: 2_000,
            fresh_for_ms: 10_000,
            stale_while_revalidate_ms: 3_000,
            stale_if_error_ms: 20_000,
        }
    }

    #[test]
    fn each_window_ends_strictly() {
        use Freshness::{Expired, Fresh, StaleIfError, StaleWhileRevalidate};
        let rows = [
            (0, Fresh),
            (7_999, Fresh),
            (8_000, StaleWhileRevalidate),
            (10_999, StaleWhileRevalidate),
            (11_000, StaleIfError),
            (27_999, StaleIfError),
            (28_000, Expired),
        ];
        for (later, expected) in rows {
            assert_eq!(timing().freshness(ARRIVED + later), expected, "{later} ms later");
        }
        assert_eq!(timing().usable_until(), ARRIVED + 28_000);
    }

    #[test]
    fn both_windows_begin_where_freshness_ends() {
        let timing = Timing { stale_while_revalidate_ms: 20_000, stale_if_error_ms: 3_000, ..timing() };
        assert_eq!(timing.freshness(ARRIVED + 12_000), Freshness::StaleWhileRevalidate);
        assert_eq!(timing.freshness(ARRIVED + 28_000), Freshness::Expired);
        assert_eq!(timing.usable_until(), ARRIVED + 28_000);
    }

    #[test]
    fn the_ttl_is_rounded_down_and_goes_below_zero() {
        let ttl = |later| timing().ttl_secs(ARRIVED + later);
        assert_eq!((ttl(0), ttl(1), ttl(7_999), ttl(8_000), ttl(8_001)), (8, 7, 0, 0, -1));
    }

    #[test]
    fn mw_27_the_age_on_a_hit_counts_on_from_the_one_that_came_with_the_response() {
        assert_eq!(timing().age_header(ARRIVED), "2");
        assert_eq!(timing().age_header(ARRIVED + 3_999), "5");
        assert_eq!(Timing::default().age_header(u64::MAX), "2147483648");
    }

    #[test]
    fn a_small_step_back_is_no_age_and_a_large_one_expires() {
        assert_eq!(timing().age_ms(ARRIVED - 5_000), 2_000);
        assert_eq!(timing().freshness(ARRIVED - 5_000), Freshness::Fresh);
        assert_eq!(timing().freshness(ARRIVED - 5_001), Freshness::Expired);
    }

    #[test]
    fn a_timeout_of_for_ever_does_not_overflow() {
        let forever = Timing { fresh_for_ms: u64::MAX, stale_if_error_ms: u64::MAX, ..timing() };
        assert_eq!(forever.freshness(u64::MAX / 2), Freshness::Fresh);
        assert!(forever.ttl_secs(ARRIVED) > 0);
        assert_eq!(forever.usable_until(), u64::MAX);
    }

    proptest! {
        #[test]
        fn a_response_is_usable_exactly_until_usable_until(
            age in 0u64..5_000, fresh in 0u64..5_000, swr in 0u64..5_000, sie in 0u64..5_000, later in 0u64..20_000,
        ) {
            let timing = Timing {
                initial_age_ms: age, fresh_for_ms: fresh, stale_while_revalidate_ms: swr, stale_if_error_ms: sie, ..timing()
            };
            let now = ARRIVED + later;
            prop_assert_eq!(timing.freshness(now) != Freshness::Expired, now < timing.usable_until());
            prop_assert_eq!(timing.ttl_secs(now) < 0, timing.age_ms(now) > fresh);
        }

        #[test]
        fn time_only_makes_things_worse(a in 0u64..40_000, b in 0u64..40_000) {
            let rank = |later| timing().freshness(ARRIVED + later) as u8;
            prop_assert!(rank(a.min(b)) <= rank(a.max(b)));
        }

        #[test]
        fn no_numbers_make_it_panic(values: [u64; 6], now: u64) {
            let [request_time, response_time, initial_age_ms, fresh_for_ms, stale_while_revalidate_ms, stale_if_error_ms] = values;
            let timing = Timing { request_time, response_time, initial_age_ms, fresh_for_ms, stale_while_revalidate_ms, stale_if_error_ms };
            let _ = (timing.freshness(now), timing.ttl_secs(now), timing.usable_until(), timing.age_header(now));
        }
    }
}
