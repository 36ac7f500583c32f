//! G3 meets G4: an invalidation while a fill flies. Who asks later does not join it, and what it makes is not served later, in every
//! order of the steps.

use axum::Router;
use futures_util::future::join_all;
use larder::{Cache, PageTags, cache_page};

use crate::fed::{asking, fed, head, next_piece, piece, saying, settle, soon};
use crate::g3_once::beside;
use crate::support::{ask, get, memory};

/// How something is forgotten.
#[derive(Clone, Copy, Debug)]
enum Forget {
    /// By a tag of the layer.
    Layer,
    /// By a tag that only the handler names.
    Late,
    /// All at once.
    Clear,
    /// By a tag that the page doesn't have.
    Unrelated,
}

const ALL: [Forget; 4] = [Forget::Layer, Forget::Late, Forget::Clear, Forget::Unrelated];

impl Forget {
    async fn run(self, cache: &Cache) {
        match self {
            Self::Layer => cache.invalidate(["layer"]).await.expect("it is forgotten"),
            Self::Late => cache.invalidate(["late"]).await.expect("it is forgotten"),
            Self::Clear => cache.clear().await.expect("it is forgotten"),
            Self::Unrelated => cache.invalidate(["unrelated"]).await.expect("it is forgotten"),
        }
    }

    fn forgets(self) -> bool {
        !matches!(self, Self::Unrelated)
    }
}

fn page(body: impl Into<axum::body::Body>) -> http::Response<axum::body::Body> {
    let mut response = saying(&[("content-length", "3")], body);
    response.extensions_mut().insert(PageTags::new(["late"]));
    response
}

/// Both mounts, each with a cache of its own.
fn mounts(app: &Router) -> [(&'static str, Cache, Router); 2] {
    let (one, two) = (memory(), memory());
    let page = app.clone().layer(cache_page(60).cache(&one).tags(["layer"]));
    let site = larder::site(app.clone()).cache(&two).with(|l| l.tags(["layer"])).into_router();
    [("cache_page", one, page), ("site", two, site)]
}

#[tokio::test]
async fn before_the_head_and_the_older_fill_ends_first() {
    for forget in ALL {
        for at in 0..2 {
            let (app, mut asked, runs) = asking();
            let (name, cache, app) = mounts(&app)[at].clone();
            let before = beside(&app, get("/"));
            let old = soon(asked.recv()).await.unwrap();
            let joined = beside(&app, get("/"));
            settle().await;
            forget.run(&cache).await;
            let after = beside(&app, get("/"));
            let new = soon(asked.recv()).await.unwrap();
            old.answer(page("old"));
            assert_eq!(soon(before).await.unwrap().text(), "old", "{name}, {forget:?}");
            assert_eq!(soon(joined).await.unwrap().text(), "old", "{name}, {forget:?}: it asked before");
            // The new one flies still: who asks now waits for it, and is not given the old page.
            let late = beside(&app, get("/"));
            settle().await;
            if forget.forgets() {
                assert!(!late.is_finished(), "{name}, {forget:?}");
            }
            new.answer(page("new"));
            assert_eq!(soon(after).await.unwrap().text(), "new", "{name}, {forget:?}");
            assert_eq!(soon(late).await.unwrap().text(), "new", "{name}, {forget:?}");
            let hit = soon(ask(&app, get("/"))).await;
            assert_eq!((hit.text(), hit.is_hit()), ("new", true), "{name}, {forget:?}");
            assert_eq!(runs.count(), 2, "{name}, {forget:?}");
        }
    }
}

#[tokio::test]
async fn before_the_head_and_the_newer_fill_ends_first() {
    for forget in ALL {
        for at in 0..2 {
            let (app, mut asked, runs) = asking();
            let (name, cache, app) = mounts(&app)[at].clone();
            let before = beside(&app, get("/"));
            let old = soon(asked.recv()).await.unwrap();
            forget.run(&cache).await;
            let after: Vec<_> = (0..3).map(|_| beside(&app, get("/"))).collect();
            let new = soon(asked.recv()).await.unwrap();
            settle().await;
            assert_eq!(runs.count(), 2, "{name}, {forget:?}: those after share a run of their own");
            new.answer(page("new"));
            for after in soon(join_all(after)).await {
                assert_eq!(after.unwrap().text(), "new", "{name}, {forget:?}");
            }
            old.answer(page("old"));
            assert_eq!(soon(before).await.unwrap().text(), "old", "{name}, {forget:?}");
            settle().await;
            let hit = soon(ask(&app, get("/"))).await;
            assert_eq!(
                (hit.text(), hit.is_hit()),
                ("new", true),
                "{name}, {forget:?}: not overwritten by the older"
            );
        }
    }
}

#[tokio::test]
async fn while_the_body_is_coming() {
    for forget in ALL {
        for old_first in [false, true] {
            for at in 0..2 {
                let (app, mut asked, _) = asking();
                let (name, cache, app) = mounts(&app)[at].clone();
                let name = format!("{name}, {forget:?}, old first: {old_first}");
                let before = tokio::spawn({
                    let app = app.clone();
                    async move { head(&app, get("/")).await }
                });
                let (feed, body) = fed();
                soon(asked.recv()).await.unwrap().answer(page(body));
                let mut before = soon(before).await.unwrap().into_body();
                feed.send(piece("ol")).unwrap();
                next_piece(&mut before).await.unwrap().unwrap();
                forget.run(&cache).await;
                let after = beside(&app, get("/"));
                let new = soon(asked.recv()).await.unwrap();
                let end_old = async || {
                    feed.send(piece("d")).unwrap();
                };
                if old_first {
                    end_old().await;
                    drop(feed);
                    assert_eq!(next_piece(&mut before).await.unwrap().unwrap(), "d", "{name}");
                    assert!(next_piece(&mut before).await.is_none(), "{name}");
                    new.answer(page("new"));
                    assert_eq!(soon(after).await.unwrap().text(), "new", "{name}");
                } else {
                    new.answer(page("new"));
                    assert_eq!(soon(after).await.unwrap().text(), "new", "{name}");
                    end_old().await;
                    drop(feed);
                    assert_eq!(next_piece(&mut before).await.unwrap().unwrap(), "d", "{name}");
                    assert!(next_piece(&mut before).await.is_none(), "{name}");
                }
                settle().await;
                let hit = soon(ask(&app, get("/"))).await;
                assert_eq!((hit.text(), hit.is_hit()), ("new", true), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_fill_that_was_overtaken_and_that_nobody_follows_is_not_served_later() {
    for forget in ALL {
        for at in 0..2 {
            let (app, mut asked, runs) = asking();
            let (name, cache, app) = mounts(&app)[at].clone();
            let before = beside(&app, get("/"));
            let old = soon(asked.recv()).await.unwrap();
            forget.run(&cache).await;
            old.answer(page("old"));
            assert_eq!(soon(before).await.unwrap().text(), "old", "{name}, {forget:?}");
            settle().await;
            let next = beside(&app, get("/"));
            if forget.forgets() {
                soon(asked.recv()).await.unwrap().answer(page("new"));
                assert_eq!(soon(next).await.unwrap().text(), "new", "{name}, {forget:?}");
                assert_eq!(runs.count(), 2, "{name}, {forget:?}");
            } else {
                assert!(soon(next).await.unwrap().is_hit(), "{name}: others' invalidations lose nothing");
            }
        }
    }
}
