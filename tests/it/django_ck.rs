//! What Django's page keys keep apart, group CK of the list. The key itself is Larder's own (CK-01, CK-08 and CK-19 name Django's md5 keys,
//! which are not reproduced); these hold what a request is and is not answered with.

use std::time::Duration;

use axum::Router;
use http::{Method, Request};
use larder::prelude::*;
use larder::site;

use crate::support::{ask, clocked, get, get_with, origin, request, saying};

/// What each of these requests is answered with by `cache_page`, in order; the site's answers are the same.
async fn texts(app: Router, requests: impl IntoIterator<Item = Request<axum::body::Body>>) -> Vec<String> {
    let page = app.layer(cache_page(60).cache(&clocked().0));
    let mut texts = Vec::new();
    for request in requests {
        texts.push(ask(&page, request).await.text().to_owned());
    }
    texts
}

async fn texts_at(urls: &[&str]) -> Vec<String> {
    texts(saying(&[]).0, urls.iter().map(|url| get(url))).await
}

async fn texts_with(vary: &str, requests: &[&[(&str, &str)]]) -> Vec<String> {
    texts(saying(&[("vary", vary)]).0, requests.iter().map(|fields| get_with("/", fields))).await
}

#[tokio::test]
async fn ck_01_method_url_and_prefix_make_the_key_and_nothing_else_of_a_plain_request() {
    let (cache, _) = clocked();
    let app = saying(&[]).0.layer(cache_page(60).cache(&cache).key_prefix("settingsprefix"));
    ask(&app, get("http://www.example.com/cache/test/")).await;
    let same =
        get_with("http://www.example.com/cache/test/", &[("accept", "text/html"), ("user-agent", "x")]);
    assert!(ask(&app, same).await.is_hit());
    assert!(!ask(&app, get("http://www.example.com/cache/test")).await.is_hit());
}

#[tokio::test]
async fn ck_01_an_entry_under_the_same_hash_is_served_only_to_its_own_identity() {
    // So few slots that variants must share them: the identity in the entry decides, not where it stands.
    let (app, _) =
        origin(|_, parts| ([("vary", "x-user")], parts.headers["x-user"].to_str().unwrap().to_owned()));
    let app = app.layer(cache_page(60).cache(&clocked().0).max_variants(2));
    for round in 0..3 {
        for user in 0..50 {
            let user = user.to_string();
            let answer = ask(&app, get_with("/", &[("x-user", &user)])).await;
            assert_eq!(answer.text(), user, "round {round}");
        }
    }
}

#[tokio::test]
async fn ck_02_the_query_string_is_part_of_the_key_as_it_is_written() {
    let urls = ["/", "/?test=1", "/?test=2", "/?", "/?test=1", "/", "/?a=1&b=2", "/?b=2&a=1"];
    let expected = ["run 1", "run 2", "run 3", "run 4", "run 2", "run 1", "run 5", "run 6"];
    assert_eq!(texts_at(&urls).await, expected);
}

#[tokio::test]
async fn ck_03_paths_that_differ_in_anything_are_different_pages() {
    let urls = ["/a/", "/a", "/A/", "/a//", "/%61/", "/a/"];
    assert_eq!(texts_at(&urls).await, ["run 1", "run 2", "run 3", "run 4", "run 5", "run 1"]);
}

#[tokio::test]
async fn ck_04_a_key_prefix_of_the_layer_keeps_its_pages_apart() {
    let (cache, _) = clocked();
    let plain = saying(&[]).0.layer(cache_page(60).cache(&cache));
    let prefixed = saying(&[]).0.layer(cache_page(60).cache(&cache).key_prefix("localprefix"));
    let same = saying(&[]).0.layer(cache_page(60).cache(&cache).key_prefix("localprefix"));
    ask(&plain, get("/")).await;
    assert!(!ask(&prefixed, get("/")).await.is_hit());
    assert!(ask(&same, get("/")).await.is_hit());
}

#[tokio::test]
async fn ck_05_prefix_and_url_never_run_together() {
    let (cache, _) = clocked();
    for (prefix, url) in [("", "/ab"), ("a", "/b"), ("ab", "/"), ("/a", "/b"), ("/ab", "/")] {
        let app = saying(&[]).0.layer(cache_page(60).cache(&cache).key_prefix(prefix));
        assert!(!ask(&app, get(url)).await.is_hit(), "{prefix:?} {url:?}");
    }
}

