//! Django's conditional requests, group CG of the list: `ConditionalGetMiddleware` is `conditional_get()`, the `condition` decorator is
//! `conditional_get().etag(…).last_modified(…)`, and a stored page answers conditions itself.

use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use http::{Method, StatusCode};
use larder::prelude::*;
use larder::{ConditionalGetLayer, ManualClock, site};

use crate::support::{Answer, BEGIN, ask, clocked, get, get_with, origin, request, saying};

/// When the resource changed last, a second earlier and a second later.
const CHANGED: &str = "Fri, 12 Oct 2007 11:00:00 GMT";
const BEFORE: &str = "Fri, 12 Oct 2007 10:59:59 GMT";
const AFTER: &str = "Fri, 12 Oct 2007 11:00:01 GMT";

fn middleware() -> ConditionalGetLayer {
    conditional_get().clock(ManualClock::new(BEGIN).clock())
}

fn with_etag() -> ConditionalGetLayer {
    middleware().etag(|_| Some("\"b4246ffc4f62314ca13147c9d4f76974\"".to_owned()))
}

fn with_date() -> ConditionalGetLayer {
    middleware().last_modified(|_| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_192_186_800)))
}

fn with_both() -> ConditionalGetLayer {
    with_etag().last_modified(|_| Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_192_186_800_700)))
}

const ETAG: &str = "\"b4246ffc4f62314ca13147c9d4f76974\"";
const OTHER: &str = "\"7eaa0b3a9e5c1c3f7a5b3d3c0d1f1d9c\"";

/// What a page with these fields becomes behind the middleware, for a GET with those.
async fn after(page: &[(&'static str, &str)], asked: &[(&str, &str)]) -> Answer {
    ask(&saying(page).0.layer(middleware()), get_with("/", asked)).await
}

/// The status behind a layer that knows its validators beforehand, and whether the handler ran.
async fn condition(layer: ConditionalGetLayer, method: Method, asked: &[(&str, &str)]) -> (u16, bool) {
    let (app, runs) = saying(&[]);
    let answer = ask(&app.layer(layer), request(method, "/", asked)).await;
    (answer.status.as_u16(), runs.count() == 1)
}

const RAN: (u16, bool) = (200, true);
const UNCHANGED: (u16, bool) = (304, false);
const FAILED: (u16, bool) = (412, false);

#[tokio::test]
async fn cg_01_a_page_without_an_etag_gets_one_made_of_its_body() {
    let (app, _) = origin(|_, parts| parts.uri.path().to_owned());
    let app = app.layer(middleware());
    let (one, same, two) =
        (ask(&app, get("/1")).await, ask(&app, get("/1")).await, ask(&app, get("/2")).await);
    let etag = one.field("etag");
    assert!(etag.len() > 10 && etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    assert_eq!((same.field("etag"), one.text()), (etag.clone(), "/1"));
    assert_ne!(two.field("etag"), etag);
    assert_eq!(ask(&app, get_with("/1", &[("if-none-match", &etag)])).await.status, 304);
}

#[tokio::test]
async fn cg_02_an_etag_of_the_page_is_left_alone() {
    assert_eq!(after(&[("etag", "\"eggs\"")], &[]).await.field("etag"), "\"eggs\"");
}

#[tokio::test]
async fn cg_03_streams_empty_pages_errors_and_no_store_get_no_etag() {
    let (streaming, _) =
        origin(|_, _| Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>("spam")])));
    let (empty, _) = origin(|_, _| "");
    let (missing, _) = origin(|_, _| (StatusCode::NOT_FOUND, "no"));
    let (no_store, _) = saying(&[("cache-control", "No-Store, private")]);
    for (app, why) in [(streaming, "stream"), (empty, "empty"), (missing, "404"), (no_store, "no-store")] {
        let answer = ask(&app.layer(middleware()), get("/")).await;
        assert_eq!(answer.field("etag"), "", "{why}");
    }
    let quoted = after(&[("cache-control", "my-directive=\"my-no-store\"")], &[]).await;
    assert_ne!(quoted.field("etag"), "", "only the name of a directive counts");
}

