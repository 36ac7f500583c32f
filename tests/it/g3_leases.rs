//! G3 between processes, here caches over one store with one clock: who slept while another took over stores nothing.

use std::time::Duration;

use larder::{Cache, CachesLayer, ManualClock, cache_page};
use larder_testkit::Plain;

use crate::fed::{asking, fed, head, next_piece, piece, settle, soon};
use crate::g3_once::beside;
use crate::support::{BEGIN, ask, get, memory};

#[tokio::test]
async fn a_leader_that_slept_until_another_took_over_does_not_store_the_older_page() {
    // What the other says of it in the store is still there when the first one wakes, or is forgotten by then.
    for sleeps_on in [Duration::ZERO, Duration::from_secs(60)] {
        let (store, hand) = (Plain::default(), ManualClock::new(BEGIN));
        let (app, mut asked, runs) = asking();
        let process = || {
            let cache = Cache::builder(store.clone()).clock(hand.clock()).deadline(Duration::from_secs(60));
            let layer = cache_page(600).cache(cache.build().unwrap()).max_fill(Duration::from_secs(2));
            app.clone().layer(layer)
        };
        let (one, other) = (process(), process());
        let slept = beside(&one, get("/"));
        let older = soon(asked.recv()).await.unwrap();
        for _ in 0..80 {
            hand.advance(Duration::from_millis(100));
            settle().await;
        }
        let second = beside(&other, get("/"));
        soon(asked.recv()).await.unwrap().say(&[], "newer");
        assert!(soon(second).await.unwrap().is_stored());
        settle().await;
        hand.advance(sleeps_on);
        older.say(&[], "older");
        let slept = soon(slept).await.unwrap();
        assert_eq!(
            (slept.text(), &*slept.cache_status()),
            ("older", "larder; fwd=uri-miss; detail=taken-over")
        );
        settle().await;
        for process in [&one, &other] {
            let answer = ask(process, get("/")).await;
            assert_eq!((answer.text(), answer.is_hit()), ("newer", true));
        }
        assert_eq!(runs.count(), 2);
    }
}

#[tokio::test]
async fn without_leases_each_process_makes_its_own_page() {
    let store = Plain::default();
    let (app, mut asked, _) = asking();
    let process = || {
        let cache = Cache::builder(store.clone()).deadline(Duration::from_secs(60)).build().unwrap();
        app.clone().layer(cache_page(600).cache(cache).lease(false))
    };
    let asks = [beside(&process(), get("/")), beside(&process(), get("/"))];
    // Both are asked before either is answered.
    for run in [soon(asked.recv()).await.unwrap(), soon(asked.recv()).await.unwrap()] {
        run.say(&[], "page");
    }
    for one in asks {
        assert_eq!(soon(one).await.unwrap().text(), "page");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_keeps_no_other_process_waiting() {
    for deferred in [false, true] {
        let (store, hand) = (Plain::default(), ManualClock::new(BEGIN));
        let (app, mut asked, runs) = asking();
        let process = || {
            let cache = Cache::builder(store.clone()).clock(hand.clock()).deadline(Duration::from_secs(60));
            let app = app.clone().layer(cache_page(600).cache(cache.build().unwrap()));
            if deferred { app.layer(CachesLayer::new(memory())) } else { app }
        };
        let (one, other) = (process(), process());
        let first = tokio::spawn({
            let one = one.clone();
            async move { head(&one, get("/")).await }
        });
        let (feed, body) = fed();
        soon(asked.recv()).await.unwrap().say(&[("content-length", "8")], body);
        let mut first = soon(first).await.unwrap().into_body();
        let second = beside(&other, get("/"));
        settle().await;
        for half in ["half", "done"] {
            feed.send(piece(half)).unwrap();
        }
        drop(feed);
        for _ in 0..100 {
            hand.advance(Duration::from_millis(50));
            settle().await;
        }
        assert!(second.is_finished(), "it waits for a client of the other process");
        let second = second.await.unwrap();
        assert_eq!((second.text(), second.is_hit()), ("halfdone", true));
        for half in ["half", "done"] {
            assert_eq!(next_piece(&mut first).await.unwrap().unwrap(), half);
        }
        assert!(next_piece(&mut first).await.is_none());
        assert_eq!(runs.count(), 1);
    }
}
