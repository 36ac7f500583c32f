use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use larder_http::{StoredMeta, Timing};

use super::*;

const KEY: &[u8] = b"space:GET /page";

fn stored(fields: &[(&str, &str)], body: &'static [u8]) -> StoredResponse {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers
            .append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let timing = Timing { fresh_for_ms: 900_000, ..Timing::default() };
    let meta = StoredMeta { key: Bytes::from_static(KEY), timing, ..StoredMeta::default() };
    StoredResponse { status: StatusCode::OK, headers, body: Bytes::from_static(body), meta }
}

fn usual_page(tag: &str) -> StoredResponse {
    stored(
        &[
            ("content-type", "text/x-kept"),
            ("etag", tag),
            ("x-kept", tag),
            ("age", "5"),
            ("cache-control", "max-age=900"),
            ("expires", "Sat, 21 Nov 2026 02:59:31 GMT"),
        ],
        b"body",
    )
}

fn sent(page: &Page) -> HeaderMap {
    let mut fields = HeaderMap::new();
    page.lay(&mut fields, HeaderValue::from_static("7"), HeaderValue::from_static("larder; hit; ttl=1"));
    fields
}

fn layout(page: &Page) -> Option<&'static Layout> {
    match page.fields {
        Fields::Laid { layout, .. } => Some(layout),
        Fields::Apart(_) => None,
    }
}

#[test]
fn pages_that_are_alike_have_one_layout_and_each_its_own_values() {
    let pages = ["\"one\"", "\"two\""].map(|tag| Page::kept(usual_page(tag), true));
    let layouts = pages.each_ref().map(|page| layout(page).unwrap());
    assert!(std::ptr::eq(layouts[0], layouts[1]));
    for (page, tag) in pages.iter().zip(["\"one\"", "\"two\""]) {
        let fields = sent(page);
        assert_eq!(fields.len(), 7, "{fields:?}");
        assert_eq!(fields["etag"], tag);
        assert_eq!(fields["x-kept"], tag);
        assert_eq!(fields["expires"], "Sat, 21 Nov 2026 02:59:31 GMT");
        assert_eq!(fields["cache-control"], "max-age=900");
        assert_eq!(fields["content-type"], "text/x-kept");
        assert_eq!(
            (&fields["age"], &fields[CACHE_STATUS]),
            (&"7".parse().unwrap(), &"larder; hit; ttl=1".parse().unwrap())
        );
        assert_eq!((&page.body[..], &page.meta.key[..], page.status), (&b"body"[..], KEY, StatusCode::OK));
        assert_eq!(page.meta.timing.fresh_for_ms, 900_000);
    }
}

#[test]
fn another_usual_value_or_another_order_is_another_layout() {
    let of = |fields: &[(&str, &str)]| layout(&Page::kept(stored(fields, b""), true)).unwrap();
    let first = of(&[("content-type", "text/x-a"), ("etag", "\"1\"")]);
    assert!(std::ptr::eq(first, of(&[("content-type", "text/x-a"), ("etag", "\"2\"")])));
    for other in [
        of(&[("content-type", "text/x-b"), ("etag", "\"1\"")]),
        of(&[("content-type", "text/x-a"), ("x-etag", "\"1\"")]),
        of(&[("content-type", "text/x-a")]),
        of(&[("content-type", "text/x-a"), ("etag", "\"1\""), ("date", "x")]),
        of(&[("content-type", "text/x-a"), ("etag", "\"1\""), ("server", "x")]),
        of(&[]),
    ] {
        assert!(!std::ptr::eq(first, other));
    }
}

#[test]
fn what_has_lines_of_one_name_or_too_many_fields_is_kept_apart_and_is_the_same() {
    let many: Vec<(String, String)> = (0..40).map(|n| (format!("x-{n}"), n.to_string())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (&**name, &**value)).collect();
    let twice = [("link", "</a>"), ("content-type", "text/x-kept"), ("link", "</b>"), ("etag", "\"1\"")];
    let long = [(&*"x".repeat(65), "1")];
    for fields in [&many[..], &twice, &long] {
        let page = Page::kept(stored(fields, b""), true);
        assert!(layout(&page).is_none());
        let sent = sent(&page);
        assert_eq!(sent.len(), fields.len() + 2);
        for (name, _) in fields {
            let lines: Vec<_> =
                fields.iter().filter(|(other, _)| other == name).map(|(_, value)| *value).collect();
            assert_eq!(sent.get_all(*name).iter().collect::<Vec<_>>(), lines);
        }
    }
}

