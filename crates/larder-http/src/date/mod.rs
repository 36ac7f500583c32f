//! HTTP dates ([RFC 9110 §5.6.7](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7)).
//!
//! ```text
//! Sun, 06 Nov 1994 08:49:37 GMT     IMF-fixdate, the only form that is written
//! Sunday, 06-Nov-94 08:49:37 GMT    RFC 850, two-digit year
//! Sun Nov  6 08:49:37 1994          asctime
//! ```
//!
//! A recipient must read all three. Names and the zone are compared without regard to case, as
//! [RFC 9111 §4.2](https://www.rfc-editor.org/rfc/rfc9111#section-4.2) asks of caches; everything else is
//! exact, because a date that is guessed at is worse than none. A zone other than `GMT` makes the date invalid.
//!
//! ```
//! use larder_http::date::{format_date, parse_date};
//!
//! let now = 1_000_000_000_000;
//! let at = parse_date(b"Sun, 06 Nov 1994 08:49:37 GMT", now);
//! assert_eq!(at, Some(784_111_777_000));
//! assert_eq!(parse_date(b"sunday, 06-nov-94 08:49:37 gmt", now), at);
//! assert_eq!(parse_date(b"0", now), None);
//! assert_eq!(format_date(784_111_777_999), "Sun, 06 Nov 1994 08:49:37 GMT");
//! ```

use http::HeaderValue;

/// Milliseconds since the Unix epoch, the one unit of wall time in this crate.
pub type UnixMillis = u64;

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// 9999-12-31T23:59:59Z, the last second that four digits of year can name.
const LAST_SECOND: u64 = 253_402_300_799;

/// Reads a date in any of the three forms; `None` for everything else.
///
/// A date before 1970 reads as 0, which is long past either way. An RFC 850 year is the latest one with
/// those two digits that lies no more than 50 years after `now`.
#[must_use]
pub fn parse_date(value: &[u8], now: UnixMillis) -> Option<UnixMillis> {
    let value = value.trim_ascii();
    let civil = imf_fixdate(value).or_else(|| rfc850(value, now)).or_else(|| asctime(value))?;
    civil.to_millis()
}

/// Writes IMF-fixdate. Fractions of a second are cut off; years past 9999 become the end of 9999.
#[must_use]
pub fn format_date(at: UnixMillis) -> HeaderValue {
    let civil = Civil::from_secs((at / 1000).min(LAST_SECOND));
    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    text[..3].copy_from_slice(&WEEKDAYS[civil.weekday()].as_bytes()[..3]);
    text[8..11].copy_from_slice(MONTHS[civil.month - 1].as_bytes());
    let numbers = [(5, civil.day), (12, civil.year / 100), (14, civil.year % 100)];
    let time = [(17, civil.hour), (20, civil.minute), (23, civil.second)];
    for (at, number) in numbers.into_iter().chain(time) {
        // None of them has more than two digits.
        text[at] = b'0' + (number / 10 % 10) as u8;
        text[at + 1] = b'0' + (number % 10) as u8;
    }
    // Only ASCII letters, digits, ',', ':' and ' ' are in there, so the fallback is never taken.
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("0"))
}

/// A date and time of day, in order of significance so that two compare by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Civil {
    year: i64,
    month: usize,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Civil {
    /// Howard Hinnant's `civil_from_days`, for days at or after 1970-01-01.
    fn from_secs(secs: u64) -> Civil {
        let (days, rest) = ((secs / 86_400) as i64, (secs % 86_400) as i64);
        let z = days + 719_468;
        let era = z / 146_097;
        let day_of_era = z % 146_097;
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Civil {
            year,
            month: month as usize,
            day,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
        }
    }

    /// Days since 1970-01-01 (Hinnant's `days_from_civil`), for years from 0 on.
    fn days(&self) -> i64 {
        let month = self.month as i64;
        let year = if month <= 2 { self.year - 1 } else { self.year };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let shifted_month = if month > 2 { month - 3 } else { month + 9 };
        let day_of_year = (153 * shifted_month + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    fn weekday(&self) -> usize {
        // 1970-01-01 was a Thursday.
        (self.days() + 4).rem_euclid(7) as usize
    }

    fn to_millis(self) -> Option<UnixMillis> {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let month_length = match self.month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => 31,
        };
        // Second 60 is a leap second; it counts as the next minute's first.
        let valid = (1..=month_length).contains(&self.day)
            && self.hour <= 23
            && self.minute <= 59
            && self.second <= 60;
        let secs = self.days() * 86_400 + self.hour * 3600 + self.minute * 60 + self.second;
        valid.then(|| u64::try_from(secs).unwrap_or(0) * 1000)
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(value: &[u8]) -> Option<Civil> {
    if value.len() != 29 || &value[3..5] != b", " || value[7] != b' ' || value[11] != b' ' {
        return None;
    }
    short_weekday(&value[..3])?;
    let time = value[16..].strip_prefix(b" ")?;
    let (hour, minute, second) = time_of_day(&time[..8])?;
    let (year, month, day) = (digits(&value[12..16])?, month(&value[8..11])?, digits(&value[5..7])?);
    time[8..].eq_ignore_ascii_case(b" GMT").then_some(Civil { year, month, day, hour, minute, second })
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(value: &[u8], now: UnixMillis) -> Option<Civil> {
    let comma = value.iter().position(|&b| b == b',')?;
    WEEKDAYS.iter().find(|name| name.as_bytes().eq_ignore_ascii_case(&value[..comma]))?;
    let rest = value[comma..].strip_prefix(b", ")?;
    if rest.len() != 22 || rest[2] != b'-' || rest[6] != b'-' || rest[9] != b' ' {
        return None;
    }
    if !rest[18..].eq_ignore_ascii_case(b" GMT") {
        return None;
    }
    let (hour, minute, second) = time_of_day(&rest[10..18])?;
    let now = Civil::from_secs((now / 1000).min(LAST_SECOND));
    let horizon = Civil { year: now.year + 50, ..now };
    let two_digits = digits(&rest[7..9])?;
    let year = horizon.year - (horizon.year - two_digits).rem_euclid(100);
    let date = Civil { year, month: month(&rest[3..6])?, day: digits(&rest[..2])?, hour, minute, second };
    Some(if date > horizon { Civil { year: year - 100, ..date } } else { date })
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(value: &[u8]) -> Option<Civil> {
    if value.len() != 24 || [3, 7, 10, 19].iter().any(|&at| value[at] != b' ') {
        return None;
    }
    short_weekday(&value[..3])?;
    let day = digits(if value[8] == b' ' { &value[9..10] } else { &value[8..10] })?;
    let (hour, minute, second) = time_of_day(&value[11..19])?;
    Some(Civil { year: digits(&value[20..])?, month: month(&value[4..7])?, day, hour, minute, second })
}

/// The weekday must be one; whether it is the right one is nobody's business.
fn short_weekday(name: &[u8]) -> Option<()> {
    WEEKDAYS.iter().any(|day| day.as_bytes()[..3].eq_ignore_ascii_case(name)).then_some(())
}

fn month(name: &[u8]) -> Option<usize> {
    MONTHS.iter().position(|month| month.as_bytes().eq_ignore_ascii_case(name)).map(|index| index + 1)
}

/// `08:49:37`, given as exactly eight bytes.
fn time_of_day(text: &[u8]) -> Option<(i64, i64, i64)> {
    (text[2] == b':' && text[5] == b':').then_some((
        digits(&text[..2])?,
        digits(&text[3..5])?,
        digits(&text[6..])?,
    ))
}

/// At most four ASCII digits; no sign, no space.
fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
}

#[cfg(test)]
mod tests;
