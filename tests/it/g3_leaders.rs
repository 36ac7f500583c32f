//! G3, leaders that don't come back: the fill goes on without its client, and whoever waits neither hangs nor queues.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures_util::future::join_all;
use http::{Request, Response};
use larder::{CachesLayer, cache_page};
use larder_tests::{client, serve};
use tokio::sync::Notify;
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::fed::{asking, fed, head, next_piece, piece, saying, settle, slowly, soon};
use crate::g3_once::{beside, mounts};
use crate::support::{Runs, ask, get, memory};

#[tokio::test]
async fn a_client_that_leaves_before_the_head_loses_neither_the_waiters_nor_the_page() {
    for at in 0..2 {
        for waiters in [0, 3] {
            let (app, mut asked, runs) = asking();
            let (name, app) = mounts(&app)[at].clone();
            let leader = beside(&app, get("/"));
            let run = soon(asked.recv()).await.unwrap();
            let waiters: Vec<_> = (0..waiters).map(|_| beside(&app, get("/"))).collect();
            settle().await;
            leader.abort();
            assert!(leader.await.unwrap_err().is_cancelled());
            settle().await;
            assert!(run.say(&[], "page"), "{name}: the fill goes on");
            for waiter in soon(join_all(waiters)).await {
                assert_eq!(waiter.unwrap().text(), "page", "{name}");
            }
            settle().await;
            assert!(ask(&app, get("/")).await.is_hit(), "{name}");
            assert_eq!(runs.count(), 1, "{name}");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_with_the_body_half_read_does_not_lose_the_page() {
    for at in 0..2 {
        for read in [false, true] {
            let (app, mut asked, runs) = asking();
            let (name, app) = mounts(&app)[at].clone();
            let leader = tokio::spawn({
                let app = app.clone();
                async move { head(&app, get("/")).await }
            });
            let (feed, body) = fed();
            soon(asked.recv()).await.unwrap().say(&[("content-length", "8")], body);
            let mut leader = soon(leader).await.unwrap().into_body();
            feed.send(piece("half")).unwrap();
            if read {
                next_piece(&mut leader).await.unwrap().unwrap();
            }
            drop(leader);
            // A second one reads along a while and leaves too; the fill is not its either.
            let mut second = head(&app, get("/")).await.into_body();
            assert_eq!(next_piece(&mut second).await.unwrap().unwrap(), "half", "{name}");
            drop(second);
            settle().await;
            let third = beside(&app, get("/"));
            settle().await;
            feed.send(piece("half")).unwrap();
            drop(feed);
            assert_eq!(soon(third).await.unwrap().text(), "halfhalf", "{name}");
            settle().await;
            let hit = ask(&app, get("/")).await;
            assert_eq!((hit.is_hit(), hit.text(), runs.count()), (true, "halfhalf", 1), "{name}");
        }
    }
}

#[tokio::test]
async fn over_a_socket_a_client_that_hangs_up_does_not_lose_the_page() {
    let (app, mut asked, runs) = asking();
    for (name, app) in mounts(&app) {
        let before = runs.count();
        let served = serve(app).await;
        let url = served.url("/");
        let leader = tokio::spawn({
            let url = url.clone();
            async move { client().get(url).send().await }
        });
        let run = soon(asked.recv()).await.unwrap();
        leader.abort();
        let _ = leader.await;
        // The server notices a while later; the fill goes on all the same.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!run.is_abandoned(), "{name}");
        run.say(&[], "page");
        let again = soon(client().get(&url).send()).await.unwrap();
        assert_eq!(again.text().await.unwrap(), "page", "{name}");
        assert_eq!(runs.count() - before, 1, "{name}");
    }
}

#[tokio::test]
async fn a_leader_that_panics_releases_everybody_at_once() {
    for at in 0..2 {
        let gate = Arc::new(Notify::new());
        let opened = Arc::clone(&gate);
        let overlap = Arc::new(tokio::sync::Barrier::new(4));
        let (app, runs) = slowly(move |run, _| {
            let (gate, overlap) = (Arc::clone(&gate), Arc::clone(&overlap));
            async move {
                if run == 1 {
                    gate.notified().await;
                    panic!("the leader");
                }
                // Passes only if four run at the same time.
                overlap.wait().await;
                saying(&[], "page")
            }
        });
        let (name, app) = mounts(&app)[at].clone();
        let leader = beside(&app, get("/"));
        settle().await;
        let waiters: Vec<_> = (0..4).map(|_| beside(&app, get("/"))).collect();
        settle().await;
        assert_eq!(runs.count(), 1, "{name}");
        opened.notify_one();
        assert!(soon(leader).await.unwrap_err().is_panic(), "{name}");
        for waiter in soon(join_all(waiters)).await {
            assert_eq!(waiter.unwrap().text(), "page", "{name}");
        }
        assert!(ask(&app, get("/")).await.is_hit(), "{name}");
        assert_eq!(runs.count(), 5, "{name}");
    }
}

#[tokio::test]
async fn a_leader_that_fails_passes_its_error_on_and_releases_everybody_at_once() {
    let runs = Runs::default();
    let gate = Arc::new(Notify::new());
    let overlap = Arc::new(tokio::sync::Barrier::new(4));
    let service = tower::service_fn({
        let (runs, gate) = (runs.clone(), Arc::clone(&gate));
        move |_: Request<Body>| {
            let (run, gate, overlap) = (runs.next(), Arc::clone(&gate), Arc::clone(&overlap));
            async move {
                if run == 1 {
                    gate.notified().await;
                    return Err(std::io::Error::other("no database"));
                }
                overlap.wait().await;
                Ok(Response::new(Body::from("page")))
            }
        }
    });
    let app = cache_page(60).cache(memory()).layer(service);
    let send = || tokio::spawn(app.clone().oneshot(get("/")));
    let leader = send();
    settle().await;
    let waiters: Vec<_> = (0..4).map(|_| send()).collect();
    settle().await;
    assert_eq!(runs.count(), 1);
    gate.notify_one();
    assert_eq!(soon(leader).await.unwrap().unwrap_err().to_string(), "no database");
    for waiter in soon(join_all(waiters)).await {
        assert!(waiter.unwrap().is_ok());
    }
    assert_eq!(runs.count(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_outside_ends_the_wait_and_not_the_fill() {
    use tower_http::timeout::TimeoutLayer;

    let (app, mut asked, runs) = asking();
    for (name, app) in mounts(&app) {
        let before = runs.count();
        let impatient = Router::new().fallback_service(
            ServiceBuilder::new()
                .layer(TimeoutLayer::with_status_code(
                    http::StatusCode::GATEWAY_TIMEOUT,
                    Duration::from_secs(1),
                ))
                .service(app.clone()),
        );
        let (leader, waiter) = (beside(&impatient, get("/")), beside(&impatient, get("/")));
        let run = asked.recv().await.unwrap();
        assert_eq!(
            (leader.await.unwrap().status.as_u16(), waiter.await.unwrap().status.as_u16()),
            (504, 504),
            "{name}"
        );
        assert!(run.say(&[], "page"), "{name}");
        settle().await;
        assert!(ask(&app, get("/")).await.is_hit(), "{name}");
        assert_eq!(runs.count() - before, 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_goes_on_alone_ends_at_its_limit_and_the_next_one_leads() {
    let (app, mut asked, runs) = asking();
    let app = app.layer(cache_page(60).cache(memory()).max_fill(Duration::from_secs(5)));
    let leader = beside(&app, get("/"));
    let run = asked.recv().await.unwrap();
    leader.abort();
    let _ = leader.await;
    let waiter = beside(&app, get("/"));
    tokio::time::sleep(Duration::from_millis(4_900)).await;
    assert_eq!(runs.count(), 1);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(runs.count(), 2, "who waited leads");
    assert!(!run.say(&[], "too late"));
    asked.recv().await.unwrap().say(&[], "page");
    assert_eq!(waiter.await.unwrap().text(), "page");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_goes_on_alone_ends_at_its_limit_in_an_error_and_is_not_stored() {
    let (app, mut asked, runs) = asking();
    let app = app.layer(cache_page(60).cache(memory()).max_fill(Duration::from_secs(5)));
    let leader = tokio::spawn({
        let app = app.clone();
        async move { head(&app, get("/")).await }
    });
    let (feed, body) = fed();
    asked.recv().await.unwrap().say(&[("content-length", "8")], body);
    feed.send(piece("half")).unwrap();
    drop(leader.await.unwrap());
    let mut late = head(&app, get("/")).await.into_body();
    assert_eq!(next_piece(&mut late).await.unwrap().unwrap(), "half");
    assert!(next_piece(&mut late).await.unwrap().is_err(), "given up");
    assert!(feed.is_closed(), "the body is let go");
    let next = beside(&app, get("/"));
    asked.recv().await.unwrap().say(&[], "page");
    assert_eq!(next.await.unwrap().text(), "page");
    assert_eq!(runs.count(), 2);
}

#[tokio::test]
async fn inside_a_caches_layer_a_leader_whose_client_leaves_hands_the_lead_on() {
    let (app, mut asked, runs) = asking();
    let app = app.layer(cache_page(60)).layer(CachesLayer::new(memory()));
    let leader = beside(&app, get("/"));
    let run = soon(asked.recv()).await.unwrap();
    let waiters: Vec<_> = (0..3).map(|_| beside(&app, get("/"))).collect();
    settle().await;
    leader.abort();
    let _ = leader.await;
    let second = soon(asked.recv()).await.unwrap();
    settle().await;
    assert_eq!(runs.count(), 2, "one of those who waited leads, the others wait for it");
    assert!(!run.say(&[], "nobody can say whether this head stays public"));
    second.say(&[], "page");
    for waiter in soon(join_all(waiters)).await {
        assert_eq!(waiter.unwrap().text(), "page");
    }
    assert!(ask(&app, get("/")).await.is_hit());
    assert_eq!(runs.count(), 2);
}

#[tokio::test]
async fn inside_a_caches_layer_a_client_that_leaves_after_the_head_does_not_lose_the_page() {
    let (app, mut asked, runs) = asking();
    let app = app.layer(cache_page(60)).layer(CachesLayer::new(memory()));
    let leader = tokio::spawn({
        let app = app.clone();
        async move { head(&app, get("/")).await }
    });
    let (feed, body) = fed();
    soon(asked.recv()).await.unwrap().say(&[("content-length", "4")], body);
    drop(soon(leader).await.unwrap());
    feed.send(piece("page")).unwrap();
    drop(feed);
    settle().await;
    assert!(ask(&app, get("/")).await.is_hit());
    assert_eq!(runs.count(), 1);
}
