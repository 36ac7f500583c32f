//! Key functions, those that wait too.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get;
use http::request::Parts;
use larder::prelude::*;
use larder_tests::{client, serve};

use super::caches;
use crate::support::{Answer, Runs, ask, get as asked, get_with, memory, saying};

fn tenant(parts: &Parts) -> Option<String> {
    Some(parts.headers.get("x-tenant")?.to_str().ok()?.to_owned())
}

/// By the route and by the site, with a look elsewhere for the tenant that is counted.
fn waiting(cache: &Cache) -> [(&'static str, Router, Runs, Runs); 2] {
    let function = |looks: &Runs| {
        let looks = looks.clone();
        move |parts: Parts| {
            let looks = looks.clone();
            async move {
                looks.next();
                tokio::task::yield_now().await;
                tenant(&parts)
            }
        }
    };
    let looks = [Runs::default(), Runs::default()];
    let (inside, runs) = saying(&[]);
    let page = cache_page(60).cache(cache).key_fn_async(function(&looks[0]));
    let by_route = Router::new().fallback_service(tower::Layer::layer(&page, inside));
    let (inside, site_runs) = saying(&[]);
    let waits = function(&looks[1]);
    let by_site = larder::site(inside).cache(cache).with(|layer| layer.key_fn_async(waits)).into_router();
    let [route_looks, site_looks] = looks;
    [("route", by_route, runs, route_looks), ("site", by_site, site_runs, site_looks)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_key_function_had_to_wait_for_keeps_pages_apart() {
    for (name, cache) in caches("later") {
        for (level, app, runs, looks) in waiting(&cache) {
            let site = serve(app).await;
            let mut texts = Vec::new();
            for tenant in ["a", "b", "a", "b"] {
                let response =
                    client().get(site.url("/")).header("x-tenant", tenant).send().await.expect("an answer");
                texts.push(response.text().await.expect("a body"));
            }
            assert_eq!(texts, ["run 1", "run 2", "run 1", "run 2"], "{name}, {level}");
            // DRF-12: once for a request.
            assert_eq!((runs.count(), looks.count()), (2, 4), "{name}, {level}");
            for _ in 0..2 {
                let response = client().get(site.url("/")).send().await.expect("an answer");
                assert_eq!(response.headers()["cache-status"], "larder; fwd=bypass; detail=key-fn-refused");
            }
            assert_eq!(runs.count(), 4, "{name}, {level}");
            let head = client().post(site.url("/")).send().await.expect("an answer");
            assert!(head.status().is_success());
            assert_eq!(looks.count(), 6, "{name}, {level}: nobody asks for the key of a write");
            cache.clear().await.expect("cleared");
        }
    }
}

#[tokio::test]
async fn a_layer_inside_asks_its_own_functions() {
    let (inside, runs) = saying(&[]);
    let cache = memory();
    let tenants = cache_page(60)
        .cache(&cache)
        .key_prefix("in")
        .key_fn_async(|parts: Parts| async move { tenant(&parts) });
    let inner = tower::Layer::layer(&tenants, inside);
    let constant = cache_page(60).cache(&cache).key_fn_async(|_| async { "same" }).vary_on(["x-tenant"]);
    let app = Router::new().fallback_service(tower::Layer::layer(&constant, inner));
    for tenant in ["a", "b", "a", "b"] {
        ask(&app, get_with("/", &[("x-tenant", tenant)])).await;
    }
    assert_eq!(runs.count(), 2);
}

#[tokio::test]
async fn a_key_function_that_cannot_say_shares_nothing() {
    let (inside, runs) = saying(&[]);
    let page = cache_page(60).cache(memory()).key_fn(tenant);
    let app = Router::new().fallback_service(tower::Layer::layer(&page, inside));
    let refused = |answer: &Answer| answer.cache_status() == "larder; fwd=bypass; detail=key-fn-refused";
    let answers = [ask(&app, asked("/")).await, ask(&app, asked("/")).await];
    assert!(answers.iter().all(refused), "{answers:?}");
    ask(&app, get_with("/", &[("x-tenant", "a")])).await;
    assert!(ask(&app, get_with("/", &[("x-tenant", "a")])).await.is_hit());
    assert_eq!(runs.count(), 3);
}

/// DRF-12.
#[tokio::test]
async fn a_key_function_is_asked_once_for_a_request() {
    let asked_for = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked_for);
    let page = cache_page(60).cache(memory()).key_fn(move |_| count.fetch_add(1, Ordering::SeqCst) / 100);
    let app = Router::new().route("/", get(|| async { "hello" }).layer(page));
    for requests in 1..=3 {
        ask(&app, asked("/")).await;
        assert_eq!(asked_for.load(Ordering::SeqCst), requests);
    }
}
