//! Known attacks on caches, each under both policies and both forms: what one client sends must not come to another.
//!
//! Here: what is asked for, and by whom. [`stored`] has what is answered and kept, [`gateway`] what only a shared cache can get wrong.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod gateway;
mod stored;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use larder::{Cache, Policy, cache_page};

use crate::support::{Answer, ask, get, get_with, memory, origin, request};

/// An application behind a cache, by one policy and in one form.
pub(crate) struct Form {
    pub(crate) name: &'static str,
    pub(crate) app: Router,
    pub(crate) shared: bool,
}

/// `cache_page` and the per-site pair under both policies, each with a cache of its own.
pub(crate) fn forms(app: &Router) -> Vec<Form> {
    forms_over(app, memory)
}

pub(crate) fn forms_over(app: &Router, cache: impl Fn() -> Cache) -> Vec<Form> {
    let mut forms = Vec::new();
    for (names, policy) in [
        (["cache_page, origin", "the pair, origin"], Policy::origin()),
        (["cache_page, shared", "the pair, shared"], Policy::shared()),
    ] {
        let shared = policy.is_shared();
        let page = app.clone().layer(cache_page(3600).cache(cache()).policy(policy.clone()));
        let site = larder::site(app.clone()).timeout(3600).cache(cache());
        let site = site.with(|layer| layer.policy(policy.clone())).into_router();
        forms.push(Form { name: names[0], app: page, shared });
        forms.push(Form { name: names[1], app: site, shared });
    }
    forms
}

/// Everything that a handler can see of a request.
fn seen(parts: &Parts) -> String {
    let mut page = format!("{} {}\n", parts.method, parts.uri);
    for (name, value) in &parts.headers {
        page.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    }
    page
}

/// An application that shows what it sees, and says that everybody may have it.
fn reflecting() -> Router {
    origin(|_, parts| ([("cache-control", "public, max-age=60")], seen(&parts))).0
}

/// The attacker asks, then everybody else: nobody must see what the attacker sent.
async fn spoils_nothing(attack: impl Fn() -> Request<Body>, victim: impl Fn() -> Request<Body>) {
    for Form { name, app, .. } in forms(&reflecting()) {
        let attacked = ask(&app, attack()).await;
        assert!(
            attacked.text().contains("evil"),
            "{name}: the attack reaches the handler: {}",
            attacked.text()
        );
        for _ in 0..2 {
            let honest = ask(&app, victim()).await;
            assert!(
                !honest.text().contains("evil"),
                "{name}: {} gets {}",
                seen(&attack().into_parts().0),
                honest.text()
            );
        }
        assert!(ask(&app, victim()).await.is_hit(), "{name}: honest pages are cached all the same");
    }
}

#[tokio::test]
async fn poisoning_through_forwarded_hosts_schemes_and_urls() {
    for name in [
        "forwarded",
        "front-end-https",
        "x-envoy-original-path",
        "x-forwarded-host",
        "x-forwarded-path",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-forwarded-protocol",
        "x-forwarded-scheme",
        "x-forwarded-server",
        "x-forwarded-ssl",
        "x-forwarded-uri",
        "x-host",
        "x-http-host-override",
        "x-original-host",
        "x-original-uri",
        "x-original-url",
        "x-rewrite-url",
        "x-script-name",
        "x-url-scheme",
    ] {
        for value in ["evil", "host=evil", "for=1;host=evil", ", evil"] {
            spoils_nothing(|| get_with("/", &[(name, value)]), || get("/")).await;
            let twice = || get_with("/", &[(name, "good"), (name, value)]);
            spoils_nothing(twice, || get_with("/", &[(name, "good")])).await;
        }
    }
}

