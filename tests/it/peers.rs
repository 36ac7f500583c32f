//! What other caching layers for Tower got wrong when they were tried: each a test, through both forms, over memory and files.
//!
//! Here: which answers are kept, and for whom. [`crate::peers_bodies`] has bodies, fields, time and load.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::response::IntoResponse;
use axum::routing::get as on_get;
use http::request::Parts;
use http::{Method, Request, StatusCode, header};
use larder::prelude::*;

use crate::support::{Runs, ask, get, get_with, memory, origin, patient, request};

/// An application behind a cache, in one of the ways it can be put there.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) app: Router,
    _dir: Option<Arc<tempfile::TempDir>>,
}

/// `cache_page` and the pair, over memory and over files, for 60 seconds.
pub(crate) fn ways(app: &Router) -> Vec<Way> {
    ways_told(app, |page| page, |site| site)
}

/// The same, with further settings.
pub(crate) fn ways_told(
    app: &Router,
    page: impl Fn(larder::CachePage) -> larder::CachePage,
    site: impl Fn(UpdateCacheLayer) -> UpdateCacheLayer,
) -> Vec<Way> {
    let file = || {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = patient(&format!("file://{}", dir.path().display()));
        (cache, Some(Arc::new(dir)))
    };
    let paged = |cache| app.clone().layer(page(cache_page(60).cache(cache)));
    let sited = |cache| larder::site(app.clone()).timeout(60).cache(cache).with(&site).into_router();
    let mut ways = Vec::new();
    for (names, (cache, dir)) in [
        (["cache_page, memory", "the pair, memory"], (memory(), None)),
        (["cache_page, files", "the pair, files"], file()),
    ] {
        ways.push(Way { name: names[0], app: paged(cache.clone()), _dir: dir.clone() });
        ways.push(Way { name: names[1], app: sited(cache.clone()), _dir: dir });
    }
    ways
}

