//! Layers within layers: nested caches, the site around `cache_page`, header decorators on either side, compression between the pair. The lines
//! 31 to 40 of group MW.

use std::time::Duration;

use axum::Router;
use axum::routing::get as on_get;
use http::Method;
use http_body::Body as _;
use larder::prelude::*;
use larder::site;
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;

use crate::support::{Answer, ask, clocked, get, get_with, memory, origin, request, saying};

/// `cache_page` with these prefixes around each other, each on a cache of its own.
fn nested(app: Router) -> (Router, Cache, Cache) {
    let ((inner, _), (outer, _)) = (clocked(), clocked());
    let app = app
        .layer(cache_page(60).key_prefix("inner").cache(&inner))
        .layer(cache_page(60).key_prefix("outer").cache(&outer));
    (app, inner, outer)
}

#[tokio::test]
async fn mw_31_nested_caches_both_store_what_is_made() {
    for fields in [&[][..], &[("cookie", "a=1")]] {
        let (app, runs) = saying(&[]);
        let (app, inner, outer) = nested(app);
        assert_eq!(
            ask(&app, get_with("/", fields)).await.cache_status().matches("; stored").count(),
            2,
            "{fields:?}"
        );
        inner.clear().await.unwrap();
        assert_eq!(ask(&app, get_with("/", fields)).await.text(), "run 1", "from the outer one");
        outer.clear().await.unwrap();
        assert_eq!((ask(&app, get_with("/", fields)).await.text(), runs.count()), ("run 2", 2));
    }
}

#[tokio::test]
async fn mw_32_an_inner_hit_is_served_and_not_stored_again_outside() {
    let (app, runs) = saying(&[]);
    let (app, inner, outer) = nested(app);
    ask(&app, get("/")).await;
    outer.clear().await.unwrap();
    let answer = ask(&app, get("/")).await;
    assert!(
        answer.is_hit() && answer.cache_status().contains("detail=inner-hit"),
        "{}",
        answer.cache_status()
    );
    inner.clear().await.unwrap();
    assert_eq!((ask(&app, get("/")).await.text(), runs.count()), ("run 2", 2));
}

#[tokio::test]
async fn mw_33_the_site_around_cache_page_keeps_a_page_of_its_own_as_long_as_the_inner_one() {
    let (cache, hand) = clocked();
    let (app, runs) = saying(&[]);
    let inner = app.layer(cache_page(60).cache(&cache));
    let whole = site(inner.clone()).cache(&cache).into_router();
    assert_eq!(ask(&whole, get("/")).await.field("cache-control"), "max-age=60");
    assert!(ask(&inner, get("/")).await.is_hit(), "cache_page's own page, made from within the site");
    let (elsewhere, others) = saying(&[]);
    let elsewhere = site(elsewhere).cache(&cache).into_router();
    assert!(ask(&elsewhere, get("/")).await.is_hit(), "the site's own page");
    assert_eq!(others.count(), 0);
    hand.advance(Duration::from_secs(60));
    assert_eq!((ask(&whole, get("/")).await.text(), runs.count()), ("run 2", 2));
}

#[tokio::test]
async fn mw_35_never_cache_outside_speaks_to_clients_only_and_inside_to_the_cache() {
    const NEVER: &str = "max-age=0, no-cache, no-store, must-revalidate, private";
    let (app, runs) = saying(&[]);
    let outside = app.layer(cache_page(60).cache(&clocked().0)).layer(never_cache());
    for _ in 0..2 {
        assert_eq!(ask(&outside, get("/")).await.field("cache-control"), NEVER);
    }
    assert_eq!(runs.count(), 1);

    let (app, runs) = saying(&[]);
    let inside = app.layer(never_cache()).layer(cache_page(60).cache(&clocked().0));
    for _ in 0..2 {
        assert_eq!(ask(&inside, get("/")).await.field("cache-control"), NEVER);
    }
    assert_eq!(runs.count(), 2);

    let (app, runs) = saying(&[]);
    let route = app.layer(cache_page(60).cache(&clocked().0)).layer(never_cache());
    let whole = site(route).cache(&clocked().0).into_router();
    ask(&whole, get("/")).await;
    let second = ask(&whole, get("/")).await;
    assert_eq!(
        (runs.count(), second.field("cache-control").as_str()),
        (1, NEVER),
        "the route's page, not the site's"
    );
}

