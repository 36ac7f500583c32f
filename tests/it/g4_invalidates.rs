//! `invalidates`: what a write route makes out of date, once it succeeded, before its answer is seen.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use axum::extract::Path;
use axum::routing::{get as on_get, post, put};
use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use larder::prelude::*;
use larder::{Cache, CachesLayer, ErrorKind, ManualClock, PageTags, Policy};
use larder_memory::Memory;
use larder_testkit::{Fault, Faults, Faulty, Op};
use tokio::sync::Notify;
use tower::{ServiceBuilder, ServiceExt, service_fn};

use crate::support::{Runs, ask, get, memory, request};

fn write(method: Method, uri: &str) -> Request<Body> {
    request(method, uri, &[])
}

/// A value under each of these tags.
async fn fill(cache: &Cache, tags: &[&str]) {
    for tag in tags {
        cache.set(tag, *tag).tags([*tag]).await.expect("it is stored");
    }
}

/// The tags that still have their value.
async fn left(cache: &Cache, tags: &[&'static str]) -> Vec<&'static str> {
    let mut left = Vec::new();
    for tag in tags {
        if cache.get::<String>(tag).await.expect("it is read").is_some() {
            left.push(*tag);
        }
    }
    left
}

#[tokio::test]
async fn who_sees_the_answer_to_a_write_is_shown_no_page_from_before_it() {
    let (cache, runs) = (memory(), Runs::default());
    let app = Router::new()
        .route(
            "/courses",
            on_get(move || async move { runs.next().to_string() })
                .layer(cache_page(60).cache(&cache).tags(["course_list"])),
        )
        .route(
            "/courses",
            post(|| async { StatusCode::CREATED }).layer(invalidates(["course_list"]).cache(&cache)),
        );
    ask(&app, get("/courses")).await;
    assert!(ask(&app, get("/courses")).await.is_hit());
    assert_eq!(ask(&app, write(Method::POST, "/courses?x")).await.status, 201);
    let after = ask(&app, get("/courses")).await;
    assert_eq!((after.is_hit(), after.text()), (false, "2"));
}

#[tokio::test]
async fn a_soft_one_shows_the_page_once_more_and_takes_values() {
    let (cache, runs) = (memory(), Runs::default());
    let app = Router::new()
        .route(
            "/courses",
            on_get(move || async move { runs.next().to_string() })
                .layer(cache_page(60).cache(&cache).tags(["list"]).stale_while_revalidate(600)),
        )
        .route(
            "/courses/{id}",
            put(|| async { StatusCode::NO_CONTENT }).layer(invalidates(["list"]).cache(&cache).soft()),
        );
    ask(&app, get("/courses")).await;
    fill(&cache, &["list", "other"]).await;
    assert_eq!(ask(&app, write(Method::PUT, "/courses/7")).await.status, 204);
    let after = ask(&app, get("/courses")).await;
    assert_eq!(after.text(), "1");
    let status = after.cache_status();
    assert!(after.is_hit() && status.ends_with("; detail=stale-while-revalidate"), "{status}");
    assert_eq!(left(&cache, &["list", "other"]).await, ["other"]);
}

#[tokio::test]
async fn a_page_that_was_being_made_when_the_write_came_is_not_kept() {
    let (cache, begun, go_on) = (memory(), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, goes_on) = (Arc::clone(&begun), Arc::clone(&go_on));
    let page = move || async move {
        begins.notify_one();
        goes_on.notified().await;
        (PageTags::new(["course:7"]), "old")
    };
    let app = Router::new()
        .route("/page", on_get(page).layer(cache_page(60).cache(&cache)))
        .route("/{id}", put(|| async {}).layer(invalidates(["course:{id}"]).cache(&cache)));
    let slow = tokio::spawn({
        let app = app.clone();
        async move { ask(&app, get("/page")).await }
    });
    begun.notified().await;
    ask(&app, write(Method::PUT, "/7")).await;
    go_on.notify_one();
    assert_eq!(slow.await.unwrap().text(), "old");
    go_on.notify_one();
    assert!(!ask(&app, get("/page")).await.is_hit());
}

#[tokio::test]
async fn only_success_counts_or_what_the_application_calls_so() {
    let cache = memory();
    let answers = |Path(status): Path<u16>| async move { StatusCode::from_u16(status).unwrap() };
    let usual = invalidates(["t"]).cache(&cache);
    let own = usual.clone().when(|status| status == StatusCode::NOT_FOUND || status.is_success());
    let app = Router::new()
        .route("/usual/{status}", post(answers).layer(usual))
        .route("/own/{status}", post(answers).layer(own));
    for (uri, gone) in [
        ("/usual/200", true),
        ("/usual/204", true),
        ("/usual/303", true),
        ("/usual/400", false),
        ("/usual/404", false),
        ("/usual/500", false),
        ("/own/404", true),
        ("/own/201", true),
        ("/own/303", false),
    ] {
        fill(&cache, &["t"]).await;
        ask(&app, write(Method::POST, uri)).await;
        assert_eq!(left(&cache, &["t"]).await.is_empty(), gone, "{uri}");
    }
}

#[tokio::test]
async fn path_parameters_of_the_whole_route_name_the_tags() {
    let (cache, tags) = (memory(), ["a:north/7 ü", "a:north/8", "north", "list"]);
    let layer = invalidates(["a:{school}/{id}", "{school}", "list"]).cache(&cache);
    let inner = Router::new().route("/{id}", put(|| async {})).layer(layer);
    let app: Router = Router::new().nest("/{school}", inner);
    fill(&cache, &tags).await;
    ask(&app, write(Method::PUT, "/north/7%20%C3%BC")).await;
    assert_eq!(left(&cache, &tags).await, ["a:north/8"]);
}

#[tokio::test]
async fn reading_invalidates_nothing_unless_the_handler_says_so() {
    let cache = memory();
    let app = Router::new()
        .route("/", on_get(|| async {}).post(|| async {}))
        .route("/asks", on_get(|| async { (Invalidates::new(["asked"]), "done") }))
        .layer(invalidates(["t"]).cache(&cache));
    for method in [Method::GET, Method::HEAD] {
        fill(&cache, &["t", "asked"]).await;
        ask(&app, write(method.clone(), "/")).await;
        assert_eq!(left(&cache, &["t", "asked"]).await, ["t", "asked"]);
        ask(&app, write(method, "/asks")).await;
        assert_eq!(left(&cache, &["t", "asked"]).await, ["t"]);
    }
    ask(&app, write(Method::POST, "/")).await;
    assert!(left(&cache, &["t"]).await.is_empty());
}

#[tokio::test]
async fn tags_of_the_handler_add_up_with_those_of_every_layer_around_it() {
    let (one, two, tags) = (memory(), memory(), ["a", "b", "c", "d", "e"]);
    let handler = || async { (Invalidates::new(["a"]), Invalidates::new(["b", ""]), "done") };
    let app = Router::new()
        .route("/", post(handler))
        .layer(invalidates(["c"]).cache(&one))
        .layer(invalidates(["d"]).cache(&two));
    fill(&one, &tags).await;
    fill(&two, &tags).await;
    ask(&app, write(Method::POST, "/")).await;
    assert_eq!(left(&one, &tags).await, ["d", "e"]);
    assert_eq!(left(&two, &tags).await, ["c", "e"]);
}

#[tokio::test]
async fn it_knows_caches_as_the_other_layers_do_and_several_of_them() {
    let (default, other) = (memory(), memory());
    let caches = larder::Caches::new(default.clone()).with("other", other.clone());
    let app = Router::new()
        .route("/default", post(|| async {}).layer(invalidates(["t"])))
        .route("/both", post(|| async {}).layer(invalidates(["t"]).cache("other").cache(&default)))
        .layer(CachesLayer::new(caches));
    for (uri, stays) in [("/default", 1), ("/both", 0)] {
        fill(&default, &["t"]).await;
        fill(&other, &["t"]).await;
        ask(&app, write(Method::POST, uri)).await;
        assert!(left(&default, &["t"]).await.is_empty(), "{uri}");
        assert_eq!(left(&other, &["t"]).await.len(), stays, "{uri}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_takes_neither_the_write_nor_its_invalidation_with_it() {
    let (cache, begun, go_on) = (memory(), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let written = Arc::new(AtomicBool::new(false));
    let (begins, goes_on, writes) = (Arc::clone(&begun), Arc::clone(&go_on), Arc::clone(&written));
    let handler = move || async move {
        begins.notify_one();
        goes_on.notified().await;
        writes.store(true, SeqCst);
    };
    let app = Router::new().route("/", post(handler).layer(invalidates(["t"]).cache(&cache)));
    fill(&cache, &["t"]).await;
    let client = tokio::spawn(async move { ask(&app, write(Method::POST, "/")).await });
    begun.notified().await;
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    assert_eq!(left(&cache, &["t"]).await, ["t"]);
    go_on.notify_one();
    while !left(&cache, &["t"]).await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(written.load(SeqCst));
}

fn faulty() -> (Cache, Faults, ManualClock) {
    let hand = ManualClock::new(1_700_000_000_000);
    let backend = Faulty::over(Memory::new());
    let faults = backend.faults();
    (Cache::builder(backend).clock(hand.clock()).build().expect("a cache"), faults, hand)
}

#[tokio::test]
async fn what_was_written_is_answered_as_written_though_the_cache_is_down_and_is_invalidated_later() {
    let (cache, faults, hand) = faulty();
    let app = Router::new()
        .route("/", post(|| async { StatusCode::CREATED }).layer(invalidates(["t"]).cache(&cache)))
        .route(
            "/strict",
            post(|| async { StatusCode::CREATED }).layer(invalidates(["t"]).cache(&cache).on_failure(
                |head, error| {
                    assert_eq!(error.kind(), ErrorKind::Unavailable);
                    head.status = StatusCode::SERVICE_UNAVAILABLE;
                },
            )),
        );
    for (uri, status) in [("/", 201), ("/strict", 503)] {
        fill(&cache, &["t"]).await;
        faults.add(Fault::error(ErrorKind::Unavailable).on([Op::Invalidate]).times(3));
        assert_eq!(ask(&app, write(Method::POST, uri)).await.status, status);
        assert_eq!(left(&cache, &["t"]).await, ["t"], "nothing could be done yet");
        while !left(&cache, &["t"]).await.is_empty() {
            hand.advance(Duration::from_secs(5));
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_tag_that_can_not_be_named_fails_by_its_name_and_the_others_are_invalidated() {
    let cache = memory();
    let failing = |tag: &'static str| {
        invalidates([tag, "t"]).cache(&cache).on_failure(move |head, error| {
            assert!(error.to_string().contains(tag), "{error}");
            head.status = StatusCode::INTERNAL_SERVER_ERROR;
        })
    };
    let app = Router::new()
        .route("/lacks/{id}", post(|| async {}).layer(failing("course:{slug}")))
        .route("/broken/{id}", post(|| async {}).layer(failing("course:{id")))
        .route(
            "/alias",
            post(|| async {}).layer(invalidates(["t"]).cache("none").on_failure(|head, error| {
                assert!(error.to_string().contains("alias"), "{error}");
                head.status = StatusCode::INTERNAL_SERVER_ERROR;
            })),
        );
    for uri in ["/lacks/7", "/broken/7"] {
        fill(&cache, &["t"]).await;
        assert_eq!(ask(&app, write(Method::POST, uri)).await.status, 500, "{uri}");
        assert!(left(&cache, &["t"]).await.is_empty(), "{uri}");
    }
    assert_eq!(ask(&app, write(Method::POST, "/alias")).await.status, 500);
}

#[tokio::test]
async fn it_mounts_wherever_tower_allows_and_adds_no_error_of_its_own() {
    let cache = memory();
    let layer = || invalidates(["t"]).cache(&cache);
    // Another body and another error than Axum's.
    let bare = ServiceBuilder::new().layer(layer()).service_fn(|_: Request<()>| async {
        Ok::<_, std::io::Error>(Response::new(Full::new(Bytes::from_static(b"done"))))
    });
    fill(&cache, &["t"]).await;
    let answer: Result<Response<Full<Bytes>>, std::io::Error> =
        bare.oneshot(Request::post("/").body(()).unwrap()).await;
    assert_eq!(answer.unwrap().status(), 200);
    assert!(left(&cache, &["t"]).await.is_empty());

    let handler = || async { "done" };
    let service = ServiceBuilder::new()
        .layer(layer())
        .service(service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::empty())) }));
    let mounts: [(&str, Router); 5] = [
        ("a handler", Router::new().route("/", post(axum::handler::Handler::layer(handler, layer())))),
        ("a route", Router::new().route("/", post(handler).layer(layer()))),
        ("a router", Router::new().route("/", post(handler)).layer(layer())),
        ("its routes", Router::new().route("/", post(handler)).route_layer(layer())),
        ("a service", Router::new().route_service("/", service)),
    ];
    for (name, app) in mounts {
        fill(&cache, &["t"]).await;
        ask(&app, write(Method::POST, "/")).await;
        assert!(left(&cache, &["t"]).await.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn an_error_of_the_service_is_no_success() {
    let cache = memory();
    let failing = ServiceBuilder::new()
        .layer(invalidates(["t"]).cache(&cache))
        .service_fn(|_: Request<()>| async { Err::<Response<()>, _>(std::io::Error::other("broken")) });
    fill(&cache, &["t"]).await;
    assert_eq!(
        failing.oneshot(Request::post("/").body(()).unwrap()).await.unwrap_err().to_string(),
        "broken"
    );
    assert_eq!(left(&cache, &["t"]).await, ["t"]);
}

#[tokio::test]
async fn the_pages_of_a_url_are_dropped_later_if_that_fails_when_it_is_written_to() {
    for policy in [Policy::origin(), Policy::shared()] {
        let (cache, faults, hand) = faulty();
        let page = async || ([("cache-control", "max-age=100000000")], "page");
        let app = Router::new()
            .route("/", on_get(page).post(|| async { StatusCode::CREATED }))
            .layer(cache_page(100_000_000).cache(&cache).policy(policy));
        ask(&app, get("/")).await;
        faults.add(Fault::error(ErrorKind::Unavailable).on([Op::Invalidate]).times(2));
        assert_eq!(ask(&app, write(Method::POST, "/")).await.status, 201);
        assert!(ask(&app, get("/")).await.is_hit(), "nothing could be done yet");
        for _ in 0..100 {
            hand.advance(Duration::from_secs(5));
            tokio::task::yield_now().await;
        }
        assert!(!ask(&app, get("/")).await.is_hit());
        assert_eq!(faults.met(), 2);
    }
}
