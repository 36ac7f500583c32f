//! Entity tags, conditions, and what a 304 belongs to.
#![no_main]

use http::Method;
use larder_fuzz::{NOW, headers};
use larder_http::range::{if_range_holds, same_strong_validator};
use larder_http::shared::{answers, freshen, validation};
use larder_http::{EntityTag, evaluate_cached, not_modified_headers};

libfuzzer_sys::fuzz_target!(|data: (&[u8], &[u8])| {
    let names =
        &["if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range", "range"];
    let mut request = headers(data.0, names);
    let stored = headers(data.1, &["etag", "last-modified", "date", "content-type", "connection", "age"]);
    if let Some(tag) = EntityTag::parse(data.0) {
        assert!(tag.weak_eq(&tag) && tag.strong_eq(&tag) == !tag.is_weak());
    }
    for method in [Method::GET, Method::HEAD] {
        let _ = evaluate_cached(&method, &request, &stored, NOW);
    }
    let _ = if_range_holds(&request, &stored, NOW);
    assert!(not_modified_headers(&stored).len() <= stored.len());
    let _ = answers(&stored, &[&stored, &request], NOW);
    assert!(!freshen(&stored, &request, &[]).contains_key("connection") || stored.contains_key("connection"));
    assert_eq!(same_strong_validator(&stored, &request, NOW), same_strong_validator(&request, &stored, NOW));
    let validates = validation(&mut request, [&stored]);
    assert_eq!(validates, request.contains_key("if-none-match") || request.contains_key("if-modified-since"));
});
