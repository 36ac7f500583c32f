//! The same by the rules of a shared cache.

use axum::Router;
use larder::{Cache, CachesLayer, FetchFromCacheLayer, Policy, UpdateCacheLayer, cache_page};
use tower::ServiceBuilder;

use super::{ask_and_settle, beside, secs, status};
use crate::fed::{asking, saying as say, settle, slowly, soon};
use crate::support::{ask, clocked, get, saying};

fn mounts(app: &Router, cache: &Cache) -> [(&'static str, Router); 3] {
    let page = || cache_page(1).cache(cache).policy(Policy::shared());
    let pair = Router::new().fallback_service(
        ServiceBuilder::new()
            .layer(UpdateCacheLayer::new(1).cache(cache).policy(Policy::shared()).stale_while_revalidate(0))
            .layer(FetchFromCacheLayer::new())
            .service(app.clone()),
    );
    [
        ("alone", app.clone().layer(page())),
        ("enclosed", app.clone().layer(page()).layer(CachesLayer::outermost())),
        ("pair", pair),
    ]
}

#[tokio::test]
async fn what_the_response_lets_be_stale_is_made_anew_and_stored_wherever_the_layers_stand() {
    let fields = [("cache-control", "max-age=10, stale-while-revalidate=60")];
    for at in 0..3 {
        let ((app, runs), (cache, hand)) = (saying(&fields), clocked());
        let (name, app) = mounts(&app, &cache)[at].clone();
        ask(&app, get("/")).await;
        hand.advance(secs(11));
        // The outermost layer keeps what it takes from the first request on that wants it; that one asks the origin first.
        let first = ask_and_settle(&app, get("/")).await;
        if first.text() == "run 2" {
            hand.advance(secs(11));
        }
        let before = runs.count();
        let stale = ask_and_settle(&app, get("/")).await;
        if first.text() == "run 2" {
            assert!(stale.cache_status().ends_with("detail=stale-while-revalidate"), "{name}: {stale:?}");
            assert_eq!((stale.text(), runs.count()), ("run 2", before + 1), "{name}");
        }
        let new = ask(&app, get("/")).await;
        assert_eq!(new.text(), format!("run {}", runs.count()), "{name}: stored");
        assert!(new.is_hit() && runs.count() >= 2, "{name}");
    }
}

#[tokio::test]
async fn of_many_who_find_it_stale_one_asks_the_origin() {
    let ((app, mut asked, runs), (cache, hand)) = (asking(), clocked());
    let (_, app) = mounts(&app, &cache)[0].clone();
    let fields = [("cache-control", "max-age=10, stale-while-revalidate=60")];
    let first = beside(&app, get("/"));
    soon(asked.recv()).await.expect("a run").say(&fields, "old");
    soon(first).await.expect("an answer");
    hand.advance(secs(11));
    for _ in 0..50 {
        let shown = soon(ask(&app, get("/"))).await;
        assert_eq!(shown.cache_status(), "larder; hit; ttl=-1; detail=stale-while-revalidate");
    }
    soon(asked.recv()).await.expect("one").say(&fields, "new");
    settle().await;
    assert_eq!((ask(&app, get("/")).await.text(), runs.count()), ("new", 2));
}

#[tokio::test]
async fn the_operators_windows_stand_where_the_response_says_nothing_and_forbids_nothing() {
    for (cache_control, shown) in [
        ("max-age=10", true),
        ("max-age=10, stale-if-error=0", false),
        ("max-age=10, must-revalidate", false),
        ("max-age=10, s-maxage=10", false),
        ("max-age=0", false),
    ] {
        let (cache, hand) = clocked();
        let (app, _) = slowly(move |run, _| async move {
            let fields = [("cache-control", cache_control), ("etag", "\"1\"")];
            if run == 1 { say(&fields, "page") } else { status(503, "down") }
        });
        let app = app.layer(cache_page(1).cache(&cache).stale_if_error(60).policy(Policy::shared()));
        ask(&app, get("/")).await;
        hand.advance(secs(15));
        let answer = ask(&app, get("/")).await;
        assert_eq!(answer.text(), if shown { "page" } else { "down" }, "{cache_control}");
        if shown {
            let said = "larder; fwd=stale; fwd-status=503; ttl=-5; detail=stale-on-error";
            assert_eq!(answer.cache_status(), said);
        }
    }
}
