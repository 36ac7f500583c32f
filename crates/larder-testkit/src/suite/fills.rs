//! `get_or_set` and `try_get_or_set`: once, whoever asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use larder_core::{Cache, ErrorKind, FillError};
use tokio::sync::{Barrier, Notify, Semaphore};

use super::tests;
use crate::Stage;

tests! {
    fills __mount_fills:
    ll_20_a_miss_is_made_and_stored_and_a_hit_is_not_made
    ll_21_and_22_a_null_is_stored_and_the_closure_runs_only_on_a_miss
    ll_24_a_competing_add_wins
    ll_25_of_twenty_who_miss_at_once_one_makes_it
    a_timeout_a_version_and_tags_are_those_given
    an_error_is_never_stored_and_everybody_tries_for_themselves
    a_leader_that_is_cancelled_neither_hangs_its_waiters_nor_stores
    a_leader_that_panics_releases_its_waiters
    a_delete_during_a_fill_wins
    whatever_removes_a_value_during_a_fill_wins
    a_delete_by_another_handle_during_a_fill_wins
    a_set_during_a_fill_wins
    who_asks_after_an_invalidation_does_not_join_an_older_fill
    waiters_of_different_keys_do_not_wait_for_each_other
}

async fn ll_20_a_miss_is_made_and_stored_and_a_hit_is_not_made(stage: Stage) {
    let cache = stage.cache();
    assert_eq!(cache.get_or_set("key", || async { 42 }).await.unwrap(), 42);
    assert_eq!(cache.get("key").await.unwrap(), Some(42));
    assert_eq!(cache.get_or_set("key", || async { 1979 }).await.unwrap(), 42);
}

async fn ll_21_and_22_a_null_is_stored_and_the_closure_runs_only_on_a_miss(stage: Stage) {
    let (cache, runs) = (stage.cache(), AtomicUsize::new(0));
    for _ in 0..3 {
        let make = || async {
            runs.fetch_add(1, Ordering::SeqCst);
            None::<u8>
        };
        assert_eq!(cache.get_or_set("null", make).await.unwrap(), None);
    }
    assert_eq!(runs.into_inner(), 1);
    assert_eq!(cache.get::<Option<u8>>("null").await.unwrap(), Some(None));
}

async fn ll_24_a_competing_add_wins(stage: Stage) {
    let cache = stage.cache();
    let make = || async {
        assert!(cache.add("key", "theirs".to_owned()).await.unwrap());
        "mine".to_owned()
    };
    assert_eq!(cache.get_or_set("key", make).await.unwrap(), "theirs");
    assert_eq!(cache.get("key").await.unwrap(), Some("theirs".to_owned()));
}

async fn ll_25_of_twenty_who_miss_at_once_one_makes_it(stage: Stage) {
    let (cache, runs, start) = (stage.cache(), Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(20)));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (cache, runs, start) = (cache.clone(), runs.clone(), start.clone());
            tokio::spawn(async move {
                start.wait().await;
                let make = || async {
                    let run = runs.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    run
                };
                cache.get_or_set("key", make).await.unwrap()
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 0);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

async fn a_timeout_a_version_and_tags_are_those_given(stage: Stage) {
    let cache = stage.cache();
    let make = || async { 1 };
    cache.get_or_set("key", make).timeout(5).version(3).tags(["t"]).await.unwrap();
    assert!(!cache.has_key("key").await.unwrap() && cache.has_key("key").version(3).await.unwrap());
    cache.invalidate(["t"]).await.unwrap();
    assert!(!cache.has_key("key").version(3).await.unwrap());
    cache.get_or_set("key", make).timeout(5).await.unwrap();
    stage.wait(5);
    assert!(!cache.has_key("key").await.unwrap());
}

async fn an_error_is_never_stored_and_everybody_tries_for_themselves(stage: Stage) {
    let (cache, runs, start) = (stage.cache(), Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(10)));
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let (cache, runs, start) = (cache.clone(), runs.clone(), start.clone());
            tokio::spawn(async move {
                start.wait().await;
                let make = || async {
                    runs.fetch_add(1, Ordering::SeqCst);
                    Err::<u8, _>("503")
                };
                cache.try_get_or_set("key", make).await
            })
        })
        .collect();
    for task in tasks {
        assert!(matches!(task.await.unwrap(), Err(FillError::Fill("503"))));
    }
    assert_eq!(runs.load(Ordering::SeqCst), 10);
    assert!(!cache.has_key("key").await.unwrap());
    assert_eq!(cache.try_get_or_set("key", || async { Ok::<_, ()>(7) }).await.unwrap(), 7);
    assert_eq!(cache.get("key").await.unwrap(), Some(7));
}

/// A fill whose closure has begun and goes on when it is told to.
struct Held {
    running: Arc<Notify>,
    go: Arc<Semaphore>,
    task: tokio::task::JoinHandle<String>,
}

