//! Where the layers can be mounted: everywhere Tower and Axum allow, with the inner service's error and the service that was made ready.

use std::convert::Infallible;
use std::time::Duration;

use axum::handler::Handler;
use axum::routing::get as on_get;
use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use larder::prelude::*;
use tower::layer::util::{Identity, Stack};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{Answer, Runs, ask, get, get_with, memory};

fn counting(runs: &Runs) -> impl Handler<((),), ()> {
    let runs = runs.clone();
    move || async move { runs.next().to_string() }
}

/// The pair with nothing between, as one layer.
fn pair(cache: &Cache) -> Stack<FetchFromCacheLayer, Stack<UpdateCacheLayer, Identity>> {
    ServiceBuilder::new()
        .layer(UpdateCacheLayer::new(60).cache(cache))
        .layer(FetchFromCacheLayer::new())
        .into_inner()
}

/// What Axum asks of a service that comes out of a layer.
trait AxumService:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> AxumService for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// One run for two requests, and the second is answered by the cache.
async fn caches(name: &str, app: impl AxumService, runs: &Runs) {
    let before = runs.count();
    let first = ask(&app, get("/")).await;
    assert!(first.is_stored(), "{name}: {}", first.cache_status());
    let second = ask(&app, get("/")).await;
    assert!(second.is_hit(), "{name}: {}", second.cache_status());
    assert_eq!((first.text(), runs.count()), (second.text(), before + 1), "{name}");
}

#[tokio::test]
async fn cache_page_mounts_wherever_axum_takes_a_layer() {
    let runs = Runs::default();
    let layer = || cache_page(60).cache(memory());
    let route = || Router::new().route("/", on_get(counting(&runs)));
    caches("Router::layer", route().layer(layer()), &runs).await;
    caches("Router::route_layer", route().route_layer(layer()), &runs).await;
    let method = on_get(counting(&runs)).layer(layer());
    caches("MethodRouter::layer", Router::new().route("/", method), &runs).await;
    let method = on_get(counting(&runs)).route_layer(layer());
    caches("MethodRouter::route_layer", Router::new().route("/", method), &runs).await;
    let handler = counting(&runs).layer(layer());
    caches("Handler::layer", Router::new().route("/", on_get(handler)), &runs).await;
    let around = || ServiceBuilder::new().layer(layer()).service(route());
    caches("ServiceBuilder around a Router", around(), &runs).await;
    caches("fallback_service", Router::new().fallback_service(around()), &runs).await;
    caches("route_service", Router::new().route_service("/", around()), &runs).await;
}

#[tokio::test]
async fn the_pair_mounts_wherever_axum_takes_a_layer() {
    let runs = Runs::default();
    let route = || Router::new().route("/", on_get(counting(&runs)));
    caches("Router::layer", route().layer(pair(&memory())), &runs).await;
    caches("Router::route_layer", route().route_layer(pair(&memory())), &runs).await;
    let method = on_get(counting(&runs)).layer(pair(&memory()));
    caches("MethodRouter::layer", Router::new().route("/", method), &runs).await;
    let handler = counting(&runs).layer(pair(&memory()));
    caches("Handler::layer", Router::new().route("/", on_get(handler)), &runs).await;
    let update = UpdateCacheLayer::new(60).cache(memory());
    caches(
        "two calls of Router::layer",
        route().layer(FetchFromCacheLayer::new()).layer(update.clone()),
        &runs,
    )
    .await;
    // The ends may be far apart: one around the router, the other on the route.
    let inner = Router::new().route("/", on_get(counting(&runs)).layer(FetchFromCacheLayer::new()));
    caches("far apart", inner.layer(update.cache(memory())), &runs).await;
    caches("site", larder::site(route()).cache(memory()).into_router(), &runs).await;
}

