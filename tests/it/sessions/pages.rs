//! First visits, two users, messages that are shown once: in every arrangement, over real sockets.

use std::collections::HashSet;

use futures_util::future::join_all;
use larder::Cache;
use larder::session::{CacheStore, CachedStore};
use tower_sessions::{MemoryStore, SessionStore};

use super::shop::{Cookies, Place, Visitor, each};

/// With the cookie taken away before it reaches the session layer, every visit is a first one.
fn is_always_new(place: Place, cookies: Cookies) -> bool {
    place == Place::BetweenPair && cookies != Cookies::All
}

async fn first_visits<S: SessionStore + Clone>(store: impl Fn(&Cache) -> S) {
    each(store, |site, _, place, cookies, name| async move {
        let mut visitors: Vec<Visitor> = (0..8).map(|_| Visitor::new()).collect();
        let shown = join_all(visitors.iter_mut().map(|visitor| visitor.get(&site, "/number"))).await;
        let texts: HashSet<_> = shown.iter().map(|shown| shown.text.clone()).collect();
        assert_eq!(texts.len(), visitors.len(), "{name}: everybody has a number of their own: {shown:?}");
        assert!(
            shown.iter().all(|shown| !shown.set_cookie.is_empty() && !shown.is_hit()),
            "{name}: {shown:?}"
        );
        assert!(visitors.iter().all(Visitor::has_session), "{name}");
        let newcomer = Visitor::new().get(&site, "/number").await;
        assert!(!texts.contains(&newcomer.text), "{name}: {newcomer:?}");
        if is_always_new(place, cookies) {
            return;
        }
        // Whoever comes back has the number that was theirs, from the cache in the end.
        for (visitor, before) in visitors.iter_mut().zip(&shown) {
            for again in 0..2 {
                let back = visitor.get(&site, "/number").await;
                assert_eq!(back.text, before.text, "{name}");
                assert_eq!(back.is_hit(), again == 1, "{name}: {back:?}");
            }
        }
    })
    .await;
}

async fn two_users<S: SessionStore + Clone>(store: impl Fn(&Cache) -> S) {
    each(store, |site, _, place, cookies, name| async move {
        if is_always_new(place, cookies) {
            return;
        }
        let (mut alice, mut bob, mut nobody) = (Visitor::new(), Visitor::new(), Visitor::new());
        alice.post(&site, "/login?name=alice").await;
        bob.post(&site, "/login?name=bob").await;
        for again in [false, true] {
            for (visitor, greeted) in [(&mut alice, "alice"), (&mut bob, "bob"), (&mut nobody, "nobody")] {
                let shown = visitor.get(&site, "/greet").await;
                assert_eq!(shown.text, format!("hello {greeted}"), "{name}");
                assert_eq!(shown.is_hit(), again, "{name}: {shown:?}");
                assert!(shown.vary.to_lowercase().contains("cookie"), "{name}: {shown:?}");
                let keyed = if cookies == Cookies::All { "cookie-keyed" } else { "session-keyed" };
                assert_eq!(shown.cache_status.contains(keyed), greeted != "nobody", "{name}: {shown:?}");
            }
        }
        let pages = alice.get(&site, "/greet").await;
        assert!(pages.is_hit() && pages.text == "hello alice", "{name}: {pages:?}");
        alice.post(&site, "/logout").await;
        assert_eq!(alice.get(&site, "/greet").await.text, "hello nobody", "{name}");
        assert_eq!(bob.get(&site, "/greet").await.text, "hello bob", "{name}");
    })
    .await;
}

