//! Numbers with units, and percent escapes.

use std::time::Duration;

use crate::error::Error;

pub(crate) fn duration(text: &str) -> Option<Duration> {
    let units = [("ms", 1), ("", 1_000), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let Some((whole, rest)) = text.split_once('.') else {
        return with_unit(text, &units).map(Duration::from_millis);
    };
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (decimals, unit) = rest.split_at(digits);
    // Of a millisecond's part nobody knows here.
    let factor = units.iter().find(|(name, _)| *name == unit && unit != "ms")?.1;
    let part: f64 = format!("0.{decimals}").parse().ok().filter(|_| digits > 0)?;
    let whole = with_unit(&format!("{whole}{unit}"), &units)?;
    Some(Duration::from_millis(whole.checked_add((part * factor as f64).round() as u64)?))
}

pub(super) fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Everything but letters, digits and what RFC 3986 calls unreserved as `%xx`.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

pub(super) fn decode(text: &str, url: &str) -> Result<String, Error> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b != b'%' {
            out.push(b);
            continue;
        }
        let hex = [bytes.next(), bytes.next()].map(|h| h.and_then(|h| char::from(h).to_digit(16)));
        match hex {
            [Some(high), Some(low)] => out.push((high * 16 + low) as u8),
            _ => {
                return Err(Error::config(format!(
                    "{url:?} has a % that two hex digits do not follow; write it %25"
                )));
            }
        }
    }
    String::from_utf8(out).map_err(|_| Error::config(format!("{url:?} has an option that is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CacheUrl;

    #[test]
    fn durations_may_have_decimals() {
        for (text, millis) in
            [("0.1", 100), ("1.5s", 1500), ("0.25m", 15_000), ("2.000", 2000), ("1.5h", 5_400_000)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for wrong in
            [".5", "1.", "1.s", "1.5ms", "1.5.5", "1.-5", "1.5x", "-0.5", "1e3", "99999999999999999999.5"]
        {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn wrong_numbers_say_what_would_be_right() {
        for (url, wanted) in [
            ("memory:?a=-5", "duration"),
            ("memory:?a=5x", "100ms"),
            ("memory:?a=99999999999999999999", "900"),
        ] {
            let e = CacheUrl::parse(url).unwrap().take_duration("a").unwrap_err().to_string();
            assert!(e.contains(wanted), "{e}");
        }
    }
}