#[tokio::test]
async fn the_pair_around_a_whole_router_is_served_by_axum() {
    let runs = Runs::default();
    let app = Router::new().route("/", on_get(counting(&runs)));
    let site = ServiceBuilder::new()
        .layer(UpdateCacheLayer::new(60).cache(memory()))
        .layer(tower_http::compression::CompressionLayer::new())
        .layer(FetchFromCacheLayer::new())
        .service(app);
    let served = larder_tests::serve(Router::new().fallback_service(site)).await;
    for (client, hit) in [(larder_tests::client(), true), (larder_tests::http2_client(), true)] {
        let statuses = [client.get(served.url("/")), client.get(served.url("/"))].map(async |request| {
            let answer = request.send().await.unwrap();
            answer.headers()["cache-status"].to_str().unwrap().to_owned()
        });
        let mut seen = Vec::new();
        for status in statuses {
            seen.push(status.await);
        }
        assert!(seen[0].contains("stored") && seen[1].starts_with("larder; hit") == hit, "{seen:?}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_plain_tower_stack_over_a_hyper_service_is_cached_without_axum() {
    let (runs, cache) = (Runs::default(), memory());
    let seen = runs.clone();
    // Bodies as hyper has them on both sides.
    let inner = service_fn(move |request: Request<hyper::body::Incoming>| {
        let body = format!("{} {}", request.uri().path(), seen.next());
        async move { Ok::<_, std::io::Error>(Response::new(Full::new(Bytes::from(body)))) }
    });
    let page = ServiceBuilder::new().layer(cache_page(60).cache(&cache)).service(inner.clone());
    let site = ServiceBuilder::new()
        .layer(CachesLayer::new(cache))
        .layer(UpdateCacheLayer::new(60))
        .layer(FetchFromCacheLayer::new())
        .service(inner);

    let page = tower::util::BoxCloneService::new(page);
    let site = tower::util::BoxCloneService::new(site);
    for stack in [page, site] {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let stack = stack.clone();
                let service = hyper::service::service_fn(move |request| stack.clone().oneshot(request));
                let stream = hyper_util::rt::TokioIo::new(stream);
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(stream, service));
            }
        });
        let before = runs.count();
        for hit in [false, true] {
            let answer = larder_tests::client().get(format!("http://{addr}/hyper")).send().await.unwrap();
            let status = answer.headers()["cache-status"].to_str().unwrap().to_owned();
            assert_eq!(status.starts_with("larder; hit"), hit, "{status}");
            assert_eq!(answer.content_length(), Some(8), "the length is known");
            assert_eq!(answer.text().await.unwrap(), format!("/hyper {}", before + 1));
        }
        server.abort();
    }
}

/// An error that no cache knows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OutOfTea;

#[tokio::test]
async fn the_inner_error_comes_through_unchanged_and_is_not_stored() {
    let runs = Runs::default();
    let seen = runs.clone();
    let teapot = service_fn(move |_: Request<Body>| {
        let run = seen.next();
        async move { if run == 1 { Err(OutOfTea) } else { Ok(Response::new(Body::from("tea"))) } }
    });
    fn keeps_its_error<S: Service<Request<Body>, Error = OutOfTea>>(service: S) -> S {
        service
    }
    let page = keeps_its_error(cache_page(60).cache(memory()).layer(teapot.clone()));
    assert_eq!(page.clone().oneshot(get("/")).await.unwrap_err(), OutOfTea);
    assert_eq!(Answer::of(page.clone().oneshot(get("/")).await.unwrap()).await.text(), "tea");
    assert!(Answer::of(page.oneshot(get("/")).await.unwrap()).await.is_hit());

    let runs_of_site = Runs::default();
    let seen = runs_of_site.clone();
    let teapot = service_fn(move |_: Request<Body>| {
        let run = seen.next();
        async move { if run == 1 { Err(OutOfTea) } else { Ok(Response::new(Body::from("tea"))) } }
    });
    let site = ServiceBuilder::new()
        .layer(CachesLayer::new(memory()))
        .layer(UpdateCacheLayer::new(60))
        .layer(larder::never_cache())
        .layer(FetchFromCacheLayer::new())
        .service(teapot);
    let site = keeps_its_error(site);
    assert_eq!(site.clone().oneshot(get("/")).await.unwrap_err(), OutOfTea);
    assert_eq!(Answer::of(site.oneshot(get("/")).await.unwrap()).await.text(), "tea");
}

