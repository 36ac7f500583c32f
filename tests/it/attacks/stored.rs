//! What is answered and kept: one visitor's cookie, user's page, part or damaged bytes for another; floods.

use axum::body::Body;
use axum::response::IntoResponse;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use larder::memory::Memory;
use larder::{Cache, Policy, cache_page};
use larder_core::ManualClock;

use super::{Form, forms, forms_over};
use crate::fed::{asking, settle, slowly, soon};
use crate::support::{ask, get, get_with, origin, patient, request};

#[tokio::test]
async fn a_cookie_that_one_visitor_is_given_comes_to_nobody_else() {
    for control in ["max-age=60", "public, max-age=60, s-maxage=60", "max-age=60, no-cache=\"set-cookie\""] {
        let (app, _) = origin(move |run, _| {
            ([("set-cookie", format!("id={run}")), ("cache-control", control.to_owned())], "hello")
        });
        for Form { name, app, .. } in forms(&app) {
            assert_eq!(
                ask(&app, get("/")).await.field("set-cookie"),
                "id=1".replace('1', &run_of(&app).await),
                "{name}"
            );
        }
    }
    /// The number of the run before the next one, which it makes.
    async fn run_of(app: &axum::Router) -> String {
        let next = ask(app, request(Method::POST, "/other", &[])).await.field("set-cookie");
        let next: usize = next.trim_start_matches("id=").parse().unwrap();
        (next - 1).to_string()
    }
}

#[tokio::test]
async fn nor_to_those_who_waited_for_the_same_page() {
    for control in ["max-age=60", "max-age=60, no-cache=\"set-cookie\""] {
        for at in 0..4 {
            let (app, mut asked, _) = asking();
            let Form { name, app, .. } = forms(&app).swap_remove(at);
            let ask_it = || {
                let app = app.clone();
                tokio::spawn(async move { ask(&app, get("/")).await })
            };
            let (first, second) = (ask_it(), ask_it());
            settle().await;
            let fields: &[(&str, &str)] = &[("set-cookie", "id=1"), ("cache-control", control)];
            soon(asked.recv()).await.unwrap().answer(response(fields, "one"));
            settle().await;
            // Who waited either got the page without the cookie, or asks for itself.
            if let Ok(again) = asked.try_recv() {
                again.answer(response(&[("cache-control", control)], "two"));
            }
            let (first, second) = (soon(first).await.unwrap(), soon(second).await.unwrap());
            let cookies = [first.field("set-cookie"), second.field("set-cookie")];
            assert_eq!(cookies.iter().filter(|cookie| !cookie.is_empty()).count(), 1, "{name}, {control}");
        }
    }
}

fn response(fields: &[(&str, &str)], body: &'static str) -> Response<Body> {
    let mut response = Response::builder();
    for (name, value) in fields {
        response = response.header(*name, *value);
    }
    response.body(Body::from(body)).unwrap()
}

#[tokio::test]
async fn what_an_authorization_was_answered_with_comes_to_nobody_else() {
    for control in ["", "max-age=60", "max-age=60, proxy-revalidate", "private, max-age=60"] {
        let (app, _) = origin(move |_, parts: Parts| {
            let who = parts
                .headers
                .get("authorization")
                .map_or("nobody".to_owned(), |v| v.to_str().unwrap().to_owned());
            ([("cache-control", control)], who)
        });
        for Form { name, app, .. } in forms(&app) {
            for who in ["alice", "bob"] {
                let answer = ask(&app, get_with("/", &[("authorization", who)])).await;
                assert_eq!(answer.text(), who, "{name}, {control}");
            }
            assert_eq!(ask(&app, get("/")).await.text(), "nobody", "{name}, {control}");
        }
    }
}

