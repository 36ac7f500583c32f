//! How long an entry lives.

use std::str::FromStr;
use std::time::Duration;

use crate::clock::{UnixMillis, millis};
use crate::error::Error;

/// How long an entry lives: a number of seconds, a [`Duration`], [`FOREVER`](Self::FOREVER) or the cache's
/// [`DEFAULT`](Self::DEFAULT). Zero means *not stored* (and deletes what was there), as in Django.
///
/// ```
/// use std::time::Duration;
/// use larder_core::Timeout;
///
/// assert_eq!(Timeout::from(900), Timeout::from(Duration::from_secs(900)));
/// assert!(Timeout::from(0).is_zero());
/// ```
///
/// Only `u64` and `Duration` convert, so that a literal needs no suffix and a negative one does not compile:
///
/// ```compile_fail
/// let _ = larder_core::Timeout::from(-1);
/// ```
/// ```compile_fail
/// let _ = larder_core::Timeout::from(1i32);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Timeout(Repr);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
enum Repr {
    #[default]
    Default,
    Forever,
    After(u64),
}

impl Timeout {
    /// What the cache was configured with (300 s unless said otherwise).
    pub const DEFAULT: Self = Self(Repr::Default);
    /// Never expires.
    pub const FOREVER: Self = Self(Repr::Forever);
    /// Not stored.
    pub const ZERO: Self = Self(Repr::After(0));

    /// What its text may be.
    pub(crate) const READS: &'static str = "a number of seconds, a duration such as 10m, or none";

    /// A number of seconds.
    pub const fn secs(seconds: u64) -> Self {
        Self(Repr::After(seconds.saturating_mul(1000)))
    }

    /// A number of milliseconds.
    pub const fn millis(milliseconds: u64) -> Self {
        Self(Repr::After(milliseconds))
    }

    /// Whether nothing is to be stored.
    pub const fn is_zero(self) -> bool {
        matches!(self.0, Repr::After(0))
    }

    /// Whether the cache's own default is meant.
    pub const fn is_default(self) -> bool {
        matches!(self.0, Repr::Default)
    }

    /// The number of milliseconds, if there is one: not for `DEFAULT` and `FOREVER`.
    pub const fn as_millis(self) -> Option<u64> {
        match self.0 {
            Repr::After(ms) => Some(ms),
            Repr::Default | Repr::Forever => None,
        }
    }

    /// This timeout, or `default` where it says `DEFAULT`.
    #[must_use]
    pub const fn or(self, default: Self) -> Self {
        if self.is_default() { default } else { self }
    }

    /// The instant at which an entry made `now` expires; `None`: never.
    pub const fn expires(self, now: UnixMillis) -> Option<UnixMillis> {
        match self.0 {
            Repr::After(ms) => Some(now.saturating_add(ms)),
            Repr::Forever | Repr::Default => None,
        }
    }
}

impl From<u64> for Timeout {
    fn from(seconds: u64) -> Self {
        Self::secs(seconds)
    }
}

impl From<Duration> for Timeout {
    fn from(duration: Duration) -> Self {
        Self(Repr::After(millis(duration)))
    }
}

/// As in URLs and files.
///
/// ```
/// use larder_core::Timeout;
///
/// assert_eq!("10m".parse::<Timeout>()?, Timeout::from(600));
/// assert_eq!("none".parse::<Timeout>()?, Timeout::FOREVER);
/// assert!("ten".parse::<Timeout>().unwrap_err().to_string().contains("a duration such as 10m"));
/// # Ok::<(), larder_core::Error>(())
/// ```
impl FromStr for Timeout {
    type Err = Error;

    /// Reads `900`, `100ms`, `10m`, `1.5h` or `none` (or `forever`).
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) for anything else.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "none" | "forever" => Ok(Self::FOREVER),
            text => crate::url::duration(text)
                .map(Self::from)
                .ok_or_else(|| Error::config(format!("the timeout {text:?} must be {}", Self::READS))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_counted_from_now_and_never_overflows() {
        assert_eq!(Timeout::from(5).expires(1_000), Some(6_000));
        assert_eq!(Timeout::from(u64::MAX).expires(1_000), Some(u64::MAX));
        assert_eq!(Timeout::FOREVER.expires(1_000), None);
        assert_eq!(Timeout::DEFAULT.or(Timeout::from(300)), Timeout::from(300));
        assert_eq!(Timeout::ZERO.or(Timeout::from(300)), Timeout::ZERO);
    }

    #[test]
    fn a_duration_below_a_millisecond_is_not_zero() {
        assert!(!Timeout::from(Duration::from_micros(10)).is_zero());
    }
}