#[tokio::test]
async fn a_fetch_without_an_update_passes_by_and_says_so() {
    let runs = Runs::default();
    let route = || Router::new().route("/", on_get(counting(&runs)));
    let fetch = route().layer(FetchFromCacheLayer::new());
    let update = route().layer(UpdateCacheLayer::new(60).cache(memory()));
    let reversed = route().layer(UpdateCacheLayer::new(60).cache(memory())).layer(FetchFromCacheLayer::new());
    for (app, said) in [(fetch, "no-update-layer"), (update, "no-fetch"), (reversed, "no-fetch")] {
        let before = runs.count();
        for _ in 0..2 {
            assert_eq!(
                ask(&app, get("/")).await.cache_status(),
                format!("larder; fwd=bypass; detail={said}")
            );
        }
        assert_eq!(runs.count(), before + 2);
    }
}

#[tokio::test]
async fn what_passes_the_pair_by_is_said_once() {
    let site = larder::site(Router::new().route("/", on_get(|| async { "hello" }).post(|| async { "done" })));
    let site = site.cache(memory()).into_router();
    let fat = Request::get("/").body(Body::from("body")).unwrap();
    assert_eq!(ask(&site, fat).await.cache_status(), "larder; fwd=bypass; detail=fat-get");
    let post = Request::post("/").body(Body::empty()).unwrap();
    assert_eq!(ask(&site, post).await.cache_status(), "larder; fwd=method");
}

#[tokio::test]
async fn an_alias_that_does_not_exist_passes_by_and_says_so() {
    let runs = Runs::default();
    let route = || Router::new().route("/", on_get(counting(&runs)));
    let caches = Caches::new(memory());
    let page = route().layer(cache_page(60).cache("courses")).layer(CachesLayer::new(caches.clone()));
    let site = larder::site(route()).cache("courses").into_router().layer(CachesLayer::new(caches));
    for app in [page, site] {
        for _ in 0..2 {
            let answer = ask(&app, get("/")).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.cache_status(), "larder; fwd=bypass; detail=no-such-cache");
        }
    }
    assert_eq!(runs.count(), 4);
}

#[tokio::test]
async fn an_alias_and_no_cache_at_all_are_served_by_the_caches_of_the_request() {
    let runs = Runs::default();
    let route = |layer: larder::CachePage| Router::new().route("/", on_get(counting(&runs)).layer(layer));
    let (main, courses) = (memory(), memory());
    let caches = Caches::new(main.clone()).with("courses", courses.clone());
    let outer = || CachesLayer::new(caches.clone());
    ask(&route(cache_page(60)).layer(outer()), get("/")).await;
    ask(&route(cache_page(60).cache("courses")).layer(outer()), get("/")).await;
    // What was stored under an alias is found through the cache itself, and only there.
    for (cache, text) in [(main, "1"), (courses, "2")] {
        let answer = ask(&route(cache_page(60).cache(cache)), get("/")).await;
        assert!(answer.is_hit());
        assert_eq!(answer.text(), text);
    }
}

#[tokio::test]
async fn the_layers_hold_over_middleware_that_others_wrote() {
    let runs = Runs::default();
    let app = Router::new()
        .route("/", on_get(counting(&runs)))
        .layer(tower_http::timeout::TimeoutLayer::with_status_code(
            http::StatusCode::GATEWAY_TIMEOUT,
            Duration::from_secs(9),
        ))
        .layer(tower_http::catch_panic::CatchPanicLayer::new())
        .layer(cache_page(60).cache(memory()))
        .layer(tower_http::compression::CompressionLayer::new());
    caches("tower-http", app.clone(), &runs).await;
    assert!(ask(&app, get_with("/", &[("accept-encoding", "gzip")])).await.is_hit());
}
