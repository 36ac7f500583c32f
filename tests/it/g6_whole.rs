//! G6, whole or nothing: a body that breaks is never stored, and never ends cleanly for anybody who got bytes of it.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use larder::memory::Memory;
use larder::{Cache, cache_page};
use larder_tests::{client, http2_client, serve};

use crate::fed::{Feed, at_hand, fed, head, next_piece, piece, saying, settle, slowly, soon, status_of};
use crate::support::{Runs, ask, get};

/// The two ways to mount, storing bodies of unknown length.
fn mounts(app: &Router) -> [(&'static str, Router); 2] {
    let cache = || Cache::new(Memory::new());
    [
        ("cache_page", app.clone().layer(cache_page(60).cache(cache()).streaming(true))),
        ("site", larder::site(app.clone()).cache(cache()).with(|l| l.streaming(true)).into_router()),
    ]
}

/// An application whose first body is fed by the test and announces `length`; the others are `whole`.
fn broken_first(length: Option<u64>) -> (Router, Runs, tokio::sync::mpsc::UnboundedReceiver<Feed>) {
    let (feeds, fed_by) = tokio::sync::mpsc::unbounded_channel();
    let (app, runs) = slowly(move |n, _| {
        let body = match n {
            1 => {
                let (feed, body) = fed();
                feeds.send(feed).unwrap();
                body
            }
            _ => Body::from("whole"),
        };
        let mut response = Response::new(body);
        if let Some(length) = length.filter(|_| n == 1) {
            response.headers_mut().insert("content-length", length.into());
        }
        async move { response }
    });
    (app, runs, fed_by)
}

fn checksum() -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static("checksum"), HeaderValue::from_static("1"))])
}

async fn everybody_gets_an_error(length: Option<u64>, end: impl Fn(Feed)) {
    for at in 0..2 {
        let (app, runs, mut feeds) = broken_first(length);
        let (name, app) = mounts(&app)[at].clone();
        let mut leader = head(&app, get("/")).await.into_body();
        let feed = feeds.recv().await.unwrap();
        feed.send(piece("half")).unwrap();
        assert_eq!(next_piece(&mut leader).await.unwrap().unwrap(), "half", "{name}");

        let waiter = head(&app, get("/")).await;
        assert!(status_of(&waiter).contains("collapsed"), "{name}");
        let mut waiter = waiter.into_body();
        assert_eq!(next_piece(&mut waiter).await.unwrap().unwrap(), "half", "{name}");
        // One that attached and has read nothing yet.
        let late = head(&app, get("/")).await.into_body();

        end(feed);
        assert!(soon(leader.collect()).await.is_err(), "{name}: the leader's client sees the error");
        assert!(soon(waiter.collect()).await.is_err(), "{name}: so does who read along");
        assert!(soon(late.collect()).await.is_err(), "{name}: and who had not begun");
        assert_eq!(runs.count(), 1, "{name}");

        let next = soon(ask(&app, get("/"))).await;
        assert_eq!(
            (next.text(), next.is_hit(), runs.count()),
            ("whole", false, 2),
            "{name}: nothing was stored"
        );
        assert!(ask(&app, get("/")).await.is_hit(), "{name}");
    }
}

#[tokio::test]
async fn a_body_that_fails_half_way_is_an_error_for_all_and_is_not_stored() {
    everybody_gets_an_error(None, |feed| feed.send(Err(std::io::Error::other("broke"))).unwrap()).await;
}

#[tokio::test]
async fn a_body_that_ends_before_its_announced_length_is_an_error_for_all() {
    everybody_gets_an_error(Some(10), drop).await;
}

#[tokio::test]
async fn a_body_that_goes_on_after_its_announced_length_is_an_error_for_all() {
    everybody_gets_an_error(Some(6), |feed| feed.send(piece("and too much")).unwrap()).await;
}

