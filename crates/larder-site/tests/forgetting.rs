//! How the pages of a whole site are forgotten: by the route that answered, and softly by a write.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::{get, put};
use http::{Method, Request};
use larder_core::Cache;
use larder_memory::Memory;
use larder_site::site;
use larder_tower::{Purge, PurgePages as _, invalidates};
use tower::ServiceExt as _;

const PAGES: [&str; 3] = ["/courses/7", "/courses/7/edit", "/about"];

fn routes(cache: &Cache) -> Router {
    let edit = Router::new().route("/{id}/edit", get(async || "edit"));
    Router::new()
        .route("/courses/{id}", get(async || "a course"))
        .nest("/courses", edit)
        .route("/about", get(async || "about"))
        .route("/write", put(async || "written").layer(invalidates(["site"]).cache(cache).soft()))
}

async fn ask(app: &Router, method: Method, path: &str) -> String {
    let request =
        Request::builder().method(method).uri(path).header("host", "a").body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    let status = response.headers()["cache-status"].to_str().unwrap().to_owned();
    to_bytes(response.into_body(), 100).await.unwrap();
    status
}

/// Which pages are there; those that are not are made.
async fn hits(app: &Router) -> [bool; 3] {
    let mut hits = [false; 3];
    for (hit, path) in hits.iter_mut().zip(PAGES) {
        *hit = ask(app, Method::GET, path).await.starts_with("larder; hit");
    }
    hits
}

#[tokio::test]
async fn a_router_that_names_its_routes_is_purged_by_them_and_another_is_not() {
    for named in [false, true] {
        let cache = Cache::new(Memory::new());
        let app = site(routes(&cache)).cache(&cache);
        let app = if named { app.name_routes() } else { app }.into_router();
        for (purge, left) in [
            (Purge::route("/courses/{id}"), [!named, true, true]),
            (Purge::route("/courses/{id}/edit"), [true, !named, true]),
            (Purge::route("/courses/{id}").soft(), [!named, true, true]),
            (Purge::route("/{id}/edit"), [true; 3]),
        ] {
            hits(&app).await;
            assert_eq!(hits(&app).await, [true; 3], "{purge}");
            cache.purge(purge.clone()).await.unwrap();
            assert_eq!(hits(&app).await, left, "{purge}, named: {named}");
        }
    }
}

#[tokio::test]
async fn what_a_write_only_marks_is_shown_once_more() {
    let cache = Cache::new(Memory::new());
    let app = site(routes(&cache)).cache(&cache);
    let app = app.with(|layer| layer.tags(["site"]).stale_while_revalidate(600)).into_router();
    ask(&app, Method::GET, "/about").await;
    assert!(ask(&app, Method::GET, "/about").await.starts_with("larder; hit"));
    cache.set("value", 7).tags(["site"]).await.unwrap();
    ask(&app, Method::PUT, "/write").await;
    let shown = ask(&app, Method::GET, "/about").await;
    // How long ago it was marked is the clock's to say.
    assert!(shown.starts_with("larder; hit; ttl="), "{shown}");
    assert!(shown.ends_with("; detail=stale-while-revalidate"), "{shown}");
    assert_eq!(cache.get::<u8>("value").await.unwrap(), None, "a value has no window here");
}
