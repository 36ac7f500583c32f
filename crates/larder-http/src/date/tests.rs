use super::*;
use proptest::prelude::*;

/// 2026-11-21T00:00:00Z
const NOW: UnixMillis = 1_795_219_200_000;

#[test]
fn all_three_forms_are_read_in_any_case() {
    for text in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "sun, 06 NOV 1994 08:49:37 gmt",
        "  Sun, 06 Nov 1994 08:49:37 GMT\t",
        "Mon, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "SUNDAY, 06-nov-94 08:49:37 Gmt",
        "Sun Nov  6 08:49:37 1994",
        "Sun Nov 06 08:49:37 1994",
    ] {
        assert_eq!(parse_date(text.as_bytes(), NOW), Some(784_111_777_000), "{text}");
    }
}

#[test]
fn anything_else_is_no_date() {
    for text in [
        "",
        "0",
        "-1",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 AEST",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun 06 Nov 1994 08:49:37 GMT",
        "Sun,  06 Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 06 Nov 1994 08.49.37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, +6 Nov 1994 08:49:37 GMT",
        "Xyz, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nox 1994 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 EST",
        "Sun Nov  6 08:49:37 94",
        "1994-11-06T08:49:37Z",
    ] {
        assert_eq!(parse_date(text.as_bytes(), NOW), None, "{text}");
    }
}

#[test]
fn leap_years_and_leap_seconds_are_known() {
    let valid = |text: &str| parse_date(text.as_bytes(), NOW).is_some();
    assert!(valid("Tue, 29 Feb 2000 00:00:00 GMT") && valid("Thu, 29 Feb 2024 00:00:00 GMT"));
    assert!(!valid("Wed, 29 Feb 2023 00:00:00 GMT") && !valid("Mon, 29 Feb 2100 00:00:00 GMT"));
    let next_minute = parse_date(b"Sun, 01 Jan 2017 00:00:00 GMT", NOW);
    assert_eq!(parse_date(b"Sat, 31 Dec 2016 23:59:60 GMT", NOW), next_minute);
    assert!(!valid("Sat, 31 Dec 2016 23:59:61 GMT"));
}

#[test]
fn a_date_before_1970_is_the_beginning_of_time() {
    assert_eq!(parse_date(b"Thu, 01 Jan 0001 00:00:00 GMT", NOW), Some(0));
    assert_eq!(parse_date(b"Wed, 31 Dec 1969 23:59:59 GMT", NOW), Some(0));
}

#[test]
fn a_two_digit_year_lies_at_most_fifty_years_ahead() {
    let year = |two: &str, now| {
        let text = format!("Sunday, 21-Nov-{two} 00:00:00 GMT");
        Civil::from_secs(parse_date(text.as_bytes(), now).unwrap() / 1000).year
    };
    assert_eq!(year("26", NOW), 2026);
    assert_eq!(year("76", NOW), 2076, "fifty years to the second are still ahead");
    assert_eq!(year("76", NOW - 1000), 1976, "one second more is the past");
    assert_eq!(year("77", NOW), 1977);
    assert_eq!(year("99", NOW), 1999);
    let in_2099 = parse_date(b"Sat, 21 Nov 2099 00:00:00 GMT", NOW).unwrap();
    assert_eq!(year("05", in_2099), 2105, "the century turns with the clock");
}

#[test]
fn dates_are_written_as_django_writes_them() {
    assert_eq!(format_date(1_000_000_060_000), "Sun, 09 Sep 2001 01:47:40 GMT");
    assert_eq!(format_date(1_167_616_461_000), "Mon, 01 Jan 2007 01:54:21 GMT");
    assert_eq!(format_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
}

#[test]
fn years_past_9999_are_clamped() {
    assert_eq!(format_date(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_eq!(parse_date(format_date(u64::MAX).as_bytes(), NOW), Some(LAST_SECOND * 1000));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(secs in 0..=LAST_SECOND, now: u64) {
        let at = secs * 1000;
        prop_assert_eq!(parse_date(format_date(at).as_bytes(), now), Some(at));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40), now: u64) {
        let _ = parse_date(&bytes, now);
    }

    #[test]
    fn no_broken_date_makes_it_panic(
        at in 0usize..29, byte: u8, form in 0usize..3, now: u64,
    ) {
        let mut text = [
            &b"Sun, 06 Nov 1994 08:49:37 GMT"[..],
            b"Sunday, 06-Nov-94 08:49:37 GMT",
            b"Sun Nov  6 08:49:37 1994",
        ][form].to_vec();
        let at = at % text.len();
        text[at] = byte;
        let _ = parse_date(&text, now);
    }
}
