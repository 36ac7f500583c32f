//! L2 is down, and back.

use larder_core::backplane::InProcess;
use larder_core::{Backend, ErrorKind, ManualClock, Space};

use crate::held::Held;
use crate::watched::Watched;
use crate::{cache, following, settled, tiers};

const NOW: u64 = 1_700_000_000_000;

#[tokio::test]
async fn while_l2_is_down_l1_serves_what_it_has_and_changes_fail() {
    let (l2, hand) = (Watched::new(), ManualClock::new(NOW));
    let tiers = following(tiers(l2.clone(), InProcess::new())).await;
    let cache = cache(&tiers, &hand);
    cache.set("key", "value").timeout(600).tags(["t"]).await.unwrap();
    assert!(cache.has_key("key").await.unwrap());
    l2.set_down(true);
    assert!(tiers.compare().await.is_err());
    assert_eq!(cache.get::<String>("key").await.unwrap().as_deref(), Some("value"));
    let kind = |error: larder_core::Error| error.kind();
    assert_eq!(cache.get::<String>("other").await.map_err(kind), Err(ErrorKind::Unavailable));
    assert_eq!(cache.set("new", "value").await.map_err(kind), Err(ErrorKind::Unavailable));
    hand.advance(std::time::Duration::from_secs(60));
    assert_eq!(cache.get::<String>("key").await.map_err(kind), Err(ErrorKind::Unavailable), "too old for L1");
    l2.set_down(false);
    assert_eq!(cache.get::<String>("key").await.unwrap().as_deref(), Some("value"));
}

#[tokio::test]
async fn an_invalidation_that_failed_counts_here_and_there_since_nobody_knows() {
    let (l2, hand, held) = (Watched::new(), ManualClock::new(NOW), Held::default());
    let one = cache(&following(tiers(l2.clone(), held.clone())).await, &hand);
    let two = cache(&following(tiers(l2.clone(), held.clone())).await, &hand);
    one.set("key", "value").tags(["t"]).await.unwrap();
    held.deliver_all();
    settled().await;
    for cache in [&one, &two] {
        assert!(cache.has_key("key").await.unwrap());
    }
    l2.set_down(true);
    assert!(one.invalidate(["t"]).await.is_err());
    held.deliver_all();
    settled().await;
    for cache in [&one, &two] {
        assert!(cache.get::<String>("key").await.is_err(), "no copy is left to be served");
    }
    l2.set_down(false);
    for cache in [&one, &two] {
        assert!(cache.has_key("key").await.unwrap(), "it did not happen");
    }
}

#[tokio::test]
async fn a_store_that_comes_back_as_another_one_is_compared_before_copies_are_served_again() {
    let (l2, hand) = (Watched::new(), ManualClock::new(NOW));
    let tiers = following(tiers(l2.clone(), InProcess::new())).await;
    let cache = cache(&tiers, &hand);
    cache.set("key", "value").await.unwrap();
    for _ in 0..4 {
        tiers.compare().await.unwrap();
        assert!(cache.has_key("key").await.unwrap());
    }
    l2.set_down(true);
    // Meanwhile it lost all, and has another namespace record.
    l2.store().clear(&Space::default(), NOW).await.unwrap();
    assert!(cache.has_key("key").await.unwrap());
    l2.set_down(false);
    tiers.compare().await.unwrap();
    assert!(!cache.has_key("key").await.unwrap());
}