#[tokio::test]
async fn a_part_is_never_the_whole_whoever_asked_for_it() {
    let (app, _) = slowly(|_, request| async move {
        let fields = [("cache-control", "max-age=60"), ("etag", "\"a\"")];
        match request.headers().contains_key("range") {
            true => (StatusCode::PARTIAL_CONTENT, fields, [("content-range", "bytes 0-3/12")], "evil")
                .into_response(),
            false => (fields, "twelve bytes").into_response(),
        }
    });
    for Form { name, app, .. } in forms(&app) {
        for attack in [
            &[("range", "bytes=0-3")][..],
            &[("range", "bytes=0-3"), ("if-range", "\"a\"")],
            &[("range", "bytes=0-3"), ("if-range", "\"b\"")],
            &[("range", "bytes=0-3"), ("range", "bytes=4-5")],
            &[("range", "bytes=0-0,-1")],
            &[("if-range", "\"a\"")],
        ] {
            ask(&app, get_with("/", attack)).await;
        }
        for _ in 0..2 {
            let whole = ask(&app, get("/")).await;
            assert_eq!((whole.status, whole.body.len()), (StatusCode::OK, 12), "{name}: {}", whole.text());
        }
    }
    // A part that nobody asked for, and one that lies about its place.
    for range in ["bytes 0-3/12", "bytes 0-3/4", "bytes 0-11/12", "bytes */12", "lines 0-3/12"] {
        let (app, _) = origin(move |run, _| match run % 2 {
            1 => (
                StatusCode::PARTIAL_CONTENT,
                [("content-range", range), ("cache-control", "max-age=60")],
                "evil",
            ),
            _ => (StatusCode::OK, [("cache-control", "no-store"), ("x-x", "x")], "twelve bytes"),
        });
        for Form { name, app, .. } in forms(&app) {
            let part = ask(&app, get("/")).await;
            assert!(part.status == StatusCode::PARTIAL_CONTENT && !part.is_stored(), "{name}, {range}");
            assert_eq!(ask(&app, get("/")).await.text(), "twelve bytes", "{name}, {range}");
        }
    }
}

#[tokio::test]
async fn a_304_that_a_client_provoked_is_nobody_elses_answer() {
    let (app, _) = origin(|_, parts: Parts| {
        let conditional = parts.headers.keys().any(|name| name.as_str().starts_with("if-"));
        let status = if conditional { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
        (status, [("cache-control", "max-age=60"), ("etag", "\"a\"")], if conditional { "" } else { "page" })
    });
    for Form { name, app, .. } in forms(&app) {
        for (field, value) in [
            ("if-none-match", "*"),
            ("if-none-match", "\"a\""),
            ("if-modified-since", "Mon, 01 Jan 2035 00:00:00 GMT"),
            ("if-match", "\"b\""),
            ("if-unmodified-since", "Mon, 01 Jan 2001 00:00:00 GMT"),
        ] {
            ask(&app, get_with("/", &[(field, value)])).await;
            let honest = ask(&app, get("/")).await;
            assert_eq!((honest.status, honest.text()), (StatusCode::OK, "page"), "{name}, {field}: {value}");
        }
    }
}

#[tokio::test]
async fn a_vary_on_very_many_fields_is_obeyed_by_not_storing() {
    let names: Vec<String> = (0..300).map(|n| format!("x-{n}")).collect();
    for listed in
        [names.join(","), format!("x-{}", "a".repeat(300)), "x-a, *".into(), "x-a, (".into(), "x a".into()]
    {
        let vary = listed.clone();
        let (app, runs) = origin(move |run, _| {
            ([("vary", vary.clone()), ("cache-control", "max-age=60".into())], format!("{run}"))
        });
        for Form { name, app, .. } in forms(&app) {
            let before = runs.count();
            for uri in ["/", "/", "/"] {
                assert!(!ask(&app, get(uri)).await.is_hit(), "{name}, {listed}");
            }
            assert_eq!(runs.count(), before + 3, "{name}");
        }
    }
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    })
}

/// The files of a store in which one page stands.
fn only_file(directory: &std::path::Path) -> std::path::PathBuf {
    let mut open = vec![directory.to_owned()];
    let mut found = Vec::new();
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false if path.extension().is_some_and(|e| e == "larder") => found.push(path),
                false => {}
            }
        }
    }
    assert_eq!(found.len(), 1, "{found:?}");
    found.swap_remove(0)
}

