//! Forgotten is forgotten: every way by which a copy might bring back what was invalidated.

use larder_core::backplane::InProcess;
use larder_core::{Backend, Cache, Entry, Key, ManualClock, Value, When};

use crate::held::Held;
use crate::watched::Watched;
use crate::{cache, following, settled, tiers};

const NOW: u64 = 1_700_000_000_000;

fn key() -> Key {
    Key::value(&larder_core::Space::default(), 1, "key")
}

fn away(l2: &Watched, hand: &ManualClock) -> Cache {
    Cache::builder(l2.store().clone()).clock(hand.clock()).build().unwrap()
}

async fn get(cache: &Cache) -> Option<String> {
    cache.get("key").await.unwrap()
}

#[tokio::test]
async fn an_invalidation_while_a_copy_is_on_its_way_from_l2_wins() {
    for what in ["invalidate", "clear", "set", "delete", "touch"] {
        let (l2, hand) = (Watched::new(), ManualClock::new(NOW));
        let tiers = following(tiers(l2.clone(), InProcess::new())).await;
        let cache = cache(&tiers, &hand);
        away(&l2, &hand).set("key", "old").tags(["t"]).await.unwrap();
        l2.hold_reads(true);
        let reading = tokio::spawn({
            let cache = cache.clone();
            async move { get(&cache).await }
        });
        settled().await;
        match what {
            "invalidate" => cache.invalidate(["t"]).await.unwrap(),
            "clear" => cache.clear().await.unwrap(),
            "set" => cache.set("key", "new").await.unwrap(),
            "delete" => assert!(cache.delete("key").await.unwrap()),
            _ => assert!(tiers.touch(&key(), Some(NOW), NOW).await.unwrap()),
        }
        l2.hold_reads(false);
        l2.let_read_go();
        // It began before, so it may see either.
        reading.await.unwrap();
        let now = get(&cache).await;
        assert_eq!(now.as_deref(), (what == "set").then_some("new"), "{what}");
    }
}

#[tokio::test]
async fn a_message_while_a_copy_is_on_its_way_from_l2_wins() {
    for what in ["invalidate", "clear", "set", "delete"] {
        let (l2, hand, held) = (Watched::new(), ManualClock::new(NOW), Held::default());
        let one = cache(&following(tiers(l2.clone(), held.clone())).await, &hand);
        let two = cache(&following(tiers(l2.clone(), held.clone())).await, &hand);
        away(&l2, &hand).set("key", "old").tags(["t"]).await.unwrap();
        // L1 of the first knows the namespace already.
        assert_eq!(get(&one).await.as_deref(), Some("old"));
        away(&l2, &hand).set("key", "older").tags(["t"]).await.unwrap();
        two.delete("other").await.unwrap();
        held.deliver_all();
        settled().await;
        hand.advance(std::time::Duration::from_secs(60));
        l2.hold_reads(true);
        let reading = tokio::spawn({
            let one = one.clone();
            async move { get(&one).await }
        });
        settled().await;
        match what {
            "invalidate" => two.invalidate(["t"]).await.unwrap(),
            "clear" => two.clear().await.unwrap(),
            "set" => two.set("key", "new").await.unwrap(),
            _ => assert!(two.delete("key").await.unwrap()),
        }
        held.deliver_all();
        settled().await;
        l2.hold_reads(false);
        l2.let_read_go();
        assert_eq!(reading.await.unwrap().as_deref(), Some("older"), "it was read before");
        let now = get(&one).await;
        assert_eq!(now.as_deref(), (what == "set").then_some("new"), "{what}");
    }
}

#[tokio::test]
async fn what_was_filled_before_an_invalidation_and_stored_after_it_is_not_served_from_l1() {
    for late in [false, true] {
        let (l2, hand) = (Watched::new(), ManualClock::new(NOW));
        let tiers = following(tiers(l2.clone(), InProcess::new())).await;
        let cache = cache(&tiers, &hand);
        let fill = cache.begin(&["t".into()]).await.unwrap();
        let stamp = cache.seal(&fill, &[], None).await.unwrap().unwrap();
        let entry = Entry::new(Value::Bytes("\"old\"".into()), None, stamp);
        if late {
            // Stored before and read, so that its copy counts as checked, and stored once more.
            cache.put(&key(), entry.clone(), When::Always).await.unwrap();
            assert!(get(&cache).await.is_some());
        }
        cache.invalidate(["t"]).await.unwrap();
        cache.put(&key(), entry.clone(), When::Always).await.unwrap();
        assert_eq!(get(&cache).await, None);
        tiers.set_many(vec![(key(), entry)], NOW).await.unwrap();
        assert_eq!(get(&cache).await, None);
    }
}

