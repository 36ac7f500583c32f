//! Values that `get_or_set` keeps beyond their timeout.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder_core::{Cache, ErrorKind, FillError, Ttl};
use tokio::sync::Semaphore;

use super::{counts, tests};
use crate::Stage;

tests! {
    beyond __mount_beyond:
    a_value_is_given_beyond_its_timeout_while_a_new_one_is_made
    only_who_asks_for_it_sees_a_value_beyond_its_timeout
    of_many_who_find_it_stale_one_makes_it_anew
    a_closure_that_fails_is_stood_in_for_until_the_window_is_over
    a_slow_closure_goes_on_behind_its_caller
    what_was_invalidated_deleted_or_cleared_is_never_given
    an_invalidation_while_it_is_made_anew_wins
    touch_gives_it_one_expiry_again
    it_is_counted_on_while_it_is_fresh_and_missing_then
    of_many_who_count_on_it_none_is_lost
}

/// Without leases: who lets one go does so beside the test, and the next in line would wait for a clock that stands.
fn cache_of(stage: &Stage) -> Cache {
    stage.builder().lease(Duration::ZERO).build().unwrap()
}

/// Counts up, and shows each number to who asks for `key` within 10 s, and for 5 s more while the next one is made.
async fn counted(cache: &Cache, runs: &Arc<AtomicUsize>) -> usize {
    let runs = Arc::clone(runs);
    let make = move || async move { runs.fetch_add(1, Ordering::SeqCst) + 1 };
    cache.get_or_set("key", make).timeout(10).stale_while_revalidate(5).tags(["t"]).await.unwrap()
}

/// Waits until `key` is made anew.
async fn until_renewed(cache: &Cache) {
    while cache.get::<usize>("key").await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn a_value_is_given_beyond_its_timeout_while_a_new_one_is_made(stage: Stage) {
    let (cache, runs) = (cache_of(&stage), Arc::default());
    assert_eq!(counted(&cache, &runs).await, 1);
    stage.advance(Duration::from_millis(9_999));
    assert_eq!(counted(&cache, &runs).await, 1);
    assert_eq!(runs.load(Ordering::SeqCst), 1, "fresh");
    stage.advance(Duration::from_millis(1));
    assert_eq!(counted(&cache, &runs).await, 1, "stale, at once");
    until_renewed(&cache).await;
    assert_eq!(counted(&cache, &runs).await, 2);
    stage.wait(15);
    let mut last = counted(&cache, &runs).await;
    // Who made what was just seen may not be done with it, and whoever comes meanwhile is given the same.
    for _ in 0..1_000 {
        if last != 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        last = counted(&cache, &runs).await;
    }
    assert_eq!(last, 3, "the window is over");
}

async fn only_who_asks_for_it_sees_a_value_beyond_its_timeout(stage: Stage) {
    let (cache, runs) = (cache_of(&stage), Arc::default());
    counted(&cache, &runs).await;
    assert!(matches!(cache.ttl("key").await.unwrap(), Ttl::Left(left) if left <= Duration::from_secs(10)));
    assert_eq!(cache.get("key").await.unwrap(), Some(1));
    stage.wait(10);
    assert_eq!(cache.get::<usize>("key").await.unwrap(), None);
    assert!(!cache.has_key("key").await.unwrap());
    assert_eq!(cache.ttl("key").await.unwrap(), Ttl::Missing);
    assert!(cache.get_many::<usize, _>(["key"]).await.unwrap().is_empty());
    assert_eq!(cache.get_or_set("key", || async { 7 }).timeout(10).await.unwrap(), 7, "no windows, no mercy");
    assert_eq!(cache.get("key").await.unwrap(), Some(7), "and it is stored");
    cache.delete("key").await.unwrap();
    counted(&cache, &runs).await;
    stage.wait(10);
    assert!(cache.add("key", 9).await.unwrap(), "nothing is there");
    assert_eq!(cache.get("key").await.unwrap(), Some(9));
}

async fn of_many_who_find_it_stale_one_makes_it_anew(stage: Stage) {
    let (cache, runs) = (cache_of(&stage), Arc::new(AtomicUsize::new(0)));
    counted(&cache, &runs).await;
    stage.wait(10);
    let gate = Arc::new(Semaphore::new(0));
    for _ in 0..20 {
        let (runs, gate) = (Arc::clone(&runs), Arc::clone(&gate));
        let make = move || async move {
            gate.acquire().await.unwrap().forget();
            runs.fetch_add(1, Ordering::SeqCst) + 1
        };
        let value = cache.get_or_set("key", make).timeout(10).stale_while_revalidate(5).await.unwrap();
        assert_eq!(value, 1);
    }
    gate.add_permits(20);
    until_renewed(&cache).await;
    assert_eq!((cache.get("key").await.unwrap(), runs.load(Ordering::SeqCst)), (Some(2), 2));
}

async fn a_closure_that_fails_is_stood_in_for_until_the_window_is_over(stage: Stage) {
    let cache = cache_of(&stage);
    let ask = |made: Result<u8, &'static str>| {
        let cache = cache.clone();
        async move { cache.try_get_or_set("key", || async move { made }).timeout(10).stale_if_error(20).await }
    };
    assert_eq!(ask(Ok(1)).await.unwrap(), 1);
    stage.advance(Duration::from_millis(29_999));
    assert_eq!(ask(Err("down")).await.unwrap(), 1);
    stage.advance(Duration::from_millis(1));
    assert!(matches!(ask(Err("down")).await, Err(FillError::Fill("down"))));
    assert_eq!(ask(Ok(2)).await.unwrap(), 2);
    stage.wait(12);
    assert_eq!(ask(Ok(3)).await.unwrap(), 3, "it is asked first");
}

