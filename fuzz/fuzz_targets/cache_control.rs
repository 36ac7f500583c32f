//! Cache-Control of both directions, Pragma, Expires: what forbids is obeyed however it is written.
#![no_main]

use http::{Method, StatusCode};
use larder_fuzz::{NOW, headers};
use larder_http::shared::{Received, Rules};
use larder_http::{CacheControl, FieldRule, RequestCacheControl, explicit_lifetime};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let fields = headers(data, &["cache-control", "pragma", "expires", "age", "date"]);
    let control = CacheControl::from_headers(&fields);
    let _ = RequestCacheControl::from_headers(&fields);
    let _ = explicit_lifetime(&fields, &control, true, NOW);
    let request = http::HeaderMap::new();
    let received = Received {
        method: &Method::GET,
        request: &request,
        status: StatusCode::OK,
        headers: &fields,
        at: NOW,
    };
    let forbidden = (control.no_store && !control.must_understand) || control.private == FieldRule::All;
    assert!(!forbidden || Rules::default().storing(&received).is_err());
});
