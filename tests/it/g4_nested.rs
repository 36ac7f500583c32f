//! G4 where layers nest: what an inner layer's page carries, the page that an outer layer makes of it carries too.

use axum::Router;
use axum::body::Body;
use http::{Method, Request, Response};
use larder::{PageTags, cache_page};

use crate::fed::{asking, settle, soon};
use crate::g3_once::beside;
use crate::support::{ask, get, get_with, memory, origin, request, saying};

/// Drops what stands beside a response, as a middleware that builds it anew does.
async fn anew(request: Request<Body>, next: axum::middleware::Next) -> Response<Body> {
    let (parts, body) = next.run(request).await.into_parts();
    let mut response = Response::new(body);
    (*response.status_mut(), *response.headers_mut()) = (parts.status, parts.headers);
    response
}

#[tokio::test]
async fn the_tags_of_an_inner_layer_forget_the_page_of_the_outer_one() {
    for outer in ["site", "cache_page"] {
        let cache = memory();
        let (app, runs) = saying(&[]);
        let inner = app.layer(cache_page(60).cache(&cache).key_prefix("inner").tags(["course_list"]));
        let app = match outer {
            "site" => larder::site(inner).cache(&cache).into_router(),
            _ => inner.layer(cache_page(60).cache(&cache)),
        };
        ask(&app, get("/")).await;
        assert!(ask(&app, get("/")).await.is_hit(), "{outer}");
        cache.invalidate(["course_list"]).await.unwrap();
        assert_eq!(ask(&app, get("/")).await.text(), "run 2", "{outer}");
        assert_eq!(runs.count(), 2, "{outer}");
    }
}

#[tokio::test]
async fn who_joins_inside_makes_no_page_outside_that_the_tags_do_not_reach() {
    let cache = memory();
    let (app, mut asked, runs) = asking();
    let inner: Router = app.layer(cache_page(60).cache(&cache).ignore_cookies());
    let app = larder::site(inner).cache(&cache).into_router();
    let of = |user: &'static str| get_with("/", &[("cookie", user)]);
    let (first, second) = (beside(&app, of("id=a")), beside(&app, of("id=b")));
    let run = soon(asked.recv()).await.unwrap();
    settle().await;
    assert_eq!(runs.count(), 1, "outside they are two, inside one");
    let mut response = crate::fed::saying(&[], "old");
    response.extensions_mut().insert(PageTags::new(["course:7"]));
    run.answer(response);
    assert_eq!((soon(first).await.unwrap().text(), soon(second).await.unwrap().text()), ("old", "old"));

    cache.invalidate(["course:7"]).await.unwrap();
    for user in ["id=a", "id=b"] {
        let mut again = beside(&app, of(user));
        let answer = loop {
            let run = tokio::select! {
                answer = soon(&mut again) => break answer.unwrap(),
                run = asked.recv() => run.unwrap(),
            };
            run.say(&[], "new");
        };
        assert_eq!(answer.text(), "new", "{user}");
    }
}

#[tokio::test]
async fn a_middleware_between_the_pair_that_drops_extensions_takes_no_tag_away() {
    let cache = memory();
    let (app, _) = origin(|run, _| (PageTags::new(["course:7"]), format!("run {run}")));
    let app = app
        .layer(larder::FetchFromCacheLayer::new())
        .layer(axum::middleware::from_fn(anew))
        .layer(larder::UpdateCacheLayer::new(60).cache(&cache));
    ask(&app, get("/")).await;
    assert!(ask(&app, get("/")).await.is_hit());
    cache.invalidate(["course:7"]).await.unwrap();
    assert_eq!(ask(&app, get("/")).await.text(), "run 2");
}

#[tokio::test]
async fn the_page_of_a_head_is_forgotten_with_the_tags_of_an_inner_layer_too() {
    let cache = memory();
    let (app, _) = saying(&[]);
    let inner = app.layer(cache_page(60).cache(&cache).key_prefix("inner").tags(["list"]));
    let app = larder::site(inner).cache(&cache).into_router();
    ask(&app, request(Method::HEAD, "/", &[])).await;
    assert!(ask(&app, request(Method::HEAD, "/", &[])).await.is_hit());
    cache.invalidate(["list"]).await.unwrap();
    assert!(!ask(&app, request(Method::HEAD, "/", &[])).await.is_hit());
}
