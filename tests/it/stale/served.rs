//! Over real sockets, in memory and on Redis: each window, one refresh for many, one in a fleet.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use larder::{Cache, CacheBuilder, ManualClock};
use larder_tests::{client, env, reqwest::Client, serve};

use super::{ask_and_settle, mounts, secs};
use crate::fed::{asking, soon};
use crate::support::{BEGIN, ask, clocked, get};

/// Text and `Cache-Status` of an answer.
async fn fetch(client: Client, url: String) -> (String, String) {
    let answer = client.get(url).send().await.expect("an answer");
    let said = answer.headers()["cache-status"].to_str().expect("text").to_owned();
    (answer.text().await.expect("a body"), said)
}

/// Asks until the page is another one.
async fn until_new(client: &Client, url: &str) {
    let new = async { while fetch(client.clone(), url.to_owned()).await.0 == "old" {} };
    soon(new).await;
}

async fn goes_through_its_windows(name: &str, cache: &Cache, hand: &ManualClock) {
    for at in 0..3 {
        let (app, mut asked, runs) = asking();
        let (way, app) = mounts(&app, cache)[at].clone();
        let (served, client) = (serve(app).await, client());
        let url = served.url("/");
        let first = tokio::spawn(fetch(client.clone(), url.clone()));
        soon(asked.recv()).await.expect("a run").say(&[], "old");
        soon(first).await.expect("an answer");
        // The store may still be on its way when the answer is there.
        soon(async { while !fetch(client.clone(), url.clone()).await.1.starts_with("larder; hit") {} }).await;
        hand.advance(secs(12));
        let many = soon(join_all((0..40).map(|_| fetch(client.clone(), url.clone())))).await;
        for (text, said) in many {
            assert_eq!(text, "old", "{name} {way}");
            assert_eq!(said, "larder; hit; ttl=-2; detail=stale-while-revalidate", "{name} {way}");
        }
        soon(asked.recv()).await.expect("one refresh").say(&[], "new");
        until_new(&client, &url).await;
        let hit = ("new".to_owned(), "larder; hit; ttl=10".to_owned());
        assert_eq!(fetch(client.clone(), url.clone()).await, hit, "{name} {way}");
        assert_eq!(runs.count(), 2, "{name} {way}");
        hand.advance(secs(20));
        let failing = tokio::spawn(fetch(client.clone(), url.clone()));
        soon(asked.recv()).await.expect("it is asked first").answer(super::status(503, "down"));
        let (text, said) = soon(failing).await.expect("an answer");
        assert_eq!(text, "new", "{name} {way}");
        let wanted = "larder; fwd=stale; fwd-status=503; ttl=-10; detail=stale-on-error";
        assert_eq!(said, wanted, "{name} {way}");
    }
}

#[tokio::test]
async fn in_memory() {
    let (cache, hand) = clocked();
    goes_through_its_windows("memory", &cache, &hand).await;
}

/// A cache on Redis with a clock of the test's own. Who lets a lease go does so beside the test, and would be waited for on a clock
/// that stands.
fn on_redis(prefix: &str, hand: &ManualClock) -> Cache {
    shared(prefix, hand).lease(Duration::ZERO).build().expect("a cache")
}

fn shared(prefix: &str, hand: &ManualClock) -> CacheBuilder {
    let url = format!("{}?prefix={prefix}&deadline=60s", env::redis_url());
    let builder: CacheBuilder = larder::schemes().builder(&url).expect("a builder");
    builder.clock(hand.clock())
}

fn prefix() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("stale{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst))
}

#[tokio::test]
async fn on_redis_too() {
    let hand = ManualClock::new(BEGIN);
    goes_through_its_windows("redis", &on_redis(&prefix(), &hand), &hand).await;
}

#[tokio::test]
async fn one_of_two_processes_makes_a_page_anew() {
    let (hand, prefix) = (ManualClock::new(BEGIN), prefix());
    let (app, mut asked, runs) = asking();
    let mut processes: Vec<_> = (0..2)
        .map(|_| mounts(&app, &shared(&prefix, &hand).build().expect("a cache"))[0].1.clone())
        .collect();
    let (one, other) = (processes.remove(0), processes.remove(0));
    let first = super::beside(&one, get("/"));
    soon(asked.recv()).await.expect("a run").say(&[], "old");
    soon(first).await.expect("an answer");
    soon(async { while !ask(&one, get("/")).await.is_hit() {} }).await;
    hand.advance(secs(12));
    assert_eq!(ask(&one, get("/")).await.text(), "old");
    let refresh = soon(asked.recv()).await.expect("a refresh");
    for _ in 0..5 {
        assert_eq!(ask_and_settle(&other, get("/")).await.text(), "old");
    }
    // Time for one that must not come.
    let second = tokio::time::timeout(Duration::from_millis(200), asked.recv()).await;
    assert!(second.is_err() && runs.count() == 2, "the other process leaves it to the first");
    refresh.say(&[], "new");
    soon(async { while ask(&other, get("/")).await.text() == "old" {} }).await;
    assert_eq!(runs.count(), 2);
}
