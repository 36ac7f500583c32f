//! G8, the numbers: `Age` and `ttl` at every moment of a page's life, by a clock that is moved by hand.

use std::time::Duration;

use larder::cache_page;

use crate::fed::head;
use crate::g8_explainable::ours;
use crate::structured::Bare;
use crate::support::{BEGIN, ask, clocked, get, saying};

#[tokio::test]
async fn age_and_ttl_add_up_to_the_timeout_at_every_moment() {
    let (cache, hand) = clocked();
    let (app, runs) = saying(&[]);
    let app = app.layer(cache_page(100).cache(&cache));
    let first = head(&app, get("/")).await;
    assert_eq!(ours(&first).get("ttl"), Some(&Bare::Integer(100)));
    assert!(!first.headers().contains_key("age"));
    for (at, age, ttl) in
        [(0, "0", 100), (999, "0", 99), (1_000, "1", 99), (50_500, "50", 49), (99_999, "99", 0)]
    {
        hand.set(BEGIN + at);
        let hit = head(&app, get("/")).await;
        assert_eq!(hit.headers()["age"], age, "{at} ms");
        assert_eq!(ours(&hit).get("ttl"), Some(&Bare::Integer(ttl)), "{at} ms");
    }
    hand.set(BEGIN + 100_000);
    let gone = ask(&app, get("/")).await;
    assert!(!gone.is_hit() && runs.count() == 2, "{gone:?}");
}

#[tokio::test]
async fn the_age_of_a_response_that_came_from_another_cache_counts() {
    let (cache, hand) = clocked();
    let (app, _) = saying(&[("age", "40")]);
    let app = app.layer(cache_page(100).cache(&cache));
    ask(&app, get("/")).await;
    hand.advance(Duration::from_secs(10));
    let hit = ask(&app, get("/")).await;
    assert_eq!(hit.field("age"), "50");
    assert_eq!(
        hit.cache_status(),
        "larder; hit; ttl=90",
        "the layer's timeout counts from when the page came here"
    );
}

#[tokio::test]
async fn a_clock_that_steps_back_serves_no_page_for_longer_than_its_timeout() {
    let (cache, hand) = clocked();
    let (app, runs) = saying(&[]);
    let app = app.layer(cache_page(100).cache(&cache));
    ask(&app, get("/")).await;
    // A little, as clocks are corrected: no negative age, no longer life.
    hand.set(BEGIN - 5_000);
    let back = head(&app, get("/")).await;
    assert_eq!(
        (&back.headers()["age"], ours(&back).get("ttl")),
        (&"0".parse().unwrap(), Some(&Bare::Integer(100)))
    );
    // An hour: what comes from the future would outlive its time by that hour.
    hand.set(BEGIN - 3_600_000);
    assert!(!ask(&app, get("/")).await.is_hit());
    assert!(ask(&app, get("/")).await.is_hit(), "the page that was made since is good");
    hand.set(BEGIN + 100_000);
    assert!(!ask(&app, get("/")).await.is_hit());
    assert_eq!(runs.count(), 3);
}