#[tokio::test]
async fn poisoning_by_another_method_in_a_header() {
    for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
        for method in [Method::GET, Method::HEAD] {
            let attack = || request(method.clone(), "/", &[(name, "evil")]);
            for Form { name, app, .. } in forms(&reflecting()) {
                assert!(!ask(&app, attack()).await.is_stored(), "{name}");
                assert!(!ask(&app, get("/")).await.text().contains("evil"), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn poisoning_through_the_host() {
    let good = || get_with("/", &[("host", "good.example")]);
    for attack in [
        || get_with("/", &[("host", "evil.example")]),
        || get_with("/", &[("host", "good.example:evil")]),
        || get_with("/", &[("host", "good.example"), ("host", "evil.example")]),
        || get_with("/", &[("host", "evil.example"), ("host", "good.example")]),
        || get_with("http://evil.example/", &[("host", "good.example")]),
        || get_with("http://good.example/", &[("host", "evil.example")]),
        || get_with("https://good.example/", &[("host", "good.example"), ("x-host", "evil")]),
    ] {
        spoils_nothing(attack, good).await;
        spoils_nothing(attack, || get("http://good.example/")).await;
    }
}

#[tokio::test]
async fn a_fat_get() {
    let app = Router::new().fallback(|body: String| async move { ([("cache-control", "max-age=60")], body) });
    for method in [Method::GET, Method::HEAD] {
        for announced in [true, false] {
            for Form { name, app, .. } in forms(&app) {
                let mut fat = Request::builder().method(method.clone()).uri("/");
                if announced {
                    fat = fat.header("content-length", "4");
                }
                let answer = ask(&app, fat.body(Body::from("evil")).unwrap()).await;
                assert!(!answer.is_stored(), "{name}: {}", answer.cache_status());
                let honest = ask(&app, get("/")).await;
                assert!(!honest.is_hit() && honest.text().is_empty(), "{name}");
                assert!(ask(&app, get("/")).await.is_hit(), "{name}");
                // Nor is it answered with what was made without its content.
                let fat = Request::builder()
                    .uri("/")
                    .header("content-length", "4")
                    .body(Body::from("evil"))
                    .unwrap();
                assert_eq!(ask(&app, fat).await.text(), "evil", "{name}");
            }
        }
    }
}

/// Spellings that a cache in front might take for a static file, or for another page.
const DECEIVING: [&str; 18] = [
    "/me/a.css",
    "/me;a.css",
    "/me;/a.css",
    "/me%3ba.css",
    "/me%2fa.css",
    "/me%2f..%2fa.css",
    "/me%3fa.css",
    "/me%23a.css",
    "/me%00.css",
    "/me%0a.css",
    "/me?x=a.css",
    "/me?",
    "//me",
    "/static/../me",
    "/static/..%2fme",
    "/./me",
    "/%6de",
    "/me/",
];

#[tokio::test]
async fn cache_deception_by_suffixes_delimiters_and_dot_segments() {
    for fields in [
        &[][..],
        &[("cache-control", "private")],
        &[("cache-control", "no-store")],
        &[("cache-control", "private, max-age=60")],
        &[("vary", "cookie"), ("cache-control", "max-age=60")],
        &[
            ("etag", "\"a\""),
            ("last-modified", "Mon, 01 Jan 2001 00:00:00 GMT"),
            ("cache-control", "private"),
        ],
    ] {
        let fields = fields.to_vec();
        let (app, _) = origin(move |_, parts: Parts| {
            let who = parts.headers.get("cookie").map_or("nobody", |value| value.to_str().unwrap());
            let mut page = who.to_owned().into_response();
            for (name, value) in &fields {
                page.headers_mut().append(*name, HeaderValue::from_static(value));
            }
            page
        });
        for Form { name, app, .. } in forms(&app) {
            for uri in DECEIVING {
                for cookie in ["session=alice", "session=bob"] {
                    assert_eq!(
                        ask(&app, get_with(uri, &[("cookie", cookie)])).await.text(),
                        cookie,
                        "{name}, {uri}"
                    );
                }
                assert_eq!(ask(&app, get(uri)).await.text(), "nobody", "{name}, {uri}");
            }
        }
    }
}

/// Asks for each, twice: each must get its own page, the second time from the cache.
async fn all_differ(app: &Router, asked: &[Request<Body>]) {
    for Form { name, app, .. } in forms(app) {
        for (turn, hit) in [("first", false), ("second", true)] {
            for one in asked {
                let (mut copy, wanted) = (Request::new(Body::empty()), one.uri().clone());
                (*copy.uri_mut(), *copy.headers_mut()) = (wanted, one.headers().clone());
                let wanted = seen(&copy.into_parts().0);
                let mut copy = get(&one.uri().to_string());
                *copy.headers_mut() = one.headers().clone();
                let answer = ask(&app, copy).await;
                assert_eq!(answer.text(), wanted, "{name}, {turn}");
                assert_eq!(answer.is_hit(), hit, "{name}, {turn}: {wanted}");
            }
        }
    }
}

#[tokio::test]
async fn one_spelling_of_a_path_is_not_answered_with_another() {
    all_differ(&reflecting(), &DECEIVING.map(get)).await;
}

#[tokio::test]
async fn parameter_cloaking() {
    let asked = [
        "/?a=1",
        "/?a=1;b=2",
        "/?a=1&b=2",
        "/?a=1&b=2&a=3",
        "/?a=1&a=3&b=2",
        "/?a=1%26b=2",
        "/?a=1%3bb=2",
        "/?a=1&amp;b=2",
        "/?a=1&utm_content=x;b=2",
        "/?a=1&utm_content=x&b=2",
        "/?utm_content=x",
        "/?utm_content=y",
        "/?utm_content=x%26a=1",
        "/?%61=1",
        "/?A=1",
        "/?a=1&",
        "/?&a=1",
        "/?a[]=1",
        "/?a=+",
        "/?a=%20",
        "/?",
        "/",
    ];
    all_differ(&reflecting(), &asked.map(get)).await;
}

#[tokio::test]
async fn key_injection_through_paths_hosts_and_fields() {
    let (app, _) = origin(|_, parts| {
        ([("cache-control", "public, max-age=60"), ("vary", "x-a, x-b, accept-language")], seen(&parts))
    });
    let with = |uri: &str, fields: &[(&str, &str)]| get_with(uri, fields);
    let asked = [
        with("/a", &[("host", "h"), ("x-a", "1"), ("x-b", "2")]),
        with("/a", &[("host", "h"), ("x-a", "2"), ("x-b", "1")]),
        with("/a", &[("host", "h"), ("x-a", "1,x-b=2")]),
        with("/a", &[("host", "h"), ("x-a", "1\tx-b:2")]),
        with("/a", &[("host", "h"), ("x-a", "1"), ("x-b", "2a")]),
        with("/a", &[("host", "h"), ("x-a", "12")]),
        with("/a", &[("host", "h"), ("x-b", "12")]),
        with("/a", &[("host", "h"), ("x-a", "")]),
        with("/a", &[("host", "h")]),
        with("/a", &[("host", "h/a")]),
        with("/a/a", &[("host", "h")]),
        with("/a", &[("host", "")]),
        with("/a", &[]),
        with("/a?v", &[("host", "h")]),
        with("/a%3fv", &[("host", "h")]),
        with("/a", &[("host", "h"), ("accept-language", "en")]),
        with("/a", &[("host", "h"), ("accept-language", "en-x-a")]),
        with("/a", &[("host", "h:1"), ("x-forwarded-port", "2")]),
        with("/a", &[("host", "h:12"), ("x-forwarded-port", "")]),
        with("/a", &[("host", "h"), ("x-forwarded-host", "r"), ("x-forwarded-proto", "s")]),
        with("/a", &[("host", "h"), ("x-forwarded-host", "rs")]),
        with("/a", &[("host", "h"), ("x-forwarded-proto", "rs")]),
    ];
    all_differ(&app, &asked).await;
}

/// What a proxy does that obeys each Connection field to the letter.
fn obeying_connection(headers: &mut HeaderMap) {
    let lines: Vec<String> =
        headers.get_all("connection").iter().map(|line| line.to_str().unwrap().to_owned()).collect();
    for name in lines.iter().flat_map(|line| line.split(',')) {
        headers.remove(name.trim());
    }
}

#[tokio::test]
async fn hop_by_hop_abuse() {
    let (app, _) = origin(|_, mut parts: Parts| {
        obeying_connection(&mut parts.headers);
        let of = |name| parts.headers.get(name).map_or("none", |value: &HeaderValue| value.to_str().unwrap());
        let page =
            format!("{} {} {} {}", of("host"), of("accept-language"), of("authorization"), of("x-api-key"));
        (
            [("cache-control", "public, max-age=60"), ("vary", "accept-language, authorization, x-api-key")],
            page,
        )
    });
    let fields = [("host", "h"), ("accept-language", "de"), ("authorization", "alice"), ("x-api-key", "k")];
    for listed in [
        "host",
        "accept-language",
        "authorization",
        "x-api-key",
        "close, Host",
        "keep-alive,AUTHORIZATION , accept-language",
        "cookie, x-forwarded-for, authorization",
    ] {
        for Form { name, app, .. } in forms(&app) {
            let attack: Vec<_> = fields.iter().copied().chain([("connection", listed)]).collect();
            let attacked = ask(&app, get_with("/", &attack)).await;
            assert_eq!(
                attacked.cache_status(),
                "larder; fwd=bypass; detail=connection-listed",
                "{name}, {listed}"
            );
            assert!(attacked.text().contains("none"), "{name}, {listed}");
            for _ in 0..2 {
                assert_eq!(
                    ask(&app, get_with("/", &fields)).await.text(),
                    "h de alice k",
                    "{name}, {listed}"
                );
            }
        }
    }
}

#[tokio::test]
async fn cpdos_no_error_that_a_client_provokes_comes_to_others() {
    let date = "Mon, 01 Jan 2001 00:00:00 GMT";
    for status in [400, 403, 405, 408, 413, 414, 421, 429, 431, 500, 501, 502, 503, 504] {
        for fields in
            [&[][..], &[("last-modified", date)], &[("etag", "\"a\"")], &[("cache-control", "max-age=60")]]
        {
            let given = fields.to_vec();
            let (app, _) = origin(move |_, parts: Parts| {
                let provoked = parts.headers.contains_key("x-oversized");
                let status = StatusCode::from_u16(if provoked { status } else { 200 }).unwrap();
                let mut page =
                    (status, [("cache-control", "max-age=60")], status.as_str().to_owned()).into_response();
                if provoked {
                    page.headers_mut().remove("cache-control");
                    page.headers_mut().extend(given.iter().map(|(name, value)| {
                        (http::HeaderName::from_static(name), HeaderValue::from_static(value))
                    }));
                }
                page
            });
            let explicit = fields.iter().any(|(name, _)| *name == "cache-control");
            // What says itself how long it lasts is a gateway's to keep (RFC 9111, section 3).
            for Form { name, app, .. } in forms(&app).into_iter().filter(|form| !form.shared || !explicit) {
                let attack = get_with("/", &[("x-oversized", &"a".repeat(20_000))]);
                assert_eq!(ask(&app, attack).await.status, status, "{name}");
                assert_eq!(ask(&app, get("/")).await.status, 200, "{name}, {status}, {fields:?}");
            }
        }
    }
}

#[tokio::test]
async fn cache_status_shows_nothing_of_a_key_or_of_a_credential() {
    let secrets = [
        ("cookie", "session=s3cret"),
        ("authorization", "s3cret"),
        ("x-api-key", "s3cret"),
        ("host", "s3cret"),
    ];
    for Form { name, app, .. } in forms(&reflecting()) {
        for fields in [&secrets[..], &secrets[3..], &secrets[..1]] {
            for _ in 0..2 {
                let Answer { headers, .. } = ask(&app, get_with("/s3cret?s3cret", fields)).await;
                assert!(headers.contains_key("cache-status"), "{name}");
                assert!(!format!("{headers:?}").contains("s3cret"), "{name}: {headers:?}");
            }
        }
    }
}
