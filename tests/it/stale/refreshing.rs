//! Making pages anew behind their answers: once, bounded, and stored only where that is right.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::response::IntoResponse;
use axum::routing::get as route;
use futures_util::future::join_all;
use http::{HeaderValue, Response};
use larder::{CachesLayer, cache_page};

use super::{ask_and_settle, beside, mounts, secs, status, windows};
use crate::fed::{asking, saying as say, settle, slowly, soon};
use crate::support::{Runs, ask, clocked, get, saying};

const BEHIND: &str = "detail=stale-while-revalidate";

/// A mount whose first page was made, and is stale.
macro_rules! stale {
    ($at:expr, $app:expr, $asked:expr, $cache:expr, $hand:expr) => {{
        let (name, app) = mounts(&$app, &$cache)[$at].clone();
        let first = beside(&app, get("/"));
        soon($asked.recv()).await.expect("a run").say(&[], "old");
        soon(first).await.expect("an answer");
        $hand.advance(secs(12));
        (name, app)
    }};
}

#[tokio::test]
async fn a_thousand_who_find_a_page_stale_have_it_made_anew_once() {
    for at in 0..3 {
        let ((app, mut asked, runs), (cache, hand)) = (asking(), clocked());
        let (name, app) = stale!(at, app, asked, cache, hand);
        let answers = soon(join_all((0..1000).map(|_| beside(&app, get("/"))))).await;
        for answer in answers {
            let answer = answer.expect("an answer");
            assert!(
                answer.text() == "old" && answer.cache_status().ends_with(BEHIND),
                "{name}: nobody waits"
            );
        }
        soon(asked.recv()).await.expect("one run").say(&[], "new");
        settle().await;
        assert_eq!((ask(&app, get("/")).await.text(), runs.count()), ("new", 2), "{name}");
    }
}

