//! What is read from L1, what costs a step, and what a copy is.

use larder_core::backplane::InProcess;
use larder_core::{Backend, Entry, ManualClock, Value, When};
use larder_memory::Memory;
use larder_tiered::Tiered;

use crate::watched::Watched;
use crate::{NEVER, cache, following, tiers};

const NOW: u64 = 1_700_000_000_000;

#[tokio::test]
async fn what_was_read_once_is_read_without_a_step_and_without_waiting() {
    let (l2, hand) = (Watched::new(), ManualClock::new(NOW));
    let tiers = following(tiers(l2.clone(), InProcess::new())).await;
    let (cache, away) = (cache(&tiers, &hand), larder_core::Cache::builder(l2.store().clone()));
    let away = away.clock(hand.clock()).build().unwrap();
    away.set("key", "value").tags(["t"]).await.unwrap();
    l2.reads();
    assert_eq!(cache.get("key").await.unwrap(), Some("value".to_owned()));
    assert_eq!((l2.reads(), l2.checks()), (1, 0));
    for _ in 0..3 {
        assert_eq!(cache.get("key").await.unwrap(), Some("value".to_owned()));
    }
    let key = larder_core::Key::value(cache.space(), 1, "key");
    assert!(matches!(cache.lookup_now(&key), Some(Some(_))));
    assert_eq!((l2.reads(), l2.checks()), (0, 0));
}

#[tokio::test]
async fn what_this_process_stores_is_checked_once_and_never_read() {
    let (l2, hand) = (Watched::new(), ManualClock::new(NOW));
    let tiers = following(tiers(l2.clone(), InProcess::new())).await;
    let cache = cache(&tiers, &hand);
    cache.set("one", "value").tags(["t"]).await.unwrap();
    l2.checks();
    l2.reads();
    for _ in 0..3 {
        assert_eq!(cache.get("one").await.unwrap(), Some("value".to_owned()));
    }
    assert_eq!((l2.reads(), l2.checks()), (0, 1));
}

#[tokio::test]
async fn a_copy_has_the_stamp_that_l2_stored_and_is_decoded_once() {
    let (l2, hand) = (Watched::new(), ManualClock::new(NOW));
    let tiers = following(tiers(l2.clone(), InProcess::new())).await;
    let cache = cache(&tiers, &hand);
    let key = cache.key_builder("test").key();
    let fill = cache.begin(&["t".into()]).await.unwrap();
    let stamp = cache.seal(&fill, &[], None).await.unwrap().unwrap();
    let entry = Entry::new(Value::Bytes("bytes".into()), None, stamp.clone());
    assert!(l2.store().set(&key, entry, When::Always, NOW).await.unwrap());
    let from_l2 = cache.lookup(std::slice::from_ref(&key)).await.unwrap().pop().flatten().unwrap();
    from_l2.decoded(|bytes| Ok(bytes.len())).unwrap();
    for _ in 0..2 {
        let copy = cache.lookup_now(&key).unwrap().unwrap();
        assert_eq!(copy.stamp(), &stamp);
        assert_eq!(*copy.decoded::<usize>(|_| panic!("it was decoded before")).unwrap(), 5);
    }
}

#[tokio::test]
async fn a_copy_lives_for_the_l1_timeout_and_no_longer_than_the_entry() {
    let (l2, hand) = (Watched::new(), ManualClock::new(NOW));
    let tiers = Tiered::builder(Memory::new(), l2.clone()).backplane(InProcess::new());
    let tiers = following(tiers.l1_timeout(10).heartbeat(NEVER).build().unwrap()).await;
    let cache = cache(&tiers, &hand);
    cache.set("long", "value").timeout(1_000).await.unwrap();
    cache.set("short", "value").timeout(5).await.unwrap();
    for key in ["long", "short"] {
        assert!(cache.has_key(key).await.unwrap());
    }
    l2.reads();
    hand.advance(std::time::Duration::from_secs(5));
    assert!(cache.has_key("long").await.unwrap());
    assert_eq!(l2.reads(), 0);
    assert!(!cache.has_key("short").await.unwrap());
    l2.reads();
    hand.advance(std::time::Duration::from_secs(5));
    assert!(cache.has_key("long").await.unwrap());
    assert_eq!(l2.reads(), 1, "its copy is too old, and the entry is not");
}

#[tokio::test]
async fn that_nothing_is_there_is_known_beside_what_is_and_not_alone() {
    let (l2, hand) = (Watched::new(), ManualClock::new(NOW));
    let tiers = following(tiers(l2.clone(), InProcess::new())).await;
    let cache = cache(&tiers, &hand);
    let keys = |names: [&str; 2]| names.map(|name| larder_core::Key::value(cache.space(), 1, name));
    cache.set("there", "value").await.unwrap();
    for (names, reads) in [(["gone", "lost"], 2), (["there", "gone"], 1)] {
        l2.reads();
        for _ in 0..2 {
            cache.lookup(&keys(names)).await.unwrap();
        }
        assert_eq!(l2.reads(), reads, "{names:?}");
    }
    cache.set("gone", "value").await.unwrap();
    assert!(cache.has_key("gone").await.unwrap(), "what was not there is noticed when it comes");
}

