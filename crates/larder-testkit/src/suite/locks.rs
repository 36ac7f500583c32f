//! Locks: DR-19, and what is promised beyond.

use std::future::IntoFuture;
use std::time::Duration;

use larder_core::{Cache, ErrorKind, Lock, Timeout};

use crate::Stage;
use crate::suite::tests;

tests! { locks __mount_locks:
    dr_19_a_lock_is_held_once_until_it_is_released
    dr_19_releasing_what_is_gone_is_not_found_and_what_is_anothers_is_not_owned
    a_lock_expires_by_itself_and_later_if_extended
    a_lock_may_last_for_ever_and_never_no_time
    who_waits_gets_the_lock_when_it_is_let_go
    who_waits_gets_the_lock_when_it_expires
    who_waited_long_enough_is_told_that_it_is_busy
    of_many_who_want_one_lock_one_has_it_at_a_time
    a_lock_is_neither_a_value_nor_taken_by_clear_or_an_invalidation
    another_name_version_or_prefix_is_another_lock
    dropping_a_lock_leaves_it_to_expire
    another_process_sees_the_lock
}

/// Tries; nothing where the backend can't do locks: then it must have said so, before anything was locked.
async fn try_lock(cache: &Cache, name: &str) -> Option<Option<Lock>> {
    match cache.lock(name).timeout(30).try_acquire().await {
        Ok(taken) => Some(taken),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert_eq!(cache.lock(name).await.unwrap_err().kind(), ErrorKind::Unsupported);
            None
        }
    }
}

macro_rules! or_unsupported {
    ($tried:expr) => {
        match $tried {
            Some(taken) => taken.unwrap(),
            None => return,
        }
    };
}

async fn dr_19_a_lock_is_held_once_until_it_is_released(stage: Stage) {
    let cache = stage.cache();
    let lock = or_unsupported!(try_lock(&cache, "foobar").await);
    assert!(cache.lock("foobar").try_acquire().await.unwrap().is_none());
    lock.release().await.unwrap();
    let again = cache.lock("foobar").try_acquire().await.unwrap().unwrap();
    assert!(cache.lock("foobar").try_acquire().await.unwrap().is_none());
    again.release().await.unwrap();
}

