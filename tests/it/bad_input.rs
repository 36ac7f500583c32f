//! Bad input: every setting and every byte a client may send has a documented meaning or a clear error, and nothing panics.

use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse;
use http::header::{ACCEPT_LANGUAGE, TE};
use http::{HeaderName, HeaderValue, Method, Request};
use larder::http_rules::{canonical_field, canonical_field_unordered, parse_date};
use larder::{Caches, CachesLayer, ErrorKind, Timeout, cache_page};
use proptest::prelude::*;

use crate::fed::head;
use crate::g8_explainable::ours;
use crate::support::{Answer, ask, clocked, get, memory, origin, request, saying};

#[tokio::test]
async fn a_timeout_of_zero_passes_everything_by_and_tells_clients_not_to_keep_it() {
    for timeout in [Timeout::ZERO, Timeout::from(0), Timeout::from(Duration::ZERO)] {
        let (app, runs) = saying(&[]);
        let page = app.clone().layer(cache_page(timeout).cache(memory()));
        let site = larder::site(app).cache(memory()).timeout(timeout).into_router();
        for (app, status) in [
            (page, "larder; fwd=bypass; detail=zero-timeout"),
            (site, "larder; fwd=uri-miss; detail=zero-timeout"),
        ] {
            for again in [false, true] {
                let answer = ask(&app, get("/")).await;
                let (said, tells) = (answer.cache_status(), answer.field("cache-control"));
                let known = again && said.ends_with("detail=hit-for-miss");
                assert!(said == status || known, "{said}");
                assert_eq!(tells, "max-age=0");
            }
        }
        assert_eq!(runs.count(), 4);
    }
}

#[tokio::test]
async fn a_site_with_a_timeout_of_zero_keeps_only_what_says_itself_how_long() {
    let (app, runs) = saying(&[("cache-control", "max-age=30")]);
    let app = larder::site(app).cache(memory()).timeout(0).into_router();
    assert_eq!(ask(&app, get("/")).await.cache_status(), "larder; fwd=uri-miss; stored; ttl=30");
    assert!(ask(&app, get("/")).await.is_hit());
    assert_eq!(runs.count(), 1);
}

#[tokio::test]
async fn a_timeout_beyond_all_measure_is_for_ever_and_its_fields_can_be_read() {
    for timeout in [
        Timeout::from(u64::MAX),
        Timeout::from(u64::MAX / 1000),
        Timeout::from(Duration::MAX),
        Timeout::from(Duration::from_secs(1 << 40)),
        Timeout::FOREVER,
    ] {
        let (cache, hand) = clocked();
        let (app, runs) = saying(&[]);
        let page = app.clone().layer(cache_page(timeout).cache(&cache).key_prefix("page"));
        let site = larder::site(app).cache(&cache).timeout(timeout).into_router();
        for (app, name) in [(page, "cache_page"), (site, "site")] {
            let first = head(&app, get("/")).await;
            // The strict parser refuses more digits than a field may have.
            assert!(ours(&first).get("stored").is_some(), "{name}, {timeout:?}");
            let max_age = first.headers()["cache-control"].to_str().expect("text").to_owned();
            let seconds = max_age.strip_prefix("max-age=").and_then(|n| n.parse::<u64>().ok());
            assert!(seconds.is_some_and(|n| n >= 31_536_000), "{name}, {timeout:?}: {max_age}");
            let expires = first.headers()["expires"].to_str().expect("text");
            assert!(parse_date(expires.as_bytes(), hand.now()).is_some(), "{name}, {timeout:?}: {expires}");
            hand.advance(Duration::from_secs(100 * 365 * 86_400));
            let hit = head(&app, get("/")).await;
            assert!(ours(&hit).get("hit").is_some(), "{name}, {timeout:?}: {:?}", hit.headers());
        }
        assert_eq!(runs.count(), 2);
    }
}

#[tokio::test]
async fn an_alias_that_does_not_exist_passes_everything_by_and_the_error_names_those_there_are() {
    let caches = Caches::new(memory()).with("pages", memory());
    let error = caches.get("page").expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let text = error.to_string();
    assert!(text.contains("\"page\"") && text.contains("\"pages\""), "{text}");

    let (app, runs) = saying(&[]);
    let layers =
        |alias: &str| app.clone().layer(cache_page(60).cache(alias)).layer(CachesLayer::new(caches.clone()));
    for (alias, known) in
        [("page", false), ("", false), ("Default", false), ("pages", true), ("default", true)]
    {
        let app = layers(alias);
        for _ in 0..2 {
            let answer = ask(&app, get("/")).await;
            assert!(answer.text().starts_with("run "), "the site works all the same");
            let bypassed = answer.cache_status() == "larder; fwd=bypass; detail=no-such-cache";
            assert_eq!(bypassed, !known, "{alias:?}: {answer:?}");
        }
        let write = ask(&app, request(Method::POST, "/", &[])).await;
        assert_eq!(write.cache_status(), "larder; fwd=method", "{alias:?}");
    }
    assert_eq!(runs.count(), 3 * 3 + 2 * 2);
}

