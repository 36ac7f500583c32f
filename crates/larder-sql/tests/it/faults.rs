//! Servers that are not there, die, go silent, hang up, or refuse: nobody waits for longer than the deadline, and all mends itself.
//! There is no breaker before them: this is what the backend does by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use larder_core::{Cache, Error, ErrorKind};

use crate::PATIENT;
use crate::private::{Kind, Server};

const DEADLINE: Duration = Duration::from_millis(100);

/// Runs each test on each server.
macro_rules! on_both {
    ($($test:ident)+) => {
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(super::Kind::Postgres).await; })+
        }
        mod mariadb {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test(super::Kind::MariaDb).await; })+
        }
    };
}

on_both! {
    a_server_that_never_listened_is_found_when_it_comes
    a_server_that_dies_and_comes_back_keeps_what_it_should
    a_server_that_goes_silent_costs_the_deadline_and_is_found_again
    who_stops_waiting_leaves_no_connection_behind_that_others_wait_for
    a_server_that_only_reads_is_said_to_be_one_and_read_from
    a_server_that_takes_no_more_connections_is_away
}

/// For what is to succeed, however busy the machine is.
fn open(server: &Server) -> Cache {
    Cache::builder(server.builder().build().unwrap()).deadline(PATIENT).no_breaker().build().unwrap()
}

/// For what has to be given up.
fn open_in_haste(server: &Server) -> Cache {
    Cache::builder(server.builder().max_connections(4).build().unwrap())
        .deadline(DEADLINE)
        .no_breaker()
        .build()
        .unwrap()
}

/// Tries until it succeeds, as an application's requests do; how often it took.
async fn eventually<T>(what: impl AsyncFn() -> Result<T, Error>) -> (T, usize) {
    let late = Instant::now() + PATIENT;
    for tries in 1.. {
        match what().await {
            Ok(done) => return (done, tries),
            Err(error) => {
                assert!(error.kind().is_outage(), "{error:?}");
                assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
                assert!(Instant::now() < late, "it does not come back: {error:?}");
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    unreachable!()
}

async fn a_server_that_never_listened_is_found_when_it_comes(kind: Kind) {
    let mut server = Server::start(kind);
    server.kill();
    let cache = open_in_haste(&server);
    for _ in 0..3 {
        let error = cache.get::<u8>("key").await.unwrap_err();
        assert!(error.kind().is_outage(), "{error:?}");
    }
    assert_eq!(cache.get_or_set("key", || async { 5 }).await.unwrap(), 5, "values are made without it");
    server.again();
    eventually(async || cache.set("key", 6).await).await;
    assert_eq!(eventually(async || cache.get("key").await).await.0, Some(6));
}

async fn a_server_that_dies_and_comes_back_keeps_what_it_should(kind: Kind) {
    let mut server = Server::start(kind);
    let cache = open(&server);
    cache.set("key", 1).tags(["t"]).await.unwrap();
    // As many connections as there may be, all idle when it dies.
    let all = (0..10).map(|_| {
        let cache = cache.clone();
        tokio::spawn(async move { cache.get::<u8>("key").await.unwrap() })
    });
    for one in all.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap(), Some(1));
    }
    server.kill();
    server.again();
    // One write may find out that the connections are broken; not each of them one.
    let ((), tries) = eventually(async || cache.invalidate(["t"]).await).await;
    assert!(tries <= 2, "{tries} tries");
    assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
    cache.set("key", 2).tags(["t"]).await.unwrap();
    assert_eq!(cache.get("key").await.unwrap(), Some(2));
    server.kill();
    server.again();
    let found = cache.get::<u8>("key").await.expect("a read is repeated on a new connection");
    // PostgreSQL empties what is unlogged when it crashed; MariaDB brings it back.
    assert_eq!(found, (kind == Kind::MariaDb).then_some(2));
}

async fn a_server_that_goes_silent_costs_the_deadline_and_is_found_again(kind: Kind) {
    let server = Server::start(kind);
    let cache = open_in_haste(&server);
    eventually(async || cache.set("key", 1).timeout(larder_core::Timeout::FOREVER).await).await;
    server.signal("STOP");
    let began = Instant::now();
    for _ in 0..20 {
        let error = cache.get::<u8>("key").await.unwrap_err();
        assert!(error.kind().is_outage(), "{error:?}");
        assert!(began.elapsed() < PATIENT, "the deadline does not count");
    }
    server.signal("CONT");
    // Those who stopped waiting left nothing behind that others would have to wait for.
    assert_eq!(eventually(async || cache.get("key").await).await.0, Some(1));
    eventually(async || cache.set("key", 2).await).await;
    for _ in 0..20 {
        assert_eq!(eventually(async || cache.get::<u8>("key").await).await.0, Some(2));
    }
}

async fn who_stops_waiting_leaves_no_connection_behind_that_others_wait_for(kind: Kind) {
    let server = Server::start(kind);
    let hasty = Cache::builder(server.builder().max_connections(1).build().unwrap());
    let hasty = hasty.deadline(Duration::from_secs(4)).no_breaker().build().unwrap();
    let patient = open(&server);
    eventually(async || hasty.set("key", 1).await).await;
    eventually(async || hasty.set("free", 1).await).await;
    // Somebody's transaction keeps the row.
    let blocked = AtomicUsize::new(0);
    let keep = keep_row(&server).await;
    for _ in 0..2 {
        let error = hasty.set("key", 2).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Deadline | ErrorKind::Backend), "{error:?}");
        blocked.fetch_add(1, Ordering::Relaxed);
        // On its only connection, if that were still waiting, this would too.
        assert_eq!(hasty.get("free").await.unwrap(), Some(1));
    }
    drop(keep);
    assert_eq!(blocked.into_inner(), 2);
    assert!(patient.get::<u8>("key").await.unwrap().is_some());
    patient.set("key", 3).await.unwrap();
}

