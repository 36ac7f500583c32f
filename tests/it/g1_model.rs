//! G1 and G2 against a model: whatever is asked in whatever order, the answer is what the handler makes for this very request.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use http::request::Parts;
use http::{HeaderValue, Method, Request, header};
use larder::prelude::*;
use larder::{CachePage, ManualClock};
use proptest::prelude::*;

use crate::support::{BEGIN, ask};

/// What the page depends on besides the URL, by path and phase: a page may change its mind about `Vary`.
const LISTS: [&[&str]; 6] =
    [&[], &["x-a"], &["x-b"], &["x-a", "x-b"], &["x-a", "cookie"], &["accept-language"]];
/// Values that could be taken for each other if they were glued together or cut at the wrong place.
const VALUES: [&str; 6] = ["", "a", "A", "a, b", "b", "a\",x-b:\"b"];
const COOKIES: [&str; 4] = ["id=1", "id=2", "id=1; theme=dark", "_ga=7"];

#[derive(Debug, Clone)]
struct Ask {
    head: bool,
    path: usize,
    query: &'static str,
    host: &'static str,
    fields: Vec<(&'static str, &'static str)>,
}

#[derive(Debug, Clone)]
enum Step {
    /// Requests that are under way at the same time.
    Ask(Vec<Ask>),
    /// The pages depend on something else from now on.
    Phase(usize),
    /// Time goes by.
    Wait(u64),
    /// A write to a URL.
    Post(usize),
}

fn asks() -> impl Strategy<Value = Ask> {
    let field = prop_oneof![
        3 => (proptest::sample::select(vec!["x-a", "x-b", "accept-language"]), proptest::sample::select(VALUES.to_vec())),
        1 => (Just("cookie"), proptest::sample::select(COOKIES.to_vec())),
        1 => (Just("authorization"), proptest::sample::select(vec!["Bearer a", "Bearer b"])),
        1 => (Just("x-api-key"), proptest::sample::select(vec!["a", "b"])),
        1 => (Just("x-forwarded-host"), proptest::sample::select(vec!["h1", "h2"])),
    ];
    (
        proptest::bool::weighted(0.15),
        0..4usize,
        proptest::sample::select(vec!["", "?", "?q=1", "?q=2"]),
        proptest::sample::select(vec!["h1", "h2"]),
        proptest::collection::vec(field, 0..4),
    )
        .prop_map(|(head, path, query, host, fields)| Ask { head, path, query, host, fields })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => proptest::collection::vec(asks(), 1..4).prop_map(Step::Ask),
        2 => (0..LISTS.len()).prop_map(Step::Phase),
        1 => (1u64..70).prop_map(Step::Wait),
        1 => (0..4usize).prop_map(Step::Post),
    ];
    proptest::collection::vec(step, 1..40)
}

/// What the handler makes of a request in a phase: everything that it may depend on.
fn page(parts: &Parts, phase: usize) -> String {
    let lines = |name: &str| {
        parts.headers.get_all(name).iter().map(|v| v.to_str().expect("text")).collect::<Vec<_>>()
    };
    let mut text = format!("{phase} {} {:?} {:?}", parts.uri, lines("host"), lines("x-forwarded-host"));
    for name in list(parts.uri.path(), phase) {
        text += &match *name {
            "cookie" => format!(" {:?}", lines("cookie").join("; ")),
            // Absent is not empty.
            name if lines(name).is_empty() => format!(" {name}"),
            // Lines and spaces around commas mean nothing, nor do case and empty members in languages (RFC 9110, sections 5.3 and 12.5.4).
            "accept-language" => {
                let members = lines(name).join(",").replace(' ', "").to_ascii_lowercase();
                let members: Vec<_> = members.split(',').filter(|m| !m.is_empty()).collect();
                format!(" languages={members:?}")
            }
            name => format!(" {name}={:?}", lines(name).join(",").replace(' ', "")),
        };
    }
    if parts.uri.path() != "/3" {
        text += &format!(
            " {:?} {:?} {:?}",
            lines("cookie").join("; "),
            lines("authorization"),
            lines("x-api-key")
        );
    }
    text
}

/// `/0` never varies, `/1` and `/2` as the phase says, `/3` too, and it is public.
fn list(path: &str, phase: usize) -> &'static [&'static str] {
    match path {
        "/0" => &[],
        "/2" => LISTS[(phase + 2) % LISTS.len()],
        _ => LISTS[phase],
    }
}

