//! Tiers over a Redis server, and its pub/sub as the backplane.

use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_core::backplane::InProcess;
use larder_core::{Backend, Cache, Space};
use larder_memory::Memory;
use larder_redis::{Redis, RedisBackplane, RedisBuilder};
use larder_testkit::Stage;
use larder_tiered::Tiered;

use crate::server::Server;
use crate::{COPIED, NEVER, following, tiers};

const PATIENT: Duration = Duration::from_secs(60);
const NOW: u64 = 1_700_000_000_000;

fn patient(server: &Server) -> RedisBuilder {
    Redis::unix_socket(server.socket()).connect_timeout(PATIENT).max_silence(PATIENT)
}

pub(crate) async fn stage() -> Stage {
    let server = Arc::new(Server::start());
    let tiers = following(tiers(patient(&server).build().unwrap(), InProcess::new())).await;
    let aged = Arc::clone(&server);
    Stage::new(tiers).opaque(COPIED).aging(move |by| aged.age(by)).keeping(server)
}

/// As a process of its own has them.
async fn process(server: &Server, heartbeat: Duration) -> (Tiered, Cache) {
    let redis = patient(server);
    let backplane = RedisBackplane::new(&redis).unwrap();
    let tiers = Tiered::builder(Memory::new(), redis.build().unwrap()).backplane(backplane);
    let tiers = following(tiers.heartbeat(heartbeat).build().unwrap()).await;
    let cache = Cache::builder(tiers.clone()).deadline(PATIENT).no_breaker().build().unwrap();
    (tiers, cache)
}

async fn get(cache: &Cache) -> Option<String> {
    cache.get("key").await.unwrap()
}

/// Until L1 says so, and for ever if it never does.
async fn until(cache: &Cache, value: Option<&str>) {
    while get(cache).await.as_deref() != value {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_follow_each_other() {
    let server = Server::start();
    let ((_one, a), (_two, b)) = (process(&server, NEVER).await, process(&server, NEVER).await);
    for round in 0..10 {
        let value = format!("value {round}");
        a.set("key", &value).tags(["t"]).await.unwrap();
        until(&b, Some(&value)).await;
        match round % 3 {
            0 => b.invalidate(["t"]).await.unwrap(),
            1 => b.clear().await.unwrap(),
            _ => assert!(b.delete("key").await.unwrap()),
        }
        assert_eq!(get(&b).await, None);
        until(&a, None).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_connection_was_cut_nothing_is_served_that_was_invalidated_meanwhile() {
    let server = Server::start();
    let ((one, a), (_two, b)) = (process(&server, NEVER).await, process(&server, NEVER).await);
    for round in 0..5 {
        let value = format!("value {round}");
        b.set("key", &value).tags(["t"]).await.unwrap();
        until(&a, Some(&value)).await;
        server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        while one.is_following() {
            tokio::task::yield_now().await;
        }
        b.invalidate(["t"]).await.unwrap();
        assert_eq!(get(&a).await, None);
        while !one.is_following() {
            assert_eq!(get(&a).await, None);
            tokio::task::yield_now().await;
        }
        assert_eq!(get(&a).await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_emptied_or_invalidated_by_another_client_is_noticed() {
    let server = Server::start();
    let (one, a) = process(&server, NEVER).await;
    let plain = patient(&server).build().unwrap();
    for emptied in [false, true] {
        a.set("key", "value").tags(["t"]).await.unwrap();
        one.compare().await.unwrap();
        assert!(get(&a).await.is_some());
        if emptied {
            server.cli(&["FLUSHALL"]);
        } else {
            plain.invalidate(&Space::default(), &["t".into()], NOW).await.unwrap();
        }
        one.compare().await.unwrap();
        assert_eq!(get(&a).await, None, "emptied: {emptied}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_and_comes_back_is_followed_again_without_anybody_doing_anything() {
    let mut server = Server::start();
    let (one, a) = process(&server, Duration::from_millis(20)).await;
    a.set("key", "value").await.unwrap();
    assert!(get(&a).await.is_some());
    server.kill();
    while one.is_following() {
        tokio::task::yield_now().await;
    }
    assert!(a.get::<String>("key").await.is_err(), "L1 and L2 were followed by one server");
    server.again();
    while !one.is_following() || a.set("key", "new").await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(get(&a).await.as_deref(), Some("new"));
}

/// `cargo test -p larder-tiered -- --ignored --nocapture milliseconds`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "reports times; there is nothing in it that fails"]
async fn the_milliseconds_until_another_process_follows() {
    let server = Server::start();
    let ((_one, a), (_two, b)) = (process(&server, NEVER).await, process(&server, NEVER).await);
    let mut took = Vec::new();
    for round in 0..1_000 {
        let value = format!("value {round}");
        a.set("key", &value).tags(["t"]).await.unwrap();
        until(&b, Some(&value)).await;
        assert!(get(&b).await.is_some());
        let began = Instant::now();
        a.invalidate(["t"]).await.unwrap();
        let said = began.elapsed();
        until(&b, None).await;
        took.push((began.elapsed().saturating_sub(said), said));
    }
    took.sort_unstable();
    let at = |share: usize| took[took.len() * share / 1_000 - 1].0;
    println!(
        "after `invalidate` returned, the other process followed within {:?} (half), {:?} (99 of 100), {:?} (all); `invalidate` itself took about {:?}",
        at(500),
        at(990),
        at(1_000),
        took[took.len() / 2].1,
    );
}
