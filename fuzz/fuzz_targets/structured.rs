//! Structured fields: targeted policies, cache groups, No-Vary-Search.
#![no_main]

use http::HeaderName;
use larder_fuzz::headers;
use larder_http::shared::{cache_groups, invalidated_by};
use larder_http::{NoVarySearch, targeted};

libfuzzer_sys::fuzz_target!(|data: (&[u8], &str)| {
    let (data, query) = data;
    let names = ["cdn-cache-control", "cache-groups", "cache-group-invalidation", "no-vary-search"];
    let fields = headers(data, &names);
    let _ = targeted::from_headers(&fields, &[HeaderName::from_static(names[0])]);
    assert!(cache_groups(&fields).len() <= 128);
    let _ = invalidated_by(&http::Method::POST, http::StatusCode::OK, &fields);
    let rule = NoVarySearch::from_headers(&fields);
    let canonical = rule.canonical(query);
    assert_eq!(rule.canonical(&canonical), canonical, "once is enough");
});