async fn dr_19_releasing_what_is_gone_is_not_found_and_what_is_anothers_is_not_owned(stage: Stage) {
    let cache = stage.cache();
    let lock = or_unsupported!(try_lock(&cache, "foobar").await);
    lock.release().await.unwrap();
    assert_eq!(lock.release().await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(lock.extend(5).await.unwrap_err().kind(), ErrorKind::NotFound);
    let slow = cache.lock("foobar").timeout(5).await.unwrap();
    stage.wait(5);
    assert_eq!(slow.release().await.unwrap_err().kind(), ErrorKind::NotFound);
    let next = cache.lock("foobar").try_acquire().await.unwrap().unwrap();
    assert_eq!(slow.release().await.unwrap_err().kind(), ErrorKind::NotOwned);
    assert_eq!(slow.extend(100).await.unwrap_err().kind(), ErrorKind::NotOwned);
    next.release().await.unwrap();
}

async fn a_lock_expires_by_itself_and_later_if_extended(stage: Stage) {
    let cache = stage.cache();
    let lock = or_unsupported!(try_lock(&cache, "lock").await);
    stage.wait(29);
    lock.extend(10).await.unwrap();
    stage.wait(9);
    assert!(cache.lock("lock").try_acquire().await.unwrap().is_none());
    lock.extend(1).await.unwrap();
    stage.wait(1);
    let other = cache.lock("lock").try_acquire().await.unwrap();
    assert!(other.is_some(), "counted from the last extension, also if that is sooner");
    let unsaid = cache.lock("unsaid").try_acquire().await.unwrap().unwrap();
    stage.wait(59);
    assert!(cache.lock("unsaid").try_acquire().await.unwrap().is_none());
    stage.wait(1);
    assert_eq!(unsaid.release().await.unwrap_err().kind(), ErrorKind::NotFound, "60 s unless said otherwise");
}

async fn a_lock_may_last_for_ever_and_never_no_time(stage: Stage) {
    let cache = stage.cache();
    let lock = or_unsupported!(try_lock(&cache, "lock").await);
    assert_eq!(lock.extend(0).await.unwrap_err().kind(), ErrorKind::Config);
    lock.extend(Timeout::FOREVER).await.unwrap();
    stage.wait(100 * 86_400);
    assert!(cache.lock("lock").try_acquire().await.unwrap().is_none());
    lock.release().await.unwrap();
    assert_eq!(cache.lock("lock").timeout(0).await.unwrap_err().kind(), ErrorKind::Config);
    assert!(cache.lock("lock").try_acquire().await.unwrap().is_some());
}

/// Moves the clock on, a little each time, until the task has ended.
async fn until_ended<T>(stage: &Stage, task: tokio::task::JoinHandle<T>) -> T {
    while !task.is_finished() {
        stage.advance(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    task.await.unwrap()
}

fn waiting(cache: &Cache, max_wait: Duration) -> tokio::task::JoinHandle<Result<Lock, larder_core::Error>> {
    let cache = cache.clone();
    tokio::spawn(async move { cache.lock("lock").blocking(max_wait).into_future().await })
}

async fn who_waits_gets_the_lock_when_it_is_let_go(stage: Stage) {
    let cache = stage.cache();
    let lock = or_unsupported!(try_lock(&cache, "lock").await);
    let waiter = waiting(&cache, Duration::from_secs(86_400));
    stage.advance(Duration::from_secs(5));
    tokio::task::yield_now().await;
    assert!(!waiter.is_finished());
    lock.release().await.unwrap();
    let theirs = until_ended(&stage, waiter).await.unwrap();
    assert!(cache.lock("lock").try_acquire().await.unwrap().is_none());
    theirs.release().await.unwrap();
}

async fn who_waits_gets_the_lock_when_it_expires(stage: Stage) {
    let cache = stage.cache();
    let lock = or_unsupported!(try_lock(&cache, "lock").await);
    let began = stage.hand().now();
    let theirs = until_ended(&stage, waiting(&cache, Duration::from_secs(86_400))).await.unwrap();
    assert!(stage.hand().now() >= began + 30_000);
    assert_eq!(lock.release().await.unwrap_err().kind(), ErrorKind::NotOwned);
    theirs.release().await.unwrap();
}

async fn who_waited_long_enough_is_told_that_it_is_busy(stage: Stage) {
    let cache = stage.cache();
    let lock = or_unsupported!(try_lock(&cache, "lock").await);
    let error = cache.lock("lock").blocking(Duration::ZERO).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    let began = stage.hand().now();
    let error = until_ended(&stage, waiting(&cache, Duration::from_secs(3))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(stage.hand().now() >= began + 3_000);
    lock.release().await.unwrap();
}

async fn of_many_who_want_one_lock_one_has_it_at_a_time(stage: Stage) {
    let cache = stage.cache();
    or_unsupported!(try_lock(&cache, "lock").await).release().await.unwrap();
    cache.set("inside", 0).await.unwrap();
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let (cache, forever) = (cache.clone(), Duration::from_secs(86_400 * 365));
            tokio::spawn(async move {
                for _ in 0..3 {
                    let lock = cache.lock("lock").timeout(Timeout::FOREVER).blocking(forever).await.unwrap();
                    let seen: i32 = cache.get("inside").await.unwrap().unwrap();
                    tokio::task::yield_now().await;
                    cache.set("inside", seen + 1).timeout(Timeout::FOREVER).await.unwrap();
                    lock.release().await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        until_ended(&stage, task).await;
    }
    assert_eq!(cache.get("inside").await.unwrap(), Some(18));
}

async fn a_lock_is_neither_a_value_nor_taken_by_clear_or_an_invalidation(stage: Stage) {
    let cache = stage.builder().key_prefix("shop").build().unwrap();
    let lock = or_unsupported!(try_lock(&cache, "key").await);
    assert!(!cache.has_key("key").await.unwrap());
    cache.set("key", 1).tags(["t"]).await.unwrap();
    cache.invalidate(["t", "key"]).await.unwrap();
    cache.clear().await.unwrap();
    cache.delete("key").await.unwrap();
    if cache.capabilities().lists {
        assert!(cache.keys("*").await.unwrap().is_empty());
    }
    assert!(cache.lock("key").try_acquire().await.unwrap().is_none());
    lock.extend(5).await.unwrap();
    lock.release().await.unwrap();
}

async fn another_name_version_or_prefix_is_another_lock(stage: Stage) {
    let cache = stage.cache();
    let _lock = or_unsupported!(try_lock(&cache, "lock").await);
    let shop = stage.builder().key_prefix("shop").build().unwrap();
    let second = stage.builder().version(2).build().unwrap();
    assert!(cache.lock("other").try_acquire().await.unwrap().is_some());
    assert!(shop.lock("lock").try_acquire().await.unwrap().is_some());
    assert!(cache.lock("lock").version(2).try_acquire().await.unwrap().is_some());
    assert!(second.lock("lock").try_acquire().await.unwrap().is_none());
    assert!(second.lock("lock").version(1).try_acquire().await.unwrap().is_none());
}

async fn dropping_a_lock_leaves_it_to_expire(stage: Stage) {
    let cache = stage.cache();
    drop(or_unsupported!(try_lock(&cache, "lock").await));
    assert!(cache.lock("lock").try_acquire().await.unwrap().is_none());
    stage.wait(30);
    assert!(cache.lock("lock").try_acquire().await.unwrap().is_some());
}

async fn another_process_sees_the_lock(stage: Stage) {
    let (one, two) = (stage.cache(), stage.other());
    let lock = or_unsupported!(try_lock(&one, "lock").await);
    assert!(two.lock("lock").try_acquire().await.unwrap().is_none());
    lock.release().await.unwrap();
    let theirs = two.lock("lock").try_acquire().await.unwrap().unwrap();
    assert_eq!(lock.release().await.unwrap_err().kind(), ErrorKind::NotOwned);
    theirs.release().await.unwrap();
}
