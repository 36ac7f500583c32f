//! What other caching layers for Tower got wrong when they were tried: bodies, fields, time and load. See [`crate::peers`].

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::get as on_get;
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt, stream};
use http::request::Parts;
use http::{HeaderValue, Request, Response, header};
use larder::prelude::*;
use tokio::sync::{mpsc, oneshot};
use tower::{ServiceBuilder, ServiceExt, service_fn};

use crate::peers::{Way, ways, ways_told};
use crate::support::{Runs, ask, clocked, get, get_with, memory, origin, patient};

#[tokio::test]
async fn field_values_that_are_not_ascii_and_fields_given_twice_survive() {
    let (app, _) = origin(|_, _| {
        let mut response = "hello".into_response();
        let headers = response.headers_mut();
        headers.insert("x-name", HeaderValue::from_bytes("Zoë".as_bytes()).unwrap());
        headers.insert("x-raw", HeaderValue::from_bytes(b"\xff\x80\xa0\t.").unwrap());
        headers.append("link", HeaderValue::from_static("</a>; rel=preload"));
        headers.append("link", HeaderValue::from_static("</b>; rel=preload"));
        response
    });
    for Way { name, app, .. } in ways(&app) {
        for _ in 0..3 {
            let answer = ask(&app, get("/")).await;
            assert_eq!(answer.headers["x-name"].as_bytes(), "Zoë".as_bytes(), "{name}");
            assert_eq!(answer.headers["x-raw"].as_bytes(), b"\xff\x80\xa0\t.", "{name}");
            let links: Vec<_> = answer.headers.get_all("link").iter().collect();
            assert_eq!(links, ["</a>; rel=preload", "</b>; rel=preload"], "{name}");
        }
    }
}

#[tokio::test]
async fn a_body_over_the_limit_passes_whole_and_is_not_kept() {
    let page = Bytes::from(vec![b'x'; 10_000]);
    for announced in [true, false] {
        let body = page.clone();
        let (app, runs) = origin(move |_, _| match announced {
            true => Response::new(Body::from(body.clone())),
            false => Response::new(Body::from_stream(stream::iter(
                body.chunks(700)
                    .map(|c| Ok::<_, std::io::Error>(Bytes::copy_from_slice(c)))
                    .collect::<Vec<_>>(),
            ))),
        });
        for Way { name, app, .. } in ways_told(
            &app,
            |page| page.max_body(1_000).streaming(true),
            |site| site.max_body(1_000).streaming(true),
        ) {
            let before = runs.count();
            for _ in 0..2 {
                let answer = ask(&app, get("/")).await;
                assert_eq!((answer.status.as_u16(), &answer.body), (200, &page), "{name}");
            }
            assert_eq!(runs.count(), before + 2, "{name}");
        }
    }
}

#[tokio::test]
async fn lengths_are_kept_on_the_wire() {
    for Way { name, app, .. } in ways(&Router::new().route("/", on_get(|| async { "twelve bytes" }))) {
        let served = larder_tests::serve(app).await;
        for _ in 0..2 {
            let answer = larder_tests::client().get(served.url("/")).send().await.unwrap();
            assert_eq!(answer.headers()["content-length"], "12", "{name}");
            assert!(!answer.headers().contains_key("transfer-encoding"), "{name}");
        }
    }
}

#[tokio::test]
async fn events_and_bodies_without_an_end_come_through_as_they_are_made() {
    for kind in ["text/event-stream", "text/plain"] {
        let (sources, mut requests) = mpsc::unbounded_channel::<mpsc::UnboundedSender<&'static str>>();
        let handler = move || {
            let (chunks, source) = mpsc::unbounded_channel();
            sources.send(chunks).expect("the test listens");
            let body = stream::unfold(source, async |mut source: mpsc::UnboundedReceiver<&str>| {
                let chunk = source.recv().await?;
                Some((Ok::<_, std::io::Error>(Bytes::from(chunk)), source))
            });
            async move { ([(header::CONTENT_TYPE, kind)], Body::from_stream(body)) }
        };
        let app = Router::new().route("/", on_get(handler));
        for Way { name, app, .. } in ways(&app) {
            // The head comes before any chunk, and each chunk before the next is made.
            let answer = app.oneshot(get("/")).await.unwrap();
            let source = requests.recv().await.expect("the handler ran");
            let mut body = answer.into_body().into_data_stream();
            for chunk in ["data: 1\n\n", "data: 2\n\n"] {
                source.send(chunk).unwrap();
                assert_eq!(body.next().await.unwrap().unwrap(), chunk, "{name}, {kind}");
            }
            assert!(body.next().now_or_never().is_none(), "{name}: it goes on");
            drop(body);
            source.closed().await;
        }
    }
}