#[tokio::test]
async fn mw_36_cookies_split_the_cache_wherever_vary_on_cookie_stands() {
    for outside in [true, false] {
        let ((app, _), page) = (saying(&[]), cache_page(60).cache(&clocked().0));
        let app = match outside {
            true => app.layer(page).layer(vary_on(["cookie"])),
            false => app.layer(vary_on(["cookie"])).layer(page),
        };
        for (cookie, run) in [("a=1", "run 1"), ("a=2", "run 2"), ("a=1", "run 1")] {
            let answer = ask(&app, get_with("/", &[("cookie", cookie)])).await;
            assert_eq!((answer.text(), answer.field("vary").to_lowercase().as_str()), (run, "cookie"));
        }
    }
}

#[tokio::test]
async fn mw_40_between_the_pair_compression_runs_once_for_each_encoding() {
    let (cache, _) = clocked();
    let (app, runs) = origin(|run, _| ([("content-type", "text/plain")], format!("run {run} ").repeat(500)));
    let app = Router::new().fallback_service(
        ServiceBuilder::new()
            .layer(UpdateCacheLayer::new(600).cache(&cache))
            .layer(CompressionLayer::new())
            .layer(FetchFromCacheLayer::new())
            .service(app),
    );
    let gzip = &[("accept-encoding", "gzip")];
    let first = ask(&app, get_with("/", gzip)).await;
    assert_eq!(first.field("content-encoding"), "gzip");
    assert!(ask(&app, get("/")).await.text().starts_with("run 2 "));
    let hit = tower::ServiceExt::oneshot(app.clone(), get_with("/", gzip)).await.unwrap();
    assert_eq!(hit.body().size_hint().exact(), Some(first.body.len() as u64), "sent with a Content-Length");
    let hit = Answer::of(hit).await;
    assert!(hit.is_hit() && hit.field("content-encoding") == "gzip" && hit.body == first.body);
    let plain = ask(&app, get("/")).await;
    assert!(
        plain.is_hit() && plain.text().starts_with("run 2 ") && plain.field("content-encoding").is_empty()
    );
    assert_eq!(runs.count(), 2);
}

#[tokio::test]
async fn layers_on_one_cache_under_one_key_do_not_wait_for_themselves() {
    let (cache, _) = clocked();
    for form in ["page in page", "site in site"] {
        let (app, runs) = saying(&[]);
        let layer = || cache_page(60).cache(&cache).key_prefix(form);
        let pair = |app| site(app).cache(&cache).key_prefix(form).into_router();
        let app = match form {
            "page in page" => app.layer(layer()).layer(layer()),
            _ => pair(pair(app)),
        };
        // On this clock nobody's patience ends, so waiting for oneself would be waiting for ever.
        for method in [Method::HEAD, Method::GET] {
            let asked = ask(&app, request(method, "/", &[]));
            let answer = tokio::time::timeout(Duration::from_secs(20), asked).await;
            assert_eq!(answer.expect(form).status, 200, "{form}");
        }
        assert!(ask(&app, get("/")).await.is_hit(), "{form}");
        assert_eq!(runs.count(), 2, "{form}: one HEAD, one GET");
    }
}

#[tokio::test]
async fn a_304_stays_without_content_and_coding_under_a_layer_that_compresses() {
    let page = || on_get(async || ([("etag", "\"v\"")], "x".repeat(4096)));
    let apps = [
        ("page", Router::new().route("/", page().layer(cache_page(60).cache(memory())))),
        ("site", larder::site(Router::new().route("/", page())).cache(memory()).into_router()),
        ("conditional_get", Router::new().route("/", page().layer(larder::conditional_get()))),
    ];
    for (name, app) in apps {
        let app = app.layer(CompressionLayer::new());
        // The miss, and the hits after it.
        for _ in 0..3 {
            let fields = [("if-none-match", "\"v\""), ("accept-encoding", "gzip")];
            let answer = ask(&app, get_with("/", &fields)).await;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0), "{name}");
            assert_eq!(answer.field("content-encoding"), "", "{name}");
            let answer = ask(&app, get_with("/", &fields[..1])).await;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0), "{name}");
            assert_eq!(answer.field("content-length"), "", "{name}: nobody compresses for this client");
        }
    }
}
