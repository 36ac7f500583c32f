//! When things are made, and what becomes of those that fail.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder_core::{Cache, Dummy, ErrorKind, WarmJob, WarmKey, Warmed, Warmer};
use tokio::sync::Semaphore;

use super::Stage;

#[tokio::test]
async fn a_value_is_made_at_once_and_again_at_each_interval() {
    let mut stage = Stage::new();
    let runs = stage.runs.clone();
    let warming = stage
        .warmer()
        .key("n", move || {
            let n = runs.next();
            async move { n }
        })
        .spawn()
        .unwrap();
    stage.expect("leads").await;
    stage.expect("n refreshed").await;
    assert_eq!(stage.value("n").await, Some(1));
    stage.pass(59);
    stage.quiet().await;
    stage.pass(1);
    stage.expect("n refreshed").await;
    assert_eq!(stage.value("n").await, Some(2));
    assert_eq!(warming.counts().refreshed, 2);

    warming.stop().await;
    stage.pass(600);
    stage.quiet().await;
    assert_eq!(stage.runs.count(), 2);
}

#[tokio::test]
async fn what_fails_keeps_its_value_and_is_tried_again_ever_more_seldom() {
    let mut stage = Stage::new();
    let (runs, broken) = (stage.runs.clone(), Arc::new(AtomicBool::new(false)));
    let fails = Arc::clone(&broken);
    let make = move || {
        let made = if fails.load(Ordering::SeqCst) { Err("no route") } else { Ok(runs.next()) };
        async move { made }
    };
    let _warming = stage.warmer().try_key("n", make).spawn().unwrap();
    stage.expect("leads").await;
    stage.expect("n refreshed").await;
    broken.store(true, Ordering::SeqCst);
    stage.pass(60);
    stage.expect("n failed 1: no route").await;
    // Pauses of 1, 2, 4, … s, and a tenth more by chance.
    for (failures, pause) in [(2, 1), (3, 2), (4, 4), (5, 8), (6, 16), (7, 32)] {
        stage.hand.advance(Duration::from_millis(pause * 1000 - 1));
        stage.quiet().await;
        stage.hand.advance(Duration::from_millis(pause * 100 + 1));
        stage.expect(&format!("n failed {failures}: no route")).await;
    }
    assert_eq!(stage.value("n").await, Some(1), "what there was stays");

    broken.store(false, Ordering::SeqCst);
    stage.pass(66);
    stage.expect("n refreshed").await;
    assert_eq!(stage.value("n").await, Some(2));
}

#[tokio::test]
async fn what_fails_too_often_is_given_up_and_the_rest_goes_on() {
    let mut stage = Stage::new();
    let warmer = stage.warmer().max_failures(2).try_key("bad", || async { Err::<u64, _>("no") });
    let warming = warmer.key("good", || async { 1_u64 }).spawn().unwrap();
    stage.expect("leads").await;
    let mut first = [String::new(), String::new()];
    for line in &mut first {
        *line = stage.next().await;
    }
    first.sort();
    assert_eq!(first, ["bad failed 1: no", "good refreshed"]);
    stage.pass(2);
    stage.expect("bad failed 2: no").await;
    stage.expect("bad given up 2").await;
    stage.pass(60);
    stage.expect("good refreshed").await;
    stage.quiet().await;
    assert_eq!((warming.counts().failed, warming.counts().given_up), (2, 1));
}

#[tokio::test]
async fn a_warmer_that_has_given_everything_up_ends_and_lets_the_lead_go() {
    let mut stage = Stage::new();
    let warmer = stage.warmer().name("n").max_failures(1).try_key("n", || async { Err::<u64, _>("no") });
    let warming = warmer.spawn().unwrap();
    stage.expect("leads").await;
    stage.expect("n failed 1: no").await;
    stage.expect("n given up 1").await;
    while !warming.is_finished() {
        tokio::task::yield_now().await;
    }
    assert!(stage.cache.lock("warmer:n").try_acquire().await.unwrap().is_some());
}

#[tokio::test]
async fn a_job_that_panics_or_never_ends_has_failed_and_holds_up_nobody() {
    let mut stage = Stage::new();
    let warmer = stage.warmer().max_run(Duration::from_secs(5));
    let _warming = warmer
        .warm(WarmJob::new("hangs", pending::<Result<Warmed, String>>))
        .warm(vec![WarmJob::new("panics", || async {
            panic!("the job is broken") as Result<Warmed, String>
        })])
        .key("n", || async { 1_u64 })
        .spawn()
        .unwrap();
    stage.expect("leads").await;
    let mut told = [stage.next().await, stage.next().await];
    told.sort();
    assert_eq!(told, ["n refreshed", "panics failed 1: it panicked"]);
    stage.pass(5);
    let mut told = [stage.next().await, stage.next().await];
    told.sort();
    assert_eq!(told, ["hangs failed 1: it took longer than 5s", "panics failed 2: it panicked"]);
}

