//! Which errors are stored, and how long pages live.

use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::response::IntoResponse as _;
use axum::routing::get;
use http::{Method, StatusCode};
use larder::Made;
use larder::prelude::*;

use crate::support::{Runs, ask, clocked, get as asked, memory, request};

fn failing(page: larder::CachePage, runs: &Runs) -> Router {
    let runs = runs.clone();
    let handler = move |Path(status): Path<u16>| {
        let run = runs.next();
        async move { (StatusCode::from_u16(status).expect("a status"), format!("run {run}")).into_response() }
    };
    Router::new().route("/{status}", get(handler).layer(page))
}

/// DRF-07, the other way round: errors are stored where that is asked for.
#[tokio::test]
async fn errors_are_stored_where_the_layer_says_so_and_never_those_that_may_be_over_soon() {
    for (stores, lasting) in [(false, 0), (true, 1)] {
        let runs = Runs::default();
        let app = failing(cache_page(60).cache(memory()).cache_errors(stores), &runs);
        for status in [400, 404, 410, 500, 200] {
            let expected = if status == 200 { 1 } else { lasting };
            let first = ask(&app, asked(&format!("/{status}"))).await;
            let again = ask(&app, asked(&format!("/{status}"))).await;
            assert_eq!(usize::from(again.is_hit()), expected, "{status}: {}", again.cache_status());
            assert_eq!(again.status.as_u16(), status);
            assert_eq!(again.text() == first.text(), expected == 1, "{status}");
        }
        for status in [401, 408, 429, 502, 503, 504, 302, 204] {
            for _ in 0..2 {
                let answer = ask(&app, asked(&format!("/{status}"))).await;
                let said = answer.cache_status();
                assert!(!answer.is_hit() && !answer.is_stored(), "{status}: {said}");
                assert!(
                    said.ends_with("detail=status") || said.ends_with("detail=hit-for-miss"),
                    "{status}: {said}"
                );
            }
        }
    }
}

/// DRF-04.
#[tokio::test]
async fn a_page_lives_as_long_as_a_function_of_request_and_response_says() {
    let (cache, hand) = clocked();
    let timeout = |made: &Made<'_>| match made.uri.path() {
        _ if made.response.headers.contains_key("x-short") => Timeout::secs(5),
        "/api/long" => Timeout::secs(500),
        "/api/never" => Timeout::ZERO,
        _ if made.request.contains_key("x-patient") => Timeout::secs(50),
        _ => Timeout::DEFAULT,
    };
    let runs = Runs::default();
    let seen = runs.clone();
    let handler = move |Path(what): Path<String>| {
        let mut response = format!("{what} {}", seen.next()).into_response();
        if what == "short" {
            response.headers_mut().insert("x-short", "1".parse().expect("a value"));
        }
        async move { response }
    };
    let page = cache_page(60).cache(cache).timeout_fn(timeout);
    let inner = Router::new().route("/{what}", get(handler).layer(page));
    let app = Router::new().nest("/api", inner);
    let ages = [("short", 5), ("long", 500), ("else", 60)];
    for (what, seconds) in ages {
        let path = format!("/api/{what}");
        let stored = ask(&app, asked(&path)).await;
        assert!(
            stored.cache_status().contains(&format!("ttl={seconds}")),
            "{what}: {}",
            stored.cache_status()
        );
        assert_eq!(stored.field("cache-control"), format!("max-age={seconds}"), "{what}");
        hand.advance(Duration::from_secs(seconds - 1));
        assert!(ask(&app, asked(&path)).await.is_hit(), "{what}");
        hand.advance(Duration::from_secs(1));
        assert!(!ask(&app, asked(&path)).await.is_hit(), "{what}");
    }
    let never = ask(&app, asked("/api/never")).await;
    assert!(never.cache_status().contains("zero-timeout"), "{}", never.cache_status());
}

#[tokio::test]
async fn a_function_says_how_long_where_the_layer_itself_says_not_at_all() {
    let runs = Runs::default();
    let page = cache_page(0).cache(memory()).timeout_fn(|made| match made.uri.path() {
        "/kept" => Timeout::secs(60),
        "/never" => Timeout::FOREVER,
        _ => Timeout::DEFAULT,
    });
    let seen = runs.clone();
    let handler = move || {
        let run = seen.next();
        async move { format!("run {run}") }
    };
    let app = Router::new().route("/{what}", get(handler).layer(page));
    for (path, is_stored) in [("/kept", true), ("/never", true), ("/other", false)] {
        assert_eq!(ask(&app, asked(path)).await.is_stored(), is_stored, "{path}");
        assert_eq!(ask(&app, asked(path)).await.is_hit(), is_stored, "{path}");
    }
    assert_eq!(runs.count(), 4);
}

#[tokio::test]
async fn a_page_timeout_of_the_handler_still_shortens_it() {
    let handler = || async { (PageTimeout::secs(3), "hello") };
    let page = cache_page(60).cache(memory()).timeout_fn(|_| Timeout::secs(30));
    let app = Router::new().route("/", get(handler).layer(page));
    assert!(ask(&app, asked("/")).await.cache_status().contains("ttl=3"));
}

/// Django's `method_decorator` on one method of a class: the layer goes where that method is.
#[tokio::test]
async fn of_a_route_with_many_methods_one_is_cached() {
    let runs = Runs::default();
    let count = |runs: &Runs| {
        let runs = runs.clone();
        move || async move { format!("run {}", runs.next()) }
    };
    let cache = memory();
    let routes =
        get(count(&runs)).layer(cache_page(60).cache(&cache)).post(count(&runs)).delete(count(&runs));
    let app = Router::new().route("/", routes);
    assert!(ask(&app, asked("/")).await.is_stored());
    assert!(ask(&app, asked("/")).await.is_hit());
    for method in [Method::POST, Method::DELETE] {
        let written = ask(&app, request(method, "/", &[])).await;
        assert_eq!(written.cache_status(), "", "the layer is not theirs");
    }
    assert!(
        ask(&app, asked("/")).await.is_hit(),
        "nor are the pages dropped: put the layer around all methods for that"
    );
}
