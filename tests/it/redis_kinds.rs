//! Redis as one server, as a Cluster, under Sentinel and with replicas: pages, values and tags end to end, in the real servers.

use axum::{Router, routing::get};
use larder::Cache;
use larder::prelude::*;
use larder_tests::env;

use crate::support::{Runs, ask, get as request};

/// Two handles on the same store, as two processes have them, in a namespace of this test's own.
fn two(url: &str, name: &str) -> (Cache, Cache) {
    let more = if url.contains('?') { '&' } else { '?' };
    let prefix = format!("{name}-{}", std::process::id());
    let url = format!("{url}{more}prefix={prefix}&deadline=30s&connect_timeout=30s&max_silence=30s");
    (larder::open(&url).expect("a cache"), larder::open(&url).expect("a cache"))
}

/// A page is stored by one and found by the other, its variant too; a tag forgets it for both; what is cleared is gone.
async fn pages_and_values(url: &str) {
    let (one, two) = two(url, "kinds");
    let runs = Runs::default();
    let made = runs.clone();
    let view = move || {
        let made = made.clone();
        async move { ([("vary", "accept-language")], PageTags::new(["course:7"]), format!("run {}", made.next())) }
    };
    let routed = |cache: &Cache| {
        Router::new().route("/", get(view.clone()).layer(cache_page(60).cache(cache).key_prefix("p")))
    };
    let (first, second) = (routed(&one), routed(&two));
    assert!(ask(&first, request("/")).await.is_stored());
    let hit = ask(&second, request("/")).await;
    assert!(hit.is_hit(), "{}", hit.cache_status());
    one.set("value", "v".repeat(5_000)).tags(["course:7"]).await.expect("stored");
    assert_eq!(two.get::<String>("value").await.expect("read").map(|text| text.len()), Some(5_000));
    two.invalidate(["course:7"]).await.expect("invalidated");
    assert_eq!(one.get::<String>("value").await.expect("read"), None);
    let again = ask(&first, request("/")).await;
    assert!(!again.is_hit() && again.is_stored(), "{}", again.cache_status());
    assert_eq!(runs.count(), 2);
    one.set("n", 1).await.expect("stored");
    assert_eq!(two.incr("n", 41).await.expect("counted"), 42);
    two.clear().await.expect("cleared");
    assert!(!ask(&second, request("/")).await.is_hit());
    assert!(!one.has_key("n").await.expect("read"));
    one.clear().await.expect("cleared");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server() {
    pages_and_values(&env::redis_url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster() {
    let url = env::redis_cluster_url();
    let _alone = env::alone_with(&url);
    pages_and_values(&url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_under_sentinel_and_its_replicas() {
    let url = env::redis_sentinel_url();
    let replicas = env::redis_replicas_url();
    let _alone = replicas.as_deref().map(env::alone_with);
    pages_and_values(&url).await;
    if let Some(replicas) = replicas {
        pages_and_values(&replicas).await;
    }
}
