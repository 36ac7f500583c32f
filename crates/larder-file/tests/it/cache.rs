//! Under the low-level cache: a runtime, a clock, tags.

use std::future::IntoFuture;
use std::time::Duration;

use larder_core::{Backend, Cache, ManualClock};
use larder_file::FileCache;

use crate::{entries, fresh};

fn over(files: &FileCache, hand: &ManualClock, prefix: &str) -> Cache {
    let cache = Cache::builder(files.clone()).clock(hand.clock()).key_prefix(prefix);
    cache.deadline(Duration::from_secs(60)).build().unwrap()
}

#[tokio::test]
async fn what_expired_on_the_caches_clock_is_gone() {
    let ((_parent, files), hand) = (fresh(), ManualClock::new(1_000_000));
    let cache = over(&files, &hand, "");
    cache.set("k", "v").timeout(10).await.unwrap();
    hand.advance(Duration::from_millis(9_999));
    assert_eq!(cache.get("k").await.unwrap(), Some("v".to_owned()));
    hand.advance(Duration::from_millis(1));
    assert_eq!(cache.get::<String>("k").await.unwrap(), None);
    assert_eq!(entries(&files).len(), 0);
}

#[tokio::test]
async fn tags_and_clear_reach_other_handles_and_stay_in_their_namespace() {
    let ((_parent, files), hand) = (fresh(), ManualClock::new(1_000_000));
    let other = FileCache::builder(files.directory()).build().unwrap();
    let (one, two) = (over(&files, &hand, "shop"), over(&other, &hand, "shop"));
    let beside = over(&other, &hand, "blog");
    let fill = || async {
        for cache in [&one, &beside] {
            cache.set("tagged", 1).tags(["t"]).await.unwrap();
            cache.set("untagged", 2).await.unwrap();
        }
    };
    let seen = |cache: Cache| async move {
        let found = cache.get_many::<u8, _>(["tagged", "untagged"]).await.unwrap();
        (found.contains_key("tagged"), found.contains_key("untagged"))
    };
    fill().await;
    assert_eq!(seen(two.clone()).await, (true, true));
    two.invalidate(["t"]).await.unwrap();
    assert_eq!(seen(one.clone()).await, (false, true));
    assert_eq!(seen(beside.clone()).await, (true, true));
    fill().await;
    two.clear().await.unwrap();
    assert_eq!(seen(one.clone()).await, (false, false));
    assert_eq!(seen(beside.clone()).await, (true, true));
    fill().await;
    assert_eq!(seen(two.clone()).await, (true, true), "a cleared namespace works on");
}

#[tokio::test]
async fn a_fill_that_began_before_a_clear_is_never_served() {
    let ((_parent, files), hand) = (fresh(), ManualClock::new(1_000_000));
    let cache = over(&files, &hand, "");
    let space = cache.space().clone();
    let fill = files.begin(&space, &["t".into()], hand.now()).await.unwrap();
    cache.clear().await.unwrap();
    if let Some(stamp) = files.seal(&space, &fill, &[], None, hand.now()).await.unwrap() {
        assert!(!files.is_current(&space, &stamp, hand.now()).await.unwrap());
    }
    let fill = files.begin(&space, &[], hand.now()).await.unwrap();
    cache.clear().await.unwrap();
    let stamp = files.seal(&space, &fill, &[], None, hand.now()).await.unwrap().unwrap();
    assert!(!files.is_current(&space, &stamp, hand.now()).await.unwrap());
}

#[tokio::test]
async fn a_dropped_call_leaves_the_old_value_or_the_new_one() {
    let ((_parent, files), hand) = (fresh(), ManualClock::new(1_000_000));
    let cache = over(&files, &hand, "");
    let (old, new) = ("a".repeat(100_000), "b".repeat(100_000));
    cache.set("k", &old).await.unwrap();
    for _ in 0..20 {
        let set = cache.set("k", &new).into_future();
        drop(polled_once(set).await);
        let found: String = cache.get("k").await.unwrap().expect("it was never removed");
        assert!(found == old || found == new);
    }
}

/// Polls once and gives the future back, to be dropped.
async fn polled_once<F: Future + Unpin>(mut future: F) -> F {
    std::future::poll_fn(|context| {
        _ = std::pin::Pin::new(&mut future).poll(context);
        std::task::Poll::Ready(())
    })
    .await;
    future
}
