//! G3 for HEAD: many at once run the handler once, whatever the store, and what can't be stored holds none up.

use axum::body::Body;
use futures_util::future::join_all;
use http::Method;
use larder::{Cache, cache_page};
use larder_core::{Backend, Capabilities, Entry, Error, Key, Space, UnixMillis, When};
use larder_memory::Memory;

use crate::fed::{asking, at_hand, piece, settle, slowly, soon};
use crate::g3_once::{beside, mounts};
use crate::support::{ask, request};

/// A store whose pages take a while to arrive there.
#[derive(Debug)]
struct Slow(Memory);

impl Backend for Slow {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("slow")
    }

    async fn get(&self, key: &Key, now: UnixMillis) -> Result<Option<Entry>, Error> {
        tokio::task::yield_now().await;
        self.0.get(key, now).await
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: UnixMillis) -> Result<bool, Error> {
        if key.name().contains("page.") {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        self.0.set(key, entry, when, now).await
    }

    async fn remove(&self, key: &Key, now: UnixMillis) -> Result<bool, Error> {
        self.0.remove(key, now).await
    }

    async fn clear(&self, space: &Space, now: UnixMillis) -> Result<(), Error> {
        self.0.clear(space, now).await
    }

    async fn touch(&self, key: &Key, expires: Option<UnixMillis>, now: UnixMillis) -> Result<bool, Error> {
        self.0.touch(key, expires, now).await
    }
}

#[tokio::test]
async fn heads_that_miss_at_once_share_one_run_where_the_store_makes_them_wait() {
    let patient = std::time::Duration::from_secs(60);
    let cache = Cache::builder(Slow(Memory::new())).deadline(patient).build().unwrap();
    let (app, mut asked, runs) = asking();
    let app = app.layer(cache_page(60).cache(&cache));
    let heads: Vec<_> = (0..5).map(|_| beside(&app, request(Method::HEAD, "/", &[]))).collect();
    let run = soon(asked.recv()).await.unwrap();
    settle().await;
    run.say(&[("content-length", "4")], Body::empty());
    let answers = soon(async {
        tokio::select! {
            answers = join_all(heads) => answers,
            _ = asked.recv() => panic!("a second run"),
        }
    })
    .await;
    for answer in answers {
        let answer = answer.unwrap();
        assert_eq!(answer.field("content-length"), "4", "{answer:?}");
    }
    assert_eq!(runs.count(), 1);
}

#[tokio::test]
async fn after_its_first_answer_a_head_that_can_not_be_stored_holds_nobody_up() {
    for at in 0..2 {
        let (app, mut asked, runs) = asking();
        let (name, app) = mounts(&app)[at].clone();
        let first = beside(&app, request(Method::HEAD, "/", &[]));
        soon(asked.recv()).await.unwrap().say(&[("cache-control", "private")], Body::empty());
        soon(first).await.unwrap();
        let burst: Vec<_> = (0..5).map(|_| beside(&app, request(Method::HEAD, "/", &[]))).collect();
        settle().await;
        assert_eq!(runs.count(), 6, "{name}: all five run at once");
        for _ in 0..5 {
            soon(asked.recv()).await.unwrap().say(&[("cache-control", "private")], Body::empty());
        }
        soon(join_all(burst)).await;
    }
}

#[tokio::test]
async fn a_head_of_a_page_whose_length_nobody_knows_claims_none() {
    let (app, _) = slowly(|_, _| async { crate::fed::saying(&[], at_hand(vec![piece("page")])) });
    for (name, app) in mounts(&app) {
        for round in ["miss", "hit"] {
            let answer = ask(&app, request(Method::HEAD, "/", &[])).await;
            assert_eq!(answer.field("content-length"), "", "{name}, {round}: {answer:?}");
        }
    }
}
