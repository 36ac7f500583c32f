//! How much it holds, and what it lets go of.

use std::time::Duration;

use larder_core::{Backend, Cache, ErrorKind, ManualClock, When};
use larder_memory::Memory;
use proptest::prelude::*;

use crate::traces::{Dice, Zipf};
use crate::{entry, key, now};

fn put(memory: &Memory, i: usize, bytes: usize) -> Result<bool, larder_core::Error> {
    now(memory.set(&key(i), entry(bytes, None), When::Always, 1))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn neither_bound_is_ever_passed(
        max_bytes in 20_000u64..400_000,
        max_entries in 1u64..300,
        work in proptest::collection::vec((0usize..400, 0usize..6_000, any::<bool>()), 1..600),
    ) {
        let memory = Memory::builder().max_bytes(max_bytes).max_entries(max_entries).build().unwrap();
        for (i, bytes, remove) in work {
            if remove {
                now(memory.remove(&key(i), 1)).unwrap();
            } else {
                prop_assert!(put(&memory, i, bytes).unwrap());
            }
            let stats = memory.stats();
            prop_assert!(stats.entries <= max_entries, "{stats:?} of {max_entries}");
            prop_assert!(stats.bytes <= max_bytes, "{stats:?} of {max_bytes}");
        }
    }
}

#[test]
fn the_bounds_hold_with_many_shards_and_most_of_the_room_is_used() {
    let memory = Memory::builder().max_bytes(256 << 20).max_entries(20_000).build().unwrap();
    for i in 0..60_000 {
        put(&memory, i, 10).unwrap();
    }
    let stats = memory.stats();
    assert!((19_000..=20_000).contains(&stats.entries), "{stats:?}");
    assert_eq!(stats.evictions + stats.entries, 60_000);

    let memory = Memory::builder().max_bytes(64 << 20).build().unwrap();
    for i in 0..20_000 {
        put(&memory, i, 8_000).unwrap();
    }
    let stats = memory.stats();
    assert!((60 << 20..=64 << 20).contains(&stats.bytes), "{stats:?}");
}

#[test]
fn small_stores_hold_as_many_entries_as_they_say() {
    for most in [1, 2, 9, 30, 100] {
        let memory = Memory::builder().max_entries(most).build().unwrap();
        for i in 0..3 * most as usize {
            assert!(put(&memory, i, 10).unwrap());
        }
        assert_eq!(memory.stats().entries, most);
    }
}

#[test]
fn an_eighth_of_the_bound_fits_as_one_entry_and_what_does_not_fit_leaves_nothing_old() {
    for bound in [1 << 10, 64 << 10, 1 << 20, 100 << 20, 256 << 20] {
        let memory = Memory::builder().max_bytes(bound).build().unwrap();
        let most = memory.max_entry_bytes();
        assert!(most >= (bound / 8).min(15 << 20) && most <= bound, "{most} of {bound}");
        // Between other entries, not only into an empty store.
        for i in 0..2_000 {
            put(&memory, i, 100).unwrap();
        }
        let fits = most as usize - 500;
        put(&memory, 0, fits).unwrap();
        assert!(now(memory.get(&key(0), 1)).unwrap().is_some(), "{fits} bytes in {bound}");
        let error = put(&memory, 0, most as usize).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(now(memory.get(&key(0), 1)).unwrap().is_none(), "the old value must not be served");
    }
}

#[test]
fn the_hit_ratio_under_skew_comes_close_to_the_best_there_is() {
    // 100,000 keys asked for by Zipf's law, room for a tenth of them. Keeping the most popular tenth for ever would
    // answer 81 % of the requests.
    let memory = Memory::builder().max_entries(10_000).build().unwrap();
    let (zipf, mut dice) = (Zipf::new(100_000, 1.0), Dice(0x9e37_79b9_7f4a_7c15));
    let (mut hits, mut asked) = (0u32, 0u32);
    for round in 0..600_000 {
        let i = zipf.draw(&mut dice);
        let hit = now(memory.get(&key(i), 1)).unwrap().is_some();
        if !hit {
            put(&memory, i, 20).unwrap();
        }
        if round >= 100_000 {
            asked += 1;
            hits += u32::from(hit);
        }
    }
    let ratio = f64::from(hits) / f64::from(asked);
    let best = zipf.0[9_999] / zipf.0[99_999];
    assert!(ratio > 0.97 * best, "hit ratio {ratio} of {best}");
    let stats = memory.stats();
    assert_eq!(stats.hits + stats.misses, 600_000);
}

