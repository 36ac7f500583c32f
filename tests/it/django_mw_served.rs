//! How long Django's cache middlewares and `cache_page` keep a page, and what a hit looks like: the
//! lines 17 to 29 and 41 to 44 of group MW.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use http::Method;
use larder::prelude::*;
use larder::{ManualClock, cache_control, site};
use tower::ServiceBuilder;

use crate::support::{Runs, ask, clocked, get, origin, request, saying};

/// For how many seconds an application's page is served without being made again, at most 2,000.
async fn kept(app: &Router, hand: &ManualClock, runs: &Runs) -> u64 {
    ask(app, get("/")).await;
    let before = runs.count();
    for second in 0..2_000 {
        ask(app, get("/")).await;
        if runs.count() > before {
            return second;
        }
        hand.advance(Duration::from_secs(1));
    }
    2_000
}

async fn page_keeps(timeout: Timeout, fields: &[(&'static str, &str)]) -> u64 {
    let ((app, runs), (cache, hand)) = (saying(fields), clocked());
    kept(&app.layer(cache_page(timeout).cache(&cache)), &hand, &runs).await
}

async fn site_keeps(timeout: u64, fields: &[(&'static str, &str)]) -> u64 {
    let ((app, runs), (cache, hand)) = (saying(fields), clocked());
    kept(&site(app).timeout(timeout).cache(&cache).into_router(), &hand, &runs).await
}

#[tokio::test]
async fn mw_17_the_pages_own_max_age_beats_the_sites_timeout() {
    assert_eq!(site_keeps(600, &[("cache-control", "max-age=5")]).await, 5);
    assert_eq!(site_keeps(600, &[("cache-control", "max-age=1000")]).await, 1000);
    assert_eq!(site_keeps(600, &[]).await, 600);
}

#[tokio::test]
async fn mw_18_max_age_0_is_not_stored_by_the_site() {
    assert_eq!(site_keeps(600, &[("cache-control", "max-age=0")]).await, 0);
    let (app, _) = saying(&[("cache-control", "max-age=0")]);
    let answer = ask(&site(app).cache(&clocked().0).into_router(), get("/")).await;
    assert_eq!((answer.field("cache-control").as_str(), answer.field("expires").as_str()), ("max-age=0", ""));
}

#[tokio::test]
async fn mw_19_s_maxage_and_expires_do_not_say_how_long_a_page_is_kept_here() {
    for fields in [("cache-control", "s-maxage=5"), ("expires", "Sun, 09 Sep 2001 01:46:40 GMT")] {
        assert_eq!(site_keeps(600, &[fields]).await, 600, "{fields:?}");
        assert_eq!(page_keeps(60.into(), &[fields]).await, 60, "{fields:?}");
    }
}

#[tokio::test]
async fn mw_20_the_timeout_of_cache_page_beats_the_pages_max_age_and_clients_get_the_smaller() {
    for (own, told) in
        [("max-age=5", "max-age=5"), ("max-age=1000", "max-age=60"), ("s-maxage=5", "s-maxage=5, max-age=60")]
    {
        assert_eq!(page_keeps(60.into(), &[("cache-control", own)]).await, 60, "{own}");
        let (app, _) = saying(&[("cache-control", own)]);
        let answer = ask(&app.layer(cache_page(60).cache(&clocked().0)), get("/")).await;
        assert_eq!(answer.field("cache-control"), told);
    }
}

#[tokio::test]
async fn mw_21_cache_page_stores_a_page_with_max_age_0_and_leaves_the_header() {
    assert_eq!(page_keeps(60.into(), &[("cache-control", "max-age=0")]).await, 60);
    let (app, _) = saying(&[("cache-control", "max-age=0")]);
    let app = app.layer(cache_page(60).cache(&clocked().0));
    for _ in 0..2 {
        assert_eq!(ask(&app, get("/")).await.field("cache-control"), "max-age=0");
    }
    assert_eq!(page_keeps(60.into(), &[("cache-control", "max-age=-5")]).await, 60);
    assert_eq!(site_keeps(600, &[("cache-control", "max-age=-5")]).await, 0, "a negative one has expired");
}

#[tokio::test]
async fn mw_22_zero_seconds_is_not_served_from_the_cache_and_clients_are_told_not_to_keep_it() {
    assert_eq!(page_keeps(0.into(), &[]).await, 0);
    assert_eq!(page_keeps(Duration::ZERO.into(), &[]).await, 0);
    let before = std::time::SystemTime::now();
    let answer = ask(&saying(&[]).0.layer(cache_page(0)), get("/")).await;
    assert_eq!(answer.field("cache-control"), "max-age=0");
    let expires = larder::http_rules::parse_date(answer.field("expires").as_bytes(), u64::MAX / 2).unwrap();
    let before = before.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() * 1000;
    assert!((before..before + 60_000).contains(&expires), "now, not later");
}

#[tokio::test]
async fn mw_22_a_site_of_zero_seconds_stores_what_says_so_itself_and_nothing_else() {
    assert_eq!(site_keeps(0, &[]).await, 0);
    assert_eq!(site_keeps(0, &[("cache-control", "max-age=30")]).await, 30);
    let (app, _) = saying(&[]);
    let answer = ask(&site(app).timeout(0).cache(&clocked().0).into_router(), get("/")).await;
    assert_eq!(answer.field("cache-control"), "max-age=0");
    assert_eq!(answer.field("expires"), "Tue, 14 Nov 2023 22:13:20 GMT");
}

#[tokio::test]
async fn mw_23_the_default_timeout_is_the_pages_max_age_else_the_caches_own() {
    assert_eq!(page_keeps(Timeout::DEFAULT, &[]).await, 300);
    assert_eq!(page_keeps(Timeout::DEFAULT, &[("cache-control", "max-age=7")]).await, 7);
    assert_eq!(page_keeps(Timeout::FOREVER, &[("cache-control", "max-age=7")]).await, 2_000);
}

#[tokio::test]
async fn mw_24_an_expires_of_the_page_is_kept() {
    let (app, _) = saying(&[("expires", "Sun, 09 Sep 2001 01:46:40 GMT")]);
    let app = app.layer(cache_page(60).cache(&clocked().0));
    for _ in 0..2 {
        let answer = ask(&app, get("/")).await;
        assert_eq!(answer.field("expires"), "Sun, 09 Sep 2001 01:46:40 GMT");
        assert_eq!(answer.field("cache-control"), "max-age=60");
    }
}

#[tokio::test]
async fn mw_25_a_hit_says_its_age_and_is_else_the_page_as_it_was() {
    let (cache, hand) = clocked();
    let (app, _) = saying(&[("content-type", "text/x-run"), ("x-made", "once"), ("x-made", "and again")]);
    let app = app.layer(cache_page(60).cache(&cache));
    let first = ask(&app, get("/")).await;
    for seconds in [0, 7, 59] {
        hand.set(crate::support::BEGIN + seconds * 1000);
        let mut hit = ask(&app, get("/")).await;
        assert_eq!(hit.headers.remove("age").unwrap(), seconds.to_string().as_str());
        let mut made = first.headers.clone();
        made.remove("cache-status");
        hit.headers.remove("cache-status");
        assert_eq!((hit.headers, hit.body), (made, first.body.clone()));
    }
}

#[tokio::test]
async fn mw_27_an_age_of_the_origin_is_replaced_by_the_computed_one() {
    let (cache, hand) = clocked();
    let (app, runs) = saying(&[("age", "5")]);
    let app = app.layer(cache_page(60).cache(&cache));
    assert_eq!(ask(&app, get("/")).await.field("age"), "5", "what is passed on is as old as it says");
    hand.advance(Duration::from_secs(2));
    // Django says 2 and forgets the five seconds before (RFC 9111, section 4.2.3).
    assert_eq!(ask(&app, get("/")).await.field("age"), "7");
    hand.advance(Duration::from_secs(57));
    ask(&app, get("/")).await;
    assert_eq!(runs.count(), 1, "kept for its 60 seconds all the same");
}

fn head(path: &str) -> http::Request<Body> {
    request(Method::HEAD, path, &[])
}

#[tokio::test]
async fn mw_28_a_cached_get_answers_head() {
    for in_site in [false, true] {
        let ((app, runs), (cache, _)) = (saying(&[]), clocked());
        let app = if in_site {
            site(app).cache(&cache).into_router()
        } else {
            app.layer(cache_page(60).cache(&cache))
        };
        let full = ask(&app, get("/")).await;
        let answer = ask(&app, head("/")).await;
        assert!(answer.is_hit() && answer.body.is_empty());
        assert_eq!(answer.field("content-length"), full.body.len().to_string());
        assert_eq!(answer.field("cache-control"), full.field("cache-control"));
        assert_eq!(runs.count(), 1);
    }
}

#[tokio::test]
async fn mw_29_a_head_answers_head_and_never_a_get() {
    for in_site in [false, true] {
        let ((app, runs), (cache, _)) = (saying(&[]), clocked());
        let app = if in_site {
            site(app).cache(&cache).into_router()
        } else {
            app.layer(cache_page(60).cache(&cache))
        };
        ask(&app, head("/")).await;
        assert!(ask(&app, head("/")).await.is_hit());
        assert_eq!(runs.count(), 1);
        let answer = ask(&app, get("/")).await;
        assert_eq!((answer.text(), runs.count()), ("run 2", 2));
        assert!(ask(&app, get("/")).await.is_hit() && ask(&app, head("/")).await.is_hit());
    }
}

#[tokio::test]
async fn mw_41_a_max_age_that_is_no_number_counts_as_none() {
    for cc in ["max-age=abc", "max-age=\"60\"", "max-age", "max-age=", "max-age=1.5"] {
        assert_eq!(site_keeps(600, &[("cache-control", cc)]).await, 600, "{cc}");
        let (app, _) = saying(&[("cache-control", cc)]);
        let answer = ask(&site(app).cache(&clocked().0).into_router(), get("/")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.field("cache-control").as_str()),
            (200, "max-age=600"),
            "{cc}"
        );
    }
    assert_eq!(site_keeps(600, &[("cache-control", "max-age=1, max-age=2")]).await, 1, "of two, the smaller");
}

#[tokio::test]
async fn mw_42_alias_seconds_and_prefix_are_told_to_the_layer() {
    let ((default, _), (other, hand)) = (clocked(), clocked());
    let caches = Caches::new(default.clone()).with("other", other.clone());
    let (app, runs) = saying(&[]);
    let site = Router::new()
        .fallback_service(
            ServiceBuilder::new()
                .layer(UpdateCacheLayer::new(30).cache("other").key_prefix("middlewareprefix"))
                .layer(FetchFromCacheLayer::new())
                .service(app),
        )
        .layer(CachesLayer::new(caches.clone()));
    assert_eq!(ask(&site, get("/")).await.field("cache-control"), "max-age=30");
    default.clear().await.unwrap();
    assert!(ask(&site, get("/")).await.is_hit());
    let (app, _) = saying(&[]);
    let unprefixed = larder::site(app).cache("other").into_router().layer(CachesLayer::new(caches.clone()));
    assert!(!ask(&unprefixed, get("/")).await.is_hit());
    hand.advance(Duration::from_secs(30));
    assert!(!ask(&site, get("/")).await.is_hit());
    ask(&site, get("/")).await;
    other.clear().await.unwrap();
    assert!(!ask(&site, get("/")).await.is_hit());
    assert_eq!(runs.count(), 3);

    // Without a word, the alias `default` and no prefix.
    let page = saying(&[]).0.layer(cache_page(60)).layer(CachesLayer::new(caches));
    ask(&page, get("/")).await;
    assert!(ask(&saying(&[]).0.layer(cache_page(60).cache(&default)), get("/")).await.is_hit());
}

#[tokio::test]
async fn mw_43_prefix_and_cache_keep_entries_apart_and_each_has_its_timeout() {
    let ((default, hand), (other, other_hand)) = (clocked(), clocked());
    let view = |name: &'static str, page: larder::CachePage| {
        origin(move |run, _| format!("{name} {run}")).0.layer(page)
    };
    let plain = view("plain", cache_page(3).cache(&default));
    let again = view("again", cache_page(3).cache(&default));
    let prefixed = view("prefixed", cache_page(3).cache(&default).key_prefix("prefix1"));
    let elsewhere = view("elsewhere", cache_page(1).cache(&other));
    let bodies = async || {
        let mut bodies = Vec::new();
        for app in [&plain, &again, &prefixed, &elsewhere] {
            bodies.push(ask(app, get("/")).await.text().to_owned());
        }
        bodies
    };
    assert_eq!(bodies().await, ["plain 1", "plain 1", "prefixed 1", "elsewhere 1"]);
    for hand in [&hand, &other_hand] {
        hand.advance(Duration::from_secs(2));
    }
    assert_eq!(bodies().await, ["plain 1", "plain 1", "prefixed 1", "elsewhere 2"]);
    hand.advance(Duration::from_secs(2));
    assert_eq!(bodies().await, ["plain 2", "plain 2", "prefixed 2", "elsewhere 2"]);
}

#[tokio::test]
async fn mw_44_a_handler_that_waits_is_cached_like_any_other() {
    let runs = Runs::default();
    let seen = runs.clone();
    let app = Router::new().fallback(move || {
        let run = seen.next();
        async move {
            tokio::task::yield_now().await;
            format!("run {run}").into_response()
        }
    });
    let app = site(app.layer(cache_control().public())).cache(&clocked().0).into_router();
    ask(&app, get("/")).await;
    assert!(ask(&app, get("/")).await.is_hit());
    assert_eq!(runs.count(), 1);
}
