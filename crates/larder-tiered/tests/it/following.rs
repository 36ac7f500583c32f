//! L1 of one process follows what others do, and answers nothing while it can't.

use std::time::Duration;

use larder_core::backplane::{InProcess, Message, What};
use larder_core::{Backend, Cache, ManualClock, Nonce, Space};
use larder_memory::Memory;
use larder_tiered::Tiered;

use crate::held::Held;
use crate::watched::{Stepwise, Watched};
use crate::{NEVER, cache, following, settled, tiers};

const NOW: u64 = 1_700_000_000_000;

/// Two processes on one store, who have both copied `key`.
struct Pair {
    l2: Watched,
    held: Held,
    one: Tiered,
    a: Cache,
    b: Cache,
}

impl Pair {
    async fn new() -> Self {
        let (l2, held, hand) = (Watched::new(), Held::default(), ManualClock::new(NOW));
        let one = following(tiers(l2.clone(), held.clone())).await;
        let two = following(tiers(l2.clone(), held.clone())).await;
        let pair = Self { l2, held, a: cache(&one, &hand), b: cache(&two, &hand), one };
        pair.a.set("key", "old").tags(["t"]).await.unwrap();
        pair.deliver().await;
        for _ in 0..2 {
            assert_eq!((pair.seen_by_a().await, pair.seen_by_b().await), (old(), old()));
        }
        pair.l2.reads();
        pair.l2.checks();
        pair
    }

    async fn deliver(&self) {
        self.held.deliver_all();
        settled().await;
    }

    async fn seen_by_a(&self) -> Option<String> {
        self.a.get("key").await.unwrap()
    }

    async fn seen_by_b(&self) -> Option<String> {
        self.b.get("key").await.unwrap()
    }
}

fn old() -> Option<String> {
    Some("old".into())
}

#[tokio::test]
async fn the_other_follows_when_the_message_comes_and_not_before() {
    let pair = Pair::new().await;
    pair.b.invalidate(["t"]).await.unwrap();
    assert_eq!(pair.seen_by_b().await, None, "who invalidates sees it at once");
    pair.l2.reads();
    assert_eq!(pair.seen_by_a().await, old(), "nobody has told yet: this is the delay");
    assert_eq!(pair.l2.reads(), 0);
    pair.deliver().await;
    assert_eq!(pair.seen_by_a().await, None);
}

#[tokio::test]
async fn each_kind_of_change_reaches_the_other() {
    for what in ["set", "delete", "touch", "clear", "set_many", "delete_many", "incr"] {
        let pair = Pair::new().await;
        pair.a.set("count", 1).tags(["u"]).await.unwrap();
        pair.deliver().await;
        assert_eq!(pair.a.get::<i64>("count").await.unwrap(), Some(1));
        match what {
            "set" => pair.b.set("key", "new").await.unwrap(),
            "delete" => assert!(pair.b.delete("key").await.unwrap()),
            "touch" => assert!(pair.b.touch("key").timeout(0).await.unwrap()),
            "clear" => pair.b.clear().await.unwrap(),
            "set_many" => _ = pair.b.set_many([("key", "new")]).await.unwrap(),
            "incr" => assert_eq!(pair.b.incr("count", 1).await.unwrap(), 2),
            _ => assert_eq!(pair.b.delete_many(["key"]).await.unwrap(), 1),
        }
        pair.deliver().await;
        assert_eq!(pair.seen_by_a().await, pair.seen_by_b().await, "{what}");
        assert_eq!(pair.a.get::<i64>("count").await.unwrap(), pair.b.get("count").await.unwrap(), "{what}");
        assert_eq!(pair.seen_by_a().await == old(), what == "incr", "{what}");
    }
}

#[tokio::test]
async fn after_a_cut_l1_answers_nothing_and_afterwards_nothing_from_before_it() {
    let pair = Pair::new().await;
    pair.held.cut(0);
    settled().await;
    assert!(!pair.one.is_following());
    assert_eq!(pair.seen_by_a().await, old());
    assert_eq!(pair.seen_by_a().await, old());
    assert_eq!(pair.l2.reads(), 2, "each read goes to L2");
    pair.b.invalidate(["t"]).await.unwrap();
    assert_eq!(pair.seen_by_a().await, None);
    pair.b.set("key", "new").await.unwrap();
    pair.b.set("other", "new").await.unwrap();
    pair.held.mend(0);
    settled().await;
    assert!(pair.one.is_following());
    assert_eq!(pair.seen_by_a().await.as_deref(), Some("new"));
    pair.l2.reads();
    assert_eq!(pair.seen_by_a().await.as_deref(), Some("new"));
    assert_eq!(pair.l2.reads(), 0, "L1 is used again");
}