async fn shown_once<S: SessionStore + Clone>(store: impl Fn(&Cache) -> S) {
    each(store, |site, _, place, cookies, name| async move {
        if is_always_new(place, cookies) {
            return;
        }
        let (mut alice, mut bob) = (Visitor::new(), Visitor::new());
        alice.post(&site, "/login?name=alice").await;
        bob.post(&site, "/login?name=bob").await;
        alice.post(&site, "/saved").await;
        assert_eq!(bob.get(&site, "/board").await.text, "no news", "{name}");
        let shown = alice.get(&site, "/board").await;
        assert_eq!(shown.text, "saved", "{name}");
        assert!(!shown.cache_status.contains("stored"), "{name}: {shown:?}");
        assert_eq!(alice.get(&site, "/board").await.text, "no news", "{name}");
        assert_eq!(bob.get(&site, "/board").await.text, "no news", "{name}");
    })
    .await;
}

fn cached_db(cache: &Cache) -> CachedStore<MemoryStore> {
    CachedStore::new(cache, MemoryStore::default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_created_on_a_first_visit_is_never_shown_to_the_next_visitor() {
    first_visits(|_| MemoryStore::default()).await;
    first_visits(|cache| CacheStore::new(cache)).await;
    first_visits(cached_db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_users_never_see_each_others_page() {
    two_users(|_| MemoryStore::default()).await;
    two_users(|cache| CacheStore::new(cache)).await;
    two_users(cached_db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_in_the_session_is_shown_once_and_to_its_user_only() {
    shown_once(|_| MemoryStore::default()).await;
    shown_once(|cache| CacheStore::new(cache)).await;
    shown_once(cached_db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_public_is_shared_by_all_sessions() {
    each(
        |_| MemoryStore::default(),
        |site, runs, _, _, name| async move {
            let (mut alice, mut bob) = (Visitor::new(), Visitor::new());
            alice.post(&site, "/login?name=alice").await;
            bob.post(&site, "/login?name=bob").await;
            // Until it is stored, only those of her own variant can join.
            while !alice.get(&site, "/everybodys").await.cache_status.starts_with("larder; hit") {}
            for visitor in [&mut alice, &mut bob, &mut Visitor::new()] {
                let shown = visitor.get(&site, "/everybodys").await;
                assert_eq!((shown.text.as_str(), shown.is_hit()), ("run 1", true), "{name}: {shown:?}");
            }
            assert_eq!(runs.count(), 1, "{name}");
        },
    )
    .await;
}

/// A gateway goes by what a response says, and one made under a session is made to say `Vary: Cookie`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_the_rules_of_a_shared_cache_users_have_their_own_pages_too() {
    use axum::routing::{get, post};
    use larder::prelude::*;
    use tower_sessions::{Session, SessionManagerLayer};

    async fn name(session: Session) -> String {
        session.get("name").await.expect("a store").unwrap_or_else(|| "nobody".to_owned())
    }
    for (store, cache) in super::shop::caches() {
        let greet = |session: Session| async { ([("cache-control", "max-age=60")], name(session).await) };
        let page = cache_page(60).cache(&cache).policy(larder::Policy::shared());
        let app = axum::Router::new()
            .route("/", get(greet).layer(page))
            .route(
                "/alice",
                post(
                    |session: Session| async move { session.insert("name", "alice").await.expect("a store") },
                ),
            )
            .route(
                "/bob",
                post(|session: Session| async move { session.insert("name", "bob").await.expect("a store") }),
            )
            .layer(SessionManagerLayer::new(CacheStore::new(&cache)).with_secure(false));
        let site = larder_tests::serve(app).await;
        let (mut alice, mut bob, mut nobody) = (Visitor::new(), Visitor::new(), Visitor::new());
        alice.post(&site, "/alice").await;
        bob.post(&site, "/bob").await;
        for again in [false, true] {
            for (visitor, who) in [(&mut alice, "alice"), (&mut bob, "bob"), (&mut nobody, "nobody")] {
                let shown = visitor.get(&site, "/").await;
                assert_eq!((shown.text.as_str(), shown.is_hit()), (who, again), "{store}: {shown:?}");
                assert!(shown.vary.to_lowercase().contains("cookie"), "{store}: {shown:?}");
            }
        }
    }
}