#[tokio::test]
async fn compressed_pages_come_back_as_what_they_are_and_only_to_who_asked() {
    // A page that is compressible, compressed between the pair or inside of cache_page.
    let text = "spam ".repeat(500);
    let page = text.clone();
    let app = Router::new().route("/", on_get(move || async move { page }));
    let compression = tower_http::compression::CompressionLayer::new;
    let between = ServiceBuilder::new()
        .layer(UpdateCacheLayer::new(60).cache(memory()))
        .layer(compression())
        .layer(FetchFromCacheLayer::new())
        .service(app.clone());
    let inside = app.layer(compression()).layer(cache_page(60).cache(memory()).streaming(true));
    for (name, app) in [("between", Router::new().fallback_service(between)), ("inside", inside)] {
        for round in 0..2 {
            let plain = ask(&app, get("/")).await;
            assert_eq!((plain.text(), plain.field("content-encoding").as_str()), (&*text, ""), "{name}");
            let packed = ask(&app, get_with("/", &[("accept-encoding", "gzip")])).await;
            assert_eq!(packed.field("content-encoding"), "gzip", "{name}");
            assert!(packed.body.starts_with(&[0x1f, 0x8b]) && packed.body.len() < text.len() / 4, "{name}");
            for answer in [&plain, &packed] {
                assert!(answer.field("vary").to_ascii_lowercase().contains("accept-encoding"), "{name}");
                assert_eq!(answer.is_hit(), round == 1, "{name}: {}", answer.cache_status());
            }
        }
    }
}

#[tokio::test]
async fn a_304_has_the_fields_of_the_page_and_a_hit_its_age() {
    let (cache, hand) = clocked();
    let (app, runs) = origin(|_, _| ([(header::ETAG, "\"v1\"")], "hello"));
    let app = app.layer(cache_page(60).cache(&cache));
    ask(&app, get("/")).await;
    hand.advance(Duration::from_secs(7));
    let hit = ask(&app, get("/")).await;
    assert_eq!((hit.field("age"), hit.is_hit()), ("7".to_owned(), true));
    let unchanged = ask(&app, get_with("/", &[("if-none-match", "\"v1\"")])).await;
    assert_eq!((unchanged.status.as_u16(), unchanged.body.len()), (304, 0));
    assert_eq!(unchanged.field("etag"), "\"v1\"");
    assert!(unchanged.field("cache-control").contains("max-age=60"));
    assert_eq!(runs.count(), 1);
}

#[tokio::test]
async fn pages_of_less_than_a_second_expire_and_none_lives_for_ever() {
    for millis in [1, 500, 999, 1000, 1001] {
        let (cache, hand) = clocked();
        let (app, runs) = origin(|run, _| run.to_string());
        let app = app.layer(cache_page(Duration::from_millis(millis)).cache(&cache));
        ask(&app, get("/")).await;
        hand.advance(Duration::from_millis(millis - 1));
        assert!(ask(&app, get("/")).await.is_hit(), "{millis} ms");
        hand.advance(Duration::from_millis(1));
        assert_eq!(ask(&app, get("/")).await.text(), "2", "{millis} ms");
        assert_eq!(runs.count(), 2);
    }
}

#[tokio::test]
async fn a_max_age_of_one_second_is_one_second_in_the_pair() {
    let (cache, hand) = clocked();
    let (app, _) = origin(|run, _| ([(header::CACHE_CONTROL, "max-age=1")], run.to_string()));
    let app = larder::site(app).timeout(60).cache(&cache).into_router();
    ask(&app, get("/")).await;
    hand.advance(Duration::from_millis(999));
    assert!(ask(&app, get("/")).await.is_hit());
    hand.advance(Duration::from_millis(1));
    assert_eq!(ask(&app, get("/")).await.text(), "2");
}

