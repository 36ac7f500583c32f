//! Servers that say what they were not asked: nobody gets another's answer, and the next connection is in order.

use std::time::{Duration, Instant};

use larder_core::{Cache, ErrorKind};
use larder_memcached::Memcached;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::PATIENT;
use crate::proxy::{Proxy, Spoil};
use crate::servers::Server;

fn over(address: String) -> Cache {
    let backend = Memcached::builder([address]).max_silence(Duration::from_secs(2)).build().unwrap();
    Cache::builder(backend).deadline(PATIENT).no_breaker().build().unwrap()
}

/// Until the cache answers as it should; the pause after a failure is two seconds at most.
async fn recovered(cache: &Cache) {
    let late = Instant::now() + Duration::from_secs(30);
    while cache.ping().await.is_err() {
        assert!(Instant::now() < late, "it does not recover");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn spoils() -> Vec<Spoil> {
    let junk = |text: &str| text.as_bytes().to_vec();
    vec![
        Spoil::Before(junk("EN\r\n")),
        Spoil::Before(junk("MN\r\n")),
        Spoil::Before(junk("HD O1\r\n")),
        Spoil::Before(junk("VA 9 c1 O1\r\n\"garbage\"\r\n")),
        Spoil::Before(junk("\r\n")),
        Spoil::Before(vec![0; 10_000]),
        Spoil::Instead(junk("ERROR\r\n")),
        Spoil::Instead(junk("CLIENT_ERROR bad command line format\r\n")),
        Spoil::Instead(junk("SERVER_ERROR out of memory storing object\r\n")),
        Spoil::Instead(junk("VA 99999999999999999999 c1 O1\r\n")),
        Spoil::Instead(junk("VA 1000000000 c1 O")),
        Spoil::Instead(junk("HTTP/1.1 400 Bad Request\r\n\r\n")),
        Spoil::Twice,
        Spoil::Never,
        Spoil::Half,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_among_the_answers_never_becomes_anybodys_answer() {
    let server = Server::start();
    let proxy = Proxy::before(&server).await;
    let cache = over(proxy.address());
    for i in 0..40 {
        cache.set(&format!("key{i}"), format!("value {i}")).await.unwrap();
    }
    for spoil in spoils() {
        recovered(&cache).await;
        proxy.spoil(spoil.clone());
        let tasks: Vec<_> = (0..40)
            .map(|i| {
                let cache = cache.clone();
                tokio::spawn(async move {
                    for round in 0..5 {
                        // A miss or an error is what garbage may cost.
                        if let Ok(Some(value)) = cache.get::<String>(&format!("key{i}")).await {
                            assert_eq!(value, format!("value {i}"), "round {round}");
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap_or_else(|error| panic!("{spoil:?}: {error}"));
        }
        recovered(&cache).await;
        for i in 0..40 {
            let found = cache.get::<String>(&format!("key{i}")).await.unwrap();
            assert_eq!(found, Some(format!("value {i}")), "after {spoil:?}");
        }
    }
}

#[tokio::test]
async fn each_kind_of_garbage_costs_one_request_and_the_connection() {
    let server = Server::start();
    let proxy = Proxy::before(&server).await;
    let cache = over(proxy.address());
    cache.set("key", "value").await.unwrap();
    for spoil in [
        Spoil::Before(b"EN O99\r\n".to_vec()),
        Spoil::Instead(b"ERROR\r\n".to_vec()),
        Spoil::Instead(b"VA 1 c1 O99\r\nx\r\n".to_vec()),
        Spoil::Never,
        Spoil::Half,
    ] {
        let before = proxy.connections();
        proxy.spoil(spoil.clone());
        let error = cache.get::<String>("key").await.unwrap_err();
        assert!(error.is_transient(), "{spoil:?}: {error}");
        recovered(&cache).await;
        assert_eq!(cache.get::<String>("key").await.unwrap().as_deref(), Some("value"), "{spoil:?}");
        assert_eq!(proxy.connections(), before + 1, "{spoil:?}");
    }
}

#[tokio::test]
async fn an_error_of_the_server_costs_that_request_and_not_the_connection() {
    let server = Server::start();
    let proxy = Proxy::before(&server).await;
    let cache = over(proxy.address());
    cache.ping().await.unwrap();
    proxy.spoil(Spoil::Instead(b"SERVER_ERROR out of memory\r\nSERVER_ERROR out of memory\r\n".to_vec()));
    let error = cache.get::<u8>("key").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Backend);
    assert!(error.to_string().contains("out of memory"), "{error}");
    assert!(!cache.has_key("key").await.unwrap());
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn something_else_than_memcached_is_recognised_before_anything_is_believed() {
    for greeting in
        [&b"-ERR unknown command `mn`\r\n"[..], b"ERROR\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b""]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut line = [0; 64];
                _ = stream.read(&mut line).await;
                _ = stream.write_all(greeting).await;
            }
        });
        let error = over(address).ping().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        server.abort();
    }
}
