//! G3, once, in one process: many who miss the same page at the same time share one run; what can't be shared holds nobody up.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures_util::future::join_all;
use http::{Method, StatusCode};
use larder::cache_page;
use larder_tests::{client, serve};
use tokio::task::JoinHandle;

use crate::fed::{asking, fed, head, next_piece, piece, saying, settle, slowly, soon, status_of};
use crate::support::{Answer, ask, clocked, get, get_with, memory, request};

/// The two ways to mount.
pub(crate) fn mounts(app: &Router) -> [(&'static str, Router); 2] {
    [
        ("cache_page", app.clone().layer(cache_page(60).cache(memory()).tags(["courses"]))),
        ("site", larder::site(app.clone()).cache(memory()).with(|l| l.tags(["courses"])).into_router()),
    ]
}

/// Asks beside the test.
pub(crate) fn beside(app: &Router, request: http::Request<Body>) -> JoinHandle<Answer> {
    let app = app.clone();
    tokio::spawn(async move { ask(&app, request).await })
}

#[tokio::test]
async fn ten_thousand_that_miss_at_once_run_the_handler_once() {
    for at in 0..2 {
        let (app, mut asked, runs) = asking();
        let (name, app) = mounts(&app)[at].clone();
        let all: Vec<_> = (0..10_000).map(|_| beside(&app, get("/"))).collect();
        settle().await;
        soon(asked.recv()).await.unwrap().say(&[("x-run", "1")], "page");
        let answers = soon(join_all(all)).await;
        let collapsed =
            answers.iter().filter(|a| a.as_ref().unwrap().cache_status().ends_with("; collapsed")).count();
        for answer in answers {
            let answer = answer.unwrap();
            assert_eq!((answer.text(), &*answer.field("x-run")), ("page", "1"), "{name}");
        }
        assert_eq!((runs.count(), collapsed), (1, 9_999), "{name}");
        assert!(ask(&app, get("/")).await.is_hit(), "{name}");
    }
}

#[tokio::test]
async fn two_thousand_clients_that_miss_at_once_run_the_handler_once() {
    let (app, runs) = slowly(|_, _| async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        saying(&[], "page")
    });
    for (name, app) in mounts(&app) {
        let (served, client, before) = (serve(app).await, client(), runs.count());
        let answers = join_all((0..2_000).map(|_| client.get(served.url("/")).send())).await;
        for answer in answers {
            assert_eq!(answer.unwrap().text().await.unwrap(), "page", "{name}");
        }
        assert_eq!(runs.count() - before, 1, "{name}");
    }
}

#[tokio::test]
async fn who_waits_reads_along_while_the_body_is_still_coming() {
    for at in 0..2 {
        let (app, mut asked, runs) = asking();
        let (name, app) = mounts(&app)[at].clone();
        let leader = tokio::spawn({
            let app = app.clone();
            async move { head(&app, get("/")).await }
        });
        let run = soon(asked.recv()).await.unwrap();
        let early = tokio::spawn({
            let app = app.clone();
            async move { head(&app, get("/")).await }
        });
        settle().await;
        let (feed, body) = fed();
        run.say(&[("content-length", "6")], body);
        feed.send(piece("one")).unwrap();
        let mut bodies =
            vec![soon(leader).await.unwrap(), soon(early).await.unwrap(), head(&app, get("/")).await];
        for body in &mut bodies {
            assert_eq!(next_piece(body.body_mut()).await.unwrap().unwrap(), "one", "{name}");
        }
        feed.send(piece("two")).unwrap();
        drop(feed);
        for body in &mut bodies {
            assert_eq!(next_piece(body.body_mut()).await.unwrap().unwrap(), "two", "{name}");
            assert!(next_piece(body.body_mut()).await.is_none(), "{name}");
        }
        assert_eq!(runs.count(), 1, "{name}");
        assert_eq!(ask(&app, get("/")).await.text(), "onetwo", "{name}");
        assert_eq!(runs.count(), 1, "{name}");
    }
}

#[tokio::test]
async fn requests_for_other_variants_meet_again_by_variant() {
    for at in 0..2 {
        let (app, mut asked, runs) = asking();
        let (name, app) = mounts(&app)[at].clone();
        let in_language = |language| beside(&app, get_with("/", &[("accept-language", language)]));
        let leader = in_language("en");
        let run = soon(asked.recv()).await.unwrap();
        let waiters: Vec<_> =
            ["en", "de", "de", "fr", "en", "de", "fr"].into_iter().map(in_language).collect();
        settle().await;
        run.say(&[("vary", "accept-language")], "en");
        assert_eq!(soon(leader).await.unwrap().text(), "en", "{name}");
        for _ in 0..2 {
            let run = soon(asked.recv()).await.unwrap();
            settle().await;
            assert_eq!(runs.count(), 3, "{name}: one for each language");
            let language = run.request.headers["accept-language"].to_str().unwrap().to_owned();
            run.say(&[("vary", "accept-language")], language);
        }
        let texts: Vec<_> =
            soon(join_all(waiters)).await.into_iter().map(|a| a.unwrap().text().to_owned()).collect();
        assert_eq!(texts, ["en", "de", "de", "fr", "en", "de", "fr"], "{name}");
        assert_eq!(runs.count(), 3, "{name}");
    }
}

