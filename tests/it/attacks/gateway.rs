//! What only a shared cache can get wrong: validation, parts, invalidation by writes, POST and QUERY, the rule for queries.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use larder::{Policy, cache_page};

use super::{Form, forms};
use crate::fed::{asking, saying, settle, soon};
use crate::support::{ask, clocked, get, get_with, memory, origin, request};

/// One gateway and the hand of its clock.
fn gateway(app: &Router) -> (Router, larder::ManualClock) {
    let (cache, hand) = clocked();
    (app.clone().layer(cache_page(60).cache(&cache).policy(Policy::shared())), hand)
}

#[tokio::test]
async fn a_304_for_another_validator_updates_nothing() {
    for (tag, accepted) in [("\"a\"", true), ("\"evil\"", false), ("W/\"evil\"", false)] {
        let (app, _) = origin(move |_, parts: Parts| match parts.headers.contains_key("if-none-match") {
            true => (
                StatusCode::NOT_MODIFIED,
                [("etag", tag), ("cache-control", "max-age=60"), ("x-news", "evil")],
                "",
            )
                .into_response(),
            false => ([("etag", "\"a\""), ("cache-control", "max-age=60")], "page").into_response(),
        });
        let (app, hand) = gateway(&app);
        ask(&app, get("/")).await;
        hand.advance(Duration::from_secs(61));
        for _ in 0..2 {
            let answer = ask(&app, get("/")).await;
            assert_eq!((answer.status, answer.text()), (StatusCode::OK, "page"), "{tag}");
            assert_eq!(answer.headers.contains_key("x-news"), accepted, "{tag}");
        }
    }
}

#[tokio::test]
async fn a_head_that_may_store_nothing_drops_nothing() {
    let (app, runs) = origin(|_, _| ([("etag", "\"a\""), ("cache-control", "max-age=60")], "page"));
    for fields in
        [("cache-control", "no-store"), ("cache-control", "no-cache, no-store"), ("authorization", "mallory")]
    {
        let (app, hand) = gateway(&app);
        ask(&app, get("/")).await;
        let before = runs.count();
        for _ in 0..3 {
            ask(&app, request(Method::HEAD, "/", &[fields, ("cache-control", "no-cache")])).await;
        }
        assert_eq!(runs.count(), before + 3, "{fields:?}: they do reach the origin");
        assert!(ask(&app, get("/")).await.is_hit(), "{fields:?}");
        hand.advance(Duration::from_secs(61));
        assert!(!ask(&app, get("/")).await.is_hit(), "{fields:?}: nor do they make it live longer");
    }
}

#[tokio::test]
async fn a_validation_that_may_store_nothing_drops_nothing() {
    let (app, _) = origin(|_, parts: Parts| match parts.headers.contains_key("if-none-match") {
        true => (StatusCode::NOT_MODIFIED, [("etag", "\"a\"")], "").into_response(),
        false => ([("etag", "\"a\""), ("cache-control", "max-age=60")], "page").into_response(),
    });
    let (app, hand) = gateway(&app);
    ask(&app, get("/")).await;
    hand.advance(Duration::from_secs(61));
    let answer = ask(&app, get_with("/", &[("authorization", "mallory")])).await;
    assert_eq!((answer.text(), answer.is_stored()), ("page", false));
    // It is still there to be validated.
    let answer = ask(&app, get("/")).await;
    assert_eq!(answer.cache_status(), "larder; fwd=stale; fwd-status=304; stored; ttl=60");
}

#[tokio::test]
async fn a_write_to_one_origin_makes_nothing_of_another_invalid() {
    let (app, _) = origin(|_, parts: Parts| match parts.method == Method::GET {
        true => ([("cache-control", "max-age=60"), ("cache-groups", "\"g\"")], "page").into_response(),
        false => {
            let named = parts.headers["x-named"].clone();
            let fields = [("location", named.clone()), ("content-location", named)];
            (fields, [("cache-group-invalidation", "\"g\"")]).into_response()
        }
    });
    for Form { name, app, .. } in forms(&app) {
        let good = || get_with("/a", &[("host", "good.example")]);
        ask(&app, good()).await;
        for named in [
            "http://good.example/a",
            "//good.example/a",
            "https://good.example/a",
            "http://evil.example@good.example/a",
            "http:\\\\good.example\\a",
            "/a",
            "../../a",
            "http://evil.example/a",
        ] {
            for host in [
                "evil.example",
                "good.example.evil.example",
                "good.example:81",
                "",
                "good.example/a?",
                "@good.example",
            ] {
                ask(&app, request(Method::POST, "/w", &[("host", host), ("x-named", named)])).await;
                assert!(ask(&app, good()).await.is_hit(), "{name}: {host:?} names {named}");
            }
        }
    }
    // And it is no wonder of the test's that nothing is: from its own host it is.
    let (gateway, _) = gateway(&app);
    let good = || get_with("/a", &[("host", "good.example")]);
    ask(&gateway, good()).await;
    ask(&gateway, request(Method::POST, "/w", &[("host", "good.example"), ("x-named", "/a")])).await;
    assert!(!ask(&gateway, good()).await.is_hit());
}

