//! Mounts over services that mind Tower's contract: `call` only on a service that `poll_ready` made ready, no place taken by who does not
//! call, and no error of our own.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use futures_util::future::join_all;
use http::{Method, Request, Response};
use larder::prelude::*;
use tower::buffer::BufferLayer;
use tower::limit::{ConcurrencyLimitLayer, RateLimitLayer};
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{Answer, Runs, get, get_with, memory, request};

/// A service that panics when it is called without having been made ready; a clone never is.
#[derive(Debug, Default)]
struct Strict {
    ready: bool,
    runs: Runs,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { ready: false, runs: self.runs.clone() }
    }
}

impl Service<Request<Body>> for Strict {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called, but never made ready");
        ready(Ok(Response::new(Body::from(self.runs.next().to_string()))))
    }
}

/// One service, kept, asked in every way: misses, hits, passes, writes.
async fn well_behaved<S>(name: &str, mut service: S)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let asked = [
        get("/"),
        get("/"),
        request(Method::HEAD, "/", &[]),
        request(Method::HEAD, "/head", &[]),
        get_with("/", &[("cookie", "id=1")]),
        get_with("/", &[("range", "bytes=0-1")]),
        get_with("/", &[("if-match", "\"a\"")]),
        request(Method::POST, "/", &[]),
        request(Method::OPTIONS, "/", &[]),
        Request::get("/").body(Body::from("fat")).expect("a request"),
        get("/"),
    ];
    for request in asked {
        let shown = format!("{name}: {} {}", request.method(), request.uri());
        let answer = service.ready().await.unwrap().call(request).await.unwrap();
        // `conditional_get` answers the If-Match itself.
        assert!(answer.status().is_success() || answer.status() == 412, "{shown}");
    }
}

#[tokio::test]
async fn every_layer_calls_the_service_that_was_made_ready() {
    let strict = Strict::default;
    well_behaved("cache_page", cache_page(60).cache(memory()).layer(strict())).await;
    well_behaved("cache_page(0)", cache_page(0).layer(strict())).await;
    well_behaved("update", UpdateCacheLayer::new(60).cache(memory()).layer(strict())).await;
    well_behaved("fetch", FetchFromCacheLayer::new().layer(strict())).await;
    let pair = ServiceBuilder::new()
        .layer(UpdateCacheLayer::new(60).cache(memory()))
        .layer(FetchFromCacheLayer::new());
    well_behaved("the pair", pair.service(strict())).await;
    well_behaved("CachesLayer", CachesLayer::new(memory()).layer(strict())).await;
    well_behaved("never_cache", larder::never_cache().layer(strict())).await;
    well_behaved("cache_control", larder::cache_control().public().layer(strict())).await;
    well_behaved("vary_on", larder::vary_on(["accept"]).layer(strict())).await;
    well_behaved("conditional_get", larder::conditional_get().layer(strict())).await;
}

/// A slow application that notes how many requests are in it at once.
#[derive(Clone, Default)]
struct Busy {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Busy {
    fn service(
        &self,
    ) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static {
        let busy = self.clone();
        service_fn(move |request: Request<Body>| {
            let busy = busy.clone();
            async move {
                let now = busy.now.fetch_add(1, Ordering::SeqCst) + 1;
                busy.most.fetch_max(now, Ordering::SeqCst);
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                busy.now.fetch_sub(1, Ordering::SeqCst);
                Ok(Response::new(Body::from(request.uri().to_string())))
            }
        })
    }
}

/// Many requests at once for a few pages, each over a clone, as servers do.
async fn crowd<S, E>(service: S) -> Vec<Result<String, E>>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = E> + Clone,
{
    let ask = |at: usize| {
        let service = service.clone();
        async move {
            let answer = service.oneshot(get(&format!("/{}", at % 5))).await?;
            Ok(Answer::of(answer).await.text().to_owned())
        }
    };
    join_all((0..50).map(ask)).await
}

fn all_right<E: std::fmt::Debug>(answers: Vec<Result<String, E>>) {
    for (at, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.expect("an answer"), format!("/{}", at % 5));
    }
}

#[tokio::test]
async fn over_a_concurrency_limit_nobody_panics_starves_or_gets_past_it() {
    for limit in [1, 2] {
        let (page, site) = (Busy::default(), Busy::default());
        let limited = ServiceBuilder::new()
            .layer(cache_page(60).cache(memory()))
            .layer(ConcurrencyLimitLayer::new(limit))
            .service(page.service());
        all_right(crowd(limited.clone()).await);
        all_right(crowd(limited).await);
        let limited = ServiceBuilder::new()
            .layer(UpdateCacheLayer::new(60).cache(memory()))
            .layer(FetchFromCacheLayer::new())
            .layer(ConcurrencyLimitLayer::new(limit))
            .service(site.service());
        all_right(crowd(limited.clone()).await);
        all_right(crowd(limited).await);
        for busy in [page, site] {
            assert!(busy.most.load(Ordering::SeqCst) <= limit);
            assert_eq!(busy.now.load(Ordering::SeqCst), 0);
        }
    }
}

