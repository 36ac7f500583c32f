//! Sentinel: who the primary is, before and after a failover.

use std::time::{Duration, Instant};

use larder_core::{Cache, ErrorKind, Schemes};

use crate::ports::own_port;
use crate::server::Server;

fn watching(primary: u16) -> Server {
    let lines = [
        format!("sentinel monitor shop 127.0.0.1 {primary} 1"),
        "sentinel down-after-milliseconds shop 2000".into(),
        "sentinel failover-timeout shop 6000".into(),
    ];
    Server::sentinel(&lines.join("\n"))
}

fn open(authority: &str, master: &str) -> Cache {
    let open = |scheme| Schemes::new().register(scheme, larder_redis::open);
    let url = format!(
        "redis+sentinel://{authority}/{master}/0?connect_timeout=10s&max_silence=10s&deadline=10s&breaker=off"
    );
    open("redis+sentinel").open(&url).unwrap()
}

/// Waits until something can be stored.
async fn stored(cache: &Cache, value: &str) {
    let late = Instant::now() + Duration::from_secs(60);
    while let Err(error) = cache.set("key", value).tags(["t"]).await {
        assert!(Instant::now() < late, "{error:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failover_the_new_primary_is_found_and_begins_cold() {
    let mut primary = Server::start();
    let replica = Server::with(&["--replicaof", "127.0.0.1", &primary.port().to_string()]);
    let late = Instant::now() + Duration::from_secs(60);
    while !replica.cli(&["INFO", "replication"]).contains("master_link_status:up") {
        assert!(Instant::now() < late, "the replica does not follow");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let sentinel = watching(primary.port());
    // The first of them is dead.
    let cache = open(&format!("127.0.0.1:{},127.0.0.1:{}", own_port(), sentinel.port()), "shop");
    stored(&cache, "old").await;
    assert_eq!(cache.get("key").await.unwrap(), Some("old".to_owned()));
    cache.set("other", "old").await.unwrap();
    while !sentinel.cli(&["SENTINEL", "REPLICAS", "shop"]).contains("127.0.0.1") {
        assert!(Instant::now() < late, "the sentinel finds no replica");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Replication is behind the primary's back: what is to be found there later has to have arrived.
    while replica.cli(&["GET", ":1:other"]).trim().is_empty() {
        assert!(Instant::now() < late, "the replica does not get what the primary has");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    primary.kill();
    assert!(cache.get::<String>("key").await.is_err(), "nothing is read from the replica");
    stored(&cache, "new").await;
    assert_eq!(cache.get("key").await.unwrap(), Some("new".to_owned()));
    assert!(replica.cli(&["ROLE"]).starts_with("master"));
    // What the old primary had acknowledged and not passed on may be an invalidation, so nothing of then is believed.
    assert_ne!(replica.cli(&["GET", ":1:other"]), "", "it was passed on");
    assert_eq!(cache.get::<String>("other").await.unwrap(), None);
}

#[tokio::test]
async fn a_name_that_no_sentinel_knows_is_unavailable() {
    let primary = Server::start();
    let sentinel = watching(primary.port());
    let cache = open(&format!("127.0.0.1:{}", sentinel.port()), "blog");
    let error = cache.ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("primary"), "{error}");
}

#[test]
fn urls_name_sentinels_and_primary() {
    for url in
        ["redis+sentinel://h/shop", "redis+sentinel://u:p@h1:1,[::1]:2,h3/shop/3?sentinel_password=x&db=1"]
    {
        let opened = Schemes::new().register("redis+sentinel", larder_redis::open).open(url);
        assert_eq!(opened.is_ok(), !url.contains("db="), "{url}: {opened:?}");
    }
    for (url, says) in [
        ("redis+sentinel://h1,h2", "mymaster"),
        ("redis+sentinel://h1,/shop", "host"),
        ("redis+sentinel:///shop", "host"),
        ("redis+sentinel://h:x/shop", "port"),
        ("redis+sentinel://h/shop/one", "number"),
    ] {
        let error = Schemes::new().register("redis+sentinel", larder_redis::open).open(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}: {error}");
        assert!(error.to_string().contains(says), "{url}: {error}");
    }
}