#[tokio::test]
async fn a_bare_integer_of_which_l2_does_not_tell_the_expiry_is_not_copied() {
    let (l2, hand) = (Watched::new(), ManualClock::new(NOW));
    let tiers = following(tiers(l2.clone(), InProcess::new())).await;
    let cache = cache(&tiers, &hand);
    let away = larder_core::Cache::builder(l2.store().clone()).clock(hand.clock()).no_timeout();
    let away = away.build().unwrap();
    away.set("integer", 42).await.unwrap();
    away.set("text", "42").await.unwrap();
    l2.reads();
    for (key, reads) in [("integer", 3), ("text", 1)] {
        for _ in 0..3 {
            assert!(cache.has_key(key).await.unwrap());
        }
        assert_eq!(l2.reads(), reads, "{key}");
    }
}

#[tokio::test]
async fn what_l1_has_no_room_for_is_read_from_l2() {
    let (l2, hand) = (Watched::new(), ManualClock::new(NOW));
    let l1 = Memory::builder().max_bytes(100_000).build().unwrap();
    let tiers = Tiered::builder(l1, l2).backplane(InProcess::new()).heartbeat(NEVER).build().unwrap();
    let cache = cache(&following(tiers).await, &hand);
    cache.set("key", "small").await.unwrap();
    assert_eq!(cache.get::<String>("key").await.unwrap().unwrap().len(), 5);
    let large = "x".repeat(200_000);
    cache.set("key", &large).await.unwrap();
    for _ in 0..2 {
        assert_eq!(cache.get::<String>("key").await.unwrap().unwrap().len(), large.len());
    }
}

#[test]
fn settings_that_cannot_be_right_are_refused_with_their_remedy() {
    let build = |builder: larder_tiered::TieredBuilder| builder.build().unwrap_err();
    let error = build(Tiered::builder(Watched::new(), Memory::new()));
    assert!(error.to_string().contains("watched") && error.to_string().contains("exchange"), "{error}");
    let error = build(Tiered::builder(Memory::new(), Watched::new()).l1_timeout(0));
    assert!(error.to_string().contains("l1_timeout"), "{error}");
    let error = build(Tiered::builder(Memory::new(), Watched::new()).heartbeat(std::time::Duration::ZERO));
    assert_eq!(error.kind(), larder_core::ErrorKind::Config);
}

/// `cargo test --release -p larder-tiered -- --ignored --nocapture nanoseconds`
#[tokio::test]
#[ignore = "reports times; there is nothing in it that fails"]
async fn the_nanoseconds_of_a_hit_in_memory_and_in_the_first_tier() {
    let tiers = following(tiers(Watched::new(), InProcess::new())).await;
    let tiers = larder_core::Cache::new(tiers);
    let memory = larder_core::Cache::new(Memory::new());
    for cache in [&memory, &tiers, &memory, &tiers] {
        let key = larder_core::Key::value(cache.space(), 1, "key");
        cache.set("key", "value").await.unwrap();
        assert!(cache.has_key("key").await.unwrap());
        let began = std::time::Instant::now();
        for _ in 0..1_000_000 {
            assert!(matches!(cache.lookup_now(&key), Some(Some(_))));
        }
        println!("{}: {} ns", cache.capabilities().name, began.elapsed().as_nanos() / 1_000_000);
    }
}

#[tokio::test]
async fn tags_that_come_and_go_leave_what_l1_is_allowed_and_no_more() {
    let l1 = Memory::builder().max_tag_records(1_000).max_entries(100).build().unwrap();
    let l2 = Memory::builder().max_tag_records(1_000).max_entries(100).build().unwrap();
    let hand = ManualClock::new(NOW);
    let tiers = Tiered::builder(l1.clone(), l2).backplane(InProcess::new()).heartbeat(NEVER).build().unwrap();
    let tiers = following(tiers).await;
    let cache = cache(&tiers, &hand);
    let mut hits = 0;
    for i in 0..20_000_u32 {
        let (key, tag) = (format!("key{i}"), format!("tag{i}"));
        cache.set(&key, i).timeout(60).tags([tag.as_str()]).await.unwrap();
        hits += u32::from(cache.get(&key).await.unwrap() == Some(i));
        if i % 2 == 0 {
            cache.invalidate([tag]).await.unwrap();
            assert_eq!(cache.get::<u32>(&key).await.unwrap(), None);
        }
        hand.advance(std::time::Duration::from_millis(1));
    }
    let stats = l1.stats();
    assert!(stats.tag_records <= 1_000 && stats.entries <= 100 && hits > 10_000, "{stats:?}, {hits}");
}
