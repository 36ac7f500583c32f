//! G7, bounded: streams pass as they come, too large bodies are not kept, and no number grows without an end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use larder::memory::Memory;
use larder::{Cache, FetchFromCacheLayer, UpdateCacheLayer, cache_page};
use larder_core::ManualClock;
use larder_tests::{client, serve};
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;

use crate::fed::{asking, fed, head, next_piece, piece, saying, settle, slowly, soon, status_of};
use crate::support::{ask, get, get_with, memory, origin, request, saying as always_saying};

/// Both mounts, storing bodies of unknown length up to `limit` bytes.
fn mounts(app: &Router, streaming: bool, limit: usize) -> [(&'static str, Router); 2] {
    let page = cache_page(60).cache(memory()).streaming(streaming).max_body(limit);
    let site = larder::site(app.clone()).cache(memory());
    let site = site.with(|l| l.streaming(streaming).max_body(limit)).into_router();
    [("cache_page", app.clone().layer(page)), ("site", site)]
}

#[tokio::test]
async fn a_stream_passes_piece_by_piece_and_is_let_go_with_its_client() {
    for (fields, streaming) in [
        (vec![("content-type", "text/event-stream; charset=utf-8")], true),
        (vec![("content-type", "text/event-stream")], false),
        (vec![], false),
    ] {
        for at in 0..2 {
            let (app, mut asked, runs) = asking();
            let (name, app) = mounts(&app, streaming, 1 << 20)[at].clone();
            let client = tokio::spawn({
                let app = app.clone();
                async move { head(&app, get("/")).await }
            });
            let (feed, body) = fed();
            soon(asked.recv()).await.unwrap().say(&fields, body);
            // The head is here before the first byte is.
            let response = soon(client).await.unwrap();
            assert!(!status_of(&response).contains("stored"), "{name}");
            let mut body = response.into_body();
            for n in 0..100 {
                feed.send(piece(n.to_string())).unwrap();
                assert_eq!(next_piece(&mut body).await.unwrap().unwrap(), n.to_string(), "{name}");
            }
            drop(body);
            assert!(feed.is_closed(), "{name}: nobody reads on behind the client's back");
            assert_eq!(runs.count(), 1, "{name}");
        }
    }
}

#[tokio::test]
async fn over_a_socket_a_stream_passes_piece_by_piece() {
    let (app, mut asked, _) = asking();
    let served = serve(mounts(&app, false, 1 << 20)[0].1.clone()).await;
    let response = tokio::spawn(client().get(served.url("/")).send());
    let (feed, body) = fed();
    soon(asked.recv()).await.unwrap().say(&[("content-type", "text/event-stream")], body);
    let mut response = soon(response).await.unwrap().unwrap();
    for n in 0..10 {
        feed.send(piece(format!("data: {n}\n\n"))).unwrap();
        assert_eq!(soon(response.chunk()).await.unwrap().unwrap(), format!("data: {n}\n\n"));
    }
}

#[tokio::test]
async fn a_body_that_is_stored_reaches_its_first_client_as_it_comes() {
    for (fields, streaming) in [(vec![("content-length", "6")], false), (vec![], true)] {
        for at in 0..2 {
            let (app, mut asked, _) = asking();
            let (name, app) = mounts(&app, streaming, 6)[at].clone();
            let client = tokio::spawn({
                let app = app.clone();
                async move { head(&app, get("/")).await }
            });
            let (feed, body) = fed();
            soon(asked.recv()).await.unwrap().say(&fields, body);
            let mut body = soon(client).await.unwrap().into_body();
            for piece_of in ["one", "two"] {
                feed.send(piece(piece_of)).unwrap();
                assert_eq!(next_piece(&mut body).await.unwrap().unwrap(), piece_of, "{name}");
            }
            drop(feed);
            assert!(next_piece(&mut body).await.is_none(), "{name}");
            let hit = ask(&app, get("/")).await;
            assert_eq!((hit.text(), hit.is_hit()), ("onetwo", true), "{name}: the limit itself fits");
        }
    }
}

#[tokio::test]
async fn a_body_that_grows_too_large_reaches_all_who_read_it_whole_and_is_not_stored() {
    for at in 0..2 {
        let (app, mut asked, runs) = asking();
        let (name, app) = mounts(&app, true, 10)[at].clone();
        let leader = tokio::spawn({
            let app = app.clone();
            async move { head(&app, get("/")).await }
        });
        let (feed, body) = fed();
        soon(asked.recv()).await.unwrap().say(&[], body);
        let mut leader = soon(leader).await.unwrap().into_body();
        feed.send(piece("12345678")).unwrap();
        next_piece(&mut leader).await.unwrap().unwrap();
        let mut waiter = head(&app, get("/")).await.into_body();
        feed.send(piece("90abcdef")).unwrap();
        assert_eq!(next_piece(&mut leader).await.unwrap().unwrap(), "90abcdef", "{name}");

        // Too large now: nobody attaches any more, and nobody waits.
        let late = [(); 2].map(|()| {
            let app = app.clone();
            tokio::spawn(async move { ask(&app, get("/")).await })
        });
        settle().await;
        assert_eq!(runs.count(), 3, "{name}");
        for late in late {
            soon(asked.recv()).await.unwrap().say(&[("cache-control", "no-store")], "late");
            assert_eq!(soon(late).await.unwrap().text(), "late", "{name}");
        }
        feed.send(piece("ghij")).unwrap();
        drop(feed);
        let rest = soon(leader.collect()).await.unwrap().to_bytes();
        assert_eq!(rest, "ghij", "{name}");
        let mut whole = String::new();
        while let Some(piece) = next_piece(&mut waiter).await {
            whole.push_str(&piece.unwrap());
        }
        assert_eq!(whole, "1234567890abcdefghij", "{name}");
        let next = tokio::spawn(async move { ask(&app, get("/")).await });
        soon(asked.recv()).await.unwrap().say(&[], "next");
        assert!(!soon(next).await.unwrap().is_hit(), "{name}");
    }
}

/// Bytes that are counted as long as they are anywhere in memory.
struct Counted(Vec<u8>, Arc<AtomicUsize>);

impl Counted {
    fn bytes(len: usize, alive: &Arc<AtomicUsize>) -> Bytes {
        alive.fetch_add(len, Ordering::SeqCst);
        Bytes::from_owner(Self(vec![b'x'; len], Arc::clone(alive)))
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(self.0.len(), Ordering::SeqCst);
    }
}

#[tokio::test]
async fn who_does_not_read_costs_no_more_than_the_limit_and_is_cut_with_an_error() {
    const LIMIT: usize = 10_000;
    for at in 0..2 {
        let alive = Arc::new(AtomicUsize::new(0));
        let (app, mut asked, _) = asking();
        let (name, app) = mounts(&app, true, LIMIT)[at].clone();
        let leader = tokio::spawn({
            let app = app.clone();
            async move { head(&app, get("/")).await }
        });
        let (feed, body) = fed();
        soon(asked.recv()).await.unwrap().say(&[], body);
        let mut leader = soon(leader).await.unwrap().into_body();
        let sleeper = head(&app, get("/")).await.into_body();
        let (mut most, mut read) = (0, 0);
        for _ in 0..1_000 {
            feed.send(piece(Counted::bytes(1_000, &alive))).unwrap();
            read += next_piece(&mut leader).await.unwrap().unwrap().len();
            most = most.max(alive.load(Ordering::SeqCst));
        }
        drop(feed);
        assert!(next_piece(&mut leader).await.is_none(), "{name}: who reads gets all of it");
        assert_eq!(read, 1_000_000, "{name}");
        assert!(most <= 3 * LIMIT, "{name}: {most} bytes at once");
        assert!(soon(sleeper.collect()).await.is_err(), "{name}: a gap must not look like an end");
        drop((leader, app));
        settle().await;
        assert_eq!(alive.load(Ordering::SeqCst), 0, "{name}: all of it is let go");
    }
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_not_kept_at_all() {
    for at in 0..2 {
        let alive = Arc::new(AtomicUsize::new(0));
        let (app, mut asked, _) = asking();
        let (name, app) = mounts(&app, true, 10_000)[at].clone();
        let client = tokio::spawn(async move { head(&app, get("/")).await });
        let (feed, body) = fed();
        soon(asked.recv()).await.unwrap().say(&[("content-length", "1000000")], body);
        let response = soon(client).await.unwrap();
        assert!(status_of(&response).ends_with("detail=too-large"), "{name}");
        let mut body = response.into_body();
        for _ in 0..100 {
            feed.send(piece(Counted::bytes(1_000, &alive))).unwrap();
            next_piece(&mut body).await.unwrap().unwrap();
            assert_eq!(alive.load(Ordering::SeqCst), 0, "{name}");
        }
    }
}

#[tokio::test]
async fn a_page_that_is_compressed_between_the_pair_is_stored_compressed_though_its_length_is_unknown() {
    let text = "compressible ".repeat(1_000);
    let (app, runs) = slowly({
        let text = text.clone();
        move |_, _| {
            let text = text.clone();
            async move { saying(&[("content-type", "text/plain")], text) }
        }
    });
    let app = Router::new().fallback_service(
        ServiceBuilder::new()
            .layer(UpdateCacheLayer::new(60).cache(memory()))
            .layer(CompressionLayer::new())
            .layer(FetchFromCacheLayer::new())
            .service(app),
    );
    for round in 0..2 {
        let gzip = ask(&app, get_with("/", &[("accept-encoding", "gzip")])).await;
        assert_eq!((&*gzip.field("content-encoding"), gzip.is_hit()), ("gzip", round > 0));
        assert!(gzip.body.len() < text.len() / 10 && gzip.body.starts_with(&[0x1f, 0x8b]));
        let plain = ask(&app, get("/")).await;
        assert_eq!((&*plain.field("content-encoding"), plain.is_hit()), ("", round > 0));
        assert_eq!(plain.text(), text);
    }
    assert_eq!(runs.count(), 2);
}

#[tokio::test]
async fn between_the_pair_a_stream_is_not_taken_for_a_page_because_it_is_compressed() {
    let (app, mut asked, _) = asking();
    let app = Router::new().fallback_service(
        ServiceBuilder::new()
            .layer(UpdateCacheLayer::new(60).cache(memory()))
            .layer(CompressionLayer::new())
            .layer(FetchFromCacheLayer::new())
            .service(app),
    );
    let client = tokio::spawn(async move { head(&app, get_with("/", &[("accept-encoding", "gzip")])).await });
    let (_feed, body) = fed();
    soon(asked.recv()).await.unwrap().say(&[("content-type", "text/plain")], body);
    assert!(status_of(&soon(client).await.unwrap()).ends_with("detail=streaming"));
}

/// Over this store, and however long the test takes, no time passes.
fn timeless(store: &Memory) -> Cache {
    Cache::builder(store.clone()).clock(ManualClock::new(1_700_000_000_000).clock()).build().expect("a cache")
}

#[tokio::test]
async fn ten_thousand_values_of_a_field_make_no_more_variants_than_allowed() {
    let store = Memory::new();
    let (app, _) = always_saying(&[("vary", "x-language")]);
    let app = app.layer(cache_page(60).cache(timeless(&store)).max_variants(64));
    for n in 0..10_000 {
        ask(&app, get_with("/", &[("x-language", &n.to_string())])).await;
    }
    let entries = store.stats().entries;
    assert!((32..=65).contains(&entries), "{entries} entries");
    ask(&app, get_with("/", &[("x-language", "en")])).await;
    assert!(ask(&app, get_with("/", &[("x-language", "en")])).await.is_hit(), "variants are still kept");
}

#[tokio::test]
async fn half_as_many_variants_as_are_allowed_all_find_room_and_are_forgotten_wherever_they_moved() {
    let (app, runs) = always_saying(&[("vary", "x-language")]);
    let cache = timeless(&Memory::new());
    let app = app.layer(cache_page(60).cache(&cache).tags(["pages"]).max_variants(800));
    let ask_all = async || {
        let mut hits = 0;
        for n in 0..400 {
            hits += usize::from(ask(&app, get_with("/", &[("x-language", &n.to_string())])).await.is_hit());
        }
        hits
    };
    assert_eq!(ask_all().await, 0);
    let kept = ask_all().await;
    assert!((397..=400).contains(&kept), "{kept}: without moving, more than twenty are pushed out");
    assert_eq!(runs.count(), 800 - kept);
    cache.invalidate(["pages"]).await.unwrap();
    assert_eq!(ask_all().await, 0);
}

#[tokio::test]
async fn ten_thousand_users_do_not_push_out_what_everybody_reads() {
    let store = Memory::new();
    let (app, runs) = always_saying(&[("vary", "accept-language")]);
    let app = app.layer(cache_page(60).cache(timeless(&store)).max_variants(64));
    ask(&app, get("/")).await;
    for n in 0..10_000 {
        ask(&app, get_with("/", &[("cookie", &format!("sessionid={n}"))])).await;
    }
    assert!(ask(&app, get("/")).await.is_hit());
    assert_eq!(runs.count(), 10_001);
    let entries = store.stats().entries;
    assert!(entries <= 66, "{entries} entries");
}

#[tokio::test]
async fn the_store_is_bounded_by_what_it_was_told() {
    let store = Memory::builder().max_entries(100).build().unwrap();
    let (app, _) = always_saying(&[]);
    let app = app.layer(cache_page(60).cache(Cache::new(store.clone())));
    for n in 0..2_000 {
        ask(&app, get(&format!("/{n}"))).await;
    }
    assert!(store.stats().entries <= 100, "{:?}", store.stats());
}

#[tokio::test]
async fn a_head_of_a_stream_ends_and_its_get_is_none_the_wiser() {
    let (app, _) = origin(|_, parts| match parts.method {
        Method::HEAD => saying(&[("content-type", "text/plain")], Body::empty()),
        _ => saying(&[("content-type", "text/plain")], "page"),
    });
    for (name, app) in mounts(&app, false, 100) {
        assert_eq!(ask(&app, request(Method::HEAD, "/", &[])).await.text(), "", "{name}");
        assert_eq!(ask(&app, get("/")).await.text(), "page", "{name}");
    }
}
