//! Many clients at once, by the rules of a shared cache: who shares an answer, and who must not.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use larder::{Cache, ManualClock, Policy, Timeout, cache_page};
use tokio::sync::Semaphore;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

type Answering = dyn Fn(usize, &HeaderMap) -> Response<Body> + Send + Sync;

/// An origin that answers when it is let, and counts.
#[derive(Clone)]
struct Origin {
    calls: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
    answer: Arc<Answering>,
}

impl Origin {
    fn new(answer: impl Fn(usize, &HeaderMap) -> Response<Body> + Send + Sync + 'static) -> Self {
        Self { calls: Arc::default(), gate: Arc::new(Semaphore::new(0)), answer: Arc::new(answer) }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    async fn until_called(&self, calls: usize) {
        while self.calls() < calls {
            tokio::task::yield_now().await;
        }
    }
}

type App = tower::util::BoxCloneService<Request<Body>, Response<Body>, Infallible>;

fn app(origin: &Origin) -> (App, ManualClock) {
    let hand = ManualClock::new(1_800_000_000_000);
    let cache = Cache::builder(larder::memory::Memory::new()).clock(hand.clock()).build().unwrap();
    let origin = origin.clone();
    let inner = service_fn(move |request: Request<Body>| {
        let origin = origin.clone();
        async move {
            let call = origin.calls.fetch_add(1, Ordering::SeqCst) + 1;
            origin.gate.acquire().await.unwrap().forget();
            Ok::<_, Infallible>((origin.answer)(call, request.headers()))
        }
    });
    let layer = cache_page(Timeout::DEFAULT).cache(cache).policy(Policy::shared());
    (tower::util::BoxCloneService::new(layer.layer(inner)), hand)
}

fn answer(status: u16, fields: &[(&'static str, &'static str)], body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in fields {
        response.headers_mut().append(HeaderName::from_static(name), value.parse().unwrap());
    }
    response
}

fn get(fields: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::get("/").header("host", "example.com");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

async fn ask(mut app: App, request: Request<Body>) -> (StatusCode, String, String) {
    let response = app.ready().await.unwrap().call(request).await.unwrap();
    let status = response.headers().get("cache-status").map_or("", |v| v.to_str().unwrap()).to_owned();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, status, String::from_utf8(body.to_vec()).unwrap())
}

/// As many as are to be there at once.
const MANY: usize = 200;

/// Sends many requests, lets the origin answer once all are on their way, and gives the answers.
async fn together(
    app: &App,
    origin: &Origin,
    before: usize,
    fields: &'static [(&'static str, &'static str)],
) -> Vec<(StatusCode, String, String)> {
    let asking: Vec<_> = (0..MANY).map(|_| tokio::spawn(ask(app.clone(), get(fields)))).collect();
    origin.until_called(before + 1).await;
    // One thread: whoever is on the way has gone as far as it can.
    for _ in 0..10 * MANY {
        tokio::task::yield_now().await;
    }
    origin.gate.add_permits(MANY);
    let mut answers = Vec::new();
    for one in asking {
        answers.push(one.await.unwrap());
    }
    origin.gate.forget_permits(usize::MAX);
    answers
}

#[tokio::test]
async fn a_cold_page_is_asked_for_once() {
    let origin =
        Origin::new(|call, _| answer(200, &[("cache-control", "max-age=60")], format!("run {call}")));
    let (app, _) = app(&origin);
    let answers = together(&app, &origin, 0, &[]).await;
    assert_eq!(origin.calls(), 1);
    assert!(answers.iter().all(|(_, _, body)| body == "run 1"));
    assert_eq!(answers.iter().filter(|(_, status, _)| status.contains("collapsed")).count(), MANY - 1);
}

#[tokio::test]
async fn a_stale_page_is_validated_once() {
    let origin = Origin::new(|call, headers| match headers.contains_key("if-none-match") {
        true => answer(304, &[("cache-control", "max-age=60")], String::new()),
        false => answer(200, &[("cache-control", "max-age=1"), ("etag", "\"a\"")], format!("run {call}")),
    });
    let (app, hand) = app(&origin);
    origin.gate.add_permits(1);
    ask(app.clone(), get(&[])).await;
    hand.advance(Duration::from_secs(5));
    let answers = together(&app, &origin, 1, &[]).await;
    assert_eq!(origin.calls(), 2);
    assert!(answers.iter().all(|(status, _, body)| *status == StatusCode::OK && body == "run 1"));
}

#[tokio::test]
async fn what_must_be_validated_before_each_use_is_nobody_elses() {
    let origin = Origin::new(|call, _| {
        answer(200, &[("cache-control", "no-cache"), ("etag", "\"a\"")], format!("run {call}"))
    });
    let (app, _) = app(&origin);
    let answers = together(&app, &origin, 0, &[]).await;
    let bodies: std::collections::HashSet<_> = answers.into_iter().map(|(_, _, body)| body).collect();
    assert_eq!((bodies.len(), origin.calls()), (MANY, MANY), "each asked the origin itself");
}

#[tokio::test]
async fn what_turns_out_private_is_shared_with_nobody() {
    let origin = Origin::new(|call, _| {
        answer(200, &[("cache-control", "private, max-age=60")], format!("run {call}"))
    });
    let (app, _) = app(&origin);
    let answers = together(&app, &origin, 0, &[]).await;
    let bodies: std::collections::HashSet<_> = answers.into_iter().map(|(_, _, body)| body).collect();
    assert_eq!((bodies.len(), origin.calls()), (MANY, MANY));
}

#[tokio::test]
async fn who_sends_authorization_gets_no_answer_of_another() {
    let origin =
        Origin::new(|call, _| answer(200, &[("cache-control", "max-age=60")], format!("run {call}")));
    let (app, _) = app(&origin);
    let answers = together(&app, &origin, 0, &[("authorization", "Basic abc")]).await;
    let bodies: std::collections::HashSet<_> = answers.into_iter().map(|(_, _, body)| body).collect();
    assert_eq!(bodies.len(), MANY, "section 3.5");
}

#[tokio::test]
async fn variants_find_their_own() {
    let origin = Origin::new(|_, headers| {
        let language = headers.get("accept-language").map_or("none", |v| v.to_str().unwrap()).to_owned();
        answer(200, &[("cache-control", "max-age=60"), ("vary", "accept-language")], language)
    });
    let (app, _) = app(&origin);
    let asking: Vec<_> = (0..MANY)
        .map(|n| {
            let language = ["en", "de", "fr"][n % 3];
            (language, tokio::spawn(ask(app.clone(), get(&[("accept-language", language)]))))
        })
        .collect();
    origin.until_called(1).await;
    origin.gate.add_permits(MANY);
    for (language, one) in asking {
        assert_eq!(one.await.unwrap().2, language);
    }
    assert!(origin.calls() <= 3, "one for each language: {}", origin.calls());
}

#[tokio::test]
async fn what_is_stale_is_refreshed_once_however_many_are_served_it() {
    let origin = Origin::new(|call, _| {
        answer(
            200,
            &[("cache-control", "max-age=1, stale-while-revalidate=60"), ("etag", "\"a\"")],
            format!("run {call}"),
        )
    });
    let (app, hand) = app(&origin);
    origin.gate.add_permits(1);
    ask(app.clone(), get(&[])).await;
    hand.advance(Duration::from_secs(5));
    for _ in 0..MANY {
        let (_, status, body) = ask(app.clone(), get(&[])).await;
        assert_eq!((&*status, &*body), ("larder; hit; ttl=-4; detail=stale-while-revalidate", "run 1"));
    }
    origin.until_called(2).await;
    assert_eq!(origin.calls(), 2);
    origin.gate.add_permits(1);
    while ask(app.clone(), get(&[])).await.2 != "run 2" {
        tokio::task::yield_now().await;
    }
}