async fn a_slow_closure_goes_on_behind_its_caller(stage: Stage) {
    let (cache, gate) = (cache_of(&stage), Arc::new(Semaphore::new(1)));
    let ask = |value: usize| {
        let (cache, gate) = (cache.clone(), Arc::clone(&gate));
        tokio::spawn(async move {
            let make = move || async move {
                gate.acquire().await.unwrap().forget();
                Ok::<_, &'static str>(value)
            };
            let soft = Duration::from_secs(2);
            let asked = cache.try_get_or_set("key", make).timeout(10).stale_if_error(60);
            asked.soft_timeout(soft).await.unwrap()
        })
    };
    assert_eq!(ask(1).await.unwrap(), 1);
    stage.wait(10);
    let mut caller = ask(2);
    loop {
        tokio::select! {
            shown = &mut caller => {
                assert_eq!(shown.unwrap(), 1, "it took too long");
                break;
            }
            // The caller may not have come to wait yet.
            () = tokio::time::sleep(Duration::from_millis(5)) => stage.advance(Duration::from_secs(2)),
        }
    }
    gate.add_permits(1);
    until_renewed(&cache).await;
    assert_eq!(cache.get("key").await.unwrap(), Some(2), "it went on");
}

async fn what_was_invalidated_deleted_or_cleared_is_never_given(stage: Stage) {
    let (cache, runs) = (cache_of(&stage), Arc::new(AtomicUsize::new(0)));
    for way in 0..4 {
        let made = counted(&cache, &runs).await;
        stage.wait(10);
        match way {
            0 => cache.invalidate(["t"]).await.unwrap(),
            1 => _ = cache.delete("key").await.unwrap(),
            2 => cache.clear().await.unwrap(),
            _ => {
                cache.set("key", 0).timeout(1).await.unwrap();
                stage.wait(1);
            }
        }
        assert_eq!(counted(&cache, &runs).await, made + 1, "{way}");
        cache.delete("key").await.unwrap();
    }
}

