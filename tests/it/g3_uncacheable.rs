//! G3, what can't be shared: the first burst waits for the leader's head at most, and after that nobody waits for anybody.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures_util::future::join_all;
use http::{HeaderMap, Response, StatusCode};
use http_body::Frame;
use larder::{Cache, PageTimeout, cache_page};
use larder_testkit::Plain;
use tokio::sync::Barrier;

use crate::fed::{asking, at_hand, fed, piece, saying, settle, slowly, soon, status_of};
use crate::g3_once::beside;
use crate::support::{ask, clocked, get, memory};

type Make = fn() -> Response<Body>;

/// Responses that can't be stored, each with the word for it.
fn unstorable() -> Vec<(&'static str, Make)> {
    vec![
        ("set-cookie", || saying(&[("set-cookie", "a=1")], "x")),
        ("private", || saying(&[("cache-control", "private")], "x")),
        ("no-store", || saying(&[("cache-control", "no-store")], "x")),
        ("no-cache", || saying(&[("cache-control", "no-cache")], "x")),
        ("vary-star", || saying(&[("vary", "*")], "x")),
        ("status", || status(404)),
        ("status", || status(500)),
        ("streaming", || saying(&[], at_hand(vec![piece("x")]))),
        ("event-stream", || saying(&[("content-type", "text/event-stream")], "x")),
        ("too-large", || saying(&[], vec![b'x'; 2_000])),
        ("trailers", || {
            saying(
                &[("content-length", "1")],
                at_hand(vec![piece("x"), Ok(Frame::trailers(HeaderMap::new()))]),
            )
        }),
        ("truncated", || saying(&[("content-length", "9")], at_hand(vec![piece("x")]))),
        ("body-error", || {
            saying(&[("content-length", "9")], at_hand(vec![piece("x"), Err(std::io::Error::other("broke"))]))
        }),
        ("zero-timeout", || {
            let mut response = saying(&[], "x");
            response.extensions_mut().insert(PageTimeout::secs(0));
            response
        }),
    ]
}

fn status(status: u16) -> Response<Body> {
    let mut response = saying(&[], "x");
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn mounts(app: &Router) -> [(&'static str, Router); 2] {
    [
        ("cache_page", app.clone().layer(cache_page(60).cache(memory()).max_body(1_000))),
        ("site", larder::site(app.clone()).cache(memory()).with(|l| l.max_body(1_000)).into_router()),
    ]
}

#[tokio::test]
async fn after_its_first_answer_a_url_that_can_not_be_stored_holds_nobody_up() {
    for (reason, response) in unstorable() {
        for at in 0..2 {
            let (app, mut asked, runs) = asking();
            let (name, app) = mounts(&app)[at].clone();
            let name = format!("{name}, {reason}");
            let heads = |n| -> Vec<_> {
                (0..n)
                    .map(|_| (app.clone(), get("/")))
                    .map(|(app, request)| tokio::spawn(async move { crate::fed::head(&app, request).await }))
                    .collect()
            };
            let first = heads(5);
            let run = soon(asked.recv()).await.unwrap();
            settle().await;
            assert_eq!(runs.count(), 1, "{name}: the first burst waits for the leader's head");
            run.answer(response());
            settle().await;
            assert_eq!(runs.count(), 5, "{name}: the rest of it runs at once");
            for _ in 0..4 {
                soon(asked.recv()).await.unwrap().answer(response());
            }
            for response in soon(join_all(first)).await {
                let status = status_of(&response.unwrap());
                assert!(status.ends_with(&format!("; detail={reason}")), "{name}: {status}");
            }
            let second = heads(5);
            settle().await;
            assert_eq!(runs.count(), 10, "{name}: five overlap");
            for _ in 0..5 {
                soon(asked.recv()).await.unwrap().answer(response());
            }
            soon(join_all(second)).await;
        }
    }
}

#[tokio::test]
async fn the_first_burst_waits_for_the_head_only_and_not_for_a_body_that_never_ends() {
    let (app, mut asked, runs) = asking();
    let (_, app) = mounts(&app)[0].clone();
    let requests: Vec<_> = (0..3)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { crate::fed::head(&app, get("/")).await })
        })
        .collect();
    let run = soon(asked.recv()).await.unwrap();
    settle().await;
    let (feed, endless) = fed();
    run.say(&[("content-type", "text/event-stream")], endless);
    settle().await;
    assert_eq!(runs.count(), 3);
    drop((feed, requests));
}

#[tokio::test]
async fn a_url_that_turns_storable_is_stored_at_once_and_shared_again() {
    let (app, mut asked, runs) = asking();
    let (_, app) = mounts(&app)[0].clone();
    let first = beside(&app, get("/"));
    soon(asked.recv()).await.unwrap().say(&[("set-cookie", "a=1")], "x");
    soon(first).await.unwrap();
    let second = beside(&app, get("/"));
    soon(asked.recv()).await.unwrap().say(&[], "page");
    assert!(soon(second).await.unwrap().is_stored());
    assert!(ask(&app, get("/")).await.is_hit());
    assert_eq!(runs.count(), 2);
}

