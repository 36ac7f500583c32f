//! Dates: what is read is written the one way that is left, and read again as the same.
#![no_main]

use larder_fuzz::NOW;
use larder_http::{Delta, format_date, parse_date};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(at) = parse_date(data, NOW) {
        let written = format_date(at);
        assert_eq!(parse_date(written.as_bytes(), NOW), Some(at), "{written:?}");
    }
    let _ = Delta::parse(data).seconds();
});
