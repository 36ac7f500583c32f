//! A whole exchange by the rules of a shared cache: storing, reuse, a 304, invalidation.
#![no_main]

use http::{Method, StatusCode};
use larder_fuzz::{NOW, headers};
use larder_http::shared::{
    Received, Reuse, Rules, StaleOnError, freshen, invalidated_by, reuse, stale_on_error,
};
use larder_http::{RequestCacheControl, strip_hop_by_hop};

const FIELDS: [&str; 16] = [
    "cache-control",
    "cdn-cache-control",
    "expires",
    "date",
    "age",
    "etag",
    "last-modified",
    "vary",
    "set-cookie",
    "content-range",
    "range",
    "authorization",
    "pragma",
    "connection",
    "location",
    "no-vary-search",
];

libfuzzer_sys::fuzz_target!(|data: (&[u8], &[u8], &[u8], u16, u32)| {
    let (request, mut response, news) =
        (headers(data.0, &FIELDS), headers(data.1, &FIELDS), headers(data.2, &FIELDS));
    let status = StatusCode::from_u16(100 + data.3 % 500).expect("three digits");
    let (rules, later) = (Rules::default(), NOW + u64::from(data.4));
    let received = Received { method: &Method::GET, request: &request, status, headers: &response, at: NOW };
    if let Ok(storing) = rules.storing(&received) {
        let timing = storing.timing(&response, NOW, NOW);
        let wishes = RequestCacheControl::from_headers(&request);
        let decision = reuse(&rules, &response, &timing, &wishes, later);
        assert!(!wishes.no_cache || matches!(decision, Reuse::Validate(_)));
        let _ = stale_on_error(&rules, &response, &timing, &wishes, StaleOnError::Status, later);
        response = freshen(&response, &news, &storing.without);
    }
    strip_hop_by_hop(&mut response);
    assert!(!response.contains_key("connection"));
    assert!(!invalidated_by(&Method::GET, status, &response).target);
    let _ = invalidated_by(&Method::POST, status, &response);
});
