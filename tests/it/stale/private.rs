//! Never another's page: whose request a refresh is.

use std::sync::Arc;

use http::HeaderMap;
use larder::{CachesLayer, cache_page};
use std::sync::Mutex;

use super::{ask_and_settle, mounts, secs};
use crate::fed::{saying as say, slowly};
use crate::support::{Runs, ask, clocked, get, get_with};

/// Greets whom the cookie names, says the run, and notes what it is asked with.
fn greeting(public: bool) -> (axum::Router, Runs, Arc<Mutex<Vec<HeaderMap>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let (app, runs) = slowly(move |run, request| {
        notes.lock().expect("no panic").push(request.headers().clone());
        let cookie = request.headers().get("cookie").and_then(|value| value.to_str().ok());
        let body = format!("{} {run}", cookie.unwrap_or("nobody"));
        let fields: &[_] = if public { &[("cache-control", "public")] } else { &[] };
        std::future::ready(say(fields, body))
    });
    (app, runs, seen)
}

const ALICE: &[(&str, &str)] = &[("cookie", "user=alice; _ga=1")];
const BOB: &[(&str, &str)] = &[("cookie", "user=bob")];

#[tokio::test]
async fn a_page_for_one_user_is_made_anew_with_their_credentials_for_them_alone() {
    for at in 1..3 {
        let ((app, _, seen), (cache, hand)) = (greeting(false), clocked());
        let (name, app) = mounts(&app, &cache)[at].clone();
        ask(&app, get_with("/", ALICE)).await;
        ask(&app, get_with("/", BOB)).await;
        hand.advance(secs(11));
        let stale = ask_and_settle(&app, get_with("/", ALICE)).await;
        assert_eq!(stale.text(), "user=alice 1", "{name}");
        assert_eq!(
            seen.lock().expect("no panic")[2]["cookie"],
            "user=alice",
            "{name}: what is not keyed is not taken along"
        );
        assert_eq!(ask(&app, get_with("/", ALICE)).await.text(), "user=alice 3", "{name}");
        assert_eq!(
            ask_and_settle(&app, get_with("/", BOB)).await.text(),
            "user=bob 2",
            "{name}: his own, stale"
        );
        assert_eq!(ask(&app, get_with("/", BOB)).await.text(), "user=bob 4", "{name}");
        assert_eq!(ask(&app, get("/")).await.text(), "nobody 5", "{name}");
    }
}

#[tokio::test]
async fn without_an_outer_layer_a_page_for_one_user_is_made_before_the_answer() {
    let ((app, _, _), (cache, hand)) = (greeting(false), clocked());
    let (_, app) = mounts(&app, &cache)[0].clone();
    ask(&app, get_with("/", ALICE)).await;
    hand.advance(secs(11));
    let new = ask(&app, get_with("/", ALICE)).await;
    assert_eq!((new.text(), &*new.field("cache-control")), ("user=alice 2", "max-age=10, private"));
    assert_eq!(new.cache_status(), "larder; fwd=stale; stored; ttl=10; detail=cookie-keyed");
}

#[tokio::test]
async fn a_page_for_everybody_is_made_anew_without_the_credentials_of_who_found_it_stale() {
    for at in 1..3 {
        let ((app, runs, seen), (cache, hand)) = (greeting(true), clocked());
        let (name, app) = mounts(&app, &cache)[at].clone();
        ask(&app, get("/")).await;
        hand.advance(secs(11));
        let fields = [("cookie", "user=alice"), ("authorization", "Bearer a"), ("x-api-key", "a")];
        assert_eq!(ask_and_settle(&app, get_with("/", &fields)).await.text(), "nobody 1", "{name}");
        for field in ["cookie", "authorization", "x-api-key"] {
            assert!(!seen.lock().expect("no panic")[1].contains_key(field), "{name}: {field}");
        }
        assert_eq!(ask(&app, get_with("/", BOB)).await.text(), "nobody 2", "{name}");
        assert_eq!(runs.count(), 2, "{name}");
    }
}

/// What an authentication layer puts on a request.
#[derive(Clone)]
struct User(String);

#[tokio::test]
async fn a_refresh_passes_the_layers_between_anew() {
    let ((_, hand), passed) = (clocked(), Runs::default());
    let cache =
        larder::Cache::builder(larder_memory::Memory::new()).clock(hand.clock()).build().expect("a cache");
    let seen = passed.clone();
    let (app, _) = slowly(|run, request| async move {
        let user = request.extensions().get::<User>().map_or("nobody", |user| &user.0);
        say(&[], format!("{user} {run}"))
    });
    let names = axum::middleware::map_request(move |mut request: http::Request<axum::body::Body>| {
        seen.next();
        if let Some(cookie) = request.headers().get("cookie").and_then(|value| value.to_str().ok()) {
            let user = User(cookie.to_owned());
            request.extensions_mut().insert(user);
        }
        std::future::ready(request)
    });
    let app = app
        .layer(cache_page(10).cache(&cache).stale_while_revalidate(60))
        .layer(names)
        .layer(CachesLayer::outermost());
    ask(&app, get_with("/", BOB)).await;
    hand.advance(secs(11));
    assert_eq!(ask_and_settle(&app, get_with("/", BOB)).await.text(), "user=bob 1");
    assert_eq!((ask(&app, get_with("/", BOB)).await.text(), passed.count()), ("user=bob 2", 4));
}
