//! What a store that is silent or slow costs.

use std::time::Duration;

use larder_core::{Entry, ErrorKind, Event, Operation, Stamp, Value, When};
use tokio::time::Instant;

use crate::Stage;
use crate::faulty::Mode;

const DEADLINE: Duration = Duration::from_millis(100);

#[tokio::test(start_paused = true)]
async fn a_silent_store_costs_a_step_the_deadline_which_is_100_ms() {
    let stage = Stage::new();
    let cache = stage.cache();
    stage.store.turn(Mode::Silent);
    let began = Instant::now();
    let error = cache.get::<u8>("key").await.unwrap_err();
    assert_eq!((error.kind(), began.elapsed()), (ErrorKind::Deadline, DEADLINE));
    assert!(error.to_string().contains("100ms"), "{error}");
    assert_eq!(
        *stage.events.lock(),
        [Event::StepFailed { operation: Operation::Get, kind: ErrorKind::Deadline }]
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_that_just_makes_it_is_no_outage_however_often() {
    let stage = Stage::new();
    let cache = stage.cache();
    stage.store.turn(Mode::Slow(Duration::from_millis(99)));
    for _ in 0..50 {
        assert_eq!(cache.get::<u8>("key").await.unwrap(), None);
    }
    assert!(stage.told().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_value_is_made_after_one_deadline_and_one_attempt() {
    let stage = Stage::new();
    let cache = stage.cache();
    stage.store.turn(Mode::Silent);
    let began = Instant::now();
    assert_eq!(cache.get_or_set("key", || async { 5 }).await.unwrap(), 5);
    let made = cache.try_get_or_set("key", || async { Ok::<_, std::fmt::Error>(6) }).await.unwrap();
    assert_eq!((made, stage.store.asked(), began.elapsed()), (6, 2, 2 * DEADLINE));
}

#[tokio::test(start_paused = true)]
async fn the_steps_of_a_request_wait_one_deadline_together() {
    let stage = Stage::new();
    let cache = stage.builder().no_breaker().build().unwrap();
    let key = cache.key_builder("page").part(b"x").key();
    stage.store.turn(Mode::Slow(Duration::from_millis(60)));
    let request = cache.for_request();
    assert_eq!(request.patience(), Some(DEADLINE));
    let began = Instant::now();
    request.lookup(std::slice::from_ref(&key)).await.unwrap();
    let error = request.begin(&[]).await.unwrap_err();
    assert_eq!((error.kind(), began.elapsed()), (ErrorKind::Deadline, DEADLINE));
    assert!(error.to_string().contains("in all"), "{error}");
    for _ in 0..3 {
        assert!(request.lookup(std::slice::from_ref(&key)).await.is_err());
    }
    assert_eq!((stage.store.asked(), began.elapsed()), (2, DEADLINE), "nothing was tried any more");
    // What it stores beside the request has its time.
    let beside = request.beside_requests();
    let fill = beside.begin(&[]).await.unwrap();
    let stamp = beside.seal(&fill, &[], None).await.unwrap().unwrap();
    let entry = Entry::new(Value::Bytes("x".into()), None, stamp);
    assert!(beside.put(&key, entry, When::Always).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_met_an_outage_tries_nothing_more() {
    for mode in [Mode::Silent, Mode::Fails(ErrorKind::Unavailable)] {
        let stage = Stage::new();
        let cache = stage.cache();
        stage.store.turn(mode);
        let request = cache.for_request();
        assert!(request.begin(&[]).await.is_err());
        for _ in 0..3 {
            assert!(request.clone().begin(&[]).await.is_err());
        }
        assert_eq!(stage.store.asked(), 1, "{mode:?}");
        stage.store.turn(Mode::Fine);
        request.invalidate(["tag"]).await.unwrap();
        cache.for_request().begin(&[]).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_cut_short_for_its_request_says_nothing_about_the_store() {
    let stage = Stage::new();
    let cache = stage.cache();
    for _ in 0..20 {
        let request = cache.for_request();
        stage.store.turn(Mode::Slow(Duration::from_millis(60)));
        request.begin(&[]).await.unwrap();
        assert!(request.begin(&[]).await.is_err());
    }
    assert_eq!(stage.told(), ["step-failed"], "the breaker stays closed");
    // With half of the deadline and more, it does.
    let mut requests = Vec::new();
    for _ in 0..5 {
        let request = cache.for_request();
        stage.store.turn(Mode::Slow(Duration::from_millis(10)));
        request.begin(&[]).await.unwrap();
        requests.push(request);
    }
    stage.store.turn(Mode::Silent);
    for request in requests {
        assert!(request.begin(&[]).await.is_err());
    }
    assert_eq!(stage.told(), ["step-failed", "breaker-opened"]);
}

#[tokio::test]
async fn in_this_process_there_is_neither_deadline_nor_breaker() {
    let cache = larder_core::Cache::new(larder_memory::Memory::new()).for_request();
    assert_eq!(cache.patience(), None);
    let stamp = Stamp::untagged(larder_core::Nonce::fresh());
    let key = cache.key_builder("page").part(b"x").key();
    assert!(cache.put(&key, Entry::new(Value::Bytes("x".into()), None, stamp), When::Always).await.unwrap());
}
