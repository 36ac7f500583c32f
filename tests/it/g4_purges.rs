//! G4 for purges: by URL, route, host, path and all, hard and soft, through every layer and on every backend.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get as on_get;
use http::{Method, header};
use larder::{Cache, KeyParts, Policy, Purge, PurgePages as _, cache_page};
use larder_tests::env;

use crate::fed::{asking, settle, soon};
use crate::g3_once::beside;
use crate::support::{ask, clocked, get, get_with, memory, origin, patient, request};

/// An application in which routes have parameters, with the layer on the routes, or a pair around it.
fn mounts(cache: &Cache) -> Vec<(&'static str, Router)> {
    let page = async || ([(header::CACHE_CONTROL, "max-age=600"), (header::VARY, "accept-language")], "page");
    let routes = || {
        let inner = Router::new().route("/{id}/edit", on_get(page));
        Router::new()
            .route("/courses", on_get(page))
            .route("/courses/{id}", on_get(page))
            .route("/courses-of-old", on_get(page))
            .nest("/courses", inner)
    };
    vec![
        ("cache_page", routes().layer(cache_page(600).cache(cache))),
        ("gateway", routes().layer(cache_page(600).cache(cache).key_prefix("g").policy(Policy::shared()))),
        ("site", larder::site(routes()).cache(cache).into_router()),
        ("named", larder::site(routes()).cache(cache).key_prefix("n").name_routes().into_router()),
    ]
}

const PAGES: [(&str, &str); 6] = [
    ("a.example", "/courses"),
    ("a.example", "/courses?page=2"),
    ("a.example", "/courses/7"),
    ("a.example", "/courses/7/edit"),
    ("a.example", "/courses-of-old"),
    ("b.example", "/courses/7"),
];

/// Which pages are there: some variant of them, and all. Those that are not are made.
async fn hits(app: &Router) -> Vec<(bool, bool)> {
    let mut hits = Vec::new();
    for (host, path) in PAGES {
        let mut hit = Vec::new();
        for (method, language) in [(Method::GET, "de"), (Method::GET, "en"), (Method::HEAD, "de")] {
            let fields = [("host", host), ("accept-language", language)];
            hit.push(ask(app, request(method, path, &fields)).await.is_hit());
        }
        // What GET has just made anew answers HEAD.
        hits.push((hit[0] || hit[1], hit == [true; 3]));
    }
    hits
}

async fn filled(app: &Router, what: &str) {
    for _ in 0..500 {
        if hits(app).await.iter().all(|(_, all)| *all) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("{what} is never all stored");
}

/// Purges where all pages are stored. A store that is shared may lose one more in passing, as when a lease changes hands; not each time.
async fn takes(app: &Router, cache: &Cache, purge: Purge, left: [bool; 6], what: &str) {
    for again in [true, true, false] {
        filled(app, what).await;
        cache.purge(purge.clone()).await.expect("it works");
        let hits = hits(app).await;
        let too_few = hits.iter().zip(left).any(|((some, _), left)| *some && !left);
        assert!(!too_few, "{what} are still there: {hits:?}, and not {left:?}");
        if hits.iter().map(|(_, all)| *all).eq(left) {
            return;
        }
        assert!(again, "{what} are not all that is gone: {hits:?}, and not {left:?}");
    }
}

async fn each_purge_takes_what_it_names(cache: &Cache) {
    let t = true;
    for (name, app) in mounts(cache) {
        let routed = name != "site"; // The pair stands around the router, and has to be told.
        for (purge, left) in [
            (Purge::url("http://a.example/courses"), [false, t, t, t, t, t]),
            (Purge::url("https://A.example/courses?page=2"), [t, false, t, t, t, t]),
            (Purge::url("/courses/7"), [t, t, false, t, t, false]),
            (Purge::host("a.example"), [false, false, false, false, false, t]),
            (Purge::prefix("/courses/7"), [t, t, false, false, t, false]),
            (Purge::prefix("/courses"), [false, false, false, false, t, false]),
            (Purge::route("/courses/{id}"), [t, t, !routed, t, t, !routed]),
            (Purge::route("/courses/{id}/edit"), [t, t, t, !routed, t, t]),
            (Purge::all(), [false; 6]),
            (Purge::url("https://a.example/nothing"), [t; 6]),
        ] {
            let what = format!("{name}, {purge}");
            takes(&app, cache, purge.clone(), left, &what).await;
            // Without a window, what is stale is made anew.
            takes(&app, cache, purge.soft(), left, &format!("{what}, softly")).await;
        }
    }
}

fn prefix() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("purge{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst))
}

#[tokio::test]
async fn each_purge_takes_what_it_names_in_memory_files_and_sqlite() {
    each_purge_takes_what_it_names(&memory()).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display();
    for url in [format!("file://{path}/files"), format!("sqlite://{path}/cache.db")] {
        each_purge_takes_what_it_names(&patient(&url)).await;
    }
}

#[tokio::test]
async fn each_purge_takes_what_it_names_on_redis_on_a_cluster_and_in_tiers() {
    let url = env::redis_url();
    each_purge_takes_what_it_names(&patient(&format!("{url}?prefix={}", prefix()))).await;
    each_purge_takes_what_it_names(&patient(&format!("tiered:?l2={url}&prefix={}", prefix()))).await;
    let cluster = format!("{}?prefix={}", env::redis_cluster_url(), prefix());
    each_purge_takes_what_it_names(&patient(&cluster)).await;
    let memcached = env::memcached().join(",");
    each_purge_takes_what_it_names(&patient(&format!("memcached://{memcached}?prefix={}", prefix()))).await;
}

async fn on_sql(url: String) {
    let more = if url.contains('?') { '&' } else { '?' };
    each_purge_takes_what_it_names(&patient(&format!("{url}{more}prefix={}", prefix()))).await;
}

#[tokio::test]
async fn each_purge_takes_what_it_names_on_postgres() {
    on_sql(env::postgres_url()).await;
}

#[tokio::test]
async fn each_purge_takes_what_it_names_on_mysql() {
    on_sql(env::mysql_url()).await;
}

#[tokio::test]
async fn values_stay_and_another_handle_on_the_store_sees_the_purge() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/cache.db", dir.path().display());
    let (one, two) = (patient(&url), patient(&url));
    let (_, app) = mounts(&one).swap_remove(0);
    one.set("value", 7).tags(["t"]).await.unwrap();
    filled(&app, "the page").await;
    two.purge(Purge::all()).await.unwrap();
    assert_eq!(hits(&app).await, [(false, false); 6]);
    assert_eq!(one.get::<u8>("value").await.unwrap(), Some(7));
}

