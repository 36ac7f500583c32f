//! Values: what wins against one that is being made.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Cache, Dummy, ManualClock, Ttl, WarmKey};
use larder_testkit::Plain;
use tokio::sync::Semaphore;

use super::Stage;
use super::stage::Runs;

/// A value that is made when the test says so.
fn on_command(runs: &Runs, tags: &[&'static str]) -> (WarmKey<u64>, Arc<Semaphore>) {
    let (go, runs) = (Arc::new(Semaphore::new(0)), runs.clone());
    let gate = Arc::clone(&go);
    let key = WarmKey::new("n", move || {
        let (gate, n) = (Arc::clone(&gate), runs.next());
        async move {
            gate.acquire().await.unwrap().forget();
            n
        }
    });
    (key.tags(tags.iter().copied()), go)
}

/// A stage on which the first value is there, and the second is being made.
async fn making(tags: &[&'static str]) -> (Stage, Arc<Semaphore>) {
    let mut stage = Stage::new();
    let (key, go) = on_command(&stage.runs, tags);
    drop(stage.warmer().warm(key).spawn().unwrap());
    go.add_permits(1);
    stage.expect("leads").await;
    stage.expect("n refreshed").await;
    stage.pass(60);
    while stage.runs.count() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.value("n").await, Some(1), "until the new value is there, the old one is");
    (stage, go)
}

#[tokio::test]
async fn an_invalidation_while_a_value_is_made_wins_and_it_is_made_again() {
    let (mut stage, go) = making(&["course_list"]).await;
    stage.cache.invalidate(["course_list"]).await.unwrap();
    go.add_permits(1);
    stage.expect("n overtaken").await;
    assert_eq!(stage.value("n").await, None, "the second was begun before the invalidation");
    go.add_permits(1);
    stage.pass(1);
    stage.expect("n refreshed").await;
    assert_eq!(stage.value("n").await, Some(3));
}

#[tokio::test]
async fn a_value_that_is_deleted_or_set_while_it_is_made_is_not_overwritten() {
    let (mut stage, go) = making(&[]).await;
    stage.cache.delete("n").await.unwrap();
    go.add_permits(1);
    stage.expect("n overtaken").await;
    assert_eq!(stage.value("n").await, None);

    let (mut stage, go) = making(&[]).await;
    stage.cache.set("n", 100_u64).await.unwrap();
    go.add_permits(1);
    stage.expect("n overtaken").await;
    assert_eq!(stage.value("n").await, Some(100));

    let (mut stage, go) = making(&[]).await;
    stage.cache.clear().await.unwrap();
    go.add_permits(1);
    stage.expect("n overtaken").await;
    assert_eq!(stage.value("n").await, None);
}

#[tokio::test]
async fn who_misses_a_value_while_it_is_first_made_waits_for_it() {
    let mut stage = Stage::new();
    let (key, go) = on_command(&stage.runs, &[]);
    drop(stage.warmer().warm(key).spawn().unwrap());
    while stage.runs.count() == 0 {
        tokio::task::yield_now().await;
    }
    let cache = stage.cache.clone();
    let other = tokio::spawn(async move { cache.get_or_set("n", || async { 100_u64 }).await });
    stage.expect("leads").await;
    stage.quiet().await;
    go.add_permits(1);
    assert_eq!(other.await.unwrap().unwrap(), 1);
    stage.expect("n refreshed").await;
}

#[tokio::test]
async fn a_value_lives_for_three_intervals_unless_said_otherwise() {
    let mut stage = Stage::new();
    let warmer = stage.warmer().key("usual", || async { 1_u64 });
    let own = WarmKey::new("own", || async { 2_u64 }).timeout(900).version(7);
    let _warming = warmer.warm(own).concurrency(1).spawn().unwrap();
    for line in ["leads", "usual refreshed", "own refreshed"] {
        stage.expect(line).await;
    }
    assert_eq!(stage.cache.ttl("usual").await.unwrap(), Ttl::Left(Duration::from_secs(180)));
    assert_eq!(stage.cache.ttl("own").version(7).await.unwrap(), Ttl::Left(Duration::from_secs(900)));
    assert_eq!(stage.value("own").await, None, "of another version");
    stage.pass(60);
    for line in ["usual refreshed", "own refreshed"] {
        stage.expect(line).await;
    }
    assert_eq!(stage.cache.ttl("usual").await.unwrap(), Ttl::Left(Duration::from_secs(180)));
}

#[tokio::test]
async fn a_value_that_has_expired_is_made_like_the_first() {
    let mut stage = Stage::new();
    let _warming = stage.warmer().timeout(30).key("n", || async { 1_u64 }).spawn().unwrap();
    stage.expect("leads").await;
    stage.expect("n refreshed").await;
    stage.pass(60);
    stage.expect("n refreshed").await;
    assert_eq!(stage.value("n").await, Some(1));
}

#[tokio::test]
async fn a_cache_that_keeps_nothing_is_not_warmed() {
    let hand = ManualClock::new(0);
    let mut stage = Stage::on(Cache::builder(Dummy).clock(hand.clock()).build().unwrap(), hand);
    let runs = stage.runs.clone();
    let warmer = stage.warmer().key("n", move || {
        let n = runs.next();
        async move { n }
    });
    let _warming = warmer.spawn().unwrap();
    stage.expect("leads").await;
    stage.expect("n not stored: the cache keeps nothing").await;
    assert_eq!(stage.runs.count(), 0);
}

#[tokio::test]
async fn a_backend_with_nothing_but_the_required_operations_is_kept_warm_too() {
    let hand = ManualClock::new(0);
    let mut stage = Stage::on(Cache::builder(Plain::default()).clock(hand.clock()).build().unwrap(), hand);
    let runs = stage.runs.clone();
    let warmer = stage.warmer().key("n", move || {
        let n = runs.next();
        async move { n }
    });
    let _warming = warmer.spawn().unwrap();
    stage.expect("leads").await;
    stage.expect("n refreshed").await;
    stage.pass(60);
    stage.expect("n refreshed").await;
    assert_eq!(stage.value("n").await, Some(2));
}
