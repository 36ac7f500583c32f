//! What is the database servers' own.

use std::future::{Future as _, IntoFuture as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use larder_core::{Cache, ErrorKind, Schemes};
use tokio::net::TcpListener;

use crate::Stage;

fn schemes() -> Schemes {
    ["postgres", "postgresql", "mysql", "mariadb"]
        .into_iter()
        .fold(Schemes::new(), |schemes, scheme| schemes.register(scheme, larder_sql::open))
}

/// A server that is down at the start, then one that accepts and says nothing.
#[tokio::test]
async fn a_server_that_is_down_or_silent_costs_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = (std::net::Ipv4Addr::LOCALHOST, larder_tests::own_port()).into();
    for scheme in ["postgres", "mysql"] {
        for address in [free, silent.local_addr().unwrap()] {
            let url = format!("{scheme}://user:hunter2@{address}/shop?deadline=100ms&breaker=off");
            let cache: Cache = schemes().open(&url).unwrap();
            let began = Instant::now();
            for _ in 0..3 {
                let error = cache.get::<u8>("key").await.unwrap_err();
                assert!(error.kind().is_outage(), "{error:?}");
                assert!(!format!("{error:?}").contains("hunter2"));
            }
            assert_eq!(cache.get_or_set("key", || async { 7 }).await.unwrap(), 7);
            assert!(began.elapsed() < crate::PATIENT, "it waited {:?}", began.elapsed());
        }
    }
}