#[tokio::test]
async fn cg_04_head_gets_no_etag_and_a_write_is_never_refused_afterwards() {
    let app = saying(&[]).0.layer(middleware());
    assert_eq!(ask(&app, request(Method::HEAD, "/", &[])).await.field("etag"), "");
    let put = request(Method::PUT, "/", &[("if-match", "\"spam\"")]);
    assert_eq!(ask(&saying(&[("etag", "\"eggs\"")]).0.layer(middleware()), put).await.status, 200);
}

#[tokio::test]
async fn cg_05_if_none_match_is_compared_with_the_pages_etag() {
    for (etag, asked, status) in [("\"spam\"", "\"spam\"", 304), ("\"spam\"", "\"eggs\"", 200)] {
        let answer = after(&[("etag", etag)], &[("if-none-match", asked)]).await;
        assert_eq!((answer.status.as_u16(), answer.body.is_empty()), (status, status == 304));
    }
    assert_eq!(after(&[], &[("if-none-match", "\"spam\"")]).await.status, 200, "the computed one differs");
    assert_eq!(after(&[("etag", "\"spam\"")], &[]).await.status, 200, "nobody asked");
}

#[tokio::test]
async fn cg_06_redirects_and_errors_stay_what_they_are() {
    for status in [301, 302, 400, 404, 500] {
        let (app, _) = origin(move |_, _| {
            (
                StatusCode::from_u16(status).unwrap(),
                [("etag", "\"spam\""), ("last-modified", CHANGED)],
                "body",
            )
        });
        let app = app.layer(middleware());
        for asked in [("if-none-match", "\"spam\""), ("if-modified-since", CHANGED), ("if-match", "\"eggs\"")]
        {
            assert_eq!(ask(&app, get_with("/", &[asked])).await.status, status, "{asked:?}");
        }
    }
    let (accepted, _) = origin(|_, _| (StatusCode::ACCEPTED, [("etag", "\"spam\"")], "body"));
    let asked = get_with("/", &[("if-none-match", "\"spam\"")]);
    assert_eq!(ask(&accepted.layer(middleware()), asked).await.status, 304, "any success will do");
}

#[tokio::test]
async fn cg_07_if_modified_since_is_compared_with_last_modified() {
    for (since, status) in [(CHANGED, 304), (AFTER, 304), (BEFORE, 200)] {
        let answer = after(&[("last-modified", CHANGED)], &[("if-modified-since", since)]).await;
        assert_eq!(answer.status, status, "{since}");
    }
    assert_eq!(after(&[], &[("if-modified-since", AFTER)]).await.status, 200, "no Last-Modified");
}

#[tokio::test]
async fn cg_08_a_304_keeps_what_a_client_needs_and_the_cookies() {
    let kept = [
        ("cache-control", "public"),
        ("content-location", "/alternate"),
        ("date", CHANGED),
        ("etag", "\"spam\""),
        ("expires", AFTER),
        ("last-modified", CHANGED),
        ("vary", "Cookie"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
    ];
    let dropped = [("content-language", "en"), ("content-type", "text/plain"), ("content-length", "5")];
    let answer = after(&[&kept[..], &dropped].concat(), &[("if-none-match", "\"spam\"")]).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::NOT_MODIFIED, 0));
    for (name, value) in kept.iter().filter(|(name, _)| *name != "set-cookie") {
        assert_eq!(answer.field(name), *value);
    }
    assert_eq!(answer.field("set-cookie"), "a=1, b=2");
    for name in ["content-language", "content-type"] {
        assert_eq!(answer.field(name), "", "{name}");
    }
}

#[tokio::test]
async fn cg_09_what_is_known_beforehand_stands_on_every_answer_to_a_read() {
    for (asked, status) in [(&[][..], 200), (&[("if-none-match", ETAG)], 304), (&[("if-match", OTHER)], 412)]
    {
        let answer = ask(&saying(&[]).0.layer(with_both()), get_with("/", asked)).await;
        let says = (answer.status.as_u16(), answer.field("etag"), answer.field("last-modified"));
        assert_eq!(says, (status, ETAG.to_owned(), CHANGED.to_owned()));
    }
    let put = ask(&saying(&[]).0.layer(with_both()), request(Method::PUT, "/", &[])).await;
    assert_eq!((put.field("etag"), put.field("last-modified")), Default::default(), "a write changed it");
    let own = ask(&saying(&[("etag", "\"own\"")]).0.layer(with_both()), get("/")).await;
    assert_eq!(own.field("etag"), "\"own\"");
}

