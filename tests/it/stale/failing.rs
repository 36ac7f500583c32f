//! A stale page in place of an application that fails, and one that is too slow.

use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse;
use http::{Request, StatusCode};
use larder::cache_page;
use tower::{BoxError, Layer, ServiceExt};

use super::{beside, mounts, secs, status};
use crate::fed::{asking, saying as say, settle, slowly, soon};
use crate::support::{Answer, ask, clocked, get, get_with, request};

#[tokio::test]
async fn a_stale_page_stands_in_for_these_four_answers_and_no_others() {
    for at in 0..3 {
        let (cache, hand) = clocked();
        let (app, _) = slowly(|_, request| async move {
            match request.headers().get("x-status").and_then(|code| code.to_str().ok()?.parse().ok()) {
                Some(code) => status(code, "failed"),
                None => say(&[], "page"),
            }
        });
        let (name, app) = mounts(&app, &cache)[at].clone();
        for code in ["500", "502", "503", "504", "501", "404", "429"] {
            ask(&app, get(&format!("/{code}"))).await;
        }
        hand.advance(secs(20));
        for code in ["500", "502", "503", "504"] {
            let answer = ask(&app, get_with(&format!("/{code}"), &[("x-status", code)])).await;
            assert_eq!((answer.status.as_u16(), answer.text()), (200, "page"), "{name}");
            let said = format!("larder; fwd=stale; fwd-status={code}; ttl=-10; detail=stale-on-error");
            assert_eq!(answer.cache_status(), said, "{name}");
        }
        for code in ["501", "404", "429"] {
            let answer = ask(&app, get_with(&format!("/{code}"), &[("x-status", code)])).await;
            assert_eq!(answer.status.as_str(), code, "{name}");
        }
    }
}

#[tokio::test]
async fn an_application_that_failed_is_left_alone_for_a_second() {
    let (cache, hand) = clocked();
    let (app, runs) =
        slowly(|run, _| async move { if run == 2 { status(500, "") } else { say(&[], "page") } });
    let (_, app) = mounts(&app, &cache)[0].clone();
    ask(&app, get("/")).await;
    hand.advance(secs(20));
    assert_eq!(ask(&app, get("/")).await.text(), "page");
    let spared = ask(&app, get("/")).await;
    assert_eq!(spared.cache_status(), "larder; hit; ttl=-10; detail=stale-on-error");
    assert_eq!(runs.count(), 2);
    hand.advance(secs(1));
    let new = ask(&app, get("/")).await;
    assert_eq!((&*new.cache_status(), runs.count()), ("larder; fwd=stale; stored; ttl=10", 3));
}

#[tokio::test]
async fn an_error_of_the_inner_service_is_stood_in_for_and_without_a_page_goes_on() {
    let (cache, hand) = clocked();
    let fails = tower::service_fn(|request: Request<Body>| async move {
        match request.headers().contains_key("x-fail") {
            true => Err::<http::Response<Body>, BoxError>("down".into()),
            false => Ok("page".into_response()),
        }
    });
    let app = cache_page(10).cache(&cache).stale_if_error(20).layer(fails);
    app.clone().oneshot(get("/")).await.expect("a page");
    hand.advance(secs(15));
    let failing = || get_with("/", &[("x-fail", "1")]);
    let shown = Answer::of(app.clone().oneshot(failing()).await.expect("the stale page")).await;
    assert_eq!(
        (shown.text(), &*shown.cache_status()),
        ("page", "larder; fwd=stale; ttl=-5; detail=stale-on-error")
    );
    hand.advance(secs(15));
    assert_eq!(app.oneshot(failing()).await.map(|_| ()).expect_err("the window is over").to_string(), "down");
}

