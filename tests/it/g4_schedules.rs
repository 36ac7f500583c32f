//! G4 by random schedules: a million steps over all backends, with a model beside them.
//!
//! `LARDER_SCHEDULES=100000 cargo xtask test -p larder-tests g4_schedules` runs so many schedules, of forty steps each, over each of them.

use std::sync::Arc;
use std::time::Duration;

use larder::core::CacheUrl;
use larder::core::backplane::InProcess;
use larder::tiered::Tiered;
use larder::{file::FileCache, memcached::Memcached, memory::Memory, sql::SqlCache};
use larder_testkit::schedules::{Checker, Tally};
use larder_testkit::{Plain, Stage};
use larder_tests::env;

/// How many steps are made over which store. A server takes its time for each.
const STEPS: [(&str, u64); 10] = [
    ("protocol", 430_000),
    ("plain", 200_000),
    ("memory", 350_000),
    ("file", 4_000),
    ("sqlite", 6_000),
    ("tiers", 20_000),
    ("redis", 10_000),
    ("memcached", 8_000),
    ("postgres", 1_000),
    ("mysql", 1_000),
];

#[test]
fn they_are_a_million() {
    let all: u64 = STEPS.iter().map(|(_, steps)| steps).sum();
    assert!(all >= 1_000_000, "{all}");
}

async fn check(name: &str, checker: Checker) {
    let steps =
        STEPS.iter().find(|(known, _)| *known == name).map(|(_, steps)| *steps).expect("a store of the list");
    let long =
        std::env::var_os("LARDER_SCHEDULES").is_some() || std::env::var_os("LARDER_SCHEDULE").is_some();
    let half = steps.div_ceil(2);
    let checker = checker.steps(half);
    let by_tags: Tally = checker.assert().await;
    let with_purges: Tally = checker.purging().assert().await;
    for tally in [by_tags, with_purges] {
        println!("{name}: {tally:?}");
        assert!(long || (tally.steps >= half && tally.hits * 50 > tally.steps), "{tally:?}");
    }
}

/// A table of its own on a server that others use.
fn table() -> String {
    format!("larder_schedules_{}", std::process::id())
}

#[tokio::test]
async fn protocol() {
    check("protocol", Checker::new(Plain::stage()).step_by_step()).await;
}

#[tokio::test]
async fn plain() {
    check("plain", Checker::new(Plain::stage()).processes(3)).await;
}

#[tokio::test]
async fn memory() {
    check("memory", Checker::new(Stage::new(Memory::new()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let path = directory.path().to_owned();
    let stage = Stage::opening(move || FileCache::builder(&path).build().unwrap()).keeping(directory);
    check("file", Checker::new(stage)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let path = directory.path().join("cache.db");
    let stage = Stage::opening(move || SqlCache::sqlite(&path).build().unwrap()).keeping(directory);
    check("sqlite", Checker::new(stage)).await;
}

/// Two processes with a first tier each, which follow each other by a backplane. With one thread, each follower has its turn before the next move.
#[tokio::test]
async fn tiers() {
    let (far, plane) = (Plain::default(), InProcess::new());
    let stage = Stage::opening(move || {
        let tiers = Tiered::builder(Memory::new(), far.clone()).backplane(plane.clone());
        tiers.heartbeat(Duration::from_secs(3_600)).build().unwrap()
    });
    check("tiers", Checker::new(stage).settling(16)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis() {
    let url = env::redis_url();
    check(
        "redis",
        Checker::new(Stage::opening(move || {
            larder::redis::open(&mut CacheUrl::parse(&url).unwrap()).unwrap()
        })),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memcached() {
    let stage = Stage::opening(|| Memcached::builder(env::memcached()).build().unwrap());
    check("memcached", Checker::new(stage)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    let stage =
        Stage::opening(|| SqlCache::postgres(&env::postgres_url()).unwrap().table(table()).build().unwrap());
    check("postgres", Checker::new(stage)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql() {
    let stage =
        Stage::opening(|| SqlCache::mysql(&env::mysql_url()).unwrap().table(table()).build().unwrap());
    check("mysql", Checker::new(stage)).await;
}
