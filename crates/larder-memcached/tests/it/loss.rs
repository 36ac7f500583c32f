//! Servers that never were, die, fall silent and come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use larder_core::{Cache, ErrorKind};
use larder_memcached::Memcached;
use tokio::net::TcpListener;

use crate::PATIENT;
use crate::servers::Server;

const SILENCE: Duration = Duration::from_millis(300);

/// For what is to succeed, or to fail without waiting, however busy the machine is.
fn over(addresses: Vec<String>) -> Cache {
    silent_for(PATIENT, addresses, PATIENT)
}

fn silent_for(silence: Duration, addresses: Vec<String>, deadline: Duration) -> Cache {
    let backend = Memcached::builder(addresses).max_silence(silence).connect_timeout(silence);
    Cache::builder(backend.build().unwrap()).deadline(deadline).no_breaker().build().unwrap()
}

/// Until `done`; the pause after a failure is two seconds at most.
async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let late = Instant::now() + Duration::from_secs(30);
    while !done().await {
        assert!(Instant::now() < late, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_server_that_never_listened_is_an_error_at_once_and_stops_no_start() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let missing = tempfile::tempdir().unwrap().path().join("none").display().to_string();
    for address in [free, missing] {
        let cache = over(vec![address.clone()]);
        let began = Instant::now();
        for _ in 0..1_000 {
            let error = cache.get::<u8>("key").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(error.to_string().contains(&address), "it says which server: {error}");
        }
        assert!(began.elapsed() < PATIENT, "nobody waited for the deadline");
        assert!(cache.set("key", 1).await.is_err() && cache.invalidate(["t"]).await.is_err());
        assert_eq!(cache.get_or_set("key", || async { 7 }).await.unwrap(), 7);
    }
}

#[tokio::test]
async fn a_server_that_accepts_and_stays_silent_costs_few_waits() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    let silent = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            kept.push(stream);
        }
    });
    let cache = silent_for(SILENCE, vec![address], Duration::from_millis(50));
    let mut waited = 0;
    for _ in 0..2_000 {
        let error = cache.get::<u8>("key").await.unwrap_err();
        waited += usize::from(error.kind() == ErrorKind::Deadline && error.to_string().contains("backend"));
    }
    // Whoever comes while the first attempt is under way, and afterwards one for each attempt.
    let attempts = accepted.load(Ordering::SeqCst);
    let first = SILENCE.as_millis() as usize / 50;
    assert!(waited <= first + attempts, "{waited} of 2000 waited, {attempts} attempts");
    silent.abort();
}

#[tokio::test]
async fn a_server_that_dies_is_found_again_when_it_is_back() {
    let mut server = Server::start();
    let cache = over(vec![server.address()]);
    for round in 0..2 {
        cache.set("key", round).await.unwrap();
        assert_eq!(cache.get("key").await.unwrap(), Some(round));
        server.kill();
        until("the loss is noticed", async || cache.get::<u8>("key").await.is_err()).await;
        for _ in 0..100 {
            assert!(cache.get::<u8>("key").await.is_err());
        }
        server.restart();
        until("it is found again", async || cache.ping().await.is_ok()).await;
        assert_eq!(cache.get::<u8>("key").await.unwrap(), None, "it came back empty");
    }
}

#[tokio::test]
async fn a_restart_between_two_requests_is_not_noticed() {
    let mut server = Server::start();
    let cache = over(vec![server.address()]);
    cache.set("key", 1).await.unwrap();
    server.kill();
    server.restart();
    // The runtime has to see that the old connection ended, and the connection's task to have a turn after that.
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
    cache.set("key", 2).await.unwrap();
    assert_eq!(cache.get("key").await.unwrap(), Some(2));
}

#[tokio::test]
async fn a_server_that_is_stopped_costs_the_deadline_and_serves_on_when_continued() {
    let server = Server::start();
    let cache = silent_for(SILENCE, vec![server.address()], Duration::from_millis(100));
    until("it is there", async || cache.set("key", 1).await.is_ok()).await;
    server.signal("STOP");
    let mut waited = 0;
    for _ in 0..500 {
        let error = cache.get::<u8>("key").await.unwrap_err();
        waited += usize::from(error.kind() == ErrorKind::Deadline && error.to_string().contains("backend"));
    }
    assert!(waited < 50, "{waited} of 500 waited");
    server.signal("CONT");
    until("it serves on", async || cache.get("key").await.is_ok_and(|found| found == Some(1))).await;
}