#[tokio::test]
async fn response_splitting_by_stored_bytes() {
    for policy in [Policy::origin(), Policy::shared()] {
        let directory = tempfile::tempdir().unwrap();
        let cache = patient(&format!("file://{}?lease=0", directory.path().display()));
        let (app, _) = origin(|_, _| ([("cache-control", "max-age=60"), ("x-mark", "0123456789")], "page"));
        let app = app.layer(cache_page(60).cache(&cache).policy(policy));
        // (what stands in the stored value instead, whether it may be served)
        for (value, served) in [
            (b"abcdefghij", true),
            (b"a\r\nevil: 1", false),
            (b"a\nevil: 12", false),
            (b"a\revil: 12", false),
            (b"a\r\n\r\n<b>ev", false),
            (b"a\0bcdefghi", false),
            (b"abcdefgh\x7fi", false),
        ] {
            ask(&app, request(Method::POST, "/", &[])).await;
            ask(&app, get("/")).await;
            let file = only_file(directory.path());
            let mut bytes = std::fs::read(&file).unwrap();
            let page = bytes.windows(4).position(|window| window == b"LRDR").expect("the stored response");
            let mark = bytes.windows(10).position(|window| window == b"0123456789").expect("the value");
            bytes[mark..mark + 10].copy_from_slice(value);
            let end = bytes.len() - 4;
            let checksum = crc(&bytes[page..end]).to_be_bytes();
            bytes[end..].copy_from_slice(&checksum);
            // And that of the file, which stands behind its first word.
            let checksum = crc(&bytes[12..]).to_le_bytes();
            bytes[8..12].copy_from_slice(&checksum);
            std::fs::write(&file, &bytes).unwrap();
            let answer = ask(&app, get("/")).await;
            assert_eq!(answer.is_hit(), served, "{value:?}: {}", answer.cache_status());
            assert!(!answer.headers.contains_key("evil") && answer.text() == "page");
        }
    }
}

fn bounded(entries: u64) -> (Memory, Cache) {
    let memory = Memory::builder().max_entries(entries).build().unwrap();
    // However long a flood takes, no time passes.
    let clock = ManualClock::new(1_700_000_000_000).clock();
    (memory.clone(), Cache::builder(memory).clock(clock).build().unwrap())
}

#[tokio::test]
async fn a_flood_of_queries_is_bounded_and_does_not_push_out_what_everybody_reads() {
    for at in [0, 3] {
        let (memory, cache) = bounded(1_000);
        let (app, runs) = origin(|_, _| ([("cache-control", "max-age=3600")], "page"));
        let Form { name, app, .. } = forms_over(&app, || cache.clone()).swap_remove(at);
        for _ in 0..3 {
            ask(&app, get("/")).await;
        }
        for flood in 0..10_000 {
            ask(&app, get(&format!("/?{flood}"))).await;
            if flood % 50 == 0 {
                assert!(ask(&app, get("/")).await.is_hit(), "{name}, after {flood}");
            }
        }
        assert_eq!(runs.count(), 10_001, "{name}");
        assert!(memory.stats().entries <= 1_000, "{name}: {:?}", memory.stats());
    }
}

#[tokio::test]
async fn a_flood_of_variants_or_of_credentials_is_bounded_for_each_url() {
    for (at, flooding, times) in
        [(0, "x-a", 10_000), (3, "user-agent", 10_000), (1, "cookie", 4_000), (2, "authorization", 4_000)]
    {
        let (memory, cache) = bounded(100_000);
        let (app, _) = origin(move |_, parts: Parts| {
            let credentials =
                parts.headers.contains_key("cookie") || parts.headers.contains_key("authorization");
            let everybodys = if credentials { "max-age=3600, must-revalidate" } else { "max-age=3600" };
            (
                [
                    ("cache-control", everybodys),
                    ("vary", "accept-language, user-agent, x-a, cookie, authorization"),
                ],
                "page",
            )
        });
        let Form { name, app, .. } = forms_over(&app, || cache.clone()).swap_remove(at);
        ask(&app, get("/other")).await;
        for flood in 0..times {
            ask(&app, get_with("/", &[(flooding, &format!("a{flood}"))])).await;
        }
        // 1024 variants, twice: those of everybody and those of credentials; and the records.
        assert!(memory.stats().entries <= 2 * 1024 + 4, "{name}, {flooding}: {:?}", memory.stats());
        assert!(ask(&app, get("/other")).await.is_hit(), "{name}, {flooding}");
    }
}

#[tokio::test]
async fn a_request_with_everything_too_long_or_too_often_is_only_a_request() {
    let (app, _) =
        origin(|_, parts: Parts| ([("cache-control", "max-age=60")], parts.headers.len().to_string()));
    for Form { name, app, .. } in forms(&app) {
        ask(&app, get("/")).await;
        let mut headers = HeaderMap::new();
        for field in
            ["accept", "accept-language", "range", "if-none-match", "cache-control", "pragma", "x-a", "te"]
        {
            for _ in 0..200 {
                headers
                    .append(field, "a, b;q=0.5, \"c\", W/\"d\", bytes=0-1,2-3".repeat(20).parse().unwrap());
            }
        }
        let mut oversized: Request<Body> = get("/");
        *oversized.headers_mut() = headers;
        let answer = ask(&app, oversized).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}");
        assert_eq!(ask(&app, get("/")).await.text(), "0", "{name}");
    }
}
