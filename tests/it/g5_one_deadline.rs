//! G5: whatever a store does, it costs a request one deadline, and no request anything else. Attempts are counted, and timers run on
//! paused time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures_util::future::join_all;
use http::{Method, Request, Response};
use larder::{Cache, CacheBuilder, CachesLayer, ManualClock, Policy, cache_page};
use larder_core::Event;
use larder_memory::Memory;
use larder_testkit::{Fault, Faults, Faulty, Plain};
use tokio::time::Instant;

use crate::support::{Answer, BEGIN, Runs, ask, get, request, saying};

const DEADLINE: Duration = Duration::from_millis(100);

/// A store outside the process, and the hand that makes it fail.
struct Door {
    backend: Faulty,
    faults: Faults,
}

impl Door {
    fn new() -> Self {
        let backend = Faulty::over(Plain::default()).remote();
        Self { faults: backend.faults(), backend }
    }

    /// From now on it never answers.
    fn falls_silent(&self) {
        self.faults.heal();
        self.faults.add(Fault::hang());
    }

    /// From now on each step takes so long.
    fn takes(&self, time: Duration) {
        self.faults.heal();
        self.faults.add(Fault::delay(time));
    }

    /// How often it was asked since the last time.
    fn asked(&self) -> usize {
        let asked = self.faults.all_calls();
        self.faults.reset();
        asked
    }

    fn builder(&self) -> CacheBuilder {
        Cache::builder(self.backend.clone())
    }
}

/// Every way to mount, the last two with two layers on the same store.
fn mounts(app: &Router, cache: &Cache) -> Vec<(&'static str, Router)> {
    let page = || app.clone().layer(cache_page(60).cache(cache));
    vec![
        ("cache_page", page()),
        ("a gateway", app.clone().layer(cache_page(60).cache(cache).policy(Policy::shared()))),
        ("site", larder::site(app.clone()).cache(cache).into_router()),
        ("inside a CachesLayer", app.clone().layer(cache_page(60)).layer(CachesLayer::new(cache))),
        ("cache_page inside cache_page", page().layer(cache_page(60).cache(cache).key_prefix("outer"))),
        ("cache_page inside the site", larder::site(page()).cache(cache).key_prefix("outer").into_router()),
    ]
}

/// A page for all mounts, each on a store of its own.
fn stages(build: impl Fn(CacheBuilder) -> CacheBuilder) -> Vec<(&'static str, Door, Router, Runs)> {
    let names = 0..mounts(&Router::new(), &Cache::new(Memory::new())).len();
    let stage = |at| {
        let (door, (app, runs)) =
            (Door::new(), saying(&[("vary", "accept-language"), ("cache-control", "max-age=60")]));
        let cache = build(door.builder()).build().expect("a cache");
        let (name, app) = mounts(&app, &cache).swap_remove(at);
        (name, door, app, runs)
    };
    names.map(stage).collect()
}

