//! Vary, and fields in the form in which they are compared.
#![no_main]

use larder_fuzz::headers;
use larder_http::{Vary, canonical_field, canonical_field_unordered, joined_cookies};

const FIELDS: [&str; 7] = ["vary", "accept-language", "accept-encoding", "accept", "cookie", "te", "x-other"];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let fields = headers(data, &FIELDS);
    if let Vary::Fields(names) = Vary::from_headers(&fields) {
        assert!(!names.iter().any(|name| name.as_str() == "*"));
    }
    for name in FIELDS.map(http::HeaderName::from_static) {
        let (mut first, mut again) = (Vec::new(), Vec::new());
        canonical_field(&name, &fields, &mut |bytes| first.extend_from_slice(bytes));
        canonical_field(&name, &fields, &mut |bytes| again.extend_from_slice(bytes));
        assert_eq!(first, again);
        canonical_field_unordered(&name, &fields, &mut |_| {});
    }
    let _ = joined_cookies(&fields);
});
