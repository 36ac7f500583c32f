//! Pages that are compressed once, when they are stored, and sent in whichever form the client takes.
//!
//! The page is made and keyed without any coding, so all clients share one run and one entry. Its compressed forms stand beside it.

use std::io::Write as _;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use larder_http::{CacheControl, Coding, Form, StoredResponse};

use crate::kept::Page;

/// Smaller bodies are not worth it.
const WORTH: usize = 1024;

/// The forms of a page; none where compressing it is not allowed or does not pay.
pub(crate) fn forms(page: &StoredResponse) -> Vec<Form> {
    if page.body.len() < WORTH || !is_compressible(&page.headers) {
        return Vec::new();
    }
    [Coding::Brotli, Coding::Gzip]
        .into_iter()
        .filter_map(|coding| {
            let body = compress(coding, &page.body)?;
            (body.len() < page.body.len() / 10 * 9).then_some(Form { coding, body })
        })
        .collect()
}

/// Whether a page with these fields may be compressed at all, and is of a kind that pays.
pub(crate) fn is_compressible(headers: &HeaderMap) -> bool {
    if headers.contains_key(header::CONTENT_ENCODING) || CacheControl::from_headers(headers).no_transform {
        return false;
    }
    let kind = headers
        .get(header::CONTENT_TYPE)
        .map(|kind| kind.as_bytes().to_ascii_lowercase())
        .unwrap_or_default();
    let kind = kind.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    kind.starts_with(b"text/")
        || kind.ends_with(b"+json")
        || kind.ends_with(b"+xml")
        || matches!(
            kind,
            b"application/json"
                | b"application/javascript"
                | b"application/xml"
                | b"application/wasm"
                | b"application/x-javascript"
                | b"application/manifest+json"
                | b"application/x-ndjson"
        )
}

fn compress(coding: Coding, body: &[u8]) -> Option<Bytes> {
    let out = Vec::with_capacity(body.len() / 3);
    match coding {
        Coding::Gzip => {
            let mut writer = flate2::write::GzEncoder::new(out, flate2::Compression::new(6));
            writer.write_all(body).ok()?;
            writer.finish().ok().map(Bytes::from)
        }
        #[cfg(feature = "brotli")]
        Coding::Brotli => {
            let mut out = out;
            let settings = brotli::enc::BrotliEncoderParams {
                quality: 5,
                lgwin: 20,
                size_hint: body.len(),
                ..Default::default()
            };
            brotli::BrotliCompress(&mut &*body, &mut out, &settings).ok()?;
            Some(Bytes::from(out))
        }
        #[cfg(not(feature = "brotli"))]
        Coding::Brotli => None,
    }
}

/// The form that this client takes, if it prefers one to the plain page.
pub(crate) fn chosen<'a>(page: &'a Page, request: &HeaderMap) -> Option<&'a Form> {
    if page.meta.forms.is_empty() {
        return None;
    }
    let weights = larder_http::coding_weights(request)?;
    page.meta.forms.iter().filter(|form| weights.of(form.coding) > 0).max_by(|a, b| {
        // Of equal weight the smaller one.
        weights.of(a.coding).cmp(&weights.of(b.coding)).then_with(|| b.body.len().cmp(&a.body.len()))
    })
}

/// Puts the fields right for a form: another coding is another representation, so its tag is weak.
pub(crate) fn describe(headers: &mut HeaderMap, form: &Form) {
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(form.coding.as_str()));
    for name in [header::CONTENT_LENGTH, header::ACCEPT_RANGES] {
        headers.remove(name);
    }
    for name in ["content-digest", "content-md5"] {
        headers.remove(name);
    }
    weaken(headers);
}

/// The tag of another coding of the same page: equivalent, not the same bytes.
pub(crate) fn weaken(headers: &mut HeaderMap) {
    let weak = headers.get(header::ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""));
    let weak = weak.and_then(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok());
    if let Some(weak) = weak {
        headers.insert(header::ETAG, weak);
    }
}