/// Locks the row of `key` until it is dropped.
async fn keep_row(server: &Server) -> Box<dyn std::any::Any> {
    let statement = "SELECT value FROM larder_cache WHERE name = ':1:key' FOR UPDATE";
    match server.kind {
        Kind::Postgres => {
            let mut tx = sqlx::PgPool::connect(&server.url()).await.unwrap().begin().await.unwrap();
            sqlx::raw_sql(statement).execute(&mut *tx).await.unwrap();
            Box::new(tx)
        }
        Kind::MariaDb => {
            let mut tx = sqlx::MySqlPool::connect(&server.url()).await.unwrap().begin().await.unwrap();
            sqlx::raw_sql(statement).execute(&mut *tx).await.unwrap();
            Box::new(tx)
        }
    }
}

async fn a_server_that_only_reads_is_said_to_be_one_and_read_from(kind: Kind) {
    let server = Server::start(kind);
    let cache = open(&server);
    cache.set("key", 1).await.unwrap();
    let statements = match kind {
        Kind::Postgres => ["ALTER DATABASE postgres SET default_transaction_read_only = on", ""],
        Kind::MariaDb => [LESS, "SET GLOBAL read_only = 1"],
    };
    execute(&server, statements).await;
    cache.close().await.unwrap();
    for _ in 0..2 {
        let error = cache.set("key", 2).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(error.to_string().contains("primary"), "{error}");
        assert_eq!(cache.get("key").await.unwrap(), Some(1), "reading goes on");
    }
    assert_eq!(cache.get_or_set("other", || async { 7 }).await.unwrap(), 7);
}

/// Whoever may do everything may do it on a full server and on one that only reads, too.
const LESS: &str = "REVOKE ALL PRIVILEGES ON *.* FROM 'larder'@'127.0.0.1'; \
    GRANT SELECT, INSERT, UPDATE, DELETE ON *.* TO 'larder'@'127.0.0.1'";