#[test]
fn a_scan_over_many_keys_does_not_push_out_what_is_asked_for() {
    let memory = Memory::builder().max_entries(1_000).build().unwrap();
    let ask = |i: usize| {
        let hit = now(memory.get(&key(i), 1)).unwrap().is_some();
        if !hit {
            put(&memory, i, 20).unwrap();
        }
        hit
    };
    for _ in 0..5 {
        (0..500).for_each(|i| _ = ask(i));
    }
    for i in 10_000..30_000 {
        ask(i);
    }
    let kept = (0..500).filter(|i| now(memory.get(&key(*i), 1)).unwrap().is_some()).count();
    assert!(kept > 450, "{kept} of 500 are left");
}

#[test]
fn what_expired_and_is_never_read_again_is_swept_by_later_writes() {
    let memory = Memory::new();
    for i in 0..1_000 {
        now(memory.set(&key(i), entry(10, Some(50_000)), When::Always, 1)).unwrap();
    }
    now(memory.set(&key(5_000), entry(10, Some(90_000)), When::Always, 49_999)).unwrap();
    assert_eq!(memory.stats().entries, 1_001, "nothing has expired");
    now(memory.set(&key(5_001), entry(10, None), When::Always, 50_000)).unwrap();
    assert_eq!(memory.stats().entries, 2);
    // The next one is not forgotten, and a clock that was set back does not stop it.
    now(memory.set(&key(5_001), entry(10, None), When::Always, 100_000)).unwrap();
    assert_eq!(memory.stats().entries, 1);
    now(memory.set(&key(7), entry(10, Some(20)), When::Always, 10)).unwrap();
    now(memory.set(&key(8), entry(10, None), When::Always, 21)).unwrap();
    now(memory.set(&key(9), entry(10, None), When::Always, 31_000)).unwrap();
    assert_eq!(memory.stats().entries, 3);
}

#[test]
fn an_expired_entry_is_removed_when_it_is_read() {
    let memory = Memory::new();
    now(memory.set(&key(1), entry(10, Some(5)), When::Always, 1)).unwrap();
    assert!(memory.get_now(&key(1), 4).unwrap().is_some());
    assert!(memory.get_now(&key(1), 5).unwrap().is_none());
    assert_eq!(memory.stats().entries, 0);
}

#[tokio::test]
async fn a_million_tags_that_come_and_go_leave_what_is_allowed_and_no_more() {
    let memory = Memory::builder().max_tag_records(1_000).build().unwrap();
    let hand = ManualClock::new(1_763_683_200_000);
    let cache = Cache::builder(memory.clone()).clock(hand.clock()).build().unwrap();
    for i in 0..1_000_000_u32 {
        let tag = format!("tag{i}");
        if i % 10 == 0 {
            cache.set(&format!("key{}", i % 100), i).timeout(60).tags([tag.as_str()]).await.unwrap();
        }
        cache.invalidate([tag]).await.unwrap();
        hand.advance(Duration::from_millis(1));
    }
    let stats = memory.stats();
    assert!(stats.tag_records <= 1_000, "{stats:?}");
    assert!(stats.entries <= 10, "{stats:?}");
    cache.set("key", 7).tags(["tag3"]).await.unwrap();
    assert_eq!(cache.get("key").await.unwrap(), Some(7), "and what is made now counts");
    cache.clear().await.unwrap();
    assert_eq!(memory.stats().entries, 0);
}
