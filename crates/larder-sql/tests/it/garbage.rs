//! Servers that are emptied under the cache's hands, and some that answer nonsense.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use larder_core::{Cache, Schemes};
use sqlx::AssertSqlSafe;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::{PATIENT, Stage, unique};

async fn execute(scheme: &str, statement: String) {
    let query = sqlx::raw_sql(AssertSqlSafe(statement));
    if scheme == "postgres" {
        let pool = sqlx::PgPool::connect(&larder_tests::env::postgres_url()).await.unwrap();
        query.execute(&pool).await.unwrap();
    } else {
        let pool = sqlx::MySqlPool::connect(&larder_tests::env::mysql_url()).await.unwrap();
        query.execute(&pool).await.unwrap();
    }
}

#[tokio::test]
async fn a_table_that_is_emptied_or_dropped_is_cold_and_made_again() {
    for scheme in ["postgres", "mysql"] {
        let table = unique("larder_test");
        let stage =
            if scheme == "postgres" { Stage::postgres_table(&table) } else { Stage::mysql_table(&table) };
        let (cache, other) = (stage.cache(), stage.other());
        for statement in ["TRUNCATE TABLE", "DROP TABLE"] {
            cache.set("key", 1).tags(["t"]).await.unwrap();
            assert_eq!(other.get("key").await.unwrap(), Some(1));
            execute(scheme, format!("{statement} {table}")).await;
            assert_eq!(other.get::<u8>("key").await.unwrap(), None, "{scheme}: {statement}");
            cache.invalidate(["t"]).await.unwrap();
            assert!(cache.add("key", 2).tags(["t"]).await.unwrap());
            assert_eq!(other.incr("key", 1).await.unwrap(), 3);
        }
    }
}

/// What a server may say at once, other than what it should.
#[tokio::test]
async fn a_server_that_answers_nonsense_is_no_server() {
    let nonsense: [&[u8]; 6] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        &[0; 64],
        &[0xff; 64],
        b"R\xff\xff\xff\xff",
        b"\xff\xff\xff\x00\x0a5.5.5\0",
        b"N",
    ];
    for scheme in ["postgres", "mysql"] {
        for bytes in nonsense {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let says = tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    // Whoever hangs up first is not worth a word.
                    _ = stream.write_all(bytes).await;
                    _ = stream.read(&mut [0; 1024]).await;
                }
            });
            let schemes = Schemes::new().register(scheme, larder_sql::open);
            let cache =
                schemes.open(&format!("{scheme}://u:hunter2@{address}/shop?deadline=300ms&breaker=off"));
            let cache = cache.unwrap();
            for _ in 0..3 {
                let error = cache.get::<u8>("key").await.unwrap_err();
                assert!(error.kind().is_outage(), "{scheme} {}: {error:?}", bytes.escape_ascii());
            }
            assert_eq!(cache.get_or_set("key", || async { 7 }).await.unwrap(), 7);
            says.abort();
        }
    }
}

/// Between a cache and its server, changing bytes of answers while it is told to.
struct Proxy {
    address: String,
    damages: Arc<AtomicBool>,
}

impl Proxy {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (damages, seed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(1)));
        let proxy = Self { address, damages: Arc::clone(&damages) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
                let (damages, seed) = (Arc::clone(&damages), Arc::clone(&seed));
                tokio::spawn(async move {
                    let mut bytes = vec![0; 4096];
                    while let Ok(length @ 1..) = from_server.read(&mut bytes).await {
                        if damages.load(Ordering::SeqCst) {
                            // Another place and another bit each time.
                            let seed =
                                seed.fetch_add(1, Ordering::SeqCst).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                            bytes[(seed >> 32) as usize % length] ^= 1 << (seed >> 61);
                        }
                        if to_client.write_all(&bytes[..length]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        proxy
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_answers_never_make_a_request_fail_and_are_forgotten_when_they_end() {
    for (scheme, url) in
        [("postgres", larder_tests::env::postgres_url()), ("mysql", larder_tests::env::mysql_url())]
    {
        let (front, rest) = url.rsplit_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let proxy = Proxy::to(server.to_owned()).await;
        let url = format!("{front}@{}/{database}", proxy.address);
        let builder = match scheme {
            "postgres" => larder_sql::SqlCache::postgres(&format!("{url}?sslmode=disable")).unwrap(),
            _ => larder_sql::SqlCache::mysql(&format!("{url}?ssl-mode=disabled")).unwrap(),
        };
        let backend = builder.max_connections(3).table(unique("larder_test")).build().unwrap();
        backend.create_table().await.unwrap();
        let cache = Cache::builder(backend).deadline(Duration::from_millis(60)).no_breaker().build().unwrap();
        proxy.damages.store(true, Ordering::SeqCst);
        for i in 0..40 {
            let key = format!("key{}", i % 5);
            // In what is damaged may be the value itself, whose bytes nobody checks: it is only to come back.
            let made = cache.get_or_set(&key, || async { "x".repeat(100) }).tags(["t"]).await;
            made.unwrap();
            _ = cache.delete(&key).await;
        }
        proxy.damages.store(false, Ordering::SeqCst);
        let late = Instant::now() + PATIENT;
        while let Err(error) = cache.clear().await {
            assert!(Instant::now() < late, "{scheme}: {error:?}");
        }
        loop {
            let done = cache.set("key", 1).await;
            if done.is_ok() && cache.get("key").await.ok() == Some(Some(1)) {
                break;
            }
            assert!(Instant::now() < late, "{scheme}: it does not come back: {done:?}");
        }
    }
}