#[test]
fn a_page_that_does_not_answer_as_it_is_keeps_just_its_fields() {
    let page = Page::kept(usual_page("\"one\""), false);
    assert_eq!(*page.fields(), usual_page("\"one\"").headers);
    assert_eq!(page.to_stored(), usual_page("\"one\""));
}

#[test]
fn what_is_secret_stays_so() {
    let mut response = usual_page("\"one\"");
    response.headers.get_mut("etag").unwrap().set_sensitive(true);
    response.headers.get_mut("content-type").unwrap().set_sensitive(true);
    for answers in [true, false] {
        let page = Page::kept(response.clone(), answers);
        let fields = page.fields();
        assert!(fields["etag"].is_sensitive() && fields["content-type"].is_sensitive());
        assert!(!fields["expires"].is_sensitive());
        assert!(!format!("{page:?}").contains("one"));
    }
}

#[test]
fn a_page_comes_back_from_bytes_as_it_was() {
    for (tag, answers) in [("\"one\"", true), ("\"two\"", false)] {
        let page = Page::kept(usual_page(tag), answers);
        let back = StoredResponse::decode(page.to_stored().encode()).unwrap();
        assert_eq!(back, page.to_stored());
        assert_eq!(sent(&Page::from(back)), sent(&page));
    }
}

/// Bytes of which one can tell whether anybody holds them.
struct Buffer(Vec<u8>, std::sync::Arc<AtomicBool>);

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_page_does_not_hold_the_buffer_that_it_was_read_from() {
    let gone = std::sync::Arc::new(AtomicBool::new(false));
    let mut text = b"\"tag\"text/x-kept<p>body".to_vec();
    text.resize(1 << 20, b' ');
    let buffer = Bytes::from_owner(Buffer(text, std::sync::Arc::clone(&gone)));
    let value = |range| HeaderValue::from_maybe_shared(buffer.slice(range)).unwrap();
    for answers in [true, false] {
        let mut response = stored(&[], b"");
        response.headers.insert(header::ETAG, value(0..5));
        response.headers.insert(header::CONTENT_TYPE, value(5..16));
        response.headers.append(header::LINK, value(0..5));
        response.body = if answers { buffer.slice(16..23) } else { buffer.slice(16..900_000) };
        let page = Page::kept(response, answers);
        assert!(page.body.starts_with(b"<p>body"));
        assert_eq!(page.fields()[header::ETAG], value(0..5));
        std::mem::forget(page);
    }
    assert!(!gone.load(Ordering::SeqCst));
    drop(buffer);
    assert!(gone.load(Ordering::SeqCst), "pages that live on hold it");
}

#[test]
fn what_a_page_weighs_grows_with_what_is_its_own() {
    let weight = |response: StoredResponse| Page::kept(response, true).weight();
    let small = weight(usual_page("\"one\""));
    let mut large = usual_page("\"one\"");
    large.body = Bytes::from(vec![0; 1004]);
    assert_eq!(weight(large.clone()) - small, 1000);
    large.meta.key = Bytes::from(vec![b'k'; 115]);
    assert_eq!(weight(large.clone()) - small, 1100);
    large.headers.insert(header::ETAG, HeaderValue::from_static("\"onetwo\""));
    assert_eq!(weight(large.clone()) - small, 1103);
    for n in 0..5 {
        large.headers.append(
            HeaderName::from_bytes(format!("x-{n}").as_bytes()).unwrap(),
            HeaderValue::from_static("abc"),
        );
    }
    assert!(
        weight(large) - small >= 1103 + 5 * (3 + size_of::<HeaderValue>()),
        "more than stand within the page"
    );
}
