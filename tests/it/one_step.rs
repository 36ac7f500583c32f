//! One hit, one step: a page with all its `Vary` lists, cookies and tags is one command on Redis, one pipelined exchange with each
//! Memcached server at the same time, one statement in SQL. Counted on the wire, as alternations of question and answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse;
use http::{HeaderValue, Method, Request, header};
use larder::prelude::*;
use larder_tests::proxy::{Proxies, Steps};
use larder_tests::{env, reqwest::Url};
use tempfile::TempDir;

use crate::support::{ask, origin, request, with_patience};

/// Nobody else on the same server has it.
fn prefix() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("step{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst))
}

/// The URL of a server, through a proxy, for a cache of one's own.
async fn through_a_proxy(url: &str) -> (Proxies, String) {
    let mut url = Url::parse(url).expect("the server's URL");
    let host = url.host_str().expect("a host").to_owned();
    let port = url.port().expect("a port");
    let proxies = Proxies::before(&[format!("{host}:{port}")]).await;
    let address = proxies.addresses()[0];
    url.set_host(Some(&address.ip().to_string())).expect("a host that can be set");
    url.set_port(Some(address.port())).expect("a port that can be set");
    (proxies, with_patience(&format!("{url}?prefix={}", prefix())))
}

async fn memcached(servers: usize) -> (Proxies, String) {
    let proxies = Proxies::before(&env::memcached()[..servers]).await;
    let addresses: Vec<String> = proxies.addresses().iter().map(ToString::to_string).collect();
    (proxies, with_patience(&format!("memcached://{}?prefix={}", addresses.join(","), prefix())))
}

/// A page with as many tags as its path says, and these lines of `Vary`: `/3/cookie`.
fn pages() -> Router {
    let (app, _) = origin(|run, parts| {
        let path = parts.uri.path().to_owned();
        let mut words = path.trim_start_matches('/').split('/');
        let tags: usize = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let tags = PageTags::new((0..tags).map(|i| format!("{path}{i}")));
        let mut response = (tags, format!("run {run}")).into_response();
        for name in words.filter(|word| *word != "-") {
            response.headers_mut().append(header::VARY, HeaderValue::from_str(name).expect("a name"));
        }
        response
    });
    app
}

fn asked(path: &str, cookie: Option<&str>, method: Method) -> Request<axum::body::Body> {
    let mut fields = vec![("accept-language", "de")];
    fields.extend(cookie.map(|cookie| ("cookie", cookie)));
    request(method, path, &fields)
}

const TAGS: [usize; 3] = [0, 3, 16];
const VARY: [&str; 3] = ["-", "accept-language", "accept-language/cookie/x-other"];

/// Waits until what goes on beside requests is done: that the page was made is told to other processes when it stands.
async fn quiet(mut taken: impl FnMut() -> Steps) {
    let mut still = 0;
    while still < 20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        still = if taken().each.iter().sum::<usize>() == 0 { still + 1 } else { 0 };
    }
}

