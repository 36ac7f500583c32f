//! Where each window begins and ends.

use std::time::Duration;

use http::Method;
use larder::{Timeout, cache_page};
use larder_core::UnixMillis;

use super::{ask_and_settle, mounts, secs, status};
use crate::fed::{saying as say, slowly};
use crate::support::{BEGIN, ask, clocked, get, get_with, request, saying};

const LAST: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a_page_is_fresh_then_shown_and_made_anew() {
    for at in 0..3 {
        let ((app, runs), (cache, hand)) = (saying(&[]), clocked());
        let (name, app) = mounts(&app, &cache)[at].clone();
        assert!(ask(&app, get("/")).await.is_stored(), "{name}");
        hand.advance(secs(10) - LAST);
        assert_eq!(ask_and_settle(&app, get("/")).await.cache_status(), "larder; hit; ttl=0", "{name}");
        hand.advance(LAST);
        let stale = ask_and_settle(&app, get("/")).await;
        assert_eq!(stale.text(), "run 1", "{name}: the old page, at once");
        assert_eq!(stale.cache_status(), "larder; hit; ttl=0; detail=stale-while-revalidate", "{name}");
        assert_eq!((runs.count(), stale.field("age")), (2, "10".to_owned()), "{name}: made anew behind it");
        let new = ask(&app, get("/")).await;
        assert_eq!((new.text(), &*new.cache_status()), ("run 2", "larder; hit; ttl=10"), "{name}");
    }
}

#[tokio::test]
async fn the_first_window_ends_strictly_and_the_application_is_asked_first_in_the_second() {
    for at in 0..3 {
        let ((app, runs), (cache, hand)) = (saying(&[]), clocked());
        let (name, app) = mounts(&app, &cache)[at].clone();
        ask(&app, get("/")).await;
        hand.advance(secs(15) - LAST);
        let last = ask_and_settle(&app, get("/")).await;
        assert_eq!((last.text(), &*last.field("age")), ("run 1", "14"), "{name}");
        assert_eq!(last.cache_status(), "larder; hit; ttl=-5; detail=stale-while-revalidate", "{name}");
        hand.advance(secs(15));
        let new = ask(&app, get("/")).await;
        assert_eq!(new.text(), "run 3", "{name}");
        assert_eq!(new.cache_status(), "larder; fwd=stale; stored; ttl=10", "{name}");
        assert_eq!(runs.count(), 3, "{name}");
    }
}

#[tokio::test]
async fn the_second_window_ends_strictly_and_then_the_failure_is_the_answer() {
    for at in 0..3 {
        let (cache, hand) = clocked();
        let (app, runs) =
            slowly(|run, _| async move { if run == 1 { say(&[], "page") } else { status(503, "down") } });
        let (name, app) = mounts(&app, &cache)[at].clone();
        ask(&app, get("/")).await;
        hand.advance(secs(30) - LAST);
        let last = ask(&app, get("/")).await;
        assert_eq!((last.status.as_u16(), last.text()), (200, "page"), "{name}");
        let said = "larder; fwd=stale; fwd-status=503; ttl=-20; detail=stale-on-error";
        assert_eq!(last.cache_status(), said, "{name}");
        hand.advance(LAST);
        let gone = ask(&app, get("/")).await;
        assert_eq!((gone.status.as_u16(), gone.text(), runs.count()), (503, "down", 3), "{name}");
    }
}

#[tokio::test]
async fn without_windows_a_page_is_gone_with_its_timeout() {
    let ((app, _), (cache, hand)) = (saying(&[]), clocked());
    let app = app.layer(cache_page(10).cache(&cache).soft_timeout(secs(1)));
    ask(&app, get("/")).await;
    hand.advance(secs(10));
    assert_eq!(ask(&app, get("/")).await.text(), "run 2");
}

/// How long the page of a layer is shown stale, whose response says `cache_control`.
async fn shown_for(
    cache_control: &'static str,
    layer: impl Fn(larder::CachePage) -> larder::CachePage,
    timeout: Timeout,
) -> Vec<UnixMillis> {
    let ((app, _), (cache, hand)) = (saying(&[("cache-control", cache_control)]), clocked());
    let app = app.layer(layer(cache_page(timeout).cache(&cache)));
    let mut shown = Vec::new();
    for seconds in [0, 12, 17] {
        ask(&app, get(&format!("/{seconds}"))).await;
    }
    for seconds in [12, 17] {
        hand.set(BEGIN + seconds * 1000);
        let answer = ask(&app, get(&format!("/{seconds}"))).await;
        if answer.cache_status().ends_with("detail=stale-while-revalidate") {
            shown.push(seconds);
        }
    }
    shown
}

#[tokio::test]
async fn the_response_sets_the_window_where_it_sets_the_timeout() {
    let plain = |layer: larder::CachePage| layer;
    let five = |layer: larder::CachePage| layer.stale_while_revalidate(Duration::from_secs(5));
    let ten = Timeout::secs(10);
    assert_eq!(shown_for("max-age=10, stale-while-revalidate=9", plain, Timeout::DEFAULT).await, [12, 17]);
    assert_eq!(shown_for("max-age=10, stale-while-revalidate=3", five, Timeout::DEFAULT).await, [12]);
    assert_eq!(shown_for("max-age=10", five, Timeout::DEFAULT).await, [12]);
    assert_eq!(
        shown_for("stale-while-revalidate=9", five, ten).await,
        [12],
        "the layer's timeout, and its window"
    );
    assert_eq!(shown_for("stale-while-revalidate=9", plain, ten).await, [0; 0]);
    for forbids in ["must-revalidate", "proxy-revalidate"] {
        assert_eq!(shown_for(forbids, five, ten).await, [0; 0], "{forbids}");
    }
}

#[tokio::test]
async fn conditions_ranges_and_head_are_answered_from_the_stale_page() {
    for at in 0..3 {
        let ((app, runs), (cache, hand)) = (saying(&[("etag", "\"1\"")]), clocked());
        let (name, app) = mounts(&app, &cache)[at].clone();
        ask(&app, get("/")).await;
        hand.advance(secs(12));
        let not_modified = ask_and_settle(&app, get_with("/", &[("if-none-match", "\"1\"")])).await;
        assert_eq!((not_modified.status.as_u16(), not_modified.text()), (304, ""), "{name}");
        let said = "larder; hit; ttl=-2; detail=stale-while-revalidate";
        assert_eq!(not_modified.cache_status(), said, "{name}");
        let whole = ask(&app, get("/")).await;
        assert_eq!((whole.text(), runs.count()), ("run 2", 2), "{name}: all of it was made anew");
        hand.advance(secs(12));
        let part = ask_and_settle(&app, get_with("/", &[("range", "bytes=0-2")])).await;
        assert_eq!((part.status.as_u16(), part.text(), &*part.cache_status()), (206, "run", said), "{name}");
        assert_eq!(ask(&app, get("/")).await.text(), "run 3", "{name}");
        hand.advance(secs(12));
        let head = ask_and_settle(&app, request(Method::HEAD, "/", &[])).await;
        assert_eq!((head.text(), &*head.cache_status()), ("", said), "{name}");
        assert_eq!(head.field("content-length"), "5", "{name}");
        assert_eq!(ask(&app, get("/")).await.text(), "run 4", "{name}: made anew by GET");
    }
}