async fn an_invalidation_while_it_is_made_anew_wins(stage: Stage) {
    let (cache, begun, gate) = (cache_of(&stage), Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    counted(&cache, &Arc::default()).await;
    stage.wait(10);
    let make = {
        let (begun, gate) = (Arc::clone(&begun), Arc::clone(&gate));
        move || async move {
            begun.add_permits(1);
            gate.acquire().await.unwrap().forget();
            2
        }
    };
    let asked = cache.get_or_set("key", make).timeout(10).stale_while_revalidate(5).tags(["t"]);
    assert_eq!(asked.await.unwrap(), 1);
    begun.acquire().await.unwrap().forget();
    cache.invalidate(["t"]).await.unwrap();
    gate.add_permits(1);
    let made = cache.get_or_set("key", || async { 3 }).timeout(10).stale_while_revalidate(5).tags(["t"]);
    assert_eq!(made.await.unwrap(), 3);
    assert_eq!(cache.get("key").await.unwrap(), Some(3), "what was begun before does not come back");
}

async fn touch_gives_it_one_expiry_again(stage: Stage) {
    let (cache, runs) = (cache_of(&stage), Arc::default());
    counted(&cache, &runs).await;
    assert!(cache.touch("key").timeout(100).await.unwrap());
    stage.wait(99);
    assert_eq!(cache.get("key").await.unwrap(), Some(1));
    stage.wait(1);
    assert!(!cache.touch("key").timeout(100).await.unwrap());
    assert_eq!(counted(&cache, &runs).await, 2);
}

/// Whether it counts, and compares: without both, values that are kept beyond their timeout are not counted on.
async fn counts_beyond(stage: &Stage) -> bool {
    if !counts(stage).await {
        return false;
    }
    let cache = cache_of(stage);
    counted(&cache, &Arc::default()).await;
    let done = cache.incr("key", 1).await;
    cache.delete("key").await.unwrap();
    !done.is_err_and(|error| error.kind() == ErrorKind::Unsupported)
}

async fn it_is_counted_on_while_it_is_fresh_and_missing_then(stage: Stage) {
    if !counts_beyond(&stage).await {
        return;
    }
    let (cache, runs) = (cache_of(&stage), Arc::default());
    assert_eq!(counted(&cache, &runs).await, 1);
    assert_eq!(cache.incr("key", 5).await.unwrap(), 6);
    assert_eq!(cache.decr("key", 2).ignore_key_check(true).await.unwrap(), 4);
    assert_eq!(cache.incr("key", i64::MAX).await.unwrap_err().kind(), ErrorKind::Value);
    assert_eq!(cache.get("key").await.unwrap(), Some(4));
    assert!(matches!(cache.ttl("key").await.unwrap(), Ttl::Left(left) if left <= Duration::from_secs(10)));
    stage.wait(10);
    assert_eq!(cache.get::<usize>("key").await.unwrap(), None, "its expiry stays");
    assert_eq!(cache.incr("key", 1).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(counted(&cache, &runs).await, 4, "and so does its window");
    until_renewed(&cache).await;
    assert_eq!(cache.incr("key", 1).await.unwrap(), 3);
    cache.invalidate(["t"]).await.unwrap();
    assert_eq!(cache.incr("key", 1).await.unwrap_err().kind(), ErrorKind::NotFound, "invalidated");
    counted(&cache, &runs).await;
    stage.wait(10);
    assert_eq!(cache.incr("key", 10).ignore_key_check(true).await.unwrap(), 10, "from the beginning");
    assert_eq!(cache.get("key").await.unwrap(), Some(10));
    let text = cache.get_or_set("text", || async { "x".to_owned() }).timeout(10).stale_while_revalidate(5);
    assert_eq!(text.await.unwrap(), "x");
    assert_eq!(cache.incr("text", 1).await.unwrap_err().kind(), ErrorKind::Value);
}

async fn of_many_who_count_on_it_none_is_lost(stage: Stage) {
    if !counts_beyond(&stage).await {
        return;
    }
    let cache = cache_of(&stage);
    counted(&cache, &Arc::default()).await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move {
                for _ in 0..5 {
                    cache.incr("key", 1).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(cache.get("key").await.unwrap(), Some(41));
}