#[tokio::test]
async fn over_a_buffer_a_timeout_and_a_rate_limit_pages_are_right() {
    let busy = Busy::default();
    let stack = ServiceBuilder::new()
        .layer(cache_page(60).cache(memory()))
        .layer(BufferLayer::new(2))
        .layer(TimeoutLayer::new(Duration::from_secs(60)))
        .layer(RateLimitLayer::new(1000, Duration::from_secs(1)))
        .service(busy.service());
    all_right(crowd(stack).await);
    let site = ServiceBuilder::new()
        .layer(CachesLayer::new(memory()))
        .layer(UpdateCacheLayer::new(60))
        .layer(FetchFromCacheLayer::new())
        .layer(BufferLayer::new(2))
        .layer(ConcurrencyLimitLayer::new(1))
        .layer(TimeoutLayer::new(Duration::from_secs(60)))
        .service(busy.service());
    all_right(crowd(site).await);
    // Outside, they see the layer as any other service.
    let outside = ServiceBuilder::new()
        .layer(BufferLayer::new(2))
        .layer(ConcurrencyLimitLayer::new(2))
        .layer(cache_page(60).cache(memory()))
        .service(busy.service());
    all_right(crowd(outside).await);
}

#[tokio::test]
async fn over_a_load_shed_what_is_refused_is_an_error_and_never_a_page() {
    let stack = ServiceBuilder::new()
        .layer(cache_page(60).cache(memory()))
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(Busy::default().service());
    let answers: Vec<Result<String, BoxError>> = crowd(stack.clone()).await;
    let shed = answers.iter().filter_map(|answer| answer.as_ref().err());
    assert!(shed.clone().all(|error| error.is::<tower::load_shed::error::Overloaded>()));
    for (at, answer) in answers.iter().enumerate() {
        if let Ok(text) = answer {
            assert_eq!(*text, format!("/{}", at % 5));
        }
    }
    assert!(answers.iter().any(Result::is_ok), "not everybody was refused");
    // Nobody hangs, and afterwards everything is served.
    for at in 0..5 {
        let page = Answer::of(stack.clone().oneshot(get(&format!("/{at}"))).await.unwrap()).await;
        assert_eq!(page.text(), format!("/{at}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_inside_is_an_error_for_each_who_waited_and_the_next_is_served() {
    let runs = Runs::default();
    let seen = runs.clone();
    let slow_at_first = service_fn(move |_: Request<Body>| {
        let run = seen.next();
        async move {
            if run <= 10 {
                std::future::pending::<()>().await;
            }
            Ok::<_, Infallible>(Response::new(Body::from("at last")))
        }
    });
    let stack = ServiceBuilder::new()
        .layer(cache_page(60).cache(memory()))
        .layer(TimeoutLayer::new(Duration::from_secs(5)))
        .service(slow_at_first);
    let answers = join_all((0..10).map(|_| stack.clone().oneshot(get("/")))).await;
    assert!(
        answers.iter().all(|answer| answer.as_ref().is_err_and(|e| e.is::<tower::timeout::error::Elapsed>()))
    );
    assert_eq!(runs.count(), 10, "each tried for itself");
    assert_eq!(Answer::of(stack.oneshot(get("/")).await.unwrap()).await.text(), "at last");
}

#[tokio::test]
async fn a_hit_takes_no_place_in_a_limited_service() {
    let limited = ServiceBuilder::new()
        .layer(cache_page(60).cache(memory()))
        .layer(ConcurrencyLimitLayer::new(1))
        .service(Busy::default().service());
    // Kept services, as a connection keeps one: none may sit on the only permit after its answer.
    let mut kept: Vec<_> = (0..3).map(|_| limited.clone()).collect();
    for round in 0..3 {
        for service in &mut kept {
            let answer = Answer::of(service.ready().await.unwrap().call(get("/")).await.unwrap()).await;
            assert_eq!(answer.text(), "/", "round {round}");
        }
    }
}

#[tokio::test]
async fn a_page_in_the_cache_is_served_while_the_application_is_as_busy_as_it_may_be() {
    let never = service_fn(|request: Request<Body>| async move {
        if request.uri().path() == "/stuck" {
            std::future::pending::<()>().await;
        }
        Ok::<_, Infallible>(Response::new(Body::from("page")))
    });
    let limited = ServiceBuilder::new()
        .layer(cache_page(60).cache(memory()))
        .layer(ConcurrencyLimitLayer::new(1))
        .service(never);
    let page = async || Answer::of(limited.clone().oneshot(get("/")).await.unwrap()).await.text().to_owned();
    assert_eq!(page().await, "page");
    let stuck = tokio::spawn(limited.clone().oneshot(get("/stuck")));
    tokio::task::yield_now().await;
    assert_eq!(page().await, "page", "a hit waits for nobody");
    stuck.abort();
}
