//! The soft timeout: how long a new page is waited for where a stale one may stand in.

use axum::Router;
use larder::{Cache, CachesLayer, cache_page};

use super::{ask_and_settle, beside, secs, status};
use crate::fed::{Asked, asking, saying as say, settle, slowly, soon};
use crate::support::{ask, clocked, get, get_with};

/// Shown for 60 s in place of what takes longer than 2.
fn mounts(app: &Router, cache: &Cache) -> [(&'static str, Router); 3] {
    let page = || cache_page(10).cache(cache).stale_if_error(60).soft_timeout(secs(2));
    let pair = larder::site(app.clone()).cache(cache).timeout(10);
    [
        ("alone", app.clone().layer(page())),
        ("enclosed", app.clone().layer(page()).layer(CachesLayer::outermost())),
        ("pair", pair.with(|layer| layer.stale_if_error(60).soft_timeout(secs(2))).into_router()),
    ]
}

/// A mount with a page that is stale, and a client who waits for a new one.
async fn waiting(
    at: usize,
    fields: &[(&str, &str)],
) -> ((&'static str, Router), tokio::task::JoinHandle<crate::support::Answer>, Asked, larder::ManualClock) {
    let ((app, mut asked, _), (cache, hand)) = (asking(), clocked());
    let (name, app) = mounts(&app, &cache)[at].clone();
    let first = beside(&app, get_with("/", fields));
    soon(asked.recv()).await.expect("a run").say(&[], "old");
    soon(first).await.expect("an answer");
    hand.advance(secs(15));
    let client = beside(&app, get_with("/", fields));
    let run = soon(asked.recv()).await.expect("a run");
    settle().await;
    ((name, app), client, run, hand)
}

#[tokio::test]
async fn a_slow_application_goes_on_behind_the_stale_page_and_is_stored() {
    for at in 0..3 {
        let ((name, app), client, run, hand) = waiting(at, &[]).await;
        assert!(!client.is_finished(), "{name}");
        hand.advance(secs(2));
        let shown = soon(client).await.expect("an answer");
        assert_eq!(shown.text(), "old", "{name}");
        assert_eq!(shown.cache_status(), "larder; fwd=stale; ttl=-7; detail=soft-timeout", "{name}");
        assert!(run.say(&[], "new"), "{name}: somebody still listens");
        settle().await;
        let new = ask(&app, get("/")).await;
        assert_eq!((new.text(), new.is_hit()), ("new", true), "{name}");
    }
}

#[tokio::test]
async fn what_comes_in_time_is_the_answer() {
    for at in 0..3 {
        let ((name, app), client, run, _) = waiting(at, &[]).await;
        run.say(&[], "new");
        let new = soon(client).await.expect("an answer");
        assert_eq!(
            (new.text(), &*new.cache_status()),
            ("new", "larder; fwd=stale; collapsed; ttl=10"),
            "{name}"
        );
        assert!(ask(&app, get("/")).await.is_hit(), "{name}");
    }
}

#[tokio::test]
async fn a_failure_in_time_is_stood_in_for_at_once() {
    for at in 0..3 {
        let ((name, _), client, run, _) = waiting(at, &[]).await;
        run.answer(status(503, "down"));
        let shown = soon(client).await.expect("an answer");
        assert_eq!(shown.text(), "old", "{name}");
        let said = "larder; fwd=stale; fwd-status=503; ttl=-5; detail=stale-on-error";
        assert_eq!(shown.cache_status(), said, "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_can_not_be_stored_is_asked_for_by_each_for_itself() {
    for at in 0..3 {
        let (cache, hand) = clocked();
        let (app, runs) = slowly(|run, _| async move {
            if run == 1 {
                say(&[], "old")
            } else {
                say(&[("cache-control", "private")], format!("run {run}"))
            }
        });
        let (name, app) = mounts(&app, &cache)[at].clone();
        ask(&app, get("/")).await;
        hand.advance(secs(15));
        let own = ask_and_settle(&app, get("/")).await;
        assert_eq!((own.text(), runs.count()), ("run 3", 3), "{name}: not what was made for the store");
        assert_eq!(ask(&app, get("/")).await.text(), "run 4", "{name}");
    }
}

#[tokio::test]
async fn a_page_for_one_user_without_an_outer_layer_is_waited_for_as_long() {
    let alice = [("cookie", "user=alice")];
    let ((_, app), client, run, hand) = waiting(0, &alice).await;
    hand.advance(secs(2));
    assert_eq!(soon(client).await.expect("an answer").text(), "old");
    run.say(&[], "new");
    settle().await;
    assert_eq!(ask(&app, get_with("/", &alice)).await.text(), "new", "it went on, and was stored");
}
