//! What of Django's session middleware falls to the store and to the caching layers: cookies that are none, how long a session lives, and what
//! a response says about it.

use axum::Router;
use axum::extract::Query;
use axum::routing::{get, post};
use larder::prelude::*;
use larder::session::CacheStore;
use larder_tests::{Served, serve};
use serde_json::Value;
use tower_sessions::cookie::time::Duration;
use tower_sessions::{Expiry, Session, SessionManagerLayer};

use super::shop::{Visitor, caches};

async fn read(session: Session) -> String {
    session.get::<String>("name").await.expect("a store").unwrap_or_else(|| "nobody".to_owned())
}

async fn write(session: Session) -> &'static str {
    session.insert("name", "ada").await.expect("a store");
    "written"
}

async fn flush(session: Session) -> &'static str {
    session.flush().await.expect("a store");
    "flushed"
}

async fn expires(session: Session, Query(query): Query<Value>) -> &'static str {
    session.insert("name", "ada").await.expect("a store");
    let seconds = query["in"].as_str().and_then(|text| text.parse().ok());
    session.set_expiry(Some(match seconds {
        Some(seconds) => Expiry::OnInactivity(Duration::seconds(seconds)),
        None => Expiry::OnSessionEnd,
    }));
    "set"
}

async fn site(cache: &Cache, always: bool) -> Served {
    let page = || cache_page(60).cache(cache);
    let app = Router::new()
        .route("/read", get(read).layer(page()))
        .route("/untouched", get(|| async { "hello" }).layer(page()))
        .route("/write", get(write).layer(page()))
        .route("/flush", get(flush).layer(page()))
        .route("/expires", post(expires))
        .layer(SessionManagerLayer::new(CacheStore::new(cache)).with_secure(false).with_always_save(always));
    serve(app).await
}

/// SES-14, SES-17. An untouched session can't be told from one that was read, so it says `Vary: Cookie` as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_under_a_session_vary_on_cookie_and_only_what_changed_one_sets_it() {
    for (name, cache) in caches() {
        let site = site(&cache, false).await;
        let mut visitor = Visitor::new();
        for (path, sets) in
            [("/read", false), ("/untouched", false), ("/flush", false), ("/write", true), ("/read", false)]
        {
            let shown = visitor.get(&site, path).await;
            assert!(shown.vary.to_lowercase().contains("cookie"), "{name} {path}: {shown:?}");
            assert_eq!(!shown.set_cookie.is_empty(), sets, "{name} {path}: {shown:?}");
        }
        assert_eq!(visitor.get(&site, "/read").await.text, "ada", "{name}");
        let flushed = visitor.get(&site, "/flush").await;
        assert!(flushed.set_cookie.contains("Max-Age=0"), "{name}: {flushed:?}");
        assert!(flushed.vary.to_lowercase().contains("cookie"), "{name}: {flushed:?}");
        assert_eq!(visitor.get(&site, "/read").await.text, "nobody", "{name}");
    }
}

/// SES-15: every response sets the cookie, and none of them is in a stored page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_sessions_saved_on_every_request_no_stored_page_carries_a_cookie() {
    for (name, cache) in caches() {
        let site = site(&cache, true).await;
        let (mut ada, mut bob) = (Visitor::new(), Visitor::new());
        ada.get(&site, "/write").await;
        bob.get(&site, "/write").await;
        for _ in 0..2 {
            for visitor in [&mut ada, &mut bob] {
                let own = visitor.cookie().expect("a session").to_owned();
                let shown = visitor.get(&site, "/read").await;
                assert!(shown.vary.to_lowercase().contains("cookie"), "{name}: {shown:?}");
                assert_eq!(shown.set_cookie.split(';').next(), Some(&*own), "{name}: {shown:?}");
            }
        }
        assert!(ada.get(&site, "/read").await.is_hit(), "{name}");
    }
}

/// SES-08, SES-09.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_that_is_no_id_or_nobodys_is_no_session_and_no_error() {
    for (name, cache) in caches() {
        let site = site(&cache, false).await;
        for id in
            ["", "1", "1234567", &"x".repeat(1240), "AAAAAAAAAAAAAAAAAAAAAA", "%00", "....................."]
        {
            let cookie = format!("id={id}");
            let mut visitor = Visitor::with_cookie(&cookie);
            assert_eq!(visitor.get(&site, "/read").await.text, "nobody", "{name}: {id}");
            let written = visitor.get(&site, "/write").await;
            assert_eq!(written.text, "written", "{name}: {id}");
            assert!(
                !written.set_cookie.starts_with(&format!("{cookie};")),
                "{name}: a new id, not the one that was sent"
            );
            assert_eq!(visitor.get(&site, "/read").await.text, "ada", "{name}: {id}");
        }
    }
}

/// SES-10.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_kept_for_as_long_as_its_cookie() {
    for (name, cache) in caches() {
        let site = site(&cache, false).await;
        let shown = Visitor::new().post(&site, "/expires?in=10").await;
        assert!(shown.set_cookie.contains("Max-Age=10"), "{name}: {shown:?}");
        let shown = Visitor::new().post(&site, "/expires?in=end").await;
        assert!(
            shown.set_cookie.starts_with("id=") && !shown.set_cookie.contains("Max-Age"),
            "{name}: {shown:?}"
        );
        // SES-11: one that is over already is none.
        let mut visitor = Visitor::new();
        visitor.post(&site, "/expires?in=-10").await;
        assert_eq!(visitor.get(&site, "/read").await.text, "nobody", "{name}");
    }
}
