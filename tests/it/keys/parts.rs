//! Parts of keys, over real sockets, by the route and by the site.

use axum::extract::{Extension, OriginalUri, Request};
use axum::routing::get;
use axum::{Json, Router};
use larder::prelude::*;
use larder_tests::{Served, client, serve};
use serde_json::{Value, json};

use super::{User, caches, with_users};
use crate::support::{Runs, ask, get as asked, memory, request};

/// What the handler was asked, as it saw it.
async fn courses(runs: Extension<Runs>, request: Request) -> Json<Value> {
    let language = request.headers().get("accept-language").map(|value| value.to_str().unwrap_or("?"));
    let original = request.extensions().get::<OriginalUri>().map(|uri| uri.0.to_string());
    let user = request.extensions().get::<User>().and_then(|user| user.0);
    Json(json!({
        "run": runs.next(), "uri": request.uri().to_string(), "original": original, "language": language, "user": user,
    }))
}

fn list() -> KeyParts {
    KeyParts::new().query(["search", "level"]).pagination()
}

/// The same by `cache_page` and by the pair.
fn both(cache: &Cache, parts: &KeyParts) -> [(&'static str, Router, Runs); 2] {
    let (route, site) = (Runs::default(), Runs::default());
    let page = cache_page(60).cache(cache).key(parts);
    let routed = Router::new().route("/courses", get(courses).layer(page)).layer(Extension(route.clone()));
    let inside = Router::new().route("/courses", get(courses)).layer(Extension(site.clone()));
    let parts = parts.clone();
    let sited = larder::site(inside).cache(cache).with(move |layer| layer.key(&parts)).into_router();
    [("route", with_users(routed), route), ("site", with_users(sited), site)]
}

struct Seen {
    body: Value,
    status: String,
    vary: String,
}

impl Seen {
    fn is_made_before(&self) -> bool {
        self.status.starts_with("larder; hit") || self.status.contains("collapsed")
    }
}

async fn see(site: &Served, path: &str, fields: &[(&str, &str)]) -> Seen {
    let mut request = client().get(site.url(path));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let response = request.send().await.expect("an answer");
    let field = |name: &str| {
        response.headers().get(name).map_or("", |value| value.to_str().expect("text")).to_owned()
    };
    let (status, vary) = (field("cache-status"), field("vary").to_lowercase());
    let body = serde_json::from_str(&response.text().await.expect("a body")).expect("JSON");
    Seen { body, status, vary }
}

/// DRF-16.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn page_two_is_not_page_one_and_what_is_not_named_makes_no_difference() {
    for (name, cache) in caches("pages") {
        for (level, app, runs) in both(&cache, &list()) {
            let site = serve(app).await;
            for (path, run) in [
                ("/courses?page=1", 1),
                ("/courses?page=2", 2),
                ("/courses?page=1&search=rust", 3),
                ("/courses", 4),
                ("/courses?page=1", 1),
                ("/courses?search=rust&utm_source=mail&page=1", 3),
                ("/courses?sessionid=1", 4),
                ("/courses?page=2&page=3", 5),
                ("/courses?page=3&page=2", 6),
            ] {
                let seen = see(&site, path, &[]).await;
                assert_eq!(seen.body["run"], run, "{name}, {level}: {path}");
                assert!(
                    !seen.body["uri"].as_str().expect("a URL").contains("utm"),
                    "{name}, {level}: the handler never sees it"
                );
            }
            assert_eq!(runs.count(), 6, "{name}, {level}");
            cache.clear().await.expect("cleared");
        }
    }
}