#[tokio::test]
async fn cg_10_if_modified_since_is_asked_before_the_handler_and_ignored_if_it_is_no_date() {
    for (since, outcome) in
        [(CHANGED, UNCHANGED), (AFTER, UNCHANGED), (BEFORE, RAN), ("32 Oct", RAN), ("", RAN)]
    {
        for layer in [with_date(), with_both()] {
            assert_eq!(
                condition(layer, Method::GET, &[("if-modified-since", since)]).await,
                outcome,
                "{since:?}"
            );
        }
    }
    assert_eq!(condition(with_date(), Method::PUT, &[("if-modified-since", CHANGED)]).await, RAN);
}

#[tokio::test]
async fn cg_11_if_unmodified_since_fails_where_the_resource_changed_later() {
    for (since, outcome) in [(BEFORE, FAILED), (CHANGED, RAN), (AFTER, RAN), ("32 Oct", RAN)] {
        for method in [Method::GET, Method::PUT] {
            let asked = [("if-unmodified-since", since)];
            assert_eq!(condition(with_both(), method, &asked).await, outcome, "{since:?}");
        }
    }
}

#[tokio::test]
async fn cg_12_if_unmodified_since_fails_where_no_date_is_known() {
    assert_eq!(condition(with_etag(), Method::GET, &[("if-unmodified-since", CHANGED)]).await, FAILED);
    assert_eq!(condition(with_etag(), Method::PUT, &[("if-unmodified-since", AFTER)]).await, FAILED);
}

#[tokio::test]
async fn cg_13_if_none_match_is_304_for_reads_and_412_for_writes() {
    let lists = [ETAG.to_owned(), format!("{OTHER}, {ETAG}"), format!("{ETAG},{OTHER}")];
    for list in &lists {
        let asked = [("if-none-match", list.as_str())];
        assert_eq!(condition(with_etag(), Method::GET, &asked).await, UNCHANGED);
        assert_eq!(condition(with_etag(), Method::HEAD, &asked).await, UNCHANGED);
        assert_eq!(condition(with_etag(), Method::PUT, &asked).await, FAILED);
    }
    assert_eq!(condition(with_etag(), Method::GET, &[("if-none-match", OTHER)]).await, RAN);
    assert_eq!(condition(with_etag(), Method::PUT, &[("if-none-match", OTHER)]).await, RAN);
}

fn tagged(etag: &'static str) -> ConditionalGetLayer {
    middleware().etag(move |_| Some(etag.to_owned()))
}

#[tokio::test]
async fn cg_14_if_none_match_compares_weakly() {
    for (own, asked) in [("W/\"1\"", "\"1\""), ("\"1\"", "W/\"1\""), ("W/\"1\"", "W/\"1\"")] {
        assert_eq!(
            condition(tagged(own), Method::GET, &[("if-none-match", asked)]).await,
            UNCHANGED,
            "{own} {asked}"
        );
    }
}

#[tokio::test]
async fn cg_15_if_match_compares_strongly() {
    for (own, asked) in [("W/\"1\"", "\"1\""), ("\"1\"", "W/\"1\""), ("W/\"1\"", "W/\"1\"")] {
        assert_eq!(
            condition(tagged(own), Method::PUT, &[("if-match", asked)]).await,
            FAILED,
            "{own} {asked}"
        );
    }
    assert_eq!(condition(tagged("\"1\""), Method::PUT, &[("if-match", "\"1\"")]).await, RAN);
}

#[tokio::test]
async fn cg_16_if_none_match_star_matches_what_has_an_etag() {
    let star = [("if-none-match", "*")];
    assert_eq!(condition(with_etag(), Method::GET, &star).await, UNCHANGED);
    assert_eq!(condition(with_etag(), Method::PUT, &star).await, FAILED);
    assert_eq!(condition(with_date(), Method::GET, &star).await, RAN);
    assert_eq!(condition(middleware().etag(|_| None), Method::PUT, &star).await, RAN);
}

#[tokio::test]
async fn cg_17_if_match_needs_an_etag_and_the_right_one() {
    assert_eq!(condition(with_etag(), Method::PUT, &[("if-match", "*")]).await, RAN);
    assert_eq!(condition(with_date(), Method::PUT, &[("if-match", "*")]).await, FAILED);
    assert_eq!(condition(with_etag(), Method::PUT, &[("if-match", ETAG)]).await, RAN);
    assert_eq!(condition(with_etag(), Method::GET, &[("if-match", OTHER)]).await, FAILED);
}

