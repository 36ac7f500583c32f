//! The delay example over real sockets: what each of its views asks of the API, and what it answers when that is down.

#![expect(clippy::unwrap_used, reason = "helpers of tests, which may panic as tests do")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::http::StatusCode;
use axum::{Json, Router, routing::get};
use delay::httpbin::StandIn;
use delay::{Delay, Httpbin, app};
use larder_tests::{Served, client, reqwest, serve};

/// The example with its stand-in.
struct Site {
    app: Served,
    api: StandIn,
}

impl Site {
    async fn start(delay: f64) -> Self {
        let api = StandIn::start().await.unwrap();
        let cache = larder::open("memory:").unwrap();
        let httpbin = Httpbin::new(&api.url(), delay).unwrap();
        let app = serve(app(Delay { cache, httpbin, calls: Some(api.calls()) })).await;
        Self { app, api }
    }

    async fn get(&self, path: &str) -> Answer {
        Answer::from(client().get(self.app.url(path)).send().await.unwrap()).await
    }

    fn calls(&self) -> u64 {
        self.api.calls().counts().total
    }
}

struct Answer {
    status: u16,
    cache_status: String,
    age: Option<u64>,
    body: String,
}

impl Answer {
    async fn from(response: reqwest::Response) -> Self {
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (cache_status, age) = (header("cache-status").unwrap_or_default(), header("age"));
        let status = response.status().as_u16();
        let body = response.text().await.unwrap();
        Self { status, cache_status, age: age.map(|age| age.parse().unwrap()), body }
    }

    fn is_stored(&self) -> bool {
        self.status == 200
            && self.cache_status.starts_with("larder; fwd=")
            && self.cache_status.contains("; stored")
    }

    fn is_hit(&self) -> bool {
        self.status == 200 && self.cache_status.starts_with("larder; hit; ttl=") && self.age.is_some()
    }

    /// The time that the page shows.
    fn time(&self) -> &str {
        let (_, rest) =
            self.body.split_once("id=\"current_time\" datetime=\"").expect("the page shows its time");
        rest.split_once('"').unwrap().0
    }
}

#[tokio::test]
async fn the_cached_view_asks_once_and_shows_the_same_time_again() {
    let site = Site::start(0.0).await;
    let (first, second) = (site.get("/playground/hello/").await, site.get("/playground/hello/").await);
    assert!(first.is_stored() && first.age.is_none(), "{}", first.cache_status);
    assert!(first.cache_status.contains("ttl=900"), "{}", first.cache_status);
    assert!(second.is_hit(), "{}", second.cache_status);
    assert_eq!(first.body, second.body);
    assert!(first.body.contains("Results received!") && first.body.contains("/delay/0"), "{}", first.body);
    assert_eq!(site.calls(), 1);
}

#[tokio::test]
async fn the_uncached_view_asks_each_time() {
    let site = Site::start(0.01).await;
    let (first, second) = (site.get("/playground/uncached/").await, site.get("/playground/uncached/").await);
    assert_eq!((first.status, second.status, site.calls()), (200, 200, 2));
    assert_ne!(first.time(), second.time());
    assert_eq!(second.cache_status, "");
}

#[tokio::test]
async fn twenty_who_come_at_once_cost_one_call() {
    for path in ["/playground/hello/", "/playground/get_or_set/", "/site/"] {
        // Long enough that all of them are there before the first answer.
        let site = Arc::new(Site::start(0.5).await);
        let all: Vec<_> = (0..20)
            .map(|_| {
                let site = site.clone();
                tokio::spawn(async move { site.get(path).await })
            })
            .collect();
        for one in all {
            let answer = one.await.unwrap();
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.body.contains("Results received!"), "{path}");
        }
        assert_eq!(site.calls(), 1, "{path}");
    }
}

#[tokio::test]
async fn the_low_level_views_ask_once_and_render_anew() {
    let site = Site::start(0.01).await;
    for (path, calls) in [("/playground/lowlevel/", 1), ("/playground/get_or_set/", 2)] {
        let first = site.get(path).await;
        // The page shows milliseconds, so two of them have to be apart.
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        let second = site.get(path).await;
        assert_eq!((first.status, second.status, site.calls()), (200, 200, calls), "{path}");
        assert_ne!(first.time(), second.time(), "{path}");
    }
}

#[tokio::test]
async fn the_pair_caches_each_page_of_its_site() {
    let site = Site::start(0.0).await;
    for path in ["/site/", "/site/about/"] {
        let (first, second) = (site.get(path).await, site.get(path).await);
        assert!(
            first.is_stored() && first.cache_status.contains("ttl=600"),
            "{path}: {}",
            first.cache_status
        );
        assert!(second.is_hit(), "{path}: {}", second.cache_status);
        assert_eq!(first.body, second.body, "{path}");
    }
    assert_eq!(site.calls(), 1);
}

#[tokio::test]
async fn a_cleared_cache_asks_again() {
    let site = Site::start(0.0).await;
    for calls in [4, 8] {
        for path in ["/playground/hello/", "/playground/lowlevel/", "/playground/get_or_set/", "/site/"] {
            assert_eq!(site.get(path).await.status, 200);
            assert_eq!(site.get(path).await.status, 200);
        }
        assert_eq!(site.calls(), calls);
        let cleared = client().post(site.app.url("/clear")).send().await.unwrap();
        assert_eq!((cleared.status().as_u16(), &cleared.headers()["location"]), (303, &"/".parse().unwrap()));
    }
}

