//! The shortest way through everything.
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::{Router, routing::get};
use http::{Request, Response};
use larder::prelude::*;
use tower::ServiceExt;

async fn ask(app: &Router, path: &str) -> (Response<Body>, String) {
    let response = app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let status =
        response.headers().get("cache-status").map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    (response, status)
}

fn counted() -> (Router, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&calls);
    let handler = move || {
        let n = seen.fetch_add(1, Ordering::SeqCst);
        async move { format!("call {n}") }
    };
    (Router::new().route("/", get(handler.clone())).route("/other", get(handler)), calls)
}

#[tokio::test]
async fn cache_page_needs_no_configuration() {
    let (app, calls) = counted();
    let app = app.layer(cache_page(900));
    let (first, status) = ask(&app, "/").await;
    assert_eq!(status, "larder; fwd=uri-miss; stored; ttl=900");
    assert_eq!(axum::body::to_bytes(first.into_body(), 100).await.unwrap(), "call 0");
    let (second, status) = ask(&app, "/").await;
    assert!(status.starts_with("larder; hit; ttl="), "{status}");
    assert!(second.headers().contains_key("age"));
    assert_eq!(axum::body::to_bytes(second.into_body(), 100).await.unwrap(), "call 0");
    ask(&app, "/other").await;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_pair_caches_a_site() {
    let (app, calls) = counted();
    let app = larder::site(app).into_router();
    let (_, status) = ask(&app, "/").await;
    assert_eq!(status, "larder; fwd=uri-miss; stored; ttl=600");
    let (_, status) = ask(&app, "/").await;
    assert!(status.starts_with("larder; hit; ttl="), "{status}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_page_for_a_cookie_is_kept_under_an_outer_layer_too() {
    let ask = async |app: &Router| {
        let request = Request::get("/").header("cookie", "sessionid=a").body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        response.headers()["cache-status"].to_str().unwrap().to_owned()
    };
    for site in [false, true] {
        let (app, calls) = counted();
        let app = if site { larder::site(app).into_router() } else { app.layer(cache_page(900)) };
        let app = app.layer(CachesLayer::outermost());
        assert!(ask(&app).await.ends_with("detail=cookie-keyed"));
        assert!(ask(&app).await.starts_with("larder; hit; ttl="), "site: {site}");
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_cookie_from_outside_keeps_a_page_out_and_the_status_says_so() {
    let (app, calls) = counted();
    let set_cookie = async |mut response: Response<Body>| {
        response.headers_mut().insert("set-cookie", "id=1".parse().unwrap());
        response
    };
    let app = app
        .layer(cache_page(900))
        .layer(axum::middleware::map_response(set_cookie))
        .layer(CachesLayer::outermost());
    for _ in 0..2 {
        let (_, status) = ask(&app, "/").await;
        assert_eq!(status, "larder; fwd=uri-miss; detail=became-private");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}
