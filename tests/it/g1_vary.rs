//! G1, the right page: variants of one URL, by `Vary`, by settings of the layer, and by the cache itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get as on_get;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, header};
use larder::prelude::*;

use crate::support::{ask, clocked, get, get_with, memory, origin};

/// All lines of these fields, or `-` for one that is absent.
fn values(headers: &HeaderMap, names: &[&str]) -> String {
    let value = |name: &&str| match headers.contains_key(*name) {
        false => "-".to_owned(),
        true => {
            let lines: Vec<_> = headers.get_all(*name).iter().map(|v| v.to_str().expect("text")).collect();
            format!("[{}]", lines.join("|"))
        }
    };
    names.iter().map(value).collect::<Vec<_>>().join(" ")
}

/// An application whose page shows these fields and says so in these lines of `Vary`.
fn varying(names: &'static [&'static str], vary: &'static [&'static str]) -> (Router, crate::support::Runs) {
    origin(move |_, parts: Parts| {
        let mut response = values(&parts.headers, names).into_response();
        for line in vary {
            response.headers_mut().append(header::VARY, HeaderValue::from_static(line));
        }
        response
    })
}

#[tokio::test]
async fn each_value_of_a_vary_field_has_its_page_side_by_side() {
    let (app, runs) = varying(&["accept-language"], &["Accept-Language"]);
    let app = app.layer(cache_page(60).cache(memory()));
    for round in 0..3 {
        for language in ["de", "en", "fr", "de-AT", "DE;q=0.5, en"] {
            let answer = ask(&app, get_with("/", &[("accept-language", language)])).await;
            assert_eq!(answer.text(), format!("[{language}]"));
            assert_eq!(answer.is_hit(), round > 0, "{language}: {}", answer.cache_status());
        }
    }
    assert_eq!(runs.count(), 5);
}

#[tokio::test]
async fn several_fields_in_several_lines_count_together_whatever_the_names_case() {
    for vary in [&["X-A, x-b"][..], &["x-B", "X-a"], &["x-b,,X-A, x-a"]] {
        let vary: &'static [&'static str] = vary;
        let (app, runs) = varying(&["x-a", "x-b"], vary);
        let app = app.layer(cache_page(60).cache(memory()));
        let asked = [
            vec![("x-a", "1"), ("x-b", "2")],
            vec![("x-a", "2"), ("x-b", "1")],
            vec![("x-a", "1")],
            vec![("x-b", "1")],
            vec![("x-a", "1, x-b: 2")],
            vec![],
        ];
        for _ in 0..2 {
            for fields in &asked {
                let expected = values(get_with("/", fields).headers(), &["x-a", "x-b"]);
                assert_eq!(ask(&app, get_with("/", fields)).await.text(), expected, "{vary:?}");
            }
        }
        assert_eq!(runs.count(), asked.len(), "{vary:?}");
        // A field that is not named makes no other page.
        assert!(ask(&app, get_with("/", &[("x-a", "1"), ("x-c", "9")])).await.is_hit());
    }
}

#[tokio::test]
async fn an_absent_field_an_empty_one_and_one_in_two_lines_are_not_confused() {
    let (app, runs) = varying(&["x-a"], &["x-a"]);
    let app = app.layer(cache_page(60).cache(memory()));
    let asked =
        [vec![], vec![("x-a", "")], vec![("x-a", "a")], vec![("x-a", "A")], vec![("x-a", "b"), ("x-a", "a")]];
    for round in 0..2 {
        for fields in &asked {
            let expected = values(get_with("/", fields).headers(), &["x-a"]);
            let answer = ask(&app, get_with("/", fields)).await;
            assert_eq!(answer.text(), expected);
            assert_eq!(answer.is_hit(), round > 0, "{expected}");
        }
    }
    assert_eq!(runs.count(), asked.len());
}