/// DRF-13; and unlike there, nobody is anonymous because nobody asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_have_their_own_pages_and_without_anybody_who_asks_there_is_none() {
    let parts = KeyParts::new().user(|user: &User| user.0);
    for (name, cache) in caches("users") {
        for (level, app, _) in both(&cache, &parts) {
            let site = serve(app).await;
            for again in [false, true] {
                for (login, user) in [("7", json!(7)), ("8", json!(8)), ("nobody", Value::Null)] {
                    let seen = see(&site, "/courses", &[("x-login", login)]).await;
                    assert_eq!(seen.body["user"], user, "{name}, {level}");
                    assert_eq!(seen.is_made_before(), again, "{name}, {level}: {}", seen.status);
                }
                let seen = see(&site, "/courses", &[]).await;
                assert_eq!(seen.status, "larder; fwd=bypass; detail=key-fn-refused", "{name}, {level}");
            }
            cache.clear().await.expect("cleared");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_as_many_pages_as_languages() {
    let parts = KeyParts::new().language(["en", "de"]);
    for (name, cache) in caches("languages") {
        for (level, app, runs) in both(&cache, &parts) {
            let site = serve(app).await;
            for (asked, language) in [
                ("de-CH,de;q=0.9,en;q=0.8", "de"),
                ("de", "de"),
                ("en-GB", "en"),
                ("fr", "en"),
                ("de;q=0.1, es", "de"),
            ] {
                let seen = see(&site, "/courses", &[("accept-language", asked)]).await;
                assert_eq!(seen.body["language"], language, "{name}, {level}: {asked}");
                assert!(seen.vary.contains("accept-language"), "{name}, {level}: {}", seen.vary);
            }
            assert_eq!(runs.count(), 2, "{name}, {level}");
            cache.clear().await.expect("cleared");
        }
    }
}

#[tokio::test]
async fn a_nested_router_sees_neither_url_with_what_does_not_count() {
    let page = cache_page(60).cache(memory()).key(&list());
    let inner = Router::new().route("/courses", get(courses).layer(page)).layer(Extension(Runs::default()));
    let app = Router::new().nest("/api", inner);
    let seen = ask(&app, asked("/api/courses?x=1&page=2")).await;
    let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
    assert_eq!((&body["uri"], &body["original"]), (&json!("/courses?page=2"), &json!("/api/courses?page=2")));
    assert!(ask(&app, asked("/api/courses?page=2&y=1")).await.is_hit());
}

#[tokio::test]
async fn a_write_drops_the_pages_of_its_url_whatever_else_its_query_has() {
    let page = cache_page(60).cache(memory()).key(&list());
    let routes = get(courses).post(|request: Request| async move { request.uri().to_string() }).layer(page);
    let app = Router::new().route("/courses", routes).layer(Extension(Runs::default()));
    ask(&app, asked("/courses?page=2")).await;
    assert!(ask(&app, asked("/courses?page=2&x=1")).await.is_hit());
    let wrote = ask(&app, request(http::Method::POST, "/courses?token=1&page=2", &[])).await;
    assert_eq!(wrote.text(), "/courses?token=1&page=2", "a write sees all of its query");
    assert!(!ask(&app, asked("/courses?page=2")).await.is_hit());
}

#[tokio::test]
async fn parameters_are_left_out_by_name() {
    let parts = KeyParts::new().query_except(["utm_*", "fbclid"]);
    let [(_, app, runs), _] = both(&memory(), &parts);
    for path in ["/courses?a=1&utm_source=x", "/courses?fbclid=2&a=1", "/courses?a=1"] {
        ask(&app, asked(path)).await;
    }
    ask(&app, asked("/courses?a=2")).await;
    assert_eq!(runs.count(), 2);
}

#[tokio::test]
async fn one_key_serves_many_layers_and_a_list_adds_to_the_key_of_an_object() {
    let object = KeyParts::new().header("x-currency");
    let list = object.clone().pagination();
    let cache = memory();
    let page = |parts: &KeyParts| cache_page(60).cache(&cache).key(parts);
    let app = Router::new()
        .route("/courses", get(courses).layer(page(&list)))
        .route("/courses/7", get(courses).layer(page(&object)))
        .layer(Extension(Runs::default()));
    for path in ["/courses?page=1", "/courses/7"] {
        let euro = crate::support::get_with(path, &[("x-currency", "EUR")]);
        assert!(ask(&app, euro).await.field("vary").to_lowercase().contains("x-currency"), "{path}");
        assert!(!ask(&app, asked(path)).await.is_hit(), "{path}");
        assert!(ask(&app, crate::support::get_with(path, &[("x-currency", "EUR")])).await.is_hit(), "{path}");
    }
    assert!(!ask(&app, asked("/courses?page=2")).await.is_hit());
    assert!(ask(&app, asked("/courses?page=2&x=1")).await.is_hit());
    assert!(!ask(&app, asked("/courses/7?x=1")).await.is_hit(), "of an object every parameter counts");
}