async fn held(cache: &Cache, value: &'static str) -> Held {
    let (running, go) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let (cache, said, may) = (cache.clone(), running.clone(), go.clone());
    let task = tokio::spawn(async move {
        let make = || async {
            said.notify_one();
            _ = may.acquire().await.unwrap();
            assert!(value != "panic", "the closure panics, as it was told to");
            value.to_owned()
        };
        cache.get_or_set("key", make).tags(["t"]).await.unwrap()
    });
    running.notified().await;
    Held { running, go, task }
}

/// Somebody who asks for the same key, and has had the time to join what is under way.
async fn another(cache: &Cache) -> tokio::task::JoinHandle<String> {
    let cache = cache.clone();
    let task =
        tokio::spawn(async move { cache.get_or_set("key", || async { "second".to_owned() }).await.unwrap() });
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    task
}

async fn a_leader_that_is_cancelled_neither_hangs_its_waiters_nor_stores(stage: Stage) {
    let cache = stage.cache();
    let first = held(&cache, "first").await;
    let second = another(&cache).await;
    assert!(!second.is_finished(), "it waits");
    first.task.abort();
    assert_eq!(second.await.unwrap(), "second");
    assert_eq!(cache.get("key").await.unwrap(), Some("second".to_owned()));
    drop(first.running);
}

async fn a_leader_that_panics_releases_its_waiters(stage: Stage) {
    let cache = stage.cache();
    let first = held(&cache, "panic").await;
    let second = another(&cache).await;
    first.go.add_permits(1);
    assert!(first.task.await.unwrap_err().is_panic());
    assert_eq!(second.await.unwrap(), "second");
}

async fn a_delete_during_a_fill_wins(stage: Stage) {
    let cache = stage.cache();
    let first = held(&cache, "first").await;
    cache.delete("key").await.unwrap();
    first.go.add_permits(1);
    assert_eq!(first.task.await.unwrap(), "first", "who asked before gets what was made");
    assert_eq!(cache.get::<String>("key").await.unwrap(), None, "and nobody later");
}

async fn whatever_removes_a_value_during_a_fill_wins(stage: Stage) {
    let cache = stage.cache();
    let lists = cache.capabilities().lists;
    for way in ["delete_many", "a timeout of zero", "delete_pattern"] {
        let first = held(&cache, "first").await;
        match way {
            "delete_many" => assert_eq!(cache.delete_many(["other", "key"]).await.unwrap(), 0),
            "a timeout of zero" => cache.set("key", "set").timeout(0).await.unwrap(),
            _ if !lists => continue,
            _ => assert_eq!(cache.delete_pattern("k*").await.unwrap(), 0),
        }
        first.go.add_permits(1);
        assert_eq!(first.task.await.unwrap(), "first", "{way}");
        assert_eq!(cache.get::<String>("key").await.unwrap(), None, "{way}");
    }
}

async fn a_delete_by_another_handle_during_a_fill_wins(stage: Stage) {
    let (cache, other) = (stage.cache(), stage.other());
    let swap = cache.compare_and_set(&cache.key_of("nothing", None), b"nothing", None).await;
    // Of others, one that only this process sees knows nothing, and without leases nobody does.
    if !cache.capabilities().shared || swap.is_err_and(|error| error.kind() == ErrorKind::Unsupported) {
        return;
    }
    let first = held(&cache, "first").await;
    other.delete("key").await.unwrap();
    first.go.add_permits(1);
    assert_eq!(first.task.await.unwrap(), "first", "who asked before gets what was made");
    assert_eq!(other.get::<String>("key").await.unwrap(), None, "and nobody later");
    assert_eq!(cache.get::<String>("key").await.unwrap(), None);
}

async fn a_set_during_a_fill_wins(stage: Stage) {
    let cache = stage.cache();
    let first = held(&cache, "first").await;
    cache.set("key", "set").await.unwrap();
    first.go.add_permits(1);
    first.task.await.unwrap();
    assert_eq!(cache.get("key").await.unwrap(), Some("set".to_owned()));
}

async fn who_asks_after_an_invalidation_does_not_join_an_older_fill(stage: Stage) {
    let cache = stage.cache();
    let first = held(&cache, "first").await;
    cache.invalidate(["t"]).await.unwrap();
    let second = another(&cache).await;
    assert_eq!(second.await.unwrap(), "second", "though the first is still at it");
    first.go.add_permits(1);
    assert!(["first", "second"].contains(&&*first.task.await.unwrap()));
    assert_eq!(cache.get("key").await.unwrap(), Some("second".to_owned()), "the older fill replaces nothing");
}

async fn waiters_of_different_keys_do_not_wait_for_each_other(stage: Stage) {
    let cache = stage.cache();
    let first = held(&cache, "first").await;
    assert_eq!(cache.get_or_set("other", || async { 1 }).await.unwrap(), 1);
    assert_eq!(cache.get_or_set("key", || async { 2 }).version(2).await.unwrap(), 2);
    first.go.add_permits(1);
    assert_eq!(first.task.await.unwrap(), "first");
}