async fn execute(server: &Server, statements: [&'static str; 2]) {
    let root = server.url().replace("larder:hunter2", "root");
    for statement in statements.into_iter().filter(|statement| !statement.is_empty()) {
        match server.kind {
            Kind::Postgres => {
                let pool = sqlx::PgPool::connect(&server.url()).await.unwrap();
                sqlx::raw_sql(statement).execute(&pool).await.unwrap();
                pool.close().await;
            }
            Kind::MariaDb => {
                let pool = sqlx::MySqlPool::connect(&root).await.unwrap();
                sqlx::raw_sql(statement).execute(&pool).await.unwrap();
            }
        }
    }
}

async fn a_server_that_takes_no_more_connections_is_away(kind: Kind) {
    let server = Server::start(kind);
    let cache = open_in_haste(&server);
    eventually(async || cache.set("key", 1).await).await;
    let statements = match kind {
        Kind::Postgres => ["ALTER ROLE larder CONNECTION LIMIT 0 NOSUPERUSER", ""],
        Kind::MariaDb => [LESS, "ALTER USER 'larder'@'127.0.0.1' WITH MAX_USER_CONNECTIONS 1"],
    };
    execute(&server, statements).await;
    cache.close().await.unwrap();
    let one = match kind {
        Kind::Postgres => None,
        Kind::MariaDb => Some(sqlx::MySqlPool::connect(&server.url()).await.unwrap()),
    };
    let error = cache.get::<u8>("key").await.unwrap_err();
    assert!(error.kind().is_outage(), "{error:?}");
    if let Some(one) = one {
        one.close().await;
        assert_eq!(eventually(async || cache.get("key").await).await.0, Some(1));
    }
}

/// PostgreSQL takes a file that may not grow for a disk that is full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_goes_on_reading_and_takes_more_when_it_has_room_again() {
    let mut server = Server::start(Kind::Postgres);
    server.kill();
    server.limited = true;
    server.again();
    let cache = open(&server);
    cache.set("key", 1).await.unwrap();
    let large = "x".repeat(1_000_000);
    let mut stored = 0;
    let error = loop {
        match cache.set(&format!("large{stored}"), &large).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 100, "it is never full");
    };
    assert_eq!(error.kind(), ErrorKind::Backend, "{error:?}");
    assert_eq!(cache.get("key").await.unwrap(), Some(1), "reading goes on");
    assert_eq!(cache.get_or_set("more", || async { large.clone() }).await.unwrap(), large);
    server.kill();
    server.limited = false;
    server.again();
    eventually(async || cache.set("more", &large).await).await;
    assert_eq!(cache.get("more").await.unwrap(), Some(large));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mariadb_user_who_may_not_create_the_table_uses_one_that_is_there() {
    let server = Server::start(Kind::MariaDb);
    execute(&server, [LESS, ""]).await;
    let cache = open(&server);
    cache.set("key", 1).tags(["t"]).await.unwrap();
    assert_eq!(cache.get("key").await.unwrap(), Some(1));
    let denied = server.builder().table("denied").build().unwrap();
    let error = denied.create_table().await.unwrap_err();
    assert!(error.to_string().contains("can't be created"), "{error}");
    assert!(error.to_string().contains("may not"), "{error}");
    let cache = Cache::builder(denied).deadline(PATIENT).build().unwrap();
    let error = cache.get::<u8>("key").await.unwrap_err();
    assert!(error.to_string().contains("may not"), "{error}");
}

/// Two caches under load while their server dies, goes silent and comes back: nobody is served an error by what makes values, and all goes on
/// by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_load_running_no_request_fails_whatever_becomes_of_the_server() {
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let mut server = Server::start(kind);
        let (stop, made) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..4)
            .map(|task| {
                let (cache, stop, made) = (open_in_haste(&server), Arc::clone(&stop), Arc::clone(&made));
                tokio::spawn(async move {
                    for i in (0..).take_while(|_| stop.load(Ordering::SeqCst) == 0) {
                        let key = format!("key{}", (i + task) % 7);
                        let value = cache.get_or_set(&key, || async { key.clone() }).tags(["t"]).await;
                        assert_eq!(value.unwrap(), key);
                        made.fetch_add(1, Ordering::SeqCst);
                        if i % 5 == 0 {
                            // It may fail, and says so.
                            _ = cache.invalidate(["t"]).await;
                        }
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                })
            })
            .collect();
        let goes_on = async || {
            let (before, late) = (made.load(Ordering::SeqCst), Instant::now() + PATIENT);
            while made.load(Ordering::SeqCst) < before + 20 {
                assert!(Instant::now() < late, "{kind:?}: nothing goes on");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        goes_on().await;
        server.signal("STOP");
        goes_on().await;
        server.signal("CONT");
        goes_on().await;
        server.kill();
        goes_on().await;
        server.again();
        goes_on().await;
        stop.store(1, Ordering::SeqCst);
        for task in tasks {
            task.await.unwrap();
        }
        let cache = open(&server);
        cache.set("after", 1).await.unwrap();
        assert_eq!(cache.get("after").await.unwrap(), Some(1));
    }
}