#[tokio::test]
async fn a_body_at_hand_of_another_length_than_announced_ends_in_an_error_and_is_not_stored() {
    for announced in [3_u64, 10] {
        let (app, runs) = slowly(move |_, _| async move {
            let mut response = Response::new(at_hand(vec![piece("hello")]));
            response.headers_mut().insert("content-length", announced.into());
            response
        });
        for (name, app) in mounts(&app) {
            for _ in 0..2 {
                let response = head(&app, get("/")).await;
                let status = status_of(&response);
                assert!(status.ends_with("detail=truncated"), "{name}: {status}");
                assert_eq!(
                    http_body::Body::size_hint(response.body()).exact(),
                    None,
                    "{name}: it must not claim a length"
                );
                assert!(response.into_body().collect().await.is_err(), "{name}: announced {announced}");
            }
        }
        assert_eq!(runs.count(), 4);
    }
}

#[tokio::test]
async fn a_body_that_fails_at_once_is_an_error_and_is_not_stored() {
    let (app, runs) = slowly(|_, _| async {
        saying(&[], at_hand(vec![piece("half"), Err(std::io::Error::other("broke"))]))
    });
    for (name, app) in mounts(&app) {
        for _ in 0..2 {
            let response = head(&app, get("/")).await;
            let status = status_of(&response);
            assert!(status.ends_with("detail=body-error"), "{name}: {status}");
            let mut body = response.into_body();
            assert_eq!(next_piece(&mut body).await.unwrap().unwrap(), "half");
            assert!(next_piece(&mut body).await.unwrap().is_err());
        }
    }
    assert_eq!(runs.count(), 4);
}

#[tokio::test]
async fn a_body_that_panics_half_way_hangs_nobody_and_is_not_stored() {
    for at in 0..2 {
        let gate = Arc::new(tokio::sync::Notify::new());
        let opened = gate.clone();
        let (app, runs) = slowly(move |n, _| {
            let gate = gate.clone();
            async move {
                if n > 1 {
                    return Response::new(Body::from("whole"));
                }
                let pieces = futures_util::stream::unfold(0, move |n| {
                    let gate = gate.clone();
                    async move {
                        if n > 0 {
                            gate.notified().await;
                            panic!("half-way");
                        }
                        Some((Ok::<_, std::io::Error>("half"), n + 1))
                    }
                });
                Response::new(Body::from_stream(pieces))
            }
        });
        let (name, app) = mounts(&app)[at].clone();
        let mut bodies = Vec::new();
        for _ in 0..3 {
            let mut body = head(&app, get("/")).await.into_body();
            assert_eq!(next_piece(&mut body).await.unwrap().unwrap(), "half", "{name}");
            bodies.push(tokio::spawn(body.collect()));
        }
        assert_eq!(runs.count(), 1, "{name}");
        settle().await;
        opened.notify_one();
        let mut panicked = 0;
        for body in bodies {
            match soon(body).await {
                Ok(read) => assert!(read.is_err(), "{name}: a clean end"),
                Err(_) => panicked += 1,
            }
        }
        assert_eq!(panicked, 1, "{name}: the panic belongs to who polled the body");
        let next = soon(ask(&app, get("/"))).await;
        assert_eq!((next.text(), next.is_hit()), ("whole", false), "{name}");
    }
}

#[tokio::test]
async fn a_body_that_panics_in_the_hands_of_one_reader_is_an_error_for_the_others() {
    let panics = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&panics);
    let (app, _) = slowly(move |run, _| {
        let (flag, mut begun) = (Arc::clone(&flag), false);
        let pieces = futures_util::stream::poll_fn(move |_| {
            if flag.load(Ordering::SeqCst) {
                panic!("half-way, and nobody was told");
            }
            match std::mem::replace(&mut begun, true) {
                false => Poll::Ready(Some(Ok::<_, std::io::Error>("half"))),
                true => Poll::Pending,
            }
        });
        let body = if run == 1 { Body::from_stream(pieces) } else { Body::from("whole") };
        async move { Response::new(body) }
    });
    let (_, app) = mounts(&app)[0].clone();
    let waits = head(&app, get("/")).await.into_body();
    let waits = tokio::spawn(waits.collect());
    let mut asks = head(&app, get("/")).await.into_body();
    assert_eq!(next_piece(&mut asks).await.unwrap().unwrap(), "half");
    settle().await;
    panics.store(true, Ordering::SeqCst);
    assert!(
        tokio::spawn(async move { next_piece(&mut asks).await.map(|_| ()) }).await.unwrap_err().is_panic()
    );
    assert!(soon(waits).await.unwrap().is_err());
    assert_eq!(soon(ask(&app, get("/"))).await.text(), "whole");
}