#[tokio::test]
async fn ck_06_the_same_path_on_two_hosts_or_schemes_is_two_pages() {
    let urls = ["http://one.example/", "http://two.example/", "https://one.example/", "http://one.example/"];
    assert_eq!(texts_at(&urls).await, ["run 1", "run 2", "run 3", "run 1"]);
    let hosts = ["one.example", "two.example", "one.example"].map(|host| get_with("/", &[("host", host)]));
    assert_eq!(texts(saying(&[]).0, hosts).await, ["run 1", "run 2", "run 1"]);
}

#[tokio::test]
async fn ck_07_hosts_are_compared_as_they_are_sent() {
    let hosts =
        ["b.example", "B.example", "b.example:80", "b.example"].map(|host| get_with("/", &[("host", host)]));
    assert_eq!(texts(saying(&[]).0, hosts).await, ["run 1", "run 2", "run 3", "run 1"]);
}

#[tokio::test]
async fn ck_08_a_vary_learned_from_a_head_is_no_page_for_a_get() {
    let pony = |method, pony: &'static [(&'static str, &'static str)]| request(method, "/", pony);
    let requests = [
        pony(Method::HEAD, &[]),
        pony(Method::GET, &[]),
        pony(Method::HEAD, &[]),
        pony(Method::GET, &[("pony", "pink")]),
        pony(Method::GET, &[]),
    ];
    let answers = texts(saying(&[("vary", "Pony")]).0, requests).await;
    assert_eq!(answers, ["", "run 2", "", "run 3", "run 2"]);
}

#[tokio::test]
async fn ck_09_an_absent_and_an_empty_header_are_different_variants() {
    let answers = texts_with("Pony", &[&[], &[("pony", "")], &[], &[("pony", "")]]).await;
    assert_eq!(answers, ["run 1", "run 2", "run 1", "run 2"]);
}

#[tokio::test]
async fn ck_10_the_values_of_varied_fields_never_run_together() {
    let requests: &[&[(&str, &str)]] = &[
        &[("a", "1,"), ("b", "2")],
        &[("a", "1"), ("b", ",2")],
        &[("a", "1,b:2")],
        &[("b", "2"), ("a", "1,")],
    ];
    assert_eq!(texts_with("a, b", requests).await, ["run 1", "run 2", "run 3", "run 1"]);
}

#[tokio::test]
async fn ck_11_order_case_and_lines_of_vary_make_no_difference() {
    let varies = ["Pony, Accept", "accept,pony", "ACCEPT , Pony, pony"];
    let (app, runs) = origin(move |run, _| ([("vary", varies[(run - 1) % 3])], format!("run {run}")));
    let (cache, _) = clocked();
    let app = app.layer(cache_page(60).cache(&cache));
    for pony in ["pink", "blue", "grey", "pink", "blue", "grey"] {
        ask(&app, get_with("/", &[("pony", pony), ("accept", "*/*")])).await;
    }
    assert_eq!(runs.count(), 3);
}

#[tokio::test]
async fn ck_12_every_line_of_a_varied_field_counts() {
    let requests: &[&[(&str, &str)]] =
        &[&[("pony", "1")], &[("pony", "1"), ("pony", "2")], &[("pony", "1, 2")]];
    assert_eq!(texts_with("Pony", requests).await, ["run 1", "run 2", "run 2"], "lines are one list");
}

#[tokio::test]
async fn ck_13_a_language_by_key_fn_makes_one_page_of_many_accept_languages() {
    // Django's locale middleware: what the application makes of the header, not the header itself.
    let language = |parts: &http::request::Parts| {
        let wanted = parts.headers.get("accept-language").and_then(|v| v.to_str().ok()).unwrap_or("en");
        if wanted.starts_with("de") { "de" } else { "en" }.to_owned()
    };
    let app = saying(&[]).0.layer(cache_page(60).cache(&clocked().0).key_fn(language));
    for (accept, run) in [
        ("de", "run 1"),
        ("de-AT, en;q=0.5", "run 1"),
        ("en-GB", "run 2"),
        ("fr", "run 2"),
        ("de;q=0.9", "run 1"),
    ] {
        assert_eq!(ask(&app, get_with("/", &[("accept-language", accept)])).await.text(), run, "{accept}");
    }
}

