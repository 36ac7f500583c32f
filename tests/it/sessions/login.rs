//! `axum-login`, which stands on an older release of `tower-sessions`: logging in, logging out, and each user's own pages.

use std::convert::Infallible;

use axum::Router;
use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum_login::tower_sessions::{SessionManagerLayer, SessionStore};
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, UserId};
use larder::prelude::*;
use larder::session::{CacheStore, CachedStore};
use larder_tests::serve;
use serde_json::Value;
use tower_sessions_014::MemoryStore;

use super::shop::{Visitor, caches};
use crate::support::Runs;

#[derive(Clone, Debug)]
struct User(String);

impl AuthUser for User {
    type Id = String;

    fn id(&self) -> String {
        self.0.clone()
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Everybody is who they say.
#[derive(Clone, Debug)]
struct Trusting;

impl AuthnBackend for Trusting {
    type User = User;
    type Credentials = String;
    type Error = Infallible;

    async fn authenticate(&self, name: String) -> Result<Option<User>, Infallible> {
        Ok(Some(User(name)))
    }

    async fn get_user(&self, id: &UserId<Self>) -> Result<Option<User>, Infallible> {
        Ok(Some(User(id.clone())))
    }
}

async fn login(mut auth: AuthSession<Trusting>, Query(query): Query<Value>) {
    let name = query["name"].as_str().expect("a name").to_owned();
    let user = auth.authenticate(name).await.expect("a backend").expect("a user");
    auth.login(&user).await.expect("a store");
}

async fn logout(mut auth: AuthSession<Trusting>) {
    auth.logout().await.expect("a store");
}

/// Depends on what a middleware outside of the cache made of the session.
async fn me(auth: AuthSession<Trusting>, State(runs): State<Runs>) -> String {
    runs.next();
    auth.user.map_or_else(|| "nobody".to_owned(), |user| user.0)
}

fn app<S: SessionStore + Clone>(store: S, cache: &Cache, ignores: bool) -> (Router, Runs) {
    let runs = Runs::default();
    let page = cache_page(60).cache(cache);
    let page = if ignores { page.ignore_cookies() } else { page };
    let sessions = SessionManagerLayer::new(store).with_secure(false);
    let app = Router::new()
        .route("/me", get(me).layer(page))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .with_state(runs.clone())
        .layer(AuthManagerLayerBuilder::new(Trusting, sessions).build());
    (app, runs)
}

async fn users<S: SessionStore + Clone>(store: impl Fn(&Cache) -> S) {
    for (name, cache) in caches() {
        for ignores in [false, true] {
            let name = format!("{name}, cookies ignored: {ignores}");
            let (app, runs) = app(store(&cache), &cache, ignores);
            let site = serve(app).await;
            let (mut alice, mut bob, mut nobody) = (Visitor::new(), Visitor::new(), Visitor::new());
            alice.post(&site, "/login?name=alice").await;
            bob.post(&site, "/login?name=bob").await;
            for _ in 0..2 {
                for (visitor, who) in [(&mut alice, "alice"), (&mut bob, "bob"), (&mut nobody, "nobody")] {
                    assert_eq!(visitor.get(&site, "/me").await.text, who, "{name}");
                }
            }
            assert_eq!(runs.count(), 3, "{name}: each page was made once");
            let old = alice.cookie().expect("a session").to_owned();
            alice.post(&site, "/logout").await;
            assert_eq!(alice.get(&site, "/me").await.text, "nobody", "{name}");
            assert_eq!(bob.get(&site, "/me").await.text, "bob", "{name}");
            // Whoever logs in again has another session; the old cookie opens nothing but a page that is still there.
            alice.post(&site, "/login?name=alice").await;
            assert_ne!(alice.cookie(), Some(&*old), "{name}");
            assert_eq!(alice.get(&site, "/me").await.text, "alice", "{name}");
            cache.clear().await.expect("cleared");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_who_log_in_see_their_own_pages_and_nobodys_once_they_log_out() {
    users(|_| MemoryStore::default()).await;
    users(|cache| CacheStore::new(cache)).await;
    users(|cache| CachedStore::new(cache, MemoryStore::default())).await;
}

/// SES-07: the id that somebody knew before the login is nothing afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_was_planted_before_the_login_opens_nothing_after_it() {
    for (name, cache) in caches() {
        let (app, _) = app(CacheStore::new(&cache), &cache, false);
        let site = serve(app).await;
        // Mallory has a session of his own, and has alice use its cookie.
        let mut mallory = Visitor::new();
        mallory.post(&site, "/login?name=mallory").await;
        let planted = mallory.cookie().expect("a session").to_owned();
        mallory.post(&site, "/logout").await;
        let mut alice = Visitor::with_cookie(&planted);
        alice.post(&site, "/login?name=alice").await;
        assert_ne!(alice.cookie(), Some(&*planted), "{name}");
        assert_eq!(alice.get(&site, "/me").await.text, "alice", "{name}");
        assert_eq!(Visitor::with_cookie(&planted).get(&site, "/me").await.text, "nobody", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_cache_logs_out_with_sessions_in_it_alone_and_nobody_with_a_durable_store() {
    for (name, cache) in caches() {
        let durable = MemoryStore::default();
        let (alone, _) = app(CacheStore::new(&cache), &cache, true);
        let (both, _) = app(CachedStore::new(&cache, durable).key_prefix("durable"), &cache, true);
        for (site, after) in [(serve(alone).await, "nobody"), (serve(both).await, "alice")] {
            let mut alice = Visitor::new();
            alice.post(&site, "/login?name=alice").await;
            assert_eq!(alice.get(&site, "/me").await.text, "alice", "{name}");
            cache.clear().await.expect("cleared");
            assert_eq!(alice.get(&site, "/me").await.text, after, "{name}");
        }
    }
}
