//! Pages kept warm through the application itself, and pages made anew on demand: whoever asks meanwhile gets the old one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use http::{Request, StatusCode};
use larder::prelude::*;
use larder::{ManualClock, Pages, Policy, Refresh, RefreshLayer, WarmEvent, Warmer};
use larder_tests::env;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tower::ServiceBuilder;

use crate::fed::{asking, settle, soon};
use crate::g3_once::beside;
use crate::support::{Answer, Runs, ask, clocked, get, get_with, memory, origin, patient, request};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn anew(uri: &str) -> Request<Body> {
    let mut request = get(uri);
    request.extensions_mut().insert(Refresh);
    request
}

/// Every way to cache an application.
fn mounts(app: &Router, cache: &Cache) -> Vec<(&'static str, Router)> {
    let page = || cache_page(600).cache(cache);
    vec![
        ("cache_page", app.clone().layer(page())),
        ("site", larder::site(app.clone()).cache(cache).into_router()),
        (
            "both",
            larder::site(app.clone().layer(page().key_prefix("in")))
                .cache(cache)
                .key_prefix("out")
                .into_router(),
        ),
        ("shared", app.clone().layer(page().key_prefix("shared").policy(Policy::shared()))),
        (
            "shared pair",
            Router::new().fallback_service(
                ServiceBuilder::new()
                    .layer(UpdateCacheLayer::new(600).cache(cache).key_prefix("s").policy(Policy::shared()))
                    .layer(FetchFromCacheLayer::new())
                    .service(app.clone()),
            ),
        ),
    ]
}

/// Answers `run 1`, `run 2`, … and fails when told to.
fn fragile() -> (Router, Runs, Arc<AtomicBool>) {
    let broken = Arc::new(AtomicBool::new(false));
    let fails = Arc::clone(&broken);
    let (app, runs) = origin(move |run, _| match fails.load(Ordering::SeqCst) {
        true => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        false => ([("cache-control", "max-age=600")], format!("run {run}")).into_response(),
    });
    (app, runs, broken)
}

#[tokio::test]
async fn a_page_made_anew_replaces_the_stored_one_under_every_mount() {
    let names = mounts(&Router::new(), &memory()).len();
    for mount in 0..names {
        let (app, runs, _) = fragile();
        let (name, app) = mounts(&app, &memory()).remove(mount);
        assert_eq!(ask(&app, get("/")).await.text(), "run 1", "{name}");
        assert!(ask(&app, get("/")).await.is_hit(), "{name}");

        let fresh = ask(&app, anew("/")).await;
        assert_eq!(fresh.text(), "run 2", "{name}");
        assert!(fresh.cache_status().contains("fwd=request; stored"), "{name}: {}", fresh.cache_status());
        let then = ask(&app, get("/")).await;
        assert!(then.is_hit() && then.text() == "run 2", "{name}: {}", then.cache_status());
        assert_eq!(runs.count(), 2, "{name}");
    }
}

#[tokio::test]
async fn a_page_that_can_not_be_made_anew_stays_as_it_was_under_every_mount() {
    let names = mounts(&Router::new(), &memory()).len();
    for mount in 0..names {
        let (app, _, broken) = fragile();
        let (name, app) = mounts(&app, &memory()).remove(mount);
        ask(&app, get("/")).await;
        broken.store(true, Ordering::SeqCst);
        ask(&app, anew("/")).await;
        let then = ask(&app, get("/")).await;
        assert!(then.is_hit() && then.text() == "run 1", "{name}: {} {}", then.status, then.cache_status());
    }
}

#[tokio::test]
async fn until_the_new_page_is_there_everybody_is_served_the_old_one_and_an_invalidation_wins() {
    let cache = memory();
    let (app, mut asked, _) = asking();
    let app = app.layer(cache_page(600).cache(&cache).tags(["course_list"]));
    let first = beside(&app, get("/"));
    soon(asked.recv()).await.unwrap().say(&[], "old");
    soon(first).await.unwrap();

    let making = beside(&app, anew("/"));
    let run = soon(asked.recv()).await.unwrap();
    assert_eq!(ask(&app, get("/")).await.text(), "old");
    cache.invalidate(["course_list"]).await.unwrap();
    run.say(&[], "made before the change");
    soon(making).await.unwrap();
    let next = beside(&app, get("/"));
    soon(asked.recv()).await.unwrap().say(&[], "new");
    assert_eq!(soon(next).await.unwrap().text(), "new");
}

