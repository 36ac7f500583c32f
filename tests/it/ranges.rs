//! Ranges of stored pages, and files that `tower-http` serves, behind the application's own cache.

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, StatusCode, header};
use larder::{FetchFromCacheLayer, UpdateCacheLayer, cache_page};
use tower::ServiceBuilder;
use tower_http::services::ServeDir;

use crate::support::{ask, get, get_with, memory, origin, request};

#[tokio::test]
async fn a_range_of_a_stored_page_is_cut_out_of_it() {
    let (app, runs) =
        origin(|_, _| ([(header::ETAG, "\"a\""), (header::CONTENT_TYPE, "text/plain")], "0123456789"));
    let page = app.clone().layer(cache_page(60).cache(memory()));
    let pair = ServiceBuilder::new()
        .layer(UpdateCacheLayer::new(60).cache(memory()))
        .layer(FetchFromCacheLayer::new())
        .service(app);
    let pair = Router::new().fallback_service(pair);
    for (name, app) in [("cache_page", page), ("pair", pair)] {
        let before = runs.count();
        ask(&app, get("/")).await;
        let part = ask(&app, get_with("/", &[("range", "bytes=2-4")])).await;
        assert_eq!((part.status, part.text()), (StatusCode::PARTIAL_CONTENT, "234"), "{name}");
        assert_eq!(part.field("content-range"), "bytes 2-4/10", "{name}");
        assert!(part.is_hit(), "{name}: {}", part.cache_status());
        let several = ask(&app, get_with("/", &[("range", "bytes=0-0,-1")])).await;
        assert!(several.field("content-type").starts_with("multipart/byteranges; boundary="), "{name}");
        let none = ask(&app, get_with("/", &[("range", "bytes=10-")])).await;
        assert_eq!(
            (none.status, none.field("content-range")),
            (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */10".into()),
            "{name}"
        );
        let whole = ask(&app, get_with("/", &[("range", "bytes=0-1"), ("if-range", "\"b\"")])).await;
        assert_eq!((whole.status, whole.text()), (StatusCode::OK, "0123456789"), "{name}");
        let head = ask(&app, request(Method::HEAD, "/", &[("range", "bytes=0-1")])).await;
        assert_eq!((head.status, head.field("content-length")), (StatusCode::OK, "10".into()), "{name}");
        let same = ask(&app, get_with("/", &[("range", "bytes=0-1"), ("if-none-match", "\"a\"")])).await;
        assert_eq!(same.status, StatusCode::NOT_MODIFIED, "{name}");
        assert_eq!(runs.count(), before + 1, "{name}: all of it out of one run");
    }
}

/// A folder of media as a site serves them, with the pair around it.
fn media(folder: &std::path::Path, limit: usize) -> Router {
    let layer = UpdateCacheLayer::new(60).cache(memory()).max_body(limit);
    let site =
        ServiceBuilder::new().layer(layer).layer(FetchFromCacheLayer::new()).service(ServeDir::new(folder));
    Router::new().nest_service("/media", site)
}

#[tokio::test]
async fn files_are_stored_with_their_validators_and_answer_conditions_and_ranges() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("logo.svg"), "<svg>0123456789</svg>").unwrap();
    let app = media(folder.path(), 1 << 20);
    let first = ask(&app, get("/media/logo.svg")).await;
    assert!(first.is_stored(), "{}", first.cache_status());
    let modified = first.field("last-modified");
    assert!(!modified.is_empty());
    // The file is gone: what comes now comes from the cache.
    std::fs::remove_file(folder.path().join("logo.svg")).unwrap();
    let again = ask(&app, get("/media/logo.svg")).await;
    assert_eq!((again.text(), again.field("content-type")), (first.text(), first.field("content-type")));
    let part = ask(&app, get_with("/media/logo.svg", &[("range", "bytes=5-7")])).await;
    assert_eq!((part.status, part.text()), (StatusCode::PARTIAL_CONTENT, "012"));
    let same = ask(&app, get_with("/media/logo.svg", &[("if-modified-since", &modified)])).await;
    assert_eq!(same.status, StatusCode::NOT_MODIFIED);
    let missing = ask(&app, get("/media/other.svg")).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn files_above_the_limit_pass_by_whole_and_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let large = "0123456789".repeat(1000);
    std::fs::write(folder.path().join("film"), &large).unwrap();
    let app = media(folder.path(), 1000);
    for said in ["detail=too-large", "detail=hit-for-miss"] {
        let whole = ask(&app, get("/media/film")).await;
        assert_eq!(whole.text(), large);
        assert!(whole.cache_status().contains(said), "{}", whole.cache_status());
        let part = ask(&app, get_with("/media/film", &[("range", "bytes=10-12")])).await;
        assert_eq!((part.status, part.text()), (StatusCode::PARTIAL_CONTENT, "012"));
    }
    std::fs::write(folder.path().join("film"), "short").unwrap();
    assert_eq!(ask(&app, get("/media/film")).await.text(), "short", "nothing of it was kept");
}

#[tokio::test]
async fn the_recipe_for_a_cdn_tells_it_another_lifetime_than_browsers() {
    let (app, _) = origin(|_, _| {
        let mut headers = HeaderMap::new();
        headers.insert("cdn-cache-control", "max-age=86400, stale-while-revalidate=60".parse().unwrap());
        (headers, larder::PageTags::new(["menu"]), Body::from("page"))
    });
    let app = app.layer(cache_page(3600).cache(memory())).layer(larder::cache_control().public().max_age(60));
    for hit in [false, true] {
        let answer = ask(&app, get("/")).await;
        assert_eq!(answer.is_hit(), hit);
        assert_eq!(answer.field("cdn-cache-control"), "max-age=86400, stale-while-revalidate=60");
        let control = answer.field("cache-control");
        assert!(control.contains("public") && control.contains("max-age=60"), "{control}");
    }
}