#[tokio::test]
async fn a_vary_that_changes_over_time_keeps_every_page_right() {
    const LISTS: [&str; 5] = ["x-a", "x-b", "x-a, x-b", "", "x-c"];
    let phase = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&phase);
    let (app, runs) = origin(move |_, parts: Parts| {
        let list = LISTS[now.load(Ordering::SeqCst)];
        let names: Vec<&str> = list.split(", ").filter(|name| !name.is_empty()).collect();
        ([(header::VARY, list)], format!("{list}: {}", values(&parts.headers, &names)))
    });
    let (cache, hand) = clocked();
    let app = app.layer(cache_page(60).cache(&cache));
    // Twice through all lists, the second time in another order, with pages of the earlier ones still there or gone stale.
    for (step, at) in [0, 1, 2, 3, 4, 2, 0, 3, 1, 4].into_iter().enumerate() {
        phase.store(at, Ordering::SeqCst);
        for a in ["1", "2"] {
            for b in ["1", "2"] {
                let fields = [("x-a", a), ("x-b", b), ("x-c", a)];
                let answer = ask(&app, get_with("/", &fields)).await;
                let (list, shown) = answer.text().split_once(": ").unwrap();
                let names: Vec<&str> = list.split(", ").filter(|name| !name.is_empty()).collect();
                let expected = values(get_with("/", &fields).headers(), &names);
                assert_eq!(shown, expected, "step {step}, {list}");
            }
        }
        hand.advance(std::time::Duration::from_secs(25));
    }
    // It is a cache all the same.
    assert!(runs.count() < 40, "{}", runs.count());
}

#[tokio::test]
async fn a_url_with_and_without_vary_shows_whoever_asks_a_page_made_for_them() {
    // Pages in a language vary; those for clients that name none do not, as a careless application has it.
    let (app, _) = origin(|_, parts: Parts| match parts.headers.get("accept-language") {
        Some(language) => {
            ([(header::VARY, "accept-language")], language.to_str().unwrap().to_owned()).into_response()
        }
        None => "none".into_response(),
    });
    let app = app.layer(cache_page(60).cache(memory()));
    assert_eq!(ask(&app, get_with("/", &[("accept-language", "de")])).await.text(), "de");
    assert_eq!(ask(&app, get("/")).await.text(), "none");
    // The page without Vary says that it is for everybody, but the one made for this language is preferred.
    let german = ask(&app, get_with("/", &[("accept-language", "de")])).await;
    assert!(german.is_hit());
    assert_eq!(german.text(), "de");
}

#[tokio::test]
async fn vary_star_and_what_can_not_be_read_as_vary_is_never_stored() {
    for vary in ["*", "accept, *", "Accept Language", "x-\u{fc}"] {
        let (app, runs) = origin(move |run, _| {
            let mut response = run.to_string().into_response();
            response.headers_mut().insert(header::VARY, HeaderValue::from_bytes(vary.as_bytes()).unwrap());
            response
        });
        let app = app.layer(cache_page(60).cache(memory()));
        for (expected, said) in [("1", "detail=vary-star"), ("2", "detail=hit-for-miss")] {
            let answer = ask(&app, get("/")).await;
            assert_eq!(answer.text(), expected);
            assert!(answer.cache_status().ends_with(said), "{vary}: {}", answer.cache_status());
        }
        assert_eq!(runs.count(), 2);
    }
}

#[tokio::test]
async fn vary_on_counts_like_a_vary_of_the_handler_and_is_told_to_clients() {
    let (app, runs) = origin(|_, parts: Parts| values(&parts.headers, &["x-a"]));
    let cached = app.clone().layer(cache_page(60).cache(memory()).vary_on(["X-A"]));
    let inside = app.layer(larder::vary_on(["x-a"])).layer(cache_page(60).cache(memory()));
    for app in [cached, inside] {
        for value in ["1", "2", "1"] {
            let answer = ask(&app, get_with("/", &[("x-a", value)])).await;
            assert_eq!(answer.text(), format!("[{value}]"));
            assert!(answer.field("vary").to_ascii_lowercase().contains("x-a"));
        }
    }
    assert_eq!(runs.count(), 4);
}