#[tokio::test]
async fn a_handler_that_panics_is_stood_in_for_and_nobody_hangs() {
    for at in 0..3 {
        let (cache, hand) = clocked();
        let (app, _) = slowly(|run, _| async move {
            assert!(run == 1, "the handler is broken");
            say(&[], "page")
        });
        let (name, app) = mounts(&app, &cache)[at].clone();
        ask(&app, get("/")).await;
        hand.advance(secs(20));
        let shown = soon(ask(&app, get("/"))).await;
        assert_eq!(shown.text(), "page", "{name}");
        assert_eq!(shown.cache_status(), "larder; fwd=stale; ttl=-10; detail=stale-on-error", "{name}");
    }
}

#[tokio::test]
async fn an_application_that_takes_longer_than_a_fill_may_is_stood_in_for() {
    for at in 0..3 {
        let ((app, mut asked, _), (cache, hand)) = (asking(), clocked());
        let (name, app) = mounts(&app, &cache)[at].clone();
        let first = beside(&app, get("/"));
        soon(asked.recv()).await.expect("a run").say(&[], "page");
        soon(first).await.expect("an answer");
        hand.advance(secs(16));
        let client = beside(&app, get("/"));
        let held = soon(asked.recv()).await.expect("it is asked first");
        settle().await;
        hand.advance(Duration::from_secs(60));
        let shown = soon(client).await.expect("an answer");
        assert_eq!(shown.text(), "page", "{name}");
        assert!(shown.cache_status().ends_with("; detail=stale-on-error"), "{name}");
        drop(held);
    }
}

#[tokio::test]
async fn who_waited_for_a_failure_is_shown_the_stale_page_too() {
    for at in 0..3 {
        let ((app, mut asked, runs), (cache, hand)) = (asking(), clocked());
        let (name, app) = mounts(&app, &cache)[at].clone();
        let first = beside(&app, get("/"));
        soon(asked.recv()).await.expect("a run").say(&[], "page");
        soon(first).await.expect("an answer");
        hand.advance(secs(20));
        let clients: Vec<_> = (0..10).map(|_| beside(&app, get("/"))).collect();
        settle().await;
        soon(asked.recv()).await.expect("a run").answer(status(502, "bad gateway"));
        for client in clients {
            let shown = soon(client).await.expect("an answer");
            assert_eq!(shown.text(), "page", "{name}");
            let said = "larder; fwd=stale; fwd-status=502; ttl=-10; detail=stale-on-error";
            assert_eq!(shown.cache_status(), said, "{name}");
        }
        assert_eq!(runs.count(), 2, "{name}: one asked for all");
    }
}

#[tokio::test]
async fn what_was_invalidated_is_never_shown_whatever_fails() {
    for at in 0..3 {
        let (cache, hand) = clocked();
        let (app, _) = slowly(|run, _| async move {
            match run {
                1 => (larder::PageTags::new(["t"]), "page").into_response(),
                _ => status(503, "down"),
            }
        });
        let (name, app) = mounts(&app, &cache)[at].clone();
        ask(&app, get("/")).await;
        hand.advance(secs(12));
        cache.invalidate(["t"]).await.expect("invalidated");
        let answer = ask(&app, get("/")).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::SERVICE_UNAVAILABLE, "down"), "{name}");
    }
}

#[tokio::test]
async fn head_and_conditions_are_stood_in_for_with_their_kind_of_answer() {
    let (cache, hand) = clocked();
    let (app, _) = slowly(|run, _| async move {
        if run == 1 { say(&[("etag", "\"1\"")], "page") } else { status(500, "failed") }
    });
    let (_, app) = mounts(&app, &cache)[0].clone();
    ask(&app, get("/")).await;
    hand.advance(secs(20));
    let head = ask(&app, request(http::Method::HEAD, "/", &[])).await;
    assert_eq!((head.status.as_u16(), head.text(), &*head.field("content-length")), (200, "", "4"));
    hand.advance(secs(2));
    let not_modified = ask(&app, get_with("/", &[("if-none-match", "\"1\"")])).await;
    assert_eq!((not_modified.status.as_u16(), not_modified.text()), (304, ""));
}
