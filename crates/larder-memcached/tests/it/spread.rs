//! Several servers, one exchange each.

use std::sync::Arc;

use larder_core::{Cache, Schemes};
use larder_memcached::Memcached;

use crate::proxy::Proxy;
use crate::servers::Server;
use crate::{PATIENT, Stage};

fn over(proxies: &[Proxy]) -> Cache {
    let backend =
        Memcached::builder(proxies.iter().map(Proxy::address)).max_silence(PATIENT).build().unwrap();
    Cache::builder(backend).deadline(PATIENT).build().unwrap()
}

async fn proxies(servers: &[Server]) -> Vec<Proxy> {
    let mut proxies = Vec::new();
    for server in servers {
        proxies.push(Proxy::before(server).await);
    }
    proxies
}

/// How many exchanges each server sees while `work` is done.
async fn exchanges(proxies: &[Proxy], work: impl Future<Output = ()>) -> Vec<usize> {
    let before: Vec<usize> = proxies.iter().map(Proxy::exchanges).collect();
    work.await;
    proxies.iter().zip(before).map(|(proxy, before)| proxy.exchanges() - before).collect()
}

#[tokio::test]
async fn each_name_has_one_server_and_all_servers_have_names() {
    let stage = Stage::on(3);
    let cache = stage.cache();
    for i in 0..60 {
        cache.set(&format!("key{i}"), i).await.unwrap();
    }
    let mut counts = [0; 3];
    for i in 0..60 {
        let homes: Vec<usize> = (0..3).filter(|s| stage.servers[*s].has(&format!(":1:key{i}"))).collect();
        assert_eq!(homes.len(), 1, "key{i} is on {homes:?}");
        counts[homes[0]] += 1;
    }
    assert!(counts.iter().all(|count| *count > 3), "{counts:?}");
}

#[tokio::test]
async fn the_order_in_which_servers_are_named_makes_no_difference() {
    let stage = Stage::on(3);
    let addresses: Vec<String> = stage.servers.iter().rev().map(Server::address).collect();
    let other = Cache::builder(Memcached::builder(addresses).max_silence(PATIENT).build().unwrap())
        .clock(stage.hand.clock());
    let (one, other) = (stage.cache(), other.deadline(PATIENT).build().unwrap());
    for i in 0..30 {
        one.set(&format!("key{i}"), i).tags([format!("tag{i}")]).await.unwrap();
        assert_eq!(other.get(&format!("key{i}")).await.unwrap(), Some(i));
        other.invalidate([format!("tag{i}")]).await.unwrap();
        assert!(!one.has_key(&format!("key{i}")).await.unwrap());
    }
}

#[tokio::test]
async fn a_hit_is_one_exchange_and_one_more_with_tags_that_nobody_knows() {
    let servers = [Server::start()];
    let proxies = proxies(&servers).await;
    let cache = over(&proxies);
    for count in [0, 1, 3, 16] {
        let other = over(&proxies);
        other.ping().await.unwrap();
        let tags: Vec<String> = (0..count).map(|i| format!("tag{i}")).collect();
        cache.set("key", count).tags(tags).await.unwrap();
        for (who, cache, wanted) in [
            ("who wrote it", &cache, 1),
            ("another", &other, if count == 0 { 1 } else { 2 }),
            ("another again", &other, 1),
        ] {
            let seen = exchanges(&proxies, async {
                assert_eq!(cache.get("key").await.unwrap(), Some(count));
            });
            assert_eq!(seen.await, [wanted], "{count} tags, {who}");
        }
    }
    let seen = exchanges(&proxies, async { assert!(!cache.has_key("nothing").await.unwrap()) });
    assert_eq!(seen.await, [1], "a miss");
}

#[tokio::test]
async fn many_reads_are_one_exchange_with_each_server() {
    let servers = [Server::start(), Server::start(), Server::start()];
    let proxies = proxies(&servers).await;
    let cache = over(&proxies);
    let names: Vec<String> = (0..60).map(|i| format!("key{i}")).collect();
    for (i, name) in names.iter().enumerate() {
        cache.set(name, i).await.unwrap();
    }
    let seen = exchanges(&proxies, async {
        let found = cache.get_many::<usize, _>(&names).await.unwrap();
        assert!(names.iter().enumerate().all(|(i, name)| found[name] == i));
    });
    assert_eq!(seen.await, [1, 1, 1]);
}

