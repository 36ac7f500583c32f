//! When the server itself may let go of an entry.

use std::time::{SystemTime, UNIX_EPOCH};

use larder_core::UnixMillis;

/// More seconds than this are read as a date.
const LONGEST_RELATIVE: u64 = 30 * 86_400;
/// The entry's own expiry decides; the server's only frees memory, and comes a little later, as its clock has whole seconds.
const LATER: u64 = 5;

/// The `T` flag for an entry that expires at `expires`: 0 never, up to 30 days a number of seconds, beyond that a date.
pub(crate) fn of(expires: Option<UnixMillis>, now: UnixMillis) -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    at(expires, now, since.as_secs())
}

/// `now` is the cache's time, which may be a test's; `date` is what the server's clock shows as well.
fn at(expires: Option<UnixMillis>, now: UnixMillis, date: u64) -> u32 {
    let Some(expires) = expires else { return 0 };
    let left = expires.saturating_sub(now).div_ceil(1000).saturating_add(LATER);
    let sent = if left > LONGEST_RELATIVE { left.saturating_add(date) } else { left };
    // The server reads 32 bits with a sign. What outlives 2038 is left to the entry's own expiry and to eviction.
    i32::try_from(sent).ok().and_then(|sent| u32::try_from(sent).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_days_are_no_cliff() {
        let (date, month) = (1_763_683_200, LONGEST_RELATIVE);
        let now = 1_700_000_000_000;
        for (seconds, sent) in [
            (1, 1 + LATER),
            (600, 600 + LATER),
            (month - LATER, month),
            (month - LATER + 1, date + month + 1),
            (month + 1, date + month + 1 + LATER),
            (20 * 365 * 86_400, 0),
        ] {
            assert_eq!(u64::from(at(Some(now + seconds * 1000), now, date)), sent, "{seconds}");
        }
        assert_eq!(at(None, now, date), 0);
        assert_eq!(at(Some(u64::MAX), now, date), 0);
        assert_eq!(u64::from(at(Some(now + 1), now, date)), 1 + LATER, "a millisecond is not nothing");
        assert_eq!(u64::from(at(Some(now - 1), now, date)), LATER);
    }
}
