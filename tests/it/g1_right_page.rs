//! G1, the right page: a request is never answered with what was stored for another URL, host, scheme or variant.

use axum::Router;
use axum::body::Body;
use axum::extract::OriginalUri;
use axum::routing::get as on_get;
use http::{Method, Request, Version};
use larder::prelude::*;

use crate::support::{Runs, ask, get, get_with, memory, request};

/// Says what it was asked for, so that the wrong page is seen at once, and the how manieth run this is.
async fn echo(runs: Runs, request: Request<Body>) -> String {
    let original = request.extensions().get::<OriginalUri>().map(|o| o.0.to_string()).unwrap_or_default();
    let host: Vec<_> = request.headers().get_all("host").iter().map(|h| h.to_str().expect("text")).collect();
    format!("{} {original} {} [{}] run {}", request.method(), request.uri(), host.join("|"), runs.next())
}

fn echoing(runs: &Runs) -> axum::routing::MethodRouter {
    let runs = runs.clone();
    on_get(move |request: Request<Body>| echo(runs, request))
}

#[tokio::test]
async fn routers_nested_under_two_prefixes_keep_their_pages_apart() {
    let (cache, runs) = (memory(), Runs::default());
    let courses = || Router::new().route("/courses", echoing(&runs).layer(cache_page(60).cache(&cache)));
    let app = Router::new().nest("/de", courses()).nest("/en", courses());

    let de = ask(&app, get("/de/courses")).await;
    let en = ask(&app, get("/en/courses")).await;
    assert!(de.text().contains("/de/courses"), "{}", de.text());
    assert!(en.text().contains("/en/courses"), "{}", en.text());
    for (uri, first) in [("/de/courses", de), ("/en/courses", en)] {
        let again = ask(&app, get(uri)).await;
        assert!(again.is_hit(), "{uri}: {}", again.cache_status());
        assert_eq!(again.text(), first.text());
    }
}

#[tokio::test]
async fn one_router_with_its_layer_nested_twice_keeps_its_pages_apart() {
    let (cache, runs) = (memory(), Runs::default());
    // `Router::layer` on the inner router sees the URI that nest has rewritten.
    let courses = Router::new().route("/courses", echoing(&runs)).layer(cache_page(60).cache(&cache));
    let app = Router::new().nest("/a", courses.clone()).nest("/b", courses.clone()).merge(courses);
    for uri in ["/a/courses", "/b/courses", "/courses"] {
        assert!(ask(&app, get(uri)).await.is_stored());
    }
    assert_eq!(runs.count(), 3);
    for uri in ["/a/courses", "/b/courses", "/courses"] {
        let again = ask(&app, get(uri)).await;
        assert!(again.is_hit() && again.text().starts_with(&format!("GET {uri} ")), "{}", again.text());
    }
}

#[tokio::test]
async fn a_middleware_that_rewrites_the_path_does_not_merge_what_it_rewrote() {
    let (cache, runs) = (memory(), Runs::default());
    let inner = Router::new().route("/page", echoing(&runs).layer(cache_page(60).cache(&cache)));
    // `/x/page` and `/y/page` become `/page` before the router sees them; who reads OriginalUri sees `/page` too.
    let tenants = tower::ServiceBuilder::new()
        .map_request(|mut request: Request<Body>| {
            let tenant = request.uri().path().split('/').nth(1).unwrap_or_default().to_owned();
            request.headers_mut().insert("x-tenant-id", tenant.parse().unwrap());
            *request.uri_mut() = "/page".parse().unwrap();
            request
        })
        .service(inner);
    ask(&tenants, get("/x/page")).await;
    // The tenant header names a user, so nothing of one tenant's comes to the other.
    assert!(!ask(&tenants, get("/y/page")).await.is_hit());
    assert!(ask(&tenants, get("/x/page")).await.is_hit());
    assert_eq!(runs.count(), 2);
}

