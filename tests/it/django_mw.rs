//! What Django's cache middlewares and `cache_page` store, group MW of the list: each test names its line. Where Larder is safer, the test
//! holds Larder's behaviour, and the guide "Coming from Django" says why.

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use http::{Method, StatusCode};
use larder::prelude::*;
use larder::{Cache, ManualClock, site};
use tower::{ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;

use crate::support::{Answer, Runs, ask, clocked, get, get_with, origin, request, saying};

/// `cache_page(60)` around an application.
fn paged(app: Router) -> (Router, Cache, ManualClock) {
    let (cache, hand) = clocked();
    (app.layer(cache_page(60).cache(&cache)), cache, hand)
}

/// The per-site pair with 600 seconds around an application.
fn sited(app: Router) -> (Router, Cache, ManualClock) {
    let (cache, hand) = clocked();
    (site(app).cache(&cache).into_router(), cache, hand)
}

/// Whether both forms of the cache store a page with these fields.
async fn is_stored(fields: &[(&'static str, &str)]) -> bool {
    let (app, page_runs) = saying(fields);
    let (page, ..) = paged(app);
    let (app, site_runs) = saying(fields);
    let (site, ..) = sited(app);
    for app in [&page, &site] {
        ask(app, get("/")).await;
        ask(app, get("/")).await;
    }
    assert_eq!(page_runs.count(), site_runs.count(), "both forms store the same: {fields:?}");
    page_runs.count() == 1
}

fn has_caching_headers(answer: &Answer) -> bool {
    answer.headers.contains_key("expires") || answer.headers.contains_key("cache-control")
}

#[tokio::test]
async fn mw_01_a_200_is_stored_gets_caching_headers_and_answers_the_next_get() {
    let (app, runs) = saying(&[]);
    let (page, ..) = paged(app);
    let first = ask(&page, get("/")).await;
    assert_eq!(first.field("cache-control"), "max-age=60");
    assert_eq!(first.field("expires"), "Tue, 14 Nov 2023 22:14:20 GMT");
    assert!(!first.headers.contains_key("age"), "the first answer is not from the cache");
    let second = ask(&page, get("/")).await;
    assert_eq!((second.text(), runs.count()), ("run 1", 1));
    assert!(second.is_hit());

    let (app, runs) = saying(&[]);
    let (site, ..) = sited(app);
    assert_eq!(ask(&site, get("/")).await.field("cache-control"), "max-age=600");
    assert_eq!((ask(&site, get("/")).await.text(), runs.count()), ("run 1", 1));
}

#[tokio::test]
async fn mw_02_other_methods_neither_read_nor_write_the_cache() {
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let method: Method = method.parse().unwrap();
        let (app, runs) = saying(&[]);
        let (page, ..) = paged(app);
        for run in 1..=2 {
            let answer = ask(&page, request(method.clone(), "/", &[])).await;
            assert_eq!(answer.text(), format!("run {run}"), "{method}");
            assert!(!has_caching_headers(&answer), "{method}");
        }
        assert_eq!(ask(&page, get("/")).await.text(), "run 3", "{method} wrote nothing that a GET reads");
        assert_eq!(runs.count(), 3);
    }
}

#[tokio::test]
async fn mw_02_a_successful_write_drops_the_pages_of_its_url_and_a_question_does_not() {
    for (method, status, kept) in
        [("OPTIONS", 200, true), ("POST", 200, false), ("DELETE", 303, false), ("PUT", 422, true)]
    {
        let (app, _) = origin(move |run, parts| {
            let status = if parts.method == Method::GET { 200 } else { status };
            (StatusCode::from_u16(status).unwrap(), format!("run {run}"))
        });
        let (page, ..) = paged(app);
        ask(&page, get("/")).await;
        ask(&page, request(method.parse().unwrap(), "/", &[])).await;
        let after = ask(&page, get("/")).await;
        assert_eq!(after.text() == "run 1", kept, "{method} {status}");
    }
}

#[tokio::test]
async fn mw_04_no_status_but_200_is_stored_or_gets_caching_headers() {
    for status in
        [201, 202, 203, 204, 206, 300, 301, 302, 307, 308, 400, 401, 403, 404, 405, 410, 500, 502, 503]
    {
        let status = StatusCode::from_u16(status).unwrap();
        let (app, runs) = origin(move |run, _| (status, format!("run {run}")));
        for (app, before) in [(paged(app.clone()).0, 0), (sited(app).0, 2)] {
            for _ in 0..2 {
                let answer = ask(&app, get("/")).await;
                assert_eq!(answer.status, status);
                assert!(!has_caching_headers(&answer), "{status}");
            }
            assert_eq!(runs.count(), before + 2, "{status}");
        }
    }
}

#[tokio::test]
async fn mw_05_a_304_gets_caching_headers_and_is_not_stored() {
    let not_modified = |cc: &'static str| {
        origin(move |_, _| (StatusCode::NOT_MODIFIED, [("cache-control", cc)]).into_response())
    };
    let (app, runs) = not_modified("public");
    let (page, ..) = paged(app);
    for _ in 0..2 {
        let answer = ask(&page, get("/")).await;
        assert_eq!(answer.status, 304);
        assert_eq!(answer.field("cache-control"), "public, max-age=60");
        assert_eq!(answer.field("expires"), "Tue, 14 Nov 2023 22:14:20 GMT");
    }
    assert_eq!(runs.count(), 2);

    // Its own max-age counts as it does for a 200; what can't be kept gets nothing.
    for (own, patched) in
        [("max-age=5", true), ("max-age=1000", true), ("max-age=0", false), ("no-cache", false)]
    {
        let answer = ask(&sited(not_modified(own).0).0, get("/")).await;
        assert_eq!(answer.field("cache-control"), own);
        assert_eq!(answer.headers.contains_key("expires"), patched, "{own}");
    }
}

#[tokio::test]
async fn mw_06_a_streaming_response_is_not_stored_and_gets_no_caching_headers() {
    let (app, runs) = origin(|run, _| {
        let parts = [Ok::<_, std::io::Error>(format!("run {run}"))];
        Body::from_stream(futures_util::stream::iter(parts))
    });
    let (page, ..) = paged(app);
    for run in 1..=2 {
        let answer = ask(&page, get("/")).await;
        assert_eq!(answer.text(), format!("run {run}"));
        assert!(!has_caching_headers(&answer));
    }
    assert_eq!(runs.count(), 2);
}

#[tokio::test]
async fn mw_07_private_no_store_and_no_cache_are_not_stored() {
    for cc in ["private", "no-store", "no-cache", "Private", "max-age=60, NO-STORE", "public, private"] {
        assert!(!is_stored(&[("cache-control", cc)]).await, "{cc}");
    }
    assert!(!is_stored(&[("cache-control", "max-age=9"), ("cache-control", "private")]).await);
}

#[tokio::test]
async fn mw_08_qualified_restrictions_are_not_stored() {
    for cc in [
        "private=\"Set-Cookie\"",
        "no-cache=\"Set-Cookie\"",
        "no-store=\"x\"",
        "private = \"Set-Cookie\"",
        "no-cache =\"Set-Cookie\"",
        "no-store= \"x\"",
    ] {
        assert!(!is_stored(&[("cache-control", cc)]).await, "{cc}");
    }
}

#[tokio::test]
async fn mw_09_a_directive_that_only_contains_such_a_name_restricts_nothing() {
    for cc in ["myprivate", "x-private-ish=1", "my-no-store", "x=\"no-store\"", "no-cached"] {
        assert!(is_stored(&[("cache-control", cc)]).await, "{cc}");
    }
}

#[tokio::test]
async fn mw_10_vary_star_is_not_stored() {
    for vary in ["*", " * ", "Cookie, * , Pony"] {
        assert!(!is_stored(&[("vary", vary)]).await, "{vary:?}");
    }
    assert!(!is_stored(&[("vary", "Pony"), ("vary", "*")]).await, "on a line of its own");
}

#[tokio::test]
async fn mw_11_a_cookie_on_a_page_that_varies_on_cookie_is_not_stored_whatever_the_request_carries() {
    let (app, runs) = saying(&[("set-cookie", "session=new"), ("vary", "Cookie")]);
    let (page, ..) = paged(app);
    for cookies in [&[][..], &[], &[("cookie", "session=old")], &[("cookie", "session=old")]] {
        assert_eq!(ask(&page, get_with("/", cookies)).await.field("set-cookie"), "session=new");
    }
    assert_eq!(runs.count(), 4);
}

#[tokio::test]
async fn mw_12_a_cookie_is_never_stored_so_never_replayed_to_others() {
    for vary in [&[][..], &[("vary", "Accept")]] {
        let fields = [&[("set-cookie", "session=1")], vary].concat();
        assert!(!is_stored(&fields).await, "{fields:?}");
    }
}

async fn texts(app: &Router, requests: &[&[(&str, &str)]]) -> Vec<String> {
    let mut texts = Vec::new();
    for fields in requests {
        texts.push(ask(app, get_with("/", fields)).await.text().to_owned());
    }
    texts
}

const ONE: &[(&str, &str)] = &[("authorization", "token one")];
const TWO: &[(&str, &str)] = &[("authorization", "token two")];

#[tokio::test]
async fn mw_13_a_page_made_for_an_authorization_only_comes_back_to_it() {
    let (app, _) = saying(&[]);
    for app in [paged(app.clone()).0, sited(saying(&[]).0).0] {
        let first = ask(&app, get_with("/", ONE)).await;
        assert!(first.is_stored());
        // Django adds `Vary: Authorization`; `private` says it to shared caches, which must not keep it at all.
        assert!(first.field("cache-control").contains("private"));
        assert_eq!(texts(&app, &[TWO, ONE, TWO]).await, ["run 2", "run 1", "run 2"]);
    }
}

#[tokio::test]
async fn mw_14_whoever_comes_without_authorization_is_not_shown_a_page_made_with_one() {
    let (page, ..) = paged(saying(&[]).0);
    assert_eq!(texts(&page, &[ONE, &[], ONE, &[]]).await, ["run 1", "run 2", "run 1", "run 2"]);
}

#[tokio::test]
async fn mw_15_a_public_page_is_for_every_token_and_for_none() {
    for cc in ["public", "public=\"abc\"", "max-age=60, Public"] {
        let (app, runs) = saying(&[("cache-control", cc)]);
        let (page, ..) = paged(app);
        let first = ask(&page, get_with("/", ONE)).await;
        assert!(!first.headers.contains_key("vary") && !first.field("cache-control").contains("private"));
        assert_eq!(texts(&page, &[TWO, &[]]).await, ["run 1", "run 1"], "{cc}");
        assert_eq!(runs.count(), 1);
    }
    let (page, ..) = paged(saying(&[("cache-control", "no_public")]).0);
    assert_eq!(texts(&page, &[ONE, TWO]).await, ["run 1", "run 2"], "not the whole name");
}

#[tokio::test]
async fn mw_16_a_page_made_for_nobody_is_not_shown_to_an_authorization() {
    let (page, ..) = paged(saying(&[]).0);
    assert_eq!(texts(&page, &[&[], ONE, ONE, &[]]).await, ["run 1", "run 2", "run 2", "run 1"]);
}

#[tokio::test]
async fn mw_38_a_request_cannot_order_a_new_page_nor_forbid_storing_one() {
    for fields in
        [("cache-control", "no-cache"), ("cache-control", "no-store, max-age=0"), ("pragma", "no-cache")]
    {
        let (page, ..) = paged(saying(&[]).0);
        assert_eq!(texts(&page, &[&[fields], &[fields], &[]]).await, ["run 1"; 3], "{fields:?}");
    }
}

#[tokio::test]
async fn mw_39_what_fails_is_not_stored_and_the_failure_passes_through() {
    let (cache, _) = clocked();
    let runs = Runs::default();
    let seen = runs.clone();
    let service = ServiceBuilder::new().layer(cache_page(60).cache(&cache)).service(tower::service_fn(
        move |_: http::Request<Body>| {
            let run = seen.next();
            async move {
                match run {
                    1 => Err(std::io::Error::other("the view raised")),
                    _ => Ok(http::Response::new(Body::from(format!("run {run}")))),
                }
            }
        },
    ));
    let error = service.clone().oneshot(get("/")).await.unwrap_err();
    assert_eq!(error.to_string(), "the view raised");
    let answer = Answer::of(service.clone().oneshot(get("/")).await.unwrap()).await;
    assert_eq!((answer.text(), answer.is_stored()), ("run 2", true));

    let (app, runs) = origin(|run, _| {
        assert!(run > 1, "the handler panics");
        format!("run {run}")
    });
    let app = site(app).cache(&clocked().0).into_router().layer(CatchPanicLayer::new());
    assert_eq!(ask(&app, get("/")).await.status, 500);
    assert_eq!(ask(&app, get("/")).await.text(), "run 2");
    assert_eq!((ask(&app, get("/")).await.text(), runs.count()), ("run 2", 2));
}