#[tokio::test]
async fn ck_14_vary_accept_language_gives_each_value_its_own_page() {
    let requests: &[&[(&str, &str)]] =
        &[&[("accept-language", "de")], &[("accept-language", "en")], &[], &[("accept-language", "de")]];
    let expected = ["run 1", "run 2", "run 3", "run 1"];
    assert_eq!(texts_with("Accept-Language", requests).await, expected);
    let layer = cache_page(60).cache(&clocked().0).vary_on(["accept-language"]);
    let app = saying(&[]).0.layer(layer);
    for (fields, run) in requests.iter().zip(expected) {
        let answer = ask(&app, get_with("/", fields)).await;
        assert_eq!(answer.text(), run, "told to the layer instead");
        assert!(answer.field("vary").contains("accept-language"), "and to clients");
    }
}

#[tokio::test]
async fn ck_15_a_time_zone_and_a_language_by_two_key_fns_do_not_run_together() {
    let part = |name: &'static str| {
        move |parts: &http::request::Parts| parts.headers[name].to_str().unwrap().to_owned()
    };
    let layer = cache_page(60).cache(&clocked().0).key_fn(part("x-lang")).key_fn(part("x-tz"));
    let app = saying(&[]).0.layer(layer);
    for (lang, tz, run) in
        [("en", "UTC", "run 1"), ("enU", "TC", "run 2"), ("en", "CET", "run 3"), ("en", "UTC", "run 1")]
    {
        assert_eq!(ask(&app, get_with("/", &[("x-lang", lang), ("x-tz", tz)])).await.text(), run);
    }
}

#[tokio::test]
async fn ck_16_each_language_gets_its_own_body() {
    let (app, runs) = origin(|_, parts| match parts.headers.get("x-lang").map(|v| v.as_bytes()) {
        Some(b"es") => "hola",
        _ => "hello",
    });
    let language = |parts: &http::request::Parts| format!("{:?}", parts.headers.get("x-lang"));
    let (cache, _) = clocked();
    let app = site(app).cache(&cache).with(|update| update.key_fn(language)).into_router();
    for (lang, body) in [("en", "hello"), ("es", "hola"), ("en", "hello"), ("es", "hola")] {
        assert_eq!(ask(&app, get_with("/", &[("x-lang", lang)])).await.text(), body);
    }
    assert_eq!(runs.count(), 2);
}

#[tokio::test]
async fn ck_17_cookies_in_another_order_are_another_page() {
    let requests: &[&[(&str, &str)]] = &[
        &[("cookie", "a=1; b=2")],
        &[("cookie", "b=2; a=1")],
        &[("cookie", "a=1; b=2")],
        &[("cookie", "a=1"), ("cookie", "b=2")],
    ];
    let answers = texts_with("Cookie", requests).await;
    assert_eq!(
        answers,
        ["run 1", "run 2", "run 1", "run 1"],
        "HTTP/2 splits the line: that is the same value"
    );
    assert_eq!(texts_with("Accept", requests).await, answers, "cookies count whatever Vary says");
}

#[tokio::test]
async fn ck_18_each_stored_page_is_matched_by_its_own_vary() {
    let varies = ["Accept-Language", "X-Kind"];
    let (app, runs) = origin(move |run, _| ([("vary", varies[run - 1])], format!("run {run}")));
    let (cache, hand) = clocked();
    let app = app.layer(cache_page(60).cache(&cache));
    let steps = [
        ("de", "a", "run 1", "made, and varies on the language"),
        ("en", "a", "run 2", "made, and varies on the kind"),
        ("de", "b", "run 1", "Django goes by the newer list and misses"),
        ("fr", "a", "run 2", "any language of this kind"),
        ("de", "a", "run 2", "both match: the newer one"),
    ];
    for (language, kind, run, why) in steps {
        let fields = [("accept-language", language), ("x-kind", kind)];
        assert_eq!(ask(&app, get_with("/", &fields)).await.text(), run, "{why}");
        hand.advance(Duration::from_secs(1));
    }
    assert_eq!(runs.count(), 2);
}

#[tokio::test]
async fn ck_19_page_cache_and_values_share_a_store_without_meeting() {
    let (cache, _) = clocked();
    let app = saying(&[]).0.layer(cache_page(60).cache(&cache));
    ask(&app, get("http://testserver/view/")).await;
    let django = "views.decorators.cache.cache_page..GET.5b30bdb36b35025daf3570b18c3bb916.d41d8cd98f00b204e9800998ecf8427e.en-us.America/Chicago";
    assert!(!cache.has_key(django).await.unwrap(), "not Django's scheme");
    cache.set(django, "a value").await.unwrap();
    assert!(ask(&app, get("http://testserver/view/")).await.is_hit());
    assert_eq!(cache.get::<String>(django).await.unwrap().as_deref(), Some("a value"));
}
