//! Range and Content-Range: no range leads outside of the content.
#![no_main]

use bytes::Bytes;
use larder_fuzz::headers;
use larder_http::range::{Ranges, content_range, multipart, requested, slice};

libfuzzer_sys::fuzz_target!(|data: (&[u8], u16)| {
    let (data, length) = data;
    let fields = headers(data, &["range", "content-range"]);
    let body = Bytes::from(vec![0; usize::from(length)]);
    if let Some(specs) = requested(&fields) {
        if let Ranges::Satisfiable(parts) = specs.resolve(u64::from(length)) {
            for part in &parts {
                assert!(part.first <= part.last && part.last < u64::from(length));
                assert_eq!(slice(&body, *part).len() as u64, part.len());
            }
            let _ = multipart(&body, &parts, None);
        }
        let _ = (specs.resolve(u64::MAX), specs.single(None), specs.single(Some(u64::from(length))));
    }
    if let Some((part, complete)) = content_range(&fields) {
        assert!(part.first <= part.last && complete.is_none_or(|complete| part.last < complete));
        assert!(slice(&body, part).len() <= body.len());
    }
});