#[tokio::test]
async fn several_are_stored_and_removed_in_one_exchange_with_each_server() {
    let servers = [Server::start(), Server::start(), Server::start()];
    let proxies = proxies(&servers).await;
    let cache = over(&proxies);
    let names: Vec<String> = (0..60).map(|i| format!("key{i}")).collect();
    cache.set("warm", 1).await.unwrap();
    let seen = exchanges(&proxies, async {
        let refused = cache.set_many(names.iter().zip(0..)).await.unwrap();
        assert!(refused.is_empty());
    });
    let seen = seen.await;
    // One server is asked for the namespace's nonce and fence before, or two are.
    assert!(seen.iter().all(|count| (1..=2).contains(count)), "{seen:?}");
    let seen = exchanges(&proxies, async {
        assert_eq!(cache.delete_many(names.iter().chain(&names)).await.unwrap(), 60);
    });
    let seen = seen.await;
    // The leases of what may be in the making are removed beside them, and the namespace's record tells what was valid.
    assert!(seen.iter().all(|count| (1..=3).contains(count)), "{seen:?}");
    assert_eq!(cache.get_many::<i32, _>(&names).await.unwrap().len(), 0);
}

#[tokio::test]
async fn what_was_invalidated_is_not_counted_among_the_removed() {
    let stage = Stage::on(3);
    let cache = stage.cache();
    for i in 0..12 {
        cache.set(&format!("key{i}"), i).tags([format!("tag{}", i % 3)]).await.unwrap();
    }
    cache.invalidate(["tag1"]).await.unwrap();
    let names: Vec<String> = (0..12).map(|i| format!("key{i}")).collect();
    assert_eq!(cache.delete_many(&names).await.unwrap(), 8);
    assert!(stage.servers.iter().all(|server| names.iter().all(|name| !server.has(&format!(":1:{name}")))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_tasks_share_one_connection_and_every_answer_goes_to_its_question() {
    let servers = [Server::start()];
    let proxies = Arc::new(proxies(&servers).await);
    let cache = over(&proxies);
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let cache = cache.clone();
            tokio::spawn(async move {
                // Some small, some large.
                let text = format!("value of {task} ").repeat(1 + task * 40);
                for round in 0..20 {
                    let key = format!("key{task}.{round}");
                    assert!(!cache.has_key(&key).await.unwrap());
                    cache.set(&key, &text).await.unwrap();
                    assert!(cache.get::<String>(&key).await.unwrap().as_ref() == Some(&text), "{key}");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(proxies[0].connections(), 1);
}

#[tokio::test]
async fn close_lets_go_of_the_connection_and_the_cache_works_on() {
    let servers = [Server::start()];
    let proxies = proxies(&servers).await;
    let cache = over(&proxies);
    cache.ping().await.unwrap();
    cache.set("key", 1).await.unwrap();
    cache.close().await.unwrap();
    proxies[0].all_closed().await;
    assert_eq!(cache.get("key").await.unwrap(), Some(1));
    assert_eq!(proxies[0].connections(), 2);
    drop(cache);
    proxies[0].all_closed().await;
}

#[test]
fn a_cache_outlives_the_runtime_that_it_was_first_used_on() {
    let server = Server::start();
    let backend = Memcached::builder([server.address()]).max_silence(PATIENT).build().unwrap();
    let cache = Cache::builder(backend).deadline(PATIENT).build().unwrap();
    for round in 0..3_u8 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            assert_eq!(cache.get::<u8>("key").await.unwrap(), round.checked_sub(1));
            cache.set("key", round).await.unwrap();
        });
    }
}

#[test]
fn without_a_runtime_it_is_an_error_and_no_panic() {
    let backend = Memcached::builder(["127.0.0.1:1"]).build().unwrap();
    let cache = Cache::new(backend);
    let mut future = std::pin::pin!(cache.ping());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Err(error)) = future.as_mut().poll(&mut context) else { panic!("it waits") };
    assert_eq!(error.kind(), larder_core::ErrorKind::Unavailable);
}

#[tokio::test]
async fn servers_on_ports_are_reached_by_name_and_by_number() {
    let (_one, first) = on_a_port();
    let (_two, second) = on_a_port();
    let url = format!("memcached://127.0.0.1:{first},localhost:{second}?deadline=60s&max_silence=60s");
    let schemes = Schemes::new().register("memcached", larder_memcached::open);
    let cache = schemes.open(&url).unwrap();
    cache.ping().await.unwrap();
    for i in 0..30 {
        cache.set(&format!("key{i}"), i).tags(["t"]).await.unwrap();
    }
    let names: Vec<String> = (0..30).map(|i| format!("key{i}")).collect();
    assert_eq!(cache.get_many::<u8, _>(&names).await.unwrap().len(), 30);
    cache.invalidate(["t"]).await.unwrap();
    assert_eq!(cache.get_many::<u8, _>(&names).await.unwrap().len(), 0);
}

/// A server on a port that was free a moment ago; if somebody else took it since, on another.
fn on_a_port() -> (Server, u16) {
    for _ in 0..20 {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        if let Some(server) = Server::on_port(port) {
            return (server, port);
        }
    }
    panic!("no port stays free");
}
