//! A primary with read replicas: entries may come from them, the truth never does.

use std::time::{Duration, Instant};

use larder_core::{Cache, ErrorKind, Timeout};
use larder_redis::Redis;

use crate::PATIENT;
use crate::proxy::Proxy;
use crate::server::Server;
use crate::shared::{replicated, schemes};

/// A primary, its replicas, and a cache over them that knows all of them.
async fn opened(primary: u16, replicas: &[u16]) -> Cache {
    let redis = Redis::builder("127.0.0.1").port(primary);
    let redis = redis.replicas(replicas.iter().map(|port| ("127.0.0.1", *port)));
    let redis = redis.connect_timeout(PATIENT).max_silence(PATIENT).build().unwrap();
    let cache = Cache::builder(redis).deadline(PATIENT).timeout(Timeout::FOREVER).build().unwrap();
    cache.get::<u8>("warm").await.unwrap();
    cache
}

async fn open(primary: &Server, replicas: &[Server]) -> Cache {
    let ports: Vec<u16> = replicas.iter().map(Server::port).collect();
    let cache = opened(primary.port(), &ports).await;
    // Replicas are connected to behind the back of who reads.
    let late = Instant::now() + PATIENT;
    cache.set("warm", long("warm")).await.unwrap();
    while !replicas.iter().all(was_read) {
        assert!(Instant::now() < late, "the replicas are not connected to");
        cache.get::<String>("warm").await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cache
}

fn was_read(replica: &Server) -> bool {
    replica.commands().iter().any(|command| command.starts_with("mget "))
}

/// Too long for a beginning.
fn long(text: &str) -> String {
    text.repeat(1_000)
}

fn follows(primary: &Server, replica: &Server, name: &str) {
    let late = Instant::now() + PATIENT;
    while replica.cli(&["GET", name]) != primary.cli(&["GET", name]) {
        assert!(Instant::now() < late, "the replica does not get {name}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn counted(server: &Server) -> Vec<String> {
    let commands = server.commands();
    server.cli(&["CONFIG", "RESETSTAT"]);
    let ours = |command: &String| ["mget", "getrange", "set"].contains(&command.split(' ').next().unwrap());
    commands.into_iter().filter(ours).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entrys_bytes_come_from_a_replica_and_its_validity_from_the_primary() {
    let (primary, replicas) = replicated(2);
    let cache = open(&primary, &replicas).await;
    cache.set("key", long("text")).tags(["t"]).await.unwrap();
    for replica in &replicas {
        follows(&primary, replica, ":1:key");
        counted(replica);
    }
    counted(&primary);
    for _ in 0..4 {
        assert_eq!(cache.get("key").await.unwrap(), Some(long("text")));
    }
    assert_eq!(counted(&primary), ["getrange 4", "mget 4"], "a beginning, and the records");
    for replica in &replicas {
        assert_eq!(counted(replica), ["mget 2"], "each in its turn");
    }
    cache.invalidate(["t"]).await.unwrap();
    assert_eq!(cache.get::<String>("key").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hit_is_one_exchange_with_the_primary_and_one_with_a_replica_at_the_same_time() {
    let (primary, replicas) = replicated(1);
    let mut proxies = [Proxy::new().await, Proxy::new().await];
    proxies[0].before(primary.port());
    proxies[1].before(replicas[0].port());
    let cache = opened(proxies[0].port(), &[proxies[1].port()]).await;
    for tags in [0, 3, 16] {
        cache.set("key", long("text")).tags((0..tags).map(|i| format!("tag{i}"))).await.unwrap();
        follows(&primary, &replicas[0], ":1:key");
        cache.get::<String>("key").await.unwrap();
        let late = Instant::now() + PATIENT;
        while proxies[1].exchanges() == 0 {
            assert!(Instant::now() < late, "the replica is not asked");
            cache.get::<String>("key").await.unwrap();
        }
        proxies[0].exchanges();
        for _ in 0..5 {
            assert_eq!(cache.get("key").await.unwrap(), Some(long("text")));
            assert_eq!(proxies.each_ref().map(Proxy::exchanges), [1, 1], "{tags} tags");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_behind_costs_a_step_and_never_an_old_answer() {
    let (primary, replicas) = replicated(1);
    let (cache, other) = (open(&primary, &replicas).await, open(&primary, &replicas).await);
    for key in ["written", "deleted", "tagged", "numbers"] {
        cache.set(key, long("old")).tags(["t"]).await.unwrap();
        follows(&primary, &replicas[0], &format!(":1:{key}"));
    }
    cache.set("n", 41).tags((0..20).map(|i| format!("tag{i}"))).await.unwrap();
    follows(&primary, &replicas[0], ":1:n");
    // From here on it hears nothing.
    replicas[0].cli(&["REPLICAOF", "NO", "ONE"]);
    cache.set("written", long("new")).tags(["t"]).await.unwrap();
    cache.delete("deleted").await.unwrap();
    assert_eq!(cache.incr("n", 1).await.unwrap(), 42);
    for cache in [&cache, &other] {
        counted(&replicas[0]);
        assert_eq!(cache.get("written").await.unwrap(), Some(long("new")));
        assert_eq!(counted(&replicas[0]), ["mget 1"], "it was asked");
        assert_eq!(cache.get::<String>("deleted").await.unwrap(), None);
        assert_eq!(cache.get("n").await.unwrap(), Some(42));
        assert_eq!(cache.get("tagged").await.unwrap(), Some(long("old")), "what it has is good");
    }
    counted(&primary);
    assert_eq!(cache.get("written").await.unwrap(), Some(long("new")));
    assert_eq!(counted(&primary), ["getrange 1", "mget 2"], "one step more");
    cache.invalidate(["t"]).await.unwrap();
    let old = replicas[0].cli(&["GET", ":tag:t"]);
    assert_ne!(old, primary.cli(&["GET", ":tag:t"]), "it has the old record");
    for cache in [&cache, &other] {
        assert_eq!(cache.get::<String>("tagged").await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_replicas_everything_comes_from_the_primary() {
    let (primary, mut replicas) = replicated(2);
    let cache = open(&primary, &replicas).await;
    cache.set("key", long("text")).await.unwrap();
    for replica in &mut replicas {
        replica.kill();
        for _ in 0..10 {
            assert_eq!(cache.get("key").await.unwrap(), Some(long("text")));
        }
    }
    counted(&primary);
    for _ in 0..10 {
        assert_eq!(cache.get("key").await.unwrap(), Some(long("text")));
    }
    assert_eq!(counted(&primary), ["mget 10"], "not a step more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_goes_silent_is_asked_by_few() {
    let (primary, replicas) = replicated(1);
    let mut proxy = Proxy::new().await;
    proxy.before(replicas[0].port());
    let cache = opened(primary.port(), &[proxy.port()]).await;
    cache.set("key", long("text")).await.unwrap();
    follows(&primary, &replicas[0], ":1:key");
    let late = Instant::now() + PATIENT;
    while counted(&replicas[0]).is_empty() {
        assert!(Instant::now() < late, "the replica is not asked");
        assert_eq!(cache.get("key").await.unwrap(), Some(long("text")));
    }
    proxy.hold(true);
    proxy.exchanges();
    counted(&primary);
    for _ in 0..50 {
        assert_eq!(cache.get("key").await.unwrap(), Some(long("text")));
    }
    let commands = counted(&primary);
    assert!(!commands.contains(&"getrange 50".to_owned()), "it is left alone for a while: {commands:?}");
    proxy.hold(false);
    counted(&replicas[0]);
    let late = Instant::now() + PATIENT;
    while counted(&replicas[0]).is_empty() {
        assert!(Instant::now() < late, "it is not asked again");
        assert_eq!(cache.get("key").await.unwrap(), Some(long("text")));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn without_the_primary_there_is_nothing() {
    let (mut primary, replicas) = replicated(1);
    let cache = open(&primary, &replicas).await;
    cache.set("key", long("text")).await.unwrap();
    follows(&primary, &replicas[0], ":1:key");
    primary.kill();
    let error = cache.get::<String>("key").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "who knows what is still valid: {error:?}");
}

#[test]
fn urls_name_the_replicas() {
    for url in [
        "redis://h1:6379/1?replicas=h2:6380,[::1]:6381,h3",
        "redis://shop:s%40crt@h1?replicas=h2&connect_timeout=300ms",
    ] {
        let shown = format!("{:?}", schemes().open(url).unwrap());
        assert!(!shown.contains("crt"), "{shown}");
    }
    for (url, says) in [
        ("redis://h1?replicas=", "host"),
        ("redis://h1?replicas=h2,,h3", "host"),
        ("redis://h1?replicas=h2:x", "port"),
        ("redis://h1?replica=h2", "replicas"),
    ] {
        let error = schemes().open(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}: {error}");
        assert!(error.to_string().contains(says), "{url}: {error}");
    }
    let builder = Redis::unix_socket("/run/redis.sock").replicas([("h2", 1)]);
    assert!(builder.build().unwrap_err().to_string().contains("beside a primary"));
}
