//! G4 for what pages are made of: a page is forgotten with every tagged value that was read while it was made.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::Request;
use larder::{Attachment, Cache, Policy, attached, cache_page};

use crate::support::{Runs, ask, get, memory};

/// A page that says what it reads from a cache, and how often it was made.
fn reading(values: &Cache) -> (Router, Runs) {
    let (values, runs) = (values.clone(), Runs::default());
    let seen = runs.clone();
    let page = move |request: Request<Body>| {
        let (values, run) = (values.clone(), seen.next());
        async move { read(&values, request.uri().path(), run).await }
    };
    (Router::new().fallback(page), runs)
}

async fn course(values: &Cache) -> String {
    values.get_or_set("course", || async { "Rust".to_owned() }).tags(["course:7"]).await.expect("it works")
}

async fn read(values: &Cache, path: &str, run: usize) -> Response {
    let values = values.clone();
    match path {
        "/nothing" => format!("run {run}").into_response(),
        "/spawned" => tokio::spawn(attached(async move { course(&values).await }))
            .await
            .expect("it works")
            .into_response(),
        "/blocking" => {
            let (making, runtime) =
                (Attachment::current().expect("it works"), tokio::runtime::Handle::current());
            let render = move || making.sync_scope(|| runtime.block_on(course(&values)));
            tokio::task::spawn_blocking(render).await.expect("it works").into_response()
        }
        "/streamed" => {
            let frames = futures_util::stream::once(async move {
                tokio::task::yield_now().await;
                Ok::<_, Infallible>(course(&values).await)
            });
            ([("cache-control", "max-age=60")], Body::from_stream(frames)).into_response()
        }
        _ => ([("cache-control", "max-age=60")], course(&values).await).into_response(),
    }
}

/// Each way to mount a layer, over a cache of its own.
fn mounts(attach: bool) -> Vec<(&'static str, Cache, Router, Runs)> {
    let mut mounts = Vec::new();
    for name in ["cache_page", "site", "gateway", "between"] {
        let cache = memory();
        let (app, runs) = reading(&cache);
        let page = || cache_page(60).cache(&cache).streaming(true).attach(attach);
        let app = match name {
            "cache_page" => app.layer(page()),
            "gateway" => app.layer(page().policy(Policy::shared())),
            "site" => {
                larder::site(app).cache(&cache).with(|l| l.streaming(true).attach(attach)).into_router()
            }
            _ => between(&cache, attach),
        };
        mounts.push((name, cache, app, runs));
    }
    mounts
}

/// A pair with a middleware between that reads.
fn between(cache: &Cache, attach: bool) -> Router {
    let values = cache.clone();
    let reads = axum::middleware::from_fn(move |request: Request<Body>, next: axum::middleware::Next| {
        let values = values.clone();
        async move {
            let nothing = request.uri().path() == "/nothing";
            let response = next.run(request).await;
            if !nothing {
                course(&values).await;
            }
            response
        }
    });
    let service = tower::ServiceBuilder::new()
        .layer(larder::UpdateCacheLayer::new(60).cache(cache).attach(attach))
        .layer(reads)
        .layer(larder::FetchFromCacheLayer::new())
        .service(Router::new().fallback(async || "page"));
    Router::new().fallback_service(service)
}

/// Asks until the page is stored: a body that streams is stored beside its answer.
async fn stored(app: &Router, path: &str, what: &str) {
    for _ in 0..1000 {
        if ask(app, get(path)).await.is_hit() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("{what} is never stored: {}", ask(app, get(path)).await.cache_status());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_forgotten_with_the_values_that_it_was_made_of() {
    for (name, cache, app, _) in mounts(true) {
        for path in ["/", "/spawned", "/blocking", "/streamed"] {
            // The gateway takes only what says how long it lives.
            if name == "gateway" && path != "/" && path != "/streamed" {
                continue;
            }
            let what = format!("{name} {path}");
            // Made on the way the first time, and a hit the second.
            for _ in 0..2 {
                stored(&app, path, &what).await;
                cache.invalidate(["course:8"]).await.unwrap();
                assert!(ask(&app, get(path)).await.is_hit(), "{what}: another tag");
                cache.invalidate(["course:7"]).await.unwrap();
                assert!(!ask(&app, get(path)).await.is_hit(), "{what}");
                course(&cache).await;
            }
        }
    }
}

#[tokio::test]
async fn a_page_that_read_nothing_and_one_that_is_told_so_do_not_depend_on_values() {
    for attach in [true, false] {
        for (name, cache, app, _) in mounts(attach) {
            let path = if attach { "/nothing" } else { "/" };
            if name == "gateway" && attach {
                continue;
            }
            stored(&app, path, name).await;
            cache.invalidate(["course:7"]).await.unwrap();
            assert!(ask(&app, get(path)).await.is_hit(), "{name}, attach({attach})");
        }
    }
}

#[tokio::test]
async fn a_page_made_of_a_value_that_was_invalidated_meanwhile_is_not_served() {
    let cache = memory();
    let values = cache.clone();
    let page = move || {
        let values = values.clone();
        async move {
            let old = values.get::<u8>("course").await.unwrap().unwrap_or(0);
            values.invalidate(["course:7"]).await.unwrap();
            old.to_string()
        }
    };
    let app: Router = Router::new().fallback(page).layer(cache_page(60).cache(&cache));
    cache.set("course", 7).tags(["course:7"]).await.unwrap();
    assert_eq!(ask(&app, get("/")).await.text(), "7");
    assert_eq!(ask(&app, get("/")).await.text(), "0");
}

#[tokio::test]
async fn a_page_made_of_tagged_values_of_another_cache_is_not_stored_and_says_so() {
    let (pages, values) = (memory(), memory());
    let (app, _) = reading(&values);
    let app = app.layer(cache_page(60).cache(&pages));
    for said in ["foreign-tags", "hit-for-miss"] {
        let answer = ask(&app, get("/")).await;
        assert_eq!(answer.cache_status(), format!("larder; fwd=uri-miss; detail={said}"));
    }
    stored(&app, "/nothing", "what read nothing").await;
}

#[tokio::test]
async fn what_an_inner_layer_reads_forgets_the_page_of_the_outer_one() {
    let cache = memory();
    let (app, runs) = reading(&cache);
    let inner = app.layer(cache_page(60).cache(&cache).key_prefix("inner"));
    let app = larder::site(inner).cache(&cache).into_router();
    stored(&app, "/", "the outer page").await;
    cache.invalidate(["course:7"]).await.unwrap();
    assert!(!ask(&app, get("/")).await.is_hit());
    assert_eq!(runs.count(), 2);
}
