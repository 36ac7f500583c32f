//! G2, private stays private: first visits with the sessions of `tower-sessions`, whose cookie is set outside of the route's layer.

use std::collections::HashSet;
use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::routing::{MethodRouter, get as on_get};
use futures_util::future::join_all;
use futures_util::stream;
use larder::ErrorKind;
use larder::prelude::*;
use larder_testkit::{Fault, Faulty, Plain};
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

/// A page that is read from a session, of this status, in one piece or as it comes.
fn read(status: StatusCode, streams: bool) -> MethodRouter {
    on_get(move |session: Session| async move {
        let name: Option<String> = session.get("name").await.expect("a store");
        let text = format!("hello {name:?}");
        let body = match streams {
            true => Body::from_stream(stream::iter([Ok::<_, Infallible>(text)])),
            false => Body::from(text),
        };
        (status, [("cache-control", "max-age=100")], body)
    })
}

async fn log_in(session: Session) {
    session.insert("name", "ada").await.expect("a store");
}

#[tokio::test]
async fn what_is_not_stored_says_whose_it_is_too() {
    let broken = Faulty::over(Plain::default()).remote();
    broken.faults().add(Fault::error(ErrorKind::Unavailable));
    let (cache, broken) = (memory(), Cache::new(broken));
    let routes = |layer: Option<&dyn Fn(MethodRouter) -> MethodRouter>| {
        let of = |page| match layer {
            Some(layer) => layer(page),
            None => page,
        };
        Router::new()
            .route("/stored", of(read(StatusCode::OK, false)))
            .route("/missing", of(read(StatusCode::NOT_FOUND, false)))
            .route("/streamed", of(read(StatusCode::OK, true)))
    };
    let around = |routes: Router| {
        let sessions = SessionManagerLayer::new(MemoryStore::default()).with_secure(false);
        Router::new().route("/login", on_get(log_in)).merge(routes).layer(sessions)
    };
    let (good, bad) = (cache.clone(), broken.clone());
    let sites = [
        ("page", around(routes(Some(&|page| page.layer(cache_page(60).cache(&cache)))))),
        ("page, store down", around(routes(Some(&|page| page.layer(cache_page(60).cache(&broken)))))),
        ("site", around(larder::site(routes(None)).cache(&good).into_router())),
        ("site, store down", around(larder::site(routes(None)).cache(&bad).into_router())),
    ];
    for (name, app) in sites {
        let login = ask(&app, get("/login")).await;
        let cookie = login.field("set-cookie");
        let cookie = cookie.split(';').next().expect("a pair");
        for path in ["/stored", "/missing", "/streamed", "/missing"] {
            let answer = ask(&app, get_with(path, &[("cookie", cookie)])).await;
            let (control, vary) = (answer.field("cache-control"), answer.field("vary"));
            assert_eq!(answer.text(), "hello Some(\"ada\")", "{name} {path}");
            assert!(control.contains("private") && control.contains("max-age="), "{name} {path}: {control}");
            assert!(vary.eq_ignore_ascii_case("cookie"), "{name} {path}: {vary}");
            // A visitor without a session: nothing names anybody, and yet another might get another page.
            let answer = ask(&app, get(path)).await;
            assert!(!answer.field("cache-control").contains("private"), "{name} {path}");
            assert!(answer.field("vary").eq_ignore_ascii_case("cookie"), "{name} {path}");
        }
        // A client's range or condition on the page makes it nobody else's either.
        for field in ["if-match", "range"] {
            let answer = ask(&app, get_with("/stored", &[("cookie", cookie), (field, "bytes=0-1")])).await;
            assert!(answer.field("vary").eq_ignore_ascii_case("cookie"), "{name} {field}");
        }
    }
}

#[tokio::test]
async fn what_changed_a_session_is_its_visitors_alone_for_caches_in_front_too() {
    let count = |session: Session| async move {
        let visits = visits(session, Runs::default()).await;
        ([("cache-control", "max-age=100")], visits)
    };
    let inside = on_get(count).layer(cache_page(60).cache(memory()));
    let passed = on_get(count).layer(cache_page(60).cache(memory()));
    let changed = from_fn(async |session: Session, request: Request, next: Next| {
        session.insert("seen", true).await.expect("a store");
        next.run(request).await
    });
    let app = Router::new()
        .route("/changed", inside)
        .route("/changed-before", passed.layer(changed))
        .layer(SessionManagerLayer::new(MemoryStore::default()).with_secure(false));
    for path in ["/changed", "/changed-before"] {
        let first = ask(&app, get(path)).await;
        let cookie = first.field("set-cookie");
        let cookie = cookie.split(';').next().expect("a pair");
        let back = ask(&app, get_with(path, &[("cookie", cookie)])).await;
        assert_eq!((first.text(), back.text()), ("visit 1", "visit 2"), "{path}");
        for answer in [first, back] {
            let said = (answer.field("cache-control"), answer.field("vary"));
            assert_eq!((&*said.0, &*said.1), ("max-age=100, private", "Cookie"), "{path}");
        }
    }
}

#[tokio::test]
async fn what_is_public_by_its_own_word_stays_so_though_it_is_not_stored() {
    let page = on_get(async |_: Session| (StatusCode::NOT_FOUND, [("cache-control", "public, max-age=9")]));
    let app = Router::new()
        .route("/", page.layer(cache_page(60).cache(memory())))
        .layer(SessionManagerLayer::new(MemoryStore::default()));
    let answer = ask(&app, get("/")).await;
    assert_eq!((&*answer.field("cache-control"), &*answer.field("vary")), ("public, max-age=9", ""));
}

#[tokio::test]
async fn a_304_of_the_application_says_whose_page_it_is() {
    let page = on_get(async |_: Session| StatusCode::NOT_MODIFIED);
    let app = Router::new()
        .route("/", page.layer(cache_page(60).cache(memory())))
        .route("/login", on_get(log_in))
        .layer(SessionManagerLayer::new(MemoryStore::default()).with_secure(false));
    let login = ask(&app, get("/login")).await;
    let cookie = login.field("set-cookie");
    let cookie = cookie.split(';').next().expect("a pair");
    let answer = ask(&app, get_with("/", &[("cookie", cookie)])).await;
    assert_eq!((&*answer.field("cache-control"), &*answer.field("vary")), ("max-age=60, private", "Cookie"));
}