#[tokio::test]
async fn hosts_schemes_and_ports_are_exact() {
    let (cache, runs) = (memory(), Runs::default());
    let app = Router::new().route("/", echoing(&runs)).layer(cache_page(60).cache(&cache));
    let asked = [
        get_with("/", &[("host", "a.example")]),
        get_with("/", &[("host", "b.example")]),
        get_with("/", &[("host", "a.example:8080")]),
        get("/"),
        get("http://a.example/"),
        get("https://a.example/"),
        get("http://b.example/"),
        get_with("http://a.example/", &[("host", "b.example")]),
        get_with("http://b.example/", &[("host", "a.example")]),
    ];
    for request in &asked {
        let answer = ask(&app, copy(request)).await;
        assert!(answer.is_stored(), "{request:?}: {}", answer.cache_status());
    }
    assert_eq!(runs.count(), asked.len());
    for (at, request) in asked.iter().enumerate() {
        let answer = ask(&app, copy(request)).await;
        assert!(answer.is_hit() && answer.text().ends_with(&format!("run {}", at + 1)), "{request:?}");
    }
}

#[tokio::test]
async fn an_authority_that_agrees_with_host_is_the_same_page() {
    let (cache, runs) = (memory(), Runs::default());
    let app = Router::new().route("/", echoing(&runs)).layer(cache_page(60).cache(&cache));
    ask(&app, get("http://a.example/")).await;
    assert!(ask(&app, get_with("http://a.example/", &[("host", "a.example")])).await.is_hit());
}

#[tokio::test]
async fn a_second_host_line_counts_too() {
    let (cache, runs) = (memory(), Runs::default());
    let app = Router::new().route("/", echoing(&runs)).layer(cache_page(60).cache(&cache));
    ask(&app, get_with("/", &[("host", "a.example"), ("host", "evil.example")])).await;
    let honest = ask(&app, get_with("/", &[("host", "a.example")])).await;
    assert!(honest.text().contains("[a.example]"), "{}", honest.text());
}

#[tokio::test]
async fn a_host_can_not_be_written_like_a_path() {
    let (cache, runs) = (memory(), Runs::default());
    let app = Router::new().fallback(echoing(&runs)).layer(cache_page(60).cache(&cache));
    // Were the Host beside an authority told from the path by its length alone, the two would be the same bytes: 104 is `h`, 47 `/`, 55 `7`.
    let (host, path) = ("h".repeat(47), format!("/{}", "p".repeat(54)));
    let long = format!("http://a.example/{host}7{path}");
    assert_eq!(long.len() - "http://a.example".len(), usize::from(b'h'));
    ask(&app, get_with(&format!("http://a.example{path}"), &[("host", &host)])).await;
    assert!(!ask(&app, get(&long)).await.is_hit());
}

