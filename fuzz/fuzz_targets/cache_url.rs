//! URLs of caches: no password stands in what is shown of them.
#![no_main]

use larder_core::CacheUrl;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = CacheUrl::masked(text);
    if let Ok(mut url) = CacheUrl::parse(text) {
        let _ = (url.take("prefix"), url.take_u64("max_entries"), url.take_bytes("max_bytes"));
        let _ = (url.take_duration("timeout"), url.take_bool("tls"), url.finish());
    }
    if !text.contains(['@', '/', '?', '#', '[', ']', '\\', '%', ':', '=', '&']) && text.len() > 8 {
        let shown = CacheUrl::masked(&format!("redis://user:{text}@host/0"));
        assert!(!shown.contains(text), "{shown}");
    }
});