#[tokio::test]
async fn the_calls_are_told_by_view_and_a_real_httpbin_tells_none() {
    let site = Site::start(0.0).await;
    site.get("/playground/uncached/").await;
    site.get("/playground/uncached/?page=2").await;
    let calls: serde_json::Value = serde_json::from_str(&site.get("/calls").await.body).unwrap();
    assert_eq!(calls, serde_json::json!({ "total": 2, "views": { "/playground/uncached/": 2 } }));

    let httpbin = Httpbin::new(&site.api.url(), 0.0).unwrap();
    let delay = Delay { cache: larder::open("memory:").unwrap(), httpbin, calls: None };
    let elsewhere = serve(app(delay)).await;
    assert_eq!(client().get(elsewhere.url("/calls")).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_failing_api_is_a_502_that_is_not_stored_and_the_next_request_asks_again() {
    let (down, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    let api = serve(flaky(down.clone(), asked.clone())).await;
    let httpbin = Httpbin::new(&api.url(""), 0.0).unwrap();
    let app = serve(app(Delay { cache: larder::open("memory:").unwrap(), httpbin, calls: None })).await;
    let get = async |path: &str| Answer::from(client().get(app.url(path)).send().await.unwrap()).await;

    for path in ["/playground/hello/", "/playground/lowlevel/", "/playground/get_or_set/", "/site/"] {
        down.store(true, Ordering::SeqCst);
        asked.store(0, Ordering::SeqCst);
        for _ in 0..2 {
            let answer = get(path).await;
            assert_eq!(answer.status, 502, "{path}");
            assert!(answer.body.contains("it answered 503 Service Unavailable"), "{path}: {}", answer.body);
            assert!(!answer.cache_status.contains("stored"), "{path}: {}", answer.cache_status);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2, "{path}: each request asked");
        down.store(false, Ordering::SeqCst);
        for _ in 0..2 {
            assert_eq!(get(path).await.status, 200, "{path}");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 3, "{path}: the good answer was kept");
    }
}

fn flaky(down: Arc<AtomicBool>, asked: Arc<AtomicU64>) -> Router {
    let answer = move || {
        asked.fetch_add(1, Ordering::SeqCst);
        let down = down.load(Ordering::SeqCst);
        async move {
            let status = if down { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
            (status, Json(serde_json::json!({ "url": "flaky" })))
        }
    };
    Router::new().route("/delay/{n}", get(answer))
}

#[tokio::test]
async fn an_api_that_is_not_there_or_talks_nonsense_is_a_readable_502() {
    let gone = {
        let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", nobody.local_addr().unwrap())
    };
    let babble = serve(Router::new().route("/delay/{n}", get(|| async { "<html>" }))).await;
    for (api, why) in [(gone, "can&#39;t be reached"), (babble.url(""), "something other than JSON")] {
        let httpbin = Httpbin::new(&api, 0.0).unwrap();
        let app = serve(app(Delay { cache: larder::open("memory:").unwrap(), httpbin, calls: None })).await;
        let answer = Answer::from(client().get(app.url("/playground/hello/")).send().await.unwrap()).await;
        assert_eq!(answer.status, 502);
        assert!(answer.body.contains(why) && answer.body.contains("The API is down"), "{}", answer.body);
    }
}

#[tokio::test]
async fn the_stand_in_answers_as_httpbin_does() {
    let api = StandIn::start().await.unwrap();
    let get =
        async |path: &str| client().get(api.url() + path).header("x-two-words", "a").send().await.unwrap();
    let json = async |path: &str| -> serde_json::Value {
        serde_json::from_str(&get(path).await.text().await.unwrap()).unwrap()
    };

    let echo = json("/get?a=1&b=%26").await;
    assert_eq!(echo["args"], serde_json::json!({ "a": "1", "b": "&" }));
    assert_eq!(echo["headers"]["X-Two-Words"], "a");
    assert_eq!(echo["origin"], "127.0.0.1");
    assert_eq!(echo["url"], format!("{}/get?a=1&b=%26", api.url()));
    assert_eq!(json("/headers").await["headers"]["X-Two-Words"], "a");
    assert_eq!(json("/delay/0").await["data"], "");
    for (path, status) in [
        ("/status/503", 503),
        ("/status/204", 204),
        ("/status/99", 400),
        ("/status/100", 400),
        ("/status/x", 400),
        ("/delay/x", 400),
        ("/delay/-1", 400),
        ("/delay/NaN", 400),
        ("/nothing", 404),
    ] {
        assert_eq!(get(path).await.status().as_u16(), status, "{path}");
    }
}

#[test]
fn a_url_that_is_no_httpbin_is_refused() {
    for wrong in [
        "",
        "httpbin.org",
        "ftp://httpbin.org",
        "http://",
        "https://u:p@httpbin.org",
        "http://h/?q",
        "http://a b",
    ] {
        assert!(Httpbin::new(wrong, 2.0).is_err(), "{wrong}");
    }
    assert_eq!(Httpbin::new("https://httpbin.org/", 2.0).unwrap().base(), "https://httpbin.org");
}

#[test]
fn every_backend_that_the_facade_has_can_be_asked_for_by_the_features_that_the_example_prints() {
    let features = |manifest: &'static str| -> Vec<&'static str> {
        let section = manifest.split("[features]").nth(1).unwrap().split("\n[").next().unwrap();
        section.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect()
    };
    let facade = features(include_str!("../../crates/larder/Cargo.toml"));
    let example = features(include_str!("../../examples/delay/Cargo.toml"));
    // Always compiled in, or no backend.
    let others = [
        "default",
        "memory",
        "session",
        "config",
        "brotli",
        "zstd",
        "lz4",
        "macros",
        "minijinja",
        "askama",
        "tera",
    ];
    for feature in facade.iter().filter(|name| !others.contains(name)) {
        assert!(example.contains(feature), "examples/delay/Cargo.toml has no feature {feature}");
    }
}