#[tokio::test]
async fn no_more_is_made_at_once_than_the_limit_and_stopping_waits_for_it() {
    let mut stage = Stage::new();
    let (places, runs) = (Arc::new(Semaphore::new(0)), stage.runs.clone());
    let job = |name: &str| {
        let (places, runs) = (Arc::clone(&places), runs.clone());
        WarmJob::new(name, move || {
            runs.next();
            let places = Arc::clone(&places);
            async move {
                places.acquire_owned().await.map_err(|error| error.to_string())?.forget();
                Ok::<_, String>(Warmed::Refreshed)
            }
        })
    };
    let jobs: Vec<WarmJob> = ["a", "b", "c", "d", "e"].map(job).into();
    let warming = stage.warmer().concurrency(2).warm(jobs).spawn().unwrap();
    stage.expect("leads").await;
    stage.quiet().await;
    assert_eq!(stage.runs.count(), 2);
    places.add_permits(1);
    assert!(stage.next().await.ends_with("refreshed"));
    stage.quiet().await;
    assert_eq!(stage.runs.count(), 3, "one has made room for one");

    let stopping = tokio::spawn(warming.stop());
    stage.quiet().await;
    assert!(!stopping.is_finished(), "two are being made");
    places.add_permits(2);
    stopping.await.unwrap();
    assert_eq!(stage.runs.count(), 3);
}

#[tokio::test]
async fn dropping_the_handle_ends_nothing() {
    let mut stage = Stage::new();
    drop(stage.warmer().key("n", || async { 1_u64 }).spawn().unwrap());
    stage.expect("leads").await;
    stage.expect("n refreshed").await;
    stage.pass(60);
    stage.expect("n refreshed").await;
}

#[test]
fn a_warmer_ends_with_its_runtime() {
    let stage = Stage::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let runs = stage.runs.clone();
    let warming = runtime.block_on(async {
        let warmer = stage.warmer().key("n", move || {
            let n = runs.next();
            async move { n }
        });
        let warming = warmer.spawn().unwrap();
        while stage.runs.count() == 0 {
            tokio::task::yield_now().await;
        }
        warming
    });
    drop(runtime);
    assert!(warming.is_finished());
    stage.pass(600);
    assert_eq!(stage.runs.count(), 1);
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_nothing_wait_for_longer_than_an_interval() {
    let mut stage = Stage::new();
    let go = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&go);
    let slow = WarmJob::new("slow", move || {
        let gate = Arc::clone(&gate);
        async move { gate.acquire_owned().await.map(|_| Warmed::Refreshed) }
    });
    let warmer = stage.warmer().max_run(Duration::MAX).key("n", || async { 1_u64 }).warm(slow);
    let _warming = warmer.spawn().unwrap();
    stage.expect("leads").await;
    stage.expect("n refreshed").await;
    stage.hand.set(stage.hand.now() - 86_400_000);
    go.add_permits(1);
    stage.expect("slow refreshed").await;
    stage.pass(60);
    let mut told = [stage.next().await, stage.next().await];
    told.sort();
    assert_eq!(told, ["n refreshed", "slow refreshed"]);
}

#[tokio::test]
async fn what_is_made_for_ever_is_made_once() {
    let mut stage = Stage::new();
    let runs = stage.runs.clone();
    let make = move || {
        let n = runs.next();
        async move { n }
    };
    let warming = stage.warmer().every(Duration::MAX).key("n", make).spawn().unwrap();
    stage.expect("leads").await;
    stage.expect("n refreshed").await;
    stage.pass(86_400);
    stage.quiet().await;
    assert_eq!(warming.counts().refreshed, 1);
    warming.stop().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_said_before_anything_runs() {
    let cache = Cache::new(Dummy);
    let key = || Warmer::new(&cache).key("n", || async { 1_u64 });
    for (warmer, word) in [
        (Warmer::new(&cache), "key()"),
        (key().every(Duration::ZERO), "every()"),
        (key().concurrency(0), "concurrency"),
        (key().max_failures(0), "max_failures"),
        (key().max_run(Duration::ZERO), "max_run"),
        (key().warm(WarmKey::new("n", || async { 1_u64 }).timeout(0)), "\"n\""),
    ] {
        let error = warmer.spawn().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(word), "{error}");
    }
    let outside = std::thread::spawn(move || key_on(&cache).spawn().unwrap_err().to_string());
    assert!(outside.join().unwrap().contains("#[tokio::main]"));
}

fn key_on(cache: &Cache) -> Warmer {
    Warmer::new(cache).key("n", || async { 1_u64 })
}