#[tokio::test]
async fn a_head_waits_for_a_get_and_a_get_never_for_a_head() {
    for at in 0..2 {
        let (app, mut asked, runs) = asking();
        let (name, app) = mounts(&app)[at].clone();
        let first_get = beside(&app, get("/"));
        let run = soon(asked.recv()).await.unwrap();
        let waiting_head = beside(&app, request(Method::HEAD, "/", &[]));
        settle().await;
        run.say(&[], "page");
        let (full, bare) = (soon(first_get).await.unwrap(), soon(waiting_head).await.unwrap());
        assert_eq!((full.text(), bare.text(), &*bare.field("content-length")), ("page", "", "4"), "{name}");
        assert_eq!(runs.count(), 1, "{name}");

        let leading_head = beside(&app, request(Method::HEAD, "/other", &[]));
        let head_run = soon(asked.recv()).await.unwrap();
        let full = beside(&app, get("/other"));
        let get_run = soon(asked.recv()).await.unwrap();
        assert_eq!(get_run.request.method, Method::GET, "{name}: it does not wait");
        get_run.say(&[], "page");
        assert_eq!(soon(full).await.unwrap().text(), "page", "{name}");
        head_run.say(&[("content-length", "4")], Body::empty());
        assert_eq!(soon(leading_head).await.unwrap().text(), "", "{name}");
        assert_eq!(ask(&app, get("/other")).await.text(), "page", "{name}: a HEAD stores no empty page");
        assert_eq!(runs.count(), 3, "{name}");
    }
}

#[tokio::test]
async fn a_conditional_request_leads_without_its_condition_and_gets_its_304() {
    for at in 0..2 {
        let (app, mut asked, runs) = asking();
        let (name, app) = mounts(&app)[at].clone();
        let leader = beside(&app, get_with("/", &[("if-none-match", "\"v1\"")]));
        let run = soon(asked.recv()).await.unwrap();
        assert!(!run.request.headers.contains_key("if-none-match"), "{name}: the page is made for all");
        let same = beside(&app, get_with("/", &[("if-none-match", "W/\"v1\"")]));
        let other = beside(&app, get_with("/", &[("if-none-match", "\"v0\"")]));
        let plain = beside(&app, get("/"));
        settle().await;
        run.say(&[("etag", "\"v1\"")], "page");
        for (who, status, text) in
            [(leader, 304, ""), (same, 304, ""), (other, 200, "page"), (plain, 200, "page")]
        {
            let answer = soon(who).await.unwrap();
            assert_eq!((answer.status.as_u16(), answer.text()), (status, text), "{name}: {answer:?}");
            assert_eq!(answer.field("etag"), "\"v1\"", "{name}");
        }
        assert_eq!(runs.count(), 1, "{name}");
        let hit = ask(&app, get_with("/", &[("if-none-match", "\"v1\"")])).await;
        assert_eq!((hit.status, hit.is_hit()), (StatusCode::NOT_MODIFIED, true), "{name}");
    }
}

#[tokio::test]
async fn a_condition_that_was_taken_away_is_evaluated_though_the_page_can_not_be_stored() {
    for at in 0..2 {
        let (app, mut asked, _) = asking();
        let (name, app) = mounts(&app)[at].clone();
        let leader = beside(&app, get_with("/", &[("if-none-match", "\"v1\"")]));
        soon(asked.recv()).await.unwrap().say(&[("etag", "\"v1\""), ("set-cookie", "a=1")], "page");
        let answer = soon(leader).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.text()), (304, ""), "{name}: {answer:?}");
        assert!(answer.cache_status().ends_with("detail=set-cookie"), "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn a_range_request_goes_alone() {
    for at in 0..2 {
        let (app, mut asked, runs) = asking();
        let (name, app) = mounts(&app)[at].clone();
        let whole = beside(&app, get("/"));
        let run = soon(asked.recv()).await.unwrap();
        let part = beside(&app, get_with("/", &[("range", "bytes=0-1")]));
        let part_run = soon(asked.recv()).await.unwrap();
        assert_eq!(part_run.request.headers["range"], "bytes=0-1", "{name}");
        let mut partial = saying(&[("content-range", "bytes 0-1/4")], "pa");
        *partial.status_mut() = StatusCode::PARTIAL_CONTENT;
        part_run.answer(partial);
        let part = soon(part).await.unwrap();
        assert_eq!((part.status.as_u16(), part.text()), (206, "pa"), "{name}");
        assert!(part.cache_status().ends_with("detail=partial"), "{name}: {part:?}");
        // It left no trace: others wait for the whole page still.
        let waiter = beside(&app, get("/"));
        settle().await;
        run.say(&[], "page");
        assert_eq!(soon(whole).await.unwrap().text(), "page", "{name}");
        assert_eq!(soon(waiter).await.unwrap().text(), "page", "{name}");
        assert_eq!(runs.count(), 2, "{name}");
    }
}