#[tokio::test]
async fn two_hosts_on_one_socket_get_their_own_pages_over_both_versions_of_http() {
    let cache = memory();
    let page = |headers: http::HeaderMap, uri: http::Uri, version: Version| async move {
        let host = uri.authority().map(|a| a.to_string());
        format!("{version:?} {}", host.unwrap_or_else(|| headers["host"].to_str().unwrap().to_owned()))
    };
    let app =
        larder_tests::serve(Router::new().route("/", on_get(page)).layer(cache_page(60).cache(&cache))).await;
    let port = app.addr.port();
    for (client, version) in [(larder_tests::client(), "1.1"), (larder_tests::http2_client(), "2.0")] {
        for round in 0..2 {
            for name in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
                // One server, several names: 127/8 is all loopback, but only the first is listened on.
                let asked = client.get(app.url("/")).header("host", format!("{name}:{port}"));
                let answer = asked.send().await.unwrap();
                let hit = answer.headers()["cache-status"].to_str().unwrap().starts_with("larder; hit");
                let text = answer.text().await.unwrap();
                match version {
                    "1.1" => {
                        assert_eq!(text, format!("HTTP/1.1 {name}:{port}"));
                        assert_eq!(hit, round == 1, "{name}");
                    }
                    // The authority is that of the URL; the other Host beside it keeps the pages apart nevertheless.
                    _ => {
                        assert_eq!(text, format!("HTTP/2.0 127.0.0.1:{port}"));
                        assert_eq!(hit, round == 1, "{name}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_query_is_taken_as_it_is() {
    let (cache, runs) = (memory(), Runs::default());
    let app = Router::new().fallback(echoing(&runs)).layer(cache_page(60).cache(&cache));
    let asked = [
        "/s",
        "/s?",
        "/s?q=cats",
        "/s?q=dogs",
        "/s?a=1&b=2",
        "/s?b=2&a=1",
        "/s?a=1&b=2&",
        "/s?q=%63ats",
        "/s?Q=cats",
        "/s/",
        "/S",
        "/s%3Fq=cats",
        "//s",
        "/./s",
        "/%73",
        "/s;x",
        "/s?q=cats?",
    ];
    for uri in asked {
        assert!(ask(&app, get(uri)).await.is_stored(), "{uri}");
    }
    for (at, uri) in asked.iter().enumerate() {
        let answer = ask(&app, get(uri)).await;
        assert!(
            answer.is_hit() && answer.text().ends_with(&format!("run {}", at + 1)),
            "{uri}: {}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn a_get_answers_heads_and_a_head_never_a_get() {
    let (cache, runs) = (memory(), Runs::default());
    let app = Router::new().route("/{p}", echoing(&runs)).layer(cache_page(60).cache(&cache));

    // GET, then HEAD: from the GET's page, with its length.
    let page = ask(&app, get("/g")).await;
    let head = ask(&app, request(Method::HEAD, "/g", &[])).await;
    assert!(head.is_hit() && head.body.is_empty());
    assert_eq!(head.field("content-length"), page.body.len().to_string());

    // HEAD, then GET: the GET makes its own page and gets its body.
    let head = ask(&app, request(Method::HEAD, "/h", &[])).await;
    assert!(head.is_stored() && head.body.is_empty(), "{}", head.cache_status());
    let again = ask(&app, request(Method::HEAD, "/h", &[])).await;
    assert!(again.is_hit() && again.body.is_empty());
    let page = ask(&app, get("/h")).await;
    assert!(page.is_stored() && page.text().starts_with("GET /h"), "{page:?}");
    assert_eq!(ask(&app, get("/h")).await.text(), page.text());
    assert_eq!(runs.count(), 3);
}

#[tokio::test]
async fn what_fields_reroute_a_request_is_keyed_wherever_it_is_sent() {
    let (cache, runs) = (memory(), Runs::default());
    let app = Router::new().route("/", echoing(&runs)).layer(cache_page(60).cache(&cache));
    let evil = [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-scheme", "nothttps"),
        ("x-forwarded-port", "1"),
        ("x-forwarded-prefix", "/evil"),
        ("x-forwarded-server", "evil.example"),
        ("x-original-url", "/admin"),
        ("x-rewrite-url", "/admin"),
        ("forwarded", "for=1.2.3.4;host=evil.example;proto=http"),
        ("forwarded", "host=evil.example, for=1.2.3.4"),
        ("forwarded", "for=1.2.3.4, host=evil.example"),
    ];
    for field in evil {
        assert!(ask(&app, get_with("/", &[field])).await.is_stored(), "{field:?}");
    }
    let honest = ask(&app, get("/")).await;
    assert!(honest.is_stored(), "nobody's page but ours: {}", honest.text());
    assert_eq!(runs.count(), evil.len() + 1);
    // Who the client is and by which way it came does not make another page.
    ask(&app, get_with("/", &[("forwarded", "for=1.1.1.1;proto=https;by=10.0.0.1")])).await;
    assert!(ask(&app, get_with("/", &[("forwarded", "for=2.2.2.2;proto=https;by=10.0.0.2")])).await.is_hit());
}

#[tokio::test]
async fn a_get_with_a_body_and_a_method_override_pass_by() {
    let (cache, runs) = (memory(), Runs::default());
    let app = Router::new().route("/", echoing(&runs)).layer(cache_page(60).cache(&cache));
    let fat = || Request::get("/").body(Body::from("q=cats")).unwrap();
    assert_eq!(ask(&app, fat()).await.cache_status(), "larder; fwd=bypass; detail=fat-get");
    let overridden = get_with("/", &[("x-http-method-override", "DELETE")]);
    assert_eq!(ask(&app, overridden).await.cache_status(), "larder; fwd=bypass; detail=method-override");
    assert!(ask(&app, get("/")).await.is_stored(), "nothing was stored before");
    assert!(!ask(&app, fat()).await.is_hit());
    assert_eq!(runs.count(), 4);
}

fn copy(request: &Request<Body>) -> Request<Body> {
    let mut copy = Request::new(Body::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}