#[tokio::test]
async fn cg_18_beside_if_none_match_the_date_does_not_count() {
    let both = |etag, date| [("if-none-match", etag), ("if-modified-since", date)];
    assert_eq!(condition(with_both(), Method::GET, &both(ETAG, BEFORE)).await, UNCHANGED);
    assert_eq!(condition(with_both(), Method::GET, &both(OTHER, CHANGED)).await, RAN);
    assert_eq!(condition(with_both(), Method::GET, &both(ETAG, CHANGED)).await, UNCHANGED);
    assert_eq!(condition(with_date(), Method::GET, &both(ETAG, CHANGED)).await, RAN);
}

#[tokio::test]
async fn cg_19_beside_if_match_the_date_does_not_count() {
    let both = |etag, date| [("if-match", etag), ("if-unmodified-since", date)];
    assert_eq!(condition(with_both(), Method::PUT, &both(ETAG, BEFORE)).await, RAN);
    assert_eq!(condition(with_both(), Method::PUT, &both(OTHER, AFTER)).await, FAILED);
    assert_eq!(condition(with_both(), Method::GET, &both(ETAG, CHANGED)).await, RAN);
    assert_eq!(condition(with_date(), Method::PUT, &both(ETAG, AFTER)).await, FAILED);
}

#[tokio::test]
async fn cg_20_an_unquoted_etag_is_quoted_and_matched_so() {
    let layer = || tagged("b4246ffc4f62314ca13147c9d4f76974");
    assert_eq!(ask(&saying(&[]).0.layer(layer()), get("/")).await.field("etag"), ETAG);
    assert_eq!(condition(layer(), Method::GET, &[("if-none-match", ETAG)]).await, UNCHANGED);
    assert_eq!(
        condition(tagged("two\r\nlines"), Method::GET, &[]).await,
        RAN,
        "what can't be a header is none"
    );
}

#[tokio::test]
async fn cg_21_an_if_none_match_that_is_none_is_ignored() {
    for asked in ["\"\"\"", "b4246ffc4f62314ca13147c9d4f76974", "\"", ""] {
        assert_eq!(condition(with_etag(), Method::GET, &[("if-none-match", asked)]).await, RAN, "{asked}");
    }
    assert_eq!(
        condition(with_etag(), Method::PUT, &[("if-match", "\"\"\"")]).await,
        FAILED,
        "a guard is not"
    );
}

#[tokio::test]
async fn cg_a_stored_page_answers_conditions_itself() {
    let fields = [("etag", "\"spam\""), ("last-modified", CHANGED), ("content-language", "en")];
    let (app, runs) = saying(&fields);
    let apps: [Router; 2] =
        [app.clone().layer(cache_page(60).cache(&clocked().0)), site(app).cache(&clocked().0).into_router()];
    for (number, app) in apps.iter().enumerate() {
        // The first to come has a condition already; the page is made whole for those after it.
        let first = ask(app, get_with("/", &[("if-none-match", "\"spam\"")])).await;
        assert_eq!((first.status.as_u16(), runs.count()), (304, number + 1));
        for (asked, status) in [
            (("if-none-match", "W/\"spam\""), 304),
            (("if-none-match", "\"eggs\""), 200),
            (("if-modified-since", CHANGED), 304),
            (("if-modified-since", BEFORE), 200),
        ] {
            let answer = ask(app, get_with("/", &[asked])).await;
            assert_eq!(
                (answer.status.as_u16(), answer.body.is_empty()),
                (status, status == 304),
                "{asked:?}"
            );
            assert!(answer.is_hit() && answer.headers.contains_key("age"));
            assert_eq!(answer.field("content-language").is_empty(), status == 304);
        }
        assert_eq!(runs.count(), number + 1);
    }
}

#[tokio::test]
async fn cg_an_etag_made_inside_the_cache_is_stored_with_the_page() {
    let (app, runs) = origin(|run, _| format!("run {run}").into_response());
    let app = app.layer(middleware()).layer(cache_page(60).cache(&clocked().0));
    let etag = ask(&app, get("/")).await.field("etag");
    assert_eq!(ask(&app, get_with("/", &[("if-none-match", &etag)])).await.status, 304);
    assert_eq!(runs.count(), 1);
}
