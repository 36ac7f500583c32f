//! The backend that fails when it is told to.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::time::Duration;

use larder_core::{Backend, Cache, Entry, ErrorKind, Key, ManualClock, Space, Stamp, Value, When};
use larder_memory::Memory;
use larder_testkit::{Fault, Faulty, Op, Plain, Stage};

larder_testkit::backend_suite! {
    over_plain => async {
        let store = Plain::default();
        let same = store.clone();
        let stage = Stage::opening(move || Faulty::over(same.clone()));
        stage.rewriting(move |key, change| store.rewrite(key, change))
    }
    over_memory => async { Stage::new(Faulty::over(Memory::new())) }
    over_remote_memory => async {
        let stage = Stage::new(Faulty::over(Memory::new()).remote());
        stage.opaque("it is the memory of this process in truth")
    }
}

const NOW: u64 = 1_700_000_000_000;

fn key(name: &str) -> Key {
    Key::value(&Space::default(), 1, name)
}

async fn entry(backend: &impl Backend, value: &'static str) -> Entry {
    let fill = backend.begin(&Space::default(), &[], NOW).await.unwrap();
    Entry::new(Value::Bytes(value.into()), None, Stamp::untagged(fill.space()))
}

async fn value(backend: &impl Backend, name: &str) -> Option<Vec<u8>> {
    let found = backend.get(&key(name), NOW).await.unwrap();
    found.map(|entry| entry.value().to_bytes().unwrap().to_vec())
}

/// Calls each operation once; what came of it.
async fn call_all(backend: &Faulty) -> Vec<(Op, Option<ErrorKind>)> {
    let (space, a) = (Space::default(), key("a"));
    let fill = Plain::default().begin(&space, &[], NOW).await.unwrap();
    let stamp = fill.stamp([]);
    let entry = Entry::new(Value::Bytes("1".into()), None, stamp.clone());
    let mut came = Vec::new();
    macro_rules! call {
        ($op:ident: $call:expr) => {
            came.push((Op::$op, $call.await.err().map(|error| error.kind())))
        };
    }
    call!(Get: backend.get(&a, NOW));
    call!(Set: backend.set(&a, entry.clone(), When::Always, NOW));
    call!(Remove: backend.remove(&a, NOW));
    call!(Clear: backend.clear(&space, NOW));
    call!(GetMany: backend.get_many(std::slice::from_ref(&a), NOW));
    call!(SetMany: backend.set_many(vec![(a.clone(), entry.clone())], NOW));
    call!(RemoveMany: backend.remove_many(std::slice::from_ref(&a), NOW));
    call!(CompareAndSet: backend.compare_and_set(&a, b"1", None, NOW));
    call!(Scan: backend.scan(&space, ":1:", None, 10, NOW));
    call!(Fetch: backend.fetch(&space, std::slice::from_ref(&a), &[], NOW));
    call!(Expiry: backend.expiry(&a, &entry, NOW));
    call!(Touch: backend.touch(&a, None, NOW));
    call!(Incr: backend.incr(&a, 1, NOW));
    call!(Begin: backend.begin(&space, &[], NOW));
    call!(Seal: backend.seal(&space, &fill, &[], None, NOW));
    call!(IsCurrent: backend.is_current(&space, &stamp, NOW));
    call!(Invalidate: backend.invalidate(&space, &[], NOW));
    call!(Soften: backend.soften(&space, &[], NOW));
    call!(Ping: backend.ping());
    call!(Close: backend.close());
    came
}

#[test]
fn every_method_of_the_trait_is_an_operation() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../larder-core/src/backend.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let body = source.split_once("pub trait Backend").unwrap().1.split_once("\n}\n").unwrap().0;
    let methods = body.lines().filter_map(|line| line.strip_prefix("    fn ")?.split_once('('));
    let mut methods: Vec<&str> = methods.map(|(name, _)| name).collect();
    methods.retain(|name| !["capabilities", "get_now", "begin_now"].contains(name));
    let mut operations: Vec<&str> = Op::ALL.iter().map(|op| op.as_str()).collect();
    methods.sort_unstable();
    operations.sort_unstable();
    assert_eq!(operations, methods, "the fault backend has to hand on what the trait has");
}

#[tokio::test]
async fn each_operation_is_handed_on_as_itself_and_once() {
    let inner = Faulty::over(Plain::default());
    let outer = Faulty::over(inner.clone());
    let came = call_all(&outer).await;
    assert!(came.iter().all(|(_, error)| error.is_none()), "{came:?}");
    let once: Vec<_> = Op::ALL.iter().map(|op| (*op, 1)).collect();
    assert_eq!(inner.faults().by_operation().into_iter().collect::<Vec<_>>(), once);
    assert_eq!(outer.faults().by_operation(), inner.faults().by_operation());
    assert_eq!(outer.faults().all_calls(), Op::ALL.len());
}