#[tokio::test]
async fn key_prefixes_and_key_functions_keep_pages_apart() {
    let cache = memory();
    let (app, runs) = origin(|run, _| format!("run {run}"));
    let layered = |layer: larder::CachePage| app.clone().layer(layer.cache(&cache));
    let tenant = |parts: &Parts| parts.headers.get("x-shop").map_or("", |v| v.to_str().unwrap()).to_owned();
    let plain = layered(cache_page(60));
    let prefixed = layered(cache_page(60).key_prefix("v2"));
    // The same text as a part of the key's function is another key.
    let named = layered(cache_page(60).key_fn(|_| "v2".to_owned()));
    let twice = layered(cache_page(60).key_fn(|_| "v".to_owned()).key_fn(|_| "2".to_owned()));
    let shops = layered(cache_page(60).key_prefix("shops").key_fn(tenant));
    for (at, app) in [&plain, &prefixed, &named, &twice].into_iter().enumerate() {
        assert_eq!(ask(app, get("/")).await.text(), format!("run {}", at + 1));
        assert!(ask(app, get("/")).await.is_hit());
    }
    for (shop, run) in [("a", 5), ("b", 6), ("a", 5)] {
        assert_eq!(ask(&shops, get_with("/", &[("x-shop", shop)])).await.text(), format!("run {run}"));
    }
    assert_eq!(runs.count(), 6);
}

#[tokio::test]
async fn the_pair_and_a_route_layer_on_one_cache_keep_their_own_pages() {
    let cache = memory();
    let (app, runs) = origin(|run, _| format!("run {run}"));
    let page = app.clone().layer(cache_page(60).cache(&cache));
    let site = larder::site(app).cache(&cache).into_router();
    assert_eq!(ask(&page, get("/")).await.text(), "run 1");
    assert_eq!(ask(&site, get("/")).await.text(), "run 2");
    assert!(ask(&page, get("/")).await.is_hit() && ask(&site, get("/")).await.is_hit());
    assert_eq!(runs.count(), 2);
}

#[tokio::test]
async fn layers_without_a_cache_and_layers_on_two_caches_never_share() {
    let (app, runs) = origin(|run, _| format!("run {run}"));
    let own = || app.clone().layer(cache_page(60));
    let given = || app.clone().layer(cache_page(60).cache(memory()));
    let site = || larder::site(app.clone()).into_router();
    let apps = [own(), own(), given(), given(), site(), site()];
    for (at, app) in apps.iter().enumerate() {
        assert_eq!(ask(app, get("/")).await.text(), format!("run {}", at + 1));
    }
    for (at, app) in apps.iter().enumerate() {
        let again = ask(app, get("/")).await;
        assert!(again.is_hit(), "{at}: {}", again.cache_status());
        assert_eq!(again.text(), format!("run {}", at + 1));
    }
    assert_eq!(runs.count(), apps.len());
}

#[tokio::test]
async fn clones_of_a_router_share_its_default_cache() {
    let app = Router::new().route("/", on_get(|| async { "hello" }).layer(cache_page(60)));
    assert!(ask(&app.clone(), get("/")).await.is_stored());
    assert!(ask(&app.clone(), get("/")).await.is_hit());
}

#[tokio::test]
async fn what_a_middleware_between_the_pair_changes_in_the_request_counts() {
    // A middleware between picks the language from a part of the query that it then removes.
    let cache = memory();
    let (app, runs) = origin(|_, parts: Parts| {
        ([(header::VARY, "x-lang")], format!("{} {}", parts.uri, values(&parts.headers, &["x-lang"])))
    });
    let site = tower::ServiceBuilder::new()
        .layer(UpdateCacheLayer::new(60).cache(&cache))
        .map_request(|mut request: Request<_>| {
            let lang = if request.headers().contains_key("x-german") { "de" } else { "en" };
            request.headers_mut().insert("x-lang", HeaderValue::from_static(lang));
            request
        })
        .layer(FetchFromCacheLayer::new())
        .service(app);
    for _ in 0..2 {
        assert_eq!(ask(&site, get_with("/", &[("x-german", "1")])).await.text(), "/ [de]");
        assert_eq!(ask(&site, get("/")).await.text(), "/ [en]");
    }
    assert_eq!(runs.count(), 2);
}
