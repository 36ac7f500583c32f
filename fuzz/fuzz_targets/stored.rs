//! Stored responses: what is read was written so, and holds no value that would split a response.
#![no_main]

use bytes::Bytes;
use larder_http::StoredResponse;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(page) = StoredResponse::decode(bytes.clone()) {
        let clean =
            |value: &http::HeaderValue| !value.as_bytes().iter().any(|b| matches!(b, b'\r' | b'\n' | 0));
        assert!(page.headers.values().all(clean));
        let again = StoredResponse::decode(page.encode()).expect("what was written can be read");
        assert_eq!((again.status, &again.headers, &again.body), (page.status, &page.headers, &page.body));
    }
});
