//! Pages that are compressed once and sent in the form that each client takes; `Server-Timing`.

use std::io::Read as _;

use axum::Router;
use http::{Method, StatusCode, header};
use larder::{FetchFromCacheLayer, UpdateCacheLayer, cache_page, server_timing};
use tower::ServiceBuilder;

use crate::support::{Runs, ask, get, get_with, memory, origin, patient, request};

fn text() -> String {
    "the same words again and again ".repeat(200)
}

fn app() -> (Router, Runs) {
    origin(|_, parts| {
        assert!(!parts.headers.contains_key("accept-encoding"), "the handler is to make the plain page");
        ([(header::ETAG, "\"a\""), (header::CONTENT_TYPE, "text/html; charset=utf-8")], text())
    })
}

fn unzipped(bytes: &[u8]) -> String {
    let mut out = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut out).expect("a gzip stream");
    out
}

#[tokio::test]
async fn one_run_serves_every_client_in_its_form() {
    let folder = tempfile::tempdir().unwrap();
    let file = patient(&format!("file://{}", folder.path().display()));
    let (inner, runs) = app();
    let pair = |cache: larder::Cache| {
        let layers = ServiceBuilder::new()
            .layer(UpdateCacheLayer::new(60).cache(cache).precompress(true))
            .layer(FetchFromCacheLayer::new());
        Router::new().fallback_service(layers.service(inner.clone()))
    };
    let page = |cache: larder::Cache| inner.clone().layer(cache_page(60).cache(cache).precompress(true));
    let apps = [("cache_page", page(memory())), ("pair", pair(memory())), ("cache_page, file", page(file))];
    for (name, app) in apps {
        let before = runs.count();
        let first = ask(&app, get_with("/", &[("accept-encoding", "gzip")])).await;
        assert_eq!((first.text(), first.field("content-encoding")), (&*text(), String::new()), "{name}");
        assert!(first.field("vary").to_lowercase().contains("accept-encoding"), "{name}");

        let zipped = ask(&app, get_with("/", &[("accept-encoding", "gzip, deflate")])).await;
        assert_eq!(zipped.field("content-encoding"), "gzip", "{name}: {}", zipped.cache_status());
        assert_eq!(unzipped(&zipped.body), text(), "{name}");
        assert!(zipped.body.len() < text().len() / 10, "{name}");
        assert_eq!(zipped.field("etag"), "W/\"a\"", "{name}: another coding is not the same bytes");
        assert!(zipped.field("vary").to_lowercase().contains("accept-encoding"), "{name}");

        for plain in ["", "identity", "gzip;q=0", "zstd", "gzip;q=x"] {
            let answer = ask(&app, get_with("/", &[("accept-encoding", plain)])).await;
            assert_eq!((answer.text(), answer.field("etag")), (&*text(), "\"a\"".into()), "{name}: {plain}");
        }
        let part = ask(&app, get_with("/", &[("accept-encoding", "gzip"), ("range", "bytes=0-2")])).await;
        assert_eq!(
            (part.status, part.text()),
            (StatusCode::PARTIAL_CONTENT, "the"),
            "{name}: ranges are of the plain page"
        );
        let same =
            ask(&app, get_with("/", &[("accept-encoding", "gzip"), ("if-none-match", "W/\"a\"")])).await;
        assert_eq!((same.status, same.field("etag")), (StatusCode::NOT_MODIFIED, "W/\"a\"".into()), "{name}");
        let head = ask(&app, request(Method::HEAD, "/", &[("accept-encoding", "gzip")])).await;
        assert_eq!((head.field("content-encoding"), head.body.len()), ("gzip".into(), 0), "{name}");
        assert_eq!(runs.count(), before + 1, "{name}");
    }
}

#[tokio::test]
async fn what_does_not_pay_or_must_not_be_changed_stays_as_it_is() {
    let cases: [(&str, &str, String); 4] = [
        ("text/plain", "no-transform", text()),
        ("image/png", "", text()),
        ("text/plain", "", "short".into()),
        ("application/octet-stream", "", text()),
    ];
    for (kind, control, body) in cases {
        let (inner, _) = origin({
            let body = body.clone();
            move |_, _| ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, control)], body.clone())
        });
        let app = inner.layer(cache_page(60).cache(memory()).precompress(true));
        for _ in 0..2 {
            let answer = ask(&app, get_with("/", &[("accept-encoding", "gzip, br")])).await;
            assert_eq!(
                (answer.text(), answer.field("content-encoding")),
                (&*body, String::new()),
                "{kind} {control}"
            );
        }
    }
}

#[tokio::test]
async fn server_timing_tells_what_the_cache_did_and_is_not_stored() {
    let (inner, _) = origin(|_, _| "page");
    let app = inner.layer(cache_page(60).cache(memory())).layer(server_timing());
    let told = |answer: &crate::support::Answer| answer.field("server-timing");
    let first = ask(&app, get("/")).await;
    assert!(told(&first).starts_with("cache;desc=\"uri-miss\";dur="), "{}", told(&first));
    let again = ask(&app, get("/")).await;
    assert!(told(&again).starts_with("cache;desc=\"hit\";dur="), "{}", told(&again));
    assert_eq!(told(&again).matches("dur=").count(), 1);
}