#[tokio::test]
async fn several_who_want_a_page_anew_share_one_run() {
    let (app, mut asked, runs) = asking();
    let app = app.layer(cache_page(600).cache(memory()));
    let wanted: Vec<_> = (0..5).map(|_| beside(&app, anew("/"))).collect();
    let run = soon(asked.recv()).await.unwrap();
    settle().await;
    run.say(&[], "once");
    for answer in wanted {
        assert_eq!(soon(answer).await.unwrap().text(), "once");
    }
    assert_eq!(runs.count(), 1);
}

#[tokio::test]
async fn no_field_that_a_client_sends_has_a_page_made_anew() {
    let (app, runs, _) = fragile();
    let app = app.layer(cache_page(600).cache(memory()));
    let guarded = app.clone().layer(RefreshLayer::new(SECRET).unwrap());
    ask(&app, get("/")).await;
    for (name, value) in [
        ("larder-refresh", SECRET),
        ("larder-refresh", "1"),
        ("refresh", "1"),
        ("cache-control", "no-cache"),
        ("pragma", "no-cache"),
    ] {
        assert!(ask(&app, get_with("/", &[(name, value)])).await.is_hit(), "{name}: {value}");
    }
    for value in ["", "1", &SECRET[1..], &SECRET.to_uppercase(), &format!("{SECRET} ")[1..]] {
        assert!(ask(&guarded, get_with("/", &[("larder-refresh", value)])).await.is_hit(), "{value:?}");
    }
    let twice = get_with("/", &[("larder-refresh", SECRET), ("larder-refresh", "1")]);
    assert!(ask(&guarded, twice).await.is_hit());
    assert_eq!(runs.count(), 1);
    assert_eq!(ask(&guarded, get_with("/", &[("larder-refresh", SECRET)])).await.text(), "run 2");
    assert_eq!(ask(&guarded, get("/")).await.text(), "run 2");
}