#[test]
fn a_cache_url_that_can_not_be_right_says_what_is_wrong_with_it() {
    for (url, kind, says) in [
        ("", ErrorKind::Config, "memory:"),
        ("memory", ErrorKind::Config, ":"),
        ("memroy:", ErrorKind::Config, "did you mean \"memory\"?"),
        ("memory:?max_byte=1", ErrorKind::Config, "did you mean \"max_bytes\"?"),
        ("memory:?timeout=abc", ErrorKind::Config, "timeout"),
        ("memory:?timeout=-1", ErrorKind::Config, "timeout"),
        ("memory:?max_entries=0", ErrorKind::Config, "max_entries"),
        ("memory:?max_bytes=12parsecs", ErrorKind::Config, "max_bytes"),
        ("memory:?prefix=a%3Ab", ErrorKind::Config, "prefix"),
        ("memory://host/path", ErrorKind::Config, "no host and no path"),
        ("file:", ErrorKind::Config, "file:///"),
        ("dummy:?what=1", ErrorKind::Config, "what"),
    ] {
        let error = larder::open(url).expect_err(url);
        assert_eq!(error.kind(), kind, "{url}: {error}");
        assert!(error.to_string().contains(says), "{url}: {error}");
    }
}

#[test]
fn a_backend_that_was_not_compiled_in_says_which_feature_brings_it() {
    let schemes = larder::schemes();
    for scheme in ["redis", "rediss", "memcached", "sqlite", "postgres", "mysql"] {
        let opened = larder::open(&format!("{scheme}://127.0.0.1/0"));
        match (schemes.feature_of(scheme), opened) {
            (Some(feature), opened) => {
                let error = opened.expect_err(scheme);
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
                assert!(error.to_string().contains(&format!("feature {feature:?}")), "{error}");
            }
            // Compiled in: whatever it thinks of this URL, it is there to think.
            (None, Err(error)) => assert_eq!(error.kind(), ErrorKind::Config, "{scheme}: {error}"),
            (None, Ok(_)) => {}
        }
    }
}

proptest! {
    #[test]
    fn no_text_at_all_makes_opening_a_cache_panic(text in ".{0,60}", scheme in "(memory:|dummy:|memory:\\?|memory:\\?timeout=|dummy:\\?prefix=)?") {
        // Nothing is asserted of what comes out but that it comes: an error has to have a text.
        if let Err(error) = larder::open(&format!("{scheme}{text}")) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}

/// What the layer reads of a request.
const READ: [&str; 26] = [
    "cookie",
    "authorization",
    "cache-control",
    "pragma",
    "vary",
    "if-none-match",
    "if-modified-since",
    "if-match",
    "if-unmodified-since",
    "if-range",
    "range",
    "host",
    "forwarded",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-original-url",
    "x-api-key",
    "x-http-method-override",
    "connection",
    "upgrade",
    "accept-language",
    "te",
    "accept-encoding",
    "content-length",
    "transfer-encoding",
    "x-http-host-override",
];

/// What the layer reads of a response.
const WRITTEN: [&str; 20] = [
    "cache-control",
    "vary",
    "age",
    "date",
    "expires",
    "etag",
    "last-modified",
    "set-cookie",
    "cache-status",
    "content-type",
    "connection",
    "content-range",
    "cdn-cache-control",
    "larder-cache-control",
    "no-vary-search",
    "cache-groups",
    "cache-group-invalidation",
    "location",
    "content-location",
    "pragma",
];

/// Any value that a field may have on the wire; garbage, and what is nearly right.
fn value() -> impl Strategy<Value = HeaderValue> {
    let garbage = proptest::collection::vec(prop_oneof![Just(b'\t'), 0x20..=0x7e_u8, 0x80..=0xff_u8], 0..40);
    let nearly = "(max-age=|private|public|no-store=|\"|\\*|W/\"|bytes=|,|;|=| |[0-9]{1,25}|-|sessionid|_ga|Mon, 01 Jan 2024 00:00:00 GMT|accept-language|upgrade|for=|host=){0,6}";
    prop_oneof![garbage, nearly.prop_map(String::into_bytes)]
        .prop_map(|bytes| HeaderValue::from_bytes(&bytes).expect("allowed bytes"))
}

fn fields(names: &'static [&'static str]) -> impl Strategy<Value = Vec<(HeaderName, HeaderValue)>> {
    let name = proptest::sample::select(names).prop_map(HeaderName::from_static);
    proptest::collection::vec((name, value()), 0..6)
}