#[tokio::test]
async fn the_answer_to_a_post_is_kept_by_all_that_it_was_made_of() {
    for (name, value) in [
        ("x-forwarded-host", "evil"),
        ("forwarded", "host=evil"),
        ("x-original-url", "/evil"),
        ("x-http-method-override", "evil"),
        ("connection", "x-evil"),
        ("range", "bytes=0-1"),
        ("if-none-match", "\"evil\""),
        ("authorization", "evil"),
    ] {
        let (app, _) = origin(|_, parts: Parts| {
            let mut page = String::new();
            for (name, value) in &parts.headers {
                page.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
            }
            ([("cache-control", "max-age=60"), ("content-location", "/")], page)
        });
        let (app, _) = gateway(&app);
        let attack = request(Method::POST, "/", &[("host", "h"), (name, value), ("x-evil", "1")]);
        assert!(ask(&app, attack).await.text().contains("evil"), "{name}");
        let honest = ask(&app, get_with("/", &[("host", "h")])).await;
        let stored = name == "connection" && honest.is_hit();
        assert!(!honest.text().contains(name) && !stored, "{name}: {}", honest.text());
    }
    // What has nothing of that is kept.
    let (app, _) = origin(|_, _| ([("cache-control", "max-age=60"), ("content-location", "/")], "page"));
    let (app, _) = gateway(&app);
    ask(&app, request(Method::POST, "/", &[("host", "h")])).await;
    assert!(ask(&app, get_with("/", &[("host", "h")])).await.is_hit());
}

fn query(uri: &str, fields: &[(&str, &str)], content: &'static str) -> Request<Body> {
    let mut request = Request::builder().method("QUERY").uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Body::from(content)).unwrap()
}

#[tokio::test]
async fn queries_with_other_content_or_of_another_type_do_not_meet() {
    let app = Router::new().fallback(|request: Request<Body>| async move {
        let (parts, body) = request.into_parts();
        let content = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let types: Vec<_> =
            parts.headers.iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
        let page = format!(
            "{} {} {} {}",
            parts.method,
            parts.uri,
            types.join("; "),
            String::from_utf8_lossy(&content)
        );
        ([("cache-control", "max-age=60")], page)
    });
    let asked = || {
        [
            get("/"),
            query("/", &[], ""),
            query("/", &[], "a"),
            query("/", &[], "b"),
            query("/?a", &[], ""),
            query("/", &[("content-type", "a/b")], "a"),
            query("/", &[("content-type", "b/b")], "a"),
            query("/", &[("content-type", "a/b"), ("content-type", "b/b")], "a"),
            query("/", &[("content-type", "a/b"), ("content-encoding", "br")], "a"),
            query("/", &[("content-encoding", "a/b")], "a"),
            query("/", &[("content-language", "a/b")], "a"),
        ]
    };
    let (cached, _) = gateway(&app);
    for turn in [false, true] {
        for (one, plain) in asked().into_iter().zip(asked()) {
            let (answer, wanted) = (ask(&cached, one).await, ask(&app, plain).await);
            assert_eq!((answer.text(), answer.is_hit()), (wanted.text(), turn), "{}", answer.cache_status());
        }
    }
}

#[tokio::test]
async fn a_rule_for_the_query_of_one_path_or_host_says_nothing_of_others() {
    let (app, _) = origin(|_, parts: Parts| {
        let ruled = parts.uri.path() == "/ruled" && parts.headers["host"] == "h";
        let rule = if ruled { "params=(\"utm\")" } else { "" };
        ([("cache-control", "max-age=60"), ("no-vary-search", rule)], parts.uri.to_string())
    });
    let (app, _) = gateway(&app);
    ask(&app, get_with("/ruled?utm=1", &[("host", "h")])).await;
    assert!(ask(&app, get_with("/ruled?utm=2", &[("host", "h")])).await.is_hit());
    for (host, path) in [
        ("h", "/other"),
        ("g", "/ruled"),
        ("h", "/ruled/"),
        ("h", "/Ruled"),
        ("h", "/%72uled"),
        ("h/", "/ruled"),
    ] {
        for utm in ["1", "2", "1"] {
            let uri = format!("{path}?utm={utm}");
            assert_eq!(ask(&app, get_with(&uri, &[("host", host)])).await.text(), uri, "{host}");
        }
    }
    // Nor of what is asked by QUERY, whose answers have rules of their own.
    let (app, mut asked, _) = asking();
    let app = app.layer(cache_page(60).cache(memory()).policy(Policy::shared()));
    let spawn = |request: Request<Body>| {
        let app = app.clone();
        tokio::spawn(async move { ask(&app, request).await })
    };
    let ruling = spawn(get("/?utm=0"));
    soon(asked.recv())
        .await
        .unwrap()
        .answer(saying(&[("cache-control", "max-age=60"), ("no-vary-search", "params=(\"utm\")")], "ruled"));
    soon(ruling).await.unwrap();
    let both = [spawn(query("/?utm=1", &[], "")), spawn(query("/?utm=2", &[], ""))];
    let answering = tokio::spawn(async move {
        while let Some(one) = asked.recv().await {
            let uri = one.request.uri.to_string();
            let mut answer = saying(&[("cache-control", "max-age=60")], uri);
            answer.headers_mut().remove("no-vary-search");
            one.answer(answer);
        }
    });
    settle().await;
    for (answer, utm) in both.into_iter().zip(["/?utm=1", "/?utm=2"]) {
        assert_eq!(soon(answer).await.unwrap().text(), utm);
    }
    answering.abort();
}
