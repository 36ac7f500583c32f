//! G3 between the last byte and the store: nobody falls through, and the client's leaving changes nothing.

use std::sync::Arc;

use axum::Router;
use larder::core::{Key, Space, When};
use larder::memory::Memory;
use larder::{Backend, Cache, CachesLayer, Capabilities, Entry, Error, cache_page};
use tokio::sync::Semaphore;

use crate::fed::{asking, settle, soon};
use crate::g3_once::beside;
use crate::support::{ask, get};

/// A store that takes no page before the test lets it.
#[derive(Debug, Clone)]
struct Gated {
    store: Memory,
    gate: Arc<Semaphore>,
}

impl Gated {
    fn new() -> Self {
        Self { store: Memory::new(), gate: Arc::new(Semaphore::new(0)) }
    }

    fn open(&self) {
        self.gate.add_permits(Semaphore::MAX_PERMITS);
    }
}

impl Backend for Gated {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("gated").in_process()
    }

    async fn get(&self, key: &Key, now: u64) -> Result<Option<Entry>, Error> {
        self.store.get(key, now).await
    }

    async fn set(&self, key: &Key, entry: Entry, when: When, now: u64) -> Result<bool, Error> {
        if key.name().contains(":page.") {
            drop(self.gate.acquire().await);
        }
        self.store.set(key, entry, when, now).await
    }

    async fn remove(&self, key: &Key, now: u64) -> Result<bool, Error> {
        self.store.remove(key, now).await
    }

    async fn touch(&self, key: &Key, expires: Option<u64>, now: u64) -> Result<bool, Error> {
        self.store.touch(key, expires, now).await
    }

    async fn clear(&self, space: &Space, now: u64) -> Result<(), Error> {
        self.store.clear(space, now).await
    }
}

fn mounts(app: &Router) -> [(&'static str, Gated, Router); 3] {
    let gates = [Gated::new(), Gated::new(), Gated::new()];
    let [one, two, three] = gates.clone().map(Cache::new);
    let inside = app.clone().layer(cache_page(60)).layer(CachesLayer::new(three));
    let page = app.clone().layer(cache_page(60).cache(one));
    let site = larder::site(app.clone()).cache(two).into_router();
    let [a, b, c] = gates;
    [("cache_page", a, page), ("site", b, site), ("inside a CachesLayer", c, inside)]
}

#[tokio::test]
async fn who_comes_while_the_page_is_being_stored_still_shares_it() {
    for at in 0..3 {
        let (app, mut asked, runs) = asking();
        let (name, gate, app) = mounts(&app)[at].clone();
        let leader = beside(&app, get("/"));
        soon(asked.recv()).await.expect("a run").say(&[], "page");
        settle().await;
        let late = beside(&app, get("/"));
        assert_eq!(
            soon(late).await.expect("an answer").text(),
            "page",
            "{name}: it needs not wait for the store"
        );
        gate.open();
        assert_eq!(soon(leader).await.expect("an answer").text(), "page", "{name}");
        settle().await;
        assert!(soon(ask(&app, get("/"))).await.is_hit(), "{name}");
        assert_eq!(runs.count(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_its_page_is_being_stored_does_not_lose_it() {
    for at in 0..3 {
        let (app, mut asked, runs) = asking();
        let (name, gate, app) = mounts(&app)[at].clone();
        let leader = beside(&app, get("/"));
        soon(asked.recv()).await.expect("a run").say(&[], "page");
        settle().await;
        leader.abort();
        drop(leader.await);
        settle().await;
        gate.open();
        settle().await;
        let next = beside(&app, get("/"));
        settle().await;
        assert_eq!(runs.count(), 1, "{name}");
        assert!(soon(next).await.expect("an answer").is_hit(), "{name}");
    }
}