fn respond(parts: &Parts, phase: usize) -> Response {
    let names = list(parts.uri.path(), phase).join(", ");
    let mut response = page(parts, phase).into_response();
    if !names.is_empty() {
        response.headers_mut().insert(header::VARY, names.parse().expect("names"));
    }
    if parts.uri.path() == "/3" {
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    }
    response
}

fn build(ask: &Ask) -> Request<Body> {
    let method = if ask.head { Method::HEAD } else { Method::GET };
    let mut request = Request::builder().method(method).uri(format!("/{}{}", ask.path, ask.query));
    request = request.header("host", ask.host);
    for (name, value) in &ask.fields {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).expect("a request")
}

/// The request as the handler sees it: without the cookies that do not count.
fn seen(ask: &Ask) -> Parts {
    let mut parts = build(ask).into_parts().0;
    let lines: Vec<_> =
        parts.headers.get_all("cookie").iter().map(|v| v.to_str().expect("text").to_owned()).collect();
    let pairs: Vec<&str> = lines.iter().flat_map(|line| line.split("; ")).filter(|p| *p != "_ga=7").collect();
    parts.headers.remove("cookie");
    if !pairs.is_empty() {
        parts.headers.insert("cookie", pairs.join("; ").parse().expect("cookies"));
    }
    parts
}

async fn run(
    steps: Vec<Step>,
    layer: impl FnOnce(Router, &Cache) -> Router,
    cache: Cache,
    hand: ManualClock,
) {
    let phase = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&phase);
    let handler = move |request: Request<Body>| {
        let now = Arc::clone(&now);
        async move {
            // Those that are under way together overlap.
            tokio::task::yield_now().await;
            respond(&request.into_parts().0, now.load(Ordering::SeqCst))
        }
    };
    let app = layer(Router::new().fallback(handler), &cache);
    let mut phases = HashSet::from([0]);
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Phase(next) => {
                phase.store(*next, Ordering::SeqCst);
                phases.insert(*next);
            }
            Step::Wait(seconds) => hand.advance(Duration::from_secs(*seconds)),
            Step::Post(path) => {
                let post = Request::post(format!("/{path}"))
                    .header("host", "h1")
                    .body(Body::empty())
                    .expect("a request");
                assert!(!ask(&app, post).await.is_hit());
            }
            Step::Ask(asked) => {
                let answers = join_all(asked.iter().map(|one| ask(&app, build(one)))).await;
                for (one, answer) in asked.iter().zip(answers) {
                    if one.head {
                        assert!(answer.body.is_empty());
                        continue;
                    }
                    // A page of an earlier phase may still be fresh, but it is one made for this very request.
                    let parts = seen(one);
                    let right: Vec<_> = phases.iter().map(|phase| page(&parts, *phase)).collect();
                    let text = answer.text();
                    assert!(
                        right.iter().any(|page| page == text),
                        "step {at}: {one:?} was answered {text:?} ({}), none of {right:?}",
                        answer.cache_status()
                    );
                }
            }
        }
    }
}

fn drive(steps: Vec<Step>, layer: impl FnOnce(Router, &Cache) -> Router) {
    let hand = ManualClock::new(BEGIN);
    let cache = Cache::builder(larder_memory::Memory::new()).clock(hand.clock()).build().expect("a cache");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(steps, layer, cache, hand));
}

/// Two slots for all variants of a URL: pages push each other out, and stand where others are looked for.
fn crowded(layer: CachePage, cache: &Cache) -> CachePage {
    layer.cache(cache).max_variants(2)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn cache_page_answers_every_request_with_its_own_page(steps in steps()) {
        drive(steps, |app, cache| app.layer(cache_page(60).cache(cache)));
    }

    #[test]
    fn variants_that_share_their_slots_are_never_taken_for_each_other(steps in steps()) {
        drive(steps, |app, cache| app.layer(crowded(cache_page(60), cache)));
    }

    #[test]
    fn the_pair_answers_every_request_with_its_own_page(steps in steps()) {
        drive(steps, |app, cache| larder::site(app).timeout(60).cache(cache).with(|l| l.max_variants(2)).into_router());
    }

    #[test]
    fn a_route_layer_inside_the_pair_answers_every_request_with_its_own_page(steps in steps()) {
        drive(steps, |app, cache| {
            let app = app.layer(crowded(cache_page(40), cache));
            larder::site(app).timeout(60).cache(cache).into_router()
        });
    }
}