#[tokio::test]
async fn a_refresh_that_fails_leaves_the_stale_page_and_is_tried_again_after_a_second() {
    for at in 0..3 {
        let (cache, hand) = clocked();
        let (app, runs) = slowly(|run, _| async move {
            match run {
                2 => status(500, "failed"),
                3 => panic!("the handler is broken"),
                run => say(&[], format!("run {run}")),
            }
        });
        let (name, app) = mounts(&app, &cache)[at].clone();
        ask(&app, get("/")).await;
        hand.advance(secs(11));
        ask_and_settle(&app, get("/")).await;
        let spared = ask_and_settle(&app, get("/")).await;
        assert_eq!((spared.text(), runs.count()), ("run 1", 2), "{name}: left alone");
        assert_eq!(spared.cache_status(), "larder; hit; ttl=-1; detail=stale-on-error", "{name}");
        hand.advance(secs(1));
        assert_eq!(ask_and_settle(&app, get("/")).await.text(), "run 1", "{name}: it panics");
        assert_eq!(ask_and_settle(&app, get("/")).await.text(), "run 1", "{name}");
        assert_eq!(runs.count(), 3, "{name}: left alone");
        hand.advance(secs(1));
        assert_eq!(ask_and_settle(&app, get("/")).await.text(), "run 1", "{name}");
        assert_eq!((ask(&app, get("/")).await.text(), runs.count()), ("run 4", 4), "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_can_not_be_stored_leaves_the_stale_page_for_its_window() {
    for at in 0..3 {
        let (cache, hand) = clocked();
        let (app, runs) = slowly(|run, _| async move {
            if run == 1 { say(&[], "page") } else { say(&[("set-cookie", "a=1")], "mine") }
        });
        let (name, app) = mounts(&app, &cache)[at].clone();
        ask(&app, get("/")).await;
        hand.advance(secs(11));
        ask_and_settle(&app, get("/")).await;
        let shown = ask_and_settle(&app, get("/")).await;
        assert_eq!((shown.text(), &*shown.field("set-cookie"), runs.count()), ("page", "", 2), "{name}");
        assert_eq!(shown.cache_status(), "larder; hit; ttl=-1; detail=hit-for-miss", "{name}");
        hand.advance(secs(5));
        assert_eq!(ask(&app, get("/")).await.text(), "mine", "{name}: the window is over");
    }
}

#[tokio::test]
async fn what_was_invalidated_while_it_was_made_anew_is_not_stored() {
    for at in 0..3 {
        let ((app, mut asked, runs), (cache, hand)) = (asking(), clocked());
        let (name, app) = mounts(&app, &cache)[at].clone();
        let tagged = |body: &'static str| (larder::PageTags::new(["t"]), body).into_response();
        let first = beside(&app, get("/"));
        soon(asked.recv()).await.expect("a run").answer(tagged("old"));
        soon(first).await.expect("an answer");
        hand.advance(secs(12));
        assert_eq!(ask(&app, get("/")).await.text(), "old", "{name}");
        let refresh = soon(asked.recv()).await.expect("a refresh");
        cache.invalidate(["t"]).await.expect("invalidated");
        refresh.answer(tagged("begun before"));
        settle().await;
        let next = beside(&app, get("/"));
        soon(asked.recv()).await.expect("a run").answer(tagged("new"));
        assert_eq!((soon(next).await.expect("an answer").text(), runs.count()), ("new", 3), "{name}");
    }
}

#[tokio::test]
async fn a_refresh_ends_at_its_deadline_and_the_next_may_begin() {
    let ((app, mut asked, runs), (cache, hand)) = (asking(), clocked());
    let app = app
        .layer(windows!(cache_page(10).cache(&cache)).stale_while_revalidate(60).refresh_deadline(secs(3)));
    let first = beside(&app, get("/"));
    soon(asked.recv()).await.expect("a run").say(&[], "old");
    soon(first).await.expect("an answer");
    hand.advance(secs(12));
    ask_and_settle(&app, get("/")).await;
    let held = soon(asked.recv()).await.expect("a refresh");
    hand.advance(secs(3));
    settle().await;
    assert!(held.is_abandoned());
    hand.advance(secs(1));
    assert_eq!(ask(&app, get("/")).await.text(), "old");
    soon(asked.recv()).await.expect("the next").say(&[], "new");
    settle().await;
    assert_eq!((ask(&app, get("/")).await.text(), runs.count()), ("new", 3));
}

#[tokio::test]
async fn no_more_refreshes_run_at_once_than_the_limit() {
    let ((app, mut asked, runs), (cache, hand)) = (asking(), clocked());
    let app = app.layer(windows!(cache_page(10).cache(&cache)).max_refreshes(2));
    for path in ["/1", "/2", "/3"] {
        let first = beside(&app, get(path));
        soon(asked.recv()).await.expect("a run").say(&[], "old");
        soon(first).await.expect("an answer");
    }
    hand.advance(secs(12));
    for (path, said) in [("/1", BEHIND), ("/2", BEHIND), ("/3", "detail=refresh-limit"), ("/1", BEHIND)] {
        let shown = ask_and_settle(&app, get(path)).await;
        assert!(shown.text() == "old" && shown.cache_status().ends_with(said), "{path}: {shown:?}");
    }
    assert_eq!(runs.count(), 5);
    soon(asked.recv()).await.expect("a refresh").say(&[], "new");
    settle().await;
    assert!(ask(&app, get("/3")).await.cache_status().ends_with(BEHIND), "there is a place again");
}

#[tokio::test]
async fn what_a_middleware_outside_makes_private_is_not_stored_behind_either() {
    let ((app, runs), (cache, hand), passed) = (saying(&[]), clocked(), Runs::default());
    let seen = passed.clone();
    let tracks = axum::middleware::map_response(move |mut response: Response<Body>| {
        if seen.next() > 1 {
            response.headers_mut().insert("set-cookie", HeaderValue::from_static("track=1"));
        }
        std::future::ready(response)
    });
    let app = app.layer(windows!(cache_page(10).cache(&cache))).layer(tracks).layer(CachesLayer::outermost());
    ask(&app, get("/")).await;
    hand.advance(secs(11));
    assert_eq!(ask_and_settle(&app, get("/")).await.text(), "run 1");
    assert_eq!((runs.count(), passed.count()), (2, 3), "the refresh passed the middleware too");
    assert_eq!(ask(&app, get("/")).await.text(), "run 1", "and was not stored");
}

#[tokio::test]
async fn a_refresh_has_the_path_parameters_of_its_page_wherever_the_layers_stand() {
    let (cache, hand) = clocked();
    let page = || windows!(cache_page(10).cache(&cache));
    let runs = Runs::default();
    let courses = |prefix: &'static str| {
        let runs = runs.clone();
        let show = move |Path((shop, id)): Path<(String, u32)>| async move {
            format!("{shop} {id}: {}", runs.next())
        };
        Router::new().route("/{id}", route(show).layer(page().key_prefix(prefix)))
    };
    let nested = |prefix| Router::new().nest("/{shop}/courses", courses(prefix));
    let inside = nested("a").layer(CachesLayer::outermost());
    let outside = Router::new()
        .fallback_service(tower::ServiceBuilder::new().layer(CachesLayer::outermost()).service(nested("b")));
    for (name, app) in [("alone", nested("c")), ("inside the router", inside), ("around it", outside)] {
        let before = ask(&app, get("/rust/courses/7")).await;
        assert!(before.text().starts_with("rust 7: "), "{name}: {before:?}");
        hand.advance(secs(11));
        let stale = ask_and_settle(&app, get("/rust/courses/7")).await;
        assert_eq!(stale.body, before.body, "{name}");
        let after = ask(&app, get("/rust/courses/7")).await;
        assert_eq!(after.text(), format!("rust 7: {}", runs.count()), "{name}");
        assert_ne!(after.body, before.body, "{name}: made anew");
    }
}

#[tokio::test]
async fn a_page_made_inside_a_stale_one_by_another_layer_is_made_anew_too() {
    let ((app, runs), (cache, hand)) = (saying(&[]), clocked());
    let inside = app.layer(windows!(cache_page(10).cache(&cache).key_prefix("in")));
    let app = larder::site(inside).cache(&cache).key_prefix("out").timeout(5).into_router();
    ask(&app, get("/")).await;
    hand.advance(secs(11));
    let stale = ask_and_settle(&app, get("/")).await;
    assert_eq!(stale.text(), "run 1", "the inner page is stale, and is being made anew");
    assert_eq!((ask(&app, get("/")).await.text(), runs.count()), ("run 2", 2));
}
