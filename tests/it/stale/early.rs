//! Early refresh: pages that are made anew before they expire, by chance.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use larder::{Cache, CachesLayer, EarlyRefresh, ManualClock, cache_page};
use larder_testkit::Plain;

use super::{ask_and_settle, beside, secs};
use crate::fed::{asking, settle, soon};
use crate::support::{Runs, ask, clocked, get, memory, saying};

/// Chance as the test wants it: how many times the making of a page the head start is.
fn loaded(head_start: &Arc<AtomicU64>) -> EarlyRefresh {
    let head_start = Arc::clone(head_start);
    EarlyRefresh::new(1.0).random(move || (-(head_start.load(Ordering::SeqCst) as f64)).exp())
}

fn mounts(app: &Router, cache: &Cache, early: &EarlyRefresh) -> [(&'static str, Router); 3] {
    let page = || cache_page(10).cache(cache).early_refresh(early.clone());
    let pair = larder::site(app.clone()).cache(cache).timeout(10);
    [
        ("alone", app.clone().layer(page())),
        ("enclosed", app.clone().layer(page()).layer(CachesLayer::outermost())),
        ("pair", pair.with(|layer| layer.early_refresh(early.clone())).into_router()),
    ]
}

/// A page that took 2 s to make.
async fn made(
    app: &Router,
    asked: &mut tokio::sync::mpsc::UnboundedReceiver<crate::fed::Asked>,
    hand: &ManualClock,
) {
    let first = beside(app, get("/"));
    let run = soon(asked.recv()).await.expect("a run");
    hand.advance(secs(2));
    run.say(&[], "old");
    soon(first).await.expect("an answer");
}

#[tokio::test]
async fn a_page_is_made_anew_when_chance_reaches_its_expiry() {
    for at in 0..3 {
        let ((app, mut asked, runs), (cache, hand)) = (asking(), clocked());
        let chance = Arc::new(AtomicU64::new(2));
        let (name, app) = mounts(&app, &cache, &loaded(&chance))[at].clone();
        made(&app, &mut asked, &hand).await;
        hand.advance(secs(5));
        assert_eq!(
            ask_and_settle(&app, get("/")).await.cache_status(),
            "larder; hit; ttl=5",
            "{name}: 4 s ahead"
        );
        assert_eq!(runs.count(), 1, "{name}");
        hand.advance(secs(1));
        for _ in 0..3 {
            let hit = ask_and_settle(&app, get("/")).await;
            assert_eq!(hit.cache_status(), "larder; hit; ttl=4; detail=early-refresh", "{name}");
            assert_eq!(hit.text(), "old", "{name}");
        }
        soon(asked.recv()).await.expect("one refresh").say(&[], "new");
        settle().await;
        chance.store(0, Ordering::SeqCst);
        let new = ask(&app, get("/")).await;
        assert_eq!(
            (new.text(), &*new.cache_status(), runs.count()),
            ("new", "larder; hit; ttl=10", 2),
            "{name}"
        );
    }
}

#[tokio::test]
async fn chance_is_asked_once_for_each_request_whether_or_not_the_store_is_waited_for() {
    let waited_for = || Cache::builder(Plain::default()).build().expect("a cache");
    for (store, cache) in [("memory", memory as fn() -> Cache), ("waited for", waited_for)] {
        for at in 0..3 {
            let (draws, (app, runs)) = (Runs::default(), saying(&[]));
            let seen = draws.clone();
            let early = EarlyRefresh::new(1e9).random(move || {
                seen.next();
                f64::MIN_POSITIVE
            });
            let (name, app) = mounts(&app, &cache(), &early)[at].clone();
            ask_and_settle(&app, get("/")).await;
            let hit = ask_and_settle(&app, get("/")).await;
            assert!(hit.cache_status().ends_with("detail=early-refresh"), "{store}, {name}: {hit:?}");
            assert_eq!((draws.count(), runs.count()), (1, 2), "{store}, {name}");
        }
    }
}

#[tokio::test]
async fn it_is_off_unless_it_is_switched_on() {
    let drawn = Runs::default();
    let seen = drawn.clone();
    let off = EarlyRefresh::new(0.0).random(move || {
        seen.next();
        f64::MIN_POSITIVE
    });
    let ((app, runs), (cache, hand)) = (saying(&[]), clocked());
    let app = app.layer(cache_page(10).cache(&cache).early_refresh(off));
    ask(&app, get("/")).await;
    hand.advance(secs(9));
    assert_eq!(ask_and_settle(&app, get("/")).await.cache_status(), "larder; hit; ttl=1");
    assert_eq!((drawn.count(), runs.count()), (0, 1));
}
