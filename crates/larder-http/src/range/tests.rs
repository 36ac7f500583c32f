use super::*;
use crate::date::format_date;
use http::HeaderName;
use proptest::prelude::*;

const NOW: UnixMillis = 1_000_000_000_000;

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    headers
}

fn resolve(range: &str, length: u64) -> Option<Ranges> {
    requested(&headers(&[("range", range)])).map(|specs| specs.resolve(length))
}

fn parts(list: &[(u64, u64)]) -> Option<Ranges> {
    Some(Ranges::Satisfiable(list.iter().map(|&(first, last)| ByteRange { first, last }).collect()))
}

#[test]
fn ranges_are_clipped_and_a_suffix_longer_than_the_body_is_all() {
    assert_eq!(resolve("bytes=0-1", 10), parts(&[(0, 1)]));
    assert_eq!(resolve("Bytes = 5-", 10), parts(&[(5, 9)]));
    assert_eq!(resolve("bytes=5-99999999999999999999999", 10), parts(&[(5, 9)]));
    assert_eq!(resolve("bytes=-3", 10), parts(&[(7, 9)]));
    assert_eq!(resolve("bytes=-99", 10), parts(&[(0, 9)]));
    assert_eq!(resolve("bytes=0-0, -1,", 10), parts(&[(0, 0), (9, 9)]));
    assert_eq!(resolve("bytes=8-9,20-30", 10), parts(&[(8, 9)]), "what can be satisfied is");
}

#[test]
fn what_lies_behind_the_end_is_not_satisfiable() {
    for range in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999-"] {
        assert_eq!(resolve(range, 10), Some(Ranges::Unsatisfiable), "{range}");
    }
    assert_eq!(resolve("bytes=0-", 0), Some(Ranges::Unsatisfiable));
}

#[test]
fn malformed_and_unknown_ranges_are_ignored() {
    for range in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=a-b",
        "bytes=5-2",
        "bytes=-",
        "bytes=1",
        "items=0-1",
        "bytes=+1-2",
        "bytes=0-1,x",
    ] {
        assert_eq!(resolve(range, 10), None, "{range}");
    }
    assert_eq!(requested(&headers(&[("range", "bytes=0-1"), ("range", "bytes=2-3")])), None);
}

#[test]
fn many_and_overlapping_ranges_are_refused() {
    let many = (0..17).map(|n| format!("{n}-{n}")).collect::<Vec<_>>().join(",");
    assert_eq!(resolve(&format!("bytes={many}"), 1000), Some(Ranges::Refused));
    assert_eq!(resolve("bytes=0-9,0-9", 10), Some(Ranges::Refused));
}

#[test]
fn a_content_range_that_cannot_be_right_is_none() {
    let read = |value: &str| content_range(&headers(&[("content-range", value)]));
    let part = |first, last| ByteRange { first, last };
    assert_eq!(read("bytes 4-9/10"), Some((part(4, 9), Some(10))));
    assert_eq!(read("bytes 4-9/*"), Some((part(4, 9), None)));
    for bad in [
        "bytes 4-10/10",
        "bytes 5-4/10",
        "bytes */10",
        "bytes 4-9",
        "items 4-9/10",
        "bytes a-b/10",
        "bytes 4-9/x",
        "bytes=4-9/10",
        "",
    ] {
        assert_eq!(read(bad), None, "{bad}");
    }
}

#[test]
fn if_range_wants_a_strong_and_exact_match() {
    let (old, older) = (format_date(NOW - 60_000), format_date(NOW - 90_000));
    let (old, older, date) = (old.to_str().unwrap(), older.to_str().unwrap(), format_date(NOW));
    let date = date.to_str().unwrap();
    let stored = headers(&[("etag", "\"a\""), ("last-modified", old), ("date", date)]);
    let holds = |condition: &str, stored: &HeaderMap| {
        if_range_holds(&headers(&[("if-range", condition)]), stored, NOW)
    };
    assert!(if_range_holds(&HeaderMap::new(), &stored, NOW));
    assert!(holds("\"a\"", &stored) && holds(old, &stored));
    for other in ["\"b\"", "W/\"a\"", older, "yesterday", ""] {
        assert!(!holds(other, &stored), "{other}");
    }
    let weak = headers(&[("etag", "W/\"a\"")]);
    assert!(!holds("W/\"a\"", &weak) && !holds("\"a\"", &weak));
    let just_now = headers(&[("last-modified", old), ("date", old)]);
    assert!(!holds(old, &just_now), "a date of the same second is weak");
}

#[test]
fn parts_belong_together_only_by_a_strong_validator() {
    let same = |a: &[(&str, &str)], b: &[(&str, &str)]| same_strong_validator(&headers(a), &headers(b), NOW);
    assert!(same(&[("etag", "\"a\"")], &[("etag", "\"a\"")]));
    assert!(!same(&[("etag", "\"a\"")], &[("etag", "\"b\"")]));
    assert!(!same(&[("etag", "W/\"a\"")], &[("etag", "W/\"a\"")]));
    assert!(!same(&[], &[]) && !same(&[("etag", "\"a\"")], &[]));
    assert!(has_no_validator(&HeaderMap::new()) && !has_no_validator(&headers(&[("etag", "x")])));
}

#[test]
fn a_multipart_body_names_each_part_and_its_boundary_is_not_in_it() {
    let body = Bytes::from_static(b"0123456789");
    let parts = [ByteRange { first: 0, last: 1 }, ByteRange { first: 8, last: 9 }];
    let (kind, whole) = multipart(&body, &parts, Some(&HeaderValue::from_static("text/plain")));
    let boundary = kind.to_str().unwrap().split_once("boundary=").unwrap().1.to_owned();
    let expected = format!(
        "--{boundary}\r\ncontent-type: text/plain\r\ncontent-range: bytes 0-1/10\r\n\r\n01\r\n\
         --{boundary}\r\ncontent-type: text/plain\r\ncontent-range: bytes 8-9/10\r\n\r\n89\r\n--{boundary}--\r\n"
    );
    assert_eq!(whole, expected);
    // A body that holds the boundary it would be given gets another.
    let tricky = Bytes::from(format!("larder-{:08x}", crc32fast::hash(b"")));
    let (kind, _) = multipart(&tricky, &parts[..1], None);
    assert!(!tricky.windows(15).any(|w| kind.as_bytes().ends_with(w)));
}

proptest! {
    #[test]
    fn resolved_parts_lie_within_the_body(range in "bytes=[0-9,-]{0,20}", length in 0u64..200) {
        if let Some(Ranges::Satisfiable(parts)) = resolve(&range, length) {
            for part in parts {
                prop_assert!(part.first <= part.last && part.last < length);
            }
        }
    }

    #[test]
    fn what_we_write_we_read(first in 0u64..1000, more in 0u64..1000, rest in 1u64..1000) {
        let part = ByteRange { first, last: first + more };
        let complete = part.last + rest;
        let written = HeaderMap::from_iter([(header::CONTENT_RANGE, part.content_range(Some(complete)))]);
        prop_assert_eq!(content_range(&written), Some((part, Some(complete))));
    }
}
