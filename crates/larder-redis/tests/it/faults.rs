//! Servers that are not there, die, go silent, hang up, or refuse. Nobody waits for longer than the deadline, and all mends itself.
//! There is no breaker before them: this is what the backend does by itself.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use larder_core::{Cache, Error, ErrorKind, Timeout};
use larder_redis::Redis;

use crate::ports::own_port;
use crate::server::Server;

const DEADLINE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(30);

/// For what is to succeed, or to fail without waiting, however busy the machine is.
fn open(port: u16) -> Cache {
    let redis = Redis::builder("127.0.0.1").port(port);
    let redis = redis.connect_timeout(PATIENCE).max_silence(PATIENCE).build().unwrap();
    Cache::builder(redis).deadline(PATIENCE).no_breaker().build().unwrap()
}

/// For what has to be given up.
fn open_in_haste(port: u16) -> Cache {
    let redis = Redis::builder("127.0.0.1").port(port);
    let redis = redis.connect_timeout(2 * DEADLINE).max_silence(2 * DEADLINE).build().unwrap();
    Cache::builder(redis).deadline(DEADLINE).no_breaker().build().unwrap()
}

/// Tries until it succeeds, as an application's requests do.
async fn eventually<T>(what: impl AsyncFn() -> Result<T, Error>) -> T {
    let late = Instant::now() + PATIENCE;
    loop {
        match what().await {
            Ok(done) => return done,
            Err(error) => assert!(Instant::now() < late, "it does not come back: {error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn recovered(cache: &Cache) {
    eventually(async || cache.ping().await).await;
}

async fn refused(cache: &Cache) -> Error {
    let error = cache.get::<u8>("key").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Deadline), "{error:?}");
    error
}

/// Whether who is refused had to wait for that. By no clock: on a busy machine everybody waits.
async fn waits(cache: &Cache) -> bool {
    let (mut asked, mut waited) = (pin!(refused(cache)), false);
    poll_fn(|context| {
        let polled = asked.as_mut().poll(context);
        waited |= polled.is_pending();
        polled
    })
    .await;
    waited
}

#[tokio::test]
async fn a_server_that_never_listened_stops_no_start_up_and_is_found_when_it_comes() {
    let mut server = Server::start();
    server.kill();
    let cache = open(server.port());
    assert_eq!(refused(&cache).await.kind(), ErrorKind::Unavailable);
    assert_eq!(cache.ping().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(cache.get_or_set("key", || async { 5 }).await.unwrap(), 5, "values are made without it");
    server.again();
    recovered(&cache).await;
    cache.set("key", 6).await.unwrap();
    assert_eq!(cache.get("key").await.unwrap(), Some(6));
}

#[tokio::test]
async fn a_server_that_dies_and_comes_back() {
    let mut server = Server::start();
    let cache = open(server.port());
    recovered(&cache).await;
    cache.set("key", 1).tags(["t"]).await.unwrap();
    server.kill();
    for _ in 0..20 {
        refused(&cache).await;
    }
    server.again();
    recovered(&cache).await;
    assert_eq!(cache.get::<u8>("key").await.unwrap(), None, "it is empty");
    cache.set("key", 2).tags(["t"]).await.unwrap();
    assert_eq!(cache.incr("key", 1).await.unwrap(), 3, "scripts are there again");
}

#[tokio::test]
async fn while_a_server_is_away_attempts_are_few() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cache = open_in_haste(listener.local_addr().unwrap().port());
    let attempts = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&attempts);
    let hanging_up = tokio::spawn(async move {
        loop {
            drop(listener.accept().await.unwrap());
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    let begin = Instant::now();
    while attempts.load(Ordering::Relaxed) < 5 {
        refused(&cache).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Half of 50, 100, 200 and 400 ms at least lies between them.
    assert!(begin.elapsed() >= Duration::from_millis(375), "five attempts in {:?}", begin.elapsed());
    hanging_up.abort();
}

#[tokio::test]
async fn a_server_that_accepts_and_stays_silent_is_waited_for_by_few() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let cache = open_in_haste(silent.local_addr().unwrap().port());
    let mut waited = 0;
    for _ in 0..200 {
        waited += usize::from(waits(&cache).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!((1..60).contains(&waited), "{waited} of 200 waited");
}

#[tokio::test]
async fn while_it_is_tried_again_only_one_waits() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let cache = open_in_haste(silent.local_addr().unwrap().port());
    refused(&cache).await;
    // The first attempt and the pause after it are over.
    tokio::time::sleep(4 * DEADLINE).await;
    let all: Vec<_> = (0..20)
        .map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move { waits(&cache).await })
        })
        .collect();
    let mut waited = 0;
    for one in all {
        waited += usize::from(one.await.unwrap());
    }
    assert_eq!(waited, 1);
}

#[tokio::test]
async fn a_server_that_goes_silent_is_given_up_and_found_again() {
    let server = Server::start();
    let cache = open_in_haste(server.port());
    recovered(&cache).await;
    eventually(async || cache.set("key", "text").timeout(Timeout::FOREVER).await).await;
    server.signal("STOP");
    assert_eq!(refused(&cache).await.kind(), ErrorKind::Deadline);
    let mut waited = 1;
    for _ in 0..200 {
        waited += usize::from(waits(&cache).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(waited < 60, "{waited} of 201 waited");
    server.signal("CONT");
    recovered(&cache).await;
    let found = eventually(async || cache.get::<String>("key").await).await;
    assert_eq!(found.as_deref(), Some("text"), "nothing was lost");
}

#[tokio::test]
async fn a_connection_that_takes_longer_than_the_deadline_is_made_all_the_same() {
    let server = Server::start();
    let redis = Redis::builder("127.0.0.1").port(server.port()).connect_timeout(PATIENCE).build().unwrap();
    let cache = Cache::builder(redis).deadline(Duration::from_millis(20)).no_breaker().build().unwrap();
    server.signal("STOP");
    for _ in 0..3 {
        assert_eq!(refused(&cache).await.kind(), ErrorKind::Deadline);
    }
    server.signal("CONT");
    recovered(&cache).await;
    let connections = server.cli(&["INFO", "stats"]);
    let connections = connections.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
    // One to see that it is up, one of ours, and this one.
    assert_eq!(connections, Some("3"), "it was one attempt");
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_made_anew_before_anybody_notices() {
    let server = Server::start();
    let cache = open(server.port());
    recovered(&cache).await;
    cache.set("key", 1).await.unwrap();
    for _ in 0..3 {
        assert_eq!(server.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]), "1");
        // In several turns, so that the connection's own task has one after the server's goodbye.
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(cache.get("key").await.unwrap(), Some(1));
    }
    cache.close().await.unwrap();
    assert_eq!(cache.get("key").await.unwrap(), Some(1), "it may be used after closing");
}

#[tokio::test]
async fn who_stops_waiting_disturbs_nobody() {
    let server = Server::start();
    let cache = open(server.port());
    recovered(&cache).await;
    cache.set("key", "x".repeat(1_000_000)).await.unwrap();
    for _ in 0..20 {
        let mut asked = pin!(cache.get::<String>("key").into_future());
        // Polled once, so that the question is on its way, and dropped.
        poll_fn(|context| {
            _ = asked.as_mut().poll(context);
            Poll::Ready(())
        })
        .await;
    }
    assert!(!cache.has_key("other").await.unwrap());
    assert_eq!(cache.get::<String>("key").await.unwrap().map(|text| text.len()), Some(1_000_000));
}

#[test]
fn each_runtime_has_its_connection_and_without_one_there_is_an_error() {
    let server = Server::start();
    let cache = open(server.port());
    for i in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            recovered(&cache).await;
            cache.set("key", i).await.unwrap();
            assert_eq!(cache.get("key").await.unwrap(), Some(i));
        });
    }
    let mut asked = pin!(cache.get::<u8>("key").into_future());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match asked.as_mut().poll(&mut context) {
        Poll::Ready(Err(error)) => assert_eq!(error.kind(), ErrorKind::Unavailable),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn users_databases_and_wrong_passwords() {
    let server = Server::start();
    server.cli(&["ACL", "SETUSER", "shop", "on", ">s@cr:t", "~*", "+@all"]);
    let schemes = larder_core::Schemes::new().register("redis", larder_redis::open);
    let port = server.port();
    let cache = schemes.open(&format!("redis://shop:s%40cr%3at@127.0.0.1:{port}/3?deadline=60s")).unwrap();
    cache.set("key", 7).await.unwrap();
    assert_eq!(server.cli(&["INFO", "keyspace"]).lines().nth(1).map(|line| &line[..3]), Some("db3"));
    let cache = schemes.open(&format!("redis://shop:hunter2@127.0.0.1:{port}/3?deadline=60s")).unwrap();
    let error = cache.get::<u8>("key").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Backend, "{error:?}");
    assert!(error.to_string().contains("password") && !format!("{error:?}").contains("hunter2"), "{error:?}");
    // Who may not ask for the incarnation may use the cache all the same.
    server.cli(&["ACL", "SETUSER", "shop", "-info"]);
    let cache = schemes.open(&format!("redis://shop:s%40cr%3at@127.0.0.1:{port}/3?deadline=60s")).unwrap();
    cache.set("key", "text").await.unwrap();
    assert_eq!(cache.get("key").await.unwrap(), Some("text".to_owned()));
}

#[tokio::test]
async fn a_full_server_is_an_error_that_says_so() {
    let server = Server::with(&["--maxmemory", "1mb", "--maxmemory-policy", "noeviction"]);
    let cache = open(server.port());
    recovered(&cache).await;
    let error = cache.set("key", "text").await.unwrap_err();
    assert!(error.kind() == ErrorKind::Backend && error.to_string().contains("OOM"), "{error:?}");
    assert_eq!(cache.get::<String>("key").await.unwrap(), None, "reading goes on");
}

#[tokio::test]
async fn a_replica_is_no_place_to_write_to() {
    let server = Server::with(&["--replicaof", "127.0.0.1", &own_port().to_string()]);
    let cache = open(server.port());
    recovered(&cache).await;
    let connections = || {
        let stats = server.cli(&["INFO", "stats"]);
        let count = stats.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
        count.unwrap().parse::<u32>().unwrap()
    };
    let before = connections();
    for _ in 0..2 {
        let error = cache.set("key", "text").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    }
    // One for the second try, since behind the same name there may be a primary by then, and one of ours for counting.
    assert_eq!(connections(), before + 2);
}
