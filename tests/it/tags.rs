//! Tags: what carries one is forgotten with it, wherever the tag came from; and a write drops the pages of its own URL.

use std::sync::Arc;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get as on_get;
use http::{Method, StatusCode};
use larder::{Cache, PageTags, cache_page};
use larder_tests::{client, http2_client, serve};
use tokio::sync::Notify;

use crate::support::{Runs, ask, get, get_with, memory, origin, request, saying};

fn mounts(app: &Router) -> [(&'static str, Cache, Router); 2] {
    let (one, two) = (memory(), memory());
    let page = app.clone().layer(cache_page(60).cache(&one).tags(["layer"]));
    let site = larder::site(app.clone()).cache(&two).with(|l| l.tags(["layer"])).into_router();
    [("cache_page", one, page), ("site", two, site)]
}

#[tokio::test]
async fn tags_of_the_layer_and_of_the_handler_add_up_and_each_of_them_forgets_the_page() {
    let (app, _) =
        origin(|run, _| (PageTags::new(["course:7"]), PageTags::new(["list"]), format!("run {run}")));
    for (name, cache, app) in mounts(&app) {
        for tag in ["layer", "course:7", "list"] {
            ask(&app, get("/")).await;
            assert!(ask(&app, get("/")).await.is_hit(), "{name}, {tag}");
            cache.invalidate([tag]).await.unwrap();
            assert!(!ask(&app, get("/")).await.is_hit(), "{name}, {tag}");
        }
        assert!(ask(&app, get("/")).await.is_hit(), "{name}");
        cache.invalidate(["course:8", "", "lis", "LAYER"]).await.unwrap();
        assert!(ask(&app, get("/")).await.is_hit(), "{name}: other tags");
    }
}

#[tokio::test]
async fn a_tag_forgets_all_its_pages_with_all_their_variants_and_no_other() {
    let (app, runs) = origin(|run, parts| {
        let tag = parts.uri.path().trim_start_matches('/')[..1].to_owned();
        (PageTags::new([tag]), [("vary", "accept-language")], format!("run {run}"))
    });
    for (name, cache, app) in mounts(&app) {
        let all: Vec<(String, &str)> = ["/a1", "/a2", "/b1"]
            .into_iter()
            .flat_map(|path| ["de", "en"].map(|language| (path.to_owned(), language)))
            .collect();
        let all_hit = async || {
            let mut hits = Vec::new();
            for (path, language) in &all {
                hits.push(ask(&app, get_with(path, &[("accept-language", language)])).await.is_hit());
            }
            hits
        };
        all_hit().await;
        assert_eq!(all_hit().await, [true; 6], "{name}");
        cache.invalidate(["a"]).await.unwrap();
        assert_eq!(all_hit().await, [false, false, false, false, true, true], "{name}");
        cache.clear().await.unwrap();
        assert_eq!(all_hit().await, [false; 6], "{name}");
    }
    assert_eq!(runs.count(), 2 * 16);
}

#[tokio::test]
async fn pages_and_values_are_forgotten_together() {
    let (app, _) = origin(|run, _| (PageTags::new(["course:7"]), format!("run {run}")));
    for (name, cache, app) in mounts(&app) {
        ask(&app, get("/")).await;
        cache.set("course:7", "Rust").tags(["course:7"]).await.unwrap();
        cache.set("other", "stays").await.unwrap();
        cache.invalidate(["course:7"]).await.unwrap();
        assert_eq!(cache.get::<String>("course:7").await.unwrap(), None, "{name}");
        assert_eq!(cache.get::<String>("other").await.unwrap().as_deref(), Some("stays"), "{name}");
        assert!(!ask(&app, get("/")).await.is_hit(), "{name}");
    }
}

#[tokio::test]
async fn a_handler_that_invalidates_before_it_answers_has_forgotten_when_its_answer_is_there() {
    let cache = memory();
    let forgets = cache.clone();
    let runs = Runs::default();
    let seen = runs.clone();
    let list = on_get(move || async move { format!("run {}", seen.next()) });
    let app = Router::new()
        .route("/courses", list.layer(cache_page(60).cache(&cache).tags(["course_list"])))
        .route(
            "/enrol",
            axum::routing::post(move || async move {
                match forgets.invalidate(["course_list"]).await {
                    Ok(()) => StatusCode::NO_CONTENT,
                    Err(_) => StatusCode::SERVICE_UNAVAILABLE,
                }
            }),
        );
    ask(&app, get("/courses")).await;
    assert!(ask(&app, get("/courses")).await.is_hit());
    assert_eq!(ask(&app, request(Method::POST, "/enrol", &[])).await.status, StatusCode::NO_CONTENT);
    assert_eq!(ask(&app, get("/courses")).await.text(), "run 2");
}

#[tokio::test]
async fn a_write_that_succeeds_drops_all_variants_of_its_own_url_and_of_no_other() {
    let (app, _) = origin(|run, parts| match parts.method {
        Method::GET | Method::HEAD => ([("vary", "accept-language")], format!("run {run}")).into_response(),
        _ => StatusCode::from_bytes(parts.headers["x-status"].as_bytes()).unwrap().into_response(),
    });
    let warm = [
        get_with as fn(&str, &[(&str, &str)]) -> _,
        |uri, _| get_with(uri, &[("accept-language", "de")]),
        |uri, _| get_with(uri, &[("accept-language", "de"), ("cookie", "user=1")]),
        |uri, _| request(Method::HEAD, uri, &[("authorization", "Bearer x")]),
    ];
    for (name, _, app) in mounts(&app) {
        for (status, drops) in
            [("200", true), ("201", true), ("204", true), ("303", true), ("400", false), ("500", false)]
        {
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                for uri in ["/a?x=1", "/a?x=2", "/b"] {
                    for warm in warm {
                        ask(&app, warm(uri, &[])).await;
                    }
                }
                let write = ask(&app, request(method.clone(), "/a?x=1", &[("x-status", status)])).await;
                assert_eq!(write.cache_status(), "larder; fwd=method", "{name}");
                for warm in warm {
                    let hits = [
                        ask(&app, warm("/a?x=1", &[])).await.is_hit(),
                        ask(&app, warm("/a?x=2", &[])).await.is_hit(),
                        ask(&app, warm("/b", &[])).await.is_hit(),
                    ];
                    assert_eq!(hits, [!drops, true, true], "{name}: {method} answered with {status}");
                }
            }
        }
        // Safe methods drop nothing.
        for method in [Method::OPTIONS, Method::TRACE, Method::HEAD] {
            ask(&app, request(method, "/b", &[("x-status", "200")])).await;
            assert!(ask(&app, get("/b")).await.is_hit(), "{name}");
        }
    }
}

