//! Requests that are given up at any point disturb nobody.

use std::time::Duration;

use larder_core::Cache;
use larder_memcached::Memcached;

use crate::PATIENT;
use crate::proxy::Proxy;
use crate::servers::Server;

/// Numbers that look random, the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_requests_never_shift_the_answers_of_others() {
    let servers = [Server::start(), Server::start()];
    let proxies = [Proxy::before(&servers[0]).await, Proxy::before(&servers[1]).await];
    let backend =
        Memcached::builder(proxies.iter().map(Proxy::address)).max_silence(PATIENT).build().unwrap();
    let cache = Cache::builder(backend).deadline(PATIENT).build().unwrap();
    let text = |i: u64| format!("value {i} ").repeat(1 + (i as usize % 7) * 1_000);
    for i in 0..50 {
        cache.set(&format!("key{i}"), text(i)).await.unwrap();
    }
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let cache = cache.clone();
            tokio::spawn(async move {
                let mut dice = Dice(task);
                for _ in 0..150 {
                    let i = dice.below(50);
                    let key = format!("key{i}");
                    let work = async {
                        match dice.below(4) {
                            0 => cache.set(&key, text(i)).await.unwrap(),
                            1 => {
                                let names: Vec<String> = (0..10).map(|k| format!("key{k}")).collect();
                                for (name, value) in cache.get_many::<String, _>(names).await.unwrap() {
                                    assert_eq!(value, text(name[3..].parse().unwrap()));
                                }
                            }
                            2 => assert!(cache.touch(&key).await.unwrap(), "{key}"),
                            _ => assert!(cache.get::<String>(&key).await.unwrap() == Some(text(i)), "{key}"),
                        }
                    };
                    let patience = Duration::from_micros(Dice(task * 1_000 + i).below(600));
                    // Given up at some point, or not.
                    _ = tokio::time::timeout(patience, work).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for i in 0..50 {
        assert!(cache.get::<String>(&format!("key{i}")).await.unwrap() == Some(text(i)), "key{i}");
    }
    assert_eq!(proxies.each_ref().map(Proxy::connections), [1, 1], "no connection had to be given up");
}

#[tokio::test]
async fn a_request_that_is_dropped_while_connecting_leaves_the_connection_to_others() {
    let server = Server::start();
    let proxy = Proxy::before(&server).await;
    let backend = Memcached::builder([proxy.address()]).max_silence(PATIENT).build().unwrap();
    let cache = Cache::builder(backend).deadline(PATIENT).build().unwrap();
    // Polled once: it is on its way, and given up.
    tokio::select! {
        biased;
        _ = cache.ping() => panic!("it can't have been answered yet"),
        () = std::future::ready(()) => {}
    }
    cache.set("key", 1).await.unwrap();
    assert_eq!(cache.get("key").await.unwrap(), Some(1));
    assert_eq!(proxy.connections(), 1);
}