/// Every kind of page, asked for with and without a cookie, from who wrote it and from another process.
async fn each_hit_is_one_step(url: &str, taken: impl Fn() -> Steps) {
    let caches = [larder::open(url).expect("a cache"), larder::open(url).expect("a cache")];
    let [writer, reader] = caches.each_ref().map(|cache| pages().layer(cache_page(600).cache(cache)));
    for (tags, vary) in TAGS.into_iter().flat_map(|tags| VARY.map(|vary| (tags, vary))) {
        for (cookie, method) in [
            (None, Method::GET),
            (Some("sessionid=1"), Method::GET),
            (Some("sessionid=1"), Method::HEAD),
            // What only HEAD has asked for stands elsewhere.
            (Some("sessionid=2"), Method::HEAD),
        ] {
            let path = format!("/{tags}/{vary}");
            let what = format!("{method} {path} with {cookie:?}");
            let ask = async |app: &Router| ask(app, asked(&path, cookie, method.clone())).await;
            let mut made = 0;
            loop {
                let answer = ask(&writer).await;
                if answer.is_hit() {
                    break;
                }
                made += 1;
                assert!(made < 1000, "{what} is not stored: {}", answer.cache_status());
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            quiet(&taken).await;
            let readers = [("who wrote it", &writer), ("another", &reader)];
            let purged = [false, true].into_iter().flat_map(|purged| readers.map(|reader| (purged, reader)));
            for (purged, (who, app)) in purged {
                if purged {
                    // Others than these pages, but from now on it has to be looked which.
                    caches[0].purge(Purge::route("/nobody/{s}")).await.expect("it is purged");
                }
                // Until each connection has prepared its statements, and all is remembered.
                for _ in 0..5 {
                    assert!(ask(app).await.is_hit(), "{what}, {who}");
                }
                let mut at_once = false;
                for _ in 0..5 {
                    _ = taken();
                    assert!(ask(app).await.is_hit(), "{what}, {who}");
                    let Steps { each, rounds } = taken();
                    assert!(each.iter().sum::<usize>() > 0, "{what}, {who}: nothing was counted");
                    assert!(each.iter().all(|count| *count <= 1), "{what}, {who}: {each:?}");
                    at_once |= rounds == 1;
                }
                assert!(at_once, "{what}, {who}: one server is asked after another");
            }
        }
    }
    for cache in caches {
        cache.clear().await.expect("it is cleared");
    }
}

#[tokio::test]
async fn a_hit_is_one_command_on_redis() {
    let (proxies, url) = through_a_proxy(&env::redis_url()).await;
    each_hit_is_one_step(&url, || proxies.take()).await;
}

#[tokio::test]
async fn a_hit_is_one_exchange_with_memcached() {
    let (proxies, url) = memcached(1).await;
    each_hit_is_one_step(&url, || proxies.take()).await;
}

#[tokio::test]
async fn a_hit_is_one_exchange_with_each_of_three_memcached_servers_at_the_same_time() {
    let (proxies, url) = memcached(3).await;
    proxies.hold(Duration::from_millis(5));
    each_hit_is_one_step(&url, || proxies.take()).await;
}

#[tokio::test]
async fn a_hit_is_one_statement_on_postgresql() {
    on_a_database(&env::postgres_url()).await;
}

#[tokio::test]
async fn a_hit_is_one_statement_on_mariadb() {
    on_a_database(&env::mysql_url()).await;
}

async fn on_a_database(url: &str) {
    let (proxies, url) = through_a_proxy(url).await;
    let url = format!("{url}&table=one_step_{}", std::process::id());
    each_hit_is_one_step(&url, || proxies.take()).await;
}

#[tokio::test]
async fn a_hit_is_one_statement_in_sqlite() {
    let directory = TempDir::new().expect("a directory");
    let statements = Statements::default();
    let _counting = tracing::subscriber::set_default(statements.clone());
    let url = with_patience(&format!("sqlite://{}", directory.path().join("cache.db").display()));
    each_hit_is_one_step(&url, || {
        let count = statements.0.swap(0, Ordering::SeqCst);
        Steps { each: vec![count], rounds: count }
    })
    .await;
}

#[tokio::test]
async fn a_miss_asks_looks_where_and_stores_and_its_records_are_made_side_by_side() {
    let (proxies, url) = memcached(1).await;
    let behind_the_proxy = env::memcached()[0].clone();
    let proxied = proxies.addresses()[0].to_string();
    let caches = [larder::open(&url), larder::open(&url.replace(&proxied, &behind_the_proxy))];
    let caches = caches.map(|cache| cache.expect("a cache"));
    let [cache, direct] = &caches;
    let app = pages().layer(cache_page(600).cache(cache));
    // Sees what is stored, and stores nothing.
    let (failing, _) = origin(|_, _| http::StatusCode::INTERNAL_SERVER_ERROR);
    let seen_directly = failing.layer(cache_page(600).cache(direct));
    // The namespace's own records, and that the server can compare and set.
    ask(&app, asked("/0/-/warm", None, Method::GET)).await;
    for (tags, vary) in TAGS.into_iter().flat_map(|tags| VARY.map(|vary| (tags, vary))) {
        let path = format!("/{tags}/{vary}");
        let steps = async || {
            quiet(|| proxies.take()).await;
            assert!(!ask(&app, asked(&path, Some("sessionid=1"), Method::GET)).await.is_hit(), "{path}");
            // Through the other cache, so that waiting does not count.
            while !ask(&seen_directly, asked(&path, Some("sessionid=1"), Method::GET)).await.is_hit() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let before_the_answer = proxies.take().rounds;
            let mut beside = 0;
            quiet(|| {
                let steps = proxies.take();
                beside += steps.rounds;
                steps
            })
            .await;
            before_the_answer + beside
        };
        // To look, to begin, to make the record of the URL's tag; to take the lease; to seal, to see what stands there, to store. And beside
        // the request, to say that it was made: a look, whether that is valid, a swap.
        let late = if tags == 0 { 0 } else { 2 };
        assert_eq!(steps().await, 10 + late, "{path}: first");
        direct.clear().await.expect("it is cleared");
        cache.set("warm", 1).await.expect("it is stored");
        // The tags' records are there; of those that the handler names it is made sure that none was renewed meanwhile.
        // That it was made before it was cleared may be known still, in the lease's place, and is then replaced: three steps, of which some
        // may be taken at the same time as others.
        let (again, least) = (steps().await, 9 + late / 2);
        assert!((least..=least + 3).contains(&again), "{path}: {again} again");
    }
}

/// What the SQL backend says of each statement, counted.
#[derive(Clone, Default)]
struct Statements(Arc<AtomicUsize>);

impl tracing::Subscriber for Statements {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "larder::statements"
    }

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