#[tokio::test]
async fn the_application_never_sees_the_secret() {
    let (app, _) = origin(|_, parts| format!("{:?}", parts.headers));
    let app = app.layer(RefreshLayer::new(SECRET).unwrap());
    for value in [SECRET, "wrong"] {
        let answer = ask(&app, get_with("/", &[("larder-refresh", value), ("accept", "a")])).await;
        assert_eq!(answer.text(), r#"{"accept": "a"}"#);
    }
    assert!(!format!("{:?}", RefreshLayer::new(SECRET).unwrap()).contains(SECRET));
    assert!(RefreshLayer::new("short").unwrap_err().to_string().contains("5 bytes"));
}

/// What a warmer tells, in words.
fn told(warmer: Warmer) -> (Warmer, UnboundedReceiver<String>) {
    let (sender, told) = unbounded_channel();
    let warmer = warmer.on_event(move |event| {
        let line = match event {
            WarmEvent::Refreshed { job } => format!("{job} refreshed"),
            WarmEvent::NotStored { job, why } => format!("{job} not stored: {why}"),
            WarmEvent::Failed { job, error, .. } => format!("{job} failed: {error}"),
            _ => return,
        };
        _ = sender.send(line);
    });
    (warmer, told)
}

async fn next(told: &mut UnboundedReceiver<String>) -> String {
    soon(told.recv()).await.expect("the warmer is there")
}

async fn warms(cache: Cache, hand: Option<ManualClock>) {
    let (app, runs, broken) = fragile();
    let app: Router = app.layer(cache_page(900).cache(&cache));
    let every = if hand.is_some() { 600_000 } else { 50 };
    let pages = Pages::of(app.clone()).host("shop.example:8080").urls([
        "/",
        "/courses?page=2",
        "https://other.example/",
    ]);
    let warmer =
        Warmer::new(&cache).every(Duration::from_millis(every)).jitter(Duration::ZERO).concurrency(1);
    let (warmer, mut told) = told(warmer.warm(pages));
    let warming = warmer.spawn().expect("it makes sense");
    let mut missing = vec!["/", "/courses?page=2", "https://other.example/"];
    while let Some(url) = missing.first() {
        let line = next(&mut told).await;
        // By the machine's clock the first may be due again before the last had its turn.
        assert!(hand.is_none() || line == format!("{url} refreshed"), "{line}");
        missing.retain(|url| line != format!("{url} refreshed"));
    }
    // What a visitor asks for is what was made.
    let visit = |host: &'static str, uri: &'static str| get_with(uri, &[("host", host)]);
    for (host, uri) in
        [("shop.example:8080", "/"), ("shop.example:8080", "/courses?page=2"), ("other.example", "/")]
    {
        assert!(ask(&app, visit(host, uri)).await.is_hit(), "{host}{uri}");
    }
    assert!(!ask(&app, visit("third.example", "/")).await.is_hit());

    let before = runs.count();
    if let Some(hand) = &hand {
        hand.advance(Duration::from_secs(600));
    }
    while next(&mut told).await != "/ refreshed" {
        assert!(hand.is_none(), "it is the first");
    }
    // By the machine's clock that may have been told of before the count.
    while runs.count() == before {
        next(&mut told).await;
    }
    broken.store(true, Ordering::SeqCst);
    if let Some(hand) = &hand {
        hand.advance(Duration::from_secs(600));
    }
    loop {
        let line = next(&mut told).await;
        if line == "/ failed: the page is a 500 Internal Server Error" {
            break;
        }
    }
    let old: Answer = ask(&app, visit("shop.example:8080", "/")).await;
    assert!(old.is_hit() && old.text().starts_with("run"), "{}", old.cache_status());
    soon(warming.stop()).await;
}

#[tokio::test]
async fn a_warmer_keeps_the_pages_warm_that_visitors_ask_for_in_memory() {
    let (cache, hand) = clocked();
    warms(cache, Some(hand)).await;
}

#[tokio::test]
async fn a_warmer_keeps_the_pages_warm_that_visitors_ask_for_on_redis() {
    let prefix = format!("warm-{}", std::process::id());
    let cache = patient(&format!("{}?prefix={prefix}", env::redis_url()));
    cache.clear().await.unwrap();
    warms(cache.clone(), None).await;
    cache.clear().await.unwrap();
}

#[tokio::test]
async fn a_page_that_is_not_for_the_cache_says_why() {
    let (cache, _) = clocked();
    let (app, _) = origin(|_, parts| match parts.uri.path() {
        "/cookie" => ([("set-cookie", "id=1")], "hello").into_response(),
        _ => "hello".into_response(),
    });
    let cached = app.clone().layer(cache_page(600).cache(&cache));
    let warmer = Warmer::new(&cache).concurrency(1);
    let warmer = warmer.warm(Pages::of(cached).url("/cookie")).warm(Pages::of(app).url("/bare"));
    let (warmer, mut told) = told(warmer);
    let _warming = warmer.spawn().unwrap();
    assert_eq!(next(&mut told).await, "/cookie not stored: set-cookie");
    assert_eq!(next(&mut told).await, "/bare not stored: no caching layer has seen it");
}

#[tokio::test]
async fn what_is_no_page_is_said_when_the_warmer_is_spawned() {
    let cache = memory();
    let (app, _) = origin(|_, _| "hello");
    let pages = || Pages::of(app.clone());
    for (pages, word) in [
        (pages().url("courses"), "\"courses\""),
        (pages().url("/a b"), "\"/a b\""),
        (pages().url("https://user:pw@host/"), "the host"),
        (pages().host("a b").url("/"), "the host"),
        (pages().host("").url("/"), "the host"),
        (pages().header("a b", "c").url("/"), "\"a b\""),
        (pages().header("a", "c\n").url("/"), "no header field"),
        (pages(), "key()"),
    ] {
        let error = Warmer::new(&cache).warm(pages).spawn().unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[tokio::test]
async fn a_write_with_the_mark_is_an_ordinary_write() {
    let (app, runs, _) = fragile();
    let app = app.layer(cache_page(600).cache(memory()));
    ask(&app, get("/")).await;
    let mut write = request(http::Method::POST, "/", &[]);
    write.extensions_mut().insert(Refresh);
    ask(&app, write).await;
    assert!(!ask(&app, get("/")).await.is_hit());
    assert_eq!(runs.count(), 3);
}
