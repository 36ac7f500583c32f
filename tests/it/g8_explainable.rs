//! G8, explainable: every response that passed a layer says in `Cache-Status` what happened, in words of a closed list.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::get as get_route;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;
use larder::http_rules::Reason;
use larder::{Cache, CachesLayer, FetchFromCacheLayer, PageTags, PageTimeout, UpdateCacheLayer, cache_page};
use larder_memory::Memory;
use tower::ServiceBuilder;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

use crate::fed::{at_hand, head, piece, saying, slowly, status_of};
use crate::structured::{Bare, Member, list};
use crate::support::{Runs, ask, get, get_with, memory, patient, request, saying as always};

/// The one member of ours that a response has to have.
pub(crate) fn ours<B>(response: &Response<B>) -> Member {
    let members = list(&status_of(response)).expect("a structured list");
    let mut ours = members.into_iter().filter(|m| m.name == Bare::Token("larder".into()));
    let (one, other) = (ours.next().expect("a member of ours"), ours.next());
    assert_eq!(other, None, "one only");
    one
}

fn app(answer: impl Fn() -> Response<Body> + Clone + Send + Sync + 'static) -> Router {
    slowly(move |_, _| std::future::ready(answer())).0
}

/// Why a response is as it is, with an application and a request that show it.
type Case = (Reason, Router, Request<Body>);

/// Everything that is found out from the request.
fn by_request() -> Vec<Case> {
    let plain = || always(&[]).0;
    let cached = || plain().layer(cache_page(60).cache(memory()));
    vec![
        (Reason::FatGet, cached(), get_with("/", &[("content-length", "3")])),
        (Reason::MethodOverride, cached(), get_with("/", &[("x-http-method-override", "DELETE")])),
        (Reason::Upgrade, cached(), get_with("/", &[("connection", "upgrade"), ("upgrade", "websocket")])),
        (Reason::Precondition, cached(), get_with("/", &[("if-match", "\"a\"")])),
        (Reason::CookieKeyed, cached(), get_with("/", &[("cookie", "a=1")])),
        (Reason::CredentialKeyed, cached(), get_with("/", &[("authorization", "Bearer a")])),
        (Reason::ZeroTimeout, plain().layer(cache_page(0).cache(memory())), get("/")),
        (Reason::NoSuchCache, plain().layer(cache_page(60).cache("no such alias")), get("/")),
        (Reason::NoUpdateLayer, plain().layer(FetchFromCacheLayer::new()), get("/")),
        (Reason::NoFetch, plain().layer(UpdateCacheLayer::new(60).cache(memory())), get("/")),
    ]
}

/// Makes a response.
type Answer = fn() -> Response<Body>;

/// Everything that is found out from the response, for a layer that caches 100 bytes at most.
fn by_response() -> Vec<(Reason, Answer)> {
    fn status(status: StatusCode) -> Response<Body> {
        status.into_response()
    }
    vec![
        (Reason::Status, || status(StatusCode::NOT_FOUND)),
        (Reason::Partial, || status(StatusCode::PARTIAL_CONTENT)),
        (Reason::SetCookie, || saying(&[("set-cookie", "a=1")], "x")),
        (Reason::Private, || saying(&[("cache-control", "private")], "x")),
        (Reason::NoStore, || saying(&[("cache-control", "no-store")], "x")),
        (Reason::NoCache, || saying(&[("cache-control", "no-cache")], "x")),
        (Reason::VaryStar, || saying(&[("vary", "*")], "x")),
        (Reason::Streaming, || saying(&[], at_hand(vec![piece("x")]))),
        (Reason::EventStream, || saying(&[("content-type", "text/event-stream")], "x")),
        (Reason::TooLarge, || saying(&[], vec![b'x'; 101])),
        (Reason::Truncated, || saying(&[("content-length", "9")], at_hand(vec![piece("x")]))),
        (Reason::Trailers, || {
            let pieces = vec![piece("x"), Ok(Frame::trailers(HeaderMap::new()))];
            saying(&[("content-length", "1")], at_hand(pieces))
        }),
        (Reason::BodyError, || {
            let pieces = vec![piece("x"), Err(std::io::Error::other("broke"))];
            saying(&[("content-length", "9")], at_hand(pieces))
        }),
        (Reason::ZeroTimeout, || (PageTimeout::secs(0), "x").into_response()),
    ]
}