async fn timed(app: &Router, request: Request<Body>) -> (Answer, Duration) {
    let began = Instant::now();
    let answer = ask(app, request).await;
    (answer, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_silent_store_costs_a_request_one_attempt_and_one_deadline_however_many_layers_it_passes() {
    for (name, door, app, runs) in stages(CacheBuilder::no_breaker) {
        door.falls_silent();
        for (n, method) in [Method::GET, Method::HEAD].into_iter().enumerate() {
            let (answer, took) = timed(&app, request(method.clone(), "/", &[])).await;
            assert_eq!((door.asked(), took), (1, DEADLINE), "{name} {method}");
            assert_eq!(runs.count(), n + 1, "{name}");
            assert!(answer.cache_status().contains("detail=backend-error"), "{name}: {answer:?}");
            if method == Method::GET {
                assert_eq!(answer.text(), "run 1", "{name}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn until_the_breaker_opens_a_thousand_requests_cost_five_attempts_and_then_it_mends_itself() {
    let hand = ManualClock::new(BEGIN);
    let clock = hand.clock();
    for (name, door, app, runs) in stages(|builder| builder.clock(clock.clone())) {
        ask(&app, get("/")).await;
        assert!(ask(&app, get("/")).await.is_hit(), "{name}");
        // What goes on beside requests ends.
        tokio::time::sleep(Duration::from_secs(1)).await;
        door.falls_silent();
        door.asked();
        let (ran, began) = (runs.count(), Instant::now());
        for n in 1..=1_000 {
            let answer = ask(&app, get("/")).await;
            assert_eq!(answer.text(), format!("run {}", ran + n), "{name}");
            assert!(answer.cache_status().contains("detail=backend-error"), "{name}: {answer:?}");
        }
        assert_eq!((door.asked(), began.elapsed()), (5, 5 * DEADLINE), "{name}");
        door.faults.heal();
        hand.advance(Duration::from_secs(1));
        assert!(ask(&app, get("/")).await.is_hit(), "{name}: the page is still there");
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_who_come_at_once_each_waits_one_deadline() {
    for (name, door, app, _) in stages(|builder| builder) {
        door.falls_silent();
        let began = Instant::now();
        let answers = join_all((0..200).map(|_| ask(&app, get("/")))).await;
        assert!(answers.iter().all(|answer| answer.text().starts_with("run ")), "{name}");
        assert_eq!((door.asked(), began.elapsed()), (200, DEADLINE), "{name}");
        let (_, took) = timed(&app, get("/")).await;
        assert_eq!((door.asked(), took), (0, Duration::ZERO), "{name}: the breaker is open");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_slow_costs_no_more_in_all_and_takes_the_page_beside_the_request() {
    for (name, door, app, runs) in stages(|builder| builder) {
        // Two steps do not fit into one deadline.
        door.takes(Duration::from_millis(60));
        let (answer, took) = timed(&app, get("/")).await;
        assert!(took <= DEADLINE, "{name}: {took:?}");
        assert_eq!(answer.text(), "run 1", "{name}");
        // All that is to be read fits, and nothing that is to be written.
        door.takes(Duration::from_millis(20));
        let (answer, took) = timed(&app, get("/slow")).await;
        assert!(took <= DEADLINE, "{name}: {took:?}");
        assert_eq!(answer.text(), "run 2", "{name}");
        tokio::time::sleep(Duration::from_secs(5)).await;
        door.faults.heal();
        assert!(ask(&app, get("/slow")).await.is_hit(), "{name}: it was stored meanwhile");
        assert_eq!(runs.count(), 2, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_goes_silent_while_the_page_is_made_costs_one_deadline() {
    let door = Door::new();
    let events = Arc::new(AtomicUsize::new(0));
    let failed = Arc::clone(&events);
    let note = move |event: &Event| {
        if let Event::StepFailed { .. } = event {
            failed.fetch_add(1, Ordering::SeqCst);
        }
    };
    let cache = door.builder().lease(Duration::ZERO).on_event(note).build().unwrap();
    let faults = door.faults.clone();
    let handler = move || {
        faults.add(Fault::hang());
        let made = Response::new(Body::from("page"));
        async move { made }
    };
    let app = Router::new().route("/", axum::routing::get(handler)).layer(cache_page(60).cache(&cache));
    let (answer, took) = timed(&app, get("/")).await;
    assert_eq!((answer.text(), took), ("page", DEADLINE));
    assert_eq!(
        answer.cache_status(),
        "larder; fwd=uri-miss; detail=backend-error",
        "it does not say that it is stored"
    );
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(events.load(Ordering::SeqCst), 1, "what failed once is not tried again for the same page");
}

#[tokio::test(start_paused = true)]
async fn a_write_is_answered_though_its_pages_can_not_be_dropped() {
    let door = Door::new();
    let cache = door.builder().build().unwrap();
    let (app, runs) = saying(&[]);
    let app = app.layer(cache_page(60).cache(&cache));
    door.falls_silent();
    for n in 1..=20 {
        let (answer, took) = timed(&app, request(Method::POST, "/", &[])).await;
        assert_eq!((answer.status.as_u16(), took, runs.count()), (200, DEADLINE, n));
        // Those of the writes before are repeated behind.
        assert!((1..=n).contains(&door.asked()), "an invalidation is always tried");
    }
    door.faults.heal();
    ask(&app, request(Method::POST, "/", &[])).await;
    ask(&app, get("/")).await;
    assert!(ask(&app, get("/")).await.is_hit(), "its success closed the breaker");
}