#[tokio::test]
async fn a_wrong_url_says_what_would_be_right_and_never_shows_the_password() {
    for (url, wanted) in [
        ("postgres://user:hunter2@host", "/database"),
        ("postgres:", "/database"),
        ("postgres://user:hunter2@host:x/shop", "no PostgreSQL URL"),
        ("postgresql://user:hunter2@host/shop?sslmode=maybe", "verify-full"),
        ("postgres://user:hunter2@host/shop?max_connections=0", "max_connections"),
        ("postgres://user:hunter2@host/shop?tabel=x", "did you mean \"table\"?"),
        ("postgres://user:hunter2@host/shop?unlogged=perhaps", "true or false"),
        ("mysql://user:hunter2@host", "/database"),
        ("mariadb:", "/database"),
        ("mysql://user:hunter2@host:x/shop", "no MySQL URL"),
        ("mariadb://user:hunter2@host/shop?sslmode=preferred", "verify-full"),
        ("mysql://user:hunter2@host/shop?max_connections=0", "max_connections"),
        ("mysql://user:hunter2@host/shop?unlogged=true", "unlogged"),
    ] {
        let error = schemes().open(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        assert!(error.to_string().contains(wanted), "{url}: {error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    for url in [
        "postgresql://user:hunter2@host/shop?unlogged=false&sslmode=disable",
        "mariadb://user:hunter2@host/shop?table=pages&max_connections=3&socket=/run/mysqld/mysqld.sock",
    ] {
        let good = schemes().open(url).unwrap();
        assert!(!format!("{good:?}").contains("hunter2"), "{good:?}");
    }
}

#[tokio::test]
async fn a_cache_serves_on_after_it_was_closed() {
    for stage in [Stage::postgres(), Stage::mysql()] {
        let cache = stage.cache();
        cache.set("key", 1).await.unwrap();
        cache.close().await.unwrap();
        assert_eq!(cache.get("key").await.unwrap(), Some(1));
    }
}

#[test]
fn a_cache_outlives_the_runtimes_that_it_is_used_in() {
    for stage in [Stage::postgres(), Stage::mysql()] {
        let cache = stage.cache();
        for i in 0..12 {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                // A write is not repeated: the connections of the last runtime are of no use any more.
                cache.set("key", i).await.unwrap();
                assert_eq!(cache.get("key").await.unwrap(), Some(i));
            });
        }
        let mut asked = std::pin::pin!(cache.get::<u8>("key").into_future());
        let mut context = Context::from_waker(Waker::noop());
        match asked.as_mut().poll(&mut context) {
            Poll::Ready(Err(error)) => assert_eq!(error.kind(), ErrorKind::Unsupported),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_too_large_for_mysql_is_said_to_be_and_the_rest_is_stored() {
    let stage = Stage::mysql();
    let cache = stage.cache();
    let url = larder_tests::env::mysql_url();
    let pool = sqlx::MySqlPool::connect(&url).await.unwrap();
    let most: u64 =
        sqlx::query_scalar("SELECT CAST(@@max_allowed_packet AS UNSIGNED)").fetch_one(&pool).await.unwrap();
    let (large, small) = ("x".repeat(usize::try_from(most).unwrap()), "x".to_owned());
    for _ in 0..2 {
        let error = cache.set("large", &large).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error:?}");
        assert!(error.to_string().contains("max_allowed_packet"), "{error}");
        let refused = cache.set_many([("a", &small), ("large", &large), ("b", &small)]).await.unwrap();
        assert_eq!(refused, ["large"]);
        assert_eq!(cache.get("b").await.unwrap(), Some(small.clone()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_with_an_application_is_tried_again() {
    let table = crate::unique("larder_test");
    let stage = Stage::mysql_table(&table);
    let cache = stage.cache();
    for i in 0..20 {
        cache.set(&format!("key{i}"), i).await.unwrap();
    }
    let pool = sqlx::MySqlPool::connect(&larder_tests::env::mysql_url()).await.unwrap();
    let other = tokio::spawn(async move {
        // In one order, and the cache in the other.
        for _ in 0..40 {
            let mut tx = pool.begin().await.unwrap();
            for i in (0..20).rev() {
                let text = format!("UPDATE {table} SET written = written WHERE name = ':1:key{i}'");
                let done = sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut *tx).await;
                if done.is_err() {
                    break;
                }
            }
            _ = tx.commit().await;
        }
    });
    while !other.is_finished() {
        let refused = cache.set_many((0..20).map(|i| (format!("key{i}"), i))).await.unwrap();
        assert!(refused.is_empty(), "{refused:?}");
        cache.delete_many((0..20).map(|i| format!("key{i}"))).await.unwrap();
    }
    other.await.unwrap();
}

#[tokio::test]
async fn a_user_who_may_not_create_the_table_is_told_so() {
    let stage = Stage::postgres();
    let url = larder_tests::env::postgres_url();
    // A session that may only read.
    let read_only = format!(
        "{url}{}options=-c%20default_transaction_read_only=on",
        if url.contains('?') { '&' } else { '?' }
    );
    let backend =
        larder_sql::SqlCache::postgres(&read_only).unwrap().table(crate::unique("denied")).build().unwrap();
    let error = backend.create_table().await.unwrap_err();
    assert!(error.to_string().contains("can't be created"), "{error}");
    assert!(error.to_string().contains("may not"), "{error}");
    stage.backend.create_table().await.unwrap();
}

/// A proxy that lets nothing through before it is told to, and counts connections.
async fn gate(
    server: String,
) -> (std::net::SocketAddr, Arc<tokio::sync::watch::Sender<bool>>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let gate = Arc::new(tokio::sync::watch::Sender::new(false));
    let (opens, counter) = (gate.subscribe(), Arc::clone(&count));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            let (mut opens, server) = (opens.clone(), server.clone());
            tokio::spawn(async move {
                if opens.wait_for(|open| *open).await.is_ok() {
                    let mut server = tokio::net::TcpStream::connect(server).await.unwrap();
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    (address, gate, count)
}

#[tokio::test]
async fn a_connection_that_takes_longer_than_the_deadline_is_there_for_the_next() {
    let mut url = larder_tests::reqwest::Url::parse(&larder_tests::env::postgres_url()).unwrap();
    let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
    let (address, gate, count) = gate(server).await;
    url.set_host(Some(&address.ip().to_string())).unwrap();
    url.set_port(Some(address.port())).unwrap();
    let backend = larder_sql::SqlCache::postgres(url.as_str()).unwrap().table(crate::unique("slow"));
    let backend = backend.build().unwrap();
    let over = |deadline| Cache::builder(backend.clone()).deadline(deadline).no_breaker().build().unwrap();
    let cache = over(Duration::from_millis(20));
    for _ in 0..3 {
        assert_eq!(cache.get::<u8>("key").await.unwrap_err().kind(), ErrorKind::Deadline);
    }
    let begun = count.load(Ordering::SeqCst);
    assert_eq!(begun, 1, "nobody begins another while one is in the making");
    gate.send_replace(true);
    assert_eq!(over(crate::PATIENT).get::<u8>("key").await.unwrap(), None);
    assert_eq!(count.load(Ordering::SeqCst), 1, "it was made");
}
