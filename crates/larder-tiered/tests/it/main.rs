//! Tiers against their promises, by topic.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod copies;
mod following;
mod g4_races;
mod held;
mod model;

mod outage;
mod redis;
mod server;
mod watched;

use std::time::Duration;

use larder_core::backplane::{Backplane, InProcess};
use larder_core::{Backend, Cache, Key, ManualClock, Space};
use larder_memory::Memory;
use larder_testkit::{Plain, Stage};
use larder_tiered::Tiered;

/// Longer than any test: heartbeats happen when a test says so.
const NEVER: Duration = Duration::from_secs(100 * 3_600);

/// Tiers that follow already.
async fn following(tiers: Tiered) -> Tiered {
    // Any operation wakes the follower.
    tiers.get(&Key::value(&Space::default(), 1, "none"), 1_700_000_000_000).await.unwrap();
    while !tiers.is_following() {
        tokio::task::yield_now().await;
    }
    tiers
}

fn tiers(l2: impl Backend, backplane: impl Backplane) -> Tiered {
    Tiered::builder(Memory::new(), l2).backplane(backplane).heartbeat(NEVER).build().unwrap()
}

/// Lets the followers take what has come for them: with one thread, each ready task has its turn.
async fn settled() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

fn cache(tiers: &Tiered, hand: &ManualClock) -> Cache {
    Cache::builder(tiers.clone()).clock(hand.clock()).build().unwrap()
}

/// Why nobody can damage what is read.
const COPIED: &str = "the first tier has a copy that is not damaged";

larder_testkit::backend_suite! {
    over_plain => async {
        Stage::new(following(tiers(Plain::default(), InProcess::new())).await).opaque(COPIED)
    }
    with_heartbeats => async {
        let tiers = Tiered::builder(Memory::new(), Plain::default()).backplane(InProcess::new());
        let tiers = tiers.heartbeat(Duration::from_millis(5)).build().unwrap();
        Stage::new(following(tiers).await).opaque(COPIED)
    }
    without_a_backplane => async {
        let plain = Plain::default();
        let tiers = Tiered::builder(Memory::new(), plain.clone()).build().unwrap();
        Stage::new(tiers).rewriting(move |key, change| plain.rewrite(key, change))
    }
    over_redis => redis::stage()
}
