//! G2, private stays private: what is made for a request that names a user only comes back to that user.

use std::path::Path;

use axum::Router;
use axum::response::IntoResponse;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, header};
use larder::prelude::*;

use crate::support::{Runs, ask, get, get_with, memory, origin, patient, request};

/// All that a request says about its user, and how often the handler ran.
pub(crate) fn whoami() -> (Router, Runs) {
    origin(|run, parts: Parts| format!("{run}: {}", seen(&parts.headers)))
}

/// Every field but `Host`, as a handler sees them.
pub(crate) fn seen(headers: &HeaderMap) -> String {
    let fields = headers.iter().filter(|(name, _)| *name != header::HOST);
    fields
        .map(|(name, value)| format!("{name}={}", value.to_str().expect("text")))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Two users by cookie, two by a token, and one for each header that names a user.
fn credentials() -> Vec<(&'static str, &'static str)> {
    let mut all = vec![
        ("cookie", "sessionid=alice"),
        ("cookie", "sessionid=bob"),
        ("authorization", "Bearer alice"),
        ("authorization", "bearer alice"),
    ];
    all.extend(larder::IDENTITY_HEADERS.iter().map(|name| (*name, "alice")));
    all
}

#[tokio::test]
async fn a_page_made_with_credentials_only_comes_back_to_the_same() {
    for site in [false, true] {
        let (app, runs) = whoami();
        let app = match site {
            true => larder::site(app).cache(memory()).into_router(),
            false => app.layer(cache_page(60).cache(memory())),
        };
        for round in 0..2 {
            for field in credentials() {
                let answer = ask(&app, get_with("/", &[field])).await;
                assert!(
                    answer.text().ends_with(&format!("{}={}", field.0, field.1)),
                    "{field:?}: {}",
                    answer.text()
                );
                assert_eq!(answer.is_hit(), round == 1, "{field:?}: {}", answer.cache_status());
            }
            let anonymous = ask(&app, get("/")).await;
            assert!(anonymous.text().ends_with(": "), "{}", anonymous.text());
            assert_eq!(anonymous.is_hit(), round == 1);
        }
        assert_eq!(runs.count(), credentials().len() + 1);
    }
}

#[tokio::test]
async fn credentials_count_together_and_none_stands_for_another() {
    let (app, runs) = whoami();
    let app = app.layer(cache_page(60).cache(memory()));
    let asked: [&[(&str, &str)]; 7] = [
        &[("cookie", "a=1"), ("authorization", "b")],
        &[("cookie", "a=1")],
        &[("authorization", "b")],
        &[("authorization", "a=1"), ("cookie", "b")],
        &[("x-api-key", "b")],
        &[("x-api-key", "b"), ("x-api-key", "c")],
        &[("x-api-key", "c"), ("x-api-key", "b")],
    ];
    for _ in 0..2 {
        for fields in asked {
            let expected = seen(get_with("/", fields).headers());
            let answer = ask(&app, get_with("/", fields)).await;
            assert!(answer.text().ends_with(&format!(": {expected}")), "{fields:?}: {}", answer.text());
        }
    }
    assert_eq!(runs.count(), asked.len());
}

#[tokio::test]
async fn a_field_that_names_the_user_here_can_be_told_to_the_layer() {
    let (app, _) = whoami();
    let careless = app.clone().layer(cache_page(60).cache(memory()));
    ask(&careless, get_with("/", &[("x-account", "alice")])).await;
    let other = ask(&careless, get("/")).await;
    assert!(other.is_hit() && other.text().contains("alice"), "no cache can know this field");

    let careful = app.layer(cache_page(60).cache(memory()).identity_headers(["X-Account"]));
    let hers = ask(&careful, get_with("/", &[("x-account", "alice")])).await;
    assert!(hers.field("cache-control").contains("private"));
    assert!(!ask(&careful, get("/")).await.text().contains("alice"));
    assert!(!ask(&careful, get_with("/", &[("x-account", "bob")])).await.text().contains("alice"));
    assert_eq!(ask(&careful, get_with("/", &[("x-account", "alice")])).await.text(), hers.text());
}

#[tokio::test]
async fn a_field_that_names_the_user_may_be_one_that_every_request_has() {
    for name in ["user-agent", "accept-language", "upgrade", "x-host", "x-real-account"] {
        let (app, _) = origin(move |_, request| {
            format!("{:?}", request.headers.get(name).and_then(|value| value.to_str().ok()))
        });
        let app = app.layer(cache_page(60).cache(memory()).identity_headers([name]));
        for (user, hit) in [("alice", false), ("bob", false), ("alice", true)] {
            let answer = ask(&app, get_with("/", &[(name, user)])).await;
            assert_eq!((answer.text(), answer.is_hit()), (&*format!("Some({user:?})"), hit), "{name}");
            assert!(answer.field("cache-control").contains("private"), "{name}");
        }
        assert_eq!(ask(&app, get("/")).await.text(), "None", "{name}");
    }
}

#[tokio::test]
async fn an_anonymous_page_is_not_served_to_who_names_a_user_nor_the_other_way_round() {
    let (app, runs) = whoami();
    let app = app.layer(cache_page(60).cache(memory()));
    ask(&app, get("/")).await;
    let bob = ask(&app, get_with("/", &[("authorization", "Bearer bob")])).await;
    assert!(!bob.is_hit() && bob.text().ends_with("authorization=Bearer bob"));
    ask(&app, get_with("/other", &[("authorization", "Bearer bob")])).await;
    assert!(ask(&app, get("/other")).await.text().ends_with(": "));
    // A HEAD tells of the same page.
    let head = ask(&app, request(Method::HEAD, "/", &[("authorization", "Bearer carol")])).await;
    assert!(!head.is_hit());
    assert_eq!(runs.count(), 5);
}

#[tokio::test]
async fn public_widens_a_page_to_everybody() {
    for first in [vec![], vec![("authorization", "Bearer alice")], vec![("cookie", "sessionid=alice")]] {
        let (app, runs) = origin(|run, _| ([(header::CACHE_CONTROL, "public, max-age=9")], format!("{run}")));
        let app = app.layer(cache_page(60).cache(memory()));
        let made = ask(&app, get_with("/", &first)).await;
        assert!(!made.field("cache-control").contains("private"), "{}", made.field("cache-control"));
        assert!(!made.field("vary").to_ascii_lowercase().contains("cookie"));
        for fields in [
            vec![],
            vec![("authorization", "Bearer bob")],
            vec![("cookie", "sessionid=carol"), ("x-api-key", "k")],
        ] {
            assert!(ask(&app, get_with("/", &fields)).await.is_hit(), "{first:?} then {fields:?}");
        }
        assert_eq!(runs.count(), 1);
    }
}

#[tokio::test]
async fn a_public_page_that_varies_on_cookie_is_still_one_page_a_cookie() {
    let (app, _) = origin(|_, parts: Parts| {
        ([(header::CACHE_CONTROL, "public"), (header::VARY, "Cookie")], seen(&parts.headers))
    });
    let app = app.layer(cache_page(60).cache(memory()));
    for _ in 0..2 {
        for name in ["alice", "bob"] {
            let answer = ask(&app, get_with("/", &[("cookie", name)])).await;
            assert_eq!(answer.text(), format!("cookie={name}"));
        }
        assert_eq!(ask(&app, get("/")).await.text(), "");
    }
}

#[tokio::test]
async fn a_page_that_stops_being_public_is_not_shown_to_everybody_any_more() {
    let phase = Runs::default();
    let now = phase.clone();
    let (app, _) = origin(move |_, parts: Parts| match now.count() {
        0 => ([(header::CACHE_CONTROL, "public")], "for all".to_owned()),
        _ => ([(header::CACHE_CONTROL, "max-age=60")], seen(&parts.headers)),
    });
    let (cache, hand) = crate::support::clocked();
    let app = app.layer(cache_page(60).cache(&cache));
    assert_eq!(ask(&app, get_with("/", &[("authorization", "alice")])).await.text(), "for all");
    phase.next();
    hand.advance(std::time::Duration::from_secs(61));
    for name in ["alice", "bob", "alice"] {
        let answer = ask(&app, get_with("/", &[("authorization", name)])).await;
        assert_eq!(answer.text(), format!("authorization={name}"));
    }
    assert_eq!(ask(&app, get("/")).await.text(), "");
}

#[tokio::test]
async fn pages_for_users_leave_as_private_and_others_say_that_cookies_matter() {
    let (app, _) = whoami();
    let cache = memory();
    let layered = app.clone().layer(cache_page(60).cache(&cache));
    for _ in 0..2 {
        let hers = ask(&layered, get_with("/", &[("cookie", "sessionid=alice")])).await;
        assert!(hers.field("cache-control").contains("private"), "{}", hers.field("cache-control"));
        let anonymous = ask(&layered, get("/")).await;
        assert!(!anonymous.field("cache-control").contains("private"));
        assert_eq!(anonymous.field("vary"), "Cookie");
    }
    // Without cookies in it, a page does not depend on them.
    let without = app.layer(cache_page(60).cache(&cache).key_prefix("no").ignore_cookies());
    let answer = ask(&without, get_with("/", &[("cookie", "sessionid=alice")])).await;
    assert_eq!(
        (answer.field("vary"), answer.field("cache-control").contains("private")),
        (String::new(), false)
    );
}

#[tokio::test]
async fn what_the_response_says_about_privacy_is_kept() {
    for value in [
        "private",
        "Private",
        "no-store",
        "no-cache",
        "max-age=60, PRIVATE",
        "private=\"x-a\"",
        "no-cache=\"x\"",
    ] {
        let (app, runs) = origin(move |run, _| ([(header::CACHE_CONTROL, value)], format!("{run}")));
        let app = app.layer(cache_page(60).cache(memory()));
        ask(&app, get("/")).await;
        let again = ask(&app, get("/")).await;
        assert!(!again.is_hit() && !again.is_stored(), "{value}: {}", again.cache_status());
        assert_eq!(runs.count(), 2, "{value}");
    }
}

#[tokio::test]
async fn a_flood_of_users_does_not_push_out_what_everybody_reads() {
    let (app, runs) = origin(|run, _| ([(header::VARY, "accept-language")], format!("{run}")));
    let app = app.layer(cache_page(60).cache(memory()).max_variants(4));
    ask(&app, get("/")).await;
    for user in 0..200 {
        ask(&app, get_with("/", &[("cookie", &format!("sessionid={user}"))])).await;
    }
    assert_eq!(runs.count(), 201);
    assert!(ask(&app, get("/")).await.is_hit());
}

#[tokio::test]
async fn never_cache_outside_is_told_to_clients_and_inside_keeps_the_page_out() {
    let (app, runs) = whoami();
    let outside = app.clone().layer(cache_page(60).cache(memory())).layer(larder::never_cache());
    ask(&outside, get("/")).await;
    let hit = ask(&outside, get("/")).await;
    assert!(hit.is_hit() && hit.field("cache-control").contains("no-store"), "{hit:?}");
    assert_eq!(runs.count(), 1);

    let inside = app.layer(larder::never_cache()).layer(cache_page(60).cache(memory()));
    assert!(ask(&inside, get("/")).await.cache_status().ends_with("detail=private"));
    assert!(ask(&inside, get("/")).await.cache_status().ends_with("detail=hit-for-miss"));
    assert_eq!(runs.count(), 3);
}

#[tokio::test]
async fn an_error_for_one_user_is_not_kept_for_another() {
    let (app, _) = origin(|_, parts: Parts| match parts.headers.contains_key("authorization") {
        true => "welcome".into_response(),
        false => http::StatusCode::UNAUTHORIZED.into_response(),
    });
    let app = app.layer(cache_page(60).cache(memory()));
    assert_eq!(ask(&app, get("/")).await.status, 401);
    assert_eq!(ask(&app, get_with("/", &[("authorization", "alice")])).await.text(), "welcome");
    assert_eq!(ask(&app, get("/")).await.status, 401);
}

#[tokio::test]
async fn stored_bytes_hold_credentials_as_digests_only() {
    const SECRETS: [&str; 5] = ["s3cr3t-cookie", "s3cr3t-bearer", "s3cr3t-key", "s3cr3t-vary", "s3cr3t-user"];
    let dir = tempfile::tempdir().unwrap();
    let cache = patient(&format!("file://{}", dir.path().display()));
    let (app, _) = origin(|_, _| {
        let mut response = "page-in-the-clear".into_response();
        response
            .headers_mut()
            .insert(header::VARY, HeaderValue::from_static("cookie, authorization, x-session, remote-user"));
        response
    });
    let app = app.layer(cache_page(60).cache(&cache));
    let cookie = format!("sessionid={}", SECRETS[0]);
    let fields = [
        ("cookie", cookie.as_str()),
        ("authorization", SECRETS[1]),
        ("x-api-key", SECRETS[2]),
        ("x-session", SECRETS[3]),
        ("remote-user", SECRETS[4]),
    ];
    assert!(ask(&app, get_with("/", &fields)).await.is_stored());
    assert!(ask(&app, get_with("/", &fields)).await.is_hit());
    let stored = files(dir.path());
    assert!(
        stored.iter().any(|(_, bytes)| contains(bytes, "page-in-the-clear")),
        "the search sees what is stored"
    );
    for (name, bytes) in &stored {
        for secret in SECRETS {
            assert!(!contains(bytes, secret) && !name.contains(secret), "{secret} stands in {name}");
        }
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Every file below, with its name.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push((path.display().to_string(), std::fs::read(&path).expect("a file"))),
        }
    }
    found
}

#[tokio::test]
async fn a_user_whom_a_middleware_between_the_pair_names_gets_a_page_of_their_own() {
    async fn named(
        mut request: http::Request<axum::body::Body>,
        next: axum::middleware::Next,
    ) -> axum::response::Response {
        // From the client's certificate, say: nothing that came with the request.
        let user = request.extensions().get::<&'static str>().copied();
        if let Some(user) = user {
            request.headers_mut().insert("x-forwarded-user", http::HeaderValue::from_static(user));
        }
        next.run(request).await
    }
    let (app, _) =
        origin(|_, parts| format!("for {:?}", parts.headers.get("x-forwarded-user").map(|v| v.to_str())));
    let app = app
        .layer(larder::FetchFromCacheLayer::new())
        .layer(axum::middleware::from_fn(named))
        .layer(larder::UpdateCacheLayer::new(60).cache(memory()));
    for _ in 0..2 {
        for user in [Some("anna"), Some("bert"), None] {
            let mut request = get("/");
            user.map(|user| request.extensions_mut().insert(user));
            assert_eq!(ask(&app, request).await.text(), format!("for {:?}", user.map(Ok::<_, ()>)));
        }
    }
}