#[tokio::test]
async fn what_is_remembered_of_a_url_is_forgotten_in_time() {
    for (status_code, millis) in [(404, 60_000), (500, 1_000)] {
        let (cache, hand) = clocked();
        let (app, mut asked, runs) = asking();
        let app = app.layer(cache_page(60).cache(&cache));
        let first = beside(&app, get("/"));
        soon(asked.recv()).await.unwrap().answer(status(status_code));
        soon(first).await.unwrap();
        hand.advance(Duration::from_millis(millis - 1));
        let pair = [beside(&app, get("/")), beside(&app, get("/"))];
        for _ in 0..2 {
            // Both overlap: the second is asked before the first is answered.
            settle().await;
        }
        assert_eq!(runs.count(), 3, "{status_code}");
        hand.advance(Duration::from_millis(1));
        for _ in 0..2 {
            soon(asked.recv()).await.unwrap().answer(status(304));
        }
        soon(join_all(pair)).await;
        let shared: Vec<_> = (0..3).map(|_| beside(&app, get("/"))).collect();
        settle().await;
        assert_eq!(runs.count(), 4, "{status_code}: one leads again");
        soon(asked.recv()).await.unwrap().say(&[], "page");
        soon(join_all(shared)).await;
        assert_eq!(runs.count(), 4, "{status_code}");
    }
}

#[tokio::test]
async fn after_its_first_answer_a_thousand_requests_for_what_can_not_be_stored_run_at_once() {
    // Each run but the first ends only when a thousand are under way: one that waited for another would be missing.
    let overlap = Arc::new(Barrier::new(1_000));
    let (app, runs) = slowly(move |run, _| {
        let overlap = Arc::clone(&overlap);
        async move {
            if !matches!(run % 1_001, 1) {
                overlap.wait().await;
            }
            saying(&[("set-cookie", "a=1")], "x")
        }
    });
    for (name, app) in mounts(&app) {
        let before = runs.count();
        assert!(ask(&app, get("/")).await.cache_status().ends_with("detail=set-cookie"), "{name}");
        let all = soon(join_all((0..1_000).map(|_| beside(&app, get("/"))))).await;
        for one in all {
            let status = one.unwrap().cache_status();
            assert!(status.ends_with("; detail=hit-for-miss"), "{name}: {status}");
        }
        assert_eq!(runs.count() - before, 1_001, "{name}");
    }
}

#[tokio::test]
async fn after_its_first_answer_in_one_process_nobody_waits_in_another() {
    let store = Plain::default();
    let process = || Cache::builder(store.clone()).deadline(Duration::from_secs(60)).build().unwrap();
    let overlap = Arc::new(Barrier::new(50));
    let (app, runs) = slowly(move |run, _| {
        let overlap = Arc::clone(&overlap);
        async move {
            if run > 1 {
                overlap.wait().await;
            }
            saying(&[("set-cookie", "a=1")], "x")
        }
    });
    let [one, other] = [process(), process()].map(|cache| app.clone().layer(cache_page(60).cache(cache)));
    assert!(ask(&one, get("/")).await.cache_status().ends_with("detail=set-cookie"));
    settle().await;
    let all = soon(join_all((0..50).map(|_| beside(&other, get("/"))))).await;
    let known =
        all.into_iter().filter(|one| one.as_ref().unwrap().cache_status().ends_with("; detail=hit-for-miss"));
    assert!(known.count() >= 1, "who asked the store for its turn was told");
    assert_eq!(runs.count(), 51);
}

#[tokio::test]
async fn a_route_whose_answers_can_not_be_stored_holds_nobody_up_whatever_the_url() {
    let (app, mut asked, runs) = asking();
    let handler = app.clone();
    let app = Router::new()
        .route(
            "/cart/{id}",
            axum::routing::get(move |request: axum::extract::Request| {
                let handler = handler.clone();
                async move { tower::ServiceExt::oneshot(handler, request).await }
            }),
        )
        .layer(cache_page(60).cache(memory()));
    for id in 0..8 {
        let one = beside(&app, get(&format!("/cart/{id}")));
        soon(asked.recv()).await.unwrap().say(&[("set-cookie", "a=1")], "x");
        assert!(soon(one).await.unwrap().cache_status().ends_with("detail=set-cookie"));
    }
    let new = || (0..5).map(|_| beside(&app, get("/cart/new"))).collect::<Vec<_>>();
    let all = new();
    settle().await;
    assert_eq!(runs.count(), 8 + 5, "five overlap on a key that nobody has asked for before");
    for _ in 0..4 {
        soon(asked.recv()).await.unwrap().say(&[("set-cookie", "a=1")], "x");
    }
    // One that can be stored ends it, for the route and the key.
    soon(asked.recv()).await.unwrap().say(&[], "page");
    let said: Vec<String> =
        soon(join_all(all)).await.into_iter().map(|one| one.unwrap().cache_status()).collect();
    assert_eq!(said.iter().filter(|said| said.ends_with("detail=hit-for-miss")).count(), 4, "{said:?}");
    let shared: Vec<_> = (0..3).map(|_| beside(&app, get("/cart/other"))).collect();
    settle().await;
    assert_eq!(runs.count(), 8 + 5 + 1, "one leads again");
    soon(asked.recv()).await.unwrap().say(&[], "page");
    soon(join_all(shared)).await;
}