#[tokio::test]
async fn an_error_meets_every_operation_and_names_it_until_it_is_healed() {
    let inner = Faulty::over(Plain::default());
    let backend = Faulty::over(inner.clone());
    for kind in [ErrorKind::Unavailable, ErrorKind::Deadline, ErrorKind::Backend, ErrorKind::TooLarge] {
        backend.faults().add(Fault::error(kind));
        for (op, error) in call_all(&backend).await {
            assert_eq!(error, Some(kind), "{op}");
        }
        let error = backend.ping().await.unwrap_err();
        assert!(error.to_string().ends_with("in ping"), "{error}");
        backend.faults().heal();
    }
    assert_eq!(inner.faults().all_calls(), 0, "nothing was done");
    assert_eq!(backend.faults().met(), 4 * (Op::ALL.len() + 1));
    backend.ping().await.unwrap();
}

#[tokio::test]
async fn a_fault_meets_the_operations_and_the_times_that_it_was_given() {
    let backend = Faulty::over(Plain::default());
    let faults = backend.faults();
    faults.add(Fault::error(ErrorKind::Unavailable).on([Op::Get, Op::Touch]).times(2));
    backend.ping().await.unwrap();
    assert!(backend.get(&key("a"), NOW).await.is_err());
    assert!(backend.touch(&key("a"), None, NOW).await.is_err());
    assert!(backend.get(&key("a"), NOW).await.is_ok(), "twice, and no more");
    assert_eq!((faults.met(), faults.calls(Op::Get), faults.calls(Op::Set)), (2, 2, 0));
    faults.reset();
    assert_eq!((faults.met(), faults.all_calls()), (0, 0));
}