fn with(fields: &[(HeaderName, HeaderValue)]) -> Request<axum::body::Body> {
    let mut request = get("/");
    for (name, value) in fields {
        request.headers_mut().append(name, value.clone());
    }
    request
}

fn both(app: &Router) -> [Router; 2] {
    let page = app.clone().layer(cache_page(60).cache(memory()));
    [page, larder::site(app.clone()).cache(memory()).into_router()]
}

fn gateway(app: &Router) -> Router {
    app.clone().layer(cache_page(60).cache(memory()).policy(larder::Policy::shared()))
}

/// Asks one after the other.
fn answers(app: &Router, requests: &[Vec<(HeaderName, HeaderValue)>]) -> Vec<Answer> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut answers = Vec::new();
        for fields in requests {
            answers.push(ask(app, with(fields)).await);
        }
        answers
    })
}

proptest! {
    #[test]
    fn whatever_a_client_sends_it_gets_what_the_handler_would_have_given_it(
        requests in proptest::collection::vec(fields(&READ), 1..6)
    ) {
        // The page depends on who asks, and on two more fields, which it names.
        let (app, _) = origin(|_, parts| {
            let mut page = Vec::new();
            for name in ["authorization", "x-api-key", "x-forwarded-host", "host"] {
                for value in parts.headers.get_all(name) {
                    page.extend_from_slice(name.as_bytes());
                    page.extend_from_slice(value.as_bytes());
                    page.push(b'\n');
                }
            }
            // Of what it varies on, the meaning: values that say the same share a page (RFC 9111, section 4.1).
            for name in [ACCEPT_LANGUAGE, TE] {
                page.extend_from_slice(name.as_str().as_bytes());
                canonical_field(&name, &parts.headers, &mut |bytes| page.extend_from_slice(bytes));
            }
            ([("vary", "accept-language, te")], page)
        });
        let given = answers(&app, &requests);
        for cached in both(&app) {
            // Twice, so that what was stored is served too.
            for _ in 0..2 {
                for (answer, given) in answers(&cached, &requests).iter().zip(&given) {
                    prop_assert_eq!((answer.status, &answer.body), (given.status, &given.body));
                    prop_assert_eq!(answer.headers.get_all("cache-status").iter().count(), 1);
                }
            }
        }
    }

    #[test]
    fn whatever_a_handler_answers_its_body_arrives(response in fields(&WRITTEN), request in fields(&READ)) {
        let (app, _) = origin(move |_, _| {
            let mut page = "page".into_response();
            for (name, value) in &response {
                page.headers_mut().append(name, value.clone());
            }
            page
        });
        for cached in both(&app).into_iter().chain([gateway(&app)]) {
            for answer in answers(&cached, &[request.clone(), request.clone()]) {
                match answer.status.as_u16() {
                    200 => prop_assert_eq!(answer.text(), "page"),
                    // A validator that a garbled condition happened to match.
                    304 => prop_assert!(answer.body.is_empty()),
                    // A range of what is stored; nothing stored and nobody to be asked.
                    206 | 416 | 504 => {}
                    other => prop_assert!(false, "{}", other),
                }
            }
        }
    }

    #[test]
    fn whatever_clients_send_a_gateway_each_gets_what_it_asked_for_or_an_answer_without_content(
        requests in proptest::collection::vec(fields(&READ), 1..6),
        response in fields(&WRITTEN),
    ) {
        // The page says what it was made of, and varies on it. What the origin says besides is anything.
        const MADE_OF: [&str; 6] = ["cookie", "authorization", "x-api-key", "accept-language", "te", "host"];
        let made = |headers: &http::HeaderMap| {
            let mut page = Vec::new();
            for name in MADE_OF.map(HeaderName::from_static) {
                page.extend_from_slice(name.as_str().as_bytes());
                canonical_field_unordered(&name, headers, &mut |bytes| page.extend_from_slice(bytes));
            }
            page
        };
        let (app, _) = origin(move |_, parts| {
            let mut page = made(&parts.headers).into_response();
            for (name, value) in response.iter().filter(|(name, _)| name != "vary") {
                page.headers_mut().append(name, value.clone());
            }
            page.headers_mut().append("cache-control", HeaderValue::from_static("public, max-age=60"));
            page.headers_mut().append("vary", HeaderValue::from_static(
                "cookie, authorization, x-api-key, accept-language, te, host",
            ));
            page
        });
        let app = gateway(&app);
        for _ in 0..2 {
            for (answer, fields) in answers(&app, &requests).iter().zip(&requests) {
                let wanted = made(with(fields).headers());
                match answer.status.as_u16() {
                    200 => prop_assert_eq!(&answer.body, &wanted),
                    206 => prop_assert!(!answer.body.is_empty()),
                    304 | 416 | 504 => prop_assert!(answer.body.is_empty()),
                    other => prop_assert!(false, "{}", other),
                }
            }
        }
    }
}