#[tokio::test]
async fn looking_whether_a_silent_server_is_back_holds_nobody_up() {
    let server = Server::start();
    let backend = Memcached::builder([server.address()]).max_silence(SILENCE).connect_timeout(PATIENT);
    let cache = Cache::builder(backend.build().unwrap()).deadline(PATIENT).no_breaker().build().unwrap();
    cache.set("key", 1).await.unwrap();
    server.signal("STOP");
    let began = Instant::now();
    for _ in 0..3 {
        assert!(cache.get::<u8>("key").await.is_err());
        // Longer than the pause after a failure: the next one looks.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(began.elapsed() < PATIENT, "somebody waited for a connection");
    server.signal("CONT");
    until("it serves on", async || cache.get("key").await.is_ok_and(|found| found == Some(1))).await;
}

/// Three servers, sixty keys, and which server has which.
async fn spread(cache: &Cache, servers: &[Server]) -> Vec<usize> {
    let mut homes = Vec::new();
    for i in 0..60 {
        cache.set(&format!("key{i}"), i).await.unwrap();
        homes.push(home(servers, &format!(":1:key{i}")));
    }
    homes
}

fn home(servers: &[Server], name: &str) -> usize {
    servers.iter().position(|server| server.has(name)).unwrap()
}

#[tokio::test]
async fn the_keys_of_a_lost_server_are_misses_and_move_nowhere() {
    let mut servers = [Server::start(), Server::start(), Server::start()];
    let cache = over(servers.iter().map(Server::address).collect());
    let homes = spread(&cache, &servers).await;
    // One that does not have the namespace's own records.
    let lost = (0..3).find(|s| !servers[*s].has(":space:") && !servers[*s].has(":fence:")).unwrap();
    servers[lost].kill();
    until("the loss is noticed", async || cache.ping().await.is_err()).await;
    for (i, home) in homes.iter().enumerate() {
        let (key, there) = (format!("key{i}"), *home != lost);
        assert_eq!(cache.get::<usize>(&key).await.unwrap(), there.then_some(i), "{key}");
        assert_eq!(cache.set(&key, i).await.is_ok(), there, "{key}");
    }
    let names: Vec<String> = (0..60).map(|i| format!("key{i}")).collect();
    let found = cache.get_many::<usize, _>(&names).await.unwrap();
    assert_eq!(found.len(), homes.iter().filter(|home| **home != lost).count());

    servers[lost].restart();
    until("it is found again", async || cache.ping().await.is_ok()).await;
    assert_eq!(spread(&cache, &servers).await, homes, "every key is where it was");
}

#[tokio::test]
async fn without_the_namespaces_record_nothing_is_served_and_nothing_old_ever_again() {
    let mut servers = [Server::start(), Server::start(), Server::start()];
    let cache = over(servers.iter().map(Server::address).collect());
    spread(&cache, &servers).await;
    let lost = home(&servers, ":space:");
    servers[lost].kill();
    until("the loss is noticed", async || cache.ping().await.is_err()).await;
    for i in 0..60 {
        assert!(!matches!(cache.get::<usize>(&format!("key{i}")).await, Ok(Some(_))), "key{i}");
    }
    assert!(cache.clear().await.is_err());
    servers[lost].restart();
    until("it is found again", async || cache.ping().await.is_ok()).await;
    cache.set("new", 1).await.unwrap();
    for i in 0..60 {
        assert_eq!(cache.get::<usize>(&format!("key{i}")).await.unwrap(), None, "key{i}");
    }
    assert_eq!(cache.get("new").await.unwrap(), Some(1));
}

#[tokio::test]
async fn an_invalidation_that_reaches_not_all_it_needs_fails_and_can_be_repeated() {
    let servers = [Server::start(), Server::start(), Server::start()];
    // Long enough for a busy machine: those that were not stopped have to answer.
    let silence = Duration::from_secs(2);
    let cache = silent_for(silence, servers.iter().map(Server::address).collect(), PATIENT);
    let tags: Vec<String> = (0..20).map(|i| format!("tag{i}")).collect();
    for (i, tag) in tags.iter().enumerate() {
        cache.set(&format!("key{i}"), i).tags([tag]).await.unwrap();
    }
    let stopped = (0..3).find(|s| !servers[*s].has(":space:") && !servers[*s].has(":fence:")).unwrap();
    let there: Vec<bool> = tags.iter().map(|tag| !servers[stopped].has(&format!(":tag:{tag}"))).collect();
    assert!(there.contains(&true) && there.contains(&false));
    servers[stopped].signal("STOP");
    for (i, tag) in tags.iter().enumerate() {
        assert_eq!(cache.invalidate([tag]).await.is_ok(), there[i], "{tag}");
        let found = cache.get::<usize>(&format!("key{i}")).await;
        assert!(matches!(found, Ok(None)), "without its tag's record it is a miss: {found:?}");
    }
    servers[stopped].signal("CONT");
    until("it is found again", async || cache.ping().await.is_ok()).await;
    cache.invalidate(&tags).await.unwrap();
    for i in 0..20 {
        assert_eq!(cache.get::<usize>(&format!("key{i}")).await.unwrap(), None, "key{i}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_no_fault_reaches_who_asks_for_a_value() {
    let mut servers = [Server::start(), Server::start(), Server::start()];
    let cache =
        silent_for(SILENCE, servers.iter().map(Server::address).collect(), Duration::from_millis(100));
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let (cache, stop) = (cache.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut answers = 0;
                while !stop.load(Ordering::SeqCst) {
                    let i = (answers * 7 + task) % 100;
                    let made = cache.get_or_set(&format!("key{i}"), || async move { i }).await;
                    assert_eq!(made.unwrap(), i);
                    answers += 1;
                }
                answers
            })
        })
        .collect();
    for one in &mut servers {
        tokio::time::sleep(Duration::from_millis(100)).await;
        one.kill();
        tokio::time::sleep(Duration::from_millis(200)).await;
        one.restart();
        tokio::time::sleep(Duration::from_millis(100)).await;
        one.signal("STOP");
        tokio::time::sleep(Duration::from_millis(600)).await;
        one.signal("CONT");
    }
    stop.store(true, Ordering::SeqCst);
    for task in tasks {
        assert!(task.await.unwrap() > 10);
    }
    until("all are found again", async || cache.ping().await.is_ok()).await;
}