#[tokio::test]
async fn a_page_under_way_is_not_stored_after_the_purge_and_nobody_joins_it() {
    for purge in [Purge::url("/"), Purge::prefix("/"), Purge::all(), Purge::host("h"), Purge::all().soft()] {
        let cache = memory();
        let (app, mut asked, runs) = asking();
        let app = app.layer(cache_page(60).cache(&cache));
        let of = || get_with("/", &[("host", "h")]);
        let first = beside(&app, of());
        let run = soon(asked.recv()).await.unwrap();
        settle().await;
        cache.purge(purge.clone()).await.expect("it works");
        let second = beside(&app, of());
        let again = soon(asked.recv()).await.unwrap();
        assert_eq!(
            runs.count(),
            2,
            "{purge}: who asks after the purge does not wait for what was begun before"
        );
        assert!(again.say(&[], "new"));
        assert_eq!(soon(second).await.unwrap().text(), "new", "{purge}");
        assert!(run.say(&[], "old"));
        assert_eq!(soon(first).await.unwrap().text(), "old", "{purge}");
        settle().await;
        assert_eq!(ask(&app, of()).await.text(), "new", "{purge}");
    }
}

#[tokio::test]
async fn a_soft_purge_shows_pages_in_their_windows_and_has_them_made_anew() {
    let (cache, hand) = clocked();
    let (app, runs) = origin(|run, _| format!("run {run}"));
    let app = app.layer(cache_page(600).cache(&cache).stale_while_revalidate(60));
    assert_eq!(ask(&app, get("/")).await.text(), "run 1");
    hand.advance(std::time::Duration::from_secs(10));
    cache.purge(Purge::prefix("/").soft()).await.unwrap();
    let shown = ask(&app, get("/")).await;
    assert_eq!(shown.text(), "run 1", "shown once more");
    assert_eq!(shown.cache_status(), "larder; hit; ttl=0; detail=stale-while-revalidate");
    for _ in 0..100 {
        settle().await;
    }
    assert_eq!(runs.count(), 2, "and made anew");
    let answer = ask(&app, get("/")).await;
    assert!(answer.is_hit() && answer.text() == "run 2", "{}", answer.cache_status());
    hand.advance(std::time::Duration::from_secs(10));
    cache.purge(Purge::url("/").soft()).await.unwrap();
    hand.advance(std::time::Duration::from_secs(61));
    assert_eq!(ask(&app, get("/")).await.text(), "run 3", "its window is over");
    cache.purge(Purge::url("/")).await.unwrap();
    assert_eq!(ask(&app, get("/")).await.text(), "run 4", "a hard one shows nothing");
}

#[tokio::test]
async fn a_url_is_purged_as_visitors_write_it_though_only_a_part_of_its_query_counts() {
    let cache = memory();
    let (app, _) = origin(|run, _| format!("run {run}"));
    let app = app.layer(cache_page(600).cache(&cache).key(&KeyParts::new().query(["page", "q"])));
    let written = ["/a?q=x&page=2", "/a?page=2&q=x", "/a?utm_source=mail&page=2&q=x"];
    for asked in written {
        for host in ["", "http://h.example"] {
            for path in [asked, "/b?page=2&q=x"] {
                ask(&app, get_with(path, &[("host", "h.example")])).await;
            }
            cache.purge(Purge::url(format!("{host}{asked}"))).await.unwrap();
            for path in written {
                cache.purge(Purge::url("/b")).await.unwrap();
                cache.purge(Purge::url("http://other.example/a?page=2&q=x")).await.unwrap();
                let answer = ask(&app, get_with(path, &[("host", "h.example")])).await;
                assert_eq!(answer.is_hit(), path != written[0], "{path} after a purge of {host}{asked}");
            }
            assert!(ask(&app, get_with("/b?q=x&page=2", &[("host", "h.example")])).await.is_hit());
        }
    }
}
