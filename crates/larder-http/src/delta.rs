//! delta-seconds ([RFC 9111 §1.2.2](https://www.rfc-editor.org/rfc/rfc9111#section-1.2.2)): how long, in whole
//! seconds.
//!
//! ```
//! use larder_http::Delta;
//!
//! assert_eq!(Delta::parse(b"60"), Delta::Seconds(60));
//! assert_eq!(Delta::parse(b"99999999999999999999"), Delta::Seconds(Delta::LARGEST), "an overflow is no error");
//! assert_eq!(Delta::parse(b"1.5"), Delta::Invalid);
//! ```

/// The argument of `max-age` and its kind: a number, or something that was meant to be one.
///
/// The difference between `Invalid` and not being there matters: a response whose explicit lifetime can't be
/// read is stale, not free to be given a guessed one
/// ([RFC 9111 §4.2.1](https://www.rfc-editor.org/rfc/rfc9111#section-4.2.1)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delta {
    /// A number of seconds, at most [`Delta::LARGEST`].
    Seconds(u64),
    /// Present, but not a non-negative integer.
    Invalid,
}

impl Delta {
    /// 2³¹ seconds, 68 years: what the RFC has a larger number read as.
    pub const LARGEST: u64 = 2_147_483_648;

    /// Reads the digits of an argument whose quotes are gone.
    #[must_use]
    pub fn parse(digits: &[u8]) -> Delta {
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Delta::Invalid;
        }
        let sum =
            digits.iter().fold(0u64, |sum, b| sum.saturating_mul(10).saturating_add(u64::from(b - b'0')));
        Delta::Seconds(sum.min(Delta::LARGEST))
    }

    /// The number; `None` when it was unusable.
    #[must_use]
    pub fn seconds(self) -> Option<u64> {
        match self {
            Delta::Seconds(seconds) => Some(seconds),
            Delta::Invalid => None,
        }
    }

    /// The more restrictive of two that contradict each other: the unusable one, else the smaller.
    #[must_use]
    pub fn stricter(self, other: Delta) -> Delta {
        match (self, other) {
            (Delta::Seconds(a), Delta::Seconds(b)) => Delta::Seconds(a.min(b)),
            _ => Delta::Invalid,
        }
    }

    /// Adds one more occurrence of a directive to what was seen before.
    pub(crate) fn merge(seen: &mut Option<Delta>, next: Delta) {
        *seen = Some(seen.map_or(next, |before| before.stricter(next)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_are_a_number() {
        for bad in ["", "abc", "-5", "+5", "1.5", "5s", " 5", "5 ", "0x5", "1_000", "٣"] {
            assert_eq!(Delta::parse(bad.as_bytes()), Delta::Invalid, "{bad:?}");
        }
        assert_eq!(Delta::parse(b"0"), Delta::Seconds(0));
        assert_eq!(Delta::parse(b"003600"), Delta::Seconds(3600));
    }

    #[test]
    fn large_numbers_saturate_at_two_to_the_31() {
        for large in ["2147483648", "2147483649", "18446744073709551616", "999999999999999999999999999"] {
            assert_eq!(Delta::parse(large.as_bytes()), Delta::Seconds(2_147_483_648), "{large}");
        }
        assert_eq!(Delta::parse(b"2147483647"), Delta::Seconds(2_147_483_647));
    }

    #[test]
    fn of_two_the_stricter_one_counts() {
        use Delta::{Invalid, Seconds};
        assert_eq!(Seconds(5).stricter(Seconds(3)), Seconds(3));
        assert_eq!(Seconds(5).stricter(Invalid), Invalid);
        assert_eq!(Invalid.stricter(Seconds(0)), Invalid);
    }
}