#[tokio::test]
async fn every_post_put_patch_and_delete_reaches_the_handler() {
    let runs = Runs::default();
    let seen = runs.clone();
    let app = Router::new().fallback(move |method: Method, body: String| async move {
        let cacheable = [(header::CACHE_CONTROL, "public, max-age=3600")];
        (cacheable, format!("{method} {body} {}", seen.next()))
    });
    for Way { name, app, .. } in ways(&app) {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            for data in ["old", "new"] {
                let before = runs.count();
                let request = Request::builder().method(method).uri("/").body(Body::from(data)).unwrap();
                let answer = ask(&app, request).await;
                assert_eq!(answer.text(), format!("{method} {data} {}", before + 1), "{name}");
                assert_eq!(answer.cache_status(), "larder; fwd=method", "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_write_is_seen_by_the_next_read() {
    let (app, _) = origin(|run, parts: Parts| format!("{} {run}", parts.method));
    for Way { name, app, .. } in ways(&app) {
        let before = ask(&app, get("/")).await;
        assert!(ask(&app, get("/")).await.is_hit(), "{name}");
        ask(&app, request(Method::PUT, "/", &[])).await;
        let after = ask(&app, get("/")).await;
        assert!(!after.is_hit() && after.text() != before.text(), "{name}: {}", after.cache_status());
    }
}

#[tokio::test]
async fn a_head_does_not_leave_an_empty_body_for_gets() {
    let (app, _) = origin(|_, _| "twelve bytes");
    for Way { name, app, .. } in ways(&app) {
        for _ in 0..2 {
            assert_eq!(ask(&app, request(Method::HEAD, "/", &[])).await.body.len(), 0, "{name}");
            assert_eq!(ask(&app, get("/")).await.text(), "twelve bytes", "{name}");
        }
    }
}

#[tokio::test]
async fn a_part_is_never_served_as_the_whole() {
    let (app, _) = origin(|_, parts: Parts| match parts.headers.contains_key("range") {
        true => {
            let fields =
                [(header::CONTENT_RANGE, "bytes 0-3/12"), (header::CACHE_CONTROL, "public, max-age=60")];
            (StatusCode::PARTIAL_CONTENT, fields, "twel").into_response()
        }
        false => ([(header::CACHE_CONTROL, "public, max-age=60")], "twelve bytes").into_response(),
    });
    for Way { name, app, .. } in ways(&app) {
        for _ in 0..2 {
            let part = ask(&app, get_with("/", &[("range", "bytes=0-3")])).await;
            assert!(!part.is_stored(), "{name}: {}", part.cache_status());
        }
        let whole = ask(&app, get("/")).await;
        assert_eq!((whole.status, whole.text()), (StatusCode::OK, "twelve bytes"), "{name}");
    }
}

#[tokio::test]
async fn languages_do_not_get_each_others_page_nor_push_each_other_out() {
    for control in ["public", "public, max-age=60", "max-age=60", ""] {
        let (app, runs) = origin(move |_, parts: Parts| {
            let language = parts.headers["accept-language"].to_str().unwrap().to_owned();
            ([(header::VARY, "Accept-Language"), (header::CACHE_CONTROL, control)], language)
        });
        for Way { name, app, .. } in ways(&app) {
            let before = runs.count();
            for language in ["en", "de", "en", "de", "en", "de"] {
                let answer = ask(&app, get_with("/", &[("accept-language", language)])).await;
                assert_eq!(answer.text(), language, "{name}, {control}");
            }
            assert_eq!(runs.count(), before + 2, "{name}, {control}: two pages, two runs");
        }
    }
}

#[tokio::test]
async fn queries_and_paths_do_not_get_each_others_page_nor_push_each_other_out() {
    let (app, runs) = origin(|_, parts: Parts| ([(header::CACHE_CONTROL, "public")], parts.uri.to_string()));
    for Way { name, app, .. } in ways(&app) {
        let before = runs.count();
        let asked = ["/search?q=cats", "/search?q=dogs", "/alice", "/bob"];
        for uri in asked.into_iter().cycle().take(12) {
            assert_eq!(ask(&app, get(uri)).await.text(), uri, "{name}");
        }
        assert_eq!(runs.count(), before + 4, "{name}");
    }
}

#[tokio::test]
async fn a_cookie_that_is_set_is_replayed_to_nobody() {
    for control in ["public, max-age=60", ""] {
        let (app, _) = origin(move |run, _| {
            (
                [(header::SET_COOKIE, format!("id={run}")), (header::CACHE_CONTROL, control.to_owned())],
                "hello",
            )
        });
        for Way { name, app, .. } in ways(&app) {
            let (first, second) = (ask(&app, get("/")).await, ask(&app, get("/")).await);
            assert!(!second.is_hit(), "{name}");
            assert_ne!(first.field("set-cookie"), second.field("set-cookie"), "{name}");
        }
    }
}

#[tokio::test]
async fn bob_does_not_get_the_page_of_alice() {
    let (app, _) = origin(|_, parts: Parts| {
        parts.headers.get("authorization").map_or("nobody".to_owned(), |v| v.to_str().unwrap().to_owned())
    });
    for Way { name, app, .. } in ways(&app) {
        for who in ["alice", "bob", "alice", "bob"] {
            assert_eq!(ask(&app, get_with("/", &[("authorization", who)])).await.text(), who, "{name}");
        }
        assert_eq!(ask(&app, get("/")).await.text(), "nobody", "{name}");
    }
}

#[tokio::test]
async fn private_and_no_store_are_honoured_in_responses_and_mean_nothing_in_requests() {
    for control in ["private, no-store", "private", "no-store"] {
        let (app, _) = origin(move |run, _| ([(header::CACHE_CONTROL, control)], run.to_string()));
        for Way { name, app, .. } in ways(&app) {
            assert_ne!(
                ask(&app, get("/")).await.text(),
                ask(&app, get("/")).await.text(),
                "{name}, {control}"
            );
        }
    }
    // The operator decides, not the visitor: nobody can make the application work by asking for it.
    let (app, runs) = origin(|_, _| "hello");
    for Way { name, app, .. } in ways(&app) {
        let before = runs.count();
        for fields in [
            ("cache-control", "no-cache"),
            ("cache-control", "private, max-age=0"),
            ("pragma", "no-cache"),
            ("x-invalidate-cache", "1"),
        ] {
            ask(&app, get_with("/", &[fields])).await;
        }
        assert!(ask(&app, get("/")).await.is_hit(), "{name}");
        assert_eq!(runs.count(), before + 1, "{name}");
    }
}

#[tokio::test]
async fn an_error_is_not_kept_and_the_page_after_it_is() {
    for status in [400, 401, 403, 404, 410, 429, 500, 502, 503, 204, 301, 302] {
        let runs = Runs::default();
        let seen = runs.clone();
        let (app, _) = origin(move |_, _| match seen.next() % 2 {
            1 => StatusCode::from_u16(status).unwrap().into_response(),
            _ => "well again".into_response(),
        });
        for Way { name, app, .. } in ways(&app) {
            assert_eq!(ask(&app, get("/")).await.status, status, "{name}");
            assert_eq!(ask(&app, get("/")).await.text(), "well again", "{name}, {status}");
        }
    }
}

#[tokio::test]
async fn extractors_work_inside() {
    let page = |Path((shop, id)): Path<(String, u32)>| async move { format!("{shop} {id}") };
    let app = Router::new().route("/{shop}/courses/{id}", on_get(page));
    for Way { name, app, .. } in ways(&app) {
        for uri in ["/a/courses/1", "/a/courses/2", "/b/courses/1", "/a/courses/1"] {
            let (shop, id) = (uri.split('/').nth(1).unwrap(), uri.split('/').nth(3).unwrap());
            assert_eq!(ask(&app, get(uri)).await.text(), format!("{shop} {id}"), "{name}");
        }
        assert_eq!(ask(&app, get("/a/courses/x")).await.status, 400, "{name}");
    }
}
