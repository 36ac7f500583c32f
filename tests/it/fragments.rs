//! Template fragments end to end: pages made of nested fragments, in each engine, on memory and on Redis, on runtimes of one thread
//! and of several.
#![expect(clippy::unwrap_used, reason = "a test that goes wrong is to panic")]

mod engines;

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::routing::get;
use larder::{Cache, Fragments, cache_page, fragment_key};
use tokio::net::TcpListener;

use crate::support::{memory, patient};
use engines::{Bodies, ENGINES, Engine};

const NOTHING: [&str; 0] = [];

#[derive(Clone)]
struct Site {
    fragments: Fragments,
    bodies: Bodies,
    engine: Engine,
}

/// `/` is cached as a page, `/plain` is not.
fn app(cache: &Cache, engine: Engine, bodies: &Bodies) -> Router {
    let site = Site { fragments: Fragments::new(cache), bodies: bodies.clone(), engine };
    Router::new()
        .route("/", get(page).layer(cache_page(60).cache(cache)))
        .route("/plain", get(page))
        .with_state(site)
}

async fn page(State(site): State<Site>) -> Html<String> {
    let (fragments, bodies) = (site.fragments.clone(), site.bodies.clone());
    Html(site.fragments.render(move || (site.engine)(&fragments, &bodies)).await)
}

/// A server of its own on a free port.
async fn serve(app: Router) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

async fn fetch(url: &str) -> (String, bool) {
    let response = reqwest::get(url).await.unwrap();
    assert_eq!(response.status(), 200);
    let status = response.headers().get("cache-status").map(|value| value.to_str().unwrap().to_owned());
    (response.text().await.unwrap(), status.is_some_and(|status| status.starts_with("larder; hit")))
}

fn redis() -> Cache {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let (process, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    patient(&format!("{}?prefix=fragments-{process}-{number}", larder_tests::env::redis_url()))
}

/// What each step of a page's life does to the page and its two fragments.
async fn a_life(cache: impl Fn() -> Cache) {
    for (name, engine) in ENGINES {
        let (cache, bodies) = (cache(), Bodies::default());
        let url = serve(app(&cache, engine, &bodies)).await;
        let html = "<ul>[<li>A&amp;B</li>]</ul>";
        for (step, outer, inner) in [
            ("", 1, 1),
            ("other", 1, 1),
            ("inner", 2, 2),
            ("outer", 3, 2),
            ("inner-key", 3, 2),
            ("clear", 4, 3),
        ] {
            match step {
                "" => {}
                "inner-key" => assert!(cache.delete(&fragment_key("inner", NOTHING)).await.unwrap()),
                "clear" => cache.clear().await.unwrap(),
                tag => cache.invalidate([tag]).await.unwrap(),
            }
            let (body, hit) = fetch(&url).await;
            assert_eq!(body.replace("&#38;", "&amp;"), html, "{name} {step}");
            // Who deletes a fragment deletes that alone.
            assert_eq!(hit, matches!(step, "other" | "inner-key"), "{name} {step}");
            assert_eq!((bodies.of("outer"), bodies.of("inner")), (outer, inner), "{name} {step}");
            assert!(fetch(&url).await.1, "{name} {step}");
        }
        cache.clear().await.unwrap();
    }
}

#[tokio::test]
async fn a_page_lives_as_long_as_its_fragments_in_memory_on_one_thread() {
    a_life(memory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_lives_as_long_as_its_fragments_in_memory_on_several_threads() {
    a_life(memory).await;
}

#[tokio::test]
async fn a_page_lives_as_long_as_its_fragments_in_redis_on_one_thread() {
    a_life(redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_lives_as_long_as_its_fragments_in_redis_on_several_threads() {
    a_life(redis).await;
}

/// A hundred browsers at once, who have no page in common.
async fn a_hundred(cache: impl Fn() -> Cache) {
    for (name, engine) in ENGINES {
        let (cache, bodies) = (cache(), Bodies::slow(Duration::from_millis(30)));
        let url = serve(app(&cache, engine, &bodies)).await + "/plain";
        let asking: Vec<_> = (0..100)
            .map(|_| {
                let url = url.clone();
                tokio::spawn(async move { fetch(&url).await.0 })
            })
            .collect();
        for one in asking {
            assert!(one.await.unwrap().starts_with("<ul>[<li>A&"), "{name}");
        }
        assert_eq!((bodies.of("outer"), bodies.of("inner")), (1, 1), "{name}");
        cache.clear().await.unwrap();
    }
}

#[tokio::test]
async fn a_hundred_at_once_run_each_body_once_on_one_thread() {
    a_hundred(memory).await;
    a_hundred(redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_at_once_run_each_body_once_on_several_threads() {
    a_hundred(memory).await;
    a_hundred(redis).await;
}

/// A Redis server that is not there.
async fn nowhere() {
    for (name, engine) in ENGINES {
        let port = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port();
        let cache = larder::open(&format!("redis://127.0.0.1:{port}")).unwrap();
        let bodies = Bodies::default();
        let url = serve(app(&cache, engine, &bodies)).await;
        for run in 1..=3 {
            assert!(fetch(&url).await.0.starts_with("<ul>[<li>A&"), "{name}");
            assert_eq!((bodies.of("outer"), bodies.of("inner")), (run, run), "{name}");
        }
    }
}

#[tokio::test]
async fn a_redis_that_is_down_costs_no_page_on_one_thread() {
    nowhere().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_down_costs_no_page_on_several_threads() {
    nowhere().await;
}

#[larder::cached(cache = cache, skip(cache, bodies), tags = ["course:{id}"])]
async fn course(cache: &Cache, bodies: &Bodies, id: u64) -> Result<String, std::io::Error> {
    bodies.run("course");
    Ok(format!("course {id}"))
}

/// A page made of what a function gives.
async fn memoised(cache: Cache) {
    let bodies = Bodies::default();
    let (values, seen) = (cache.clone(), bodies.clone());
    let page = move || async move { course(&values, &seen, 7).await.unwrap() };
    let url = serve(Router::new().route("/", get(page).layer(cache_page(60).cache(&cache)))).await;
    for (tag, hit, runs) in [("", false, 1), ("course:8", true, 1), ("course:7", false, 2)] {
        cache.invalidate([tag]).await.unwrap();
        assert_eq!(fetch(&url).await, ("course 7".to_owned(), hit), "{tag}");
        assert_eq!(bodies.of("course"), runs, "{tag}");
    }
    cache.clear().await.unwrap();
}

#[tokio::test]
async fn a_page_is_forgotten_with_what_the_functions_gave_that_it_is_made_of() {
    memoised(memory()).await;
    memoised(redis()).await;
}
