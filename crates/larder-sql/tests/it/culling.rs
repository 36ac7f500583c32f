//! The table stays within its limit, and records stay in it.

use std::time::{Duration, Instant};

use larder_core::Cache;

use crate::{PATIENT, Stage, everywhere};

everywhere! {
    the_oldest_go_first_and_records_never
    what_expired_goes_before_what_lives
    tags_that_come_and_go_leave_nothing_behind
}

async fn there(cache: &Cache, range: std::ops::Range<usize>) -> Vec<usize> {
    let found = cache.get_many::<usize, _>(range.map(|i| format!("key{i}"))).await.unwrap();
    let mut values: Vec<usize> = found.into_values().collect();
    values.sort_unstable();
    values
}

/// Culling happens behind the writes.
async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let late = Instant::now() + PATIENT;
    while !done().await {
        assert!(Instant::now() < late, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn the_oldest_go_first_and_records_never(stage: Stage) {
    let backend = (stage.again)().max_entries(20).build().unwrap();
    let cache = stage.over(backend).build().unwrap();
    for i in 0..60 {
        cache.set(&format!("key{i}"), i).tags([format!("tag{i}")]).await.unwrap();
        stage.hand.advance(Duration::from_millis(1));
    }
    until("it is culled", async || {
        cache.set("last", 1).await.unwrap();
        there(&cache, 0..60).await.len() <= 20
    })
    .await;
    let left = there(&cache, 0..60).await;
    assert!(left.len() >= 10, "it is not culled to nothing: {left:?}");
    assert_eq!(left, (60 - left.len()..60).collect::<Vec<_>>(), "the newest are left");
}

async fn what_expired_goes_before_what_lives(stage: Stage) {
    // By another handle, whose culling can't run late and take for alive what expires meanwhile.
    let cache = stage.over((stage.again)().max_entries(0).build().unwrap()).build().unwrap();
    for i in 0..10 {
        cache.set(&format!("key{i}"), i).timeout(10_000).await.unwrap();
    }
    stage.hand.advance(Duration::from_millis(1));
    for i in 10..20 {
        cache.set(&format!("key{i}"), i).timeout(1).await.unwrap();
    }
    stage.wait(2);
    let cache = stage.over((stage.again)().max_entries(20).build().unwrap()).build().unwrap();
    for i in 20..28 {
        cache.set(&format!("key{i}"), i).timeout(10_000).await.unwrap();
    }
    let left = there(&cache, 0..28).await;
    assert_eq!(left, (0..10).chain(20..28).collect::<Vec<_>>());
}

/// How many rows hang around: entries, and records of tags.
async fn tags_that_come_and_go_leave_nothing_behind(stage: Stage) {
    let rows = async || (stage.rows)().await;
    // No limit of entries takes part in it.
    let quiet = || stage.over((stage.again)().max_entries(0).build().unwrap()).build().unwrap();
    let cache = quiet();
    cache.set("key", 0).timeout(60).tags(["t"]).await.unwrap();
    let before = rows().await;
    for i in (0..1_000).step_by(50) {
        let tags: Vec<String> = (i..i + 50).map(|i| format!("tag{i}")).collect();
        cache.set(&format!("key{}", i / 50), i).timeout(60).tags(&tags).await.unwrap();
        cache.invalidate(&tags[..25]).await.unwrap();
    }
    assert!(rows().await >= before + 1_000, "each has a record while something may carry it");
    stage.wait(3 * 3_600);
    // The first write of a handle looks, as each of some thousand does.
    let cache = quiet();
    cache.set("key", 1).timeout(60).tags(["t"]).await.unwrap();
    until("what expired is removed", async || rows().await <= before).await;
    assert_eq!(cache.get("key").await.unwrap(), Some(1));
}
