//! The example over every kind of store that a URL can name, as `delay --cache URL` opens it.

use std::time::Duration;

use delay::httpbin::StandIn;
use delay::{Delay, Httpbin, app};
use larder_tests::{certificates, client, env, own_port, serve};

use crate::faults::own::{Kind, Own};
use crate::support::with_patience;

/// What each kind of page says of the second request: asked once, whoever makes it.
async fn works_with(url: &str) {
    let more = if url.contains('?') { '&' } else { '?' };
    let url = with_patience(&format!("{url}{more}prefix=delay-{}", std::process::id()));
    let cache = larder::open(&url).unwrap_or_else(|error| panic!("{url}: {error}"));
    let api = StandIn::start().await.expect("a stand-in");
    let httpbin = Httpbin::new(&api.url(), 0.0).expect("an address");
    let site = serve(app(Delay { cache: cache.clone(), httpbin, calls: Some(api.calls()) })).await;
    let get = async |path: &str| {
        let answer = client().get(site.url(path)).timeout(Duration::from_secs(120)).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(answer.status().as_u16(), 200, "{url}: {path}");
        answer.headers().get("cache-status").map(|field| field.to_str().expect("text").to_owned())
    };
    for path in ["/playground/hello/", "/site/"] {
        // The store may be under way while the next request comes; that one is answered by the same run.
        for tries in 1.. {
            let status = get(path).await.expect("a layer says what it did");
            if status.starts_with("larder; hit") {
                break;
            }
            assert!(tries < 1_000 && (tries == 1 || status.contains("collapsed")), "{url}: {status}");
        }
    }
    for path in ["/playground/lowlevel/", "/playground/get_or_set/"] {
        get(path).await;
        get(path).await;
    }
    assert_eq!(api.calls().counts().total, 4, "{url}: each was asked for once");
    cache.clear().await.unwrap_or_else(|error| panic!("{url}: {error}"));
    get("/playground/hello/").await;
    assert_eq!(api.calls().counts().total, 5, "{url}: cleared");
    cache.clear().await.unwrap_or_else(|error| panic!("{url}: {error}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_delay_example_works_with_each_kind_of_redis() {
    let cluster = env::redis_cluster_url();
    let replicas = env::redis_replicas_url();
    let _alone = [Some(env::alone_with(&cluster)), replicas.as_deref().map(env::alone_with)];
    for url in [env::redis_url(), cluster, env::redis_sentinel_url()].into_iter().chain(replicas) {
        works_with(&url).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_delay_example_works_over_tls_and_over_a_socket() {
    let made = tempfile::tempdir().expect("a temporary directory");
    certificates(made.path(), "DNS:localhost,IP:127.0.0.1");
    let file = |name: &str| made.path().join(name).display().to_string();
    let (port, socket) = (own_port(), file("redis.sock"));
    let _server = Own::with(
        Kind::Redis,
        &[
            "--unixsocket",
            &socket,
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &file("cert.pem"),
            "--tls-key-file",
            &file("key.pem"),
            "--tls-ca-cert-file",
            &file("ca.pem"),
            "--tls-auth-clients",
            "no",
        ],
    );
    works_with(&format!("redis+unix://{socket}?db=3")).await;
    works_with(&format!("rediss://localhost:{port}/0?ca_file={}", file("ca.pem"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_delay_example_works_with_every_other_store() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| place.path().join(name).display().to_string();
    let table = format!("delay_{}", std::process::id());
    for url in [
        "memory:".to_owned(),
        format!("file://{}", at("directory")),
        format!("sqlite://{}", at("cache.db")),
        format!("memcached://{}", env::memcached().join(",")),
        format!("{}?table={table}", env::postgres_url()),
        format!("{}?table={table}", env::mysql_url()),
        format!("tiered:?l2={}", env::redis_url()),
        format!("tiered:?l2=sqlite://{}&backplane=memory:", at("tiers.db")),
    ] {
        works_with(&url).await;
    }
}