#[tokio::test]
async fn no_more_wait_than_the_limit() {
    let (app, mut asked, runs) = asking();
    let app = app.layer(cache_page(60).cache(memory()).max_waiters(1));
    let leader = beside(&app, get("/"));
    let run = soon(asked.recv()).await.unwrap();
    let waiter = beside(&app, get("/"));
    settle().await;
    let third = beside(&app, get("/"));
    soon(asked.recv()).await.unwrap().say(&[], "its own");
    let third = soon(third).await.unwrap();
    assert_eq!(
        (third.text(), &*third.cache_status()),
        ("its own", "larder; fwd=uri-miss; detail=wait-limit")
    );
    run.say(&[], "page");
    assert_eq!(soon(leader).await.unwrap().text(), "page");
    assert_eq!(soon(waiter).await.unwrap().text(), "page");
    assert_eq!(ask(&app, get("/")).await.text(), "page", "who went alone stored nothing");
    assert_eq!(runs.count(), 2);
}

#[tokio::test]
async fn nobody_waits_longer_than_the_limit() {
    let (cache, hand) = clocked();
    let (app, mut asked, runs) = asking();
    let app = app.layer(cache_page(600).cache(&cache).max_wait(Duration::from_secs(10)));
    let leader = beside(&app, get("/"));
    let run = soon(asked.recv()).await.unwrap();
    let waiter = beside(&app, get("/"));
    settle().await;
    hand.advance(Duration::from_millis(9_999));
    settle().await;
    assert_eq!(runs.count(), 1);
    hand.advance(Duration::from_millis(1));
    soon(asked.recv()).await.unwrap().say(&[], "its own");
    let waiter = soon(waiter).await.unwrap();
    assert_eq!(
        (waiter.text(), &*waiter.cache_status()),
        ("its own", "larder; fwd=uri-miss; detail=wait-limit")
    );
    run.say(&[], "page");
    assert_eq!(soon(leader).await.unwrap().text(), "page");
    assert_eq!(ask(&app, get("/")).await.text(), "page");
}

#[tokio::test]
async fn of_the_pair_those_who_wait_get_the_final_response() {
    use tower::ServiceBuilder;
    use tower_http::set_header::SetResponseHeaderLayer;

    let (app, mut asked, runs) = asking();
    let between = crate::support::Runs::default();
    let stamp =
        SetResponseHeaderLayer::overriding("x-between".parse().unwrap(), move |_: &http::Response<Body>| {
            Some(http::HeaderValue::from(between.next()))
        });
    let app = Router::new().fallback_service(
        ServiceBuilder::new()
            .layer(larder::UpdateCacheLayer::new(60).cache(memory()))
            .layer(stamp)
            .layer(larder::FetchFromCacheLayer::new())
            .service(app),
    );
    let leader = beside(&app, get("/"));
    let run = soon(asked.recv()).await.unwrap();
    let waiters: Vec<_> = (0..5).map(|_| beside(&app, get("/"))).collect();
    settle().await;
    run.say(&[], "page");
    let leader = soon(leader).await.unwrap();
    assert_eq!(leader.field("x-between"), "1");
    for waiter in waiters {
        let waiter = soon(waiter).await.unwrap();
        assert_eq!((waiter.text(), &*waiter.field("x-between")), ("page", "1"));
        assert_eq!(waiter.cache_status(), "larder; fwd=miss; collapsed");
    }
    assert_eq!(ask(&app, get("/")).await.field("x-between"), "1");
    assert_eq!(runs.count(), 1);
}

#[tokio::test]
async fn a_response_of_who_waited_says_so() {
    let (app, mut asked, _) = asking();
    let app = app.layer(cache_page(60).cache(memory()));
    let leader = beside(&app, get("/"));
    let run = soon(asked.recv()).await.unwrap();
    let waiter = tokio::spawn(async move { head(&app, get("/")).await });
    settle().await;
    run.say(&[], "page");
    assert_eq!(soon(leader).await.unwrap().cache_status(), "larder; fwd=uri-miss; stored; ttl=60");
    assert_eq!(status_of(&soon(waiter).await.unwrap()), "larder; fwd=miss; collapsed");
}
