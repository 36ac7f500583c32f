//! G2, private stays private: cookies set by the handler, between the pair, and outside of the route's layer, which can't see them.
//!
//! Django's per-view trap: `cache_page` runs inside the session middleware, so a first visit looks like anybody's until its cookie is set.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::get as on_get;
use axum::{Extension, Router};
use futures_util::future::join_all;
use http::{HeaderValue, header};
use larder::prelude::*;
use tokio::sync::Semaphore;
use tower::{Layer, ServiceBuilder};

use crate::support::{Answer, Runs, ask, get, get_with, memory};

pub(crate) const AT_ONCE: usize = 20;

/// Whom a middleware of the application's own found out the visitor to be.
#[derive(Clone)]
struct Visitor(String);

/// A session middleware that no cache knows: a visitor without a cookie gets one on the way out.
async fn own_sessions(State(made): State<Runs>, mut request: Request, next: Next) -> Response {
    let known = request.headers().get(header::COOKIE).and_then(|c| c.to_str().ok()?.strip_prefix("id="));
    let (new, id) = match known {
        Some(id) => (false, id.to_owned()),
        None => (true, format!("visitor-{}", made.next())),
    };
    request.extensions_mut().insert(Visitor(id.clone()));
    let mut response = next.run(request).await;
    if new {
        let cookie = format!("id={id}").parse().expect("a cookie");
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// An application whose page is about its visitor; it waits at a door, so that many can be on their way.
#[derive(Clone, Default)]
struct Shop {
    runs: Runs,
    visitors: Runs,
    door: Option<Arc<Semaphore>>,
}

impl Shop {
    fn with_a_door() -> Self {
        Self { door: Some(Arc::new(Semaphore::new(0))), ..Self::default() }
    }

    fn page(&self) -> axum::routing::MethodRouter {
        let shop = self.clone();
        on_get(move |Extension(visitor): Extension<Visitor>| shop.answer(visitor.0))
    }

    async fn answer(self, visitor: String) -> String {
        self.runs.next();
        if let Some(door) = &self.door {
            door.acquire().await.expect("the door is there").forget();
        }
        format!("for {visitor}")
    }

    /// `cache_page` on the route, the session middleware outside of it.
    fn per_route(&self, cache: &Cache) -> Router {
        Router::new()
            .route("/", self.page().layer(cache_page(60).cache(cache)))
            .layer(from_fn_with_state(self.visitors.clone(), own_sessions))
    }

    /// Every way in which a Larder layer can stand outside of the session middleware.
    fn guarded(&self) -> Vec<(&'static str, Router)> {
        let cache = memory();
        let between = ServiceBuilder::new()
            .layer(UpdateCacheLayer::new(60).cache(memory()))
            .layer(from_fn_with_state(self.visitors.clone(), own_sessions))
            .layer(FetchFromCacheLayer::new())
            .service(Router::new().route("/", self.page()));
        vec![
            ("CachesLayer", self.per_route(&cache).layer(CachesLayer::outermost())),
            (
                "CachesLayer around the router",
                Router::new().fallback_service(CachesLayer::new(memory()).layer(self.per_route(&cache))),
            ),
            ("site", larder::site(self.per_route(&memory())).cache(memory()).into_router()),
            ("between the pair", Router::new().fallback_service(between)),
        ]
    }
}

/// Asks many times at once: all are on their way before the first page is made.
async fn at_once(app: &Router, door: &Semaphore, runs: &Runs) -> Vec<Answer> {
    let asked: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { ask(&app, get("/")).await })
        })
        .collect();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(runs.count(), 1, "one makes its page, the others wait for it");
    door.add_permits(AT_ONCE);
    join_all(asked).await.into_iter().map(|answer| answer.expect("no panic")).collect()
}

/// Each page is for the visitor whose cookie comes with it, and no two are the same.
fn each_its_own(answers: &[Answer], name: &str) {
    let mut seen = HashSet::new();
    for answer in answers {
        let cookie = answer.field("set-cookie");
        let id = cookie.strip_prefix("id=").and_then(|c| c.split(';').next()).expect("a session cookie");
        assert!(answer.text().ends_with(id), "{name}: {} came with {cookie}", answer.text());
        let status = answer.cache_status();
        assert!(!answer.is_hit() && !answer.is_stored() && !status.contains("collapsed"), "{name}: {status}");
        assert!(seen.insert(id.to_owned()), "{name}: {id} twice");
    }
}

#[tokio::test]
async fn a_first_visit_whose_cookie_is_set_outside_is_nobody_elses_page() {
    let shop = Shop::default();
    for (name, app) in shop.guarded() {
        let mut answers = Vec::new();
        for _ in 0..3 {
            answers.push(ask(&app, get("/")).await);
        }
        each_its_own(&answers, name);
    }
}