#[tokio::test]
async fn a_cut_during_which_a_copy_is_on_its_way_ends_it() {
    let pair = Pair::new().await;
    pair.held.cut(0);
    settled().await;
    pair.l2.hold_reads(true);
    let reading = tokio::spawn({
        let a = pair.a.clone();
        async move { a.get::<String>("key").await.unwrap() }
    });
    settled().await;
    pair.b.invalidate(["t"]).await.unwrap();
    pair.held.mend(0);
    settled().await;
    pair.l2.hold_reads(false);
    pair.l2.let_read_go();
    assert_eq!(reading.await.unwrap(), old());
    assert_eq!(pair.seen_by_a().await, None);
}

#[tokio::test]
async fn who_takes_too_few_messages_begins_anew() {
    let pair = Pair::new().await;
    pair.b.invalidate(["t"]).await.unwrap();
    // The follower has no turn meanwhile: there is one thread, and nothing here waits.
    let beat = Message { origin: Nonce::fresh(), number: 1, space: Space::default(), what: What::Beat };
    pair.held.deliver(0);
    for _ in 0..5_000 {
        pair.held.forge(0, beat.encode());
    }
    settled().await;
    assert_eq!(pair.seen_by_a().await, None);
}

#[tokio::test]
async fn a_lost_message_is_noticed_by_the_next_one_and_by_the_next_heartbeat() {
    let pair = Pair::new().await;
    pair.b.set("other", "value").await.unwrap();
    pair.deliver().await;
    pair.b.set("key", "new").await.unwrap();
    pair.b.set("other", "value").await.unwrap();
    assert!(pair.held.lose(0));
    pair.deliver().await;
    assert_eq!(pair.seen_by_a().await.as_deref(), Some("new"), "a number was missing");

    let pair = Pair::new().await;
    pair.b.invalidate(["t"]).await.unwrap();
    assert!(pair.held.lose(0));
    assert_eq!(pair.seen_by_a().await, old());
    pair.one.compare().await.unwrap();
    assert_eq!(pair.seen_by_a().await, None, "the fence is another one");
}

#[tokio::test]
async fn a_message_of_another_version_ends_all_trust_in_copies() {
    let pair = Pair::new().await;
    pair.b.set("key", "new").await.unwrap();
    assert!(pair.held.lose(0));
    pair.held.forge(0, "LRB9 something that is not known here");
    settled().await;
    assert_eq!(pair.seen_by_a().await.as_deref(), Some("new"));
}

#[tokio::test]
async fn who_invalidates_without_telling_is_noticed_at_the_next_heartbeat() {
    let pair = Pair::new().await;
    pair.one.compare().await.unwrap();
    for _ in 0..3 {
        pair.one.compare().await.unwrap();
    }
    pair.seen_by_a().await;
    pair.l2.reads();
    pair.l2.checks();
    pair.one.compare().await.unwrap();
    assert_eq!(pair.seen_by_a().await, old());
    assert_eq!((pair.l2.reads(), pair.l2.checks()), (0, 0), "nothing has changed");
    let space = Space::default();
    pair.l2.store().invalidate(&space, &["other".into()], NOW).await.unwrap();
    pair.one.compare().await.unwrap();
    assert_eq!(pair.seen_by_a().await, old());
    assert_eq!((pair.l2.reads(), pair.l2.checks()), (0, 1), "asked once, without the value");
    pair.l2.store().invalidate(&space, &["t".into()], NOW).await.unwrap();
    pair.one.compare().await.unwrap();
    assert_eq!(pair.seen_by_a().await, None);
}

#[tokio::test]
async fn an_invalidation_that_takes_several_steps_is_noticed_though_a_heartbeat_falls_between_them() {
    let pair = Pair::new().await;
    pair.l2.hold_writes(true);
    let invalidating = tokio::spawn({
        let plain = Stepwise(pair.l2.clone());
        async move { plain.invalidate(&Space::default(), &["t".into()], NOW).await.unwrap() }
    });
    settled().await;
    pair.one.compare().await.unwrap();
    assert_eq!(pair.seen_by_a().await, old(), "the fence is renewed, and the tag is not yet");
    pair.l2.hold_writes(false);
    pair.l2.let_write_go();
    invalidating.await.unwrap();
    pair.one.compare().await.unwrap();
    assert_eq!(pair.seen_by_a().await, None, "the fence is what it was at the last heartbeat");
}

#[tokio::test]
async fn a_store_that_was_emptied_makes_every_copy_invalid_at_the_next_heartbeat() {
    let pair = Pair::new().await;
    for _ in 0..4 {
        pair.one.compare().await.unwrap();
    }
    pair.seen_by_a().await;
    // Whoever empties it leaves no record of the namespace either; the next one makes another.
    pair.l2.store().clear(&Space::default(), NOW).await.unwrap();
    assert_eq!(pair.seen_by_a().await, old());
    pair.one.compare().await.unwrap();
    assert_eq!(pair.seen_by_a().await, None);
}

