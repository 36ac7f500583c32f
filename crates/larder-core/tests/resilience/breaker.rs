//! How often a store is tried that is out, and how it is found again.

use std::time::Duration;

use larder_core::{Breaker, Cache, ErrorKind, Event};

use crate::Stage;
use crate::faulty::Mode;

async fn get(cache: &Cache) -> Result<Option<u8>, ErrorKind> {
    cache.get::<u8>("key").await.map_err(|error| error.kind())
}

#[tokio::test(start_paused = true)]
async fn five_attempts_and_no_more_until_the_cool_down_is_over() {
    for mode in [Mode::Silent, Mode::Fails(ErrorKind::Unavailable)] {
        let stage = Stage::new();
        let cache = stage.cache();
        cache.set("key", 7).await.unwrap();
        stage.store.turn(mode);
        stage.store.asked();
        for _ in 0..1_000 {
            assert!(get(&cache).await.is_err());
        }
        assert_eq!(stage.store.asked(), 5, "{mode:?}");
        assert_eq!(stage.told(), ["step-failed", "breaker-opened", "step-refused"]);
        let error = cache.get::<u8>("key").await.unwrap_err();
        assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("breaker"), "{error}");
        // Each probe that fails doubles the time to the next: in a minute, at 1, 3, 7, 15, 31 and 61 s at the latest.
        for _ in 0..60 {
            stage.hand.advance(Duration::from_secs(1));
            for _ in 0..100 {
                assert!(get(&cache).await.is_err());
            }
        }
        let probes = stage.store.asked();
        assert!((5..=8).contains(&probes), "{probes} probes in a minute");
        stage.store.turn(Mode::Fine);
        stage.events.lock().clear();
        stage.hand.advance(Duration::from_secs(30));
        assert_eq!(get(&cache).await, Ok(Some(7)), "nobody had to do anything");
        assert_eq!(stage.told(), ["breaker-half-open", "breaker-closed"]);
    }
}

#[tokio::test(start_paused = true)]
async fn of_those_who_come_when_the_cool_down_is_over_one_is_let_through() {
    let stage = Stage::new();
    let cache = stage.cache();
    stage.store.turn(Mode::Silent);
    for _ in 0..5 {
        assert!(get(&cache).await.is_err());
    }
    stage.store.asked();
    stage.hand.advance(Duration::from_secs(1));
    let all: Vec<_> = (0..50)
        .map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move { get(&cache).await })
        })
        .collect();
    let mut waited = 0;
    for one in all {
        waited += usize::from(one.await.unwrap() == Err(ErrorKind::Deadline));
    }
    assert_eq!((stage.store.asked(), waited), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_with_errors_is_not_out() {
    let stage = Stage::new();
    let cache = stage.cache();
    stage.store.turn(Mode::Fails(ErrorKind::Backend));
    for _ in 0..20 {
        assert_eq!(get(&cache).await, Err(ErrorKind::Backend));
    }
    assert_eq!((stage.store.asked(), stage.told()), (20, vec!["step-failed"]));
}

#[tokio::test(start_paused = true)]
async fn promises_and_questions_are_always_tried_and_their_success_closes_it() {
    let stage = Stage::new();
    let cache = stage.cache();
    for round in 0..3 {
        stage.store.turn(Mode::Fails(ErrorKind::Unavailable));
        while !stage.told().contains(&"breaker-opened") {
            assert!(get(&cache).await.is_err());
        }
        stage.store.asked();
        assert!(cache.invalidate(["tag"]).await.is_err());
        assert!(cache.ping().await.is_err());
        assert!(cache.clear().await.is_err());
        assert_eq!(stage.store.asked(), 3, "all three were tried");
        assert!(get(&cache).await.is_err());
        assert_eq!(stage.store.asked(), 0, "it is still open");
        stage.store.turn(Mode::Fine);
        match round {
            0 => cache.invalidate(["tag"]).await.unwrap(),
            1 => cache.ping().await.unwrap(),
            _ => cache.clear().await.unwrap(),
        }
        assert!(stage.told().contains(&"breaker-closed"));
        assert_eq!(get(&cache).await, Ok(None));
    }
}

#[tokio::test(start_paused = true)]
async fn steps_that_nobody_waits_for_any_more_count_as_neither() {
    let stage = Stage::new();
    let cache = stage.cache();
    stage.store.turn(Mode::Silent);
    let hasty = async || {
        let step = tokio::time::timeout(Duration::from_millis(10), get(&cache));
        assert!(step.await.is_err(), "it is still waiting");
    };
    for _ in 0..20 {
        hasty().await;
    }
    assert!(stage.told().is_empty());
    for _ in 0..5 {
        assert!(get(&cache).await.is_err());
    }
    assert!(stage.told().contains(&"breaker-opened"));
    stage.hand.advance(Duration::from_secs(1));
    stage.store.asked();
    // A probe that is given up leaves its place to the next.
    for _ in 0..3 {
        hasty().await;
    }
    assert_eq!(stage.store.asked(), 3);
    stage.store.turn(Mode::Fine);
    assert_eq!(get(&cache).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn it_may_be_set_and_switched_off() {
    let stage = Stage::new();
    let breaker = Breaker { outages: 2, cooldown: Duration::from_secs(60), ..Breaker::default() };
    let cache = stage.builder().breaker(breaker).build().unwrap();
    stage.store.turn(Mode::Fails(ErrorKind::Unavailable));
    for _ in 0..10 {
        assert!(get(&cache).await.is_err());
    }
    assert_eq!(stage.store.asked(), 2);
    let opened = stage.events.lock().iter().find_map(|event| match event {
        Event::BreakerOpened { outages, cooldown } => Some((*outages, *cooldown)),
        _ => None,
    });
    let (outages, cooldown) = opened.unwrap();
    assert!(outages == 2 && (45..=60).contains(&cooldown.as_secs()), "{cooldown:?}");

    let without = stage.builder().no_breaker().build().unwrap();
    for _ in 0..10 {
        assert!(get(&without).await.is_err());
    }
    assert_eq!(stage.store.asked(), 10);
}