#[tokio::test]
async fn of_several_errors_the_first_happens_and_the_others_wait_for_their_turn() {
    let backend = Faulty::over(Plain::default());
    backend.faults().add(Fault::error(ErrorKind::Unavailable).times(1));
    backend.faults().add(Fault::error(ErrorKind::Backend).times(1));
    assert_eq!(backend.ping().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(backend.ping().await.unwrap_err().kind(), ErrorKind::Backend);
    backend.ping().await.unwrap();
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_the_deed() {
    let backend = Faulty::over(Plain::default());
    let (old, new) = (entry(&backend, "old").await, entry(&backend, "new").await);
    backend.set(&key("a"), old, When::Always, NOW).await.unwrap();
    backend.faults().add(Fault::error(ErrorKind::Unavailable).on([Op::Set]).times(1));
    assert!(backend.set(&key("a"), new.clone(), When::Always, NOW).await.is_err());
    assert_eq!(value(&backend, "a").await, Some(b"old".to_vec()), "not done");
    backend.faults().add(Fault::error(ErrorKind::Unavailable).on([Op::Set]).times(1).after());
    assert!(backend.set(&key("a"), new, When::Always, NOW).await.is_err());
    assert_eq!(value(&backend, "a").await, Some(b"new".to_vec()), "done, and nobody was told");
}

async fn failures_of(seed: u64, probability: f64) -> Vec<bool> {
    let backend = Faulty::over(Plain::default());
    backend.faults().seed(seed);
    backend.faults().add(Fault::error(ErrorKind::Backend).with_probability(probability));
    let mut failures = Vec::new();
    for _ in 0..400 {
        failures.push(backend.ping().await.is_err());
    }
    failures
}

#[tokio::test]
async fn the_same_seed_fails_at_the_same_calls_and_about_as_often_as_was_asked() {
    let failures = failures_of(7, 0.25).await;
    assert_eq!(failures, failures_of(7, 0.25).await);
    assert_ne!(failures, failures_of(8, 0.25).await);
    let count = failures.iter().filter(|failed| **failed).count();
    assert!((60..140).contains(&count), "{count} of 400");
    assert!(failures_of(1, 0.0).await.iter().all(|failed| !failed));
    assert!(failures_of(1, 1.0).await.iter().all(|failed| *failed));
}

#[tokio::test(start_paused = true)]
async fn a_cache_gives_up_a_remote_backend_that_hangs_at_its_deadline() {
    let backend = Faulty::over(Memory::new()).remote();
    let faults = backend.faults();
    let cache = Cache::builder(backend).deadline(Duration::from_millis(100)).build().unwrap();
    cache.set("key", 1).await.unwrap();
    faults.add(Fault::hang());
    faults.reset();
    let began = tokio::time::Instant::now();
    assert_eq!(cache.get::<u8>("key").await.unwrap_err().kind(), ErrorKind::Deadline);
    assert_eq!(began.elapsed(), Duration::from_millis(100));
    assert_eq!((faults.all_calls(), faults.under_way()), (1, 0), "one attempt, and it was dropped");
}

#[tokio::test]
async fn who_hangs_goes_on_hanging_when_all_is_well_again() {
    let backend = Faulty::over(Plain::default());
    let faults = backend.faults();
    faults.add(Fault::hang().times(1));
    let stuck = tokio::spawn({
        let backend = backend.clone();
        async move { backend.ping().await }
    });
    faults.reached(Op::Ping, 1).await;
    faults.heal();
    backend.ping().await.unwrap();
    assert!(!stuck.is_finished());
    assert_eq!(faults.under_way(), 1);
    stuck.abort();
    assert!(stuck.await.unwrap_err().is_cancelled());
    assert_eq!(faults.under_way(), 0);
}

#[tokio::test]
async fn delays_are_measured_on_the_given_clock_and_add_up() {
    let hand = ManualClock::new(NOW);
    let backend = Faulty::over(Plain::default()).clock(hand.clock());
    let faults = backend.faults();
    faults.add(Fault::delay(Duration::from_secs(2)));
    faults.add(Fault::delay(Duration::from_secs(1)));
    let call = tokio::spawn(async move { backend.ping().await });
    faults.reached(Op::Ping, 1).await;
    hand.advance(Duration::from_millis(2_999));
    tokio::task::yield_now().await;
    assert!(!call.is_finished());
    hand.advance(Duration::from_millis(1));
    call.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_a_clock_delays_are_measured_on_the_runtimes() {
    let backend = Faulty::over(Plain::default());
    backend.faults().add(Fault::delay(Duration::from_secs(30)).on([Op::Ping]));
    let began = tokio::time::Instant::now();
    backend.ping().await.unwrap();
    backend.close().await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(30));
}

#[tokio::test]
async fn damaged_values_are_read_and_what_is_stored_stays() {
    let backend = Faulty::over(Plain::default());
    let stored = entry(&backend, "\"a text\"").await;
    backend.set(&key("a"), stored, When::Always, NOW).await.unwrap();
    let keys = [key("a"), key("none")];
    for (fault, length) in [(Fault::garbage(), 9), (Fault::truncated(), 4)] {
        backend.faults().add(fault);
        let mut read = vec![value(&backend, "a").await.unwrap()];
        let many = backend.get_many(&keys, NOW).await.unwrap();
        let fetched = backend.fetch(&Space::default(), &keys, &[], NOW).await.unwrap().entries;
        for found in [many, fetched] {
            assert!(found[1].is_none());
            read.push(found[0].as_ref().unwrap().value().to_bytes().unwrap().to_vec());
        }
        for value in read {
            assert_eq!(value.len(), length);
            assert_ne!(value, b"\"a text\"");
        }
        backend.faults().heal();
        assert_eq!(value(&backend, "a").await, Some(b"\"a text\"".to_vec()));
    }
}

#[tokio::test]
async fn a_damaged_value_is_a_miss_for_the_low_level_cache() {
    for fault in [Fault::garbage(), Fault::truncated()] {
        let backend = Faulty::over(Plain::default());
        let faults = backend.faults();
        let cache = Cache::new(backend);
        cache.set("key", "a text").await.unwrap();
        faults.add(fault.times(1));
        assert_eq!(cache.get::<String>("key").await.unwrap(), None);
        cache.set("key", "new").await.unwrap();
        assert_eq!(cache.get("key").await.unwrap(), Some("new".to_owned()));
    }
}

#[tokio::test]
async fn a_backend_that_answers_without_waiting_does_not_get_round_its_faults() {
    let backend = Faulty::over(Memory::new());
    let faults = backend.faults();
    let cache = Cache::new(backend);
    cache.set("key", 1).await.unwrap();
    faults.reset();
    assert_eq!(cache.get("key").await.unwrap(), Some(1));
    assert_eq!(faults.calls(Op::Get), 1, "what was answered at once counts too");
    faults.add(Fault::error(ErrorKind::Unavailable).on([Op::Get, Op::GetMany, Op::Begin]));
    assert_eq!(cache.get::<u8>("key").await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(cache.set("key", 2).await.unwrap_err().kind(), ErrorKind::Unavailable);
    faults.heal();
    assert_eq!(cache.get("key").await.unwrap(), Some(1));
}