#[tokio::test]
async fn of_two_who_store_at_once_neither_leaves_a_copy_that_l2_does_not_have() {
    let (l2, hand) = (Watched::new(), ManualClock::new(NOW));
    let tiers = following(tiers(l2.clone(), InProcess::new())).await;
    let cache = cache(&tiers, &hand);
    l2.hold_writes(true);
    let store = |value: &'static str| {
        let cache = cache.clone();
        tokio::spawn(async move { cache.set("key", value).await.unwrap() })
    };
    let first = store("first");
    settled().await;
    let second = store("second");
    settled().await;
    l2.hold_writes(false);
    l2.let_write_go();
    l2.let_write_go();
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(get(&cache).await.as_deref(), Some("second"));
}

#[tokio::test]
async fn a_change_whose_caller_went_away_leaves_no_copy_here_nor_there() {
    for what in ["set", "delete", "invalidate"] {
        let (l2, hand, held) = (Watched::new(), ManualClock::new(NOW), Held::default());
        let (here, there) = (tiers(l2.clone(), held.clone()), tiers(l2.clone(), held.clone()));
        let (here, there) = (following(here).await, following(there).await);
        let (one, two) = (cache(&here, &hand), cache(&there, &hand));
        away(&l2, &hand).set("key", "old").tags(["t"]).await.unwrap();
        for cache in [&one, &two] {
            assert_eq!(get(cache).await.as_deref(), Some("old"));
        }
        l2.hold_writes(true);
        let changing = tokio::spawn({
            let one = one.clone();
            async move {
                match what {
                    "set" => one.set("key", "new").await.unwrap(),
                    "delete" => assert!(one.delete("key").await.unwrap()),
                    _ => one.invalidate(["t"]).await.unwrap(),
                }
            }
        });
        settled().await;
        changing.abort();
        settled().await;
        l2.hold_writes(false);
        let there_now = away(&l2, &hand).get::<String>("key").await.unwrap();
        assert_eq!(get(&one).await, there_now, "{what}");
        // The others are told at the next chance, which is any change or heartbeat.
        one.set("other", "value").await.unwrap();
        held.deliver_all();
        settled().await;
        here.compare().await.unwrap();
        if what == "invalidate" {
            there.compare().await.unwrap();
            assert_eq!(get(&two).await, None);
        }
    }
}

#[tokio::test]
async fn what_is_made_from_a_copy_dies_with_what_the_copy_was_made_from() {
    let (l2, hand, held) = (Watched::new(), ManualClock::new(NOW), Held::default());
    let one = cache(&following(tiers(l2.clone(), held.clone())).await, &hand);
    let two = cache(&following(tiers(l2.clone(), held.clone())).await, &hand);
    two.set("key", "fragment").tags(["t"]).await.unwrap();
    held.deliver_all();
    settled().await;
    let copy = {
        get(&one).await.unwrap();
        one.lookup_now(&key()).unwrap().unwrap()
    };
    // Invalidated, and the first does not know yet: what it makes of its copy is dead in L2 all the same.
    two.invalidate(["t"]).await.unwrap();
    let mut fill = one.begin(&[]).await.unwrap();
    fill.inherit(copy.stamp());
    let page = one.key_builder("page").key();
    // Where the fill can tell already, there is nothing to store.
    if let Some(stamp) = one.seal(&fill, &[], None).await.unwrap() {
        one.put(&page, Entry::new(Value::Bytes("page".into()), None, stamp), When::Always).await.unwrap();
    }
    for cache in [&one, &two] {
        let found = cache.lookup(std::slice::from_ref(&page)).await.unwrap();
        assert!(found[0].is_none());
    }
}