#[tokio::test]
async fn a_page_that_is_made_during_the_first_write_to_its_url_is_dropped_by_it() {
    let site = |app: &Router| larder::site(app.clone()).cache(memory()).into_router();
    let page = |app: &Router| app.clone().layer(cache_page(60).cache(memory()));
    let nested = |app: &Router| Router::new().nest("/first", page(app));
    for (name, mount) in [("site", &site as &dyn Fn(&Router) -> Router), ("page", &page), ("nested", &nested)]
    {
        let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let gates = (entered.clone(), leave.clone());
        let app = Router::new().fallback(move |method: Method| {
            let (entered, leave) = gates.clone();
            async move {
                if method == Method::POST {
                    entered.notify_one();
                    leave.notified().await;
                }
                "done"
            }
        });
        let app = mount(&app);
        // No other test writes to a path of this name, so there is no page of it yet.
        let uri = format!("/first/write-to-a-{name}?b=1");
        let write = tokio::spawn({
            let (app, uri) = (app.clone(), uri.clone());
            async move { ask(&app, request(Method::POST, &uri, &[])).await.status }
        });
        entered.notified().await;
        ask(&app, get(&uri)).await;
        assert!(ask(&app, get(&uri)).await.is_hit(), "{name}");
        leave.notify_one();
        assert_eq!(write.await.unwrap(), StatusCode::OK, "{name}");
        assert!(!ask(&app, get(&uri)).await.is_hit(), "{name}: it was read before the write was done");
    }
}

#[tokio::test]
async fn a_write_drops_the_pages_whatever_else_their_key_has() {
    let (app, _) = saying(&[]);
    let cache = memory();
    let app = app.layer(cache_page(60).cache(&cache).key_fn(|parts| {
        parts
            .headers
            .get("x-tenant")
            .map_or_else(String::new, |v| String::from_utf8_lossy(v.as_bytes()).into_owned())
    }));
    let pages = || {
        [get_with("/", &[("x-tenant", "a")]), get_with("/", &[("x-forwarded-host", "elsewhere")]), get("/")]
    };
    for page in pages() {
        ask(&app, page).await;
    }
    for page in pages() {
        assert!(ask(&app, page).await.is_hit());
    }
    ask(&app, request(Method::POST, "/", &[("x-tenant", "b")])).await;
    for page in pages() {
        let page = ask(&app, page).await;
        assert!(!page.is_hit(), "{page:?}");
    }
}

#[tokio::test]
async fn a_write_over_one_version_of_http_drops_what_came_over_the_other() {
    let (app, _) = saying(&[]);
    for (name, _, app) in mounts(&app) {
        let served = serve(app).await;
        let (one, two) = (client(), http2_client());
        let is_hit = async |client: &larder_tests::reqwest::Client| {
            let answer = client.get(served.url("/")).send().await.unwrap();
            answer.headers()["cache-status"].to_str().unwrap().contains("hit")
        };
        for (reader, writer) in [(&one, &two), (&two, &one)] {
            is_hit(reader).await;
            assert!(is_hit(reader).await, "{name}");
            writer.post(served.url("/")).send().await.unwrap();
            assert!(!is_hit(reader).await, "{name}");
        }
    }
}

#[tokio::test]
async fn tags_beyond_number_and_length_are_tags_still() {
    let (app, _) = origin(|run, _| {
        let many = (0..500).map(|n| format!("t{n}")).chain([
            String::new(),
            "ä \n:;\"".to_owned(),
            "x".repeat(10_000),
        ]);
        (PageTags::new(many), format!("run {run}"))
    });
    for (name, cache, app) in mounts(&app) {
        for tag in ["t0", "t499", "ä \n:;\"", &"x".repeat(10_000)] {
            ask(&app, get("/")).await;
            assert!(ask(&app, get("/")).await.is_hit(), "{name}");
            cache.invalidate([tag]).await.unwrap();
            assert!(!ask(&app, get("/")).await.is_hit(), "{name}");
        }
    }
}