#[tokio::test]
async fn what_could_not_be_told_is_made_good_at_a_heartbeat() {
    let (l2, held, hand) = (Watched::new(), Held::default(), ManualClock::new(NOW));
    let one = following(tiers(l2.clone(), held.clone())).await;
    let two = Tiered::builder(Memory::new(), l2.clone()).backplane(held.clone());
    let two = following(two.heartbeat(Duration::from_millis(1)).build().unwrap()).await;
    let (a, b) = (cache(&one, &hand), cache(&two, &hand));
    a.set("key", "old").await.unwrap();
    assert_eq!(a.get("key").await.unwrap(), old());
    held.deliver_all();
    held.refuse(true);
    b.set("key", "new").await.unwrap();
    assert_eq!(held.waiting(0), 0);
    assert_eq!(b.get::<String>("key").await.unwrap().as_deref(), Some("new"), "here it counts at once");
    held.refuse(false);
    while a.get::<String>("key").await.unwrap() == old() {
        held.deliver_all();
        tokio::task::yield_now().await;
    }
    assert_eq!(a.get::<String>("key").await.unwrap().as_deref(), Some("new"));
}

#[tokio::test]
async fn the_last_message_before_a_pause_is_followed_by_a_beat_that_betrays_its_loss() {
    let (l2, held, hand) = (Watched::new(), Held::default(), ManualClock::new(NOW));
    let one = following(tiers(l2.clone(), held.clone())).await;
    let two = Tiered::builder(Memory::new(), l2.clone()).backplane(held.clone());
    let two = following(two.heartbeat(Duration::from_millis(1)).build().unwrap()).await;
    let (a, b) = (cache(&one, &hand), cache(&two, &hand));
    b.set("other", "value").await.unwrap();
    a.set("key", "old").await.unwrap();
    assert_eq!(a.get("key").await.unwrap(), old());
    while held.waiting(0) > 0 {
        held.deliver_all();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    b.set("key", "new").await.unwrap();
    assert!(held.lose(0));
    while a.get::<String>("key").await.unwrap() == old() {
        held.deliver_all();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(a.get::<String>("key").await.unwrap().as_deref(), Some("new"));
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_has_no_turn_for_three_heartbeats_is_not_trusted() {
    let tiers = Tiered::builder(Memory::new(), Watched::new()).backplane(InProcess::new());
    let tiers = following(tiers.heartbeat(Duration::from_secs(1)).build().unwrap()).await;
    // Time passes, and no task runs: `advance` alone gives none its turn before the look.
    let passed = tokio::time::advance(Duration::from_secs(4));
    let mut passed = std::pin::pin!(passed);
    let waker = std::task::Waker::noop();
    _ = passed.as_mut().poll(&mut std::task::Context::from_waker(waker));
    assert!(!tiers.is_following());
    passed.await;
    settled().await;
    assert!(tiers.is_following(), "it has caught up");
}

#[test]
fn a_runtime_that_ends_takes_the_trust_along_and_the_next_one_begins_anew() {
    let (l2, held, hand) = (Watched::new(), Held::default(), ManualClock::new(NOW));
    let build = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (tiers, cache) = {
        let tiers = build().block_on(following(tiers(l2.clone(), held.clone())));
        let cache = cache(&tiers, &hand);
        (tiers, cache)
    };
    assert!(!tiers.is_following());
    assert_eq!(held.subscribers(), 0);
    let runtime = build();
    runtime.block_on(async {
        cache.set("key", "old").await.unwrap();
        settled().await;
        assert!(tiers.is_following());
        assert_eq!(cache.get("key").await.unwrap(), old());
    });
}

#[tokio::test]
async fn the_follower_ends_with_the_last_handle_and_when_it_is_closed() {
    let held = Held::default();
    let one = following(tiers(Watched::new(), held.clone())).await;
    assert_eq!(held.subscribers(), 1);
    one.close().await.unwrap();
    settled().await;
    assert!(!one.is_following());
    assert_eq!(held.subscribers(), 0);
    let again = following(one.clone()).await;
    assert_eq!(held.subscribers(), 1);
    drop(one);
    settled().await;
    assert_eq!(held.subscribers(), 1, "a clone is left");
    drop(again);
    settled().await;
    assert_eq!(held.subscribers(), 0);
}

#[tokio::test]
async fn without_a_backplane_each_read_goes_to_l2() {
    let (l2, hand) = (Watched::new(), ManualClock::new(NOW));
    let tiers = Tiered::builder(Memory::new(), l2.clone()).heartbeat(NEVER).build().unwrap();
    let cache = cache(&tiers, &hand);
    cache.set("key", "value").await.unwrap();
    l2.reads();
    for _ in 0..3 {
        assert!(cache.has_key("key").await.unwrap());
    }
    assert_eq!(l2.reads(), 3);
}