#[tokio::test]
async fn an_expired_page_is_not_reborn_when_its_refreshers_client_goes_away() {
    let (cache, hand) = clocked();
    let (entered, mut inside) = mpsc::unbounded_channel::<oneshot::Sender<&'static str>>();
    let handler = move || {
        let (answer, page) = oneshot::channel();
        entered.send(answer).expect("the test listens");
        async move { page.await.unwrap_or("gone") }
    };
    let app = Router::new().route("/", on_get(handler).layer(cache_page(60).cache(&cache)));
    let spawn = |app: &Router| {
        let app = app.clone();
        tokio::spawn(async move { ask(&app, get("/")).await })
    };
    let first = spawn(&app);
    inside.recv().await.unwrap().send("old").unwrap();
    assert_eq!(first.await.unwrap().text(), "old");
    hand.advance(Duration::from_secs(61));
    let refresher = spawn(&app);
    let refreshing = inside.recv().await.unwrap();
    refresher.abort();
    let _ = refresher.await;
    // Its fill goes on without it, or another one's begins; in no case is the old page fresh again.
    let next = spawn(&app);
    tokio::task::yield_now().await;
    assert!(!next.is_finished());
    let _ = refreshing.send("new");
    while let Ok(more) = inside.try_recv() {
        let _ = more.send("new");
    }
    let next = next.await.unwrap();
    assert_eq!(next.text(), "new", "{}", next.cache_status());
}

#[tokio::test]
async fn twenty_at_once_are_one_run_and_a_hit_does_not_call_the_service_inside() {
    let calls = Runs::default();
    let seen = calls.clone();
    let inner = service_fn(move |_: Request<Body>| {
        let run = seen.next();
        async move {
            tokio::task::yield_now().await;
            Ok::<_, std::convert::Infallible>(Response::new(Body::from(run.to_string())))
        }
    });
    let app = ServiceBuilder::new().layer(cache_page(60).cache(memory())).service(inner);
    let answers = join_all((0..20).map(|_| ask(&app, get("/")))).await;
    assert!(answers.iter().all(|answer| answer.text() == "1"));
    for _ in 0..10 {
        assert!(ask(&app, get("/")).await.is_hit());
    }
    assert_eq!(calls.count(), 1);
}

#[tokio::test]
async fn a_handler_that_panics_poisons_nothing() {
    let armed = Arc::new(AtomicBool::new(false));
    let fuse = Arc::clone(&armed);
    let (app, _) = origin(move |_, parts: Parts| {
        assert!(parts.uri.path() != "/bad" || !fuse.swap(false, Ordering::SeqCst), "as the test wants it");
        "well"
    });
    for Way { name, app, .. } in ways(&app) {
        armed.store(true, Ordering::SeqCst);
        let first = AssertUnwindSafe(ask(&app, get("/bad"))).catch_unwind().await;
        assert!(first.is_err(), "{name}: the panic is the application's, not ours to hide");
        for uri in ["/bad", "/good", "/bad", "/good"] {
            assert_eq!(ask(&app, get(uri)).await.text(), "well", "{name}");
        }
    }
}

#[tokio::test]
async fn a_few_hundred_pages_fit_by_default_and_a_dropped_clone_of_the_layer_ends_nothing() {
    let (app, runs) = origin(|_, parts: Parts| parts.uri.to_string());
    let layer = cache_page(60);
    let app = app.layer(layer.clone());
    drop(layer);
    for _ in 0..2 {
        for page in 0..200 {
            ask(&app, get(&format!("/{page}"))).await;
        }
    }
    assert_eq!(runs.count(), 200);
}

#[tokio::test]
async fn what_stands_in_files_is_about_as_long_as_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let cache = patient(&format!("file://{}", dir.path().display()));
    let page: Vec<u8> = (0..100_000u32).map(|at| (at * 7) as u8).collect();
    let body = page.clone();
    let (app, _) = origin(move |_, _| body.clone());
    let app = app.layer(cache_page(60).cache(&cache));
    ask(&app, get("/")).await;
    assert_eq!(ask(&app, get("/")).await.body, page);
    let mut size = 0;
    let mut open = vec![dir.path().to_owned()];
    while let Some(path) = open.pop() {
        match path.is_dir() {
            true => open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path())),
            false => size += std::fs::metadata(path).unwrap().len(),
        }
    }
    assert!(size < 110_000, "{size} bytes for a page of {}", page.len());
}