#[tokio::test]
async fn of_many_first_visits_at_once_each_gets_its_own_page() {
    for at in 0..4 {
        let shop = Shop::with_a_door();
        let (name, app) = shop.guarded().swap_remove(at);
        let door = shop.door.clone().expect("a door");
        let answers = at_once(&app, &door, &shop.runs).await;
        assert_eq!(answers.len(), AT_ONCE);
        each_its_own(&answers, name);
        assert_eq!(shop.runs.count(), AT_ONCE, "{name}");
        // From now on it is known, and nobody waits.
        door.add_permits(2);
        each_its_own(&[ask(&app, get("/")).await, ask(&app, get("/")).await], name);
    }
}

#[tokio::test]
async fn a_visitor_who_is_known_gets_pages_from_the_cache_inside_all_of_them() {
    let shop = Shop::default();
    for (name, app) in shop.guarded() {
        for id in ["alice", "bob"] {
            let fields = [("cookie", &*format!("id={id}"))];
            let first = ask(&app, get_with("/", &fields)).await;
            assert_eq!(first.text(), format!("for {id}"), "{name}");
            let again = ask(&app, get_with("/", &fields)).await;
            assert_eq!(again.text(), format!("for {id}"), "{name}");
            assert!(again.cache_status().contains("larder; hit"), "{name}: {}", again.cache_status());
        }
    }
}

#[tokio::test]
async fn what_becomes_private_outside_in_any_other_way_is_not_stored_either() {
    let runs = Runs::default();
    for (field, value) in [("cache-control", "private"), ("cache-control", "no-store"), ("vary", "*")] {
        let seen = runs.clone();
        let page =
            on_get(move || async move { seen.next().to_string() }).layer(cache_page(60).cache(memory()));
        let private = from_fn(move |request: Request, next: Next| async move {
            let mut response = next.run(request).await;
            response.headers_mut().insert(field, HeaderValue::from_static(value));
            response
        });
        let app = Router::new().route("/", page).layer(private).layer(CachesLayer::outermost());
        let (first, second) = (ask(&app, get("/")).await, ask(&app, get("/")).await);
        assert_ne!(first.text(), second.text(), "{field}: {value}");
    }
}

#[tokio::test]
async fn never_cache_outside_of_the_route_leaves_the_page_in_the_cache() {
    let page = on_get(|| async { "hello" }).layer(cache_page(60).cache(memory()));
    let app = Router::new().route("/", page).layer(larder::never_cache()).layer(CachesLayer::outermost());
    ask(&app, get("/")).await;
    let again = ask(&app, get("/")).await;
    assert!(again.is_hit() && again.field("cache-control").contains("no-store"));
}

#[tokio::test]
async fn a_cookie_that_the_handler_sets_is_its_visitors_alone() {
    let (runs, door) = (Runs::default(), Arc::new(Semaphore::new(0)));
    let (seen, gate) = (runs.clone(), Arc::clone(&door));
    let handler = on_get(move || async move {
        let run = seen.next();
        gate.acquire().await.unwrap().forget();
        ([(header::SET_COOKIE, format!("id=run-{run}"))], format!("run-{run}"))
    });
    for app in [
        Router::new().route("/", handler.clone().layer(cache_page(60).cache(memory()))),
        larder::site(Router::new().route("/", handler)).cache(memory()).into_router(),
    ] {
        let before = runs.count();
        let asked: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let app = app.clone();
                tokio::spawn(async move { ask(&app, get("/")).await })
            })
            .collect();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(runs.count(), before + 1);
        door.add_permits(AT_ONCE);
        let answers: Vec<_> = join_all(asked).await.into_iter().map(Result::unwrap).collect();
        each_its_own(&answers, "handler");
        assert_eq!(runs.count(), before + AT_ONCE);
    }
}

#[tokio::test]
async fn a_cookie_set_between_the_pair_on_a_hit_is_for_this_visitor_only() {
    let runs = Runs::default();
    let seen = runs.clone();
    let app = Router::new().route("/", on_get(move || async move { seen.next().to_string() }));
    let campaign = from_fn(|request: Request, next: Next| async move {
        let join = request.headers().contains_key("x-join");
        let mut response = next.run(request).await;
        if join {
            response.headers_mut().append(header::SET_COOKIE, HeaderValue::from_static("campaign=1"));
        }
        response
    });
    let site = ServiceBuilder::new()
        .layer(UpdateCacheLayer::new(60).cache(memory()))
        .layer(campaign)
        .layer(FetchFromCacheLayer::new())
        .service(app);
    let site = Router::new().fallback_service(site);
    assert!(ask(&site, get("/")).await.is_stored());
    let joined = ask(&site, get_with("/", &[("x-join", "1")])).await;
    assert!(joined.is_hit());
    assert_eq!(joined.field("set-cookie"), "campaign=1");
    assert!(joined.field("cache-control").contains("private"), "no cache further out keeps the cookie");
    let other = ask(&site, get("/")).await;
    assert!(
        other.is_hit()
            && other.field("set-cookie").is_empty()
            && !other.field("cache-control").contains("private")
    );
    assert_eq!(runs.count(), 1);
}