/// What needs more around the layer.
fn by_surroundings() -> Vec<Case> {
    let plain = || always(&[]).0;
    let passed = Runs::default();
    let accepts_from_the_second_on = axum::middleware::map_response(move |mut response: Response<Body>| {
        if passed.next() > 1 {
            *response.status_mut() = StatusCode::ACCEPTED;
        }
        std::future::ready(response)
    });
    let replaced = Router::new().fallback_service(
        ServiceBuilder::new()
            .layer(UpdateCacheLayer::new(60).cache(memory()))
            .layer(accepts_from_the_second_on)
            .layer(FetchFromCacheLayer::new())
            .service(plain()),
    );
    let tracked = SetResponseHeaderLayer::overriding(
        http::header::SET_COOKIE,
        http::HeaderValue::from_static("track=1"),
    );
    let session = Router::new()
        .fallback(|session: Session| async move {
            session.insert("seen", true).await.map(|()| "x").map_err(|_| "")
        })
        .layer(cache_page(60).cache(memory()))
        .layer(SessionManagerLayer::new(MemoryStore::default()).with_secure(false));
    let broken = larder::Cache::new(Broken);
    vec![
        (Reason::Replaced, replaced, get("/")),
        (
            Reason::BecamePrivate,
            plain().layer(cache_page(60)).layer(tracked).layer(CachesLayer::new(memory())),
            get("/"),
        ),
        (Reason::SessionModified, session, get("/")),
        (Reason::KeyFnRefused, plain().layer(cache_page(60).key_fn(|_| None::<String>)), get("/")),
        (Reason::BackendError, plain().layer(cache_page(60).cache(broken)), get("/")),
    ]
}

/// A store that is down.
#[derive(Debug)]
struct Broken;

fn down<T>() -> Result<T, larder::Error> {
    Err(larder::Error::new(larder::ErrorKind::Unavailable, "down"))
}

impl larder::Backend for Broken {
    fn capabilities(&self) -> larder::Capabilities {
        larder::Capabilities::new("broken")
    }

    async fn get(&self, _: &larder::core::Key, _: u64) -> Result<Option<larder::Entry>, larder::Error> {
        down()
    }

    async fn set(
        &self,
        _: &larder::core::Key,
        _: larder::Entry,
        _: larder::core::When,
        _: u64,
    ) -> Result<bool, larder::Error> {
        down()
    }

    async fn remove(&self, _: &larder::core::Key, _: u64) -> Result<bool, larder::Error> {
        down()
    }

    async fn touch(&self, _: &larder::core::Key, _: Option<u64>, _: u64) -> Result<bool, larder::Error> {
        down()
    }

    async fn clear(&self, _: &larder::core::Space, _: u64) -> Result<(), larder::Error> {
        down()
    }
}

#[tokio::test]
async fn what_is_found_out_from_the_request_is_said() {
    for (reason, app, request) in by_request() {
        let member = ours(&head(&app, request).await);
        assert_eq!(member.word("detail"), Some(reason.as_str()), "{member:?}");
    }
}

#[tokio::test]
async fn what_is_found_out_from_the_response_is_said_by_both_mounts() {
    for (reason, answer) in by_response() {
        let app = app(answer);
        let page = app.clone().layer(cache_page(60).cache(memory()).max_body(100));
        let site = larder::site(app).cache(memory()).with(|l| l.max_body(100)).into_router();
        for app in [page, site] {
            let member = ours(&head(&app, get("/")).await);
            assert_eq!(member.word("detail"), Some(reason.as_str()), "{member:?}");
            assert_eq!(
                (member.get("hit"), member.get("stored"), member.get("ttl")),
                (None, None, None),
                "{member:?}"
            );
            assert_eq!(member.word("fwd"), Some("uri-miss"), "{member:?}");
        }
    }
}

