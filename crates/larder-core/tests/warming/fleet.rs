//! Several processes on one store: one works at a time, and another takes over.

use larder_core::{Cache, ErrorKind, ManualClock, Warmer};
use larder_testkit::{Fault, Faulty};

use super::Stage;

/// Another process that keeps the same value warm.
fn another(stage: &Stage) -> Stage {
    Stage::on(stage.cache.clone(), stage.hand.clone())
}

fn value(stage: &Stage) -> Warmer {
    let runs = stage.runs.clone();
    stage.warmer().key("n", move || {
        let n = runs.next();
        async move { n }
    })
}

#[tokio::test]
async fn of_two_processes_one_works_and_the_other_takes_over_when_it_stops() {
    let mut first = Stage::new();
    let mut second = another(&first);
    let working = value(&first).spawn().unwrap();
    first.expect("leads").await;
    first.expect("n refreshed").await;
    let _waiting = value(&second).spawn().unwrap();
    second.expect("follows").await;
    for _ in 0..4 {
        for _ in 0..2 {
            first.pass(20);
            first.quiet().await;
        }
        first.pass(20);
        first.expect("n refreshed").await;
        second.quiet().await;
    }
    assert_eq!((first.runs.count(), second.runs.count()), (5, 0));

    working.stop().await;
    first.pass(20);
    second.expect("leads").await;
    second.expect("n refreshed").await;
}

#[tokio::test]
async fn another_takes_over_from_a_process_that_died() {
    let first = Stage::new();
    let mut second = another(&first);
    // The same lock, held by somebody who is never heard of again.
    let dead = first.cache.lock("warmer:list").timeout(60).try_acquire().await.unwrap().unwrap();
    let _waiting = value(&second).name("list").spawn().unwrap();
    second.expect("follows").await;
    second.pass(40);
    second.quiet().await;
    second.pass(20);
    second.expect("leads").await;
    second.expect("n refreshed").await;
    assert!(dead.release().await.is_err());
}

#[tokio::test]
async fn who_finds_that_it_has_lost_the_lead_begins_nothing_more() {
    let mut first = Stage::new();
    let _working = value(&first).name("list").spawn().unwrap();
    first.expect("leads").await;
    first.expect("n refreshed").await;
    // It does not get to run for so long that its lock expires, and somebody else takes it.
    first.pass(61);
    let other = first.cache.lock("warmer:list").timeout(600).try_acquire().await.unwrap().unwrap();
    first.expect("follows").await;
    first.pass(60);
    first.quiet().await;
    assert_eq!(first.runs.count(), 1);
    other.release().await.unwrap();
    first.pass(20);
    first.expect("leads").await;
    first.expect("n refreshed").await;
}

#[tokio::test]
async fn warmers_with_different_lists_do_not_take_turns() {
    let mut first = Stage::new();
    let mut second = another(&first);
    let _one = value(&first).spawn().unwrap();
    let _other = second.warmer().key("m", || async { 1_u64 }).spawn().unwrap();
    first.expect("leads").await;
    second.expect("leads").await;
}

#[tokio::test]
async fn without_the_store_nothing_is_made_and_it_goes_on_when_it_is_back() {
    let hand = ManualClock::new(1_700_000_000_000);
    let faulty = Faulty::over(larder_memory::Memory::new());
    let faults = faulty.faults();
    let cache = Cache::builder(faulty).clock(hand.clock()).no_breaker().build().unwrap();
    let mut stage = Stage::on(cache, hand);
    faults.add(Fault::error(ErrorKind::Unavailable));
    let _warming = value(&stage).spawn().unwrap();
    stage.expect("follows").await;
    stage.pass(20);
    stage.quiet().await;
    assert_eq!(stage.runs.count(), 0);
    faults.heal();
    stage.pass(20);
    stage.expect("leads").await;
    stage.expect("n refreshed").await;
}