#[tokio::test]
async fn trailers_reach_everybody_and_the_page_is_not_stored() {
    for at in 0..2 {
        let (app, runs, mut feeds) = broken_first(None);
        let (name, app) = mounts(&app)[at].clone();
        let mut leader = head(&app, get("/")).await.into_body();
        let feed = feeds.recv().await.unwrap();
        feed.send(piece("half")).unwrap();
        next_piece(&mut leader).await.unwrap().unwrap();
        let waiter = head(&app, get("/")).await.into_body();
        feed.send(piece("+half")).unwrap();
        feed.send(Ok(Frame::trailers(checksum()))).unwrap();
        drop(feed);
        let (leader, waiter) = (soon(leader.collect()).await.unwrap(), soon(waiter.collect()).await.unwrap());
        assert_eq!(leader.trailers().unwrap()["checksum"], "1", "{name}");
        assert_eq!(waiter.trailers().unwrap()["checksum"], "1", "{name}");
        assert_eq!(waiter.to_bytes(), "half+half", "{name}");
        assert!(!soon(ask(&app, get("/"))).await.is_hit(), "{name}");
        assert_eq!(runs.count(), 2, "{name}");
    }
}

#[tokio::test]
async fn trailers_at_hand_are_passed_on_and_the_page_is_not_stored() {
    let (app, runs) =
        slowly(|_, _| async { saying(&[], at_hand(vec![piece("all"), Ok(Frame::trailers(checksum()))])) });
    for (name, app) in mounts(&app) {
        for _ in 0..2 {
            let response = head(&app, get("/")).await;
            let status = status_of(&response);
            assert!(status.ends_with("detail=trailers"), "{name}: {status}");
            let body = response.into_body().collect().await.unwrap();
            assert_eq!(body.trailers().unwrap()["checksum"], "1", "{name}");
            assert_eq!(body.to_bytes(), "all", "{name}");
        }
    }
    assert_eq!(runs.count(), 4);
}

#[tokio::test]
async fn over_sockets_a_body_that_breaks_breaks_the_message_in_both_versions_of_http() {
    for (version, client) in [("1.1", client()), ("2", http2_client())] {
        for length in [None, Some(10)] {
            let (app, runs, mut feeds) = broken_first(length);
            let (_, app) = mounts(&app)[0].clone();
            let served = serve(app).await;
            let leader = client.get(served.url("/"));
            let leader = tokio::spawn(async move { leader.send().await });
            let feed = soon(feeds.recv()).await.unwrap();
            feed.send(piece("half")).unwrap();
            let leader = soon(leader).await.unwrap().unwrap();
            let waiter = soon(client.get(served.url("/")).send()).await.unwrap();
            drop(feed.send(Err(std::io::Error::other("broke"))));
            assert!(soon(leader.bytes()).await.is_err(), "HTTP/{version}, {length:?}");
            assert!(soon(waiter.bytes()).await.is_err(), "HTTP/{version}, {length:?}");
            let next = soon(client.get(served.url("/")).send()).await.unwrap();
            assert_eq!(next.text().await.unwrap(), "whole", "HTTP/{version}, {length:?}");
            assert_eq!(runs.count(), 2, "HTTP/{version}, {length:?}");
        }
    }
}

#[tokio::test]
async fn over_sockets_a_body_at_hand_of_the_wrong_length_breaks_the_message() {
    let (app, _) = slowly(|n, _| async move {
        let mut response = Response::new(at_hand(vec![piece("hello")]));
        if n == 1 {
            response.headers_mut().insert("content-length", 10.into());
        }
        response
    });
    for (version, client) in [("1.1", client()), ("2", http2_client())] {
        let served = serve(mounts(&app)[0].1.clone()).await;
        let first = match soon(client.get(served.url("/")).send()).await {
            Ok(response) => soon(response.bytes()).await.map(drop),
            Err(error) => Err(error),
        };
        if version == "1.1" {
            assert!(first.is_err(), "a client must not wait for bytes of the next answer");
        }
        let next = soon(client.get(served.url("/")).send()).await.unwrap();
        assert_eq!(next.text().await.unwrap(), "hello", "HTTP/{version}");
    }
}