#[tokio::test]
async fn what_needs_more_around_the_layer_is_said() {
    for (reason, app, request) in by_surroundings() {
        let again = get(request.uri().path());
        let mut member = ours(&head(&app, request).await);
        if reason == Reason::Replaced {
            // The first one made the page.
            member = ours(&head(&app, again).await);
        }
        assert_eq!(member.word("detail"), Some(reason.as_str()), "{member:?}");
        assert_eq!(member.get("stored"), None, "{member:?}");
    }
}

#[tokio::test]
async fn a_page_of_an_inner_layer_is_said_to_be_that() {
    let (inner, outer) = (memory(), memory());
    let app = always(&[]).0.layer(cache_page(60).cache(&inner)).layer(cache_page(60).cache(&outer));
    head(&app, get("/")).await;
    outer.clear().await.expect("it is cleared");
    let members = list(&status_of(&head(&app, get("/")).await)).expect("a list");
    assert_eq!(members.len(), 2, "one for each layer");
    assert_eq!(
        members[0].get("hit"),
        Some(&Bare::Boolean(true)),
        "the nearest to the application comes first"
    );
    assert_eq!(members[1].word("detail"), Some(Reason::InnerHit.as_str()));
    assert_eq!(members[1].get("stored"), None);
}

#[tokio::test]
async fn a_page_that_the_store_does_not_take_does_not_say_that_it_is_stored() {
    let small = Memory::builder().max_bytes(1 << 20).build().unwrap();
    let large = Router::new().route("/", get_route(|| async { "x".repeat(300 << 10) }));
    let large = large.layer(cache_page(60).cache(Cache::new(small)));
    for _ in 0..2 {
        let said = ask(&large, get("/")).await.field("cache-status");
        assert_eq!(said, "larder; fwd=uri-miss; detail=too-large");
    }

    // A store outside the process: the tag is learned late, and was invalidated while the page was made.
    let place = tempfile::tempdir().unwrap();
    let cache = patient(&format!("file://{}", place.path().display()));
    let forgetful = {
        let cache = cache.clone();
        move || async move {
            cache.invalidate(["late"]).await.unwrap();
            (PageTags::new(["late"]), "page")
        }
    };
    let app = Router::new().route("/", get_route(forgetful)).layer(cache_page(60).cache(&cache));
    let said = ask(&app, get("/")).await.field("cache-status");
    assert_eq!(said, format!("larder; fwd=uri-miss; detail={}", Reason::Invalidated));
}

#[tokio::test]
async fn every_word_is_shown_by_a_test_or_is_known_to_stand_on_no_response() {
    // Tests of their own: the method has a word of RFC 9211 itself, the wait stands with G3, the inner layer's hit above.
    // What Connection must not list stands with the attacks, the key of a session with the sessions.
    let elsewhere = [
        Reason::Method,
        Reason::WaitLimit,
        Reason::InnerHit,
        Reason::Invalidated,
        Reason::ConnectionListed,
        Reason::SessionKeyed,
        // In the tests of stale windows.
        Reason::StaleOnError,
        Reason::StaleWhileRevalidate,
        Reason::RefreshLimit,
        Reason::SoftTimeout,
        Reason::EarlyRefresh,
        Reason::HitForMiss,
        Reason::TakenOver,
        // With what attaches by itself.
        Reason::ForeignTags,
        Reason::BadTags,
        Reason::MadeOfStale,
        Reason::TooManyTags,
    ];
    // Nobody's answer: for logs and metrics.
    let unsaid = [Reason::ClientGone];
    // Said by the rules of a shared cache alone, whose tests stand with the proxy.
    let shared = [Reason::NotFinal, Reason::Authorization, Reason::OriginUnreachable];
    // For settings that are to come.
    let to_come = [Reason::VariantLimit];
    let mut shown: BTreeSet<Reason> =
        elsewhere.into_iter().chain(unsaid).chain(shared).chain(to_come).collect();
    shown.extend(by_request().into_iter().map(|(reason, ..)| reason));
    shown.extend(by_response().into_iter().map(|(reason, _)| reason));
    shown.extend(by_surroundings().into_iter().map(|(reason, ..)| reason));
    let all: BTreeSet<Reason> = Reason::ALL.iter().copied().collect();
    assert_eq!(shown, all);
}

