//! G2, private stays private: first visits with the sessions of `tower-sessions`, whose cookie is set outside of the route's layer.

use std::collections::HashSet;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::routing::get as on_get;
use futures_util::future::join_all;
use larder::prelude::*;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

use crate::g2_sessions::AT_ONCE;
use crate::support::{Runs, ask, get, get_with, memory};

/// A page that counts its visitor's visits in a session of `tower-sessions`.
async fn visits(session: Session, runs: Runs) -> String {
    runs.next();
    tokio::task::yield_now().await;
    let visits: usize = session.get("visits").await.expect("a store").unwrap_or_default();
    session.insert("visits", visits + 1).await.expect("a store");
    format!("visit {}", visits + 1)
}

fn visited(runs: &Runs, hide: bool) -> Router {
    let runs = runs.clone();
    let handler = move |request: Request| {
        let extensions = request.extensions();
        let session =
            extensions.get::<Session>().cloned().or_else(|| Some(extensions.get::<Hidden>()?.0.clone()));
        visits(session.expect("a session"), runs.clone())
    };
    let routes = Router::new().route("/", on_get(handler).layer(cache_page(60).cache(memory())));
    let hidden = from_fn(move |mut request: Request, next: Next| async move {
        if hide && let Some(session) = request.extensions_mut().remove::<Session>() {
            request.extensions_mut().insert(Hidden(session));
        }
        next.run(request).await
    });
    routes.layer(hidden).layer(SessionManagerLayer::new(MemoryStore::default()).with_secure(false))
}

/// A session where no cache finds it.
#[derive(Clone)]
struct Hidden(Session);

async fn first_visits(app: Router, runs: &Runs, name: &str) {
    let asked: Vec<_> = (0..AT_ONCE).map(|_| ask(&app, get("/"))).collect();
    let answers = join_all(asked).await;
    let cookies: HashSet<_> = answers.iter().map(|answer| answer.field("set-cookie")).collect();
    assert_eq!(cookies.len(), AT_ONCE, "{name}: everybody has a session");
    assert!(cookies.iter().all(|cookie| cookie.starts_with("id=")), "{name}: {cookies:?}");
    assert!(answers.iter().all(|answer| answer.text() == "visit 1" && !answer.is_hit()), "{name}");
    assert_eq!(runs.count(), AT_ONCE, "{name}");
    // Whoever comes back has the session that was theirs.
    let cookie = answers[0].field("set-cookie");
    let back = ask(&app, get_with("/", &[("cookie", cookie.split(';').next().expect("a pair"))])).await;
    assert_eq!(back.text(), "visit 2", "{name}");
}

#[tokio::test]
async fn first_visits_with_tower_sessions_are_kept_apart_by_a_layer_outside() {
    for hide in [true, false] {
        let runs = Runs::default();
        first_visits(visited(&runs, hide).layer(CachesLayer::outermost()), &runs, "CachesLayer").await;
        let runs = Runs::default();
        first_visits(larder::site(visited(&runs, hide)).cache(memory()).into_router(), &runs, "site").await;
    }
}

#[tokio::test]
async fn first_visits_are_kept_apart_without_any_layer_outside_and_without_a_feature() {
    let runs = Runs::default();
    let app = visited(&runs, false);
    let first = ask(&app, get("/")).await;
    assert_eq!(first.cache_status(), "larder; fwd=uri-miss; detail=session-modified");
    let runs = Runs::default();
    first_visits(visited(&runs, false), &runs, "no layer outside").await;
}

#[tokio::test]
async fn a_session_that_is_only_read_does_not_keep_a_page_out_of_the_cache() {
    let handler = |session: Session| async move {
        format!("{:?}", session.get::<usize>("visits").await.expect("a store"))
    };
    let app = Router::new()
        .route("/", on_get(handler).layer(cache_page(60).cache(memory())))
        .layer(SessionManagerLayer::new(MemoryStore::default()))
        .layer(CachesLayer::outermost());
    assert!(ask(&app, get("/")).await.is_stored());
    assert!(ask(&app, get("/")).await.is_hit());
}