#[tokio::test]
async fn every_response_has_one_member_of_ours_with_words_of_the_closed_list() {
    let words: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    let fields: [&[(&str, &str)]; 7] = [
        &[],
        &[("cookie", "a=1")],
        &[("authorization", "Bearer x")],
        &[("if-none-match", "\"v\"")],
        &[("range", "bytes=0-1")],
        &[("cache-control", "no-cache")],
        &[("accept-language", "de")],
    ];
    for (_, answer) in by_response().into_iter().chain([
        (Reason::Method, (|| saying(&[("etag", "\"v\"")], "x")) as Answer),
        (Reason::Method, || saying(&[("vary", "accept-language"), ("cache-control", "public")], "x")),
    ]) {
        let app = app(answer);
        let page = app.clone().layer(cache_page(60).cache(memory()).max_body(100));
        let site = larder::site(app).cache(memory()).with(|l| l.max_body(100)).into_router();
        for app in [page, site] {
            for method in [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS, Method::DELETE] {
                for fields in fields {
                    for _ in 0..2 {
                        let member = ours(&head(&app, request(method.clone(), "/", fields)).await);
                        let (hit, fwd) = (member.get("hit"), member.word("fwd"));
                        assert!(hit.is_some() != fwd.is_some(), "either hit or fwd: {member:?}");
                        if let Some(fwd) = fwd {
                            assert!(
                                ["bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale"]
                                    .contains(&fwd),
                                "{member:?}"
                            );
                        }
                        let safe = method == Method::GET || method == Method::HEAD;
                        assert_eq!(fwd == Some("method"), !safe, "{member:?}");
                        if let Some(detail) = member.get("detail") {
                            assert!(
                                matches!(detail, Bare::Token(word) if words.contains(&**word)),
                                "{member:?}"
                            );
                        }
                        assert_eq!(
                            member.get("ttl").is_some(),
                            hit.is_some() || member.get("stored").is_some(),
                            "{member:?}"
                        );
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn members_of_caches_before_us_stay_and_stand_first() {
    for cached in [true, false] {
        let app = app(move || {
            let mut response = saying(
                &[("cache-status", "\"CDN, in front\"; hit"), ("cache-status", "other; fwd=miss")],
                "x",
            );
            if !cached {
                response.headers_mut().insert("set-cookie", http::HeaderValue::from_static("a=1"));
            }
            response
        });
        let page = app.clone().layer(cache_page(60).cache(memory()));
        let site = larder::site(app).cache(memory()).into_router();
        for app in [page, site] {
            let response = head(&app, get("/")).await;
            let members = list(&status_of(&response)).expect("a list");
            let names: Vec<_> = members.iter().map(|m| m.name.clone()).collect();
            assert_eq!(
                names,
                [
                    Bare::Text("CDN, in front".into()),
                    Bare::Token("other".into()),
                    Bare::Token("larder".into())
                ]
            );
            ours(&head(&app, get("/")).await);
        }
    }
}

#[tokio::test]
async fn layers_in_layers_say_one_member_each() {
    let app = always(&[]).0.layer(cache_page(60).cache(memory()));
    let app = larder::site(app).cache(memory()).into_router();
    let first = list(&status_of(&head(&app, get("/")).await)).expect("a list");
    assert_eq!(first.len(), 2, "{first:?}");
    assert!(first.iter().all(|m| m.get("stored") == Some(&Bare::Boolean(true))), "{first:?}");
    let second = list(&status_of(&head(&app, get("/")).await)).expect("a list");
    assert_eq!(second.len(), 1, "the outer one answers alone: {second:?}");
}
